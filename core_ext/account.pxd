"""Positions, wallets, margin by leverage bracket, funding and liquidation price of one account.

The one margin engine: risk, backtest, paper and the venue's own accounts are all this class. It knows
cross and isolated margin, one-way and hedge mode, single- and multi-assets mode, and what open orders
need. It refuses to know an order: whoever keeps orders says how much of them is open.

Money is in 1e-8 USDT, every booking is rounded once, and a position keeps its cost basis instead of an
average price, so that nothing drifts: ``wallet = start + realised - fees + funding + transfers`` holds to
the last digit at every moment. Totals are running: a mark changes one symbol's terms.

A position has two legs. Leg 0 is the position in one-way mode and the long in hedge mode, leg 1 the short
in hedge mode. The wallet holds everything; what an isolated leg has been given is counted in its
``isolated_e8`` and is no collateral for anything else. A symbol is isolated or it is not, both legs alike.

Everything is valued in USDT. Sums saturate: money that 64 bits do not hold stays absurd, so that whoever
compares it refuses, and never turns into its opposite.
"""
from libc.stdint cimport int64_t, uint8_t

from core_ext.types cimport Instruments, bracket_t, instrument_t


cdef extern from *:
    """
    #include <stdint.h>

    static inline int64_t at_plus(int64_t a, int64_t b) {
        int64_t sum;
        if (__builtin_add_overflow(a, b, &sum) || sum == INT64_MIN) return b > 0 ? INT64_MAX : -INT64_MAX;
        return sum;
    }
    """
    int64_t plus "at_plus"(int64_t a, int64_t b) noexcept nogil


cdef enum:
    ACCOUNT_SYMBOLS = 128
    LEGS = 256                 # leg k of a symbol is positions[symbol + k * ACCOUNT_SYMBOLS]
    ASSETS = 8
    SPOTS = 136                # spot wallets: base coins by symbol, then the quote coin, then other margin coins
    MOST_LEVERAGE = 200


cdef struct position_t:
    int64_t lots           # buy positive
    int64_t cost_e8        # signed with the lots: what the open lots cost
    int64_t value_e8       # lots at the mark, signed
    int64_t maintenance_e8
    int64_t isolated_e8    # wallet of the isolated leg, 0 in cross margin
    int64_t realised_e8    # gross of fees and funding
    int64_t fees_e8
    int64_t funding_e8     # received positive


cdef struct margin_t:
    # What a symbol has besides its legs.
    int64_t mark_e8        # 0: no mark yet
    int64_t leverage
    uint8_t isolated
    int64_t open_e8[2][2]  # notional of open orders that can open more, by leg and side
    int64_t open_orders
    int64_t initial_e8     # initial margin of the legs at the mark, each rounded down to a unit
    int64_t orders_e8      # what the open orders need beyond that
    # What of it is in the account's isolated totals: nothing in cross margin.
    int64_t counted_unrealised_e8
    int64_t counted_maintenance_e8
    int64_t counted_initial_e8


cdef struct asset_t:
    # A margin coin other than USDT.
    int64_t wallet_e8      # of the coin
    int64_t transfers_e8
    int64_t fees_e8
    int64_t price_e8       # USDT a coin, 0: not known, and then it is no collateral
    int64_t ratio_e8       # share of its value that counts as collateral
    int64_t spot           # place of its spot wallet


cdef struct totals_t:
    # What is kept running and can be worked out anew from positions, margins and assets.
    int64_t wallet_e8
    int64_t realised_e8
    int64_t fees_e8
    int64_t funding_e8
    int64_t unrealised_e8
    int64_t cost_e8
    int64_t maintenance_total_e8
    int64_t initial_total_e8
    int64_t orders_total_e8
    int64_t gross_e8
    int64_t net_e8
    int64_t collateral_e8
    int64_t isolated_total_e8
    int64_t isolated_unrealised_e8
    int64_t isolated_maintenance_e8
    int64_t isolated_initial_e8


