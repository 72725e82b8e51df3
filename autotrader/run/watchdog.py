"""The watchdog: a process of its own that ends a run's trading when the run is gone or hangs.

Knows the signs of a run's life that can be seen from outside, how long they may be missing, and in which order its
trading is then ended: the kill latch first, so that a run that wakes up or starts anew opens nothing, then the account.
Refuses to know what a strategy does, and how an order is closed (`closing`).

A run lives while it answers on its control socket. A lock without a socket is a run that starts or ends: it sends
nothing new then. A start without a clean end whose lock is free is one that died.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from random import Random
from typing import Any, Final

import uvloop

from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.closing import Closing
from autotrader.adapters.binance.outcomes import Outcome
from autotrader.adapters.binance.pacing import Backoff
from autotrader.adapters.binance.profiles import refuse_proxies, trading_urls
from autotrader.adapters.binance.reading import client_name
from autotrader.adapters.binance.rest import Rest, RestError
from autotrader.adapters.binance.signing import signer
from autotrader.adapters.control import NoInstanceError, SilentError, ask
from autotrader.adapters.keys import key_manager
from autotrader.adapters.storage.state import Epochs, Guard, Handled, Latch, Lock, Starts
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.config import Config
from autotrader.errors import AutotraderError, OperatorError, VenueError
from autotrader.messages import say

__all__ = ["Health", "Patience", "Seen", "Watched", "run_watchdog"]

Told = Callable[[str, str], None]
"""Told (event, text)."""

LOOK_S: Final = 1.0
ANSWER_S: Final = 3.0
"""How long a run may take to answer one question."""
SETTLING_S: Final = 300.0
"""How long a run may start, or write down what it did, before it opens or after it has closed its socket."""
ASLEEP_S: Final = 10.0
"""Between two looks: if it was longer, it was we who did not run."""
FIRST_S, CAP_S = 0.25, 5.0
TIMED_S: Final = 3.0
VERIFY_S: Final = 1.0
LOOKS: Final = 2
"""So many looks in a row must find nothing left."""


class Health(Enum):
    """What can be seen of a run from outside."""

    ABSENT = "absent"
    """None runs, and the last one ended cleanly."""
    WELL = "well"
    SETTLING = "settling"
    SILENT = "silent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Attributes
    ----------
    health : Health
    start_ns : int
        Stamp of the run's start while that has no clean end, else 0.
    """

    health: Health
    start_ns: int


class Patience:
    """How long the signs of life have been missing.

    Parameters
    ----------
    quiet_s : float
        So long a run may be dead or silent.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s, self._settling_s = quiet_s, max(SETTLING_S, quiet_s)
        self._looked_s = self._since_s = float("-inf")
        self._was: tuple[float, int] | None = None

    def ends(self, seen: Seen, now_s: float) -> bool:
        """Take what was seen; return whether the run is to be taken for gone.

        Parameters
        ----------
        seen : Seen
        now_s : float
            A monotonic clock. While we did not look, a run is not blamed.
        """
        most_s = self._most_s(seen.health)
        if (most_s, seen.start_ns) != self._was or now_s - self._looked_s > ASLEEP_S:
            self._since_s = now_s
        self._looked_s, self._was = now_s, (most_s, seen.start_ns)
        return now_s - self._since_s >= most_s

    def _most_s(self, health: Health) -> float:
        if health is Health.SETTLING:
            return self._settling_s
        return self._quiet_s if health in (Health.SILENT, Health.DEAD) else float("inf")


class Watched:
    """The run of a state folder, as it is seen from outside.

    Parameters
    ----------
    folder : StateFolder
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._starts = Starts(folder)
        self._lock = Lock(folder, Epochs(folder, time.time_ns))

    def look(self) -> Seen:
        """Ask whether the run lives; this waits for its answer, `ANSWER_S` at most.

        Raises
        ------
        OperatorError
            If the state folder cannot be used.
        """
        start_ns = self.start_ns()
        return Seen(self._health(start_ns), start_ns)

    def _health(self, start_ns: int) -> Health:
        try:
            ask(self._folder.path, "status", {}, ANSWER_S)
        except NoInstanceError:
            return self._unheard(start_ns)
        except SilentError:
            return Health.SILENT
        except OperatorError:
            raise
        except AutotraderError:  # it refuses, or is of another version: it lives
            return Health.WELL
        return Health.WELL

    def _unheard(self, start_ns: int) -> Health:
        if not start_ns:
            return Health.ABSENT
        if self.holder():
            return Health.SETTLING
        return Health.DEAD if self.start_ns() else Health.ABSENT  # it may have ended cleanly in between

    def start_ns(self) -> int:
        """Return the stamp of its start while that has no clean end, else 0."""
        return self._starts.unclean_ns()

    def holder(self) -> str:
        """Return the number of its process, "" if there is none."""
        return self._lock.holder()

    @contextmanager
    def epoch(self) -> Iterator[int]:
        """Give an epoch of client order ids that nobody ever had; meanwhile no run starts, unless one hangs already.

        Raises
        ------
        OperatorError
            If another writes the state just now: try again.
        """
        holder = self.holder()
        if not holder:
            epoch = self._lock.acquire()
            try:
                yield epoch
            finally:
                self._lock.release()
            return
        # Whoever holds the lock took his epoch when he got it. Another holder might be taking one now.
        epoch = Epochs(self._folder, time.time_ns).next()
        if self.holder() != holder:
            raise OperatorError(say("state.locked", path=self._folder.path, pid=self.holder() or holder))
        yield epoch


