"""Filters of regime and variance: plain twins, known answers, and input that is none."""

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import regime as plain

from core_ext.regime import GarchFilter, HmmFilter, exponential

CALM = settings(max_examples=120, deadline=None, derandomize=True)
NAN, INF = math.nan, math.inf
TWO = ([0.75, 0.25], [[0.98, 0.02], [0.06, 0.94]], [[0.001], [-0.002]], [[0.015**2], [0.045**2]])


def near(found, expected, rel=1e-9, absolute=1e-12):
    return np.allclose(found, expected, rtol=rel, atol=absolute)


# The exponential.


@CALM
@given(st.floats(-708, 709))
def test_the_exponential_is_within_1e_15_of_the_library_s(x):
    assert math.isclose(exponential(x), math.exp(x), rel_tol=1e-15)


def test_the_exponential_is_right_where_its_pieces_meet():
    seams = [k * math.log(2) / 2 + shift for k in range(-2042, 2045) for shift in (-1e-9, 0.0, 1e-9)]
    worst = max(abs(exponential(x) / math.exp(x) - 1) for x in seams if -708 <= x <= 709)
    assert worst < 1e-15
    assert exponential(0.0) == 1.0


@pytest.mark.parametrize("x", [-708.1, -1e300, -INF])
def test_the_exponential_of_very_little_is_nothing(x):
    assert exponential(x) == 0.0


@pytest.mark.parametrize("x", [709.1, INF, NAN])
def test_a_power_that_is_too_great_or_none_is_refused(x):
    with pytest.raises(ValueError, match="up to 709"):
        exponential(x)


# The hidden Markov model.


def shares(draw, n, zeros):
    parts = draw(st.lists(st.integers(0 if zeros else 1, 50), min_size=n, max_size=n).filter(any))
    return [part / sum(parts) for part in parts]


@st.composite
def models(draw, most_states=8, zeros=False):
    states, features = draw(st.integers(2, most_states)), draw(st.integers(1, 4))
    numbers = st.floats(-3, 3)
    means = [[draw(numbers) for _ in range(features)] for _ in range(states)]
    variances = [[draw(st.floats(0.1, 4)) for _ in range(features)] for _ in range(states)]
    return shares(draw, states, zeros), [shares(draw, states, zeros) for _ in range(states)], means, variances


def observations(draw, features, most):
    value = st.one_of(st.floats(-6, 6), st.sampled_from([NAN, INF, -INF, 40.0]))
    return draw(st.lists(st.lists(value, min_size=features, max_size=features), min_size=1, max_size=most))


@st.composite
def histories(draw, most=30, **shape):
    model = draw(models(**shape))
    return model, observations(draw, len(model[2][0]), most)


@CALM
@given(histories())
def test_the_filter_is_that_of_the_plain_twin(history):
    model, bars = history
    expected, likelihood = plain.filtered(*model, bars)
    one, many = HmmFilter(*model), HmmFilter(*model)
    for bar, posterior in zip(bars, expected, strict=True):
        one.push(bar)
        assert near(one.posterior, posterior)
        assert math.isclose(sum(one.posterior), 1, rel_tol=1e-12)
    assert math.isclose(one.log_likelihood, likelihood, rel_tol=1e-9, abs_tol=1e-9)
    assert near(many.run(bars), expected)
    assert many.state() == one.state()
    assert one.blind == sum(not all(map(math.isfinite, bar)) for bar in bars)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories(most=5, most_states=3))
def test_the_posterior_is_the_share_of_the_paths_that_end_in_a_state(history):
    model, bars = history
    bars = [[value if math.isfinite(value) else 0.5 for value in bar] for bar in bars]
    bars = [[max(-6.0, min(6.0, value)) for value in bar] for bar in bars]
    assert near(HmmFilter(*model).run(bars)[-1], plain.by_paths(*model, bars))


@CALM
@given(histories(zeros=True))
def test_states_that_cannot_be_reached_leave_a_distribution(history):
    model, bars = history
    found = HmmFilter(*model).run(bars)
    assert np.isfinite(found).all()
    assert near(found.sum(axis=1), 1)


@CALM
@given(histories(), st.floats(0.5, 0.95), st.integers(0, 6))
def test_the_regime_is_that_of_the_plain_trigger(history, enter, dwell):
    model, bars = history
    held = HmmFilter(*model, enter=enter, dwell=dwell)
    first, posteriors, found = held.regime, [], []
    for bar in bars:
        held.push(bar)
        posteriors.append(held.posterior)
        found.append(held.regime)
        assert held.confidence == held.posterior[held.regime]
    assert first == model[0].index(max(model[0]))
    assert found == plain.regimes(posteriors, first, enter, dwell)


