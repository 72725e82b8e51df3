"""The desk and the strategy."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport ACCOUNT_SYMBOLS, Account
from core_ext.book cimport Book
from core_ext.fixed cimport E8, magnitude, mul_div_floor, price_e8, value_e8
from core_ext.orders cimport Evidence, Orders, exposure_t, is_terminal, order_t
from core_ext.risk cimport RiskGate, request_t, small
from core_ext.signal cimport DEPTH_LEVELS, Markets, atr, market_t
from core_ext.sizing cimport size_lots, sizing_t
from core_ext.types cimport (
    Flag, Instruments, Kind, OrderState, OrderType, PositionSide, Reason, Rows, SelfTrade, Side, TimeInForce,
    approved_t, event_t, instrument_t, is_conditional,
)

cdef double Z95 = 1.6448536269514722
cdef double DAYS = 365.0


@cython.final
cdef class Desk:
    """What a strategy sees and may ask for.

    Parameters
    ----------
    instruments, markets, account, orders, gate, books
        The engine's own state.
    sizing : dict
        ``kelly_fraction, atr_risk, atr_stop, safe_atr, daily_var``: the sizer's standing limits.
    """

    def __cinit__(self, *args):
        self.approvals = <approved_t*> PyMem_Calloc(MAX_APPROVALS, sizeof(approved_t))
        if self.approvals == NULL:
            raise MemoryError("approvals")
        memset(&self.sizing, 0, sizeof(sizing_t))

    def __init__(self, Instruments instruments not None, Markets markets not None, Account account not None,
                 Orders orders not None, RiskGate gate not None, list books not None, dict sizing not None):
        self.instruments = instruments
        self.markets = markets
        self.account = account
        self.orders = orders
        self.gate = gate
        self.books = books
        self.outbox = Rows()
        self.sizing.kelly_fraction = sizing["kelly_fraction"]
        self.sizing.atr_risk = sizing["atr_risk"]
        self.sizing.atr_stop = sizing["atr_stop"]
        self.sizing.safe_atr = sizing["safe_atr"]
        self.sizing.daily_var = sizing["daily_var"]

    def __dealloc__(self):
        PyMem_Free(self.approvals)

    cdef event_t* post(self, uint8_t kind, int symbol) except NULL:
        cdef event_t* row = self.outbox.push()
        row.kind = kind
        row.flags = Flag.F_END
        row.symbol = symbol
        row.ts = self.now
        return row

    cdef void refresh_depth(self, int symbol, int side, int64_t lots) noexcept:
        # Top of the side that an order would take from, for the quantity check; the touch alone when that is enough.
        cdef int64_t ticks[DEPTH_LEVELS]
        cdef int64_t sizes[DEPTH_LEVELS]
        cdef market_t* m = &self.markets.data[symbol]
        cdef int k, n
        if m.interval_ns:
            return
        m.depth_lots[side] = m.ask_lots if side == Side.SELL else m.bid_lots
        if lots <= mul_div_floor(m.depth_lots[side], self.gate.limits.depth_share_e8, E8):
            return
        n = (<Book> self.books[symbol]).top(side, DEPTH_LEVELS, ticks, sizes)
        m.depth_lots[side] = 0
        for k in range(n):
            m.depth_lots[side] += sizes[k]

    cdef int require(self, int symbol) except -1:
        if not 0 <= symbol < self.instruments.size:
            raise IndexError(symbol)
        return 0

    cdef int begin_request(self, request_t* r, int symbol, int side, int position_side) except -1:
        self.require(symbol)
        memset(r, 0, sizeof(request_t))
        r.symbol = symbol
        r.side = small(side)
        r.position_side = small(position_side)
        return 0

    cpdef uint64_t submit(self, int symbol, int side, int64_t lots, int64_t price_ticks=0, int tif=TimeInForce.GTC,
                          bint reduce_only=False, int limiting=0, int position_side=0) except? 0:
        """Ask for a limit or market order; return its client id, 0 when risk refuses it (``last_reason`` says why).

        Parameters
        ----------
        symbol : int
        side : int
            0 buy, 1 sell.
        lots : int
        price_ticks : int, optional
            Limit price; 0 asks for a market order.
        tif : int, optional
            GTC, IOC, GTX (post-only) or FOK.
        reduce_only : bool, optional
        limiting : int, optional
            Which cap set the size (``sizing.Factor``).
        position_side : int, optional
            LONG or SHORT in hedge mode.
        """
        cdef request_t r
        self.begin_request(&r, symbol, side, position_side)
        r.type = OrderType.LIMIT if price_ticks else OrderType.MARKET
        r.tif = small(tif)
        r.reduce_only = reduce_only
        r.stp = SelfTrade.EXPIRE_MAKER
        r.price_ticks = price_ticks
        r.lots = lots
        r.limiting = limiting
        return self.send(&r)

    def order(self, int symbol, int side, int type, int64_t lots=0, *, int64_t price_ticks=0, int64_t trigger_ticks=0,
              int64_t activate_ticks=0, int64_t callback_e8=0, int64_t good_till=0, int tif=TimeInForce.GTC,
              bint reduce_only=False, int position_side=0, int stp=SelfTrade.EXPIRE_MAKER, int price_match=0,
              int terms=0, int64_t edge_e8=0, uint64_t intent=0, bint reprice=False, int limiting=0):
        """Ask for an order of any kind; return its client id, 0 when risk refuses it (``last_reason`` says why).

        Parameters
        ----------
        symbol, side, lots
            As in ``submit``; no lots for an order that closes the position (``types.Term.CLOSE_POSITION``).
        type : int
            ``types.OrderType``.
        price_ticks : int, optional
            Limit price; none with a price match.
        trigger_ticks : int, optional
            Of stop and take-profit orders.
        activate_ticks, callback_e8 : int, optional
            Of trailing stops: where they are armed (0: at once) and their distance as a share.
        good_till : int, optional
            End of a GTD order, ns.
        tif, position_side, stp, price_match, terms : int, optional
            ``types.TimeInForce``, ``PositionSide``, ``SelfTrade``, ``PriceMatch``, bits of ``Term``.
        reduce_only : bool, optional
        edge_e8 : int, optional
            Expected profit as a share of the notional (1e-8).
        intent : int, optional
            Number of what the strategy wants, counting up; with ``reprice`` it has an order already.
        limiting : int, optional
            Which cap set the size (``sizing.Factor``).
        """
        cdef request_t r
        self.begin_request(&r, symbol, side, position_side)
        r.type = small(type)
        r.tif = small(tif)
        r.reduce_only = reduce_only
        r.stp = small(stp)
        r.price_match = small(price_match)
        r.terms = small(terms)
        r.price_ticks = price_ticks
        r.lots = lots
        r.trigger_ticks = trigger_ticks
        r.activate_ticks = activate_ticks
        r.callback_e8 = callback_e8
        r.good_till = good_till
        r.edge_e8 = edge_e8
        r.intent = intent
        r.reprice = reprice
        r.limiting = limiting
        return self.send(&r)

    def batch(self, orders):
        """Ask for several orders at once, each a dict of ``order``'s arguments; return their client ids.

        Each is judged with those before it held. What is approved travels together, as the exchange's batch: its order
        rows are one run, which the last of them ends.
        """
        cdef Py_ssize_t k, first = self.outbox.size
        cdef event_t* row
        cdef event_t* last = NULL
        ids = [self.order(**fields) for fields in orders]
        for k in range(first, self.outbox.size):
            row = self.outbox.data + k
            if row.kind == Kind.ORDER or row.kind == Kind.ORDER_TERMS:
                row.flags &= ~<int> Flag.F_END
                last = row
        if last != NULL:
            last.flags |= Flag.F_END
        return ids

    cdef uint64_t send(self, const request_t* r) except? 0:
        cdef Reason reason
        cdef event_t* row
        self.refresh_depth(r.symbol, Side.SELL if r.side == Side.BUY else Side.BUY, r.lots)
        if self.n_approvals == MAX_APPROVALS:
            raise RuntimeError(f"a step may ask for {MAX_APPROVALS} orders")
        if self.witness is not None:
            self.witness.asked(r[0])
        reason = self.gate.approve(r, self.now, &self.approvals[self.n_approvals])
        self.last_reason = reason
        if reason == Reason.APPROVED and r.reduce_only and not is_conditional(r.type):
            self.withdraw(r.symbol, r.side)
        row = self.post_order(r, reason)
        if reason != Reason.APPROVED:
            return 0
        row.a = self.approvals[self.n_approvals].client_id
        self.n_approvals += 1
        if is_conditional(r.type) or r.tif == TimeInForce.GTD:
            row.flags &= ~<int> Flag.F_END
            row = self.post(Kind.ORDER_TERMS, r.symbol)
            row.a = self.approvals[self.n_approvals - 1].client_id
            row.b = r.trigger_ticks
            row.c = r.activate_ticks
            row.d = r.callback_e8
            row.e = r.good_till
        return self.approvals[self.n_approvals - 1].client_id

    cdef event_t* post_order(self, const request_t* r, Reason reason) except NULL:
        cdef event_t* row = self.post(Kind.ORDER if reason == Reason.APPROVED else Kind.REFUSED, r.symbol)
        row.flags |= (Flag.F_SELL if r.side == Side.SELL else 0) | (Flag.F_REDUCE_ONLY if r.reduce_only else 0) \
            | (Flag.F_SHORT if r.position_side == PositionSide.SHORT else 0)
        row.a = reason
        row.b = r.price_ticks
        row.c = r.lots
        row.d = r.type | <int64_t> r.tif << 8 | <int64_t> r.stp << 16 | <int64_t> r.price_match << 24 \
            | <int64_t> r.terms << 32
        row.e = self.gate.reference(r.symbol)
        row.f = r.limiting if reason == Reason.APPROVED else 0
        return row

    cpdef bint amend(self, uint64_t client_id, int64_t price_ticks, int64_t lots, uint64_t intent=0) except -1:
        """Ask for a new price and whole quantity of a limit order; return whether risk lets it through.

        Parameters
        ----------
        client_id : int
        price_ticks, lots : int
            The new ones; lots count what has been filled.
        intent : int, optional
            Named by a chase, whose re-prices are limited.
        """
        cdef order_t* order = self.orders.find(client_id)
        cdef event_t* row
        if order == NULL:
            return False
        if self.n_approvals == MAX_APPROVALS:
            raise RuntimeError(f"a step may ask for {MAX_APPROVALS} orders")
        self.refresh_depth(order.symbol, Side.SELL if order.side == Side.BUY else Side.BUY, lots)
        self.last_reason = self.gate.amend(order, price_ticks, lots, intent, self.now,
                                           &self.approvals[self.n_approvals])
        if self.last_reason != Reason.APPROVED:
            return False
        self.n_approvals += 1
        row = self.post(Kind.AMEND, order.symbol)
        row.flags |= Flag.F_SELL if order.side == Side.SELL else 0
        row.a = client_id
        row.b = price_ticks
        row.c = lots
        row.e = self.gate.reference(order.symbol)
        return True

    cdef int withdraw(self, int symbol, int side) except -1:
        # Plain orders of the side on which a reduce-only order closes: with both filled the position would turn.
        cdef const exposure_t* open = &self.orders.open[symbol][0][side]
        cdef const order_t* order
        cdef int k = self.orders.first[symbol][side] if open.lots > open.reducing else 0
        while k:
            order = &self.orders.table[k - 1]
            k = order.next
            if not order.reduce_only:
                self.cancel(order.client_id)
        return 0

    cdef int withdraw_surplus(self, int symbol) except -1:
        # Plain orders that were exits and would open now, because something else has closed what they were for.
        cdef const exposure_t* open
        cdef int64_t held = self.account.positions[symbol].lots
        cdef int side
        for side in range(2):
            open = &self.orders.open[symbol][0][side]
            if open.lots - open.reducing > max(0, -held if side == Side.BUY else held):
                self.withdraw(symbol, side)
        return 0

    cpdef uint64_t close(self, int symbol, int leg, int64_t lots, int limiting=0) except? 0:
        """Ask for a market order that takes lots (not more than a market order may have) off a leg.

        A part is rounded up to the step of the day, so that the rest can be closed too; the whole needs no step.
        """
        cdef const instrument_t* i
        cdef int64_t held
        cdef int side
        if not 0 <= symbol < self.instruments.size or not 0 <= leg <= 1:
            raise IndexError(symbol)
        i = &self.instruments.data[symbol]
        held = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        side = (Side.BUY if leg else Side.SELL) if self.account.hedge else Side.SELL if held > 0 else Side.BUY
        lots = min(lots + (i.lot_step - lots % i.lot_step) % i.lot_step, max(lots, magnitude(held)))
        return self.submit(symbol, side,
                           min(lots, i.max_market_lots - i.max_market_lots % i.lot_step), 0, TimeInForce.GTC,
                           not self.account.hedge, limiting,
                           (PositionSide.SHORT if leg else PositionSide.LONG) if self.account.hedge else 0)

    cpdef bint cancel(self, uint64_t client_id) except -1:
        """Ask for an order to be cancelled; return whether there is such an order and it was not asked before."""
        cdef order_t* order = self.orders.find(client_id)
        cdef event_t* row
        if order == NULL or is_terminal(order.state) or order.state == OrderState.PENDING_CANCEL:
            return False
        self.orders.on_evidence(order, Evidence.E_CANCEL_SENT, self.now)
        row = self.post(Kind.CANCEL, order.symbol)
        row.a = client_id
        return True

    cpdef int cancel_all(self, int symbol=-1, bint keep_reducing=False) except -1:
        """Ask for every open order (of a symbol) to be cancelled; return how many."""
        cdef int k, side, asked = 0, here = 0 if symbol < 0 else symbol
        cdef const order_t* order
        if self.orders.open_orders == 0:
            return 0
        for here in range(here, self.instruments.size if symbol < 0 else symbol + 1):
            for side in range(2):
                k = self.orders.first[here][side]
                while k:
                    order = &self.orders.table[k - 1]
                    k = order.next
                    if not (keep_reducing and order.reduce_only):
                        asked += self.cancel(order.client_id)
        return asked

    cpdef int query(self, uint64_t client_id) except -1:
        """Ask the venue what has become of an order."""
        cdef const order_t* order = self.orders.find(client_id)
        if order != NULL:
            self.post(Kind.QUERY, order.symbol).a = client_id
        return 0

    cpdef int set_timer(self, int64_t timer_id, int64_t due) except -1:
        """Ask to be woken at ``due`` (ns); it comes back as an event."""
        cdef event_t* row = self.post(Kind.SET_TIMER, 0)
        row.a = timer_id
        row.b = due
        return 0

    cpdef uint64_t trade_to(self, int symbol, int64_t target_lots, int limiting=0) except? 0:
        """Ask for the market order that brings the position to a target (buy positive).

        A change of side is closed first; the new side is opened once the close has filled. What is larger than a
        market order may be is asked for in parts, the rest at the next call; an increase is rounded down to the step of
        the day, and below the exchange's minimum notional it is no order.
        """
        cdef int64_t held, added
        cdef int leg
        self.require(symbol)
        leg = 1 if self.account.positions[symbol + ACCOUNT_SYMBOLS].lots else 0
        held = self.account.positions[symbol + leg * ACCOUNT_SYMBOLS].lots
        if held != 0 and (target_lots == 0 or (target_lots > 0) != (held > 0)):
            return self.close(symbol, leg, magnitude(held), limiting)
        if target_lots == held:
            return 0
        if magnitude(target_lots) < magnitude(held):
            return self.close(symbol, leg, magnitude(held) - magnitude(target_lots), limiting)
        added = min(self.instruments.data[symbol].max_market_lots, magnitude(target_lots - held))
        added -= added % self.instruments.data[symbol].lot_step
        if added == 0 or value_e8(&self.instruments.data[symbol], self.markets.data[symbol].mark_e8, added) \
                < self.instruments.data[symbol].min_notional_e8:
            return 0                           # below the exchange's minimum the size is zero
        return self.submit(symbol, Side.BUY if target_lots > held else Side.SELL, added, 0, TimeInForce.GTC, False,
                           limiting, self.opening_side(target_lots))

    cdef int opening_side(self, int64_t lots) noexcept:
        if not self.account.hedge:
            return PositionSide.BOTH
        return PositionSide.LONG if lots > 0 else PositionSide.SHORT

    cpdef tuple size(self, int symbol, double signal, double volatility, double target_volatility,
                     double sharpe_mean, double sharpe_sd):
        """Return (lots, limiting factor) of the position that an edge deserves; lots have the signal's sign.

        Parameters
        ----------
        symbol : int
        signal : float
            Strength and direction, -1 to 1.
        volatility : float
            Of the instrument, a year.
        target_volatility : float
            Of this position, a year.
        sharpe_mean, sharpe_sd : float
            The edge: mean and standard deviation of its annual Sharpe ratio.
        """
        cdef sizing_t s = self.sizing
        cdef market_t* m
        cdef int factor = 0
        cdef int64_t lots
        cdef double equity, own
        self.require(symbol)
        m = &self.markets.data[symbol]
        equity = self.account.equity_e8() * 1e-8
        own = (magnitude(self.account.positions[symbol].value_e8)
               + magnitude(self.account.positions[symbol + ACCOUNT_SYMBOLS].value_e8)) * 1e-8
        s.equity = equity
        s.peak = max(self.gate.peak_e8 * 1e-8, equity)
        s.max_drawdown = self.gate.limits.max_drawdown_e8 * 1e-8
        s.signal = signal
        s.correlation_factor = 1.0
        s.volatility = volatility
        s.target_volatility = target_volatility
        s.sharpe_mean = sharpe_mean
        s.sharpe_sd = sharpe_sd
        s.atr = atr(m, self.gate.limits.atr_floor)
        # The rest of the book counts as moving with this instrument: no correlation is claimed to help.
        s.book_var = (self.account.gross_e8 * 1e-8 - own) * Z95 * volatility / sqrt(DAYS)
        s.book_correlation = 1.0
        s.symbol_cap = self.gate.symbol_cap_e8() * 1e-8
        s.gross_room = equity * self.gate.limits.max_gross_e8 * 1e-8 - (self.account.gross_e8 * 1e-8 - own)
        s.margin_room = self.margin_room(symbol, signal >= 0) + own
        lots = size_lots(&s, &self.instruments.data[symbol], m.mark_e8, &factor)
        if self.witness is not None:
            self.witness.sized(symbol, s, lots, factor)
        return (lots if signal >= 0 else -lots, factor)

    cdef double margin_room(self, int symbol, bint buys) noexcept:
        # Notional at the mark whose initial margin, taker fee and loss against the mark at the touch what is available
        # pays.
        cdef const market_t* m = &self.markets.data[symbol]
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef double price = price_e8(i, m.ask_ticks if buys else m.bid_ticks)
        cdef double relative = price / m.mark_e8 if price > 0 and m.mark_e8 > 0 else 1.0
        cdef double worse = max(0.0, relative - 1.0 if buys else 1.0 - relative)
        return self.account.available_e8() * 1e-8 / (
            relative * (1.0 / self.account.margins[symbol].leverage + i.taker_fee_e8 * 1e-8) + worse)

    def position(self, int symbol):
        """Return the position in lots, buy positive; the sum of both legs in hedge mode."""
        self.require(symbol)
        return self.account.positions[symbol].lots + self.account.positions[symbol + ACCOUNT_SYMBOLS].lots

    def pending(self, int symbol):
        """Return whether any order of a symbol is live, pending or unknown."""
        self.require(symbol)
        return self.account.margins[symbol].open_orders > 0

    def last_price(self, int symbol):
        """Return the last price in the quote coin; 0.0 before the first."""
        if not 0 <= symbol < self.markets.size:
            raise IndexError(symbol)
        return self.markets.data[symbol].last_e8 * 1e-8

    def touch(self, int symbol):
        """Return (bid ticks, bid lots, ask ticks, ask lots); zeros for an empty side."""
        if not 0 <= symbol < self.markets.size:
            raise IndexError(symbol)
        cdef const market_t* m = &self.markets.data[symbol]
        return (m.bid_ticks, m.bid_lots, m.ask_ticks, m.ask_lots)

    def equity(self):
        """Return the equity in USDT."""
        return self.account.equity_e8() * 1e-8

    @property
    def symbols(self):
        """The run's symbols, by index."""
        return self.instruments.names


cdef class Strategy:
    """A strategy: override what you need.

    State must be plain numbers, strings, lists, tuples and dicts returned by ``snapshot``; it is part
    of the engine's state hash, so that a replay that decides differently is found.
    """

    def __init__(self):
        self.hooks = 0
        for hook, name in ((ON_BOOK, "on_book"), (ON_BARS, "on_bars"), (ON_TIMER, "on_timer"), (ON_FILL, "on_fill"),
                           (ON_START, "start")):
            if getattr(type(self), name) is not getattr(Strategy, name):
                self.hooks |= hook

    cpdef start(self):
        """Prepare: the desk is there, the run's first event is being handled."""

    cpdef on_book(self, int symbol):
        """React to a new touch of a symbol whose book is usable."""

    cpdef on_bars(self):
        """React to the candles that closed at ``desk.now``, all symbols together."""

    cpdef on_timer(self, int64_t timer_id):
        """React to a wake-up that was asked for."""

    cpdef on_fill(self, int symbol, int64_t lots, int64_t price_ticks):
        """React to a fill of ours (lots: buy positive)."""

    def snapshot(self):
        """Return the strategy's whole state."""
        return ()
