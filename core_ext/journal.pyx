"""Append rows to a journal, read them back."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from core_ext.sha256 cimport sha256_of
from core_ext.types cimport Rows, event_t, is_outbox

import hashlib
import os
import struct
import zlib

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>
    #ifdef __APPLE__
    #define fdatasync fsync
    #endif

    /* One thread writes, another reads: whole, in this order, and nothing more is asked of them. */
    #define at_told(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define at_tell(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)

    /* CRC-32 of ISO 3309, as zlib has it, eight bytes a step: table k is for a byte that k zeros follow. */
    static uint32_t at_crc[8][256];

    static void at_crc_begin(void) {
        uint32_t n, k, c;
        for (n = 0; n < 256; n++) {
            for (c = n, k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
            at_crc[0][n] = c;
        }
        for (n = 0; n < 256; n++)
            for (k = 1; k < 8; k++) at_crc[k][n] = at_crc[0][at_crc[k - 1][n] & 255] ^ at_crc[k - 1][n] >> 8;
    }

    static inline uint32_t at_crc_of(const char *data, size_t size) {
        const unsigned char *p = (const unsigned char *)data;
        uint32_t c = 0xFFFFFFFFu, two[2];
        for (; size >= 8; size -= 8, p += 8) {
            memcpy(two, p, 8);
            two[0] ^= c;
            c = at_crc[7][two[0] & 255] ^ at_crc[6][two[0] >> 8 & 255] ^ at_crc[5][two[0] >> 16 & 255]
              ^ at_crc[4][two[0] >> 24] ^ at_crc[3][two[1] & 255] ^ at_crc[2][two[1] >> 8 & 255]
              ^ at_crc[1][two[1] >> 16 & 255] ^ at_crc[0][two[1] >> 24];
        }
        for (; size; size--, p++) c = at_crc[0][(c ^ *p) & 255] ^ c >> 8;
        return ~c;
    }

    static inline void at_sleep(double seconds) {
        struct timespec t;
        t.tv_sec = (time_t)seconds;
        t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
    }
    """
    uint64_t rows_told "at_told"(uint64_t* p) noexcept nogil
    bint flag_told "at_told"(bint* p) noexcept nogil
    void tell_rows "at_tell"(uint64_t* p, uint64_t value) noexcept nogil
    void tell_flag "at_tell"(bint* p, bint value) noexcept nogil
    void crc32_begin "at_crc_begin"() noexcept nogil
    uint32_t crc32_of "at_crc_of"(const char* p, size_t size) noexcept nogil
    void sleep_for "at_sleep"(double seconds) noexcept nogil
    Py_ssize_t write_to "write"(int place, const void* data, size_t size) noexcept nogil
    int fdatasync(int place) noexcept nogil

MAGIC = 0x314A5441                     # "ATJ1"
HEADER = struct.Struct("<IIQI32s8xI")  # magic, rows, first row, crc of the rows, chain, padding, crc of the header
ROW_BYTES = 64

cdef enum:
    HEADER_BYTES = 64
    LINK_BYTES = 32
    MAGIC_WORD = 0x314A5441

cdef struct header_t:
    uint32_t magic
    uint32_t rows
    uint64_t first
    uint32_t rows_crc
    char chain[LINK_BYTES]
    char padding[8]
    uint32_t crc

crc32_begin()
cdef Py_ssize_t BLOCK_ROWS = 1024
cdef uint64_t ANCHOR_ROWS = 64 * 1024


