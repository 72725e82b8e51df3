"""A kill in every state that an order can be in, while all is well and while a way to the exchange is not there."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_loopback_cli import served

from autotrader.adapters.control import ask
from autotrader.adapters.storage.run_folder import RunFolder
from chaos import figures
from chaos.judge import SECOND, Journal, Truth, judge, wire
from chaos.proxy import Proxy
from chaos.single import STATES
from chaos.storm import Faults, asked
from chaos.test_unknown_outcomes import ACCOUNT, configured, environment
from core_ext.types import Command

CONDITIONS = ("healthy", "REST dead", "WebSocket dead", "banned")
DEAD = {"REST dead": {"rest"}, "WebSocket dead": {"socket"}}
SYMBOLS = ("BTCUSDT", "ETHUSDT")
QUICK = ("LIVE", "PENDING_NEW", "UNKNOWN", "ARMED")
LAST_NEW_NS, CONFIRMED_NS = SECOND // 10, 5 * SECOND


def waited(what, seconds):
    """Wait until something is so; return how long, or None if it does not come to be."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > seconds:
            return None
        time.sleep(0.01)
    return time.monotonic() - begun


def is_empty(port):
    """Say whether the account has neither orders nor a position at the exchange."""
    paths = ("/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders")
    try:
        held = [one for one in asked(port, "/fapi/v3/positionRisk") if float(one["positionAmt"])]
        return not held and not any(asked(port, path) for path in paths)
    except OSError:  # banned as the run is
        return False


def killed(state, condition):
    """Bring an order into a state, break something, kill; return what was answered and seen."""
    Path("accounts.toml").write_text(ACCOUNT.format(name="demo"))
    exchange = (
        "--synthetic", "3", "--symbols", ",".join(SYMBOLS), "--accounts", "accounts.toml", "--history", "history.jsonl",
        "--limits", "1000000,1000000",
    )  # fmt: skip
    with served(*exchange) as (opened, _), Proxy(opened["port"]) as proxy:
        port = opened["port"]
        configured(proxy.port, SYMBOLS)
        command = [sys.executable, "-m", "chaos.single", "--config", "c.toml", "--port", str(port), "--state", state]
        with Path("run.err").open("w") as err:
            run = subprocess.Popen(command, stderr=err, env=environment())
        try:
            reached = Path("reached")
            told = waited(lambda: reached.is_file() and reached.read_text(), 120)
            assert told is not None, Path("run.err").read_text()
            faults = Faults(port)
            proxy.dead = DEAD.get(condition, set())
            if condition == "banned":
                faults.add({"do": "ban", "path": "/fapi/*", "ban_s": 8, "name": "ban"})
            with ThreadPoolExecutor(1) as pool:
                asked_ns = time.time_ns()
                answer = pool.submit(ask, Path("state"), "kill", {"reason": "matrix"}, 30.0)
                time.sleep(0.02)
                faults.lift("ban")
                done = answer.result(30)
            took_s = (time.time_ns() - asked_ns) / SECOND
            time.sleep(0.5)
            proxy.dead = set()
            empty_s = waited(lambda: is_empty(port), 60)
            run.send_signal(2)
            run.wait(30)
        finally:
            if run.poll() is None:
                run.kill()
                run.wait(10)
    number = int(reached.read_text())
    return {"number": number, "asked_ns": asked_ns, "took_s": took_s, "done": done, "empty_s": empty_s}


def measured(seen):
    """Return when the last order that could open more left, and when or as what each known order was dealt with."""
    truth, journal = Truth(Path("history.jsonl")), Journal(RunFolder(Path("out")).journal_file)
    row, _, kill_ns = next(one for one in journal.commands if one[1] is Command.KILL)
    named = set(seen["done"].unconfirmed)
    left_ns = [t for t, _, opens in journal.sent if opens]
    taken_ns = [t for _, a, opens in journal.sent if opens for t in truth.by_client[wire(a)].accepted]
    last_ns, taken_ns = (max(0, max(stamps, default=0) - seen["asked_ns"]) for stamps in (left_ns, taken_ns))
    known = {a: one for a, one in journal.orders.items() if one.row < row and not (one.over and one.over[0] < row)}
    late = {wire(a): one.over[1] - kill_ns for a, one in known.items() if one.over}
    left = [wire(a) for a in known if late.get(wire(a), CONFIRMED_NS + 1) > CONFIRMED_NS]
    found = {
        "last_left_ms": round(last_ns / 1e6, 1), "last_taken_ms": round(taken_ns / 1e6, 1),
        "told_after_ms": round((kill_ns - seen["asked_ns"]) / 1e6, 1), "known": len(known),
        "confirmed_s": round(max(late.values(), default=0) / SECOND, 2), "named": len(named),
        "unnamed": sorted(set(left) - named), "answered_s": round(seen["took_s"], 2), "empty_s": seen["empty_s"],
        "subject_known": seen["number"] in known,
    }  # fmt: skip
    return found, judge(truth, journal), last_ns


def cell(state, condition, is_timed=True):
    """Judge one cell of the matrix and keep its figures; times count only on a machine that does nothing else."""
    seen = killed(state, condition)
    found, verdict, last_ns = measured(seen)
    figures.keep("kill", state=state, condition=condition, **found)
    if is_timed:
        assert last_ns <= LAST_NEW_NS, found
        assert not found["unnamed"], found
    assert verdict.holds, verdict
    assert seen["empty_s"] is not None, found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("state", QUICK)
def test_a_kill_while_all_is_well_empties_the_account_whatever_state_an_order_is_in(state):
    found = cell(state, "healthy", is_timed=False)
    assert found["subject_known"]


@pytest.mark.chaos
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("state", STATES)
def test_the_kill_matrix(state, condition):
    cell(state, condition)
