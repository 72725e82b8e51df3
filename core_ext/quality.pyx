"""Verdicts on market data, and the policies that follow from them."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memmove

from core_ext.book cimport Book
from core_ext.fixed cimport E8, MAX_STEPS, magnitude, mul_div, mul_div_floor
from core_ext.types cimport Flag, Instruments, Kind, Rows, Side, event_t, instrument_t

import numpy as np

cdef extern from *:
    """
    /* a * m > b * n, the products in 128 bits. */
    static inline int at_exceeds(int64_t a, int64_t m, int64_t b, int64_t n) {
        return (__int128)a * m > (__int128)b * n;
    }
    """
    bint exceeds "at_exceeds"(int64_t a, int64_t m, int64_t b, int64_t n) noexcept nogil

cdef int64_t MINUTE = 60000000000
cdef int64_t ABSURD_E8 = 1000000000000000000   # four times its double still fits 63 bits
cdef int64_t LONGEST = 44640 * 60000000000     # interval of a bar: 31 days
cdef int LEAST = 20                            # prices before the median says anything
cdef int TOP = 5
# 0.6745 of the modified z-score, twice: deviations from the median are doubled once, their MAD twice.
cdef int64_t NORMAL = 13490
cdef int64_t NORMAL_UNIT = 10000

cdef quality_t NO_SETTINGS
cdef int64_t MOST_E8 = 10000000000000          # 100,000: its products with the score's units stay in 63 bits
cdef int64_t MOST_NS = 1 << 59
cdef set SETTINGS = set(NO_SETTINGS)
cdef dict POLICIES = {"warn": 0, "conservative": 1, "halt": 2, "discard": 3}
cdef tuple DISCARDABLE = ("BAD_PRICE", "OUTLIER", "SPIKE", "CROSSED")


# ---------------------------------------------------------------------------------- window


cdef int place(const int64_t* values, int size, int64_t x) noexcept nogil:
    # The first of the sorted values that is not below x.
    cdef int low = 0, high = size, middle
    while low < high:
        middle = (low + high) // 2
        if values[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


cdef void add(window_t* w, int64_t x) noexcept nogil:
    # In place of the oldest, once there are 100: one move of what lies between the two.
    cdef int there = place(w.sorted, w.size, x)
    cdef int gone
    if w.size < WINDOW:
        memmove(&w.sorted[there + 1], &w.sorted[there], (w.size - there) * sizeof(int64_t))
        w.sorted[there] = x
        w.ring[w.size] = x
        w.size += 1
        return
    gone = place(w.sorted, WINDOW, w.ring[w.head])
    if gone < there:
        there -= 1
        memmove(&w.sorted[gone], &w.sorted[gone + 1], (there - gone) * sizeof(int64_t))
    else:
        memmove(&w.sorted[there + 1], &w.sorted[there], (gone - there) * sizeof(int64_t))
    w.sorted[there] = x
    w.ring[w.head] = x
    w.head = w.head + 1 if w.head + 1 < WINDOW else 0


cdef int64_t deviation(const window_t* w, int64_t middle) noexcept nogil:
    # Four times the median absolute deviation; `middle` is twice the median. From the median outwards the
    # deviations grow on both sides, so taking the smaller one each time meets them in order.
    cdef int right = place(w.sorted, w.size, (middle + 1) // 2)
    cdef int left = right - 1
    cdef int64_t near_left, near_right, found = 0, before = 0
    cdef int _
    for _ in range(w.size // 2 + 1):
        near_left = middle - 2 * w.sorted[left] if left >= 0 else -1
        near_right = 2 * w.sorted[right] - middle if right < w.size else -1
        before = found
        if near_right < 0 or 0 <= near_left <= near_right:
            found = near_left
            left -= 1
        else:
            found = near_right
            right += 1
    return 2 * found if w.size & 1 else before + found


# ---------------------------------------------------------------------------------- prices


cdef inline int64_t doubled(int64_t ticks, int64_t tick_e8) noexcept nogil:
    # Twice a price in ticks at 1e-8 (given the sum of two: twice their mid); 0 when it cannot be a price.
    if not 0 < ticks <= 2 * MAX_STEPS or ticks > 2 * ABSURD_E8 // tick_e8:
        return 0
    return ticks * tick_e8


cdef inline int64_t doubled_e8(int64_t price_e8) noexcept nogil:
    return 2 * price_e8 if 0 < price_e8 <= ABSURD_E8 else 0


cdef bint is_bar(const event_t* row) noexcept nogil:
    # Whether high and low hold open and close; all are prices then, because the low and the high are.
    return (row.c > 0 and row.b <= ABSURD_E8 and row.c <= row.a <= row.b and row.c <= row.d <= row.b
            and 0 <= row.e <= MAX_STEPS and 0 < row.f <= LONGEST)


cdef int lane_of(const event_t* row) noexcept nogil:
    # -1: not judged.
    if row.kind == Kind.TRADE:
        return Lane.TRADES if row.f == 0 else -1
    if row.kind == Kind.TOUCH:
        return Lane.BOOK
    if row.kind == Kind.MARK:
        return Lane.MARKS
    if row.kind == Kind.CANDLE:
        return Lane.BARS if row.flags & Flag.F_CLOSED else -1
    if row.kind == Kind.CANDLE_OPEN:
        return Lane.BARS
    return Lane.MARK_BARS if row.kind == Kind.MARK_CANDLE else -1


cdef inline bint is_late(const lane_t* stream, int64_t ts) noexcept nogil:
    return stream.last != 0 and stream.limit_ns != 0 and ts - stream.ts > stream.limit_ns


cdef int64_t price_of(const event_t* row, const instrument_t* i) noexcept nogil:
    # What a row says about the price, twice, 1e-8; 0 when it cannot be true.
    if row.kind == Kind.TRADE:
        return doubled(2 * row.b, i.tick_e8) if 0 < row.b <= MAX_STEPS and 0 <= row.c <= MAX_STEPS else 0
    if row.kind == Kind.TOUCH:
        if not (0 < row.b <= MAX_STEPS and 0 < row.d <= MAX_STEPS
                and 0 <= row.c <= MAX_STEPS and 0 <= row.e <= MAX_STEPS):
            return 0
        return doubled(row.b + row.d, i.tick_e8)
    if row.kind == Kind.MARK or row.kind == Kind.CANDLE_OPEN:
        return doubled_e8(row.a)
    return doubled_e8(row.d) if is_bar(row) else 0


cdef void remember(volume_t* v, int64_t lots) noexcept nogil:
    v.sum += lots
    if v.size < VOLUMES:
        v.lots[v.size] = lots
        v.size += 1
        return
    v.sum -= v.lots[v.head]
    v.lots[v.head] = lots
    v.head = v.head + 1 if v.head + 1 < VOLUMES else 0


# ---------------------------------------------------------------------------------- quality


@cython.final
cdef class Quality:
    """What is believed of the market data of a run.

    Parameters
    ----------
    instruments : Instruments
    settings : dict
        The fields of ``quality_t``: ``*_e8`` integers with eight decimals, ``*_ns`` nanoseconds.
    policies : dict
        ``"warn"``, ``"conservative"``, ``"halt"`` or, for BAD_PRICE, OUTLIER, SPIKE and CROSSED, ``"discard"``, by the
        name of each verdict.

    Raises
    ------
    ValueError
        A setting or a policy is missing, unknown or not allowed.
    """

    def __cinit__(self, Instruments instruments not None, dict settings not None, dict policies not None):
        self.data = <health_t*> PyMem_Calloc(max(1, len(instruments)), sizeof(health_t))
        if self.data == NULL:
            raise MemoryError("quality")

    def __init__(self, Instruments instruments not None, dict settings not None, dict policies not None):
        cdef int k
        self.instruments = instruments
        self.size = instruments.size
        self.settings = checked(settings)
        verdicts = {verdict.name: verdict.value for verdict in Verdict}
        if policies.keys() != verdicts.keys():
            raise ValueError(f"policies are of {sorted(verdicts)}, not of {sorted(policies)}")
        for name, policy in policies.items():
            if policy not in POLICIES or (policy == "discard" and name not in DISCARDABLE):
                raise ValueError(f"{name} cannot have the policy {policy!r}")
            self.policies[<int> verdicts[name]] = POLICIES[policy]
            if policy == "discard":
                self.discarding |= 1 << <int> verdicts[name]
        for k in range(self.size):
            self.data[k].lanes[<int> Lane.BOOK].limit_ns = self.settings.book_stale_ns
            self.data[k].lanes[<int> Lane.MARKS].limit_ns = self.settings.mark_stale_ns

    def __dealloc__(self):
        PyMem_Free(self.data)

    # ------------------------------------------------------------------ judging

    cdef int judge(self, const event_t* row) noexcept nogil:
        # The verdicts on a row, before it is applied; what becomes of it is `discards`.
        cdef health_t* h = &self.data[row.symbol]
        cdef int lane = lane_of(row)
        cdef int verdicts, stale
        self.n_begun = 0
        if lane < 0:
            return 0
        stale = self.look(row.symbol, lane, row.ts)
        verdicts = self.row(h, lane, row)
        h.judged += 1
        self.note(row.symbol, verdicts, row.ts)
        return verdicts | stale

    cdef int row(self, health_t* h, int lane, const event_t* row) noexcept nogil:
        cdef int64_t twice = price_of(row, &self.instruments.data[row.symbol])
        cdef int verdicts = 0
        if twice == 0:
            return DISCARDED | 1 << Verdict.BAD_PRICE
        if row.kind == Kind.TOUCH:
            verdicts = self.touch(row.b, row.d)
            if verdicts & 1 << Verdict.CROSSED:
                return DISCARDED | verdicts
        verdicts |= self.price(h, lane, twice, row)
        if verdicts & DISCARDED:
            return verdicts
        if row.kind == Kind.TRADE:
            return verdicts | self.trade_volume(&h.volumes[0], row)
        if row.kind == Kind.CANDLE:
            verdicts |= self.volume(&h.volumes[1], row.e, True) | self.volume(&h.volumes[1], row.e, False)
            remember(&h.volumes[1], row.e)
        return verdicts

    cdef int judge_book(self, const event_t* row, Book book) noexcept nogil:
        # The verdicts on a depth run, at its END row and after the book has applied it: nothing of it can be discarded.
        cdef health_t* h = &self.data[row.symbol]
        cdef int verdicts = 0, stale
        cdef int64_t twice
        self.n_begun = 0
        if not row.flags & Flag.F_END:
            return 0
        stale = self.look(row.symbol, Lane.BOOK, row.ts)
        h.judged += 1
        if book.crossings != h.crossings:
            h.crossings = book.crossings
            verdicts = 1 << Verdict.CROSSED
        elif book.usable() and book.ts == row.ts:
            verdicts = self.one_sided(h, book, row.ts)
            if book.two_sided():
                verdicts |= self.touch(book.best_bid(), book.best_ask())
                twice = doubled(book.best_bid() + book.best_ask(), self.instruments.data[row.symbol].tick_e8)
                if twice:
                    verdicts |= self.price(h, Lane.BOOK, twice, row)
        self.note(row.symbol, verdicts, row.ts)
        return verdicts | stale

    cdef int look(self, int symbol, int own, int64_t ts) noexcept nogil:
        # Silence is noticed by whoever speaks: a row looks at its own symbol and, in turn, at one other.
        self.turn = self.turn + 1 if self.turn + 1 < self.size else 0
        if self.turn != symbol:
            self.silence(self.turn, -1, ts)
        return self.silence(symbol, own, ts)

    cdef int silence(self, int symbol, int own, int64_t ts) noexcept nogil:
        # STALE when a stream of the symbol is found silent, and only then; its policy goes on as long as it is.
        cdef lane_t* stream
        cdef int found = 0, k
        for k in range(<int> LANES):
            stream = &self.data[symbol].lanes[k]
            # A stream's own pause is no silence while others go on, unless it has a timetable.
            if not is_late(stream, ts) or (k == own and k < Lane.BARS):
                continue
            if stream.silent:
                self.impose(&self.data[symbol], Verdict.STALE, ts)
                continue
            stream.silent = True
            found = 1 << Verdict.STALE
            self.note(symbol, found, ts)
        return found

    cdef int price(self, health_t* h, int lane, int64_t twice, const event_t* row) noexcept nogil:
        # Judge a price, and accept it if it may be.
        cdef lane_t* own = &h.lanes[lane]
        cdef bint opens = row.kind == Kind.CANDLE_OPEN
        cdef int verdicts = 0
        if own.last and exceeds(magnitude(twice - own.last), E8, own.last, self.settings.spike_e8):
            verdicts = 1 << Verdict.SPIKE
        if not opens and self.is_outlier(own, twice, self.instruments.data[row.symbol].tick_e8
                                         * self.instruments.data[row.symbol].tick_step):
            verdicts |= 1 << Verdict.OUTLIER
        if (verdicts & self.discarding and row.kind > Kind.LEVEL
                and not self.believed(h, lane, twice, row.ts)):
            own.held = twice
            return verdicts | DISCARDED
        if opens:
            return verdicts
        own.last = twice
        own.held = 0
        own.silent = False
        own.ts = max(own.ts, row.ts)
        if lane >= Lane.BARS and row.f != own.interval_ns:
            own.interval_ns = row.f
            own.limit_ns = mul_div(row.f, self.settings.candle_stale_e8, E8)
        add(&own.window, twice)
        return verdicts

    cdef bint believed(self, const health_t* h, int lane, int64_t twice, int64_t ts) noexcept nogil:
        # Whether anything confirms a suspicious price; see the header.
        cdef const lane_t* own = &h.lanes[lane]
        cdef const lane_t* other
        cdef bint contradicted = False
        cdef int k
        if own.held and magnitude(twice - own.held) < magnitude(twice - own.last):
            return True
        for k in range(<int> LANES):
            other = &h.lanes[k]
            if k == lane or not other.last or ts - other.ts > self.vouches_ns(k):
                continue
            if magnitude(twice - other.last) < magnitude(own.last - other.last):
                return True
            contradicted = True
        return lane >= Lane.MARKS and not contradicted

    cdef int64_t vouches_ns(self, int lane) noexcept nogil:
        # How old a stream's last price may be to speak for or against another stream's.
        if lane >= Lane.BARS:
            return 0
        return self.settings.mark_stale_ns if lane == Lane.MARKS else self.settings.book_stale_ns

    cdef bint is_outlier(self, const lane_t* own, int64_t twice, int64_t tick_e8) noexcept nogil:
        cdef const window_t* w = &own.window
        cdef int64_t middle, away, floor
        if w.size < LEAST:
            return False
        middle = w.sorted[(w.size - 1) // 2] + w.sorted[w.size // 2]
        away = magnitude(2 * twice - middle)
        floor = max(8 * tick_e8, 2 * mul_div_floor(middle, self.settings.outlier_floor_e8, E8))
        if (not exceeds(away, NORMAL * E8, floor, NORMAL_UNIT * self.settings.outlier_e8)
                or not exceeds(magnitude(twice - own.last), 4, away, 1)):
            return False           # whatever the MAD is: the usual way out
        return exceeds(away, NORMAL * E8, max(floor, deviation(w, middle)), NORMAL_UNIT * self.settings.outlier_e8)

    cdef int touch(self, int64_t bid, int64_t ask) noexcept nogil:
        if bid >= ask:
            return 1 << Verdict.CROSSED
        return exceeds(2 * (ask - bid), E8, bid + ask, self.settings.wide_spread_e8) << Verdict.WIDE_SPREAD

    cdef int one_sided(self, health_t* h, Book book, int64_t ts) noexcept nogil:
        cdef int64_t ticks[5]
        cdef int64_t lots[5]
        cdef int64_t bids = 0, asks = 0
        cdef int k
        for k in range(book.top(Side.BUY, TOP, ticks, lots)):
            bids += lots[k]
        for k in range(book.top(Side.SELL, TOP, ticks, lots)):
            asks += lots[k]
        if bids and asks and not exceeds(magnitude(bids - asks), E8, bids + asks, self.settings.one_sided_e8):
            h.one_sided_since = 0
            return 0
        if h.one_sided_since == 0:
            h.one_sided_since = ts
        return (ts - h.one_sided_since >= self.settings.one_sided_ns) << Verdict.ONE_SIDED

    cdef int trade_volume(self, volume_t* v, const event_t* row) noexcept nogil:
        # By UTC minute; the one in which the trades began is not whole and does not count.
        cdef int64_t minute = row.ts // MINUTE
        cdef int64_t _
        cdef int verdicts = 0
        if v.minute == 0:
            v.minute = minute
        if minute > v.minute:
            if v.whole:
                verdicts = self.volume(v, v.running, False)
                remember(v, v.running)
            for _ in range(min(minute - v.minute - 1, VOLUMES)):
                verdicts |= self.volume(v, 0, False)
                remember(v, 0)
            v.minute = minute
            v.running = 0
            v.whole = True
            v.spiked = False
        v.running += row.c
        if v.whole and not v.spiked and self.volume(v, v.running, True):
            v.spiked = True
            verdicts |= 1 << Verdict.VOLUME_SPIKE
        return verdicts

    cdef int volume(self, const volume_t* v, int64_t lots, bint over) noexcept nogil:
        if v.size < VOLUMES or v.sum == 0:
            return 0
        if over:
            return exceeds(lots, VOLUMES * E8, v.sum, self.settings.volume_spike_e8) << Verdict.VOLUME_SPIKE
        return exceeds(v.sum, self.settings.volume_drop_e8, lots, VOLUMES * E8) << Verdict.VOLUME_DROP

    # ------------------------------------------------------------------ what follows

    cdef void note(self, int symbol, int verdicts, int64_t ts) noexcept nogil:
        # Count, begin what was not there, and impose the policies.
        cdef health_t* h = &self.data[symbol]
        cdef int v
        if not verdicts:
            return
        h.counts[0] += verdicts & DISCARDED
        for v in range(1, VERDICTS):
            if not verdicts >> v & 1:
                continue
            h.counts[v] += 1
            if (h.seen[v] == 0 or ts - h.seen[v] > lasting(h, self.settings.clean_ns)) and self.n_begun < BEGUN:
                self.begun[self.n_begun].symbol = symbol
                self.begun[self.n_begun].verdict = v
                self.n_begun += 1
            self.impose(h, v, ts)

    cdef void impose(self, health_t* h, int verdict, int64_t ts) noexcept nogil:
        cdef int policy = self.policies[verdict]
        h.seen[verdict] = ts
        if policy == Policy.HALT_SYMBOL:
            h.halted_until = max(h.halted_until, ts + lasting(h, self.settings.clean_ns))
        elif policy == Policy.CONSERVATIVE or (policy == Policy.DISCARD and
                                               (verdict == Verdict.OUTLIER or verdict == Verdict.SPIKE)):
            h.conservative_until = max(h.conservative_until, ts + lasting(h, self.settings.conservative_ns))

    cdef int64_t worse_e8(self, int symbol, int64_t mark_e8, int64_t lots) noexcept nogil:
        # The mark at which a position is valued while one is held back: the worse of the two. Without a mark of the
        # exchange the mid stands for it.
        cdef const lane_t* lanes = &self.data[symbol].lanes[0]
        cdef bint marked = lanes[<int> Lane.MARKS].last or lanes[<int> Lane.MARK_BARS].last
        cdef int k
        for k in range(<int> Lane.BOOK, <int> LANES):
            if k == Lane.BARS or (k == Lane.BOOK and marked) or not lanes[k].held:
                continue
            mark_e8 = min(mark_e8, lanes[k].held // 2) if lots > 0 else max(mark_e8, lanes[k].held // 2)
        return mark_e8

    # ------------------------------------------------------------------ Python face

    def feed(self, rows, list books=None):
        """Judge rows (of EVENT_DTYPE) in order; depth is applied to the books, by symbol.

        Returns
        -------
        array of uint16
            The set of verdicts of each row, bit 0 for one that is discarded.
        """
        cdef Rows source = Rows(rows)
        cdef Book book
        cdef Py_ssize_t i
        cdef uint16_t[::1] found
        array = np.zeros(source.size, np.uint16)
        found = array
        for i in range(source.size):
            if source.data[i].symbol >= self.size:
                raise IndexError(source.data[i].symbol)
            if source.data[i].kind > Kind.LEVEL:
                found[i] = self.judge(source.data + i)
            elif books is not None:
                book = books[source.data[i].symbol]
                book.on_row(source.data + i)
                found[i] = self.judge_book(source.data + i, book)
        return array

    def beginning(self):
        """Return [(symbol, verdict), ...] of what began with the last datum."""
        return [(self.begun[k].symbol, Verdict(self.begun[k].verdict)) for k in range(self.n_begun)]

    def is_conservative(self, int symbol, int64_t now):
        """Return whether orders in a symbol must be smaller and passive."""
        return self.conservative(self.known(symbol), now)

    def is_halted(self, int symbol, int64_t now):
        """Return whether a symbol takes no entries."""
        return self.halted(self.known(symbol), now)

    def worse(self, int symbol, int64_t mark_e8, int64_t lots):
        """Return the mark, 1e-8, at which a position is valued while one may be held back."""
        return self.worse_e8(self.known(symbol), mark_e8, lots)

    def counts(self, int symbol):
        """Return how many data of a symbol were judged, discarded, and had each verdict."""
        cdef const health_t* h = &self.data[self.known(symbol)]
        found = {"judged": h.judged, "discarded": h.counts[0]}
        return found | {verdict.name: h.counts[<int> verdict.value] for verdict in Verdict}

    def state(self):
        """Return everything that decides what is judged next, for the state hash."""
        return (self.turn, [self.data[symbol] for symbol in range(self.size)])

    cdef int known(self, int symbol) except -1:
        if not 0 <= symbol < self.size:
            raise IndexError(symbol)
        return symbol


cdef int64_t lasting(const health_t* h, int64_t ns) noexcept nogil:
    # Care lasts as long as configured, and on bars until the next one.
    return max(ns, h.lanes[<int> Lane.BARS].interval_ns)


cdef dict checked(dict settings):
    missing, unknown = SETTINGS - settings.keys(), settings.keys() - SETTINGS
    if missing or unknown:
        raise ValueError(f"quality settings: missing {sorted(missing)}, unknown {sorted(unknown)}")
    for name, value in settings.items():
        if not 0 <= value <= (MOST_E8 if name.endswith("_e8") else MOST_NS):
            raise ValueError(f"quality settings: {name} is {value}")
    return settings
