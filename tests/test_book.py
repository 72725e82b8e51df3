"""The L2 book against its plain twin and against the truth of the exchange that published it.

A usable book is right: whatever was lost, repeated, reordered, forged or old, it never shows a wrong level.
"""

import random

import numpy as np
import pytest
from builders import depth
from builders import snapshot as snapshot_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from plain.book import Book as PlainBook
from plain.book import Diff, Snapshot

from core_ext.book import Book
from core_ext.types import EVENT_DTYPE, Flag, Kind, Rows

BIDS, ASKS = 0, 1
SPOT = pytest.mark.parametrize("spot", [False, True], ids=["futures", "spot"])


def rows(message):
    """Return a diff or a snapshot as the rows that the wire makes of it."""
    if isinstance(message, Snapshot):
        return Rows(snapshot_rows(message.last_id, message.last_id, message.bids.items(), message.asks.items()))
    previous = -1 if message.previous is None else message.previous
    run = depth(message.last, message.first, message.last, previous, message.bids, message.asks)
    if message.previous is None:
        run["flags"][0] |= int(Flag.F_SPOT)
    return Rows(run)


def give(book, *messages):
    """Apply messages to a compiled book."""
    for message in messages:
        book.apply(rows(message))
    return book


def give_plain(book, message):
    """Apply a message to a plain book."""
    book.on_snapshot(message) if isinstance(message, Snapshot) else book.on_diff(message)


# ------------------------------------------------------------------ the rules, one by one: L = 100


def snapshot(last_id=100):
    return Snapshot(last_id, {99: 5, 98: 4}, {101: 5, 102: 4})


def diff(first, last, previous, bids=(), asks=(), spot=False):
    return Diff(first, last, None if spot else previous, tuple(bids), tuple(asks))


def synced(spot):
    """Return a usable book at id 105."""
    book = give(Book(12), snapshot(), diff(101, 105, 99, spot=spot))
    assert book.is_usable and book.last_id == 105
    return book


def shown(book):
    return book.best(), book.levels(BIDS), book.levels(ASKS), book.last_id


@SPOT
def test_a_book_is_not_usable_before_a_diff_brackets_its_snapshot(spot):
    book = Book(12)
    assert not book.is_usable and book.best() == (None, None)
    assert not give(book, snapshot()).is_usable
    assert give(book, diff(101, 105, 99, spot=spot)).is_usable
    assert shown(book) == ((99, 101), [(99, 5), (98, 4)], [(101, 5), (102, 4)], 105)


@pytest.mark.parametrize(
    ("first", "last", "previous", "verdict"),
    [
        (95, 99, 94, "stale"),  # u < L
        (95, 100, 94, "usable"),  # u = L still brackets
        (100, 103, 99, "usable"),
        (101, 103, 100, "usable"),  # begins right after L: U <= L fails, but nothing lies between pu and U
        (102, 103, 100, "usable"),  # ids of futures are not contiguous
        (95, 103, 94, "usable"),
        (102, 103, 101, "gap"),  # something happened after L and before U
        (200, 203, 199, "gap"),
    ],
)
def test_the_first_diff_of_futures_has_pu_at_most_l_and_u_at_least_l(first, last, previous, verdict):
    book = give(Book(12), snapshot(), diff(first, last, previous))
    assert (book.is_usable, book.stale, book.gaps) == (verdict == "usable", verdict == "stale", verdict == "gap")


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (95, 99, "stale"),
        (95, 100, "stale"),  # u <= L is old on spot
        (95, 101, "usable"),
        (101, 101, "usable"),  # U <= L + 1 <= u
        (102, 103, "gap"),
    ],
)
def test_the_first_diff_of_spot_holds_l_plus_one(first, last, verdict):
    book = give(Book(12), snapshot(), diff(first, last, 0, spot=True))
    assert (book.is_usable, book.stale, book.gaps) == (verdict == "usable", verdict == "stale", verdict == "gap")


@pytest.mark.parametrize(
    ("first", "last", "previous"),
    [
        (108, 110, 107),  # one frame lost
        (108, 110, 106),
        (104, 110, 103),  # overlaps what is known: another stream's chain
    ],
)
def test_a_broken_chain_of_futures_is_a_gap_at_the_first_bad_frame(first, last, previous):
    book = give(synced(False), diff(first, last, previous))
    assert not book.is_usable and book.gaps == 1


