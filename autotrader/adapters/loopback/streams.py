"""Subscriptions: which WebSocket listens to what, and the rules of such a connection.

Knows addresses, stream names, the control protocol, listen keys as names, and the exchange's rules on messages a
second, pings and a connection's life. Refuses to know what a payload says, when something is published, and whose a
listen key is. Payloads come in ready; wall time comes from the clock that is given.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

import orjson

from autotrader.adapters.loopback.door import Request, Response, Socket

Family = Literal["public", "market", "user"]
Filter = frozenset[str] | None

NAME_LENGTH: Final = 256
_PUBLIC: Final = re.compile(r"!bookTicker|[^@]+@(?:bookTicker|trade|rpiDepth|depth\d*)(?:@.*)?")
_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_EVERYTHING: Final = frozenset({"public", "market", "user"})
_DELIVERED: Final = {
    "public": frozenset({"public"}),
    "market": frozenset({"market"}),
    "private": frozenset({"user"}),
    "legacy": frozenset({"public"}),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold the exchange's rules on a connection.

    Parameters
    ----------
    legacy_silent : bool
        Whether ``/ws`` and ``/stream`` without a route deliver the public family only, as production does since
        2026-04-23; False: everything, as the demo does.
    messages_per_s : int
        Incoming messages in any second, PING and PONG frames included; one more ends the connection.
    streams : int
        Streams of one connection.
    life_ms, ping_ms, pong_ms : int
        Age at which a connection ends, time between our pings, and time without a pong at which it ends.
    backlog_bytes : int
        Unsent bytes above which a subscriber is too slow to be kept.
    """

    legacy_silent: bool = True
    messages_per_s: int = 10
    streams: int = 1024
    life_ms: int = 86_400_000
    ping_ms: int = 180_000
    pong_ms: int = 600_000
    backlog_bytes: int = 16 << 20


class Hub:
    """Know who listens to what, and bring payloads there.

    Parameters
    ----------
    clock : callable
        The wall time in ms.
    known : callable
        Whether a listen key exists; one that does not is accepted and stays silent.
    rules : Rules
        The rules of every connection.

    Attributes
    ----------
    sockets : set of MarketSocket
        The open connections.
    slow_closed : int
        Subscribers that were too slow to be kept.
    """

    def __init__(self, clock: Callable[[], int], known: Callable[[str], bool], rules: Rules | None = None) -> None:
        self.clock = clock
        self.known = known
        self.rules = rules or Rules()
        self.sockets: set[MarketSocket] = set()
        self.slow_closed = 0
        self._streams: dict[str, dict[MarketSocket, Filter]] = {}
        self._users: dict[str, dict[MarketSocket, Filter]] = {}
        self._paused: set[MarketSocket] = set()
        self._relief = asyncio.Event()

    def connect(
        self, request: Request, kind: "Callable[[Request, Hub], MarketSocket] | None" = None
    ) -> "MarketSocket | Response":
        """Answer a request to become a WebSocket.

        Parameters
        ----------
        request : Request
            The request; its path and query name the route and the first streams.
        kind : callable, optional
            Makes the socket; `MarketSocket` by default.

        Returns
        -------
        MarketSocket or Response
            The socket; a refusal if the path is none of the exchange's or names too many streams.
        """
        if _route(request.path) is None:
            return _refusal(404, "Path not found.")
        socket = (kind or MarketSocket)(request, self)
        if len(socket.names) > self.rules.streams or any(len(name) > NAME_LENGTH for name in socket.names):
            return _refusal(400, "Too many streams, or a stream's name is too long.")
        return socket

    def wants(self, stream: str) -> bool:
        """Tell whether anybody listens to a stream."""
        return stream in self._streams

    def listening(self, key: str) -> bool:
        """Tell whether anybody listens to a user's events by a listen key."""
        return key in self._users

    def names(self) -> Collection[str]:
        """Return all streams that have a listener."""
        return self._streams.keys()

    def publish(self, stream: str, payload: bytes) -> None:
        """Send a payload to everybody who listens to a stream."""
        listeners = self._streams.get(stream)
        if listeners:
            self._send(stream, payload, listeners)

    def publish_user(self, listen_key: str, event_type: str, payload: bytes) -> None:
        """Send a user's event to every socket of a listen key whose filter lets it pass."""
        listeners = self._users.get(listen_key)
        if listeners:
            self._send(listen_key, payload, [s for s, kept in listeners.items() if kept is None or event_type in kept])

    def tick(self, now_ms: int) -> None:
        """Ping, and end what is too old or answers no more; to be called about once a second of wall time."""
        for socket in tuple(self.sockets):
            socket.tick(now_ms)

    @property
    def congested(self) -> bool:
        """Whether a connection reads more slowly than it is sent to."""
        return bool(self._paused)

    async def relieved(self) -> None:
        """Wait until every connection has caught up."""
        while self._paused:
            self._relief.clear()
            await self._relief.wait()

    def join(self, socket: "MarketSocket", name: str, kept: Filter) -> None:
        """Let a socket listen to a name, if its route delivers the name's family."""
        kind = family(name)
        if kind not in socket.delivered or (kind == "user" and not self.known(name)):
            return
        self._register(name).setdefault(name, {})[socket] = kept

    def part(self, socket: "MarketSocket", name: str) -> None:
        """Let a socket listen to a name no more."""
        register = self._register(name)
        listeners = register.get(name)
        if listeners is not None:
            listeners.pop(socket, None)
            if not listeners:
                del register[name]

    def leave(self, socket: "MarketSocket") -> None:
        """Let a socket listen to nothing more."""
        for name in socket.names:
            self.part(socket, name)
        self.pause(socket, False)

    def pause(self, socket: "MarketSocket", is_paused: bool) -> None:
        """Note that a socket has become slow, or quick again."""
        (self._paused.add if is_paused else self._paused.discard)(socket)
        if not self._paused:
            self._relief.set()

    def _register(self, name: str) -> dict[str, "dict[MarketSocket, Filter]"]:
        return self._users if family(name) == "user" else self._streams

    def _send(self, name: str, payload: bytes, listeners: "Collection[MarketSocket]") -> None:
        wrapped = None
        for socket in listeners:
            if socket.combined:
                wrapped = wrapped or b'{"stream":%b,"data":%b}' % (_quoted(name), payload)
                socket.send(wrapped)
            else:
                socket.send(payload)
        if self._paused:
            self._drop_slow()

    def _drop_slow(self) -> None:
        for socket in [one for one in self._paused if one.buffered > self.rules.backlog_bytes]:
            self.slow_closed += 1
            socket.kick(1008, "too slow")


