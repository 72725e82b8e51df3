"""Latency models of the order path."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint64_t

from core_ext.chance cimport draw
from core_ext.fixed cimport E8, mul_div

from decimal import Decimal, localcontext
from statistics import NormalDist

LATENCY_KINDS = ("constant", "recorded", "quantiles", "feed")
cdef int64_t PLACE = <int64_t> 1 << 32    # a place of a table, in binary parts
cdef int64_t LONGEST = 60 * 1000000000     # ns; what claims more is no latency


@cython.final
cdef class Latency:
    """The way to the venue and back.

    Parameters
    ----------
    kind : str
        "constant": the one value of each table. "recorded": the pair whose stamp came last (the first one before any).
        "quantiles": drawn anew for each message, linear between equally spaced quantiles. "feed": the feed's own lag
        times the one value of each table, 1e-8.
    requests, responses : sequence of int
        Tables, ns (for "feed" factors, 1e-8), equally long.
    stamps : sequence of int, optional
        "recorded" alone: ascending, ns.
    seed : int, optional

    Raises
    ------
    ValueError
        For tables that are empty, unequal, out of order, negative or longer than a minute.
    """

    def __cinit__(self, *args, **kwargs):
        self.stamps = self.requests = self.responses = NULL

    def __init__(self, str kind not None, requests, responses, stamps=(), uint64_t seed=1):
        cdef Py_ssize_t k
        self.kind = LATENCY_KINDS.index(kind)
        self.size = len(requests)
        if self.size == 0 or len(responses) != self.size or len(stamps) != (self.size if kind == "recorded" else 0):
            raise ValueError("latency tables are empty or not equally long")
        if kind in ("constant", "feed") and self.size != 1:
            raise ValueError(f"{kind} latency has one value each way")
        if not all(0 <= x <= LONGEST for table in (requests, responses) for x in table):
            raise ValueError("a latency is between 0 and a minute")
        if list(stamps) != sorted(stamps) or (kind == "quantiles" and not all(
                list(table) == sorted(table) for table in (requests, responses))):
            raise ValueError("stamps and quantiles ascend")
        self.generator = seed
        self.stamps = <int64_t*> PyMem_Calloc(self.size, sizeof(int64_t))
        self.requests = <int64_t*> PyMem_Calloc(self.size, sizeof(int64_t))
        self.responses = <int64_t*> PyMem_Calloc(self.size, sizeof(int64_t))
        if self.stamps == NULL or self.requests == NULL or self.responses == NULL:
            raise MemoryError("latency")
        for k in range(self.size):
            self.stamps[k] = stamps[k] if kind == "recorded" else 0
            self.requests[k] = requests[k]
            self.responses[k] = responses[k]

    def __dealloc__(self):
        PyMem_Free(self.stamps)
        PyMem_Free(self.requests)
        PyMem_Free(self.responses)

    cdef int64_t value(self, const int64_t* table, int64_t now) noexcept nogil:
        cdef uint64_t x
        cdef Py_ssize_t k
        if self.kind == CONSTANT:
            return table[0]
        if self.kind == FEED:
            return mul_div(self.lag_ns, table[0], E8)
        if self.kind == RECORDED:
            while self.place + 1 < self.size and self.stamps[self.place + 1] <= now:
                self.place += 1
            return table[self.place]
        x = (draw(&self.generator) >> 32) * <uint64_t> (self.size - 1)     # table place with 32 binary ones
        k = x >> 32
        if k + 1 >= self.size:
            return table[k]
        return table[k] + mul_div(table[k + 1] - table[k], <int64_t> (x << 32 >> 32), PLACE)

    cdef int64_t request(self, int64_t now) noexcept nogil:
        self.arrived = max(self.arrived, now + self.value(self.requests, now))
        return self.arrived - now

    cdef int64_t response(self, int64_t now) noexcept nogil:
        self.answered = max(self.answered, now + self.value(self.responses, now))
        return self.answered - now

    cdef void observe(self, int64_t lag) noexcept nogil:
        # What the feed was late by; a clock that runs ahead of the exchange's shows no lag.
        self.lag_ns = max(0, min(lag, LONGEST))

    def there(self, int64_t now):
        """Return how long a request that leaves now takes to the venue, ns."""
        return self.request(now)

    def back(self, int64_t now):
        """Return how long an answer that leaves now takes to us, ns."""
        return self.response(now)

    def lag(self, int64_t lag_ns):
        """Tell the feed's own lag, ns."""
        self.observe(lag_ns)

    def state(self):
        """Return what the next values depend on."""
        return self.generator, self.place, self.lag_ns, self.arrived, self.answered


def lognormal_quantiles(int64_t median_ns, sigma, int steps=256):
    """Return a table for ``Latency``: quantiles of a lognormal distribution, ns.

    Parameters
    ----------
    median_ns : int
    sigma : float
        Standard deviation of the logarithm.
    steps : int, optional
        Parts between the quantiles 0.001 and 0.999, where the table ends.

    Notes
    -----
    exp(sigma * z) with decimals of correct rounding and z to six places: the same table on every machine.
    """
    normal = NormalDist()
    with localcontext() as context:
        context.prec = 30
        places = (0.001 + 0.998 * k / steps for k in range(steps + 1))
        exponents = (Decimal(str(sigma)) * Decimal(f"{normal.inv_cdf(p):.6f}") for p in places)
        return [min(int(median_ns * x.exp()), LONGEST) for x in exponents]
