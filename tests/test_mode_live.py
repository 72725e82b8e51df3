"""LIVE, rehearsed on the exchange on loopback: what it needs before it starts, each guard missing alone, and a run."""

import datetime
import io
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from builders import configuration
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from processes import running, settle
from test_loopback_cli import served
from test_online import eventually, told
from test_trading import asked, ended, filled, position, protected, proved

from autotrader.adapters.storage.state import Epochs, Latch, Lock
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.cli import main
from autotrader.config import from_dict, load, template
from autotrader.errors import OperatorError
from autotrader.run import confirmation
from autotrader.run.trading import run_trading
from autotrader.secret import Credentials, Secret

DEMO = {"AUTOTRADER_API_KEY": "loopback-demo-key", "AUTOTRADER_API_SECRET": "loopback-demo-secret"}
ACCOUNTS = """
[[account]]
name = "demo"
api_key = "loopback-demo-key"
api_secret = "loopback-demo-secret"
[[account]]
name = "rich"
api_key = "key-that-withdraws"
api_secret = "secret-of-rich"
permissions = ["ipRestrict", "enableReading", "enableFutures", "enableWithdrawals"]
[[account]]
name = "roaming"
api_key = "key-from-anywhere"
api_secret = "secret-of-roaming"
permissions = ["enableReading", "enableFutures"]
[[account]]
name = "hedged"
api_key = "key-of-the-hedged"
api_secret = "secret-of-hedged"
hedge_mode = true
[[account]]
name = "poor"
api_key = "key-of-the-poor"
api_secret = "secret-of-poor"
usdt = "0"
"""
OTHERS = {
    "rich": ("key-that-withdraws", "secret-of-rich"),
    "roaming": ("key-from-anywhere", "secret-of-roaming"),
    "hedged": ("key-of-the-hedged", "secret-of-hedged"),
    "poor": ("key-of-the-poor", "secret-of-poor"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, AUTOTRADER_MODE="live", **DEMO)


def configured(port, mode="live", symbols=("BTCUSDT",), **changes):
    """Write the configuration of a quoter that rehearses LIVE on the exchange at a port."""
    changes = {"profile": '"loopback"', "port": port, "requote_ms": 100, "size_multiplier": 1.0} | changes
    if mode == "live":
        changes = {"rehearsal": "true"} | changes
    return configuration(Path("c.toml"), symbols=symbols, mode=mode, **changes)


def credentials(key=DEMO["AUTOTRADER_API_KEY"], secret=DEMO["AUTOTRADER_API_SECRET"]):
    return Credentials(api_key=Secret(key), secret=Secret(secret), kind="hmac")


def confirmed(file, key=None, day=None):
    """Confirm a configuration, as somebody who types the sentence."""
    config, key = load(file), key or credentials()
    day = day or datetime.datetime.now(datetime.UTC).date()
    confirmation.confirm(Path(config.live.state_dir), confirmation.phrase(config, key), config, key, day)
    return file


def trading(port, out="out", **changes):
    """Rehearse LIVE on the exchange at a port until the block ends; yields the process."""
    return running(confirmed(configured(port, **changes)), "--mode", "live", "--out", out)


def served_with_accounts(place=Path()):
    """Return what an exchange with these accounts is served with; its history is written to the same folder."""
    (place / "accounts.toml").write_text(ACCOUNTS)
    files = ("--accounts", str(place / "accounts.toml"), "--history", str(place / "history.jsonl"))
    return ("--synthetic", "3", "--symbols", "BTCUSDT", *files)


def sent(history):
    """Return what an exchange's history tells of orders of ours, whoever of our accounts sent them."""
    lines = history.read_text().splitlines()
    return [line for line in lines if '"k":"order"' in line and re.search(r'"account":[0-4],', line)]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """An exchange to which nothing may ever be sent; yields its port."""
    place = tmp_path_factory.mktemp("exchange")
    with served(*served_with_accounts(place)) as (opened, _):
        yield opened["port"]
    assert sent(place / "history.jsonl") == []


def refusal(capsys, file, code=2):
    """Try to start LIVE; return the one sentence with which it was refused."""
    assert main(["run", str(file), "--mode", "live", "--for", "1", "--out", "out"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("***")]
    assert len(lines) == 1, err
    assert not Path("out").exists()
    assert not any(secret in err for secret in (*DEMO.values(), *(s for pair in OTHERS.values() for s in pair)))
    return lines[0]


# ---------------------------------------------------------------------- each guard alone


def test_a_configuration_of_another_mode_is_not_live(capsys, exchange):
    assert "run.mode" in refusal(capsys, configured(exchange, "testnet"))


def test_an_environment_that_does_not_say_live_starts_nothing(capsys, exchange, monkeypatch):
    monkeypatch.delenv("AUTOTRADER_MODE")
    assert "AUTOTRADER_MODE=live" in refusal(capsys, confirmed(configured(exchange)))


def test_without_a_confirmation_nothing_starts(capsys, exchange):
    assert "needs a typed confirmation of today" in refusal(capsys, configured(exchange))


def test_a_confirmation_of_yesterday_starts_nothing(capsys, exchange):
    day = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    assert "confirm again" in refusal(capsys, confirmed(configured(exchange), day=day))


def test_a_confirmation_of_another_configuration_starts_nothing(capsys, exchange):
    confirmed(configured(exchange, size_multiplier=0.5))
    assert "confirms another configuration" in refusal(capsys, configured(exchange, size_multiplier=1.0))


def test_a_confirmation_of_another_key_starts_nothing(capsys, exchange):
    file = confirmed(configured(exchange), credentials(*OTHERS["rich"]))
    assert "confirms another API key" in refusal(capsys, file)


def test_a_proxy_starts_nothing(capsys, exchange, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert "https_proxy: mode live goes through no proxy" in refusal(capsys, confirmed(configured(exchange)))


def test_without_keys_nothing_starts(capsys, exchange, monkeypatch):
    file = confirmed(configured(exchange))
    monkeypatch.delenv("AUTOTRADER_API_SECRET")
    assert "AUTOTRADER_API_SECRET" in refusal(capsys, file)


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_a_key_that_cannot_sign_orders_starts_nothing(capsys, exchange, mode):
    made = generate_private_key(65537, 2048)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    Path("keys").write_text(f"an-api-key-of-ours\n{pem}")
    Path("keys").chmod(0o600)
    file = configured(exchange, mode, keys='"file"', key_file='"keys"')
    assert main(["run", str(file), "--mode", mode, "--for", "1"]) == 2
    assert "an RSA key cannot sign orders here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("rich", "API key: key .*enableWithdrawals is on"),
        ("roaming", "API key: key .*ipRestrict is off"),
        ("hedged", "account modes: hedge mode on"),
        ("poor", "wallet: 0.00 USDT"),
    ],
)
def test_a_key_or_an_account_that_is_not_as_it_must_be_starts_nothing(capsys, exchange, monkeypatch, account, said):
    for name, value in zip(DEMO, OTHERS[account], strict=True):
        monkeypatch.setenv(name, value)
    file = confirmed(configured(exchange), credentials(*OTHERS[account]))
    assert re.search(f"LIVE does not start: .*{said}", refusal(capsys, file))


def test_a_signature_that_the_exchange_refuses_starts_nothing(capsys, exchange, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_API_SECRET", "another-secret")
    assert re.search("LIVE does not start: .*API key: .*-1022", refusal(capsys, confirmed(configured(exchange))))


def test_no_exchange_starts_nothing(capsys):
    assert re.search("LIVE does not start: .*exchange connectivity", refusal(capsys, confirmed(configured(1))))


def test_a_position_that_would_lie_too_near_its_liquidation_starts_nothing(capsys, exchange):
    changes = {"margin": '"isolated"', "leverage": 10, "max_symbol_leverage": 10}
    file = confirmed(configured(exchange, **changes))
    assert re.search("LIVE does not start: .*liquidation safety: prices may go [0-9.]+%", refusal(capsys, file))


def test_a_position_without_a_stop_at_the_exchange_starts_nothing(capsys, exchange):
    file = confirmed(configured(exchange, protective_stop=0.0))
    assert re.search("LIVE does not start: limits configured: .*protective stop 0.0%", refusal(capsys, file))


def test_sizes_below_the_exchanges_minimum_start_nothing(capsys, exchange):
    file = confirmed(configured(exchange, size_multiplier=0.1))
    assert re.search("LIVE does not start: order sizes: at most 12.00 USDT an order", refusal(capsys, file))


def test_a_state_folder_that_another_run_holds_starts_nothing(capsys, exchange):
    file = confirmed(configured(exchange))
    folder = StateFolder(Path("state"))
    lock = Lock(folder, Epochs(folder, lambda: 0))
    lock.acquire()
    try:
        assert f"state folder: state: held by process {os.getpid()}" in refusal(capsys, file)
    finally:
        lock.release()
        folder.close()


def test_a_latched_kill_starts_nothing(capsys, exchange):
    file = confirmed(configured(exchange))
    folder = StateFolder(Path("state"))
    stamp = Latch(folder).close("a drill", 1_790_000_000_000_000_000).stamp
    folder.close()
    assert f"kill latched: {stamp}" in refusal(capsys, file)


@pytest.mark.parametrize("mode", ["testnet", "live"])
@pytest.mark.parametrize("symbol", ["BTCUSDC", "ETHBTC", "BTCUSDT_270326"])
def test_what_is_no_perpetual_in_usdt_is_refused_by_name(capsys, mode, symbol):
    file = configured(1, mode)
    file.write_text(file.read_text().replace('["BTCUSDT"]', f'["{symbol}"]'))
    assert main(["run", str(file), "--mode", mode, "--for", "1"]) == 2
    assert f"{symbol} is no perpetual margined in USDT, and mode {mode} trades no other" in capsys.readouterr().err


@pytest.mark.parametrize(("profile", "rehearsal"), [("loopback", "false"), ("production", "true"), ("demo", "false")])
def test_live_reaches_production_or_rehearses_on_loopback(capsys, profile, rehearsal):
    file = configured(1, profile=f'"{profile}"', rehearsal=rehearsal)
    assert main(["run", str(file), "--mode", "live", "--for", "1"]) == 2
    assert re.search(r"live\.(rehearsal|profile)", capsys.readouterr().err)


def test_a_configuration_that_nobody_checked_reaches_no_other_exchange():
    tables = tomllib.loads(template("quoter", ("BTCUSDT",), "en", "live"))
    config = from_dict(tables)
    object.__setattr__(config.live, "profile", "demo")
    with pytest.raises(OperatorError, match="mode live may not trade at demo"):
        run_trading(config, 1.0, None, lambda *_: None)


# ---------------------------------------------------------------------- the confirmation


def test_the_sentence_is_asked_for_and_whoever_types_it_has_confirmed(capsys, exchange, monkeypatch):
    file = configured(exchange)
    wanted = confirmation.phrase(load(file), credentials())
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{wanted}\n"))
    code, answer = told(capsys, "confirm", str(file))
    assert (code, Path(answer["confirmed"])) == (0, Path("state/confirmation.json"))
    assert Path("state/confirmation.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("typed", ["", "yes\n", "trade real money\n"])
def test_another_sentence_confirms_nothing(capsys, exchange, monkeypatch, typed):
    file = configured(exchange)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["confirm", str(file)]) == 2
    err = capsys.readouterr().err
    assert "LIVE loopback: BTCUSDT; leverage 3, size multiplier 1, order at most 5,000 USDT\nType" in err
    assert "that is not the sentence" in err
    assert not Path("state/confirmation.json").exists()


def test_only_live_is_confirmed(capsys, exchange):
    assert main(["confirm", str(configured(exchange, "testnet"))]) == 2
    assert 'run.mode: is "testnet"; only mode "live" is confirmed' in capsys.readouterr().err


# ---------------------------------------------------------------------- a run


def test_a_rehearsal_says_so_trades_and_replays_with_its_share_of_every_size(capsys):
    with served(*served_with_accounts()) as (opened, _):
        port = opened["port"]
        with trading(port, order_notional_usdt=240.0, inventory_budget_usdt=1200.0, size_multiplier=0.5) as run:
            assert run.stderr.readline() == (
                "*** LIVE REHEARSAL: every order goes to the exchange on loopback, "
                f"127.0.0.1:{port}; no real money ***\n"
            )
            filled(capsys, seconds=90)
            status = told(capsys, "status")[1]
            assert (status["mode"], status["profile"], status["gates"]) == ("LIVE", "loopback", [])
            told(capsys, "halt")
            eventually(capsys, lambda orders: not [o for o in orders if o["type"] == "LIMIT"], "orders")
            held = sum(one["quantity_e8"] for one in told(capsys, "positions")[1])
            assert held == round(position(port) * 10**8)
            assert protected(port, held)
            summary = ended(run)
        assert summary["mode"] == "live" and summary["fills"] > 0
        assert any("LIVE REHEARSAL" in warning for warning in summary["warnings"])
        assert any("walk-forward" in warning for warning in summary["warnings"])
        placed = asked(port, "/fapi/v1/allOrders", symbol="BTCUSDT")
        assert 0 < max(float(one["origQty"]) * float(one["price"]) for one in placed if one["type"] == "LIMIT") <= 120
    assert len(sent(Path("history.jsonl"))) >= len(placed) > 0  # written whole when the exchange has closed
    assert proved(capsys) == 0
    assert told(capsys, "replay", "out", "--verify")[1]["ok"]
    assert told(capsys, "audit", "verify", "out")[0] == 0


def test_a_kill_of_live_empties_the_account_and_the_next_start_is_refused(capsys):
    with served(*served_with_accounts()) as (opened, _):
        port = opened["port"]
        with trading(port):
            filled(capsys, seconds=90)
            code, done = told(capsys, "kill")
            assert (code, done["unconfirmed"], done["positions"]) == (0, [], 0)
            assert position(port) == 0
            assert asked(port, "/fapi/v1/openOrders") == asked(port, "/fapi/v1/openAlgoOrders") == []
        Path("out").rename("first")
        assert done["killed"] in refusal(capsys, Path("c.toml"))
    assert proved(capsys) == 0
