"""The simulated venue: everything that changes an order, a balance or a position at the exchange.

In replay the recording alone is the market: our orders match against what it shows, and what they
took is remembered until that level next changes. It runs on the recording's receive clock, so the
latency of an order is the whole way from decision to matching, the feed's delay included.

Queue model: pessimistic. An order joins behind everything displayed at its price; trades at that price
move it forward, cancellations by others never do, except that nobody can stand behind more than is
displayed. A fill never improves on what the book showed.

On candles: a market order fills at the open of the bar after the decision, half a spread and square-root
impact worse; a limit order only when a bar trades through it by a tick; the adverse extreme of the mark
comes first. Liquidation is judged on the mark.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t

from core_ext.account cimport Account
from core_ext.book cimport Book
from core_ext.types cimport Instruments, Rows, approved_t, event_t, instrument_t


cdef enum:
    MAX_RESTING = 1024         # open orders a symbol, over all accounts
    MAX_CONSUMED = 1024        # levels a symbol that our own orders have eaten into
    VENUE_SYMBOLS = 128


cdef struct resting_t:
    approved_t order
    int64_t venue_id
    int64_t leaves
    int64_t ahead              # lots displayed in front of it
    int64_t since              # accepted, ns
    int account
    uint8_t waits              # a market order for the next open (candle runs)


cdef struct consumed_t:
    int64_t ticks
    int64_t lots
    uint8_t side


cdef struct place_t:
    # The venue's view of one symbol's market.
    resting_t* resting
    int resting_count
    consumed_t* consumed
    int consumed_count
    int64_t book_stamp         # exchange time of the last depth applied, ns
    int64_t mark_e8
    int64_t ts_mark
    int64_t rate_e8            # of the funding to come
    int64_t funding_due        # its stamp, 0: none known
    int64_t funding_settled    # the last stamp settled: no clock set back settles it again
    int64_t open_e8            # candle runs: the current bar's open
    int64_t ts_open
    int64_t interval_ns        # 0: tick run
    int64_t bar_lots           # mean volume of a bar, exponentially weighted
    int64_t close_e8
    int64_t worst_low_e8       # of the mark, since the last complete batch of bars
    int64_t worst_high_e8
    double variance            # of a bar's return, exponentially weighted
    uint8_t has_extremes
    uint8_t mark_source        # 0 stream, 1 file, 2 proxy


cdef class Exchange:
    cdef readonly Instruments instruments
    cdef readonly list accounts
    cdef readonly list books
    cdef place_t* places
    cdef Rows out                      # what the venue says, in its own time; the driver delivers it
    cdef Rows to                       # row k of ``out`` goes to the account in word a of row k here
    cdef double half_spread            # of the price, candle runs
    cdef double impact
    cdef int64_t grace_ns              # an order this soon after the open still gets that open
    cdef bint stream_funding           # settle what the mark stream announces
    cdef int64_t next_venue_id
    cdef int64_t next_trade_id
    cdef readonly uint64_t liquidations

    cdef int on_row(self, const event_t* row) except -1
    cdef int submit(self, const approved_t* order, int account, int64_t now) except -1
    cdef int cancel(self, uint64_t client_id, int symbol, int account, int64_t now) except -1
    cdef event_t* say(self, uint8_t kind, int symbol, int account, int64_t now) except NULL
    cdef int refuse(self, const approved_t* order, int account, int64_t now, int code) except -1
    cdef int refusal(self, const approved_t* order, int account) except -1
    cdef int open_orders(self, int symbol, int account) noexcept
    cdef int64_t cost_e8(self, const approved_t* order, int account, int64_t at) except -1
    cdef int64_t open_ticks(self, int symbol, int side, int64_t lots) except -1
    cdef int64_t proxy_e8(self, int symbol) except -1
    cdef int fill_crossed(self, resting_t* o, int64_t now) except -1
    cdef bint crosses(self, const approved_t* order) except -1
    cdef int take(self, resting_t* taker, int64_t now) except -1
    cdef int take_book(self, resting_t* taker, int64_t now) except -1
    cdef int take_open(self, resting_t* taker, int64_t now) except -1
    cdef int fill(self, resting_t* o, int64_t lots, int64_t price_ticks, bint maker, int64_t touch,
                  int64_t now) except -1
    cdef int64_t may_fill(self, const resting_t* o, int64_t lots) except? -1
    cdef int rest(self, const resting_t* o, int64_t now) except -1
    cdef int expire(self, const resting_t* o, int reason, int64_t now) except -1
    cdef int remove(self, int symbol, int k) except -1
    cdef int64_t displayed(self, int symbol, int side, int64_t ticks) except -1
    cdef bint consume(self, int symbol, int side, int64_t ticks, int64_t lots) except -1
    cdef int forget_level(self, int symbol, int side, int64_t ticks) except -1
    cdef int on_depth_end(self, int symbol, int64_t now) except -1
    cdef int on_trade(self, const event_t* row) except -1
    cdef int on_candle(self, const event_t* row) except -1
    cdef int on_open(self, const event_t* row) except -1
    cdef int on_extremes(self, const event_t* row, int64_t high, int64_t low, int64_t close) except -1
    cdef int settle_batch(self, int64_t now) except -1
    cdef int set_mark(self, int symbol, int64_t mark_e8, int64_t now) except -1
    cdef int pass_stamp(self, int symbol, int64_t now) except -1
    cdef bint out_of_bound(self, const approved_t* order, int64_t mark) except -1
    cdef int settle_funding(self, int symbol, int64_t rate_e8, int64_t mark_e8, int64_t now) except -1
    cdef int check_liquidation(self, int64_t now) except -1
    cdef int liquidate(self, int account, int64_t now) except -1
