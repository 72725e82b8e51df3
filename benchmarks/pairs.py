"""Measuring two things so that their ratio holds when the machine does not.

Knows how to interleave repetitions and how to say a distribution in four numbers. Refuses to know
what is measured.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import process_time_ns

import numpy as np

SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

Timed = Callable[[], float]
Clock = Callable[[], int]


@dataclass(frozen=True)
class Pair:
    """Two measurements of the same rounds.

    Attributes
    ----------
    ours, theirs : float
        Median over the rounds, ns.
    ratio : float
        Median over the rounds of theirs / ours.
    """

    ours: float
    theirs: float
    ratio: float


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector out of what is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def prepared(prepare: Callable[[], Callable[[], object]], clock: Clock = process_time_ns) -> Timed:
    """Return a repetition that takes the time of the work only, ns, not of its preparation.

    Parameters
    ----------
    prepare : callable
        Returns the work.
    clock : callable
        Processor time by default: what else runs on the machine then counts less.
    """

    def timed() -> float:
        work = prepare()
        started = clock()
        work()
        return clock() - started

    return timed


def paired(ours: Timed, theirs: Timed, rounds: int) -> Pair:
    """Measure both in turn; the first round warms up and is dropped, each round begins with the other one.

    Parameters
    ----------
    ours, theirs : callable
        One repetition each; they return its ns.
    rounds : int
    """
    taken = []
    with undisturbed():
        for number in range(rounds + 1):
            first, second = (ours, theirs) if number % 2 else (theirs, ours)
            a, b = first(), second()
            taken.append((a, b) if number % 2 else (b, a))
    kept = taken[1:]
    return Pair(median(a for a, _ in kept), median(b for _, b in kept), median(b / a for a, b in kept))


def spread(taken_ns: np.ndarray) -> dict[str, float]:
    """Return p50, p99, p99.9 and max of times."""
    found = {name: float(np.quantile(taken_ns, share)) for name, share in SHARES.items()}
    return found | {"max": float(taken_ns.max())}
