"""Mark price and funding rate by the exchange's formulas: known answers."""

import numpy as np
import pytest
from builders import E8, row, spec

from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.perpetual import Perpetual, funding_rate, mark_price, next_interval
from core_ext.types import Instruments, Kind

HOUR = 3600 * 10**9
BTC_CAP = 300_000  # 0.75 of 0.4 %


SECOND = 10**9
START = 1_700_000_000 * SECOND // (8 * HOUR) * 8 * HOUR + HOUR


@pytest.mark.parametrize(
    ("premium", "hours", "rate"),
    [
        (42_900, 8, 10_000),  # the exchange's own example: 0.0429 % gives 0.0100 %
        (-40_000, 8, 10_000),  # the edges of the dead zone
        (60_000, 8, 10_000),
        (-40_001, 8, 9_999),
        (60_001, 8, 10_001),
        (0, 4, 5_000),
        (0, 1, 1_250),
        (100_000, 8, 50_000),
        (100_000, 4, 25_000),
        (10**6, 8, BTC_CAP),
        (-(10**6), 8, -BTC_CAP),
        (350_000, 8, BTC_CAP),
        (-350_001, 8, -BTC_CAP),
    ],
)
def test_the_funding_rate_of_a_premium(premium, hours, rate):
    assert funding_rate(premium, hours, 10_000, BTC_CAP) == rate


def test_some_pairs_have_no_interest_and_others_a_wider_cap():
    assert funding_rate(42_900, 8, 0, 2_000_000) == 0
    assert funding_rate(3_000_000, 8, 10_000, 2_000_000) == 2_000_000


def test_the_cap_is_three_quarters_of_the_lowest_maintenance_ratio():
    assert Perpetual(Instruments([spec()]), 0).cap_e8 == BTC_CAP


def test_the_mark_is_the_median_of_three():
    # Index 100; half of 0.01 % still to come: 100.005; basis 0.2: 100.2.
    words = (100 * E8, 10_000, 4 * HOUR, 8 * HOUR, 20_000_000)
    assert mark_price(*words, 99 * E8) == 100_00500000
    assert mark_price(*words, 100_10000000) == 100_10000000
    assert mark_price(*words, 101 * E8) == 100_20000000


def test_an_interval_at_the_cap_becomes_an_hour_and_seventeen_calm_ones_four():
    assert next_interval(8, BTC_CAP, BTC_CAP, 0) == (1, 0)
    assert next_interval(4, -BTC_CAP, BTC_CAP, 0) == (1, 0)
    assert next_interval(8, BTC_CAP - 1, BTC_CAP, 0) == (8, 0)
    hours, calm, lasted = 1, 0, 0
    while hours == 1:
        hours, calm = next_interval(hours, 25_000, BTC_CAP, calm)
        lasted += 1
    assert (hours, lasted) == (4, 16)  # the seventeenth interval is one of four hours
    assert next_interval(1, 25_001, BTC_CAP, 15) == (1, 0)


def test_a_synthetic_market_settles_the_rate_that_its_premiums_weighted_by_time_come_to():
    """Two premiums, 0.1 % and 0.4 %: the later weighs twice, so 0.3 %, and 0.25 % after the dead zone."""
    instruments = Instruments([spec(min_notional_e8=1, max_lots=10**9, leverage=10)])
    accounts = [Account(instruments, 10**7 * E8) for _ in range(2)]
    venue = Exchange(instruments, accounts, ["stream"], 0.0, 0.0, 0, synthetic=True)
    start = 1_700_000_000 * 10**9 // (8 * HOUR) * 8 * HOUR + HOUR
    venue.feed(row(Kind.MARK, start, a=1_000 * E8))
    venue.place_order(start, 1, 0, 0, 10**6, 10_000, 0)  # deeper than the impact notional of 30,000 USDT
    venue.place_order(start, 2, 0, 1, 10**6, 10_010, 1)
    perpetual = venue.perpetuals[0]
    index = [int(1_000 * E8 / 1.001), int(1_000 * E8 / 1.004)]
    venue.feed(row(Kind.MARK, start + 1, b=index[0]))
    assert perpetual.rate_e8 == pytest.approx(50_000, abs=2)
    venue.feed(row(Kind.MARK, start + 5 * 10**9, b=index[1]))
    assert perpetual.rate_e8 == pytest.approx(250_000, abs=2)
    venue.place_order(start + 6 * 10**9, 3, 0, 0, 1_000, 10_010, 0)
    assert venue.accounts[0].position(0)["lots"] == 1_000
    stamp, rate = perpetual.next_stamp, perpetual.rate_e8
    assert stamp == start + 7 * HOUR
    rows = venue.feed(row(Kind.MARK, stamp, b=index[1]))
    paid = rows[rows["kind"] == Kind.FUNDING_PAID]
    assert set(np.abs(paid["b"]).tolist()) == {rate}
    assert int(paid["a"].sum()) == 0
    assert int(paid["a"].min()) < 0
    assert (perpetual.last_rate_e8, perpetual.next_stamp) == (rate, stamp + 8 * HOUR)


# Time that jumps, and funding that is announced.


