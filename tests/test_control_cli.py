"""The commands for a running instance, against one that answers on a real socket: what a person and a machine see."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from instances import BALANCE, NOW, ORDERS, POSITIONS, STATUS, running, stuck
from rich.cells import cell_len

from autotrader.adapters.control import Done
from autotrader.adapters.storage.state import Latch, Latched
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.cli import main
from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH, KOREAN

COMMANDS = ["status", "positions", "orders", "balance", "halt", "reduce", "resume", "flatten", "kill"]
STAMP = Latched("", NOW).stamp


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty folder, so that ./state is the default's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTRADER_LANG", "en")
    monkeypatch.delenv("AUTOTRADER_STATE", raising=False)


@pytest.fixture
def place() -> Path:
    return Path("state").resolve()


def shown(capsys, *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    seen = capsys.readouterr()
    assert seen.err == ""
    return seen.out


def complaint(capsys, *arguments: str, code: int) -> str:
    assert main(arguments) == code
    seen = capsys.readouterr()
    assert seen.out == "" and seen.err.startswith("autotrader: ") and seen.err.count("\n") == 1
    return seen.err


def answer(capsys, *arguments: str, code: int = 0) -> dict:
    found = json.loads(shown(capsys, *arguments, "--json", code=code))
    assert found["exit_code"] == code
    return found


def latched(place: Path) -> Latched | None:
    folder = StateFolder(place, create=False)
    try:
        return Latch(folder).read()
    finally:
        folder.close()


def rows(lines: list[str]) -> list[list[str]]:
    """The words of a table's rows."""
    rule = next(at for at, line in enumerate(lines) if "───" in line)
    return [line.split() for line in lines[rule + 1 :] if line.strip()]


# What one sees.


def test_status_says_all_of_it_in_english(capsys, place):
    with running(place):
        lines = shown(capsys, "status").splitlines()
    assert lines[:9] == [
        "TESTNET · loopback · 20261130-abc",
        "  up for           1.03 h",
        "  trading          half size, by the drawdown ladder",
        "  closed gates     CLOCK, RECONCILING",
        "  equity           987,654.32 USDT",
        "  drawdown         6.25%",
        "  loss of the day  -1.25%",
        "  orders           3 open, 1 unknown",
        "  links            market down, user up",
    ]
    assert lines[10].split() == ["symbol", "bid", "ask", "age", "book", "position"]
    assert rows(lines) == [
        ["BTCUSDT", "97,000", "97,000.1", "40", "ms", "usable", "-0.25"],
        ["SUIUSDT", "-", "-", "-", "unusable", "0"],
    ]


@pytest.mark.parametrize("command", ["status", "positions", "orders", "balance"])
def test_the_same_in_korean_with_columns_that_stand(capsys, place, command):
    with running(place):
        english = shown(capsys, command).splitlines()
        korean = shown(capsys, command, "--lang", "ko").splitlines()
    assert len(english) == len(korean)
    words = {ENGLISH[key] for key in ENGLISH if key.startswith(("control.", "views.")) and ENGLISH[key].isalpha()}
    left = set(re.findall(r"[a-z]{4,}", "\n".join(korean))) & words
    assert not left and re.search("[가-힣]", "".join(korean))


def test_the_figures_of_status_stand_below_each_other_in_korean(capsys, place):
    with running(place):
        lines = shown(capsys, "status", "--lang", "ko").splitlines()[1:9]
    keys = ("uptime", "trading", "gates", "equity", "drawdown", "day_loss", "open_orders", "links")
    names = [f"  {KOREAN[f'control.{key}']}" for key in keys]
    assert all(line.startswith(name) for line, name in zip(lines, names, strict=True))
    values = [line.removeprefix(name).lstrip() for line, name in zip(lines, names, strict=True)]
    assert len({cell_len(line) - cell_len(value) for line, value in zip(lines, values, strict=True)}) == 1


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"killed": STAMP, "halted": True, "safe": True}, "control.killed"),
        ({"safe": True, "halted": True}, "control.safe"),
        ({"halted": True, "ladder": 2}, "control.halted"),
        ({"ladder": 2}, "control.ladder.reduce_only"),
        ({"ladder": 0}, "control.ladder.full"),
    ],
)
def test_status_says_the_hardest_restraint(capsys, place, changed, key):
    with running(place, status=replace(STATUS, **changed)):
        assert ENGLISH[key].format(stamp=STAMP) in shown(capsys, "status")


