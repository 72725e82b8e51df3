"""Orders of every kind through the engine: what leaves, what is held, and what the venue's answers change."""

import numpy as np
import pytest
from builders import E8, row
from test_engine import (
    BUY,
    EQUITY,
    MIDDLE,
    SECOND,
    SELL,
    Plan,
    Tape,
    client_id,
    engine,
    kinds,
    nothing,
    of,
    order,
    with_position,
)  # fmt: skip

from autotrader.research.stress import STAND_ASIDE
from core_ext.sizing import Factor
from core_ext.types import (
    Alarm,
    AlgoStatus,
    Cause,
    Command,
    Flag,
    Kind,
    OrderType,
    PositionSide,
    PriceMatch,
    Reason,
    Setting,
    Term,
)  # fmt: skip

STOP = OrderType.STOP_MARKET
WIDE = {name: value for name, value in STAND_ASIDE.items() if name != "max_unknown"}


def asked_for(*steps, **changes):
    """Return an engine whose strategy has taken its steps, the tape, and what was asked for."""
    tape, machine = Tape(), engine(Plan(*steps), **changes)
    told = [machine.feed(tape.opening)] + [machine.feed(tape.touch()) for _ in steps]
    return machine, tape, np.concatenate(told)


def state(machine, n=1):
    return machine.orders.order(client_id(n))["state"]


def limit(side, lots, ticks, **more):
    return lambda desk: desk.order(0, side, OrderType.LIMIT, lots, price_ticks=ticks, **more)


def stop(lots, trigger, **more):
    return lambda desk: desk.order(0, SELL, STOP, lots, trigger_ticks=trigger, **more)


# ---------------------------------------------------------------------------------- what leaves


def test_a_conditional_order_is_two_rows_that_end_together():
    machine, tape = with_position(10, stop(10, MIDDLE - 5_000, reduce_only=True, terms=Term.MARK_TRIGGER))
    head, terms = machine.feed(tape.touch())
    assert (head["kind"], terms["kind"]) == (Kind.ORDER, Kind.ORDER_TERMS)
    assert head["flags"] & Flag.F_END == 0
    assert terms["flags"] & Flag.F_END
    assert (head["d"] & 255, head["d"] >> 32, terms["a"], terms["b"]) == (STOP, Term.MARK_TRIGGER, head["a"], 995_000)


def test_a_batch_is_one_run_of_rows_and_each_order_is_judged_after_those_before_it():
    wants = [
        {"symbol": 0, "side": BUY, "type": OrderType.LIMIT, "lots": 8, "price_ticks": MIDDLE - k} for k in (1, 2, 3)
    ]
    ids = []
    _, _, rows = asked_for(lambda desk: ids.extend(desk.batch(wants)))
    assert ids == [client_id(1), client_id(2), 0]  # 24 lots would pass the 20 of the symbol
    assert kinds(rows[-3:]) == ["ORDER", "ORDER", "REFUSED"]
    assert [bool(flags & Flag.F_END) for flags in rows[-3:]["flags"]] == [False, True, True]


def test_the_short_leg_is_named_on_the_row():
    machine, tape = engine(Plan(limit(SELL, 1, MIDDLE + 5, position_side=PositionSide.SHORT))), Tape()
    machine.feed(tape.opening[:1])
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    (row,) = of(machine.feed(np.concatenate([tape.snapshot(), tape.touch()])), Kind.ORDER)
    assert row["flags"] & Flag.F_SHORT
    assert row["flags"] & Flag.F_SELL


def test_hedge_mode_needs_a_position_side_and_one_way_mode_takes_none():
    machine, tape, _ = asked_for(nothing)
    desk = machine.desk
    assert (desk.submit(0, BUY, 1, MIDDLE, position_side=1), desk.last_reason) == (0, Reason.R29_NOT_ALLOWED)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    assert (desk.submit(0, BUY, 1, MIDDLE), desk.last_reason) == (0, Reason.R29_NOT_ALLOWED)
    assert desk.submit(0, BUY, 1, MIDDLE, position_side=1)


# ---------------------------------------------------------------------------------- the life of a conditional order


