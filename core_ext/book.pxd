"""An L2 order book on integer ticks, known good or known unusable, never in between.

Each side is a ladder: an array of lots indexed by tick inside a window that follows the touch, a
three-level bitmap of the occupied ticks, and a hash for the few levels outside the window. Both
sides are written once: the ask side stores negated ticks, so that "best" is always the greatest
key. The window is a ring (slot = key mod size), so that following the touch moves no memory. A bit
says that its slot has held a level: it is set with the level and stays when the level goes, until a
search for the next level meets it; so a removal is one store, and each bit is cleared at most once.

A book is usable from the first diff that brackets a snapshot until the first evidence that it
missed something: a broken chain of update ids, a crossed touch, or no room.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from core_ext.types cimport Rows, event_t


cdef struct far_t:
    int64_t key
    int64_t lots       # 0: an empty place


cdef struct ladder_t:
    int64_t* lots          # by slot; 0 is no level
    uint64_t* bit0         # one bit a slot: no level without its bit
    uint64_t* bit1         # one bit a word of bit0
    uint64_t* bit2         # one bit a word of bit1
    int64_t size           # slots, a power of two
    int64_t count          # levels in the window; not beside `best`, or gcc packs the two into a vector on each level
    int64_t base           # the window holds keys base <= key < base + size
    int64_t best           # greatest key of the side, NO_KEY when it is empty; always in the window
    far_t* far             # levels outside it
    int64_t far_room
    int64_t far_count


cdef enum BookState:
    AWAITING = 0       # no snapshot yet, or one is needed again; diffs are kept
    LOADING = 1        # inside a snapshot's run
    LOADED = 2         # a snapshot is in, no diff has bracketed it yet
    SYNCED = 3         # usable


cdef class Book:
    cdef ladder_t sides[2]          # by Side: bids by tick, asks by negated tick
    cdef public int state           # BookState
    cdef bint applying              # the run under way is applied
    cdef bint keeping               # the run under way is kept for after the snapshot
    cdef readonly int64_t last_id   # u of the last applied diff, or the snapshot's id
    cdef Rows kept                  # diffs that arrived before their snapshot
    cdef readonly int64_t ts        # stamp of the last applied run
    cdef readonly uint64_t applied
    cdef readonly uint64_t stale            # diffs older than the book
    cdef readonly uint64_t gaps
    cdef readonly uint64_t crossings
    cdef readonly uint64_t stale_snapshots

    cdef void on_row(self, const event_t* row) noexcept
    cdef void on_rows(self, const event_t* rows, Py_ssize_t n) noexcept     # of one message or several
    cdef inline bint usable(self) noexcept nogil:
        return self.state == 3
    cdef inline int64_t best_bid(self) noexcept nogil:
        return self.sides[0].best       # NO_KEY when empty
    cdef inline int64_t best_ask(self) noexcept nogil:
        return -self.sides[1].best
    cdef inline bint two_sided(self) noexcept nogil:
        return self.sides[0].best != NO_KEY and self.sides[1].best != NO_KEY
    cdef int64_t lots_at(self, int side, int64_t ticks) noexcept nogil
    cdef int top(self, int side, int n, int64_t* ticks, int64_t* lots) noexcept nogil
    cdef void begin(self, const event_t* row) noexcept
    cdef void finish(self, const event_t* row) noexcept
    cdef void keep(self, const event_t* row) noexcept
    cdef void replay_kept(self) noexcept
    cdef void lose(self) noexcept
    cdef void run_out(self) noexcept
    cdef const event_t* set_levels(self, const event_t* rows, Py_ssize_t n) noexcept
    cdef bint follows(self, const event_t* row) noexcept nogil


cdef extern from *:
    """
    #define AT_NO_KEY (INT64_MIN + 1)
    """
    const int64_t NO_KEY "AT_NO_KEY"


cdef bint ladder_open(ladder_t* s, int64_t size) noexcept nogil
cdef void ladder_close(ladder_t* s) noexcept nogil
cdef void ladder_clear(ladder_t* s) noexcept nogil
cdef bint ladder_set(ladder_t* s, int64_t key, int64_t lots) noexcept nogil
cdef int64_t ladder_get(const ladder_t* s, int64_t key) noexcept nogil
cdef int64_t ladder_below(ladder_t* s, int64_t key) noexcept nogil
