"""Queue models: the expected share of cancellations in front of an order."""
from libc.stdint cimport int64_t, uint64_t

from core_ext.fixed cimport clz

QUEUE_MODELS = ("pessimistic", "linear", "square", "cube", "logarithm")


cdef int64_t log2_of(uint64_t x) noexcept nogil:
    # log2 of x >= 1 with 16 binary places, by squaring: the same digits on every machine.
    cdef int whole = 63 - clz(x)
    cdef int64_t result = whole
    cdef uint64_t m = x << (31 - whole) if whole <= 31 else x >> (whole - 31)      # in [1, 2), 31 places
    for _ in range(16):
        m = m * m >> 31
        result <<= 1
        if m >= <uint64_t> 1 << 32:
            m >>= 1
            result |= 1
    return result


cdef double weight(int model, int64_t lots) noexcept nogil:
    cdef double x = <double> lots
    if model == LOGARITHM:
        return <double> log2_of(<uint64_t> lots + 1)
    return x if model == LINEAR else x * x if model == SQUARE else x * x * x


cdef int64_t cancelled_ahead(int model, int64_t ahead, int64_t behind, int64_t cancelled) noexcept nogil:
    # Rounded down: a part of a lot is not gone. What the lots behind cannot have cancelled was in front.
    cdef double front, back
    cdef int64_t share
    if model == PESSIMISTIC or cancelled <= 0 or ahead <= 0:
        return 0
    if behind <= 0:
        return min(ahead, cancelled)
    front = weight(model, ahead)
    back = weight(model, behind)
    share = <int64_t> (<double> cancelled * (front / (front + back)))
    return min(ahead, max(share, cancelled - behind))


def expected_ahead(str model, int64_t ahead, int64_t behind, int64_t cancelled):
    """Return how many of the cancelled lots are taken to have stood in front of an order.

    Parameters
    ----------
    model : str
        "pessimistic", "linear", "square", "cube" or "logarithm".
    ahead, behind : int
        Lots in front of the order and behind it, before the cancellation.
    cancelled : int

    Notes
    -----
    The expected value cancelled * f(ahead) / (f(ahead) + f(behind)), rounded down; no draw is made.

    Examples
    --------
    >>> expected_ahead("linear", 75, 25, 20)
    15
    """
    return cancelled_ahead(QUEUE_MODELS.index(model), ahead, behind, cancelled)
