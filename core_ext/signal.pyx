"""Streaming features, one struct a symbol."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t

from core_ext.types cimport Flag, Instruments, Kind, Rows, event_t, instrument_t

cdef int64_t SECOND = 1000000000
cdef int64_t HOUR = 3600000000000
cdef int64_t MAX_FLAT = 60             # intervals without a row of any kind that still pass for a quiet market
# 0.5 ** (1 / 60): written out, so that no library's pow decides a bit of it.
cdef double DECAY_1S = 0.98851402035289613535


cdef void roll_seconds(market_t* m, int64_t second) noexcept nogil:
    # Drop the seconds that have left the last minute.
    cdef int64_t steps = second - m.second
    cdef int64_t k
    if m.first_second == 0:
        m.first_second = second
        m.second = second
        return
    if steps <= 0:
        return
    for k in range(min(steps, SECONDS)):
        m.minute_lots -= m.second_lots[(m.second + 1 + k) % SECONDS]
        m.second_lots[(m.second + 1 + k) % SECONDS] = 0
    m.second = second


cdef void on_trade(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil:
    roll_seconds(m, row.ts // SECOND)
    m.second_lots[m.second % SECONDS] += row.c
    m.minute_lots += row.c
    m.last_e8 = row.b * i.tick_e8
    m.ts_last = row.ts


cdef int64_t minute_volume_lots(market_t* m, int64_t ts) noexcept nogil:
    # Lots of the last 60 s; candle runs: the last candle's volume a minute; -1 while it is not known.
    if m.interval_ns:
        return m.bar_lots * 60 // (m.interval_ns // SECOND) if m.ts_last else -1
    if m.first_second == 0 or ts // SECOND - m.first_second < SECONDS:
        return -1
    roll_seconds(m, ts // SECOND)
    return m.minute_lots


cdef void add_range(market_t* m, double high, double low, double close) noexcept nogil:
    # Close an hour: its true range against the close before.
    cdef double top = high
    cdef double bottom = low
    if m.hour_close > 0:
        top = max(top, m.hour_close)
        bottom = min(bottom, m.hour_close)
    m.ranges[m.hours % HOURS] = top - bottom
    m.hours += 1
    m.hour_close = close


cdef void track_hour(market_t* m, int64_t ts, double high, double low, double close) noexcept nogil:
    # high, low, close since the last call, in the quote coin.
    cdef int64_t hour = ts // HOUR
    if m.hour == 0:
        m.hour = hour
        m.hour_high = high
        m.hour_low = low
    elif hour != m.hour:
        add_range(m, m.hour_high, m.hour_low, m.sampled_mid if m.sampled_mid > 0 else close)
        m.hour = hour
        m.hour_high = high
        m.hour_low = low
    else:
        m.hour_high = max(m.hour_high, high)
        m.hour_low = min(m.hour_low, low)


cdef void on_touch(market_t* m, const instrument_t* i, int64_t ts) noexcept nogil:
    # Sample the mid once a second.
    cdef int64_t second = ts // SECOND
    cdef double price = mid(m) * <double> i.tick_e8 * 1e-8
    cdef double change
    if price <= 0 or second <= m.sampled_second:
        return
    track_hour(m, ts, price, price, price)
    if m.sampled_mid > 0:
        change = price / m.sampled_mid - 1.0
        # A pause of k seconds counts as k samples of equal variance.
        m.variance_1s = (DECAY_1S * m.variance_1s
                         + (1.0 - DECAY_1S) * change * change / <double> (second - m.sampled_second))
        m.samples += 1
    m.sampled_mid = price
    m.sampled_second = second


cdef void on_candle(market_t* m, const instrument_t* i, const event_t* row) noexcept nogil:
    # A closed candle: hours are gathered from shorter ones; a longer one stands for hours of sqrt-of-time range.
    cdef double high = row.b * 1e-8
    cdef double low = row.c * 1e-8
    cdef double close = row.d * 1e-8
    m.interval_ns = row.f
    m.bar_lots = row.e
    m.last_e8 = row.d
    m.ts_last = row.ts
    if row.f >= HOUR:
        add_range(m, high, low, close)
        m.ranges[(m.hours - 1) % HOURS] /= sqrt(<double> row.f / HOUR)
    else:
        track_hour(m, row.ts - 1, high, low, close)
        m.sampled_mid = close


cdef double atr(const market_t* m, double floor_share) noexcept nogil:
    # Average true range of 14 hours in the quote coin; before there are 14, the larger of a configured share of the
    # price and the one-second volatility scaled to the hour.
    cdef double price = m.mark_e8 * 1e-8 if m.mark_e8 else m.last_e8 * 1e-8
    cdef double total = 0.0
    cdef int k
    if m.hours >= HOURS:
        for k in range(HOURS):
            total += m.ranges[k]
        return total / HOURS
    return price * max(floor_share, sqrt(m.variance_1s) * 60.0)


@cython.final
cdef class Markets:
    """The features of every symbol of a run."""

    def __cinit__(self, int size):
        self.data = <market_t*> PyMem_Calloc(size, sizeof(market_t))
        if self.data == NULL:
            raise MemoryError("markets")
        self.size = size

    def __dealloc__(self):
        PyMem_Free(self.data)

    def market(self, int symbol):
        """Return a symbol's features."""
        if not 0 <= symbol < self.size:
            raise IndexError(symbol)
        return dict(self.data[symbol])

    def set(self, int symbol, **fields):
        """Set features by name, as the engine would from events; the gate's boundary tests state their market so."""
        cdef market_t* m
        if not 0 <= symbol < self.size:
            raise IndexError(symbol)
        m = &self.data[symbol]
        for name, value in fields.items():
            if name == "bid_ticks":
                m.bid_ticks = value
            elif name == "ask_ticks":
                m.ask_ticks = value
            elif name == "mark_e8":
                m.mark_e8 = value
            elif name == "ts_mark":
                m.ts_mark = value
            elif name == "ts_book":
                m.ts_book = value
            elif name == "last_e8":
                m.last_e8 = value
            elif name == "ts_last":
                m.ts_last = value
            elif name == "interval_ns":
                m.interval_ns = value
            elif name == "bar_lots":
                m.bar_lots = value
            elif name == "depth_lots":
                m.depth_lots[0], m.depth_lots[1] = value
            elif name == "book_good":
                m.book_good = value
            else:
                raise TypeError(f"no such feature: {name}")


