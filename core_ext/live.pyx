"""The live run."""
cimport cython
from libc.stdint cimport int64_t, uint64_t

from core_ext.driver cimport Run
from core_ext.engine cimport Engine
from core_ext.journal cimport JournalWriter
from core_ext.orders cimport order_t
from core_ext.types cimport Flag, Kind, Rows, event_t, is_conditional
from core_ext.wire cimport Approval, Request, Scanner

import heapq

from core_ext.types import Kind as KindFace
from core_ext.types import Status as StatusFace

cdef uint64_t LATEST_NS = <uint64_t> 1 << 62
cdef dict KINDS = {int(kind): kind for kind in (KindFace.ORDER, KindFace.AMEND, KindFace.CANCEL, KindFace.QUERY)}


@cython.final
cdef class Live(Run):
    """A run on a wire.

    Parameters
    ----------
    engine : Engine
    scanner : Scanner
    journal : JournalWriter
    send : callable
        Takes what one event led to, a list of Request. It must not call back: answers, and what could not be sent,
        come back later as rows.
    sample_ns : int
        Spacing of the equity curve.
    """

    def __init__(self, Engine engine not None, Scanner scanner not None, JournalWriter journal not None,
                 object send not None, int64_t sample_ns):
        if sample_ns <= 0:
            raise ValueError("the sampling interval is positive")
        self.engine = engine
        self.scanner = scanner
        self.journal = journal
        self.send = send
        self.sample_ns = sample_ns
        self.requests = []
        self.timers = []

    # ------------------------------------------------------------------ events

    cdef int market(self, const event_t* row, int source, int64_t index) except -1:
        if row.ts > self.now:
            self.now = row.ts
        self.note_rows(1, source, index)
        self.engine.step(row)
        if self.engine.desk.outbox.size:
            self.drain()
        if row.flags & Flag.F_END and row.ts >= self.next_sample:
            self.sample(row.ts)
        return 0

    cdef int levels(self, const event_t* rows, Py_ssize_t n, int source, int64_t index) except -1:
        self.note_rows(n, source, index)
        return self.engine.step_levels(rows, n)

    cdef int step(self, const event_t* row) except -1:
        # What is not in the recording is in the journal itself.
        if row.ts > self.now:
            self.now = row.ts
        self.note(row)
        self.engine.step(row)
        return self.drain() if self.engine.desk.outbox.size else 0

    cdef int note(self, const event_t* row) except -1:
        # A journal that cannot be written ends; the run goes on as far as closing what is open needs it.
        if self.failure is not None:
            return 0
        try:
            self.close_span()
            self.journal.append(row)
        except OSError as error:
            self.failure = error
        return 0

    cdef int drain(self) except -1:
        cdef Rows outbox = self.engine.desk.outbox
        cdef event_t* row
        cdef Py_ssize_t k
        cdef int approval = 0
        if self.engine.desk.n_approvals and self.started_ns:
            self.measure()
        for k in range(outbox.size):
            row = outbox.data + k
            self.note(row)
            if row.kind == Kind.ORDER or row.kind == Kind.AMEND:
                self.ask(row, approval)
                approval += 1
            elif row.kind == Kind.CANCEL or row.kind == Kind.QUERY:
                self.ask(row, -1)
            elif row.kind == Kind.SET_TIMER:
                heapq.heappush(self.timers, (row.b, self.count, row.a))
                self.count += 1
            elif row.kind == Kind.ALARM:
                self.alarms[row.a & 63] += 1
        return 0

    cdef int ask(self, const event_t* row, int approval) except -1:
        cdef Approval approved = None
        cdef const order_t* order = self.engine.orders.find(row.a)
        if approval >= 0:
            approved = Approval()
            approved.order = self.engine.desk.approvals[approval]
        self.requests.append(Request(KINDS[row.kind], <uint64_t> row.a, row.symbol,
                                     order != NULL and is_conditional(order.type) and not order.triggered,
                                     order != NULL and <bint> order.reduce_only, approved))
        return 0

    cdef int leave(self) except -1:
        # The journal first: what it cannot hold does not leave, unless it only takes risk away.
        if not self.requests:
            return 0
        batch, self.requests = self.requests, []
        if self.failure is None:
            try:
                self.close_span()
                self.journal.write()
            except OSError as error:
                self.failure = error
        self.send(batch)
        if self.failure is None:  # hashes and anchors have time
            try:
                self.journal.settle()
            except OSError as error:
                self.failure = error
        return 0

    # ------------------------------------------------------------------ Python face

    def message(self, bytes payload not None, int64_t ts):
        """Feed one market message, and let what it leads to leave.

        Parameters
        ----------
        payload : bytes
        ts : int
            When it came in, ns.

        Returns
        -------
        Status
        """
        cdef int status
        if self.timers and self.timers[0][0] <= ts:
            self.wake(ts)
        status = self.hear(payload, ts)
        self.leave()
        return StatusFace(status)

    def tell(self, rows not None):
        """Feed rows that no market stream brings: answers, account events, rules of symbols, gates.

        Parameters
        ----------
        rows : array of EVENT_DTYPE
            A stamp before the run's newest becomes the newest.

        Raises
        ------
        ValueError
            If a row's stamp cannot be; none of the rows is taken.
        """
        cdef Rows source = Rows(rows)
        cdef Py_ssize_t k
        for k in range(source.size):
            if <uint64_t> source.data[k].ts > LATEST_NS:
                raise ValueError(f"row {k} has no stamp that can be: {source.data[k].ts} ns")
        self.started_ns = 0
        for k in range(source.size):
            source.data[k].ts = max(source.data[k].ts, self.now)
            self.step(source.data + k)
        self.leave()

    def control(self, int kind, int64_t ts, words=(), int symbol=0):
        """Put an event that neither market nor venue brings (RUN, COMMAND, GATE) into the stream."""
        cdef event_t row = self.control_row(kind, max(ts, self.now), words, symbol)
        self.started_ns = 0
        self.step(&row)
        self.leave()

    def wake(self, int64_t ts):
        """Let time pass: deliver the wake-ups that are due.

        Parameters
        ----------
        ts : int
            Now, ns.
        """
        cdef event_t row
        while self.timers and self.timers[0][0] <= ts:
            due, _, timer = heapq.heappop(self.timers)
            row = self.control_row(Kind.TIMER, max(ts, self.now), (timer, due), 0)
            self.started_ns = 0
            self.step(&row)
        self.leave()

    @property
    def next_due(self):
        """Stamp of the next wake-up, ns; None while nothing waits."""
        return self.timers[0][0] if self.timers else None

    def finish(self):
        """Seal the journal with the state's hash; return it.

        Raises
        ------
        OSError
            If the journal can no longer be written.
        """
        if self.failure is not None:
            raise self.failure
        return self.seal()
