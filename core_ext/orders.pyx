"""The order table: legal transitions as data, exposure as running totals."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from core_ext.account cimport Account
from core_ext.fixed cimport MAX_STEPS, mul
from core_ext.types cimport OrderState, PositionSide, Side, Term, approved_t, is_conditional, leg_of

from core_ext.types import OrderState as StateFace
from core_ext.types import OrderType as OrderTypeFace

cdef uint8_t STAY = 254     # legal, changes nothing
cdef uint8_t NO = 255       # illegal: counted, changes nothing

# Rows: OrderState. Columns: Evidence, in its order. Fills of terminal orders are booked by the account all the
# same (the venue is right, we were wrong), but they resurrect nothing.
cdef uint8_t TRANSITIONS[12][EVIDENCES]
TRANSITIONS = [
    # ACC REJ   PART  FULL  CANC  EXP   SENT  CREJ  LOST  ARM   TRIG  AMND  AREJ
    [NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO,   NO],     # EMPTY
    [2,    11,   3,    8,    9,    10,   4,    STAY, 5,    6,    7,    NO,   STAY],   # PENDING_NEW
    [STAY, NO,   3,    8,    9,    10,   4,    STAY, 5,    STAY, STAY, STAY, STAY],   # LIVE
    [STAY, NO,   STAY, 8,    9,    10,   4,    STAY, 5,    STAY, STAY, STAY, STAY],   # PARTLY_FILLED
    [STAY, 11,   STAY, 8,    9,    10,   STAY, 2,    5,    STAY, STAY, STAY, STAY],   # PENDING_CANCEL
    [2,    11,   3,    8,    9,    10,   STAY, STAY, STAY, 6,    7,    2,    STAY],   # UNKNOWN
    [2,    11,   3,    8,    9,    10,   4,    STAY, 5,    STAY, 7,    NO,   STAY],   # ARMED
    [2,    11,   3,    8,    9,    10,   4,    STAY, 5,    STAY, STAY, NO,   STAY],   # TRIGGERING
    [NO,   NO,   NO,   NO,   NO,   NO,   STAY, STAY, NO,   NO,   NO,   NO,   STAY],   # FILLED
    [NO,   NO,   NO,   NO,   STAY, STAY, STAY, STAY, NO,   NO,   NO,   NO,   STAY],   # CANCELLED
    [NO,   NO,   NO,   NO,   STAY, STAY, STAY, STAY, NO,   NO,   NO,   NO,   STAY],   # EXPIRED
    [NO,   STAY, NO,   NO,   NO,   NO,   STAY, STAY, NO,   NO,   NO,   NO,   STAY],   # REJECTED
]


cdef inline int64_t may_fill(const order_t* order) noexcept nogil:
    # What is left of the larger of what the order is and what it has been asked to become.
    return max(0, max(order.lots, order.amend_lots) - order.filled)


@cython.final
cdef class Orders:
    """Our orders.

    Parameters
    ----------
    epoch : int
        Upper 32 bits of every client order id of this run.
    """

    def __cinit__(self, uint32_t epoch):
        self.table = <order_t*> PyMem_Calloc(ORDER_PLACES, sizeof(order_t))
        if self.table == NULL:
            raise MemoryError("order table")
        memset(self.open, 0, sizeof(self.open))
        memset(self.unknown_of, 0, sizeof(self.unknown_of))
        memset(self.first, 0, sizeof(self.first))
        memset(self.last, 0, sizeof(self.last))

    def __init__(self, uint32_t epoch):
        self.epoch = epoch
        self.next_count = 1

    def __dealloc__(self):
        PyMem_Free(self.table)

    cpdef attach(self, Account account):
        """Keep the margin of open orders in this account from here on.

        Raises
        ------
        ValueError
            If there are open orders, which the account would not know.
        """
        if self.open_orders:
            raise ValueError(f"{self.open_orders} orders are open: an account is attached to an empty table")
        self.account = account
        self.instruments = account.instruments

    cdef uint64_t next_id(self) noexcept nogil:
        # The next id whose place is free; 0 when every place holds a live order.
        cdef const order_t* place
        for _ in range(ORDER_PLACES):
            place = &self.table[self.next_count & (ORDER_PLACES - 1)]
            if place.state == OrderState.EMPTY or is_terminal(place.state):
                return <uint64_t> self.epoch << 32 | self.next_count
            self.next_count += 1
        return 0

    cdef order_t* find(self, uint64_t client_id) noexcept nogil:
        cdef order_t* order = &self.table[client_id & (ORDER_PLACES - 1)]
        return order if order.client_id == client_id and order.state != OrderState.EMPTY else NULL

    cdef order_t* insert(self, const approved_t* approved, int64_t hold_ticks) noexcept nogil:
        # From here on the order is exposure.
        cdef order_t* order = &self.table[approved.client_id & (ORDER_PLACES - 1)]
        memset(order, 0, sizeof(order_t))
        order.client_id = approved.client_id
        order.price_ticks = approved.price_ticks
        order.lots = approved.lots
        order.hold_ticks = hold_ticks
        order.trigger_ticks = approved.trigger_ticks
        order.activate_ticks = approved.activate_ticks
        order.callback_e8 = approved.callback_e8
        order.good_till = approved.good_till
        order.created = approved.ts
        order.updated = approved.ts
        order.symbol = approved.symbol
        order.side = approved.side
        order.position_side = approved.position_side
        order.type = approved.type
        order.tif = approved.tif
        order.reduce_only = (approved.reduce_only or approved.terms & Term.CLOSE_POSITION
                             or (approved.position_side and (approved.side == Side.BUY)
                                 != (approved.position_side == PositionSide.LONG)))
        order.stp = approved.stp
        order.price_match = approved.price_match
        order.terms = approved.terms
        order.limiting = approved.limiting
        self.enter(order)
        return order

    cdef void enter(self, order_t* order) noexcept nogil:
        cdef uint16_t place = (order.client_id & (ORDER_PLACES - 1)) + 1
        cdef uint16_t* first = &self.first[order.symbol][order.side]
        cdef uint16_t* last = &self.last[order.symbol][order.side]
        order.state = OrderState.PENDING_NEW
        order.previous = last[0]
        if last[0]:
            self.table[last[0] - 1].next = place
        else:
            first[0] = place
        last[0] = place
        self.next_count += 1
        self.open[order.symbol][leg_of(order.position_side)][order.side].orders += 1
        self.open_orders += 1
        if self.account is not None:
            self.account.open_order(order.symbol, leg_of(order.position_side), order.side, 0, 1)
        self.recount(order)

    cdef void recount(self, order_t* order) noexcept nogil:
        # Bring the totals to what this order is now, or may become.
        self.count(order, 0 if is_terminal(order.state) else may_fill(order), max(order.hold_ticks, order.amend_ticks))

    cdef void suspend(self, order_t* order) noexcept nogil:
        # As if the order were not there, until the next recount.
        self.count(order, 0, 0)

    cdef void count(self, order_t* order, int64_t lots, int64_t ticks) noexcept nogil:
        cdef int leg = leg_of(order.position_side)
        cdef exposure_t* open = &self.open[order.symbol][leg][order.side]
        cdef int64_t margin = 0
        open.lots += lots - order.counted_lots
        open.value_ticks += lots * ticks - order.counted_lots * order.counted_ticks
        open.reducing += lots - order.counted_lots if order.reduce_only else 0
        order.counted_lots = lots
        order.counted_ticks = ticks
        if self.account is None:
            return
        if not (order.reduce_only or (is_conditional(order.type) and not order.triggered)):
            margin = mul(mul(ticks, self.instruments.data[order.symbol].unit_e8), lots)
        if margin != order.counted_margin_e8:
            self.account.open_order(order.symbol, leg, order.side, margin - order.counted_margin_e8, 0)
            order.counted_margin_e8 = margin

    cdef void amend(self, order_t* order, int64_t price_ticks, int64_t lots) noexcept nogil:
        # Asked for: until the venue answers, the worst of all that it may become counts.
        order.amend_ticks = max(order.amend_ticks, price_ticks)
        order.amend_lots = max(order.amend_lots, lots)
        self.recount(order)

    cdef bint on_amended(self, order_t* order, int64_t price_ticks, int64_t lots, int64_t ts) noexcept nogil:
        if not self.on_evidence(order, E_AMENDED, ts):
            return False
        order.price_ticks = price_ticks
        order.hold_ticks = price_ticks
        order.lots = lots
        order.amend_ticks = order.amend_lots = 0
        self.recount(order)
        return self.on_evidence(order, E_FULL, ts) if order.filled >= lots else True

    cdef void on_priced(self, order_t* order, int64_t price_ticks) noexcept nogil:
        # Of an order whose price the venue sets and tells when it takes it.
        if order.price_ticks or price_ticks <= 0 or is_terminal(order.state):
            return
        order.price_ticks = order.hold_ticks = price_ticks
        self.recount(order)

    cdef bint on_sized(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil:
        # Of a close position order, whose quantity the venue tells at its trigger.
        if order.lots or lots <= 0 or is_terminal(order.state):
            return False
        order.lots = lots
        order.updated = ts
        self.recount(order)
        return self.on_evidence(order, E_FULL, ts) if order.filled >= lots else True

    cdef bint on_evidence(self, order_t* order, int evidence, int64_t ts) noexcept nogil:
        # False for evidence that the order's state does not allow.
        cdef uint8_t state = TRANSITIONS[order.state][evidence]
        if state == NO:
            self.illegal += 1
            return False
        order.updated = ts
        if evidence == E_AMEND_REJECTED:
            order.amend_ticks = order.amend_lots = 0
            if order.lots and order.filled >= order.lots and not is_terminal(order.state):
                return self.on_evidence(order, E_FULL, ts)     # nothing is left of what it was
            self.recount(order)
        elif (evidence == E_ACCEPTED or evidence == E_TRIGGERING) and not order.triggered:
            order.triggered = True             # of a conditional order: the rest is margin from now on
            self.recount(order)
        if evidence == E_PART and order.state == OrderState.UNKNOWN and order.amend_lots:
            return True                        # whether it was amended is as unknown as before
        if state == STAY or state == order.state:
            return True
        if evidence == E_CANCEL_REJECTED and not order.triggered:      # a cancel may be faster than its order
            state = OrderState.ARMED if is_conditional(order.type) else OrderState.PENDING_NEW
        self.unknown += (state == OrderState.UNKNOWN) - (order.state == OrderState.UNKNOWN)
        self.unknown_of[order.symbol] += (state == OrderState.UNKNOWN) - (order.state == OrderState.UNKNOWN)
        order.state = state
        if is_terminal(state):
            self.leave(order)
        return True

    cdef void leave(self, order_t* order) noexcept nogil:
        if order.previous:
            self.table[order.previous - 1].next = order.next
        else:
            self.first[order.symbol][order.side] = order.next
        if order.next:
            self.table[order.next - 1].previous = order.previous
        else:
            self.last[order.symbol][order.side] = order.previous
        order.next = order.previous = 0
        order.amend_ticks = order.amend_lots = 0
        self.recount(order)
        self.open[order.symbol][leg_of(order.position_side)][order.side].orders -= 1
        self.open_orders -= 1
        if self.account is not None:
            self.account.open_order(order.symbol, leg_of(order.position_side), order.side, 0, -1)

    cdef bint on_fill(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil:
        # Booked even when it should not be: position follows the venue. False when the order was believed dead
        # or the fill is larger than what was left. News of an amendment may come after a fill of what it added.
        cdef int64_t most = max(order.lots, order.amend_lots)
        if is_terminal(order.state) or lots <= 0 or (most and lots > most - order.filled):
            self.late += 1
            order.updated = ts
            return False
        order.filled += lots
        order.triggered = True                 # what fills has been triggered, told or not
        if order.filled == most:
            return self.on_evidence(order, E_FULL, ts)
        self.recount(order)
        return self.on_evidence(order, E_PART, ts)

    cdef bint audit(self) noexcept nogil:
        # Whether the totals are those of the table.
        cdef exposure_t found[SYMBOL_PLACES][2][2]
        cdef const exposure_t* open
        cdef exposure_t* e
        cdef const order_t* order
        cdef int64_t count = 0, unknown = 0
        cdef int k, leg, side
        memset(found, 0, sizeof(found))
        for k in range(ORDER_PLACES):
            order = &self.table[k]
            if not is_open(order):
                continue
            e = &found[order.symbol][leg_of(order.position_side)][order.side]
            e.lots += order.counted_lots
            e.value_ticks += order.counted_lots * order.counted_ticks
            e.reducing += order.counted_lots if order.reduce_only else 0
            e.orders += 1
            count += 1
            unknown += order.state == OrderState.UNKNOWN
            if order.counted_lots != may_fill(order):
                return False
        for k in range(SYMBOL_PLACES):
            for leg in range(2):
                for side in range(2):
                    e = &found[k][leg][side]
                    open = &self.open[k][leg][side]
                    if e.lots != open.lots or e.value_ticks != open.value_ticks or e.reducing != open.reducing \
                            or e.orders != open.orders:
                        return False
        return count == self.open_orders and unknown == self.unknown

    def sound(self):
        """Return whether the running totals are those of the table."""
        return self.audit()

    def insert_for_test(self, int symbol, int side, int64_t price_ticks, int64_t lots, bint reduce_only=False,
                        int position_side=0, int type=0, int terms=0):
        """Put an order into its place without asking risk and return its client id; tests only."""
        cdef uint64_t client_id
        cdef order_t* order
        if not 0 <= symbol < (self.account.instruments.size if self.account is not None else SYMBOL_PLACES):
            raise IndexError(symbol)
        if not (0 <= side <= 1 and 0 <= price_ticks <= MAX_STEPS and 0 <= lots <= MAX_STEPS
                and 0 <= position_side <= 2 and 0 <= type < len(OrderTypeFace) and 0 <= terms < 256):
            raise ValueError(f"no such order: {side=} {price_ticks=} {lots=} {position_side=} {type=} {terms=}")
        client_id = self.next_id()
        if client_id == 0:
            return 0                           # every place holds a live order, as for risk
        order = &self.table[client_id & (ORDER_PLACES - 1)]
        memset(order, 0, sizeof(order_t))
        order.client_id = client_id
        order.symbol = symbol
        order.side = side
        order.position_side = position_side
        order.type = type
        order.terms = terms
        order.price_ticks = price_ticks
        order.hold_ticks = price_ticks
        order.lots = lots
        order.reduce_only = reduce_only
        self.enter(order)
        return client_id

    def ask(self, uint64_t client_id, int64_t price_ticks, int64_t lots):
        """Count an amendment that has been asked for: until it is answered the worst is exposure."""
        self.amend(self.known(client_id, price_ticks, lots), price_ticks, lots)

    def amended(self, uint64_t client_id, int64_t price_ticks, int64_t lots, int64_t ts=0):
        """Apply the venue's new price and quantity; return whether the state allowed it."""
        return self.on_amended(self.known(client_id, price_ticks, lots), price_ticks, lots, ts)

    def sized(self, uint64_t client_id, int64_t lots, int64_t ts=0):
        """Apply the quantity of a close position order; return whether it had none before."""
        return self.on_sized(self.known(client_id, 0, lots), lots, ts)

    cdef order_t* known(self, uint64_t client_id, int64_t price_ticks, int64_t lots) except NULL:
        cdef order_t* order = self.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        if not (0 <= price_ticks <= MAX_STEPS and 0 <= lots <= MAX_STEPS):
            raise ValueError(f"price or lots of an order out of range: {price_ticks} ticks, {lots} lots")
        return order

    def evidence(self, uint64_t client_id, int evidence, int64_t ts=0):
        """Apply evidence by its number; return whether the state allowed it."""
        cdef order_t* order = self.find(client_id)
        if order == NULL or not 0 <= evidence < EVIDENCES:
            raise KeyError(client_id)
        return self.on_evidence(order, evidence, ts)

    def fill(self, uint64_t client_id, int64_t lots, int64_t ts=0):
        """Apply a fill; return whether the order could have it."""
        cdef order_t* order = self.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        return self.on_fill(order, lots, ts)

    def exposure(self, int symbol, int side, int leg=0):
        """Return the open lots, value, reducing lots and orders of one side of a symbol's leg."""
        if not 0 <= symbol < SYMBOL_PLACES or not 0 <= leg <= 1:
            raise IndexError(symbol)
        return dict(self.open[symbol][leg][side & 1])

    def order(self, uint64_t client_id):
        """Return an order's fields, its state by name."""
        cdef order_t* order = self.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        fields = dict(order[0])
        fields["state"] = StateFace(order.state).name
        return fields

    def state(self):
        """Return the open orders, and of the ended ones what late evidence would meet, as plain values."""
        cdef const order_t* order
        cdef int i
        open_orders, ended = [], []
        for i in range(ORDER_PLACES):
            order = &self.table[i]
            if is_terminal(order.state):
                ended.append((order.client_id, order.state, order.lots, order.filled, order.updated))
            elif order.state != OrderState.EMPTY:
                open_orders.append((order.client_id, dict(order[0])))
        return sorted(open_orders), sorted(ended), self.next_count, self.illegal, self.late

    def rows(self):
        """Return every order that the table still holds, oldest first."""
        held = [dict(self.table[i]) for i in range(ORDER_PLACES) if self.table[i].state != OrderState.EMPTY]
        return sorted(held, key=lambda order: order["client_id"])


def transitions():
    """Return the transition table as rows of states by columns of evidence (254 stays, 255 illegal)."""
    cdef int state, evidence
    return [[TRANSITIONS[state][evidence] for evidence in range(<int> EVIDENCES)] for state in range(12)]
