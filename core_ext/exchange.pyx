"""The simulated venue."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport ceil, floor, sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport ACCOUNT_SYMBOLS, ASSETS, Account, asset_t, bracket_of, max_notional_of, position_t
from core_ext.book cimport NO_KEY, Book, ladder_below
from core_ext.fault cimport LOST_DONE, LOST_UNDONE, Faults
from core_ext.fixed cimport (
    E8, MAX_STEPS, magnitude, mul_div, mul_div_floor, notional_e8, part_e8, price_e8, ticks_down, ticks_up, value_e8,
)
from core_ext.perpetual cimport Perpetual
from core_ext.queue cimport cancelled_ahead
from core_ext.request cimport (
    Code, asked_t, beyond, copy_approved, filter_refusal, match_refusal, only_closes, parameter_refusal, triggers_above,
)
from core_ext.types cimport (
    AlgoStatus, Asset, Cause, Flag, Instruments, Kind, OrderType, PriceMatch, Rows, SelfTrade, Side, Term,
    TimeInForce, approved_t, event_t, instrument_t, is_conditional, leg_of, level_run, set_filters,
)

from core_ext.queue import QUEUE_MODELS

cdef double DECAY = 0.95       # of a bar's variance and volume: half-life 13.5 bars
cdef int64_t MOST_E8 = 1 << 60     # money beyond this is absurd
cdef int MAX_AMENDS = 9999     # of one order
cdef int HALVINGS = 63         # of a difference of 64 bits, until nothing is left of it
cdef int FUND = -2             # the insurance fund as a taker
cdef int LEVEL_OF[9]           # of the book, by PriceMatch
LEVEL_OF = [0, 1, 5, 10, 20, 1, 5, 10, 20]

# Expiry reasons of ORDER_TRADE_UPDATE; 0 is the order's own end.
cdef enum:
    OWN_END = 0
    SELF_TRADE = 1
    IOC_REST = 2
    IOC_SELF_TRADE = 3
    REDUCED_AWAY = 4
    LIQUIDATED = 5
    MARKET_REST = 9

# Whose conditional orders a bar's extreme may trigger: it is adverse to longs or to shorts, or comes second.
cdef enum:
    ANYBODY = 0
    LONGS = 1
    SHORTS = 2


cdef bint better(const resting_t* a, const resting_t* b) noexcept nogil:
    # Whether a goes before b: same side, better price.
    if a.order.side != b.order.side:
        return False
    if a.order.side == Side.BUY:
        return a.order.price_ticks > b.order.price_ticks
    return a.order.price_ticks < b.order.price_ticks


cdef bint one_leg(const resting_t* a, const resting_t* b) noexcept nogil:
    # Whether what one of them opens is there for the other to close.
    return a.account == b.account and leg_of(a.order.position_side) == leg_of(b.order.position_side)


cdef bint settled(const resting_t* maker, int rounds) noexcept nogil:
    # Whether nothing is realised any more where two orders of one leg meet, the closing one larger than the position:
    # all of that has cost what they meet at. A maker that closes comes first and does so in one round; behind one that
    # opens each round closes half of what is there.
    return rounds > (1 if only_closes(&maker.order) else HALVINGS)


MARK_SOURCES = ("stream", "file", "proxy", "own")


@cython.final
cdef class Exchange:
    """The venue behind a backtest, a paper run or a loopback server.

    Parameters
    ----------
    instruments : Instruments
    accounts : list of Account
        The venue's truth about each account.
    mark_sources : list of str
        "stream", "file", "proxy" or "own" (the venue's, from the index that is fed), by symbol.
    half_spread : float
        Half the spread as a share of the price, candle runs.
    impact : float
        Coefficient of square-root impact, candle runs.
    grace_ns : int
        An order that arrives this soon after a bar's open fills at that open; a later one waits for the next.
    stream_funding : bool, optional
        Whether the funding that the mark stream announces is settled.
    window_bits : int, optional
    queue : str, optional
        Queue model of a replay (``core_ext.queue.QUEUE_MODELS``).
    recovery_ns : int, optional
        What our orders took from a level is there again after it; 0: not before the level changes.
    fund_e8 : int, optional
        What the insurance fund starts with, 1e-8 USDT.
    synthetic : bool, optional
        No recording: the book is the accounts' own orders.
    faults : Faults, optional
        When the venue refuses, loses or delays, and its rate limits; None: never, and there are none.
    """

    def __cinit__(self, *args, **kwargs):
        self.places = <place_t*> PyMem_Calloc(VENUE_SYMBOLS, sizeof(place_t))
        self.ended = <ended_t*> PyMem_Calloc(MAX_ENDED, sizeof(ended_t))
        if self.places == NULL or self.ended == NULL:
            raise MemoryError("venue")

    def __init__(self, Instruments instruments not None, list accounts not None, list mark_sources, double half_spread,
                 double impact, int64_t grace_ns, bint stream_funding=True, int window_bits=16,
                 str queue="pessimistic", int64_t recovery_ns=0, int64_t fund_e8=10**17, bint synthetic=False,
                 Faults faults=None):
        cdef place_t* place
        cdef int k
        self.instruments = instruments
        self.accounts = accounts
        self.fund = Account(instruments, fund_e8)
        self.faults = faults
        self.synthetic = synthetic
        self.half_spread = half_spread
        self.impact = impact
        self.grace_ns = grace_ns
        self.recovery_ns = recovery_ns
        self.queue_model = QUEUE_MODELS.index(queue)
        self.stream_funding = stream_funding
        self.out = Rows()
        self.to = Rows()
        self.next_venue_id = 1
        self.next_trade_id = 1
        self.books = [Book(window_bits) for _ in range(instruments.size)]
        self.perpetuals = [Perpetual(instruments, k) for k in range(instruments.size)] \
            if synthetic or "own" in mark_sources else []
        for k in range(instruments.size):
            place = &self.places[k]
            place.mark_source = MARK_SOURCES.index(mark_sources[k])
            place.resting = <resting_t*> PyMem_Calloc(MAX_RESTING, sizeof(resting_t))
            place.algos = <algo_t*> PyMem_Calloc(MAX_ALGOS, sizeof(algo_t))
            place.consumed = <consumed_t*> PyMem_Calloc(MAX_CONSUMED, sizeof(consumed_t))
            place.changed = <change_t*> PyMem_Calloc(MAX_CHANGED, sizeof(change_t))
            if place.resting == NULL or place.algos == NULL or place.consumed == NULL or place.changed == NULL:
                raise MemoryError("venue")
            if synthetic:
                self.open_book(k)

    def __dealloc__(self):
        cdef int k
        for k in range(VENUE_SYMBOLS):
            PyMem_Free(self.places[k].resting)
            PyMem_Free(self.places[k].algos)
            PyMem_Free(self.places[k].consumed)
            PyMem_Free(self.places[k].changed)
        PyMem_Free(self.places)
        PyMem_Free(self.ended)

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

    cdef int note(self, int symbol, int account, int leg, int64_t realised) except -1:
        # What the account holds after what was said last.
        cdef Account a = <Account> self.accounts[account]
        cdef const position_t* p = &a.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef event_t* row = self.to.data + self.to.size - 1
        row.b = a.wallet_e8
        row.c = p.lots
        row.d = p.cost_e8
        row.e = p.isolated_e8
        row.f = realised
        return 0

    cdef int say_algo(self, const algo_t* o, int status, int64_t child, int code, int64_t now) except -1:
        cdef event_t* row = self.say(Kind.ALGO, o.order.symbol, o.account, now)
        row.a = o.order.client_id
        row.b = status
        row.c = o.algo_id
        row.d = child
        row.e = code
        return 0

    cdef int turn_down(self, const asked_t* order, int kind, int account, int64_t now, int code) except -1:
        cdef uint8_t answer = (Kind.REJECTED if kind == Kind.ORDER else Kind.AMEND_REJECTED if kind == Kind.AMEND
                               else Kind.CANCEL_REJECTED)
        cdef event_t* row
        if kind == Kind.QUERY:                 # a question that fails leaves the order as unknown as it was
            row = self.say(Kind.LOST, order.symbol, account, now)
            row.b = Kind.QUERY
        else:
            row = self.say(answer, order.symbol, account, now)
            row.b = code
        row.a = order.client_id
        return 0

    cdef int expire(self, const resting_t* o, int reason, int64_t now) except -1:
        cdef event_t* row = self.say(Kind.EXPIRED, o.order.symbol, o.account, now)
        row.a = o.order.client_id
        row.b = o.leaves
        row.c = reason
        return self.close_book(o, Kind.EXPIRED, reason, now)

    cdef int close_book(self, const resting_t* o, uint8_t kind, int reason, int64_t now) except -1:
        # An order has ended.
        cdef event_t* row
        cdef ended_t* end = self.remember(o.order.client_id, o.account, kind, o.leaves, reason)
        end.venue_id = o.venue_id
        end.price_ticks = o.order.price_ticks
        end.lots = o.order.lots
        if o.algo_id:
            row = self.say(Kind.ALGO, o.order.symbol, o.account, now)
            row.a = o.order.client_id
            row.b = AlgoStatus.ALGO_FINISHED
            row.c = o.algo_id
            row.d = o.venue_id
        return 0

    cdef ended_t* remember(self, uint64_t client_id, int account, uint8_t kind, int64_t undone, int reason) noexcept:
        cdef ended_t* place = &self.ended[self.ended_count & (MAX_ENDED - 1)]
        place.client_id = client_id
        place.account = account
        place.kind = kind
        place.undone = undone
        place.reason = reason
        self.ended_count += 1
        return place

    # ------------------------------------------------------------------ requests

    cdef int submit(self, const approved_t* approved, int account, int64_t now) except -1:
        cdef asked_t order
        copy_approved(&order, approved)
        return self.serve(&order, Kind.AMEND if approved.amends else Kind.ORDER, account, now)

    cdef int cancel(self, uint64_t client_id, int symbol, int account, int64_t now) except -1:
        cdef asked_t order
        memset(&order, 0, sizeof(asked_t))
        order.client_id = client_id
        order.symbol = symbol
        return self.serve(&order, Kind.CANCEL, account, now)

    cdef int query(self, uint64_t client_id, int symbol, int account, int64_t now) except -1:
        cdef asked_t order
        memset(&order, 0, sizeof(asked_t))
        order.client_id = client_id
        order.symbol = symbol
        return self.serve(&order, Kind.QUERY, account, now)

    cdef int serve(self, const asked_t* order, int kind, int account, int64_t now) except -1:
        cdef Py_ssize_t first, k
        cdef int fate = 0
        self.pass_stamp(order.symbol, now)
        first = self.out.size
        if self.faults is not None:
            fate = self.faults.fate(kind, account, only_closes(order), now)
        if fate == LOST_DONE or fate == LOST_UNDONE:
            self.lose(order, kind, account, fate == LOST_DONE, now)
        elif fate:
            self.turn_down(order, kind, account, now, fate)
        else:
            self.carry_out(order, kind, account, now)
        if self.faults is not None and self.faults.delay_ns:
            for k in range(first, self.out.size):
                if self.to.data[k].a == account:
                    self.out.data[k].ts += self.faults.delay_ns
        self.watch_last(order.symbol, now)
        return self.publish(order.symbol, now)

    cdef int lose(self, const asked_t* order, int kind, int account, bint done, int64_t now) except -1:
        # The answer is lost. What happens to an order is told apart from it; a refusal and what was asked are not.
        cdef event_t* row = self.say(Kind.LOST, order.symbol, account, now)
        row.a = order.client_id
        row.b = kind
        if not done or kind == Kind.QUERY:
            return 0
        self.carry_out(order, kind, account, now)
        row = self.out.data + self.out.size - 1
        if row.kind == Kind.REJECTED or row.kind == Kind.AMEND_REJECTED or row.kind == Kind.CANCEL_REJECTED:
            self.out.size -= 1
            self.to.size -= 1
        return 0

    cdef int carry_out(self, const asked_t* order, int kind, int account, int64_t now) except -1:
        if kind == Kind.ORDER:
            return self.take_in(order, account, now)
        if kind == Kind.AMEND:
            return self.amend(order, account, now)
        if kind == Kind.CANCEL:
            return self.undo(order, account, now)
        return self.answer(order, account, now)

    cdef int answer(self, const asked_t* order, int account, int64_t now) except -1:
        # What has become of an order. Fills are said once, when they happen, and never again here: of a filled order
        # the answer is what it was.
        cdef place_t* place = &self.places[order.symbol]
        cdef const resting_t* o
        cdef const ended_t* end
        cdef event_t* row
        cdef bint filled
        cdef uint64_t n
        cdef int k = self.find(order.client_id, order.symbol, account)
        if k >= 0:
            o = &place.resting[k]
            row = self.say(Kind.ACCEPTED, order.symbol, account, now)
            row.a = order.client_id
            row.b = o.venue_id
            row.c = o.order.price_ticks
            row.d = o.order.lots
            return 0
        k = self.find_algo(order.client_id, order.symbol, account)
        if k >= 0:
            return self.say_algo(&place.algos[k], AlgoStatus.ALGO_NEW, 0, 0, now)
        for n in range(min(self.ended_count, <uint64_t> MAX_ENDED)):
            end = &self.ended[(self.ended_count - 1 - n) & (MAX_ENDED - 1)]
            if end.client_id != order.client_id or end.account != account:
                continue
            filled = end.kind == Kind.FILL
            row = self.say(Kind.ACCEPTED if filled else end.kind, order.symbol, account, now)
            row.a = order.client_id
            row.b = end.venue_id if filled else end.undone
            row.c = end.price_ticks if filled else end.reason
            row.d = end.lots if filled else 0
            return 0
        row = self.say(Kind.ABSENT, order.symbol, account, now)
        row.a = order.client_id
        row.b = Code.NO_SUCH_ORDER
        return 0

    cdef int change_setting(self, int symbol, int setting, int64_t value, int account, int64_t now) except? -1:
        cdef Account a = <Account> self.accounts[account]
        cdef event_t* row
        cdef int code = a.setting_refusal(symbol, setting, value)
        if code:
            return code
        a.apply_setting(symbol, setting, value)
        row = self.say(Kind.SETTING, symbol, account, now)
        row.a = setting
        row.b = value
        return 0

    cdef int move_margin(self, int symbol, int leg, int64_t amount, int account, int64_t now) except? -1:
        # Into an isolated leg, or out of it as far as its initial margin stays covered.
        cdef Account a = <Account> self.accounts[account]
        cdef event_t* row
        cdef int code = a.margin_refusal(symbol, leg, amount)
        if code:
            return code
        a.book_margin(symbol, leg, amount)
        row = self.say(Kind.MARGIN_MOVED, symbol, account, now)
        row.flags |= Flag.F_SHORT if leg else 0
        row.a = amount
        return self.note(symbol, account, leg, 0)

    cdef int transfer(self, int asset, int64_t amount, int account, int64_t now) except? -1:
        # Out of the futures wallet no more than there is, and than is available: a gain is no money yet, and what
        # stands behind an isolated leg or is collateral of a position stays.
        cdef Account a = <Account> self.accounts[account]
        cdef event_t* row
        cdef int64_t there
        if not 0 <= asset < ASSETS or amount >= MOST_E8:
            return Code.BAD_PARAMETER
        if amount < 0:
            there = a.assets[asset].wallet_e8 if asset else a.wallet_e8 - a.isolated_total_e8
            if amount < -max(0, there) or (asset == Asset.USDT or a.multi_assets) \
                    and collateral_lost(a, asset, amount) > max(0, a.available_e8()):
                return Code.BALANCE_INSUFFICIENT
        a.book_transfer(asset, amount)
        row = self.say(Kind.TRANSFER, 0, account, now)
        row.a = amount
        row.b = asset
        return self.note(0, account, 0, 0)

    # ------------------------------------------------------------------ orders

    cdef int take_in(self, const asked_t* order, int account, int64_t now) except -1:
        cdef asked_t own = order[0]
        cdef int code = self.verdict(&own, account, now)
        if code:
            return self.turn_down(order, Kind.ORDER, account, now, code)
        if is_conditional(own.type):
            return self.arm(&own, account, now)
        return self.accept(&own, account, 0, now)

    cdef int verdict(self, asked_t* order, int account, int64_t now) except? -1:
        # Everything that the exchange checks of a new order; 0 accepts. A price match finds its price on the way.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef int code = 0 if i.tradable else Code.SYMBOL_CLOSED
        if code == 0:
            code = parameter_refusal(i, order, (<Account> self.accounts[account]).hedge, now)
        if code:
            return code
        if is_conditional(order.type):
            return self.algo_refusal(order, account)
        if order.price_match:
            order.price_ticks = self.matched_price(order)
            if order.price_ticks == 0:
                return Code.NO_LEVEL_TO_MATCH
        code = self.refusal(order, account)
        if code == 0 and order.tif == TimeInForce.FOK and not self.fillable(order, account, now):
            code = Code.FOK_UNFILLED
        return code

    cdef int accept(self, const asked_t* order, int account, int64_t algo_id, int64_t now) except -1:
        cdef resting_t taker
        cdef event_t* row
        memset(&taker, 0, sizeof(resting_t))
        taker.order = order[0]
        taker.account = account
        taker.leaves = order.lots
        taker.since = now
        taker.algo_id = algo_id
        taker.venue_id = self.next_venue_id
        self.next_venue_id += 1
        row = self.say(Kind.ACCEPTED, order.symbol, account, now)
        row.a = order.client_id
        row.b = taker.venue_id
        row.c = order.price_ticks
        row.d = order.lots
        return self.execute(&taker, now)

    cdef int execute(self, resting_t* taker, int64_t now) except -1:
        # Take what the order reaches; what is left rests or expires by its kind.
        if taker.order.tif != TimeInForce.GTX and (taker.order.type == OrderType.MARKET or self.crosses(&taker.order)):
            self.take(taker, now)
        if taker.leaves > 0 and taker.order.tif != TimeInForce.GTX:
            self.meet_own(taker, now)
        if taker.leaves <= 0:                  # filled, or it ended on the way
            return 0
        if taker.order.type == OrderType.MARKET and not taker.waits:
            return self.expire(taker, MARKET_REST, now)
        if taker.order.tif == TimeInForce.IOC or taker.order.tif == TimeInForce.FOK:
            return self.expire(taker, IOC_REST, now)
        return self.rest(taker, now)

    cdef int refusal(self, const asked_t* order, int account) except? -1:
        # The exchange's checks of an order that enters the book, in its own codes; 0 accepts.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef place_t* place = &self.places[order.symbol]
        cdef Account a = <Account> self.accounts[account]
        cdef int64_t mark = place.mark_e8 if place.mark_e8 else place.open_e8
        cdef int64_t at = price_e8(i, order.price_ticks) if order.price_ticks else mark
        cdef int64_t held = a.positions[order.symbol + leg_of(order.position_side) * ACCOUNT_SYMBOLS].lots
        cdef bint closes = only_closes(order)
        cdef int code = filter_refusal(i, order, mark)
        if code and not (closes and order.type == OrderType.MARKET and order.lots == magnitude(held)
                         and (code == Code.OFF_STEP or code == Code.QUANTITY_BELOW)):
            return code                        # a position that a coarser step left behind is closed whole
        if mark == 0 or (place.interval_ns == 0 and not (<Book> self.books[order.symbol]).usable()):
            return Code.NO_LIQUIDITY
        if closes and (held == 0 or (held > 0) == (order.side == Side.BUY)
                       or (a.hedge and order.lots > magnitude(held))):
            return Code.REDUCE_ONLY_REJECT
        if not closes and value_e8(i, at, order.lots) < i.min_notional_e8:
            return Code.NOTIONAL_BELOW
        if place.resting_count >= MAX_RESTING or self.open_orders(order.symbol, account) >= i.max_orders:
            return Code.MAX_OPEN_ORDERS
        if self.knows(order.client_id, order.symbol, account):
            return Code.DUPLICATE_ID
        if order.tif == TimeInForce.GTX and self.crosses(order):
            return Code.POST_ONLY_TAKES
        if order.type == OrderType.MARKET and not place.interval_ns and self.out_of_bound(order, mark):
            return Code.TAKE_BOUND
        return 0 if closes else self.account_refusal(order, account, at)

    cdef int account_refusal(self, const asked_t* order, int account, int64_t at) except? -1:
        # Leverage and margin of an order that can open.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef Account a = <Account> self.accounts[account]
        cdef int64_t leverage = a.margins[order.symbol].leverage
        cdef int leg = leg_of(order.position_side)
        cdef int64_t now = a.needed_e8(order.symbol, leg, order.side, 0)
        cdef int64_t then = a.needed_e8(order.symbol, leg, order.side, value_e8(i, at, order.lots))
        if then > now and then > max_notional_of(i, leverage) // leverage:
            return Code.LEVERAGE_ABOVE
        if a.order_cost_e8(order.symbol, leg, order.side, at, order.lots) > a.available_e8():
            return Code.MARGIN_INSUFFICIENT
        return 0

    cdef bint out_of_bound(self, const asked_t* order, int64_t mark) except -1:
        # Whether even the best price lies further from the mark than a market order may execute.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef Book book = <Book> self.books[order.symbol]
        cdef int64_t best = book.best_ask() if order.side == Side.BUY else book.best_bid()
        if book.sides[1 - order.side].best == NO_KEY:
            return False
        return magnitude(price_e8(i, best) - mark) > part_e8(mark, i.take_bound_e8)

    cdef int64_t matched_price(self, const asked_t* order) except? -1:
        # The level that a price match names, 0 when the book is not that deep.
        cdef int64_t ticks[20]
        cdef int64_t lots[20]
        cdef int n = LEVEL_OF[order.price_match]
        cdef int side = order.side if order.price_match >= PriceMatch.QUEUE else 1 - order.side
        cdef Book book = <Book> self.books[order.symbol]
        if self.places[order.symbol].interval_ns or not book.usable() or book.top(side, n, ticks, lots) < n:
            return 0
        return ticks[n - 1]

    cdef bint fillable(self, const asked_t* order, int account, int64_t now) except -1:
        # Whether all of it would fill at once.
        cdef place_t* place = &self.places[order.symbol]
        cdef Book book = <Book> self.books[order.symbol]
        cdef int other = 1 - order.side
        cdef int64_t key = book.sides[other].best
        cdef int64_t held, ticks, lots = 0
        held = (<Account> self.accounts[account]).positions[
            order.symbol + leg_of(order.position_side) * ACCOUNT_SYMBOLS].lots
        if only_closes(order) and order.lots > magnitude(held):
            return False
        if place.interval_ns:
            return now - place.ts_at <= self.grace_ns and self.crosses(order)
        if self.synthetic:
            return self.standing(order, account) >= order.lots
        while key != NO_KEY and lots < order.lots:
            ticks = -key if other == Side.SELL else key
            if beyond(order, ticks):
                break
            lots += self.displayed(order.symbol, other, ticks, now)
            key = ladder_below(&book.sides[other], key)
        return lots >= order.lots

    cdef int64_t standing(self, const asked_t* order, int account) except -1:
        # Lots of the accounts' orders that this one reaches. Those that can only close share what their position is,
        # less what orders in front of them take of it.
        cdef place_t* place = &self.places[order.symbol]
        cdef int64_t takes[MAX_RESTING]
        cdef const resting_t* o
        cdef const resting_t* first
        cdef int64_t lots = 0
        cdef int k, n, leg
        for k in range(place.resting_count):
            o = &place.resting[k]
            takes[k] = 0
            if o.order.side == order.side or beyond(order, o.order.price_ticks):
                continue
            takes[k] = o.leaves
            if only_closes(&o.order):
                takes[k] = self.may_fill(o, MAX_STEPS) if o.account != account else 0
                leg = leg_of(o.order.position_side)
                for n in range(k):
                    first = &place.resting[n]
                    if first.account == o.account and leg_of(first.order.position_side) == leg:
                        takes[k] -= takes[n]
                takes[k] = max(0, min(takes[k], o.leaves))
            lots += takes[k]
        return lots

    cdef int find(self, uint64_t client_id, int symbol, int account) noexcept:
        cdef place_t* place = &self.places[symbol]
        cdef int k
        for k in range(place.resting_count):
            if place.resting[k].order.client_id == client_id and place.resting[k].account == account:
                return k
        return -1

    cdef int find_algo(self, uint64_t client_id, int symbol, int account) noexcept:
        cdef place_t* place = &self.places[symbol]
        cdef int k
        for k in range(place.algo_count):
            if place.algos[k].order.client_id == client_id and place.algos[k].account == account:
                return k
        return -1

    cdef bint knows(self, uint64_t client_id, int symbol, int account) noexcept:
        return self.find(client_id, symbol, account) >= 0 or self.find_algo(client_id, symbol, account) >= 0

    cdef int open_orders(self, int symbol, int account) noexcept:
        cdef int k, n = 0
        for k in range(self.places[symbol].resting_count):
            n += self.places[symbol].resting[k].account == account
        return n

    cdef bint crosses(self, const asked_t* order) except -1:
        # Whether a limit order would take on arrival.
        cdef place_t* place = &self.places[order.symbol]
        cdef Book book
        if place.interval_ns:
            return not beyond(order, self.open_ticks(order.symbol, order.side, order.lots))
        book = <Book> self.books[order.symbol]
        if order.side == Side.BUY:
            return book.sides[1].best != NO_KEY and order.price_ticks >= book.best_ask()
        return book.sides[0].best != NO_KEY and order.price_ticks <= book.best_bid()

    cdef int undo(self, const asked_t* order, int account, int64_t now) except -1:
        # A cancel.
        cdef place_t* place = &self.places[order.symbol]
        cdef event_t* row
        cdef int k = self.find(order.client_id, order.symbol, account)
        if k >= 0:
            row = self.say(Kind.CANCELED, order.symbol, account, now)
            row.a = order.client_id
            row.b = place.resting[k].leaves
            self.close_book(&place.resting[k], Kind.CANCELED, 0, now)
            return self.remove(order.symbol, k, now)
        k = self.find_algo(order.client_id, order.symbol, account)
        if k < 0:
            return self.turn_down(order, Kind.CANCEL, account, now, Code.UNKNOWN_ORDER)
        self.say_algo(&place.algos[k], AlgoStatus.ALGO_CANCELED, 0, 0, now)
        self.remember(order.client_id, account, Kind.CANCELED, place.algos[k].order.lots, 0)
        return self.remove_algo(order.symbol, k)

    cdef int amend(self, const asked_t* order, int account, int64_t now) except -1:
        # A new price and quantity; the place in the queue is lost always.
        cdef place_t* place = &self.places[order.symbol]
        cdef asked_t wanted
        cdef resting_t o
        cdef event_t* row
        cdef int64_t done
        cdef int code, k = self.find(order.client_id, order.symbol, account)
        if k < 0:
            return self.turn_down(order, Kind.AMEND, account, now, Code.NO_SUCH_ORDER)
        o = place.resting[k]
        done = o.order.lots - o.leaves
        wanted = o.order
        wanted.lots = order.lots
        wanted.price_match = order.price_match
        wanted.price_ticks = order.price_ticks
        wanted.stp = SelfTrade.STP_NONE        # a modified order has its self-trade prevention reset
        code = match_refusal(&wanted)
        if code == 0:
            if wanted.price_match:
                wanted.price_ticks = self.matched_price(&wanted)
            code = self.amend_refusal(&place.resting[k], &wanted)
        if code:
            return self.turn_down(order, Kind.AMEND, account, now, code)
        self.remove(order.symbol, k, now)
        o.counted_e8 = 0
        if wanted.lots <= done or (o.order.tif == TimeInForce.GTX and self.crosses(&wanted)):
            row = self.say(Kind.CANCELED, order.symbol, account, now)
            row.a = order.client_id
            row.b = o.leaves
            return self.close_book(&o, Kind.CANCELED, 0, now)
        o.order = wanted
        o.leaves = wanted.lots - done
        o.since = now
        o.amends += 1
        row = self.say(Kind.AMENDED, order.symbol, account, now)
        row.a = order.client_id
        row.b = wanted.price_ticks
        row.c = wanted.lots
        return self.execute(&o, now)

    cdef int amend_refusal(self, resting_t* o, const asked_t* wanted) except? -1:
        # The order stands while it is judged, but what it holds of the margin is free for what it is to become.
        cdef const instrument_t* i = &self.instruments.data[wanted.symbol]
        cdef Account a = <Account> self.accounts[o.account]
        cdef int leg = leg_of(wanted.position_side)
        cdef asked_t rest = wanted[0]
        cdef int code = 0
        rest.lots = wanted.lots - (o.order.lots - o.leaves)
        if not i.tradable:
            return Code.AMEND_SYMBOL_CLOSED
        if o.order.type != OrderType.LIMIT:
            return Code.AMEND_LIMIT_ONLY
        if wanted.price_ticks == o.order.price_ticks and wanted.lots == o.order.lots:
            return Code.AMEND_NO_CHANGE
        if o.amends >= MAX_AMENDS:
            return Code.AMEND_TOO_OFTEN
        if wanted.price_match and wanted.price_ticks == 0:
            return Code.NO_LEVEL_TO_MATCH
        code = filter_refusal(i, wanted, self.places[wanted.symbol].mark_e8)
        if code:
            return code
        if only_closes(wanted):
            return Code.REDUCE_ONLY_REJECT if a.hedge and rest.lots > max(0, self.may_fill(o, rest.lots)) else 0
        if value_e8(i, price_e8(i, wanted.price_ticks), wanted.lots) < i.min_notional_e8:
            return Code.AMEND_NOTIONAL
        if rest.lots <= 0:
            return 0
        a.open_order(wanted.symbol, leg, wanted.side, -o.counted_e8, 0)
        code = self.account_refusal(&rest, o.account, price_e8(i, wanted.price_ticks))
        a.open_order(wanted.symbol, leg, wanted.side, o.counted_e8, 0)
        return code

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
        mine.counted_e8 = 0
        (<Account> self.accounts[o.account]).open_order(
            o.order.symbol, leg_of(o.order.position_side), o.order.side, 0, 1)
        self.recount(mine)
        if place.interval_ns == 0 and not self.synthetic:
            mine.ahead = (<Book> self.books[o.order.symbol]).lots_at(o.order.side, o.order.price_ticks)
            mine.shown = mine.ahead
            mine.passed = 0
        if o.order.tif == TimeInForce.GTD and (place.first_end == 0 or o.order.good_till < place.first_end):
            place.first_end = o.order.good_till
        return self.level_changed(o.order.symbol, o.order.side, o.order.price_ticks, now)

    cdef int recount(self, resting_t* o) except -1:
        # Bring the account's open orders to what this one is now.
        cdef const instrument_t* i = &self.instruments.data[o.order.symbol]
        cdef int64_t value = 0
        if o.leaves > 0 and not only_closes(&o.order):
            value = notional_e8(i, o.order.price_ticks, o.leaves) if o.order.price_ticks \
                else value_e8(i, self.places[o.order.symbol].mark_e8, o.leaves)
        if value != o.counted_e8:
            (<Account> self.accounts[o.account]).open_order(
                o.order.symbol, leg_of(o.order.position_side), o.order.side, value - o.counted_e8, 0)
            o.counted_e8 = value
        return 0

    cdef int remove(self, int symbol, int k, int64_t now) except -1:
        # Keep the others in order: who came first fills first.
        cdef place_t* place = &self.places[symbol]
        cdef const resting_t* o = &place.resting[k]
        cdef int64_t ticks = o.order.price_ticks
        cdef int n, side = o.order.side
        (<Account> self.accounts[o.account]).open_order(symbol, leg_of(o.order.position_side), side, -o.counted_e8, -1)
        for n in range(k, place.resting_count - 1):
            place.resting[n] = place.resting[n + 1]
        place.resting_count -= 1
        return self.level_changed(symbol, side, ticks, now)

    cdef int expire_due(self, int symbol, int64_t now) except -1:
        # Good-till-date orders whose time is over.
        cdef place_t* place = &self.places[symbol]
        cdef const asked_t* order
        cdef int k = 0
        place.first_end = 0
        while k < place.resting_count:
            order = &place.resting[k].order
            if order.tif == TimeInForce.GTD and order.good_till <= now:
                self.expire(&place.resting[k], OWN_END, now)
                self.remove(symbol, k, now)
                continue
            if order.tif == TimeInForce.GTD and (place.first_end == 0 or order.good_till < place.first_end):
                place.first_end = order.good_till
            k += 1
        k = 0
        while k < place.algo_count:
            order = &place.algos[k].order
            if order.tif == TimeInForce.GTD and order.good_till <= now:
                self.say_algo(&place.algos[k], AlgoStatus.ALGO_EXPIRED, 0, 0, now)
                self.remember(order.client_id, place.algos[k].account, Kind.EXPIRED, order.lots, OWN_END)
                self.remove_algo(symbol, k)
                continue
            if order.tif == TimeInForce.GTD and (place.first_end == 0 or order.good_till < place.first_end):
                place.first_end = order.good_till
            k += 1
        return self.publish(symbol, now)

    # ------------------------------------------------------------------ taking

    cdef int take(self, resting_t* taker, int64_t now) except -1:
        # leaves is -1 when the order ended on the way.
        if self.places[taker.order.symbol].interval_ns:
            return self.take_open(taker, now)
        if self.synthetic:
            return self.take_orders(taker, now)
        return self.take_book(taker, now)

    cdef bint out_of_reach(self, const resting_t* taker, int64_t ticks) except -1:
        # Beyond the limit, or (market orders and forced ones) too far from the mark.
        cdef const instrument_t* i = &self.instruments.data[taker.order.symbol]
        cdef int64_t mark = self.places[taker.order.symbol].mark_e8
        if taker.order.type == OrderType.LIMIT and beyond(&taker.order, ticks):
            return True
        if taker.order.type == OrderType.LIMIT and not taker.forced:
            return False
        return magnitude(price_e8(i, ticks) - mark) > part_e8(mark, i.take_bound_e8)

    cdef int take_book(self, resting_t* taker, int64_t now) except -1:
        # Walk the recorded book; an order of our own stands in it behind what was displayed in front of it.
        cdef int symbol = taker.order.symbol
        cdef place_t* place = &self.places[symbol]
        cdef Book book = <Book> self.books[symbol]
        cdef int other = 1 - taker.order.side
        cdef int64_t key = book.sides[other].best
        cdef int64_t touch = -key if other == Side.SELL else key
        cdef int64_t ticks, own, lots
        cdef int k
        while taker.leaves > 0 and key != NO_KEY:
            ticks = -key if other == Side.SELL else key
            if self.out_of_reach(taker, ticks):
                break
            lots = min(taker.leaves, self.displayed(symbol, other, ticks, now))
            k = self.own_order(taker)
            if k >= 0:
                own = place.resting[k].order.price_ticks
                if own == ticks:
                    lots = min(lots, place.resting[k].ahead)
                elif (own < ticks) == (other == Side.SELL):
                    lots = 0
                else:
                    k = -1
            lots = self.may_fill(taker, lots)
            if lots < 0:
                self.expire(taker, REDUCED_AWAY, now)
                taker.leaves = -1
                return 0
            if lots > 0 and self.consume(symbol, other, ticks, lots, now):
                self.fill(taker, lots, ticks, False, touch, now)
            if k >= 0 and taker.leaves > 0:
                self.self_trade(taker, k, now)
            else:
                key = ladder_below(&book.sides[other], key)
        return 0

    cdef int take_orders(self, resting_t* taker, int64_t now) except -1:
        # Walk the accounts' own orders, best price and then oldest first.
        cdef int symbol = taker.order.symbol
        cdef place_t* place = &self.places[symbol]
        cdef resting_t* maker
        cdef int64_t touch = 0, ticks, lots, theirs, whole
        cdef int k = 0, rounds = 0             # with this maker, each as large as what there is to close
        while taker.leaves > 0 and k < place.resting_count:
            maker = &place.resting[k]
            ticks = maker.order.price_ticks
            if maker.order.side == taker.order.side:
                k += 1
                continue
            if self.out_of_reach(taker, ticks):
                break
            touch = touch if touch else ticks
            if k == self.own_order(taker):
                self.self_trade(taker, k, now)
                continue
            whole = min(taker.leaves, maker.leaves)
            lots = self.may_fill(taker, whole)
            if lots < 0:
                self.expire(taker, REDUCED_AWAY, now)
                taker.leaves = -1
                break
            theirs = self.may_fill(maker, lots)
            if theirs < 0:
                self.expire(maker, REDUCED_AWAY, now)
                self.remove(symbol, k, now)
                rounds = 0
                continue
            lots = min(lots, theirs)
            if lots < whole and one_leg(maker, taker):
                rounds += 1
            if settled(maker, rounds):
                lots = whole
            self.trade(maker, taker, lots, touch, only_closes(&maker.order) and theirs < lots, now)
            if maker.leaves == 0:
                self.remove(symbol, k, now)
                rounds = 0
        return 0

    cdef int trade(self, resting_t* maker, resting_t* taker, int64_t lots, int64_t touch, bint behind,
                   int64_t now) except -1:
        # One trade, two sides: the maker's first, but behind the taker's when that opens what it is to close.
        cdef int64_t ticks = maker.order.price_ticks
        if not behind:
            self.fill(maker, lots, ticks, True, ticks, now)
            self.next_trade_id -= 1
        self.fill(taker, lots, ticks, False, touch, now)
        if behind:
            self.next_trade_id -= 1
            self.fill(maker, lots, ticks, True, ticks, now)
        self.publish_trade(taker, ticks, lots, now)
        return self.level_changed(taker.order.symbol, maker.order.side, ticks, now)

    cdef int take_open(self, resting_t* taker, int64_t now) except -1:
        cdef place_t* place = &self.places[taker.order.symbol]
        cdef int64_t ticks, lots
        if place.at_e8 == 0 or now - place.ts_at > self.grace_ns:
            taker.waits = taker.order.type == OrderType.MARKET
            return 0
        ticks = self.open_ticks(taker.order.symbol, taker.order.side, taker.leaves)
        lots = self.may_fill(taker, taker.leaves)
        if lots < 0:
            self.expire(taker, REDUCED_AWAY, now)
            taker.leaves = -1
            return 0
        return self.fill(taker, lots, ticks, False, ticks, now)

    cdef int own_order(self, const resting_t* taker) noexcept:
        # The best order of the taker's account on the other side, if its self-trade prevention looks for one.
        cdef place_t* place = &self.places[taker.order.symbol]
        cdef const resting_t* o
        cdef int k
        if not taker.order.stp or taker.order.tif == TimeInForce.FOK or taker.order.tif == TimeInForce.GTX \
                or place.interval_ns:          # on candles there is no book to meet in
            return -1
        for k in range(place.resting_count):
            o = &place.resting[k]
            if o.account == taker.account and o.order.side != taker.order.side and not o.waits:
                return k
        return -1

    cdef int meet_own(self, resting_t* taker, int64_t now) except -1:
        # Own orders inside the limit that no level of the book led to.
        cdef place_t* place = &self.places[taker.order.symbol]
        cdef int k = self.own_order(taker)
        while taker.leaves > 0 and k >= 0 and taker.order.type == OrderType.LIMIT \
                and not beyond(&taker.order, place.resting[k].order.price_ticks):
            self.self_trade(taker, k, now)
            k = self.own_order(taker)
        return 0

    cdef int self_trade(self, resting_t* taker, int k, int64_t now) except -1:
        # Two orders of one account would match: the taker's mode says whose ends.
        if taker.order.stp != SelfTrade.EXPIRE_TAKER:
            self.expire(&self.places[taker.order.symbol].resting[k], SELF_TRADE, now)
            self.remove(taker.order.symbol, k, now)
        if taker.order.stp != SelfTrade.EXPIRE_MAKER:
            self.expire(taker, IOC_SELF_TRADE if taker.order.tif == TimeInForce.IOC else SELF_TRADE, now)
            taker.leaves = -1
        return 0

    cdef int64_t may_fill(self, const resting_t* o, int64_t lots) except? -1:
        # An order that can only close never passes the position: -2 when there is nothing left to close.
        cdef int64_t held
        if not only_closes(&o.order):
            return lots
        held = (<Account> self.accounts[o.account]).positions[
            o.order.symbol + leg_of(o.order.position_side) * ACCOUNT_SYMBOLS].lots
        if held == 0 or (held > 0) == (o.order.side == Side.BUY):
            return -2
        return min(lots, magnitude(held))

    cdef int64_t open_ticks(self, int symbol, int side, int64_t lots) except -1:
        # What a market order of this size pays on candles: half a spread and impact worse, on the tick.
        cdef place_t* place = &self.places[symbol]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef double cost = self.half_spread
        if place.bar_lots > 0:
            cost = min(1.0, cost + self.impact * sqrt(place.variance) * sqrt(<double> lots / <double> place.bar_lots))
        if side == Side.BUY:
            return ticks_up(i, <int64_t> ceil(<double> place.at_e8 * (1.0 + cost)))
        return max(1, ticks_down(i, <int64_t> floor(<double> place.at_e8 * (1.0 - cost))))

    cdef int fill(self, resting_t* o, int64_t lots, int64_t price_ticks, bint maker, int64_t touch,
                  int64_t now) except -1:
        cdef int symbol = o.order.symbol
        cdef int leg = leg_of(o.order.position_side)
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t fee = part_e8(notional_e8(i, price_ticks, lots), i.maker_fee_e8 if maker else i.taker_fee_e8)
        cdef int64_t signed = lots if o.order.side == Side.BUY else -lots
        cdef int64_t coins
        cdef event_t* row
        cdef Account a
        o.leaves -= lots
        if o.forced:
            self.next_trade_id += 1
            if o.account == FUND:
                self.fund.close_at(symbol, 0, -signed, price_e8(i, price_ticks), 0)
                return 0
            self.close_forced(o.account, symbol, leg, -signed, price_e8(i, price_ticks), -1, Cause.LIQUIDATION_ORDER,
                              now, True)
            return 0
        row = self.say(Kind.FILL, symbol, o.account, now)
        a = <Account> self.accounts[o.account]
        coins = a.fee_in_coin(fee)
        fee = coins if coins else fee
        self.note(symbol, o.account, leg, a.book_fill(symbol, leg, signed, price_ticks, fee, coins != 0))
        row.flags |= (Flag.F_SELL if o.order.side == Side.SELL else 0) | (Flag.F_MAKER if maker else 0)
        row.flags |= (Flag.F_SHORT if leg else 0) | (Flag.F_FEE_COIN if coins else 0)
        row.a = o.order.client_id
        row.b = self.next_trade_id
        row.c = price_ticks
        row.d = lots
        row.e = fee
        row.f = touch
        self.next_trade_id += 1
        if o.counted_e8:
            self.recount(o)
        if o.leaves == 0:
            self.close_book(o, Kind.FILL, 0, now)
        if self.places[symbol].algo_count:
            self.drop_close_orders(symbol, o.account, leg, signed, now)
        return 0

    # ------------------------------------------------------------------ consumed liquidity

    cdef int64_t displayed(self, int symbol, int side, int64_t ticks, int64_t now) except -1:
        # What a level shows, without what we took from it and it has not got back.
        cdef place_t* place = &self.places[symbol]
        cdef int64_t lots = (<Book> self.books[symbol]).lots_at(side, ticks)
        cdef const consumed_t* eaten
        cdef int k
        for k in range(place.consumed_count):
            eaten = &place.consumed[k]
            if eaten.ticks == ticks and eaten.side == side \
                    and (self.recovery_ns == 0 or now - eaten.since < self.recovery_ns):
                lots -= eaten.lots
        return max(0, lots)

    cdef bint consume(self, int symbol, int side, int64_t ticks, int64_t lots, int64_t now) except -1:
        # False when it cannot be remembered: then it is not there to be taken.
        cdef place_t* place = &self.places[symbol]
        cdef consumed_t* eaten
        cdef int k
        for k in range(place.consumed_count):
            eaten = &place.consumed[k]
            if eaten.ticks == ticks and eaten.side == side:
                eaten.lots = lots + (eaten.lots if self.recovery_ns == 0 or now - eaten.since < self.recovery_ns else 0)
                eaten.since = now
                return True
        if place.consumed_count == MAX_CONSUMED:
            return False
        eaten = &place.consumed[place.consumed_count]
        eaten.ticks = ticks
        eaten.lots = lots
        eaten.since = now
        eaten.side = side
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

    # ------------------------------------------------------------------ conditional orders

    cdef int algo_refusal(self, const asked_t* order, int account) except? -1:
        # No margin is asked before the trigger.
        cdef const instrument_t* i = &self.instruments.data[order.symbol]
        cdef place_t* place = &self.places[order.symbol]
        cdef int64_t price = place.mark_e8 if order.terms & Term.MARK_TRIGGER or not place.last_e8 else place.last_e8
        cdef int64_t from_ = price_e8(i, order.activate_ticks)
        cdef algo_t o
        cdef int k, n, held = 0
        cdef int code = filter_refusal(i, order, price)
        if code:
            return code
        if price == 0:
            return Code.NO_LIQUIDITY
        for n in range(self.instruments.size):
            for k in range(self.places[n].algo_count):
                held += self.places[n].algos[k].account == account
        if held >= MAX_ALGOS_ACCOUNT or place.algo_count >= MAX_ALGOS:
            return Code.MAX_ALGO_ORDERS
        if self.knows(order.client_id, order.symbol, account):
            return Code.DUPLICATE_ID
        if order.type == OrderType.TRAILING_STOP_MARKET:
            if order.activate_ticks and (from_ >= price if order.side == Side.BUY else from_ <= price):
                return Code.TRIGGERS_AT_ONCE
            return 0
        o.order = order[0]
        return Code.TRIGGERS_AT_ONCE if self.touches(&o, price) else 0

    cdef int arm(self, const asked_t* order, int account, int64_t now) except -1:
        cdef place_t* place = &self.places[order.symbol]
        cdef algo_t* o = &place.algos[place.algo_count]
        memset(o, 0, sizeof(algo_t))
        o.order = order[0]
        o.account = account
        o.since = now
        o.algo_id = self.next_venue_id
        self.next_venue_id += 1
        o.armed = order.activate_ticks == 0
        o.extreme_e8 = place.mark_e8 if order.terms & Term.MARK_TRIGGER or not place.last_e8 else place.last_e8
        place.algo_count += 1
        (<Account> self.accounts[account]).open_order(order.symbol, leg_of(order.position_side), order.side, 0, 1)
        if order.tif == TimeInForce.GTD and (place.first_end == 0 or order.good_till < place.first_end):
            place.first_end = order.good_till
        return self.say_algo(o, AlgoStatus.ALGO_NEW, 0, 0, now)

    cdef int64_t trigger_e8(self, const algo_t* o) noexcept:
        # Where it triggers now; a trailing order follows the best price by its callback.
        if o.order.type != OrderType.TRAILING_STOP_MARKET:
            return price_e8(&self.instruments.data[o.order.symbol], o.order.trigger_ticks)
        return o.extreme_e8 + (part_e8(o.extreme_e8, o.order.callback_e8) if o.order.side == Side.BUY
                               else -part_e8(o.extreme_e8, o.order.callback_e8))

    cdef bint touches(self, algo_t* o, int64_t price) noexcept:
        # Let the order see a price; whether it triggers.
        cdef int64_t from_
        cdef bint buys = o.order.side == Side.BUY
        if o.order.type == OrderType.TRAILING_STOP_MARKET:
            if not o.armed:
                from_ = price_e8(&self.instruments.data[o.order.symbol], o.order.activate_ticks)
                if price > from_ if buys else price < from_:
                    return False
                o.armed = True
                o.extreme_e8 = price
            o.extreme_e8 = min(o.extreme_e8, price) if buys else max(o.extreme_e8, price)
        return price >= self.trigger_e8(o) if triggers_above(&o.order) else price <= self.trigger_e8(o)

    cdef int watch_last(self, int symbol, int64_t now) except -1:
        # A triggered order may move the last price itself, and is judged by the book as it then is.
        cdef place_t* place = &self.places[symbol]
        while place.last_moved:
            place.last_moved = False
            self.publish(symbol, now)
            self.watch(symbol, place.last_e8, False, now)
        return 0

    cdef int watch(self, int symbol, int64_t price, bint by_mark, int64_t now) except -1:
        # Show a price to the conditional orders that follow it, then fire what it triggers, oldest first. One with
        # price protection waits while mark and last price are too far apart.
        cdef place_t* place = &self.places[symbol]
        cdef int64_t bound = part_e8(place.mark_e8, self.instruments.data[symbol].take_bound_e8)
        cdef algo_t* o
        cdef int k
        for k in range(place.algo_count):
            o = &place.algos[k]
            if (o.order.terms & Term.MARK_TRIGGER != 0) == by_mark and self.touches(o, price):
                o.fired = not (o.order.terms & Term.PRICE_PROTECT and place.last_e8
                               and magnitude(place.mark_e8 - place.last_e8) > bound)
        k = 0
        while k < place.algo_count:
            if place.algos[k].fired:
                self.fire(symbol, k, 0, now)
                k = 0                          # what it did may have taken others away
            else:
                k += 1
        return 0

    cdef int watch_bar(self, int symbol, int64_t price, bint by_mark, int whose, int64_t now) except -1:
        # As `watch` with an extreme of a bar; whoever arrived too late in it to have seen all of it waits.
        cdef place_t* place = &self.places[symbol]
        cdef algo_t* o
        cdef int64_t held, at
        cdef int k = 0
        while k < place.algo_count:
            o = &place.algos[k]
            held = (<Account> self.accounts[o.account]).positions[
                symbol + leg_of(o.order.position_side) * ACCOUNT_SYMBOLS].lots
            if (o.order.terms & Term.MARK_TRIGGER != 0) != by_mark or o.since > place.ts_open + self.grace_ns \
                    or (whose == LONGS and held <= 0) or (whose == SHORTS and held >= 0) or not self.touches(o, price):
                k += 1
            else:
                at = self.trigger_e8(o)
                if by_mark and place.open_e8:  # where the mark was, nobody need have traded
                    at = max(at, place.open_e8) if o.order.side == Side.BUY else min(at, place.open_e8)
                self.fire(symbol, k, at, now)
                k = 0
        return 0

    cdef int fire(self, int symbol, int k, int64_t at_e8, int64_t now) except -1:
        # A conditional order becomes an ordinary one, with the exchange's checks of that moment; on candles at a price.
        cdef place_t* place = &self.places[symbol]
        cdef algo_t o = place.algos[k]
        cdef asked_t order = o.order
        cdef Account a = <Account> self.accounts[o.account]
        cdef int64_t held = a.positions[symbol + leg_of(order.position_side) * ACCOUNT_SYMBOLS].lots
        cdef int64_t before_e8 = place.at_e8, ts_before = place.ts_at
        cdef int code = 0 if self.instruments.data[symbol].tradable else Code.SYMBOL_CLOSED
        self.remove_algo(symbol, k)
        self.say_algo(&o, AlgoStatus.ALGO_TRIGGERING, 0, 0, now)
        order.type = OrderType.LIMIT if order.type == OrderType.STOP or order.type == OrderType.TAKE_PROFIT \
            else OrderType.MARKET
        if order.terms & Term.CLOSE_POSITION:
            order.terms &= ~Term.CLOSE_POSITION
            order.reduce_only = not a.hedge
            order.lots = magnitude(held)
            if held == 0 or (held > 0) == (order.side == Side.BUY):
                self.remember(order.client_id, o.account, Kind.EXPIRED, 0, OWN_END)
                return self.say_algo(&o, AlgoStatus.ALGO_EXPIRED, 0, 0, now)
        if code == 0 and order.price_match:
            order.price_ticks = self.matched_price(&order)
            code = Code.NO_LEVEL_TO_MATCH if order.price_ticks == 0 else 0
        if at_e8:
            place.at_e8 = at_e8
            place.ts_at = now
        if code == 0:
            code = self.refusal(&order, o.account)
        if code == 0 and order.tif == TimeInForce.FOK and not self.fillable(&order, o.account, now):
            code = Code.FOK_UNFILLED
        if code:
            self.remember(order.client_id, o.account, Kind.REJECTED, code, 0)
            self.say_algo(&o, AlgoStatus.ALGO_REJECTED, 0, code, now)
        else:
            self.say_algo(&o, AlgoStatus.ALGO_TRIGGERED, self.next_venue_id, 0, now)
            self.accept(&order, o.account, o.algo_id, now)
        place.at_e8 = before_e8
        place.ts_at = ts_before
        return self.publish(symbol, now)

    cdef int remove_algo(self, int symbol, int k) except -1:
        cdef place_t* place = &self.places[symbol]
        cdef const algo_t* o = &place.algos[k]
        cdef int n
        (<Account> self.accounts[o.account]).open_order(symbol, leg_of(o.order.position_side), o.order.side, 0, -1)
        for n in range(k, place.algo_count - 1):
            place.algos[n] = place.algos[n + 1]
        place.algo_count -= 1
        return 0

    cdef int drop_close_orders(self, int symbol, int account, int leg, int64_t signed, int64_t now) except -1:
        # The position that they were to close is gone when it has changed by so much: flat, or turned over.
        cdef place_t* place = &self.places[symbol]
        cdef int64_t held = (<Account> self.accounts[account]).positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        cdef int64_t before = held - signed
        cdef algo_t* o
        cdef int k = 0
        if held and (before == 0 or (before > 0) == (held > 0)):
            return 0
        while k < place.algo_count:
            o = &place.algos[k]
            if o.account == account and o.order.terms & Term.CLOSE_POSITION \
                    and leg_of(o.order.position_side) == leg \
                    and (held == 0 or (held > 0) == (o.order.side == Side.BUY)):
                self.say_algo(o, AlgoStatus.ALGO_EXPIRED, 0, 0, now)
                self.remember(o.order.client_id, account, Kind.EXPIRED, 0, OWN_END)
                self.remove_algo(symbol, k)
            else:
                k += 1
        return 0

    # ------------------------------------------------------------------ the market moves

    cdef int on_row(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        cdef Book book
        cdef uint64_t stale
        cdef int n
        if row.kind != Kind.LEVEL:
            self.pass_stamp(row.symbol, row.ts)
        if row.kind <= Kind.LEVEL:
            book = <Book> self.books[row.symbol]
            if row.kind == Kind.LEVEL and place.consumed_count and book.applying:
                self.forget_level(row.symbol, row.flags >> 2 & 1, row.a)
            stale = book.stale_snapshots
            book.on_row(row)
            if row.kind == Kind.SNAPSHOT and book.stale_snapshots == stale:
                place.consumed_count = 0       # every level is told anew
            if row.flags & Flag.F_END:
                place.book_stamp = row.ts - <int64_t> row.lag_us * 1000
                self.on_depth_end(row.symbol, row.ts)
            return 0
        if row.kind == Kind.TRADE:
            if row.f == 0:
                self.on_trade(row)
        elif row.kind == Kind.MARK:
            self.on_mark(row)
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
            self.settle_funding(row.symbol, row.a, row.b if row.b else place.mark_e8, row.ts, row.ts)
        elif row.kind == Kind.ASSET_INDEX:
            for n in range(len(self.accounts)):
                (<Account> self.accounts[n]).set_index(row.a, row.b)
            self.check_liquidation(row.ts)
        elif row.kind == Kind.FILTERS:
            set_filters(&self.instruments.data[row.symbol], row)
        elif row.kind == Kind.STATUS:
            self.instruments.data[row.symbol].tradable = row.a == 1
        return 0

    cdef int on_levels(self, const event_t* rows, Py_ssize_t n) except -1:
        # What `types.level_run` has found, at once.
        cdef Book book = <Book> self.books[rows.symbol]
        cdef Py_ssize_t k
        if book.applying:
            for k in range(n if self.places[rows.symbol].consumed_count else 0):
                self.forget_level(rows.symbol, rows[k].flags >> 2 & 1, rows[k].a)
        book.on_rows(rows, n)
        return 0

    cdef int on_depth_end(self, int symbol, int64_t now) except -1:
        # Move queues, fill what the opposite side has crossed, mark by the microprice when there is no mark.
        cdef Book book = <Book> self.books[symbol]
        cdef place_t* place = &self.places[symbol]
        cdef resting_t* o
        cdef int64_t lots
        cdef int k = 0
        if not book.usable() or not book.two_sided():
            return 0
        if place.mark_source == 2:
            self.set_mark(symbol, self.proxy_e8(symbol), now)
            self.check_liquidation(now)
        while k < place.resting_count:
            o = &place.resting[k]
            lots = book.lots_at(o.order.side, o.order.price_ticks)
            if self.queue_model:
                o.ahead -= cancelled_ahead(self.queue_model, o.ahead, o.shown - o.passed - o.ahead,
                                           o.shown - o.passed - lots)
                o.shown = lots
                o.passed = 0
            o.ahead = min(o.ahead, lots)
            if self.crosses(&o.order):
                self.fill_crossed(o, now)
            if o.leaves <= 0:
                self.remove(symbol, k, now)
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
            if beyond(&o.order, ticks):
                break
            lots = self.may_fill(o, min(o.leaves, self.displayed(o.order.symbol, other, ticks, now)))
            if lots < 0:
                self.expire(o, REDUCED_AWAY, now)
                o.leaves = -1
            elif lots > 0 and self.consume(o.order.symbol, other, ticks, lots, now):
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
        if row.b <= 0:
            return 0
        while k < place.resting_count and budget > 0:
            o = &place.resting[k]
            if o.order.side != side or o.order.type == OrderType.MARKET or beyond(&o.order, row.b):
                k += 1
                continue
            if o.order.price_ticks == row.b:
                if row.ts - <int64_t> row.lag_us * 1000 < place.book_stamp:
                    k += 1                     # the book has shown this trade already: it moves no queue twice
                    continue
                passed = min(o.ahead, budget)
                o.ahead -= passed
                o.passed += budget
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
                self.remove(row.symbol, k, row.ts)
            else:
                k += 1
        place.last_e8 = price_e8(&self.instruments.data[row.symbol], row.b)
        place.last_moved = place.algo_count > 0
        return self.watch_last(row.symbol, row.ts)

    # ------------------------------------------------------------------ candles

    cdef int on_open(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        cdef resting_t o
        cdef int k = 0
        place.open_e8 = place.at_e8 = place.last_e8 = row.a
        place.ts_open = place.ts_at = row.ts
        place.interval_ns = row.f
        if place.mark_e8 == 0:
            self.set_mark(row.symbol, row.a, row.ts)
        while k < place.resting_count:
            if not place.resting[k].waits:
                k += 1
                continue
            o = place.resting[k]
            self.remove(row.symbol, k, row.ts)
            o.counted_e8 = 0
            self.take_open(&o, row.ts)
            if o.leaves > 0:
                self.expire(&o, MARKET_REST, row.ts)
        place.last_moved = place.algo_count > 0
        return self.watch_last(row.symbol, row.ts)

    cdef int on_candle(self, const event_t* row) except -1:
        # Stops that the bar's adverse extreme reaches, resting orders that the bar traded through, everything else that
        # its extremes and its close trigger; then the statistics that price impact.
        cdef place_t* place = &self.places[row.symbol]
        cdef double change
        if place.algo_count:
            self.watch_bar(row.symbol, row.c, False, LONGS, row.ts)
            self.watch_bar(row.symbol, row.b, False, SHORTS, row.ts)
        self.on_limits(row)
        if place.algo_count:
            self.watch_bar(row.symbol, row.c, False, ANYBODY, row.ts)
            self.watch_bar(row.symbol, row.b, False, ANYBODY, row.ts)
            self.watch_bar(row.symbol, row.d, False, ANYBODY, row.ts)
        place.last_e8 = row.d
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

    cdef int on_limits(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        cdef const instrument_t* i = &self.instruments.data[row.symbol]
        cdef resting_t* o
        cdef int64_t lots
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
            self.remove(row.symbol, k, row.ts)
        return 0

    cdef int on_extremes(self, const event_t* row, int64_t high, int64_t low, int64_t close) except -1:
        cdef place_t* place = &self.places[row.symbol]
        place.worst_high_e8 = max(high, place.worst_high_e8) if place.has_extremes else high
        place.worst_low_e8 = min(low, place.worst_low_e8) if place.has_extremes else low
        place.has_extremes = True
        place.mark_e8 = close
        place.ts_mark = row.ts
        if place.algo_count:
            self.watch_bar(row.symbol, low, True, LONGS, row.ts)
            self.watch_bar(row.symbol, high, True, ANYBODY, row.ts)
            self.watch_bar(row.symbol, low, True, ANYBODY, row.ts)
            self.watch_bar(row.symbol, close, True, ANYBODY, row.ts)
        return 0

    cdef int settle_batch(self, int64_t now) except -1:
        # The bars of one stamp are complete: every account at its adverse extremes first, then at the closes.
        cdef int n, k
        self.go_to_extremes(False)
        self.check_liquidation(now)
        if self.go_to_extremes(True):
            self.check_liquidation(now)
        for k in range(self.instruments.size):
            if self.places[k].has_extremes:
                self.fund.set_mark(k, self.places[k].mark_e8)
                for n in range(len(self.accounts)):
                    (<Account> self.accounts[n]).set_mark(k, self.places[k].mark_e8)
            self.places[k].has_extremes = False
        return 0

    cdef bint go_to_extremes(self, bint others) noexcept:
        # The extreme that is adverse to what an account holds of a symbol; then the other one where each of two
        # isolated legs stands alone. Returns whether there was any.
        cdef Account a
        cdef const place_t* place
        cdef bint any_ = False, low
        cdef int n, k
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            for k in range(self.instruments.size):
                place = &self.places[k]
                if not place.has_extremes or not a.holds(k) or (others and not (a.hedge and a.margins[k].isolated)):
                    continue
                low = a.margins[k].mark_e8 != place.worst_low_e8 if others \
                    else a.positions[k].lots + a.positions[k + ACCOUNT_SYMBOLS].lots > 0
                a.set_mark(k, place.worst_low_e8 if low else place.worst_high_e8)
                any_ = True
        return any_

    # ------------------------------------------------------------------ mark and funding

    cdef int on_mark(self, const event_t* row) except -1:
        cdef place_t* place = &self.places[row.symbol]
        if row.a == 0 and self.perpetuals:
            return self.on_index(row)
        if place.funding_due and row.d > place.funding_due:    # the next stamp is named: this one is past
            self.pass_stamp(row.symbol, place.funding_due)
        place.rate_e8 = row.c
        if self.stream_funding and row.d > row.ts and row.d > place.funding_settled:
            self.expect_stamp(row.symbol, row.d)
        if place.mark_source == 0:
            self.set_mark(row.symbol, row.a, row.ts)
            self.check_liquidation(row.ts)
        return 0

    cdef int on_index(self, const event_t* row) except -1:
        # The venue's own mark and funding rate, from the index that is fed and from the book.
        cdef place_t* place = &self.places[row.symbol]
        cdef Perpetual own = <Perpetual> self.perpetuals[row.symbol]
        cdef event_t* said
        if row.b <= 0:
            return 0
        own.sample(<Book> self.books[row.symbol], row.b, row.ts)
        place.rate_e8 = own.rate_e8
        self.expect_stamp(row.symbol, own.next_stamp)
        self.set_mark(row.symbol, own.mark_e8(place.last_e8, row.ts), row.ts)
        said = self.say(Kind.MARK, row.symbol, EVERYBODY, row.ts)
        said.a = place.mark_e8
        said.b = row.b
        said.c = place.rate_e8
        said.d = own.next_stamp
        self.check_liquidation(row.ts)
        return self.unwind_fund(row.symbol, row.ts)

    cdef int set_mark(self, int symbol, int64_t mark, int64_t now) except -1:
        cdef int n
        if mark <= 0:
            return 0                           # no price: what stood before stands
        self.places[symbol].mark_e8 = mark
        self.places[symbol].ts_mark = now
        self.fund.set_mark(symbol, mark)
        for n in range(len(self.accounts)):
            (<Account> self.accounts[n]).set_mark(symbol, mark)
        if self.places[symbol].algo_count:
            self.watch(symbol, mark, True, now)
            self.watch_last(symbol, now)
        return 0

    cdef int pass_stamp(self, int symbol, int64_t now) except -1:
        # What time has made due before anything happens to a symbol.
        cdef place_t* place = &self.places[symbol]
        if place.first_end and now >= place.first_end:
            self.expire_due(symbol, now)
        if self.first_due and now >= self.first_due:
            self.settle_due(now)
        return 0

    cdef int expect_stamp(self, int symbol, int64_t stamp) noexcept:
        self.places[symbol].funding_due = stamp
        if self.first_due == 0 or stamp < self.first_due:
            self.first_due = stamp
        return 0

    cdef int settle_due(self, int64_t now) except -1:
        # Every funding stamp that has passed, in the order of time over all symbols.
        cdef int k, first
        while True:
            first = -1
            for k in range(self.instruments.size):
                if self.places[k].funding_due and (
                        first < 0 or self.places[k].funding_due < self.places[first].funding_due):
                    first = k
            self.first_due = self.places[first].funding_due if first >= 0 else 0
            if self.first_due == 0 or self.first_due > now:
                return 0
            self.settle_stamp(first, now)

    cdef int settle_stamp(self, int symbol, int64_t now) except -1:
        # At the rate and mark that stood then. Where both are the venue's own the next stamp is known at once, so that
        # time may have jumped over many; a stream names it with its next row, and its stamp is booked when a row shows
        # that it has passed.
        cdef place_t* place = &self.places[symbol]
        cdef Perpetual own = <Perpetual> self.perpetuals[symbol] if self.perpetuals else None
        cdef int64_t stamp = place.funding_due
        place.funding_settled = stamp
        place.funding_due = 0
        if own is None or own.next_stamp != stamp:
            return self.settle_funding(symbol, place.rate_e8, place.mark_e8, stamp, now)
        self.settle_funding(symbol, place.rate_e8, place.mark_e8, stamp, stamp)
        own.settle(stamp)
        place.rate_e8 = own.rate_e8
        place.funding_due = own.next_stamp
        return 0

    cdef int settle_funding(self, int symbol, int64_t rate, int64_t mark, int64_t stamp, int64_t now) except -1:
        cdef Account a
        cdef event_t* row
        cdef int64_t amount
        cdef int n, leg
        row = self.say(Kind.FUNDING, symbol, EVERYBODY, stamp)
        row.a = rate
        row.b = mark
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            for leg in range(2):
                if a.positions[symbol + leg * ACCOUNT_SYMBOLS].lots == 0:
                    continue
                amount = a.funding_due(symbol, leg, rate, mark)
                a.book_funding(symbol, leg, amount)
                row = self.say(Kind.FUNDING_PAID, symbol, n, now)
                row.flags |= Flag.F_SHORT if leg else 0
                row.a = amount
                row.b = rate
                row.c = mark
                row.d = a.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
                self.note(symbol, n, leg, 0)
        if self.fund.positions[symbol].lots:
            self.fund.book_funding(symbol, 0, self.fund.funding_due(symbol, 0, rate, mark))
        return self.check_liquidation(now)

    # ------------------------------------------------------------------ the synthetic book

    def open_book(self, int symbol):
        """Begin a synthetic book: empty, and known to be so."""
        cdef event_t row
        memset(&row, 0, sizeof(event_t))
        row.kind = Kind.SNAPSHOT
        row.flags = Flag.F_END
        row.symbol = symbol
        row.a = 1
        (<Book> self.books[symbol]).on_row(&row)
        row.kind = Kind.DEPTH
        row.a = row.b = 2
        row.c = 1
        (<Book> self.books[symbol]).on_row(&row)
        self.places[symbol].last_u = 2

    cdef int level_changed(self, int symbol, int side, int64_t ticks, int64_t now) except -1:
        cdef place_t* place = &self.places[symbol]
        cdef int k
        if not self.synthetic:
            return 0
        for k in range(place.changed_count):
            if place.changed[k].ticks == ticks and place.changed[k].side == side:
                return 0
        if place.changed_count == MAX_CHANGED:
            self.publish(symbol, now)
        place.changed[place.changed_count].ticks = ticks
        place.changed[place.changed_count].side = side
        place.changed_count += 1
        return 0

    cdef int publish(self, int symbol, int64_t now) except -1:
        # Say what the levels that changed hold now, as a depth diff, and the touch.
        cdef place_t* place = &self.places[symbol]
        cdef Book book
        cdef event_t* row
        cdef Py_ssize_t first = self.out.size
        cdef int64_t lots
        cdef int k, n, count = place.changed_count
        if count == 0:
            return 0
        book = <Book> self.books[symbol]
        row = self.say(Kind.DEPTH, symbol, EVERYBODY, now)
        row.flags = 0
        row.a = row.b = place.last_u + 1
        row.c = place.last_u
        row.d = count
        place.last_u += 1
        for k in range(count):
            lots = 0
            for n in range(place.resting_count):
                if place.resting[n].order.price_ticks == place.changed[k].ticks \
                        and place.resting[n].order.side == place.changed[k].side:
                    lots += place.resting[n].leaves
            row = self.say(Kind.LEVEL, symbol, EVERYBODY, now)
            row.flags = (Flag.F_SELL if place.changed[k].side else 0) | (Flag.F_END if k == count - 1 else 0)
            row.a = place.changed[k].ticks
            row.b = lots
        place.changed_count = 0
        for k in range(count + 1):
            book.on_row(self.out.data + first + k)
        row = self.say(Kind.TOUCH, symbol, EVERYBODY, now)
        row.a = place.last_u
        if book.sides[0].best != NO_KEY:
            row.b = book.best_bid()
            row.c = book.lots_at(Side.BUY, row.b)
        if book.sides[1].best != NO_KEY:
            row.d = book.best_ask()
            row.e = book.lots_at(Side.SELL, row.d)
        return 0

    cdef int publish_trade(self, const resting_t* taker, int64_t ticks, int64_t lots, int64_t now) except -1:
        cdef place_t* place = &self.places[taker.order.symbol]
        cdef event_t* row = self.say(Kind.TRADE, taker.order.symbol, EVERYBODY, now)
        row.flags |= Flag.F_SELL if taker.order.side == Side.SELL else 0
        row.a = row.d = row.e = self.next_trade_id - 1
        row.b = ticks
        row.c = lots
        place.last_e8 = price_e8(&self.instruments.data[taker.order.symbol], ticks)
        place.last_moved = place.algo_count > 0
        return 0

    # ------------------------------------------------------------------ forced closing

    cdef int64_t scope_equity(self, int account, int symbol, int leg) noexcept:
        cdef Account a = <Account> self.accounts[account]
        cdef const position_t* p
        if symbol < 0:
            return a.cross_equity_e8()
        p = &a.positions[symbol + leg * ACCOUNT_SYMBOLS]
        return p.isolated_e8 + p.value_e8 - p.cost_e8

    cdef bint is_under(self, int account, int symbol, int leg) noexcept:
        # Whether what stands behind the scope has fallen to its maintenance margin.
        cdef Account a = <Account> self.accounts[account]
        cdef int64_t maintenance = a.cross_maintenance_e8() if symbol < 0 \
            else a.positions[symbol + leg * ACCOUNT_SYMBOLS].maintenance_e8
        return maintenance > 0 and self.scope_equity(account, symbol, leg) <= maintenance

    cdef bint in_scope(self, int account, int symbol, int leg, int k, int n) noexcept:
        # Whether leg n of symbol k is open and belongs to the scope.
        cdef Account a = <Account> self.accounts[account]
        if a.positions[k + n * ACCOUNT_SYMBOLS].lots == 0:
            return False
        return not a.margins[k].isolated if symbol < 0 else k == symbol and n == leg

    cdef int check_liquidation(self, int64_t now) except -1:
        cdef Account a
        cdef int n, k, leg
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            if a.isolated_maintenance_e8 > 0:
                for k in range(self.instruments.size):
                    for leg in range(2 if a.margins[k].isolated else 0):
                        if self.is_under(n, k, leg):
                            self.liquidate(n, k, leg, now)
            if self.is_under(n, -1, 0):
                self.liquidate(n, -1, 0, now)
        return 0

    cdef int liquidate(self, int account, int symbol, int leg, int64_t now) except -1:
        # Orders first, then leg by leg at the market, the one that needs most margin first and each in steps; what the
        # market does not take, or nothing is left to pay for, is handed over.
        cdef uint8_t tried[2 * ACCOUNT_SYMBOLS]
        cdef int k, worst
        memset(tried, 0, sizeof(tried))
        self.liquidations += 1
        self.cancel_scope(account, symbol, now)
        while self.is_under(account, symbol, leg) and self.scope_equity(account, symbol, leg) > 0:
            worst = self.dearest(account, symbol, leg, tried)
            if worst < 0:
                break
            if self.reduce_leg(account, worst % ACCOUNT_SYMBOLS, worst // ACCOUNT_SYMBOLS, now) == 0:
                tried[worst] = True
        if self.is_under(account, symbol, leg):
            self.take_over(account, symbol, leg, now)
        for k in range(self.instruments.size):
            self.watch_last(k, now)
            self.publish(k, now)
        return 0

    cdef int dearest(self, int account, int symbol, int leg, const uint8_t* tried) noexcept:
        # The leg of the scope that needs most margin and has not been tried in vain, -1: there is none.
        cdef Account a = <Account> self.accounts[account]
        cdef int64_t most = 0
        cdef int k, n, found = -1
        for k in range(self.instruments.size):
            for n in range(2):
                if self.in_scope(account, symbol, leg, k, n) and not tried[k + n * ACCOUNT_SYMBOLS] \
                        and a.positions[k + n * ACCOUNT_SYMBOLS].maintenance_e8 > most:
                    most = a.positions[k + n * ACCOUNT_SYMBOLS].maintenance_e8
                    found = k + n * ACCOUNT_SYMBOLS
        return found

    cdef int cancel_scope(self, int account, int symbol, int64_t now) except -1:
        # Every order of the account on the cross symbols, or on the isolated one.
        cdef Account a = <Account> self.accounts[account]
        cdef place_t* place
        cdef int k, n
        for k in range(self.instruments.size):
            if k != symbol if symbol >= 0 else a.margins[k].isolated:
                continue
            place = &self.places[k]
            for n in range(place.resting_count - 1, -1, -1):
                if place.resting[n].account == account:
                    self.expire(&place.resting[n], LIQUIDATED, now)
                    self.remove(k, n, now)
            for n in range(place.algo_count - 1, -1, -1):
                if place.algos[n].account == account:
                    self.say_algo(&place.algos[n], AlgoStatus.ALGO_EXPIRED, 0, 0, now)
                    self.remember(place.algos[n].order.client_id, account, Kind.EXPIRED, place.algos[n].order.lots,
                                  LIQUIDATED)
                    self.remove_algo(k, n)
        return 0

    cdef int64_t step_lots(self, int account, int symbol, int leg) noexcept:
        # Enough to fall into the next lower bracket, in whole steps; from the lowest there is only all of it.
        cdef const position_t* p = &(<Account> self.accounts[account]).positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t held = magnitude(p.lots), value = magnitude(p.value_e8)
        cdef int64_t floor_e8 = bracket_of(i, value).floor_e8, lots
        if floor_e8 == 0:
            return held
        lots = max(1, held - mul_div_floor(held, floor_e8, value))
        return min(held, (lots + i.lot_step - 1) // i.lot_step * i.lot_step)

    cdef int64_t reduce_leg(self, int account, int symbol, int leg, int64_t now) except? -1:
        # One step of a liquidation order: immediate or cancel, no worse than the bankruptcy price, within the bound of
        # a market order; on candles at the mark with the costs of a market order. Returns the lots closed.
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef place_t* place = &self.places[symbol]
        cdef int64_t lots = self.step_lots(account, symbol, leg)
        cdef int64_t price = a.bankruptcy_price(symbol, leg)
        cdef int64_t before_e8 = place.at_e8
        cdef bint sells = a.positions[symbol + leg * ACCOUNT_SYMBOLS].lots > 0
        cdef resting_t taker
        memset(&taker, 0, sizeof(resting_t))
        taker.order.symbol = symbol
        taker.order.side = Side.SELL if sells else Side.BUY
        taker.order.position_side = 2 if leg else 0
        taker.order.price_ticks = ticks_up(i, price) if sells else ticks_down(i, price)
        taker.account = account
        taker.leaves = lots
        taker.forced = True
        if place.interval_ns:
            place.at_e8 = a.margins[symbol].mark_e8
            price = self.open_ticks(symbol, taker.order.side, lots)
            place.at_e8 = before_e8
            if not beyond(&taker.order, price):
                self.fill(&taker, lots, price, False, price, now)
        elif (<Book> self.books[symbol]).usable():
            self.take(&taker, now)
        return lots - taker.leaves

    cdef int64_t close_forced(self, int account, int symbol, int leg, int64_t lots, int64_t price, int64_t fee,
                              int cause, int64_t now, bint traded=False) except? -1:
        # Close signed lots of a leg, in a trade of the book or beside it; the clearance fee (-1: its share of the
        # notional) is taken as far as there is something left to pay it, and goes to the fund. What stood behind an
        # isolated leg stays behind its rest.
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef position_t* p = &a.positions[symbol + leg * ACCOUNT_SYMBOLS]
        cdef bint isolated = a.margins[symbol].isolated
        cdef int64_t behind = p.isolated_e8
        cdef int64_t realised = a.close_at(symbol, leg, lots, price, 0)
        cdef event_t* row
        behind += realised
        if fee < 0:
            fee = part_e8(magnitude(value_e8(i, price, lots)), i.liquidation_fee_e8)
            fee = min(fee, max(0, behind + p.value_e8 - p.cost_e8 if isolated else a.cross_equity_e8()))
        a.close_at(symbol, leg, 0, 0, fee)
        self.fund.close_at(symbol, 0, 0, 0, -fee)
        row = self.say(Kind.LIQUIDATION, symbol, account, now)
        row.flags |= (Flag.F_SELL if lots > 0 else 0) | (Flag.F_SHORT if leg else 0)
        row.a = lots
        row.b = price
        row.c = fee
        row.d = a.margins[symbol].mark_e8
        row.e = cause
        row.f = self.next_venue_id
        self.next_venue_id += 1
        self.note(symbol, account, leg, realised)
        self.to.data[self.to.size - 1].ts = self.next_trade_id - 1 if traded else self.next_trade_id
        self.next_trade_id += not traded
        behind -= fee + p.isolated_e8
        if isolated and p.lots and behind:
            a.book_margin(symbol, leg, behind)
            row = self.say(Kind.MARGIN_MOVED, symbol, account, now)
            row.flags |= Flag.F_SHORT if leg else 0
            row.a = behind
            self.note(symbol, account, leg, 0)
        if self.places[symbol].algo_count:
            self.drop_close_orders(symbol, account, leg, -lots, now)
        return fee

    cdef int take_over(self, int account, int symbol, int leg, int64_t now) except -1:
        # Hand over every leg of the scope: the largest loser at the price where, after the clearance fee (as far as
        # there is equity to pay it), nothing is left, the others at their marks.
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i
        cdef const position_t* p
        cdef int64_t equity = self.scope_equity(account, symbol, leg)
        cdef int64_t gross = 0, fees = 0, fee, loss, price, value
        cdef int k, n, loser = self.weigh(account, symbol, leg, &gross, &fees)
        fees = min(fees, max(0, equity))
        loss = equity - fees
        for k in range(self.instruments.size):
            i = &self.instruments.data[k]
            for n in range(2):
                if not self.in_scope(account, symbol, leg, k, n):
                    continue
                p = &a.positions[k + n * ACCOUNT_SYMBOLS]
                value = magnitude(p.value_e8)
                fee = fees if value == gross else mul_div(fees, value, gross)
                fees -= fee
                gross -= value
                # Rounded so that the fund pays what a unit of the price makes of a large position, not the account.
                price = mul_div_floor(loss, E8, magnitude(p.lots) * i.lot_e8) if k + n * ACCOUNT_SYMBOLS == loser else 0
                price = a.margins[k].mark_e8 - (price if p.lots > 0 else -price)
                self.hand_over(account, k, n, max(1, price), fee, now)
        return 0

    cdef int weigh(self, int account, int symbol, int leg, int64_t* gross, int64_t* fees) noexcept:
        # Gross value and whole clearance fees of the scope; returns its largest loser.
        cdef const position_t* p
        cdef int64_t worst = 0
        cdef int k, n, loser = -1
        for k in range(self.instruments.size):
            for n in range(2):
                if not self.in_scope(account, symbol, leg, k, n):
                    continue
                p = &(<Account> self.accounts[account]).positions[k + n * ACCOUNT_SYMBOLS]
                gross[0] += magnitude(p.value_e8)
                fees[0] += part_e8(magnitude(p.value_e8), self.instruments.data[k].liquidation_fee_e8)
                if loser < 0 or p.value_e8 - p.cost_e8 < worst:
                    worst = p.value_e8 - p.cost_e8
                    loser = k + n * ACCOUNT_SYMBOLS
        return loser

    cdef int hand_over(self, int account, int symbol, int leg, int64_t price, int64_t fee, int64_t now) except -1:
        # To the insurance fund, when it can bear the loss against the mark; a recording is large enough for the fund to
        # be out again at the mark at once.
        cdef Account a = <Account> self.accounts[account]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef int64_t lots = a.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        cdef int64_t mark = a.margins[symbol].mark_e8
        if self.fund.equity_e8() + fee + value_e8(i, mark, lots) - value_e8(i, price, lots) < 0:
            self.deleverage(account, symbol, leg, price, now)
            lots = a.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
            if lots == 0:
                return 0
        self.close_forced(account, symbol, leg, lots, price, fee, Cause.INSURANCE_FUND, now)
        self.fund.close_at(symbol, 0, -lots, price, 0)
        if not self.synthetic:
            self.fund.close_at(symbol, 0, lots, mark, 0)
        return 0

    cdef int deleverage(self, int account, int symbol, int leg, int64_t price, int64_t now) except -1:
        # The other side's most profitable and most leveraged positions are closed against this one, whose liquidation
        # order that fills. In a replay the
        # rest of the market is a counterparty without end; in a synthetic one only the fund can be left.
        cdef int64_t held, lots
        cdef int who, whose = 0
        while True:
            held = (<Account> self.accounts[account]).positions[symbol + leg * ACCOUNT_SYMBOLS].lots
            if held == 0:
                return 0
            who = self.first_ranked(account, symbol, held > 0, &whose)
            if who < 0:
                break
            lots = min(magnitude(held), magnitude(
                (<Account> self.accounts[who]).positions[symbol + whose * ACCOUNT_SYMBOLS].lots))
            self.close_forced(account, symbol, leg, lots if held > 0 else -lots, price, 0, Cause.LIQUIDATION_ORDER, now)
            self.close_forced(who, symbol, whose, -lots if held > 0 else lots, price, 0, Cause.DELEVERAGED, now)
        if not self.synthetic:
            self.close_forced(account, symbol, leg, held, price, 0, Cause.LIQUIDATION_ORDER, now)
        return 0

    cdef int first_ranked(self, int account, int symbol, bint longs, int* leg) noexcept:
        # Whose leg is the first to be closed against longs (or shorts), -1: nobody else holds one.
        cdef Account a
        cdef const position_t* p
        cdef int64_t equity
        cdef double rank, best = 0.0
        cdef int n, k, found = -1
        for n in range(len(self.accounts)):
            a = <Account> self.accounts[n]
            for k in range(2 if n != account else 0):
                p = &a.positions[symbol + k * ACCOUNT_SYMBOLS]
                if p.lots == 0 or (p.lots > 0) == longs:
                    continue
                equity = self.scope_equity(n, symbol if a.margins[symbol].isolated else -1, k)
                rank = adl_rank(p.value_e8 - p.cost_e8, p.cost_e8, p.value_e8, equity)
                if found < 0 or rank > best:
                    best = rank
                    found = n
                    leg[0] = k
        return found

    cdef int unwind_fund(self, int symbol, int64_t now) except -1:
        # The fund sells what it took over, as a market order would.
        cdef int64_t held = self.fund.positions[symbol].lots
        cdef resting_t taker
        if held == 0:
            return 0
        memset(&taker, 0, sizeof(resting_t))
        taker.order.symbol = symbol
        taker.order.type = OrderType.MARKET
        taker.order.side = Side.SELL if held > 0 else Side.BUY
        taker.account = FUND
        taker.leaves = magnitude(held)
        taker.forced = True
        self.take(&taker, now)
        self.watch_last(symbol, now)
        return self.publish(symbol, now)

    # ------------------------------------------------------------------ Python face

    def feed(self, rows):
        """Let the market move; return what the venue says, as an array."""
        cdef Rows source = Rows(rows)
        cdef const event_t* row = source.data
        cdef const event_t* end = row + source.size
        cdef Py_ssize_t n
        self.out.size = self.to.size = 0
        while row < end:
            if row.symbol >= self.instruments.size:
                raise IndexError(row.symbol)
            n = level_run(row, end - row)
            if n:
                self.on_levels(row, n)
            else:
                n = 1
                self.on_row(row)
            row += n
        return self.out.array()

    def settle(self, int64_t now):
        """Settle every funding stamp up to now that no row has led to; return what the venue says."""
        self.out.size = self.to.size = 0
        if self.first_due and now >= self.first_due:
            self.settle_due(now)
        return self.out.array()

    def place_order(self, int64_t now, uint64_t client_id, int symbol, int side, int64_t lots=0,
                    int64_t price_ticks=0, int account=0, int type=-1, int tif=0, bint reduce_only=False,
                    int position_side=0, int64_t trigger_ticks=0, int64_t activate_ticks=0, int64_t callback_e8=0,
                    int64_t good_till=0, int stp=0, int price_match=0, int terms=0, bint amends=False,
                    bint test=False):
        """Hand over a client's order, or a new price and quantity for one; return what the venue says.

        Parameters
        ----------
        now : int
            Arrival, ns.
        client_id, symbol, side, lots, price_ticks, account : int
        type : int, optional
            ``types.OrderType``; -1: limit when there is a price, else market.
        tif, reduce_only, position_side, trigger_ticks, activate_ticks, callback_e8, good_till, stp, price_match, terms
            As in ``approved_t``.
        amends : bool, optional
        test : bool, optional
            Only judge a new order: the venue says that it would refuse it, or nothing.

        Raises
        ------
        ValueError
            If a small field does not fit into its byte.
        """
        cdef asked_t order
        cdef int code
        self.check(symbol, account)
        if not all(0 <= small < 256 for small in (type + 1, tif, position_side, stp, price_match, terms)):
            raise ValueError("a small field of an order is a byte")
        memset(&order, 0, sizeof(asked_t))
        order.client_id = client_id
        order.symbol = symbol
        order.side = side & 1
        order.lots = lots
        order.price_ticks = price_ticks
        order.type = type if type >= 0 else OrderType.LIMIT if price_ticks or price_match else OrderType.MARKET
        order.tif = tif
        order.reduce_only = reduce_only
        order.position_side = position_side
        order.trigger_ticks = trigger_ticks
        order.activate_ticks = activate_ticks
        order.callback_e8 = callback_e8
        order.good_till = good_till
        order.stp = stp
        order.price_match = price_match
        order.terms = terms
        self.out.size = self.to.size = 0
        if test:
            code = self.verdict(&order, account, now)
            if code:
                self.turn_down(&order, Kind.ORDER, account, now, code)
        else:
            self.serve(&order, Kind.AMEND if amends else Kind.ORDER, account, now)
        return self.out.array()

    def cancel_order(self, int64_t now, uint64_t client_id, int symbol, int account=0):
        """Cancel a client's order; return what the venue says."""
        self.check(symbol, account)
        self.out.size = self.to.size = 0
        self.cancel(client_id, symbol, account, now)
        return self.out.array()

    def query_order(self, int64_t now, uint64_t client_id, int symbol, int account=0):
        """Ask what has become of an order; return what the venue says: nothing more than its fills if it is filled."""
        self.check(symbol, account)
        self.out.size = self.to.size = 0
        self.query(client_id, symbol, account, now)
        return self.out.array()

    def set(self, int64_t now, int symbol, int setting, int64_t value, int account=0):
        """Change a setting of an account (``types.Setting``); return the exchange's code, 0 when it is done."""
        self.check(symbol, account)
        self.out.size = self.to.size = 0
        return self.change_setting(symbol, setting, value, account, now)

    def add_margin(self, int64_t now, int symbol, int64_t amount_e8, int leg=0, int account=0):
        """Move USDT into an isolated leg (negative: out of it); return the exchange's code, 0 when it is done."""
        self.check(symbol, account)
        if not 0 <= leg <= 1:
            raise IndexError(leg)
        self.out.size = self.to.size = 0
        return self.move_margin(symbol, leg, amount_e8, account, now)

    def deposit(self, int64_t now, int asset, int64_t amount_e8, int account=0):
        """Move an asset into the futures wallet (negative: out); return the exchange's code, 0 when it is done."""
        self.check(0, account)
        if not 0 <= asset < 8:
            raise IndexError(asset)
        self.out.size = self.to.size = 0
        return self.transfer(asset, amount_e8, account, now)

    def close_position(self, int64_t now, int symbol, int64_t lots, int64_t price, int cause, int leg=0,
                       int account=0):
        """Close signed lots of a leg by force, as a settlement or a deleveraging does; return what the venue says.

        Raises
        ------
        ValueError
            If the leg does not hold so many lots of that sign.
        """
        cdef int64_t held
        self.check(symbol, account)
        if not 0 <= leg <= 1:
            raise IndexError(leg)
        held = (<Account> self.accounts[account]).positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        if lots == 0 or price <= 0 or (lots > 0) != (held > 0) or magnitude(lots) > magnitude(held):
            raise ValueError("no such position, or no price")
        self.out.size = self.to.size = 0
        self.close_forced(account, symbol, leg, lots, price, 0, cause, now)
        if self.synthetic and cause != Cause.SETTLED:
            self.fund.close_at(symbol, 0, -lots, price, 0)
        self.publish(symbol, now)
        return self.out.array()

    def liquidate_account(self, int64_t now, int account=0):
        """Liquidate what an account holds in cross margin, whatever its margin; return what the venue says."""
        cdef int k
        self.check(0, account)
        self.out.size = self.to.size = 0
        self.liquidations += 1
        self.cancel_scope(account, -1, now)
        self.take_over(account, -1, 0, now)
        for k in range(self.instruments.size):
            self.watch_last(k, now)
            self.publish(k, now)
        return self.out.array()

    def after(self):
        """Return for each row said last: to whom (a) and, where it booked something, what that account then holds.

        Words b to f are the wallet, and of the leg the lots, cost, isolated wallet and the profit that was realised;
        ``ts`` is the trade id of a forced closing.
        """
        return self.to.array()

    def said(self):
        """Return what the venue said since the last request or feed, and to whom (-1: to everybody)."""
        return self.out.array(), [self.to.data[k].a for k in range(self.to.size)]

    def check(self, int symbol, int account):
        """Raise IndexError for a symbol or an account that the venue does not have."""
        if not 0 <= symbol < self.instruments.size or not 0 <= account < len(self.accounts):
            raise IndexError((symbol, account))

    def resting(self, int symbol):
        """Return the open orders of a symbol, oldest first."""
        self.check(symbol, 0)
        return [dict(self.places[symbol].resting[k]) for k in range(self.places[symbol].resting_count)]

    def algos(self, int symbol):
        """Return the conditional orders of a symbol that wait for their trigger, oldest first."""
        self.check(symbol, 0)
        return [dict(self.places[symbol].algos[k]) for k in range(self.places[symbol].algo_count)]


cdef int64_t collateral_lost(Account a, int asset, int64_t amount) noexcept:
    # What equity loses when so much (negative) leaves the wallet of an asset.
    cdef const asset_t* coin = &a.assets[asset]
    cdef int64_t before, after
    if asset == Asset.USDT:
        return -amount
    before = mul_div(coin.wallet_e8, coin.price_e8, E8)
    after = mul_div(coin.wallet_e8 + amount, coin.price_e8, E8)
    return part_e8(before, coin.ratio_e8) - part_e8(after, coin.ratio_e8)


cdef double adl_rank(int64_t profit, int64_t cost, int64_t value, int64_t equity) noexcept nogil:
    # Profit in percent times effective leverage; a loss in percent divided by it.
    cdef double share = <double> profit / <double> max(1, magnitude(cost))
    cdef double leverage = <double> magnitude(value) / <double> max(1, equity)
    return share * leverage if profit > 0 else share / max(leverage, 1e-9)
