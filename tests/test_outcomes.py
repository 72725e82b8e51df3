"""What an answer of the exchange proves about a request, row by row, typed from the exchange's documentation."""

import doctest
import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.binance import outcomes
from autotrader.adapters.binance.outcomes import TABLE, Alert, By, Call, Outcome, Verdict, judge, judge_batch

PLACE, AMEND, CANCEL, QUERY, OTHER = Call
DONE, FAILED, UNKNOWN, ABSENT = Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN, Outcome.ABSENT
WAIT, RESYNC, REFRESH = Outcome.WAIT, Outcome.RESYNC, Outcome.REFRESH
RECONCILE, HALT = Outcome.RECONCILE, Outcome.HALT

ORDER = {"orderId": 22542179, "symbol": "BTCUSDT", "status": "NEW", "clientOrderId": "at00000001000000ff"}
ALGO = {"algoId": 2146760, "clientAlgoId": "at00000001000000ff", "algoStatus": "NEW"}
ALL_CANCELED = {"code": 200, "msg": "The operation of cancel all open order is done."}
BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body>\r\n</html>\r\n"
THROTTLED = "Request throttled by system-level protection. Reduce-only/close-position orders are exempt."
UNANSWERED = "Unknown error, please check your request or try again later."
INTERNAL = "Internal error; unable to process your request. Please try again."
TIMEOUT = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
UNAVAILABLE = "Service Unavailable."
BANNED = "Way too many requests; IP banned until 1764460800123. Please use the websocket for live updates."


def said(code: int | None = None, text: str = "", **more: object) -> bytes:
    body: dict[str, object] = {} if code is None else {"code": code}
    return json.dumps(body | {"msg": text} | more).encode()


def answer(body: object) -> bytes:
    return json.dumps(body).encode()


def after(call: Call, status: int, body: bytes, sent: bool = True) -> tuple[Outcome, bool]:
    verdict = judge(call, status, body, sent)
    return verdict.outcome, verdict.again


# ---------------------------------------------------------------------------------- every code, for a new order

# Class of the documentation, what becomes of a new order, whether the same may be sent again: the codes.
PLACED = {
    ("C", RESYNC, True): "-1021 -5028",
    ("Q", UNKNOWN, False): "-1000 -1006 -1007 -1010 -2012 -4000 -4083 -4117",
    ("I then query", UNKNOWN, False): "-2011 -2013",
    ("duplicate id", UNKNOWN, False): "-4116",
    ("R", FAILED, True): "-1001 -1008 -1112 -5043",
    ("rate", WAIT, True): "-1003 -1015",
    ("F", REFRESH, False): "-1111 -1120 -1121 -1122 -4001 -4002 -4003 -4004 -4005 -4013 -4014 -4023 -4140 -4141 -4164"
    " -5024 -5029",
    ("brackets", REFRESH, False): "-2027 -2028",
    ("position", RECONCILE, False): "-2022 -2024 -4060 -4061 -4062 -4118",
    ("listen key", RECONCILE, False): "-1125",
    ("X", FAILED, False): "-1013 -1014 -1020 -1023 -1100 -1101 -1102 -1103 -1104 -1105 -1106 -1108 -1114 -1115 -1116"
    " -1117 -1118 -1119 -1127 -1128 -1130 -1136 -2010 -2018 -2019 -2020 -2021 -2025 -2026 -4015 -4016 -4021 -4024"
    " -4028 -4031 -4045 -4047 -4048 -4050 -4051 -4055 -4067 -4068 -4531 -4082 -4120 -4131 -4135 -4137 -4138 -4142"
    " -4161 -4167 -4168 -4169 -4170 -4172 -4183 -4184 -4210 -4211 -5021 -5022 -5025 -5026 -5037 -5038 -5039 -5040"
    " -5041 -5047",
    ("I", FAILED, False): "-4046 -4052 -4059 -4171 -5027",
    ("H", HALT, False): "-1002 -1016 -1022 -1099 -1109 -2014 -2015 -2017 -2023 -4109 -4192 239999",
    ("X/H", HALT, False): "-4202 -4203 -4204 -4205 -4206 -4207 -4208 -4209 -4402 -4403",
    ("reduce-only", HALT, False): "-4087 -4088 -4105 -4106 -4107 -4189 -4400 -4401",
}
BY_CODE = [(int(code), outcome, again) for (_, outcome, again), codes in PLACED.items() for code in codes.split()]


