"""A level change in the book: the core's in its compiled loop against the books of others.

Knows how each book is fed what it needs already decoded, and that all end with the same touch. Refuses
to know messages and orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import contests
from benchmarks.contests import Contest, Work
from benchmarks.pairs import Pair
from benchmarks.peers.jobs import ROUNDS, Job, digits, require_equal, row
from benchmarks.peers.market import deltas, events, perpetual, steps
from benchmarks.peers.table import Row
from benchmarks.recording import Stream
from core_ext.book import Book
from core_ext.types import Flag, Kind, Rows

NAMED = ("book apply", "호가창 갱신")
HFT_AIM, NAUTILUS_AIM = 4.0, 40.0
NEUTRAL = 100  # of hftbacktest's event kinds the first that none of its parts acts on
FOREVER_NS = 10**18
HFT = (
    "its {depth} has no door of its own, so its backtest is run over the level changes as events of the local side "
    "alone, in one call; what the same loop takes over as many events that change nothing ({loop} ns each) is "
    "taken off. The core's side keeps its checks of the chain of update ids. Both end with the same touch"
)
NAUTILUS = (
    "its compiled OrderBook (L2, by price), batches of deltas made beforehand and applied by apply_deltas from a "
    "Python loop over messages. Both end with the same touch"
)
PYTHON_BINANCE = (
    "DepthCache.add_bid and add_ask from a Python loop over levels kept as text, their sizes padded to the eight "
    "decimals without which it never deletes a level; its dictionaries are sorted only when a book is asked for, and "
    "that sort (once at the end) is not in the time. Both end with the same touch"
)
CCXT = "OrderBookSide.storeArray from a Python loop over levels that are doubles already. Both end with the same touch"


def jobs(stream: Stream) -> list[Job]:
    """Return the jobs of the books."""
    return [
        Job("book apply, HashMapMarketDepth", "hftbacktest", lambda: hftbacktest(stream, "HashMapMarketDepth")),
        Job("book apply, ROIVectorMarketDepth", "hftbacktest", lambda: hftbacktest(stream, "ROIVectorMarketDepth")),
        Job("book apply", "nautilus_trader", lambda: nautilus(stream)),
        Job("book apply", "python-binance", lambda: python_binance(stream)),
        Job("book apply", "ccxt", lambda: ccxt(stream)),
    ]


def our_touch(stream: Stream) -> tuple[int | None, int | None]:
    """Return the core's touch after all diffs, in ticks."""
    book = Book()
    for run in stream.book_runs:
        book.apply(run)
    return book.best()


def hftbacktest(stream: Stream, depth: str) -> Iterator[Row]:
    """Measure one of hftbacktest's books, its loop taken off.

    Raises
    ------
    DifferentResultError
        If the touch at the end differs.
    """
    import hftbacktest as hft

    snapshot, diffs = (events(run.array(), stream, hft.LOCAL_EVENT) for run in stream.book_runs)
    nothing = diffs.copy()
    nothing["ev"] = hft.LOCAL_EVENT | NEUTRAL
    ours = contests.book(stream)

    def prepare(data: np.ndarray) -> Work:
        market = hft_market(stream, depth, snapshot, data)
        return lambda: market.elapse(FOREVER_NS)

    market = hft_market(stream, depth, snapshot, diffs)
    market.elapse(FOREVER_NS)
    found = market.depth(0)
    require_equal("touch", our_touch(stream), (found.best_bid_tick, found.best_ask_tick))
    market.close()
    whole = replace(ours, theirs=lambda: prepare(diffs)).measure(ROUNDS)
    loop = replace(ours, theirs=lambda: prepare(nothing)).measure(ROUNDS)
    net = Pair(whole.ours, whole.theirs - loop.theirs, whole.ratio - loop.ratio)
    sides = (f"{digits(taken / ours.units)} ns/level change" for taken in (net.ours, net.theirs))
    note = HFT.format(depth=depth, loop=digits(loop.theirs / ours.units))
    yield Row(f"{NAMED[0]}, {depth}", NAMED[1], "hftbacktest", *sides, net.ratio, HFT_AIM, note)