def armed(lots=10, trigger=MIDDLE - 5_000):
    machine, tape = with_position(10, stop(lots, trigger, reduce_only=True))
    machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(AlgoStatus.ALGO_NEW), c=7))
    return machine, tape


def test_a_stop_is_armed_triggered_and_filled_under_one_id():
    machine, tape = armed()
    seen = [state(machine)]
    for status in (AlgoStatus.ALGO_TRIGGERING, AlgoStatus.ALGO_TRIGGERED):
        machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(status), c=7, d=8))
        seen.append(state(machine))
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=8, d=10))
    seen.append(state(machine))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=client_id(1), b=1, c=MIDDLE - 5_001, d=10))
    seen.append(state(machine))
    assert seen == ["ARMED", "TRIGGERING", "TRIGGERING", "LIVE", "FILLED"]
    assert machine.account.position(0)["lots"] == 0
    assert machine.orders.open_orders == 0


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (AlgoStatus.ALGO_CANCELED, "CANCELLED"),
        (AlgoStatus.ALGO_EXPIRED, "EXPIRED_"),
        (AlgoStatus.ALGO_REJECTED, "REJECTED_"),
    ],
)
def test_a_stop_ends_with_its_algo_status(status, end):
    machine, tape = armed()
    machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(status), c=7))
    assert state(machine) == end
    assert machine.orders.exposure(0, SELL)["orders"] == 0


def test_a_stop_whose_cancellation_is_refused_is_armed_again():
    machine, tape = armed()
    machine.desk.cancel(client_id(1))
    assert state(machine) == "PENDING_CANCEL"
    machine.feed(tape.said(Kind.CANCEL_REJECTED, a=client_id(1), b=-2011))
    assert state(machine) == "ARMED"


def test_a_stop_that_opens_counts_as_exposure_and_needs_no_margin_before_its_trigger():
    machine, tape, _ = asked_for(lambda desk: desk.order(0, BUY, STOP, 20, trigger_ticks=MIDDLE + 100), nothing)
    assert machine.orders.exposure(0, BUY)["lots"] == 20
    assert machine.account.orders_total_e8 == 0
    assert machine.gate.ask(0, BUY, 1, MIDDLE, now=tape.ts) == Reason.R5_POSITION_LIMIT
    machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(AlgoStatus.ALGO_TRIGGERING)))
    assert machine.account.orders_total_e8 == 20 * (MIDDLE + 100) * 10**4 // 3


def test_a_close_position_order_takes_its_quantity_from_its_child():
    machine, tape = with_position(10, lambda desk: desk.order(0, SELL, STOP, trigger_ticks=990_000, terms=1))
    machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    assert machine.desk.last_reason == Reason.APPROVED
    machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(AlgoStatus.ALGO_TRIGGERING)))
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=8, d=10))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=client_id(1), b=1, c=990_000, d=10))
    assert state(machine) == "FILLED"


# ---------------------------------------------------------------------------------- amendments


def test_an_amendment_holds_the_worse_of_both_until_the_venue_answers():
    machine, tape, rows = asked_for(
        order(BUY, 4, MIDDLE - 5), nothing, lambda desk: desk.amend(client_id(1), 999_996, 9)
    )
    assert len(of(rows, Kind.AMEND)) == 0  # not acknowledged yet, so nothing to amend
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=1))
    assert machine.desk.amend(client_id(1), MIDDLE - 4, 9)
    assert machine.orders.exposure(0, BUY)["lots"] == 9
    assert not machine.desk.amend(client_id(1), MIDDLE - 3, 9)  # one is on its way
    machine.feed(tape.said(Kind.AMENDED, a=client_id(1), b=MIDDLE - 4, c=9))
    held = machine.orders.order(client_id(1))
    assert (held["price_ticks"], held["lots"], held["state"]) == (MIDDLE - 4, 9, "LIVE")


def test_a_refused_amendment_releases_what_it_held():
    machine, tape, _ = asked_for(order(BUY, 4, MIDDLE - 5), nothing)
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=1))
    machine.desk.amend(client_id(1), MIDDLE - 4, 9)
    machine.feed(tape.said(Kind.AMEND_REJECTED, a=client_id(1), b=-5027))
    assert machine.orders.exposure(0, BUY)["lots"] == 4
    assert machine.orders.order(client_id(1))["price_ticks"] == MIDDLE - 5
    assert machine.gate.sound()


