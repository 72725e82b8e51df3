"""Plain twins of the filters: a hidden Markov model in logarithms, path by path where that is feasible; GARCH.

Knows Hamilton's filter (1994, chapter 22), the trigger that holds a regime, and the recursions of Bollerslev (1986)
and of Glosten, Jagannathan and Runkle (1993). Refuses to know scaling, and speed.
"""

from itertools import pairwise, product
from math import exp, inf, isfinite, log, pi


def log_of(p):
    return log(p) if p > 0 else -inf


def log_sum(values):
    top = max(values)
    return top if top == -inf else top + log(sum(exp(v - top) for v in values))


def log_density(x, means, variances):
    """Return the log density of independent normal features."""
    pairs = zip(x, means, variances, strict=True)
    return sum(-0.5 * (log(2 * pi * variance) + (value - mean) ** 2 / variance) for value, mean, variance in pairs)


def filtered(start, transition, means, variances, bars):
    """Return (posterior after each bar, log likelihood); a bar that is no number only predicts."""
    states = range(len(start))
    belief, out, total = [log_of(p) for p in start], [], 0.0
    for n, bar in enumerate(bars):
        if n:
            belief = [log_sum([belief[j] + log_of(transition[j][k]) for j in states]) for k in states]
        if all(map(isfinite, bar)):
            belief = [belief[k] + log_density(bar, means[k], variances[k]) for k in states]
            seen = log_sum(belief)
            belief = [b - seen for b in belief]
            total += seen
        out.append([exp(b) for b in belief])
    return out, total


def by_paths(start, transition, means, variances, bars):
    """Return the posterior after the last bar: the sum over every path of states that could have led there."""
    weights = [0.0] * len(start)
    for path in product(range(len(start)), repeat=len(bars)):
        weight = start[path[0]]
        for before, after in pairwise(path):
            weight *= transition[before][after]
        for state, bar in zip(path, bars, strict=True):
            weight *= exp(log_density(bar, means[state], variances[state]))
        weights[path[-1]] += weight
    return [weight / sum(weights) for weight in weights]


def regimes(posteriors, first, enter, dwell):
    """Return the regime held after each bar: it changes above ``enter`` and after more than ``dwell`` bars."""
    held, age, out = first, 0, []
    for posterior in posteriors:
        age += 1
        best = max(range(len(posterior)), key=lambda k: posterior[k])
        if best != held and posterior[best] > enter and age > dwell:
            held, age = best, 0
        out.append(held)
    return out


def variances(omega, alpha, gamma, beta, mean, first, values):
    """Return the variance of each value and of the one to come."""
    out = [first]
    for value in values:
        e = value - mean
        if isfinite(e):
            out.append(omega + (alpha + (gamma if e < 0 else 0)) * e**2 + beta * out[-1])
        else:
            out.append(omega + (alpha + gamma / 2 + beta) * out[-1])
    return out


def expected(omega, persistence, variance, steps):
    """Return the variances expected of the next values, by the recursion."""
    path = [variance]
    while len(path) < steps:
        path.append(omega + persistence * path[-1])
    return path
