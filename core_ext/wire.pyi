"""Scan the exchange's messages into rows; encode approved orders."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from core_ext.types import Instruments, Kind, Reason, Rows, Status

# Kind, flags, symbol, the exchange's stamp in ms where the message has one, and the six words.
_Row = tuple[int, int, int, int | None, tuple[int, ...]]
_Spec = Mapping[str, Any]
_Body = dict[str, Any]

INTERVALS_NS: dict[str, int]
DECIMAL: re.Pattern[str]
KEY_NAME: re.Pattern[bytes]
EVENT_ROWS: dict[str, Callable[[_Body, int, _Spec, int | None], list[_Row]]]

@final
class Scanner:
    """Reads messages of the exchange's streams into rows."""

    default_symbol: int
    """Index of the symbol of messages that name none, -1 for none."""
    @property
    def rows(self) -> Rows:
        """Rows of the last message."""

    @property
    def messages(self) -> int:
        """Messages read so far."""

    @property
    def general(self) -> int:
        """Messages so far that took the general parser."""

    @property
    def ignored(self) -> int:
        """Messages so far of no kind that the core reads."""

    @property
    def refused(self) -> int:
        """Messages so far that were malformed, off the grid or of an unknown symbol."""

    def __init__(self, instruments: Instruments, default_symbol: int = -1) -> None: ...
    def feed(self, message: bytes, ts: int) -> Status:
        """Read one message; its rows are in ``rows`` until the next."""

    def feed_general(self, message: bytes, ts: int) -> Status:
        """Read one message with the general parser only (the reference of the fast one)."""

@final
class Approval:
    """An order that the gate has approved, as Python may hold one: ``RiskGate.ask`` alone fills it."""

@final
class Request:
    """Something that is asked of the exchange."""

    @property
    def kind(self) -> Kind:
        """ORDER, AMEND, CANCEL or QUERY."""

    @property
    def client_id(self) -> int:
        """Of the order."""

    @property
    def symbol(self) -> int:
        """Index of its symbol."""

    @property
    def conditional(self) -> bool:
        """Whether the order lives in the algo universe."""

    @property
    def closes(self) -> bool:
        """Whether it can only make a position smaller."""

    @property
    def approval(self) -> Approval | None:
        """What risk has let through."""

    @property
    def number(self) -> int:
        """Under which it left over the request socket; 0: it has not."""

    @property
    def weight_sent(self) -> int:
        """The weight that had been sent when it left, its own included."""

    @property
    def orders_sent(self) -> int:
        """The orders that had been sent when it left, itself included."""

    @property
    def may_open(self) -> bool:
        """Whether it could make a position larger."""

    @property
    def is_exit(self) -> bool:
        """Whether it can only take risk away."""

    def __init__(
        self,
        kind: Kind,
        client_id: int,
        symbol: int,
        conditional: bool = False,
        closes: bool = False,
        approval: Approval | None = None,
    ) -> None: ...

@final
class Signer:
    """Signs what an account sends: HMAC-SHA256 in hexadecimal, as the exchange wants it."""

    def __init__(self, key: bytes | None, portable: bool = False, name: bytes = b"") -> None: ...
    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text, 64 hexadecimal digits; ValueError without a key."""

    def order_text(self, approval: Approval, instruments: Instruments, timestamp_ms: int) -> bytes:
        """Return the text of an approved order, compared with what was approved (R32); empty if refused."""

    def compare(self, text: bytes, approval: Approval, instruments: Instruments, timestamp_ms: int) -> Reason:
        """Return R32's verdict on a text: approved if it says what was approved, and is signed as this signer would."""

    def reference_text(
        self, client_id: int, symbol: int, instruments: Instruments, timestamp_ms: int, conditional: bool = False
    ) -> bytes:
        """Return the text that names an order, signed if there is a key: to cancel it, or to ask for it."""

def sha256(message: bytes, portable: bool = False) -> bytes:
    """Return the SHA-256 of a message, 32 bytes (``portable``: in plain C whatever the processor has)."""

class Refused(ValueError):
    """A message that is refused; ``status`` says why."""

    def __init__(self, status: Status, why: str) -> None: ...

def shown(value: object) -> str:
    """Return a refused value, short, whatever it is."""

def whole(value: object) -> int:
    """Return a JSON integer that fits the wire's 18 digits."""

def scaled(text: object, decimals: int) -> int:
    """Return decimal text as an integer of so many decimals, refusing anything finer."""

def grid(text: object, spec: _Spec, what: str, least: int) -> int:
    """Return price text in ticks or quantity text in lots."""

def price_value(text: object) -> int:
    """Return a positive price at eight decimals."""

def rate_value(text: object) -> int:
    """Return a signed rate at eight decimals."""

def truth(value: object) -> bool:
    """Return a JSON boolean."""

def general_rows(scanner: Scanner, message: bytes, ts: int) -> int:
    """Read one message by the general parser into ``scanner.rows``; the judge of what is refused."""

def symbol_of(scanner: Scanner, body: _Body, key: str) -> int:
    """Return the index of the message's symbol."""

def level_rows(side: object, symbol: int, spec: _Spec, stamp: int | None, flags: int) -> list[_Row]:
    """Return the LEVEL rows of one side."""

def closed_run(rows: list[_Row]) -> list[_Row]:
    """Return the rows with F_END on the last."""

def book_rows(
    head_kind: int,
    flags: int,
    symbol: int,
    spec: _Spec,
    stamp: int | None,
    words: Sequence[int],
    bids: object,
    asks: object,
) -> list[_Row]:
    """Return a depth run: the header, bids, asks."""

def rows_of(scanner: Scanner, body: _Body) -> list[_Row]:
    """Return the rows of a decoded message as (kind, flags, symbol, exchange ms or None, six words)."""

def depth_general(body: _Body, symbol: int, spec: _Spec, stamp: int | None) -> list[_Row]:
    """Return the rows of a ``depthUpdate``."""

def touch_general(body: _Body, symbol: int, spec: _Spec, stamp: int | None) -> list[_Row]:
    """Return the row of a ``bookTicker``."""

def trade_general(body: _Body, symbol: int, spec: _Spec, stamp: int | None) -> list[_Row]:
    """Return the row of a ``trade`` or an ``aggTrade``; none for what the trade stream announces as no trade."""

def mark_general(body: _Body, symbol: int, spec: _Spec, stamp: int | None) -> list[_Row]:
    """Return the row of a ``markPriceUpdate``."""

def candle_general(body: _Body, symbol: int, spec: _Spec, stamp: int | None) -> list[_Row]:
    """Return the row of a ``kline``."""
