"""The account: bookings, running totals, margin and liquidation price."""
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.fixed cimport E8, funding_of_e8, liquidation_at, magnitude, mul_div, notional_e8, part_e8, value_e8
from core_ext.types cimport Asset, Instruments, Setting, Side, bracket_t, instrument_t

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
            self.margins[k].leverage = instruments.data[k].leverage
        for k in range(ASSETS):
            self.assets[k].ratio_e8 = COLLATERAL[k]

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
            value -= closed_value
        if lots:
            self.open_part(symbol, leg, lots, value)
        return realised

    cdef int64_t close_part(self, int symbol, int leg, int64_t lots, int64_t value) noexcept nogil:
        # Profit goes to the isolated wallet first; then the closed share of what was in it goes back to cross.
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t closing = magnitude(lots), held = magnitude(p.lots)
        cdef int64_t removed = p.cost_e8 if closing == held else mul_div(p.cost_e8, closing, held)
        cdef int64_t realised = -value - removed
        cdef int64_t kept
        if self.margins[symbol].isolated:
            kept = 0 if closing == held else p.isolated_e8 - mul_div(p.isolated_e8, closing, held) + realised
            self.isolated_total_e8 += kept - p.isolated_e8
            p.isolated_e8 = kept
        p.cost_e8 -= removed
        self.cost_e8 -= removed
        p.lots += lots
        p.realised_e8 += realised
        self.realised_e8 += realised
        self.wallet_e8 += realised
        return realised

    cdef void open_part(self, int symbol, int leg, int64_t lots, int64_t value) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.lots += lots
        p.cost_e8 += value
        self.cost_e8 += value
        if self.margins[symbol].isolated:
            self.book_margin(symbol, leg, magnitude(value) // self.margins[symbol].leverage)

    cdef void pay(self, int symbol, int leg, int64_t fee_e8) noexcept nogil:
        self.positions[symbol + leg * ACCOUNT_SYMBOLS].fees_e8 += fee_e8
        self.fees_e8 += fee_e8
        self.wallet_e8 -= fee_e8

    cdef int64_t book_fill(self, int symbol, int leg, int64_t lots, int64_t price_ticks, int64_t fee_e8,
                           bint in_coin) noexcept nogil:
        # lots: buy positive; the fee in USDT or in the fee coin. Returns the realised profit, gross of the fee.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = notional_e8(i, price_ticks, lots)
        cdef int64_t realised = self.change(symbol, leg, lots, value)
        if self.margins[symbol].mark_e8 == 0:
            self.margins[symbol].mark_e8 = price_ticks * i.tick_e8
        self.turnover_e8 += magnitude(value)
        if in_coin:
            self.assets[<int> Asset.BNB].wallet_e8 -= fee_e8
            self.assets[<int> Asset.BNB].fees_e8 += fee_e8
            self.set_collateral()
        else:
            self.pay(symbol, leg, fee_e8)
        self.revalue(symbol)
        return realised

    cdef int64_t fee_in_coin(self, int64_t fee_e8) noexcept nogil:
        # A USDT fee in the fee coin; 0 when it is not to be paid in it.
        cdef const asset_t* coin = &self.assets[<int> Asset.BNB]
        cdef int64_t amount
        if not self.fee_coin or coin.price_e8 <= 0:
            return 0
        amount = mul_div(fee_e8, FEE_COIN_SHARE, coin.price_e8)
        return amount if amount <= coin.wallet_e8 else 0

    cdef int64_t close_at(self, int symbol, int leg, int64_t lots, int64_t price_e8, int64_t fee_e8) noexcept nogil:
        # Part of a leg (signed lots of the leg) is taken away at a price that is on no tick: liquidation, ADL.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t realised = self.change(symbol, leg, -lots, value_e8(i, price_e8, -lots))
        self.pay(symbol, leg, fee_e8)
        self.liquidation_fees_e8 += fee_e8
        self.revalue(symbol)
        return realised

    # ------------------------------------------------------------------ value and margin

    cdef void set_mark(self, int symbol, int64_t mark_e8) noexcept nogil:
        cdef margin_t* m = &self.margins[symbol]
        m.mark_e8 = mark_e8
        if self.positions[symbol].lots or self.positions[symbol + ACCOUNT_SYMBOLS].lots:
            self.revalue(symbol)

    cdef void revalue(self, int symbol) noexcept nogil:
        # Replace one symbol's terms in the totals.
        self.revalue_leg(symbol, 0)
        if self.hedge:
            self.revalue_leg(symbol, 1)
        self.unrealised_e8 = self.net_e8 - self.cost_e8
        self.margin(symbol)

    cdef void revalue_leg(self, int symbol, int leg) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t value = value_e8(i, self.margins[symbol].mark_e8, p.lots)
        cdef int64_t maintenance = maintenance_of(i, magnitude(value))
        self.gross_e8 += magnitude(value) - magnitude(p.value_e8)
        self.net_e8 += value - p.value_e8
        self.maintenance_total_e8 += maintenance - p.maintenance_e8
        p.value_e8 = value
        p.maintenance_e8 = maintenance

    cdef void margin(self, int symbol) noexcept nogil:
        # What the symbol's legs and open orders need, at the leverage and the mark of now.
        cdef margin_t* m = &self.margins[symbol]
        cdef const position_t* p = &self.positions[symbol]
        cdef const position_t* q = &self.positions[symbol + ACCOUNT_SYMBOLS]
        cdef int64_t initial = magnitude(p.value_e8) // m.leverage + magnitude(q.value_e8) // m.leverage
        cdef int64_t orders = self.needed_e8(symbol, 0, 0, 0) - initial
        self.initial_total_e8 += initial - m.initial_e8
        self.orders_total_e8 += orders - m.orders_e8
        m.initial_e8 = initial
        m.orders_e8 = orders
        if m.isolated:
            self.set_isolated(symbol)

    cdef void set_isolated(self, int symbol) noexcept nogil:
        # The isolated legs' share of the totals. A symbol is isolated or it is not: a change needs it flat.
        cdef margin_t* m = &self.margins[symbol]
        cdef const position_t* p = &self.positions[symbol]
        cdef const position_t* q = &self.positions[symbol + ACCOUNT_SYMBOLS]
        cdef int64_t unrealised = p.value_e8 - p.cost_e8 + q.value_e8 - q.cost_e8
        cdef int64_t maintenance = p.maintenance_e8 + q.maintenance_e8
        self.isolated_unrealised_e8 += unrealised - m.counted_unrealised_e8
        self.isolated_maintenance_e8 += maintenance - m.counted_maintenance_e8
        self.isolated_initial_e8 += m.initial_e8 - m.counted_initial_e8
        m.counted_unrealised_e8 = unrealised
        m.counted_maintenance_e8 = maintenance
        m.counted_initial_e8 = m.initial_e8

    cdef int64_t needed_e8(self, int symbol, int leg, int side, int64_t more_e8) noexcept nogil:
        # Initial margin of the legs together with their open orders, and `more` of them on one side. One-way: the
        # larger of what all buys and all sells can come to; hedge: each leg with the orders that open it.
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t value = self.positions[symbol].value_e8
        cdef int64_t buys = m.open_e8[0][0], sells = m.open_e8[0][1]
        if self.hedge:
            buys += value + (more_e8 if leg == 0 else 0)
            sells = m.open_e8[1][1] + magnitude(self.positions[symbol + ACCOUNT_SYMBOLS].value_e8) \
                + (more_e8 if leg == 1 else 0)
            return buys // m.leverage + sells // m.leverage
        if side == Side.BUY:
            buys += more_e8
        else:
            sells += more_e8
        return max(magnitude(value + buys), magnitude(value - sells)) // m.leverage

    cdef void open_order(self, int symbol, int leg, int side, int64_t value, int orders) noexcept nogil:
        # Open orders changed by this notional (0 for one that can only close) and count.
        cdef margin_t* m = &self.margins[symbol]
        m.open_orders += orders
        if value:
            m.open_e8[leg][side] += value
            self.margin(symbol)

    cdef int64_t order_cost_e8(self, int symbol, int leg, int side, int64_t price_e8, int64_t lots) noexcept nogil:
        # What one more order takes from the available balance: margin, its loss against the mark, its taker fee.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t value = value_e8(i, price_e8, lots)
        cdef int64_t worse = price_e8 - m.mark_e8 if side == Side.BUY else m.mark_e8 - price_e8
        return (self.needed_e8(symbol, leg, side, value) - m.initial_e8 - m.orders_e8 + part_e8(value, i.taker_fee_e8)
                + (value_e8(i, worse, lots) if worse > 0 and m.mark_e8 > 0 else 0))

    # ------------------------------------------------------------------ funding, transfers, settings

    cdef int64_t funding_due(self, int symbol, int leg, int64_t rate_e8, int64_t mark_e8) noexcept nogil:
        # What the leg receives at a funding stamp: longs pay a positive rate.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        return -funding_of_e8(mark_e8, self.positions[symbol + leg * ACCOUNT_SYMBOLS].lots, i.lot_e8, rate_e8)

    cdef void book_funding(self, int symbol, int leg, int64_t amount_e8) noexcept nogil:
        cdef position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        p.funding_e8 += amount_e8
        self.funding_e8 += amount_e8
        self.wallet_e8 += amount_e8
        if self.margins[symbol].isolated and p.lots:
            self.book_margin(symbol, leg, amount_e8)

    cdef void book_transfer(self, int asset, int64_t amount_e8) noexcept nogil:
        # Between the spot wallet and this one; what leaves one arrives in the other.
        if asset == Asset.USDT:
            self.transfers_e8 += amount_e8
            self.wallet_e8 += amount_e8
            self.spot_e8[ACCOUNT_SYMBOLS] -= amount_e8
        else:
            self.assets[asset].transfers_e8 += amount_e8
            self.assets[asset].wallet_e8 += amount_e8
            self.set_collateral()

    cdef void book_margin(self, int symbol, int leg, int64_t amount_e8) noexcept nogil:
        # From cross into the isolated wallet of a leg.
        self.positions[symbol + leg * ACCOUNT_SYMBOLS].isolated_e8 += amount_e8
        self.isolated_total_e8 += amount_e8

    cdef void set_index(self, int asset, int64_t price_e8) noexcept nogil:
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
            self.collateral_e8 += part_e8(value, a.ratio_e8) if value > 0 else value

    cdef int setting_refusal(self, int symbol, int setting, int64_t value) noexcept nogil:
        # The exchange's code for a setting that it would not take; 0 for one that it takes.
        if setting == Setting.LEVERAGE:
            return self.leverage_refusal(symbol, value)
        if not 0 <= value <= 1:
            return BAD_PARAMETER
        if setting == Setting.ISOLATED:
            if self.margins[symbol].isolated == value:
                return NO_CHANGE_MARGIN_TYPE
            if self.multi_assets:
                return ISOLATED_WITH_MULTI_ASSETS
            if self.margins[symbol].open_orders:
                return MARGIN_TYPE_ORDERS
            return MARGIN_TYPE_POSITION if self.holds(symbol) else 0
        if setting == Setting.HEDGE_MODE:
            return self.hedge_refusal(value)
        if setting == Setting.MULTI_ASSETS:
            if self.multi_assets == value:
                return NO_CHANGE_ASSET_MODE
            return MULTI_ASSETS_WITH_ISOLATED if value and self.any_isolated() else 0
        return 0 if setting == Setting.FEE_COIN else BAD_PARAMETER

    cdef int leverage_refusal(self, int symbol, int64_t leverage) noexcept nogil:
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef const margin_t* m = &self.margins[symbol]
        cdef int64_t needed
        if not 1 <= leverage <= i.brackets[0].max_leverage:
            return BAD_LEVERAGE
        if leverage < m.leverage and m.isolated and self.holds(symbol):
            return ISOLATED_LEVERAGE_DOWN
        needed = self.needed_e8(symbol, 0, 0, 0) * m.leverage
        if needed > max_notional_of(i, leverage):
            return ABOVE_MAX_POSITION
        if needed // leverage - m.initial_e8 - m.orders_e8 > max(0, self.available_e8()):
            return LEVERAGE_TOO_SMALL
        return 0

    cdef int hedge_refusal(self, int64_t value) noexcept nogil:
        cdef int k
        if self.hedge == value:
            return NO_CHANGE_POSITION_SIDE
        for k in range(self.instruments.size):
            if self.margins[k].open_orders:
                return POSITION_SIDE_ORDERS
        for k in range(self.instruments.size):
            if self.holds(k):
                return POSITION_SIDE_POSITION
        return 0

    cdef bint holds(self, int symbol) noexcept nogil:
        return self.positions[symbol].lots != 0 or self.positions[symbol + ACCOUNT_SYMBOLS].lots != 0

    cdef bint any_isolated(self) noexcept nogil:
        cdef int k
        for k in range(self.instruments.size):
            if self.margins[k].isolated:
                return True
        return False

    cdef void apply_setting(self, int symbol, int setting, int64_t value) noexcept nogil:
        # What the venue has taken; the caller has asked `setting_refusal`, or the venue's own event says so.
        if setting == Setting.LEVERAGE:
            self.margins[symbol].leverage = value
            self.margin(symbol)
        elif setting == Setting.ISOLATED:
            self.margins[symbol].isolated = value
        elif setting == Setting.HEDGE_MODE:
            self.hedge = value
        elif setting == Setting.MULTI_ASSETS:
            self.multi_assets = value
            self.set_collateral()
        elif setting == Setting.FEE_COIN:
            self.fee_coin = value

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
        room = wallet_e8 + self.collateral_e8 - self.isolated_total_e8
        room += self.unrealised_e8 - self.isolated_unrealised_e8 - (p.value_e8 - p.cost_e8 + q.value_e8 - q.cost_e8)
        room -= self.cross_maintenance_e8() - p.maintenance_e8 - q.maintenance_e8
        if other.lots > 0:
            longs += other.lots
        else:
            shorts -= other.lots
        return liquidation_of(&self.instruments.data[symbol], room, longs, shorts, cost_e8 + other.cost_e8)

    cdef int64_t bankruptcy_price(self, int symbol, int leg) noexcept nogil:
        # Where nothing is left of what stands behind the leg: its own wallet, or all cross margin with everything
        # else at its mark. Never below one unit.
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t behind, move
        if p.lots == 0:
            return 0
        behind = p.isolated_e8 + p.value_e8 - p.cost_e8 if self.margins[symbol].isolated else self.cross_equity_e8()
        move = mul_div(behind, E8, magnitude(p.lots) * self.instruments.data[symbol].lot_e8)
        return max(1, self.margins[symbol].mark_e8 - (move if p.lots > 0 else -move))

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
        """
        self.check(symbol, leg)
        return self.book_fill(symbol, leg, lots, price_ticks, fee_e8, in_coin)

    def mark(self, int symbol, int64_t mark_e8):
        """Set a symbol's mark price (1e-8 USDT)."""
        self.check(symbol)
        self.set_mark(symbol, mark_e8)

    def take_over(self, int symbol, int64_t price_e8, int64_t fee_e8, int leg=0, int64_t lots=0):
        """Close lots of a leg (0: all) at a price that may be on no tick; return the realised profit."""
        self.check(symbol, leg)
        held = self.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        return self.close_at(symbol, leg, lots or held, price_e8, fee_e8)

    def funding_amount(self, int symbol, int64_t rate_e8, int64_t mark_e8, int leg=0):
        """Return what a leg would receive at a funding stamp, 1e-8 USDT."""
        self.check(symbol, leg)
        return self.funding_due(symbol, leg, rate_e8, mark_e8)

    def pay_funding(self, int symbol, int64_t amount_e8, int leg=0):
        """Book a funding payment (received positive)."""
        self.check(symbol, leg)
        self.book_funding(symbol, leg, amount_e8)

    def transfer(self, int64_t amount_e8, int asset=0):
        """Move an asset (``types.Asset``) from the spot wallet into this one (negative: back)."""
        if not 0 <= asset < ASSETS:
            raise IndexError(asset)
        self.book_transfer(asset, amount_e8)

    def move_margin(self, int symbol, int64_t amount_e8, int leg=0):
        """Move USDT from cross into an isolated leg's wallet (negative: back)."""
        self.check(symbol, leg)
        self.book_margin(symbol, leg, amount_e8)

    def index(self, int asset, int64_t price_e8):
        """Set what a margin coin is worth, 1e-8 USDT."""
        if not 0 < asset < ASSETS:
            raise IndexError(asset)
        self.set_index(asset, price_e8)

    def set(self, int symbol, int setting, int64_t value):
        """Change a setting (``types.Setting``); return 0, or the exchange's code for refusing it."""
        self.check(symbol)
        code = self.setting_refusal(symbol, setting, value)
        if code == 0:
            self.apply_setting(symbol, setting, value)
        return code

    def open(self, int symbol, int side, int64_t notional, int orders=1, int leg=0):
        """Count an open order of this notional (negative, with orders -1: it is gone)."""
        self.check(symbol, leg)
        self.open_order(symbol, leg, side & 1, notional, orders)

    def order_cost(self, int symbol, int side, int64_t price_e8, int64_t lots, int leg=0):
        """Return what one more order would take from the available balance, 1e-8 USDT."""
        self.check(symbol, leg)
        return self.order_cost_e8(symbol, leg, side & 1, price_e8, lots)

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
        """Return a margin coin's wallet, transfers, fees, price and collateral ratio."""
        if not 0 < asset < ASSETS:
            raise IndexError(asset)
        return dict(self.assets[asset])

    def liquidation(self, int symbol, int leg=0):
        """Return the liquidation price of the leg as it stands, 1e-8 USDT, 0 for none."""
        self.check(symbol, leg)
        cdef const position_t* p = &self.positions[symbol + leg * ACCOUNT_SYMBOLS]
        return self.liquidation_price(symbol, leg, p.lots, p.cost_e8,
                                      p.isolated_e8 if self.margins[symbol].isolated else self.wallet_e8)

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

    def available(self):
        """Return what new orders and withdrawals may use, 1e-8 USDT."""
        return max(0, self.available_e8())

    def reconcile(self):
        """Return the difference that the accounts leave unexplained; 0 always."""
        return (self.start_e8 + self.realised_e8 + self.unrealised_e8 + self.funding_e8 - self.fees_e8
                + self.transfers_e8 + self.collateral_e8 - self.equity_e8())

    def check(self, int symbol, int leg=0):
        """Raise IndexError for a symbol or leg that the account does not have."""
        if not 0 <= symbol < self.instruments.size or not 0 <= leg <= 1:
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
