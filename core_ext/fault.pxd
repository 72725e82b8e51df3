"""When the venue refuses, loses or delays: a plan that says so in advance, and the rate limits.

Knows spans of time, what fails in them and which share of the requests, and how many orders an account has sent in
the window under way. Refuses to know what a request asks for, but whether it can only close.
"""
from libc.stdint cimport int64_t, uint64_t


cdef enum:
    MAX_FAULTS = 256
    MAX_SENDERS = 1024
    # Fates that are no refusal; a negative fate is the exchange's code, a positive one above 99 an HTTP status.
    LOST_DONE = 1          # carried out, and nobody heard of it
    LOST_UNDONE = 2


cdef struct fault_t:
    int64_t since
    int64_t until          # the first stamp after it
    int64_t share_e8
    int64_t what           # a code, an HTTP status, or a Mishap
    int64_t delay_ns


cdef struct sender_t:
    # Orders of one account in the windows under way.
    int64_t window_10s
    int64_t window_minute
    int64_t count_10s
    int64_t count_minute


cdef class Faults:
    cdef fault_t plan[MAX_FAULTS]
    cdef int size
    cdef sender_t senders[MAX_SENDERS]
    cdef uint64_t generator
    cdef int64_t delay_ns              # of the answers to the request that was judged last
    cdef readonly int64_t per_10s
    cdef readonly int64_t per_minute
    cdef readonly uint64_t refused
    cdef readonly uint64_t lost

    cdef int fate(self, int kind, int account, bint closes, int64_t now) noexcept nogil
    cdef bint counts(self, int account, int64_t now) noexcept nogil
    cdef int refuse(self, int account, bint enters, int code) noexcept nogil
