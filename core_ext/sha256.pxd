"""SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104) in C. Everything inline, no allocation, nothing raises.

The hash is here because every order is signed: through hashlib a signature allocates four objects, and the two
blocks of the key are hashed again each time unless copies of both states are made. A key is turned into its two
states once and is not kept. Two forms of one function give the same bits: plain C, and the processor's own SHA
instructions where cpuid says that it has them.

It knows bytes. It refuses to know what is signed and where a key comes from.
"""
from libc.stdint cimport uint32_t


cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && defined(__GNUC__)
    #define AT_SHA_NI 1
    #include <cpuid.h>
    #include <immintrin.h>
    #endif

    typedef struct {
        uint32_t inner[8];      /* state after the block of key ^ 0x36.. */
        uint32_t outer[8];      /* state after the block of key ^ 0x5C.. */
        int portable;           /* plain C although the processor has the instructions */
    } at_hmac_t;

    /* First 32 bits of the fractions of the square roots of the first 8 primes, of the cube roots of the first 64. */
    static const uint32_t at_sha_start[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static const uint32_t at_sha_k[64] __attribute__((aligned(16))) = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

    static inline uint32_t at_ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

    static inline uint32_t at_big_endian(const unsigned char *p) {
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }

    /* Section 6.2.2, the sixteen live words of the schedule in a ring; unrolled, the eight letters are only names. */
    static void __attribute__((unused)) at_sha_plain(uint32_t *state, const unsigned char *p, size_t blocks) {
        uint32_t w[16], a, b, c, d, e, f, g, h, one, two;
        int t;
        for (; blocks; blocks--, p += 64) {
            a = state[0], b = state[1], c = state[2], d = state[3];
            e = state[4], f = state[5], g = state[6], h = state[7];
    #pragma GCC unroll 64
            for (t = 0; t < 64; t++) {
                if (t < 16) {
                    w[t] = at_big_endian(p + 4 * t);
                } else {
                    one = w[(t - 15) & 15];
                    two = w[(t - 2) & 15];
                    w[t & 15] += (at_ror(one, 7) ^ at_ror(one, 18) ^ one >> 3) + w[(t - 7) & 15]
                               + (at_ror(two, 17) ^ at_ror(two, 19) ^ two >> 10);
                }
                one = h + (at_ror(e, 6) ^ at_ror(e, 11) ^ at_ror(e, 25)) + ((e & f) ^ (~e & g))
                    + at_sha_k[t] + w[t & 15];
                two = (at_ror(a, 2) ^ at_ror(a, 13) ^ at_ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
                h = g, g = f, f = e, e = d + one;
                d = c, c = b, b = a, a = one + two;
            }
            state[0] += a, state[1] += b, state[2] += c, state[3] += d;
            state[4] += e, state[5] += f, state[6] += g, state[7] += h;
        }
    }

    #ifdef AT_SHA_NI
    /* Four rounds a step: the instructions want the state as (a, b, e, f) and (c, d, g, h), highest word first. */
    __attribute__((target("sha,sse4.1")))
    static void __attribute__((unused)) at_sha_ni(uint32_t *state, const unsigned char *p, size_t blocks) {
        const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
        __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
        __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
        __m128i w[4], m, abef_before, cdgh_before;
        int t;
        for (; blocks; blocks--, p += 64) {
            abef_before = abef;
            cdgh_before = cdgh;
    #pragma GCC unroll 16
            for (t = 0; t < 16; t++) {
                if (t < 4)
                    w[t] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * t)), swap);
                else
                    w[t & 3] = _mm_sha256msg2_epu32(
                        _mm_add_epi32(_mm_sha256msg1_epu32(w[t & 3], w[(t + 1) & 3]),
                                      _mm_alignr_epi8(w[(t + 3) & 3], w[(t + 2) & 3], 4)), w[(t + 3) & 3]);
                m = _mm_add_epi32(w[t & 3], _mm_load_si128((const __m128i *)(at_sha_k + 4 * t)));
                cdgh = _mm_sha256rnds2_epu32(cdgh, abef, m);
                abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(m, 0x0E));
            }
            abef = _mm_add_epi32(abef, abef_before);
            cdgh = _mm_add_epi32(cdgh, cdgh_before);
        }
        low = _mm_shuffle_epi32(abef, 0x1B);
        high = _mm_shuffle_epi32(cdgh, 0xB1);
        _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
        _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
    }

    static int __attribute__((unused)) at_has_sha(void) {
        static int known = -1;
        unsigned a, b, c, d;
        if (known < 0)
            known = __get_cpuid(1, &a, &b, &c, &d) && c & bit_SSE4_1
                 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1u << 29;
        return known;
    }
    #endif

    static inline void at_sha_blocks(uint32_t *state, const unsigned char *p, size_t blocks, int portable) {
    #ifdef AT_SHA_NI
        if (!portable && at_has_sha()) {
            at_sha_ni(state, p, blocks);
            return;
        }
    #endif
        (void)portable;
        at_sha_plain(state, p, blocks);
    }

    /* Hash the rest of a message of which `before` bytes, whole blocks, are in the state already; pad and close it. */
    static void __attribute__((unused)) at_sha_close(uint32_t *state, const void *text, size_t n, uint64_t before,
                                                     int portable) {
        const unsigned char *p = (const unsigned char *)text;
        unsigned char tail[128] = {0};
        const size_t whole = n & ~(size_t)63, rest = n & 63, size = rest < 56 ? 64 : 128;
        const uint64_t bits = (before + n) << 3;
        int k;
        memcpy(tail, p + whole, rest);
        tail[rest] = 0x80;
        for (k = 0; k < 8; k++) tail[size - 1 - k] = (unsigned char)(bits >> 8 * k);
        if (whole) at_sha_blocks(state, p, whole >> 6, portable);
        at_sha_blocks(state, tail, size >> 6, portable);
    }

    /* The number whose bytes lie in memory from the greatest to the least. */
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static inline uint32_t at_big32(uint32_t x) { return __builtin_bswap32(x); }
    static inline uint64_t at_big64(uint64_t x) { return __builtin_bswap64(x); }
    #else
    static inline uint32_t at_big32(uint32_t x) { return x; }
    static inline uint64_t at_big64(uint64_t x) { return x; }
    #endif

    static inline void at_sha_bytes(const uint32_t *state, unsigned char *out) {
        uint32_t word;
        int k;
        for (k = 0; k < 8; k++) {
            word = at_big32(state[k]);
            memcpy(out + 4 * k, &word, 4);
        }
    }

    static inline void at_sha256(const char *text, size_t n, char *out, int portable) {
        uint32_t state[8];
        memcpy(state, at_sha_start, sizeof state);
        at_sha_close(state, text, n, 0, portable);
        at_sha_bytes(state, (unsigned char *)out);
    }

    /* A store that no optimiser takes for a dead one. */
    static inline void at_wipe(void *p, size_t n) {
        volatile unsigned char *byte = (volatile unsigned char *)p;
        while (n--) *byte++ = 0;
    }

    static void __attribute__((unused)) at_hmac_key(at_hmac_t *h, const char *key, size_t n, int portable) {
        unsigned char block[64] = {0};
        int k;
        if (n > 64) at_sha256(key, n, (char *)block, portable);
        else memcpy(block, key, n);
        h->portable = portable;
        memcpy(h->inner, at_sha_start, sizeof h->inner);
        memcpy(h->outer, at_sha_start, sizeof h->outer);
        for (k = 0; k < 64; k++) block[k] ^= 0x36;
        at_sha_blocks(h->inner, block, 1, portable);
        for (k = 0; k < 64; k++) block[k] ^= 0x36 ^ 0x5C;
        at_sha_blocks(h->outer, block, 1, portable);
        at_wipe(block, sizeof block);
    }

    /* Eight hexadecimal digits at once: a digit a byte, then a letter where it is ten and more. */
    static inline void at_hex_word(uint32_t word, char *out) {
        uint64_t x = word;
        x = (x | x << 16) & 0x0000FFFF0000FFFFULL;
        x = (x | x << 8) & 0x00FF00FF00FF00FFULL;
        x = (x | x << 4) & 0x0F0F0F0F0F0F0F0FULL;
        x += 0x3030303030303030ULL + ((x + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL) * 39;
        x = at_big64(x);
        memcpy(out, &x, 8);
    }

    /* 64 hexadecimal digits, no terminating zero. */
    static void __attribute__((unused)) at_hmac_hex(const at_hmac_t *h, const char *text, size_t n, char *out) {
        uint32_t state[8];
        unsigned char digest[32];
        int k;
        memcpy(state, h->inner, sizeof state);
        at_sha_close(state, text, n, 64, h->portable);
        at_sha_bytes(state, digest);
        memcpy(state, h->outer, sizeof state);
        at_sha_close(state, digest, 32, 64, h->portable);
        for (k = 0; k < 8; k++) at_hex_word(state[k], out + 8 * k);
    }
    """
    ctypedef struct hmac_t "at_hmac_t":
        uint32_t inner[8]
        uint32_t outer[8]
        int portable

    void sha256_of "at_sha256"(const char* text, size_t n, char* out, bint portable) noexcept nogil
    void hmac_key "at_hmac_key"(hmac_t* h, const char* key, size_t n, bint portable) noexcept nogil
    void hmac_hex "at_hmac_hex"(const hmac_t* h, const char* text, size_t n, char* out) noexcept nogil
    void wipe "at_wipe"(void* p, size_t n) noexcept nogil
