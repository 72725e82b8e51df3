"""The exchange's rules, as a client meets them on the wire: request, status, code and text; states and events.

Each table is a section of the exchange's documentation. The market stands still: marks, time and the book are the
test's own (``loopback_world``).
"""

import re
from urllib.parse import urlencode

import pytest
from builders import spec
from loopback_world import DAY_S, E8, World, encoded, setup, sign, text

from autotrader.adapters.loopback.api import KEY, NONE, ROUTES, SIGNED
from autotrader.adapters.loopback.codes import TEXTS
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.params import Params
from autotrader.adapters.loopback.ws_api import METHODS
from core_ext.types import Kind, Setting

BTC, ETH = "BTCUSDT", "ETHUSDT"
LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": 49_000}
MARKET = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": 0.01}
ALGO = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "quantity": 0.01,
        "triggerPrice": 49_500}  # fmt: skip
TRAILING = ALGO | {"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": 1}


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        one.mark(3_000, ETH)
        yield one


@pytest.fixture(scope="module")
def still():
    """A market that no test of a table changes: a maker on both sides and alice long 0.02 BTC."""
    with World(weight_limit=10**7, order_limit=10**7) as one:
        one.mark(50_000)
        one.mark(3_000, ETH)
        one.quote()
        one.hold("BUY", 0.02)
        one.order("BUY", 0.002, 48_000, newClientOrderId="taken")
        yield one


def kinds(events):
    """Return what each event says in one word."""
    return [word(event) for event in events]


def word(event):
    if event["e"] == "ORDER_TRADE_UPDATE":
        return f"{event['o']['x']}/{event['o']['X']}"
    if event["e"] == "ALGO_UPDATE":
        return event["o"]["X"]
    return event["a"]["m"] if event["e"] == "ACCOUNT_UPDATE" else event["e"]


def of(events, kind):
    return [event for event in events if event["e"] == kind]


# ---------------------------------------------------------------------------------- who may ask, and what it weighs

MARKET_DATA = {
    "ping": 1, "time": 1, "exchangeInfo": 1, "rpiDepth": 20, "trades": 5, "historicalTrades": 200, "aggTrades": 20,
    "fundingRate": 0, "fundingInfo": 0, "openInterest": 1, "indexInfo": 1, "constituents": 2, "insuranceBalance": 1,
    "symbolAdlRisk": 1, "tradingSchedule": 5,
}  # fmt: skip
ONE_OR_ALL = {
    "premiumIndex": (1, 10), "ticker/24hr": (1, 40), "ticker/price": (1, 2), "ticker/bookTicker": (2, 5),
    "assetIndex": (1, 10), "openOrders": (1, 40), "forceOrders": (20, 50), "openAlgoOrders": (1, 40),
    "apiTradingStatus": (1, 10),
}  # fmt: skip
CANDLES = ("klines", "continuousKlines", "indexPriceKlines", "markPriceKlines", "premiumIndexKlines")
STATISTICS = (
    "openInterestHist", "topLongShortAccountRatio", "topLongShortPositionRatio", "globalLongShortAccountRatio",
    "takerlongshortRatio", "basis", "delivery-price",
)  # fmt: skip
# method, path, weight, counts of ten seconds and a minute
PRIVATE = """
POST order 0 1 1
PUT order 0 1 1
DELETE order 1 0 0
GET order 1 0 0
POST order/test 0 0 0
POST batchOrders 5 5 1
PUT batchOrders 5 5 1
DELETE batchOrders 1 0 0
DELETE allOpenOrders 1 0 0
POST countdownCancelAll 10 0 0
GET openOrder 1 0 0
GET allOrders 5 0 0
GET userTrades 5 0 0
GET orderAmendment 1 0 0
GET rateLimit/order 1 0 0
POST algoOrder 0 1 1
DELETE algoOrder 1 0 0
GET algoOrder 1 0 0
GET allAlgoOrders 5 0 0
DELETE algoOpenOrders 1 0 0
GET /fapi/v2/account 5 0 0
GET /fapi/v3/account 5 0 0
GET /fapi/v2/balance 5 0 0
GET /fapi/v3/balance 5 0 0
GET /fapi/v2/positionRisk 5 0 0
GET /fapi/v3/positionRisk 5 0 0
GET accountConfig 5 0 0
GET symbolConfig 5 0 0
POST leverage 1 0 0
POST marginType 1 0 0
GET positionSide/dual 30 0 0
POST positionSide/dual 1 0 0
GET multiAssetsMargin 30 0 0
POST multiAssetsMargin 1 0 0
POST positionMargin 1 0 0
GET positionMargin/history 1 0 0
GET leverageBracket 1 0 0
GET commissionRate 20 0 0
GET income 30 0 0
GET feeBurn 30 0 0
POST feeBurn 1 0 0
GET adlQuantile 5 0 0
GET pmAccountInfo 5 0 0
"""


def full(path):
    return path if path.startswith("/") else f"/fapi/v1/{path}"


def weighs(method, path, **params):
    return ROUTES[method, full(path)].weighs(Params({name: text(value) for name, value in params.items()}))


def test_every_call_of_the_documentation_is_served_with_its_weight_and_counts():
    for path, weight in MARKET_DATA.items():
        assert weighs("GET", path) == weight, path
        assert ROUTES["GET", full(path)].security == (KEY if path == "historicalTrades" else NONE), path
    for path, (one, all_) in ONE_OR_ALL.items():
        assert (weighs("GET", path, symbol=BTC), weighs("GET", path)) == (one, all_), path
    assert (weighs("GET", "/fapi/v2/ticker/price", symbol=BTC), weighs("GET", "/fapi/v2/ticker/price")) == (1, 2)
    for limit, weight in {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}.items():
        assert weighs("GET", "depth", limit=limit) == weight
    assert weighs("GET", "depth") == 10
    for path in CANDLES:
        limits = {1: 1, 99: 1, 100: 2, 499: 2, 500: 5, 1000: 5, 1001: 10, 1500: 10}
        assert {limit: weighs("GET", path, limit=limit) for limit in limits} == limits
    for path in STATISTICS:
        assert ROUTES["GET", f"/futures/data/{path}"].pool == "data"
    assert {ROUTES["GET", full(path)].pool for path in ("fundingRate", "fundingInfo")} == {"funding"}
    for method in ("POST", "PUT", "DELETE"):
        assert (weighs(method, "listenKey"), ROUTES[method, full("listenKey")].security) == (1, KEY)
    for method, path, weight, ten, minute in (line.split() for line in PRIVATE.strip().splitlines()):
        route = ROUTES[method, full(path)]
        assert (route.weighs(Params({})), *route.orders) == (int(weight), int(ten), int(minute)), (method, path)
        assert route.security == SIGNED, (method, path)


def test_nothing_is_served_that_the_documentation_does_not_have():
    known = {("GET", full(path)) for path in (*MARKET_DATA, *ONE_OR_ALL, *CANDLES, "depth", "/fapi/v2/ticker/price")}
    known |= {("GET", f"/futures/data/{path}") for path in STATISTICS}
    known |= {(line.split()[0], full(line.split()[1])) for line in PRIVATE.strip().splitlines()}
    known |= {(method, full("listenKey")) for method in ("POST", "PUT", "DELETE")}
    known |= {("GET", path) for path in ("/api/v3/ping", "/api/v3/time", "/sapi/v1/capital/config/getall")}
    known.add(("GET", "/sapi/v1/account/apiRestrictions"))
    assert set(ROUTES) == known


def test_every_code_of_the_venue_has_a_text(root):
    codes = re.findall(r"= (-\d{4})$", (root / "core_ext/request.pxd").read_text(), re.MULTILINE)
    codes += re.findall(r"^    [A-Z_]+ = (-\d{4})$", (root / "core_ext/account.pyx").read_text(), re.MULTILINE)
    own = {-1008, -1015}  # the venue's own faults, which the server does not use
    assert len(codes) > 50
    assert {int(code) for code in codes} - own - set(TEXTS) == set()


