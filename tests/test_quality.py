"""Verdicts on market data: each at its boundary, against a plain twin, and on what the exchange really published.

A glitch must not enter state, and a crash must not be thrown away.
"""

import gzip
import random
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from builders import E8, depth, row, snapshot, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain.quality import Quality as PlainQuality
from test_recordings_l2 import RUNS

from autotrader.adapters.storage.history import History
from core_ext.book import Book
from core_ext.quality import Policy, Quality, Verdict
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind
from core_ext.wire import Scanner

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1_700_000_000 * SECOND
TICK_E8 = 10**7  # 0.1 USDT
FAR = 10**11 + 1  # ticks: just above the greatest price

SETTINGS = {
    "book_stale_ns": SECOND,
    "mark_stale_ns": 3 * SECOND,
    "candle_stale_e8": 150_000_000,
    "outlier_e8": 5 * E8,
    "outlier_floor_e8": 50_000,
    "spike_e8": 10_000_000,
    "wide_spread_e8": 5_000_000,
    "one_sided_e8": 90_000_000,
    "one_sided_ns": 3 * SECOND,
    "volume_spike_e8": 100 * E8,
    "volume_drop_e8": 1_000_000,
    "conservative_ns": 30 * SECOND,
    "clean_ns": 60 * SECOND,
}
POLICIES = {
    "STALE": "halt",
    "BAD_PRICE": "discard",
    "OUTLIER": "warn",
    "SPIKE": "discard",
    "CROSSED": "halt",
    "WIDE_SPREAD": "conservative",
    "ONE_SIDED": "conservative",
    "VOLUME_SPIKE": "warn",
    "VOLUME_DROP": "warn",
}


def quality(symbols=1, policies=(), **changes):
    names = [spec(f"S{k}USDT", max_lots=10**9, max_market_lots=10**9) for k in range(symbols)]
    return Quality(Instruments(names), SETTINGS | changes, POLICIES | dict(policies))


def names(verdicts):
    """Return a set of verdicts by name."""
    found = {verdict.name for verdict in Verdict if verdicts >> verdict & 1}
    return found | ({"DISCARDED"} if verdicts & 1 else set())


def said(judge, *rows, books=None):
    """Return the verdicts on the last of some rows."""
    return names(int(judge.feed(np.concatenate(rows), books)[-1]))


def trade(ticks, ts=START, lots=1, symbol=0, f=0):
    return row(Kind.TRADE, ts, symbol, b=ticks, c=lots, f=f)


def touch(bid, ask, ts=START, symbol=0):
    return row(Kind.TOUCH, ts, symbol, a=1, b=bid, c=1, d=ask, e=1)


def mark(price, ts=START, symbol=0):
    return row(Kind.MARK, ts, symbol, a=round(price * E8))


def bar(close, ts=START, lots=100, kind=Kind.CANDLE, symbol=0, interval=HOUR, low=None, high=None, opened=None):
    words = [close if word is None else word for word in (opened, high, low, close)]
    a, b, c, d = (round(word * E8) for word in words)
    flags = Flag.F_END | Flag.F_CLOSED
    return row(kind, ts, symbol, flags, a=a, b=b, c=c, d=d, e=lots if kind == Kind.CANDLE else 0, f=interval)


def book_of(bids, asks, symbol=0, ts=START):
    """Return the rows of a snapshot and of the diff that makes its book usable."""
    return np.concatenate([snapshot(ts, 100, bids, asks, symbol), depth(ts, 101, 101, 100, symbol=symbol)])


# ------------------------------------------------------------------ bad prices


@pytest.mark.parametrize(
    "bad",
    [
        trade(0),
        trade(-5),
        trade(2**50 + 1),
        trade(1000, lots=-1),
        trade(1000, lots=2**50 + 1),
        row(Kind.TOUCH, START, a=1, b=10, c=2**50 + 1, d=11, e=1),
        row(Kind.TOUCH, START, a=1, b=10, c=1, d=11, e=2**50 + 1),
        bar(100, lots=2**50 + 1),
        touch(0, 10),
        touch(10, 2**50 + 1),
        touch(-10, 10),
        mark(0),
        mark(-1),
        row(Kind.MARK, START, a=10**18 + 1),
        row(Kind.CANDLE_OPEN, START, a=0),
        bar(100, low=101, high=102),
        bar(100, low=99, high=99.5),
        bar(100, low=99, high=101, opened=102),
        bar(100, low=-1, high=101),
        bar(100, lots=-1),
        bar(100, interval=0),
        bar(100, interval=32 * 24 * HOUR),
        bar(100, kind=Kind.MARK_CANDLE, low=101, high=102),
    ],
    ids=str,
)
@pytest.mark.parametrize("policy", ["discard", "warn", "conservative", "halt"])
def test_what_cannot_be_a_price_never_enters_whatever_the_policy(bad, policy):
    judge = quality(policies={"BAD_PRICE": policy})
    assert said(judge, bad) == {"BAD_PRICE", "DISCARDED"}
    assert judge.counts(0)["discarded"] == 1
    assert judge.is_halted(0, START + SECOND) == (policy == "halt")
    assert judge.is_conservative(0, START + SECOND) == (policy == "conservative")
    lanes = judge.state()[1][0]["lanes"]
    assert {lane["last"] for lane in lanes} == {0} and {lane["window"]["size"] for lane in lanes} == {0}


