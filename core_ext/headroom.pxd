"""How much more of each instrument a portfolio's limits leave, worked out between two market events.

The slow layer of a backtest: the driver asks it, and what it says reaches the gate a delay later as rows of
the stream. It knows value at risk and expected shortfall of normal returns, concentration and correlation,
gross and net exposure, and the distance to liquidation. It changes nothing in the engine that it reads, and
it refuses to know an order: of those it reads what the position comes to once they have filled.

Of the returns it keeps one matrix of sums of products, each time it is asked older by one step; a time
costs one pass over the matrix, and one over the columns of what is held. An instrument that is listed later has
its products from then on, and what both of a pair have seen is what their covariance is the mean of. A row is
given only where the gate does not have the number already, see `keeps`.
"""
from libc.stdint cimport int64_t

from core_ext.engine cimport Engine
from core_ext.risk cimport GATE_SYMBOLS
from core_ext.types cimport Instruments, Rows


cdef struct room_t:
    double notional        # USDT, never negative
    int factor             # sizing.Factor: the limit that leaves the least


cdef class Headroom:
    cdef Instruments instruments
    cdef Rows out
    # Limits, shares of the equity; the first is of the standard deviation of a day.
    cdef double most_deviation
    cdef double most_symbol
    cdef double most_gross
    cdef double most_net
    cdef double distance               # to the liquidation price after the trade, share of the mark
    # Returns between the times it was asked.
    cdef double asked_a_day
    cdef double decay
    cdef double* sums                  # (n, n): products of returns, the newest whole, one older by the decay less
    cdef double weights[GATE_SYMBOLS]  # of an instrument's returns, from its first on
    cdef double squares[GATE_SYMBOLS]  # sum of their squared weights
    cdef double marks[GATE_SYMBOLS]    # when it was asked last, 1e-8 USDT; 0: none
    # The portfolio, signed USDT.
    cdef double equity
    cdef double held[GATE_SYMBOLS]
    cdef double filled[2][GATE_SYMBOLS]    # once every open buy, or sell, of the instrument has filled
    cdef double maintenances[GATE_SYMBOLS]
    # What follows from both, by `weigh`.
    cdef double gross
    cdef double net
    cdef double maintenance
    cdef double variance               # of a day, USDT squared
    cdef double risk[GATE_SYMBOLS]     # covariance of each instrument with the portfolio
    cdef double precision[GATE_SYMBOLS]    # one over the deviation of a return; 0 without one
    cdef double doubts[GATE_SYMBOLS]   # of a correlation, in Fisher's transformation, as its tangent
    cdef int others[GATE_SYMBOLS]      # the instruments that are held
    cdef int n_others
    cdef int64_t told_ts[GATE_SYMBOLS]     # stamp of the row that was given last, -1: none
    cdef int64_t renewed_ts            # when there was one of all that are believed: they grow stale together

    cpdef Rows ask(self, Engine engine, int64_t ts, int64_t next_ts)
    cdef double seen(self, int symbol) noexcept nogil
    cdef double scale(self, int a, int b) noexcept nogil
    cdef bint knows_all(self) noexcept nogil
    cdef void take_marks(self, Engine engine) noexcept nogil
    cdef void learn(self, double* returns) noexcept nogil
    cdef void read(self, Engine engine) noexcept nogil
    cdef void weigh(self) noexcept nogil
    cdef void doubt_correlations(self) noexcept nogil
    cdef double correlation_factor(self, int symbol) noexcept nogil
    cdef room_t room(self, int symbol, int side, double factor) noexcept nogil
    cdef double within_variance(self, int symbol, int side) noexcept nogil
    cdef double before_liquidation(self, int symbol, int side) noexcept nogil
    cdef int64_t lots_of(self, int symbol, double notional) noexcept nogil
    cdef int tell(self, Engine engine, int symbol, int64_t ts, int64_t next_ts) except -1
    cdef bint keeps(self, Engine engine, int symbol, const int64_t* lots, int64_t next_ts) noexcept nogil
