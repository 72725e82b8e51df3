"""Market history from files, as the runs of rows that a backtest steps through.

Knows how bars, mark prices, funding and trades of several symbols interleave in time, and what a
file must hold to be believed. Refuses to know what the run does with a row, and holds no more of
the files in memory than one window of each. Only funding, at most one row an hour and symbol, is
kept whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from autotrader.adapters.storage.lanes import (
    EMPTY,
    FOREVER,
    Lane,
    filter_rows,
    in_order,
    joined,
    merged,
    rechunked,
    with_opens,
)
from autotrader.adapters.storage.sheets import Grid, Ints, Rows, Sheet, decoded, in_sheets
from autotrader.adapters.storage.sources import INTERVALS_NS, Content, Source, identify, interval_name
from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.types import Instruments

MS = 1_000_000
# Bars that one window of a Parquet file may hold, over all symbols.
WINDOW_BARS = 1 << 17
# The exchange settles funding at least every eight hours; a longer silence is a hole in the file.
FUNDING_PAUSE_NS = INTERVALS_NS["8h"]
# A bar that closes further than this from the one before is told: a crash, a split of the coin, or a damaged file.
JUMP = 0.10
SURVEY_ORDER = (Content.FUNDING, Content.KLINES, Content.TRADES, Content.MARK)


@dataclass(frozen=True)
class FileFacts:
    """What one file is.

    Attributes
    ----------
    path : Path
        The file.
    sha256 : str
        Hash of its bytes.
    rows : int
        Data rows, of all its symbols.
    kind : str
        ``klines``, ``mark``, ``funding`` or ``trades``.
    """

    path: Path
    sha256: str
    rows: int
    kind: str


@dataclass(frozen=True)
class Checks:
    """What was looked for in a symbol's candles and may be true.

    What cannot be true is refused with its file and row before anything runs: bars that are there twice or out of
    order, and bars whose high and low do not hold their open and close.

    Attributes
    ----------
    bars : int
        Candles.
    missing : int
        Candles missing between the first and the last.
    longest_gap_ns : int
        The longest time without candles.
    jumps : int
        Candles that close more than 10 % away from the close before.
    largest_jump : float
        The furthest of all closes from the close before, as a share of it.
    largest_jump_ns : int
        Its stamp, 0 for a single candle.
    empty : int
        Candles without volume.
    """

    bars: int
    missing: int
    longest_gap_ns: int
    jumps: int
    largest_jump: float
    largest_jump_ns: int
    empty: int


@dataclass
class Part:
    """The rows of one symbol in one file: where they lie in time and what was counted in them."""

    source: Source
    grid: Grid
    rows: int = 0
    first_ns: int = FOREVER  # opening stamps, for bars
    last_ns: int = -1
    last_id: int = -1
    rounded: int = 0
    empty: int = 0
    longest_gap_ns: int = 0
    first_close: int = 0
    last_close: int = 0
    jumps: int = 0
    largest_jump: float = 0.0
    largest_jump_ns: int = 0
    funding: list[Rows] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The symbol."""
        return self.grid.symbol

    @property
    def content(self) -> Content:
        """What the rows are."""
        return self.source.content

    @property
    def interval_ns(self) -> int:
        """The interval of bars, 0 for other rows."""
        return self.source.interval_ns

    @property
    def is_bars(self) -> bool:
        """Whether the rows are bars, which have an interval."""
        return self.content in (Content.KLINES, Content.MARK)

    @property
    def end_ns(self) -> int:
        """The stamp at which the last row is complete."""
        return self.last_ns + self.interval_ns

    def admit(self, sheet: Sheet, rows: Rows) -> None:
        """Check a block of rows against those before it, and count it."""
        opened = rows["ts"] - self.interval_ns
        self._check_order(sheet, rows, opened)
        if self.content is Content.KLINES:
            self.empty += int(np.count_nonzero(rows["e"] == 0))
            self._measure(rows, opened)
        self.rounded += sheet.rounded
        self.rows += len(rows)
        self.first_ns = min(self.first_ns, int(opened[0]))
        self.last_ns = int(opened[-1])

    def _measure(self, rows: Rows, opened: Ints) -> None:
        if not self.rows:
            self.first_close = self.last_close = int(rows["d"][0])
        steps = np.diff(opened, prepend=self.last_ns if self.rows else opened[0] - self.interval_ns)
        self.longest_gap_ns = max(self.longest_gap_ns, int(steps.max()) - self.interval_ns)
        before = np.concatenate(([self.last_close], rows["d"][:-1]))
        self.jumps += int(np.count_nonzero(np.abs(rows["d"] - before) > JUMP * before))
        moved = rows["d"] / before - 1.0
        furthest = int(np.abs(moved).argmax())
        if abs(moved[furthest]) > abs(self.largest_jump):
            self.largest_jump, self.largest_jump_ns = float(moved[furthest]), int(rows["ts"][furthest])
        self.last_close = int(rows["d"][-1])

    def _check_order(self, sheet: Sheet, rows: Rows, opened: Ints) -> None:
        steps = np.diff(opened, prepend=self.last_ns)
        if self.content is Content.TRADES:
            sheet.refuse(steps < 0, "ts", say("history.trade_earlier"))
            sheet.refuse(np.diff(rows["a"], prepend=self.last_id) <= 0, "id", say("history.trade_id"))
            self.last_id = int(rows["a"][-1])
            return
        sheet.refuse(steps == 0, "ts", say("history.twice"))
        sheet.refuse(steps < 0, "ts", say("history.earlier"))
        if self.is_bars:
            off_grid = opened % self.interval_ns != 0
            sheet.refuse(off_grid, "ts", say("history.off_grid", interval=interval_name(self.interval_ns)))


