"""The watchdog: exchange, run and watchdog are processes, and the exchange's history is the truth."""

import asyncio
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from loopback_world import World
from rest_clients import Account, run
from test_loopback_cli import fetched, served
from test_online import eventually
from test_trading import EXCHANGE, asked, configured, fault, position, proved, trading
from test_trading import _here as _here

from autotrader.adapters.storage.state import Epochs, Latch, Lock, Starts
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.cli import main
from autotrader.config import load
from autotrader.errors import OperatorError
from autotrader.run import watchdog as module
from autotrader.run.live import LEASE_S
from autotrader.run.trading import TradingHours
from autotrader.run.watchdog import ASLEEP_S, SETTLING_S, Health, Patience, Seen, Watchdog, Watched

QUIET = {"watchdog_s": 10}


# ---------------------------------------------------------------------------------- patience


def blamed(*looks, quiet_s=15.0):
    """Return the moments at which a run is taken for gone, after looks of (second, health) at its first start."""
    patience = Patience(quiet_s)
    return [at for at, health, *start in looks if patience.ends(Seen(health, *(start or [1])), at)]


def every(seconds, health, begun=0):
    return [(begun + at, health) for at in range(seconds)]


@pytest.mark.parametrize("health", [Health.SILENT, Health.DEAD])
def test_a_run_without_a_sign_of_life_is_blamed_when_the_time_is_over(health):
    assert blamed(*every(16, health)) == [15]
    assert blamed(*every(15, health)) == []


def test_one_sign_of_life_begins_the_time_anew():
    assert blamed(*every(10, Health.SILENT), (10, Health.WELL), *every(15, Health.SILENT, 11)) == []


def test_a_run_that_dies_of_what_made_it_silent_has_no_second_time():
    assert blamed(*every(10, Health.SILENT), *every(6, Health.DEAD, 10)) == [15]


def test_a_new_start_has_its_own_time():
    assert blamed(*every(14, Health.DEAD), *((14 + at, Health.SILENT, 2) for at in range(15))) == []


def test_a_run_that_starts_or_ends_has_five_minutes():
    assert blamed(*every(int(SETTLING_S), Health.SETTLING)) == []
    assert blamed(*every(int(SETTLING_S) + 1, Health.SETTLING)) == [SETTLING_S]


@pytest.mark.parametrize("health", [Health.WELL, Health.ABSENT])
def test_who_is_well_or_ended_cleanly_is_never_blamed(health):
    assert blamed(*every(2000, health)) == []


def test_while_nobody_looked_no_run_is_blamed():
    assert blamed((0, Health.SILENT), (ASLEEP_S + 100, Health.SILENT), (ASLEEP_S + 105, Health.SILENT)) == []


# ---------------------------------------------------------------------------------- what is seen


@pytest.fixture
def folder(tmp_path):
    opened = StateFolder(tmp_path / "state")
    yield opened
    opened.close()


def lock(folder):
    return Lock(folder, Epochs(folder, lambda: 0))


def test_a_run_is_seen_from_its_start_to_its_death(folder):
    watched, starts, held = Watched(folder), Starts(folder), lock(folder)
    assert watched.look() == Seen(Health.ABSENT, 0)
    held.acquire()
    starts.begin(1000)
    assert watched.look() == Seen(Health.SETTLING, 1000)
    held.release()
    assert watched.look() == Seen(Health.DEAD, 1000)
    starts.end()
    assert watched.look() == Seen(Health.ABSENT, 0)


def test_an_epoch_of_the_watchdog_keeps_new_runs_out_and_is_nobody_s(folder):
    watched = Watched(folder)
    with watched.epoch() as first:
        assert watched.holder() == str(os.getpid())
    held = lock(folder)
    taken = held.acquire()
    assert taken > first
    with watched.epoch() as second:
        assert second > taken
        assert watched.holder() == str(os.getpid())
    held.release()


# ---------------------------------------------------------------------------------- the end of a run that died


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        one.quote()
        one.hold("BUY", 0.5)
        yield one


def ending(world, folder, start_ns=1000):
    """End the trading of a run that died; return what was told, and the watchdog."""
    told = []

    async def main():
        async with Account(world) as account:
            dog = Watchdog(load(configured(world.port)), folder, None, lambda event, text: told.append(event))
            dog.rest, dog.clock = account.rest, account.clock
            account.clock.measure = measured
            await dog._end(start_ns)
            return dog

    async def measured():
        told.append("MEASURED")

    return told, run(main())


def test_a_run_that_died_is_ended_once(world, folder):
    Starts(folder).begin(1000)
    told, dog = ending(world, folder)
    assert told == ["GONE", "LATCHED", "MEASURED", "SENT", "ENDED"]
    assert (dog.ended, dog.left, world.position()) == (1, [], 0)
    assert ending(world, folder)[0] == []


