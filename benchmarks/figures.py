"""The figures to reach: what is measured, how it is judged, how it is said.

Knows every goal, once. Refuses to know how a page looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks import contests, parts
from benchmarks.long_run import long_run
from benchmarks.order_path import Race, Tail, race, tail
from benchmarks.pairs import Pair, paired, spread
from benchmarks.recording import FIVE, Bars, Stream, bars

ROUNDS, SHORT_ROUNDS, RACES = 15, 7, 3
TEN = 10


@dataclass(frozen=True)
class Goal:
    """What a value is to reach: at most, or at least, a bound."""

    relation: str
    bound: float

    def is_met_by(self, value: float) -> bool:
        """Return whether a value reaches it; one that is no number never does."""
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"


BOOK = Goal("<=", 1.3)
PARSE = Goal(">=", 6.0)
ORDER_PATH = Goal(">=", 60.0)
TAIL = Goal("<=", 5.0)
GATE = Goal("<=", 3.0)
SIGNATURE = Goal(">=", 5.0)
REPLAY_RATE = Goal(">=", 2.0)
BAR_RATE = Goal(">=", 300.0)
TEN_TIMES = Goal("<=", 12.0)
# Memory is flat when nothing is kept for an event: less than a byte each.
GROWTH = Goal("<=", 1.0)


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes
    ----------
    name, korean : str
        What it is.
    value : float
        What is judged.
    unit : str
    goal : Goal or None
        None for what is reported only.
    detail : str
        Both sides of it, in their own units.
    """

    name: str
    korean: str
    value: float
    unit: str
    goal: Goal | None
    detail: str

    @property
    def verdict(self) -> str:
        """Whether the goal is met; nothing where there is none."""
        if self.goal is None:
            return ""
        return "met" if self.goal.is_met_by(self.value) else "NOT MET"


def book(stream: Stream) -> Iterator[Figure]:
    """Measure a level change in the book."""
    contest = contests.book(stream)
    pair = contest.measure(ROUNDS)
    ours, plain = pair.ours / contest.units, pair.theirs / contest.units
    detail = f"{ours:.2f} ns a level change, plain ladder {plain:.2f} ns, {contest.units:,} changes"
    yield Figure("book apply / plain C ladder", "호가창 갱신", 1 / pair.ratio, "x", BOOK, detail)


def parse(stream: Stream) -> Iterator[Figure]:
    """Measure the reading of depth diffs."""
    for name, make, goal in (
        ("msgspec typed", contests.typed_parse, PARSE),
        ("orjson", contests.untyped_parse, None),
    ):
        contest = make(stream)
        pair = contest.measure(ROUNDS)
        ours, theirs = pair.ours / contest.units, pair.theirs / contest.units
        detail = f"{ours:,.0f} ns a message, {name} {theirs:,.0f} ns, {contest.units:,} messages"
        yield Figure(f"depth parse: {name} / core", "호가 메시지 해석", pair.ratio, "x", goal, detail)


def order_path(stream: Stream) -> Iterator[Figure]:
    """Measure bytes to signed orders; the races after the first are kept."""
    races = [race(stream) for _ in range(RACES + 1)][1:]
    asked = races[0].orders > 0
    depth = races[0].is_depth
    yield path_figure("bytes -> book -> signed orders: Python stack / core", races, asked & depth, ORDER_PATH)
    yield path_figure("the same, started by the ticker (no book change)", races, asked & ~depth, None)
    yield path_figure("a message that leads to no order", races, ~asked, None)

    yield tail_figure([tail(stream) for _ in range(RACES)])


def tail_figure(tails: list[Tail]) -> Figure:
    """Return the figure of the path's tail: the median over the passes of p99 / p50."""
    taken = np.concatenate([t.taken_ns for t in tails])
    slowest = np.concatenate([t.levels for t in tails])[taken >= np.quantile(taken, 0.99)]
    ratio = median(np.quantile(t.taken_ns, 0.99) / np.median(t.taken_ns) for t in tails)
    usual = np.median(tails[0].levels)
    detail = (
        f"core alone, {_spread_text(taken)}, at most {taken.max() / 1e3:,.0f} us; a message has {usual:.0f} levels, "
        f"one of the slowest hundredth {np.median(slowest):.0f}; "
        f"involuntary context switches {[t.switches for t in tails]}"
    )
    return Figure("bytes -> book -> signed orders: p99 / p50", "지연 시간 꼬리", ratio, "x", TAIL, detail)


def path_figure(name: str, races: list[Race], chosen: np.ndarray, goal: Goal | None) -> Figure:
    """Return the figure of some of the messages: the median over the races of the ratio of medians."""
    ratio = median(np.median(r.theirs[chosen]) / np.median(r.ours[chosen]) for r in races)
    ours, theirs = (_spread_text(np.concatenate([getattr(r, side)[chosen] for r in races])) for side in SIDES)
    decided = np.median(np.concatenate([r.decided[chosen] for r in races]))
    approved = f" (p50 {decided:,.0f} ns up to risk's approval)" if decided else ""
    detail = f"core {ours}{approved}; Python stack {theirs}; {np.count_nonzero(chosen):,} messages"
    return Figure(name, "메시지에서 서명된 주문까지", ratio, "x at p50", goal, detail)


SIDES = ("ours", "theirs")


def _spread_text(taken_ns: np.ndarray) -> str:
    found = spread(taken_ns)
    return f"p50 {found['p50'] / 1e3:.2f} us, p99 {found['p99'] / 1e3:.1f} us"


