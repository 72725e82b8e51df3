"""Recordings of the exchange's streams: lines of a local stamp and the message as received.

Knows the recorder's line format, its units, its day files and its clock. Refuses to know what a
message says beyond the event time that tells the recorder's clock apart from the exchange's.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from autotrader.adapters.storage.history import FileFacts
from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.driver import Feed, FeedError
from core_ext.types import Instruments, Status
from core_ext.wire import Scanner

__all__ = ["OFFSET_LINES", "Recording", "is_recording"]

OFFSET_LINES = 200
READ_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 24
HEAD_BYTES = 32
GZIP = b"\x1f\x8b"
MS_TO_NS = 1_000_000
# A recorder's clock that is set back, by NTP, is set back by less; lines in another order go back by more.
SET_BACK_NS = 1_000_000_000
# Digits of an epoch stamp today, by unit.
UNITS_NS = {13: 1_000_000, 16: 1_000, 19: 1}
LINE = re.compile(rb"([0-9]{13}|[0-9]{16}|[0-9]{19}) \{")
DEPTH_TIME = re.compile(rb'"e":\s?"depthUpdate",\s?"E":\s?([0-9]{13})')
SYMBOL = re.compile(rb'"stream":\s?"([a-z0-9_]{2,30})@|"s":\s?"([A-Z0-9_]{2,30})"')
STAMP = re.compile(rb"\n([0-9]{13,19}) ")


@dataclass
class DayFile:
    """One file of a recording: where it is, what it starts with, what was found on reading it."""

    path: Path
    first_stamp: int
    unit_ns: int
    symbols: frozenset[str]
    last_stamp: int
    depth_lags_ns: list[int] = field(default_factory=list)
    lines: int = 0
    sha256: str = ""


def is_recording(path: Path) -> bool:
    """Return whether a file starts like a recording (plain or gzip); one that cannot be read does not."""
    head = b""
    try:
        for block in _blocks(path):
            head += block
            if len(head) >= HEAD_BYTES:
                break
    except OperatorError:
        return False
    return LINE.match(head) is not None


class Recording:
    """A recording of one run of the recorder, in one file or in consecutive day files.

    Parameters
    ----------
    paths : sequence of Path
        Recorder lines, gzip or not, in any order.
    instruments : Instruments
        The run's instruments; messages of others are refused and counted.
    offset_ns : int, optional
        The recorder's clock offset, when a replay knows it; otherwise it is estimated.
    as_candles : bool, optional
        Whether the run wants candles made of the trades in place of the book.
    as_it_came : bool, optional
        Whether a message that is none is no error: the run that recorded it refused it, and so does its replay.

    Attributes
    ----------
    files : list of FileFacts
    start_ns, end_ns : int
        First and last stamp, the offset removed.
    offset_ns : int
        Recorder's clock minus the exchange's: the least of (local stamp - event time) over the first 200
        depth lines, since nothing arrives before it was sent. After its removal no lag of those is negative.
    offset_lines : int
        Depth lines that the estimate used.
    warnings : list of str

    Raises
    ------
    OperatorError
        If a file is missing, empty, foreign, truncated, in another unit than the others, or overlaps another.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Instruments,
        offset_ns: int | None = None,
        as_candles: bool = False,
        as_it_came: bool = False,
    ):
        self.as_it_came = as_it_came
        self.as_candles = as_candles
        days = sorted((_survey(path) for path in paths), key=lambda day: day.first_stamp)
        self._days = days
        self._instruments = instruments
        self._default = {frozenset({name}): at for at, name in enumerate(instruments.names)}
        self._require_symbols(instruments)
        self.unit_ns = days[0].unit_ns
        for before, day in pairwise(days):
            if day.unit_ns != before.unit_ns:
                raise OperatorError(say("recording.units", path=day.path, other=before.path))
            if day.first_stamp < before.last_stamp:
                raise OperatorError(say("recording.overlap", path=day.path))
        lags = [lag for day in days for lag in day.depth_lags_ns][:OFFSET_LINES]
        self.offset_lines = len(lags)
        self.offset_ns = offset_ns if offset_ns is not None else min(lags, default=0)
        self.start_ns = days[0].first_stamp * self.unit_ns - self.offset_ns
        self.end_ns = max(day.last_stamp for day in days) * self.unit_ns - self.offset_ns
        self.files = [FileFacts(day.path, day.sha256, day.lines, "recording") for day in days]
        self.warnings = [] if lags else [say("recording.no_offset")]

    @property
    def facts(self) -> dict[str, Any]:
        """What a replay must know to read the files the same way."""
        return {
            "kind": "wire" if self.as_it_came else "recording",
            "offset_ns": self.offset_ns,
            "offset_lines": self.offset_lines,
            "ticks": self.as_candles,
        }

    def feed(self, into: Feed) -> Iterator[float]:
        """Feed every line; yields the share that is done."""
        rows = 0
        for share, lines, day, first_line in self.chunks():
            rows += self.feed_chunk(into, lines, day, first_line, rows)
            yield share

    def feed_chunk(self, into: Feed, lines: bytes, day: DayFile, first_line: int, first_row: int) -> int:
        """Feed some whole lines of a file and return the rows that they gave.

        Raises
        ------
        OperatorError
            If a line is none, or its message is none of the exchange's; it names the file and the line.
        """
        into.default_symbol = self.default_symbol(day)
        refused = into.scanner.refused
        try:
            rows = into.feed_lines(lines, 0, first_row, self.unit_ns, self.offset_ns, first_line)
        except FeedError as error:
            raise OperatorError(say("recording.bad_line", path=day.path, reason=error)) from None
        if into.scanner.refused > refused and not self.as_it_came:
            self._require_messages(lines, day, first_line)
        return rows

    def _require_messages(self, lines: bytes, day: DayFile, first_line: int) -> None:
        # Of what the scanner refused, other symbols and steps of another day are no fault of the file.
        scanner = Scanner(self._instruments, self.default_symbol(day))
        for number, line in enumerate(lines.splitlines(), start=first_line):
            message = line.partition(b" ")[2]
            if scanner.feed(message, 0) == Status.MALFORMED:
                raise OperatorError(say("recording.bad_message", path=day.path, line=number))

    def default_symbol(self, day: DayFile) -> int:
        """Return the symbol of a file's messages that name none, -1: nobody knows."""
        return self._default.get(day.symbols, -1)

    def chunks(self) -> Iterator[tuple[float, bytes, DayFile, int]]:
        """Yield (share done, whole lines, their file, number of their first line) in order of time."""
        total = sum(day.path.stat().st_size for day in self._days)
        done = 0
        for day in self._days:
            first_line = 1
            for lines, consumed in _lines(day.path):
                yield (done + consumed) / total, lines, day, first_line
                first_line += lines.count(b"\n")
            done += day.path.stat().st_size

    def _require_symbols(self, instruments: Instruments) -> None:
        found = frozenset[str]().union(*(day.symbols for day in self._days))
        if not found & set(instruments.names):
            names = ", ".join(sorted(found)) or "-"
            raise OperatorError(
                say("recording.symbols", path=self._days[0].path, found=names, wanted=", ".join(instruments.names))
            )


