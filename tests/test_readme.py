"""The two READMEs: their commands exist and run as typed, their links lead somewhere, their output is the program's."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from autotrader.cli import main

READMES = ("README.md", "README.ko.md")
GROUPS = ("exchange", "audit")
LANGUAGES = {"en": "README.md", "ko": "README.ko.md"}
TYPED = re.compile(r"```sh\n(.*?)```", re.DOTALL)
SHOWN = re.compile(r"```text\n(\$ .*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)")
HEADING = re.compile(r"^## .+$", re.MULTILINE)
MEASURED = re.compile(r"\bus\b|events per second|초당 이벤트")


def lines(text: str) -> list[str]:
    return [line for block in TYPED.findall(text) for line in block.splitlines()]


def quoted(text: str) -> list[str]:
    # Commands inside a sentence, without those of the blocks.
    return re.findall(r"`((?:autotrader|make) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def options(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*?  ## ", (root / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="session")
def texts(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text(encoding="utf-8") for name in READMES}


@pytest.fixture
def place(root: Path, tmp_path: Path) -> Path:
    """A folder that looks like the project to a command typed in it, and keeps what the command writes."""
    (tmp_path / "autotrader").symlink_to(root / "autotrader")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/demo").write_bytes((root / "deploy/demo").read_bytes())
    return tmp_path


def shell(place: Path, script: str, language: str) -> str:
    path = f"{place}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "AUTOTRADER_LANG": language, "COLUMNS": "80"}
    command = ["sh", "-euc", script]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def constant(shown: str) -> list[str]:
    # Without the padding of the table, empty lines and what another machine measures otherwise.
    rows = (" ".join(line.replace("─", "").split()) for line in shown.splitlines())
    return [row for row in rows if row and not MEASURED.search(row)]


def test_both_readmes_have_the_same_commands(texts):
    english, korean = (lines(text) for text in texts.values())
    assert english == korean and len(english) > 5


def test_both_readmes_have_the_same_sections(texts):
    english, korean = (HEADING.findall(text) for text in texts.values())
    assert len(english) == len(korean) > 5


@pytest.mark.parametrize("name", READMES)
def test_every_relative_link_leads_somewhere(root, texts, name):
    found = {link.partition("#")[0] for link in LINK.findall(texts[name]) if "://" not in link}
    assert found and not [link for link in sorted(found) if not (root / link).exists()]


@pytest.mark.parametrize("name", READMES)
def test_every_command_and_option_is_one_that_the_program_knows(root, capsys, texts, name):
    commands = [shlex.split(line, comments=True) for line in lines(texts[name]) + quoted(texts[name])]
    ours = [words for words in commands if words and words[0] == "autotrader"]
    for words in ours:
        command = [word for word in words[1 : 2 + (words[1] in GROUPS)] if not word.startswith("-")]
        assert main([*command, "--help"]) == 0, words
        page = capsys.readouterr().out
        assert not [option for option in options(words) if not re.search(rf"{option}\b", page)], words
    known = {"init", "backtest", "paper", "run", "replay", "report", "views", "why", "audit", "stress", "exchange"}
    known |= {"bench", "status", "positions", "orders", "balance", "halt", "reduce", "resume", "flatten", "kill"}
    known |= {"doctor", "confirm"}
    assert {words[1] for words in ours} >= known
    made = {words[1] for words in commands if words and words[0] == "make"}
    assert {"demo", "test", "bench", "peers", "fuzz"} <= made <= targets(root)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_output_in_the_readme_is_what_the_demo_prints(texts, place, language):
    shell(place, "sh deploy/demo", "en")
    again = shell(place, "sh deploy/demo", language)
    assert constant(again) == constant(SHOWN.findall(texts[LANGUAGES[language]])[0])
    assert sorted(path.name for path in place.iterdir()) == [".venv", "autotrader", "deploy", "runs"]
    assert [path.name for path in (place / "runs").iterdir()] == ["demo"]


@pytest.mark.slow
def test_the_first_steps_run_as_typed(texts, place):
    steps = [line for line in lines(texts["README.md"]) if not line.startswith(("sudo ", "make "))]
    (place / "runs").mkdir()
    shell(place, "\n".join(steps), "en")
    reports = sorted(path.parent.name for path in place.glob("runs/*/report.html"))
    assert reports == ["quoter", "stress", "trend"]
