"""Where an account's keys are: the environment, a file that only its owner reads, or a file encrypted with age.

Knows how each is read and what makes one unsafe to read. Refuses to know what is signed with a key: whoever signs gets
`Credentials`. No message of this module holds anything that stood in a file or a variable.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from autotrader.config import Live
from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.ports import KeyManager
from autotrader.secret import SHORTEST, Credentials, Secret

__all__ = ["AgeKeys", "EnvironmentKeys", "FileKeys", "key_kind", "key_manager", "private_bytes"]

KEY, SECRET, PASSPHRASE = "AUTOTRADER_API_KEY", "AUTOTRADER_API_SECRET", "AUTOTRADER_AGE_PASSPHRASE"
_MOST_BYTES = 16 * 1024


class EnvironmentKeys:
    """Keys in ``AUTOTRADER_API_KEY`` and ``AUTOTRADER_API_SECRET``.

    Parameters
    ----------
    environment : mutable mapping, optional
        Where the variables are; the process's own by default.

    Notes
    -----
    The variables are taken out as they are read, so that no child inherits them. What the kernel keeps of the
    environment with which the process began stays readable to the same user; a file leaves no such copy.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._found: Credentials | None = None

    def key(self) -> Credentials:
        """Return the keys; the first call reads them, and the later ones remember.

        Raises
        ------
        OperatorError
            If one of the variables is absent or is no key.
        """
        if self._found is None:
            values = [self._environment.pop(name, "").strip() for name in (KEY, SECRET)]
            for name, value in zip((KEY, SECRET), values, strict=True):
                if not value:
                    raise OperatorError(say("keys.no_variable", name=name))
            self._found = _credentials(say("keys.environment"), *values)
        return self._found


