"""Streaming features, one struct a symbol."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from core_ext.fixed cimport MAX_STEPS
from core_ext.types cimport Flag, Instruments, Kind, Rows, Side, event_t, instrument_t

cdef enum:
    SECOND = 1000000000

cdef int64_t HOUR = 3600000000000
cdef int64_t DAY = 86400000000000
cdef int64_t MAX_FLAT = 60             # intervals without a row of any kind that still pass for a quiet market
# 0.5 ** (1 / 60): written out, so that no library's pow decides a bit of it.
cdef double DECAY_1S = 0.98851402035289613535
cdef double FLOW_DECAY_1S = 0.93303299153680741598     # 0.5 ** (1 / 10)
cdef double FILL_DECAY = 0.95                          # a fill: about twenty of them count


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
    if row.c > 0:
        add_flow(m, row.ts // SECOND, row.b, row.c, row.flags & Flag.F_SELL)
        add_day(m, row.ts, row.b, row.c)


cdef void add_flow(market_t* m, int64_t second, int64_t ticks, int64_t lots, bint sold) noexcept nogil:
    cdef double size = <double> lots
    cdef double kept
    minute_add(&m.sold if sold else &m.bought, second, size)
    minute_add(&m.worth, second, <double> ticks * size)
    if second > m.flow_second:
        kept = decayed(FLOW_DECAY_1S, second - m.flow_second)
        m.flow_lots *= kept
        m.flow_total *= kept
        m.flow_second = second
    m.flow_lots += -size if sold else size
    m.flow_total += size
    m.size_ratio = size / m.usual_lots if m.trades >= USUAL_TRADES else 0.0
    m.trades += 1
    m.usual_lots += (size - m.usual_lots) / <double> min(m.trades, USUAL_TRADES)
    fill_bucket(&m.vpin, lots, sold)


cdef double decayed(double base, int64_t seconds) noexcept nogil:
    # A power by squares: a pause of a day costs seventeen steps.
    cdef double power = 1.0
    while seconds > 0:
        if seconds & 1:
            power *= base
        base *= base
        seconds >>= 1
    return power


cdef void fill_bucket(vpin_t* v, int64_t lots, bint sold) noexcept nogil:
    cdef int64_t part
    if v.bucket_lots <= 0:
        return
    part = lots // v.bucket_lots - v.buckets
    if part > 1:                               # the ring forgets whole buckets of one side: skip them
        lots -= (part - 1) * v.bucket_lots
    while lots > 0:
        part = min(lots, v.bucket_lots - v.lots)
        v.lots += part
        v.bought_lots += -part if sold else part
        lots -= part
        if v.lots == v.bucket_lots:
            close_bucket(v)


cdef void close_bucket(vpin_t* v) noexcept nogil:
    cdef int64_t slot = v.count % v.buckets
    v.total -= v.imbalance[slot]
    v.imbalance[slot] = v.bought_lots if v.bought_lots >= 0 else -v.bought_lots
    v.total += v.imbalance[slot]
    v.count += 1
    v.lots = 0
    v.bought_lots = 0


cdef void add_day(market_t* m, int64_t ts, double ticks, double lots) noexcept nogil:
    if ts // DAY > m.day:
        m.day = ts // DAY
        m.day_lots = 0.0
        m.day_worth = 0.0
    m.day_lots += lots
    m.day_worth += ticks * lots


cdef void minute_add(minute_t* w, int64_t second, double amount) noexcept nogil:
    # A late second counts to the one under way: what is known now is known now.
    cdef int64_t k
    for k in range(max(w.second + 1, second - SECONDS + 1), second + 1):
        w.amount[k % SECONDS] = 0.0
    w.second = max(w.second, second)
    w.amount[w.second % SECONDS] += amount


cdef double minute_sum(const minute_t* w, int64_t second) noexcept nogil:
    # Of the last 60 s, the second under way among them.
    cdef double total = 0.0
    cdef int64_t k
    for k in range(max(0, max(w.second, second) - SECONDS + 1), w.second + 1):
        total += w.amount[k % SECONDS]
    return total


cdef double order_flow(const market_t* m, int64_t now) noexcept nogil:
    # Lots that the touch gained on the bid and lost on the ask in the last 60 s: demand, positive when it pushes up.
    return minute_sum(&m.touch_flow, now // SECOND)


cdef double trade_flow(const market_t* m, int64_t now) noexcept nogil:
    # Share of bought less sold lots of the last 60 s, -1 to 1; 0 without a trade.
    cdef double bought = minute_sum(&m.bought, now // SECOND)
    cdef double sold = minute_sum(&m.sold, now // SECOND)
    return (bought - sold) / (bought + sold) if bought + sold > 0 else 0.0


cdef double vwap(const market_t* m, int64_t now) noexcept nogil:
    # In ticks, of the last 60 s; 0 without a trade.
    cdef double lots = minute_sum(&m.bought, now // SECOND) + minute_sum(&m.sold, now // SECOND)
    return minute_sum(&m.worth, now // SECOND) / lots if lots > 0 else 0.0


cdef int64_t minute_volume_lots(market_t* m, int64_t ts) noexcept nogil:
    # Lots of the last 60 s; candle runs: the last candle's volume a minute; -1 while it is not known.
    if m.interval_ns:
        return m.bar_lots * 60 // max(1, m.interval_ns // SECOND) if m.ts_last else -1
    if m.first_second == 0 or ts // SECOND - m.first_second < SECONDS:
        return -1
    roll_seconds(m, ts // SECOND)
    return m.minute_lots


cdef void add_range(market_t* m, double high, double low, double close) noexcept nogil:
    # Close an hour: its true range against the close before.
    cdef double top = high
    cdef double bottom = low
    if m.hours < 0:                            # it was not seen from its beginning
        m.hours = 0
        m.hour_close = close
        return
    if m.hour_close > 0:
        top = max(top, m.hour_close)
        bottom = min(bottom, m.hour_close)
    m.ranges[m.hours % HOURS] = top - bottom
    m.hours += 1
    m.hour_close = close


cdef void track_hour(market_t* m, int64_t since, int64_t ts, double high, double low, double close) noexcept nogil:
    # high, low, close since a stamp or the last call, in the quote coin.
    cdef int64_t hour = ts // HOUR
    if m.hour == 0:
        m.hours = -(since % HOUR >= SECOND)
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


cdef inline int64_t side_flow(int64_t key_before, int64_t before, int64_t key, int64_t lots) noexcept nogil:
    # Lots gained by one side whose better price has the greater key: all of a better level, none of a lost one.
    return (lots if key >= key_before else 0) - (before if key <= key_before else 0)


cdef void add_touch_flow(market_t* m, int64_t second) noexcept nogil:
    cdef touch_t* t = &m.before
    if t.bid_ticks > 0:
        minute_add(&m.touch_flow, second, <double> (
            side_flow(t.bid_ticks, t.bid_lots, m.bid_ticks, m.bid_lots)
            - side_flow(-t.ask_ticks, t.ask_lots, -m.ask_ticks, m.ask_lots)))
    t.bid_ticks = m.bid_ticks
    t.bid_lots = m.bid_lots
    t.ask_ticks = m.ask_ticks
    t.ask_lots = m.ask_lots


cdef void on_gap(market_t* m) noexcept nogil:
    # The book was lost: the next touch follows from none before, and its difference is nobody's order.
    m.before.bid_ticks = 0


cdef void push_spread(spreads_t* s, double spread) noexcept nogil:
    # The place of the sample that leaves, or a new one at the end, is moved to where the new sample belongs.
    cdef int64_t slot = s.count % SPREADS
    cdef int64_t last = min(s.count, SPREADS - 1)
    cdef int64_t k = last
    while s.count >= SPREADS and s.ordered[k] != s.ring[slot]:
        k -= 1
    while k > 0 and s.ordered[k - 1] > spread:
        s.ordered[k] = s.ordered[k - 1]
        k -= 1
    while k < last and s.ordered[k + 1] < spread:
        s.ordered[k] = s.ordered[k + 1]
        k += 1
    s.ordered[k] = spread
    s.ring[slot] = spread
    s.count += 1


cdef double median_spread_bps(const market_t* m) noexcept nogil:
    # Of the last 300 seconds with a touch; 0 before there were 60.
    cdef int64_t n = min(m.spreads.count, SPREADS)
    if n < FEWEST_SPREADS:
        return 0.0
    return 0.5 * (m.spreads.ordered[(n - 1) // 2] + m.spreads.ordered[n // 2])


cdef void add_greatest(greatest_t* e, int64_t second, double value) noexcept nogil:
    cdef int64_t last
    while e.count and e.seconds[e.first] <= second - MOVE_SECONDS:
        e.first = (e.first + 1) % MOVE_SECONDS
        e.count -= 1
    while e.count:
        last = (e.first + e.count - 1) % MOVE_SECONDS
        if e.values[last] > value:
            if e.seconds[last] == second:
                return
            break
        e.count -= 1
    last = (e.first + e.count) % MOVE_SECONDS
    e.seconds[last] = second
    e.values[last] = value
    e.count += 1


cdef double greatest_since(const greatest_t* e, int64_t second, double value) noexcept nogil:
    # From a second on, and this value.
    cdef int64_t k
    for k in range(e.count):
        if e.seconds[(e.first + k) % MOVE_SECONDS] >= second:
            return max(value, e.values[(e.first + k) % MOVE_SECONDS])
    return value


cdef void track_move(move_t* w, int64_t second, double high, double low, double close) noexcept nogil:
    # high, low, close since the last call; a late second counts to the one under way.
    if w.price > 0 and second > w.second:
        high = max(high, w.price)
        low = min(low, w.price)
    w.second = max(w.second, second)
    w.price = close
    add_greatest(&w.highs, w.second, high)
    add_greatest(&w.lows, w.second, -low)


cdef double minute_move(const market_t* m, int64_t now) noexcept nogil:
    # Largest |mid / mid then - 1| over the last 60 s, of the mid that stands; 0 before the first. A price that stood
    # longer than that counts until it is replaced: a jump out of silence is a move.
    cdef const move_t* w = &m.move
    cdef int64_t oldest = max(now // SECOND, w.second) - MOVE_SECONDS + 1
    if w.price <= 0:
        return 0.0
    return max(w.price / -greatest_since(&w.lows, oldest, -w.price) - 1.0,
               1.0 - w.price / greatest_since(&w.highs, oldest, w.price))


cdef void on_touch(market_t* m, const instrument_t* i, int64_t ts) noexcept nogil:
    # Every touch moves the order flow and the minute's extremes; mid and spread are sampled once a second.
    cdef int64_t second = ts // SECOND
    cdef double price = mid(m) * <double> i.tick_e8 * 1e-8
    cdef double change, kept
    if price <= 0:
        on_gap(m)
        return
    add_touch_flow(m, second)
    track_move(&m.move, second, price, price, price)
    if second <= m.sampled_second:
        return
    if m.ask_ticks > m.bid_ticks:
        push_spread(&m.spreads, spread_bps(m))
    track_hour(m, ts, ts, price, price, price)
    if m.sampled_mid > 0:
        change = price / m.sampled_mid - 1.0
        # A pause of k seconds counts as k samples of equal variance.
        kept = decayed(DECAY_1S, second - m.sampled_second)
        m.variance_1s = (kept * m.variance_1s
                         + (1.0 - kept) * change * change / <double> (second - m.sampled_second))
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
    if row.e > 0:
        add_day(m, row.ts - 1, (<double> row.b + row.c + row.d) / (3.0 * i.tick_e8), row.e)
    if row.f <= <int64_t> SECONDS * SECOND:
        track_move(&m.move, (row.ts - 1) // SECOND, high, low, close)
    if row.f >= HOUR:
        m.hours = max(0, m.hours)              # it is whole by itself
        add_range(m, high, low, close)
        m.ranges[(m.hours - 1) % HOURS] /= sqrt(<double> row.f / HOUR)
    else:
        track_hour(m, row.ts - row.f, row.ts - 1, high, low, close)
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


cdef void on_own_fill(market_t* m, int side, int64_t ticks, int64_t lots) noexcept nogil:
    # Against the mid that stands: the last that was known when the fill arrived.
    cdef double middle = mid(m)
    cdef double paid
    if middle <= 0 or lots <= 0:
        return
    paid = 2e4 * (ticks - middle) / middle
    m.fill_lots = FILL_DECAY * m.fill_lots + lots
    m.fill_cost = FILL_DECAY * m.fill_cost + lots * (paid if side == Side.BUY else -paid)


# ------------------------------------------------------------------ the book's best levels

cdef int64_t depth_lots(const levels_t* side, int n) noexcept nogil:
    # Lots of the best n levels.
    cdef int64_t total = 0
    cdef int k
    for k in range(min(n, side.n)):
        total += side.lots[k]
    return total


cdef double imbalance(const levels_t* bids, const levels_t* asks, int n) noexcept nogil:
    # Bid less ask lots of the best n levels as a share of both, -1 to 1; 0 of an empty book.
    cdef double bid = <double> depth_lots(bids, n)
    cdef double ask = <double> depth_lots(asks, n)
    return (bid - ask) / (bid + ask) if bid + ask > 0 else 0.0


cdef double average_ticks(const levels_t* side, int64_t lots) noexcept nogil:
    # Average price of lots taken from the touch outwards; 0 when the levels do not hold them.
    cdef int64_t left = lots
    cdef int64_t part
    cdef double worth = 0.0
    cdef int k
    for k in range(side.n):
        part = min(left, side.lots[k])
        worth += <double> side.ticks[k] * <double> part
        left -= part
        if left <= 0:
            break
    return worth / lots if lots > 0 and left == 0 else 0.0


cdef double impact_bps(const levels_t* side, int64_t lots, double middle) noexcept nogil:
    # What lots taken at once pay away from the mid, both sides positive; -1 when the levels do not hold them.
    cdef double average = average_ticks(side, lots)
    if average <= 0 or middle <= 0:
        return -1.0
    return (average - middle if average > middle else middle - average) / middle * 1e4


cdef inline int64_t key_of(const levels_t* levels, int side, int k) noexcept nogil:
    # A missing level is worse than any.
    return -MAX_STEPS - 1 if k >= levels.n else levels.ticks[k] if side == Side.BUY else -levels.ticks[k]


cdef int64_t levels_flow(const levels_t* before, const levels_t* after, int side, int n) noexcept nogil:
    # The touch's order flow at each of the best n levels of one side, summed; positive pushes up (Xu, Gould,
    # Howison 2018).
    cdef int64_t total = 0
    cdef int k
    for k in range(min(n, max(before.n, after.n))):
        total += side_flow(key_of(before, side, k), before.lots[k] if k < before.n else 0,
                           key_of(after, side, k), after.lots[k] if k < after.n else 0)
    return total if side == Side.BUY else -total


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

    def measure_vpin(self, int symbol, int64_t bucket_lots, int64_t buckets=50):
        """Begin to measure VPIN on volume buckets: a fiftieth of a day's usual volume is the usual size.

        Parameters
        ----------
        symbol : int
        bucket_lots : int
            Volume of a bucket.
        buckets : int, optional
            How many the average is over, at most 50.

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        if not 0 <= symbol < self.size:
            raise IndexError(symbol)
        if not 0 < bucket_lots <= MAX_STEPS or not 0 < buckets <= BUCKETS:
            raise ValueError(f"VPIN takes 1 to {BUCKETS} buckets of 1 to 2**50 lots, not {buckets} of {bucket_lots}")
        memset(&self.data[symbol].vpin, 0, sizeof(vpin_t))
        self.data[symbol].vpin.bucket_lots = bucket_lots
        self.data[symbol].vpin.buckets = buckets

    def observe(self, Instruments instruments not None, rows):
        """Take touches, trades, closed candles and own fills; other kinds pass."""
        cdef Rows source = Rows(rows)
        cdef const event_t* row
        cdef market_t* m
        cdef Py_ssize_t k
        for k in range(source.size):
            row = source.data + k
            if row.symbol >= self.size or row.symbol >= instruments.size:
                raise IndexError(row.symbol)
            if row.ts < 0:
                raise ValueError(f"row {k} has no stamp that can be: {row.ts} ns")
            m = &self.data[row.symbol]
            if row.kind == Kind.TOUCH and row.b < row.d:
                m.bid_ticks, m.bid_lots, m.ask_ticks, m.ask_lots = row.b, row.c, row.d, row.e
                m.ts_book = row.ts
                on_touch(m, &instruments.data[row.symbol], row.ts)
            elif row.kind == Kind.TRADE and row.f == 0:
                on_trade(m, &instruments.data[row.symbol], row)
            elif row.kind == Kind.CANDLE and row.flags & Flag.F_CLOSED:
                on_candle(m, &instruments.data[row.symbol], row)
            elif row.kind == Kind.FILL:
                on_own_fill(m, Side.SELL if row.flags & Flag.F_SELL else Side.BUY, row.c, row.d)

    def features(self, int symbol, int64_t now):
        """Return what can be asked of a symbol at a time (ns), by name; prices in ticks.

        Notes
        -----
        While they are not known, ``vpin`` is -1 and the others are 0.
        """
        cdef const market_t* m
        if not 0 <= symbol < self.size:
            raise IndexError(symbol)
        m = &self.data[symbol]
        return {
            "mid": mid(m),
            "microprice": microprice(m),
            "spread_bps": spread_bps(m),
            "median_spread_bps": median_spread_bps(m),
            "spread_ratio": spread_ratio(m),
            "minute_move": minute_move(m, now),
            "order_flow": order_flow(m, now),
            "trade_flow": trade_flow(m, now),
            "trade_flow_ewma": trade_flow_ewma(m),
            "vpin": vpin(m),
            "vwap": vwap(m, now),
            "day_vwap": day_vwap(m),
            "size_ratio": m.size_ratio,
            "effective_spread_bps": effective_spread_bps(m),
        }


