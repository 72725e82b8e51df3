"""The checklist: every item measures something, and each has a case in which it fails."""

import asyncio
import copy
import json
import os
import shutil
import ssl
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from builders import HISTORY, configuration
from processes import settle
from test_loopback_cli import served
from test_online import told as answered

from autotrader.adapters.binance.clock import Offset
from autotrader.adapters.storage.state import Epochs, Latch, Lock
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.cli import main
from autotrader.config import as_dict, from_dict, load, template
from autotrader.errors import AutotraderError, OperatorError, StateError, VenueError
from autotrader.messages import say, set_language
from autotrader.research import bench
from autotrader.run import doctor, drill, machine
from autotrader.run.doctor import NAMES, Examination, Item, Verdict, evidence_of, examine, liquidation_distance
from autotrader.run.exchange import certificate
from autotrader.run.wiring import run_backtest
from autotrader.secret import Credentials, Secret
from core_ext.types import Command

# The design's checklist, and the items that carry each of its points.
DESIGN = {
    "units": ["units"],
    "look-ahead": ["look_ahead"],
    "limits configured": ["limits", "sizes"],
    "liquidation safety": ["liquidation"],
    "cost-model accuracy": ["cost_model", "slippage"],
    "data quality": ["data_quality"],
    "strategy robustness": ["robustness", "overfitting"],
    "latency": ["latency"],
    "kill switch rehearsal": ["kill_switch"],
    "exchange connectivity": ["connectivity", "tls", "symbols"],
    "clock offset": ["clock"],
    "database": ["database", "disk", "state"],
    "memory": ["memory", "files"],
    "CPU": ["cpu"],
    "key permissions": ["key", "account_mode", "wallet", "proxies"],
}
KEY = Credentials(api_key=Secret("loopback-demo-key"), secret=Secret("loopback-demo-secret"), kind="hmac")
GIB = 1 << 30


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch)


def made(mode="testnet", port=1, strategy="quoter", **sections):
    """Return a configuration for the exchange on loopback, with changes by section."""
    tables = tomllib.loads(template(strategy, ["BTCUSDT"], "en", mode))
    if mode != "backtest":
        tables["live"] |= {"profile": "loopback", "port": port, "rehearsal": mode == "live"}
    for section, changes in sections.items():
        tables[section] |= changes
    return from_dict(tables)


@pytest.fixture(scope="module")
def port():
    with served("--synthetic", "3", "--symbols", "BTCUSDT") as (opened, _):
        yield opened["port"]


@pytest.fixture(scope="module")
def heard(port):
    """What a healthy exchange answers."""
    return uvloop.run(doctor._asked(made(port=port), lambda: KEY))


def judged(name, config, told, run=None, summary=None):
    """Carry out one check on answers."""
    return doctor._carried_out(name, doctor._CHECKS[name], doctor._Case(config, told, run, summary))


def verdict(*arguments, **named):
    return judged(*arguments, **named).verdict


# ---------------------------------------------------------------------- the list


def test_every_point_of_the_designs_checklist_has_its_items_and_every_item_its_point():
    assert sorted(name for names in DESIGN.values() for name in names) == sorted(NAMES)


@pytest.mark.parametrize("speech", ["en", "ko"])
def test_every_item_has_a_title_and_says_what_to_do(speech):
    set_language(speech)
    for name in NAMES:
        assert say(f"doctor.{name}") and say(f"doctor.todo.{name}")