def test_ids_of_futures_may_skip_when_pu_follows():
    assert give(synced(False), diff(150, 160, 105), diff(161, 170, 160)).is_usable


@pytest.mark.parametrize("first", [104, 105, 107, 120])
def test_a_first_id_of_spot_that_is_not_the_last_plus_one_is_a_gap(first):
    book = give(synced(True), diff(first, 130, 0, spot=True))
    assert not book.is_usable and book.gaps == 1


def test_spot_continues_at_the_previous_u_plus_one():
    assert give(synced(True), diff(106, 106, 0, spot=True), diff(107, 110, 0, spot=True)).last_id == 110


@SPOT
def test_a_repeated_frame_is_dropped_and_changes_nothing(spot):
    book = synced(spot)
    frame = diff(106, 108, 105, [(99, 7)], spot=spot)
    before = shown(give(book, frame))
    assert shown(give(book, frame)) == before
    assert book.is_usable and (book.stale, book.gaps) == (1, 0)
    assert give(book, diff(109, 110, 108, spot=spot)).is_usable


@SPOT
def test_a_swapped_pair_is_a_gap_at_the_early_frame_and_the_late_one_does_not_mend_it(spot):
    early, late = diff(109, 110, 108, spot=spot), diff(106, 108, 105, spot=spot)
    book = give(synced(spot), early)
    assert not book.is_usable and book.gaps == 1
    assert not give(book, late).is_usable


@SPOT
@pytest.mark.parametrize("touch", [101, 150])
def test_a_crossed_touch_makes_the_book_unusable_at_that_frame(spot, touch):
    book = give(synced(spot), diff(106, 108, 105, [(touch, 1)], spot=spot))
    assert not book.is_usable and (book.crossings, book.gaps) == (1, 0)
    assert not give(book, diff(109, 110, 108, [(touch, 0)], spot=spot)).is_usable


@SPOT
def test_a_frame_is_judged_as_a_whole(spot):
    book = give(synced(spot), diff(106, 108, 105, [(101, 3)], [(101, 0), (103, 2)], spot=spot))
    assert book.is_usable and book.best() == (101, 102)


@SPOT
@pytest.mark.parametrize("last_id", [1, 100, 105, 500])
def test_a_snapshot_that_nobody_asked_for_is_dropped(spot, last_id):
    book = synced(spot)
    before = shown(book)
    give(book, Snapshot(last_id, {50: 1}, {60: 1}))
    assert book.is_usable and book.stale_snapshots == 1 and shown(book) == before


@SPOT
@pytest.mark.parametrize(
    "fault",
    [
        [(109, 110, 108, ())],
        [(109, 110, 108, ()), (106, 108, 105, ())],
        [(106, 110, 105, ((150, 1),))],
    ],
    ids=["gap", "swap", "crossed"],
)
def test_a_newer_snapshot_recovers_a_lost_book_and_an_old_one_does_not(spot, fault):
    book = give(synced(spot), *(diff(*ids, bids, spot=spot) for *ids, bids in fault))
    assert not book.is_usable
    assert not give(book, snapshot(100)).is_usable
    assert book.stale_snapshots == 1
    give(book, diff(111, 112, 110, spot=spot), snapshot(111), diff(113, 114, 112, [(97, 1)], spot=spot))
    assert book.is_usable
    assert shown(book) == ((99, 101), [(99, 5), (98, 4), (97, 1)], [(101, 5), (102, 4)], 114)


@SPOT
def test_diffs_that_arrive_before_the_snapshot_wait_for_it(spot):
    book = give(
        Book(12),
        diff(90, 95, 89, [(99, 9)], spot=spot),
        diff(96, 103, 95, [(99, 8)], spot=spot),
        diff(104, 105, 103, [(98, 0)], spot=spot),
    )
    assert not book.is_usable and book.gaps == 0
    give(book, snapshot())
    assert book.is_usable and book.stale == 1
    assert shown(book) == ((99, 101), [(99, 8)], [(101, 5), (102, 4)], 105)


@SPOT
def test_a_snapshot_older_than_the_first_waiting_diff_does_not_help(spot):
    book = give(Book(12), diff(110, 120, 109, spot=spot), diff(121, 130, 120, spot=spot), snapshot())
    assert not book.is_usable and book.stale_snapshots == 1
    assert give(book, snapshot(115)).is_usable
    assert book.last_id == 130


