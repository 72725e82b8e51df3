"""Orders at the venue: every kind, every refusal in the exchange's code, and the lives of conditional orders."""

import numpy as np
import pytest
from builders import E8, depth, row, snapshot, spec

from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.fault import Faults
from core_ext.types import AlgoStatus, Asset, Flag, Instruments, Kind, OrderType, PriceMatch, Setting, Term, TimeInForce

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
BUY, SELL = 0, 1
BIDS = [(999 - k, 100) for k in range(25)]
ASKS = [(1001 + k, 100) for k in range(25)]
PLAIN = spec(min_notional_e8=1, leverage=20)
BAR = 3600 * SECOND
TRAILING = OrderType.TRAILING_STOP_MARKET


def market(bids=BIDS, asks=ASKS, mark_ticks=1000, ts=T0):
    """Return a mark, a book and its first diff."""
    return np.concatenate([row(Kind.MARK, ts, a=mark_ticks * 10**7), snapshot(ts, 1, bids, asks), depth(ts, 2, 2, 1)])


class Place:
    """A venue with one account in a small market around 100 USDT; answers in plain words."""

    def __init__(self, instrument=PLAIN, wallet=10**6, candles=False, **given):
        self.instruments = Instruments([instrument])
        self.account = Account(self.instruments, wallet * E8)
        source = candles if isinstance(candles, str) else "proxy" if candles else "stream"
        grace = 5 * SECOND if candles else 0
        self.venue = Exchange(self.instruments, [self.account], [source], 0.0, 0.0, grace, **given)
        self.now = T0
        if not candles:
            self.venue.feed(market())
        self.last_u = 2
        self.next_id = 0

    def words(self, rows):
        spoken = {
            Kind.ACCEPTED: ("c", "d"),
            Kind.REJECTED: ("b",),
            Kind.FILL: ("c", "d"),
            Kind.CANCELED: ("b",),
            Kind.EXPIRED: ("b", "c"),
            Kind.CANCEL_REJECTED: ("b",),
            Kind.AMENDED: ("b", "c"),
            Kind.AMEND_REJECTED: ("b",),
            Kind.LIQUIDATION: ("a", "b", "c", "e"),
            Kind.LOST: ("b",),
        }
        return [
            ("ALGO", AlgoStatus(int(one["b"])).name.removeprefix("ALGO_"), *([int(one["e"])] if one["e"] else []))
            if one["kind"] == Kind.ALGO
            else (Kind(int(one["kind"])).name, *(int(one[word]) for word in spoken.get(Kind(int(one["kind"])), ())))
            for one in rows
        ]

    def send(self, side, lots=0, ticks=0, *, client_id=None, after=0, **given):
        self.now += after
        if client_id is None:
            self.next_id += 1
            client_id = self.next_id
        return self.words(self.venue.place_order(self.now, client_id, 0, side, lots, ticks, **given))

    def amend(self, client_id, lots, ticks, **given):
        return self.send(BUY, lots, ticks, client_id=client_id, amends=True, **given)

    def cancel(self, client_id):
        return self.words(self.venue.cancel_order(self.now, client_id, 0))

    def query(self, client_id):
        return self.words(self.venue.query_order(self.now, client_id, 0))

    def trade(self, ticks, lots=1, aggressor=BUY):
        flags = Flag.F_END | (Flag.F_SELL if aggressor == SELL else 0)
        return self.words(self.venue.feed(row(Kind.TRADE, self.now, flags=flags, b=ticks, c=lots)))

    def mark(self, ticks, after=0):
        self.now += after
        return self.words(self.venue.feed(row(Kind.MARK, self.now, a=ticks * 10**7)))

    def show(self, bids=(), asks=()):
        self.last_u += 1
        return self.words(self.venue.feed(depth(self.now, self.last_u, self.last_u, self.last_u - 1, bids, asks)))

    @property
    def lots(self):
        return self.account.position(0)["lots"]


# Kinds of orders.


def test_fill_or_kill_fills_whole_or_is_refused():
    place = Place()
    assert place.send(BUY, 201, 1002, tif=TimeInForce.FOK) == [("REJECTED", -5021)]
    filled = place.send(BUY, 200, 1002, tif=TimeInForce.FOK)
    assert filled == [("ACCEPTED", 1002, 200), ("FILL", 1001, 100), ("FILL", 1002, 100)]
    assert place.send(BUY, 1, 1002, tif=TimeInForce.FOK) == [("REJECTED", -5021)]  # we have eaten it


def test_a_good_till_date_order_ends_at_its_date():
    place = Place()
    end = T0 + 700 * SECOND
    assert place.send(BUY, 5, 990, tif=TimeInForce.GTD, good_till=end) == [("ACCEPTED", 990, 5)]
    assert place.mark(1000, after=699 * SECOND) == []
    assert place.mark(1000, after=1 * SECOND) == [("EXPIRED", 5, 0)]
    assert place.venue.resting(0) == []
    assert place.account.margins_of(0)["open_orders"] == 0


MATCHES = [
    (BUY, PriceMatch.OPPONENT, 1001),
    (BUY, PriceMatch.OPPONENT_5, 1005),
    (BUY, PriceMatch.QUEUE, 999),
    (SELL, PriceMatch.QUEUE_10, 1010),
    (SELL, PriceMatch.OPPONENT_20, 980),
]


