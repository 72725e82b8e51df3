"""The raw recorder: what it writes is read back unchanged, and a disk that fails costs the end at most."""

import gzip
import json
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import RECORDING, configuration, spec
from feeds import BTC, ETH, Heard, run
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_world import World
from test_market_feed import LIVELY, Books

from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.adapters.storage import recorder as module
from autotrader.adapters.storage.recorder import Recorder
from autotrader.adapters.storage.recordings import Recording
from autotrader.cli import main
from autotrader.errors import OperatorError
from autotrader.messages import say_in
from core_ext.types import Instruments

S = 10**9
NOON = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()) * S


def never(reason):
    pytest.fail(reason)


def files(folder):
    return sorted(path for path in folder.iterdir())


def text_of(path):
    """A file's bytes, unpacked."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def lines_of(paths):
    """The lines of some files in order, unpacked."""
    return [line for path in paths for line in text_of(path).splitlines()]


def sample(count):
    """The first messages of the shipped recording, their stamps moved to this century's form: ns."""
    for line in gzip.decompress(RECORDING.read_bytes()).splitlines()[:count]:
        stamp, _, message = line.partition(b" ")
        yield int(stamp) * 1000, message


def test_what_is_recorded_is_read_back_unchanged(tmp_path):
    messages = list(sample(3000))
    recorder = Recorder(tmp_path / "new", "btc", never)
    for stamp, message in messages:
        recorder(stamp, message)
    recorder.close()
    [path] = files(tmp_path / "new")
    assert re.fullmatch(r"btc-20230404T\d{6}Z\.dat", path.name)
    recording = Recording([path], Instruments([spec(BTC)]))
    assert recording.unit_ns == 1 and recording.files[0].rows == len(messages)
    read = b"".join(lines for _, lines, _, _ in recording.chunks())
    assert read == b"".join(b"%d %b\n" % one for one in messages)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=50))
def test_any_bytes_are_one_line_each(tmp_path_factory, messages):
    folder = tmp_path_factory.mktemp("any")
    recorder = Recorder(folder, "x", never)
    for at, message in enumerate(messages):
        recorder(NOON + at, message)
    recorder.close()
    written = b"".join(path.read_bytes() for path in files(folder)).split(b"\n")[:-1]
    assert written == [
        b"%d %b" % (NOON + at, message.replace(b"\n", b" ").replace(b"\r", b" ")) for at, message in enumerate(messages)
    ]


