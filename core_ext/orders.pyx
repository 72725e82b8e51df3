"""The order table: legal transitions as data, exposure as running totals."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from core_ext.types cimport OrderState, approved_t

from core_ext.types import OrderState as StateFace

cdef uint8_t STAY = 254     # legal, changes nothing
cdef uint8_t NO = 255       # illegal: counted, changes nothing

# Rows: OrderState. Columns: Evidence. Fills of terminal orders are booked by the account all the
# same (the venue is right, we were wrong), but they resurrect nothing.
cdef uint8_t TRANSITIONS[10][9]
TRANSITIONS = [
    # ACCEPTED  REJECTED  PART  FULL  CANCELED  EXPIRED  CANCEL_SENT  CANCEL_REJECTED  LOST
    [NO,        NO,       NO,   NO,   NO,       NO,      NO,          NO,              NO],     # EMPTY
    [2,         9,        3,    6,    7,        8,       4,           STAY,            5],      # PENDING_NEW
    [STAY,      NO,       3,    6,    7,        8,       4,           STAY,            5],      # LIVE
    [STAY,      NO,       STAY, 6,    7,        8,       4,           STAY,            5],      # PARTLY_FILLED
    [STAY,      9,        STAY, 6,    7,        8,       STAY,        2,               5],      # PENDING_CANCEL
    [2,         9,        3,    6,    7,        8,       STAY,        STAY,            STAY],   # UNKNOWN
    [NO,        NO,       NO,   NO,   NO,       NO,      STAY,        STAY,            NO],     # FILLED
    [NO,        NO,       NO,   NO,   STAY,     STAY,    STAY,        STAY,            NO],     # CANCELLED
    [NO,        NO,       NO,   NO,   STAY,     STAY,    STAY,        STAY,            NO],     # EXPIRED
    [NO,        STAY,     NO,   NO,   NO,       NO,      STAY,        STAY,            NO],     # REJECTED
]


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

    def __init__(self, uint32_t epoch):
        self.epoch = epoch
        self.next_count = 1

    def __dealloc__(self):
        PyMem_Free(self.table)

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
        order.created = approved.ts
        order.updated = approved.ts
        order.symbol = approved.symbol
        order.side = approved.side
        order.type = approved.type
        order.tif = approved.tif
        order.reduce_only = approved.reduce_only
        order.limiting = approved.limiting
        order.state = OrderState.PENDING_NEW
        self.next_count += 1
        self.count(order, order.lots, 1)
        return order

    cdef void count(self, const order_t* order, int64_t lots, int orders) noexcept nogil:
        cdef exposure_t* open = &self.open[order.symbol][order.side]
        open.lots += lots
        open.value_ticks += lots * order.hold_ticks
        open.reducing += lots if order.reduce_only else 0
        open.orders += orders
        self.open_orders += orders

    cdef bint on_evidence(self, order_t* order, int evidence, int64_t ts) noexcept nogil:
        # False for evidence that the order's state does not allow.
        cdef uint8_t state = TRANSITIONS[order.state][evidence]
        if state == NO:
            self.illegal += 1
            return False
        order.updated = ts
        if state == STAY or state == order.state:
            return True
        self.unknown += (state == OrderState.UNKNOWN) - (order.state == OrderState.UNKNOWN)
        order.state = state
        if is_terminal(state):
            self.count(order, -leaves(order), -1)
        return True

    cdef bint on_fill(self, order_t* order, int64_t lots, int64_t ts) noexcept nogil:
        # Booked even when it should not be: position follows the venue. False when the order was believed dead
        # or the fill is larger than what was left.
        cdef bint full
        if is_terminal(order.state) or lots > leaves(order):
            self.late += 1
            order.updated = ts
            return False
        full = lots == leaves(order)
        if full:
            self.on_evidence(order, E_FULL, ts)
            order.filled = order.lots
            return True
        self.count(order, -lots, 0)
        order.filled += lots
        return self.on_evidence(order, E_PART, ts)

    def insert_for_test(self, int symbol, int side, int64_t price_ticks, int64_t lots, bint reduce_only=False):
        """Put an order into its place without asking risk and return its client id; tests only."""
        cdef uint64_t client_id = self.next_id()
        cdef order_t* order = &self.table[client_id & (ORDER_PLACES - 1)]
        if client_id == 0:
            return 0                           # every place holds a live order, as for risk
        memset(order, 0, sizeof(order_t))
        order.client_id = client_id
        order.symbol = symbol
        order.side = side
        order.price_ticks = price_ticks
        order.hold_ticks = price_ticks
        order.lots = lots
        order.reduce_only = reduce_only
        order.state = OrderState.PENDING_NEW
        self.next_count += 1
        self.count(order, lots, 1)
        return client_id

    def evidence(self, uint64_t client_id, int evidence, int64_t ts=0):
        """Apply evidence by its number; return whether the state allowed it."""
        cdef order_t* order = self.find(client_id)
        if order == NULL or not 0 <= evidence < 9:
            raise KeyError(client_id)
        return self.on_evidence(order, evidence, ts)

    def fill(self, uint64_t client_id, int64_t lots, int64_t ts=0):
        """Apply a fill; return whether the order could have it."""
        cdef order_t* order = self.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        return self.on_fill(order, lots, ts)

    def exposure(self, int symbol, int side):
        """Return the open lots, value, reducing lots and orders of one side of a symbol."""
        if not 0 <= symbol < SYMBOL_PLACES:
            raise IndexError(symbol)
        return dict(self.open[symbol][side & 1])

    def order(self, uint64_t client_id):
        """Return an order's fields, its state by name."""
        cdef order_t* order = self.find(client_id)
        if order == NULL:
            raise KeyError(client_id)
        fields = dict(order[0])
        fields["state"] = StateFace(order.state).name
        return fields

    def rows(self):
        """Return every order that the table still holds, oldest first."""
        held = [dict(self.table[i]) for i in range(ORDER_PLACES) if self.table[i].state != OrderState.EMPTY]
        return sorted(held, key=lambda order: order["client_id"])


def transitions():
    """Return the transition table as rows of states by columns of evidence (254 stays, 255 illegal)."""
    return [[TRANSITIONS[state][evidence] for evidence in range(9)] for state in range(10)]
