"""Scan the exchange's messages into rows; encode approved orders."""

import re
from typing import Any, final

from core_ext.types import Instruments, Rows, Status

INTERVALS_NS: dict[str, int]
DECIMAL: re.Pattern[str]
EVENT_ROWS: dict[str, Any]

@final
class Scanner:
    """Reads messages of the exchange's streams into rows."""

    default_symbol: int
    @property
    def rows(self) -> Rows: ...
    @property
    def messages(self) -> int: ...
    @property
    def general(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def refused(self) -> int: ...
    def __init__(self, instruments: Instruments, default_symbol: int = ...) -> None: ...
    def feed(self, message: bytes, ts: int) -> Status:
        """Read one message; its rows are in ``rows`` until the next."""

    def feed_general(self, message: bytes, ts: int) -> Status:
        """Read one message with the general parser only (the reference of the fast one)."""

class Refused(ValueError):
    """A message that is refused; ``status`` says why."""

    def __init__(self, status: Any, why: Any) -> None: ...

def shown(value: Any) -> str:
    """Return a refused value, short, whatever it is."""

def whole(value: Any) -> int:
    """Return a JSON integer that fits the wire's 18 digits."""

def scaled(text: Any, decimals: int) -> int:
    """Return decimal text as an integer of so many decimals, refusing anything finer."""

def grid(text: Any, spec: Any, what: str, least: int) -> int:
    """Return price text in ticks or quantity text in lots."""

def price_value(text: Any) -> int:
    """Return a positive price at eight decimals."""

def rate_value(text: Any) -> int:
    """Return a signed rate at eight decimals."""

def truth(value: Any) -> bool:
    """Return a JSON boolean."""

def general_rows(scanner: Scanner | None, message: bytes, ts: int) -> int:
    """Read one message by the general parser into ``scanner.rows``; the judge of what is refused."""

def symbol_of(scanner: Scanner | None, body: Any, key: str) -> int:
    """Return the index of the message's symbol."""

def level_rows(side: Any, symbol: int, spec: Any, stamp: Any, flags: int) -> list[Any]:
    """Return the LEVEL rows of one side."""

def closed_run(rows: list[Any]) -> list[Any]:
    """Return the rows with F_END on the last."""

def book_rows(
    head_kind: int, flags: int, symbol: int, spec: Any, stamp: Any, words: Any, bids: Any, asks: Any
) -> list[Any]:
    """Return a depth run: the header, bids, asks."""

def rows_of(scanner: Scanner | None, body: dict[str, Any]) -> list[Any]:
    """Return the rows of a decoded message as (kind, flags, symbol, exchange ms or None, six words)."""

def depth_general(body: Any, symbol: Any, spec: Any, stamp: Any) -> list[Any]:
    """Return the rows of a ``depthUpdate``."""

def touch_general(body: Any, symbol: Any, spec: Any, stamp: Any) -> list[Any]:
    """Return the row of a ``bookTicker``."""

def trade_general(body: Any, symbol: Any, spec: Any, stamp: Any) -> list[Any]:
    """Return the row of a ``trade`` or an ``aggTrade``."""

def mark_general(body: Any, symbol: Any, spec: Any, stamp: Any) -> list[Any]:
    """Return the row of a ``markPriceUpdate``."""

def candle_general(body: Any, symbol: Any, spec: Any, stamp: Any) -> list[Any]:
    """Return the row of a ``kline``."""
