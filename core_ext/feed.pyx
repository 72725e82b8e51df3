"""Hear the frames of a WebSocket, and write orders to one."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from core_ext.budget cimport Allowance
from core_ext.text cimport put, put_integer
from core_ext.types cimport Instruments, Kind
from core_ext.wire cimport Request, Signer

cdef enum:
    HEAD_OF_STREAM = 11        # `{"stream":"`
    WEIGHT = 1                 # of a cancel, and of a question
    # Why a request has not left.
    LEFT = 0
    OVER_BUDGET = 102
    NOT_CONNECTED = 103
    NOT_AS_APPROVED = 106


cdef inline const char* method_of(Request request) noexcept:
    # The call that takes it. A question about a conditional order has none.
    cdef bint algo = request.conditional
    if request.code == Kind.ORDER:
        return b"algoOrder.place" if algo else b"order.place"
    if request.code == Kind.AMEND:
        return b"order.modify"
    if request.code == Kind.CANCEL:
        return b"algoOrder.cancel" if algo else b"order.cancel"
    return b"order.status"


cdef inline char* put_word(char* out, const char* p, Py_ssize_t n) noexcept nogil:
    # A signed text as the members of an object: every value a string. No value holds a sign that JSON would escape.
    cdef Py_ssize_t k
    for k in range(n):
        if p[k] == 38:             # &
            out = put(out, b'","')
        elif p[k] == 61:           # =
            out = put(out, b'":"')
        else:
            out[0] = p[k]
            out += 1
    return out


cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC


cdef class Clock:
    """The exchange's time by a monotonic clock of ours.

    Parameters
    ----------
    base_ns : int
        Wall time less monotonic time, ns.
    mono_ns : callable or None
        The monotonic clock; None for the system's.

    Attributes
    ----------
    offset_ns : int
        Our wall time less the exchange's, ns.
    """

    def __init__(self, int64_t base_ns, mono_ns=None):
        self.base_ns = base_ns
        self.mono = mono_ns

    cdef int64_t read(self) except? -1:
        cdef timespec t
        if self.mono is not None:
            return self.mono()
        clock_gettime(CLOCK_MONOTONIC, &t)
        return <int64_t> t.tv_sec * 1000000000 + t.tv_nsec

    def now_ns(self):
        """Return the exchange's time, ns UTC; it never goes back."""
        self.last_ns = max(self.last_ns, self.base_ns + self.read() - self.offset_ns)
        return self.last_ns

    def request_ms(self):
        """Return the stamp that a request should bear, ms: the best that is known, even where that goes back."""
        return (self.base_ns + self.read() - self.offset_ns) // 1000000


cdef class Stream:
    """One stream: who delivers it, and when it was last heard.

    Parameters
    ----------
    name, symbol, kind : str

    Attributes
    ----------
    is_book : bool
    connection, next : Listener or None
        Who delivers it, and who will.
    handover : object
        Of its passing from one to the other; None while it does not.
    heard_s : float
        0.0 before it was heard.
    is_stale : bool
    last : bytes
        Of a book, its newest message.
    """

    def __init__(self, str name not None, str symbol not None, str kind not None):
        self.name = name
        self.symbol = symbol
        self.kind = kind
        self.is_book = kind == "book"
        self.last = b""


@cython.final
cdef class Switch:
    """Hands on what a connection brings of the streams that it delivers, while nothing is to be asked of it.

    Parameters
    ----------
    streams : dict of bytes to Stream
        By their names.
    wanted : set of str
        Symbols whose next message of the book is not only to be handed on.
    sink : callable
        Given (stamp, message).
    stop : callable
        Called when the sink raises, before anything else is handed on.
    now_ns : callable
        Stamps a message.
    now_s : callable
        Says when a stream was heard.
    """

    def __init__(self, dict streams not None, set wanted not None, sink not None, stop not None, now_ns not None,
                 now_s not None):
        self.streams = streams
        self.wanted = wanted
        self.sink = sink
        self.stop = stop
        self.now_ns = now_ns
        self.now_s = now_s

    cdef bint take(self, Listener listener, const char* p, Py_ssize_t n) except -1:
        # Whether it was handed on; if not, nothing has happened.
        cdef const char* end
        cdef Stream stream
        if n < HEAD_OF_STREAM or memcmp(p, b'{"stream":"', HEAD_OF_STREAM) != 0:
            return False
        end = <const char*> memchr(p + HEAD_OF_STREAM, 34, n - HEAD_OF_STREAM)
        if end == NULL:
            return False
        stream = self.streams.get(p[HEAD_OF_STREAM:end - p])
        if stream is None or stream.connection is not listener or stream.handover is not None:
            return False
        if stream.is_book and stream.symbol in self.wanted:
            return False
        self.deliver(stream, p[:n])
        return True

    cpdef deliver(self, Stream stream, bytes message):
        """Hand on a message of a stream, stamped now.

        Parameters
        ----------
        stream : Stream
        message : bytes
        """
        cdef bint is_taken = False
        stream.heard_s = self.now_s()
        if stream.is_book:
            stream.last = message
        try:
            self.sink(self.now_ns(), message)
            is_taken = True
        finally:
            if not is_taken:
                self.stop()


