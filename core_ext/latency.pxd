"""How long a request takes to the venue, and its answer back.

Knows four ways: constant, recorded with its stamps, drawn from quantiles, and following the feed's own lag. Refuses to
read a clock: the moment is always given. A connection is first in, first out: nothing overtakes what was sent before.
"""
from libc.stdint cimport int64_t, uint64_t


cdef enum LatencyKind:
    CONSTANT = 0
    RECORDED = 1
    QUANTILES = 2
    FEED = 3


cdef class Latency:
    cdef int kind
    cdef int64_t* stamps               # recorded: when each pair begins to hold
    cdef int64_t* requests             # ns: one, by stamp, or quantiles in ascending order
    cdef int64_t* responses
    cdef Py_ssize_t size
    cdef Py_ssize_t place              # recorded: the pair that holds
    cdef int64_t lag_ns                # of the feed, last seen
    cdef uint64_t generator
    cdef int64_t arrived               # at the venue, the last request
    cdef int64_t answered              # here, the last response

    cdef int64_t request(self, int64_t now) noexcept nogil
    cdef int64_t response(self, int64_t now) noexcept nogil
    cdef void observe(self, int64_t lag_ns) noexcept nogil
    cdef int64_t value(self, const int64_t* table, int64_t now) noexcept nogil