@pytest.mark.parametrize(("side", "match", "ticks"), MATCHES)
def test_a_price_match_takes_the_price_of_its_level(side, match, ticks):
    assert Place().send(side, 7, price_match=match)[0] == ("ACCEPTED", ticks, 7)


REFUSALS = [
    ({"price_match": PriceMatch.OPPONENT, "ticks": 990}, -5037),
    ({"price_match": 9}, -5037),
    ({"price_match": PriceMatch.QUEUE, "type": OrderType.MARKET}, -5038),
    ({"stp": 4, "ticks": 990}, -5039),
    ({"tif": TimeInForce.GTD, "good_till": T0 + 600 * SECOND, "ticks": 990}, -5040),
    ({"tif": 5, "ticks": 990}, -1115),
    ({"type": 7, "ticks": 990}, -1116),
    ({"position_side": 1, "ticks": 990}, -4061),
    ({"terms": Term.CLOSE_POSITION, "ticks": 990}, -1106),
    ({"terms": Term.CLOSE_POSITION, "type": OrderType.STOP_MARKET, "trigger_ticks": 990}, -4137),
    ({"terms": Term.CLOSE_POSITION, "type": 3, "trigger_ticks": 990, "lots": 0, "reduce_only": True}, -4138),
    ({"side": SELL, "type": OrderType.STOP_MARKET, "trigger_ticks": 1000}, -2021),
    ({"side": BUY, "type": OrderType.STOP_MARKET, "trigger_ticks": 1000}, -2021),
    ({"side": SELL, "type": OrderType.TAKE_PROFIT_MARKET, "trigger_ticks": 1000}, -2021),
    ({"side": BUY, "type": OrderType.TAKE_PROFIT_MARKET, "trigger_ticks": 1000}, -2021),
    ({"side": SELL, "type": OrderType.STOP, "trigger_ticks": 990, "ticks": 0}, -4013),
    ({"side": SELL, "type": OrderType.STOP_MARKET, "trigger_ticks": 0}, -4013),
    ({"side": SELL, "type": TRAILING, "callback_e8": 99_999}, -1130),
    ({"side": SELL, "type": TRAILING, "callback_e8": 20_000_001}, -1130),
    ({"side": BUY, "type": TRAILING, "callback_e8": 10**6, "activate_ticks": -5}, -4135),
    ({"side": SELL, "type": TRAILING, "callback_e8": 10**6, "activate_ticks": 10**9 + 1}, -4135),
    ({"type": OrderType.MARKET, "ticks": 1}, -1106),
    ({"type": OrderType.MARKET, "tif": TimeInForce.IOC}, -1106),
    ({"type": OrderType.MARKET, "tif": TimeInForce.GTX}, -1106),
    ({"side": SELL, "type": OrderType.STOP_MARKET, "trigger_ticks": 990, "tif": TimeInForce.GTX}, -1106),
    ({"side": SELL, "type": OrderType.STOP_MARKET, "trigger_ticks": 990, "ticks": 5}, -1106),
    ({"side": SELL, "type": TRAILING, "callback_e8": 10**6, "activate_ticks": 1000}, -2021),
    ({"side": BUY, "type": TRAILING, "callback_e8": 10**6, "activate_ticks": 1000}, -2021),
    ({"reduce_only": True, "ticks": 990}, -2022),
]


@pytest.mark.parametrize(("given", "code"), REFUSALS)
def test_what_the_exchange_refuses_with_which_code(given, code):
    given = {"side": BUY, "lots": 10, "ticks": 0} | given
    side, lots, ticks = (given.pop(name) for name in ("side", "lots", "ticks"))
    assert Place().send(side, lots, ticks, **given) == [("REJECTED", code)]


def test_a_price_match_needs_a_book_that_deep():
    place = Place()
    place.show(asks=[(ticks, 0) for ticks, _ in ASKS[3:]])
    assert place.send(BUY, 7, price_match=PriceMatch.OPPONENT_5) == [("REJECTED", -5041)]


def test_steps_of_the_day_are_finer_rules_than_the_tick():
    place = Place(PLAIN | {"tick_step": 5, "lot_step": 10})
    assert place.send(BUY, 10, 991) == [("REJECTED", -4014)]
    assert place.send(BUY, 11, 990) == [("REJECTED", -4023)]
    assert place.send(BUY, 10, 990) == [("ACCEPTED", 990, 10)]


def test_the_filters_and_the_status_of_the_day_hold_from_their_rows_on():
    place = Place()
    place.venue.feed(row(Kind.FILTERS, T0, a=10, b=2, c=4, d=50, e=40, f=1))
    assert place.send(BUY, 10, 995) == [("REJECTED", -4014)]
    assert place.send(BUY, 2, 990) == [("REJECTED", -4004)]
    assert place.send(BUY, 42) == [("REJECTED", -4005)]
    place.venue.feed(row(Kind.STATUS, T0, a=0))
    assert place.send(BUY, 10, 990) == [("REJECTED", -4141)]


SENSE = {"a": 10, "b": 2, "c": 4, "d": 50, "e": 40, "f": 1}