class History:
    """Candles, mark candles, funding and trades of a run's symbols, from files.

    Parameters
    ----------
    paths : sequence of Path
        Parquet, CSV or zip files, in any order.
    instruments : core_ext.types.Instruments
        The run's instruments; rows of other symbols are passed over.
    interval_ns : int or None
        The interval of the run's candles, None for that of the files; a multiple of it needs
        `core_ext.signal.LongerCandles` on the way.

    filters : sequence of (ns, symbol's index, words of a FILTERS row), optional
        The filters of the day, in the order of time; what was there before the first row holds from it on.

    Attributes
    ----------
    files : list of FileFacts
        The files, in the order given.
    interval_ns : int or None
        The interval of the files' candles, None if there are only trades.
    gaps : dict of str to int
        Candles missing between the first and the last, by symbol.
    checks : dict of str to Checks
        Gaps, jumps and empty candles, by symbol.
    start_ns, end_ns : int
        Stamps of the first and the last row.
    bars : int
        Candles of the run's symbols.
    mark_sources : dict of str to str
        By symbol ``candles:1h``, ``funding:8h`` (a mark at funding stamps only), both joined by
        ``+``, or ``none``.
    warnings : list of str
        What a trader should know about the files before he believes the run.

    Raises
    ------
    OperatorError
        If a file is missing, unreadable or foreign, a value cannot be true, files overlap, or none
        of the run's symbols is in them. The message names the file, the row (from 1, without the
        header) and the column.

    Notes
    -----
    The exchange's archive: https://data.binance.vision. A funding mark is the open of a mark bar that
    opens at the stamp: the price is known at that moment and not before.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Instruments,
        interval_ns: int | None = None,
        filters: Sequence[Sequence[int]] = (),
    ):
        self.interval_ns: int | None = None
        self._wanted_ns = interval_ns
        self._filters = filters
        self.warnings: list[str] = []
        self._grids = {grid.symbol: grid for grid in (_grid(i, instruments) for i in range(len(instruments)))}
        self._parts: list[Part] = []
        self._funding: dict[str, Rows] = {}
        sources = [identify(path) for path in paths]
        for content in SURVEY_ORDER:
            self._survey_all([source for source in sources if source.content is content])
        self.files = [FileFacts(s.path, s.sha256, s.rows, str(s.content)) for s in sources]
        self._require_something_to_trade()
        self._measure()
        self._warn()

    @property
    def funded(self) -> frozenset[str]:
        """Symbols whose funding some file gives."""
        return frozenset(self._funding)

    def chunks(self, rows: int = 65536) -> Iterator[Rows]:
        """Yield the rows of the whole history in order; may be called again.

        Parameters
        ----------
        rows : int
            Rows an array, at most; one stamp's rows are never split, even if they are more.

        Returns
        -------
        iterator of numpy.ndarray
            Arrays of EVENT_DTYPE. At one stamp: the mark candles and then the candles that close
            (the last of them ends the run), funding, filters, candles that open, trades.

        Raises
        ------
        OperatorError
            If a file changed since it was first read.
        """
        if rows < 1:
            raise OperatorError(say("history.chunk", rows=rows))
        return rechunked(merged(self._lanes()), rows)

    def _survey_all(self, sources: Sequence[Source]) -> None:
        parts = [part for source in sources for part in self._survey(source)]
        _refuse_overlaps(parts)
        self._parts += parts
        for name, own in _by_name(part for part in parts if part.funding).items():
            self._funding[name] = _joined_funding(own)
            for part in own:
                part.funding.clear()

    def _survey(self, source: Source) -> list[Part]:
        # The first pass over a file: every value is checked before the run's first decision.
        parts: dict[str, Part] = {}
        for frame in source.scan(list(self._grids)):
            sheets = in_sheets(source, self._grids, frame)
            if sheets and not parts:
                self._settle_interval(source, sheets)
            for sheet in sheets:
                self._admit(parts.setdefault(sheet.grid.symbol, Part(source, sheet.grid)), sheet)
        if not source.rows:
            raise OperatorError(say("history.no_rows", path=source.path))
        if not parts:
            self.warnings.append(say("history.no_symbols", path=source.path))
        return list(parts.values())

    def _settle_interval(self, source: Source, sheets: Sequence[Sheet]) -> None:
        if source.content not in (Content.KLINES, Content.MARK):
            return
        found = _usual_step(sheets)
        stated = source.interval_ns
        if found and stated and found != stated:
            names = {"stated": interval_name(stated), "found": interval_name(found)}
            raise OperatorError(say("history.other_name", path=source.path, **names))
        fallback = self._wanted_ns or 0 if source.content is Content.KLINES else 0
        source.interval_ns = stated or found or fallback
        if source.interval_ns not in INTERVALS_NS.values():
            seen = say("history.seen_step", interval=interval_name(found)) if found else say("history.seen_one_bar")
            raise OperatorError(say("history.no_interval", path=source.path, seen=seen))
        if source.content is Content.KLINES:
            self._require_interval(source)

    def _require_interval(self, source: Source) -> None:
        found = source.interval_ns
        if self._wanted_ns and self._wanted_ns % found:
            names = {"found": interval_name(found), "wanted": interval_name(self._wanted_ns)}
            raise OperatorError(say("history.no_multiple", path=source.path, **names))
        if self.interval_ns not in (None, found):
            names = {"found": interval_name(found), "wanted": interval_name(self.interval_ns or 0)}
            raise OperatorError(say("history.other_interval", path=source.path, **names))
        self.interval_ns = found

    def _admit(self, part: Part, sheet: Sheet) -> None:
        rows = decoded(sheet)
        part.admit(sheet, rows)
        if part.content is Content.FUNDING:
            part.funding.append(rows)
        elif part.content is Content.MARK and part.name in self._funding:
            _fill_funding_marks(self._funding[part.name], rows)

    def _of(self, *contents: Content) -> list[Part]:
        return [part for part in self._parts if part.content in contents]

    def _require_something_to_trade(self) -> None:
        if not self._of(Content.KLINES, Content.TRADES):
            raise OperatorError(say("history.nothing_to_trade", symbols=", ".join(self._grids)[:80]))

    def _measure(self) -> None:
        traded = self._of(Content.KLINES, Content.TRADES)
        self.start_ns = min(part.first_ns for part in traded)
        self.end_ns = max(part.end_ns for part in traded)
        candles = _by_name(self._of(Content.KLINES))
        self.bars = sum(part.rows for part in self._of(Content.KLINES))
        self.gaps = {name: _missing(parts) for name, parts in candles.items()}
        self.checks = {name: _checked(parts) for name, parts in candles.items()}
        self._mark_intervals = _finest(self._of(Content.MARK), self._wanted_ns or self.interval_ns or FOREVER)
        self.mark_sources = {name: self._mark_source(name) for name in self._grids}

    def _mark_source(self, name: str) -> str:
        emitted = self._mark_intervals.get(name)
        others = sorted({part.interval_ns for part in self._of(Content.MARK) if part.name == name} - {emitted})
        sources = [f"candles:{interval_name(emitted)}"] if emitted else []
        return "+".join(sources + [f"funding:{interval_name(other)}" for other in others]) or "none"

    def _warn(self) -> None:
        traded = _by_name(self._of(Content.KLINES, Content.TRADES))
        self.warnings += [say("history.no_candles", symbol=name) for name in self._grids if name not in traded]
        for name, parts in traded.items():
            self._warn_of_funding(name, min(p.first_ns for p in parts), max(p.end_ns for p in parts))
        for name, checks in self.checks.items():
            if checks.jumps:
                time = str(np.datetime64(checks.largest_jump_ns, "ns").astype("datetime64[m]")).replace("T", " ")
                jumps = {"count": checks.jumps, "share": checks.largest_jump, "time": time}
                self.warnings.append(say("history.jumps", symbol=name, **jumps))
        for part in self._parts:
            place = {"path": part.source.path, "symbol": part.name}
            if part.rounded:
                self.warnings.append(say("history.rounded", **place, count=part.rounded))
            if part.content is Content.KLINES and part.empty == part.rows:
                self.warnings.append(say("history.no_volume", **place))

    def _warn_of_funding(self, name: str, first_ns: int, end_ns: int) -> None:
        funding = self._within(self._funding.get(name, EMPTY))
        if not len(funding):
            self.warnings.append(say("history.no_funding", symbol=name))
            return
        pauses = np.diff(np.concatenate(([first_ns], funding["ts"], [max(end_ns, int(funding["ts"][-1]))])))
        if (pauses > FUNDING_PAUSE_NS).any():
            times, longest = np.count_nonzero(pauses > FUNDING_PAUSE_NS), pauses.max() / INTERVALS_NS["1h"]
            self.warnings.append(say("history.funding_pauses", symbol=name, times=times, hours=longest))
        unknown = np.count_nonzero(funding["b"] == 0)
        if unknown:
            self.warnings.append(say("history.no_funding_mark", symbol=name, count=unknown, total=len(funding)))

    def _within(self, rows: Rows) -> Rows:
        # Mark prices and funding from before the first bar or after the last move no position.
        first, end = np.searchsorted(rows["ts"], [self.start_ns, self.end_ns + 1])
        kept: Rows = rows[first:end]
        return kept

    def _lanes(self) -> list[Lane]:
        whole = (*self._funding.values(), filter_rows(self._filters, self.start_ns))
        lanes = [Lane(self.start_ns, iter([self._within(rows).copy()])) for rows in whole]
        by_source: dict[int, list[Part]] = defaultdict(list)
        for part in self._parts:
            if self._is_emitted(part):
                by_source[id(part.source)].append(part)
        for parts in by_source.values():
            for names in parts[0].source.lanes([part.name for part in parts]):
                lanes.append(self._lane([part for part in parts if part.name in names]))
        return lanes

    def _is_emitted(self, part: Part) -> bool:
        if part.content is Content.MARK:
            is_finest = part.interval_ns == self._mark_intervals.get(part.name)
            return is_finest and part.first_ns < self.end_ns and part.end_ns >= self.start_ns
        return part.content is not Content.FUNDING

    def _lane(self, parts: Sequence[Part]) -> Lane:
        # Windows begin where a bar may begin, so that none closes in one window after another opened in the next.
        interval_ns = parts[0].interval_ns or 1
        earliest = self.start_ns // interval_ns * interval_ns - interval_ns
        first = max(earliest, min(part.first_ns for part in parts))
        last = min(self.end_ns, max(part.last_ns for part in parts))
        return Lane(first, self._blocks(parts, first, last))

    def _blocks(self, parts: Sequence[Part], first_ns: int, last_ns: int) -> Iterator[Rows]:
        source = parts[0].source
        step = max(1, WINDOW_BARS // len(parts)) * max(1, source.interval_ns // MS)
        for frame in source.blocks([part.name for part in parts], range(first_ns // MS, last_ns // MS + 1, step)):
            blocks = [decoded(sheet) for sheet in in_sheets(source, self._grids, frame)]
            if source.content is Content.KLINES:
                blocks = [with_opens(candles) for candles in blocks]
            yield self._within(in_order(blocks))


def _grid(index: int, instruments: Instruments) -> Grid:
    spec = instruments.spec(index)
    return Grid(index, instruments.names[index], spec["tick_e8"], spec["lot_e8"])


def _usual_step(sheets: Sequence[Sheet]) -> int:
    # The commonest distance between neighbours; gaps are longer and rarer than bars that follow each other.
    steps = np.concatenate([np.diff(sheet.stamps()) for sheet in sheets])
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    return int(values[counts.argmax()]) if len(values) else 0


def _refuse_overlaps(parts: Sequence[Part]) -> None:
    latest: dict[tuple[str, int], Part] = {}
    for part in sorted(parts, key=lambda part: part.first_ns):
        before = latest.get((part.name, part.interval_ns))
        if before and part.first_ns <= before.last_ns:
            files = {"path": part.source.path, "other": before.source.path}
            content = say(f"history.{part.content}")
            raise OperatorError(say("history.overlap", **files, symbol=part.name, content=content))
        latest[part.name, part.interval_ns] = part


def _joined_funding(parts: Sequence[Part]) -> Rows:
    rows = joined([rows for part in sorted(parts, key=lambda p: p.first_ns) for rows in part.funding]).copy()
    rows["f"][1:] = np.diff(rows["ts"])
    return rows


def _fill_funding_marks(funding: Rows, marks: Rows) -> None:
    opened = marks["ts"] - marks["f"]
    places = np.searchsorted(funding["ts"], opened)
    places[places == len(funding)] = 0
    hits = funding["ts"][places] == opened
    funding["b"][places[hits]] = marks["a"][hits]


def _by_name(parts: Iterable[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        groups[part.name].append(part)
    return dict(groups)


def _missing(parts: Sequence[Part]) -> int:
    first, last = min(part.first_ns for part in parts), max(part.last_ns for part in parts)
    return (last - first) // parts[0].interval_ns + 1 - sum(part.rows for part in parts)


def _checked(parts: Sequence[Part]) -> Checks:
    # Of all its files, and of the seams between them.
    ordered = sorted(parts, key=lambda part: part.first_ns)
    jumps = sum(part.jumps for part in ordered)
    furthest = max(((part.largest_jump, part.largest_jump_ns) for part in ordered), key=lambda jump: abs(jump[0]))
    longest = max(part.longest_gap_ns for part in ordered)
    for before, part in pairwise(ordered):
        moved = part.first_close / before.last_close - 1.0
        jumps += abs(part.first_close - before.last_close) > JUMP * before.last_close
        furthest = max(furthest, (moved, part.first_ns + part.interval_ns), key=lambda jump: abs(jump[0]))
        longest = max(longest, part.first_ns - before.end_ns)
    return Checks(
        bars=sum(part.rows for part in ordered),
        missing=_missing(ordered),
        longest_gap_ns=longest,
        jumps=jumps,
        largest_jump=furthest[0],
        largest_jump_ns=furthest[1],
        empty=sum(part.empty for part in ordered),
    )


def _finest(parts: Iterable[Part], limit_ns: int) -> dict[str, int]:
    finest: dict[str, int] = {}
    for part in parts:
        if part.interval_ns <= limit_ns:
            finest[part.name] = min(part.interval_ns, finest.get(part.name, FOREVER))
    return finest
