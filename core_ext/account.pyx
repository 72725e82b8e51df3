"""The account: bookings, running totals, margin and liquidation price."""
cimport cython
from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memcmp, memset

from core_ext.fixed cimport E8, MAX_STEPS, funding_of_e8, liquidation_at, magnitude, mul_div, notional_e8, part_e8
from core_ext.fixed cimport price_e8 as price_of_ticks
from core_ext.fixed cimport value_e8
from core_ext.types cimport Asset, Instruments, Setting, Side, bracket_t, instrument_t

import numpy as np

from core_ext.types import Asset as AssetFace

cdef int64_t MOST_E8 = 1 << 62             # money and prices beyond this are absurd and refused at the Python face

cdef int64_t FEE_COIN_SHARE = 90000000     # of a fee, when it is paid in the fee coin: 10 % less
# Shares of a coin's value that count as collateral where the exchange's index does not say: its tables change.
cdef int64_t COLLATERAL[8]
COLLATERAL = [100000000, 95000000, 99990000, 95000000, 95000000, 0, 0, 0]

# The exchange's own codes for settings.
cdef enum:
    NO_CHANGE_MARGIN_TYPE = -4046
    NO_CHANGE_POSITION_SIDE = -4059
    NO_CHANGE_ASSET_MODE = -4171
    BAD_LEVERAGE = -4028
    ABOVE_MAX_POSITION = -2027
    LEVERAGE_TOO_SMALL = -2028
    ISOLATED_LEVERAGE_DOWN = -4161
    MARGIN_TYPE_ORDERS = -4047
    MARGIN_TYPE_POSITION = -4048
    POSITION_SIDE_ORDERS = -4067
    POSITION_SIDE_POSITION = -4068
    MULTI_ASSETS_WITH_ISOLATED = -4167
    ISOLATED_WITH_MULTI_ASSETS = -4168
    MULTI_ASSETS_BALANCE = -4169
    MULTI_ASSETS_ORDERS = -4170
    MULTI_ASSETS_NEGATIVE = -4172
    MARGIN_OF_CROSS = -4049
    CROSS_BALANCE = -4050
    ISOLATED_BALANCE = -4051
    MARGIN_OF_NOTHING = -4054
    AMOUNT_NOT_POSITIVE = -4055
    BAD_PARAMETER = -1130


cdef const bracket_t* bracket_of(const instrument_t* i, int64_t notional) noexcept nogil:
    # floor < notional <= cap; beyond the last cap the last bracket rules.
    cdef int k = 0
    while k < i.n_brackets - 1 and notional > i.brackets[k].cap_e8:
        k += 1
    return &i.brackets[k]


cdef int64_t maintenance_of(const instrument_t* i, int64_t notional) noexcept nogil:
    cdef const bracket_t* b = bracket_of(i, notional)
    return part_e8(notional, b.mmr_e8) - b.cum_e8 if notional else 0


cdef inline int64_t initial_of(int64_t notional, int64_t leverage) noexcept nogil:
    return magnitude(notional) // leverage if notional else 0


cdef inline int64_t ratio_of(int64_t maintenance, int64_t balance) noexcept nogil:
    if maintenance == 0:
        return 0
    return mul_div(maintenance, E8, balance) if balance > 0 else INT64_MAX


cdef int64_t max_notional_of(const instrument_t* i, int64_t leverage) noexcept nogil:
    # The largest position that this leverage may carry; 0 for a leverage that no bracket allows.
    cdef int64_t most = 0
    cdef int k
    for k in range(i.n_brackets):
        if leverage <= i.brackets[k].max_leverage:
            most = i.brackets[k].cap_e8
    return most


cdef int64_t liquidation_of(const instrument_t* i, int64_t room_e8, int64_t longs, int64_t shorts,
                            int64_t cost_e8) noexcept nogil:
    # The price at which `longs` and `shorts` lots (both: hedge mode) of joint signed cost meet their maintenance;
    # room: wallet, plus unrealised profit of all else, minus its maintenance. Maintenance is the greatest of the
    # brackets' lines (that is what the maintenance amounts are for), so equity is above it between two prices: the
    # highest at which it meets a line that it rises against, and the lowest at which it meets one that it falls
    # against; there each line's bracket holds the notional. A single leg has only one of them. A hedged net long may
    # have both, and the lower is the one that a move against it reaches.
    cdef int64_t money = plus(room_e8, -cost_e8), price, low = 0, high = INT64_MAX
    cdef bint hedged = longs and shorts
    cdef int a, b, sign = 0
    for a in range(i.n_brackets if longs else 1):
        for b in range(i.n_brackets if shorts else 1):
            price = liquidation_at(plus(plus(money, i.brackets[a].cum_e8 if longs else 0),
                                        i.brackets[b].cum_e8 if shorts else 0), i.lot_e8, longs, shorts,
                                   i.brackets[a].mmr_e8, i.brackets[b].mmr_e8, &sign)
            if sign < 0:
                if not hedged and price < low:
                    return low                 # a leg's meeting prices rise up to its bracket and fall after it
                low = max(low, price)
            elif sign > 0:
                if not hedged and price > high:
                    return high
                high = min(high, max(1, price))    # nothing left at any price: liquidated wherever the mark is
    return low if low > 0 or high == INT64_MAX else high


