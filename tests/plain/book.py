"""The plainest L2 book: two dicts and the exchange's documented rules of synchronisation.

It knows prices in ticks, quantities in lots and the ids of updates. It refuses to know about rows, windows
and speed. Source: the exchange's "how to manage a local order book" pages, futures and spot.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Snapshot:
    last_id: int
    bids: dict
    asks: dict


@dataclass(frozen=True)
class Diff:
    first: int
    last: int
    previous: int | None  # the `pu` of futures; spot has none
    bids: tuple  # of (ticks, lots), absolute; 0 lots removes
    asks: tuple


@dataclass
class Book:
    state: str = "awaiting"  # a snapshot; then "loaded", until a diff brackets it; then "synced"
    last_id: int = -1
    bids: dict = field(default_factory=dict)
    asks: dict = field(default_factory=dict)
    kept: list = field(default_factory=list)  # diffs that wait for a snapshot
    gaps: int = 0
    crossings: int = 0
    stale: int = 0

    @property
    def is_usable(self):
        return self.state == "synced"

    def on_snapshot(self, snapshot):
        # A snapshot is asked for when the book is not usable. One that nobody needs, or older than
        # what the book has already seen, is dropped.
        if self.state == "synced" or snapshot.last_id < self.last_id:
            return
        self.state, self.last_id = "loaded", snapshot.last_id
        self.bids, self.asks = dict(snapshot.bids), dict(snapshot.asks)
        waiting, self.kept = self.kept, []
        for diff in waiting:
            self.on_diff(diff)

    def on_diff(self, diff):
        if self.state == "awaiting":
            self.kept.append(diff)
        elif self.is_old(diff):
            self.stale += 1
        elif self.follows(diff):
            self.change(diff)
        else:
            self.gaps += 1
            self.state, self.kept = "awaiting", [diff]

    def is_old(self, diff):
        # Futures drop u < L before the first diff, so that u = L still brackets; spot drops u <= L.
        if self.state == "loaded" and diff.previous is not None:
            return diff.last < self.last_id
        return diff.last <= self.last_id

    def follows(self, diff):
        if diff.previous is None:
            return diff.first <= self.last_id + 1 if self.state == "loaded" else diff.first == self.last_id + 1
        # Nothing happens between pu and U, so pu <= L <= u brackets whenever U <= L <= u does.
        return diff.previous <= self.last_id if self.state == "loaded" else diff.previous == self.last_id

    def change(self, diff):
        for side, changes in ((self.bids, diff.bids), (self.asks, diff.asks)):
            for ticks, lots in changes:
                side.pop(ticks, None)
                if lots:
                    side[ticks] = lots
        self.last_id = diff.last
        if self.is_crossed():
            self.crossings += 1
            self.state, self.kept = "awaiting", []
        else:
            self.state = "synced"

    def is_crossed(self):
        bid, ask = self.best()
        return bid is not None and ask is not None and bid >= ask

    def best(self):
        return max(self.bids, default=None), min(self.asks, default=None)

    def levels(self, side):
        return sorted(self.asks.items()) if side else sorted(self.bids.items(), reverse=True)