@pytest.mark.parametrize(("code", "outcome", "again"), BY_CODE)
def test_a_code_decides_what_became_of_a_new_order(code, outcome, again):
    verdict = judge(PLACE, 400, said(code, "any text"), True)
    assert (verdict.outcome, verdict.again, verdict.code, verdict.text) == (outcome, again, code, "any text")


def test_every_code_of_the_documentation_stands_in_the_table_once():
    codes = [row.key for row in TABLE if row.by is By.CODE]
    assert sorted(codes) == sorted(code for code, *_ in BY_CODE) and len(set(codes)) == len(codes) > 150


# ---------------------------------------------------------------------------------- what depends on the request

ANSWERS = [
    # A new order.
    (PLACE, 200, answer(ORDER), DONE, False),
    (PLACE, 200, answer(ALGO), DONE, False),
    (PLACE, 200, answer({"id": 1, "status": 200, "result": ORDER, "rateLimits": []}), DONE, False),
    (PLACE, 200, b"", UNKNOWN, False),
    (PLACE, 200, answer(ORDER)[:40], UNKNOWN, False),
    (PLACE, 200, b"{}", UNKNOWN, False),
    (PLACE, 200, b"[]", UNKNOWN, False),
    (PLACE, 200, b"null", UNKNOWN, False),
    (PLACE, 200, BAD_GATEWAY, UNKNOWN, False),
    (PLACE, 200, answer({"orderId": True}), UNKNOWN, False),
    (PLACE, 200, answer({"orderId": 0}), UNKNOWN, False),
    (PLACE, 200, answer(ALL_CANCELED), UNKNOWN, False),
    (PLACE, 200, answer(ORDER | {"code": -2019}), UNKNOWN, False),
    (PLACE, 408, said(-1007, TIMEOUT), UNKNOWN, False),
    (PLACE, 408, b"", UNKNOWN, False),
    (PLACE, 500, b"", UNKNOWN, False),
    (PLACE, 502, BAD_GATEWAY, UNKNOWN, False),
    (PLACE, 504, BAD_GATEWAY.replace(b"502 Bad Gateway", b"504 Gateway Time-out"), UNKNOWN, False),
    (PLACE, 503, BAD_GATEWAY.replace(b"502 Bad Gateway", b"503 Service Unavailable"), UNKNOWN, False),
    (PLACE, 503, b"Service Unavailable.", UNKNOWN, False),
    (PLACE, 503, b"", UNKNOWN, False),
    (PLACE, 503, said(None, UNANSWERED), UNKNOWN, False),
    (PLACE, 503, said(None, "unknown error, please check your request or try again later"), UNKNOWN, False),
    (PLACE, 503, said(None, UNAVAILABLE), FAILED, True),
    (PLACE, 503, said(None, INTERNAL), FAILED, True),
    (PLACE, 503, said(None, THROTTLED), FAILED, True),
    (PLACE, 503, said(-1001, INTERNAL), FAILED, True),
    (PLACE, 503, said(-1008, THROTTLED), FAILED, True),
    (PLACE, 429, said(-1008, THROTTLED), WAIT, True),
    (PLACE, 503, said(-1001, UNANSWERED), UNKNOWN, False),
    (PLACE, 503, said(None, "Service unavailable from a restricted location."), UNKNOWN, False),
    (PLACE, 503, said(None, "Some other text."), UNKNOWN, False),
    (PLACE, 500, said(None, "Request occur unknown error."), UNKNOWN, False),
    (PLACE, 400, said(-9999, "What nobody has documented."), FAILED, False),
    (PLACE, 400, said(-9999, "Execution status unknown."), UNKNOWN, False),
    (PLACE, 408, said(-9999, "What nobody has documented."), UNKNOWN, False),
    (PLACE, 500, said(-9999, "What nobody has documented."), UNKNOWN, False),
    (PLACE, 520, said(-9999, "What nobody has documented."), UNKNOWN, False),
    (PLACE, 200, said(-9999, "What nobody has documented."), UNKNOWN, False),
    (PLACE, 400, said(10**30, "No code."), UNKNOWN, False),
    (PLACE, 400, b"<html>400 Bad Request</html>", UNKNOWN, False),
    (PLACE, 404, b"", UNKNOWN, False),
    (PLACE, 302, b"", UNKNOWN, False),
    (PLACE, 401, b"", HALT, False),
    (PLACE, 403, b"<html>403 ERROR</html>", HALT, False),
    (PLACE, 451, b"<html></html>", HALT, False),
    (PLACE, 451, said(0, "Service unavailable from a restricted location."), HALT, False),
    (PLACE, 403, said(None, "Forbidden"), HALT, False),
    (PLACE, 401, said(-9999, "What nobody has documented."), HALT, False),
    (PLACE, 401, said(-2019, "Margin is insufficient."), FAILED, False),
    (PLACE, 200, said(None, UNAVAILABLE), UNKNOWN, False),
    (PLACE, 503, said(-9999, UNAVAILABLE), FAILED, True),
    (PLACE, 418, BAD_GATEWAY, WAIT, True),
    (PLACE, 418, said(-1003, BANNED), WAIT, True),
    (PLACE, 429, b"", WAIT, True),
    (PLACE, 503, answer({"239999": "System maintenance"}), HALT, False),
    (PLACE, 400, answer({"id": 1, "status": 400, "error": {"code": -2019, "msg": "Margin is insufficient."}}),
     FAILED, False),
    (PLACE, 0, b"", UNKNOWN, False),
    # An amendment.
    (AMEND, 200, answer(ORDER), DONE, False),
    (AMEND, 200, b"{}", UNKNOWN, False),
    (AMEND, 400, said(-5027, "No need to modify the order."), DONE, False),
    (AMEND, 400, said(-5043, "Modification pending."), FAILED, True),
    (AMEND, 400, said(-2013, "Order does not exist."), UNKNOWN, False),
    (AMEND, 408, said(-1007, TIMEOUT), UNKNOWN, False),
    (AMEND, 0, b"", UNKNOWN, False),
    # A cancel: sent again it changes nothing.
    (CANCEL, 200, answer(ORDER | {"status": "CANCELED"}), DONE, False),
    (CANCEL, 200, answer({"algoId": 2146760, "code": "200", "msg": "success"}), DONE, False),
    (CANCEL, 200, answer(ALL_CANCELED), DONE, False),
    (CANCEL, 200, b"", UNKNOWN, True),
    (CANCEL, 400, said(-2011, "Unknown order sent."), UNKNOWN, False),
    (CANCEL, 400, said(-2013, "Order does not exist."), UNKNOWN, False),
    (CANCEL, 400, said(-1021, "Timestamp for this request is outside of the recvWindow."), RESYNC, True),
    (CANCEL, 408, said(-1007, TIMEOUT), UNKNOWN, True),
    (CANCEL, 503, said(None, UNAVAILABLE), FAILED, True),
    (CANCEL, 401, said(-2015, "Invalid API-key, IP, or permissions for action."), HALT, False),
    (CANCEL, 400, said(-4208, "Leverage limit."), FAILED, False),
    (CANCEL, 0, b"", UNKNOWN, True),
    # A query changes nothing either, and one "does not exist" proves nothing.
    (QUERY, 200, answer(ORDER | {"status": "FILLED"}), DONE, False),
    (QUERY, 200, answer(ALGO), DONE, False),
    (QUERY, 200, answer([]), DONE, False),
    (QUERY, 200, b"", FAILED, True),
    (QUERY, 200, b"{}", FAILED, True),
    (QUERY, 400, said(-2013, "Order does not exist."), ABSENT, True),
    (QUERY, 503, said(-2013, "Order does not exist."), ABSENT, True),
    (QUERY, 400, said(-1121, "Invalid symbol."), REFRESH, False),
    (QUERY, 408, said(-1007, TIMEOUT), FAILED, True),
    (QUERY, 429, said(-1003, "Too many requests"), WAIT, True),
    (QUERY, 502, BAD_GATEWAY, FAILED, True),
    (QUERY, 0, b"", FAILED, True),
    # Settings and everything else.
    (OTHER, 200, b"{}", DONE, False),
    (OTHER, 200, answer({"leverage": 3, "symbol": "BTCUSDT"}), DONE, False),
    (OTHER, 200, answer({"id": 9, "status": 200, "result": {}}), DONE, False),
    (OTHER, 200, b"{", UNKNOWN, True),
    (OTHER, 400, said(-4046, "No need to change margin type."), DONE, False),
    (OTHER, 200, said(-4046, "No need to change margin type."), DONE, False),
    (OTHER, 200, answer(ALL_CANCELED), DONE, False),
    (OTHER, 200, said(-1000, "An unknown error occurred."), UNKNOWN, True),
    (OTHER, 400, said(-4059, "No need to change position side."), DONE, False),
    (OTHER, 400, said(-4171, "No need to change Multi-Assets mode."), DONE, False),
    (OTHER, 400, said(-4208, "Leverage limit."), FAILED, False),
    (OTHER, 400, said(-1125, "This listenKey does not exist."), RECONCILE, False),
    (OTHER, 503, said(-1016, "This service is no longer available."), HALT, False),
    (OTHER, 0, b"", UNKNOWN, True),
]  # fmt: skip


