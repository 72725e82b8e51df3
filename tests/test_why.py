"""`autotrader why`: any order and any refusal of a run, explained from its journal and a re-run up to that moment."""

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from builders import HISTORY, RECORDING, configuration, row
from journals import EPOCH, journal

from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.cli import main
from autotrader.config import load
from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH, say
from autotrader.research.replay import Session
from autotrader.research.why import Named, find, last_refusal, named
from autotrader.run import wiring
from autotrader.run.why import why
from core_ext.journal import JournalWriter
from core_ext.types import Command, Kind


def run_folder(place: Path, strategy: str, files: list[Path], *commands: tuple[float, Command]) -> Path:
    """Run a strategy, with commands of an operator after shares of a minute, and leave its folder."""
    run = wiring.Run(load(configuration(place / "c.toml", strategy)), files, lambda share, text: None)
    folder = RunFolder(place / "run")
    folder.create(run.plan.manifest())
    session = Session(run.plan, folder.journal_file, wiring.anchors_of(run.plan, folder))
    session.start(run.source.start_ns)
    for after, command in commands:
        session.driver.schedule(int(Kind.COMMAND), run.source.start_ns + round(after * 10**9), (int(command),))
    for _ in run.source.feed(session.driver):
        pass
    session.finish()
    return folder.path


@pytest.fixture(scope="module")
def quoter(tmp_path_factory) -> Path:
    commands = (20, Command.HALT), (45, Command.RESUME), (80, Command.HALT)
    return run_folder(tmp_path_factory.mktemp("quoter"), "quoter", [RECORDING], *commands)


@pytest.fixture(scope="module")
def trend(tmp_path_factory) -> Path:
    return run_folder(tmp_path_factory.mktemp("trend"), "trend", HISTORY)


def rows_of(run: Path) -> np.ndarray:
    folder = RunFolder(run)
    return np.concatenate(list(wiring.blocks_of(folder, wiring.plan_of(folder))))


def explained(run: Path, wanted: Named | None, symbol: str = "") -> dict:
    return why(run, wanted, symbol, lambda share, text: None)


def some(rows: np.ndarray, kind: Kind, count: int) -> list[int]:
    at = np.flatnonzero(rows["kind"] == int(kind))
    return at[np.linspace(0, len(at) - 1, min(count, len(at))).astype(int)].tolist()


# --- names


@pytest.mark.parametrize(
    ("text", "ids", "at"),
    [
        ("at28a6276d00000036", (0x28A6276D00000036,), None),
        ("AT28A6276D00000036", (0x28A6276D00000036,), None),
        ("0x28a6276d00000036", (0x28A6276D00000036,), None),
        ("28a6276d00000036", (0x28A6276D00000036,), None),
        ("2929107379266519094", (2929107379266519094,), 2929107379266519094),
        ("42", (42,), 42),
        ("1234567800000012", (0x1234567800000012, 1234567800000012), 1234567800000012),
        ("deadbeef00000001", (0xDEADBEEF00000001 - 2**64,), None),
    ],
)
def test_an_order_is_named_as_on_the_wire_in_a_view_as_a_number_or_by_its_row(text, ids, at):
    assert named(text) == Named(ids, at)


