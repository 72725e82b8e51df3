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
ACCEPTED          client id     venue id      price ticks   lots        0           0
REJECTED          client id     venue code    0             0           0           0
FILL              client id     trade id      price ticks   lots        fee e8      touch ticks
CANCELED          client id     lots undone   0             0           0           0
EXPIRED           client id     lots undone   reason        0           0           0
CANCEL_REJECTED   client id     venue code    0             0           0           0
FUNDING_PAID      amount e8     rate e8       mark e8       lots        0           0
LIQUIDATION       lots          price e8      fee e8        mark e8     0           0
TRANSFER          amount e8     asset         0             0           0           0
TIMER             timer id      due           0             0           0           0
COMMAND           command       0             0             0           0           0
CLOCK_OFFSET      offset ns     lines used    0             0           0           0
RUN               manifest hash, 32 bytes in a to d         epoch       0           0
ORDER             client id     price ticks   lots          type, tif   mid e8      limit factor
CANCEL            client id     0             0             0           0           0
SET_TIMER         timer id      due           0             0           0           0
REFUSED           reason        price ticks   lots          type, tif   mid e8      0
ALARM             alarm         0             0             0           0           0
STRATEGY_FAILED   0             0             0             0           0           0
RANGE             source        first row     rows          0           0           0
SEAL              state hash, 32 bytes in a to d            rows        0           0
================  ============  ============  ============  ==========  ==========  ===========

``F_SELL`` means: on LEVEL the ask side; on TRADE that the aggressor sold (the exchange's
``m`` is true); on orders, fills and refusals that the order sells. ``type, tif`` is ``type + 256 * tif``; FILL word
``f`` is the best opposite price that the fill saw.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


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
    # Control, 64 to 95: time, people, and the run itself.
    TIMER = 64
    COMMAND = 65
    CLOCK_OFFSET = 66
    RUN = 67
    # Outbox, 128 to 159: what the engine asks for.
    ORDER = 128
    CANCEL = 129
    SET_TIMER = 130
    REFUSED = 131
    ALARM = 132
    STRATEGY_FAILED = 133
    # Journal only, 192 to 223.
    RANGE = 192
    SEAL = 193


cpdef enum Flag:
    F_END = 1
    F_SELL = 4
    F_MAKER = 8
    F_REDUCE_ONLY = 16
    F_CLOSED = 32      # a candle that will not change again
    F_SPOT = 64        # depth whose chain is U = previous u + 1, not pu


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


cpdef enum OrderType:
    LIMIT = 0
    MARKET = 1


cpdef enum TimeInForce:
    GTC = 0
    IOC = 1
    GTX = 2            # post-only


cpdef enum OrderState:
    EMPTY = 0          # a free place in the table
    PENDING_NEW = 1    # sent, or about to be; its exposure is held
    LIVE = 2
    PARTLY_FILLED = 3
    PENDING_CANCEL = 4
    UNKNOWN = 5        # the venue's answer was lost; its exposure stays held
    FILLED = 6
    CANCELLED = 7
    EXPIRED_ = 8
    REJECTED_ = 9


cpdef enum Reason:
    # Risk refusals. The numbers are journalled: append, never renumber.
    APPROVED = 0
    R1_PRICE_COLLAR = 1
    R3_ORDER_NOTIONAL = 3
    R4_ORDER_QUANTITY = 4
    R5_POSITION_LIMIT = 5
    R6_GROSS_EXPOSURE = 6
    R9_LIQUIDATION_DISTANCE = 9
    R11_ORDER_RATE = 11
    R15_DUPLICATE = 15
    R18_STALE_DATA = 18
    R20_REDUCE_ONLY = 20
    R21_DAILY_LOSS = 21
    R22_DRAWDOWN_KILL = 22
    R25_OPEN_ORDERS = 25
    R28_SYMBOL_STATUS = 28
    R31_RISK_FAULT = 31
    FILTER_PRICE = 40
    FILTER_QUANTITY = 41
    FILTER_NOTIONAL = 42
    INSUFFICIENT_MARGIN = 43
    NOTHING_TO_REDUCE = 44
    HALTED = 45


cpdef enum Command:
    HALT = 1           # entries off, exits allowed
    RESUME = 2
    KILL = 3           # flatten and latch
    ALLOW = 4          # acknowledge a latched loss limit


cpdef enum Alarm:
    BOOK_GAP = 1
    BOOK_CROSSED = 2
    BOOK_RECOVERED = 3
    DRAWDOWN_HALF = 4
    DRAWDOWN_REDUCE_ONLY = 5
    DRAWDOWN_KILL = 6
    DAILY_LOSS = 7
    LIQUIDATED = 8


cdef struct approved_t:
    # An order that risk has let through: only ``risk`` fills one, and only one of these can
    # be encoded for a wire or handed to a simulated venue.
    uint64_t client_id
    int64_t ts
    int64_t price_ticks    # 0 for a market order
    int64_t lots
    int64_t reference_e8   # mid when it was decided, the mark where there is none: slippage is measured from it
    uint16_t symbol
    uint8_t side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
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
    int64_t leverage           # the leverage that the account has set
    int64_t max_orders
    int64_t collar_e8          # our own price collar (R1)
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


cdef inline bint is_outbox(uint8_t kind) noexcept nogil:
    return 128 <= kind < 160


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