@pytest.mark.parametrize(
    "words",
    [{word: value} for word in "abcde" for value in (0, -1, 2**62)]
    + [{"b": 2**63 - 1}, {"c": 51}, {"d": 3}, {"f": -1}, {"c": 2**62, "d": 2**63 - 1}],
)
def test_filters_that_make_no_sense_leave_what_was(words):
    place = Place()
    before = place.instruments.spec(0)
    place.venue.feed(row(Kind.FILTERS, T0, **(SENSE | words)))
    assert place.instruments.spec(0) == before
    place.venue.feed(row(Kind.FILTERS, T0, **SENSE))
    assert place.instruments.spec(0) != before


@pytest.mark.parametrize("field", ["tick_e8", "lot_e8", "tick_step", "lot_step", "min_lots", "max_lots"])
@pytest.mark.parametrize("value", [0, -1, 2**62])
def test_an_instrument_of_no_step_is_refused(field, value):
    with pytest.raises(ValueError, match=f"BTCUSDT: {field} must be positive, not {value}"):
        Instruments([PLAIN | {field: value}])


# Self-trade prevention: the taker's mode rules.

STP = [
    (1, [("ACCEPTED", 1002, 150), ("FILL", 1001, 100), ("EXPIRED", 50, 1)], 1),
    (2, [("ACCEPTED", 1002, 150), ("FILL", 1001, 100), ("EXPIRED", 10, 1), ("FILL", 1002, 50)], 0),
    (3, [("ACCEPTED", 1002, 150), ("FILL", 1001, 100), ("EXPIRED", 10, 1), ("EXPIRED", 50, 1)], 0),
    (0, [("ACCEPTED", 1002, 150), ("FILL", 1001, 100), ("FILL", 1002, 50)], 1),
]


@pytest.mark.parametrize(("mode", "answers", "left"), STP)
def test_self_trade_prevention_ends_whose_order_the_takers_mode_says(mode, answers, left):
    place = Place()
    place.send(SELL, 10, 1002)
    place.show(asks=[(1002, 30)])
    place.trade(1002, 30)  # nothing stands in front of our order any more, and it is not reached
    place.show(asks=[(1002, 0)])
    place.show(asks=[(1002, 100)])
    assert place.send(BUY, 150, 1002, stp=mode) == answers
    assert len(place.venue.resting(0)) == left


def test_an_immediate_order_that_meets_its_own_says_so():
    place = Place()
    place.send(SELL, 10, 1001, stp=1)
    place.show(asks=[(1001, 0)])
    assert place.send(BUY, 5, 1001, tif=TimeInForce.IOC, stp=1)[-1] == ("EXPIRED", 5, 3)


# Amendments.


def test_an_amended_order_loses_its_place_and_says_what_it_is_now():
    place = Place()
    place.send(BUY, 50, 999)
    place.trade(999, 60, SELL)
    assert place.venue.resting(0)[0]["ahead"] == 40
    assert place.amend(1, 40, 999) == [("AMENDED", 999, 40)]
    (resting,) = place.venue.resting(0)
    assert (resting["ahead"], resting["leaves"], resting["order"]["lots"]) == (100, 40, 40)


def test_an_amendment_that_crosses_takes():
    place = Place()
    place.send(BUY, 50, 999)
    assert place.amend(1, 60, 1001) == [("AMENDED", 1001, 60), ("FILL", 1001, 60)]


def test_a_partly_filled_order_that_is_amended_below_what_it_has_done_is_cancelled():
    place = Place()
    place.send(BUY, 150, 1001)
    assert place.amend(1, 120, 1001) == [("AMENDED", 1001, 120)]
    assert place.venue.resting(0)[0]["leaves"] == 20
    assert place.amend(1, 100, 1000) == [("CANCELED", 20)]
    assert place.venue.resting(0) == []


def test_a_post_only_order_that_is_amended_across_is_cancelled():
    place = Place()
    place.send(BUY, 50, 999, tif=TimeInForce.GTX)
    assert place.amend(1, 50, 1001) == [("CANCELED", 50)]


AMEND_REFUSALS = [
    ((50, 999), -5027),
    ((0, 999), -4004),
    ((10**6 + 1, 999), -4005),
    ((50, 0), -4013),
    ((50, 1051), -4016),
    ((200_001, 999), -2019),
]


@pytest.mark.parametrize(("wanted", "code"), AMEND_REFUSALS)
def test_an_amendment_that_is_refused_leaves_the_order_as_it_was(wanted, code):
    place = Place(wallet=1_000)
    place.send(BUY, 50, 999)
    before = place.venue.resting(0), place.account.available()
    assert place.amend(1, *wanted) == [("AMEND_REJECTED", code)]
    assert (place.venue.resting(0), place.account.available()) == before


BAD_AMENDMENTS = [
    ({"ticks": 0, "price_match": 200}, -5037),
    ({"ticks": 998, "price_match": PriceMatch.QUEUE}, -5037),
    ({"ticks": 998, "lots": 40}, -5029),
]


@pytest.mark.parametrize(("given", "code"), BAD_AMENDMENTS)
def test_the_parameters_of_an_amendment_are_judged_in_the_codes_of_amendments(given, code):
    place = Place(PLAIN | {"min_notional_e8": 4 * E8})
    place.send(BUY, 50, 999)
    given = {"lots": 50} | given
    assert place.amend(1, given.pop("lots"), given.pop("ticks"), **given) == [("AMEND_REJECTED", code)]


def test_an_amendment_may_follow_a_level():
    place = Place()
    place.send(SELL, 50, 1_010)
    assert place.amend(1, 50, 0, price_match=PriceMatch.QUEUE_5) == [("AMENDED", 1005, 50)]