@pytest.mark.parametrize(
    "ignored",
    [
        trade(0, f=1),
        row(Kind.CANDLE, START, a=0),
        row(Kind.FUNDING, START),
        row(Kind.FILTERS, START),
        row(Kind.TIMER, START),
    ],
    ids=str,
)
def test_what_is_no_price_of_the_market_is_not_judged(ignored):
    judge = quality()
    assert said(judge, ignored) == set() and judge.counts(0)["judged"] == 0


# ------------------------------------------------------------------ outliers


def window(kind, prices):
    """Return rows of prices in ticks, a second apart, that end at START."""
    count = len(prices)
    stamps = [START - (count - 1 - k) * SECOND for k in range(count)]
    make = {"mark": lambda price, ts: mark(price / 10, ts), "trade": trade}[kind]
    return np.concatenate([make(price, ts) for price, ts in zip(prices, stamps, strict=True)])


def test_an_outlier_is_more_than_five_modified_scores_away():
    # 9,950 ... 10,050 by one but 10,000 itself: median 10,000, deviations 1 to 50 twice, MAD 25.5. At the threshold
    # 5 * 25.5 / 0.6745 = 189.03 ticks: 189 is none, 190 is one. All marks in ticks of 0.1.
    prices = [10_000 + side * k for k in range(1, 51) for side in (1, -1)]
    # The last one is close to the median, so that the step is long.
    prices = prices[::-1]
    for away, verdict in ((189, set()), (190, {"OUTLIER"}), (-189, set()), (-190, {"OUTLIER"})):
        judge = quality(outlier_floor_e8=0)
        judge.feed(window("mark", prices))
        assert said(judge, mark(1000 + away / 10, START + SECOND)) == verdict


def test_before_twenty_prices_nothing_is_an_outlier():
    few, enough = quality(), quality()
    few.feed(window("trade", [10_000] * 19))
    enough.feed(window("trade", [10_000] * 20))
    far = trade(10_500, START + SECOND)
    assert (said(few, far), said(enough, far)) == (set(), {"OUTLIER"})


@pytest.mark.parametrize(("floor", "last_good"), [(50_000, 37), (0, 7)])
def test_a_market_that_stands_still_makes_no_outlier_of_a_tick(floor, last_good):
    # MAD 0 counts as 0.05 % of 10,000 ticks, 5 ticks: 5 * 5 / 0.6745 = 37.06; without a share as one tick: 7.41.
    for away, verdict in ((last_good, set()), (last_good + 1, {"OUTLIER"})):
        judge = quality(outlier_floor_e8=floor)
        judge.feed(window("trade", [10_000] * 100))
        assert said(judge, trade(10_000 + away, START + SECOND)) == verdict


def test_a_breakout_by_steps_is_no_outlier():
    judge = quality(outlier_floor_e8=0)
    judge.feed(window("trade", [10_000] * 100))
    rise = np.concatenate([trade(10_000 + 5 * k, START + k * SECOND) for k in range(1, 61)])
    assert "OUTLIER" not in set().union(*(names(int(found)) for found in judge.feed(rise)[1:]))


def test_only_the_last_hundred_prices_count():
    judge = quality()
    judge.feed(window("trade", [20_000] * 100))
    judge.feed(np.concatenate([trade(19_000 - 90 * k, START + k) for k in range(100)]))
    judge.feed(np.concatenate([trade(10_000, START + 100 + k) for k in range(100)]))
    state = judge.state()[1][0]["lanes"][0]["window"]
    assert set(state["sorted"]) == {2 * 10_000 * TICK_E8} == set(state["ring"])


# ------------------------------------------------------------------ spikes and what confirms them


