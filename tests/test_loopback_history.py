"""The history on disk: what is written is read, a torn end is left out, and no change goes unnoticed."""

import errno
from pathlib import Path

import numpy as np
import pytest

from autotrader.adapters.loopback import history
from autotrader.adapters.loopback.history import History, Reader
from autotrader.errors import OperatorError

SECOND = 10**9


def written(path: Path, records: int = 3, closed: bool = True) -> list[bytes]:
    """Write some records; return the file's lines."""
    kept = History(path)
    for k in range(records):
        kept.write("mark", k * SECOND, symbol=0, mark_e8=100 + k)
    kept.close(records * SECOND) if closed else kept.flush()
    return path.read_bytes().splitlines(keepends=True)


def test_what_is_written_is_read(tmp_path):
    written(tmp_path / "h.jsonl", 3)
    reader = Reader(tmp_path / "h.jsonl")
    records = list(reader)
    assert [(one.n, one.t, one.mark_e8) for one in records[:-1]] == [(k, k * SECOND, 100 + k) for k in range(3)]
    assert isinstance(records[-1], history.Close)
    assert (records[-1].records, reader.torn) == (3, 0)


def test_a_line_is_json_that_ends_in_the_sum_of_its_other_bytes(tmp_path):
    (line, _) = written(tmp_path / "h.jsonl", 1)
    assert line == b'{"n":0,"t":0,"k":"mark","symbol":0,"mark_e8":100,"c":"af87bb01"}\n'


def test_numbers_of_numpy_and_truths_are_written_as_they_are(tmp_path):
    kept = History(tmp_path / "h.jsonl")
    kept.write("trade", 5, symbol=np.uint16(1), trade=np.int64(2), ticks=3, lots=4, sell=np.bool_(True))
    kept.close(5)
    assert next(iter(Reader(tmp_path / "h.jsonl"))) == history.Trade(0, 5, 1, 2, 3, 4, True)


def test_nothing_is_kept_without_a_path():
    kept = History(None)
    kept.write("mark", 0, symbol=0, mark_e8=1)
    kept.flush()
    kept.close(0)
    assert kept.records == 0


def test_records_wait_for_the_flush_but_not_without_end(tmp_path):
    path = tmp_path / "h.jsonl"
    kept = History(path)
    kept.write("fault", 0, text="a")
    assert path.read_bytes() == b""
    kept.flush()
    assert path.read_bytes().count(b"\n") == 1
    kept.write("fault", 0, text="x" * history.MAX_WAITING)
    assert path.read_bytes().count(b"\n") == 2


def test_after_the_close_nothing_more_is_kept(tmp_path):
    lines = written(tmp_path / "h.jsonl", 1)
    kept = History(tmp_path / "i.jsonl")
    kept.close(0)
    kept.write("fault", 0, text="late")
    kept.close(0)
    assert (len(lines), kept.records) == (2, 1)


def test_a_history_is_never_written_over(tmp_path):
    written(tmp_path / "h.jsonl")
    with pytest.raises(OperatorError, match=r"h\.jsonl"):
        History(tmp_path / "h.jsonl")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OperatorError, match=r"nowhere/h\.jsonl"):
        History(tmp_path / "nowhere/h.jsonl")


def test_a_full_disk_is_told(tmp_path):
    kept = History(tmp_path / "h.jsonl")
    kept.write("fault", 0, text="a")

    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    kept._file = Full()
    with pytest.raises(OperatorError, match="No space left"):
        kept.flush()


def test_a_record_that_no_reader_would_take_is_not_written(tmp_path):
    kept = History(tmp_path / "h.jsonl")
    with pytest.raises(ValueError, match="bytes"):
        kept.write("fault", 0, text="x" * history.MAX_LINE)
    kept.close(0)
    assert [type(one).__name__ for one in Reader(tmp_path / "h.jsonl")] == ["Close"]


@pytest.mark.parametrize("left", [1, 20, 60])
def test_a_torn_last_line_is_reported_and_left_out(tmp_path, left):
    path = tmp_path / "h.jsonl"
    lines = written(path, 3, closed=False)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:left])
    reader = Reader(path)
    assert [one.n for one in reader] == [0, 1]
    assert reader.torn == left


@pytest.mark.parametrize("at", [1, 6, 30, -2, -10, -16])
def test_a_changed_byte_is_an_error_that_names_file_and_line(tmp_path, at):
    path = tmp_path / "h.jsonl"
    lines = written(path)
    changed = bytearray(lines[1])
    changed[at] ^= 1
    path.write_bytes(lines[0] + bytes(changed) + b"".join(lines[2:]))
    with pytest.raises(OperatorError, match=r"h\.jsonl.*\b1\b"):
        list(Reader(path))


def test_a_line_taken_out_or_put_elsewhere_is_an_error(tmp_path):
    path = tmp_path / "h.jsonl"
    lines = written(path)
    for order in ([0, 2, 3], [1, 0, 2, 3], [0, 0, 1, 2, 3]):
        path.write_bytes(b"".join(lines[k] for k in order))
        with pytest.raises(OperatorError, match=r"h\.jsonl"):
            list(Reader(path))


def test_a_line_without_end_is_not_read_into_memory(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_bytes(b"x" * (history.MAX_LINE + 10))
    with pytest.raises(OperatorError, match=r"h\.jsonl"):
        list(Reader(path))


def test_a_record_of_a_kind_or_shape_that_nobody_knows_is_an_error(tmp_path):
    for name, kind, fields in (("a", "rumour", {}), ("b", "mark", {"symbol": 0}), ("c", "mark", {"symbol": "BTC"})):
        kept = History(tmp_path / name)
        kept.write(kind, 0, **fields)
        kept.close(0)
        with pytest.raises(OperatorError, match=rf"/{name}.*\b0\b"):
            list(Reader(tmp_path / name))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OperatorError, match=r"none\.jsonl"):
        list(Reader(tmp_path / "none.jsonl"))
