"""How long the way to the venue takes: constant, recorded, drawn, and as late as the feed."""

from itertools import pairwise

import pytest

from core_ext.latency import Latency, lognormal_quantiles

MS = 10**6


def test_a_constant_latency_is_what_it_says():
    latency = Latency("constant", [3 * MS], [5 * MS])
    assert [latency.there(t) for t in (0, 7, 10**18)] == [3 * MS] * 3
    assert latency.back(7) == 5 * MS


def test_a_recorded_latency_holds_from_its_stamp_on():
    latency = Latency("recorded", [10, 20, 30], [1, 2, 3], [100, 200, 300])
    assert [latency.there(t) for t in (0, 199, 200, 299, 300, 10**6)] == [10, 10, 20, 20, 30, 30]
    assert latency.back(10**6) == 3


def test_the_feeds_own_lag_may_stand_for_the_way():
    latency = Latency("feed", [150_000_000], [50_000_000])
    assert latency.there(0) == 0
    latency.lag(40 * MS)
    assert (latency.there(1), latency.back(1)) == (60 * MS, 20 * MS)
    latency.lag(-5 * MS)
    assert latency.there(10**9) == 0


def test_draws_follow_their_quantiles_and_a_seed_gives_them_again():
    table = [0, 10 * MS, 20 * MS, 100 * MS]  # a third of the draws in each part

    def drawn(seed):
        latency = Latency("quantiles", table, table, seed=seed)
        return [latency.there(t * 10**9) for t in range(6_000)], latency.state()

    (values, state), again = drawn(7), drawn(7)
    assert (values, state) == again != drawn(8)
    assert all(0 <= one < 100 * MS for one in values)
    for low, high in pairwise(table):
        assert 1_850 < sum(low <= one < high for one in values) < 2_150


def test_nothing_overtakes_what_was_sent_before():
    latency = Latency("quantiles", [0, 50 * MS], [0, 50 * MS])
    arrivals = [t + latency.there(t) for t in range(0, 1_000 * MS, MS)]
    assert arrivals == sorted(arrivals)
    answers = [t + latency.back(t) for t in range(0, 1_000 * MS, MS)]
    assert answers == sorted(answers)


def test_the_quantiles_of_a_lognormal_latency():
    table = lognormal_quantiles(10 * MS, 0.5, 4)
    # exp(0.5 z) at the quantiles 0.001, 0.2505, 0.5, 0.7495 and 0.999: z = -3.090232, -0.672917, 0 and mirrored.
    assert table[2] == 10 * MS
    assert table[0] == pytest.approx(2_132_871, abs=2)
    assert table[1] == pytest.approx(7_142_956, rel=2e-4)
    assert table[0] * table[4] == pytest.approx((10 * MS) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        ("constant", ([], [])),
        ("constant", ([1, 2], [1, 2])),
        ("constant", ([-1], [1])),
        ("constant", ([61 * 10**9], [1])),
        ("quantiles", ([2, 1], [1, 2])),
        ("recorded", ([1, 2], [1, 2], [5, 4])),
        ("recorded", ([1, 2], [1, 2])),
        ("feed", ([1], [1], [5])),
        ("sometimes", ([1], [1])),
    ],
)
def test_tables_that_make_no_sense_are_refused(kind, tables):
    with pytest.raises(ValueError):
        Latency(kind, *tables)
