"""An exchange on loopback whose market stands still until a test moves it, and clients that speak its wire.

The server runs in a thread of its own; requests go by HTTP, events come by WebSockets. The exchange's time, the wall's
time and the marks are the test's; the participants of the synthetic market leave at once, so the book is what clients
put there.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import uvloop
from builders import spec
from websockets.sync.client import ClientConnection, connect

from autotrader.adapters.loopback.api import ROUTES, SIGNED
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key
from core_ext.types import Kind

E8 = 10**8
SECOND = 10**9
DAY_S = 86_400
PRICES = {"BTCUSDT": 50_000, "ETHUSDT": 3_000}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def said(self) -> tuple[int, int, str]:
        """Status, code and text of a refusal."""
        return self.status, self.body.get("code"), self.body.get("msg")

    @property
    def code(self) -> int:
        """The exchange's code, 0 for an answer that says yes."""
        return self.body.get("code", 0) if self.status != 200 and isinstance(self.body, dict) else 0


def setup(name: str, usdt: int = 10_000, **changes: Any) -> AccountSetup:
    """Return an account that signs by HMAC."""
    key = Key(name, f"{name}-key", "hmac", f"{name}-secret")
    return AccountSetup(key, (usdt * E8, 0, 0, 0, 0), **changes)


class Ear:
    """A WebSocket that remembers what it has heard."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._asked = 0

    def tell(self, message: dict[str, Any]) -> Any:
        """Send a control message and return its answer; events in front of it are lost."""
        return self._until(message)[1]

    def heard(self) -> list[Any]:
        """Return everything that was sent until now, without waiting for more."""
        self._asked += 1
        return self._until({"method": "LIST_SUBSCRIPTIONS", "id": f"heard-{self._asked}"})[0]

    def raw(self) -> list[bytes]:
        """Return every frame that was sent until now, as it came."""
        self._asked += 1
        mark = f'"id":"heard-{self._asked}"'.encode()
        self.socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": f"heard-{self._asked}"}))
        frames: list[bytes] = []
        while mark not in (frame := self.socket.recv(5, decode=False)):
            frames.append(frame)
        return frames

    def next(self, timeout: float = 5.0) -> Any:
        """Return the next message."""
        return json.loads(self.socket.recv(timeout))

    def _until(self, message: dict[str, Any]) -> tuple[list[Any], Any]:
        self.socket.send(json.dumps(message))
        before: list[Any] = []
        while True:
            one = json.loads(self.socket.recv(5))
            if isinstance(one, dict) and one.get("id") == message["id"] and ("result" in one or "code" in one):
                return before, one
            before.append(one)


class World:
    """One exchange and its clients; to be used as a context.

    Parameters
    ----------
    accounts : AccountSetup
        alice, bob and a rich maker by default.
    lively : bool, optional
        Whether the synthetic market's participants stay and time passes by itself.
    specs : list of dict, optional
    options
        Of the server.
    """

    def __init__(self, *accounts: AccountSetup, lively: bool = False, specs: list[Any] | None = None, **options: Any):
        self.accounts = accounts or (setup("alice"), setup("bob"), setup("maker", 100_000_000))
        self.names = [one.name for one in self.accounts]
        self.lively = lively
        self.specs = specs or [spec(name, leverage=20) for name in PRICES]
        self.prices = {one["symbol"]: PRICES.get(one["symbol"], 100) for one in self.specs}
        own = {} if lively else {"speed": 0.0, "hold": True}
        self.options = Options(
            self.specs, accounts=self.accounts, prices_e8=[price * E8 for price in self.prices.values()],
            **(own | options),
        )  # fmt: skip
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._ears = ExitStack()

    def __enter__(self) -> "World":
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._ears.close()
        self.loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._hours())
            except Exception as error:
                self._failure = error
            self._ready.set()

    async def _hours(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = Server(self.options)
        clock = self.server.clock
        self.wall_ms = clock.start_ns // 10**6
        if not self.lively:
            clock.wall_ms = lambda: self.wall_ms
        self.server.hub.rules = changed(self.server.hub.rules, messages_per_s=1000)
        self.port = await self.server.open()
        if not self.lively:
            self._clear()
        self._ready.set()
        await self.server.run()

    def _clear(self) -> None:
        venue = self.server.venue
        for account in range(venue.clients, len(venue.ledgers)):
            for symbol in range(len(self.specs)):
                venue.cancel_all(self.server.clock.now(), account, symbol)

    # ------------------------------------------------------------------ the exchange's side

    def do(self, act: Callable[[], Any]) -> Any:
        """Run something in the server's thread."""

        async def carry_out() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(carry_out(), self.loop).result(20)

    def index(self, symbol: str) -> int:
        """Return a symbol's number."""
        return list(self.prices).index(symbol)

    @property
    def now_ms(self) -> int:
        """Exchange time, ms."""
        return self.server.clock.now_ms()

    def mark(self, price: float, symbol: str = "BTCUSDT") -> None:
        """Set a symbol's mark price."""
        self.prices[symbol] = price
        self.do(lambda: self._mark(symbol))

    def _mark(self, symbol: str) -> None:
        now, price = self.server.clock.now(), round(self.prices[symbol] * E8)
        self.server.step(now, market_row(Kind.MARK, self.index(symbol), now, price, price))

    def pass_s(self, seconds: float) -> None:
        """Let exchange time pass; the marks stay."""

        def act() -> None:
            clock = self.server.clock
            clock.reach(clock.now() + round(seconds * SECOND))
            self.server.advance(clock.now())
            for symbol in self.prices:
                self._mark(symbol)

        self.do(act)

    def fault(self, do: str, **table: Any) -> str:
        """Install a fault through the control port; one at a time happens at once."""
        answer = self.send("POST", "/_control/faults", body=orjson.dumps({"do": do, **table}))
        assert answer.status == 200, answer.body
        self.do(lambda: self.server.advance(self.server.clock.now()))
        return str(answer.body["name"])

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the history's records of a kind that are about clients."""
        self.do(self.server.history.flush)
        assert self.options.history is not None
        rows = [orjson.loads(line) for line in self.options.history.read_bytes().splitlines()]
        return [row for row in rows if row["k"] == kind and row.get("account", 0) < len(self.names)]

    # ------------------------------------------------------------------ the clients' side

    def send(
        self, method: str, path: str, query: str = "", body: bytes = b"", headers: dict[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Answer:  # fmt: skip
        """Send bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            connection.request(method, path + (f"?{query}" if query else ""), body or None, form | (headers or {}))
            answer = connection.getresponse()
            raw = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        is_json = "json" in found.get("content-type", "") and raw
        try:
            parsed = json.loads(raw) if is_json else None
        except ValueError:
            parsed = None
        return Answer(answer.status, parsed, found, raw)

    def signed(self, who: str, params: dict[str, Any]) -> str:
        """Return a query with stamp and signature."""
        full = urlencode({"timestamp": self.stamp_ms, **params})
        return f"{full}&signature={sign(who, full)}"

    @property
    def stamp_ms(self) -> int:
        """What a client's clock says."""
        return time.time_ns() // 10**6 if self.lively else self.wall_ms

    def call(self, method: str, path: str, who: str = "alice", **params: Any) -> Answer:
        """Make a call, signed where it must be."""
        path = path if path.startswith("/") else f"/fapi/v1/{path}"
        route = ROUTES.get((method, path))
        shown = {name: text(value) for name, value in params.items() if value is not None}
        query = self.signed(who, shown) if route is not None and route.security == SIGNED else urlencode(shown)
        return self.send(method, path, query, headers={"X-MBX-APIKEY": f"{who}-key"})

    def ok(self, method: str, path: str, who: str = "alice", **params: Any) -> Any:
        """Make a call that must be granted; return its body."""
        answer = self.call(method, path, who, **params)
        assert answer.status == 200, (answer.status, answer.raw[:300])
        return answer.body

    def order(self, side: str, quantity: float | str, price: float | str | None = None, who: str = "alice",
              **more: Any) -> Any:  # fmt: skip
        """Place an order that must be taken; a limit order where there is a price."""
        kind = {"type": "MARKET"} if price is None and "priceMatch" not in more else \
            {"type": "LIMIT", "timeInForce": "GTC", "price": price}
        return self.ok("POST", "order", who, **({"symbol": "BTCUSDT", "side": side, "quantity": quantity,
                                               "newOrderRespType": "RESULT"} | kind | more))

    def algo(self, side: str, kind: str, who: str = "alice", **more: Any) -> Any:
        """Place a conditional order that must be taken."""
        return self.ok("POST", "algoOrder", who, **({"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": side,
                                                  "type": kind} | more))

    def quote(self, bid: float = 49_999, ask: float = 50_001, quantity: float = 10, symbol: str = "BTCUSDT") -> None:
        """Let the maker stand on both sides."""
        self.order("BUY", quantity, bid, "maker", symbol=symbol)
        self.order("SELL", quantity, ask, "maker", symbol=symbol)

    def hold(self, side: str, quantity: float, price: float = 50_000, who: str = "alice", **more: Any) -> None:
        """Let somebody get a position from the maker at a price."""
        other = "SELL" if side == "BUY" else "BUY"
        self.order(other, quantity, price, "maker", symbol=more.get("symbol", "BTCUSDT"))
        self.order(side, quantity, price, who, **more)

    def position(self, who: str = "alice", symbol: str = "BTCUSDT") -> float:
        """Return what somebody holds, net."""
        return sum(float(row["positionAmt"]) for row in self.ok("GET", "/fapi/v3/positionRisk", who, symbol=symbol))

    def wallet(self, who: str = "alice") -> float:
        """Return somebody's USDT."""
        return float(self.ok("GET", "/fapi/v3/account", who)["totalWalletBalance"])

    def listen(self, who: str = "alice") -> Ear:
        """Return an ear at somebody's user stream."""
        return self.hear(f"/private/ws/{self.ok('POST', 'listenKey', who)['listenKey']}")

    def hear(self, path: str, **options: Any) -> Ear:
        """Return an ear at an address."""
        opened = connect(f"ws://127.0.0.1:{self.port}{path}", max_size=None, close_timeout=0.5, **options)
        return Ear(self._ears.enter_context(opened))

    def rpc(self, ear: Ear, method: str, who: str = "alice", id_: Any = 1, **params: Any) -> dict[str, Any]:
        """Make a call over the request socket."""
        full = {"apiKey": f"{who}-key", "timestamp": self.stamp_ms, **{k: text(v) for k, v in params.items()}}
        payload = "&".join(f"{name}={full[name]}" for name in sorted(full))
        ear.socket.send(json.dumps({"id": id_, "method": method, "params": full | {"signature": sign(who, payload)}}))
        answer: dict[str, Any] = ear.next()
        return answer


def sign(who: str, payload: str) -> str:
    """Return an account's signature of a text."""
    return hmac.new(f"{who}-secret".encode(), payload.encode(), hashlib.sha256).hexdigest()


def text(value: Any) -> str:
    """Return a value as requests write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.8f}".rstrip("0").rstrip(".") if isinstance(value, float) else \
        value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def encoded(value: str) -> str:
    """Return a value percent-encoded."""
    return quote(value, safe="")