cdef int refuse_outside(str what, int64_t value, int64_t least, int64_t most) except -1:
    if not least <= value <= most:
        raise ValueError(f"{what} out of range: {value}, not between {least} and {most}")
    return 0


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
        memset(self.margins, 0, sizeof(self.margins))
        memset(self.assets, 0, sizeof(self.assets))
        memset(self.spot_e8, 0, sizeof(self.spot_e8))

    def __init__(self, Instruments instruments not None, int64_t start_e8):
        cdef int k
        if not 0 <= start_e8 < 1 << 60:
            raise ValueError(f"starting equity out of range: {start_e8 / 1e8} USDT")
        self.instruments = instruments
        self.start_e8 = start_e8
        self.wallet_e8 = start_e8
        for k in range(instruments.size):
            refuse_outside(f"{instruments.names[k]}: leverage", instruments.data[k].leverage, 1, MOST_LEVERAGE)
            self.margins[k].leverage = instruments.data[k].leverage
        for k in range(ASSETS):
            self.assets[k].ratio_e8 = COLLATERAL[k]
            self.assets[k].spot = ACCOUNT_SYMBOLS + k
        for coin in AssetFace:
            if f"{coin.name}USDT" in instruments.names:
                self.assets[<int> coin].spot = instruments.names.index(f"{coin.name}USDT")

    # ------------------------------------------------------------------ trades

    cdef int64_t change(self, int symbol, int leg, int64_t lots, int64_t value) noexcept nogil:
        # Add signed lots of signed value to a leg; return the realised profit (gross), booked to the wallet.
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t closing, closed_value, realised = 0
        if p.lots != 0 and (p.lots > 0) != (lots > 0):
            closing = min(magnitude(lots), magnitude(p.lots))
            closed_value = value if closing == magnitude(lots) else mul_div(value, closing, magnitude(lots))
            closing = closing if lots > 0 else -closing
            realised = self.close_part(symbol, leg, closing, closed_value)
            lots -= closing
            value = plus(value, -closed_value)
        if lots:
            self.open_part(symbol, leg, lots, value)
        return realised

    cdef int64_t close_part(self, int symbol, int leg, int64_t lots, int64_t value) noexcept nogil:
        # The closed share of an isolated wallet goes back to cross with what was won or lost on it: the rest of the leg
        # keeps its share, and so its liquidation price.
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t closing = magnitude(lots), held = magnitude(p.lots)
        cdef int64_t removed = p.cost_e8 if closing == held else mul_div(p.cost_e8, closing, held)
        cdef int64_t realised = plus(-value, -removed)
        cdef int64_t kept
        if self.margins[symbol].isolated:
            kept = 0 if closing == held else p.isolated_e8 - mul_div(p.isolated_e8, closing, held)
            self.book_margin(symbol, leg, plus(kept, -p.isolated_e8))
        p.cost_e8 -= removed
        self.cost_e8 = plus(self.cost_e8, -removed)
        p.lots += lots
        p.realised_e8 = plus(p.realised_e8, realised)
        self.realised_e8 = plus(self.realised_e8, realised)
        self.wallet_e8 = plus(self.wallet_e8, realised)
        return realised

    cdef void open_part(self, int symbol, int leg, int64_t lots, int64_t value) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.lots = plus(p.lots, lots)
        p.cost_e8 = plus(p.cost_e8, value)
        self.cost_e8 = plus(self.cost_e8, value)
        if self.margins[symbol].isolated:
            self.book_margin(symbol, leg, magnitude(value) // self.margins[symbol].leverage)

    cdef void pay(self, int symbol, int leg, int64_t fee_e8) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.fees_e8 = plus(p.fees_e8, fee_e8)
        self.fees_e8 = plus(self.fees_e8, fee_e8)
        self.wallet_e8 = plus(self.wallet_e8, -fee_e8)

    cdef int64_t book_fill(self, int symbol, int leg, int64_t lots, int64_t price_ticks, int64_t fee_e8,
                           bint in_coin) noexcept nogil:
        # lots: buy positive; the fee in USDT or in the fee coin. Returns the realised profit, gross of the fee.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = notional_e8(i, price_ticks, lots)
        cdef int64_t realised = self.change(symbol, leg, lots, value)
        cdef asset_t* coin = &self.assets[<int> Asset.BNB]
        if self.margins[symbol].mark_e8 == 0:
            self.margins[symbol].mark_e8 = price_of_ticks(i, price_ticks)
        self.turnover_e8 = plus(self.turnover_e8, magnitude(value))
        if in_coin:
            coin.wallet_e8 = plus(coin.wallet_e8, -fee_e8)
            coin.fees_e8 = plus(coin.fees_e8, fee_e8)
            self.set_collateral()
        else:
            self.pay(symbol, leg, fee_e8)
        self.revalue(symbol)
        return realised

    cdef int64_t fee_in_coin(self, int64_t fee_e8) noexcept nogil:
        # A USDT fee in the fee coin; 0 when it is not to be paid in it (a rebate never is).
        cdef const asset_t* coin = &self.assets[<int> Asset.BNB]
        cdef int64_t amount
        if not self.fee_coin or coin.price_e8 <= 0 or fee_e8 <= 0:
            return 0
        amount = mul_div(fee_e8, FEE_COIN_SHARE, coin.price_e8)
        return amount if amount <= coin.wallet_e8 else 0

    cdef int64_t close_at(self, int symbol, int leg, int64_t lots, int64_t price_e8, int64_t fee_e8) noexcept nogil:
        # Part of a leg (signed lots of the leg) is taken away at a price that is on no tick: liquidation, ADL.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t realised = self.change(symbol, leg, -lots, value_e8(i, price_e8, -lots))
        self.pay(symbol, leg, fee_e8)
        self.liquidation_fees_e8 = plus(self.liquidation_fees_e8, fee_e8)
        self.revalue(symbol)
        return realised

    # ------------------------------------------------------------------ value and margin

    cdef void set_mark(self, int symbol, int64_t mark_e8) noexcept nogil:
        cdef margin_t* m = &self.margins[symbol]
        if mark_e8 <= 0:
            return                             # no price: what stood before stands
        m.mark_e8 = mark_e8
        if self.holds(symbol):
            self.revalue(symbol)

    cdef void revalue(self, int symbol) noexcept nogil:
        # Replace one symbol's terms in the totals.
        cdef const position_t* q = &self.positions[symbol + ACCOUNT_SYMBOLS]
        self.revalue_leg(symbol, 0)
        if q.lots or q.value_e8:
            self.revalue_leg(symbol, 1)
        self.unrealised_e8 = plus(self.net_e8, -self.cost_e8)
        self.margin(symbol)

    cdef void revalue_leg(self, int symbol, int leg) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = value_e8(i, self.margins[symbol].mark_e8, p.lots)
        cdef int64_t maintenance = maintenance_of(i, magnitude(value))
        self.gross_e8 = plus(self.gross_e8, magnitude(value) - magnitude(p.value_e8))
        self.net_e8 = plus(self.net_e8, plus(value, -p.value_e8))
        self.maintenance_total_e8 = plus(self.maintenance_total_e8, maintenance - p.maintenance_e8)
        p.value_e8 = value
        p.maintenance_e8 = maintenance

    cdef void margin(self, int symbol) noexcept nogil:
        # What the symbol's legs and open orders need, at the leverage and the mark of now.
        cdef margin_t* m = &self.margins[symbol]
        cdef int64_t initial = plus(initial_of(self.positions[symbol].value_e8, m.leverage),
                                    initial_of(self.positions[symbol + ACCOUNT_SYMBOLS].value_e8, m.leverage))
        cdef int64_t orders = max(0, self.needed_e8(symbol, 0, 0, 0) - initial) if m.open_orders else 0
        self.initial_total_e8 = plus(self.initial_total_e8, initial - m.initial_e8)
        self.orders_total_e8 = plus(self.orders_total_e8, orders - m.orders_e8)
        m.initial_e8 = initial
        m.orders_e8 = orders
        if m.isolated:
            self.set_isolated(symbol)

    cdef void set_isolated(self, int symbol) noexcept nogil:
        # The isolated legs' share of the totals.
        cdef margin_t* m = &self.margins[symbol]
        cdef const position_t* p = &self.positions[symbol]
        cdef const position_t* q = &self.positions[symbol + ACCOUNT_SYMBOLS]
        cdef int64_t unrealised = 0, maintenance = 0, initial = 0
        if m.isolated:
            unrealised = plus(plus(p.value_e8, -p.cost_e8), plus(q.value_e8, -q.cost_e8))
            maintenance = plus(p.maintenance_e8, q.maintenance_e8)
            initial = m.initial_e8
        self.isolated_unrealised_e8 = plus(self.isolated_unrealised_e8, plus(unrealised, -m.counted_unrealised_e8))
        self.isolated_maintenance_e8 = plus(self.isolated_maintenance_e8, maintenance - m.counted_maintenance_e8)
        self.isolated_initial_e8 = plus(self.isolated_initial_e8, initial - m.counted_initial_e8)
        m.counted_unrealised_e8 = unrealised
        m.counted_maintenance_e8 = maintenance
        m.counted_initial_e8 = initial

    cdef int64_t margin_ratio_e8(self) noexcept nogil:
        # Maintenance margin over margin balance, the largest of the cross positions' and of each isolated leg's: from 1
        # on something is liquidated. INT64_MAX where nothing is left.
        cdef int64_t ratio = ratio_of(self.cross_maintenance_e8(), self.cross_equity_e8())
        cdef int k, leg
        for k in range(self.instruments.size if self.isolated_maintenance_e8 else 0):
            for leg in range(2 if self.margins[k].isolated else 0):
                ratio = max(ratio, ratio_of(self.positions[k + leg * ACCOUNT_SYMBOLS].maintenance_e8,
                                            self.leg_equity_e8(k, leg)))
        return ratio

    cdef int64_t exposure_e8(self, int symbol, int leg, int side, int64_t more_e8, int64_t* shorts) noexcept nogil:
        # Notional of the legs together with their open orders, and `more` of them on one side. One-way: the larger of
        # what all buys and all sells can come to; hedge: each leg with the orders that open it, the shorts apart.
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t value = self.positions[symbol].value_e8
        cdef int64_t buys = m.open_e8[0][0], sells = m.open_e8[self.hedge][1]
        if side == Side.BUY and leg == 0:
            buys = plus(buys, more_e8)
        elif side == Side.SELL and leg == self.hedge:
            sells = plus(sells, more_e8)
        shorts[0] = 0
        if self.hedge:
            shorts[0] = plus(magnitude(self.positions[symbol + ACCOUNT_SYMBOLS].value_e8), sells)
            return plus(magnitude(value), buys)
        return max(magnitude(plus(value, buys)), magnitude(plus(value, -sells)))

    cdef int64_t needed_e8(self, int symbol, int leg, int side, int64_t more_e8) noexcept nogil:
        # Initial margin of that exposure.
        cdef int64_t leverage = self.margins[symbol].leverage, shorts = 0
        cdef int64_t longs = self.exposure_e8(symbol, leg, side, more_e8, &shorts)
        return plus(initial_of(longs, leverage), initial_of(shorts, leverage))

    cdef void open_order(self, int symbol, int leg, int side, int64_t amount_e8, int orders) noexcept nogil:
        # Open orders changed by this notional (0 for one that can only close) and count.
        cdef margin_t* m = &self.margins[symbol]
        m.open_orders += orders
        if amount_e8:
            m.open_e8[leg][side] = plus(m.open_e8[leg][side], amount_e8)
            self.margin(symbol)

    cdef int64_t order_cost_e8(self, int symbol, int leg, int side, int64_t price_e8, int64_t lots) noexcept nogil:
        # What one more order takes from the available balance: margin, its loss against the mark, its taker fee.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t value = value_e8(i, price_e8, lots)
        cdef int64_t worse = price_e8 - m.mark_e8 if side == Side.BUY else m.mark_e8 - price_e8
        return plus(plus(self.needed_e8(symbol, leg, side, value) - m.initial_e8 - m.orders_e8,
                         part_e8(value, i.taker_fee_e8)),
                    value_e8(i, worse, lots) if worse > 0 and m.mark_e8 > 0 else 0)

    # ------------------------------------------------------------------ funding, transfers, settings

    cdef int64_t funding_due(self, int symbol, int leg, int64_t rate_e8, int64_t mark_e8) noexcept nogil:
        # What the leg receives at a funding stamp: longs pay a positive rate.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        return -funding_of_e8(mark_e8, self.positions[symbol + leg * ACCOUNT_SYMBOLS].lots, i.lot_e8, rate_e8)

    cdef void book_funding(self, int symbol, int leg, int64_t amount_e8) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.funding_e8 = plus(p.funding_e8, amount_e8)
        self.funding_e8 = plus(self.funding_e8, amount_e8)
        self.wallet_e8 = plus(self.wallet_e8, amount_e8)
        if p.lots:
            self.book_margin(symbol, leg, amount_e8)

    cdef void book_transfer(self, int asset, int64_t amount_e8) noexcept nogil:
        # Between the spot wallet and this one; what leaves one arrives in the other.
        cdef asset_t* a
        if not 0 <= asset < ASSETS:
            return
        a = &self.assets[asset]
        self.spot_e8[a.spot] = plus(self.spot_e8[a.spot], -amount_e8)
        if asset == Asset.USDT:
            self.transfers_e8 = plus(self.transfers_e8, amount_e8)
            self.wallet_e8 = plus(self.wallet_e8, amount_e8)
        else:
            a.transfers_e8 = plus(a.transfers_e8, amount_e8)
            a.wallet_e8 = plus(a.wallet_e8, amount_e8)
            self.set_collateral()

    cdef void book_margin(self, int symbol, int leg, int64_t amount_e8) noexcept nogil:
        # From cross into the isolated wallet of a leg; a cross leg has none.
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        if self.margins[symbol].isolated:
            p.isolated_e8 = plus(p.isolated_e8, amount_e8)
            self.isolated_total_e8 = plus(self.isolated_total_e8, amount_e8)

    cdef void set_index(self, int asset, int64_t price_e8) noexcept nogil:
        if 0 < asset < ASSETS and price_e8 > 0:
            self.assets[asset].price_e8 = price_e8
            self.set_collateral()

    cdef void set_collateral(self) noexcept nogil:
        # What is owed counts whole, what is owned with a haircut.
        cdef const asset_t* a
        cdef int64_t value
        cdef int k
        self.collateral_e8 = 0
        for k in range(1, ASSETS if self.multi_assets else 0):
            a = &self.assets[k]
            value = mul_div(a.wallet_e8, a.price_e8, E8)
            self.collateral_e8 = plus(self.collateral_e8, part_e8(value, a.ratio_e8) if value > 0 else value)

    cdef int setting_refusal(self, int symbol, int setting, int64_t value) noexcept nogil:
        # The exchange's code for a setting that it would not take; 0 for one that it takes.
        if setting == Setting.LEVERAGE:
            return self.leverage_refusal(symbol, value)
        if not 0 <= value <= 1:
            return BAD_PARAMETER
        if setting == Setting.ISOLATED:
            return self.isolated_refusal(symbol, value)
        if setting == Setting.HEDGE_MODE:
            return self.hedge_refusal(value)
        if setting == Setting.MULTI_ASSETS:
            return self.multi_assets_refusal(value)
        return 0 if setting == Setting.FEE_COIN else BAD_PARAMETER

    cdef int leverage_refusal(self, int symbol, int64_t leverage) noexcept nogil:
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t longs, shorts = 0, needed
        if not 1 <= leverage <= i.brackets[0].max_leverage:
            return BAD_LEVERAGE
        if leverage < m.leverage and m.isolated and self.holds(symbol):
            return ISOLATED_LEVERAGE_DOWN
        longs = self.exposure_e8(symbol, 0, 0, 0, &shorts)
        if plus(longs, shorts) > max_notional_of(i, leverage):
            return ABOVE_MAX_POSITION
        needed = plus(initial_of(longs, leverage), initial_of(shorts, leverage))
        if needed - m.initial_e8 - m.orders_e8 > max(0, self.available_e8()):
            return LEVERAGE_TOO_SMALL
        return 0

    cdef int isolated_refusal(self, int symbol, int64_t value) noexcept nogil:
        if self.margins[symbol].isolated == value:
            return NO_CHANGE_MARGIN_TYPE
        if self.multi_assets:
            return ISOLATED_WITH_MULTI_ASSETS
        if self.margins[symbol].open_orders:
            return MARGIN_TYPE_ORDERS
        return MARGIN_TYPE_POSITION if self.holds(symbol) else 0

    cdef int hedge_refusal(self, int64_t value) noexcept nogil:
        cdef int k
        if self.hedge == value:
            return NO_CHANGE_POSITION_SIDE
        if self.any_orders():
            return POSITION_SIDE_ORDERS
        for k in range(self.instruments.size):
            if self.holds(k):
                return POSITION_SIDE_POSITION
        return 0

    cdef int multi_assets_refusal(self, int64_t value) noexcept nogil:
        # Without the other coins' collateral the rest must still carry the positions.
        cdef int k
        if self.multi_assets == value:
            return NO_CHANGE_ASSET_MODE
        for k in range(self.instruments.size):
            if self.margins[k].isolated:
                return MULTI_ASSETS_WITH_ISOLATED
        if self.any_orders():
            return MULTI_ASSETS_ORDERS
        for k in range(ASSETS):
            if (self.assets[k].wallet_e8 if k else self.wallet_e8) < 0:
                return MULTI_ASSETS_NEGATIVE
        return MULTI_ASSETS_BALANCE if plus(self.available_e8(), -self.collateral_e8) < 0 else 0

    cdef int margin_refusal(self, int symbol, int leg, int64_t amount_e8) noexcept nogil:
        # The exchange's code for moving margin into an isolated leg (negative: out of it), 0 when it may: what is left
        # must be the leg's initial margin at least, and out of its wallet, not of its profit.
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        if amount_e8 == 0:
            return AMOUNT_NOT_POSITIVE
        if not self.margins[symbol].isolated:
            return MARGIN_OF_CROSS
        if p.lots == 0:
            return MARGIN_OF_NOTHING
        if amount_e8 > 0:
            return CROSS_BALANCE if amount_e8 > self.available_e8() else 0
        if plus(p.isolated_e8, amount_e8) < 0 or plus(self.leg_equity_e8(symbol, leg), amount_e8) \
                < initial_of(p.value_e8, self.margins[symbol].leverage):
            return ISOLATED_BALANCE
        return 0

    cdef bint holds(self, int symbol) noexcept nogil:
        return self.positions[symbol].lots != 0 or self.positions[symbol + ACCOUNT_SYMBOLS].lots != 0

    cdef bint any_orders(self) noexcept nogil:
        cdef int k
        for k in range(self.instruments.size):
            if self.margins[k].open_orders:
                return True
        return False

    cdef void apply_setting(self, int symbol, int setting, int64_t value) noexcept nogil:
        # What the venue has taken; the caller has asked `setting_refusal`, or the venue's own event says so, and then
        # it may say it of a symbol that is not flat.
        cdef int k
        if setting == Setting.LEVERAGE:
            if 1 <= value <= MOST_LEVERAGE:
                self.margins[symbol].leverage = value
                self.margin(symbol)
        elif not 0 <= value <= 1:
            return
        elif setting == Setting.ISOLATED:
            self.set_margin_type(symbol, value)
        elif setting == Setting.HEDGE_MODE:
            self.hedge = value
            for k in range(self.instruments.size):
                self.margin(k)
        elif setting == Setting.MULTI_ASSETS:
            self.multi_assets = value
            self.set_collateral()
        elif setting == Setting.FEE_COIN:
            self.fee_coin = value

    cdef void set_margin_type(self, int symbol, bint isolated) noexcept nogil:
        # What an isolated leg still had goes back to cross.
        if not isolated:
            self.book_margin(symbol, 0, -self.positions[symbol].isolated_e8)
            self.book_margin(symbol, 1, -self.positions[symbol + ACCOUNT_SYMBOLS].isolated_e8)
        self.margins[symbol].isolated = isolated
        self.set_isolated(symbol)

    # ------------------------------------------------------------------ liquidation

    cdef int64_t liquidation_price(self, int symbol, int leg, int64_t lots, int64_t cost_e8,
                                   int64_t wallet_e8) noexcept nogil:
        # The mark at which a leg of `lots` that cost `cost_e8` meets its maintenance margin, 0 when there is none;
        # the wallet is the leg's own when isolated, else the whole one, and everything else stays as it is.
        cdef const position_t* p = &self.positions[symbol]
        cdef const position_t* q = &self.positions[symbol + ACCOUNT_SYMBOLS]
        cdef const position_t* other = p if leg else q
        cdef int64_t longs = lots if lots > 0 else 0, shorts = -lots if lots < 0 else 0, room
        if self.margins[symbol].isolated:
            return liquidation_of(&self.instruments.data[symbol], wallet_e8, longs, shorts, cost_e8)
        room = plus(plus(wallet_e8, self.collateral_e8), -self.isolated_total_e8)
        room = plus(room, plus(self.unrealised_e8, -self.isolated_unrealised_e8))
        room = plus(room, -plus(plus(p.value_e8, -p.cost_e8), plus(q.value_e8, -q.cost_e8)))
        room = plus(room, -(self.cross_maintenance_e8() - p.maintenance_e8 - q.maintenance_e8))
        if other.lots > 0:
            longs = plus(longs, other.lots)
        else:
            shorts = plus(shorts, -other.lots)
        return liquidation_of(&self.instruments.data[symbol], room, longs, shorts, plus(cost_e8, other.cost_e8))

    cdef int64_t bankruptcy_price(self, int symbol, int leg) noexcept nogil:
        # Where nothing is left of what stands behind the leg: its own wallet, or all cross margin with everything
        # else at its mark. Never below one unit; 0 without a position.
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t behind = self.leg_equity_e8(symbol, leg) if self.margins[symbol].isolated \
            else self.cross_equity_e8()
        cdef int sign = 0
        if p.lots == 0:
            return 0
        return max(1, liquidation_at(plus(behind, -p.value_e8), self.instruments.data[symbol].lot_e8,
                                     p.lots if p.lots > 0 else 0, -p.lots if p.lots < 0 else 0, 0, 0, &sign))

    cdef int64_t liquidation_now(self, int symbol, int leg) noexcept nogil:
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        return self.liquidation_price(symbol, leg, p.lots, p.cost_e8,
                                      p.isolated_e8 if self.margins[symbol].isolated else self.wallet_e8)

    # ------------------------------------------------------------------ another portfolio in the same account

    cdef void clear(self, int64_t wallet_e8) noexcept nogil:
        cdef int k
        self.unrealised_e8 = self.net_e8 = self.cost_e8 = self.gross_e8 = 0
        self.maintenance_total_e8 = self.initial_total_e8 = self.orders_total_e8 = 0
        self.isolated_total_e8 = self.isolated_unrealised_e8 = 0
        self.isolated_maintenance_e8 = self.isolated_initial_e8 = 0
        for k in range(self.instruments.size):
            memset(&self.positions[k], 0, sizeof(position_t))
            memset(&self.positions[k + ACCOUNT_SYMBOLS], 0, sizeof(position_t))
            memset(&self.margins[k], 0, sizeof(margin_t))
        self.wallet_e8 = wallet_e8

    cdef void place(self, int symbol, int64_t mark_e8, int64_t leverage, bint isolated) noexcept nogil:
        self.margins[symbol].mark_e8 = mark_e8
        self.margins[symbol].leverage = leverage
        self.margins[symbol].isolated = isolated

    cdef void hold(self, int symbol, int leg, int64_t lots, int64_t cost_e8, int64_t isolated_e8) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.lots = lots
        p.cost_e8 = cost_e8
        self.cost_e8 = plus(self.cost_e8, cost_e8)
        self.book_margin(symbol, leg, isolated_e8)

    cdef void adopt(self, int symbol, int leg, int64_t lots, int64_t cost_e8, int64_t isolated_e8) noexcept nogil:
        # What the venue says that a leg holds replaces what was believed. No profit is booked: what it made or lost is
        # in the wallet, which the venue tells as well.
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        self.cost_e8 = plus(self.cost_e8, plus(cost_e8, -p.cost_e8))
        p.lots = lots
        p.cost_e8 = cost_e8
        self.book_margin(symbol, leg, plus(isolated_e8, -p.isolated_e8))
        self.revalue(symbol)

    cdef void adopt_wallet(self, int asset, int64_t amount_e8) noexcept nogil:
        # What the venue says that a wallet holds; the difference came or went in a way that nobody has told us.
        if 0 <= asset < ASSETS:
            self.book_transfer(asset, plus(amount_e8, -self.wallet_of(asset)))

    cdef int64_t wallet_of(self, int asset) noexcept nogil:
        if not 0 <= asset < ASSETS:
            return 0
        return self.wallet_e8 if asset == Asset.USDT else self.assets[asset].wallet_e8

    # ------------------------------------------------------------------ audit

    cdef totals_t running(self) noexcept nogil:
        cdef totals_t t
        t.wallet_e8 = self.wallet_e8
        t.realised_e8 = self.realised_e8
        t.fees_e8 = self.fees_e8
        t.funding_e8 = self.funding_e8
        t.unrealised_e8 = self.unrealised_e8
        t.cost_e8 = self.cost_e8
        t.maintenance_total_e8 = self.maintenance_total_e8
        t.initial_total_e8 = self.initial_total_e8
        t.orders_total_e8 = self.orders_total_e8
        t.gross_e8 = self.gross_e8
        t.net_e8 = self.net_e8
        t.collateral_e8 = self.collateral_e8
        t.isolated_total_e8 = self.isolated_total_e8
        t.isolated_unrealised_e8 = self.isolated_unrealised_e8
        t.isolated_maintenance_e8 = self.isolated_maintenance_e8
        t.isolated_initial_e8 = self.isolated_initial_e8
        return t

    cdef totals_t rebuilt(self) noexcept nogil:
        # The totals from what was booked on the legs and coins, and from the marks, by no difference of anything.
        cdef totals_t t
        cdef const position_t* p
        cdef const margin_t* m
        cdef const asset_t* coin
        cdef int64_t value, maintenance, initial, of_symbol
        cdef int k, leg
        memset(&t, 0, sizeof(t))
        for k in range(self.instruments.size):
            m = &self.margins[k]
            of_symbol = 0
            for leg in range(2):
                p = &self.positions[k + leg * ACCOUNT_SYMBOLS]
                value = value_e8(&self.instruments.data[k], m.mark_e8, p.lots)
                maintenance = maintenance_of(&self.instruments.data[k], magnitude(value))
                initial = initial_of(value, m.leverage)
                of_symbol = plus(of_symbol, initial)
                t.realised_e8 = plus(t.realised_e8, p.realised_e8)
                t.fees_e8 = plus(t.fees_e8, p.fees_e8)
                t.funding_e8 = plus(t.funding_e8, p.funding_e8)
                t.cost_e8 = plus(t.cost_e8, p.cost_e8)
                t.gross_e8 = plus(t.gross_e8, magnitude(value))
                t.net_e8 = plus(t.net_e8, value)
                t.maintenance_total_e8 = plus(t.maintenance_total_e8, maintenance)
                t.isolated_total_e8 = plus(t.isolated_total_e8, p.isolated_e8)
                if m.isolated:
                    t.isolated_unrealised_e8 = plus(t.isolated_unrealised_e8, plus(value, -p.cost_e8))
                    t.isolated_maintenance_e8 = plus(t.isolated_maintenance_e8, maintenance)
                    t.isolated_initial_e8 = plus(t.isolated_initial_e8, initial)
            t.initial_total_e8 = plus(t.initial_total_e8, of_symbol)
            t.orders_total_e8 = plus(t.orders_total_e8, max(0, self.needed_e8(k, 0, 0, 0) - of_symbol))
        t.unrealised_e8 = plus(t.net_e8, -t.cost_e8)
        t.wallet_e8 = plus(plus(plus(plus(self.start_e8, self.transfers_e8), t.realised_e8), t.funding_e8), -t.fees_e8)
        for k in range(1, ASSETS if self.multi_assets else 0):
            coin = &self.assets[k]
            value = mul_div(plus(coin.transfers_e8, -coin.fees_e8), coin.price_e8, E8)
            t.collateral_e8 = plus(t.collateral_e8, part_e8(value, coin.ratio_e8) if value > 0 else value)
        return t

    cdef bint legs_agree(self, int symbol) noexcept nogil:
        # Whether a symbol's own terms are what its lots, cost, mark and leverage say.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef const margin_t* m = &self.margins[symbol]
        cdef const position_t* p
        cdef int64_t initial = 0
        cdef int leg
        for leg in range(2):
            p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
            if p.value_e8 != value_e8(i, m.mark_e8, p.lots) or p.maintenance_e8 != maintenance_of(
                    i, magnitude(p.value_e8)) or (p.lots == 0 and p.cost_e8) or (p.isolated_e8 and not m.isolated):
                return False
            initial = plus(initial, initial_of(p.value_e8, m.leverage))
        return m.initial_e8 == initial and m.orders_e8 == max(0, self.needed_e8(symbol, 0, 0, 0) - initial)

    cdef bint audit(self) noexcept nogil:
        # Whether everything that is kept running is what it would be if it were worked out anew.
        cdef totals_t running = self.running(), rebuilt = self.rebuilt()
        cdef int k
        for k in range(self.instruments.size):
            if not self.legs_agree(k):
                return False
        for k in range(1, ASSETS):
            if self.assets[k].wallet_e8 != plus(self.assets[k].transfers_e8, -self.assets[k].fees_e8):
                return False
        return memcmp(&running, &rebuilt, sizeof(totals_t)) == 0

    # ------------------------------------------------------------------ Python face

    def fill(self, int symbol, int64_t lots, int64_t price_ticks, int64_t fee_e8, int leg=0, bint in_coin=False):
        """Book a fill (lots: buy positive); return the realised profit in 1e-8 USDT, gross of the fee.

        Parameters
        ----------
        symbol, lots, price_ticks, fee_e8 : int
        leg : int, optional
            1 for the short leg of hedge mode.
        in_coin : bool, optional
            Whether the fee is an amount of the fee coin.

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        self.check(symbol, leg)
        refuse_outside("lots of a fill", lots, -MAX_STEPS, MAX_STEPS)
        refuse_outside("price of a fill", price_ticks, 0, MAX_STEPS)
        refuse_outside("fee of a fill", fee_e8, -MOST_E8, MOST_E8)
        return self.book_fill(symbol, leg, lots, price_ticks, fee_e8, in_coin)

    def mark(self, int symbol, int64_t mark_e8):
        """Set a symbol's mark price (1e-8 USDT)."""
        self.check(symbol)
        refuse_outside("mark price", mark_e8, 1, MOST_E8)
        self.set_mark(symbol, mark_e8)

    def take_over(self, int symbol, int64_t price_e8, int64_t fee_e8, int leg=0, int64_t lots=0):
        """Close lots of a leg (0: all) at a price that may be on no tick; return the realised profit."""
        self.check(symbol, leg)
        held = self.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        refuse_outside("lots taken over", lots, min(0, held), max(0, held))
        refuse_outside("price of a takeover", price_e8, 1, MOST_E8)
        refuse_outside("liquidation fee", fee_e8, 0, MOST_E8)
        return self.close_at(symbol, leg, lots or held, price_e8, fee_e8)

    def funding_amount(self, int symbol, int64_t rate_e8, int64_t mark_e8, int leg=0):
        """Return what a leg would receive at a funding stamp, 1e-8 USDT."""
        self.check(symbol, leg)
        refuse_outside("funding rate", rate_e8, -E8, E8)
        refuse_outside("mark price", mark_e8, 1, MOST_E8)
        return self.funding_due(symbol, leg, rate_e8, mark_e8)

    def pay_funding(self, int symbol, int64_t amount_e8, int leg=0):
        """Book a funding payment (received positive)."""
        self.check(symbol, leg)
        refuse_outside("funding payment", amount_e8, -MOST_E8, MOST_E8)
        self.book_funding(symbol, leg, amount_e8)

    def transfer(self, int64_t amount_e8, int asset=0):
        """Move an asset (``types.Asset``) from the spot wallet into this one (negative: back)."""
        if not 0 <= asset < ASSETS:
            raise IndexError(asset)
        refuse_outside("transfer", amount_e8, -MOST_E8, MOST_E8)
        self.book_transfer(asset, amount_e8)

    def move_margin(self, int symbol, int64_t amount_e8, int leg=0):
        """Move USDT from cross into an isolated leg (negative: back); return 0, or the exchange's code."""
        self.check(symbol, leg)
        refuse_outside("moved margin", amount_e8, -MOST_E8, MOST_E8)
        code = self.margin_refusal(symbol, leg, amount_e8)
        if code == 0:
            self.book_margin(symbol, leg, amount_e8)
        return code

    def index(self, int asset, int64_t price_e8):
        """Set what a margin coin is worth, 1e-8 USDT."""
        self.check_coin(asset)
        refuse_outside("index price", price_e8, 1, MOST_E8)
        self.set_index(asset, price_e8)

    def haircut(self, int asset, int64_t ratio_e8):
        """Set the share of a margin coin's value that counts as collateral, 1e-8."""
        self.check_coin(asset)
        refuse_outside("collateral ratio", ratio_e8, 0, E8)
        self.assets[asset].ratio_e8 = ratio_e8
        self.set_collateral()

    def coin_fee(self, int64_t fee_e8):
        """Return what a USDT fee is in the fee coin, discount included; 0 when it is paid in USDT."""
        return self.fee_in_coin(fee_e8)

    def set(self, int symbol, int setting, int64_t value):
        """Change a setting (``types.Setting``); return 0, or the exchange's code for refusing it."""
        self.check(symbol)
        code = self.setting_refusal(symbol, setting, value)
        if code == 0:
            self.apply_setting(symbol, setting, value)
        return code

    def told(self, int symbol, int setting, int64_t value):
        """Take over a setting that the venue reports, whatever stands; one that makes no sense is ignored."""
        self.check(symbol)
        self.apply_setting(symbol, setting, value)

    def open(self, int symbol, int side, int64_t amount_e8, int orders=1, int leg=0):
        """Count an open order of this notional (negative, with orders -1: it is gone)."""
        self.check(symbol, leg)
        refuse_outside("notional of an order", amount_e8, -MOST_E8, MOST_E8)
        self.open_order(symbol, leg, side & 1, amount_e8, orders)

    def order_cost(self, int symbol, int side, int64_t price_e8, int64_t lots, int leg=0):
        """Return what one more order would take from the available balance, 1e-8 USDT."""
        self.check(symbol, leg)
        refuse_outside("lots of an order", lots, 0, MAX_STEPS)
        refuse_outside("price of an order", price_e8, 1, MOST_E8)
        return self.order_cost_e8(symbol, leg, side & 1, price_e8, lots)

    def spot_deposit(self, int64_t amount_e8, int symbol=ACCOUNT_SYMBOLS):
        """Add to a spot wallet: a symbol's base coin, or USDT when no symbol is given."""
        if not 0 <= symbol <= ACCOUNT_SYMBOLS:
            raise IndexError(symbol)
        refuse_outside("deposit", amount_e8, -MOST_E8, MOST_E8)
        self.spot_e8[symbol] = plus(self.spot_e8[symbol], amount_e8)

    def spot(self, int symbol=ACCOUNT_SYMBOLS):
        """Return a spot wallet's balance, eight decimals."""
        if not 0 <= symbol <= ACCOUNT_SYMBOLS:
            raise IndexError(symbol)
        return self.spot_e8[symbol]

    def position(self, int symbol, int leg=0):
        """Return a leg's fields, and its symbol's mark."""
        self.check(symbol, leg)
        fields = dict(self.positions[symbol + leg * ACCOUNT_SYMBOLS])
        fields["mark_e8"] = self.margins[symbol].mark_e8
        return fields

    def margins_of(self, int symbol):
        """Return a symbol's leverage, margin type, open orders and initial margin."""
        self.check(symbol)
        return dict(self.margins[symbol])

    def asset(self, int asset):
        """Return a margin coin's wallet, transfers, fees, price and collateral ratio, and its spot balance."""
        self.check_coin(asset)
        fields = dict(self.assets[asset])
        fields["spot"] = self.spot_e8[self.assets[asset].spot]
        return fields

    def liquidation(self, int symbol, int leg=0):
        """Return the liquidation price of the leg as it stands, 1e-8 USDT, 0 for none."""
        self.check(symbol, leg)
        return self.liquidation_now(symbol, leg)

    def bankruptcy(self, int symbol, int leg=0):
        """Return the price at which nothing is left behind the leg, 1e-8 USDT, 0 without a position."""
        self.check(symbol, leg)
        return self.bankruptcy_price(symbol, leg)

    def equity(self):
        """Return the margin balance: wallet, unrealised profit, and collateral in multi-assets mode, 1e-8 USDT."""
        return self.equity_e8()

    def cross_equity(self):
        """Return the margin balance that the cross positions share, 1e-8 USDT."""
        return self.cross_equity_e8()

    def cross_maintenance(self):
        """Return the maintenance margin of the cross positions, 1e-8 USDT."""
        return self.cross_maintenance_e8()

    def margin_ratio(self):
        """Return the largest maintenance margin over margin balance of what is liquidated together, 1e-8."""
        return self.margin_ratio_e8()

    def available(self):
        """Return what new orders and withdrawals may use, 1e-8 USDT."""
        return max(0, self.available_e8())

    def reconcile(self):
        """Return the difference that the accounts leave unexplained; 0 always."""
        return (<object> self.start_e8 + self.realised_e8 + self.unrealised_e8 + self.funding_e8 - self.fees_e8
                + self.transfers_e8 + self.collateral_e8 - self.equity_e8())

    def recompute(self):
        """Return the names of the running figures that differ from the ones worked out anew; none is right."""
        running, rebuilt = dict(self.running()), dict(self.rebuilt())
        return [name for name in running if running[name] != rebuilt[name]] + [
            self.instruments.names[k] for k in range(self.instruments.size) if not self.legs_agree(k)
        ] + [
            coin.name for coin in AssetFace
            if coin and self.assets[<int> coin].wallet_e8 != plus(self.assets[<int> coin].transfers_e8,
                                                                  -self.assets[<int> coin].fees_e8)
        ]

    def state(self):
        """Return everything that the account remembers, as plain values."""
        symbols = range(self.instruments.size)
        return (
            (self.hedge, self.multi_assets, self.fee_coin),
            (self.start_e8, self.transfers_e8, self.liquidation_fees_e8, self.turnover_e8),
            dict(self.running()),
            [dict(self.positions[k + leg * ACCOUNT_SYMBOLS]) for leg in range(2) for k in symbols],
            [dict(self.margins[k]) for k in symbols],
            [dict(self.assets[k]) for k in range(ASSETS)],
            [self.spot_e8[k] for k in (*symbols, *range(ACCOUNT_SYMBOLS, SPOTS))],
        )

    def check(self, int symbol, int leg=0):
        """Raise IndexError for a symbol or leg that the account does not have."""
        if not 0 <= symbol < self.instruments.size or not 0 <= leg <= 1:
            raise IndexError(symbol)

    def check_coin(self, int asset):
        """Raise IndexError for what is no margin coin besides USDT."""
        if not 0 < asset < ASSETS:
            raise IndexError(asset)


def maintenance_margin(Instruments instruments not None, int symbol, int64_t amount_e8):
    """Return the maintenance margin of a notional, 1e-8 USDT (notional * rate - maintenance amount)."""
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    refuse_outside("notional", amount_e8, 0, INT64_MAX)
    return maintenance_of(&instruments.data[symbol], amount_e8)


def max_notional(Instruments instruments not None, int symbol, int64_t leverage):
    """Return the largest notional that a leverage may carry, 1e-8 USDT; 0 for one that no bracket allows."""
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    return max_notional_of(&instruments.data[symbol], leverage) if leverage > 0 else 0


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

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    Binance's published formula, solved for the brackets of the notional at the liquidation price. A hedged net long
    can be liquidated on both sides; the answer is the lower price.
    """
    if not 0 <= symbol < instruments.size:
        raise IndexError(symbol)
    refuse_outside("long lots", longs, 0, MAX_STEPS)
    refuse_outside("short lots", shorts, 0, MAX_STEPS)
    for what, amount in (("cost", cost_e8), ("wallet", wallet_e8), ("unrealised profit", other_unrealised_e8),
                         ("maintenance margin", other_maintenance_e8)):
        refuse_outside(what, amount, -MOST_E8, MOST_E8)
    return liquidation_of(&instruments.data[symbol], plus(plus(wallet_e8, other_unrealised_e8), -other_maintenance_e8),
                          longs, shorts, cost_e8)


def margin_table(Instruments instruments not None, lots, cost_e8, mark_e8, wallet_e8, leverage, isolated=None,
                 isolated_e8=None):
    """Return what each of N portfolios needs and where each of its legs is liquidated, as arrays.

    Parameters
    ----------
    instruments : Instruments
        The S symbols.
    lots, cost_e8 : array_like of int, shape (N, S, 2)
        Of each leg, signed; the second is the short leg of hedge mode and all zero in one-way mode.
    mark_e8 : array_like of int, shape (N, S)
        Mark prices; 0 where there is neither a mark nor a position.
    wallet_e8 : array_like of int, shape (N,)
        Wallets, with what isolated legs have been given.
    leverage : array_like of int, shape (N, S)
    isolated : array_like of bool, shape (N, S), optional
        Which symbols are in isolated margin; none when it is not given.
    isolated_e8 : array_like of int, shape (N, S, 2), optional
        Wallets of the isolated legs.

    Returns
    -------
    dict of ndarray
        ``equity_e8``, ``initial_e8``, ``maintenance_e8`` and ``ratio_e8`` of shape (N,), the ratio the largest of what
        is liquidated together (INT64_MAX where nothing is left); ``liquidation_e8`` of shape (N, S, 2), 0 for none.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is out of range.

    Notes
    -----
    Each portfolio is an account like any other: the figures come out of the very functions that the engine uses.
    """
    shape = np.shape(lots)
    if len(shape) != 3 or shape[1:] != (instruments.size, 2):
        raise ValueError(f"lots of shape {shape}, not (portfolios, {instruments.size}, 2)")
    cdef int64_t[:, :, ::1] held = column("lots", lots, shape, -MAX_STEPS, MAX_STEPS)
    cdef int64_t[:, :, ::1] cost = column("cost", cost_e8, shape, -MOST_E8, MOST_E8)
    cdef int64_t[:, ::1] marks = column("mark", mark_e8, shape[:2], 0, MOST_E8)
    cdef int64_t[::1] wallet = column("wallet", wallet_e8, shape[:1], -MOST_E8, MOST_E8)
    cdef int64_t[:, ::1] times = column("leverage", leverage, shape[:2], 1, MOST_LEVERAGE)
    cdef int64_t[:, ::1] apart = column("isolated", 0 if isolated is None else isolated, shape[:2], 0, 1)
    cdef int64_t[:, :, ::1] given = column("isolated wallet", 0 if isolated_e8 is None else isolated_e8, shape,
                                           -MOST_E8, MOST_E8)
    found = {name: np.zeros(shape[:1], np.int64) for name in ("equity_e8", "initial_e8", "maintenance_e8", "ratio_e8")}
    found["liquidation_e8"] = np.zeros(shape, np.int64)
    cdef int64_t[::1] equity = found["equity_e8"], initial = found["initial_e8"]
    cdef int64_t[::1] maintenance = found["maintenance_e8"], ratio = found["ratio_e8"]
    cdef int64_t[:, :, ::1] liquidation = found["liquidation_e8"]
    cdef Account account = Account(instruments, 0)
    cdef Py_ssize_t n
    cdef int k, leg
    for n in range(shape[0]):
        account.clear(wallet[n])
        for k in range(instruments.size):
            account.place(k, marks[n, k], times[n, k], apart[n, k])
            if marks[n, k] == 0 and (held[n, k, 0] or held[n, k, 1]):
                raise ValueError("mark out of range: a position without one")
            for leg in range(2):
                account.hold(k, leg, held[n, k, leg], cost[n, k, leg], given[n, k, leg])
            account.revalue(k)
        equity[n] = account.equity_e8()
        initial[n] = account.initial_total_e8
        maintenance[n] = account.maintenance_total_e8
        ratio[n] = account.margin_ratio_e8()
        for k in range(instruments.size):
            for leg in range(2):
                if held[n, k, leg]:
                    liquidation[n, k, leg] = account.liquidation_now(k, leg)
    return found


cdef object column(str what, values, tuple shape, least, most):
    # Values as whole numbers of this shape, one for all repeated.
    array = np.ascontiguousarray(np.broadcast_to(np.asarray(values), shape))
    if array.dtype.kind not in "biu":
        raise ValueError(f"{what}: whole numbers are needed, not {array.dtype}")
    if array.size and not (least <= array.min() and array.max() <= most):
        raise ValueError(f"{what} out of range: not between {least} and {most}")
    return array.astype(np.int64)
