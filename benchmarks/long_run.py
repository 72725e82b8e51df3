"""One run over a recording that goes on: what ten times the data cost in time and in memory.

Knows how to repeat a recording behind itself and where the process's memory is read. Refuses to know
what is made of the figures.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from time import process_time_ns

from benchmarks.contests import Run
from benchmarks.recording import Stream

STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class LongRun:
    """What a run over so many copies of a recording took.

    Attributes
    ----------
    ns : float
        Processor time of the engine's work; making the copies is not in it.
    events : int
    growth_bytes : int
        Resident memory after the last copy, less that after the first.
    """

    ns: float
    events: int
    growth_bytes: int


def resident_bytes() -> int:
    """Return the process's resident memory (Linux), what the allocator keeps for later given back first."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def long_run(stream: Stream, copies: int) -> LongRun:
    """Feed so many copies of a recording to one engine, each with its stamps and ids behind the last."""
    taken, first = 0, 0

    def feed(session):
        nonlocal taken, first
        for number in range(copies):
            rows = stream.shifted(number)
            started = process_time_ns()
            session.driver.feed_rows(rows, 0, number * len(rows))
            taken += process_time_ns() - started
            del rows
            first = first or resident_bytes()

    outcome = Run(stream.plan, stream.recording.start_ns, feed)()
    gaps = outcome.engine.books[0].gaps
    if gaps != copies - 1:
        raise RuntimeError(f"{copies} copies must break the chain of ids {copies - 1} times, not {gaps}")
    return LongRun(taken, outcome.rows, resident_bytes() - first)
