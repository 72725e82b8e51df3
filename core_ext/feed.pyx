"""Hear the frames of a WebSocket, and write orders to one."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from core_ext.text cimport put, put_integer
from core_ext.types cimport Instruments
from core_ext.wire cimport ORDER_BYTES, Approval, Signer

cdef enum:
    MOST_METHOD = 24


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
    """

    def __init__(self, Signer signer not None, Instruments instruments not None):
        self.signer = signer
        self.instruments = instruments

    def lead(self, WSTransport transport):
        """Let requests leave over a connection from now on.

        Parameters
        ----------
        transport : WSTransport or None
            None: nothing leaves.
        """
        self.transport = transport

    def order(self, uint64_t number, bytes method not None, Approval approval not None, int64_t stamp_ms):
        """Sign what risk has approved, compare the bytes with what was approved (R32), and write them.

        Parameters
        ----------
        number : int
            Of the request: its answer bears it.
        method : bytes
            Name of the call.
        approval : Approval
        stamp_ms : int
            When it leaves, ms UTC.

        Returns
        -------
        bool
            False if it does not say what was approved; then nothing has left.

        Raises
        ------
        ConnectionError
            If there is no connection.
        """
        cdef Py_ssize_t n = self.signer.sign_order(&approval.order, self.instruments, stamp_ms, self.text)
        if n == 0:
            return False
        self.write(number, method, self.text, n)
        return True

    def request(self, uint64_t number, bytes method not None, bytes text not None):
        """Write a request whose text is signed.

        Raises
        ------
        ConnectionError
            If there is no connection.
        ValueError
            If the text is longer than any that the signer makes.
        """
        if len(text) > ORDER_BYTES:
            raise ValueError(f"a request of {len(text)} bytes")
        self.write(number, method, text, len(text))

    cdef Py_ssize_t write(self, uint64_t number, bytes method, const char* text, Py_ssize_t n) except -1:
        cdef char* begin = self.frame + HEAD_BYTES
        cdef char* out = begin
        cdef Py_ssize_t length = len(method)
        if length > MOST_METHOD:
            raise ValueError(f"a method of {length} bytes")
        if self.transport is None:
            raise ConnectionError("no connection")
        out = put_integer(put(out, b'{"id":'), number)
        out = put(out, b',"method":"')
        memcpy(out, <const char*> method, length)
        out = put_word(put(out + length, b'","params":{"'), text, n)
        out = put(out, b'"}}')
        self.transport.send_reuse_external_buffer(WSMsgType.TEXT, begin, out - begin)
        return out - begin