def test_a_spike_is_more_than_a_tenth_away_from_the_last():
    for price, verdict in ((11_000, set()), (11_001, {"SPIKE"}), (9_000, set()), (8_999, {"SPIKE"})):
        judge = quality(policies={"SPIKE": "warn"})
        assert said(judge, trade(10_000), trade(price, START + 1)) == verdict


def test_a_lone_spike_is_held_back_and_leaves_no_trace():
    judge, other = quality(), quality()
    assert said(judge, trade(10_000), trade(5_000, START + 1)) == {"SPIKE", "DISCARDED"}
    assert said(judge, trade(10_010, START + 2)) == set()
    other.feed(np.concatenate([trade(10_000), trade(10_010, START + 2)]))
    for key in ("window", "last", "held"):
        assert judge.state()[1][0]["lanes"][0][key] == other.state()[1][0]["lanes"][0][key]


def test_two_in_a_row_are_a_crash_and_enter():
    judge = quality()
    assert said(judge, trade(10_000), trade(8_500, START + 1)) == {"SPIKE", "DISCARDED"}
    assert said(judge, trade(7_000, START + 2)) == {"SPIKE"}
    assert said(judge, trade(6_900, START + 3)) == set()


def test_a_second_spike_to_the_other_side_confirms_nothing():
    judge = quality()
    judge.feed(np.concatenate([trade(10_000), trade(8_500, START + 1)]))
    assert said(judge, trade(11_500, START + 2)) == {"SPIKE", "DISCARDED"}
    assert said(judge, trade(10_000, START + 3)) == set()


def test_a_spike_that_another_stream_has_seen_enters_at_once():
    judge = quality()
    books = [Book(12)]
    judge.feed(np.concatenate([trade(1000), book_of([(850, 5)], [(851, 5)])]), books)
    assert said(judge, trade(850, START + 1)) == {"SPIKE"}


def test_a_stream_that_is_old_says_nothing():
    judge = quality()
    judge.feed(np.concatenate([trade(10_000), touch(8_500, 8_501, START)]))
    assert said(judge, trade(8_500, START + SECOND + 1)) >= {"SPIKE", "DISCARDED"}


def test_a_mark_is_held_back_only_against_a_fresh_stream_that_contradicts_it():
    alone, contradicted, late = quality(), quality(), quality()
    assert said(alone, mark(1000), mark(850, START + SECOND)) == {"SPIKE"}
    contradicted.feed(np.concatenate([mark(1000), touch(10_000, 10_001, START + SECOND)]))
    assert said(contradicted, mark(850, START + SECOND)) == {"SPIKE", "DISCARDED"}
    assert said(contradicted, mark(851, START + 2 * SECOND)) == {"SPIKE"}
    late.feed(np.concatenate([mark(1000), touch(10_000, 10_001, START)]))
    assert "DISCARDED" not in said(late, mark(850, START + SECOND + 1))


def test_a_bar_is_held_back_only_against_the_mark_of_its_own_stamp():
    hour = START + HOUR
    alone, contradicted, confirmed = quality(), quality(), quality()
    assert said(alone, bar(1000), bar(800, hour)) == {"SPIKE"}
    before = np.concatenate([bar(1000, kind=Kind.MARK_CANDLE), bar(1000)])
    contradicted.feed(before)
    calm = bar(999, hour, kind=Kind.MARK_CANDLE)
    assert said(contradicted, calm, bar(800, hour)) == {"SPIKE", "DISCARDED"}
    confirmed.feed(before)
    crash = bar(805, hour, kind=Kind.MARK_CANDLE)
    assert said(confirmed, crash, bar(800, hour)) == {"SPIKE"}


def test_a_depth_run_is_never_discarded_and_confirms_for_the_touch():
    judge = quality()
    judge.feed(touch(10_000, 10_001))
    assert said(judge, book_of([(8_500, 5)], [(8_501, 5)]), books=[Book(12)]) == {"SPIKE"}
    assert judge.is_conservative(0, START + SECOND)
    assert said(judge, touch(8_400, 8_401, START + 1)) == set()


def test_a_suspected_price_makes_the_symbol_conservative_held_back_or_not():
    for rows in ((trade(10_000), trade(8_000, START + 1)), (mark(1000), mark(800, START + 1))):
        judge = quality()
        judge.feed(np.concatenate(rows))
        assert judge.is_conservative(0, START + 1 + 30 * SECOND - 1)
        assert not judge.is_conservative(0, START + 1 + 30 * SECOND)


