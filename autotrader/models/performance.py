"""Performance: what an equity curve, a list of fills and a latency histogram say.

Knows UTC days, a year of 365 of them, the starting equity, and money that came from outside. Refuses to know files,
clocks, coins and how the curve came to be. A number that the data do not define is ``None``: never 0, NaN or infinity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotrader.errors import OperatorError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
DAYS_PER_YEAR = 365.0
# Deviations below this share of the largest return are rounding, not variance.
ROUNDING = 1e-12
# The largest natural logarithm that a double can still exponentiate.
LARGEST_LOG = 709.0
# Two records of one position may differ by the rounding of a quantity to a double, not by more.
QUANTITY_ROUNDING = 1e-9


class Transfers(NamedTuple):
    """Money that entered (positive) or left the account: ``ts_ns`` UTC nanoseconds, ``amounts`` in USDT."""

    ts_ns: Integers
    amounts: Floats


class Fills(NamedTuple):
    """Fills in the order in which they happened; all columns have one length.

    ``symbols`` names, ``ts_ns`` UTC nanoseconds, ``prices`` in USDT, ``quantities`` in coins (buy positive), ``fees``
    in USDT (paid positive), ``positions_after`` in coins (long positive) once the fill is booked.
    """

    symbols: Sequence[str]
    ts_ns: Integers
    prices: Floats
    quantities: Floats
    fees: Floats
    positions_after: Floats


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position from flat to flat: quantities in coins, averages and money in USDT, times in ns UTC.

    ``exit_ns`` is ``None`` while the position is open; ``exit_average`` is ``None`` until something was closed.
    Funding is not part of a round trip.
    """

    symbol: str
    is_long: bool
    entry_ns: int
    exit_ns: int | None
    max_quantity: float
    entry_average: float
    exit_average: float | None
    gross: float
    fees: float
    fills: int

    @property
    def net(self) -> float:
        """Return the gross result less the fees, in USDT."""
        return self.gross - self.fees


def without_transfers(ts_ns: Integers, equity: Floats, initial_equity: float, transfers: Transfers | None) -> Floats:
    """Return the curve that the same returns would have drawn had no money been moved, in USDT.

    Parameters
    ----------
    ts_ns, equity
        Observation times (UTC nanoseconds, not decreasing) and the equity at each, in USDT.
    initial_equity
        Equity before the first observation, in USDT.
    transfers
        Money moved during the curve, or ``None``.

    Raises
    ------
    OperatorError
        If the columns differ in length, run backwards, hold a value that is not finite, or end before a transfer.

    Notes
    -----
    Time-weighted: between observations the account grows by ``(E[i] - F[i]) / E[i-1]`` with ``F[i]`` the money that
    arrived since the last one, and the factors are multiplied. From the first equity at or below zero on the curve is
    flat, because a return on nothing is not defined.

    References
    ----------
    P. O. Dietz, "Pension Funds: Measuring Investment Performance", 1966.
    """
    _require_curve(ts_ns, equity)
    if transfers is None or not len(transfers.ts_ns):
        return equity
    before = np.concatenate(([initial_equity], equity[:-1]))
    alive = np.minimum.accumulate(before) > 0.0
    growth = np.ones(len(equity))
    np.divide(equity - _flows(ts_ns, transfers), before, out=growth, where=alive)
    return np.float64(initial_equity) * np.cumprod(growth)


