"""Loops in C around the core's nouns, so that what is timed is the core and not the interpreter.

Knows how to call the scanner, the engine, the gate and the sizer as the compiled driver does, and
where to read the clock. Refuses to know what they are compared with.
"""
cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from core_ext.engine cimport Engine
from core_ext.orders cimport Evidence, Orders
from core_ext.risk cimport RiskGate, request_t
from core_ext.signal cimport Markets
from core_ext.sizing cimport size_lots, sizing_t
from core_ext.types cimport Flag, Instruments, Kind, OrderType, Reason, Status, approved_t, event_t, level_run
from core_ext.wire cimport ORDER_BYTES, SIGNATURE_BYTES, Approval, Scanner, Signer

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC

cdef enum:
    MOST_ORDERS = 16           # of one message

cdef int64_t MS = 1000000


cdef inline int64_t clock_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t> t.tv_sec * 1000000000 + t.tv_nsec


def clock_cost(int64_t[::1] taken_ns):
    """Time nothing, as often as there is room: what two readings of the clock add to each figure below."""
    cdef int64_t started
    cdef Py_ssize_t k
    for k in range(taken_ns.shape[0]):
        started = clock_ns()
        taken_ns[k] = clock_ns() - started


def read_messages(Scanner scanner not None, list messages not None):
    """Read messages one after the other; return the rows that they gave."""
    cdef bytes message
    cdef Py_ssize_t rows = 0
    for message in messages:
        if scanner.read(<const char*> message, len(message), 1) == Status.OK:
            rows += scanner.rows.size
    return rows


def check_orders(RiskGate gate not None, int64_t now, int64_t bid_ticks, int64_t ask_ticks, int64_t lots, int calls,
                 int64_t[::1] taken_ns):
    """Time so many checks of one entry at a time, ns a check; return the verdict: the first that is no approval."""
    cdef request_t r
    cdef int64_t started
    cdef Py_ssize_t k
    cdef int call
    cdef Reason verdict = Reason.R31_RISK_FAULT
    memset(&r, 0, sizeof(request_t))
    r.type = OrderType.LIMIT
    r.lots = lots
    for k in range(taken_ns.shape[0]):
        started = clock_ns()
        for call in range(calls):
            r.side = call & 1          # the two sides in turn: nothing can be kept from the call before
            r.price_ticks = ask_ticks if r.side else bid_ticks
            verdict = gate.check(&r, now)
            if verdict != Reason.APPROVED:
                return int(verdict)
        taken_ns[k] = (clock_ns() - started) // calls
    return int(verdict)


def ask_gate(RiskGate gate not None, Orders orders not None, Markets markets not None, const int64_t[:, ::1] wanted,
             int64_t now, int64_t step_ns, int working, int64_t[::1] verdicts):
    """Ask for one order after the other, as the desk does; the venue cancels the oldest of more than ``working``.

    Parameters
    ----------
    gate, orders, markets
        Of one account.
    wanted : array of int64, shape (n, 4)
        Symbol, side, price in ticks, lots.
    now, step_ns : int
        Stamp of the first, and the time from one to the next; the symbol's market is renewed with each.
    working : int
    verdicts : array of int64
        Filled with reasons.
    """
    cdef uint64_t held[512]
    cdef request_t r
    cdef approved_t order
    cdef Py_ssize_t k
    cdef int64_t first = 0, last = 0, ts
    if not 0 < working < 512:
        raise ValueError(f"{working} working orders")
    memset(&r, 0, sizeof(request_t))
    r.type = OrderType.LIMIT
    for k in range(wanted.shape[0]):
        ts = now + k * step_ns
        r.symbol = wanted[k, 0]
        r.side = wanted[k, 1]
        r.price_ticks = wanted[k, 2]
        r.lots = wanted[k, 3]
        markets.data[r.symbol].ts_book = ts
        markets.data[r.symbol].ts_mark = ts
        verdicts[k] = gate.approve(&r, ts, &order)
        if verdicts[k] != Reason.APPROVED:
            continue
        held[last & 511] = order.client_id
        last += 1
        if last - first > working:
            orders.on_evidence(orders.find(held[first & 511]), Evidence.E_CANCELED, ts)
            first += 1
    while first < last:                            # a run leaves nothing behind
        orders.on_evidence(orders.find(held[first & 511]), Evidence.E_CANCELED, now)
        first += 1


def size_positions(Instruments instruments not None, int64_t price_e8, dict inputs not None, int calls,
                   int64_t[::1] taken_ns):
    """Time so many sizings at a time, ns a sizing; return the lots."""
    cdef sizing_t s
    cdef int factor = 0
    cdef int64_t started, lots = 0
    cdef Py_ssize_t k
    cdef int call
    s = inputs
    for k in range(taken_ns.shape[0]):
        started = clock_ns()
        for call in range(calls):
            lots = size_lots(&s, &instruments.data[0], price_e8 + call, &factor)
        taken_ns[k] = (clock_ns() - started) // calls
    return lots


