"""Requests at the venue: the rules that need no state."""
from libc.stdint cimport int64_t
from libc.string cimport memset

from core_ext.fixed cimport E8, mul_div_floor, price_e8
from core_ext.types cimport (
    OrderType, PriceMatch, SelfTrade, Side, Term, TimeInForce, approved_t, instrument_t, is_conditional,
)

cdef int64_t GOOD_FOR = 600 * 1000000000     # a GTD order lives at least this long, ns
cdef int64_t CALLBACK_MIN = 100000           # trailing: 0.1 %
cdef int64_t CALLBACK_MAX = 20000000         # 20 %


cdef void copy_approved(asked_t* request, const approved_t* approved) noexcept nogil:
    memset(request, 0, sizeof(asked_t))
    request.client_id = approved.client_id
    request.price_ticks = approved.price_ticks
    request.lots = approved.lots
    request.trigger_ticks = approved.trigger_ticks
    request.activate_ticks = approved.activate_ticks
    request.callback_e8 = approved.callback_e8
    request.good_till = approved.good_till
    request.symbol = approved.symbol
    request.side = approved.side
    request.position_side = approved.position_side
    request.type = approved.type
    request.tif = approved.tif
    request.reduce_only = approved.reduce_only
    request.stp = approved.stp
    request.price_match = approved.price_match
    request.terms = approved.terms


cdef bint has_limit(const asked_t* r) noexcept nogil:
    return r.type == OrderType.LIMIT or r.type == OrderType.STOP or r.type == OrderType.TAKE_PROFIT


cdef bint triggers_above(const asked_t* r) noexcept nogil:
    # Whether the order waits for a price that rises to its trigger; else for one that falls to it.
    if r.type == OrderType.TAKE_PROFIT or r.type == OrderType.TAKE_PROFIT_MARKET:
        return r.side == Side.SELL
    return r.side == Side.BUY


cdef int close_refusal(const asked_t* r, bint hedge) noexcept nogil:
    if r.type != OrderType.STOP_MARKET and r.type != OrderType.TAKE_PROFIT_MARKET:
        return NOT_REQUIRED
    if r.lots:
        return CLOSE_WITH_QUANTITY
    if r.reduce_only:
        return CLOSE_WITH_REDUCE_ONLY
    return POSITION_SIDE_MISMATCH if hedge and (r.position_side == 1) == (r.side == Side.BUY) else 0


cdef int match_refusal(const asked_t* r) noexcept nogil:
    # A price match names the price, or the client does.
    if r.price_match == 0:
        return 0
    if r.price_match > PriceMatch.QUEUE_20 or r.price_ticks:
        return BAD_PRICE_MATCH
    return 0 if has_limit(r) else PRICE_MATCH_TYPE


cdef int trailing_refusal(const instrument_t* i, const asked_t* r) noexcept nogil:
    if not CALLBACK_MIN <= r.callback_e8 <= CALLBACK_MAX:
        return BAD_PARAMETER
    return 0 if 0 <= r.activate_ticks <= i.max_ticks else BAD_ACTIVATION


cdef int parameter_refusal(const instrument_t* i, const asked_t* r, bint hedge, int64_t now) noexcept nogil:
    # Parameters that exclude each other or say nothing.
    cdef int code
    if r.type > OrderType.TRAILING_STOP_MARKET:
        return BAD_TYPE
    if r.position_side > 2 or (r.position_side != 0) != hedge:
        return POSITION_SIDE_MISMATCH
    if hedge and r.reduce_only:
        return REDUCE_ONLY_IN_HEDGE
    if r.tif > TimeInForce.GTD:
        return BAD_TIF
    if r.tif == TimeInForce.GTD and r.good_till <= now + GOOD_FOR:
        return BAD_GOOD_TILL
    if r.stp > SelfTrade.EXPIRE_BOTH:
        return BAD_SELF_TRADE
    code = match_refusal(r)
    if code:
        return code
    if not has_limit(r) and (r.price_ticks or r.tif != TimeInForce.GTC):
        return NOT_REQUIRED
    if r.type == OrderType.TRAILING_STOP_MARKET:
        code = trailing_refusal(i, r)
        if code:
            return code
    return close_refusal(r, hedge) if r.terms & Term.CLOSE_POSITION else 0


cdef int filter_refusal(const instrument_t* i, const asked_t* r, int64_t mark) noexcept nogil:
    # Quantity and prices; the percent band holds an order that enters the book, not one that waits for a trigger.
    cdef int64_t price = price_e8(i, r.price_ticks)
    if not r.terms & Term.CLOSE_POSITION:
        if r.lots < i.min_lots:
            return QUANTITY_BELOW
        if r.lots > (i.max_lots if has_limit(r) else i.max_market_lots):
            return QUANTITY_ABOVE
        if i.lot_step > 1 and r.lots % i.lot_step:
            return OFF_STEP
    if is_conditional(r.type) and r.type != OrderType.TRAILING_STOP_MARKET:
        if r.trigger_ticks < i.min_ticks:
            return PRICE_BELOW
        if r.trigger_ticks > i.max_ticks:
            return PRICE_ABOVE
        if i.tick_step > 1 and r.trigger_ticks % i.tick_step:
            return OFF_TICK
    if not has_limit(r) or (r.price_match and not r.price_ticks):
        return 0
    if r.price_ticks < i.min_ticks:
        return PRICE_BELOW
    if r.price_ticks > i.max_ticks:
        return PRICE_ABOVE
    if i.tick_step > 1 and r.price_ticks % i.tick_step:
        return OFF_TICK
    if is_conditional(r.type) or mark == 0:
        return 0
    if r.side == Side.BUY and price > mul_div_floor(mark, i.up_e8, E8):
        return PERCENT_ABOVE
    if r.side == Side.SELL and price < mul_div_floor(mark, i.down_e8, E8):
        return PERCENT_BELOW
    return 0
