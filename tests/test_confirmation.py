"""LIVE's typed confirmation: what it is worth, and what makes it void."""

import datetime
import json
import os
import tomllib

import pytest

from autotrader.config import from_dict, sha256, template
from autotrader.errors import OperatorError
from autotrader.messages import set_language
from autotrader.run import confirmation
from autotrader.run.confirmation import FILE, confirm, phrase, require
from autotrader.secret import Credentials, Secret

TODAY = datetime.date(2026, 11, 30)


@pytest.fixture(autouse=True)
def _mode(monkeypatch):
    monkeypatch.setenv("AUTOTRADER_MODE", "live")


def config(**live):
    tables = tomllib.loads(template("quoter", ["BTCUSDT"], "en", "live"))
    tables["live"] |= live
    return from_dict(tables)


def credentials(key: str = "an-api-key-of-ours") -> Credentials:
    return Credentials(api_key=Secret(key), secret=Secret("its-secret-of-ours"), kind="hmac")


def confirmed(folder, day=TODAY, **changes):
    return confirm(folder, phrase(config(), credentials()), config(), credentials(), day, **changes)


def refusal(folder, **changes) -> str:
    given = {"config": config(), "credentials": credentials(), "today": TODAY} | changes
    with pytest.raises(OperatorError) as caught:
        require(folder, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_confirmed_today_may_start(tmp_path):
    path = confirmed(tmp_path / "state")
    assert path == tmp_path / "state" / FILE
    assert path.stat().st_mode & 0o7777 == 0o600 and path.parent.stat().st_mode & 0o7777 == 0o700
    require(tmp_path / "state", config(), credentials(), TODAY)
    assert [one.name for one in path.parent.iterdir()] == [FILE]


def test_the_file_binds_configuration_key_and_day_and_holds_nothing_of_the_key(tmp_path):
    kept = json.loads(confirmed(tmp_path).read_bytes())
    assert kept == {"config_sha256": sha256(config()), "key": credentials().fingerprint, "date": "2026-11-30"}
    assert "an-api-key" not in confirmed(tmp_path).read_text()


def test_the_sentence_differs_by_configuration_and_key():
    sentences = {
        phrase(config(), credentials()),
        phrase(config(state_dir="elsewhere"), credentials()),
        phrase(config(), credentials("another-api-key")),
    }
    assert len(sentences) == 3
    assert phrase(config(), credentials()) == f"trade real money {sha256(config())[:8]} {credentials().fingerprint[:8]}"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "yes",
        "trade real money",
        phrase(config(), credentials()).upper(),
        phrase(config(), credentials())[:-1],
        "예",
        "\ud800",
    ],
)
def test_another_sentence_confirms_nothing_and_leaves_what_there_was(tmp_path, typed):
    with pytest.raises(OperatorError, match=r'^that is not the sentence; type "trade real money '):
        confirm(tmp_path / "none", typed, config(), credentials(), TODAY)
    assert not (tmp_path / "none").exists()
    before = confirmed(tmp_path).read_bytes()
    with pytest.raises(OperatorError):
        confirm(tmp_path, typed, config(), credentials(), TODAY + datetime.timedelta(days=1))
    assert (tmp_path / FILE).read_bytes() == before


def test_space_around_the_sentence_does_not_count(tmp_path):
    confirm(tmp_path, f"  {phrase(config(), credentials())}\n", config(), credentials(), TODAY)
    require(tmp_path, config(), credentials(), TODAY)


def test_without_a_confirmation_nothing_starts(tmp_path):
    assert refusal(tmp_path).startswith(f"{tmp_path / FILE}: mode live needs a typed confirmation of today")
    assert "needs a typed confirmation" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("environment", [{}, {"AUTOTRADER_MODE": "paper"}, {"AUTOTRADER_MODE": "LIVE"}])
def test_an_environment_that_does_not_say_live_starts_nothing(tmp_path, environment):
    confirmed(tmp_path)
    assert "needs AUTOTRADER_MODE=live in the environment" in refusal(tmp_path, environment=environment)
    require(tmp_path, config(), credentials(), TODAY, {"AUTOTRADER_MODE": "live"})


@pytest.mark.parametrize("days", [-400, -1, 1])
def test_a_confirmation_of_another_day_is_stale(tmp_path, days):
    confirmed(tmp_path, TODAY + datetime.timedelta(days=days))
    assert "and today is 2026-11-30 (UTC); confirm again" in refusal(tmp_path)


def test_a_configuration_that_changed_is_another_one(tmp_path):
    confirmed(tmp_path)
    assert "confirms another configuration" in refusal(tmp_path, config=config(state_dir="elsewhere"))
    require(tmp_path, config(), credentials(), TODAY)


def test_another_key_is_not_confirmed(tmp_path):
    confirmed(tmp_path)
    assert "confirms another API key" in refusal(tmp_path, credentials=credentials("another-api-key"))


def test_the_latest_confirmation_counts(tmp_path):
    confirmed(tmp_path, TODAY - datetime.timedelta(days=1))
    confirmed(tmp_path)
    require(tmp_path, config(), credentials(), TODAY)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\xff",
        b'{"config_sha256": "x", "key": "y", "date": "2026-11-30"}',
        b'{"config_sha256": "%s", "key": "0123456789abcdef", "date": "yesterday"}' % (b"0" * 64),
        b'{"config_sha256": "%s", "key": "0123456789abcdef", "date": "2026-11-30", "more": 1}' % (b"0" * 64),
    ],
)
def test_a_damaged_confirmation_is_none(tmp_path, text):
    path = confirmed(tmp_path)
    path.write_bytes(text)
    assert refusal(tmp_path) == f"{path}: is no confirmation; delete it and confirm again"


def test_a_confirmation_that_others_could_have_written_is_none(tmp_path):
    path = confirmed(tmp_path)
    path.chmod(0o660)
    assert "its mode is 0660" in refusal(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in refusal(tmp_path)


@pytest.mark.parametrize("call", ["write", "fsync", "fchmod"])
def test_a_disk_that_fails_leaves_what_there_was(tmp_path, monkeypatch, call):
    before = confirmed(tmp_path, TODAY - datetime.timedelta(days=1)).read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OperatorError, match="No space left on device"):
        patch.setattr(confirmation.os, call, fails)
        confirmed(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before and [one.name for one in tmp_path.iterdir()] == [FILE]


def test_a_file_that_was_written_in_part_confirms_nothing(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OperatorError, match="No space left on device"):
        patch.setattr(confirmation.os, "write", lambda handle, text: len(text) - 1)
        confirmed(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_process_left_that_died_is_in_nobodys_way(tmp_path):
    (tmp_path / f".{FILE}.{os.getpid()}").write_text("half")
    confirmed(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_where_nothing_can_be_written_the_folder_is_named(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OperatorError, match="cannot be written"):
        confirmed(tmp_path / "state")


def test_refusals_are_spoken_in_korean(tmp_path):
    set_language("ko")
    assert "확인" in refusal(tmp_path)
