"""Drive the engine and the venue through history, or the engine alone through a journal."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport INT32_MAX, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from core_ext.engine cimport Engine
from core_ext.exchange cimport Exchange
from core_ext.fixed cimport clz
from core_ext.headroom cimport Headroom
from core_ext.journal cimport JournalWriter
from core_ext.latency cimport Latency
from core_ext.types cimport Flag, Kind, Rows, Status, approved_t, event_t, is_market, is_outbox, level_run
from core_ext.wire cimport Scanner

import numpy as np

from core_ext.types import EVENT_DTYPE
from core_ext.types import Alarm as AlarmFace
from core_ext.types import Kind as KindFace
from core_ext.types import Status as StatusFace

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC

cdef int64_t E8 = 100000000
cdef Py_ssize_t MAX_SAMPLES = 1 << 17
cdef int MAX_LAST_PARCELS = 100000      # a strategy that answers every fill with an order ends somewhere
cdef uint64_t ONE = 1
cdef uint64_t LATEST_NS = ONE << 62      # a negative stamp is greater: one comparison refuses both


cdef inline int64_t clock_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t> t.tv_sec * 1000000000 + t.tv_nsec


cdef inline int64_t read_stamp(const char** p) noexcept nogil:
    # Nanoseconds need 19 digits, one more than a decimal of the wire; 0 for anything that is no stamp.
    cdef const char* s = p[0]
    cdef uint64_t v = 0
    while 48 <= s[0] <= 57 and s - p[0] < 20:
        v = v * 10 + <uint64_t> (s[0] - 48)
        s += 1
    if s - p[0] > 19 or v > <uint64_t> 1 << 62:
        return 0
    p[0] = s
    return <int64_t> v


class FeedError(ValueError):
    """A line of a recording that is no line of a recording."""


cdef class Feed:
    """Feeds rows or recorder lines to whoever implements ``market``."""

    cdef int market(self, const event_t* row, int source, int64_t index) except -1:
        raise TypeError("a feed is a driver or a verifier")

    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        raise TypeError("a feed is a driver or a verifier")

    cdef Py_ssize_t emit(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        # Give the first of these rows on, or all the levels that it begins; return how many went.
        cdef Rows done
        cdef Py_ssize_t k
        if self.candles is None:
            k = level_run(rows, n)
            if k > 1:
                self.levels(rows, k, source, index)
                return k
            self.market(rows, source, index)
            return 1
        self.candles.add(rows)
        done = self.candles.out
        for k in range(done.size):
            self.market(done.data + k, source, self.rows)
        return 1

    cdef int read(self, const char* p, Py_ssize_t n, int64_t ts, int source, int64_t first_row) except -1:
        # One message: its rows go on, if it has any; how it was read.
        cdef Rows rows = self.scanner.rows
        cdef Py_ssize_t k = 0
        cdef int status = self.scanner.read(p, n, ts)
        if status == Status.OK:
            while k < rows.size:
                k += self.emit(rows.data + k, rows.size - k, source, first_row + k)
        return status

    def message(self, bytes payload not None, int64_t ts):
        """Feed one message as it comes in; its rows have the positions that a recording of all messages gives them.

        Parameters
        ----------
        payload : bytes
        ts : int
            When it came in, ns.

        Returns
        -------
        Status
            How it was read.

        Raises
        ------
        FeedError
            If the stamp is none that can be.
        """
        return StatusFace(self.hear(payload, ts))

    cdef int hear(self, bytes payload, int64_t ts) except -1:
        cdef int status
        if self.scanner is None:
            raise TypeError("messages need a scanner")
        if <uint64_t> ts > LATEST_NS:
            raise FeedError(f"no stamp that can be: {ts} ns")
        self.started_ns = clock_ns()
        status = self.read(payload, len(payload), ts, 0, self.taken)
        self.lines += 1
        if status == Status.OK:
            self.taken += self.scanner.rows.size
        return status

    @property
    def default_symbol(self):
        """Index of the symbol of messages that name none (REST snapshots)."""
        return self.scanner.default_symbol if self.scanner is not None else -1

    @default_symbol.setter
    def default_symbol(self, int symbol):
        if self.scanner is None:
            raise TypeError("recorder lines need a scanner")
        self.scanner.default_symbol = symbol

    def feed_rows(self, rows not None, int source, int64_t first_row):
        """Feed an array of market rows.

        Parameters
        ----------
        rows : array of EVENT_DTYPE
        source : int
            Number of the data source in the run's manifest.
        first_row : int
            Position of the first of them in that source.
        """
        cdef const unsigned char[::1] raw
        cdef const event_t* data
        cdef Py_ssize_t i = 0, n = len(rows)
        if n == 0:
            return
        array = np.ascontiguousarray(rows, dtype=EVENT_DTYPE)
        raw = array.view(np.uint8).reshape(-1)
        data = <const event_t*> &raw[0]
        while i < n:
            if not is_market(data[i].kind):
                raise FeedError(f"row {first_row + i} of source {source} is no market row")
            if <uint64_t> data[i].ts > LATEST_NS:
                raise FeedError(f"row {first_row + i} of source {source} has no stamp that can be: {data[i].ts} ns")
            # A decision on candles is timed from its wake-up: nothing has come in over a wire.
            self.started_ns = clock_ns() if data[i].flags & Flag.F_END and data[i].kind < Kind.CANDLE else 0
            i += self.emit(&data[i], n - i, source, first_row + i)

    def feed_lines(self, bytes lines not None, int source, int64_t first_row, int64_t unit_ns, int64_t offset_ns,
                   int64_t first_line):
        """Feed whole recorder lines (``<local stamp> <json>``); return the rows that they gave.

        Parameters
        ----------
        lines : bytes
            Each ends in a line feed.
        source, first_row
            As in ``feed_rows``.
        unit_ns : int
            Nanoseconds of one unit of the local stamp.
        offset_ns : int
            The recorder's clock offset; it is removed.
        first_line : int
            Number of the first line, for errors.

        Raises
        ------
        FeedError
            If a line does not start with a stamp and a space.
        """
        cdef const char* p = <const char*> lines
        cdef const char* end = p + len(lines)
        cdef const char* stop
        cdef int64_t stamp, count = 0
        cdef Py_ssize_t length
        cdef Rows rows
        if self.scanner is None:
            raise TypeError("recorder lines need a scanner")
        rows = self.scanner.rows
        while p < end:
            stop = <const char*> memchr(p, 10, end - p)
            if stop == NULL:
                raise FeedError(f"line {first_line}: it does not end")
            self.started_ns = clock_ns()
            stamp = read_stamp(&p)
            if stamp <= 0 or stamp > (<int64_t> 1 << 62) // unit_ns or p >= stop or p[0] != 32:
                raise FeedError(f"line {first_line}: it does not start with a local stamp and a space")
            stamp = stamp * unit_ns - offset_ns
            if <uint64_t> stamp > LATEST_NS:
                raise FeedError(f"line {first_line}: without the clock's offset its stamp cannot be: {stamp} ns")
            p += 1
            length = stop - p - (1 if (stop - 1)[0] == 13 else 0)
            if self.read(p, length, stamp, source, first_row + count) == Status.OK:
                count += rows.size
            self.lines += 1
            first_line += 1
            p = stop + 1
        return count


cdef class Run(Feed):
    """A run that trades: its journal, and the figures of its report."""

    def __cinit__(self, *args):
        memset(&self.span, 0, sizeof(event_t))
        memset(self.latency, 0, sizeof(self.latency))
        memset(self.alarms, 0, sizeof(self.alarms))
        self.samples = Rows()

    cdef int note_rows(self, Py_ssize_t n, int source, int64_t index) except -1:
        # The range of market rows under way grows, or another begins.
        self.rows += n
        if self.span.c and self.span.a == source and self.span.b + self.span.c == index:
            self.span.c += n
            return 0
        self.close_span()
        self.span.kind = Kind.RANGE
        self.span.flags = Flag.F_END
        self.span.a = source
        self.span.b = index
        self.span.c = n
        return 0

    cdef int close_span(self) except -1:
        if self.span.c:
            self.span.ts = self.now
            self.journal.append(&self.span)
            self.span.c = 0
        return 0

    cdef void measure(self) noexcept nogil:
        # Wire to order: from the message's arrival to its orders approved.
        cdef int64_t ns = clock_ns() - self.started_ns
        cdef int power
        self.latency_max = max(self.latency_max, ns)
        if ns < 16:
            self.latency[max(0, ns)] += 1
            return
        power = 63 - clz(ns)
        self.latency[min(LATENCY_BUCKETS - 1, (power - 3) * 16 + ((ns >> (power - 4)) & 15))] += 1

    cdef int sample(self, int64_t ts) except -1:
        cdef event_t* row
        cdef Py_ssize_t k
        if self.samples.size >= MAX_SAMPLES:        # keep every other one and go on at half the rate
            for k in range(self.samples.size // 2):
                self.samples.data[k] = self.samples.data[2 * k]
            self.samples.size //= 2
            self.sample_ns *= 2
        row = self.samples.push()
        row.ts = ts
        row.a = self.engine.account.equity_e8()
        row.b = self.engine.account.wallet_e8
        row.c = self.engine.account.unrealised_e8
        row.d = self.engine.account.gross_e8
        row.e = self.engine.gate.drawdown_e8()
        self.next_sample = ts - ts % self.sample_ns + self.sample_ns
        return 0

    cdef event_t control_row(self, int kind, int64_t ts, words, int symbol) except *:
        cdef event_t row
        values = [*words, 0, 0, 0, 0, 0, 0]
        if <uint64_t> ts > LATEST_NS:
            raise ValueError(f"{KindFace(kind).name}: no stamp that can be: {ts} ns")
        if not 0 <= symbol < self.engine.instruments.size:
            raise IndexError(symbol)
        memset(&row, 0, sizeof(event_t))
        row.kind = kind
        row.flags = Flag.F_END
        row.symbol = symbol
        row.ts = ts
        row.a, row.b, row.c, row.d, row.e, row.f = values[:6]
        return row

    cdef bytes seal(self):
        # The journal's last row: the state's hash, and after how many events.
        cdef event_t row
        cdef bytes digest
        self.sample(self.now)
        self.close_span()
        digest = self.engine.digest()
        memset(&row, 0, sizeof(event_t))
        row.kind = Kind.SEAL
        row.flags = Flag.F_END
        row.ts = self.now
        memcpy(&row.a, <const char*> digest, 32)
        row.e = self.engine.events
        self.journal.append(&row)
        return digest

    def equity_curve(self):
        """Return the samples: ts, a equity, b wallet, c unrealised, d gross (1e-8 USDT), e drawdown (1e-8)."""
        return self.samples.array()

    def latency_counts(self):
        """Return (edges, counts) of the wire-to-order histogram, ns, empty tails cut off."""
        cdef int k, top = 0
        edges = [bucket_floor(k) for k in range(LATENCY_BUCKETS + 1)]
        for k in range(LATENCY_BUCKETS):
            if self.latency[k]:
                top = k + 1
        return edges[: top + 1], [self.latency[k] for k in range(top)]

    def alarm_counts(self):
        """Return {alarm: count}."""
        return {AlarmFace(k).name: self.alarms[k] for k in range(64) if self.alarms[k]}


@cython.final
cdef class Collector(Feed):
    """Collects the rows that it is fed.

    Parameters
    ----------
    scanner : Scanner
    """

    def __init__(self, Scanner scanner not None):
        self.scanner = scanner
        self.collected = Rows()

    cdef int market(self, const event_t* row, int source, int64_t index) except -1:
        return self.levels(row, 1, source, index)

    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        self.collected.reserve(n)
        memcpy(self.collected.data + self.collected.size, rows, n * sizeof(event_t))
        self.collected.size += n
        self.rows += n
        return 0

    def take(self):
        """Return the rows since the last call, as an array of EVENT_DTYPE that is the caller's to change."""
        taken = np.frombuffer(bytearray(self.collected), dtype=EVENT_DTYPE)
        self.collected.size = 0
        return taken


