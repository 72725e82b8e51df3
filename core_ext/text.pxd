"""Numbers and words as text, written where the caller has room. Everything inline, nothing raises.

Knows how a whole number and a decimal look on the wire. Refuses to know what they mean. Each function returns the
byte after what it has written.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, strlen


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define AT_DECIMAL_BYTES 48      /* 39 digits of 128 bits, their point, up to eight zeros in front */

    /* From the last digit to the first, so that the point and the zeros behind it fall into their places. */
    static inline char *at_put_digits(char *out, unsigned __int128 value, int decimals) {
        char text[AT_DECIMAL_BYTES], *p = text + AT_DECIMAL_BYTES;
        uint64_t low;
        int k = 0;
        for (; value >> 64; value /= 10) {
            if (k++ == decimals && decimals) *--p = '.';
            *--p = (char)('0' + (int)(value % 10));
        }
        for (low = (uint64_t)value; low || k <= decimals; low /= 10) {
            if (k++ == decimals && decimals) *--p = '.';
            *--p = (char)('0' + low % 10);
        }
        memcpy(out, p, (size_t)(text + AT_DECIMAL_BYTES - p));
        return out + (text + AT_DECIMAL_BYTES - p);
    }

    static inline char *at_put_steps(char *out, int64_t count, int64_t units, int decimals) {
        const uint64_t size = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
        if (count < 0) *out++ = '-';
        return at_put_digits(out, (unsigned __int128)size * (uint64_t)units, decimals);
    }
    """
    enum:
        DECIMAL_BYTES "AT_DECIMAL_BYTES"
    char* put_digits "at_put_digits"(char* out, uint64_t value, int decimals) noexcept nogil
    # So many steps of so many units of the last decimal (at most eight decimals, 0 <= units): never too large.
    char* put_steps "at_put_steps"(char* out, int64_t count, int64_t units, int decimals) noexcept nogil


cdef inline char* put_n(char* out, const char* text, Py_ssize_t n) noexcept nogil:
    memcpy(out, text, n)
    return out + n


cdef inline char* put(char* out, const char* text) noexcept nogil:
    return put_n(out, text, strlen(text))


cdef inline char* put_integer(char* out, uint64_t value) noexcept nogil:
    return put_digits(out, value, 0)


cdef inline char* put_decimal(char* out, int64_t value, int decimals) noexcept nogil:
    # A non-negative integer of so many decimals.
    return put_digits(out, <uint64_t> value, decimals)


cdef inline char* put_signed(char* out, int64_t value) noexcept nogil:
    return put_steps(out, value, 1, 0)
