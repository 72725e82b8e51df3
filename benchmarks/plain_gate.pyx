"""Ten pre-trade checks with hold in plain C: what the risk gate's figure is divided by.

Knows the plainest honest way: arrays by symbol, one loop over them an order, a ring of recent orders, a ring of a
minute's stamps, a bucket. Refuses to know 128-bit products, ladders of drawdown, candles, exits and modes: whoever
builds one gives it values that fit 63 bits and asks for entries.
"""
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

cdef enum:
    SYMBOLS = 128
    RING = 4096

cdef int64_t SECOND = 1000000000
cdef int64_t MINUTE = 60000000000
cdef int64_t E8 = 100000000

cdef enum:
    APPROVED = 0
    COLLAR = 1
    NOTIONAL = 3
    QUANTITY = 4
    POSITION = 5
    GROSS = 6
    LIQUIDATION = 9
    RATE = 11
    DUPLICATE = 15
    STALE = 18
    MARGIN = 43


cdef struct asked_t:
    int64_t ts
    int64_t symbol
    int64_t side
    int64_t price
    int64_t lots


@cython.final
cdef class PlainGate:
    """The ten checks over arrays, and the orders that they let through.

    Parameters
    ----------
    rules : dict
        The gate's limits, as the core takes them.
    spec : dict
        The facts that all symbols share, as the core takes them.
    equity_e8 : int
    positions, marks : list of int
        Signed lots and mark prices (ticks) by symbol.
    depth_lots : int
        Lots on the other side of every book.
    """

    cdef int64_t size, equity, now
    cdef int64_t lots[SYMBOLS]
    cdef int64_t mark[SYMBOLS]
    cdef int64_t stamp[SYMBOLS]
    cdef int64_t open_lots[SYMBOLS][2]
    cdef int64_t open_value[SYMBOLS][2]
    cdef int64_t leverage[SYMBOLS]
    cdef int64_t maintenance[SYMBOLS]
    cdef asked_t recent[RING]
    cdef int64_t minute[RING]
    cdef int64_t sent, debt, debt_ts
    cdef int64_t unit, max_lots, depth, min_notional, max_order, symbol_cap, max_gross, distance
    cdef int64_t collar, per_second, burst, per_minute, duplicate_ns, stale_ns, mmr, fee

    def __init__(self, dict rules not None, dict spec not None, int64_t equity_e8, list positions not None,
                 list marks not None, int64_t depth_lots):
        memset(self.open_lots, 0, sizeof(self.open_lots))
        memset(self.open_value, 0, sizeof(self.open_value))
        self.size = len(positions)
        self.equity = equity_e8
        self.unit = spec["tick_e8"] * spec["lot_e8"] // E8
        self.mmr = spec["brackets"][0][2]
        self.fee = spec["taker_fee_e8"]
        self.collar = spec["collar_e8"]
        self.max_lots = spec["max_lots"]
        self.min_notional = spec["min_notional_e8"]
        for k in range(self.size):
            self.lots[k] = positions[k]
            self.mark[k] = marks[k]
            self.leverage[k] = spec["leverage"]
            self.maintenance[k] = abs(positions[k]) * marks[k] * self.unit * self.mmr // E8
        self.depth = depth_lots * rules["depth_share_e8"] // E8
        self.max_order = min(
            rules["max_order_e8"],
            equity_e8 * rules["order_equity_share_e8"] // E8 * rules["order_leverage_e8"] // E8,
            rules["assumed_minute_e8"] * rules["volume_share_e8"] // E8,
        )
        self.symbol_cap = equity_e8 * rules["symbol_share_e8"] // E8 * rules["strategy_leverage_e8"] // E8
        self.max_gross = equity_e8 * rules["max_gross_e8"] // E8
        self.distance = rules["liquidation_distance_e8"]
        self.per_second = rules["orders_per_second"]
        self.burst = rules["order_burst"]
        self.per_minute = rules["orders_per_minute"]
        self.duplicate_ns = rules["duplicate_ns"]
        self.stale_ns = rules["book_stale_ns"]

    cdef void renew(self, int symbol, int64_t now) noexcept nogil:
        self.now = now
        self.stamp[symbol] = now

    cdef int approve(self, int symbol, int side, int64_t price, int64_t lots) noexcept nogil:
        cdef int verdict = self.check(symbol, side, price, lots)
        if verdict == APPROVED:
            self.hold(symbol, side, price, lots)
        return verdict

    cdef int check(self, int symbol, int side, int64_t price, int64_t lots) noexcept nogil:
        cdef int64_t mark = self.mark[symbol], notional = price * lots * self.unit
        cdef int64_t gross = 0, margin = 0, maintenance = 0, buys, sells, value, up, down, most, k, needed, debt
        if self.now - self.stamp[symbol] > self.stale_ns:
            return STALE
        if (price * E8 > mark * (E8 + self.collar)) if side == 0 else (price * E8 < mark * (E8 - self.collar)):
            return COLLAR
        if notional < self.min_notional or notional > self.max_order:
            return NOTIONAL
        if lots > self.max_lots or lots > self.depth:
            return QUANTITY
        most = self.lots[symbol] + self.open_lots[symbol][0] + lots if side == 0 \
            else self.open_lots[symbol][1] + lots - self.lots[symbol]
        if most * mark * self.unit > self.symbol_cap:
            return POSITION
        for k in range(self.size):                 # the worst of each symbol: all buys fill, or all sells
            buys = self.open_lots[k][0] + (lots if k == symbol and side == 0 else 0)
            sells = self.open_lots[k][1] + (lots if k == symbol and side == 1 else 0)
            up = self.lots[k] + buys
            down = sells - self.lots[k]
            gross += max(up, down, -up, -down, buys, sells) * self.mark[k] * self.unit
            value = self.lots[k] * self.mark[k] * self.unit
            up = value + self.open_value[k][0] + (notional if k == symbol and side == 0 else 0)
            down = self.open_value[k][1] + (notional if k == symbol and side == 1 else 0) - value
            margin += max(up, down, -up, -down) // self.leverage[k]
            maintenance += self.maintenance[k]
        if gross > self.max_gross:
            return GROSS
        # The mark falls (or rises) by this share before equity meets maintenance.
        needed = self.equity - maintenance
        if needed <= 0 or <double> needed < <double> most * mark * self.unit * (<double> self.distance / E8):
            return LIQUIDATION
        if margin + <int64_t> (<double> notional * self.fee / E8) > self.equity:
            return MARGIN
        k = self.sent - 1
        while k >= 0 and k >= self.sent - RING and self.now - self.recent[k & (RING - 1)].ts <= self.duplicate_ns:
            if self.recent[k & (RING - 1)].symbol == symbol and self.recent[k & (RING - 1)].side == side \
                    and self.recent[k & (RING - 1)].price == price and self.recent[k & (RING - 1)].lots == lots:
                return DUPLICATE
            k -= 1
        debt = max(0, self.debt - (self.now - self.debt_ts))
        if debt + SECOND // self.per_second > self.burst * (SECOND // self.per_second):
            return RATE
        if self.sent >= self.per_minute \
                and self.now - self.minute[(self.sent - self.per_minute) & (RING - 1)] < MINUTE:
            return RATE
        return APPROVED

    cdef void hold(self, int symbol, int side, int64_t price, int64_t lots) noexcept nogil:
        cdef asked_t* seen = &self.recent[self.sent & (RING - 1)]
        seen.ts = self.now
        seen.symbol = symbol
        seen.side = side
        seen.price = price
        seen.lots = lots
        self.minute[self.sent & (RING - 1)] = self.now
        self.sent += 1
        self.debt = max(0, self.debt - (self.now - self.debt_ts)) + SECOND // self.per_second
        self.debt_ts = self.now
        self.open_lots[symbol][side] += lots
        self.open_value[symbol][side] += price * lots * self.unit

    cdef void release(self, int symbol, int side, int64_t price, int64_t lots) noexcept nogil:
        self.open_lots[symbol][side] -= lots
        self.open_value[symbol][side] -= price * lots * self.unit

    def ask(self, const int64_t[:, ::1] wanted, int64_t now, int64_t step_ns, int working, int64_t[::1] verdicts):
        """Ask for one order after the other; the oldest of more than ``working`` open ones is released.

        Parameters
        ----------
        wanted : array of int64, shape (n, 4)
            Symbol, side, price in ticks, lots.
        now, step_ns : int
            Stamp of the first, and the time from one to the next.
        working : int
        verdicts : array of int64
            Filled; 0 approves.
        """
        cdef int64_t held[512]
        cdef Py_ssize_t k, oldest
        cdef int64_t first = 0, last = 0
        if not 0 < working < 512:
            raise ValueError(f"{working} working orders")
        for k in range(wanted.shape[0]):
            self.renew(wanted[k, 0], now + k * step_ns)
            verdicts[k] = self.approve(wanted[k, 0], wanted[k, 1], wanted[k, 2], wanted[k, 3])
            if verdicts[k]:
                continue
            held[last & 511] = k
            last += 1
            if last - first > working:
                oldest = held[first & 511]
                first += 1
                self.release(wanted[oldest, 0], wanted[oldest, 1], wanted[oldest, 2], wanted[oldest, 3])
        while first < last:                        # a run leaves nothing behind
            oldest = held[first & 511]
            first += 1
            self.release(wanted[oldest, 0], wanted[oldest, 1], wanted[oldest, 2], wanted[oldest, 3])
