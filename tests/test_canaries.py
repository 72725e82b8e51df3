"""Secrets leave no trace: runs that were given canaries in every way that there is, and that the search finds them."""

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from canaries import KEY, MARK, PASSPHRASE, SECRET, Search
from test_loopback_cli import served
from test_online import eventually, told
from test_trading import configured

from autotrader.cli import main

SYNTHETIC = ("--synthetic", "3", "--symbols", "BTCUSDT")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "AUTOTRADER_API_KEY", "AUTOTRADER_API_SECRET"):
        monkeypatch.delenv(name, raising=False)


# ---------------------------------------------------------------------- the search

SHAPES = {
    "plain": SECRET.encode(),
    "a part": SECRET[-20:].encode(),
    "percent-encoded": quote(PASSPHRASE, safe="").encode(),
    "hexadecimal": SECRET.encode().hex().encode(),
    "capitals": SECRET.encode().hex().upper().encode(),
    "json": json.dumps({"x": PASSPHRASE}).encode(),
    **{f"base64 at {k}": base64.b64encode(b"x" * k + SECRET.encode() + b"yz") for k in range(4)},
    **{f"urlsafe base64 at {k}": base64.urlsafe_b64encode(b"x" * k + PASSPHRASE.encode()) for k in range(4)},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_canary_is_found_in_every_shape_and_wherever_it_lies(tmp_path, canaries, shape):
    search, path = Search(), canaries.plant(tmp_path / "a/b/c.bin")
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(1 << 20) + SHAPES[shape] + os.urandom(100))
    search.look_below(tmp_path)
    assert search.hits == [str(path)]


def test_it_is_found_where_two_blocks_meet_in_a_packed_file_and_in_a_name(tmp_path, canaries, monkeypatch):
    monkeypatch.setattr("canaries.CHUNK", 1000)
    search, path = Search(), canaries.plant(tmp_path / "long.log")
    path.write_bytes(b"." * 995 + KEY.encode() + b"." * 5000)
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(b"." * 5000 + KEY.encode()))
    canaries.plant(packed)
    search.look_below(tmp_path)
    assert search.hits == [str(path), f"{packed} (unpacked)"]
    assert search.look("a name", f"{MARK}.toml")


def test_what_holds_no_canary_what_was_planted_and_what_is_added_later(tmp_path, canaries):
    search = Search()
    (tmp_path / "noise").write_bytes(os.urandom(1 << 22))
    search.plant(canaries.plant(tmp_path / "keys")).write_text(SECRET)
    search.look_below(tmp_path)
    assert search.hits == []
    (tmp_path / "other").write_text("the-listen-key-of-a-stream")
    search.add("the-listen-key-of-a-stream")
    search.look_below(tmp_path)
    assert search.hits == [str(tmp_path / "other")]


def test_a_canary_in_a_command_line_is_found():
    search = Search()
    search.add("only-on-the-command-line-of-this-process")
    words = ["only-on-the-", "command-line-of-this-process"]
    process = subprocess.Popen([sys.executable, "-c", "input()", "".join(words)], stdin=subprocess.PIPE)
    try:
        search.look_at_processes()
        assert f"the command line of process {process.pid}" in search.hits
    finally:
        process.communicate(b"\n")


LEAKS = """
import subprocess, sys
from canaries import KEY

def test_a_file(tmp_path): (tmp_path / "trace.log").write_text(KEY)
def test_a_line(): print(KEY)
def test_a_failure(): assert KEY == ""
def test_a_child(): subprocess.run([sys.executable, "-c", "from canaries import KEY; print(KEY)"], capture_output=True)
def test_nothing(tmp_path): (tmp_path / "x").write_text("nothing")
"""


def session(root, canaries, which, *options):
    """Run a session of tests of its own; return its exit code and the places that it names."""
    Path("conftest.py").write_text((root / "tests/conftest.py").read_text())
    Path("test_leaks.py").write_text(LEAKS)
    for worker in ("", "popen-gw0", "popen-gw1"):
        canaries.plant(Path("base", worker, "test_a_file0/trace.log"))
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", "--basetemp", "base", "-k", which, *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with canaries.plant(Path("said")).open("wb") as said:
        done = subprocess.run(
            command, stdout=said, stderr=said, env=environment | {"PYTHONPATH": f"{root}:{root}/tests"}, timeout=120,
            check=False,
        )  # fmt: skip
    lines = Path("said").read_text().splitlines()
    return done.returncode, sorted(line.partition("CANARY in ")[2] for line in lines if line.startswith("CANARY in "))