cdef int hash_outbox(object digest, bytes block) except -1:
    # Runs of outbox rows.
    cdef const event_t* row = <const event_t*> (<const char*> block + HEADER_BYTES)
    cdef const event_t* end = <const event_t*> (<const char*> block + len(block))
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
        self.place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self.file = os.fdopen(self.place, "wb", buffering=0)
        self.pending = Rows()
        self.chain = bytes(32)
        self.anchor = anchor
        self.rows_hash = hashlib.sha256()
        self.outbox_hash = hashlib.sha256()
        self.unsettled = []

    cdef int append(self, const event_t* row) except -1:
        self.pending.push()[0] = row[0]
        if self.pending.size >= BLOCK_ROWS:
            self.flush()
        return 0

    @property
    def rows(self):
        """Rows written so far, without those that are pending."""
        return self.written

    def flush(self):
        """Write what is pending as one block.

        Raises
        ------
        OSError
            If it cannot be written whole, now or ever before: what follows a torn block would make damage of it.
        """
        self.write()
        self.settle()

    cdef int write(self) except -1:
        # What orders wait for. The interpreter's lock is kept: whoever took it meanwhile would be waited for.
        cdef Py_ssize_t n = self.pending.size, size = HEADER_BYTES + n * <Py_ssize_t> sizeof(event_t), done
        cdef bytes block
        cdef int error
        if self.failed:
            raise OSError("journal: an earlier write has failed, and nothing is written after it")
        if n == 0:
            return 0
        block = self.block(n, size)
        self.failed = True
        done = write_to(self.place, <const char*> block, size)
        while done < 0 and errno == EINTR:
            done = write_to(self.place, <const char*> block, size)
        if done < 0:
            error = errno
            raise OSError(error, os.strerror(error))
        if done != size:
            raise OSError(f"journal: {done} of {size} bytes written")
        self.failed = False
        tell_rows(&self.written, self.written + n)
        self.unsettled.append(block)
        self.pending.size = 0
        return 0

    cdef bytes block(self, Py_ssize_t n, Py_ssize_t size):
        # The chain's last link stands before the rows while the next one is made, where the header's end will be.
        cdef bytes made = PyBytes_FromStringAndSize(NULL, size)
        cdef char* p = <char*> made
        cdef header_t head
        memcpy(p + HEADER_BYTES, self.pending.data, size - HEADER_BYTES)
        memcpy(p + HEADER_BYTES - LINK_BYTES, <const char*> self.chain, LINK_BYTES)
        memset(&head, 0, sizeof(head))
        sha256_of(p + HEADER_BYTES - LINK_BYTES, size - HEADER_BYTES + LINK_BYTES, head.chain, False)
        self.chain = head.chain[:LINK_BYTES]
        head.magic, head.rows, head.first = MAGIC_WORD, <uint32_t> n, self.written
        head.rows_crc = crc32_of(p + HEADER_BYTES, size - HEADER_BYTES)
        head.crc = crc32_of(<const char*> &head, sizeof(head))
        memcpy(p, &head, sizeof(head))
        return made

    cdef int settle(self) except -1:
        # What nobody waits for: the hashes of the whole, and an anchor when it is due.
        for block in self.unsettled:
            self.rows_hash.update(memoryview(block)[HEADER_BYTES:])
            hash_outbox(self.outbox_hash, block)
        self.unsettled.clear()
        if self.written - self.anchored >= ANCHOR_ROWS:
            self.tell_anchor()
        return 0

    def tell_anchor(self):
        """Tell the anchor of every row that is written, once the disk has them."""
        if self.anchor is None or self.written == self.anchored:
            return
        os.fdatasync(self.place)
        self.anchor(self.written, self.chain)
        self.anchored = self.written

    def add(self, rows not None):
        """Append an array of rows."""
        cdef Rows source = Rows(rows)
        cdef Py_ssize_t i
        for i in range(source.size):
            self.append(source.data + i)

    def endure(self, double every_s):
        """Have the disk hold what is written, again and again, until it is released; in a thread of its own.

        Parameters
        ----------
        every_s : float
            Pause between two looks at what has been written.

        Raises
        ------
        OSError
            If the disk refuses.
        ValueError
            For a pause that is none.

        Notes
        -----
        The thread takes the interpreter's lock at its end only, so that nobody ever waits for it.
        """
        cdef int error = 0
        cdef uint64_t now, durable = 0
        if not 0.0 < every_s <= 1.0:
            raise ValueError(f"a pause of {every_s} s")
        with nogil:
            while not flag_told(&self.released) and error == 0:
                now = rows_told(&self.written)
                if now != durable:
                    if fdatasync(self.place) == 0:
                        durable = now
                    elif errno != EINTR:
                        error = errno
                sleep_for(every_s)
        if error and not self.released:
            raise OSError(error, os.strerror(error))

    def release(self):
        """End `endure`, within one of its pauses and one wait for the disk."""
        tell_flag(&self.released, True)

    def sync(self):
        """Flush and wait until the disk has it."""
        self.flush()
        os.fdatasync(self.place)

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
