"""What survives a restart: old or new after a crash anywhere, never neither; and never more freedom after damage."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import msgspec
import pytest
from crashing import Crash, CrashingDisk
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader.adapters.storage import state, state_folder
from autotrader.adapters.storage.state import (
    Epochs,
    Handled,
    Latch,
    Latched,
    Lock,
    Safety,
    SafetyRecord,
    Silence,
    Starts,
)
from autotrader.adapters.storage.state_folder import DamagedError, StateFolder
from autotrader.errors import OperatorError, StateError
from autotrader.ports import Fence

NOW = 1_796_000_000_000_000_000
SECOND = 10**9
RECORD = SafetyRecord(as_of_ns=NOW, day=20_786, day_start_e8=10**12, peak_e8=11 * 10**11, max_drawdown_e8=2_000_000)


def clock() -> int:
    return NOW


def at_rest() -> int:
    """A clock that says nothing: epochs count on alone."""
    return 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def folder(place):
    opened = StateFolder(place)
    yield opened
    opened.close()


# The folder.


def test_the_folder_and_its_files_are_ours_alone(folder):
    old = os.umask(0)
    try:
        Epochs(folder, clock).next()
        lock = Lock(folder, Epochs(folder, clock))
        lock.acquire()
    finally:
        os.umask(old)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {"epoch": 0o600, "lock": 0o600}
    lock.release()


def test_a_folder_that_lets_others_in_is_refused_with_its_mode(place):
    place.mkdir(mode=0o750)
    place.chmod(0o750)
    with pytest.raises(OperatorError, match=r"state: mode 0750 .* 0700"):
        StateFolder(place)


def test_a_folder_that_inherited_its_group_is_ours_alone(place):
    place.mkdir()
    place.chmod(0o2700)
    StateFolder(place).close()


def test_a_link_to_a_folder_is_refused(place, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "real")
    with pytest.raises(OperatorError, match="no state folder"):
        StateFolder(place)


def test_a_folder_of_another_user_is_refused(place, monkeypatch):
    place.mkdir(mode=0o700)
    monkeypatch.setattr(state_folder.os, "geteuid", lambda: 4711)
    with pytest.raises(OperatorError, match="4711"):
        StateFolder(place)


def test_a_folder_that_is_not_there_is_made_only_when_asked(place):
    with pytest.raises(OperatorError, match="no such state folder"):
        StateFolder(place, create=False)
    assert not place.exists()


@pytest.mark.parametrize("name", ["epoch", "kill", "starts", "safety.0"])
@pytest.mark.parametrize("wrong", ["link", "folder", "pipe", "open", "large"])
def test_a_file_that_is_not_ours_alone_and_plain_is_refused(folder, tmp_path, name, wrong):
    path = folder.path / name
    match wrong:
        case "link":
            (tmp_path / "elsewhere").write_bytes(b"")
            path.symlink_to(tmp_path / "elsewhere")
        case "folder":
            path.mkdir(mode=0o600)
        case "pipe":
            os.mkfifo(path, 0o600)
        case "open":
            path.touch(0o644)
            path.chmod(0o644)
        case "large":
            path.touch(0o600)
            path.write_bytes(b" " * 100_000)
    readers = {
        "epoch": Epochs(folder, clock).next,
        "kill": Latch(folder).read,
        "starts": lambda: Starts(folder).begin(NOW),
        "safety.0": lambda: Safety(folder),
    }
    with pytest.raises(OperatorError, match=str(path)) as refused:
        readers[name]()
    assert not isinstance(refused.value, DamagedError)


def test_a_link_where_a_new_file_is_written_is_not_followed(folder, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder.path / ".epoch.part").symlink_to(victim)
    with pytest.raises(OperatorError, match="cannot be written"):
        Epochs(folder, clock).next()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_disk_that_refuses_is_one_clear_error_and_leaves_the_old(folder, monkeypatch, call):
    first = Epochs(folder, at_rest).next()

    def refuse(*_args, **_kw):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state_folder.os, call, refuse)
        with pytest.raises(OperatorError, match="No space left"):
            Epochs(folder, at_rest).next()
    assert Epochs(folder, at_rest).next() == first + 1


def test_a_disk_that_writes_a_byte_at_a_time_writes_all(folder, monkeypatch):
    write = os.write
    monkeypatch.setattr(state_folder.os, "write", lambda fd, data: write(fd, bytes(data[:1])))
    Safety(folder).keep(RECORD, NOW)
    assert Safety(folder).record == RECORD


# Crashes.


def both_slots(folder):
    """A safety record as a run has it: both files written."""
    Safety(folder).keep(RECORD, NOW)


def raised(folder):
    return msgspec.structs.replace(RECORD, peak_e8=12 * 10**11)


OPERATIONS = {
    "epoch": (
        lambda folder: Epochs(folder, at_rest).next(),
        lambda folder: Epochs(folder, at_rest).next(),
        lambda folder: folder.read_sealed("epoch", state._Epoch),
    ),
    "first epoch": (
        lambda folder: None,
        lambda folder: Epochs(folder, clock).next(),
        lambda folder: folder.read_sealed("epoch", state._Epoch),
    ),
    "kill": (
        lambda folder: None,
        lambda folder: Latch(folder).close("drawdown", NOW),
        lambda folder: Latch(folder).read(),
    ),
    "kill again": (
        lambda folder: Latch(folder).close("drawdown", NOW),
        lambda folder: Latch(folder).close("operator", NOW + 1),
        lambda folder: Latch(folder).read(),
    ),
    "re-arm": (
        lambda folder: Latch(folder).close("drawdown", NOW),
        lambda folder: Latch(folder).rearm(Latched("", NOW).stamp),
        lambda folder: Latch(folder).read(),
    ),
    "first record": (
        lambda folder: None,
        lambda folder: Safety(folder).keep(RECORD, NOW),
        lambda folder: Safety(folder).record,
    ),
    "record": (
        both_slots,
        lambda folder: Safety(folder).keep(msgspec.structs.replace(RECORD, peak_e8=12 * 10**11), NOW),
        lambda folder: Safety(folder).record,
    ),
    "latched record": (
        both_slots,
        lambda folder: Safety(folder).keep(msgspec.structs.replace(RECORD, day_lost=True), NOW),
        lambda folder: Safety(folder).record,
    ),
    "start": (
        lambda folder: Starts(folder).begin(NOW - SECOND),
        lambda folder: Starts(folder).begin(NOW),
        lambda folder: folder.read_sealed("starts", state._Starts),
    ),
}


@pytest.mark.parametrize("how", ["before", "after", "torn"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_crash_or_a_power_cut_at_every_call_leaves_old_or_new(tmp_path, monkeypatch, name, how):
    prepare, operate, observe = OPERATIONS[name]

    def prepared(label: str) -> StateFolder:
        folder = StateFolder(tmp_path / label)
        prepare(folder)
        return folder

    def seen(place: Path):
        folder = StateFolder(place, create=False)
        try:
            return observe(folder)
        finally:
            folder.close()

    whole = prepared("whole")
    old = seen(whole.path)
    disk = CrashingDisk(whole.path)
    with monkeypatch.context() as patch:
        patch.setattr(state_folder, "os", disk)
        operate(whole)
    new = seen(whole.path)
    assert disk.calls and (new != old or name == "kill again")
    assert all(seen(image) == new for image in disk.images(tmp_path)), "it returned before it was on the disk"
    found = []
    for fatal in range(1, len(disk.calls) + 1):
        folder = prepared(f"crash-{fatal}")
        dying = CrashingDisk(folder.path, fatal, how)
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(state_folder, "os", dying)
            operate(folder)
        images = [folder.path, *dying.images(tmp_path)]
        found += [seen(image) for image in images]
        for image in images:  # whatever is found, the next start can work on it
            again = StateFolder(image, create=False)
            operate(again)
            again.close()
            if name not in ("epoch", "first epoch", "start"):
                assert seen(image) == new
    assert [one for one in found if one not in (old, new)] == []


def test_the_crashes_above_include_every_kind_of_call(folder, monkeypatch):
    disk = CrashingDisk(folder.path)
    monkeypatch.setattr(state_folder, "os", disk)
    Epochs(folder, clock).next()
    assert disk.calls == ["open", "write", "fsync", "rename", "fsync"]
    disk.calls.clear()
    kill = Latch(folder).close("operator", NOW)
    assert disk.calls == ["open", "write", "fsync", "link", "fsync", "unlink"]
    disk.calls.clear()
    Latch(folder).rearm(kill.stamp)
    assert disk.calls == ["unlink", "fsync"]


WRITER = """
import itertools, sys
from pathlib import Path
from autotrader.adapters.storage.state import Epochs, Handled, Latch, Safety, SafetyRecord
from autotrader.adapters.storage.state_folder import StateFolder
folder = StateFolder(Path(sys.argv[1]))
epochs, safety, latch = Epochs(folder, lambda: 0), Safety(folder), Latch(folder)
for n in itertools.count():
    epoch = epochs.next()
    safety.keep(SafetyRecord(n, epoch, epoch, epoch, 0), n)
    stamp = latch.close("operator", epoch).stamp
    print(epoch, flush=True)
    latch.rearm(stamp)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_loses_nothing_that_it_told(place):
    told = 0
    for moment in range(16):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(1 + moment % 8):
                told = max(told, int(writer.stdout.readline()))
            writer.send_signal(signal.SIGKILL)
            rest, _ = writer.communicate()
        told = max([told, *map(int, rest.split())])
        folder = StateFolder(place)
        record, kill = Safety(folder).record, Latch(folder).read()
        epoch = Epochs(folder, at_rest).next()
        assert record.day in (told, told + 1) and record.day == record.peak_e8
        assert kill is None or kill.stamp_ns in (told, told + 1)
        assert told < epoch <= told + 2
        told = epoch
        if kill:
            Latch(folder).rearm(kill.stamp)
        folder.close()


