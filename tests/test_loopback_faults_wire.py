"""Every deed of a plan of faults over the wire: what a client sees, what the exchange really did, and nothing else.

The ids of the tests name the rows of the catalogue of faults (A1 to H16) that begin at the exchange.
"""

import http.client
import importlib.util
import json
import math
import socket as sockets
import ssl
import threading
import time
from itertools import pairwise
from urllib.request import urlopen

import pytest
from builders import E8, SAMPLES, spec
from loopback_world import World, text
from websockets.exceptions import ConnectionClosed, InvalidStatus

from autotrader.adapters.loopback import faults
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.faults import CATALOGUE, ENTRIES
from autotrader.adapters.loopback.orders import Asked
from autotrader.adapters.loopback.proof import check
from autotrader.run.exchange import certificate
from core_ext.types import Kind

BTC, ETH = "BTCUSDT", "ETHUSDT"
HOUR_MS = 3_600_000
ORDER = "/fapi/v1/order"
LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01, "price": 49_000}

NOT_HERE = {
    "A18": "ten times the message rate is the market's speed (rate_per_s, --speed), no fault; benchmarks measure it",
    "F17": "a day of five times the rate is a long run of the same exchange",
    "H15": "alarms and their channels are the client's",
}


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        one.mark(3_000, ETH)
        yield one
    report = check(tmp_path / "history.jsonl")
    assert not report.violations, report.violations


def entries(group):
    return [entry for entry in ENTRIES if entry.group == group]


def named(do, rows=None):
    """Return an id: the deed and the rows that it serves."""
    served = rows or next(entry.serves for entry in ENTRIES if entry.do == do)
    return f"{do}-{served.replace(' ', '-')}"


# ---------------------------------------------------------------------------------- on requests

UNKNOWN = {"msg": "Unknown error, please check your request or try again later.", "path": ORDER}
TIMEOUT = {"code": -1007, "msg": "Timeout waiting for response from backend server. Send status unknown; "
                                 "execution status unknown."}  # fmt: skip
OVERLOADED = {"code": -1008, "msg": "Request throttled by system-level protection. Reduce-only/close-position orders "
                                    "are exempt. Please try again."}  # fmt: skip
INTERNAL = {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}
SHUT = {"code": -1016, "msg": "This service is no longer available."}
MANY = {"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute. "
                              "Please use the websocket for live updates to avoid polling the API."}  # fmt: skip
NEVER, CUT = "never", "cut"

# Deed; its keys; the status and body that a new order is answered with; whether it was carried out.
REQUESTS = (
    ("lose_answer", {}, NEVER, None, True),
    ("lose_request", {}, NEVER, None, False),
    ("timeout_done", {}, 408, TIMEOUT, True),
    ("timeout_undone", {}, 408, TIMEOUT, False),
    ("unknown_503_done", {}, 503, UNKNOWN, True),
    ("unknown_503_undone", {}, 503, UNKNOWN, False),
    ("unavailable_503", {}, 503, {"msg": "Service Unavailable.", "path": ORDER}, False),
    ("overloaded_503", {}, 503, OVERLOADED, False),
    ("internal_503", {}, 503, INTERNAL, False),
    ("bad_gateway_html", {}, 502, b"<title>502 Bad Gateway</title>", False),
    ("bad_gateway_html", {"status": 504, "done": True}, 504, b"<title>504 Gateway Time-out</title>", True),
    ("waf_403", {}, 403, b"<h1>403 ERROR</h1>", False),
    ("error", {"code": -2010, "text": "NEW_ORDER_REJECTED"}, 400, {"code": -2010, "msg": "NEW_ORDER_REJECTED"}, False),
    ("error", {"code": -1006, "status": 503, "text": "odd"}, 503, {"code": -1006, "msg": "odd"}, False),
    ("answer", {"status": 200, "body": '{"orderId":1}'}, 200, {"orderId": 1}, False),
    ("answer", {"status": 503, "body": "{}", "done": True}, 503, {}, True),
    ("delay", {"delay_s": 0.05}, 200, "NEW", True),
    ("empty_200", {}, 200, b"", True),
    ("empty_200", {"done": False}, 200, b"", False),
    ("truncated_json", {}, 200, "half", True),
    ("reset", {}, CUT, 0, False),
    ("reset", {"done": True}, CUT, 0, True),
    ("reset", {"done": True, "cut": 40}, CUT, 40, True),
    ("drip", {"byte_s": 0.001}, 200, "NEW", True),
    ("ban", {"ban_s": 90}, 418, "banned", False),
    ("limit", {"retry_s": 7}, 429, MANY, False),
    ("maintenance", {}, 503, SHUT, False),
    ("weight", {"used": 2000}, 200, "NEW", True),
)  # fmt: skip


def toml(table):
    """Return a fault as a plan's file has it."""
    return "[[fault]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "\n"


@pytest.mark.parametrize("by", ["control", "plan"])
@pytest.mark.parametrize(
    "do,keys,status,body,done", REQUESTS, ids=[f"{named(r[0])}-{','.join(r[1])}" for r in REQUESTS]
)
def test_a_new_order_meets_a_fault(tmp_path, by, do, keys, status, body, done):
    table = {"do": do, "name": "one", "path": ORDER, "method": "POST", **keys}
    (tmp_path / "plan.toml").write_text(toml(table))
    plan = {"faults": tmp_path / "plan.toml"} if by == "plan" else {}
    with World(history=tmp_path / "history.jsonl", **plan) as world:
        world.mark(50_000)
        if by == "control":
            world.fault(**table)
        seen(world, status, body, keys)
        assert len(world.records("order")) == done
        assert [f["fired"] for f in world.send("GET", "/_control/faults").body] == [1]
        if do == "ban":
            assert world.call("GET", "openOrders").status == 418
            world.pass_s(90)
        if do == "maintenance":
            assert world.call("POST", "order", **LIMIT).status == 503
            assert world.send("DELETE", "/_control/faults/one").body == {"removed": True}
        assert len(world.ok("GET", "openOrders", symbol=BTC)) == done
        assert world.call("POST", "order", **LIMIT).status == 200
        assert len(world.records("order")) == done + 1
    assert not check(tmp_path / "history.jsonl").violations