def test_losses_are_judged_on_the_worse_while_a_mark_is_held_back():
    judge = quality()
    judge.feed(np.concatenate([mark(1000), touch(10_000, 10_001), mark(850, START + 1)]))
    assert judge.worse(0, 1000 * E8, lots=5) == 850 * E8
    assert judge.worse(0, 1000 * E8, lots=-5) == 1000 * E8
    judge.feed(mark(1001, START + 2))
    assert judge.worse(0, 1001 * E8, lots=5) == 1001 * E8


def test_without_a_mark_the_touch_held_back_counts_for_losses():
    judge = quality()
    judge.feed(np.concatenate([touch(10_000, 10_002), touch(11_500, 11_502, START + 1)]))
    assert judge.worse(0, 1000 * E8, lots=-1) == 115_010_000_000
    judge.feed(mark(1000, START + 2))
    assert judge.worse(0, 1000 * E8, lots=-1) == 1000 * E8


# ------------------------------------------------------------------ books


@pytest.mark.parametrize("policy", ["warn", "conservative", "halt", "discard"])
def test_a_crossed_touch_never_enters(policy):
    judge = quality(policies={"CROSSED": policy})
    for bid, ask in ((101, 100), (100, 100)):
        assert said(judge, touch(bid, ask)) == {"CROSSED", "DISCARDED"}
    assert judge.is_halted(0, START) == (policy == "halt")


def test_a_diff_that_crosses_the_book_is_told_once():
    judge, books = quality(), [Book(12)]
    judge.feed(book_of([(100, 5)], [(101, 5)]), books)
    assert said(judge, depth(START, 102, 102, 101, bids=[(102, 5)]), books=books) == {"CROSSED"}
    assert said(judge, depth(START, 103, 103, 102, bids=[(103, 5)]), books=books) == set()
    assert judge.counts(0)["CROSSED"] == 1 and judge.is_halted(0, START)


def test_a_spread_is_wide_beyond_a_twentieth_of_the_mid():
    # 39 to 41: 2 of 40 is exactly 5 %.
    for bid, ask, verdict in ((390, 410, set()), (390, 411, {"WIDE_SPREAD"})):
        assert said(quality(), touch(bid, ask)) == verdict
        assert said(quality(), book_of([(bid, 5)], [(ask, 5)]), books=[Book(12)]) == verdict


def test_depth_is_one_sided_when_it_stays_so():
    bids, asks = [(100 - k, 20) for k in range(5)], [(101 + k, 1) for k in range(5)]
    judge, books = quality(), [Book(12)]
    assert said(judge, book_of(bids, asks), books=books) == set()
    later = [depth(START + s * SECOND, 101 + s, 101 + s, 100 + s) for s in (1, 2, 3, 4)]
    assert [said(judge, run, books=books) for run in later] == [set(), set(), {"ONE_SIDED"}, {"ONE_SIDED"}]
    # 100 against 6 is (100 - 6) / 106 = 0.887: within.
    balanced = depth(START + 5 * SECOND, 106, 106, 105, asks=[(101, 2)])
    assert said(judge, balanced, books=books) == set()
    assert judge.is_conservative(0, START + 33 * SECOND) and not judge.is_conservative(0, START + 34 * SECOND)


def test_a_side_that_is_empty_is_one_sided():
    judge, books = quality(one_sided_ns=0), [Book(12)]
    assert said(judge, book_of([(100, 5)], []), books=books) == {"ONE_SIDED"}


# ------------------------------------------------------------------ volumes


@pytest.mark.parametrize(
    ("lots", "verdict"), [(10_000, set()), (10_001, {"VOLUME_SPIKE"}), (1, set()), (0, {"VOLUME_DROP"})]
)
def test_the_volume_of_a_bar_is_judged_against_the_twenty_before(lots, verdict):
    judge = quality()
    judge.feed(np.concatenate([bar(100, START + k * HOUR) for k in range(20)]))
    assert said(judge, bar(100, START + 20 * HOUR, lots)) == verdict


def test_before_twenty_bars_and_after_twenty_empty_ones_no_volume_is_judged():
    judge = quality()
    judge.feed(np.concatenate([bar(100, START + k * HOUR) for k in range(19)]))
    assert said(judge, bar(100, START + 19 * HOUR, 0)) == set()
    judge = quality()
    judge.feed(np.concatenate([bar(100, START + k * HOUR, 0) for k in range(20)]))
    assert said(judge, bar(100, START + 20 * HOUR, 10**6)) == set()


def minutes(count, lots=100):
    """Return a trade that begins the count and one a minute from the next whole minute on."""
    first = START // MINUTE * MINUTE + MINUTE
    return np.concatenate([trade(1000, START), *(trade(1000, first + k * MINUTE, lots) for k in range(count))]), first