cdef class Listener(WSListener):
    """One end of a WebSocket; whoever derives from it hears its messages.

    Parameters
    ----------
    most_bytes : int
        A longer message is not heard.

    Attributes
    ----------
    is_parted : bool
        Whether a message that comes in parts is under way; whoever puts the parts together says so.
    switch : Switch or None
        What may take a message before anybody else hears it.

    Notes
    -----
    ``on_message`` is given each text that came whole in one frame, as bytes; ``on_other_frame`` every other frame.
    """

    def __init__(self, Py_ssize_t most_bytes):
        super().__init__()
        self.most_bytes = most_bytes

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """Hear a frame; pings are answered by picows."""
        if (frame.msg_type == WSMsgType.TEXT and frame.fin and not self.is_parted
                and frame.payload_size <= self.most_bytes):
            if self.switch is None or not self.switch.take(self, frame.payload_ptr, frame.payload_size):
                self.on_message(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))
        else:
            self.on_other_frame(transport, frame)

    def on_message(self, bytes message not None):
        """Hear a message."""

    def on_other_frame(self, WSTransport transport, WSFrame frame):
        """Hear a frame that is no whole message."""


@cython.final
cdef class Outlet:
    """Where requests leave: one connection of the request socket.

    Parameters
    ----------
    signer : Signer
        Of the account, with the name of its key.
    instruments : Instruments
        Those of the gate that approves.
    budget : Allowance
    """

    def __init__(self, Signer signer not None, Instruments instruments not None, Allowance budget not None):
        self.signer = signer
        self.instruments = instruments
        self.budget = budget

    def lead(self, WSTransport transport):
        """Let requests leave over a connection from now on.

        Parameters
        ----------
        transport : WSTransport or None
            None: nothing leaves.
        """
        self.transport = transport

    def next_number(self):
        """Return a number for a request that somebody else makes: no answer bears it twice."""
        self.number += 1
        return self.number

    def leave(self, list requests not None, int64_t stamp_ms, int64_t now_ns):
        """Let what one event led to leave, one after the other, up to what cannot, or is a question.

        Parameters
        ----------
        requests : list of Request
            Those that have left have a number.
        stamp_ms : int
            When they leave, ms UTC.
        now_ns : int
            The budget's time.
        """
        cdef Request request
        for request in requests:
            if request.code == Kind.QUERY or self.dispatch(request, stamp_ms, now_ns) != LEFT:
                return

    def rehearse(self, list requests not None, int64_t stamp_ms, int64_t now_ns):
        """Do everything that `leave` does with orders but write, count and number them."""
        cdef Request request
        cdef Py_ssize_t n
        for request in requests:
            if request.approval is not None and self.budget.may(0, 1, request.gives_way(), now_ns):
                n = self.signer.sign_order(&request.approval.order, self.instruments, stamp_ms, self.text)
                self.framed(self.number, method_of(request), self.text, n)

    def send(self, Request request not None, int64_t stamp_ms, int64_t now_ns):
        """Let a request leave.

        Parameters
        ----------
        request : Request
        stamp_ms, now_ns : int
            As of `leave`.

        Returns
        -------
        int
            0 if it has left, otherwise why it has not: 102 for a limit of the exchange's, 103 without a connection, 106
            if it does not say what was approved (R32).
        """
        return self.dispatch(request, stamp_ms, now_ns)

    cdef int dispatch(self, Request request, int64_t stamp_ms, int64_t now) except -1:
        # The bytes of an order are made here, compared with what was approved, and written, once.
        cdef bint opens = request.is_order()
        cdef int64_t weight = 0 if opens else WEIGHT, orders = 1 if opens else 0
        cdef Py_ssize_t n = 0
        if self.transport is None:
            return NOT_CONNECTED
        if not self.budget.may(weight, orders, request.gives_way(), now):
            return OVER_BUDGET
        if not opens:
            n = self.signer.sign_reference(
                request.client_id, request.symbol, self.instruments, stamp_ms, request.conditional, self.text)
        elif request.approval is not None:
            n = self.signer.sign_order(&request.approval.order, self.instruments, stamp_ms, self.text)
        if n == 0:
            return NOT_AS_APPROVED
        self.number += 1
        self.write(self.number, method_of(request), self.text, n)
        self.budget.take(weight, orders, now)
        request.number = self.number
        request.weight_sent = self.budget.weight.sent
        request.orders_sent = self.budget.orders_10s.sent
        return LEFT

    cdef int write(self, uint64_t number, const char* method, const char* text, Py_ssize_t n) except -1:
        cdef Py_ssize_t size = self.framed(number, method, text, n)
        self.transport.send_reuse_external_buffer(WSMsgType.TEXT, self.frame + HEAD_BYTES, size)
        return 0

    cdef Py_ssize_t framed(self, uint64_t number, const char* method, const char* text, Py_ssize_t n) noexcept:
        cdef char* begin = self.frame + HEAD_BYTES
        cdef char* out = put_integer(put(begin, b'{"id":'), number)
        out = put(put(put(out, b',"method":"'), method), b'","params":{"')
        return put(put_word(out, text, n), b'"}}') - begin
