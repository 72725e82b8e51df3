"""Pre-trade controls, loss limits, and the only place that fills an ``approved_t``.

The controls keep the numbers of the risk table (R1 to R32) in their reasons. Each is a comparison of
integers; ties follow the table: an order exactly at its limit passes, a loss exactly at its limit trips.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memmove, memset

from core_ext.account cimport ACCOUNT_SYMBOLS, Account, maintenance_of, max_notional_of, position_t
from core_ext.fixed cimport E8, magnitude, mul, mul_div, mul_div_floor, no_more, part_e8, price_e8, value_e8
from core_ext.orders cimport Orders, exposure_t, leaves, order_t
from core_ext.quality cimport Quality
from core_ext.signal cimport (
    Markets, atr, market_t, mid_e8, minute_move, minute_volume_lots, spread_ratio,
)
from core_ext.types cimport (
    Alarm, Command, Instruments, OrderState, OrderType, Reason, Side, Term, TimeInForce, approved_t, instrument_t,
    is_conditional, leg_of,
)
from core_ext.wire cimport Approval

from core_ext.types import Reason as ReasonFace

cdef int64_t SECOND = 1000000000
cdef int64_t MINUTE = 60000000000
cdef int64_t HOUR = 3600000000000
cdef int64_t DAY = 86400000000000
cdef int64_t STALE_MARK_NS = 2000000000
cdef int64_t REPRICE_NS = 5000000000
cdef int64_t ENTRY_NS = 600000000000
cdef int64_t LOSS_SLOT_NS = 10000000000
cdef int64_t MIN_GTD_NS = 600000000000     # the exchange's: an order ends ten minutes from now or later
cdef int64_t MIN_CALLBACK_E8 = 100000      # 0.1 %
cdef int64_t MAX_CALLBACK_E8 = 20000000    # 20 %
cdef double ROUNDING = 1e-12               # of a ratio of doubles: a move of exactly the limit is no more than it
cdef int64_t FEWEST_SIZES = 10             # before there is something usual

# ---------------------------------------------------------------------------------- requests


cdef inline bint has_price(uint8_t type) noexcept nogil:
    return type == OrderType.LIMIT or type == OrderType.STOP or type == OrderType.TAKE_PROFIT


cdef inline bint on_grid(const instrument_t* i, int64_t ticks) noexcept nogil:
    return i.min_ticks <= ticks <= i.max_ticks and ticks % i.tick_step == 0


cdef inline bint is_stop(uint8_t type) noexcept nogil:
    # What ends a loss; a take-profit waits for the opposite.
    return type == OrderType.STOP or type == OrderType.STOP_MARKET or type == OrderType.TRAILING_STOP_MARKET


cdef inline bint stands(uint8_t state) noexcept nogil:
    return state == OrderState.ARMED or state == OrderState.TRIGGERING or state == OrderState.LIVE \
        or state == OrderState.PARTLY_FILLED


cdef inline bint closes(const request_t* r) noexcept nogil:
    # Can only close: by its own word, or as the closing side of a leg.
    return (r.reduce_only or r.terms & Term.CLOSE_POSITION or (r.position_side == 1 and r.side == Side.SELL)
            or (r.position_side == 2 and r.side == Side.BUY))


# ---------------------------------------------------------------------------------- rates


cdef inline bint bucket_allows(const bucket_t* b, int64_t now, int64_t per_second, int64_t burst) noexcept nogil:
    cdef int64_t debt = max(0, b.level_ns - (now - b.ts))
    return debt + SECOND // per_second <= burst * (SECOND // per_second)


cdef inline void bucket_take(bucket_t* b, int64_t now, int64_t per_second) noexcept nogil:
    b.level_ns = max(0, b.level_ns - (now - b.ts)) + SECOND // per_second
    b.ts = now


# ---------------------------------------------------------------------------------- the gate


@cython.final
cdef class RiskGate:
    """The pre-trade gate of one account.

    Parameters
    ----------
    instruments, account, orders, markets
        The state that it judges by; the engine's own. The orders keep their margin in the account from here on.
    limits : dict
        The fields of ``limits_t``: ``*_e8`` integers with eight decimals, ``*_ns`` nanoseconds.

    Raises
    ------
    ValueError
        If a limit is missing, unknown or not positive.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.limits, 0, sizeof(limits_t))
        memset(self.watched, 0, sizeof(self.watched))
        memset(self.net_worst_e8, 0, sizeof(self.net_worst_e8))
        memset(self.cluster_e8, 0, sizeof(self.cluster_e8))
        memset(self.is_unmarked, 0, sizeof(self.is_unmarked))
        memset(&self.account_rate, 0, sizeof(bucket_t))
        memset(&self.strategy_rate, 0, sizeof(bucket_t))
        memset(self.minute, 0, sizeof(self.minute))
        memset(self.recent, 0, sizeof(self.recent))
        memset(self.chases, 0, sizeof(self.chases))
        memset(self.sizes, 0, sizeof(self.sizes))
        memset(self.sorted_sizes, 0, sizeof(self.sorted_sizes))
        memset(self.ends, 0, sizeof(self.ends))
        memset(self.peaks, 0, sizeof(self.peaks))
        memset(self.refusals, 0, sizeof(self.refusals))

    def __init__(self, Instruments instruments not None, Account account not None, Orders orders not None,
                 Markets markets not None, dict limits not None):
        cdef int k
        self.instruments = instruments
        self.account = account
        self.orders = orders
        self.markets = markets
        orders.attach(account)
        missing = LIMITS - limits.keys()
        unknown = limits.keys() - LIMITS
        if missing or unknown:
            raise ValueError(f"risk limits: missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, value in limits.items():
            if not 0 <= value < 1 << 62 or (value == 0 and name not in MAY_BE_ZERO):
                raise ValueError(f"risk limit {name} is out of range: {value}")
        for name, most in (("orders_per_minute", MINUTE_ORDERS), ("repeated_entries", ENTRY_PLACES),
                           ("losing_trips", 8), ("max_reprices", REPRICES)):
            if limits[name] >= most:
                raise ValueError(f"{name} is at most {most - 1}")
        self.limits = limits
        self.armed = self.limits.armed
        self.day = -1
        self.peak_e8 = account.equity_e8()
        self.equity_seen_e8 = self.peak_e8
        for k in range(GATE_SYMBOLS):
            self.watched[k].headroom[0] = self.watched[k].headroom[1] = -1

    # ------------------------------------------------------------------ approval

    cdef Reason approve(self, const request_t* r, int64_t now, approved_t* out) noexcept nogil:
        cdef uint64_t client_id
        cdef Reason reason = self.check(r, now)
        if reason == Reason.APPROVED:
            client_id = self.orders.next_id()
            if client_id == 0:
                reason = Reason.R25_OPEN_ORDERS
        if reason != Reason.APPROVED:
            self.refusals[<int> reason] += 1
            return reason
        self.count_order(r, self.shrinks(r), now)  # exits too: they use up the budget that they may exceed
        self.fill_approved(r, now, out)
        out.client_id = client_id
        self.orders.insert(out, self.hold_ticks(r))
        self.update(r.symbol, now)
        return Reason.APPROVED

    cdef Reason amend(self, order_t* order, int64_t price_ticks, int64_t lots, uint64_t intent, int64_t now,
                      approved_t* out) noexcept nogil:
        # A new price and a new whole quantity for a limit order that stands, judged as if it were a new order in the
        # place of the old one; until the venue answers, the worse of both is held.
        cdef request_t r
        cdef Reason reason
        memset(&r, 0, sizeof(request_t))
        r.symbol = order.symbol
        r.side = order.side
        r.position_side = order.position_side
        r.tif = order.tif
        r.reduce_only = order.reduce_only and order.position_side == 0
        r.stp = order.stp
        r.price_ticks = price_ticks
        r.lots = lots - order.filled
        r.good_till = order.good_till
        r.limiting = order.limiting
        r.intent = intent
        r.reprice = intent != 0
        r.amends = True
        if order.type != OrderType.LIMIT or order.amend_lots or not (
                order.state == OrderState.LIVE or order.state == OrderState.PARTLY_FILLED):
            reason = Reason.NOT_AMENDABLE
        elif price_ticks == order.price_ticks and lots == order.lots:
            reason = Reason.NOT_AMENDABLE          # the exchange refuses an amendment that changes nothing
        else:
            self.orders.suspend(order)
            self.update(r.symbol, now)
            reason = self.check(&r, now)
            if reason == Reason.APPROVED:          # while the old order is away, or the position would count it twice
                self.count_order(&r, self.shrinks(&r), now)
            self.orders.recount(order)
        if reason == Reason.APPROVED:
            self.fill_approved(&r, now, out)
            out.client_id = order.client_id
            out.lots = lots
            out.amends = True
            self.orders.amend(order, price_ticks, lots)
        else:
            self.refusals[<int> reason] += 1
        self.update(r.symbol, now)
        return reason

    cdef void fill_approved(self, const request_t* r, int64_t now, approved_t* out) noexcept nogil:
        memset(out, 0, sizeof(approved_t))
        out.ts = now
        out.price_ticks = r.price_ticks
        out.lots = r.lots
        out.reference_e8 = self.reference(r.symbol)
        out.trigger_ticks = r.trigger_ticks
        out.activate_ticks = r.activate_ticks
        out.callback_e8 = r.callback_e8
        out.good_till = r.good_till
        out.symbol = r.symbol
        out.side = r.side
        out.position_side = r.position_side
        out.type = r.type
        out.tif = r.tif
        out.reduce_only = r.reduce_only
        out.stp = r.stp
        out.price_match = r.price_match
        out.terms = r.terms
        out.limiting = r.limiting

    cdef int64_t reference(self, int symbol) noexcept nogil:
        cdef int64_t middle = mid_e8(&self.markets.data[symbol], &self.instruments.data[symbol])
        return middle if middle > 0 else self.markets.data[symbol].mark_e8

    cdef int64_t hold_ticks(self, const request_t* r) noexcept nogil:
        # The price at which the order counts as exposure until it fills.
        cdef const market_t* m = &self.markets.data[r.symbol]
        if r.price_ticks or r.trigger_ticks:
            return max(r.price_ticks, r.trigger_ticks)
        return m.ask_ticks if r.side == Side.BUY else m.bid_ticks

    # ------------------------------------------------------------------ the checks, in order

    cdef Reason check(self, const request_t* r, int64_t now) noexcept nogil:
        cdef const instrument_t* i
        cdef market_t* m
        cdef int64_t price
        cdef Reason reason
        if r.symbol >= self.instruments.size or r.side > 1 or r.type > 6 or r.tif > 4 or r.position_side > 2 \
                or r.stp > 3 or r.price_match > 8 or r.terms > 7:
            return Reason.R31_RISK_FAULT
        i = &self.instruments.data[r.symbol]
        m = &self.markets.data[r.symbol]
        if not self.armed:
            return Reason.R30_MODE
        reason = self.check_form(r, i, now)
        if reason != Reason.APPROVED:
            return reason
        if self.shrinks(r):
            return self.check_exit(r, i, m)
        if closes(r):
            return Reason.NOTHING_TO_REDUCE
        reason = self.check_state(r, now, i, m)
        if reason != Reason.APPROVED:
            return reason
        price = price_e8(i, self.hold_ticks(r))
        if price <= 0 or m.mark_e8 <= 0 or self.account.equity_e8() <= 0 or self.unmarked:
            return Reason.R31_RISK_FAULT
        reason = self.check_price(r, i, m, price)
        if reason == Reason.APPROVED:
            reason = self.check_size(r, now, i, m, price)
        if reason == Reason.APPROVED:
            reason = self.check_exposure(r, i, m, price)
        if reason == Reason.APPROVED:
            reason = self.check_flow(r, now)
        return reason

    cdef Reason check_form(self, const request_t* r, const instrument_t* i, int64_t now) noexcept nogil:
        # What the exchange would not take as it is written, whatever the market does.
        if (r.position_side == 0) == self.account.hedge or (self.account.hedge and r.reduce_only):
            return Reason.R29_NOT_ALLOWED
        if has_price(r.type) and not r.price_match:
            if not on_grid(i, r.price_ticks):
                return Reason.FILTER_PRICE
        elif r.price_ticks != 0 or (r.price_match and not has_price(r.type)):
            return Reason.FILTER_PRICE
        # What a type does not have would count as its price: a trigger that is none must not pass for one.
        if r.type == OrderType.TRAILING_STOP_MARKET:
            if not MIN_CALLBACK_E8 <= r.callback_e8 <= MAX_CALLBACK_E8 or r.trigger_ticks \
                    or (r.activate_ticks and not on_grid(i, r.activate_ticks)):
                return Reason.FILTER_PRICE
        elif r.activate_ticks or r.callback_e8 \
                or (not on_grid(i, r.trigger_ticks) if is_conditional(r.type) else r.trigger_ticks != 0):
            return Reason.FILTER_PRICE
        if not has_price(r.type) and r.tif != TimeInForce.GTC:
            return Reason.R31_RISK_FAULT
        if (r.good_till < now + MIN_GTD_NS) if r.tif == TimeInForce.GTD and not r.amends else False:
            return Reason.R31_RISK_FAULT
        if r.terms & Term.CLOSE_POSITION:
            if r.reduce_only or not (r.type == OrderType.STOP_MARKET or r.type == OrderType.TAKE_PROFIT_MARKET):
                return Reason.R31_RISK_FAULT
            return Reason.APPROVED if r.lots == 0 else Reason.FILTER_QUANTITY
        if (r.lots < i.min_lots or r.lots % i.lot_step) and not self.closes_whole(r):
            return Reason.FILTER_QUANTITY
        if r.lots > (i.max_lots if has_price(r.type) else i.max_market_lots):
            return Reason.R4_ORDER_QUANTITY
        return Reason.APPROVED

    cdef bint closes_whole(self, const request_t* r) noexcept nogil:
        # A market order of exactly the leg: what a step that became coarser has left must be closable.
        cdef int64_t lots = self.account.positions[r.symbol + leg_of(r.position_side) * ACCOUNT_SYMBOLS].lots
        return (r.type == OrderType.MARKET and (r.reduce_only or self.account.hedge)
                and lots != 0 and r.lots == magnitude(lots) and (lots > 0) == (r.side == Side.SELL))

    cdef bint shrinks(self, const request_t* r) noexcept nogil:
        # Against the leg, and no more than what is left of it if everything on that side fills. What can only close,
        # as in hedge mode the closing side does, only has to fit the position: the venue cuts it to what is left.
        cdef int leg = leg_of(r.position_side)
        cdef int64_t lots = self.account.positions[r.symbol + leg * ACCOUNT_SYMBOLS].lots
        if lots == 0 or (lots > 0) == (r.side == Side.BUY):
            return False
        if closes(r):
            return r.lots <= magnitude(lots)
        return r.lots + self.orders.open[r.symbol][leg][r.side].lots <= magnitude(lots)

    cdef Reason check_exit(self, const request_t* r, const instrument_t* i, const market_t* m) noexcept nogil:
        # Only the wide collar: a sane price, never our own limits. A stop may lie as far away as it likes.
        cdef int64_t mark = m.mark_e8 if m.mark_e8 > 0 else m.last_e8
        if r.type == OrderType.LIMIT and r.price_ticks and mark > 0 \
                and not within_collar(r.side, price_e8(i, r.price_ticks), mark, self.limits.exit_collar_e8):
            return Reason.R1_PRICE_COLLAR
        return Reason.APPROVED

    cdef Reason check_state(self, const request_t* r, int64_t now, const instrument_t* i,
                            const market_t* m) noexcept nogil:
        # Whether anything at all may be opened here and now.
        cdef const watch_t* w = &self.watched[r.symbol]
        if self.killed:
            return Reason.R22_DRAWDOWN_KILL
        if self.halted or w.halted:
            return Reason.HALTED
        if self.gates:
            return Reason.GATE_CLOSED
        if self.day_lost:
            return Reason.R21_DAILY_LOSS
        if self.ladder == 2:
            return Reason.R20_REDUCE_ONLY
        if now < self.paused_until:
            return Reason.R23_LOSS_RATE
        if not i.tradable or w.suspended or (w.delist and now > w.delist - self.limits.delist_ns):
            return Reason.R28_SYMBOL_STATUS
        if not self.limits.sides >> r.side & 1 or not self.limits.types >> r.type & 1 or not self.within_hours(now):
            return Reason.R29_NOT_ALLOWED
        if self.orders.unknown_of[r.symbol] or self.orders.unknown > self.limits.max_unknown:
            return Reason.R19_UNKNOWN_ORDERS
        if w.disabled[r.side]:
            return Reason.R14_REPEATED
        if self.quality_level == 2 and self.judge_quality(now) == 2:
            return Reason.R13_MESSAGE_QUALITY
        if self.weight_limit and now // MINUTE == self.weight_minute \
                and self.weight >= part_e8(self.weight_limit, self.limits.weight_share_e8):
            return Reason.R12_WEIGHT
        if not self.fresh(m, now):
            return Reason.R18_STALE_DATA
        if self.quality is not None and (self.quality.halted(r.symbol, now) or (
                self.quality.conservative(r.symbol, now) and r.tif != TimeInForce.GTX)):
            return Reason.DATA_QUALITY         # suspect data: nothing, or only what waits
        if now < w.paused_until or self.breaks(m, i, r.symbol, now):
            return Reason.R24_VOLATILITY
        if self.limits.unprotected_ns and w.unprotected and now - w.unprotected > self.limits.unprotected_ns:
            return Reason.R26_UNPROTECTED
        if self.account.margins[r.symbol].leverage > self.limits.max_leverage:
            return Reason.R7_LEVERAGE
        return Reason.APPROVED

    cdef bint within_hours(self, int64_t now) noexcept nogil:
        cdef int64_t minute = now % DAY // MINUTE
        return self.limits.first_minute <= minute <= self.limits.last_minute

    cdef bint fresh(self, const market_t* m, int64_t now) noexcept nogil:
        # R18, by the declared source: candles age in units of their own interval, streams in seconds.
        if not m.book_good:
            return False
        if m.interval_ns:
            return <double> (now - min(m.ts_last, m.ts_mark)) <= self.limits.candle_stale * <double> m.interval_ns
        return now - m.ts_book <= self.limits.book_stale_ns and now - m.ts_mark <= self.limits.mark_stale_ns

    cdef bint breaks(self, const market_t* m, const instrument_t* i, int symbol, int64_t now) noexcept nogil:
        # R24: a minute's move in units of the collar, the spread in units of its median; the pause begins here.
        if m.interval_ns:
            return False
        if minute_move(m, now) <= self.limits.volatility_collars * i.collar_e8 * 1e-8 + ROUNDING \
                and (spread_ratio(m) <= self.limits.spread_median + ROUNDING
                     or <double> (m.ask_ticks - m.bid_ticks) <= self.limits.spread_floor * m.bid_ticks):
            return False
        self.watched[symbol].paused_until = now + self.limits.volatility_pause_ns
        self.tripped |= 1 << Alarm.VOLATILITY
        return True

    cdef Reason check_price(self, const request_t* r, const instrument_t* i, const market_t* m,
                            int64_t price) noexcept nogil:
        # R1 and the exchange's band. A conditional order is judged against its own trigger: where the mark will be
        # by then nobody knows.
        cdef int64_t reference = mid_e8(m, i)
        cdef int64_t trigger = price_e8(i, r.trigger_ticks)
        if is_conditional(r.type):
            return Reason.APPROVED if not r.price_ticks or within_collar(
                r.side, price_e8(i, r.price_ticks), trigger, i.collar_e8) else Reason.R1_PRICE_COLLAR
        if not within_collar(r.side, price, m.mark_e8, i.collar_e8) \
                or (reference > 0 and not within_collar(r.side, price, reference, i.collar_e8)):
            return Reason.R1_PRICE_COLLAR
        if not (no_more(price, E8, m.mark_e8, i.up_e8) if r.side == Side.BUY
                else no_more(m.mark_e8, i.down_e8, price, E8)):
            return Reason.FILTER_PRICE
        return Reason.APPROVED

    cdef Reason check_size(self, const request_t* r, int64_t now, const instrument_t* i, market_t* m,
                           int64_t price) noexcept nogil:
        cdef int64_t notional = value_e8(i, price, r.lots)
        cdef int64_t equity = self.account.equity_e8()
        cdef int64_t most = min(self.limits.max_order_e8,
                                part_e8(part_e8(equity, self.limits.order_equity_share_e8),
                                        self.limits.order_leverage_e8))
        cdef int64_t minute = minute_volume_lots(m, now)
        cdef int64_t depth = m.bar_lots if m.interval_ns else m.depth_lots[1 - r.side]
        cdef int64_t volume = self.limits.assumed_minute_e8 if minute < 0 else value_e8(i, m.mark_e8, minute)
        if notional < i.min_notional_e8:
            return Reason.FILTER_NOTIONAL
        most = min(most, part_e8(volume, self.limits.volume_share_e8))
        if notional > self.reduced_e8(r.symbol, now, most):
            return Reason.R3_ORDER_NOTIONAL
        if not no_more(r.lots, E8, depth, self.limits.depth_share_e8):
            return Reason.R4_ORDER_QUANTITY
        return Reason.APPROVED

    cdef int64_t reduced_e8(self, int symbol, int64_t now, int64_t most) noexcept nogil:
        # Half of a limit on the ladder's first step, a share of it while the symbol's data are suspect.
        if self.ladder == 1:
            most >>= 1
        if self.quality is not None and self.quality.conservative(symbol, now):
            most = part_e8(most, self.limits.conservative_size_e8)
        return most

    cdef int64_t symbol_cap_e8(self) noexcept nogil:
        cdef int64_t most = part_e8(part_e8(self.account.equity_e8(), self.limits.symbol_share_e8),
                                    self.limits.strategy_leverage_e8)
        return most >> 1 if self.ladder == 1 else most

    # ------------------------------------------------------------------ exposure

    cdef Reason check_exposure(self, const request_t* r, const instrument_t* i, const market_t* m,
                               int64_t price) noexcept nogil:
        cdef const watch_t* w = &self.watched[r.symbol]
        cdef int leg = leg_of(r.position_side)
        cdef int64_t equity = self.account.equity_e8()
        cdef int64_t lots = self.worst_lots(r.symbol, r, r.side)
        cdef int64_t worst = self.worst_of(r.symbol, r)
        cdef int64_t net = self.net_worst_e8[r.side] - w.net_e8[r.side] + self.net_of(r.symbol, r, r.side)
        cdef int64_t maintenance = self.account.maintenance_total_e8 + maintenance_of(i, worst) \
            - self.account.positions[r.symbol].maintenance_e8 \
            - self.account.positions[r.symbol + ACCOUNT_SYMBOLS].maintenance_e8
        if value_e8(i, m.mark_e8, lots) > self.symbol_cap_e8():
            return Reason.R5_POSITION_LIMIT
        if not self.fits_usual(worst):
            return Reason.R17_FAT_FINGER
        if self.gross_worst_e8 - w.worst_e8 + worst > part_e8(equity, self.limits.max_gross_e8) \
                or (net if r.side == Side.BUY else -net) > part_e8(equity, self.limits.max_net_e8) \
                or (w.cluster and self.cluster_e8[w.cluster] - w.worst_e8 + worst
                    > part_e8(equity, self.limits.max_cluster_e8)):
            return Reason.R6_GROSS_EXPOSURE
        if worst > part_e8(max_notional_of(i, self.account.margins[r.symbol].leverage), self.limits.bracket_share_e8):
            return Reason.R8_BRACKET
        if not self.far_from_liquidation(r, i, m, price):
            return Reason.R9_LIQUIDATION_DISTANCE
        if maintenance > part_e8(equity, self.limits.margin_ratio_e8):
            return Reason.R10_MARGIN_RATIO
        if self.account.order_cost_e8(r.symbol, leg, r.side, price, r.lots) > self.account.available_e8():
            return Reason.INSUFFICIENT_MARGIN
        return Reason.APPROVED

    cdef int64_t worst_lots(self, int symbol, const request_t* r, int side) noexcept nogil:
        # The largest position that the open orders of a side and this one can make, whatever the order of their
        # fills: all of them on top of the position, or the plain ones after reduce-only ones have closed it. In hedge
        # mode the side names the leg that it opens, and only opening orders add to it.
        cdef int leg = side if self.account.hedge else 0
        cdef const exposure_t* open = &self.orders.open[symbol][leg][side]
        cdef int64_t lots = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        cdef int64_t more = 0
        if r != NULL and symbol == r.symbol and r.side == side and leg == leg_of(r.position_side):
            more = r.lots
        return max(magnitude(lots + (open.lots + more if side == Side.BUY else -open.lots - more)),
                   open.lots - open.reducing + more)

    cdef int64_t worst_of(self, int symbol, const request_t* r) noexcept nogil:
        # Notional, at the mark, of the largest position that a symbol can come to; both legs in hedge mode.
        cdef int64_t buys = self.worst_lots(symbol, r, Side.BUY), sells = self.worst_lots(symbol, r, Side.SELL)
        cdef int64_t lots = buys + sells if self.account.hedge else max(buys, sells)
        return value_e8(&self.instruments.data[symbol], self.markets.data[symbol].mark_e8, lots) if lots else 0

    cdef int64_t net_of(self, int symbol, const request_t* r, int side) noexcept nogil:
        # Signed value of a symbol once everything on one side has filled.
        cdef int leg = side if self.account.hedge else 0
        cdef int64_t open = self.orders.open[symbol][leg][side].lots
        cdef int64_t lots = self.account.positions[symbol].lots + self.account.positions[symbol + ACCOUNT_SYMBOLS].lots
        if r != NULL and symbol == r.symbol and r.side == side:
            open += r.lots
        lots += open if side == Side.BUY else -open
        return value_e8(&self.instruments.data[symbol], self.markets.data[symbol].mark_e8, lots) if lots else 0

    cdef void update(self, int symbol, int64_t now) noexcept nogil:
        # A mark, a fill, an order or an answer has changed this symbol: replace its terms in the totals.
        cdef watch_t* w = &self.watched[symbol]
        cdef int64_t worst = self.worst_of(symbol, NULL)
        cdef int64_t net
        cdef int side
        cdef bint held = self.account.holds(symbol)
        cdef bint unmarked = self.markets.data[symbol].mark_e8 <= 0 \
            and (held or self.account.margins[symbol].open_orders)
        self.gross_worst_e8 += worst - w.worst_e8
        self.cluster_e8[w.cluster] += worst - w.worst_e8
        w.worst_e8 = worst
        for side in range(2):
            net = self.net_of(symbol, NULL, side)
            self.net_worst_e8[side] += net - w.net_e8[side]
            w.net_e8[side] = net
        self.unmarked += unmarked - self.is_unmarked[symbol]
        self.is_unmarked[symbol] = unmarked
        if not held:
            if w.held:
                self.end_trip(symbol, now)
            w.trip_start_e8 = earned(self.account, symbol)
        w.held = held
        if self.limits.unprotected_ns:
            w.unprotected = 0 if not held or self.protected(symbol) else w.unprotected if w.unprotected else now

    cdef bint audit(self) noexcept nogil:
        # Whether every symbol's terms, and so the totals, are those of its state.
        cdef const watch_t* w
        cdef int64_t gross = 0, buys = 0, sells = 0
        cdef int k
        for k in range(self.instruments.size):
            w = &self.watched[k]
            if w.worst_e8 != self.worst_of(k, NULL) or w.net_e8[0] != self.net_of(k, NULL, 0) \
                    or w.net_e8[1] != self.net_of(k, NULL, 1):
                return False
            gross += w.worst_e8
            buys += w.net_e8[0]
            sells += w.net_e8[1]
        return gross == self.gross_worst_e8 and buys == self.net_worst_e8[0] and sells == self.net_worst_e8[1]

    cdef bint protected(self, int symbol) noexcept nogil:
        # Whether stops that can only close, and that the venue is known to have, cover every leg of the position.
        cdef const order_t* order
        cdef int64_t lots, covered
        cdef int leg, k
        for leg in range(2):
            lots = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
            covered = 0
            k = self.orders.first[symbol][1 if lots > 0 else 0] if lots else 0
            while k:
                order = &self.orders.table[k - 1]
                if is_stop(order.type) and order.reduce_only and leg_of(order.position_side) == leg \
                        and stands(order.state):
                    covered += magnitude(lots) if order.terms & Term.CLOSE_POSITION else leaves(order)
                k = order.next
            if covered < magnitude(lots):
                return False
        return True

    cdef bint far_from_liquidation(self, const request_t* r, const instrument_t* i, const market_t* m,
                                   int64_t price) noexcept nogil:
        # R9: the leg as if this order and everything open on its side had filled.
        cdef int leg = leg_of(r.position_side)
        cdef const position_t* p = &self.account.positions[r.symbol + leg * ACCOUNT_SYMBOLS]
        cdef const exposure_t* open = &self.orders.open[r.symbol][leg][r.side]
        cdef int64_t sign = 1 if r.side == Side.BUY else -1
        cdef int64_t added = value_e8(i, price, r.lots) + mul(open.value_ticks, i.unit_e8)
        cdef int64_t wallet = self.account.wallet_e8 - part_e8(added, i.taker_fee_e8)
        cdef int64_t lots = p.lots + sign * (open.lots + r.lots)
        cdef int64_t liquidation, distance
        cdef double needed
        if self.account.margins[r.symbol].isolated:
            wallet = p.isolated_e8 + added // self.account.margins[r.symbol].leverage
        liquidation = self.account.liquidation_price(r.symbol, leg, lots, p.cost_e8 + sign * added, wallet)
        if liquidation == 0:
            return True
        if is_beyond(liquidation, m.mark_e8, self.in_scope(r.symbol, leg, lots)):
            return False
        distance = mul_div_floor(magnitude(m.mark_e8 - liquidation), E8, m.mark_e8)
        needed = self.limits.liquidation_atr * atr(m, self.limits.atr_floor) / (m.mark_e8 * 1e-8)
        return distance >= self.limits.liquidation_distance_e8 and <double> distance * 1e-8 >= needed

    cdef bint fits_usual(self, int64_t worst_e8) noexcept nogil:
        # R17: the position that this order makes, as a share of the equity, against the median of the last fifty.
        cdef int64_t known = min(self.size_count, TYPICAL)
        cdef int64_t twice
        if known < FEWEST_SIZES:
            return True
        twice = self.sorted_sizes[(known - 1) // 2] + self.sorted_sizes[known // 2]
        return 2 * mul_div(worst_e8, E8, self.account.equity_e8()) <= part_e8(twice, self.limits.fat_finger_e8)

    # ------------------------------------------------------------------ flow

    cdef Reason check_flow(self, const request_t* r, int64_t now) noexcept nogil:
        cdef const recent_t* seen
        cdef int64_t k, oldest
        cdef int64_t open_here = self.account.margins[r.symbol].open_orders
        cdef Reason reason
        if not r.amends and (open_here >= self.limits.max_orders_symbol
                             or self.orders.open_orders >= self.limits.max_orders_total):
            return Reason.R25_OPEN_ORDERS
        if self.crosses_own(r):
            return Reason.R16_SELF_TRADE
        for k in range(0 if r.amends else min(self.recent_count, RECENT_ORDERS)):     # the newest first
            seen = &self.recent[(self.recent_count - 1 - k) % RECENT_ORDERS]
            if now - seen.ts > self.limits.duplicate_ns:
                break
            if seen.symbol == r.symbol and seen.side == r.side and seen.price_ticks == r.price_ticks \
                    and seen.lots == r.lots:
                return Reason.R15_DUPLICATE
        reason = self.check_intent(r, now)
        if reason != Reason.APPROVED:
            return reason
        if not bucket_allows(&self.account_rate, now, self.limits.orders_per_second, self.limits.order_burst) \
                or not bucket_allows(&self.strategy_rate, now, self.limits.strategy_orders_per_second,
                                     self.limits.order_burst):
            return Reason.R11_ORDER_RATE
        if self.minute_count >= self.limits.orders_per_minute:
            oldest = self.minute[(self.minute_count - self.limits.orders_per_minute) % MINUTE_ORDERS]
            if now - oldest < MINUTE:
                return Reason.R11_ORDER_RATE
        return self.check_headroom(r, now, &self.markets.data[r.symbol])

    cdef bint crosses_own(self, const request_t* r) noexcept nogil:
        # R16: an order of ours rests where this one would take. A market order reaches at least the touch; one whose
        # price the venue sets counts at what is held for it until the venue has told the price.
        cdef const order_t* order
        cdef int64_t ticks = self.hold_ticks(r), resting
        cdef int k = self.orders.first[r.symbol][1 - r.side]
        if is_conditional(r.type):
            return False
        while k:
            order = &self.orders.table[k - 1]
            resting = order.price_ticks
            if resting == 0 and order.price_match:
                resting = order.hold_ticks
            if resting and (not is_conditional(order.type) or order.triggered) \
                    and (resting <= ticks if r.side == Side.BUY else resting >= ticks):
                return True
            k = order.next
        return False

    cdef Reason check_intent(self, const request_t* r, int64_t now) noexcept nogil:
        # R15 by intent, R14, R2, R27.
        cdef const watch_t* w = &self.watched[r.symbol]
        cdef const chase_t* chase
        cdef int64_t k, ticks, changes = 0, first = 0
        if r.intent and not r.reprice and r.intent <= self.last_intent:
            return Reason.R15_DUPLICATE            # intents count up: this one has been seen
        if self.limits.repeated_entries and not r.amends and w.entry_count[r.side] >= self.limits.repeated_entries \
                and now - w.entries[r.side][(w.entry_count[r.side] - self.limits.repeated_entries) % ENTRY_PLACES] \
                < ENTRY_NS:
            self.watched[r.symbol].disabled[r.side] = True
            self.tripped |= 1 << Alarm.REPEATED
            return Reason.R14_REPEATED
        if r.reprice:
            chase = &self.chases[r.intent % CHASES]
            if chase.intent != r.intent:
                return Reason.R2_CHASE             # of an intent that nobody began, or long ago
            for k in range(min(chase.count, REPRICES)):
                if now - chase.ts[(chase.count - 1 - k) % REPRICES] <= REPRICE_NS and k < chase.count - 1:
                    changes += 1
                if now - chase.ts[(chase.count - 1 - k) % REPRICES] <= MINUTE:
                    first = chase.ticks[(chase.count - 1 - k) % REPRICES]
            if chase.count >= REPRICES and now - chase.ts[chase.count % REPRICES] <= MINUTE:
                return Reason.R2_CHASE             # where it began a minute ago is forgotten
            ticks = self.hold_ticks(r)
            if changes >= self.limits.max_reprices \
                    or (first and not no_more(magnitude(ticks - first), E8, first, self.limits.max_drift_e8)):
                return Reason.R2_CHASE
        if r.edge_e8 and w.funding_due and 0 <= w.funding_due - now <= self.limits.funding_window_ns \
                and 2 * (w.rate_e8 if r.side == Side.BUY else -w.rate_e8) > r.edge_e8:
            return Reason.R27_FUNDING_COST
        return Reason.APPROVED

    cdef Reason check_headroom(self, const request_t* r, int64_t now, const market_t* m) noexcept nogil:
        cdef const watch_t* w = &self.watched[r.symbol]
        if self.limits.headroom_ns == 0:
            return Reason.APPROVED
        if w.headroom[r.side] < 0 or now - w.headroom_ts > max(self.limits.headroom_ns, 2 * m.interval_ns):
            return Reason.HEADROOM_STALE
        return Reason.HEADROOM_SPENT if r.lots > w.headroom[r.side] else Reason.APPROVED

    cdef void count_order(self, const request_t* r, bint exit, int64_t now) noexcept nogil:
        bucket_take(&self.account_rate, now, self.limits.orders_per_second)
        bucket_take(&self.strategy_rate, now, self.limits.strategy_orders_per_second)
        self.minute[self.minute_count % MINUTE_ORDERS] = now
        self.minute_count += 1
        if not exit:                           # an exit and an entry of one size are two intents
            self.count_entry(r, now)

    cdef void count_entry(self, const request_t* r, int64_t now) noexcept nogil:
        cdef watch_t* w = &self.watched[r.symbol]
        cdef recent_t* seen = &self.recent[self.recent_count % RECENT_ORDERS]
        seen.ts = now
        seen.symbol = r.symbol
        seen.side = r.side
        seen.price_ticks = r.price_ticks
        seen.lots = r.lots
        self.recent_count += 1
        if not r.amends:
            w.entries[r.side][w.entry_count[r.side] % ENTRY_PLACES] = now
            w.entry_count[r.side] += 1
        if w.headroom[r.side] > 0:
            w.headroom[r.side] = max(0, w.headroom[r.side] - r.lots)
        if r.intent:
            self.last_intent = max(self.last_intent, r.intent)
            self.count_price(r.intent, self.hold_ticks(r), now)
        self.count_size(mul_div(self.worst_of(r.symbol, r), E8, self.account.equity_e8()))

    cdef void count_price(self, uint64_t intent, int64_t ticks, int64_t now) noexcept nogil:
        cdef chase_t* chase = &self.chases[intent % CHASES]
        if chase.intent != intent:
            memset(chase, 0, sizeof(chase_t))
            chase.intent = intent
        chase.ts[chase.count % REPRICES] = now
        chase.ticks[chase.count % REPRICES] = ticks
        chase.count += 1

    cdef void count_size(self, int64_t size) noexcept nogil:
        # Replace the oldest of the last fifty, in the order of arrival and in the sorted row.
        cdef int64_t known = min(self.size_count, TYPICAL)
        cdef int64_t k = 0
        cdef int64_t old
        if known == TYPICAL:
            old = self.sizes[self.size_count % TYPICAL]
            while self.sorted_sizes[k] != old:
                k += 1
            memmove(&self.sorted_sizes[k], &self.sorted_sizes[k + 1], (TYPICAL - 1 - k) * sizeof(int64_t))
            known -= 1
        k = known
        while k and self.sorted_sizes[k - 1] > size:
            self.sorted_sizes[k] = self.sorted_sizes[k - 1]
            k -= 1
        self.sorted_sizes[k] = size
        self.sizes[self.size_count % TYPICAL] = size
        self.size_count += 1

    cdef void end_trip(self, int symbol, int64_t now) noexcept nogil:
        # R14: three losing round trips within an hour end the symbol's entries until somebody has looked.
        cdef watch_t* w = &self.watched[symbol]
        if earned(self.account, symbol) >= w.trip_start_e8 or self.limits.losing_trips == 0:
            return
        w.lost_trips[w.trip_count % 8] = now
        w.trip_count += 1
        if w.trip_count >= self.limits.losing_trips \
                and now - w.lost_trips[(w.trip_count - self.limits.losing_trips) % 8] <= HOUR:
            w.disabled[0] = w.disabled[1] = True
            self.tripped |= 1 << Alarm.REPEATED

    cdef void on_ended(self, const order_t* order, int64_t now) noexcept nogil:
        # R13: count how an order ended, by the minute in which it did.
        cdef int64_t minute = now // MINUTE
        cdef ended_t* q = &self.ends[minute % QUALITY_MINUTES]
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef bint unfilled = order.filled == 0
        if q.minute != minute:
            memset(q, 0, sizeof(ended_t))
            q.minute = minute
        q.orders += 1
        q.unfilled += unfilled
        if order.tif == TimeInForce.IOC or order.tif == TimeInForce.FOK:
            q.immediate += 1
            q.immediate_expired += unfilled
        elif order.price_ticks:
            q.gtc += 1
            q.gtc_cancelled += unfilled and order.state == OrderState.CANCELLED
        q.dust += not unfilled and mul(mul(order.filled, max(order.price_ticks, order.hold_ticks)), i.unit_e8) \
            < i.min_notional_e8

    cdef int judge_quality(self, int64_t now) noexcept nogil:
        # The worst of the exchange's four ratios over ten minutes: 0 fine, 1 alarm, 2 stop.
        cdef ended_t t
        cdef const ended_t* q
        cdef int64_t worst
        cdef int k
        memset(&t, 0, sizeof(ended_t))
        for k in range(QUALITY_MINUTES):
            q = &self.ends[k]
            if now // MINUTE - q.minute < QUALITY_MINUTES:
                t.orders += q.orders
                t.unfilled += q.unfilled
                t.gtc += q.gtc
                t.gtc_cancelled += q.gtc_cancelled
                t.immediate += q.immediate
                t.immediate_expired += q.immediate_expired
                t.dust += q.dust
        if t.orders < self.limits.quality_orders:
            return 0
        worst = max(mul_div(t.unfilled, E8, t.orders), mul_div(t.dust, E8, t.orders))
        worst = max(worst, mul_div(t.gtc_cancelled, E8, t.gtc) if t.gtc else 0)
        worst = max(worst, mul_div(t.immediate_expired, E8, t.immediate) if t.immediate else 0)
        return 2 if worst > self.limits.quality_stop_e8 else 1 if worst > self.limits.quality_alarm_e8 else 0

    # ------------------------------------------------------------------ loss limits

    cdef int64_t worst_equity_e8(self, int64_t now, bint with_held) noexcept nogil:
        # At the mark; where the mark is older than two seconds and a newer price is worse, at that price, and
        # (`with_held`) where a mark is held back as suspect and worse, at that one.
        cdef int64_t equity = self.account.equity_e8()
        cdef int64_t mark, lots
        cdef const market_t* m
        cdef int k
        if self.account.gross_e8 == 0:
            return equity
        for k in range(self.instruments.size):
            if not self.watched[k].held:
                continue
            m = &self.markets.data[k]
            if m.interval_ns == 0 and m.last_e8 > 0 and now - m.ts_mark >= STALE_MARK_NS and m.ts_last > m.ts_mark:
                equity += self.worse_by_e8(k, m.last_e8)
            elif with_held and self.quality is not None:
                mark = self.account.margins[k].mark_e8
                lots = self.account.positions[k].lots + self.account.positions[k + ACCOUNT_SYMBOLS].lots
                mark = self.quality.worse_e8(k, mark, lots)
                if mark != self.account.margins[k].mark_e8:
                    equity += self.worse_by_e8(k, mark)
        return equity

    cdef int64_t worse_by_e8(self, int symbol, int64_t price) noexcept nogil:
        # How much less the symbol is worth at another price; 0 where it is worth more.
        cdef const position_t* p = &self.account.positions[symbol]
        cdef const position_t* q = &self.account.positions[symbol + ACCOUNT_SYMBOLS]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        return min(0, value_e8(i, price, p.lots) + value_e8(i, price, q.lots) - p.value_e8 - q.value_e8)

    cdef int64_t drawdown_e8(self) noexcept nogil:
        # Share of the peak that is lost now.
        return mul_div(self.peak_e8 - self.equity_seen_e8, E8, self.peak_e8) if self.peak_e8 > 0 else E8

    cdef void new_day(self, int64_t equity, int64_t now) noexcept nogil:
        # The day starts from what the day before ended with: the first move after midnight is its own.
        self.day_start_e8 = self.equity_seen_e8 if self.day >= 0 else equity
        self.day = now // DAY
        if self.limits.acknowledged:
            self.allow()

    cdef void allow(self) noexcept nogil:
        # What has disabled a symbol has been looked at: it does not count a second time.
        cdef watch_t* w
        cdef int k, side
        self.day_lost = False
        for k in range(self.instruments.size):
            w = &self.watched[k]
            if w.disabled[0] or w.disabled[1]:
                w.trip_count = 0
            for side in range(2):
                if w.disabled[side]:
                    w.entry_count[side] = 0
                w.disabled[side] = False

    cdef int watch(self, int64_t now) noexcept nogil:
        # Update the loss limits from the equity; returns one bit an alarm that is new.
        cdef int64_t equity = self.worst_equity_e8(now, True)
        cdef int64_t moved = self.account.transfers_e8 - self.transfers_seen_e8
        cdef int alarms = self.tripped
        cdef int ladder
        self.tripped = 0
        if moved:                              # a deposit is no profit, a withdrawal no loss: shares stay
            self.peak_e8 = scaled(self.peak_e8, equity - moved, equity)
            self.day_start_e8 = scaled(self.day_start_e8, equity - moved, equity)
            self.equity_seen_e8 = scaled(self.equity_seen_e8, equity - moved, equity)
            self.n_peaks = 0
            self.transfers_seen_e8 += moved
        if now // DAY != self.day:
            self.new_day(equity, now)
        if equity > self.peak_e8:
            self.peak_e8 = equity
        self.equity_seen_e8 = equity
        self.max_drawdown_e8 = max(self.max_drawdown_e8, self.drawdown_e8())
        if not self.day_lost and lost(self.day_start_e8, equity, self.limits.daily_loss_e8):
            self.day_lost = True
            alarms |= 1 << Alarm.DAILY_LOSS
        # A kill cannot be taken back: a mark that nothing has confirmed yet does not trip it.
        if not self.killed and lost(self.peak_e8, equity, self.limits.max_drawdown_e8) \
                and lost(self.peak_e8, self.worst_equity_e8(now, False), self.limits.max_drawdown_e8):
            self.killed = True
            alarms |= 1 << Alarm.DRAWDOWN_KILL
        ladder = 2 if lost(self.peak_e8, equity, self.limits.max_drawdown_e8 * 3 // 4) \
            else 1 if lost(self.peak_e8, equity, self.limits.max_drawdown_e8 // 2) else 0
        if ladder > self.ladder and not self.killed:
            alarms |= 1 << (Alarm.DRAWDOWN_REDUCE_ONLY if ladder == 2 else Alarm.DRAWDOWN_HALF)
        self.ladder = ladder
        return alarms | self.watch_rate(equity, now)

    cdef int watch_rate(self, int64_t equity, int64_t now) noexcept nogil:
        # R23: the highest equity of the last five minutes, by ten seconds.
        cdef int64_t slot = now // LOSS_SLOT_NS
        self.add_peak(slot, equity)
        if now < self.paused_until or not lost(self.peaks[self.first_peak].equity_e8, equity, self.limits.loss_rate_e8):
            return 0
        self.paused_until = now + self.limits.loss_pause_ns
        self.n_peaks = 0                       # the pause answers this loss; the next one counts anew
        return 1 << Alarm.LOSS_RATE

    cdef void add_peak(self, int64_t slot, int64_t equity) noexcept nogil:
        # Of the last five minutes only what nothing later has reached; the oldest is the highest.
        cdef peak_t* last
        while self.n_peaks and self.peaks[self.first_peak].slot <= slot - LOSS_SLOTS:
            self.first_peak = (self.first_peak + 1) % LOSS_SLOTS
            self.n_peaks -= 1
        while self.n_peaks:
            last = &self.peaks[(self.first_peak + self.n_peaks - 1) % LOSS_SLOTS]
            if last.equity_e8 > equity:
                if last.slot == slot:
                    return
                break
            self.n_peaks -= 1
        last = &self.peaks[(self.first_peak + self.n_peaks) % LOSS_SLOTS]
        last.slot = slot
        last.equity_e8 = equity
        self.n_peaks += 1

    cdef int64_t liquidation_distance_e8(self, int symbol, int leg) noexcept nogil:
        # From the mark to the liquidation price as a share of the mark; E8 when there is none or it is far.
        cdef const position_t* p = &self.account.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t mark = self.account.margins[symbol].mark_e8
        cdef bint isolated = self.account.margins[symbol].isolated
        cdef int64_t room, liquidation
        if p.lots == 0 or mark <= 0:
            return E8
        room = self.account.cross_equity_e8() - self.account.cross_maintenance_e8()
        if isolated:
            room = p.isolated_e8 + p.value_e8 - p.cost_e8 - p.maintenance_e8
        if room > magnitude(p.value_e8):       # a ratio of at most 50 % cannot bring it nearer than two thirds
            return E8
        liquidation = self.account.liquidation_price(symbol, leg, p.lots, p.cost_e8,
                                                     p.isolated_e8 if isolated else self.account.wallet_e8)
        if liquidation == 0:
            return E8
        if is_beyond(liquidation, mark, self.in_scope(symbol, leg, p.lots)):
            return 0
        if (liquidation >= mark) == (p.lots > 0):
            return E8                          # the hedging leg gains on the way there: less of it brings it nearer
        return mul_div_floor(magnitude(mark - liquidation), E8, mark)

    cdef int64_t in_scope(self, int symbol, int leg, int64_t lots) noexcept nogil:
        # What is liquidated together with a leg of so many lots: both legs of a cross symbol, net.
        cdef const position_t* other = &self.account.positions[symbol + (1 - leg) * ACCOUNT_SYMBOLS]
        return lots if self.account.margins[symbol].isolated else lots + other.lots

    cdef bint must_reduce(self, int64_t distance_e8) noexcept nogil:
        # R9 and R10: a position so far from its liquidation is made smaller by force before the exchange does it.
        return distance_e8 < self.limits.liquidation_reduce_e8 \
            or self.account.maintenance_total_e8 > part_e8(max(0, self.account.equity_e8()),
                                                           self.limits.margin_reduce_e8)

    # ------------------------------------------------------------------ Python face

    def command(self, int command, int symbol=-1):
        """Apply an operator's command, to one symbol where that makes sense (HALT)."""
        cdef int k
        if command == Command.HALT and symbol >= 0:
            self.watched[symbol].halted = True
        elif command == Command.HALT:
            self.halted = True
        elif command == Command.RESUME:
            self.halted = False
            for k in range(self.instruments.size):
                self.watched[k].halted = False
        elif command == Command.KILL:
            self.killed = True
        elif command == Command.ALLOW:
            self.allow()
        elif command == Command.ARM or command == Command.DISARM:
            self.armed = command == Command.ARM
        else:
            raise ValueError(f"no such command: {command}")

    def close_gates(self, int64_t gates):
        """Close these gates and open all others.

        Parameters
        ----------
        gates : int
            Bits of ``types.Gate``.
        """
        if not 0 <= gates < 256:
            raise ValueError(f"no such gates: {gates}")
        self.gates = gates

    def remember(self, int64_t peak_e8, int64_t day, int64_t day_start_e8, *, bint day_lost=False, bint halted=False,
                 bint killed=False, int64_t paused_until=0, loss_peaks=(), symbols=()):
        """Begin with what the run before this one knew: losses and latches outlive a process.

        Parameters
        ----------
        peak_e8 : int
            Highest equity, moved by the transfers since, 1e-8 USDT.
        day : int
            UTC day number of ``day_start_e8``; another day begins anew.
        day_start_e8 : int
            Equity at the beginning of that day, moved by the transfers since.
        day_lost, halted, killed : bool, optional
            What was latched.
        paused_until : int, optional
            Of the loss-rate breaker, ns.
        loss_peaks : iterable of (int, int), optional
            As `loss_peaks` returned them.
        symbols : iterable of (int, int, int), optional
            As `symbols_held_back` returned them.
        """
        cdef int64_t slot, equity, symbol, bits, until
        cdef watch_t* w
        if peak_e8 <= 0 or day_start_e8 <= 0 or day < 0:
            raise ValueError(f"no such past: {peak_e8=} {day=} {day_start_e8=}")
        for slot, equity in loss_peaks:
            self.add_peak(slot, equity)
        for symbol, bits, until in symbols:
            if not 0 <= symbol < self.instruments.size:
                raise ValueError(f"no such past: {symbol=}")
            w = &self.watched[symbol]
            w.halted, w.disabled[0], w.disabled[1] = bits & 1 != 0, bits & 2 != 0, bits & 4 != 0
            w.paused_until = until
        self.paused_until = paused_until
        self.peak_e8 = max(self.peak_e8, peak_e8)
        self.day = day
        self.day_start_e8 = day_start_e8
        self.day_lost = day_lost
        self.halted = halted
        self.killed = killed

    def loss_peaks(self):
        """Return what the loss-rate breaker compares with: number of ten seconds and equity, oldest first."""
        return [(self.peaks[(self.first_peak + k) % LOSS_SLOTS].slot,
                 self.peaks[(self.first_peak + k) % LOSS_SLOTS].equity_e8) for k in range(self.n_peaks)]

    def symbols_held_back(self):
        """Return (symbol, bits, paused until) of each in which something may not be opened.

        Bits: 1 halted by an operator, 2 buying and 4 selling disabled by a breaker.
        """
        found = [(k, self.watched[k].halted | self.watched[k].disabled[0] << 1 | self.watched[k].disabled[1] << 2,
                  self.watched[k].paused_until) for k in range(self.instruments.size)]
        return [one for one in found if one[1] or one[2]]

    def ask(self, int symbol, int side, int64_t lots, int64_t price_ticks=0, *, int64_t now, int type=-1, int tif=0,
            bint reduce_only=False, int position_side=0, int64_t trigger_ticks=0, int64_t activate_ticks=0,
            int64_t callback_e8=0, int64_t good_till=0, int stp=0, int price_match=0, int terms=0,
            int64_t edge_e8=0, uint64_t intent=0, bint reprice=False, bint hold=True, Approval approval=None):
        """Return the verdict on an order, and hold it if it is approved (unless told not to).

        Parameters
        ----------
        symbol, side, lots, price_ticks
            ``price_ticks`` 0 without a ``type`` is a market order.
        now : int
            Event time, ns.
        type, tif, position_side, stp, price_match, terms : int, optional
            ``types.OrderType``, ``TimeInForce``, ``PositionSide``, ``SelfTrade``, ``PriceMatch`` and bits of ``Term``.
        trigger_ticks, activate_ticks, callback_e8, good_till : int, optional
            Of conditional and GTD orders.
        edge_e8 : int, optional
            Expected profit as a share of the notional.
        intent : int, optional
            The strategy's number for what it wants, counting up; ``reprice`` when it has an order already.
        approval : Approval, optional
            Takes the order that is approved and held, for the wire.

        Returns
        -------
        Reason
        """
        cdef request_t r
        cdef approved_t out
        cdef Reason reason
        memset(&r, 0, sizeof(request_t))
        r.symbol = symbol if 0 <= symbol < GATE_SYMBOLS else GATE_SYMBOLS
        r.side = small(side)
        r.position_side = small(position_side)
        r.type = small(type) if type >= 0 else OrderType.LIMIT if price_ticks else OrderType.MARKET
        r.tif = small(tif)
        r.reduce_only = reduce_only
        r.price_ticks = price_ticks
        r.lots = lots
        r.trigger_ticks = trigger_ticks
        r.activate_ticks = activate_ticks
        r.callback_e8 = callback_e8
        r.good_till = good_till
        r.stp = small(stp)
        r.price_match = small(price_match)
        r.terms = small(terms)
        r.edge_e8 = edge_e8
        r.intent = intent
        r.reprice = reprice
        self.refresh(now)
        reason = self.approve(&r, now, &out) if hold else self.check(&r, now)
        if approval is not None and hold and reason == Reason.APPROVED:
            approval.order = out
        return ReasonFace(reason)

    def ask_amend(self, uint64_t client_id, int64_t price_ticks, int64_t lots, *, int64_t now, uint64_t intent=0,
                  Approval approval=None):
        """Return the verdict on an amendment of an open order, and hold it if it is approved."""
        cdef approved_t out
        cdef Reason reason
        cdef order_t* order = self.orders.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        self.refresh(now)
        reason = self.amend(order, price_ticks, lots, intent, now, &out)
        if approval is not None and reason == Reason.APPROVED:
            approval.order = out
        return ReasonFace(reason)

    def refresh(self, int64_t now):
        """Bring the running totals to a state that was changed from Python."""
        cdef int k
        for k in range(self.instruments.size):
            self.update(k, now)

    def observe(self, int64_t now):
        """Update the loss limits; return the alarms that are new, one bit each."""
        self.refresh(now)
        return self.watch(now)

    def tell(self, int symbol, *, headroom=None, funding=None, cluster=None, suspended=None, delist=None,
             int64_t now=0):
        """Tell what else is known of a symbol.

        Parameters
        ----------
        symbol : int
        headroom : tuple of (int, int), optional
            Largest additional lots to buy and to sell, known at ``now``.
        funding : tuple of (int, int), optional
            Rate to come (1e-8) and its stamp (ns).
        cluster : int, optional
            Symbols of one cluster share a limit; 0 is none. Before anything is open.
        suspended : bool, optional
            Whether the exchange does not let it trade.
        delist : int, optional
            When it leaves the exchange, ns; 0 never.
        """
        cdef watch_t* w
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)
        w = &self.watched[symbol]
        if headroom is not None:
            w.headroom[0], w.headroom[1] = headroom
            w.headroom_ts = now
        if funding is not None:
            w.rate_e8, w.funding_due = funding
        if cluster is not None:
            if not 0 <= cluster <= GATE_SYMBOLS or w.worst_e8:
                raise ValueError(f"cluster {cluster} of symbol {symbol}")
            w.cluster = cluster
        if suspended is not None:
            w.suspended = suspended
        if delist is not None:
            w.delist = delist

    def judge_by(self, Quality quality not None):
        """Refuse or reduce entries by the quality of a symbol's data."""
        self.quality = quality

    def use_weight(self, int64_t weight, int64_t limit, int64_t now):
        """Tell how much of the exchange's request weight is used in the minute of ``now`` (ns)."""
        self.weight = weight
        self.weight_minute = now // MINUTE
        self.weight_limit = limit

    def ended(self, uint64_t client_id, int64_t now):
        """Count how an order ended, for the message-quality ratios; return 0 fine, 1 alarm, 2 stop."""
        cdef order_t* order = self.orders.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        self.on_ended(order, now)
        self.quality_level = self.judge_quality(now)
        return self.quality_level

    def distance(self, int symbol, int leg=0):
        """Return the distance to liquidation as a share of the mark (1e-8); 1 when there is none near."""
        if not 0 <= symbol < self.instruments.size or not 0 <= leg <= 1:
            raise IndexError(symbol)
        return self.liquidation_distance_e8(symbol, leg)

    def reduces(self, int symbol, int leg=0):
        """Return whether a leg has to be made smaller by force."""
        if not 0 <= symbol < self.instruments.size or not 0 <= leg <= 1:
            raise IndexError(symbol)
        return self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots != 0 \
            and self.must_reduce(self.liquidation_distance_e8(symbol, leg))

    def watching(self, int symbol):
        """Return what the gate remembers of a symbol."""
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)
        return dict(self.watched[symbol])

    def sound(self):
        """Return whether the running totals are those of the state."""
        return self.audit()

    def totals(self):
        """Return the running exposure totals (gross, net bought, net sold, clusters), 1e-8 USDT."""
        return (self.gross_worst_e8, self.net_worst_e8[0], self.net_worst_e8[1],
                [self.cluster_e8[k] for k in range(GATE_SYMBOLS + 1)])

    def refused(self):
        """Return {reason: count} of everything refused so far."""
        return {ReasonFace(k).name: self.refusals[k] for k in range(64) if self.refusals[k]}

    def sent(self):
        """Return the stamps of the orders that still count against the minute's limit."""
        first = max(0, self.minute_count - self.limits.orders_per_minute)
        return [self.minute[k % MINUTE_ORDERS] for k in range(first, self.minute_count)]

    def asked(self):
        """Return the orders that the duplicate guard still remembers, newest first."""
        cdef const recent_t* seen
        cdef int64_t k, newest = self.recent[(self.recent_count - 1) % RECENT_ORDERS].ts if self.recent_count else 0
        found = []
        for k in range(min(self.recent_count, RECENT_ORDERS)):
            seen = &self.recent[(self.recent_count - 1 - k) % RECENT_ORDERS]
            if newest - seen.ts > self.limits.duplicate_ns:
                break
            found.append((seen.ts, seen.symbol, seen.side, seen.price_ticks, seen.lots))
        return found

    def state(self):
        """Return what the state hash covers."""
        return (self.peak_e8, self.equity_seen_e8, self.max_drawdown_e8, self.day, self.day_start_e8, self.armed,
                self.gates, self.halted, self.killed, self.day_lost, self.quality_level, self.tripped, self.ladder,
                self.paused_until, self.weight, self.weight_minute, self.weight_limit, self.last_intent,
                self.account_rate.level_ns, self.account_rate.ts, self.strategy_rate.level_ns, self.strategy_rate.ts,
                self.transfers_seen_e8, self.minute_count, self.recent_count, self.size_count, self.totals(),
                [self.sizes[k] for k in range(TYPICAL)],
                [dict(self.peaks[(self.first_peak + k) % LOSS_SLOTS]) for k in range(self.n_peaks)],
                [self.chases[k] for k in range(CHASES)], [self.ends[k] for k in range(QUALITY_MINUTES)],
                [self.watching(k) for k in range(self.instruments.size)],
                [self.refusals[k] for k in range(64)], self.sent(), self.asked())


cdef int64_t earned(Account account, int symbol) noexcept nogil:
    # Realised profit, net of fees and funding.
    cdef const position_t* p = &account.positions[symbol]
    cdef const position_t* q = &account.positions[symbol + ACCOUNT_SYMBOLS]
    return p.realised_e8 - p.fees_e8 + p.funding_e8 + q.realised_e8 - q.fees_e8 + q.funding_e8


cdef bint within_collar(int side, int64_t price, int64_t reference, int64_t collar_e8) noexcept nogil:
    # A buy no higher, a sell no lower than the collar around the reference.
    if side == Side.BUY:
        return no_more(price, E8, reference, E8 + collar_e8)
    return no_more(reference, E8 - collar_e8, price, E8)


cdef bint is_beyond(int64_t liquidation, int64_t mark, int64_t lots) noexcept nogil:
    # Whether a mark has passed the liquidation price of these lots. Of none, maintenance grows with the price.
    return liquidation >= mark if lots > 0 else liquidation <= mark


cdef int64_t scaled(int64_t level_e8, int64_t before_e8, int64_t after_e8) noexcept nogil:
    # A level of the equity after a transfer; without equity to scale by, moved by the amount.
    if before_e8 <= 0 or after_e8 <= 0:
        return level_e8 + after_e8 - before_e8
    return mul_div(level_e8, after_e8, before_e8)


cdef bint lost(int64_t start_e8, int64_t equity_e8, int64_t share_e8) noexcept nogil:
    # Whether at least this share of the start is gone: exactly at the limit trips.
    return no_more(equity_e8, E8, start_e8, E8 - share_e8)


cdef limits_t NO_LIMITS
memset(&NO_LIMITS, 0, sizeof(limits_t))
LIMITS = frozenset(dict(NO_LIMITS))
MAY_BE_ZERO = frozenset({
    "acknowledged", "armed", "delist_ns", "duplicate_ns", "first_minute", "headroom_ns", "losing_trips", "max_unknown",
    "repeated_entries", "spread_floor", "stale_order_ns", "stop_e8", "unprotected_ns",
})