def test_the_volume_of_a_minute_of_trades_spikes_once_and_at_once():
    judge = quality()
    rows, first = minutes(21)
    judge.feed(rows)
    in_it = [trade(1000, first + 20 * MINUTE + k, 9_900 - k * 9_899) for k in (0, 1)]
    assert [said(judge, one) for one in in_it] == [set(), {"VOLUME_SPIKE"}]
    assert said(judge, trade(1000, first + 20 * MINUTE + 5)) == set()


def test_a_minute_without_trades_is_a_drop_when_it_is_over():
    judge = quality()
    rows, first = minutes(21)
    judge.feed(rows)
    assert said(judge, trade(1000, first + 21 * MINUTE)) == set()
    assert said(judge, trade(1000, first + 23 * MINUTE)) == {"VOLUME_DROP"}


# ------------------------------------------------------------------ silence


def test_a_book_is_stale_when_others_go_on_without_it():
    judge = quality()
    judge.feed(np.concatenate([touch(1000, 1001), mark(100)]))
    assert said(judge, mark(100, START + SECOND)) == set()
    assert said(judge, mark(100, START + SECOND + 1)) == {"STALE"}
    assert said(judge, mark(100, START + 2 * SECOND)) == set()  # told once
    assert judge.is_halted(0, START + 62 * SECOND - 1)
    assert said(judge, touch(1000, 1001, START + 3 * SECOND)) == set()
    assert not judge.is_halted(0, START + 62 * SECOND)


def test_a_halt_goes_on_as_long_as_the_silence():
    judge = quality()
    judge.feed(np.concatenate([touch(1000, 1001), *(mark(100, START + k * SECOND) for k in range(200))]))
    assert judge.is_halted(0, START + 258 * SECOND)
    assert judge.counts(0)["STALE"] == 1


def test_marks_have_their_own_limit_and_trades_none():
    judge = quality()
    judge.feed(np.concatenate([trade(1000), mark(100)]))
    assert said(judge, touch(1000, 1001, START + 3 * SECOND)) == set()
    assert said(judge, touch(1000, 1001, START + 3 * SECOND + 1)) == {"STALE"}


def test_a_pause_of_everything_is_no_fault_of_the_stream_that_ends_it():
    judge = quality()
    judge.feed(touch(1000, 1001))
    assert said(judge, touch(1000, 1001, START + HOUR)) == set()


def test_a_symbol_that_falls_silent_is_noticed_by_the_others():
    judge = quality(symbols=3)
    judge.feed(np.concatenate([touch(1000, 1001, symbol=k) for k in range(3)]))
    judge.feed(np.concatenate([touch(1000, 1001, START + SECOND + k, symbol=0) for k in range(1, 4)]))
    assert [judge.counts(k)["STALE"] for k in range(3)] == [0, 1, 1]
    assert not judge.is_halted(0, START + 2 * SECOND) and judge.is_halted(1, START + 2 * SECOND)


@pytest.mark.parametrize("kind", [Kind.CANDLE, Kind.MARK_CANDLE])
def test_a_bar_is_late_after_one_and_a_half_intervals(kind):
    judge = quality()
    judge.feed(bar(100, kind=kind))
    assert said(judge, bar(100, START + HOUR, kind=kind)) == set()
    assert said(judge, bar(100, START + 3 * HOUR, kind=kind)) == {"STALE"}


# ------------------------------------------------------------------ policies, alarms, settings


def test_care_lasts_until_the_next_bar_in_a_candle_run():
    judge = quality(policies={"SPIKE": "halt", "VOLUME_DROP": "conservative"})
    judge.feed(np.concatenate([bar(100), bar(120, START + HOUR)]))
    assert judge.is_halted(0, START + 2 * HOUR - 1) and not judge.is_halted(0, START + 2 * HOUR)


def test_a_verdict_begins_once_until_the_symbol_was_clean():
    judge = quality()
    began = []
    for at in (0, 1, 60, 61, 122):
        judge.feed(touch(100, 120, START + at * SECOND))
        began.append(judge.beginning())
    # 0 begins; 60 is 59 s after 1; 122 is 61 s after 61.
    assert began == [[(0, Verdict.WIDE_SPREAD)], [], [], [], [(0, Verdict.WIDE_SPREAD)]]
    assert judge.counts(0)["WIDE_SPREAD"] == 5


