"""Filters of regime and variance."""
cimport cython
from libc.math cimport INFINITY, frexp, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

import math
import numpy as np

cdef double ABSURD = 1e12          # a million standard deviations, squared: that is no value, but a fault of the data
cdef double SMALLEST = 1e-30       # bounds of parameters: four scales multiply without overflow
cdef double GREATEST = 1e30


def exponential(double x):
    """Return e to a power up to 709 by the filters' own series, 0 below -708.

    Raises
    ------
    ValueError
        If the power is greater, or no number.
    """
    if not x <= 709.0:
        raise ValueError(f"the exponential takes powers up to 709, not {x}")
    return exp_of(x)


cdef double probability(object value, str where) except -1.0:
    cdef double p = value
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{where}: a probability lies in 0 to 1, not {p}")
    return p


cdef double bounded(object value, double least, str where) except? -1.0:
    cdef double x = value
    if not least <= x <= GREATEST:
        raise ValueError(f"{where}: a number from {least:g} to {GREATEST:g}, not {x}")
    return x


cdef int take_distribution(object values, int n, double* out, str where) except -1:
    cdef double total = 0.0
    cdef int k
    if len(values) != n:
        raise ValueError(f"{where}: {n} probabilities, not {len(values)}")
    for k in range(n):
        out[k] = probability(values[k], where)
        total += out[k]
    if not -1e-9 <= total - 1.0 <= 1e-9:
        raise ValueError(f"{where}: the probabilities add up to 1, not to {total}")
    for k in range(n):
        out[k] /= total
    return 0


