"""Every message that the exchange's documents show, made by the exchange on loopback: same keys, types and formats.

The samples lie beside the project; what differs from them stands here in tables, with the reason.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from loopback_world import E8, Ear, World, setup
from test_loopback_market import REQUESTS, STREAMS

from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key, sorted_payload

BTC, ETH = "BTCUSDT", "ETHUSDT"
TAKE_PROFIT = {"timeInForce": "GTC", "quantity": 0.01, "price": 55_000, "triggerPrice": 55_000}
ED25519 = Ed25519PrivateKey.generate()
PEM = ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

Make = Callable[["Desk"], Any]


class Desk:
    """The exchange and the sockets of those who listen to it."""

    def __init__(self, world: World):
        self.world = world
        self.requests = world.hear("/ws-fapi/v1")
        self.ears: dict[str, Ear] = {}

    def get(self, path: str, who: str = "alice", **params: Any) -> Any:
        return self.world.ok("GET", path, who, **params)

    def post(self, path: str, who: str = "alice", **params: Any) -> Any:
        return self.world.ok("POST", path, who, **params)

    def put(self, path: str, who: str = "alice", **params: Any) -> Any:
        return self.world.ok("PUT", path, who, **params)

    def delete(self, path: str, who: str = "alice", **params: Any) -> Any:
        return self.world.ok("DELETE", path, who, **params)

    def rpc(self, method: str, who: str = "alice", **params: Any) -> Any:
        """Make a call over the request socket; its whole answer."""
        return self.world.rpc(self.requests, method, who, "605a6d20-6588-4cb9-afa0-b0ab087507ba", **params)

    def resting(self, who: str = "alice", **more: Any) -> Any:
        """Place an order that nobody will meet."""
        return self.world.order("BUY", 0.01, 45_000, who, **more)

    def waiting(self, who: str = "alice", **more: Any) -> Any:
        """Place a conditional order that nothing will trigger."""
        return self.world.algo("SELL", "TAKE_PROFIT", who, **(TAKE_PROFIT | more))

    def told(self, act: Callable[[], Any], event: str, who: str = "alice") -> list[Any]:
        """Return the events of a kind that somebody hears of what is done."""
        if who not in self.ears:
            self.ears[who] = self.world.listen(who)
        self.ears[who].heard()
        act()
        return [one for one in self.ears[who].heard() if one["e"] == event]


def named(order: dict[str, Any]) -> dict[str, Any]:
    """Return what names an order."""
    return {name: order[name] for name in ("symbol", "orderId", "algoId") if name in order}


# ---------------------------------------------------------------------- how each is made


def _income(desk: Desk) -> Any:
    rows = desk.get("income")
    return [next(row for row in rows if row["incomeType"] == kind) for kind in ("TRANSFER", "COMMISSION")]


def _amended(desk: Desk, **more: Any) -> dict[str, Any]:
    return named(desk.resting()) | {"side": "BUY", "quantity": 0.02, "price": 45_100} | more


def _amendments(desk: Desk) -> Any:
    change = _amended(desk)
    for price in (45_100, 45_200, 45_300):
        desk.put("order", **(change | {"price": price}))
    return desk.get("orderAmendment", symbol=BTC, orderId=change["orderId"])


def _cancel_batch(desk: Desk) -> Any:
    return desk.delete("batchOrders", symbol=BTC, orderIdList=[desk.resting()["orderId"], 1])


def _place_batch(desk: Desk) -> Any:
    order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "45000"}
    exit_ = {"symbol": ETH, "side": "SELL", "type": "MARKET", "quantity": "1", "reduceOnly": "true"}
    return desk.post("batchOrders", batchOrders=[order, exit_])


def _change_batch(desk: Desk) -> Any:
    change = {name: str(value) for name, value in _amended(desk).items()}
    return desk.put("batchOrders", batchOrders=[change, change | {"orderId": "1"}])


def _forced(desk: Desk) -> Any:
    world = desk.world
    world.hold("BUY", 0.01, who="forced")
    world.fault("liquidate", account="forced")
    world.hold("SELL", 0.01, who="forced")
    world.fault("adl", account="forced", symbol=BTC)
    return desk.get("forceOrders", "forced", symbol=BTC)


def _margins(desk: Desk) -> Any:
    _margin(desk)
    return desk.get("positionMargin/history", "lonely", symbol=BTC)


def _margin(desk: Desk) -> Any:
    return desk.post("positionMargin", "lonely", symbol=BTC, amount=100, type=1)


def _canceled_algo(desk: Desk) -> dict[str, Any]:
    algo = desk.waiting()
    desk.delete("algoOrder", **named(algo))
    return algo


def _quantiles(desk: Desk) -> Any:
    return [desk.get("adlQuantile", "hedger")[0], desk.get("adlQuantile")[0]]


def _switch(path: str, name: str) -> Make:
    def make(desk: Desk) -> Any:
        is_set = desk.get(path, "settler")[name]
        return desk.post(path, "settler", **{name: not is_set})

    return make


def _leverage(desk: Desk) -> Any:
    return desk.told(lambda: desk.post("leverage", symbol=ETH, leverage=25), "ACCOUNT_CONFIG_UPDATE")[-1]


def _mode(desk: Desk) -> Any:
    return desk.told(lambda: _switch("multiAssetsMargin", "multiAssetsMargin")(desk), "ACCOUNT_CONFIG_UPDATE",
                     "settler")[-1]  # fmt: skip


def _account_update(desk: Desk) -> Any:
    return desk.told(lambda: desk.world.hold("BUY", 0.002, who="lonely"), "ACCOUNT_UPDATE", "lonely")[-1]


def _margin_call(desk: Desk) -> Any:
    world = desk.world
    world.hold("BUY", 0.2, who="called")

    def fall() -> None:
        world.mark(47_490)  # 43 USDT are left behind 38 of maintenance margin
        world.pass_s(2)
        world.mark(50_000)

    return desk.told(fall, "MARGIN_CALL", "called")[-1]


def _child_of_trailing(desk: Desk) -> Any:
    """Let a trailing order fire; return what is told of its child."""
    world = desk.world
    world.algo("BUY", "TRAILING_STOP_MARKET", quantity=0.002, callbackRate=1, activatePrice=49_000)

    def fire() -> None:
        for price in (48_900, 49_500):  # beyond its activation, and back by more than its rate
            world.order("SELL", 0.002, price, "maker")
            world.order("BUY", 0.002, price, "taker")
        world.order("SELL", 0.002, 50_000, "maker")

    world.order("SELL", 0.002, 50_500, "maker")
    return desk.told(fire, "ORDER_TRADE_UPDATE")


def _lite(desk: Desk) -> Any:
    return desk.told(lambda: desk.world.hold("BUY", 0.002), "TRADE_LITE")[-1]


def _expired(desk: Desk) -> Any:
    return desk.told(lambda: desk.world.fault("expire_key", account="expired"), "listenKeyExpired", "expired")[-1]


def _algo_update(desk: Desk) -> Any:
    algo = desk.waiting()
    return desk.told(lambda: desk.delete("algoOrder", **named(algo)), "ALGO_UPDATE")[-1]


def _listened(desk: Desk, method: str) -> Any:
    desk.post("listenKey", "keyed")
    return desk.rpc(method, "keyed")


def _log_on(desk: Desk, ear: Ear, who: str) -> Any:
    params: dict[str, Any] = {"apiKey": f"{who}-key", "timestamp": desk.world.stamp_ms}
    signed = params | {"signature": base64.b64encode(ED25519.sign(sorted_payload(params))).decode()}
    ear.socket.send(json.dumps({"id": "c174a2b1", "method": "session.logon", "params": signed}))
    return ear.next()


def _logged_on(method: str) -> Make:
    def make(desk: Desk) -> Any:
        ear = desk.world.hear("/ws-fapi/v1?returnRateLimits=false")
        answer = _log_on(desk, ear, "ed")
        if method == "session.logon":
            return answer
        ear.socket.send(json.dumps({"id": "c174a2b1", "method": method}))
        return ear.next()

    return make


def _revoked(desk: Desk) -> Any:
    ear = desk.world.hear("/ws-fapi/v1")
    _log_on(desk, ear, "gone")
    desk.world.fault("revoke_key", account="gone")
    return ear.next()


def _control(*frames: dict[str, Any]) -> Make:
    def make(desk: Desk) -> Any:
        ear = desk.world.hear("/market/ws")
        return [ear.tell(frame) for frame in frames][-1]

    return make


SUBSCRIBE = {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1}
GENERAL = "ws websocket-api-general-info.md"
CONTROL = "ws websocket-market-streams/Live-Subscribing-Unsubscribing-to-streams.md"

MADE: dict[tuple[str, int], Make] = {
    ("GET /fapi/v1/ping", 0): lambda d: d.get("ping"),
    ("GET /fapi/v1/time", 0): lambda d: d.get("time"),
    # account
    ("GET /fapi/v1/accountConfig", 0): lambda d: d.get("accountConfig"),
    ("GET /fapi/v2/account", 0): lambda d: d.get("/fapi/v2/account"),
    ("GET /fapi/v2/account", 1): lambda d: d.get("/fapi/v2/account", "many"),
    ("GET /fapi/v3/account", 0): lambda d: d.get("/fapi/v3/account", "lonely"),
    ("GET /fapi/v2/balance", 0): lambda d: d.get("/fapi/v2/balance"),
    ("GET /fapi/v3/balance", 0): lambda d: d.get("/fapi/v3/balance"),
    ("GET /fapi/v1/apiTradingStatus", 0): lambda d: d.get("apiTradingStatus", symbol=BTC),
    ("GET /fapi/v1/apiTradingStatus", 1): lambda d: d.get("apiTradingStatus"),
    ("GET /fapi/v1/feeBurn", 0): lambda d: d.get("feeBurn"),
    ("GET /fapi/v1/multiAssetsMargin", 0): lambda d: d.get("multiAssetsMargin"),
    ("GET /fapi/v1/positionSide/dual", 0): lambda d: d.get("positionSide/dual"),
    ("GET /fapi/v1/income", 0): _income,
    ("GET /fapi/v1/leverageBracket", 0): lambda d: d.get("leverageBracket"),
    ("GET /fapi/v1/leverageBracket", 1): lambda d: d.get("leverageBracket", symbol=BTC),
    ("GET /fapi/v1/rateLimit/order", 0): lambda d: d.get("rateLimit/order"),
    ("GET /fapi/v1/symbolConfig", 0): lambda d: d.get("symbolConfig"),
    ("GET /fapi/v1/commissionRate", 0): lambda d: d.get("commissionRate", symbol=BTC),
    ("GET /fapi/v1/positionMargin/history", 0): _margins,
    ("GET /fapi/v1/adlQuantile", 0): _quantiles,
    ("GET /fapi/v2/positionRisk", 0): lambda d: d.get("/fapi/v2/positionRisk", "lonely"),
    ("GET /fapi/v2/positionRisk", 1): lambda d: d.get("/fapi/v2/positionRisk", "hedger", symbol=BTC),
    ("GET /fapi/v3/positionRisk", 0): lambda d: d.get("/fapi/v3/positionRisk", symbol=BTC),
    ("GET /fapi/v3/positionRisk", 1): lambda d: d.get("/fapi/v3/positionRisk", "hedger"),
    ("POST /fapi/v1/feeBurn", 0): _switch("feeBurn", "feeBurn"),
    ("POST /fapi/v1/leverage", 0): lambda d: d.post("leverage", symbol=ETH, leverage=21),
    ("POST /fapi/v1/marginType", 0): lambda d: d.post("marginType", "keyed", symbol=ETH, marginType="ISOLATED"),
    ("POST /fapi/v1/multiAssetsMargin", 0): _switch("multiAssetsMargin", "multiAssetsMargin"),
    ("POST /fapi/v1/positionSide/dual", 0): _switch("positionSide/dual", "dualSidePosition"),
    ("POST /fapi/v1/positionMargin", 0): _margin,
    ("POST /fapi/v1/listenKey", 0): lambda d: d.post("listenKey", "keyed"),
    ("PUT /fapi/v1/listenKey", 0): lambda d: d.post("listenKey", "keyed") and d.put("listenKey", "keyed"),
    ("DELETE /fapi/v1/listenKey", 0): lambda d: d.delete("listenKey", "keyed"),
    # orders
    ("POST /fapi/v1/order", 0): lambda d: d.resting(timeInForce="GTD", goodTillDate=d.world.now_ms + 700_000),
    ("POST /fapi/v1/order/test", 0): lambda d: d.post("order/test", symbol=BTC, side="BUY", type="LIMIT", quantity=1,
                                                      price=45_000, timeInForce="GTC"),
    ("POST /fapi/v1/batchOrders", 0): _place_batch,
    ("PUT /fapi/v1/order", 0): lambda d: d.put("order", **_amended(d)),
    ("PUT /fapi/v1/batchOrders", 0): _change_batch,
    ("DELETE /fapi/v1/order", 0): lambda d: d.delete("order", **named(d.resting())),
    ("DELETE /fapi/v1/batchOrders", 0): _cancel_batch,
    ("DELETE /fapi/v1/allOpenOrders", 0): lambda d: d.delete("allOpenOrders", symbol=BTC),
    ("POST /fapi/v1/countdownCancelAll", 0): lambda d: d.post("countdownCancelAll", symbol=BTC, countdownTime=100_000),
    ("GET /fapi/v1/order", 0): lambda d: d.get("order", **named(d.resting())),
    ("GET /fapi/v1/openOrder", 0): lambda d: d.get("openOrder", **named(d.resting())),
    ("GET /fapi/v1/openOrders", 0): lambda d: d.resting() and d.get("openOrders"),
    ("GET /fapi/v1/allOrders", 0): lambda d: d.resting() and d.get("allOrders", symbol=BTC),
    ("GET /fapi/v1/orderAmendment", 0): _amendments,
    ("GET /fapi/v1/userTrades", 0): lambda d: d.get("userTrades", symbol=BTC),
    ("GET /fapi/v1/forceOrders", 0): _forced,
    # conditional orders
    ("POST /fapi/v1/algoOrder", 0): lambda d: d.waiting(),
    ("DELETE /fapi/v1/algoOrder", 0): lambda d: d.delete("algoOrder", **named(d.waiting())),
    ("DELETE /fapi/v1/algoOpenOrders", 0): lambda d: d.delete("algoOpenOrders", symbol=BTC),
    ("GET /fapi/v1/algoOrder", 0): lambda d: d.get("algoOrder", **named(_canceled_algo(d))),
    ("GET /fapi/v1/openAlgoOrders", 0): lambda d: d.waiting() and d.get("openAlgoOrders"),
    ("GET /fapi/v1/allAlgoOrders", 0): lambda d: _canceled_algo(d) and d.get("allAlgoOrders", symbol=BTC),
    # the request socket
    ("ws-api order.place", 0): lambda d: d.rpc("order.place", symbol=BTC, side="BUY", type="LIMIT", quantity=0.01,
                                               price=45_000, timeInForce="GTC"),
    ("ws-api order.modify", 0): lambda d: d.rpc("order.modify", **_amended(d)),
    ("ws-api order.cancel", 0): lambda d: d.rpc("order.cancel", **named(d.resting())),
    ("ws-api order.status", 0): lambda d: d.rpc("order.status", **named(d.resting())),
    ("ws-api algoOrder.place", 0): lambda d: d.rpc("algoOrder.place", algoType="CONDITIONAL", symbol=BTC, side="SELL",
                                                   type="TAKE_PROFIT", **TAKE_PROFIT),
    ("ws-api algoOrder.cancel", 0): lambda d: d.rpc("algoOrder.cancel", algoId=d.waiting()["algoId"]),
    ("ws-api account.status", 0): lambda d: d.rpc("account.status"),
    ("ws-api account.status", 1): lambda d: d.rpc("account.status", "many"),
    ("ws-api v2/account.status", 0): lambda d: d.rpc("v2/account.status", "lonely"),
    ("ws-api account.balance", 0): lambda d: d.rpc("account.balance"),
    ("ws-api v2/account.balance", 0): lambda d: d.rpc("v2/account.balance"),
    ("ws-api account.position", 0): lambda d: d.rpc("account.position", "lonely"),
    ("ws-api account.position", 1): lambda d: d.rpc("account.position", "hedger", symbol=BTC),
    ("ws-api v2/account.position", 0): lambda d: d.rpc("v2/account.position", symbol=BTC),
    ("ws-api v2/account.position", 1): lambda d: d.rpc("v2/account.position", "hedger"),
    ("ws-api depth", 0): lambda d: d.rpc("depth", symbol=BTC, limit=50),
    ("ws-api ticker.price", 0): lambda d: d.rpc("ticker.price", symbol=BTC),
    ("ws-api ticker.price", 1): lambda d: d.rpc("ticker.price"),
    ("ws-api ticker.book", 0): lambda d: d.rpc("ticker.book", symbol=BTC),
    ("ws-api ticker.book", 1): lambda d: d.rpc("ticker.book"),
    ("ws-api userDataStream.start", 0): lambda d: _listened(d, "userDataStream.start"),
    ("ws-api userDataStream.ping", 0): lambda d: _listened(d, "userDataStream.ping"),
    ("ws-api userDataStream.stop", 0): lambda d: _listened(d, "userDataStream.stop"),
    (GENERAL, 1): lambda d: d.rpc("order.place", symbol=BTC, side="BUY", type="LIMIT", quantity=0.01, price=45_000,
                                  timeInForce="GTC"),
    (GENERAL, 2): lambda d: d.rpc("order.place", symbol=BTC, side="BUY", type="LIMIT", price=45_000, timeInForce="GTC"),
    (GENERAL, 3): _revoked,
    (GENERAL, 5): _logged_on("session.logon"),
    (GENERAL, 7): _logged_on("session.status"),
    (GENERAL, 9): _logged_on("session.logout"),
    # the streams' own protocol
    (CONTROL, 1): _control(SUBSCRIBE),
    (CONTROL, 3): _control(SUBSCRIBE, SUBSCRIBE | {"method": "UNSUBSCRIBE"}),
    (CONTROL, 5): _control(SUBSCRIBE, {"method": "LIST_SUBSCRIPTIONS", "id": 3}),
    (CONTROL, 7): _control({"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}),
    (CONTROL, 9): _control({"method": "SET_PROPERTY", "params": ["combined", True], "id": 5},
                           {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}),
    # users' streams
    ("ws ORDER_TRADE_UPDATE", 0): lambda d: _child_of_trailing(d)[0],
    ("ws TRADE_LITE", 0): _lite,
    ("ws ACCOUNT_UPDATE", 0): _account_update,
    ("ws ACCOUNT_CONFIG_UPDATE", 0): _leverage,
    ("ws ACCOUNT_CONFIG_UPDATE", 1): _mode,
    ("ws ALGO_UPDATE", 0): _algo_update,
    ("ws MARGIN_CALL", 0): _margin_call,
    ("ws listenKeyExpired", 0): _expired,
}  # fmt: skip

# ---------------------------------------------------------------------- how they are compared

NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Written with the symbol's decimals in live traffic (and here), with any in the samples.
PADDED = frozenset({
    "price", "stopPrice", "origQty", "executedQty", "cumQty", "cumQuote", "positionAmt", "before", "after", "p", "tp",
})  # fmt: skip
# A nothing is "0", an amount has its decimals: whether there is a point says how much there is.
AMOUNTS = frozenset({
    "initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin", "notional", "isolatedWallet",
    "isolatedMargin", "liquidationPrice", "bidNotional", "askNotional", "pa", "bc", "a", "b", "cr", "up", "bep", "rp",
    "mp", "mm", "iw",
})  # fmt: skip


def form(value: Any, name: str = "") -> str:
    """Return the form of a leaf: its JSON type, and of a text whether it is a number."""
    if not isinstance(value, str):
        return "null" if value is None else type(value).__name__
    if not NUMBER.fullmatch(value):
        return "text" if value else "empty text"
    if name in AMOUNTS:
        return "number text"
    return "decimal text" if "." in value else "integer text"


def sampled(value: Any, name: str) -> str:
    """Return the form that a leaf of a sample asks for."""
    found = form(value, name)
    return "decimal text" if name in PADDED and found == "integer text" else found


def differences(sample: Any, made: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, what differs); rows of a list have no place in a path."""
    if isinstance(sample, dict) and isinstance(made, dict):
        for key in sorted(sample.keys() | made.keys()):
            where = f"{path}.{key}".lstrip(".")
            if key not in made:
                yield where, "lacks"
            elif key not in sample:
                yield where, "more"
            else:
                yield from differences(sample[key], made[key], where)
    elif isinstance(sample, list) and isinstance(made, list):
        if sample and not made:
            yield path, "none"
        same = len(sample) == len(made)
        for k, row in enumerate(made if sample else []):
            yield from differences(sample[k if same else 0], row, path)
    else:
        name = path.rpartition(".")[2]
        if sampled(sample, name) != form(made, name):
            yield path, f"{sampled(sample, name)}: {form(made, name)}"


