"""A moving-average cross on candles: compiled against vectorbt, in Python against nautilus_trader.

Knows the same two means and the same position for every side, and that all change sides equally often.
Refuses to know any other strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from autotrader.research.replay import Plan, limits, sizing
from benchmarks.contests import Contest, Run, Work, candle_run
from benchmarks.peers import build
from benchmarks.peers.jobs import SHORT_ROUNDS, DifferentResultError, Job, digits
from benchmarks.peers.table import Row
from benchmarks.recording import FIVE, Bars, bars
from core_ext.engine import Engine
from core_ext.journal import read_journal
from core_ext.signal import BarWindow
from core_ext.strategy import Strategy
from core_ext.types import Kind

build.crossing()

from benchmarks.peers.crossing import Crossing  # noqa: E402 - exists once it is built

E8 = 10**8
KOREAN = "봉 백테스트"
FAST, SLOW = 20, 100
# Above the exchange's smallest order of every symbol all the way, and far from the loss limits.
POSITION_USDT = 150.0
VECTORBT_AIM, NAUTILUS_AIM = 5.0, 30.0
# A change of sides at the last bar is filled by one side and not by the other.
LAST_BARS = 1
LIKENESS = 3e-3  # of the equity: filled at the close and without a spread, or at the next open with one
VECTORBT = (
    "means of {fast} and {slow} closes, always in the market with {usdt:g} USDT after the first cross, filled at the "
    "next open, half a basis point of spread a side and taker fees on both. Theirs: MA.run, the crosses, "
    "Portfolio.from_signals and its final value, engine numba, on arrays of closes and opens that are there "
    "before. The core's side makes every bar two events of one stream, with the gate, margin, liquidation, "
    "the equity curve and a sealed journal on disk. Sides changed {ours:,} times in ours, {theirs:,} in theirs; "
    "equity at the end {our_equity:,.2f} and {their_equity:,.2f} USDT"
)
NAUTILUS = (
    "the same cross in Python on both sides, each on the means that its own library has compiled (SimpleMovingAverage, "
    "BarWindow); theirs is BacktestEngine.run with bars as the only data, logging off, filled at the bar's "
    "close, one order for a change of sides; ours fills at the next open and closes before it opens. Sides changed "
    "{ours:,} times in ours, {theirs:,} in theirs; equity at the end {our_equity:,.2f} USDT, their wallet "
    "{their_equity:,.2f} USDT, without our half a basis point of spread a side"
)


def jobs() -> list[Job]:
    """Return the jobs on candles."""
    return [
        Job("candle backtest, one symbol", "vectorbt", lambda: vectorbt(Market(bars(*FIVE[:1])))),
        Job("candle backtest, five symbols", "vectorbt", lambda: vectorbt(Market(bars(*FIVE)))),
        Job("candle backtest in Python", "nautilus_trader", lambda: nautilus(Market(bars(*FIVE[:1])))),
    ]


@dataclass(frozen=True)
class Market:
    """Candles of some symbols over the span that all of them have.

    Attributes
    ----------
    history : Bars
    """

    history: Bars

    @cached_property
    def rows(self) -> np.ndarray:
        """The core's rows of the span."""
        rows = self.history.rows
        opens = [rows["ts"][(rows["symbol"] == k) & (rows["kind"] == int(Kind.CANDLE_OPEN))] for k in self.symbols]
        closes = [rows["ts"][(rows["symbol"] == k) & (rows["kind"] == int(Kind.CANDLE))] for k in self.symbols]
        first, last = max(ts[0] for ts in opens), min(ts[-1] for ts in closes)
        is_open = (rows["kind"] == int(Kind.CANDLE_OPEN)) & (rows["ts"] < last)
        return rows[(rows["ts"] >= first) & ((rows["ts"] <= last) & (rows["kind"] == int(Kind.CANDLE)) | is_open)][
            self._from_first(first)
        ]

    def _from_first(self, first: int) -> slice:
        # A candle that closes at the first open began before it.
        rows = self.history.rows
        begun = (rows["ts"] == first) & (rows["kind"] == int(Kind.CANDLE))
        return slice(int(np.count_nonzero(begun)), None)

    @property
    def symbols(self) -> range:
        """Index of every symbol."""
        return range(len(self.history.symbols))

    @property
    def count(self) -> int:
        """Bars of all symbols."""
        return int(np.count_nonzero(self.rows["kind"] == int(Kind.CANDLE)))

    def column(self, kind: Kind, word: str) -> np.ndarray:
        """Return a word of one kind of row, a column a symbol, as prices.

        Raises
        ------
        ValueError
            If a symbol lacks a bar.
        """
        rows = self.rows[self.rows["kind"] == int(kind)]
        return np.stack([rows[word][rows["symbol"] == k] for k in self.symbols], axis=1) / E8

    @cached_property
    def stamps(self) -> np.ndarray:
        """Closing stamps, ns."""
        return np.unique(self.rows["ts"][self.rows["kind"] == int(Kind.CANDLE)])

    @cached_property
    def lots(self) -> list[int]:
        """Lots of every symbol's position, from its first open."""
        specs, opens = self.history.plan.specs, self.column(Kind.CANDLE_OPEN, "a")[0]
        return [round(POSITION_USDT / (price * spec["lot_e8"] / E8)) for spec, price in zip(specs, opens, strict=True)]

    def plan(self, make: Callable[[], Strategy]) -> CandlePlan:
        """Return the plan of a strategy without what the peers lack: impact, and limits that end a losing run."""
        plan = self.history.plan
        venue = replace(plan.config.venue, impact_coefficient=0.0, half_spread_bps=0.5)
        risk = replace(plan.config.risk, headroom="off", losing_trips=0, repeated_entries=0)
        return CandlePlan(**(vars(plan) | {"config": replace(plan.config, venue=venue, risk=risk)}), make=make)