@pytest.mark.parametrize(("call", "status", "body", "outcome", "again"), ANSWERS)
def test_an_answer_proves_what_the_table_says(call, status, body, outcome, again):
    assert after(call, status, body) == (outcome, again)


@pytest.mark.parametrize("call", Call)
def test_what_was_never_wholly_sent_may_be_sent_again(call):
    for status, body in ((0, b""), (408, b""), (400, b"<html></html>"), (502, BAD_GATEWAY), (200, b"")):
        assert after(call, status, body, sent=False) == (FAILED, True)


def test_what_the_exchange_says_counts_even_when_we_believe_that_nothing_was_sent():
    assert after(PLACE, 408, said(-1007, TIMEOUT), sent=False) == (UNKNOWN, False)
    assert after(PLACE, 200, answer(ORDER), sent=False) == (DONE, False)
    assert after(PLACE, 403, b"<html></html>", sent=False) == (HALT, False)
    assert after(PLACE, 429, b"", sent=False) == (WAIT, True)


# ---------------------------------------------------------------------------------- until when, and who is told


def test_a_ban_ends_at_the_stamp_in_its_text():
    verdict = judge(QUERY, 418, said(-1003, BANNED), True, retry_after="119")
    assert (verdict.outcome, verdict.alert, verdict.code) == (WAIT, Alert.BANNED, -1003)
    assert (verdict.until_ns, verdict.wait_s) == (1_764_460_800_123_000_000, 119)