def seen(world, status, body, keys):
    """Send an order and compare what comes back."""
    query = world.signed("alice", {name: text(value) for name, value in LIMIT.items()})
    headers = {"X-MBX-APIKEY": "alice-key"}
    if status == NEVER:
        with pytest.raises(TimeoutError):
            world.send("POST", ORDER, query, headers=headers, timeout=0.3)
        return
    if status == CUT:
        assert len(until_the_end(world, query)) == body
        return
    answer = world.send("POST", ORDER, query, headers=headers)
    assert answer.status == status
    if isinstance(body, bytes):
        assert (body in answer.raw) if body else answer.raw == b""
        assert ("html" in answer.headers["content-type"]) is bool(body)
    elif isinstance(body, dict):
        assert body.items() <= answer.body.items() and ("code" in answer.body) is ("code" in body)
    elif body == "half":
        assert answer.raw.startswith(b'{"orderId":') and not answer.raw.endswith(b"}")
    elif body == "banned":
        until = world.now_ms + 90_000
        assert answer.body["msg"].startswith(f"Way too many requests; IP banned until {until}.")
        assert answer.headers["retry-after"] == "90"
    else:
        assert answer.body["status"] == body
    if "retry_s" in keys:
        assert answer.headers["retry-after"] == "7"
    if "used" in keys:
        assert int(answer.headers["x-mbx-used-weight-1m"]) >= 2000


def until_the_end(world, query):
    """Send an order on a bare socket; return all that comes until the connection ends."""
    with sockets.create_connection(("127.0.0.1", world.port), 5) as line:
        line.sendall(f"POST {ORDER}?{query} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: alice-key\r\n\r\n".encode())
        got = b""
        try:
            while piece := line.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
        return got


# What the error of the catalogue's row says, on a request of its kind.
ERRORS = (
    ("B14", "POST", "order", -5022, 400), ("B15", "POST", "order", -2022, 400), ("B16", "POST", "order", -4061, 400),
    ("B17", "POST", "order", -2019, 400), ("B18", "POST", "order", -4164, 400),
    ("B19", "POST", "algoOrder", -2021, 400), ("B20", "POST", "order", -4120, 400),
    ("B22", "DELETE", "algoOrder", -2011, 400),
    ("C1", "PUT", "listenKey", -1125, 400), ("C2", "PUT", "listenKey", -1125, 400),
    ("C12", "POST", "order", -2027, 400), ("C15", "POST", "order", -4400, 400), ("D3", "POST", "order", -1002, 451),
    ("E5", "DELETE", "order", -1021, 400), ("H12", "GET", "/fapi/v3/account", -2015, 401),
)  # fmt: skip


@pytest.mark.parametrize("row,method,path,code,status", ERRORS, ids=[f"error-{row[0]}" for row in ERRORS])
def test_any_error_of_the_exchange_can_be_given(world, row, method, path, code, status):
    full = path if path.startswith("/") else f"/fapi/v1/{path}"
    world.fault("error", method=method, path=full, code=code, status=status, text=row)
    answer = world.call(method, path, **(LIMIT if method == "POST" else {"symbol": BTC, "orderId": 1}))
    assert answer.said == (status, code, row)
    assert world.records("order") == []


EXITS = (
    ("a reduce-only order", "POST", "order", {**LIMIT, "side": "SELL", "price": 51_000, "reduceOnly": True}),
    ("a cancel", "DELETE", "allOpenOrders", {"symbol": BTC}),
    ("a close order", "POST", "algoOrder", {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL",
                                            "type": "STOP_MARKET", "triggerPrice": 40_000, "closePosition": True}),
)  # fmt: skip


@pytest.mark.parametrize("name,method,path,asked", EXITS, ids=[f"overloaded_503-B5-{row[0]}" for row in EXITS])
def test_an_overload_lets_exits_pass(world, name, method, path, asked):
    world.hold("BUY", 0.02)
    world.fault("overloaded_503", path="/fapi/v1/*", count=10)
    assert world.call(method, path, **asked).status == 200
    assert world.call("POST", "order", **LIMIT).code == -1008


@pytest.mark.parametrize("name,method,path,asked", EXITS, ids=[f"error-C15-{row[0]}" for row in EXITS])
def test_a_restricted_account_may_still_leave(world, name, method, path, asked):
    world.hold("BUY", 0.02)
    world.fault("error", code=-4400, text="Only reduce-only.", spare_exits=True, count=10)
    assert world.call(method, path, **asked).status == 200
    assert world.call("POST", "order", **LIMIT).said == (400, -4400, "Only reduce-only.")


def test_a_fault_concerns_whom_and_what_it_names(world):
    world.fault("internal_503", account="bob", symbol=ETH, side="SELL", type="LIMIT", skip=1, count=2)
    sell = {"symbol": ETH, "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 3_000}
    assert world.call("POST", "order", **sell).status == 200
    assert world.call("POST", "order", "bob", **(sell | {"side": "BUY", "price": 2_900})).status == 200
    assert [world.call("POST", "order", "bob", **sell).status for _ in range(4)] == [200, 503, 503, 200]


def test_a_late_answer_was_carried_out_at_once_and_told_before_delay_B3(world):
    world.fault("delay", path=ORDER, method="POST", delay_s=0.4)
    ear = world.listen()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(world.call("POST", "order", **LIMIT)))
    thread.start()
    assert ear.next()["o"]["X"] == "NEW"
    assert thread.is_alive() and answers == [] and len(world.ok("GET", "openOrders")) == 1
    thread.join(5)
    assert answers[0].status == 200