def run_watchdog(config: Config, seconds: float | None, told: Told) -> dict[str, Any]:
    """Keep an eye on the run of a configuration until the time is over or somebody stops it.

    Parameters
    ----------
    config : Config
        Of mode testnet or live.
    seconds : float or None
        How long; None: until SIGINT or SIGTERM.
    told : callable
        Told (event, text) of what is seen and done.

    Returns
    -------
    dict
        ``ended``: how many runs' trading was ended; ``left``: client ids and symbols that could not be.

    Raises
    ------
    OperatorError
        If something that the configuration, the keys or the machine say does not allow it, or another watchdog keeps
        an eye on this folder.
    VenueError
        If the exchange refuses the key.
    """
    assert config.live is not None
    urls = trading_urls(config.run.mode, config.live)
    refuse_proxies(config.run.mode)
    credentials = key_manager(config.live, config.folder).key()
    signs = signer(credentials)
    folder = StateFolder(config.resolve(config.live.state_dir))
    guard = Guard(folder, "watchdog.lock", "watchdog.second")
    try:
        guard.acquire()

        def connect(clock: VenueClock) -> Rest:
            return Rest(urls, credentials, signs, Budget(share_pct=100), clock)

        return uvloop.run(Watchdog(config, folder, connect, told).run(seconds))
    finally:
        guard.release()
        folder.close()