class FileKeys:
    """Keys in a file that only its owner may read: TOML with `api_key` and `api_secret`, or two lines.

    Parameters
    ----------
    path : Path
        The second line may begin a PEM, which then takes the rest of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def key(self) -> Credentials:
        """Return the keys, read anew.

        Raises
        ------
        OperatorError
            If the file cannot be read, is not ours alone, or holds no keys.
        """
        return _parsed(self._path, private_bytes(self._path))


class AgeKeys:
    """Keys in a file as `FileKeys` reads it, encrypted with age to an identity or with a passphrase.

    Parameters
    ----------
    path : Path
        Binary or armoured.
    identity : Path or None
        The file of the identity (``AGE-SECRET-KEY-...``), of mode 0600; None: the passphrase is in
        ``AUTOTRADER_AGE_PASSPHRASE``.
    environment : mutable mapping, optional
        Where that variable is, and is taken out of.
    """

    def __init__(self, path: Path, identity: Path | None, environment: MutableMapping[str, str] = os.environ) -> None:
        self._path = path
        self._identity = identity
        self._environment = environment
        self._found: Credentials | None = None

    def key(self) -> Credentials:
        """Return the keys; the first call decrypts them, and the later ones remember.

        Raises
        ------
        OperatorError
            If pyrage is not installed, a file cannot be read or is not ours alone, the identity or the passphrase is
            not the right one, or there are no keys in the file.
        """
        if self._found is None:
            self._found = _parsed(self._path, self._decrypted(private_bytes(self._path)))
        return self._found

    def _decrypted(self, sealed: bytes) -> bytes:
        try:
            import pyrage
        except ImportError:
            raise OperatorError(say("keys.no_age", file=self._path)) from None
        try:
            if self._identity is None:
                return bytes(pyrage.passphrase.decrypt(sealed, self._passphrase()))
            return bytes(pyrage.decrypt(sealed, [_identity(pyrage, self._identity)]))
        except pyrage.DecryptError:
            raise OperatorError(say("keys.not_decrypted", file=self._path)) from None

    def _passphrase(self) -> str:
        if not (found := self._environment.pop(PASSPHRASE, "")):
            raise OperatorError(say("keys.no_variable", name=PASSPHRASE))
        return found


def _identity(pyrage: Any, path: Path) -> Any:
    lines = private_bytes(path).decode("utf-8", "replace").splitlines()
    try:
        return pyrage.x25519.Identity.from_str(next((one for one in lines if one.startswith("AGE-SECRET-KEY-")), ""))
    except pyrage.IdentityError:
        raise OperatorError(say("keys.no_identity", file=path)) from None


def key_manager(live: Live, folder: Path) -> KeyManager:
    """Return what a configuration says about where the keys are.

    Parameters
    ----------
    live : Live
    folder : Path
        Where relative paths start.
    """
    if live.keys == "environment":
        return EnvironmentKeys()
    path = folder / live.key_file
    if live.keys == "file":
        return FileKeys(path)
    return AgeKeys(path, folder / live.identity_file if live.identity_file else None)


def private_bytes(path: Path) -> bytes:
    """Return what stands in a file that only its owner, who is us, may read and write.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes
        At most 16 KiB.

    Raises
    ------
    OperatorError
        If it is a symbolic link or no regular file, belongs to somebody else, its mode is not 0600, it is larger, or it
        cannot be read.
    """
    try:
        # What is judged is what was opened, so that nobody changes it in between; a pipe must not make us wait.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise OperatorError(say("keys.no_file", file=path)) from None
    except (OSError, ValueError) as error:
        link = path.is_symlink()
        reason = getattr(error, "strerror", None) or error
        raise OperatorError(say("keys.link" if link else "keys.unreadable", file=path, reason=reason)) from None
    try:
        _refuse_shared(path, os.fstat(handle))
        return os.read(handle, _MOST_BYTES)
    except OSError as error:
        raise OperatorError(say("keys.unreadable", file=path, reason=error.strerror)) from None
    finally:
        os.close(handle)


def _refuse_shared(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise OperatorError(say("keys.irregular", file=path))
    if facts.st_uid != os.geteuid():
        raise OperatorError(say("keys.owner", file=path))
    if (mode := stat.S_IMODE(facts.st_mode)) != 0o600:
        raise OperatorError(say("keys.mode", file=path, found=f"{mode:04o}"))
    if facts.st_size > _MOST_BYTES:
        raise OperatorError(say("keys.too_large", file=path, limit=_MOST_BYTES // 1024))


def _parsed(path: Path, raw: bytes) -> Credentials:
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise OperatorError(say("keys.shape", file=path)) from None
    pair = _of_tables(text) or _of_lines(text)
    if not pair:
        raise OperatorError(say("keys.shape", file=path))
    return _credentials(str(path), *pair)


def _of_tables(text: str) -> tuple[str, str] | None:
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    pair = found.pop("api_key", None), found.pop("api_secret", None)
    if found or not all(isinstance(one, str) for one in pair):
        return None
    return pair[0].strip(), pair[1].strip()


def _of_lines(text: str) -> tuple[str, str] | None:
    first, _, rest = text.partition("\n")
    first, rest = first.strip(), rest.strip()
    whole = rest.startswith("-----BEGIN ") or len(rest.split()) == 1
    return (first, rest) if whole and len(first.split()) == 1 else None


def _credentials(where: str, key: str, secret: str) -> Credentials:
    for value in (key, secret):
        plain = value.startswith("-----BEGIN ") or (value.isprintable() and " " not in value)
        if len(value) < SHORTEST or not value.isascii() or not plain:
            raise OperatorError(say("keys.no_key", where=where))
    sealed = Secret(secret)  # before anything can fail with the value at hand
    return Credentials(api_key=Secret(key), secret=sealed, kind=key_kind(where, sealed))


def key_kind(where: str, secret: Secret) -> Literal["hmac", "ed25519", "rsa"]:
    """Return how a secret signs: an Ed25519 or RSA private key as PEM, or the secret of an HMAC.

    Parameters
    ----------
    where : str
        Where it was found, for the message.
    secret : Secret

    Raises
    ------
    OperatorError
        If it is a PEM of anything else, or of a key that needs a password.
    """
    if not secret.reveal().startswith("-----BEGIN "):
        return "hmac"
    try:
        key = load_pem_private_key(secret.reveal().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise OperatorError(say("keys.pem", where=where)) from None
    if isinstance(key, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, RSAPrivateKey):
        return "rsa"
    raise OperatorError(say("keys.pem", where=where))