def replay(stream: Stream) -> Iterator[Figure]:
    """Measure the L2 backtest of the quoter."""
    for name, make in (
        ("from the gzip file, opened and hashed", contests.replay_file),
        ("from recorder lines in memory", contests.replay_lines),
        ("from decoded rows", contests.replay_rows),
    ):
        contest = make(stream)
        pair = contest.measure(SHORT_ROUNDS)
        detail = f"{pair.ours / contest.units:.0f} ns an event, {1 / pair.ratio:.0f}x a plain C pass over the same rows"
        rate = 1e3 * contest.units / pair.ours
        yield Figure(f"L2 backtest of the quoter, {name}", "호가 백테스트", rate, "M events/s", REPLAY_RATE, detail)


def candles() -> Iterator[Figure]:
    """Measure the candle backtests."""
    for symbols in (FIVE, FIVE[:1]):
        history = bars(*symbols)
        many = f"{len(symbols)} symbols" if len(symbols) > 1 else "one symbol"
        yield _candle_figure(f"short Python strategy, {many}", contests.crossover(history))
        yield _candle_figure(f"trend, {many}", contests.trend(history))
        yield _candle_figure(f"trend, {many}, from the Parquet file", contests.trend_file(history), None)


def _candle_figure(name: str, contest: contests.Contest, goal: Goal | None = BAR_RATE) -> Figure:
    pair = contest.measure(SHORT_ROUNDS)
    detail = f"{pair.ours / contest.units:,.0f} ns a bar, {1 / pair.ratio:,.0f}x a plain C pass over the same rows"
    rate = 1e6 * contest.units / pair.ours
    return Figure(
        f"candle backtest: {name}", "봉 백테스트", rate, "thousand bars/s", goal, f"{detail}, {contest.units:,} bars"
    )


def ten_times(stream: Stream, history: Bars) -> Iterator[Figure]:
    """Measure what ten times the data cost, in time and in memory."""
    pair = ten_recordings(stream)
    detail = f"{pair.ours / 1e6:.1f} ms and {pair.theirs / 1e6:.1f} ms, one engine, stamps and ids going on"
    yield Figure("ten times the L2 recording", "10배 데이터(호가)", pair.ratio, "x the time", TEN_TIMES, detail)
    yield memory(stream)
    pair = contests.ten_times_candles(history).measure(SHORT_ROUNDS)
    detail = f"{pair.ours / 1e6:.1f} ms for a tenth of the candles and {pair.theirs / 1e6:.1f} ms for all"
    yield Figure("ten times the candles", "10배 데이터(봉)", pair.ratio, "x the time", TEN_TIMES, detail)


def ten_recordings(stream: Stream) -> Pair:
    """Measure one engine over the recording and over ten of it."""
    return paired(lambda: long_run(stream, 1).ns, lambda: long_run(stream, TEN).ns, SHORT_ROUNDS)


def memory(stream: Stream) -> Figure:
    """Measure how resident memory grows over ten times the recording."""
    run = long_run(stream, TEN)
    detail = f"{run.growth_bytes / 1024:,.0f} KiB more after the last copy than after the first, {run.events:,} events"
    value = run.growth_bytes / run.events
    return Figure("memory over ten times the recording", "메모리 증가", value, "bytes/event", GROWTH, detail)


def single_steps(stream: Stream) -> Iterator[Figure]:
    """Measure a check, a sizing and a signature."""
    yield _step("risk check of an entry that passes all of them", "리스크 검사", parts.risk_check(stream))
    yield _step("sizing by Kelly and every other cap", "주문 수량 산정", parts.position_size(stream))
    contest = parts.gate(stream)
    pair = contest.measure(ROUNDS)
    ours, theirs = pair.ours / contest.units, pair.theirs / contest.units
    detail = (
        f"core {ours:,.0f} ns an order, plain loop {theirs:,.0f} ns; {parts.SYMBOLS} symbols, {parts.WORKING} working"
    )
    yield Figure("ten risk checks with hold / plain C loop", "리스크 검사와 보류", 1 / pair.ratio, "x", GATE, detail)
    for name, contest, goal in (
        ("hmac.new", parts.usual_signature(), SIGNATURE),
        ("hashlib with the key hashed once", parts.signature(), None),
    ):
        pair = contest.measure(ROUNDS)
        ours, theirs = pair.ours / contest.units, pair.theirs / contest.units
        detail = f"core {ours:,.0f} ns a signature, {name} {theirs:,.0f} ns"
        yield Figure(f"HMAC-SHA256 signature: {name} / core", "주문 서명", pair.ratio, "x", goal, detail)
    contest = parts.order_text(stream)
    pair = contest.measure(ROUNDS)
    ours, theirs = pair.ours / contest.units, pair.theirs / contest.units
    detail = f"{ours:,.0f} ns an order, {theirs:,.0f} ns its signature alone"
    name = "order written, signed, read back and compared / signature alone"
    yield Figure(name, "주문 작성, 서명, 승인 내용 대조", 1 / pair.ratio, "x", None, detail)
    yield _step("reading the clock twice, part of every latency above", "시계 읽기", parts.clock())


def _step(name: str, korean: str, taken_ns: np.ndarray) -> Figure:
    found = spread(taken_ns)
    return Figure(name, korean, found["p50"], "ns", None, f"p50; p99 {found['p99']:,.0f} ns")


def all_figures(stream: Stream, told: Callable[[str], None]) -> list[Figure]:
    """Measure everything; ``told`` hears what comes next."""
    history = bars(*FIVE)
    groups: dict[str, Callable[[], Iterator[Figure]]] = {
        "book": lambda: book(stream),
        "depth parse": lambda: parse(stream),
        "order path": lambda: order_path(stream),
        "L2 backtest": lambda: replay(stream),
        "candle backtest": candles,
        "ten times the data": lambda: ten_times(stream, history),
        "single steps": lambda: single_steps(stream),
    }
    found = []
    for name, measure in groups.items():
        told(name)
        found.extend(measure())
    return found
