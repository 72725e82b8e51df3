"""Positions, wallet, margin by leverage bracket, funding and liquidation price of one account.

Cross margin, one-way positions, one margin coin. Money is in 1e-8 USDT, every booking is rounded
once, and a position keeps its cost basis instead of an average price, so that nothing drifts:
``wallet = start + realised - fees + funding + transfers`` holds to the last digit at every moment.
Totals are running: a mark changes one symbol's term.
"""
from libc.stdint cimport int64_t

from core_ext.types cimport Instruments, bracket_t, instrument_t


cdef enum:
    ACCOUNT_SYMBOLS = 128


cdef struct position_t:
    int64_t lots           # buy positive
    int64_t cost_e8        # signed with the lots: what the open lots cost
    int64_t mark_e8        # 0: no mark yet
    int64_t value_e8       # lots at the mark, signed
    int64_t maintenance_e8
    int64_t realised_e8    # gross of fees and funding
    int64_t fees_e8
    int64_t funding_e8     # received positive


cdef class Account:
    cdef Instruments instruments
    cdef position_t positions[ACCOUNT_SYMBOLS]
    cdef readonly int64_t start_e8
    cdef readonly int64_t wallet_e8
    cdef readonly int64_t realised_e8
    cdef readonly int64_t fees_e8          # trading and liquidation fees
    cdef readonly int64_t liquidation_fees_e8
    cdef readonly int64_t funding_e8
    cdef readonly int64_t transfers_e8
    cdef readonly int64_t unrealised_e8
    cdef readonly int64_t cost_e8          # of all open positions, signed
    cdef readonly int64_t maintenance_total_e8
    cdef readonly int64_t initial_total_e8     # initial margin of the positions
    cdef readonly int64_t gross_e8         # sum of |value|
    cdef readonly int64_t net_e8
    cdef readonly int64_t turnover_e8
    cdef int64_t spot_e8[ACCOUNT_SYMBOLS + 1]  # spot wallets: base coins by symbol, the last is the quote coin

    cdef inline int64_t equity_e8(self) noexcept nogil:
        return self.wallet_e8 + self.unrealised_e8

    cdef int64_t book_fill(self, int symbol, int64_t lots, int64_t price_ticks, int64_t fee_e8) noexcept nogil
    cdef int64_t close_at(self, int symbol, int64_t price_e8, int64_t fee_e8) noexcept nogil
    cdef int64_t change(self, int symbol, int64_t lots, int64_t value_e8) noexcept nogil
    cdef void pay(self, int symbol, int64_t fee_e8) noexcept nogil
    cdef void set_mark(self, int symbol, int64_t mark_e8) noexcept nogil
    cdef void revalue(self, int symbol) noexcept nogil
    cdef int64_t funding_due(self, int symbol, int64_t rate_e8, int64_t mark_e8) noexcept nogil
    cdef void book_funding(self, int symbol, int64_t amount_e8) noexcept nogil
    cdef void book_transfer(self, int64_t amount_e8) noexcept nogil
    cdef int64_t liquidation_price(self, int symbol, int64_t lots, int64_t cost_e8, int64_t wallet_e8) noexcept nogil


cdef const bracket_t* bracket_of(const instrument_t* i, int64_t notional_e8) noexcept nogil
cdef int64_t maintenance_of(const instrument_t* i, int64_t notional_e8) noexcept nogil
cdef int64_t liquidation_of(const instrument_t* i, int64_t room_e8, int64_t longs, int64_t shorts,
                            int64_t cost_e8) noexcept nogil
