"""A run in hot mode: what a run does in idle mode, on a processor that is always busy."""

import os

import pytest
from test_loopback_cli import served
from test_online import told
from test_trading import EXCHANGE, _here, ended, filled, proved, trading  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow


def test_a_hot_run_has_a_processor_of_its_own_trades_and_replays(capsys):
    allowed = os.sched_getaffinity(0)
    with served(*EXCHANGE) as (opened, _):
        with trading(opened["port"], hot="true") as run:
            filled(capsys)
            assert os.sched_getaffinity(run.pid) == {max(allowed)}
            summary = ended(run)
        assert summary["fills"] > 0
    assert proved(capsys) == 0
    assert told(capsys, "replay", "out", "--verify")[1]["ok"]


def test_a_run_on_a_processor_that_there_is_not_ends_in_words(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"], hot="true", hot_core=4095) as run:
        out, err = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "live.hot_core = 4095" in out + err