class Watchdog:
    """The hours of one watchdog.

    Parameters
    ----------
    config : Config
    folder : StateFolder
    connect : callable
        Returns a client of the account's requests for the loop that it is called in.
    told : callable
    """

    def __init__(
        self, config: Config, folder: StateFolder, connect: Callable[[VenueClock], Rest], told: Told
    ) -> None:
        assert config.live is not None
        self.config, self.live, self.folder, self.connect, self._tell = config, config.live, folder, connect, told
        self.watched, self.latch, self.handled = Watched(folder), Latch(folder), Handled(folder)
        self.patience = Patience(self.live.watchdog_s)
        self.protects = self.live.watchdog_do == "protect"
        self.ended, self.left = 0, list[str]()
        self.is_timed, self._said = False, ""

    async def run(self, seconds: float | None) -> dict[str, Any]:
        """Watch until the time is over or a signal comes; return what was done."""
        self.clock = VenueClock(lambda path, params: self.rest.fetch(path, params), self._tell)
        self.rest = self.connect(self.clock)
        work = asyncio.create_task(self._watch())
        try:
            await self._opened()
            await asyncio.wait({work, asyncio.create_task(_stopped(seconds))}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self.rest.close()
        return {"ended": self.ended, "left": self.left}

    async def _opened(self) -> None:
        # Whoever could not act when it comes to it should hear so now; an exchange that is away may be back by then.
        words = {"path": self.folder.path, "seconds": self.live.watchdog_s}
        self._tell("OPENED", say("watchdog.opened", do=say(f"watchdog.do.{self.live.watchdog_do}"), **words))
        try:
            await self.clock.measure()
            await self.rest.position_risk(self.config.run.symbols[0])
        except (VenueError, OSError) as error:
            if isinstance(error, RestError) and error.verdict.outcome is Outcome.HALT:
                raise
            self._tell("UNREACHABLE", say("watchdog.unreachable", reason=_words(error)))

    async def _watch(self) -> None:
        while True:
            try:
                seen = await asyncio.to_thread(self.watched.look)
                if self.patience.ends(seen, time.monotonic()):
                    await self._end(seen.start_ns)
            except (OperatorError, OSError) as error:  # a look that failed says nothing of the run
                self._fail(_words(error))
            await asyncio.sleep(LOOK_S)

    # ------------------------------------------------------------------ the end of a run

    async def _end(self, start_ns: int) -> None:
        holder = self.watched.holder()
        if start_ns != self.watched.start_ns() or not start_ns or self.handled.covers(start_ns, bool(holder)):
            return
        self._tell("GONE", say("watchdog.hung", pid=holder) if holder else say("watchdog.gone"))
        self.left = list(self.config.run.symbols)  # until it is known better
        while not await self._ended(start_ns, bool(holder)):
            await asyncio.sleep(CAP_S)
        self.ended += 1
        held = say("watchdog.stopped" if self.protects else "watchdog.flat")
        self._tell("ENDED", say("watchdog.done", held=held))

    async def _ended(self, start_ns: int, is_held: bool) -> bool:
        # Whether all of it is done; a disk that refuses may take what is written later.
        try:
            kill = await asyncio.to_thread(self.latch.close, "watchdog", time.time_ns())
            self._tell("LATCHED", say("watchdog.latched", stamp=kill.stamp))
            with self.watched.epoch() as epoch:
                await self._end_trading(client_name(epoch << 32 | n) for n in count(1))
            await asyncio.to_thread(self.handled.keep, start_ns, is_held)
        except OperatorError as error:
            self._fail(_words(error))
            return False
        return True

    async def _end_trading(self, names: Iterator[str]) -> None:
        protect_e8 = round(self.config.risk.protective_stop * 10**8) if self.protects else 0
        closing = Closing(self.rest, self.clock, self.config.run.symbols, names, self._tell, protect_e8)
        backoff, looks, self.is_timed = Backoff(FIRST_S, CAP_S, Random()), 0, False
        while looks < LOOKS:
            looks = looks + 1 if await self._stepped(closing, backoff) else 0
            await asyncio.sleep(VERIFY_S if looks else backoff.next_s())

    async def _stepped(self, closing: Closing, backoff: Backoff) -> bool:
        # Whether nothing was left; a step that changed something is followed by the next at once.
        before, done = self.left, closing.done
        await self._time()
        try:
            self.left = await closing.step()
        except (AutotraderError, OSError) as error:
            self.is_timed = not isinstance(error, RestError) or error.verdict.outcome is not Outcome.RESYNC
            self._fail(_words(error))
            return False
        if (self.left, closing.done) != (before, done):
            backoff.reset()
        self._said = ""
        return not self.left

    async def _time(self) -> None:
        # Before the first request, and after one whose stamp was refused; without an answer we go by what we know.
        if not self.is_timed:
            with suppress(AutotraderError, OSError):
                async with asyncio.timeout(TIMED_S):
                    await self.clock.measure()
            self.is_timed = True

    def _fail(self, reason: str) -> None:
        # The same failure is told once.
        if reason != self._said:
            self._said = reason
            self._tell("FAILED", say("watchdog.failed", reason=reason))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _stopped(seconds: float | None) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError, RuntimeError):  # not in a thread of a test
            loop.add_signal_handler(number, stopped.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