def test_a_ban_is_a_ban_whatever_its_status_and_without_a_stamp():
    assert judge(QUERY, 400, said(-1003, BANNED), True).alert is Alert.BANNED
    assert judge(QUERY, 429, said(-1003, BANNED), True).alert is Alert.BANNED
    verdict = judge(QUERY, 418, b"", True)
    assert (verdict.outcome, verdict.alert, verdict.until_ns, verdict.wait_s) == (WAIT, Alert.BANNED, 0, 0)


def test_an_exceeded_rate_waits_as_long_as_its_header_says():
    verdict = judge(PLACE, 429, said(-1015, "Too many new orders"), True, retry_after="7")
    assert (verdict.alert, verdict.until_ns, verdict.wait_s, verdict.code) == (Alert.RATE_LIMIT, 0, 7, -1015)


@pytest.mark.parametrize("header", ["", "-1", "1.5", "soon", "NaN", "1e9", "9" * 400, "٣"])
def test_a_header_that_is_no_number_of_seconds_says_nothing(header):
    assert judge(PLACE, 429, b"", True, retry_after=header).wait_s == 0


@pytest.mark.parametrize("stamp", ["", "soon", "12", "9" * 40])
def test_a_stamp_that_is_none_says_nothing(stamp):
    verdict = judge(PLACE, 418, said(-1003, f"Way too many requests; IP banned until {stamp}."), True)
    assert (verdict.alert, verdict.until_ns) == (Alert.BANNED, 0)


