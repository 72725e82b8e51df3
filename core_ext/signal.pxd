"""Streaming features of one symbol: touch, mid, microprice, spread, order flow, trade flow, volatility, range, volume.

Doubles may be used for statistics; prices that decide about money stay integers. Nothing here looks
ahead, and nothing here knows an order. An event costs the same however long the run has lasted; a window of
the last minute is a ring of seconds, whose sum is formed when it is asked for, so that asking changes nothing.
"""
from libc.stdint cimport int64_t, uint8_t

from core_ext.types cimport Instruments, Rows, event_t, instrument_t


cdef enum:
    SECONDS = 60
    HOURS = 14             # bars of the average true range
    DEPTH_LEVELS = 20
    MOVE_SECONDS = 61      # the second under way and the sixty before it
    SPREADS = 300          # one-second samples of the median spread
    FEWEST_SPREADS = 60    # before there are as many, the median is not known
    BUCKETS = 50           # the most buckets of VPIN
    USUAL_TRADES = 64      # over which the usual trade size is averaged


cdef struct levels_t:
    # The best levels of one side from the touch outwards, as Book.top gives them.
    int n
    int64_t ticks[DEPTH_LEVELS]
    int64_t lots[DEPTH_LEVELS]


cdef struct minute_t:
    # Amounts of the last 60 s by second. Counts of lots are exact in a double up to 2**53 and cannot overflow in one.
    int64_t second
    double amount[SECONDS]


cdef struct touch_t:
    int64_t bid_ticks          # 0: no touch with two sides yet, or none since a gap
    int64_t bid_lots
    int64_t ask_ticks
    int64_t ask_lots


cdef struct spreads_t:
    int64_t count              # samples seen
    double ring[SPREADS]       # bps, by age
    double ordered[SPREADS]    # the same by size


cdef struct greatest_t:
    # The greatest value of each second that no later second has reached, in a ring, the oldest and greatest first.
    int64_t first
    int64_t count
    int64_t seconds[MOVE_SECONDS]
    double values[MOVE_SECONDS]


cdef struct move_t:
    # Extremes of the mid by second, in the quote coin. A second begins at the price that stood before it.
    int64_t second
    double price               # that stands, 0: none yet
    greatest_t highs
    greatest_t lows            # their negatives


cdef struct vpin_t:
    # |bought - sold| of the last whole volume buckets (Easley, Lopez de Prado, O'Hara 2012).
    int64_t bucket_lots        # 0: not measured
    int64_t buckets            # n of the average
    int64_t lots               # in the bucket that fills
    int64_t bought_lots        # less the sold ones, in that bucket
    int64_t count              # whole buckets seen
    int64_t total              # of the ring
    int64_t imbalance[BUCKETS]


cdef struct market_t:
    # Touch: the newer of the book's and the ticker's. Candle runs: the last candle price, both sides.
    int64_t bid_ticks          # 0: none
    int64_t ask_ticks
    int64_t bid_lots
    int64_t ask_lots
    int64_t touch_id
    int64_t ts_book            # last proof that the touch is current
    int64_t mark_e8            # 0: none
    int64_t ts_mark
    int64_t last_e8            # last trade or candle price, 0: none
    int64_t ts_last
    int64_t interval_ns        # of the candles; 0 in a tick run
    int64_t bar_lots           # volume of the last closed candle
    int64_t depth_lots[2]      # top 20 of each side, refreshed before a risk check
    uint8_t book_good          # the book is usable (candle runs: a candle has closed)
    # Traded lots by second, for the volume of the last minute.
    int64_t second
    int64_t first_second       # when counting began; until 60 s have passed the volume is not known
    int64_t second_lots[SECONDS]
    int64_t minute_lots
    # EWMA of squared one-second returns of the mid, half-life 60 s.
    int64_t sampled_second
    double sampled_mid
    double variance_1s
    # Hourly true ranges.
    int64_t hour
    double hour_high
    double hour_low
    double hour_close          # of the hour before
    double ranges[HOURS]
    int64_t hours              # whole ones; -1 in a first one that is not
    # Order flow at the touch (Cont, Kukanov, Stoikov 2014), lots.
    touch_t before
    minute_t touch_flow
    # Trades by aggressor. The averages of signed and of all lots have a half-life of 10 s.
    minute_t bought
    minute_t sold
    minute_t worth             # ticks times lots
    int64_t flow_second
    double flow_lots           # bought less sold
    double flow_total
    double usual_lots          # average trade size before the last trade
    double size_ratio          # the last trade against it, 0 while it is not known
    int64_t trades
    vpin_t vpin
    # Since UTC midnight; candle runs: at the bars' typical prices.
    int64_t day
    double day_lots
    double day_worth           # ticks times lots
    # Own fills, the older the lighter: what they paid against the mid.
    double fill_lots
    double fill_cost           # lots times bps
    spreads_t spreads
    move_t move