@cython.final
cdef class Driver(Run):
    """A run through history: engine, venue, journal.

    Parameters
    ----------
    engine : Engine
    exchange : Exchange
        Its account 0 is the engine's.
    scanner : Scanner or None
        Needed for ``feed_lines``.
    journal : JournalWriter
    order_latency_ns, response_latency_ns : int
        Decision to matching, and matching to our knowing of it.
    sample_ns : int
        Spacing of the equity curve; doubled when the curve grows beyond its bound.
    latency : Latency, optional
        Of requests and answers, in place of the two constants.
    """

    def __cinit__(self, *args):
        self.heap_room = 256
        self.heap = <parcel_t*> PyMem_Calloc(self.heap_room, sizeof(parcel_t))
        if self.heap == NULL:
            raise MemoryError("driver")

    def __init__(self, Engine engine not None, Exchange exchange not None, Scanner scanner,
                 JournalWriter journal not None, int64_t order_latency_ns, int64_t response_latency_ns,
                 int64_t sample_ns, Latency latency=None):
        if order_latency_ns < 0 or response_latency_ns < 0 or sample_ns <= 0:
            raise ValueError("latencies are not negative, the sampling interval is positive")
        self.engine = engine
        self.exchange = exchange
        self.scanner = scanner
        self.journal = journal
        self.way = latency or Latency("constant", [order_latency_ns], [response_latency_ns])
        self.sample_ns = sample_ns

    def __dealloc__(self):
        PyMem_Free(self.heap)

    # ------------------------------------------------------------------ parcels

    cdef int post(self, int64_t due, uint8_t kind, const event_t* row, const approved_t* order) except -1:
        cdef Py_ssize_t k, parent
        cdef parcel_t parcel
        cdef parcel_t* grown
        if self.heap_size == self.heap_room:
            grown = <parcel_t*> PyMem_Realloc(self.heap, 2 * self.heap_room * sizeof(parcel_t))
            if grown == NULL:
                raise MemoryError("driver")
            self.heap = grown
            self.heap_room *= 2
        memset(&parcel, 0, sizeof(parcel_t))
        parcel.due = due
        parcel.count = self.parcels
        parcel.kind = kind
        if row != NULL:
            parcel.row = row[0]
        if order != NULL:
            parcel.order = order[0]
        self.parcels += 1
        k = self.heap_size
        self.heap_size += 1
        while k:
            parent = (k - 1) >> 1
            if not sooner(&parcel, &self.heap[parent]):
                break
            self.heap[k] = self.heap[parent]
            k = parent
        self.heap[k] = parcel
        return 0

    cdef parcel_t pop(self) noexcept:
        cdef parcel_t top = self.heap[0]
        cdef parcel_t* last
        cdef Py_ssize_t k = 0, child
        self.heap_size -= 1
        last = &self.heap[self.heap_size]
        while True:
            child = 2 * k + 1
            if child >= self.heap_size:
                break
            if child + 1 < self.heap_size and sooner(&self.heap[child + 1], &self.heap[child]):
                child += 1
            if not sooner(&self.heap[child], last):
                break
            self.heap[k] = self.heap[child]
            k = child
        self.heap[k] = last[0]
        return top

    cdef int advance(self, int64_t ts) except -1:
        # Deliver everything that is due before this stamp.
        cdef parcel_t parcel
        while self.heap_size and self.heap[0].due < ts:
            parcel = self.pop()
            # A wake-up is what a decision on candles starts from; an answer of the venue starts none.
            self.started_ns = clock_ns() if parcel.row.kind == Kind.TIMER else 0
            self.deliver(&parcel)
        return 0

    cdef int deliver(self, const parcel_t* parcel) except -1:
        self.now = max(self.now, parcel.due)
        if parcel.kind == Parcel.TO_ENGINE:
            self.close_span()
            self.to_engine(&parcel.row)
        elif parcel.kind == Parcel.CONTROL:
            self.close_span()
            self.apply(&parcel.row)
        elif parcel.kind == Parcel.TO_VENUE:
            self.exchange.submit(&parcel.order, 0, parcel.due)
            self.drain_venue()
        else:
            if parcel.kind == Parcel.QUERY_AT_VENUE:
                self.exchange.query(parcel.row.a, parcel.row.symbol, 0, parcel.due)
            else:
                self.exchange.cancel(parcel.row.a, parcel.row.symbol, 0, parcel.due)
            self.drain_venue()
        return 0

    # ------------------------------------------------------------------ market

    cdef int market(self, const event_t* row, int source, int64_t index) except -1:
        if row.kind != Kind.LEVEL:
            if self.heap_size and self.heap[0].due < row.ts:
                self.advance(row.ts)
                self.started_ns = 0                 # the wait was not this message's
            self.now = max(self.now, row.ts)
            self.way.observe(<int64_t> row.lag_us * 1000)
        self.note_rows(1, source, index)
        self.engine.step(row)
        if self.engine.desk.outbox.size:
            self.close_span()
            self.drain_engine()
        self.exchange.on_row(row)
        if self.exchange.out.size:
            self.drain_venue()
        if row.flags & Flag.F_END and row.ts >= self.next_sample:
            self.sample(row.ts)
        if self.slow is not None and row.flags & Flag.F_END and row.ts >= self.next_slow:
            self.ask_slow(row.ts)
        return 0

    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        self.note_rows(n, source, index)
        self.engine.step_levels(rows, n)
        return self.exchange.on_levels(rows, n)

    cdef int apply(self, const event_t* row) except -1:
        # What happens to the account outside of trading is asked of the venue; its answer reaches the engine.
        cdef int code
        if row.kind == Kind.TRANSFER:
            code = self.exchange.transfer(row.b, row.a, 0, row.ts)
        elif row.kind == Kind.SETTING:
            code = self.exchange.change_setting(row.symbol, row.a, row.b, 0, row.ts)
        elif row.kind == Kind.MARGIN_MOVED:
            code = self.exchange.move_margin(row.symbol, 1 if row.flags & Flag.F_SHORT else 0, row.a, 0, row.ts)
        else:
            return self.to_engine(row)
        if code:
            raise ValueError(f"the venue refuses {KindFace(row.kind).name} at {row.ts} with {code}")
        return self.drain_venue()

    cdef int to_engine(self, const event_t* row) except -1:
        self.journal.append(row)
        self.engine.step(row)
        if self.engine.desk.outbox.size:
            self.drain_engine()
        return 0

    cdef int drain_engine(self) except -1:
        # Journal what the engine asks for, then send it on its way.
        cdef Rows outbox = self.engine.desk.outbox
        cdef event_t wake
        cdef event_t* row
        cdef Py_ssize_t k
        cdef int order = 0
        if self.engine.desk.n_approvals and self.started_ns:
            self.measure()
        for k in range(outbox.size):
            row = outbox.data + k
            self.journal.append(row)
            if row.kind == Kind.ORDER or row.kind == Kind.AMEND:
                self.post(self.now + self.way.request(self.now), Parcel.TO_VENUE, NULL,
                          &self.engine.desk.approvals[order])
                order += 1
            elif row.kind == Kind.CANCEL:
                self.post(self.now + self.way.request(self.now), Parcel.CANCEL_AT_VENUE, row, NULL)
            elif row.kind == Kind.QUERY:
                self.post(self.now + self.way.request(self.now), Parcel.QUERY_AT_VENUE, row, NULL)
            elif row.kind == Kind.SET_TIMER:
                wake = row[0]
                wake.kind = Kind.TIMER
                wake.ts = max(row.b, self.now)
                self.post(wake.ts, Parcel.TO_ENGINE, &wake, NULL)
            elif row.kind == Kind.ALARM:
                self.alarms[row.a & 63] += 1
        return 0

    cdef int drain_venue(self) except -1:
        cdef event_t answer
        cdef int64_t delay
        cdef Py_ssize_t k
        for k in range(self.exchange.out.size):
            if self.exchange.to.data[k].a == 0:
                answer = self.exchange.out.data[k]
                delay = self.way.response(answer.ts)
                answer.lag_us = min(delay // 1000, <int64_t> INT32_MAX)
                answer.ts += delay
                self.post(answer.ts, Parcel.TO_ENGINE, &answer, NULL)
        self.exchange.out.size = 0
        self.exchange.to.size = 0
        return 0

    # ------------------------------------------------------------------ Python face

    def control(self, int kind, int64_t ts, words=(), int symbol=0):
        """Put an event that neither market nor order brings (RUN, COMMAND, TRANSFER, SETTING) into the stream, now."""
        cdef event_t row = self.control_row(kind, ts, words, symbol)
        self.close_span()
        self.apply(&row)

    def schedule(self, int kind, int64_t ts, words=(), int symbol=0):
        """Put such an event into the stream at a stamp to come."""
        cdef event_t row = self.control_row(kind, ts, words, symbol)
        if ts <= self.now:
            raise ValueError(f"{KindFace(kind).name} at {ts}: the run is at {self.now} already")
        self.post(ts, Parcel.CONTROL, &row, NULL)

    def wake(self, int64_t ts):
        """Let time pass where no market event brings it: deliver what is due before a stamp.

        Parameters
        ----------
        ts : int
            Now, ns.
        """
        self.close_span()
        self.advance(ts)

    def consult(self, Headroom slow not None, int64_t every_ns, int64_t delay_ns):
        """Ask for headroom at every multiple of a time, and let the engine have the answer a delay later.

        Parameters
        ----------
        slow : Headroom
        every_ns, delay_ns : int
        """
        if every_ns <= 0 or delay_ns < 0:
            raise ValueError("a slow model is asked at a positive interval and answers after a delay")
        self.slow = slow
        self.slow_ns = every_ns
        self.slow_delay = delay_ns

    cdef int ask_slow(self, int64_t ts) except -1:
        cdef int64_t there = ts + self.slow_delay
        cdef Rows rows = self.slow.ask(self.engine, there, there + self.slow_ns)
        cdef Py_ssize_t k
        for k in range(rows.size):
            self.post(there, Parcel.TO_ENGINE, rows.data + k, NULL)
        self.next_slow = ts - ts % self.slow_ns + self.slow_ns
        return 0

    def finish(self):
        """End the run: deliver what is on its way, then seal the journal with the state's hash.

        Returns
        -------
        bytes
            SHA-256 of the engine's state.
        """
        cdef parcel_t parcel
        for _ in range(MAX_LAST_PARCELS):
            if not self.heap_size:
                break
            parcel = self.pop()
            if parcel.row.kind != Kind.TIMER:  # nobody is woken after the end
                self.deliver(&parcel)
        return self.seal()


def bucket_floor(k: int) -> int:
    """Return the smallest value (ns) that falls into a bucket of the latency histogram."""
    if k < 16:
        return k
    return (16 + k % 16) << (k // 16 - 1)


cdef inline bint sooner(const parcel_t* a, const parcel_t* b) noexcept nogil:
    return a.due < b.due or (a.due == b.due and a.count < b.count)


@cython.final
cdef class Verifier(Feed):
    """Re-runs a journal: market rows from their files, everything else from the journal itself.

    The engine's every request is compared with the journalled one, and its state with the seal.

    Parameters
    ----------
    engine : Engine
        Built as the run's was.
    scanner : Scanner or None
    script : iterator of Rows
        The journal's rows (``journal.read_journal``).
    """

    def __init__(self, Engine engine not None, Scanner scanner, script):
        self.engine = engine
        self.scanner = scanner
        self.script = iter(script)
        self.block = Rows()
        self.run_script()

    cdef event_t* peek(self) except? NULL:
        # The journal's next row; NULL at its end.
        if self.at >= self.block.size:
            self.block = next(self.script, None) or Rows()
            self.at = 0
            if self.block.size == 0:
                return NULL
        return self.block.data + self.at

    cdef int differ(self, str what) except -1:
        if self.difference is None:
            self.difference = what
        return 0

    cdef int run_script(self) except -1:
        # Play the journal up to its next range of market rows.
        cdef event_t* row
        cdef bytes digest
        while self.left == 0 and self.difference is None:
            row = self.peek()
            if row == NULL:
                return 0
            self.at += 1
            if row.kind == Kind.RANGE:
                self.source = row.a
                self.left = row.c
            elif row.kind == Kind.SEAL:
                self.sealed = True
                digest = self.engine.digest()
                if memcmp(&row.a, <const char*> digest, 32) != 0:
                    self.differ("the state at the end")
            elif is_outbox(row.kind):
                self.differ(f"the run asked for {KindFace(row.kind).name} at {row.ts}, this one for nothing")
            else:
                self.engine.step(row)
                self.compare()
        return 0

    cdef int compare(self) except -1:
        # What the engine asks for now must be what the journal says next.
        cdef Rows outbox = self.engine.desk.outbox
        cdef event_t* row
        cdef Py_ssize_t k
        for k in range(outbox.size):
            row = self.peek()
            if row == NULL or memcmp(row, outbox.data + k, sizeof(event_t)) != 0:
                what = "nothing" if row == NULL else f"{KindFace(row.kind).name} at {row.ts}"
                return self.differ(f"request {self.compared}: the run asked for {what}, "
                                   f"this one for {KindFace(outbox.data[k].kind).name} at {outbox.data[k].ts}")
            self.at += 1
            self.compared += 1
        return 0

    cdef int market(self, const event_t* row, int source, int64_t index) except -1:
        self.rows += 1
        if self.difference is not None:
            return 0
        if self.left == 0 or source != self.source:
            return self.differ(f"the journal has no row {index} of source {source} here")
        self.left -= 1
        self.engine.step(row)
        if self.engine.desk.outbox.size:
            if self.left:
                return self.differ(f"this run asks for something after row {index} of source {source}, that one not")
            self.compare()
        if self.left == 0:
            self.run_script()
        return 0

    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        cdef Py_ssize_t k
        if self.difference is None and source == self.source and n < self.left:
            self.rows += n
            self.left -= n
            return self.engine.step_levels(rows, n)
        for k in range(n):
            self.market(rows + k, source, index + k)
        return 0

    def finish(self):
        """Return the first difference as text, None when every request and the final state are equal."""
        if self.difference is None and (self.left or not self.sealed):
            self.differ("the journal expects more than its data give" if self.left else "the journal has no seal")
        return self.difference
