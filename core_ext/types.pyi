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
    LIQUIDATION_NEAR = 9
    FORCED_REDUCTION = 10
    LOSS_RATE = 11
    VOLATILITY = 12
    MESSAGE_QUALITY = 13
    REPEATED = 14
    DELEVERAGING = 15
    DATA_ANOMALY = 16
    FOREIGN_ORDER = 17
    LATE_FILL = 18
    DIFFERENCE = 19
    STOP_REFUSED = 20

class AlgoStatus(IntEnum):
    """Status of a conditional order in the algo universe."""

    ALGO_NEW = 0
    ALGO_TRIGGERING = 1
    ALGO_TRIGGERED = 2
    ALGO_FINISHED = 3
    ALGO_CANCELED = 4
    ALGO_EXPIRED = 5
    ALGO_REJECTED = 6

class Asset(IntEnum):
    """Margin coin of the futures wallet."""

    USDT = 0
    BNB = 1
    USDC = 2
    BTC = 3
    ETH = 4

class Cause(IntEnum):
    """What closed a position by force."""

    LIQUIDATION_ORDER = 0
    INSURANCE_FUND = 1
    DELEVERAGED = 2
    SETTLED = 3

class Command(IntEnum):
    """Command of an operator."""

    HALT = 1
    RESUME = 2
    KILL = 3
    ALLOW = 4
    ARM = 5
    DISARM = 6
    FLATTEN = 7

class Flag(IntEnum):
    """Bit of a row's flags."""

    F_END = 1
    F_SHORT = 2
    F_SELL = 4
    F_MAKER = 8
    F_REDUCE_ONLY = 16
    F_CLOSED = 32
    F_SPOT = 64
    F_FEE_COIN = 128

class Gate(IntEnum):
    """What a run on a wire must know to be in order; each is one bit of a GATE row."""

    USER_STREAM = 1
    CLOCK = 2
    RECONCILING = 4
    DISK = 8
    RULES = 16
    LINK = 32
    SAFE = 64
    BANNED = 128

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
    ASSET_INDEX = 11
    FILTERS = 12
    STATUS = 13
    BRACKET = 14
    ACCEPTED = 32
    REJECTED = 33
    FILL = 34
    CANCELED = 35
    EXPIRED = 36
    CANCEL_REJECTED = 37
    FUNDING_PAID = 38
    LIQUIDATION = 39
    TRANSFER = 40
    AMENDED = 41
    AMEND_REJECTED = 42
    ALGO = 43
    SETTING = 44
    MARGIN_MOVED = 45
    LOST = 46
    ABSENT = 47
    POSITION = 48
    WALLET = 49
    FOREIGN = 50
    TIMER = 64
    COMMAND = 65
    CLOCK_OFFSET = 66
    RUN = 67
    HEADROOM = 68
    USAGE = 69
    GATE = 70
    ORDER = 128
    CANCEL = 129
    SET_TIMER = 130
    REFUSED = 131
    ALARM = 132
    STRATEGY_FAILED = 133
    ORDER_TERMS = 134
    AMEND = 135
    QUERY = 136
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
    ARMED = 6
    TRIGGERING = 7
    FILLED = 8
    CANCELLED = 9
    EXPIRED_ = 10
    REJECTED_ = 11

class OrderType(IntEnum):
    """Type of an order."""

    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_MARKET = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_MARKET = 5
    TRAILING_STOP_MARKET = 6

class PositionSide(IntEnum):
    """Side of a position in hedge mode, BOTH in one-way mode."""

    BOTH = 0
    LONG = 1
    SHORT = 2

class PriceMatch(IntEnum):
    """Where the venue finds the price of an order."""

    PM_NONE = 0
    OPPONENT = 1
    OPPONENT_5 = 2
    OPPONENT_10 = 3
    OPPONENT_20 = 4
    QUEUE = 5
    QUEUE_5 = 6
    QUEUE_10 = 7
    QUEUE_20 = 8

class Reason(IntEnum):
    """Verdict on an order; all but APPROVED refuse it."""

    APPROVED = 0
    R1_PRICE_COLLAR = 1
    R2_CHASE = 2
    R3_ORDER_NOTIONAL = 3
    R4_ORDER_QUANTITY = 4
    R5_POSITION_LIMIT = 5
    R6_GROSS_EXPOSURE = 6
    R7_LEVERAGE = 7
    R8_BRACKET = 8
    R9_LIQUIDATION_DISTANCE = 9
    R10_MARGIN_RATIO = 10
    R11_ORDER_RATE = 11
    R12_WEIGHT = 12
    R13_MESSAGE_QUALITY = 13
    R14_REPEATED = 14
    R15_DUPLICATE = 15
    R16_SELF_TRADE = 16
    R17_FAT_FINGER = 17
    R18_STALE_DATA = 18
    R19_UNKNOWN_ORDERS = 19
    R20_REDUCE_ONLY = 20
    R21_DAILY_LOSS = 21
    R22_DRAWDOWN_KILL = 22
    R23_LOSS_RATE = 23
    R24_VOLATILITY = 24
    R25_OPEN_ORDERS = 25
    R26_UNPROTECTED = 26
    R27_FUNDING_COST = 27
    R28_SYMBOL_STATUS = 28
    R29_NOT_ALLOWED = 29
    R30_MODE = 30
    R31_RISK_FAULT = 31
    R32_NOT_AS_APPROVED = 32
    FILTER_PRICE = 40
    FILTER_QUANTITY = 41
    FILTER_NOTIONAL = 42
    INSUFFICIENT_MARGIN = 43
    NOTHING_TO_REDUCE = 44
    HALTED = 45
    HEADROOM_SPENT = 46
    HEADROOM_STALE = 47
    NOT_AMENDABLE = 48
    DATA_QUALITY = 49
    GATE_CLOSED = 50

class SelfTrade(IntEnum):
    """Whose order ends when two of one account would match."""

    STP_NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3

class Setting(IntEnum):
    """Setting of an account or of a symbol in it."""

    LEVERAGE = 1
    ISOLATED = 2
    HEDGE_MODE = 3
    MULTI_ASSETS = 4
    FEE_COIN = 5

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

class Term(IntEnum):
    """Bit of an order's small terms."""

    CLOSE_POSITION = 1
    PRICE_PROTECT = 2
    MARK_TRIGGER = 4

class TimeInForce(IntEnum):
    """Time in force of an order."""

    GTC = 0
    IOC = 1
    GTX = 2
    FOK = 3
    GTD = 4

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

    def revise(self, i: int, **fields: Any) -> None:
        """Change fields of instrument ``i``, as the exchange does while it is open: brackets, fees."""