def test_on_a_healthy_exchange_everything_is_measured_and_nothing_fails_but_for_a_busy_machine(port):
    found = examine(made(port=port), lambda: KEY, None, lambda *_: None)
    by_name = {item.name: item for item in found.items}
    verdicts = {name: item.verdict for name, item in by_name.items()}
    aside = {
        "look_ahead": Verdict.NOT_CHECKED, "data_quality": Verdict.NOT_CHECKED, "robustness": Verdict.NOT_CHECKED,
        "slippage": Verdict.NOT_BUILT, "overfitting": Verdict.NOT_BUILT, "tls": Verdict.NOT_APPLICABLE,
    }  # fmt: skip
    assert {name: one for name, one in verdicts.items() if name in aside} == aside
    busy = {name for name, one in verdicts.items() if one is Verdict.FAIL}
    assert busy <= {"cpu", "disk", "memory"}, [by_name[name] for name in busy]  # the process is that of all tests
    assert by_name["wallet"].value == 10_000.0
    assert by_name["connectivity"].value > 0 and by_name["clock"].value > 0
    assert not list(Path("state").glob(".d*"))  # what was tried there is gone


def test_a_backtest_is_asked_for_what_needs_no_exchange():
    found = {item.name: item.verdict for item in examine(made("backtest", strategy="trend"), None, None, _silent).items}
    assert {name for name, one in found.items() if one is Verdict.NOT_APPLICABLE} == {
        "cost_model", "connectivity", "tls", "clock", "symbols", "key", "account_mode", "wallet", "state",
    }  # fmt: skip
    assert found["units"] is found["liquidation"] is found["kill_switch"] is found["database"] is Verdict.OK


def test_without_keys_the_account_is_not_checked_and_the_key_fails(port):
    def none():
        raise OperatorError("no key there")

    told = uvloop.run(doctor._asked(made(port=port), none))
    item = judged("key", made(port=port), told)
    assert (item.verdict, item.measured) == (Verdict.FAIL, "no key there")
    assert {verdict(name, made(port=port), told) for name in ("account_mode", "wallet", "cost_model")} == {
        Verdict.NOT_CHECKED
    }
    assert verdict("connectivity", made(port=port), told) is verdict("units", made(port=port), told) is Verdict.OK


def test_a_key_that_cannot_sign_orders_fails_before_the_exchange_is_asked_with_it(port):
    other = replace(KEY, kind="rsa")
    told = uvloop.run(doctor._asked(made(port=port), lambda: other))
    item = judged("key", made(port=port), told)
    assert (item.verdict, item.measured) == (
        Verdict.FAIL, "an RSA key cannot sign orders here; make an HMAC or an Ed25519 key",
    )  # fmt: skip
    assert verdict("wallet", made(port=port), told) is Verdict.NOT_CHECKED


def test_an_exchange_that_is_not_there_fails_and_takes_no_time():
    told = uvloop.run(doctor._asked(made(), lambda: KEY))
    names = ("connectivity", "clock", "symbols", "key", "account_mode", "wallet", "units", "cost_model", "tls")
    assert {verdict(name, made(), told) for name in names} == {Verdict.FAIL}
    assert verdict("latency", made(), told) is Verdict.OK


def _silent(share, what):
    pass


# ---------------------------------------------------------------------- each item, good and bad


def edited(heard, **changes):
    return {**copy.copy(heard), **changes}


def filters(heard, kind, **changes):
    """Return the exchange's rules with one filter changed."""
    info = copy.deepcopy(heard["info"])
    for one in info["symbols"][0]["filters"]:
        if one["filterType"] == kind:
            one |= changes
    return info


@pytest.mark.parametrize(("kind", "change"), [("LOT_SIZE", {"stepSize": "1"}), ("PRICE_FILTER", {"tickSize": "0.01"})])
def test_units_that_are_not_the_exchanges_fail(heard, kind, change):
    assert verdict("units", made("paper"), heard) is Verdict.OK
    assert verdict("units", made("paper"), edited(heard, info=filters(heard, kind, **change))) is Verdict.FAIL


def test_units_that_the_exchange_does_not_tell_fail(heard):
    item = judged("units", made("paper"), edited(heard, info=filters(heard, "LOT_SIZE", stepSize="many")))
    assert (item.verdict, "cannot be believed" in item.measured) == (Verdict.FAIL, True)