@dataclass(frozen=True)
class CandlePlan(Plan):
    """A plan whose engine is given a strategy of the contest.

    Attributes
    ----------
    make : callable
        Returns a fresh one.
    """

    make: Callable[[], Strategy]

    def engine(self) -> Engine:
        """Return a fresh engine."""
        rules = limits(self.config), sizing(self.config)
        return Engine(self.instruments(), self.make(), *rules, self.start_e8, self.epoch, self.mark_sources)


class PythonCrossing(Strategy):
    """The same cross, written in Python for one symbol.

    Parameters
    ----------
    lots : int
    """

    def __init__(self, lots: int):
        super().__init__()
        self.lots = lots
        self.target = 0
        self.side = 0
        self.window = BarWindow(SLOW, SLOW)

    def on_bars(self) -> None:
        """Take the close in; ask for what a cross asks for."""
        window = self.window
        window.push(self.desk.last_price(0))
        slow = window.mean(SLOW)
        if slow != slow:  # NaN: too few bars
            return
        side = 1 if window.mean(FAST) > slow else -1
        if self.side and side != self.side:
            self.target = side * self.lots
            self.desk.trade_to(0, self.target)
        self.side = side

    def on_fill(self, symbol: int, lots: int, price_ticks: int) -> None:  # noqa: ARG002 - what counts is the position
        """Open the new side once the old one is closed."""
        if self.desk.position(symbol) == 0:
            self.desk.trade_to(symbol, self.target)

    def snapshot(self) -> tuple[object, int, int]:
        """Return the window, the side and the target."""
        return self.window.state(), self.side, self.target


@dataclass(frozen=True)
class Ran:
    """What a run came to.

    Attributes
    ----------
    sides : int
        Positions opened.
    equity : float
        At the end, USDT.
    """

    sides: int
    equity: float


