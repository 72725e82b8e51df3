"""The figures to reach, as ratios of two measurements of one run: never as absolute times.

Each test also hands our side to pytest-benchmark, for its report.
"""

import pytest

from benchmarks import contests, figures, parts
from benchmarks.long_run import STATM
from benchmarks.order_path import race, tail

# What a goal of so many events a second may cost in passes over the same rows: a core that reads at least
# 10 GB/s of memory passes a row of 64 bytes in 6.4 ns.
PASS_NS = 6.4
REPLAY_PASSES = 1e3 / figures.REPLAY_RATE.bound / PASS_NS
BAR_PASSES = 1e6 / figures.BAR_RATE.bound / (2 * PASS_NS)  # a bar is two rows: it opens, it closes


def reported(benchmark, contest, rounds):
    """Let pytest-benchmark time our side, then measure the pair; return it."""
    benchmark.pedantic(
        lambda work: work(), setup=lambda: ((contest.ours(),), {}), rounds=rounds, iterations=1, warmup_rounds=1
    )
    pair = contest.measure(rounds)
    benchmark.extra_info.update(units=contest.units, ours_ns=pair.ours, theirs_ns=pair.theirs, ratio=pair.ratio)
    return pair


def test_a_level_change_costs_little_more_than_in_a_plain_ladder(benchmark, stream):
    pair = reported(benchmark, contests.book(stream), figures.ROUNDS)
    assert figures.BOOK.is_met_by(1 / pair.ratio)


def test_a_depth_message_is_read_six_times_as_fast_as_by_msgspec(benchmark, stream):
    pair = reported(benchmark, contests.typed_parse(stream), figures.ROUNDS)
    assert figures.PARSE.is_met_by(pair.ratio)


def test_bytes_become_signed_orders_sixty_times_as_fast_as_in_the_python_stack(benchmark, stream):
    races = []
    benchmark.pedantic(lambda: races.append(race(stream)), rounds=figures.RACES, iterations=1, warmup_rounds=1)
    chosen = (races[0].orders > 0) & races[0].is_depth
    figure = figures.path_figure("path", races[1:], chosen, figures.ORDER_PATH)
    benchmark.extra_info.update(ratio=figure.value, detail=figure.detail)
    assert figures.ORDER_PATH.is_met_by(figure.value)


def test_the_slowest_hundredth_of_signed_orders_takes_at_most_five_times_the_usual(benchmark, stream):
    tails = []
    benchmark.pedantic(lambda: tails.append(tail(stream)), rounds=figures.RACES, iterations=1)
    figure = figures.tail_figure(tails)
    benchmark.extra_info.update(ratio=figure.value, detail=figure.detail)
    assert figures.TAIL.is_met_by(figure.value)


def test_ten_checks_and_a_hold_cost_at_most_three_plain_loops_over_the_same_arrays(benchmark, stream):
    pair = reported(benchmark, parts.gate(stream), figures.ROUNDS)
    assert figures.GATE.is_met_by(1 / pair.ratio)


def test_a_signature_is_made_five_times_as_fast_as_by_hmac(benchmark):
    pair = reported(benchmark, parts.usual_signature(), figures.ROUNDS)
    assert figures.SIGNATURE.is_met_by(pair.ratio)


@pytest.mark.parametrize("make", [contests.replay_rows, contests.replay_lines])
def test_an_l2_backtest_stays_near_a_plain_pass_over_its_rows(benchmark, stream, make):
    pair = reported(benchmark, make(stream), figures.SHORT_ROUNDS)
    assert 1 / pair.ratio <= REPLAY_PASSES


def test_a_candle_backtest_in_python_stays_near_a_plain_pass_over_its_rows(benchmark, history):
    pair = reported(benchmark, contests.crossover(history), figures.SHORT_ROUNDS)
    assert 1 / pair.ratio <= BAR_PASSES


def test_ten_times_the_recording_takes_at_most_twelve_times_as_long(benchmark, stream):
    pairs = []
    benchmark.pedantic(lambda: pairs.append(figures.ten_recordings(stream)), rounds=1, iterations=1)
    benchmark.extra_info.update(ratio=pairs[0].ratio)
    assert figures.TEN_TIMES.is_met_by(pairs[0].ratio)


def test_ten_times_the_candles_take_at_most_twelve_times_as_long(benchmark, history):
    pair = reported(benchmark, contests.ten_times_candles(history), figures.SHORT_ROUNDS)
    assert figures.TEN_TIMES.is_met_by(pair.ratio)


@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from Linux")
def test_memory_stays_flat_over_ten_times_the_recording(benchmark, stream):
    figure = benchmark.pedantic(figures.memory, args=(stream,), rounds=1, iterations=1)
    benchmark.extra_info.update(bytes_per_event=figure.value)
    assert figures.GROWTH.is_met_by(figure.value)
