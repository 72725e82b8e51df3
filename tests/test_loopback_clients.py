"""python-binance, unmodified and told nothing but where to go, at the exchange on loopback."""

import ast
import asyncio
import inspect
import json
import ssl
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from binance.async_client import AsyncClient
from binance.client import Client
from binance.exceptions import BinanceAPIException
from binance.ws.depthcache import FuturesDepthCacheManager
from binance.ws.streams import BinanceSocketManager
from loopback_world import E8, World, setup

from autotrader.adapters.loopback.api import ROUTES
from autotrader.run.exchange import certificate

BTC, ETH = "BTCUSDT", "ETHUSDT"
KINDS = ("sync", "async")
HOUR_MS = 3_600_000


# ---------------------------------------------------------------------- clients


@contextmanager
def told(port: int, tls: str = "") -> Iterator[None]:
    """Tell both clients where the exchange is: their addresses are class attributes."""
    rest, sockets = f"http{tls}://127.0.0.1:{port}", f"ws{tls}://127.0.0.1:{port}"
    addresses = {
        "API_URL": f"{rest}/api",
        "FUTURES_URL": f"{rest}/fapi",
        "FUTURES_DATA_URL": f"{rest}/futures/data",
        "WS_FUTURES_URL": f"{sockets}/ws-fapi/v1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Client, AsyncClient):
            for name, address in addresses.items():
                patch.setattr(kind, name, address)
        patch.setattr(BinanceSocketManager, "FSTREAM_URL", f"{sockets}/")
        yield


class Desk:
    """One client of one account, synchronous or not, asked in the same words."""

    def __init__(self, home: World, kind: str, name: str):
        self.home = home
        self.name = name
        self.runner = asyncio.Runner()
        if kind == "sync":
            asyncio.set_event_loop(self.runner.get_loop())
            self.client: Any = Client(f"{name}-key", f"{name}-secret")
        else:
            self.client = self.runner.run(AsyncClient.create(f"{name}-key", f"{name}-secret"))

    def ask(self, name: str, **args: Any) -> Any:
        """Make a call; return its answer."""
        answer = getattr(self.client, name)(**args)
        if inspect.iscoroutine(answer):
            answer = self.runner.run(self._awaited(answer))
        return list(answer) if inspect.isgenerator(answer) else answer

    @staticmethod
    async def _awaited(answer: Any) -> Any:
        found = await answer
        return [one async for one in found] if inspect.isasyncgen(found) else found

    def close(self) -> None:
        """Hang up."""
        closed = self.client.close_connection()
        self.runner.run(self._hang_up(closed if inspect.iscoroutine(closed) else None))
        self.runner.close()

    async def _hang_up(self, closed: Any) -> None:
        if closed is not None:
            await closed
        if self.client.ws_future.ws is not None:  # its own close waits until ten seconds without a message are over
            await self.client.ws_future.ws.close()

    def price(self, share: float, symbol: str = BTC) -> str:
        """Return a price on the tick, a share of the mark."""
        position = self.home.server.exchange.fund.position
        return f"{self.home.do(lambda: position(self.home.index(symbol)))['mark_e8'] / E8 * share:.1f}"

    def resting(self, **changes: Any) -> dict[str, Any]:
        """Place an order that nobody will meet."""
        return self.ask("futures_create_order", **(limit(self) | changes))

    def waiting(self, **changes: Any) -> dict[str, Any]:
        """Place a conditional order that nothing will trigger."""
        return self.ask("futures_create_order", **(stop(self) | changes))

    def bought(self, quantity: str = "0.010", **changes: Any) -> dict[str, Any]:
        """Buy at the market."""
        return self.ask(
            "futures_create_order", **(market(self) | {"quantity": quantity, "newOrderRespType": "RESULT"} | changes)
        )


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come true in time")


def limit(desk: Desk, **changes: Any) -> dict[str, Any]:
    """Return an order that nobody will meet."""
    order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    return order | {"price": desk.price(0.9)} | changes


def market(desk: Desk, **changes: Any) -> dict[str, Any]:
    """Return an order at the market."""
    return {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"} | changes


def stop(desk: Desk, **changes: Any) -> dict[str, Any]:
    """Return a conditional order that nothing will trigger, in the client's old words."""
    return {
        "symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "stopPrice": desk.price(0.8), "quantity": "0.010",
    } | changes  # fmt: skip


def of(order: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return what names an order."""
    return {"symbol": order["symbol"]} | {name: order[name] for name in names or ("orderId",)}


# ---------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Case:
    """A call: what it is asked with, and what must hold of the answer."""

    holds: Callable[[Any, Desk], Any]
    args: Callable[[Desk], dict[str, Any]] = field(default=lambda desk: {})


def case(holds: Callable[..., Any], args: Callable[[Desk], dict[str, Any]] | None = None, **fixed: Any) -> Case:
    """Return a case of fixed or made arguments, and of a check of (answer) or (answer, desk)."""
    takes_both = len(inspect.signature(holds).parameters) == 2
    return Case(holds if takes_both else lambda answer, desk: holds(answer), args or (lambda desk: fixed))


def has(*names: str) -> Callable[[Any], bool]:
    """Return the check that an answer, or every row of it, has keys; there must be one."""

    def check(answer: Any) -> bool:
        rows = answer if isinstance(answer, list) else [answer]
        return bool(rows) and all(set(names) <= row.keys() for row in rows)

    return check


def perhaps(*names: str) -> Callable[[Any], bool]:
    """Return the check of rows that there may be none of yet: the exchange is younger than a period."""
    check = has(*names)
    return lambda answer: answer == [] or check(answer)


def rows(width: int) -> Callable[[Any], bool]:
    """Return the check that an answer is candles."""
    return lambda answer: bool(answer) and all(len(row) == width and row[0] < row[6] for row in answer)


def done(answer: Any) -> bool:
    """Check an answer that says no more than that it was done."""
    return answer["code"] in (200, "200")


def placed(**expected: Any) -> Callable[[Any], bool]:
    """Return the check that an answer is an order without averages."""

    def check(answer: Any) -> bool:
        assert answer.keys() & {"avgPrice", "cumQuote"} == set()
        return answer["orderId"] > 0 and answer.items() >= ({"symbol": BTC} | expected).items()

    return check


def conditional(**expected: Any) -> Callable[[Any], bool]:
    """Return the check that an answer is a conditional order."""
    return lambda answer: answer["algoId"] > 0 and answer.items() >= ({"algoType": "CONDITIONAL"} | expected).items()


def one(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check of an answer's only row."""
    return lambda answer: len(answer) == 1 and check(answer[0])


def _history(desk: Desk) -> dict[str, Any]:
    return {"symbol": BTC, "interval": "1m", "start_str": int(time.time() * 1000) - HOUR_MS}


def _isolated(desk: Desk) -> dict[str, Any]:
    desk.ask("futures_change_margin_type", symbol=BTC, marginType="ISOLATED")
    desk.bought()
    return {"symbol": BTC, "amount": "25", "type": 1}


def _moved(desk: Desk) -> dict[str, Any]:
    desk.ask("futures_change_position_margin", **_isolated(desk))
    return {"symbol": BTC}


def _amended(desk: Desk, answer: str = "amended") -> dict[str, Any]:
    order = desk.resting()
    change = of(order) | {"side": "BUY", "quantity": "0.020", "price": desk.price(0.91)}
    if answer == "amended":
        desk.ask("futures_modify_order", **change)
        return of(order)
    return change


def _liquidated(desk: Desk) -> dict[str, Any]:
    desk.bought()
    desk.home.fault("liquidate", account=desk.name)
    return {"symbol": BTC}


def _paid(desk: Desk) -> dict[str, Any]:
    desk.bought()
    desk.home.fault("funding", symbol=BTC, rate=0.0001)
    until(lambda: len(desk.ask("futures_income_history")) > 2)
    return {}


def _aggregated(desk: Desk) -> dict[str, Any]:
    desk.bought()
    until(lambda: desk.ask("futures_aggregate_trades", symbol=BTC))  # a tenth of a second is gathered
    return {"symbol": BTC}


def _batch(desk: Desk) -> dict[str, Any]:
    first, bad = limit(desk, newClientOrderId="first:1"), limit(desk, quantity="0.0105")
    return {"batchOrders": [first, bad, {k: str(v) for k, v in market(desk).items()}]}


def _changed(desk: Desk) -> dict[str, Any]:
    change = _amended(desk, "change") | {"modifyId": 77}
    return {"batchOrders": json.dumps([{name: str(value) for name, value in change.items()}, {"symbol": BTC}])}


def _two(desk: Desk, by: str) -> dict[str, Any]:
    first, second = desk.resting(newClientOrderId=f"a:{by}"), desk.resting(newClientOrderId=f"b/{by}")
    if by == "orderidlist":
        return {"symbol": BTC, by: [first["orderId"], second["orderId"], 1]}
    return {"symbol": BTC, by: [first["clientOrderId"], second["clientOrderId"], "nobody"]}


def _is_batch(answer: Any) -> bool:
    codes = [row.get("code") for row in answer]
    assert codes == [None, -1111, None]
    return answer[0]["clientOrderId"] == "first:1" and answer[2]["type"] == "MARKET"


def _are_canceled(answer: Any) -> bool:
    assert [row.get("status") for row in answer[:2]] == ["CANCELED"] * 2
    return answer[2] == {"code": -2011, "msg": "Unknown order sent."}


def _is_income(answer: Any) -> bool:
    return [row["incomeType"] for row in answer] == ["TRANSFER", "COMMISSION", "FUNDING_FEE"]


BOOK = has("lastUpdateId", "E", "T", "bids", "asks")
TRADED = has("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isRPITrade")
PRICED = has("symbol", "price", "time")
LONGS = perhaps("symbol", "longShortRatio", "longAccount", "shortAccount", "timestamp")
LISTED = has("orderId", "avgPrice", "cumQuote", "time", "pair", "cumBase")
QUERIED = has("orderId", "avgPrice", "cumQuote", "time")
ALGO = has("algoId", "clientAlgoId", "actualOrderId", "triggerPrice")

CALLS: dict[str, Case] = {
    # market data
    "futures_ping": case(lambda a: a == {}),
    "futures_time": case(lambda a: abs(a["serverTime"] - time.time() * 1000) < 2000),
    "futures_exchange_info": case(lambda a: [row["symbol"] for row in a["symbols"]] == [BTC, ETH]),
    "futures_order_book": case(BOOK, symbol=BTC, limit=50),
    "futures_rpi_depth": case(BOOK, symbol=BTC),
    "futures_recent_trades": case(TRADED, lambda desk: desk.bought() and {"symbol": BTC, "limit": 5}),
    "futures_historical_trades": case(TRADED, lambda desk: desk.bought() and {"symbol": BTC, "limit": 5}),
    "futures_aggregate_trades": case(has("a", "p", "q", "nq", "f", "l", "T", "m"), _aggregated),
    "futures_klines": case(rows(12), lambda desk: desk.bought() and {"symbol": BTC, "interval": "1m"}),
    "futures_mark_price_klines": case(rows(12), symbol=BTC, interval="1h"),
    "futures_index_price_klines": case(rows(12), pair=BTC, interval="1h"),
    "futures_premium_index_klines": case(rows(12), symbol=BTC, interval="1h"),
    "futures_continuous_klines": case(rows(12), lambda desk: desk.bought() and {
        "pair": BTC, "contractType": "PERPETUAL", "interval": "5m"}),
    "futures_historical_klines": case(rows(12), lambda desk: desk.bought() and _history(desk)),
    "futures_historical_klines_generator": case(rows(12), lambda desk: desk.bought() and _history(desk)),
    "futures_historical_mark_price_klines": case(rows(12), _history),
    "futures_mark_price": case(has("markPrice", "indexPrice", "lastFundingRate", "nextFundingTime")),
    "futures_funding_rate": case(has("symbol", "fundingRate", "fundingTime", "markPrice", "rateType"),
                                 lambda desk: _paid(desk) or {"symbol": BTC}),
    "futures_ticker": case(has("lastPrice", "openTime", "count"), symbol=BTC),
    "futures_symbol_ticker": case(PRICED),
    "futures_orderbook_ticker": case(has("bidPrice", "askPrice", "lastUpdateId"), symbol=BTC),
    "futures_index_price_constituents": case(lambda a: a["constituents"][0]["weight"], symbol=BTC),
    "futures_open_interest": case(has("openInterest", "symbol", "time"), symbol=BTC),
    "futures_index_info": case(lambda a: a == []),
    "futures_symbol_adl_risk": case(lambda a: a["adlRisk"] == "low", symbol=BTC),
    "futures_insurance_fund_balance_snapshot": case(has("symbols", "assets"), symbol=BTC),
    "futures_v1_get_asset_index": case(lambda a: isinstance(a, list)),
    "futures_v1_get_funding_info": case(has("symbol", "fundingIntervalHours")),
    # statistics
    "futures_top_longshort_account_ratio": case(LONGS, symbol=BTC, period="5m"),
    "futures_top_longshort_position_ratio": case(LONGS, symbol=BTC, period="5m"),
    "futures_global_longshort_ratio": case(LONGS, symbol=BTC, period="5m"),
    "futures_taker_longshort_ratio": case(perhaps("buySellRatio", "buyVol", "sellVol"), symbol=BTC, period="5m"),
    "futures_open_interest_hist": case(perhaps("sumOpenInterest", "timestamp"), symbol=BTC, period="5m"),
    "futures_basis": case(perhaps("basis", "futuresPrice"), pair=BTC, period="5m", contractType="PERPETUAL"),
    "futures_delivery_price": case(lambda a: a == [], pair=BTC),
    # orders
    "futures_create_order": case(placed(status="NEW", type="LIMIT"), limit),
    "futures_limit_order": case(placed(type="LIMIT", side="SELL"),
                                lambda desk: limit(desk, side="SELL", price=desk.price(1.1))),
    "futures_market_order": case(placed(type="MARKET", status="FILLED"),
                                 lambda desk: market(desk, newOrderRespType="RESULT")),
    "futures_limit_buy_order": case(placed(side="BUY", type="LIMIT", timeInForce="GTX"),
                                    lambda desk: limit(desk, timeInForce="GTX")),
    "futures_limit_sell_order": case(placed(side="SELL", priceMatch="QUEUE_5"), symbol=BTC, quantity="0.010",
                                     timeInForce="GTC", priceMatch="QUEUE_5"),
    "futures_market_buy_order": case(placed(side="BUY", executedQty="0.010"), symbol=BTC, quantity="0.010",
                                     newOrderRespType="RESULT"),
    "futures_market_sell_order": case(placed(side="SELL", status="NEW", executedQty="0.000"), symbol=BTC,
                                      quantity="0.010"),
    "futures_modify_order": case(placed(origQty="0.020", status="NEW", pair=BTC, modifyId=9),
                                 lambda desk: _amended(desk, "change") | {"modifyId": 9}),
    "futures_create_test_order": case(lambda a: a["status"] == "NEW" and a["cumQty"] == "0.000", limit),
    "futures_place_batch_order": case(_is_batch, _batch),
    "futures_v1_put_batch_orders": case(lambda a: a[0]["origQty"] == "0.020" and a[1]["code"] == -1102, _changed),
    "futures_get_order": case(QUERIED, lambda desk: of(desk.resting())),
    "futures_v1_get_open_order": case(QUERIED, lambda desk: of(desk.resting())),
    "futures_get_open_orders": case(one(QUERIED), lambda desk: of(desk.resting(), "symbol")),
    "futures_get_all_orders": case(one(LISTED), lambda desk: of(desk.bought(), "symbol")),
    "futures_cancel_order": case(placed(status="CANCELED"), lambda desk: of(desk.resting())),
    "futures_cancel_all_open_orders": case(
        lambda a, desk: done(a) and desk.ask("futures_get_open_orders") == [],
        lambda desk: of(desk.resting(), "symbol")),
    "futures_cancel_orders": case(_are_canceled, lambda desk: _two(desk, "orderidlist")),
    "futures_countdown_cancel_all": case(lambda a: a == {"symbol": BTC, "countdownTime": "100000"}, symbol=BTC,
                                         countdownTime=100_000),
    "futures_account_trades": case(has("id", "orderId", "realizedPnl", "maker", "buyer", "marginAsset", "pair"),
                                   lambda desk: of(desk.bought(), "symbol")),
    "futures_liquidation_orders": case(lambda a: a[0]["clientOrderId"].startswith("autoclose-"), _liquidated),
    "futures_v1_get_order_amendment": case(
        lambda a: a[0]["amendment"]["origQty"] == {"before": "0.010", "after": "0.020"}, _amended),
    "futures_v1_get_rate_limit_order": case(lambda a: [row["interval"] for row in a] == ["SECOND", "MINUTE"]),
    # conditional orders
    "futures_create_algo_order": case(conditional(orderType="TAKE_PROFIT"), lambda desk: limit(
        desk, type="TAKE_PROFIT", triggerPrice=desk.price(0.9))),
    "futures_cancel_algo_order": case(done, lambda desk: of(desk.waiting(), "algoId")),
    "futures_cancel_all_algo_open_orders": case(
        lambda a, desk: done(a) and desk.ask("futures_get_open_algo_orders") == [],
        lambda desk: of(desk.waiting(), "symbol")),
    "futures_get_algo_order": case(ALGO, lambda desk: of(desk.waiting(), "clientAlgoId")),
    "futures_get_open_algo_orders": case(one(ALGO), lambda desk: of(desk.waiting(), "symbol")),
    "futures_get_all_algo_orders": case(one(ALGO), lambda desk: of(desk.waiting(), "symbol")),
    # account
    "futures_account_balance": case(one(has("accountAlias", "balance", "availableBalance"))),
    "futures_account": case(has("feeTier", "assets", "positions", "totalMaintMargin")),
    "futures_account_config": case(has("dualSidePosition", "tradeGroupId")),
    "futures_symbol_config": case(lambda a: a[0]["marginType"] == "CROSSED", symbol=BTC),
    "futures_position_information": case(one(lambda row: row["positionAmt"] == "0.010"),
                                         lambda desk: of(desk.bought(), "symbol")),
    "futures_change_leverage": case(lambda a: a["leverage"] == 33 and a["symbol"] == ETH, symbol=ETH, leverage=33),
    "futures_change_margin_type": case(done, symbol=ETH, marginType="ISOLATED"),
    "futures_change_position_margin": case(lambda a: done(a) and a["amount"] == 25, _isolated),
    "futures_position_margin_history": case(one(lambda row: row["amount"] == "25.0" and row["type"] == 1), _moved),
    "futures_change_position_mode": case(
        lambda a, desk: done(a) and desk.ask("futures_get_position_mode") == {"dualSidePosition": True},
        dualSidePosition="true"),
    "futures_get_position_mode": case(lambda a: a == {"dualSidePosition": False}),
    "futures_change_multi_assets_mode": case(
        lambda a, desk: done(a) and desk.ask("futures_get_multi_assets_mode") == {"multiAssetsMargin": True},
        multiAssetsMargin=True),
    "futures_get_multi_assets_mode": case(lambda a: a == {"multiAssetsMargin": False}),
    "futures_v1_get_fee_burn": case(lambda a: a == {"feeBurn": False}),
    "futures_v1_post_fee_burn": case(
        lambda a, desk: done(a) and desk.ask("futures_v1_get_fee_burn") == {"feeBurn": True}, feeBurn="true"),
    "futures_leverage_bracket": case(lambda a: a[0]["brackets"][0]["initialLeverage"] == 150, symbol=BTC),
    "futures_commission_rate": case(
        lambda a: (a["makerCommissionRate"], a["takerCommissionRate"]) == ("0.0002", "0.0005"), symbol=BTC),
    "futures_income_history": case(_is_income, _paid),
    "futures_adl_quantile_estimate": case(one(has("symbol", "adlQuantile")), lambda desk: of(desk.bought(), "symbol")),
    "futures_api_trading_status": case(has("indicators", "updateTime")),
    "futures_v1_get_pm_account_info": case(has("maxWithdrawAmountUSD", "asset", "maxWithdrawAmount"), asset="USDT"),
    # listen keys
    "futures_stream_get_listen_key": case(
        lambda a, desk: len(a) == 64 and desk.ask("futures_stream_get_listen_key") == a),
    "futures_stream_keepalive": case(has("listenKey"),
                                     lambda desk: {"listenKey": desk.ask("futures_stream_get_listen_key")}),
    "futures_stream_close": case(lambda a: a == {},
                                 lambda desk: {"listenKey": desk.ask("futures_stream_get_listen_key")}),
}  # fmt: skip

SPOT = "a call of the spot and margin account (sapi), which is no part of a futures exchange"
ARCHIVES = "orders an archive to be made and sent; there are no archives here"
CONVERT = "converts coins; there is no such market here"
SINGULAR = "the client's path lacks an s: /batchOrder is no path of the exchange either"
NOT_SERVED = {
    **dict.fromkeys((
        "futures_account_transfer", "futures_historical_data_link", "futures_loan_borrow_history",
        "futures_loan_repay_history", "futures_loan_wallet", "futures_loan_interest_history",
        "futures_cross_collateral_adjust_history", "futures_cross_collateral_liquidation_history",
    ), SPOT),
    **{f"futures_v1_get_{what}_asyn{end}": ARCHIVES for what in ("income", "order", "trade") for end in ("", "_id")},
    **dict.fromkeys((
        "futures_v1_get_convert_exchange_info", "futures_v1_get_convert_order_status",
        "futures_v1_post_convert_accept_quote", "futures_v1_post_convert_get_quote",
    ), CONVERT),
    **{f"futures_v1_{method}_batch_order": SINGULAR for method in ("delete", "post", "put")},
}  # fmt: skip
COIN = "futures_coin_"  # another exchange: margined in coins

WS_CALLS: dict[str, Case] = {
    "ws_futures_get_order_book": case(BOOK, symbol=BTC, limit=5),
    "ws_futures_get_all_tickers": case(lambda a: len(a) == 2 and PRICED(a)),
    "ws_futures_get_order_book_ticker": case(has("bidPrice", "askPrice"), symbol=BTC),
    "ws_futures_create_order": case(placed(status="NEW"), limit),
    "ws_futures_edit_order": case(placed(origQty="0.020"), lambda desk: _amended(desk, "change")),
    "ws_futures_cancel_order": case(placed(status="CANCELED"), lambda desk: of(desk.resting())),
    "ws_futures_get_order": case(QUERIED, lambda desk: of(desk.resting())),
    "ws_futures_v2_account_position": case(one(lambda row: row["positionAmt"] == "0.010" and "leverage" not in row),
                                           lambda desk: of(desk.bought(), "symbol")),
    "ws_futures_account_position": case(one(lambda row: row["leverage"] == "20"), symbol=BTC),
    "ws_futures_v2_account_balance": case(one(has("accountAlias", "balance"))),
    "ws_futures_account_balance": case(one(has("accountAlias", "balance"))),
    "ws_futures_v2_account_status": case(lambda a: "feeTier" not in a and a["positions"] == []),
    "ws_futures_account_status": case(lambda a: a["feeTier"] == 0 and len(a["positions"]) == 2),
    "ws_futures_create_algo_order": case(conditional(orderType="STOP_MARKET"), lambda desk: {
        "algoType": "CONDITIONAL", "triggerPrice": desk.price(0.8), **stop(desk)}),
    "ws_futures_cancel_algo_order": case(done, lambda desk: of(desk.waiting(), "algoId")),
}  # fmt: skip


def names_of(*kinds: type) -> set[str]:
    """Return the calls of the USDT-margined futures that clients have."""
    return {name for kind in kinds for name in dir(kind) if name.startswith("futures_") and not name.startswith(COIN)}


def paths_of(kind: type, name: str) -> set[tuple[str, str]]:
    """Return the (method, path) that a call of a client may go to, as its source says."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(getattr(kind, name))))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in ("_request_futures_api", "_request_futures_data_api"):
            continue
        method, path = (ast.literal_eval(one) for one in node.args[:2])
        named = {one.arg: one.value for one in node.keywords}
        version = ast.literal_eval(named.get("version") or (node.args[3] if len(node.args) > 3 else ast.Constant(1)))
        base = f"/fapi/v{version}" if node.func.attr == "_request_futures_api" else "/futures/data"
        found.add((method.upper(), f"{base}/{path}"))
    return found


PAIRS = [(kind, name) for kind, of_kind in zip(KINDS, (Client, AsyncClient), strict=True)
         for name in CALLS if hasattr(of_kind, name)]  # fmt: skip


@pytest.fixture(scope="module")
def home() -> Iterator[World]:
    # An account a test: what one does to its account is no business of another.
    accounts = [f"{kind}-{name}" for kind in KINDS for name in (*CALLS, *WS_CALLS, "other")]
    limits = {"weight_limit": 10**7, "order_limit": 10**7}
    with World(*(setup(name) for name in accounts), lively=True, **limits) as opened, told(opened.port):
        until(lambda: opened.do(lambda: opened.server.market.klines("mark", 0, "1m")))  # sampled every second
        yield opened


@pytest.fixture
def desk(home: World, request: pytest.FixtureRequest) -> Iterator[Desk]:
    kind, name = getattr(request, "param", ("sync", "other"))
    opened = Desk(home, kind, f"{kind}-{name}")
    yield opened
    opened.close()


def test_the_table_covers_every_call_that_the_exchange_serves():
    served = {name for kind in (Client, AsyncClient) for name in names_of(kind) if paths_of(kind, name) & set(ROUTES)}
    composed = {"futures_historical_klines", "futures_historical_klines_generator",
                "futures_historical_mark_price_klines"}  # fmt: skip
    assert set(CALLS) == served | composed
    assert set(NOT_SERVED) == names_of(Client, AsyncClient) - set(CALLS)
    assert set(WS_CALLS) == {name for name in dir(AsyncClient) if name.startswith("ws_futures_")}


@pytest.mark.parametrize("desk, name", [((kind, name), name) for kind, name in PAIRS], indirect=["desk"],
                         ids=[f"{kind} {name}" for kind, name in PAIRS])  # fmt: skip
def test_a_call_is_answered(desk: Desk, name: str):
    wanted = CALLS[name]
    answer = desk.ask(name, **wanted.args(desk))
    assert wanted.holds(answer, desk), answer


WS_PAIRS = [(kind, name) for kind in KINDS for name in WS_CALLS]


@pytest.mark.parametrize("desk, name", [((kind, name), name) for kind, name in WS_PAIRS], indirect=["desk"],
                         ids=[f"{kind} {name}" for kind, name in WS_PAIRS])  # fmt: skip
def test_a_call_over_the_request_socket_is_answered(desk: Desk, name: str):
    wanted = WS_CALLS[name]
    answer = desk.ask(name, **wanted.args(desk))
    assert wanted.holds(answer, desk), answer


# ---------------------------------------------------------------------- what is refused


def _closed_out(desk: Desk) -> dict[str, Any]:
    return market(desk, side="SELL", reduceOnly="true")


# what is asked, with what, and the exchange's code
REFUSED: dict[str, tuple[str, Callable[[Desk], dict[str, Any]], int]] = {
    "a symbol that there is not": ("futures_order_book", lambda desk: {"symbol": "NOCOINUSDT"}, -1121),
    "a depth that there is not": ("futures_order_book", lambda desk: {"symbol": BTC, "limit": 3}, -4021),
    "a parameter that lacks": ("futures_klines", lambda desk: {"symbol": BTC}, -1102),
    "a price off its decimals": ("futures_create_order", lambda desk: limit(desk, price="50000.123"), -1111),
    "a price off its tick": ("futures_create_order", lambda desk: limit(desk, price="45000.05"), -4014),
    "a price beyond the band": ("futures_create_order", lambda desk: limit(desk, price=desk.price(1.2)), -4016),
    "an order too small": ("futures_create_order", lambda desk: limit(desk, quantity="0.001"), -4164),
    "an order too large": ("futures_create_order", lambda desk: limit(desk, quantity="10"), -2019),
    "an exit without a position": ("futures_create_order", _closed_out, -2022),
    "a post-only order that crosses": (
        "futures_create_order", lambda desk: limit(desk, timeInForce="GTX", price=desk.price(1.02)), -5022),
    "an order that cannot be filled": (
        "futures_create_order", lambda desk: limit(desk, timeInForce="FOK"), -5021),
    "a stop that the price has passed": (
        "futures_create_order", lambda desk: stop(desk, stopPrice=desk.price(1.02)), -2021),
    "a conditional order as an ordinary one": (
        "futures_create_test_order", lambda desk: {**stop(desk), "type": "STOP"}, -4120),
    "an order that there is not": ("futures_get_order", lambda desk: {"symbol": BTC, "orderId": 1}, -2013),
    "to cancel what there is not": ("futures_cancel_order", lambda desk: {"symbol": BTC, "orderId": 1}, -2011),
    "a client id twice": (
        "futures_create_order",
        lambda desk: desk.resting(newClientOrderId="twice") and limit(desk, newClientOrderId="twice"), -4116),
    "the margin type that is set": (
        "futures_change_margin_type", lambda desk: {"symbol": BTC, "marginType": "CROSSED"}, -4046),
    "the position mode that is set": (
        "futures_change_position_mode", lambda desk: {"dualSidePosition": "false"}, -4059),
    "the asset mode that is set": (
        "futures_change_multi_assets_mode", lambda desk: {"multiAssetsMargin": False}, -4171),
    "a leverage too high": ("futures_change_leverage", lambda desk: {"symbol": BTC, "leverage": 200}, -4028),
    "too long a window": ("futures_account_trades", lambda desk: {"symbol": BTC, "recvWindow": 1, "startTime": 1,
                                                                  "endTime": 10**12}, -1127),
}  # fmt: skip
WS_REFUSED: dict[str, tuple[str, Callable[[Desk], dict[str, Any]], int]] = {
    "a symbol that there is not": ("ws_futures_get_order_book", lambda desk: {"symbol": "NOCOINUSDT"}, -1121),
    "an order too small": ("ws_futures_create_order", lambda desk: limit(desk, quantity="0.001"), -4164),
    "to cancel what there is not": ("ws_futures_cancel_order", lambda desk: {"symbol": BTC, "orderId": 1}, -2011),
    "an order that there is not": ("ws_futures_get_order", lambda desk: {"symbol": BTC, "orderId": 1}, -2013),
}  # fmt: skip


@pytest.mark.parametrize("desk", [(kind, "other") for kind in KINDS], indirect=True, ids=KINDS)
@pytest.mark.parametrize("what", [*REFUSED, *(f"over the socket {what}" for what in WS_REFUSED)])
def test_a_refusal_comes_as_the_clients_exception_with_the_exchanges_code(desk: Desk, what: str):
    over_socket = what.removeprefix("over the socket ")
    name, args, code = WS_REFUSED[over_socket] if over_socket != what else REFUSED[what]
    asked = args(desk)
    with pytest.raises(BinanceAPIException) as refused:
        desk.ask(name, **asked)
    assert refused.value.code == code, refused.value
    assert refused.value.status_code == 400
    desk.ask("futures_cancel_all_open_orders", symbol=BTC)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "key, secret, code, status",
    [("", "x", -2014, 401), ("nobody", "x", -2015, 401), ("sync-other-key", "another", -1022, 400)],
)
def test_a_key_that_does_not_fit_is_refused(home: World, kind: str, key: str, secret: str, code: int, status: int):
    opened = Desk(home, kind, "sync-other")
    opened.client.session.headers["X-MBX-APIKEY"] = key
    opened.client.API_SECRET = secret
    with pytest.raises(BinanceAPIException) as refused:
        opened.ask("futures_account_balance")
    assert (refused.value.code, refused.value.status_code) == (code, status)
    opened.close()


# ---------------------------------------------------------------------- sockets


@asynccontextmanager
async def manager(name: str, **given: Any) -> AsyncIterator[tuple[AsyncClient, BinanceSocketManager]]:
    """Open an asynchronous client and its sockets."""
    client = await AsyncClient.create(f"{name}-key", f"{name}-secret")
    try:
        yield client, BinanceSocketManager(client, **given)
    finally:
        await client.close_connection()


@asynccontextmanager
async def listening(socket: Any) -> AsyncIterator[Any]:
    """Open a socket; its own closing waits for a message, for so long."""
    socket.TIMEOUT = 0.2
    async with socket as opened:
        yield opened


async def heard(socket: Any, wanted: Callable[[Any], bool], seconds: float = 15.0) -> Any:
    """Return the first message that is wanted."""
    async with asyncio.timeout(seconds):
        while True:
            message = await socket.recv()
            if wanted(message):
                return message


FAMILIES = {
    "public": {
        "btcusdt@depth@100ms": "depthUpdate", "btcusdt@depth20@500ms": "depthUpdate", "btcusdt@trade": "trade",
        "ethusdt@rpiDepth@500ms": "depthUpdate", "btcusdt@bookTicker": "bookTicker",
    },
    "market": {
        "btcusdt@aggTrade": "aggTrade", "btcusdt@markPrice@1s": "markPriceUpdate", "btcusdt@kline_1m": "kline",
        "btcusdt_perpetual@continuousKline_5m": "continuous_kline", "ethusdt@miniTicker": "24hrMiniTicker",
        "btcusdt@ticker": "24hrTicker",
    },
}  # fmt: skip


@pytest.mark.parametrize("category", FAMILIES)
def test_a_multiplexed_socket_brings_the_streams_of_its_route(home: World, category: str):
    async def story() -> dict[str, str]:
        found: dict[str, str] = {}
        others = [name for other in FAMILIES.values() for name in other if name not in FAMILIES[category]]
        async with manager("async-other") as (client, sockets):
            one = sockets.futures_multiplex_socket([*FAMILIES[category], *others], category=category)
            async with listening(one) as socket:
                await asyncio.gather(
                    *(client.futures_create_order(symbol=BTC, side=side, type="MARKET", quantity="0.010")
                      for side in ("BUY", "SELL")),
                )  # fmt: skip
                while found.keys() < FAMILIES[category].keys():
                    message = await heard(socket, lambda message: "stream" in message)
                    found[message["stream"]] = message["data"]["e"]
        return found

    assert asyncio.run(story()) == FAMILIES[category]


SOCKETS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "kline_futures_socket": ({"symbol": BTC}, lambda m: m["e"] == "continuous_kline" and m["ps"] == BTC),
    "aggtrade_futures_socket": ({"symbol": BTC}, lambda m: m["data"]["e"] == "aggTrade"),
    "symbol_mark_price_socket": ({"symbol": BTC}, lambda m: m["data"]["e"] == "markPriceUpdate"),
    "all_mark_price_socket": ({}, lambda m: {row["s"] for row in m["data"]} == {BTC, ETH}),
    "symbol_ticker_futures_socket": ({"symbol": BTC}, lambda m: m["data"]["e"] == "bookTicker"),
    "individual_symbol_ticker_futures_socket": ({"symbol": BTC}, lambda m: m["data"]["e"] == "24hrTicker"),
    "futures_ticker_socket": ({}, lambda m: m["data"][0]["e"] == "24hrTicker"),
    "all_ticker_futures_socket": ({}, lambda m: m["data"]["e"] == "bookTicker"),
    "futures_depth_socket": ({"symbol": BTC}, lambda m: len(m["data"]["b"]) == len(m["data"]["a"]) == 10),
    "futures_rpi_depth_socket": ({"symbol": BTC}, lambda m: m["data"]["e"] == "depthUpdate"),
}  # fmt: skip


def test_every_futures_socket_of_the_client_hears_its_stream(home: World):
    async def one(sockets: BinanceSocketManager, name: str) -> Any:
        args, wanted = SOCKETS[name]
        async with listening(getattr(sockets, name)(**args)) as socket:
            return await heard(socket, wanted)

    async def story() -> None:
        async with manager("async-other") as (client, sockets):
            told = [asyncio.create_task(one(sockets, name)) for name in SOCKETS]
            while not all(task.done() for task in told):
                await client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.002")
                await client.futures_create_order(symbol=BTC, side="SELL", type="MARKET", quantity="0.002")
                await asyncio.wait(told, timeout=0.2)
            for task in told:
                task.result()

    asyncio.run(story())


def test_the_clients_depth_cache_follows_the_book(home: World):
    async def story() -> Any:
        async with manager("async-other") as (client, _):
            cache = FuturesDepthCacheManager(client, BTC)
            async with listening(cache) as opened:
                return await asyncio.wait_for(opened.recv(), 10)

    book = asyncio.run(story())
    assert len(book.get_bids()) == len(book.get_asks()) == 10
    assert book.get_bids()[0][0] < book.get_asks()[0][0]


def _word(event: dict[str, Any]) -> str:
    kind = event["e"]
    if kind == "ORDER_TRADE_UPDATE":
        return f"{event['o']['x']} {event['o']['X']}"
    if kind == "ALGO_UPDATE":
        return f"algo {event['o']['X']}"
    return f"account {event['a']['m']}" if kind == "ACCOUNT_UPDATE" else kind


def test_a_users_socket_tells_the_life_of_orders(home: World):
    async def story() -> list[list[str]]:
        told: list[list[str]] = []
        async with manager("async-other") as (client, sockets), listening(sockets.futures_user_socket()) as socket:

            async def until_told(last: str) -> list[str]:
                words = []
                while not words or words[-1] != last:
                    words.append(_word(await heard(socket, lambda message: message["e"] != "listenKeyExpired")))
                return words

            mark = float((await client.futures_mark_price(symbol=BTC))["markPrice"])
            low = f"{mark * 0.9:.1f}"
            order = await client.futures_create_order(
                symbol=BTC, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=low
            )
            told.append(await until_told("NEW NEW"))
            await client.futures_modify_order(
                symbol=BTC, orderId=order["orderId"], side="BUY", quantity="0.020", price=low
            )
            told.append(await until_told("AMENDMENT NEW"))
            await client.futures_cancel_order(symbol=BTC, orderId=order["orderId"])
            told.append(await until_told("CANCELED CANCELED"))
            await client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.002")
            told.append(await until_told("TRADE FILLED"))
            algo = await client.futures_create_order(
                symbol=BTC, side="SELL", type="STOP_MARKET", stopPrice=low, closePosition="true"
            )
            told.append(await until_told("algo NEW"))
            await client.futures_cancel_order(symbol=BTC, algoId=algo["algoId"])
            told.append(await until_told("algo CANCELED"))
            await client.futures_change_leverage(symbol=ETH, leverage=7)
            told.append(await until_told("ACCOUNT_CONFIG_UPDATE"))
        return told

    told = asyncio.run(story())
    traded = told.pop(3)
    assert told == [
        ["NEW NEW"], ["AMENDMENT NEW"], ["CANCELED CANCELED"], ["algo NEW"], ["algo CANCELED"],
        ["ACCOUNT_CONFIG_UPDATE"],
    ]  # fmt: skip
    assert traded[0] == "NEW NEW" and set(traded[1:]) == {"TRADE_LITE", "account ORDER", "TRADE FILLED"}


def _calls(home: World, name: str) -> int:
    return home.do(lambda: home.server.reception.usage.calls[name])


def test_a_users_socket_is_kept_alive_by_the_same_key_and_then_put(home: World):
    before = [_calls(home, f"{method} /fapi/v1/listenKey") for method in ("POST", "PUT")]

    async def story() -> None:
        kept = manager("async-other", user_timeout=0.05)
        async with kept as (_, sockets), listening(sockets.futures_user_socket()) as socket:
            key, wire = socket._listen_key, socket.ws
            while _calls(home, "PUT /fapi/v1/listenKey") < before[1] + 3:
                await asyncio.sleep(0.01)
            assert (socket._listen_key, socket.ws) == (key, wire)

    asyncio.run(asyncio.wait_for(story(), 15))
    after = [_calls(home, f"{method} /fapi/v1/listenKey") for method in ("POST", "PUT")]
    assert after[0] - before[0] >= 4


def test_a_key_that_has_expired_is_told_and_replaced(home: World):
    async def story() -> tuple[str, dict[str, Any], str, str]:
        kept = manager("async-futures_ping", user_timeout=0.5)
        async with kept as (client, sockets), listening(sockets.futures_user_socket()) as socket:
            old = socket._listen_key
            home.fault("expire_key", account="async-futures_ping")
            told = await heard(socket, lambda message: message["e"] == "listenKeyExpired")
            while socket._listen_key == old or _listeners(home, socket._listen_key) == 0:
                await asyncio.sleep(0.02)
            await client.futures_change_leverage(symbol=BTC, leverage=7)
            again = await heard(socket, lambda message: message["e"] == "ACCOUNT_CONFIG_UPDATE")
            return old, told, socket._listen_key, again["ac"]["s"]

    old, told, new, symbol = asyncio.run(asyncio.wait_for(story(), 30))
    assert told["listenKey"] == old != new
    assert symbol == BTC


def _listeners(home: World, key: str) -> int:
    return home.do(lambda: sum(key in socket.names for socket in home.server.hub.sockets))


@pytest.mark.slow
def test_a_socket_that_the_server_closes_is_opened_again_and_goes_on(home: World):
    async def story() -> None:
        async with manager("async-other") as (client, sockets):
            user, trades = sockets.futures_user_socket(), sockets.aggtrade_futures_socket(BTC)
            async with listening(user), listening(trades):
                names = {user._listen_key, "btcusdt@aggTrade"}
                for code in (1001, 1008):
                    home.do(lambda code=code: [
                        one.kick(code, "") for one in list(home.server.hub.sockets) if names & one.names.keys()
                    ])  # fmt: skip
                    for socket in (user, trades):
                        await heard(socket, lambda message: message.get("e") == "error")
                    while not all(_listeners(home, name) for name in names):
                        await asyncio.sleep(0.02)
                    await client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.002")
                    await heard(user, lambda message: message["e"] == "TRADE_LITE")
                    await heard(trades, lambda message: "data" in message)

    asyncio.run(asyncio.wait_for(story(), 60))


# ---------------------------------------------------------------------- TLS


def test_everything_goes_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Every library of the client's has its own way to be told whom to trust.
    files = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(files[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
    with World(setup("alice"), lively=True, tls=files) as home, told(home.port, "s"):
        blocking = Client("alice-key", "alice-secret")
        assert [row["asset"] for row in blocking.futures_account_balance()] == ["USDT"]

        async def story() -> None:
            session = {"connector": aiohttp.TCPConnector(ssl=trust)}
            client = await AsyncClient.create("alice-key", "alice-secret", session_params=session)
            sockets = BinanceSocketManager(client)
            async with listening(sockets.futures_user_socket()) as socket:
                order = await client.ws_futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
                found = await heard(socket, lambda message: message["e"] == "ORDER_TRADE_UPDATE")
                assert found["o"]["i"] == order["orderId"]
            await client.ws_future.ws.close()
            await client.close_connection()

        asyncio.run(asyncio.wait_for(story(), 20))
