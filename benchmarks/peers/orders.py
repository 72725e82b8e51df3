"""From a depth message to signed orders: the core against nautilus_trader and against python-binance.

Knows that every side asks for the same orders after the same message, or nothing is reported. Refuses to
know how a peer is put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Protocol
from urllib.parse import parse_qsl

import numpy as np

from benchmarks.order_path import BUDGET_USDT, EPOCH, EQUITY_USDT, ORDER_USDT, REQUOTE_NS, core_path, gate_limits
from benchmarks.pairs import spread, undisturbed
from benchmarks.peers.jobs import Job, require_equal
from benchmarks.peers.market import deltas
from benchmarks.peers.table import Row
from benchmarks.recording import Stream
from benchmarks.stack import Book, Stack
from core_ext.types import Kind

NAMED = ("depth message -> signed orders", "메시지에서 서명된 주문까지")
NAUTILUS_AIM, STACK_AIM = 30.0, 60.0
SECRET = "0123456789abcdef" * 4
BLOCK, MOST = 250, 1500
WHAT = ("side", "price", "quantity", "type", "timeInForce")
BOTH = (
    "{messages:,} depth messages of the recording in turn by blocks, the {asked:,} that led to orders counted; both "
    "sides quote bid and ask, asked for the same sides, prices and quantities after every message, and the venue "
    "refuses each order outside the time. p99: ours {ours_p99:.1f} us, theirs {theirs_p99:.0f} us"
)
NAUTILUS = (
    "theirs: the Binance adapter's two decoders and its deltas, DataEngine with a managed L2 book, the quoter in "
    "Python, order factory, RiskEngine, ExecutionEngine, the order's events, urlencode and its compiled HMAC; its "
    "core engines called directly, without the queues and tasks of its live node; logging off. Its checks are "
    "precision, notional, rate and free balance, ours the whole gate"
)
PYTHON_BINANCE = (
    "theirs: orjson, DepthCache (sizes padded so that it deletes levels), its sorted sides, the Python stack's "
    "own checks and quotes, and the client's own signature of parameters"
)


def jobs(stream: Stream) -> list[Job]:
    """Return the jobs of the order path."""
    return [
        Job("order path", "nautilus_trader", lambda: nautilus(stream)),
        Job("order path", "python-binance", lambda: python_binance(stream)),
    ]


class Path(Protocol):
    """A peer's way from a message to signed orders."""

    def on_message(self, raw: bytes, now: int) -> list[str]:
        """Take a message in; return the signed orders that it leads to."""

    def on_rejects(self) -> None:
        """Take the venue's refusal of everything that is open."""


@dataclass(frozen=True)
class Depth:
    """Places of depth messages among the recording's.

    Attributes
    ----------
    start : list of int
        The diffs that came before the snapshot and go on behind it, then the snapshot.
    chosen : array of int
        The diffs that came after it.
    """

    start: list[int]
    chosen: np.ndarray

    @classmethod
    def of(cls, stream: Stream) -> Depth:
        """Choose the first snapshot and the diffs around it."""
        snapshot = next(k for k, message in enumerate(stream.messages) if b'"lastUpdateId"' in message[:200])
        last_id = int(stream.book_runs[0].array()["a"][0])
        diffs = [k for k, message in enumerate(stream.messages) if b'"e":"depthUpdate"' in message[:100]]
        kept = [k for k in diffs if k < snapshot and last_update(stream.messages[k]) >= last_id]
        return cls([*kept, snapshot], np.array([k for k in diffs if k > snapshot][:MOST]))


def last_update(message: bytes) -> int:
    """Return u of a diff."""
    return int(message.split(b'"u":', 1)[1].split(b",", 1)[0])


def nautilus(stream: Stream) -> Iterator[Row]:
    """Measure nautilus_trader's path."""
    from benchmarks.peers.nautilus import Node

    node = Node(stream, SECRET, REQUOTE_NS, ORDER_USDT, BUDGET_USDT, EQUITY_USDT)
    snapshot = stream.book_runs[0].array()
    for batch in deltas(snapshot[snapshot["kind"] == int(Kind.LEVEL)], stream):
        node.load(batch)
    *kept, at = Depth.of(stream).start
    for k in kept:
        node.on_message(stream.messages[k], int(stream.stamps[at]))
    node.on_rejects()
    yield raced(stream, node, "nautilus_trader", NAUTILUS_AIM, NAUTILUS)


def python_binance(stream: Stream) -> Iterator[Row]:
    """Measure the usual stack on python-binance."""
    stack = BinanceStack(stream)
    for k in Depth.of(stream).start:
        stack.on_message(stream.messages[k], int(stream.stamps[k]))
    stack.on_rejects()
    yield raced(stream, stack, "python-binance", STACK_AIM, PYTHON_BINANCE)


