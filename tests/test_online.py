"""PAPER on live streams, as an operator runs it: the exchange on loopback in one process, the run in another."""

import asyncio
import json
import signal
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import configuration
from processes import running, settle
from test_loopback_cli import served

from autotrader.adapters.binance.budget import Budget
from autotrader.cli import main
from autotrader.errors import VenueError
from autotrader.run import live


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch)


def told(capsys, *arguments):
    """Run a command for a machine; return its exit code and its answer."""
    code = main(["--json", *arguments])
    answer = json.loads(capsys.readouterr().out)
    return code, answer.get(arguments[0], answer)


def trading(port, *arguments, **changes):
    """Trade PAPER on the exchange at a port until the block ends; yields the process."""
    file = configuration(Path("c.toml"), profile='"loopback"', port=port, **changes)
    return running(file, "--out", "out", *arguments)


def eventually(capsys, wanted, *arguments, seconds=30.0):
    """Ask until the answer is what is wanted; return it."""
    end, answer = time.monotonic() + seconds, None
    while time.monotonic() < end:
        code, answer = told(capsys, *arguments)
        if code == 0 and wanted(answer):
            return answer
        time.sleep(0.2)
    raise AssertionError(f"it did not come true: {answer}")


def test_a_start_waits_for_room_and_ends_with_the_reason_where_others_leave_none(monkeypatch):
    monkeypatch.setattr(live, "SIT_OUT_S", 0.3)
    monkeypatch.setattr(live, "LOOK_S", 0.05)

    async def nothing(*_):
        pass

    def waited(used):
        budget = Budget()
        budget.spend(used, 0, 0)
        run = SimpleNamespace(config=SimpleNamespace(run=SimpleNamespace(symbols=["BTCUSDT"])), budget=budget)
        run._sit_out = nothing
        return asyncio.run(live.OnlineRun.wait_for_room(run, SimpleNamespace(measure=nothing, now_ns=lambda: 1)))

    waited(1_600)
    with pytest.raises(VenueError, match="asks for 295 of request weight a minute, and 1700 of 2400 are used"):
        waited(1_700)


def test_a_paper_run_on_live_streams_trades_obeys_and_replays_to_the_same_state(capsys):
    with served("--synthetic", "3", "--symbols", "BTCUSDT") as (opened, _), trading(opened["port"]) as run:
        status = eventually(
            capsys, lambda answer: answer["symbols"][0]["book_usable"] and answer["orders_open"], "status"
        )
        assert (status["mode"], status["profile"], status["gates"], status["links"]) == (
            "PAPER", "loopback", [], {"market": "up"},
        )  # fmt: skip
        assert status["symbols"][0]["bid_e8"] < status["symbols"][0]["ask_e8"]
        code, listed = told(capsys, "orders")
        assert code == 0
        assert {one["symbol"] for one in listed} <= {"BTCUSDT"}
        assert told(capsys, "halt")[1]["halted"]
        eventually(capsys, lambda answer: answer["orders_open"] == 0, "status")
        assert not told(capsys, "resume")[1]["halted"]
        eventually(capsys, lambda answer: answer["orders_open"] > 0, "status")
        code, done = told(capsys, "flatten")
        assert (code, done["unconfirmed"], done["positions"], done["orders_open"]) == (0, [], 0, 0)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
    summary = json.loads(Path("out/summary.json").read_text())
    assert json.loads(out)["exit_code"] == 0
    assert summary["orders"] > 0
    code, verdict = told(capsys, "replay", "out", "--verify")
    assert (code, verdict["ok"]) == (0, True), verdict
    assert told(capsys, "audit", "verify", "out")[0] == 0


def test_a_kill_stops_a_run_and_the_next_one_until_it_is_rearmed(capsys):
    with served("--synthetic", "3", "--symbols", "BTCUSDT") as (opened, _):
        with trading(opened["port"]):
            eventually(capsys, lambda answer: answer["orders_open"], "status")
            code, done = told(capsys, "kill")
            assert (code, done["unconfirmed"], done["orders_open"]) == (0, [], 0)
            assert done["killed"]
        Path("out").rename("first")
        with trading(opened["port"]):
            status = eventually(capsys, lambda answer: answer["killed"], "status")
            assert (status["killed"], status["orders_open"]) == (done["killed"], 0)
            time.sleep(2)
            assert told(capsys, "orders")[1] == []


def test_a_run_ends_by_itself_and_says_what_it_did():
    synthetic = ("--synthetic", "3", "--symbols", "BTCUSDT")
    with served(*synthetic) as (opened, _), trading(opened["port"], "--for", "3") as run:
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert json.loads(out)["exit_code"] == 0
    assert sorted(path.name for path in Path("out/market").iterdir())
    assert not Path("out/INCOMPLETE").exists()


def test_no_exchange_is_one_clear_error(capsys):
    file = configuration(Path("c.toml"), profile='"loopback"', port=1)
    assert main(["run", str(file), "--for", "1"]) == 1
    assert "no connection to the exchange" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"mark": '"proxy"'}, "sources.mark"), ({"funding": '"file"'}, "sources.funding")],
)
def test_sources_that_no_stream_brings_are_refused(capsys, changes, said):
    file = configuration(Path("c.toml"), profile='"loopback"', port=1, **changes)
    assert main(["run", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_a_silent_mark_stream_is_asked_for_and_the_run_replays(capsys):
    with served("--synthetic", "3", "--symbols", "BTCUSDT") as (opened, _), trading(opened["port"]) as run:
        eventually(capsys, lambda answer: answer["symbols"][0]["book_usable"], "status")
        table = json.dumps({"do": "mute", "stream": "*markPrice*"}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{opened['port']}/_control/faults", table, timeout=10).close()
        time.sleep(8)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
    assert [text for text in json.loads(out)["summary"]["warnings"] if "MARK_ASKED" in text]
    assert told(capsys, "replay", "out", "--verify")[1]["ok"]
