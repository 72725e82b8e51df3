"""How much more of each instrument a portfolio's limits leave.

Knows value at risk and expected shortfall of normal returns, concentration, correlation, gross and net
exposure, and the distance to liquidation. Refuses to know where a covariance comes from and what an
order is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core_ext.sizing import Factor

__all__ = ["EwmaCovariance", "Limits", "Portfolio", "correlation_factor", "headroom"]

Floats = npt.NDArray[np.float64]

# Of the standard normal distribution: the 95 % quantile, and density at the 97.5 % quantile by its tail.
VAR_95 = 1.6448536269514722
ES_975 = 2.3378027922014134
# Size factor on the upper bound of the mean absolute correlation with the book.
CORRELATIONS = np.array([0.4, 0.6, 0.8, 1.0])
FACTORS = np.array([1.0, 0.7, 0.5, 0.3])


@dataclass(frozen=True)
class Limits:
    """Limits of a portfolio, shares of its equity.

    Attributes
    ----------
    daily_var, daily_es : float
        Value at risk at 95 % and expected shortfall at 97.5 % of a day.
    symbol : float
        Notional of one instrument.
    gross, net : float
        Sum of absolute notionals, absolute sum of notionals.
    liquidation_distance : float
        From the mark to the liquidation price after the trade, as a share of the mark.
    """

    daily_var: float
    daily_es: float
    symbol: float
    gross: float
    net: float
    liquidation_distance: float


@dataclass(frozen=True)
class Portfolio:
    """What a portfolio is at a moment; one row an instrument, signed USDT.

    Attributes
    ----------
    equity : float
        Margin balance.
    held : array of shape (n,)
        Notionals at the mark.
    bought, sold : array of shape (n,)
        The same once every open buy, or sell, of the instrument has filled.
    covariance : array of shape (n, n)
        Of daily returns.
    observations : float
        Effective number of observations behind it.
    maintenances : array of shape (n,)
        Maintenance margin by instrument.
    brackets : sequence of sequence of (float, float)
        By instrument, rising: notional cap and maintenance rate.
    """

    equity: float
    held: Floats
    bought: Floats
    sold: Floats
    covariance: Floats
    observations: float
    maintenances: Floats
    brackets: Sequence[Sequence[tuple[float, float]]]


class EwmaCovariance:
    """Covariance with exponentially falling weights and zero mean, one row of returns after the other.

    Parameters
    ----------
    half_life : float
        In rows.

    References
    ----------
    RiskMetrics Technical Document (1996), J.P. Morgan.
    """

    def __init__(self, half_life: float):
        self._decay = 0.5 ** (1.0 / half_life)
        self._sum: Floats | None = None
        self._weight = 0.0
        self._square = 0.0

    def add(self, returns: Floats) -> None:
        """Add the newest row of returns.

        Raises
        ------
        ValueError
            If a return is not finite.
        """
        if not np.isfinite(returns).all():
            raise ValueError("a covariance needs finite returns")
        product = np.outer(returns, returns)
        self._sum = product if self._sum is None else self._decay * self._sum + product
        self._weight = self._decay * self._weight + 1.0
        self._square = self._decay**2 * self._square + 1.0

    @property
    def observations(self) -> float:
        """Effective number of rows, ``(sum w)^2 / sum w^2``; 0 before the first."""
        return self._weight**2 / self._square if self._square else 0.0

    def value(self) -> Floats:
        """Return the covariance of a row.

        Raises
        ------
        ValueError
            Before the first row.
        """
        if self._sum is None:
            raise ValueError("a covariance needs at least one row of returns")
        return self._sum / self._weight


def correlation_factor(covariance: Floats, held: Floats, symbol: int, observations: float) -> float:
    """Return the size factor of an instrument from its correlation with what is held.

    Parameters
    ----------
    covariance : array of shape (n, n)
    held : array of shape (n,)
        Signed notionals; only instruments that are held count.
    symbol : int
    observations : float
        Effective number of observations.

    Returns
    -------
    float
        1 at a mean absolute correlation of 0.4 and below, 0.3 at 1, linear through (0.6, 0.7) and (0.8, 0.5).

    Notes
    -----
    On the upper 95 % bound of Fisher's transformation, so that few observations mean a smaller size.
    """
    others = np.flatnonzero((held != 0) & (np.arange(len(held)) != symbol))
    if len(others) == 0:
        return 1.0
    deviation = np.sqrt(np.diag(covariance))
    scale = deviation[symbol] * deviation[others]
    correlations = np.where(scale > 0, np.abs(covariance[symbol, others]) / np.where(scale > 0, scale, 1), 1)
    mean = min(float(correlations.mean()), 1 - 1e-12)
    bound = np.tanh(np.arctanh(mean) + VAR_95 / np.sqrt(max(observations - 3, 1e-9)))
    return float(np.interp(bound, CORRELATIONS, FACTORS))


def headroom(portfolio: Portfolio, limits: Limits) -> list[tuple[float, Factor, float, Factor]]:
    """Return what may still be bought and sold of each instrument.

    Parameters
    ----------
    portfolio : Portfolio
    limits : Limits

    Returns
    -------
    list of (float, Factor, float, Factor)
        By instrument: USDT to buy, the limit that binds, USDT to sell, the limit that binds; never negative.
    """
    rooms = []
    for symbol in range(len(portfolio.held)):
        factor = correlation_factor(portfolio.covariance, portfolio.held, symbol, portfolio.observations)
        rooms.append((*_room(portfolio, limits, symbol, 1, factor), *_room(portfolio, limits, symbol, -1, factor)))
    return rooms


def _room(portfolio: Portfolio, limits: Limits, symbol: int, sign: int, factor: float) -> tuple[float, Factor]:
    # The notional that still fits on one side, under the limit that leaves the least.
    if not portfolio.equity > 0:
        return 0.0, Factor.BAD_INPUT
    equity = portfolio.equity
    positions = portfolio.held.copy()
    positions[symbol] = (portfolio.bought if sign > 0 else portfolio.sold)[symbol]
    own = sign * float(positions[symbol])
    others = float(np.abs(positions).sum()) - abs(own)
    rooms = [
        (_within_variance(portfolio.covariance, positions, symbol, sign, limits, equity), Factor.VAR_HEADROOM),
        (limits.symbol * factor * equity - own, Factor.CONCENTRATION),
        (limits.gross * equity - others - own, Factor.GROSS),
        (limits.net * equity - sign * float(positions.sum()), Factor.GROSS),
        (_before_liquidation(portfolio, limits, symbol, sign) - own, Factor.LIQUIDATION_SAFE),
    ]
    least, binding = min(rooms, key=lambda room: room[0])
    return max(0.0, least), binding


def _within_variance(
    covariance: Floats, positions: Floats, symbol: int, sign: int, limits: Limits, equity: float
) -> float:
    # Larger root of c y^2 + 2 b y + (v - most) = 0; a portfolio that is above its limit has no room.
    most = (equity * min(limits.daily_var / VAR_95, limits.daily_es / ES_975)) ** 2
    c = float(covariance[symbol, symbol])
    b = sign * float(covariance[symbol] @ positions)
    v = float(positions @ covariance @ positions)
    if v > most or c <= 0:
        return 0.0
    return float((-b + np.sqrt(b * b + c * (most - v))) / c)


def _before_liquidation(portfolio: Portfolio, limits: Limits, symbol: int, sign: int) -> float:
    # Notional whose loss over the distance leaves just its maintenance there. The maintenance amount is left out:
    # it only adds room.
    room = portfolio.equity - float(portfolio.maintenances.sum() - portfolio.maintenances[symbol])
    distance = limits.liquidation_distance
    notional = 0.0
    for cap, rate in portfolio.brackets[symbol]:
        notional = room / (distance + rate * (1 - sign * distance))
        if notional <= cap:
            break
    return notional
