"""The exchange's calls: which there are, what each weighs, who may make it, and what it answers.

Knows every path of the request API as a table. Refuses to know sockets and the bytes of HTTP: `server` brings requests
here and takes answers away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from autotrader.adapters.loopback import positions
from autotrader.adapters.loopback.clock import Clock
from autotrader.adapters.loopback.codes import Refusal, refusal
from autotrader.adapters.loopback.ledger import DAY_MS
from autotrader.adapters.loopback.limits import Limits
from autotrader.adapters.loopback.listen_keys import ListenKeys
from autotrader.adapters.loopback.market import Market
from autotrader.adapters.loopback.orders import POSITION_SIDES, SIDES, TYPES, Algo, Asked, Order
from autotrader.adapters.loopback.params import Params, algo_order, amendment, generated_id, new_order, text_of
from autotrader.adapters.loopback.setup import PERMISSIONS
from autotrader.adapters.loopback.symbols import COINS, Symbol, money, trimmed
from autotrader.adapters.loopback.text import decimal, plain
from autotrader.adapters.loopback.venue import Venue
from core_ext.types import Setting

__all__ = ["ROUTES", "Api", "Call", "Route"]

DONE = {"code": 200, "msg": "success"}
CANCELED_ALL = {"code": 200, "msg": "The operation of cancel all open order is done."}
WEEK_MS, KEPT_MS = 7 * DAY_MS, 90 * DAY_MS
INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
DEPTHS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
NONE, KEY, SIGNED = range(3)
_ORDER_ID = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True)
class Call:
    """One call: what is asked, by whom, when."""

    params: Params
    account: int
    now: int
    now_ms: int


Handler = Callable[["Api", Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """A call of the request API.

    Attributes
    ----------
    handler : callable
    weight : int or callable
        Of the address; a callable takes the parameters.
    security : int
        NONE, KEY or SIGNED.
    orders : (int, int)
        What it counts towards the order limits of ten seconds and a minute.
    pool : str
        "" for the weight, "funding" or "data" for a pool of its own.
    """

    handler: Handler
    weight: int | Callable[[Params], int] = 1
    security: int = NONE
    orders: tuple[int, int] = (0, 0)
    pool: Literal["", "funding", "data"] = ""

    def weighs(self, params: Params) -> int:
        """Return the weight of a call."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


ROUTES: dict[tuple[str, str], Route] = {}


def _route(
    method: str, path: str, weight: int | Callable[[Params], int] = 1, security: int = NONE,
    orders: tuple[int, int] = (0, 0), pool: Literal["", "funding", "data"] = "",
) -> Callable[[Handler], Handler]:  # fmt: skip
    def take(handler: Handler) -> Handler:
        ROUTES[method, path] = Route(handler, weight, security, orders, pool)
        return handler

    return take


def _with_symbol(one: int, all_: int) -> Callable[[Params], int]:
    return lambda params: one if params.text("symbol") else all_


def _by_limit(params: Params) -> int:
    limit = params.integer("limit", 500)
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


