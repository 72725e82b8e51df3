"""Known answers of the performance measures: each number carries its derivation, or the file that states it."""

import doctest
import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.errors import OperatorError
from autotrader.models import performance
from autotrader.models.performance import DAY_NS, Fills, Transfers

HOUR_NS = DAY_NS // 24


def at_days(*days: float) -> np.ndarray:
    return np.array([int(day * DAY_NS) for day in days], dtype=np.int64)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def nanoseconds(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def fills(*rows: tuple[str, int, float, float, float, float]) -> Fills:
    symbols, times, prices, quantities, fees, after = zip(*rows, strict=True)
    return Fills(
        symbols, np.array(times, dtype=np.int64), array(*prices), array(*quantities), array(*fees), array(*after)
    )


# Daily returns


def test_daily_returns_go_from_close_to_close_and_start_from_the_starting_equity():
    # 1010 / 1000 - 1 = 0.01; 1005 / 1010 - 1 = -1/202.
    returns = performance.daily_returns(at_days(1, 2), array(1010, 1005), 1000.0)
    assert returns == pytest.approx([0.01, -1 / 202], abs=1e-15)


def test_only_the_last_observation_of_a_day_counts():
    returns = performance.daily_returns(at_days(0.1, 0.5, 0.9, 1.5), array(500, 2000, 1100, 1210), 1000.0)
    assert returns == pytest.approx([0.1, 0.1], abs=1e-15)


def test_the_observation_at_midnight_closes_the_day_before_it():
    returns = performance.daily_returns(at_days(0.5, 1.0, 1.5, 2.0), array(1, 110, 1, 99), 100.0)
    assert returns == pytest.approx([0.1, -0.1], abs=1e-15)


def test_an_opening_observation_at_midnight_makes_no_day_of_its_own():
    returns = performance.daily_returns(at_days(5.0, 5.5, 6.0), array(100, 105, 110), 100.0)
    assert returns == pytest.approx([0.1], abs=1e-15)


def test_a_day_without_an_observation_returns_zero():
    returns = performance.daily_returns(at_days(0.5, 3.5), array(110, 121), 100.0)
    assert returns == pytest.approx([0.1, 0.0, 0.0, 0.1], abs=1e-15)


def test_a_deposit_is_not_a_return():
    # 1000 -> 1100 is 10 %; then 900 arrive and 2200 is 10 % on 2000.
    moved = Transfers(at_days(1.25), array(900))
    curve = performance.daily_returns(at_days(0.5, 1.2, 1.25, 1.5), array(1100, 1100, 2000, 2200), 1000.0, moved)
    assert curve == pytest.approx([0.1, 0.1], abs=1e-15)


def test_a_withdrawal_is_neither_a_loss_nor_a_drawdown():
    moved = Transfers(at_days(1.5), array(-500))
    curve = performance.without_transfers(at_days(1, 1.5, 2), array(1000, 500, 550), 1000.0, moved)
    assert curve == pytest.approx([1000, 1000, 1100], abs=1e-9)
    assert performance.max_drawdown(curve, 1000.0) == 0.0


def test_a_curve_without_transfers_is_passed_on_bit_for_bit():
    equity = array(1000.1, 999.7, 1003.3)
    none_moved = Transfers(at_days(), array())
    assert performance.without_transfers(at_days(1, 2, 3), equity, 1000.0, none_moved) is equity


def test_returns_end_with_the_day_of_ruin():
    assert performance.daily_returns(at_days(0.5, 1.5, 2.5), array(50, -10, 20), 100.0).tolist() == [-0.5, -1.2]


def test_a_deposit_into_an_account_without_equity_makes_no_return():
    moved = Transfers(at_days(2.5), array(1000))
    curve = performance.without_transfers(at_days(0.5, 1.5, 2.5, 3.5), array(50, 0, 1000, 1100), 100.0, moved)
    assert curve.tolist() == [50.0, 0.0, 0.0, 0.0]


def test_no_observation_is_no_return():
    assert performance.daily_returns(at_days(), array(), 100.0).size == 0
    assert performance.monthly_returns(at_days(), array(), 100.0) == {}


# Ratios


def test_total_return_is_growth_on_the_starting_equity():
    assert performance.total_return(array(900, 1100), 1000.0) == pytest.approx(0.1, abs=1e-15)
    assert performance.total_return(array(), 1000.0) is None
    assert performance.total_return(array(10), 0.0) is None


def test_cagr_of_21_percent_in_two_years_is_10_percent():
    # 1.21 ** (365 / 730) = 1.1
    assert performance.cagr(0.21, 730 * DAY_NS) == pytest.approx(0.1, abs=1e-12)


def test_cagr_uses_elapsed_time_not_the_count_of_days():
    # 1 % in 36.5 days, ten times a year: 1.01 ** 10 - 1.
    assert performance.cagr(0.01, 36 * DAY_NS + 12 * HOUR_NS) == pytest.approx(1.01**10 - 1, abs=1e-12)


@pytest.mark.parametrize(
    "growth, elapsed",
    [(0.01, DAY_NS - 1), (0.01, 0), (None, 400 * DAY_NS), (-1.01, 400 * DAY_NS), (6.0, DAY_NS)],
)
def test_an_undefined_growth_rate_is_none(growth, elapsed):
    # The last: 7 ** 365 is about 1e308.5, more than a double holds.
    assert performance.cagr(growth, elapsed) is None


def test_losing_everything_is_minus_100_percent_a_year():
    assert performance.cagr(-1.0, 10 * DAY_NS) == -1.0


def test_sharpe_of_one_and_three_percent():
    # Mean 0.02, deviation sqrt(2 * 0.01**2 / 1) = 0.02 / sqrt(2): the ratio is sqrt(2), a year sqrt(2 * 365).
    assert performance.sharpe(array(0.01, 0.03)) == pytest.approx(sqrt(730), rel=1e-12)


def test_volatility_of_one_and_three_percent():
    # Deviation 0.01 * sqrt(2), a year 0.01 * sqrt(2 * 365).
    assert performance.annual_volatility(array(0.01, 0.03)) == pytest.approx(0.01 * sqrt(730), rel=1e-12)


def test_sortino_divides_by_all_returns_not_only_by_the_losses():
    # Mean 0.005; downside sqrt((0.01**2 + 0.02**2) / 4) = sqrt(1.25e-4); ratio sqrt(0.2), a year sqrt(0.2 * 365).
    assert performance.sortino(array(0.02, -0.01, 0.03, -0.02)) == pytest.approx(sqrt(73), rel=1e-12)


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01], [0.0, 0.0, 0.0], [0.1, 0.1 + 1e-17, 0.1]])
def test_a_ratio_of_too_few_or_equal_returns_is_none(returns):
    values = array(*returns)
    assert performance.sharpe(values) is None
    assert performance.annual_volatility(values) is None
    assert performance.mertens_standard_error(values) is None


