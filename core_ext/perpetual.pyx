"""The mark price and the funding rate of a perpetual."""
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.book cimport NO_KEY, Book, ladder_below
from core_ext.fixed cimport E8, magnitude, mul_div, notional_e8, part_e8, price_e8
from core_ext.types cimport Instruments, Side, instrument_t

cdef int64_t SECOND = 1000000000
cdef int64_t HOUR = 3600 * SECOND
cdef int64_t INTEREST = 10000              # 0.01 % per eight hours
cdef int64_t DEAD_ZONE = 50000             # interest moves the rate by 0.05 % at most
cdef int64_t CAP_SHARE = 75000000          # of the lowest maintenance margin ratio
cdef int64_t CALM_RATE = 25000             # 0.025 %: an hourly contract that stays within it goes back to four hours
cdef int64_t CALM_STAMPS = 16
cdef int64_t IMPACT_MARGIN = 200 * E8      # USDT of margin at the highest leverage


cdef int64_t median_of(int64_t a, int64_t b, int64_t c) noexcept nogil:
    return max(min(a, b), min(max(a, b), c))


cdef int64_t rate_of(int64_t premium, int64_t hours, int64_t interest, int64_t cap) noexcept nogil:
    # [premium + clamp(interest - premium)] / (8 / hours), within the cap.
    cdef int64_t whole = premium + max(-DEAD_ZONE, min(DEAD_ZONE, interest - premium))
    return max(-cap, min(cap, mul_div(whole, hours, 8)))


cdef int64_t impact_price(Book book, const instrument_t* i, int side, int64_t notional) noexcept:
    # The average price of taking this notional from one side, 1e-8; 0 when the side does not hold it.
    cdef int64_t key = book.sides[side].best
    cdef int64_t left = notional, coins = 0, ticks, value
    while key != NO_KEY and left > 0:
        ticks = -key if side == Side.SELL else key
        value = min(left, notional_e8(i, ticks, book.lots_at(side, ticks)))
        coins += mul_div(value, E8, price_e8(i, ticks))
        left -= value
        key = ladder_below(&book.sides[side], key)
    return 0 if left or not coins else mul_div(notional, E8, coins)


