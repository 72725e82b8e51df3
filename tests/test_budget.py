"""How much may still be asked: known answers inside, at and beyond each bound, and walks against the exchange."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import budget as plainly

from autotrader.adapters.binance.budget import LONGEST_BAN_NS, MOST_SENT, Budget, Sent
from autotrader.adapters.binance.outcomes import Call, judge
from autotrader.adapters.loopback.limits import Limits
from core_ext.budget import Allowance

SECOND = 10**9
MINUTE = 60 * SECOND
UTC = 1_800_000_000 * SECOND  # The beginning of a minute.
LIMITED = b'{"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute."}'
ORDERED = b'{"code": -1015, "msg": "Too many new orders; current limit is 300 orders per 10 SECOND."}'


def weighs(used: int, now_ns: int = 0) -> Budget:
    budget = Budget()
    budget.hear({"X-MBX-USED-WEIGHT-1M": str(used)}, Sent(), now_ns)
    return budget


def banned(until_ms: int) -> bytes:
    return b'{"code": -1003, "msg": "Way too many requests; IP banned until %d. Please use the websocket."}' % until_ms


# ---------------------------------------------------------------------------------- the bounds


@pytest.mark.parametrize(
    ("used", "weight", "exit", "allowed"),
    [
        (1899, 20, False, True),
        (1900, 20, False, True),
        (1901, 20, False, False),
        (1919, 1, False, True),
        (1920, 1, False, False),
        (1920, 1, True, True),
        (2379, 20, True, True),
        (2380, 20, True, True),
        (2381, 20, True, False),
        (2400, 1, True, False),
        (2400, 0, False, True),  # What weighs nothing is not kept back for weight.
    ],
)
def test_weight_up_to_four_fifths_is_for_all_and_the_rest_for_exits(used, weight, exit, allowed):
    assert weighs(used).allows(weight, 0, exit, 1) is allowed


@pytest.mark.parametrize(
    ("header", "used", "exit", "allowed"),
    [
        ("X-MBX-ORDER-COUNT-10S", 239, False, True),
        ("X-MBX-ORDER-COUNT-10S", 240, False, False),
        ("X-MBX-ORDER-COUNT-10S", 299, True, True),
        ("X-MBX-ORDER-COUNT-10S", 300, True, False),
        ("X-MBX-ORDER-COUNT-1M", 959, False, True),
        ("X-MBX-ORDER-COUNT-1M", 960, False, False),
        ("X-MBX-ORDER-COUNT-1M", 1199, True, True),
        ("X-MBX-ORDER-COUNT-1M", 1200, True, False),
    ],
)
def test_orders_up_to_four_fifths_are_for_all_and_the_rest_for_exits(header, used, exit, allowed):
    budget = Budget()
    budget.hear({header: str(used)}, Sent(), 0)
    assert budget.allows(0, 1, exit, 1) is allowed
    assert budget.allows(1, 0, False, 1)  # A cancel and a query are no orders.


def test_what_we_send_counts_before_the_exchange_says_so():
    budget = Budget()
    budget.spend(1900, 0, 0)
    assert budget.allows(20, 0, False, 1) and not budget.allows(21, 0, False, 1)
    for _ in range(240):
        assert budget.allows(0, 1, False, 2)
        budget.spend(0, 1, 2)
    assert not budget.allows(0, 1, False, 3) and budget.allows(0, 60, True, 3) and not budget.allows(0, 61, True, 3)


@pytest.mark.parametrize(("after", "used"), [(MINUTE - 1, 7), (MINUTE, 0)])
def test_what_we_sent_is_forgotten_with_its_minute(after, used):
    budget = Budget()
    budget.spend(7, 0, 100)
    assert budget.usage(100 + after) == (used, 2400)


@pytest.mark.parametrize(("after", "allowed"), [(10 * SECOND - 1, False), (10 * SECOND, True)])
def test_orders_are_forgotten_with_their_ten_seconds(after, allowed):
    budget = Budget()
    budget.spend(0, 240, 100)
    assert budget.allows(0, 1, False, 100 + after) is allowed


# ---------------------------------------------------------------------------------- what the exchange says


def test_the_exchange_s_count_replaces_ours_up_and_down():
    budget = Budget()
    sent = budget.spend(20, 0, 0)
    budget.hear({"x-mbx-used-weight-1m": "1900"}, sent, 1)  # Somebody else behind the same address.
    assert budget.usage(1) == (1900, 2400)
    sent = budget.spend(5, 0, 2)
    assert budget.usage(3) == (1905, 2400)
    budget.hear({"x-mbx-used-weight-1m": "5"}, sent, 4)  # Its minute has rolled.
    assert budget.usage(4) == (5, 2400)


def test_what_was_sent_after_the_answered_request_is_added_even_within_one_reading_of_the_clock():
    budget = Budget()
    first, _, _ = (budget.spend(100, 0, 10) for _ in range(3))
    budget.hear({"X-MBX-USED-WEIGHT-1M": "100"}, first, 40)
    assert budget.usage(40) == (300, 2400)


def test_answers_that_overtake_each_other_never_lower_the_count():
    budget = Budget()
    first, second = budget.spend(100, 0, 10), budget.spend(100, 0, 20)
    budget.hear({"X-MBX-USED-WEIGHT-1M": "200"}, second, 30)
    budget.hear({"X-MBX-USED-WEIGHT-1M": "50"}, first, 40)
    assert budget.usage(40) == (200, 2400)
    budget.hear({"X-MBX-USED-WEIGHT-1M": "900"}, first, 50)
    assert budget.usage(50) == (1000, 2400)


@pytest.mark.parametrize(("after", "used"), [(MINUTE - 1, 1900), (MINUTE, 0)])
def test_a_count_is_believed_for_its_minute(after, used):
    assert weighs(1900, 5).usage(5 + after) == (used, 2400)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "NaN", "1e3", "9" * 30, "٣", "many"])
def test_a_count_that_is_none_is_passed_over(text):
    budget = weighs(50)
    budget.hear({"X-MBX-USED-WEIGHT-1M": text, "X-MBX-ORDER-COUNT-1M": text, "Date": "today"}, Sent(), 1)
    assert budget.usage(1) == (50, 2400) and budget.allows(0, 240, False, 1)


def test_the_request_socket_says_counts_and_limits():
    budget = Budget()
    budget.hear_limits(
        [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100, "count": 79},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200, "count": 3},
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 4790},
        ],
        Sent(), 1,
    )  # fmt: skip
    assert budget.usage(1) == (4790, 6000)
    assert budget.allows(10, 1, False, 2) and not budget.allows(11, 1, False, 2) and not budget.allows(10, 2, False, 2)


def test_limits_without_counts_are_the_exchange_s_rules():
    budget = weighs(1900)
    rule = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
    budget.hear_limits([rule], Sent(), 1)
    assert budget.usage(1) == (1900, 6000)


@pytest.mark.parametrize(
    "entries",
    [
        None, {}, [None], [{}], ["ORDERS"],
        [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit, "count": count}
         for limit, count in ((0, -1), (-5, "7"), (True, True), (10**9, 10**9), (None, None), ("6000", 1.5))],
        [{"rateLimitType": "REQUEST_WEIGHT", "interval": "DAY", "intervalNum": 1, "limit": 5, "count": 5}],
        [{"rateLimitType": ["ORDERS"], "interval": {}, "intervalNum": [], "limit": 5, "count": 5}],
    ],
)  # fmt: skip
def test_limits_that_are_none_are_passed_over(entries):
    budget = weighs(50)
    budget.hear_limits(entries, Sent(), 1)
    assert budget.usage(1) == (50, 2400)


# ---------------------------------------------------------------------------------- after a refusal


@pytest.mark.parametrize(
    ("header", "after", "allowed"),
    [("7", 7 * SECOND - 1, False), ("7", 7 * SECOND, True), (None, MINUTE - 1, False), (None, MINUTE, True)],
)
def test_after_too_many_requests_nothing_is_sent_until_the_window_has_rolled(header, after, allowed):
    budget = Budget()
    budget.refuse(judge(Call.QUERY, 429, LIMITED, True, retry_after=header), 5, UTC)
    assert budget.allows(1, 0, True, 5 + after) is allowed and budget.allows(0, 1, True, 5 + after) is allowed
    assert budget.allows(0, 0, True, 5 + after) is allowed
    assert (budget.silent_until_ns(5 + after) == 0) is allowed and not budget.banned(5)


@pytest.mark.parametrize(("after", "allowed"), [(3 * SECOND - 1, False), (3 * SECOND, True)])
def test_after_too_many_orders_only_orders_wait(after, allowed):
    budget = Budget()
    budget.refuse(judge(Call.PLACE, 429, ORDERED, True, retry_after="3"), 5, UTC)
    assert budget.allows(0, 1, True, 5 + after) is allowed
    assert budget.allows(1, 0, False, 5 + after) and budget.silent_until_ns(5) == 0


@pytest.mark.parametrize(("after", "is_banned"), [(120 * SECOND - 1, True), (120 * SECOND, False)])
def test_a_ban_lasts_until_its_stamp_and_stops_exits_too(after, is_banned):
    budget = Budget()
    verdict = judge(Call.QUERY, 418, banned(UTC // 10**6 + 120_000), True, retry_after="60")
    budget.refuse(verdict, 5, UTC)
    assert budget.banned(5 + after) is is_banned and budget.allows(1, 0, True, 5 + after) is not is_banned
    assert budget.silent_until_ns(5 + after) == (5 + 120 * SECOND if is_banned else 0)


def test_a_ban_stops_everything_whatever_it_was_for():
    budget = Budget()
    budget.refuse(judge(Call.PLACE, 418, ORDERED, True), 0, UTC)
    assert budget.banned(1) and not budget.allows(1, 0, True, 1)


def test_a_later_and_milder_refusal_does_not_shorten_a_ban():
    budget = Budget()
    budget.refuse(judge(Call.QUERY, 418, banned(UTC // 10**6 + 120_000), True), 0, UTC)
    budget.refuse(judge(Call.QUERY, 429, LIMITED, True, retry_after="1"), 1, UTC + 1)
    budget.refuse(judge(Call.QUERY, 418, banned(UTC // 10**6 + 5_000), True), 2, UTC + 2)
    assert budget.silent_until_ns(2) == 120 * SECOND and budget.banned(120 * SECOND - 1)


@pytest.mark.parametrize(
    ("until_ms", "header", "lasts"),
    [
        (0, None, 120 * SECOND),  # Nothing said: the shortest that there is.
        (0, "600", 600 * SECOND),
        (UTC // 10**6 - 1, None, 120 * SECOND),  # A stamp in our past: one of the clocks is wrong.
        (9_999_999_999_999, None, LONGEST_BAN_NS),
        (0, "999999", LONGEST_BAN_NS),
    ],
)
def test_a_ban_without_a_stamp_that_can_be_has_a_length_all_the_same(until_ms, header, lasts):
    budget = Budget()
    budget.refuse(judge(Call.QUERY, 418, banned(until_ms), True, retry_after=header), 0, UTC)
    assert budget.banned(lasts - 1) and not budget.banned(lasts)


def test_only_a_verdict_to_wait_stops_anything():
    budget = Budget()
    for status, body in ((503, b""), (400, b'{"code": -2019, "msg": "no"}'), (403, b"")):
        budget.refuse(judge(Call.PLACE, status, body, True), 0, UTC)
    assert budget.silent_until_ns(0) == 0 and budget.allows(1, 1, False, 0)


# ---------------------------------------------------------------------------------- walks


@pytest.mark.parametrize("bad", [{"share_pct": 0}, {"share_pct": 101}, {"weight_per_minute": 0}])
def test_a_budget_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="budget"):
        Budget(**bad)


def test_memory_is_bounded_and_at_the_bound_nothing_is_forgotten():
    budget = Budget(weight_per_minute=10**7)
    for now in range(MOST_SENT + 50):
        budget.spend(1, 0, now)
    assert budget.usage(MOST_SENT + 50)[0] == MOST_SENT + 50
    assert budget.usage(MINUTE + MOST_SENT - 2)[0] > 0 == budget.usage(MINUTE + MOST_SENT + 50)[0]


# Of one request: ns since the one before, weight, orders, whether an exit, behind how many its answer comes (9: none).
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, SECOND, 9 * SECOND, 31 * SECOND]), st.sampled_from([0, 1, 5, 20, 300]),
        st.sampled_from([0, 1, 5, 60]), st.booleans(), st.integers(0, 9),
    ),
    max_size=80,
)  # fmt: skip


@settings(max_examples=200)
@given(REQUESTS, st.integers(0, MINUTE))
def test_who_asks_the_budget_first_is_never_refused(requests, phase):
    exchange, budget = Limits(), Budget()
    now, answers = 0, {}
    for number, (step, weight, orders, exit, wait) in enumerate(requests):
        now += step
        for headers, sent in answers.pop(number, []):
            budget.hear(headers, sent, now)
        if not budget.allows(weight, orders, exit, now):
            continue
        sent = budget.spend(weight, orders, now)
        wall_ms = (UTC + phase + now) // 10**6
        assert exchange.weight("us", weight, wall_ms) is None and exchange.orders("us", orders, orders, wall_ms) is None
        headers = dict(exchange.headers("us", "us", wall_ms))
        if not exit:
            assert weight == 0 or int(headers["X-MBX-USED-WEIGHT-1M"]) <= 1920
            assert orders == 0 or int(headers["X-MBX-ORDER-COUNT-10S"]) <= 240
            assert orders == 0 or int(headers["X-MBX-ORDER-COUNT-1M"]) <= 960
        if wait < 9:
            answers.setdefault(number + 1 + wait, []).append((headers, sent))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(0, 400)), max_size=60))
def test_somebody_else_on_our_address_makes_us_give_way(steps):
    # One answer behind: what they used since our last answer is all that we cannot know.
    exchange, budget, now = Limits(), Budget(), 0
    for step, theirs in steps:
        now += step
        wall_ms = (UTC + now) // 10**6
        exchange.weight("us", theirs, wall_ms)
        if budget.allows(1, 0, False, now):
            sent = budget.spend(1, 0, now)
            exchange.weight("us", 1, wall_ms)
            headers = dict(exchange.headers("us", None, wall_ms))
            budget.hear(headers, sent, now)
            if int(headers["X-MBX-USED-WEIGHT-1M"]) >= 1920:
                assert not budget.allows(1, 0, False, now)


# ---------------------------------------------------------------------------------- counted in C, and by a list


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spend", "hear", "used"]), st.integers(0, 40), st.integers(0, 30), st.integers(0, 9)
        ),
        max_size=80,
    )
)
def test_a_window_counts_as_a_list_of_all_that_was_sent(steps):
    ours, plain, now = Allowance(100, 100, 100, 80), plainly.Window(10 * SECOND, MOST_SENT), 0
    for what, amount, back, later in steps:
        now += later * SECOND // 3
        if what == "spend":
            ours.count(0, amount, now)
            plain.spend(amount, now)
        elif what == "hear":
            sent = max(0, plain.sent - back)
            ours.orders_10s.hear(amount, sent, now)
            plain.hear(amount, sent, now)
        assert (ours.orders_10s.used(now), ours.orders_10s.sent) == (plain.used(now), plain.sent)
        most = max(plain.used(now), ours.orders_minute.used(now))
        assert ours.allows(0, amount, True, now) == (amount == 0 or most + amount <= 100)


@pytest.mark.parametrize("more", [1, 7, MOST_SENT])
def test_at_the_bound_the_newest_request_grows_and_nothing_is_forgotten_too_early(more):
    ours, plain = Allowance(1, 10**6, 10**6, 80), plainly.Window(10 * SECOND, MOST_SENT)
    for k in range(MOST_SENT + more):
        ours.count(0, 1, k)
        plain.recent.append([k, 1]) if k < MOST_SENT else plain.spend(1, k)
    for now in (MOST_SENT + more, 10 * SECOND, 10 * SECOND + MOST_SENT - 2, 10 * SECOND + MOST_SENT + more):
        assert ours.orders_10s.used(now) == plain.used(now)