cdef int take_levels(object pairs, levels_t* out) except -1:
    out.n = 0
    for ticks, lots in pairs:
        if out.n == DEPTH_LEVELS:
            raise ValueError(f"at most {DEPTH_LEVELS} levels of a side")
        if not 0 < ticks <= MAX_STEPS or not 0 < lots <= MAX_STEPS:
            raise ValueError(f"a level has 1 to 2**50 ticks and lots, not {ticks} and {lots}")
        out.ticks[out.n] = ticks
        out.lots[out.n] = lots
        out.n += 1
    return 0


def book_imbalance(bids, asks, int levels=5):
    """Return bid less ask lots of the best levels as a share of both, from [(ticks, lots), ...] of each side."""
    cdef levels_t bid, ask
    take_levels(bids, &bid)
    take_levels(asks, &ask)
    return imbalance(&bid, &ask, levels)


def book_depth(side, int levels=5):
    """Return the lots of the best levels of one side, [(ticks, lots), ...]."""
    cdef levels_t found
    take_levels(side, &found)
    return depth_lots(&found, levels)


def walk_book(side, int64_t lots, double middle):
    """Return (average price in ticks, distance from the mid in bps) of lots taken from one side at once.

    Parameters
    ----------
    side : list of (int, int)
        Ticks and lots from the touch outwards.
    lots : int
    middle : float
        In ticks.

    Returns
    -------
    tuple of float
        (0, -1) when the levels do not hold the lots.
    """
    cdef levels_t found
    take_levels(side, &found)
    return average_ticks(&found, lots), impact_bps(&found, lots, middle)


