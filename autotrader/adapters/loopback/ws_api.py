"""The request API over a WebSocket: frames in, the calls of `api` behind them, frames out.

Knows the names of its methods, its envelopes and its sessions. Refuses to know what a call does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from autotrader.adapters.loopback.codes import Refusal, refusal
from autotrader.adapters.loopback.door import Request, Socket
from autotrader.adapters.loopback.limits import TooMuch
from autotrader.adapters.loopback.params import Params, text_of
from autotrader.adapters.loopback.signatures import sorted_payload, verify
from autotrader.adapters.loopback.streams import Rules

__all__ = ["METHODS", "RequestSocket"]

METHODS: Mapping[str, tuple[str, str]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}
CONTROLS_PER_S = 5
_SESSION = ("session.logon", "session.status", "session.logout")

Answer = tuple[int, Any, list[dict[str, Any]]]
Carry = Callable[["RequestSocket", str, str, dict[str, str], str, bytes, str | None], None]


class RequestSocket(Socket):
    """One connection of the request API.

    Parameters
    ----------
    request : Request
        Its handshake.
    carry : callable
        Takes (socket, method, path, params, api key, signed text, signature) and answers through ``reply``; an empty
        signed text and signature "session" stand for a session that has logged on.
    now_ms : callable
        The exchange's time.
    session : callable
        Takes (api key, params); returns the account of a logon, or raises Refusal.
    weigh : callable
        Takes the address of a request about the session; returns the refusal of one too many, and the limits as used.
    register : set
        Where it stands while it is open.
    """

    def __init__(
        self,
        request: Request,
        carry: Carry,
        now_ms: Callable[[], int],
        session: Callable[[str, Mapping[str, Any]], int],
        weigh: Callable[[str], tuple[TooMuch | None, list[dict[str, Any]]]],
        register: set[RequestSocket],
    ):
        super().__init__(request)
        self._carry = carry
        self._now_ms = now_ms
        self._session = session
        self._weigh = weigh
        self._register = register
        self._born_ms = -1
        self._pinged_ms = self._pong_ms = self._pongs_seen = 0
        self._controls: deque[float] = deque(maxlen=CONTROLS_PER_S)
        self.returns_limits = parse_qs(request.query).get("returnRateLimits", ["true"])[0] != "false"
        self.api_key = ""
        self.account = -1
        self._since_ms = now_ms()
        self._authorized_ms = 0
        self._id: Any = None

    def on_open(self) -> None:
        """Stand among the open sockets."""
        self._register.add(self)

    def on_closed(self) -> None:
        """Stand there no more."""
        self._register.discard(self)

    def revoke(self) -> None:
        """Tell the client that its session's key is no longer valid; no request asked, so the answer has no id."""
        self._log_off()
        no = refusal(-2015)
        self.reply(no.status, no.body, [], None)

    def on_control(self) -> None:
        """Count a PING or PONG frame; too many in a second end the connection."""
        now = asyncio.get_running_loop().time()
        if len(self._controls) == CONTROLS_PER_S and now - self._controls[0] < 1.0:
            self.close(1008, "too many pings")
        self._controls.append(now)

    def tick(self, now_ms: int, rules: Rules) -> None:
        """Ping, or end the connection, as the rules say."""
        if self._born_ms < 0:
            self._born_ms = self._pinged_ms = self._pong_ms = now_ms
        if self.pongs != self._pongs_seen:
            self._pongs_seen, self._pong_ms = self.pongs, now_ms
        if now_ms - self._born_ms >= rules.life_ms:
            self.close(1001, "24 hours are over")
        elif now_ms - self._pong_ms >= rules.pong_ms:
            self.close(1008, "no pong")
        elif now_ms - self._pinged_ms >= rules.ping_ms:
            self._pinged_ms = now_ms
            self.ping()

    def on_text(self, text: bytes) -> None:
        """Answer one request."""
        self._id = None
        try:
            self._on_frame(text)
        except Refusal as refused:
            self.reply(refused.status, refused.body, [])

    def _on_frame(self, text: bytes) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise refusal(-1100, text="Illegal characters found in the request; it is no JSON.") from None
        if not isinstance(frame, dict):
            raise refusal(-1130, "request")
        if not _is_id(frame.get("id")):
            raise refusal(-1130, "id")
        self._id = frame.get("id")
        method, params = frame.get("method"), frame.get("params") or {}
        if not isinstance(method, str) or not isinstance(params, dict):
            raise refusal(-1102, "method")
        if method in _SESSION:
            self._on_session(method, params)
        elif method not in METHODS:
            raise refusal(-1020, text=f"Unknown method: {method[:64]}")
        else:
            self._call(*METHODS[method], params)

    def _call(self, method: str, path: str, params: dict[str, Any]) -> None:
        api_key = params.get("apiKey", self.api_key)
        if not isinstance(api_key, str):
            raise refusal(-2014)
        signature = params.get("signature")
        in_session = signature is None and self.account >= 0 and api_key == self.api_key
        payload = b"" if in_session else sorted_payload(params)
        texts = {name: text_of(value) for name, value in params.items() if name not in ("apiKey", "signature")}
        sign = "session" if in_session else signature if isinstance(signature, str) else None
        self._carry(self, method, path, texts, api_key, payload, sign)

    def _on_session(self, method: str, params: Mapping[str, Any]) -> None:
        refused, limits = self._weigh(self.request.peer)
        if refused is not None:
            self.reply(refused.status, orjson.Fragment(refused.body), limits)
            return
        if method == "session.logon":
            api_key = params.get("apiKey", "")
            self.account = self._session(api_key if isinstance(api_key, str) else "", params)
            self.api_key, self._authorized_ms = str(api_key), self._now_ms()
        elif method == "session.logout":
            self._log_off()
        self.reply(
            200,
            {
                "apiKey": self.api_key or None,
                "authorizedSince": self._authorized_ms or None,
                "connectedSince": self._since_ms,
                "returnRateLimits": self.returns_limits,
                "serverTime": self._now_ms(),
            },
            limits,
        )

    def _log_off(self) -> None:
        self.account, self.api_key, self._authorized_ms = -1, "", 0

    @property
    def id(self) -> Any:
        """The id of the request under way."""
        return self._id

    def reply(self, status: int, body: Any, limits: list[dict[str, Any]], id_: Any = ...) -> None:
        """Send an answer."""
        self.send(self.envelope(status, body, limits, self._id if id_ is ... else id_))

    def envelope(self, status: int, body: Any, limits: list[dict[str, Any]], id_: Any) -> bytes:
        """Return an answer's frame."""
        frame: dict[str, Any] = {"id": id_, "status": status, "result" if status == 200 else "error": body}
        if limits and self.returns_limits:
            frame["rateLimits"] = limits
        return orjson.dumps(frame)


def _is_id(value: object) -> bool:
    return value is None or (isinstance(value, int | str) and not isinstance(value, bool))


def logon(keys_of: Callable[[str], Any], params: Mapping[str, Any], check: Callable[[Params], None]) -> None:
    """Check a logon: only Ed25519 keys may.

    Raises
    ------
    Refusal
    """
    key = keys_of(str(params.get("apiKey", "")))
    check(Params({name: text_of(value) for name, value in params.items()}))
    signature = params.get("signature")
    if key.kind != "ed25519":
        raise refusal(-4056, text="HMAC_SHA256 API key is not supported.")
    if not isinstance(signature, str) or not verify(key, sorted_payload(params), signature):
        raise refusal(-1022)
