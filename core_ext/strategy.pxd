"""What a strategy sees (the desk) and what it may be (the one open class of the core).

A strategy asks the desk for the state and tells it what it wants; whatever it wants passes the risk
gate on the way out. It owns no clock and no randomness: wake-ups are asked for and come back as
recorded events.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t

from core_ext.account cimport Account
from core_ext.book cimport Book
from core_ext.orders cimport Orders
from core_ext.risk cimport RiskGate, request_t
from core_ext.signal cimport Markets
from core_ext.sizing cimport sizing_t
from core_ext.types cimport Instruments, Reason, Rows, approved_t, event_t


cdef enum:
    MAX_APPROVALS = 512        # orders of one step; beyond it the desk refuses


cdef class Desk:
    cdef readonly Instruments instruments
    cdef readonly Markets markets
    cdef readonly Account account
    cdef readonly Orders orders
    cdef readonly RiskGate gate
    cdef readonly list books
    cdef sizing_t sizing               # what does not change from one sizing to the next
    cdef readonly int64_t now          # stamp of the event being handled, ns
    cdef readonly int last_reason      # of the last order that was asked for
    cdef Rows outbox                   # what this step asks for, in order
    cdef approved_t* approvals         # the approved orders among it, in order
    cdef int n_approvals
    cdef public object witness         # told of every size and every order before it is judged; None outside of replays

    cdef event_t* post(self, uint8_t kind, int symbol) except NULL
    cdef void refresh_depth(self, int symbol, int side, int64_t lots) noexcept
    cdef int require(self, int symbol) except -1
    cdef double margin_room(self, int symbol, bint buys) noexcept
    cdef int begin_request(self, request_t* r, int symbol, int side, int position_side) except -1
    cdef uint64_t send(self, const request_t* r) except? 0
    cdef event_t* post_order(self, const request_t* r, Reason reason) except NULL
    cpdef uint64_t submit(self, int symbol, int side, int64_t lots, int64_t price_ticks=*, int tif=*,
                          bint reduce_only=*, int limiting=*, int position_side=*) except? 0
    cpdef uint64_t close(self, int symbol, int leg, int64_t lots, int limiting=*) except? 0
    cpdef bint amend(self, uint64_t client_id, int64_t price_ticks, int64_t lots, uint64_t intent=*) except -1
    cdef int withdraw(self, int symbol, int side) except -1
    cdef int withdraw_surplus(self, int symbol) except -1
    cpdef bint cancel(self, uint64_t client_id) except -1
    cpdef int cancel_all(self, int symbol=*, bint keep_reducing=*) except -1
    cpdef int query(self, uint64_t client_id) except -1
    cdef int opening_side(self, int64_t lots) noexcept
    cpdef int set_timer(self, int64_t timer_id, int64_t due) except -1
    cpdef uint64_t trade_to(self, int symbol, int64_t target_lots, int limiting=*) except? 0
    cpdef tuple size(self, int symbol, double signal, double volatility, double target_volatility,
                     double sharpe_mean, double sharpe_sd)


cdef enum Hook:
    ON_BOOK = 1
    ON_BARS = 2
    ON_TIMER = 4
    ON_FILL = 8
    ON_START = 16


cdef class Strategy:
    cdef public Desk desk
    cdef int hooks                     # which of the methods below are overridden
    cpdef start(self)
    cpdef on_book(self, int symbol)
    cpdef on_bars(self)
    cpdef on_timer(self, int64_t timer_id)
    cpdef on_fill(self, int symbol, int64_t lots, int64_t price_ticks)