V2 = ("GET /fapi/v2/account", "ws-api account.status")
ORDERS = ("GET /fapi/v1/order", "GET /fapi/v1/openOrder", "GET /fapi/v1/openOrders", "GET /fapi/v1/allOrders",
          "DELETE /fapi/v1/order", "DELETE /fapi/v1/batchOrders", "POST /fapi/v1/order/test", "ws-api order.cancel",
          "ws-api order.status")  # fmt: skip
ALGOS = ("GET /fapi/v1/algoOrder", "GET /fapi/v1/openAlgoOrders", "GET /fapi/v1/allAlgoOrders")
# why, in which samples (all of a name, or "name number"), what, and where (under ``result`` in an envelope)
DIFFERENT: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...] = (
    ("the sample is a trailing order, which has been no ordinary order since 2025-12", ORDERS, "lacks",
     ("activatePrice", "priceRate")),
    ("the sample was cut short: other orders of the sheet have them",
     ("GET /fapi/v1/order", "ws-api order.status"), "more", ("goodTillDate", "priceMatch", "selfTradePreventionMode")),
    ("the sample was cut short: every answer has its limits", ("ws-api order.status",), "more", ("^rateLimits",)),
    ("since 2026-08", ("GET /fapi/v1/allOrders", "GET /fapi/v1/forceOrders"), "more", ("pair", "cumBase")),
    ("the sheet has them", ALGOS, "more", ("actualQty", "actualType")),
    ("the sheet has them: an amendment is answered as over HTTP", ("ws-api order.modify",), "more",
     ("pair", "cumBase")),
    ("the sheet has them: a conditional order is answered as over HTTP", ("ws-api algoOrder.place",), "more",
     ("activatePrice", "callbackRate")),
    ("gone since 2026-06", (f"{GENERAL} 1",), "lacks", ("avgPrice", "cumQuote")),
    ("since 2026-08", ("ws ALGO_UPDATE",), "more", ("o.ia",)),
    ("there is no reason for a cancel that the client asked for", ("ws ALGO_UPDATE",), "text: empty text", ("o.rm",)),
    ("absent without a fee", ("ws ORDER_TRADE_UPDATE",), "lacks", ("o.N", "o.n")),
    ("in another sample of the same answer", (*(f"{name} 0" for name in V2), "GET /fapi/v2/account 1"), "more",
     ("positions.breakEvenPrice",)),
    ("not in the samples; clients read them", V2, "more", ("positions.notional", "positions.isolatedWallet")),
    ("in the sample of the same answer over HTTP", V2[1:], "more", ("feeBurn",)),
    ("an account that breaks no rule has none", ("GET /fapi/v1/apiTradingStatus 0",), "lacks",
     ("indicators.BTCUSDT", "indicators.ETHUSDT")),
    ("an account that breaks no rule has none", ("GET /fapi/v1/apiTradingStatus 1",), "lacks", ("indicators.ACCOUNT",)),
    ("only of an account whose limits were adjusted", ("GET /fapi/v1/leverageBracket 0",), "lacks", ("notionalCoef",)),
    ("clients must take both; the exchange sends a list", ("GET /fapi/v1/leverageBracket 1",), "dict: list", ("",)),
)  # fmt: skip