def test_a_session_whose_tests_leak_fails_and_names_every_place(root, tmp_path, canaries):
    code, places = session(root, canaries, "test_a_ or test_nothing")
    assert code == 1
    assert places == sorted([
        f"{tmp_path}/base/test_a_file0/trace.log",
        "Captured stdout call of test_leaks.py::test_a_line",
        "the failure of test_leaks.py::test_a_failure",
        "the output of a process, in test_leaks.py::test_a_child (call)",
    ])  # fmt: skip


@pytest.mark.slow
def test_what_a_worker_finds_fails_the_session_and_a_session_without_a_leak_does_not(root, tmp_path, canaries):
    code, (place,) = session(root, canaries, "test_a_file or test_nothing", "-n", "2")
    assert code == 1
    assert place.endswith("/test_a_file0/trace.log")
    assert session(root, canaries, "test_nothing") == (0, [])


# ---------------------------------------------------------------------- the product


def given(way, canaries, monkeypatch, secret=SECRET):
    """Give the keys in one of the ways that there are; return what the configuration says of it."""
    if way == "environment":
        monkeypatch.setenv("AUTOTRADER_API_KEY", KEY)
        monkeypatch.setenv("AUTOTRADER_API_SECRET", secret)
        return {"keys": '"environment"'}
    path = Path("keys")
    if way == "file":
        canaries.plant(path).write_text(f"{KEY}\n{secret}\n")
    else:
        pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
        path.write_bytes(pyrage.passphrase.encrypt(f"{KEY}\n{secret}\n".encode(), PASSPHRASE))
        monkeypatch.setenv("AUTOTRADER_AGE_PASSPHRASE", PASSPHRASE)
    path.chmod(0o600)
    return {"keys": f'"{way}"', "key_file": '"keys"'}


@pytest.fixture
def exchange(canaries):
    """An exchange whose only account is the canaries'."""
    accounts = canaries.plant(Path("accounts.toml"))
    accounts.write_text(f'[[account]]\nname = "bird"\napi_key = "{KEY}"\napi_secret = "{SECRET}"\n')
    with served(*SYNTHETIC, "--accounts", "accounts.toml", "--history", "history.jsonl") as (opened, _):
        yield opened["port"]


def listen_key(port):
    """Return the account's listen key, which is what its stream is heard by."""
    url = f"http://127.0.0.1:{port}/fapi/v1/listenKey"
    request = urllib.request.Request(url, method="POST", headers={"X-MBX-APIKEY": KEY})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())["listenKey"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["environment", "file", "age"])
def test_a_run_that_trades_leaves_no_secret_anywhere(exchange, canaries, monkeypatch, capsys, tmp_path, way):
    configured(exchange, **given(way, canaries, monkeypatch))
    command = [sys.executable, "-m", "autotrader.cli", "run", "c.toml", "--mode", "testnet", "--out", "out"]
    with Path("said").open("wb") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        eventually(capsys, lambda answer: answer["orders_open"], "status")
        canaries.add(listen_key(exchange))
        for asked in ("status", "orders", "positions", "balance"):
            told(capsys, asked)
        canaries.look_at_processes()
    finally:
        run.send_signal(signal.SIGINT if way == "environment" else signal.SIGKILL)
        run.wait(60)
    before = len(canaries.hits)
    canaries.look_below(tmp_path)
    assert canaries.hits[before:] == []
    assert Path("said").stat().st_size or way != "environment"


@pytest.mark.parametrize("way", ["environment", "file", "age"])
def test_a_run_that_is_refused_says_no_secret(exchange, canaries, monkeypatch, capsys, tmp_path, way):
    configured(exchange, **given(way, canaries, monkeypatch, secret=SECRET[::-1] + MARK))
    assert main(["run", "c.toml", "--mode", "testnet", "--for", "1"]) == 1
    shown = capsys.readouterr()
    assert "-1022" in shown.err
    assert not canaries.look("what a refused run says", shown.out + shown.err)
