"""The event record, the enumerations and the instruments of a run, with their Python face."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

EVENT_DTYPE: np.dtype[np.void]
E8: int
NO_SLOT: int
MAX_SYMBOLS: int
MAX_BRACKETS: int

class Alarm(IntEnum):
    """Alarm that the engine raises."""

    BOOK_GAP = 1
    BOOK_CROSSED = 2
    BOOK_RECOVERED = 3
    DRAWDOWN_HALF = 4
    DRAWDOWN_REDUCE_ONLY = 5
    DRAWDOWN_KILL = 6
    DAILY_LOSS = 7
    LIQUIDATED = 8

class Command(IntEnum):
    """Command of an operator."""

    HALT = 1
    RESUME = 2
    KILL = 3
    ALLOW = 4

class Flag(IntEnum):
    """Bit of a row's flags."""

    F_END = 1
    F_SELL = 4
    F_MAKER = 8
    F_REDUCE_ONLY = 16
    F_CLOSED = 32
    F_SPOT = 64

class Kind(IntEnum):
    """What a row is."""

    DEPTH = 1
    SNAPSHOT = 2
    LEVEL = 3
    TOUCH = 4
    TRADE = 5
    MARK = 6
    CANDLE = 7
    CANDLE_OPEN = 8
    MARK_CANDLE = 9
    FUNDING = 10
    ACCEPTED = 32
    REJECTED = 33
    FILL = 34
    CANCELED = 35
    EXPIRED = 36
    CANCEL_REJECTED = 37
    FUNDING_PAID = 38
    LIQUIDATION = 39
    TRANSFER = 40
    TIMER = 64
    COMMAND = 65
    CLOCK_OFFSET = 66
    RUN = 67
    ORDER = 128
    CANCEL = 129
    SET_TIMER = 130
    REFUSED = 131
    ALARM = 132
    STRATEGY_FAILED = 133
    RANGE = 192
    SEAL = 193

class OrderState(IntEnum):
    """State of an order of ours."""

    EMPTY = 0
    PENDING_NEW = 1
    LIVE = 2
    PARTLY_FILLED = 3
    PENDING_CANCEL = 4
    UNKNOWN = 5
    FILLED = 6
    CANCELLED = 7
    EXPIRED_ = 8
    REJECTED_ = 9

class OrderType(IntEnum):
    """Type of an order."""

    LIMIT = 0
    MARKET = 1

class Reason(IntEnum):
    """Verdict on an order; all but APPROVED refuse it."""

    APPROVED = 0
    R1_PRICE_COLLAR = 1
    R3_ORDER_NOTIONAL = 3
    R4_ORDER_QUANTITY = 4
    R5_POSITION_LIMIT = 5
    R6_GROSS_EXPOSURE = 6
    R9_LIQUIDATION_DISTANCE = 9
    R11_ORDER_RATE = 11
    R15_DUPLICATE = 15
    R18_STALE_DATA = 18
    R20_REDUCE_ONLY = 20
    R21_DAILY_LOSS = 21
    R22_DRAWDOWN_KILL = 22
    R25_OPEN_ORDERS = 25
    R28_SYMBOL_STATUS = 28
    R31_RISK_FAULT = 31
    FILTER_PRICE = 40
    FILTER_QUANTITY = 41
    FILTER_NOTIONAL = 42
    INSUFFICIENT_MARGIN = 43
    NOTHING_TO_REDUCE = 44
    HALTED = 45

class Side(IntEnum):
    """Side of an order or of a book."""

    BUY = 0
    SELL = 1

class Status(IntEnum):
    """Outcome of reading a message."""

    OK = 0
    IGNORED = 1
    MALFORMED = 2
    UNKNOWN_SYMBOL = 3
    OFF_GRID = 4
    NO_ROOM = 5
    RAISED = -1

class TimeInForce(IntEnum):
    """Time in force of an order."""

    GTC = 0
    IOC = 1
    GTX = 2

@final
class Rows(Buffer):
    """A growable run of 64-byte rows."""

    @property
    def size(self) -> int:
        """Number of rows."""

    def __init__(self, rows: NDArray[np.void] | Sequence[tuple[int, ...]] | None = None) -> None: ...
    def __len__(self) -> int: ...
    def array(self) -> NDArray[np.void]:
        """Return a copy of the rows as a structured NumPy array of EVENT_DTYPE."""

    def clear(self) -> None:
        """Forget the rows, keep the memory."""

def decimals_of(step_e8: int) -> tuple[int, int]:
    """Return (decimals, mantissa) with ``step = mantissa / 10**decimals`` and decimals as few as possible."""

@final
class Instruments:
    """The instruments of a run, by index."""

    @property
    def size(self) -> int:
        """Number of instruments."""

    @property
    def names(self) -> list[str]:
        """Symbols, by index."""

    def __init__(self, specs: Sequence[Mapping[str, Any]]) -> None: ...
    def __len__(self) -> int: ...
    def index(self, symbol: str) -> int:
        """Return the index of a symbol."""

    def spec(self, i: int) -> dict[str, Any]:
        """Return the fields of instrument ``i`` as integers."""