class MarketSocket(Socket):
    """Be one connection to the exchange's streams.

    Parameters
    ----------
    request : Request
        The request that was upgraded; its path is one of the exchange's.
    hub : Hub
        Where it listens.

    Attributes
    ----------
    route : str
        ``public``, ``market``, ``private``, or ``legacy`` for an address without a route.
    combined : bool
        Whether payloads come in a wrapper that names their stream.
    names : dict of str to frozenset of str or None
        What it subscribed to, with the events it wants; None: all.
    """

    def __init__(self, request: Request, hub: Hub) -> None:
        super().__init__(request)
        self.route, self.combined = _route(request.path) or ("legacy", False)
        self.names: dict[str, Filter] = dict(_named(request))
        is_open = self.route == "legacy" and not hub.rules.legacy_silent
        self.delivered = _EVERYTHING if is_open else _DELIVERED[self.route]
        self._hub = hub
        self._born_ms = self._pinged_ms = self._pong_ms = hub.clock()
        self._pongs_seen = 0
        self._incoming: deque[int] = deque(maxlen=hub.rules.messages_per_s)

    def on_open(self) -> None:
        """Listen to what the address named."""
        self._hub.sockets.add(self)
        for name, kept in self.names.items():
            self._hub.join(self, name, kept)

    def on_closed(self) -> None:
        """Listen to nothing more."""
        self._hub.leave(self)
        self._hub.sockets.discard(self)

    def on_text(self, text: bytes) -> None:
        """Answer a message of the control protocol."""
        if self._is_allowed():
            self.send(self._answer(text))

    def on_control(self) -> None:
        """Count a PING or PONG frame as the message that it is."""
        if self.pongs != self._pongs_seen:
            self._pongs_seen, self._pong_ms = self.pongs, self._hub.clock()
        self._is_allowed()

    def pause_writing(self) -> None:
        """Congest the hub."""
        super().pause_writing()
        self._hub.pause(self, True)

    def resume_writing(self) -> None:
        """Congest the hub no more."""
        super().resume_writing()
        self._hub.pause(self, False)

    def kick(self, code: int, reason: str) -> None:
        """Stop listening at once and close."""
        self._hub.leave(self)
        self.close(code, reason)

    def tick(self, now_ms: int) -> None:
        """Ping, or end the connection, as the rules say."""
        rules = self._hub.rules
        if now_ms - self._born_ms >= rules.life_ms:
            self.kick(1001, "24 hours are over")
        elif now_ms - self._pong_ms >= rules.pong_ms:
            self.kick(1008, "no pong")
        elif now_ms - self._pinged_ms >= rules.ping_ms:
            self._pinged_ms = now_ms
            self.ping()

    def _is_allowed(self) -> bool:
        now, limit = self._hub.clock(), self._hub.rules.messages_per_s
        if len(self._incoming) == limit and now - self._incoming[0] < 1000:
            self.kick(1008, "too many messages")
            return False
        self._incoming.append(now)
        return True

    def _answer(self, text: bytes) -> bytes:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return _dumped(
                {"code": 3, "msg": f"Invalid JSON: expected value at line {error.lineno} column {error.colno}"}
            )
        tag = {"id": message["id"]} if isinstance(message, dict) and "id" in message else {}
        try:
            return _dumped({"result": self._carry_out(message), "id": None} | tag)
        except _InvalidError as error:
            return _dumped({"code": error.code, "msg": error.text} | tag)

    def _carry_out(self, message: object) -> object:
        match _method(message), _params(message):
            case "SUBSCRIBE", params:
                self._subscribe(_texts(params))
            case "UNSUBSCRIBE", params:
                self._unsubscribe(_texts(params))
            case "LIST_SUBSCRIPTIONS", _:
                return list(self.names)
            case "SET_PROPERTY", params:
                _property(params, 2)
                self.combined = _boolean(params)
            case _, params:
                _property(params, 1)
                return self.combined
        return None

    def _subscribe(self, names: list[str]) -> None:
        if len(self.names.keys() | names) > self._hub.rules.streams:
            raise _InvalidError(2, f"Invalid request: more than {self._hub.rules.streams} streams")
        for name in names:
            self.names[name] = None
            self._hub.join(self, name, None)

    def _unsubscribe(self, names: list[str]) -> None:
        for name in names:
            self._hub.part(self, name)
            self.names.pop(name, None)


