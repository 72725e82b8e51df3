"""Fractional Kelly and the other caps, to whole lots."""
from libc.math cimport isfinite, sqrt
from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memset

from core_ext.fixed cimport E8, mul, mul_div_floor, value_e8
from core_ext.types cimport Instruments, instrument_t


cdef double Z95 = 1.6448536269514722        # 95 % quantile of the normal distribution
cdef double DAYS = 365.0


cdef double taper(const sizing_t* s) noexcept nogil:
    # Grossman and Zhou: 1 at the peak, 0 at the drawdown limit.
    cdef double alpha = 1.0 - s.max_drawdown
    cdef double g = (1.0 - alpha * s.peak / s.equity) / (1.0 - alpha)
    return 0.0 if g < 0.0 else 1.0 if g > 1.0 else g


cdef double kelly_notional(const sizing_t* s) noexcept nogil:
    # Shrunk for the uncertainty of the edge, then tapered by the distance to the drawdown limit.
    cdef double m2 = s.sharpe_mean * s.sharpe_mean
    cdef double f = s.sharpe_mean / s.volatility * m2 / (m2 + s.sharpe_sd * s.sharpe_sd)
    cdef double share = 1.0 - (1.0 - s.max_drawdown) * s.peak / s.equity
    share = 0.0 if share < 0.0 else min(share, s.kelly_fraction)
    return f * share * s.equity


cdef double var_notional(const sizing_t* s) noexcept nogil:
    # Positive root v of v^2 + 2 rho V0 v + V0^2 = Vmax^2, as a notional.
    cdef double limit = s.daily_var * s.equity
    cdef double half = s.book_correlation * s.book_var
    cdef double square = half * half + limit * limit - s.book_var * s.book_var
    if square <= 0.0:
        return 0.0
    return max(0.0, sqrt(square) - half) / (Z95 * s.volatility / sqrt(DAYS))


cdef double safe_notional(const sizing_t* s, const instrument_t* i, double price) noexcept nogil:
    # Equity that survives safe_atr ATR and still meets maintenance and two taker fees.
    cdef double margin = i.brackets[0].mmr_e8 * 1e-8 + 2.0 * i.taker_fee_e8 * 1e-8
    cdef int k
    cdef double notional = 0.0
    for k in range(i.n_brackets):
        margin = i.brackets[k].mmr_e8 * 1e-8 + 2.0 * i.taker_fee_e8 * 1e-8
        notional = (s.equity + i.brackets[k].cum_e8 * 1e-8) / (s.safe_atr * s.atr / price + margin)
        if notional <= i.brackets[k].cap_e8 * 1e-8:
            break
    return notional


cdef inline void cap(double limit, int name, double* size, int* factor) noexcept nogil:
    if not limit >= size[0]:                   # a limit that is no number is no room
        size[0] = limit if limit == limit else 0.0
        factor[0] = name


cdef bint sane(const sizing_t* s, int64_t price_e8) noexcept nogil:
    # Every number finite, every scale positive, every share in its range: anything else is no size.
    cdef double total = (s.equity + s.peak + s.max_drawdown + s.signal + s.correlation_factor + s.volatility
                         + s.sharpe_mean + s.sharpe_sd + s.kelly_fraction + s.target_volatility + s.atr + s.atr_risk
                         + s.atr_stop + s.safe_atr + s.daily_var + s.book_var + s.book_correlation + s.symbol_cap
                         + s.gross_room + s.margin_room)
    return (isfinite(total) and price_e8 > 0 and s.equity > 0 and s.peak >= s.equity and 0 < s.max_drawdown < 1
            and s.volatility > 0 and s.atr > 0 and s.atr_stop > 0 and s.safe_atr > 0 and s.atr_risk >= 0
            and s.kelly_fraction >= 0 and s.target_volatility >= 0 and s.sharpe_sd >= 0 and s.daily_var >= 0
            and s.book_var >= 0 and -1.0 <= s.book_correlation <= 1.0)