def _survey(path: Path) -> DayFile:
    # Reads the whole file once: its hash, its first stamp and its order, the lags of its first depth lines.
    day: DayFile | None = None
    for lines, _ in _lines(path):
        if day is None:
            match = LINE.match(lines)
            if match is None:
                raise OperatorError(say("recording.foreign", path=path))
            stamp = int(match[1])
            day = DayFile(path, stamp, UNITS_NS[len(match[1])], _symbols(lines), stamp)
        _require_order(day, lines)
        day.lines += lines.count(b"\n")
        if len(day.depth_lags_ns) < OFFSET_LINES:
            _collect_lags(day, lines)
    if day is None:
        raise OperatorError(say("recording.empty", path=path))
    day.sha256 = _hash(path)
    return day


def _symbols(lines: bytes) -> frozenset[str]:
    return frozenset((stream or symbol).decode().upper() for stream, symbol in SYMBOL.findall(lines))


def _require_order(day: DayFile, lines: bytes) -> None:
    stamps = [day.last_stamp, *map(int, STAMP.findall(b"\n" + lines))]
    if stamps != sorted(stamps):
        _require_little(day, stamps)
    day.last_stamp = max(stamps)


def _require_little(day: DayFile, stamps: Sequence[int]) -> None:
    slack = SET_BACK_NS // day.unit_ns
    for at, (stamp, latest) in enumerate(zip(stamps, accumulate(stamps, max), strict=True)):
        if stamp < latest - slack:
            raise OperatorError(say("recording.order", path=day.path, line=day.lines + at))


def _collect_lags(day: DayFile, lines: bytes) -> None:
    for line in lines.splitlines():
        match = DEPTH_TIME.search(line, 0, 200)
        if match:
            stamp, _, _ = line.partition(b" ")
            if stamp.isdigit():
                day.depth_lags_ns.append(int(stamp) * day.unit_ns - int(match[1]) * MS_TO_NS)
            if len(day.depth_lags_ns) == OFFSET_LINES:
                return


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    # Whole lines in blocks, with the bytes of the file consumed so far.
    rest, consumed = b"", 0
    with _open(path) as file:
        for block in _blocks_of(path, file):
            rest += block
            cut = rest.rfind(b"\n") + 1
            if cut:
                consumed = file.tell()
                yield rest[:cut], consumed
                rest = rest[cut:]
            elif len(rest) > MAX_LINE_BYTES:
                raise OperatorError(say("recording.long_line", path=path))
        if rest:
            if not rest.rstrip().endswith(b"}"):
                raise OperatorError(say("recording.truncated", path=path))
            yield rest + b"\n", file.tell()


def _open(path: Path) -> BufferedReader:
    if not path.is_file():  # a pipe gives its bytes once, a device has no end; a recording is read twice
        raise OperatorError(say("recording.unreadable", path=path, reason=say("recording.no_file")))
    try:
        return path.open("rb")
    except OSError as error:
        raise OperatorError(say("recording.unreadable", path=path, reason=error.strerror)) from None


def _blocks(path: Path) -> Iterator[bytes]:
    with _open(path) as file:
        yield from _blocks_of(path, file)


def _blocks_of(path: Path, file: BufferedReader) -> Iterator[bytes]:
    try:
        head = file.read(READ_BYTES)
        if not head.startswith(GZIP):
            while head:
                yield head
                head = file.read(READ_BYTES)
            return
        yield from _unzipped(path, head, file)
    except OSError as error:
        raise OperatorError(say("recording.unreadable", path=path, reason=error.strerror)) from None


def _unzipped(path: Path, head: bytes, file: BufferedReader) -> Iterator[bytes]:
    # Members may follow one another; the last must be complete. However much a member swells, a block is bounded.
    member = zlib.decompressobj(wbits=31)
    try:
        while head:
            block = member.decompress(head, READ_BYTES)
            head = member.unconsumed_tail or member.unused_data
            if member.eof:
                member = zlib.decompressobj(wbits=31) if head else member
            if block:
                yield block
            head = head or file.read(READ_BYTES)
    except zlib.error as error:
        raise OperatorError(say("recording.damaged", path=path, reason=error)) from None
    if not member.eof:
        raise OperatorError(say("recording.truncated", path=path))


def _hash(path: Path) -> str:
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
