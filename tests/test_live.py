"""A run on a wire: the journal before the wire, wake-ups, answers, and the same again from the recording."""

import errno
from pathlib import Path

import numpy as np
import pytest
from builders import RECORDING, limits, row, spec
from test_engine import BUY, EQUITY, MIDDLE, SECOND, SIZING, START, Plan, Tape, nothing, order

from autotrader.adapters.storage.recordings import Recording
from autotrader.research.stress import STAND_ASIDE
from core_ext.driver import FeedError, Verifier
from core_ext.engine import Engine
from core_ext.journal import JournalWriter, read_journal
from core_ext.live import Live
from core_ext.types import Instruments, Kind, Status
from core_ext.wire import Scanner, Signer


def made(*steps, mark="stream", **changes):
    rules = limits(**STAND_ASIDE | changes)
    return Engine(Instruments([spec()]), Plan(*steps), rules, SIZING, EQUITY, 5, [mark], 12)


class Desk:
    """A live run whose requests are kept, with what the journal's file held when they left."""

    def __init__(self, folder: Path, *steps, **changes):
        self.engine = made(*steps, **changes)
        self.path = folder / "journal"
        self.scanner = Scanner(self.engine.instruments, 0)
        self.journal = JournalWriter(str(self.path))
        self.left, self.on_disk = [], []
        self.live = Live(self.engine, self.scanner, self.journal, self.send, SECOND)

    def send(self, requests):
        self.left += requests
        self.on_disk.append(self.kinds())

    def kinds(self):
        return [Kind(int(kind)) for block in read_journal(str(self.path)) for kind in block.array()["kind"]]


def message(u, bid, ask):
    """A touch as the exchange says it, MIDDLE being 100000.0."""
    return (
        f'{{"e":"bookTicker","u":{u},"E":1,"T":1,"s":"BTCUSDT","b":"{bid / 10:.1f}","B":"9.000",'
        f'"a":"{ask / 10:.1f}","A":"9.000"}}'
    ).encode()


def opened(folder, *steps, **changes):
    """A run that has seen a mark and a book, and will take its steps at the touches that follow."""
    desk, tape = Desk(folder, nothing, *steps, **changes), Tape()
    desk.live.control(Kind.RUN, START)
    desk.live.tell(tape.opening)
    return desk, tape


def test_an_order_leaves_when_the_journal_has_it(tmp_path):
    desk, tape = opened(tmp_path, order(BUY, 1, MIDDLE - 5))
    assert desk.live.message(message(9, MIDDLE - 1, MIDDLE + 1), tape.later()) == Status.OK
    (asked,) = desk.left
    assert (asked.kind, asked.symbol, asked.conditional, asked.closes) == (Kind.ORDER, 0, False, False)
    assert (asked.may_open, asked.is_exit, asked.number) == (True, False, 0)
    assert desk.on_disk[0][-1] == Kind.ORDER
    text = Signer(b"key").order_text(asked.approval, desk.engine.instruments, 1_700_000_000_000)
    assert b"newClientOrderId=at%016x" % asked.client_id in text
    assert b"price=99999.5" in text


def test_a_conditional_order_a_cancel_and_a_query_say_where_the_order_lives(tmp_path):
    desk, tape = opened(tmp_path, stop_e8=5_000_000)
    desk.live.tell(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
    (stop,) = desk.left
    assert (stop.kind, stop.conditional, stop.closes) == (Kind.ORDER, True, True)
    assert (stop.may_open, stop.is_exit) == (False, True)
    desk.live.tell(tape.said(Kind.LOST, a=stop.client_id, b=int(Kind.ORDER)))
    desk.live.wake(desk.live.next_due)
    asked = desk.left[-1]
    assert (asked.kind, asked.client_id, asked.conditional, asked.closes) == (Kind.QUERY, stop.client_id, True, True)
    assert (asked.may_open, asked.is_exit, asked.approval) == (False, False, None)


def test_a_wake_up_is_delivered_when_it_is_due_and_before_a_later_message(tmp_path):
    desk, tape = opened(tmp_path, lambda d: d.set_timer(7, d.now + SECOND))
    desk.live.message(message(9, MIDDLE - 1, MIDDLE + 1), tape.later())
    due = desk.live.next_due
    assert due == tape.ts + SECOND
    desk.live.wake(due - 1)
    assert desk.live.next_due == due
    desk.live.message(message(10, MIDDLE - 1, MIDDLE + 1), due + 5)
    assert desk.live.next_due is None
    desk.journal.flush()
    assert Kind.TIMER in desk.kinds()


def test_what_comes_late_is_stamped_now(tmp_path):
    desk, tape = opened(tmp_path)
    desk.live.tell(row(Kind.GATE, 5, a=0))
    assert desk.live.now == tape.ts
    with pytest.raises(FeedError):
        desk.live.message(message(9, MIDDLE - 1, MIDDLE + 1), 1 << 62 | 1)
    with pytest.raises(ValueError, match="stamp"):
        desk.live.tell(row(Kind.GATE, -1, a=0))


def test_a_journal_that_cannot_be_written_is_told_and_the_requests_still_say_what_closes(tmp_path):
    desk, tape = opened(tmp_path, order(BUY, 1, MIDDLE - 5))
    limit = pytest.importorskip("resource")
    held = limit.getrlimit(limit.RLIMIT_FSIZE)
    limit.setrlimit(limit.RLIMIT_FSIZE, (desk.path.stat().st_size, held[1]))
    try:
        desk.live.message(message(9, MIDDLE - 1, MIDDLE + 1), tape.later())
    finally:
        limit.setrlimit(limit.RLIMIT_FSIZE, held)
    assert desk.live.failure.errno == errno.EFBIG
    assert [one.kind for one in desk.left] == [Kind.ORDER]
    desk.live.tell(tape.said(Kind.ACCEPTED, a=desk.left[0].client_id, b=4, c=MIDDLE - 5, d=1))  # it goes on
    with pytest.raises(OSError, match="large"):
        desk.live.finish()


def test_a_live_run_and_the_replay_of_its_recording_end_in_the_same_state(tmp_path):
    recording = Recording([RECORDING], Instruments([spec()]))
    steps = [nothing] * 40 + [lambda desk: desk.submit(0, BUY, 10)] + [nothing] * 60
    desk = Desk(tmp_path, *steps, mark="proxy")
    lines = [line for _, chunk, _, _ in recording.chunks() for line in chunk.splitlines()][:4_000]
    first = int(lines[0].split(b" ")[0]) * recording.unit_ns - recording.offset_ns
    desk.live.control(Kind.RUN, first)
    for at, line in enumerate(lines):
        stamp, _, payload = line.partition(b" ")
        desk.live.message(payload, int(stamp) * recording.unit_ns - recording.offset_ns)
        if desk.left and at % 500 == 0:
            number = desk.left[0].client_id
            desk.live.tell(row(Kind.FILL, 0, a=number, b=at, c=281_450, d=2))
    assert desk.left
    digest = desk.live.finish()
    desk.journal.close()
    engine = made(*steps, mark="proxy")
    verifier = Verifier(engine, Scanner(engine.instruments, 0), read_journal(str(desk.path)))
    text = b"".join(line + b"\n" for line in lines)
    verifier.feed_lines(text, 0, 0, recording.unit_ns, recording.offset_ns, 1)
    assert verifier.finish() is None
    assert engine.digest() == digest
    assert verifier.compared >= len(desk.left)
    assert np.count_nonzero(np.array(desk.kinds()) == Kind.RANGE) > 1