def book_flow(bids_before, asks_before, bids, asks, int levels=1):
    """Return the order-flow imbalance between two looks at the best levels, lots; positive pushes up.

    References
    ----------
    Cont, Kukanov, Stoikov, "The price impact of order book events", 2014.
    Xu, Gould, Howison, "Multi-level order-flow imbalance in a limit order book", 2018.
    """
    cdef levels_t before, after
    cdef int64_t flow
    take_levels(bids_before, &before)
    take_levels(bids, &after)
    flow = levels_flow(&before, &after, Side.BUY, levels)
    take_levels(asks_before, &before)
    take_levels(asks, &after)
    return flow + levels_flow(&before, &after, Side.SELL, levels)


cdef double half_to(double power) noexcept:
    # 0.5 to a power in [0, 1] by its series: the libraries' pow differ in the last bit, and this decides orders.
    cdef double x = -0.69314718055994530942 * power
    cdef double term = 1.0, total = 1.0
    cdef int k
    for k in range(1, 25):
        term *= x / k
        total += term
    return total


cdef double sum_of(const double* values, Py_ssize_t n) noexcept nogil:
    # In four parts, which the processor adds side by side.
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    cdef Py_ssize_t k
    for k in range(0, n - 3, 4):
        a += values[k]
        b += values[k + 1]
        c += values[k + 2]
        d += values[k + 3]
    for k in range(n - n % 4, n):
        a += values[k]
    return (a + b) + (c + d)


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
        """Append a close.

        Raises
        ------
        ValueError
            If it is no positive number: one of them would be in the volatility for ever.
        """
        cdef double change
        if not 0.0 < close < INFINITY:
            raise ValueError(f"a close is a positive number, not {close}")
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

    cpdef double mean(self, Py_ssize_t bars):
        """Return the mean of the last ``bars`` closes, NaN before there are enough.

        Added anew each time: a sum that is carried on would drift.
        """
        cdef Py_ssize_t end = self.count % self.length         # the place behind the newest
        cdef Py_ssize_t first
        if not 1 <= bars <= min(self.length, self.count):
            return float("nan")
        first = max(0, end - bars)
        return (sum_of(self.closes + first, end - first)
                + sum_of(self.closes + self.length + end - first - bars, bars - end + first)) / bars

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


