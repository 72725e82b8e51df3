"""What must survive a restart: who writes, which ids come next, whether we were killed, what the breakers saw.

Knows what each file of the state folder means and what follows when one is damaged: never more freedom than before.
Refuses to know how a file is made durable (`state_folder`) and what an engine does with any of it. Every writing call
waits for the disk, some milliseconds: a loop that trades gives it to a thread.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from autotrader.adapters.storage.state_folder import DamagedError, StateFolder
from autotrader.errors import OperatorError, StateError
from autotrader.messages import say

__all__ = ["Epochs", "Guard", "Handled", "Latch", "Latched", "Lock", "Safety", "SafetyRecord", "Starts"]

SECOND = 10**9
EPOCH_BITS = 31
BEGINNING_S = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
LAST_BY_CLOCK = 1 << 30
"""The clock alone leads to no higher epoch, so that a wild one cannot use them up."""
CRASHES, CRASH_WINDOW_NS = 3, 300 * SECOND
MOST_STARTS = 64
WRITE_EVERY_NS = SECOND
SLOTS = ("safety.0", "safety.1")
LONGEST_REASON = 500
SEIZE_S, SEIZE_TRIES = 0.02, 5
"""Who asks whether a lock is held has it for a moment: a lock that is taken is tried again so often."""

Clock = Callable[[], int]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Stamp = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Symbol = Annotated[str, Meta(pattern="^[A-Z0-9_]{1,31}$")]
Bits = Annotated[int, Meta(ge=0, le=7)]


class _Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: Annotated[int, Meta(ge=1, lt=2**EPOCH_BITS)]


class _Starts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unclean_ns: Annotated[tuple[Stamp, ...], Meta(max_length=MOST_STARTS)]
    last_ns: Stamp = 0


class Epochs:
    """The epochs of client order ids: whoever gets one is the only one that ever had it.

    Parameters
    ----------
    folder : StateFolder
    clock : callable
        Wall time in ns. An epoch is at least the seconds since 2024, so that a folder that was lost, or restored from
        an old copy, does not lead to ids that the exchange has seen.
    """

    def __init__(self, folder: StateFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def next(self) -> int:
        """Return an epoch above all before it; it is on the disk when this returns.

        Returns
        -------
        int
            1 to 2**31 - 1.

        Raises
        ------
        OperatorError
            If the file is damaged, cannot be read or written, or epochs are used up.
        """
        found = self._folder.read_sealed("epoch", _Epoch)
        by_clock = min(self._clock() // SECOND - BEGINNING_S, LAST_BY_CLOCK)
        epoch = max(1 + (found.epoch if found else 0), by_clock)
        if epoch >> EPOCH_BITS:
            raise OperatorError(say("state.epochs_used_up", path=self._folder.path / "epoch"))
        self._folder.replace_sealed("epoch", _Epoch(epoch))
        return epoch


class Guard:
    """A file of the folder that one process at a time holds.

    The kernel lets go of it when the process ends, however it ends. A child that was forked without `exec` keeps it.

    Parameters
    ----------
    folder : StateFolder
        On a local disk.
    name : str
        Of the file.
    refusal : str
        Key of the sentence when another holds it; its words are path and pid.
    """

    def __init__(self, folder: StateFolder, name: str, refusal: str) -> None:
        self._folder, self._name, self._refusal = folder, name, refusal
        self._fd = -1

    def acquire(self) -> None:
        """Become the holder.

        Raises
        ------
        OperatorError
            If another process is, whose number is named, or the file cannot be used.
        """
        fd = self._folder.open(self._name)
        try:
            _seize(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            raise OperatorError(say(self._refusal, path=self._folder.path, pid=_holder(fd))) from None
        except OSError as error:
            raise OperatorError(say("state.unwritable", path=self._folder.path, reason=error.strerror)) from None
        else:
            self._fd, fd = fd, -1
        finally:
            if fd >= 0:
                os.close(fd)

    def is_ours(self) -> bool:
        """Whether we hold it and it still keeps others out: no file was removed or put in another's place."""
        if self._fd < 0 or not self._folder.is_there():
            return False
        with suppress(OSError):
            found = os.stat(self._name, dir_fd=self._folder.fd, follow_symlinks=False)
            return os.path.samestat(found, os.fstat(self._fd))
        return False

    def holder(self) -> str:
        """Return the number of the process that holds it, "" if none does.

        Raises
        ------
        OperatorError
            If the file cannot be used.
        """
        fd = self._folder.open(self._name)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(fd)
        except OSError as error:
            raise OperatorError(say("state.unreadable", path=self._folder.path, reason=error.strerror)) from None
        finally:
            os.close(fd)
        return ""

    def release(self) -> None:
        """Let another become the holder; again does nothing."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing alone would leave it to a forked child
            os.close(self._fd)
            self._fd = -1


class Lock:
    """One writer of an account on this host; it fulfils the port `Fence`.

    Parameters
    ----------
    folder : StateFolder
        Of the account, on a local disk.
    epochs : Epochs
        A token is an epoch: it grows with every holder, and client order ids carry it to the exchange.
    """

    def __init__(self, folder: StateFolder, epochs: Epochs) -> None:
        self._guard = Guard(folder, "lock", "state.locked")
        self._epochs = epochs
        self._token = 0

    def acquire(self) -> int:
        """Become the writer and return the token of it.

        Raises
        ------
        OperatorError
            If another process writes, whose number is named, or the state folder cannot be used.
        """
        self._guard.acquire()
        with ExitStack() as undo:
            undo.callback(self._guard.release)
            self._token = self._epochs.next()
            undo.pop_all()
        return self._token

    def holds(self, token: int) -> bool:
        """Whether the token is ours and still keeps others out: no file was removed or put in another's place."""
        return token == self._token and self._guard.is_ours()

    def holder(self) -> str:
        """Return the number of the process that writes, "" if none does; OperatorError as for `acquire`."""
        return self._guard.holder()

    def release(self) -> None:
        """Let another become the writer; again does nothing."""
        self._guard.release()
        self._token = 0


