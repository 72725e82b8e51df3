"""The exchange on loopback as a command: opened, asked, closed, proved; and what it says to bad input."""

import hmac
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from autotrader.cli import main
from autotrader.run.exchange import client_urls

ACCOUNT = '[[account]]\nname = "a"\napi_key = "k"\napi_secret = "s"\n'


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def served(*arguments):
    """Serve on a free port; yields what was opened, and the process, which is stopped with SIGTERM."""
    command = [sys.executable, "-m", "autotrader.cli", "--json", "exchange", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def fetched(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read()


def test_an_exchange_opens_answers_closes_and_its_history_is_proved(capsys):
    with served("--synthetic", "3", "--symbols", "BTCUSDT", "--history", "history.jsonl") as (opened, process):
        assert (opened["event"], opened["market"], opened["symbols"]) == ("opened", "synthetic", ["BTCUSDT"])
        depth = json.loads(fetched(opened["port"], "/fapi/v1/depth?symbol=BTCUSDT&limit=50"))
        assert len(depth["bids"]) >= 40
        assert 90_000 < float(depth["bids"][0][0]) < float(depth["asks"][0][0])  # the shipped candles' last close
        assert b"BTCUSDT" in fetched(opened["port"], "/")
        assert b'lang="ko"' in fetched(opened["port"], "/?lang=ko")
        process.send_signal(signal.SIGTERM)
        closed = json.loads(process.stdout.readline())
        assert (closed["event"], closed["exit_code"]) == ("closed", 0)
        assert process.wait(20) == 0
    assert main(["--json", "exchange", "check", "history.jsonl"]) == 0
    proved = json.loads(capsys.readouterr().out)
    assert proved["violations"] == []
    assert proved["checked"]["WALLET_ADDS"] > 0


def test_a_history_that_somebody_changed_is_not_proved(capsys):
    with served("--symbols", "BTCUSDT", "--history", "history.jsonl", "--for", "1") as (_, process):
        assert process.wait(30) == 0
    path = Path("history.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if b'"k":"fill"' in line)
    path.write_bytes(b"".join((*lines[:at], lines[at].replace(b'"lots":', b'"lots":1'), *lines[at + 1 :])))
    assert main(["exchange", "check", "history.jsonl"]) == 2
    assert "history.jsonl" in capsys.readouterr().err


def test_urls_of_each_known_client_are_printed_with_the_port_that_was_opened():
    command = [sys.executable, "-m", "autotrader.cli", "exchange", "serve", "--port", "0", "--symbols", "BTCUSDT"]
    done = subprocess.run([*command, "--print-urls", "--for", "1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for client, lines in client_urls(0).items():
        assert f"{client}:" in done.stdout
        for line in lines:
            head = line.partition("127.0.0.1:0")[0]
            assert head in done.stdout
    assert "127.0.0.1:0/" not in done.stdout


def test_a_certificate_is_made_once_and_its_key_is_for_its_owner_alone():
    with served("--symbols", "BTCUSDT", "--tls") as (opened, _):
        path = Path(opened["certificate"])
        made = path.read_bytes()
        key = path.with_name("loopback-key.pem")
        assert key.stat().st_mode & 0o077 == 0
        assert opened["status"].startswith("https://")
    with served("--symbols", "BTCUSDT", "--tls") as (opened, _):
        assert path.read_bytes() == made


def signed(port, method, path, **params):
    """Make a signed call as account a."""
    query = urlencode({**params, "timestamp": json.loads(fetched(port, "/fapi/v1/time"))["serverTime"]})
    signature = hmac.new(b"s", query.encode(), "sha256").hexdigest()
    url = f"http://127.0.0.1:{port}{path}?{query}&signature={signature}"
    request = urllib.request.Request(url, method=method, headers={"X-MBX-APIKEY": "k"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("symbols", ["BTCUSDT", "BTCUSDT,BNBUSDT"])
def test_an_account_that_wants_it_pays_its_fees_in_bnb(symbols):
    Path("accounts.toml").write_text(ACCOUNT + 'bnb = "1"\npay_fees_in_bnb = true\n')
    with served("--symbols", symbols, "--accounts", "accounts.toml") as (opened, _):
        port = opened["port"]
        while not any(row["symbol"] == "BNBUSD" for row in json.loads(fetched(port, "/fapi/v1/assetIndex"))):
            time.sleep(0.05)
        signed(port, "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
        trades = signed(port, "GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
        balances = {row["asset"]: row["balance"] for row in signed(port, "GET", "/fapi/v3/balance")}
    assert {trade["commissionAsset"] for trade in trades} == {"BNB"}
    assert float(balances["BNB"]) == pytest.approx(1 - sum(float(trade["commission"]) for trade in trades), abs=1e-8)
    # A tenth less than the taker's 0.05 %, at what a BNB was worth.
    usdt = sum(float(trade["quoteQty"]) for trade in trades) * 0.0005 * 0.9
    assert usdt / sum(float(trade["commission"]) for trade in trades) == pytest.approx(650, rel=0.2)


BAD = {
    "two markets": (["--replay", "day.gz", "--synthetic", "1"], "--synthetic"),
    "a port that is none": (["--port", "70000"], "70000"),
    "a seed that is none": (["--synthetic", "x"], "--synthetic"),
    "a speed that is none": (["--speed", "fast"], "fast"),
    "a speed of nothing": (["--speed", "0"], "--speed"),
    "limits that are none": (["--limits", "many"], "--limits"),
    "a route that nobody knows": (["--unrouted", "some"], "--unrouted"),
    "seconds that are none": (["--for", "0"], "--for"),
    "a recording that is not there": (["--replay", "absent.gz"], "absent.gz"),
    "a recording that is none": (["--replay", "day.gz"], "day.gz"),
    "a symbol that nobody knows": (["--symbols", "NOPEUSDT"], "NOPEUSDT"),
    "accounts that are not there": (["--accounts", "absent.toml"], "absent.toml"),
    "accounts that are no TOML": (["--accounts", "noise"], "noise"),
    "accounts without any": (["--accounts", "none.toml"], "none.toml"),
    "an account twice": (["--accounts", "twice.toml"], "twice.toml"),
    "an account without a secret": (["--accounts", "open.toml"], "api_secret"),
    "an account of another kind": (["--accounts", "kind.toml"], "kind.toml"),
    "an account with a negative wallet": (["--accounts", "poor.toml"], "usdt"),
    "an account with a key that is unknown": (["--accounts", "more.toml"], "more.toml"),
    "faults that are no TOML": (["--faults", "noise"], "noise"),
    "a fault that nobody knows": (["--faults", "fault.toml"], "fault.toml"),
    "a history that is there already": (["--history", "noise"], "noise"),
    "a folder for a history": (["--history", "."], "."),
    "files that belong to no option": (["more.gz"], "more.gz"),
}


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_that_names_it(case, language, capsys):
    files = {
        "day.gz": "no recording",
        "noise": "\x00 = = =",
        "none.toml": "account = []\n",
        "twice.toml": ACCOUNT + ACCOUNT,
        "open.toml": '[[account]]\nname = "a"\napi_key = "k"\n',
        "kind.toml": ACCOUNT + 'kind = "dsa"\npublic_key = "x"\n',
        "poor.toml": ACCOUNT + 'usdt = "-1"\n',
        "more.toml": ACCOUNT + 'leverage = "1"\n',
        "fault.toml": '[[fault]]\ndo = "explode"\n',
    }
    for name, text in files.items():
        Path(name).write_text(text)
    arguments, named = BAD[case]
    arguments = ["--lang", language, "exchange", "serve", "--port", "0", *arguments]
    assert main([*arguments] if "--for" in arguments else [*arguments, "--for", "1"]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") <= 2


def test_a_port_that_is_taken_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["exchange", "serve", "--port", str(port), "--symbols", "BTCUSDT", "--for", "1"]) == 2
    assert str(port) in capsys.readouterr().err


def test_a_history_that_is_not_there_is_named(capsys):
    assert main(["exchange", "check", "absent.jsonl"]) == 2
    assert "absent.jsonl" in capsys.readouterr().err