def towns(symbols=2):
    """Return a synthetic market of two accounts, who hold the same lots of every symbol against each other."""
    specs = [spec(name, min_notional_e8=1, leverage=10) for name in ("BTCUSDT", "ETHUSDT")[:symbols]]
    instruments = Instruments(specs)
    accounts = [Account(instruments, 10**7 * E8) for _ in range(2)]
    venue = Exchange(instruments, accounts, ["stream"] * symbols, 0.0, 0.0, 0, synthetic=True)
    for symbol in range(symbols):
        venue.feed(row(Kind.MARK, START, symbol, a=1_000 * E8))
        venue.place_order(START, 10 + symbol, symbol, 1, 1_000, 10_000, 1)
        venue.place_order(START, 20 + symbol, symbol, 0, 1_000, 10_000, 0)
        venue.feed(row(Kind.MARK, START, symbol, b=1_000 * E8))
    return venue


def settled(rows):
    """Return what everybody hears of settlements: (hours since the stamp before the start, symbol, rate)."""
    found = rows[rows["kind"] == Kind.FUNDING]
    return [((int(one["ts"]) - START) / HOUR + 1, int(one["symbol"]), int(one["a"])) for one in found]


def test_every_stamp_that_time_has_jumped_over_is_settled_at_its_own_time_over_all_symbols():
    venue = towns()
    rows = venue.feed(row(Kind.MARK, START + 24 * HOUR, 1, b=2_000 * E8))
    assert settled(rows) == [(hour, symbol, 10_000) for hour in (8, 16, 24) for symbol in (0, 1)]
    kinds = rows["kind"].tolist()
    assert kinds == [Kind.FUNDING, Kind.FUNDING_PAID, Kind.FUNDING_PAID] * 6 + [Kind.MARK]
    paid = rows[rows["kind"] == Kind.FUNDING_PAID]
    assert paid["ts"].tolist() == np.repeat([START + hour * HOUR for hour in (7, 15, 23)], 4).tolist()
    assert set(paid["c"].tolist()) == {1_000 * E8}  # the row that came behind them has moved the mark of none
    assert [venue.perpetuals[k].next_stamp for k in (0, 1)] == [START + 31 * HOUR] * 2
    assert settled(venue.feed(row(Kind.MARK, START + 24 * HOUR, 0, b=1_000 * E8))) == []


def test_a_rate_at_the_cap_makes_the_stamps_that_are_jumped_over_hourly_ones():
    venue = towns(1)
    venue.perpetuals[0].announce(START, BTC_CAP)
    venue.feed(row(Kind.MARK, START + SECOND, b=1_000 * E8))
    rows = venue.feed(row(Kind.MARK, START + 10 * HOUR, b=1_000 * E8))
    assert settled(rows) == [(8, 0, BTC_CAP), (9, 0, 1_250), (10, 0, 1_250), (11, 0, 1_250)]


def test_a_stamp_is_settled_without_a_row_too():
    venue = towns(1)
    assert len(venue.settle(START + 7 * HOUR - 1)) == 0
    assert settled(venue.settle(START + 7 * HOUR)) == [(8, 0, 10_000)]
    assert len(venue.settle(START + 7 * HOUR)) == 0


def test_a_stamp_of_a_stream_is_settled_once_and_the_next_one_when_it_is_named():
    instruments = Instruments([spec()])
    venue = Exchange(instruments, [Account(instruments, E8)], ["stream"], 0.0, 0.0, 0)
    venue.feed(row(Kind.MARK, START, a=E8, c=7, d=START + HOUR))
    assert settled(venue.feed(row(Kind.MARK, START + 9 * HOUR, a=E8, c=8, d=START + 10 * HOUR))) == [(2, 0, 7)]
    assert settled(venue.settle(START + 30 * HOUR)) == [(11, 0, 8)]


def test_an_announced_rate_stands_until_its_stamp_whatever_the_book_says():
    venue = towns(1)
    own = venue.perpetuals[0]
    for account, side, ticks in ((0, 0, 10_000), (1, 1, 10_010)):
        venue.place_order(START, 30 + account, 0, side, 10**6, ticks, account)
    own.announce(START, -2_000_000)
    (mark,) = [one for one in venue.feed(row(Kind.MARK, START + 5 * SECOND, b=990 * E8)) if one["kind"] == Kind.MARK]
    assert int(mark["c"]) == own.rate_e8 == -2_000_000 and own.is_announced
    assert settled(venue.settle(START + 7 * HOUR)) == [(8, 0, -2_000_000)]
    assert (own.last_rate_e8, own.rate_e8, own.is_announced) == (-2_000_000, 1_250, False)
    venue.feed(row(Kind.MARK, START + 7 * HOUR + 5 * SECOND, b=990 * E8))
    assert own.rate_e8 == funding_rate(1_010_101, 1)  # the samples' again: 1,000.00 is 1.01 % above the index


@pytest.mark.parametrize("hours,stamps", [(1, (2, 3)), (4, (4, 8)), (8, (8, 16))])
def test_an_announced_interval_leads_to_a_stamp_that_comes_no_later(hours, stamps):
    venue = towns(1)
    venue.perpetuals[0].announce(START, None, hours)
    (mark,) = venue.feed(row(Kind.MARK, START + SECOND, b=1_000 * E8))
    assert int(mark["d"]) == START + (stamps[0] - 1) * HOUR
    rows = venue.feed(row(Kind.MARK, START + (stamps[1] - 1) * HOUR, b=1_000 * E8))
    assert [hour for hour, _, _ in settled(rows)] == list(stamps)


@pytest.mark.parametrize("rate,hours", [(E8 + 1, 0), (-E8 - 1, 0), (0, 2), (None, -1)])
def test_no_absurd_funding_is_announced(rate, hours):
    own = Perpetual(Instruments([spec()]), 0)
    with pytest.raises(ValueError, match="funding"):
        own.announce(START, rate, hours)
    assert (own.rate_e8, own.hours, own.is_announced) == (10_000, 8, False)
