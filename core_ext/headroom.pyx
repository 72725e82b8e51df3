"""Portfolio headroom: from covariance, positions and limits to lots."""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport NAN, fabs, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.account cimport ACCOUNT_SYMBOLS, position_t
from core_ext.engine cimport Engine
from core_ext.regime cimport exp_of
from core_ext.risk cimport watch_t
from core_ext.sizing cimport Factor
from core_ext.types cimport Flag, Instruments, Kind, Rows, event_t, instrument_t

import numpy as np

from core_ext.sizing import Factor as FactorFace

# Of the standard normal distribution: the 95 % quantile, and density at the 97.5 % quantile by its tail.
cdef double VAR_95 = 1.6448536269514722
cdef double ES_975 = 2.3378027922014134
cdef double LN_2 = 0.6931471805599453
cdef double UNIT = 1e-8
cdef double FEWEST = 20.0              # effective number of returns before a covariance is believed
cdef double MOST_LOTS = 9007199254740992.0     # whole numbers that a double counts
cdef int64_t SPARE = 128               # one lot in so many is not told, so that a number outlives small moves
cdef int64_t OUTDATED = 64             # a number that is too low by more than one lot in so many is told anew


@cython.final
cdef class Headroom:
    """Headroom of every instrument, from the covariance of the returns between the times at which it is asked.

    Parameters
    ----------
    instruments : Instruments
    daily_var, daily_es : float
        Limits, shares of the equity: value at risk at 95 % and expected shortfall at 97.5 % of a day.
    symbol : float
        Notional of one instrument, share of the equity.
    gross, net : float
        Sum of absolute notionals, absolute sum of notionals.
    liquidation_distance : float
        From the mark to the liquidation price after the trade, as a share of the mark.
    asked_a_day : float
        How often a day it is asked: scales the covariance to a day.
    half_life : float
        Of the covariance, in times asked.

    Raises
    ------
    ValueError
        If a limit is negative or no number, a frequency or a half-life not positive.

    Notes
    -----
    Exponentially falling weights and zero mean. The size factor of an instrument is 1 at a mean absolute
    correlation with what is held of 0.4 and below, 0.3 at 1, linear through (0.6, 0.7) and (0.8, 0.5), on the
    upper 95 % bound of Fisher's transformation: few observations mean a smaller size. No number depends on a
    library's logarithm or power, nor on the order in which a library adds.

    References
    ----------
    RiskMetrics Technical Document (1996), J.P. Morgan.
    """

    def __cinit__(self, Instruments instruments not None, **_):
        self.sums = <double*> PyMem_Calloc(max(1, instruments.size * instruments.size), sizeof(double))
        if self.sums == NULL:
            raise MemoryError("headroom")

    def __init__(self, Instruments instruments not None, *, double daily_var, double daily_es, double symbol,
                 double gross, double net, double liquidation_distance, double asked_a_day, double half_life):
        cdef int k
        limits = (daily_var, daily_es, symbol, gross, net, liquidation_distance)
        if not all(0.0 <= x < 1e9 for x in limits) or not 0.0 < asked_a_day < 1e9 or not 0.0 < half_life < 1e15:
            raise ValueError(f"no limits of a portfolio: {limits}, asked {asked_a_day} times a day, {half_life}")
        self.instruments = instruments
        self.out = Rows()
        self.most_deviation = min(daily_var / VAR_95, daily_es / ES_975)
        self.most_symbol = symbol
        self.most_gross = gross
        self.most_net = net
        self.distance = liquidation_distance
        self.asked_a_day = asked_a_day
        self.decay = exp_of(-LN_2 / half_life)
        for k in range(instruments.size):
            self.told_ts[k] = -1

    def __dealloc__(self):
        PyMem_Free(self.sums)

    cpdef Rows ask(self, Engine engine, int64_t ts, int64_t next_ts):
        """Take the marks in and say what the gate does not know yet.

        Parameters
        ----------
        engine : Engine
            Of the same instruments; it is only read.
        ts : int
            Stamp at which the answer reaches the gate, ns.
        next_ts : int
            When the next one would.

        Returns
        -------
        Rows
            At most one HEADROOM row an instrument, none before there are enough returns of it. They are the model's
            own and good until it is asked again.
        """
        cdef int k, believed = 0
        if engine.instruments.size != self.instruments.size:
            raise ValueError(f"{self.instruments.size} instruments, the engine has {engine.instruments.size}")
        self.out.size = 0
        self.take_marks(engine)
        self.read(engine)
        self.weigh()
        for k in range(self.instruments.size):
            if self.seen(k) >= FEWEST:
                self.tell(engine, k, ts, next_ts)
                believed += 1
        if self.out.size == believed:
            self.renewed_ts = ts
        return self.out

    # ------------------------------------------------------------------ returns

    cdef void take_marks(self, Engine engine) noexcept nogil:
        cdef double returns[GATE_SYMBOLS]
        cdef double mark
        cdef int k
        for k in range(self.instruments.size):
            mark = <double> engine.account.margins[k].mark_e8
            returns[k] = mark / self.marks[k] - 1.0 if mark > 0.0 and self.marks[k] > 0.0 else NAN
            self.marks[k] = mark
        self.learn(returns)

    cdef void learn(self, double* returns) noexcept nogil:
        # NaN: the instrument has no price yet. It had one ever since it had the first.
        cdef double decay = self.decay
        cdef double one
        cdef double* row = self.sums
        cdef int n = self.instruments.size
        cdef int j, k
        for j in range(n):
            one = 1.0 if returns[j] == returns[j] else 0.0
            self.weights[j] = decay * self.weights[j] + one
            self.squares[j] = decay * decay * self.squares[j] + one
            if one == 0.0:
                returns[j] = 0.0
        for j in range(n):
            one = returns[j]
            for k in range(n):
                row[k] = decay * row[k] + one * returns[k]
            row += n

    cdef double seen(self, int symbol) noexcept nogil:
        # Effective number of returns.
        return self.weights[symbol] * self.weights[symbol] / self.squares[symbol] if self.squares[symbol] > 0.0 else 0.0

    cdef bint knows_all(self) noexcept nogil:
        cdef int k
        for k in range(self.instruments.size):
            if not self.weights[k] > 0.0:
                return False
        return True

    cdef double scale(self, int a, int b) noexcept nogil:
        # From the sum of products to the covariance of a day: what both have seen is what the later one has.
        cdef double weight = min(self.weights[a], self.weights[b])
        return self.asked_a_day / weight if weight > 0.0 else 0.0

    # ------------------------------------------------------------------ portfolio

    cdef void read(self, Engine engine) noexcept nogil:
        cdef const position_t* p
        cdef const position_t* q
        cdef const watch_t* w
        cdef int k
        self.equity = engine.account.equity_e8() * UNIT
        for k in range(self.instruments.size):
            p = &engine.account.positions[k]
            q = p + <int> ACCOUNT_SYMBOLS
            w = &engine.gate.watched[k]
            self.held[k] = (<double> p.value_e8 + <double> q.value_e8) * UNIT
            self.maintenances[k] = (<double> p.maintenance_e8 + <double> q.maintenance_e8) * UNIT
            self.filled[0][k] = w.net_e8[0] * UNIT
            self.filled[1][k] = w.net_e8[1] * UNIT

    cdef void weigh(self) noexcept nogil:
        cdef int n = self.instruments.size
        cdef int j, k
        cdef double held
        cdef const double* column
        self.gross = self.net = self.maintenance = self.variance = 0.0
        self.n_others = 0
        memset(self.risk, 0, n * sizeof(double))
        for j in range(n):
            self.maintenance += self.maintenances[j]
            held = self.held[j]
            if held == 0.0:
                continue
            self.others[self.n_others] = j
            self.n_others += 1
            self.net += held
            self.gross += fabs(held)
            column = self.sums + j * n
            for k in range(n):
                self.risk[k] += column[k] * held * self.scale(j, k)
        for k in range(self.n_others):
            j = self.others[k]
            self.variance += self.held[j] * self.risk[j]
        self.variance = max(0.0, self.variance)        # means of unlike spans may miss it by a little
        if self.n_others and n > 1:
            self.doubt_correlations()

    cdef void doubt_correlations(self) noexcept nogil:
        cdef int n = self.instruments.size
        cdef int j
        cdef double root
        for j in range(n):
            root = sqrt(self.sums[j * n + j] * self.scale(j, j))
            self.precision[j] = 1.0 / root if root > 0.0 else 0.0
            if j and self.squares[j] == self.squares[j - 1]:
                self.doubts[j] = self.doubts[j - 1]
                continue
            # (1 - q) / (1 + q) is the hyperbolic tangent of z for q = exp(-2 z).
            root = exp_of(-2.0 * VAR_95 / sqrt(max(self.seen(j) - 3.0, 1e-9)))
            self.doubts[j] = (1.0 - root) / (1.0 + root)

    cdef double correlation_factor(self, int symbol) noexcept nogil:
        cdef const double* row = self.sums + symbol * self.instruments.size
        cdef double total = 0.0, doubt = self.doubts[symbol]
        cdef double scale, mean, bound
        cdef int j, k, count = 0
        for k in range(self.n_others):
            j = self.others[k]
            if j != symbol:
                scale = self.precision[symbol] * self.precision[j] * self.scale(symbol, j)
                total += fabs(row[j]) * scale if scale > 0.0 else 1.0
                doubt = max(doubt, self.doubts[j])
                count += 1
        if count == 0:
            return 1.0
        mean = min(total / count, 1.0)
        bound = (mean + doubt) / (1.0 + mean * doubt)              # tanh of a sum
        if bound <= 0.4:
            return 1.0
        return 1.0 - 1.5 * (bound - 0.4) if bound <= 0.6 else 1.3 - bound

    # ------------------------------------------------------------------ limits

    cdef room_t room(self, int symbol, int side, double factor) noexcept nogil:
        # What still fits on one side, under the limit that leaves the least.
        cdef double sign = -1.0 if side else 1.0
        cdef double filled = self.filled[side][symbol]
        cdef double own = sign * filled
        cdef double others = self.gross - fabs(self.held[symbol])
        cdef room_t room
        if not self.equity > 0.0:
            room.notional = 0.0
            room.factor = Factor.BAD_INPUT
            return room
        room.notional = self.within_variance(symbol, side)
        room.factor = Factor.VAR_HEADROOM
        cap(&room, self.most_symbol * factor * self.equity - own, Factor.CONCENTRATION)
        cap(&room, self.most_gross * self.equity - others - own, Factor.GROSS)
        cap(&room, self.most_net * self.equity - sign * (self.net - self.held[symbol] + filled), Factor.GROSS)
        cap(&room, self.before_liquidation(symbol, side) - own, Factor.LIQUIDATION_SAFE)
        if not room.notional > 0.0:
            room.notional = 0.0
        return room

    cdef double within_variance(self, int symbol, int side) noexcept nogil:
        # Larger root y of c y^2 + 2 b y + (v - most) = 0, the symbol's orders of that side filled; a portfolio
        # that is above its limit has no room.
        cdef double most = self.equity * self.most_deviation
        cdef double moved = self.filled[side][symbol] - self.held[symbol]
        cdef double c = self.sums[symbol * self.instruments.size + symbol] * self.scale(symbol, symbol)
        cdef double b = self.risk[symbol] + c * moved
        cdef double v = self.variance + moved * (self.risk[symbol] + b)
        most *= most
        if side:
            b = -b
        if not v <= most or not c > 0.0:
            return 0.0
        return (sqrt(b * b + c * (most - v)) - b) / c

    cdef double before_liquidation(self, int symbol, int side) noexcept nogil:
        # Notional whose loss over the distance leaves just its maintenance there. The maintenance amount is left
        # out: it only adds room.
        cdef const instrument_t* i = &self.instruments.data[symbol]
        cdef double room = self.equity - (self.maintenance - self.maintenances[symbol])
        cdef double there = 1.0 + self.distance if side else 1.0 - self.distance
        cdef double notional = 0.0
        cdef int k
        for k in range(i.n_brackets):
            notional = room / (self.distance + i.brackets[k].mmr_e8 * UNIT * there)
            if notional <= i.brackets[k].cap_e8 * UNIT:
                break
        return notional

    # ------------------------------------------------------------------ rows

    cdef int64_t lots_of(self, int symbol, double notional) noexcept nogil:
        cdef double lot = self.marks[symbol] * UNIT * (<double> self.instruments.data[symbol].lot_e8 * UNIT)
        return <int64_t> min(notional / lot, MOST_LOTS) if lot > 0.0 else 0

    cdef int tell(self, Engine engine, int symbol, int64_t ts, int64_t next_ts) except -1:
        cdef double factor = self.correlation_factor(symbol)
        cdef room_t rooms[2]
        cdef int64_t lots[2]
        cdef event_t* row
        cdef int side
        for side in range(2):
            rooms[side] = self.room(symbol, side, factor)
            lots[side] = self.lots_of(symbol, rooms[side].notional)
        if self.keeps(engine, symbol, lots, next_ts):
            return 0
        row = self.out.push()
        row.kind = Kind.HEADROOM
        row.flags = Flag.F_END
        row.symbol = symbol
        row.ts = self.told_ts[symbol] = ts
        row.a = lots[0] - lots[0] // SPARE
        row.b = lots[1] - lots[1] // SPARE
        row.c = rooms[0].factor
        row.d = rooms[1].factor
        return 0

    cdef bint keeps(self, Engine engine, int symbol, const int64_t* lots, int64_t next_ts) noexcept nogil:
        # Whether the gate's own number will do until the next one comes: it is the one that was told last, less
        # what has been entered since; it allows no more than the limits do and not much less; and it stays fresh.
        # Candles have their interval; nobody knows when a book run is asked again, so there every answer is told.
        cdef const watch_t* w = &engine.gate.watched[symbol]
        cdef int64_t interval = engine.markets.data[symbol].interval_ns
        cdef int side
        if interval == 0 or w.headroom_ts != self.told_ts[symbol] \
                or next_ts - self.renewed_ts > max(engine.gate.limits.headroom_ns, 2 * interval):
            return False
        for side in range(2):
            if not lots[side] - lots[side] // OUTDATED <= w.headroom[side] <= lots[side]:
                return False
        return True

    # ------------------------------------------------------------------ Python face

    @property
    def observations(self):
        """Effective number of each instrument's returns, ``(sum w)^2 / sum w^2``; 0 before the first."""
        return [self.seen(k) for k in range(self.instruments.size)]

    def add(self, returns not None):
        """Add the newest return of every instrument, NaN for one that has none yet.

        Raises
        ------
        ValueError
            If there are more or fewer, one is infinite, or one is missing that was there before.
        """
        cdef double[::1] row = np.array(returns, np.float64)
        cdef int k
        if row.shape[0] != self.instruments.size or row.shape[0] == 0:
            raise ValueError(f"{row.shape[0]} returns of {self.instruments.size} instruments")
        for k in range(row.shape[0]):
            if not isfinite(row[k]) and not (row[k] != row[k] and self.weights[k] == 0.0):
                raise ValueError("a covariance needs finite returns")
        self.learn(&row[0])

    def covariance(self):
        """Return the covariance of a day's returns, of shape (n, n).

        Raises
        ------
        ValueError
            Before the first return of each.
        """
        cdef int n = self.instruments.size
        if not self.knows_all():
            raise ValueError("a covariance needs at least one return of every instrument")
        return np.array([[self.sums[j * n + k] * self.scale(j, k) for k in range(n)] for j in range(n)])

    def rooms(self, double equity, held, bought, sold, maintenances):
        """Return what a portfolio may still buy and sell of each instrument.

        Parameters
        ----------
        equity : float
            Margin balance, USDT.
        held : array_like of shape (n,)
            Notionals at the mark, signed USDT.
        bought, sold : array_like of shape (n,)
            The same once every open buy, or sell, of the instrument has filled.
        maintenances : array_like of shape (n,)
            Maintenance margin by instrument, USDT.

        Returns
        -------
        list of (float, Factor, float, Factor)
            By instrument: USDT to buy, the limit that binds, USDT to sell, the limit that binds; never negative.

        Raises
        ------
        ValueError
            Before the first return of each, or for arrays that are not of the instruments.
        """
        cdef int n = self.instruments.size
        cdef int k
        cdef room_t buy, sell
        cdef double factor
        if not self.knows_all() or any(len(part) != n for part in (held, bought, sold, maintenances)):
            raise ValueError(f"rooms are of {n} instruments whose returns are known")
        self.equity = equity
        for k in range(n):
            self.held[k], self.filled[0][k], self.filled[1][k] = held[k], bought[k], sold[k]
            self.maintenances[k] = maintenances[k]
        self.weigh()
        found = []
        for k in range(n):
            factor = self.correlation_factor(k)
            buy, sell = self.room(k, 0, factor), self.room(k, 1, factor)
            found.append((buy.notional, FactorFace(buy.factor), sell.notional, FactorFace(sell.factor)))
        return found


cdef inline void cap(room_t* room, double limit, int factor) noexcept nogil:
    if not limit >= room.notional:             # a limit that is no number is no room
        room.notional = limit if limit == limit else 0.0
        room.factor = factor