def test_a_start_after_the_look_is_not_blamed(world, folder):
    Starts(folder).begin(1000)
    Starts(folder).begin(2000)
    assert ending(world, folder)[0] == []
    assert (world.position(), Latch(folder).read()) == (0.5, None)


@pytest.mark.parametrize("name", ["kill", "epoch", "watchdog"])
def test_a_disk_that_refuses_is_told_and_tried_again(world, folder, monkeypatch, name):
    Starts(folder).begin(1000)
    refusals, write = [name] * 2, folder._write

    def refused(fresh, data):
        if refusals and name in fresh:
            refusals.pop()
            raise OSError(errno.ENOSPC, "no space")
        write(fresh, data)

    monkeypatch.setattr(folder, "_write", refused)
    monkeypatch.setattr(module, "CAP_S", 0.1)
    told, dog = ending(world, folder)
    assert ("FAILED" in told, told[-1], world.position(), dog.left) == (True, "ENDED", 0, [])


def test_a_stamp_that_is_refused_is_measured_anew(world, folder):
    Starts(folder).begin(1000)
    world.fault("error", path="/fapi/v1/openOrders", method="GET", code=-1021, text="outside", count=1)
    told, _ = ending(world, folder)
    assert told == ["GONE", "LATCHED", "MEASURED", "FAILED", "MEASURED", "SENT", "ENDED"]


# ---------------------------------------------------------------------------------- a run that wakes up


def hours_that_looked(seconds_ago):
    """Return the hours of a run that looked at the kill latch so long ago, and the stamps of what leaves."""
    hours, left = object.__new__(TradingHours), []
    hours.events = SimpleNamespace(note=lambda _: None)
    hours.driver = SimpleNamespace(now=123, failure=None)
    hours.orders = SimpleNamespace(send=lambda _, decided_ns, __: left.append(decided_ns))
    hours.looked_s = time.monotonic() - seconds_ago
    return hours, left


def test_what_is_decided_without_a_look_at_the_latch_was_decided_too_long_ago():
    for seconds_ago, decided_ns in ((0, 123), (LEASE_S - 1, 123), (LEASE_S, 0), (3600, 0)):
        hours, left = hours_that_looked(seconds_ago)
        hours._send([])
        assert left == [decided_ns], seconds_ago
    assert shortest_patience() > LEASE_S


def shortest_patience():
    """Return the shortest time after which a watchdog may latch: every lease is over by then."""
    return next(one for one in range(600) if is_allowed(one))


def is_allowed(seconds):
    with suppress(OperatorError):
        return load(configured(1, watchdog_s=seconds)) is not None
    return False


def test_a_look_counts_from_before_the_latch_was_read():
    hours, _ = hours_that_looked(3600)
    hours.symbols, hours.engine = [], SimpleNamespace(gate=SimpleNamespace(killed=False, gates=0))
    hours._gates = lambda: 0
    read_s = []

    def read():
        read_s.append(time.monotonic())
        time.sleep(0.05)

    hours.state, hours.clock = SimpleNamespace(latch=SimpleNamespace(read=read)), None
    hours.run = SimpleNamespace(keep_silence=lambda _: None)

    async def main():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await hours._look()

    asyncio.run(main())
    assert read_s[0] - 0.1 < hours.looked_s <= read_s[0]


# ---------------------------------------------------------------------------------- processes


