"""Run the contest with every peer that this interpreter has; say which it has not.

Run it with ``python -m benchmarks.peers build/peers/NAME.json [PEER ...]``; `make peers` does. Peers named
are measured alone: where two environments have one, only one of them measures it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.peers import books, build, candles, l2, orders, parse
from benchmarks.peers.jobs import Job
from benchmarks.peers.table import PEERS, Result, Row, installed, plain_table
from benchmarks.recording import CANDLES, Stream, first_present, stream


def main(arguments: list[str]) -> int:
    """Measure, print, write the result; return 1 if a job of a peer that is there did not finish."""
    path, *named = arguments or [""]
    if not path or not set(named) <= set(PEERS):
        print(f"usage: python -m benchmarks.peers RESULT.json [PEER ...], of {', '.join(PEERS)}", file=sys.stderr)
        return 2
    wanted = named or PEERS
    versions = found(wanted)
    for peer in wanted:
        if peer not in versions:
            print(f"not installed here: {peer}", file=sys.stderr)
    recording = stream()
    rows, failures = run(all_jobs(recording), versions)
    data = f"{recording.path.name}, {first_present(CANDLES).name}"
    result = Result(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", machine(), data, versions, rows, failures)
    result.write(Path(path))
    print(plain_table(result))
    return int(bool(failures))


def found(wanted: Collection[str]) -> dict[str, str]:
    """Return the versions of the peers that are there; On-Demand's is its header's."""
    versions = installed(wanted)
    library = build.ondemand() if "simdjson" in wanted else None
    return versions | ({"simdjson": library.simdjson_version().decode()} if library else {})


def all_jobs(recording: Stream) -> list[Job]:
    """Return every job, in the order of the table."""
    return [
        *books.jobs(recording),
        *parse.jobs(recording),
        *orders.jobs(recording),
        *l2.jobs(recording),
        *candles.jobs(),
    ]


def run(jobs: Iterable[Job], versions: dict[str, str]) -> tuple[list[Row], dict[str, str]]:
    """Run the jobs of the peers that are there; return the rows, and why a job did not finish, by job.

    Parameters
    ----------
    jobs : iterable of Job
    versions : dict of str
        Of the peers that are there.
    """
    rows: list[Row] = []
    failures = {}
    for job in jobs:
        if job.peer not in versions:
            continue
        print(f"measuring: {job.name}, {job.peer}", file=sys.stderr)
        try:
            rows.extend(job.measure())
        except Exception as error:  # a peer may raise anything; the others are still measured
            failures[f"{job.name}, {job.peer}"] = f"{type(error).__name__}: {error}"
    return rows, failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
