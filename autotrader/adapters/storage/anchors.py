"""Anchors: how long a journal was and what its chain came to, kept apart from it, so that a change is found.

Knows the anchors' lines, where their second copy lies, and how a journal is held against them. Refuses to know what
the rows between the first and the last mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.journal import ROW_BYTES, JournalDamaged, read_block
from core_ext.types import EVENT_DTYPE, Kind

__all__ = ["Anchor", "Anchors", "Audit", "Finding", "audit", "copies", "read_anchors"]

START = bytes(32)
MOST_BYTES = 1 << 26
"""Of an anchors file: a line for 65,536 rows, so that this is more than a hundred times the longest run."""


class Anchor(NamedTuple):
    """How many rows there were, what the chain of their blocks was, and when (UTC, ISO 8601)."""

    rows: int
    chain: bytes
    at: str

    def line(self) -> bytes:
        """Return the line of the file."""
        return json.dumps({"rows": self.rows, "chain": self.chain.hex(), "at": self.at}).encode() + b"\n"


@dataclass(frozen=True)
class Finding:
    """What is wrong with a journal.

    Attributes
    ----------
    what : str
        anchors, missing, copy, manifest, header_or_rows, forged, torn, truncated, other, unsealed, after_seal or
        after_anchor.
    row : int
        The first row that cannot be trusted, or that is missing.
    detail : str
    """

    what: str
    row: int
    detail: str = ""


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    rows, blocks : int
        That check, from the first on.
    chain : str
        Of them, hexadecimal.
    anchors, anchored : int
        Anchors that agree, and the rows that the last of these vouches for.
    torn : int
        Bytes at the end that belong to no block, which a run that broke off may leave.
    finding : Finding or None
        None for a journal that is what the run wrote.
    """

    rows: int
    blocks: int
    chain: str
    anchors: int
    anchored: int
    torn: int
    finding: Finding | None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding is None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Anchors:
    """Writes the anchors of one journal: give it to the writer.

    The first says that there were no rows yet. A second copy that cannot be written is counted, not raised: a run with
    open positions does not end because another machine is away, and the next anchor vouches for all rows before it.

    Parameters
    ----------
    file : Path
        Must not exist yet.
    copy : Path, optional
        Second place, on another file system; must not exist yet.
    now : callable, optional
        The wall clock.

    Attributes
    ----------
    missed : int
        Anchors that the second place did not take.

    Raises
    ------
    OperatorError
        If one of the files cannot be made.
    """

    def __init__(self, file: Path, copy: Path | None = None, now: Callable[[], str] = _now):
        self.file, self.copy, self.now, self.missed = file, copy, now, 0
        first, made = Anchor(0, START, now()), list[Path]()
        for place in filter(None, (file, copy)):
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                _append(place, first, os.O_EXCL)
            except OSError as error:
                for one in made:
                    one.unlink()
                raise OperatorError(say("audit.cannot_anchor", path=place, reason=error.strerror)) from None
            made.append(place)

    def __call__(self, rows: int, chain: bytes) -> None:
        """Keep an anchor; an OSError of the file beside the journal is a failed write of the journal."""
        anchor = Anchor(rows, chain, self.now())
        _append(self.file, anchor)
        if self.copy is not None:
            try:
                _append(self.copy, anchor)
            except OSError:
                self.missed += 1

    def discard(self) -> None:
        """Remove the files of a run that read nothing."""
        for place in filter(None, (self.file, self.copy)):
            place.unlink(missing_ok=True)


def _append(file: Path, anchor: Anchor, flags: int = 0) -> None:
    line = anchor.line()
    place = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o600)
    try:
        if os.write(place, line) != len(line):
            raise OSError(f"{file}: a line was not written whole")
        os.fsync(place)
    finally:
        os.close(place)


def copy_name(fingerprint: str, at: str) -> str:
    """Return the name of a run's copy in the second place."""
    return f"{fingerprint[:16]}-{''.join(filter(str.isalnum, at))}.jsonl"


def new_copy(folder: Path, fingerprint: str) -> Path:
    """Return the file of a fresh run in the second place."""
    return folder / copy_name(fingerprint, _now())


def copies(folder: Path, fingerprint: str) -> list[Path]:
    """Return the copies in the second place that are of runs of a plan, oldest first.

    Raises
    ------
    OperatorError
        If the folder cannot be read.
    """
    try:
        return sorted(item for item in folder.iterdir() if item.name.startswith(f"{fingerprint[:16]}-"))
    except OSError as error:
        raise OperatorError(say("recording.unreadable", path=folder, reason=error.strerror)) from None


def read_anchors(file: Path, broke_off: bool = False) -> list[Anchor]:
    """Return the anchors of a file.

    Parameters
    ----------
    file : Path
    broke_off : bool
        Whether the run may have ended while it wrote: then a last line that does not end is passed over.

    Raises
    ------
    ValueError
        If a line is no anchor, or says fewer rows than the one before; it names the line.
    OSError
        If it cannot be read.
    """
    text = file.read_bytes()
    if len(text) > MOST_BYTES:
        raise ValueError(f"{file}: {len(text)} bytes")
    *lines, rest = text.split(b"\n")
    if rest and not broke_off:
        raise ValueError(f"{file}: line {len(lines) + 1} does not end")
    found: list[Anchor] = []
    for number, line in enumerate(lines, start=1):
        anchor = _anchor(line)
        if anchor is None or anchor.line() != line + b"\n" or (anchor.rows <= found[-1].rows if found else anchor.rows):
            raise ValueError(f"{file}: line {number} is no anchor that may follow")
        found.append(anchor)
    if not found:
        raise ValueError(f"{file}: no line")
    return found