def test_status_names_a_kill_that_the_instance_does_not_heed(capsys, place):
    with running(place) as instance:
        assert answer(capsys, "status")["latched"] == ""
        kill = instance.latch.close("fire alarm", NOW)
        assert f"the kill of {kill.stamp} is latched on disk and the instance" in shown(capsys, "status")
        assert answer(capsys, "status")["latched"] == kill.stamp
        instance.answers["status"] = replace(STATUS, killed=kill.stamp)
        assert "does not heed" not in shown(capsys, "status")


def test_status_of_an_instance_that_has_nothing_yet(capsys, place):
    empty = replace(STATUS, gates=[], symbols=[], links={}, equity_e8=0)
    with running(place, status=empty):
        text = shown(capsys, "status")
    assert re.search(r"closed gates +none\n", text) and re.search(r"links +none\n", text)


def test_positions_orders_and_balances_are_tables(capsys, place):
    with running(place):
        positions, orders, balance = (shown(capsys, name) for name in ("positions", "orders", "balance"))
    assert rows(positions.splitlines()) == [
        ["BTCUSDT", "short", "-0.25", "98,000", "97,000", "140,000", "99,500", "250.00", "3", "isolated", "9"],
        ["SUIUSDT", "long", "1,000", "3", "3.1", "-", "-", "-100.00", "2", "cross"],
    ]
    first, second = rows(orders.splitlines())
    assert first[2:] == ["BTCUSDT", "BUY", "LIMIT", "GTX", "96,000", "1", "0.4", "OPEN", "at000000010000000a"]
    assert second[-2:] == ["UNKNOWN", "at000000010000000b"] and "reduce-only" in second
    assert rows(balance.splitlines()) == [["USDT", "10,000", "-100", "8,000"], ["BNB", "1.5", "0", "1.5"]]


@pytest.mark.parametrize("name", ["positions", "orders", "balance"])
def test_nothing_is_said_to_be_nothing(capsys, place, name):
    with running(place, **{name: []}):
        assert shown(capsys, name) == f"{ENGLISH[f'control.{name}']}:\n  none\n"
        assert answer(capsys, name) == {"exit_code": 0, name: []}


def test_a_machine_gets_integers_as_the_instance_said_them(capsys, place):
    with running(place):
        status = answer(capsys, "status")["status"]
        assert status["equity_e8"] == STATUS.equity_e8 and status["symbols"][1]["age_ns"] is None
        assert answer(capsys, "positions")["positions"][0]["quantity_e8"] == POSITIONS[0].quantity_e8
        assert answer(capsys, "orders")["orders"][1]["state"] == ORDERS[1].state
        assert answer(capsys, "balance")["balance"][0] == vars(BALANCE[0])


# What one does.


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["halt"], ("halt", {})),
        (["reduce"], ("reduce", {"symbols": []})),
        (["reduce", "--symbols", "BTCUSDT, ETHUSDT"], ("reduce", {"symbols": ["BTCUSDT", "ETHUSDT"]})),
        (["resume"], ("resume", {"confirm": ""})),
        (["flatten", "--symbols", "BTCUSDT"], ("flatten", {"symbols": ["BTCUSDT"]})),
        (["kill"], ("kill", {"reason": "operator"})),
        (["kill", "--reason", "it trades against me"], ("kill", {"reason": "it trades against me"})),
    ],
)
def test_a_deed_is_sent_as_it_was_typed_and_its_result_is_told(capsys, place, arguments, sent):
    with running(place) as instance:
        assert "positions left: " in shown(capsys, *arguments)
    assert instance.asked == [sent]


def test_what_the_exchange_did_not_confirm_is_named_and_a_failure(capsys, place):
    half = Done(True, "", [], 1, 1, ["at000000010000000b", "SUIUSDT"])

    async def flatten(_arguments):
        return half

    with running(place, flatten=flatten):
        text = shown(capsys, "flatten", code=1)
        assert "NOT confirmed by the exchange: at000000010000000b, SUIUSDT" in text
        assert answer(capsys, "flatten", code=1)["flatten"]["unconfirmed"] == half.unconfirmed


