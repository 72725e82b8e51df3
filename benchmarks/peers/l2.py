"""One quoting strategy over the recording: the core's backtest against hftbacktest's own loop.

Knows how the quoter is written for hftbacktest, and what the two venues agree on. Refuses to know how
either of them is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from autotrader.research.replay import Plan
from benchmarks.contests import Contest, Run, Work
from benchmarks.peers.jobs import SHORT_ROUNDS, DifferentResultError, Job, digits
from benchmarks.peers.market import E8, events, steps
from benchmarks.peers.table import Row
from benchmarks.recording import Stream
from core_ext.journal import read_journal
from core_ext.types import Kind

NAMED = ("L2 backtest of the quoter", "호가 백테스트")
AIM = 1.0
MS = 1_000_000
POLL_NS = 10 * MS
# The two venues differ in when an order joins its queue within a message, so in single fills, not in their number.
LIKENESS = 0.25
NOTE = (
    "the recording's level changes and trades ({events:,} events, no ticker), decoded beforehand; constant latencies "
    "of {order:g} and {response:g} ms, pessimistic queue (its risk-averse model; its orders fill whole, because its "
    "model of partial fills stops with an invalid order status here), the same fees; both "
    "clocks of its events are the recording's, which is the clock of the core's venue. Its strategy is compiled by "
    "numba and {woken}. The core's side has in its time what the other does not have: the gate's checks "
    "of every order, margin, liquidation and funding, the equity curve and a sealed journal on disk. Ours filled "
    "{ours:,} times ({our_lots:,} lots), theirs {theirs:,} times ({their_lots:,} lots)"
)
WOKEN = {
    0: "woken by every change of the feed, as the core's is",
    POLL_NS: f"asks every {POLL_NS // MS} ms, which is how its examples do it: it decides more rarely than the core's",
}


def jobs(stream: Stream) -> list[Job]:
    """Return the jobs of the L2 backtest."""
    return [
        Job("L2 backtest, every feed", "hftbacktest", lambda: hftbacktest(stream, 0)),
        Job("L2 backtest, polled", "hftbacktest", lambda: hftbacktest(stream, POLL_NS)),
    ]


def hftbacktest(stream: Stream, poll_ns: int) -> Iterator[Row]:
    """Measure hftbacktest's loop, woken by the feed (0) or every so many nanoseconds.

    Raises
    ------
    DifferentResultError
        If the two fill a number of lots that no difference in model explains.
    """
    rows = stream.rows[stream.rows["kind"] != int(Kind.TOUCH)]
    data = market_events(rows, stream)
    our_fills = fills_of(prepare_ours(stream, rows))
    theirs = Theirs(stream, data, poll_ns)
    their_fills = theirs.fills()
    require_like(our_fills, their_fills)
    contest = Contest(lambda: prepare_ours(stream, rows), theirs.prepare, len(data), perf_counter_ns)
    pair = contest.measure(SHORT_ROUNDS)
    venue = stream.plan.config.venue
    note = NOTE.format(
        events=contest.units,
        order=venue.order_latency_ms,
        response=venue.response_latency_ms,
        woken=WOKEN[poll_ns],
        ours=our_fills[0],
        our_lots=our_fills[1],
        theirs=their_fills[0],
        their_lots=their_fills[1],
    )
    sides = (f"{digits(1e3 * contest.units / taken)} M events/s" for taken in (pair.ours, pair.theirs))
    name = NAMED[0] if poll_ns == 0 else f"{NAMED[0]}, polled"
    yield Row(name, NAMED[1], "hftbacktest", *sides, pair.ratio, AIM, note)


def prepare_ours(stream: Stream, rows: np.ndarray) -> Run:
    """Return the core's backtest over decoded rows."""
    plan: Plan = stream.plan
    return Run(plan, stream.recording.start_ns, lambda session: session.driver.feed_rows(rows, 0, 0))


def fills_of(run: Run) -> tuple[int, int]:
    """Run it; return how many fills there were, and their lots."""
    run()
    rows = np.concatenate([part.array() for part in read_journal(Path(run.folder.name) / "journal")])
    fills = rows[rows["kind"] == int(Kind.FILL)]
    return len(fills), int(fills["d"].sum())


