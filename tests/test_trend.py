"""The trend decides on closed candles only, and on nothing before its longest lookback is full."""

import itertools
import math
from dataclasses import replace

import numpy as np
from builders import E8, SIZING, limits, row, spec

from autotrader.strategies.trend import Trend, TrendParameters
from core_ext.engine import Engine
from core_ext.types import Flag, Instruments, Kind

HOUR = 3_600_000_000_000
PARAMETERS = TrendParameters(
    lookbacks=(2, 4),
    half_life=10.0,
    bars_per_year=8760.0,
    target_volatility=0.09,
    sharpe_mean=0.5,
    sharpe_sd=0.5,
    band=0.25,
    every=1,
    delay_ns=1_000_000_000,
)


def engine_with(trend):
    return Engine(Instruments([spec()]), trend, limits(), SIZING, 7_700 * E8, 1, ["proxy"])


def bars(closes):
    rows = [row(Kind.RUN)]
    for at, close in enumerate(closes, 1):
        price = round(close * E8)
        words = {"a": price, "b": price, "c": price, "d": price, "e": 10**6, "f": HOUR}
        rows.append(row(Kind.CANDLE, at * HOUR, flags=Flag.F_END | Flag.F_CLOSED, **words))
    return np.concatenate(rows)


def test_there_is_no_signal_before_the_longest_lookback_is_full():
    trend = Trend(PARAMETERS)
    engine = engine_with(trend)
    engine.feed(bars([100.0, 101.0, 102.0, 103.0]))
    assert math.isnan(trend.signal(0))


def test_a_steady_rise_is_a_full_long_signal_and_a_steady_fall_a_full_short_one():
    for closes, expected in (([100.0 * 1.01**k for k in range(6)], 1.0), ([100.0 * 0.99**k for k in range(6)], -1.0)):
        trend = Trend(PARAMETERS)
        engine_with(trend).feed(bars(closes))
        assert trend.signal(0) == expected


def test_a_share_makes_every_size_so_much_smaller():
    def lots(share):
        trend = Trend(replace(PARAMETERS, share=share))
        engine_with(trend).feed(bars([100.0 * 1.01**k for k in range(6)]))
        return trend._size(0, 1.0)[0]

    assert lots(1.0) > 1000
    assert lots(0.5) == lots(1.0) // 2
    assert lots(1e-6) == 0  # below the exchange's minimum: no order, never the minimum


def test_a_flat_market_has_no_signal():
    trend = Trend(PARAMETERS)
    engine_with(trend).feed(bars([100.0] * 8))
    assert math.isnan(trend.signal(0))


def test_the_signal_is_the_mean_of_returns_in_units_of_their_own_volatility():
    trend = Trend(PARAMETERS)
    closes = [100.0, 102.0, 101.0, 103.0, 102.5]
    engine_with(trend).feed(bars(closes))
    decay = 0.5 ** (1 / PARAMETERS.half_life)
    changes = [b / a - 1.0 for a, b in itertools.pairwise(closes)]
    weights = [decay ** (len(changes) - 1 - k) for k in range(len(changes))]
    deviation = math.sqrt(sum(w * c * c for w, c in zip(weights, changes, strict=True)) / sum(weights))
    expected = sum((closes[-1] / closes[-1 - n] - 1.0) / (deviation * math.sqrt(n)) for n in (2, 4)) / 2
    assert math.isclose(trend.signal(0), expected, rel_tol=1e-12)
