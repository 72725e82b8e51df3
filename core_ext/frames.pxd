"""Messages that wait for one peer of a WebSocket, as the bytes that will leave.

Knows how a server frames a whole text (RFC 6455, 5.2: one frame, unmasked). Refuses to know sockets, when they are
written to and how much may wait.
"""
from libc.stdint cimport uint64_t


cdef class Frames:
    cdef char* data
    cdef Py_ssize_t room
    cdef readonly Py_ssize_t waiting
    cdef readonly uint64_t count
    cdef int reserve(self, Py_ssize_t n) except -1