cdef int64_t lots_down(const instrument_t* i, int64_t price_e8, double notional) noexcept nogil:
    # Through integers at 1e-8 USDT: a binary floor would turn 0.3 / 0.1 into 2.
    cdef int64_t money, lot, lots
    cdef double scaled = notional * 1e8
    if not isfinite(notional) or notional <= 0.0 or notional > 1e10 or price_e8 <= 0:
        return 0
    money = <int64_t> scaled
    if <double> (money + 1) - scaled <= scaled * 4.5e-16:      # a whole unit that doubles miss by a rounding
        money += 1
    lot = mul(price_e8, i.lot_e8)              # its value with sixteen decimals, where 64 bits hold it
    lots = mul_div_floor(money, E8, lot) if lot < INT64_MAX else mul_div_floor(money, E8, price_e8) // i.lot_e8
    lots = min(lots, i.max_lots)
    lots -= lots % i.lot_step
    if lots < i.min_lots or value_e8(i, price_e8, lots) < i.min_notional_e8:
        return 0
    return lots


cdef int64_t size_lots(const sizing_t* s, const instrument_t* i, int64_t price_e8, int* factor) noexcept nogil:
    cdef double price = price_e8 * 1e-8
    cdef double size = 1e300
    cdef double strength = s.signal if s.signal >= 0 else -s.signal
    cdef double g
    cdef int64_t lots
    if not sane(s, price_e8):
        factor[0] = Factor.BAD_INPUT
        return 0
    if s.sharpe_mean <= 0.0 or strength == 0.0:
        factor[0] = Factor.NO_EDGE
        return 0
    g = taper(s)
    factor[0] = Factor.FULL
    cap(kelly_notional(s), Factor.KELLY, &size, factor)
    cap(s.equity * s.target_volatility / s.volatility * g, Factor.VOLATILITY_TARGET, &size, factor)
    cap(s.equity * s.atr_risk / (s.atr_stop * s.atr / price) * g, Factor.ATR_RISK, &size, factor)
    cap(safe_notional(s, i, price) * g, Factor.LIQUIDATION_SAFE, &size, factor)
    cap(var_notional(s) * g, Factor.VAR_HEADROOM, &size, factor)
    cap(s.symbol_cap * g, Factor.CONCENTRATION, &size, factor)
    cap(s.gross_room * g, Factor.GROSS, &size, factor)
    cap(s.margin_room * g, Factor.MARGIN, &size, factor)
    lots = lots_down(i, price_e8, size * min(strength, 1.0) * min(max(s.correlation_factor, 0.0), 1.0))
    if lots == 0:
        factor[0] = Factor.BELOW_MINIMUM
    return lots


def size(Instruments instruments not None, int symbol, int64_t price_e8, **inputs):
    """Return (lots, limiting factor) of a position.

    Parameters
    ----------
    instruments : Instruments
    symbol : int
    price_e8 : int
        Price, 1e-8 of the quote coin.
    **inputs : float
        The fields of ``sizing_t``; one that is missing is zero.

    Returns
    -------
    tuple of (int, Factor)

    References
    ----------
    Kelly (1956); Grossman and Zhou (1993), "Optimal investment strategies for controlling drawdowns".
    """
    cdef sizing_t s
    cdef int factor = 0
    memset(&s, 0, sizeof(sizing_t))
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    s.equity = inputs.pop("equity", 0.0)
    s.peak = inputs.pop("peak", 0.0)
    s.max_drawdown = inputs.pop("max_drawdown", 0.0)
    s.signal = inputs.pop("signal", 0.0)
    s.correlation_factor = inputs.pop("correlation_factor", 0.0)
    s.volatility = inputs.pop("volatility", 0.0)
    s.sharpe_mean = inputs.pop("sharpe_mean", 0.0)
    s.sharpe_sd = inputs.pop("sharpe_sd", 0.0)
    s.kelly_fraction = inputs.pop("kelly_fraction", 0.0)
    s.target_volatility = inputs.pop("target_volatility", 0.0)
    s.atr = inputs.pop("atr", 0.0)
    s.atr_risk = inputs.pop("atr_risk", 0.0)
    s.atr_stop = inputs.pop("atr_stop", 0.0)
    s.safe_atr = inputs.pop("safe_atr", 0.0)
    s.daily_var = inputs.pop("daily_var", 0.0)
    s.book_var = inputs.pop("book_var", 0.0)
    s.book_correlation = inputs.pop("book_correlation", 0.0)
    s.symbol_cap = inputs.pop("symbol_cap", 0.0)
    s.gross_room = inputs.pop("gross_room", 0.0)
    s.margin_room = inputs.pop("margin_room", 0.0)
    if inputs:
        raise TypeError(f"sizing does not know {sorted(inputs)}")
    lots = size_lots(&s, &instruments.data[symbol], price_e8, &factor)
    return lots, Factor(factor)
