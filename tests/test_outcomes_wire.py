"""Verdicts and budgets on what the exchange on loopback really answers, against what it really did."""

import http.client

import orjson
import pytest
from loopback_world import World, text

from autotrader.adapters.binance.budget import Budget, Sent
from autotrader.adapters.binance.outcomes import Alert, Call, Outcome, Verdict, judge
from autotrader.adapters.loopback.faults import ENTRIES

BTC = "BTCUSDT"
ORDER = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": 49_000}
ID = "at00000001000000ff"
HTTP = {Call.PLACE: "POST", Call.CANCEL: "DELETE", Call.QUERY: "GET"}

# A deed and its keys; whether the order was placed; the verdict.
DEEDS = (
    ("lose_answer", {}, True, Outcome.UNKNOWN),
    ("lose_request", {}, False, Outcome.UNKNOWN),
    ("timeout_done", {}, True, Outcome.UNKNOWN),
    ("timeout_undone", {}, False, Outcome.UNKNOWN),
    ("unknown_503_done", {}, True, Outcome.UNKNOWN),
    ("unknown_503_undone", {}, False, Outcome.UNKNOWN),
    ("unavailable_503", {}, False, Outcome.FAILED),
    ("overloaded_503", {}, False, Outcome.FAILED),
    ("internal_503", {}, False, Outcome.FAILED),
    ("bad_gateway_html", {}, False, Outcome.UNKNOWN),
    ("bad_gateway_html", {"status": 504, "done": True}, True, Outcome.UNKNOWN),
    ("waf_403", {}, False, Outcome.HALT),
    ("error", {"code": -2010, "text": "NEW_ORDER_REJECTED"}, False, Outcome.FAILED),
    ("error", {"code": -7777, "status": 500, "text": "New."}, False, Outcome.UNKNOWN),
    ("answer", {"status": 503, "body": "{}", "done": True}, True, Outcome.UNKNOWN),
    ("delay", {"delay_s": 0.05}, True, Outcome.DONE),
    ("empty_200", {}, True, Outcome.UNKNOWN),
    ("empty_200", {"done": False}, False, Outcome.UNKNOWN),
    ("truncated_json", {}, True, Outcome.UNKNOWN),
    ("reset", {}, False, Outcome.UNKNOWN),
    ("reset", {"done": True}, True, Outcome.UNKNOWN),
    ("reset", {"done": True, "cut": 40}, True, Outcome.UNKNOWN),
    ("drip", {"byte_s": 0.001}, True, Outcome.DONE),
    ("ban", {"ban_s": 90}, False, Outcome.WAIT),
    ("limit", {"retry_s": 7}, False, Outcome.WAIT),
    ("maintenance", {}, False, Outcome.HALT),
    ("weight", {"used": 2000}, True, Outcome.DONE),
)


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        yield one


def asked(world: World, call: Call, **params: object) -> Verdict:
    """Make a call of alice's on an order and judge what comes back, silence and a cut connection included."""
    query = world.signed("alice", {name: text(value) for name, value in params.items()})
    try:
        found = world.send(HTTP[call], "/fapi/v1/order", query, headers={"X-MBX-APIKEY": "alice-key"}, timeout=0.5)
    except (TimeoutError, ConnectionError, http.client.HTTPException):
        return judge(call, 0, b"", True)
    return judge(call, found.status, found.raw, True, retry_after=found.headers.get("retry-after"))


@pytest.mark.parametrize(("do", "keys", "placed", "outcome"), DEEDS, ids=[f"{d[0]}-{','.join(d[1])}" for d in DEEDS])
def test_a_fault_on_a_new_order_gets_its_verdict(world, do, keys, placed, outcome):
    world.fault(do, path="/fapi/v1/order", method="POST", **keys)
    verdict = asked(world, Call.PLACE, newClientOrderId=ID, **ORDER)
    assert verdict.outcome is outcome
    assert bool(world.records("order")) is placed
    # The claim that matters: an order that is at the exchange was never said to be absent, nor the reverse.
    assert verdict.outcome is Outcome.UNKNOWN or placed is (verdict.outcome is Outcome.DONE)
    assert not (verdict.again and placed)


def test_every_deed_on_requests_has_its_verdict():
    assert {deed[0] for deed in DEEDS} == {entry.do for entry in ENTRIES if entry.group == "request"}


def test_a_limit_says_for_how_long_and_a_ban_until_when(world):
    world.fault("limit", path="/fapi/v1/order", retry_s=7)
    limited = asked(world, Call.QUERY, symbol=BTC, origClientOrderId=ID)
    world.fault("ban", path="/fapi/v1/order", ban_s=90)
    banned = asked(world, Call.QUERY, symbol=BTC, origClientOrderId=ID)
    assert (limited.alert, limited.wait_s, limited.until_ns) == (Alert.RATE_LIMIT, 7, 0)
    assert (banned.alert, banned.wait_s, banned.until_ns) == (Alert.BANNED, 90, (world.now_ms + 90_000) * 10**6)


def test_an_order_that_is_asked_for_is_there_or_is_not(world):
    order = {"symbol": BTC, "origClientOrderId": ID}
    assert asked(world, Call.QUERY, **order).outcome is Outcome.ABSENT
    assert asked(world, Call.CANCEL, **order).outcome is Outcome.UNKNOWN
    assert asked(world, Call.PLACE, newClientOrderId=ID, **ORDER).outcome is Outcome.DONE
    assert asked(world, Call.PLACE, newClientOrderId=ID, **ORDER).outcome is Outcome.UNKNOWN
    assert asked(world, Call.QUERY, **order).outcome is Outcome.DONE
    assert asked(world, Call.CANCEL, **order).outcome is Outcome.DONE


def test_a_frame_of_the_request_socket_is_judged_as_a_whole(world):
    ear = world.hear("/ws-fapi/v1")
    for params, outcome in ((ORDER, Outcome.DONE), (ORDER | {"price": "49000.05"}, Outcome.REFRESH)):
        frame = world.rpc(ear, "order.place", **params)
        assert judge(Call.PLACE, frame["status"], orjson.dumps(frame), True).outcome is outcome


def test_a_budget_follows_headers_frames_and_a_jump_of_somebody_else_s(world):
    budget = Budget()
    budget.hear(world.call("GET", "openOrders").headers, Sent(), 1)
    used = budget.usage(1)[0]
    assert used >= 40  # Open orders of all symbols weigh 40.
    ear = world.hear("/ws-fapi/v1")
    budget.hear_limits(world.rpc(ear, "order.place", **ORDER)["rateLimits"], Sent(), 2)
    assert budget.usage(2)[0] > used  # The handshake weighs.
    assert budget.allows(1, 239, False, 3) and not budget.allows(1, 240, False, 3)
    world.fault("weight", used=1910)
    budget.hear(world.call("GET", "openOrders", symbol=BTC).headers, Sent(), 3)
    assert not budget.allows(20, 0, False, 4) and budget.allows(20, 0, True, 4)


def test_a_budget_is_silent_as_long_as_the_exchange_bans(world):
    budget = Budget()
    world.fault("ban", path="/fapi/v1/order", ban_s=90)
    budget.refuse(asked(world, Call.QUERY, symbol=BTC, origClientOrderId=ID), 0, world.now_ms * 10**6)
    assert budget.banned(0) and budget.silent_until_ns(0) == 90 * 10**9
