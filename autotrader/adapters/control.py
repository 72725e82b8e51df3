"""How an operator's command reaches a running instance: a socket in its state folder, one line of JSON each way.

Knows the wire and what the answers hold. Refuses to know what a command does: the instance gives a handler for each.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.errors import AutotraderError, OperatorError
from autotrader.messages import say

__all__ = [
    "ANSWERS",
    "Balance",
    "ControlServer",
    "Done",
    "NoInstanceError",
    "OpenOrder",
    "Position",
    "SilentError",
    "Status",
    "SymbolStatus",
    "ask",
]

SOCKET = "control.sock"
LONGEST_REQUEST = 1 << 16
LONGEST_ANSWER = 1 << 23
MOST_CLIENTS = 16
IDLE_S = 10.0
"""How long a client may take to send a request, or to read an answer."""
FAREWELL_S = 1.0
"""How long commands that are under way may go on when the server closes, and a refused client may take to hear so."""

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class SymbolStatus:
    """One symbol of a running instance; amounts in 1e-8.

    Attributes
    ----------
    symbol : str
    bid_e8, ask_e8 : int
        The touch, USDT; 0: none.
    age_ns : int or None
        Since the last market data; None: there were none.
    book_usable : bool
    quantity_e8 : int
        Position, coins; long positive.
    """

    symbol: str
    bid_e8: int
    ask_e8: int
    age_ns: int | None
    book_usable: bool
    quantity_e8: int


@dataclass(frozen=True)
class Status:
    """A running instance at one look; amounts in 1e-8.

    Attributes
    ----------
    mode, profile, run : str
        PAPER, TESTNET or LIVE; which exchange; its id.
    uptime_s : int
    gates : list of str
        Names of the closed gates: while there is one, nothing is opened.
    halted : bool
        By an operator.
    killed : str
        Stamp of the kill, which re-arms it; "": none.
    safe : bool
        Started after a crash loop: exits and kill only.
    ladder : int
        0 full size, 1 half, 2 reduce-only.
    equity_e8 : int
        USDT.
    drawdown_e8, day_loss_e8 : int
        Shares of the peak and of the day's first equity that are lost; negative: a gain.
    orders_open, orders_unknown : int
    symbols : list of SymbolStatus
    links : mapping of str to str
        What each connection does: "up", "down" or another word.
    """

    mode: str
    profile: str
    run: str
    uptime_s: int
    gates: list[str]
    halted: bool
    killed: str
    safe: bool
    ladder: int
    equity_e8: int
    drawdown_e8: int
    day_loss_e8: int
    orders_open: int
    orders_unknown: int
    symbols: list[SymbolStatus]
    links: dict[str, str]


@dataclass(frozen=True)
class Position:
    """One leg that is not flat; amounts in 1e-8.

    Attributes
    ----------
    symbol : str
    leg : int
        1: the short leg of hedge mode.
    quantity_e8 : int
        Coins; long positive.
    entry_e8, price_e8, liquidation_e8, stop_e8 : int
        USDT: entry, mark, liquidation price and trigger of the protective stop; 0: none.
    unrealised_e8 : int
        USDT.
    leverage : int
    isolated : bool
    isolated_e8 : int
        Isolated margin, USDT.
    """

    symbol: str
    leg: int
    quantity_e8: int
    entry_e8: int
    price_e8: int
    liquidation_e8: int
    stop_e8: int
    unrealised_e8: int
    leverage: int
    isolated: bool
    isolated_e8: int


@dataclass(frozen=True)
class OpenOrder:
    """One order that is open, under way or unknown; amounts in 1e-8.

    Attributes
    ----------
    created_ns : int
        UTC.
    symbol, side, type, tif, state : str
        In the exchange's words.
    reduce_only : bool
    price_e8, trigger_e8 : int
        USDT; 0: none.
    quantity_e8, filled_e8 : int
        Coins.
    client_id : str
        As on the wire.
    """

    created_ns: int
    symbol: str
    side: str
    type: str
    tif: str
    reduce_only: bool
    price_e8: int
    trigger_e8: int
    quantity_e8: int
    filled_e8: int
    state: str
    client_id: str


@dataclass(frozen=True)
class Balance:
    """One coin of the account, in 1e-8 of it.

    Attributes
    ----------
    asset : str
    wallet_e8, unrealised_e8, available_e8 : int
    """

    asset: str
    wallet_e8: int
    unrealised_e8: int
    available_e8: int


@dataclass(frozen=True)
class Done:
    """How things stand after a command of the operator.

    Attributes
    ----------
    halted : bool
    killed : str
        Stamp of the kill; "": none.
    reduce_only : list of str
        Symbols in which nothing is opened.
    orders_open, positions : int
        What is left at the exchange, as far as we know.
    unconfirmed : list of str
        Client ids of orders whose end the exchange has not confirmed, and symbols that are not flat: what the command
        should have ended and did not.
    """

    halted: bool
    killed: str
    reduce_only: list[str]
    orders_open: int
    positions: int
    unconfirmed: list[str]


ANSWERS: Mapping[str, Any] = {
    "status": Status,
    "positions": list[Position],
    "orders": list[OpenOrder],
    "balance": list[Balance],
    **dict.fromkeys(("halt", "reduce", "resume", "flatten", "kill"), Done),
}
"""What a handler returns, by command. Others may return whatever JSON holds."""


class NoInstanceError(OperatorError):
    """Blame the operator: no instance runs with this state folder."""


class SilentError(AutotraderError):
    """Blame an instance that listens and does not answer."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    arguments: dict[str, Any] = {}


