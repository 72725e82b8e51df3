"""What a history file is, told by its content, and its raw columns in bounded blocks.

Knows the recorders' Parquet, plain CSV with the Parquet's column names, and the CSV and zip files
of the exchange's archive. Refuses to know what a value may be, what a run trades, or what an event
is: text stays text, and every row keeps its number in the file.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import polars as pl

from autotrader.errors import OperatorError
from autotrader.messages import say

MINUTE_NS = 60 * 10**9
INTERVALS_NS = {
    "1s": 10**9,
    **{f"{n}m": n * MINUTE_NS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 60 * MINUTE_NS for n in (1, 2, 4, 6, 8, 12)},
    "1d": 24 * 60 * MINUTE_NS,
}

# polars panics, instead of raising, on some damaged Parquet footers.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)
PARQUET_ROWS = 1 << 18
# A window costs the decoding of every row group that it touches, so several are read at once.
READ_AHEAD = 8
TEXT_BYTES = 1 << 22
HEAD_BYTES = 1 << 16


class Content(StrEnum):
    """What the rows of a history file are."""

    KLINES = "klines"
    MARK = "mark"
    FUNDING = "funding"
    TRADES = "trades"


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of file: what we call a column, and what the file calls it."""

    content: Content
    columns: Mapping[str, str]
    bare: tuple[str, ...] = ()  # the header that an archive file without a header row would have

    @property
    def names_symbol(self) -> bool:
        """Whether each row names its symbol; archive files do so in the file's name."""
        return "symbol" in self.columns


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_OHLC = ("open", "high", "low", "close")
_ROW = {"symbol": "symbol", "ts": "ts_ms"}
LAYOUTS = (
    Layout(Content.KLINES, {**_ROW, **_same(*_OHLC, "volume")}),
    Layout(Content.MARK, {**_ROW, **_same(*_OHLC)}),
    Layout(Content.FUNDING, {**_ROW, **_same("rate")}),
    Layout(
        Content.KLINES,
        {"ts": "open_time", **_same(*_OHLC, "volume")},
        ("open_time", *_OHLC, "volume", "close_time", "quote_volume", "count", "taker_volume", "taker_quote", "ignore"),
    ),
    Layout(
        Content.TRADES,
        {
            "ts": "transact_time",
            "id": "agg_trade_id",
            **_same("price", "quantity"),
            "first": "first_trade_id",
            "last": "last_trade_id",
            "maker": "is_buyer_maker",
        },
        ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker"),
    ),
    Layout(
        Content.TRADES,
        {"ts": "time", "id": "id", "price": "price", "quantity": "qty", "first": "id", "last": "id"}
        | {"maker": "is_buyer_maker"},
        ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker"),
    ),
    Layout(
        Content.FUNDING,
        {"ts": "calc_time", "rate": "last_funding_rate"},
        ("calc_time", "funding_interval_hours", "last_funding_rate"),
    ),
)


def interval_name(interval_ns: int) -> str:
    """Name an interval as the exchange does; one that it does not have is named in seconds."""
    names = {ns: name for name, ns in INTERVALS_NS.items()}
    return names.get(interval_ns, f"{interval_ns / 10**9:g}s")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise OperatorError(say("history.unreadable", path=path, reason=reason)) from error