def test_a_symbol_that_is_closed_takes_no_amendment_and_no_triggered_order():
    place = Place()
    place.trade(1000)
    place.send(BUY, 50, 999)
    place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990)
    place.venue.feed(row(Kind.STATUS, T0, a=0))
    assert place.amend(1, 40, 999) == [("AMEND_REJECTED", -5024)]
    assert place.trade(990)[-1] == ("ALGO", "REJECTED", -4141)
    assert place.cancel(1) == [("CANCELED", 50)]


def test_a_closing_order_of_hedge_mode_is_amended_no_further_than_its_leg():
    place = hedged()
    place.send(BUY, 50, position_side=1)
    place.send(SELL, 50, 1010, position_side=1)
    assert place.amend(2, 51, 1010) == [("AMEND_REJECTED", -2022)]
    assert place.amend(2, 49, 1010) == [("AMENDED", 1010, 49)]


def test_an_unknown_order_and_a_conditional_one_cannot_be_amended():
    place = Place()
    assert place.amend(9, 10, 990) == [("AMEND_REJECTED", -2013)]


def test_an_amendment_may_use_the_margin_of_the_order_that_it_changes():
    # 100 USDT at 20 times carry 2,000 USDT: 19,000 lots of 0.1 USDT are 1,900.
    place = Place(wallet=100)
    assert place.send(BUY, 19_000, 999)[0] == ("ACCEPTED", 999, 19_000)
    assert place.amend(1, 19_500, 999) == [("AMENDED", 999, 19_500)]
    assert place.amend(1, 21_000, 999) == [("AMEND_REJECTED", -2019)]


# Hedge mode.


def hedged(wallet=10**6):
    place = Place(wallet=wallet)
    assert place.venue.set(T0, 0, Setting.HEDGE_MODE, 1) == 0
    return place


HEDGE_REFUSALS = [
    ({"side": BUY, "position_side": 0}, -4061),
    ({"side": BUY, "position_side": 1, "reduce_only": True}, -4062),
    ({"side": SELL, "position_side": 1}, -2022),
    ({"side": BUY, "position_side": 2}, -2022),
    (
        {"side": BUY, "position_side": 1, "terms": Term.CLOSE_POSITION, "type": 3, "trigger_ticks": 990, "lots": 0},
        -4061,
    ),
]


@pytest.mark.parametrize(("given", "code"), HEDGE_REFUSALS)
def test_the_direction_table_of_hedge_mode(given, code):
    given = {"lots": 10} | given
    side, lots = given.pop("side"), given.pop("lots")
    assert hedged().send(side, lots, 0, **given) == [("REJECTED", code)]


def test_both_legs_are_held_and_closed_no_further_than_they_go():
    place = hedged()
    place.send(BUY, 50, position_side=1)
    place.send(SELL, 30, position_side=2)
    assert (place.account.position(0, 0)["lots"], place.account.position(0, 1)["lots"]) == (50, -30)
    assert place.send(SELL, 51, position_side=1) == [("REJECTED", -2022)]
    rows = place.venue.place_order(T0, 99, 0, BUY, 30, 0, position_side=2)
    assert [bool(one["flags"] & Flag.F_SHORT) for one in rows[rows["kind"] == Kind.FILL]] == [True]
    assert (place.account.position(0, 0)["lots"], place.account.position(0, 1)["lots"]) == (50, 0)
    assert place.account.reconcile() == 0


# Conditional orders.

NEW, TRIGGERED = ("ALGO", "NEW"), [("ALGO", "TRIGGERING"), ("ALGO", "TRIGGERED")]
FINISHED = ("ALGO", "FINISHED")
TRIGGERS = [
    (OrderType.STOP_MARKET, BUY, 1002, 1001, 1002),
    (OrderType.STOP_MARKET, SELL, 998, 999, 998),
    (OrderType.TAKE_PROFIT_MARKET, BUY, 998, 999, 998),
    (OrderType.TAKE_PROFIT_MARKET, SELL, 1002, 1001, 1002),
]


@pytest.mark.parametrize(("kind", "side", "trigger", "before", "at"), TRIGGERS)
@pytest.mark.parametrize("by_mark", [False, True])
def test_a_conditional_order_waits_for_its_price_and_then_is_a_market_order(kind, side, trigger, before, at, by_mark):
    place = Place()
    place.trade(1000)
    terms = Term.MARK_TRIGGER if by_mark else 0
    move, other = (place.mark, place.trade) if by_mark else (place.trade, place.mark)
    assert place.send(side, 10, type=kind, trigger_ticks=trigger, terms=terms) == [NEW]
    assert place.account.margins_of(0)["open_orders"] == 1
    assert move(before) == []
    assert other(at) == []
    price = 1001 if side == BUY else 999
    assert move(at) == [*TRIGGERED, ("ACCEPTED", 0, 10), ("FILL", price, 10), FINISHED]
    assert place.venue.algos(0) == []
    assert place.account.margins_of(0)["open_orders"] == 0


def test_a_stop_with_a_limit_becomes_a_limit_order_that_can_be_cancelled():
    place = Place()
    place.trade(1000)
    place.send(SELL, 10, 1003, type=OrderType.STOP, trigger_ticks=998)
    assert place.trade(998) == [*TRIGGERED, ("ACCEPTED", 1003, 10)]
    assert place.cancel(1) == [("CANCELED", 10), FINISHED]


