"""Portfolio headroom: known answers of each limit, the plain twin, and what the gate has of it in a run."""

from functools import cache
from math import atanh, floor, sqrt, tanh

import numpy as np
import pytest
from builders import E8, HISTORY, SIZING, configuration, limits, row, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import headroom as plain

from autotrader.config import load
from autotrader.research.replay import Session, verify
from autotrader.research.stress import STAND_ASIDE
from autotrader.run import wiring
from core_ext.engine import Engine
from core_ext.headroom import Headroom
from core_ext.journal import read_journal
from core_ext.sizing import Factor
from core_ext.strategy import Strategy
from core_ext.types import Flag, Instruments, Kind, Reason

FAR = {"daily_var": 10, "daily_es": 10, "symbol": 100, "gross": 100, "net": 100, "liquidation_distance": 0.01}
TIGHT = {"daily_var": 0.02, "daily_es": 0.015, "symbol": 0.5, "gross": 3, "net": 2, "liquidation_distance": 0.15}
HOUR = 3600 * 10**9
MINUTE = 60 * 10**9
NAMES = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "SUIUSDT")
MANY = 2_000  # pairs of returns


@cache
def instruments(count=2):
    return Instruments([spec(name, tick_e8=10**7 // 10**k) for k, name in enumerate(NAMES[:count])])


def model(count=2, asked_a_day=1, half_life=1e12, **changes):
    return Headroom(instruments(count), asked_a_day=asked_a_day, half_life=half_life, **FAR | changes)


def informed(volatility=(0.02, 0.02), correlation=0.0, pairs=MANY, **changes):
    # Two returns whose products have just this mean, again and again: so many observations, of equal weight.
    found = model(**changes)
    together, apart = sqrt(1 + correlation), sqrt(1 - correlation)
    for _ in range(pairs):
        found.add([volatility[0] * together, volatility[1] * together])
        found.add([volatility[0] * apart, -volatility[1] * apart])
    return found


def rooms(found, held=(0.0, 0.0), bought=None, sold=None, equity=10_000.0, maintenances=(0.0, 0.0)):
    return found.rooms(equity, held, bought or held, sold or held, maintenances)


def test_a_flat_book_may_buy_what_its_value_at_risk_allows():
    buy, why, sell, _ = rooms(informed(daily_var=0.02))[0]
    assert buy == pytest.approx(0.02 * 10_000 / (1.6448536269514722 * 0.02))  # 6,079.57 USDT
    assert sell == buy
    assert why == Factor.VAR_HEADROOM


def test_expected_shortfall_binds_where_it_is_the_tighter():
    buy = rooms(informed(daily_var=0.02, daily_es=0.015))[0][0]
    assert buy == pytest.approx(0.015 * 10_000 / (2.3378027922014134 * 0.02))  # 3,208.14 USDT


def test_a_hedge_has_more_room_than_what_adds_to_the_risk():
    # 3,000 USDT of the first; the second moves with it: selling it hedges, buying it adds.
    book = informed(correlation=0.9, daily_var=0.02)
    buy, _, sell, _ = rooms(book, held=(3_000, 0))[1]
    limit = 0.02 * 10_000 / 1.6448536269514722
    for sign, more in ((1, buy), (-1, sell)):
        after = np.array([3_000, sign * more])
        assert sqrt(after @ book.covariance() @ after) == pytest.approx(limit)
    assert sell > 2 * buy


def test_a_book_above_its_limit_has_no_room():
    assert rooms(informed(daily_var=0.02), held=(7_000, 0))[1][0] == 0


def test_open_orders_count_on_their_own_side():
    book = informed(symbol=0.2, pairs=10)
    buy, why, sell, _ = rooms(book, held=(1_000, 0), bought=(1_800, 0), sold=(400, 0))[0]
    assert (buy, why) == (pytest.approx(200), Factor.CONCENTRATION)
    assert sell == pytest.approx(2_400)


def test_gross_and_net_exposure_bind():
    held = (5_000, -4_000)
    assert rooms(informed(gross=1.0, pairs=10), held)[0][0] == pytest.approx(1_000)
    assert rooms(informed(net=0.15, pairs=10), held)[0][0] == pytest.approx(500)
    assert rooms(informed(net=0.15, pairs=10), held)[1][2] == pytest.approx(2_500)


@pytest.mark.parametrize("sign", [1, -1])
def test_after_the_trade_the_liquidation_price_is_at_its_distance(sign):
    found = rooms(informed(pairs=10, liquidation_distance=0.15), maintenances=(0.0, 50.0))[0]
    notional = found[0] if sign > 0 else found[2]
    # A mark that has moved by 15 % against it: what is left of the equity is all maintenance.
    assert 10_000 - 50 - 0.15 * notional == pytest.approx(0.004 * notional * (1 - sign * 0.15))


def test_nothing_may_be_added_without_equity():
    assert rooms(informed(pairs=10), equity=0.0)[0] == (0.0, Factor.BAD_INPUT, 0.0, Factor.BAD_INPUT)
    assert rooms(informed(pairs=10), equity=float("nan"))[1] == (0.0, Factor.BAD_INPUT, 0.0, Factor.BAD_INPUT)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_correlation_factor_is_linear_on_the_upper_bound_of_the_correlation(correlation):
    upper = tanh(atanh(min(correlation, 1 - 1e-12)) + 1.6448536269514722 / sqrt(2 * MANY - 3))
    factor = np.interp(upper, [0.4, 0.6, 0.8, 1.0], [1.0, 0.7, 0.5, 0.3])
    book = informed(correlation=correlation, symbol=0.1)
    assert rooms(book, held=(0, 5))[0][0] == pytest.approx(0.1 * 10_000 * factor)
    assert rooms(book, held=(5, 0))[0][0] == pytest.approx(0.1 * 10_000 - 5)  # nothing else is held


def test_few_observations_make_the_factor_smaller():
    # tanh(atanh(0.4) + 1.645 / 10) = 0.52855: (0.6 - 0.52855) / 0.2 * 0.3 + 0.7
    book = model(symbol=0.1)
    for k in range(103):
        book.add([sqrt(1.4), sqrt(1.4)] if k % 10 < 7 else [sqrt(1.4), -sqrt(1.4)])
    mean = abs(book.covariance()[0, 1] / book.covariance()[0, 0])
    upper = tanh(atanh(mean) + 0.16448536269514722)
    assert book.observations == pytest.approx([103, 103])
    assert 0.4 < upper < 0.6
    assert rooms(book, held=(0, 5))[0][0] == pytest.approx(1_000 * (0.7 + (0.6 - upper) * 1.5))


def test_the_covariance_is_the_weighted_mean_of_products():
    returns = np.array([[0.01, -0.02], [0.03, 0.01], [-0.02, 0.0]])
    estimate = model(half_life=2.0, asked_a_day=24)
    for one in returns:
        estimate.add(one)
    weights = 0.5 ** (np.array([2, 1, 0]) / 2)
    assert estimate.covariance() == pytest.approx(24 * (returns.T * weights) @ returns / weights.sum())
    assert estimate.observations == pytest.approx([weights.sum() ** 2 / (weights**2).sum()] * 2)


def test_what_is_listed_later_has_its_own_mean_of_products():
    returns = [[0.01, np.nan], [0.03, np.nan], [-0.02, 0.04], [0.01, -0.03]]
    estimate = model(half_life=2.0, asked_a_day=24)
    for one in returns:
        estimate.add(one)
    assert estimate.covariance() == pytest.approx(np.array(plain.covariance(returns, 2.0, 24)))
    assert estimate.observations == pytest.approx([plain.observations(4, 2.0), plain.observations(2, 2.0)])


def test_a_covariance_takes_no_infinity_nor_a_hole_and_has_no_value_before_its_first_row():
    estimate = model()
    with pytest.raises(ValueError, match="finite"):
        estimate.add([0.1, np.inf])
    with pytest.raises(ValueError, match="3 returns of 2"):
        estimate.add([0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match="at least one return"):
        estimate.covariance()
    with pytest.raises(ValueError, match="whose returns are known"):
        rooms(estimate)


@pytest.mark.parametrize("changes", [{"gross": -1.0}, {"net": float("nan")}, {"half_life": 0.0}, {"asked_a_day": 0}])
def test_limits_that_are_none_are_refused(changes):
    with pytest.raises(ValueError, match="no limits of a portfolio"):
        model(**changes)


amounts = st.floats(-9_000, 9_000)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(held=st.tuples(amounts, amounts), correlation=st.sampled_from([-0.95, 0.0, 0.6, 0.95]), equity=st.floats(1, 1e6))
def test_filling_the_headroom_breaks_no_limit(held, correlation, equity):
    book = known(correlation)
    for symbol, (buy, _, sell, _) in enumerate(rooms(book, held, equity=equity)):
        for amount in (buy, -sell):
            after = np.array(held)
            after[symbol] += amount
            if amount == 0:
                continue
            deviation = sqrt(after @ book.covariance() @ after)
            assert deviation * 1.6448536269514722 <= 0.02 * equity * (1 + 1e-9)
            assert deviation * 2.3378027922014134 <= 0.015 * equity * (1 + 1e-9)
            assert abs(after).sum() <= 3 * equity * (1 + 1e-9) or abs(after[symbol]) < abs(held[symbol])


@cache
def known(correlation):
    return informed(correlation=correlation, pairs=100, **TIGHT)


# ---------------------------------------------------------------------------------- against the plain twin


def brackets(count):
    return [[(cap / E8, rate / E8) for _, cap, rate, _, _ in spec()["brackets"]]] * count


@pytest.mark.parametrize("seed", range(60))
def test_random_portfolios_have_the_rooms_of_the_plain_definition(seed):
    dice = np.random.default_rng(seed)
    count, half_life, often = int(dice.integers(1, 6)), float(dice.choice([5, 40, 1e5])), float(dice.choice([24, 1440]))
    rules = {name: value * dice.uniform(0.3, 3) for name, value in TIGHT.items()}
    mixed = dice.normal(size=(count, count)) * dice.uniform(1e-4, 1e-2)
    returns = dice.normal(size=(int(dice.integers(25, 80)), count)) @ mixed
    equity = float(10 ** dice.uniform(3, 6.5))
    shares = dice.normal(size=(3, count)) * (dice.random((3, count)) < 0.6) * dice.choice([0.05, 0.5])
    held = equity * shares[0]
    book = {
        "equity": equity,
        "held": held.tolist(),
        "bought": (held + equity * abs(shares[1])).tolist(),
        "sold": (held - equity * abs(shares[2])).tolist(),
        "maintenances": (0.004 * abs(held)).tolist(),
        "brackets": brackets(count),
    }
    found = model(count, often, half_life, **rules)
    for one in returns:
        found.add(one)
    matrix = plain.covariance(returns.tolist(), half_life, often)
    seen = plain.observations(len(returns), half_life)
    assert found.covariance() == pytest.approx(np.array(matrix), rel=1e-9)
    answers = found.rooms(*(book[name] for name in ("equity", "held", "bought", "sold", "maintenances")))
    for symbol, (buy, _, sell, _) in enumerate(answers):
        for amount, sign in ((buy, 1), (sell, -1)):
            twin = plain.room(rules, book, matrix, seen, symbol, sign)
            assert amount == pytest.approx(twin, rel=1e-7, abs=1e-7 * equity)


# ---------------------------------------------------------------------------------- what the gate has


def machine(count=2, **changes):
    rules = limits(**{"headroom_ns": 120 * 10**9, "candle_stale": 5.0} | changes)
    return Engine(instruments(count), Strategy(), rules, SIZING, 10_000 * E8, 1, ["proxy"] * count)


def bars(ts, prices, lots=10**6, interval=HOUR):
    e8 = [round(p * 100) * 10**6 for p in prices]
    rows = [row(Kind.CANDLE, ts, k, Flag.F_CLOSED, a=p, b=p, c=p, d=p, e=lots, f=interval) for k, p in enumerate(e8)]
    rows[-1]["flags"] |= int(Flag.F_END)
    return np.concatenate(rows)


class Run:
    """An engine on hourly bars whose headroom arrives a second after each."""

    def __init__(self, count=2, **changes):
        self.engine, self.now = machine(count), 0
        self.model = model(count, 24, 100, **changes)

    def bar(self, prices):
        """Feed the next bar and what the model says to it; return that."""
        self.now += HOUR
        self.engine.feed(bars(self.now, prices))
        told = self.model.ask(self.engine, self.now + 10**9, self.now + HOUR + 10**9).array()
        self.engine.feed(told)
        return told

    def gate(self, symbol=0):
        return self.engine.gate.watching(symbol)["headroom"]

    def portfolio(self):
        legs = [self.engine.account.position(k) for k in range(len(self.engine.instruments))]
        far = [self.engine.gate.watching(k)["net_e8"] for k in range(len(legs))]
        return {
            "equity": self.engine.account.equity() / E8,
            "held": [leg["value_e8"] / E8 for leg in legs],
            "bought": [buys / E8 for buys, _ in far],
            "sold": [sells / E8 for _, sells in far],
            "maintenances": [leg["maintenance_e8"] / E8 for leg in legs],
            "brackets": brackets(len(legs)),
        }


def after_bars(count):
    run, told = Run(daily_var=0.02, symbol=0.2), np.zeros(0)
    for k in range(count):
        told = run.bar((50_000 + 100 * (k % 3), 2_000 + 7 * (k % 2)))
    return run, told


def test_nothing_is_said_before_twenty_returns_and_entries_are_refused():
    run, told = after_bars(20)
    assert len(told) == 0
    assert run.engine.gate.ask(0, 0, 1, now=run.now) == Reason.HEADROOM_STALE


def test_an_instrument_that_is_listed_later_keeps_no_other_from_trading():
    run = Run(daily_var=0.02, symbol=0.2)
    told = [run.bar((50_000 + 100 * (k % 3),)) for k in range(40)]
    assert {int(symbol) for rows in told for symbol in rows["symbol"]} == {0}
    assert run.engine.gate.ask(0, 0, 30, now=run.now, hold=False) == Reason.APPROVED
    for k in range(20):
        assert run.engine.gate.ask(1, 0, 100, now=run.now, hold=False) != Reason.APPROVED
        run.bar((50_000 + 100 * (k % 3), 2_000 + 7 * (k % 2)))
    for k in range(3):
        run.bar((50_000 + k, 2_000 + k))
    assert run.engine.gate.ask(1, 0, 100, now=run.now, hold=False) == Reason.APPROVED


def test_headroom_goes_through_the_stream_and_bounds_entries():
    run, _ = after_bars(40)
    gate = run.engine.gate
    # 20 % of 10,000 USDT at 50,000: 40 lots of 0.001.
    lots, other = run.gate()
    assert lots == 40
    assert gate.ask(0, 0, lots + 1, now=run.now, hold=False) != Reason.APPROVED
    assert gate.ask(0, 0, 30, now=run.now) == Reason.APPROVED
    assert run.gate() == [lots - 30, other]


def test_headroom_older_than_two_candles_admits_nothing():
    run, _ = after_bars(40)
    told, gate = run.engine.gate.watching(0)["headroom_ts"], run.engine.gate
    assert told <= run.now + 10**9
    assert gate.ask(0, 0, 2, now=told + 2 * HOUR, hold=False) == Reason.APPROVED
    assert gate.ask(0, 0, 2, now=told + 2 * HOUR + 1, hold=False) == Reason.HEADROOM_STALE


def still(count=30):
    # Until both prices have stood still for long; then the returns are all the past's.
    run, _ = after_bars(count)
    for _ in range(4):
        run.bar((50_000, 2_000))
    while not len(run.bar((50_000, 2_000))):
        pass
    return run


def test_an_answer_that_the_gate_has_is_told_anew_only_before_it_is_stale():
    run = still()
    told = [len(run.bar((50_000, 2_000))) for _ in range(6)]
    assert told == [0, 2, 0, 2, 0, 2]


def test_a_room_that_shrinks_is_told_at_once():
    run = still()
    assert run.bar((52_000, 2_000))["symbol"].tolist() == [0]
    assert run.gate() == [38, 38]  # 2,000 USDT at 52 USDT a lot


def test_a_room_that_grows_is_told_at_once_and_by_less_it_is_not():
    run = still()
    before = run.gate(1)
    assert before == [993, 993]  # 1,000 lots of 2 USDT, less one in 128
    assert 1 not in run.bar((50_000, 1_995))["symbol"]  # 1,002 lots: 9 more than the gate has, one in 64 are 15
    run = still()
    assert 1 in run.bar((50_000, 1_980))["symbol"]  # 1,010 lots, 17 more
    assert run.gate(1) == [1_003, 1_003]


def test_what_an_entry_took_comes_back_when_nothing_of_it_is_left():
    run = still()
    run.engine.gate.tell(0, headroom=(10, 40), now=run.engine.gate.watching(0)["headroom_ts"])
    assert run.bar((50_000, 2_000))["symbol"].tolist() == [0]
    assert run.gate() == [40, 40]


def test_an_open_order_keeps_its_room_and_nothing_is_told():
    run = still()
    assert run.engine.gate.ask(0, 0, 30, now=run.now) == Reason.APPROVED
    assert len(run.bar((50_000, 2_000))) == 0
    assert run.gate() == [10, 40]


def test_a_run_on_a_book_is_told_every_answer():
    run = still()
    run.engine = machine()
    touch = [row(Kind.MARK, 1, k, a=price * E8, b=price * E8) for k, price in enumerate((50_000, 2_000))]
    run.engine.feed(np.concatenate(touch))
    for k in range(3):
        told = run.model.ask(run.engine, k, k + MINUTE).array()
        run.engine.feed(told)
        assert len(told) == 2


def test_rows_that_are_still_on_their_way_are_not_counted_on():
    run = still()
    run.bar((50_000, 2_000))
    later = [run.model.ask(run.engine, run.now + HOUR + k, run.now + 2 * HOUR + k).array() for k in range(3)]
    assert [len(told) for told in later] == [2, 2, 2]


@pytest.mark.parametrize("seed", range(8))
def test_the_gate_never_has_more_than_the_plain_definition_and_hardly_less(seed):
    dice = np.random.default_rng(seed)
    count = int(dice.integers(1, 6))
    rules = FAR | TIGHT | {"daily_var": float(dice.uniform(0.005, 0.05))}
    run = Run(count, **rules)
    run.engine = machine(count, **STAND_ASIDE)
    prices = 50_000 / 10.0 ** np.arange(count)
    marks, checked = [], 0
    for _ in range(80):
        prices = prices * (1 + dice.normal(size=count) * 0.004)
        if dice.random() < 0.3:
            trade(run, dice, int(dice.integers(count)))
        run.bar(prices)
        marks.append([run.engine.account.position(k)["mark_e8"] for k in range(count)])
        if len(marks) > 30:
            checked += agree(run, rules, marks)
    assert checked == 2 * 50 * count


def trade(run, dice, symbol):
    # A fill or an open order, up to a tenth of the equity.
    mark = run.engine.account.position(symbol)["mark_e8"]
    tick, lot = (run.engine.instruments.spec(symbol)[name] for name in ("tick_e8", "lot_e8"))
    if not mark:
        return
    lots = int(dice.uniform(-1_000, 1_000) / (mark / E8 * lot / E8))
    if dice.random() < 0.7:
        run.engine.account.fill(symbol, lots, mark // tick, 0)
    elif lots:
        run.engine.gate.ask(symbol, int(lots < 0), abs(lots), mark // tick, now=run.now)


def agree(run, rules, marks):
    returns = (np.array(marks[1:]) / np.array(marks[:-1]) - 1).tolist()
    matrix = plain.covariance(returns, 100, 24)
    seen, book = plain.observations(len(returns), 100), run.portfolio()
    for symbol in range(len(book["held"])):
        lot = marks[-1][symbol] / E8 * run.engine.instruments.spec(symbol)["lot_e8"] / E8
        for side, sign in enumerate((1, -1)):
            exact = plain.room(rules, book, matrix, seen, symbol, sign) / lot
            has = run.gate(symbol)[side]
            assert has <= floor(exact + 1e-6)
            assert has >= floor(exact - 1e-6) * (1 - 1 / 64)
    return 2 * len(book["held"])


# ---------------------------------------------------------------------------------- whole runs


def backtest(folder):
    config = load(configuration(folder / "c.toml", "trend", headroom='"on"'))
    return wiring.Run(config, HISTORY, lambda share, text: None)


def finished(run, journal):
    session = Session(run.plan, journal)
    for _ in session.run(run.source):
        pass
    return session.finish()


def test_a_run_with_headroom_is_the_same_twice_and_replays_bit_for_bit(tmp_path):
    first, second = (finished(backtest(tmp_path), tmp_path / name) for name in ("first", "second"))
    rows = np.concatenate([block.array() for block in read_journal(str(tmp_path / "first"))])
    assert np.count_nonzero(rows["kind"] == int(Kind.HEADROOM)) > 500
    assert np.count_nonzero(rows["kind"] == int(Kind.FILL)) > 10
    assert (first.journal_sha256, first.state_sha256) == (second.journal_sha256, second.state_sha256)
    run = backtest(tmp_path)
    *_, verifier = verify(run.plan, run.source, tmp_path / "first")
    assert verifier.difference is None
    assert verifier.compared > 10


def test_a_model_of_other_instruments_is_refused():
    with pytest.raises(ValueError, match="2 instruments, the engine has 3"):
        model(2).ask(machine(3), 1, 2)