cdef class Account:
    cdef Instruments instruments
    cdef position_t positions[LEGS]
    cdef margin_t margins[ACCOUNT_SYMBOLS]
    cdef asset_t assets[ASSETS]            # by Asset; the USDT wallet is wallet_e8
    cdef readonly bint hedge
    cdef readonly bint multi_assets
    cdef readonly bint fee_coin            # fees are paid in BNB while there is some
    cdef readonly int64_t start_e8
    cdef readonly int64_t wallet_e8
    cdef readonly int64_t realised_e8
    cdef readonly int64_t fees_e8          # trading and liquidation fees, paid in USDT
    cdef readonly int64_t liquidation_fees_e8
    cdef readonly int64_t funding_e8
    cdef readonly int64_t transfers_e8
    cdef readonly int64_t unrealised_e8
    cdef readonly int64_t cost_e8          # of all open positions, signed
    cdef readonly int64_t maintenance_total_e8
    cdef readonly int64_t initial_total_e8     # initial margin of the positions
    cdef readonly int64_t orders_total_e8      # margin of the open orders
    cdef readonly int64_t gross_e8         # sum of |value|
    cdef readonly int64_t net_e8
    cdef readonly int64_t turnover_e8
    cdef readonly int64_t collateral_e8    # of the other coins, multi-assets mode
    # Of the isolated legs; what is left of the totals is cross.
    cdef readonly int64_t isolated_total_e8
    cdef readonly int64_t isolated_unrealised_e8
    cdef readonly int64_t isolated_maintenance_e8
    cdef readonly int64_t isolated_initial_e8
    cdef int64_t spot_e8[SPOTS]

    cdef inline int64_t equity_e8(self) noexcept nogil:
        return plus(plus(self.wallet_e8, self.unrealised_e8), self.collateral_e8)

    cdef inline int64_t cross_equity_e8(self) noexcept nogil:
        # The margin balance that all cross positions share.
        return plus(plus(self.equity_e8(), -self.isolated_total_e8), -self.isolated_unrealised_e8)

    cdef inline int64_t cross_maintenance_e8(self) noexcept nogil:
        return plus(self.maintenance_total_e8, -self.isolated_maintenance_e8)

    cdef inline int64_t available_e8(self) noexcept nogil:
        # May be negative: then nothing is available.
        return plus(plus(self.cross_equity_e8(), self.isolated_initial_e8 - self.initial_total_e8),
                    -self.orders_total_e8)

    cdef inline int64_t leg_equity_e8(self, int symbol, int leg) noexcept nogil:
        # The margin balance of an isolated leg.
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        return plus(plus(p.isolated_e8, p.value_e8), -p.cost_e8)

    cdef int64_t book_fill(self, int symbol, int leg, int64_t lots, int64_t price_ticks, int64_t fee_e8,
                           bint in_coin) noexcept nogil
    cdef int64_t close_at(self, int symbol, int leg, int64_t lots, int64_t price_e8, int64_t fee_e8) noexcept nogil
    cdef int64_t change(self, int symbol, int leg, int64_t lots, int64_t value_e8) noexcept nogil
    cdef int64_t close_part(self, int symbol, int leg, int64_t lots, int64_t value_e8) noexcept nogil
    cdef void open_part(self, int symbol, int leg, int64_t lots, int64_t value_e8) noexcept nogil
    cdef void pay(self, int symbol, int leg, int64_t fee_e8) noexcept nogil
    cdef void set_mark(self, int symbol, int64_t mark_e8) noexcept nogil
    cdef int64_t margin_ratio_e8(self) noexcept nogil
    cdef void revalue(self, int symbol) noexcept nogil
    cdef void revalue_leg(self, int symbol, int leg) noexcept nogil
    cdef void margin(self, int symbol) noexcept nogil
    cdef void set_isolated(self, int symbol) noexcept nogil
    cdef bint holds(self, int symbol) noexcept nogil
    cdef bint any_orders(self) noexcept nogil
    cdef int isolated_refusal(self, int symbol, int64_t value) noexcept nogil
    cdef int leverage_refusal(self, int symbol, int64_t leverage) noexcept nogil
    cdef int hedge_refusal(self, int64_t value) noexcept nogil
    cdef int multi_assets_refusal(self, int64_t value) noexcept nogil
    cdef int margin_refusal(self, int symbol, int leg, int64_t amount_e8) noexcept nogil
    cdef void set_margin_type(self, int symbol, bint isolated) noexcept nogil
    cdef int64_t exposure_e8(self, int symbol, int leg, int side, int64_t more_e8, int64_t* shorts) noexcept nogil
    cdef int64_t needed_e8(self, int symbol, int leg, int side, int64_t more_e8) noexcept nogil
    cdef void open_order(self, int symbol, int leg, int side, int64_t amount_e8, int orders) noexcept nogil
    cdef int64_t order_cost_e8(self, int symbol, int leg, int side, int64_t price_e8, int64_t lots) noexcept nogil
    cdef int64_t funding_due(self, int symbol, int leg, int64_t rate_e8, int64_t mark_e8) noexcept nogil
    cdef void book_funding(self, int symbol, int leg, int64_t amount_e8) noexcept nogil
    cdef void book_transfer(self, int asset, int64_t amount_e8) noexcept nogil
    cdef void book_margin(self, int symbol, int leg, int64_t amount_e8) noexcept nogil
    cdef void set_index(self, int asset, int64_t price_e8) noexcept nogil
    cdef void set_collateral(self) noexcept nogil
    cdef int setting_refusal(self, int symbol, int setting, int64_t value) noexcept nogil
    cdef void apply_setting(self, int symbol, int setting, int64_t value) noexcept nogil
    cdef int64_t liquidation_price(self, int symbol, int leg, int64_t lots, int64_t cost_e8,
                                   int64_t wallet_e8) noexcept nogil
    cdef int64_t liquidation_now(self, int symbol, int leg) noexcept nogil
    cdef void clear(self, int64_t wallet_e8) noexcept nogil
    cdef void place(self, int symbol, int64_t mark_e8, int64_t leverage, bint isolated) noexcept nogil
    cdef void hold(self, int symbol, int leg, int64_t lots, int64_t cost_e8, int64_t isolated_e8) noexcept nogil
    cdef void adopt(self, int symbol, int leg, int64_t lots, int64_t cost_e8, int64_t isolated_e8) noexcept nogil
    cdef void adopt_wallet(self, int asset, int64_t amount_e8) noexcept nogil
    cdef int64_t wallet_of(self, int asset) noexcept nogil
    cdef int64_t bankruptcy_price(self, int symbol, int leg) noexcept nogil
    cdef int64_t fee_in_coin(self, int64_t fee_e8) noexcept nogil
    cdef totals_t running(self) noexcept nogil
    cdef totals_t rebuilt(self) noexcept nogil
    cdef bint legs_agree(self, int symbol) noexcept nogil
    cdef bint audit(self) noexcept nogil


cdef const bracket_t* bracket_of(const instrument_t* i, int64_t notional_e8) noexcept nogil
cdef int64_t maintenance_of(const instrument_t* i, int64_t notional_e8) noexcept nogil
cdef int64_t max_notional_of(const instrument_t* i, int64_t leverage) noexcept nogil
cdef int64_t liquidation_of(const instrument_t* i, int64_t room_e8, int64_t longs, int64_t shorts,
                            int64_t cost_e8) noexcept nogil