ALERTS = [
    (PLACE, 408, -1007, Alert.ORDER_UNKNOWN),
    (AMEND, 408, -1007, Alert.ORDER_UNKNOWN),
    (CANCEL, 408, -1007, Alert.CANCEL_UNKNOWN),
    (QUERY, 408, -1007, Alert.NONE),
    (PLACE, 400, -4116, Alert.ORDER_UNKNOWN),
    (PLACE, 400, -1021, Alert.CLOCK_SKEW),
    (PLACE, 400, -5028, Alert.CLOCK_SKEW),
    (PLACE, 400, -2022, Alert.REDUCE_REJECT),
    (PLACE, 400, -4118, Alert.REDUCE_REJECT),
    (PLACE, 400, -4061, Alert.POSITION_MODE),
    (PLACE, 400, -2021, Alert.STOP_TO_MARKET),
    (PLACE, 400, -4142, Alert.STOP_TO_MARKET),
    (PLACE, 400, -2019, Alert.MARGIN),
    (PLACE, 400, -4164, Alert.DUST),
    (PLACE, 400, -1111, Alert.FILTERS_CHANGED),
    (PLACE, 400, -4141, Alert.SYMBOL_STATUS),
    (PLACE, 400, -2027, Alert.BRACKET_CHANGED),
    (PLACE, 503, -1008, Alert.OVERLOADED),
    (PLACE, 503, -1016, Alert.MAINTENANCE),
    (PLACE, 400, -1109, Alert.MAINTENANCE),
    (PLACE, 401, -2015, Alert.KEY_REFUSED),
    (PLACE, 400, -1022, Alert.KEY_REFUSED),
    (PLACE, 400, -2023, Alert.LIQUIDATION),
    (PLACE, 400, -4400, Alert.REDUCE_ONLY),
    (PLACE, 400, -4192, Alert.RESTRICTED),
    (PLACE, 400, -4120, Alert.OUR_MISTAKE),
    (PLACE, 400, -5022, Alert.NONE),
    (PLACE, 400, -9999, Alert.UNEXPECTED_ANSWER),
    (OTHER, 400, -1125, Alert.USER_STREAM_RENEWED),
    (OTHER, 400, -4046, Alert.NONE),
    (CANCEL, 400, -2011, Alert.NONE),
]


@pytest.mark.parametrize(("call", "status", "code", "alert"), ALERTS)
def test_the_alert_names_what_an_operator_should_know(call, status, code, alert):
    assert judge(call, status, said(code), True).alert is alert


@pytest.mark.parametrize(
    ("status", "alert"),
    [(403, Alert.FIREWALL), (451, Alert.REGION), (401, Alert.KEY_REFUSED)]
    + [(status, Alert.ORDER_UNKNOWN) for status in (0, 200, 302, 404, 500, 502)],
)
def test_a_status_without_an_answer_has_its_alert(status, alert):
    assert judge(PLACE, status, b"<html></html>", True).alert is alert


def test_only_a_verdict_to_wait_says_for_how_long():
    verdict = judge(PLACE, 503, said(-1008, THROTTLED), True, retry_after="7")
    assert (verdict.wait_s, verdict.until_ns) == (0, 0)


def test_an_odd_answer_to_a_query_is_reported_as_such():
    assert judge(QUERY, 302, b"", True).alert is Alert.UNEXPECTED_ANSWER


def test_a_text_is_made_fit_for_a_terminal_and_kept_short():
    verdict = judge(PLACE, 400, said(-2010, "a\x1b[31m\r\nb\u202e" + "c" * 1000), True)
    assert verdict.text.isprintable() and verdict.text.startswith("a[31m b") and len(verdict.text) == 200


def test_a_page_of_somebody_else_is_not_repeated():
    assert judge(PLACE, 403, b"<html>signature=abc</html>", True).text == ""


