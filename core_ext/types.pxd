"""The one record that everything speaks: 64 bytes, equal in C, in NumPy and on disk.

Anything larger than six words is a run of rows; the last row of a run carries ``F_END``, a
single row carries it itself, and only a row with ``F_END`` may lead to a decision. A row's
sequence number is its position. Words ``a`` to ``f`` mean, by kind (ticks and lots are
counts, ``e8`` is a fixed-point number with eight decimals, times are nanoseconds UTC):

================  ============  ============  ============  ==========  ==========  ===========
kind              a             b             c             d           e           f
================  ============  ============  ============  ==========  ==========  ===========
DEPTH             U first id    u last id     pu or -1      levels      0           0
SNAPSHOT          last id       0             0             levels      0           0
LEVEL             price ticks   lots          0             0           0           0
TOUCH             u             bid ticks     bid lots      ask ticks   ask lots    0
TRADE             trade id      price ticks   lots          first id    last id     market = 0
MARK              mark e8       index e8      rate e8       next stamp  0           0
CANDLE            open e8       high e8       low e8        close e8    lots        interval ns
CANDLE_OPEN       open e8       0             0             0           0           interval ns
MARK_CANDLE       open e8       high e8       low e8        close e8    0           interval ns
FUNDING           rate e8       mark e8 or 0  0             0           0           interval ns
ASSET_INDEX       asset         price e8      0             0           0           0
FILTERS           tick step     lot step      min lots      max lots    market lots notional e8
STATUS            trading       delist stamp  0             0           0           0
BRACKET           place from 0  cap e8        ratio e8      amount e8   leverage    0
ACCEPTED          client id     venue id      price ticks   lots        0           0
REJECTED          client id     venue code    0             0           0           0
FILL              client id     trade id      price ticks   lots        fee e8      touch ticks
CANCELED          client id     lots undone   0             0           0           0
EXPIRED           client id     lots undone   reason        0           0           0
CANCEL_REJECTED   client id     venue code    0             0           0           0
FUNDING_PAID      amount e8     rate e8       mark e8       lots        0           0
LIQUIDATION       lots closed   price e8      fee e8        mark e8     cause       venue id
TRANSFER          amount e8     asset         0             0           0           0
AMENDED           client id     price ticks   lots          0           0           0
AMEND_REJECTED    client id     venue code    0             0           0           0
ALGO              client id     algo status   algo id       child id    venue code  0
SETTING           setting       value         0             0           0           0
MARGIN_MOVED      amount e8     0             0             0           0           0
LOST              client id     request kind  0             0           0           0
ABSENT            client id     code          0             0           0           0
POSITION          lots          cost e8       isolated e8   0           0           0
WALLET            amount e8     asset         0             0           0           0
FOREIGN           venue id      price ticks   lots          0           0           0
TIMER             timer id      due           0             0           0           0
COMMAND           command       symbol + 1    0             0           0           0
CLOCK_OFFSET      offset ns     lines used    0             0           0           0
RUN               manifest hash, 32 bytes in a to d         epoch       0           0
HEADROOM          buy lots      sell lots     buy factor    sell factor 0           0
USAGE             weight        weight limit  0             0           0           0
GATE              closed gates  0             0             0           0           0
ORDER             client id     price ticks   lots          terms       mid e8      limit factor
ORDER_TERMS       client id     trigger ticks activate      callback e8 good till   0
AMEND             client id     price ticks   lots          0           mid e8      0
QUERY             client id     0             0             0           0           0
CANCEL            client id     0             0             0           0           0
SET_TIMER         timer id      due           0             0           0           0
REFUSED           reason        price ticks   lots          terms       mid e8      0
ALARM             alarm         0             0             0           0           0
STRATEGY_FAILED   0             0             0             0           0           0
RANGE             source        first row     rows          0           0           0
SEAL              state hash, 32 bytes in a to d            rows        0           0
================  ============  ============  ============  ==========  ==========  ===========

``F_SELL`` means: on LEVEL the ask side; on TRADE that the aggressor sold (the exchange's
``m`` is true); on orders, fills and refusals that the order sells. FILL word ``f`` is the best opposite price that the
fill saw. ``F_SHORT`` on orders, fills and whatever concerns a position means the short leg in hedge mode.

``terms`` packs an order's small fields, a byte each from the lowest: type, time in force, self-trade prevention, price
match, then one byte of bits: 1 close position, 2 price protection, 4 triggered by the mark price. An order that is
conditional or has an end (GTD) is a run of two rows, ORDER and ORDER_TERMS.

A conditional order lives in the algo universe until it is triggered. It and the order that its trigger creates bear
the same client id, so here it is one order: ALGO rows tell its status (``AlgoStatus``), the ordinary rows what its
child does.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef extern from *:
    """
    #ifndef AT_CHECKED
    #define AT_CHECKED 0
    #endif
    """
    const bint CHECKED "AT_CHECKED"    # the checked build: every total is recomputed at every event

cdef struct event_t:
    uint8_t kind
    uint8_t flags
    uint16_t symbol    # index into the run's instruments
    int32_t lag_us     # local stamp minus the exchange's, microseconds, saturating
    int64_t ts         # local (receive) stamp, the recorder's clock offset removed; the engine's only clock
    int64_t a
    int64_t b
    int64_t c
    int64_t d
    int64_t e
    int64_t f


cpdef enum Kind:
    # Market, 1 to 31: what the world publishes.
    DEPTH = 1
    SNAPSHOT = 2
    LEVEL = 3
    TOUCH = 4
    TRADE = 5
    MARK = 6
    CANDLE = 7
    CANDLE_OPEN = 8
    MARK_CANDLE = 9
    FUNDING = 10
    ASSET_INDEX = 11   # what a margin coin is worth, multi-assets mode
    FILTERS = 12       # the filters that hold from here on, in the run's ticks and lots
    STATUS = 13        # whether the exchange lets a symbol trade, and until when
    BRACKET = 14       # a leverage bracket; the set holds from its last row (F_END) on
    # Account, 32 to 63: what a venue says to us alone.
    ACCEPTED = 32
    REJECTED = 33
    FILL = 34
    CANCELED = 35
    EXPIRED = 36
    CANCEL_REJECTED = 37
    FUNDING_PAID = 38
    LIQUIDATION = 39
    TRANSFER = 40
    AMENDED = 41
    AMEND_REJECTED = 42
    ALGO = 43
    SETTING = 44       # leverage, margin type, position mode, multi-assets mode, fee coin
    MARGIN_MOVED = 45  # into an isolated position (negative: out of it)
    LOST = 46          # no answer to a request: nobody knows whether it was carried out
    ABSENT = 47        # answer to a query: the venue has never had this order
    POSITION = 48      # what the venue says that a leg holds: it replaces what was believed
    WALLET = 49        # what the venue says that a wallet holds
    FOREIGN = 50       # an open order at the venue that is not ours
    # Control, 64 to 95: time, people, and the run itself.
    TIMER = 64
    COMMAND = 65
    CLOCK_OFFSET = 66
    RUN = 67
    HEADROOM = 68      # from the slow layer: the largest additional lots of a symbol, by side
    USAGE = 69         # of the exchange's request limits
    GATE = 70          # what must be in order before anything may be opened, and is not
    # Outbox, 128 to 159: what the engine asks for.
    ORDER = 128
    CANCEL = 129
    SET_TIMER = 130
    REFUSED = 131
    ALARM = 132
    STRATEGY_FAILED = 133
    ORDER_TERMS = 134
    AMEND = 135
    QUERY = 136        # what has become of an order?
    # Journal only, 192 to 223.
    RANGE = 192
    SEAL = 193


cpdef enum Flag:
    F_END = 1
    F_SHORT = 2        # of the short leg (hedge mode)
    F_SELL = 4
    F_MAKER = 8
    F_REDUCE_ONLY = 16
    F_CLOSED = 32      # a candle that will not change again
    F_SPOT = 64        # depth whose chain is U = previous u + 1, not pu
    F_FEE_COIN = 128   # a fill whose fee was paid in the fee coin (BNB)


cpdef enum Status:
    OK = 0
    IGNORED = 1        # well-formed, but of no kind that the core reads
    MALFORMED = 2
    UNKNOWN_SYMBOL = 3
    OFF_GRID = 4       # finer than a tick or a lot, or out of range
    NO_ROOM = 5
    RAISED = -1


cpdef enum Side:
    BUY = 0
    SELL = 1


cpdef enum PositionSide:
    BOTH = 0           # one-way mode
    LONG = 1
    SHORT = 2


cpdef enum OrderType:
    LIMIT = 0
    MARKET = 1
    # Conditional: they live in the algo universe until their trigger.
    STOP = 2
    STOP_MARKET = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_MARKET = 5
    TRAILING_STOP_MARKET = 6


cpdef enum TimeInForce:
    GTC = 0
    IOC = 1
    GTX = 2            # post-only
    FOK = 3
    GTD = 4


cpdef enum SelfTrade:
    # Whose order ends when two of one account would match; the taker's mode rules.
    STP_NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3


cpdef enum PriceMatch:
    # The venue sets the price: the n-th best of the other side (OPPONENT) or of our own (QUEUE).
    PM_NONE = 0
    OPPONENT = 1
    OPPONENT_5 = 2
    OPPONENT_10 = 3
    OPPONENT_20 = 4
    QUEUE = 5
    QUEUE_5 = 6
    QUEUE_10 = 7
    QUEUE_20 = 8


cpdef enum Term:
    CLOSE_POSITION = 1
    PRICE_PROTECT = 2
    MARK_TRIGGER = 4   # else the last price triggers


cpdef enum OrderState:
    EMPTY = 0          # a free place in the table
    PENDING_NEW = 1    # sent, or about to be; its exposure is held
    LIVE = 2
    PARTLY_FILLED = 3
    PENDING_CANCEL = 4
    UNKNOWN = 5        # the venue's answer was lost; its exposure stays held
    ARMED = 6          # conditional, waiting for its trigger
    TRIGGERING = 7     # triggered; its child is not known yet
    FILLED = 8
    CANCELLED = 9
    EXPIRED_ = 10
    REJECTED_ = 11


cpdef enum AlgoStatus:
    ALGO_NEW = 0
    ALGO_TRIGGERING = 1
    ALGO_TRIGGERED = 2
    ALGO_FINISHED = 3
    ALGO_CANCELED = 4
    ALGO_EXPIRED = 5
    ALGO_REJECTED = 6


cpdef enum Setting:
    LEVERAGE = 1       # of a symbol
    ISOLATED = 2       # of a symbol: 1 isolated, 0 cross
    HEDGE_MODE = 3     # of the account: 1 long and short legs
    MULTI_ASSETS = 4   # of the account: 1 every margin coin is collateral
    FEE_COIN = 5       # of the account: 1 fees are paid in the fee coin at a discount


cpdef enum Cause:
    # What closed a position by force.
    LIQUIDATION_ORDER = 0
    INSURANCE_FUND = 1
    DELEVERAGED = 2
    SETTLED = 3


cpdef enum Asset:
    # Margin coins of the futures wallet.
    USDT = 0
    BNB = 1            # also the fee coin
    USDC = 2
    BTC = 3
    ETH = 4


cpdef enum Reason:
    # Risk refusals. The numbers are journalled: append, never renumber.
    APPROVED = 0
    R1_PRICE_COLLAR = 1
    R2_CHASE = 2
    R3_ORDER_NOTIONAL = 3
    R4_ORDER_QUANTITY = 4
    R5_POSITION_LIMIT = 5
    R6_GROSS_EXPOSURE = 6
    R7_LEVERAGE = 7
    R8_BRACKET = 8
    R9_LIQUIDATION_DISTANCE = 9
    R10_MARGIN_RATIO = 10
    R11_ORDER_RATE = 11
    R12_WEIGHT = 12
    R13_MESSAGE_QUALITY = 13
    R14_REPEATED = 14
    R15_DUPLICATE = 15
    R16_SELF_TRADE = 16
    R17_FAT_FINGER = 17
    R18_STALE_DATA = 18
    R19_UNKNOWN_ORDERS = 19
    R20_REDUCE_ONLY = 20
    R21_DAILY_LOSS = 21
    R22_DRAWDOWN_KILL = 22
    R23_LOSS_RATE = 23
    R24_VOLATILITY = 24
    R25_OPEN_ORDERS = 25
    R26_UNPROTECTED = 26
    R27_FUNDING_COST = 27
    R28_SYMBOL_STATUS = 28
    R29_NOT_ALLOWED = 29
    R30_MODE = 30
    R31_RISK_FAULT = 31
    R32_NOT_AS_APPROVED = 32
    FILTER_PRICE = 40
    FILTER_QUANTITY = 41
    FILTER_NOTIONAL = 42
    INSUFFICIENT_MARGIN = 43
    NOTHING_TO_REDUCE = 44
    HALTED = 45
    HEADROOM_SPENT = 46
    HEADROOM_STALE = 47
    NOT_AMENDABLE = 48
    DATA_QUALITY = 49
    GATE_CLOSED = 50


cpdef enum Command:
    HALT = 1           # entries off, exits allowed; of the account, or of the symbol that is named
    RESUME = 2         # all of that
    KILL = 3           # flatten and latch
    ALLOW = 4          # acknowledge a latched loss limit or a disabled symbol
    ARM = 5            # orders may leave (never needed in a simulation)
    DISARM = 6
    FLATTEN = 7        # close everything once, or a symbol; entries stay off there until RESUME


cpdef enum Gate:
    # What a run on a wire must know to be in order; each is one bit of a GATE row.
    USER_STREAM = 1    # the account's events are proven to arrive
    CLOCK = 2
    RECONCILING = 4
    DISK = 8           # the journal is written
    RULES = 16         # of the symbols, and fresh
    LINK = 32          # orders have a connection to leave by
    SAFE = 64          # the run has begun too often
    BANNED = 128


cpdef enum Alarm:
    BOOK_GAP = 1
    BOOK_CROSSED = 2
    BOOK_RECOVERED = 3
    DRAWDOWN_HALF = 4
    DRAWDOWN_REDUCE_ONLY = 5
    DRAWDOWN_KILL = 6
    DAILY_LOSS = 7
    LIQUIDATED = 8
    LIQUIDATION_NEAR = 9
    FORCED_REDUCTION = 10
    LOSS_RATE = 11
    VOLATILITY = 12
    MESSAGE_QUALITY = 13
    REPEATED = 14
    DELEVERAGING = 15
    DATA_ANOMALY = 16
    FOREIGN_ORDER = 17
    LATE_FILL = 18
    DIFFERENCE = 19    # what the venue says that we hold is not what we believed
    STOP_REFUSED = 20  # a protective stop: the position is closed at market if its trigger has passed


cdef struct approved_t:
    # An order that risk has let through: only ``risk`` fills one, and only one of these can
    # be encoded for a wire or handed to a simulated venue.
    uint64_t client_id
    int64_t ts
    int64_t price_ticks    # 0 for a market order
    int64_t lots           # 0: the whole position (close position)
    int64_t reference_e8   # mid when it was decided, the mark where there is none: slippage is measured from it
    int64_t trigger_ticks  # conditional orders
    int64_t activate_ticks    # trailing: armed from this price on; 0 at once
    int64_t callback_e8    # trailing: share of the extreme
    int64_t good_till      # GTD, ns
    uint16_t symbol
    uint8_t side
    uint8_t position_side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
    uint8_t stp
    uint8_t price_match
    uint8_t terms          # bits of Term
    uint8_t amends         # a new price and quantity for an order that stands
    uint8_t limiting       # which cap set the size: sizing.Factor


cdef struct bracket_t:
    # One row of the exchange's leverage brackets: floor < notional <= cap.
    int64_t floor_e8
    int64_t cap_e8
    int64_t mmr_e8         # maintenance margin ratio
    int64_t cum_e8         # maintenance amount: margin = notional * mmr - cum
    int64_t max_leverage


cdef struct instrument_t:
    int64_t tick_e8            # price of one tick
    int64_t lot_e8             # quantity of one lot
    int64_t unit_e8            # value of one tick times one lot, 1e-8 of the quote coin
    int64_t min_ticks
    int64_t max_ticks
    int64_t min_lots
    int64_t max_lots
    int64_t max_market_lots
    int64_t min_notional_e8
    int64_t up_e8              # PERCENT_PRICE: a buy at no more than mark * up
    int64_t down_e8            # a sell at no less than mark * down
    int64_t take_bound_e8      # a market order executes no further than this from the mark
    int64_t liquidation_fee_e8
    int64_t maker_fee_e8
    int64_t taker_fee_e8
    int64_t leverage           # that an account has when it opens
    int64_t max_orders
    int64_t collar_e8          # our own price collar (R1)
    int64_t tick_step          # prices are whole multiples of it, in ticks: the filter of the day
    int64_t lot_step
    uint8_t price_decimals     # tick = price_mantissa / 10 ** price_decimals
    uint8_t lot_decimals
    uint8_t tradable           # status is TRADING
    uint8_t n_brackets
    int64_t price_mantissa
    int64_t lot_mantissa
    bracket_t brackets[16]
    char name[32]


cdef inline bint is_market(uint8_t kind) noexcept nogil:
    return kind < 32


cdef inline Py_ssize_t level_run(const event_t* rows, Py_ssize_t n) noexcept nogil:
    # How many levels of one symbol and stamp follow each other here, the last row of their message not among them.
    cdef Py_ssize_t k = 0
    while k < n and rows[k].kind == Kind.LEVEL and not rows[k].flags & Flag.F_END \
            and rows[k].symbol == rows.symbol and rows[k].ts == rows.ts:
        k += 1
    return k


cdef inline bint is_outbox(uint8_t kind) noexcept nogil:
    return 128 <= kind < 160


cdef inline bint is_conditional(uint8_t type) noexcept nogil:
    return type >= 2


cdef inline void set_filters(instrument_t* i, const event_t* row) noexcept nogil:
    # The filters that hold from here on; values that make no sense, which no instrument may have, leave what was.
    cdef int64_t most = (<int64_t> 1 << 62) - 1
    if 0 < row.a <= most and 0 < row.b <= most and 0 < row.c <= row.d <= most and 0 < row.e <= most and row.f >= 0:
        i.tick_step = row.a
        i.lot_step = row.b
        i.min_lots = row.c
        i.max_lots = row.d
        i.max_market_lots = row.e
        i.min_notional_e8 = row.f


cdef struct ladder_t:
    # Leverage brackets of a symbol as their rows come; -1 of them: one was missing, or made no sense.
    bracket_t brackets[16]
    int symbol
    int size


cdef inline bint take_bracket(ladder_t* l, instrument_t* i, const event_t* row) noexcept nogil:
    # Whether this row completed a set, which then holds. What no instrument may have leaves what was.
    cdef int64_t floor = 0
    if row.a == 0:
        l.symbol = row.symbol
        l.size = 0
    elif l.size > 0:
        floor = l.brackets[l.size - 1].cap_e8
    if l.symbol != row.symbol or row.a != l.size or row.a >= 16 or not floor < row.b < <int64_t> 1 << 62 \
            or not 0 < row.c < 100000000 or row.d < 0 or not 1 <= row.e <= 200:
        l.size = -1
        return False
    l.brackets[l.size] = bracket_t(floor, row.b, row.c, row.d, row.e)
    l.size += 1
    if not row.flags & Flag.F_END:
        return False
    memcpy(i.brackets, l.brackets, sizeof(l.brackets))
    i.n_brackets = l.size
    l.size = -1
    return True


cdef inline int leg_of(uint8_t position_side) noexcept nogil:
    # Positions have two legs: both or long, and short.
    return position_side == 2


cdef class Rows:
    # A growable run of rows, owned by C; NumPy sees it without a copy.
    cdef event_t* data
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t room
    cdef Py_ssize_t exports      # live NumPy views: while there is one, the memory must not move
    cdef int reserve(self, Py_ssize_t rows) except -1
    cdef event_t* push(self) except NULL


cdef class Instruments:
    # The instruments of a run, by index. Filled once, read by every other noun.
    cdef instrument_t* data
    cdef readonly int size
    cdef readonly list names
    cdef uint16_t slots[256]       # open addressing over the name's hash; 0xFFFF is empty
    cdef int find(self, const char* name, Py_ssize_t n) noexcept nogil
