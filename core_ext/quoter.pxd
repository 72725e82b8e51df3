"""A passive microprice quoter: one bid and one ask at the touch, inside an inventory budget.

It shows the engine at work on a live book. It is market making without a forecast: its expected edge
after fees is negative on a liquid perpetual, and its reports say so. Its size is an inventory budget
under the gate's caps, not Kelly: it declares no edge.
"""
from libc.stdint cimport int64_t, uint64_t

from core_ext.strategy cimport Strategy


cdef enum:
    QUOTED_SYMBOLS = 128


cdef struct quote_t:
    uint64_t client_id     # 0: none
    int64_t price_ticks
    int64_t ts             # when it was placed or asked to go


cdef class Quoter(Strategy):
    cdef int64_t order_e8          # notional of a quote
    cdef int64_t budget_e8         # largest inventory, as a notional
    cdef int64_t requote_ns        # a side is touched no more often than this
    cdef int64_t join_ticks        # behind the touch
    cdef int64_t min_spread_ticks
    cdef quote_t quotes[QUOTED_SYMBOLS][2]
    cdef int quote(self, int symbol, int side, int64_t price_ticks, int64_t lots) except -1
    cdef int64_t wanted_lots(self, int symbol, int side, int64_t price_ticks) noexcept
