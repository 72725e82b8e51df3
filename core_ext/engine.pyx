"""The engine: events in, state and intents out."""
cimport cython
from libc.stdint cimport int64_t, uint64_t

from core_ext.account cimport ACCOUNT_SYMBOLS, Account, position_t
from core_ext.book cimport Book
from core_ext.fixed cimport E8, magnitude, mul_div_floor, ticks_down, ticks_up
from core_ext.orders cimport ORDER_PLACES, Evidence, Orders, is_terminal, order_t
from core_ext.quality cimport Quality
from core_ext.risk cimport RiskGate
from core_ext.signal cimport (
    Markets, market_t, microprice_e8, on_candle, on_gap, on_own_fill, on_touch, on_trade,
)
from core_ext.strategy cimport Desk, Hook, Strategy
from core_ext.types cimport (
    CHECKED, Alarm, AlgoStatus, Asset, Cause, Command, Flag, Instruments, Kind, OrderState, OrderType, PositionSide,
    Rows, Side, Term, event_t, instrument_t, is_conditional, leg_of, set_filters, take_bracket,
)

import hashlib
from inspect import isfunction

cdef int64_t SECOND = 1000000000
cdef int64_t LATEST_NS = (<int64_t> 1) << 62
cdef int64_t STALE_MARK_NS = 2000000000
cdef int64_t ON_ITS_WAY_NS = 6000000000     # a request is good for 5 s at the venue, and clocks differ by up to one
cdef int64_t ASK_UNKNOWN = -1              # the engine's own wake-ups; strategies number theirs from 0
cdef int64_t WITHDRAW = -2
cdef int64_t FLATTEN = -3
cdef int TRIGGERS_AT_ONCE = -2021           # the exchange's code
cdef int64_t FLATTEN_WAIT = 64000000000     # longest between two attempts that only answers lead to
cdef int EVIDENCE[16]                       # by kind, from ACCEPTED on; what is not here is told apart before
EVIDENCE = [Evidence.E_ACCEPTED, Evidence.E_REJECTED, 0, Evidence.E_CANCELED, Evidence.E_EXPIRED,
            Evidence.E_CANCEL_REJECTED, 0, 0, 0, 0, Evidence.E_AMEND_REJECTED, 0, 0, 0, 0, Evidence.E_REJECTED]
# Limits whose trip also takes back what would open more.
cdef int WITHDRAW_ON = 1 << Alarm.DAILY_LOSS | 1 << Alarm.DRAWDOWN_REDUCE_ONLY

MARK_SOURCES = ("stream", "file", "proxy")
ABSENT_AFTER_NS = ON_ITS_WAY_NS


cdef int64_t stop_ticks(const instrument_t* i, int64_t mark_e8, int side, int64_t distance_e8) noexcept nogil:
    # A trigger so far from the mark that it does not stand at once, on the day's tick, away from the mark.
    cdef int64_t ticks
    if side == Side.SELL:
        ticks = ticks_down(i, mul_div_floor(mark_e8, E8 - distance_e8, E8))
        return max(i.min_ticks, ticks - ticks % i.tick_step)
    ticks = ticks_up(i, mul_div_floor(mark_e8, E8 + distance_e8, E8))
    return min(i.max_ticks, ticks + (i.tick_step - ticks % i.tick_step) % i.tick_step)


cdef inline int64_t told_at(const event_t* row) noexcept nogil:
    # When the exchange said it: what has been under way for long is as old as that, however new it is here.
    return row.ts - max(0, <int64_t> row.lag_us) * 1000


