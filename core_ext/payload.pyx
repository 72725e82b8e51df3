"""Write what a venue publishes about one symbol: depth diffs, touches, trades."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t

from core_ext.text cimport DECIMAL_BYTES, put, put_n, put_signed, put_steps
from core_ext.types cimport Flag, event_t

cdef enum:
    FIXED_BYTES = 512                       # of a message without its levels and names
    LEVEL_BYTES = 2 * DECIMAL_BYTES + 16


@cython.final
cdef class PayloadWriter:
    """Writes the messages of one symbol's streams.

    Parameters
    ----------
    symbol, pair : str
    tick_e8, lot_e8 : int
        Price of a tick and quantity of a lot, 1e-8.
    price_decimals, lot_decimals : int
        Decimals of a price and a quantity: at most 8, and as many as tick and lot have at least.

    Raises
    ------
    ValueError
        If a step is not positive, or finer than its decimals.

    Examples
    --------
    >>> PayloadWriter("BTCUSDT", "BTCUSDT", 10_000_000, 100_000, 2, 3).trade(7, 1, 600_000, 5, True, False)
    b'{"e":"trade","E":7,"T":7,"s":"BTCUSDT","t":1,"p":"60000.00","q":"0.005","X":"MARKET","m":true}'
    """

    def __cinit__(self, *args):
        self.text = NULL

    def __init__(self, str symbol not None, str pair not None, int64_t tick_e8, int64_t lot_e8,
                 int price_decimals, int lot_decimals):
        self.symbol = f',"s":"{symbol}"'.encode()
        self.pair = f',"ps":"{pair}"'.encode()
        self.tick_units = units_of(tick_e8, price_decimals)
        self.lot_units = units_of(lot_e8, lot_decimals)
        self.price_decimals = price_decimals
        self.lot_decimals = lot_decimals

    def __dealloc__(self):
        PyMem_Free(self.text)

    cdef char* begin(self, Py_ssize_t levels) except NULL:
        # Room for a message with so many levels.
        cdef Py_ssize_t room = FIXED_BYTES + len(self.symbol) + len(self.pair) + levels * LEVEL_BYTES
        cdef char* text
        if room > self.room:
            text = <char*> PyMem_Realloc(self.text, room)
            if text == NULL:
                raise MemoryError(f"a message of {levels} levels")
            self.text = text
            self.room = room
        return self.text

    cdef bytes end(self, const char* p):
        return PyBytes_FromStringAndSize(self.text, p - self.text)

    cdef char* put_price(self, char* out, int64_t ticks) noexcept nogil:
        return put_steps(out, ticks, self.tick_units, self.price_decimals)

    cdef char* put_quantity(self, char* out, int64_t lots) noexcept nogil:
        return put_steps(out, lots, self.lot_units, self.lot_decimals)

    cdef char* put_side(self, char* out, const event_t* rows, Py_ssize_t n, int side) noexcept nogil:
        cdef char* first = put(out, b"[")
        cdef Py_ssize_t k
        out = first
        for k in range(n):
            if rows[k].flags & Flag.F_SELL == side:
                out = self.put_price(put(out, b'["'), rows[k].a)
                out = put(self.put_quantity(put(out, b'","'), rows[k].b), b'"],')
        return put(out - 1 if out > first else out, b"]")

    def depth(self, int64_t event, int64_t stamp, int64_t first, int64_t last, int64_t before, bytes levels not None):
        """Return a ``depthUpdate``.

        Parameters
        ----------
        event, stamp : int
            ``E`` and ``T``, ms.
        first, last, before : int
            ``U``, ``u`` and ``pu``.
        levels : bytes
            LEVEL rows, in the order in which they are published; bids and asks may be mixed.
        """
        cdef const event_t* rows = <const event_t*> <const char*> levels
        cdef Py_ssize_t n = len(levels) // sizeof(event_t)
        cdef char* p = self.begin(n)
        p = put_signed(put(p, b'{"e":"depthUpdate","E":'), event)
        p = put_signed(put(p, b',"T":'), stamp)
        p = put_n(p, self.symbol, len(self.symbol))
        p = put_signed(put(p, b',"U":'), first)
        p = put_signed(put(p, b',"u":'), last)
        p = put_signed(put(p, b',"pu":'), before)
        p = self.put_side(put(p, b',"b":'), rows, n, 0)
        p = self.put_side(put(p, b',"a":'), rows, n, Flag.F_SELL)
        p = put_n(p, self.pair, len(self.pair))
        return self.end(put(p, b',"st":1}'))

    def touch(self, int64_t event, int64_t stamp, int64_t last, int64_t bid, int64_t bid_lots, int64_t ask,
              int64_t ask_lots):
        """Return a ``bookTicker``.

        Parameters
        ----------
        event, stamp : int
            ``E`` and ``T``, ms.
        last : int
            ``u``.
        bid, bid_lots, ask, ask_lots : int
            Ticks and lots, 0 for an empty side.
        """
        cdef char* p = self.begin(0)
        p = put_signed(put(p, b'{"e":"bookTicker","u":'), last)
        p = put_signed(put(p, b',"E":'), event)
        p = put_signed(put(p, b',"T":'), stamp)
        p = put_n(p, self.symbol, len(self.symbol))
        p = put_n(p, self.pair, len(self.pair))
        p = self.put_price(put(p, b',"b":"'), bid)
        p = self.put_quantity(put(p, b'","B":"'), bid_lots)
        p = self.put_price(put(p, b'","a":"'), ask)
        p = self.put_quantity(put(p, b'","A":"'), ask_lots)
        return self.end(put(p, b'","st":1}'))

    def trade(self, int64_t stamp, int64_t number, int64_t ticks, int64_t lots, bint sells, bint insured):
        """Return a ``trade``.

        Parameters
        ----------
        stamp : int
            ``E`` and ``T``, ms.
        number, ticks, lots : int
            Trade id, price and quantity.
        sells : bool
            Whether the taker sold.
        insured : bool
            Whether it is the insurance fund's and no trade of the market.
        """
        cdef char* p = self.begin(0)
        p = put_signed(put(p, b'{"e":"trade","E":'), stamp)
        p = put_signed(put(p, b',"T":'), stamp)
        p = put_n(p, self.symbol, len(self.symbol))
        p = put_signed(put(p, b',"t":'), number)
        p = self.put_price(put(p, b',"p":"'), ticks)
        p = self.put_quantity(put(p, b'","q":"'), lots)
        p = put(put(p, b'","X":"'), b"INSURANCE_FUND" if insured else b"MARKET")
        return self.end(put(put(p, b'","m":'), b"true}" if sells else b"false}"))


cdef int64_t units_of(int64_t step_e8, int decimals) except -1:
    cdef int64_t unit = 1
    if not 0 <= decimals <= 8:
        raise ValueError(f"a number has 0 to 8 decimals, not {decimals}")
    for _ in range(8 - decimals):
        unit *= 10
    if step_e8 <= 0 or step_e8 % unit:
        raise ValueError(f"a step of {step_e8}e-8 does not fit into {decimals} decimals")
    return step_e8 // unit
