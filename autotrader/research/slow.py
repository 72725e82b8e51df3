"""The slow layer of a backtest: what takes longer than a decision may, asked between two market events.

Knows how to read a portfolio off an engine and how headroom becomes rows. Refuses to change the engine, and
keeps no time: the driver asks it and delivers what it says after the configured delay.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autotrader.models.headroom import EwmaCovariance, Floats, Limits, Portfolio, headroom
from core_ext.engine import Engine
from core_ext.sizing import Factor
from core_ext.types import EVENT_DTYPE, Flag, Kind

__all__ = ["Headroom"]

E8 = 10**8
FEWEST = 20  # effective number of returns before a covariance is believed


class Headroom:
    """Headroom of every symbol, from the covariance of the returns between the moments at which it was asked.

    Parameters
    ----------
    limits : Limits
    asked_a_day : float
        How often a day it is asked: scales the covariance to a day.
    half_life : float
        Of the covariance, in times asked.
    """

    def __init__(self, limits: Limits, asked_a_day: float, half_life: float):
        self._limits = limits
        self._asked_a_day = asked_a_day
        self._covariance = EwmaCovariance(half_life)
        self._prices: Floats | None = None
        self._brackets: list[list[tuple[float, float]]] = []
        self._lots: Floats = np.zeros(0)

    def __call__(self, engine: Engine) -> npt.NDArray[np.void]:
        """Return one HEADROOM row a symbol; none before there are enough returns."""
        marks = np.array([engine.account.position(k)["mark_e8"] for k in range(len(engine.instruments))], np.float64)
        if self._prices is None:
            self._read(engine)
        elif (marks > 0).all() and (self._prices > 0).all():
            self._covariance.add(marks / self._prices - 1.0)
        self._prices = marks
        if self._covariance.observations < FEWEST:
            return np.zeros(0, EVENT_DTYPE)
        return self._rows(headroom(self._portfolio(engine), self._limits), marks / E8 * self._lots)

    def _read(self, engine: Engine) -> None:
        specs = [engine.instruments.spec(k) for k in range(len(engine.instruments))]
        self._lots = np.array([spec["lot_e8"] / E8 for spec in specs])
        self._brackets = [[(row["cap_e8"] / E8, row["mmr_e8"] / E8) for row in spec["brackets"]] for spec in specs]

    def _portfolio(self, engine: Engine) -> Portfolio:
        legs = [
            (engine.account.position(k), engine.account.position(k, 1), *engine.gate.watching(k)["net_e8"])
            for k in range(len(self._lots))
        ]
        values = np.array(
            [(p["value_e8"] + q["value_e8"], p["maintenance_e8"] + q["maintenance_e8"], *far) for p, q, *far in legs]
        )
        held, maintenances, bought, sold = (values / E8).T
        return Portfolio(
            equity=engine.account.equity() / E8,
            held=held,
            bought=bought,
            sold=sold,
            covariance=self._covariance.value() * self._asked_a_day,
            observations=self._covariance.observations,
            maintenances=maintenances,
            brackets=self._brackets,
        )

    def _rows(self, rooms: list[tuple[float, Factor, float, Factor]], lot_values: Floats) -> npt.NDArray[np.void]:
        out = np.zeros(len(rooms), EVENT_DTYPE)
        out["kind"], out["flags"], out["symbol"] = Kind.HEADROOM, Flag.F_END, np.arange(len(out))
        buys, buy_factors, sells, sell_factors = zip(*rooms, strict=True)
        out["a"], out["b"] = np.floor(buys / lot_values), np.floor(sells / lot_values)
        out["c"], out["d"] = buy_factors, sell_factors
        return out
