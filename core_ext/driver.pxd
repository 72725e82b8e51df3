"""The compiled loop over history: market rows, venue outputs and timers, merged by stamp.

The driver is the only part of a backtest that knows both the engine and the venue. It delivers what is
due before each market row, hands the row to the engine and then to the venue, and carries orders to the
venue and answers back with the configured latencies. It journals everything that is not market data and
refers to the market data by range. Its clock readings go to statistics, never into an event.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t

from core_ext.engine cimport Engine
from core_ext.exchange cimport Exchange
from core_ext.headroom cimport Headroom
from core_ext.journal cimport JournalWriter
from core_ext.latency cimport Latency
from core_ext.signal cimport CandleSource
from core_ext.types cimport Rows, approved_t, event_t
from core_ext.wire cimport Scanner


cdef enum:
    LATENCY_BUCKETS = 1024     # 16 a power of two


cdef enum Parcel:
    TO_ENGINE = 0
    TO_VENUE = 1
    CANCEL_AT_VENUE = 2
    CONTROL = 3
    QUERY_AT_VENUE = 4


cdef struct parcel_t:
    int64_t due
    uint64_t count             # ties leave in the order in which they came
    uint8_t kind               # Parcel
    event_t row
    approved_t order


cdef class Feed:
    # What feeding rows and recorder lines has in common: those who are fed differ in ``market``.
    cdef readonly Scanner scanner
    cdef readonly int64_t now
    cdef readonly uint64_t rows            # market rows so far
    cdef readonly uint64_t lines
    cdef readonly uint64_t taken           # rows that messages gave: their positions in the recording
    cdef int64_t started_ns                # clock reading when the message under way came in
    cdef public CandleSource candles      # when there is one, the rows that it gives go on in place of the source's
    cdef int market(self, const event_t* row, int source, int64_t index) except -1
    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1
    cdef int read(self, const char* p, Py_ssize_t n, int64_t ts, int source, int64_t first_row) except -1
    cdef int hear(self, bytes payload, int64_t ts) except -1
    cdef Py_ssize_t emit(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1


cdef class Collector(Feed):
    cdef Rows collected


cdef class Run(Feed):
    # What every run does that trades: it journals, refers to its market data by range, and keeps the figures of its
    # report. Runs differ in where orders go, and in who says what time it is.
    cdef readonly Engine engine
    cdef JournalWriter journal
    cdef event_t span                      # the RANGE row under way
    cdef uint64_t latency[LATENCY_BUCKETS]
    cdef readonly int64_t latency_max
    cdef Rows samples                      # equity curve: equity, wallet, unrealised, gross, drawdown
    cdef int64_t sample_ns
    cdef int64_t next_sample
    cdef uint64_t alarms[64]
    cdef event_t control_row(self, int kind, int64_t ts, words, int symbol) except *
    cdef int note_rows(self, Py_ssize_t n, int source, int64_t index) except -1
    cdef int close_span(self) except -1
    cdef int sample(self, int64_t ts) except -1
    cdef void measure(self) noexcept nogil
    cdef bytes seal(self)


cdef class Driver(Run):
    cdef readonly Exchange exchange
    cdef parcel_t* heap
    cdef Py_ssize_t heap_size
    cdef Py_ssize_t heap_room
    cdef uint64_t parcels
    cdef Latency way                       # to the venue and back
    cdef Headroom slow                     # asked now and then, None without one
    cdef int64_t slow_ns
    cdef int64_t slow_delay
    cdef int64_t next_slow

    cdef int apply(self, const event_t* row) except -1
    cdef int ask_slow(self, int64_t ts) except -1
    cdef parcel_t pop(self) noexcept
    cdef int post(self, int64_t due, uint8_t kind, const event_t* row, const approved_t* order) except -1
    cdef int advance(self, int64_t ts) except -1
    cdef int deliver(self, const parcel_t* parcel) except -1
    cdef int to_engine(self, const event_t* row) except -1
    cdef int drain_engine(self) except -1
    cdef int drain_venue(self) except -1


cdef class Verifier(Feed):
    cdef readonly Engine engine
    cdef object script                     # iterator over the journal's rows
    cdef Rows block
    cdef Py_ssize_t at
    cdef int64_t left                      # market rows of the range under way
    cdef int64_t source
    cdef readonly uint64_t compared
    cdef readonly object difference        # the first, None while there is none
    cdef readonly bint sealed
    cdef event_t* peek(self) except? NULL
    cdef int run_script(self) except -1
    cdef int compare(self) except -1
    cdef int differ(self, str what) except -1
