"""The exchange's clock: wall time at first, and as fast as the replay wants it afterwards.

The only module of this room that reads a clock.
"""

from __future__ import annotations

import time

__all__ = ["MS", "SECOND", "Clock"]

MS = 1_000_000
SECOND = 1_000_000_000


class Clock:
    """Exchange time in nanoseconds UTC.

    Parameters
    ----------
    start_ns : int, optional
        Exchange time of the first reading; wall time by default.
    speed : float, optional
        Seconds of exchange time in a second of wall time; 0: it stands still and is only ever set (``reach``).

    Notes
    -----
    The wall's clock gives the first reading, a monotonic one all others, so exchange time never goes back.
    """

    def __init__(self, start_ns: int | None = None, speed: float = 1.0):
        self.speed = speed
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        self._base_ns = self.start_ns
        self._base_mono = self._made_mono = time.monotonic_ns()
        self._is_halted = False

    def now(self) -> int:
        """Return the exchange time, ns."""
        if self._is_halted:
            return self._base_ns
        return self._base_ns + int((time.monotonic_ns() - self._base_mono) * self.speed)

    def now_ms(self) -> int:
        """Return the exchange time, ms."""
        return self.now() // MS

    def wall_ms(self) -> int:
        """Return the wall's time, ms: what limits, keys and signatures count in at any speed."""
        return self.start_ns // MS + self.mono_ms() if self.speed == 1.0 else time.time_ns() // MS

    def mono_ms(self) -> int:
        """Return ms since the clock was made."""
        return (time.monotonic_ns() - self._made_mono) // MS

    def halt(self) -> None:
        """Let exchange time stand still, but for ``reach``."""
        self._base_ns, self._is_halted = self.now(), True

    def go_on(self) -> None:
        """Let exchange time pass again from where it stands."""
        if self._is_halted:
            self._base_mono, self._is_halted = time.monotonic_ns(), False

    def reach(self, stamp_ns: int) -> None:
        """Set a clock forward that stands still or lags."""
        if stamp_ns > self.now():
            self._base_ns = stamp_ns
            self._base_mono = time.monotonic_ns()

    def run(self, speed: float) -> None:
        """Go on from now at another speed."""
        self._base_ns = self.now()
        self._base_mono = time.monotonic_ns()
        self.speed = speed

    def wait_s(self, stamp_ns: int) -> float:
        """Return the seconds of wall time until a stamp; 0 for a clock that stands still."""
        return max(0.0, (stamp_ns - self.now()) / SECOND / self.speed) if self.speed else 0.0
