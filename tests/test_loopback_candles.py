"""What the exchange on loopback makes of trades: aggregates, candles, statistics of a day."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loopback_market import BUY, MINUTE, MS, SECOND, SELL, T0, Listeners, World, facts

from autotrader.adapters.loopback.candles import INTERVALS, MOST_TRADES, Candles, Ring, Tape, span

MINUTE_MS = 60_000


def tape(*streams):
    hub = Listeners(*streams)
    return Tape(facts(), hub), hub


def trade(one, ms, ticks, lots, sells=False, number=None):
    number = one.count + 1 if number is None else number
    one.on_trade(ms, (number, ticks, lots, number, number, 0), sells, ms)


# ---------------------------------------------------------------------- trades and aggregates


def test_trades_of_one_side_and_price_within_a_tenth_of_a_second_are_one_aggregate():
    world = World("btcusdt@aggTrade", "btcusdt@trade")
    world.send(0, SELL, 10, 600_010)
    world.send(1, SELL, 10, 600_010)
    world.send(1, SELL, 10, 600_011)
    world.send(0, BUY, 10, 600_000)
    world.send(2, BUY, 25, 600_011)  # two trades at one price, one at the next
    world.wait(40 * MS)
    world.send(2, SELL, 4, 600_000)
    world.wait(60 * MS)
    trades = world.hub.of("btcusdt@trade")
    assert [(one["p"], one["q"], one["m"]) for one in trades] == [
        ("60001.00", "0.010", False), ("60001.00", "0.010", False), ("60001.10", "0.005", False),
        ("60000.00", "0.004", True),
    ]  # fmt: skip
    aggregates = world.hub.of("btcusdt@aggTrade")
    ids = [one["t"] for one in trades]
    assert [(one["a"], one["p"], one["q"], one["f"], one["l"], one["m"]) for one in aggregates] == [
        (1, "60001.00", "0.020", ids[0], ids[1], False),
        (2, "60001.10", "0.005", ids[2], ids[2], False),
        (3, "60000.00", "0.004", ids[3], ids[3], True),
    ]
    assert [one["E"] - T0 // MS for one in aggregates] == [0, 40, 100]
    assert all(one["nq"] == one["q"] for one in aggregates)
    body = [{key: one[key] for key in ("a", "p", "q", "nq", "f", "l", "T", "m")} for one in aggregates]
    assert world.market.agg_trades(0) == body


def test_the_same_price_in_the_next_window_is_another_aggregate():
    one, hub = tape("btcusdt@aggTrade")
    trade(one, 50, 600_000, 1)
    one.flush(100)
    one.flush(200)
    trade(one, 210, 600_000, 1)
    one.flush(300)
    assert [(agg["E"], agg["T"], agg["q"]) for agg in hub.of("btcusdt@aggTrade")] == [
        (100, 50, "0.001"), (300, 210, "0.001"),
    ]  # fmt: skip


def test_a_trade_of_the_insurance_fund_is_shown_and_counts_for_nothing():
    one, hub = tape()
    one.on_trade(5, (7, 600_000, 3, 7, 7, 1), False, 5)
    assert [payload["X"] for payload in hub.of("btcusdt@trade")] == ["INSURANCE_FUND"]
    assert (one.count, one.trades(10), one.candles.minute) == (0, [], None)


def test_an_aggregate_of_the_source_keeps_the_ids_of_its_trades():
    one, hub = tape()
    one.on_trade(5, (7, 600_000, 3, 101, 105, 0), False, 5)
    one.flush(100)
    assert [(agg["a"], agg["f"], agg["l"]) for agg in hub.of("btcusdt@aggTrade")] == [(1, 101, 105)]
    assert one.candles.minute[7] == 5
    assert one.trades(1)[0]["id"] == 105


def test_trades_are_found_by_their_ids_and_aggregates_by_their_stamps():
    one, _ = tape("nothing")
    for k in range(2_000):
        trade(one, k * 100, 600_000 + k % 2, 1, number=500 + k)
        one.flush(k * 100 + 99)
    assert [body["id"] for body in one.trades(3)] == [2497, 2498, 2499]
    assert [body["id"] for body in one.trades(3, 600)] == [600, 601, 602]
    assert one.trades(3, 10_000) == []
    assert [body["a"] for body in one.aggregates(1_990, None, None, 500)] == list(range(1_990, 2_001))
    assert [body["T"] for body in one.aggregates(None, 1_000, 1_400, 500)] == [1_000, 1_100, 1_200, 1_300, 1_400]
    assert [body["T"] for body in one.aggregates(None, None, 1_400, 2)] == [1_300, 1_400]
    body = one.trades(1)[0]
    assert (body["price"], body["quoteQty"], body["isBuyerMaker"]) == ("60000.10", "60.00", False)


@given(st.lists(st.integers(0, 5), max_size=200), st.integers(1, 9))
def test_a_ring_keeps_the_youngest(steps, most):
    ring, kept, at = Ring(2, most), [], 0
    for step in steps:
        at += step
        kept.append((at, -at))
        ring.append(kept[-1])
        assert most <= len(ring) <= most + most // 4 or len(ring) == len(kept)
    kept = kept[len(kept) - len(ring) :]
    assert ring.rows(0, len(ring)) == kept
    for start, end in ((None, None), (3, None), (None, 7), (3, 7), (8, 2)):
        inside = [one for one in kept if (start is None or one[0] >= start) and (end is None or one[0] <= end)]
        assert ring.select(start, end, 3) == (inside[-3:] if start is None else inside[:3])


def test_what_is_kept_of_trades_is_bounded():
    one, _ = tape("nothing")
    for k in range(2 * MOST_TRADES):
        trade(one, k, 600_000 + k % 2, 1)
    assert MOST_TRADES <= len(one.trades(10**9)) <= MOST_TRADES * 5 // 4
    assert MOST_TRADES <= len(one.aggregates(None, None, None, 10**9)) <= MOST_TRADES * 5 // 4


# ---------------------------------------------------------------------- candles


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals_begin_where_the_exchanges_do(interval):
    at = T0 // MS + 12_345
    begin, end = span(interval, at)
    assert begin <= at < end
    assert span(interval, begin) == (begin, end)
    assert span(interval, end)[0] == end
    first = datetime.fromtimestamp(begin / 1000, UTC)
    if interval == "1w":
        assert (first.weekday(), first.hour) == (0, 0)
    if interval == "1M":
        assert (first.day, first.hour) == (1, 0)
    assert end - begin <= INTERVALS[interval]


def slow_candles(trades, interval):
    """Return the candles of trades (ms, ticks, lots, sells), worked out from all of them at once."""
    found = {}
    for number, one in enumerate(trades, 1):
        found.setdefault(span(interval, one[0])[0], []).append((number, *one))
    return [
        [
            begin, group[0][2], max(one[2] for one in group), min(one[2] for one in group), group[-1][2],
            sum(one[3] for one in group), sum(one[2] * one[3] for one in group), len(group),
            sum(one[3] for one in group if not one[4]), sum(one[2] * one[3] for one in group if not one[4]),
            group[0][0], group[-1][0],
        ]
        for begin, group in sorted(found.items())
    ]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([5_000, 100_000, 3_000_000]))
def test_candles_are_what_all_the_trades_of_their_time_come_to(seed, pause_ms):
    dice, now, trades = Random(seed), T0 // MS, []
    one, _ = tape("nothing")
    for _ in range(150):
        later = now + dice.randrange(pause_ms)
        for boundary in range(now - now % MINUTE_MS + MINUTE_MS, later + 1, MINUTE_MS):
            one.close(boundary)
        now = later
        trades.append((now, 600_000 + dice.randrange(-50, 50), dice.randrange(1, 90), dice.random() < 0.5))
        trade(one, *trades[-1])
    for interval in INTERVALS:
        assert [list(candle) for candle in one.candles.select(interval, None, None, 1500)] == slow_candles(
            trades, interval
        )


def test_a_candle_without_trades_is_left_out():
    world = World("nothing")
    world.quote()
    for k in range(6):
        if k not in (2, 3):
            world.send(2, BUY, 1, 600_010)
        world.wait(MINUTE)
    opens = [(candle[0] - T0 // MS) // MINUTE_MS for candle in world.market.klines("klines", 0, "1m")]
    assert opens == [0, 1, 4, 5]
    start = T0 // MS + MINUTE_MS
    assert [one[0] for one in world.market.klines("klines", 0, "1m", start, None, 2)] == [start, start + 3 * MINUTE_MS]
    assert [one[0] for one in world.market.klines("klines", 0, "1m", None, start, 1)] == [start]


def test_a_candle_is_an_array_of_twelve():
    world = World("nothing")
    world.quote()
    world.send(2, BUY, 30, 600_010)
    world.send(2, SELL, 10, 600_000)
    (candle,) = world.market.klines("klines", 0, "5m")
    assert candle == [
        T0 // MS, "60001.00", "60001.00", "60000.00", "60000.00", "0.040", T0 // MS + 299_999, "2400.03000", 2,
        "0.030", "1800.03000", "0",
    ]  # fmt: skip
    assert world.market.klines("continuous", 0, "5m") == [candle]


def test_a_candle_stream_speaks_when_something_changed_and_once_at_the_close():
    world = World("btcusdt@kline_1m", "btcusdt@kline_5m", "btcusdt_perpetual@continuousKline_1m")
    world.quote()
    world.wait(59_900 * MS)
    world.send(2, BUY, 30, 600_010)
    world.wait(50 * MS)
    assert world.hub.heard == []
    world.wait(50 * MS)
    world.wait(4 * 60 * SECOND)
    minute, five = world.hub.of("btcusdt@kline_1m"), world.hub.of("btcusdt@kline_5m")
    assert [(one["E"] - T0 // MS, one["k"]["x"]) for one in minute] == [(60_000, True)]
    assert [(one["E"] - T0 // MS, one["k"]["x"]) for one in five] == [(60_000, False), (300_000, True)]
    bar = five[-1]["k"]
    assert (bar["t"], bar["T"], bar["i"], bar["n"], bar["v"], bar["V"]) == (
        T0 // MS, T0 // MS + 299_999, "5m", 1, "0.030", "0.030",
    )  # fmt: skip
    (continuous,) = world.hub.of("btcusdt_perpetual@continuousKline_1m")
    assert continuous["k"] == {key: value for key, value in minute[0]["k"].items() if key != "s"}


def test_a_candle_stream_follows_each_quarter_of_a_second():
    world = World("btcusdt@kline_1h")
    world.quote()
    for _ in range(10):
        world.send(2, BUY, 1, 600_010)
        world.wait(100 * MS)
    heard = world.hub.of("btcusdt@kline_1h")
    assert [one["E"] - T0 // MS for one in heard] == [250, 500, 750, 1000]
    assert [one["k"]["n"] for one in heard] == [3, 5, 8, 10]


def test_minutes_are_kept_a_week():
    candles = Candles()
    for k in range(9 * 24 * 60):
        candles.sample(k * MINUTE_MS, k)
        candles.close((k + 1) * MINUTE_MS)
    assert 7 * 24 * 60 <= len(candles.ring("1m")) <= 7 * 24 * 60 * 5 // 4
    days = candles.select("1d", None, None, 1500)
    assert [(one[0], one[1], one[4], one[5]) for one in days] == [
        (day * 86_400_000, day * 1440, day * 1440 + 1439, 1440) for day in range(9)
    ]


# ---------------------------------------------------------------------- the day


def test_the_statistics_of_a_day_roll_with_the_minute():
    world = World("nothing")
    world.quote()
    world.send(2, BUY, 30, 600_010)
    world.wait(MINUTE)
    world.send(2, SELL, 10, 600_000)
    day = world.market.ticker_24h(0)
    assert (day["openPrice"], day["lastPrice"], day["volume"], day["count"]) == ("60001.00", "60000.00", "0.040", 2)
    assert (day["priceChange"], day["priceChangePercent"], day["lastQty"]) == ("-1.00", "-0.002", "0.010")
    assert (day["weightedAvgPrice"], day["quoteVolume"]) == ("60000.75", "2400.03")
    world.now += 24 * 60 * MINUTE - MINUTE
    world.market.advance(world.now)
    day = world.market.ticker_24h(0)
    assert (day["openPrice"], day["volume"], day["count"]) == ("60000.00", "0.010", 1)
    assert day["openTime"] == T0 // MS + MINUTE_MS
    world.wait(MINUTE)
    day = world.market.ticker_24h(0)
    assert (day["openPrice"], day["lastPrice"], day["volume"], day["firstId"]) == ("60000.00", "60000.00", "0.000", -1)


def test_an_array_of_tickers_holds_what_has_changed():
    world = World("!ticker@arr", "!miniTicker@arr")
    world.quote(0)
    world.quote(1)
    world.send(2, BUY, 1, 600_010, 1)
    world.wait(SECOND)
    world.send(2, BUY, 1, 600_010, 0)
    world.wait(5 * SECOND)
    for stream in ("!ticker@arr", "!miniTicker@arr"):
        assert [[one["s"] for one in heard] for heard in world.hub.of(stream)] == [["ETHUSDT"], ["BTCUSDT"]]
    full, mini = world.hub.of("!ticker@arr")[0][0], world.hub.of("!miniTicker@arr")[0][0]
    assert {key: full[key] for key in mini if key != "e"} == {key: mini[key] for key in mini if key != "e"}


def test_before_the_first_trade_the_price_is_the_mark():
    world = World("nothing")
    assert world.market.ticker_price(0)["price"] == "60000.00"
    assert world.market.ticker_24h(0)["count"] == 0
    assert world.market.trades(0) == world.market.klines("klines", 0, "1m") == []
