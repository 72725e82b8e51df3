"""The state machine: ``step(event)`` is the only way that trading state changes.

It owns no clock, no socket, no file and no randomness. What it wants comes out of the desk's outbox
and is empty again at the next step. The same events give the same outbox, bit for bit.
"""
from libc.stdint cimport int64_t, uint64_t

from core_ext.account cimport Account
from core_ext.book cimport Book
from core_ext.orders cimport Orders, order_t
from core_ext.quality cimport Quality
from core_ext.risk cimport RiskGate
from core_ext.signal cimport Markets, market_t
from core_ext.strategy cimport Desk, Strategy
from core_ext.types cimport Instruments, Rows, event_t, ladder_t


cdef enum MarkSource:
    MARK_STREAM = 0        # the exchange's mark price events
    MARK_FILE = 1          # a mark series beside the candles
    MARK_PROXY = 2         # none: the microprice of the book, or the candle


cdef class Engine:
    cdef readonly Instruments instruments
    cdef readonly Markets markets
    cdef readonly Account account
    cdef readonly Orders orders
    cdef readonly RiskGate gate
    cdef readonly Desk desk
    cdef readonly Strategy strategy
    cdef object on_bars                    # of a strategy in Python, bound; None of a compiled one
    cdef readonly list books
    cdef readonly Quality quality          # of the market data, None where nobody judges them
    cdef int mark_sources[128]
    cdef readonly uint64_t events
    cdef readonly bint failed              # the strategy raised and is disabled
    cdef readonly object failure           # what it raised
    cdef readonly uint64_t liquidations
    cdef bint asking                       # a wake-up to ask for orders of unknown outcome is on its way
    cdef bint withdrawing                  # one to cancel again what should be gone
    cdef readonly bint leaving             # told to close everything, and not flat yet
    cdef bint flattening                   # one to try again to close everything
    cdef int64_t flattened                 # last attempt to
    cdef int64_t patience                  # until the next one when none has filled
    cdef int64_t swept                     # last look for stale orders
    cdef ladder_t ladder                   # brackets of a symbol as they come
    cdef int emptying                      # symbols that are closed by themselves
    cdef bint emptied[128]
    cdef int64_t reduced[128]              # last forced reduction, by symbol
    cdef int64_t stopped[128]              # last attempt to place a protective stop, by symbol
    cdef bint near[128]                    # liquidation is near, and the alarm has been raised

    cdef uint64_t counts[256]              # events by kind, checked build
    cdef int step(self, const event_t* row) except -1
    cdef int step_levels(self, const event_t* rows, Py_ssize_t n) except -1
    cdef int begin(self, const event_t* row, Py_ssize_t n) except -1
    cdef int audit(self, const event_t* row) except -1
    cdef int dispatch(self, const event_t* row) except -1
    cdef int tell_verdicts(self) except -1
    cdef int on_depth(self, const event_t* row) except -1
    cdef int on_touch_row(self, const event_t* row) except -1
    cdef int on_new_touch(self, market_t* m, const event_t* row) except -1
    cdef int on_mark(self, int symbol, int64_t mark_e8, int64_t ts) except -1
    cdef int on_market(self, const event_t* row) except -1
    cdef int on_candle_row(self, const event_t* row) except -1
    cdef int guard(self, int symbol) except -1
    cdef int protect(self, int symbol) except -1
    cdef bint has_stop(self, int symbol, int leg) noexcept
    cdef int on_believed(self, const event_t* row, int leg) except -1
    cdef int on_foreign(self, int symbol) except -1
    cdef int on_stop_refused(self, const order_t* order, const event_t* row) except -1
    cdef int on_account(self, const event_t* row) except -1
    cdef int on_forced(self, const event_t* row, int leg) except -1
    cdef int on_answer(self, const event_t* row) except -1
    cdef int on_accepted(self, order_t* order, const event_t* row) except -1
    cdef int on_algo(self, order_t* order, const event_t* row) except -1
    cdef int on_lost(self, order_t* order, const event_t* row) except -1
    cdef int on_ended(self, const order_t* order) except -1
    cdef int ask_later(self) except -1
    cdef int ask_unknown(self) except -1
    cdef bint closed(self) noexcept
    cdef bint ends(self) noexcept
    cdef bint empties(self) noexcept
    cdef int sweep(self) except -1
    cdef bint is_orphan(self, const order_t* order) noexcept
    cdef int obey(self, int64_t command, int64_t symbol) except -1
    cdef int leave(self, int64_t symbol) except -1
    cdef int empty(self, int symbol) except -1
    cdef bint outlives(self, const order_t* order) noexcept
    cdef int withdraw_again(self) except -1
    cdef int on_fill(self, const event_t* row) except -1
    cdef int on_control(self, const event_t* row) except -1
    cdef int watch(self) except -1
    cdef int flatten(self) except -1
    cdef int flatten_later(self) except -1
    cdef int tell(self, int hook, int64_t a, int64_t b, int64_t c) except -1
    cdef int fail(self, object error) except -1
    cdef int alarm(self, int alarm, int symbol) except -1