def test_a_partly_filled_order_is_amended_by_its_whole_quantity():
    machine, tape, _ = asked_for(order(BUY, 6, MIDDLE - 5), nothing)
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=1))
    machine.feed(tape.said(Kind.FILL, a=client_id(1), b=1, c=MIDDLE - 5, d=2))
    assert machine.desk.amend(client_id(1), MIDDLE - 5, 10)
    assert machine.orders.exposure(0, BUY)["lots"] == 8
    machine.feed(tape.said(Kind.AMENDED, a=client_id(1), b=MIDDLE - 5, c=10))
    machine.feed(tape.said(Kind.FILL, a=client_id(1), b=2, c=MIDDLE - 5, d=8))
    assert state(machine) == "FILLED"


# ---------------------------------------------------------------------------------- unknown outcomes


def lost():
    machine, tape, _ = asked_for(order(BUY, 5, MIDDLE - 5), nothing)
    (timer,) = machine.feed(tape.said(Kind.LOST, a=client_id(1), b=int(Kind.ORDER)))
    return machine, tape, timer


def test_an_order_without_an_answer_is_unknown_and_stays_exposure():
    machine, tape, timer = lost()
    assert state(machine) == "UNKNOWN"
    assert (timer["kind"], timer["b"] - timer["ts"]) == (Kind.SET_TIMER, SECOND)
    assert machine.orders.exposure(0, BUY)["lots"] == 5
    assert machine.gate.ask(0, BUY, 1, MIDDLE, now=tape.ts) == Reason.R19_UNKNOWN_ORDERS


def test_the_venue_is_asked_once_a_second_and_nothing_is_ever_sent_again():
    machine, tape, timer = lost()
    for _ in range(3):
        wake = tape.said(Kind.TIMER, a=int(timer["a"]))
        query, timer = machine.feed(wake)
        assert (query["kind"], query["a"], timer["kind"]) == (Kind.QUERY, client_id(1), Kind.SET_TIMER)
        machine.feed(tape.said(Kind.LOST, a=client_id(1), b=int(Kind.QUERY)))  # the answer was lost as well
    assert state(machine) == "UNKNOWN"


@pytest.mark.parametrize(
    ("kind", "words", "end"),
    [
        (Kind.ACCEPTED, {"b": 4}, "LIVE"),
        (Kind.ABSENT, {}, "UNKNOWN"),  # it may be on its way yet
        (Kind.CANCELED, {"b": 5}, "CANCELLED"),
        (Kind.FILL, {"b": 1, "c": MIDDLE - 5, "d": 5}, "FILLED"),
    ],
)
def test_only_the_venue_says_what_became_of_it(kind, words, end):
    machine, tape, timer = lost()
    machine.feed(tape.said(kind, a=client_id(1), **words))
    assert state(machine) == end
    asked = machine.feed(tape.said(Kind.TIMER, a=int(timer["a"])))
    assert kinds(asked) == (["QUERY", "SET_TIMER"] if end == "UNKNOWN" else [])  # else there is nothing left to ask


def test_an_order_that_is_refused_after_its_cancel_was_is_released():
    machine, tape, _ = asked_for(order(BUY, 5, MIDDLE - 5), lambda desk: desk.cancel(client_id(1)))
    machine.feed(tape.said(Kind.CANCEL_REJECTED, a=client_id(1), b=-2011))  # the cancel was faster
    assert (state(machine), machine.orders.exposure(0, BUY)["lots"]) == ("PENDING_NEW", 5)
    machine.feed(tape.said(Kind.REJECTED, a=client_id(1), b=-2019))
    assert (state(machine), machine.orders.exposure(0, BUY)["lots"]) == ("REJECTED_", 0)


