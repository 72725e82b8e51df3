"""Requests over HTTP: one is asked, once, and judged; and the calls that recovery and reconciliation make.

Knows paths, parameters, weights, deadlines, the largest bodies and how a request is signed. Refuses to know what a body
means beyond its outermost shape, and when something is to be asked again: nothing is, here.

Nothing that this room says names a query, a key or a signature: an error has method, path, status and code. It is made
after the request is over, so that no frame and no cause of it holds one either.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.outcomes import Alert, Call, Outcome, Verdict, judge
from autotrader.adapters.binance.profiles import RESTRICTIONS, MarketUrls, TradingUrls
from autotrader.errors import VenueError
from autotrader.messages import say
from autotrader.secret import Credentials

__all__ = ["Answer", "Ask", "Clock", "MarketRest", "Rest", "RestError", "Signer"]

Body = dict[str, Any]
Value = str | int | None

ORDER_S: Final = 3.0
DATA_S: Final = 10.0
BODY_BYTES: Final = 1 << 20
INFO_BYTES: Final = 16 << 20
CHUNK_BYTES: Final = 1 << 16
PAGE: Final = 1000
PAGES: Final = 100
"""Pages of trades that are read in one go: a hundred thousand trades."""
CONNECTIONS: Final = 8
IDLE_S: Final = 30.0
DNS_S: Final = 300
CONNECT_S: Final = 2.0
"""A request that has no connection by then was not sent, and is known not to be."""
RECEIVE_WINDOW_MS: Final = 5000


class Clock(Protocol):
    """The exchange's time."""

    def now_ns(self) -> int:
        """Return it in ns UTC; it never goes back."""

    def request_ms(self) -> int:
        """Return what a request is stamped with, ms."""


class Signer(Protocol):
    """Whoever holds the secret of a key."""

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text as it is written, not percent-encoded."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request without its parameters.

    Attributes
    ----------
    method, path : str
    weight : int
    call : Call
        What its answer is judged as.
    orders : int
        Orders and amendments in it.
    is_exit : bool
        Whether it can only reduce what is held or open, and so may use the whole limit.
    seconds : float
        When an answer must have come whole.
    most_bytes : int
        A longer answer is none.
    """

    method: str
    path: str
    weight: int = 1
    call: Call = Call.OTHER
    orders: int = 0
    is_exit: bool = False
    seconds: float = DATA_S
    most_bytes: int = BODY_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes
    ----------
    verdict : Verdict
    status : int
        Of HTTP; 0 where none came.
    sent : bool
        Whether the exchange may have got the request.
    body : bytes
        Not shown: a listen key may stand there.
    """

    verdict: Verdict
    status: int = 0
    sent: bool = False
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class _Reply:
    status: int = 0
    sent: bool = True
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RestError(VenueError):
    """A request that did not bring what it was asked for; nothing is shown of its parameters.

    Parameters
    ----------
    ask : Ask
    answer : Answer
    reason : str, optional
        Key of the sentence; by default what the answer says.

    Attributes
    ----------
    verdict : Verdict
    """

    def __init__(self, ask: Ask, answer: Answer, reason: str = "") -> None:
        words = {"method": ask.method, "path": ask.path, "seconds": f"{ask.seconds:g}", "status": answer.status}
        super().__init__(say(reason or _reason(answer), **words), answer.verdict.code)
        self.verdict = answer.verdict


def _reason(answer: Answer) -> str:
    if answer.verdict.alert is Alert.KEY_REFUSED:
        return "rest.key_refused"
    if answer.status:
        return "rest.refused"
    if answer.sent:
        return "rest.silent"
    return "rest.held" if answer.verdict.outcome is Outcome.WAIT else "rest.unsent"