def test_a_bar_without_numbers_only_predicts():
    seeing = HmmFilter(*TWO)
    seeing.push([0.01])
    before = np.array(seeing.posterior)
    seeing.push([NAN])
    assert near(seeing.posterior, before @ np.array(TWO[1]))
    assert (seeing.bars, seeing.blind) == (2, 1)


@pytest.mark.parametrize("x", [3.0, 4e4, -4e4])
def test_an_outlier_belongs_to_the_widest_state(x):
    seeing = HmmFilter(*TWO)
    seeing.push([x])
    assert seeing.posterior == (0.0, 1.0)
    assert seeing.blind == 0


@pytest.mark.parametrize("x", [5e4, 1e160, 1.7e308, INF, -INF, NAN])
def test_absurd_features_never_enter_the_state(x):
    seeing = HmmFilter(*TWO)
    seeing.push([x])
    assert near(seeing.posterior, TWO[0])
    assert seeing.blind == 1


def test_what_comes_later_changes_no_posterior_before_it():
    bars = np.random.default_rng(7).normal(0, 0.03, (300, 1))
    assert (HmmFilter(*TWO).run(bars)[:200] == HmmFilter(*TWO).run(bars[:200])).all()


def test_a_long_run_stays_a_distribution_and_keeps_its_likelihood():
    bars = np.random.default_rng(7).normal(0, 0.03, (20_000, 1))
    seeing = HmmFilter(*TWO)
    assert near(seeing.run(bars).sum(axis=1), 1)
    assert math.isclose(seeing.log_likelihood, plain.filtered(*TWO, bars.tolist())[1], rel_tol=1e-9)


def test_the_filter_is_hmmlearn_s_at_the_last_bar():
    hmm = pytest.importorskip("hmmlearn.hmm")
    rng = np.random.default_rng(3)
    model = hmm.GaussianHMM(3, covariance_type="diag")
    model.startprob_ = np.array([0.5, 0.3, 0.2])
    model.transmat_ = np.array([[0.9, 0.06, 0.04], [0.1, 0.85, 0.05], [0.02, 0.08, 0.9]])
    model.means_ = rng.normal(0, 1, (3, 2))
    model.n_features, variances = 2, rng.uniform(0.2, 2, (3, 2))
    model.covars_ = variances
    bars = rng.normal(0, 1.2, (120, 2))
    ours = HmmFilter(model.startprob_, model.transmat_, model.means_, variances)
    found = ours.run(bars)
    for n in range(1, 121):
        assert near(found[n - 1], model.predict_proba(bars[:n])[-1])
    assert math.isclose(ours.log_likelihood, model.score(bars), rel_tol=1e-10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": [1.0]}, "start: 2 to 8 states, not 1"),
        ({"start": [1 / 9] * 9}, "start: 2 to 8 states, not 9"),
        ({"start": [0.5, 0.6]}, "start: the probabilities add up to 1"),
        ({"start": [1.5, -0.5]}, "start: a probability lies in 0 to 1, not 1.5"),
        ({"start": [NAN, 1.0]}, "start: a probability lies in 0 to 1, not nan"),
        ({"transition": [[1.0, 0.0]]}, "a row for each of 2 states"),
        ({"transition": [[1.0, 0.0], [0.5, 0.4]]}, "transition, row 1: the probabilities add up to 1"),
        ({"transition": [[1.0, 0.0], [1.0]]}, "transition, row 1: 2 probabilities, not 1"),
        ({"means": [[], []]}, "means: 1 to 4 features, not 0"),
        ({"means": [[0.0] * 5] * 2}, "means: 1 to 4 features, not 5"),
        ({"means": [[0.0], [0.0, 0.0]]}, "means, variances, row 1: 1 features"),
        ({"means": [[0.0], [INF]]}, "means, row 1: a number"),
        ({"means": [[0.0], [NAN]]}, "means, row 1: a number"),
        ({"variances": [[1.0], [0.0]]}, "variances, row 1: a number from 1e-30"),
        ({"variances": [[-1.0], [1.0]]}, "variances, row 0: a number from 1e-30"),
        ({"variances": [[1.0], [NAN]]}, "variances, row 1: a number"),
        ({"enter": 0.49}, "enter: a probability from 0.5"),
        ({"enter": 1.0}, "enter: a probability from 0.5"),
        ({"enter": NAN}, "enter: a probability from 0.5"),
        ({"dwell": -1}, "dwell: a number of bars"),
    ],
)
def test_a_model_that_is_none_is_refused_in_one_line(changes, words):
    model = dict(zip(("start", "transition", "means", "variances"), TWO, strict=True))
    with pytest.raises(ValueError, match=words) as refusal:
        HmmFilter(**(model | changes))
    assert "\n" not in str(refusal.value)


