"""The views store: rows and sequence number together or not at all, whatever happens; exact; thrown away at will."""

import hashlib
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from builders import HISTORY, RECORDING, configuration, row
from journals import START, instruments, journal

from autotrader.adapters.storage import store as module
from autotrader.adapters.storage.store import SCHEMA, Store
from autotrader.cli import main
from autotrader.errors import OperatorError, StateError
from autotrader.views.ledger import Ledger
from core_ext.journal import read_journal
from core_ext.types import Flag, Kind

RUN = "5e" * 32
TABLES = {"equity", "positions", "orders", "fills", "payments", "quality", "risk"}


def opened(path: Path, run: str = RUN, **options: bool) -> Store:
    return Store(path, instruments(), START, run, **options)


def blocks(rows: np.ndarray, size: int):
    """What gives the journal again and again, in blocks."""
    return lambda: (rows[at : at + size] for at in range(0, len(rows), size))


def folded(path: Path, rows: np.ndarray, size: int = 10**6) -> dict[str, str]:
    """The digests of a store that was folded in one go."""
    store = opened(path)
    store.follow(blocks(rows, size))
    found = store.digests()
    store.close()
    return found


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return journal(1)


# --- rows and sequence


@pytest.mark.parametrize("size", [1, 13, 200, 10**6])
def test_a_journal_gives_the_same_tables_in_blocks_of_any_size(tmp_path, rows, size):
    found = folded(tmp_path / "a", rows, size)
    assert found == folded(tmp_path / "b", rows)
    assert found.keys() == TABLES
    assert len(set(found.values())) == len(found)  # none is empty: all empty tables have one digest


@pytest.mark.parametrize("seed", range(6))
def test_a_store_that_is_closed_and_opened_anywhere_goes_on_as_if_it_had_not_been(tmp_path, seed):
    rows, chance = journal(seed), random.Random(seed)
    done = 0
    while done < len(rows):
        store = opened(tmp_path / "cut")
        assert store.sequence == done - 1
        following = min(len(rows), done + chance.choice((1, 3, 40, 150)))
        store.follow(blocks(rows[:following], chance.choice((7, 64))))
        done = following
        store.close()
    store = opened(tmp_path / "cut")
    assert store.digests() == folded(tmp_path / "whole", rows)


