import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.loopback.limits import BAN_MS, LONGEST_BAN_MS, VISITORS, Limits

MINUTE = 60_000
NOON = 1_800_000_000_000  # The beginning of a minute.
IP = "127.0.0.1"


def exhausted(limits: Limits, now_ms: int = NOON) -> None:
    assert limits.weight(IP, limits.weight_per_minute, now_ms) is None


def banned(limits: Limits, now_ms: int) -> int:
    """Abuse the exchange until it bans, and return until when."""
    exhausted(limits, now_ms)
    for _ in range(limits.patience):
        refusal = limits.weight(IP, 1, now_ms)
        assert refusal and refusal.status == 429
    refusal = limits.weight(IP, 1, now_ms)
    assert refusal and refusal.status == 418
    return int(refusal.text.split("until ")[1].split(".")[0])


def test_weight_up_to_the_limit_passes_and_one_more_is_refused():
    limits = Limits()
    assert limits.weight(IP, 2390, NOON) is None and limits.weight(IP, 10, NOON) is None
    refusal = limits.weight(IP, 1, NOON + 20_500)
    assert refusal is not None and (refusal.status, refusal.code) == (429, -1003)
    assert refusal.text == (
        "Too many requests; current limit is 2400 requests per minute."
        " Please use the websocket for live updates to avoid polling the API."
    )
    assert refusal.headers == (("Retry-After", "40"),)
    assert json.loads(refusal.body) == {"code": -1003, "msg": refusal.text}


def test_the_minute_is_the_wall_clocks():
    limits = Limits()
    exhausted(limits, NOON + 59_999)
    assert limits.weight(IP, 1, NOON + 59_999) and limits.weight(IP, 2400, NOON + MINUTE) is None


def test_every_address_has_its_own_weight():
    limits = Limits()
    exhausted(limits)
    assert limits.weight("127.0.0.2", 2400, NOON) is None


def test_refused_requests_weigh_too():
    limits = Limits()
    exhausted(limits)
    limits.weight(IP, 20, NOON)
    assert limits.headers(IP, None, NOON) == (("X-MBX-USED-WEIGHT-1M", "2420"),)


def test_continued_abuse_ends_in_a_ban_of_two_minutes():
    limits = Limits()
    until = banned(limits, NOON)
    assert until == NOON + BAN_MS == NOON + 120_000
    refusal = limits.weight(IP, 0, NOON + 1_500)
    assert refusal is not None and (refusal.status, refusal.code) == (418, -1003)
    assert refusal.text == (
        f"Way too many requests; IP banned until {until}. Please use the websocket for live updates to avoid bans."
    )
    assert refusal.headers == (("Retry-After", "119"),)
    assert limits.weight(IP, 1, until - 1) and limits.weight(IP, 1, until) is None


def test_every_further_ban_is_twice_as_long_up_to_three_days():
    limits = Limits()
    now, lengths = NOON, []
    for _ in range(14):
        until = banned(limits, now)
        lengths.append(until - now)
        now = until + MINUTE
    assert lengths[:3] == [120_000, 240_000, 480_000] and lengths[-1] == LONGEST_BAN_MS == 259_200_000
    assert lengths == sorted(lengths)


def test_after_a_day_without_a_ban_the_next_one_is_short_again():
    limits = Limits()
    until = banned(limits, NOON)
    again = banned(limits, until + 86_400_000)
    assert again - until - 86_400_000 == BAN_MS


def test_a_refusal_or_two_in_every_minute_is_no_abuse():
    limits = Limits()
    for minute in range(60):
        exhausted(limits, NOON + minute * MINUTE)
        refusals = [limits.weight(IP, 1, NOON + minute * MINUTE) for _ in range(20)]
        assert {refusal.status for refusal in refusals if refusal} == {429}


def test_orders_are_limited_by_ten_seconds_per_account():
    limits = Limits()
    for _ in range(60):
        assert limits.orders(7, 5, 1, NOON) is None
    refusal = limits.orders(7, 1, 1, NOON + 1_000)
    assert refusal is not None and (refusal.status, refusal.code) == (429, -1015)
    assert refusal.text == "Too many new orders; current limit is 300 orders per 10 SECOND."
    assert refusal.headers == (("Retry-After", "9"),)
    assert limits.orders(8, 1, 1, NOON) is None and limits.orders(7, 1, 1, NOON + 10_000) is None