def test_constant_growth_has_no_variance_although_its_returns_round():
    equity = 1000.0 * 1.003 ** np.arange(1, 60)
    returns = performance.daily_returns(at_days(*range(1, 60)), equity, 1000.0)
    assert np.std(returns, ddof=1) > 0.0
    assert performance.sharpe(returns) is None


@pytest.mark.parametrize("returns", [[], [-0.01], [0.01, 0.02], [0.0, 0.0]])
def test_sortino_without_a_loss_or_with_one_return_is_none(returns):
    assert performance.sortino(array(*returns)) is None


# Drawdown


def test_drawdown_counts_from_the_starting_equity():
    # 90 of 100 is 10 %; 84 of the later peak 120 is 30 %.
    assert performance.drawdown_series(array(90, 120, 84), 100.0) == pytest.approx([0.1, 0.0, 0.3], abs=1e-15)
    assert performance.max_drawdown(array(90, 120, 84), 100.0) == pytest.approx(0.3, abs=1e-15)
    assert performance.max_drawdown(array(90, 91), 100.0) == pytest.approx(0.1, abs=1e-15)


def test_a_rising_curve_has_a_drawdown_of_zero_and_no_calmar():
    assert performance.max_drawdown(array(101, 102), 100.0) == 0.0
    assert performance.calmar(0.5, 0.0) is None