def test_a_child_that_the_exchange_refuses_ends_the_conditional_order_with_its_code():
    place = Place(wallet=10)
    place.trade(1000)
    # No margin is asked before the trigger: 10 USDT carry 200, and 3,000 lots are 300.
    assert place.send(BUY, 3_000, type=OrderType.STOP_MARKET, trigger_ticks=1002) == [NEW]
    assert place.trade(1002) == [("ALGO", "TRIGGERING"), ("ALGO", "REJECTED", -2019)]
    assert place.send(SELL, 10, 990, type=OrderType.STOP, trigger_ticks=995, tif=TimeInForce.GTX) == [NEW]
    assert place.trade(995) == [("ALGO", "TRIGGERING"), ("ALGO", "REJECTED", -5022)]


def test_a_conditional_order_is_cancelled_once():
    place = Place()
    place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990)
    assert place.cancel(1) == [("ALGO", "CANCELED")]
    assert place.cancel(1) == [("CANCEL_REJECTED", -2011)]


def test_an_account_has_two_hundred_conditional_orders_and_no_more():
    place = Place()
    for _ in range(200):
        assert place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990) == [NEW]
    assert place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990) == [("REJECTED", -4045)]
    assert place.send(SELL, 10, 1010) == [("ACCEPTED", 1010, 10)]  # they are no open orders of the book


@pytest.mark.parametrize(
    ("side", "path", "fires"),
    [
        # 1 % behind the best price since it was armed.
        (SELL, [1000, 1010, 1000], False),
        (SELL, [1000, 1010, 999], True),
        (SELL, [1000, 990], True),
        (SELL, [1000, 991], False),
        (BUY, [1000, 990, 999], False),
        (BUY, [1000, 990, 1000], True),
    ],
)
def test_a_trailing_stop_follows_the_best_price_by_its_callback(side, path, fires):
    place = Place()
    place.trade(path[0])
    assert place.send(side, 10, type=TRAILING, callback_e8=10**6) == [NEW]
    answers = [place.trade(ticks) for ticks in path[1:]]
    assert all(not answer for answer in answers[:-1])
    assert bool(answers[-1]) == fires


def test_a_trailing_stop_is_armed_by_its_activation_price():
    place = Place()
    place.trade(1000)
    place.send(SELL, 10, type=TRAILING, callback_e8=10**6, activate_ticks=1020)
    assert place.trade(980) == []
    assert place.trade(1020) == []
    assert place.trade(1009)[0] == ("ALGO", "TRIGGERING")


def test_price_protection_waits_while_mark_and_last_price_are_apart():
    place = Place()
    place.trade(1000)
    place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990, terms=Term.PRICE_PROTECT)
    assert place.trade(949) == []  # 5.1 % from the mark
    assert place.trade(950)[0] == ("ALGO", "TRIGGERING")


def test_a_close_position_order_closes_what_there_is_and_goes_with_the_position():
    place = Place()
    place.trade(1000)
    place.send(BUY, 70, 1001)
    place.send(SELL, type=OrderType.STOP_MARKET, trigger_ticks=990, terms=Term.CLOSE_POSITION)
    place.send(SELL, type=OrderType.TAKE_PROFIT_MARKET, trigger_ticks=1010, terms=Term.CLOSE_POSITION)
    place.send(BUY, 20, 1001)
    answers = place.trade(990)
    assert answers == [*TRIGGERED, ("ACCEPTED", 0, 90), ("FILL", 999, 90), FINISHED, ("ALGO", "EXPIRED")]
    assert (place.lots, place.venue.algos(0)) == (0, [])


def test_a_close_position_order_ends_when_somebody_else_closes():
    place = Place()
    place.trade(1000)
    place.send(BUY, 70, 1001)
    place.send(SELL, type=OrderType.STOP_MARKET, trigger_ticks=990, terms=Term.CLOSE_POSITION)
    assert place.send(SELL, 70, 999)[-1] == ("ALGO", "EXPIRED")


# Conditional orders on candles.


def on_bars(orders, bars, held=0):
    """Place orders a second after the first open, then play (open, high, low, close) bars; return fills by bar."""
    place = Place(candles=True)
    if held:
        place.account.fill(0, held, 1000, 0)
    place.now = T0 - T0 % BAR
    place.venue.feed(row(Kind.CANDLE_OPEN, place.now, a=bars[0][0] * 10**7, f=BAR))
    place.now += SECOND
    answers = [place.send(**order) for order in orders]
    place.now -= SECOND
    fills = []
    for k, (_, high, low, close) in enumerate(bars):
        place.now += BAR
        words = {"a": 0, "b": high * 10**7, "c": low * 10**7, "d": close * 10**7, "e": 10**6, "f": BAR}
        said = place.words(place.venue.feed(row(Kind.CANDLE, place.now, flags=33, **words)))
        if k + 1 < len(bars):
            said += place.words(place.venue.feed(row(Kind.CANDLE_OPEN, place.now, a=bars[k + 1][0] * 10**7, f=BAR)))
        fills.append([one[1:] for one in said if one[0] == "FILL"])
    assert all(answer[0] == NEW or answer[0][0] == "ACCEPTED" for answer in answers)
    return fills, place


STOP = {"side": SELL, "lots": 10, "type": OrderType.STOP_MARKET, "trigger_ticks": 990}
TAKE = {"side": SELL, "lots": 10, "type": OrderType.TAKE_PROFIT_MARKET, "trigger_ticks": 1010}