# Damage.


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at % 8)
    path.write_bytes(data)


def spoilt(path: Path, step: int = 1):
    """Yield after each way to spoil a file: a flipped bit in every byte, an end at every byte, one byte more."""
    whole = path.read_bytes()
    for at in range(0, len(whole), step):
        damaged(path, at)
        yield f"bit of byte {at}"
        path.write_bytes(whole[:at])
        yield f"end at byte {at}"
        path.write_bytes(whole)
    path.write_bytes(whole + b"\n")
    yield "one byte more"
    path.write_bytes(whole)


def test_a_damaged_epoch_stops_the_start(folder):
    Epochs(folder, clock).next()
    for _ in spoilt(folder.path / "epoch"):
        with pytest.raises(DamagedError, match="epoch: is damaged"):
            Epochs(folder, clock).next()


def test_a_damaged_kill_is_a_kill_and_can_be_rearmed_by_its_own_stamp(folder):
    Latch(folder).close("drawdown", NOW)
    for how in spoilt(folder.path / "kill"):
        kill = Latch(folder).read()
        assert kill is not None and "is damaged" in kill.reason, how
        with pytest.raises(OperatorError):
            Latch(folder).rearm(Latched("", NOW).stamp)
    damaged(folder.path / "kill", 5)
    Latch(folder).rearm(Latch(folder).read().stamp)
    assert Latch(folder).read() is None


