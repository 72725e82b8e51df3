"""Plain twin of the headroom: the most that may be added to one instrument with every limit of the portfolio held.

Knows weighted products of returns, quantiles of the normal distribution, Fisher's transformation, and the two
definitions that have no more direct form: the value at risk after a trade, which is tried out by halving, and
the notional that is liquidated at its distance. Refuses to know engines, rows and lots.
"""

from itertools import pairwise
from math import atanh, sqrt, tanh
from statistics import NormalDist

NORMAL = NormalDist()
Z95 = NORMAL.inv_cdf(0.95)
TAIL = 0.025
SHORTFALL = NORMAL.pdf(NORMAL.inv_cdf(1 - TAIL)) / TAIL  # mean of the worst 2.5 %, in deviations
FACTORS = [(0.0, 1.0), (0.4, 1.0), (0.6, 0.7), (0.8, 0.5), (1.0, 0.3)]
HALVINGS = 200


def weights(count, half_life):
    """Return the weight of every row of returns, oldest first, the newest 1."""
    return [0.5 ** ((count - 1 - k) / half_life) for k in range(count)]


def observations(count, half_life):
    """Return the effective number of rows."""
    found = weights(count, half_life)
    return sum(found) ** 2 / sum(w * w for w in found)


def covariance(rows, half_life, asked_a_day):
    """Return the covariance of a day: zero mean, the weighted mean of the products that both have, NaN being none."""
    found, names = weights(len(rows), half_life), range(len(rows[0]))
    matrix = [[0.0 for _ in names] for _ in names]
    for i in names:
        for j in names:
            both = [(w, r[i] * r[j]) for w, r in zip(found, rows, strict=True) if r[i] * r[j] == r[i] * r[j]]
            matrix[i][j] = asked_a_day * sum(w * product for w, product in both) / sum(w for w, _ in both)
    return matrix


def deviation(matrix, notionals):
    """Return the standard deviation of a portfolio's day, USDT."""
    names = range(len(notionals))
    return sqrt(max(0.0, sum(notionals[i] * matrix[i][j] * notionals[j] for i in names for j in names)))


def correlation(matrix, i, j):
    scale = sqrt(matrix[i][i] * matrix[j][j])
    return abs(matrix[i][j]) / scale if scale > 0 else 1.0


def correlation_factor(matrix, held, symbol, count):
    """Return the size factor of an instrument from its correlation with the others that are held."""
    found = [correlation(matrix, symbol, k) for k in range(len(held)) if held[k] and k != symbol]
    if not found:
        return 1.0
    mean = min(sum(found) / len(found), 1 - 1e-12)
    upper = min(tanh(atanh(mean) + Z95 / sqrt(count - 3)), 1.0)
    (x, y), (to, end) = next(pair for pair in pairwise(FACTORS) if upper <= pair[1][0])
    return y + (upper - x) / (to - x) * (end - y)


def with_more(notionals, symbol, more):
    return [x + more if k == symbol else x for k, x in enumerate(notionals)]


def within_risk(matrix, notionals, symbol, sign, most):
    """Return how much more keeps the deviation within the most, none when it is above already."""
    if deviation(matrix, notionals) > most or matrix[symbol][symbol] <= 0:
        return 0.0
    near, far = 0.0, 1.0
    # The variance falls to its vertex first, where the trade hedges.
    slope = sign * sum(a * b for a, b in zip(matrix[symbol], notionals, strict=True))
    near = max(0.0, -slope / matrix[symbol][symbol])
    while deviation(matrix, with_more(notionals, symbol, sign * (near + far))) <= most:
        far *= 2
    far += near
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        if deviation(matrix, with_more(notionals, symbol, sign * middle)) <= most:
            near = middle
        else:
            far = middle
    return near


def before_liquidation(equity, elsewhere, brackets, distance, sign):
    """Return the notional that is liquidated when the mark has moved by the distance against it.

    What is left of the equity then is the maintenance of its bracket, without the bracket's amount.
    """
    for cap, rate in brackets:
        notional = (equity - elsewhere) / (distance + rate * (1 - sign * distance))
        if notional <= cap:
            break
    return notional


def room(limits, portfolio, matrix, count, symbol, sign):
    """Return the USDT that may still be bought (sign 1) or sold (-1) of an instrument."""
    equity, held = portfolio["equity"], portfolio["held"]
    if equity <= 0:
        return 0.0
    after = list(held)
    after[symbol] = portfolio["bought" if sign > 0 else "sold"][symbol]
    own = sign * after[symbol]
    factor = correlation_factor(matrix, held, symbol, count)
    elsewhere = sum(m for k, m in enumerate(portfolio["maintenances"]) if k != symbol)
    most = equity * min(limits["daily_var"] / Z95, limits["daily_es"] / SHORTFALL)
    return max(
        0.0,
        min(
            within_risk(matrix, after, symbol, sign, most),
            limits["symbol"] * factor * equity - own,
            limits["gross"] * equity - sum(abs(x) for k, x in enumerate(after) if k != symbol) - own,
            limits["net"] * equity - sign * sum(after),
            before_liquidation(equity, elsewhere, portfolio["brackets"][symbol], limits["liquidation_distance"], sign)
            - own,
        ),
    )