def sign_often(Signer signer not None, bytes parameters not None, int calls):
    """Sign the same parameters so many times; return them signed."""
    cdef char text[ORDER_BYTES]
    cdef Py_ssize_t n = len(parameters)
    if not 0 < n <= ORDER_BYTES - SIGNATURE_BYTES or calls < 1:
        raise ValueError(f"{n} bytes of parameters, {calls} calls")
    memcpy(text, <const char*> parameters, n)
    memcpy(text + n, b"&signature=", 11)
    for _ in range(calls):
        signer.sign_into(text, n, text + n + 11)
    return text[:n + SIGNATURE_BYTES]


def write_often(Signer signer not None, Approval approval not None, Instruments instruments not None,
                int64_t timestamp_ms, int calls):
    """Write an approved order so many times, signed and compared with what was approved; return its text."""
    cdef char text[ORDER_BYTES]
    cdef Py_ssize_t n = 0
    if calls < 1:
        raise ValueError(f"{calls} calls")
    for _ in range(calls):
        n = signer.sign_order(&approval.order, instruments, timestamp_ms, text)
    return text[:n]


@cython.final
cdef class OrderPath:
    """From a message's bytes to signed orders: scanner, engine, encoder, signature, comparison with what was approved.

    The venue that answers refuses every order at once, outside the time that is taken, so that the
    strategy may ask again at the next message and never holds a position: each order is an entry,
    which passes every check of the gate.

    Parameters
    ----------
    engine : Engine
    scanner : Scanner
    key : bytes
        Secret of the account.
    """

    cdef readonly Engine engine
    cdef Scanner scanner
    cdef Signer signer
    cdef char signed[MOST_ORDERS][ORDER_BYTES]     # the orders of the last message, as they would leave
    cdef Py_ssize_t lengths[MOST_ORDERS]
    cdef uint64_t ids[MOST_ORDERS]
    cdef int n_signed
    cdef int64_t decided_ns    # reading of the clock when the last orders were approved

    def __init__(self, Engine engine not None, Scanner scanner not None, bytes key not None):
        self.engine = engine
        self.scanner = scanner
        self.signer = Signer(key)

    cdef int sign_approvals(self) except -1:
        cdef const approved_t* order
        cdef Py_ssize_t n
        cdef int k
        if self.n_signed + self.engine.desk.n_approvals > MOST_ORDERS:
            raise RuntimeError(f"more than {MOST_ORDERS} orders of one message")
        for k in range(self.engine.desk.n_approvals):
            order = &self.engine.desk.approvals[k]
            n = self.signer.sign_order(order, self.engine.instruments, order.ts // MS, self.signed[self.n_signed])
            if n == 0:
                raise RuntimeError(f"order {order.client_id} would not leave as it was approved")
            self.lengths[self.n_signed] = n
            self.ids[self.n_signed] = order.client_id
            self.n_signed += 1
        return 0

    cdef int decide(self, bytes message, int64_t ts) except -1:
        cdef const event_t* row
        cdef const event_t* end
        cdef Py_ssize_t run
        if self.scanner.read(<const char*> message, len(message), ts) != Status.OK:
            return 0
        row = self.scanner.rows.data
        end = row + self.scanner.rows.size
        while row < end:
            run = level_run(row, end - row)
            if run > 1:
                self.engine.step_levels(row, run)
                row += run
                continue
            self.engine.step(row)
            if self.engine.desk.n_approvals:
                self.decided_ns = clock_ns()
                self.sign_approvals()
            row += 1
        return 0

    cdef int refuse(self, int64_t ts) except -1:
        cdef event_t row
        cdef int k
        memset(&row, 0, sizeof(event_t))
        row.kind = Kind.REJECTED
        row.flags = Flag.F_END
        row.ts = ts
        for k in range(self.n_signed):
            row.a = self.ids[k]
            self.engine.step(&row)
        self.n_signed = 0
        return 0

    def run(self, list messages not None, const int64_t[::1] stamps, int64_t[::1] decided_ns, int64_t[::1] signed_ns):
        """Time each message.

        Parameters
        ----------
        messages : list of bytes
        stamps : array of int64
            Local stamp of each, ns.
        decided_ns : array of int64
            Filled with the time from bytes to orders approved, 0 for a message that leads to none.
        signed_ns : array of int64
            Filled with the time from bytes to the last signed order, or to knowing that there is none.

        Returns
        -------
        list of list of bytes
            The signed orders of each message.
        """
        cdef int64_t started
        cdef Py_ssize_t k
        cdef int order
        cdef list asked = []
        for k in range(len(messages)):
            self.decided_ns = 0
            started = clock_ns()
            self.decide(<bytes> messages[k], stamps[k])
            signed_ns[k] = clock_ns() - started
            decided_ns[k] = self.decided_ns - started if self.decided_ns else 0
            asked.append([self.signed[order][:self.lengths[order]] for order in range(self.n_signed)])
            self.refuse(stamps[k])
        return asked
