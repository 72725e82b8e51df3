"""A moving-average cross, compiled: the strategy that vectorbt and nautilus_trader are given too.

Knows a fast and a slow mean of closes, and the position that their order asks for. Its sums are of
integers, so that no rounding can turn a cross. Refuses to know bars before its first one.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t

from core_ext.strategy cimport Strategy


cdef enum:
    SYMBOLS = 128


@cython.final
cdef class Crossing(Strategy):
    """Hold so many lots on the side of the fast mean; none before the first cross.

    Parameters
    ----------
    fast, slow : int
        Bars of the two means.
    lots : list of int
        Of each symbol's position.
    """

    cdef int fast
    cdef int slow
    cdef int64_t* closes           # a ring of ``slow`` for each symbol
    cdef int64_t sums[SYMBOLS][2]
    cdef int64_t bars[SYMBOLS]
    cdef int sides[SYMBOLS]        # of the means at the last bar: 1 fast above, -1 below or equal, 0 not known
    cdef int64_t lots[SYMBOLS]
    cdef int64_t targets[SYMBOLS]

    def __cinit__(self, int fast, int slow, list lots not None):
        if not 0 < fast < slow or len(lots) > SYMBOLS:
            raise ValueError(f"means of {fast} and {slow} bars, {len(lots)} symbols")
        self.closes = <int64_t*> PyMem_Calloc(slow * len(lots), sizeof(int64_t))
        if self.closes == NULL:
            raise MemoryError("closes")

    def __init__(self, int fast, int slow, list lots not None):
        super().__init__()
        self.fast = fast
        self.slow = slow
        for k in range(len(lots)):
            self.lots[k] = lots[k]

    def __dealloc__(self):
        PyMem_Free(self.closes)

    cdef bint crosses(self, int symbol, int64_t close) noexcept:
        # Take a close in; return whether the means crossed.
        cdef int64_t* ring = self.closes + symbol * self.slow
        cdef int64_t n = self.bars[symbol]
        cdef int side, before = self.sides[symbol]
        self.sums[symbol][0] += close - (ring[(n - self.fast) % self.slow] if n >= self.fast else 0)
        self.sums[symbol][1] += close - (ring[n % self.slow] if n >= self.slow else 0)
        ring[n % self.slow] = close
        self.bars[symbol] = n + 1
        if n + 1 < self.slow:
            return False
        side = 1 if self.sums[symbol][0] * self.slow > self.sums[symbol][1] * self.fast else -1
        self.sides[symbol] = side
        return before != 0 and side != before

    cpdef on_bars(self):
        """Take the closes in; ask for what a cross asks for."""
        cdef int symbol
        for symbol in range(self.desk.instruments.size):
            if self.desk.markets.data[symbol].ts_last != self.desk.now:
                continue
            if self.crosses(symbol, self.desk.markets.data[symbol].last_e8):
                self.targets[symbol] = self.sides[symbol] * self.lots[symbol]
                self.desk.trade_to(symbol, self.targets[symbol])

    cpdef on_fill(self, int symbol, int64_t lots, int64_t price_ticks):
        """Open the new side once the old one is closed."""
        if self.desk.account.positions[symbol].lots == 0:
            self.desk.trade_to(symbol, self.targets[symbol])

    def snapshot(self):
        """Return the sums, the sides and the targets."""
        return [(self.bars[k], self.sums[k][0], self.sums[k][1], self.sides[k], self.targets[k])
                for k in range(self.desk.instruments.size)]