def test_orders_are_limited_by_the_minute_too():
    limits = Limits()
    for second in range(0, 40, 10):
        assert limits.orders(7, 300, 300, NOON + second * 1000) is None
    refusal = limits.orders(7, 1, 1, NOON + 40_000)
    assert refusal and refusal.text == "Too many new orders; current limit is 1200 orders per 1 MINUTE."
    assert limits.orders(7, 1, 1, NOON + MINUTE) is None


def test_a_refused_batch_leaves_the_counts_as_they_were():
    limits = Limits()
    assert limits.orders(7, 298, 1, NOON) is None and limits.orders(7, 5, 1, NOON)
    assert limits.headers(None, 7, NOON) == (("X-MBX-ORDER-COUNT-10S", "298"), ("X-MBX-ORDER-COUNT-1M", "1"))
    assert limits.orders(7, 2, 1, NOON) is None


def test_headers_tell_what_the_running_buckets_hold():
    limits = Limits()
    limits.weight(IP, 37, NOON)
    limits.orders("alice", 1, 1, NOON)
    assert limits.headers(IP, "alice", NOON + 10_000) == (
        ("X-MBX-USED-WEIGHT-1M", "37"),
        ("X-MBX-ORDER-COUNT-10S", "0"),
        ("X-MBX-ORDER-COUNT-1M", "1"),
    )
    assert limits.headers("127.0.0.9", None, NOON) == (("X-MBX-USED-WEIGHT-1M", "0"),)


@pytest.mark.parametrize(("pool", "limit"), [("funding", 500), ("data", 1000)])
def test_separate_pools_count_requests_in_five_minutes_and_no_weight(pool: str, limit: int):
    limits = Limits()
    assert all(limits.pool(IP, pool, NOON) is None for _ in range(limit))
    refusal = limits.pool(IP, pool, NOON)
    assert refusal and (refusal.status, refusal.code) == (429, -1003)
    assert f"current limit is {limit} requests per 5 minutes." in refusal.text
    assert limits.weight(IP, 2400, NOON) is None and limits.pool(IP, pool, NOON + 300_000) is None


def test_limits_can_be_raised_for_load_tests():
    limits = Limits(weight_per_minute=10**9, orders_per_10s=10**6, orders_per_minute=10**7)
    assert limits.weight(IP, 10**8, NOON) is None and limits.orders(1, 10**5, 10**5, NOON) is None


def test_the_request_sockets_rate_limits_have_the_samples_shape(shared: Path):
    sample = json.loads((shared / "binance/data/payload_samples.json").read_text())["samples"]
    limits = Limits()
    limits.weight(IP, 1, NOON)
    limits.orders(1, 1, 1, NOON)
    assert limits.rate_limits(IP, 1, NOON) == sample["ws-api order.place"][0]["rateLimits"]
    assert limits.rate_limits(IP, None, NOON) == sample["ws-api algoOrder.place"][0]["rateLimits"]


def test_the_order_limits_have_the_samples_shape(shared: Path):
    sample = json.loads((shared / "binance/data/payload_samples.json").read_text())["samples"]
    answer = Limits(orders_per_10s=10_000, orders_per_minute=20_000).order_limits()
    assert [answer] == sample["GET /fapi/v1/rateLimit/order"]


def test_memory_is_bounded_however_many_addresses_and_accounts_come():
    limits = Limits()
    for number in range(VISITORS + 100):
        limits.weight(f"10.0.{number // 250}.{number % 250}", 1, NOON)
        limits.orders(number, 1, 1, NOON)
    assert limits.remembered() <= 2 * VISITORS


@given(st.lists(st.tuples(st.integers(0, 3 * MINUTE), st.integers(0, 900)), max_size=40))
def test_what_passes_in_a_minute_never_exceeds_the_limit(visits: list[tuple[int, int]]):
    limits, passed = Limits(), {}
    for offset, weight in sorted(visits):
        minute = offset // MINUTE
        if limits.weight(IP, weight, NOON + offset) is None:
            passed[minute] = passed.get(minute, 0) + weight
    assert all(total <= 2400 for total in passed.values())
