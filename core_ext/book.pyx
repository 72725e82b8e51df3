"""The L2 book: ladders that follow the touch, and the chain of update ids that makes them trustworthy."""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from core_ext.fixed cimport clz
from core_ext.types cimport Flag, Kind, Rows, Side, event_t

cdef int64_t FAR_LIMIT = 1 << 20        # levels outside the window, a side; beyond it the book is given up
cdef Py_ssize_t KEPT_LIMIT = 1 << 17    # rows kept while a snapshot is awaited


# ---------------------------------------------------------------------------------- ladder


cdef bint ladder_open(ladder_t* s, int64_t size) noexcept nogil:
    memset(s, 0, sizeof(ladder_t))
    s.size = size
    s.best = NO_KEY
    s.far_room = 1024
    s.lots = <int64_t*> calloc(size, sizeof(int64_t))
    s.bit0 = <uint64_t*> calloc(size // 64, sizeof(uint64_t))
    s.bit1 = <uint64_t*> calloc(size // 4096 + 1, sizeof(uint64_t))
    s.bit2 = <uint64_t*> calloc(size // 262144 + 1, sizeof(uint64_t))
    s.far = <far_t*> calloc(s.far_room, sizeof(far_t))
    return s.lots != NULL and s.bit0 != NULL and s.bit1 != NULL and s.bit2 != NULL and s.far != NULL


cdef void ladder_close(ladder_t* s) noexcept nogil:
    free(s.lots)
    free(s.bit0)
    free(s.bit1)
    free(s.bit2)
    free(s.far)
    memset(s, 0, sizeof(ladder_t))


cdef void ladder_clear(ladder_t* s) noexcept nogil:
    memset(s.lots, 0, s.size * sizeof(int64_t))
    memset(s.bit0, 0, s.size // 64 * sizeof(uint64_t))
    memset(s.bit1, 0, (s.size // 4096 + 1) * sizeof(uint64_t))
    memset(s.bit2, 0, (s.size // 262144 + 1) * sizeof(uint64_t))
    memset(s.far, 0, s.far_room * sizeof(far_t))
    s.best = NO_KEY
    s.count = 0
    s.far_count = 0


cdef inline void occupy(ladder_t* s, int64_t slot) noexcept nogil:
    cdef uint64_t word = s.bit0[slot >> 6]
    s.bit0[slot >> 6] = word | <uint64_t> 1 << (slot & 63)
    if word == 0:
        occupy_word(s, slot)


cdef void occupy_word(ladder_t* s, int64_t slot) noexcept nogil:
    s.bit1[slot >> 12] |= <uint64_t> 1 << (slot >> 6 & 63)
    s.bit2[slot >> 18] |= <uint64_t> 1 << (slot >> 12 & 63)


cdef void vacate(ladder_t* s, int64_t slot) noexcept nogil:
    s.bit0[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))
    if s.bit0[slot >> 6] == 0:
        s.bit1[slot >> 12] &= ~(<uint64_t> 1 << (slot >> 6 & 63))
        if s.bit1[slot >> 12] == 0:
            s.bit2[slot >> 18] &= ~(<uint64_t> 1 << (slot >> 12 & 63))


cdef inline uint64_t up_to(uint64_t word, int64_t bit) noexcept nogil:
    # The bits of a word at positions 0 to bit; none for -1.
    return word & (~<uint64_t> 0 >> (63 - bit)) if bit >= 0 else 0


cdef int64_t slot_at_or_below(const ladder_t* s, int64_t slot) noexcept nogil:
    # Greatest slot with a bit not above `slot`, -1 for none; no ring here.
    cdef uint64_t m
    cdef int64_t w
    if slot < 0:
        return -1
    w = slot >> 6
    m = up_to(s.bit0[w], slot & 63)
    if m:
        return (w << 6) + 63 - clz(m)
    m = up_to(s.bit1[w >> 6], (w & 63) - 1)
    if not m:
        w >>= 6
        m = up_to(s.bit2[w >> 6], (w & 63) - 1)
        if not m:
            return -1
        w = (w >> 6 << 6) + 63 - clz(m)
        m = s.bit1[w]
        w = (w << 6) + 63 - clz(m)
    else:
        w = (w >> 6 << 6) + 63 - clz(m)
    return (w << 6) + 63 - clz(s.bit0[w])


cdef int64_t level_at_or_below(ladder_t* s, int64_t slot) noexcept nogil:
    # The same for levels: a bit whose level is gone is cleared on the way, so that it is met once.
    while True:
        slot = slot_at_or_below(s, slot)
        if slot < 0 or s.lots[slot]:
            return slot
        vacate(s, slot)


cdef int64_t window_below(ladder_t* s, int64_t key) noexcept nogil:
    # Greatest occupied key of the window that is not above `key`, which is in the window.
    cdef int64_t mask = s.size - 1
    cdef int64_t first = s.base & mask
    cdef int64_t slot = key & mask
    cdef int64_t found = level_at_or_below(s, slot)
    if slot < first:
        if found >= 0:
            return s.base + s.size - first + found
        found = level_at_or_below(s, mask)
    return s.base + found - first if found >= first else NO_KEY


cdef inline uint64_t far_hash(int64_t key) noexcept nogil:
    cdef uint64_t h = <uint64_t> key * <uint64_t> 0x9E3779B97F4A7C15
    return h ^ (h >> 29)


cdef int64_t far_find(const ladder_t* s, int64_t key) noexcept nogil:
    # The key's place, or the empty place where it would go.
    cdef int64_t mask = s.far_room - 1
    cdef int64_t place = far_hash(key) & mask
    while s.far[place].lots != 0 and s.far[place].key != key:
        place = (place + 1) & mask
    return place


cdef bint far_grow(ladder_t* s) noexcept nogil:
    cdef far_t* old = s.far
    cdef int64_t room = s.far_room, i, place
    cdef far_t* new
    if room >= FAR_LIMIT * 2:
        return False
    new = <far_t*> calloc(room * 2, sizeof(far_t))
    if new == NULL:
        return False
    s.far = new
    s.far_room = room * 2
    for i in range(room):
        if old[i].lots:
            place = far_find(s, old[i].key)
            s.far[place] = old[i]
    free(old)
    return True


cdef void far_remove(ladder_t* s, int64_t place) noexcept nogil:
    # Backward shift: no tombstones, so that look-ups stay short for ever.
    cdef int64_t mask = s.far_room - 1
    cdef int64_t hole = place, home
    s.far_count -= 1
    while True:
        place = (place + 1) & mask
        if s.far[place].lots == 0:
            break
        home = far_hash(s.far[place].key) & mask
        if (place - home) & mask >= (place - hole) & mask:
            s.far[hole] = s.far[place]
            hole = place
    s.far[hole].lots = 0


cdef bint far_set(ladder_t* s, int64_t key, int64_t lots) noexcept nogil:
    cdef int64_t place = far_find(s, key)
    if s.far[place].lots:
        if lots:
            s.far[place].lots = lots
        else:
            far_remove(s, place)
        return True
    if lots == 0:
        return True
    if s.far_count * 2 >= s.far_room:
        if not far_grow(s):
            return False
        place = far_find(s, key)
    s.far[place].key = key
    s.far[place].lots = lots
    s.far_count += 1
    return True


cdef int64_t far_best(const ladder_t* s) noexcept nogil:
    cdef int64_t i, best = NO_KEY
    for i in range(s.far_room):
        if s.far[i].lots and s.far[i].key > best:
            best = s.far[i].key
    return best


cdef bint move_window(ladder_t* s, int64_t touch) noexcept nogil:
    # Put `touch` at three quarters of the window: room to improve above it, most levels below it.
    cdef int64_t mask = s.size - 1
    cdef int64_t base = touch - 3 * (s.size // 4)
    cdef int64_t key, slot, i
    key = s.base + s.size - 1
    while s.count:                       # levels that leave go to the hash
        key = window_below(s, key)
        if key == NO_KEY:
            break
        if not base <= key < base + s.size:
            slot = key & mask
            if not far_set(s, key, s.lots[slot]):
                return False
            s.lots[slot] = 0
            vacate(s, slot)
            s.count -= 1
        if key == s.base:
            break
        key -= 1
    s.base = base
    i = 0
    while i < s.far_room:                # levels that enter come back
        if s.far[i].lots and base <= s.far[i].key < base + s.size:
            slot = s.far[i].key & mask
            s.lots[slot] = s.far[i].lots
            occupy(s, slot)
            s.count += 1
            far_remove(s, i)             # may shift another level into place i: look again
        else:
            i += 1
    # A shift can wrap a level past the scan to places already seen: those are caught here.
    for i in range(s.far_room):
        if s.far[i].lots and base <= s.far[i].key < base + s.size:
            return move_window(s, touch)
    return True


cdef bint lost_best(ladder_t* s) noexcept nogil:
    # The best level is gone: find the next, and follow it when it has drifted.
    cdef int64_t best = window_below(s, s.best) if s.count else NO_KEY
    if best == NO_KEY and s.far_count:
        best = far_best(s)
        if not move_window(s, best):
            return False
    elif best != NO_KEY and best - s.base < s.size // 2:
        if not move_window(s, best):
            return False
    s.best = best
    return True


cdef bint ladder_set(ladder_t* s, int64_t key, int64_t lots) noexcept nogil:
    # Quantities are absolute; 0 removes, and removing what is not there is normal. False: no room.
    cdef int64_t slot
    if <uint64_t> (key - s.base) >= <uint64_t> s.size:
        if lots == 0 or (s.best != NO_KEY and key < s.best):
            return far_set(s, key, lots)
        if not move_window(s, key):
            return False
    slot = key & (s.size - 1)
    s.count += (lots != 0) - (s.lots[slot] != 0)
    s.lots[slot] = lots
    if lots:
        occupy(s, slot)
        if key > s.best:
            s.best = key
    elif key == s.best:
        return lost_best(s)
    return True


cdef Py_ssize_t ladder_run(ladder_t* s, const event_t* rows, Py_ssize_t n, bint* room) noexcept nogil:
    # Set the levels of one side that follow each other; return how many there were, at least one. The side's fields
    # are kept in registers, and nothing branches on whether a level was or will be there: that cannot be predicted.
    cdef int64_t* lots = s.lots
    cdef uint64_t* bit0 = s.bit0
    cdef int64_t mask = s.size - 1
    cdef int64_t base = s.base, best = s.best, count = s.count
    cdef uint8_t flags = rows.flags
    cdef int64_t sign = -1 if flags & Flag.F_SELL else 0
    cdef int64_t key, new, slot, there
    cdef uint64_t word
    cdef Py_ssize_t k = 0
    room[0] = True
    if flags & Flag.F_END:
        n = 1
    while True:
        key = (rows[k].a ^ sign) - sign
        new = rows[k].b
        if <uint64_t> (key - base) <= <uint64_t> mask and not (key == best and new == 0):
            slot = key & mask
            word = bit0[slot >> 6]
            there = new != 0
            count += there - (lots[slot] != 0)
            lots[slot] = new
            bit0[slot >> 6] = word | <uint64_t> there << (slot & 63)
            if word == 0 and there:
                occupy_word(s, slot)
            best = max(best, (key & -there) | (NO_KEY & (there - 1)))
        else:
            s.best = best
            s.count = count
            if not ladder_set(s, key, new):
                room[0] = False
                return k + 1
            base = s.base
            best = s.best
            count = s.count
        k += 1
        if k == n or rows[k].kind != Kind.LEVEL or rows[k].flags != flags:
            break
    s.best = best
    s.count = count
    return k


cdef int64_t ladder_get(const ladder_t* s, int64_t key) noexcept nogil:
    if <uint64_t> (key - s.base) < <uint64_t> s.size:
        return s.lots[key & (s.size - 1)]
    return s.far[far_find(s, key)].lots


cdef int64_t ladder_below(ladder_t* s, int64_t key) noexcept nogil:
    # The next level strictly below `key`, first in the window, then outside it.
    cdef int64_t found = NO_KEY, i
    if key > s.base + s.size:
        key = s.base + s.size
    if key > s.base and s.count:
        found = window_below(s, key - 1)
    if found != NO_KEY or s.far_count == 0:
        return found
    for i in range(s.far_room):
        if s.far[i].lots and s.far[i].key < key and s.far[i].key > found:
            found = s.far[i].key
    return found


# ---------------------------------------------------------------------------------- book


@cython.final
cdef class Book:
    """The L2 book of one symbol.

    Parameters
    ----------
    window_bits : int, optional
        The window holds ``2**window_bits`` ticks a side (12 to 18).
    """

    def __cinit__(self, int window_bits=16):
        memset(self.sides, 0, sizeof(self.sides))

    def __init__(self, int window_bits=16):
        if not 12 <= window_bits <= 18:
            raise ValueError(f"window_bits is 12 to 18, not {window_bits}")
        if not ladder_open(&self.sides[0], 1 << window_bits) or not ladder_open(&self.sides[1], 1 << window_bits):
            raise MemoryError("order book")
        self.kept = Rows()
        self.last_id = -1

    def __dealloc__(self):
        ladder_close(&self.sides[0])
        ladder_close(&self.sides[1])

    cdef bint follows(self, const event_t* row) noexcept nogil:
        # Whether nothing lies between the book and this diff.
        if self.state == BookState.SYNCED:
            return row.a == self.last_id + 1 if row.flags & Flag.F_SPOT else row.c == self.last_id
        # First diff after a snapshot with id L: futures need pu <= L <= u (no update lies between pu
        # and U, so this is the documented U <= L <= u with its blind spot closed), spot U <= L + 1.
        return row.a <= self.last_id + 1 if row.flags & Flag.F_SPOT else row.c <= self.last_id

    cdef void begin(self, const event_t* row) noexcept:
        # Decide what happens to the run that this header opens.
        cdef bint spot = row.flags & Flag.F_SPOT != 0
        self.applying = False
        self.keeping = False
        if row.kind == Kind.SNAPSHOT:
            if self.state == BookState.SYNCED or row.a < self.last_id:
                self.stale_snapshots += 1
                return
            ladder_clear(&self.sides[0])
            ladder_clear(&self.sides[1])
            self.state = BookState.LOADING
            self.last_id = row.a
            self.applying = True
        elif self.state == BookState.AWAITING:
            self.keeping = True
        elif row.b < self.last_id or (row.b == self.last_id and (spot or self.state == BookState.SYNCED)):
            self.stale += 1
        elif self.follows(row):
            self.applying = True
            self.last_id = row.b
        else:
            self.gaps += 1
            self.lose()
            self.keeping = True

    cdef void on_row(self, const event_t* row) noexcept:
        # One row at a time is dearer than a run: a side's fields are read and written for each level.
        cdef bint ask = row.flags & Flag.F_SELL != 0
        if row.kind != Kind.LEVEL or not self.applying or row.flags & Flag.F_END:
            self.on_rows(row, 1)
        elif not ladder_set(&self.sides[ask], -row.a if ask else row.a, row.b):
            self.run_out()

    cdef void on_rows(self, const event_t* rows, Py_ssize_t n) noexcept:
        cdef const event_t* end = rows + n
        while rows < end:
            if rows.kind == Kind.LEVEL and self.applying:
                rows = self.set_levels(rows, end - rows)
                continue
            if rows.kind != Kind.LEVEL:
                self.begin(rows)
            if self.keeping:
                self.keep(rows)
            if rows.flags & Flag.F_END and self.applying:
                self.finish(rows)
            rows += 1

    cdef const event_t* set_levels(self, const event_t* rows, Py_ssize_t n) noexcept:
        # One side's levels, up to the end of the run at most; returns the first row that is left.
        cdef bint room
        cdef Py_ssize_t k = ladder_run(&self.sides[rows.flags & Flag.F_SELL != 0], rows, n, &room)
        if not room:
            self.run_out()
        elif rows[k - 1].flags & Flag.F_END:
            self.finish(rows + k - 1)
        return rows + k

    cdef void finish(self, const event_t* row) noexcept:
        self.applying = False
        self.ts = row.ts
        if self.state == BookState.LOADING:
            self.state = BookState.LOADED
            self.replay_kept()
            return
        self.applied += 1
        if self.two_sided() and self.best_bid() >= self.best_ask():
            self.crossings += 1
            self.lose()
            return
        self.state = BookState.SYNCED

    cdef void lose(self) noexcept:
        # Something was missed: unusable until a snapshot newer than what we had.
        self.state = BookState.AWAITING
        self.applying = False
        self.kept.size = 0

    cdef void run_out(self) noexcept:
        # No room for a level: as good as a level that was missed.
        self.gaps += 1
        self.lose()

    cdef void keep(self, const event_t* row) noexcept:
        cdef event_t* copy
        if self.kept.size >= KEPT_LIMIT:
            self.kept.size = 0                 # too long ago: only a newer snapshot can help
        try:
            copy = self.kept.push()
            copy[0] = row[0]
        except MemoryError:
            self.kept.size = 0

    cdef void replay_kept(self) noexcept:
        # Apply what arrived before the snapshot; a gap on the way asks for a newer one.
        cdef Rows rows = self.kept
        cdef Py_ssize_t i, gap_at = -1
        cdef uint64_t gaps = self.gaps
        self.kept = Rows()
        for i in range(rows.size):
            self.on_row(rows.data + i)
            if self.gaps != gaps and gap_at < 0:
                gap_at = i
        if gap_at >= 0:
            self.stale_snapshots += 1

    cdef int64_t lots_at(self, int side, int64_t ticks) noexcept nogil:
        return ladder_get(&self.sides[side], -ticks if side == Side.SELL else ticks)

    cdef int top(self, int side, int n, int64_t* ticks, int64_t* lots) noexcept nogil:
        # Write up to n levels from the touch outwards; return how many there are.
        cdef ladder_t* s = &self.sides[side]
        cdef int64_t key = s.best
        cdef int i = 0
        while i < n and key != NO_KEY:
            ticks[i] = -key if side == Side.SELL else key
            lots[i] = ladder_get(s, key)
            i += 1
            if i < n:
                key = ladder_below(s, key)
        return i

    def apply(self, Rows rows not None):
        """Apply a run (or several) of depth or snapshot rows."""
        self.on_rows(rows.data, rows.size)

    def pending(self):
        """Return what the levels do not show: the run under way, and the diffs kept for a snapshot."""
        return (self.applying, self.keeping, bytes(memoryview(self.kept)))

    @property
    def is_usable(self):
        """Whether the book is known good."""
        return self.usable()

    def best(self):
        """Return (bid ticks, ask ticks), None for an empty side."""
        return (None if self.sides[0].best == NO_KEY else self.best_bid(),
                None if self.sides[1].best == NO_KEY else self.best_ask())

    def levels(self, int side, Py_ssize_t limit=1 << 30):
        """Return [(ticks, lots), ...] of one side (0 bids, 1 asks) from the touch outwards."""
        cdef ladder_t* s = &self.sides[side & 1]
        cdef int64_t sign = -1 if side & 1 else 1
        cdef int64_t key = s.best
        cdef Py_ssize_t left = limit
        found = []
        while left > 0 and key != NO_KEY:
            found.append((sign * key, s.lots[key & (s.size - 1)]))
            key = window_below(s, key - 1) if key > s.base else NO_KEY
            left -= 1
        if left > 0 and s.far_count:         # all of them are behind the window, which the best level never leaves
            far = sorted([(s.far[i].key, s.far[i].lots) for i in range(s.far_room) if s.far[i].lots], reverse=True)
            found += [(sign * key, lots) for key, lots in far[:left]]
        return found