def test_an_answer_that_is_lost_leaves_a_fill_and_the_id_free_lose_answer_B6(world):
    world.quote()
    world.fault("lose_answer", path=ORDER)
    query = world.signed("alice", {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01",
                                   "newClientOrderId": "same"})  # fmt: skip
    headers = {"X-MBX-APIKEY": "alice-key"}
    with pytest.raises(TimeoutError):
        world.send("POST", ORDER, query, headers=headers, timeout=0.3)
    assert world.ok("GET", "order", symbol=BTC, origClientOrderId="same")["status"] == "FILLED"
    assert world.send("POST", ORDER, query, headers=headers).status == 200
    assert world.position() == 0.02


def test_an_answer_to_a_cancel_is_lost_lose_answer_B11(world):
    order = world.order("BUY", 0.01, 49_000)["orderId"]
    world.fault("lose_answer", method="DELETE")
    query = world.signed("alice", {"symbol": BTC, "orderId": str(order)})
    with pytest.raises(TimeoutError):
        world.send("DELETE", ORDER, query, headers={"X-MBX-APIKEY": "alice-key"}, timeout=0.3)
    assert world.ok("GET", "order", symbol=BTC, orderId=order)["status"] == "CANCELED"


def test_a_batch_can_be_answered_half_answer_B12(world):
    body = '[{"orderId":1,"status":"NEW"},{"code":-2019,"msg":"Margin is insufficient."}]'
    world.fault("answer", path="/fapi/v1/batchOrders", body=body)
    batch = [{name: text(value) for name, value in LIMIT.items()}] * 2
    assert world.ok("POST", "batchOrders", batchOrders=batch) == json.loads(body)
    assert world.records("order") == []


def test_a_snapshot_can_be_stale_answer_A2(world):
    world.quote()
    old = json.dumps(world.ok("GET", "depth", symbol=BTC, limit=5))
    world.order("BUY", 1, 49_990, "maker")
    world.fault("answer", path="/fapi/v1/depth", body=old)
    first, second = (world.ok("GET", "depth", symbol=BTC, limit=5)["lastUpdateId"] for _ in range(2))
    assert first < second


