"""The simulated venue."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport ceil, floor, sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport Account, bracket_of
from core_ext.book cimport NO_KEY, Book, ladder_below
from core_ext.fixed cimport (
    E8, magnitude, mul_div, mul_div_floor, part_e8, notional_e8, price_e8, ticks_down, ticks_up, value_e8,
)
from core_ext.types cimport (
    Flag, Instruments, Kind, OrderType, Rows, Side, TimeInForce, approved_t, bracket_t, event_t, instrument_t,
)

cdef int64_t SECOND = 1000000000
cdef double DECAY = 0.95       # of a bar's variance and volume: half-life 13.5 bars

# The exchange's own codes.
cdef enum:
    MARGIN_INSUFFICIENT = -2019
    REDUCE_ONLY_REJECT = -2022
    MAX_OPEN_ORDERS = -2025
    LEVERAGE_ABOVE = -2027
    UNKNOWN_ORDER = -2011
    PRICE_BELOW = -4013
    PRICE_ABOVE = -4002
    QUANTITY_BELOW = -4004
    QUANTITY_ABOVE = -4005
    PERCENT_ABOVE = -4016
    PERCENT_BELOW = -4024
    DUPLICATE_ID = -4116
    NO_LIQUIDITY = -1112
    TAKE_BOUND = -4131
    SYMBOL_CLOSED = -4141
    NOTIONAL_BELOW = -4164
    POST_ONLY_TAKES = -5022

# Expiry reasons of ORDER_TRADE_UPDATE.
cdef enum:
    IOC_REST = 2
    REDUCED_AWAY = 4
    LIQUIDATED = 5
    MARKET_REST = 9


cdef bint better(const resting_t* a, const resting_t* b) noexcept nogil:
    # Whether a goes before b: same side, better price.
    if a.order.side != b.order.side:
        return False
    if a.order.side == Side.BUY:
        return a.order.price_ticks > b.order.price_ticks
    return a.order.price_ticks < b.order.price_ticks


MARK_SOURCES = ("stream", "file", "proxy")


@cython.final
cdef class Exchange:
    """The venue behind a backtest or a paper run.

    Parameters
    ----------
    instruments : Instruments
    accounts : list of Account
        The venue's truth about each account.
    mark_sources : list of str
        "stream", "file" or "proxy", by symbol.
    half_spread : float
        Half the spread as a share of the price, candle runs.
    impact : float
        Coefficient of square-root impact, candle runs.
    grace_ns : int
        An order that arrives this soon after a bar's open fills at that open; a later one waits for the next.
    stream_funding : bool, optional
        Whether the funding that the mark stream announces is settled.
    window_bits : int, optional
    """

    def __cinit__(self, *args, **kwargs):
        self.places = <place_t*> PyMem_Calloc(VENUE_SYMBOLS, sizeof(place_t))
        if self.places == NULL:
            raise MemoryError("venue")

    def __init__(self, Instruments instruments not None, list accounts not None, list mark_sources, double half_spread,
                 double impact, int64_t grace_ns, bint stream_funding=True, int window_bits=16):
        cdef int k
        self.instruments = instruments
        self.accounts = accounts
        self.half_spread = half_spread
        self.impact = impact
        self.grace_ns = grace_ns
        self.stream_funding = stream_funding
        self.out = Rows()
        self.to = Rows()
        self.next_venue_id = 1
        self.next_trade_id = 1
        self.books = [Book(window_bits) for _ in range(instruments.size)]
        for k in range(instruments.size):
            self.places[k].mark_source = MARK_SOURCES.index(mark_sources[k])
            self.places[k].resting = <resting_t*> PyMem_Calloc(MAX_RESTING, sizeof(resting_t))
            self.places[k].consumed = <consumed_t*> PyMem_Calloc(MAX_CONSUMED, sizeof(consumed_t))
            if self.places[k].resting == NULL or self.places[k].consumed == NULL:
                raise MemoryError("venue")

    def __dealloc__(self):
        cdef int k
        for k in range(VENUE_SYMBOLS):
            PyMem_Free(self.places[k].resting)
            PyMem_Free(self.places[k].consumed)
        PyMem_Free(self.places)

    # ------------------------------------------------------------------ saying

    cdef event_t* say(self, uint8_t kind, int symbol, int account, int64_t now) except NULL:
        cdef event_t* row
        self.to.push().a = account
        row = self.out.push()
        row.kind = kind
        row.flags = Flag.F_END
        row.symbol = symbol
        row.ts = now
        return row

    cdef int refuse(self, const approved_t* order, int account, int64_t now, int code) except -1:
        cdef event_t* row = self.say(Kind.REJECTED, order.symbol, account, now)
        row.a = order.client_id
        row.b = code
        return 0

    cdef int expire(self, const resting_t* o, int reason, int64_t now) except -1:
        cdef event_t* row = self.say(Kind.EXPIRED, o.order.symbol, o.account, now)
        row.a = o.order.client_id
        row.b = o.leaves
        row.c = reason
        return 0

    # ------------------------------------------------------------------ orders in

    cdef int submit(self, const approved_t* order, int account, int64_t now) except -1:
        cdef resting_t taker
        cdef event_t* row
        cdef int code
        self.pass_stamp(order.symbol, now)
        code = self.refusal(order, account)
        if code:
            return self.refuse(order, account, now, code)
        memset(&taker, 0, sizeof(resting_t))
        taker.order = order[0]
        taker.account = account
        taker.leaves = order.lots
        taker.since = now
        taker.venue_id = self.next_venue_id
        self.next_venue_id += 1
        row = self.say(Kind.ACCEPTED, order.symbol, account, now)
        row.a = order.client_id
        row.b = taker.venue_id
        row.c = order.price_ticks
        row.d = order.lots
        if order.tif != TimeInForce.GTX and (order.type == OrderType.MARKET or self.crosses(order)):
            self.take(&taker, now)
            if taker.leaves < 0:               # it ended on the way
                return 0
        if taker.leaves == 0:
            return 0
        if order.type == OrderType.MARKET and not taker.waits:
            return self.expire(&taker, MARKET_REST, now)
        if order.tif == TimeInForce.IOC:
            return self.expire(&taker, IOC_REST, now)
        return self.rest(&taker, now)

    cdef int refusal(self, const approved_t* order, int account) except -1:
        # The exchange's own checks, in its own codes; 0 accepts.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef place_t* place = &self.places[order.symbol]
        cdef Account a = <Account> self.accounts[account]
        cdef int64_t price = price_e8(i, order.price_ticks)
        cdef int64_t mark = place.mark_e8 if place.mark_e8 else place.open_e8
        cdef int64_t at = price if order.price_ticks else mark
        cdef int64_t held = a.positions[order.symbol].lots
        cdef const bracket_t* at_most
        cdef int k
        if not i.tradable:
            return SYMBOL_CLOSED
        if order.lots < i.min_lots:
            return QUANTITY_BELOW
        if order.lots > (i.max_market_lots if order.type == OrderType.MARKET else i.max_lots):
            return QUANTITY_ABOVE
        if order.type == OrderType.LIMIT:
            if order.price_ticks < i.min_ticks:
                return PRICE_BELOW
            if order.price_ticks > i.max_ticks:
                return PRICE_ABOVE
            if mark and order.side == Side.BUY and price > mul_div_floor(mark, i.up_e8, E8):
                return PERCENT_ABOVE
            if mark and order.side == Side.SELL and price < mul_div_floor(mark, i.down_e8, E8):
                return PERCENT_BELOW
        if mark == 0 or (place.interval_ns == 0 and not (<Book> self.books[order.symbol]).usable()):
            return NO_LIQUIDITY
        if order.reduce_only and (held == 0 or (held > 0) == (order.side == Side.BUY)):
            return REDUCE_ONLY_REJECT
        if not order.reduce_only and value_e8(i, at, order.lots) < i.min_notional_e8:
            return NOTIONAL_BELOW
        if place.resting_count >= MAX_RESTING or self.open_orders(order.symbol, account) >= i.max_orders:
            return MAX_OPEN_ORDERS
        for k in range(place.resting_count):
            if place.resting[k].order.client_id == order.client_id and place.resting[k].account == account:
                return DUPLICATE_ID
        if order.tif == TimeInForce.GTX and self.crosses(order):
            return POST_ONLY_TAKES
        if order.type == OrderType.MARKET and not place.interval_ns and self.out_of_bound(order, mark):
            return TAKE_BOUND
        held += order.lots if order.side == Side.BUY else -order.lots
        at_most = bracket_of(i, magnitude(value_e8(i, at, held)))
        if not order.reduce_only and at_most.max_leverage < i.leverage:
            return LEVERAGE_ABOVE
        if not order.reduce_only and self.cost_e8(order, account, at) > a.equity_e8():
            return MARGIN_INSUFFICIENT
        return 0

    cdef bint out_of_bound(self, const approved_t* order, int64_t mark) except -1:
        # Whether even the best price lies further from the mark than a market order may execute.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef Book book = <Book> self.books[order.symbol]
        cdef int64_t best = book.best_ask() if order.side == Side.BUY else book.best_bid()
        if book.sides[1 - order.side].best == NO_KEY:
            return False
        return magnitude(price_e8(i, best) - mark) > part_e8(mark, i.take_bound_e8)

    cdef int open_orders(self, int symbol, int account) noexcept:
        cdef int k, n = 0
        for k in range(self.places[symbol].resting_count):
            n += self.places[symbol].resting[k].account == account
        return n

    cdef int64_t cost_e8(self, const approved_t* order, int account, int64_t at) except -1:
        # Initial margin of every position with its open orders, this one included, its taker fee and its open loss.
        cdef int64_t mark = self.places[order.symbol].mark_e8 if self.places[order.symbol].mark_e8 else at
        cdef int64_t worse = at - mark if order.side == Side.BUY else mark - at
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i
        cdef int64_t total = 0, buys, sells, value, price
        cdef resting_t* o
        cdef int k, n
        for k in range(self.instruments.size):
            i = &self.instruments.data[k]
            buys = sells = 0
            for n in range(self.places[k].resting_count):
                o = &self.places[k].resting[n]
                if o.account == account and not o.order.reduce_only:
                    price = price_e8(i, o.order.price_ticks) if o.order.price_ticks else self.places[k].mark_e8
                    value = value_e8(i, price, o.leaves)
                    if o.order.side == Side.BUY:
                        buys += value
                    else:
                        sells += value
            if k == order.symbol:
                value = value_e8(i, at, order.lots)
                if order.side == Side.BUY:
                    buys += value
                else:
                    sells += value
            value = a.positions[k].value_e8
            total += max(magnitude(value + buys), magnitude(value - sells)) // i.leverage
        i = &self.instruments.data[order.symbol]
        return total + part_e8(value_e8(i, at, order.lots), i.taker_fee_e8) + value_e8(i, max(0, worse), order.lots)

    cdef bint crosses(self, const approved_t* order) except -1:
        # Whether a limit order would take on arrival.
        cdef place_t* place = &self.places[order.symbol]
        cdef Book book
        if place.interval_ns:
            if order.side == Side.BUY:
                return order.price_ticks >= self.open_ticks(order.symbol, order.side, order.lots)
            return order.price_ticks <= self.open_ticks(order.symbol, order.side, order.lots)
        book = <Book> self.books[order.symbol]
        if order.side == Side.BUY:
            return book.sides[1].best != NO_KEY and order.price_ticks >= book.best_ask()
        return book.sides[0].best != NO_KEY and order.price_ticks <= book.best_bid()

    cdef int cancel(self, uint64_t client_id, int symbol, int account, int64_t now) except -1:
        cdef place_t* place = &self.places[symbol]
        cdef event_t* row
        cdef int k
        for k in range(place.resting_count):
            if place.resting[k].order.client_id == client_id and place.resting[k].account == account:
                row = self.say(Kind.CANCELED, symbol, account, now)
                row.a = client_id
                row.b = place.resting[k].leaves
                return self.remove(symbol, k)
        row = self.say(Kind.CANCEL_REJECTED, symbol, account, now)
        row.a = client_id
        row.b = UNKNOWN_ORDER
        return 0

    cdef int rest(self, const resting_t* o, int64_t now) except -1:
        # Behind every order of its side with a price as good or better; on candles in the order of arrival.
        cdef place_t* place = &self.places[o.order.symbol]
        cdef resting_t* mine
        cdef int k = 0, n
        while k < place.resting_count and (place.interval_ns or not better(o, &place.resting[k])):
            k += 1
        for n in range(place.resting_count, k, -1):
            place.resting[n] = place.resting[n - 1]
        mine = &place.resting[k]
        mine[0] = o[0]
        place.resting_count += 1
        if place.interval_ns == 0:
            mine.ahead = (<Book> self.books[o.order.symbol]).lots_at(o.order.side, o.order.price_ticks)
        return 0

    cdef int remove(self, int symbol, int k) except -1:
        # Keep the others in order: who came first fills first.
        cdef place_t* place = &self.places[symbol]
        cdef int n
        for n in range(k, place.resting_count - 1):
            place.resting[n] = place.resting[n + 1]
        place.resting_count -= 1
        return 0

    # ------------------------------------------------------------------ taking

    cdef int take(self, resting_t* taker, int64_t now) except -1:
        if self.places[taker.order.symbol].interval_ns:
            return self.take_open(taker, now)
        return self.take_book(taker, now)

    cdef int take_book(self, resting_t* taker, int64_t now) except -1:
        # Walk the displayed book; leaves is -1 when the order ended on the way.
        cdef int symbol = taker.order.symbol
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef Book book = <Book> self.books[symbol]
        cdef int other = 1 - taker.order.side
        cdef int64_t key = book.sides[other].best
        cdef int64_t touch = -key if other == Side.SELL else key
        cdef int64_t mark = self.places[symbol].mark_e8
        cdef int64_t ticks, lots
        while taker.leaves > 0 and key != NO_KEY:
            ticks = -key if other == Side.SELL else key
            if taker.order.type == OrderType.LIMIT:
                if (ticks > taker.order.price_ticks) if other == Side.SELL else (ticks < taker.order.price_ticks):
                    break
            elif magnitude(price_e8(i, ticks) - mark) > part_e8(mark, i.take_bound_e8):
                break
            lots = self.may_fill(taker, min(taker.leaves, self.displayed(symbol, other, ticks)))
            if lots < 0:
                self.expire(taker, REDUCED_AWAY, now)
                taker.leaves = -1
                return 0
            if lots > 0 and self.consume(symbol, other, ticks, lots):
                self.fill(taker, lots, ticks, False, touch, now)
            key = ladder_below(&book.sides[other], key)
        return 0

    cdef int64_t may_fill(self, const resting_t* o, int64_t lots) except? -1:
        # A reduce-only order never passes the position: -2 when there is nothing left to reduce.
        cdef int64_t held = (<Account> self.accounts[o.account]).positions[o.order.symbol].lots
        if not o.order.reduce_only:
            return lots
        if held == 0 or (held > 0) == (o.order.side == Side.BUY):
            return -2
        return min(lots, magnitude(held))

    cdef int64_t open_ticks(self, int symbol, int side, int64_t lots) except -1:
        # What a market order of this size pays on candles: the open, half a spread and impact worse, on the tick.
        cdef place_t* place = &self.places[symbol]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef double cost = self.half_spread
        if place.bar_lots > 0:
            cost += self.impact * sqrt(place.variance) * sqrt(<double> lots / <double> place.bar_lots)
        if side == Side.BUY:
            return ticks_up(i, <int64_t> ceil(<double> place.open_e8 * (1.0 + cost)))
        return max(1, ticks_down(i, <int64_t> floor(<double> place.open_e8 * (1.0 - cost))))

    cdef int take_open(self, resting_t* taker, int64_t now) except -1:
        cdef place_t* place = &self.places[taker.order.symbol]
        cdef int64_t ticks, lots
        if place.open_e8 == 0 or now - place.ts_open > self.grace_ns:
            taker.waits = taker.order.type == OrderType.MARKET
            return 0
        ticks = self.open_ticks(taker.order.symbol, taker.order.side, taker.leaves)
        lots = self.may_fill(taker, taker.leaves)
        if lots < 0:
            self.expire(taker, REDUCED_AWAY, now)
            taker.leaves = -1
            return 0
        return self.fill(taker, lots, ticks, False, ticks, now)

    cdef int fill(self, resting_t* o, int64_t lots, int64_t price_ticks, bint maker, int64_t touch,
                  int64_t now) except -1:
        cdef const instrument_t* i = &self.instruments.data[o.order.symbol]
        cdef int64_t fee = part_e8(notional_e8(i, price_ticks, lots), i.maker_fee_e8 if maker else i.taker_fee_e8)
        cdef event_t* row = self.say(Kind.FILL, o.order.symbol, o.account, now)
        cdef Account a = <Account> self.accounts[o.account]
        a.book_fill(o.order.symbol, 0, lots if o.order.side == Side.BUY else -lots, price_ticks, fee, False)
        row.flags |= (Flag.F_SELL if o.order.side == Side.SELL else 0) | (Flag.F_MAKER if maker else 0)
        row.a = o.order.client_id
        row.b = self.next_trade_id
        row.c = price_ticks
        row.d = lots
        row.e = fee
        row.f = touch
        self.next_trade_id += 1
        o.leaves -= lots
        return 0

    # ------------------------------------------------------------------ consumed liquidity

    cdef int64_t displayed(self, int symbol, int side, int64_t ticks) except -1:
        cdef place_t* place = &self.places[symbol]
        cdef int64_t lots = (<Book> self.books[symbol]).lots_at(side, ticks)
        cdef int k
        for k in range(place.consumed_count):
            if place.consumed[k].ticks == ticks and place.consumed[k].side == side:
                lots -= place.consumed[k].lots
        return max(0, lots)

    cdef bint consume(self, int symbol, int side, int64_t ticks, int64_t lots) except -1:
        # False when it cannot be remembered: then it is not there to be taken.
        cdef place_t* place = &self.places[symbol]
        cdef int k
        for k in range(place.consumed_count):
            if place.consumed[k].ticks == ticks and place.consumed[k].side == side:
                place.consumed[k].lots += lots
                return True
        if place.consumed_count == MAX_CONSUMED:
            return False
        place.consumed[place.consumed_count].ticks = ticks
        place.consumed[place.consumed_count].lots = lots
        place.consumed[place.consumed_count].side = side
        place.consumed_count += 1
        return True

    cdef int forget_level(self, int symbol, int side, int64_t ticks) except -1:
        # The level changed: the recording's new quantity is the truth again.
        cdef place_t* place = &self.places[symbol]
        cdef int k = 0
        while k < place.consumed_count:
            if place.consumed[k].ticks == ticks and place.consumed[k].side == side:
                place.consumed_count -= 1
                place.consumed[k] = place.consumed[place.consumed_count]
            else:
                k += 1
        return 0

    # ------------------------------------------------------------------ the market moves

    cdef int on_row(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        cdef Book book
        if row.kind != Kind.LEVEL:
            self.pass_stamp(row.symbol, row.ts)
        if row.kind <= Kind.LEVEL:
            book = <Book> self.books[row.symbol]
            if row.kind == Kind.LEVEL and place.consumed_count and book.applying:
                self.forget_level(row.symbol, row.flags >> 2 & 1, row.a)
            book.on_row(row)
            if row.flags & Flag.F_END:
                place.book_stamp = row.ts - <int64_t> row.lag_us * 1000
                self.on_depth_end(row.symbol, row.ts)
            return 0
        if row.kind == Kind.TRADE:
            if row.f == 0 and place.resting_count:
                self.on_trade(row)
        elif row.kind == Kind.MARK:
            if place.funding_due and row.d > place.funding_due:    # the next stamp is named: this one is past
                self.pass_stamp(row.symbol, place.funding_due)
            place.rate_e8 = row.c
            if self.stream_funding and row.d > row.ts and row.d > place.funding_settled:
                place.funding_due = row.d
            if place.mark_source == 0:
                self.set_mark(row.symbol, row.a, row.ts)
                self.check_liquidation(row.ts)
        elif row.kind == Kind.CANDLE:
            if row.flags & Flag.F_CLOSED:
                self.on_candle(row)
        elif row.kind == Kind.CANDLE_OPEN:
            self.on_open(row)
        elif row.kind == Kind.MARK_CANDLE:
            if place.mark_source == 1:
                self.on_extremes(row, row.b, row.c, row.d)
                if row.flags & Flag.F_END:
                    self.settle_batch(row.ts)
        elif row.kind == Kind.FUNDING:
            self.settle_funding(row.symbol, row.a, row.b if row.b else place.mark_e8, row.ts)
        return 0

    cdef int on_depth_end(self, int symbol, int64_t now) except -1:
        # Move queues, fill what the opposite side has crossed, mark by the microprice when there is no mark.
        cdef Book book = <Book> self.books[symbol]
        cdef place_t* place = &self.places[symbol]
        cdef resting_t* o
        cdef int k = 0
        if not book.usable() or not book.two_sided():
            return 0
        if place.mark_source == 2:
            self.set_mark(symbol, self.proxy_e8(symbol), now)
            self.check_liquidation(now)
        while k < place.resting_count:
            o = &place.resting[k]
            o.ahead = min(o.ahead, book.lots_at(o.order.side, o.order.price_ticks))
            if self.crosses(&o.order):
                self.fill_crossed(o, now)
            if o.leaves <= 0:
                self.remove(symbol, k)
            else:
                k += 1
        return 0

    cdef int64_t proxy_e8(self, int symbol) except -1:
        cdef Book book = <Book> self.books[symbol]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t bid = book.best_bid(), ask = book.best_ask()
        cdef double bids = book.lots_at(Side.BUY, bid), asks = book.lots_at(Side.SELL, ask)
        return <int64_t> ((bid * asks + ask * bids) / (bids + asks) * <double> i.tick_e8 + 0.5)

    cdef int fill_crossed(self, resting_t* o, int64_t now) except -1:
        # The other side came through our price: we were there first, at our price, for what it shows.
        cdef Book book = <Book> self.books[o.order.symbol]
        cdef int other = 1 - o.order.side
        cdef int64_t key = book.sides[other].best
        cdef int64_t ticks, lots
        while o.leaves > 0 and key != NO_KEY:
            ticks = -key if other == Side.SELL else key
            if (ticks > o.order.price_ticks) if other == Side.SELL else (ticks < o.order.price_ticks):
                break
            lots = self.may_fill(o, min(o.leaves, self.displayed(o.order.symbol, other, ticks)))
            if lots < 0:
                self.expire(o, REDUCED_AWAY, now)
                o.leaves = -1
            elif lots > 0 and self.consume(o.order.symbol, other, ticks, lots):
                self.fill(o, lots, o.order.price_ticks, True, o.order.price_ticks, now)
            key = ladder_below(&book.sides[other], key)
        return 0

    cdef int on_trade(self, const event_t* row) except -1:
        # An aggressor passed: better prices first, then those in front of us at its price, then us.
        cdef place_t* place = &self.places[row.symbol]
        cdef int side = Side.BUY if row.flags & Flag.F_SELL else Side.SELL
        cdef int64_t budget = row.c
        cdef resting_t* o
        cdef int64_t lots, passed
        cdef int k = 0
        while k < place.resting_count and budget > 0:
            o = &place.resting[k]
            if o.order.side != side or o.order.type == OrderType.MARKET \
                    or ((o.order.price_ticks < row.b) if side == Side.BUY else (o.order.price_ticks > row.b)):
                k += 1
                continue
            if o.order.price_ticks == row.b:
                if row.ts - <int64_t> row.lag_us * 1000 < place.book_stamp:
                    k += 1                     # the book has shown this trade already: it moves no queue twice
                    continue
                passed = min(o.ahead, budget)
                o.ahead -= passed
                lots = min(o.leaves, budget - passed)
            else:
                lots = min(o.leaves, budget)
            lots = self.may_fill(o, lots)
            if lots < 0:
                self.expire(o, REDUCED_AWAY, row.ts)
                o.leaves = 0
            elif lots > 0:
                self.fill(o, lots, o.order.price_ticks, True, o.order.price_ticks, row.ts)
                budget -= lots
            if o.leaves == 0:
                self.remove(row.symbol, k)
            else:
                k += 1
        return 0

    # ------------------------------------------------------------------ candles

    cdef int on_open(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        cdef resting_t o
        cdef int k = 0
        place.open_e8 = row.a
        place.ts_open = row.ts
        place.interval_ns = row.f
        if place.mark_e8 == 0:
            self.set_mark(row.symbol, row.a, row.ts)
        while k < place.resting_count:
            if not place.resting[k].waits:
                k += 1
                continue
            o = place.resting[k]
            self.remove(row.symbol, k)
            self.take_open(&o, row.ts)
            if o.leaves > 0:
                self.expire(&o, MARKET_REST, row.ts)
        return 0

    cdef int on_candle(self, const event_t* row) except -1:
        # Resting orders that the bar traded through, then the statistics that price impact.
        cdef place_t* place = &self.places[row.symbol]
        cdef const instrument_t* i = &self.instruments.data[row.symbol]
        cdef resting_t* o
        cdef int64_t lots
        cdef double change
        cdef int k = 0
        while k < place.resting_count:
            o = &place.resting[k]
            # Only the extremes of a bar that the order saw whole.
            if o.waits or o.since > place.ts_open or not (
                    row.c <= price_e8(i, o.order.price_ticks - 1) if o.order.side == Side.BUY
                    else row.b >= price_e8(i, o.order.price_ticks + 1)):
                k += 1
                continue
            lots = self.may_fill(o, o.leaves)
            if lots < 0:
                self.expire(o, REDUCED_AWAY, row.ts)
            else:
                self.fill(o, lots, o.order.price_ticks, True, o.order.price_ticks, row.ts)
                if o.leaves > 0:
                    self.expire(o, REDUCED_AWAY, row.ts)
            self.remove(row.symbol, k)
        if place.close_e8:
            change = <double> row.d / <double> place.close_e8 - 1.0
            place.variance = DECAY * place.variance + (1.0 - DECAY) * change * change
            place.bar_lots = <int64_t> (DECAY * place.bar_lots + (1.0 - DECAY) * row.e)
        else:
            place.bar_lots = row.e
        place.close_e8 = row.d
        if place.mark_source != 0 and place.ts_mark < row.ts:      # no mark of this stamp: the candle stands in
            self.on_extremes(row, row.b, row.c, row.d)
        if row.flags & Flag.F_END:
            self.settle_batch(row.ts)
        return 0

    cdef int on_extremes(self, const event_t* row, int64_t high, int64_t low, int64_t close) except -1:
        cdef place_t* place = &self.places[row.symbol]
        place.worst_high_e8 = max(high, place.worst_high_e8) if place.has_extremes else high
        place.worst_low_e8 = min(low, place.worst_low_e8) if place.has_extremes else low
        place.has_extremes = True
        place.mark_e8 = close
        place.ts_mark = row.ts
        return 0

    cdef int settle_batch(self, int64_t now) except -1:
        # The bars of one stamp are complete: every account at its adverse extremes first, then at the closes.
        cdef Account a
        cdef int n, k
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            for k in range(self.instruments.size):
                if self.places[k].has_extremes and a.positions[k].lots:
                    a.set_mark(k, self.places[k].worst_low_e8 if a.positions[k].lots > 0
                               else self.places[k].worst_high_e8)
        self.check_liquidation(now)
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            for k in range(self.instruments.size):
                if self.places[k].has_extremes:
                    a.set_mark(k, self.places[k].mark_e8)
        for k in range(self.instruments.size):
            self.places[k].has_extremes = False
        return 0

    # ------------------------------------------------------------------ mark, funding, liquidation

    cdef int set_mark(self, int symbol, int64_t mark_e8, int64_t now) except -1:
        cdef int n
        self.places[symbol].mark_e8 = mark_e8
        self.places[symbol].ts_mark = now
        for n in range(len(self.accounts)):
            (<Account> self.accounts[n]).set_mark(symbol, mark_e8)
        return 0

    cdef int pass_stamp(self, int symbol, int64_t now) except -1:
        # Settle a funding stamp that the stream named once it has passed, at the rate and mark that stood then.
        cdef place_t* place = &self.places[symbol]
        if place.funding_due and now >= place.funding_due:
            place.funding_settled = place.funding_due
            place.funding_due = 0
            self.settle_funding(symbol, place.rate_e8, place.mark_e8, now)
        return 0

    cdef int settle_funding(self, int symbol, int64_t rate_e8, int64_t mark_e8, int64_t now) except -1:
        cdef Account a
        cdef event_t* row
        cdef int64_t amount
        cdef int n
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            if a.positions[symbol].lots == 0:
                continue
            amount = a.funding_due(symbol, 0, rate_e8, mark_e8)
            a.book_funding(symbol, 0, amount)
            row = self.say(Kind.FUNDING_PAID, symbol, n, now)
            row.a = amount
            row.b = rate_e8
            row.c = mark_e8
            row.d = a.positions[symbol].lots
        return self.check_liquidation(now)

    cdef int check_liquidation(self, int64_t now) except -1:
        cdef Account a
        cdef int n
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            if a.maintenance_total_e8 > 0 and a.equity_e8() <= a.maintenance_total_e8:
                self.liquidate(n, now)
        return 0

    cdef int liquidate(self, int account, int64_t now) except -1:
        # Orders cancelled, then every position taken over: the largest loser at the price where, after the clearance
        # fee (as far as there is equity to pay it), nothing is left, the others at their marks.
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i
        cdef event_t* row
        cdef int64_t gross = a.gross_e8, loss, fees = 0, fee, lots, price, value, worst = 0
        cdef int k, n, loser = -1
        self.liquidations += 1
        for k in range(self.instruments.size):
            n = 0
            while n < self.places[k].resting_count:
                if self.places[k].resting[n].account == account:
                    self.expire(&self.places[k].resting[n], LIQUIDATED, now)
                    self.remove(k, n)
                else:
                    n += 1
        for k in range(self.instruments.size):
            fees += part_e8(magnitude(a.positions[k].value_e8), self.instruments.data[k].liquidation_fee_e8)
            if a.positions[k].lots and (loser < 0 or a.positions[k].value_e8 - a.positions[k].cost_e8 < worst):
                worst = a.positions[k].value_e8 - a.positions[k].cost_e8
                loser = k
        fees = min(fees, max(0, a.equity_e8()))
        loss = a.equity_e8() - fees
        for k in range(self.instruments.size):
            i = &self.instruments.data[k]
            lots = a.positions[k].lots
            if lots == 0:
                continue
            value = magnitude(a.positions[k].value_e8)
            fee = fees if value == gross else mul_div(fees, value, gross)
            fees -= fee
            gross -= value
            price = mul_div(loss, E8, magnitude(lots) * i.lot_e8) if k == loser else 0
            price = a.margins[k].mark_e8 - (price if lots > 0 else -price)
            row = self.say(Kind.LIQUIDATION, k, account, now)
            row.flags |= Flag.F_SELL if lots > 0 else 0
            row.a = lots
            row.b = max(1, price)
            row.c = fee
            row.d = a.margins[k].mark_e8
            a.close_at(k, 0, lots, row.b, fee)
        return 0

    # ------------------------------------------------------------------ Python face

    def feed(self, rows):
        """Let the market move; return what the venue says, as an array."""
        cdef Rows source = Rows(rows)
        cdef Py_ssize_t i
        self.out.size = self.to.size = 0
        for i in range(source.size):
            self.on_row(source.data + i)
        return self.out.array()

    def resting(self, int symbol):
        """Return the open orders of a symbol, oldest first."""
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)
        return [dict(self.places[symbol].resting[k]) for k in range(self.places[symbol].resting_count)]
