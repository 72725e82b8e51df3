"""The simulated venue: everything that changes an order, a balance or a position at the exchange.

Two worlds, one matching code. In a replay the recording alone is the market: our orders match against what it
shows, and what they took is remembered until that level next changes, or comes back after a recovery time. It
runs on the recording's receive clock, so the latency of an order is the whole way from decision to matching, the
feed's delay included. In the synthetic world there is no recording: the book is the accounts' own orders in
price-time priority, and the venue publishes it (rows to account -1 are for everybody), with a mark and a funding
rate of its own when an index is fed.

Queue model of a replay: an order joins behind everything displayed at its price; trades at that price move it
forward, cancellations by others as its model says (pessimistic: never), and nobody can stand behind more than is
displayed. A fill never improves on what the book showed.

On candles: a market order fills at the open of the bar after the decision, half a spread and square-root impact
worse; a limit order only when a bar trades through it by a tick; a stop at the worse of its trigger and the open,
with the same costs; the adverse extreme comes first. Liquidation is judged on the mark.

A conditional order waits in the algo universe, holds no margin there, and becomes an ordinary order at its trigger.
A forced closing cancels orders, reduces position by position at the market, hands the rest to the insurance fund at
the price where nothing is left, and, where the fund cannot, deleverages the other side.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t

from core_ext.account cimport Account
from core_ext.book cimport Book
from core_ext.fault cimport Faults
from core_ext.perpetual cimport Perpetual
from core_ext.request cimport asked_t
from core_ext.types cimport Instruments, Rows, approved_t, event_t, instrument_t


cdef enum:
    MAX_RESTING = 4096         # open orders a symbol, over all accounts
    MAX_ALGOS = 1024           # conditional orders a symbol, over all accounts
    MAX_ALGOS_ACCOUNT = 200    # conditional orders an account, over all symbols
    MAX_CONSUMED = 1024        # levels a symbol that our own orders have eaten into
    MAX_ENDED = 1 << 14        # ended orders that a query still finds: the youngest
    MAX_CHANGED = 256          # levels between two publications of a synthetic book
    VENUE_SYMBOLS = 128
    EVERYBODY = -1


cdef struct resting_t:
    # An ordinary order: on its way through the book, or in it.
    asked_t order
    int64_t venue_id
    int64_t leaves
    int64_t ahead              # lots displayed in front of it
    int64_t shown              # lots displayed at its price when last looked at, and traded there since
    int64_t passed
    int64_t since              # accepted or amended, ns
    int64_t counted_e8         # what of it is in its account's open orders
    int64_t algo_id            # of the conditional order that it is the child of
    int amends
    int account
    uint8_t waits              # a market order for the next open (candle runs)
    uint8_t forced             # the venue closes a position
    uint8_t cause


cdef struct algo_t:
    # A conditional order, before its trigger.
    asked_t order
    int64_t algo_id
    int64_t extreme_e8         # trailing: the best price since it was armed
    int64_t since
    int account
    uint8_t armed              # trailing: the activation price has been there
    uint8_t fired


cdef struct ended_t:
    # What became of an order, for whoever asks.
    uint64_t client_id
    int64_t undone
    int64_t venue_id           # of a filled one, with the price and lots that it had
    int64_t price_ticks
    int64_t lots
    int account
    uint8_t kind               # of the row that ended it, FILL for a filled one
    uint8_t reason


cdef struct consumed_t:
    int64_t ticks
    int64_t lots
    int64_t since              # last taken, ns
    uint8_t side


cdef struct change_t:
    int64_t ticks
    uint8_t side


cdef struct place_t:
    # The venue's view of one symbol's market.
    resting_t* resting         # a side in the order of priority; on candles all in the order of arrival
    int resting_count
    algo_t* algos              # in the order of arrival
    int algo_count
    consumed_t* consumed
    int consumed_count
    change_t* changed          # synthetic: levels that are to be published
    int changed_count
    int64_t last_u
    int64_t first_end          # no GTD order ends before, 0: there is none
    int64_t last_e8            # last trade
    int64_t book_stamp         # exchange time of the last depth applied, ns
    int64_t mark_e8
    int64_t ts_mark
    int64_t rate_e8            # of the funding to come
    int64_t funding_due        # its stamp, 0: none known
    int64_t funding_settled    # the last stamp settled: no clock set back settles it again
    int64_t open_e8            # candle runs: the current bar's open
    int64_t ts_open
    int64_t at_e8              # candle runs: what a taker pays, costs aside, and since when
    int64_t ts_at
    int64_t interval_ns        # 0: tick run
    int64_t bar_lots           # mean volume of a bar, exponentially weighted
    int64_t close_e8
    int64_t worst_low_e8       # of the mark, since the last complete batch of bars
    int64_t worst_high_e8
    double variance            # of a bar's return, exponentially weighted
    uint8_t has_extremes
    uint8_t mark_source        # 0 stream, 1 file, 2 proxy, 3 own
    uint8_t last_moved         # the last price has moved and no trigger has seen it


cdef class Exchange:
    cdef readonly Instruments instruments
    cdef readonly list accounts
    cdef readonly Account fund             # the insurance fund: takes positions over, never below zero
    cdef readonly list books
    cdef readonly list perpetuals          # the venue's own mark and funding, by symbol
    cdef readonly Faults faults            # None: the venue always answers
    cdef readonly bint synthetic
    cdef place_t* places
    cdef ended_t* ended                    # a ring
    cdef uint64_t ended_count
    cdef Rows out                      # what the venue says, in its own time; the driver delivers it
    # Row k of ``out`` goes to the account in word a of row k here; b to f: what the account then holds (wallet, lots,
    # cost, isolated wallet), and what was realised; ts: a forced closing's trade id.
    cdef Rows to
    cdef double half_spread            # of the price, candle runs
    cdef double impact
    cdef int64_t grace_ns              # an order this soon after the open still gets that open
    cdef int64_t recovery_ns           # what we took from a level comes back after it, 0: when the level changes
    cdef int64_t first_due             # no symbol's funding stamp comes before, 0: none is known
    cdef int queue_model
    cdef bint stream_funding           # settle what the mark stream announces
    cdef int64_t next_venue_id
    cdef int64_t next_trade_id
    cdef readonly uint64_t liquidations

    # Requests. The first two are how an approved order arrives; `serve` is what they and the others come to.
    cdef int submit(self, const approved_t* approved, int account, int64_t now) except -1
    cdef int cancel(self, uint64_t client_id, int symbol, int account, int64_t now) except -1
    cdef int query(self, uint64_t client_id, int symbol, int account, int64_t now) except -1
    cdef int serve(self, const asked_t* order, int kind, int account, int64_t now) except -1
    cdef int lose(self, const asked_t* order, int kind, int account, bint done, int64_t now) except -1
    cdef int carry_out(self, const asked_t* order, int kind, int account, int64_t now) except -1
    cdef int turn_down(self, const asked_t* order, int kind, int account, int64_t now, int code) except -1
    cdef int change_setting(self, int symbol, int setting, int64_t value, int account, int64_t now) except? -1
    cdef int move_margin(self, int symbol, int leg, int64_t amount_e8, int account, int64_t now) except? -1
    cdef int transfer(self, int asset, int64_t amount_e8, int account, int64_t now) except? -1
    cdef event_t* say(self, uint8_t kind, int symbol, int account, int64_t now) except NULL
    cdef int note(self, int symbol, int account, int leg, int64_t realised) except -1
    cdef int say_algo(self, const algo_t* o, int status, int64_t child, int code, int64_t now) except -1
    cdef ended_t* remember(self, uint64_t client_id, int account, uint8_t kind, int64_t undone, int reason) noexcept
    cdef int answer(self, const asked_t* order, int account, int64_t now) except -1

    # Orders.
    cdef int take_in(self, const asked_t* order, int account, int64_t now) except -1
    cdef int verdict(self, asked_t* order, int account, int64_t now) except? -1
    cdef int accept(self, const asked_t* order, int account, int64_t algo_id, int64_t now) except -1
    cdef int execute(self, resting_t* taker, int64_t now) except -1
    cdef int amend(self, const asked_t* order, int account, int64_t now) except -1
    cdef int amend_refusal(self, resting_t* o, const asked_t* wanted) except? -1
    cdef int undo(self, const asked_t* order, int account, int64_t now) except -1
    cdef int refusal(self, const asked_t* order, int account) except? -1
    cdef int algo_refusal(self, const asked_t* order, int account) except? -1
    cdef int account_refusal(self, const asked_t* order, int account, int64_t at) except? -1
    cdef bint knows(self, uint64_t client_id, int symbol, int account) noexcept
    cdef int find(self, uint64_t client_id, int symbol, int account) noexcept
    cdef int find_algo(self, uint64_t client_id, int symbol, int account) noexcept
    cdef int open_orders(self, int symbol, int account) noexcept
    cdef int64_t matched_price(self, const asked_t* order) except? -1
    cdef bint fillable(self, const asked_t* order, int account, int64_t now) except -1
    cdef int64_t standing(self, const asked_t* order, int account) except -1
    cdef bint out_of_bound(self, const asked_t* order, int64_t mark) except -1
    cdef bint crosses(self, const asked_t* order) except -1
    cdef int rest(self, const resting_t* o, int64_t now) except -1
    cdef int recount(self, resting_t* o) except -1
    cdef int remove(self, int symbol, int k, int64_t now) except -1
    cdef int expire(self, const resting_t* o, int reason, int64_t now) except -1
    cdef int close_book(self, const resting_t* o, uint8_t kind, int reason, int64_t now) except -1
    cdef int expire_due(self, int symbol, int64_t now) except -1

    # Taking.
    cdef int take(self, resting_t* taker, int64_t now) except -1
    cdef int take_book(self, resting_t* taker, int64_t now) except -1
    cdef int take_orders(self, resting_t* taker, int64_t now) except -1
    cdef int trade(self, resting_t* maker, resting_t* taker, int64_t lots, int64_t touch, bint behind,
                   int64_t now) except -1
    cdef int take_open(self, resting_t* taker, int64_t now) except -1
    cdef bint out_of_reach(self, const resting_t* taker, int64_t ticks) except -1
    cdef int own_order(self, const resting_t* taker) noexcept
    cdef int meet_own(self, resting_t* taker, int64_t now) except -1
    cdef int self_trade(self, resting_t* taker, int k, int64_t now) except -1
    cdef int64_t may_fill(self, const resting_t* o, int64_t lots) except? -1
    cdef int fill_crossed(self, resting_t* o, int64_t now) except -1
    cdef int fill(self, resting_t* o, int64_t lots, int64_t price_ticks, bint maker, int64_t touch,
                  int64_t now) except -1
    cdef int64_t open_ticks(self, int symbol, int side, int64_t lots) except -1
    cdef int64_t displayed(self, int symbol, int side, int64_t ticks, int64_t now) except -1
    cdef bint consume(self, int symbol, int side, int64_t ticks, int64_t lots, int64_t now) except -1
    cdef int forget_level(self, int symbol, int side, int64_t ticks) except -1

    # Conditional orders.
    cdef int arm(self, const asked_t* order, int account, int64_t now) except -1
    cdef bint touches(self, algo_t* o, int64_t price_e8) noexcept
    cdef int64_t trigger_e8(self, const algo_t* o) noexcept
    cdef int watch(self, int symbol, int64_t price_e8, bint by_mark, int64_t now) except -1
    cdef int watch_last(self, int symbol, int64_t now) except -1
    cdef int watch_bar(self, int symbol, int64_t price_e8, bint by_mark, int whose, int64_t now) except -1
    cdef int fire(self, int symbol, int k, int64_t at_e8, int64_t now) except -1
    cdef int remove_algo(self, int symbol, int k) except -1
    cdef int drop_close_orders(self, int symbol, int account, int leg, int64_t signed, int64_t now) except -1

    # The market moves.
    cdef int on_row(self, const event_t* row) except -1
    cdef int on_levels(self, const event_t* rows, Py_ssize_t n) except -1
    cdef int on_depth_end(self, int symbol, int64_t now) except -1
    cdef int on_trade(self, const event_t* row) except -1
    cdef int on_mark(self, const event_t* row) except -1
    cdef int on_index(self, const event_t* row) except -1
    cdef int on_candle(self, const event_t* row) except -1
    cdef int on_limits(self, const event_t* row) except -1
    cdef int on_open(self, const event_t* row) except -1
    cdef int on_extremes(self, const event_t* row, int64_t high, int64_t low, int64_t close) except -1
    cdef int64_t proxy_e8(self, int symbol) except -1
    cdef bint go_to_extremes(self, bint others) noexcept
    cdef int settle_batch(self, int64_t now) except -1
    cdef int set_mark(self, int symbol, int64_t mark_e8, int64_t now) except -1
    cdef int pass_stamp(self, int symbol, int64_t now) except -1
    cdef int expect_stamp(self, int symbol, int64_t stamp) noexcept
    cdef int settle_due(self, int64_t now) except -1
    cdef int settle_stamp(self, int symbol, int64_t now) except -1
    cdef int settle_funding(self, int symbol, int64_t rate_e8, int64_t mark_e8, int64_t stamp, int64_t now) except -1
    cdef int publish(self, int symbol, int64_t now) except -1
    cdef int publish_trade(self, const resting_t* taker, int64_t ticks, int64_t lots, int64_t now) except -1
    cdef int level_changed(self, int symbol, int side, int64_t ticks, int64_t now) except -1

    # Forced closing. A scope is one isolated leg, or (symbol -1) all that is cross.
    cdef int check_liquidation(self, int64_t now) except -1
    cdef bint is_under(self, int account, int symbol, int leg) noexcept
    cdef int64_t scope_equity(self, int account, int symbol, int leg) noexcept
    cdef bint in_scope(self, int account, int symbol, int leg, int k, int n) noexcept
    cdef int liquidate(self, int account, int symbol, int leg, int64_t now) except -1
    cdef int dearest(self, int account, int symbol, int leg, const uint8_t* tried) noexcept
    cdef int cancel_scope(self, int account, int symbol, int64_t now) except -1
    cdef int64_t step_lots(self, int account, int symbol, int leg) noexcept
    cdef int64_t reduce_leg(self, int account, int symbol, int leg, int64_t now) except? -1
    cdef int take_over(self, int account, int symbol, int leg, int64_t now) except -1
    cdef int weigh(self, int account, int symbol, int leg, int64_t* gross, int64_t* fees) noexcept
    cdef int hand_over(self, int account, int symbol, int leg, int64_t price_e8, int64_t fee_e8, int64_t now) except -1
    cdef int deleverage(self, int account, int symbol, int leg, int64_t price_e8, int64_t now) except -1
    cdef int first_ranked(self, int account, int symbol, bint longs, int* leg) noexcept
    cdef int64_t close_forced(self, int account, int symbol, int leg, int64_t lots, int64_t price_e8, int64_t fee_e8,
                              int cause, int64_t now, bint traded=*) except? -1
    cdef int unwind_fund(self, int symbol, int64_t now) except -1