class _InvalidError(Exception):
    """A message of the control protocol that cannot be carried out: the exchange's code and sentence."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def family(name: str) -> Family:
    """Return what a name is: a stream of the public or the market route, or else a listen key."""
    if _PUBLIC.fullmatch(name):
        return "public"
    return "market" if "@" in name or name.startswith("!") or name == "tradingSession" else "user"


def _method(message: object) -> str:
    if not isinstance(message, dict):
        raise _InvalidError(2, "Invalid request: expected an object")
    if "method" not in message:
        raise _InvalidError(2, "Invalid request: missing field `method` at line 1 column 1")
    method = message["method"]
    if not isinstance(method, str) or method not in _METHODS:
        found, expected = str(method)[:64], ", ".join(f"`{one}`" for one in _METHODS)
        raise _InvalidError(2, f"Invalid request: unknown variant `{found}`, expected one of {expected}")
    return method


def _params(message: object) -> list[object]:
    assert isinstance(message, dict)
    if message["method"] == "LIST_SUBSCRIPTIONS":
        return []
    if "params" not in message:
        raise _InvalidError(2, "Invalid request: missing field `params` at line 1 column 1")
    if not isinstance(message["params"], list):
        raise _InvalidError(2, "Invalid request: params must be an array")
    return message["params"]


def _texts(params: list[object]) -> list[str]:
    names = [name for name in params if isinstance(name, str)]
    if len(names) < len(params):
        raise _InvalidError(2, "Invalid request: a stream's name must be a string")
    if any(len(name) > NAME_LENGTH for name in names):
        raise _InvalidError(2, "Invalid request: a stream's name is too long")
    return names


def _property(params: list[object], most: int) -> None:
    if not params or not isinstance(params[0], str):
        raise _InvalidError(2, "Invalid request: property name must be a string")
    if len(params) > most:
        raise _InvalidError(2, "Invalid request: too many parameters")
    if params[0] != "combined":
        raise _InvalidError(0, "Unknown property")


def _boolean(params: list[object]) -> bool:
    if len(params) > 1 and isinstance(params[1], bool):
        return params[1]
    raise _InvalidError(1, "Invalid value type: expected Boolean")


@lru_cache(maxsize=1 << 12)
def _quoted(name: str) -> bytes:
    return orjson.dumps(name)


def _dumped(answer: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(answer)
    except orjson.JSONEncodeError:
        return b'{"code":2,"msg":"Invalid request: request ID is nested too deeply"}'


def _refusal(status: int, text: str) -> Response:
    return Response(status, orjson.dumps({"code": -1100, "msg": text}))


def _parts(path: str) -> tuple[str, list[str]]:
    first, *rest = path.split("/")[1:] or [""]
    return (first, rest) if first in ("public", "market", "private") else ("legacy", [first, *rest])


def _route(path: str) -> tuple[str, bool] | None:
    route, rest = _parts(path)
    return (route, rest[0] == "stream") if rest and rest[0] in ("ws", "stream") else None


def _named(request: Request) -> Iterator[tuple[str, Filter]]:
    """Yield what an address subscribes to."""
    for part in _parts(request.path)[1][1:]:
        # ccxt numbers its connections in the path; a number is no stream.
        if part and not part.isdigit():
            yield _decoded(part), None
    pairs = [(name, _decoded(value)) for name, _, value in (pair.partition("=") for pair in request.query.split("&"))]
    for name, value in pairs:
        if name == "streams":
            yield from ((one, None) for one in value.split("/") if one)
    yield from _keys(pairs)


def _keys(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, Filter]]:
    """Yield listen keys with their filters: one stands behind its key, or, if sorted by name, before the first."""
    keys: list[tuple[str, Filter]] = []
    early: Filter = None
    for name, value in pairs:
        if name == "listenKey" and value:
            keys.append((value, early))
            early = None
        elif name == "events":
            kept = frozenset(value.split("/")) - {""} or None
            if keys:
                keys[-1] = (keys[-1][0], kept)
            else:
                early = kept
    yield from keys


def _decoded(text: str) -> str:
    return unquote(text).encode("utf-8", "replace").decode()
