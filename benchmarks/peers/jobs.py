"""What a peer's job is: both sides prepared, what they computed compared, the time of each taken in turn.

Knows rounds and how a pair becomes a row. Refuses to know any peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.contests import Contest
from benchmarks.peers.table import Row

ROUNDS, SHORT_ROUNDS = 11, 5

Measure = Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Job:
    """A job of a peer.

    Attributes
    ----------
    name : str
        For the terminal and for what did not finish.
    peer : str
        Of `table.PEERS`.
    measure : callable
        Yields its rows; it imports the peer, and only it.
    """

    name: str
    peer: str
    measure: Measure


class DifferentResultError(RuntimeError):
    """Both sides finished, and did not compute the same."""


def require_equal(what: str, ours: object, theirs: object) -> None:
    """Raise if two results differ.

    Raises
    ------
    DifferentResultError
        With both of them.
    """
    if ours != theirs:
        raise DifferentResultError(f"{what}: ours {ours}, theirs {theirs}")


def row(
    contest: Contest, named: tuple[str, str], peer: str, unit: str, aim: float | None, note: str, rounds: int = ROUNDS
) -> Row:
    """Measure a contest and return its row, times in nanoseconds a unit.

    Parameters
    ----------
    contest : Contest
    named : tuple of str
        The job in English and in Korean.
    peer, unit : str
    aim : float or None
    note : str
    rounds : int
    """
    pair = contest.measure(rounds)
    ours, theirs = (f"{digits(taken / contest.units)} ns/{unit}" for taken in (pair.ours, pair.theirs))
    return Row(*named, peer, ours, theirs, pair.ratio, aim, note)


def digits(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
