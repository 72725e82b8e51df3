"""Streaming features against plain twins: candles, true range, volatility, spread, order flow, trade flow, VWAP."""

import itertools
import json
import math

import numpy as np
import polars as pl
import pytest
from builders import E8, SIZING, depth, limits, row, snapshot, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import signal as plain

from core_ext.account import Account
from core_ext.driver import Driver, FeedError
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalWriter
from core_ext.signal import (
    BarWindow,
    CandleAggregator,
    CandleBuilder,
    LongerCandles,
    Markets,
    book_depth,
    book_flow,
    book_imbalance,
    walk_book,
)
from core_ext.strategy import Strategy
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind, Reason
from core_ext.wire import Scanner

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
TICK = 10**7


def builder(symbols=("BTCUSDT",), interval=MINUTE):
    return CandleBuilder(Instruments([spec(name) for name in symbols]), interval)


def trade(ts, ticks, lots, symbol=0, market=True):
    return row(Kind.TRADE, ts, symbol, b=ticks, c=lots, f=0 if market else 1)


def plain_candles(trades, symbols, interval, end):
    """Return {(symbol, close stamp): (open, high, low, close, lots)} the plainest way."""
    if not trades:
        return {}
    first = trades[0][0] // interval * interval + interval
    bars, last = {}, {}
    for close in range(first + interval, end + 1, interval):
        for symbol in range(symbols):
            seen = [t for t in trades if t[3] == symbol and close - interval <= t[0] < close]
            before = [t for t in trades if t[3] == symbol and t[0] < close]
            if not before:
                continue
            last[symbol] = before[-1][1]
            prices = [t[1] for t in seen] or [last[symbol]]
            lots = sum(t[2] for t in seen)
            bars[symbol, close] = (prices[0], max(prices), min(prices), prices[-1], lots)
    return bars


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(0, 50 * SECOND), st.integers(1, 50), st.integers(1, 9), st.integers(0, 1)), max_size=60
    )
)
def test_candles_from_trades_are_those_of_the_plain_twin(steps):
    trades, now = [], 10 * MINUTE + 7
    for wait, ticks, lots, symbol in steps:
        now += wait
        trades.append((now, ticks, lots, symbol))
    rows = [trade(ts, ticks, lots, symbol) for ts, ticks, lots, symbol in trades]
    end = now // MINUTE * MINUTE
    out = builder(("BTCUSDT", "ETHUSDT")).feed(np.concatenate(rows) if rows else np.zeros(0, EVENT_DTYPE))
    candles = out[out["kind"] == int(Kind.CANDLE)]
    found = {
        (int(c["symbol"]), int(c["ts"])): (*tuple(int(c[w]) // TICK for w in "abcd"), int(c["e"])) for c in candles
    }
    assert found == plain_candles(trades, 2, MINUTE, end)


def test_the_bars_of_one_stamp_are_one_run():
    rows = [trade(61 * SECOND, 10, 1, 0), trade(62 * SECOND, 20, 1, 1), trade(130 * SECOND, 11, 1, 0)]
    rows += [trade(190 * SECOND, 12, 1, 0)]
    out = builder(("BTCUSDT", "ETHUSDT")).feed(np.concatenate(rows))
    candles = out[out["kind"] == int(Kind.CANDLE)]
    assert [int(c["symbol"]) for c in candles] == [0, 1]
    assert [bool(c["flags"] & Flag.F_END) for c in candles] == [False, True]


def test_the_bar_in_which_the_first_trade_falls_is_not_given():
    out = builder().feed(np.concatenate([trade(30 * SECOND, 10, 1), trade(61 * SECOND, 11, 1)]))
    assert Kind.CANDLE not in out["kind"]


def test_an_open_is_known_with_the_first_trade_of_its_bar_and_not_before():
    out = builder().feed(np.concatenate([trade(30 * SECOND, 10, 1), trade(75 * SECOND, 11, 1)]))
    opens = out[out["kind"] == int(Kind.CANDLE_OPEN)]
    assert [int(o["ts"]) for o in opens] == [30 * SECOND, 75 * SECOND]


@pytest.mark.parametrize(("ticks", "lots"), [(0, 1), (-3, 1), (2**50 + 1, 1), (90, -1), (90, 2**50 + 1)])
def test_a_trade_that_cannot_be_is_no_part_of_a_bar(ticks, lots):
    trades = [trade(at * MINUTE, 100, 2) for at in (1, 2, 3)]
    bad = [trade(2 * MINUTE + 1, ticks, lots), trade(2 * MINUTE + 2, ticks, lots)]
    given_out = [builder().feed(np.concatenate(rows)) for rows in (trades, [*trades[:2], *bad, trades[2]])]
    assert len(given_out[0]) == 4 and np.array_equal(*given_out)  # three opens and one whole bar


def test_trades_outside_the_market_form_no_candle():
    out = builder().feed(np.concatenate([trade(30 * SECOND, 10, 1, market=False), trade(300 * SECOND, 11, 1)]))
    assert Kind.CANDLE not in out["kind"]


def test_marks_and_funding_pass_through_in_order():
    rows = np.concatenate([row(Kind.MARK, 5, a=3), row(Kind.FUNDING, 6, a=4), row(Kind.TOUCH, 7)])
    assert list(builder().feed(rows)["kind"]) == [int(Kind.MARK), int(Kind.FUNDING)]


def test_the_mark_of_a_bar_is_known_before_its_candle():
    marks = [row(Kind.MARK_CANDLE, k * MINUTE, a=9, b=9, c=9, d=9, f=MINUTE) for k in (1, 2, 3)]
    trades = [
        trade(30 * SECOND, 10, 1),
        trade(61 * SECOND, 11, 1),
        trade(121 * SECOND, 12, 1),
        trade(190 * SECOND, 13, 1),
    ]
    ordered = sorted([*marks, *trades], key=lambda one: int(one["ts"][0]))
    out = builder().feed(np.concatenate(ordered))
    known = [(int(one["kind"]), int(one["ts"]) // MINUTE) for one in out if one["kind"] != Kind.CANDLE_OPEN]
    assert known == [
        (Kind.MARK_CANDLE, 1),
        (Kind.MARK_CANDLE, 2),
        (Kind.CANDLE, 2),
        (Kind.MARK_CANDLE, 3),
        (Kind.CANDLE, 3),
    ]


@pytest.mark.parametrize("interval", [0, -MINUTE, 7 * HOUR])
def test_an_interval_that_divides_no_day_is_refused(interval):
    with pytest.raises(ValueError, match="divides a day"):
        builder(interval=interval)


class Watcher(Strategy):
    """A strategy that only looks."""


def engine(symbols=("BTCUSDT",), mark="proxy"):
    return Engine(
        Instruments([spec(name) for name in symbols]), Watcher(), limits(), SIZING, 7_700 * E8, 1, [mark] * len(symbols)
    )


def hourly(at, high, low, close):
    words = {"a": close, "b": high, "c": low, "d": close, "e": 10, "f": HOUR}
    return row(Kind.CANDLE, at * HOUR, flags=Flag.F_END | Flag.F_CLOSED, **{k: round(v) for k, v in words.items()})


def test_the_true_range_reaches_back_to_the_close_before():
    run = engine()
    run.feed(np.concatenate([hourly(1, 110 * E8, 90 * E8, 100 * E8), hourly(2, 108 * E8, 104 * E8, 105 * E8)]))
    # First hour 110 - 90; second: high 108 against the close before, 100: 108 - 100 = 8, not 4.
    assert run.markets.market(0)["ranges"][:2] == [20.0, 8.0]


def test_minute_bars_gather_to_hours():
    rows = []
    for minute in range(1441, 1561):
        price = (100 + (minute % 10)) * E8
        words = {"a": price, "b": price + E8, "c": price - E8, "d": price, "e": 1, "f": MINUTE}
        rows.append(row(Kind.CANDLE, minute * MINUTE, flags=Flag.F_END | Flag.F_CLOSED, **words))
    run = engine()
    run.feed(np.concatenate(rows))
    market = run.markets.market(0)
    assert market["hours"] == 1
    assert market["ranges"][0] == 110.0 - 99.0  # of the first hour: 100 + 9 + 1, 100 + 0 - 1


def minute_bars(first, last):
    rows = []
    for minute in range(first, last):
        price = (100 + (minute % 10)) * E8
        words = {"a": price, "b": price + E8, "c": price - E8, "d": price, "e": 1, "f": MINUTE}
        rows.append(row(Kind.CANDLE, minute * MINUTE, flags=Flag.F_END | Flag.F_CLOSED, **words))
    return np.concatenate(rows)


@pytest.mark.parametrize(("first", "hours"), [(1441, 2), (1442, 1), (1500, 1), (1501, 1)])
def test_an_hour_that_was_not_seen_from_its_beginning_has_no_range(first, hours):
    # Of fifteen hours in which the market stands still but for the minutes, one that had two of them would be narrow.
    run = engine()
    run.feed(minute_bars(first, 1562))
    market = run.markets.market(0)
    assert (market["hours"], market["ranges"][0]) == (hours, 110.0 - 99.0)


def test_a_bar_of_an_hour_counts_whatever_was_seen_of_an_hour_before():
    run = engine()
    run.feed(np.concatenate([minute_bars(1442, 1450), hourly(26, 110 * E8, 90 * E8, 100 * E8)]))
    market = run.markets.market(0)
    assert (market["hours"], market["ranges"][0], market["hour_close"]) == (1, 20.0, 100.0)


@pytest.mark.parametrize(("first", "hours"), [(0.4, 1), (1, 0), (3_599, 0)])
def test_an_hour_of_touches_is_whole_from_its_first_second_on(first, hours):
    touches = [(START + round(at * SECOND), 10_000, 1, 10_002, 1) for at in (first, 3_599.5, 3_600)]
    assert observed(touches).market(0)["hours"] == hours


def book_at(second, mid_ticks, last):
    return depth(second * SECOND, last + 1, last + 1, last, [(mid_ticks - 1, 5)], [(mid_ticks + 1, 5)])


def test_the_one_second_variance_is_the_ewma_of_squared_returns():
    mids = [10_000, 10_010, 10_005, 10_020]
    rows, last = [snapshot(0, 10, [(1, 1)], [(10**6, 1)])], 10
    for second, middle in enumerate(mids, 1):
        clear = [(mids[second - 2] - 1, 0)] if second > 1 else []
        clear_ask = [(mids[second - 2] + 1, 0)] if second > 1 else []
        bids, asks = [*clear, (middle - 1, 5)], [*clear_ask, (middle + 1, 5)]
        rows.append(depth(second * SECOND, last + 1, last + 1, last, bids, asks))
        last += 1
    run = engine()
    run.feed(np.concatenate(rows))
    decay, expected = 0.5 ** (1 / 60), 0.0
    for before, after in itertools.pairwise(mids):
        expected = decay * expected + (1 - decay) * (after / before - 1) ** 2
    assert math.isclose(run.markets.market(0)["variance_1s"], expected, rel_tol=1e-12)


@pytest.mark.parametrize("pause", [2, 60, 3_600, 86_400])
def test_a_pause_of_seconds_weighs_as_much_as_they_would_have(pause):
    # So many returns of the same variance, one a second, or one of all of it at the end: the same.
    markets = observed([(100 * SECOND, 10_000, 1, 10_002, 1), ((100 + pause) * SECOND, 10_100, 1, 10_102, 1)])
    decay, expected = 0.5 ** (1 / 60), 0.0
    for _ in range(pause):
        expected = decay * expected + (1 - decay) * (10_101 / 10_001 - 1) ** 2 / pause
    assert math.isclose(markets.market(0)["variance_1s"], expected, rel_tol=1e-9)


def test_a_row_without_a_stamp_that_can_be_is_refused_at_every_door():
    bad = [trade(100 * SECOND, 100, 1), trade(-5, 100, 1)]
    with pytest.raises(ValueError, match="row 1 has no stamp that can be: -5 ns"):
        Markets(1).observe(BTC, np.concatenate(bad))
    run = engine()
    before = run.digest()
    for late in (-1, (1 << 62) + 1):
        with pytest.raises(ValueError, match="row 0 has no stamp that can be"):
            run.feed(trade(late, 100, 1))
    assert run.digest() == before
    run.feed(trade(1 << 62, 100, 1))


@pytest.mark.parametrize("late", [-1, (1 << 62) + 1])
def test_a_run_refuses_a_stamp_that_cannot_be_wherever_it_comes_from(tmp_path, late):
    run = engine()
    venue = Exchange(run.instruments, [Account(run.instruments, E8)], ["proxy"], 0.0, 0.0, 0)
    scanner = Scanner(run.instruments)
    driver = Driver(run, venue, scanner, JournalWriter(str(tmp_path / "journal")), 0, 0, SECOND)
    with pytest.raises(FeedError, match="row 8 of source 3 has no stamp that can be"):
        driver.feed_rows(np.concatenate([trade(5, 100, 1), trade(late, 100, 1)]), 3, 7)
    with pytest.raises(FeedError, match="line 4: without the clock's offset its stamp cannot be"):
        driver.feed_lines(b"100 {}\n", 0, 0, 1, 100 - late, 4)
    with pytest.raises(ValueError, match="RUN: no stamp that can be"):
        driver.control(Kind.RUN, late)


def test_the_volume_of_the_last_minute_forgets_what_is_older():
    run = engine()
    rows = [trade(second * SECOND, 100, 1) for second in range(100, 200)]
    run.feed(np.concatenate(rows))
    assert run.markets.market(0)["minute_lots"] == 60


@pytest.mark.parametrize("interval", [1, SECOND - 1, SECOND])
def test_a_bar_of_less_than_a_second_counts_as_one_of_a_second(interval):
    run = engine()
    bar = hourly(1, 100 * E8, 100 * E8, 100 * E8)
    bar["f"], bar["e"] = interval, 1_000
    run.feed(bar)
    asked = [run.gate.ask(0, 0, lots, now=HOUR) for lots in (3_000, 3_001)]  # 5 % of sixty times its volume
    assert (asked[0] == Reason.R3_ORDER_NOTIONAL, asked[1] == Reason.R3_ORDER_NOTIONAL) == (False, True)


def test_a_window_knows_returns_and_volatility_of_its_closes():
    window = BarWindow(8, 1.0)
    assert math.isnan(window.deviation())
    for close in (100.0, 110.0, 99.0):
        window.push(close)
    assert window.change(2) == 99.0 / 100.0 - 1.0
    assert math.isnan(window.change(3))
    expected = math.sqrt((0.5 * 0.1**2 + (99.0 / 110.0 - 1.0) ** 2) / 1.5)
    assert math.isclose(window.deviation(), expected, rel_tol=1e-12)


@pytest.mark.parametrize("close", [0.0, -1.0, math.nan, math.inf])
def test_a_close_that_is_no_price_never_enters_a_window(close):
    window = BarWindow(8, 1.0)
    window.push(100.0)
    before = window.state()
    with pytest.raises(ValueError, match="a close is a positive number"):
        window.push(close)
    assert window.state() == before


@given(closes=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), bars=st.integers(-1, 14))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_window_knows_the_mean_of_its_last_closes(closes, bars):
    window = BarWindow(12, 1.0)
    for close in closes:
        window.push(close)
    if 1 <= bars <= min(12, len(closes)):
        assert math.isclose(window.mean(bars), math.fsum(closes[-bars:]) / bars, rel_tol=1e-12)
    else:
        assert math.isnan(window.mean(bars))


# Streaming features. One tick is 0.1, so that what is compared in ticks is what is compared in prices.

BTC = Instruments([spec()])
CALM = settings(max_examples=120, deadline=None, derandomize=True)
START = 20_000 * 86_400 * SECOND  # a UTC midnight


def touch_row(touch):
    ts, bid, bid_lots, ask, ask_lots = touch
    return row(Kind.TOUCH, ts, b=bid, c=bid_lots, d=ask, e=ask_lots)


def trade_row(seen):
    ts, ticks, lots, sold = seen
    return row(Kind.TRADE, ts, flags=Flag.F_END | (Flag.F_SELL if sold else 0), b=ticks, c=lots)


def observed(touches=(), trades=(), vpin=None):
    """Return markets that have seen touches and trades in the order of their stamps."""
    markets = Markets(1)
    if vpin:
        markets.measure_vpin(0, *vpin)
    rows = [touch_row(touch) for touch in touches] + [trade_row(one) for one in trades]
    rows.sort(key=lambda one: int(one["ts"][0]))
    if rows:
        markets.observe(BTC, np.concatenate(rows))
    return markets


def near(found, expected, rel=1e-12, absolute=1e-12):
    return math.isclose(found, expected, rel_tol=rel, abs_tol=absolute)


# Waits of less than a second, of some, and of more than a window.
waits = st.one_of(st.integers(0, SECOND // 2), st.integers(0, 5 * SECOND), st.integers(50 * SECOND, 200 * SECOND))


@st.composite
def touch_series(draw):
    steps = draw(
        st.lists(
            st.tuples(waits, st.integers(-40, 40), st.integers(1, 9), st.integers(1, 99), st.integers(1, 99)),
            min_size=1,
            max_size=40,
        )
    )
    touches, now, bid = [], START + 7, 10_000
    for wait, move, spread, bid_lots, ask_lots in steps:
        now, bid = now + wait, bid + move
        touches.append((now, bid, bid_lots, bid + spread, ask_lots))
    return touches


@st.composite
def trade_series(draw, most=200):
    steps = draw(
        st.lists(st.tuples(waits, st.integers(1, 300), st.integers(1, 25), st.booleans()), min_size=1, max_size=most)
    )
    trades, now = [], START + 12 * HOUR
    for wait, ticks, lots, sold in steps:
        now += wait
        trades.append((now, ticks, lots, sold))
    return trades


@CALM
@given(touch_series(), waits)
def test_order_flow_and_the_minute_s_move_are_those_of_the_whole_history(touches, wait):
    markets, now = observed(touches), touches[-1][0] + wait
    before = markets.market(0)
    found = markets.features(0, now)
    assert found["order_flow"] == plain.order_flow(touches, now)
    assert near(found["minute_move"], plain.minute_move(touches, now))
    assert near(found["spread_bps"], plain.spread_bps(touches[-1]))
    assert markets.market(0) == before  # who asks changes nothing


@CALM
@given(trade_series(), waits)
def test_trade_flow_and_vwap_are_those_of_the_whole_history(trades, wait):
    now = trades[-1][0] + wait
    found = observed(trades=trades).features(0, now)
    assert near(found["trade_flow"], plain.trade_flow(trades, now))
    assert near(found["trade_flow_ewma"], plain.trade_flow_ewma(trades))
    assert near(found["vwap"], plain.vwap(plain.recent(trades, now)))
    assert near(found["day_vwap"], plain.day_vwap(trades))
    assert near(found["size_ratio"], plain.size_ratio(trades))


@CALM
@given(trade_series(40), st.integers(1, 60), st.integers(1, 6))
def test_vpin_is_that_of_every_lot_laid_out_in_buckets(trades, bucket, buckets):
    found = observed(trades=trades, vpin=(bucket, buckets)).features(0, trades[-1][0])
    assert near(found["vpin"], plain.vpin(trades, bucket, buckets))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 700), st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_the_median_spread_is_that_of_the_last_three_hundred_seconds_with_a_touch(count, seed, widest):
    draws = np.random.default_rng(seed).integers(1, [widest + 1, 400, 3], (count, 3)).tolist()
    touches, now = [], START
    for spread, bid, pause in draws:
        now += pause * SECOND // 2
        touches.append((now, 10_000 + bid, 1, 10_000 + bid + spread, 1))
    found = observed(touches).features(0, now)
    assert near(found["median_spread_bps"], plain.median_spread_bps(touches))
    known = plain.median_spread_bps(touches)
    assert near(found["spread_ratio"], plain.spread_bps(touches[-1]) / known if known else 0)


def steady(seconds, spread=2):
    return [(START + k * SECOND, 10_000, 5, 10_000 + spread, 5) for k in range(seconds)]


def test_a_spread_has_no_ratio_before_sixty_seconds_of_it_were_seen():
    assert observed(steady(59)).features(0, START + HOUR)["spread_ratio"] == 0
    assert observed(steady(60)).features(0, START + HOUR)["spread_ratio"] == 1


def test_a_spread_that_opens_between_two_samples_is_seen_at_once():
    opened = (START + 99 * SECOND + 5, 9_996, 5, 10_006, 5)
    assert near(observed([*steady(100), opened]).features(0, opened[0])["spread_ratio"], 5)


@pytest.mark.parametrize(("age", "move"), [(60, 0.01), (61, 0.0)])
def test_a_move_counts_for_sixty_seconds(age, move):
    start = (START, 9_999, 1, 10_001, 1)
    moved = (START + 1, 10_099, 1, 10_101, 1)
    now = START + age * SECOND
    assert near(observed([start, moved]).features(0, now)["minute_move"], move)
    assert near(observed([start, moved, (now, 10_099, 1, 10_101, 1)]).features(0, now)["minute_move"], move)


def test_a_jump_out_of_silence_is_a_move():
    touches = [(START, 9_999, 1, 10_001, 1), (START + HOUR, 9_499, 1, 9_501, 1)]
    assert near(observed(touches).features(0, START + HOUR)["minute_move"], 0.05)


def test_one_minute_candles_state_the_minute_s_move():
    def candle(minute, low, close, interval=MINUTE):
        words = {"a": close, "b": 100 * E8, "c": low, "d": close, "e": 1, "f": interval}
        return row(Kind.CANDLE, START + minute * MINUTE, flags=Flag.F_END | Flag.F_CLOSED, **words)

    markets = Markets(1)
    markets.observe(BTC, np.concatenate([candle(1, 100 * E8, 100 * E8), candle(2, 80 * E8, 96 * E8)]))
    assert near(markets.features(0, START + 2 * MINUTE)["minute_move"], 96 / 80 - 1)
    longer = Markets(1)
    longer.observe(BTC, candle(60, 80 * E8, 96 * E8, HOUR))
    assert longer.features(0, START + HOUR)["minute_move"] == 0  # an hour says nothing of a minute


def test_candles_of_a_day_have_a_vwap_of_their_typical_prices():
    def candle(minute, high, low, close, lots):
        words = {"a": close, "b": high * E8, "c": low * E8, "d": close * E8, "e": lots, "f": MINUTE}
        return row(Kind.CANDLE, START + minute * MINUTE, flags=Flag.F_END | Flag.F_CLOSED, **words)

    bars = [candle(0, 900, 900, 900, 7), candle(1, 110, 100, 105, 3), candle(2, 130, 120, 125, 1)]
    markets = Markets(1)
    markets.observe(BTC, np.concatenate(bars))
    # The first bar closes at midnight: it is yesterday's. (3 * 105 + 125) / 4, a tenth of it a tick.
    assert near(markets.features(0, START + HOUR)["day_vwap"], 1_100)


def test_nothing_is_known_of_a_market_that_nobody_has_seen():
    found = Markets(1).features(0, START)
    assert found.pop("vpin") == -1
    assert set(found.values()) == {0}


def test_a_side_that_vanishes_ends_the_order_flow_until_there_are_two_again():
    touches = [(START, 100, 5, 101, 5), (START + 1, 0, 0, 101, 5), (START + 2, 100, 9, 101, 5)]
    assert observed(touches).features(0, START + 3)["order_flow"] == 0
    assert observed([*touches, (START + 3, 100, 11, 101, 5)]).features(0, START + 3)["order_flow"] == 2


def fill_row(ts, ticks, lots, sold):
    return row(Kind.FILL, ts, flags=Flag.F_END | (Flag.F_SELL if sold else 0), c=ticks, d=lots)


def test_own_fills_state_the_spread_that_they_paid():
    markets = observed([(START, 9_999, 1, 10_001, 1)])
    markets.observe(BTC, fill_row(START, 10_001, 4, False))
    assert near(markets.features(0, START)["effective_spread_bps"], 2)  # a tick of 10,000 away, twice
    markets.observe(BTC, fill_row(START, 9_998, 1, True))
    assert near(markets.features(0, START)["effective_spread_bps"], (0.95 * 4 * 2 + 1 * 4) / (0.95 * 4 + 1))
    earned = observed([(START, 9_999, 1, 10_001, 1)])
    earned.observe(BTC, fill_row(START, 9_999, 4, False))
    assert near(earned.features(0, START)["effective_spread_bps"], -2)


def test_a_large_order_is_a_multiple_of_the_usual_size():
    trades = [(START + k, 100, 2, False) for k in range(64)]
    assert observed(trades=trades).features(0, START)["size_ratio"] == 0
    assert observed(trades=[*trades, (START + 99, 100, 50, True)]).features(0, START)["size_ratio"] == 25


def test_a_trade_of_many_buckets_costs_no_more_than_the_ring():
    trades = [(START, 100, 3, True), (START, 100, 10**14, False), (START, 100, 5, True)]
    found = observed(trades=trades, vpin=(7, 50)).features(0, START)
    # 10**14 + 3 lots leave 5 bought ones in a bucket of 7, which 2 of the sold ones fill.
    assert near(found["vpin"], (49 * 7 + 3) / 350)


@pytest.mark.parametrize("numbers", [(0,), (-1,), (2**50 + 1,), (1, 0), (1, 51)])
def test_absurd_buckets_are_refused(numbers):
    with pytest.raises(ValueError, match="VPIN takes"):
        Markets(1).measure_vpin(0, *numbers)


@pytest.mark.parametrize("ask", ["market", "features", "measure_vpin"])
def test_a_symbol_that_is_not_there_is_an_error(ask):
    with pytest.raises(IndexError):
        getattr(Markets(1), ask)(1, *[1] * (ask != "market"))
    with pytest.raises(IndexError):
        Markets(1).observe(BTC, row(Kind.TOUCH, 0, 1))


# The book's best levels.

sides = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20)), max_size=8, unique_by=lambda level: level[0])


def ladder(bids, asks):
    """Return a book of two sides that do not cross, from the touch outwards."""
    return sorted(bids, reverse=True), sorted((ticks + 30, lots) for ticks, lots in asks)


@CALM
@given(sides, sides, sides, sides, st.integers(1, 10))
def test_what_the_best_levels_say_is_what_the_plain_twin_says(bids, asks, later_bids, later_asks, levels):
    before, after = ladder(bids, asks), ladder(later_bids, later_asks)
    assert book_flow(*before, *after, levels) == plain.book_flow(before, after, levels)
    assert near(book_imbalance(*before, levels), plain.imbalance(*before, levels))
    assert book_depth(before[0], levels) == sum(lots for _, lots in before[0][:levels])


@CALM
@given(sides, st.integers(-1, 200))
def test_walking_the_book_takes_lot_by_lot(side, lots):
    asks = sorted(side)
    average, bps = walk_book(asks, lots, 0.5)
    expected = plain.walk(asks, lots)
    assert (average, bps) == (0, -1) if expected is None else near(average, expected)
    assert expected is None or near(bps, (expected / 0.5 - 1) * 1e4)


def test_walking_the_book_has_no_answer_without_a_mid():
    assert walk_book([(5, 5)], 1, 0.0)[1] == -1


@pytest.mark.parametrize("side", [[(0, 1)], [(1, 0)], [(1, -1)], [(2**50 + 1, 1)], [(1, 1)] * 21])
def test_levels_that_are_none_are_refused(side):
    with pytest.raises(ValueError, match="level"):
        book_depth(side)


# Known answers.


@pytest.fixture
def known(shared):
    cases = json.loads((shared / "quant/known_answers.json").read_text())["cases"]
    return {case["id"]: case for case in cases}


def test_the_known_answers_of_microstructure(known):
    case = known["ofi-cks"]
    looks = enumerate(case["inputs"]["data"])
    quotes = [(START + k, round(10 * bid), bid_lots, round(10 * ask), lots) for k, (bid, bid_lots, ask, lots) in looks]
    assert observed(quotes).features(0, START)["order_flow"] == case["expected"]["ofi"]
    case = known["aggressor-flag"]
    trades = [(START, round(10 * price), lots, maker) for price, lots, maker in case["inputs"]["data"]]
    assert near(observed(trades=trades).features(0, START)["trade_flow"], case["expected"]["imbalance"])
    case = known["vpin-buckets"]
    inputs = case["inputs"]
    pairs = zip(inputs["bucket_buy"], inputs["bucket_sell"], strict=True)
    trades = [(START, 1, round(lots), sold) for pair in pairs for lots, sold in zip(pair, (False, True), strict=True)]
    found = observed(trades=trades, vpin=(inputs["V"], len(inputs["bucket_buy"]))).features(0, START)
    assert near(found["vpin"], case["expected"]["vpin"])
    case = known["weighted-mid"]
    book = case["inputs"]
    found = observed([(START, book["bid"], book["bid_qty"], book["ask"], book["ask_qty"])]).features(0, START)
    assert (found["mid"], found["microprice"]) == (case["expected"]["mid"], case["expected"]["wmid"])


def test_the_known_answer_of_a_walk_through_the_book(known):
    case = known["book-walk-vwap"]
    asks = [(round(10 * price), round(lots)) for price, lots in case["inputs"]["asks"]]
    average, bps = walk_book(asks, case["inputs"]["qty"], 5 * (case["inputs"]["bid"] + case["inputs"]["asks"][0][0]))
    assert near(average / 10, case["expected"]["avg_price"])
    assert near(bps, case["expected"]["slippage_bps"], rel=1e-9)


# Candles with their average price.


def test_a_bar_from_trades_knows_its_exact_vwap():
    made = builder()
    assert made.vwap(0) == 0
    made.feed(np.concatenate([trade(30 * SECOND, 10, 1), trade(61 * SECOND, 11, 3), trade(62 * SECOND, 15, 1)]))
    made.feed(trade(125 * SECOND, 99, 1))
    assert near(made.vwap(0), (3 * 11 + 15) / 4 * 0.1)
    made.feed(trade(185 * SECOND, 50, 1))
    made.feed(trade(245 * SECOND, 50, 1))
    assert near(made.vwap(0), 5.0)


# Longer candles from shorter ones.


def bar_row(ts, bar, symbol=0, interval=MINUTE, end=True):
    words = dict(zip("abcde", bar, strict=True)) | {"f": interval}
    return row(Kind.CANDLE, ts, symbol, flags=Flag.F_CLOSED | (Flag.F_END if end else 0), **words)


def bars_of(out, symbol, interval):
    mine = out[(out["symbol"] == symbol) & (out["f"] == interval)]
    return [(int(bar["ts"]), *(int(bar[word]) for word in "abcde")) for bar in mine]


@CALM
@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(0, 50), st.integers(0, 50), st.integers(0, 9)), max_size=80),
    st.integers(0, 1_439),
    st.sets(st.integers(0, 79), max_size=3),
)
def test_longer_candles_are_those_of_the_plain_twin(bars, first, missing):
    series = []
    for k, (base, up, down, lots) in enumerate(bars):
        if k not in missing:
            stamp = START + (first + k) * MINUTE
            series.append((stamp, base + 100, base + 100 + up, base + 100 - down, base + 100 - down // 2, lots))
    intervals = (5 * MINUTE, 15 * MINUTE, HOUR)
    gather = CandleAggregator(1, MINUTE, intervals)
    given_out = [(bar[0], gather.feed(bar_row(bar[0], bar[1:]))) for bar in series]
    for interval in intervals:
        expected = plain.longer(series, MINUTE, interval)
        found = [bar for _, out in given_out for bar in bars_of(out, 0, interval)]
        assert found == [bar[:6] for bar in expected]
        # Given with its last part and not later.
        assert all(bar[0] == ts for ts, out in given_out for bar in bars_of(out, 0, interval))
        assert near(gather.vwap(0, interval) * E8, expected[-1][6] if expected else 0)


def test_the_longer_bars_of_one_stamp_are_one_run_for_each_interval():
    gather, out = CandleAggregator(2, MINUTE, (2 * MINUTE, 4 * MINUTE)), []
    for minute in range(1, 5):
        for symbol in (0, 1):
            bar = bar_row(START + minute * MINUTE, (5, 6, 4, 5, 1), symbol, end=symbol == 1)
            out.append(gather.feed(bar))
    found = np.concatenate(out)
    runs = [(int(bar["f"]) // MINUTE, int(bar["symbol"])) for bar in found]
    assert runs == [(2, 0), (2, 1), (2, 0), (2, 1), (4, 0), (4, 1)]
    assert [bool(bar["flags"] & Flag.F_END) for bar in found] == [False, True] * 3
    assert [bool(bar["flags"] & Flag.F_CLOSED) for bar in found] == [True] * 6


def recorded(path, symbol, since, until):
    """Return (closes' stamps, open, high, low, close in 1e-8, whole coins of volume, quote volume or None)."""
    table = pl.read_parquet(path).filter(pl.col("symbol") == symbol, pl.col("ts_ms").is_between(since, until - 1))
    prices = [(table[name] * 1e8).round().cast(pl.Int64).to_list() for name in ("open", "high", "low", "close")]
    quote = table["quote_volume"].to_list() if "quote_volume" in table.columns else None
    return table["ts_ms"].to_list(), *prices, table["volume"].round().cast(pl.Int64).to_list(), quote


@pytest.mark.parametrize(("name", "length"), [("1h_2025_09_2026_03_top90", HOUR), ("1d_2024_2026_all", 24 * HOUR)])
def test_hours_and_days_from_recorded_minutes_are_those_that_another_recorder_saw(shared, name, length):
    since, until = 1_767_571_200_000, 1_767_571_200_000 + 20 * 86_400_000
    stamps, *columns, _ = recorded(shared / "data/klines/um_1m_2026_01.parquet", "1000PEPEUSDT", since, until)
    rows = np.zeros(len(stamps), EVENT_DTYPE)
    rows["kind"], rows["flags"], rows["f"] = int(Kind.CANDLE), int(Flag.F_CLOSED | Flag.F_END), MINUTE
    rows["ts"] = np.array(stamps) * 1_000_000 + MINUTE
    for word, column in zip("abcde", columns, strict=True):
        rows[word] = column
    gather = CandleAggregator(1, MINUTE, (length,))
    found, averages = [], []
    for part in np.split(rows, len(rows) * MINUTE // length):
        found += bars_of(gather.feed(part), 0, length)
        averages.append(gather.vwap(0, length))
    stamps, *columns, quote = recorded(shared / f"data/klines/um_{name}.parquet", "1000PEPEUSDT", since, until)
    expected = list(zip((stamp * 1_000_000 + length for stamp in stamps), *columns, strict=True))
    assert len(found) == 20 * 24 * HOUR // length
    assert found == expected
    # Typical prices of minutes against the exact turnover: half of them closer than a basis point.
    errors = [abs(a / (q / bar[5]) - 1) for a, q, bar in zip(averages, quote, found, strict=True)]
    assert np.median(errors) < 1e-4
    assert max(errors) < 4e-3  # the hour of a crash, of 12 % between its high and low


def test_a_bar_that_comes_twice_counts_once_and_other_rows_count_never():
    gather = CandleAggregator(1, MINUTE, (2 * MINUTE,))
    one, two = (bar_row(START + k * MINUTE, (5, 6, 4, 5, 1)) for k in (1, 2))
    forming = row(Kind.CANDLE, START + 2 * MINUTE, a=9, b=9, c=9, d=9, e=9, f=MINUTE)
    other = bar_row(START + 2 * MINUTE, (9, 9, 9, 9, 9), interval=2 * MINUTE)
    out = gather.feed(np.concatenate([one, one, forming, other, row(Kind.TRADE, START, b=9, c=9), two, two]))
    assert bars_of(out, 0, 2 * MINUTE) == [(START + 2 * MINUTE, 5, 6, 4, 5, 2)]


def test_the_state_of_the_bars_under_way_tells_two_histories_apart():
    one, two = (CandleAggregator(1, MINUTE, (HOUR,)) for _ in range(2))
    assert one.state() == two.state()
    one.feed(bar_row(START + MINUTE, (5, 6, 4, 5, 1)))
    assert one.state() != two.state()


@pytest.mark.parametrize(
    ("source", "intervals"),
    [
        (0, (MINUTE,)),
        (MINUTE, (MINUTE,)),
        (MINUTE, (7 * MINUTE,)),
        (MINUTE, (90 * SECOND,)),
        (MINUTE, (48 * HOUR,)),
        (7 * MINUTE, (HOUR,)),
        (MINUTE, (HOUR, 5 * MINUTE)),
        (MINUTE, ()),
        (MINUTE, (0,)),
    ],
)
def test_intervals_that_do_not_fit_into_one_another_are_refused(source, intervals):
    with pytest.raises(ValueError, match="interval"):
        CandleAggregator(1, source, intervals)


def test_a_candle_of_a_symbol_that_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        CandleAggregator(1, MINUTE, (HOUR,)).feed(bar_row(START, (5, 6, 4, 5, 1), symbol=1))


def outline(rows):
    return [
        (Kind(r["kind"]).name, (int(r["ts"]) - START) // MINUTE, int(r["symbol"]), bool(r["flags"] & Flag.F_END))
        for r in rows
    ]


def opened(minute, price, symbol=0):
    return row(Kind.CANDLE_OPEN, START + minute * MINUTE, symbol, a=price, f=MINUTE)


def test_a_longer_bar_opens_with_its_first_part_and_closes_with_its_last():
    gather = LongerCandles(1, MINUTE, 3 * MINUTE)
    given_out = []
    for minute in range(4):
        given_out.append(gather.feed(opened(minute, 10 + minute)))
        given_out.append(gather.feed(bar_row(START + (minute + 1) * MINUTE, (10 + minute, 20, 5, 12, 2))))
    assert [outline(out) for out in given_out] == [
        [("CANDLE_OPEN", 0, 0, True)],
        *[[]] * 4,
        [("CANDLE", 3, 0, True)],
        [("CANDLE_OPEN", 3, 0, True)],
        [],
    ]
    assert [int(given_out[k]["a"][0]) for k in (0, 5, 6)] == [10, 10, 13]
    assert {int(given_out[k]["f"][0]) for k in (0, 5, 6)} == {3 * MINUTE}


def test_a_longer_bar_whose_first_part_is_missing_has_no_open_and_no_close():
    gather = LongerCandles(1, MINUTE, 2 * MINUTE)
    late = [opened(1, 11), bar_row(START + 2 * MINUTE, (11, 12, 10, 11, 1))]
    assert len(gather.feed(np.concatenate(late))) == 0
    whole = [opened(2, 11), *(bar_row(START + m * MINUTE, (11, 12, 10, 11, 1)) for m in (3, 4))]
    assert outline(gather.feed(np.concatenate(whole))) == [("CANDLE_OPEN", 2, 0, True), ("CANDLE", 4, 0, True)]


def test_marks_come_before_the_longer_bars_of_their_stamp_and_end_it_when_there_are_none():
    gather, stream = LongerCandles(2, MINUTE, 2 * MINUTE), []
    for minute in (1, 2):
        ts = START + minute * MINUTE
        stream += [row(Kind.MARK_CANDLE, ts, symbol, flags=Flag.F_CLOSED, d=7, f=MINUTE) for symbol in (0, 1)]
        stream += [bar_row(ts, (5, 6, 4, 5, 1), symbol, end=symbol == 1) for symbol in (0, 1)]
    stream.append(row(Kind.MARK_CANDLE, START + 3 * MINUTE, 1, flags=Flag.F_CLOSED | Flag.F_END, d=7, f=MINUTE))
    assert outline(gather.feed(np.concatenate(stream))) == [
        ("MARK_CANDLE", 1, 0, False),
        ("MARK_CANDLE", 1, 1, True),
        ("MARK_CANDLE", 2, 0, False),
        ("MARK_CANDLE", 2, 1, False),
        ("CANDLE", 2, 0, False),
        ("CANDLE", 2, 1, True),
        ("MARK_CANDLE", 3, 1, True),
    ]


def test_rows_that_are_no_candles_pass_as_they_are():
    kinds = (Kind.FUNDING, Kind.FILTERS, Kind.STATUS, Kind.ASSET_INDEX)
    stream = np.concatenate([row(kind, START + MINUTE, 1, a=1, b=2, c=3) for kind in kinds])
    assert np.array_equal(LongerCandles(2, MINUTE, HOUR).feed(stream), stream)


@pytest.mark.parametrize("interval", [MINUTE, 90 * SECOND, 7 * MINUTE, 48 * HOUR])
def test_an_interval_of_which_no_candles_can_be_made_is_refused(interval):
    with pytest.raises(ValueError, match="interval"):
        LongerCandles(1, MINUTE, interval)


def test_a_row_of_a_symbol_that_is_not_there_is_an_error():
    for source in (LongerCandles(1, MINUTE, HOUR), builder()):
        with pytest.raises(IndexError):
            source.feed(row(Kind.FUNDING, START, 1))


def test_the_filters_of_the_day_pass_a_builder_of_candles_from_trades():
    filters = row(Kind.FILTERS, START, a=10, b=1, c=1, d=9, e=9)
    assert np.array_equal(builder().feed(filters), filters)