def test_no_observation_has_no_drawdown():
    assert performance.max_drawdown(array(), 100.0) is None


def test_calmar_is_growth_over_drawdown():
    assert performance.calmar(0.1, 0.3) == pytest.approx(1 / 3, abs=1e-15)
    assert performance.calmar(None, 0.3) is None
    assert performance.calmar(0.1, None) is None


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40), st.floats(0.01, 1e6))
def test_the_largest_drawdown_is_the_worst_of_all_pairs(values, initial):
    path = [initial, *values]
    worst = max(1 - later / earlier for at, earlier in enumerate(path) for later in path[at:])
    assert performance.max_drawdown(array(*values), initial) == pytest.approx(worst, abs=1e-12)


# Months


def test_months_compound_their_days_and_leave_the_others_empty():
    # 31 December 10 %, 1 January 10 %, 2 January -50 %: 1.1 * 0.5 - 1 = -0.45.
    times = [nanoseconds(text) for text in ("2024-12-31T12:00", "2025-01-01T12:00", "2025-01-02T12:00")]
    table = performance.monthly_returns(np.array(times), array(110, 121, 60.5), 100.0)
    assert list(table) == [2024, 2025]
    assert table[2024][11] == pytest.approx(0.1, abs=1e-15)
    assert table[2025][0] == pytest.approx(-0.45, abs=1e-15)
    assert table[2024][:11] == [None] * 11
    assert table[2025][1:] == [None] * 11


def test_the_close_of_a_month_is_the_observation_at_its_last_midnight():
    times = [nanoseconds(text) for text in ("2025-01-31T12:00", "2025-02-01T00:00", "2025-02-01T12:00")]
    table = performance.monthly_returns(np.array(times), array(50, 110, 121), 100.0)
    assert table[2025][:2] == [pytest.approx(0.1, abs=1e-15), pytest.approx(0.1, abs=1e-15)]


@given(st.lists(st.floats(-0.2, 0.25), min_size=1, max_size=80))
def test_the_months_together_are_the_total_return(returns):
    equity = 1000.0 * np.cumprod(1.0 + np.array(returns))
    times = nanoseconds("2025-01-20T18:00") + DAY_NS * np.arange(len(returns))
    months = [value for row in performance.monthly_returns(times, equity, 1000.0).values() for value in row]
    whole = performance.compound(value for value in months if value is not None)
    assert whole == pytest.approx(performance.total_return(equity, 1000.0), abs=1e-9)


# Standard errors


def test_the_error_of_a_zero_sharpe_is_one_over_the_root_of_the_years():
    assert performance.lo_standard_error(0.0, 365) == pytest.approx(1.0, abs=1e-15)
    assert performance.lo_standard_error(0.0, 30) == pytest.approx(sqrt(365 / 30), abs=1e-12)  # 3.49


def test_lo_grows_with_the_ratio():
    # Per period sqrt((1 + 1/2) / 12) = sqrt(1/8).
    assert performance.lo_standard_error(1.0, 12, periods=1) == pytest.approx(sqrt(1 / 8), abs=1e-12)
    # A year: ratio 3 is 3 / sqrt(365) a day; sqrt(365) * sqrt((1 + 9 / 730) / 73) = sqrt((365 + 4.5) / 73).
    assert performance.lo_standard_error(3.0, 73) == pytest.approx(sqrt(369.5 / 73), abs=1e-12)


def test_mertens_of_a_zero_mean_is_lo():
    returns = array(0.01, -0.01, 0.01, -0.01)
    assert performance.mertens_standard_error(returns) == pytest.approx(sqrt(365 / 4), abs=1e-12)


def test_mertens_of_a_skewed_sample_by_hand():
    # 0, 0, 0, 1: mean 1/4, deviation 1/2, ratio 1/2; skewness 2 / sqrt(3), kurtosis 7/3:
    # 1 + 1/8 - (2 / sqrt(3)) / 2 + (7/3 - 3) / 4 / 4 = 9/8 - 1 / sqrt(3) - 1/24.
    variance = 9 / 8 - 1 / sqrt(3) - 1 / 24
    assert performance.mertens_standard_error(array(0, 0, 0, 1), periods=1) == pytest.approx(sqrt(variance / 4))