class Latched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kill: why, and when.

    Attributes
    ----------
    reason : str
    stamp_ns : int
    """

    reason: str
    stamp_ns: Stamp

    @property
    def stamp(self) -> str:
        """What an operator types to re-arm: the kill's time, UTC, such as ``2026-11-30T08:15:00.123Z``."""
        seconds, ns = divmod(self.stamp_ns, SECOND)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 10**6:03}Z"


class Latch:
    """The kill switch's latch: it holds through restarts, and only the stamp of the kill opens it.

    Any process of ours may close it, also while an instance runs; the first kill's reason and stamp stay.

    Parameters
    ----------
    folder : StateFolder
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def read(self) -> Latched | None:
        """Return the kill that holds, or None. A damaged file is a kill, of the time when it was last written.

        Raises
        ------
        OperatorError
            If the file cannot be read.
        """
        try:
            return self._folder.read_sealed("kill", Latched)
        except DamagedError as error:
            changed = os.stat("kill", dir_fd=self._folder.fd, follow_symlinks=False).st_mtime_ns
            return Latched(str(error), changed)

    def close(self, reason: str, now_ns: int) -> Latched:
        """Latch, on the disk when this returns, and return the kill that holds: this one, or one before it.

        Parameters
        ----------
        reason : str
            Cut after 500 characters.
        now_ns : int
            Wall time.

        Raises
        ------
        OperatorError
            If the disk refuses.
        """
        kill = Latched(_plain(reason), now_ns)
        while not self._folder.create_sealed("kill", kill):
            if found := self.read():
                return found
        return kill

    def rearm(self, typed: str) -> None:
        """Open the latch, on the disk when this returns; without a kill nothing happens.

        Parameters
        ----------
        typed : str
            The stamp of the kill.

        Raises
        ------
        OperatorError
            If it is another: the latch stays closed; or the disk refuses.
        """
        kill = self.read()
        if kill is None:
            return
        if typed != kill.stamp:
            raise OperatorError(say("state.not_rearmed", reason=kill.reason, stamp=kill.stamp))
        self._folder.remove("kill")


class SafetyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the breakers and the drawdown ladder remember.

    Attributes
    ----------
    as_of_ns : int
        Time of the last event in it: transfers since then are not in the peak yet.
    day : int
        UTC day number.
    day_start_e8, peak_e8, max_drawdown_e8 : int
        Equity at its start and highest equity moved by transfers, 1e-8 USDT; deepest share of the peak lost, eight
        decimals.
    day_lost, halted : bool
        Whether the daily loss limit tripped; whether an operator halted.
    ladder : int
        0 full size, 1 half, 2 reduce-only.
    paused_until_ns : int
        Of the loss-rate breaker.
    loss_peaks : tuple of (int, int)
        Number of ten seconds and highest equity of them, 1e-8 USDT, oldest first.
    disabled : tuple of (str, int, int)
        Symbols in which something is not opened: bits (1 halted by an operator, 2 buying and 4 selling disabled by a
        breaker), and until when it is paused, ns.
    """

    as_of_ns: Whole
    day: Whole
    day_start_e8: Whole
    peak_e8: Whole
    max_drawdown_e8: Whole
    day_lost: bool = False
    halted: bool = False
    ladder: Annotated[int, Meta(ge=0, le=2)] = 0
    paused_until_ns: Whole = 0
    loss_peaks: Annotated[tuple[tuple[Whole, Whole], ...], Meta(max_length=64)] = ()
    disabled: Annotated[tuple[tuple[Symbol, Bits, Whole], ...], Meta(max_length=1024)] = ()

    def latched(self) -> tuple[object, ...]:
        """Return what must not be lost even for a second."""
        return self.day, self.day_lost, self.halted, self.ladder, self.paused_until_ns, self.disabled


