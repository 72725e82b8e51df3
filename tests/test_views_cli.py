"""`autotrader views`: what a run's journal tells, to a person in two languages and to a machine."""

import json
import re
import shutil
from pathlib import Path

import pytest
from builders import RECORDING, configuration

from autotrader.cli import main
from autotrader.cli.tables import VIEWS
from autotrader.messages import ENGLISH


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("views")
    config = str(configuration(place / "q.toml", "quoter"))
    assert main(["paper", config, "--replay", str(RECORDING), "--out", str(place / "run"), "--json"]) == 0
    return place / "run"


@pytest.fixture
def copy(run, tmp_path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(autouse=True)
def _wide(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("AUTOTRADER_LANG", "en")


def answer(capsys, *arguments: str) -> dict:
    assert main(["views", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def complaint(capsys, *arguments: str) -> str:
    assert main(["views", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_a_table_headed_in_the_operators_language(capsys, run, view):
    assert main(["views", str(run), view]) == 0
    english = capsys.readouterr().out
    assert english.startswith(f"{ENGLISH[f'views.{view}']}: ")
    for column in VIEWS[view]:
        assert ENGLISH[f"views.{column}"] in english.splitlines()[2]
    assert main(["views", str(run), view, "--lang", "ko"]) == 0
    korean = capsys.readouterr().out
    assert re.search("[가-힣]", korean.splitlines()[0]) and re.search("[가-힣]", korean.splitlines()[2])
    assert len(korean.splitlines()) == len(english.splitlines())


def test_the_first_view_is_positions(capsys, run):
    assert answer(capsys, str(run))["view"] == "positions"


def test_a_machine_gets_exact_money_that_is_the_summarys(capsys, run):
    summary = json.loads((run / "summary.json").read_text())
    fills = answer(capsys, str(run), "fills", "--last", "1000")
    assert len(fills["records"]) == fills["total"] == summary["fills"]
    assert sum(one["fee_e8"] for one in fills["records"]) / 1e8 == summary["fees"]
    assert sum(one["realised_e8"] for one in fills["records"]) / 1e8 == summary["realised_pnl"]
    assert [one["sequence"] for one in fills["records"]] == sorted(one["sequence"] for one in fills["records"])
    *_, last = answer(capsys, str(run), "equity")["records"]
    assert (last["funding_e8"] / 1e8, last["fees_e8"] / 1e8) == (summary["funding"], summary["fees"])
    (quality,) = answer(capsys, str(run), "quality")["records"]
    for name in ("orders", "fills", "fill_rate", "slippage_bps", "post_only_success"):
        assert quality[name] == summary[name], name
    risk = answer(capsys, str(run), "risk")["records"]
    refused = {one["name"]: one["value"] for one in risk if one["topic"] == "refusal"}
    assert refused.items() <= summary["rejects_by_reason"].items() and refused


def test_only_so_many_of_the_newest_are_shown(capsys, run):
    found = answer(capsys, str(run), "orders", "--last", "3")
    assert len(found["records"]) == 3 < found["total"]
    everything = answer(capsys, str(run), "orders", "--last", "100000")
    assert everything["records"][-3:] == found["records"]
    assert answer(capsys, str(run), "orders")["records"] == everything["records"][-20:]


def test_a_run_that_broke_off_shows_what_its_journal_tells(capsys, copy):
    (copy / "summary.json").unlink()
    (copy / "INCOMPLETE").touch()
    journal = copy / "journal/000000.seg"
    journal.write_bytes(journal.read_bytes() + b"\x00" * 40)  # a block that was not written whole
    assert answer(capsys, str(copy), "fills")["complete"] is False
    assert main(["views", str(copy), "fills"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(ENGLISH["views.incomplete"])


def test_a_damaged_store_is_named_and_rebuilt_when_asked(capsys, copy):
    before = answer(capsys, str(copy), "orders")
    store = copy / "views.sqlite"
    store.write_bytes(store.read_bytes()[:100] + b"\xff" * 20_000)
    assert "views store is damaged" in complaint(capsys, str(copy), "orders")
    assert answer(capsys, str(copy), "orders", "--rebuild") == before


def test_a_journal_that_lost_its_end_is_said_to_have(capsys, copy):
    journal = copy / "journal/000000.seg"
    journal.write_bytes(b"")
    assert answer(capsys, str(copy), "fills")["complete"] is False
    assert main(["views", str(copy), "fills"]) == 0
    shown = capsys.readouterr().out
    assert "after 0 journal rows" in shown and ENGLISH["views.incomplete"] in shown


def test_a_journal_that_cannot_be_read_is_named_with_the_reason(capsys, copy):
    journal = copy / "journal/000000.seg"
    journal.unlink()
    journal.symlink_to(journal.name)  # a file that even the superuser cannot open
    assert complaint(capsys, str(copy)).startswith(f"autotrader: {journal}: cannot be read (")
    assert main(["replay", str(copy), "--verify"]) == 2
    assert capsys.readouterr().err.startswith(f"autotrader: {journal}: cannot be read (")


def test_a_damaged_summary_is_called_one(capsys, copy):
    (copy / "summary.json").write_text("{")
    assert main(["replay", str(copy), "--verify"]) == 2
    assert "summary.json: is not the summary of a run" in capsys.readouterr().err


@pytest.mark.parametrize("view", VIEWS)
def test_a_record_is_one_whole_line_however_narrow_the_terminal(capsys, run, view, monkeypatch):
    main(["views", str(run), view])
    wide = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "30")
    main(["views", str(run), view])
    assert capsys.readouterr().out == wide
    assert "…" not in wide


def test_a_damaged_journal_is_no_view(capsys, copy):
    journal = copy / "journal/000000.seg"
    journal.write_bytes(journal.read_bytes()[:200] + b"\xff" + journal.read_bytes()[201:])
    assert "cannot be trusted" in complaint(capsys, str(copy))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "trades"], '"trades" is no view; use positions, orders'),
        (["{run}", "orders", "--last", "0"], '--last "0" is no count'),
        (["{run}", "orders", "--last", "-5"], '--last "-5" is no count'),
        (["{run}", "orders", "--last", "9" * 30], "is no count"),
        (["{run}", "orders", "--last", "many"], '--last "many" is no count'),
        (["{run}", "orders", "more"], '"more" is one argument too many'),
        ([], "RUN_DIR is missing"),
        (["/nowhere"], "there is no journal here"),
    ],
)
def test_a_mistyped_command_is_answered_in_one_line(capsys, run, arguments, words):
    assert words in complaint(capsys, *(part.format(run=run) for part in arguments))


def test_the_help_page_names_the_views(capsys):
    assert main(["views", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: autotrader views RUN_DIR [VIEW]") and all(view in shown for view in VIEWS)
