"""Where requests and sockets come in: the gate, the plan of faults, the call, the answer.

Knows what happens to a request from its arrival to its answer, and to an event from the venue to a listener. Refuses to
know what calls do and how bytes travel.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import orjson

from autotrader.adapters.loopback.api import NONE, ROUTES, Api, Route
from autotrader.adapters.loopback.clock import MS, Clock
from autotrader.adapters.loopback.codes import Refusal, refusal
from autotrader.adapters.loopback.door import Request, Response, Socket
from autotrader.adapters.loopback.faults import Deed, Fate, Faults
from autotrader.adapters.loopback.gate import Gate
from autotrader.adapters.loopback.limits import TooMuch
from autotrader.adapters.loopback.params import Params
from autotrader.adapters.loopback.signatures import split
from autotrader.adapters.loopback.streams import Hub, MarketSocket
from autotrader.adapters.loopback.ws_api import RequestSocket, logon

__all__ = ["FaultyHub", "Reception", "Usage"]

JSON = "application/json;charset=UTF-8"
HANDSHAKE_WEIGHT = 5
SESSION_WEIGHT = 2
_EXITS = {("SELL", "LONG"), ("BUY", "SHORT")}
_NO_PATH = -5000
_FAULTS = logging.getLogger(__name__)

Answered = TypeVar("Answered")


@dataclass(slots=True)
class Usage:
    """What clients asked, for the status page."""

    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    weight: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class FaultyHub:
    """A hub whose events a plan of faults may drop, spoil or hold back.

    Parameters
    ----------
    hub : Hub
    faults : Faults
    clock : Clock
    """

    def __init__(self, hub: Hub, faults: Faults, clock: Clock):
        self._hub = hub
        self._faults = faults
        self._clock = clock
        self._waiting = 0

    def wants(self, stream: str) -> bool:
        """Return whether anybody listens."""
        return self._hub.wants(stream)

    def publish(self, stream: str, payload: bytes) -> None:
        """Send a payload to all who listen."""
        if not self._faults.eventful:
            self._hub.publish(stream, payload)
            return
        symbol, _, kind = stream.partition("@")
        event = _event_of(payload) or kind
        sent = self._faults.on_event(
            self._clock.now(), stream=stream, event=event, symbol=symbol.upper(), payload=payload
        )
        for delay_s, text in sent:
            self._later(delay_s, lambda text=text: self._hub.publish(stream, text))  # type: ignore[misc]

    def tell(self, key: str, account: str, event: str, symbol: str | None, payload: bytes) -> None:
        """Send an event to the listeners of a key."""
        if not self._faults.eventful:
            self._hub.publish_user(key, event, payload)
            return
        sent = self._faults.on_event(
            self._clock.now(), stream="user", event=event, symbol=symbol, account=account, payload=payload
        )
        for delay_s, text in sent:
            self._later(delay_s, lambda text=text: self._hub.publish_user(key, event, text))  # type: ignore[misc]

    @staticmethod
    def _later(delay_s: float, send: Callable[[], None]) -> None:
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, send)
        else:
            send()


def _event_of(payload: bytes) -> str:
    head, _, rest = payload[:64].partition(b'"e":"')
    return rest.partition(b'"')[0].decode(errors="replace") if rest and head in (b"{", b"[{") else ""


class Reception:
    """Requests and sockets of one exchange.

    Parameters
    ----------
    api : Api
    gate : Gate
    faults : Faults
    hub : Hub
    clock : Clock
    control : callable
        Takes a request to a path of the server's own; returns its answer, None for a path that is none.
    catch_up : callable
        Lets the market come to the time of a request; returns it.

    Attributes
    ----------
    usage : Usage
    mishaps : int
        Requests that met a fault of ours: answered with -1000, their traceback logged.
    """

    def __init__(
        self, api: Api, gate: Gate, faults: Faults, hub: Hub, clock: Clock,
        control: Callable[[Request], Response | None], catch_up: Callable[[], int],
    ):  # fmt: skip
        self._api = api
        self._gate = gate
        self._faults = faults
        self._hub = hub
        self._clock = clock
        self._control = control
        self._catch_up = catch_up
        self._now = 0
        self._talking: set[RequestSocket] = set()
        self.usage = Usage()
        self.mishaps = 0

    def _survived(self, what: str, work: Callable[[], Answered], otherwise: Callable[[], Answered]) -> Answered:
        # A fault of ours must cost one request its answer, and nobody else anything: whether it was carried out is
        # unknown, which is what -1000 says.
        try:
            return work()
        except Exception:
            self.mishaps += 1
            _FAULTS.exception("a request met a fault of ours: %r", what)
            return otherwise()

    # ------------------------------------------------------------------ requests

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        return self._survived(f"{request.method} {request.path}", lambda: self._answered(request), _unanswered)

    def _answered(self, request: Request) -> Response:
        route = ROUTES.get((request.method, request.path))
        if route is None:
            return self._control(request) or _unknown(request)
        params, payload, signature = split(request.query, request.body)
        api_key = request.headers.get("x-mbx-apikey", "")
        fate = self._fate(request.method, request.path, params, api_key)
        if fate.execute:
            status, body, headers = self._carry_out(
                route, request.peer, params, payload, signature, api_key, request.method, request.path
            )
        else:
            status, body, headers = 200, b"", ()
        if fate.weight:
            headers = _heavier(headers, fate.weight)
        answer = Response(status, body, headers, JSON)
        return _as_fated(answer, fate)

    def _fate(self, method: str, path: str, params: Mapping[str, str], api_key: str) -> Fate:
        self._now = self._catch_up()
        account = self._gate.account(api_key)
        name = self._gate.keys[account].name if account >= 0 else None
        exempt = (
            method == "DELETE"
            or params.get("reduceOnly") == "true"
            or params.get("closePosition") == "true"
            or (params.get("side"), params.get("positionSide")) in _EXITS
        )
        return self._faults.on_request(
            self._now, method=method, path=path, account=name,
            symbol=params.get("symbol"), order_type=params.get("type"), side=params.get("side"), exempt=exempt,
        )  # fmt: skip

    def _carry_out(
        self, route: Route, ip: str, params: Mapping[str, str], payload: bytes, signature: str | None, api_key: str,
        method: str, path: str,
    ) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:  # fmt: skip
        wall = self._clock.wall_ms()
        account = self._gate.account(api_key)
        name = f"{method} {path}"
        self.usage.calls[name] += 1
        self.usage.weight[name] = _weight(route, params)
        extra: tuple[tuple[str, str], ...] = ()
        try:
            refused = self._gate.count(route, ip, _weight(route, params), account, wall)
            if refused:
                self.usage.refused[name] += 1
                return refused.status, refused.body, refused.headers
            status, body = 200, self._call(route, params, payload, signature, api_key)
        except Refusal as no:
            self.usage.refused[name] += 1
            status, body = no.status, no.encoded()
        if not route.pool:
            extra = self._gate.limits.headers(ip, account if any(route.orders) and account >= 0 else None, wall)
        return status, body, extra

    def _call(
        self, route: Route, params: Mapping[str, str], payload: bytes, signature: str | None, api_key: str
    ) -> bytes:
        account = self._gate.admit(route, api_key, params, payload, signature, self.clocks())
        return orjson.dumps(self._api.call(route, params, account, self._time(route)))

    def _time(self, route: Route) -> int:
        return self._now + self._faults.skew_ms(self._now) * MS if route.security == NONE else self._now

    def clocks(self) -> Sequence[int]:
        """Return the stamps that a request's may agree with, ms."""
        now = self._clock.now()
        skew = self._faults.skew_ms(now)
        return now // MS + skew, self._clock.wall_ms() + skew

    # ------------------------------------------------------------------ sockets

    def connect(self, request: Request) -> Socket | Response:
        """Take a WebSocket in, or refuse it."""
        return self._survived(f"CONNECT {request.path}", lambda: self._connected(request), _unanswered)

    def _connected(self, request: Request) -> Socket | Response:
        deed = self._faults.on_connect(self._clock.now(), path=request.path, account=self._listener(request))
        if deed is not None and deed.do == "refuse":
            return Response(503, b'{"code":-1016,"msg":"This service is no longer available."}')
        if request.path.rstrip("/") == "/ws-fapi/v1":
            refused = self._gate.limits.weight(request.peer, HANDSHAKE_WEIGHT, self._clock.wall_ms())
            if refused:
                return Response(refused.status, refused.body, refused.headers)
            socket: Socket | Response = RequestSocket(
                request, self.carry, self._clock.now_ms, self._logon, self._weigh_session, self._talking
            )
        else:
            socket = self._hub.connect(request)
        if deed is not None and isinstance(socket, Socket):
            afflict(socket, deed)
        return socket

    def _listener(self, request: Request) -> str | None:
        for account, key in enumerate(self._gate.keys):
            listen_key = self._api.keys.of(account)
            if listen_key and (listen_key in request.path or listen_key in request.query):
                return key.name
        return None

    def tick(self, now_ms: int) -> None:
        """Ping the request sockets, and end what is too old or answers no more."""
        for socket in tuple(self._talking):
            socket.tick(now_ms, self._hub.rules)

    def revoke(self, account: int) -> None:
        """Let an account's key be valid no more; its sessions are told."""
        self._gate.revoked.add(account)
        for socket in tuple(self._talking):
            if socket.account == account:
                socket.revoke()

    def concerned(self, deed: Deed) -> list[Socket]:
        """Return the open sockets that a deed on connections is about."""
        path, account = deed.args.get("path"), deed.args.get("account")
        sockets: list[MarketSocket | RequestSocket] = [*self._hub.sockets, *self._talking]
        return [
            socket
            for socket in sockets
            if (path is None or fnmatchcase(socket.request.path, path))
            and (account is None or account in self._owners(socket))
        ]

    def _owners(self, socket: MarketSocket | RequestSocket) -> set[str]:
        # Whose events a socket hears, or whose session it is.
        if isinstance(socket, RequestSocket):
            return {self._gate.keys[socket.account].name} if socket.account >= 0 else set()
        return {key.name for account, key in enumerate(self._gate.keys) if self._api.keys.of(account) in socket.names}

    def _weigh_session(self, ip: str) -> tuple[TooMuch | None, list[dict[str, Any]]]:
        wall = self._clock.wall_ms()
        refused = self._gate.limits.weight(ip, SESSION_WEIGHT, wall)
        return refused, self._gate.limits.rate_limits(ip, None, wall)

    def _logon(self, api_key: str, params: Mapping[str, Any]) -> int:
        account = self._gate.known(api_key)
        logon(lambda _: self._gate.keys[account], params, lambda read: self._gate.stamp(read, self.clocks()))
        return account

    def carry(
        self, socket: RequestSocket, method: str, path: str, params: dict[str, str], api_key: str, payload: bytes,
        signature: str | None,
    ) -> None:  # fmt: skip
        """Answer a request that came over a WebSocket."""

        def otherwise() -> None:
            socket.reply(500, refusal(-1000).body, [])

        self._survived(
            f"WS {method} {path}",
            lambda: self._carry(socket, method, path, params, api_key, payload, signature),
            otherwise,
        )

    def _carry(
        self, socket: RequestSocket, method: str, path: str, params: dict[str, str], api_key: str, payload: bytes,
        signature: str | None,
    ) -> None:  # fmt: skip
        route, id_ = ROUTES[method, path], socket.id
        fate = self._fate(method, path, params, api_key)
        status, body = 200, b""
        if fate.execute:
            status, body = self._carried(socket, route, params, api_key, payload, signature, f"{method} {path}")
        if fate.answer is not None:
            status, body = fate.answer[0], fate.answer[1]
        wall, account = self._clock.wall_ms(), self._gate.account(api_key)
        limits = self._gate.limits.rate_limits(
            socket.request.peer, account if any(route.orders) and account >= 0 else None, wall
        )
        if fate.never:
            return
        if fate.cut is not None or (fate.answer is not None and fate.answer[2] != "application/json"):
            socket.abort()  # a gateway's page has no place in a frame: the gateway drops the connection
            return
        frame = socket.envelope(status, orjson.Fragment(body or b"{}"), limits, id_)
        if fate.half:
            frame = frame[: len(frame) // 2]
        if fate.delay_s:
            asyncio.get_running_loop().call_later(fate.delay_s, socket.send, frame)
        else:
            socket.send(frame)

    def _carried(
        self, socket: RequestSocket, route: Route, params: dict[str, str], api_key: str, payload: bytes,
        signature: str | None, name: str,
    ) -> tuple[int, bytes]:  # fmt: skip
        wall, account = self._clock.wall_ms(), self._gate.account(api_key)
        self.usage.calls[name] += 1
        try:
            refused = self._gate.count(route, socket.request.peer, _weight(route, params), account, wall)
            if refused:
                self.usage.refused[name] += 1
                return refused.status, refused.body
            if signature == "session" and route.security != NONE:
                if self._gate.account(socket.api_key) != socket.account:
                    raise refusal(-2015)
                self._gate.stamp(Params(params), self.clocks())
                return 200, orjson.dumps(self._api.call(route, params, socket.account, self._time(route)))
            return 200, self._call(route, params, payload, signature, api_key)
        except Refusal as no:
            self.usage.refused[name] += 1
            return no.status, no.encoded()


def afflict(socket: Socket, deed: Deed) -> None:
    """Do to a socket what a plan of faults says."""
    loop = asyncio.get_running_loop()
    if deed.do == "close":
        loop.call_later(deed.args.get("delay_s") or 0.0, socket.close, deed.args["code"], "")
    elif deed.do == "flap":
        loop.call_later(deed.args.get("delay_s") or 0.0, socket.close, 1001, "")
    elif deed.do == "half_open":
        loop.call_later(deed.args.get("delay_s") or 0.0, socket.freeze)
    elif deed.do == "slow":
        socket.slow_down(deed.args["bytes_per_s"])


def _weight(route: Route, params: Mapping[str, str]) -> int:
    try:
        return route.weighs(Params(params))
    except Refusal:
        return 1


def _unanswered() -> Response:
    return Response(500, refusal(-1000).encoded(), (), JSON)


def _unknown(request: Request) -> Response:
    text = f"Path {request.path[:128]}, Method {request.method[:16]} is invalid"
    return Response(404, Refusal(_NO_PATH, text).encoded(), (), JSON)


def _heavier(headers: tuple[tuple[str, str], ...], weight: int) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(int(value) + weight) if name == "X-MBX-USED-WEIGHT-1M" else value) for name, value in headers
    )


def _as_fated(answer: Response, fate: Fate) -> Response:
    if fate.answer is not None:
        status, body, content_type, headers = fate.answer
        answer = Response(status, body, (*answer.headers, *headers), content_type)
    if fate.half:
        answer.body = answer.body[: len(answer.body) // 2]
    answer.delay_s, answer.never, answer.drip_s = fate.delay_s, fate.never, fate.drip_s
    answer.cut = -1 if fate.cut is None else fate.cut
    return answer