def test_what_is_reduce_only_is_named(capsys, place):
    with running(place):
        assert "reduce-only: BTCUSDT" in shown(capsys, "reduce")


def test_a_refusal_is_exit_code_1_in_the_instances_words(capsys, place):
    async def refuse(_arguments):
        raise OperatorError("the day's loss limit has tripped")

    with running(place, resume=refuse):
        assert "loss limit has tripped" in complaint(capsys, "resume", code=1)
        assert answer(capsys, "resume", code=1)["error"] == "the day's loss limit has tripped"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "kill"])
def test_an_instance_that_is_silent_is_exit_code_1(capsys, place, command):
    with running(place, **{command: stuck}):
        assert "did not answer within 0.2 s" in complaint(capsys, command, "--timeout", "0.2", code=1)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_state_folder_every_command_is_bad_input_and_makes_none(capsys, place, command):
    assert f"{Path('state')}: no such state folder" in complaint(capsys, command, code=2)
    assert not place.exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "kill"])
def test_without_an_instance_every_command_but_kill_is_bad_input(capsys, place, command):
    StateFolder(place).close()
    assert "no instance runs" in complaint(capsys, command, code=2)
    assert answer(capsys, command, code=2)["error"]


def test_the_state_folder_is_named_by_option_then_environment_then_default(capsys, tmp_path, monkeypatch):
    asked = {}
    for name in ("state", "other", "third"):
        with running(tmp_path / name) as instance:
            monkeypatch.setenv("AUTOTRADER_STATE", "other" if name != "state" else "")
            more = ["--state", "third"] if name == "third" else []
            shown(capsys, "balance", *more)
            asked[name] = len(instance.asked)
    assert asked == {"state": 1, "other": 1, "third": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--timeout", "0"], '--timeout "0" is not allowed'),
        (["status", "--timeout", "nan"], "0.1 to 600"),
        (["status", "--timeout", "1e9"], "0.1 to 600"),
        (["status", "--timeout", "soon"], "0.1 to 600"),
        (["flatten", "--symbols", "btcusdt"], '"btcusdt" is no symbol'),
        (["reduce", "--symbols", ""], '"" is no symbol'),
        (["reduce", "--symbols", "BTCUSDT,,"], '"" is no symbol'),
        (["halt", "now"], '"now" is one argument too many'),
        (["kill", "--now"], "--now is no option"),
    ],
)
def test_what_was_mistyped_is_bad_input_and_not_sent(capsys, place, arguments, said):
    with running(place) as instance:
        assert said in complaint(capsys, *arguments, code=2)
    assert instance.asked == [] and latched(place) is None


# Kill and re-arm.


def test_a_kill_without_an_instance_is_latched_on_disk(capsys, place):
    StateFolder(place).close()
    text = shown(capsys, "kill", "--reason", "fire alarm")
    kill = latched(place)
    assert kill.reason == "fire alarm" and kill.stamp in text and "No instance runs" in text
    again = answer(capsys, "kill")
    assert again["kill"] == {"killed": kill.stamp, "instance": False} and latched(place) == kill
    assert kill.stamp in shown(capsys, "kill", "--lang", "ko")


def test_a_kill_of_an_instance_has_one_stamp(capsys, place):
    with running(place):
        stamps = {answer(capsys, "kill")["kill"]["killed"] for _ in range(3)}
    assert stamps == {latched(place).stamp} and latched(place).reason == "operator"


def test_a_kill_is_latched_before_the_instance_answers(place):
    async def kill(_arguments):
        while not (place / "kill").exists():
            await asyncio.sleep(0.01)
        return Done(True, latched(place).stamp, [], 0, 0, [])

    with running(place, kill=kill):
        assert main(["kill"]) == 0


@pytest.mark.parametrize("trouble", ["silent", "refusing", "broken", "alive"])
def test_a_kill_that_the_instance_does_not_confirm_is_latched_all_the_same(capsys, place, trouble):
    async def kill(arguments):
        match trouble:
            case "silent":
                await stuck(arguments)
            case "refusing":
                raise OperatorError("not now")
            case "broken":
                raise ZeroDivisionError
        return Done(False, "", [], 1, 1, [])

    with running(place, kill=kill):
        line = complaint(capsys, "kill", "--timeout", "0.3", code=1)
    assert "did not confirm the kill" in line and latched(place).stamp in line


