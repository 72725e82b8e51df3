"""The engine: events in, state and intents out."""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport Account
from core_ext.book cimport Book
from core_ext.fixed cimport magnitude, ticks_down, ticks_up
from core_ext.orders cimport ORDER_PLACES, Evidence, Orders, is_terminal, order_t
from core_ext.risk cimport RiskGate
from core_ext.signal cimport Markets, market_t, microprice_e8, on_candle, on_touch, on_trade
from core_ext.strategy cimport Desk, Hook, Strategy
from core_ext.types cimport (
    Alarm, Flag, Instruments, Kind, OrderState, OrderType, Rows, Side, TimeInForce, event_t, instrument_t,
)

import hashlib

cdef int64_t SECOND = 1000000000
cdef int64_t STALE_MARK_NS = 2000000000
# Limits whose trip also takes back what would open more.
cdef int WITHDRAW_ON = 1 << Alarm.DAILY_LOSS | 1 << Alarm.DRAWDOWN_REDUCE_ONLY

MARK_SOURCES = ("stream", "file", "proxy")


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
    """

    def __init__(self, Instruments instruments not None, Strategy strategy not None, dict limits not None,
                 dict sizing not None, int64_t start_e8, uint64_t epoch, list mark_sources, int window_bits=16):
        self.instruments = instruments
        self.markets = Markets(instruments.size)
        self.account = Account(instruments, start_e8)
        self.orders = Orders(epoch)
        self.gate = RiskGate(instruments, self.account, self.orders, self.markets, limits)
        self.books = [Book(window_bits) for _ in range(instruments.size)]
        self.desk = Desk(instruments, self.markets, self.account, self.orders, self.gate, self.books, sizing)
        for k, source in enumerate(mark_sources):
            self.mark_sources[k] = MARK_SOURCES.index(source)
        self.strategy = strategy
        strategy.desk = self.desk

    # ------------------------------------------------------------------ dispatch

    cdef int step(self, const event_t* row) except -1:
        self.events += 1
        self.desk.outbox.size = 0
        self.desk.n_approvals = 0
        if row.ts > self.desk.now:
            self.desk.now = row.ts
        if row.symbol >= self.instruments.size:
            raise ValueError(f"event of symbol {row.symbol}, the run has {self.instruments.size}")
        if row.kind <= Kind.LEVEL:
            return self.on_depth(row)
        if row.kind < 32:
            return self.on_market(row)
        if row.kind < 64:
            return self.on_account(row)
        return self.on_control(row)

    cdef int on_market(self, const event_t* row) except -1:
        cdef market_t* m = &self.markets.data[row.symbol]
        if row.kind == Kind.TOUCH:
            return self.on_touch_row(row)
        if row.kind == Kind.TRADE:
            if row.f == 0:
                on_trade(m, &self.instruments.data[row.symbol], row)
                if self.account.gross_e8 and row.ts - m.ts_mark >= STALE_MARK_NS:
                    self.watch()               # the mark is old: losses are judged on trades
        elif row.kind == Kind.MARK:
            if self.mark_sources[row.symbol] == MARK_STREAM:
                self.on_mark(row.symbol, row.a)
                self.watch()
        elif row.kind == Kind.MARK_CANDLE:
            if self.mark_sources[row.symbol] == MARK_FILE:
                self.on_mark(row.symbol, row.d)
                if row.flags & Flag.F_END:     # a mark between two candles
                    self.watch()
        elif row.kind == Kind.CANDLE or row.kind == Kind.CANDLE_OPEN:
            return self.on_candle_row(row)
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
        if book.usable() != m.book_good:
            m.book_good = book.usable()
            self.alarm(Alarm.BOOK_RECOVERED if m.book_good else Alarm.BOOK_CROSSED if book.crossings != crossings
                       else Alarm.BOOK_GAP, row.symbol)
            if not m.book_good:
                self.desk.cancel_all(row.symbol, True)
        if row.flags & Flag.F_END and m.book_good and book.last_id >= m.touch_id:
            m.touch_id = book.last_id
            m.bid_ticks = book.best_bid() if book.sides[0].count else 0
            m.ask_ticks = book.best_ask() if book.sides[1].count else 0
            m.bid_lots = book.lots_at(Side.BUY, m.bid_ticks) if m.bid_ticks else 0
            m.ask_lots = book.lots_at(Side.SELL, m.ask_ticks) if m.ask_ticks else 0
            return self.on_new_touch(m, row)
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
        m.ts_book = row.ts
        on_touch(m, &self.instruments.data[row.symbol], row.ts)
        if self.mark_sources[row.symbol] == MARK_PROXY:
            proxy = microprice_e8(m, &self.instruments.data[row.symbol])
            if proxy > 0:
                self.on_mark(row.symbol, proxy)
                self.watch()
        if m.mark_e8 > 0:
            self.tell(Hook.ON_BOOK, row.symbol, 0, 0)
        return 0

    cdef int on_mark(self, int symbol, int64_t mark_e8) except -1:
        cdef market_t* m = &self.markets.data[symbol]
        m.mark_e8 = mark_e8
        m.ts_mark = self.desk.now
        self.account.set_mark(symbol, mark_e8)
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
            self.on_mark(row.symbol, row.d)    # a mark of this stamp came before its candle: there was none
        if row.flags & Flag.F_END:
            self.watch()
            self.tell(Hook.ON_BARS, 0, 0, 0)
        return 0

    # ------------------------------------------------------------------ account

    cdef int on_account(self, const event_t* row) except -1:
        cdef order_t* order
        cdef int evidence
        if row.kind == Kind.FILL:
            return self.on_fill(row)
        if row.kind == Kind.FUNDING_PAID:
            self.account.book_funding(row.symbol, row.a)
            return self.watch()
        if row.kind == Kind.LIQUIDATION:
            self.account.close_at(row.symbol, row.b, row.c)
            self.liquidations += 1
            self.gate.halted = True            # an operator looks at it before anything is opened again
            self.alarm(Alarm.LIQUIDATED, row.symbol)
            self.desk.cancel_all(-1, True)
            return self.watch()
        if row.kind == Kind.TRANSFER:
            self.account.book_transfer(row.a)
            return self.watch()
        order = self.orders.find(row.a)
        if order == NULL:
            self.orders.illegal += 1
            return 0
        evidence = (Evidence.E_ACCEPTED if row.kind == Kind.ACCEPTED
                    else Evidence.E_REJECTED if row.kind == Kind.REJECTED
                    else Evidence.E_CANCELED if row.kind == Kind.CANCELED
                    else Evidence.E_EXPIRED if row.kind == Kind.EXPIRED
                    else Evidence.E_CANCEL_REJECTED)
        if row.kind == Kind.ACCEPTED:
            order.venue_id = row.b
        self.orders.on_evidence(order, evidence, row.ts)
        return 0

    cdef int on_fill(self, const event_t* row) except -1:
        # The position follows the venue even when the order is not ours to know.
        cdef int64_t lots = -row.d if row.flags & Flag.F_SELL else row.d
        cdef order_t* order = self.orders.find(row.a)
        if order == NULL:
            self.orders.late += 1
        else:
            self.orders.on_fill(order, row.d, row.ts)
        self.account.book_fill(row.symbol, lots, row.c, row.e)
        self.watch()
        self.tell(Hook.ON_FILL, row.symbol, lots, row.c)
        return 0

    # ------------------------------------------------------------------ control

    cdef int on_control(self, const event_t* row) except -1:
        if row.kind == Kind.TIMER:
            self.tell(Hook.ON_TIMER, row.a, 0, 0)
        elif row.kind == Kind.RUN:
            self.tell(Hook.ON_START, 0, 0, 0)
        elif row.kind == Kind.COMMAND:
            self.gate.command(row.a)
            if self.gate.halted:
                self.desk.cancel_all(-1, True)
            self.watch()
        return 0

    cdef int alarm(self, int alarm, int symbol) except -1:
        cdef event_t* row = self.desk.post(Kind.ALARM, symbol)
        row.a = alarm
        return 0

    cdef int watch(self) except -1:
        cdef int alarms = self.gate.watch(self.desk.now)
        cdef int k
        if alarms:
            for k in range(16):
                if alarms >> k & 1:
                    self.alarm(k, 0)
        if alarms & WITHDRAW_ON:
            self.desk.cancel_all(-1, True)
        if self.gate.killed:
            self.flatten()
        return 0

    cdef int flatten(self) except -1:
        # Cancel, then close at market, and again once a second until flat: the venue may leave a rest.
        cdef order_t* order
        cdef bint closing[128]
        cdef int k
        cdef int64_t lots
        if self.flattened and self.desk.now - self.flattened < SECOND:
            return 0
        self.flattened = self.desk.now
        memset(closing, 0, sizeof(closing))
        for k in range(ORDER_PLACES if self.orders.open_orders else 0):
            order = &self.orders.table[k]
            if order.state == OrderState.EMPTY or is_terminal(order.state):
                continue
            if order.type == OrderType.LIMIT:
                self.desk.cancel(order.client_id)
            elif order.reduce_only:
                closing[order.symbol] = True
        for k in range(self.instruments.size):
            lots = self.account.positions[k].lots
            if lots and not closing[k]:
                self.desk.submit(k, Side.SELL if lots > 0 else Side.BUY,
                                 min(magnitude(lots), self.instruments.data[k].max_market_lots), 0, TimeInForce.GTC,
                                 True, 0)
        return 0

    cdef int tell(self, int hook, int64_t a, int64_t b, int64_t c) except -1:
        if self.failed or not self.strategy.hooks & hook or self.gate.killed:
            return 0
        try:
            if hook == Hook.ON_BOOK:
                self.strategy.on_book(a)
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
        self.failed = True
        self.failure = error
        self.desk.post(Kind.STRATEGY_FAILED, 0)
        self.desk.cancel_all()
        return 0

    # ------------------------------------------------------------------ Python face

    def feed(self, rows):
        """Step through rows (of EVENT_DTYPE); return what they made the engine ask for, as one array."""
        cdef Rows source = Rows(rows)
        cdef Rows asked = Rows()
        cdef Py_ssize_t i, k
        for i in range(source.size):
            self.step(source.data + i)
            for k in range(self.desk.outbox.size):
                asked.push()[0] = self.desk.outbox.data[k]
        return asked.array()

    def state(self):
        """Return the whole trading state as plain values."""
        count = self.instruments.size
        return (
            self.desk.now, self.events, self.failed, self.liquidations, self.flattened,
            [self.account.position(k) for k in range(count)],
            [self.account.spot(k) for k in range(count)], self.account.spot(),
            self.account.wallet_e8, self.account.unrealised_e8, self.account.fees_e8, self.account.funding_e8,
            self.account.transfers_e8, self.account.maintenance_total_e8, self.account.gross_e8,
            self.orders.rows(), self.orders.next_count, self.orders.illegal, self.orders.late,
            self.gate.state(),
            [self.markets.market(k) for k in range(count)],
            [(book.state, book.last_id, book.levels(0), book.levels(1), book.pending()) for book in self.books],
            self.strategy.snapshot(),
        )

    def digest(self):
        """Return the SHA-256 of the state, 32 bytes."""
        return hashlib.sha256(repr(self.state()).encode()).digest()
