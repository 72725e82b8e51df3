"""TESTNET over the wire while something goes wrong: what the run then holds is what the exchange has.

Rows of the catalogue of faults (docs/faults.md) stand in the tests' names; times are those of the exchange's history.
"""

import errno
import json
import os
import resource
import signal
import time
import urllib.request
from pathlib import Path
from threading import Thread

import pytest
from test_loopback_cli import fetched, served
from test_online import eventually, told
from test_trading import (  # noqa: F401
    EXCHANGE,
    _here,
    asked,
    configured,
    ended,
    fault,
    filled,
    position,
    proved,
    trading,
)

from autotrader.cli import main
from core_ext.journal import read_journal
from core_ext.types import Gate, Kind

E8 = 10**8
ORDER = {"path": "/fapi/v1/order", "method": "POST"}
ALGO = {"path": "/fapi/v1/algoOrder", "method": "POST"}
DEMO = {"account": "demo"}
BTC = DEMO | {"symbol": "BTCUSDT"}
ENDED = ("FINISHED", "CANCELED", "EXPIRED", "REJECTED", "TRIGGERED")

PATIENT_S = 120.0
"""For a first fill: nothing is measured until then."""

pytestmark = pytest.mark.slow


def listed(port):
    """Return what was asked to go wrong, by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_control/faults", timeout=10) as answer:
        return {one["name"]: one for one in json.loads(answer.read())}


def lift(port, *names):
    """Let what goes wrong stop going wrong."""
    for name in names:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/_control/faults/{name}", method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()


def held(capsys):
    """Return the position that the run believes in, 1e-8 coins."""
    return sum(leg["quantity_e8"] for leg in told(capsys, "positions")[1])


def limits(capsys):
    """Return the orders that are no stops."""
    return [one for one in told(capsys, "orders")[1] if one["type"] == "LIMIT"]


def settled(capsys, port, seconds=60.0):
    """Halt, and wait until the run holds what the exchange has, nothing unknown, nothing that could open; return it."""
    told(capsys, "halt")
    eventually(capsys, lambda now: not now["gates"] and not now["orders_unknown"], "status", seconds=seconds)
    end = time.monotonic() + seconds
    while (ours := held(capsys)) != (theirs := round(position(port) * E8)) or limits(capsys):
        assert time.monotonic() < end, (ours, theirs, limits(capsys))
        time.sleep(0.5)
    assert asked(port, "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    while (ours := told(capsys, "balance")[1][0]["wallet_e8"]) != round(wallet(port) * E8):
        assert time.monotonic() < end, (ours, wallet(port))
        time.sleep(0.5)
    while len(stops(port)) != (theirs != 0):
        assert time.monotonic() < end, (theirs, told(capsys, "orders"), stops(port))
        time.sleep(0.5)
    return theirs


def stops(port):
    """Return the stops at the exchange; of one symbol, for whoever asks uses up the weight of the run's address."""
    return asked(port, "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")


def wallet(port):
    """Return the USDT wallet at the exchange."""
    return next(float(one["balance"]) for one in asked(port, "/fapi/v3/balance") if one["asset"] == "USDT")


def ended_still(run, port):
    """Stop a run while its market stands still, so that nothing is carried out afterwards; return its summary."""
    urllib.request.urlopen(f"http://127.0.0.1:{port}/_control/pause", b"", timeout=10).close()
    return ended(run)


def booked(summary):
    """Return the USDT wallet that a run's own books lead to."""
    return summary["initial_equity"] + summary["realised_pnl"] - summary["fees"] + summary["funding"]


def warned(summary, alert):
    """Return the warnings of one alert."""
    return [one for one in summary["warnings"] if one.startswith(f"{alert}:")]


def history(*kinds):
    """Return what the exchange wrote down about the account, of some kinds."""
    lines = map(json.loads, Path("history.jsonl").read_text().splitlines())
    return [one for one in lines if one["k"] in kinds and one.get("account", 0) == 0]


def bare():
    """Return the longest time of a position without a stop, s, and the most stops that stood at once."""
    longest, most, stops, since, lots = 0, 0, set(), None, 0
    for one in history("fill", "forced", "algo"):
        lots = one.get("position", lots)
        if one["k"] == "algo":
            stops = stops - {one["algo"]} if one["status"] in ENDED else stops | {one["algo"]}
        most = max(most, len(stops))
        if lots and not stops:
            since = since or one["t"]
        elif since:
            longest, since = max(longest, one["t"] - since), None
    assert since is None
    return longest / 1e9, most


