"""What every view is: rows of the journal in, typed records out.

Knows how a row is decoded, the scales of a run's instruments and the core's one rounding. Refuses to know
what any row means, and where records are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core_ext.types import Instruments

__all__ = ["E8", "INT64_MAX", "Row", "Scales", "View", "decode", "rounded"]

E8 = 10**8
INT64_MAX = 2**63 - 1

R = TypeVar("R")


class Row(NamedTuple):
    """One row of the journal as plain integers (`core_ext.types`, table of kinds)."""

    kind: int
    flags: int
    symbol: int
    lag_us: int
    ts: int
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int


class Scales:
    """What turns the ticks and lots of a run's rows into prices and quantities of 1e-8.

    Parameters
    ----------
    instruments : Instruments

    Attributes
    ----------
    names : list of str
        Symbols, by index.
    tick_e8, lot_e8, leverage : list of int
        Price of a tick, quantity of a lot, the leverage that the account opens with; by index.
    """

    def __init__(self, instruments: Instruments):
        specs = [instruments.spec(at) for at in range(len(instruments))]
        self.names = list(instruments.names)
        self.tick_e8: list[int] = [spec["tick_e8"] for spec in specs]
        self.lot_e8: list[int] = [spec["lot_e8"] for spec in specs]
        self.leverage: list[int] = [spec["leverage"] for spec in specs]


class View(ABC, Generic[R]):
    """One read model; subclasses say what it reads and keep its records.

    Attributes
    ----------
    name : str
        The table's name.
    record : type
        A dataclass; its fields are the table's columns, all of them int, str or bool.
    key : tuple of str
        Fields that tell one record from another.
    kinds : frozenset of int
        Kinds of rows that it reads; of all others `apply` need not be told.

    Notes
    -----
    A view's records are its whole state: `load` of what `drain` gave makes the same view again.
    """

    name: ClassVar[str]
    record: ClassVar[type]
    key: ClassVar[tuple[str, ...]]
    steps: dict[int, Callable[[int, Row], None]]

    @property
    def kinds(self) -> frozenset[int]:
        """Kinds of rows that the view reads."""
        return frozenset(map(int, self.steps))

    def apply(self, sequence: int, row: Row) -> None:
        """Fold one row, the one after the last; its kind is one of `kinds`."""
        self.steps[row.kind](sequence, row)

    @abstractmethod
    def rows(self) -> Iterator[R]:
        """Return the records that the view holds in memory, oldest first."""

    @abstractmethod
    def drain(self) -> list[R]:
        """Return the records that are new or changed since the last call, oldest first."""

    @abstractmethod
    def load(self, records: Iterator[R]) -> None:
        """Take back records of an earlier view, newest first; reads no more of them than it needs."""


def decode(first: int, rows: NDArray[np.void], wanted: NDArray[np.bool_]) -> Iterable[tuple[int, Row]]:
    """Return (sequence number, row) of the rows of the wanted kinds.

    Parameters
    ----------
    first : int
        Sequence number of the first row.
    rows : array of EVENT_DTYPE
    wanted : array of bool
        By kind.
    """
    found = np.flatnonzero(wanted[rows["kind"]])
    return zip((found + first).tolist(), map(Row._make, rows[found].tolist()), strict=True)


def rounded(product: int, divisor: int) -> int:
    """Return a quotient as the core books it: half away from zero, saturated at 63 bits.

    Parameters
    ----------
    product : int
        Exact.
    divisor : int
        Positive.
    """
    size = min((abs(product) + divisor // 2) // divisor, INT64_MAX)
    return size if product >= 0 else -size