def test_limits_above_the_modes_ceiling_or_without_a_stop_fail(heard):
    config = made()
    assert verdict("limits", config, heard) is Verdict.OK
    assert verdict("limits", replace(config, risk=replace(config.risk, max_drawdown=0.16)), heard) is Verdict.FAIL
    assert verdict("limits", made(risk={"protective_stop": 0.0}), heard) is Verdict.FAIL
    assert verdict("limits", made(risk={"unprotected_s": 0.0}), heard) is Verdict.FAIL
    assert verdict("limits", made("paper", risk={"protective_stop": 0.0}), heard) is Verdict.OK  # nothing leaves


def test_sizes_below_the_exchanges_minimum_fail(heard):
    item = judged("sizes", made(), heard)
    assert (item.verdict, item.value) == (Verdict.OK, 120.0)
    item = judged("sizes", made(live={"size_multiplier": 0.1}), heard)
    assert (item.verdict, item.value) == (Verdict.FAIL, pytest.approx(12.0))
    assert item.limit >= 100


@pytest.mark.parametrize(
    ("margin", "leverage", "share"), [("isolated", 10, 1.0), ("isolated", 3, 1.0), ("cross", 3, 3.0)]
)
@pytest.mark.parametrize("side", [1, -1])
def test_the_distance_to_liquidation_is_that_of_the_exchanges_formula(heard, margin, leverage, share, side):
    # Margin / notional is 1 / leverage isolated, 1 / exposure cross; the first bracket's rate, whose amount is 0.
    config = made(
        "live", run={"margin": margin, "leverage": leverage},
        risk={"max_symbol_share": 1.0, "strategy_leverage": share, "max_symbol_leverage": 10},
    )  # fmt: skip
    case = doctor._Case(config, heard, None, None)
    rate = case.specs[0]["brackets"][0][2] / 1e8
    expected = (1 / (leverage if margin == "isolated" else share) - rate) / (1 - side * rate)
    found = liquidation_distance(config, case.specs, case.prices_e8, 10_000.0, side)
    assert found == pytest.approx(expected, abs=1e-3)  # lots are whole


def test_a_position_that_is_liquidated_within_fifteen_percent_fails(heard):
    near = made("live", run={"margin": "isolated", "leverage": 10}, risk={"max_symbol_leverage": 10})
    assert verdict("liquidation", near, heard) is Verdict.FAIL
    assert verdict("liquidation", made("live", run={"margin": "isolated", "leverage": 5}), heard) is Verdict.OK


def test_fees_above_those_of_the_simulations_fail(heard):
    assert verdict("cost_model", made(), heard) is Verdict.OK
    fees = [one | {"takerCommissionRate": "0.000600"} for one in heard["fees"]]
    item = judged("cost_model", made(), edited(heard, fees=fees))
    assert (item.verdict, item.value) == (Verdict.FAIL, pytest.approx(1.0))
    assert verdict("cost_model", made(venue={"fee_tier": "VIP9"}), heard) is Verdict.FAIL
    assert verdict("cost_model", made("paper"), heard) is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["ping", "streams", "socket"])
def test_an_exchange_of_which_one_door_is_shut_fails(heard, name):
    item = judged("connectivity", made(), edited(heard, **{name: VenueError("nobody answers")}))
    assert (item.verdict, item.measured) == (Verdict.FAIL, "nobody answers")


def test_a_certificate_that_ends_tomorrow_fails(heard):
    real = made("live", live={"profile": "production", "rehearsal": False})
    assert verdict("tls", real, edited(heard, tls={"a": 90.0, "b": 2.0})) is Verdict.OK
    assert verdict("tls", real, edited(heard, tls={"a": 90.0, "b": 0.5})) is Verdict.FAIL
    assert verdict("tls", real, edited(heard, tls=ssl.SSLError("unknown authority"))) is Verdict.FAIL
    assert verdict("tls", made(), heard) is Verdict.NOT_APPLICABLE