class _Answer(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    ok: Any = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET


class ControlServer:
    """The instance's side: answers the commands of our own user, each with a handler.

    A handler's AutotraderError is the answer; of another fault the client hears nothing but the end. A command that
    began is finished also when its client is gone.

    Parameters
    ----------
    folder : StateFolder
        Whose lock we hold: a socket that is there already is of an instance that died.
    handlers : mapping of str to coroutine function
        By command; it is given the arguments, which it must judge.
    """

    def __init__(self, folder: StateFolder, handlers: Mapping[str, Handler]) -> None:
        self._folder = folder
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to listen.

        Raises
        ------
        OperatorError
            If the socket cannot be made.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_socket(self._folder)
            listening.bind(_address(self._folder))
            os.chmod(SOCKET, 0o600, dir_fd=self._folder.fd)  # before anybody can connect
        except OSError as error:
            listening.close()
            path = self._folder.path / SOCKET
            raise OperatorError(say("control.no_socket", path=path, reason=error.strerror)) from None
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LONGEST_REQUEST)

    async def close(self) -> None:
        """Stop to listen; what is under way has a second to end."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with suppress(OSError):
            _remove_socket(self._folder)
        others = self._clients - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=FAREWELL_S)
            for task in late:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if refusal := self._refusal(writer):
                await _refuse(reader, writer, refusal)
            else:
                await self._converse(reader, writer)
        finally:
            self._clients.discard(task)
            writer.close()

    def _refusal(self, writer: asyncio.StreamWriter) -> str:
        if _peer(writer.get_extra_info("socket")) != os.geteuid():
            return say("control.foreign")
        return say("control.busy", most=MOST_CLIENTS) if len(self._clients) > MOST_CLIENTS else ""

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await _request(reader):
                await _tell(writer, await self._answer(line))
        except asyncio.LimitOverrunError:  # the rest of the line could be taken for a request
            await _refuse(reader, writer, say("control.too_long", most=LONGEST_REQUEST))

    async def _answer(self, line: bytes) -> _Answer:
        try:
            request = msgspec.json.decode(line, type=_Request)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _Answer(error=say("control.no_request", reason=error))
        handler = self._handlers.get(request.command)
        if handler is None:
            return _Answer(error=say("control.unknown", found=request.command[:80], known=", ".join(self._handlers)))
        try:
            return _Answer(ok=await handler(request.arguments))
        except AutotraderError as error:
            return _Answer(error=str(error))


def ask(state: Path, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
    """Send a command to the instance of a state folder and return what it answers.

    Parameters
    ----------
    state : Path
        Its state folder.
    command : str
    arguments : mapping
    timeout_s : float
        For all of it.

    Returns
    -------
    object
        Of the type that `ANSWERS` names.

    Raises
    ------
    NoInstanceError
        If nobody listens there.
    OperatorError
        If it is no state folder of ours.
    SilentError
        If the instance does not answer in time, or breaks off.
    AutotraderError
        If it refuses, or answers what cannot be understood.
    """
    deadline = time.monotonic() + timeout_s
    folder = StateFolder(state, create=False)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            _connect(link, folder, timeout_s)
            with suppress(BrokenPipeError):  # it refuses us without listening; what it says comes next
                link.sendall(msgspec.json.encode(_Request(command, dict(arguments))) + b"\n")
            return _understood(command, _line(link, deadline))
    except TimeoutError:
        raise SilentError(say("control.silent", path=state, seconds=f"{timeout_s:g}")) from None
    except ConnectionError:
        raise SilentError(say("control.gone", path=state)) from None
    finally:
        folder.close()


def _connect(link: socket.socket, folder: StateFolder, timeout_s: float) -> None:
    link.settimeout(timeout_s)
    try:
        link.connect(_address(folder))
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoInstanceError(say("control.no_instance", path=folder.path)) from None
    except BlockingIOError:  # it does not accept, and others wait already
        raise TimeoutError from None


def _line(link: socket.socket, deadline: float) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        part = link.recv(1 << 16)
        data += part
        if not part or len(data) > LONGEST_ANSWER:
            raise ConnectionResetError
    return bytes(data)


def _understood(command: str, line: bytes) -> Any:
    try:
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.error is msgspec.UNSET and answer.ok is not msgspec.UNSET:
            return msgspec.convert(answer.ok, ANSWERS.get(command, Any))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise AutotraderError(say("control.garbage", reason=error)) from None
    if answer.error is msgspec.UNSET:
        raise AutotraderError(say("control.garbage", reason="{}"))
    raise AutotraderError(str(answer.error))


async def _request(reader: asyncio.StreamReader) -> bytes:
    # Nothing: the client is gone, or sends nothing.
    try:
        return await asyncio.wait_for(reader.readuntil(), IDLE_S)
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        return b""


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, why: str) -> None:
    # A socket that is closed with bytes unread takes its last words back.
    await _tell(writer, _Answer(error=why))
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            while await reader.read(LONGEST_REQUEST):
                pass


async def _tell(writer: asyncio.StreamWriter, answer: _Answer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    with suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(writer.drain(), IDLE_S)


def _address(folder: StateFolder) -> str:
    # A socket's path holds a hundred bytes, a folder's four thousand; and this one cannot be led astray.
    return f"/proc/self/fd/{folder.fd}/{SOCKET}"


def _remove_socket(folder: StateFolder) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(SOCKET, dir_fd=folder.fd, follow_symlinks=False).st_mode):
            os.unlink(SOCKET, dir_fd=folder.fd)


def _peer(link: socket.socket) -> int:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)