class MarketRest:
    """What needs no key; made in the loop that it runs in.

    Parameters
    ----------
    urls : MarketUrls
        Nothing else is connected to; redirects and proxies are not followed.
    budget : Budget
        Asked before each request, and told of each answer.
    clock : Clock
    judged : callable, optional
        Given the verdict on each answer.
    tls : ssl.SSLContext, optional
    """

    def __init__(
        self,
        urls: MarketUrls,
        budget: Budget,
        clock: Clock,
        *,
        judged: Callable[[Verdict], None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._urls, self._budget, self._clock, self._judged = urls, budget, clock, judged
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, keepalive_timeout=IDLE_S, ttl_dns_cache=DNS_S, ssl=tls or True
            ),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # It would send a PUT or a DELETE a second time when a connection that was kept turns out to be closed.
        self._session._retry_connection = False

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    async def fetch(self, path: str, params: Mapping[str, str]) -> bytes:
        """Make a public GET request; return the body as it came.

        Parameters
        ----------
        path : str
        params : mapping of str to str

        Raises
        ------
        RestError
            If the exchange does not answer, or refuses.
        OperatorError
            If the profile has no business with the path.
        """
        ask = Ask("GET", path, _weight(path, params))
        return _granted(ask, await self.carry(ask, urlencode(params))).body

    async def time_ms(self) -> int:
        """Return the exchange's time, ms."""
        return int((await self._body(Ask("GET", "/fapi/v1/time")))["serverTime"])

    async def exchange_info(self) -> Body:
        """Return the rules of all symbols; the limits that stand there hold for the budget from now on."""
        body = await self._body(Ask("GET", "/fapi/v1/exchangeInfo", most_bytes=INFO_BYTES))
        now_ns = self._clock.now_ns()
        self._budget.hear_limits(body.get("rateLimits"), self._budget.spend(0, 0, now_ns), now_ns)
        return body

    async def depth(self, symbol: str, limit: int = 1000) -> Body:
        """Return a snapshot of a symbol's book: 5, 10, 20, 50, 100, 500 or 1000 levels a side."""
        return await self._body(Ask("GET", "/fapi/v1/depth", _depth_weight(limit)), symbol=symbol, limit=limit)

    async def premium_index(self, symbol: str) -> Body:
        """Return a symbol's mark price, index price and coming funding rate."""
        return await self._body(Ask("GET", "/fapi/v1/premiumIndex"), symbol=symbol)

    async def klines(
        self, symbol: str, interval: str, start_ms: int | None = None, end_ms: int | None = None, limit: int = PAGE
    ) -> list[list[Any]]:
        """Return candles of a symbol, oldest first: at most ``limit``, which is at most 1500."""
        found: list[list[Any]] = await self._rows(
            Ask("GET", "/fapi/v1/klines", _kline_weight(limit)), symbol=symbol, interval=interval, startTime=start_ms,
            endTime=end_ms, limit=limit,
        )  # fmt: skip
        return found

    async def carry(self, ask: Ask, query: str = "") -> Answer:
        """Carry out one request whose query is ready, if the budget allows; no failure of the wire is raised.

        Raises
        ------
        OperatorError
            If the profile has no business with the address.
        """
        return await self._carry(ask, query, {})

    # ------------------------------------------------------------------ one request

    async def _asked(self, ask: Ask, params: Mapping[str, Value]) -> Answer:
        return await self.carry(ask, urlencode(_given(params)))

    async def _body(self, ask: Ask, **params: Value) -> Body:
        return _mapping(ask, await self._asked(ask, params))

    async def _rows(self, ask: Ask, **params: Value) -> list[Any]:
        return _list(ask, await self._asked(ask, params))

    async def _carry(self, ask: Ask, query: str, headers: Mapping[str, str]) -> Answer:
        url = self._urls.require_host(f"{self._base(ask.path)}{ask.path}")
        now_ns = self._clock.now_ns()
        if not self._budget.allows(ask.weight, ask.orders, ask.is_exit, now_ns):
            return Answer(Verdict(Outcome.WAIT, True))
        sent = self._budget.spend(ask.weight, ask.orders, now_ns)
        reply = await self._exchanged(ask, f"{url}?{query}" if query else url, headers)
        verdict = judge(ask.call, reply.status, reply.body, reply.sent, retry_after=reply.headers.get("Retry-After"))
        now_ns = self._clock.now_ns()
        self._budget.hear(reply.headers, sent, now_ns)
        self._budget.refuse(verdict, now_ns, now_ns)
        self._judged(verdict)
        return Answer(verdict, reply.status, reply.sent, reply.body)

    def _base(self, path: str) -> str:
        return self._urls.spot if isinstance(self._urls, TradingUrls) and path == RESTRICTIONS else self._urls.rest

    async def _exchanged(self, ask: Ask, url: str, headers: Mapping[str, str]) -> _Reply:
        # What had come when it went wrong still counts: the status of a limiter is evidence without a body.
        reply = _Reply()
        try:
            async with (
                asyncio.timeout(ask.seconds),
                self._session.request(
                    ask.method, URL(url, encoded=True), headers=headers, allow_redirects=False
                ) as response,
            ):
                reply.status, reply.headers = response.status, response.headers
                reply.body = await _limited(response.content, ask.most_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            reply.sent = False
        except (aiohttp.ClientError, OSError):
            pass
        return reply


async def _limited(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) > most_bytes:
            return b""
    return bytes(body)


class Rest(MarketRest):
    """What an account is asked and told.

    Orders are placed by the order session, and through `post` from here; of its own this room places only what cannot
    open: `reduce` and `protect`.

    Parameters
    ----------
    urls : TradingUrls
    credentials : Credentials
    signer : Signer
        Of the same key.
    budget : Budget
    clock : Clock
    judged : callable, optional
    tls : ssl.SSLContext, optional

    Notes
    -----
    Bodies are returned as the exchange wrote them, decoded.
    """

    def __init__(
        self,
        urls: TradingUrls,
        credentials: Credentials,
        signer: Signer,
        budget: Budget,
        clock: Clock,
        *,
        judged: Callable[[Verdict], None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(urls, budget, clock, judged=judged, tls=tls)
        self._trading, self._credentials, self._signer = urls, credentials, signer

    async def post(self, ask: Ask, text: bytes) -> Answer:
        """Carry out a request that was signed already, such as an approved order's; its answer is judged.

        Parameters
        ----------
        ask : Ask
        text : bytes
            Parameters with their signature behind them, percent-encoded.
        """
        return await self._carry(ask, text.decode("ascii"), self._key())

    # ------------------------------------------------------------------ orders

    async def open_orders(self, symbol: str | None = None) -> list[Body]:
        """Return the open ordinary orders of a symbol, or of all."""
        return await self._signed_rows(Ask("GET", "/fapi/v1/openOrders", 1 if symbol else 40), symbol=symbol)

    async def open_algo_orders(self, symbol: str | None = None) -> list[Body]:
        """Return the open conditional orders of a symbol, or of all."""
        return await self._signed_rows(Ask("GET", "/fapi/v1/openAlgoOrders", 1 if symbol else 40), symbol=symbol)

    async def order(self, symbol: str, client_id: str | None = None, order_id: int | None = None) -> Body:
        """Return an ordinary order, or ``{"code": -2013}`` where the exchange says that there is none."""
        ask = Ask("GET", "/fapi/v1/order", call=Call.QUERY, seconds=ORDER_S)
        return await self._one(ask, symbol=symbol, origClientOrderId=client_id, orderId=order_id)

    async def algo_order(self, client_id: str | None = None, algo_id: int | None = None) -> Body:
        """Return a conditional order, or ``{"code": -2013}`` where the exchange says that there is none."""
        ask = Ask("GET", "/fapi/v1/algoOrder", call=Call.QUERY, seconds=ORDER_S)
        return await self._one(ask, clientAlgoId=client_id, algoId=algo_id)

    async def all_orders(
        self, symbol: str, order_id: int | None = None, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[Body]:
        """Return a symbol's orders from an id on, or of a window of less than seven days: a thousand at most."""
        return await self._signed_rows(
            Ask("GET", "/fapi/v1/allOrders", 5), symbol=symbol, orderId=order_id, startTime=start_ms, endTime=end_ms,
            limit=PAGE,
        )  # fmt: skip

    async def user_trades(self, symbol: str, from_id: int, page: int = PAGE) -> list[Body]:
        """Return every trade of a symbol from an id on, page by page.

        Parameters
        ----------
        symbol : str
        from_id : int
            Trade id of the first that is wanted.
        page : int, optional
            Trades of one request.

        Raises
        ------
        RestError
            Also if a page does not go on where the one before it ended, or if a hundred pages are not enough.
        """
        ask, trades, first = Ask("GET", "/fapi/v1/userTrades", 5), list[Body](), from_id
        for _ in range(PAGES):
            answer = await self._signed(ask, {"symbol": symbol, "fromId": first, "limit": page})
            found = _list(ask, answer)
            following = _following(found, first)
            if not following:
                raise RestError(ask, answer, "rest.shape")
            trades += found
            if len(found) < page:
                return trades
            first = following
        raise RestError(ask, answer, "rest.pages")

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every ordinary order of a symbol."""
        await self._deed(Ask("DELETE", "/fapi/v1/allOpenOrders", call=Call.CANCEL, is_exit=True, seconds=ORDER_S),
                         symbol=symbol)  # fmt: skip

    async def cancel_all_algo(self, symbol: str) -> None:
        """Cancel every conditional order of a symbol: what protects a position, too."""
        await self._deed(Ask("DELETE", "/fapi/v1/algoOpenOrders", call=Call.CANCEL, is_exit=True, seconds=ORDER_S),
                         symbol=symbol)  # fmt: skip

    async def cancel_order(self, symbol: str, client_id: str) -> None:
        """Cancel one ordinary order."""
        ask = Ask("DELETE", "/fapi/v1/order", call=Call.CANCEL, is_exit=True, seconds=ORDER_S)
        await self._deed(ask, symbol=symbol, origClientOrderId=client_id)

    async def cancel_algo_order(self, client_id: str) -> None:
        """Cancel one conditional order."""
        ask = Ask("DELETE", "/fapi/v1/algoOrder", call=Call.CANCEL, is_exit=True, seconds=ORDER_S)
        await self._deed(ask, clientAlgoId=client_id)

    async def reduce(self, symbol: str, leg: str, sells: bool, quantity: str, client_id: str) -> Answer:
        """Reduce a position at market, once; return what the exchange says, whatever that is.

        Parameters
        ----------
        symbol : str
        leg : {"BOTH", "LONG", "SHORT"}
            In hedge mode the leg alone makes an order one that only reduces.
        sells : bool
        quantity : str
            Coins.
        client_id : str
            As it goes over the wire.

        Raises
        ------
        ValueError
            If it would open: a long leg is only sold, a short one only bought.
        """
        ask = Ask("POST", "/fapi/v1/order", 0, Call.PLACE, 1, is_exit=True, seconds=ORDER_S)
        own: dict[str, Value] = {"type": "MARKET", "quantity": quantity, "newOrderRespType": "RESULT"}
        if leg == "BOTH":
            own["reduceOnly"] = "true"
        return await self._signed(ask, _exit(symbol, leg, sells) | own | {"newClientOrderId": client_id})

    async def protect(self, symbol: str, leg: str, sells: bool, trigger: str, client_id: str) -> Answer:
        """Place a stop that closes a whole position when the mark price reaches it; else as `reduce`."""
        ask = Ask("POST", "/fapi/v1/algoOrder", 0, Call.PLACE, 1, is_exit=True, seconds=ORDER_S)
        own = {
            "algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": trigger, "closePosition": "true",
            "workingType": "MARK_PRICE", "clientAlgoId": client_id,
        }  # fmt: skip
        return await self._signed(ask, _exit(symbol, leg, sells) | own)

    async def countdown_cancel_all(self, symbol: str, countdown_ms: int) -> None:
        """Let the exchange cancel a symbol's ordinary orders unless it hears again in time; 0 ends that."""
        ask = Ask("POST", "/fapi/v1/countdownCancelAll", 10, is_exit=True, seconds=ORDER_S)
        await self._deed(ask, symbol=symbol, countdownTime=countdown_ms)

    # ------------------------------------------------------------------ account

    async def position_risk(self, symbol: str | None = None) -> list[Body]:
        """Return the positions, those without size or orders left out."""
        return await self._signed_rows(Ask("GET", "/fapi/v3/positionRisk", 5), symbol=symbol)

    async def balance(self) -> list[Body]:
        """Return the wallets."""
        return await self._signed_rows(Ask("GET", "/fapi/v3/balance", 5))

    async def account(self) -> Body:
        """Return totals, wallets and positions."""
        return await self._signed_body(Ask("GET", "/fapi/v3/account", 5))

    async def account_config(self) -> Body:
        """Return what the account may do, and its modes."""
        return await self._signed_body(Ask("GET", "/fapi/v1/accountConfig", 5))

    async def symbol_config(self, symbol: str | None = None) -> list[Body]:
        """Return margin type and leverage of a symbol, or of all."""
        return await self._signed_rows(Ask("GET", "/fapi/v1/symbolConfig", 5), symbol=symbol)

    async def position_mode(self) -> Body:
        """Return whether the account is in hedge mode."""
        return await self._signed_body(Ask("GET", "/fapi/v1/positionSide/dual", 30))

    async def multi_assets_mode(self) -> Body:
        """Return whether the account is in multi-assets mode."""
        return await self._signed_body(Ask("GET", "/fapi/v1/multiAssetsMargin", 30))

    async def leverage_brackets(self, symbol: str | None = None) -> list[Body]:
        """Return the leverage brackets of a symbol, or of all, as a list either way."""
        ask = Ask("GET", "/fapi/v1/leverageBracket", most_bytes=INFO_BYTES)
        answer = await self._signed(ask, {"symbol": symbol})
        found = _decoded(ask, answer)
        return [found] if isinstance(found, dict) else _list(ask, answer)

    async def commission_rate(self, symbol: str) -> Body:
        """Return the fee rates of a symbol."""
        return await self._signed_body(Ask("GET", "/fapi/v1/commissionRate", 20), symbol=symbol)

    async def income(
        self, start_ms: int | None = None, end_ms: int | None = None, kind: str | None = None, symbol: str | None = None
    ) -> list[Body]:
        """Return what changed the wallets but for orders' margins, oldest first: a thousand at most."""
        return await self._signed_rows(
            Ask("GET", "/fapi/v1/income", 30), symbol=symbol, incomeType=kind, startTime=start_ms, endTime=end_ms,
            limit=PAGE,
        )  # fmt: skip

    async def api_restrictions(self) -> Body | None:
        """Return what the key may do; None where no host says it."""
        return await self._signed_body(Ask("GET", RESTRICTIONS)) if self._trading.spot else None

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage of a symbol."""
        await self._deed(Ask("POST", "/fapi/v1/leverage"), symbol=symbol, leverage=leverage)

    async def set_margin_type(self, symbol: str, isolated: bool) -> None:
        """Set the margin type of a symbol; that it is so already is no error."""
        margin_type = "ISOLATED" if isolated else "CROSSED"
        await self._deed(Ask("POST", "/fapi/v1/marginType"), symbol=symbol, marginType=margin_type)

    # ------------------------------------------------------------------ the key of the user stream

    async def open_listen_key(self) -> str:
        """Return the account's listen key, good for an hour from now: the one that there is, or a new one."""
        ask = Ask("POST", "/fapi/v1/listenKey")
        answer = await self._carry(ask, "", self._key())
        key = _mapping(ask, answer).get("listenKey")
        if not isinstance(key, str) or not key.isalnum() or not key.isascii() or len(key) > 200:
            raise RestError(ask, answer, "rest.shape")
        return key

    async def keep_listen_key(self) -> None:
        """Keep the account's listen key for another hour."""
        ask = Ask("PUT", "/fapi/v1/listenKey")
        _granted(ask, await self._carry(ask, "", self._key()))

    async def close_listen_key(self) -> None:
        """End the account's listen key, for every connection that uses it."""
        ask = Ask("DELETE", "/fapi/v1/listenKey")
        _granted(ask, await self._carry(ask, "", self._key()))

    # ------------------------------------------------------------------ signing

    def _key(self) -> dict[str, str]:
        return {"X-MBX-APIKEY": self._credentials.api_key.reveal()}

    async def _signed(self, ask: Ask, params: Mapping[str, Value]) -> Answer:
        stamp = {"recvWindow": RECEIVE_WINDOW_MS, "timestamp": self._clock.request_ms()}
        text = urlencode(_given({**params, **stamp}))
        signature = quote(self._signer.sign(text.encode()).decode("ascii"), safe="")
        return await self._carry(ask, f"{text}&signature={signature}", self._key())

    async def _signed_body(self, ask: Ask, **params: Value) -> Body:
        return _mapping(ask, await self._signed(ask, params))

    async def _signed_rows(self, ask: Ask, **params: Value) -> list[Any]:
        return _list(ask, await self._signed(ask, params))

    async def _one(self, ask: Ask, **params: Value) -> Body:
        answer = await self._signed(ask, params)
        if answer.verdict.outcome is Outcome.ABSENT:
            return {"code": answer.verdict.code}
        return _mapping(ask, answer)

    async def _deed(self, ask: Ask, **params: Value) -> None:
        _granted(ask, await self._signed(ask, params))


def _exit(symbol: str, leg: str, sells: bool) -> dict[str, Value]:
    if leg not in ("BOTH", "LONG" if sells else "SHORT"):
        raise ValueError(f"{symbol}: this would open the leg {leg}")
    return {"symbol": symbol, "side": "SELL" if sells else "BUY", "positionSide": leg}


def _given(params: Mapping[str, Value]) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}


def _granted(ask: Ask, answer: Answer) -> Answer:
    if answer.verdict.outcome is not Outcome.DONE:
        raise RestError(ask, answer)
    return answer


def _decoded(ask: Ask, answer: Answer) -> Any:
    return orjson.loads(_granted(ask, answer).body)  # a body that was granted is JSON


def _mapping(ask: Ask, answer: Answer) -> Body:
    found = _decoded(ask, answer)
    if not isinstance(found, dict):
        raise RestError(ask, answer, "rest.shape")
    return found


def _list(ask: Ask, answer: Answer) -> list[Any]:
    found = _decoded(ask, answer)
    if not isinstance(found, list):
        raise RestError(ask, answer, "rest.shape")
    return found


def _following(trades: list[Any], first: int) -> int:
    # The id behind the last of a page; 0 if this is no page of trades that begins at ``first`` or later.
    for one in trades:
        number = one.get("id") if isinstance(one, dict) else None
        if type(number) is not int or number < first:
            return 0
        first = number + 1
    return max(first, 1)


def _weight(path: str, params: Mapping[str, str]) -> int:
    limit = params.get("limit", "500")
    if path.endswith("/depth") and limit.isdecimal():
        return _depth_weight(int(limit))
    if path.endswith("/premiumIndex") and "symbol" not in params:
        return 10
    return _kline_weight(int(limit)) if path.endswith("lines") and limit.isdecimal() else _WEIGHTS.get(path, 1)


_WEIGHTS: Final = {
    "/fapi/v1/trades": 5,
    "/fapi/v1/aggTrades": 20,
    "/fapi/v1/fundingRate": 0,
    "/fapi/v1/fundingInfo": 0,
    "/fapi/v1/ticker/24hr": 40,
    "/fapi/v1/ticker/price": 2,
    "/fapi/v2/ticker/price": 2,
    "/fapi/v1/ticker/bookTicker": 5,
}
"""Weights that are not 1, at most what the call may weigh."""


def _depth_weight(limit: int) -> int:
    return next((weight for most, weight in ((50, 2), (100, 5), (500, 10)) if limit <= most), 20)


def _kline_weight(limit: int) -> int:
    return next((weight for most, weight in ((99, 1), (499, 2), (1000, 5)) if limit <= most), 10)