def _anchor(line: bytes) -> Anchor | None:
    try:
        match json.loads(line):
            case {"rows": int(rows), "chain": str(chain), "at": str(at), **rest} if not rest:
                return Anchor(rows, bytes.fromhex(chain), at)
    except (ValueError, RecursionError):
        pass
    return None


def audit(
    journal: Path, anchors: Path, fingerprint: str | None, complete: bool, seconds: Sequence[Path] | None = None
) -> Audit:
    """Hold a journal against its anchors, block by block.

    Parameters
    ----------
    journal, anchors : Path
    fingerprint : str or None
        Of the manifest, which the first row must name; None for a manifest that is not what it says it is.
    complete : bool
        Whether the run says that it ended well: then its last row is its seal and its last anchor.
    seconds : sequence of Path, optional
        Copies in the second place, of which one must be this run's; None where nobody asked for one.

    Returns
    -------
    Audit

    Raises
    ------
    OSError
        If the journal cannot be read.
    """
    walk = _Walk(journal)
    try:
        known = read_anchors(anchors, broke_off=not complete)
    except FileNotFoundError:
        return walk.result(Finding("missing", 0, str(anchors)))
    except (OSError, ValueError) as error:
        return walk.result(Finding("anchors", 0, str(error)))
    finding = walk.against(known) or walk.at_the_end(known, complete, fingerprint)
    if finding is None and seconds is not None:
        finding = _against_copies(walk, known, seconds)
    return walk.result(finding)


def _against_copies(walk: _Walk, known: Sequence[Anchor], seconds: Sequence[Path]) -> Finding | None:
    # One of them must hold nothing but this run's anchors: what is in two places was not changed in one of them.
    reasons = []
    for file in seconds:
        try:
            held = read_anchors(file, broke_off=True)
        except (OSError, ValueError) as error:
            reasons.append(str(error))
            continue
        strange = next((anchor for anchor in held if anchor not in known), None)
        if strange is None:
            return None
        reasons.append(f"{file}: {strange.rows} rows at {strange.at}")
    row = max((anchor.rows for anchor in known if anchor.rows < walk.rows), default=0)
    return Finding("copy", row, "; ".join(reasons) or "-")


class _Walk:
    # Through a journal's blocks, as far as they check.
    def __init__(self, path: Path):
        self.path = path
        self.size = path.stat().st_size
        self.rows = self.blocks = self.whole = self.agreed = self.anchored = 0
        self.chain = START
        self.first_run = ""
        self.seal = -1

    def against(self, known: Sequence[Anchor]) -> Finding | None:
        left = list(reversed(known[1:]))
        self.agreed = 1
        if known[0].chain != START:
            return Finding("forged", 0, known[0].at)
        try:
            for _ in self._blocks():
                while left and left[-1].rows <= self.rows:
                    if left[-1].rows < self.rows or left[-1].chain != self.chain:
                        return Finding("forged", self.anchored, left[-1].at)
                    self.anchored, self.agreed = left.pop().rows, self.agreed + 1
        except JournalDamaged as damage:
            return Finding("header_or_rows", self.rows, str(damage))
        return Finding("truncated", self.rows, left[-1].at) if left else None

    def _blocks(self) -> Iterator[None]:
        with self.path.open("rb") as file:
            while (block := read_block(file, self.path, self.rows, self.chain)) is not None:
                body, self.chain = block
                self._look(body)
                self.rows += len(body) // ROW_BYTES
                self.blocks += 1
                self.whole = file.tell()
                yield

    def _look(self, body: bytes) -> None:
        rows = np.frombuffer(body, EVENT_DTYPE)
        if self.rows == 0:
            self.first_run = rows[:1].tobytes()[16:48].hex() if rows["kind"][0] == Kind.RUN else "-"
        for at in np.flatnonzero(rows["kind"] == int(Kind.SEAL)).tolist()[:1]:
            self.seal = self.rows + at if self.seal < 0 else self.seal

    @property
    def torn(self) -> int:
        return self.size - self.whole

    def at_the_end(self, known: Sequence[Anchor], complete: bool, fingerprint: str | None) -> Finding | None:
        if fingerprint is None:
            return Finding("manifest", 0)
        if self.rows and self.first_run != fingerprint:
            return Finding("other", 0, fingerprint)
        if 0 <= self.seal < self.rows - 1:
            return Finding("after_seal", self.seal + 1)
        if not complete:
            return None
        if self.torn:
            return Finding("torn", self.rows, str(self.torn))
        if self.seal < 0:
            return Finding("unsealed", self.rows)
        return Finding("after_anchor", self.anchored, known[-1].at) if self.rows > self.anchored else None

    def result(self, finding: Finding | None) -> Audit:
        return Audit(self.rows, self.blocks, self.chain.hex(), self.agreed, self.anchored, self.torn, finding)
