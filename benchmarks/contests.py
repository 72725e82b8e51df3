"""What is set against what: each contest is our work and the same work done otherwise.

Knows how both sides are prepared, outside the time that is taken, and what the time is divided by.
Refuses to know goals, repetitions and pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns, process_time_ns

import msgspec
import numpy as np
import orjson

from autotrader.adapters.storage.recordings import Recording
from autotrader.research.replay import Outcome, Plan, Session, limits, sizing
from benchmarks.build import build
from benchmarks.pairs import Clock, Pair, paired, prepared
from benchmarks.recording import Bars, Stream
from core_ext.book import Book
from core_ext.engine import Engine
from core_ext.signal import BarWindow
from core_ext.strategy import Strategy
from core_ext.types import Kind, Rows
from core_ext.wire import Scanner

build()

from benchmarks.loops import read_messages  # noqa: E402 - exists once it is built
from benchmarks.reference import PlainLadder, read_all  # noqa: E402

Work = Callable[[], object]
Prepare = Callable[[], Work]
Feed = Callable[[Session], object]


@dataclass(frozen=True)
class Contest:
    """Our work and the same work done otherwise.

    Attributes
    ----------
    ours, theirs : callable
        Prepare a repetition; return the work whose time is taken.
    units : int
        Level changes, messages, events or bars of one repetition.
    clock : callable
        Processor time where only the ratio counts, the wall's where a rate is reported.
    """

    ours: Prepare
    theirs: Prepare
    units: int
    clock: Clock = process_time_ns

    def measure(self, rounds: int) -> Pair:
        """Measure both sides in turn."""
        return paired(prepared(self.ours, self.clock), prepared(self.theirs, self.clock), rounds)


def book(stream: Stream) -> Contest:
    """Set the core's book against a plain C ladder over the same diffs; the snapshot is loaded before."""
    snapshot, diffs = stream.book_runs

    def ours() -> Work:
        book = Book()
        book.apply(snapshot)
        return lambda: book.apply(diffs)

    def theirs() -> Work:
        ladder = PlainLadder(*stream.ticks)
        ladder.apply(snapshot)
        return lambda: ladder.apply(diffs)

    return Contest(ours, theirs, int(np.count_nonzero(diffs.array()["kind"] == int(Kind.LEVEL))))


class Depth(msgspec.Struct):
    """A depth diff as msgspec reads it: levels stay text."""

    e: str
    E: int
    T: int
    s: str
    U: int
    u: int
    pu: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class Wrapped(msgspec.Struct):
    """A depth diff in the combined stream's wrapper."""

    stream: str
    data: Depth


def typed_parse(stream: Stream) -> Contest:
    """Set the scanner against msgspec's typed decoder."""
    return _parse(stream, msgspec.json.Decoder(Wrapped).decode)


def untyped_parse(stream: Stream) -> Contest:
    """Set the scanner against orjson."""
    return _parse(stream, orjson.loads)


def _parse(stream: Stream, decode: Callable[[bytes], object]) -> Contest:
    messages, scanner = stream.depth_messages, Scanner(stream.instruments)

    def decode_all() -> None:
        for message in messages:
            decode(message)

    return Contest(lambda: lambda: read_messages(scanner, messages), lambda: decode_all, len(messages))


def replay_rows(stream: Stream) -> Contest:
    """Set a backtest of the quoter, from decoded rows, against a plain pass over them."""
    return _replay(stream, lambda session: session.driver.feed_rows(stream.rows, 0, 0))


def replay_lines(stream: Stream) -> Contest:
    """Set a backtest of the quoter, from recorder lines in memory, against a plain pass over its rows."""
    recording = stream.recording

    def feed(session: Session) -> None:
        session.driver.default_symbol = 0
        session.driver.feed_lines(stream.text, 0, 0, recording.unit_ns, recording.offset_ns, 1)

    return _replay(stream, feed)


def replay_file(stream: Stream) -> Contest:
    """Set a whole backtest, the gzip file opened, hashed and unzipped, against a plain pass over its rows."""

    def feed(session: Session) -> None:
        for _ in Recording([stream.path], stream.instruments).feed(session.driver):
            pass

    return _replay(stream, feed)