cdef class CandleSource:
    """Candles of a run that its files do not hold as they are."""

    cdef int add(self, const event_t* row) except -1:
        raise TypeError("candles come from trades or from shorter candles")

    def feed(self, rows):
        """Add rows; return the rows that they complete."""
        cdef Rows source = Rows(rows)
        cdef Rows done = Rows()
        cdef Py_ssize_t i, k
        for i in range(source.size):
            self.add(source.data + i)
            for k in range(self.out.size):
                done.push()[0] = self.out.data[k]
        return done.array()


cdef inline bint is_trade(const event_t* row) noexcept nogil:
    # Nobody judges a trade before it is part of a bar, and one bad price would be the low of it.
    return 0 < row.b <= MAX_STEPS and 0 <= row.c <= MAX_STEPS


@cython.final
cdef class CandleBuilder(CandleSource):
    """Candles of every symbol from trades, all closing together at the interval's boundaries.

    The bars close when the first row of any kind at or after the boundary arrives; a symbol without a
    trade in the interval has a flat bar at its last close; after sixty intervals without any row it begins anew,
    since that is a hole in the data and no quiet market. A trade whose price or quantity cannot be is none.
    The bar in which the first trade falls began before it and is not given. A bar's open comes with its first trade:
    nothing is known earlier.

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
        # Close what is due, then let a trade form its bar; marks, funding and filters pass. The mark of a bar's own end
        # comes before its candle, as in files of both.
        cdef forming_t* bar
        cdef int64_t price
        cdef event_t* opened
        if row.symbol >= self.instruments.size:
            raise IndexError(row.symbol)
        bar = &self.forming[row.symbol]
        self.out.size = 0
        if self.due and row.ts >= self.due + MAX_FLAT * self.interval_ns:
            self.begin_anew()
        while self.due and row.ts >= self.due + (row.kind == Kind.MARK_CANDLE):
            self.close_bars()
        if row.kind == Kind.MARK or row.kind == Kind.MARK_CANDLE or row.kind == Kind.FUNDING \
                or row.kind == Kind.FILTERS:
            self.out.push()[0] = row[0]
        if row.kind != Kind.TRADE or row.f or not is_trade(row):
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
        bar.worth += <double> row.b * <double> row.c
        return 0

    cdef int begin_anew(self) except -1:
        # The data have a hole: what was forming is not known, and nothing is made up.
        cdef int k
        for k in range(self.instruments.size):
            self.forming[k].open_e8 = 0
            self.forming[k].close_e8 = 0
            self.forming[k].lots = 0
            self.forming[k].worth = 0.0
        self.due = 0
        self.whole = False
        return 0

    cdef double average(self, const forming_t* bar, int symbol) noexcept nogil:
        cdef double ticks = bar.worth / bar.lots if bar.lots else 0.0
        return (ticks * self.instruments.data[symbol].tick_e8 if ticks > 0 else bar.close_e8) * 1e-8

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
                bar.vwap = self.average(bar, k)
            bar.open_e8 = 0
            bar.lots = 0
            bar.worth = 0.0
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

    def vwap(self, int symbol):
        """Return the volume-weighted average price of a symbol's last closed bar, 0 before there is one."""
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)
        return self.forming[symbol].vwap


