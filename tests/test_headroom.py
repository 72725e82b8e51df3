"""Portfolio headroom: known answers of each limit, and what the slow layer makes of a run."""

import numpy as np
import pytest
from builders import E8, SIZING, limits, row, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader.models.headroom import EwmaCovariance, Limits, Portfolio, correlation_factor, headroom
from autotrader.research.slow import Headroom
from core_ext.engine import Engine
from core_ext.sizing import Factor
from core_ext.strategy import Strategy
from core_ext.types import Flag, Instruments, Kind, Reason

FAR = Limits(daily_var=10, daily_es=10, symbol=100, gross=100, net=100, liquidation_distance=0.01)
BRACKETS = [[(300_000.0, 0.004), (800_000.0, 0.005)]] * 2
HOUR = 3600 * 10**9


def portfolio(held=(0.0, 0.0), volatility=(0.02, 0.02), correlation=0.0, equity=10_000.0, **changes):
    deviation = np.array(volatility)
    covariance = np.outer(deviation, deviation) * np.array([[1, correlation], [correlation, 1]])
    held = np.array(held, float)
    fields = {
        "equity": equity,
        "held": held,
        "bought": held,
        "sold": held,
        "covariance": covariance,
        "observations": 1e9,
        "maintenances": np.zeros(2),
        "brackets": BRACKETS,
    }
    return Portfolio(**fields | changes)


def with_limit(**changes):
    return Limits(**{name: getattr(FAR, name) for name in FAR.__dataclass_fields__} | changes)


def test_a_flat_book_may_buy_what_its_value_at_risk_allows():
    buy, why, sell, _ = headroom(portfolio(), with_limit(daily_var=0.02))[0]
    assert buy == pytest.approx(0.02 * 10_000 / (1.6448536269514722 * 0.02))  # 6,079.57 USDT
    assert sell == pytest.approx(buy)
    assert why == Factor.VAR_HEADROOM


def test_expected_shortfall_binds_where_it_is_the_tighter():
    buy = headroom(portfolio(), with_limit(daily_var=0.02, daily_es=0.015))[0][0]
    assert buy == pytest.approx(0.015 * 10_000 / (2.3378027922014134 * 0.02))  # 3,208.14 USDT


def test_a_hedge_has_more_room_than_what_adds_to_the_risk():
    # 3,000 USDT of the first; the second moves with it: selling it hedges, buying it adds.
    book = portfolio(held=(3_000, 0), correlation=0.9)
    buy, _, sell, _ = headroom(book, with_limit(daily_var=0.02))[1]
    limit = 0.02 * 10_000 / 1.6448536269514722
    for sign, room in ((1, buy), (-1, sell)):
        after = np.array([3_000, sign * room])
        assert np.sqrt(after @ book.covariance @ after) == pytest.approx(limit)
    assert sell > 2 * buy


def test_a_book_above_its_limit_has_no_room():
    assert headroom(portfolio(held=(7_000, 0)), with_limit(daily_var=0.02))[1][0] == 0


def test_open_orders_count_on_their_own_side():
    book = portfolio(held=(1_000, 0), bought=np.array([1_800.0, 0]), sold=np.array([400.0, 0]))
    buy, why, sell, _ = headroom(book, with_limit(symbol=0.2))[0]
    assert (buy, why) == (pytest.approx(200), Factor.CONCENTRATION)
    assert sell == pytest.approx(2_400)


def test_gross_and_net_exposure_bind():
    book = portfolio(held=(5_000, -4_000))
    assert headroom(book, with_limit(gross=1.0))[0][0] == pytest.approx(1_000)
    assert headroom(book, with_limit(net=0.15))[0][0] == pytest.approx(500)
    assert headroom(book, with_limit(net=0.15))[1][2] == pytest.approx(2_500)


@pytest.mark.parametrize("sign", [1, -1])
def test_after_the_trade_the_liquidation_price_is_at_its_distance(sign):
    room = headroom(portfolio(maintenances=np.array([0.0, 50.0])), with_limit(liquidation_distance=0.15))[0]
    notional = room[0] if sign > 0 else room[2]
    # A mark that has moved by 15 % against it: what is left of the equity is all maintenance.
    assert 10_000 - 50 - 0.15 * notional == pytest.approx(0.004 * notional * (1 - sign * 0.15))


@pytest.mark.parametrize(("correlation", "factor"), [(0.4, 1.0), (0.5, 0.85), (0.6, 0.7), (0.8, 0.5), (0.9, 0.4)])
def test_the_correlation_factor_is_linear_through_its_points(correlation, factor):
    covariance = np.array([[1, correlation], [correlation, 1]])
    assert correlation_factor(covariance, np.array([0.0, 5.0]), 0, 1e12) == pytest.approx(factor, abs=1e-5)


