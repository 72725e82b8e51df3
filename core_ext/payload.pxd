"""What a venue publishes about one symbol, from rows to the bytes of a message.

Knows the exchange's payloads of a depth diff, a touch and a trade, and how the symbol's prices and quantities are
written. Refuses to know books, chains of update ids, streams and who listens.
"""
from libc.stdint cimport int64_t

from core_ext.types cimport event_t


cdef class PayloadWriter:
    cdef bytes symbol              # with its key, quoted
    cdef bytes pair
    cdef int64_t tick_units        # units of a price's last decimal in a tick
    cdef int64_t lot_units
    cdef int price_decimals
    cdef int lot_decimals
    cdef char* text                # of the message under way
    cdef Py_ssize_t room
    cdef char* begin(self, Py_ssize_t levels) except NULL
    cdef bytes end(self, const char* p)
    cdef char* put_price(self, char* out, int64_t ticks) noexcept nogil
    cdef char* put_quantity(self, char* out, int64_t lots) noexcept nogil
    cdef char* put_side(self, char* out, const event_t* rows, Py_ssize_t n, int side) noexcept nogil
