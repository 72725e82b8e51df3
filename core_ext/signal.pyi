"""Streaming features, one struct a symbol."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core_ext.types import Instruments

@final
class Markets:
    """The features of every symbol of a run."""

    @property
    def size(self) -> int:
        """Number of symbols."""

    def __init__(self, size: int) -> None: ...
    def market(self, symbol: int) -> dict[str, Any]:
        """Return a symbol's features."""

    def set(self, symbol: int, **fields: int | Sequence[int]) -> None:
        """Set features by name, as the engine would from events; the gate's boundary tests state their market so."""

@final
class BarWindow:
    """Closes of the last bars, with their exponentially weighted volatility."""

    @property
    def count(self) -> int:
        """Closes seen so far."""

    def __init__(self, length: int, half_life: float) -> None: ...
    def push(self, close: float) -> None:
        """Append a close."""

    def change(self, bars: int) -> float:
        """Return the simple return over the last ``bars`` bars, NaN before there are enough."""

    def strength(self, lookbacks: tuple[int, ...]) -> float:
        """Return the mean over lookbacks of the return in units of its own volatility, each held to [-1, 1]."""

    def deviation(self) -> float:
        """Return the volatility of one bar (zero mean), NaN before the second bar."""

    def state(self) -> tuple[int, float, float, list[float]]:
        """Return everything that the window knows, for the state hash."""

@final
class CandleBuilder:
    """Candles of every symbol from trades, all closing together at the interval's boundaries."""

    @property
    def interval_ns(self) -> int:
        """Length of a bar, ns."""

    def __init__(self, instruments: Instruments, interval_ns: int) -> None: ...
    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Add rows; return the rows that they complete."""