def test_a_stop_on_candles_fills_at_its_trigger_inside_a_bar():
    fills, _ = on_bars([STOP], [(1000, 1005, 991, 1000), (1000, 1005, 985, 1000)], held=10)
    assert fills == [[], [(990, 10)]]


def test_a_stop_on_candles_fills_at_an_open_that_is_worse():
    fills, _ = on_bars([STOP], [(1000, 1005, 991, 1000), (980, 985, 970, 984)], held=10)
    assert fills == [[(980, 10)], []]


def test_within_a_bar_the_adverse_extreme_comes_first():
    orders = [TAKE | {"reduce_only": True}, STOP | {"reduce_only": True}]
    fills, place = on_bars(orders, [(1000, 1020, 980, 1000)], held=10)
    assert fills == [[(990, 10)]]
    assert place.lots == 0
    # A short has its stop above and its profit below.
    mirrored = [
        {"side": BUY, "lots": 10, "type": OrderType.TAKE_PROFIT_MARKET, "trigger_ticks": 990, "reduce_only": True},
        {"side": BUY, "lots": 10, "type": OrderType.STOP_MARKET, "trigger_ticks": 1010, "reduce_only": True},
    ]
    fills, place = on_bars(mirrored, [(1000, 1020, 980, 1000)], held=-10)
    assert fills == [[(1010, 10)]]


def test_a_trailing_stop_on_candles_does_not_know_the_high_before_the_low():
    trailing = {"side": SELL, "lots": 10, "type": TRAILING, "callback_e8": 2 * 10**6}
    # 2 % below 1000 is 980; the high of 1030 comes after the low, and its 1009.4 is above the close.
    fills, _ = on_bars([trailing], [(1000, 1030, 985, 1005)], held=10)
    assert fills == [[(1009, 10)]]
    fills, _ = on_bars([trailing], [(1000, 1030, 985, 1020)], held=10)
    assert fills == [[]]


# Money of the account.


@pytest.mark.parametrize(
    ("kind", "trigger", "mark", "price"),
    [
        (OrderType.STOP_MARKET, 990, (1000, 985), 950),  # the last price has been far below before the mark was there
        (OrderType.TAKE_PROFIT_MARKET, 1010, (1015, 1000), 950),
    ],
)
def test_a_stop_by_the_mark_fills_no_better_than_the_bar_opened(kind, trigger, mark, price):
    place = Place(instrument=PLAIN | {"take_bound_e8": E8}, candles="file")
    place.account.fill(0, 10, 1000, 0)
    place.now = T0 - T0 % BAR
    words = {"a": 1000 * 10**7, "b": 1000 * 10**7, "c": 1000 * 10**7, "d": 1000 * 10**7, "f": BAR}
    place.venue.feed(row(Kind.MARK_CANDLE, place.now, **words))
    place.venue.feed(row(Kind.CANDLE_OPEN, place.now, a=950 * 10**7, f=BAR))
    order = {"type": kind, "trigger_ticks": trigger, "reduce_only": True, "terms": Term.MARK_TRIGGER}
    assert place.send(SELL, 10, **order) == [NEW]
    place.now += BAR
    high, low = mark
    words |= {"b": high * 10**7, "c": low * 10**7, "d": 1000 * 10**7}
    said = place.words(place.venue.feed(row(Kind.MARK_CANDLE, place.now, **words)))
    assert ("FILL", price, 10) in said


def test_fees_are_paid_in_the_fee_coin_while_there_is_some():
    place = Place()
    place.venue.feed(row(Kind.ASSET_INDEX, T0, a=int(Asset.BNB), b=500 * E8))
    assert place.venue.deposit(T0, Asset.BNB, 10**5) == 0
    assert place.venue.set(T0, 0, Setting.FEE_COIN, 1) == 0
    rows = place.venue.place_order(T0, 1, 0, BUY, 100, 1001)
    (fill,) = rows[rows["kind"] == Kind.FILL]
    # 0.05 % of 10.01 USDT less a tenth, at 500 USDT: 0.00000901 (rounded) of a coin.
    assert (fill["e"], bool(fill["flags"] & Flag.F_FEE_COIN)) == (901, True)
    assert (place.account.fees_e8, place.account.asset(Asset.BNB)["wallet_e8"]) == (0, 10**5 - 901)
    rows = place.venue.place_order(T0, 2, 0, BUY, 12_000)
    assert not any(one["flags"] & Flag.F_FEE_COIN for one in rows[-1:])


def test_settings_are_refused_in_the_exchanges_codes():
    place = Place()
    place.send(BUY, 10, 990)
    assert place.venue.set(T0, 0, Setting.HEDGE_MODE, 1) == -4067
    assert place.venue.set(T0, 0, Setting.ISOLATED, 1) == -4047
    place.cancel(1)
    assert place.venue.set(T0, 0, Setting.ISOLATED, 1) == 0
    rows, to = place.venue.said()
    assert [(int(one["kind"]), int(one["a"]), int(one["b"])) for one in rows] == [(Kind.SETTING, Setting.ISOLATED, 1)]
    assert to == [0]


