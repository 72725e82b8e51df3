"""The contest with the peers as a table: what was measured, what it was to reach, which peer was not there.

Knows rows, result files and the page's section. Refuses to know how anything is measured: it imports no
peer and nothing of the core, so that a page can say what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build/peers"
HOW = "`make peers` makes environments of their own for them, runs the same jobs and leaves the result in `build/`"
# Distribution names; simdjson's On-Demand is no Python package, but a header that the contest is compiled with.
PEERS = (
    "hftbacktest",
    "nautilus_trader",
    "msgspec",
    "orjson",
    "pysimdjson",
    "simdjson",
    "python-binance",
    "ccxt",
    "vectorbt",
)
HEADER = ("what", "항목", "peer", "ours", "theirs", "ratio", "aim", "")


@dataclass(frozen=True)
class Row:
    """One job, ours against a peer's.

    Attributes
    ----------
    job, korean : str
    peer : str
        Of `PEERS`.
    ours, theirs : str
        Both sides, in their own units.
    ratio : float
        Theirs over ours: how many times as fast we are.
    aim : float or None
        What the ratio is to reach at least; None for what is reported only.
    note : str
        What each side does, and in what they differ.
    """

    job: str
    korean: str
    peer: str
    ours: str
    theirs: str
    ratio: float
    aim: float | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the aim is met; nothing where there is none. A ratio that is no number meets none."""
        if self.aim is None:
            return ""
        return "met" if self.ratio >= self.aim else "NOT MET"

    def cells(self, versions: dict[str, str]) -> tuple[str, ...]:
        """Return the row of a table."""
        peer = f"{self.peer} {versions.get(self.peer, '')}".strip()
        aim = "" if self.aim is None else f">= {self.aim:g}"
        return self.job, self.korean, peer, self.ours, self.theirs, f"{times(self.ratio)} x", aim, self.verdict


@dataclass(frozen=True)
class Result:
    """What one environment measured.

    Attributes
    ----------
    date : str
        UTC.
    machine : dict of str
    data : str
        The recordings.
    versions : dict of str
        Of the peers that were there.
    rows : list of Row
    failures : dict of str
        By job: why a peer that was there did not finish, or did not compute the same.
    """

    date: str
    machine: dict[str, str]
    data: str
    versions: dict[str, str]
    rows: list[Row]
    failures: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read one back.

        Raises
        ------
        ValueError
            If the file is no result: another version wrote it, or it was cut short.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**found, "rows": [Row(**row) for row in found["rows"]]})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no result of the peers' contest; make peers writes it anew") from error


def results(folder: Path = RESULTS) -> list[Result]:
    """Return what the environments measured, by name; none where nothing was."""
    return [Result.read(path) for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)]


def installed(peers: Iterable[str] = PEERS) -> dict[str, str]:
    """Return the versions of the peers that this interpreter has."""
    found = {}
    for peer in peers:
        try:
            found[peer] = version(peer)
        except PackageNotFoundError:
            continue
    return found


def missing(found: Iterable[Result]) -> list[str]:
    """Return the peers that no result has."""
    there = {peer for result in found for peer in result.versions}
    return [peer for peer in PEERS if peer not in there]


def times(ratio: float) -> str:
    """Return a ratio with three digits that count."""
    return f"{ratio:,.0f}" if abs(ratio) >= 100 else f"{ratio:.3g}"


def plain_table(result: Result) -> str:
    """Return the table for a terminal, without its Korean column and its notes."""
    shown = [0, *range(2, len(HEADER))]
    rows = [[cells[k] for k in shown] for cells in (HEADER, *(row.cells(result.versions) for row in result.rows))]
    widths = [max(len(row[k]) for row in rows) for k in range(len(shown))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((*lines, *(f"{job}: {why}" for job, why in result.failures.items())))


def section(found: list[Result]) -> list[str]:
    """Return the page's section: the table, or how to make it where nothing was measured."""
    title = ["## Peers · 다른 도구와의 비교", ""]
    if not any(result.rows for result in found):
        return [*title, f"Not measured here. {HOW}.", ""]
    rows = list({(row.job, row.peer): (row, result.versions) for result in found for row in result.rows}.values())
    return [
        *title,
        *_summary([row for row, _ in rows]),
        *(f"- Not measured: {peer} is not installed." for peer in missing(found)),
        *(f"- Not measured: {job}: {why}." for result in found for job, why in result.failures.items()),
        "",
        _line(HEADER),
        "|---|---|---|---:|---:|---:|---:|---|",
        *(_line(row.cells(versions)) for row, versions in rows),
        "",
        "What each side does:",
        "",
        *(f"- {job}: {note}" for job, note in _notes(row for row, _ in rows).items()),
        "",
        *_origin(found),
        "",
    ]


def _summary(rows: list[Row]) -> list[str]:
    judged = [row for row in rows if row.aim is not None]
    missed = [f"{row.job} ({row.peer})" for row in judged if row.verdict == "NOT MET"]
    outcome = "All are met." if not missed else f"Not met: {'; '.join(missed)}."
    return [
        f"The same jobs, each side in turn in one process; a ratio says how many times as fast the core is. "
        f"{len(judged) - len(missed)} of {len(judged)} aims are met. {outcome}",
        "",
    ]


def _notes(rows: Iterable[Row]) -> dict[str, str]:
    # A job's note once, in the order of the table.
    return {f"{row.job}, {row.peer}": row.note for row in rows if row.note}


def _origin(found: list[Result]) -> list[str]:
    return [
        f"- {', '.join(f'{peer} {number}' for peer, number in result.versions.items())}: measured {result.date} "
        f"on {result.machine['CPU']}, {result.machine['Python']}, load {result.machine['load']}; {result.data}."
        for result in found
        if result.rows
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