def test_damage_of_the_newest_record_leaves_the_one_before_and_is_told(folder):
    safety = Safety(folder)
    safety.keep(RECORD, NOW)
    higher = msgspec.structs.replace(RECORD, peak_e8=12 * 10**11)
    safety.keep(higher, NOW + SECOND)
    newest = max((folder.path / name for name in state.SLOTS), key=lambda path: b'"sequence":3' in path.read_bytes())
    for _ in spoilt(newest):
        found = Safety(folder)
        assert found.record == RECORD and str(newest) in found.damaged
    damaged(newest, 80)
    after = Safety(folder)
    after.keep(higher, NOW)  # over the damaged file, not over the one that is whole
    assert Safety(folder).record == higher and Safety(folder).damaged == ""


def test_a_latched_field_outlives_damage_of_either_file(folder):
    safety = Safety(folder)
    safety.keep(RECORD, NOW)
    lost = msgspec.structs.replace(RECORD, day_lost=True, ladder=2, disabled=(("BTCUSDT", 1, 0),))
    safety.keep(lost, NOW + 1)
    for name in state.SLOTS:
        for _ in spoilt(folder.path / name, 7):
            assert Safety(folder).record == lost


def test_when_no_record_is_whole_the_start_stops(folder):
    Safety(folder).keep(RECORD, NOW)
    for name in state.SLOTS:
        damaged(folder.path / name, 70)
    with pytest.raises(DamagedError, match=r"safety\.\d: is damaged"):
        Safety(folder)


