"""The raw recorder: each message as it came with the stamp of its arrival, in files that a run reads again.

Knows the line's format, when a file is sealed, and what happens when the disk fails. Refuses to know what a message
says, and the time: the stamps are given. Nothing waits for the disk but the recorder's own thread.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Final

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["Recorder"]

EACH_S: Final = 0.05
EARLY_BYTES: Final = 256 << 10
WAITING_BYTES: Final = 64 << 20
STEP_BYTES: Final = 1 << 20
DAY_NS: Final = 86_400 * 10**9


class Recorder:
    """Appends messages to the files of a folder.

    Parameters
    ----------
    folder : Path
        Made when it is not there.
    name : str
        What the files' names begin with; their first stamp follows.
    told : callable
        Told once, in the thread that noticed it, why the recording has stopped. What came before stays readable.
    file_bytes : int, optional
        Size beyond which a file is sealed and another begun; a day's end (UTC) seals one, too.
    compressed : bool, optional
        Whether sealed files are packed (gzip) by and by.

    Attributes
    ----------
    is_recording : bool

    Raises
    ------
    OperatorError
        If the folder cannot be written.

    Notes
    -----
    Lines are ``<stamp> <message>``; they leave every 50 ms, or when there are 256 KiB of them. When 64 MiB wait, the
    disk is slower than the market and the recording stops: a recording without holes is worth more than a longer one.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        told: Callable[[str], None],
        file_bytes: int = 256 << 20,
        compressed: bool = False,
    ) -> None:
        self._folder, self._name, self._told = folder, name, told
        self._file_bytes, self._compressed = file_bytes, compressed
        self._lines: deque[tuple[int, bytes]] = deque()
        self._taken = self._written = 0
        self._early = EARLY_BYTES
        self._file: FileIO | None = None
        self._size = self._day = 0
        self._packing: deque[Iterator[None]] = deque()
        self._wake, self._done = threading.Event(), threading.Condition()
        self._is_closing = False
        self.is_recording = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise OperatorError(say("recorder.folder", path=folder, reason=error.strerror)) from None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, stamp_ns: int, message: bytes) -> None:
        """Take a message; it is written soon."""
        if not self.is_recording or self._is_closing:
            return
        if b"\n" in message or b"\r" in message:  # between the tokens of a JSON text: a space says the same
            message = message.replace(b"\r", b" ").replace(b"\n", b" ")
        line = b"%d %b\n" % (stamp_ns, message)
        self._lines.append((stamp_ns, line))
        self._taken += len(line)
        if self._taken - self._written >= self._early:
            self._wake.set()
            if self._taken - self._written > WAITING_BYTES:
                self._stop(say("recorder.behind", path=self._folder))

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until everything that was taken is in the file; return whether it is. Not for the loop: it blocks."""
        taken = self._taken
        self._wake.set()
        with self._done:
            return self._done.wait_for(lambda: self._written >= taken or not self.is_recording, seconds) and (
                self.is_recording
            )

    def close(self) -> None:
        """Write what waits, pack what is to be packed, and end. Not for the loop: it blocks."""
        self._is_closing = True
        self._wake.set()
        self._thread.join()

    # ------------------------------------------------------------------ the recorder's thread

    def _work(self) -> None:
        try:
            while self.is_recording and not self._is_closing:
                self._wake.wait(EACH_S)
                self._wake.clear()
                self._write()
                self._pack()
            self._write()
            self._seal()
            while self._packing:
                self._pack()
        except OSError as error:
            self._stop(say("recorder.stopped", path=self._folder, reason=error.strerror or str(error)))
        finally:
            self._end()

    def _write(self) -> None:
        batch = [self._lines.popleft() for _ in range(len(self._lines))]
        if not batch or not self.is_recording:
            return
        text = b"".join(line for _, line in batch)
        file = self._file_for(batch[0][0], len(text))
        view = memoryview(text)
        while view:
            view = view[file.write(view) or 0 :]
        self._size += len(text)
        with self._done:
            self._written += len(text)
            self._done.notify_all()

    def _file_for(self, stamp_ns: int, size: int) -> FileIO:
        if self._file is not None and (self._size + size > self._file_bytes or stamp_ns // DAY_NS != self._day):
            self._seal()
        if self._file is None:
            self._file = self._opened(stamp_ns)
            self._size, self._day = 0, stamp_ns // DAY_NS
        return self._file

    def _opened(self, stamp_ns: int) -> FileIO:
        # Never over a file that is there, packed or not.
        begun = datetime.fromtimestamp(stamp_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in count(1):
            path = self._folder / f"{self._name}-{begun}{f'-{number}' if number > 1 else ''}.dat"
            if not path.with_name(path.name + ".gz").exists():
                with suppress(FileExistsError):
                    return FileIO(path, "xb")
        raise AssertionError("count has no end")

    def _seal(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        file.close()
        if self._compressed:
            self._packing.append(_packed(Path(os.fsdecode(file.name))))

    def _pack(self) -> None:
        # A little at a time: messages must not wait for it.
        if self._packing and next(self._packing[0], self) is self:
            self._packing.popleft()

    def _stop(self, reason: str) -> None:
        if self.is_recording:
            self.is_recording = False
            self._told(reason)
        with self._done:
            self._done.notify_all()

    def _end(self) -> None:
        # A line that was torn by the failure is cut off.
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self._size)
            with suppress(OSError):
                self._file.close()
            self._file = None
        self._lines.clear()


def _packed(path: Path) -> Iterator[None]:
    # Under another name until it is whole; the plain file stays until then.
    target, part = path.with_name(path.name + ".gz"), path.with_name(path.name + ".gz.part")
    with path.open("rb") as plain, part.open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6) as packed:
            while block := plain.read(STEP_BYTES):
                packed.write(block)
                yield
        raw.flush()
        os.fsync(raw.fileno())
    part.rename(target)
    path.unlink()
