"""A run on a wire: market and account events as they come in, orders to whoever takes them away.

It journals everything before anything leaves, and refers to the market data by their positions in the recording that is
made beside it. It knows no connection: what is to leave is handed over, and whatever becomes of it comes back as rows.
It reads no clock; whoever calls it says what time it is.
"""
from libc.stdint cimport int64_t, uint64_t

from core_ext.driver cimport Run
from core_ext.types cimport event_t


cdef class Live(Run):
    cdef public object send        # takes the requests of one event, after the journal has them
    cdef list requests
    cdef list timers               # a heap of (due, count, timer id)
    cdef uint64_t count
    cdef readonly object failure   # of the journal: nothing that opens anything leaves any more
    cdef int note(self, const event_t* row) except -1
    cdef int step(self, const event_t* row) except -1
    cdef int drain(self) except -1
    cdef int ask(self, const event_t* row, int approval) except -1
    cdef int leave(self) except -1
