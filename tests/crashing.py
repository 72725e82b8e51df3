"""A disk that ends the process, or the power, at the n-th call: what a test of durable files stands on."""

import os
import stat
from pathlib import Path

COUNTED = ("open", "write", "fsync", "rename", "link", "unlink")


class Crash(BaseException):
    """The process is gone: nothing may catch it."""


class CrashingDisk:
    """Stands in for `os` in the module under test.

    Calls that change the disk are counted; the n-th ends the process before it, after it, or, a write, halfway. What
    would be left after a power cut is told by `images`: a file's bytes since its last fsync are gone, and names since
    the folder's last fsync are either all there or all gone.
    """

    def __init__(self, folder: Path, fatal: int = 10**9, how: str = "before"):
        self.folder, self.fatal, self.how = folder, fatal, how
        self.calls: list[str] = []
        self.synced = {path.stat().st_ino: path.read_bytes() for path in folder.iterdir()}
        self.names = self._names()

    def __getattr__(self, name):
        real = getattr(os, name)
        return (lambda *args, **kw: self._call(name, real, *args, **kw)) if name in COUNTED else real

    def _call(self, name, real, *args, **kw):
        if name == "open" and not args[1] & os.O_CREAT:
            return real(*args, **kw)
        self.calls.append(name)
        fatal = len(self.calls) == self.fatal
        if fatal and self.how == "before":
            raise Crash
        if fatal and self.how == "torn" and name == "write":
            real(args[0], bytes(args[1])[: len(args[1]) // 2])
            raise Crash
        try:
            done = real(*args, **kw)
        except OSError:
            if fatal:
                raise Crash from None
            raise
        self._follow(name, done, args)
        if fatal:
            raise Crash
        return done

    def _follow(self, name, done, args):
        if name == "open":
            self.synced[os.fstat(done).st_ino] = b""
        elif name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode):
            self.names = self._names()
        elif name == "fsync":
            self.synced[os.fstat(args[0]).st_ino] = Path(f"/proc/self/fd/{args[0]}").read_bytes()

    def _names(self):
        return {path.name: path.stat().st_ino for path in self.folder.iterdir()}

    def images(self, place: Path):
        """Yield the folders that may be found when the power is back."""
        for label, names in (("lazy", self.names), ("eager", self._names())):
            image = place / f"{label}-{self.folder.name}"
            image.mkdir(mode=0o700)
            for name, inode in names.items():
                (image / name).write_bytes(self.synced[inode])
                (image / name).chmod(0o600)
            yield image
