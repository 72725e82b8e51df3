"""The exchange's market streams: their names, their routes, and the passing of one from a connection to the next.

Knows which streams a run listens to, which route delivers each, and where a message says its place in its stream.
Refuses to know how messages arrive, what else they say, and the time.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Family", "Handover", "Kind", "StreamName", "Subscription", "needed_id"]

Kind = Literal["book", "touch", "trade", "mark", "candle"]
Family = Literal["public", "market"]

EARLY: Final = 4096
# Where a message says its place in its stream; places never fall.
_PLACES: Final = {
    "book": re.compile(rb'"u":\s?(\d{1,18})'),
    "touch": re.compile(rb'"u":\s?(\d{1,18})'),
    "trade": re.compile(rb'"[ta]":\s?(\d{1,18})'),
    "mark": re.compile(rb'"E":\s?(\d{1,18})'),
    "candle": re.compile(rb'"E":\s?(\d{1,18})'),
}
_FIRST, _PREVIOUS = re.compile(rb'"U":\s?(\d{1,18})'), re.compile(rb'"pu":\s?(\d{1,18})')


@dataclass(frozen=True, slots=True)
class StreamName:
    """One stream: its name on the wire, whose it is, what it tells and which route delivers it."""

    name: str
    symbol: str
    kind: Kind
    family: Family


@dataclass(frozen=True)
class Subscription:
    """What a run listens to.

    Parameters
    ----------
    symbols : tuple of str
        In capitals, as the exchange lists them.
    depth : str
        Pace of the book's diffs: ``"100ms"``, or ``"0ms"``, which the exchange does not document.
    trades : str
        ``"aggTrade"``, or ``"trade"``, which the exchange does not document.
    candles : tuple of str
        Intervals such as ``"1m"``; none by default.
    """

    symbols: tuple[str, ...]
    depth: Literal["100ms", "0ms"] = "100ms"
    trades: Literal["aggTrade", "trade"] = "aggTrade"
    candles: tuple[str, ...] = ()

    def streams(self) -> list[StreamName]:
        """Return every stream, a symbol's together."""
        return [stream for symbol in self.symbols for stream in self._of(symbol)]

    def _of(self, symbol: str) -> list[StreamName]:
        name = symbol.lower()
        route: Family = "public" if self.trades == "trade" else "market"
        return [
            StreamName(f"{name}@depth@{self.depth}", symbol, "book", "public"),
            StreamName(f"{name}@bookTicker", symbol, "touch", "public"),
            StreamName(f"{name}@{self.trades}", symbol, "trade", route),
            StreamName(f"{name}@markPrice@1s", symbol, "mark", "market"),
            *(StreamName(f"{name}@kline_{interval}", symbol, "candle", "market") for interval in self.candles),
        ]


class Handover:
    """The passing of one stream from a connection to the next: nothing is lost and nothing comes twice.

    Parameters
    ----------
    kind : str
        What the stream tells.

    Attributes
    ----------
    is_done : bool
        Whether the new connection is the one that counts.
    is_over : bool
        Whether nothing of the new connection can be a repetition any more.

    Notes
    -----
    Each connection delivers its messages in order and without a hole; the new one begins somewhere. What the new one is
    ahead of the old one is kept back (at most 4,096 messages) until the old one has said the first of it: from there on
    the new one has everything. Where the new one is behind, what the old one has said already is dropped.
    """

    def __init__(self, kind: Kind) -> None:
        self.is_done = False
        self.is_over = False
        self._place = _PLACES[kind]
        self._last = -1
        self._early: deque[tuple[int, bytes]] = deque()

    @property
    def has_begun(self) -> bool:
        """Whether the new connection has brought anything."""
        return self.is_done or bool(self._early)

    def from_old(self, message: bytes) -> list[bytes]:
        """Take a message of the old connection; return what is to be passed on now."""
        if self.is_done:
            return []
        place = self._place_of(message)
        if place is not None:
            self._last = max(self._last, place)
        is_met = bool(self._early) and self._early[0][0] <= self._last
        return [message, *self.finish()] if is_met else [message]

    def from_new(self, message: bytes) -> list[bytes]:
        """Take a message of the new connection; return what is to be passed on now."""
        place = self._place_of(message)
        if place is None:
            return [message] if self.is_done else []
        if self.is_done:
            self.is_over = self.is_over or place > self._last
            return [message] if self.is_over else []
        if place <= self._last:
            self.is_done = True
            return []
        self._early.append((place, message))
        return self.finish() if len(self._early) >= EARLY else []

    def finish(self) -> list[bytes]:
        """Let the new connection be the one that counts; return what was kept back of it."""
        kept = [message for place, message in self._early if place > self._last]
        self.is_done = True
        if self._early:
            self._last = max(self._last, self._early[-1][0])
            self.is_over = self._early[-1][0] == self._last
            self._early.clear()
        return kept

    def _place_of(self, message: bytes) -> int | None:
        found = self._place.search(message)
        return int(found[1]) if found else None


def needed_id(diff: bytes) -> int:
    """Return the least id of a snapshot from which a book can go on with this diff: ``pu``, or ``U`` - 1."""
    previous = _PREVIOUS.search(diff)
    if previous:
        return int(previous[1])
    first = _FIRST.search(diff)
    return int(first[1]) - 1 if first else 0