class _Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sequence: Stamp
    record: SafetyRecord


class Safety:
    """The safety record on disk, in two files in turn: damage of the newest leaves the one before.

    Parameters
    ----------
    folder : StateFolder

    Attributes
    ----------
    record : SafetyRecord or None
        The newest; None before the first.
    damaged : str
        What was wrong with a file when they were read, "" if nothing.

    Raises
    ------
    OperatorError
        If there are files and none can be used.
    """

    def __init__(self, folder: StateFolder) -> None:
        self.record: SafetyRecord | None = None
        self.damaged = ""
        self._folder = folder
        self._sequence = 0
        self._written_ns = 0
        found = [slot for name in SLOTS if (slot := self._read(name))]
        if found:
            newest = max(found, key=lambda slot: slot.sequence)
            self._sequence, self.record = newest.sequence, newest.record
        elif self.damaged:
            raise DamagedError(self.damaged)

    def keep(self, record: SafetyRecord, now_ns: int) -> bool:
        """Write a record if a second has passed or something latched in it changed; tell whether it is on the disk.

        Something latched is written to both files, so that damage of one does not forget it.

        Parameters
        ----------
        record : SafetyRecord
        now_ns : int
            Any clock.

        Raises
        ------
        StateError
            If a value cannot be true.
        OperatorError
            If the disk refuses.
        """
        changed = self.record is None or record.latched() != self.record.latched()
        if not changed and 0 <= now_ns - self._written_ns < WRITE_EVERY_NS:
            return False
        _require_sane(record)
        for _ in range(2 if changed else 1):
            self._write(record)
        self.record, self._written_ns = record, now_ns
        return True

    def _write(self, record: SafetyRecord) -> None:
        slot = _Slot(self._sequence + 1, record)
        self._folder.replace_sealed(SLOTS[slot.sequence % 2], slot)
        self._sequence = slot.sequence

    def _read(self, name: str) -> _Slot | None:
        try:
            return self._folder.read_sealed(name, _Slot)
        except DamagedError as error:
            self.damaged = str(error)
            return None