@cython.final
cdef class Engine:
    """The deterministic trading engine of one account.

    Parameters
    ----------
    instruments : Instruments
    strategy : Strategy
    limits : dict
        See ``risk.limits_t``.
    sizing : dict
        See ``Desk``.
    start_e8 : int
        Starting wallet, 1e-8 USDT.
    epoch : int
        Upper half of this run's client order ids.
    mark_sources : list of str
        "stream", "file" or "proxy", by symbol.
    window_bits : int, optional
        Size of the books' windows.
    quality : Quality, optional
        Judges the market data before they enter; without it they are believed.
    """

    def __init__(self, Instruments instruments not None, Strategy strategy not None, dict limits not None,
                 dict sizing not None, int64_t start_e8, uint64_t epoch, list mark_sources, int window_bits=16,
                 Quality quality=None):
        self.instruments = instruments
        self.markets = Markets(instruments.size)
        self.account = Account(instruments, start_e8)
        self.orders = Orders(epoch)
        self.gate = RiskGate(instruments, self.account, self.orders, self.markets, limits)
        self.books = [Book(window_bits) for _ in range(instruments.size)]
        self.desk = Desk(instruments, self.markets, self.account, self.orders, self.gate, self.books, sizing)
        for k, source in enumerate(mark_sources):
            self.mark_sources[k] = MARK_SOURCES.index(source)
        self.quality = quality
        if quality is not None:
            self.gate.judge_by(quality)
        self.strategy = strategy
        strategy.desk = self.desk
        # Looked up once: bars are what a strategy in Python is told most often.
        self.on_bars = getattr(strategy, "on_bars") if isfunction(getattr(type(strategy), "on_bars")) else None

    # ------------------------------------------------------------------ dispatch

    cdef int step(self, const event_t* row) except -1:
        self.dispatch(row)
        if CHECKED:
            self.audit(row)
        return 0

    cdef int step_levels(self, const event_t* rows, Py_ssize_t n) except -1:
        # What `types.level_run` has found, at once: of such rows only the book hears.
        cdef Py_ssize_t k
        if CHECKED:
            for k in range(n):
                self.step(rows + k)
            return 0
        self.begin(rows, n)
        (<Book> self.books[rows.symbol]).on_rows(rows, n)
        return 0

    cdef int audit(self, const event_t* row) except -1:
        # The checked build only: what is kept as running totals is worked out anew.
        self.counts[row.kind] += 1
        if not self.account.audit():
            raise RuntimeError(f"event {self.events}: totals of the account differ: {self.account.recompute()}")
        if self.account.reconcile() != 0:
            raise RuntimeError(f"event {self.events}: the accounts do not reconcile by {self.account.reconcile()}")
        if row.kind >= 32 and not self.orders.audit():
            raise RuntimeError(f"event {self.events}: the order totals are not those of the table")
        if (row.kind >= 32 or row.flags & Flag.F_END) and not self.gate.audit():
            raise RuntimeError(f"event {self.events}: the exposure totals are not those of the state")
        return 0

    cdef int begin(self, const event_t* row, Py_ssize_t n) except -1:
        # So many events of one stamp and symbol.
        self.events += n
        self.desk.outbox.size = 0
        self.desk.n_approvals = 0
        if row.ts > self.desk.now:
            self.desk.now = row.ts
        if row.symbol >= self.instruments.size:
            raise ValueError(f"event of symbol {row.symbol}, the run has {self.instruments.size}")
        return 0

    cdef int dispatch(self, const event_t* row) except -1:
        self.begin(row, 1)
        if row.kind <= Kind.LEVEL:
            return self.on_depth(row)
        if row.kind < 32:
            return self.on_market(row)
        if row.kind < 64:
            return self.on_account(row)
        return self.on_control(row)

    cdef int on_market(self, const event_t* row) except -1:
        cdef market_t* m = &self.markets.data[row.symbol]
        cdef int verdicts
        if self.quality is not None:
            verdicts = self.quality.judge(row)
            if self.quality.n_begun:
                self.tell_verdicts()
            if self.quality.discards(verdicts):
                if row.flags & Flag.F_END:
                    self.watch()               # losses are judged at what is held back, too
                    if row.kind == Kind.CANDLE and row.flags & Flag.F_CLOSED:
                        self.tell(Hook.ON_BARS, 0, 0, 0)       # the stamp's other candles are there
                return 0
        if row.kind == Kind.TOUCH:
            return self.on_touch_row(row)
        if row.kind == Kind.TRADE:
            if row.f == 0:
                on_trade(m, &self.instruments.data[row.symbol], row)
                if self.account.gross_e8 and row.ts - m.ts_mark >= STALE_MARK_NS:
                    self.watch()               # the mark is old: losses are judged on trades
        elif row.kind == Kind.MARK:
            self.gate.watched[row.symbol].rate_e8 = row.c
            self.gate.watched[row.symbol].funding_due = row.d
            if self.mark_sources[row.symbol] == MARK_STREAM:
                self.on_mark(row.symbol, row.a, told_at(row))
                self.watch()
        elif row.kind == Kind.MARK_CANDLE:
            if self.mark_sources[row.symbol] == MARK_FILE:
                self.on_mark(row.symbol, row.d, row.ts)
                if row.flags & Flag.F_END:     # a mark between two candles
                    self.watch()
        elif row.kind == Kind.CANDLE or row.kind == Kind.CANDLE_OPEN:
            return self.on_candle_row(row)
        elif row.kind == Kind.STATUS:
            self.gate.watched[row.symbol].suspended = row.a != 1
            self.gate.watched[row.symbol].delist = row.b
        elif row.kind == Kind.FILTERS:
            set_filters(&self.instruments.data[row.symbol], row)
        elif row.kind == Kind.BRACKET:
            if take_bracket(&self.ladder, &self.instruments.data[row.symbol], row):
                self.account.revalue(row.symbol)
                self.gate.update(row.symbol, self.desk.now)
                self.watch()
        elif row.kind == Kind.ASSET_INDEX:
            self.account.set_index(row.a, row.b)
            self.watch()
        return 0

    # ------------------------------------------------------------------ ticks

    cdef int on_depth(self, const event_t* row) except -1:
        cdef Book book = <Book> self.books[row.symbol]
        cdef market_t* m
        cdef uint64_t crossings
        if not row.flags & Flag.F_END and row.kind == Kind.LEVEL:
            book.on_row(row)
            return 0
        m = &self.markets.data[row.symbol]
        crossings = book.crossings
        book.on_row(row)
        if self.quality is not None and row.flags & Flag.F_END:
            self.quality.judge_book(row, book)
            if self.quality.n_begun:
                self.tell_verdicts()
        if book.usable() != m.book_good:
            m.book_good = book.usable()
            self.alarm(Alarm.BOOK_RECOVERED if m.book_good else Alarm.BOOK_CROSSED if book.crossings != crossings
                       else Alarm.BOOK_GAP, row.symbol)
            if not m.book_good:
                on_gap(m)
                self.desk.cancel_all(row.symbol, True)
        if row.flags & Flag.F_END and m.book_good and book.last_id >= m.touch_id:
            m.touch_id = book.last_id
            m.bid_ticks = book.best_bid() if book.sides[0].count else 0
            m.ask_ticks = book.best_ask() if book.sides[1].count else 0
            m.bid_lots = book.lots_at(Side.BUY, m.bid_ticks) if m.bid_ticks else 0
            m.ask_lots = book.lots_at(Side.SELL, m.ask_ticks) if m.ask_ticks else 0
            return self.on_new_touch(m, row)
        return 0

    cdef int tell_verdicts(self) except -1:
        # Once a symbol and verdict, when it begins.
        cdef event_t* row
        cdef int k
        for k in range(self.quality.n_begun):
            row = self.desk.post(Kind.ALARM, self.quality.begun[k].symbol)
            row.a = Alarm.DATA_ANOMALY
            row.b = self.quality.begun[k].verdict
        return 0

    cdef int on_touch_row(self, const event_t* row) except -1:
        cdef market_t* m = &self.markets.data[row.symbol]
        if not m.book_good or row.a < m.touch_id or row.b >= row.d:
            return 0
        m.touch_id = row.a
        m.bid_ticks = row.b
        m.bid_lots = row.c
        m.ask_ticks = row.d
        m.ask_lots = row.e
        return self.on_new_touch(m, row)

    cdef int on_new_touch(self, market_t* m, const event_t* row) except -1:
        cdef int64_t proxy
        m.ts_book = max(m.ts_book, told_at(row))
        on_touch(m, &self.instruments.data[row.symbol], row.ts)
        if self.mark_sources[row.symbol] == MARK_PROXY:
            proxy = microprice_e8(m, &self.instruments.data[row.symbol])
            if proxy > 0:
                self.on_mark(row.symbol, proxy, m.ts_book)
                self.watch()
        if m.mark_e8 > 0:
            self.tell(Hook.ON_BOOK, row.symbol, 0, 0)
        return 0

    cdef int on_mark(self, int symbol, int64_t mark_e8, int64_t ts) except -1:
        cdef market_t* m = &self.markets.data[symbol]
        m.mark_e8 = mark_e8
        m.ts_mark = ts
        self.account.set_mark(symbol, mark_e8)
        if self.account.margins[symbol].open_orders or self.gate.watched[symbol].worst_e8 \
                or self.account.holds(symbol) or self.near[symbol]:
            self.gate.update(symbol, self.desk.now)
            self.guard(symbol)
            return self.protect(symbol)
        return 0

    cdef int guard(self, int symbol) except -1:
        # R9 and R10: say so when liquidation comes near; when it comes nearer, make the position smaller, half of it a
        # second (of both legs at once: each may be what balances the other), before the exchange does.
        cdef int64_t lots, distance
        cdef int leg
        cdef bint near = False, due = self.desk.now - self.reduced[symbol] >= SECOND
        for leg in range(2):
            lots = magnitude(self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots)
            if lots == 0:
                continue
            distance = self.gate.liquidation_distance_e8(symbol, leg)
            near |= distance < self.gate.limits.liquidation_alarm_e8
            if self.ends() or not due or not self.gate.must_reduce(distance):
                continue
            self.reduced[symbol] = self.desk.now
            self.alarm(Alarm.FORCED_REDUCTION, symbol)
            self.desk.close(symbol, leg, (lots + 1) // 2)
        if near and not self.near[symbol]:
            self.alarm(Alarm.LIQUIDATION_NEAR, symbol)
        self.near[symbol] = near
        return 0

    cdef int protect(self, int symbol) except -1:
        # Every leg gets a stop at the venue that closes all of it, so that it is protected when nobody looks after it:
        # with the first fill, and again a second after one did not come to stand.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef market_t* m = &self.markets.data[symbol]
        cdef int64_t lots, ticks
        cdef int leg, side
        if self.gate.limits.stop_e8 == 0 or m.mark_e8 <= 0 or self.ends() \
                or (self.stopped[symbol] and self.desk.now - self.stopped[symbol] < SECOND):
            return 0
        for leg in range(2):
            lots = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
            if lots == 0 or self.has_stop(symbol, leg):
                continue
            self.stopped[symbol] = self.desk.now
            side = Side.SELL if lots > 0 else Side.BUY
            ticks = stop_ticks(i, m.mark_e8, side, self.gate.limits.stop_e8)
            self.desk.order(symbol, side, OrderType.STOP_MARKET, trigger_ticks=ticks,
                            position_side=0 if not self.account.hedge else PositionSide.SHORT if leg
                            else PositionSide.LONG, terms=Term.CLOSE_POSITION | Term.MARK_TRIGGER)
        return 0

    cdef bint has_stop(self, int symbol, int leg) noexcept:
        # Whether a stop that closes the whole leg stands, or may: one that is asked for is not asked for twice.
        cdef const order_t* order
        cdef bint is_long = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots > 0
        cdef int k = self.orders.first[symbol][is_long]
        while k:
            order = &self.orders.table[k - 1]
            k = order.next
            if order.type == OrderType.STOP_MARKET and order.terms & Term.CLOSE_POSITION \
                    and leg_of(order.position_side) == leg and order.state != OrderState.PENDING_CANCEL:
                return True
        return False

    cdef int on_stop_refused(self, const order_t* order, const event_t* row) except -1:
        # A protective stop that the venue does not take: with its trigger passed already (-2021) the leg is closed now.
        cdef int leg = leg_of(order.position_side)
        cdef int64_t lots = magnitude(self.account.positions[order.symbol + leg * ACCOUNT_SYMBOLS].lots)
        if lots == 0 or row.kind != Kind.REJECTED or not order.terms & Term.CLOSE_POSITION:
            return 0
        self.alarm(Alarm.STOP_REFUSED, order.symbol)
        if row.b == TRIGGERS_AT_ONCE:
            self.desk.close(order.symbol, leg, lots)
        return 0

    # ------------------------------------------------------------------ candles

    cdef int on_candle_row(self, const event_t* row) except -1:
        cdef market_t* m = &self.markets.data[row.symbol]
        cdef const instrument_t* i = &self.instruments.data[row.symbol]
        cdef int64_t price = row.a if row.kind == Kind.CANDLE_OPEN else row.d
        if row.kind == Kind.CANDLE and not row.flags & Flag.F_CLOSED:
            return 0
        m.bid_ticks = ticks_down(i, price)
        m.ask_ticks = ticks_up(i, price)
        if row.kind == Kind.CANDLE_OPEN:
            m.last_e8 = price
            return 0
        on_candle(m, i, row)
        m.book_good = True
        if m.mark_e8 == 0 or (self.mark_sources[row.symbol] != MARK_STREAM and m.ts_mark < row.ts):
            self.on_mark(row.symbol, row.d, row.ts)    # a mark of this stamp came before its candle: there was none
        if row.flags & Flag.F_END:
            self.watch()
            self.tell(Hook.ON_BARS, 0, 0, 0)
        return 0

    # ------------------------------------------------------------------ account

    cdef int on_account(self, const event_t* row) except -1:
        cdef int leg = 1 if row.flags & Flag.F_SHORT else 0
        if row.kind == Kind.FILL:
            return self.on_fill(row)
        if row.kind == Kind.FUNDING_PAID:
            self.account.book_funding(row.symbol, leg, row.a)
            return self.watch()
        if row.kind == Kind.LIQUIDATION:
            return self.on_forced(row, leg)
        if row.kind == Kind.TRANSFER:
            self.account.book_transfer(row.b, row.a)
            return self.watch()
        if row.kind == Kind.SETTING:
            self.account.apply_setting(row.symbol, row.a, row.b)
        elif row.kind == Kind.MARGIN_MOVED:
            self.account.book_margin(row.symbol, leg, row.a)
        elif row.kind == Kind.POSITION or row.kind == Kind.WALLET:
            return self.on_believed(row, leg)
        elif row.kind == Kind.FOREIGN:
            return self.on_foreign(row.symbol)
        else:
            return self.on_answer(row)
        self.gate.update(row.symbol, self.desk.now)
        return 0

    cdef int on_forced(self, const event_t* row, int leg) except -1:
        # The venue has closed something of ours: an operator looks at it before anything is opened again.
        self.account.close_at(row.symbol, leg, row.a, row.b, row.c)
        self.gate.update(row.symbol, self.desk.now)
        if row.e == Cause.DELEVERAGED and row.c == 0:
            self.alarm(Alarm.DELEVERAGING, row.symbol)
        else:
            self.liquidations += 1
            self.alarm(Alarm.LIQUIDATED, row.symbol)
        self.gate.halted = True
        self.desk.cancel_all(-1, True)
        return self.watch()

    cdef int on_believed(self, const event_t* row, int leg) except -1:
        # The venue is right. Where it differs from what we believed somebody should know. Money that is missing was
        # lost: the levels of the loss limits do not follow it down as they follow a withdrawal.
        cdef const position_t* p = &self.account.positions[row.symbol + leg * ACCOUNT_SYMBOLS]
        cdef int64_t cost = -row.b if row.a < 0 else row.b
        cdef int64_t more
        cdef bint differs
        if row.kind == Kind.WALLET:
            more = row.a - self.account.wallet_of(row.b)
            differs = more != 0
            self.account.adopt_wallet(row.b, row.a)
            if more < 0 and row.b == Asset.USDT:
                self.gate.transfers_seen_e8 += more
        else:
            differs = p.lots != row.a
            self.account.adopt(row.symbol, leg, row.a, cost, row.c)
            self.gate.update(row.symbol, self.desk.now)
            self.protect(row.symbol)
        if differs:
            self.alarm(Alarm.DIFFERENCE, row.symbol)
        return self.watch()

    cdef int on_foreign(self, int symbol) except -1:
        # Somebody else trades this account: nothing is opened until an operator has looked.
        self.alarm(Alarm.FOREIGN_ORDER, symbol)
        self.gate.halted = True
        return self.desk.cancel_all(-1, True)

    cdef int on_answer(self, const event_t* row) except -1:
        # What the venue says about one of our orders. That it has none of it proves nothing while the order may still
        # be on its way: an unknown one is asked for again.
        cdef order_t* order = self.orders.find(row.a)
        cdef bint ended
        if order == NULL:
            self.orders.illegal += 1
            return 0
        ended = is_terminal(order.state)
        if row.kind == Kind.AMENDED:
            self.orders.on_amended(order, row.b, row.c, row.ts)
        elif row.kind == Kind.ALGO:
            self.on_algo(order, row)
        elif row.kind == Kind.LOST:
            self.on_lost(order, row)
        elif row.kind == Kind.ACCEPTED:
            self.on_accepted(order, row)
        elif row.kind > Kind.ABSENT:
            self.orders.illegal += 1
        elif row.kind != Kind.ABSENT or self.desk.now - order.created > ON_ITS_WAY_NS:
            self.orders.on_evidence(order, EVIDENCE[row.kind - Kind.ACCEPTED], row.ts)
        self.gate.update(row.symbol, self.desk.now)
        if self.outlives(order) and not self.withdrawing:
            self.withdrawing = True
            self.desk.set_timer(WITHDRAW, self.desk.now + SECOND)
        if self.empties():
            self.flatten_later()
        if not ended and order.state == OrderState.REJECTED_:
            self.on_stop_refused(order, row)
        return 0 if ended else self.on_ended(order)

    cdef bint closed(self) noexcept:
        # Whether nothing may be opened.
        return self.failed or self.gate.halted or self.gate.day_lost or self.gate.ladder == 2

    cdef bint ends(self) noexcept:
        # Whether everything that is open is being closed.
        return self.gate.killed or self.leaving

    cdef bint empties(self) noexcept:
        # Whether something is being closed.
        return self.ends() or self.emptying > 0

    cdef bint outlives(self, const order_t* order) noexcept:
        # Whether an order that could open more is live while nothing may be opened: its cancel was refused or lost,
        # or it reached the venue later.
        return self.closed() and not order.reduce_only and not is_terminal(order.state) \
            and order.state != OrderState.UNKNOWN and order.state != OrderState.PENDING_NEW \
            and order.state != OrderState.PENDING_CANCEL

    cdef int on_accepted(self, order_t* order, const event_t* row) except -1:
        # The order is at the venue: news, or the answer to a question. That names what the order is now, whatever was
        # asked of it, and is old news when its fills were faster.
        cdef bint asked = order.state == OrderState.UNKNOWN and order.amend_lots != 0
        order.venue_id = row.b
        if order.state == OrderState.FILLED:
            return 0
        if order.price_match:
            self.orders.on_priced(order, row.c)
        if order.terms & Term.CLOSE_POSITION:
            self.orders.on_sized(order, row.d, row.ts)     # known from the trigger on
        self.orders.on_evidence(order, Evidence.E_ACCEPTED, row.ts)
        if asked:
            self.orders.on_amended(order, row.c, row.d, row.ts)
        return 0

    cdef int on_algo(self, order_t* order, const event_t* row) except -1:
        cdef int evidence
        if row.b == AlgoStatus.ALGO_TRIGGERED or row.b == AlgoStatus.ALGO_FINISHED:
            return 0                           # the child's own rows say what happens to it
        evidence = (Evidence.E_ARMED if row.b == AlgoStatus.ALGO_NEW
                    else Evidence.E_TRIGGERING if row.b == AlgoStatus.ALGO_TRIGGERING
                    else Evidence.E_CANCELED if row.b == AlgoStatus.ALGO_CANCELED
                    else Evidence.E_EXPIRED if row.b == AlgoStatus.ALGO_EXPIRED
                    else Evidence.E_REJECTED)
        if row.b == AlgoStatus.ALGO_NEW:
            order.venue_id = row.c
        self.orders.on_evidence(order, evidence, row.ts)
        return 0

    cdef int on_lost(self, order_t* order, const event_t* row) except -1:
        # Nobody knows what the venue did: the exposure stays held and the venue is asked, until it answers. Of an order
        # that has ended there is nothing to know.
        if row.b != Kind.QUERY and not is_terminal(order.state):
            self.orders.on_evidence(order, Evidence.E_LOST, row.ts)
        if order.state == OrderState.UNKNOWN and not self.asking:
            self.ask_later()
        return 0

    cdef int ask_later(self) except -1:
        self.asking = True
        return self.desk.set_timer(ASK_UNKNOWN, self.desk.now + SECOND)

    cdef int on_ended(self, const order_t* order) except -1:
        cdef int level
        if not is_terminal(order.state) or order.updated != self.desk.now:
            return 0
        self.gate.on_ended(order, self.desk.now)
        level = self.gate.judge_quality(self.desk.now)
        if level > self.gate.quality_level:
            self.alarm(Alarm.MESSAGE_QUALITY, order.symbol)
        self.gate.quality_level = level
        return 0

    cdef int on_fill(self, const event_t* row) except -1:
        # The position follows the venue even when the order is not ours to know.
        cdef int64_t lots = -row.d if row.flags & Flag.F_SELL else row.d
        cdef order_t* order = self.orders.find(row.a)
        cdef uint64_t late = self.orders.late
        if order == NULL:
            self.orders.late += 1
            if row.a == 0:
                self.on_foreign(row.symbol)
        else:
            self.orders.on_fill(order, row.d, row.ts)
            if self.orders.late != late:
                self.alarm(Alarm.LATE_FILL, row.symbol)
        self.account.book_fill(row.symbol, 1 if row.flags & Flag.F_SHORT else 0, lots, row.c, row.e,
                               row.flags & Flag.F_FEE_COIN)
        on_own_fill(&self.markets.data[row.symbol], Side.SELL if lots < 0 else Side.BUY, row.c, row.d)
        self.gate.update(row.symbol, self.desk.now)
        if order != NULL:
            self.on_ended(order)
        if self.closed():
            self.desk.withdraw_surplus(row.symbol)
        self.protect(row.symbol)
        self.patience = SECOND
        if self.empties():
            self.flatten_later()
        self.watch()
        self.tell(Hook.ON_FILL, row.symbol, lots, row.c)
        return 0

    # ------------------------------------------------------------------ control

    cdef int on_control(self, const event_t* row) except -1:
        if row.kind == Kind.TIMER:
            if row.a == ASK_UNKNOWN:
                return self.ask_unknown()
            if row.a == WITHDRAW:
                return self.withdraw_again()
            if row.a == FLATTEN:
                self.flattening = False
                self.watch()
                return self.flatten_later()
            self.tell(Hook.ON_TIMER, row.a, 0, 0)
        elif row.kind == Kind.RUN:
            self.tell(Hook.ON_START, 0, 0, 0)
        elif row.kind == Kind.COMMAND:
            self.obey(row.a, row.b - 1)
        elif row.kind == Kind.HEADROOM:
            self.gate.watched[row.symbol].headroom[0] = row.a
            self.gate.watched[row.symbol].headroom[1] = row.b
            self.gate.watched[row.symbol].headroom_ts = row.ts
        elif row.kind == Kind.USAGE:
            self.gate.use_weight(row.a, row.b, self.desk.now)
        elif row.kind == Kind.GATE:
            self.gate.gates = row.a
        return 0

    cdef int ask_unknown(self) except -1:
        # Never send again: ask, once a second, until the venue says what it did.
        cdef order_t* order
        cdef int k
        self.asking = False
        if self.orders.unknown == 0:
            return 0
        for k in range(ORDER_PLACES):
            order = &self.orders.table[k]
            if order.state == OrderState.UNKNOWN:
                self.desk.query(order.client_id)
        return self.ask_later()

    cdef int withdraw_again(self) except -1:
        cdef const order_t* order
        cdef int k
        self.withdrawing = False
        for k in range(ORDER_PLACES if self.orders.open_orders else 0):
            order = &self.orders.table[k]
            if order.state != OrderState.EMPTY and self.outlives(order):
                self.desk.cancel(order.client_id)
        return 0

    cdef int alarm(self, int alarm, int symbol) except -1:
        cdef event_t* row = self.desk.post(Kind.ALARM, symbol)
        row.a = alarm
        return 0

    cdef int obey(self, int64_t command, int64_t symbol) except -1:
        # An operator's command, to the account (-1) or to one symbol.
        if not -1 <= symbol < self.instruments.size:
            raise ValueError(f"no symbol {symbol} to command, the run has {self.instruments.size}")
        self.gate.command(Command.HALT if command == Command.FLATTEN else command, symbol)
        if command == Command.FLATTEN:
            self.leave(symbol)
        if self.gate.halted:
            self.desk.cancel_all(-1, True)
        elif symbol >= 0 and self.gate.watched[symbol].halted:
            self.desk.cancel_all(symbol, True)
        self.watch()
        if self.leaving or self.emptying:
            self.flatten_later()               # it may be over already: no answer comes where nothing was open
        return 0

    cdef int leave(self, int64_t symbol) except -1:
        # At once, also when something was flattened just now.
        self.flattened = 0
        if symbol < 0:
            self.leaving = True
        elif not self.emptied[symbol]:
            self.emptied[symbol] = True
            self.emptying += 1
        return 0

    cdef int sweep(self) except -1:
        # Once a second: what has rested at the venue for so long is taken back, and a stop that has nothing to close.
        cdef int64_t oldest = self.desk.now - self.gate.limits.stale_order_ns
        cdef const order_t* order
        cdef int symbol, side, k
        self.swept = self.desk.now
        for symbol in range(self.instruments.size):
            for side in range(2):
                k = self.orders.first[symbol][side]
                while k:
                    order = &self.orders.table[k - 1]
                    k = order.next
                    if self.is_orphan(order) or (self.gate.limits.stale_order_ns and order.created <= oldest
                                                 and not is_conditional(order.type)
                                                 and (order.state == OrderState.LIVE
                                                      or order.state == OrderState.PARTLY_FILLED)):
                        self.desk.cancel(order.client_id)
        return 0

    cdef bint is_orphan(self, const order_t* order) noexcept:
        # The venue ends such a stop itself, within a second, unless it came after the position had gone.
        cdef int64_t lots = self.account.positions[order.symbol + leg_of(order.position_side) * ACCOUNT_SYMBOLS].lots
        return order.state == OrderState.ARMED and order.terms & Term.CLOSE_POSITION \
            and self.desk.now - order.updated >= SECOND and (lots == 0 or (lots > 0) == (order.side == Side.BUY))

    cdef int watch(self) except -1:
        cdef int alarms = self.gate.watch(self.desk.now)
        cdef int k
        if (self.gate.limits.stale_order_ns or self.gate.limits.stop_e8) and self.desk.now - self.swept >= SECOND:
            self.sweep()
        if alarms:
            for k in range(32):
                if alarms >> k & 1:
                    self.alarm(k, 0)
        if alarms & WITHDRAW_ON:
            self.desk.cancel_all(-1, True)
        if self.empties():
            self.flatten()
        return 0

    cdef int flatten(self) except -1:
        # Cancel, then close at market, and again once a second until flat: the venue may leave a rest. Stops that can
        # only close go last, when there is nothing left to protect.
        cdef int symbol
        if self.flattened and self.desk.now - self.flattened < SECOND:
            return 0
        self.flattened = self.desk.now
        for symbol in range(self.instruments.size):
            if self.ends() or self.emptied[symbol]:
                self.empty(symbol)
        return 0

    cdef int empty(self, int symbol) except -1:
        cdef const order_t* order
        cdef bint closing = False
        cdef int side, leg, k
        cdef int64_t lots
        for side in range(2):
            k = self.orders.first[symbol][side]
            while k:
                order = &self.orders.table[k - 1]
                k = order.next
                if not order.reduce_only or order.type == OrderType.LIMIT \
                        or (is_conditional(order.type) and not self.account.holds(symbol)):
                    self.desk.cancel(order.client_id)
                elif order.type == OrderType.MARKET:
                    closing = True
        for leg in range(0 if closing else 2):
            lots = magnitude(self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots)
            if lots:
                self.desk.close(symbol, leg, lots)
        return 0

    cdef int flatten_later(self) except -1:
        # The venue has answered and something is left: tried again though no market event may come to lead to it, ever
        # less often while the venue fills nothing.
        cdef bint left = self.ends() and self.orders.open_orders > 0
        cdef bint rest
        cdef int symbol
        for symbol in range(self.instruments.size):
            if not self.ends() and not self.emptied[symbol]:
                continue
            rest = self.account.holds(symbol) or self.orders.first[symbol][0] or self.orders.first[symbol][1]
            left |= rest
            if self.emptied[symbol] and not rest:
                self.emptied[symbol] = False
                self.emptying -= 1
        if not left:
            self.leaving = False
        if self.flattening or not left:
            return 0
        self.flattening = True
        self.patience = min(max(SECOND, self.patience), FLATTEN_WAIT)
        self.desk.set_timer(FLATTEN, self.desk.now + self.patience)
        self.patience *= 2
        return 0

    cdef int tell(self, int hook, int64_t a, int64_t b, int64_t c) except -1:
        if self.failed or not self.strategy.hooks & hook or self.ends():
            return 0
        try:
            if hook == Hook.ON_BOOK:
                self.strategy.on_book(a)
            elif hook == Hook.ON_BARS and self.on_bars is not None:
                self.on_bars()
            elif hook == Hook.ON_BARS:
                self.strategy.on_bars()
            elif hook == Hook.ON_TIMER:
                self.strategy.on_timer(a)
            elif hook == Hook.ON_START:
                self.strategy.start()
            else:
                self.strategy.on_fill(a, b, c)
        except Exception as error:  # noqa: BLE001 - whatever a strategy raises disables the strategy, never the engine
            self.fail(error)
        return 0

    cdef int fail(self, object error) except -1:
        # What could open more is taken back; the stops stay, for nobody else looks after what is open now.
        self.failed = True
        self.failure = error
        self.desk.post(Kind.STRATEGY_FAILED, 0)
        self.desk.cancel_all(-1, True)
        return 0

    # ------------------------------------------------------------------ Python face

    def feed(self, rows):
        """Step through rows (of EVENT_DTYPE); return what they made the engine ask for, as one array.

        Raises
        ------
        ValueError
            If a row's stamp is negative or after 2116; none of the rows is taken.
        """
        cdef Rows source = Rows(rows)
        cdef Rows asked = Rows()
        cdef Py_ssize_t i, k
        for i in range(source.size):
            if not 0 <= source.data[i].ts <= LATEST_NS:
                raise ValueError(f"row {i} has no stamp that can be: {source.data[i].ts} ns")
        for i in range(source.size):
            self.step(source.data + i)
            for k in range(self.desk.outbox.size):
                asked.push()[0] = self.desk.outbox.data[k]
        return asked.array()

    def state(self):
        """Return the whole trading state as plain values."""
        count = self.instruments.size
        return (
            self.desk.now, self.events, self.failed, self.liquidations, self.flattened, self.asking, self.withdrawing,
            self.flattening, self.leaving, self.patience, self.swept,
            (self.ladder.symbol, [self.ladder.brackets[k] for k in range(max(0, self.ladder.size))]),
            self.account.state(),
            [(self.near[k], self.reduced[k], self.stopped[k], self.emptied[k]) for k in range(count)],
            self.orders.state(),
            self.gate.state(),
            [self.markets.market(k) for k in range(count)],
            [(book.state, book.last_id, book.levels(0), book.levels(1), book.pending()) for book in self.books],
            self.strategy.snapshot(),
            self.quality.state() if self.quality is not None else None,
        )

    def counted(self):
        """Return {kind: events} of the checked build; empty in the release build."""
        return {k: self.counts[k] for k in range(256) if self.counts[k]}

    def digest(self):
        """Return the SHA-256 of the state, 32 bytes."""
        return hashlib.sha256(repr(self.state()).encode()).digest()
