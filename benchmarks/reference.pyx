"""The same work in plain C, with nothing around it: what the core's figures are divided by.

Knows a ladder of two arrays over the recording's whole price range, its best levels repaired by a
linear scan, and a pass that reads every byte of every row. Refuses to know sequence numbers, gaps,
windows and bounds: whoever builds one gives it rows that are in order and in range.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from core_ext.types cimport Flag, Kind, Rows, event_t


@cython.final
cdef class PlainLadder:
    """An order book as two arrays of lots indexed by tick.

    Parameters
    ----------
    first, last : int
        Lowest and highest tick of the rows to come.
    """

    cdef int64_t* bids
    cdef int64_t* asks
    cdef int64_t first
    cdef int64_t size
    cdef int64_t bid           # index of the best bid, -1 for none
    cdef int64_t ask           # index of the best ask, size for none

    def __cinit__(self, int64_t first, int64_t last):
        self.first = first
        self.size = last - first + 1
        self.bids = <int64_t*> PyMem_Calloc(self.size, sizeof(int64_t))
        self.asks = <int64_t*> PyMem_Calloc(self.size, sizeof(int64_t))
        if self.bids == NULL or self.asks == NULL:
            raise MemoryError("ladder")
        self.clear()

    def __dealloc__(self):
        PyMem_Free(self.bids)
        PyMem_Free(self.asks)

    cdef void clear(self) noexcept nogil:
        memset(self.bids, 0, self.size * sizeof(int64_t))
        memset(self.asks, 0, self.size * sizeof(int64_t))
        self.bid = -1
        self.ask = self.size

    cdef inline void set_bid(self, int64_t k, int64_t lots) noexcept nogil:
        self.bids[k] = lots
        if lots:
            self.bid = max(self.bid, k)
        elif k == self.bid:
            while self.bid >= 0 and self.bids[self.bid] == 0:
                self.bid -= 1

    cdef inline void set_ask(self, int64_t k, int64_t lots) noexcept nogil:
        self.asks[k] = lots
        if lots:
            self.ask = min(self.ask, k)
        elif k == self.ask:
            while self.ask < self.size and self.asks[self.ask] == 0:
                self.ask += 1

    cdef inline void on_row(self, const event_t* row) noexcept nogil:
        if row.kind == Kind.LEVEL:
            if row.flags & Flag.F_SELL:
                self.set_ask(row.a - self.first, row.b)
            else:
                self.set_bid(row.a - self.first, row.b)
        elif row.kind == Kind.SNAPSHOT:
            self.clear()

    def apply(self, Rows rows not None):
        """Apply depth and snapshot rows."""
        cdef Py_ssize_t i
        for i in range(rows.size):
            self.on_row(rows.data + i)

    def best(self):
        """Return (bid ticks, ask ticks), None for an empty side."""
        return (None if self.bid < 0 else self.first + self.bid,
                None if self.ask == self.size else self.first + self.ask)

    def levels(self, int side):
        """Return [(ticks, lots), ...] of one side (0 bids, 1 asks) from the touch outwards."""
        cdef int64_t* lots = self.asks if side else self.bids
        cdef int64_t k
        found = [(self.first + k, lots[k]) for k in range(self.size) if lots[k]]
        return found if side else found[::-1]


def read_all(Rows rows not None):
    """Read every word of every row once; return a number that depends on all of them."""
    cdef const uint64_t* word = <const uint64_t*> rows.data
    cdef uint64_t total = 0
    cdef Py_ssize_t i
    for i in range(8 * rows.size):
        total = (total ^ word[i]) + (total >> 7)
    return total