def test_the_servers_clock_is_off_skew_E1_E5(world):
    name = world.fault("skew", skew_ms=1500)
    assert world.ok("GET", "time")["serverTime"] == world.now_ms + 1500
    late = world.call("GET", "openOrders", symbol=BTC, timestamp=world.stamp_ms - 3501)
    assert late.said == (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert world.call("GET", "openOrders", symbol=BTC, timestamp=world.stamp_ms + 2499).status == 200
    world.send("DELETE", f"/_control/faults/{name}")
    assert world.ok("GET", "time")["serverTime"] == world.now_ms
    world.fault("skew", skew_ms=-6000)
    assert "1000ms ahead" in world.call("DELETE", "allOpenOrders", symbol=BTC).body["msg"]


# ---------------------------------------------------------------------------------- on the request socket

FRAMES = (
    ("timeout_done", 408, -1007, True), ("timeout_undone", 408, -1007, False), ("unknown_503_done", 503, None, True),
    ("unavailable_503", 503, None, False), ("overloaded_503", 503, -1008, False), ("internal_503", 503, -1001, False),
    ("limit", 429, -1003, False), ("ban", 418, -1003, False), ("maintenance", 503, -1016, False),
)  # fmt: skip


@pytest.mark.parametrize("do,status,code,done", FRAMES, ids=[f"{named(row[0])}-socket" for row in FRAMES])
def test_a_request_over_a_socket_meets_the_same_faults(world, do, status, code, done):
    ear = world.hear("/ws-fapi/v1")
    world.fault(do, path=ORDER)
    answer = world.rpc(ear, "order.place", id_=9, **LIMIT)
    assert (answer["id"], answer["status"], answer["error"].get("code")) == (9, status, code)
    assert len(world.records("order")) == done


@pytest.mark.parametrize("do,done", [("lose_answer", True), ("lose_request", False)])
def test_an_answer_over_a_socket_is_lost_and_the_next_one_comes(world, do, done):
    ear = world.hear("/ws-fapi/v1")
    world.fault(do, path=ORDER)
    ear.socket.send("{}")
    assert ear.next()["status"] == 400
    with pytest.raises(TimeoutError):
        world.rpc(replace_timeout(ear, 0.2), "order.place", **LIMIT)
    assert len(world.records("order")) == done
    assert world.rpc(replace_timeout(ear, 5.0), "ticker.price", symbol=BTC)["status"] == 200


def replace_timeout(ear, seconds):
    """Let an ear wait so long."""
    ear.next = lambda: json.loads(ear.socket.recv(seconds))
    return ear


@pytest.mark.parametrize("do,done", [("bad_gateway_html", False), ("waf_403", False), ("reset", False)])
def test_what_has_no_frame_ends_the_request_socket(world, do, done):
    ear = world.hear("/ws-fapi/v1")
    world.fault(do, path=ORDER)
    with pytest.raises(ConnectionClosed):
        world.rpc(ear, "order.place", **LIMIT)
    assert len(world.records("order")) == done


def test_half_a_frame_comes_over_a_socket_truncated_json_B5(world):
    ear = world.hear("/ws-fapi/v1")
    world.fault("truncated_json", path=ORDER)
    with pytest.raises(json.JSONDecodeError):
        world.rpc(ear, "order.place", **LIMIT)
    assert len(world.records("order")) == 1


# ---------------------------------------------------------------------------------- on events

# Deed, its keys; which of three events (n: new orders number 1, 2, 3) are heard, in which order.
EVENTS = (
    ("drop", {}, [2, 3]),
    ("duplicate", {}, [1, 1, 2, 3]),
    ("reorder", {}, [2, 1, 3]),
    ("mute", {}, []),
    ("replace", {"payload": '{"e":"ORDER_TRADE_UPDATE","o":{"c":"n9"}}'}, [9, 2, 3]),
)


def numbers(events):
    return [int(event["o"]["c"][1:]) for event in events]


@pytest.mark.parametrize("do,keys,heard", EVENTS, ids=[named(row[0]) for row in EVENTS])
def test_a_users_events_meet_a_fault_and_the_orders_do_not(world, do, keys, heard):
    alice, bob = world.listen(), world.listen("bob")
    world.fault(do, event="ORDER_TRADE_UPDATE", account="alice", **keys)
    for n in (1, 2, 3):
        for who in ("alice", "bob"):
            world.order("BUY", 0.01, 49_000, who, newClientOrderId=f"n{n}")
    assert numbers(alice.heard()) == heard
    assert numbers(bob.heard()) == [1, 2, 3]
    assert len(world.ok("GET", "openOrders")) == 3


def test_events_of_ten_orders_are_lost_and_the_trades_are_found_drop_C7_mute_C3(world):
    ear = world.listen()
    world.fault("mute", stream="user", name="silence")
    world.quote()
    for _ in range(3):
        world.order("BUY", 0.01)
    assert ear.heard() == []
    assert len(world.ok("GET", "userTrades", symbol=BTC, fromId=0)) == 3
    world.send("DELETE", "/_control/faults/silence")
    world.order("BUY", 0.01)
    assert len(ear.heard()) == 4


def test_a_late_event_is_overtaken_delay_A9_B3_D14(world):
    ear = world.listen()
    world.fault("delay", event="ORDER_TRADE_UPDATE", delay_s=0.15)
    for n in (1, 2):
        world.order("BUY", 0.01, 49_000, newClientOrderId=f"n{n}")
    assert numbers(ear.heard()) == [2]
    assert numbers([ear.next()]) == [1]


def test_held_events_come_all_at_once_and_in_order_hold_A5_A9(world):
    ear = world.listen()
    world.fault("hold", stream="user", until_s=0.3)
    for n in (1, 2, 3):
        world.order("BUY", 0.01, 49_000, newClientOrderId=f"n{n}")
    assert ear.heard() == []
    assert numbers([ear.next() for _ in range(3)]) == [1, 2, 3]


def test_a_depth_diff_is_missing_from_the_chain_gap_A1(world):
    ear = world.hear("/public/ws/btcusdt@depth@0ms")
    other = world.hear("/public/ws/ethusdt@depth@0ms")
    world.quote()
    world.fault("gap", symbol=BTC)
    for price in (49_998, 49_997, 49_996):
        world.order("BUY", 1, price, "maker")
    diffs = ear.heard()
    broken = [after["u"] for before, after in pairwise(diffs) if after["pu"] != before["u"]]
    assert len(broken) == 1
    assert other.heard() == []


def test_one_stream_is_silent_and_the_others_are_not_mute_A3_A4_A10(world):
    mute, loud = world.hear("/public/ws/btcusdt@bookTicker"), world.hear("/public/ws/ethusdt@bookTicker")
    world.fault("mute", stream="btcusdt@*")
    world.quote()
    world.quote(2_999, 3_001, symbol=ETH)
    assert mute.heard() == [] and len(loud.heard()) == 2


def test_a_crossed_and_an_empty_book_are_shown_replace_A7_A8(world):
    ear = world.hear("/public/ws/btcusdt@bookTicker")
    crossed = '{"e":"bookTicker","s":"BTCUSDT","b":"50002.00","B":"1","a":"50001.00","A":"1"}'
    empty = '{"e":"bookTicker","s":"BTCUSDT","b":"0.00","B":"0","a":"50001.00","A":"1"}'
    for payload in (crossed, empty):
        world.fault("replace", stream="btcusdt@bookTicker", payload=payload)
    world.quote()
    assert ear.heard() == [json.loads(crossed), json.loads(empty)]


def spoilt(how, frame):
    """Tell whether a frame is spoilt in this way."""
    if how == "truncate":
        return frame.startswith(b'{"e"') and not frame.endswith(b"}")
    if how == "not_utf8":
        return b"\xff\xfe" in frame
    if how == "bom":
        return frame.startswith(b"\xef\xbb\xbf{")
    if how == "deep":
        return b"[" * 10_000 in frame
    if how == "huge_frame":
        return len(frame) > 10 << 20
    if how == "huge_number":
        return b"9" * 400 in frame
    if how == "duplicate_keys":
        return frame.startswith(b'{"e":null,"e":')
    event = json.loads(frame)
    return {
        "nan_price": lambda: "NaN" in event.values(),
        "negative_price": lambda: any(str(value).startswith("-") for value in event.values()),
        "int_price": lambda: any(event[key] == int(event[key]) for key in "ba" if not isinstance(event[key], str)),
        "unknown_field": lambda: event["zz"] == {"new": 1},
        "unknown_event": lambda: event["e"] == "somethingNew",
        "unknown_status": lambda: event["o"]["X"] == "SOMETHING_NEW",
    }[how]()


HOWS = next(entry for entry in ENTRIES if entry.do == "malform").keys["how"].choices


@pytest.mark.parametrize("how", HOWS, ids=[f"malform-A11-A14-A15-{how}" for how in HOWS])
def test_an_event_is_spoilt_and_the_next_one_is_not(world, how):
    ear = world.listen() if how == "unknown_status" else world.hear("/public/ws/btcusdt@bookTicker")
    event = "ORDER_TRADE_UPDATE" if how == "unknown_status" else "bookTicker"
    world.fault("malform", event=event, how=how)
    for price in (48_000, 48_001):
        world.order("BUY", 0.01, price)
    first, second = ear.raw()
    assert spoilt(how, first)
    assert json.loads(second)["e"] == event


# ---------------------------------------------------------------------------------- on connections


def test_open_connections_are_closed_with_a_code_close_A20(world):
    market, user, request = world.hear("/public/ws"), world.listen(), world.hear("/ws-fapi/v1")
    world.fault("close", at_s=0, code=1001)
    for ear in (market, user, request):
        with pytest.raises(ConnectionClosed) as closed:
            ear.next()
        assert closed.value.rcvd.code == 1001
    assert world.hear("/public/ws").heard() == []


@pytest.mark.parametrize("selector,gone", [
    ({"path": "/market/*"}, {"market"}), ({"account": "alice"}, {"alice"}), ({"path": "/private/*"}, {"alice", "bob"}),
])  # fmt: skip
def test_a_deed_on_open_connections_concerns_those_that_it_names(world, selector, gone):
    ears = {"market": world.hear("/market/ws"), "alice": world.listen(), "bob": world.listen("bob"),
            "request": world.hear("/ws-fapi/v1")}  # fmt: skip
    world.fault("close", at_s=0, **selector)
    for name, ear in ears.items():
        if name in gone:
            with pytest.raises(ConnectionClosed):
                ear.next()
        elif name == "request":
            assert world.rpc(ear, "ticker.price", symbol=BTC)["status"] == 200
        else:
            assert ear.heard() == []


def test_the_next_connection_is_refused_refuse_A10(world):
    world.fault("refuse", path="/public/*")
    with pytest.raises(InvalidStatus) as refused:
        world.hear("/public/ws")
    assert refused.value.response.status_code == 503
    assert world.hear("/public/ws").heard() == []


def test_a_connection_flaps_flap_D10(world):
    world.fault("flap", count=3)
    for _ in range(3):
        with pytest.raises(ConnectionClosed):
            world.hear("/public/ws").next()
    assert world.hear("/public/ws").heard() == []


def test_a_half_open_connection_stays_and_says_nothing_half_open_A3_D8(world):
    ear, other = world.hear("/public/ws/btcusdt@bookTicker"), world.hear("/public/ws/ethusdt@bookTicker")
    world.fault("half_open", at_s=0, path="*btcusdt*")
    world.quote()
    world.quote(2_999, 3_001, symbol=ETH)
    assert len(other.heard()) == 2
    with pytest.raises(TimeoutError):
        ear.next(0.2)
    ear.socket.ping()
    with pytest.raises(TimeoutError):
        ear.next(0.2)


def test_a_slow_connection_gets_everything_late_slow_D9(world):
    world.fault("slow", path="/public/*", bytes_per_s=2_000)
    ear = world.hear("/public/ws/btcusdt@bookTicker")
    began = time.monotonic()
    world.quote()
    frames = [ear.socket.recv(10, decode=False) for _ in range(2)]
    assert time.monotonic() - began >= sum(map(len, frames)) / 2_000 * 0.4
    assert [json.loads(frame)["b"] for frame in frames] == ["49999.00"] * 2


# ---------------------------------------------------------------------------------- at a time


def test_a_listen_key_expires_and_there_is_silence_expire_key_C1_C2(world):
    ear = world.listen()
    world.fault("expire_key", account="alice")
    world.order("BUY", 0.01, 49_000)
    assert [event["e"] for event in ear.heard()] == ["listenKeyExpired"]
    assert world.call("PUT", "listenKey").code == -1125
    again = world.listen()
    world.order("BUY", 0.01, 49_000)
    assert len(again.heard()) == 1


def test_an_api_key_is_revoked_revoke_key_H12(world):
    ear = world.hear("/ws-fapi/v1")
    world.order("BUY", 0.01, 49_000)
    world.fault("revoke_key", account="alice")
    denied = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    assert world.call("POST", "order", **LIMIT).said == denied
    assert world.call("DELETE", "allOpenOrders", symbol=BTC).said == denied
    assert world.rpc(ear, "order.place", **LIMIT)["error"]["code"] == -2015
    assert world.call("POST", "order", "bob", **LIMIT).status == 200


def test_a_symbol_is_suspended_and_comes_back_status_C11_D13(world):
    contract = world.hear("/market/ws/!contractInfo")
    resting = world.order("BUY", 0.01, 49_000)["orderId"]
    world.fault("status", symbol=BTC, value="PRE_SETTLE")
    assert world.call("POST", "order", **LIMIT).said == (400, -4141, "Symbol is closed.")
    change = {"symbol": BTC, "side": "BUY", "orderId": resting, "quantity": 0.01, "price": 48_000}
    assert world.call("PUT", "order", **change).code == -5024
    assert world.ok("GET", "exchangeInfo")["symbols"][0]["status"] == "PRE_SETTLE"
    assert world.call("POST", "order", **(LIMIT | {"symbol": ETH, "price": 2_900, "quantity": 0.1})).status == 200
    world.ok("DELETE", "order", symbol=BTC, orderId=resting)
    world.fault("status", symbol=BTC, value="TRADING")
    assert world.call("POST", "order", **LIMIT).status == 200
    assert [event["cs"] for event in contract.heard()] == ["PRE_SETTLE", "TRADING"]


def test_filters_change_under_a_position_filters_B18(world):
    world.hold("BUY", 0.015)
    world.fault("filters", symbol=BTC, step=0.01, tick=1, min_notional=600)
    filters = {row["filterType"]: row for row in world.ok("GET", "exchangeInfo")["symbols"][0]["filters"]}
    assert (filters["LOT_SIZE"]["stepSize"], filters["MIN_NOTIONAL"]["notional"]) == ("0.01", "600")
    assert filters["PRICE_FILTER"]["tickSize"] == "1.00"
    assert world.call("POST", "order", **(LIMIT | {"quantity": 0.015})).code == -4023
    assert world.call("POST", "order", **(LIMIT | {"price": 49_000.5})).code == -4014
    assert world.call("POST", "order", **LIMIT).code == -4164
    world.order("BUY", 1, 49_990, "maker")
    world.order("SELL", 0.015, reduceOnly=True)
    assert world.position() == 0


def test_brackets_are_cut_brackets_C12(world):
    world.fault("brackets", symbol=BTC, rows=[[0, 1000, 0.01, 20], [1000, 50_000, 0.02, 5]])
    brackets = world.ok("GET", "leverageBracket", symbol=BTC)[0]["brackets"]
    assert [(row["notionalCap"], row["maintMarginRatio"], row["cum"]) for row in brackets] == [
        (1000, 0.01, 0.0), (50_000, 0.02, 10.0)]  # fmt: skip
    assert world.call("POST", "order", **(LIMIT | {"quantity": 0.1})).code == -2027
    assert world.call("POST", "leverage", symbol=BTC, leverage=21).code == -4028


def test_a_position_is_deleveraged_adl_C9(world):
    world.hold("BUY", 0.02)
    ear = world.listen()
    world.fault("adl", account="alice", symbol=BTC, share=0.5)
    update, order = ear.heard()
    assert update["a"]["P"][0]["pa"] == "0.010"
    assert (order["o"]["x"], order["o"]["l"], order["o"]["c"][:13]) == ("CALCULATED", "0.010", "adl_autoclose")
    assert world.position() == 0.01
    assert len(world.records("forced")) == 1


def test_an_account_is_liquidated_liquidate_B23_C10(world):
    world.hold("BUY", 0.02)
    world.order("BUY", 0.01, 48_000)
    ear = world.listen()
    world.fault("liquidate", account="alice")
    orders = [event["o"] for event in ear.heard() if event["e"] == "ORDER_TRADE_UPDATE"]
    assert [(o["x"], o["X"], o["er"]) for o in orders] == [("EXPIRED", "EXPIRED", "5"), ("CALCULATED", "FILLED", "0")]
    assert world.position() == 0 and world.ok("GET", "openOrders") == []


def test_a_symbol_is_settled_settle_B23_C11(world):
    world.hold("BUY", 0.02)
    world.order("BUY", 0.01, 48_000)
    before = world.wallet()
    ear = world.listen()
    world.fault("settle", symbol=BTC, price=51_000)
    last = [event["o"] for event in ear.heard() if event["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert last["c"].startswith("settlement_autoclose-")
    assert world.wallet() == pytest.approx(before + 20)
    assert world.ok("GET", "exchangeInfo")["symbols"][0]["status"] == "CLOSE"
    assert world.position() == 0 and world.ok("GET", "openOrders", symbol=BTC) == []


@pytest.mark.parametrize("rate", [0.03, -0.03], ids=["funding-A19-long pays", "funding-A19-short pays"])
def test_an_extreme_funding_is_settled(world, rate):
    world.hold("BUY", 0.1)
    before = world.wallet()
    world.fault("funding", symbol=BTC, rate=rate)
    assert world.wallet() == pytest.approx(before - 5_000 * rate)
    (record,) = [row for row in world.records("funding") if row["account"] == 0]
    assert record["rate_e8"] == round(rate * 10**8)


def pass_s(world, seconds, price=50_000):
    """Let time pass as it does for a market that makes its own mark of an index, which then is told."""

    def act():
        server = world.server
        server.clock.reach(server.clock.now() + round(seconds * 10**9))
        server.advance(server.clock.now())
        server.venue.feed(market_row(Kind.MARK, 0, server.clock.now(), 0, price * E8))

    world.do(act)


def funding(world):
    """Return rate, hours to the next stamp, and hours between stamps, as REST shows them."""
    shown, (info, _) = world.ok("GET", "premiumIndex", symbol=BTC), world.ok("GET", "fundingInfo")
    return float(shown["lastFundingRate"]), (shown["nextFundingTime"] - world.now_ms) / HOUR_MS, \
        info["fundingIntervalHours"]  # fmt: skip


def to_stamp(world, hours=8):
    """Let time pass to a second behind the next stamp of an interval."""
    pass_s(world, hours * 3600 - world.now_ms / 1000 % (hours * 3600) + 1)


def test_the_next_funding_is_seen_before_it_is_settled_next_funding_A19(world):
    world.hold("BUY", 0.1)
    to_stamp(world)
    ear = world.hear("/market/ws/btcusdt@markPrice@1s")
    pass_s(world, 10)
    assert funding(world) == (0.0001, pytest.approx(8, abs=0.01), 8)
    world.fault("next_funding", symbol=BTC, rate=-0.02, hours=4)
    assert funding(world) == (-0.02, pytest.approx(4, abs=0.01), 4)
    pass_s(world, 1)
    told = ear.heard()[-1]
    assert (told["r"], told["T"]) == ("-0.02000000", world.ok("GET", "premiumIndex", symbol=BTC)["nextFundingTime"])
    before = world.wallet()
    to_stamp(world, 4)
    assert world.wallet() == pytest.approx(before + 5_000 * 0.02)
    assert float(world.ok("GET", "fundingRate", symbol=BTC)[-1]["fundingRate"]) == -0.02
    # A rate beyond the cap has made the contract hourly, and the rate is the samples' again.
    assert funding(world) == (0.0000125, pytest.approx(1, abs=0.01), 1)
    world.fault("next_funding", symbol=BTC, hours=8)
    assert funding(world)[1:] == (pytest.approx(1, abs=0.01), 8)  # no stamp comes later by it


def test_a_recording_shows_the_next_funding_too_next_funding_A19(tmp_path):
    history = tmp_path / "history.jsonl"
    with World(specs=[spec(BTC, leverage=20)], replay=[SAMPLES / "btcusdt_l2_20230404.gz"], history=history) as world:
        start = world.now_ms * 10**6

        def tell(hours):
            """Let a mark say what a recording would: 0.01 % every eight hours, the first stamp three hours away."""
            server, now = world.server, start + round(hours * HOUR_MS) * 10**6
            server.clock.reach(now)
            named = start + (3 + 8 * max(0, math.floor((hours - 3) / 8 + 1))) * HOUR_MS * 10**6
            server.step(now, market_row(Kind.MARK, 0, now, 28_000 * E8, 28_000 * E8, 10_000, named))
            return [row["fundingTime"] for row in server.market.funding_rate(0)]

        def told(hours):
            return [(at - start // 10**6) / HOUR_MS for at in world.do(lambda: tell(hours))]

        def shown():
            (info,) = world.ok("GET", "fundingInfo")
            row = world.ok("GET", "premiumIndex", symbol=BTC)
            return float(row["lastFundingRate"]), (row["nextFundingTime"] - start // 10**6) / HOUR_MS, \
                info["fundingIntervalHours"]  # fmt: skip

        told(0.1)
        assert shown() == (0.0001, 3, 8)
        world.fault("next_funding", symbol=BTC, rate=0.02)
        told(0.2)
        assert shown() == (0.02, 3, 8)
        world.fault("next_funding", symbol=BTC, hours=1)
        told(0.3)
        assert shown() == (0.02, 1, 1)
        assert told(1.01) == [1] and shown() == (0.0001, 2, 1)
        assert told(2.01) == [1, 2] and told(3.01) == [1, 2, 3] and shown() == (0.0001, 4, 1)
        world.fault("next_funding", symbol=BTC, hours=8)
        assert told(3.5) == [1, 2, 3] and shown() == (0.0001, 4, 8)
        assert told(4.01) == [1, 2, 3, 4] and shown() == (0.0001, 12, 8)
        rates = [float(row["fundingRate"]) for row in world.ok("GET", "fundingRate", symbol=BTC)]
        assert rates == [0.02, 0.0001, 0.0001, 0.0001]


def test_every_stamp_of_a_jump_is_settled_told_and_listed(world):
    world.hold("BUY", 0.1)
    pass_s(world, 1)
    ear, first = world.listen(), world.now_ms
    pass_s(world, 25 * 3600, 60_000)
    stamps = list(range((first // HOUR_MS // 8 + 1) * 8 * HOUR_MS, world.now_ms + 1, 8 * HOUR_MS))
    assert len(stamps) >= 3
    events = [event for event in ear.heard() if event["e"] == "ACCOUNT_UPDATE"]
    assert [(event["a"]["m"], event["T"]) for event in events] == [("FUNDING_FEE", stamp) for stamp in stamps]
    rows = world.ok("GET", "income", incomeType="FUNDING_FEE")
    assert [(row["time"], float(row["income"])) for row in rows] == [(stamp, -0.5) for stamp in stamps]
    listed = world.ok("GET", "fundingRate", symbol=BTC)
    assert [(row["fundingTime"], float(row["markPrice"])) for row in listed] == [(stamp, 50_000) for stamp in stamps]
    assert [row["t"] // 10**6 for row in world.records("funding") if row["account"] == 0] == stamps


@pytest.mark.parametrize("do,asset,sign,why", [
    ("deposit", "USDT", 1, "DEPOSIT"), ("withdraw", "USDT", -1, "WITHDRAW"), ("deposit", "BNB", 1, "DEPOSIT"),
], ids=["deposit-C13", "withdraw-C13", "deposit-C13-BNB"])  # fmt: skip
def test_money_comes_and_goes(world, do, asset, sign, why):
    ear = world.listen()
    world.fault(do, account="alice", asset=asset, amount=100)
    (event,) = ear.heard()
    (balance,) = event["a"]["B"]
    assert (event["a"]["m"], balance["a"], balance["bc"]) == (why, asset, str(100 * sign))
    rows = {row["asset"]: float(row["balance"]) for row in world.ok("GET", "/fapi/v3/balance")}
    assert rows[asset] == (10_000 if asset == "USDT" else 0) + 100 * sign
    last = world.ok("GET", "income", incomeType="TRANSFER")[-1]
    assert (last["asset"], float(last["income"])) == (asset, 100 * sign)


def test_more_than_there_is_cannot_be_withdrawn_withdraw_C13(world):
    world.fault("withdraw", account="alice", asset="USDT", amount=10_001)
    assert "not done" in world.records("fault")[-1]["text"]
    assert world.wallet() == 10_000


def test_somebody_else_changes_settings_leverage_margin_type_C12_position_mode_B16(world):
    ear = world.listen()
    world.fault("leverage", account="alice", symbol=BTC, value=50)
    world.fault("margin_type", account="alice", symbol=BTC, value="ISOLATED")
    world.fault("position_mode", account="alice", value="HEDGE")
    assert [event["e"] for event in ear.heard()] == ["ACCOUNT_CONFIG_UPDATE", "ACCOUNT_UPDATE"]
    config = world.ok("GET", "symbolConfig", symbol=BTC)[0]
    assert (config["leverage"], config["marginType"]) == (50, "ISOLATED")
    assert world.call("POST", "order", **LIMIT).code == -4061
    assert world.ok("GET", "positionSide/dual", "bob") == {"dualSidePosition": False}


def test_fees_change_fee_tier_C14(world):
    world.quote()
    world.fault("fee_tier", account="alice", maker=-0.0001, taker=0.001)
    assert world.ok("GET", "commissionRate", symbol=BTC)["takerCommissionRate"] == "0.0010"
    world.order("BUY", 0.01)
    assert world.ok("GET", "userTrades", symbol=BTC)[-1]["commission"] == "0.50001000"
    assert world.ok("GET", "userTrades", "maker", symbol=BTC)[-1]["commission"] == "-0.05000100"


def test_somebody_else_trades_foreign_order_B25_H11(world):
    world.quote()
    ear = world.listen()
    world.fault("foreign_order", account="alice", symbol=BTC, side="BUY", quantity=0.03)
    orders = [event["o"] for event in ear.heard() if event["e"] == "ORDER_TRADE_UPDATE"]
    assert orders[0]["c"].startswith("web_") and orders[-1]["X"] == "FILLED"
    assert world.position() == 0.03


def test_the_mark_is_off_and_comes_back_mark_jump_A13_C10(world):
    world.hold("BUY", 0.1)
    world.fault("mark_jump", symbol=BTC, percent=-5, hold_s=10)
    world.mark(50_000)
    shown = world.ok("GET", "premiumIndex", symbol=BTC)
    assert (float(shown["markPrice"]), float(shown["indexPrice"])) == (47_500, 50_000)
    assert world.ok("GET", "premiumIndex", symbol=ETH)["markPrice"] == "3000.00000000"
    assert float(world.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)[0]["unRealizedProfit"]) == -250
    world.pass_s(11)
    world.mark(50_000)
    assert float(world.ok("GET", "premiumIndex", symbol=BTC)["markPrice"]) == 50_000


def test_the_market_jumps_and_comes_back_price_jump_A12_C10():
    with World(lively=True, rate_per_s=50.0) as world:
        def middle():
            row = world.ok("GET", "ticker/bookTicker", symbol=BTC)
            return (float(row["bidPrice"]) + float(row["askPrice"])) / 2

        def reach(low, high):
            for _ in range(400):
                if low < middle() < high:
                    return True
                time.sleep(0.02)
            return False

        world.fault("price_jump", symbol=BTC, percent=-3, hold_s=2)
        assert reach(48_200, 48_800)
        assert reach(49_700, 50_300)


# ---------------------------------------------------------------------------------- rows that are no deed's


def test_a_thousand_trades_and_more_are_read_page_by_page_C8(world):
    def trade(count):
        venue, symbol = world.server.venue, world.server.symbols[0]
        for n in range(count):
            venue.place(world.server.clock.now(), 2, Asked(symbol, f"m{n}", 1, 0, 0, 1, 500_000))
        venue.place(world.server.clock.now(), 0, Asked(symbol, "", 0, 0, 0, count, 500_000))

    for _ in range(11):
        world.do(lambda: trade(100))
    found, first = [], 0
    while page := world.ok("GET", "userTrades", symbol=BTC, fromId=first, limit=1000):
        found += [row["id"] for row in page]
        first = found[-1] + 1
    assert len(found) == len(set(found)) == 1100 and found == sorted(found)
    assert float(world.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)[0]["positionAmt"]) == 1.1


def test_a_certificate_that_nobody_vouches_for_is_refused_D6(tmp_path):
    files = certificate(tmp_path)
    with World(tls=files) as world:
        url = f"https://127.0.0.1:{world.port}/fapi/v1/ping"
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(url, context=ssl.create_default_context())
        trusted = ssl.create_default_context(cafile=str(files[0]))
        assert urlopen(url, context=trusted).read() == b"{}"
        with pytest.raises((http.client.HTTPException, OSError)):
            world.send("GET", "/fapi/v1/ping", timeout=2)
        with sockets.create_connection(("127.0.0.1", world.port), 5) as line, \
                pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):  # fmt: skip
            trusted.wrap_socket(line, server_hostname="fapi.binance.com")


# ---------------------------------------------------------------------------------- nothing is left out


def test_every_deed_and_every_row_has_its_test(request):
    names = " ".join(item.nodeid.partition("::")[2] for item in request.session.items
                     if "test_loopback_faults_wire" in item.nodeid)  # fmt: skip
    if "price_jump" not in names or "malform" not in names:
        pytest.skip("only some tests were asked for")
    words = set(names.replace("[", " ").replace("]", " ").replace("-", " ").replace("_", " ").split())
    assert [row for row in CATALOGUE if row not in words and row not in NOT_HERE] == []
    assert set(NOT_HERE) <= set(faults.unserved())
    assert [entry.do for entry in ENTRIES if entry.do not in names] == []


def test_the_page_about_faults_is_current(root):
    tool = importlib.util.spec_from_file_location("make_faults_page", root / "tests/tools/make_faults_page.py")
    maker = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(maker)
    assert (root / "docs/faults.md").read_text(encoding="utf-8") == maker.page(), \
        "run python tests/tools/make_faults_page.py"  # fmt: skip
    assert set(maker.ELSEWHERE) == set(faults.unserved())