STAMPS = (
    (-5_000, None, 200, 0, ""),
    (-5_001, None, 400, -1021, "Timestamp for this request is outside of the recvWindow."),
    (-9_000, 10_000, 200, 0, ""),
    (-60_001, 9_999_999, 400, -1021, "Timestamp for this request is outside of the recvWindow."),
    (999, None, 200, 0, ""),
    (1_000, None, 400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."),
)


@pytest.mark.parametrize("off,window,status,code,words", STAMPS)
def test_a_stamp_may_be_five_seconds_old_and_less_than_one_ahead(world, off, window, status, code, words):
    answer = world.call("GET", "openOrders", symbol=BTC, timestamp=world.stamp_ms + off, recvWindow=window)
    assert answer.status == status
    assert status == 200 or answer.said == (status, code, words)


def test_keys_stamps_and_signatures_are_asked_for_in_this_order(world):
    def said(query, **headers):
        return world.send("GET", "/fapi/v1/openOrders", query, headers=headers).said

    stamp = f"symbol={BTC}&timestamp={world.stamp_ms}"
    key = {"X-MBX-APIKEY": "alice-key"}
    mandatory = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
    assert said(stamp) == (401, -2014, "API-key format invalid.")
    assert said(stamp, **{"X-MBX-APIKEY": "a b"}) == (401, -2014, "API-key format invalid.")
    assert said(stamp, **{"X-MBX-APIKEY": "nobody"}) == (401, -2015, "Invalid API-key, IP, or permissions for action.")
    assert said(f"symbol={BTC}", **key) == (400, -1102, mandatory.format("timestamp"))
    assert said(stamp, **key) == (400, -1102, mandatory.format("signature"))
    assert said(f"{stamp}&signature={'0' * 64}", **key) == (400, -1022, "Signature for this request is not valid.")
    assert world.send("GET", "/fapi/v1/historicalTrades", f"symbol={BTC}").said == (
        401, -2014, "API-key format invalid.")  # fmt: skip


def test_a_signature_covers_query_and_body_however_they_are_split(world):
    key = {"X-MBX-APIKEY": "alice-key"}
    whole = urlencode({**LIMIT, "timestamp": world.stamp_ms})
    head, tail = whole[: whole.index("&price")], whole[whole.index("&price") + 1 :]
    for number, (query, body) in enumerate(((whole, ""), ("", whole), (head, tail))):
        name = f"&newClientOrderId=n{number}"
        query, body = (query, body + name) if body else (query + name, body)
        signature = sign("alice", query + body)
        signature = signature.upper() if number == 1 else signature
        query, body = (query, f"{body}&signature={signature}") if body else (f"{query}&signature={signature}", body)
        assert world.send("POST", "/fapi/v1/order", query, body.encode(), key).status == 200
    # In both parts: the query's value counts.
    query, body = f"symbol={ETH}&timestamp={world.stamp_ms}", f"symbol={BTC}"
    signed = f"{body}&signature={sign('alice', query + body)}"
    assert world.send("DELETE", "/fapi/v1/allOpenOrders", query, signed.encode(), key).status == 200
    assert len(world.ok("GET", "openOrders", symbol=BTC)) == 3
    # python-binance signs the text before it is encoded.
    plain = f"symbol={BTC}&origClientOrderId=a:b/c&timestamp={world.stamp_ms}"
    sent = plain.replace("a:b/c", encoded("a:b/c")) + f"&signature={sign('alice', plain)}"
    assert world.send("GET", "/fapi/v1/order", sent, headers=key).said == (400, -2013, "Order does not exist.")


def test_weight_is_told_counted_and_limited_by_the_minute(world):
    world.wall_ms -= world.wall_ms % 60_000
    before = int(world.call("GET", "ping").headers["x-mbx-used-weight-1m"])
    assert int(world.call("GET", "ticker/24hr").headers["x-mbx-used-weight-1m"]) == before + 40
    assert "x-mbx-used-weight-1m" not in world.call("GET", "fundingRate").headers
    assert "x-mbx-order-count-10s" not in world.call("GET", "ping").headers
    while (answer := world.call("GET", "historicalTrades", symbol=BTC)).status == 200:
        pass
    assert answer.said == (
        429, -1003, "Too many requests; current limit is 2400 requests per minute. "
        "Please use the websocket for live updates to avoid polling the API.")  # fmt: skip
    assert answer.headers["retry-after"] == "60"
    for _ in range(20):
        answer = world.call("GET", "ping")
    until = world.wall_ms + 120_000
    assert answer.said == (
        418, -1003, f"Way too many requests; IP banned until {until}. "
        "Please use the websocket for live updates to avoid bans.")  # fmt: skip
    assert answer.headers["retry-after"] == "120"
    assert world.call("DELETE", "allOpenOrders", symbol=BTC).status == 418
    world.wall_ms += 60_000
    assert world.call("GET", "ping").status == 418
    world.wall_ms += 60_000
    assert world.call("GET", "ping").status == 200


def test_orders_are_counted_by_account_and_limited_by_ten_seconds_and_a_minute(world):
    world.wall_ms -= world.wall_ms % 60_000
    answer = world.call("POST", "order", **LIMIT)
    assert (answer.headers["x-mbx-order-count-10s"], answer.headers["x-mbx-order-count-1m"]) == ("1", "1")
    batch = [{name: text(value) for name, value in LIMIT.items()}] * 2
    answer = world.call("POST", "batchOrders", batchOrders=batch)
    assert (answer.headers["x-mbx-order-count-10s"], answer.headers["x-mbx-order-count-1m"]) == ("6", "2")
    assert world.call("POST", "algoOrder", **ALGO).headers["x-mbx-order-count-10s"] == "7"
    for _ in range(58):
        assert world.call("POST", "batchOrders", batchOrders=[]).status == 400
    assert world.call("POST", "batchOrders", batchOrders=[]).said == (
        429, -1015, "Too many new orders; current limit is 300 orders per 10 SECOND.")  # fmt: skip
    assert world.call("POST", "order", "bob", **LIMIT).status == 200
    limits = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300}
    assert world.ok("GET", "rateLimit/order")[0] == limits
    world.wall_ms += 10_000
    assert world.call("POST", "order", **LIMIT).status == 200


# ---------------------------------------------------------------------------------- orders: what is refused

NOT_SENT = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
NOT_VALID = "Data sent for parameter '{}' is not valid."
SURPLUS = "Parameter '{}' sent when not required."
GOOD_TILL = TEXTS[-5040]

