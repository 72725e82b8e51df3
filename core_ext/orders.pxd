"""The table of our own orders, by client order id, and what evidence may change them.

Exposure is worst case: an order counts with the larger of what it is and what it has been asked to
become, a conditional one from the moment it is asked for. Initial margin is what the exchange asks: none
for what can only close, none for a conditional order before its trigger.

A client order id is 32 bits of epoch and a counter; the counter's low bits are the order's place,
so that finding one is a mask and a comparison. An order is in the table before its first byte
leaves, and it leaves the totals only on the venue's evidence: what is pending, unknown or being
cancelled is exposure. Terminal orders stay until their place is needed, so that a late fill finds
them.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from core_ext.account cimport Account
from core_ext.types cimport Instruments, approved_t, event_t, is_conditional, leg_of


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
    E_ARMED = 9        # a conditional order waits for its trigger
    E_TRIGGERING = 10
    E_AMENDED = 11
    E_AMEND_REJECTED = 12
    EVIDENCES = 13


cdef struct order_t:
    uint64_t client_id
    int64_t venue_id
    int64_t price_ticks        # 0 for a market order
    int64_t lots               # 0: close position, not triggered yet
    int64_t filled
    int64_t hold_ticks         # price at which the remainder counts as exposure
    int64_t amend_ticks        # asked for and not answered, 0: nothing
    int64_t amend_lots
    int64_t trigger_ticks
    int64_t activate_ticks
    int64_t callback_e8
    int64_t good_till
    int64_t created
    int64_t updated
    # What of it is in the totals.
    int64_t counted_lots
    int64_t counted_ticks
    int64_t counted_margin_e8
    # Open orders of a symbol and side are a list, oldest first: places plus one, 0 ends it.
    uint16_t next
    uint16_t previous
    uint16_t symbol
    uint8_t side
    uint8_t position_side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only        # or close position, or the closing side in hedge mode: it can only close
    uint8_t stp
    uint8_t price_match
    uint8_t terms
    uint8_t state
    uint8_t triggered
    uint8_t limiting


cdef struct exposure_t:
    # What is live, pending or unknown on one side of one leg of a symbol.
    int64_t lots
    int64_t value_ticks        # sum of hold price times lots: times the unit value it is a notional
    int64_t reducing           # lots of orders among them that can only close
    int64_t orders


cdef class Orders:
    cdef Instruments instruments               # with the account, once a gate has them
    cdef Account account
    cdef order_t* table
    cdef exposure_t open[SYMBOL_PLACES][2][2]  # by symbol, leg and side
    cdef int64_t unknown_of[SYMBOL_PLACES]
    cdef uint16_t first[SYMBOL_PLACES][2]      # open orders by symbol and side
    cdef uint16_t last[SYMBOL_PLACES][2]
    cdef readonly int64_t open_orders          # of all symbols
    cdef readonly int64_t unknown              # orders whose outcome is not known
    cdef readonly uint32_t epoch
    cdef readonly uint64_t next_count
    cdef readonly uint64_t illegal             # evidence that no state allows
    cdef readonly uint64_t late                # fills of orders believed dead

    cpdef attach(self, Account account)
    cdef uint64_t next_id(self) noexcept nogil
    cdef order_t* find(self, uint64_t client_id) noexcept nogil
    cdef order_t* insert(self, const approved_t* approved, int64_t hold_ticks) noexcept nogil
    cdef void amend(self, order_t* order, int64_t price_ticks, int64_t lots) noexcept nogil
    cdef bint on_evidence(self, order_t* order, int evidence, int64_t ts) noexcept nogil
    cdef bint on_fill(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil
    cdef bint on_amended(self, order_t* order, int64_t price_ticks, int64_t lots, int64_t ts) noexcept nogil
    cdef void on_priced(self, order_t* order, int64_t price_ticks) noexcept nogil
    cdef bint on_sized(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil
    cdef order_t* known(self, uint64_t client_id, int64_t price_ticks, int64_t lots) except NULL
    cdef void recount(self, order_t* order) noexcept nogil
    cdef void count(self, order_t* order, int64_t lots, int64_t ticks) noexcept nogil
    cdef void suspend(self, order_t* order) noexcept nogil
    cdef bint audit(self) noexcept nogil
    cdef void enter(self, order_t* order) noexcept nogil
    cdef void leave(self, order_t* order) noexcept nogil


cdef inline bint is_terminal(uint8_t state) noexcept nogil:
    return state >= 8


cdef inline bint is_open(const order_t* order) noexcept nogil:
    return 0 < order.state < 8


cdef inline int64_t leaves(const order_t* order) noexcept nogil:
    return order.lots - order.filled
