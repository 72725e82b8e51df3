"""Volatility-targeted trend following on closed candles.

Knows the closes of its symbols and its stated prior. Refuses to know how an order is sent, what the
account holds beyond its own positions, and anything that has not closed yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, isfinite, sqrt
from typing import Any

from core_ext.signal import BarWindow
from core_ext.strategy import Strategy

__all__ = ["Trend", "TrendParameters"]

DECIDE = 1


@dataclass(frozen=True)
class TrendParameters:
    """What the trend is told.

    Attributes
    ----------
    lookbacks : tuple of int
        Bars, ascending; the signals of all are averaged.
    half_life : float
        Of the volatility estimate, bars.
    bars_per_year : float
    target_volatility : float
        Of the whole portfolio, a year.
    sharpe_mean, sharpe_sd : float
        The stated prior of the annual Sharpe ratio.
    band : float
        Share of the full position (signal 1) by which the target must differ before it is traded to: a
        no-trade band against costs.
    every : int
        Bars between decisions.
    delay_ns : int
        From a candle's close to the decision.
    share : float
        Of every size.
    """

    lookbacks: tuple[int, ...]
    half_life: float
    bars_per_year: float
    target_volatility: float
    sharpe_mean: float
    sharpe_sd: float
    band: float
    every: int
    delay_ns: int
    share: float = 1.0


class Trend(Strategy):
    """Follow the trend of every symbol, each at its share of a portfolio volatility.

    The signal of a lookback is the return over it in units of its own volatility, held to [-1, 1]; the
    position is what `Desk.size` allows for the mean signal. Symbols count as moving together: each gets
    an equal share of the target volatility, no diversification is claimed.

    References
    ----------
    Moskowitz, Ooi and Pedersen (2012), "Time series momentum".
    """

    def __init__(self, parameters: TrendParameters):
        super().__init__()
        self.parameters = parameters
        self.windows: list[BarWindow] = []
        self.bars = 0

    def start(self) -> None:
        """Make a window of closes for every symbol."""
        length = self.parameters.lookbacks[-1] + 2
        self.windows = [BarWindow(length, self.parameters.half_life) for _ in self.desk.symbols]

    def on_bars(self) -> None:
        """Remember the closes; ask to be woken shortly after them to decide."""
        for symbol, window in enumerate(self.windows):
            price = self.desk.last_price(symbol)
            if price > 0.0:
                window.push(price)
        self.bars += 1
        if self.bars % self.parameters.every == 0:
            self.desk.set_timer(DECIDE, self.desk.now + self.parameters.delay_ns)

    def on_timer(self, timer_id: int) -> None:  # noqa: ARG002 - there is one timer
        """Bring every position to its target."""
        for symbol in range(len(self.windows)):
            self._adjust(symbol)

    def on_fill(self, symbol: int, lots: int, price_ticks: int) -> None:  # noqa: ARG002 - what counts is the position
        """Open the new side once a reversal has closed the old one."""
        if self.desk.position(symbol) == 0 and not self.desk.pending(symbol):
            self._adjust(symbol)

    def signal(self, symbol: int) -> float:
        """Return the mean signal of a symbol, -1 to 1; NaN before the longest lookback is full."""
        return self.windows[symbol].strength(self.parameters.lookbacks)

    def _adjust(self, symbol: int) -> None:
        strength = self.signal(symbol)
        if not isfinite(strength) or self.desk.pending(symbol):
            return
        full, limiting = self._size(symbol, copysign(1.0, strength))
        lots, scaled = self._size(symbol, strength)
        change = abs(lots - self.desk.position(symbol))
        if change and change >= self.parameters.band * abs(full):
            self.desk.trade_to(symbol, lots, limiting if lots else scaled)

    def _size(self, symbol: int, strength: float) -> tuple[int, int]:
        p = self.parameters
        volatility = self.windows[symbol].deviation() * sqrt(p.bars_per_year)
        target = p.target_volatility / len(self.windows)
        return self.desk.size(symbol, strength * p.share, volatility, target, p.sharpe_mean, p.sharpe_sd)

    def snapshot(self) -> Any:
        """Return the closes, the volatilities and the bar count."""
        return (self.bars, [window.state() for window in self.windows])