class Starts:
    """How often we started lately without a clean end: a crash loop ends in SAFE mode, exits and kill only.

    Parameters
    ----------
    folder : StateFolder
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._ours, self._before = -1, 0

    def begin(self, now_ns: int) -> bool:
        """Write down a start, before anything is done; tell whether it must be in SAFE mode.

        Parameters
        ----------
        now_ns : int
            Wall time. Starts of up to five minutes later, from before the clock was set back, count too.

        Returns
        -------
        bool
            Whether three starts in the five minutes before had no clean end, or nobody knows.

        Raises
        ------
        OperatorError
            If the disk refuses.
        """
        earlier, known = self._read()
        recent = [stamp for stamp in earlier.unclean_ns if abs(now_ns - stamp) <= CRASH_WINDOW_NS]
        self._ours = max([now_ns, *(stamp + 1 for stamp in recent)])  # no two alike
        self._before = earlier.last_ns
        self._write([*recent, self._ours], self._ours)
        return len(recent) >= CRASHES or not known

    def end(self, has_opened: bool = True) -> None:
        """Write down that this start ended cleanly.

        Parameters
        ----------
        has_opened : bool, optional
            Whether it looked after the account; one that did not leaves it to whoever follows the start before it.

        Raises
        ------
        OperatorError
            If the disk refuses.
        """
        earlier = self._read()[0]
        unclean_ns = [stamp for stamp in earlier.unclean_ns if stamp != self._ours]
        self._write(unclean_ns, earlier.last_ns if has_opened else self._before)

    def unclean_ns(self) -> int:
        """Return the stamp of the newest start while that has no clean end, else 0.

        Of a damaged file nobody knows: it is a start without an end, of the time when it was last written.

        Raises
        ------
        OperatorError
            If the file cannot be read.
        """
        found, known = self._read()
        if not known:
            return os.stat("starts", dir_fd=self._folder.fd, follow_symlinks=False).st_mtime_ns
        return found.last_ns if found.last_ns in found.unclean_ns else 0

    def _read(self) -> tuple[_Starts, bool]:
        try:
            return self._folder.read_sealed("starts", _Starts) or _Starts(()), True
        except DamagedError:
            return _Starts(()), False

    def _write(self, unclean_ns: list[int], last_ns: int) -> None:
        self._folder.replace_sealed("starts", _Starts(tuple(unclean_ns[-MOST_STARTS:]), last_ns))


class _Handled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start_ns: Stamp
    held: bool


class Handled:
    """The run that a watchdog has finished with, so that its end is dealt with once.

    Parameters
    ----------
    folder : StateFolder
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def covers(self, start_ns: int, held: bool) -> bool:
        """Whether nothing is to be done about a run: one that was dealt with while it hung ends once more when it dies.

        Parameters
        ----------
        start_ns : int
            Of the run: `Starts.unclean_ns`.
        held : bool
            Whether its process is still there.

        Raises
        ------
        OperatorError
            If the file cannot be read. One that is damaged covers nothing.
        """
        try:
            found = self._folder.read_sealed("watchdog", _Handled)
        except DamagedError:
            return False
        return found is not None and found.start_ns == start_ns and (held or not found.held)

    def keep(self, start_ns: int, held: bool) -> None:
        """Write down that a run was dealt with; on the disk when this returns.

        Raises
        ------
        OperatorError
            If the disk refuses.
        """
        self._folder.replace_sealed("watchdog", _Handled(start_ns, held))


def _seize(fd: int) -> None:
    for _ in range(SEIZE_TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(SEIZE_S)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(fd: int) -> str:
    # The holder writes its number after it has the lock: in between the one before it stands there.
    return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"


def _plain(text: str) -> str:
    # Bytes that were no UTF-8 on a command line cannot be written as JSON.
    return text.encode(errors="replace").decode()[:LONGEST_REASON]


def _require_sane(record: SafetyRecord) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(record), SafetyRecord)
    except msgspec.ValidationError as error:
        raise StateError(say("state.absurd", reason=error)) from None


class _Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    until_ns: Stamp


class Silence:
    """Until when the exchange wants to be left alone: a ban grows for who asks again, and no new process knows of it.

    Parameters
    ----------
    folder : StateFolder
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def until_ns(self) -> int:
        """Return until when, ns UTC; 0 without a record. One that is damaged keeps nobody from looking after orders."""
        try:
            found = self._folder.read_sealed("silence", _Silence)
        except DamagedError:
            return 0
        return found.until_ns if found else 0

    def keep(self, until_ns: int) -> None:
        """Write it down, if it is later than before by more than clocks differ.

        Raises
        ------
        OperatorError
            If the disk refuses.
        """
        if until_ns > self.until_ns() + SECOND:
            self._folder.replace_sealed("silence", _Silence(until_ns))
