"""PAPER on an exchange's live streams: market data come over the wire, the account is the simulated venue's.

Knows how feed, recorder, clock, control socket and run are put together, and when the run ends. Refuses to know how any
of them works, and what a strategy does. No address of a trading endpoint is in its hands.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.market_feed import MarketFeed
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.adapters.binance.marks import Marks
from autotrader.adapters.binance.profiles import market_urls, refuse_proxies
from autotrader.adapters.binance.rest import MarketRest
from autotrader.adapters.control import ControlServer
from autotrader.adapters.storage.recorder import Recorder
from autotrader.adapters.storage.recordings import Recording
from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.adapters.storage.state import Epochs, Latch, Lock, Silence, Starts
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.config import Config, Live
from autotrader.errors import AutotraderError, OperatorError, VenueError
from autotrader.messages import say
from autotrader.research.replay import Outcome, Plan, Progress
from autotrader.run.hot import Awake, hot
from autotrader.run.operator import Facts, Operator
from autotrader.run.wiring import Run, files_of
from core_ext.engine import Engine
from core_ext.types import Command, Gate, Instruments, Kind

__all__ = ["Hours", "OnlineRun", "State", "run_online"]

TICK_S = 0.02
"""How often what is due is delivered when no message brings it."""
LOOK_S = 1.0
LEASE_S = 5.0
"""For so long after it has looked at the kill latch a run may open anything: one that was stopped looks first."""
QUIET = frozenset({"CONNECTED", "RENEWED", "CLOCK_SAFE"})
"""What is told and is no reason to warn."""
SIT_OUT_S = 120.0
"""How long a run waits when the exchange wants to be left alone, or for room; when it is longer it ends."""
START_WEIGHT, SYMBOL_WEIGHT, CLOCK_WEIGHT = 250, 45, 10
"""What a start asks of the exchange, in all and for each symbol, and a measurement of its clock alone."""
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
    with State(config) as state:
        return OnlineRun(config, [], progress, seconds, state).go(out, "live")


class State:
    """What a run keeps beyond its end, held by one run at a time.

    Parameters
    ----------
    config : Config
        With a ``[live]`` section.

    Attributes
    ----------
    live : Live
    folder : StateFolder
    epoch : int
        Of this run's client order ids: never given before.
    latch : Latch
    silence : Silence
    safe : bool
        Whether too many starts before this one had no clean end.
    has_opened : bool
        Whether the run has begun to look after the account.

    Raises
    ------
    OperatorError
        If there is no such section, another run holds the state, or the disk refuses.
    """

    def __init__(self, config: Config) -> None:
        if config.live is None:
            raise OperatorError(say("online.no_section"))
        self.live: Live = config.live
        self.folder = StateFolder(config.resolve(self.live.state_dir))
        self._lock = Lock(self.folder, Epochs(self.folder, time.time_ns))
        try:
            self.epoch = self._lock.acquire()
        except OperatorError:
            self.folder.close()
            raise
        self._starts, self.latch, self.silence = Starts(self.folder), Latch(self.folder), Silence(self.folder)
        self.has_opened = False
        self.safe = self._starts.begin(time.time_ns())

    def __enter__(self) -> State:
        """Hold the state."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let go of it; a start that ended by a fault of ours, not by an error in words, stays written down."""
        if kind is None or issubclass(kind, (AutotraderError, KeyboardInterrupt)):
            self._starts.end(self.has_opened)
        self._lock.release()
        self.folder.close()