def test_an_order_is_absent_once_its_request_is_too_old_to_arrive():
    machine, _, _ = lost()
    created = machine.orders.order(client_id(1))["created"]
    machine.feed(row(Kind.ABSENT, created + 6 * SECOND, a=client_id(1)))
    assert (state(machine), machine.orders.exposure(0, BUY)["lots"]) == ("UNKNOWN", 5)
    machine.feed(row(Kind.ABSENT, created + 6 * SECOND + 1, a=client_id(1)))
    assert (state(machine), machine.orders.exposure(0, BUY)["lots"]) == ("REJECTED_", 0)


def test_an_answer_of_a_kind_that_is_none_changes_nothing():
    machine, tape, _ = asked_for(order(BUY, 5, MIDDLE - 5), nothing)
    machine.feed(tape.said(Kind.ABSENT + 10, a=client_id(1)))
    assert (state(machine), machine.orders.illegal) == ("PENDING_NEW", 1)


# ---------------------------------------------------------------------------------- force


def test_a_position_near_liquidation_says_so_and_is_halved_once_a_second():
    # 200 lots bought at 100,000 are 20,000 USDT on 10,000: nothing is left at about 50,200.
    machine, tape = with_position(
        200, **WIDE | {"liquidation_alarm_e8": 20_000_000, "liquidation_reduce_e8": 10_000_000}
    )
    assert Alarm.LIQUIDATION_NEAR not in machine.feed(tape.mark(640_000))["a"]
    assert Alarm.LIQUIDATION_NEAR in machine.feed(tape.mark(620_000))["a"]
    asked = machine.feed(tape.mark(550_000))
    assert Alarm.FORCED_REDUCTION in of(asked, Kind.ALARM)["a"]
    (closing,) = of(asked, Kind.ORDER)
    assert (closing["c"], bool(closing["flags"] & Flag.F_REDUCE_ONLY)) == (100, True)
    assert len(of(machine.feed(tape.mark(550_000, SECOND // 2)), Kind.ORDER)) == 0
    assert len(of(machine.feed(tape.mark(550_000, SECOND)), Kind.ORDER)) == 1


def test_a_breaker_that_trips_says_so_at_the_next_look():
    machine, tape, _ = asked_for(*[order(BUY, 1, MIDDLE - 5 - k) for k in range(3)], repeated_entries=2)
    assert machine.desk.last_reason == Reason.R14_REPEATED
    assert Alarm.REPEATED in of(machine.feed(tape.mark(MIDDLE)), Kind.ALARM)["a"]
    assert len(machine.feed(tape.mark(MIDDLE))) == 0


def test_deleveraging_closes_a_part_and_halts():
    machine, tape = with_position(10)
    asked = machine.feed(tape.said(Kind.LIQUIDATION, a=4, b=99_000 * E8, c=0, d=99_000 * E8, e=int(Cause.DELEVERAGED)))
    assert machine.account.position(0)["lots"] == 6
    assert machine.gate.halted
    assert [int(one["a"]) for one in of(asked, Kind.ALARM)] == [Alarm.DELEVERAGING]
    assert machine.liquidations == 0


def test_a_kill_leaves_the_stop_until_the_position_is_gone():
    machine, tape = armed()
    asked = machine.feed(tape.command(Command.KILL))
    assert kinds(asked) == ["ORDER"]
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=client_id(2), b=1, c=MIDDLE - 1, d=10))
    asked = machine.feed(tape.mark(MIDDLE, 2 * SECOND))
    assert (kinds(asked), int(asked["a"][0])) == (["CANCEL"], client_id(1))


def test_a_kill_closes_both_legs_of_hedge_mode():
    machine, tape, _ = asked_for(nothing, **WIDE)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    machine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=5))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL | Flag.F_SHORT, a=91, b=2, c=MIDDLE, d=3))
    rows = of(machine.feed(tape.command(Command.KILL)), Kind.ORDER)
    assert [(int(one["c"]), bool(one["flags"] & Flag.F_SELL), bool(one["flags"] & Flag.F_SHORT)) for one in rows] == [
        (5, True, False),
        (3, False, True),
    ]


# ---------------------------------------------------------------------------------- the account's events


