"""The account: bookings, running totals, margin and liquidation price."""
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.fixed cimport funding_of_e8, liquidation_at, magnitude, mul_div, notional_e8, part_e8, value_e8
from core_ext.types cimport Instruments, bracket_t, instrument_t


cdef const bracket_t* bracket_of(const instrument_t* i, int64_t notional) noexcept nogil:
    # floor < notional <= cap; beyond the last cap the last bracket rules.
    cdef int k = 0
    while k < i.n_brackets - 1 and notional > i.brackets[k].cap_e8:
        k += 1
    return &i.brackets[k]


cdef int64_t maintenance_of(const instrument_t* i, int64_t notional) noexcept nogil:
    cdef const bracket_t* b = bracket_of(i, notional)
    return part_e8(notional, b.mmr_e8) - b.cum_e8 if notional else 0


cdef int64_t liquidation_of(const instrument_t* i, int64_t room_e8, int64_t longs, int64_t shorts,
                            int64_t cost_e8) noexcept nogil:
    # The price at which `longs` and `shorts` lots (both: hedge mode) of joint signed cost meet their maintenance;
    # room: wallet, plus unrealised profit of all else, minus its maintenance. Maintenance is the greatest of the
    # brackets' lines (that is what the maintenance amounts are for), so of the prices at which equity meets each
    # line the first one reached is the one whose bracket holds the notional *there*: the highest for a net long, the
    # lowest for a net short.
    cdef int64_t price, found = 0
    cdef bint falls = longs > shorts
    cdef int a, b, sign = 0
    for a in range(i.n_brackets if longs else 1):
        for b in range(i.n_brackets if shorts else 1):
            price = liquidation_at(room_e8 - cost_e8 + (i.brackets[a].cum_e8 if longs else 0)
                                   + (i.brackets[b].cum_e8 if shorts else 0), i.lot_e8, longs, shorts,
                                   i.brackets[a].mmr_e8, i.brackets[b].mmr_e8, &sign)
            if sign == 0 or (sign < 0) != falls:
                continue
            if falls:
                found = max(found, price)
            else:
                price = max(1, price)          # nothing left at any price: liquidated wherever the mark is
                found = price if found == 0 else min(found, price)
    return found