@cython.final
cdef class CandleAggregator:
    """Longer candles of every symbol from shorter closed ones, on UTC boundaries.

    A longer bar is given when the last of its shorter ones has come and none was missing; of a bar with a hole
    nothing is given. The bars of one interval and stamp are one run, given with the last row of the source's.

    Parameters
    ----------
    symbols : int
        Number of symbols.
    source_ns : int
        Interval of the shorter candles.
    intervals_ns : tuple of int
        Of the longer ones: ascending multiples of the source's, divisors of a day.

    Raises
    ------
    ValueError
        If an interval does not fit.
    """

    def __cinit__(self, int symbols, int64_t source_ns, tuple intervals_ns not None):
        if not 0 < symbols <= 1 << 16 or not 0 < len(intervals_ns) <= 64:
            raise ValueError("candles are gathered of 1 to 65536 symbols to 1 to 64 intervals")
        self.n = len(intervals_ns)
        self.lengths = <int64_t*> PyMem_Calloc(self.n, sizeof(int64_t))
        self.bars = <longer_t*> PyMem_Calloc(self.n * symbols, sizeof(longer_t))
        if self.lengths == NULL or self.bars == NULL:
            raise MemoryError("candles")

    def __init__(self, int symbols, int64_t source_ns, tuple intervals_ns not None):
        cdef int k
        shorter = source_ns
        for length in (source_ns, *intervals_ns):
            if length <= 0 or DAY % length or length % source_ns:
                raise ValueError(f"an interval divides a day and is a multiple of {source_ns} ns, not {length} ns")
        for k, length in enumerate(intervals_ns):
            if length <= shorter:
                raise ValueError(f"intervals ascend from the source's, {length} ns is not longer than {shorter} ns")
            shorter = self.lengths[k] = length
        self.symbols = symbols
        self.source_ns = source_ns
        self.intervals_ns = intervals_ns
        self.out = Rows()

    def __dealloc__(self):
        PyMem_Free(self.lengths)
        PyMem_Free(self.bars)

    cdef int add(self, const event_t* row) except -1:
        # Fold a closed candle of the source's interval into every longer one; other rows pass.
        cdef int k
        self.out.size = 0
        if row.kind != Kind.CANDLE or row.f != self.source_ns or not row.flags & Flag.F_CLOSED:
            return 0
        for k in range(self.n):
            self.fold(&self.bars[k * self.symbols + row.symbol], self.lengths[k], row)
        return self.give() if row.flags & Flag.F_END else 0

    cdef void fold(self, longer_t* bar, int64_t length, const event_t* row) noexcept nogil:
        cdef bint first = (row.ts - self.source_ns) % length == 0
        if bar.next_ts and row.ts < bar.next_ts:
            return                             # known already
        if row.ts != bar.next_ts and not first:
            bar.next_ts = 0                    # a hole, or the middle of a bar whose beginning was not seen
            return
        if first:
            bar.open_e8 = row.a
            bar.high_e8 = row.b
            bar.low_e8 = row.c
            bar.lots = 0
            bar.worth = 0.0
        bar.high_e8 = max(bar.high_e8, row.b)
        bar.low_e8 = min(bar.low_e8, row.c)
        bar.close_e8 = row.d
        bar.lots += row.e
        bar.worth += (<double> row.b + row.c + row.d) / 3.0 * row.e
        bar.next_ts = row.ts + self.source_ns
        bar.whole = row.ts % length == 0

    cdef int give(self) except -1:
        cdef longer_t* bar
        cdef event_t* row
        cdef int k, symbol
        for k in range(self.n):
            row = NULL
            for symbol in range(self.symbols):
                bar = &self.bars[k * self.symbols + symbol]
                if not bar.whole:
                    continue
                bar.whole = False
                bar.vwap = (bar.worth / bar.lots if bar.lots else bar.close_e8) * 1e-8
                row = self.out.push()
                row.kind = Kind.CANDLE
                row.flags = Flag.F_CLOSED
                row.symbol = symbol
                row.ts = bar.next_ts - self.source_ns
                row.a = bar.open_e8
                row.b = bar.high_e8
                row.c = bar.low_e8
                row.d = bar.close_e8
                row.e = bar.lots
                row.f = self.lengths[k]
            if row != NULL:
                row.flags |= Flag.F_END
        return 0

    def vwap(self, int symbol, int64_t interval_ns):
        """Return the volume-weighted typical price, (high + low + close) / 3, of a symbol's last longer bar.

        0 before there is one. Rows of candles carry no turnover, so that within a shorter bar the price is its
        typical one; the result lies within the longer bar's range.
        """
        if not 0 <= symbol < self.symbols:
            raise IndexError(symbol)
        return self.bars[self.intervals_ns.index(interval_ns) * self.symbols + symbol].vwap

    def feed(self, rows):
        """Add rows; return the longer candles that they complete."""
        cdef Rows source = Rows(rows)
        cdef Rows done = Rows()
        cdef Py_ssize_t i, k
        for i in range(source.size):
            if source.data[i].symbol >= self.symbols:
                raise IndexError(source.data[i].symbol)
            self.add(source.data + i)
            for k in range(self.out.size):
                done.push()[0] = self.out.data[k]
        return done.array()

    def state(self):
        """Return everything that the bars under way know, for the state hash."""
        cdef Py_ssize_t k
        return [self.bars[k] for k in range(self.n * self.symbols)]