@pytest.mark.parametrize("ratio, observations", [(None, 100), (1.0, 1), (1.0, 0)])
def test_an_error_without_a_ratio_or_without_returns_is_none(ratio, observations):
    assert performance.lo_standard_error(ratio, observations) is None


# Round trips


def test_a_trip_runs_from_flat_to_flat_at_average_cost():
    # 1 at 100 and 1 at 110 cost 105 each; sold at 120 and 90: +15 and -15.
    (trip,) = performance.round_trips(
        fills(
            ("BTCUSDT", 1, 100.0, 1.0, 0.05, 1.0),
            ("BTCUSDT", 2, 110.0, 1.0, 0.05, 2.0),
            ("BTCUSDT", 3, 120.0, -1.0, 0.05, 1.0),
            ("BTCUSDT", 9, 90.0, -1.0, 0.05, 0.0),
        )
    )
    assert (trip.entry_ns, trip.exit_ns, trip.is_long, trip.max_quantity, trip.fills) == (1, 9, True, 2.0, 4)
    assert (trip.entry_average, trip.exit_average) == (105.0, 105.0)
    assert (trip.gross, trip.fees, trip.net) == pytest.approx((0.0, 0.2, -0.2), abs=1e-12)


def test_average_cost_is_not_first_in_first_out():
    # Average cost 105 leaves +15 on the sale at 120 (first in, first out would say +20), and +5 on the rest.
    closed = performance.round_trips(
        fills(
            ("X", 1, 100.0, 1.0, 0.0, 1.0),
            ("X", 2, 110.0, 1.0, 0.0, 2.0),
            ("X", 3, 120.0, -1.0, 0.0, 1.0),
        )
    )
    assert [trip.gross for trip in closed] == [15.0]
    assert closed[0].exit_ns is None


def test_a_fill_that_turns_the_position_closes_one_trip_and_opens_the_next():
    # Long 2 at 100, sold 3 at 110: 2 close (+20, fee 0.33 * 2/3), 1 opens short, bought back at 115: -5.
    first, second = performance.round_trips(
        fills(
            ("X", 1, 100.0, 2.0, 0.20, 2.0),
            ("X", 2, 110.0, -3.0, 0.33, -1.0),
            ("X", 3, 115.0, 1.0, 0.10, 0.0),
        )
    )
    assert (first.is_long, first.exit_ns, first.gross, first.fees) == (True, 2, 20.0, pytest.approx(0.42))
    assert (second.is_long, second.entry_ns, second.entry_average) == (False, 2, 110.0)
    assert (second.gross, second.fees) == (-5.0, pytest.approx(0.21))


def test_symbols_do_not_share_a_trip_and_open_ones_come_last():
    trips = performance.round_trips(
        fills(
            ("A", 1, 10.0, 1.0, 0.0, 1.0),
            ("B", 2, 20.0, -1.0, 0.0, -1.0),
            ("B", 3, 19.0, 1.0, 0.0, 0.0),
        )
    )
    assert [(trip.symbol, trip.exit_ns, trip.exit_average) for trip in trips] == [("B", 3, 19.0), ("A", None, None)]
    assert trips[0].gross == 1.0


def test_decimal_quantities_close_on_the_position_that_the_engine_states():
    # 0.1 + 0.2 - 0.3 is not 0 in doubles; the position after the fill is.
    trips = performance.round_trips(
        fills(("X", 1, 7.0, 0.1, 0.0, 0.1), ("X", 2, 7.0, 0.2, 0.0, 0.3), ("X", 3, 8.0, -0.3, 0.0, 0.0))
    )
    assert [trip.exit_ns for trip in trips] == [3]
    assert trips[0].gross == pytest.approx(0.3, abs=1e-12)


def test_no_fills_are_no_trips():
    empty = Fills([], at_days(), array(), array(), array(), array())
    assert performance.round_trips(empty) == []


