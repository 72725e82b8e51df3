"""Portfolio headroom: from covariance, positions and limits to lots."""

from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core_ext.engine import Engine
from core_ext.sizing import Factor
from core_ext.types import Instruments, Rows

@final
class Headroom:
    """Headroom of every instrument, from the covariance of the returns between the times at which it is asked."""

    def __init__(
        self,
        instruments: Instruments,
        *,
        daily_var: float,
        daily_es: float,
        symbol: float,
        gross: float,
        net: float,
        liquidation_distance: float,
        asked_a_day: float,
        half_life: float,
    ) -> None: ...
    def ask(self, engine: Engine, ts: int, next_ts: int) -> Rows:
        """Take the marks in and say what the gate does not know yet."""

    @property
    def observations(self) -> list[float]:
        """Effective number of each instrument's returns, ``(sum w)^2 / sum w^2``; 0 before the first."""

    def add(self, returns: ArrayLike) -> None:
        """Add the newest return of every instrument, NaN for one that has none yet."""

    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance of a day's returns, of shape (n, n)."""

    def rooms(
        self, equity: float, held: ArrayLike, bought: ArrayLike, sold: ArrayLike, maintenances: ArrayLike
    ) -> list[tuple[float, Factor, float, Factor]]:
        """Return what a portfolio may still buy and sell of each instrument."""