cdef double half_to(double power) noexcept:
    # 0.5 to a power in [0, 1] by its series: the libraries' pow differ in the last bit, and this decides orders.
    cdef double x = -0.69314718055994530942 * power
    cdef double term = 1.0, total = 1.0
    cdef int k
    for k in range(1, 25):
        term *= x / k
        total += term
    return total


@cython.final
cdef class BarWindow:
    """Closes of the last bars, with their exponentially weighted volatility.

    Parameters
    ----------
    length : int
        Bars to remember.
    half_life : float
        Of the volatility, bars; at least one.
    """

    def __cinit__(self, Py_ssize_t length, double half_life):
        if not 2 <= length <= 1 << 20 or not 1.0 <= half_life <= 1e9:
            raise ValueError(f"a window has 2 to 2**20 bars and a half-life from 1, not {length} and {half_life}")
        self.closes = <double*> PyMem_Calloc(length, sizeof(double))
        if self.closes == NULL:
            raise MemoryError()
        self.length = length
        self.decay = half_to(1.0 / half_life)

    def __init__(self, Py_ssize_t length, double half_life):
        self.count = 0

    def __dealloc__(self):
        PyMem_Free(self.closes)

    cpdef void push(self, double close):
        """Append a close."""
        cdef double change
        if self.count:
            change = close / self.closes[(self.count - 1) % self.length] - 1.0
            self.weight = self.decay * self.weight + 1.0
            self.sum_squares = self.decay * self.sum_squares + change * change
        self.closes[self.count % self.length] = close
        self.count += 1

    cpdef double change(self, Py_ssize_t bars):
        """Return the simple return over the last ``bars`` bars, NaN before there are enough."""
        if bars >= self.length or bars >= self.count or bars < 0:
            return float("nan")
        return self.closes[(self.count - 1) % self.length] / self.closes[(self.count - 1 - bars) % self.length] - 1.0

    cpdef double strength(self, tuple lookbacks):
        """Return the mean over lookbacks of the return in units of its own volatility, each held to [-1, 1].

        NaN before the longest lookback (the last) is full, and in a market without volatility.
        """
        cdef double deviation = self.deviation()
        cdef double total = 0.0
        cdef Py_ssize_t bars
        if not deviation > 0.0 or self.count <= <Py_ssize_t> lookbacks[len(lookbacks) - 1]:
            return float("nan")
        for bars in lookbacks:
            total += max(-1.0, min(1.0, self.change(bars) / (deviation * sqrt(<double> bars))))
        return total / len(lookbacks)

    cpdef double deviation(self):
        """Return the volatility of one bar (zero mean), NaN before the second bar."""
        return sqrt(self.sum_squares / self.weight) if self.weight > 0 else float("nan")

    def state(self):
        """Return everything that the window knows, for the state hash."""
        cdef Py_ssize_t i
        closes = [self.closes[i] for i in range(min(self.count, self.length))]
        return (self.count, self.weight, self.sum_squares, closes)


