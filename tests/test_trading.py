"""TESTNET over the wire: run, exchange and operator are three processes; the history says what really happened."""

import hmac
import json
import signal
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest
from builders import configuration
from processes import running, settle
from protection import unprotected
from test_loopback_cli import fetched, served
from test_online import eventually, told

from autotrader.cli import main

KEY, SECRET = "loopback-demo-key", "loopback-demo-secret"
EXCHANGE = ("--synthetic", "3", "--symbols", "BTCUSDT", "--history", "history.jsonl")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, AUTOTRADER_API_KEY=KEY, AUTOTRADER_API_SECRET=SECRET)


def configured(port, **changes):
    """Write the configuration of a quoter on the exchange at a port."""
    changes = {"profile": '"loopback"', "port": port, "requote_ms": 100} | changes
    return configuration(Path("c.toml"), mode="testnet", **changes)


def trading(port, out="out", *arguments, **changes):
    """Trade TESTNET on the exchange at a port until the block ends; yields the process."""
    return running(configured(port, **changes), "--mode", "testnet", "--out", out, *arguments)


def ended(run):
    """Stop a run; return its summary."""
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, out + err
    return json.loads(out)["summary"]


def asked(port, path, method="GET", **params):
    """Make a signed call as the account of the run."""
    query = urlencode({**params, "timestamp": json.loads(fetched(port, "/fapi/v1/time"))["serverTime"]})
    signature = hmac.new(SECRET.encode(), query.encode(), "sha256").hexdigest()
    url = f"http://127.0.0.1:{port}{path}?{query}&signature={signature}"
    request = urllib.request.Request(url, method=method, headers={"X-MBX-APIKEY": KEY})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def fault(port, **table):
    """Ask the exchange for something to go wrong."""
    data = json.dumps(table).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/_control/faults", data, timeout=10).close()


def position(port):
    """Return the position at the exchange, in coins."""
    return sum(float(one["positionAmt"]) for one in asked(port, "/fapi/v3/positionRisk", symbol="BTCUSDT"))


def protected(port, held, seconds=10.0):
    """Say whether there comes to be one stop at the exchange for a position, and none for none, in time."""
    end = time.monotonic() + seconds
    while len(asked(port, "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")) != (held != 0):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def proved(capsys):
    """Say whether the exchange's history holds every invariant: nothing accepted twice, money conserved, and so on."""
    code = main(["exchange", "check", "history.jsonl"])
    capsys.readouterr()
    return code


def filled(capsys, seconds=40.0):
    """Wait until the run holds a position; return it."""
    return eventually(capsys, lambda legs: legs and legs[0]["quantity_e8"], "positions", seconds=seconds)[0]


