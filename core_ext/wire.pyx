"""Scan the exchange's messages into rows; encode approved orders."""
cimport cython
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset, strlen

from core_ext.fixed cimport (
    BAD, MAX_STEPS, mul, plain_end, prefetch, read_decimal, read_decimal_like, read_decimal_soon, steps,
)
from core_ext.sha256 cimport hmac_hex, hmac_key, hmac_t, sha256_of, wipe
from core_ext.text cimport put, put_decimal, put_integer
from core_ext.types cimport (
    Flag, Instruments, Kind, OrderType, PositionSide, PriceMatch, Rows, SelfTrade, Side, Status, Term, TimeInForce,
    approved_t, event_t, instrument_t, is_conditional,
)

import re

import orjson

from core_ext.types import Reason as ReasonFace
from core_ext.types import Status as StatusFace

cdef int64_t MAX_VALUE_E8 = 1LL << 60   # prices that are on no tick
cdef int64_t MS_TO_NS = 1000000
cdef int64_t MAX_STAMP_MS = 9223372036854           # 2**63 ns
cdef int64_t MINUTE_NS = 60000000000

# ---------------------------------------------------------------------------------- keys

cdef enum:
    PU = 27
    PS = 28
    ST = 29
    NQ = 30
    AP = 31
    LAST_ID = 59
    BIDS = 60
    ASKS = 61
    SYMBOL = 62
    PAIR = 63


cdef inline int key_bit(const char* key, Py_ssize_t n) noexcept nogil:
    # One-letter keys land on 1..26 and 33..58; the few longer ones on what is left. -1: not ours.
    if n == 1:
        if (65 <= key[0] <= 90) or (97 <= key[0] <= 122):
            return key[0] & 63
        return -1
    if n == 2:
        if key[0] == c"p":
            return PU if key[1] == c"u" else PS if key[1] == c"s" else -1
        if key[0] == c"s" and key[1] == c"t":
            return ST
        if key[0] == c"n" and key[1] == c"q":
            return NQ
        if key[0] == c"a" and key[1] == c"p":
            return AP
        return -1
    if n == 4 and memcmp(key, b"bids", 4) == 0:
        return BIDS
    if n == 4 and memcmp(key, b"asks", 4) == 0:
        return ASKS
    if n == 4 and memcmp(key, b"pair", 4) == 0:
        return PAIR
    if n == 6 and memcmp(key, b"symbol", 6) == 0:
        return SYMBOL
    if n == 12 and memcmp(key, b"lastUpdateId", 12) == 0:
        return LAST_ID
    return -1


cdef uint64_t bits(str keys):
    cdef uint64_t mask = 0
    for key in keys.split():
        name = key.encode()
        mask |= <uint64_t> 1 << key_bit(<const char*> name, len(name))
    return mask


cdef uint64_t ASK_BITS = bits("a asks")
cdef uint64_t DEPTH_NEEDS = bits("e E s U u b a")
cdef uint64_t DEPTH_MAY = bits("e E T s U u pu b a ps st")
cdef uint64_t TOUCH_NEEDS = bits("u s b B a A")
cdef uint64_t TOUCH_MAY = bits("e E T u s ps b B a A st")
cdef uint64_t TRADE_NEEDS = bits("e E s t p q m")
cdef uint64_t TRADE_MAY = bits("e E T s t p q X m M st ps")
cdef uint64_t AGG_NEEDS = bits("e E s a p q f l T m")
cdef uint64_t AGG_MAY = bits("e E s a p q nq f l T m M st ps")
cdef uint64_t MARK_NEEDS = bits("e E s p i r T")
cdef uint64_t MARK_MAY = bits("e E s p ap P i r T st ps")
cdef uint64_t KLINE_NEEDS = bits("e E s k")
cdef uint64_t KLINE_MAY = bits("e E s k st ps")
cdef uint64_t BAR_NEEDS = bits("t T s i o c h l v x")
cdef uint64_t BAR_MAY = bits("t T s i f L o c h l v n x q V Q B")
cdef uint64_t SNAPSHOT_NEEDS = bits("lastUpdateId bids asks")
cdef uint64_t SNAPSHOT_MAY = bits("lastUpdateId E T symbol pair bids asks")

INTERVALS_NS = {
    text: count * unit
    for unit, counts in (
        (60_000_000_000, {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30}),
        (3_600_000_000_000, {"1h": 1, "2h": 2, "4h": 4, "6h": 6, "8h": 8, "12h": 12, "1d": 24, "3d": 72, "1w": 168}),
    )
    for text, count in counts.items()
}

# ---------------------------------------------------------------------------------- scanning


cdef inline const char* skip_spaces(const char* p) noexcept nogil:
    while p[0] == c" ":
        p += 1
    return p


cdef inline const char* plain_string(const char* p, const char* end, text_t* out) noexcept nogil:
    # p is after the opening quote; printable ASCII without escapes only.
    out.p = p
    out.opener = c'"'
    if end - p < 2 or p[1] != c'"' or p[0] == c'"' or p[0] == c"\\" or not 0x20 <= <uint8_t> p[0] < 0x7F:
        p = plain_end(p, end)
        if p >= end or p[0] != c'"':
            return NULL
        out.n = p - out.p
        return p + 1
    out.n = 1                                                    # most keys
    return p + 2


cdef inline const char* plain_integer(const char* p, text_t* out) noexcept nogil:
    # The message ends in a brace, so the run of digits ends inside it; more than 18 may wrap and are refused.
    cdef uint64_t value = 0
    out.p = p
    out.opener = c"0"
    while 48 <= p[0] <= 57:
        value = value * 10 + <uint64_t> (p[0] - 48)
        p += 1
    out.n = p - out.p
    out.value = <int64_t> value
    if out.n == 0 or out.n > 18 or (out.n > 1 and out.p[0] == 48):
        return NULL
    return p


cdef inline const char* literal(const char* p, const char* end, text_t* out) noexcept nogil:
    out.p = p
    out.opener = p[0]
    if end - p > 4 and memcmp(p, b"true", 4) == 0:
        return p + 4
    if end - p > 5 and memcmp(p, b"false", 5) == 0:
        return p + 5
    return NULL


cdef inline int64_t integer(const text_t* v) noexcept nogil:
    return v.value if v.opener == c"0" else BAD


cdef inline int64_t decimal(const text_t* v, int decimals) noexcept nogil:
    # An unsigned decimal that fills its string exactly.
    cdef const char* p = v.p
    cdef int64_t value
    if v.opener != c'"':
        return BAD
    value = read_decimal(&p, decimals)
    return value if p == v.p + v.n else BAD


cdef inline int64_t signed_decimal(const text_t* v, int decimals) noexcept nogil:
    cdef text_t rest = v[0]
    cdef int64_t value
    if v.opener != c'"' or v.n < 2 or v.p[0] != c"-":
        return decimal(v, decimals)
    rest.p += 1
    rest.n -= 1
    value = decimal(&rest, decimals)
    return -value if value != BAD else BAD


