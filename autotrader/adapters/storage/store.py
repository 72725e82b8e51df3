"""The store of a run's views: one SQLite file, rows and sequence number in one transaction.

Knows tables, transactions and how far the journal was folded when the file was last written. Refuses to know
what a row means; what is in it can always be thrown away and folded anew from the journal.

The file is in WAL mode with ``synchronous = NORMAL``: a process that dies loses what it had not committed, a
machine that loses power may lose the last commits too, and neither leaves rows without their sequence number
or the reverse. FULL would pay an fsync a commit for a durability that the journal has already.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.errors import OperatorError, StateError
from autotrader.messages import say
from autotrader.views.ledger import Ledger
from autotrader.views.view import View
from core_ext.types import EVENT_DTYPE, Instruments, Kind

__all__ = ["SCHEMA", "Store"]

SCHEMA = 2
"""Version of the tables: one more with every change of a record's fields, or of what a view makes of a row. An older
file is folded anew."""
SQL = {"int": "INTEGER", "str": "TEXT", "bool": "INTEGER"}
MAGIC = b"SQLite format 3\0"
BUSY_S = 5.0


class Store:
    """The views of a run, kept in a file.

    Parameters
    ----------
    path : Path
        The file; it is made when it is not there, readable by its owner only.
    instruments : Instruments
    start_e8 : int
        Starting wallet, 1e-8 USDT.
    run : str
        What tells this run from every other: the fingerprint of its plan.
    rebuild : bool, optional
        Throw away what is in the file; a damaged one is replaced.

    Attributes
    ----------
    ledger : Ledger
        The views, at the file's sequence number or ahead of it.

    Raises
    ------
    OperatorError
        If the path cannot be used: no views store, damaged, of another run, or written by a newer program.
    """

    def __init__(self, path: Path, instruments: Instruments, start_e8: int, run: str, *, rebuild: bool = False):
        self.path = path
        self.run = run
        self._make: Callable[[], Ledger] = lambda: Ledger(instruments, start_e8)
        self.ledger = self._make()
        # By key: a file that cannot be written for hours lets wait no more records than there are.
        self._waiting: dict[str, dict[object, object]] = {view.name: {} for view in self.ledger.views}
        self._held = -1  # the sequence number that the file has, as far as we know
        self._row = b""  # the row of that number: a journal that lost its tail and went on is another one
        self._file = self._open(rebuild)

    # ------------------------------------------------------------------ writing

    def apply(self, first: int, rows: NDArray[np.void]) -> None:
        """Fold rows of the journal into the views, in memory; as `Ledger.apply`."""
        known = self.ledger.next
        self.ledger.apply(first, rows)
        if self.ledger.next > known:
            self._row = rows[-1].tobytes()

    def commit(self) -> None:
        """Write what the views have that is new, and how far they have read, in one transaction.

        Raises
        ------
        StateError
            If another process has written the file meanwhile.
        OperatorError
            If the file cannot be written; nothing is lost, and the next commit tries again.
        """
        for view in self.ledger.views:
            self._waiting[view.name].update((attrgetter(*view.key)(record), record) for record in view.drain())
        last = self.ledger.next - 1
        with self._transaction():
            moved = self._file.execute(
                "UPDATE sequence SET last = ?, row = ? WHERE last = ?", (last, self._row, self._held)
            )
            if moved.rowcount != 1:
                raise StateError(say("store.moved", path=self.path))
            for view in self.ledger.views:
                records = self._waiting[view.name].values()
                self._file.executemany(_insert(view), map(attrgetter(*_columns(view)), records))
        self._held = last
        for waiting in self._waiting.values():
            waiting.clear()

    def follow(self, journal: Callable[[], Iterable[NDArray[np.void]]]) -> None:
        """Fold what a journal has beyond the file's sequence number, and commit block by block.

        Parameters
        ----------
        journal : callable
            Gives the journal's blocks of rows, from its first.

        Notes
        -----
        When the journal does not hold the row at which the file stands, it has lost its tail since: the views know
        what never happened, and are folded anew.
        """
        if not self._follow(journal()):
            self.rebuild()
            self._follow(journal())

    def _follow(self, blocks: Iterable[NDArray[np.void]]) -> bool:
        first = 0
        for rows in blocks:
            if first <= self._held < first + len(rows) and rows[self._held - first].tobytes() != self._row:
                return False
            self.apply(first, rows)
            if self.ledger.next - 1 > self._held:
                self.commit()
            first += len(rows)
        return first >= self.ledger.next

    def rebuild(self) -> None:
        """Throw away everything, in one transaction; what follows is folded from the journal's first row."""
        with self._transaction():
            self._create()
        self._restart()

    def close(self) -> None:
        """Close the file; what is not committed stays out of it."""
        self._file.close()

    # ------------------------------------------------------------------ reading

    @property
    def sequence(self) -> int:
        """Sequence number of the last row that the file's records know, -1 for none."""
        return self._held

    @property
    def is_sealed(self) -> bool:
        """Whether that row is the seal of a run that ended well."""
        return bool(self._row) and int(np.frombuffer(self._row, EVENT_DTYPE)["kind"][0]) == int(Kind.SEAL)

    def view(self, name: str) -> View[Any]:
        """Return a view by its name."""
        return next(view for view in self.ledger.views if view.name == name)

    def count(self, name: str) -> int:
        """Return how many records a table has."""
        with self._blamed():
            return int(self._file.execute(f"SELECT count(*) FROM {self.view(name).name}").fetchone()[0])

    def newest(self, name: str, limit: int = -1) -> Iterator[Any]:
        """Return the records of a table, the highest key first.

        Parameters
        ----------
        name : str
            Of a view.
        limit : int, optional
            At most so many; all by default.
        """
        view = self.view(name)
        flags = [at for at, field in enumerate(fields(view.record)) if field.type == "bool"]
        with self._blamed():
            order = ", ".join(f"{key} DESC" for key in view.key)
            columns = ", ".join(_columns(view))
            found = self._file.execute(f"SELECT {columns} FROM {name} ORDER BY {order} LIMIT ?", (limit,))
            for values in found:
                plain = list(values)
                for at in flags:
                    plain[at] = bool(plain[at])
                yield view.record(*plain)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every table's records, in the order of their keys."""
        return {view.name: self._digest(view) for view in self.ledger.views}

    def _digest(self, view: View[Any]) -> str:
        found = hashlib.sha256()
        with self._blamed():
            for values in self._file.execute(f"SELECT * FROM {view.name} ORDER BY {', '.join(view.key)}"):
                found.update(repr(values).encode())
        return found.hexdigest()

    # ------------------------------------------------------------------ opening

    def _open(self, rebuild: bool) -> sqlite3.Connection:
        self._require_ours()
        try:
            return self._opened(rebuild)
        except sqlite3.OperationalError as error:
            raise OperatorError(say("store.cannot_write", path=self.path, reason=error)) from None
        except sqlite3.DatabaseError as error:
            if not rebuild:
                raise OperatorError(say("store.damaged", path=self.path, reason=error)) from None
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        return self._open(False)

    def _opened(self, rebuild: bool) -> sqlite3.Connection:
        with ExitStack() as failing:
            self._file = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            failing.callback(self._file.close)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute("BEGIN IMMEDIATE")
            if not self._is_current(rebuild):
                self._create()
            self._restart()
            self._file.execute("COMMIT")
            failing.pop_all()
        return self._file

    def _require_ours(self) -> None:
        # A file that is no SQLite file is somebody's, and stays.
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with self.path.open("rb") as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            raise OperatorError(say("store.cannot_write", path=self.path, reason=error.strerror)) from None
        if head not in (b"", MAGIC):
            raise OperatorError(say("store.foreign", path=self.path))

    def _is_current(self, rebuild: bool) -> bool:
        # Whether the tables can be used as they are; what is not ours is never thrown away.
        names = {name for (name,) in self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not names:
            return False
        about = dict(self._file.execute("SELECT name, value FROM about")) if "about" in names else {}
        if not {"schema", "run"} <= about.keys() or not about["schema"].isdecimal():
            raise OperatorError(say("store.foreign", path=self.path))
        if rebuild:
            return False
        if int(about["schema"]) > SCHEMA:
            raise OperatorError(say("store.newer", path=self.path, found=about["schema"], known=SCHEMA))
        if about["run"] != self.run:
            raise OperatorError(say("store.other_run", path=self.path))
        return int(about["schema"]) == SCHEMA

    def _create(self) -> None:
        tables = self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            self._file.execute(f'DROP TABLE "{name}"')
        for statement in _schema(self.ledger):
            self._file.execute(statement)
        self._file.execute("INSERT INTO about VALUES ('schema', ?), ('run', ?)", (str(SCHEMA), self.run))
        self._file.execute("INSERT INTO sequence VALUES (0, -1, x'')")

    def _restart(self) -> None:
        # The views as the file has them.
        self.ledger = self._make()
        for waiting in self._waiting.values():
            waiting.clear()
        self._held, self._row = self._file.execute("SELECT last, row FROM sequence").fetchone()
        for view in self.ledger.views:
            view.load(self.newest(view.name))
        self.ledger.next = self._held + 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._blamed():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._file.execute("COMMIT")
            finally:
                if self._file.in_transaction:  # what failed may have ended it: SQLite does on a full disk
                    self._file.execute("ROLLBACK")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OperatorError(say("store.cannot_write", path=self.path, reason=error)) from None
        except sqlite3.DatabaseError as error:
            raise OperatorError(say("store.damaged", path=self.path, reason=error)) from None


def _columns(view: View[Any]) -> list[str]:
    return [field.name for field in fields(view.record)]


def _insert(view: View[Any]) -> str:
    columns = _columns(view)
    return f"INSERT OR REPLACE INTO {view.name} VALUES ({', '.join('?' * len(columns))})"


def _schema(ledger: Ledger) -> Iterator[str]:
    yield "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    yield "CREATE TABLE sequence (only INTEGER PRIMARY KEY CHECK (only = 0), last INTEGER NOT NULL, row BLOB NOT NULL)"
    for view in ledger.views:
        columns = [f"{field.name} {SQL[str(field.type)]} NOT NULL" for field in fields(view.record)]
        key = f"PRIMARY KEY ({', '.join(view.key)})"
        yield f"CREATE TABLE {view.name} ({', '.join(columns)}, {key}) WITHOUT ROWID"
