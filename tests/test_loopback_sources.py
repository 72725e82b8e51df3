"""Replays of recordings as the exchange's market."""

import gzip
from itertools import islice

import numpy as np
import pytest
from builders import RECORDING, spec

from autotrader.adapters.loopback.sources import Replay, recorded_symbol
from autotrader.adapters.storage.recordings import Recording
from autotrader.errors import OperatorError
from core_ext.book import Book
from core_ext.types import Instruments, Kind, Rows

SECOND = 10**9
BUY, SELL = 0, 1
BEGIN = 1_800_000_000 * SECOND
BTC = Instruments([spec()])
THREE = Instruments([spec(name) for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT")])
UNPACKED = gzip.decompress(RECORDING.read_bytes())


@pytest.fixture(scope="module")
def batches():
    return list(Replay([RECORDING], BTC, begin_ns=BEGIN))


def test_every_message_is_one_batch_at_its_recorded_time(batches):
    recorded = [int(line.split(b" ", 1)[0]) for line in UNPACKED.splitlines()]
    assert len(batches) == len(recorded) == 13_384
    assert [stamp - BEGIN for stamp, _ in batches] == [(stamp - recorded[0]) * 1_000 for stamp in recorded]
    assert all((rows["ts"] == stamp).all() for stamp, rows in batches)
    assert all(rows["flags"][-1] & 1 for _, rows in batches)


def test_the_books_chain_holds_from_the_snapshot_on(batches):
    book = Book()
    for _, rows in batches:
        if rows["kind"][0] in (Kind.DEPTH, Kind.SNAPSHOT):
            book.apply(Rows(rows))
    assert book.is_usable and book.gaps == 0
    assert book.levels(BUY)[0][0] < book.levels(SELL)[0][0]


def test_a_shift_moves_the_funding_stamp_too_and_leaves_the_lag(batches):
    marks = [rows for _, rows in batches if rows["kind"][0] == Kind.MARK]
    own = [rows for _, rows in Replay([RECORDING], BTC) if rows["kind"][0] == Kind.MARK]
    shift = BEGIN - Recording([RECORDING], BTC).start_ns
    assert len(marks) == 99
    assert {int(after["d"][0] - before["d"][0]) for before, after in zip(own, marks, strict=True)} == {shift}
    assert all(after["lag_us"][0] == before["lag_us"][0] for before, after in zip(own, marks, strict=True))


def test_without_a_beginning_it_begins_when_it_was_recorded():
    replay = Replay([RECORDING], BTC)
    assert replay.begin_ns == next(iter(replay))[0] == Recording([RECORDING], BTC).start_ns


def test_it_tells_how_long_it_is_and_how_far_it_has_come():
    replay = Replay([RECORDING], BTC, begin_ns=BEGIN)
    assert replay.share == 0.0
    last = list(replay)[-1][0]
    assert (replay.end_ns, replay.duration_ns, replay.share) == (last, last - BEGIN, 1.0)
    assert 99 * SECOND < replay.duration_ns < 100 * SECOND
    assert (replay.messages, replay.skipped) == (13_384, 0)


def test_one_recording_plays_as_several_symbols_each_at_its_delay(batches):
    labels = {"ETHUSDT": ([RECORDING], 0.0), "SOLUSDT": ([RECORDING], 1.5)}
    played = list(Replay([], THREE, labels, BEGIN))
    stamps = [stamp for stamp, _ in played]
    assert stamps == sorted(stamps)
    for name, delay in (("ETHUSDT", 0), ("SOLUSDT", 3 * SECOND // 2)):
        at = THREE.index(name)
        mine = [(stamp, rows) for stamp, rows in played if rows["symbol"][0] == at]
        assert len(mine) == len(batches)
        for (stamp, rows), (then, own) in zip(mine, batches, strict=True):
            assert stamp == then + delay and (rows["symbol"] == at).all()
            assert all(np.array_equal(rows[word], own[word]) for word in ("kind", "a", "b", "c"))


def test_a_labelled_recording_may_play_beside_another():
    replay = Replay([RECORDING], THREE, {"ETHUSDT": ([RECORDING], 0.25)})
    assert {int(rows["symbol"][0]) for _, rows in islice(replay, 2_000)} == {0, 1}


def test_what_is_finer_than_a_labels_tick_is_skipped_and_counted():
    coarse = Instruments([spec("ETHUSDT", tick_e8=10**8)])
    replay = Replay([], coarse, {"ETHUSDT": ([RECORDING], 0.0)})
    assert len(list(replay)) + replay.skipped == 13_384
    assert replay.skipped > 5_000


def test_plain_lines_are_read_like_packed_ones(tmp_path):
    plain = tmp_path / "plain.dat"
    plain.write_bytes(UNPACKED)
    assert recorded_symbol(plain) == "BTCUSDT"
    assert sum(1 for _ in Replay([plain], BTC)) == 13_384


def test_a_line_without_a_stamp_is_named(tmp_path):
    lines = UNPACKED.splitlines(keepends=True)[:400]
    lines[390] = b"nonsense\n"
    path = tmp_path / "bad.dat"
    path.write_bytes(b"".join(lines))
    with pytest.raises(OperatorError, match=r"bad\.dat: line 391"):
        list(Replay([path], BTC))


def test_what_cannot_be_played_is_refused(tmp_path):
    with pytest.raises(OperatorError, match="needs a recording"):
        Replay([], BTC)
    with pytest.raises(OperatorError, match="XRPUSDT plays a recording but is no symbol"):
        Replay([], BTC, {"XRPUSDT": ([RECORDING], 0.0)})
    with pytest.raises(OperatorError, match="cannot be read"):
        Replay([], BTC, {"BTCUSDT": ([tmp_path / "nothing.gz"], 0.0)})
    broken = tmp_path / "broken.gz"
    broken.write_bytes(RECORDING.read_bytes()[:5_000])
    with pytest.raises(OperatorError, match=r"broken\.gz"):
        Replay([], BTC, {"BTCUSDT": ([broken], 0.0)})


@pytest.mark.slow
def test_day_files_continue_each_other(shared):
    files = [shared / f"data/l2/um/btcusdt_{day}.gz" for day in (20240719, 20240718)]
    replay = Replay(files, BTC, begin_ns=BEGIN)
    book = Book()
    for _, rows in replay:
        if rows["kind"][0] in (Kind.DEPTH, Kind.SNAPSHOT):
            book.apply(Rows(rows))
    assert replay.messages == 9_022 + 52_260 + 10_701 + 1
    assert replay.duration_ns // SECOND == 479 and book.levels(BUY)[0][0] < book.levels(SELL)[0][0]
