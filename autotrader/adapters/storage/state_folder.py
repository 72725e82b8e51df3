"""The folder of what must survive a restart: private to us, every file in it old or new, never neither.

Knows how a file is replaced so that neither the death of the process nor a power cut leaves half of one, and how
bytes are sealed so that damage is seen. Refuses to know what the files say.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import TypeVar

import msgspec

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["DamagedError", "StateFolder"]

T = TypeVar("T")

LARGEST = 1 << 16
"""Bytes of a file: more are refused, unread."""
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe of that name must not hold us up
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_SEAL = 64


class DamagedError(OperatorError):
    """Blame a file that is not what was written."""


class StateFolder:
    """One folder, held open, so that nothing put in its place later is taken for it.

    Parameters
    ----------
    path : Path
    create : bool, optional
        Whether it is made, with its parents, when it is not there.

    Attributes
    ----------
    path : Path
    fd : int
        Of the folder; -1 once it is closed.

    Raises
    ------
    OperatorError
        If it is not there, is a symbolic link or no folder, is another user's, or may be entered by others.
    """

    def __init__(self, path: Path, create: bool = True) -> None:
        self.path = path
        self.fd = -1
        try:
            if create:
                _make(path)
            self.fd = os.open(path, _FOLDER)
            _require_private(path, os.fstat(self.fd), PRIVATE_FOLDER)
        except OperatorError:
            self.close()
            raise
        except FileNotFoundError:
            raise OperatorError(say("state.no_folder", path=path)) from None
        except OSError as error:
            raise OperatorError(say("state.bad_folder", path=path, reason=error.strerror)) from None

    def close(self) -> None:
        """Let go of the folder; again does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def is_there(self) -> bool:
        """Whether the folder still stands where it was found."""
        with suppress(OSError):
            return os.path.samestat(self.path.stat(), os.fstat(self.fd))
        return False

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, None if there is none.

        Raises
        ------
        OperatorError
            If it is no plain file of ours, may be read by others, is too large, or cannot be read.
        """
        try:
            fd = os.open(name, _READ, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(name, error) from None
        try:
            facts = os.fstat(fd)
            _require_private(self.path / name, facts, PRIVATE_FILE)
            return _whole(fd, self.path / name)
        except OSError as error:
            raise self._unreadable(name, error) from None
        finally:
            os.close(fd)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file; it is on the disk when this returns, and before that the old one is. For one writer at a time.

        Raises
        ------
        OperatorError
            If it cannot be written: the old one may still be there, or the new one already.
        """
        fresh = f".{name}.part"
        try:
            self._write(fresh, data)
            os.rename(fresh, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            os.fsync(self.fd)
        except OSError as error:
            raise self._unwritable(name, error) from None

    def create(self, name: str, data: bytes) -> bool:
        """Write a file as `replace` does, but only if there is none; tell whether there was none.

        Of several processes or threads that create one file at once, one succeeds.

        Raises
        ------
        OperatorError
            If it cannot be written.
        """
        fresh = f".{name}.{os.getpid()}.{get_ident()}.part"
        try:
            self._write(fresh, data)
            created = self._link(fresh, name)
            os.fsync(self.fd)  # also of what another process has just created
            os.unlink(fresh, dir_fd=self.fd)
        except OSError as error:
            raise self._unwritable(name, error) from None
        return created

    def remove(self, name: str) -> None:
        """Remove a file, if there is one, for good.

        Raises
        ------
        OperatorError
            If that fails.
        """
        try:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.fd)
            os.fsync(self.fd)
        except OSError as error:
            raise self._unwritable(name, error) from None

    def open(self, name: str) -> int:
        """Return a descriptor of a file, made if it is not there, for locks on it.

        Raises
        ------
        OperatorError
            As for `read`.
        """
        fd = -1
        try:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE, dir_fd=self.fd)
            _require_private(self.path / name, os.fstat(fd), PRIVATE_FILE)
        except OperatorError:
            os.close(fd)
            raise
        except OSError as error:
            raise self._unreadable(name, error) from None
        return fd

    def read_sealed(self, name: str, kind: type[T]) -> T | None:
        """Return what `replace_sealed` wrote, None if there is no such file.

        Raises
        ------
        DamagedError
            If a byte of it is not what was written, or another version wrote it.
        OperatorError
            As for `read`.
        """
        data = self.read(name)
        if data is None:
            return None
        try:
            return _opened(data, kind)
        except ValueError as error:
            raise DamagedError(say("state.damaged", path=self.path / name, reason=error)) from None

    def replace_sealed(self, name: str, values: msgspec.Struct) -> None:
        """Write values under a checksum; else as `replace`."""
        self.replace(name, _sealed(values))

    def create_sealed(self, name: str, values: msgspec.Struct) -> bool:
        """Write values under a checksum; else as `create`."""
        return self.create(name, _sealed(values))

    def _write(self, name: str, data: bytes) -> None:
        fd = os.open(name, _WRITE, PRIVATE_FILE, dir_fd=self.fd)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        finally:
            os.close(fd)

    def _link(self, fresh: str, name: str) -> bool:
        try:
            os.link(fresh, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except FileExistsError:
            return False
        return True

    def _unreadable(self, name: str, error: OSError) -> OperatorError:
        return OperatorError(say("state.unreadable", path=self.path / name, reason=error.strerror))

    def _unwritable(self, name: str, error: OSError) -> OperatorError:
        return OperatorError(say("state.unwritable", path=self.path / name, reason=error.strerror))


def _sealed(values: msgspec.Struct) -> bytes:
    body = msgspec.json.encode(values)
    return sha256(body).hexdigest().encode() + b"\n" + body + b"\n"


def _opened(data: bytes, kind: type[T]) -> T:
    body = data[_SEAL + 1 : -1]
    if data != sha256(body).hexdigest().encode() + b"\n" + body + b"\n":
        raise ValueError("checksum")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def _make(path: Path) -> None:
    with suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=PRIVATE_FOLDER)
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _require_private(path: Path, facts: os.stat_result, mode: int) -> None:
    if mode == PRIVATE_FILE and not stat.S_ISREG(facts.st_mode):
        raise OperatorError(say("state.no_file", path=path))
    if facts.st_uid != os.geteuid():
        raise OperatorError(say("state.not_ours", path=path, owner=facts.st_uid, we=os.geteuid()))
    found = facts.st_mode & 0o777  # a folder may inherit its group
    if found & ~mode:
        raise OperatorError(say("state.open_to_others", path=path, found=f"{found:04o}", wanted=f"{mode:04o}"))


def _whole(fd: int, path: Path) -> bytes:
    data = b""
    while part := os.read(fd, LARGEST + 1 - len(data)):
        data += part
    if len(data) > LARGEST:
        raise OperatorError(say("state.too_large", path=path, most=LARGEST))
    return data