@cython.final
cdef class LongerCandles(CandleSource):
    """The rows of a run whose candles are longer than those of its files.

    A longer candle comes at the stamp at which its last part closes, its open with the open of its first part, so that
    nothing is known earlier than from a file of longer candles. Marks of the stamp come before it and end the run of
    rows when it has none. Other rows pass as they are.

    Parameters
    ----------
    symbols : int
        Number of symbols.
    source_ns, interval_ns : int
        Intervals of the files' candles and of the run's: a multiple, a divisor of a day.

    Raises
    ------
    ValueError
        If the intervals do not fit.
    """

    def __init__(self, int symbols, int64_t source_ns, int64_t interval_ns):
        self.aggregator = CandleAggregator(symbols, source_ns, (interval_ns,))
        self.interval_ns = interval_ns
        self.out = Rows()
        self.marks = Rows()

    cdef int add(self, const event_t* row) except -1:
        cdef event_t* opened
        if row.symbol >= self.aggregator.symbols:
            raise IndexError(row.symbol)
        self.out.size = 0
        if row.kind == Kind.MARK_CANDLE:
            self.marks.push()[0] = row[0]
        elif row.kind == Kind.CANDLE:
            self.aggregator.add(row)
        elif row.kind != Kind.CANDLE_OPEN:
            self.out.push()[0] = row[0]
        elif row.ts % self.interval_ns == 0:
            opened = self.out.push()
            opened[0] = row[0]
            opened.f = self.interval_ns
        if row.flags & Flag.F_END and (row.kind == Kind.MARK_CANDLE or row.kind == Kind.CANDLE):
            self.end_stamp()
        return 0

    cdef int end_stamp(self) except -1:
        cdef Rows candles = self.aggregator.out
        cdef Py_ssize_t k
        for k in range(self.marks.size):
            self.out.push()[0] = self.marks.data[k]
        for k in range(candles.size):
            self.out.push()[0] = candles.data[k]
        if self.out.size:
            self.out.data[self.out.size - 1].flags |= Flag.F_END
        self.marks.size = 0
        candles.size = 0
        return 0
