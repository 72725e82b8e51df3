"""Sizing against its plain twin, its known answers, and the answers that must be zero."""

import json
from decimal import Decimal
from math import inf, nan, sqrt
from random import Random

import pytest
from builders import E8, spec
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from plain import sizing as plain

from core_ext.sizing import Factor, size
from core_ext.types import Instruments

PRICE_E8 = 60_000 * E8
# A sound position at the peak of the equity, limited by Kelly; every other cap is wide.
SOUND = {
    "equity": 2.0**20,
    "peak": 2.0**20,
    "max_drawdown": 0.12,
    "signal": 1.0,
    "correlation_factor": 1.0,
    "volatility": 0.5,
    "sharpe_mean": 1.0,
    "sharpe_sd": 0.5,
    "kelly_fraction": 0.25,
    "target_volatility": 0.5,
    "atr": 500.0,
    "atr_risk": 0.5,
    "atr_stop": 2.0,
    "safe_atr": 3.0,
    "daily_var": 0.9,
    "book_var": 100.0,
    "book_correlation": 0.5,
    "symbol_cap": 1e9,
    "gross_room": 1e9,
    "margin_room": 1e9,
}
CAPS = [f for f in Factor if Factor.KELLY <= f <= Factor.MARGIN]
# One lot is worth one unit of 1e-8 at a price of 1: the size is the notional.
FINE = spec("FINEUSDT", tick_e8=E8, lot_e8=1, min_notional_e8=1, max_lots=10**17)


def sized(one=None, price_e8=PRICE_E8, **changes):
    """Return (lots, name of the limiting factor) of the sound position with changes."""
    lots, factor = size(Instruments([one or spec()]), 0, price_e8, **(SOUND | changes))
    return lots, Factor(factor).name


# Agreement with the twin.

SHARE = st.floats(0.001, 1.0)
INPUTS = st.fixed_dictionaries(
    {
        "equity": st.floats(100.0, 1e6),
        "above": st.floats(1.0, 1.3),
        "max_drawdown": st.floats(0.05, 0.5),
        "signal": st.floats(-1.2, 1.2),
        "correlation_factor": st.floats(0.0, 1.2),
        "volatility": st.floats(0.05, 3.0),
        "sharpe_mean": st.floats(-0.5, 4.0),
        "sharpe_sd": st.floats(0.0, 2.0),
        "kelly_fraction": SHARE,
        "target_volatility": SHARE,
        "atr": st.floats(1.0, 3_000.0),
        "atr_risk": st.floats(0.0005, 0.05),
        "atr_stop": st.floats(0.5, 5.0),
        "safe_atr": st.floats(0.5, 10.0),
        "daily_var": st.floats(0.001, 0.1),
        "book_var": st.floats(0.0, 2_000.0),
        "book_correlation": st.floats(-1.0, 1.0),
        "symbol_cap": st.floats(-1_000.0, 1e6),
        "gross_room": st.floats(-1_000.0, 1e6),
        "margin_room": st.floats(-1_000.0, 1e6),
    }
)
PRICES = st.integers(10 * E8, 150_000 * E8)
# Usual positions, in which every cap is sometimes the least; drawn evenly, which a strategy of floats does not do.
USUAL = {
    "equity": (1e4, 1e6),
    "above": (1.0, 1.1),
    "max_drawdown": (0.1, 0.5),
    "signal": (-1.0, 1.0),
    "correlation_factor": (0.5, 1.0),
    "volatility": (0.2, 1.5),
    "sharpe_mean": (0.5, 4.0),
    "sharpe_sd": (0.0, 0.7),
    "kelly_fraction": (0.1, 1.0),
    "target_volatility": (0.05, 1.0),
    "atr": (10.0, 1_500.0),
    "atr_risk": (0.002, 0.05),
    "atr_stop": (1.0, 4.0),
    "safe_atr": (1.0, 60.0),
    "daily_var": (0.005, 0.05),
    "book_var": (0.0, 5_000.0),
    "book_correlation": (-1.0, 1.0),
    "symbol_cap": (0.0, 1e6),
    "gross_room": (0.0, 1e6),
    "margin_room": (0.0, 1e6),
}