cdef class Markets:
    cdef market_t* data        # by symbol
    cdef readonly int size


cdef void on_touch(market_t* m, const instrument_t* i, int64_t ts) noexcept nogil
cdef void on_trade(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil
cdef void on_candle(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil
cdef int64_t minute_volume_lots(market_t* m, int64_t ts) noexcept nogil
cdef double atr(const market_t* m, double floor_share) noexcept nogil
cdef void on_gap(market_t* m) noexcept nogil
cdef void on_own_fill(market_t* m, int side, int64_t ticks, int64_t lots) noexcept nogil
cdef double median_spread_bps(const market_t* m) noexcept nogil
cdef double minute_move(const market_t* m, int64_t now) noexcept nogil
cdef double order_flow(const market_t* m, int64_t now) noexcept nogil
cdef double trade_flow(const market_t* m, int64_t now) noexcept nogil
cdef double vwap(const market_t* m, int64_t now) noexcept nogil
cdef int64_t depth_lots(const levels_t* side, int n) noexcept nogil
cdef double imbalance(const levels_t* bids, const levels_t* asks, int n) noexcept nogil
cdef double average_ticks(const levels_t* side, int64_t lots) noexcept nogil
cdef double impact_bps(const levels_t* side, int64_t lots, double middle) noexcept nogil
cdef int64_t levels_flow(const levels_t* before, const levels_t* after, int side, int n) noexcept nogil


cdef inline double mid(const market_t* m) noexcept nogil:
    # In ticks; 0 without two sides.
    return 0.5 * <double> (m.bid_ticks + m.ask_ticks) if m.bid_ticks > 0 and m.ask_ticks > 0 else 0.0


cdef inline int64_t mid_e8(const market_t* m, const instrument_t* i) noexcept nogil:
    return (m.bid_ticks + m.ask_ticks) * i.tick_e8 // 2 if m.bid_ticks > 0 and m.ask_ticks > 0 else 0


cdef inline double microprice(const market_t* m) noexcept nogil:
    # The touch weighted by the opposite size, in ticks: where the next trade pulls.
    cdef double lots = <double> (m.bid_lots + m.ask_lots)
    if m.bid_ticks <= 0 or m.ask_ticks <= 0 or lots <= 0:
        return mid(m)
    return (<double> m.bid_ticks * m.ask_lots + <double> m.ask_ticks * m.bid_lots) / lots


cdef inline int64_t microprice_e8(const market_t* m, const instrument_t* i) noexcept nogil:
    return <int64_t> (microprice(m) * <double> i.tick_e8 + 0.5)


cdef inline double spread_bps(const market_t* m) noexcept nogil:
    # Of the mid; 0 without two sides.
    cdef double middle = mid(m)
    return <double> (m.ask_ticks - m.bid_ticks) / middle * 1e4 if middle > 0 else 0.0


cdef inline double spread_ratio(const market_t* m) noexcept nogil:
    # The spread against the median of the last 300 one-second samples; 0 while that is not known.
    cdef double median = median_spread_bps(m)
    return spread_bps(m) / median if median > 0 else 0.0


cdef inline double trade_flow_ewma(const market_t* m) noexcept nogil:
    # Share of bought less sold lots, -1 to 1, half-life 10 s; 0 before the first trade.
    return m.flow_lots / m.flow_total if m.flow_total > 0 else 0.0


cdef inline double vpin(const market_t* m) noexcept nogil:
    # 0 to 1; -1 until its buckets are full.
    if m.vpin.bucket_lots <= 0 or m.vpin.count < m.vpin.buckets:
        return -1.0
    return <double> m.vpin.total / (<double> m.vpin.buckets * <double> m.vpin.bucket_lots)


cdef inline double day_vwap(const market_t* m) noexcept nogil:
    # In ticks, of the UTC day of the last trade; 0 before it.
    return m.day_worth / m.day_lots if m.day_lots > 0 else 0.0


cdef inline double effective_spread_bps(const market_t* m) noexcept nogil:
    # What own fills paid across the mid, twice, by lots; negative: they earned it. 0 before the first.
    return m.fill_cost / m.fill_lots if m.fill_lots > 0 else 0.0


cdef class BarWindow:
    cdef double* closes            # ring
    cdef Py_ssize_t length
    cdef readonly Py_ssize_t count  # closes seen
    cdef double decay
    cdef double weight
    cdef double sum_squares
    cpdef void push(self, double close)
    cpdef double change(self, Py_ssize_t bars)
    cpdef double mean(self, Py_ssize_t bars)
    cpdef double strength(self, tuple lookbacks)
    cpdef double deviation(self)


cdef struct forming_t:
    int64_t open_e8            # 0: no trade in this bar yet
    int64_t high_e8
    int64_t low_e8
    int64_t close_e8           # of the last trade ever
    int64_t lots
    double worth               # ticks times lots
    double vwap                # of the last closed bar, in the quote coin; 0: none


cdef struct longer_t:
    # A longer bar under way, of one symbol and interval.
    int64_t open_e8
    int64_t high_e8
    int64_t low_e8
    int64_t close_e8
    int64_t lots
    int64_t next_ts            # close of the shorter bar that must come now; 0: wait for a boundary
    double worth               # typical price times lots
    double vwap                # of the last closed bar; 0: none
    uint8_t whole              # closed by the run under way


cdef class CandleSource:
    # What stands between a run's files and its engine when the candles of the run are not those of the files.
    cdef Rows out              # rows completed by the last call
    cdef int add(self, const event_t* row) except -1


cdef class CandleBuilder(CandleSource):
    cdef Instruments instruments
    cdef forming_t* forming
    cdef readonly int64_t interval_ns
    cdef int64_t due           # stamp at which the bars under way close, 0 before the first trade
    cdef bint whole            # the bars under way began at their boundary
    cdef int begin_anew(self) except -1
    cdef int close_bars(self) except -1
    cdef double average(self, const forming_t* bar, int symbol) noexcept nogil
    cdef event_t* row(self, uint8_t kind, int symbol, int64_t ts, uint8_t flags) except NULL


cdef class CandleAggregator:
    cdef readonly int64_t source_ns
    cdef readonly tuple intervals_ns
    cdef readonly int symbols
    cdef int n                 # intervals
    cdef int64_t* lengths      # ns, ascending
    cdef longer_t* bars        # by interval, then symbol
    cdef Rows out              # rows completed by the last call
    cdef int add(self, const event_t* row) except -1
    cdef void fold(self, longer_t* bar, int64_t length, const event_t* row) noexcept nogil
    cdef int give(self) except -1


cdef class LongerCandles(CandleSource):
    cdef readonly int64_t interval_ns
    cdef CandleAggregator aggregator
    cdef Rows marks            # of the stamp under way, until its last bar has come
    cdef int end_stamp(self) except -1