@cython.final
cdef class HmmFilter:
    """Forward filter of a hidden Markov model with Gaussian features, and the regime that it holds.

    Parameters
    ----------
    start : sequence of float
        Probability of each of the K states at the first bar, 2 <= K <= 8.
    transition : sequence of sequences of float
        K x K, from row to column.
    means, variances : sequence of sequences of float
        K x D, 1 <= D <= 4; the features of a state are independent.
    enter : float, optional
        A state becomes the regime when its posterior is above this, at least one half.
    dwell : int, optional
        And when more than so many bars have passed since the regime began.

    Raises
    ------
    ValueError
        If a shape does not fit, a row does not add up to 1, or a number is out of range.

    Notes
    -----
    The posterior after bar t is proportional to (posterior before, times transition) times the density of the
    features. Densities are taken relative to that of the nearest state, so that no outlier makes all of them vanish.
    A bar whose features are no numbers, or a million standard deviations from every state, only predicts. The
    regime begins as the likeliest state of the start.

    References
    ----------
    Hamilton, "Time Series Analysis", 1994, chapter 22.

    Examples
    --------
    >>> filter = HmmFilter([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.0], [0.0]], [[1.0], [9.0]], dwell=0)
    >>> filter.push([4.0])
    >>> filter.regime, round(filter.confidence, 3)
    (1, 0.998)
    """

    def __init__(self, start, transition, means, variances, double enter=0.7, int64_t dwell=5):
        cdef hmm_t* h = &self.model
        cdef int k, d, n
        memset(h, 0, sizeof(hmm_t))
        n = len(start)
        if not 2 <= n <= STATES:
            raise ValueError(f"start: 2 to {STATES} states, not {n}")
        if len(transition) != n or len(means) != n or len(variances) != n:
            raise ValueError(f"transition, means, variances: a row for each of {n} states")
        if not 1 <= len(means[0]) <= FEATURES:
            raise ValueError(f"means: 1 to {FEATURES} features, not {len(means[0])}")
        if not 0.5 <= enter < 1.0:
            raise ValueError(f"enter: a probability from 0.5 to below 1, not {enter}")
        if dwell < 0:
            raise ValueError(f"dwell: a number of bars, not {dwell}")
        h.states = n
        h.features = len(means[0])
        h.enter = enter
        h.dwell = dwell
        take_distribution(start, n, h.posterior, "start")
        for k in range(n):
            take_distribution(transition[k], n, h.transition[k], f"transition, row {k}")
            if len(means[k]) != h.features or len(variances[k]) != h.features:
                raise ValueError(f"means, variances, row {k}: {h.features} features")
            h.weights[k] = 1.0
            for d in range(h.features):
                h.means[k][d] = bounded(means[k][d], -GREATEST, f"means, row {k}")
                h.scales[k][d] = 1.0 / sqrt(bounded(variances[k][d], SMALLEST, f"variances, row {k}"))
                h.weights[k] *= h.scales[k][d]
            if h.posterior[k] > h.posterior[h.regime]:
                h.regime = k
        h.mantissa = 1.0

    cdef void step(self, const double* features) noexcept nogil:
        if self.model.bars:
            self.predict()
        self.model.bars += 1
        self.model.blind += not self.update(features)
        self.choose()

    cdef void predict(self) noexcept nogil:
        cdef hmm_t* h = &self.model
        cdef double out[STATES]
        cdef int j, k
        for k in range(h.states):
            out[k] = h.posterior[0] * h.transition[0][k]
        for j in range(1, h.states):
            for k in range(h.states):
                out[k] += h.posterior[j] * h.transition[j][k]
        for k in range(h.states):
            h.posterior[k] = out[k]

    cdef bint update(self, const double* features) noexcept nogil:
        # Weigh by the densities; False, and nothing changed, when the features say nothing.
        cdef hmm_t* h = &self.model
        cdef double distance[STATES]
        cdef double weighed[STATES]
        cdef double nearest = INFINITY
        cdef double total = 0.0
        cdef double z
        cdef int d, k, exponent
        for k in range(h.states):
            distance[k] = 0.0
            for d in range(h.features):
                z = (features[d] - h.means[k][d]) * h.scales[k][d]
                distance[k] += 0.5 * z * z
            if distance[k] < nearest and h.posterior[k] > 0.0:
                nearest = distance[k]
        if not 2.0 * nearest < ABSURD:
            return False
        for k in range(h.states):
            # A state of no probability may be nearer than the nearest: its density is not asked for.
            z = nearest - distance[k]
            weighed[k] = h.posterior[k] * h.weights[k] * exp_of(z if z < 0.0 else 0.0)
        for k in range(h.states):
            total += weighed[k]
        if not total > 0.0:
            return False
        for k in range(h.states):
            h.posterior[k] = weighed[k] / total
        h.mantissa = frexp(h.mantissa * frexp(total, &exponent), &k)
        h.exponent += exponent + k
        h.distance += nearest
        return True

    cdef void choose(self) noexcept nogil:
        cdef hmm_t* h = &self.model
        cdef int best = 0
        cdef int k
        for k in range(1, h.states):
            if h.posterior[k] > h.posterior[best]:
                best = k
        h.age += 1
        if best != h.regime and h.posterior[best] > h.enter and h.age > h.dwell:
            h.regime = best
            h.age = 0

    def push(self, features):
        """Take the features of the next bar.

        Raises
        ------
        ValueError
            If there are not as many as the model has; values that are no numbers are taken.
        """
        cdef double x[FEATURES]
        cdef int d
        if len(features) != self.model.features:
            raise ValueError(f"{self.model.features} features, not {len(features)}")
        for d in range(self.model.features):
            x[d] = features[d]
        self.step(x)

    def run(self, features):
        """Take the features of many bars, n x D; return the posteriors after each, n x K.

        Raises
        ------
        ValueError
            If the array has another number of columns.
        """
        cdef double[:, ::1] rows = np.ascontiguousarray(features, dtype=np.float64)
        cdef double[:, ::1] out
        cdef Py_ssize_t i
        cdef int k
        if rows.shape[1] != self.model.features:
            raise ValueError(f"{self.model.features} features, not {rows.shape[1]}")
        found = np.empty((rows.shape[0], self.model.states))
        out = found
        with nogil:
            for i in range(rows.shape[0]):
                self.step(&rows[i, 0])
                for k in range(self.model.states):
                    out[i, k] = self.model.posterior[k]
        return found

    @property
    def posterior(self):
        """Probability of each state at the last bar, given the bars so far."""
        return tuple([self.model.posterior[k] for k in range(self.model.states)])

    @property
    def regime(self):
        """State that the model is held to be in."""
        return self.model.regime

    @property
    def age(self):
        """Bars since the regime began."""
        return self.model.age

    @property
    def confidence(self):
        """Posterior of the regime."""
        return self.model.posterior[self.model.regime]

    @property
    def bars(self):
        """Bars seen."""
        return self.model.bars

    @property
    def blind(self):
        """Bars among them whose features said nothing."""
        return self.model.blind

    @property
    def log_likelihood(self):
        """Log likelihood of the features so far; for reading only, its logarithm is the library's."""
        cdef hmm_t* h = &self.model
        constant = 0.5 * h.features * math.log(2.0 * math.pi) * (h.bars - h.blind)
        return math.log(h.mantissa) + h.exponent * math.log(2.0) - h.distance - constant

    def state(self):
        """Return everything that the filter knows, for the state hash."""
        return dict(self.model)


