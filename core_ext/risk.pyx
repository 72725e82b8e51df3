"""Pre-trade controls, loss limits, and the only place that fills an ``approved_t``.

The controls keep the numbers of the risk table (R1 to R32) in their reasons. Each is a comparison of
integers; ties follow the table: an order exactly at its limit passes, a loss exactly at its limit trips.
"""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport Account, position_t
from core_ext.fixed cimport E8, magnitude, mul, mul_div, mul_div_floor, part_e8, price_e8, value_e8
from core_ext.orders cimport Orders, exposure_t
from core_ext.signal cimport Markets, atr, market_t, mid_e8, minute_volume_lots
from core_ext.types cimport Alarm, Command, Instruments, OrderType, Reason, Side, approved_t, instrument_t

from core_ext.types import Reason as ReasonFace

cdef int64_t SECOND = 1000000000
cdef int64_t MINUTE = 60000000000
cdef int64_t DAY = 86400000000000
cdef int64_t STALE_MARK_NS = 2000000000

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
        The state that it judges by; the engine's own.
    limits : dict
        The fields of ``limits_t``: ``*_e8`` integers with eight decimals, ``*_ns`` nanoseconds.

    Raises
    ------
    ValueError
        If a limit is missing, unknown or not positive.
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.limits, 0, sizeof(limits_t))
        memset(&self.account_rate, 0, sizeof(bucket_t))
        memset(&self.strategy_rate, 0, sizeof(bucket_t))
        memset(self.minute, 0, sizeof(self.minute))
        memset(self.recent, 0, sizeof(self.recent))
        memset(self.refusals, 0, sizeof(self.refusals))

    def __init__(self, Instruments instruments not None, Account account not None, Orders orders not None,
                 Markets markets not None, dict limits not None):
        self.instruments = instruments
        self.account = account
        self.orders = orders
        self.markets = markets
        missing = LIMITS - limits.keys()
        unknown = limits.keys() - LIMITS
        if missing or unknown:
            raise ValueError(f"risk limits: missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, value in limits.items():
            if not 0 <= value < 1 << 62 or (value == 0 and name not in MAY_BE_ZERO):
                raise ValueError(f"risk limit {name} is out of range: {value}")
        if limits["orders_per_minute"] >= MINUTE_ORDERS:
            raise ValueError(f"orders_per_minute is at most {MINUTE_ORDERS - 1}")
        self.limits = limits
        self.day = -1
        self.peak_e8 = account.equity_e8()
        self.equity_seen_e8 = self.peak_e8

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
        self.count_order(r, now)               # exits too: they use up the budget that they may exceed
        memset(out, 0, sizeof(approved_t))
        out.client_id = client_id
        out.ts = now
        out.price_ticks = r.price_ticks
        out.lots = r.lots
        out.reference_e8 = self.reference(r.symbol)
        out.symbol = r.symbol
        out.side = r.side
        out.type = r.type
        out.tif = r.tif
        out.reduce_only = r.reduce_only
        out.limiting = r.limiting
        self.orders.insert(out, self.hold_ticks(r))
        return Reason.APPROVED

    cdef int64_t reference(self, int symbol) noexcept nogil:
        cdef int64_t middle = mid_e8(&self.markets.data[symbol], &self.instruments.data[symbol])
        return middle if middle > 0 else self.markets.data[symbol].mark_e8

    cdef int64_t hold_ticks(self, const request_t* r) noexcept nogil:
        # The price at which the order counts as exposure until it fills.
        cdef const market_t* m = &self.markets.data[r.symbol]
        if r.type == OrderType.LIMIT:
            return r.price_ticks
        return m.ask_ticks if r.side == Side.BUY else m.bid_ticks

    cdef Reason check(self, const request_t* r, int64_t now) noexcept nogil:
        cdef const instrument_t* i
        cdef market_t* m
        cdef int64_t most
        if r.symbol >= self.instruments.size or r.side > 1 or r.type > 1 or r.tif > 2:
            return Reason.R31_RISK_FAULT
        i = &self.instruments.data[r.symbol]
        m = &self.markets.data[r.symbol]
        if r.type == OrderType.LIMIT and not i.min_ticks <= r.price_ticks <= i.max_ticks:
            return Reason.FILTER_PRICE
        if r.type == OrderType.MARKET and r.price_ticks != 0:
            return Reason.FILTER_PRICE
        most = i.max_market_lots if r.type == OrderType.MARKET else i.max_lots
        if not i.min_lots <= r.lots:
            return Reason.FILTER_QUANTITY
        if r.lots > most:
            return Reason.R4_ORDER_QUANTITY
        if self.shrinks(r):
            return self.check_exit(r, i, m)
        if r.reduce_only:
            return Reason.NOTHING_TO_REDUCE
        return self.check_entry(r, now, i, m)

    cdef bint shrinks(self, const request_t* r) noexcept nogil:
        # Against the position, and no more than what is left of it if everything on that side fills. A reduce-only
        # order only has to fit the position: the venue cuts it to what is left.
        cdef int64_t lots = self.account.positions[r.symbol].lots
        cdef const exposure_t* open = &self.orders.open[r.symbol][r.side]
        if lots == 0 or (lots > 0) == (r.side == Side.BUY):
            return False
        return r.lots + (0 if r.reduce_only else open.lots) <= magnitude(lots)

    cdef Reason check_exit(self, const request_t* r, const instrument_t* i, const market_t* m) noexcept nogil:
        # Only the wide collar: a sane price, never our own limits.
        cdef int64_t mark = m.mark_e8 if m.mark_e8 > 0 else m.last_e8
        if r.type == OrderType.LIMIT and mark > 0 \
                and not within_collar(r.side, price_e8(i, r.price_ticks), mark, self.limits.exit_collar_e8):
            return Reason.R1_PRICE_COLLAR
        return Reason.APPROVED

    cdef Reason check_entry(self, const request_t* r, int64_t now, const instrument_t* i, market_t* m) noexcept nogil:
        cdef int64_t price, reference
        cdef Reason reason
        if self.killed:
            return Reason.R22_DRAWDOWN_KILL
        if self.halted:
            return Reason.HALTED
        if self.day_lost:
            return Reason.R21_DAILY_LOSS
        if self.ladder == 2:
            return Reason.R20_REDUCE_ONLY
        if not i.tradable:
            return Reason.R28_SYMBOL_STATUS
        if not self.fresh(m, now):
            return Reason.R18_STALE_DATA
        price = price_e8(i, self.hold_ticks(r))
        if price <= 0 or m.mark_e8 <= 0 or self.account.equity_e8() <= 0 or not self.all_marked():
            return Reason.R31_RISK_FAULT
        reference = mid_e8(m, i)
        if not within_collar(r.side, price, m.mark_e8, i.collar_e8) \
                or (reference > 0 and not within_collar(r.side, price, reference, i.collar_e8)):
            return Reason.R1_PRICE_COLLAR
        if not (price <= mul_div_floor(m.mark_e8, i.up_e8, E8) if r.side == Side.BUY
                else price >= -mul_div_floor(-m.mark_e8, i.down_e8, E8)):
            return Reason.FILTER_PRICE
        reason = self.check_size(r, now, i, m, price)
        if reason == Reason.APPROVED:
            reason = self.check_exposure(r, i, m, price)
        if reason == Reason.APPROVED:
            reason = self.check_flow(r, now)
        return reason

    cdef bint fresh(self, const market_t* m, int64_t now) noexcept nogil:
        # R18, by the declared source: candles age in units of their own interval, streams in seconds.
        if not m.book_good:
            return False
        if m.interval_ns:
            return <double> (now - min(m.ts_last, m.ts_mark)) <= self.limits.candle_stale * <double> m.interval_ns
        return now - m.ts_book <= self.limits.book_stale_ns and now - m.ts_mark <= self.limits.mark_stale_ns

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
        if notional > (most >> 1 if self.ladder == 1 else most):
            return Reason.R3_ORDER_NOTIONAL
        if r.lots > mul_div_floor(depth, self.limits.depth_share_e8, E8):
            return Reason.R4_ORDER_QUANTITY
        return Reason.APPROVED

    cdef int64_t symbol_cap_e8(self) noexcept nogil:
        cdef int64_t most = part_e8(part_e8(self.account.equity_e8(), self.limits.symbol_share_e8),
                                    self.limits.strategy_leverage_e8)
        return most >> 1 if self.ladder == 1 else most

    cdef Reason check_exposure(self, const request_t* r, const instrument_t* i, const market_t* m,
                               int64_t price) noexcept nogil:
        if value_e8(i, m.mark_e8, self.worst_lots(r.symbol, r, r.side)) > self.symbol_cap_e8():
            return Reason.R5_POSITION_LIMIT
        if self.gross_worst_e8(r) > part_e8(self.account.equity_e8(), self.limits.max_gross_e8):
            return Reason.R6_GROSS_EXPOSURE
        if not self.far_from_liquidation(r, i, m, price):
            return Reason.R9_LIQUIDATION_DISTANCE
        if self.required_margin_e8(r, price) > self.account.equity_e8():
            return Reason.INSUFFICIENT_MARGIN
        return Reason.APPROVED

    cdef int64_t worst_lots(self, int symbol, const request_t* r, int side) noexcept nogil:
        # The largest position that the open orders of a side and this one can make, whatever the order of their
        # fills: all of them on top of the position, or the plain ones after reduce-only ones have closed it.
        cdef const exposure_t* open = &self.orders.open[symbol][side]
        cdef int64_t lots = self.account.positions[symbol].lots
        cdef int64_t more = r.lots if symbol == r.symbol and r.side == side else 0
        return max(magnitude(lots + (open.lots + more if side == Side.BUY else -open.lots - more)),
                   open.lots - open.reducing + more)

    cdef bint all_marked(self) noexcept nogil:
        # Exposure without a mark cannot be valued.
        cdef int k
        for k in range(self.instruments.size):
            if self.markets.data[k].mark_e8 <= 0 and (self.account.positions[k].lots or self.orders.open[k][0].orders
                                                      or self.orders.open[k][1].orders):
                return False
        return True

    cdef int64_t gross_worst_e8(self, const request_t* r) noexcept nogil:
        # Sum over symbols of the largest position that each can come to, at the mark.
        cdef int64_t total = 0, lots
        cdef int k
        for k in range(self.instruments.size):
            lots = max(self.worst_lots(k, r, Side.BUY), self.worst_lots(k, r, Side.SELL))
            if lots:
                total += value_e8(&self.instruments.data[k], self.markets.data[k].mark_e8, lots)
        return total

    cdef int64_t required_margin_e8(self, const request_t* r, int64_t price) noexcept nogil:
        # Initial margin of positions and open orders, the new one with its fee and its loss against the mark.
        cdef const instrument_t* i = &self.instruments.data[r.symbol]
        cdef int64_t total = 0, value, buys, sells, notional = value_e8(i, price, r.lots)
        cdef int64_t worse = price - self.markets.data[r.symbol].mark_e8
        cdef int k
        for k in range(self.instruments.size):
            value = self.account.positions[k].value_e8
            buys = mul(self.orders.open[k][0].value_ticks, self.instruments.data[k].unit_e8)
            sells = mul(self.orders.open[k][1].value_ticks, self.instruments.data[k].unit_e8)
            if k == r.symbol:
                buys += notional if r.side == Side.BUY else 0
                sells += notional if r.side == Side.SELL else 0
            total += max(magnitude(value + buys), magnitude(value - sells)) // self.instruments.data[k].leverage
        worse = worse if r.side == Side.BUY else -worse
        return total + part_e8(notional, i.taker_fee_e8) + (value_e8(i, worse, r.lots) if worse > 0 else 0)

    cdef bint far_from_liquidation(self, const request_t* r, const instrument_t* i, const market_t* m,
                                   int64_t price) noexcept nogil:
        # R9: the position as if this order and everything open on its side had filled.
        cdef const position_t* p = &self.account.positions[r.symbol]
        cdef const exposure_t* open = &self.orders.open[r.symbol][r.side]
        cdef int64_t sign = 1 if r.side == Side.BUY else -1
        cdef int64_t added = value_e8(i, price, r.lots) + mul(open.value_ticks, i.unit_e8)
        cdef int64_t wallet = self.account.wallet_e8 - part_e8(added, i.taker_fee_e8)
        cdef int64_t lots = p.lots + sign * (open.lots + r.lots)
        cdef int64_t liquidation = self.account.liquidation_price(r.symbol, lots, p.cost_e8 + sign * added, wallet)
        cdef int64_t distance
        cdef double needed
        if liquidation == 0:
            return True
        if (liquidation >= m.mark_e8) == (lots > 0):
            return False                       # already beyond it
        distance = mul_div_floor(magnitude(m.mark_e8 - liquidation), E8, m.mark_e8)
        needed = self.limits.liquidation_atr * atr(m, self.limits.atr_floor) / (m.mark_e8 * 1e-8)
        return distance >= self.limits.liquidation_distance_e8 and <double> distance * 1e-8 >= needed

    cdef Reason check_flow(self, const request_t* r, int64_t now) noexcept nogil:
        cdef const recent_t* seen
        cdef int64_t k, oldest
        cdef int64_t open_here = self.orders.open[r.symbol][0].orders + self.orders.open[r.symbol][1].orders
        if open_here >= self.limits.max_orders_symbol or self.orders.open_orders >= self.limits.max_orders_total:
            return Reason.R25_OPEN_ORDERS
        for k in range(min(self.recent_count, RECENT_ORDERS)):     # the newest first
            seen = &self.recent[(self.recent_count - 1 - k) % RECENT_ORDERS]
            if now - seen.ts > self.limits.duplicate_ns:
                break
            if seen.symbol == r.symbol and seen.side == r.side and seen.price_ticks == r.price_ticks \
                    and seen.lots == r.lots:
                return Reason.R15_DUPLICATE
        if not bucket_allows(&self.account_rate, now, self.limits.orders_per_second, self.limits.order_burst) \
                or not bucket_allows(&self.strategy_rate, now, self.limits.strategy_orders_per_second,
                                     self.limits.order_burst):
            return Reason.R11_ORDER_RATE
        if self.minute_count >= self.limits.orders_per_minute:
            oldest = self.minute[(self.minute_count - self.limits.orders_per_minute) % MINUTE_ORDERS]
            if now - oldest < MINUTE:
                return Reason.R11_ORDER_RATE
        return Reason.APPROVED

    cdef void count_order(self, const request_t* r, int64_t now) noexcept nogil:
        cdef recent_t* seen = &self.recent[self.recent_count % RECENT_ORDERS]
        bucket_take(&self.account_rate, now, self.limits.orders_per_second)
        bucket_take(&self.strategy_rate, now, self.limits.strategy_orders_per_second)
        self.minute[self.minute_count % MINUTE_ORDERS] = now
        self.minute_count += 1
        if self.shrinks(r):                    # an exit and an entry of one size are two intents
            return
        seen.ts = now
        seen.symbol = r.symbol
        seen.side = r.side
        seen.price_ticks = r.price_ticks
        seen.lots = r.lots
        self.recent_count += 1

    # ------------------------------------------------------------------ loss limits

    cdef int64_t worst_equity_e8(self, int64_t now) noexcept nogil:
        # At the mark; where the mark is older than two seconds and a newer price is worse, at that price.
        cdef int64_t equity = self.account.equity_e8(), change
        cdef const market_t* m
        cdef int k
        for k in range(self.instruments.size):
            m = &self.markets.data[k]
            if self.account.positions[k].lots and m.interval_ns == 0 and m.last_e8 > 0 \
                    and now - m.ts_mark >= STALE_MARK_NS and m.ts_last > m.ts_mark:
                change = value_e8(&self.instruments.data[k], m.last_e8, self.account.positions[k].lots) \
                    - self.account.positions[k].value_e8
                equity += min(change, 0)
        return equity

    cdef int64_t drawdown_e8(self) noexcept nogil:
        # Share of the peak that is lost now.
        return mul_div(self.peak_e8 - self.equity_seen_e8, E8, self.peak_e8) if self.peak_e8 > 0 else E8

    cdef int watch(self, int64_t now) noexcept nogil:
        # Update the loss limits from the equity; returns one bit an alarm that is new.
        cdef int64_t equity = self.worst_equity_e8(now)
        cdef int64_t moved = self.account.transfers_e8 - self.transfers_seen_e8
        cdef int alarms = 0
        cdef int ladder
        if moved:                              # a deposit is no profit, a withdrawal no loss: shares stay
            self.peak_e8 = scaled(self.peak_e8, equity - moved, equity)
            self.day_start_e8 = scaled(self.day_start_e8, equity - moved, equity)
            self.equity_seen_e8 = scaled(self.equity_seen_e8, equity - moved, equity)
            self.transfers_seen_e8 += moved
        if now // DAY != self.day:
            # The day starts from what the day before ended with: the first move after midnight is its own.
            self.day_start_e8 = self.equity_seen_e8 if self.day >= 0 else equity
            self.day = now // DAY
            if self.limits.acknowledged:
                self.day_lost = False
        if equity > self.peak_e8:
            self.peak_e8 = equity
        self.equity_seen_e8 = equity
        self.max_drawdown_e8 = max(self.max_drawdown_e8, self.drawdown_e8())
        if not self.day_lost and lost(self.day_start_e8, equity, self.limits.daily_loss_e8):
            self.day_lost = True
            alarms |= 1 << Alarm.DAILY_LOSS
        if not self.killed and lost(self.peak_e8, equity, self.limits.max_drawdown_e8):
            self.killed = True
            alarms |= 1 << Alarm.DRAWDOWN_KILL
        ladder = 2 if lost(self.peak_e8, equity, self.limits.max_drawdown_e8 * 3 // 4) \
            else 1 if lost(self.peak_e8, equity, self.limits.max_drawdown_e8 // 2) else 0
        if ladder > self.ladder and not self.killed:
            alarms |= 1 << (Alarm.DRAWDOWN_REDUCE_ONLY if ladder == 2 else Alarm.DRAWDOWN_HALF)
        self.ladder = ladder
        return alarms

    # ------------------------------------------------------------------ Python face

    def command(self, int command):
        """Apply an operator's command: HALT, RESUME, KILL or ALLOW."""
        if command == Command.HALT:
            self.halted = True
        elif command == Command.RESUME:
            self.halted = False
        elif command == Command.KILL:
            self.killed = True
        elif command == Command.ALLOW:
            self.day_lost = False
        else:
            raise ValueError(f"no such command: {command}")

    def ask(self, int symbol, int side, int64_t lots, int64_t price_ticks=0, *, int64_t now, int tif=0,
            bint reduce_only=False, bint hold=True):
        """Return the verdict on an order, and hold it if it is approved (unless told not to).

        Parameters
        ----------
        symbol, side, lots, price_ticks
            ``price_ticks`` 0 is a market order.
        now : int
            Event time, ns.

        Returns
        -------
        Reason
        """
        cdef request_t r
        cdef approved_t out
        memset(&r, 0, sizeof(request_t))
        r.symbol = symbol
        r.side = side
        r.type = OrderType.LIMIT if price_ticks else OrderType.MARKET
        r.tif = tif
        r.reduce_only = reduce_only
        r.price_ticks = price_ticks
        r.lots = lots
        return ReasonFace(self.approve(&r, now, &out) if hold else self.check(&r, now))

    def observe(self, int64_t now):
        """Update the loss limits; return the alarms that are new, one bit each."""
        return self.watch(now)

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
        return (self.peak_e8, self.equity_seen_e8, self.max_drawdown_e8, self.day, self.day_start_e8, self.halted,
                self.killed, self.day_lost, self.ladder, self.account_rate.level_ns, self.account_rate.ts,
                self.strategy_rate.level_ns, self.strategy_rate.ts, self.transfers_seen_e8, self.minute_count,
                self.recent_count, [self.refusals[k] for k in range(64)], self.sent(), self.asked())


cdef bint within_collar(int side, int64_t price, int64_t reference, int64_t collar_e8) noexcept nogil:
    # A buy no higher, a sell no lower than the collar around the reference.
    if side == Side.BUY:
        return price <= mul_div_floor(reference, E8 + collar_e8, E8)
    return price >= -mul_div_floor(-reference, E8 - collar_e8, E8)


cdef int64_t scaled(int64_t level_e8, int64_t before_e8, int64_t after_e8) noexcept nogil:
    # A level of the equity after a transfer; without equity to scale by, moved by the amount.
    if before_e8 <= 0 or after_e8 <= 0:
        return level_e8 + after_e8 - before_e8
    return mul_div(level_e8, after_e8, before_e8)


cdef bint lost(int64_t start_e8, int64_t equity_e8, int64_t share_e8) noexcept nogil:
    # Whether at least this share of the start is gone: exactly at the limit trips.
    return mul_div_floor(start_e8, E8 - share_e8, E8) >= equity_e8


cdef limits_t NO_LIMITS
memset(&NO_LIMITS, 0, sizeof(limits_t))
LIMITS = frozenset(dict(NO_LIMITS))
MAY_BE_ZERO = frozenset({"acknowledged", "duplicate_ns"})