def test_margin_moves_into_an_isolated_position_and_out_as_far_as_it_is_not_needed():
    place = Place(wallet=1_000)
    assert place.venue.add_margin(T0, 0, E8) == -4049  # a cross position has none of its own
    place.venue.set(T0, 0, Setting.ISOLATED, 1)
    assert place.venue.add_margin(T0, 0, E8) == -4054
    place.send(BUY, 100, 1001)
    assert place.venue.add_margin(T0, 0, 0) == -4055
    assert place.venue.add_margin(T0, 0, 2_000 * E8) == -4050
    assert place.venue.add_margin(T0, 0, 100 * E8) == 0
    assert place.venue.add_margin(T0, 0, -101 * E8) == -4051
    assert place.venue.add_margin(T0, 0, -99 * E8) == 0


def test_no_more_is_transferred_out_than_is_available():
    place = Place(wallet=1_000)
    assert place.venue.deposit(T0, Asset.USDT, -1_001 * E8) == -2018
    assert place.venue.deposit(T0, Asset.USDT, -1_000 * E8) == 0
    assert place.account.wallet_e8 == 0


def test_what_is_not_in_the_cross_wallet_is_not_transferred_out():
    # 600 of 1,000 stand behind an isolated leg; a gain on the cross position is no money yet.
    instruments = Instruments([PLAIN, PLAIN | {"symbol": "ETHUSDT"}])
    account = Account(instruments, 1_000 * E8)
    venue = Exchange(instruments, [account], ["stream"] * 2, 0.0, 0.0, 0)
    for symbol in (0, 1):
        venue.feed(row(Kind.MARK, T0, symbol, a=100 * E8))
    assert venue.set(T0, 0, Setting.ISOLATED, 1) == 0
    account.fill(0, 120_000, 1000, 0)
    account.fill(1, 10_000, 1000, 0)
    venue.feed(row(Kind.MARK, T0, 1, a=200 * E8))
    assert account.available() > 1_000 * E8
    assert venue.deposit(T0, Asset.USDT, -401 * E8) == -2018
    assert venue.deposit(T0, Asset.USDT, -400 * E8) == 0


def test_collateral_that_carries_a_position_stays():
    place = Place(wallet=0)
    place.venue.feed(row(Kind.ASSET_INDEX, T0, a=int(Asset.BNB), b=500 * E8))
    assert place.venue.deposit(T0, Asset.BNB, 4 * E8) == 0
    assert place.venue.set(T0, 0, Setting.MULTI_ASSETS, 1) == 0
    # 19,000 lots are 1,901.90 USDT, 95.095 of margin and 0.95 of fee: one coin is 475 USDT of collateral.
    assert place.send(BUY, 19_000, 1001)[0] == ("ACCEPTED", 1001, 19_000)
    assert place.venue.deposit(T0, Asset.BNB, -4 * E8) == -2018
    assert place.venue.deposit(T0, Asset.BNB, -3 * E8) == 0
    assert place.account.available() > 0


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63), 2**62])
def test_absurd_amounts_move_no_money(amount):
    place = Place()
    before = place.account.wallet_e8
    assert place.venue.deposit(T0, Asset.USDT, amount) == (-1130 if amount > 0 else -2018)
    assert place.venue.deposit(T0, Asset.BNB, amount) == (-1130 if amount > 0 else -2018)
    assert place.venue.add_margin(T0, 0, amount) == -4049
    assert (place.account.wallet_e8, place.account.asset(Asset.BNB)["wallet_e8"]) == (before, 0)


def test_prices_of_nothing_move_nothing():
    place = Place()
    place.trade(1000)
    for terms in (0, Term.MARK_TRIGGER):
        place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=990, terms=terms)
    assert place.mark(0) == place.mark(-1) == place.trade(0) == place.trade(-1) == []
    assert place.send(BUY, 10, 990) == [("ACCEPTED", 990, 10)]  # the mark still stands
    with pytest.raises(IndexError):
        place.venue.feed(row(Kind.MARK, T0, 7, a=100 * E8))


def test_a_snapshot_tells_all_levels_anew_so_nothing_is_taken_from_them():
    # More levels than the venue remembers, eaten before and after a gap in the recording.
    thin = [(1001 + k, 1) for k in range(1_024)]
    place = Place(PLAIN | {"take_bound_e8": 10 * E8, "max_market_lots": 10**6})
    place.show(asks=thin)
    assert place.send(BUY, 1_024)[-1] == ("FILL", 2024, 1)
    gap = depth(place.now, 50, 50, 48, (), ())
    there = snapshot(place.now, 60, BIDS, [(3_000, 10)])
    place.venue.feed(np.concatenate([gap, there, depth(place.now, 61, 61, 60)]))
    assert place.send(BUY, 10)[-1] == ("FILL", 3_000, 10)


# Faults.


def faulty(what, share=1.0, delay=0, **given):
    return Place(faults=Faults([(T0, T0 + SECOND, what, share, delay)], **given))


@pytest.mark.parametrize("code", [-1001, -1008, 503])
def test_a_refusing_venue_says_its_code_and_does_nothing(code):
    place = faulty(code)
    assert place.send(BUY, 10, 990) == [("REJECTED", code)]
    assert place.send(BUY, 10, 990, after=SECOND) == [("ACCEPTED", 990, 10)]


def test_the_overload_spares_what_can_only_close_and_cancels():
    place = faulty(-1008)
    place.account.fill(0, 50, 1000, 0)
    assert place.send(SELL, 10, 1010, reduce_only=True) == [("ACCEPTED", 1010, 10)]
    assert place.cancel(1) == [("CANCELED", 10)]


