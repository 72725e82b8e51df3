"""Plain twin of sizing: a dictionary of caps, the least of them, whole lots of it.

Knows the formulas of the composite sizer (Kelly 1956; Grossman and Zhou 1993) in doubles, and counts lots
exactly. Refuses to know where an edge, a volatility or a limit comes from.
"""

from fractions import Fraction
from math import isfinite, sqrt
from statistics import NormalDist

E8 = 10**8
DAYS = 365
Z95 = NormalDist().inv_cdf(0.95)

# Of these nothing is sensible at zero or below.
SCALES = ("equity", "peak", "max_drawdown", "volatility", "atr", "atr_stop", "safe_atr")
# These may be zero: no budget, no book, no doubt.
BUDGETS = ("sharpe_sd", "kelly_fraction", "target_volatility", "atr_risk", "daily_var", "book_var")


def is_sane(x):
    return (
        all(map(isfinite, x.values()))
        and all(x[name] > 0 for name in SCALES)
        and all(x[name] >= 0 for name in BUDGETS)
        and x["equity"] <= x["peak"]
        and x["max_drawdown"] < 1
        and abs(x["book_correlation"]) <= 1
    )


def cushion(x):
    """Return 1 - alpha * peak / equity: the share of the equity above the drawdown floor."""
    return max(0.0, 1 - (1 - x["max_drawdown"]) * x["peak"] / x["equity"])


def taper(x):
    """Return g: 1 at the peak, 0 at the drawdown limit."""
    return min(1.0, cushion(x) / x["max_drawdown"])


def kelly(x):
    """Return Kelly's notional, shrunk for the uncertainty of the edge, of the equity above the floor."""
    doubt = x["sharpe_sd"] / x["sharpe_mean"]
    shrunk = x["sharpe_mean"] / (1 + doubt * doubt)
    return shrunk / x["volatility"] * min(cushion(x), x["kelly_fraction"]) * x["equity"]


def liquidation_safe(x, spec, price):
    """Return the most notional that meets maintenance and two taker fees after safe_atr ATR against it.

    Maintenance is the largest over the bracket rows of notional * rate - amount, so the most
    notional is the least over the rows.
    """
    move = x["safe_atr"] * x["atr"] / price + 2 * spec["taker_fee_e8"] / E8
    return min((x["equity"] + cum / E8) / (move + mmr / E8) for _, _, mmr, cum, _ in spec["brackets"])


def var_headroom(x):
    """Return the notional of the positive root v of v^2 + 2 rho V0 v + V0^2 = limit^2, 0 for none."""
    book, rho, limit = x["book_var"], x["book_correlation"], x["daily_var"] * x["equity"]
    square = (rho * book) ** 2 - book**2 + limit**2
    root = sqrt(square) - rho * book if square > 0 else 0.0
    return max(0.0, root) / (Z95 * x["volatility"] / sqrt(DAYS))


def caps(x, spec, price):
    """Return the largest notional (USDT) that each rule allows, by the rule's name."""
    g, equity = taper(x), x["equity"]
    return {
        "KELLY": kelly(x),
        "VOLATILITY_TARGET": g * equity * x["target_volatility"] / x["volatility"],
        "ATR_RISK": g * equity * x["atr_risk"] * price / (x["atr_stop"] * x["atr"]),
        "LIQUIDATION_SAFE": g * liquidation_safe(x, spec, price),
        "VAR_HEADROOM": g * var_headroom(x),
        "CONCENTRATION": g * x["symbol_cap"],
        "GROSS": g * x["gross_room"],
        "MARGIN": g * x["margin_room"],
    }


def strength(x):
    return min(1.0, abs(x["signal"])) * min(1.0, max(0.0, x["correlation_factor"]))


def lots_down(spec, price_e8, notional):
    """Return the whole lots in a notional (USDT, exact) that an order may have, 0 below either minimum."""
    lot_value = Fraction(price_e8 * spec["lot_e8"], E8 * E8)
    lots = min(Fraction(notional) // lot_value, spec["max_lots"])
    if lots < spec["min_lots"] or lots * lot_value * E8 < spec["min_notional_e8"]:
        return 0
    return lots


def size(spec, price_e8, x):
    """Return (notional before rounding, names of the least caps within 1e-12); or (0, the reason)."""
    if not is_sane(x):
        return 0.0, {"BAD_INPUT"}
    if x["sharpe_mean"] <= 0 or x["signal"] == 0:
        return 0.0, {"NO_EDGE"}
    limits = caps(x, spec, price_e8 / E8)
    least = min(limits.values())
    names = {name for name, limit in limits.items() if limit <= least + 1e-12 * abs(least)}
    return least * strength(x), names