@SPOT
def test_a_hole_among_the_waiting_diffs_asks_for_another_snapshot(spot):
    book = give(Book(12), diff(96, 103, 95, spot=spot), diff(110, 120, 109, spot=spot), snapshot())
    assert not book.is_usable and book.gaps == 1
    assert give(book, snapshot(109)).is_usable


def test_quantities_are_absolute_zero_removes_and_removing_what_is_absent_is_normal():
    book = give(synced(False), diff(106, 107, 105, [(99, 2), (97, 0), (98, 0), (96, 8)], [(101, 0), (10**6, 0)]))
    assert book.is_usable
    assert (book.levels(BIDS), book.levels(ASKS)) == ([(99, 2), (96, 8)], [(102, 4)])


def test_the_last_change_of_a_price_within_a_frame_holds():
    book = give(synced(False), diff(106, 107, 105, [(99, 2), (99, 0), (99, 3), (98, 1), (98, 0)]))
    assert book.levels(BIDS) == [(99, 3)]


def test_an_empty_side_has_no_best_and_does_not_cross():
    book = give(synced(False), diff(106, 107, 105, [(99, 0), (98, 0)]))
    assert book.is_usable and book.best() == (None, 101)
    give(book, diff(108, 109, 107, [(100, 1)], [(101, 0), (102, 0)]))
    assert book.is_usable and book.best() == (100, None)


def test_levels_are_cut_at_the_limit_from_the_touch_outwards():
    book = give(synced(False), diff(106, 107, 105, [(t, t) for t in range(10, 90)], [(10**7, 1)]))
    assert book.levels(BIDS, 3) == [(99, 5), (98, 4), (89, 89)]
    assert book.levels(ASKS, 9) == [(101, 5), (102, 4), (10**7, 1)]


def test_rows_may_arrive_together_or_one_at_a_time():
    messages = [snapshot(), diff(101, 105, 99, [(97, 3)]), diff(106, 107, 105, [(99, 0)], [(101, 2)])]
    run = np.concatenate([rows(m).array() for m in messages])
    whole, single = Book(12), Book(12)
    whole.apply(Rows(run))
    for i in range(len(run)):
        single.apply(Rows(run[i : i + 1]))
    assert shown(whole) == shown(single) == shown(give(Book(12), *messages))


def test_a_level_behind_the_end_of_its_run_is_no_part_of_it():
    run = rows(diff(106, 107, 105, [(97, 3)], [(103, 4)])).array()
    stray = run[-1:].copy()
    stray["a"] = 104
    book = synced(False)
    book.apply(Rows(np.concatenate([run, stray, stray])))
    assert (book.is_usable, book.applied, book.levels(ASKS)[-1]) == (True, 2, (103, 4))


def test_a_touch_is_found_again_below_any_number_of_levels_that_came_and_went():
    book, last = synced(False), 105
    for ticks in (range(-3000, 99), range(-3000, 90), range(-2000, 99)):
        for lots in (1, 0):
            give(book, diff(last + 1, last + 2, last, [(t, lots) for t in ticks]))
            last += 2
    assert book.levels(BIDS) == [(99, 5)]
    give(book, diff(last + 1, last + 2, last, [(-2900, 6), (99, 0)]))
    assert (book.best(), book.levels(BIDS)) == ((-2900, 101), [(-2900, 6)])
    give(book, diff(last + 3, last + 4, last + 2, [(50, 2), (-2900, 0)]))
    assert (book.best(), book.levels(BIDS)) == ((50, 101), [(50, 2)])


@pytest.mark.parametrize("bits", [-1, 0, 11, 19, 64])
def test_a_window_that_is_too_small_or_too_large_is_refused(bits):
    with pytest.raises(ValueError, match="window_bits is 12 to 18"):
        Book(bits)


def wide_diff(first, last, previous, ticks):
    """Return a diff with one bid level at each of an array of ticks."""
    run = np.zeros(len(ticks) + 1, EVENT_DTYPE)
    run["kind"], run["a"][1:], run["b"][1:] = int(Kind.LEVEL), ticks, 1
    run[0] = (int(Kind.DEPTH), 0, 0, 0, 0, first, last, previous, len(ticks), 0, 0)
    run["flags"][-1] |= int(Flag.F_END)
    return Rows(run)