@pytest.mark.parametrize("text", ["", "at", "x7", "-1", "4.2", "at00000000000000001", "12345678901234567890", "ordér"])
def test_what_names_no_order_is_refused(capsys, text):
    assert named(text) is None
    assert main(["why", "--", text]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("seed", range(4))
def test_an_order_is_found_by_its_id_and_a_refusal_by_its_row(seed):
    rows = journal(seed)
    for blocks in ([rows], np.array_split(rows, 7)):
        for at in np.flatnonzero(np.isin(rows["kind"], (int(Kind.ORDER), int(Kind.REFUSED)))).tolist():
            assert find(blocks, Named((), at)) == at
        for at in np.flatnonzero(rows["kind"] == int(Kind.ORDER)).tolist():
            first = np.flatnonzero((rows["kind"] == int(Kind.ORDER)) & (rows["a"] == rows["a"][at]))[0]
            assert find(blocks, Named((int(rows["a"][at]),))) == first
        assert find(blocks, Named((EPOCH - 1,), 0)) is None
        for symbol in range(3):
            refused = np.flatnonzero((rows["kind"] == int(Kind.REFUSED)) & (rows["symbol"] == symbol))
            assert last_refusal(blocks, symbol) == (refused[-1] if len(refused) else None)


def test_a_number_that_is_an_id_and_a_row_means_the_order():
    rows = np.concatenate([row(Kind.RUN), row(Kind.REFUSED), row(Kind.ORDER, a=1)])
    assert find([rows], Named((1,), 1)) == 2


# --- what is told is what was


def test_the_state_of_an_order_is_that_in_which_the_run_asked_for_it(quoter):
    rows = rows_of(quoter)
    for at in some(rows, Kind.ORDER, 8):
        found, asked = explained(quoter, Named((int(rows["a"][at]),))), rows[at]
        market, account = found["state"]["market"], found["state"]["account"]
        assert found["row"] == at and found["unknown"] == "" and found["verdict"]["reason"] == "APPROVED"
        assert market["mid_e8"] == asked["e"] and market["spread_e8"] == market["ask_e8"] - market["bid_e8"] > 0
        assert account["position_e8"] == found["position_e8"]  # two ways: the engine's and the ledger's
        assert account["worst_after_e8"] >= account["worst_before_e8"] >= 0
        assert found["order"]["limiting"] == found["state"]["limiting"]
        assert found["state"]["measures"] == []


def test_fills_answers_and_the_end_are_the_journals(quoter):
    rows = rows_of(quoter)
    fill = rows[some(rows, Kind.FILL, 3)[1]]
    found = explained(quoter, Named((int(fill["a"]),)))
    mine = rows[(rows["a"] == fill["a"]) & np.isin(rows["kind"], [int(Kind[one["kind"]]) for one in found["events"]])]
    assert [one["ts_ns"] for one in found["events"]] == mine["ts"].tolist()
    assert [one["after_ns"] for one in found["events"]] == (mine["ts"] - mine["ts"][0]).tolist()
    assert [one["kind"] for one in found["events"]][:2] == ["ORDER", "ACCEPTED"]
    fills = rows[(rows["kind"] == int(Kind.FILL)) & (rows["a"] == fill["a"])]
    told = [(one["price_e8"], one["quantity_e8"], one["fee_e8"], one["maker"]) for one in found["fills"]]
    assert told == [(one["c"] * 10**7, one["d"] * 10**5, one["e"], bool(one["flags"] & 8)) for one in fills]
    assert found["end"] == {"state": "FILLED", "filled_e8": sum(one[1] for one in told)}
    assert all(abs(one["slippage_bps"]) < 5 for one in found["fills"])


def test_a_refusal_says_which_figure_was_on_the_wrong_side_of_which_limit(quoter):
    rows = rows_of(quoter)
    for at in some(rows, Kind.REFUSED, 6):
        found = explained(quoter, Named((), at))
        assert found["client_id"] is None and found["end"] is None and found["events"] == []
        assert found["verdict"]["number"] == rows["a"][at]
        assert [one for one in found["state"]["measures"] if one["broken"]], found["verdict"]


def test_the_commands_of_the_operator_stand_around_a_refusal_that_they_led_to(quoter):
    found = explained(quoter, None, "BTCUSDT")
    assert found["verdict"]["reason"] == "HALTED" and found["state"]["account"]["halted"]
    assert [one["command"] for one in found["commands"]] == ["HALT", "RESUME", "HALT"]
    assert found["commands"][-1]["ts_ns"] < found["ts_ns"]
    (measure,) = found["state"]["measures"]
    assert measure["name"] == "halted" and measure["broken"]


def test_a_size_is_told_with_what_it_was_made_of(trend):
    rows = rows_of(trend)
    entries = [at for at in some(rows, Kind.ORDER, 6) if not rows["flags"][at] & 16]
    sizes = [explained(trend, Named((), at)) for at in entries]
    assert sizes
    for found in sizes:
        size = found["state"]["sizing"]
        assert size["limiting"] == found["order"]["limiting"] and size["ts_ns"] == found["ts_ns"]
        assert size["inputs"]["equity"] == pytest.approx(found["state"]["account"]["equity_e8"] / 1e8, rel=0.01)
        assert found["cause"]["kind"] in ("TIMER", "RANGE", "FILL", "HEADROOM")


def test_the_wall_clock_is_told_as_far_as_the_anchors_know_it(quoter, tmp_path):
    wall = explained(quoter, None, "BTCUSDT")["wall"]
    assert wall["after"] < wall["before"]
    shutil.copytree(quoter, tmp_path / "run")
    (tmp_path / "run/journal/anchors.jsonl").unlink()
    assert explained(tmp_path / "run", None, "BTCUSDT")["wall"] is None


def test_without_its_data_a_run_tells_what_the_journal_knows_and_says_what_it_does_not(quoter, tmp_path, capsys):
    shutil.copytree(quoter, tmp_path / "run")
    manifest = tmp_path / "run/journal/manifest.json"
    manifest.write_text(manifest.read_text().replace(str(RECORDING.resolve()), str(tmp_path / "gone.gz")))
    whole, found = explained(quoter, None, "BTCUSDT"), explained(tmp_path / "run", None, "BTCUSDT")
    assert found["state"] is None and "gone.gz" in found["unknown"]
    for same in ("row", "order", "verdict", "position_e8", "commands", "ts_ns"):
        assert found[same] == whole[same]
    assert main(["why", "--last-refusal", "BTCUSDT", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert ENGLISH["why.unknown"] in shown and "gone.gz" in shown


def test_a_run_that_broke_off_is_explained_as_far_as_its_journal_goes(quoter, tmp_path):
    shutil.copytree(quoter, tmp_path / "run")
    file, rows = RunFolder(tmp_path / "run").journal_file, rows_of(quoter)
    middle, later = some(rows, Kind.ORDER, 3)[1:]
    file.unlink()
    journal = JournalWriter(str(file))
    journal.add(rows[: middle + 1])
    journal.close()
    file.write_bytes(file.read_bytes() + b"half a block")
    found = explained(tmp_path / "run", Named((), middle))
    assert found["state"] == explained(quoter, Named((), middle))["state"] is not None
    assert found["end"] == {"state": "PENDING", "filled_e8": 0}
    with pytest.raises(OperatorError, match="no such order"):
        explained(tmp_path / "run", Named((), later))


# --- the command


@pytest.fixture(autouse=True)
def _english(monkeypatch) -> None:
    monkeypatch.setenv("AUTOTRADER_LANG", "en")


def test_one_screen_tells_a_person_everything_in_his_language(capsys, quoter):
    assert main(["why", "--last-refusal", "BTCUSDT", str(quoter)]) == 0
    english = capsys.readouterr().out
    assert english.startswith("refused: ") and len(english.splitlines()) <= 45
    for part in ("asked", "market", "account", "size", "verdict", "commands"):
        assert ENGLISH[f"why.head.{part}"] in english.splitlines()
    assert "HALTED" in english and ENGLISH["why.broken"] in english
    assert main(["why", "--last-refusal", "BTCUSDT", str(quoter), "--lang", "ko"]) == 0
    korean = capsys.readouterr().out
    assert len(korean.splitlines()) == len(english.splitlines())
    assert all(re.search("[가-힣]", line) for line in korean.splitlines() if line and not line.startswith(" "))


def test_a_machine_gets_the_same_whatever_the_spelling_of_the_id(capsys, quoter):
    rows = rows_of(quoter)
    client_id = int(rows["a"][some(rows, Kind.ORDER, 3)[1]])
    answers = []
    for word in (f"at{client_id:016x}", f"{client_id:016x}", f"0x{client_id:x}", str(client_id)):
        assert main(["why", word, str(quoter), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert all(answer == answers[0] for answer in answers) and answers[0]["client_id"] == f"at{client_id:016x}"


def test_the_newest_run_is_meant_when_none_is_named(capsys, quoter, trend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["why", "1"]) == 2
    assert "there is no run here" in capsys.readouterr().err
    for name, run in (("old", trend), ("new", quoter)):
        shutil.copytree(run, tmp_path / "runs" / name, copy_function=shutil.copy)
        time.sleep(0.01)
    assert main(["why", "--last-refusal", "BTCUSDT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_dir"] == "runs/new"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("1",), "no such order"),
        (("at7777777700000001",), "no such order"),
        (("--last-refusal", "DOGEUSDT"), "is no symbol of the run"),
    ],
)
def test_what_a_run_does_not_have_is_bad_input_in_one_line(capsys, quoter, arguments, said):
    assert main(["why", *arguments, str(quoter)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and said in shown.err and shown.err.count("\n") == 1


def test_nothing_refused_is_said(capsys, trend):
    assert main(["why", "--last-refusal", "BTCUSDT", str(trend)]) == 2
    assert "nothing of BTCUSDT was refused" in capsys.readouterr().err


def test_no_order_and_too_many_words_are_bad_input(capsys, quoter):
    assert main(["why"]) == 2
    assert main(["why", "1", str(quoter), "more"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_damaged_journal_explains_nothing(capsys, quoter, tmp_path):
    shutil.copytree(quoter, tmp_path / "run")
    file = RunFolder(tmp_path / "run").journal_file
    text = bytearray(file.read_bytes())
    text[100] ^= 1
    file.write_bytes(text)
    assert main(["why", "1", str(tmp_path / "run")]) == 2
    assert "damaged" in capsys.readouterr().err


def test_every_figure_of_a_rule_has_its_words(root):
    source = (root / "autotrader/research/verdicts.py").read_text()
    names = set(re.findall(r'Measure\(\s*"(\w+)"', source)) | {f"price_{name}" for name in ("mark", "mid", "trigger")}
    assert len(names) > 50 and all(say(f"why.m.{name}") for name in names)
    assert {key.removeprefix("why.m.") for key in ENGLISH if key.startswith("why.m.")} == names


def test_a_view_of_risk_tells_the_commands_of_the_operator(capsys, quoter):
    assert main(["views", str(quoter), "risk", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["records"]
    assert {one["name"]: one["value"] for one in records if one["topic"] == "command"} == {"HALT": 2, "RESUME": 1}