class OnlineRun(Run):
    """A run on live streams.

    Parameters
    ----------
    config, data, progress
        As of a `Run`; there are no data yet.
    seconds : float or None
    state : State

    Attributes
    ----------
    budget : Budget
        Of the machine's address.
    """

    def __init__(self, config: Config, data: list[Path], progress: Progress, seconds: float | None, state: State):
        self.seconds, self.state = seconds, state
        self.budget = Budget(silent_until_ns=state.silence.until_ns())
        self.told: Counter[str] = Counter()
        super().__init__(config, data, progress)

    @property
    def has_opened(self) -> bool:
        """Whether an order may have left for an exchange."""
        return self.state.has_opened

    def tell(self, alert: str, what: str) -> None:
        """Take an alert; those that are a reason to warn stand in the summary, each once with its count."""
        text = f"{alert}: {what}"
        if alert not in QUIET and (len(self.told) < MOST_TOLD or text in self.told):
            self.told[text] += 1

    def _planned(self, data: list[Path]) -> Plan:
        sources = self.config.sources
        if data or sources.mark != "stream" or sources.funding == "file":
            raise OperatorError(say("online.sources"))
        self.marks = ["stream"] * len(self.specs)
        self.mark_words = dict.fromkeys(self.config.run.symbols, say("run.mark_stream"))
        facts = {"kind": "wire", "offset_ns": 0, "offset_lines": 0, "ticks": sources.book == "candle"}
        return self._plan([], facts | {"begun_ns": time.time_ns()} | self._begun())

    def _begun(self) -> dict[str, Any]:
        # What else a replay must know of the moment at which the run began.
        return {}

    async def wait_for_room(self, clock: VenueClock) -> None:
        """Measure the exchange's time, and wait until it may be asked for all that a start asks.

        Runs before this one, and others of the machine's address, may have used the minute's weight, or been told to
        leave the exchange alone.

        Raises
        ------
        VenueError
            If it wants to be left alone for long, its time cannot be known, or others of the address leave no room.
        """
        await self._sit_out(time.time_ns())
        weight = START_WEIGHT + SYMBOL_WEIGHT * len(self.config.run.symbols)
        end_s = time.monotonic() + SIT_OUT_S
        while time.monotonic() < end_s:
            try:
                await clock.measure()
            except VenueError:
                if self.budget.allows(CLOCK_WEIGHT, 0, False, clock.now_ns()):
                    raise
            if self.budget.allows(weight, 0, False, clock.now_ns()):
                return
            await self._sit_out(clock.now_ns())
            await asyncio.sleep(LOOK_S)
        used, limit = self.budget.usage(clock.now_ns())
        raise VenueError(say("online.no_room", weight=weight, used=used, limit=limit))

    async def _sit_out(self, now_ns: int) -> None:
        until_ns = self.budget.silent_until_ns(now_ns)
        left_s = (until_ns - now_ns) / 10**9
        if left_s > SIT_OUT_S:
            until = datetime.fromtimestamp(until_ns // 10**9, UTC)
            raise VenueError(say("online.silent", until=f"{until:%Y-%m-%d %H:%M:%S}"))
        if until_ns:
            await asyncio.sleep(left_s)

    def keep_silence(self, clock: VenueClock) -> None:
        """Have on the disk what the exchange wants, by the machine's own clock: a new process has no other."""
        now_ns = clock.now_ns()
        until_ns = self.budget.silent_until_ns(now_ns)
        if until_ns:
            self.state.silence.keep(time.time_ns() + until_ns - now_ns)

    def _feed(self, session: Any, speed: str) -> None:  # noqa: ARG002
        try:
            uvloop.run(self._run_hours(session))
        except (ConnectionError, TimeoutError, socket.gaierror) as error:  # what is left of OSError is the disk
            raise VenueError(say("online.broken", reason=str(error) or type(error).__name__)) from None
        self._read_back(self.folder)

    async def _run_hours(self, session: Any) -> None:
        async with AsyncExitStack() as stack:
            await self._hours(session, stack).go(self.seconds)

    def _hours(self, session: Any, stack: AsyncExitStack) -> Hours:
        return Hours(self, session, stack)

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


class Hours:
    """The hours of one run on live streams: everything that is open while it lasts.

    Parameters
    ----------
    run : OnlineRun
    session : Session or TradingSession
    stack : AsyncExitStack
        What is opened is closed with it, the last first.
    """

    mode = "PAPER"

    def __init__(self, run: OnlineRun, session: Any, stack: AsyncExitStack) -> None:
        self.run, self.state, self.stack = run, run.state, stack
        self.session, self.budget = session, run.budget
        self.driver: Any = session.driver  # a Driver with a venue of its own, or a Live run
        self.engine: Engine = session.engine
        self.symbols = run.config.run.symbols
        self.urls = market_urls(self.state.live)
        self.clock = VenueClock(lambda path, params: self.rest.fetch(path, params), run.tell)
        self.rest = self._rest()
        self.stopped = asyncio.Event()
        self.awake: Awake | None = None
        self.begun = self.looked_s = time.monotonic()

    def _rest(self) -> MarketRest:
        return MarketRest(self.urls, self.budget, self.clock)

    async def go(self, seconds: float | None) -> None:
        """Open everything, last until the end, close everything."""
        if self.state.live.hot:
            self.awake = self.stack.enter_context(hot(asyncio.get_running_loop(), self.state.live.hot_core))
        self.stack.push_async_callback(self.rest.close)
        await self.run.wait_for_room(self.clock)
        self.recorder = Recorder(self.run.folder.path / "market", "market", self._on_disk)
        self.stack.push_async_callback(asyncio.to_thread, self.recorder.close)
        self.session.start(self.clock.now_ns())
        self._begin()
        self.feed = MarketFeed(
            Subscription(tuple(self.symbols)), self.urls, sink=self._sink, fetch=self.rest.fetch,
            now_ns=self.clock.now_ns, stale=_ignore, told=self.run.tell,
        )  # fmt: skip
        await self.feed.start()
        self.stack.push_async_callback(self.feed.close)
        await self._open()
        await self._serve_operator()
        await self._last(seconds)

    def _begin(self) -> None:
        # The first events of the run after its start.
        self._close_gates(self._gates())
        if self.state.latch.read() is not None:
            self._say(Command.KILL)

    async def _open(self) -> None:
        """Open what a kind of run needs beside the market."""

    async def _serve_operator(self) -> None:
        facts = Facts(
            self.mode, self.state.live.profile, self.run.folder.path.name, self.state.safe, self._ages, self._links,
            self.now_ns, lambda: time.monotonic() - self.begun, self._resumed, self._keep,
        )  # fmt: skip
        server = ControlServer(
            self.state.folder, Operator(self.engine, self.driver, self.state.latch, facts).handlers()
        )
        await server.open()
        self.stack.push_async_callback(server.close)

    def _resumed(self) -> None:
        """Let out again what was kept back, when an operator says so."""

    async def _keep(self) -> None:
        """Have on the disk what outlives the run."""

    async def _last(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # not in a thread of a test
                loop.add_signal_handler(number, self.stopped.set)
        tasks = [asyncio.create_task(work) for work in (*self._works(), self._countdown(seconds), self._stop())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            try:
                for task in done:
                    task.result()  # an error ends the run
            finally:
                await self._leave()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        marks = Marks(
            self.symbols, ages=self.feed.ages, fetch=self.rest.fetch, sink=self._sink, now_ns=self.clock.now_ns,
            told=self.run.tell,
        )  # fmt: skip
        return self._tick(), self._look(), self.clock.run(), self.feed.ended(), marks.run()

    async def _leave(self) -> None:
        """Do what is to be done before the run ends, with everything still open."""

    async def _stop(self) -> None:
        await self.stopped.wait()

    # ------------------------------------------------------------------ events

    def now_ns(self) -> int:
        """Return the run's time: the exchange's, and never before its newest event."""
        now: int = max(self.clock.now_ns(), self.driver.now)
        return now

    def _sink(self, stamp_ns: int, message: bytes) -> None:
        try:
            self.driver.message(message, stamp_ns)
        finally:  # what it led to has left by now
            self.recorder(stamp_ns, message)

    def _say(self, command: Command) -> None:
        self.driver.control(int(Kind.COMMAND), self.now_ns(), (int(command),))

    def _on_disk(self, why: str) -> None:
        # In the recorder's thread: without a recording the run could not be replayed.
        self.run.tell("DISK_FATAL", why)
        self.stopped.set()

    def _ages(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (symbol, _), age in self.feed.ages().items():
            found[symbol] = min(age, found.get(symbol, age))
        return found

    def _links(self) -> dict[str, str]:
        return {"market": "up" if self.feed.open_connections else "down"}

    def _gates(self) -> int:
        closed: int = (0 if self.clock.is_safe else Gate.CLOCK) | (Gate.SAFE if self.state.safe else 0)
        return closed

    def _close_gates(self, gates: int) -> None:
        if gates != self.engine.gate.gates:
            self.driver.control(int(Kind.GATE), self.now_ns(), (int(gates),))

    # ------------------------------------------------------------------ time

    async def _tick(self) -> NoReturn:
        while True:
            self.driver.wake(self.clock.now_ns())
            await asyncio.sleep(TICK_S)

    async def _look(self) -> NoReturn:
        # Once a second: books with a hole, the gates, a kill that came by the disk, what the exchange has asked for.
        while True:
            for at, name in enumerate(self.symbols):
                if not self.engine.books[at].is_usable:
                    self.feed.resync(name)
            self._close_gates(self._gates())
            begun_s = time.monotonic()
            if not self.engine.gate.killed and await asyncio.to_thread(self.state.latch.read) is not None:
                self._say(Command.KILL)
            self.looked_s = begun_s
            await asyncio.to_thread(self.run.keep_silence, self.clock)
            await asyncio.sleep(LOOK_S)

    async def _countdown(self, seconds: float | None) -> None:
        begun = time.monotonic()
        while seconds is None or time.monotonic() - begun < seconds:
            done = time.monotonic() - begun
            self.run.progress(0.0 if seconds is None else done / seconds, say("online.progress"))
            await asyncio.sleep(LOOK_S if seconds is None else min(LOOK_S, max(0.0, seconds - done)))


def _ignore(symbol: str, kind: str, age_s: float) -> None:
    """Leave what is stale to the engine's own gate (R18)."""