def usual(seed):
    """Return the inputs of a usual position."""
    random = Random(seed)
    return {name: random.uniform(*ends) for name, ends in USUAL.items()}


def with_peak(inputs):
    """Return the inputs with the peak that lies a factor above the equity."""
    rest = dict(inputs)
    return rest | {"peak": rest["equity"] * rest.pop("above")}


def agrees_with_the_twin(inputs, price_e8, one):
    """Return the limiting factor, after comparing it and the lots with the twin's."""
    # Doubles may differ in their last digits and money has 1e-8: the twin's lots a hair of notional below and above
    # must enclose the answer.
    x = with_peak(inputs)
    notional, names = plain.size(one, price_e8, x)
    lots, factor = size(Instruments([one]), 0, price_e8, **x)
    hair = 1e-12 * abs(notional) + 1e-8
    assert plain.lots_down(one, price_e8, notional - hair) <= lots <= plain.lots_down(one, price_e8, notional + hair)
    if lots == 0 and not names & {"BAD_INPUT", "NO_EDGE"}:
        names = {"BELOW_MINIMUM"}
    assert Factor(factor).name in names
    return Factor(factor).name


@settings(max_examples=200, deadline=None, derandomize=True)
@given(INPUTS, PRICES)
def test_lots_and_limiting_factor_are_those_of_the_twin(inputs, price_e8):
    agrees_with_the_twin(inputs, price_e8, spec())
    agrees_with_the_twin(inputs, price_e8, FINE)


def test_usual_positions_are_those_of_the_twin_whichever_cap_is_the_least():
    seen = {agrees_with_the_twin(usual(seed), 20_000 * E8 + seed, spec(min_notional_e8=E8)) for seed in range(1500)}
    assert seen >= {factor.name for factor in CAPS}


@pytest.mark.slow
def test_many_usual_positions_are_those_of_the_twin():
    for seed in range(100_000):
        agrees_with_the_twin(usual(seed), 20_000 * E8 + seed, FINE)


@pytest.mark.parametrize(
    ("factor", "changes"),
    [
        ("KELLY", {}),
        ("VOLATILITY_TARGET", {"target_volatility": 0.01}),
        ("ATR_RISK", {"atr_risk": 0.001}),
        ("LIQUIDATION_SAFE", {"safe_atr": 2_000.0}),
        ("VAR_HEADROOM", {"daily_var": 0.001}),
        ("CONCENTRATION", {"symbol_cap": 1_000.0}),
        ("GROSS", {"gross_room": 1_000.0}),
        ("MARGIN", {"margin_room": 1_000.0}),
    ],
)
def test_the_cap_that_set_the_size_is_named(factor, changes):
    lots, name = sized(**changes)
    assert (lots > 0, name) == (True, factor)


def test_a_sell_signal_is_sized_like_a_buy_signal():
    assert sized(signal=-0.4) == sized(signal=0.4)


def test_half_the_signal_gives_half_the_size():
    assert sized(FINE, E8, signal=0.5)[0] == pytest.approx(sized(FINE, E8)[0] / 2, rel=0, abs=1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(INPUTS, st.integers(0, 2**32).map(usual)), PRICES, st.floats(0.8, 1.0))
def test_less_equity_under_the_same_peak_never_gives_a_larger_position(inputs, price_e8, share):
    rich = with_peak(inputs)
    poor = rich | {"equity": rich["equity"] * share}
    instruments = Instruments([spec()])
    assert size(instruments, 0, price_e8, **poor)[0] <= size(instruments, 0, price_e8, **rich)[0]


@pytest.mark.parametrize(("drawdown", "share"), [(0.0, 1.0), (0.06, 0.532), (0.09, 0.275), (0.12, 0.0), (0.2, 0.0)])
def test_the_caps_taper_to_zero_at_the_drawdown_limit(drawdown, share):
    lots, _ = sized(FINE, E8, equity=SOUND["peak"] * (1 - drawdown), symbol_cap=1_000.0, atr=0.01)
    assert lots / (1_000 * E8) == pytest.approx(share, abs=5e-4)


# Known answers; each id is a case of the project's table of known answers.

