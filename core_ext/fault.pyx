"""Faults of the simulated venue, and its rate limits."""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from core_ext.chance cimport draw, draw_e8
from core_ext.types cimport Kind

cdef int64_t SECOND = 1000000000
cdef int THROTTLED = -1008
cdef int TOO_MANY_ORDERS = -1015

# What may happen besides a refusal, as numbers in a plan.
MISHAPS = {"lost": 1, "lost, carried out": 2, "lost, not carried out": 3, "delayed": 4}
REFUSALS = (-1001, -1008, -1015, 503)


@cython.final
cdef class Faults:
    """The venue's bad moments.

    Parameters
    ----------
    plan : list of tuple
        (from ns, to ns, what, share, delay ns): ``what`` is a code of ``REFUSALS`` or a name of ``MISHAPS``, the share
        of requests that it befalls is between 0 and 1, and the delay counts for "delayed" alone. Of faults at one time
        the first that befalls a request decides.
    seed : int, optional
    per_10s, per_minute : int, optional
        Orders and amendments that an account may send in ten seconds and in a minute of the exchange's clock.

    Notes
    -----
    -1008 spares what can only close a position, and cancels. Of "lost" requests one half is carried out.
    """

    def __cinit__(self, *args, **kwargs):
        memset(self.plan, 0, sizeof(self.plan))
        memset(self.senders, 0, sizeof(self.senders))

    def __init__(self, list plan not None, uint64_t seed=1, int64_t per_10s=300, int64_t per_minute=1200):
        cdef fault_t* fault
        if len(plan) > MAX_FAULTS:
            raise ValueError(f"a plan has no more than {MAX_FAULTS} faults")
        self.generator = seed
        self.per_10s = per_10s
        self.per_minute = per_minute
        for since, until, what, share, delay_ns in plan:
            if what not in MISHAPS and what not in REFUSALS:
                raise ValueError(f"no fault of this name: {what!r}")
            if not 0 <= share <= 1 or since >= until or not 0 <= delay_ns < 1 << 50:
                raise ValueError(f"no share, span or delay: {(since, until, what, share, delay_ns)}")
            fault = &self.plan[self.size]
            fault.since = since
            fault.until = until
            fault.what = MISHAPS.get(what, what)
            fault.share_e8 = round(share * 100000000)
            fault.delay_ns = delay_ns
            self.size += 1

    cdef int fate(self, int kind, int account, bint closes, int64_t now) noexcept nogil:
        # 0: the request is carried out and answered, perhaps late.
        cdef const fault_t* fault
        cdef bint enters = kind == Kind.ORDER or kind == Kind.AMEND
        cdef int k
        self.delay_ns = 0
        if enters and not self.counts(account, now):
            self.refused += 1
            return TOO_MANY_ORDERS
        for k in range(self.size):
            fault = &self.plan[k]
            if not fault.since <= now < fault.until or draw_e8(&self.generator) >= fault.share_e8:
                continue
            if fault.what == 4:
                self.delay_ns = fault.delay_ns
                return 0
            if 0 < fault.what < 4:
                self.lost += 1
                if fault.what == 1:
                    return LOST_DONE if draw(&self.generator) >> 63 else LOST_UNDONE
                return LOST_DONE if fault.what == 2 else LOST_UNDONE
            if not enters and (fault.what == THROTTLED or fault.what == TOO_MANY_ORDERS) or \
                    (closes and fault.what == THROTTLED):
                continue
            return self.refuse(account, enters, <int> fault.what)
        return 0

    cdef int refuse(self, int account, bint enters, int code) noexcept nogil:
        # What the venue fails to do uses up no rate.
        cdef sender_t* sender = &self.senders[account % MAX_SENDERS]
        self.refused += 1
        sender.count_10s -= enters
        sender.count_minute -= enters
        return code

    cdef bint counts(self, int account, int64_t now) noexcept nogil:
        # Windows of the clock, not of the last order; what is over the limit is not counted.
        cdef sender_t* sender = &self.senders[account % MAX_SENDERS]
        if sender.window_10s != now // (10 * SECOND):
            sender.window_10s = now // (10 * SECOND)
            sender.count_10s = 0
        if sender.window_minute != now // (60 * SECOND):
            sender.window_minute = now // (60 * SECOND)
            sender.count_minute = 0
        if sender.count_10s >= self.per_10s or sender.count_minute >= self.per_minute:
            return False
        sender.count_10s += 1
        sender.count_minute += 1
        return True

    def state(self):
        """Return what the next draws and counts depend on."""
        used = [dict(self.senders[k]) for k in range(MAX_SENDERS) if self.senders[k].window_minute]
        return self.generator, used