def require_like(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    """Raise unless the lots filled are alike.

    Raises
    ------
    DifferentResultError
        With both of them.
    """
    if not ours[1] or abs(ours[1] - theirs[1]) > LIKENESS * ours[1]:
        raise DifferentResultError(f"fills and lots: ours {ours}, theirs {theirs}")


def market_events(rows: np.ndarray, stream: Stream) -> np.ndarray:
    """Return the rows as events of both sides; what came before the first snapshot is left out."""
    import hftbacktest as hft

    first = int(np.flatnonzero(rows["kind"] == int(Kind.SNAPSHOT))[0])
    return events(rows[first:], stream, hft.LOCAL_EVENT | hft.EXCH_EVENT)


class Theirs:
    """hftbacktest over the recording.

    Parameters
    ----------
    stream : Stream
    data : array
        Its events.
    poll_ns : int
        0: woken by every feed.
    """

    def __init__(self, stream: Stream, data: np.ndarray, poll_ns: int):
        self.stream, self.data, self.poll_ns = stream, data, poll_ns
        self.quoter = numba_quoter()

    def market(self) -> Any:
        """Return a fresh backtest."""
        import hftbacktest as hft

        spec, venue = self.stream.plan.specs[0], self.stream.plan.config.venue
        tick, lot = steps(self.stream)
        asset = hft.BacktestAsset().add_data(self.data).linear_asset(1.0).parallel_load(False)
        asset.constant_order_latency(round(venue.order_latency_ms * MS), round(venue.response_latency_ms * MS))
        asset.risk_adverse_queue_model().no_partial_fill_exchange()
        asset.trading_value_fee_model(spec["maker_fee_e8"] / E8, spec["taker_fee_e8"] / E8)
        return hft.HashMapMarketDepthBacktest([asset.tick_size(tick).lot_size(lot)])

    def run(self, market: Any) -> int:
        """Run the quoter through it; return how often it was asked."""
        quoter = self.stream.plan.config.strategy.quoter
        tick, lot = steps(self.stream)
        return self.quoter(
            market,
            tick,
            lot,
            quoter.order_notional_usdt,
            quoter.inventory_budget_usdt,
            quoter.requote_ms * MS,
            self.poll_ns,
        )

    def prepare(self) -> Work:
        """Return a run whose time is taken."""
        market = self.market()
        return lambda: self.run(market)

    def fills(self) -> tuple[int, int]:
        """Run once, which compiles the quoter; return its fills and their lots."""
        market = self.market()
        code = self.run(market)
        if code <= 0:
            raise RuntimeError(f"hftbacktest stopped with its code {-code}")
        state = market.state_values(0)
        found = int(state.num_trades), round(state.trading_volume / steps(self.stream)[1])
        market.close()
        return found


@cache
def numba_quoter() -> Callable[..., int]:
    """Return the quoter, compiled by numba at its first call.

    The same quotes as `core_ext.quoter`: one bid and one ask at the touch, never across the microprice,
    inside the budget, a side touched no more often than it may be.
    """
    from hftbacktest import BUY, GTX, LIMIT, SELL
    from numba import njit

    @njit
    def size(position: int, side: int, price: float, lot: float, order: float, budget: float) -> int:
        lots = int(np.floor(order / (price * lot) + 1e-9))
        held = position * side
        if held < 0 and -held <= lots:
            return -held
        return lots if lots <= int(np.floor(budget / (price * lot) + 1e-9)) - held else 0

    @njit
    def quoter(market: Any, tick: float, lot: float, order: float, budget: float, requote_ns: int, poll_ns: int) -> int:
        ids = np.zeros(2, np.int64)
        touched = np.zeros(2, np.int64)
        next_id, asked = 1, 0
        while True:
            code = market.elapse(poll_ns) if poll_ns else market.wait_next_feed(True, 1_000_000_000)
            if code == 1:
                return asked
            if code not in (0, 2, 3):
                return -code
            asked += 1
            depth, now = market.depth(0), market.current_timestamp
            bid, ask = depth.best_bid_tick, depth.best_ask_tick
            if bid <= 0 or ask <= bid or ask == 9223372036854775807:
                continue
            bid_size, ask_size = depth.best_bid_qty, depth.best_ask_qty
            fair = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
            position = int(np.round(market.position(0) / lot))
            for k in range(2):
                if now - touched[k] < requote_ns:
                    continue
                wanted = min(bid, int(np.floor(fair))) if k == 0 else max(ask, int(np.ceil(fair)))
                lots = size(position, 1 if k == 0 else -1, wanted * tick, lot, order, budget)
                orders = market.orders(0)
                if ids[k] and ids[k] in orders:
                    live = orders.get(ids[k])
                    if live.cancellable:
                        if lots == 0 or live.price_tick != wanted:
                            touched[k] = now
                            market.cancel(0, ids[k], False)
                        continue
                    if live.req != 0:
                        continue
                if lots == 0:
                    continue
                touched[k] = now
                ids[k] = next_id
                next_id += 1
                if k == 0:
                    market.submit_buy_order(0, ids[k], wanted * tick, lots * lot, GTX, LIMIT, False)
                else:
                    market.submit_sell_order(0, ids[k], wanted * tick, lots * lot, GTX, LIMIT, False)
            market.clear_inactive_orders(0)

    assert BUY == 1 and SELL == -1  # what ``size`` takes for a side
    return quoter