@pytest.mark.parametrize("row", [("X", 2, 7.0, 1.0, 0.0, 1.0), ("X", 2, 7.0, 0.0, 0.0, 1.0)])
def test_fills_that_do_not_lead_from_position_to_position_are_refused_by_row(row):
    with pytest.raises(OperatorError, match="row 1"):
        performance.round_trips(fills(("X", 1, 7.0, 1.0, 0.0, 1.0), row))


@given(st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(50, 150)), min_size=1, max_size=60))
def test_trips_together_make_what_cash_and_position_make(steps):
    position, rows = 0, []
    for at, (lots, price) in enumerate(steps):
        position += lots
        rows.append(("X", at, float(price), float(lots), 0.01 * abs(lots), float(position)))
    last = steps[-1][1]
    rows.append(("X", len(steps), float(last), -float(position), 0.0, 0.0))
    trips = performance.round_trips(fills(*(rows if position else rows[:-1])))
    cash = -sum(row[2] * row[3] for row in (rows if position else rows[:-1]))
    assert all(trip.exit_ns is not None for trip in trips)
    assert sum(trip.gross for trip in trips) == pytest.approx(cash, abs=1e-6)
    assert sum(trip.fees for trip in trips) == pytest.approx(sum(row[4] for row in rows), abs=1e-9)


# Latency


def test_a_quantile_is_the_upper_edge_of_its_bin():
    # 100 observations: ranks 50, 99, 100 (99.9 rounds up).
    assert performance.histogram_quantiles([0, 10, 20, 40], [98, 1, 1], [0.5, 0.99, 0.999]) == [10.0, 20.0, 40.0]


def test_an_empty_bin_is_never_a_quantile():
    assert performance.histogram_quantiles([1, 2, 3, 4], [1, 0, 1], [0.5, 1.0]) == [2.0, 4.0]


def test_an_empty_histogram_has_no_quantile():
    assert performance.histogram_quantiles([0, 1], [0], [0.5]) == [None]
    assert performance.histogram_quantiles([0], [], [0.5, 0.9]) == [None, None]


def test_a_histogram_without_its_last_edge_is_refused():
    with pytest.raises(OperatorError, match="needs 3 edges"):
        performance.histogram_quantiles([0, 1], [1, 1], [0.5])


