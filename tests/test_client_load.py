"""A run under load loses no event of its orders; how quick it is only the benchmark says."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["paper", "testnet"])
def test_a_run_at_ten_times_the_pace_journals_every_event_of_its_orders(benchmarks, mode):
    from benchmarks.client_load import load_run

    load = load_run(mode, 5.0, symbols=3, pace=10.0)
    assert (load.missing, load.dropped) == (0, 0)
    assert load.taken > 0
    assert load.orders > 0
    assert load.fills > 0