def test_a_certificate_is_verified_and_one_of_an_unknown_authority_is_refused(tmp_path):
    chain, key = certificate(tmp_path)

    async def days(trusted):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        tls = ssl.create_default_context(cafile=str(chain)) if trusted else None
        async with server:
            return await doctor.certificate_days("127.0.0.1", server.sockets[0].getsockname()[1], tls)

    assert asyncio.run(days(True)) == pytest.approx(365, abs=1.1)
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        asyncio.run(days(False))


def test_a_clock_is_judged_by_what_is_not_known_of_it(heard):
    assert verdict("clock", made(), edited(heard, offset=Offset(5 * 10**9, 10**7))) is Verdict.OK
    assert verdict("clock", made(), edited(heard, offset=Offset(0, 500_000_001))) is Verdict.FAIL


@pytest.mark.parametrize("status", ["SETTLING", "PENDING_TRADING", None])
def test_a_symbol_that_does_not_trade_fails(heard, status):
    info = copy.deepcopy(heard["info"])
    info["symbols"][0]["status"] = status
    assert verdict("symbols", made(), heard) is Verdict.OK
    assert verdict("symbols", made(), edited(heard, info=info)) is Verdict.FAIL
    assert verdict("symbols", made(), edited(heard, info={"symbols": []})) is Verdict.FAIL


def test_a_key_that_may_withdraw_or_is_unknown_fails(heard):
    assert verdict("key", made(), heard) is Verdict.OK
    rich = heard["rights"] | {"enableWithdrawals": True}
    item = judged("key", made(), edited(heard, rights=rich))
    assert item.verdict is Verdict.FAIL and "enableWithdrawals is on" in item.measured
    assert verdict("key", made(), edited(heard, balance=VenueError("-2015"))) is Verdict.FAIL
    # A test network does not say what a key may do; LIVE does not start without knowing.
    assert verdict("key", made(), edited(heard, rights=None)) is Verdict.OK
    assert verdict("key", made("live"), edited(heard, rights=None)) is Verdict.FAIL


@pytest.mark.parametrize(
    "change",
    [
        {"dual": {"dualSidePosition": True}},
        {"dual": {}},
        {"multi": {"multiAssetsMargin": True}},
        {"margins": [{"symbol": "BTCUSDT", "marginType": "ISOLATED"}]},
    ],
)
def test_an_account_in_another_mode_fails(heard, change):
    assert verdict("account_mode", made(), heard) is Verdict.OK
    assert verdict("account_mode", made(), edited(heard, **change)) is Verdict.FAIL


@pytest.mark.parametrize("body", [[], [{"asset": "BNB", "balance": "1"}], [{"asset": "USDT", "balance": "0.00"}]])
def test_an_empty_wallet_fails(heard, body):
    assert verdict("wallet", made(), edited(heard, balance=body)) is Verdict.FAIL


def test_a_state_folder_that_is_held_killed_or_open_to_others_fails(heard):
    assert verdict("state", made(), heard) is Verdict.OK
    folder = StateFolder(Path("state"))
    lock = Lock(folder, Epochs(folder, lambda: 0))
    token = lock.acquire()
    assert str(os.getpid()) in judged("state", made(), heard).measured
    assert lock.holds(token)  # whoever looks takes nothing away
    lock.release()
    assert verdict("state", made(), heard) is Verdict.OK
    kill = Latch(folder).close("a drill", 1_790_000_000_000_000_000)
    assert kill.stamp in judged("state", made(), heard).measured
    Latch(folder).rearm(kill.stamp)
    folder.close()
    Path("state").chmod(0o750)
    assert verdict("state", made(), heard) is Verdict.FAIL