def _replay(stream: Stream, feed: Feed) -> Contest:
    start_ns = stream.recording.start_ns
    return _against_pass(lambda: Run(stream.plan, start_ns, feed), stream.rows, len(stream.rows))


def _against_pass(ours: Prepare, rows: np.ndarray, units: int) -> Contest:
    held = Rows(rows)
    return Contest(ours, lambda: lambda: read_all(held), units, perf_counter_ns)


class Crossover(Strategy):
    """Hold ten times the smallest order on the side of the last hour's return: a Python strategy that is short."""

    def start(self) -> None:
        self.windows = [BarWindow(62, 34.0) for _ in self.desk.symbols]
        self.rising = [None] * len(self.windows)

    def on_bars(self) -> None:
        for symbol, window in enumerate(self.windows):
            price = self.desk.last_price(symbol)
            if price > 0.0:  # the first stamp may have bars of some symbols only
                window.push(price)
            change = window.change(60)
            if change == change and (change > 0.0) is not self.rising[symbol]:
                self.rising[symbol] = change > 0.0
                self.desk.trade_to(symbol, 10 if change > 0.0 else -10)

    def snapshot(self) -> list[bool | None]:
        return list(self.rising)


class CrossoverPlan(Plan):
    """A plan whose engine is given the short strategy in place of the configured one."""

    def engine(self) -> Engine:
        rules = limits(self.config), sizing(self.config)
        return Engine(self.instruments(), Crossover(), *rules, self.start_e8, self.epoch, self.mark_sources)


def trend(bars: Bars) -> Contest:
    """Set a backtest of the trend, from decoded rows, against a plain pass over them."""
    return _candles(bars, bars.plan, bars.rows)


def trend_file(bars: Bars) -> Contest:
    """Set a whole backtest of the trend, the Parquet file opened, hashed and decoded, against a plain pass."""

    def feed(session: Session) -> None:
        for _ in bars.source().feed(session.driver):
            pass

    return _against_pass(lambda: Run(bars.plan, int(bars.rows["ts"][0]), feed), bars.rows, bars.count)


def crossover(bars: Bars) -> Contest:
    """Set a backtest of a short Python strategy, from decoded rows, against a plain pass over them."""
    return _candles(bars, CrossoverPlan(**vars(bars.plan)), bars.rows)


def _candles(bars: Bars, plan: Plan, rows: np.ndarray) -> Contest:
    return _against_pass(lambda: candle_run(plan, rows), rows, bars.count)


def candle_run(plan: Plan, rows: np.ndarray) -> Run:
    """Return a run over decoded rows of candles."""
    return Run(plan, int(rows["ts"][0]), lambda session: session.driver.feed_rows(rows, 0, 0))


def ten_times_candles(bars: Bars) -> Contest:
    """Set the first tenth of the candles against all of them."""
    plan, rows = CrossoverPlan(**vars(bars.plan)), bars.rows
    tenth = rows[: np.searchsorted(rows["ts"], rows["ts"][len(rows) // 10])]
    return Contest(lambda: candle_run(plan, tenth), lambda: candle_run(plan, rows), 1)


class Run:
    """A backtest that is ready to go; calling it runs it.

    Parameters
    ----------
    plan : Plan
    start_ns : int
    feed : callable
        Feeds a session its data.

    Raises
    ------
    RuntimeError
        If the strategy failed or asked for nothing: then there is nothing to measure.
    """

    def __init__(self, plan: Plan, start_ns: int, feed: Feed):
        self.folder = TemporaryDirectory()
        self.session = Session(plan, Path(self.folder.name) / "journal")
        self.start_ns = start_ns
        self.feed = feed

    def __call__(self) -> Outcome:
        self.session.start(self.start_ns)
        self.feed(self.session)
        outcome = self.session.finish()
        if outcome.engine.failed or outcome.engine.orders.next_count == 1:
            raise RuntimeError("the strategy traded nothing") from outcome.engine.failure
        return outcome
