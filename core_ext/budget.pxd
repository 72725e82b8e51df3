"""How much of the exchange's limits is used, on the path of an order.

It counts; what a count of the exchange's means, and how long it wants to be left alone, whoever derives from it says.
It reads no clock.
"""
from libc.stdint cimport int64_t


cdef struct spent_t:
    int64_t ts
    int64_t amount


cdef class Window:
    cdef readonly int64_t span_ns
    cdef public int64_t limit
    cdef readonly int64_t sent             # ever
    cdef spent_t* recent                   # a ring
    cdef Py_ssize_t first, size
    cdef int64_t total                     # of the ring
    cdef int64_t count, counted            # the exchange's count, and what had been sent when it counted
    cdef int64_t believed_until_ns
    cdef int64_t used_at(self, int64_t now) noexcept nogil
    cdef bint holds(self, int64_t amount, int64_t share_pct, int64_t now) noexcept nogil
    cdef void add(self, int64_t amount, int64_t now) noexcept nogil
    cdef void forget(self, int64_t now) noexcept nogil


cdef class Allowance:
    cdef readonly Window weight
    cdef readonly Window orders_10s
    cdef readonly Window orders_minute
    cdef int64_t share_pct
    cdef public int64_t silent_ns          # until when nothing may be sent
    cdef public int64_t no_orders_ns       # until when no order may
    cdef bint may(self, int64_t weight, int64_t orders, bint exit, int64_t now) noexcept nogil
    cdef void take(self, int64_t weight, int64_t orders, int64_t now) noexcept nogil
