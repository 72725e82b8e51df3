"""The plan of faults: what the exchange is told to do wrong, asked question by question."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.loopback.faults import CATALOGUE, ENTRIES, MAX_FAULTS, Fate, Faults, reference, unserved
from autotrader.errors import OperatorError
from autotrader.messages import set_language

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
ORDER = {"method": "POST", "path": "/fapi/v1/order", "account": "alice", "symbol": "BTCUSDT", "order_type": "LIMIT"}
DEPTH = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","b":[["7403.89","0.002"]],"a":[]}'
FILL = b'{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"BTCUSDT","X":"FILLED","p":"7100.50"}}'


def plan(*tables, seed=7):
    faults = Faults(seed)
    faults.open(T0)
    for table in tables:
        faults.add(table)
    return faults


def ask(faults, at_s=0.0, **changes):
    return faults.on_request(T0 + round(at_s * SECOND), **{**ORDER, **changes})


def tell(faults, payload=DEPTH, at_s=0.0, stream="btcusdt@depth", event="depthUpdate", **facts):
    return faults.on_event(T0 + round(at_s * SECOND), stream=stream, event=event, payload=payload, **facts)


def body(fate):
    return json.loads(fate.answer[1])


# Requests.

TIMEOUT = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
THROTTLED = (
    "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."
)
INTERNAL = "Internal error; unable to process your request. Please try again."


@pytest.mark.parametrize(
    ("do", "done", "status", "code", "text"),
    [
        ("timeout_done", True, 408, -1007, TIMEOUT),
        ("timeout_undone", False, 408, -1007, TIMEOUT),
        ("overloaded_503", False, 503, -1008, THROTTLED),
        ("internal_503", False, 503, -1001, INTERNAL),
        ("maintenance", False, 503, -1016, "This service is no longer available."),
    ],
)
def test_an_error_of_the_exchange_has_its_status_its_code_and_its_words(do, done, status, code, text):
    fate = ask(plan({"do": do}))
    assert (fate.execute, fate.answer[0], fate.answer[2]) == (done, status, "application/json")
    assert body(fate) == {"code": code, "msg": text}


@pytest.mark.parametrize(
    ("do", "done", "text"),
    [
        ("unknown_503_done", True, "Unknown error, please check your request or try again later."),
        ("unknown_503_undone", False, "Unknown error, please check your request or try again later."),
        ("unavailable_503", False, "Service Unavailable."),
    ],
)
def test_the_gateways_503_has_its_words_and_no_code(do, done, text):
    fate = ask(plan({"do": do}))
    assert (fate.execute, fate.answer[0]) == (done, 503)
    assert body(fate) == {"timestamp": T0 // 10**6, "path": "/fapi/v1/order", "msg": text}


def test_an_answer_or_a_request_is_lost():
    assert (ask(plan({"do": "lose_answer"})).execute, ask(plan({"do": "lose_answer"})).never) == (True, True)
    assert (ask(plan({"do": "lose_request"})).execute, ask(plan({"do": "lose_request"})).never) == (False, True)


@pytest.mark.parametrize(("status", "title"), [(502, "502 Bad Gateway"), (504, "504 Gateway Time-out")])
def test_a_gateway_answers_in_html(status, title):
    fate = ask(plan({"do": "bad_gateway_html", "status": status, "done": True}))
    assert fate.execute and fate.answer[0] == status and fate.answer[2] == "text/html"
    assert f"<title>{title}</title>" in fate.answer[1].decode()


def test_the_firewall_answers_in_html():
    fate = ask(plan({"do": "waf_403"}))
    assert not fate.execute and fate.answer[0] == 403 and fate.answer[1].startswith(b"<!DOCTYPE HTML>")


def test_an_error_by_its_code_spares_exits_where_it_is_told_to():
    table = {"do": "error", "code": -4192, "text": "Cooling off.", "spare_exits": True, "count": 9}
    faults = plan(table)
    assert ask(faults, exempt=True) == Fate()
    assert body(ask(faults)) == {"code": -4192, "msg": "Cooling off."}
    assert ask(faults).answer[0] == 400


def test_overload_concerns_new_orders_and_spares_what_only_reduces():
    faults = plan({"do": "overloaded_503", "count": 100})
    assert ask(faults, exempt=True) == ask(faults, method="DELETE") == ask(faults, path="/fapi/v1/leverage") == Fate()
    assert ask(faults, path="/fapi/v1/batchOrders").answer[0] == 503


def test_an_answer_is_written_out_late_empty_half_cut_or_byte_by_byte():
    assert ask(plan({"do": "answer", "status": 200, "body": "{}"})).answer == (200, b"{}", "application/json", ())
    assert ask(plan({"do": "delay", "delay_s": 2.5})) == Fate(delay_s=2.5, name="fault1")
    assert ask(plan({"do": "empty_200"})).answer == (200, b"", "application/json", ())
    assert ask(plan({"do": "truncated_json"})).half
    assert ask(plan({"do": "reset", "cut": 10, "done": True})) == Fate(cut=10, name="fault1")
    assert ask(plan({"do": "reset"})) == Fate(execute=False, cut=0, name="fault1")
    assert ask(plan({"do": "drip", "byte_s": 0.5})).drip_s == 0.5


def test_an_error_may_come_late_so_that_the_event_is_there_before():
    fate = ask(plan({"do": "timeout_done", "delay_s": 3}))
    assert (fate.execute, fate.delay_s, fate.answer[0]) == (True, 3.0, 408)


def test_a_ban_meets_everything_that_the_account_asks_until_it_ends():
    faults = plan({"do": "ban", "path": "/fapi/v1/order", "skip": 1, "ban_s": 120})
    assert ask(faults) == Fate()
    first = ask(faults, 1)
    until = (T0 + 121 * SECOND) // 10**6
    assert first.answer[0] == 418 and first.answer[3] == (("Retry-After", "120"),)
    assert body(first)["code"] == -1003
    assert body(first)["msg"].startswith(f"Way too many requests; IP banned until {until}.")
    assert ask(faults, 100, path="/fapi/v1/time").answer[3] == (("Retry-After", "21"),)
    assert ask(faults, 100, account="bob") == Fate()
    assert ask(faults, 121) == Fate()


def test_a_limit_says_when_to_come_back():
    fate = ask(plan({"do": "limit", "retry_s": 7}))
    assert (fate.execute, fate.answer[0], fate.answer[3]) == (False, 429, (("Retry-After", "7"),))
    assert body(fate)["msg"] == (
        "Too many requests; current limit is 2400 requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    )


def test_maintenance_goes_on_until_it_is_lifted():
    faults = plan({"name": "night", "do": "maintenance"})
    assert {ask(faults, second).answer[0] for second in range(0, 7_200, 60)} == {503}
    assert faults.remove("night") and not faults.remove("night")
    assert ask(faults) == Fate()


def test_weight_is_added_to_whatever_else_happens():
    faults = plan({"do": "weight", "used": 900}, {"do": "weight", "used": 100}, {"do": "lose_answer"})
    fate = ask(faults)
    assert (fate.weight, fate.never) == (1000, True)
    assert ask(faults).weight == 1000


def test_the_servers_clock_is_off_in_its_window():
    faults = plan({"do": "skew", "skew_ms": 1500, "after_s": 10, "until_s": 20}, {"do": "skew", "skew_ms": -500})
    assert [faults.skew_ms(T0 + second * SECOND) for second in (0, 10, 19, 20)] == [-500, 1000, 1000, -500]
    assert ask(faults) == Fate()


# When it applies.


@pytest.mark.parametrize(
    ("selector", "other"),
    [
        ({"method": "POST"}, {"method": "GET"}),
        ({"path": "/fapi/*/order"}, {"path": "/fapi/v1/leverage"}),
        ({"account": "alice"}, {"account": "bob"}),
        ({"symbol": "BTCUSDT"}, {"symbol": None}),
        ({"type": "LIMIT"}, {"order_type": "MARKET"}),
        ({"side": "BUY"}, {"side": "SELL"}),
    ],
)
def test_a_selector_lets_others_pass(selector, other):
    faults = plan({"do": "lose_answer", **selector})
    assert ask(faults, **{"side": "BUY", **other}) == Fate()
    assert ask(faults, side="BUY").never


def test_a_fault_has_its_window_its_skips_and_its_count():
    faults = plan({"do": "lose_answer", "after_s": 5, "until_s": 100, "skip": 2, "count": 2})
    fired = [ask(faults, second).never for second in (0, 4.9, 5, 6, 7, 8, 9)]
    assert fired == [False, False, False, False, True, True, False]
    assert (faults.listed()[0]["seen"], faults.listed()[0]["fired"]) == (4, 2)
    assert not ask(plan({"do": "lose_answer", "until_s": 10}), 10).never


def test_a_share_is_drawn_from_the_seed():
    def drawn(seed):
        faults = plan({"do": "lose_answer", "share": 0.3, "count": 10_000}, seed=seed)
        return [ask(faults).never for _ in range(1_000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350


def test_the_first_of_the_plan_decides_and_then_the_next():
    faults = plan({"do": "lose_answer"}, {"do": "lose_request"})
    assert [(ask(faults).name) for _ in range(3)] == ["fault1", "fault2", ""]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"do": st.sampled_from(["lose_answer", "internal_503", "weight", "delay", "ban"])},
            optional={"account": st.just("nobody"), "symbol": st.just("XRPUSDT"), "after_s": st.just(1000)},
        ).filter(lambda table: len(table) > 1),
        max_size=5,
    ),
    st.lists(st.sampled_from(["/fapi/v1/order", "/fapi/v1/time", "/fapi/v1/depth"]), max_size=20),
)
def test_where_no_fault_matches_nothing_changes(tables, paths):
    needs = {"weight": {"used": 5}, "delay": {"delay_s": 1}}
    faults = plan(*(table | needs.get(table["do"], {}) for table in tables), {"do": "mute", "stream": "ethusdt@*"})
    for path in paths:
        assert ask(faults, path=path) == Fate()
        assert tell(faults) == [(0.0, DEPTH)]
        assert faults.on_connect(T0, path=path) is None
    assert faults.due(T0) == [] and faults.skew_ms(T0) == 0


# Events.


def test_without_a_fault_of_events_nobody_needs_to_ask():
    faults = plan({"do": "lose_answer"})
    assert not faults.eventful
    faults.add({"do": "drop"})
    assert faults.eventful
    assert tell(faults) == []
    assert not faults.eventful
    assert tell(faults) == [(0.0, DEPTH)]


def test_an_event_is_dropped_sent_twice_late_or_replaced():
    assert tell(plan({"do": "drop", "symbol": "BTCUSDT"}), symbol="BTCUSDT") == []
    assert tell(plan({"do": "duplicate"})) == [(0.0, DEPTH)] * 2
    assert tell(plan({"do": "delay", "stream": "*", "delay_s": 2})) == [(2.0, DEPTH)]
    assert tell(plan({"do": "replace", "payload": "{}"})) == [(0.0, b"{}")]


def test_a_gap_takes_one_depth_diff_and_no_other_event():
    faults = plan({"do": "gap"})
    assert tell(faults, b"{}", event="aggTrade", stream="btcusdt@aggTrade") == [(0.0, b"{}")]
    assert [tell(faults) for _ in range(2)] == [[], [(0.0, DEPTH)]]


def test_two_events_of_a_stream_change_places():
    faults = plan({"do": "reorder", "stream": "btcusdt@*"})
    assert tell(faults, b"1") == []
    assert tell(faults, b"x", stream="ethusdt@depth") == [(0.0, b"x")]
    assert tell(faults, b"1", account="bob") == [(0.0, b"1")]
    assert faults.eventful
    assert tell(faults, b"2") == [(0.0, b"2"), (0.0, b"1")]
    assert not faults.eventful
    assert tell(faults, b"3") == [(0.0, b"3")]


def test_what_is_held_comes_at_once_at_the_end():
    faults = plan({"do": "hold", "after_s": 10, "until_s": 15})
    waits = [tell(faults, at_s=second)[0][0] for second in (9, 10, 12.5, 14, 15)]
    assert waits == [0.0, 5.0, 2.5, 1.0, 0.0]


def test_a_stream_is_mute_in_its_window_and_its_neighbour_is_not():
    faults = plan({"do": "mute", "stream": "btcusdt@*", "after_s": 10, "until_s": 20})
    assert [len(tell(faults, at_s=second)) for second in (9, 10, 15, 20)] == [1, 0, 0, 1]
    assert len(tell(faults, at_s=15, stream="ethusdt@depth")) == 1


def spoilt(how, payload=DEPTH):
    ((_, text),) = tell(plan({"do": "malform", "how": how}), payload)
    return text


def test_an_event_is_spoilt_in_every_way():
    assert spoilt("truncate") == DEPTH[: len(DEPTH) // 2]
    with pytest.raises(UnicodeDecodeError):
        spoilt("not_utf8").decode()
    assert spoilt("bom") == b"\xef\xbb\xbf" + DEPTH
    assert spoilt("deep").count(b"[") > 10_000
    assert len(spoilt("huge_frame")) > 10 << 20
    assert len(json.loads(spoilt("huge_number"))["b"][0][0]) == 400
    assert json.loads(spoilt("nan_price"))["b"][0] == ["NaN", "0.002"]
    assert json.loads(spoilt("negative_price"))["b"][0] == ["-7403.89", "0.002"]
    assert json.loads(spoilt("int_price"))["b"][0] == [7403, "0.002"]
    assert spoilt("duplicate_keys").startswith(b'{"e":null,"e":"depthUpdate"')
    assert "zz" in json.loads(spoilt("unknown_field"))
    assert json.loads(spoilt("unknown_event"))["e"] == "somethingNew"
    assert json.loads(spoilt("unknown_status", FILL))["o"]["X"] == "SOMETHING_NEW"
    assert "zz" in json.loads(spoilt("unknown_field", b"[" + DEPTH + b"]"))[0]


# Connections and times.


@pytest.mark.parametrize(
    ("table", "args"),
    [
        ({"do": "close", "code": 1008, "delay_s": 3}, {"code": 1008, "delay_s": 3.0}),
        ({"do": "half_open"}, {"delay_s": 0.0}),
        ({"do": "refuse"}, {"delay_s": 0.0}),
        ({"do": "slow", "bytes_per_s": 1200}, {"bytes_per_s": 1200, "delay_s": 0.0}),
        ({"do": "flap"}, {"delay_s": 0.0}),
    ],
)
def test_a_connection_meets_its_deed_when_it_opens(table, args):
    faults = plan({**table, "path": "/public/*", "count": 2})
    assert faults.on_connect(T0, path="/market/ws") is None
    deed = faults.on_connect(T0, path="/public/ws")
    assert (deed.do, dict(deed.args)) == (table["do"], {"path": "/public/*", **args})
    assert faults.on_connect(T0, path="/public/ws") is not None
    assert faults.on_connect(T0, path="/public/ws") is None


def test_a_connection_deed_with_a_time_concerns_those_that_are_open_then():
    faults = plan({"do": "close", "account": "alice", "at_s": 86_400})
    assert faults.on_connect(T0, path="/private/ws", account="alice") is None
    assert faults.due(T0 + 86_399 * SECOND) == []
    (deed,) = faults.due(T0 + 86_400 * SECOND)
    assert (deed.do, deed.args["account"], deed.args["code"]) == ("close", "alice", 1001)


TIMED = [
    ({"do": "expire_key", "account": "alice"}, {}),
    ({"do": "revoke_key", "account": "alice"}, {}),
    ({"do": "status", "symbol": "BTCUSDT", "value": "SETTLING"}, {}),
    ({"do": "filters", "symbol": "BTCUSDT", "tick": "0.5", "step": 1}, {"tick": 5 * 10**7, "step": 10**8}),
    ({"do": "adl", "account": "alice", "symbol": "BTCUSDT", "share": 0.5}, {}),
    ({"do": "liquidate", "account": "alice"}, {}),
    ({"do": "settle", "symbol": "BTCUSDT", "price": 0.1}, {"price": 10**7}),
    ({"do": "funding", "symbol": "BTCUSDT", "rate": -0.02}, {"rate": -2 * 10**6}),
    ({"do": "next_funding", "symbol": "BTCUSDT", "rate": "0.02"}, {"rate": 2 * 10**6}),
    ({"do": "next_funding", "symbol": "BTCUSDT", "hours": 4}, {"hours": 4}),
    ({"do": "deposit", "account": "alice", "asset": "USDT", "amount": "12.34567891"}, {"amount": 1_234_567_891}),
    ({"do": "withdraw", "account": "alice", "asset": "BNB", "amount": 1}, {"amount": 10**8}),
    ({"do": "leverage", "account": "alice", "symbol": "BTCUSDT", "value": 25}, {}),
    ({"do": "margin_type", "account": "alice", "symbol": "BTCUSDT", "value": "ISOLATED"}, {}),
    ({"do": "position_mode", "account": "alice", "value": "HEDGE"}, {}),
    ({"do": "fee_tier", "account": "alice", "maker": -0.0001, "taker": 0.0003}, {"maker": -10_000, "taker": 30_000}),
    ({"do": "foreign_order", "account": "alice", "symbol": "B", "side": "SELL", "quantity": 0.01}, {"quantity": 10**6}),
    ({"do": "mark_jump", "symbol": "BTCUSDT", "percent": -30, "hold_s": 60}, {}),
    ({"do": "price_jump", "symbol": "BTCUSDT", "percent": 50}, {"hold_s": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("table", "read"), TIMED, ids=lambda case: case.get("do", ""))
def test_a_deed_at_a_time_becomes_due_once(table, read):
    faults = plan({**table, "at_s": 60})
    assert faults.due(T0 + 59 * SECOND) == []
    (deed,) = faults.due(T0 + 60 * SECOND)
    assert (deed.name, deed.do) == ("fault1", table["do"])
    assert dict(deed.args).items() >= ({key: table[key] for key in table if key != "do"} | read).items()
    assert faults.due(T0 + 61 * SECOND) == []


def test_brackets_have_their_maintenance_amount():
    rows = [[0, 1000, 0.01, 20], [1000, 10_000, "0.05", 10]]
    (deed,) = plan({"do": "brackets", "symbol": "BTCUSDT", "rows": rows}).due(T0)
    assert deed.args["rows"] == (
        (0, 1_000 * 10**8, 10**6, 0, 20),
        (1_000 * 10**8, 10_000 * 10**8, 5 * 10**6, 40 * 10**8, 10),
    )


def test_deeds_are_due_in_order_of_time_and_at_once_without_one():
    faults = plan(
        {"do": "liquidate", "account": "c", "at_s": 2},
        {"do": "liquidate", "account": "b", "at_s": 1},
        {"do": "liquidate", "account": "a"},
    )
    assert [deed.args["account"] for deed in faults.due(T0 + 9 * SECOND)] == ["a", "b", "c"]


def test_the_first_question_opens_the_exchange_where_nobody_else_did():
    faults = Faults(1)
    faults.add({"do": "lose_answer", "after_s": 10})
    assert not faults.on_request(T0, **ORDER).never
    assert faults.on_request(T0 + 10 * SECOND, **ORDER).never


# Tables.


def refusal(table):
    with pytest.raises(OperatorError) as refused:
        plan(table)
    return str(refused.value)


def test_a_bad_table_names_its_place_its_key_and_what_is_allowed():
    assert refusal({"do": "sing"}).startswith("control port: fault: do = sing is not allowed; use: one of adl, answer")
    assert refusal({}).startswith("control port: fault: do is missing; add it (one of adl")
    assert refusal({"do": "liquidate"}) == (
        "control port: fault: account is missing; add it (text of 1 to 128 characters)"
    )
    assert refusal({"do": "liquidate", "account": "a", "path": "x"}) == (
        "control port: fault: path is no key of liquidate; use: account, at_s"
    )
    assert refusal({"do": "lose_answer", "share": 2}).endswith("share = 2 is not allowed; use: number, 0 to 1")
    assert refusal({"do": "lose_answer", "count": 0}).endswith("use: whole number, 1 to 1000000000")
    assert refusal({"do": "empty_200", "done": 1}).endswith("done = 1 is not allowed; use: one of true, false")
    assert refusal({"do": "next_funding", "symbol": "B", "hours": 2}).endswith("use: one of 8, 4, 1")
    assert refusal({"do": "next_funding", "symbol": "B"}) == (
        "control port: fault: next_funding needs one of rate, hours; add it"
    )
    assert "[floor, cap" in refusal({"do": "brackets", "symbol": "B", "rows": [[1, 2, 0.1, 3]]})


NONSENSE = {
    "nan": float("nan"), "inf": float("inf"), "true": True, "null": None, "list": [], "table": {}, "long": "x" * 200,
    "lines": "\n" * 200, "negative": -1, "huge": 10**5000, "deep": [10**5000], "empty": "",
}  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("key", ["name", "do", "account", "asset", "amount", "at_s"])
def test_nonsense_in_a_table_is_refused_in_one_line(key, value):
    table = {"do": "deposit", "account": "a", "asset": "USDT", "amount": 1, key: NONSENSE[value]}
    assert "\n" not in refusal(table)


@pytest.mark.parametrize("amount", ["1e-400", "1e400", "1e999999999", "0.123456789", "NaN", "-Infinity", "1_0 "])
def test_an_amount_is_money_of_eight_decimals(amount):
    assert "amount = " in refusal({"do": "deposit", "account": "a", "asset": "USDT", "amount": amount})


def test_a_bad_table_is_refused_in_korean_too():
    set_language("ko")
    try:
        assert "허용되지 않습니다" in refusal({"do": "sing"})
        assert "rate, hours 중 하나" in refusal({"do": "next_funding", "symbol": "B"})
    finally:
        set_language("en")


def test_names_are_taken_once_and_a_plan_has_a_bound():
    faults = plan({"name": "a", "do": "drop"})
    with pytest.raises(OperatorError, match="another fault is called a"):
        faults.add({"name": "a", "do": "drop"})
    for _ in range(MAX_FAULTS - 1):
        faults.add({"do": "drop"})
    with pytest.raises(OperatorError, match=f"has {MAX_FAULTS} faults already"):
        faults.add({"do": "drop"})


def test_a_plan_is_read_from_a_file_and_listed_as_it_was_written(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[[fault]]\nname = "lost"\ndo = "lose_answer"\nsymbol = "BTCUSDT"\n\n[[fault]]\ndo = "drop"\n')
    listed = Faults.load(path, seed=3).listed()
    assert listed == [
        {"name": "lost", "do": "lose_answer", "symbol": "BTCUSDT", "seen": 0, "fired": 0},
        {"name": "fault2", "do": "drop", "seen": 0, "fired": 0},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[fault]]\ndo = "drop"\n[[fault]]\ndo = "no"\n', r"plan.toml: fault 2: do = no"),
        ("[[fault]\n", r"plan.toml: is not valid TOML"),
        ("[fault]\n", r"plan.toml: holds fault;"),
        ('[[fault]]\ndo = "drop"\n[x]\n', r"plan.toml: holds fault, x; a plan is \[\[fault\]\] tables"),
    ],
)
def test_a_bad_plan_names_the_file_and_the_table(tmp_path, text, said):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=said):
        Faults.load(path, seed=3)


def test_a_plan_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OperatorError, match=r"nothing\.toml: cannot be read"):
        Faults.load(tmp_path / "nothing.toml", seed=3)


# The reference.


def test_every_deed_stands_in_the_reference_and_is_tried_here(request):
    tried = request.path.read_text()
    for entry in ENTRIES:
        assert f"| `{entry.do}` |" in reference()
        assert f'"{entry.do}"' in tried


def test_what_no_deed_serves_is_known():
    assert unserved() == ["A18", "C8", "D6", "F17", "H15"]
    assert set(unserved()) < set(CATALOGUE)