def expected(name: str, number: int) -> set[tuple[str, str]]:
    """Return the differences that a sample is known to have."""
    inside = "result." if name.startswith("ws-api") or name == GENERAL else ""
    return {
        (path[1:] if path.startswith("^") else inside + path, what)
        for _, names, what, paths in DIFFERENT
        if {name, f"{name} {number}"} & set(names)
        for path in paths
    }


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    eds = [AccountSetup(Key(name, f"{name}-key", "ed25519", PEM), (10_000 * E8, 0, 0, 0, 0)) for name in ("ed", "gone")]
    many = AccountSetup(Key("many", "many-key", "hmac", "many-secret"), (10_000 * E8, 0, 1_000 * E8, 0, 0),
                        multi_assets=True)  # fmt: skip
    plain = [setup(name) for name in ("alice", "lonely", "forced", "settler", "keyed", "expired", "taker")]
    others = (setup("called", 550), setup("maker", 100_000_000), setup("hedger", hedge=True), many, *eds)
    with World(*plain, *others, weight_limit=10**7, order_limit=10**7) as world:
        world.mark(50_000)
        world.mark(3_000, ETH)
        world.quote(40_000, 60_000, 0.01)
        world.hold("BUY", 0.02)
        world.hold("BUY", 0.02, who="hedger", positionSide="LONG")
        world.hold("SELL", 0.02, who="hedger", positionSide="SHORT")
        for symbol in (BTC, ETH):
            world.ok("POST", "marginType", "lonely", symbol=symbol, marginType="ISOLATED")
        world.hold("BUY", 0.02, who="lonely")
        yield Desk(world)


