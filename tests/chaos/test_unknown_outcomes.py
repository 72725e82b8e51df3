"""Unknown outcomes by the thousand: no order accepted twice, none ended without evidence, both sides agree once healed.

What is counted is counted from the exchange's history and the run's journal, by a judge that knows no code of the
engine.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop
from builders import configuration
from test_loopback_cli import served

from autotrader.adapters.loopback.proof import check
from autotrader.adapters.storage.run_folder import RunFolder
from chaos import figures, storm
from chaos.crowded import crowded, exchange, quoted
from chaos.judge import Journal, Truth, judge, unexplained

ACCOUNT = """
[[account]]
name = "{name}"
api_key = "loopback-{name}-key"
api_secret = "loopback-{name}-secret"
usdt = "5000000"
"""
ENDLESS = 1 << 61
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT")


def configured(port, symbols):
    """Write the configuration of a run on the exchange at a port."""
    configuration(Path("c.toml"), symbols=symbols, mode="testnet", profile='"loopback"', port=port)


def environment():
    """Return an environment in which a process finds these modules."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def stormed(symbols, seed, *arguments, seconds=1_500):
    """Run a storm on an exchange of its own; return what the run saw of itself."""
    Path("accounts.toml").write_text(ACCOUNT.format(name="demo") + ACCOUNT.format(name="again"))
    exchange = (
        "--synthetic", str(seed), "--symbols", ",".join(symbols), "--accounts", "accounts.toml",
        "--limits", "1000000,1000000", "--history", "history.jsonl",
    )  # fmt: skip
    with served(*exchange) as (opened, _):
        configured(opened["port"], symbols)
        command = [sys.executable, "-m", "chaos.storm", "--config", "c.toml", "--port", str(opened["port"])]
        run = subprocess.run(
            [*command, "--seed", str(seed), *arguments], capture_output=True, text=True, timeout=seconds,
            env=environment(),
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-4_000:]
        for _ in range(2):  # an id whose first order has filled is taken again: the count below would show it
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.002"}
            storm.asked(opened["port"], "/fapi/v1/order", "again", "POST", newClientOrderId="the-same", **order)
    return json.loads(Path("observed.json").read_text())


def judged(observed):
    """Return the verdict on the run in this folder, and its journal."""
    truth, journal = Truth(Path("history.jsonl")), Journal(RunFolder(Path("out")).journal_file)
    verdict = judge(truth, journal)
    assert Truth(Path("history.jsonl"), "again").accepted_twice() == ["the-same"]
    ended = {int(number): tuple(one) for number, one in observed["terminal"].items()}
    assert len(ended) > verdict.orders / 2
    assert unexplained(journal, ended) == []
    return verdict, journal


def weathered(name, seed, unknown, *arguments, symbols=SYMBOLS):
    """Run a storm with so many unknown outcomes, hold it against the truth, keep its figures."""
    observed = stormed(symbols, seed, "--unknown", str(unknown), *arguments)
    verdict, journal = judged(observed)
    injected = sum(observed["fired"].values())
    known, everything = ([heal[at] for heal in observed["heals"]] for at in (1, 2))
    figures.keep(
        name, seed=seed, injected=injected, families=observed["fired"], told_lost=dict(journal.lost),
        orders=verdict.orders, accepted_twice=len(verdict.accepted_twice), asked_twice=len(verdict.asked_twice),
        ended_without_evidence=len(verdict.false_ends), forgotten=len(verdict.forgotten),
        invented=len(verdict.invented), sent_while_gate_closed=len(verdict.gated), heals=len(known),
        heal_s={"p50": figures.share(known, 50), "p99": figures.share(known, 99), "max": max(known, default=0.0)},
        nothing_unknown_s={"p99": figures.share(everything, 99), "max": max(everything, default=0.0)},
        gate_closures=len(journal.closed_spans), illegal=observed["illegal"], late=observed["late"],
    )  # fmt: skip
    assert verdict.holds, verdict
    assert not check(Path("history.jsonl")).violations
    assert (observed["stuck"], observed["unknown"], observed["failure"]) == ([], 0, "None")
    return known, journal


def crowd(name, folder, seed, unknown, rest_only):
    """Let a live core trade until so many outcomes were unknown, and hold it to the truth."""
    with exchange(folder) as world:
        quoted(world)
        for _ in range(2):  # an id whose first order has filled is taken again: the count below would show it
            world.ok("POST", "order", "again", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.002,
                     newClientOrderId="the-same")  # fmt: skip
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            desk = runner.run(crowded(world, folder, seed, unknown, rest_only))
        assert round(world.position() * 1_000) == desk.engine.account.position(0)["lots"]
        assert not world.ok("GET", "openOrders") and not world.ok("GET", "openAlgoOrders")
        assert (desk.open_rows(), desk.engine.orders.unknown, desk.engine.orders.illegal) == ([], 0, 0)
    truth, journal = Truth(folder / "history.jsonl", "alice"), Journal(folder / "journal")
    verdict = judge(truth, journal, slack_ns=ENDLESS, grace_ns=-ENDLESS)  # two clocks that have nothing in common
    assert Truth(folder / "history.jsonl", "again").accepted_twice() == ["the-same"]
    filled = sum(bool(real.trades) for real in truth.by_client.values())
    figures.keep(
        name, seed=seed, injected=sum(desk.injected.values()), families=dict(desk.injected),
        told_lost=dict(journal.lost), orders=verdict.orders, filled=filled,
        accepted_twice=len(verdict.accepted_twice), asked_twice=len(verdict.asked_twice),
        ended_without_evidence=len(verdict.false_ends), forgotten=len(verdict.forgotten),
        invented=len(verdict.invented), late=desk.engine.orders.late,
    )  # fmt: skip
    assert sum(desk.injected.values()) >= unknown and sum(journal.lost.values()) >= unknown
    assert filled > verdict.orders / 4
    assert verdict.holds, verdict
    assert not check(folder / "history.jsonl").violations


@pytest.mark.slow
@pytest.mark.parametrize("rest_only", [False, True])
def test_hundreds_of_unknown_outcomes_leave_nothing_doubled_and_nothing_forgotten(tmp_path, rest_only):
    crowd("outcomes, a part", tmp_path, 1, 150, rest_only)


@pytest.mark.slow
def test_a_run_in_a_storm_agrees_with_the_exchange_after_each_outage_and_opens_nothing_beside_a_closed_gate():
    known, journal = weathered("storm, a part", 1, 200, "--most", "40", "--spell", "8", symbols=SYMBOLS[:4])
    assert known
    assert {"ORDER", "CANCEL"} <= set(journal.lost)


@pytest.mark.chaos
def test_seven_thousand_unknown_outcomes_over_the_request_socket(tmp_path):
    crowd("outcomes over the request socket", tmp_path, 7, 7_000, False)


@pytest.mark.chaos
def test_three_thousand_unknown_outcomes_over_rest_alone(tmp_path):
    crowd("outcomes over REST", tmp_path, 8, 3_000, True)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [2, 3])
def test_runs_in_a_storm_agree_with_the_exchange_within_seconds_of_each_heal(seed):
    known, _ = weathered("storm", seed, 10**6, "--most", "300", "--spell", "6", "--burst", "6", symbols=SYMBOLS[:3])
    assert len(known) > 10
    assert figures.share(known, 99) <= 5
    assert max(known) <= 10