def ran(run: Run) -> Ran:
    """Run ours and return what it came to."""
    outcome = run()
    rows = np.concatenate([part.array() for part in read_journal(Path(run.folder.name) / "journal")])
    fills = int(np.count_nonzero(rows["kind"] == int(Kind.FILL)))
    # A change of sides closes, then opens; a symbol's first position only opens.
    return Ran((fills + len(outcome.engine.desk.symbols)) // 2, outcome.engine.desk.equity())


def require_like(ours: Ran, theirs: Ran, symbols: int) -> None:
    """Raise unless both changed sides equally often, but for the last bar, and ended with nearly the same equity.

    Raises
    ------
    DifferentResultError
        With both of them.
    """
    far = abs(ours.equity - theirs.equity) > LIKENESS * ours.equity
    if not ours.sides or abs(ours.sides - theirs.sides) > LAST_BARS * symbols or far:
        raise DifferentResultError(f"ours {ours}, theirs {theirs}")


def vectorbt(market: Market) -> Iterator[Row]:
    """Measure vectorbt on the span.

    Raises
    ------
    DifferentResultError
        If sides change more or less often than in ours.
    """
    import pandas as pd
    import vectorbt as vbt

    plan = market.plan(lambda: Crossing(FAST, SLOW, market.lots))
    index = pd.to_datetime(market.stamps)
    closes = pd.DataFrame(market.column(Kind.CANDLE, "d"), index=index, columns=market.history.symbols)
    opens = pd.DataFrame(market.column(Kind.CANDLE_OPEN, "a"), index=index, columns=market.history.symbols)
    lots = [k * spec["lot_e8"] / E8 for k, spec in zip(market.lots, plan.specs, strict=True)]
    next_opens = opens.shift(-1)

    def theirs() -> Any:
        fast, slow = (vbt.MA.run(closes, window, per_column=False) for window in (FAST, SLOW))
        above, below = fast.ma_crossed_above(slow).to_numpy(), fast.ma_crossed_below(slow).to_numpy()
        portfolio = vbt.Portfolio.from_signals(
            closes,
            entries=above,
            short_entries=below,
            price=next_opens,
            size=np.array(lots),
            upon_opposite_entry="reverse",
            fees=plan.specs[0]["taker_fee_e8"] / E8,
            slippage=plan.config.venue.half_spread_bps * 1e-4,
            init_cash=plan.config.run.initial_equity_usdt,
            group_by=True,
            cash_sharing=True,
            freq=index[1] - index[0],
        )
        return portfolio, portfolio.final_value()

    portfolio, value = theirs()
    ours, found = ran(candle_run(plan, market.rows)), Ran(len(portfolio.orders.records), float(value))
    require_like(ours, found, len(market.symbols))
    contest = Contest(lambda: candle_run(plan, market.rows), lambda: theirs, market.count, perf_counter_ns)
    note = VECTORBT.format(
        fast=FAST,
        slow=SLOW,
        usdt=POSITION_USDT,
        ours=ours.sides,
        theirs=found.sides,
        our_equity=ours.equity,
        their_equity=found.equity,
    )
    many = "one symbol" if len(market.symbols) == 1 else f"{len(market.symbols)} symbols"
    yield _row(contest, f"candle backtest, compiled strategy, {many}", "vectorbt", VECTORBT_AIM, note)


def _row(contest: Contest, job: str, peer: str, aim: float, note: str) -> Row:
    pair = contest.measure(SHORT_ROUNDS)
    sides = (f"{digits(1e6 * contest.units / taken)} thousand bars/s" for taken in (pair.ours, pair.theirs))
    return Row(job, KOREAN, peer, *sides, pair.ratio, aim, f"{contest.units:,} bars; {note}")


def nautilus(market: Market) -> Iterator[Row]:
    """Measure nautilus_trader's backtest engine on the span.

    Raises
    ------
    DifferentResultError
        If sides change more or less often than in ours.
    """
    from benchmarks.peers.nautilus import bar_engine, wallet

    plan = market.plan(lambda: PythonCrossing(market.lots[0]))
    ours = ran(candle_run(plan, market.rows))

    def prepare() -> Work:
        return bar_engine(market, FAST, SLOW).run

    engine = bar_engine(market, FAST, SLOW)
    engine.run()
    theirs = Ran(len(engine.cache.orders()), wallet(engine))
    require_like(ours, theirs, 1)
    contest = Contest(lambda: candle_run(plan, market.rows), prepare, market.count, perf_counter_ns)
    note = NAUTILUS.format(ours=ours.sides, theirs=theirs.sides, our_equity=ours.equity, their_equity=theirs.equity)
    yield _row(contest, "candle backtest, Python strategy, one symbol", "nautilus_trader", NAUTILUS_AIM, note)