def test_few_observations_make_the_factor_smaller():
    covariance = np.array([[1, 0.4], [0.4, 1]])
    held = np.array([0.0, 5.0])
    # tanh(atanh(0.4) + 1.645 / 10) = 0.52855: (0.6 - 0.52855) / 0.2 * 0.3 + 0.7
    assert correlation_factor(covariance, held, 0, 103) == pytest.approx(0.80717, abs=1e-5)
    assert correlation_factor(covariance, np.zeros(2), 0, 103) == 1.0


def test_the_covariance_is_the_weighted_mean_of_products():
    rows = np.array([[0.01, -0.02], [0.03, 0.01], [-0.02, 0.0]])
    estimate = EwmaCovariance(2.0)
    for returns in rows:
        estimate.add(returns)
    weights = 0.5 ** (np.array([2, 1, 0]) / 2)
    assert estimate.value() == pytest.approx((rows.T * weights) @ rows / weights.sum())
    assert estimate.observations == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_covariance_takes_no_nan_and_has_no_value_before_its_first_row():
    estimate = EwmaCovariance(2.0)
    with pytest.raises(ValueError, match="finite"):
        estimate.add(np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="at least one row"):
        estimate.value()


amounts = st.floats(-9_000, 9_000)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(held=st.tuples(amounts, amounts), correlation=st.floats(-0.95, 0.95), equity=st.floats(1, 1e6))
def test_filling_the_headroom_breaks_no_limit(held, correlation, equity):
    rules = Limits(daily_var=0.02, daily_es=0.015, symbol=0.5, gross=3.0, net=2.0, liquidation_distance=0.15)
    book = portfolio(held=held, correlation=correlation, equity=equity)
    for symbol, (buy, _, sell, _) in enumerate(headroom(book, rules)):
        for amount in (buy, -sell):
            after = np.array(held)
            after[symbol] += amount
            if amount == 0:
                continue
            deviation = np.sqrt(after @ book.covariance @ after)
            assert deviation * 1.6448536269514722 <= 0.02 * equity * (1 + 1e-9)
            assert deviation * 2.3378027922014134 <= 0.015 * equity * (1 + 1e-9)
            assert abs(after).sum() <= 3 * equity * (1 + 1e-9) or abs(after[symbol]) < abs(held[symbol])


# ---------------------------------------------------------------------------------- the slow layer


def machine(**changes):
    instruments = Instruments([spec(), spec("ETHUSDT", tick_e8=10**6)])
    rules = limits(headroom_ns=120 * 10**9, candle_stale=5.0, **changes)
    return Engine(instruments, Strategy(), rules, SIZING, 10_000 * E8, 1, ["proxy", "proxy"])


def bars(ts, prices, lots=10**6):
    rows = [
        row(Kind.CANDLE, ts, k, Flag.F_CLOSED, a=p * E8, b=p * E8, c=p * E8, d=p * E8, e=lots, f=HOUR)
        for k, p in enumerate(prices)
    ]
    rows[-1]["flags"] |= int(Flag.F_END)
    return np.concatenate(rows)


def after_bars(count):
    engine, model = machine(), Headroom(with_limit(daily_var=0.02, symbol=0.2), 24, 100)
    told = np.zeros(0)
    for k in range(count):
        engine.feed(bars((k + 1) * HOUR, (50_000 + 100 * (k % 3), 2_000 + 7 * (k % 2))))
        told = model(engine)
    return engine, told


def test_nothing_is_said_before_twenty_returns_and_entries_are_refused():
    engine, told = after_bars(20)
    assert len(told) == 0
    assert engine.gate.ask(0, 0, 1, now=20 * HOUR) == Reason.HEADROOM_STALE


def test_headroom_goes_through_the_stream_and_bounds_entries():
    engine, told = after_bars(40)
    assert told["kind"].tolist() == [Kind.HEADROOM] * 2
    told["ts"] = 40 * HOUR
    engine.feed(told)
    lots = int(told["a"][0])
    # 20 % of 10,000 USDT at 50,000: 40 lots of 0.001.
    assert lots == 40
    assert engine.gate.ask(0, 0, lots + 1, now=40 * HOUR, hold=False) != Reason.APPROVED
    assert engine.gate.ask(0, 0, 30, now=40 * HOUR) == Reason.APPROVED
    assert engine.gate.watching(0)["headroom"] == [lots - 30, int(told["b"][0])]


def test_headroom_older_than_two_candles_admits_nothing():
    engine, told = after_bars(40)
    told["ts"] = 40 * HOUR
    engine.feed(told)
    assert engine.gate.ask(0, 0, 2, now=42 * HOUR, hold=False) == Reason.APPROVED
    assert engine.gate.ask(0, 0, 2, now=42 * HOUR + 1, hold=False) == Reason.HEADROOM_STALE