@cython.final
cdef class GarchFilter:
    """One-step variance filter of GARCH(1, 1), with a leverage term (GJR).

    Parameters
    ----------
    omega, alpha, beta : float
        omega > 0, alpha and beta not negative.
    gamma : float, optional
        Added to alpha when the value is below its mean; alpha + gamma is not negative.
    mean : float, optional
        Of the values.
    variance : float, optional
        Of the first value; the model's long-run variance without it.

    Raises
    ------
    ValueError
        If a parameter is out of range, or alpha + gamma / 2 + beta is not below 1: such a model has no long-run
        variance, and an EWMA is the thing to use.

    Notes
    -----
    variance' = omega + (alpha + gamma 1[e < 0]) e**2 + beta variance, with e = value - mean. h steps ahead the
    variance is v + p**(h - 1) (variance - v), with p the persistence and v the long-run variance. A value that is
    no number, or a million standard deviations away, moves the variance to what was expected of it.

    References
    ----------
    Bollerslev, "Generalized autoregressive conditional heteroskedasticity", 1986.
    Glosten, Jagannathan, Runkle, "On the relation between the expected value and the volatility of the nominal
    excess return on stocks", 1993.

    Examples
    --------
    >>> filter = GarchFilter(0.02, 0.08, 0.9, variance=3.0)
    >>> [round(filter.forecast(steps), 4) for steps in (1, 2, 3)]
    [3.0, 2.96, 2.9208]
    """

    def __init__(self, double omega, double alpha, double beta, double gamma=0.0, double mean=0.0, variance=None):
        self.omega = bounded(omega, SMALLEST, "omega")
        self.alpha = bounded(alpha, 0.0, "alpha")
        self.beta = bounded(beta, 0.0, "beta")
        self.gamma = bounded(gamma, -alpha, "gamma")
        self.mean = bounded(mean, -GREATEST, "mean")
        self.persistence = alpha + 0.5 * gamma + beta
        if not self.persistence < 1.0:
            raise ValueError(f"alpha + gamma / 2 + beta: below 1, not {self.persistence}")
        self.variance = self.long_run if variance is None else bounded(variance, SMALLEST, "variance")
        self.count = 0
        self.blind = 0

    cdef void step(self, double value) noexcept nogil:
        cdef double surprise = value - self.mean
        cdef double weight = self.alpha + (self.gamma if surprise < 0.0 else 0.0)
        self.count += 1
        if surprise * surprise < ABSURD * self.variance:
            self.variance = self.omega + weight * (surprise * surprise) + self.beta * self.variance
        else:
            self.blind += 1
            self.variance = self.omega + self.persistence * self.variance

    cdef double ahead(self, int64_t steps) noexcept nogil:
        cdef double level = self.omega / (1.0 - self.persistence)
        return level + power_of(self.persistence, steps - 1) * (self.variance - level)

    cdef double sum_ahead(self, int64_t steps) noexcept nogil:
        cdef double level = self.omega / (1.0 - self.persistence)
        cdef double decayed = (1.0 - power_of(self.persistence, steps)) / (1.0 - self.persistence)
        return steps * level + decayed * (self.variance - level)

    @property
    def long_run(self):
        """Variance to which every forecast tends."""
        return self.omega / (1.0 - self.persistence)

    def push(self, double value):
        """Take the next value."""
        self.step(value)

    def forecast(self, int64_t steps=1):
        """Return the variance expected of the value so many steps ahead, from 1."""
        if steps < 1:
            raise ValueError(f"steps: from 1, not {steps}")
        return self.ahead(steps)

    def total(self, int64_t steps):
        """Return the variance expected of the sum of the next values."""
        if steps < 1:
            raise ValueError(f"steps: from 1, not {steps}")
        return self.sum_ahead(steps)

    def state(self):
        """Return everything that the filter knows, for the state hash."""
        return (self.omega, self.alpha, self.gamma, self.beta, self.mean, self.variance, self.count, self.blind)


cdef double power_of(double base, int64_t n) noexcept nogil:
    # By squares: no library's pow decides a bit of it.
    cdef double power = 1.0
    while n > 0:
        if n & 1:
            power *= base
        base *= base
        n >>= 1
    return power