def test_too_many_waiting_diffs_are_forgotten_and_only_a_newer_snapshot_helps():
    book, ticks = Book(12), np.arange(1, 1001)
    for i in range(200):
        book.apply(wide_diff(10 * i + 1, 10 * i + 10, 10 * i, ticks - 1000))
    assert not give(book, snapshot(5)).is_usable
    assert give(book, snapshot(1995)).is_usable
    assert book.last_id == 2000


@pytest.mark.slow
def test_a_book_with_no_room_for_its_far_levels_gives_up_and_recovers():
    book, last = synced(False), 105
    for start in range(-(1 << 21), -(1 << 13), 1 << 16):
        book.apply(wide_diff(last + 1, last + 2, last, np.arange(start, start + (1 << 16))))
        last += 2
        if not book.is_usable:
            break
    assert not book.is_usable and book.crossings == 0
    give(book, snapshot(last), diff(last + 1, last + 2, last))
    assert book.is_usable and book.levels(BIDS) == [(99, 5), (98, 4)]


# ------------------------------------------------------------------ an exchange, its truth, and a bad line


class World:
    """An exchange: its true book by update id, and the messages that it publishes."""

    def __init__(self, spot):
        self.spot, self.last, self.mid = spot, 1000, 10**7
        self.sides = ({}, {})
        self.truth, self.diffs, self.snapshots = {}, [], []
        self.remember()

    def remember(self):
        self.truth[self.last] = bids, asks = tuple(dict(side) for side in self.sides)
        self.snapshots.append(Snapshot(self.last, bids, asks))

    def changed(self, drift, changes):
        """Move the mid, apply (side, offset, lots), drop what the mid has passed; return both sides' changes."""
        self.mid = max(self.mid + drift, 5 * 10**6)
        found = ({t: 0 for t in self.sides[BIDS] if t >= self.mid}, {t: 0 for t in self.sides[ASKS] if t < self.mid})
        for side, offset, lots in changes:
            found[side][self.mid + offset if side else self.mid - 1 - offset] = lots
        for side, wanted in zip(self.sides, found, strict=True):
            side.update(wanted)
            for ticks in [t for t in wanted if side[t] == 0]:
                del side[ticks]
        return found

    def publish(self, skip, span, bids, asks):
        first = self.last + 1 + (0 if self.spot else skip)
        previous, self.last = self.last, first + span
        self.diffs.append(Diff(first, self.last, None if self.spot else previous, (*bids.items(),), (*asks.items(),)))
        return self.diffs[-1]

    def diff(self, drift, changes, skip=0, span=3):
        message = self.publish(skip, span, *self.changed(drift, changes))
        self.remember()
        return [message]

    def lost(self, *step):
        self.diff(*step)
        return []

    def swapped(self, one, two):
        return [*self.diff(*one), *self.diff(*two)][::-1]

    def again(self, back):
        return self.diffs[-1 - back % len(self.diffs) :][:1] if self.diffs else []

    def snapshot(self, back):
        return [self.snapshots[-1 - back % len(self.snapshots)]]

    def cleared(self, side):
        bids, asks = (dict.fromkeys(levels, 0) if s == side else {} for s, levels in enumerate(self.sides))
        self.sides[side].clear()
        message = self.publish(0, 1, bids, asks)
        self.remember()
        return [message]

    def bracketed(self, before, after, snapshot_first):
        """A snapshot taken in the middle of a diff's window."""
        previous = self.last
        one = self.changed(*before[:2])
        self.last += 2
        inside = Snapshot(self.last, *(dict(side) for side in self.sides))
        two = self.changed(*after[:2])
        self.last = previous
        message = self.publish(0, 4, *(a | b for a, b in zip(one, two, strict=True)))
        self.remember()
        return [inside, message] if snapshot_first else [message, inside]

    def crossed(self):
        """A frame whose ids fit and whose levels cannot be: the exchange says something else at that id."""
        true = self.publish(0, 1, {}, {})
        self.remember()
        self.diffs[-1] = Diff(true.first, true.last, true.previous, ((self.mid + 9, 1),), ((self.mid - 9, 1),))
        return self.diffs[-1:]