KNOWN = {
    "grossman-zhou-exposure": (
        {"wealth": 95.0, "hwm": 100.0, "floor_fraction": 0.88, "kelly_f": 2.0},
        {"exposure": 0.1473684210526316},
    ),
    "grossman-zhou-at-floor": (
        {"wealth": 88, "hwm": 100, "floor_fraction": 0.88, "kelly_f": 2},
        {"exposure": 0.0},
    ),
    "kelly-binary-negative-edge": ({"p_win": 0.48, "net_odds": 1}, {"f_star": 0.0}),
    "kelly-continuous-thorp": (
        {"mu": 0.11, "r": 0.06, "sigma": 0.15},
        {"f_star": 2.2222222222222223, "growth": 0.11555555555555556, "sd_growth_1y": 0.3333333333333333},
    ),
    "kelly-shrink-1asset": ({"sharpe_per_period": 0.08, "n_obs": 365}, {"multiplier": 0.7002398081534772}),
    "sizing-cap-below-min-lot": (
        {"equity": 230, "cap_fraction": 0.2, "price": 60000, "lot": 0.001, "min_notional": 5},
        {"qty": 0.0, "status": "UNTRADABLE"},
    ),
    "sizing-lot-float-trap": ({"qty": 0.3, "lot": 0.1}, {"qty": 0.3}),
    "sizing-var-limit": (
        {"equity": 10000, "var_limit": 0.02, "component_corr": 0, "existing_var": 150, "sigma_daily": 0.05,
         "price": 60000, "z": 1.6448536269514722},
        {"qty": 0.026808376418353964},
    ),
    "sizing-zero-signal": ({"signal_strength": 0, "min_notional": 5, "equity": 1000}, {"qty": 0.0}),
}  # fmt: skip


def test_the_known_answers_are_those_of_the_recorded_table(shared):
    cases = json.loads((shared / "quant/known_answers.json").read_text())["cases"]
    table = {case["id"]: (case["inputs"], case["expected"]) for case in cases}
    assert {name: table[name] for name in KNOWN} == KNOWN


def kelly_only(mean, volatility, **changes):
    """Return the size in USDT of a position that Kelly alone limits, without doubt about the edge."""
    wide = {"sharpe_sd": 0.0, "kelly_fraction": 1.0, "target_volatility": 1e6, "atr": 0.01, "daily_var": 1e6}
    lots, _ = sized(FINE, E8, **(wide | {"sharpe_mean": mean, "volatility": volatility} | changes))
    return lots / E8


@pytest.mark.parametrize("name", ["grossman-zhou-exposure", "grossman-zhou-at-floor"])
def test_grossman_zhou_exposure(name):
    known, expected = KNOWN[name]
    money = {"equity": float(known["wealth"]), "peak": float(known["hwm"]), "atr_risk": 10.0, "safe_atr": 0.1}
    notional = kelly_only(0.5 * known["kelly_f"], 0.5, max_drawdown=1 - known["floor_fraction"], **money)
    # The size is whole units of 1e-8 USDT, rounded down.
    assert 0 <= expected["exposure"] * known["wealth"] - notional <= 1.01e-8


def test_kelly_of_a_known_edge_is_excess_return_over_variance():
    # At the peak the floor leaves a share of the equity equal to the drawdown limit.
    known, expected = KNOWN["kelly-continuous-thorp"]
    sharpe = (known["mu"] - known["r"]) / known["sigma"]
    notional = kelly_only(sharpe, known["sigma"], max_drawdown=0.25, atr_risk=10.0, safe_atr=0.1)
    assert notional / SOUND["equity"] / 0.25 == pytest.approx(expected["f_star"], rel=1e-12)


def test_kelly_of_an_estimated_edge_is_shrunk_by_its_uncertainty():
    known, expected = KNOWN["kelly-shrink-1asset"]
    mean, sd = known["sharpe_per_period"], 1 / sqrt(known["n_obs"])
    multiplier = kelly_only(mean, 0.5, sharpe_sd=sd) / kelly_only(mean, 0.5)
    assert multiplier == pytest.approx(expected["multiplier"], rel=1e-9)


def test_a_bet_that_loses_more_often_than_it_wins_is_not_made():
    known, expected = KNOWN["kelly-binary-negative-edge"]
    mean = known["p_win"] * known["net_odds"] - (1 - known["p_win"])
    assert sized(FINE, E8, sharpe_mean=mean / sqrt(1 - mean**2)) == (expected["f_star"], "NO_EDGE")


