"""What the machine under a run gives: disk, memory, processors, files, and the state folder on it.

Knows how each is measured. Refuses to know how much is enough.
"""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from autotrader.adapters.storage.state import Guard, Latch
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.errors import AutotraderError
from autotrader.messages import say

__all__ = ["Disk", "State", "busy_share", "database_ms", "disk", "files", "memory", "state"]

SYNCS = 9
PAGE = 4096
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class State:
    """What stands in the way of a run in a state folder.

    Attributes
    ----------
    holder : str
        Number of the process that trades with it, "" for none.
    killed : str
        Stamp of the kill that is latched, "" for none.
    """

    holder: str
    killed: str


def state(path: Path) -> State:
    """Look into a state folder, made if it is not there; nothing in it changes, and whoever holds it keeps it.

    Raises
    ------
    OperatorError
        If it, or a file in it, is another's, open to others, or cannot be used.
    """
    folder = StateFolder(path)
    try:
        kill = Latch(folder).read()
        return State(Guard(folder, "lock", "state.locked").holder(), kill.stamp if kill else "")
    finally:
        folder.close()


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk: bytes that are free, and how long it takes until a page is on it, ms (median)."""

    free_bytes: int
    sync_ms: float


def disk(folder: Path) -> Disk:
    """Measure the disk of a folder.

    Raises
    ------
    OSError
        If nothing can be written there.
    """
    with TemporaryDirectory(prefix=".doctor-", dir=folder) as place, (Path(place) / "page").open("wb") as file:
        times = [_synced_ms(file.fileno()) for _ in range(SYNCS)]
    return Disk(shutil.disk_usage(folder).free, median(times))


def _synced_ms(handle: int) -> float:
    begun = time.perf_counter()
    os.write(handle, bytes(PAGE))
    os.fdatasync(handle)
    return (time.perf_counter() - begun) * 1e3


def database_ms(folder: Path) -> float:
    """Write a row of a database into a folder, read it back from a second connection, and return how long it took.

    Raises
    ------
    AutotraderError
        If what comes back is not what was written, or the database fails.
    """
    begun = time.perf_counter()
    row = (time.time_ns(), "doctor")
    try:
        with TemporaryDirectory(prefix=".doctor-", dir=folder) as place:
            file = Path(place) / "views.sqlite"
            with closing(sqlite3.connect(file)) as database, database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("CREATE TABLE kept (stamp INTEGER, word TEXT)")
                database.execute("INSERT INTO kept VALUES (?, ?)", row)
            with closing(sqlite3.connect(file)) as database:
                found = database.execute("SELECT stamp, word FROM kept").fetchall()
                whole = database.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise AutotraderError(say("doctor.database_failed", reason=error)) from None
    if found != [row] or whole != "ok":
        raise AutotraderError(say("doctor.database_failed", reason=whole))
    return (time.perf_counter() - begun) * 1e3


def memory(proc: Path = PROC) -> tuple[int, int]:
    """Return how many bytes this program has used at most, and how many the machine could still give.

    What the kernel tells of a process (``getrusage``) counts the program that started this one, too.
    """
    return _kib(proc / "self/status", "VmHWM") * 1024, _kib(proc / "meminfo", "MemAvailable") * 1024


def _kib(place: Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in place.read_text().splitlines())
    return int(lines[name].split()[0])


def busy_share(seconds: float, proc: Path = PROC) -> float:
    """Return the share of all processors that somebody used while we waited."""
    before = _ticks(proc)
    time.sleep(seconds)
    after = _ticks(proc)
    idle, total = after[0] - before[0], after[1] - before[1]
    return 1.0 - idle / total if total > 0 else 0.0


def _ticks(proc: Path) -> tuple[int, int]:
    # Idle ticks, those waiting for a disk among them, and all.
    fields = [int(word) for word in (proc / "stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def files(proc: Path = PROC) -> tuple[int, int]:
    """Return how many files this process has open, and how many it may have."""
    return len(list((proc / "self/fd").iterdir())), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
