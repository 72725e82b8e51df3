"""Streams of rows merged into one, a whole stamp at a time.

Knows in which order the rows of one stamp come and which of them ends a run. Refuses to know where
rows come from; holds one block of each stream that has begun.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from autotrader.adapters.storage.sheets import Ints, Rows
from core_ext.types import EVENT_DTYPE, Flag, Kind

FOREVER = sys.maxsize
BAR_KINDS = (Kind.MARK_CANDLE, Kind.CANDLE)
# NumPy copies a structured array field by field, an opaque one by whole cells: eight times as fast.
CELLS = np.dtype("V64")
EMPTY: Rows = np.zeros(0, EVENT_DTYPE)
RANK = np.zeros(256, np.int64)
for _rank, _kind in enumerate((*BAR_KINDS, Kind.FUNDING, Kind.FILTERS, Kind.CANDLE_OPEN, Kind.TRADE)):
    RANK[_kind] = _rank


class Lane:
    """A stream of rows in time order, read ahead by one block."""

    def __init__(self, first_ns: int, blocks: Iterator[Rows]):
        self.until = first_ns  # every row before it has been read
        self._blocks = blocks
        self._rows = EMPTY

    @property
    def finished(self) -> bool:
        """Whether nothing will come any more."""
        return self.until == FOREVER and not len(self._rows)

    def take(self, horizon: int) -> Rows:
        """Return the rows before the horizon."""
        n = int(np.searchsorted(self._rows["ts"], horizon))
        taken, self._rows = self._rows[:n], self._rows[n:]
        return taken

    def refill(self) -> None:
        """Read the next block."""
        rows = next(self._blocks, None)
        if rows is None:
            self.until = FOREVER
        elif len(rows):
            self._rows = joined((self._rows, rows))
            self.until = int(rows["ts"][-1])


def joined(arrays: Sequence[Rows]) -> Rows:
    """Put arrays of rows one behind the other; nothing is copied if only one has rows."""
    filled = [rows for rows in arrays if len(rows)] or [EMPTY]
    if len(filled) == 1:
        return filled[0]
    return np.concatenate([rows.view(CELLS) for rows in filled]).view(EVENT_DTYPE)


def in_order(arrays: Sequence[Rows]) -> Rows:
    """Merge rows by stamp, then by kind, then by symbol; rows equal in all three keep their order."""
    rows = joined(arrays)
    if len(arrays) == 1:
        return rows
    # Stamps are whole microseconds; the freed digits take the rank and the symbol, below 8 and 128.
    key = rows["ts"] // 1000 * 1024 + RANK[rows["kind"]] * 128 + rows["symbol"]
    return rows.view(CELLS)[np.argsort(key, kind="stable")].view(EVENT_DTYPE)


def close_runs(rows: Rows) -> Rows:
    """Set F_END on the last bar that closes at each stamp, so that bars of one stamp are one decision."""
    bar = RANK[rows["kind"]] < len(BAR_KINDS)
    goes_on = np.zeros(len(rows), np.bool_)
    goes_on[:-1] = bar[1:] & (rows["ts"][1:] == rows["ts"][:-1])
    rows["flags"] |= np.where(bar & ~goes_on, Flag.F_END, 0).astype(np.uint8)
    return rows


def merged(lanes: Iterable[Lane]) -> Iterator[Rows]:
    """Yield the rows of all lanes in order, whole stamps at a time; a lane is opened when its time has come."""
    waiting = sorted(lanes, key=lambda lane: lane.until, reverse=True)
    active: list[Lane] = []
    while waiting or active:
        horizon = min(lane.until for lane in (*active, *waiting[-1:]))
        while waiting and waiting[-1].until == horizon:
            active.append(waiting.pop())
        taken = [rows for lane in active if len(rows := lane.take(horizon))]
        if taken:
            yield close_runs(in_order(taken))
        for lane in active:
            if lane.until == horizon:
                lane.refill()
        active = [lane for lane in active if not lane.finished]


def rechunked(blocks: Iterable[Rows], size: int) -> Iterator[Rows]:
    """Cut blocks of whole stamps into arrays of at most ``size`` rows, longer only if one stamp has more."""
    held = EMPTY
    for block in blocks:
        held = joined((held, block))
        ts, start = held["ts"].copy(), 0
        while len(ts) - start > size:
            cut = _stamp_boundary(ts, start, size)
            yield held[start:cut]
            start = cut
        held = held[start:]
    if len(held):
        yield held


def _stamp_boundary(ts: Ints, start: int, size: int) -> int:
    # Where the stamp begins that would be cut; if it is the only one, where it ends.
    begins = int(np.searchsorted(ts, ts[start + size]))
    return begins if begins > start else int(np.searchsorted(ts, ts[start], side="right"))


def filter_rows(filters: Sequence[Sequence[int]], start_ns: int) -> Rows:
    """Return FILTERS rows of (ns, symbol's index, six words), those from before the start at the start."""
    rows: Rows = np.zeros(len(filters), EVENT_DTYPE)
    rows["kind"] = Kind.FILTERS
    rows["flags"] = Flag.F_END
    for row, (first_ns, symbol, *words) in zip(rows, filters, strict=True):
        row["ts"], row["symbol"] = max(first_ns, start_ns), symbol
        for name, word in zip("abcdef", words, strict=True):
            row[name] = word
    return rows


def with_opens(candles: Rows) -> Rows:
    """Put before each CANDLE its CANDLE_OPEN, at the stamp at which the bar opens."""
    rows: Rows = np.zeros(2 * len(candles), EVENT_DTYPE)
    opens = rows[::2]
    opens["kind"] = Kind.CANDLE_OPEN
    opens["flags"] = Flag.F_END
    opens["symbol"] = candles["symbol"]
    opens["ts"] = candles["ts"] - candles["f"]
    opens["a"] = candles["a"]
    opens["f"] = candles["f"]
    rows.view(CELLS)[1::2] = candles.view(CELLS)
    return rows