@cython.final
cdef class Account:
    """One account at the exchange.

    Parameters
    ----------
    instruments : Instruments
    start_e8 : int
        Starting wallet, 1e-8 USDT.
    """

    def __cinit__(self, Instruments instruments not None, int64_t start_e8):
        memset(self.positions, 0, sizeof(self.positions))
        memset(self.spot_e8, 0, sizeof(self.spot_e8))

    def __init__(self, Instruments instruments not None, int64_t start_e8):
        if not 0 <= start_e8 < 1 << 60:
            raise ValueError(f"starting equity out of range: {start_e8 / 1e8} USDT")
        self.instruments = instruments
        self.start_e8 = start_e8
        self.wallet_e8 = start_e8

    cdef int64_t change(self, int symbol, int64_t lots, int64_t value) noexcept nogil:
        # Add signed lots of signed value; return the realised profit (gross), booked to the wallet.
        cdef position_t* p = &self.positions[symbol]
        cdef int64_t closing, removed, closed_value, realised = 0
        if p.lots != 0 and (p.lots > 0) != (lots > 0):
            closing = min(magnitude(lots), magnitude(p.lots))
            removed = p.cost_e8 if closing == magnitude(p.lots) else mul_div(p.cost_e8, closing, magnitude(p.lots))
            closed_value = value if closing == magnitude(lots) else mul_div(value, closing, magnitude(lots))
            realised = -closed_value - removed
            p.cost_e8 -= removed
            self.cost_e8 -= removed
            p.lots += closing if lots > 0 else -closing
            lots -= closing if lots > 0 else -closing
            value -= closed_value
        p.lots += lots
        p.cost_e8 += value
        self.cost_e8 += value
        p.realised_e8 += realised
        self.realised_e8 += realised
        self.wallet_e8 += realised
        return realised

    cdef void pay(self, int symbol, int64_t fee_e8) noexcept nogil:
        self.positions[symbol].fees_e8 += fee_e8
        self.fees_e8 += fee_e8
        self.wallet_e8 -= fee_e8

    cdef int64_t book_fill(self, int symbol, int64_t lots, int64_t price_ticks, int64_t fee_e8) noexcept nogil:
        # lots: buy positive. Returns the realised profit, gross of the fee.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = notional_e8(i, price_ticks, lots)
        cdef int64_t realised = self.change(symbol, lots, value)
        if self.positions[symbol].mark_e8 == 0:
            self.positions[symbol].mark_e8 = price_ticks * i.tick_e8
        self.turnover_e8 += magnitude(value)
        self.pay(symbol, fee_e8)
        self.revalue(symbol)
        return realised

    cdef int64_t close_at(self, int symbol, int64_t price_e8, int64_t fee_e8) noexcept nogil:
        # The whole position is taken over at a price that is on no tick (liquidation).
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t lots = -self.positions[symbol].lots
        cdef int64_t realised = self.change(symbol, lots, value_e8(i, price_e8, lots))
        self.pay(symbol, fee_e8)
        self.liquidation_fees_e8 += fee_e8
        self.revalue(symbol)
        return realised

    cdef void set_mark(self, int symbol, int64_t mark_e8) noexcept nogil:
        self.positions[symbol].mark_e8 = mark_e8
        if self.positions[symbol].lots:
            self.revalue(symbol)

    cdef void revalue(self, int symbol) noexcept nogil:
        # Replace one symbol's terms in the totals.
        cdef position_t* p = &self.positions[symbol]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = value_e8(i, p.mark_e8, p.lots)
        cdef int64_t maintenance = maintenance_of(i, magnitude(value))
        self.gross_e8 += magnitude(value) - magnitude(p.value_e8)
        self.net_e8 += value - p.value_e8
        self.initial_total_e8 += magnitude(value) // i.leverage - magnitude(p.value_e8) // i.leverage
        self.maintenance_total_e8 += maintenance - p.maintenance_e8
        p.value_e8 = value
        p.maintenance_e8 = maintenance
        self.unrealised_e8 = self.net_e8 - self.cost_e8

    cdef int64_t funding_due(self, int symbol, int64_t rate_e8, int64_t mark_e8) noexcept nogil:
        # What the account receives at a funding stamp: longs pay a positive rate.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        return -funding_of_e8(mark_e8, self.positions[symbol].lots, i.lot_e8, rate_e8)

    cdef void book_funding(self, int symbol, int64_t amount_e8) noexcept nogil:
        self.positions[symbol].funding_e8 += amount_e8
        self.funding_e8 += amount_e8
        self.wallet_e8 += amount_e8

    cdef void book_transfer(self, int64_t amount_e8) noexcept nogil:
        # Between the spot wallet and this one; what leaves one arrives in the other.
        self.transfers_e8 += amount_e8
        self.wallet_e8 += amount_e8
        self.spot_e8[ACCOUNT_SYMBOLS] -= amount_e8

    cdef int64_t liquidation_price(self, int symbol, int64_t lots, int64_t cost_e8, int64_t wallet_e8) noexcept nogil:
        # The mark at which a position of `lots` that cost `cost_e8`, with this wallet and every other position as
        # it is, meets its maintenance margin; 0 when there is none.
        cdef const position_t* p = &self.positions[symbol]
        cdef int64_t profits = self.unrealised_e8 - (p.value_e8 - p.cost_e8)
        cdef int64_t others = profits - (self.maintenance_total_e8 - p.maintenance_e8)
        return liquidation_of(&self.instruments.data[symbol], wallet_e8 + others,
                              lots if lots > 0 else 0, -lots if lots < 0 else 0, cost_e8)

    # ------------------------------------------------------------------ Python face

    def fill(self, int symbol, int64_t lots, int64_t price_ticks, int64_t fee_e8):
        """Book a fill (lots: buy positive); return the realised profit in 1e-8 USDT, gross of the fee."""
        self.check(symbol)
        return self.book_fill(symbol, lots, price_ticks, fee_e8)

    def mark(self, int symbol, int64_t mark_e8):
        """Set a symbol's mark price (1e-8 USDT)."""
        self.check(symbol)
        self.set_mark(symbol, mark_e8)

    def take_over(self, int symbol, int64_t price_e8, int64_t fee_e8):
        """Close the whole position at a price that may be on no tick; return the realised profit."""
        self.check(symbol)
        return self.close_at(symbol, price_e8, fee_e8)

    def funding_amount(self, int symbol, int64_t rate_e8, int64_t mark_e8):
        """Return what the account would receive at a funding stamp, 1e-8 USDT."""
        self.check(symbol)
        return self.funding_due(symbol, rate_e8, mark_e8)

    def pay_funding(self, int symbol, int64_t amount_e8):
        """Book a funding payment (received positive)."""
        self.check(symbol)
        self.book_funding(symbol, amount_e8)

    def transfer(self, int64_t amount_e8):
        """Move USDT from the spot wallet into this one (negative: back)."""
        self.book_transfer(amount_e8)

    def spot_deposit(self, int64_t amount_e8, int symbol=ACCOUNT_SYMBOLS):
        """Add to a spot wallet: a symbol's base coin, or USDT when no symbol is given."""
        if not 0 <= symbol <= ACCOUNT_SYMBOLS:
            raise IndexError(symbol)
        self.spot_e8[symbol] += amount_e8

    def spot(self, int symbol=ACCOUNT_SYMBOLS):
        """Return a spot wallet's balance, eight decimals."""
        if not 0 <= symbol <= ACCOUNT_SYMBOLS:
            raise IndexError(symbol)
        return self.spot_e8[symbol]

    def position(self, int symbol):
        """Return a position's fields."""
        self.check(symbol)
        return dict(self.positions[symbol])

    def liquidation(self, int symbol):
        """Return the liquidation price of the position as it stands, 1e-8 USDT, 0 for none."""
        self.check(symbol)
        cdef const position_t* p = &self.positions[symbol]
        return self.liquidation_price(symbol, p.lots, p.cost_e8, self.wallet_e8)

    def equity(self):
        """Return wallet plus unrealised profit, 1e-8 USDT."""
        return self.equity_e8()

    def reconcile(self):
        """Return the difference that the accounts leave unexplained; 0 always."""
        return (self.start_e8 + self.realised_e8 + self.unrealised_e8 + self.funding_e8 - self.fees_e8
                + self.transfers_e8 - self.equity_e8())

    def check(self, int symbol):
        """Raise IndexError for a symbol that the run does not have."""
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)


def maintenance_margin(Instruments instruments not None, int symbol, int64_t amount_e8):
    """Return the maintenance margin of a notional, 1e-8 USDT (notional * rate - maintenance amount)."""
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    return maintenance_of(&instruments.data[symbol], amount_e8)


def liquidation_price(Instruments instruments not None, int symbol, int64_t longs, int64_t shorts, int64_t cost_e8,
                      int64_t wallet_e8, int64_t other_unrealised_e8=0, int64_t other_maintenance_e8=0):
    """Return the liquidation price of a cross or isolated position, hedge legs included, in 1e-8 USDT; 0 for none.

    Parameters
    ----------
    longs, shorts : int
        Lots of the long and the short leg; one of them is 0 in one-way mode.
    cost_e8 : int
        Cost of the longs minus proceeds of the shorts.
    wallet_e8 : int
        Cross wallet, or the isolated wallet of the position.
    other_unrealised_e8, other_maintenance_e8 : int
        Of every other cross position.

    Notes
    -----
    Binance's published formula, solved for the brackets of the notional at the liquidation price.
    """
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    return liquidation_of(&instruments.data[symbol], wallet_e8 + other_unrealised_e8 - other_maintenance_e8,
                          longs, shorts, cost_e8)