cdef inline int64_t most_ticks(const instrument_t* i) noexcept nogil:
    # No price beyond 2**60 at eight decimals, so that every tick has a price.
    return min(MAX_STEPS, MAX_VALUE_E8 // i.tick_e8)


cdef inline int64_t price_of(const text_t* v, const instrument_t* i) noexcept nogil:
    cdef int64_t ticks = steps(decimal(v, i.price_decimals), i.price_mantissa)
    return ticks if 0 < ticks <= most_ticks(i) else BAD


cdef inline int64_t lots_of(const text_t* v, const instrument_t* i) noexcept nogil:
    cdef int64_t lots = steps(decimal(v, i.lot_decimals), i.lot_mantissa)
    return lots if 0 <= lots <= MAX_STEPS else BAD


cdef inline int64_t value_of(const text_t* v) noexcept nogil:
    # A price that is on no tick: mark, index, candle.
    cdef int64_t value = decimal(v, 8)
    return value if 0 < value <= MAX_VALUE_E8 else BAD


cdef const char* scan_levels(const char* p, scan_t* s, const instrument_t* i, uint8_t flags) noexcept nogil:
    # p is after the opening bracket of [["price","quantity"],...].
    cdef event_t* row = s.rows + s.n
    cdef event_t level
    cdef const char* end = s.end
    cdef int64_t ticks, lots
    cdef int whole = 1                                           # digits before the point of the last price
    cdef int price_decimals = i.price_decimals, lot_decimals = i.lot_decimals
    cdef int64_t price_mantissa = i.price_mantissa, lot_mantissa = i.lot_mantissa, most = most_ticks(i)
    p = skip_spaces(p)
    if p[0] == c"]":
        return p + 1
    memset(&level, 0, sizeof(event_t))
    level.kind = Kind.LEVEL
    level.flags = flags
    level.symbol = s.symbol
    level.ts = s.ts
    level.lag_us = s.lag
    while True:
        if p[0] != c"[" or p[1] != c'"':
            return NULL
        p += 2
        ticks = steps(read_decimal_like(&p, end, price_decimals, &whole), price_mantissa)
        if not 0 < ticks <= most or p[0] != c'"' or p[1] != c",":
            return NULL
        p += 2 if p[2] == c'"' else skip_spaces(p + 2) - p
        if p[0] != c'"':
            return NULL
        p += 1
        lots = steps(read_decimal_soon(&p, end, lot_decimals), lot_mantissa)
        if not 0 <= lots <= MAX_STEPS or p[0] != c'"' or p[1] != c"]":
            return NULL
        row[0] = level                                           # the template stays in registers
        row.a = ticks
        row.b = lots
        row += 1
        if p[2] == c"," and p[3] == c"[":
            p += 3
        elif p[2] == c",":
            p = skip_spaces(p + 3)
        elif p[2] == c"]":
            s.n = row - s.rows
            return p + 3
        else:
            return NULL


cdef const char* scan_object(const char* p, scan_t* s, Instruments instruments) noexcept nogil:
    # p is at the opening brace; returns the byte after the closing one, NULL for any surprise.
    cdef text_t key
    cdef text_t* v
    cdef int bit
    if p[0] != c"{":
        return NULL
    p = skip_spaces(p + 1)
    while True:
        if p[0] != c'"':
            return NULL
        p = plain_string(p + 1, s.end, &key)
        if p == NULL or p[0] != c":":
            return NULL
        p = skip_spaces(p + 1)
        bit = key_bit(key.p, key.n)
        if bit < 0 or s.seen >> bit & 1 or (bit == SYMBOL and p[0] != c'"'):
            return NULL
        v = &s.v[bit]
        if p[0] == c'"':
            p = plain_string(p + 1, s.end, v)
            if p != NULL and (bit == 51 or bit == SYMBOL):       # "s"
                if s.n:                                          # its levels were read on another grid
                    return NULL
                s.symbol = instruments.find(v.p, v.n)
        elif 48 <= p[0] <= 57:
            p = plain_integer(p, v)
        elif p[0] == c"[":
            v.opener = c"["
            p = scan_side(p + 1, s, instruments, bit)
        elif p[0] == c"{" and bit == 43:                         # "k"
            v.opener = c"{"
            v.p = p
            p = <const char*> memchr(p, c"}", s.end - p)         # a candle has no inner brace
            if p == NULL:
                return NULL
            p += 1
            v.n = p - v.p
        else:
            p = literal(p, s.end, v)
        if p == NULL:
            return NULL
        s.seen |= <uint64_t> 1 << bit
        if p[0] == c",":
            p = skip_spaces(p + 1)
        elif p[0] == c"}":
            return p + 1
        else:
            return NULL


cdef const char* scan_side(const char* p, scan_t* s, Instruments instruments, int bit) noexcept nogil:
    # The instrument and the event time must be known before the levels are read, and bids come before asks: that is
    # how the exchange writes. Anything else is for the general parser.
    cdef bint ask = bit == ASKS or bit == 33                     # "a"
    cdef bint bid = bit == BIDS or bit == 34                     # "b"
    cdef int64_t stamp
    if s.rows == NULL or not (ask or bid) or (bid and s.seen & ASK_BITS):
        return NULL
    if s.symbol == -2 and (bit == BIDS or bit == ASKS):
        s.symbol = s.default_symbol
    if s.symbol < 0:
        return NULL
    if s.n == 0:
        s.n = 1                                                  # row 0 is the header
        if s.seen >> 5 & 1:                                      # "E"
            stamp = integer(&s.v[5])
            if stamp == BAD:
                return NULL
            s.lag = lag_us(s.ts, stamp)
    return scan_levels(p, s, &instruments.data[s.symbol], Flag.F_SELL if ask else 0)


cdef inline int32_t saturated(int64_t x) noexcept nogil:
    return <int32_t> (INT32_MAX if x > INT32_MAX else -INT32_MAX if x < -INT32_MAX else x)


cdef inline int32_t lag_us(int64_t ts, int64_t exchange_ms) noexcept nogil:
    return saturated((ts - mul(exchange_ms, MS_TO_NS)) // 1000)


cdef inline bint named(const text_t* v, const char* name, Py_ssize_t n) noexcept nogil:
    return v.opener == c'"' and v.n == n and memcmp(v.p, name, n) == 0


cdef inline bint fits(uint64_t seen, uint64_t needs, uint64_t may) noexcept nogil:
    return seen & needs == needs and seen & ~may == 0


cdef Py_ssize_t depth_rows(scan_t* s, bint snapshot) noexcept nogil:
    # Complete the header, close the run. Returns the rows, 0 for a surprise.
    cdef event_t* head = s.rows
    cdef int64_t pu = -1
    cdef int32_t lag = 0
    if s.seen >> 5 & 1:                                          # "E"
        if integer(&s.v[5]) == BAD:
            return 0
        lag = lag_us(s.ts, integer(&s.v[5]))
    if lag != s.lag:                                             # it came after the levels
        return 0
    memset(head, 0, sizeof(event_t))
    head.symbol = s.symbol
    head.ts = s.ts
    head.lag_us = lag
    head.d = s.n - 1
    if snapshot:
        head.kind = Kind.SNAPSHOT
        head.a = integer(&s.v[LAST_ID])
        if head.a == BAD:
            return 0
    else:
        head.kind = Kind.DEPTH
        head.a = integer(&s.v[21])                               # "U"
        head.b = integer(&s.v[53])                               # "u"
        if s.seen >> PU & 1:
            pu = integer(&s.v[PU])
        else:
            head.flags = Flag.F_SPOT
        head.c = pu
        if head.a == BAD or head.b == BAD or (pu == BAD) or head.a > head.b:
            return 0
    s.rows[s.n - 1].flags |= Flag.F_END
    return s.n


cdef event_t* single_row(scan_t* s, uint8_t kind, int64_t ts) noexcept nogil:
    # A one-row message: stamp it from "E" if it has one.
    cdef event_t* row = s.rows
    cdef int64_t stamp
    memset(row, 0, sizeof(event_t))
    row.kind = kind
    row.flags = Flag.F_END
    row.symbol = s.symbol
    row.ts = ts
    if s.seen >> 5 & 1:
        stamp = integer(&s.v[5])
        if stamp == BAD:
            return NULL
        row.lag_us = lag_us(ts, stamp)
    return row


cdef Py_ssize_t touch_row(scan_t* s, const instrument_t* i, int64_t ts) noexcept nogil:
    cdef event_t* row = single_row(s, Kind.TOUCH, ts)
    if row == NULL:
        return 0
    row.a = integer(&s.v[53])                                    # "u"
    row.b = price_of(&s.v[34], i)                                # "b"
    row.c = lots_of(&s.v[2], i)                                  # "B"
    row.d = price_of(&s.v[33], i)                                # "a"
    row.e = lots_of(&s.v[1], i)                                  # "A"
    return 0 if row.a == BAD or row.b == BAD or row.c == BAD or row.d == BAD or row.e == BAD else 1


cdef Py_ssize_t trade_row(scan_t* s, const instrument_t* i, int64_t ts, bint aggregated) noexcept nogil:
    cdef event_t* row = single_row(s, Kind.TRADE, ts)
    if row == NULL or s.v[45].opener == c'"':                    # "m" is a boolean
        return 0
    row.b = price_of(&s.v[48], i)                                # "p"
    row.c = lots_of(&s.v[49], i)                                 # "q"
    if aggregated:
        if integer(&s.v[20]) == BAD:                             # "T"
            return 0
        row.a = integer(&s.v[33])                                # "a"
        row.d = integer(&s.v[38])                                # "f"
        row.e = integer(&s.v[44])                                # "l"
    else:
        row.a = integer(&s.v[52])                                # "t"
        row.d = row.a
        row.e = row.a
        if s.seen >> 24 & 1 and not named(&s.v[24], b"MARKET", 6):   # "X"
            if named(&s.v[24], b"NA", 2):                        # no trade: the general parser says so
                return 0
            row.f = 1
    if s.v[45].opener == c"t":
        row.flags |= Flag.F_SELL
    elif s.v[45].opener != c"f":
        return 0
    return 0 if row.a == BAD or row.b == BAD or row.c <= 0 or row.d == BAD or row.e == BAD else 1


cdef Py_ssize_t mark_row(scan_t* s, int64_t ts) noexcept nogil:
    cdef event_t* row = single_row(s, Kind.MARK, ts)
    if row == NULL:
        return 0
    row.a = value_of(&s.v[48])                                   # "p"
    row.b = value_of(&s.v[41])                                   # "i"
    row.c = signed_decimal(&s.v[50], 8)                          # "r"
    row.d = integer(&s.v[20])                                    # "T"
    if row.a == BAD or row.b == BAD or row.c == BAD or not -100_000_000 < row.c < 100_000_000 \
            or not 0 <= row.d < MAX_STAMP_MS:
        return 0
    row.d *= MS_TO_NS
    return 1


cdef int64_t interval_ns(const text_t* v) noexcept nogil:
    cdef const char* p = v.p
    cdef int64_t count
    if v.opener != c'"' or not 2 <= v.n <= 3 or v.p[0] == c"0" or (v.n == 3 and v.p[1] == c"."):
        return BAD
    count = read_decimal(&p, 0)
    if count == BAD or p != v.p + v.n - 1:
        return BAD
    if p[0] == c"m" and (count == 1 or count == 3 or count == 5 or count == 15 or count == 30):
        return count * MINUTE_NS
    if p[0] == c"h" and (count == 1 or count == 2 or count == 4 or count == 6 or count == 8 or count == 12):
        return count * 60 * MINUTE_NS
    if p[0] == c"d" and (count == 1 or count == 3):
        return count * 1440 * MINUTE_NS
    if p[0] == c"w" and count == 1:
        return 10080 * MINUTE_NS
    return BAD


cdef Py_ssize_t candle_row(scan_t* s, scan_t* bar, const instrument_t* i, int64_t ts) noexcept nogil:
    cdef event_t* row = single_row(s, Kind.CANDLE, ts)
    if row == NULL:
        return 0
    row.a = value_of(&bar.v[47])                                 # "o"
    row.b = value_of(&bar.v[40])                                 # "h"
    row.c = value_of(&bar.v[44])                                 # "l"
    row.d = value_of(&bar.v[35])                                 # "c"
    row.e = lots_of(&bar.v[54], i)                               # "v"
    row.f = interval_ns(&bar.v[41])                              # "i"
    if bar.v[56].opener == c"t":                                 # "x"
        row.flags |= Flag.F_CLOSED
    elif bar.v[56].opener != c"f":
        return 0
    if row.a == BAD or row.b == BAD or row.c == BAD or row.d == BAD or row.e == BAD or row.f == BAD:
        return 0
    if row.b < row.a or row.b < row.d or row.c > row.a or row.c > row.d:
        return 0
    if integer(&bar.v[52]) == BAD or integer(&bar.v[20]) == BAD:
        return 0
    return 1


# ---------------------------------------------------------------------------------- the scanner


@cython.final
cdef class Scanner:
    """Reads messages of the exchange's streams into rows.

    Parameters
    ----------
    instruments : Instruments
        The run's symbols; a message of another symbol is refused.
    default_symbol : int, optional
        Index of the symbol that a message without one belongs to (a REST depth snapshot).
    """

    def __init__(self, Instruments instruments not None, int default_symbol=-1):
        self.instruments = instruments
        self.default_symbol = default_symbol
        self.rows = Rows()

    cdef Status read(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED:
        cdef Status status
        self.messages += 1
        self.rows.size = 0
        prefetch(p, n)
        status = self.scan(p, n, ts)
        if status != Status.OK:
            self.general += 1
            self.rows.size = 0
            status = self.general_read(p, n, ts)
            if status == Status.IGNORED:
                self.ignored += 1
            elif status != Status.OK:
                self.refused += 1
        return status

    cdef Status scan(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED:
        # OK or MALFORMED; the latter only means that the general parser must look.
        cdef scan_t s
        cdef scan_t bar
        cdef text_t stream
        cdef const char* end = p + n
        cdef const instrument_t* i
        if n < 2 or p[n - 1] != c"}":
            return Status.MALFORMED
        if n > 11 and memcmp(p, b'{"stream":"', 11) == 0:
            p = plain_string(p + 11, end, &stream)
            if p == NULL or end - p < 10 or memcmp(p, b',"data":', 8) != 0:
                return Status.MALFORMED
            p = skip_spaces(p + 8)
            end -= 1                                             # the wrapper's own brace
            if (end - 1)[0] != c"}":
                return Status.MALFORMED
        self.rows.reserve(n // 9 + 2)                            # ["1","1"] is the shortest level
        s.end = end
        s.seen = 0
        s.rows = self.rows.data
        s.n = 0
        s.symbol = -2
        s.default_symbol = self.default_symbol
        s.ts = ts
        s.lag = 0
        if scan_object(p, &s, self.instruments) != end:
            return Status.MALFORMED
        if fits(s.seen, SNAPSHOT_NEEDS, SNAPSHOT_MAY):
            if s.v[BIDS].opener == c"[" and s.v[ASKS].opener == c"[" and s.symbol >= 0:
                self.rows.size = depth_rows(&s, True)
            return Status.OK if self.rows.size else Status.MALFORMED
        if s.symbol < 0 or s.v[51].opener != c'"':               # "s"
            return Status.MALFORMED
        i = &self.instruments.data[s.symbol]
        if s.seen >> 37 & 1 == 0:                                # no "e": the spot market's touch
            if fits(s.seen, TOUCH_NEEDS, TOUCH_MAY):
                self.rows.size = touch_row(&s, i, ts)
        elif named(&s.v[37], b"depthUpdate", 11):
            if fits(s.seen, DEPTH_NEEDS, DEPTH_MAY) and s.v[34].opener == c"[" and s.v[33].opener == c"[":
                self.rows.size = depth_rows(&s, False)
        elif named(&s.v[37], b"bookTicker", 10):
            if fits(s.seen, TOUCH_NEEDS, TOUCH_MAY):
                self.rows.size = touch_row(&s, i, ts)
        elif named(&s.v[37], b"trade", 5):
            if fits(s.seen, TRADE_NEEDS, TRADE_MAY):
                self.rows.size = trade_row(&s, i, ts, False)
        elif named(&s.v[37], b"aggTrade", 8):
            if fits(s.seen, AGG_NEEDS, AGG_MAY):
                self.rows.size = trade_row(&s, i, ts, True)
        elif named(&s.v[37], b"markPriceUpdate", 15):
            if fits(s.seen, MARK_NEEDS, MARK_MAY):
                self.rows.size = mark_row(&s, ts)
        elif named(&s.v[37], b"kline", 5):
            if fits(s.seen, KLINE_NEEDS, KLINE_MAY) and s.v[43].opener == c"{":
                bar.end = s.v[43].p + s.v[43].n
                bar.seen = 0
                bar.rows = NULL                                  # a candle has no levels
                bar.n = 0
                bar.symbol = -2
                bar.default_symbol = -1
                if scan_object(s.v[43].p, &bar, self.instruments) == bar.end \
                        and fits(bar.seen, BAR_NEEDS, BAR_MAY) and bar.symbol == s.symbol:
                    self.rows.size = candle_row(&s, &bar, i, ts)
        return Status.OK if self.rows.size else Status.MALFORMED

    cdef Status general_read(self, const char* p, Py_ssize_t n, int64_t ts) except Status.RAISED:
        return <Status> <int> general_rows(self, p[:n], ts)

    def feed(self, bytes message not None, int64_t ts):
        """Read one message; its rows are in ``rows`` until the next.

        Parameters
        ----------
        message : bytes
            The payload as received, wrapped or raw.
        ts : int
            Local stamp, ns.

        Returns
        -------
        Status
            OK, IGNORED, MALFORMED, UNKNOWN_SYMBOL or OFF_GRID.
        """
        return StatusFace(self.read(<const char*> message, len(message), ts))

    def feed_general(self, bytes message not None, int64_t ts):
        """Read one message with the general parser only (the reference of the fast one)."""
        self.rows.size = 0
        return StatusFace(self.general_read(<const char*> message, len(message), ts))


# ---------------------------------------------------------------------------------- the general parser

DECIMAL = re.compile(r"[0-9]{1,18}(?:\.[0-9]*)?")


class Refused(ValueError):
    """A message that is refused; ``status`` says why."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def shown(value) -> str:
    """Return a refused value, short, whatever it is."""
    return repr(value[:40]) if type(value) is str else type(value).__name__


def whole(value) -> int:
    """Return a JSON integer that fits the wire's 18 digits."""
    if type(value) is not int or not 0 <= value < 10**18:
        raise Refused(StatusFace.MALFORMED, f"not an id or a stamp: {shown(value)}")
    return value


def scaled(text, decimals: int) -> int:
    """Return decimal text as an integer of so many decimals, refusing anything finer."""
    if type(text) is not str or not DECIMAL.fullmatch(text):
        raise Refused(StatusFace.MALFORMED, f"not a decimal: {shown(text)}")
    head, _, tail = text.partition(".")
    if tail[decimals:].strip("0") or len(head) + min(len(tail), decimals) > 18:
        raise Refused(StatusFace.OFF_GRID, f"finer than {decimals} decimals, or too long: {text[:40]!r}")
    value = int(head + tail[:decimals].ljust(decimals, "0"))
    if value > 2**63 - 1:
        raise Refused(StatusFace.OFF_GRID, f"out of range: {text[:40]!r}")
    return value


def grid(text, spec, what: str, least: int) -> int:
    """Return price text in ticks or quantity text in lots."""
    decimals, mantissa = spec[f"{what}_decimals"], spec[f"{what}_mantissa"]
    count, off = divmod(scaled(text, decimals), mantissa)
    if off or count > 2**50 or (what == "price" and count * spec["tick_e8"] > 2**60):
        raise Refused(StatusFace.OFF_GRID, f"{what} {text[:40]} is on no step")
    if count < least:
        raise Refused(StatusFace.MALFORMED, f"{what} {text[:40]} is not positive")
    return count


def price_value(text) -> int:
    """Return a positive price at eight decimals."""
    value = scaled(text, 8)
    if not 0 < value <= 2**60:
        raise Refused(StatusFace.MALFORMED, f"not a price: {text[:40]}")
    return value


def rate_value(text) -> int:
    """Return a signed rate at eight decimals."""
    if type(text) is str and len(text) > 1 and text[0] == "-":
        value = -scaled(text[1:], 8)
    else:
        value = scaled(text, 8)
    if not -(10**8) < value < 10**8:
        raise Refused(StatusFace.MALFORMED, f"not a rate: {text[:40]}")
    return value


def truth(value) -> bool:
    """Return a JSON boolean."""
    if type(value) is not bool:
        raise Refused(StatusFace.MALFORMED, f"not a boolean: {shown(value)}")
    return value


def general_rows(Scanner scanner, bytes message, int64_t ts) -> int:
    """Read one message by the general parser into ``scanner.rows``; the judge of what is refused."""
    cdef event_t* row
    try:
        body = orjson.loads(message)
        if type(body) is dict and "stream" in body and "data" in body:
            body = body["data"]
        if type(body) is not dict:
            return StatusFace.IGNORED if type(body) is list else StatusFace.MALFORMED
        rows = rows_of(scanner, body)
    except orjson.JSONDecodeError:
        return StatusFace.MALFORMED
    except KeyError:
        return StatusFace.MALFORMED
    except Refused as refused:
        return refused.status
    if not rows:
        return StatusFace.IGNORED
    for kind, flags, symbol, stamp_ms, words in rows:
        row = scanner.rows.push()
        row.kind, row.flags, row.symbol, row.ts = kind, flags, symbol, ts
        if stamp_ms is not None:
            row.lag_us = lag_us(ts, stamp_ms)
        row.a, row.b, row.c, row.d, row.e, row.f = words
    return StatusFace.OK


def symbol_of(Scanner scanner, body, key: str) -> int:
    """Return the index of the message's symbol."""
    name = body.get(key)
    if name is None and key == "symbol" and scanner.default_symbol >= 0:
        return scanner.default_symbol
    if type(name) is not str:
        raise Refused(StatusFace.MALFORMED, f"no symbol in {key!r}")
    try:
        return scanner.instruments.index(name)
    except (KeyError, UnicodeEncodeError):
        raise Refused(StatusFace.UNKNOWN_SYMBOL, f"not in this run: {name[:40]!r}") from None


def level_rows(side, symbol: int, spec, stamp, flags: int) -> list:
    """Return the LEVEL rows of one side."""
    if type(side) is not list:
        raise Refused(StatusFace.MALFORMED, "levels are no list")
    rows = []
    for level in side:
        if type(level) is not list or len(level) != 2:
            raise Refused(StatusFace.MALFORMED, "a level is a price and a quantity")
        words = (grid(level[0], spec, "price", 1), grid(level[1], spec, "lot", 0), 0, 0, 0, 0)
        rows.append((Kind.LEVEL, flags, symbol, stamp, words))
    return rows


def closed_run(rows: list) -> list:
    """Return the rows with F_END on the last."""
    *head, (kind, flags, symbol, stamp, words) = rows
    return [*head, (kind, flags | Flag.F_END, symbol, stamp, words)]


def book_rows(head_kind: int, flags: int, symbol: int, spec, stamp, words, bids, asks) -> list:
    """Return a depth run: the header, bids, asks."""
    levels = level_rows(bids, symbol, spec, stamp, 0) + level_rows(asks, symbol, spec, stamp, Flag.F_SELL)
    return closed_run([(head_kind, flags, symbol, stamp, (*words, len(levels), 0, 0)), *levels])


def rows_of(Scanner scanner, body: dict) -> list:
    """Return the rows of a decoded message as (kind, flags, symbol, exchange ms or None, six words)."""
    stamp = whole(body["E"]) if "E" in body else None
    event = body.get("e")
    if "lastUpdateId" in body and "bids" in body:
        symbol = symbol_of(scanner, body, "symbol")
        return book_rows(Kind.SNAPSHOT, 0, symbol, scanner.instruments.spec(symbol), stamp,
                         (whole(body["lastUpdateId"]), 0, 0), body["bids"], body["asks"])
    if event is None and {"u", "s", "b", "B", "a", "A"} <= body.keys():
        event = "bookTicker"
    if type(event) is not str or event not in EVENT_ROWS:
        return []
    symbol = symbol_of(scanner, body, "s")
    return EVENT_ROWS[event](body, symbol, scanner.instruments.spec(symbol), stamp)


def depth_general(body, symbol, spec, stamp) -> list:
    """Return the rows of a ``depthUpdate``."""
    first, last = whole(body["U"]), whole(body["u"])
    pu = whole(body["pu"]) if "pu" in body else -1
    if first > last or stamp is None:
        raise Refused(StatusFace.MALFORMED, "U is after u")
    flags = Flag.F_SPOT if pu < 0 else 0
    return book_rows(Kind.DEPTH, flags, symbol, spec, stamp, (first, last, pu), body["b"], body["a"])


def touch_general(body, symbol, spec, stamp) -> list:
    """Return the row of a ``bookTicker``."""
    words = (whole(body["u"]), grid(body["b"], spec, "price", 1), grid(body["B"], spec, "lot", 0),
             grid(body["a"], spec, "price", 1), grid(body["A"], spec, "lot", 0), 0)
    return [(Kind.TOUCH, Flag.F_END, symbol, stamp, words)]


def trade_general(body, symbol, spec, stamp) -> list:
    """Return the row of a ``trade`` or an ``aggTrade``; none for what the trade stream announces as no trade."""
    if body.get("X") == "NA":
        return []
    if stamp is None:
        raise Refused(StatusFace.MALFORMED, "no event time")
    flags = Flag.F_END | (Flag.F_SELL if truth(body["m"]) else 0)
    price, lots = grid(body["p"], spec, "price", 1), grid(body["q"], spec, "lot", 1)
    if body["e"] == "aggTrade":
        whole(body["T"])
        words = (whole(body["a"]), price, lots, whole(body["f"]), whole(body["l"]), 0)
    else:
        trade = whole(body["t"])
        words = (trade, price, lots, trade, trade, 0 if body.get("X", "MARKET") == "MARKET" else 1)
    return [(Kind.TRADE, flags, symbol, stamp, words)]


def mark_general(body, symbol, spec, stamp) -> list:
    """Return the row of a ``markPriceUpdate``."""
    if stamp is None:
        raise Refused(StatusFace.MALFORMED, "no event time")
    due = whole(body["T"])
    if due >= MAX_STAMP_MS:
        raise Refused(StatusFace.MALFORMED, "funding time out of range")
    words = (price_value(body["p"]), price_value(body["i"]), rate_value(body["r"]), due * MS_TO_NS, 0, 0)
    return [(Kind.MARK, Flag.F_END, symbol, stamp, words)]


def candle_general(body, symbol, spec, stamp) -> list:
    """Return the row of a ``kline``."""
    bar = body["k"]
    if type(bar) is not dict or stamp is None or bar["s"] != body["s"] or type(bar["i"]) is not str:
        raise Refused(StatusFace.MALFORMED, "no candle of this symbol")
    if bar["i"] not in INTERVALS_NS:
        raise Refused(StatusFace.MALFORMED, f"unknown interval {bar['i'][:10]!r}")
    whole(bar["t"]), whole(bar["T"])
    opened, high = price_value(bar["o"]), price_value(bar["h"])
    low, close = price_value(bar["l"]), price_value(bar["c"])
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise Refused(StatusFace.MALFORMED, "a candle's extremes do not hold its open and close")
    flags = Flag.F_END | (Flag.F_CLOSED if truth(bar["x"]) else 0)
    words = (opened, high, low, close, grid(bar["v"], spec, "lot", 0), INTERVALS_NS[bar["i"]])
    return [(Kind.CANDLE, flags, symbol, stamp, words)]


EVENT_ROWS = {
    "depthUpdate": depth_general,
    "bookTicker": touch_general,
    "trade": trade_general,
    "aggTrade": trade_general,
    "markPriceUpdate": mark_general,
    "kline": candle_general,
}

# ---------------------------------------------------------------------------------- orders out


cdef char* put_client_id(char* out, uint64_t client_id) noexcept nogil:
    # "at" and 16 hexadecimal digits: ours at a glance, and inside the exchange's alphabet.
    cdef int k
    cdef int nibble
    out[0] = c"a"
    out[1] = c"t"
    for k in range(16):
        nibble = client_id >> (60 - 4 * k) & 15
        out[2 + k] = (48 if nibble < 10 else 87) + nibble
    return out + 18


cdef char* put_percent(char* out, int64_t share_e8) noexcept nogil:
    # A share in per cent, no longer than it must be: the exchange takes one decimal or two.
    out = put_decimal(out, share_e8, 6)
    while (out - 1)[0] == c"0":
        out -= 1
    return out - 1 if (out - 1)[0] == c"." else out


cdef const char* TIMES_IN_FORCE[5]
TIMES_IN_FORCE = [b"GTC", b"IOC", b"GTX", b"FOK", b"GTD"]
cdef const char* SELF_TRADES[4]
SELF_TRADES = [b"NONE", b"EXPIRE_TAKER", b"EXPIRE_MAKER", b"EXPIRE_BOTH"]
cdef const char* PRICE_MATCHES[9]
PRICE_MATCHES = [b"NONE", b"OPPONENT", b"OPPONENT_5", b"OPPONENT_10", b"OPPONENT_20", b"QUEUE", b"QUEUE_5", b"QUEUE_10",
                 b"QUEUE_20"]
cdef const char* TYPES[7]
TYPES = [b"LIMIT", b"MARKET", b"STOP", b"STOP_MARKET", b"TAKE_PROFIT", b"TAKE_PROFIT_MARKET", b"TRAILING_STOP_MARKET"]


cdef inline bint has_limit(uint8_t type) noexcept nogil:
    return type == OrderType.LIMIT or type == OrderType.STOP or type == OrderType.TAKE_PROFIT


cdef inline char* put_price(char* out, int64_t ticks, const instrument_t* i) noexcept nogil:
    return put_decimal(out, ticks * i.price_mantissa, i.price_decimals)


cdef inline char* put_key_name(char* out, const char* name) noexcept nogil:
    return put(put(put(out, b"apiKey="), name), b"&") if name[0] else out


cdef Py_ssize_t encode_order(const approved_t* order, const instrument_t* i, int64_t timestamp_ms, const char* name,
                             char* out) noexcept nogil:
    # The parameters of a writable order in alphabetical order, as the WebSocket API signs them; REST takes any order.
    if order.amends:
        return amendment_text(order, i, timestamp_ms, name, out) - out
    if is_conditional(order.type):
        return conditional_text(order, i, timestamp_ms, name, out) - out
    return plain_text(order, i, timestamp_ms, name, out) - out


cdef char* plain_text(const approved_t* order, const instrument_t* i, int64_t timestamp_ms, const char* name,
                      char* out) noexcept nogil:
    cdef char* p = put_key_name(out, name)
    if order.tif == TimeInForce.GTD:
        p = put(put_integer(put(p, b"goodTillDate="), order.good_till // MS_TO_NS), b"&")
    p = put_client_id(put(p, b"newClientOrderId="), order.client_id)
    p = put_leg_and_price(p, order, i)
    p = put_decimal(put(p, b"&quantity="), order.lots * i.lot_mantissa, i.lot_decimals)
    p = put_sides(p, order, i)
    p = put_integer(put(p, b"&timestamp="), timestamp_ms)
    return put(put(p, b"&type="), TYPES[order.type])


cdef char* conditional_text(const approved_t* order, const instrument_t* i, int64_t timestamp_ms, const char* name,
                            char* out) noexcept nogil:
    cdef char* p = out
    if order.activate_ticks:
        p = put(put_price(put(p, b"activatePrice="), order.activate_ticks, i), b"&")
    p = put_key_name(put(p, b"algoType=CONDITIONAL&"), name)
    if order.callback_e8:
        p = put(put_percent(put(p, b"callbackRate="), order.callback_e8), b"&")
    p = put_client_id(put(p, b"clientAlgoId="), order.client_id)
    if order.terms & Term.CLOSE_POSITION:
        p = put(p, b"&closePosition=true")
    if order.tif == TimeInForce.GTD:
        p = put_integer(put(p, b"&goodTillDate="), order.good_till // MS_TO_NS)
    p = put_leg_and_price(p, order, i)
    if order.terms & Term.PRICE_PROTECT:
        p = put(p, b"&priceProtect=true")
    if not order.terms & Term.CLOSE_POSITION:
        p = put_decimal(put(p, b"&quantity="), order.lots * i.lot_mantissa, i.lot_decimals)
    p = put_sides(p, order, i)
    p = put_integer(put(p, b"&timestamp="), timestamp_ms)
    if order.trigger_ticks:
        p = put_price(put(p, b"&triggerPrice="), order.trigger_ticks, i)
    p = put(put(p, b"&type="), TYPES[order.type])
    return put(p, b"&workingType=MARK_PRICE" if order.terms & Term.MARK_TRIGGER else b"&workingType=CONTRACT_PRICE")


cdef char* amendment_text(const approved_t* order, const instrument_t* i, int64_t timestamp_ms, const char* name,
                          char* out) noexcept nogil:
    # All that an amendment can change; the rest stays as the order stands.
    cdef char* p = put_client_id(put(put_key_name(out, name), b"origClientOrderId="), order.client_id)
    p = put_price(put(p, b"&price="), order.price_ticks, i)
    p = put_decimal(put(p, b"&quantity="), order.lots * i.lot_mantissa, i.lot_decimals)
    p = put(p, b"&side=BUY" if order.side == Side.BUY else b"&side=SELL")
    p = put(put(p, b"&symbol="), i.name)
    return put_integer(put(p, b"&timestamp="), timestamp_ms)


cdef char* put_leg_and_price(char* p, const approved_t* order, const instrument_t* i) noexcept nogil:
    if order.position_side:
        p = put(p, b"&positionSide=LONG" if order.position_side == PositionSide.LONG else b"&positionSide=SHORT")
    if order.price_match:
        return put(put(p, b"&priceMatch="), PRICE_MATCHES[order.price_match])
    return put_price(put(p, b"&price="), order.price_ticks, i) if has_limit(order.type) else p


cdef char* put_sides(char* p, const approved_t* order, const instrument_t* i) noexcept nogil:
    # From reduceOnly to timeInForce.
    if order.reduce_only:
        p = put(p, b"&reduceOnly=true")
    if order.stp:
        p = put(put(p, b"&selfTradePreventionMode="), SELF_TRADES[order.stp])
    p = put(p, b"&side=BUY" if order.side == Side.BUY else b"&side=SELL")
    p = put(put(p, b"&symbol="), i.name)
    return put(put(p, b"&timeInForce="), TIMES_IN_FORCE[order.tif]) if has_limit(order.type) else p


cdef Py_ssize_t encode_reference(uint64_t client_id, bint conditional, const instrument_t* i, int64_t timestamp_ms,
                                 const char* name, char* out) noexcept nogil:
    # Which order: to cancel it, or to ask for it.
    cdef char* p = put_key_name(out, name)
    if conditional:
        p = put_client_id(put(p, b"clientAlgoId="), client_id)
    else:
        p = put(put(put_client_id(put(p, b"origClientOrderId="), client_id), b"&symbol="), i.name)
    return put_integer(put(p, b"&timestamp="), timestamp_ms) - out


# ---------------------------------------------------------------------------------- what leaves is what was approved

# A reader walks the text: it returns the byte after what it expects, NULL for anything else and after any NULL. Names,
# words and digits are its own; two tables would have to be wrong in the same way for a wrong order to leave.
cdef const char* DIGITS = b"0123456789abcdef"


cdef inline const char* after(const char* p, const char* end, const char* word, Py_ssize_t n) noexcept nogil:
    return p + n if p != NULL and end - p >= n and memcmp(p, word, n) == 0 else NULL


cdef inline const char* after_number(const char* p, const char* end, uint64_t expected, int decimals) noexcept nogil:
    # As it is written plainly: so many decimals, no sign, no zero in front.
    cdef const char* start = p
    cdef const char* point
    cdef uint64_t value = 0
    if p == NULL:
        return NULL
    while p < end and 48 <= p[0] <= 57:
        value = value * 10 + <uint64_t> (p[0] - 48)
        p += 1
    point = p
    if p == start or (start[0] == c"0" and p - start > 1):
        return NULL
    if decimals:
        if p >= end or p[0] != c".":
            return NULL
        p += 1
        while p < end and 48 <= p[0] <= 57:
            value = value * 10 + <uint64_t> (p[0] - 48)
            p += 1
        if p - point != 1 + decimals:
            return NULL
    if value != expected or p - start - (decimals > 0) > 19:             # so many digits do not wrap
        return NULL
    return p


cdef inline const char* after_client_id(const char* p, const char* end, uint64_t expected) noexcept nogil:
    cdef int k
    cdef char wrong = 0
    p = after(p, end, b"at", 2)
    if p == NULL or end - p < 16:
        return NULL
    for k in range(16):
        wrong |= p[15 - k] ^ DIGITS[expected >> 4 * k & 15]
    if wrong:
        return NULL
    return p + 16


cdef const char* after_time_in_force(const char* p, const char* end, int tif) noexcept nogil:
    p = after(p, end, b"&timeInForce=", 13)
    if tif == TimeInForce.GTX:
        return after(p, end, b"GTX", 3)
    if tif == TimeInForce.GTC:
        return after(p, end, b"GTC", 3)
    if tif == TimeInForce.IOC:
        return after(p, end, b"IOC", 3)
    if tif == TimeInForce.FOK:
        return after(p, end, b"FOK", 3)
    return after(p, end, b"GTD", 3) if tif == TimeInForce.GTD else NULL


cdef const char* after_self_trade(const char* p, const char* end, int mode) noexcept nogil:
    p = after(p, end, b"&selfTradePreventionMode=EXPIRE_", 32)
    if mode == SelfTrade.EXPIRE_BOTH:
        return after(p, end, b"BOTH", 4)
    if mode == SelfTrade.EXPIRE_MAKER:
        return after(p, end, b"MAKER", 5)
    return after(p, end, b"TAKER", 5) if mode == SelfTrade.EXPIRE_TAKER else NULL


cdef const char* after_price_match(const char* p, const char* end, int match) noexcept nogil:
    # The first, fifth, tenth or twentieth best price of the other side, or of our own.
    cdef int place = match
    p = after(p, end, b"&priceMatch=", 12)
    if PriceMatch.QUEUE <= match <= PriceMatch.QUEUE_20:
        p = after(p, end, b"QUEUE", 5)
        place = match - PriceMatch.QUEUE + PriceMatch.OPPONENT
    else:
        p = after(p, end, b"OPPONENT", 8)
    if place == PriceMatch.OPPONENT:
        return p
    if place == PriceMatch.OPPONENT_5:
        return after(p, end, b"_5", 2)
    if place == PriceMatch.OPPONENT_10:
        return after(p, end, b"_10", 3)
    return after(p, end, b"_20", 3) if place == PriceMatch.OPPONENT_20 else NULL


cdef const char* after_percent(const char* p, const char* end, uint64_t share_e8) noexcept nogil:
    # No zero at the end, no point without digits behind it.
    cdef uint64_t unit = 1000000
    cdef uint64_t value = 0
    cdef const char* start = p
    while p != NULL and p < end and 48 <= p[0] <= 57 and value < unit:
        value = value * 10 + <uint64_t> (p[0] - 48)
        p += 1
    if p == start or (start[0] == c"0" and p - start > 1):
        return NULL
    value *= unit
    if p < end and p[0] == c".":
        p += 1
        while p < end and 48 <= p[0] <= 57 and unit > 1:
            unit //= 10
            value += unit * <uint64_t> (p[0] - 48)
            p += 1
        if (p - 1)[0] == c"." or (p - 1)[0] == c"0":
            return NULL
    return p if value == share_e8 else NULL


cdef const char* after_type(const char* p, const char* end, int type) noexcept nogil:
    p = after(p, end, b"&type=", 6)
    if type == OrderType.LIMIT:
        return after(p, end, b"LIMIT", 5)
    if type == OrderType.MARKET:
        return after(p, end, b"MARKET", 6)
    if type == OrderType.STOP:
        return after(p, end, b"STOP", 4)
    if type == OrderType.STOP_MARKET:
        return after(p, end, b"STOP_MARKET", 11)
    if type == OrderType.TAKE_PROFIT:
        return after(p, end, b"TAKE_PROFIT", 11)
    if type == OrderType.TAKE_PROFIT_MARKET:
        return after(p, end, b"TAKE_PROFIT_MARKET", 18)
    return after(p, end, b"TRAILING_STOP_MARKET", 20) if type == OrderType.TRAILING_STOP_MARKET else NULL


cdef bint is_writable(const approved_t* order) noexcept nogil:
    # Whether a text can say all of the order: nothing that it would drop, nothing outside of the tables.
    if order.side > Side.SELL or order.position_side > PositionSide.SHORT or order.tif > TimeInForce.GTD \
            or order.stp > SelfTrade.EXPIRE_BOTH or order.price_match > PriceMatch.QUEUE_20 \
            or order.type > OrderType.TRAILING_STOP_MARKET:
        return False
    if is_conditional(order.type):
        return not order.amends and is_writable_trigger(order) and is_writable_price(order)
    if order.terms or order.trigger_ticks or order.activate_ticks or order.callback_e8 or order.lots <= 0:
        return False
    if order.amends and (order.type != OrderType.LIMIT or order.price_match):
        return False
    return is_writable_price(order)


cdef bint is_writable_price(const approved_t* order) noexcept nogil:
    # A limit is a price or a match; without a limit there is neither, and no time in force.
    if order.type == OrderType.LIMIT or order.type == OrderType.STOP or order.type == OrderType.TAKE_PROFIT:
        return order.price_ticks == 0 if order.price_match else order.price_ticks > 0
    return order.price_ticks == 0 and order.price_match == 0 and order.tif == TimeInForce.GTC


cdef bint is_writable_trigger(const approved_t* order) noexcept nogil:
    cdef bint trails = order.type == OrderType.TRAILING_STOP_MARKET
    if order.terms > Term.CLOSE_POSITION + Term.PRICE_PROTECT + Term.MARK_TRIGGER:
        return False
    if trails and (order.trigger_ticks or order.callback_e8 <= 0 or order.activate_ticks < 0):
        return False
    if not trails and (order.trigger_ticks <= 0 or order.callback_e8 or order.activate_ticks):
        return False
    if not order.terms & Term.CLOSE_POSITION:
        return order.lots > 0
    return order.lots == 0 and not order.reduce_only \
        and (order.type == OrderType.STOP_MARKET or order.type == OrderType.TAKE_PROFIT_MARKET)


cdef bint says(const char* p, Py_ssize_t n, const approved_t* order, const instrument_t* i, int64_t timestamp_ms,
               const char* name, const char* signature) noexcept nogil:
    # R32: whether a text says all of a writable order, every parameter once, in the exchange's order, nothing else, and
    # the signature behind it, or none where there is none (NULL).
    cdef const char* end = p + n
    if order.amends:
        p = after_amendment(p, end, order, i, timestamp_ms, name)
    elif order.type == OrderType.LIMIT or order.type == OrderType.MARKET:
        p = after_plain(p, end, order, i, timestamp_ms, name)
    else:
        p = after_conditional(p, end, order, i, timestamp_ms, name)
    if signature != NULL:
        p = after(after(p, end, b"&signature=", 11), end, signature, 64)
    return p == end


cdef const char* after_key_name(const char* p, const char* end, const char* name) noexcept nogil:
    if name[0] == 0:
        return p
    return after(after(after(p, end, b"apiKey=", 7), end, name, strlen(name)), end, b"&", 1)


cdef const char* after_price(const char* p, const char* end, int64_t ticks, const instrument_t* i) noexcept nogil:
    return after_number(p, end, ticks * i.price_mantissa, i.price_decimals)


cdef const char* after_plain(const char* p, const char* end, const approved_t* order, const instrument_t* i,
                             int64_t timestamp_ms, const char* name) noexcept nogil:
    p = after_key_name(p, end, name)
    if order.tif == TimeInForce.GTD:
        p = after(after_number(after(p, end, b"goodTillDate=", 13), end, order.good_till // MS_TO_NS, 0), end, b"&", 1)
    p = after_client_id(after(p, end, b"newClientOrderId=", 17), end, order.client_id)
    p = after_leg(p, end, order.position_side)
    p = after_limit(p, end, order, i)
    p = after_number(after(p, end, b"&quantity=", 10), end, order.lots * i.lot_mantissa, i.lot_decimals)
    p = after_flags(p, end, order)
    p = after_side_and_symbol(p, end, order, i)
    if order.type == OrderType.LIMIT:
        p = after_time_in_force(p, end, order.tif)
    p = after_number(after(p, end, b"&timestamp=", 11), end, timestamp_ms, 0)
    return after_type(p, end, order.type)


cdef const char* after_conditional(const char* p, const char* end, const approved_t* order, const instrument_t* i,
                                   int64_t timestamp_ms, const char* name) noexcept nogil:
    cdef bint closes = order.terms & Term.CLOSE_POSITION
    if order.activate_ticks:
        p = after(after_price(after(p, end, b"activatePrice=", 14), end, order.activate_ticks, i), end, b"&", 1)
    p = after_key_name(after(p, end, b"algoType=CONDITIONAL&", 21), end, name)
    if order.type == OrderType.TRAILING_STOP_MARKET:
        p = after(after_percent(after(p, end, b"callbackRate=", 13), end, order.callback_e8), end, b"&", 1)
    p = after_client_id(after(p, end, b"clientAlgoId=", 13), end, order.client_id)
    if closes:
        p = after(p, end, b"&closePosition=true", 19)
    if order.tif == TimeInForce.GTD:
        p = after_number(after(p, end, b"&goodTillDate=", 14), end, order.good_till // MS_TO_NS, 0)
    p = after_leg(p, end, order.position_side)
    p = after_limit(p, end, order, i)
    if order.terms & Term.PRICE_PROTECT:
        p = after(p, end, b"&priceProtect=true", 18)
    if not closes:
        p = after_number(after(p, end, b"&quantity=", 10), end, order.lots * i.lot_mantissa, i.lot_decimals)
    p = after_flags(p, end, order)
    p = after_side_and_symbol(p, end, order, i)
    if order.type == OrderType.STOP or order.type == OrderType.TAKE_PROFIT:
        p = after_time_in_force(p, end, order.tif)
    p = after_number(after(p, end, b"&timestamp=", 11), end, timestamp_ms, 0)
    if order.type != OrderType.TRAILING_STOP_MARKET:
        p = after_price(after(p, end, b"&triggerPrice=", 14), end, order.trigger_ticks, i)
    p = after(after_type(p, end, order.type), end, b"&workingType=", 13)
    return after(p, end, b"MARK_PRICE", 10) if order.terms & Term.MARK_TRIGGER else after(p, end, b"CONTRACT_PRICE", 14)


cdef const char* after_amendment(const char* p, const char* end, const approved_t* order, const instrument_t* i,
                                 int64_t timestamp_ms, const char* name) noexcept nogil:
    p = after(after_key_name(p, end, name), end, b"origClientOrderId=", 18)
    p = after_client_id(p, end, order.client_id)
    p = after_price(after(p, end, b"&price=", 7), end, order.price_ticks, i)
    p = after_number(after(p, end, b"&quantity=", 10), end, order.lots * i.lot_mantissa, i.lot_decimals)
    p = after_side_and_symbol(p, end, order, i)
    return after_number(after(p, end, b"&timestamp=", 11), end, timestamp_ms, 0)


cdef const char* after_leg(const char* p, const char* end, int position_side) noexcept nogil:
    if position_side == PositionSide.LONG:
        return after(p, end, b"&positionSide=LONG", 18)
    return after(p, end, b"&positionSide=SHORT", 19) if position_side == PositionSide.SHORT else p


cdef const char* after_limit(const char* p, const char* end, const approved_t* order,
                             const instrument_t* i) noexcept nogil:
    if order.price_match:
        return after_price_match(p, end, order.price_match)
    if order.type == OrderType.LIMIT or order.type == OrderType.STOP or order.type == OrderType.TAKE_PROFIT:
        return after_price(after(p, end, b"&price=", 7), end, order.price_ticks, i)
    return p


cdef const char* after_flags(const char* p, const char* end, const approved_t* order) noexcept nogil:
    if order.reduce_only:
        p = after(p, end, b"&reduceOnly=true", 16)
    return after_self_trade(p, end, order.stp) if order.stp else p


cdef const char* after_side_and_symbol(const char* p, const char* end, const approved_t* order,
                                       const instrument_t* i) noexcept nogil:
    if order.side == Side.SELL:
        p = after(p, end, b"&side=SELL", 10)
    else:
        p = after(p, end, b"&side=BUY", 9)
    return after(after(p, end, b"&symbol=", 8), end, i.name, strlen(i.name))


# ---------------------------------------------------------------------------------- signatures

KEY_NAME = re.compile(rb"[A-Za-z0-9_-]{0,%d}" % NAME_BYTES)


@cython.final
cdef class Approval:
    """An order that the gate has approved, as Python may hold one: ``RiskGate.ask`` alone fills it.

    An empty one has no text.
    """

    def __reduce__(self):
        raise TypeError("an approval is not stored")


@cython.final
cdef class Request:
    """Something that is asked of the exchange.

    Parameters
    ----------
    kind : Kind
        ORDER, AMEND, CANCEL or QUERY.
    client_id : int
    symbol : int
    conditional : bool, optional
        Whether the order lives in the algo universe.
    closes : bool, optional
        Whether it can only make a position smaller.
    approval : Approval, optional
        Of orders and amendments, what risk has let through.

    Attributes
    ----------
    number : int
        Under which it left over the request socket; 0: it has not.
    weight_sent, orders_sent : int
        What had been sent then, itself included.
    may_open : bool
        Whether it could make a position larger.
    is_exit : bool
        Whether it can only take risk away: a cancel, or an order that closes.
    """

    def __init__(self, object kind, uint64_t client_id, int symbol, bint conditional=False, bint closes=False,
                 Approval approval=None):
        self.kind = kind
        self.code = int(kind)
        self.client_id = client_id
        self.symbol = symbol
        self.conditional = conditional
        self.closes = closes
        self.approval = approval

    cdef bint is_order(self) noexcept:
        return self.code == Kind.ORDER or self.code == Kind.AMEND

    cdef bint gives_way(self) noexcept:
        return self.closes if self.is_order() else self.code == Kind.CANCEL

    @property
    def may_open(self):
        return self.is_order() and not self.closes

    @property
    def is_exit(self):
        return self.gives_way()


@cython.final
cdef class Signer:
    """Signs what an account sends: HMAC-SHA256 in hexadecimal, as the exchange wants it.

    Parameters
    ----------
    key : bytes or None
        Secret of the account. Its two blocks are hashed once; the key itself is not kept. None: texts have no
        signature, for a session that has logged on or for whoever signs them in another way.
    portable : bool, optional
        Plain C even where the processor has SHA instructions (the reference of the fast form).
    name : bytes, optional
        The API key that a text names (``apiKey``), as the WebSocket API wants it; empty for REST, whose header does.

    Raises
    ------
    ValueError
        If the key is empty, or the name has another character than letters, digits, ``-`` and ``_``, or more than 128.

    Notes
    -----
    RFC 2104. What is kept is enough to sign, so it is as secret as the key: nothing shows it, it is neither copied
    nor pickled, and it is overwritten when the signer goes.
    """

    def __cinit__(self, bytes key, bint portable=False, bytes name not None=b""):
        if key is not None and len(key) == 0:
            raise ValueError("a signing key has at least one byte")
        if not KEY_NAME.fullmatch(name):
            raise ValueError(f"an API key is at most {NAME_BYTES} letters, digits, - and _")
        memcpy(self.name, <const char*> name, len(name) + 1)
        self.signs = key is not None
        if key is not None:
            hmac_key(&self.key, <const char*> key, len(key), portable)

    def __dealloc__(self):
        wipe(&self.key, sizeof(hmac_t))
        wipe(self.name, sizeof(self.name))

    def __reduce__(self):
        raise TypeError("a signing key is not stored")

    cdef void sign_into(self, const char* text, Py_ssize_t n, char* out) noexcept nogil:
        hmac_hex(&self.key, text, n, out)

    cdef Py_ssize_t sign_order(self, const approved_t* order, Instruments instruments, int64_t timestamp_ms,
                               char* out) noexcept nogil:
        cdef char signature[64]
        cdef const instrument_t* i
        cdef Py_ssize_t n
        if order.symbol >= instruments.size or not is_writable(order):
            return 0
        i = &instruments.data[order.symbol]
        n = self.signed(out, encode_order(order, i, timestamp_ms, self.name, out), signature)
        if says(out, n, order, i, timestamp_ms, self.name, signature if self.signs else NULL):
            return n
        memset(out, 0, n)
        return 0

    cdef Py_ssize_t signed(self, char* text, Py_ssize_t n, char* signature) noexcept nogil:
        # Puts the signature of a text behind it, if there is a key; returns the length of both.
        if not self.signs:
            return n
        self.sign_into(text, n, signature)
        memcpy(put(text + n, b"&signature="), signature, 64)
        return n + SIGNATURE_BYTES

    cdef Py_ssize_t sign_reference(self, uint64_t client_id, int symbol, Instruments instruments, int64_t timestamp_ms,
                                   bint conditional, char* out) except 0:
        cdef char signature[64]
        if not 0 <= symbol < instruments.size:
            raise IndexError(symbol)
        return self.signed(
            out, encode_reference(client_id, conditional, &instruments.data[symbol], timestamp_ms, self.name, out),
            signature)

    def sign(self, bytes text not None):
        """Return the signature of a text, 64 hexadecimal digits; ValueError without a key."""
        cdef char out[64]
        if not self.signs:
            raise ValueError("no key to sign with")
        self.sign_into(<const char*> text, len(text), out)
        return out[:64]

    def order_text(self, Approval approval not None, Instruments instruments not None, int64_t timestamp_ms):
        """Return the text of an approved order, compared with what was approved (R32); empty if refused.

        Parameters
        ----------
        approval : Approval
            Of a plain order, a conditional one, or an amendment: the text is that of the one call that takes it.
        instruments : Instruments
            Those of the gate that approved it.
        timestamp_ms : int
            When it leaves, ms UTC.

        Notes
        -----
        The only way from an approved order to bytes. No host is part of the text: that the connection is the one of
        the run's mode is for the session to check.
        """
        cdef char out[ORDER_BYTES]
        cdef Py_ssize_t n = self.sign_order(&approval.order, instruments, timestamp_ms, out)
        return out[:n]

    def compare(self, bytes text not None, Approval approval not None, Instruments instruments not None,
                int64_t timestamp_ms):
        """Return R32's verdict on a text: approved if it says what was approved, and is signed as this signer would."""
        cdef char signature[64]
        cdef const char* p = text
        cdef Py_ssize_t n = len(text)
        if self.signs:
            self.sign_into(p, max(0, n - SIGNATURE_BYTES), signature)
        if approval.order.symbol < instruments.size and is_writable(&approval.order) and says(
                p, n, &approval.order, &instruments.data[approval.order.symbol], timestamp_ms, self.name,
                signature if self.signs else NULL):
            return ReasonFace.APPROVED
        return ReasonFace.R32_NOT_AS_APPROVED

    def reference_text(self, uint64_t client_id, int symbol, Instruments instruments not None, int64_t timestamp_ms,
                       bint conditional=False):
        """Return the text that names an order, signed if there is a key: to cancel it, or to ask for it.

        Parameters
        ----------
        client_id : int
        symbol : int
            Index of its symbol, of which the text of a conditional order says nothing.
        instruments : Instruments
        timestamp_ms : int
            When it leaves, ms UTC.
        conditional : bool, optional
            Whether it waits for its trigger.

        Raises
        ------
        IndexError
            If there is no such symbol.
        """
        cdef char out[ORDER_BYTES]
        return out[:self.sign_reference(client_id, symbol, instruments, timestamp_ms, conditional, out)]


def sha256(bytes message not None, bint portable=False):
    """Return the SHA-256 of a message, 32 bytes (``portable``: in plain C whatever the processor has)."""
    cdef char out[32]
    sha256_of(<const char*> message, len(message), out, portable)
    return out[:32]
