"""The run's truth: rows in checksummed, hash-chained blocks, appended and never changed.

A file is a sequence of blocks; a block is a 64-byte header and up to 1,024 rows of 64 bytes. The
header's own checksum tells a torn tail (the file ends inside a block: trimmed, the rest is whole) from
damage (a complete block that does not check: refused). Market rows that a file can give back are not
copied: a RANGE row names the file and the rows.
"""
from libc.stdint cimport int64_t, uint64_t

from core_ext.types cimport Rows, event_t


cdef class JournalWriter:
    cdef Rows pending
    cdef object file
    cdef int place                 # its descriptor
    cdef readonly bytes chain      # SHA-256 of the block before, 32 bytes
    cdef object anchor             # told (rows, chain) of every so many blocks that the disk has, and of the last
    cdef readonly uint64_t anchored    # rows of the last time
    cdef object rows_hash          # over every row that is settled
    cdef object outbox_hash        # over the outbox rows among them
    cdef list unsettled            # rows of blocks that are written and in no hash yet
    cdef uint64_t written          # rows; other threads read it
    cdef bint released             # nobody makes it durable any more; other threads read it
    cdef bint failed               # a write was: what is in the file ends there, and nothing follows it
    cdef int append(self, const event_t* row) except -1
    cdef int write(self) except -1
    cdef bytes block(self, Py_ssize_t n, Py_ssize_t size)
    cdef int settle(self) except -1