def daily_closes(ts_ns: Integers, equity: Floats, initial_equity: float) -> tuple[Integers, Floats]:
    """Return the UTC days that a curve spans (days since 1970) and the equity at the close of each, in USDT.

    A day ends with the observation at its 24:00; a day without an observation keeps the close before it. An opening
    observation at exactly 00:00, the starting equity unchanged, belongs to the day that it opens.
    """
    _require_curve(ts_ns, equity)
    if not len(ts_ns):
        return np.empty(0, np.int64), np.empty(0)
    opens = ts_ns[0] % DAY_NS == 0 and equity[0] == initial_equity
    day = np.maximum((ts_ns - 1) // DAY_NS, (ts_ns[0] - (0 if opens else 1)) // DAY_NS)
    days = np.arange(day[0], day[-1] + 1)
    return days, equity[np.searchsorted(day, days, side="right") - 1]


def daily_returns(ts_ns: Integers, equity: Floats, initial_equity: float, transfers: Transfers | None = None) -> Floats:
    """Return the simple returns from UTC close to UTC close, the starting equity being the first close.

    Parameters and errors are those of `without_transfers`. The first and the last day count although they may be
    partial. The series ends with the day that takes the equity to zero or below.

    Examples
    --------
    >>> import numpy as np
    >>> daily_returns(np.array([1, 2]) * DAY_NS, np.array([1010.0, 1005.0]), 1000.0).round(6).tolist()
    [0.01, -0.00495]
    """
    _, closes = daily_closes(ts_ns, without_transfers(ts_ns, equity, initial_equity, transfers), initial_equity)
    before = np.concatenate(([initial_equity], closes[:-1]))[: len(closes)]
    alive = int(np.count_nonzero(np.minimum.accumulate(before) > 0.0))
    return closes[:alive] / before[:alive] - 1.0


def total_return(equity: Floats, initial_equity: float) -> float | None:
    """Return the growth from the starting equity to the last observation (0.1 is 10 %), ``None`` without either."""
    if initial_equity <= 0.0 or not len(equity):
        return None
    return float(equity[-1] / initial_equity - 1.0)


def cagr(growth: float | None, elapsed_ns: int) -> float | None:
    """Return the yearly growth rate that compounds to ``growth`` over the elapsed time.

    Parameters
    ----------
    growth
        Total return over the period, or ``None``.
    elapsed_ns
        Elapsed time, not a count of observations, in nanoseconds.

    Returns
    -------
    float or None
        ``None`` for less than one day (a few hours raised to the power of a year say nothing), for a loss of more than
        everything, and for a rate too large to be a number.
    """
    if growth is None or elapsed_ns < DAY_NS or growth < -1.0:
        return None
    if growth == -1.0:
        return -1.0
    log_rate = float(np.log1p(growth)) * DAYS_PER_YEAR * DAY_NS / elapsed_ns
    return float(np.expm1(log_rate)) if log_rate < LARGEST_LOG else None


def annual_volatility(returns: Floats, periods: float = DAYS_PER_YEAR) -> float | None:
    """Return the yearly standard deviation (ddof 1) of ``returns``, ``periods`` of them in a year."""
    deviation = _deviation(returns)
    return None if deviation is None else deviation * float(np.sqrt(periods))


def sharpe(returns: Floats, periods: float = DAYS_PER_YEAR) -> float | None:
    """Return the annual Sharpe ratio of simple returns, with no risk-free rate.

    Parameters
    ----------
    returns
        Simple returns of equal periods.
    periods
        Periods in a year; 365 for days of a market that never closes.

    Returns
    -------
    float or None
        Mean over standard deviation (ddof 1) times ``sqrt(periods)``; ``None`` for fewer than two returns or none that
        differ.

    References
    ----------
    W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> round(sharpe(np.array([0.01, 0.03])), 6)
    27.018512
    """
    deviation = _deviation(returns)
    return None if deviation is None else float(np.mean(returns) / deviation * np.sqrt(periods))


def sortino(returns: Floats, periods: float = DAYS_PER_YEAR) -> float | None:
    """Return the annual Sortino ratio for a target of zero.

    Returns
    -------
    float or None
        Mean over downside deviation times ``sqrt(periods)``; the mean square of the losses runs over *all* returns, a
        gain counting as zero. ``None`` for fewer than two returns or no loss.

    References
    ----------
    F. A. Sortino and R. van der Meer, "Downside Risk", Journal of Portfolio Management, 1991.
    """
    _require_finite("returns", returns)
    if len(returns) < 2 or np.min(returns) >= 0.0:
        return None
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
    return float(np.mean(returns) / downside * np.sqrt(periods))


def drawdown_series(equity: Floats, initial_equity: float) -> Floats:
    """Return the loss from the running peak at each observation, as a positive share of the peak.

    The starting equity is the first peak, so that a first-day loss is a drawdown.

    Raises
    ------
    OperatorError
        If the starting equity is not positive or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> drawdown_series(np.array([90.0, 120.0, 108.0]), 100.0).round(6).tolist()
    [0.1, 0.0, 0.1]
    """
    _require_finite("equity", equity)
    if not initial_equity > 0.0:
        raise OperatorError(f"initial_equity is {initial_equity}: a drawdown needs a starting equity above 0")
    peak = np.maximum.accumulate(np.concatenate(([initial_equity], equity)))[1:]
    return 1.0 - equity / peak


def max_drawdown(equity: Floats, initial_equity: float) -> float | None:
    """Return the largest loss from a running peak that includes the starting equity (0.12 is 12 %).

    ``None`` when there is no observation; errors are those of `drawdown_series`.

    References
    ----------
    M. Magdon-Ismail and A. Atiya, "Maximum Drawdown", Risk, 2004.
    """
    return float(np.max(drawdown_series(equity, initial_equity))) if len(equity) else None


def calmar(annual_growth: float | None, drawdown: float | None) -> float | None:
    """Return the compound annual growth rate over the maximum drawdown, ``None`` if either is undefined or no drawdown.

    References
    ----------
    T. W. Young, "Calmar Ratio: A Smoother Tool", Futures, 1991.
    """
    return None if annual_growth is None or not drawdown else annual_growth / drawdown


def compound(returns: Iterable[float]) -> float:
    """Return the simple return of a sequence of simple returns.

    Examples
    --------
    >>> round(compound([0.1, -0.5]), 6)
    -0.45
    """
    return float(np.prod([1.0 + value for value in returns])) - 1.0


def monthly_returns(
    ts_ns: Integers, equity: Floats, initial_equity: float, transfers: Transfers | None = None
) -> dict[int, list[float | None]]:
    """Return the compounded return of each UTC month, by year: twelve places, ``None`` where there was no day.

    Parameters and errors are those of `without_transfers`. The first and the last month may be partial.
    """
    curve = without_transfers(ts_ns, equity, initial_equity, transfers)
    returns = daily_returns(ts_ns, curve, initial_equity)
    days = daily_closes(ts_ns, curve, initial_equity)[0][: len(returns)]
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    table: dict[int, list[float | None]] = {}
    for month in np.unique(months).tolist():
        row = table.setdefault(1970 + month // 12, [None] * 12)
        row[month % 12] = compound(returns[months == month])
    return table


def lo_standard_error(ratio: float | None, observations: int, periods: float = DAYS_PER_YEAR) -> float | None:
    """Return the standard error of an annual Sharpe ratio, were the returns independent and normal.

    Parameters
    ----------
    ratio
        Annual Sharpe ratio, or ``None``.
    observations
        Number of returns that it was estimated from.
    periods
        Periods in a year; with 1 the ratio and its error are per period.

    Notes
    -----
    Per period ``sqrt((1 + SR**2 / 2) / T)``, then times ``sqrt(periods)``.

    References
    ----------
    A. W. Lo, "The Statistics of Sharpe Ratios", Financial Analysts Journal, 2002, equation 9.
    """
    if ratio is None or observations < 2:
        return None
    return float(np.sqrt((periods + ratio**2 / 2.0) / observations))


def mertens_standard_error(returns: Floats, periods: float = DAYS_PER_YEAR) -> float | None:
    """Return the standard error of the annual Sharpe ratio of independent returns that need not be normal.

    Returns
    -------
    float or None
        ``None`` where the ratio itself is undefined, or where the moments leave no error (returns of two values only).

    Notes
    -----
    Per period ``sqrt((1 + SR**2 / 2 - g3 * SR + (g4 - 3) / 4 * SR**2) / T)`` with skewness ``g3`` and raw kurtosis
    ``g4``, then times ``sqrt(periods)``. Serial correlation is not in it.

    References
    ----------
    E. Mertens, "Comments on Variance of the IID Estimator in Lo (2002)", 2002; J. D. Opdyke, "Comparing Sharpe Ratios",
    Journal of Asset Management, 2007.
    """
    ratio = sharpe(returns, 1.0)
    if ratio is None:
        return None
    skewness, kurtosis = _shape(returns)
    variance = 1.0 + ratio**2 / 2.0 - skewness * ratio + (kurtosis - 3.0) / 4.0 * ratio**2
    return float(np.sqrt(variance / len(returns) * periods)) if variance > ROUNDING else None


def round_trips(fills: Fills) -> list[RoundTrip]:
    """Return the round trips of each symbol at average cost, closed ones by their exit and then those still open.

    A trip opens when the position leaves zero and closes when it returns to zero or changes sign; the fill that turns
    a position closes one trip and opens the next, and its fee is shared by quantity.

    Raises
    ------
    OperatorError
        If a fill does not lead from the position before it to the position after it (the row is named).
    """
    trips: dict[str, _Trip] = {}
    positions: dict[str, float] = {}
    done: list[RoundTrip] = []
    for row, (symbol, ts_ns, price, quantity, fee, after) in enumerate(_rows(fills)):
        before = positions.get(symbol, 0.0)
        _require_chain(row, symbol, before, quantity, after)
        closing, opening = _split(before, abs(quantity), after)
        closing_fee = fee * closing / (closing + opening)
        if closing:
            trips[symbol].reduce(price, closing, closing_fee)
        if before and before * after <= 0.0:
            done.append(trips.pop(symbol).ended(ts_ns))
        if opening:
            trips.setdefault(symbol, _Trip(symbol, after > 0.0, ts_ns)).add(price, opening, fee - closing_fee)
        positions[symbol] = after
    return done + [trip.ended(None) for trip in trips.values()]


def histogram_quantiles(edges: Sequence[float], counts: Sequence[int], shares: Sequence[float]) -> list[float | None]:
    """Return for each share the upper edge of the bin that holds that quantile: never better than the truth.

    Parameters
    ----------
    edges
        Bin edges, rising, one more than the counts; in any unit, which is the unit of the answer.
    counts
        Observations in each bin.
    shares
        Quantiles to find, in (0, 1].

    Returns
    -------
    list of float or None
        ``None`` when the histogram is empty.

    Raises
    ------
    OperatorError
        If there is not exactly one edge more than counts.

    Examples
    --------
    >>> histogram_quantiles([0, 10, 20, 40], [98, 1, 1], [0.5, 0.99, 0.999])
    [10.0, 20.0, 40.0]
    """
    if len(edges) != len(counts) + 1:
        raise OperatorError(f"a histogram of {len(counts)} counts needs {len(counts) + 1} edges, it has {len(edges)}")
    reached = np.cumsum(counts)
    if not len(reached) or reached[-1] == 0:
        return [None] * len(shares)
    # The rank is rounded up; the subtraction keeps 0.99 * 100 = 99.00000000000001 from asking for rank 100.
    ranks = np.ceil(np.asarray(shares) * float(reached[-1]) - 1e-9)
    return [float(edges[1 + int(at)]) for at in np.searchsorted(reached, ranks)]


@dataclass(slots=True)
class _Trip:
    # A round trip that is still open. ``cost`` is the basis of what is held, so the average needs no list of lots.
    symbol: str
    is_long: bool
    entry_ns: int
    held: float = 0.0
    cost: float = 0.0
    largest: float = 0.0
    opened: float = 0.0
    spent: float = 0.0
    closed: float = 0.0
    taken: float = 0.0
    gross: float = 0.0
    fees: float = 0.0
    fills: int = 0

    def add(self, price: float, quantity: float, fee: float) -> None:
        self.held += quantity
        self.cost += quantity * price
        self.opened += quantity
        self.spent += quantity * price
        self.largest = max(self.largest, self.held)
        self.fees += fee
        self.fills += 1

    def reduce(self, price: float, quantity: float, fee: float) -> None:
        basis = self.cost / self.held * quantity
        self.gross += (quantity * price - basis) * (1.0 if self.is_long else -1.0)
        self.held -= quantity
        self.cost -= basis
        self.closed += quantity
        self.taken += quantity * price
        self.fees += fee
        self.fills += 1

    def ended(self, exit_ns: int | None) -> RoundTrip:
        return RoundTrip(
            symbol=self.symbol,
            is_long=self.is_long,
            entry_ns=self.entry_ns,
            exit_ns=exit_ns,
            max_quantity=self.largest,
            entry_average=self.spent / self.opened,
            exit_average=self.taken / self.closed if self.closed else None,
            gross=self.gross,
            fees=self.fees,
            fills=self.fills,
        )


def _rows(fills: Fills) -> Iterable[tuple[str, int, float, float, float, float]]:
    # Plain Python numbers: NumPy scalars would make the loop several times slower.
    return zip(fills.symbols, *(column.tolist() for column in fills[1:]), strict=True)


def _split(before: float, quantity: float, after: float) -> tuple[float, float]:
    # How much of a fill closes the old position and how much opens or grows one.
    if before * after < 0.0:
        return abs(before), abs(after)
    return (0.0, quantity) if abs(after) > abs(before) else (quantity, 0.0)


def _require_chain(row: int, symbol: str, before: float, quantity: float, after: float) -> None:
    scale = max(abs(before), abs(quantity), abs(after))
    if quantity == 0.0 or abs(before + quantity - after) > QUANTITY_ROUNDING * scale:
        raise OperatorError(
            f"fills, row {row}: {symbol} {before} and a fill of {quantity} do not make {after}: "
            "the fills are incomplete or out of order; run again"
        )


def _require_curve(ts_ns: Integers, equity: Floats) -> None:
    if len(ts_ns) != len(equity):
        raise OperatorError(f"equity has {len(equity)} values for {len(ts_ns)} times: give one value for each time")
    backwards = np.flatnonzero(np.diff(ts_ns) < 0)
    if len(backwards):
        raise OperatorError(f"equity, row {int(backwards[0]) + 1}: the time runs backwards; sort the rows by time")
    _require_finite("equity", equity)


def _require_finite(name: str, values: Floats) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise OperatorError(f"{name}, row {int(bad[0])}: {values[bad[0]]} is not a finite number; run again")


def _flows(ts_ns: Integers, transfers: Transfers) -> Floats:
    # A transfer counts in the first observation at or after it.
    at = np.searchsorted(ts_ns, transfers.ts_ns)
    if np.any(at == len(ts_ns)):
        raise OperatorError("transfers: one lies after the last observation of the equity; extend the equity curve")
    flows = np.zeros(len(ts_ns))
    np.add.at(flows, at, transfers.amounts)
    return flows


def _deviation(returns: Floats) -> float | None:
    _require_finite("returns", returns)
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return deviation if deviation > ROUNDING * float(np.max(np.abs(returns))) else None


def _shape(returns: Floats) -> tuple[float, float]:
    # Skewness and raw kurtosis, moments divided by n.
    centred = returns - np.mean(returns)
    variance = np.mean(centred**2)
    return float(np.mean(centred**3) / variance**1.5), float(np.mean(centred**4) / variance**2)