@cython.final
cdef class CandleBuilder:
    """Candles of every symbol from trades, all closing together at the interval's boundaries.

    The bars close when the first row of any kind at or after the boundary arrives; a symbol without a
    trade in the interval has a flat bar at its last close; after sixty intervals without any row it begins anew,
    since that is a hole in the data and no quiet market. The bar in which the first trade falls began
    before it and is not given. A bar's open comes with its first trade: nothing is known earlier.

    Parameters
    ----------
    instruments : Instruments
    interval_ns : int
        Of the bars, a divisor of a day.
    """

    def __cinit__(self, Instruments instruments not None, int64_t interval_ns):
        self.forming = <forming_t*> PyMem_Calloc(len(instruments), sizeof(forming_t))
        if self.forming == NULL:
            raise MemoryError("candles")

    def __init__(self, Instruments instruments not None, int64_t interval_ns):
        if interval_ns <= 0 or 24 * HOUR % interval_ns:
            raise ValueError(f"an interval divides a day, not {interval_ns} ns")
        self.instruments = instruments
        self.interval_ns = interval_ns
        self.out = Rows()

    def __dealloc__(self):
        PyMem_Free(self.forming)

    cdef int add(self, const event_t* row) except -1:
        # Close what is due, then let a trade form its bar; marks and funding pass.
        cdef forming_t* bar = &self.forming[row.symbol]
        cdef int64_t price
        cdef event_t* opened
        self.out.size = 0
        if self.due and row.ts >= self.due + MAX_FLAT * self.interval_ns:
            self.begin_anew()
        while self.due and row.ts >= self.due:
            self.close_bars()
        if row.kind == Kind.MARK or row.kind == Kind.FUNDING:
            self.out.push()[0] = row[0]
        if row.kind != Kind.TRADE or row.f:
            return 0
        if self.due == 0:
            self.due = row.ts - row.ts % self.interval_ns + self.interval_ns
        price = row.b * self.instruments.data[row.symbol].tick_e8
        if bar.open_e8 == 0:
            bar.open_e8 = bar.high_e8 = bar.low_e8 = price
            opened = self.row(Kind.CANDLE_OPEN, row.symbol, row.ts, Flag.F_END)
            opened.a = price
        bar.high_e8 = max(bar.high_e8, price)
        bar.low_e8 = min(bar.low_e8, price)
        bar.close_e8 = price
        bar.lots += row.c
        return 0

    cdef int begin_anew(self) except -1:
        # The data have a hole: what was forming is not known, and nothing is made up.
        cdef int k
        for k in range(self.instruments.size):
            self.forming[k].open_e8 = 0
            self.forming[k].close_e8 = 0
            self.forming[k].lots = 0
        self.due = 0
        self.whole = False
        return 0

    cdef int close_bars(self) except -1:
        cdef forming_t* bar
        cdef event_t* row = NULL
        cdef int k
        for k in range(self.instruments.size):
            bar = &self.forming[k]
            if bar.close_e8 and self.whole:
                row = self.row(Kind.CANDLE, k, self.due, Flag.F_CLOSED)
                row.a = bar.open_e8 if bar.open_e8 else bar.close_e8
                row.b = bar.high_e8 if bar.open_e8 else bar.close_e8
                row.c = bar.low_e8 if bar.open_e8 else bar.close_e8
                row.d = bar.close_e8
                row.e = bar.lots
            bar.open_e8 = 0
            bar.lots = 0
        if row != NULL:
            row.flags |= Flag.F_END
        self.whole = True
        self.due += self.interval_ns
        return 0

    cdef event_t* row(self, uint8_t kind, int symbol, int64_t ts, uint8_t flags) except NULL:
        cdef event_t* row = self.out.push()
        row.kind = kind
        row.flags = flags
        row.symbol = symbol
        row.ts = ts
        row.f = self.interval_ns
        return row

    def feed(self, rows):
        """Add rows; return the rows that they complete."""
        cdef Rows source = Rows(rows)
        cdef Rows done = Rows()
        cdef Py_ssize_t i, k
        for i in range(source.size):
            if source.data[i].symbol >= self.instruments.size:
                raise IndexError(source.data[i].symbol)
            self.add(source.data + i)
            for k in range(self.out.size):
                done.push()[0] = self.out.data[k]
        return done.array()
