"""Verdicts on market data, and the policies that follow from them."""

from enum import IntEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core_ext.book import Book
from core_ext.types import Instruments

class Verdict(IntEnum):
    """Bit number of a verdict; bit 0 says that the datum is discarded."""

    STALE = 1
    BAD_PRICE = 2
    OUTLIER = 3
    SPIKE = 4
    CROSSED = 5
    WIDE_SPREAD = 6
    ONE_SIDED = 7
    VOLUME_SPIKE = 8
    VOLUME_DROP = 9

class Policy(IntEnum):
    """What follows from a verdict."""

    WARN = 0
    CONSERVATIVE = 1
    HALT_SYMBOL = 2
    DISCARD = 3

@final
class Quality:
    """What is believed of the market data of a run."""

    @property
    def size(self) -> int:
        """Number of symbols."""

    def __init__(self, instruments: Instruments, settings: dict[str, int], policies: dict[str, str]) -> None: ...
    def feed(self, rows: NDArray[np.void], books: list[Book] | None = None) -> NDArray[np.uint16]:
        """Judge rows (of EVENT_DTYPE) in order; depth is applied to the books, by symbol."""

    def beginning(self) -> list[tuple[int, Verdict]]:
        """Return [(symbol, verdict), ...] of what began with the last datum."""

    def is_conservative(self, symbol: int, now: int) -> bool:
        """Return whether orders in a symbol must be smaller and passive."""

    def is_halted(self, symbol: int, now: int) -> bool:
        """Return whether a symbol takes no entries."""

    def worse(self, symbol: int, mark_e8: int, lots: int) -> int:
        """Return the mark, 1e-8, at which a position is valued while one may be held back."""

    def counts(self, symbol: int) -> dict[str, int]:
        """Return how many data of a symbol were judged, discarded, and had each verdict."""

    def state(self) -> tuple[int, list[dict[str, Any]]]:
        """Return everything that decides what is judged next, for the state hash."""