class Dog:
    """A watchdog's process, and what it told."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "autotrader.cli", "--json", "watchdog", "c.toml", *arguments]
        self.log = Path(f"watchdog-{time.monotonic_ns()}.log")
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def events(self):
        return [one["event"] for one in self.lines() if "event" in one]

    def heard(self, event, seconds=60.0):
        """Wait until it tells something."""
        end = time.monotonic() + seconds
        while event not in self.events():
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def ended(self, how=signal.SIGINT):
        """Stop it; return its exit code and last line."""
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        return self.process.wait(30), (self.lines() or [None])[-1]


@contextmanager
def watching(*arguments):
    dog = Dog(*arguments)
    try:
        yield dog
    finally:
        if dog.process.poll() is None:
            dog.process.kill()
        dog.process.wait(10)


def traded(capsys):
    """Wait until a run trades."""
    eventually(capsys, lambda answer: answer["orders_open"], "status", seconds=100)


def abandoned(port, run, how=signal.SIGKILL):
    """Let a run be gone, with a position for sure, an order that waits, and a stop that no end of the position ends."""
    run.send_signal(how)
    if how is signal.SIGKILL:
        run.wait(10)
    mark = float(json.loads(fetched(port, "/fapi/v1/premiumIndex?symbol=BTCUSDT"))["markPrice"])
    order = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.05"}
    asked(port, "/fapi/v1/order", "POST", **order, type="MARKET", newClientOrderId="at0000000100000001")
    limit = {"type": "LIMIT", "timeInForce": "GTC", "price": f"{mark * 0.96:.1f}"}
    asked(port, "/fapi/v1/order", "POST", **order, **limit, newClientOrderId="at0000000100000002")
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "algoType": "CONDITIONAL", "reduceOnly": "true"}
    stop |= {"triggerPrice": f"{mark * 0.9:.1f}", "quantity": "0.01", "clientAlgoId": "at0000000100000003"}
    asked(port, "/fapi/v1/algoOrder", "POST", **stop)


def is_empty(port):
    """Whether the account has neither position nor order."""
    return (
        position(port) == 0
        and asked(port, "/fapi/v1/openOrders") == []
        and asked(port, "/fapi/v1/openAlgoOrders") == []
    )


def history():
    """Return the history's records of the account, without what the exchange's own participants do."""
    lines = Path("history.jsonl").read_bytes().splitlines()
    return [one for line in lines if (one := json.loads(line)).get("account") == 0]


def test_a_run_that_is_killed_leaves_an_account_that_the_watchdog_empties(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, **QUIET) as run, watching() as dog:
            dog.heard("OPENED")
            traded(capsys)
            abandoned(port, run)
            killed = time.monotonic()
            dog.heard("ENDED")
            assert time.monotonic() - killed < 120
            assert is_empty(port)
            kill = Latch(StateFolder(Path("state"), create=False)).read()
            assert kill.reason == "watchdog"
            time.sleep(3)  # nothing is done twice
            code, last = dog.ended()
            assert (code, last["watchdog"]) == (0, {"ended": 1, "left": []})
            assert dog.events().count("GONE") == 1
    records = history()
    ours = {one["order"] for one in records if one["k"] == "order" and one["reduce"] and not one["algo"]}
    flat = [one["n"] for one in records if one["k"] == "fill" and one["order"] in ours][-1]
    assert flat == [one["n"] for one in records if one["k"] == "fill"][-1]
    stops = [one["n"] for one in records if one["k"] == "algo" and one["status"] != "NEW"]
    assert stops
    assert stops[-1] > flat  # the stop outlives the position
    assert proved(capsys) == 0


def test_a_run_that_hung_wakes_up_to_a_closed_latch_and_opens_nothing(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, **QUIET) as run, watching() as dog:
            traded(capsys)
            abandoned(port, run, signal.SIGSTOP)
            dog.heard("ENDED")
            assert is_empty(port)
            before = len(Path("history.jsonl").read_bytes().splitlines())
            run.send_signal(signal.SIGCONT)
            status = eventually(capsys, lambda answer: answer["killed"], "status")
            assert status["killed"]
            time.sleep(3)
            assert is_empty(port)
            assert str(run.pid) in next(one["text"] for one in dog.lines() if one["event"] == "GONE")
            assert dog.ended()[0] == 0
    opens = [one for one in history() if one["k"] == "order" and one["n"] >= before and not one["reduce"]]
    assert opens == []
    assert proved(capsys) == 0


def test_a_clean_end_is_no_alarm(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, **QUIET) as run, watching() as dog:
            dog.heard("OPENED")
            traded(capsys)
            run.send_signal(signal.SIGINT)
            run.wait(60)
            held, stops = position(port), len(asked(port, "/fapi/v1/openAlgoOrders"))
            time.sleep(QUIET["watchdog_s"] + 5)
            assert (position(port), len(asked(port, "/fapi/v1/openAlgoOrders"))) == (held, stops)
            code, last = dog.ended()
            assert (code, last["watchdog"]["ended"], dog.events()) == (0, 0, ["OPENED"])
        assert not Path("state/kill").exists()


@pytest.mark.parametrize("do", ["timeout_done", "lose_answer", "timeout_undone"])
def test_the_end_is_flat_and_nothing_is_doubled_when_answers_are_lost(capsys, do):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, **QUIET) as run:
            traded(capsys)
            abandoned(port, run)
        with watching() as dog:
            dog.heard("OPENED")
            for method in ("POST", "DELETE"):
                fault(port, do=do, path="/fapi/v1/order", method=method, count=1)
            dog.heard("ENDED")
            assert is_empty(port)
            assert dog.ended()[0] == 0
            assert "SETTLED" in dog.events()
    fills = [one for one in history() if one["k"] == "fill"]
    assert fills[-1]["position"] == 0
    assert proved(capsys) == 0


def test_while_the_exchange_is_away_the_watchdog_tries_on_and_says_what_it_cannot_do(capsys):
    with served(*EXCHANGE) as (opened, exchange):
        port = opened["port"]
        with trading(port, **QUIET) as run:
            traded(capsys)
            abandoned(port, run)
        exchange.send_signal(signal.SIGSTOP)
        try:
            with watching() as dog:
                dog.heard("FAILED")
                assert dog.ended() == (1, dog.lines()[-1])
                assert dog.lines()[-1]["watchdog"]["left"] == ["BTCUSDT"]
            with watching() as dog:
                dog.heard("FAILED")
                exchange.send_signal(signal.SIGCONT)
                dog.heard("ENDED")
                assert is_empty(port)
                assert dog.ended()[0] == 0
        finally:
            exchange.send_signal(signal.SIGCONT)
    assert proved(capsys) == 0


@pytest.mark.slow
def test_a_watchdog_that_is_killed_anywhere_is_replaced_by_one_that_ends_it(capsys):
    seed = random.SystemRandom().randrange(10**6)
    with capsys.disabled():
        print(f"\nseed {seed}")
    chance = random.Random(seed)
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, **QUIET) as run:
            traded(capsys)
            abandoned(port, run)
        for _ in range(4):
            with watching() as dog:
                with suppress(AssertionError):
                    dog.heard("GONE", 30)
                time.sleep(chance.uniform(0, 0.5))
                dog.ended(signal.SIGKILL)
        with watching() as dog:
            end = time.monotonic() + 40
            while not is_empty(port) and time.monotonic() < end:
                time.sleep(0.2)
            assert is_empty(port), seed
            time.sleep(12)
            assert dog.ended()[0] == 0
    assert proved(capsys) == 0


def test_who_protects_leaves_the_position_with_its_stop_and_no_order(capsys):
    with served(*EXCHANGE) as (opened, _):
        port = opened["port"]
        with trading(port, watchdog_do='"protect"', **QUIET) as run, watching() as dog:
            traded(capsys)
            abandoned(port, run)
            asked(port, "/fapi/v1/allOpenOrders", "DELETE", symbol="BTCUSDT")  # so that the market fills none before
            held = position(port)
            for one in asked(port, "/fapi/v1/openAlgoOrders"):
                asked(port, "/fapi/v1/algoOrder", "DELETE", algoId=one["algoId"])
            dog.heard("ENDED")
            stops = asked(port, "/fapi/v1/openAlgoOrders")
            assert (asked(port, "/fapi/v1/openOrders"), position(port)) == ([], held)
            assert [(one["closePosition"], one["side"]) for one in stops] == [(True, "SELL")]
            assert dog.ended()[0] == 0


# ---------------------------------------------------------------------------------- bad input


def test_a_second_watchdog_of_a_folder_is_refused(capsys):
    with served(*EXCHANGE) as (opened, _):
        configured(opened["port"])
        with watching() as dog:
            dog.heard("OPENED")
            assert main(["watchdog", "c.toml", "--for", "1"]) == 2
            assert str(dog.process.pid) in capsys.readouterr().err


def test_a_watchdog_ends_by_itself_and_tells_a_person_what_it_saw(capsys):
    with served(*EXCHANGE) as (opened, _):
        configured(opened["port"])
        assert main(["--lang", "ko", "watchdog", "c.toml", "--for", "1"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  OPENED  ", shown)
    assert "지켜보기를 마쳤습니다" in shown


def test_no_exchange_is_told_and_watched_all_the_same(capsys):
    configured(1)
    assert main(["watchdog", "c.toml", "--for", "2"]) == 0
    assert "UNREACHABLE" in capsys.readouterr().out


def test_a_key_that_the_exchange_refuses_is_one_clear_error(capsys, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_API_KEY", "another-key-that-is-none")
    with served(*EXCHANGE) as (opened, _):
        configured(opened["port"])
        assert main(["watchdog", "c.toml", "--for", "5"]) == 1
    error = capsys.readouterr().err
    assert "-2015" in error
    assert "another-key" not in error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"watchdog_s": 9}, "live.watchdog_s"),
        ({"watchdog_s": 601}, "live.watchdog_s"),
        ({"watchdog_do": '"sell"'}, "live.watchdog_do"),
        ({"watchdog_do": '"protect"', "protective_stop": 0.0}, "risk.protective_stop"),
    ],
)
def test_a_configuration_that_is_none_is_refused(capsys, changes, said):
    configured(1, **changes)
    assert main(["watchdog", "c.toml"]) == 2
    assert said in capsys.readouterr().err


def test_a_mode_without_orders_needs_no_watchdog(capsys):
    assert main(["init", "--strategy", "quoter", "--mode", "paper", "--out", "c.toml"]) == 0
    assert main(["watchdog", "c.toml"]) == 2
    assert "testnet" in capsys.readouterr().err
