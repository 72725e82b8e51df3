"""What one value of a message from the exchange means, exactly, or that it cannot be believed.

Knows decimal text, counts of ticks and lots, names of symbols and of our own orders. Refuses to know which message a
value stands in, and every value that is absurd: what is returned may enter the state.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from core_ext.types import Asset, Instruments

__all__ = [
    "ASSETS",
    "FEE_ASSETS",
    "LATEST_MS",
    "LEGS",
    "MOST_E8",
    "MOST_STEPS",
    "SIDES",
    "Grid",
    "UnreadableError",
    "amount_e8",
    "chosen",
    "client_id",
    "client_name",
    "flag",
    "is_ours",
    "text",
    "whole",
]

E8 = 100_000_000
MOST_E8 = 1 << 62
"""Money and prices beyond are absurd."""
MOST_STEPS = 1 << 50
"""Counts of ticks and lots beyond are absurd."""
MOST_ID = (1 << 63) - 1
SIDES = {"BUY": 0, "SELL": 1}
LEGS = {"BOTH": 0, "LONG": 0, "SHORT": 1}
"""The leg of a position by its side: the long one is also that of one-way mode."""
LATEST_MS = (1 << 62) // 1_000_000
"""Stamps beyond are absurd."""
FEE_ASSETS = {"USDT": False, "BNB": True}
"""Whether a fee in this asset is one in the fee coin."""
ASSETS = {asset.name: int(asset) for asset in Asset}

_DECIMAL = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,24}))?")
_SYMBOL = re.compile(r"[A-Z0-9_]{2,30}")
_OURS = re.compile(r"at([0-9a-f]{16})")


class UnreadableError(ValueError):
    """Refuse a message for a value that cannot be true.

    Parameters
    ----------
    reason : {"shape", "number", "grid", "name", "symbol"}
        What was wrong: a part is missing or of another kind; no number, or an absurd one; off the tick or lot; a word
        that the exchange does not have; a symbol that this run does not trade.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text(body: Mapping[str, Any], key: str) -> str:
    """Return a text of a message; a missing one is unreadable."""
    value = body.get(key)
    if not isinstance(value, str):
        raise UnreadableError("shape")
    return value


def chosen(body: Mapping[str, Any], key: str, meanings: Mapping[str, int]) -> int:
    """Return what a word of the exchange means; another word is unreadable."""
    meaning = meanings.get(text(body, key))
    if meaning is None:
        raise UnreadableError("name")
    return meaning


def flag(body: Mapping[str, Any], key: str) -> bool:
    """Return a truth of a message."""
    value = body.get(key)
    if not isinstance(value, bool):
        raise UnreadableError("shape")
    return value


def whole(value: object, least: int = 0, most: int = MOST_ID) -> int:
    """Return a whole number that a message writes as a number or as text.

    Examples
    --------
    >>> whole("17"), whole(0)
    (17, 0)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise UnreadableError("number")
    return value


def amount_e8(value: object, least: int = 1 - MOST_E8, most: int = MOST_E8 - 1) -> int:
    """Return decimal text as an integer at 1e-8; finer digits than that must be zero.

    Examples
    --------
    >>> amount_e8("-0.10"), amount_e8("60000.000000000")
    (-10000000, 6000000000000)
    """
    found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise UnreadableError("number")
    sign, digits, part = found.group(1), found.group(2), found.group(3) or ""
    if part[8:].strip("0"):
        raise UnreadableError("grid")
    size = int(digits) * E8 + int(part[:8].ljust(8, "0"))
    amount = -size if sign else size
    if not least <= amount <= most:
        raise UnreadableError("number")
    return amount


def client_name(client_id: int) -> str:
    """Return a client order id as it goes over the wire.

    Examples
    --------
    >>> client_name(5 << 32 | 1)
    'at0000000500000001'
    """
    return f"at{client_id:016x}"


def client_id(name: str, epochs: Container[int]) -> int:
    """Return the 64-bit id of an order of ours, 0 for an order of somebody else.

    Parameters
    ----------
    name : str
        Client order id on the wire.
    epochs : container of int
        Upper halves of the ids of all runs of this account.

    Examples
    --------
    >>> client_id("at0000000500000001", {5}) == 5 << 32 | 1, client_id("web_1", {5})
    (True, 0)
    """
    found = _OURS.fullmatch(name)
    number = int(found.group(1), 16) if found else 0
    return number if number <= MOST_ID and number >> 32 in epochs and number & 0xFFFFFFFF else 0


def is_ours(name: object) -> bool:
    """Return whether a client order id on the wire is of a run of this program, whichever.

    Examples
    --------
    >>> is_ours("at0000000500000001"), is_ours("web_1")
    (True, False)
    """
    return isinstance(name, str) and _OURS.fullmatch(name) is not None


class Grid:
    """Symbols, ticks and lots of a run.

    Parameters
    ----------
    instruments : Instruments
    """

    def __init__(self, instruments: Instruments) -> None:
        self.names = list(instruments.names)
        self._index = {name: index for index, name in enumerate(self.names)}
        specs = [instruments.spec(index) for index in range(len(self.names))]
        self.tick_e8 = [spec["tick_e8"] for spec in specs]
        self.lot_e8 = [spec["lot_e8"] for spec in specs]

    def symbol(self, name: object) -> int:
        """Return the index of a symbol; one that the run does not have is unreadable."""
        if not isinstance(name, str) or not _SYMBOL.fullmatch(name):
            raise UnreadableError("name")
        index = self._index.get(name)
        if index is None:
            raise UnreadableError("symbol")
        return index

    def ticks(self, symbol: int, value: object) -> int:
        """Return a price in ticks, 0 for none."""
        return self.steps(amount_e8(value, 0), self.tick_e8[symbol])

    def lots(self, symbol: int, value: object) -> int:
        """Return a quantity in lots; one of a position is negative for a short one."""
        return self.steps(amount_e8(value), self.lot_e8[symbol])

    def size(self, symbol: int, value: object) -> int:
        """Return the quantity of an order in lots."""
        return self.steps(amount_e8(value, 0), self.lot_e8[symbol])

    @staticmethod
    def steps(value_e8: int, step_e8: int) -> int:
        """Return a value as a count of ticks or lots."""
        count, rest = divmod(value_e8, step_e8)
        if rest or abs(count) > MOST_STEPS:
            raise UnreadableError("grid" if rest else "number")
        return count