def hft_market(stream: Stream, depth: str, snapshot: np.ndarray, data: np.ndarray) -> Any:
    """Return a backtest that holds the snapshot and is about to read the data."""
    import hftbacktest as hft

    tick, lot = steps(stream)
    asset = hft.BacktestAsset().add_data(data).initial_snapshot(snapshot).linear_asset(1.0).parallel_load(False)
    asset.constant_order_latency(0, 0).risk_adverse_queue_model().no_partial_fill_exchange()
    asset.trading_value_fee_model(0.0, 0.0).tick_size(tick).lot_size(lot)
    if depth == "ROIVectorMarketDepth":
        lowest, highest = stream.ticks
        asset.roi_lb(lowest * tick).roi_ub(highest * tick)
        return hft.ROIVectorMarketDepthBacktest([asset])
    return hft.HashMapMarketDepthBacktest([asset])


def nautilus(stream: Stream) -> Iterator[Row]:
    """Measure nautilus_trader's book.

    Raises
    ------
    DifferentResultError
        If the touch at the end differs.
    """
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.enums import BookType

    snapshot, diffs = (deltas(run.array(), stream) for run in stream.book_runs)
    instrument, tick = perpetual(stream), steps(stream)[0]

    def prepare() -> Work:
        book = OrderBook(instrument.id, BookType.L2_MBP)
        apply_all(book.apply_deltas, snapshot)
        return lambda: apply_all(book.apply_deltas, diffs) or book

    book = prepare()()
    touch = tuple(round(float(price) / tick) for price in (book.best_bid_price(), book.best_ask_price()))
    require_equal("touch", our_touch(stream), touch)
    yield row(_against(stream, prepare), NAMED, "nautilus_trader", "level change", NAUTILUS_AIM, NAUTILUS)


def apply_all(apply: Callable[[Any], None], batches: list[Any]) -> None:
    """Apply one after the other."""
    for batch in batches:
        apply(batch)


def python_binance(stream: Stream) -> Iterator[Row]:
    """Measure python-binance's book.

    Raises
    ------
    DifferentResultError
        If the touch at the end differs.
    """
    from binance.ws.depthcache import DepthCache

    snapshot, diffs = (levels(run, *steps(stream), "{:.8f}".format) for run in stream.book_runs)

    def prepare() -> Work:
        cache = DepthCache("BTCUSDT")
        store_all(cache.add_bid, cache.add_ask, snapshot)
        return lambda: store_all(cache.add_bid, cache.add_ask, diffs) or cache

    cache, tick = prepare()(), steps(stream)[0]
    touch = tuple(round(side[0][0] / tick) for side in (cache.get_bids(), cache.get_asks()))
    require_equal("touch", our_touch(stream), touch)
    yield row(_against(stream, prepare), NAMED, "python-binance", "level change", None, PYTHON_BINANCE)


def ccxt(stream: Stream) -> Iterator[Row]:
    """Measure ccxt's book.

    Raises
    ------
    DifferentResultError
        If the touch at the end differs.
    """
    from ccxt.async_support.base.ws.order_book import OrderBook

    snapshot, diffs = (levels(run, *steps(stream), float) for run in stream.book_runs)

    def prepare() -> Work:
        book = OrderBook()
        bids, asks = book["bids"], book["asks"]
        store_all(bids.storeArray, asks.storeArray, [(is_ask, list(level)) for is_ask, level in snapshot])
        fresh = [(is_ask, list(level)) for is_ask, level in diffs]
        return lambda: store_all(bids.storeArray, asks.storeArray, fresh) or book

    book, tick = prepare()(), steps(stream)[0]
    touch = tuple(round(book[side][0][0] / tick) for side in ("bids", "asks"))
    require_equal("touch", our_touch(stream), touch)
    yield row(_against(stream, prepare), NAMED, "ccxt", "level change", None, CCXT)


def levels(
    run: Rows, tick: float, lot: float, write: Callable[[float], object]
) -> list[tuple[bool, tuple[object, object]]]:
    """Return (is an ask, (price, size)) of every level of a run, in a book's own numbers."""
    rows = run.array()
    rows = rows[rows["kind"] == int(Kind.LEVEL)]
    asks = (rows["flags"] & int(Flag.F_SELL) != 0).tolist()
    prices, sizes = ((rows[name] * step).tolist() for name, step in (("a", tick), ("b", lot)))
    return [(a, (write(p), write(q))) for a, p, q in zip(asks, prices, sizes, strict=True)]


def store_all(bid: Callable[[Any], None], ask: Callable[[Any], None], found: list[tuple[bool, Any]]) -> None:
    """Store levels one after the other."""
    for is_ask, level in found:
        if is_ask:
            ask(level)
        else:
            bid(level)


def _against(stream: Stream, theirs: Callable[[], Work]) -> Contest:
    return replace(contests.book(stream), theirs=theirs)
