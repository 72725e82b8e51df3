"""Streaming features, one struct a symbol."""

from collections.abc import Iterable, Sequence
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

    def measure_vpin(self, symbol: int, bucket_lots: int, buckets: int = 50) -> None:
        """Begin to measure VPIN on volume buckets: a fiftieth of a day's usual volume is the usual size."""

    def observe(self, instruments: Instruments, rows: NDArray[np.void]) -> None:
        """Take touches, trades, closed candles and own fills; other kinds pass."""

    def features(self, symbol: int, now: int) -> dict[str, float]:
        """Return what can be asked of a symbol at a time (ns), by name; prices in ticks."""

def book_imbalance(bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], levels: int = 5) -> float:
    """Return bid less ask lots of the best levels as a share of both, from [(ticks, lots), ...] of each side."""

def book_depth(side: Iterable[tuple[int, int]], levels: int = 5) -> int:
    """Return the lots of the best levels of one side, [(ticks, lots), ...]."""

def walk_book(side: Iterable[tuple[int, int]], lots: int, middle: float) -> tuple[float, float]:
    """Return (average price in ticks, distance from the mid in bps) of lots taken from one side at once."""

def book_flow(
    bids_before: Iterable[tuple[int, int]],
    asks_before: Iterable[tuple[int, int]],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    levels: int = 1,
) -> int:
    """Return the order-flow imbalance between two looks at the best levels, lots; positive pushes up."""

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

    def mean(self, bars: int) -> float:
        """Return the mean of the last ``bars`` closes, NaN before there are enough."""

    def strength(self, lookbacks: tuple[int, ...]) -> float:
        """Return the mean over lookbacks of the return in units of its own volatility, each held to [-1, 1]."""

    def deviation(self) -> float:
        """Return the volatility of one bar (zero mean), NaN before the second bar."""

    def state(self) -> tuple[int, float, float, list[float]]:
        """Return everything that the window knows, for the state hash."""

class CandleSource:
    """Candles of a run that its files do not hold as they are."""

    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Add rows; return the rows that they complete."""

@final
class CandleBuilder(CandleSource):
    """Candles of every symbol from trades, all closing together at the interval's boundaries."""

    @property
    def interval_ns(self) -> int:
        """Length of a bar, ns."""

    def __init__(self, instruments: Instruments, interval_ns: int) -> None: ...
    def vwap(self, symbol: int) -> float:
        """Return the volume-weighted average price of a symbol's last closed bar, 0 before there is one."""

@final
class CandleAggregator:
    """Longer candles of every symbol from shorter closed ones, on UTC boundaries."""

    @property
    def source_ns(self) -> int:
        """Interval of the shorter candles, ns."""

    @property
    def intervals_ns(self) -> tuple[int, ...]:
        """Intervals of the longer ones, ns."""

    @property
    def symbols(self) -> int:
        """Number of symbols."""

    def __init__(self, symbols: int, source_ns: int, intervals_ns: tuple[int, ...]) -> None: ...
    def vwap(self, symbol: int, interval_ns: int) -> float:
        """Return the volume-weighted typical price, (high + low + close) / 3, of a symbol's last longer bar."""

    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Add rows; return the longer candles that they complete."""

    def state(self) -> list[dict[str, Any]]:
        """Return everything that the bars under way know, for the state hash."""

@final
class LongerCandles(CandleSource):
    """The rows of a run whose candles are longer than those of its files."""

    @property
    def interval_ns(self) -> int:
        """Interval of the run's candles, ns."""

    def __init__(self, symbols: int, source_ns: int, interval_ns: int) -> None: ...