def test_a_signal_of_zero_is_no_trade_of_the_minimum_size():
    known, expected = KNOWN["sizing-zero-signal"]
    one = spec(min_notional_e8=known["min_notional"] * E8)
    money = {"equity": float(known["equity"]), "peak": float(known["equity"])}
    assert sized(one, signal=float(known["signal_strength"]), **money) == (expected["qty"], "NO_EDGE")


def test_a_cap_below_one_lot_trades_nothing():
    known, _ = KNOWN["sizing-cap-below-min-lot"]
    one = spec(min_notional_e8=known["min_notional"] * E8)
    money = {"equity": 230.0, "peak": 230.0, "symbol_cap": known["equity"] * known["cap_fraction"]}
    assert sized(one, known["price"] * E8, sharpe_mean=20.0, **money) == (0, "BELOW_MINIMUM")


def test_the_var_headroom_adds_in_squares():
    known, expected = KNOWN["sizing-var-limit"]
    one = spec(tick_e8=E8, lot_e8=1, min_notional_e8=1, max_lots=10**17)
    lots, factor = sized(
        one,
        known["price"] * E8,
        equity=float(known["equity"]),
        peak=float(known["equity"]),
        daily_var=known["var_limit"],
        book_var=float(known["existing_var"]),
        book_correlation=float(known["component_corr"]),
        volatility=known["sigma_daily"] * sqrt(365),
        target_volatility=10.0,
        sharpe_mean=10.0,
        max_drawdown=0.5,
        kelly_fraction=1.0,
    )
    # The quantity is whole units of 1e-8 BTC, rounded down.
    assert factor == "VAR_HEADROOM"
    assert 0 <= expected["qty"] * E8 - lots <= 1


# Exact lots.


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(1, 10**5), st.sampled_from([1, 2, 3, 7, 299_993, 600_001]), st.sampled_from(["0.1", "0.001", "1"]))
@example(3, 1, "0.1")
@example(58, 1, "0.1")
@example(11, 601_234, "0.001")
def test_a_notional_of_exactly_n_lots_gives_n_lots(n, ticks, lot):
    price = ticks * Decimal("0.1")
    one = spec(lot_e8=int(Decimal(lot) * E8), min_notional_e8=1, max_lots=10**9)
    notional = n * price * Decimal(lot)
    assume(notional < 10**5)
    assert sized(one, int(price * E8), symbol_cap=float(notional), atr=0.01)[0] == n


def test_three_tenths_are_three_lots_of_a_tenth():
    known, expected = KNOWN["sizing-lot-float-trap"]
    one = spec(lot_e8=10**7, min_notional_e8=1)
    lots, _ = sized(one, E8, symbol_cap=known["qty"], atr=0.01)
    assert lots * known["lot"] == pytest.approx(expected["qty"], abs=1e-12)


# Zero.


@pytest.mark.parametrize("mean", [0.0, -0.0, -1e-9, -3.0])
def test_a_zero_or_negative_edge_gives_no_position(mean):
    assert sized(sharpe_mean=mean) == (0, "NO_EDGE")


@pytest.mark.parametrize("mean", [1e-12, 1e-160, 1e-200, 5e-324])
@pytest.mark.parametrize("sd", [0.0, 0.5])
def test_a_vanishing_edge_gives_no_position(mean, sd):
    # The square of such an edge is zero in doubles; a cap that is no number must not be a cap of infinity.
    assert sized(sharpe_mean=mean, sharpe_sd=sd)[0] == 0


@pytest.mark.parametrize("signal", [0.0, -0.0])
def test_no_signal_gives_no_position(signal):
    assert sized(signal=signal) == (0, "NO_EDGE")


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("field", SOUND)
def test_a_number_that_is_not_finite_gives_no_position(field, value):
    assert sized(**{field: value}) == (0, "BAD_INPUT")


@pytest.mark.parametrize("field", plain.SCALES)
@pytest.mark.parametrize("value", [0.0, -0.1, -1.0])
def test_a_scale_that_is_not_positive_gives_no_position(field, value):
    assert sized(**{field: value}) == (0, "BAD_INPUT")


