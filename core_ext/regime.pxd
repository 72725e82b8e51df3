"""Which regime a market is in and how volatile its next step is: filters with frozen parameters.

Knows the forward recursion of a Gaussian hidden Markov model, when a regime may change, and the variance
recursion of GARCH. Refuses to know how parameters are fitted, what a feature is, what a regime is called, and
everything after the step that it filters: nothing here smooths. A value that is no number, or absurd, moves the
state as time alone does. The exponential is our own series: a library's differs in its last bit from one machine to the
next, and a posterior decides about orders.
"""
from libc.stdint cimport int64_t, uint64_t


cdef enum:
    STATES = 8
    FEATURES = 4


cdef union bits_t:
    double value
    uint64_t word


cdef inline double exp_of(double x) noexcept nogil:
    # e**x for x <= 709, within 5e-16 of itself; 0 below -708. x = k ln 2 + r with |r| <= ln 2 / 2, then fourteen terms
    # of e**r, by pairs: their additions need not wait for one another.
    cdef bits_t k, power
    cdef double r, r2, r4, n
    cdef double held = x if x > -708.0 else -708.0
    k.value = held * 1.44269504088896340736 + 6755399441055744.0    # 1.5 * 2**52: the last bits of the sum are k
    n = k.value - 6755399441055744.0
    r = (held - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    r2 = r * r
    r4 = r2 * r2
    power.word = (k.word + 1023) << 52
    return (((1.0 + r) + r2 * (0.5 + r * 1.6666666666666666e-01))
            + r4 * ((4.1666666666666664e-02 + r * 8.3333333333333332e-03)
                    + r2 * (1.3888888888888889e-03 + r * 1.9841269841269841e-04))
            + r4 * r4 * (((2.4801587301587302e-05 + r * 2.7557319223985893e-06)
                          + r2 * (2.7557319223985888e-07 + r * 2.5052108385441720e-08))
                         + r4 * (2.0876756987868099e-09 + r * 1.6059043836821613e-10))
            ) * power.value * (1.0 if x >= -708.0 else 0.0)


cdef struct hmm_t:
    # Frozen.
    int states
    int features
    double transition[STATES][STATES]      # from, to
    double means[STATES][FEATURES]
    double scales[STATES][FEATURES]        # one over the standard deviation
    double weights[STATES]                 # product of a state's scales
    double enter                           # a regime begins above this posterior
    int64_t dwell                          # and when more bars than these have passed since the last one began
    # Moves.
    double posterior[STATES]               # of the last bar, given all bars so far; before the first the start
    int64_t bars
    int64_t blind                          # bars without a usable value
    int regime
    int64_t age                            # bars since it began
    # The likelihood is mantissa * 2**exponent * e**-distance, without the powers of 2 pi.
    double mantissa
    int64_t exponent
    double distance


cdef class HmmFilter:
    cdef hmm_t model
    cdef void step(self, const double* features) noexcept nogil
    cdef void predict(self) noexcept nogil
    cdef bint update(self, const double* features) noexcept nogil
    cdef void choose(self) noexcept nogil


cdef class GarchFilter:
    cdef readonly double omega
    cdef readonly double alpha
    cdef readonly double gamma             # added to alpha after a fall
    cdef readonly double beta
    cdef readonly double mean
    cdef readonly double persistence
    cdef readonly double variance          # of the next value
    cdef readonly int64_t count            # values seen
    cdef readonly int64_t blind            # of them without a usable value
    cdef void step(self, double value) noexcept nogil
    cdef double ahead(self, int64_t steps) noexcept nogil
    cdef double sum_ahead(self, int64_t steps) noexcept nogil
