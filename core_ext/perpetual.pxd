"""Mark price and funding rate of a perpetual, from its index and its book.

Knows the exchange's formulas: the median mark, the premium of the impact prices, the funding rate with its dead zone
and caps, when the funding interval changes, and that a rate or an interval may be announced against all of them.
Refuses to know accounts; whoever settles asks for the rate.

The premium is sampled every five seconds and weighs more the later it is (hourly contracts: the plain mean), the basis
every second over half a minute. Sums restart at each funding stamp.
"""
from libc.stdint cimport int64_t

from core_ext.book cimport Book
from core_ext.types cimport Instruments, instrument_t


cdef enum:
    BASIS_SAMPLES = 30


cdef class Perpetual:
    cdef Instruments instruments
    cdef int symbol
    cdef int64_t basis[BASIS_SAMPLES]      # mid minus index, a ring
    cdef int64_t basis_count
    cdef int64_t basis_stamp               # second of the last sample
    cdef int64_t premium_sum               # of sample i times i, or plain
    cdef int64_t premium_weight
    cdef int64_t premium_count
    cdef int64_t premium_stamp             # five seconds of the last sample
    cdef readonly int64_t index_e8
    cdef readonly int64_t rate_e8          # of the interval under way, from the samples so far
    cdef readonly bint is_announced        # the rate of the next stamp: samples do not move it
    cdef readonly int64_t last_rate_e8     # that was settled
    cdef readonly int64_t next_stamp       # of funding, ns; 0 before the first sample
    cdef readonly int64_t hours            # between stamps: 8, 4 or 1
    cdef readonly int64_t calm             # stamps in a row with a small rate, hourly contracts
    cdef readonly int64_t interest_e8      # per eight hours
    cdef readonly int64_t cap_e8

    cdef int sample(self, Book book, int64_t index_e8, int64_t now) except -1
    cdef int64_t mark_e8(self, int64_t last_e8, int64_t now) noexcept
    cdef int settle(self, int64_t stamp) except -1


cdef int64_t median_of(int64_t a, int64_t b, int64_t c) noexcept nogil
cdef int64_t rate_of(int64_t premium_e8, int64_t hours, int64_t interest_e8, int64_t cap_e8) noexcept nogil
cdef int64_t impact_price(Book book, const instrument_t* i, int side, int64_t notional_e8) noexcept
