"""The last gate: every order passes here, and nowhere else does an approved order come into being.

Check, then hold: an approved order is in the order table, and so in every exposure, before it leaves.
Exposure is worst case: the position plus everything live, pending or unknown on that side. An order
that can only shrink a position is never refused by our own limits. Order limits allow what is exactly
at the limit; loss limits trip there. Anything that cannot be computed is refused (R31).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from core_ext.account cimport Account
from core_ext.orders cimport Orders
from core_ext.signal cimport Markets, market_t
from core_ext.types cimport Instruments, Reason, approved_t, instrument_t


cdef enum:
    MINUTE_ORDERS = 4096       # places of the order-rate ring
    RECENT_ORDERS = 4096       # places of the duplicate guard: more than a minute's orders


cdef struct request_t:
    int64_t price_ticks        # 0 for a market order
    int64_t lots
    uint16_t symbol
    uint8_t side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
    uint8_t limiting


cdef struct limits_t:
    int64_t exit_collar_e8
    int64_t max_order_e8               # notional
    int64_t order_equity_share_e8      # of equity times order_leverage
    int64_t order_leverage_e8
    int64_t volume_share_e8            # of the last minute's volume
    int64_t assumed_minute_e8          # its notional until 60 s are known
    int64_t depth_share_e8
    int64_t symbol_share_e8
    int64_t strategy_leverage_e8
    int64_t max_gross_e8
    int64_t liquidation_distance_e8
    double liquidation_atr
    double atr_floor
    int64_t orders_per_second
    int64_t order_burst
    int64_t orders_per_minute
    int64_t strategy_orders_per_second
    int64_t duplicate_ns
    int64_t book_stale_ns
    int64_t mark_stale_ns
    double candle_stale
    int64_t max_drawdown_e8
    int64_t daily_loss_e8
    int64_t max_orders_symbol
    int64_t max_orders_total
    uint8_t acknowledged               # a daily loss clears at midnight without an operator (backtests)


cdef struct bucket_t:
    int64_t level_ns           # debt, in nanoseconds of refill
    int64_t ts


cdef struct recent_t:
    int64_t ts
    int64_t price_ticks
    int64_t lots
    uint16_t symbol
    uint8_t side


cdef class RiskGate:
    cdef Instruments instruments
    cdef Account account
    cdef Orders orders
    cdef Markets markets
    cdef limits_t limits
    cdef bucket_t account_rate
    cdef bucket_t strategy_rate
    cdef int64_t minute[MINUTE_ORDERS]
    cdef int64_t minute_count
    cdef recent_t recent[RECENT_ORDERS]
    cdef int64_t recent_count
    cdef readonly int64_t peak_e8          # of the equity, moved by transfers
    cdef readonly int64_t equity_seen_e8   # at the last look
    cdef readonly int64_t max_drawdown_e8  # deepest share of the peak lost so far
    cdef readonly int64_t day              # UTC day number, -1 before the first event
    cdef readonly int64_t day_start_e8
    cdef readonly int64_t transfers_seen_e8
    cdef readonly bint halted
    cdef readonly bint killed              # latched
    cdef readonly bint day_lost
    cdef readonly int ladder               # 0 full, 1 half size, 2 reduce-only
    cdef uint64_t refusals[64]

    cdef Reason approve(self, const request_t* r, int64_t now, approved_t* out) noexcept nogil
    cdef Reason check(self, const request_t* r, int64_t now) noexcept nogil
    cdef Reason check_exit(self, const request_t* r, const instrument_t* i, const market_t* m) noexcept nogil
    cdef Reason check_entry(self, const request_t* r, int64_t now, const instrument_t* i, market_t* m) noexcept nogil
    cdef Reason check_size(self, const request_t* r, int64_t now, const instrument_t* i, market_t* m,
                           int64_t price) noexcept nogil
    cdef Reason check_exposure(self, const request_t* r, const instrument_t* i, const market_t* m,
                               int64_t price) noexcept nogil
    cdef Reason check_flow(self, const request_t* r, int64_t now) noexcept nogil
    cdef bint shrinks(self, const request_t* r) noexcept nogil
    cdef bint fresh(self, const market_t* m, int64_t now) noexcept nogil
    cdef bint far_from_liquidation(self, const request_t* r, const instrument_t* i, const market_t* m,
                                   int64_t price) noexcept nogil
    cdef int64_t required_margin_e8(self, const request_t* r, int64_t price) noexcept nogil
    cdef int64_t gross_worst_e8(self, const request_t* r) noexcept nogil
    cdef int64_t worst_lots(self, int symbol, const request_t* r, int side) noexcept nogil
    cdef bint all_marked(self) noexcept nogil
    cdef int64_t worst_equity_e8(self, int64_t now) noexcept nogil
    cdef int watch(self, int64_t now) noexcept nogil
    cdef int64_t symbol_cap_e8(self) noexcept nogil
    cdef int64_t drawdown_e8(self) noexcept nogil
    cdef void count_order(self, const request_t* r, int64_t now) noexcept nogil
    cdef int64_t hold_ticks(self, const request_t* r) noexcept nogil
    cdef int64_t reference(self, int symbol) noexcept nogil
