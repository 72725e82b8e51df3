"""The exchange's clock as this machine knows it.

Knows wall time, monotonic time and how to ask the exchange for its own. Refuses to know who needs the time and what an
unsafe clock leads to. The only module of this room that reads a clock.

Time is the wall's at the start and a monotonic clock's afterwards, so that a step of the wall's clock moves nothing;
the offset to the exchange is measured and taken off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from autotrader.errors import AutotraderError, VenueError
from autotrader.messages import say
from core_ext.feed import Clock

__all__ = ["Fetch", "Offset", "VenueClock", "median_offset"]

Fetch = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
"""Makes a public GET request of (path, parameters) and returns the body; raises AutotraderError or OSError."""

PATH = "/fapi/v1/time"
SAMPLES = 5
EACH_S = 60.0
AGAIN_S = 5.0
DEADLINE_S = 10.0
LOOK_S = 1.0
UNSAFE_NS = 500_000_000
MS = 1_000_000
# The exchange cuts its stamp to the ms: on average half of one is missing.
HALF_MS = 500_000
# What a computer's oscillator may be wrong by: 100 parts in a million.
DRIFT = 10_000


@dataclass(frozen=True, slots=True)
class Offset:
    """Our clock minus the exchange's, ns, and by how much that can be wrong."""

    ns: int
    error_ns: int


def median_offset(samples: Sequence[tuple[int, int, int]]) -> Offset:
    """Return the median offset of some questions.

    Parameters
    ----------
    samples : sequence of (int, int, int)
        Our stamps when the question left and when its answer was there, ns, and the exchange's stamp, ms.

    Returns
    -------
    Offset
        Its error is half of the median question's way there and back, and half of the exchange's millisecond.

    Raises
    ------
    ValueError
        Without a sample.
    """
    if not samples:
        raise ValueError("an offset needs a sample")
    return sorted(map(_offset, samples), key=lambda one: one.ns)[len(samples) // 2]


def _offset(sample: tuple[int, int, int]) -> Offset:
    sent, back, server_ms = sample
    return Offset((sent + back) // 2 - (server_ms * MS + HALF_MS), (back - sent + 1) // 2 + HALF_MS)


class VenueClock(Clock):
    """The exchange's time in ns UTC, corrected each minute.

    Parameters
    ----------
    fetch : callable
        Makes a public request.
    told : callable
        Told what an operator should know, as (alert, text): ``CLOCK_STEP`` when a clock jumped by more than 500 ms,
        ``CLOCK_SKEW`` when the time may be wrong by more than that, ``CLOCK_UNKNOWN`` when the exchange does not say
        its time, ``CLOCK_SAFE`` when all is well again.
    wall_ns, mono_ns : callable, optional
        The machine's clocks.

    Attributes
    ----------
    offset : Offset or None
        The last measurement; None before the first and after a jump of our own clock.
    """

    def __init__(
        self,
        fetch: Fetch,
        told: Callable[[str, str], None],
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._fetch, self._told = fetch, told
        self._wall_ns, self._mono_ns = wall_ns, mono_ns
        super().__init__(wall_ns() - mono_ns(), None if mono_ns is time.monotonic_ns else mono_ns)
        self._apart_ns = self.base_ns
        self.offset: Offset | None = None
        self._measured_ns = 0
        self._alert = ""

    @property
    def error_ns(self) -> int | None:
        """By how much the time may be wrong, ns: the measurement's error and what may have drifted since; None: any."""
        if self.offset is None:
            return None
        return self.offset.error_ns + max(0, self._mono_ns() - self._measured_ns) // DRIFT

    @property
    def is_safe(self) -> bool:
        """Whether the time is known to within 500 ms."""
        error = self.error_ns
        return error is not None and error <= UNSAFE_NS

    async def measure(self) -> Offset:
        """Ask the exchange five times and go by the median from now on.

        Raises
        ------
        AutotraderError or OSError
            If an answer does not come in ten seconds, or is none; what was known stays.
        """
        before = self.offset
        offset = median_offset([await self._sample() for _ in range(SAMPLES)])
        self.offset, self.offset_ns, self._measured_ns = offset, offset.ns, self._mono_ns()
        if before is not None and abs(offset.ns - before.ns) > UNSAFE_NS:
            self._told("CLOCK_STEP", say("clock.step", ms=(offset.ns - before.ns) // MS))
        return offset

    async def run(self) -> None:
        """Measure now and each minute, and at once when our own clocks part; never returns."""
        due = self._mono_ns()
        while True:
            if self._has_jumped() or self._mono_ns() >= due:
                is_good = await self._measured()
                due = self._mono_ns() + round((EACH_S if is_good else AGAIN_S) * 1e9)
            await asyncio.sleep(LOOK_S)

    async def _measured(self) -> bool:
        try:
            await self.measure()
        except (AutotraderError, OSError) as error:
            self._tell("CLOCK_UNKNOWN", say("clock.unknown", reason=str(error) or type(error).__name__))
            return False
        if self.is_safe:
            self._tell("", say("clock.safe"))
        else:
            self._tell("CLOCK_SKEW", say("clock.skew", ms=(self.error_ns or 0) // MS))
        return self.is_safe

    def _tell(self, alert: str, text: str) -> None:
        # Once when it begins, and once when all is well again.
        if alert != self._alert:
            self._alert = alert
            self._told(alert or "CLOCK_SAFE", text)

    def _has_jumped(self) -> bool:
        # A wall clock that was set, or a machine that slept: the monotonic clock stands still then. Which one it was,
        # the exchange says.
        apart = self._wall_ns() - self._mono_ns()
        jumped, self._apart_ns = apart - self._apart_ns, apart
        if abs(jumped) <= UNSAFE_NS:
            return False
        self.offset = None
        self._told("CLOCK_STEP", say("clock.jump", ms=jumped // MS))
        return True

    async def _sample(self) -> tuple[int, int, int]:
        sent = self.base_ns + self._mono_ns()
        try:
            async with asyncio.timeout(DEADLINE_S):
                body = await self._fetch(PATH, {})
        except TimeoutError:
            raise VenueError(say("clock.silent", seconds=f"{DEADLINE_S:g}")) from None
        return sent, self.base_ns + self._mono_ns(), _server_ms(body)


def _server_ms(body: bytes) -> int:
    try:
        stamp = orjson.loads(body)["serverTime"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        stamp = None
    if type(stamp) is not int or not 0 < stamp < 10**13:
        raise VenueError(say("clock.no_time"))
    return stamp
