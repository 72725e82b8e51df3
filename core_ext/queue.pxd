"""Where in a queue that shows only its length a cancellation was.

Knows the share of cancelled lots that stood in front of an order: f(ahead) / (f(ahead) + f(behind)), the expected
value of the probabilistic queue models, with f a power or a logarithm. Refuses to know books and orders. The
pessimistic model is the share zero: then only trades move an order forward.
"""
from libc.stdint cimport int64_t


cdef enum QueueModel:
    PESSIMISTIC = 0
    LINEAR = 1             # f(x) = x: cancellations are as likely everywhere
    SQUARE = 2
    CUBE = 3
    LOGARITHM = 4          # f(x) = log(1 + x)


cdef int64_t cancelled_ahead(int model, int64_t ahead, int64_t behind, int64_t cancelled) noexcept nogil