@pytest.mark.parametrize("field", plain.BUDGETS)
def test_a_negative_budget_gives_no_position(field):
    assert sized(**{field: -0.1}) == (0, "BAD_INPUT")


@pytest.mark.parametrize("value", [-1.5, 1.5])
def test_a_correlation_beyond_one_gives_no_position(value):
    assert sized(book_correlation=value) == (0, "BAD_INPUT")


@pytest.mark.parametrize("value", [1.0, 1.5])
def test_a_drawdown_limit_of_everything_gives_no_position(value):
    assert sized(max_drawdown=value) == (0, "BAD_INPUT")


def test_an_equity_above_its_peak_gives_no_position():
    assert sized(peak=SOUND["equity"] / 2) == (0, "BAD_INPUT")


@pytest.mark.parametrize("price_e8", [0, -1, -60_000 * E8])
def test_a_price_that_is_not_positive_gives_no_position(price_e8):
    assert sized(price_e8=price_e8) == (0, "BAD_INPUT")


@pytest.mark.parametrize(
    "field",
    ["kelly_fraction", "target_volatility", "atr_risk", "daily_var", "correlation_factor",
     "symbol_cap", "gross_room", "margin_room"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_no_budget_or_room_gives_no_position(field, value):
    assert sized(**{field: value})[0] == 0


@pytest.mark.parametrize("field", sorted(SOUND.keys() - {"sharpe_sd", "book_var", "book_correlation"}))
def test_an_input_that_is_missing_gives_no_position(field):
    known = {name: value for name, value in SOUND.items() if name != field}
    assert size(Instruments([spec()]), 0, PRICE_E8, **known)[0] == 0


def test_an_input_that_sizing_does_not_know_is_refused():
    with pytest.raises(TypeError, match="leverage"):
        sized(leverage=3.0)


@pytest.mark.parametrize(
    ("notional", "lots"),
    [(49.99, 0), (59.99, 0), (60.0, 1), (119.99, 1), (120.0, 2)],
)
def test_below_one_lot_the_answer_is_zero_and_never_one(notional, lots):
    # One lot is 60 USDT, the exchange's minimum 50.
    assert sized(symbol_cap=notional)[0] == lots


@pytest.mark.parametrize(("notional", "lots"), [(60.0, 0), (99.99, 0), (119.99, 0), (120.0, 2)])
def test_below_the_minimum_notional_the_answer_is_zero_and_never_the_minimum(notional, lots):
    # One lot is 60 USDT, the minimum 100: one lot is too little, and two are more than is allowed.
    expected = (lots, "CONCENTRATION" if lots else "BELOW_MINIMUM")
    assert sized(spec(min_notional_e8=100 * E8), symbol_cap=notional) == expected


@pytest.mark.parametrize(("notional", "lots"), [(240.0, 0), (299.9, 0), (300.0, 5)])
def test_below_the_minimum_quantity_the_answer_is_zero(notional, lots):
    assert sized(spec(min_lots=5), symbol_cap=notional)[0] == lots


def test_a_position_is_never_larger_than_the_exchange_takes():
    assert sized(spec(max_lots=7))[0] == 7


@pytest.mark.parametrize(("most", "lots"), [(1, 0), (2, 2), (3, 3)])
def test_the_most_that_the_exchange_takes_is_no_size_when_it_is_below_its_minimum(most, lots):
    # One lot is 60 USDT, the minimum 100.
    assert sized(spec(max_lots=most, min_notional_e8=100 * E8))[0] == lots


@pytest.mark.parametrize("lot", [1, 1_000, 10**6])
def test_lots_worth_more_than_64_bits_hold_are_counted_as_exactly_as_small_ones(lot):
    # A lot of a thousand coins at 100,000 USDT: its value in 1e-16 takes 87 bits.
    one = spec(lot_e8=lot * E8 // 1_000, min_notional_e8=1, max_lots=10**9)
    known = {"symbol_cap": 9e9, "equity": 1e10, "peak": 1e10, "sharpe_mean": 50.0, "kelly_fraction": 1.0,
             "gross_room": 1e10, "margin_room": 1e10, "atr": 1.0, "target_volatility": 5.0}  # fmt: skip
    assert sized(one, 100_000 * E8, **known) == (90_000_000 // lot, "CONCENTRATION")