def test_features_of_another_number_are_refused():
    with pytest.raises(ValueError, match="1 features, not 2"):
        HmmFilter(*TWO).push([0.0, 0.0])
    with pytest.raises(ValueError, match="1 features, not 2"):
        HmmFilter(*TWO).run([[0.0, 0.0]])


# GARCH.


@st.composite
def garches(draw):
    beta, alpha = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.09))
    gamma = draw(st.floats(-alpha, 0.01))
    return draw(st.floats(1e-6, 1)), alpha, gamma, beta, draw(st.floats(-0.1, 0.1))


@CALM
@given(
    garches(),
    st.floats(1e-6, 10),
    st.lists(st.one_of(st.floats(-5, 5), st.sampled_from([NAN, INF, -INF])), max_size=40),
)
def test_the_variance_is_that_of_the_plain_recursion(parameters, first, values):
    omega, alpha, gamma, beta, mean = parameters
    seeing = GarchFilter(omega, alpha, beta, gamma, mean, first)
    expected = plain.variances(omega, alpha, gamma, beta, mean, first, values)
    for value, variance in zip(values, expected[1:], strict=True):
        seeing.push(value)
        assert math.isclose(seeing.variance, variance, rel_tol=1e-12)
    assert (seeing.count, seeing.blind) == (len(values), sum(not math.isfinite(value) for value in values))


@CALM
@given(garches(), st.floats(1e-6, 10), st.integers(1, 300))
def test_a_forecast_is_the_recursion_carried_on(parameters, variance, steps):
    omega, alpha, gamma, beta, mean = parameters
    seeing = GarchFilter(omega, alpha, beta, gamma, mean, variance)
    path = plain.expected(omega, seeing.persistence, variance, steps)
    assert math.isclose(seeing.forecast(steps), path[-1], rel_tol=1e-9)
    assert math.isclose(seeing.total(steps), math.fsum(path), rel_tol=1e-9)
    assert seeing.variance == variance


def test_without_a_first_variance_the_filter_begins_at_the_long_run():
    seeing = GarchFilter(0.02, 0.08, 0.9)
    assert seeing.variance == seeing.long_run
    assert math.isclose(seeing.forecast(10**9), 1.0, rel_tol=1e-12)


@pytest.mark.parametrize("value", [2e6, -2e6, 1e200, -1e200, INF, NAN])
def test_an_absurd_value_moves_the_variance_as_expected(value):
    seeing = GarchFilter(0.02, 0.08, 0.9, variance=3.0)
    seeing.push(value)
    assert math.isclose(seeing.variance, 2.96, rel_tol=1e-12)


def test_a_value_just_inside_what_is_absurd_counts():
    seeing = GarchFilter(0.02, 0.08, 0.9, variance=1.0)
    seeing.push(999_999.0)
    assert seeing.variance > 7e10


def test_a_fall_raises_the_variance_by_more_than_a_rise():
    rise, fall = (GarchFilter(0.02, 0.03, 0.9, 0.1, variance=1.0) for _ in range(2))
    rise.push(2.0)
    fall.push(-2.0)
    assert math.isclose(fall.variance - rise.variance, 0.1 * 4, rel_tol=1e-12)