@given(st.lists(st.integers(0, 99), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_never_better_than_the_sample_and_at_most_one_bin_worse(sample, share):
    counts = np.bincount(sample, minlength=100).tolist()
    rank = int(np.ceil(share * len(sample) - 1e-9))
    (found,) = performance.histogram_quantiles(range(101), counts, [share])
    assert found == sorted(sample)[rank - 1] + 1


# Bad input


def test_bad_curves_are_refused_with_the_row():
    with pytest.raises(OperatorError, match="row 1: the time runs backwards"):
        performance.daily_returns(at_days(2, 1), array(1, 1), 1.0)
    with pytest.raises(OperatorError, match="row 1: nan"):
        performance.daily_returns(at_days(1, 2), array(1, np.nan), 1.0)
    with pytest.raises(OperatorError, match="2 values for 1 times"):
        performance.daily_returns(at_days(1), array(1, 1), 1.0)
    with pytest.raises(OperatorError, match="after the last observation"):
        performance.daily_returns(at_days(1), array(1), 1.0, Transfers(at_days(2), array(1)))
    with pytest.raises(OperatorError, match="above 0"):
        performance.max_drawdown(array(1), 0.0)
    with pytest.raises(OperatorError, match="row 0: inf"):
        performance.sharpe(array(np.inf, 1))


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(performance).failed == 0
    assert doctest.testmod(performance).attempted > 5


# Known answers that others computed


@pytest.fixture
def known(shared):
    folder = shared / "quant"
    cases = {case["id"]: case for case in json.loads((folder / "known_answers.json").read_text())["cases"]}
    return folder, cases


def returns_of(known, case_id: str) -> np.ndarray:
    folder, cases = known
    given_inputs = cases[case_id]["inputs"]
    if "returns_csv" in given_inputs:
        return np.loadtxt(folder / given_inputs["returns_csv"], delimiter=",", ndmin=1)
    return array(*given_inputs["returns"])


def curve_of(returns: np.ndarray) -> np.ndarray:
    return np.cumprod(1.0 + returns)


def agree(known, case_id: str, name: str, got: float) -> None:
    case = known[1][case_id]
    allowed = case["tolerance"]
    assert got == pytest.approx(
        case["expected"][name], abs=max(allowed.get("abs", 0.0), 1e-12), rel=allowed.get("rel", 0.0)
    )


def test_known_sharpe_sortino_and_volatility(known):
    returns = returns_of(known, "perf-sharpe-365")
    agree(known, "perf-sharpe-365", "sharpe", performance.sharpe(returns))
    agree(known, "perf-sortino-365", "sortino", performance.sortino(returns))
    agree(known, "perf-annual-vol", "vol", performance.annual_volatility(returns))


def test_known_sortino_is_not_the_one_over_losses_only(known):
    returns = returns_of(known, "perf-sortino-seed-bias")
    over_losses = np.mean(returns) / np.sqrt(np.mean(returns[returns < 0] ** 2)) * sqrt(365)
    agree(known, "perf-sortino-seed-bias", "ratio_seed_to_correct", over_losses / performance.sortino(returns))


def test_known_growth_and_calmar(known):
    returns = returns_of(known, "perf-cagr-365")
    curve = curve_of(returns)
    growth = performance.cagr(performance.total_return(curve, 1.0), len(returns) * DAY_NS)
    agree(known, "perf-cagr-365", "cagr", growth)
    agree(known, "perf-calmar", "mdd", performance.max_drawdown(curve, 1.0))
    agree(known, "perf-calmar", "calmar", performance.calmar(growth, performance.max_drawdown(curve, 1.0)))


def test_known_returns_on_equity(known):
    inputs = known[1]["perf-return-basis"]["inputs"]
    initial, *rest = inputs["equity"]
    moved = Transfers(at_days(2), array(inputs["deposit_at_2"]))
    got = performance.daily_returns(at_days(1, 2), array(*rest), initial, moved)
    assert got == pytest.approx(known[1]["perf-return-basis"]["expected"]["returns"], abs=1e-12)


@pytest.mark.parametrize("case_id", ["mdd-basic", "mdd-first-loss", "mdd-monotone-up"])
def test_known_drawdowns(known, case_id):
    agree(known, case_id, "mdd", performance.max_drawdown(curve_of(returns_of(known, case_id)), 1.0))


def test_known_places_of_peak_and_trough(known):
    drawdowns = performance.drawdown_series(curve_of(returns_of(known, "mdd-basic")), 1.0)
    assert int(np.argmax(drawdowns)) == known[1]["mdd-basic"]["expected"]["end_index"]


def test_known_status_of_no_data(known):
    assert known[1]["mdd-empty"]["expected"]["status"] == "INSUFFICIENT_DATA"
    assert performance.max_drawdown(returns_of(known, "mdd-empty"), 1.0) is None


def test_known_ulcer_index_from_the_drawdown_series(known):
    drawdowns = performance.drawdown_series(curve_of(returns_of(known, "ulcer-index")), 1.0)
    agree(known, "ulcer-index", "ulcer", float(np.sqrt(np.mean(drawdowns**2))))


@pytest.mark.parametrize("case_id", ["lo-se-iid-1.0-12", "lo-se-iid-3.0-12"])
def test_known_errors_of_lo(known, case_id):
    inputs = known[1][case_id]["inputs"]
    got = performance.lo_standard_error(inputs["sharpe_per_period"], inputs["T"], periods=1)
    agree(known, case_id, "se", got)


def test_known_error_of_mertens(known):
    returns = returns_of(known, "sharpe-se-mertens")
    agree(known, "sharpe-se-mertens", "se", performance.mertens_standard_error(returns, periods=1))
    agree(known, "sharpe-se-mertens", "sharpe_per_period", performance.sharpe(returns, 1))
