"""The wire itself: frames that come in, and orders that leave, without the interpreter where it is not needed.

The only module of the core that knows picows, whose header is not stable: it is pinned to one version. It knows frames,
the names of streams, the exchange's limits, and how a signed text becomes a request of the exchange's socket. It does
not know what a message says beyond its stream's name, which request an answer belongs to, and whether anything but the
limits, R32 and a missing connection keeps a request from leaving.
"""
from libc.stdint cimport int64_t, uint64_t
from picows.picows cimport WSFrame, WSListener, WSTransport

from core_ext.budget cimport Allowance
from core_ext.types cimport Instruments
from core_ext.wire cimport ORDER_BYTES, Request, Signer


cdef enum:
    HEAD_BYTES = 14            # room that picows wants before a text, for the frame's head and its mask
    NUMBER_BYTES = 80          # `{"id":...,"method":"...","params":{"`
    # A sign between two words of a text becomes three.
    FRAME_BYTES = HEAD_BYTES + NUMBER_BYTES + 3 * ORDER_BYTES


cdef class Clock:
    cdef object mono                           # None: the system's
    cdef public int64_t base_ns                # wall time less monotonic time
    cdef public int64_t offset_ns              # wall time less the exchange's
    cdef int64_t last_ns
    cdef int64_t read(self) except? -1


cdef class Stream:
    cdef readonly str name, symbol, kind
    cdef readonly bint is_book
    cdef public object connection
    cdef public object next
    cdef public object handover
    cdef public double heard_s
    cdef public bint is_stale
    cdef public bytes last


cdef class Switch:
    cdef dict streams
    cdef set wanted
    cdef object sink, stop, now_ns, now_s
    cpdef deliver(self, Stream stream, bytes message)
    cdef bint take(self, Listener listener, const char* p, Py_ssize_t n) except -1


cdef class Listener(WSListener):
    cdef readonly Py_ssize_t most_bytes        # of a message that is heard
    cdef public bint is_parted                 # a message that comes in parts is under way
    cdef public Switch switch


cdef class Outlet:
    cdef Signer signer
    cdef Instruments instruments
    cdef Allowance budget
    cdef uint64_t number                       # of the newest request
    cdef WSTransport transport                 # None while nothing can leave
    cdef char frame[FRAME_BYTES]
    cdef char text[ORDER_BYTES]
    cdef int dispatch(self, Request request, int64_t stamp_ms, int64_t now) except -1
    cdef Py_ssize_t framed(self, uint64_t number, const char* method, const char* text, Py_ssize_t n) noexcept
    cdef int write(self, uint64_t number, const char* method, const char* text, Py_ssize_t n) except -1