def test_messages_reach_the_file_without_being_asked_for(tmp_path):
    recorder = Recorder(tmp_path, "x", never)
    recorder(NOON, b"{}")
    end = time.monotonic() + 5
    while not (files(tmp_path) and files(tmp_path)[0].stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    assert files(tmp_path)[0].read_bytes() == b"%d {}\n" % NOON
    recorder.close()


def test_a_flush_returns_when_all_is_in_the_file(tmp_path):
    recorder = Recorder(tmp_path, "x", never)
    for at in range(2000):
        recorder(NOON + at, b'{"a":"%d"}' % at)
        if at % 400 == 0:
            assert recorder.flush()
            assert len(lines_of(files(tmp_path))) == at + 1
    recorder.close()
    assert recorder.is_recording


def test_nothing_is_taken_after_the_end(tmp_path):
    recorder = Recorder(tmp_path, "x", never)
    recorder(NOON, b"{}")
    recorder.close()
    recorder(NOON + 1, b"{}")
    assert len(lines_of(files(tmp_path))) == 1


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_is_sealed_by_its_size_and_by_the_day(tmp_path, compressed):
    recorder = Recorder(tmp_path, "x", never, file_bytes=10_000, compressed=compressed)
    midnight = NOON // module.DAY_NS * module.DAY_NS + module.DAY_NS
    expected = []
    for at, stamp in enumerate([*range(NOON, NOON + 300 * S, S), midnight - 1, midnight, midnight + 1]):
        message = b'{"at":%d,"%b":0}' % (at, b"x" * 150)
        recorder(stamp, message)
        expected.append(b"%d %b" % (stamp, message))
        recorder.flush()
    recorder.close()
    paths = files(tmp_path)
    assert len(paths) == 7
    assert {path.suffix for path in paths} == {".gz" if compressed else ".dat"}
    assert lines_of(paths) == expected
    assert all(len(lines_of([path])) * 180 <= 10_000 for path in paths)
    assert len(lines_of([paths[-1]])) == 2


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    for at, compressed in enumerate((True, False, True, False)):
        recorder = Recorder(tmp_path, "x", never, compressed=compressed)
        recorder(NOON + at, b"{}")
        recorder.close()
    assert len(files(tmp_path)) == 4 and len(lines_of(files(tmp_path))) == 4


def test_packing_lets_messages_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STEP_BYTES", 100)
    recorder = Recorder(tmp_path, "x", never, file_bytes=20_000, compressed=True)
    for at in range(100):
        recorder(NOON + at, b"{%b}" % (b"x" * 300))
    assert recorder.flush()
    recorder(NOON + 200, b"{%b}" % (b"y" * 300))  # seals the first, whose packing takes three hundred steps
    assert recorder.flush(1.0)
    recorder.close()
    assert len(lines_of(files(tmp_path))) == 101 and all(path.suffix == ".gz" for path in files(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="file: cannot be written"):
        Recorder(tmp_path / "file", "x", never)


FULL = """
import resource, sys
from pathlib import Path
from autotrader.adapters.storage.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
told = []
recorder = Recorder(Path(sys.argv[1]), "x", told.append)
for at in range(100):
    recorder(%d + at, b'{"at":"%%b"}' %% (b"x" * 90))
    recorder.flush(1.0)
assert not recorder.is_recording
recorder.close()
print(len(told), told[0])
"""


def test_a_disk_that_is_full_stops_the_recording_once_at_a_whole_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL % NOON, str(tmp_path / "x")], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(f"1 {tmp_path / 'x'}: cannot be written (File too large)")
    [path] = files(tmp_path / "x")
    text = path.read_bytes()
    assert text.endswith(b'"}\n') and 4000 < len(text) <= 5000
    assert [json.loads(line.partition(b" ")[2])["at"] for line in text.splitlines()] == ["x" * 90] * text.count(b"\n")


def test_a_disk_that_is_slower_than_the_market_stops_the_recording_and_not_the_market(tmp_path, monkeypatch):
    gate, told = threading.Event(), []

    class Slow(module.FileIO):
        def write(self, text):
            gate.wait(30)
            return super().write(text)

    monkeypatch.setattr(module, "FileIO", Slow)
    monkeypatch.setattr(module, "WAITING_BYTES", 1 << 20)
    recorder = Recorder(tmp_path, "x", told.append)
    for at in range(3000):
        recorder(NOON + at, b"{%b}" % (b"x" * 1000))
    assert not recorder.is_recording and not recorder.flush(0.1)
    gate.set()
    recorder.close()
    assert len(told) == 1 and "slower than the market" in told[0]
    assert all(line.endswith(b"x}") for line in lines_of(files(tmp_path)))


# ---------------------------------------------------------------------------------- the exchange on loopback, recorded


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Eight seconds of the exchange on loopback, whose connections are renewed on the way; and the feed's own books."""
    folder = tmp_path_factory.mktemp("recorded")
    with World(**LIVELY) as world:

        async def record():
            recorder = Recorder(folder, "feed", never, file_bytes=200_000, compressed=True)
            heard = Heard(world, Subscription((BTC, ETH), trades="trade"), life_s=4.0, good_s=0.5, first_s=0.1)
            clock = VenueClock(heard.fetch, lambda *_: None)
            await clock.measure()
            heard.now_ns = clock.now_ns
            books = Books(heard)

            def take(stamp, message):
                recorder(stamp, message)
                books.take(stamp, message)

            heard.on_message = take
            await heard.feed.start()
            await heard.until(lambda: books.are_usable)
            await heard.until(lambda: heard.alerts("RENEWED").count("public") >= 2, 30)
            await heard.feed.close()
            recorder.close()
            return heard, books

        heard, books = run(record())
    return files(folder), heard, books


def test_a_session_that_was_recorded_is_read_back_unchanged(recorded):
    paths, heard, _ = recorded
    recording = Recording(paths, Instruments([spec(BTC), spec(ETH)]))
    read = b"".join(lines for _, lines, _, _ in recording.chunks())
    assert read == b"".join(b"%d %b\n" % one for one in heard.messages)
    assert len(paths) >= 2 and recording.warnings == []
    assert abs(recording.offset_ns) < S // 2


def summary_of(folder, paths, symbol):
    config = configuration(folder / f"{symbol}.toml", symbols=(symbol,))
    given = ["paper", str(config), "--replay", *map(str, paths), "--out", str(folder / symbol), "--json"]
    assert main(given) == 0
    return json.loads((folder / symbol / "summary.json").read_text(encoding="utf-8"))


def gaps(summary, symbol):
    """The warning about gaps, if there is one."""
    pattern = re.escape(say_in("en", "run.gaps", symbol=symbol, count=987)).replace("987", r"\d+")
    return [warning for warning in summary["warnings"] if re.fullmatch(pattern, warning)]


@pytest.mark.parametrize("symbol", [BTC, ETH])
def test_a_recorded_session_is_run_again_without_a_gap_and_twice_the_same(recorded, tmp_path, monkeypatch, symbol):
    monkeypatch.setenv("AUTOTRADER_LANG", "en")
    monkeypatch.chdir(tmp_path)
    paths, _, books = recorded
    assert books.gaps == [0, 0]
    summary = summary_of(tmp_path, paths, symbol)
    assert gaps(summary, symbol) == []
    assert main(["replay", str(tmp_path / symbol), "--verify"]) == 0
    (tmp_path / "again").mkdir()
    again = summary_of(tmp_path / "again", paths, symbol)
    assert again["state_sha256"] == summary["state_sha256"] and again["journal_sha256"] == summary["journal_sha256"]


def test_a_recording_with_a_hole_is_run_with_a_gap(recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LANG", "en")
    monkeypatch.chdir(tmp_path)
    lines = lines_of(recorded[0])
    diffs = [at for at, line in enumerate(lines) if b'"btcusdt@depth@100ms"' in line]
    del lines[diffs[len(diffs) // 2]]
    path = Path(tmp_path / "hole.dat")
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert len(gaps(summary_of(tmp_path, [path], BTC), BTC)) == 1
