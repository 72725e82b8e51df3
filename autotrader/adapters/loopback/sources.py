"""A replay of recordings as the exchange's market: one wire message is one batch of rows, at its recorded time.

Knows recordings, the shift from their day to the exchange's, and which symbol plays which recording. Refuses to know
sockets and clocks: whoever iterates decides when a batch's time has come. Nothing is read ahead but one block of
lines a recording.
"""

from __future__ import annotations

import gzip
import heapq
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autotrader.adapters.storage.recordings import Recording
from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.driver import Collector, FeedError
from core_ext.types import Flag, Instruments, Kind
from core_ext.wire import Scanner

__all__ = ["Batch", "Replay", "recorded_symbol"]

Batch = tuple[int, NDArray[np.void]]

SECOND_NS = 1_000_000_000
END, MARK = int(Flag.F_END), int(Kind.MARK)
HEAD_BYTES = 1 << 16
GZIP = b"\x1f\x8b"
SYMBOL = re.compile(rb'"s":\s?"([A-Z0-9_]{2,30})"')


class Replay:
    """Recordings as one market, in order of time.

    Parameters
    ----------
    paths : sequence of Path
        Files of one recording; its symbols go by their own names. Empty where ``labels`` name the recordings.
    instruments : Instruments
        The exchange's. A label's tick and lot are those of the symbol that its recording is of.
    labels : mapping of str to (sequence of Path, float), optional
        Which recording a symbol plays, and how many seconds after the first it begins.
    begin_ns : int, optional
        When the replay begins; None: when the first recording did.

    Attributes
    ----------
    begin_ns, end_ns : int
        First and last stamp.
    messages : int
        Batches given so far.

    Raises
    ------
    OperatorError
        If a file is no recording, or none of these symbols.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = Path(str(files("autotrader") / "samples/btcusdt_l2_20230404.gz"))
    >>> recorded_symbol(path)
    'BTCUSDT'
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Instruments,
        labels: Mapping[str, tuple[Sequence[Path], float]] | None = None,
        begin_ns: int | None = None,
    ) -> None:
        self.messages = 0
        self._scanners: list[Scanner] = []
        parts = [_Part(Recording(paths, instruments), instruments, 0, 0)] if paths else []
        known: dict[tuple[Path, ...], Recording] = {}
        parts += [_labelled(instruments, name, *label, known) for name, label in (labels or {}).items()]
        if not parts:
            raise OperatorError(say("loopback.replay_empty"))
        self.begin_ns = parts[0].recording.start_ns if begin_ns is None else begin_ns
        self._parts = [(part, self.begin_ns + part.delay_ns - part.recording.start_ns) for part in parts]
        self.end_ns = max(part.recording.end_ns + shift_ns for part, shift_ns in self._parts)
        self._now_ns = self.begin_ns

    @property
    def duration_ns(self) -> int:
        """From the first stamp to the last."""
        return self.end_ns - self.begin_ns

    @property
    def share(self) -> float:
        """Share of the time that has been played."""
        return min(1.0, (self._now_ns - self.begin_ns) / max(1, self.duration_ns))

    @property
    def skipped(self) -> int:
        """Messages read so far that say nothing about the exchange's symbols, or nothing on their grid."""
        return sum(scanner.ignored + scanner.refused for scanner in self._scanners)

    def __iter__(self) -> Iterator[Batch]:
        """Play from the beginning: yield (stamp, rows) message by message."""
        self.messages, self._scanners = 0, []
        voices = [self._voice(part, shift_ns) for part, shift_ns in self._parts]
        for stamp, rows in voices[0] if len(voices) == 1 else _merged(voices):
            self.messages += 1
            self._now_ns = stamp
            yield stamp, rows

    def _voice(self, part: _Part, shift_ns: int) -> Iterator[Batch]:
        # One recording. The scanner sees the recorded stamps, so that a row's lag stays what it was.
        scanner = Scanner(part.instruments)
        self._scanners.append(scanner)
        for rows in part.blocks(Collector(scanner)):
            _move(rows, shift_ns, part.label)
            ends = np.flatnonzero(rows["flags"] & END) + 1
            stamps = rows["ts"][ends - 1].tolist()
            for stamp, begin, end in zip(stamps, [0, *ends[:-1].tolist()], ends.tolist(), strict=False):
                yield stamp, rows[begin:end]


def _merged(voices: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
    # In order of their stamps, and of the voices at one stamp; `heapq.merge` takes three times as long with a key.
    queue = [(stamp, k, rows, voice) for k, voice in enumerate(voices) for stamp, rows in islice(voice, 1)]
    heapq.heapify(queue)
    while queue:
        stamp, k, rows, voice = queue[0]
        yield stamp, rows
        following = next(voice, None)
        if following is None:
            heapq.heappop(queue)
        else:
            heapq.heapreplace(queue, (following[0], k, following[1], voice))


@dataclass(frozen=True)
class _Part:
    # A recording, the instruments that its messages are read by, and what is added to the symbol that they give.
    recording: Recording
    instruments: Instruments
    label: int
    delay_ns: int

    def blocks(self, collector: Collector) -> Iterator[NDArray[np.void]]:
        """Yield the rows of one block of lines after the other, without the recorder's clock offset."""
        recording = self.recording
        for _, lines, day, first_line in recording.chunks():
            collector.default_symbol = recording.default_symbol(day)
            try:
                collector.feed_lines(lines, 0, 0, recording.unit_ns, recording.offset_ns, first_line)
            except FeedError as error:
                raise OperatorError(say("recording.bad_line", path=day.path, reason=error)) from None
            yield collector.take()


def _move(rows: NDArray[np.void], shift_ns: int, label: int) -> None:
    # A labelled recording is read by instruments of its own, so its symbol is 0 until here.
    rows["symbol"] += label
    rows["ts"] += shift_ns
    funded = (rows["kind"] == MARK) & (rows["d"] > 0)
    rows["d"][funded] += shift_ns


def _labelled(
    instruments: Instruments,
    name: str,
    paths: Sequence[Path],
    delay_s: float,
    known: dict[tuple[Path, ...], Recording],
) -> _Part:
    # A recording under another name is read by the label's own tick and lot under the recorded name; many labels of
    # one recording survey it once.
    if name not in instruments.names:
        raise OperatorError(say("loopback.replay_label", name=name, known=", ".join(instruments.names)))
    at = instruments.names.index(name)
    spec = instruments.spec(at)
    brackets = [tuple(bracket.values()) for bracket in spec["brackets"]]
    own = Instruments([{**spec, "symbol": recorded_symbol(paths[0]) or name, "brackets": brackets}])
    if tuple(paths) not in known:
        known[tuple(paths)] = Recording(paths, own)
    return _Part(known[tuple(paths)], own, at, round(delay_s * SECOND_NS))


def recorded_symbol(path: Path) -> str:
    """Return the first symbol that a recording names; empty where it names none, or is none."""
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == GZIP
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            found = SYMBOL.search(file.read(HEAD_BYTES))
    except (OSError, EOFError, zlib.error):  # the recording's own reader says what is wrong
        return ""
    return found[1].decode() if found else ""