# What is changed of a limit order to buy 0.01 at 49,000 with the mark at 50,000 (None: left out); code; text.
REFUSED = (
    ({"symbol": None}, -1102, NOT_SENT.format("symbol")),
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"side": None}, -1102, NOT_SENT.format("side")),
    ({"side": "LONG"}, -1117, "Invalid side."),
    ({"type": None}, -1102, NOT_SENT.format("type")),
    ({"type": "STOP_LOSS"}, -1116, "Invalid orderType."),
    *(({"type": kind}, -4120, TEXTS[-4120]) for kind in
      ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")),
    ({"timeInForce": None}, -1102, NOT_SENT.format("timeInForce")),
    ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
    ({"quantity": None}, -1102, NOT_SENT.format("quantity")),
    ({"price": None}, -1102, NOT_SENT.format("price")),
    ({"price": "4.9e4"}, -1100, "Illegal characters found in a parameter."),
    ({"quantity": "nan"}, -1100, "Illegal characters found in a parameter."),
    ({"quantity": 0}, -4003, "Quantity less than or equal to zero."),
    ({"quantity": -1}, -4003, "Quantity less than or equal to zero."),
    ({"quantity": "0.0011"}, -1111, "Precision is over the maximum defined for this asset."),
    ({"quantity": 1000.001}, -4005, "Quantity greater than max quantity."),
    ({"price": "49000.001"}, -1111, "Precision is over the maximum defined for this asset."),
    ({"price": "49000.05"}, -4014, "Price not increased by tick size."),
    ({"price": -1}, -4001, "Price less than 0."),
    ({"price": 0}, -4013, "Price less than min price."),
    ({"price": "100000000.1"}, -4002, "Price greater than max price."),
    ({"price": 52_500.1}, -4016, "Limit price can't be higher than 52500.00."),
    ({"side": "SELL", "price": 47_499.9}, -4024, "Limit price can't be lower than 47500.00."),
    ({"quantity": 0.001}, -4164, "Order's notional must be no smaller than 50 (unless you choose reduce only)."),
    ({"positionSide": "LONG"}, -4061, "Order's position side does not match user's setting."),
    ({"positionSide": "UP"}, -4060, "Invalid position side."),
    ({"reduceOnly": "yes"}, -1130, NOT_VALID.format("reduceOnly")),
    ({"reduceOnly": True}, -2022, "ReduceOnly Order is rejected."),
    ({"newClientOrderId": "a b"}, -4015, "Client order id is not valid."),
    ({"newClientOrderId": "x" * 37}, -4015, "Client order id is not valid."),
    ({"newClientOrderId": "taken"}, -4116, "ClientOrderId is duplicated."),
    ({"newOrderRespType": "FULL"}, -1136, "Invalid newOrderRespType."),
    ({"selfTradePreventionMode": "DECREMENT"}, -5039, "Invalid self trade prevention mode."),
    ({"priceMatch": "QUEUE"}, -5037, "Invalid price match."),
    ({"priceMatch": "BEST", "price": None}, -5037, "Invalid price match."),
    ({"priceMatch": "QUEUE_5", "price": None}, -5041, "No depth matches this BBO order."),
    ({"timeInForce": "GTD"}, -1102, NOT_SENT.format("goodTillDate")),
    ({"timeInForce": "GTD", "goodTillDate": "+600"}, -5040, GOOD_TILL),
    ({"timeInForce": "GTD", "goodTillDate": 253_402_300_799_000}, -5040, GOOD_TILL),
    ({"timeInForce": "GTX", "price": 50_001}, -5022, TEXTS[-5022]),
    ({"timeInForce": "FOK"}, -5021, TEXTS[-5021]),
    ({"timeInForce": "FOK", "price": 50_000.9}, -5021, TEXTS[-5021]),
    ({"quantity": 7}, -2019, "Margin is insufficient."),
    ({"quantity": 500}, -2027, "Exceeded the maximum allowable position at current leverage."),
)  # fmt: skip
MARKETS_REFUSED = (
    ({"timeInForce": "GTC"}, -1106, SURPLUS.format("timeInForce")),
    ({"price": 50_000}, -1106, SURPLUS.format("price")),
    ({"priceMatch": "OPPONENT"}, -5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT."),
    ({"quantity": 120.001}, -4005, "Quantity greater than max quantity."),
    ({"quantity": 0.0005}, -1111, "Precision is over the maximum defined for this asset."),
)
ALGOS_REFUSED = (
    ({"algoType": None}, -1102, NOT_SENT.format("algoType")),
    ({"algoType": "VP"}, -1130, NOT_VALID.format("algoType")),
    ({"type": "LIMIT"}, -1116, "Invalid orderType."),
    ({"triggerPrice": None}, -1102, NOT_SENT.format("triggerPrice")),
    ({"triggerPrice": "49500.05"}, -4014, "Price not increased by tick size."),
    ({"triggerPrice": 50_000}, -2021, "Order would immediately trigger."),
    ({"side": "BUY"}, -2021, "Order would immediately trigger."),
    ({"type": "TAKE_PROFIT_MARKET"}, -2021, "Order would immediately trigger."),
    ({"type": "STOP"}, -1102, NOT_SENT.format("price")),
    ({"type": "STOP_MARKET", "price": 49_000}, -1106, SURPLUS.format("price")),
    ({"workingType": "INDEX_PRICE"}, -4031, "Invalid workingType."),
    ({"closePosition": True}, -4137, "Quantity must be zero with closePosition equals true."),
    ({"closePosition": True, "quantity": None, "reduceOnly": True}, -4138, TEXTS[-4138]),
    ({"quantity": None}, -1102, NOT_SENT.format("quantity")),
    ({"timeInForce": "IOC"}, -1106, SURPLUS.format("timeInForce")),
)
TRAILING_REFUSED = (
    ({"callbackRate": None}, -1102, NOT_SENT.format("callbackRate")),
    ({"callbackRate": 0.09}, -1130, NOT_VALID.format("callbackRate")),
    ({"callbackRate": 20.01}, -1130, NOT_VALID.format("callbackRate")),
    ({"activatePrice": 49_999}, -2021, "Order would immediately trigger."),
    ({"side": "BUY", "activatePrice": 50_001}, -2021, "Order would immediately trigger."),
)
ROWS = [
    *(("order", LIMIT, *row) for row in REFUSED),
    *(("order", MARKET, *row) for row in MARKETS_REFUSED),
    *(("algoOrder", ALGO, *row) for row in ALGOS_REFUSED),
    *(("algoOrder", TRAILING, *row) for row in TRAILING_REFUSED),
]


def row_id(row):
    path, base, change, code, _ = row
    return f"{path}-{base['type']}-" + ",".join(f"{k}={str(v)[:12]}" for k, v in change.items()) + f"{code}"


@pytest.mark.parametrize("path,base,change,code,words", ROWS, ids=map(row_id, ROWS))
def test_an_order_is_refused_in_the_exchanges_words(still, path, base, change, code, words):
    asked = base | change
    if asked.get("goodTillDate") == "+600":
        asked["goodTillDate"] = still.now_ms + 600_000
    ear = still.listen()
    before = still.ok("GET", "allOrders", symbol=BTC)
    assert still.call("POST", path, **asked).said == (400, code, words)
    assert still.ok("GET", "allOrders", symbol=BTC) == before
    assert still.ok("GET", "openAlgoOrders") == []
    assert ear.heard() == []


def test_what_only_reduces_needs_no_minimum_value(still):
    placed = still.order("SELL", 0.001, 51_000, reduceOnly=True)
    assert (placed["reduceOnly"], placed["status"]) == (True, "NEW")
    still.ok("DELETE", "order", symbol=BTC, orderId=placed["orderId"])


def test_the_price_band_is_one_sided(world):
    assert world.order("BUY", 0.1, 1_000)["status"] == "NEW"
    assert world.order("SELL", 0.1, 90_000)["status"] == "NEW"


def test_a_market_order_finds_the_best_price_within_the_bound_or_is_refused(world):
    world.order("SELL", 1, 52_400, "maker")
    world.mark(49_000)
    assert world.call("POST", "order", **MARKET).said == (400, -4131, TEXTS[-4131])


def test_a_market_order_takes_what_is_within_the_bound_and_the_rest_expires(world):
    world.order("SELL", 0.01, 50_100, "maker")
    world.order("SELL", 1, 52_600, "maker")
    ear = world.listen()
    done = world.order("BUY", 0.02)
    assert (done["status"], done["executedQty"]) == ("EXPIRED", "0.010")
    assert of(ear.heard(), "ORDER_TRADE_UPDATE")[-1]["o"]["er"] == "9"


def test_two_hundred_orders_of_a_symbol_may_be_open():
    with World(specs=[spec(BTC, leverage=20, max_orders=3)]) as world:
        world.mark(50_000)
        for _ in range(3):
            world.order("BUY", 0.002, 40_000)
        assert world.call("POST", "order", **LIMIT).said == (400, -2025, "Reach max open order limit.")


def test_two_hundred_conditional_orders_of_an_account_may_be_open(world):
    for k in range(200):
        if k % 100 == 0:
            world.wall_ms += 10_000
        world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000, symbol=(BTC, ETH)[k % 2]
                   if k % 2 == 0 else BTC)  # fmt: skip
    world.wall_ms += 10_000
    assert world.call("POST", "algoOrder", **ALGO).said == (400, -4045, "Reach max stop order limit.")


# ---------------------------------------------------------------------------------- orders: what becomes of them


def test_an_acknowledgement_says_new_and_a_result_says_what_became_of_it(world):
    world.quote()
    assert world.call("POST", "order", **MARKET).body["status"] == "NEW"
    assert world.call("POST", "order", **MARKET, newOrderRespType="RESULT").body["status"] == "FILLED"
    ioc = LIMIT | {"timeInForce": "IOC"}
    assert world.call("POST", "order", **ioc).body["status"] == "NEW"
    assert world.call("POST", "order", **ioc, newOrderRespType="RESULT").body["status"] == "EXPIRED"


def test_answers_to_orders_hold_no_average_since_june_2026(world):
    world.quote()
    placed = world.order("BUY", 0.01)
    kept = world.ok("GET", "order", symbol=BTC, orderId=placed["orderId"])
    assert {"avgPrice", "cumQuote"}.isdisjoint(placed)
    assert (kept["avgPrice"], kept["cumQuote"]) == ("50001.00000", "500.01000")


def test_before_june_2026_every_answer_to_an_order_held_an_average():
    with World(before_2026_06=True) as world:
        world.mark(50_000)
        world.quote()
        assert world.order("BUY", 0.01)["avgPrice"] == "50001.00000"
        acknowledged = world.ok("POST", "order", **MARKET)
        assert (acknowledged["avgPrice"], acknowledged["status"]) == ("0.00000", "NEW")
        placed = world.order("BUY", 0.01, 49_000)
        changed = world.ok("PUT", "order", symbol=BTC, side="BUY", quantity=0.01, price=48_000,
                           orderId=placed["orderId"])  # fmt: skip
        canceled = world.ok("DELETE", "order", symbol=BTC, orderId=placed["orderId"])
        assert {"avgPrice", "cumQuote"} <= changed.keys() & canceled.keys()


# Orders in the sequence in which they come, and the executions and states that the last one's owner hears of it.
LIFE = (
    ("rests", [("BUY", 0.01, 49_000, {})], ["NEW/NEW"]),
    ("fills whole", [("BUY", 0.01, 50_001, {})], ["NEW/NEW", "TRADE/FILLED"]),
    ("fills in two", [("BUY", 2, 50_010, {})], ["NEW/NEW", "TRADE/PARTIALLY_FILLED", "TRADE/FILLED"]),
    ("IOC expires", [("BUY", 0.01, 49_000, {"timeInForce": "IOC"})], ["NEW/NEW", "EXPIRED/EXPIRED"]),
    ("IOC rest expires", [("BUY", 2, 50_001, {"timeInForce": "IOC"})],
     ["NEW/NEW", "TRADE/PARTIALLY_FILLED", "EXPIRED/EXPIRED"]),
    ("FOK fills", [("BUY", 1, 50_001, {"timeInForce": "FOK"})], ["NEW/NEW", "TRADE/FILLED"]),
    ("GTX rests", [("BUY", 0.01, 50_000, {"timeInForce": "GTX"})], ["NEW/NEW"]),
)  # fmt: skip


@pytest.mark.parametrize("name,orders,expected", LIFE, ids=[row[0] for row in LIFE])
def test_an_order_lives_as_documented(world, name, orders, expected):
    world.order("SELL", 1, 50_001, "maker")
    world.order("SELL", 5, 50_002, "maker")
    ear = world.listen("bob")
    for side, quantity, price, more in orders:
        world.ok("POST", "leverage", "bob", symbol=BTC, leverage=75)
        placed = world.order(side, quantity, price, "bob", **more)
    events = of(ear.heard(), "ORDER_TRADE_UPDATE")
    assert kinds(events) == expected
    assert placed["status"] == expected[-1].split("/")[1]
    last = events[-1]["o"]
    assert last["er"] == ("2" if last["X"] == "EXPIRED" else "0")


def test_a_fill_is_told_by_trade_lite_account_and_order_with_one_stamp(world):
    ear = world.listen()
    world.quote()
    world.order("BUY", 0.01)
    events = ear.heard()
    assert kinds(events) == ["NEW/NEW", "TRADE_LITE", "ORDER", "TRADE/FILLED"]
    assert len({event["T"] for event in events[1:]}) == 1
    assert all(event["E"] >= event["T"] for event in events)
    trade = events[-1]["o"]
    assert (trade["N"], trade["n"], trade["L"], trade["ap"]) == ("USDT", "0.25000500", "50001.00", "50001.00000")
    assert {"N", "n"}.isdisjoint(events[0]["o"])