def test_a_warning_changes_nothing_but_the_count():
    judge = quality(policies=dict.fromkeys(POLICIES, "warn"))
    assert said(judge, trade(1000), trade(500, START + 1)) == {"SPIKE"}
    assert not judge.is_halted(0, START + 2) and not judge.is_conservative(0, START + 2)
    assert judge.counts(0) | {"judged": 2, "SPIKE": 1, "discarded": 0} == judge.counts(0)


@pytest.mark.parametrize(
    ("settings_", "policies"),
    [
        ({"spike_e8": -1}, {}),
        ({"spike_e8": 10**14}, {}),
        ({"spikes": 1}, {}),
        ({}, {"STALE": "discard"}),
        ({}, {"VOLUME_SPIKE": "discard"}),
        ({}, {"SPIKE": "ignore"}),
        ({}, {"SPIKES": "warn"}),
    ],
)
def test_settings_and_policies_that_cannot_be_are_refused(settings_, policies):
    with pytest.raises(ValueError, match=r"quality settings|policies are|cannot have the policy"):
        quality(policies=policies, **settings_)


def test_a_symbol_that_is_not_there_is_an_error_and_no_crash():
    judge = quality()
    for call in (judge.counts, lambda k: judge.is_halted(k, 0), lambda k: judge.worse(k, 1, 1)):
        with pytest.raises(IndexError):
            call(1)
    with pytest.raises(IndexError):
        judge.feed(trade(1, symbol=1))
    assert [policy.value for policy in Policy] == [0, 1, 2, 3]


# ------------------------------------------------------------------ the twin

PLAIN = {
    "book_stale": SETTINGS["book_stale_ns"],
    "mark_stale": SETTINGS["mark_stale_ns"],
    "candle_stale": Fraction(3, 2),
    "outlier": 5,
    "outlier_floor": Fraction(5, 10_000),
    "spike": Fraction(1, 10),
    "wide_spread": Fraction(1, 20),
    "one_sided": Fraction(9, 10),
    "one_sided_ns": SETTINGS["one_sided_ns"],
    "volume_spike": 100,
    "volume_drop": Fraction(1, 100),
    "conservative": SETTINGS["conservative_ns"],
    "clean": SETTINGS["clean_ns"],
}