def test_an_isolated_position_takes_its_margin_out_of_what_others_may_use():
    machine, tape, _ = asked_for(nothing)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.ISOLATED), b=1))
    machine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=6))
    assert machine.account.position(0)["isolated_e8"] == 200 * E8  # 600 USDT at three times leverage
    assert machine.account.cross_equity() == EQUITY - 200 * E8
    machine.feed(tape.said(Kind.MARGIN_MOVED, a=50 * E8))
    assert machine.account.position(0)["isolated_e8"] == 250 * E8
    machine.feed(tape.said(Kind.FUNDING_PAID, a=-3 * E8))
    assert machine.account.position(0)["isolated_e8"] == 247 * E8
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=91, b=2, c=MIDDLE, d=6))
    assert machine.account.cross_equity() == EQUITY - 3 * E8


@pytest.mark.parametrize("isolated", [False, True], ids=["an open order", "an isolated wallet"])
def test_a_size_at_the_margins_limit_is_one_that_the_gate_admits(isolated):
    machine, tape, _ = asked_for(nothing, **WIDE)
    desk = machine.desk
    if isolated:
        machine.feed(tape.said(Kind.SETTING, a=int(Setting.ISOLATED), b=1))
        machine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=6))
        machine.feed(tape.said(Kind.MARGIN_MOVED, a=8_500 * E8))
    else:
        assert desk.submit(0, BUY, 255, MIDDLE - 3)
    held = desk.position(0)
    lots, factor = desk.size(0, 1.0, 0.05, 5.0, 50.0, 0.01)
    assert (Factor(factor), lots - held > 10) == (Factor.MARGIN, True)
    assert desk.submit(0, BUY, lots - held), Reason(desk.last_reason)


def test_a_fee_in_the_fee_coin_leaves_the_usdt_wallet_alone():
    machine, tape, _ = asked_for(nothing)
    machine.feed(tape.said(Kind.TRANSFER, a=2 * E8, b=1))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_FEE_COIN, a=90, b=1, c=MIDDLE, d=6, e=10**6))
    assert machine.account.asset(1)["wallet_e8"] == 2 * E8 - 10**6
    assert machine.account.wallet_e8 == EQUITY
    assert machine.account.reconcile() == 0


def test_a_filter_of_the_day_binds_prices_and_quantities():
    machine, tape, _ = asked_for(nothing)
    machine.feed(tape.said(Kind.FILTERS, a=10, b=5, c=5, d=1_000, e=500, f=50 * E8))
    desk = machine.desk
    assert (desk.submit(0, BUY, 5, MIDDLE - 5), desk.last_reason) == (0, Reason.FILTER_PRICE)
    assert (desk.submit(0, BUY, 6, MIDDLE - 10), desk.last_reason) == (0, Reason.FILTER_QUANTITY)
    assert desk.submit(0, BUY, 5, MIDDLE - 10)


def test_a_symbol_that_the_exchange_suspends_takes_exits_only():
    machine, tape = with_position(5)
    machine.feed(tape.said(Kind.STATUS, a=0))
    assert machine.gate.ask(0, BUY, 1, MIDDLE, now=tape.ts) == Reason.R28_SYMBOL_STATUS
    assert machine.gate.ask(0, SELL, 5, now=tape.ts) == Reason.APPROVED


# ---------------------------------------------------------------------------------- what has been got past the gate


