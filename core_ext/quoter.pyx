"""The passive microprice quoter."""
cimport cython
from libc.math cimport ceil, floor
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.fixed cimport mul_div_floor, price_e8, value_e8
from core_ext.orders cimport is_terminal, order_t
from core_ext.signal cimport market_t, microprice
from core_ext.strategy cimport Strategy
from core_ext.types cimport OrderState, Side, TimeInForce, instrument_t

cdef int INVENTORY = 10        # sizing.Factor.INVENTORY


@cython.final
cdef class Quoter(Strategy):
    """Quote both sides of the touch around the microprice.

    Parameters
    ----------
    order_e8 : int
        Notional of one quote, 1e-8 USDT.
    budget_e8 : int
        Inventory budget a symbol, 1e-8 USDT; a side that would pass it is not quoted.
    requote_ns : int
        Shortest time between two actions on a side.
    join_ticks : int
        Ticks behind the touch.
    min_spread_ticks : int
        No quotes on a narrower spread.
    """

    def __init__(self, *, int64_t order_e8, int64_t budget_e8, int64_t requote_ns, int64_t join_ticks,
                 int64_t min_spread_ticks):
        super().__init__()
        self.order_e8 = order_e8
        self.budget_e8 = budget_e8
        self.requote_ns = requote_ns
        self.join_ticks = join_ticks
        self.min_spread_ticks = min_spread_ticks
        memset(self.quotes, 0, sizeof(self.quotes))

    cpdef on_book(self, int symbol):
        """Keep one bid and one ask where they belong."""
        cdef market_t* m
        cdef double fair
        cdef int64_t bid, ask
        if self.desk is None or not 0 <= symbol < self.desk.instruments.size:
            raise TypeError("a quoter quotes the symbols of its engine")
        m = &self.desk.markets.data[symbol]
        if m.bid_ticks <= 0 or m.ask_ticks <= 0 or m.ask_ticks - m.bid_ticks < self.min_spread_ticks:
            return
        fair = microprice(m)
        # Never across the microprice: a quote on the wrong side of it is picked off.
        bid = min(m.bid_ticks - self.join_ticks, <int64_t> floor(fair))
        ask = max(m.ask_ticks + self.join_ticks, <int64_t> ceil(fair))
        self.quote(symbol, Side.BUY, bid, self.wanted_lots(symbol, Side.BUY, bid))
        self.quote(symbol, Side.SELL, ask, self.wanted_lots(symbol, Side.SELL, ask))

    cdef int64_t wanted_lots(self, int symbol, int side, int64_t price_ticks) noexcept:
        # A whole quote, or what brings the inventory home, or nothing when the budget is spent.
        cdef const instrument_t* i = &self.desk.instruments.data[symbol]
        cdef int64_t held = self.desk.account.positions[symbol].lots
        cdef int64_t lot_value = value_e8(i, price_e8(i, price_ticks), 1)
        cdef int64_t lots = mul_div_floor(self.order_e8, 1, lot_value) if lot_value > 0 else 0
        cdef int64_t budget = mul_div_floor(self.budget_e8, 1, lot_value) if lot_value > 0 else 0
        cdef int64_t room
        if side == Side.SELL:
            held = -held
        if held < 0 and -held <= lots:
            return -held
        room = budget - held
        return lots if lots <= room else 0

    cdef int quote(self, int symbol, int side, int64_t price_ticks, int64_t lots) except -1:
        # One step towards the wanted quote: cancel a wrong one, then, once it is gone, place the right one.
        cdef quote_t* q = &self.quotes[symbol][side]
        cdef order_t* order = self.desk.orders.find(q.client_id) if q.client_id else NULL
        cdef bint live = order != NULL and not is_terminal(order.state)
        cdef int64_t held
        cdef bint home
        if self.desk.now - q.ts < self.requote_ns:
            return 0
        if live:
            if order.state != OrderState.PENDING_CANCEL and (lots == 0 or order.price_ticks != price_ticks):
                q.ts = self.desk.now
                self.desk.cancel(q.client_id)
            return 0
        if lots == 0:
            return 0
        q.ts = self.desk.now
        q.price_ticks = price_ticks
        # What brings the inventory home is reduce-only: the exchange's minimum does not hold dust back.
        held = self.desk.account.positions[symbol].lots
        home = held != 0 and (held > 0) == (side == Side.SELL) and lots == (held if held > 0 else -held)
        q.client_id = self.desk.submit(symbol, side, lots, price_ticks, TimeInForce.GTX, home, INVENTORY)
        return 0

    def snapshot(self):
        """Return the quotes."""
        return [[dict(self.quotes[k][side]) for side in range(2)] for k in range(self.desk.instruments.size)]
