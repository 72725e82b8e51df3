"""The last gate: every order passes here, and nowhere else does an approved order come into being.

Check, then hold: an approved order is in the order table, and so in every exposure, before it leaves.
Exposure is worst case: the position plus everything live, pending or unknown on that side. An order
that can only shrink a position is never refused by our own limits. Order limits allow what is exactly
at the limit; loss limits trip there. Anything that cannot be computed is refused (R31).

Exposure totals are running: whoever changes a symbol's mark, position or orders calls ``update`` for it,
and an order then costs one symbol's terms, however many symbols the run has.

From the slow layer comes headroom: by symbol and side the largest additional lots that the portfolio's
limits (VaR, ES, concentration, correlation, liquidation) leave. The gate takes what it approves from it and
refuses entries when it is too old.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from core_ext.account cimport Account
from core_ext.orders cimport Orders, order_t
from core_ext.quality cimport Quality
from core_ext.signal cimport Markets, market_t
from core_ext.types cimport Instruments, Reason, approved_t, instrument_t


cdef enum:
    MINUTE_ORDERS = 4096       # places of the order-rate ring
    RECENT_ORDERS = 4096       # places of the duplicate guard: more than a minute's orders
    GATE_SYMBOLS = 128
    ENTRY_PLACES = 64          # most entries of one side in ten minutes that can be counted
    TYPICAL = 50               # orders whose median size is what is usual
    CHASES = 64                # intents whose re-pricing is remembered
    REPRICES = 64
    LOSS_SLOTS = 30            # of ten seconds: the five minutes of the loss-rate breaker
    QUALITY_MINUTES = 10


cdef struct request_t:
    int64_t price_ticks        # 0 for a market order
    int64_t lots
    int64_t trigger_ticks
    int64_t activate_ticks
    int64_t callback_e8
    int64_t good_till
    int64_t edge_e8            # expected profit as a share of the notional, 0: not stated
    uint64_t intent            # of the strategy, counting up; 0: not named
    uint16_t symbol
    uint8_t side
    uint8_t position_side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
    uint8_t stp
    uint8_t price_match
    uint8_t terms
    uint8_t limiting
    uint8_t reprice            # of an intent that has an order already
    uint8_t amends             # of an order that stands


cdef inline uint8_t small(int value) noexcept nogil:
    # Into a field of a byte: what it cannot hold becomes what no field may be, and is refused.
    return value if 0 <= value < 255 else 255


cdef struct limits_t:
    int64_t exit_collar_e8
    int64_t max_reprices               # in five seconds, of one intent
    int64_t max_drift_e8               # in a minute
    int64_t max_order_e8               # notional
    int64_t order_equity_share_e8      # of equity times order_leverage
    int64_t order_leverage_e8
    int64_t volume_share_e8            # of the last minute's volume
    int64_t assumed_minute_e8          # its notional until 60 s are known
    int64_t depth_share_e8
    int64_t symbol_share_e8
    int64_t strategy_leverage_e8
    int64_t max_gross_e8
    int64_t max_net_e8
    int64_t max_cluster_e8
    int64_t max_leverage
    int64_t bracket_share_e8
    int64_t liquidation_distance_e8
    int64_t liquidation_alarm_e8
    int64_t liquidation_reduce_e8
    double liquidation_atr
    double atr_floor
    int64_t margin_ratio_e8            # maintenance by equity
    int64_t margin_reduce_e8
    int64_t orders_per_second
    int64_t order_burst
    int64_t orders_per_minute
    int64_t strategy_orders_per_second
    int64_t weight_share_e8
    int64_t quality_orders             # in ten minutes, before a ratio counts
    int64_t quality_alarm_e8
    int64_t quality_stop_e8
    int64_t repeated_entries           # of one symbol and side in ten minutes, 0: not counted
    int64_t losing_trips               # of one symbol in an hour, 0: not counted
    int64_t duplicate_ns
    int64_t fat_finger_e8              # times the median of the last fifty
    int64_t book_stale_ns
    int64_t mark_stale_ns
    double candle_stale
    int64_t max_unknown
    int64_t max_drawdown_e8
    int64_t daily_loss_e8
    int64_t loss_rate_e8               # in five minutes
    int64_t loss_pause_ns
    double volatility_collars          # move of a minute in units of the price collar
    double spread_median               # spread in units of its median
    double spread_floor                # share of the price: a narrower spread is no disturbance, whatever its median
    int64_t volatility_pause_ns
    int64_t max_orders_symbol
    int64_t max_orders_total
    int64_t unprotected_ns             # 0: positions need no stop
    int64_t stale_order_ns             # 0: no order becomes stale
    int64_t stop_e8                    # distance of the protective stop that every position gets, 0: none does
    int64_t funding_window_ns
    int64_t delist_ns
    int64_t sides                      # bits: 1 entries may buy, 2 they may sell
    int64_t types                      # bits by OrderType
    int64_t first_minute               # of the UTC day, entries
    int64_t last_minute
    int64_t headroom_ns                # 0: no slow layer speaks
    int64_t conservative_size_e8       # share of every size while a symbol's data are suspect
    uint8_t acknowledged               # a latched limit clears at midnight without an operator (backtests)
    uint8_t armed                      # orders may leave from the start (simulations)


cdef struct bucket_t:
    int64_t level_ns           # debt, in nanoseconds of refill
    int64_t ts


cdef struct recent_t:
    int64_t ts
    int64_t price_ticks
    int64_t lots
    uint16_t symbol
    uint8_t side


cdef struct chase_t:
    # The last prices of one intent, a ring.
    uint64_t intent
    int64_t count
    int64_t ts[REPRICES]
    int64_t ticks[REPRICES]


cdef struct watch_t:
    # What the gate remembers of one symbol.
    int64_t worst_e8           # notional of the largest position that it can come to
    int64_t net_e8[2]          # signed value of the position once all buys, or all sells, have filled
    int64_t headroom[2]        # lots by side, -1: never told
    int64_t headroom_ts
    int64_t rate_e8            # funding to come
    int64_t funding_due
    int64_t delist
    int64_t paused_until       # volatility breaker
    int64_t entries[2][ENTRY_PLACES]
    int64_t entry_count[2]
    int64_t lost_trips[8]      # stamps of losing round trips, a ring
    int64_t trip_count
    int64_t trip_start_e8      # what the symbol had earned when it was last flat
    int64_t unprotected        # since when a stop has been missing, 0: none is
    uint8_t disabled[2]        # R14, by side of the entry
    uint8_t cluster            # 0: of its own
    uint8_t held               # a position is open
    uint8_t suspended          # the exchange does not let it trade
    uint8_t halted             # an operator does not


cdef struct ended_t:
    # Orders that ended in one minute; ratios as the exchange's quality rules define them.
    int64_t minute
    int64_t orders
    int64_t unfilled
    int64_t gtc
    int64_t gtc_cancelled
    int64_t immediate          # IOC and FOK
    int64_t immediate_expired
    int64_t dust


cdef struct peak_t:
    int64_t slot               # ten seconds
    int64_t equity_e8          # highest of them


cdef class RiskGate:
    cdef Instruments instruments
    cdef Account account
    cdef Orders orders
    cdef Markets markets
    cdef Quality quality                   # of the market data, None where nobody judges them
    cdef limits_t limits
    cdef watch_t watched[GATE_SYMBOLS]
    cdef int64_t gross_worst_e8            # sums of the symbols' terms
    cdef int64_t net_worst_e8[2]
    cdef int64_t cluster_e8[GATE_SYMBOLS + 1]
    cdef int unmarked                      # symbols with exposure and no mark
    cdef uint8_t is_unmarked[GATE_SYMBOLS]
    cdef bucket_t account_rate
    cdef bucket_t strategy_rate
    cdef int64_t minute[MINUTE_ORDERS]
    cdef int64_t minute_count
    cdef recent_t recent[RECENT_ORDERS]
    cdef int64_t recent_count
    cdef chase_t chases[CHASES]
    cdef readonly uint64_t last_intent
    cdef int64_t sizes[TYPICAL]            # of approved entries, share of equity, in the order of arrival
    cdef int64_t sorted_sizes[TYPICAL]
    cdef int64_t size_count
    cdef ended_t ends[QUALITY_MINUTES]       # by minute, a ring
    cdef peak_t peaks[LOSS_SLOTS]          # a ring
    cdef int first_peak
    cdef int n_peaks
    cdef readonly int64_t paused_until     # loss-rate breaker
    cdef readonly int64_t weight           # used of the exchange's request weight
    cdef int64_t weight_minute             # in which: with the next the exchange counts anew
    cdef readonly int64_t weight_limit
    cdef readonly int64_t peak_e8          # of the equity, moved by transfers
    cdef readonly int64_t equity_seen_e8   # at the last look
    cdef readonly int64_t max_drawdown_e8  # deepest share of the peak lost so far
    cdef readonly int64_t day              # UTC day number, -1 before the first event
    cdef readonly int64_t day_start_e8
    cdef readonly int64_t transfers_seen_e8
    cdef readonly bint armed
    cdef readonly int64_t gates            # bits of Gate that are closed: nothing may be opened
    cdef readonly bint halted
    cdef readonly bint killed              # latched
    cdef readonly bint day_lost
    cdef public int quality_level          # R13: 0 fine, 1 alarm, 2 stop
    cdef int tripped                       # alarms of the breakers that the next look tells, one bit each
    cdef readonly int ladder               # 0 full, 1 half size, 2 reduce-only
    cdef uint64_t refusals[64]

    cdef Reason approve(self, const request_t* r, int64_t now, approved_t* out) noexcept nogil
    cdef Reason amend(self, order_t* order, int64_t price_ticks, int64_t lots, uint64_t intent, int64_t now,
                      approved_t* out) noexcept nogil
    cdef void fill_approved(self, const request_t* r, int64_t now, approved_t* out) noexcept nogil
    cdef Reason check(self, const request_t* r, int64_t now) noexcept nogil
    cdef Reason check_form(self, const request_t* r, const instrument_t* i, int64_t now) noexcept nogil
    cdef Reason check_exit(self, const request_t* r, const instrument_t* i, const market_t* m) noexcept nogil
    cdef Reason check_state(self, const request_t* r, int64_t now, const instrument_t* i,
                            const market_t* m) noexcept nogil
    cdef Reason check_price(self, const request_t* r, const instrument_t* i, const market_t* m,
                            int64_t price) noexcept nogil
    cdef Reason check_size(self, const request_t* r, int64_t now, const instrument_t* i, market_t* m,
                           int64_t price) noexcept nogil
    cdef Reason check_exposure(self, const request_t* r, const instrument_t* i, const market_t* m,
                               int64_t price) noexcept nogil
    cdef Reason check_flow(self, const request_t* r, int64_t now) noexcept nogil
    cdef Reason check_intent(self, const request_t* r, int64_t now) noexcept nogil
    cdef Reason check_headroom(self, const request_t* r, int64_t now, const market_t* m) noexcept nogil
    cdef bint closes_whole(self, const request_t* r) noexcept nogil
    cdef bint shrinks(self, const request_t* r) noexcept nogil
    cdef bint fresh(self, const market_t* m, int64_t now) noexcept nogil
    cdef bint within_hours(self, int64_t now) noexcept nogil
    cdef bint breaks(self, const market_t* m, const instrument_t* i, int symbol, int64_t now) noexcept nogil
    cdef bint crosses_own(self, const request_t* r) noexcept nogil
    cdef bint fits_usual(self, int64_t worst_e8) noexcept nogil
    cdef bint far_from_liquidation(self, const request_t* r, const instrument_t* i, const market_t* m,
                                   int64_t price) noexcept nogil
    cdef int64_t worst_lots(self, int symbol, const request_t* r, int side) noexcept nogil
    cdef int64_t worst_of(self, int symbol, const request_t* r) noexcept nogil
    cdef int64_t net_of(self, int symbol, const request_t* r, int side) noexcept nogil
    cdef void update(self, int symbol, int64_t now) noexcept nogil
    cdef bint audit(self) noexcept nogil
    cdef bint protected(self, int symbol) noexcept nogil
    cdef void on_ended(self, const order_t* order, int64_t now) noexcept nogil
    cdef int judge_quality(self, int64_t now) noexcept nogil
    cdef void end_trip(self, int symbol, int64_t now) noexcept nogil
    cdef int64_t worst_equity_e8(self, int64_t now, bint with_held) noexcept nogil
    cdef int64_t worse_by_e8(self, int symbol, int64_t price) noexcept nogil
    cdef int64_t reduced_e8(self, int symbol, int64_t now, int64_t most) noexcept nogil
    cdef int watch(self, int64_t now) noexcept nogil
    cdef int watch_rate(self, int64_t equity, int64_t now) noexcept nogil
    cdef void add_peak(self, int64_t slot, int64_t equity) noexcept nogil
    cdef void allow(self) noexcept nogil
    cdef void new_day(self, int64_t equity, int64_t now) noexcept nogil
    cdef int64_t liquidation_distance_e8(self, int symbol, int leg) noexcept nogil
    cdef bint must_reduce(self, int64_t distance_e8) noexcept nogil
    cdef int64_t in_scope(self, int symbol, int leg, int64_t lots) noexcept nogil
    cdef int64_t symbol_cap_e8(self) noexcept nogil
    cdef int64_t drawdown_e8(self) noexcept nogil
    cdef void count_order(self, const request_t* r, bint exit, int64_t now) noexcept nogil
    cdef void count_entry(self, const request_t* r, int64_t now) noexcept nogil
    cdef void count_size(self, int64_t size) noexcept nogil
    cdef void count_price(self, uint64_t intent, int64_t ticks, int64_t now) noexcept nogil
    cdef int64_t hold_ticks(self, const request_t* r) noexcept nogil
    cdef int64_t reference(self, int symbol) noexcept nogil
