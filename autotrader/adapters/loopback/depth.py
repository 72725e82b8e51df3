"""What the exchange publishes about one symbol's book: depth diffs, partial books and the touch.

Knows the chains of update ids, one a speed, and how levels are written. Refuses to know who listens, when a window
ends and what stands in the book beyond what the book itself tells.

All diffs of a symbol come from one counter. The real-time stream passes each of them on. The slower ones publish,
at the end of a window, the last quantity of every level that changed in it: ``U`` is the window's first id, ``u`` its
last, ``pu`` that stream's previous ``u``. A window without a diff publishes nothing. Chains run on while nobody
listens, and what is not listened to is not written, so it costs one entry in a list.

While the book is not usable nothing is published. When it is usable again, ``pu`` of the next message is an id that
no client has seen, so that whoever followed the stream before reads its snapshot anew.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Final

from autotrader.adapters.loopback.text import Texts
from core_ext.book import Book
from core_ext.payload import PayloadWriter
from core_ext.types import Flag, Kind

if TYPE_CHECKING:
    from autotrader.adapters.loopback.market import Hub, SymbolFacts

__all__ = ["ROW", "SPEEDS", "BookStreams", "Touch"]

ROW: Final = Struct("<BBHi7q")
"""A row of EVENT_DTYPE as a tuple."""
Touch = tuple[int, int, int, int, int, int]
"""Update id, bid ticks, bid lots, ask ticks, ask lots (all 0 for an empty side), stamp in ms."""

LEVEL, ASK = int(Kind.LEVEL), int(Flag.F_SELL)
SPEEDS = (100, 250, 500)
"""Windows in ms."""
PARTIAL = (5, 10, 20)
MOST_RUNS = 4096
"""Diffs inside one window; at the bound all windows end early."""
_Run = tuple[int, int, int, bytes]  # stamp, first id, last id, levels
_SUFFIX = {100: "@100ms", 250: "", 500: "@500ms"}


class _Chain:
    # How far one speed has come.
    __slots__ = ("diffs", "last", "partials", "seen")

    def __init__(self, name: str, speed: int) -> None:
        suffix = _SUFFIX[speed]
        self.diffs = [f"{name}@depth{suffix}"] + [f"{name}@rpiDepth@500ms"] * (speed == 500)
        self.partials = [(limit, f"{name}@depth{limit}{suffix}") for limit in PARTIAL]
        self.last = -1  # u that this speed published last
        self.seen = 0  # diffs of the list that are behind it


class BookStreams:
    """The streams of one symbol's book.

    Parameters
    ----------
    facts : SymbolFacts
        The symbol.
    book : Book
        The venue's own book of it; read, never changed.
    hub : Hub
        Who listens.
    """

    def __init__(self, facts: "SymbolFacts", book: Book, hub: "Hub") -> None:
        name = facts.symbol.lower()
        self._book = book
        self._hub = hub
        self._price = Texts(facts.tick_e8, facts.price_decimals)
        self._quantity = Texts(facts.lot_e8, facts.lot_decimals)
        self._writer = PayloadWriter(
            facts.symbol, facts.pair, facts.tick_e8, facts.lot_e8, facts.price_decimals, facts.lot_decimals
        )
        self._real_time, self._ticker = f"{name}@depth@0ms", f"{name}@bookTicker"
        self._chains = {speed: _Chain(name, speed) for speed in SPEEDS}
        self._runs: list[_Run] = []
        self._last = -1  # u of the last diff, -1 before the first and after a gap
        self._touch: Touch | None = None  # as the source tells it; a source without leaves it to the book
        self._shown: Touch | None = None

    def on_diff(self, stamp: int, first: int, last: int, before: int, levels: bytes) -> None:
        """Take a diff that the book has just been given.

        Parameters
        ----------
        stamp : int
            Exchange time, ms.
        first, last, before : int
            Its ids: U, u, and pu or -1.
        levels : bytes
            Its LEVEL rows, each level once.
        """
        if not self._book.is_usable:
            self._runs.clear()
            self._last = -1
            return
        if last <= self._last:
            return  # told twice: the book takes it for stale, too
        before = self._last if self._last >= 0 else self._begin(before if before >= 0 else first - 1)
        if self._hub.wants(self._real_time):
            self._hub.publish(self._real_time, self._writer.depth(stamp, stamp, first, last, before, levels))
        self._last = last
        self._runs.append((stamp, first, last, levels))
        if len(self._runs) >= MOST_RUNS:
            for speed in SPEEDS:
                self.flush(speed, stamp)
        if self._touch is None and self._hub.wants(self._ticker):
            self._show(self.touch(stamp))

    def on_touch(self, touch: Touch) -> None:
        """Take a touch that the source tells; it is published if price or quantity of a side has changed."""
        self._touch = touch
        self._show(touch)

    def flush(self, speed: int, now_ms: int) -> None:
        """End a window: publish what changed in it, and the partial books of this speed.

        Parameters
        ----------
        speed : int
            Which of ``SPEEDS``.
        now_ms : int
            End of the window, ms.
        """
        chain = self._chains[speed]
        runs = self._runs[chain.seen :]
        if not runs:
            return
        first, (stamp, _, last, _) = runs[0][1], runs[-1]
        stamps = max(now_ms, stamp), stamp
        wanted = [name for name in chain.diffs if self._hub.wants(name)]
        if wanted:
            payload = self._writer.depth(*stamps, first, last, chain.last, _merged(runs))
            for name in wanted:
                self._hub.publish(name, payload)
        self._partial(chain, *stamps, first, last)
        chain.last = last
        chain.seen = len(self._runs)
        if all(one.seen == chain.seen for one in self._chains.values()):
            self._forget_runs()

    def touch(self, now_ms: int) -> Touch:
        """Return the touch as a request or a slow stream sees it; the book's own if the source tells none."""
        if self._touch is not None:
            return self._touch
        bids, asks = self._book.levels(0, 1), self._book.levels(1, 1)
        bid, ask = bids[0] if bids else (0, 0), asks[0] if asks else (0, 0)
        return (max(self._book.last_id, 0), *bid, *ask, min(now_ms, self._book.ts // 1_000_000))

    def ticker(self, now_ms: int) -> bytes:
        """Return the touch as a ``bookTicker`` message."""
        *touch, stamp = self.touch(now_ms)
        return self._writer.touch(now_ms, stamp, *touch)

    def levels(self, limit: int) -> tuple[list[list[str]], list[list[str]]]:
        """Return bids and asks from the touch outwards as ``[price, quantity]`` texts."""
        price, quantity = self._price, self._quantity
        bids, asks = (
            [[price[ticks], quantity[lots]] for ticks, lots in self._book.levels(side, limit)] for side in (0, 1)
        )
        return bids, asks

    def _begin(self, before: int) -> int:
        # With the first diff, or the first after a gap.
        self._forget_runs()
        for chain in self._chains.values():
            chain.last = before
        return before

    def _forget_runs(self) -> None:
        self._runs.clear()
        for chain in self._chains.values():
            chain.seen = 0

    def _show(self, touch: Touch) -> None:
        if self._shown is not None and touch[1:5] == self._shown[1:5]:
            return
        self._shown = touch
        if self._hub.wants(self._ticker):
            self._hub.publish(self._ticker, self.ticker(touch[-1]))

    def _partial(self, chain: _Chain, event: int, stamp: int, first: int, last: int) -> None:
        wanted = [(limit, name) for limit, name in chain.partials if self._hub.wants(name)]
        if not wanted:
            return
        bids, asks = (
            [(side * ASK, ticks, lots) for ticks, lots in self._book.levels(side, PARTIAL[-1])] for side in (0, 1)
        )
        for limit, name in wanted:
            levels = _rows([*bids[:limit], *asks[:limit]])
            self._hub.publish(name, self._writer.depth(event, stamp, first, last, chain.last, levels))


def _rows(levels: Iterable[tuple[int, int, int]]) -> bytes:
    return b"".join(ROW.pack(LEVEL, flags, 0, 0, 0, ticks, lots, 0, 0, 0, 0) for flags, ticks, lots in levels)


def _merged(runs: Sequence[_Run]) -> bytes:
    # The last quantity of each level, in the order in which the levels first changed.
    if len(runs) == 1:
        return runs[0][-1]
    changed: dict[tuple[int, int], int] = {}
    for *_, levels in runs:
        for row in ROW.iter_unpack(levels):
            changed[row[1] & ASK, row[5]] = row[6]
    return _rows((flags, ticks, lots) for (flags, ticks), lots in changed.items())
