"""An exchange on loopback whose time stands still, and what a client needs to reach it: HTTP and WebSockets.

Knows signatures, requests in flight and frames. Refuses to know what an answer means. Time passes only when a test says
so, so whatever the exchange says is the consequence of one thing that the test did.
"""

import asyncio
import hmac
from collections import deque
from urllib.parse import quote

import orjson
from picows import WSListener, WSMsgType, ws_connect

from autotrader.adapters.loopback.clock import MS
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key
from autotrader.adapters.loopback.streams import Rules
from core_ext.types import Kind

START_NS = 1_750_000_003_000_000_000
ENDLESS = 10**9


def account(name, wallets_e8=(10**12, 0, 0, 0, 0), **settings):
    """Return an account that opens with wallets of USDT, BNB, USDC, BTC and ETH."""
    return AccountSetup(Key(name, f"{name}-key", "hmac", f"{name}-secret"), wallets_e8, **settings)


class World:
    """A synthetic exchange without participants, in this process, that only moves when it is told to."""

    def __init__(self, specs, accounts, **options):
        given = {"speed": 0.0, "crowd": False, "start_ns": START_NS, "weight_limit": ENDLESS, "order_limit": ENDLESS}
        self.server = Server(Options(specs, accounts=accounts, **given | options))
        self.server.hub.rules = Rules(messages_per_s=ENDLESS)  # a client of these tests asks after every step
        self.port = 0

    @property
    def now_ns(self):
        return self.server.clock.now()

    @property
    def now_ms(self):
        return self.now_ns // MS

    async def open(self):
        self.port = await self.server.open()

    async def close(self):
        await self.server.close()

    def pass_time(self, ns):
        """Let time pass; whatever becomes due happens."""
        self.server.clock.reach(self.now_ns + ns)
        self.server.advance(self.now_ns)

    def index(self, symbol, price_e8):
        """Let the index of a symbol be this from now on: the exchange makes its mark of it."""
        self.server.venue.feed(market_row(Kind.MARK, symbol, self.now_ns, 0, price_e8))

    def coin(self, asset, price_e8):
        """Let a margin coin be worth this."""
        self.server.venue.feed(market_row(Kind.ASSET_INDEX, 0, self.now_ns, asset, price_e8))


class Line(asyncio.Protocol):
    """One connection that carries many HTTP requests, answered in the order in which they were sent."""

    def __init__(self):
        self.waiting = deque()
        self.rest = b""

    @classmethod
    async def open(cls, port):
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return line

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        for one in self.waiting:
            if not one.done():
                one.set_exception(ConnectionError("the exchange hung up"))

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at : (head + b"\r\n").index(b"\r\n", at)])
            if len(self.rest) < end + 4 + length:
                return
            body, self.rest = self.rest[end + 4 : end + 4 + length], self.rest[end + 4 + length :]
            self.waiting.popleft().set_result((int(head[9:12]), orjson.loads(body)))

    def ask(self, method, target, api_key=""):
        """Send a request; return the future of (status, body)."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        key = f"X-MBX-APIKEY: {api_key}\r\n" if api_key else ""
        length = "Content-Length: 0\r\n" if method in ("POST", "PUT") else ""
        self.transport.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{key}{length}\r\n".encode())
        return future

    def close(self):
        self.transport.close()


class Ear(WSListener):
    """One WebSocket: what it heard, in order; what it asked is answered by id."""

    @classmethod
    async def open(cls, port, path):
        _, ear = await ws_connect(cls, f"ws://127.0.0.1:{port}{path}")
        return ear

    def __init__(self):
        super().__init__()
        self.heard = []
        self.answers = {}
        self.asked = 0

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, transport, frame):
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = orjson.loads(frame.get_payload_as_bytes())
        if "id" in message:
            self.answers.pop(message["id"]).set_result(message)
        else:
            self.heard.append(message)

    def ask(self, method, params):
        """Send a request; return the future of its answer."""
        self.asked += 1
        future = self.answers[self.asked] = asyncio.get_running_loop().create_future()
        self.transport.send(WSMsgType.TEXT, orjson.dumps({"id": self.asked, "method": method, "params": params}))
        return future

    async def all_heard(self):
        """Return what was heard since the last call: everything that the exchange had said by now."""
        await self.ask("LIST_SUBSCRIPTIONS", [])
        heard, self.heard = self.heard, []
        return heard

    def close(self):
        self.transport.disconnect()


class Client:
    """Who trades with one account's key, by HTTP and by the WebSocket request API."""

    def __init__(self, world, number, line, socket):
        self.world, self.number, self.line, self.socket = world, number, line, socket
        key = world.server.options.accounts[number].key
        self.api_key, self.secret = key.api_key, key.secret.encode()

    def signature(self, text):
        return hmac.digest(self.secret, text.encode(), "sha256").hex()

    def rest(self, method, path, **params):
        """Send a signed request by HTTP; return the future of (status, body)."""
        params["timestamp"] = self.world.now_ms
        query = "&".join(f"{name}={quote(str(value))}" for name, value in params.items())
        return self.line.ask(method, f"{path}?{query}&signature={self.signature(query)}", self.api_key)

    async def frame(self, method, **params):
        """Send a signed request over the WebSocket; return (status, body)."""
        params |= {"apiKey": self.api_key, "timestamp": self.world.now_ms}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        answer = await self.socket.ask(method, params | {"signature": self.signature(text)})
        return answer["status"], answer["result" if answer["status"] == 200 else "error"]

    async def listen_key(self):
        """Return the key of the account's event stream."""
        _, body = await self.line.ask("POST", "/fapi/v1/listenKey", self.api_key)
        return body["listenKey"]
