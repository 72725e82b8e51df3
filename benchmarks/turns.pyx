"""The other end of the wire, in C: what writes a frame and waits for the answer, and an echo that does nothing else.

Knows bytes, frames' lengths and the clock. Refuses to know what the bytes say.
"""
from libc.stdint cimport int64_t

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC

cdef extern from "<sys/socket.h>" nogil:
    Py_ssize_t recv(int fd, void* data, size_t size, int flags)
    Py_ssize_t send(int fd, const void* data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN
    int EINTR

cdef enum:
    ROOM = 1 << 18


cdef class RunClock:
    """A clock that goes faster than ours, and begins so long before a recording that none of its frames is old.

    Parameters
    ----------
    start_ns : int
    rate : int
    """
    cdef int64_t start_ns, begun
    cdef int rate

    def __init__(self, int64_t start_ns, int rate):
        self.start_ns = start_ns
        self.begun = clock_ns()
        self.rate = rate

    def now_ns(self):
        """Return the time, ns."""
        return self.start_ns + (clock_ns() - self.begun) * self.rate

    def request_ms(self):
        """Return the stamp of a request, ms."""
        return self.now_ns() // 1000000

    async def measure(self):
        """Leave the clock as it is."""


cdef inline int64_t clock_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t> t.tv_sec * 1000000000 + t.tv_nsec


cdef Py_ssize_t frame_bytes(const unsigned char* p, Py_ssize_t n) noexcept nogil:
    # Length of the frame that begins here, header included; 0 while that is not known.
    cdef Py_ssize_t head = 2 + (4 if n > 1 and p[1] & 128 else 0)
    cdef Py_ssize_t size = p[1] & 127 if n > 1 else 0
    cdef int k
    if n < 2:
        return 0
    if size < 126:
        return head + size
    if size == 126:
        return 0 if n < 4 else head + 2 + (p[2] << 8 | p[3])
    if n < 10:
        return 0
    size = 0
    for k in range(8):
        size = size << 8 | p[2 + k]
    return head + 8 + size


cdef int write_all(int fd, const char* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t done
    while n > 0:
        done = send(fd, p, n, MSG_NOSIGNAL)
        if done < 0 and errno != EINTR and errno != EAGAIN:
            return -1
        if done > 0:
            p += done
            n -= done
    return 0


cdef Py_ssize_t whole_frames(const unsigned char* p, Py_ssize_t n) noexcept nogil:
    # How many frames have come whole.
    cdef Py_ssize_t at = 0, count = 0, size
    while at < n:
        size = frame_bytes(p + at, n - at)
        if size == 0 or at + size > n:
            break
        at += size
        count += 1
    return count


def turn(int out_fd, int in_fd, bytes message not None, int64_t deadline_ns, int64_t quiet_ns):
    """Write bytes and spin until what answers them has come.

    Parameters
    ----------
    out_fd, in_fd : int
        Sockets: where the bytes go, and where frames come from.
    message : bytes
    deadline_ns : int
        After so long without a frame there is none.
    quiet_ns : int
        How long is listened after a frame for another.

    Returns
    -------
    tuple of (int, int, bytes)
        From before the write until the first frame had come whole, and until the last had, ns (0 for none); and what
        came.
    """
    cdef char room[ROOM]
    cdef Py_ssize_t n = 0, got, frames = 0
    cdef int64_t begun, now, end, first = 0, last = 0
    cdef const char* p = <const char*> message
    cdef Py_ssize_t size = len(message)
    cdef bint is_gone = False
    with nogil:
        begun = clock_ns()
        end = begun + deadline_ns
        if write_all(out_fd, p, size) < 0:
            is_gone = True
        while not is_gone:
            got = recv(in_fd, room + n, ROOM - n, MSG_DONTWAIT)
            now = clock_ns()
            if got > 0:
                n += got
                if whole_frames(<unsigned char*> room, n) > frames:
                    frames = whole_frames(<unsigned char*> room, n)
                    first = first or now - begun
                    last = now - begun
                    end = now + quiet_ns
            elif got == 0 or (errno != EAGAIN and errno != EINTR) or n == ROOM:
                is_gone = True
            elif now > end:
                break
    if is_gone:
        raise ConnectionError("the other end is gone")
    return first, last, room[:n]


def echo(int fd, bytes answer not None, bint spins):
    """Answer each frame that comes with the same bytes until the other end is gone.

    Parameters
    ----------
    fd : int
        A blocking socket.
    answer : bytes
    spins : bool
        Whether it asks for bytes again and again; otherwise it sleeps in ``recv``.
    """
    cdef char room[ROOM]
    cdef Py_ssize_t n = 0, got, size
    cdef int flags = MSG_DONTWAIT if spins else 0
    cdef const char* p = <const char*> answer
    cdef Py_ssize_t length = len(answer)
    with nogil:
        while True:
            got = recv(fd, room + n, ROOM - n, flags)
            if got > 0:
                n += got
                size = frame_bytes(<unsigned char*> room, n)
                if size and n >= size:
                    if write_all(fd, p, length) < 0:
                        break
                    n = 0
            elif got == 0 or (errno != EAGAIN and errno != EINTR):
                break
