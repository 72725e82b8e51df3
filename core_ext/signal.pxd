"""Streaming features of one symbol: touch, mid, microprice, imbalance, volatility, range, traded volume.

Doubles may be used for statistics; prices that decide about money stay integers. Nothing here looks
ahead, and nothing here knows an order.
"""
from libc.stdint cimport int64_t, uint8_t

from core_ext.types cimport Instruments, Rows, event_t, instrument_t


cdef enum:
    SECONDS = 60
    HOURS = 14             # bars of the average true range
    DEPTH_LEVELS = 20


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
    int64_t samples
    # Hourly true ranges.
    int64_t hour
    double hour_high
    double hour_low
    double hour_close          # of the hour before
    double ranges[HOURS]
    int64_t hours


cdef class Markets:
    cdef market_t* data        # by symbol
    cdef readonly int size


cdef void on_touch(market_t* m, const instrument_t* i, int64_t ts) noexcept nogil
cdef void on_trade(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil
cdef void on_candle(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil
cdef int64_t minute_volume_lots(market_t* m, int64_t ts) noexcept nogil
cdef double atr(const market_t* m, double floor_share) noexcept nogil


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


cdef class BarWindow:
    cdef double* closes            # ring
    cdef Py_ssize_t length
    cdef readonly Py_ssize_t count  # closes seen
    cdef double decay
    cdef double weight
    cdef double sum_squares
    cpdef void push(self, double close)
    cpdef double change(self, Py_ssize_t bars)
    cpdef double strength(self, tuple lookbacks)
    cpdef double deviation(self)


cdef struct forming_t:
    int64_t open_e8            # 0: no trade in this bar yet
    int64_t high_e8
    int64_t low_e8
    int64_t close_e8           # of the last trade ever
    int64_t lots


cdef class CandleBuilder:
    cdef Instruments instruments
    cdef forming_t* forming
    cdef readonly int64_t interval_ns
    cdef int64_t due           # stamp at which the bars under way close, 0 before the first trade
    cdef bint whole            # the bars under way began at their boundary
    cdef Rows out              # rows completed by the last call
    cdef int add(self, const event_t* row) except -1
    cdef int begin_anew(self) except -1
    cdef int close_bars(self) except -1
    cdef event_t* row(self, uint8_t kind, int symbol, int64_t ts, uint8_t flags) except NULL
