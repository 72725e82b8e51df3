"""From an edge and its caps to whole lots: the only door from doubles to an order's quantity.

The size is the smallest of the caps, times signal strength and the correlation factor, rounded down
to the lot. Below the exchange's minimum the answer is zero, never the minimum; for anything that is
not a finite positive number it is zero too. Which cap set the size is part of the answer.
"""
from libc.stdint cimport int64_t

from core_ext.types cimport instrument_t


cpdef enum Factor:
    FULL = 0               # a strategy that names its own size
    NO_EDGE = 1
    KELLY = 2
    VOLATILITY_TARGET = 3
    ATR_RISK = 4
    LIQUIDATION_SAFE = 5
    VAR_HEADROOM = 6
    CONCENTRATION = 7
    GROSS = 8
    MARGIN = 9
    INVENTORY = 10
    BELOW_MINIMUM = 11
    BAD_INPUT = 12


cdef struct sizing_t:
    double equity              # USDT
    double peak                # high-water mark of the equity, USDT
    double max_drawdown        # share of the peak at which exposure is zero
    double signal              # -1 to 1
    double correlation_factor  # 0 to 1
    double volatility          # of the instrument, a year
    double sharpe_mean         # stated or estimated edge: annual Sharpe ratio and its uncertainty
    double sharpe_sd
    double kelly_fraction      # at most this share of Kelly
    double target_volatility   # of this position, a year
    double atr                 # quote coin
    double atr_risk            # share of the equity lost at atr_stop ATR
    double atr_stop
    double safe_atr            # ATR of room beyond maintenance margin and fees
    double daily_var           # limit, share of the equity, 95 %
    double book_var            # of the positions that stand, USDT, 95 % a day
    double book_correlation    # of this instrument with the book
    double symbol_cap          # notional, USDT
    double gross_room          # notional, USDT
    double margin_room         # notional, USDT


cdef int64_t size_lots(const sizing_t* s, const instrument_t* i, int64_t price_e8, int* factor) noexcept nogil
cdef int64_t lots_down(const instrument_t* i, int64_t price_e8, double notional) noexcept nogil
cdef double taper(const sizing_t* s) noexcept nogil