@pytest.fixture(scope="session")
def samples(shared: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = json.loads((shared / "binance/data/payload_samples.json").read_text())["samples"]
    return found


@pytest.mark.parametrize("name, number", MADE, ids=[f"{name} {number}" for name, number in MADE])
def test_a_message_is_as_the_sample(desk: Desk, samples: dict[str, list[Any]], name: str, number: int):
    made = json.loads(json.dumps(MADE[name, number](desk)))
    assert set(differences(samples[name][number], made)) == expected(name, number)


def test_the_exchanges_rules_are_as_the_live_row(desk: Desk, shared: Path):
    live = json.loads((shared / "binance/data/filters.json").read_text())
    made = desk.get("exchangeInfo")
    assert list(differences(live["rateLimits"], made["rateLimits"])) == []
    # What kind of coin it is the table of instruments does not know.
    assert list(differences(live["symbols"][0], made["symbols"][0])) == [("underlyingSubType", "none")]
    assert made.keys() == {"timezone", "serverTime", "futuresType", "rateLimits", "exchangeFilters", "assets",
                           "symbols"}  # fmt: skip


def test_what_later_changes_added_is_there_where_the_sheet_says(desk: Desk):
    world = desk.world
    changed = desk.told(lambda: desk.put("order", **_amended(desk, modifyId=77)), "ORDER_TRADE_UPDATE")
    assert changed[-1]["o"]["M"] == 77
    assert desk.put("order", **_amended(desk, modifyId=78))["modifyId"] == 78
    paid = desk.told(lambda: world.fault("funding", symbol=BTC, rate=0.0001), "ACCOUNT_UPDATE", "lonely")
    assert (paid[-1]["a"]["m"], paid[-1]["a"]["S"]) == ("FUNDING_FEE", BTC)
    traded = desk.told(lambda: world.hold("BUY", 0.002), "ORDER_TRADE_UPDATE")
    assert {"N", "n", "er"} <= traded[-1]["o"].keys()
    assert desk.get("userTrades", symbol=BTC)[-1].keys() >= {"marginAsset", "baseQty", "pair"}


# ---------------------------------------------------------------------- whether that is all

ARCHIVES = "orders an archive to be made and sent; there are no archives here"
STOCKS = "of stocks and goods, which are not traded here"
BASKETS = "of indices of many coins, which are not traded here"
NOT_MADE = {
    **{f"GET /fapi/v1/{what}/asyn{end}": ARCHIVES for what in ("order", "trade", "income") for end in ("", "/id")},
    "GET /fapi/v1/indexInfo": BASKETS,
    "ws <symbol>@compositeIndex": BASKETS,
    "GET /fapi/v1/tradingSchedule": STOCKS,
    "ws tradingSession": STOCKS,
    "GET /futures/data/delivery": "of contracts that end; only perpetual ones are traded here",
    "GET /fapi/v1/exchangeInfo": "no sample of its own",
    "ws GRID_UPDATE": "of the exchange's own robots, deprecated",
    "ws STRATEGY_UPDATE": "of the exchange's own robots",
    "ws CONDITIONAL_ORDER_TRIGGER_REJECT": "deprecated since 2025-12: ALGO_UPDATE says it",
}
REQUESTS_OF_CLIENTS = {(GENERAL, k) for k in (0, 4, 6, 8)} | {(CONTROL, k) for k in (0, 2, 4, 6, 8)}
PLACES = {
    "<symbol>": "btcusdt", "Kline_<interval>": "Kline_1h", "<interval>": "1m", "<levels>": "5",
    "<pair>_<contractType>": "btcusdt_perpetual", " (undocumented)": "",
}  # fmt: skip


def of_market(name: str) -> bool:
    """Whether a sample is one of the market's, which another table has."""
    if name.startswith("ws "):
        stream = re.split(r" or | OR ", name.removeprefix("ws "))[0]
        for place, value in PLACES.items():
            stream = stream.replace(place, value)
        return stream in STREAMS
    return re.sub(r"GET (/fapi/v\d|/futures/data)/", "", name) in REQUESTS


def test_every_sample_is_made_here_or_in_the_markets_table_or_is_no_message_of_ours(samples: dict[str, list[Any]]):
    every = {(name, k) for name, found in samples.items() for k in range(len(found))}
    market = {one for one in every if of_market(one[0])}
    not_made = {one for one in every if one[0] in NOT_MADE}
    assert every == set(MADE) | market | not_made | REQUESTS_OF_CLIENTS
    assert set(NOT_MADE) <= set(samples)
    assert not (set(MADE) | not_made) & market


def test_every_known_difference_is_of_a_sample():
    known = {name for _, names, _, _ in DIFFERENT for name in names}
    assert known <= {name for name, _ in MADE} | {f"{name} {number}" for name, number in MADE}