def test_a_kill_whose_operator_gives_up_waiting_is_latched(place):
    with running(place, kill=stuck) as instance:
        command = [sys.executable, "-m", "autotrader.cli", "kill", "--reason", "quick"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as waiting:
            while not instance.asked:
                assert waiting.poll() is None
            waiting.send_signal(2)
            waiting.communicate()
        assert waiting.returncode == 1
    assert latched(place).reason == "quick"


def test_a_kill_that_cannot_be_latched_says_whether_the_instance_is_killed(capsys, place, monkeypatch):
    def refuse(*_args, **_kw):
        raise OSError(28, "No space left on device")

    async def kill(_arguments):
        return Done(True, STAMP, [], 0, 0, [])

    with running(place, kill=kill):
        monkeypatch.setattr("autotrader.adapters.storage.state_folder.os.fsync", refuse)
        assert "the instance is killed, but" in complaint(capsys, "kill", code=1)
    assert "nothing is latched on disk: " in complaint(capsys, "kill", code=1)


def test_a_reason_of_bytes_that_are_no_text_is_no_obstacle(capsys, place):
    with running(place):
        shown(capsys, "kill", "--reason", "\udcff" * 1000)
    assert latched(place).reason == "?" * 500


def test_resume_after_a_kill_wants_the_stamp_of_this_kill(capsys, place):
    with running(place) as instance:
        shown(capsys, "kill", "--reason", "fire alarm")
        stamp = latched(place).stamp
        assert f"fire alarm); to re-arm, add --confirm {stamp}" in complaint(capsys, "resume", code=2)
        assert "stays latched" in complaint(capsys, "resume", "--confirm", "yes", code=2)
        assert [name for name, _ in instance.asked] == ["kill"] and latched(place)
        shown(capsys, "resume", "--confirm", stamp)
        assert instance.asked[-1] == ("resume", {"confirm": stamp}) and latched(place) is None
        assert "full size" in shown(capsys, "resume")


def test_resume_without_an_instance_rearms_with_the_stamp_alone(capsys, place):
    with running(place) as instance:
        instance.latch.close("the watchdog", NOW)
    assert f"--confirm {STAMP}" in complaint(capsys, "resume", code=2)
    assert "stays latched" in complaint(capsys, "resume", "--confirm", "yes", code=2) and latched(place)
    assert "the kill is re-armed; no instance runs" in shown(capsys, "resume", "--confirm", STAMP)
    assert latched(place) is None
    assert "no instance runs" in complaint(capsys, "resume", code=2)


@pytest.mark.parametrize(("typed", "code"), [(STAMP, 0), ("yes", 2), ("", 2)])
@pytest.mark.parametrize("speech", ["en", "ko"])
def test_resume_at_a_terminal_asks_for_the_stamp(place, typed, code, speech):
    with running(place) as instance:
        instance.latch.close("fire alarm", NOW)
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "autotrader.cli", "resume", "--lang", speech]
        with subprocess.Popen(
            command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as asking:
            os.write(ours, f"{typed}\n".encode())
            out, err = asking.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert asking.returncode == code, (out, err)
        assert out.startswith({"en": "Killed (fire alarm).", "ko": "킬 상태입니다(fire alarm)."}[speech])
        assert (latched(place) is None) == (code == 0)


def test_a_machine_is_never_asked(capsys, place, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with running(place) as instance:
        instance.latch.close("fire alarm", NOW)
        assert f"--confirm {STAMP}" in answer(capsys, "resume", code=2)["error"]


def test_a_damaged_latch_is_rearmed_by_its_own_stamp(capsys, place):
    with running(place) as instance:
        instance.latch.close("fire alarm", NOW)
        (place / "kill").write_bytes(b"rust")
        line = complaint(capsys, "resume", code=2)
        stamp = re.search(r"--confirm (\S+)", line).group(1)
        assert "is damaged" in line and stamp != STAMP
        shown(capsys, "resume", "--confirm", stamp)
    assert latched(place) is None