def test_an_item_of_the_machine_fails_where_the_machine_gives_too_little(heard, monkeypatch):
    config = made()
    for name, give in {
        "disk": lambda _: machine.Disk(doctor.FREE_BYTES - 1, 1.0),
        "database": lambda _: 1001.0,
        "memory": lambda: (10**9, 10**10),
        "cpu": lambda _: 0.8,
        "files": lambda: (100, 355),
    }.items():
        with monkeypatch.context() as patch:
            attribute = {"database": "database_ms", "cpu": "busy_share"}.get(name, name)
            patch.setattr(machine, attribute, give)
            assert verdict(name, config, heard) is Verdict.FAIL, name
    monkeypatch.setattr(machine, "disk", lambda _: machine.Disk(GIB, 100.1))
    assert verdict("disk", config, heard) is Verdict.FAIL
    monkeypatch.setattr(machine, "disk", lambda _: machine.Disk(GIB, 100.0))
    assert verdict("disk", config, heard) is Verdict.OK


def test_a_proxy_fails_where_it_would_stand_before_real_money(heard, monkeypatch):
    assert verdict("proxies", made("live"), heard) is Verdict.OK
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    item = judged("proxies", made("live"), heard)
    assert (item.verdict, "HTTPS_PROXY" in item.measured) == (Verdict.FAIL, True)
    assert verdict("proxies", made(), heard) is Verdict.OK  # taken out of the environment before anything connects
    assert os.environ["HTTPS_PROXY"]


def test_a_core_that_is_too_slow_fails(heard, monkeypatch):
    item = judged("latency", made(), heard)
    assert item.verdict is Verdict.OK and 0 < item.value < item.limit == 100
    monkeypatch.setattr(bench, "ORDER_PATH_NS", 1)
    assert verdict("latency", made(), heard) is Verdict.FAIL


# ---------------------------------------------------------------------- the drill