def replayed(capsys):
    """Say whether the journal leads to the same state once more."""
    return told(capsys, "replay", "out", "--verify")[1]["ok"]


# ---------------------------------------------------------------------------------- the account's stream


def test_b3_c4_c5_c6_events_that_come_twice_late_and_out_of_order_change_nothing(capsys):
    noise = {"duplicate": {}, "reorder": {}, "delay": {"delay_s": 0.4}}
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            for do, more in noise.items():
                fault(port, do=do, name=do, stream="user", share=0.3, count=1000, **more)
            fault(port, do="timeout_done", name="late", delay_s=0.6, count=3, **ORDER)
            end = time.monotonic() + 60
            while not all(one["fired"] > 1 for one in listed(port).values()):
                assert time.monotonic() < end, listed(port)
                time.sleep(0.5)
            lift(port, *noise)
            settled(capsys, port)
            summary = ended_still(run, port)
        assert wallet(port) == pytest.approx(booked(summary), abs=1e-6)
    assert proved(capsys) == 0 and replayed(capsys)


def test_c1_c2_a_key_that_expires_is_replaced_and_what_was_missed_is_found(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            fault(port, do="drop", name="deaf", stream="user", event="ORDER_TRADE_UPDATE", count=1000)
            time.sleep(2)
            fault(port, do="expire_key", **DEMO)
            lift(port, "deaf")
            time.sleep(5)
            settled(capsys, port)
            summary = ended_still(run, port)
        assert warned(summary, "USER_STREAM_LOST")
        assert wallet(port) == pytest.approx(booked(summary), abs=1e-6)
    assert proved(capsys) == 0 and replayed(capsys)


def test_c3_c7_a_mute_stream_is_replaced_keeps_entries_in_and_costs_no_fill(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            fault(port, do="mute", name="silence", stream="user")
            shut = eventually(capsys, lambda now: "USER_STREAM" in now["gates"], "status")
            assert shut["links"]["user"] == "up"  # its other side answers all the while
            time.sleep(8)
            lift(port, "silence")
            settled(capsys, port)
            summary = ended_still(run, port)
        assert warned(summary, "USER_STREAM_MUTE")
        assert wallet(port) == pytest.approx(booked(summary), abs=1e-6)
    assert proved(capsys) == 0 and replayed(capsys)


# ---------------------------------------------------------------------------------- what the exchange and others do


@pytest.mark.parametrize(
    ("row", "alarm", "deed"),
    [
        ("C9", "DELEVERAGING", {"do": "adl", "share": 1.0, **BTC}),
        ("C10", None, {"do": "liquidate", **DEMO}),
        ("C11", None, {"do": "settle", "symbol": "BTCUSDT", "price": "90000"}),
        ("B25", "FOREIGN_ORDER", {"do": "foreign_order", "side": "BUY", "quantity": "0.002", **BTC}),
    ],
)
def test_what_somebody_else_does_to_the_position_is_taken_over_at_once_and_halts_entries(capsys, row, alarm, deed):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            for k in range(20):
                if k == 0 or row in ("C9", "C10"):  # there is nothing to close where the position has just been closed
                    fault(port, name=f"{row}-{k}", **deed)
                time.sleep(1)
                if told(capsys, "status")[1]["halted"]:
                    break
            assert told(capsys, "status")[1]["halted"]
            begun = time.monotonic()
            while held(capsys) != round(position(port) * E8):
                assert time.monotonic() < begun + 20
            settled(capsys, port)
            summary = ended_still(run, port)
        assert alarm is None or summary["alarms"][alarm] >= 1
        if row != "C10":  # closed at no price: the comparison takes the rest over, and books no trade
            assert wallet(port) == pytest.approx(booked(summary), abs=1e-6)
    assert proved(capsys) == 0 and replayed(capsys)


def test_c13_c14_a19_money_that_comes_goes_and_is_paid_is_neither_profit_nor_loss_where_it_is_none(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            fault(port, do="withdraw", asset="USDT", amount="5000", **DEMO)
            fault(port, do="fee_tier", maker="-0.0001", taker="0.0003", **DEMO)
            fault(port, do="funding", symbol="BTCUSDT", rate="0.02")
            time.sleep(8)
            status = told(capsys, "status")[1]
            assert not status["halted"] and not status["ladder"]
            assert status["drawdown_e8"] < 10**6 and status["equity_e8"] < 5_100 * E8  # a share of 1e-8: less than 1 %
            settled(capsys, port)
            summary = ended_still(run, port)
        assert summary["funding"]
        assert wallet(port) == pytest.approx(booked(summary) - 5_000, abs=1e-6)
    assert proved(capsys) == 0 and replayed(capsys)


# ---------------------------------------------------------------------------------- refusals


def test_b17_c12_refusals_again_and_again_neither_storm_nor_use_up_the_budget(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            for code, name in ((-2019, "margin"), (-2027, "bracket")):
                fault(port, do="error", name=name, code=code, text="no", spare_exits=True, count=1000, **ORDER)
                begun = time.monotonic()
                time.sleep(15)
                fired = listed(port)[name]["fired"]
                assert 0 < fired <= 20 + 2 * (time.monotonic() - begun)  # the strategy's burst and rate (R11)
                lift(port, name)
            settled(capsys, port)
            summary = ended(run)
        assert warned(summary, "MARGIN") and warned(summary, "BRACKET_CHANGED")
        assert not warned(summary, "RECONCILE_FAILED") and not warned(summary, "RULES_FAILED")
    assert proved(capsys) == 0


def test_c15_a_restricted_account_opens_nothing_may_be_left_and_opens_again_when_an_operator_resumes(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            fault(port, do="error", name="no", code=-4192, text="Cooling-off.", spare_exits=True, **ORDER)
            eventually(capsys, lambda now: "LINK" in now["gates"], "status")
            code, done = told(capsys, "flatten")
            assert (code, done["positions"], done["unconfirmed"]) == (0, 0, []) and position(port) == 0
            assert told(capsys, "status")[1]["gates"] == ["LINK"]
            told(capsys, "resume")
            eventually(capsys, lambda now: not now["gates"] and now["orders_open"], "status")
            settled(capsys, port)
            summary = ended(run)
        assert warned(summary, "RESTRICTED")
    assert proved(capsys) == 0


def test_b15_an_exit_of_a_position_that_is_gone_is_refused_once_and_leads_to_a_comparison(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            lots = 0
            while not lots:
                filled(capsys, PATIENT_S)
                told(capsys, "halt")
                eventually(capsys, lambda orders: not [one for one in orders if one["type"] == "LIMIT"], "orders")
                lots = position(port)
                if not lots:
                    told(capsys, "resume")
            fault(port, do="drop", name="deaf", stream="user", count=1000)
            side = "SELL" if lots > 0 else "BUY"
            words = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": f"{abs(lots):.3f}"}
            asked(port, "/fapi/v1/order", "POST", reduceOnly="true", newClientOrderId="by-hand", **words)
            begun = time.monotonic()
            told(capsys, "flatten")
            while held(capsys):
                assert time.monotonic() < begun + 30
            lift(port, "deaf")
            eventually(capsys, lambda now: not now["gates"] and not now["orders_open"], "status")
            ended(run)
        assert position(port) == 0
    assert 0 < len([one for one in history("refused") if one["code"] == -2022]) <= 4
    assert proved(capsys) == 0


# ---------------------------------------------------------------------------------- protection


@pytest.mark.parametrize(
    ("row", "table", "seconds"),
    [
        ("B22", {"do": "lose_answer"}, 3.0),
        ("B2", {"do": "lose_request"}, 15.0),
        ("B20", {"do": "error", "code": -4045, "text": "Reach max stop order limit."}, 5.0),
        ("B19", {"do": "error", "code": -2021, "text": "Order would immediately trigger."}, 5.0),
    ],
)
def test_a_stop_that_meets_a_fault_stands_soon_and_never_twice(capsys, row, table, seconds):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        fault(port, name=row, **table, **ALGO)
        with trading(port) as run:
            end = time.monotonic() + 60
            while not listed(port)[row]["fired"]:
                assert time.monotonic() < end
                time.sleep(0.2)
            time.sleep(seconds)
            settled(capsys, port)
            ended(run)
    longest, most = bare()
    assert longest <= seconds and most == 1
    assert proved(capsys) == 0


# ---------------------------------------------------------------------------------- the whole of it


def test_h9_d2_a_kill_during_a_ban_names_what_is_left_asks_nothing_and_ends_it_afterwards(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            fault(port, do="ban", name="ban", ban_s=15, **DEMO, **ORDER)
            eventually(capsys, lambda now: "BANNED" in now["gates"], "status")
            lots = held(capsys)
            code, done = told(capsys, "kill")
            assert done["killed"] and (code, done["unconfirmed"] != []) == (int(lots != 0), lots != 0)
            eventually(capsys, lambda now: not now["gates"] and not now["orders_open"], "status", seconds=40)
            assert held(capsys) == position(port) == 0
            summary = ended(run)
        assert asked(port, "/fapi/v1/openOrders") == stops(port) == []
        said = warned(summary, "BANNED")
        times = [int(one.rpartition("(")[2][:-1]) if one.endswith(")") else 1 for one in said]
        assert 1 <= sum(times) <= 2, said  # what was banned, and what was on its way
    assert proved(capsys) == 0


def test_d7_d8_an_exchange_that_falls_silent_is_agreed_with_soon_after_its_return(capsys):
    with served(*EXCHANGE) as (opened, exchange):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            exchange.send_signal(signal.SIGSTOP)
            time.sleep(14)
            shut = told(capsys, "status")[1]["gates"]
            exchange.send_signal(signal.SIGCONT)
            assert {"USER_STREAM", "RECONCILING"} <= set(shut)
            eventually(capsys, lambda now: not now["gates"] and not now["orders_unknown"], "status", seconds=60)
            settled(capsys, port)
            ended(run)
    assert proved(capsys) == 0 and replayed(capsys)


def test_e4_f14_a_run_that_slept_opens_nothing_before_it_has_compared(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            run.send_signal(signal.SIGSTOP)
            time.sleep(14)
            woke_ns = json.loads(fetched(port, "/fapi/v1/time"))["serverTime"] * 10**6
            run.send_signal(signal.SIGCONT)
            time.sleep(8)
            settled(capsys, port)
            ended(run)
    journal = [one for block in read_journal("out/journal/000000.seg") for one in block.array()]
    gates = [(int(one["ts"]), int(one["a"])) for one in journal if one["kind"] == Kind.GATE and one["ts"] >= woke_ns]
    assert gates[0][1] & Gate.RECONCILING and gates[0][0] <= woke_ns + 10**9
    opened_ns = next(ts for ts, shut in gates if not shut)
    assert [one for one in history("order") if not one["reduce"] and woke_ns <= one["t"] < opened_ns] == []
    assert proved(capsys) == 0 and replayed(capsys)


def test_f5_a_disk_that_fails_ends_the_run_and_takes_back_what_could_open(capsys):
    place = Path("out/journal/000000.seg").absolute()

    def failing():
        while not place.exists() or place.stat().st_size < 20_000:
            time.sleep(0.01)
        number = next(one for one in Path("/proc/self/fd").iterdir() if one.resolve() == place)
        with Path("/dev/null").open("wb") as nowhere:  # takes what is written, and makes nothing durable
            os.dup2(nowhere.fileno(), int(number.name))

    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        Thread(target=failing, daemon=True).start()
        code = main(["run", str(configured(port)), "--mode", "testnet", "--out", "out", "--for", "60"])
        assert code == 1 and os.strerror(errno.EINVAL) in capsys.readouterr().err
        assert [one for one in asked(port, "/fapi/v1/openOrders") if not one["reduceOnly"]] == []
        assert len(stops(port)) == (position(port) != 0)
    assert proved(capsys) == 0


def test_f6_a_journal_that_finds_no_room_ends_the_run_and_leaves_the_position_protected(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port) as run:
            filled(capsys, PATIENT_S)
            size = Path("out/journal/000000.seg").stat().st_size
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
            out, err = run.communicate(timeout=60)
        assert run.returncode == 2 and "Traceback" not in out + err
        assert [one for one in asked(port, "/fapi/v1/openOrders") if not one["reduceOnly"]] == []
        assert len(stops(port)) == (position(port) != 0)
    assert proved(capsys) == 0


def test_f12_after_three_crashes_a_run_opens_nothing_and_can_be_left(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        for name in "abc":
            with trading(port, name) as run:
                filled(capsys, PATIENT_S)
                run.kill()
                run.wait(10)
        with trading(port, "safe") as run:
            eventually(capsys, lambda now: now["gates"] == ["SAFE"], "status")
            lots = held(capsys)
            time.sleep(5)
            assert told(capsys, "status")[1]["safe"] and abs(held(capsys)) <= abs(lots)
            code, done = told(capsys, "flatten")
            assert (code, done["unconfirmed"], position(port)) == (0, [], 0)
            ended(run)
    assert proved(capsys) == 0
