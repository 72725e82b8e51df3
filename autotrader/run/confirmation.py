"""LIVE's typed confirmation: somebody said today that this configuration may trade with this key.

Knows the sentence that is typed, the file that keeps it for the day, and what makes it void. Refuses to know who typed
it and what starts then.
"""

from __future__ import annotations

import datetime
import errno
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from autotrader import config as configuration
from autotrader.adapters.keys import private_bytes
from autotrader.config import Config
from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.secret import Credentials

__all__ = ["FILE", "confirm", "phrase", "require"]

FILE, VARIABLE = "confirmation.json", "AUTOTRADER_MODE"


class _Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    config_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    key: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    date: datetime.date


def phrase(config: Config, credentials: Credentials) -> str:
    """Return what must be typed: a sentence that nobody types by habit, because it differs by configuration and key.

    Parameters
    ----------
    config : Config
    credentials : Credentials
    """
    return f"trade real money {configuration.sha256(config)[:8]} {credentials.fingerprint[:8]}"


def confirm(folder: Path, typed: str, config: Config, credentials: Credentials, today: datetime.date) -> Path:
    """Keep a confirmation for the day.

    Parameters
    ----------
    folder : Path
        The state folder; made, for its owner alone, if it is not there.
    typed : str
        What was typed; space around it does not count.
    config : Config
    credentials : Credentials
    today : date
        The day in UTC.

    Returns
    -------
    Path
        The file, of mode 0600, on the disk.

    Raises
    ------
    OperatorError
        If it is not the sentence of `phrase`, or the file cannot be written. An earlier file stays as it was.
    """
    wanted = phrase(config, credentials)
    if not hmac.compare_digest(typed.strip().encode("utf-8", "replace"), wanted.encode()):
        raise OperatorError(say("confirmation.other_words", wanted=wanted))
    kept = _Confirmation(configuration.sha256(config), credentials.fingerprint, today)
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, msgspec.json.encode(kept))
    except OSError as error:
        raise OperatorError(say("confirmation.not_written", file=path, reason=error.strerror)) from None
    return path


def require(
    folder: Path,
    config: Config,
    credentials: Credentials,
    today: datetime.date,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Refuse to go on without a confirmation of today, for this configuration and this key.

    Parameters
    ----------
    folder : Path
        The state folder.
    config : Config
    credentials : Credentials
    today : date
        The day in UTC.
    environment : mapping, optional
        The process's own by default; it must say ``AUTOTRADER_MODE=live``, so that a folder that was copied to another
        machine does not trade there by itself.

    Raises
    ------
    OperatorError
        If the environment does not say so, or the confirmation is absent, not ours alone to write, damaged, of another
        day, of another configuration or of another key: each with its reason.
    """
    if environment.get(VARIABLE) != "live":
        raise OperatorError(say("confirmation.environment", name=VARIABLE))
    path = folder / FILE
    if not os.path.lexists(path):
        raise OperatorError(say("confirmation.none", file=path))
    try:
        kept = msgspec.json.decode(private_bytes(path), type=_Confirmation)
    except msgspec.DecodeError:
        raise OperatorError(say("confirmation.damaged", file=path)) from None
    if kept.config_sha256 != configuration.sha256(config):
        raise OperatorError(say("confirmation.other_config", file=path))
    if kept.key != credentials.fingerprint:
        raise OperatorError(say("confirmation.other_key", file=path))
    if kept.date != today:
        raise OperatorError(say("confirmation.other_day", file=path, date=kept.date, today=today))


def _write(path: Path, text: bytes) -> None:
    # Whole and on the disk, or not at all.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)  # of a process of this number that died here
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(handle, 0o600)
            if os.write(handle, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
