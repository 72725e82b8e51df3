"""Append rows to a journal, read them back."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from core_ext.sha256 cimport sha256_of
from core_ext.types cimport Rows, event_t, is_outbox

import hashlib
import os
import struct
import zlib

MAGIC = 0x314A5441                     # "ATJ1"
HEADER = struct.Struct("<IIQI32s8xI")  # magic, rows, first row, crc of the rows, chain, padding, crc of the header
ROW_BYTES = 64
cdef Py_ssize_t BLOCK_ROWS = 1024
cdef uint64_t ANCHOR_ROWS = 64 * 1024


cdef bytes chained(bytes chain, bytes body):
    # SHA-256 of the block before and of the rows behind it.
    cdef char digest[32]
    cdef bytes text = chain + body
    sha256_of(<const char*> text, len(text), digest, False)
    return digest[:32]


cdef int hash_outbox(object digest, Rows rows) except -1:
    # Runs of outbox rows.
    cdef const event_t* row = rows.data
    cdef const event_t* end = row + rows.size
    cdef const event_t* begin
    while row < end:
        begin = row
        while row < end and is_outbox(row.kind):
            row += 1
        if row > begin:
            digest.update((<const char*> begin)[:(row - begin) * <Py_ssize_t> sizeof(event_t)])
        row += 1
    return 0


class JournalDamaged(ValueError):
    """A block of the journal does not check; nothing after it can be trusted."""


@cython.final
cdef class JournalWriter:
    """Writes one journal file.

    Parameters
    ----------
    path : str
        A file that must not exist yet; it is created readable by its owner only.
    anchor : callable, optional
        Told how many rows there are and their chain, 32 bytes, at every 65,536 rows and at the end, once the disk has
        them: whoever keeps that elsewhere can tell later whether the file is what was written.
    """

    def __init__(self, str path not None, anchor=None):
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self.file = os.fdopen(place, "wb", buffering=0)
        self.pending = Rows()
        self.chain = bytes(32)
        self.anchor = anchor
        self.rows_hash = hashlib.sha256()
        self.outbox_hash = hashlib.sha256()
        self.rows = 0

    cdef int append(self, const event_t* row) except -1:
        self.pending.push()[0] = row[0]
        if self.pending.size >= BLOCK_ROWS:
            self.flush()
        return 0

    def flush(self):
        """Write what is pending as one block.

        Raises
        ------
        OSError
            If it cannot be written whole, now or ever before: what follows a torn block would make damage of it.
        """
        cdef Py_ssize_t n = self.pending.size
        if self.failed:
            raise OSError("journal: an earlier write has failed, and nothing is written after it")
        if n == 0:
            return
        body = PyBytes_FromStringAndSize(<const char*> self.pending.data, n * sizeof(event_t))
        self.chain = chained(self.chain, body)
        self.failed = True
        fields = (MAGIC, n, self.rows, zlib.crc32(body), self.chain)
        head = HEADER.pack(*fields, 0)
        block = HEADER.pack(*fields, zlib.crc32(head)) + body
        written = self.file.write(block)
        if written != len(block):
            raise OSError(f"journal: {written} of {len(block)} bytes written")
        self.failed = False
        self.rows += n
        self.rows_hash.update(body)
        hash_outbox(self.outbox_hash, self.pending)
        self.pending.size = 0
        if self.rows - self.anchored >= ANCHOR_ROWS:
            self.tell_anchor()

    def tell_anchor(self):
        """Tell the anchor of every row that is written, once the disk has them."""
        if self.anchor is None or self.rows == self.anchored:
            return
        os.fdatasync(self.file.fileno())
        self.anchor(self.rows, self.chain)
        self.anchored = self.rows

    def add(self, rows not None):
        """Append an array of rows."""
        cdef Rows source = Rows(rows)
        cdef Py_ssize_t i
        for i in range(source.size):
            self.append(source.data + i)

    def fileno(self):
        """Return the file's descriptor, for whoever makes it durable."""
        return self.file.fileno()

    def sync(self):
        """Flush and wait until the disk has it."""
        self.flush()
        os.fdatasync(self.file.fileno())

    def close(self):
        """Flush, sync and close; return (journal, orders) SHA-256 as hexadecimal."""
        self.sync()
        self.tell_anchor()
        self.file.close()
        return self.rows_hash.hexdigest(), self.outbox_hash.hexdigest()


def read_journal(path, chunk_blocks: int = 64):
    """Iterate over a journal's rows.

    Parameters
    ----------
    path : path-like
    chunk_blocks : int, optional
        Blocks to give back at a time.

    Yields
    ------
    Rows
        In order; what a torn tail holds is left out (see ``torn_bytes``).

    Raises
    ------
    JournalDamaged
        If a complete block does not check, or a block is missing in between.
    """
    first, chain = 0, bytes(32)
    with open(path, "rb") as file:
        while True:
            out = Rows()
            for _ in range(chunk_blocks):
                block = read_block(file, path, first, chain)
                if block is None:
                    break
                body, chain = block
                extend(out, body)
                first += len(body) // ROW_BYTES
            if not len(out):
                return
            yield out


def torn_bytes(path) -> int:
    """Return how many bytes at the end of a journal belong to no complete block.

    Raises
    ------
    JournalDamaged
        As ``read_journal``.
    """
    whole, first, chain = 0, 0, bytes(32)
    with open(path, "rb") as file:
        while (block := read_block(file, path, first, chain)) is not None:
            body, chain = block
            first += len(body) // ROW_BYTES
            whole = file.tell()
    return os.path.getsize(path) - whole


def read_block(file, path, first: int, chain: bytes):
    """Return (rows as bytes, new chain), None at the end or in a torn tail."""
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    magic, rows, stated, crc, stated_chain, head_crc = HEADER.unpack(head)
    if zlib.crc32(head[:60] + bytes(4)) != head_crc or magic != MAGIC or stated != first or not 0 < rows <= BLOCK_ROWS:
        raise JournalDamaged(f"{path}: the block at row {first} is damaged (header)")
    body = file.read(rows * ROW_BYTES)
    if len(body) < rows * ROW_BYTES:
        return None
    chain = hashlib.sha256(chain + body).digest()
    if zlib.crc32(body) != crc or chain != stated_chain:
        raise JournalDamaged(f"{path}: the block at row {first} is damaged (rows)")
    return body, chain


cdef int extend(Rows out, bytes body) except -1:
    cdef Py_ssize_t n = len(body) // 64
    out.reserve(n)
    memcpy(out.data + out.size, <const char*> body, n * 64)
    out.size += n
    return 0