def test_the_same_rows_again_change_nothing(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.follow(blocks(rows, 50))
    before, changes = store.digests(), store._file.total_changes
    store.follow(blocks(rows, 77))
    store.apply(0, rows)
    assert (store.digests(), store._file.total_changes) == (before, changes)
    assert store.sequence == len(rows) - 1


def test_what_is_not_committed_is_not_there(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.apply(0, rows[:100])
    store.commit()
    store.apply(100, rows[100:200])
    store.close()
    assert opened(tmp_path / "s").sequence == 99
    assert opened(tmp_path / "s").digests() == folded(tmp_path / "w", rows[:100])


KILLED = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from journals import journal
from test_store import opened
rows = journal({seed}, 3000)
store = opened(Path({path!r}))
for at in range(0, len(rows), 3):
    store.apply(at, rows[at : at + 3])
    store.commit()
    print(at, flush=True)
"""


@pytest.mark.parametrize("seed", [pytest.param(at, marks=[] if at < 2 else pytest.mark.slow) for at in range(20)])
def test_a_process_that_is_killed_leaves_rows_and_sequence_of_one_moment(tmp_path, seed):
    rows, path, chance = journal(seed, 3000), tmp_path / "s", random.Random(seed)
    script = KILLED.format(tests=str(Path(__file__).parent), seed=seed, path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ)
    for _ in range(chance.randint(1, 300)):
        said = int(process.stdout.readline())
    time.sleep(chance.uniform(0, 0.002))  # anywhere in the commits that follow
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    store = opened(path)
    reached = store.sequence + 1
    assert said + 3 <= reached < len(rows) and reached % 3 == 0
    assert store.digests() == folded(tmp_path / "w", rows[:reached])
    store.follow(blocks(rows, 500))
    assert store.digests() == folded(tmp_path / "x", rows)


def test_a_commit_that_fails_loses_nothing(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.apply(0, rows[:300])
    pages = store._file.execute("PRAGMA page_count").fetchone()[0]
    store._file.execute(f"PRAGMA max_page_count = {pages}")  # a full disk
    with pytest.raises(OperatorError, match=r"cannot be used \(database or disk is full\)"):
        store.commit()
    assert store.sequence == -1 and store.count("orders") == 0
    for first in range(300, len(rows), 10):  # for as long as it lasts
        store.apply(first, rows[first : first + 10])
        with pytest.raises(OperatorError, match="full"):
            store.commit()
    waiting = {name: len(records) for name, records in store._waiting.items()}
    store._file.execute("PRAGMA max_page_count = 100000")
    store.commit()
    assert waiting == {name: store.count(name) for name in waiting}
    assert store.digests() == folded(tmp_path / "w", rows)


def test_a_run_of_more_than_92_billion_is_told_up_to_there(tmp_path):
    # As the core's own turnover: a sum that leaves 63 bits stays at their end, and fits its column.
    sides = (Flag.F_END, Flag.F_END | Flag.F_SELL) * 2
    fills = [row(Kind.FILL, at, 0, side, a=1, c=300_000, d=10**9) for at, side in enumerate(sides)]  # 30 billion each
    store = opened(tmp_path / "s")
    store.follow(blocks(np.concatenate([row(Kind.RUN), *fills]), 2))
    assert {tally.total for tally in store.newest("quality") if tally.measure == "traded_e8"} == {2**63 - 1}


def test_two_processes_do_not_write_over_each_other(tmp_path, rows):
    one, two = opened(tmp_path / "s"), opened(tmp_path / "s")
    one.apply(0, rows[:100])
    two.apply(0, rows[:50])
    one.commit()
    with pytest.raises(StateError, match="another process has written"):
        two.commit()
    assert one.digests() == folded(tmp_path / "w", rows[:100])


def test_a_journal_that_lost_its_tail_and_went_on_is_folded_anew(tmp_path, rows):
    other = rows.copy()
    other["ts"][400:] += 1
    store = opened(tmp_path / "s")
    store.follow(blocks(rows[:450], 64))
    store.follow(blocks(other, 64))  # rows 400 to 449 never happened
    assert store.digests() == folded(tmp_path / "w", other)


def test_a_journal_that_ends_before_the_store_does_is_folded_anew(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.follow(blocks(rows, 64))
    store.follow(blocks(rows[:320], 64))
    assert (store.sequence, store.digests()) == (319, folded(tmp_path / "w", rows[:320]))


def test_a_rebuilt_store_equals_a_fresh_one(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.follow(blocks(rows, 64))
    before = store.digests()
    store.rebuild()
    assert store.sequence == -1 and not any(store.count(name) for name in TABLES)
    store.follow(blocks(rows, 100))
    assert store.digests() == before


@pytest.mark.parametrize(("strategy", "files"), [("quoter", [RECORDING]), ("trend", HISTORY)])
def test_the_views_of_a_real_run_are_the_same_however_often_its_journal_is_read(tmp_path, capsys, strategy, files):
    config = str(configuration(tmp_path / "c.toml", strategy))
    verb, option = {"quoter": ("paper", "--replay"), "trend": ("backtest", "--data")}[strategy]
    folder = tmp_path / "run"
    assert main([verb, config, option, *map(str, files), "--out", str(folder), "--json"]) == 0
    assert main(["views", str(folder), "fills", "--json"]) == 0
    first = dumped(folder / "views.sqlite")
    assert main(["views", str(folder), "fills", "--json"]) == 0
    assert dumped(folder / "views.sqlite") == first
    assert main(["views", str(folder), "fills", "--rebuild", "--json"]) == 0
    assert dumped(folder / "views.sqlite") == first
    (folder / "views.sqlite").unlink()
    assert main(["views", str(folder), "--json"]) == 0
    assert dumped(folder / "views.sqlite") == first
    journal = np.concatenate([block.array() for block in read_journal(folder / "journal/000000.seg")])
    assert len(first["fills"]) == np.count_nonzero(journal["kind"] == Kind.FILL) > 10
    assert first["sequence"][0][1] == len(journal) - 1


def dumped(path: Path) -> dict[str, list[tuple]]:
    with sqlite3.connect(path) as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: file.execute(f"SELECT * FROM {name}").fetchall() for name in names}


# --- what is in the file


def test_every_value_is_a_whole_number_or_a_word_and_money_is_exact(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.follow(blocks(rows, 64))
    for name, records in dumped(tmp_path / "s").items():
        assert all(isinstance(value, int | str) for values in records for value in values) or name == "sequence"
    ledger = Ledger(instruments(), START)
    ledger.apply(0, rows)
    (newest,) = store.newest("equity", 1)
    *_, expected = ledger.equity.rows()
    assert newest == expected
    assert sorted(store.newest("positions"), key=repr) == sorted(ledger.positions.rows(), key=repr)
    paid = sum(fill.fee_e8 for fill in store.newest("fills"))
    assert paid == newest.fees_e8 == sum(fill.fee_e8 for fill in ledger.fills.drain())


def test_the_newest_records_come_first_and_flags_are_flags(tmp_path, rows):
    store = opened(tmp_path / "s")
    store.follow(blocks(rows, 64))
    found = list(store.newest("fills", 5))
    assert [fill.sequence for fill in found] == sorted((fill.sequence for fill in found), reverse=True)
    assert len(found) == 5 and store.count("fills") > 5
    assert {type(fill.maker) for fill in store.newest("fills")} == {bool}


def test_only_the_owner_reads_the_file_and_a_lost_process_loses_no_consistency(tmp_path):
    store = opened(tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert store._file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._file.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_change_of_the_tables_is_a_new_version():
    # A change of a record's fields changes this digest: then count SCHEMA up, so that older files are folded anew.
    tables = "\n".join(module._schema(Ledger(instruments(), START)))
    pinned = "20ead645bad10e84ca1cce9bd89df203db50ea3c401779e5fcf676d8befe9b46"
    assert (SCHEMA, hashlib.sha256(tables.encode()).hexdigest()) == (2, pinned)


# --- files that cannot be used


def versioned(path: Path, rows: np.ndarray, version: int) -> None:
    store = opened(path)
    store.follow(blocks(rows, 64))
    store._file.execute("UPDATE about SET value = ? WHERE name = 'schema'", (str(version),))
    store.close()


def test_the_tables_of_an_older_version_are_folded_anew(tmp_path, rows):
    versioned(tmp_path / "s", rows, SCHEMA - 1)
    with sqlite3.connect(tmp_path / "s") as file:  # a table and a column that there are no more
        file.execute("CREATE TABLE gone (a)")
        file.execute("ALTER TABLE fills DROP COLUMN maker")
    store = opened(tmp_path / "s")
    assert store.sequence == -1
    store.follow(blocks(rows, 64))
    assert store.digests() == folded(tmp_path / "w", rows)
    assert "gone" not in dumped(tmp_path / "s")


def test_the_tables_of_a_newer_version_are_refused_and_stay(tmp_path, rows):
    versioned(tmp_path / "s", rows, SCHEMA + 1)
    before = dumped(tmp_path / "s")
    with pytest.raises(
        OperatorError, match=rf"/s: has the tables of version {SCHEMA + 1}, this program knows {SCHEMA}"
    ):
        opened(tmp_path / "s")
    assert dumped(tmp_path / "s") == before
    assert opened(tmp_path / "s", rebuild=True).sequence == -1


def test_the_views_of_another_run_are_refused_and_stay(tmp_path, rows):
    before = folded(tmp_path / "s", rows)
    with pytest.raises(OperatorError, match=r"/s: holds the views of another run"):
        opened(tmp_path / "s", "00" * 32)
    assert opened(tmp_path / "s").digests() == before
    assert opened(tmp_path / "s", "00" * 32, rebuild=True).sequence == -1


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_file_that_is_no_views_store_is_never_touched(tmp_path, rebuild):
    text, tables = tmp_path / "notes", tmp_path / "other"
    text.write_text("remember the milk, and the bread, and everything else")
    with sqlite3.connect(tables) as file:
        file.execute("CREATE TABLE about (name, value)")
        file.execute("INSERT INTO about VALUES ('me', 1)")
    before = text.read_bytes(), dumped(tables)
    for path in (text, tables):
        with pytest.raises(OperatorError, match=f"{path.name}: is no views store"):
            opened(path, rebuild=rebuild)
    assert (text.read_bytes(), dumped(tables)) == before


def test_a_damaged_store_is_refused_until_it_is_folded_anew(tmp_path, rows):
    folded(tmp_path / "s", rows)
    size = (tmp_path / "s").stat().st_size
    with (tmp_path / "s").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))
    with pytest.raises(OperatorError, match=r"/s: the views store is damaged \(.+\); make it anew with --rebuild"):
        opened(tmp_path / "s")
    store = opened(tmp_path / "s", rebuild=True)
    store.follow(blocks(rows, 64))
    assert store.digests() == folded(tmp_path / "w", rows)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "s"):
        with pytest.raises(OperatorError, match=rf"^{path}: the views store cannot be used \("):
            opened(path)


def test_a_journal_without_rows_leaves_an_empty_store(tmp_path):
    store = opened(tmp_path / "s")
    store.follow(blocks(row(Kind.RUN)[:0], 1))
    assert (store.sequence, store.count("equity")) == (-1, 0)
    store.commit()
    assert store.sequence == -1