@cython.final
cdef class Perpetual:
    """One perpetual's own mark and funding.

    Parameters
    ----------
    instruments : Instruments
    symbol : int
    hours : int, optional
        Funding interval to begin with: 8, 4 or 1.
    interest_e8 : int, optional
        Interest per eight hours.
    cap_e8 : int, optional
        Cap and floor of the rate; 0: three quarters of the lowest maintenance margin ratio.
    """

    def __cinit__(self, *args, **kwargs):
        memset(self.basis, 0, sizeof(self.basis))

    def __init__(self, Instruments instruments not None, int symbol, int64_t hours=8, int64_t interest_e8=10_000,
                 int64_t cap_e8=0):
        if not 0 <= symbol < instruments.size:
            raise IndexError(symbol)
        if hours not in (1, 4, 8):
            raise ValueError(f"funding comes every 8, 4 or 1 hours, not every {hours}")
        self.instruments = instruments
        self.symbol = symbol
        self.hours = hours
        self.interest_e8 = interest_e8
        self.cap_e8 = cap_e8 or part_e8(instruments.data[symbol].brackets[0].mmr_e8, CAP_SHARE)
        self.rate_e8 = self.last_rate_e8 = rate_of(0, hours, interest_e8, self.cap_e8)

    cdef int sample(self, Book book, int64_t index, int64_t now) except -1:
        cdef const instrument_t* i = &self.instruments.data[self.symbol]
        cdef int64_t bid, ask, premium, impact
        self.index_e8 = index
        if self.next_stamp == 0:
            self.next_stamp = (now // (self.hours * HOUR) + 1) * self.hours * HOUR
        if not book.two_sided():
            return 0
        if now // SECOND != self.basis_stamp:
            self.basis_stamp = now // SECOND
            self.basis[self.basis_count % BASIS_SAMPLES] = \
                price_e8(i, book.best_bid() + book.best_ask()) // 2 - index
            self.basis_count += 1
        if now // (5 * SECOND) == self.premium_stamp:
            return 0
        self.premium_stamp = now // (5 * SECOND)
        impact = IMPACT_MARGIN * i.brackets[0].max_leverage
        bid = impact_price(book, i, Side.BUY, impact)
        ask = impact_price(book, i, Side.SELL, impact)
        if bid == 0 or ask == 0:               # too thin to say anything
            return 0
        premium = mul_div(max(0, bid - index) - max(0, index - ask), E8, index)
        self.premium_count += 1
        impact = 1 if self.hours == 1 else self.premium_count
        self.premium_sum += impact * premium
        self.premium_weight += impact
        if not self.is_announced:
            self.rate_e8 = rate_of(mul_div(self.premium_sum, 1, self.premium_weight), self.hours, self.interest_e8,
                                   self.cap_e8)
        return 0

    cdef int64_t mark_e8(self, int64_t last, int64_t now) noexcept:
        # Median of the index with the funding still to come, the index with the mean basis, and the last price.
        cdef int64_t left = max(0, self.next_stamp - now)
        cdef int64_t first = self.index_e8 + mul_div(part_e8(self.index_e8, self.last_rate_e8), left, self.hours * HOUR)
        cdef int64_t second = self.index_e8, n = min(self.basis_count, <int64_t> BASIS_SAMPLES), total = 0
        cdef int k
        for k in range(n):
            total += self.basis[k]
        if n:
            second += mul_div(total, 1, n)
        return median_of(first, second, last if last else second)

    cdef int settle(self, int64_t stamp) except -1:
        # A stamp is past: the next interval, and what it begins with.
        self.last_rate_e8 = self.rate_e8
        self.hours, self.calm = next_interval(self.hours, self.rate_e8, self.cap_e8, self.calm)
        self.next_stamp = (stamp // (self.hours * HOUR) + 1) * self.hours * HOUR
        self.premium_sum = self.premium_weight = self.premium_count = 0
        if self.is_announced:
            self.is_announced = False
            self.rate_e8 = rate_of(0, self.hours, self.interest_e8, self.cap_e8)
        return 0

    def announce(self, int64_t now, rate_e8=None, int64_t hours=0):
        """Set the rate of the next stamp, the funding interval, or both, against the formulas.

        Parameters
        ----------
        now : int
            Exchange time, ns.
        rate_e8 : int, optional
            Rate that the next stamp settles, at most 100 % either way; beyond the cap if need be. None: the samples'.
        hours : int, optional
            Funding interval from now on: 8, 4 or 1. 0: as it is. The next stamp never comes later by it.

        Raises
        ------
        ValueError
            If the rate or the interval is none of these.
        """
        if rate_e8 is not None and not -E8 <= rate_e8 <= E8:
            raise ValueError(f"a funding rate is at most 100 %, not {rate_e8}")
        if hours not in (0, 1, 4, 8):
            raise ValueError(f"funding comes every 8, 4 or 1 hours, not every {hours}")
        if rate_e8 is not None:
            self.rate_e8 = rate_e8
            self.is_announced = True
        if hours:
            self.hours = hours
            self.calm = 0
            if self.next_stamp > now:
                self.next_stamp -= (self.next_stamp - now - 1) // (hours * HOUR) * hours * HOUR


def next_interval(int64_t hours, int64_t rate_e8, int64_t cap_e8, int64_t calm):
    """Return the funding interval after a settlement, and the count of calm ones.

    Parameters
    ----------
    hours, rate_e8, cap_e8 : int
        The interval that ended, its rate, and the cap of the rate.
    calm : int
        Hourly stamps in a row before this one whose rate was at most 0.025 %.

    Returns
    -------
    tuple of int
        Hours, calm stamps.

    Notes
    -----
    A rate at its cap or floor makes the contract hourly. After sixteen calm hourly stamps the seventeenth interval is
    one of four hours.
    """
    if rate_e8 >= cap_e8 or rate_e8 <= -cap_e8:
        return 1, 0
    if hours != 1:
        return hours, 0
    calm = calm + 1 if magnitude(rate_e8) <= CALM_RATE else 0
    if calm >= CALM_STAMPS:
        return 4, 0
    return 1, calm


def funding_rate(int64_t premium_e8, int64_t hours=8, int64_t interest_e8=10_000, int64_t cap_e8=300_000):
    """Return the funding rate of an average premium, 1e-8.

    Notes
    -----
    F = [P + clamp(I - P, -0.05 %, 0.05 %)] / (8 / N), within the cap and floor.

    Examples
    --------
    >>> funding_rate(42_900)
    10000
    """
    return rate_of(premium_e8, hours, interest_e8, cap_e8)


def mark_price(int64_t index_e8, int64_t last_rate_e8, int64_t remaining_ns, int64_t interval_ns, int64_t basis_e8,
               int64_t last_e8):
    """Return the mark price: the median of index with funding to come, index with basis, and last price; 1e-8.

    Examples
    --------
    >>> mark_price(100_00000000, 10_000, 4, 8, 20_000_000, 99_00000000)
    10000500000
    """
    return median_of(index_e8 + mul_div(part_e8(index_e8, last_rate_e8), remaining_ns, interval_ns),
                     index_e8 + basis_e8, last_e8)
