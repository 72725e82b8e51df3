"""The event record, the enumerations and the instruments of a run, with their Python face."""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcmp, memcpy, memset

import numpy as np

EVENT_DTYPE = np.dtype(
    [("kind", "u1"), ("flags", "u1"), ("symbol", "<u2"), ("lag_us", "<i4"), ("ts", "<i8"), ("a", "<i8"),
     ("b", "<i8"), ("c", "<i8"), ("d", "<i8"), ("e", "<i8"), ("f", "<i8")]
)

E8 = 100_000_000
NO_SLOT = 0xFFFF
cdef object NO_ROWS = np.frombuffer(b"", dtype=EVENT_DTYPE)      # what cannot be written to may be everybody's
MAX_SYMBOLS = 128
MAX_BRACKETS = 16


@cython.final
cdef class Rows:
    """A growable run of 64-byte rows.

    Parameters
    ----------
    rows : array_like of EVENT_DTYPE, optional
        Rows to start with; they are copied.
    """

    def __cinit__(self, rows=None):
        self.data = NULL
        self.size = 0
        self.room = 0
        self.exports = 0

    def __init__(self, rows=None):
        cdef Py_buffer raw
        if rows is None:
            return
        if getattr(rows, "dtype", None) is not EVENT_DTYPE or not rows.flags.c_contiguous:
            rows = np.ascontiguousarray(rows, dtype=EVENT_DTYPE)
        PyObject_GetBuffer(rows, &raw, PyBUF_SIMPLE)
        try:
            if raw.len:
                self.reserve(raw.len // sizeof(event_t))
                memcpy(self.data, raw.buf, raw.len)
                self.size = raw.len // sizeof(event_t)
        finally:
            PyBuffer_Release(&raw)

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int reserve(self, Py_ssize_t rows) except -1:
        cdef Py_ssize_t room
        cdef event_t* data
        if self.size + rows <= self.room:
            return 0
        if self.exports:
            raise BufferError("rows cannot grow while a NumPy view of them is alive")
        room = max(1024, self.room)
        while room < self.size + rows:
            room *= 2
        data = <event_t*> PyMem_Realloc(self.data, room * sizeof(event_t))
        if data == NULL:
            raise MemoryError(f"{room} rows of 64 bytes")
        self.data = data
        self.room = room
        return 0

    cdef event_t* push(self) except NULL:
        cdef event_t* row
        self.reserve(1)
        row = self.data + self.size
        memset(row, 0, sizeof(event_t))
        self.size += 1
        return row

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        self.exports += 1
        buffer.buf = <char*> self.data if self.data != NULL else <char*> &self.size
        buffer.len = self.size * sizeof(event_t)
        buffer.itemsize = 1
        buffer.readonly = 1
        buffer.ndim = 1
        buffer.format = b"B"
        buffer.shape = &buffer.len
        buffer.strides = &buffer.itemsize
        buffer.suboffsets = NULL
        buffer.internal = NULL
        buffer.obj = self

    def __releasebuffer__(self, Py_buffer* buffer):
        self.exports -= 1

    def array(self):
        """Return a copy of the rows as a structured NumPy array of EVENT_DTYPE."""
        if self.size == 0:
            return NO_ROWS
        return np.frombuffer(bytes(memoryview(self)), dtype=EVENT_DTYPE)

    def clear(self):
        """Forget the rows, keep the memory."""
        self.size = 0


cdef unsigned int name_hash(const char* name, Py_ssize_t n) noexcept nogil:
    cdef unsigned int h = 2166136261
    cdef Py_ssize_t i
    for i in range(n):
        h = (h ^ <unsigned char> name[i]) * 16777619
    return h ^ (h >> 15)


cdef int fill_bracket(bracket_t* out, row, str symbol, int64_t expected_floor) except -1:
    out.floor_e8, out.cap_e8, out.mmr_e8, out.cum_e8, out.max_leverage = row
    if out.floor_e8 != expected_floor or out.cap_e8 <= out.floor_e8:
        raise ValueError(f"{symbol}: leverage brackets are not contiguous at {out.floor_e8 / E8:g} USDT")
    if not 0 < out.mmr_e8 < E8 or out.cum_e8 < 0 or not 1 <= out.max_leverage <= 200:
        raise ValueError(f"{symbol}: a leverage bracket is out of range at {out.floor_e8 / E8:g} USDT")
    return 0


cdef int fill_instrument(instrument_t* out, dict spec) except -1:
    cdef int i
    cdef str symbol = spec["symbol"]
    name = symbol.encode("ascii")
    if not 0 < len(name) < 32:
        raise ValueError(f"{symbol}: a symbol has 1 to 31 characters")
    memset(out, 0, sizeof(instrument_t))
    memcpy(out.name, <const char*> name, len(name))
    spec = {"tick_step": 1, "lot_step": 1} | spec
    for field in ("tick_e8", "lot_e8", "min_lots", "max_lots", "max_market_lots", "tick_step", "lot_step"):
        if not 0 < spec[field] < 1 << 62:
            raise ValueError(f"{symbol}: {field} must be positive, not {spec[field]}")
    out.tick_e8 = spec["tick_e8"]
    out.lot_e8 = spec["lot_e8"]
    if spec["tick_e8"] * spec["lot_e8"] % E8:
        raise ValueError(f"{symbol}: one tick times one lot is finer than 1e-8 of the quote coin")
    out.unit_e8 = spec["tick_e8"] * spec["lot_e8"] // E8
    out.min_ticks = spec["min_ticks"]
    out.max_ticks = spec["max_ticks"]
    out.min_lots = spec["min_lots"]
    out.max_lots = spec["max_lots"]
    out.max_market_lots = spec["max_market_lots"]
    out.min_notional_e8 = spec["min_notional_e8"]
    out.up_e8 = spec["up_e8"]
    out.down_e8 = spec["down_e8"]
    out.take_bound_e8 = spec["take_bound_e8"]
    out.liquidation_fee_e8 = spec["liquidation_fee_e8"]
    out.maker_fee_e8 = spec["maker_fee_e8"]
    out.taker_fee_e8 = spec["taker_fee_e8"]
    out.leverage = spec["leverage"]
    out.max_orders = spec["max_orders"]
    out.collar_e8 = spec["collar_e8"]
    out.tick_step = spec["tick_step"]
    out.lot_step = spec["lot_step"]
    out.tradable = spec["tradable"]
    out.price_decimals, out.price_mantissa = decimals_of(out.tick_e8)
    out.lot_decimals, out.lot_mantissa = decimals_of(out.lot_e8)
    if not 0 < len(spec["brackets"]) <= MAX_BRACKETS:
        raise ValueError(f"{symbol}: 1 to {MAX_BRACKETS} leverage brackets are needed")
    out.n_brackets = len(spec["brackets"])
    for i, row in enumerate(spec["brackets"]):
        fill_bracket(&out.brackets[i], row, symbol, out.brackets[i - 1].cap_e8 if i else 0)
    return 0


def decimals_of(step_e8: int) -> tuple[int, int]:
    """Return (decimals, mantissa) with ``step = mantissa / 10**decimals`` and decimals as few as possible."""
    decimals, mantissa = 8, step_e8
    while decimals and mantissa % 10 == 0:
        decimals, mantissa = decimals - 1, mantissa // 10
    return decimals, mantissa


@cython.final
cdef class Instruments:
    """The instruments of a run, by index.

    Parameters
    ----------
    specs : sequence of dict
        One a symbol, with the integer fields of ``instrument_t`` (``*_e8``: eight decimals),
        ``symbol`` and ``brackets`` as rows of (floor_e8, cap_e8, mmr_e8, cum_e8, max_leverage).

    Raises
    ------
    ValueError
        If a field is missing, out of range, or the brackets are not contiguous.
    """

    def __cinit__(self, specs):
        self.data = NULL
        self.size = 0

    def __init__(self, specs):
        cdef unsigned int slot
        cdef int i
        cdef bytes name
        if not 0 < len(specs) <= MAX_SYMBOLS:
            raise ValueError(f"a run has 1 to {MAX_SYMBOLS} symbols, not {len(specs)}")
        self.data = <instrument_t*> PyMem_Realloc(NULL, len(specs) * sizeof(instrument_t))
        if self.data == NULL:
            raise MemoryError()
        memset(self.slots, 0xFF, sizeof(self.slots))
        self.names = []
        for i, spec in enumerate(specs):
            fill_instrument(&self.data[i], dict(spec))
            name = spec["symbol"].encode("ascii")
            if self.find(<const char*> name, len(name)) >= 0:
                raise ValueError(f"{spec['symbol']} is listed twice")
            slot = name_hash(<const char*> name, len(name)) & 255
            while self.slots[slot] != NO_SLOT:
                slot = (slot + 1) & 255
            self.slots[slot] = i
            self.names.append(spec["symbol"])
            self.size = i + 1

    def __dealloc__(self):
        PyMem_Free(self.data)

    def __len__(self):
        return self.size

    cdef int find(self, const char* name, Py_ssize_t n) noexcept nogil:
        cdef unsigned int slot = name_hash(name, n) & 255
        cdef int i
        if n >= 32:
            return -1
        while self.slots[slot] != 0xFFFF:
            i = self.slots[slot]
            if memcmp(self.data[i].name, name, n) == 0 and self.data[i].name[n] == 0:
                return i
            slot = (slot + 1) & 255
        return -1

    def index(self, str symbol):
        """Return the index of a symbol.

        Raises
        ------
        KeyError
            If the run does not have it.
        """
        name = symbol.encode()
        cdef int i = self.find(<const char*> name, len(name))
        if i < 0:
            raise KeyError(symbol)
        return i

    def spec(self, int i):
        """Return the fields of instrument ``i`` as integers."""
        if not 0 <= i < self.size:
            raise IndexError(i)
        fields = dict(self.data[i])
        fields["name"] = self.names[i]
        fields["brackets"] = fields["brackets"][: self.data[i].n_brackets]
        return fields

    def revise(self, int i, **fields):
        """Change fields of instrument ``i``, as the exchange does while it is open: brackets, fees.

        Raises
        ------
        ValueError
            If what comes out is no instrument; then nothing has changed.
        """
        cdef instrument_t revised
        spec = self.spec(i)
        spec["symbol"] = self.names[i]
        spec["brackets"] = [tuple(row.values()) for row in spec["brackets"]]
        fill_instrument(&revised, {**spec, **fields})
        self.data[i] = revised
