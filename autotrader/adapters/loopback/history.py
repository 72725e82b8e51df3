"""The history of what the exchange did: one JSON line a record, only ever added to.

Knows the layout of a line, what each kind of record holds, and how a file is written and read without keeping it.
Refuses to know whether what is written is right: that is `proof`'s.

A line is ``{"n":<n>,"t":<ns>,"k":"<kind>",...,"c":"<crc>"}`` and a newline. ``n`` counts lines from 0, ``t`` is the
exchange's time. Its last 17 bytes are ``,"c":"``, the CRC-32 of every byte before them as eight hexadecimal digits,
``"}`` and the newline. Lines are written whole and in order, so a line without its newline is torn: the last one of a
process that was killed. Any other line that does not fit its sum was changed.

What the order of records means: an order is written before its fills, a fill with its account's state after it, an end
after what ended it, and a checkpoint (the marks, then the state) when all that happened before it is written.
Settings that an account opens with and that are not the exchange's own are written as ``setting`` records.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal
from zlib import crc32

import msgspec
import orjson

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["VERSION", "History", "Reader", "Record"]

VERSION = 1  # of the records
MAX_LINE = 1 << 22  # bytes; a checkpoint of thousands of positions fits
MAX_WAITING = 1 << 16  # bytes kept between two flushes
SUM = b',"c":"%08x"}\n'
SUM_BYTES = 17

Truth = bool | int


class History:
    """Write what happens to a file that did not exist before.

    Parameters
    ----------
    path : Path or None
        Where to; None keeps nothing.

    Attributes
    ----------
    records : int
        Records so far.

    Raises
    ------
    OperatorError
        If the file exists, or cannot be written now or later.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None if path is None else _create(path)

    def write(self, kind: str, now_ns: int, /, **fields: object) -> None:
        """Add a record of a kind (the classes below, in lower case) with its fields, at the exchange's time in ns."""
        if self._file is None:
            return
        line = _line({"n": self.records, "t": now_ns, "k": kind, **fields})
        self.records += 1
        self._waiting.append(line)
        self._size += len(line)
        if self._size >= MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Hand what waits over to the operating system."""
        if self._file is None:
            return
        try:
            self._file.write(b"".join(self._waiting))
            self._file.flush()
        except OSError as error:
            raise OperatorError(say("loopback.history_unwritable", path=self.path, why=error.strerror)) from error
        self._waiting.clear()
        self._size = 0

    def close(self, now_ns: int) -> None:
        """End the history with the count of its records; what is written afterwards is not kept."""
        if self._file is None:
            return
        self.write("close", now_ns, records=self.records)
        self.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None


def _create(path: Path) -> IO[bytes]:
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise OperatorError(say("loopback.history_exists", path=path)) from error
    except OSError as error:
        raise OperatorError(say("loopback.history_unwritable", path=path, why=error.strerror)) from error


def _line(record: dict[str, object]) -> bytes:
    body = orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)[:-1]
    if len(body) > MAX_LINE - SUM_BYTES:
        raise ValueError(f"a record of {len(body)} bytes")
    return body + SUM % crc32(body)


# ---------------------------------------------------------------------- what a record holds


class Record(msgspec.Struct, tag_field="k", tag=str.lower):
    """What all records have: the line's number and the exchange's time, ns."""

    n: int
    t: int


class Instrument(msgspec.Struct):
    """A symbol; ``unit_e8`` is what a lot is worth a tick, ``tick_e8 * lot_e8`` in 1e-8 when it is not given."""

    symbol: str
    tick_e8: int
    lot_e8: int
    unit_e8: int = 0


class Owner(msgspec.Struct):
    """An account and what it starts with, by coin."""

    name: str
    wallets: dict[str, int]


class Open(Record):
    """The world begins. Symbols and accounts are numbers from here on: their places in these lists."""

    version: int
    seed: int
    synthetic: Truth
    instruments: list[Instrument]
    accounts: list[Owner]
    fund_e8: int


class Order(Record):
    """An order was accepted; ``algo`` is the conditional order that it is the child of, 0: none."""

    account: int
    symbol: int
    order: int
    client: str
    side: int
    type: int
    tif: int
    lots: int
    ticks: int
    reduce: Truth
    leg: int
    algo: int = 0


class Refused(Record):
    """An order was refused."""

    account: int
    symbol: int
    client: str
    code: int


class Amended(Record):
    """An open order has another price and quantity."""

    account: int
    order: int
    lots: int
    ticks: int


class End(Record):
    """An order is over, ``undone`` lots of it not filled."""

    account: int
    order: int
    how: Literal["FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"]
    undone: int
    reason: int = 0


class Fill(Record):
    """An order was filled; wallet, signed position of the leg and its signed cost are those after the fill."""

    account: int
    symbol: int
    order: int
    trade: int
    side: int
    lots: int
    ticks: int
    fee_e8: int
    coin: Truth
    maker: Truth
    leg: int
    wallet_e8: int
    position: int
    cost_e8: int


class Algo(Record):
    """A conditional order has a new status; ``closes`` tells whether it closes all of its leg."""

    account: int
    symbol: int
    algo: int
    client: str
    status: Literal["NEW", "TRIGGERING", "TRIGGERED", "FINISHED", "CANCELED", "EXPIRED", "REJECTED"]
    child: int = 0
    code: int = 0
    side: int = 0
    leg: int = 0
    closes: Truth = False


class Funding(Record):
    """A leg paid (negative) or received funding."""

    account: int
    symbol: int
    leg: int
    amount_e8: int
    rate_e8: int
    mark_e8: int
    position: int
    wallet_e8: int


class Forced(Record):
    """Signed lots of a leg were closed by force; wallet, position and cost are those after it."""

    account: int
    symbol: int
    leg: int
    lots: int
    price_e8: int
    fee_e8: int
    mark_e8: int
    cause: int
    wallet_e8: int
    position: int
    cost_e8: int


class Transfer(Record):
    """An asset came into the futures wallet, or left it (negative); ``wallet_e8`` is the asset's wallet after it."""

    account: int
    asset: int
    amount_e8: int
    wallet_e8: int


