"""Recorder lines: units, packing, day files, the recorder's clock; the same market however the bytes are cut."""

import gzip
import hashlib
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from builders import E8, RECORDING, SIZING, configuration, limits, spec

from autotrader.adapters.storage import recordings
from autotrader.adapters.storage.recordings import OFFSET_LINES, Recording, is_recording
from autotrader.cli import main
from autotrader.errors import OperatorError
from core_ext.account import Account
from core_ext.driver import Collector, Driver
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalWriter, read_journal
from core_ext.strategy import Strategy
from core_ext.types import Instruments, Kind, Status
from core_ext.wire import Scanner

UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
MS = 1_000_000
T0_MS = 1_680_652_800_000


@cache
def sample() -> tuple[tuple[int, bytes], ...]:
    """The first messages of the shipped recording with their stamps in ns, whole milliseconds."""
    lines = gzip.decompress(RECORDING.read_bytes()).splitlines()[:300]
    split = (line.split(b" ", 1) for line in lines)
    return tuple((int(stamp) // 1000 * MS, message) for stamp, message in split)


def lines_of(messages, unit: int = 1_000, end: bytes = b"\n") -> bytes:
    return b"".join(b"%d %s%s" % (stamp // unit, message, end) for stamp, message in messages)


def depth(exchange_ms: int, first: int = 1, symbol: str = "BTCUSDT") -> bytes:
    return (
        f'{{"stream":"{symbol.lower()}@depth@0ms","data":{{"e":"depthUpdate","E":{exchange_ms},"T":{exchange_ms},'
        f'"s":"{symbol}","U":{first},"u":{first},"pu":{first - 1},"b":[["28000.00","1.000"]],"a":[]}}}}'
    ).encode()


def trade(exchange_ms: int, number: int = 1, symbol: str = "BTCUSDT") -> bytes:
    return (
        f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{exchange_ms},"T":{exchange_ms},'
        f'"s":"{symbol}","t":{number},"p":"28000.00","q":"0.001","X":"MARKET","m":true}}}}'
    ).encode()


def lagged(*lags_ms: float, make=depth, start_ms: int = T0_MS) -> list[tuple[int, bytes]]:
    """Messages 10 ms apart by the exchange's clock, each received so much later by the recorder's."""
    return [
        ((start_ms + 10 * at) * MS + round(lag * MS), make(start_ms + 10 * at, at + 1))
        for at, lag in enumerate(lags_ms)
    ]


@dataclass(frozen=True)
class Fed:
    """What came of feeding a recording: counts, and the whole state with its books, hashed."""

    rows: int
    lines: int
    messages: int
    state: str


def fed(*paths: Path, symbols: tuple[str, ...] = ("BTCUSDT",)) -> Fed:
    instruments = Instruments([spec(name) for name in symbols])
    marks = ["stream"] * len(symbols)
    engine = Engine(instruments, Strategy(), limits(), SIZING, 7_700 * E8, 1, marks)
    venue = Exchange(instruments, [Account(instruments, 7_700 * E8)], marks, 1e-4, 0.8, 10**9)
    scanner = recordings.Scanner(instruments)
    journal = JournalWriter(str(paths[0].with_suffix(f".{random.getrandbits(64)}.seg")))
    driver = Driver(engine, venue, scanner, journal, 20 * MS, 5 * MS, 10**9)
    for _ in Recording(paths, instruments).feed(driver):
        pass
    return Fed(driver.rows, driver.lines, scanner.messages, driver.finish().hex())


@pytest.fixture
def put(tmp_path: Path):
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def one(put) -> Fed:
    """The sample in one plain file, in one block."""
    found = fed(put("one", lines_of(sample())))
    assert found.lines == found.messages == len(sample()) < found.rows
    return found


BTC = Instruments([spec()])

# --- units


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_told_by_the_stamps(put, one, unit):
    path = put("day", lines_of(sample(), UNITS[unit]))
    recording = Recording([path], BTC)
    assert recording.unit_ns == UNITS[unit]
    assert recording.start_ns + recording.offset_ns == sample()[0][0]
    assert fed(path) == one


@pytest.mark.parametrize("digits", [1, 10, 12, 14, 15, 17, 18, 20, 400])
def test_a_stamp_of_another_length_is_of_no_unit(put, digits):
    path = put("day", b"1" * digits + b" " + depth(T0_MS) + b"\n")
    assert not is_recording(path)
    with pytest.raises(OperatorError, match="line 1 is no recorder line"):
        Recording([path], BTC)


def test_day_files_of_two_units_are_of_two_recorders(put):
    a, b = put("a", lines_of(sample()[:100])), put("b", lines_of(sample()[100:], 1))
    with pytest.raises(OperatorError, match=rf"^{b}: its stamps have another unit than those of {a}"):
        Recording([a, b], BTC)


# --- packing


def in_members(content: bytes, *cuts: int) -> bytes:
    parts = [content[a:b] for a, b in zip((0, *cuts), (*cuts, len(content)), strict=True)]
    return b"".join(gzip.compress(part) for part in parts)


PACKED = {
    "plain": lambda text: text,
    "gzip": gzip.compress,
    "gzip without compression": lambda text: gzip.compress(text, 0),
    "members cut within lines": lambda text: in_members(text, 10, 5_001, 20_000),
    "a member a byte": lambda text: in_members(text, *range(1, 200)),
    "empty members": lambda text: in_members(text, 0, 0, 7_000, 7_000, len(text)),
    "carriage returns": lambda text: text.replace(b"\n", b"\r\n"),
    "no line feed at the end": lambda text: text[:-1],
    "gzip without line feed at the end": lambda text: gzip.compress(text[:-1]),
    "carriage return at the end alone": lambda text: text[:-1] + b"\r",
}


@pytest.mark.parametrize("packing", PACKED)
def test_the_same_lines_are_the_same_market_however_they_are_packed(put, one, packing):
    path = put("day", PACKED[packing](lines_of(sample())))
    assert is_recording(path)
    assert fed(path) == one


@pytest.mark.parametrize("size", [2, 7, 64, 1_000, 65_536])
@pytest.mark.parametrize("packing", ["plain", "gzip", "members cut within lines", "no line feed at the end"])
def test_where_the_blocks_end_is_of_no_account(put, one, monkeypatch, size, packing):
    monkeypatch.setattr(recordings, "READ_BYTES", size)
    few = lines_of(sample()) if size > 64 else lines_of(sample()[:20])
    expected = one if size > 64 else None
    path = put("day", PACKED[packing](few))
    found = fed(path)
    monkeypatch.setattr(recordings, "READ_BYTES", 1 << 20)
    assert found == (expected or fed(path))


def test_a_name_says_nothing_about_the_packing(put, one):
    assert fed(put("day.gz", lines_of(sample()))) == one
    assert fed(put("day.txt", gzip.compress(lines_of(sample())))) == one


def test_a_file_that_swells_without_end_is_refused_in_little_memory(put, monkeypatch):
    monkeypatch.setattr(recordings, "MAX_LINE_BYTES", 1 << 16)
    monkeypatch.setattr(recordings, "READ_BYTES", 1 << 14)
    path = put("day", gzip.compress(lines_of(sample()[:1]) + b" " * (1 << 24)))
    largest = max(map(len, recordings._blocks(path)))
    assert largest <= 1 << 14
    with pytest.raises(OperatorError, match="a line is longer than"):
        Recording([path], BTC)


@pytest.mark.parametrize("size", [7, 1 << 20])
def test_a_line_that_is_none_is_named_by_its_number_across_blocks(put, monkeypatch, size):
    monkeypatch.setattr(recordings, "READ_BYTES", size)
    lines = lines_of(sample()[:40]).splitlines(keepends=True)
    lines[30] = b"no stamp {}\n"
    with pytest.raises(OperatorError, match=r"day: line 31: "):
        fed(put("day", b"".join(lines)))


def test_what_is_no_recording_is_told_before_it_is_read(put):
    assert is_recording(put("day", lines_of(sample()[:1])))
    for content in (b"", b"\n", b"symbol,ts_ms\n", b'{"a": 1}\n', b"\x1f\x8b", b"PAR1", gzip.compress(b"x")):
        assert not is_recording(put("other", content))


# --- day files


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_day_files_are_read_in_time_order_whatever_the_order_of_the_arguments(put, one, order):
    parts = [put(name, lines_of(sample()[a:b])) for name, a, b in (("c", 0, 90), ("a", 90, 200), ("b", 200, 300))]
    given = [parts[at] for at in order]
    assert fed(*given) == one
    recording = Recording(given, BTC)
    assert [file.path for file in recording.files] == parts
    assert [file.rows for file in recording.files] == [90, 110, 100]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in parts]
    assert [file.sha256 for file in recording.files] == hashes
    assert {file.kind for file in recording.files} == {"recording"}


def test_a_day_without_a_line_feed_at_its_end_does_not_swallow_the_next(put, one):
    first, second = put("a", lines_of(sample()[:90])[:-1]), put("b", gzip.compress(lines_of(sample()[90:])))
    assert fed(first, second) == one


def test_a_line_of_the_second_day_is_numbered_within_its_file(put):
    lines = lines_of(sample()[90:]).splitlines(keepends=True)
    lines[4] = b"-1 {}\n"
    first, second = put("a", lines_of(sample()[:90])), put("b", b"".join(lines))
    with pytest.raises(OperatorError, match=rf"^{second}: line 5: "):
        fed(first, second)


def test_days_that_overlap_are_refused_and_days_that_touch_are_not(put):
    messages = lagged(1, 1, 1, 1)
    first = put("a", lines_of(messages[:2]))
    assert Recording([first, put("b", lines_of([messages[1], *messages[2:]]))], BTC).files
    with pytest.raises(OperatorError, match="b: it starts before the file ahead of it ends"):
        Recording([first, put("b", lines_of(messages[:1] + messages[2:]))], BTC)


@pytest.mark.parametrize(("back_ms", "fits"), [(1, True), (999, True), (1_001, False), (60_000, False)])
def test_a_clock_may_be_set_back_a_little_but_lines_keep_their_order(put, back_ms, fits):
    messages = lagged(*range(7))
    latest = messages[4][0]
    messages[5:] = [(latest - back_ms * MS + at, message) for at, (_, message) in enumerate(messages[5:])]
    path = put("day", lines_of(messages))
    if fits:
        assert Recording([path], BTC).files[0].rows == 7
    else:
        with pytest.raises(OperatorError, match="day: line 6: it is older than the lines before it"):
            Recording([path], BTC)


def test_lines_in_reverse_are_refused_however_small_each_step_back_is(put):
    messages = lagged(*([1] * 300))
    with pytest.raises(OperatorError, match="older than the lines before it"):
        Recording([put("day", lines_of(messages[::-1]))], BTC)


# --- the recorder's clock


@pytest.mark.parametrize(
    ("lags", "offset"),
    [
        ([5, 3, 4], 3),
        ([-1_273, -1_268.5, -1_275.25], -1_275.25),  # a clock behind the exchange's: nothing arrives before it is sent
        ([0], 0),
        ([9] * OFFSET_LINES + [1], 9),  # only the first lines count
        ([9] * (OFFSET_LINES - 1) + [1], 1),
    ],
)
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_the_clock_offset_is_the_least_lag_of_the_first_depth_lines(put, lags, offset, unit):
    recording = Recording([put("day", lines_of(lagged(*lags), UNITS[unit]))], BTC)
    assert recording.offset_ns == offset * MS
    assert recording.offset_lines == min(len(lags), OFFSET_LINES)
    assert recording.start_ns == T0_MS * MS + round((lags[0] - offset) * MS)
    assert recording.warnings == []
    assert recording.facts == {
        "kind": "recording",
        "offset_ns": offset * MS,
        "offset_lines": recording.offset_lines,
        "ticks": False,
    }


def test_only_depth_tells_the_clock(put):
    early = lagged(-50, make=trade)
    recording = Recording([put("day", lines_of(early + lagged(7, 8, start_ms=T0_MS + 100)))], BTC)
    assert recording.offset_ns == 7 * MS and recording.offset_lines == 2


def test_the_first_depth_lines_may_stand_in_several_days(put):
    days = [lagged(*([9] * 150)), lagged(*([8] * 40), *([5] * 40), start_ms=T0_MS + 10_000)]
    files = [put(f"{at}", lines_of(day)) for at, day in enumerate(days)]
    assert Recording(files, BTC).offset_ns == 5 * MS
    days[1] = lagged(*([8] * 50), 5, start_ms=T0_MS + 10_000)
    files[1].write_bytes(lines_of(days[1]))
    assert Recording(files, BTC).offset_ns == 8 * MS


def test_without_depth_the_offset_is_zero_and_said_to_be_so(put):
    recording = Recording([put("day", lines_of(lagged(5, 6, make=trade)))], BTC)
    assert (recording.offset_ns, recording.offset_lines) == (0, 0)
    assert "clock offset" in recording.warnings[0]


def test_a_replay_uses_the_offset_that_the_run_had(put):
    path = put("day", lines_of(lagged(5, 3, 4)))
    recording = Recording([path], BTC, offset_ns=42)
    assert recording.offset_ns == 42 and recording.start_ns == (T0_MS + 5) * MS - 42


def test_the_offset_is_journalled_and_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configuration(tmp_path / "quoter.toml")
    assert main(["paper", str(config), "--replay", str(RECORDING), "--out", "run", "--json"]) == 0
    rows = np.concatenate([block.array().copy() for block in read_journal("run/journal/000000.seg")])
    lags = [
        int(stamp) * 1_000 - int(event_ms) * MS
        for stamp, event_ms in re.findall(
            rb'^(\d+) \S*"e":"depthUpdate","E":(\d+)', gzip.decompress(RECORDING.read_bytes()), re.MULTILINE
        )
    ][:OFFSET_LINES]
    run, offset = rows[:2]
    assert (run["kind"], offset["kind"]) == (Kind.RUN, Kind.CLOCK_OFFSET)
    assert (offset["a"], offset["b"]) == (min(lags), OFFSET_LINES)
    assert np.count_nonzero(rows["kind"] == Kind.CLOCK_OFFSET) == 1
    first = int(gzip.decompress(RECORDING.read_bytes()).split(b" ", 1)[0]) * 1_000
    assert run["ts"] == offset["ts"] == first - min(lags)
    assert min(lag - min(lags) for lag in lags) == 0
    requests = rows[(rows["kind"] >= 128) & (rows["kind"] < 160)]
    assert len(requests) and (requests["ts"] >= offset["ts"]).all()


# --- whose messages


def test_a_message_of_another_symbol_is_passed_over_and_counted(put):
    both = sorted(lagged(1, 1, 1) + lagged(2, 2, 2, make=lambda at, n: depth(at, n, "ETHUSDT")))
    for symbols, rows in ((("BTCUSDT",), 6), (("ETHUSDT",), 6), (("BTCUSDT", "ETHUSDT"), 12)):
        found = fed(put("day", lines_of(both)), symbols=symbols)
        assert (found.rows, found.messages) == (rows, 6)


def test_a_snapshot_without_a_name_is_of_the_files_only_symbol(put):
    snapshot = b'{"lastUpdateId":5,"bids":[["27999.9","1.000"]],"asks":[["28000.1","1.000"]]}'
    alone = put("alone", lines_of([*lagged(1), (T0_MS * MS + MS * 20, snapshot)]))
    assert fed(alone).rows == 2 + 3


def test_messages_without_the_wrapper_of_a_combined_stream_are_read_too(put):
    messages = [(stamp, message.partition(b'"data":')[2][:-1]) for stamp, message in lagged(1, 2, 3)]
    assert fed(put("day", lines_of(messages))).rows == 6


def test_a_recording_of_other_symbols_names_them(put):
    path = put("day", lines_of(lagged(1, 2)))
    with pytest.raises(OperatorError, match=rf"^{path}: holds BTCUSDT, the run trades ETHUSDT"):
        Recording([path], Instruments([spec("ETHUSDT")]))


def test_what_the_exchange_calls_no_trade_is_no_fault_of_the_file(put):
    nothing = trade(T0_MS + 5).replace(b'"28000.00"', b'"0"').replace(b'"0.001"', b'"0"').replace(b"MARKET", b"NA")
    messages = [*lagged(1), (T0_MS * MS + 6 * MS, nothing)]
    assert fed(put("day", lines_of(messages))).rows == 2
    with pytest.raises(OperatorError, match="line 2"):
        fed(put("day", lines_of([messages[0], (messages[1][0], nothing.replace(b"NA", b"MARKET"))])))


def test_a_price_between_two_ticks_is_counted_not_fatal(put):
    odd = trade(T0_MS + 5).replace(b"28000.00", b"28000.05")
    found = fed(put("day", lines_of([*lagged(1), (T0_MS * MS + 6 * MS, odd)])))
    assert (found.rows, found.messages) == (2, 2)


def test_a_collector_has_the_rows_of_each_message_until_they_are_taken():
    instruments = Instruments([spec()])
    scanner, collector = Scanner(instruments), Collector(Scanner(instruments))
    lines = gzip.decompress(RECORDING.read_bytes()).splitlines(keepends=True)
    for some in (lines[:3_000], lines[3_000:3_001], [], lines[3_001:5_000]):
        expected = []
        for line in some:
            stamp, _, message = line.partition(b" ")
            if scanner.feed(message.rstrip(), int(stamp) * 1_000 - 7) == Status.OK:
                expected.append(scanner.rows.array())
        collector.feed_lines(b"".join(some), 0, 0, 1_000, 7, 1)
        taken = collector.take()
        assert taken.tolist() == [row for rows in expected for row in rows.tolist()]
        taken["a"] = 0  # it is the caller's
    assert len(collector.take()) == 0