@pytest.mark.parametrize(("what", "later"), [("lost, carried out", ("ACCEPTED", 990, 10)),
                                             ("lost, not carried out", ("ABSENT",))])  # fmt: skip
def test_of_a_lost_request_only_a_question_tells_what_became(what, later):
    place = faulty(what)
    assert place.send(BUY, 10, 990)[0] == ("LOST", Kind.ORDER)
    place.now += SECOND
    assert place.query(1) == [later]


def test_what_nobody_hears_when_an_answer_is_lost_is_a_refusal_and_what_was_asked():
    place = faulty("lost, carried out")
    assert place.send(BUY, 10, 990) == [("LOST", Kind.ORDER), ("ACCEPTED", 990, 10)]  # that is the account's own news
    assert place.send(BUY, 0, 990) == [("LOST", Kind.ORDER)]
    assert place.amend(1, 10, 990) == [("LOST", Kind.AMEND)]
    assert place.amend(1, 11, 990) == [("LOST", Kind.AMEND), ("AMENDED", 990, 11)]
    assert place.query(1) == [("LOST", Kind.QUERY)]
    assert place.cancel(9) == [("LOST", Kind.CANCEL)]
    assert place.cancel(1) == [("LOST", Kind.CANCEL), ("CANCELED", 11)]
    assert len(place.venue.said()[0]) == len(place.venue.said()[1])


def test_lost_requests_are_carried_out_by_a_coin_that_a_seed_tosses_again():
    def run(seed):
        place = faulty("lost", seed=seed)
        for _ in range(100):
            place.send(BUY, 10, 990)
        return len(place.venue.resting(0)), place.venue.faults.state()

    assert run(1) == run(1) != run(2)
    assert 30 < run(1)[0] < 70


def test_a_delayed_answer_comes_later_and_what_was_asked_happens_at_once():
    place = faulty("delayed", delay=70)
    rows = place.venue.place_order(T0, 1, 0, BUY, 10, 1001)
    assert set(rows["ts"].tolist()) == {T0 + 70}
    assert place.lots == 10


def test_order_rates_are_counted_in_windows_of_the_clock():
    place = Place(faults=Faults([], per_10s=3, per_minute=5))
    place.now = T0 - T0 % (60 * SECOND) + 60 * SECOND

    def burst():
        return [place.send(BUY, 10, 990)[0][-1] == 10 for _ in range(4)]

    assert burst() == [True, True, True, False]
    assert place.cancel(1) == [("CANCELED", 10)]  # cancels are not counted
    place.now += 10 * SECOND
    assert burst() == [True, True, False, False]  # the minute is spent
    assert place.send(BUY, 10, 990) == [("REJECTED", -1015)]
    place.now += 50 * SECOND
    assert burst() == [True, True, True, False]


def test_what_the_venue_fails_to_do_is_not_counted():
    for what, code in ((503, 503), (-1008, -1008), (-1001, -1001)):
        place = faulty(what, per_10s=3)
        assert [place.send(BUY, 10, 990) for _ in range(5)] == [[("REJECTED", code)]] * 5
        place.now += SECOND
        assert [place.send(BUY, 10, 990)[0][0] for _ in range(4)] == ["ACCEPTED"] * 3 + ["REJECTED"]


def test_a_question_is_answered_by_what_became_of_the_order_and_never_by_a_fill():
    place = Place()
    place.trade(1000)
    place.send(BUY, 10, 990)
    place.send(BUY, 10, 1001)
    place.send(BUY, 500, 1001, tif=TimeInForce.IOC)
    place.send(SELL, 10, type=OrderType.STOP_MARKET, trigger_ticks=980)
    place.send(BUY, 10, 985)
    place.cancel(5)
    assert place.query(1) == [("ACCEPTED", 990, 10)]
    assert place.query(2) == [("ACCEPTED", 1001, 10)]  # what it was: its fill has been said
    assert place.query(3) == [("EXPIRED", 410, 2)]
    assert place.query(4) == [NEW]
    assert place.query(5) == [("CANCELED", 10)]
    assert place.query(6) == [("ABSENT",)]


# Own size and queues.


def test_what_we_took_comes_back_after_the_recovery_time():
    place = Place(recovery_ns=10)
    assert ("FILL", 1001, 100) in place.send(BUY, 100, 1001)
    assert place.send(BUY, 10, 1001, tif=TimeInForce.IOC, after=9)[-1] == ("EXPIRED", 10, 2)
    assert ("FILL", 1001, 10) in place.send(BUY, 10, 1001, tif=TimeInForce.IOC, after=1)


@pytest.mark.parametrize(("model", "ahead"), [("pessimistic", 70), ("linear", 53), ("square", 51)])
def test_a_cancellation_is_ahead_of_us_by_its_model(model, ahead):
    # A hundred in front; fifty join behind; a trade takes thirty: 70 in front, 50 behind; then thirty cancel.
    # linear: 30 * 70 / 120 = 17.5; square: 30 * 4900 / 7400 = 19.9, rounded down.
    place = Place(queue=model)
    place.send(BUY, 50, 999)
    place.show(bids=[(999, 150)])
    place.trade(999, 30, SELL)
    place.show(bids=[(999, 90)])

    assert place.venue.resting(0)[0]["ahead"] == ahead
