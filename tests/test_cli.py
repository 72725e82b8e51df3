import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from autotrader.cli import main
from autotrader.config import load, template
from autotrader.errors import OperatorError, StateError, VenueError

CONTROL = ["status", "positions", "orders", "balance", "halt", "reduce", "resume", "flatten", "kill"]
READING = ["replay", "report", "views", "why", "audit"]
COMMANDS = [
    "init", "backtest", "paper", "run", *READING, "stress", "exchange", "doctor", "confirm", *CONTROL, "watchdog", "bench",
]  # fmt: skip
SUMMARY = {
    "run_id": "20250504-abc",
    "mode": "backtest",
    "strategy": "trend",
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "start": "2025-05-04T16:00:00Z",
    "end": "2025-06-03T08:00:00Z",
    "final_equity": 7654.321,
    "total_return": -0.00593,
    "sharpe": None,
    "max_drawdown": 0.0123,
    "fees": 12.341,
    "funding": -0.5,
    "orders": 1234,
    "fills": 56,
    "rejects_by_reason": {"R1_PRICE_COLLAR": 3, "R11_ORDER_RATE": 0, "R18_STALE_DATA": 4},
    "liquidations": 0,
    "events": 98765,
    "events_per_second": 2_345_678.9,
    "warnings": ["BTCUSDT: its cap is below the exchange minimum"],
    "notes": ["prior: Sharpe 0.5 +- 0.5"],
    "journal_sha256": "a" * 64,
    "orders_sha256": "b" * 64,
    "state_sha256": "c" * 64,
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty folder, in an environment that asks for no language."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put functions where the commands look for the run."""

    def put(**functions: object) -> None:
        module = types.ModuleType("autotrader.run.wiring")
        for name, function in functions.items():
            setattr(module, name, function)
        monkeypatch.setitem(sys.modules, "autotrader.run", types.ModuleType("autotrader.run"))
        monkeypatch.setitem(sys.modules, "autotrader.run.wiring", module)

    return put


def configured(strategy: str = "trend", mode: str = "backtest", spoken: str = "en") -> Path:
    path = Path(f"{strategy}.toml")
    path.write_text(template(strategy, ["BTCUSDT"], spoken, mode), encoding="utf-8")
    return path


def run_folder(*names: str) -> Path:
    folder = Path("runs/one")
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on standard error of a command that is bad input."""
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autotrader: ") and shown.err.count("\n") == 1
    return shown.err.removeprefix("autotrader: ").rstrip("\n")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_a_help_page(capsys, command, flag):
    assert main([*command, flag]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(" ".join(["Usage: autotrader", *command]))
    assert "--lang en|ko" in shown.out and "--json" in shown.out
    assert shown.err == ""


def test_the_front_page_lists_every_command(capsys):
    main(["--help"])
    listed = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (\w+)  ", listed, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lang", "ko", "--help"],
        ["--help", "--lang=ko"],
        ["--lang", "ko", "backtest", "--help"],
        ["backtest", "--help", "--lang", "ko"],
        ["backtest", "--lang=ko", "--help"],
    ],
)
def test_help_is_korean_wherever_the_language_is_named(capsys, arguments):
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("사용법: autotrader")
    assert "공통 옵션:" in shown
    for english in ("Usage", "Options", "Show", "Commands"):
        assert english not in shown


def test_the_environment_chooses_the_language_and_the_flag_overrides_it(capsys, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LANG", "ko")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    main(["--help"])
    assert capsys.readouterr().out.startswith("사용법")
    main(["--help", "--lang", "en"])
    assert capsys.readouterr().out.startswith("Usage")


def test_help_fits_a_terminal_of_eighty_cells_in_korean(capsys, monkeypatch):
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        main([command, "--help", "--lang", "ko"])
        usage, *lines = capsys.readouterr().out.splitlines()
        assert max(cell_len(line) for line in lines) <= 80 and "…" not in "".join(lines)
        assert usage.startswith("사용법")


@pytest.mark.parametrize("arguments", [["--version"], ["bench", "--version"]])
def test_the_version_is_shown_anywhere(capsys, arguments):
    from autotrader import __version__

    assert main(arguments) == 0
    assert capsys.readouterr().out == f"autotrader {__version__}\n"
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_no_command_shows_the_front_page_and_is_bad_input(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("Usage: autotrader")
    assert main(["--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["bactest"], '"bactest" is no command; did you mean backtest?'),
        (["xyzzy"], '"xyzzy" is no command; see `autotrader --help`'),
        (["--nope"], "--nope is no option of `autotrader`"),
        (["init", "--sybols", "A"], "--sybols is no option of `autotrader init`; did you mean --symbols?"),
        (["init", "--qqq"], "--qqq is no option of `autotrader init`; see `autotrader init --help`"),
        (["init", "--force=yes"], "--force: a value is missing, or one was given that it does not take"),
        (["init", "--out"], "--out: a value is missing"),
        (["init", "extra"], '"extra" is one argument too many'),
        (["init", "--strategy", "hope"], '--strategy "hope" is not allowed; use trend, quoter'),
        (["init", "--mode", "demo"], '--mode "demo" is not allowed; use backtest, paper, testnet, live'),
        (["init", "--symbols", "BTCUSDT,,ETHUSDT"], 'init: run.symbols: "" is not allowed'),
        (["init", "--symbols", ""], 'init: run.symbols: "" is not allowed'),
        (
            ["init", "--out", "no/such/folder.toml"],
            "no/such/folder.toml: cannot be written (No such file or directory)",
        ),
        (["backtest"], "CONFIG is missing; see `autotrader backtest --help`"),
        (["backtest", "none.toml"], "none.toml: no such file"),
        (["backtest", "a\nb\x1b[31m.toml"], "a b [31m.toml: no such file"),
        (["backtest", "trend.toml"], "trend.toml: data.paths: names no market data; add it there, or give --data PATH"),
        (["backtest", "trend.toml", "--data", "none.csv"], "--data none.csv: no such file or folder"),
        (["backtest", "trend.toml", "--data", "trend.toml", "b.csv"], "--data b.csv: no such file or folder"),
        (["backtest", "trend.toml", "--data", "x" * 5000], f"--data {'x' * 5000}: no such file or folder"),
        (["init", "--out", "x" * 5000], f"{'x' * 5000}: cannot be written (File name too long)"),
        (["init", "--out", "", "--force"], ".: cannot be written ("),
        (["backtest", "trend.toml", "b.csv"], '"b.csv" follows no --data; write --data before the files'),
        (["backtest", "trend.toml", "--data", "trend.toml", "--out", "."], "--out .: is not an empty folder"),
        (
            ["backtest", "trend.toml", "--data", "trend.toml", "--out", "trend.toml"],
            "--out trend.toml: is not an empty",
        ),
        (
            ["paper", "trend.toml"],
            'trend.toml: run.mode: is "backtest"; run `autotrader backtest`, or write mode = "paper"',
        ),
        (["replay"], "RUN_DIR is missing"),
        (["replay", "."], "replay needs --verify"),
        (["replay", ".", "--verify"], ".: is no run folder (no summary.json in it)"),
        (["report", "none"], "none: is no run folder"),
        (["views"], "RUN_DIR is missing"),
        (["views", "."], "journal/000000.seg: there is no journal here"),
        (["views", "trend.toml"], "trend.toml/journal/000000.seg: there is no journal here"),
        (["stress"], "--data is missing; see `autotrader stress --help`"),
        (["stress", "--data", "trend.toml", "--symbol", "BTCUSDT", "--from", "2020"], "--to is missing"),
        (["bench", "now"], '"now" is one argument too many'),
        (["--lang", "fr", "bench"], '--lang: "fr" is no language'),
        (["bench", "--lang"], '--lang: "" is no language'),
    ],
)
def test_bad_input_is_one_line_on_standard_error_and_exit_code_two(capsys, arguments, wrong):
    configured()
    before = sorted(Path().iterdir())
    assert complaint(capsys, *arguments).startswith(wrong)
    assert sorted(Path().iterdir()) == before


def test_bad_input_is_a_json_object_for_a_machine(capsys):
    assert main(["--json", "backtest", "none.toml"]) == 2
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert set(answer) == {"error", "exit_code"} and answer["exit_code"] == 2
    assert answer["error"].startswith("none.toml: no such file") and shown.err == ""


def test_bad_input_is_korean_when_korean_is_asked(capsys):
    assert complaint(capsys, "backtest", "none.toml", "--lang", "ko").startswith("none.toml: 파일이 없습니다")
    assert complaint(capsys, "replai", "--lang", "ko") == '"replai" 명령은 없습니다. 혹시 replay입니까?'


def test_the_configuration_chooses_the_language_below_flag_and_environment(capsys, monkeypatch):
    configured(spoken="ko")
    assert "시장 데이터가 없습니다" in complaint(capsys, "backtest", "trend.toml")
    assert "names no market data" in complaint(capsys, "backtest", "trend.toml", "--lang", "en")
    monkeypatch.setenv("AUTOTRADER_LANG", "en")
    assert "names no market data" in complaint(capsys, "backtest", "trend.toml")


@pytest.mark.parametrize("strategy", ["trend", "quoter"])
@pytest.mark.parametrize("mode", ["backtest", "paper"])
def test_init_writes_a_configuration_that_loads_and_says_what_to_type_next(capsys, strategy, mode):
    assert main(["init", "--strategy", strategy, "--mode", mode, "--symbols", "ETHUSDT, SOLUSDT"]) == 0
    config = load(Path(f"{strategy}.toml"))
    assert (config.run.mode, config.strategy.name) == (mode, strategy)
    assert config.run.symbols == ("ETHUSDT", "SOLUSDT")
    assert config.run.initial_equity_usdt == 7700.0
    assert f"autotrader {mode} {strategy}.toml --" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["backtest", "paper"])
@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_a_mode_that_trades_at_an_exchange_is_not_one_of_a_replay(capsys, command, mode):
    path = configured("quoter", mode)
    said = complaint(capsys, command, str(path))
    wanted = f'for `autotrader {command}` write mode = "{command}"'
    assert said == f'{path}: run.mode: is "{mode}", which trades at an exchange; {wanted}'


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_init_of_a_mode_that_trades_at_an_exchange_leads_to_the_checklist(capsys, mode):
    assert main(["init", "--json", "--strategy", "quoter", "--mode", mode]) == 0
    assert json.loads(capsys.readouterr().out)["next"] == "autotrader doctor quoter.toml"
    assert load(Path("quoter.toml")).run.mode == mode


def test_init_without_options_writes_a_trend_backtest_of_five_symbols(capsys):
    assert main(["init"]) == 0
    assert len(load(Path("trend.toml")).run.symbols) == 5
    assert [path.name for path in Path().iterdir()] == ["trend.toml"]


def test_init_comments_in_the_language_that_is_spoken(capsys):
    assert main(["init", "--lang", "ko", "--out", "설정.toml"]) == 0
    text = Path("설정.toml").read_text(encoding="utf-8")
    assert "# 거래할 심볼." in text and load(Path("설정.toml")).run.language == "ko"
    assert "다음 단계" in capsys.readouterr().out


def test_init_refuses_to_overwrite_unless_forced(capsys):
    Path("mine.toml").write_text("precious")
    said = complaint(capsys, "init", "--out", "mine.toml")
    assert said == "mine.toml: exists already; name another with --out, or replace it with --force"
    assert Path("mine.toml").read_text() == "precious"
    assert main(["init", "--out", "mine.toml", "--force"]) == 0
    assert load(Path("mine.toml")).strategy.name == "trend"


def test_init_refuses_to_replace_a_folder_even_when_forced(capsys):
    Path("folder").mkdir()
    assert "cannot be written" in complaint(capsys, "init", "--out", "folder", "--force")
    assert [path.name for path in Path().iterdir()] == ["folder"]


def test_init_answers_a_machine_with_the_path_and_the_next_command(capsys):
    assert main(["init", "--json", "--out", "my run.toml"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "exit_code": 0,
        "config": "my run.toml",
        "next": "autotrader backtest 'my run.toml' --data PATH",
    }


def test_backtest_hands_over_configuration_data_and_folder(capsys, wiring):
    seen = []

    def run_backtest(config, data, out, progress):
        progress(0.5, "half")
        seen.append((config, data, out))
        return SUMMARY

    wiring(run_backtest=run_backtest)
    path = configured()
    for name in ("a.csv", "b.csv", "c.csv"):
        Path(name).touch()
    Path("empty").mkdir()
    files = ["--data", "a.csv", "b.csv", "--data", "c.csv"]
    assert main(["backtest", str(path), *files, "--out", "empty", "--lang", "en"]) == 0
    config, data, out = seen[0]
    assert config == load(path)
    assert sorted(data) == [Path("a.csv"), Path("b.csv"), Path("c.csv")]
    assert out == Path("empty")


def test_backtest_takes_data_paths_relative_to_the_configuration(capsys, wiring):
    seen = []
    wiring(run_backtest=lambda config, data, out, progress: seen.append((data, out)) or SUMMARY)
    Path("folder").mkdir()
    text = template("trend", ["BTCUSDT"], "en").replace("paths = []", 'paths = ["a.csv"]')
    Path("folder/run.toml").write_text(text)
    assert complaint(capsys, "backtest", "folder/run.toml").startswith(
        "folder/run.toml: data.paths: folder/a.csv: no such file or folder"
    )
    Path("folder/a.csv").touch()
    assert main(["backtest", "folder/run.toml"]) == 0
    assert seen == [([Path("folder/a.csv")], None)]


def test_a_run_shows_its_figures_hashes_files_and_what_to_type_next(capsys, wiring):
    wiring(run_backtest=lambda *_: SUMMARY)
    configured()
    assert main(["backtest", "trend.toml", "--data", "trend.toml"]) == 0
    shown = capsys.readouterr()
    lines = {line.strip() for line in shown.out.splitlines()}
    words = " ".join(shown.out.split())
    for part in (
        "final equity 7,654.32 USDT",
        "return -0.59%",
        "Sharpe ratio (annual) undefined",
        "maximum drawdown 1.23%",
        "fees 12.34 USDT",
        "funding received -0.50 USDT",
        "orders 1,234",
        "fills 56",
        "refusals 7 (R1_PRICE_COLLAR 3, R18_STALE_DATA 4)",
        "liquidations 0",
        "events per second 2,345,679",
        f"journal sha256 {'a' * 64}",
        f"orders sha256 {'b' * 64}",
        f"state sha256 {'c' * 64}",
        "summary runs/20250504-abc/summary.json",
        "report runs/20250504-abc/report.html",
    ):
        assert part in words
    assert "warning: BTCUSDT: its cap is below the exchange minimum" in lines
    assert "note: prior: Sharpe 0.5 +- 0.5" in lines
    assert "autotrader replay runs/20250504-abc --verify" in lines
    assert shown.err == ""


def test_a_run_answers_a_machine_with_one_object(capsys, wiring):
    wiring(run_backtest=lambda *_: SUMMARY)
    configured()
    assert main(["backtest", "trend.toml", "--data", "trend.toml", "--out", "new", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"exit_code": 0, "run_dir": "new", "summary": SUMMARY}


def test_figures_are_named_in_korean(capsys, wiring):
    wiring(run_backtest=lambda *_: SUMMARY)
    configured()
    assert main(["backtest", "trend.toml", "--data", "trend.toml", "--lang", "ko"]) == 0
    shown = capsys.readouterr().out
    for word in ("수익률", "샤프 지수", "최대 낙폭", "받은 펀딩비", "체결", "강제 청산", "다음 단계:", "정의되지 않음"):
        assert word in shown


def test_paper_hands_over_the_recording_and_the_speed(capsys, wiring):
    seen = []
    wiring(run_paper=lambda config, files, speed, out, progress: seen.append((files, speed, out)) or SUMMARY)
    configured("quoter", "paper")
    Path("day.gz").touch()
    assert complaint(capsys, "paper", "quoter.toml").startswith("paper needs a recording: give --replay FILE")
    assert complaint(capsys, "paper", "quoter.toml", "--replay", "day.gz", "--speed", "2x").startswith('--speed "2x"')
    assert main(["paper", "quoter.toml", "--replay", "day.gz", "--speed", "1x"]) == 0
    assert main(["paper", "quoter.toml", "--replay", "day.gz", "day.gz"]) == 0
    assert seen == [([Path("day.gz")], "1x", None), ([Path("day.gz")] * 2, "max", None)]


def test_a_replay_that_gives_the_same_run_is_good(capsys, wiring):
    hashes = {name: SUMMARY[name] for name in ("journal_sha256", "orders_sha256", "state_sha256")}
    verdict = {"ok": True, "orders_compared": 1234, "first_difference": None, **hashes}
    wiring(verify_replay=lambda folder, progress: verdict)
    folder = run_folder("summary.json")
    assert main(["replay", str(folder), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "The replay gave the same 1,234 requests" in shown and "c" * 64 in shown
    assert main(["replay", str(folder), "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"exit_code": 0, "run_dir": "runs/one", **verdict}


def test_a_replay_that_differs_is_a_failed_run(capsys, wiring):
    hashes = {name: SUMMARY[name] for name in ("journal_sha256", "orders_sha256", "state_sha256")}
    verdict = {"ok": False, "orders_compared": 7, "first_difference": "order 8: price 5 is now 6", **hashes}
    wiring(verify_replay=lambda folder, progress: verdict)
    folder = run_folder("summary.json")
    assert main(["replay", str(folder), "--verify"]) == 1
    assert "The replay differs: order 8: price 5 is now 6" in capsys.readouterr().out
    assert main(["replay", str(folder), "--verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1


def test_a_run_that_did_not_finish_is_neither_replayed_nor_reported(capsys):
    folder = run_folder("summary.json", "INCOMPLETE")
    for command in (["replay", str(folder), "--verify"], ["report", str(folder)]):
        assert complaint(capsys, *command).startswith("runs/one: the run did not finish")


def test_a_run_that_broke_off_is_told_from_a_folder_that_is_no_run(capsys):
    folder = run_folder("INCOMPLETE")
    assert complaint(capsys, "replay", str(folder), "--verify").startswith("runs/one: the run did not finish")
    (folder / "INCOMPLETE").unlink()
    assert complaint(capsys, "replay", str(folder), "--verify").startswith("runs/one: is no run folder")


def test_report_says_where_it_wrote(capsys, wiring):
    wiring(render_report=lambda folder: folder / "report.html")
    folder = run_folder("summary.json")
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("wrote runs/one/report.html\n")
    assert main(["report", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"exit_code": 0, "report": "runs/one/report.html"}


def test_bench_shows_latencies_beside_their_budget(capsys, wiring, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    row = {"name": "wire to order", "p50_ns": 512, "p99_ns": 1500, "max_ns": 2_500_000, "budget_ns": 100_000_000}
    measured = {"rows": [{**row, "ratio": 1.5e-5}], "text": "two cores"}
    wiring(run_bench=lambda progress: measured)
    assert main(["bench"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "wire to order 512 ns 1.5 us 2.5 ms 100 ms 1.5e-05" in shown and "two cores" in shown
    assert main(["bench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"exit_code": 0, **measured}


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (OperatorError("a.csv:3: price is negative; remove the row"), 2, "a.csv:3: price is negative; remove the row"),
        (VenueError("margin is insufficient", -2019), 1, "margin is insufficient (-2019)"),
        (StateError("position is 2, venue says 3"), 1, "position is 2, venue says 3"),
        (KeyboardInterrupt(), 1, "interrupted; a run that was going is left marked INCOMPLETE"),
        (OSError(5, "Input/output error", "a.seg"), 1, "a.seg: Input/output error; check the path"),
    ],
)
def test_a_failure_has_the_exit_code_of_the_guilty(capsys, wiring, error, exit_code, said):
    def fail(progress):
        raise error

    wiring(run_bench=fail)
    assert main(["bench"]) == exit_code
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"autotrader: {said}")
    assert main(["bench", "--json"]) == exit_code
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() == {"error", "exit_code"} and answer["exit_code"] == exit_code
    assert answer["error"].startswith(said)


def test_an_output_that_takes_nothing_is_told_on_standard_error_even_to_a_machine(capsys, wiring):
    def fail(progress):
        raise OSError(28, "No space left on device")

    wiring(run_bench=fail)
    for arguments in (["bench"], ["bench", "--json"]):
        assert main(arguments) == 1
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.count("\n") == 1
        assert shown.err.startswith("autotrader: the output: No space left on device; check the path")


def test_a_fault_of_ours_is_not_hidden(wiring):
    def fail(progress):
        raise ZeroDivisionError

    wiring(run_bench=fail)
    with pytest.raises(ZeroDivisionError):
        main(["bench"])


def test_what_follows_two_dashes_is_no_flag(capsys):
    assert complaint(capsys, "backtest", "--", "--json").startswith("--json: no such file")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_process_ends_with_the_code_and_without_a_traceback(root, encoding):
    command = [sys.executable, "-m", "autotrader.cli", "backtest", "없음.toml", "--lang", "ko"]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": encoding}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stdout == b"" and ended.stderr.startswith(b"autotrader: ")
    assert b"Traceback" not in ended.stderr and ended.stderr.count(b"\n") == 1