class Source(ABC):
    """One history file.

    Parameters
    ----------
    path : Path
        The file.
    layout : Layout
        Its columns.

    Attributes
    ----------
    content : Content
        What its rows are.
    symbol : str
        The symbol of all its rows, empty if each row names its own.
    interval_ns : int
        The interval of its bars, 0 until it is known; the archive's names state it.
    sha256 : str
        The hash of its bytes.
    rows : int
        Data rows, of all symbols; of a text file, those that have been scanned.
    """

    def __init__(self, path: Path, layout: Layout):
        self.path = path
        self.layout = layout
        self.content = layout.content
        self.symbol = ""
        self.interval_ns = 0
        self.rows = 0
        with _readable(path), path.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self._stamp = self._stat()

    def _stat(self) -> tuple[int, int]:
        with _readable(self.path):
            stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    def require_unchanged(self) -> None:
        """Refuse a file that is no longer the one that was hashed."""
        if self._stat() != self._stamp:
            raise OperatorError(say("history.changed", path=self.path))

    @abstractmethod
    def scan(self, symbols: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the symbols in file order: row (from 1), symbol, ts and the layout's columns."""

    @abstractmethod
    def lanes(self, symbols: Sequence[str]) -> list[list[str]]:
        """Return the groups of symbols that are read together, in time order, by ``blocks``."""

    @abstractmethod
    def blocks(self, symbols: Sequence[str], windows: range) -> Iterator[pl.DataFrame]:
        """Yield the rows of one lane, each block later than the one before.

        Parameters
        ----------
        symbols : sequence of str
            The lane.
        windows : range
            Where the windows begin, milliseconds; a stream of text needs none.
        """


class ParquetSource(Source):
    """A Parquet file, its rows sorted by symbol or by time; read by row range, then by time window."""

    def __init__(self, path: Path):
        with _readable(path):
            schema = pl.read_parquet_schema(path)
        super().__init__(path, _layout_of(path, list(schema)))
        _require_types(path, self.layout, schema)
        self._lazy = pl.scan_parquet(path, glob=False)
        with _readable(path):
            self.rows = int(self._lazy.select(pl.len()).collect().item())

    def _columns(self) -> list[pl.Expr]:
        return [pl.col(theirs).alias(ours) for ours, theirs in self.layout.columns.items()]

    def scan(self, symbols: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the symbols in file order."""
        rows = self._lazy.with_row_index("row", offset=1)
        for start in range(0, self.rows, PARQUET_ROWS):
            yield self._collect(rows.slice(start, PARQUET_ROWS), "row", *self._columns(), symbols=symbols)

    def lanes(self, symbols: Sequence[str]) -> list[list[str]]:
        """Return one group: a time window of the file is read once, for all symbols."""
        return [list(symbols)]

    def blocks(self, symbols: Sequence[str], windows: range) -> Iterator[pl.DataFrame]:
        """Yield the rows of the symbols, a window at a time."""
        self.require_unchanged()
        for first in windows[::READ_AHEAD]:
            ahead = range(first, windows.stop, windows.step)[:READ_AHEAD]
            rows = self._lazy.filter(_between("ts_ms", ahead[0], ahead[-1] + windows.step))
            frame = self._collect(rows, *self._columns(), symbols=symbols)
            for start in ahead:
                yield frame.filter(_between("ts", start, start + windows.step))

    def _collect(self, rows: pl.LazyFrame, *columns: str | pl.Expr, symbols: Sequence[str]) -> pl.DataFrame:
        wanted = pl.col("symbol").cast(pl.String).is_in(list(symbols))
        with _readable(self.path):
            return rows.filter(wanted).select(*columns).collect(engine="streaming")


class TextSource(Source):
    """A CSV file, alone or in a zip; read as a stream of blocks of whole lines."""

    def __init__(self, path: Path, layout: Layout, header: Sequence[str], skip: int, member: str | None):
        super().__init__(path, layout)
        self._header = list(header)
        self._member = member
        self._starts: dict[str, tuple[int, int]] = {}
        self._first = (skip, 1)
        if not layout.names_symbol:
            self.symbol = self._symbol_of_archive()

    def _symbol_of_archive(self) -> str:
        # The archive names a file BTCUSDT-1m-2026-01-01 and keeps mark prices in a folder of that name.
        tokens = self.path.stem.split("-")
        if len(tokens) < 2 and self._member:
            tokens = Path(self._member).stem.split("-")
        if self.content is Content.KLINES:
            self._read_kind_and_interval(tokens)
        if len(tokens) < 2:
            raise OperatorError(say("history.name_symbol", path=self.path))
        return tokens[0]

    def _read_kind_and_interval(self, tokens: Sequence[str]) -> None:
        place = str(self.path.absolute()) + (self._member or "")
        if "indexPriceKlines" in place or "premiumIndexKlines" in place:
            raise OperatorError(say("history.index_klines", path=self.path))
        if "markPriceKlines" in place:
            self.content = Content.MARK
        stated = [token for token in tokens if token in INTERVALS_NS]
        if not stated:
            raise OperatorError(say("history.name_interval", path=self.path))
        self.interval_ns = INTERVALS_NS[stated[0]]

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self._member is None:
            with self.path.open("rb") as stream:
                yield stream
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
                yield stream

    def scan(self, symbols: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the symbols in file order, and learn where each symbol begins."""
        self.rows = 0
        for offset, row, frame in self._frames(*self._first):
            self.rows = row + frame.height - 1
            if self.layout.names_symbol:
                for name in frame["symbol"].unique():
                    self._starts.setdefault(name, (offset, row))
            yield self._of(frame, symbols)

    def lanes(self, symbols: Sequence[str]) -> list[list[str]]:
        """Return one group a symbol: text may hold one symbol after the other."""
        return [[symbol] for symbol in symbols]

    def blocks(self, symbols: Sequence[str], _windows: range) -> Iterator[pl.DataFrame]:
        """Yield the rows of one symbol from its first on, a block of lines at a time."""
        self.require_unchanged()
        for _, _, frame in self._frames(*self._starts.get(symbols[0], self._first)):
            yield self._of(frame, symbols)

    def _of(self, frame: pl.DataFrame, symbols: Sequence[str]) -> pl.DataFrame:
        if self.layout.names_symbol:
            return frame.filter(pl.col("symbol").is_in(list(symbols)))
        return frame if self.symbol in symbols else frame.clear()

    def _frames(self, offset: int, row: int) -> Iterator[tuple[int, int, pl.DataFrame]]:
        # Yields where a block begins (byte, row) and its rows.
        with _readable(self.path), self._open() as stream:
            stream.seek(offset)
            for block in self._line_blocks(stream):
                frame = self._frame(block, row)
                yield offset, row, frame
                offset += len(block)
                row += frame.height

    def _line_blocks(self, stream: IO[bytes]) -> Iterator[bytes]:
        tail = b""
        while piece := stream.read(TEXT_BYTES):
            head, newline, rest = piece.rpartition(b"\n")
            if newline:
                yield tail + head + newline
                tail = rest
            elif len(tail) > HEAD_BYTES:
                raise OperatorError(say("history.long_line", path=self.path, limit=HEAD_BYTES))
            else:
                tail += piece
        if tail:
            yield tail

    def _frame(self, block: bytes, row: int) -> pl.DataFrame:
        lines = block.rstrip(b"\r\n \t")
        if not lines:
            return self._numbered(pl.DataFrame(schema=dict.fromkeys(self._header, pl.String)), row)
        try:
            text = pl.read_csv(lines, has_header=False, schema=dict.fromkeys(self._header, pl.String))
        except pl.exceptions.PolarsError as error:
            self._refuse_guilty_line(lines, row)
            raise OperatorError(say("history.no_csv", path=self.path, row=row, reason=error)) from error
        return self._numbered(text, row)

    def _numbered(self, text: pl.DataFrame, row: int) -> pl.DataFrame:
        columns = [pl.col(theirs).alias(ours) for ours, theirs in self.layout.columns.items()]
        return text.with_row_index("row", offset=row).select("row", *columns)

    def _refuse_guilty_line(self, lines: bytes, row: int) -> None:
        for number, line in enumerate(lines.split(b"\n"), start=row):
            fields = line.count(b",") + 1
            place = say("history.place", path=self.path, row=number)
            if fields != len(self._header):
                raise OperatorError(say("history.fields", place=place, found=fields, wanted=len(self._header)))
            if not _is_utf8(line):
                raise OperatorError(say("history.not_utf8", place=place))


def _between(column: str, first: int, end: int) -> pl.Expr:
    return pl.col(column).is_between(first, end, closed="left")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _foreign(path: Path, seen: str) -> OperatorError:
    return OperatorError(say("history.foreign", path=path, seen=seen))


def _layout_of(path: Path, names: Sequence[str]) -> Layout:
    for layout in LAYOUTS:
        if set(layout.columns.values()) <= set(names):
            return layout
    raise _foreign(path, say("history.seen_columns", names=", ".join(names)[:80]))


def _require_types(path: Path, layout: Layout, schema: Mapping[str, pl.DataType]) -> None:
    for ours, theirs in layout.columns.items():
        kind = schema[theirs]
        if ours == "ts":
            fits = kind.is_integer()
        elif ours == "symbol":
            fits = kind in (pl.String, pl.Categorical, pl.Enum)
        else:
            fits = kind.is_numeric() or kind == pl.String
        if not fits:
            raise OperatorError(say("history.column_type", path=path, column=theirs, kind=kind))


def _bare_layout(path: Path, fields: int) -> Layout:
    for layout in LAYOUTS:
        if len(layout.bare) == fields:
            return layout
    raise _foreign(path, say("history.seen_bare", count=fields))


def _text_source(path: Path, head: bytes, member: str | None) -> TextSource:
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    line, newline, _ = head[mark:].partition(b"\n")
    if b"\0" in head or not _is_utf8(line) or len(line) > HEAD_BYTES // 2:
        raise _foreign(path, say("history.seen_bytes"))
    names = [name.strip().strip('"') for name in line.decode().split(",")]
    if names[0][:1].isdigit():
        layout = _bare_layout(path, len(names))
        return TextSource(path, layout, layout.bare, mark, member)
    layout = _layout_of(path, names)
    return TextSource(path, layout, names, mark + len(line) + len(newline), member)


def _zip_source(path: Path) -> TextSource:
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = [item.filename for item in archive.infolist() if not item.is_dir()]
        if len(members) != 1:
            raise _foreign(path, say("history.seen_zip", count=len(members)))
        with archive.open(members[0]) as stream:
            head = stream.read(HEAD_BYTES)
    if not head:
        raise OperatorError(say("history.empty_member", path=path, member=members[0]))
    return _text_source(path, head, members[0])


def identify(path: Path) -> Source:
    """Tell what a history file is by its content.

    Parameters
    ----------
    path : Path
        A Parquet, CSV or zip file; its name matters only where the archive keeps the symbol there.

    Returns
    -------
    Source
        The file, ready to be scanned.

    Raises
    ------
    OperatorError
        If the file is missing, empty, unreadable or no history.
    """
    if not path.is_file():
        raise OperatorError(say("history.no_file", path=path))
    with _readable(path), path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head.strip():
        raise OperatorError(say("history.empty", path=path))
    if head.startswith(b"PAR1"):
        return ParquetSource(path)
    if head.startswith(b"PK"):
        return _zip_source(path)
    return _text_source(path, head, None)
