"""Decimal text to integers, ticks to prices, lots to money. Everything inline, nothing raises.

Every product that can pass 63 bits goes through 128. Money is rounded once a booking, half
away from zero, so that a positive and a negative booking of the same size cancel.
"""
from libc.stdint cimport int64_t, uint64_t

from core_ext.types cimport instrument_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define AT_E8 100000000LL
    #define AT_BAD INT64_MIN
    #define AT_MAX_STEPS (1LL << 50)    /* ticks and lots beyond this are absurd and refused */

    static const int64_t at_pow10[19] = {
        1LL, 10LL, 100LL, 1000LL, 10000LL, 100000LL, 1000000LL, 10000000LL, 100000000LL, 1000000000LL,
        10000000000LL, 100000000000LL, 1000000000000LL, 10000000000000LL, 100000000000000LL,
        1000000000000000LL, 10000000000000000LL, 100000000000000000LL, 1000000000000000000LL};

    static inline uint64_t at_size(int64_t x) { return x < 0 ? 0 - (uint64_t)x : (uint64_t)x; }

    static inline int64_t at_signed(uint64_t size, int negative) {
        if (size > INT64_MAX) size = INT64_MAX;
        return negative ? -(int64_t)size : (int64_t)size;
    }

    /* p / c and what is left. A quotient beyond 64 bits saturates, so that one division of the processor does it. */
    static inline uint64_t at_quotient(unsigned __int128 p, uint64_t c, uint64_t *rest) {
        const uint64_t high = (uint64_t)(p >> 64), low = (uint64_t)p;
        uint64_t q = UINT64_MAX;
        *rest = 0;
        if (!high) { *rest = low % c; return low / c; }
        if (high >= c) return q;
    #if defined(__x86_64__)
        __asm__("divq %4" : "=a"(q), "=d"(*rest) : "a"(low), "d"(high), "r"(c) : "cc");
    #else
        q = (uint64_t)(p / c);
        *rest = (uint64_t)(p % c);
    #endif
        return q;
    }

    /* a * b / c, half away from zero; c > 0; saturates so that absurd input stays absurd and is refused. */
    static inline int64_t at_mul_div(int64_t a, int64_t b, int64_t c) {
        uint64_t rest;
        const unsigned __int128 p = (unsigned __int128)at_size(a) * at_size(b) + (uint64_t)c / 2;
        return at_signed(at_quotient(p, (uint64_t)c, &rest), (a < 0) ^ (b < 0));
    }

    /* a * b / c, rounded towards minus infinity. */
    static inline int64_t at_mul_div_floor(int64_t a, int64_t b, int64_t c) {
        uint64_t rest, q = at_quotient((unsigned __int128)at_size(a) * at_size(b), (uint64_t)c, &rest);
        const int negative = (a < 0) ^ (b < 0);
        if (negative && rest && q < INT64_MAX) q += 1;
        return at_signed(q, negative);
    }

    /* Whether a * b <= c * d. */
    static inline int at_no_more(int64_t a, int64_t b, int64_t c, int64_t d) {
        return (__int128)a * b <= (__int128)c * d;
    }

    static inline int64_t at_mul(int64_t a, int64_t b) {
        __int128 p = (__int128)a * b;
        if (p > INT64_MAX) return INT64_MAX;
        if (p < -INT64_MAX) return -INT64_MAX;
        return (int64_t)p;
    }

    /* A byte loop on purpose: branch prediction runs ahead of it.
       Read an unsigned decimal at *p as an integer of `decimals` decimals. The caller guarantees that the text
       ends in a byte that is no digit. Returns AT_BAD for no digits, for more than 18 of them, and for a
       non-zero digit finer than `decimals`; *p then is undefined. */
    static inline __attribute__((always_inline)) int64_t at_decimal_here(const char **p, int decimals) {
        const char *start = *p, *s = start;
        uint64_t v = 0, d;
        int n, k = 0;
        while ((d = (uint64_t)(unsigned char)*s - '0') < 10) { v = v * 10 + d; s++; }
        n = (int)(s - start);
        if (n == 0 || s - start > 18) return AT_BAD;
        if (*s == '.') {
            s++;
            while (k < decimals && (d = (uint64_t)(unsigned char)*s - '0') < 10) { v = v * 10 + d; s++; k++; }
            if (n + k > 18) return AT_BAD;
            if (k == decimals) {
                while (*s == '0') s++;
                if ((uint64_t)(unsigned char)*s - '0' < 10) return AT_BAD;
            }
        }
        *p = s;
        if (k < decimals) {
            if (n + decimals > 18 && v > (uint64_t)(INT64_MAX / at_pow10[decimals - k])) return AT_BAD;
            v *= (uint64_t)at_pow10[decimals - k];
        }
        return (int64_t)v;
    }

    static int64_t __attribute__((noinline, unused)) at_decimal(const char **p, int decimals) {
        return at_decimal_here(p, decimals);
    }

    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* Eight bytes at once: `whole` digits, a point, `decimals` digits, all among the eight bytes of x. Returns AT_BAD
       when it is anything else, which says nothing about the text. */
    static inline __attribute__((always_inline)) int64_t at_eight(uint64_t x, int whole, int decimals) {
        const uint64_t before = ((uint64_t)1 << 8 * whole) - 1;
        uint64_t d = ((x & before) | (x >> 8 & ~before)) ^ 0x3030303030303030ULL;     /* the point taken out */
        d <<= 8 * (8 - whole - decimals);
        if (((d + 0x7676767676767676ULL) | d) & 0x8080808080808080ULL) return AT_BAD;   /* a byte of ten and more */
        d = d * 10 + (d >> 8);
        return (int64_t)(((d & 0x000000FF000000FFULL) * 0x000F424000000064ULL
                          + (d >> 16 & 0x000000FF000000FFULL) * 0x0000271000000001ULL) >> 32);
    }

    /* What at_decimal reads, for prices of a message: they are of one length, so the point is looked for where it was
       in the one before. */
    static inline __attribute__((always_inline)) int64_t at_decimal_like(const char **p, const char *end,
                                                                                int decimals, int *whole) {
        const char *s = *p;
        int64_t v;
        uint64_t x;
        const int readable = end - s >= 8;
        if (readable && s[*whole] == '.' && *whole + decimals < 8) {
            memcpy(&x, s, 8);
            v = at_eight(x, *whole, decimals);
            if (v != AT_BAD) {
                s += *whole + 1 + decimals;
                if (*s != '"') {
                    while (*s == '0') s++;
                    if ((uint64_t)(unsigned char)*s - '0' < 10) return AT_BAD;
                }
                *p = s;
                return v;
            }
        }
        if (readable) for (*whole = 1; *whole < 7 && s[*whole] != '.'; ++*whole) {}
        v = at_decimal(&s, decimals);
        *p = s;
        return v;
    }

    /* The same for quantities, whose lengths nobody can predict: the point is found without a branch. */
    static inline __attribute__((always_inline)) int64_t at_decimal_soon(const char **p, const char *end,
                                                                                int decimals) {
        const char *s = *p;
        int64_t v;
        uint64_t x, points;
        int whole;
        if (end - s >= 8) {
            memcpy(&x, s, 8);
            points = x ^ 0x2E2E2E2E2E2E2E2EULL;
            points = (points - 0x0101010101010101ULL) & ~points & 0x8080808080808080ULL;
            whole = points ? __builtin_ctzll(points) >> 3 : 0;
            if (whole > 0 && whole + decimals < 8) {
                v = at_eight(x, whole, decimals);
                if (v != AT_BAD) {
                    s += whole + 1 + decimals;
                    if (*s != '"') {
                        while (*s == '0') s++;
                        if ((uint64_t)(unsigned char)*s - '0' < 10) return AT_BAD;
                    }
                    *p = s;
                    return v;
                }
            }
        }
        v = at_decimal(&s, decimals);
        *p = s;
        return v;
    }
    #else
    #define at_decimal_like(p, end, decimals, whole) at_decimal(p, decimals)
    #define at_decimal_soon(p, end, decimals) at_decimal(p, decimals)
    #endif

    static inline int64_t at_saturated(__int128 p) {
        return p > INT64_MAX ? INT64_MAX : p < -INT64_MAX ? -INT64_MAX : (int64_t)p;
    }

    /* price_e8 * lots * lot_e8 in 128 bits: value with sixteen decimals. False when even those do not hold it. */
    static inline int at_value(int64_t price, int64_t lots, int64_t lot, __int128 *value) {
        *value = (__int128)price * lots;
        return !__builtin_mul_overflow(*value, (__int128)lot, value);
    }

    static inline int64_t at_value_e8(int64_t price, int64_t lots, int64_t lot) {
        __int128 v;
        unsigned __int128 size;
        uint64_t rest;
        if (!at_value(price, lots, lot, &v)) return (price < 0) ^ (lots < 0) ? -INT64_MAX : INT64_MAX;
        size = v < 0 ? 0 - (unsigned __int128)v : (unsigned __int128)v;
        return at_signed(at_quotient(size + AT_E8 / 2, AT_E8, &rest), v < 0);
    }

    /* value * rate, exact until the one rounding: with v = q * 1e16 + r it is q * rate + r * rate / 1e16. */
    static inline int64_t at_funding_e8(int64_t mark, int64_t lots, int64_t lot, int64_t rate) {
        const __int128 d = (__int128)AT_E8 * AT_E8;
        __int128 v, r;
        if (!at_value(mark, lots, lot, &v)) return (lots < 0) ^ (rate < 0) ? -INT64_MAX : INT64_MAX;
        r = v % d * rate;
        r = (r + (r >= 0 ? d / 2 : -d / 2)) / d;
        if (__builtin_mul_overflow(v / d, (__int128)rate, &v) || __builtin_add_overflow(v, r, &v))
            return (lots < 0) ^ (rate < 0) ? -INT64_MAX : INT64_MAX;
        return at_saturated(v);
    }

    /* The price at which money is what `longs` and `shorts` of these margin ratios still need; *sign tells whether
       the need grows (1) or shrinks (-1) with the price. money * 1e16 takes 117 bits. */
    static inline int64_t at_liquidation(int64_t money, int64_t lot, int64_t longs, int64_t shorts,
                                         int64_t long_mmr, int64_t short_mmr, int *sign) {
        __int128 n = (__int128)money * AT_E8 * AT_E8, h;
        __int128 d = (__int128)longs * long_mmr + (__int128)shorts * short_mmr - ((__int128)longs - shorts) * AT_E8;
        *sign = d > 0 ? 1 : d < 0 ? -1 : 0;
        if (!d) return 0;
        if (d < 0) { n = -n; d = -d; }
        if (!(d >> 64)) d *= lot;
        else if (__builtin_mul_overflow(d, (__int128)lot, &d)) return 0;       /* far more than 2 n */
        h = d / 2;
        return at_saturated(n >= 0 ? (n + h) / d : (n - h) / d);
    }

    /* The first byte from `p` on that ends or forbids plain text: a quote, a backslash, or anything but printable
       ASCII. `end` when there is none. */
    static inline const char *at_plain_end(const char *p, const char *end) {
        const uint64_t ones = 0x0101010101010101ULL, tops = 0x8080808080808080ULL;
        while (end - p >= 8) {
            uint64_t x, quote, slash, found;
            memcpy(&x, p, 8);
            quote = x ^ (ones * '"');
            slash = x ^ (ones * '\\\\');
            /* A byte below 0x20, an equal one (its difference is zero), one of 0x7F and more. */
            found = ((x - ones * 0x20) | (quote - ones) | (slash - ones)) & ~x & tops;
            found |= (x | (x + ones)) & tops;
            if (found) break;
            p += 8;
        }
        while (p < end && *p != '"' && *p != '\\\\' && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7F) p++;
        return p;
    }

    /* Ask for the cache lines of a message at once instead of one miss after the other. */
    static inline void at_prefetch(const char *p, long n) {
        long k;
        for (k = 64; k < n && k < 8192; k += 64) __builtin_prefetch(p + k);
    }

    static inline int at_ctz(uint64_t x) { return __builtin_ctzll(x); }
    static inline int at_clz(uint64_t x) { return __builtin_clzll(x); }
    """
    const int64_t E8 "AT_E8"
    const int64_t BAD "AT_BAD"
    const int64_t MAX_STEPS "AT_MAX_STEPS"
    int64_t mul_div "at_mul_div"(int64_t a, int64_t b, int64_t c) noexcept nogil
    int64_t mul_div_floor "at_mul_div_floor"(int64_t a, int64_t b, int64_t c) noexcept nogil
    bint no_more "at_no_more"(int64_t a, int64_t b, int64_t c, int64_t d) noexcept nogil
    int64_t mul "at_mul"(int64_t a, int64_t b) noexcept nogil
    int64_t value_of_e8 "at_value_e8"(int64_t price, int64_t lots, int64_t lot) noexcept nogil
    int64_t funding_of_e8 "at_funding_e8"(int64_t mark, int64_t lots, int64_t lot, int64_t rate) noexcept nogil
    int64_t liquidation_at "at_liquidation"(int64_t money, int64_t lot, int64_t longs, int64_t shorts,
                                            int64_t long_mmr, int64_t short_mmr, int* sign) noexcept nogil
    int64_t read_decimal "at_decimal"(const char** p, int decimals) noexcept nogil
    int64_t read_decimal_like "at_decimal_like"(const char** p, const char* end, int decimals,
                                                int* whole) noexcept nogil
    int64_t read_decimal_soon "at_decimal_soon"(const char** p, const char* end, int decimals) noexcept nogil
    const char* plain_end "at_plain_end"(const char* p, const char* end) noexcept nogil
    void prefetch "at_prefetch"(const char* p, long n) noexcept nogil
    int ctz "at_ctz"(uint64_t x) noexcept nogil
    int clz "at_clz"(uint64_t x) noexcept nogil


cdef inline int64_t steps(int64_t value, int64_t mantissa) noexcept nogil:
    # A decimal already scaled to the step's decimals -> a count of steps, BAD when off the grid.
    if mantissa == 1 or value == BAD:
        return value
    return value // mantissa if value % mantissa == 0 else BAD


cdef inline int64_t notional_e8(const instrument_t* i, int64_t ticks, int64_t lots) noexcept nogil:
    # Signed with the lots.
    return mul(mul(ticks, i.unit_e8), lots)


cdef inline int64_t value_e8(const instrument_t* i, int64_t price_e8, int64_t lots) noexcept nogil:
    # Notional at a price that is on no tick (mark, index, candle), rounded once.
    return value_of_e8(price_e8, lots, i.lot_e8)


cdef inline int64_t price_e8(const instrument_t* i, int64_t ticks) noexcept nogil:
    return mul(ticks, i.tick_e8)


cdef inline int64_t ticks_down(const instrument_t* i, int64_t price) noexcept nogil:
    # To a price that an order may have: the tick of the day may be several of the run's.
    cdef int64_t ticks = mul_div_floor(price, 1, i.tick_e8)
    return ticks - ticks % i.tick_step if i.tick_step > 1 else ticks


cdef inline int64_t ticks_up(const instrument_t* i, int64_t price) noexcept nogil:
    cdef int64_t ticks = -mul_div_floor(-price, 1, i.tick_e8)
    return ticks + (i.tick_step - ticks % i.tick_step) % i.tick_step if i.tick_step > 1 else ticks


cdef inline int64_t part_e8(int64_t amount_e8, int64_t fraction_e8) noexcept nogil:
    # A share (fee rate, margin ratio) of an amount.
    return mul_div(amount_e8, fraction_e8, E8)


cdef inline int64_t magnitude(int64_t x) noexcept nogil:
    return -x if x < 0 else x