def test_a_kill_ends_orders_stop_and_position_and_opens_nothing(tmp_path):
    found = drill.drill(tmp_path)
    assert found.orders >= 2 and found.lots > 0  # a quote and a stop at least
    assert 0 < found.flat_ns <= doctor.KILL_NS
    assert (found.opened, found.is_latched) == (0, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("instead", [Command.ALLOW, Command.HALT])
def test_a_kill_that_is_none_is_found(heard, monkeypatch, instead):
    monkeypatch.setattr(drill, "Command", type("Other", (), {"KILL": instead}))
    assert verdict("kill_switch", made(), heard) is Verdict.FAIL


@pytest.mark.parametrize("broken", ["close", "read", "rearm"])
def test_a_latch_that_does_not_hold_is_found(heard, monkeypatch, broken):
    forgets = {"close": Latch.close, "read": lambda self: None, "rearm": lambda self, typed: None}
    if broken == "close":
        monkeypatch.setattr(StateFolder, "create_sealed", lambda *_: True)
    else:
        monkeypatch.setattr(Latch, broken, forgets[broken])
    assert not drill.drill().is_latched
    assert verdict("kill_switch", made(), heard) is Verdict.FAIL


def test_a_recording_without_a_moment_to_kill_is_said_to_be_so(monkeypatch):
    monkeypatch.setattr(drill, "_is_busy", lambda session: False)
    with pytest.raises(StateError, match="nothing to rehearse"):
        drill.drill()


# ---------------------------------------------------------------------- the machine


def test_a_database_that_forgets_is_found(tmp_path, monkeypatch):
    assert machine.database_ms(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []
    real = machine.sqlite3.connect
    monkeypatch.setattr(machine.sqlite3, "connect", lambda file: real(":memory:"))
    with pytest.raises(AutotraderError, match="did not come back"):
        machine.database_ms(tmp_path)


def test_memory_and_processors_are_read_as_the_kernel_tells_them(tmp_path, monkeypatch):
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("Name:\tpython\nVmHWM:\t   2100 kB\n")
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:    2048 kB\n")
    assert machine.memory(tmp_path) == (2100 * 1024, 2048 * 1024)
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 0 0 0\n")
    monkeypatch.setattr(
        machine.time, "sleep", lambda _: stat.write_text("cpu  160 0 60 820 60 0 0 0 0 0\n")
    )
    assert machine.busy_share(0.5, tmp_path) == pytest.approx(0.7)  # 30 idle of 100
    monkeypatch.undo()
    assert 0 <= machine.busy_share(0.05) <= 1


def test_a_disk_that_cannot_be_written_is_an_error(tmp_path):
    found = machine.disk(tmp_path)
    assert found.free_bytes > 0 and found.sync_ms > 0
    with pytest.raises(OSError, match="nowhere"):
        machine.disk(tmp_path / "nowhere")


# ---------------------------------------------------------------------- the evidence of a backtest


@pytest.fixture(scope="module")
def backtest(tmp_path_factory):
    place = tmp_path_factory.mktemp("evidence")
    file = configuration(place / "c.toml", "trend", symbols=("BTCUSDT",))
    run_backtest(load(file), HISTORY, place / "run", _silent)
    return load(file), place / "run"


def test_a_backtest_is_replayed_its_data_and_its_result_judged(backtest, heard):
    config, run = backtest
    summary = evidence_of(config, run)
    item = judged("look_ahead", config, heard, run, summary)
    assert item.verdict is Verdict.OK
    assert item.value >= json.loads((run / "summary.json").read_text())["orders"] > 0
    assert verdict("data_quality", config, heard, run, summary) is Verdict.OK
    suspect = summary | {"quality": {"BTCUSDT": {"judged": 1000, "discarded": 9, "SPIKE": 11}}}
    assert judged("data_quality", config, heard, run, suspect).value == pytest.approx(0.011)
    assert verdict("data_quality", config, heard, run, suspect) is Verdict.FAIL
    assert verdict("data_quality", config, heard, run, summary | {"quality": {}}) is Verdict.NOT_CHECKED


@pytest.mark.parametrize(
    "change", [{"sharpe": -0.1}, {"sharpe": None}, {"max_drawdown": 0.12}, {"liquidations": 1}, {"fills": 0}]
)
def test_a_strategy_that_lost_in_its_backtest_fails(backtest, heard, change):
    config, run = backtest
    good = evidence_of(config, run) | {"sharpe": 1.2, "max_drawdown": 0.05, "liquidations": 0, "fills": 10}
    assert verdict("robustness", config, heard, run, good) is Verdict.OK
    assert verdict("robustness", config, heard, run, good | change) is Verdict.FAIL


def test_a_journal_that_somebody_changed_is_no_evidence(backtest, heard, tmp_path):
    config, run = backtest
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    journal = copied / "journal/000000.seg"
    raw = bytearray(journal.read_bytes())
    raw[len(raw) // 2] ^= 1
    journal.write_bytes(raw)
    assert verdict("look_ahead", config, heard, copied, evidence_of(config, copied)) is Verdict.FAIL


def test_a_run_of_another_strategy_or_none_is_refused(backtest, tmp_path):
    config, run = backtest
    with pytest.raises(OperatorError, match="a run of another strategy"):
        evidence_of(made(strategy="quoter"), run)
    tables = as_dict(config)
    tables["strategy"]["trend"]["rebalance_band"] = 0.5
    with pytest.raises(OperatorError, match="a run of another strategy"):
        evidence_of(from_dict(tables), run)
    with pytest.raises(OperatorError, match=str(tmp_path)):
        evidence_of(config, tmp_path)


# ---------------------------------------------------------------------- LIVE


def found(rehearsal, **verdicts):
    items = tuple(Item(name, one, "measured") for name, one in verdicts.items())
    return Examination("live", "loopback" if rehearsal else "production", rehearsal, items)


def test_what_failed_keeps_live_from_starting_and_for_real_money_what_nobody_checked():
    verdicts = {
        "units": Verdict.OK, "tls": Verdict.NOT_APPLICABLE, "overfitting": Verdict.NOT_BUILT,
        "robustness": Verdict.NOT_CHECKED, "cpu": Verdict.FAIL, "disk": Verdict.FAIL,
    }  # fmt: skip
    real, rehearsal = found(False, **verdicts), found(True, **verdicts)
    assert [one.name for one in real.blockers] == ["robustness", "cpu", "disk"]
    assert [one.name for one in rehearsal.blockers] == ["disk"]
    with pytest.raises(OperatorError, match=r"^LIVE does not start: strategy robustness: measured; CPU: measured; d"):
        real.require()
    found(False, units=Verdict.OK, overfitting=Verdict.NOT_BUILT).require()


# ---------------------------------------------------------------------- the command


@pytest.fixture
def keys(monkeypatch):
    """Put the keys where a command finds them: each takes them out as it reads them."""

    def put():
        monkeypatch.setenv("AUTOTRADER_API_KEY", KEY.api_key.reveal())
        monkeypatch.setenv("AUTOTRADER_API_SECRET", KEY.secret.reveal())

    put()
    return put


def written(port, mode="testnet", **live):
    tables = {"profile": '"loopback"', "port": port} | ({"rehearsal": "true"} if mode == "live" else {}) | live
    text = template("quoter", ["BTCUSDT"], "en", mode)
    for key, value in tables.items():
        before = text
        text = "\n".join(f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in text.split("\n"))
        assert text != before, key
    Path("c.toml").write_text(text)
    return "c.toml"


def test_the_memory_of_who_started_a_program_is_not_its_own():
    tell = "from autotrader.run import machine; print(machine.memory()[0])"
    start = f"import subprocess, sys; kept = b'x' * (600 << 20); subprocess.run([sys.executable, '-c', {tell!r}])"
    found = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
    assert 10**7 < int(found.stdout) < 400 << 20


def test_a_machine_gets_every_item_and_the_exit_code_tells_a_failure(capsys, port, keys, monkeypatch):
    monkeypatch.setattr(machine, "busy_share", lambda _: 0.1)
    monkeypatch.setattr(machine, "memory", lambda: (10**8, 10**10))
    monkeypatch.setattr(machine, "disk", lambda _: machine.Disk(GIB, 1.0))
    code, answer = answered(capsys, "doctor", written(port))
    assert (code, answer["exit_code"], answer["mode"], answer["profile"]) == (0, 0, "testnet", "loopback")
    assert tuple(item["name"] for item in answer["items"]) == NAMES
    assert all(item["measured"] for item in answer["items"])
    assert all(item["todo"] for item in answer["items"] if item["verdict"] in ("fail", "not_checked", "not_built"))
    monkeypatch.setattr(machine, "busy_share", lambda _: 0.9)
    keys()
    code, answer = answered(capsys, "doctor", written(port, "live", size_multiplier=1.0))
    assert (code, answer["blockers"], answer["rehearsal"]) == (1, [], True)
    assert [item["name"] for item in answer["items"] if item["verdict"] == "fail"] == ["cpu"]
    keys()
    code, answer = answered(capsys, "doctor", written(port, "live"))
    assert (code, answer["blockers"]) == (1, ["sizes"])


@pytest.mark.parametrize(
    ("speech", "words"),
    [
        ("en", ["LIVE loopback: ", "kill switch rehearsal", "FAIL", "LIVE does not start: order sizes", "raise the"]),
        ("ko", ["LIVE loopback: ", "강제 종료 예행연습", "실패", "LIVE를 시작하지 않습니다: 주문 수량", "주문 크기"]),
    ],
)
def test_a_person_gets_a_table_and_what_to_do(capsys, port, keys, speech, words):
    assert main(["--lang", speech, "doctor", written(port, "live")]) == 1
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []
    assert KEY.api_key.reveal() not in out and KEY.secret.reveal() not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.toml"], "nowhere.toml: no such file"),
        (["c.toml", "--run", "nowhere"], "nowhere"),
        (["c.toml", "more"], '"more" is one argument too many'),
        ([], "CONFIG"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, said):
    written(1)
    assert main(["doctor", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
