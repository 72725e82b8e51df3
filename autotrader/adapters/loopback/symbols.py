"""One symbol on the wire: its numbers from text to ticks and lots, and back.

Knows the grid of a symbol and how the exchange complains about what lies off it. Refuses to know bounds, books and
orders: the venue judges those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autotrader.adapters.loopback.codes import refusal
from autotrader.adapters.loopback.text import decimal
from autotrader.instruments import Bracket, Spec

__all__ = ["COINS", "E8", "Symbol", "decimals_of", "entry", "money", "trimmed"]

E8 = 100_000_000
_NUMBER = re.compile(r"-?([0-9]{1,12})(?:\.([0-9]{0,18}))?")
COINS = ("USDT", "BNB", "USDC", "BTC", "ETH")
"""Margin coins of the futures wallet, by ``core_ext.types.Asset``."""
_ONBOARD_MS = 1_569_398_400_000
_ASSETS = ("USDT", "USDC", "BUSD")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol's index, grid and facts.

    Attributes
    ----------
    index : int
        Among the instruments of the venue.
    name, base, quote : str
    tick_e8, lot_e8 : int
        At 1e-8.
    price_decimals, lot_decimals : int
        Of its texts.
    spec : Spec
        What the venue was told of it.
    onboard_ms : int
        When its trading began.
    """

    index: int
    name: str
    base: str
    quote: str
    tick_e8: int
    lot_e8: int
    price_decimals: int
    lot_decimals: int
    spec: Spec
    onboard_ms: int = _ONBOARD_MS

    @classmethod
    def of(cls, index: int, spec: Spec) -> Symbol:
        """Return the symbol of an instrument."""
        name = spec["symbol"]
        quote = next((asset for asset in _ASSETS if name.endswith(asset)), "USDT")
        prices, lots = max(2, decimals_of(spec["tick_e8"])), decimals_of(spec["lot_e8"])
        return cls(index, name, name.removesuffix(quote), quote, spec["tick_e8"], spec["lot_e8"], prices, lots, spec)

    @property
    def brackets(self) -> Sequence[Bracket]:
        """Leverage brackets, from the smallest notional up."""
        return self.spec["brackets"]

    def price(self, ticks: int) -> str:
        """Return a price as text."""
        return decimal(ticks * self.tick_e8 // 10 ** (8 - self.price_decimals), self.price_decimals)

    def price_e8(self, value_e8: int) -> str:
        """Return a price that may be on no tick as text with the symbol's decimals."""
        return decimal(value_e8 // 10 ** (8 - self.price_decimals), self.price_decimals)

    def quantity(self, lots: int) -> str:
        """Return a quantity as text."""
        return decimal(lots * self.lot_e8 // 10 ** (8 - self.lot_decimals), self.lot_decimals)

    def value_e8(self, ticks: int, lots: int) -> int:
        """Return the value of lots at a price, 1e-8 of the quote coin."""
        return ticks * self.tick_e8 * lots * self.lot_e8 // E8

    def ticks(self, text: str, name: str = "price") -> int:
        """Return a price as ticks.

        Raises
        ------
        Refusal
            -1111 for too many decimals, -4014 off the tick, -4001 below nothing, -1100 for what is no number.
        """
        value = self._number(text, name, self.price_decimals)
        if value < 0:
            raise refusal(-4001)
        if value % self.tick_e8:
            raise refusal(-4014)
        return value // self.tick_e8

    def lots(self, text: str) -> int:
        """Return a quantity as lots.

        Raises
        ------
        Refusal
            -1111 for too many decimals, -4023 off the step, -4003 for nothing, -1100 for what is no number.
        """
        value = self._number(text, "quantity", self.lot_decimals)
        if value <= 0:
            raise refusal(-4003)
        if value % self.lot_e8:
            raise refusal(-4023)
        return value // self.lot_e8

    def _number(self, text: str, name: str, decimals: int) -> int:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise refusal(-1102, name) if not text else refusal(-1100)
        places = (match[2] or "").rstrip("0")
        if len(places) > decimals:
            raise refusal(-1111)
        value = int(match[1]) * E8 + int(places.ljust(8, "0"))
        return -value if text[0] == "-" else value


def decimals_of(step_e8: int) -> int:
    """Return how many decimals a step at 1e-8 has.

    Examples
    --------
    >>> decimals_of(100_000)
    3
    """
    return len(decimal(step_e8, 8).rstrip("0").partition(".")[2])


def money(text: str) -> int:
    """Return an amount of money at 1e-8, further decimals cut off.

    Raises
    ------
    Refusal
        -1100 for what is no number.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise refusal(-1100)
    value = int(match[1]) * E8 + int((match[2] or "")[:8].ljust(8, "0"))
    return -value if text[0] == "-" else value


def trimmed(value_e8: int, least: int = 1) -> str:
    """Return an amount at 1e-8 without trailing zeros, with so many decimals at least.

    Examples
    --------
    >>> trimmed(38_500_000), trimmed(0)
    ('0.385', '0.0')
    """
    whole, _, places = decimal(value_e8, 8).partition(".")
    return f"{whole}.{places.rstrip('0').ljust(least, '0')}"


def entry(symbol: Symbol, lots: int, cost_e8: int) -> int:
    """Return the average price of a position, 1e-8; 0 without one."""
    return cost_e8 * E8 // (lots * symbol.lot_e8) if lots else 0
