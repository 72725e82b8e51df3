"""Streaming features against plain twins: candles from trades, true range, volatility, minute volume."""

import itertools
import math

import numpy as np
import pytest
from builders import E8, SIZING, depth, limits, row, snapshot, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ext.engine import Engine
from core_ext.signal import BarWindow, CandleBuilder
from core_ext.strategy import Strategy
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind

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


def test_trades_outside_the_market_form_no_candle():
    out = builder().feed(np.concatenate([trade(30 * SECOND, 10, 1, market=False), trade(300 * SECOND, 11, 1)]))
    assert Kind.CANDLE not in out["kind"]


def test_marks_and_funding_pass_through_in_order():
    rows = np.concatenate([row(Kind.MARK, 5, a=3), row(Kind.FUNDING, 6, a=4), row(Kind.TOUCH, 7)])
    assert list(builder().feed(rows)["kind"]) == [int(Kind.MARK), int(Kind.FUNDING)]


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


def test_the_volume_of_the_last_minute_forgets_what_is_older():
    run = engine()
    rows = [trade(second * SECOND, 100, 1) for second in range(100, 200)]
    run.feed(np.concatenate(rows))
    assert run.markets.market(0)["minute_lots"] == 60


def test_a_window_knows_returns_and_volatility_of_its_closes():
    window = BarWindow(8, 1.0)
    assert math.isnan(window.deviation())
    for close in (100.0, 110.0, 99.0):
        window.push(close)
    assert window.change(2) == 99.0 / 100.0 - 1.0
    assert math.isnan(window.change(3))
    expected = math.sqrt((0.5 * 0.1**2 + (99.0 / 110.0 - 1.0) ** 2) / 1.5)
    assert math.isclose(window.deviation(), expected, rel_tol=1e-12)
