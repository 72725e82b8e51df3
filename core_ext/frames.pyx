"""Frame the texts that a server sends over a WebSocket, and keep them until they leave together."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    TEXT = 0x81              # the message is one frame of text
    HEAD_BYTES = 10          # at most
    FIRST_ROOM = 4096


cdef inline char* put_head(char* out, uint64_t n) noexcept nogil:
    # A length below 126 stands in the second byte; longer ones behind it, in two bytes or in eight.
    cdef int length_bytes = 0 if n < 126 else 2 if n < 65536 else 8
    cdef int k
    out[0] = <char> TEXT
    out[1] = <char> (n if n < 126 else 126 if n < 65536 else 127)
    for k in range(length_bytes):
        out[2 + k] = <char> (n >> 8 * (length_bytes - 1 - k) & 255)
    return out + 2 + length_bytes


@cython.final
cdef class Frames:
    """Texts that wait for one peer, each as one frame.

    Examples
    --------
    >>> frames = Frames()
    >>> frames.add(b"{}"), frames.add(b"[]"), frames.take(), frames.waiting, frames.count
    (4, 8, b'\\x81\\x02{}\\x81\\x02[]', 0, 2)
    """

    def __cinit__(self):
        self.data = NULL

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int reserve(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t room = max(self.room, FIRST_ROOM)
        cdef char* data
        if self.waiting + n <= self.room:
            return 0
        while room < self.waiting + n:
            room *= 2
        data = <char*> PyMem_Realloc(self.data, room)
        if data == NULL:
            raise MemoryError(f"{room} bytes of frames")
        self.data = data
        self.room = room
        return 0

    def add(self, bytes text not None):
        """Add a text; return how many bytes wait now."""
        cdef Py_ssize_t n = len(text)
        cdef char* p
        self.reserve(n + HEAD_BYTES)
        p = put_head(self.data + self.waiting, n)
        memcpy(p, <const char*> text, n)
        self.waiting = p + n - self.data
        self.count += 1
        return self.waiting

    def take(self):
        """Return all that waits, and let nothing wait."""
        cdef bytes taken = PyBytes_FromStringAndSize(self.data, self.waiting)
        self.waiting = 0
        return taken