def test_the_variances_are_those_of_arch():
    arch = pytest.importorskip("arch")
    values = np.random.default_rng(5).standard_t(5, 500)
    fixed = arch.arch_model(values, mean="Zero", p=1, o=1, q=1, rescale=False).fix([0.05, 0.04, 0.08, 0.85])
    theirs = fixed.conditional_volatility**2
    seeing = GarchFilter(0.05, 0.04, 0.85, 0.08, variance=theirs[0])
    ours = []
    for value in values:
        ours.append(seeing.variance)
        seeing.push(value)
    assert near(ours, theirs)
    forecast = fixed.forecast(horizon=10).variance.to_numpy()[-1]
    assert near([seeing.forecast(step) for step in range(1, 11)], forecast)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"omega": 0.0}, "omega: a number from 1e-30"),
        ({"omega": NAN}, "omega: a number"),
        ({"alpha": -0.01}, "alpha: a number from 0"),
        ({"beta": -0.01}, "beta: a number from 0"),
        ({"beta": INF}, "beta: a number"),
        ({"gamma": -0.09}, "gamma: a number from -0.08"),
        ({"beta": 0.92}, r"alpha \+ gamma / 2 \+ beta: below 1, not 1"),
        ({"gamma": 0.05}, r"alpha \+ gamma / 2 \+ beta: below 1"),
        ({"mean": INF}, "mean: a number"),
        ({"variance": 0.0}, "variance: a number from 1e-30"),
        ({"variance": NAN}, "variance: a number"),
    ],
)
def test_parameters_without_a_long_run_variance_are_refused_in_one_line(changes, words):
    with pytest.raises(ValueError, match=words) as refusal:
        GarchFilter(**({"omega": 0.02, "alpha": 0.08, "beta": 0.9} | changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("steps", [0, -1])
def test_a_forecast_of_the_past_is_refused(steps):
    with pytest.raises(ValueError, match="from 1"):
        GarchFilter(0.02, 0.08, 0.9).forecast(steps)
    with pytest.raises(ValueError, match="from 1"):
        GarchFilter(0.02, 0.08, 0.9).total(steps)


def test_the_states_tell_histories_apart():
    one, two = GarchFilter(0.02, 0.08, 0.9), GarchFilter(0.02, 0.08, 0.9)
    assert one.state() == two.state()
    one.push(3.0)
    assert one.state() != two.state()


# Known answers.


@pytest.fixture
def known(shared):
    cases = json.loads((shared / "quant/known_answers.json").read_text())["cases"]
    return {case["id"]: (case["inputs"], case["expected"]) for case in cases}


def test_the_known_answer_of_hamilton_s_filter(known):
    inputs, expected = known["hmm-gaussian-filter"]
    means, variances = [[m] for m in inputs["means"]], [[s * s] for s in inputs["sigmas"]]
    seeing = HmmFilter(inputs["start"], inputs["transition"], means, variances)
    found = seeing.run([[x] for x in inputs["obs"]])
    assert near(found[:, 1], expected["p_state1_filtered"], rel=0, absolute=1e-12)
    assert math.isclose(seeing.log_likelihood, expected["loglik"], rel_tol=1e-12)


def test_the_known_answer_of_the_umbrella_world(known):
    # Likelihoods 0.9 and 0.2 as those of two normal densities of variance one at a value of 0.
    inputs, expected = known["hmm-umbrella-filter"]
    mean = math.sqrt(2 * math.log(0.9 / 0.2))
    found = HmmFilter(inputs["prior"], inputs["transition"], [[0.0], [mean]], [[1.0], [1.0]]).run([[0.0], [0.0]])
    assert near(found[:, 0], [expected["filtered_rain_day1"], expected["filtered_rain_day2"]])


def test_the_known_answer_of_the_trigger(known):
    # Equal rows of the transition and two densities a distance of one apart: x sets the posterior.
    inputs, expected = known["hmm-hysteresis"]
    even = [0.5, 0.5]
    held = HmmFilter(even, [even, even], [[0.0], [1.0]], [[1.0], [1.0]], inputs["enter"], inputs["min_dwell"])
    found = []
    for p in inputs["p_high"]:
        held.push([0.5 + math.log(p / (1 - p))])
        assert math.isclose(held.posterior[1], p, rel_tol=1e-12)
        found.append(held.regime)
    assert found == expected["state"]


def test_the_known_answer_of_a_forecast(known):
    inputs, expected = known["garch-forecast-multistep"]
    seeing = GarchFilter(inputs["omega"], inputs["alpha"], inputs["beta"], variance=inputs["sigma2_next"])
    assert near([seeing.forecast(h) for h in range(1, inputs["h"] + 1)], expected["var_path"])
    assert near(seeing.long_run, expected["unconditional"])
    assert near(seeing.total(inputs["h"]), expected["aggregate_10"])


def test_the_known_likelihood_of_the_accepted_garch_benchmark(known, shared):
    # The variance before the sample, and the squared surprise before it, are the sample's mean square.
    inputs, expected = known["garch-fcp-benchmark"]
    with (shared / "quant" / inputs["returns_csv"]).open() as file:
        values = np.array([float(line[-1]) for line in csv.reader(file) if line[-1].lstrip("-")[:1].isdigit()])
    omega, alpha, beta, mean = (expected[name] for name in ("omega", "alpha", "beta", "mu"))
    first = omega + (alpha + beta) * float(((values - mean) ** 2).mean())
    seeing, total = GarchFilter(omega, alpha, beta, mean=mean, variance=first), 0.0
    for value in values:
        total -= 0.5 * (math.log(2 * math.pi * seeing.variance) + (value - mean) ** 2 / seeing.variance)
        seeing.push(value)
    assert len(values) == 1974
    assert math.isclose(total, expected["loglik"], rel_tol=1e-8)