def test_a_run_trades_is_protected_agrees_with_the_exchange_and_replays(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            leg = filled(capsys)
            status = told(capsys, "status")[1]
            assert (status["mode"], status["profile"], status["gates"]) == ("TESTNET", "loopback", [])
            assert status["links"] == {"market": "up", "orders": "up", "user": "up"}
            assert leg["symbol"] == "BTCUSDT"
            told(capsys, "halt")
            eventually(capsys, lambda orders: not [o for o in orders if o["type"] == "LIMIT"], "orders")
            held = sum(one["quantity_e8"] for one in told(capsys, "positions")[1])
            assert held == round(position(port) * 10**8)
            assert protected(port, held)
            summary = ended(run)
        assert summary["fills"] > 0
        assert summary["orders"] > summary["fills"] / 2
        assert asked(port, "/fapi/v1/openOrders") == []
        bodies = asked(port, "/fapi/v3/balance")
        wallet = next(float(one["balance"]) for one in bodies if one["asset"] == "USDT")
        realised = summary["initial_equity"] + summary["realised_pnl"] - summary["fees"] + summary["funding"]
        assert wallet == pytest.approx(realised, abs=1e-6)
    assert proved(capsys) == 0
    assert told(capsys, "replay", "out", "--verify")[1]["ok"]
    assert told(capsys, "audit", "verify", "out")[0] == 0


def test_a_hot_run_is_proved_and_replays_like_any_other(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, hot="true") as run:
            filled(capsys)
            summary = ended(run)
        assert summary["fills"] > 0
        assert not [one for one in summary["warnings"] if one.startswith("REHEARSAL_FAILED")]
    assert proved(capsys) == 0
    assert told(capsys, "replay", "out", "--verify")[1]["ok"]
    assert told(capsys, "audit", "verify", "out")[0] == 0


def test_a_run_sets_the_leverage_and_the_margin_type_that_are_configured(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"], leverage=2, margin='"isolated"') as run:
        filled(capsys)
        (found,) = asked(opened["port"], "/fapi/v1/symbolConfig", symbol="BTCUSDT")
        assert (found["leverage"], found["marginType"]) == (2, "ISOLATED")
        assert told(capsys, "positions")[1][0]["isolated"]
        ended(run)
    assert proved(capsys) == 0


def test_a_kill_empties_the_account_at_the_exchange(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"]):
        filled(capsys)
        code, done = told(capsys, "kill")
        assert (code, done["unconfirmed"], done["positions"]) == (0, [], 0)
        assert position(opened["port"]) == 0
        assert asked(opened["port"], "/fapi/v1/openOrders") == []
        assert asked(opened["port"], "/fapi/v1/openAlgoOrders") == []
    assert proved(capsys) == 0


def test_a_run_that_was_killed_by_the_system_is_taken_up_by_the_next(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, "first") as run:
            filled(capsys)
            run.kill()
            run.wait(10)
        held = position(port)
        assert len(asked(port, "/fapi/v1/openAlgoOrders")) == (held != 0)  # protected while nobody is there
        with trading(port, "second") as run:
            eventually(capsys, lambda answer: not answer["gates"], "status")
            told(capsys, "halt")
            eventually(capsys, lambda orders: not [o for o in orders if o["type"] == "LIMIT"], "orders")
            taken = sum(leg["quantity_e8"] for leg in told(capsys, "positions")[1])
            assert taken == round(position(port) * 10**8)
            assert protected(port, taken), told(capsys, "orders")
            ended(run)
        assert asked(port, "/fapi/v1/openOrders") == []
    assert proved(capsys) == 0
    assert told(capsys, "replay", "second", "--verify")[1]["ok"]


def test_what_an_operator_has_held_back_stays_so_in_the_next_run_and_an_end_holds_nothing_back(capsys):
    with served(*EXCHANGE) as (opened, _):
        with trading(opened["port"], "first") as run:
            filled(capsys)
            assert told(capsys, "reduce", "--symbols", "BTCUSDT")[1]["reduce_only"] == ["BTCUSDT"]
            ended(run)
        with trading(opened["port"], "second") as run:
            status = eventually(capsys, lambda answer: not answer["gates"], "status")
            assert not status["halted"]
            assert told(capsys, "halt")[1]["reduce_only"] == ["BTCUSDT"]
            ended(run)
    assert proved(capsys) == 0
    assert told(capsys, "replay", "second", "--verify")[1]["ok"]


@pytest.mark.parametrize(
    "faults",
    [
        [{"do": "delay", "path": path, "delay_s": 2} for path in ("/fapi/v1/symbolConfig", "/fapi/v1/listenKey")],
        [{"do": "internal_503", "path": "/fapi/v3/positionRisk", "count": 3}],
    ],
    ids=["slow", "refusing"],
)
def test_a_position_that_is_found_keeps_a_stop_while_the_run_gets_ready(capsys, faults):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        mark = float(json.loads(fetched(port, "/fapi/v1/premiumIndex?symbol=BTCUSDT"))["markPrice"])
        asked(port, "/fapi/v1/order", "POST", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.005")
        asked(
            port, "/fapi/v1/algoOrder", "POST", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
            type="STOP_MARKET", triggerPrice=f"{mark * 0.95:.1f}", closePosition="true", workingType="MARK_PRICE",
            clientAlgoId="at0000000100000001",
        )  # fmt: skip
        for table in faults:
            fault(port, **table)
        with trading(port) as run:
            eventually(capsys, lambda legs: legs and legs[0]["stop_e8"], "positions", seconds=40.0)
            told(capsys, "halt")
            ended(run)
    assert proved(capsys) == 0
    waits = [(end - begun) / 10**9 for begun, end in unprotected(Path("history.jsonl"))]
    # Shorter than what the exchange delays, or than its refusals; the first was our own hand's.
    assert max(waits[1:]) < 4, waits


@pytest.mark.parametrize(("ban_s", "waits"), [(10, True), (600, False)])
def test_a_run_asks_nothing_while_the_exchange_wants_to_be_left_alone(capsys, ban_s, waits):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, "first") as run:
            filled(capsys)
            fault(port, do="ban", path="/fapi/v1/openOrders", ban_s=ban_s)
            eventually(capsys, lambda answer: "BANNED" in answer["gates"], "status", seconds=15.0)
            banned_s = time.monotonic()
            time.sleep(1.5)
            run.kill()
            run.wait(10)
        with trading(port, "second") as run:
            if waits:
                eventually(capsys, lambda answer: not answer["gates"], "status", seconds=30.0)
                assert time.monotonic() - banned_s > ban_s - 1.0  # what it was told a second ago it has heard just now
                ended(run)
            else:
                assert run.wait(20) == 1
                assert "wants to be left alone until" in run.stdout.read()


@pytest.mark.parametrize("do", ["timeout_done", "timeout_undone", "lose_answer", "lose_request"])
def test_no_order_is_sent_twice_or_forgotten_when_answers_are_lost(capsys, do):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys)
            fault(port, do=do, path="/fapi/v1/order", method="POST", count=3)
            time.sleep(8)
            told(capsys, "halt")
            status = eventually(
                capsys, lambda answer: not answer["orders_unknown"] and not answer["gates"], "status", seconds=30
            )
            assert status["orders_unknown"] == 0
            eventually(capsys, lambda orders: not [o for o in orders if o["type"] == "LIMIT"], "orders")
            held = told(capsys, "positions")[1]
            assert sum(one["quantity_e8"] for one in held) == round(position(port) * 10**8)
            ended(run)
        assert asked(port, "/fapi/v1/openOrders") == []
    assert proved(capsys) == 0


def test_a_stranger_at_the_account_halts_entries_and_is_not_touched(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"]):
        port = opened["port"]
        eventually(capsys, lambda answer: answer["orders_open"], "status")
        price = round(float(json.loads(fetched(port, "/fapi/v1/premiumIndex?symbol=BTCUSDT"))["markPrice"]) * 0.96, 1)
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "timeInForce": "GTC"}
        asked(port, "/fapi/v1/order", "POST", **order, price=f"{price:.1f}", newClientOrderId="by-hand")
        eventually(capsys, lambda answer: answer["halted"], "status")
        eventually(capsys, lambda orders: not [o for o in orders if o["type"] == "LIMIT"], "orders")
        assert [one["clientOrderId"] for one in asked(port, "/fapi/v1/openOrders")] == ["by-hand"]


def test_a_second_run_of_the_account_is_refused(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"]) as run:
        eventually(capsys, lambda answer: answer["links"], "status")
        file = configured(opened["port"])
        assert main(["run", str(file), "--mode", "testnet", "--for", "1"]) == 2
        assert str(run.pid) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AUTOTRADER_API_KEY": "another-key-that-is-none"}, "-2015"),
        ({"AUTOTRADER_API_SECRET": "wrong-secret"}, "-1022"),
    ],
)
def test_keys_that_are_not_the_accounts_are_one_clear_error(capsys, monkeypatch, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with served(*EXCHANGE) as (opened, _):
        file = configured(opened["port"])
        assert main(["run", str(file), "--mode", "testnet", "--for", "1"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert not any(value in error for value in environment.values())