OFFSETS = st.one_of(st.integers(0, 20), st.integers(0, 6000), st.integers(0, 4 * 10**6))
CHANGES = st.lists(st.tuples(st.sampled_from([BIDS, ASKS]), OFFSETS, st.sampled_from([0, 1, 5, 10**9])), max_size=8)
DRIFTS = st.one_of(st.integers(-3, 3), st.integers(-5000, 5000), st.integers(-(10**6), 10**6))
STEP = st.tuples(DRIFTS, CHANGES, st.integers(0, 3), st.integers(0, 3))
ACTIONS = st.one_of(
    st.tuples(st.just(World.diff), STEP),
    st.tuples(st.just(World.diff), STEP),
    st.tuples(st.just(World.snapshot), st.tuples(st.just(0))),
    st.tuples(st.just(World.snapshot), st.tuples(st.integers(0, 6))),
    st.tuples(st.just(World.bracketed), st.tuples(STEP, STEP, st.booleans())),
    st.tuples(st.just(World.lost), STEP),
    st.tuples(st.just(World.again), st.tuples(st.integers(0, 4))),
    st.tuples(st.just(World.swapped), st.tuples(STEP, STEP)),
    st.tuples(st.just(World.cleared), st.tuples(st.sampled_from([BIDS, ASKS]))),
    st.tuples(st.just(World.crossed), st.just(())),
)


def check(book, plain, world):
    """The book is its twin, and what it shows is what the exchange had at that id."""
    assert (book.is_usable, book.last_id) == (plain.is_usable, plain.last_id)
    assert (book.gaps, book.crossings, book.stale) == (plain.gaps, plain.crossings, plain.stale)
    if book.is_usable:
        assert book.best() == plain.best()
        assert (book.levels(BIDS), book.levels(ASKS)) == (plain.levels(BIDS), plain.levels(ASKS))
        assert (dict(book.levels(BIDS)), dict(book.levels(ASKS))) == world.truth[book.last_id]


def run(spot, actions):
    """Play the actions to both books and check after each message; return the compiled book."""
    book, plain, world = Book(12), PlainBook(), World(spot)
    for action, arguments in actions:
        for message in action(world, *arguments):
            give(book, message)
            give_plain(plain, message)
            check(book, plain, world)
    return book


SYNC = [(World.diff, (0, [(0, 0, 5), (1, 0, 5)])), (World.snapshot, (0,))]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.booleans(), st.lists(ACTIONS, min_size=8, max_size=25))
def test_a_book_is_its_plain_twin_and_true_whatever_the_line_does(spot, actions):
    run(spot, SYNC + actions)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.booleans(), st.lists(ACTIONS, min_size=10, max_size=40))
def test_a_book_is_its_plain_twin_over_long_sessions(spot, actions):
    run(spot, actions)


def walk(seed, bits, steps):
    """A market that wanders and jumps far beyond the window, with many levels outside it and holes inside."""
    source, world, window = random.Random(seed), World(spot=False), 1 << bits
    book, plain = Book(bits), PlainBook()
    for message in (*world.snapshot(0), *world.diff(0, [(0, 0, 1), (1, 0, 1)])):
        give(book, message)
        give_plain(plain, message)
    for step in range(steps):
        drift = source.randint(-1, 1) * source.randint(0, source.choice((window // 100, window, 16 * window)))
        reach = source.choice((10, window, 16 * window))
        changes = [(source.randint(0, 1), source.randint(0, reach), source.choice((0, 1, 7))) for _ in range(40)]
        world.truth.clear()
        world.snapshots.clear()
        (message,) = world.diff(drift if step % 4 == 0 else 0, changes)
        give(book, message)
        give_plain(plain, message)
        assert book.best() == plain.best()
        if step % 25 == 0 or step == steps - 1:
            check(book, plain, world)
    assert book.is_usable
    return book


@pytest.mark.parametrize("bits", [12, 14, 18])
def test_a_book_follows_a_market_that_leaves_its_window_again_and_again(bits):
    book = walk(seed=1, bits=bits, steps=200)
    assert len(book.levels(BIDS)) + len(book.levels(ASKS)) > 500


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(12, 19))
def test_a_book_follows_a_market_for_long(bits):
    walk(seed=bits, bits=bits, steps=1500)
