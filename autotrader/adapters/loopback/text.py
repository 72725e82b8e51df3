"""Numbers as the exchange writes them: decimal text of whole numbers.

Knows how a count of ticks, a count of lots and an amount at 1e-8 read on the wire. Refuses to know messages,
symbols and books.
"""

from typing import Protocol

__all__ = ["Grid", "Texts", "decimal", "e8", "plain", "price", "quantity", "ratio", "turnover"]

MOST_TEXTS = 1 << 14
"""Remembered texts of one symbol's prices or quantities; at the bound all are forgotten and learned anew."""


class Grid(Protocol):
    """A symbol's tick and lot, and the decimals that its prices and quantities are written with."""

    @property
    def tick_e8(self) -> int:
        """Price of one tick, 1e-8."""

    @property
    def lot_e8(self) -> int:
        """Quantity of one lot, 1e-8."""

    @property
    def price_decimals(self) -> int:
        """Decimals of a price: at most 8, and as many as the tick has at least."""

    @property
    def lot_decimals(self) -> int:
        """Decimals of a quantity: at most 8, and as many as the lot has at least."""


def decimal(value: int, decimals: int) -> str:
    """Return ``value / 10**decimals`` with exactly that many decimals.

    Examples
    --------
    >>> decimal(6_000_010, 2), decimal(-5, 3), decimal(7, 0)
    ('60000.10', '-0.005', '7')
    """
    if decimals == 0:
        return str(value)
    digits = str(value if value >= 0 else -value)
    if len(digits) <= decimals:
        digits = digits.rjust(decimals + 1, "0")
    sign = "" if value >= 0 else "-"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def e8(value: int, decimals: int = 8) -> str:
    """Return an amount at 1e-8 with so many decimals (at most 8), the rest cut off towards zero.

    Examples
    --------
    >>> e8(123_456_789), e8(-199_999_999, 2), e8(150_000_000, 0)
    ('1.23456789', '-1.99', '1')
    """
    if decimals == 8:
        return decimal(value, 8)
    unit: int = 10 ** (8 - decimals)
    return decimal(value // unit if value >= 0 else -(-value // unit), decimals)


def plain(value: int) -> str:
    """Return an amount at 1e-8 without the zeros at its end.

    Examples
    --------
    >>> plain(150_000_000), plain(300_000_000), plain(0)
    ('1.5', '3', '0')
    """
    return decimal(value, 8).rstrip("0").removesuffix(".")


def price(grid: Grid, ticks: int) -> str:
    """Return a price that is given in ticks."""
    return e8(ticks * grid.tick_e8, grid.price_decimals)


def quantity(grid: Grid, lots: int) -> str:
    """Return a quantity that is given in lots."""
    return e8(lots * grid.lot_e8, grid.lot_decimals)


def turnover(grid: Grid, ticks_lots: int, decimals: int) -> str:
    """Return a turnover that is given as ticks times lots, cut off after so many decimals."""
    return decimal(ticks_lots * grid.tick_e8 * grid.lot_e8 // 10 ** (16 - decimals), decimals)


def ratio(part: int, whole: int, decimals: int) -> str:
    """Return ``part / whole`` rounded to so many decimals; 0 for a whole of 0.

    Examples
    --------
    >>> ratio(2, 3, 4), ratio(-1, 8, 2), ratio(5, 0, 1)
    ('0.6667', '-0.12', '0.0')
    """
    scaled: int = part * 10**decimals
    return decimal((2 * scaled + whole) // (2 * whole) if whole else 0, decimals)


class Texts(dict[int, str]):
    """Prices of one symbol by ticks, or quantities by lots: the same ones come back all day.

    Parameters
    ----------
    step_e8 : int
        Price of a tick or quantity of a lot, 1e-8.
    decimals : int
        That they are written with, at most 8 and at least as many as the step has.
    """

    def __init__(self, step_e8: int, decimals: int) -> None:
        super().__init__()
        self._units = step_e8 // 10 ** (8 - decimals)
        self._decimals = decimals

    def __missing__(self, count: int) -> str:
        """Write what has not been needed lately."""
        if len(self) >= MOST_TEXTS:
            self.clear()
        text = self[count] = decimal(count * self._units, self._decimals)
        return text
