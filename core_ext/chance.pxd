"""Draws that are part of the state: a seed and a count of draws give them again.

Knows one generator (splitmix64). Refuses to read anything else than its own state.
"""
from libc.stdint cimport int64_t, uint64_t


cdef inline uint64_t draw(uint64_t* state) noexcept nogil:
    # The next 64 bits: every state has its turn, and a neighbour's are unrelated.
    cdef uint64_t x
    state[0] += <uint64_t> 0x9E3779B97F4A7C15
    x = state[0]
    x = (x ^ (x >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t> 0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline int64_t draw_e8(uint64_t* state) noexcept nogil:
    # Uniform in [0, 1), eight decimals.
    return <int64_t> ((draw(state) >> 32) * <uint64_t> 100000000 >> 32)
