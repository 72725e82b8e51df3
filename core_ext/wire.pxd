"""Bytes of the exchange's streams to rows, approved orders to bytes. Zero copy, no Python objects.

The scanner accepts only what it has seen a thousand times: the known keys of a known event,
plain ASCII strings, no escapes. Everything else - another field order that it cannot use, a new
field, a malformed message - goes to one general parser, which alone decides whether a message is
refused. So the two can never disagree about what is accepted, only about how fast.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from core_ext.sha256 cimport hmac_t
from core_ext.types cimport Instruments, Rows, Status, approved_t, event_t, instrument_t


cdef struct text_t:
    const char* p      # first byte of the value, inside the quotes of a string
    Py_ssize_t n
    int64_t value      # of a number
    char opener        # '"' string, '0' number, 't' true, 'f' false, '[' levels, '{' object


cdef struct scan_t:
    const char* end
    uint64_t seen          # one bit a key: see ``key_bit``
    text_t v[64]
    event_t* rows          # room for every level that the message can hold
    Py_ssize_t n           # rows written; row 0 is the header of a depth message
    int symbol
    int default_symbol
    int64_t ts
    int32_t lag            # of the levels; 0 until the event time is known


cdef class Scanner:
    cdef Instruments instruments
    cdef public int default_symbol        # of messages that do not name theirs (REST snapshots)
    cdef readonly Rows rows               # the rows of the last message
    cdef readonly uint64_t messages
    cdef readonly uint64_t general        # messages that took the general parser
    cdef readonly uint64_t ignored
    cdef readonly uint64_t refused        # malformed, off the grid, or of an unknown symbol
    cdef Status read(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED
    cdef Status scan(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED
    cdef Status general_read(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED


cdef enum:
    SIGNATURE_BYTES = 75       # "&signature=" and 64 hexadecimal digits
    NAME_BYTES = 128           # of an API key
    ORDER_BYTES = 768          # room for any order's text with its signature


cdef class Approval:
    cdef approved_t order      # risk's own copy of what it let through


cdef class Request:
    cdef readonly object kind              # ORDER, AMEND, CANCEL or QUERY
    cdef int code
    cdef readonly uint64_t client_id
    cdef readonly int symbol
    cdef readonly bint conditional
    cdef readonly bint closes
    cdef readonly Approval approval
    cdef readonly uint64_t number
    cdef readonly int64_t weight_sent, orders_sent
    cdef bint is_order(self) noexcept
    cdef bint gives_way(self) noexcept


cdef class Signer:
    # What a key becomes, never the key: two states of the hash. Nothing returns, prints or stores them.
    cdef hmac_t key
    cdef bint signs                    # False: there is no key, and texts have no signature
    cdef char name[NAME_BYTES + 1]     # the API key that a text names, or nothing
    cdef void sign_into(self, const char* text, Py_ssize_t n, char* out) noexcept nogil     # 64 digits
    cdef Py_ssize_t signed(self, char* text, Py_ssize_t n, char* signature) noexcept nogil
    cdef Py_ssize_t sign_reference(self, uint64_t client_id, int symbol, Instruments instruments, int64_t timestamp_ms,
                                   bint conditional, char* out) except 0
    # The only maker of an order's bytes that may leave: encoded, signed where there is a key, read back and compared
    # with what was approved (R32). Returns the length, 0 when refused; `out` then holds nothing. The session tells the
    # engine of a refusal as of a rejection: it never left. That the connection is the right host's is the session's to
    # check: none is in it.
    cdef Py_ssize_t sign_order(self, const approved_t* order, Instruments instruments, int64_t timestamp_ms,
                               char* out) noexcept nogil