def test_damaged_starts_mean_safe_mode_once(folder):
    Starts(folder).begin(NOW)
    damaged(folder.path / "starts", 3)
    assert Starts(folder).begin(NOW + 1)
    assert not Starts(folder).begin(NOW + 2)


# Epochs.


@settings(max_examples=20, deadline=None)
@given(times=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=8))
def test_epochs_grow_whatever_the_clock_says_and_fit_31_bits(tmp_path_factory, times):
    folder = StateFolder(tmp_path_factory.mktemp("epochs") / "state")
    found = [Epochs(folder, lambda now=now: now).next() for now in times]
    folder.close()
    assert all(one < other for one, other in itertools.pairwise(found))
    assert found[0] > 0 and found[-1] <= state.LAST_BY_CLOCK + len(times) < 2**31


def test_a_lost_folder_does_not_repeat_epochs(folder):
    before = Epochs(folder, clock).next()
    shutil.rmtree(folder.path)
    anew = StateFolder(folder.path)
    assert Epochs(anew, lambda: NOW + SECOND).next() > before
    anew.close()


def test_the_last_epoch_is_the_last(folder):
    folder.replace_sealed("epoch", state._Epoch(2**31 - 2))
    assert Epochs(folder, clock).next() == 2**31 - 1
    with pytest.raises(OperatorError, match="no epoch"):
        Epochs(folder, clock).next()


# The lock.


