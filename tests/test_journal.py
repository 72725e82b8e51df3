"""The journal: what is written comes back, a torn tail is trimmed, damage is never unseen."""

import errno
import hashlib
import os
import resource
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from builders import E8, SIZING, depth, limits, row, snapshot, spec

from core_ext.account import Account
from core_ext.driver import Driver, Verifier
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalDamaged, JournalWriter, read_journal, torn_bytes
from core_ext.quoter import Quoter
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind

HEADER, ROW = 64, 64
FULL = 1024  # rows of a full block


def rows_of(count: int, seed: int = 1) -> np.ndarray:
    """Rows of any bits: a journal does not look into them."""
    return np.random.default_rng(seed).integers(0, 256, (count, ROW), np.uint8).view(EVENT_DTYPE).reshape(-1)


def written(path: Path, *blocks: int) -> np.ndarray:
    """Write a journal of blocks of so many rows; return its rows."""
    journal, parts = JournalWriter(str(path)), [rows_of(count, seed) for seed, count in enumerate(blocks)]
    for part in parts:
        journal.add(part)
        journal.flush()
    journal.close()
    return np.concatenate(parts)


def read(path: Path) -> bytes:
    return b"".join(block.array().tobytes() for block in read_journal(str(path)))


def sizes(*blocks: int) -> list[int]:
    """Bytes up to the end of each block, from the start of the file on."""
    return list(accumulate((HEADER + ROW * count for count in blocks), initial=0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j.seg"


# --- what is written comes back


@pytest.mark.parametrize("count", [0, 1, FULL - 1, FULL, FULL + 1, 3 * FULL + 7])
def test_every_row_comes_back_in_order(path, count):
    rows = rows_of(count)
    journal = JournalWriter(str(path))
    journal.add(rows)
    journal.close()
    assert read(path) == rows.tobytes()
    assert torn_bytes(str(path)) == 0


def test_rows_are_read_in_pieces_of_any_size(path):
    rows = written(path, 3, 5, 2, 7)
    for blocks in (1, 2, 3, 64):
        parts = [block.array().tobytes() for block in read_journal(str(path), blocks)]
        assert b"".join(parts) == rows.tobytes() and len(parts) == -(-4 // blocks)


def test_the_hashes_are_over_the_rows_and_over_the_requests_among_them(path):
    rows = rows_of(5000)
    journal = JournalWriter(str(path))
    journal.add(rows[:10])
    journal.sync()  # where the blocks end is not part of the hashes
    journal.add(rows[10:])
    requests = rows[(rows["kind"] >= 128) & (rows["kind"] < 160)]
    assert 0 < len(requests) < len(rows)
    expected = tuple(hashlib.sha256(part.tobytes()).hexdigest() for part in (rows, requests))
    assert journal.close() == expected and journal.rows == len(rows)


def test_what_is_flushed_is_in_the_file_before_it_is_closed(path):
    journal, rows = JournalWriter(str(path)), rows_of(5)
    journal.add(rows)
    assert path.stat().st_size == 0
    journal.sync()
    assert read(path) == rows.tobytes()
    journal.close()


def test_an_existing_journal_is_never_written_over(path):
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        JournalWriter(str(path))
    assert path.read_bytes() == b"precious"


def test_only_its_owner_may_read_a_journal(path):
    JournalWriter(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


# --- on the disk


def descriptor(path: Path) -> int:
    return next(int(one.name) for one in Path("/proc/self/fd").iterdir() if one.resolve() == path.resolve())


def enduring(journal: JournalWriter) -> Future[None]:
    return ThreadPoolExecutor(1).submit(journal.endure, 0.001)


def test_a_thread_that_has_the_disk_hold_a_journal_ends_when_it_is_released(path):
    journal = JournalWriter(str(path))
    done = enduring(journal)
    journal.add(rows_of(10))
    journal.flush()
    with pytest.raises(TimeoutError):
        done.result(0.05)
    journal.release()
    assert done.result(5.0) is None
    journal.close()
    assert read(path) == rows_of(10).tobytes()


def test_a_disk_that_refuses_is_told_once_there_is_something_to_hold(path):
    journal = JournalWriter(str(path))
    done = enduring(journal)
    with Path("/dev/null").open("wb") as nowhere:
        os.dup2(nowhere.fileno(), descriptor(path))  # takes what is written, and makes nothing durable
    with pytest.raises(TimeoutError):
        done.result(0.05)
    journal.add(rows_of(1))
    journal.flush()
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        done.result(5.0)


@pytest.mark.parametrize("pause_s", [0.0, -1.0, 1.1, float("nan"), float("inf")])
def test_a_pause_between_two_looks_is_a_time(path, pause_s):
    with pytest.raises(ValueError, match="a pause of"):
        JournalWriter(str(path)).endure(pause_s)


# --- torn tails


def test_a_full_disk_leaves_a_tail_that_is_torn_and_nothing_is_written_after_it(path):
    journal = JournalWriter(str(path))
    journal.add(rows_of(10))
    journal.flush()
    journal.add(rows_of(10))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        with pytest.raises(OSError, match="bytes written"):
            journal.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    for attempt in (journal.flush, journal.close):
        with pytest.raises(OSError, match="an earlier write has failed"):
            attempt()
    assert read(path) == rows_of(10).tobytes()
    assert torn_bytes(path) == 1_000 - sizes(10)[-1]


def test_a_tail_torn_at_any_byte_is_trimmed_to_the_last_whole_block(path, tmp_path):
    rows, ends = written(path, 2, 3, 4).tobytes(), sizes(2, 3, 4)
    content, torn = path.read_bytes(), tmp_path / "torn.seg"
    assert len(content) == ends[-1]
    for size in range(len(content) + 1):
        torn.write_bytes(content[:size])
        whole = max(end for end in ends if end <= size)
        kept = (whole - HEADER * ends.index(whole)) // ROW
        assert read(torn) == rows[: kept * ROW], size
        assert torn_bytes(str(torn)) == size - whole, size


def test_what_stands_before_a_torn_tail_must_check_all_the_same(path):
    written(path, 2, 3, 4)
    content = bytearray(path.read_bytes())
    content[HEADER + 5] ^= 1
    path.write_bytes(content[:-7])
    with pytest.raises(JournalDamaged):
        read(path)


# --- damage


@pytest.mark.parametrize("bit", [0, 7, *(pytest.param(bit, marks=pytest.mark.slow) for bit in range(1, 7))])
def test_a_flipped_bit_is_seen_at_every_byte(path, bit):
    # Every header has a checksum of its own, so a flipped length is damage too, never a torn tail.
    written(path, 2, 1, 3)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        for reads in (read, lambda file: torn_bytes(str(file))):
            with pytest.raises(JournalDamaged):
                reads(path)


def test_the_message_names_the_file_and_the_row(path):
    written(path, 2, 3, 4)
    content = bytearray(path.read_bytes())
    content[sizes(2, 3)[2] + HEADER + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match=rf"^{path}: the block at row 5 is damaged \(rows\)$"):
        read(path)


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (0, 2), (0, 0, 1, 2), (0, 1, 1, 2), (1, 2), (2,)], ids=lambda order: str(order)
)
def test_blocks_that_are_missing_repeated_or_swapped_are_damage(path, order):
    written(path, 2, 2, 2)
    content, ends = path.read_bytes(), sizes(2, 2, 2)
    blocks = [content[a:b] for a, b in pairwise(ends)]
    path.write_bytes(b"".join(blocks[at] for at in order))
    with pytest.raises(JournalDamaged):
        read(path)


def test_a_block_of_another_journal_breaks_the_chain(path, tmp_path):
    written(path, 2, 2)
    other = tmp_path / "other.seg"
    journal = JournalWriter(str(other))
    for seed in (8, 9):
        journal.add(rows_of(2, seed))
        journal.flush()
    journal.close()
    end = sizes(2)[1]
    path.write_bytes(path.read_bytes()[:end] + other.read_bytes()[end:])
    with pytest.raises(JournalDamaged):
        read(path)


@pytest.mark.parametrize("count", [0, FULL + 1, 2**32 - 1])
def test_a_header_whose_checksum_holds_may_still_state_no_absurd_length(path, count):
    from zlib import crc32

    written(path, 2)
    content = path.read_bytes()
    head = content[:4] + struct.pack("<I", count) + content[8:60]
    path.write_bytes(head + struct.pack("<I", crc32(head + bytes(4))) + content[64:])
    with pytest.raises(JournalDamaged):
        read(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" * 20, bytes(64), b"x" * 64], ids=["picture", "zeros", "text"])
def test_a_file_that_is_no_journal_is_damaged_not_empty(path, content):
    path.write_bytes(content)
    with pytest.raises(JournalDamaged):
        read(path)


def test_a_journal_that_is_not_there_is_an_error(path):
    with pytest.raises(FileNotFoundError):
        read(path)


# --- ten events in, replayed, same hash

SECOND = 10**9
BOOK = [(280_000 - k, 5_000) for k in range(30)], [(280_001 + k, 5_000) for k in range(30)]


def ten_events() -> np.ndarray:
    """A snapshot and nine messages: the mark, diffs, a trade, a touch; the quoter asks for orders on the way."""
    messages = [
        row(Kind.MARK, 1, a=28_000 * E8, b=28_000 * E8, c=10_000, d=8 * 3600 * SECOND),
        snapshot(2, 100, *BOOK),
        depth(3, 99, 101, 98, bids=[(280_000, 6_000)]),
        depth(SECOND, 102, 103, 101, asks=[(280_001, 7_000)]),
        row(Kind.TRADE, SECOND + 1, a=1, b=280_000, c=6_500, d=1, e=1, flags=Flag.F_END | Flag.F_SELL),
        row(Kind.TOUCH, SECOND + 2, a=104, b=280_000, c=100, d=280_001, e=7_000),
        depth(2 * SECOND, 104, 105, 103, bids=[(280_000, 9_000)]),
        row(Kind.TRADE, 2 * SECOND + 1, a=2, b=280_001, c=9_000, d=2, e=2),
        row(Kind.MARK, 3 * SECOND, a=28_001 * E8, b=28_001 * E8, c=10_000, d=8 * 3600 * SECOND),
        depth(4 * SECOND, 106, 107, 105, asks=[(280_001, 0)]),
    ]
    assert len(messages) == 10
    return np.concatenate(messages)


def engine(epoch: int = 7) -> Engine:
    quoter = Quoter(order_e8=120 * E8, budget_e8=600 * E8, requote_ns=SECOND // 2, join_ticks=0, min_spread_ticks=1)
    return Engine(Instruments([spec()]), quoter, limits(), SIZING, 7_700 * E8, epoch, ["stream"])


def run(path: Path) -> tuple[bytes, tuple[str, str]]:
    """Journal ten events and what they led to; return the state's hash and the journal's two."""
    trader, journal = engine(), JournalWriter(str(path))
    venue = Exchange(trader.instruments, [Account(trader.instruments, 7_700 * E8)], ["stream"], 1e-4, 0.8, SECOND)
    driver = Driver(trader, venue, None, journal, 20_000_000, 5_000_000, SECOND)
    driver.control(int(Kind.RUN), 0)
    driver.feed_rows(ten_events(), 0, 0)
    return driver.finish(), journal.close()


def replayed(path: Path, epoch: int = 7) -> Verifier:
    verifier = Verifier(engine(epoch), None, read_journal(str(path)))
    verifier.feed_rows(ten_events(), 0, 0)
    verifier.finish()
    return verifier


def test_ten_events_leave_the_same_journal_every_time(path, tmp_path):
    assert run(path) == run(tmp_path / "again.seg")
    assert path.read_bytes() == (tmp_path / "again.seg").read_bytes()


def test_ten_events_replayed_from_the_journal_give_the_same_state(path):
    digest, _ = run(path)
    kinds = np.frombuffer(read(path), EVENT_DTYPE)["kind"].tolist()
    assert kinds[0] == Kind.RUN and kinds[-1] == Kind.SEAL
    assert {Kind.ORDER, Kind.ACCEPTED, Kind.FILL, Kind.RANGE} <= set(kinds)
    verifier = replayed(path)
    assert verifier.difference is None and verifier.sealed
    assert verifier.compared == sum(128 <= kind < 160 for kind in kinds)
    assert verifier.engine.digest() == digest


def test_market_rows_are_referred_to_and_not_copied(path):
    run(path)
    rows = np.frombuffer(read(path), EVENT_DTYPE)
    ranges = rows[rows["kind"] == Kind.RANGE]
    assert not (rows["kind"] < 32).any()
    assert ranges["b"].tolist() == [0, *np.cumsum(ranges["c"])[:-1].tolist()]
    assert ranges["c"].sum() == len(ten_events())


@pytest.mark.parametrize("word", ["kind", "flags", "symbol", "lag_us", "ts", "a", "b", "c", "d", "e", "f"])
def test_a_request_that_differs_in_any_word_is_the_first_difference(path, tmp_path, word):
    run(path)
    rows = np.frombuffer(read(path), EVENT_DTYPE).copy()
    requests = [at for at, kind in enumerate(rows["kind"].tolist()) if 128 <= kind < 160]
    orders = [at for at in requests if rows["kind"][at] == Kind.ORDER]
    rows[word][orders[1]] ^= 1
    altered = JournalWriter(str(tmp_path / "altered.seg"))
    altered.add(rows)
    altered.close()
    difference = replayed(tmp_path / "altered.seg").difference
    assert difference.startswith(f"request {requests.index(orders[1])}: the run asked for ")


def test_another_engine_than_the_runs_is_found_out(path):
    run(path)
    assert "this one for ORDER" in replayed(path, epoch=8).difference


def test_a_journal_without_its_end_is_found_out(path, tmp_path):
    run(path)
    rows = np.frombuffer(read(path), EVENT_DTYPE)
    for keep in range(1, len(rows)):
        short = JournalWriter(str(tmp_path / f"{keep}.seg"))
        short.add(rows[:keep])
        short.close()
        assert replayed(tmp_path / f"{keep}.seg").difference is not None, keep


def test_less_market_than_the_journal_knows_is_found_out(path):
    run(path)
    verifier = Verifier(engine(), None, read_journal(str(path)))
    verifier.feed_rows(ten_events()[:-1], 0, 0)
    assert verifier.finish() == "the journal expects more than its data give"


def test_another_market_than_the_runs_is_found_out(path):
    run(path)
    market = ten_events()
    market["b"][-1] += 1
    verifier = Verifier(engine(), None, read_journal(str(path)))
    verifier.feed_rows(market, 0, 0)
    assert verifier.finish() is not None


# --- anchors


def test_a_long_journal_is_anchored_on_the_way(path):
    told = []
    writer = JournalWriter(str(path), lambda rows, chain: told.append((rows, chain, writer.chain)))
    writer.add(rows_of(150_000))
    assert [rows for rows, *_ in told] == [65_536, 131_072] and all(chain == own for _, chain, own in told)
    writer.close()
    assert told[-1][0] == writer.anchored == 150_000


def test_a_writer_without_an_anchor_tells_nobody(path):
    writer = JournalWriter(str(path))
    writer.add(rows_of(3))
    writer.close()
    assert writer.anchored == 0 and writer.chain != bytes(32)


def test_an_anchor_is_told_of_rows_that_the_file_holds_and_of_none_twice(path):
    told = []
    writer = JournalWriter(str(path), lambda rows, chain: told.append((rows, path.stat().st_size)))
    writer.tell_anchor()
    for _ in range(2):
        writer.add(rows_of(5))
        writer.flush()
        writer.tell_anchor()
        writer.tell_anchor()
    writer.close()
    assert told == [(5, sizes(5)[-1]), (10, sizes(5, 5)[-1])]


def test_an_anchor_that_cannot_be_kept_is_said_and_the_rows_are_there(path):
    def refuse(rows, chain):
        raise OSError("no space")

    writer = JournalWriter(str(path), refuse)
    writer.add(rows_of(7))
    with pytest.raises(OSError, match="no space"):
        writer.close()
    assert read(path) == rows_of(7).tobytes()
