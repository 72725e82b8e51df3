"""The door of the exchange on loopback: one port for requests and for WebSockets.

Knows bytes, HTTP/1.1, the upgrade to a WebSocket, and how an answer is delayed, cut or withheld when a fault asks for
it. Refuses to know what a path means, who is asking, what a message says, and the time of day: its timers only bound
how long a peer may take. Whatever a peer sends costs bounded memory and at most the peer's own connection.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import socket as sockets
import ssl
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, cast

import orjson
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from picows import WSAutoPingStrategy, WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from core_ext.frames import Frames

HOST: Final = "127.0.0.1"
BODY_BYTES: Final = 1 << 20
MESSAGE_BYTES: Final = 1 << 20
FRAMED_BYTES: Final = 8 << 20
"""Bytes that a request may take with all that its transfer encoding adds; a chunk of one byte takes six."""
HEAD_BYTES: Final = 16 << 10
CONNECTIONS: Final = 1024
PIPELINED: Final = 16
"""Requests of one connection that may wait for an answer before it is read no further."""
ARRIVAL_S: Final = 10.0
"""How long a request's head and body may take to arrive."""
LINGER_S: Final = 2.0
"""How long a peer may take to notice that the connection ends."""
FLUSH_S: Final = 0.02
"""How long the part of an answer that a cut lets through may take to leave before the reset."""
SLOW_BACKLOG: Final = 16 << 20
"""Bytes that may wait for a WebSocket that was slowed down."""
OUTBOX_BYTES: Final = 64 << 10
"""Bytes of messages at which they leave before the loop's round is over."""
WRITE_BUFFER: Final = (1 << 20, 256 << 10)
"""Bytes unsent at which a WebSocket counts as paused, and at which it no longer does."""

# picows reports every odd frame of a peer; only what carries a traceback is a fault of ours.
_FAULTS: Final = logging.getLogger(__name__)
_FAULTS.addFilter(lambda record: record.exc_info is not None)
_LOG: Final = logging.LoggerAdapter(_FAULTS, {})


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one request: query undecoded, header names in lower case, the peer's address."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    peer: str