def raced(stream: Stream, peer: Path, name: str, aim: float, note: str) -> Row:
    """Run the core and a peer over the same messages, in turn by blocks, and return the row.

    Raises
    ------
    DifferentResultError
        If a message leads to different orders.
    """
    depth = Depth.of(stream)
    core = core_path(stream)
    untimed = (np.zeros(len(depth.start), np.int64) for _ in range(2))
    core.run([stream.messages[k] for k in depth.start], stream.stamps[depth.start], *untimed)
    count = len(depth.chosen)
    ours, theirs, decided = (np.zeros(count, np.int64) for _ in range(3))
    asked = np.zeros(count, bool)
    with undisturbed():
        for first in range(0, count, BLOCK):
            part = slice(first, first + BLOCK)
            places = depth.chosen[part]
            messages, stamps = [stream.messages[k] for k in places], stream.stamps[places]
            wanted = core.run(messages, stamps, decided[part], ours[part])
            found = run_peer(peer, messages, stamps.tolist(), theirs[part])
            for k, (a, b) in enumerate(zip(wanted, found, strict=True)):
                require_equal(f"orders after depth message {first + k}", *(sorted(map(what, x)) for x in (a, b)))
            asked[part] = [bool(orders) for orders in wanted]
    # The first block warms up.
    chosen = asked & (np.arange(count) >= BLOCK)
    if not chosen.any():
        raise RuntimeError("no message led to an order")
    our_times, their_times = spread(ours[chosen]), spread(theirs[chosen])
    both = BOTH.format(
        messages=count,
        asked=int(np.count_nonzero(chosen)),
        ours_p99=our_times["p99"] / 1e3,
        theirs_p99=their_times["p99"] / 1e3,
    )
    sides = (f"p50 {found['p50'] / 1e3:.2f} us" for found in (our_times, their_times))
    return Row(*NAMED, name, *sides, their_times["p50"] / our_times["p50"], aim, f"{both}; {note}")


def run_peer(peer: Path, messages: list[bytes], stamps: list[int], taken_ns: np.ndarray) -> list[list[str]]:
    """Time each message; the venue refuses every order at once, outside the time."""
    asked = []
    for k, (message, now) in enumerate(zip(messages, stamps, strict=True)):
        started = perf_counter_ns()
        signed = peer.on_message(message, now)
        taken_ns[k] = perf_counter_ns() - started
        asked.append(signed)
        peer.on_rejects()
    return asked


def what(order: bytes | str) -> tuple[float | str, ...]:
    """Return what an order asks for, without ids, stamp and signature, which differ."""
    fields = dict(parse_qsl(order.decode() if isinstance(order, bytes) else order))
    return tuple(float(fields[k]) if k in ("price", "quantity") else fields[k] for k in WHAT)


class CacheBook(Book):
    """The stack's book, its levels in python-binance's cache."""

    def __init__(self) -> None:
        from binance.ws.depthcache import DepthCache

        super().__init__()
        self.cache = DepthCache("BTCUSDT")
        self.sorted: tuple[list[list[float]], list[list[float]]] = ([], [])

    def load(self, snapshot: Any) -> bool:
        self._store(snapshot["bids"], snapshot["asks"])
        self.last_id, self.state = snapshot["lastUpdateId"], "loaded"
        kept, self.kept = self.kept, []
        for diff in kept:
            self.update(diff)
        return self.state == "synced"

    def update(self, diff: Any) -> bool:
        if self.state == "awaiting":
            self.kept.append(diff)
            return False
        if diff["u"] < self.last_id:
            return self.state == "synced"
        self._store(diff["b"], diff["a"])
        self.last_id, self.state = diff["u"], "synced"
        return True

    def _store(self, bids: list[Any], asks: list[Any]) -> None:
        for level in bids:
            self.cache.add_bid(padded(level))
        for level in asks:
            self.cache.add_ask(padded(level))
        self.sorted = self.cache.get_bids(), self.cache.get_asks()


def padded(level: list[str]) -> list[str]:
    """Return a level that the cache deletes when it is empty."""
    return level if float(level[1]) else [level[0], "0.00000000"]


class BinanceStack(Stack):
    """The usual Python stack on python-binance's cache and signature.

    Parameters
    ----------
    stream : Stream
    """

    def __init__(self, stream: Stream):
        from binance import Client

        quoter = {"order_usdt": ORDER_USDT, "budget_usdt": BUDGET_USDT, "requote_ns": REQUOTE_NS}
        super().__init__(stream.plan.specs[0], gate_limits(stream), quoter, EQUITY_USDT, EPOCH, SECRET.encode(), True)
        self.book: CacheBook = CacheBook()
        self.client = Client("key", SECRET, ping=False)

    def on_depth(self, now: int) -> list[str]:
        bids, asks = self.book.sorted
        self.bid, self.ask = tuple(bids[0]), tuple(asks[0])
        return self.on_touch(now)

    def depth(self, side: str) -> float:
        return sum(size for _, size in self.book.sorted[side == "BUY"][:20])

    def send(self, side: str, price: float, quantity: float, now: int) -> str:  # noqa: ARG002 - it reads its own clock
        client_id = f"at{self.next_id:016x}"
        self.next_id += 1
        self.open[client_id] = (side, price, quantity)
        self.live[side] = client_id
        order = {
            "newClientOrderId": client_id,
            "price": f"{price:.{self.price_digits}f}",
            "quantity": f"{quantity:.{self.lot_digits}f}",
            "side": side,
            "symbol": self.symbol,
            "timeInForce": "GTX",
            "type": "LIMIT",
        }
        signed = self.client._get_request_kwargs("post", True, data=order)
        return "&".join(f"{key}={value}" for key, value in signed["data"])