HOLDER = """
import sys, time
from pathlib import Path
from autotrader.adapters.storage.state import Epochs, Lock
from autotrader.adapters.storage.state_folder import StateFolder
folder = StateFolder(Path(sys.argv[1]))
lock = Lock(folder, Epochs(folder, lambda: 0))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_the_second_writer_is_refused_with_the_number_of_the_first_until_that_is_gone(place):
    command = [sys.executable, "-c", HOLDER, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        token = int(holder.stdout.readline())
        folder = StateFolder(place)
        lock = Lock(folder, Epochs(folder, at_rest))
        with pytest.raises(OperatorError, match=rf"process {holder.pid} trades"):
            lock.acquire()
        assert not lock.holds(token)
        assert lock.holder() == str(holder.pid)
        holder.kill()
    assert lock.holder() == ""
    ours = lock.acquire()
    assert ours == token + 1 and lock.holds(ours) and not lock.holds(token)
    lock.release()
    folder.close()


def test_two_locks_of_one_process_exclude_each_other(folder):
    first, second = (Lock(folder, Epochs(folder, clock)) for _ in range(2))
    token = first.acquire()
    with pytest.raises(OperatorError, match=f"process {os.getpid()} "):
        second.acquire()
    assert first.holds(token)
    first.release()
    assert not first.holds(token) and second.acquire() > token
    second.release()


@pytest.mark.parametrize("what", ["lock removed", "lock replaced", "folder moved", "folder replaced"])
def test_a_lock_that_no_longer_keeps_others_out_is_not_held(folder, tmp_path, what):
    lock = Lock(folder, Epochs(folder, clock))
    token = lock.acquire()
    assert lock.holds(token)
    match what.split():
        case ["lock", how]:
            (folder.path / "lock").unlink()
            if how == "replaced":
                (folder.path / "lock").touch(0o600)
        case ["folder", how]:
            folder.path.rename(tmp_path / "elsewhere")
            if how == "replaced":
                folder.path.mkdir(mode=0o700)
    assert not lock.holds(token)
    lock.release()


def test_a_child_without_exec_does_not_keep_a_lock_that_was_released(folder):
    lock = Lock(folder, Epochs(folder, clock))
    lock.acquire()
    kept = os.dup(lock._guard._fd)  # what a forked child has
    lock.release()
    second = Lock(folder, Epochs(folder, clock))
    assert second.acquire()
    second.release()
    os.close(kept)


def test_who_asks_whether_somebody_writes_keeps_no_writer_out(folder):
    lock = Lock(folder, Epochs(folder, clock))
    looking = Lock(folder, Epochs(folder, clock))
    with ThreadPoolExecutor(1) as pool:
        ended = Event()
        looks = pool.submit(lambda: [looking.holder() for _ in iter(lambda: ended.wait(0), True)])
        try:
            for _ in range(200):
                lock.acquire()
                lock.release()
        finally:
            ended.set()
        assert len(looks.result()) > 1


def test_a_lock_without_an_epoch_is_let_go(folder, monkeypatch):
    epochs = Epochs(folder, clock)
    epochs.next()
    damaged(folder.path / "epoch", 3)
    with pytest.raises(DamagedError):
        Lock(folder, epochs).acquire()
    (folder.path / "epoch").unlink()
    lock = Lock(folder, epochs)
    assert lock.acquire()
    lock.release()


def test_the_lock_is_a_fence(folder):
    fence: Fence = Lock(folder, Epochs(folder, clock))
    assert not fence.holds(0)
    fence.release()


# The latch.


def test_the_first_kill_stays_with_its_reason_and_stamp_through_restarts(folder):
    first = Latch(folder).close("drawdown", NOW)
    assert Latch(folder).close("operator", NOW + SECOND) == first
    again = StateFolder(folder.path)
    assert Latch(again).read() == first == Latched("drawdown", NOW)
    again.close()


def test_only_the_stamp_of_this_kill_opens_the_latch(folder):
    latch = Latch(folder)
    latch.rearm("nothing to re-arm")
    old = latch.close("drawdown", NOW).stamp
    latch.rearm(old)
    assert latch.read() is None
    kill = latch.close("drawdown", NOW + SECOND)
    for typed in ("", "yes", old, kill.stamp[:-1], kill.stamp.lower(), f" {kill.stamp}"):
        with pytest.raises(OperatorError, match=rf"drawdown.*{kill.stamp}"):
            latch.rearm(typed)
        assert latch.read() == kill


def test_a_stamp_is_the_time_of_the_kill_in_utc():
    assert Latched("", 1_796_026_500_123_999_999).stamp == "2026-11-30T08:15:00.123Z"


@pytest.mark.parametrize("reason", ["x" * 10_000, "\udc80\udcff", "종료\n\x1b[31m", ""])
def test_any_reason_can_be_written(folder, reason):
    kill = Latch(folder).close(reason, NOW)
    assert len(kill.reason) <= 500 and Latch(folder).read() == kill


def test_of_many_processes_that_kill_at_once_one_kill_holds(place):
    code = (
        "import sys; from pathlib import Path\n"
        "from autotrader.adapters.storage.state import Latch\n"
        "from autotrader.adapters.storage.state_folder import StateFolder\n"
        "print(Latch(StateFolder(Path(sys.argv[1]))).close('k', int(sys.argv[2])).stamp_ns)"
    )
    StateFolder(place).close()
    command = [sys.executable, "-c", code, str(place)]
    killers = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(1, 5)]
    told = {killer.communicate()[0].strip() for killer in killers}
    assert len(told) == 1 and told != {""}
    assert [path.name for path in place.iterdir()] == ["kill"]


def test_of_many_threads_that_kill_at_once_one_kill_holds(folder):
    with ThreadPoolExecutor(4) as pool:
        told = set(pool.map(lambda n: Latch(folder).close("k", n), range(1, 21)))
    assert told == {Latch(folder).read()}
    assert [path.name for path in folder.path.iterdir()] == ["kill"]


# The safety record.


def test_an_unchanged_second_is_not_written_and_a_latched_change_is_at_once(folder):
    safety = Safety(folder)
    assert safety.record is None and safety.keep(RECORD, NOW)
    higher = msgspec.structs.replace(RECORD, peak_e8=12 * 10**11)
    assert not safety.keep(higher, NOW + SECOND - 1)
    assert Safety(folder).record == RECORD
    assert safety.keep(higher, NOW + SECOND)
    for field, value in {
        "day": RECORD.day + 1,
        "day_lost": True,
        "halted": True,
        "ladder": 1,
        "paused_until_ns": NOW,
        "disabled": (("ETHUSDT", 6, 7),),
    }.items():
        higher = msgspec.structs.replace(higher, **{field: value})
        assert safety.keep(higher, NOW + SECOND), field
        assert Safety(folder).record == higher
    assert safety.keep(higher, NOW), "a clock that went back must not stop the writing"


INT64 = st.integers(-(2**63), 2**63 - 1)
RECORDS = st.builds(
    SafetyRecord,
    as_of_ns=INT64,
    day=INT64,
    day_start_e8=INT64,
    peak_e8=INT64,
    max_drawdown_e8=INT64,
    day_lost=st.booleans(),
    halted=st.booleans(),
    ladder=st.integers(0, 2),
    paused_until_ns=INT64,
    loss_peaks=st.lists(st.tuples(INT64, INT64), max_size=30).map(tuple),
    disabled=st.lists(
        st.tuples(st.from_regex("[A-Z0-9_]{1,31}", fullmatch=True), st.integers(0, 7), INT64), max_size=30
    ).map(tuple),
)


@settings(max_examples=30, deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_what_is_kept_is_what_is_found(tmp_path_factory, records):
    folder = StateFolder(tmp_path_factory.mktemp("safety") / "state")
    for record in records:
        Safety(folder).keep(record, NOW)
        assert Safety(folder).record == record
    folder.close()


@pytest.mark.parametrize(
    "absurd",
    [
        {"peak_e8": float("nan")},
        {"peak_e8": 1.5},
        {"peak_e8": 2**63},
        {"day": True},
        {"ladder": 3},
        {"halted": 1},
        {"disabled": (("btc/usdt", 1, 0),)},
        {"disabled": (("BTCUSDT", 8, 0),)},
        {"loss_peaks": ((1, 2, 3),)},
        {"loss_peaks": ((1, 2),) * 65},
    ],
)
def test_an_absurd_value_never_reaches_the_disk(folder, absurd):
    Safety(folder).keep(RECORD, NOW)
    with pytest.raises(StateError):
        Safety(folder).keep(msgspec.structs.replace(RECORD, **absurd), NOW + 2 * SECOND)
    assert Safety(folder).record == RECORD


# Crash loops.


def test_the_start_after_three_crashes_in_five_minutes_is_safe(folder):
    minute = 60 * SECOND
    assert [Starts(folder).begin(NOW + n * minute) for n in range(4)] == [False, False, False, True]


def test_a_clean_end_is_not_counted(folder):
    for n in range(6):
        starts = Starts(folder)
        assert not starts.begin(NOW + n)
        starts.end()


def test_crashes_more_than_five_minutes_ago_are_forgotten(folder):
    for n in range(3):
        Starts(folder).begin(NOW + n)
    assert Starts(folder).begin(NOW + 300 * SECOND)
    assert not Starts(folder).begin(NOW + 601 * SECOND)


def test_a_clock_that_was_set_back_a_little_hides_no_crash(folder):
    assert [Starts(folder).begin(NOW - n * SECOND) for n in range(4)] == [False, False, False, True]


def test_starts_of_one_moment_are_told_apart(folder):
    first, second = Starts(folder), Starts(folder)
    first.begin(NOW)
    second.begin(NOW)
    second.end()
    assert folder.read_sealed("starts", state._Starts).unclean_ns == (NOW,)


def test_only_the_newest_start_says_whether_a_run_ended_cleanly(folder):
    assert Starts(folder).unclean_ns() == 0
    Starts(folder).begin(NOW)
    assert Starts(folder).unclean_ns() == NOW
    second = Starts(folder)
    second.begin(NOW + 1)
    assert Starts(folder).unclean_ns() == NOW + 1
    second.end()
    assert Starts(folder).unclean_ns() == 0  # though the first never ended
    assert [Starts(folder).begin(NOW + n) for n in (2, 3)] == [False, False]


def test_a_start_that_never_looked_after_the_account_does_not_hide_the_one_before_it(folder):
    Starts(folder).begin(NOW)
    second = Starts(folder)
    second.begin(NOW + 1)
    second.end(has_opened=False)
    assert Starts(folder).unclean_ns() == NOW
    third = Starts(folder)
    third.begin(NOW + 2)
    third.end()
    assert Starts(folder).unclean_ns() == 0


def test_starts_of_a_version_before_are_read(folder):
    folder.replace_sealed("starts", msgspec.defstruct("Old", [("unclean_ns", tuple[int, ...])])((NOW,)))
    assert Starts(folder).unclean_ns() == 0
    Starts(folder).begin(NOW + 1)
    assert Starts(folder).unclean_ns() == NOW + 1


def test_damaged_starts_are_one_without_an_end(folder):
    folder.replace("starts", b"?")
    assert Starts(folder).unclean_ns() == (folder.path / "starts").stat().st_mtime_ns


def test_a_run_that_was_dealt_with_while_it_hung_is_dealt_with_again_when_it_is_dead(folder):
    handled = Handled(folder)
    assert not handled.covers(NOW, True)
    handled.keep(NOW, True)
    assert handled.covers(NOW, True)
    assert not handled.covers(NOW, False)
    assert not handled.covers(NOW + 1, True)
    handled.keep(NOW, False)
    assert handled.covers(NOW, False)
    folder.replace("watchdog", b"?")
    assert not handled.covers(NOW, False)


def test_the_file_of_a_crash_loop_does_not_grow_for_ever(folder):
    for n in range(80):
        Starts(folder).begin(NOW + n)
    assert (folder.path / "starts").stat().st_size < 2_000


# -------------------------------------------------------------------------------------- who wants to be left alone


def test_what_the_exchange_wants_is_kept_and_only_ever_longer(folder):
    assert Silence(folder).until_ns() == 0
    for until_ns in (NOW, NOW - SECOND, NOW + SECOND):
        Silence(folder).keep(until_ns)
    assert Silence(folder).until_ns() == NOW
    Silence(folder).keep(NOW + 2 * SECOND)
    assert Silence(folder).until_ns() == NOW + 2 * SECOND


def test_a_damaged_word_of_the_exchange_keeps_nobody_away(folder):
    Silence(folder).keep(NOW)
    (folder.path / "silence").write_bytes(b"x")
    assert Silence(folder).until_ns() == 0