# Mode of the taker; who ends, and with which reason.
STP = (
    ("NONE", "GTC", [], ["NEW/NEW", "TRADE/FILLED"]),
    ("EXPIRE_MAKER", "GTC", ["1"], ["NEW/NEW"]),
    ("EXPIRE_TAKER", "GTC", [], ["NEW/NEW", "EXPIRED/EXPIRED_IN_MATCH"]),
    ("EXPIRE_BOTH", "GTC", ["1"], ["NEW/NEW", "EXPIRED/EXPIRED_IN_MATCH"]),
    ("EXPIRE_TAKER", "IOC", [], ["NEW/NEW", "EXPIRED/EXPIRED_IN_MATCH"]),
)


@pytest.mark.parametrize("mode,tif,maker_ends,taker_life", STP)
def test_the_takers_mode_decides_a_self_trade(world, mode, tif, maker_ends, taker_life):
    resting = world.order("SELL", 0.01, 50_000)
    ear = world.listen()
    taker = world.order("BUY", 0.01, 50_000, selfTradePreventionMode=mode, timeInForce=tif)
    events = [event["o"] for event in of(ear.heard(), "ORDER_TRADE_UPDATE")]
    assert [f"{o['x']}/{o['X']}" for o in events if o["i"] == taker["orderId"]] == taker_life
    ended = [o for o in events if o["i"] == resting["orderId"] and o["X"] == "EXPIRED_IN_MATCH"]
    assert [o["er"] for o in ended] == maker_ends
    if taker_life[-1].endswith("IN_MATCH"):
        assert [o for o in events if o["i"] == taker["orderId"]][-1]["er"] == ("3" if tif == "IOC" else "1")


def test_the_default_is_to_expire_the_maker(world):
    world.order("SELL", 0.01, 50_000)
    assert world.order("BUY", 0.01, 50_000)["selfTradePreventionMode"] == "EXPIRE_MAKER"
    assert [o["status"] for o in world.ok("GET", "allOrders", symbol=BTC)] == ["EXPIRED_IN_MATCH", "NEW"]


MATCHES = (
    ("OPPONENT", "50001.00"), ("OPPONENT_5", "50005.00"), ("OPPONENT_10", "50010.00"), ("OPPONENT_20", "50020.00"),
    ("QUEUE", "49999.00"), ("QUEUE_5", "49995.00"), ("QUEUE_10", "49990.00"), ("QUEUE_20", "49980.00"),
)  # fmt: skip


def test_a_price_match_takes_the_price_of_its_level(world):
    for k in range(20):
        world.order("BUY", 1, 49_999 - k, "maker")
        world.order("SELL", 1, 50_001 + k, "maker")
    for match, price in MATCHES:
        placed = world.order("BUY", 0.002, priceMatch=match)
        assert (placed["price"], placed["priceMatch"]) == (price, match)
        world.ok("DELETE", "allOpenOrders", symbol=BTC)


def test_a_good_till_date_order_ends_at_its_second(world):
    ear = world.listen()
    until = world.now_ms + 700_999
    placed = world.order("BUY", 0.01, 49_000, timeInForce="GTD", goodTillDate=until)
    assert placed["goodTillDate"] == until - until % 1000
    world.pass_s(600)
    assert len(world.ok("GET", "openOrders")) == 1
    world.pass_s(101)
    assert kinds(ear.heard()) == ["NEW/NEW", "EXPIRED/EXPIRED"]


def test_a_client_id_is_free_again_when_its_order_has_ended(world):
    world.quote()
    first = world.order("BUY", 0.01, newClientOrderId="again")
    second = world.order("BUY", 0.01, newClientOrderId="again")
    assert first["orderId"] < second["orderId"]
    assert world.ok("GET", "order", symbol=BTC, origClientOrderId="again")["orderId"] == second["orderId"]
    assert world.position() == 0.02


def test_unfilled_orders_are_forgotten_after_three_days_and_all_after_ninety(world):
    world.quote()
    filled = world.order("BUY", 0.01)["orderId"]
    unfilled = world.order("BUY", 0.01, 49_000)["orderId"]
    stop = world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000)["algoId"]
    world.ok("DELETE", "order", symbol=BTC, orderId=unfilled)
    world.ok("DELETE", "algoOrder", algoId=stop)
    world.pass_s(3 * DAY_S - 60)
    assert world.call("GET", "order", symbol=BTC, orderId=unfilled).status == 200
    assert world.call("GET", "algoOrder", algoId=stop).status == 200
    world.pass_s(120)
    assert world.call("GET", "order", symbol=BTC, orderId=unfilled).said == (400, -2013, "Order does not exist.")
    assert world.call("GET", "algoOrder", algoId=stop).code == -2013
    assert world.ok("GET", "allAlgoOrders", symbol=BTC) == []
    assert [o["orderId"] for o in world.ok("GET", "allOrders", symbol=BTC)] == [filled]
    world.pass_s(87 * DAY_S)
    assert world.call("GET", "order", symbol=BTC, orderId=filled).code == -2013
    assert world.ok("GET", "userTrades", symbol=BTC, fromId=0) == []
    assert world.ok("GET", "income", incomeType="COMMISSION", startTime=1) == []


def test_histories_are_of_the_last_week_unless_more_is_asked_for(world):
    world.quote()
    old = world.order("BUY", 0.01)["orderId"]
    at = world.now_ms
    world.pass_s(8 * DAY_S)
    young = world.order("BUY", 0.01)["orderId"]

    def both(path, **asked):
        return [row["orderId"] for row in world.ok("GET", path, symbol=BTC, **asked)]

    for path in ("allOrders", "userTrades"):
        assert both(path) == [young]
        assert both(path, startTime=at) == [old]
        assert both(path, endTime=at) == [old]
        assert both(path, startTime=at + 8 * DAY_S * 1000 - 60_000) == [young]
        assert world.call("GET", path, symbol=BTC, startTime=at, endTime=at + 7 * DAY_S * 1000 + 1).code == -1127
        assert world.call("GET", path, symbol=BTC, startTime=2, endTime=1).said == (
            400, -1023, "Start time is greater than end time.")  # fmt: skip
    assert both("allOrders", orderId=old) == [old, young]
    assert both("userTrades", fromId=0) == [old, young]
    assert world.call("GET", "userTrades", symbol=BTC, fromId=0, startTime=at).code == -1128
    commissions = {"incomeType": "COMMISSION"}
    assert len(world.ok("GET", "income", **commissions)) == 1
    assert len(world.ok("GET", "income", **commissions, startTime=at)) == 2
    assert len(world.ok("GET", "income", **commissions, endTime=at)) == 1


