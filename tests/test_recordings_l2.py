"""Every recorded L2 stream replays without a gap or a cross and shows the exchange's own touch.

Faults put into the recordings are seen at the first bad frame, and a newer snapshot mends them. The counts are
those that the recordings' manifest states; it was made with other tools.
"""

import gzip
from typing import NamedTuple

import numpy as np
import pytest
from builders import row, spec
from builders import snapshot as snapshot_rows
from plain.book import Book as PlainBook
from plain.book import Diff, Snapshot

from core_ext.book import Book
from core_ext.types import Flag, Instruments, Kind, Rows, Status
from core_ext.wire import Scanner

BIDS, ASKS = 0, 1


class Run(NamedTuple):
    """A recorded run: its day files in order, its instrument, and what the manifest says of it."""

    files: list
    spec: dict
    depth: int
    touches: int
    trades: int
    changes: int
    equal: int
    marks: int = 0


DUSTY = spec(tick_e8=10**6, lot_e8=10**2)  # spot quantities finer than the step do occur
PERP = spec("BTCUSD_PERP", lot_e8=10**8)
NEXO = spec("NEXOUSDT", tick_e8=10**4, lot_e8=10**6)
RUNS = {
    "um 2023-04": Run(["um/btcusdt_20230404.dat.gz"], spec(), 4322, 6765, 2197, 66_278, 310, 99),
    "um 2024-07": Run(["um/btcusdt_20240718.gz", "um/btcusdt_20240719.gz"], spec(), 9022, 52_260, 10_701, 400_668, 625),
    "um 2024-08": Run(["um/btcusdt_20240808.gz"], spec(), 6551, 66_089, 21_313, 443_262, 629),
    "cm 2024-08": Run(
        ["cm/btcusd_perp_20240808.gz", "cm/btcusd_perp_20240809.gz"], PERP, 44_795, 48_355, 5235, 659_405, 1885
    ),
    "spot 2024-08": Run(
        ["spot/btcusdt_20240808.gz", "spot/btcusdt_20240809.gz"], DUSTY, 6495, 73_174, 19_904, 298_094, 1072
    ),
    "nexo 34 h": Run(
        [f"spot_nexo_34h/nexousdt_202407{day}.dat.gz" for day in (23, 24, 25)],
        NEXO,
        99_030,
        48_992,
        18_817,
        200_963,
        17_468,
    ),
}


def messages(shared, run):
    """Yield (local stamp as recorded, payload)."""
    for name in run.files:
        with gzip.open(shared / "data/l2" / name) as recording:
            for line in recording:
                stamp, payload = line.rstrip().split(b" ", 1)
                yield int(stamp), payload


class Replay:
    """A run replayed: the book, the scanner, and what was counted on the way."""

    def __init__(self, shared, run):
        self.scanner, self.book = Scanner(Instruments([run.spec]), 0), Book()
        self.counts = dict.fromkeys((Kind.DEPTH, Kind.SNAPSHOT, Kind.TOUCH, Kind.TRADE, Kind.MARK), 0)
        self.changes = []  # levels of each depth frame
        self.published, self.shown = {}, {}  # the touch by update id: the exchange's, the book's
        for stamp, payload in messages(shared, run):
            assert self.scanner.feed(payload, stamp) == Status.OK
            self.step(self.scanner.rows.array())

    def step(self, rows):
        kind, head = Kind(rows["kind"][0]), rows[0]
        self.counts[kind] += 1
        if kind == Kind.TOUCH:
            self.published[int(head["a"])] = (int(head["b"]), int(head["d"]))
        if kind == Kind.DEPTH:
            self.changes.append(len(rows) - 1)
        if kind in (Kind.DEPTH, Kind.SNAPSHOT):
            self.book.apply(self.scanner.rows)
            if self.book.is_usable:
                self.shown[self.book.last_id] = self.book.best()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "um 2023-04" else pytest.mark.slow) for name in RUNS]
)
def test_a_recording_replays_without_a_gap_and_shows_the_exchange_s_touch(shared, name):
    run = RUNS[name]
    replay = Replay(shared, run)
    book, scanner, counts = replay.book, replay.scanner, replay.counts
    assert (counts[Kind.DEPTH], counts[Kind.TOUCH], counts[Kind.TRADE]) == (run.depth, run.touches, run.trades)
    assert (counts[Kind.SNAPSHOT], counts[Kind.MARK]) == (1, run.marks)
    assert (scanner.general, scanner.ignored, scanner.refused) == (0, 0, 0)
    assert book.is_usable and (book.gaps, book.crossings, book.stale_snapshots) == (0, 0, 0)
    assert book.applied == run.depth - book.stale
    assert sum(replay.changes[book.stale :]) == run.changes  # what is older than the snapshot comes first
    both = replay.published.keys() & replay.shown.keys()
    assert len(both) == run.equal
    assert {u: replay.shown[u] for u in both} == {u: replay.published[u] for u in both}


# ------------------------------------------------------------------ the recorded depth, frame by frame


def frames(shared, run, limit):
    """Return the first depth runs of a recording, the snapshot among them."""
    scanner, found = Scanner(Instruments([run.spec]), 0), []
    for stamp, payload in messages(shared, run):
        scanner.feed(payload, stamp)
        if scanner.rows.array()["kind"][0] in (Kind.DEPTH, Kind.SNAPSHOT):
            found.append(Rows(scanner.rows.array()))
            if len(found) == limit:
                break
    return found


def shown(book):
    return book.best(), book.levels(BIDS), book.levels(ASKS), book.last_id


