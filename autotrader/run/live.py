"""PAPER on an exchange's live streams: market data come over the wire, the account is the simulated venue's.

Knows how feed, recorder, clock, control socket and run are put together, and when the run ends. Refuses to know how any
of them works, and what a strategy does. No address of a trading endpoint is in its hands.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.market_feed import MarketFeed
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.adapters.binance.profiles import market_urls, refuse_proxies
from autotrader.adapters.binance.rest import MarketRest
from autotrader.adapters.control import ControlServer
from autotrader.adapters.storage.recorder import Recorder
from autotrader.adapters.storage.recordings import Recording
from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.adapters.storage.state import Epochs, Latch, Lock, Starts
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.config import Config, Live
from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.research.replay import Outcome, Plan, Progress, Session
from autotrader.run.operator import Facts, Operator
from autotrader.run.wiring import Run, files_of
from core_ext.types import Command, Gate, Instruments, Kind

__all__ = ["run_online"]

TICK_S = 0.02
"""How often what is due in the simulated venue is delivered when no message brings it."""
LOOK_S = 1.0
QUIET = frozenset({"CONNECTED", "RENEWED", "CLOCK_SAFE"})
"""What is told and is no reason to warn."""
MOST_TOLD = 50
"""Different warnings that a run keeps."""


def run_online(config: Config, seconds: float | None, out: Path | None, progress: Progress) -> dict[str, Any]:
    """Run PAPER on live streams until the time is over or somebody stops it, and leave the run's folder.

    Parameters
    ----------
    config : Config
        With a ``[live]`` section: the exchange, and where state is kept.
    seconds : float or None
        How long; None: until SIGINT or SIGTERM.
    out : Path or None
        The run's folder; None makes one under ``runs``.
    progress : callable
        Told the share that is done and what is being done.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    OperatorError
        If something that the configuration or the machine says does not allow the run.
    VenueError
        If the exchange cannot be reached, or a stream stays silent.
    """
    refuse_proxies(config.run.mode)
    return OnlineRun(config, [], progress, seconds).go(out, "live")


class OnlineRun(Run):
    """A run on live streams.

    Parameters
    ----------
    config, data, progress
        As of a `Run`; there are no data yet.
    seconds : float or None
    """

    def __init__(self, config: Config, data: list[Path], progress: Progress, seconds: float | None):
        if config.live is None:
            raise OperatorError(say("online.no_section"))
        self.live: Live = config.live
        self.seconds = seconds
        self.told: Counter[str] = Counter()
        super().__init__(config, data, progress)

    def _planned(self, data: list[Path]) -> Plan:
        sources = self.config.sources
        if data or sources.mark != "stream" or sources.funding == "file":
            raise OperatorError(say("online.sources"))
        self.marks = ["stream"] * len(self.specs)
        self.mark_words = dict.fromkeys(self.config.run.symbols, say("run.mark_stream"))
        facts = {"kind": "wire", "offset_ns": 0, "offset_lines": 0, "ticks": sources.book == "candle"}
        return self._plan([], facts | {"begun_ns": time.time_ns()})

    def _feed(self, session: Session, speed: str) -> None:  # noqa: ARG002
        uvloop.run(self._hours(session))

    async def _hours(self, session: Session) -> None:
        async with AsyncExitStack() as stack:
            hours = _Hours(self, session, self.folder, stack)
            try:
                await hours.open()
                await hours.run(self.seconds)
            finally:
                await hours.close()
        self._read_back(self.folder)

    def _read_back(self, folder: RunFolder) -> None:
        # The recording becomes the data of the run, by which it can be replayed.
        files = sorted((folder.path / "market").iterdir())
        self.source = Recording(files, Instruments(self.specs), 0, self.config.sources.book == "candle", True)
        self.plan = replace(self.plan, data=files_of(self.source))
        folder.retell(self.plan.manifest())

    def _warnings(self, outcome: Outcome) -> Iterable[str]:
        yield from super()._warnings(outcome)
        for text, count in sorted(self.told.items()):
            yield text if count == 1 else f"{text} ({count})"


@dataclass
class _Hours:
    # The hours of one run: everything that is open while it lasts.
    owner: OnlineRun
    session: Session
    folder: RunFolder
    stack: AsyncExitStack
    safe: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def open(self) -> None:
        owner, live = self.owner, self.owner.live
        state = StateFolder(owner.config.resolve(live.state_dir))
        self.stack.callback(state.close)
        lock = Lock(state, Epochs(state, time.time_ns))
        lock.acquire()
        self.stack.callback(lock.release)
        self.starts, self.latch = Starts(state), Latch(state)
        self.safe = self.starts.begin(time.time_ns())
        urls = market_urls(live)
        self.clock = VenueClock(lambda path, params: self.rest.fetch(path, params), self._tell)
        self.rest = MarketRest(urls, Budget(), self.clock)
        self.stack.push_async_callback(self.rest.close)
        await self.clock.measure()
        self.recorder = Recorder(self.folder.path / "market", "market", self._on_disk)
        self.stopped = asyncio.Event()
        self.begun = time.monotonic()
        self.session.start(self.clock.now_ns())
        self.driver, self.engine = self.session.driver, self.session.engine
        self._close_gates(Gate.SAFE if self.safe else 0)
        if self.latch.read() is not None:
            self.driver.control(int(Kind.COMMAND), self.now_ns(), (int(Command.KILL),))
        self.feed = MarketFeed(
            Subscription(tuple(owner.config.run.symbols)), urls, sink=self._sink, fetch=self.rest.fetch,
            now_ns=self.clock.now_ns, stale=_ignore, told=self._tell,
        )  # fmt: skip
        await self.feed.start()
        facts = Facts(
            "PAPER", live.profile, self.folder.path.name, self.safe, self._ages, self._links, self.now_ns,
            lambda: time.monotonic() - self.begun,
        )  # fmt: skip
        self.operator = Operator(self.engine, self.driver, self.latch, facts)
        server = ControlServer(state, self.operator.handlers())
        await server.open()
        self.stack.push_async_callback(server.close)

    async def run(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # not in a thread of a test
                loop.add_signal_handler(number, self.stopped.set)
        works: tuple[Coroutine[Any, Any, None], ...] = (
            self._tick(),
            self._look(),
            self.clock.run(),
            self.feed.ended(),
            self._countdown(seconds),
        )
        self.tasks = [asyncio.create_task(work) for work in works]
        stop = asyncio.create_task(self.stopped.wait())
        done, _ = await asyncio.wait([stop, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # an error ends the run

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if hasattr(self, "feed"):
            await self.feed.close()
        if hasattr(self, "recorder"):
            await asyncio.to_thread(self.recorder.close)
        if hasattr(self, "starts"):
            self.starts.end()

    # ------------------------------------------------------------------ events

    def now_ns(self) -> int:
        return max(self.clock.now_ns(), self.driver.now)

    def _sink(self, stamp_ns: int, message: bytes) -> None:
        self.recorder(stamp_ns, message)
        self.driver.message(message, stamp_ns)

    def _tell(self, alert: str, what: str) -> None:
        text = f"{alert}: {what}"
        if alert not in QUIET and (len(self.owner.told) < MOST_TOLD or text in self.owner.told):
            self.owner.told[text] += 1

    def _on_disk(self, why: str) -> None:
        # In the recorder's thread: without a recording the run could not be replayed.
        self._tell("DISK_FATAL", why)
        self.stopped.set()

    def _ages(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (symbol, _), age in self.feed.ages().items():
            found[symbol] = min(age, found.get(symbol, age))
        return found

    def _links(self) -> dict[str, str]:
        return {"market": "up" if self.feed.open_connections else "down"}

    def _close_gates(self, gates: int) -> None:
        if gates != self.engine.gate.gates:
            self.driver.control(int(Kind.GATE), self.now_ns(), (int(gates),))

    # ------------------------------------------------------------------ time

    async def _tick(self) -> NoReturn:
        while True:
            self.driver.wake(self.clock.now_ns())
            await asyncio.sleep(TICK_S)

    async def _look(self) -> NoReturn:
        # Once a second: books with a hole, the clock, a kill that came by the disk.
        names = self.owner.config.run.symbols
        while True:
            for at, name in enumerate(names):
                if not self.engine.books[at].is_usable:
                    self.feed.resync(name)
            self._close_gates((0 if self.clock.is_safe else Gate.CLOCK) | (Gate.SAFE if self.safe else 0))
            if not self.engine.gate.killed and await asyncio.to_thread(self.latch.read) is not None:
                self.driver.control(int(Kind.COMMAND), self.now_ns(), (int(Command.KILL),))
            await asyncio.sleep(LOOK_S)

    async def _countdown(self, seconds: float | None) -> None:
        begun = time.monotonic()
        while seconds is None or time.monotonic() - begun < seconds:
            done = time.monotonic() - begun
            self.owner.progress(0.0 if seconds is None else done / seconds, say("online.progress"))
            await asyncio.sleep(LOOK_S if seconds is None else min(LOOK_S, max(0.0, seconds - done)))


def _ignore(symbol: str, kind: str, age_s: float) -> None:
    """Leave what is stale to the engine's own gate (R18)."""