@dataclass(slots=True)
class Response:
    """Hold one answer, and how a fault spoils it.

    Parameters
    ----------
    status, body, headers, content_type
        The answer.
    delay_s : float
        Answer so much later; later requests of the connection wait behind it.
    never : bool
        Do not answer at all; the connection stays open.
    cut : int
        After so many bytes, head included, the connection is reset; negative: it is not.
    drip_s : float
        The body leaves one byte at a time, so many seconds apart.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json;charset=UTF-8"
    delay_s: float = 0.0
    never: bool = False
    cut: int = -1
    drip_s: float = 0.0


def _error(status: int, text: str) -> Response:
    return Response(status, orjson.dumps({"code": -1100, "msg": text}))


_MALFORMED: Final = _error(400, "Malformed request.")
_LATE: Final = _error(408, f"The request did not arrive within {ARRIVAL_S:g} seconds.")
_HEAD_TOO_LARGE: Final = _error(431, f"The request's head is larger than {HEAD_BYTES} bytes.")
_BODY_TOO_LARGE: Final = _error(413, f"The request's body is larger than {BODY_BYTES} bytes.")
_NO_HANDSHAKE: Final = _error(400, "Not a WebSocket handshake of version 13.")
_FULL: Final = _error(503, "Too many connections.")


class Socket(WSListener):
    """Be one WebSocket of a client; the exchange's own kinds derive from it.

    Parameters
    ----------
    request : Request
        The request that was upgraded.

    Attributes
    ----------
    pongs : int
        PONG frames received, asked for or not.
    dropped : int
        Messages that came after the close.
    paused : bool
        Whether the peer reads more slowly than it is sent to.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.pongs = 0
        self.dropped = 0
        self.paused = False
        self._transport: WSTransport | None = None
        self._open = False
        self._gone: Callable[[Socket], None] = _ignore
        self._outbox = Frames()
        self._fragments = bytearray()
        self._fragmented: WSMsgType | None = None
        self._end: asyncio.TimerHandle | None = None
        self._bytes_per_s = 0.0
        self._free_at = 0.0

    def on_open(self) -> None:
        """Hear that the handshake is done and messages can be sent."""

    def on_text(self, text: bytes) -> None:
        """Hear a whole text message, which is valid UTF-8."""

    def on_control(self) -> None:
        """Hear that a PING (already answered) or a PONG (already counted) came."""

    def on_closed(self) -> None:
        """Hear that the connection is gone, whoever ended it."""

    def send(self, payload: bytes) -> None:
        """Send a text message; after a close nothing happens."""
        if self._bytes_per_s and self._open:
            self._send_slowly(payload)
        else:
            self._send_now(payload)

    @property
    def sent(self) -> int:
        """Messages sent."""
        return self._outbox.count

    def slow_down(self, bytes_per_s: float) -> None:
        """Send no more than so many bytes a second from now on."""
        self._bytes_per_s = bytes_per_s
        self._free_at = asyncio.get_running_loop().time()

    def freeze(self) -> None:
        """Be half open: nothing is read and nothing written any more, and the connection stays."""
        self._flush()
        self.hold()
        self._open = False

    def ping(self) -> None:
        """Send a PING frame; after a close nothing happens."""
        if self._open and self._transport is not None:
            self._transport.send_ping()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a CLOSE frame and end the connection when the peer has answered it, or soon anyway."""
        if self._open and self._transport is not None:
            self._flush()
            self._transport.send_close(WSCloseCode(code), reason)
            self._part()

    def abort(self) -> None:
        """Reset the connection without a word."""
        if self._transport is not None:
            self._flush()
            self._open = False
            _reset(self._transport.underlying_transport)

    def hold(self) -> None:
        """Read nothing more of the peer until `release`."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def release(self) -> None:
        """Read the peer again."""
        if self._transport is not None and not self._transport.underlying_transport.is_closing():
            self._transport.underlying_transport.resume_reading()

    @property
    def buffered(self) -> int:
        """Bytes that wait to be written."""
        if self._transport is None:
            return 0
        return self._outbox.waiting + self._transport.underlying_transport.get_write_buffer_size()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin: picows calls this after the handshake."""
        transport.underlying_transport.set_write_buffer_limits(*WRITE_BUFFER)
        self._transport = transport
        self._open = True
        self.on_open()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """End: picows calls this when the connection is gone."""
        self._open = False
        if self._end is not None:
            self._end.cancel()
        self._transport = None
        self._flush()
        self._fragments.clear()
        self._gone(self)
        self.on_closed()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame apart: picows calls this."""
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._answer_close(transport, frame)
        elif not self._open:
            return
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(1002, "reserved bit set")
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            self.on_control()
        elif kind == WSMsgType.PONG:
            self.pongs += 1
            self.on_control()
        else:
            self._assemble(frame)

    def pause_writing(self) -> None:
        """Note that the write buffer is high: picows calls this."""
        self.paused = True

    def resume_writing(self) -> None:
        """Note that the write buffer is low again: picows calls this."""
        self.paused = False

    def _send_now(self, payload: bytes) -> None:
        if not self._open:
            self.dropped += 1
            return
        # A write asks the kernel and wakes the peer, which costs more than making the message: those of one round of
        # the loop leave together.
        outbox = self._outbox
        if not outbox.waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        if outbox.add(payload) > OUTBOX_BYTES:
            self._flush()

    def _flush(self) -> None:
        waiting = self._outbox.take()
        if waiting and self._transport is not None:
            self._transport.underlying_transport.write(waiting)

    def _send_slowly(self, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + len(payload) / self._bytes_per_s
        if (self._free_at - loop.time()) * self._bytes_per_s > SLOW_BACKLOG:
            self.close(1008, "too slow")
        else:
            loop.call_at(self._free_at, self._send_now, payload)

    def _answer_close(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._open:
            self._flush()
            transport.send_close(frame.get_close_code() or WSCloseCode.OK)
            self._part()
        transport.disconnect()

    def _part(self) -> None:
        # A peer that does not read would keep the CLOSE frame, and with it the connection, for ever.
        self._open = False
        assert self._transport is not None
        self._end = asyncio.get_running_loop().call_later(LINGER_S, self._transport.disconnect, False)

    def _assemble(self, frame: WSFrame) -> None:
        if (frame.msg_type == WSMsgType.CONTINUATION) != (self._fragmented is not None):
            self.close(1002, "fragments out of order")
            return
        kind = frame.msg_type if self._fragmented is None else self._fragmented
        self._fragments += frame.get_payload_as_memoryview()
        self._fragmented = None if frame.fin else kind
        if len(self._fragments) > MESSAGE_BYTES:
            self.close(1009, "message too big")
        elif frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            if kind == WSMsgType.TEXT:
                self._hear(message)

    def _hear(self, message: bytes) -> None:
        if _is_utf8(message):
            self.on_text(message)
        else:
            self.close(1007, "not UTF-8")


class Door:
    """Listen on one port of 127.0.0.1 and bring every request to who answers it.

    Parameters
    ----------
    answer : callable
        Answers a request.
    connect : callable
        Answers a request to become a WebSocket: with the `Socket`, or with a refusal.
    tls : ssl.SSLContext or None
        The server's context; None: plain TCP.
    """

    def __init__(
        self,
        answer: Callable[[Request], Response],
        connect: Callable[[Request], "Socket | Response"],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self.connect = connect
        self.connections: set[_Connection] = set()
        self.sockets: set[Socket] = set()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()

    async def open(self, port: int) -> int:
        """Listen on a port (0: any free one), and return it.

        Raises
        ------
        OSError
            The port is taken.
        """
        handshake_s = None if self._tls is None else ARRIVAL_S
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), HOST, port, ssl=self._tls, ssl_handshake_timeout=handshake_s, backlog=CONNECTIONS
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """End every connection, WebSockets with code 1001, and listen no more."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        for socket in tuple(self.sockets):
            socket.close(1001, "going away")
        self._tell()
        await self._emptied()
        stubborn: tuple[_Connection | Socket, ...] = (*self.connections, *self.sockets)
        for one in stubborn:
            one.abort()
        # A reset is told of in a later round of the loop, and the server does not wait for it.
        await self._emptied()
        await self._server.wait_closed()
        self._server = None

    async def _emptied(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), 1.5 * LINGER_S)

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be one too many."""
        return len(self.connections) + len(self.sockets) >= CONNECTIONS

    def forget(self, connection: "_Connection") -> None:
        """Drop a connection that ended or became a WebSocket."""
        self.connections.discard(connection)
        self._tell()

    def forget_socket(self, socket: Socket) -> None:
        """Drop a WebSocket that is gone."""
        self.sockets.discard(socket)
        self._tell()

    def _tell(self) -> None:
        if not self.connections and not self.sockets:
            self._empty.set()
        else:
            self._empty.clear()


@dataclass(slots=True)
class _Asked:
    """A whole request; `tail` holds what came behind it if it asks for a WebSocket."""

    request: Request
    keep_alive: bool
    tail: bytearray | None = None


class _Reader:
    """Cut what a peer sends into requests; the methods with `on_` are called by the parser."""

    def __init__(self, peer: str) -> None:
        self.whole: deque[_Asked] = deque()
        self.begun = 0
        self.is_within = False
        self.upgraded: _Asked | None = None
        self._peer = peer
        self._parser = HttpRequestParser(self)
        self._refusal = _MALFORMED
        self.on_message_begin()
        self.begun, self.is_within = 0, False

    def feed(self, data: bytes) -> Response | None:
        """Read on; return how to refuse what came if it is too large or no HTTP, after which nothing can be read."""
        if self.upgraded is not None and self.upgraded.tail is not None:
            self.upgraded.tail += data
            return _BODY_TOO_LARGE if len(self.upgraded.tail) > BODY_BYTES else None
        begun = self.begun
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return self._behind(data[upgrade.args[0] :])
        except HttpParserError:
            return self._refusal
        # A header or trailer without an end reaches us only when it ends, so raw bytes are counted here.
        if self.is_within and self.begun == begun:
            self._arrived += len(data)
        return self._too_much() if self._arrived else None

    def on_message_begin(self) -> None:
        self.begun += 1
        self.is_within = self._in_head = True
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_bytes = self._arrived = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if int(self._headers.get("content-length") or 0) > BODY_BYTES:
            self._refuse(_BODY_TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_BYTES:
            self._refuse(_BODY_TOO_LARGE)

    def on_message_complete(self) -> None:
        self.is_within = False
        path, _, query = self._url.decode("utf-8", "surrogateescape").partition("?")
        method = self._parser.get_method().decode()
        request = Request(method, path, query, self._headers, bytes(self._body), self._peer)
        asked = _Asked(request, self._parser.should_keep_alive())
        if self._parser.should_upgrade() and self._headers.get("upgrade", "").lower() == "websocket":
            self.upgraded = asked
        self.whole.append(asked)

    def expects_continue(self) -> bool:
        """Tell whether the peer waits for a word before it sends the body."""
        return self.is_within and not self._in_head and self._headers.pop("expect", "").lower() == "100-continue"

    def _count(self, amount: int) -> None:
        self._head_bytes += amount
        if self._head_bytes > HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)

    def _too_much(self) -> Response | None:
        if self._in_head:
            return _HEAD_TOO_LARGE if self._arrived > HEAD_BYTES else None
        return _BODY_TOO_LARGE if self._arrived > FRAMED_BYTES else None

    def _refuse(self, refusal: Response) -> None:
        self._refusal = refusal
        raise ValueError(refusal.status)

    def _behind(self, rest: bytes) -> Response | None:
        if self.upgraded is None:
            # An upgrade to something else (HTTP/2) is not ours to grant: the request stands, and HTTP/1.1 goes on.
            return self.feed(rest) if rest else None
        self.upgraded.tail = bytearray(rest)
        return None


class _Connection(asyncio.Protocol):
    """One TCP connection, as long as it speaks HTTP: requests are answered one at a time, in their order."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._refusal: Response | None = None
        self._is_deaf = False
        self._is_busy = False
        self._is_paused = False
        self._arrival: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._reader = _Reader((transport.get_extra_info("peername") or ("",))[0])
        if self._door.is_full:
            self._refuse(_FULL)
        else:
            self._expect()
        self._door.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        begun = self._reader.begun
        self._refusal = self._reader.feed(data)
        self._is_deaf = self._refusal is not None
        if not self._reader.is_within:
            self._expect_nothing()
        elif self._reader.begun != begun:
            self._expect()
        self._work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._let_go()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._work()

    def close(self) -> None:
        self._is_deaf = self._is_busy = True
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _work(self) -> None:
        """Answer what can be answered now."""
        while self._reader.whole and not (self._is_busy or self._is_paused):
            self._serve(self._reader.whole.popleft())
        if self._is_busy or self._is_paused:
            self._throttle()
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._reader.expects_continue():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._throttle()

    def _serve(self, asked: _Asked) -> None:
        if asked.tail is None:
            self._answer(asked, self._door.answer(asked.request))
            return
        outcome = self._door.connect(asked.request) if _is_handshake(asked.request) else _NO_HANDSHAKE
        if isinstance(outcome, Socket):
            self._hand_over(outcome, asked)
        else:
            self._answer(replace(asked, keep_alive=False), outcome)

    def _answer(self, asked: _Asked, response: Response) -> None:
        head, body = _head(response, asked.keep_alive), response.body if asked.request.method != "HEAD" else b""
        outgoing = _Outgoing(head, body, response, asked.keep_alive)
        if response.never:
            # Reading goes on, for a peer's leaving is noticed only by reading.
            self._is_busy = self._is_deaf = True
            self._expect_nothing()
        elif response.delay_s > 0:
            self._later(response.delay_s, outgoing)
        else:
            self._send(outgoing)

    def _later(self, delay_s: float, outgoing: "_Outgoing") -> None:
        self._is_busy = True
        self._leaving = self._loop.call_later(delay_s, self._resume, outgoing)

    def _resume(self, outgoing: "_Outgoing") -> None:
        self._is_busy = False
        self._send(outgoing)
        self._work()

    def _send(self, outgoing: "_Outgoing") -> None:
        self._transport.write(outgoing.next_piece())
        if not outgoing.is_done:
            self._later(outgoing.response.drip_s, outgoing)
        elif outgoing.response.cut >= 0:
            self._is_busy = self._is_deaf = True
            self._leaving = self._loop.call_later(FLUSH_S, _reset, self._transport)
        elif not outgoing.keep_alive:
            self.close()

    def _refuse(self, refusal: Response) -> None:
        self._transport.write(_head(refusal, keep_alive=False) + refusal.body)
        # What the peer still sends is read and dropped: closing on unread bytes would reset the connection, and the
        # peer would lose the answer that tells it why.
        self._is_busy = self._is_deaf = True
        self._refusal = None
        self._expect_nothing()
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._leaving = self._loop.call_later(LINGER_S, self._transport.abort)

    def _throttle(self) -> None:
        if not self._is_deaf and not self._transport.is_closing():
            if len(self._reader.whole) >= PIPELINED:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _hand_over(self, socket: Socket, asked: _Asked) -> None:
        self._is_busy = self._is_deaf = True
        self._door.sockets.add(socket)
        self._let_go()
        socket._gone = self._door.forget_socket
        protocol = _websocket(socket)
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        _pour(protocol, _canonical(asked.request) + bytes(asked.tail or b""))
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _expect(self) -> None:
        self._expect_nothing()
        self._arrival = self._loop.call_later(ARRIVAL_S, self._give_up)

    def _expect_nothing(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()

    def _give_up(self) -> None:
        if self._reader.begun == 0:
            self._transport.close()
            return
        self._refusal, self._is_deaf = _LATE, True
        self._work()

    def _let_go(self) -> None:
        for timer in (self._arrival, self._leaving):
            if timer is not None:
                timer.cancel()
        self._door.forget(self)


@dataclass(slots=True)
class _Outgoing:
    """An answer on its way out, whole or in drops."""

    head: bytes
    body: bytes
    response: Response
    keep_alive: bool
    _left: memoryview = field(init=False)
    _is_begun: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        whole = memoryview(self.head + self.body)
        self._left = whole if self.response.cut < 0 else whole[: self.response.cut]

    def next_piece(self) -> bytes:
        dripping = self.response.drip_s > 0
        length = len(self._left) if not dripping else 1 if self._is_begun else len(self.head)
        piece, self._left, self._is_begun = bytes(self._left[:length]), self._left[length:], True
        return piece

    @property
    def is_done(self) -> bool:
        return not self._left


def _head(response: Response, keep_alive: bool) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [
        f"HTTP/1.1 {response.status} {phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _is_handshake(request: Request) -> bool:
    headers = request.headers
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", "").encode("latin-1"), validate=True)
    except binascii.Error:
        return False
    return request.method == "GET" and headers.get("sec-websocket-version") == "13" and len(key) == 16


def _canonical(request: Request) -> bytes:
    # picows reads a handshake itself, and more strictly than browsers write it; it is shown the plainest one.
    key = request.headers["sec-websocket-key"].encode()
    return (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
    )


def _websocket(socket: Socket) -> WSProtocol:
    # The arguments stand as in `picows.ws_create_server`, which cannot be used: it opens a port of its own.
    return WSProtocol(
        None, None, False, lambda _: socket, _LOG, True, None, False, 20, 20, WSAutoPingStrategy.PING_WHEN_IDLE,
        False, MESSAGE_BYTES, None, 16 << 10,
    )  # fmt: skip


def _pour(protocol: WSProtocol, data: bytes) -> None:
    while data:
        room = protocol.get_buffer(-1)
        length = min(len(room), len(data))
        room[:length] = data[:length]
        protocol.buffer_updated(length)
        data = data[length:]


def _reset(transport: asyncio.BaseTransport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()  # type: ignore[attr-defined]


def _is_utf8(message: bytes) -> bool:
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ignore(socket: Socket) -> None:
    """Stand in for the door until it takes a socket over."""