class Api:
    """The request API over one venue.

    Parameters
    ----------
    venue : Venue
    market : Market
    clock : Clock
    limits : Limits
    keys : ListenKeys
    permissions : sequence of frozenset of str
        What the key of each account may do.
    fee_tier : int
    before_2026_06 : bool
        Whether answers to orders still hold averages, as they did.
    """

    def __init__(
        self, venue: Venue, market: Market, clock: Clock, limits: Limits, keys: ListenKeys,
        permissions: Sequence[frozenset[str]], fee_tier: int = 0, before_2026_06: bool = False,
    ):  # fmt: skip
        self.venue = venue
        self.market = market
        self.clock = clock
        self.limits = limits
        self.keys = keys
        self.permissions = permissions
        self.fee_tier = fee_tier
        self.before_2026_06 = before_2026_06
        self._symbols = {symbol.name: symbol for symbol in venue.symbols}
        self._ids = 0

    def call(self, route: Route, params: Mapping[str, str], account: int, now: int) -> Any:
        """Carry out a call whose sender has been let in.

        Raises
        ------
        Refusal
        """
        return route.handler(self, Call(Params(params), account, now, now // 1_000_000))

    def symbol(self, params: Params) -> Symbol:
        """Return the symbol that must be named.

        Raises
        ------
        Refusal
            -1102, -1121.
        """
        name = params.need("symbol")
        if name not in self._symbols:
            raise refusal(-1121)
        return self._symbols[name]

    def optional(self, params: Params) -> Symbol | None:
        """Return the symbol that may be named."""
        return self.symbol(params) if params.text("symbol") else None

    def pair(self, params: Params) -> Symbol:
        """Return the symbol of a pair that must be named."""
        name = params.need("pair")
        if name not in self._symbols:
            raise refusal(-1121)
        return self._symbols[name]

    def new_id(self, account: int) -> str:
        """Return a client id for an order that was sent without one."""
        self._ids += 1
        return generated_id(account, self._ids)

    def answer_order(self, order: Order, params: Params) -> dict[str, Any]:
        """Return the answer to an order, as the client wants it."""
        if params.text("newOrderRespType", "ACK") == "ACK":
            return order.acknowledged(self.before_2026_06)
        return order.answered(self.before_2026_06)


# ---------------------------------------------------------------------- general


@_route("GET", "/fapi/v1/ping")
@_route("GET", "/api/v3/ping")
def _ping(api: Api, call: Call) -> Any:
    return {}


@_route("GET", "/fapi/v1/time")
@_route("GET", "/api/v3/time")
def _time(api: Api, call: Call) -> Any:
    return {"serverTime": call.now_ms}


@_route("GET", "/sapi/v1/capital/config/getall")
def _coins(api: Api, call: Call) -> Any:
    return []


@_route("GET", "/sapi/v1/account/apiRestrictions", security=SIGNED)
def _restrictions(api: Api, call: Call) -> Any:
    granted = api.permissions[call.account]
    return {"createTime": api.clock.start_ns // 1_000_000} | {name: name in granted for name in PERMISSIONS}


@_route("GET", "/fapi/v1/exchangeInfo")
def _exchange_info(api: Api, call: Call) -> Any:
    limits = [
        {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": api.limits.weight_per_minute,
        },
        *reversed(api.limits.order_limits()),
    ]
    assets = [{"asset": name, "marginAvailable": True, "autoAssetExchange": "0"} for name in COINS]
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": limits,
        "exchangeFilters": [],
        "assets": assets,
        "symbols": [_symbol_info(api, symbol) for symbol in api.venue.symbols],
    }


def _symbol_info(api: Api, symbol: Symbol) -> dict[str, Any]:
    spec = api.venue.exchange.instruments.spec(symbol.index)
    step = plain(spec["lot_step"] * symbol.lot_e8)
    return {
        "symbol": symbol.name,
        "pair": symbol.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": symbol.onboard_ms,
        "status": api.venue.statuses[symbol.index],
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base,
        "quoteAsset": symbol.quote,
        "marginAsset": symbol.quote,
        "pricePrecision": symbol.price_decimals,
        "quantityPrecision": symbol.lot_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": decimal(spec["take_bound_e8"] // 10_000, 4),
        "liquidationFee": decimal(spec["liquidation_fee_e8"] // 100, 6),
        "marketTakeBound": plain(spec["take_bound_e8"]),
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": plain(spec["min_ticks"] * symbol.tick_e8),
                "maxPrice": plain(spec["max_ticks"] * symbol.tick_e8),
                "tickSize": symbol.price(spec["tick_step"]),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": plain(spec["min_lots"] * symbol.lot_e8),
                "maxQty": plain(spec["max_lots"] * symbol.lot_e8),
                "stepSize": step,
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": plain(spec["min_lots"] * symbol.lot_e8),
                "maxQty": plain(spec["max_market_lots"] * symbol.lot_e8),
                "stepSize": step,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": spec["max_orders"]},
            {"filterType": "MIN_NOTIONAL", "notional": plain(spec["min_notional_e8"])},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": decimal(spec["up_e8"] // 10_000, 4),
                "multiplierDown": decimal(spec["down_e8"] // 10_000, 4),
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": list(TYPES),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }


# ---------------------------------------------------------------------- market data


@_route("GET", "/fapi/v1/depth", lambda params: DEPTHS.get(params.integer("limit", 500), 20))
def _depth(api: Api, call: Call) -> Any:
    symbol, limit = api.symbol(call.params), call.params.integer("limit", 500)
    if limit > 1000:
        raise refusal(-1130, "limit")
    if limit not in DEPTHS:
        raise refusal(-4021, limit)
    return api.market.depth(symbol.index, limit)


@_route("GET", "/fapi/v1/rpiDepth", 20)
def _rpi_depth(api: Api, call: Call) -> Any:
    return api.market.rpi_depth(api.symbol(call.params).index, 1000)


@_route("GET", "/fapi/v1/trades", 5)
def _trades(api: Api, call: Call) -> Any:
    return api.market.trades(api.symbol(call.params).index, call.params.integer("limit", 500, 1, 1000))


@_route("GET", "/fapi/v1/historicalTrades", 200, KEY)
def _historical_trades(api: Api, call: Call) -> Any:
    first = call.params.integer("fromId", -1) if call.params.text("fromId") else None
    limit = call.params.integer("limit", 100, 1, 500)
    return api.market.historical_trades(api.symbol(call.params).index, first, limit)


@_route("GET", "/fapi/v1/aggTrades", 20)
def _agg_trades(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.symbol(call.params), call.params.window(3_600_000)
    first = call.params.integer("fromId") if call.params.text("fromId") else None
    if first is not None and (start or end):
        raise refusal(-1128)
    limit = call.params.integer("limit", 500, 1, 1000)
    return api.market.agg_trades(symbol.index, first, start or None, end or None, limit)


def _klines(kind: str, pair: bool) -> Handler:
    def answer(api: Api, call: Call) -> Any:
        symbol = api.pair(call.params) if pair else api.symbol(call.params)
        if kind == "continuous":
            call.params.choice("contractType", ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"), -1130)
        interval = INTERVALS[call.params.choice("interval", INTERVALS, -1120)]
        start, end = call.params.window(10**18)
        limit = call.params.integer("limit", 500, 1, 1500)
        return api.market.klines(kind, symbol.index, interval, start or None, end or None, limit)

    return answer


for _kind, _path, _of_pair in (
    ("klines", "klines", False),
    ("continuous", "continuousKlines", True),
    ("index", "indexPriceKlines", True),
    ("mark", "markPriceKlines", False),
    ("premium", "premiumIndexKlines", False),
):
    _route("GET", f"/fapi/v1/{_path}", _by_limit)(_klines(_kind, _of_pair))


def _of_one_or_all(path: str, answer: Callable[[Market, int | None], Any], one: int, all_: int) -> None:
    def handler(api: Api, call: Call) -> Any:
        symbol = api.optional(call.params)
        return answer(api.market, None if symbol is None else symbol.index)

    _route("GET", path, _with_symbol(one, all_))(handler)


_of_one_or_all("/fapi/v1/premiumIndex", lambda market, symbol: market.premium_index(symbol), 1, 10)
_of_one_or_all("/fapi/v1/ticker/24hr", lambda market, symbol: market.ticker_24h(symbol), 1, 40)
_of_one_or_all("/fapi/v1/ticker/price", lambda market, symbol: market.ticker_price(symbol), 1, 2)
_of_one_or_all("/fapi/v2/ticker/price", lambda market, symbol: market.ticker_price(symbol), 1, 2)
_of_one_or_all("/fapi/v1/ticker/bookTicker", lambda market, symbol: market.book_ticker(symbol), 2, 5)
_of_one_or_all("/fapi/v1/symbolAdlRisk", lambda market, symbol: market.symbol_adl_risk(symbol), 1, 1)
_of_one_or_all("/fapi/v1/insuranceBalance", lambda market, symbol: market.insurance_balance(symbol), 1, 1)


@_route("GET", "/fapi/v1/fundingRate", 0, pool="funding")
def _funding_rate(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.optional(call.params), call.params.window(10**18)
    limit = call.params.integer("limit", 100, 1, 1000)
    return api.market.funding_rate(symbol.index if symbol else None, start or None, end or None, limit)


@_route("GET", "/fapi/v1/fundingInfo", 0, pool="funding")
def _funding_info(api: Api, call: Call) -> Any:
    rows = api.market.funding_info()
    return [row | {"fundingIntervalHours": api.venue.funding_hours(k)} for k, row in enumerate(rows)]


@_route("GET", "/fapi/v1/openInterest")
def _open_interest(api: Api, call: Call) -> Any:
    return api.market.open_interest(api.symbol(call.params).index)


@_route("GET", "/fapi/v1/constituents", 2)
def _constituents(api: Api, call: Call) -> Any:
    return api.market.constituents(api.symbol(call.params).index)


@_route("GET", "/fapi/v1/indexInfo")
def _index_info(api: Api, call: Call) -> Any:
    return api.market.index_info()


@_route("GET", "/fapi/v1/assetIndex", _with_symbol(1, 10))
def _asset_index(api: Api, call: Call) -> Any:
    return api.market.asset_index(call.params.text("symbol") or None)


@_route("GET", "/fapi/v1/tradingSchedule", 5)
def _trading_schedule(api: Api, call: Call) -> Any:
    return api.market.trading_schedule()


Statistic = Callable[[Market, int, str, int | None, int | None, int], Any]


def _statistic(path: str, answer: Statistic, pair: bool = False) -> None:
    def handler(api: Api, call: Call) -> Any:
        symbol = api.pair(call.params) if pair else api.symbol(call.params)
        period = PERIODS[call.params.choice("period", PERIODS, -1130)]
        start, end = call.params.window(30 * DAY_MS)
        limit = call.params.integer("limit", 30, 1, 500)
        return answer(api.market, symbol.index, period, start or None, end or None, limit)

    _route("GET", f"/futures/data/{path}", 0, pool="data")(handler)


def _of_longs(kind: str) -> Statistic:
    return lambda market, *asked: market.long_short_ratio(kind, *asked)


_statistic("openInterestHist", Market.open_interest_hist)
_statistic("takerlongshortRatio", Market.taker_ratio)
_statistic("basis", Market.basis, pair=True)
for _kind in ("topLongShortAccountRatio", "topLongShortPositionRatio", "globalLongShortAccountRatio"):
    _statistic(_kind, _of_longs(_kind))


@_route("GET", "/futures/data/delivery-price", 0, pool="data")
def _delivery(api: Api, call: Call) -> Any:
    return api.market.delivery()


# ---------------------------------------------------------------------- orders


@_route("POST", "/fapi/v1/order", 0, SIGNED, (1, 1))
def _place(api: Api, call: Call) -> Any:
    order = _placed(api, call, call.params)
    return api.answer_order(order, call.params)


def _placed(api: Api, call: Call, params: Params) -> Order:
    asked = new_order(params, api.symbol(params), api.new_id(call.account))
    order = api.venue.place(call.now, call.account, asked)
    assert isinstance(order, Order)
    return order


@_route("POST", "/fapi/v1/order/test", 0, SIGNED)
def _test(api: Api, call: Call) -> Any:
    asked = new_order(call.params, api.symbol(call.params), api.new_id(call.account))
    api.venue.judge(call.now, call.account, asked)
    return _as_if(asked, call.now_ms).answered(before_2026_06=True)


def _as_if(asked: Asked, now_ms: int) -> Order:
    return Order(
        asked.symbol, 0, 0, asked.client_id, 0, asked.side, asked.type, asked.tif, asked.lots, asked.ticks,
        asked.position_side, asked.reduce_only, now_ms, now_ms, asked.stp, asked.price_match, asked.good_till_ms,
    )  # fmt: skip


@_route("PUT", "/fapi/v1/order", 0, SIGNED, (1, 1))
def _modify(api: Api, call: Call) -> Any:
    return _modified(api, call, call.params)


def _modified(api: Api, call: Call, params: Params) -> dict[str, Any]:
    symbol = api.symbol(params)
    lots, ticks, match, modify_id = amendment(params, symbol)
    order = _named(api, call, params, symbol)
    if not order.open:
        raise refusal(-2013)
    if params.choice("side", SIDES, -1117) != order.side:
        raise refusal(-1117)
    return api.venue.amend(call.now, order, lots, ticks, match, modify_id).amended(api.before_2026_06)


def _named(api: Api, call: Call, params: Params, symbol: Symbol, code: int = -2013) -> Order:
    ids = params.integer("orderId")
    return api.venue.ledgers[call.account].find(
        symbol.index, str(ids) if ids else "", params.text("origClientOrderId"), call.now_ms, code
    )


@_route("DELETE", "/fapi/v1/order", 1, SIGNED)
def _cancel(api: Api, call: Call) -> Any:
    order = _named(api, call, call.params, api.symbol(call.params), -2011)
    api.venue.cancel(call.now, order)
    return order.answered(api.before_2026_06)


@_route("GET", "/fapi/v1/order", 1, SIGNED)
def _query(api: Api, call: Call) -> Any:
    return _named(api, call, call.params, api.symbol(call.params)).queried()


def _batch(call: Call, name: str, most: int) -> list[Params]:
    try:
        items = orjson.loads(call.params.need(name))
    except orjson.JSONDecodeError:
        raise refusal(-1130, name) from None
    if not isinstance(items, list) or not 0 < len(items) <= most:
        raise refusal(-4082)
    if not all(isinstance(item, dict) for item in items):
        raise refusal(-1130, name)
    return [Params({key: text_of(value) for key, value in item.items()}) for item in items]


def _each(answers: Sequence[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
    return [_or_refusal(answer) for answer in answers]


def _or_refusal(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return answer()
    except Refusal as refused:
        return refused.body


@_route("POST", "/fapi/v1/batchOrders", 5, SIGNED, (5, 1))
def _place_batch(api: Api, call: Call) -> Any:
    batch = _batch(call, "batchOrders", 5)
    return _each([lambda p=params: api.answer_order(_placed(api, call, p), p) for params in batch])  # type: ignore[misc]


@_route("PUT", "/fapi/v1/batchOrders", 5, SIGNED, (5, 1))
def _modify_batch(api: Api, call: Call) -> Any:
    batch = _batch(call, "batchOrders", 5)
    return _each([lambda p=params: _modified(api, call, p) for params in batch])  # type: ignore[misc]


@_route("DELETE", "/fapi/v1/batchOrders", 1, SIGNED)
def _cancel_batch(api: Api, call: Call) -> Any:
    symbol, params = api.symbol(call.params), call.params
    ids = _ids(params.text("orderIdList") or params.text("orderidlist"))
    names = _ids(params.text("origClientOrderIdList") or params.text("origclientorderidlist"))
    if bool(ids) == bool(names) or len(ids) + len(names) > 10:
        raise refusal(-1128)
    ledger = api.venue.ledgers[call.account]
    wanted = [(one, "") for one in ids] + [("", one) for one in names]

    def cancel(order_id: str, name: str) -> dict[str, Any]:
        if order_id and not _ORDER_ID.fullmatch(order_id):
            raise refusal(-1130, "orderIdList")
        order = ledger.find(symbol.index, order_id, name, call.now_ms, -2011)
        api.venue.cancel(call.now, order)
        return order.answered(api.before_2026_06)

    return _each([lambda one=one: cancel(*one) for one in wanted])  # type: ignore[misc]


def _ids(text: str) -> list[str]:
    try:
        found = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        raise refusal(-1130, "orderIdList") from None
    if not isinstance(found, list):
        raise refusal(-1130, "orderIdList")
    return [text_of(one) for one in found]


@_route("DELETE", "/fapi/v1/allOpenOrders", 1, SIGNED)
def _cancel_all(api: Api, call: Call) -> Any:
    api.venue.cancel_all(call.now, call.account, api.symbol(call.params).index)
    return CANCELED_ALL


@_route("POST", "/fapi/v1/countdownCancelAll", 10, SIGNED)
def _countdown(api: Api, call: Call) -> Any:
    symbol = api.symbol(call.params)
    call.params.need("countdownTime")
    countdown = call.params.integer("countdownTime", least=0)
    api.venue.countdown(call.now, call.account, symbol.index, countdown)
    return {"symbol": symbol.name, "countdownTime": str(countdown)}


@_route("GET", "/fapi/v1/openOrder", 1, SIGNED)
def _open_order(api: Api, call: Call) -> Any:
    order = _named(api, call, call.params, api.symbol(call.params))
    if not order.open:
        raise refusal(-2013)
    return order.queried()


@_route("GET", "/fapi/v1/openOrders", _with_symbol(1, 40), SIGNED)
def _open_orders(api: Api, call: Call) -> Any:
    symbol = api.optional(call.params)
    orders = api.venue.ledgers[call.account].open_orders.values()
    return [order.queried() for order in orders if symbol is None or order.symbol is symbol]


@_route("GET", "/fapi/v1/allOrders", 5, SIGNED)
def _all_orders(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.optional(call.params), call.params.window(WEEK_MS)
    first, limit = call.params.integer("orderId"), call.params.integer("limit", 500, 1, 1000)
    rows = [
        order
        for order in api.venue.ledgers[call.account].visible(call.now_ms)
        if (symbol is None or order.symbol is symbol)
        and order.handle
        and (order.order_id >= first if first else _inside(order.created_ms, start, end, call.now_ms))
    ]
    return [order.listed() for order in _page(rows, limit, bool(first or start))]


@_route("GET", "/fapi/v1/userTrades", 5, SIGNED)
def _user_trades(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.symbol(call.params), call.params.window(WEEK_MS)
    limit, order_id = call.params.integer("limit", 500, 1, 1000), call.params.integer("orderId")
    first = call.params.integer("fromId") if call.params.text("fromId") else None
    if first is not None and (start or end):
        raise refusal(-1128)
    rows = [
        trade
        for trade in api.venue.ledgers[call.account].trades
        if trade.order.symbol is symbol
        and (not order_id or trade.order.order_id == order_id)
        and trade.time_ms >= call.now_ms - KEPT_MS
        and (trade.trade_id >= first if first is not None else _inside(trade.time_ms, start, end, call.now_ms))
    ]
    return [trade.listed() for trade in _page(rows, limit, bool(first is not None or start))]


def _inside(stamp: int, start: int, end: int, now_ms: int) -> bool:
    # The exchange looks a week around the one bound that is given; without one, at the last week.
    start = start or (end or now_ms) - WEEK_MS
    return start <= stamp <= (end or start + WEEK_MS)


def _page(rows: list[Any], limit: int, from_the_start: bool) -> list[Any]:
    return rows[:limit] if from_the_start else rows[-limit:]


@_route("GET", "/fapi/v1/forceOrders", _with_symbol(20, 50), SIGNED)
def _force_orders(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.optional(call.params), call.params.window(WEEK_MS)
    limit, kind = call.params.integer("limit", 50, 1, 100), call.params.text("autoCloseType")
    prefixes = {"": ("autoclose", "adl_autoclose"), "LIQUIDATION": ("autoclose",), "ADL": ("adl_autoclose",)}.get(kind)
    if prefixes is None:
        raise refusal(-1130, "autoCloseType")
    rows = [
        order.forced()
        for order in api.venue.ledgers[call.account].forced
        if (symbol is None or order.symbol is symbol)
        and order.client_id.startswith(prefixes)
        and order.created_ms >= call.now_ms - KEPT_MS
        and _inside(order.created_ms, start, end, call.now_ms)
    ]
    return rows[-limit:]


@_route("GET", "/fapi/v1/orderAmendment", 1, SIGNED)
def _amendments(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.symbol(call.params), call.params.window(10**18)
    order_id, name = call.params.integer("orderId"), call.params.text("origClientOrderId")
    rows = [
        row
        for order in api.venue.ledgers[call.account].visible(call.now_ms)
        if order.symbol is symbol
        and (not order_id or order.order_id == order_id)
        and (not name or order.client_id == name)
        for row in order.amendments
        if (not start or row["time"] >= start) and (not end or row["time"] <= end)
    ]
    limit = call.params.integer("limit", 50, 1, 100)
    return sorted(rows, key=lambda row: -row["amendmentId"])[:limit]


@_route("GET", "/fapi/v1/rateLimit/order", 1, SIGNED)
def _order_limits(api: Api, call: Call) -> Any:
    return api.limits.order_limits()


# ---------------------------------------------------------------------- conditional orders


@_route("POST", "/fapi/v1/algoOrder", 0, SIGNED, (1, 1))
def _place_algo(api: Api, call: Call) -> Any:
    asked = algo_order(call.params, api.symbol(call.params), api.new_id(call.account))
    algo = api.venue.place(call.now, call.account, asked)
    assert isinstance(algo, Algo)
    return algo.placed()


def _named_algo(api: Api, call: Call, code: int) -> Algo:
    ids = call.params.integer("algoId")
    name = call.params.text("clientAlgoId")
    return api.venue.ledgers[call.account].find_algo(str(ids) if ids else "", name, call.now_ms, code)


@_route("DELETE", "/fapi/v1/algoOrder", 1, SIGNED)
def _cancel_algo(api: Api, call: Call) -> Any:
    algo = _named_algo(api, call, -2011)
    api.venue.cancel(call.now, algo)
    return {"algoId": algo.algo_id, "clientAlgoId": algo.asked.client_id, "code": "200", "msg": "success"}


@_route("GET", "/fapi/v1/algoOrder", 1, SIGNED)
def _query_algo(api: Api, call: Call) -> Any:
    return _named_algo(api, call, -2013).queried()


@_route("GET", "/fapi/v1/openAlgoOrders", _with_symbol(1, 40), SIGNED)
def _open_algos(api: Api, call: Call) -> Any:
    symbol, only = api.optional(call.params), call.params.integer("algoId")
    return [
        algo.queried()
        for algo in api.venue.ledgers[call.account].open_algos.values()
        if algo.status == "NEW"
        and (symbol is None or algo.asked.symbol is symbol)
        and (not only or algo.algo_id == only)
    ]


@_route("GET", "/fapi/v1/allAlgoOrders", 5, SIGNED)
def _all_algos(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.symbol(call.params), call.params.window(WEEK_MS)
    first, limit = call.params.integer("algoId"), call.params.integer("limit", 500, 1, 1000)
    rows = [
        algo
        for algo in api.venue.ledgers[call.account].visible_algos(call.now_ms)
        if algo.asked.symbol is symbol
        and (algo.algo_id >= first if first else _inside(algo.created_ms, start, end, call.now_ms))
    ]
    return [algo.queried() for algo in _page(rows, limit, bool(first or start))]


@_route("DELETE", "/fapi/v1/algoOpenOrders", 1, SIGNED)
def _cancel_algos(api: Api, call: Call) -> Any:
    api.venue.cancel_algos(call.now, call.account, api.symbol(call.params).index)
    return CANCELED_ALL


# ---------------------------------------------------------------------- account


@_route("GET", "/fapi/v2/account", 5, SIGNED)
def _account_v2(api: Api, call: Call) -> Any:
    ledger, held = api.venue.ledgers[call.account], api.venue.account(call.account)
    return positions.account_v2(held, api.venue.symbols, ledger, api.fee_tier, call.now_ms)


@_route("GET", "/fapi/v3/account", 5, SIGNED)
def _account_v3(api: Api, call: Call) -> Any:
    ledger, held = api.venue.ledgers[call.account], api.venue.account(call.account)
    return positions.account_v3(held, api.venue.symbols, ledger, call.now_ms)


@_route("GET", "/fapi/v3/balance", 5, SIGNED)
@_route("GET", "/fapi/v2/balance", 5, SIGNED)
def _balance(api: Api, call: Call) -> Any:
    ledger = api.venue.ledgers[call.account]
    return positions.balances(api.venue.account(call.account), generated_id(ledger.name)[:4], call.now_ms)


def _wanted(api: Api, call: Call) -> Sequence[Symbol]:
    symbol = api.optional(call.params)
    return api.venue.symbols if symbol is None else [symbol]


@_route("GET", "/fapi/v3/positionRisk", 5, SIGNED)
def _risk_v3(api: Api, call: Call) -> Any:
    ledger = api.venue.ledgers[call.account]
    return positions.risk_v3(api.venue.account(call.account), _wanted(api, call), ledger, api.venue.adl(call.account))


@_route("GET", "/fapi/v2/positionRisk", 5, SIGNED)
def _risk_v2(api: Api, call: Call) -> Any:
    return positions.risk_v2(api.venue.account(call.account), _wanted(api, call), api.venue.ledgers[call.account])


@_route("GET", "/fapi/v1/accountConfig", 5, SIGNED)
def _account_config(api: Api, call: Call) -> Any:
    held = api.venue.account(call.account)
    return {
        "feeTier": api.fee_tier,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": held.hedge,
        "updateTime": 0,
        "multiAssetsMargin": held.multi_assets,
        "tradeGroupId": -1,
    }


@_route("GET", "/fapi/v1/symbolConfig", 5, SIGNED)
def _symbol_config(api: Api, call: Call) -> Any:
    held = api.venue.account(call.account)
    return [
        {
            "symbol": symbol.name,
            "marginType": "ISOLATED" if margins["isolated"] else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": margins["leverage"],
            "maxNotionalValue": positions.max_notional_value(held, symbol),
        }
        for symbol in _wanted(api, call)
        for margins in [held.margins_of(symbol.index)]
    ]


@_route("POST", "/fapi/v1/leverage", 1, SIGNED)
def _set_leverage(api: Api, call: Call) -> Any:
    symbol, leverage = api.symbol(call.params), call.params.needed_integer("leverage")
    api.venue.change(call.now, call.account, symbol.index, Setting.LEVERAGE, leverage)
    most = positions.max_notional_value(api.venue.account(call.account), symbol)
    return {"leverage": leverage, "maxNotionalValue": most, "symbol": symbol.name}


@_route("POST", "/fapi/v1/marginType", 1, SIGNED)
def _set_margin_type(api: Api, call: Call) -> Any:
    symbol = api.symbol(call.params)
    isolated = call.params.choice("marginType", ("CROSSED", "ISOLATED"), -1130)
    api.venue.change(call.now, call.account, symbol.index, Setting.ISOLATED, isolated)
    return DONE


def _get_flag(path: str, name: str, attribute: str) -> None:
    def handler(api: Api, call: Call) -> Any:
        return {name: bool(getattr(api.venue.account(call.account), attribute))}

    _route("GET", path, 30, SIGNED)(handler)


def _set_flag(path: str, name: str, setting: Setting) -> None:
    def handler(api: Api, call: Call) -> Any:
        call.params.need(name)
        api.venue.change(call.now, call.account, 0, setting, int(call.params.flag(name)))
        return DONE

    _route("POST", path, 1, SIGNED)(handler)


for _path, _name, _attribute, _setting in (
    ("/fapi/v1/positionSide/dual", "dualSidePosition", "hedge", Setting.HEDGE_MODE),
    ("/fapi/v1/multiAssetsMargin", "multiAssetsMargin", "multi_assets", Setting.MULTI_ASSETS),
    ("/fapi/v1/feeBurn", "feeBurn", "fee_coin", Setting.FEE_COIN),
):
    _get_flag(_path, _name, _attribute)
    _set_flag(_path, _name, _setting)


@_route("POST", "/fapi/v1/positionMargin", 1, SIGNED)
def _move_margin(api: Api, call: Call) -> Any:
    symbol, amount = api.symbol(call.params), money(call.params.need("amount"))
    side = call.params.choice("positionSide", POSITION_SIDES, -4060, "BOTH")
    kind = call.params.needed_integer("type")
    if kind not in (1, 2):
        raise refusal(-1130, "type")
    if amount <= 0:
        raise refusal(-4055)
    if (side != 0) != api.venue.account(call.account).hedge:
        raise refusal(-4061)
    signed = amount if kind == 1 else -amount
    api.venue.move_margin(call.now, call.account, symbol.index, int(side == 2), signed)
    whole = amount // 10**8 if amount % 10**8 == 0 else amount / 10**8
    return {"amount": whole, "code": 200, "msg": "Successfully modify position margin.", "type": kind}


@_route("GET", "/fapi/v1/positionMargin/history", 1, SIGNED)
def _margin_moves(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.symbol(call.params), call.params.window(30 * DAY_MS)
    kind, limit = call.params.integer("type"), call.params.integer("limit", 500, 1, 1000)
    rows = [
        move
        for move in api.venue.ledgers[call.account].moves
        if move["symbol"] == symbol.name
        and (not kind or move["type"] == kind)
        and (not start or int(str(move["time"])) >= start)
        and (not end or int(str(move["time"])) <= end)
    ]
    return rows[-limit:]


@_route("GET", "/fapi/v1/leverageBracket", 1, SIGNED)
def _brackets(api: Api, call: Call) -> Any:
    return [
        {
            "symbol": symbol.name,
            "brackets": [
                {
                    "bracket": number,
                    "initialLeverage": leverage,
                    "notionalCap": cap // 10**8,
                    "notionalFloor": floor // 10**8,
                    "maintMarginRatio": rate / 10**8,
                    "cum": cum / 10**8,
                }
                for number, (floor, cap, rate, cum, leverage) in enumerate(symbol.brackets, start=1)
            ],
        }
        for symbol in _wanted(api, call)
    ]


@_route("GET", "/fapi/v1/commissionRate", 20, SIGNED)
def _commission(api: Api, call: Call) -> Any:
    symbol = api.symbol(call.params)
    return {
        "symbol": symbol.name,
        "makerCommissionRate": trimmed(symbol.spec["maker_fee_e8"], 4),
        "takerCommissionRate": trimmed(symbol.spec["taker_fee_e8"], 4),
        "rpiCommissionRate": "0.00005",
    }


@_route("GET", "/fapi/v1/income", 30, SIGNED)
def _income(api: Api, call: Call) -> Any:
    symbol, (start, end) = api.optional(call.params), call.params.window(10**18)
    kind, limit = call.params.text("incomeType"), call.params.integer("limit", 100, 1, 1000)
    start = max(start or (0 if end else call.now_ms - WEEK_MS), call.now_ms - KEPT_MS)
    rows = [
        income
        for income in api.venue.ledgers[call.account].income
        if (symbol is None or income.symbol == symbol.name)
        and (not kind or income.kind == kind)
        and income.time_ms >= start
        and (not end or income.time_ms <= end)
    ]
    return [income.listed() for income in rows[:limit]]


@_route("GET", "/fapi/v1/adlQuantile", 5, SIGNED)
def _adl(api: Api, call: Call) -> Any:
    held = api.venue.account(call.account)
    ranks, hedge = api.venue.adl(call.account), held.hedge
    return [
        {
            "symbol": symbol.name,
            "adlQuantile": {
                "LONG": ranks.get((symbol.index, 0), 0) if hedge else 0,
                "SHORT": ranks.get((symbol.index, 1), 0) if hedge else 0,
                "HEDGE" if hedge and not held.margins_of(symbol.index)["isolated"] else "BOTH": 0
                if hedge
                else ranks.get((symbol.index, 0), 0),
            },
        }
        for symbol in _wanted(api, call)
        if any(key[0] == symbol.index for key in ranks)
    ]


@_route("GET", "/fapi/v1/apiTradingStatus", _with_symbol(1, 10), SIGNED)
def _trading_status(api: Api, call: Call) -> Any:
    return {"indicators": {}, "updateTime": call.now_ms}


@_route("GET", "/fapi/v1/pmAccountInfo", 5, SIGNED)
def _portfolio_margin(api: Api, call: Call) -> Any:
    held = api.venue.account(call.account)
    return {"maxWithdrawAmountUSD": plain(held.available()), "asset": "", "maxWithdrawAmount": plain(held.available())}


# ---------------------------------------------------------------------- listen keys


@_route("POST", "/fapi/v1/listenKey", 1, KEY)
def _open_key(api: Api, call: Call) -> Any:
    return {"listenKey": api.keys.open(call.account, api.clock.wall_ms())}


@_route("PUT", "/fapi/v1/listenKey", 1, KEY)
def _keep_key(api: Api, call: Call) -> Any:
    return {"listenKey": api.keys.keep(call.account, api.clock.wall_ms())}


@_route("DELETE", "/fapi/v1/listenKey", 1, KEY)
def _close_key(api: Api, call: Call) -> Any:
    api.keys.close(call.account)
    return {}