LIMITS = (
    ("depth", {"symbol": BTC, "limit": 3}, -4021, "3 is not valid depth limit"),
    ("depth", {"symbol": BTC, "limit": 1500}, -1130, NOT_VALID.format("limit")),
    ("depth", {}, -1102, NOT_SENT.format("symbol")),
    ("trades", {"symbol": BTC, "limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("aggTrades", {"symbol": BTC, "limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("aggTrades", {"symbol": BTC, "startTime": 1, "endTime": 3_600_002}, -1127, "Lookup interval is too big."),
    ("aggTrades", {"symbol": BTC, "fromId": 1, "startTime": 1}, -1128, TEXTS[-1128]),
    ("klines", {"symbol": BTC, "interval": "1m", "limit": 1501}, -1130, NOT_VALID.format("limit")),
    ("klines", {"symbol": BTC, "interval": "1s"}, -1120, "Invalid interval."),
    ("klines", {"symbol": BTC}, -1102, NOT_SENT.format("interval")),
    ("continuousKlines", {"pair": BTC, "interval": "1m"}, -1102, NOT_SENT.format("contractType")),
    ("indexPriceKlines", {"interval": "1m"}, -1102, NOT_SENT.format("pair")),
    ("premiumIndex", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ("fundingRate", {"limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("allOrders", {"limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("userTrades", {}, -1102, NOT_SENT.format("symbol")),
    ("userTrades", {"symbol": BTC, "limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("income", {"limit": 1001}, -1130, NOT_VALID.format("limit")),
    ("allAlgoOrders", {}, -1102, NOT_SENT.format("symbol")),
    ("openOrder", {"symbol": BTC, "orderId": 1}, -2013, "Order does not exist."),
    ("order", {"symbol": BTC}, -1102, NOT_SENT.format("orderId")),
    ("/futures/data/openInterestHist", {"symbol": BTC, "period": "1m"}, -1130, NOT_VALID.format("period")),
    ("/futures/data/basis", {"pair": BTC, "period": "5m", "limit": 501}, -1130, NOT_VALID.format("limit")),
)


@pytest.mark.parametrize("path,asked,code,words", LIMITS)
def test_a_question_is_refused_in_the_exchanges_words(still, path, asked, code, words):
    assert still.call("GET", path, **asked).said == (400, code, words)


def test_the_list_of_symbols_ignores_what_it_is_asked(still):
    assert len(still.ok("GET", "exchangeInfo", symbol="NOPE")["symbols"]) == 2


def test_a_cancel_of_what_is_not_open_is_refused(world):
    world.quote()
    filled = world.order("BUY", 0.01)["orderId"]
    for asked in ({"orderId": filled}, {"orderId": 10**9}, {"origClientOrderId": "never"}):
        assert world.call("DELETE", "order", symbol=BTC, **asked).said == (400, -2011, "Unknown order sent.")
        assert world.call("DELETE", "order", symbol=ETH, **asked).code == -2011
    assert world.call("DELETE", "algoOrder", algoId=filled).code == -2011
    assert world.call("GET", "algoOrder", clientAlgoId="never").code == -2013


# ---------------------------------------------------------------------------------- batches, modifications, the switch


def test_a_batch_answers_order_by_order(world):
    world.quote()
    texts = [{name: text(value) for name, value in (LIMIT | change).items()} for change in
             ({}, {"quantity": 0.001}, {"type": "STOP_MARKET"}, {"price": 50_001, "newOrderRespType": "RESULT"})]
    answers = world.ok("POST", "batchOrders", batchOrders=texts)
    assert [one.get("status", one.get("code")) for one in answers] == ["NEW", -4164, -4120, "FILLED"]
    assert world.call("POST", "batchOrders", batchOrders=texts * 2).said == (
        400, -4082, "Invalid number of batch place orders.")  # fmt: skip
    assert world.call("POST", "batchOrders", batchOrders="nonsense").code == -1130
    first = answers[0]["orderId"]
    changes = [{"symbol": BTC, "side": "BUY", "orderId": order, "quantity": "0.01", "price": "48000"}
               for order in (first, 10**9)]  # fmt: skip
    assert [one.get("price", one.get("code")) for one in world.ok("PUT", "batchOrders", batchOrders=changes)] == \
        ["48000.00", -2013]  # fmt: skip


@pytest.mark.parametrize("ids,names", [
    ("orderIdList", "origClientOrderIdList"), ("orderidlist", "origclientorderidlist"),
])  # fmt: skip
def test_a_batch_of_cancels_takes_either_spelling(world, ids, names):
    orders = [world.order("BUY", 0.01, 49_000, newClientOrderId=f"c{k}")["orderId"] for k in range(4)]
    canceled = world.ok("DELETE", "batchOrders", symbol=BTC, **{ids: [orders[0], orders[1], 10**9]})
    assert [one.get("status", one.get("code")) for one in canceled] == ["CANCELED", "CANCELED", -2011]
    assert [one["status"] for one in world.ok("DELETE", "batchOrders", symbol=BTC, **{names: ["c2", "c3"]})] == \
        ["CANCELED"] * 2  # fmt: skip
    assert world.call("DELETE", "batchOrders", symbol=BTC, **{ids: list(range(1, 12))}).code == -1128


def test_cancelling_all_orders_leaves_conditional_ones_and_other_symbols(world):
    world.order("BUY", 0.01, 49_000)
    world.order("BUY", 0.1, 2_900, symbol=ETH)
    world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000)
    assert world.ok("DELETE", "allOpenOrders", symbol=BTC) == {
        "code": 200, "msg": "The operation of cancel all open order is done."}  # fmt: skip
    assert [o["symbol"] for o in world.ok("GET", "openOrders")] == [ETH]
    assert len(world.ok("GET", "openAlgoOrders")) == 1
    assert world.ok("DELETE", "algoOpenOrders", symbol=BTC)["code"] == 200
    assert world.ok("GET", "openAlgoOrders") == []


# What is changed of a modification of an order to buy 0.02 at 49,000 to 48,000.
MODIFIED = (
    ({}, 200, ""),
    ({"price": 49_000}, 400, -5027),
    ({"price": None}, 400, -1102),
    ({"quantity": None}, 400, -1102),
    ({"side": "SELL"}, 400, -1117),
    ({"orderId": 10**9}, 400, -2013),
    ({"price": "48000.05"}, 400, -4014),
    ({"price": 53_000}, 400, -4016),
    ({"quantity": 0.001}, 400, -5029),
    ({"quantity": 500}, 400, -2027),
    ({"price": None, "priceMatch": "QUEUE"}, 200, ""),
)


@pytest.mark.parametrize("change,status,code", MODIFIED)
def test_a_modification_is_taken_or_leaves_the_order_as_it_was(world, change, status, code):
    world.quote()
    placed = world.order("BUY", 0.02, 49_000)
    ear = world.listen()
    asked = {"symbol": BTC, "side": "BUY", "quantity": 0.02, "price": 48_000, "orderId": placed["orderId"]} | change
    answer = world.call("PUT", "order", **asked, modifyId=7)
    assert (answer.status, answer.code or "") == (status, code)
    now, events = world.ok("GET", "openOrder", symbol=BTC, orderId=placed["orderId"]), ear.heard()
    if status == 400:
        assert (now["price"], now["origQty"], events) == ("49000.00", "0.020", [])
    else:
        assert now["price"] == ("48000.00" if "priceMatch" not in change else "49999.00")
        assert (answer.body["orderId"], answer.body["modifyId"]) == (placed["orderId"], 7)
        assert (kinds(events), events[0]["o"]["M"]) == (["AMENDMENT/NEW"], 7)
        assert now["selfTradePreventionMode"] == "NONE"
        assert world.ok("GET", "orderAmendment", symbol=BTC)[0]["amendment"]["price"]["before"] == "49000.00"


def test_a_modification_loses_the_place_in_the_queue(world):
    alice = world.order("BUY", 0.02, 49_000)
    world.order("BUY", 0.02, 49_000, "bob")
    world.ok("PUT", "order", symbol=BTC, side="BUY", quantity=0.01, price=49_000, orderId=alice["orderId"])
    world.order("SELL", 0.02, 49_000, "maker")
    assert (world.position(), world.position("bob")) == (0, 0.02)


def test_a_modification_can_end_an_order(world):
    ear = world.listen()
    placed = world.order("BUY", 0.02, 49_000)
    world.order("SELL", 0.01, 49_000, "maker")
    change = {"symbol": BTC, "side": "BUY", "orderId": placed["orderId"], "quantity": 0.01, "price": 49_000}
    assert world.ok("PUT", "order", **change)["status"] == "CANCELED"
    passive = world.order("BUY", 0.02, 49_000, timeInForce="GTX")
    world.quote()
    change = {"symbol": BTC, "side": "BUY", "orderId": passive["orderId"], "quantity": 0.02, "price": 50_001}
    assert world.ok("PUT", "order", **change)["status"] == "CANCELED"
    assert [one for one in kinds(of(ear.heard(), "ORDER_TRADE_UPDATE")) if "CANCELED" in one] == \
        ["CANCELED/CANCELED"] * 2  # fmt: skip


def test_the_dead_mans_switch_cancels_ordinary_orders_of_its_symbol_when_its_time_is_over(world):
    world.order("BUY", 0.01, 49_000)
    world.order("BUY", 0.1, 2_900, symbol=ETH)
    world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000)
    assert world.ok("POST", "countdownCancelAll", symbol=BTC, countdownTime=120_000) == {
        "symbol": BTC, "countdownTime": "120000"}  # fmt: skip
    world.pass_s(119)
    world.ok("POST", "countdownCancelAll", symbol=BTC, countdownTime=120_000)
    world.pass_s(119)
    assert len(world.ok("GET", "openOrders")) == 2
    world.pass_s(1)
    assert [o["symbol"] for o in world.ok("GET", "openOrders")] == [ETH]
    assert len(world.ok("GET", "openAlgoOrders")) == 1
    world.order("BUY", 0.01, 49_000)
    world.ok("POST", "countdownCancelAll", symbol=BTC, countdownTime=1000)
    world.ok("POST", "countdownCancelAll", symbol=BTC, countdownTime=0)
    world.pass_s(10)
    assert len(world.ok("GET", "openOrders")) == 2
    assert world.call("POST", "countdownCancelAll", symbol=BTC).code == -1102


# ---------------------------------------------------------------------------------- conditional orders

# Side, type, what it asks, the marks that come, and the states that it goes through.
TRIGGERS = (
    ("SELL", "STOP_MARKET", {"triggerPrice": 49_000}, [49_001], ["NEW"]),
    ("SELL", "STOP_MARKET", {"triggerPrice": 49_000}, [49_000], "done"),
    ("BUY", "STOP_MARKET", {"triggerPrice": 51_000}, [50_999], ["NEW"]),
    ("BUY", "STOP_MARKET", {"triggerPrice": 51_000}, [51_000], "done"),
    ("SELL", "TAKE_PROFIT_MARKET", {"triggerPrice": 51_000}, [51_000], "done"),
    ("BUY", "TAKE_PROFIT_MARKET", {"triggerPrice": 49_000}, [49_000], "done"),
    ("SELL", "STOP", {"triggerPrice": 49_000, "price": 48_900}, [49_000], "done"),
    ("SELL", "STOP", {"triggerPrice": 49_000, "price": 51_000}, [49_000], ["NEW", "TRIGGERING", "TRIGGERED"]),
    ("SELL", "STOP", {"triggerPrice": 49_000, "price": 51_000, "timeInForce": "IOC"}, [49_000], "done"),
    ("SELL", "STOP", {"triggerPrice": 49_000, "price": 48_900, "timeInForce": "GTX"}, [49_000],
     ["NEW", "TRIGGERING", "REJECTED"]),
    ("SELL", "STOP", {"triggerPrice": 49_000, "price": 51_000, "timeInForce": "FOK"}, [49_000],
     ["NEW", "TRIGGERING", "REJECTED"]),
    ("SELL", "TRAILING_STOP_MARKET", {"callbackRate": 1}, [50_500, 50_000], ["NEW", "NEW"]),
    ("SELL", "TRAILING_STOP_MARKET", {"callbackRate": 1}, [51_000, 50_490], "trailed"),
    ("SELL", "TRAILING_STOP_MARKET", {"callbackRate": 1, "activatePrice": 51_000}, [49_000], ["NEW"]),
    ("SELL", "TRAILING_STOP_MARKET", {"callbackRate": 1, "activatePrice": 51_000}, [51_000], ["NEW", "NEW"]),
    ("SELL", "TRAILING_STOP_MARKET", {"callbackRate": 1, "activatePrice": 51_000}, [51_000, 50_490], "trailed"),
    ("BUY", "TRAILING_STOP_MARKET", {"callbackRate": 2, "activatePrice": 49_500}, [49_000, 49_980], "trailed"),
)  # fmt: skip
STATES = {"done": ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"],
          "trailed": ["NEW", "NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]}  # fmt: skip


@pytest.mark.parametrize("side,kind,asked,marks,states", TRIGGERS)
def test_a_conditional_order_goes_through_its_states(world, side, kind, asked, marks, states):
    world.quote(48_999, 51_001)
    ear = world.listen()
    placed = world.algo(side, kind, quantity=0.01, workingType="MARK_PRICE", **asked)
    for mark in marks:
        world.mark(mark)
    events = ear.heard()
    told = of(events, "ALGO_UPDATE")
    assert kinds(told) == (STATES[states] if isinstance(states, str) else states)
    assert world.ok("GET", "algoOrder", algoId=placed["algoId"])["algoStatus"] == told[-1]["o"]["X"]
    assert [one["algoId"] for one in world.ok("GET", "openAlgoOrders")] == (
        [placed["algoId"]] if told[-1]["o"]["X"] == "NEW" else [])  # fmt: skip
    if kind.startswith("TRAILING"):
        assert [one["o"]["ia"] for one in told][:2] == [False, True][: len(told)]
    else:
        assert all(one["o"]["ia"] for one in told)


def test_a_triggered_order_is_the_parent_of_an_ordinary_one(world):
    world.quote()
    world.hold("BUY", 0.02)
    ear = world.listen()
    placed = world.algo("SELL", "STOP_MARKET", quantity=0.02, triggerPrice=49_000, workingType="MARK_PRICE",
                        reduceOnly=True, clientAlgoId="stop-1")  # fmt: skip
    world.mark(49_000)
    events = ear.heard()
    assert kinds(events) == ["NEW", "TRIGGERING", "TRIGGERED", "NEW/NEW", "TRADE_LITE", "ORDER", "TRADE/FILLED",
                             "FINISHED"]  # fmt: skip
    states = [event["o"] for event in of(events, "ALGO_UPDATE")]
    child = of(events, "ORDER_TRADE_UPDATE")[0]["o"]
    assert [state["ai"] for state in states] == ["", "", str(child["i"]), str(child["i"])]
    assert [bool(state["tt"]) for state in states] == [False, True, True, True]
    assert (states[-1]["ap"], states[-1]["aq"], states[-1]["act"]) == ("49999.00000", "0.020", "MARKET")
    assert (child["o"], child["ot"], child["sp"], child["wt"], child["R"]) == (
        "MARKET", "STOP_MARKET", "49000.00", "MARK_PRICE", True)  # fmt: skip
    asked = world.ok("GET", "order", symbol=BTC, orderId=child["i"])
    assert (asked["type"], asked["origType"], asked["status"]) == ("MARKET", "STOP_MARKET", "FILLED")
    query = world.ok("GET", "algoOrder", clientAlgoId="stop-1")
    assert (query["actualOrderId"], query["actualQty"], query["actualPrice"]) == (
        str(child["i"]), "0.020", "49999.00000")  # fmt: skip
    assert world.call("GET", "order", symbol=BTC, orderId=placed["algoId"]).code == -2013
    assert world.call("PUT", "order", symbol=BTC, side="SELL", orderId=placed["algoId"], quantity=1, price=1).code < 0


def test_no_margin_is_asked_for_before_the_trigger_and_the_reason_is_told(world):
    world.quote()
    ear = world.listen()
    placed = world.algo("BUY", "STOP_MARKET", quantity=50, triggerPrice=50_500, workingType="MARK_PRICE")
    world.mark(50_500)
    assert kinds(ear.heard()) == ["NEW", "TRIGGERING", "REJECTED"]
    assert world.ok("GET", "algoOrder", algoId=placed["algoId"])["algoStatus"] == "REJECTED"


def test_the_reason_of_a_rejection_is_told(world):
    world.quote()
    ear = world.listen()
    world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=49_000, workingType="MARK_PRICE", reduceOnly=True)
    world.mark(49_000)
    assert of(ear.heard(), "ALGO_UPDATE")[-1]["o"]["rm"] == "ReduceOnly Order is rejected."


def test_a_close_order_closes_all_and_is_gone_with_the_position(world):
    world.quote()
    world.hold("BUY", 0.02)
    ear = world.listen()
    world.algo("SELL", "STOP_MARKET", closePosition=True, triggerPrice=49_000, workingType="MARK_PRICE")
    world.algo("SELL", "TAKE_PROFIT_MARKET", closePosition=True, triggerPrice=52_000, workingType="MARK_PRICE")
    world.mark(49_000)
    states = [(event["o"]["o"], event["o"]["X"]) for event in of(ear.heard(), "ALGO_UPDATE")]
    assert ("TAKE_PROFIT_MARKET", "EXPIRED") in states and ("STOP_MARKET", "FINISHED") in states
    assert world.position() == 0 and world.ok("GET", "openAlgoOrders") == []


def test_price_protection_waits_while_mark_and_last_price_are_apart(world):
    world.quote(47_000, 50_000)
    world.hold("BUY", 0.01)
    ear = world.listen()
    world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=47_450, workingType="MARK_PRICE", priceProtect=True)
    world.mark(47_400)
    assert kinds(ear.heard()) == ["NEW"]
    world.order("BUY", 0.01, 47_600, "bob")
    world.order("SELL", 0.01, 47_600, "maker")
    world.mark(47_400)
    assert kinds(ear.heard())[:2] == ["TRIGGERING", "TRIGGERED"]


def test_conditional_orders_follow_the_last_price_unless_told_otherwise(world):
    world.hold("BUY", 0.01)
    ear = world.listen()
    assert world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=49_000)["workingType"] == "CONTRACT_PRICE"
    world.mark(48_000)
    assert kinds(ear.heard()) == ["NEW"]
    world.order("BUY", 0.02, 49_000, "maker")
    world.order("SELL", 0.01, 49_000, "bob")
    assert kinds(of(ear.heard(), "ALGO_UPDATE")) == ["TRIGGERING", "TRIGGERED", "FINISHED"]


def test_cancelling_a_conditional_order_is_answered_with_a_code_in_quotes(world):
    placed = world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000, clientAlgoId="a1")
    assert world.ok("DELETE", "algoOrder", clientAlgoId="a1") == {
        "algoId": placed["algoId"], "clientAlgoId": "a1", "code": "200", "msg": "success"}  # fmt: skip
    assert world.call("DELETE", "algoOrder", clientAlgoId="a1").said == (400, -2011, "Unknown order sent.")


# ---------------------------------------------------------------------------------- modes, leverage and margin


@pytest.fixture
def hedger():
    with World(setup("alice", hedge=True), setup("bob"), setup("maker", 100_000_000)) as one:
        one.mark(50_000)
        one.quote()
        yield one


# What is sent in hedge mode while long 0.02 and short 0.01.
HEDGED = (
    ({}, -4061), ({"positionSide": "BOTH"}, -4061), ({"positionSide": "LONG", "reduceOnly": True}, -4062),
    ({"positionSide": "LONG", "side": "BUY"}, 0), ({"positionSide": "LONG", "side": "SELL", "quantity": 0.02}, 0),
    ({"positionSide": "LONG", "side": "SELL", "quantity": 0.021}, -2022),
    ({"positionSide": "SHORT", "side": "SELL"}, 0), ({"positionSide": "SHORT", "side": "BUY"}, 0),
    ({"positionSide": "SHORT", "side": "BUY", "quantity": 0.011}, -2022),
)  # fmt: skip


@pytest.mark.parametrize("change,code", HEDGED)
def test_hedge_mode_has_two_legs_and_the_closing_side_only_closes(hedger, change, code):
    hedger.order("BUY", 0.02, positionSide="LONG")
    hedger.order("SELL", 0.01, positionSide="SHORT")
    answer = hedger.call("POST", "order", **(MARKET | change))
    assert answer.code == code


def test_hedge_mode_shows_both_legs_and_tells_the_one_that_changed(hedger):
    ear = hedger.listen()
    hedger.order("BUY", 0.02, positionSide="LONG")
    hedger.order("SELL", 0.01, positionSide="SHORT")
    rows = hedger.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [("LONG", "0.020"), ("SHORT", "-0.010")]
    told = [event["a"]["P"] for event in of(ear.heard(), "ACCOUNT_UPDATE")]
    assert [[(row["ps"], row["pa"]) for row in rows] for rows in told] == [[("LONG", "0.020")], [("SHORT", "-0.010")]]
    assert hedger.ok("GET", "adlQuantile", symbol=BTC)[0]["adlQuantile"].keys() == {"LONG", "SHORT", "HEDGE"}


def test_settings_that_change_nothing_are_refused(world):
    for path, asked, code, words in (
        ("marginType", {"symbol": BTC, "marginType": "CROSSED"}, -4046, "No need to change margin type."),
        ("positionSide/dual", {"dualSidePosition": False}, -4059, "No need to change position side."),
        ("multiAssetsMargin", {"multiAssetsMargin": False}, -4171, "No need to change Multi-Assets mode."),
    ):
        assert world.call("POST", path, **asked).said == (400, code, words)


def test_modes_do_not_change_under_orders_and_positions(world):
    def codes():
        return [world.call("POST", path, **asked).code for path, asked in (
            ("marginType", {"symbol": BTC, "marginType": "ISOLATED"}),
            ("positionSide/dual", {"dualSidePosition": True}))]  # fmt: skip

    world.order("BUY", 0.01, 49_000)
    assert codes() == [-4047, -4067]
    assert world.call("POST", "multiAssetsMargin", multiAssetsMargin=True).said == (400, -4170, TEXTS[-4170])
    world.ok("DELETE", "allOpenOrders", symbol=BTC)
    world.hold("BUY", 0.01)
    assert codes() == [-4048, -4068]


def test_multi_assets_and_isolated_margin_exclude_each_other(world):
    world.ok("POST", "marginType", symbol=BTC, marginType="ISOLATED")
    assert world.call("POST", "multiAssetsMargin", multiAssetsMargin=True).code == -4167
    world.ok("POST", "marginType", symbol=BTC, marginType="CROSSED")
    world.ok("POST", "multiAssetsMargin", multiAssetsMargin=True)
    assert world.call("POST", "marginType", symbol=BTC, marginType="ISOLATED").code == -4168
    assert world.ok("GET", "multiAssetsMargin") == {"multiAssetsMargin": True}


def test_leverage_has_bounds_and_is_told(world):
    ear = world.listen()
    for leverage, code in ((0, -4028), (151, -4028), (150, 0)):
        answer = world.call("POST", "leverage", symbol=BTC, leverage=leverage)
        assert answer.code == code
        assert code == 0 or answer.body["msg"] == f"Leverage {leverage} is not valid"
    assert answer.body == {"leverage": 150, "maxNotionalValue": "300000", "symbol": BTC}
    told = ear.heard()
    assert [(event["e"], event["ac"]) for event in told] == [("ACCOUNT_CONFIG_UPDATE", {"s": BTC, "l": 150})]
    world.hold("BUY", 1)
    assert world.call("POST", "leverage", symbol=BTC, leverage=1).said == (400, -2028, TEXTS[-2028])
    world.ok("POST", "marginType", "bob", symbol=BTC, marginType="ISOLATED")
    world.hold("BUY", 0.1, who="bob")
    assert world.call("POST", "leverage", "bob", symbol=BTC, leverage=10).said == (400, -4161, TEXTS[-4161])


def test_margin_moves_into_and_out_of_an_isolated_leg(world):
    move = {"symbol": BTC, "amount": 100, "type": 1}
    assert world.call("POST", "positionMargin", **move).said == (400, -4049, TEXTS[-4049])
    world.ok("POST", "marginType", symbol=BTC, marginType="ISOLATED")
    assert world.call("POST", "positionMargin", **move).said == (400, -4054, TEXTS[-4054])
    world.hold("BUY", 0.02)
    ear = world.listen()
    assert world.ok("POST", "positionMargin", **move) == {
        "amount": 100, "code": 200, "msg": "Successfully modify position margin.", "type": 1}  # fmt: skip
    for change, code in (({"amount": -1}, -4055), ({"amount": 10**6}, -4050), ({"type": 3}, -1130),
                         ({"positionSide": "LONG"}, -4061), ({"type": 2, "amount": 101}, -4051)):  # fmt: skip
        assert world.call("POST", "positionMargin", **(move | change)).code == code
    assert world.ok("POST", "positionMargin", **(move | {"type": 2}))["type"] == 2
    events = ear.heard()
    assert [event["a"]["m"] for event in events] == ["MARGIN_TRANSFER"] * 2
    assert [event["a"]["P"][0]["iw"] for event in events] == ["150.00000000", "50.00000000"]
    assert [row["type"] for row in world.ok("GET", "positionMargin/history", symbol=BTC)] == [1, 2]


def test_a_change_of_margin_type_is_told_by_the_account(world):
    ear = world.listen()
    world.ok("POST", "marginType", symbol=BTC, marginType="ISOLATED")
    (event,) = ear.heard()
    assert (event["a"]["m"], event["a"]["P"][0]["mt"]) == ("MARGIN_TYPE_CHANGE", "isolated")
    assert world.ok("GET", "symbolConfig", symbol=BTC)[0]["marginType"] == "ISOLATED"
    assert world.ok("GET", "/fapi/v2/positionRisk", symbol=BTC)[0]["marginType"] == "isolated"


def test_a_change_of_position_mode_is_told_by_nothing(world):
    ear = world.listen()
    world.ok("POST", "positionSide/dual", dualSidePosition=True)
    assert ear.heard() == []
    assert world.ok("GET", "positionSide/dual") == {"dualSidePosition": True}


# ---------------------------------------------------------------------------------- funding, fees, liquidation


@pytest.mark.parametrize("isolated", [False, True])
def test_funding_is_paid_booked_and_told(world, isolated):
    if isolated:
        world.ok("POST", "marginType", symbol=BTC, marginType="ISOLATED")
    world.hold("BUY", 0.1)
    ear, before = world.listen(), world.wallet()
    world.fault("funding", symbol=BTC, rate=0.001)
    assert world.wallet() == pytest.approx(before - 5)
    (event,) = ear.heard()
    assert (event["a"]["m"], event["a"]["S"], event["a"]["B"][0]["bc"]) == ("FUNDING_FEE", BTC, "-5")
    assert len(event["a"]["P"]) == isolated
    income = world.ok("GET", "income", incomeType="FUNDING_FEE")
    assert [(row["income"], row["info"], row["symbol"]) for row in income] == [("-5.00000000", "FUNDING_FEE", BTC)]
    assert world.ok("GET", "fundingRate", symbol=BTC)[-1]["fundingRate"] == "0.00100000"


def test_income_has_one_number_a_booking_and_names_its_trade(world):
    world.quote()
    world.order("BUY", 0.02)
    world.order("SELL", 0.01)
    rows = world.ok("GET", "income")
    assert [row["incomeType"] for row in rows] == ["TRANSFER", "COMMISSION", "COMMISSION", "REALIZED_PNL"]
    assert len({(row["incomeType"], row["tranId"]) for row in rows}) == 4
    trades = world.ok("GET", "userTrades", symbol=BTC)
    assert [row["tradeId"] for row in rows[1:]] == [str(trades[0]["id"]), *[str(trades[1]["id"])] * 2]
    assert rows[3]["income"] == trades[1]["realizedPnl"] == "-0.02000000"
    assert [row["info"] for row in rows] == [row["incomeType"] for row in rows]


def test_fees_in_the_coin_are_told_with_its_wallet():
    specs = [spec(BTC, leverage=20), spec("BNBUSDT", leverage=20)]
    rich = setup("alice")
    alice = type(rich)(rich.key, (10_000 * E8, 10 * E8, 0, 0, 0), fee_coin=True)
    with World(alice, setup("maker", 100_000_000), specs=specs) as world:
        world.prices["BNBUSDT"] = 500
        world.mark(50_000)
        world.do(lambda: feed_index(world))
        world.quote()
        ear = world.listen()
        world.order("BUY", 0.01)
        balances = of(ear.heard(), "ACCOUNT_UPDATE")[0]["a"]["B"]
        assert [row["a"] for row in balances] == ["BNB"]
        world.order("SELL", 0.01)
        events = ear.heard()
        assert {row["a"] for row in of(events, "ACCOUNT_UPDATE")[0]["a"]["B"]} == {"BNB", "USDT"}
        assert of(events, "ORDER_TRADE_UPDATE")[-1]["o"]["N"] == "BNB"


def feed_index(world):
    now = world.server.clock.now()
    world.server.step(now, market_row(Kind.ASSET_INDEX, 0, now, 1, 500 * E8))


def test_a_margin_call_comes_once_at_four_fifths_and_again_after_recovery(world):
    world.ok("POST", "leverage", symbol=BTC, leverage=75)
    world.hold("BUY", 10)
    ear = world.listen()
    # Maintenance 0.5 % of the notional less 300: at 49,250 it is 2,162.50 of 2,250 that are left (and fees).
    world.mark(49_500)
    world.pass_s(1)
    assert ear.heard() == []
    world.mark(49_270)
    world.pass_s(3)
    (call,) = ear.heard()
    assert call.keys() == {"e", "E", "cw", "p"}
    (leg,) = call["p"]
    assert (leg["s"], leg["ps"], leg["pa"], leg["mt"], leg["mp"]) == (BTC, "BOTH", "10.000", "CROSSED", "49270")
    assert leg["mm"] == "2163.5" and leg["up"] == "-7300"
    world.mark(50_000)
    world.pass_s(1)
    world.mark(49_270)
    world.pass_s(1)
    assert kinds(ear.heard()) == ["MARGIN_CALL"]


def test_an_isolated_leg_has_a_margin_call_of_its_own(world):
    world.ok("POST", "marginType", symbol=BTC, marginType="ISOLATED")
    world.hold("BUY", 1)
    ear = world.listen()
    world.mark(47_735)
    world.pass_s(1)
    (call,) = ear.heard()
    assert "cw" not in call
    assert [(leg["mt"], leg["iw"]) for leg in call["p"]] == [("ISOLATED", "2500.00000000")]


def test_a_liquidation_ends_orders_closes_by_force_and_is_shown_to_all(world):
    world.ok("POST", "leverage", symbol=BTC, leverage=75)
    world.hold("BUY", 10)
    world.order("BUY", 0.01, 45_000)
    world.algo("SELL", "STOP_MARKET", quantity=0.01, triggerPrice=40_000)
    world.order("BUY", 20, 49_200, "maker")
    ear, public = world.listen(), world.hear("/market/ws/btcusdt@forceOrder")
    world.mark(49_200)
    world.pass_s(2)
    events = ear.heard()
    orders = [event["o"] for event in of(events, "ORDER_TRADE_UPDATE")]
    assert (orders[0]["X"], orders[0]["er"]) == ("EXPIRED", "5")
    forced = orders[-1]
    assert forced["c"].startswith("autoclose-") and (forced["x"], forced["X"], forced["f"]) == (
        "CALCULATED", "FILLED", "IOC")  # fmt: skip
    assert kinds(of(events, "ALGO_UPDATE"))[-1] == "EXPIRED"
    assert world.position() == 0
    assert {row["incomeType"] for row in world.ok("GET", "income")} >= {"INSURANCE_CLEAR", "REALIZED_PNL"}
    listed = world.ok("GET", "forceOrders", symbol=BTC)
    assert listed and all(row["clientOrderId"].startswith("autoclose-") for row in listed)
    assert world.ok("GET", "forceOrders", autoCloseType="ADL") == []
    shown = public.heard()
    assert shown and shown[0]["o"]["S"] == "SELL" and shown[0]["o"]["X"] == "FILLED"


def test_deleveraging_and_settlement_have_names_of_their_own(world):
    world.hold("BUY", 0.1)
    ear = world.listen()
    world.fault("adl", account="alice", symbol=BTC, share=0.5)
    assert world.position() == 0.05
    assert of(ear.heard(), "ORDER_TRADE_UPDATE")[-1]["o"]["c"].startswith("adl_autoclose")
    world.fault("settle", symbol=BTC, price=50_500)
    last = of(ear.heard(), "ORDER_TRADE_UPDATE")[-1]["o"]
    assert last["c"].startswith("settlement_autoclose-") and last["L"] == "50500.00"
    assert world.position() == 0
    assert world.call("POST", "order", **LIMIT).said == (400, -4141, "Symbol is closed.")
    assert [row["clientOrderId"][:3] for row in world.ok("GET", "forceOrders")] == ["adl"]


# ---------------------------------------------------------------------------------- streams and the request socket


def test_a_listen_key_lives_an_hour_after_it_was_last_asked_for(world):
    key = world.ok("POST", "listenKey")["listenKey"]
    ear = world.hear(f"/private/ws/{key}")
    world.wall_ms += 50 * 60_000
    assert world.ok("POST", "listenKey")["listenKey"] == key
    world.wall_ms += 50 * 60_000
    assert world.ok("PUT", "listenKey")["listenKey"] == key
    world.wall_ms += 59 * 60_000
    world.pass_s(1)
    assert ear.heard() == []
    world.wall_ms += 60_000
    world.pass_s(1)
    (event,) = ear.heard()
    assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
    assert world.call("PUT", "listenKey").said == (400, -1125, "This listenKey does not exist.")
    world.order("BUY", 0.01, 49_000)
    assert ear.heard() == []
    again = world.ok("POST", "listenKey")["listenKey"]
    assert again != key and world.ok("DELETE", "listenKey") == {}
    assert world.call("PUT", "listenKey").code == -1125


def test_several_sockets_hear_one_user_and_a_filter_lets_its_events_pass(world):
    key = world.ok("POST", "listenKey")["listenKey"]
    paths = (f"/private/ws/{key}", f"/private/ws?listenKey={key}",
             f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE", f"/private/stream?listenKey={key}",
             f"/ws/{key}", f"/market/ws/{key}")  # fmt: skip
    ears = [world.hear(path) for path in paths]
    later = world.hear("/private/stream")
    later.tell({"method": "SUBSCRIBE", "params": [key], "id": "c0ffee"})
    world.quote()
    world.order("BUY", 0.01)
    whole = ["NEW/NEW", "TRADE_LITE", "ORDER", "TRADE/FILLED"]
    heard = [ear.heard() for ear in (*ears, later)]
    assert [kinds(heard[k]) for k in (0, 1, 2)] == [whole, whole, ["NEW/NEW", "TRADE/FILLED"]]
    for wrapped in (heard[3], heard[6]):
        assert kinds([one["data"] for one in wrapped]) == whole and {one["stream"] for one in wrapped} == {key}
    assert heard[4] == heard[5] == []


@pytest.mark.parametrize("silent", [True, False])
def test_sockets_without_a_route_hear_the_public_family_only_since_april_2026(silent):
    with World(legacy_silent=silent) as world:
        world.mark(50_000)
        key = world.ok("POST", "listenKey")["listenKey"]
        ear = world.hear("/ws/btcusdt@bookTicker")
        assert ear.tell({"method": "SUBSCRIBE", "params": [key, "btcusdt@markPrice@1s"], "id": 1})["result"] is None
        world.quote()
        world.order("BUY", 0.01)
        heard = {event["e"] for event in ear.heard()}
        assert "bookTicker" in heard
        assert ("ORDER_TRADE_UPDATE" in heard) is not silent


SOCKET_WEIGHTS = {
    "order.place": 0, "order.modify": 0, "order.cancel": 1, "order.status": 1, "algoOrder.place": 0,
    "algoOrder.cancel": 1, "account.status": 5, "v2/account.status": 5, "account.balance": 5, "v2/account.balance": 5,
    "account.position": 5, "v2/account.position": 5, "depth": 10, "ticker.price": 2, "ticker.book": 5,
    "userDataStream.start": 1, "userDataStream.ping": 1, "userDataStream.stop": 1,
}  # fmt: skip


def test_the_request_socket_has_the_documented_methods_with_their_weights():
    assert {name: ROUTES[METHODS[name]].weighs(Params({})) for name in METHODS} == SOCKET_WEIGHTS


def test_the_request_socket_answers_as_http_does_with_limits(world):
    world.wall_ms -= world.wall_ms % 60_000
    ear = world.hear("/ws-fapi/v1")
    placed = world.rpc(ear, "order.place", id_="a", **LIMIT)
    assert (placed["id"], placed["status"], placed["result"]["status"]) == ("a", 200, "NEW")
    assert [(one["rateLimitType"], one["interval"], one["count"]) for one in placed["rateLimits"]] == [
        ("ORDERS", "SECOND", 1), ("ORDERS", "MINUTE", 1), ("REQUEST_WEIGHT", "MINUTE", 5)]  # fmt: skip
    refused = world.rpc(ear, "order.place", id_=2, **(LIMIT | {"type": "STOP_MARKET"}))
    assert (refused["id"], refused["status"], refused["error"]) == (2, 400, {"code": -4120, "msg": TEXTS[-4120]})
    gone = world.rpc(ear, "order.cancel", id_=None, symbol=BTC, orderId=placed["result"]["orderId"])
    assert (gone["id"], gone["result"]["status"]) == (None, "CANCELED")
    session = world.rpc(ear, "session.status", id_=4)
    assert session["rateLimits"][0]["count"] == gone["rateLimits"][0]["count"] + 2
    logon = world.rpc(ear, "session.logon", id_=5)
    assert (logon["status"], "HMAC" in logon["error"]["msg"]) == (400, True)
    silent = world.hear("/ws-fapi/v1?returnRateLimits=false")
    assert "rateLimits" not in world.rpc(silent, "ticker.price", symbol=BTC)


def test_a_request_socket_is_pinged_and_ends_after_a_day(world):
    ear = world.hear("/ws-fapi/v1")
    world.rpc(ear, "ticker.price", symbol=BTC)
    pings = []
    (socket,) = world.do(lambda: list(world.server.reception._talking))
    world.do(lambda: setattr(socket, "ping", lambda: pings.append(1)))
    for at in (0, 179_999, 180_000):
        world.do(lambda at=at: world.server.reception.tick(at))
    assert pings == [1]
    world.do(lambda: world.server.reception.tick(600_000))
    with pytest.raises(Exception, match="1008"):
        ear.next()


def test_six_pings_in_a_second_end_a_request_socket(world):
    ear = world.hear("/ws-fapi/v1")
    for _ in range(6):
        ear.socket.ping()
    with pytest.raises(Exception, match="1008"):
        ear.next()


def test_requests_at_one_stamp_and_events_never_go_back_in_time():
    with World(lively=True, rate_per_s=200.0) as world:
        ear = world.listen()
        for k in range(60):
            world.order("BUY" if k % 2 else "SELL", 0.01)
        events = ear.heard()
        for kind in ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE"):
            stamps = [(event["T"], event["E"]) for event in of(events, kind)]
            assert stamps == sorted(stamps) and len(stamps) >= 60
            assert all(e >= t for t, e in stamps)


def test_a_synthetic_market_begins_where_it_was_told():
    with World(lively=True) as world:
        assert float(world.ok("GET", "ticker/bookTicker", symbol=BTC)["bidPrice"]) == pytest.approx(50_000, rel=0.01)


def test_a_change_by_somebody_else_is_a_setting_like_any_other(world):
    ear = world.listen()
    world.fault("leverage", account="alice", symbol=BTC, value=7)
    assert of(ear.heard(), "ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": BTC, "l": 7}
    assert world.records("setting")[-1]["setting"] == int(Setting.LEVERAGE)