def played(stream, book=None):
    """Apply frames to a book."""
    book = book or Book(12)
    for frame in stream:
        book.apply(frame)
    return book


def plain_message(rows):
    """Return what a frame says, for the plain book."""
    head, levels = rows[0], rows[1:]
    asks = (levels["flags"] & int(Flag.F_SELL)) > 0
    sides = [[(int(t), int(q)) for t, q in zip(s["a"], s["b"], strict=True)] for s in (levels[~asks], levels[asks])]
    if head["kind"] == Kind.SNAPSHOT:
        return Snapshot(int(head["a"]), dict(sides[0]), dict(sides[1]))
    previous = None if head["flags"] & int(Flag.F_SPOT) else int(head["c"])
    return Diff(int(head["a"]), int(head["b"]), previous, *map(tuple, sides))


@pytest.fixture(scope="module")
def recorded(shared):
    """The whole futures recording of 2023 and the beginning of the spot one."""
    return {"futures": frames(shared, RUNS["um 2023-04"], 5000), "spot": frames(shared, RUNS["spot 2024-08"], 600)}


@pytest.fixture(params=["futures", "spot"])
def stream(recorded, request):
    return recorded[request.param]


def test_a_recorded_book_is_its_plain_twin_level_by_level(stream):
    book, plain = Book(12), PlainBook()
    for i, frame in enumerate(stream):
        book.apply(frame)
        message = plain_message(frame.array())
        plain.on_snapshot(message) if isinstance(message, Snapshot) else plain.on_diff(message)
        assert (book.is_usable, book.last_id) == (plain.is_usable, plain.last_id)
        if i % 400 == 0 or i == len(stream) - 1:
            assert (book.best(), book.levels(BIDS), book.levels(ASKS)) == (
                plain.best(),
                plain.levels(BIDS),
                plain.levels(ASKS),
            )
    assert (book.gaps, book.stale, plain.gaps) == (0, plain.stale, 0)


def places(stream, count=12):
    """Return where faults are put: from the third applied frame on, all over the stream."""
    first = next(i for i in range(len(stream)) if played(stream[: i + 1]).is_usable)
    return np.linspace(first + 3, len(stream) - 4, count).astype(int).tolist()


def true_snapshot(stream, i):
    """Return the snapshot that the exchange would have given right after frame i."""
    _, bids, asks, last_id = shown(played(stream[: i + 1]))
    return Rows(snapshot_rows(0, last_id, bids, asks))


def test_a_dropped_frame_is_a_gap_at_the_next_one(stream):
    for i in places(stream):
        book = played(stream[:i])
        assert book.is_usable and book.gaps == 0
        played(stream[i + 1 : i + 2], book)
        assert not book.is_usable and book.gaps == 1


def test_a_repeated_frame_is_dropped_and_the_book_goes_on(stream):
    for i in places(stream):
        book = played(stream[: i + 1])
        before, stale = shown(book), book.stale
        played([stream[i], stream[i - 1]], book)
        assert book.is_usable and shown(book) == before and book.stale == stale + 2
        played(stream[i + 1 :], book)
        assert book.is_usable and book.gaps == 0


def test_two_swapped_frames_are_a_gap_at_the_early_one(stream):
    for i in places(stream):
        book = played([*stream[:i], stream[i + 1]])
        assert not book.is_usable and book.gaps == 1
        assert not played([stream[i], *stream[i + 2 : i + 4]], book).is_usable


def test_an_old_snapshot_is_dropped_whether_the_book_is_usable_or_lost(stream):
    old = next(frame for frame in stream if frame.array()["kind"][0] == Kind.SNAPSHOT)
    for i in places(stream):
        book = played(stream[: i + 1])
        before = shown(book)
        played([old], book)
        assert book.is_usable and shown(book) == before and book.stale_snapshots == 1
        played([stream[i + 2], old], book)
        assert not book.is_usable and book.stale_snapshots == 2


def test_a_bid_at_the_best_ask_makes_the_book_unusable_at_that_frame(stream):
    for i in places(stream):
        book = played(stream[:i])
        ask = played(stream[: i + 1]).best()[1]
        forged = np.concatenate([stream[i].array(), row(Kind.LEVEL, a=ask, b=7)])
        forged["flags"][-2] ^= int(Flag.F_END)
        book.apply(Rows(forged))
        assert not book.is_usable and (book.crossings, book.gaps) == (1, 0)


def test_a_lost_book_recovers_with_a_true_snapshot_and_is_right_again(stream):
    whole = shown(played(stream))
    for i, late in zip(places(stream, 6), [0, 1] * 3, strict=True):
        book = played([*stream[:i], *stream[i + 1 : i + 3]])  # two frames pass while the snapshot is fetched
        assert not book.is_usable
        played([true_snapshot(stream, i + 1 + late), *stream[i + 3 :]], book)
        assert book.is_usable and shown(book) == whole and book.gaps == 1


def test_a_cut_recording_without_its_snapshot_is_never_usable(stream):
    diffs = [frame for frame in stream if frame.array()["kind"][0] == Kind.DEPTH]
    assert not any(played(diffs[:n]).is_usable for n in range(0, len(diffs), 100))


def test_every_single_dropped_frame_is_noticed(stream):
    diffs = [frame for frame in stream if frame.array()["kind"][0] == Kind.DEPTH]
    for one, two, three in zip(diffs, diffs[1:], diffs[2:], strict=False):
        start = Rows(snapshot_rows(0, int(one.array()["a"][0]), [], []))  # empty, and within the first frame
        assert played([start, one, two, three]).is_usable
        book = played([start, one, three])
        assert not book.is_usable and book.gaps == 1
