"""How often something may be tried."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.binance.pacing import Backoff, Pace

LIMITS = ((5, 1.0), (20, 10.0))


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_no_window_holds_more_turns_than_its_bound(waits):
    pace, now, turns = Pace(*LIMITS), 1000.0, []
    for wait in waits:
        now += wait
        turns.append(now + pace.take(now))
    assert turns == sorted(turns)
    for count, seconds in LIMITS:
        assert all(b - a >= seconds - 1e-9 for a, b in zip(turns, turns[count:], strict=False))


def test_a_turn_comes_at_once_where_nothing_was_taken():
    pace = Pace((2, 1.0))
    assert [pace.take(10.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert pace.take(11.5) == 0.0


def test_delays_double_up_to_the_cap_and_are_drawn():
    backoff = Backoff(0.5, 8.0, Random(1))
    delays = [backoff.next_s() for _ in range(100)]
    for k, delay in enumerate(delays):
        longest = min(8.0, 0.5 * 2**k)
        assert longest / 2 <= delay <= longest
    assert len(set(delays)) == len(delays)
    backoff.reset()
    assert backoff.next_s() <= 0.5
