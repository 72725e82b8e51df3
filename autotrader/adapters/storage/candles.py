"""Candle history as a source of a run.

Knows which rows of a `History` a run declared that it uses. Refuses to know how files are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autotrader.adapters.storage.history import FileFacts, History
from core_ext.driver import Feed
from core_ext.types import Instruments, Kind

__all__ = ["Candles"]


class Candles:
    """Bars, marks and funding of a run's symbols, as it declared them.

    Parameters
    ----------
    paths : sequence of Path
    instruments : Instruments
    interval_ns : int
        Of the run's candles: that of the files or a multiple.
    with_funding : bool
        Whether funding is charged.
    with_marks : bool
        Whether mark candles are used between funding stamps.
    filters : sequence of (ns, symbol's index, words of a FILTERS row), optional
        The filters of the day, in the order of time.

    Attributes
    ----------
    parts_ns : int
        Interval of the files' candles when the run's are longer, else 0.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Instruments,
        interval_ns: int,
        with_funding: bool,
        with_marks: bool,
        filters: Sequence[Sequence[int]] = (),
    ):
        self.history = History(paths, instruments, interval_ns, filters)
        # Trades alone become candles on the way; beside candles they have nothing to add.
        self.has_ticks = self.history.interval_ns is None or not self.history.bars
        self.parts_ns = 0 if self.has_ticks or self.history.interval_ns == interval_ns else self.history.interval_ns
        self.files: list[FileFacts] = self.history.files
        self.start_ns = self.history.start_ns
        self.warnings = self.history.warnings
        self._filters = [list(row) for row in filters]
        used = {Kind.FUNDING: with_funding, Kind.MARK_CANDLE: with_marks, Kind.TRADE: self.has_ticks}
        self._dropped = [int(kind) for kind, wanted in used.items() if not wanted]

    @property
    def facts(self) -> dict[str, Any]:
        """What a replay must know to read the files the same way."""
        told = {"kind": "candles", "dropped": self._dropped, "ticks": self.has_ticks}
        return told | {
            name: value for name, value in (("parts_ns", self.parts_ns), ("filters", self._filters)) if value
        }

    def feed(self, into: Feed) -> Iterator[float]:
        """Feed every row; yields the share of the time that is done."""
        row = 0
        span = max(1, self.history.end_ns - self.history.start_ns)
        for chunk in self.history.chunks():
            rows = chunk[~(chunk["kind"][:, None] == self._dropped).any(axis=1)] if self._dropped else chunk
            into.feed_rows(rows, 0, row)
            row += len(rows)
            yield (int(chunk["ts"][-1]) - self.history.start_ns) / span

    def marks(self, symbol: str) -> tuple[str, str]:
        """Return (interval of the mark candles, interval of the funding marks) of a symbol, "" for none."""
        found = dict(part.split(":") for part in self.history.mark_sources[symbol].split("+") if ":" in part)
        return found.get("candles", ""), found.get("funding", "")

    def has_funding(self, symbol: str) -> bool:
        """Return whether a file gives funding of a symbol."""
        return symbol in self.history.funded
