"""The table of our own orders, by client order id, and what evidence may change them.

A client order id is 32 bits of epoch and a counter; the counter's low bits are the order's place,
so that finding one is a mask and a comparison. An order is in the table before its first byte
leaves, and it leaves the totals only on the venue's evidence: what is pending, unknown or being
cancelled is exposure. Terminal orders stay until their place is needed, so that a late fill finds
them.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from core_ext.types cimport approved_t, event_t


cdef enum:
    ORDER_PLACES = 4096
    SYMBOL_PLACES = 128


cdef enum Evidence:
    E_ACCEPTED = 0
    E_REJECTED = 1
    E_PART = 2         # a fill that leaves something
    E_FULL = 3         # the fill that completes it
    E_CANCELED = 4
    E_EXPIRED = 5
    E_CANCEL_SENT = 6
    E_CANCEL_REJECTED = 7
    E_LOST = 8         # the venue did not answer


cdef struct order_t:
    uint64_t client_id
    int64_t venue_id
    int64_t price_ticks        # 0 for a market order
    int64_t lots
    int64_t filled
    int64_t hold_ticks         # price at which the remainder counts as exposure
    int64_t created
    int64_t updated
    uint16_t symbol
    uint8_t side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
    uint8_t state
    uint8_t limiting


cdef struct exposure_t:
    # What is live, pending or unknown on one side of one symbol.
    int64_t lots
    int64_t value_ticks        # sum of hold price times lots: times the unit value it is a notional
    int64_t reducing           # lots of reduce-only orders among them
    int64_t orders


cdef class Orders:
    cdef order_t* table
    cdef exposure_t open[SYMBOL_PLACES][2]     # by symbol and side
    cdef readonly int64_t open_orders          # of all symbols
    cdef readonly int64_t unknown              # orders whose outcome is not known
    cdef readonly uint32_t epoch
    cdef readonly uint64_t next_count
    cdef readonly uint64_t illegal             # evidence that no state allows
    cdef readonly uint64_t late                # fills of orders believed dead

    cdef uint64_t next_id(self) noexcept nogil
    cdef order_t* find(self, uint64_t client_id) noexcept nogil
    cdef order_t* insert(self, const approved_t* approved, int64_t hold_ticks) noexcept nogil
    cdef bint on_evidence(self, order_t* order, int evidence, int64_t ts) noexcept nogil
    cdef bint on_fill(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil
    cdef void count(self, const order_t* order, int64_t leaves, int orders) noexcept nogil


cdef inline bint is_terminal(uint8_t state) noexcept nogil:
    return state >= 6


cdef inline int64_t leaves(const order_t* order) noexcept nogil:
    return order.lots - order.filled