class Margin(Record):
    """USDT moved between the cross wallet and an isolated leg."""

    account: int
    symbol: int
    leg: int
    amount_e8: int


class Setting(Record):
    """An account has another setting."""

    account: int
    symbol: int
    setting: int
    value: int


class Held(msgspec.Struct, array_like=True):
    """An open leg at a checkpoint."""

    symbol: int
    leg: int
    lots: int
    cost_e8: int
    isolated_e8: int
    unrealised_e8: int
    maintenance_e8: int
    isolated: Truth


class Coin(msgspec.Struct, array_like=True):
    """A margin coin besides USDT at a checkpoint."""

    asset: int
    wallet_e8: int
    fees_e8: int


class Holdings(msgspec.Struct):
    """An account at a checkpoint; fees are all that it paid in USDT, liquidation fees among them."""

    wallet_e8: int
    fees_e8: int
    equity_e8: int
    cross_equity_e8: int
    cross_maintenance_e8: int
    positions: list[Held]
    coins: list[Coin]


class Owed(msgspec.Struct, array_like=True):
    """What the insurance fund holds of a symbol at a checkpoint."""

    symbol: int
    lots: int
    cost_e8: int


class Fund(msgspec.Struct):
    """The insurance fund at a checkpoint."""

    wallet_e8: int
    positions: list[Owed]


class State(Record):
    """A checkpoint of all accounts and the fund."""

    accounts: list[Holdings]
    fund: Fund


class Trade(Record):
    """A trade was published."""

    symbol: int
    trade: int
    ticks: int
    lots: int
    sell: Truth


class Level(msgspec.Struct, array_like=True):
    """A level of the book and its lots, 0: it is gone."""

    side: int
    ticks: int
    lots: int


class Depth(Record):
    """A synthetic book changed."""

    symbol: int
    U: int
    u: int
    pu: int
    levels: list[Level]


class Touch(Record):
    """The best prices of a replayed book, 0: there is none."""

    symbol: int
    u: int
    bid: int
    ask: int


class Fault(Record):
    """A fault was provoked."""

    text: str


class Mark(Record):
    """A mark price, at a checkpoint."""

    symbol: int
    mark_e8: int


class Close(Record):
    """The exchange was closed in good order; ``records`` is how many stand before this one."""

    records: int


Any = (
    Open
    | Order
    | Refused
    | Amended
    | End
    | Fill
    | Algo
    | Funding
    | Forced
    | Transfer
    | Margin
    | Setting
    | State
    | Trade
    | Depth
    | Touch
    | Fault
    | Mark
    | Close
)
DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)


class Reader:
    """Read a history record by record.

    Parameters
    ----------
    path : Path
        A file that `History` wrote.

    Attributes
    ----------
    torn : int
        Bytes of a torn last line, which is left out; known when the last record has been read.

    Raises
    ------
    OperatorError
        While reading: if the file cannot be read, or a line is damaged, missing or of an unknown shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield the records in order."""
        self.torn = 0
        try:
            with self.path.open("rb") as file:
                yield from self._records(file)
        except OSError as error:
            raise OperatorError(say("loopback.history_unreadable", path=self.path, why=error.strerror)) from error

    def _records(self, file: IO[bytes]) -> Iterator[Any]:
        for n, line in enumerate(iter(lambda: file.readline(MAX_LINE), b"")):
            if len(line) < MAX_LINE and not line.endswith(b"\n"):
                self.torn = len(line)
                return
            yield self._record(n, line)

    def _record(self, n: int, line: bytes) -> Any:
        body = line[:-SUM_BYTES]
        if line[-SUM_BYTES:] != SUM % crc32(body):
            raise OperatorError(say("loopback.history_damaged", path=self.path, line=n))
        try:
            record = DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise OperatorError(say("loopback.history_unknown", path=self.path, line=n, why=error)) from error
        if record.n != n:
            raise OperatorError(say("loopback.history_gap", path=self.path, line=n, found=record.n))
        return record