class Market:
    """A market of two symbols, drawn at random: it wanders, stands still, jumps, glitches and falls silent."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.ts = START
        self.price = [20_000, 20_000]
        self.ids = [100, 100]
        self.books = [Book(12), Book(12)]

    def step(self, plain):
        """Return the rows of the next message, and what the twin says of it."""
        draw = self.draw
        self.ts += draw.choice([1, SECOND // 100, SECOND // 10, SECOND // 2, SECOND, 5 * SECOND, 40 * SECOND])
        symbol = draw.randrange(2)
        self.price[symbol] += draw.choice([0, 0, 0, 1, -1, 3, -3, 40])
        if draw.random() < 0.01:
            self.price[symbol] = round(self.price[symbol] * draw.choice([0.8, 0.95, 1.05, 1.2]))
        glitch = draw.choice([0.5, 0.9, 0.99, 1.01, 1.1, 1.11, 3]) if draw.random() < 0.05 else 1
        price = max(50, round(self.price[symbol] * glitch)) if draw.random() < 0.99 else draw.choice([0, -1, 2**50 + 1])
        kinds = [self.trade, self.touch, self.mark, self.book, self.bar, self.mark_bar, self.open]
        return draw.choices(kinds, [4, 4, 2, 4, 1, 1, 1])[0](plain, symbol, price)

    def trade(self, plain, symbol, ticks):
        lots = self.draw.choice([1, 1, 5, 50, 5000])
        return trade(ticks, self.ts, lots, symbol), plain.on_trade(symbol, self.ts, ticks, lots)

    def touch(self, plain, symbol, ticks):
        bid, ask = ticks, ticks + self.draw.choice([1, 1, 1, 2, 0, -1, 2000])
        return touch(bid, ask, self.ts, symbol), plain.on_touch(symbol, self.ts, bid, 1, ask, 1)

    def mark(self, plain, symbol, ticks):
        e8 = min(ticks, FAR) * TICK_E8 + self.draw.randrange(3)
        return row(Kind.MARK, self.ts, symbol, a=e8), plain.on_mark(symbol, self.ts, Fraction(e8, E8))

    def book(self, plain, symbol, ticks):
        draw = self.draw
        ticks = self.price[symbol]
        gap = draw.choice([1, 1, 1, 1500])
        sides = [[(ticks - k, draw.choice([1, 1, 200])) for k in range(6)]]
        sides.append([(ticks + gap + k, draw.choice([1, 1, 200])) for k in range(6)])
        # A fresh book each time keeps the twin plain: what diffs do to a book is the book's own test.
        self.books[symbol] = Book(12)
        self.ids[symbol] += 10
        last = self.ids[symbol]
        rows = np.concatenate(
            [snapshot(self.ts, last, *sides, symbol), depth(self.ts, last + 1, last + 1, last, symbol=symbol)]
        )
        plain.on_book(symbol, self.ts, *sides, applied=False)  # the snapshot: not usable yet
        return rows, plain.on_book(symbol, self.ts, *sides)

    def ohlc(self, ticks):
        close = Fraction(min(ticks, FAR) * TICK_E8, E8)
        high, low = close * self.draw.choice([1, Fraction(11, 10)]), close * self.draw.choice([1, 1, Fraction(12, 10)])
        return close, high, low, close

    def bar_row(self, plain, symbol, ticks, kind, stream):
        prices = self.ohlc(ticks)
        lots = self.draw.choice([100, 100, 100, 0, 40_000]) if stream == "bars" else 0
        interval = self.draw.choice([20 * SECOND, 20 * SECOND, 20 * SECOND, 0])
        a, b, c, d = (int(price * E8) for price in prices)
        flags = Flag.F_END | Flag.F_CLOSED
        made = row(kind, self.ts, symbol, flags, a=a, b=b, c=c, d=d, e=lots, f=interval)
        return made, plain.on_bar(symbol, self.ts, stream, prices, lots, interval)

    def bar(self, plain, symbol, ticks):
        return self.bar_row(plain, symbol, ticks, Kind.CANDLE, "bars")

    def mark_bar(self, plain, symbol, ticks):
        return self.bar_row(plain, symbol, ticks, Kind.MARK_CANDLE, "mark_bars")

    def open(self, plain, symbol, ticks):
        e8 = min(ticks, FAR) * TICK_E8
        made = row(Kind.CANDLE_OPEN, self.ts, symbol, a=e8, f=20 * SECOND)
        return made, plain.on_open(symbol, self.ts, Fraction(e8, E8))


def compare(seed, steps, policies):
    market = Market(seed)
    judge = quality(symbols=2, policies=policies)
    plain = PlainQuality([Fraction(TICK_E8, E8)] * 2, PLAIN, POLICIES | policies)
    seen = {}
    for step in range(steps):
        rows, expected = market.step(plain)
        found = judge.feed(rows, market.books)
        assert names(int(found[-1])) == expected, (seed, step, rows, expected)
        assert sorted((s, v.name) for s, v in judge.beginning()) == sorted(plain.began), (seed, step)
        for symbol in range(2):
            ours = (judge.is_halted(symbol, market.ts + SECOND), judge.is_conservative(symbol, market.ts + SECOND))
            twin = plain.symbols[symbol]
            assert ours == (market.ts + SECOND < twin.halted_until, market.ts + SECOND < twin.conservative_until)
        for name in expected:
            seen[name] = seen.get(name, 0) + 1
    return seen


@pytest.mark.parametrize("outliers", ["warn", "discard"])
def test_the_core_judges_as_its_plain_twin(outliers):
    seen = {}
    for seed in range(3):
        for name, count in compare(seed, 1200, {"OUTLIER": outliers}).items():
            seen[name] = seen.get(name, 0) + count
    assert seen.keys() == {*POLICIES, "DISCARDED"} and min(seen.values()) >= 2, seen


@pytest.mark.slow
def test_the_core_judges_as_its_plain_twin_for_long():
    for seed in range(100, 130):
        compare(seed, 3000, {"OUTLIER": ["warn", "discard"][seed % 2], "STALE": "warn"})


@given(st.lists(st.integers(1, 60), min_size=21, max_size=260), st.integers(1, 400))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_the_window_is_sorted_whatever_comes(prices, scale):
    judge = quality(policies=dict.fromkeys(POLICIES, "warn"))
    judge.feed(np.concatenate([trade(price * scale, START + k) for k, price in enumerate(prices)]))
    kept = judge.state()[1][0]["lanes"][0]["window"]
    last = [2 * price * scale * TICK_E8 for price in prices[-100:]]
    assert kept["sorted"][: kept["size"]] == sorted(last) and sorted(kept["ring"][: kept["size"]]) == sorted(last)


@given(st.lists(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 6, st.integers(0, 20)), min_size=1, max_size=40))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_no_row_whatever_its_words_breaks_the_judge(rows):
    judge = quality()
    array = np.zeros(len(rows), EVENT_DTYPE)
    for k, (*words, kind) in enumerate(rows):
        array[k]["kind"], array[k]["flags"], array[k]["ts"] = kind, 33, START + k
        for name, word in zip("abcdef", words, strict=True):
            array[k][name] = word
    judge.feed(array)
    for lane in judge.state()[1][0]["lanes"]:
        kept = lane["window"]["sorted"][: lane["window"]["size"]]
        assert 0 <= lane["last"] <= 2 * 10**18 and kept == sorted(kept)


# ------------------------------------------------------------------ what the exchange published


def recorded(shared, name, lines=60_000):
    """Return the first lines of a recorded run, as rows."""
    run = RUNS[name]
    scanner, found = Scanner(Instruments([run.spec]), 0), []
    for file in run.files:
        unit = 1000 if ".dat" in file else 1
        with gzip.open(shared / "data/l2" / file) as text:
            for line in text:
                stamp, _, message = line.rstrip().partition(b" ")
                scanner.feed(message, int(stamp) * unit)
                found.append(scanner.rows.array().copy())
                if len(found) == lines:
                    return np.concatenate(found)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("um 2023-04", 60_000), ("um 2024-08", 20_000), pytest.param("um 2024-07", 10**6, marks=pytest.mark.slow)],
)
def test_a_clean_recording_has_less_than_one_verdict_in_a_hundred_and_nothing_is_discarded(shared, name, lines):
    judge = Quality(Instruments([RUNS[name].spec]), SETTINGS, POLICIES | {"OUTLIER": "discard"})
    found = judge.feed(recorded(shared, name, lines), [Book()])
    counts = judge.counts(0)
    assert counts["judged"] > 10_000
    assert np.count_nonzero(found) < 0.01 * counts["judged"], counts
    assert counts["discarded"] == 0


def test_a_glitch_put_into_a_recording_is_discarded_and_changes_nothing_else(shared):
    clean = recorded(shared, "um 2023-04", 4000)
    at = np.flatnonzero(np.isin(clean["kind"], [int(Kind.TRADE), int(Kind.TOUCH)]))[500:-500:50]
    bad = clean[at]
    for word in "bd":
        bad[word] //= 2
    glitched = np.insert(clean, at, bad)
    is_bad = np.zeros(len(glitched), bool)
    is_bad[at + np.arange(len(at))] = True
    judges = [Quality(Instruments([RUNS["um 2023-04"].spec]), SETTINGS, POLICIES) for _ in range(2)]
    expected, found = judges[0].feed(clean, [Book()]), judges[1].feed(glitched, [Book()])
    assert (found[is_bad] & 1).all() and not (found[~is_bad] & 1).any()
    assert (found[~is_bad] == expected).all()
    assert judges[1].counts(0)["discarded"] == len(at) > 20
    for lane in range(2):
        ours, theirs = (judge.state()[1][0]["lanes"][lane] for judge in judges)
        assert ours == theirs


CRASHES = {
    "um_1h_2019_2026": ("um_mark_1h_2019_2026", ["2020-03-12", "2020-03-13", "2021-05-19"], 0.19),
    "um_1h_2025_2026_alts": ("um_mark_1h_2025_2026_alts", ["2025-10-10"], 0.10),
}


@pytest.mark.parametrize("name", CRASHES)
def test_no_crash_is_discarded_and_quiet_years_are_quiet(shared, name):
    marks, days, deepest = CRASHES[name]
    paths = [shared / "data/klines" / f"{name}.parquet", shared / "data/mark" / f"{marks}.parquet"]
    symbols = pl.read_parquet(paths[0], columns=["symbol"])["symbol"].unique().sort().to_list()
    instruments = Instruments([spec(symbol, tick_e8=1, lot_e8=10**8) for symbol in symbols])
    judge = Quality(instruments, SETTINGS, POLICIES | {"OUTLIER": "discard"})
    spiked, fell, judged, told = set(), 0.0, 0, 0
    for rows in History(paths, instruments).chunks():
        found = judge.feed(rows)
        judged += len(rows)
        told += np.count_nonzero(found)
        spikes = rows[found >> Verdict.SPIKE & 1 == 1]
        spiked |= {str(day) for day in np.unique(spikes["ts"].astype("datetime64[ns]").astype("datetime64[D]"))}
        bars = rows[(found >> Verdict.SPIKE & 1 == 1) & (rows["kind"] == int(Kind.CANDLE))]
        fell = max([fell, *(1 - bars["d"] / bars["a"])])
    assert sum(judge.counts(k)["discarded"] for k in range(len(symbols))) == 0
    assert told < 0.002 * judged and judged > 300_000
    assert spiked >= set(days) and fell > deepest