@pytest.mark.parametrize(
    "wish",
    [
        {"side": SELL, "type": OrderType.LIMIT, "price_ticks": MIDDLE * 9 // 10, "trigger_ticks": MIDDLE},
        {"side": BUY, "type": OrderType.MARKET, "trigger_ticks": MIDDLE // 2},
        {"side": BUY, "type": OrderType.MARKET, "callback_e8": E8 // 100},
        {"side": BUY, "type": STOP, "trigger_ticks": MIDDLE + 9, "activate_ticks": MIDDLE},
        {"side": BUY, "type": OrderType.TRAILING_STOP_MARKET, "callback_e8": E8 // 100, "activate_ticks": -5},
    ],
)
def test_a_price_that_is_none_of_its_types_is_refused_and_judged_as_none(wish):
    machine, _, _ = asked_for(lambda desk: desk.order(0, lots=10, **wish))
    assert machine.desk.last_reason == Reason.FILTER_PRICE


def unprotected_after(type, *evidence):
    """Return the reason of an entry 60 s after a protective order was asked for and its evidence came."""
    trigger = {"trigger_ticks": MIDDLE + 5_000 * (1 if type == OrderType.TAKE_PROFIT_MARKET else -1)}
    machine, tape = with_position(
        10, lambda desk: desk.order(0, SELL, type, 10, reduce_only=True, **trigger), unprotected_ns=3 * SECOND
    )
    machine.feed(tape.touch())
    for kind, words in evidence:
        machine.feed(tape.said(kind, a=client_id(1), **words))
    machine.feed(np.concatenate([tape.mark(MIDDLE, 60 * SECOND), tape.touch()]))
    machine.desk.submit(0, BUY, 1, MIDDLE)
    return machine.desk.last_reason


def test_a_stop_that_the_venue_has_protects_a_position_and_a_take_profit_or_a_doubtful_stop_does_not():
    new, lost = (Kind.ALGO, {"b": int(AlgoStatus.ALGO_NEW)}), (Kind.LOST, {"b": int(Kind.ORDER)})
    assert unprotected_after(STOP, new) == Reason.APPROVED
    assert unprotected_after(OrderType.TAKE_PROFIT_MARKET, new) == Reason.R26_UNPROTECTED
    assert unprotected_after(STOP) == Reason.R26_UNPROTECTED
    machine, tape = with_position(10, stop(10, MIDDLE - 5_000, reduce_only=True), unprotected_ns=3 * SECOND)
    machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    machine.feed(tape.said(lost[0], a=client_id(1), **lost[1]))
    machine.feed(np.concatenate([tape.mark(MIDDLE, 60 * SECOND), tape.touch()]))
    assert machine.gate.watching(0)["unprotected"] > 0


@pytest.mark.parametrize("leg", [0, 1])
def test_closing_a_leg_that_is_flat_opens_nothing(leg):
    machine, tape, _ = asked_for(nothing)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    assert machine.desk.close(0, leg, 5) == 0
    assert machine.desk.last_reason == Reason.NOTHING_TO_REDUCE


def test_a_forced_reduction_takes_from_both_legs_in_the_same_second():
    machine, tape, _ = asked_for(nothing, **WIDE | {"margin_reduce_e8": 1_000_000})
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    machine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=200))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL | Flag.F_SHORT, a=91, b=2, c=MIDDLE, d=100))
    rows = of(machine.feed(tape.mark(MIDDLE)), Kind.ORDER)
    assert [(int(one["c"]), bool(one["flags"] & Flag.F_SHORT)) for one in rows] == [(100, False), (50, True)]
    assert len(of(machine.feed(tape.mark(MIDDLE, SECOND // 2)), Kind.ORDER)) == 0


def test_a_second_position_near_liquidation_says_so_as_the_first_did():
    machine, tape = with_position(200, **WIDE | {"liquidation_alarm_e8": 20_000_000})
    sold = {"flags": Flag.F_END | Flag.F_SELL, "b": 2, "c": MIDDLE}
    assert Alarm.LIQUIDATION_NEAR in machine.feed(tape.mark(620_000))["a"]
    machine.feed(tape.said(Kind.FILL, a=98, d=200, **sold | {"c": 620_000}))
    machine.feed(tape.mark(620_000))
    machine.feed(tape.said(Kind.FILL, a=97, b=3, c=620_000, d=200))
    assert Alarm.LIQUIDATION_NEAR in machine.feed(tape.mark(620_000))["a"]


def test_an_order_whose_price_the_venue_sets_is_ones_own_like_any_other():
    match = {"price_match": PriceMatch.QUEUE}
    machine, tape, _ = asked_for(lambda desk: desk.order(0, BUY, OrderType.LIMIT, 5, **match), nothing)

    def sell(ticks):
        machine.desk.submit(0, SELL, 1, ticks)
        return machine.desk.last_reason

    assert sell(MIDDLE - 1) == Reason.R16_SELF_TRADE
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=7, c=MIDDLE - 2, d=5))
    assert machine.orders.exposure(0, BUY)["value_ticks"] == 5 * (MIDDLE - 2)
    assert [sell(MIDDLE - 2), sell(MIDDLE - 1)] == [Reason.R16_SELF_TRADE, Reason.APPROVED]


@pytest.mark.parametrize(
    "field",
    [{"side": 256}, {"side": -256}, {"type": 257}, {"tif": 256}, {"stp": 256}, {"price_match": 256}, {"terms": 256},
     {"terms": 8}],
    ids=str,
)  # fmt: skip
def test_a_field_that_a_byte_cannot_hold_is_refused_and_never_cut_to_one(field):
    wish = {"side": BUY, "type": OrderType.LIMIT, "price_ticks": MIDDLE - 5, "lots": 5} | field
    machine, tape, _ = asked_for(lambda desk: desk.order(0, **wish))
    assert machine.desk.last_reason == Reason.R31_RISK_FAULT
    side = wish.pop("side")
    assert machine.gate.ask(0, side, now=tape.ts, **wish) == Reason.R31_RISK_FAULT


def test_an_exit_whose_position_is_gone_is_withdrawn_while_nothing_may_be_opened():
    machine, tape = with_position(10, order(SELL, 10, MIDDLE + 5))
    machine.feed(tape.command(Command.HALT))
    machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=7, c=MIDDLE + 5, d=10))
    sold = {"flags": Flag.F_END | Flag.F_SELL, "a": 98, "c": MIDDLE}
    assert state(machine) == "LIVE"
    asked = machine.feed(tape.said(Kind.FILL, b=2, d=4, **sold))
    assert [(int(one["kind"]), int(one["a"])) for one in asked] == [(Kind.CANCEL, client_id(1))]