# ---------------------------------------------------------------------------------- several orders in one request


def test_each_order_of_a_batch_has_its_own_outcome():
    body = answer([ORDER, {"code": -2019, "msg": "Margin is insufficient."}, {"code": -9999, "msg": "?"}, {}])
    assert [verdict.outcome for verdict in judge_batch(PLACE, 200, body, True, 4)] == [DONE, FAILED, FAILED, UNKNOWN]


@pytest.mark.parametrize("body", [b"", b"{}", b"[", answer([ORDER]), answer([ORDER] * 3), answer(ORDER)])
def test_a_batch_whose_answer_does_not_match_it_is_unknown_as_a_whole(body):
    assert [verdict.outcome for verdict in judge_batch(PLACE, 200, body, True, 2)] == [UNKNOWN] * 2


def test_a_refused_batch_is_refused_as_a_whole():
    assert [v.outcome for v in judge_batch(PLACE, 429, said(-1015), True, 3)] == [WAIT] * 3
    assert [v.outcome for v in judge_batch(CANCEL, 400, said(-4082), True, 2)] == [FAILED] * 2


# ---------------------------------------------------------------------------------- properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["code", "msg", "error", "result", "status", "orderId", "algoId", "239999", "id"])
        | st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
BODIES = st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()) | st.just(answer(ORDER))
STATUSES = st.sampled_from([0, 200, 201, 302, 400, 401, 403, 404, 408, 418, 429, 451, 500, 502, 503, 504]) \
    | st.integers(-1, 1000)  # fmt: skip


@given(st.sampled_from(Call), STATUSES, BODIES, st.booleans(), st.none() | st.text(max_size=8))
def test_judging_never_fails(call, status, body, sent, header):
    verdict = judge(call, status, body, sent, retry_after=header)
    assert isinstance(verdict, Verdict) and verdict.until_ns >= 0 and verdict.wait_s >= 0
    assert not (verdict.outcome is UNKNOWN and call in (PLACE, AMEND) and verdict.again)
    assert len(judge_batch(call, status, body, sent, 3)) == 3


def is_answer(body: bytes) -> bool:
    """Whether a body is an object that carries a code, a sentence or an order, wherever the socket's frame puts it."""
    try:
        found = json.loads(body)
    except ValueError:
        return False
    known = {"code", "msg", "orderId", "algoId", "error", "result", "239999"}
    return isinstance(found, dict) and not known.isdisjoint(found)


@given(STATUSES, BODIES)
def test_without_a_valid_answer_a_new_order_is_neither_done_nor_failed(status, body):
    if not is_answer(body):
        assert judge(PLACE, status, body, True).outcome not in (DONE, FAILED)


@given(STATUSES, st.binary(max_size=60))
def test_half_an_answer_proves_nothing(status, tail):
    for whole in (answer(ORDER), said(-2019, "Margin is insufficient."), said(None, UNAVAILABLE)):
        for cut in range(len(whole)):
            assert judge(PLACE, status, whole[:cut], True).outcome not in (DONE, FAILED)


@given(st.sampled_from([200, 201, 302, 404, 500, 502, 503]), st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_only_an_order_s_number_proves_a_new_order(status, body):
    verdict = judge(PLACE, status, json.dumps(body).encode(), True)
    if verdict.outcome is DONE:
        assert status in (200, 201) and isinstance(body.get("result", body), dict)
        order = body.get("result", body)
        assert any(isinstance(order.get(key), int) and order[key] > 0 for key in ("orderId", "algoId"))


def test_the_examples_run():
    assert doctest.testmod(outcomes).failed == 0 < doctest.testmod(outcomes).attempted


def test_the_page_about_outcomes_is_current(root):
    tool = importlib.util.spec_from_file_location("make_outcomes_page", root / "tests/tools/make_outcomes_page.py")
    maker = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(maker)
    assert (root / "docs/outcomes.md").read_text(encoding="utf-8") == maker.page(), \
        "run python tests/tools/make_outcomes_page.py"  # fmt: skip
    assert set(maker.MEANINGS) == set(Outcome) and set(maker.HEADINGS) == set(By)
