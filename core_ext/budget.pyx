"""How much of the exchange's limits is used."""
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t

cdef Py_ssize_t MOST = 8192       # a power of two
cdef int64_t SECOND_NS = 1000000000

MOST_SENT = MOST


cdef class Window:
    """One limit: how much is used of it in a span of time.

    Parameters
    ----------
    span_ns, limit : int

    Notes
    -----
    At most `MOST_SENT` requests are remembered one by one; at the bound the newest is added to the one before.
    """

    def __cinit__(self, *args):
        self.recent = <spent_t*> PyMem_Calloc(MOST, sizeof(spent_t))
        if self.recent == NULL:
            raise MemoryError("budget")

    def __init__(self, int64_t span_ns, int64_t limit):
        self.span_ns = span_ns
        self.limit = limit
        self.believed_until_ns = -1

    def __dealloc__(self):
        PyMem_Free(self.recent)

    cdef void forget(self, int64_t now) noexcept nogil:
        while self.size and now - self.recent[self.first].ts >= self.span_ns:
            self.total -= self.recent[self.first].amount
            self.first = (self.first + 1) & (MOST - 1)
            self.size -= 1

    cdef int64_t used_at(self, int64_t now) noexcept nogil:
        self.forget(now)
        return self.count + self.sent - self.counted if now < self.believed_until_ns else self.total

    cdef bint holds(self, int64_t amount, int64_t share_pct, int64_t now) noexcept nogil:
        return amount == 0 or self.used_at(now) + amount <= self.limit * share_pct // 100

    cdef void add(self, int64_t amount, int64_t now) noexcept nogil:
        cdef spent_t* last
        if amount == 0:
            return
        self.forget(now)
        if self.size == MOST:
            last = &self.recent[(self.first + self.size - 1) & (MOST - 1)]
            last.amount += amount
        else:
            last = &self.recent[(self.first + self.size) & (MOST - 1)]
            last.amount = amount
            self.size += 1
        last.ts = now
        self.total += amount
        self.sent += amount

    def used(self, int64_t now_ns):
        """Return how much is used."""
        return self.used_at(now_ns)

    def hear(self, int64_t count, int64_t sent, int64_t now_ns):
        """Take a count of the exchange's.

        Parameters
        ----------
        count : int
        sent : int
            What had been sent when the request left that is answered, itself included. An answer that was overtaken
            may only raise what is believed.
        now_ns : int
        """
        if sent < self.counted and count + self.sent - sent <= self.used_at(now_ns):
            return
        self.count = count
        self.counted = sent
        self.believed_until_ns = now_ns + self.span_ns


cdef class Allowance:
    """What one address may ask for, and one account's orders.

    Parameters
    ----------
    weight_per_minute, orders_per_10s, orders_per_minute : int
    share_pct : int
        Per cent of each that everything may use; the rest is for exits.
    """

    def __init__(self, int64_t weight_per_minute, int64_t orders_per_10s, int64_t orders_per_minute,
                 int64_t share_pct):
        self.weight = Window(60 * SECOND_NS, weight_per_minute)
        self.orders_10s = Window(10 * SECOND_NS, orders_per_10s)
        self.orders_minute = Window(60 * SECOND_NS, orders_per_minute)
        self.share_pct = share_pct

    cdef bint may(self, int64_t weight, int64_t orders, bint exit, int64_t now) noexcept nogil:
        cdef int64_t share_pct = 100 if exit else self.share_pct
        if now < self.silent_ns or (orders and now < self.no_orders_ns):
            return False
        return (self.weight.holds(weight, share_pct, now) and self.orders_10s.holds(orders, share_pct, now)
                and self.orders_minute.holds(orders, share_pct, now))

    cdef void take(self, int64_t weight, int64_t orders, int64_t now) noexcept nogil:
        self.weight.add(weight, now)
        self.orders_10s.add(orders, now)
        self.orders_minute.add(orders, now)

    def allows(self, int64_t weight, int64_t orders, bint exit, int64_t now_ns):
        """Return whether a request may be sent now.

        Parameters
        ----------
        weight : int
            Of the request.
        orders : int
            New orders and amendments in it; a cancel is none.
        exit : bool
            Whether it can only reduce what is held or what is open: it may use the whole limit.
        now_ns : int
        """
        return self.may(weight, orders, exit, now_ns)

    def count(self, int64_t weight, int64_t orders, int64_t now_ns):
        """Count a request that is sent now."""
        self.take(weight, orders, now_ns)

    def silent_until_ns(self, int64_t now_ns):
        """Return until when nothing at all may be sent, 0 if something may."""
        return self.silent_ns if now_ns < self.silent_ns else 0

    def usage(self, int64_t now_ns):
        """Return the weight used of this minute and its limit: words a and b of a USAGE row."""
        return self.weight.used_at(now_ns), self.weight.limit