def test_a_kill_whose_cancel_is_refused_tries_again_without_a_market_event():
    machine, tape, _ = asked_for(order(BUY, 5, MIDDLE - 5))
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=7, c=MIDDLE - 5, d=5))
    assert kinds(machine.feed(tape.command(Command.KILL))) == ["CANCEL"]
    (timer,) = machine.feed(tape.said(Kind.CANCEL_REJECTED, a=client_id(1), b=-1001))
    asked = machine.feed(row(Kind.TIMER, int(timer["b"]), a=int(timer["a"])))
    assert (kinds(asked), int(asked["a"][0])) == (["CANCEL", "SET_TIMER"], client_id(1))


def test_a_kill_whose_close_is_refused_tries_again_without_a_market_event():
    machine, tape = with_position(10)
    machine.feed(tape.command(Command.KILL))
    waits, timers = [], machine.feed(tape.said(Kind.REJECTED, a=client_id(1), b=-1001))
    for n in range(2, 10):  # nothing but the venue's refusals and the engine's own wake-ups
        (timer,) = of(timers, Kind.SET_TIMER)
        waits.append(round(int(timer["b"] - timer["ts"]) / SECOND))
        tape.ts = int(timer["b"])
        timers = machine.feed(row(Kind.TIMER, tape.ts, a=int(timer["a"]), b=tape.ts))
        (closing,) = of(timers, Kind.ORDER)
        assert (closing["a"], closing["c"]) == (client_id(n), 10)
        assert len(machine.feed(tape.said(Kind.REJECTED, a=client_id(n), b=-1001))) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64]
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=98, b=2, c=MIDDLE, d=10))
    (timer,) = of(timers, Kind.SET_TIMER)
    assert len(machine.feed(row(Kind.TIMER, int(timer["b"]), a=int(timer["a"])))) == 0


def test_in_hedge_mode_a_stop_keeps_neither_a_kill_nor_a_reduction_from_closing_its_leg():
    machine, tape, _ = asked_for(nothing, **WIDE)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL | Flag.F_SHORT, a=90, b=1, c=MIDDLE, d=10))
    machine.desk.order(0, BUY, STOP, 10, trigger_ticks=MIDDLE + 5_000, position_side=PositionSide.SHORT)
    machine.feed(tape.said(Kind.ALGO, a=client_id(1), b=int(AlgoStatus.ALGO_NEW), c=7))
    assert machine.desk.close(0, 1, 5) == client_id(2)
    machine.feed(tape.said(Kind.REJECTED, a=client_id(2), b=-1001))
    (closing,) = machine.feed(tape.command(Command.KILL))
    assert (closing["kind"], closing["c"]) == (Kind.ORDER, 10)
