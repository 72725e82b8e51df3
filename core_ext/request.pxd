"""What an order asks of the venue, and the exchange's own codes for asking wrongly.

Knows the rules that need no state: which parameters exclude each other, the filters, the direction table of
hedge mode, where a conditional order triggers. Refuses to know books, accounts and other orders. A request
is the venue's own note of an order: what arrives here was approved by somebody else, or by nobody.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t

from core_ext.types cimport Side, approved_t, instrument_t


cdef struct asked_t:
    uint64_t client_id
    int64_t price_ticks        # 0 for a market order
    int64_t lots               # 0: the whole position
    int64_t trigger_ticks
    int64_t activate_ticks
    int64_t callback_e8
    int64_t good_till
    uint16_t symbol
    uint8_t side
    uint8_t position_side
    uint8_t type
    uint8_t tif
    uint8_t reduce_only
    uint8_t stp
    uint8_t price_match
    uint8_t terms


# The exchange's own codes.
cdef enum Code:
    INTERNAL_ERROR = -1001
    THROTTLED = -1008
    TOO_MANY_ORDERS = -1015
    NOT_REQUIRED = -1106
    NO_LIQUIDITY = -1112
    BAD_TIF = -1115
    BAD_TYPE = -1116
    BAD_PARAMETER = -1130
    UNKNOWN_ORDER = -2011
    NO_SUCH_ORDER = -2013
    BALANCE_INSUFFICIENT = -2018
    MARGIN_INSUFFICIENT = -2019
    TRIGGERS_AT_ONCE = -2021
    REDUCE_ONLY_REJECT = -2022
    MAX_OPEN_ORDERS = -2025
    LEVERAGE_ABOVE = -2027
    PRICE_ABOVE = -4002
    QUANTITY_BELOW = -4004
    QUANTITY_ABOVE = -4005
    PRICE_BELOW = -4013
    OFF_TICK = -4014
    PERCENT_ABOVE = -4016
    OFF_STEP = -4023
    PERCENT_BELOW = -4024
    MAX_ALGO_ORDERS = -4045
    POSITION_SIDE_MISMATCH = -4061
    REDUCE_ONLY_IN_HEDGE = -4062
    DUPLICATE_ID = -4116
    TAKE_BOUND = -4131
    BAD_ACTIVATION = -4135
    CLOSE_WITH_QUANTITY = -4137
    CLOSE_WITH_REDUCE_ONLY = -4138
    SYMBOL_CLOSED = -4141
    NOTIONAL_BELOW = -4164
    FOK_UNFILLED = -5021
    POST_ONLY_TAKES = -5022
    AMEND_SYMBOL_CLOSED = -5024
    AMEND_LIMIT_ONLY = -5025
    AMEND_TOO_OFTEN = -5026
    AMEND_NO_CHANGE = -5027
    AMEND_NOTIONAL = -5029
    BAD_PRICE_MATCH = -5037
    PRICE_MATCH_TYPE = -5038
    BAD_SELF_TRADE = -5039
    BAD_GOOD_TILL = -5040
    NO_LEVEL_TO_MATCH = -5041


cdef void copy_approved(asked_t* request, const approved_t* approved) noexcept nogil
cdef int match_refusal(const asked_t* r) noexcept nogil
cdef int parameter_refusal(const instrument_t* i, const asked_t* r, bint hedge, int64_t now) noexcept nogil
cdef int filter_refusal(const instrument_t* i, const asked_t* r, int64_t mark_e8) noexcept nogil
cdef bint triggers_above(const asked_t* r) noexcept nogil


cdef inline bint only_closes(const asked_t* r) noexcept nogil:
    # In hedge mode the side that closes a leg can do nothing else.
    return r.reduce_only or r.terms & 1 or (r.position_side == 1 and r.side == Side.SELL) \
        or (r.position_side == 2 and r.side == Side.BUY)


cdef inline bint beyond(const asked_t* r, int64_t ticks) noexcept nogil:
    # Whether a price is worse than the limit.
    return ticks > r.price_ticks if r.side == Side.BUY else ticks < r.price_ticks
