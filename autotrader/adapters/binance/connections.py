"""One WebSocket to the exchange's streams: opened, subscribed, heard, ended; and what keeps several of them.

Knows frames, the control protocol's questions and answers, deadlines, and that what is open ends with whoever keeps it.
Refuses to know what a stream's message says, which streams there are, and when to connect again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, Self

import orjson
from picows import WSError, WSFrame, WSMsgType, WSTransport, ws_connect

from autotrader.adapters.binance.pacing import Pace
from autotrader.errors import VenueError
from autotrader.messages import say
from core_ext.feed import Listener

__all__ = ["MESSAGE_BYTES", "Connection", "Subscriber"]

MESSAGE_BYTES: Final = 1 << 20
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
CLOSE_S: Final = 1.0
NAMES: Final = 100
"""Streams of one SUBSCRIBE."""
BETWEEN_S: Final = 0.25
"""Time between two messages of ours: the exchange ends a connection that hears more than ten a second."""
STREAMED: Final = b'{"stream":'

# picows reports every odd frame of a peer; only what carries a traceback is a fault of ours.
_FAULTS: Final = logging.getLogger(__name__)
_FAULTS.addFilter(lambda record: record.exc_info is not None)
_LOG: Final = logging.LoggerAdapter(_FAULTS, {})


class Connection(Listener):
    """A connection that hands over each message of a combined stream.

    Parameters
    ----------
    heard : callable
        Given the connection and each message of a stream, as it came.

    Attributes
    ----------
    opened_s : float
        The loop's time when its subscriptions were confirmed; 0.0 before.
    gone : Event
        Set when it has ended, whoever ended it.
    """

    def __init__(self, heard: Callable[[Connection, bytes], None]) -> None:
        super().__init__(MESSAGE_BYTES)
        self.opened_s = 0.0
        self.gone = asyncio.Event()
        self._heard = heard
        self._transport: WSTransport | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0
        self._parts = bytearray()

    @classmethod
    async def open(
        cls, url: str, heard: Callable[[Connection, bytes], None], tls: ssl.SSLContext | None = None
    ) -> Self:
        """Connect; no redirect and no proxy is followed.

        Raises
        ------
        VenueError
            If there is no connection after five seconds, or what answers is no WebSocket.
        """
        try:
            async with asyncio.timeout(2 * CONNECT_S):
                _, listener = await ws_connect(
                    lambda: cls(heard), url, ssl_context=tls, websocket_handshake_timeout=CONNECT_S,
                    max_frame_size=MESSAGE_BYTES, max_redirects=0, proxy=None, logger_name=_LOG,
                )  # fmt: skip
        except (OSError, WSError) as error:
            raise VenueError(str(error) or type(error).__name__) from None
        # picows hands over no listener when the peer ended the connection before its answer.
        if not isinstance(listener, cls):
            raise VenueError(say("feed.lost"))
        return listener

    async def subscribe(self, names: Sequence[str]) -> None:
        """Ask for streams and wait until the exchange has confirmed each.

        Raises
        ------
        VenueError
            If it refuses, does not answer in ten seconds, or the connection ends.
        """
        for at in range(0, len(names), NAMES):
            if at:
                await asyncio.sleep(BETWEEN_S)
            answer = await self._ask("SUBSCRIBE", list(names[at : at + NAMES]))
            if "result" not in answer or answer["result"] is not None:
                raise VenueError(say("feed.refused", reason=str(answer.get("msg"))[:100]))
        self.opened_s = asyncio.get_running_loop().time()

    async def prove(self) -> None:
        """Ask what is subscribed to, so that the answer proves that somebody is there.

        Raises
        ------
        VenueError
            If there is no answer in ten seconds, or the connection ends.
        """
        await self._ask("LIST_SUBSCRIPTIONS", [])

    def end(self, is_dead: bool = False) -> None:
        """End the connection; one that is dead without a word."""
        if self._transport is not None and not self.gone.is_set():
            self._transport.disconnect(graceful=not is_dead)

    async def gone_within(self, seconds: float) -> None:
        """Wait until the connection has ended, so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.gone.wait()

    async def ended(self) -> None:
        """Wait until the connection has ended; raise what whoever heard its messages raised, which ended it."""
        if self._transport is not None:
            with suppress(WSError):
                await self._transport.wait_disconnected()

    async def _ask(self, method: str, params: list[str]) -> dict[str, Any]:
        if self._transport is None or self.gone.is_set():
            raise VenueError(say("feed.lost"))
        self._asked += 1
        future = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        self._transport.send(WSMsgType.TEXT, orjson.dumps({"method": method, "params": params, "id": self._asked}))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer: dict[str, Any] = await future
        except TimeoutError:
            raise VenueError(say("feed.no_answer", seconds=f"{ANSWER_S:g}")) from None
        finally:
            self._answers.pop(self._asked, None)
        return answer

    # ------------------------------------------------------------------ what picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """End."""
        self.gone.set()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(VenueError(say("feed.lost")))

    def on_message(self, message: bytes) -> None:
        """Hear a message; what is no stream's may be an answer."""
        if message.startswith(STREAMED):
            self._heard(self, message)
        else:
            self._on_answer(message)

    def on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hear a part of a message, the end, or too much."""
        kind = frame.msg_type
        if frame.payload_size > MESSAGE_BYTES:  # picows has seen it, too, and yet hands over what comes late of it
            self.end(is_dead=True)
        elif kind == WSMsgType.TEXT or kind == WSMsgType.CONTINUATION:
            self._on_part(frame)
        elif kind == WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()

    def _on_part(self, frame: WSFrame) -> None:
        self._parts += frame.get_payload_as_bytes()
        self.is_parted = not frame.fin
        if len(self._parts) > MESSAGE_BYTES:
            self.end(is_dead=True)
        elif frame.fin:
            message = bytes(self._parts)
            self._parts.clear()
            self.on_message(message)

    def _on_answer(self, message: bytes) -> None:
        try:
            answer = orjson.loads(message)
            future = self._answers[answer["id"]]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self._heard(self, message)  # no answer to a question of ours: whoever listens judges it
            return
        if not future.done():
            future.set_result(answer)


class Subscriber:
    """Whoever keeps connections and hands on what they bring, until somebody closes it or an error ends it.

    Parameters
    ----------
    sink : callable
        Given (stamp, message), in the loop; an error that it raises ends everything.
    connects : tuple of (int, float)
        Connections opened: at most so many in any so many seconds.
    tls : ssl.SSLContext or None

    Attributes
    ----------
    connects, repeated : int
        Connections tried so far; messages dropped because another connection had brought them, or had to.
    """

    def __init__(
        self, sink: Callable[[int, bytes], None], connects: tuple[tuple[int, float], ...], tls: ssl.SSLContext | None
    ) -> None:
        self.connects = self.repeated = 0
        self._sink, self._tls = sink, tls
        self._pace = Pace(*connects)
        self._tasks: list[asyncio.Task[NoReturn]] = []
        self._alive: dict[Connection, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()

    async def ended(self) -> None:
        """Wait until it ends by an error, and raise it; connections that are lost are none."""
        await asyncio.shield(self._failed)

    async def close(self) -> None:
        """End every connection; whoever does not answer is not waited for longer than a second."""
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._alive:
            await connection.gone_within(CLOSE_S)
            connection.end(is_dead=True)
        await asyncio.gather(*self._alive.values(), return_exceptions=True)
        if self._failed.done():
            self._failed.exception()

    @property
    def open_connections(self) -> int:
        """Connections that are open."""
        return sum(not task.done() for task in self._alive.values())

    def _begin(self, *works: Coroutine[Any, Any, NoReturn]) -> None:
        # What runs for as long as it is open; the first error of any ends all.
        self._tasks = [asyncio.create_task(work) for work in works]
        for task in self._tasks:
            task.add_done_callback(self._on_done)

    async def _opened(self, url: str, heard: Callable[[Connection, bytes], None]) -> Connection:
        connection = await Connection.open(url, heard, self._tls)
        task = self._loop.create_task(connection.ended())
        task.add_done_callback(self._on_done)
        self._alive = {one: its for one, its in self._alive.items() if not its.done()} | {connection: task}
        return connection

    def _hand_on(self, stamp_ns: int, message: bytes) -> None:
        is_taken = False
        try:
            self._sink(stamp_ns, message)
            is_taken = True
        finally:
            if not is_taken:
                self._stop()

    def _stop(self) -> None:
        # Nothing is handed on any more.
        for task in self._tasks:
            task.cancel()
        for connection in self._alive:
            connection.end()

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)
            self._stop()
