"""The order table: what evidence may change, and exposure that only the venue's evidence releases."""

from itertools import permutations

import pytest
from builders import E8, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ext.account import Account
from core_ext.orders import Orders, transitions
from core_ext.types import Instruments, OrderState, OrderType, PositionSide, Setting, Side, Term

EVIDENCE = (
    "ACCEPTED", "REJECTED", "PART", "FULL", "CANCELED", "EXPIRED", "CANCEL_SENT", "CANCEL_REJECTED", "LOST", "ARMED",
    "TRIGGERING", "AMENDED", "AMEND_REJECTED",
)  # fmt: skip
(ACCEPTED, REJECTED, PART, FULL, CANCELED, EXPIRED, CANCEL_SENT, CANCEL_REJECTED, LOST, IS_ARMED, IS_TRIGGERING,
 AMENDED, AMEND_REJECTED) = range(13)  # fmt: skip
STAYS, ILLEGAL = 254, 255
PLACES = 4096
DEAD = {"FILLED", "CANCELLED", "EXPIRED_", "REJECTED_"}

# From the exchange's page of order states, read as a trader reads it. A state stays ("=") where the evidence tells
# nothing new, and "-" is evidence that nothing explains. An amendment in flight may be refused at any time.
#                      ACCEPTED REJECTED  PART          FULL   CANCELED  EXPIRED  CANCEL_SENT    C_REJECT LOST
LEGAL = {
    "EMPTY":          "-        -         -             -      -         -        -              -        -",
    "PENDING_NEW":    "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "LIVE":           "=        -         PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "PARTLY_FILLED":  "=        -         =             FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "PENDING_CANCEL": "=        REJECTED_ =             FILLED CANCELLED EXPIRED_ =              LIVE     UNKNOWN",
    "UNKNOWN":        "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ =              =        =",
    "ARMED":          "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "TRIGGERING":     "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "FILLED":         "-        -         -             -      -         -        =              =        -",
    "CANCELLED":      "-        -         -             -      =         =        =              =        -",
    "EXPIRED_":       "-        -         -             -      =         =        =              =        -",
    "REJECTED_":      "-        =         -             -      -         -        =              =        -",
}  # fmt: skip
# The algo universe, and amendments: a conditional order that has not become a limit order cannot be amended.
#                      ARMED TRIGGERING AMENDED AMEND_REJECTED
MORE = {
    "EMPTY":          "-     -          -       -",
    "PENDING_NEW":    "ARMED TRIGGERING -       =",
    "LIVE":           "=     =          =       =",
    "PARTLY_FILLED":  "=     =          =       =",
    "PENDING_CANCEL": "=     =          =       =",
    "UNKNOWN":        "ARMED TRIGGERING LIVE    =",
    "ARMED":          "=     TRIGGERING -       =",
    "TRIGGERING":     "=     =          -       =",
    "FILLED":         "-     -          -       =",
    "CANCELLED":      "-     -          -       =",
    "EXPIRED_":       "-     -          -       =",
    "REJECTED_":      "-     -          -       =",
}  # fmt: skip
LEGAL = {state: f"{LEGAL[state]} {MORE[state]}" for state in LEGAL}


def cells():
    """Return (state, evidence, cell) of the table above."""
    return [(state, k, cell) for state, row in LEGAL.items() for k, cell in enumerate(row.split())]


def after(state, evidence):
    """Return the state after evidence, None if the evidence is illegal."""
    cell = LEGAL[state].split()[evidence]
    return {"=": state, "-": None}.get(cell, cell)


def put(orders, symbol=0, side=Side.BUY, ticks=600_000, lots=10, reduce_only=False, **more):
    return orders.insert_for_test(symbol, side, ticks, lots, reduce_only, **more)


def state_of(orders, client_id):
    return orders.order(client_id)["state"]


def in_state(state):
    """Return a table and the id of its one order of ten lots, brought into a state by evidence alone."""
    way = {
        "PENDING_NEW": [],
        "LIVE": [ACCEPTED],
        "PARTLY_FILLED": [PART],
        "PENDING_CANCEL": [ACCEPTED, CANCEL_SENT],
        "UNKNOWN": [LOST],
        "ARMED": [IS_ARMED],
        "TRIGGERING": [IS_ARMED, IS_TRIGGERING],
        "FILLED": [FULL],
        "CANCELLED": [CANCELED],
        "EXPIRED_": [EXPIRED],
        "REJECTED_": [REJECTED],
    }
    orders = Orders(1)
    client_id = put(orders)
    for evidence in way[state]:
        assert orders.evidence(client_id, evidence)
    assert state_of(orders, client_id) == state
    return orders, client_id


# The table.


@pytest.mark.parametrize(("state", "evidence", "cell"), cells(), ids=lambda x: EVIDENCE[x] if isinstance(x, int) else x)
def test_the_table_of_transitions_is_the_one_written_by_hand(state, evidence, cell):
    entry = transitions()[OrderState[state]][evidence]
    expected = {"=": STAYS, "-": ILLEGAL}.get(cell) or OrderState[cell]
    assert entry == expected


@pytest.mark.parametrize("state", sorted(DEAD))
def test_a_terminal_order_stays_terminal_whatever_arrives(state):
    orders, client_id = in_state(state)
    for evidence in range(13):
        orders.evidence(client_id, evidence)
        assert state_of(orders, client_id) == state


@pytest.mark.parametrize("state", sorted(DEAD))
def test_the_answer_to_a_cancel_that_came_too_late_is_legal(state):
    orders, client_id = in_state(state)
    assert orders.evidence(client_id, CANCEL_REJECTED)
    assert orders.illegal == 0


@pytest.mark.parametrize(
    ("evidence", "state"),
    [(ACCEPTED, "LIVE"), (REJECTED, "REJECTED_"), (PART, "PARTLY_FILLED"), (FULL, "FILLED"), (CANCELED, "CANCELLED"),
     (EXPIRED, "EXPIRED_"), (IS_ARMED, "ARMED"), (IS_TRIGGERING, "TRIGGERING")],
)  # fmt: skip
def test_an_unknown_order_becomes_whatever_the_venue_says(evidence, state):
    orders, client_id = in_state("UNKNOWN")
    assert (orders.unknown, orders.evidence(client_id, evidence)) == (1, True)
    assert (state_of(orders, client_id), orders.unknown) == (state, 0)


@pytest.mark.parametrize("state", ["PENDING_NEW", "LIVE", "PARTLY_FILLED", "PENDING_CANCEL", "ARMED", "TRIGGERING"])
def test_an_order_whose_answer_is_lost_is_unknown_and_keeps_its_exposure(state):
    orders, client_id = in_state(state)
    before = orders.exposure(0, 0)
    assert orders.evidence(client_id, LOST)
    assert state_of(orders, client_id) == "UNKNOWN"
    assert orders.exposure(0, 0) == before


def test_a_fill_that_wins_the_race_against_a_cancel_fills_the_order():
    orders, client_id = in_state("PENDING_CANCEL")
    assert orders.fill(client_id, 10)
    assert state_of(orders, client_id) == "FILLED"
    assert orders.exposure(0, 0)["lots"] == 0


def test_an_order_whose_cancel_is_rejected_is_live_again():
    orders, client_id = in_state("PENDING_CANCEL")
    assert orders.evidence(client_id, CANCEL_REJECTED)
    assert state_of(orders, client_id) == "LIVE"
    assert orders.exposure(0, 0)["lots"] == 10


def test_an_order_that_is_being_cancelled_is_still_exposure():
    orders, _ = in_state("PENDING_CANCEL")
    assert orders.exposure(0, 0) == {"lots": 10, "value_ticks": 6_000_000, "reducing": 0, "orders": 1}


def test_illegal_evidence_is_counted_and_changes_nothing():
    orders, client_id = in_state("LIVE")
    before = orders.order(client_id), orders.exposure(0, 0)
    assert not orders.evidence(client_id, REJECTED, 5)
    assert orders.illegal == 1
    assert (orders.order(client_id), orders.exposure(0, 0)) == before


# Evidence in any order.


@pytest.mark.parametrize("order", list(permutations(["accepted", "part", "rest"])))
def test_an_order_ends_filled_in_whatever_order_its_news_arrives(order):
    orders = Orders(1)
    client_id = put(orders, lots=10)
    news = {
        "accepted": lambda: orders.evidence(client_id, ACCEPTED),
        "part": lambda: orders.fill(client_id, 3),
        "rest": lambda: orders.fill(client_id, 7),
    }
    for name in order:
        news[name]()
    assert state_of(orders, client_id) == "FILLED"
    assert orders.order(client_id)["filled"] == 10
    assert (orders.exposure(0, 0), orders.open_orders) == ({"lots": 0, "value_ticks": 0, "reducing": 0, "orders": 0}, 0)
    assert orders.late == 0
    # News of acceptance that comes after the order is complete explains nothing any more.
    assert orders.illegal == (order[-1] == "accepted")


@pytest.mark.parametrize("order", list(permutations(["sent", "accepted", "fill", "cancel refused"])))
def test_a_filled_order_stays_filled_whenever_its_cancel_is_asked_and_refused(order):
    orders = Orders(1)
    client_id = put(orders, lots=10)
    news = {
        "sent": lambda: orders.evidence(client_id, CANCEL_SENT),
        "accepted": lambda: orders.evidence(client_id, ACCEPTED),
        "fill": lambda: orders.fill(client_id, 10),
        "cancel refused": lambda: orders.evidence(client_id, CANCEL_REJECTED),
    }
    for name in order:
        news[name]()
    assert state_of(orders, client_id) == "FILLED"
    assert orders.exposure(0, 0)["lots"] == 0


# Exposure.


def totals(model, symbol, side):
    """Return the exposure of one side of a symbol, from the orders themselves."""
    alive = [o for o in model.values() if (o["symbol"], o["side"]) == (symbol, side) and o["state"] not in DEAD]
    leaves = [o["lots"] - o["filled"] for o in alive]
    return {
        "lots": sum(leaves),
        "value_ticks": sum(lots * o["ticks"] for lots, o in zip(leaves, alive, strict=True)),
        "reducing": sum(lots for lots, o in zip(leaves, alive, strict=True) if o["reduce_only"]),
        "orders": len(alive),
    }


class Twin:
    """The order table as a dictionary, and its counters."""

    def __init__(self):
        self.orders = {}
        self.illegal = self.late = 0

    def evidence(self, order, evidence):
        state = after(order["state"], evidence)
        self.illegal += state is None
        order["state"] = state or order["state"]
        return state is not None

    def fill(self, order, lots):
        leaves = order["lots"] - order["filled"]
        if order["state"] in DEAD or lots > leaves:
            self.late += 1
            return False
        order["filled"] += lots
        return self.evidence(order, FULL if lots == leaves else PART)


NEW = st.fixed_dictionaries(
    {
        "symbol": st.integers(0, 2),
        "side": st.integers(0, 1),
        "ticks": st.integers(1, 10**6),
        "lots": st.integers(1, 20),
        "reduce_only": st.booleans(),
    }
)
WHICH = st.integers(0, 100)
STEP = st.one_of(
    st.tuples(st.just("new"), NEW),
    st.tuples(st.just("evidence"), WHICH, st.integers(0, 12)),
    st.tuples(st.just("fill"), WHICH, st.integers(1, 12)),
    st.tuples(st.just("fill the rest"), WHICH),
)


def run(orders, twin, step):
    """Apply a step to the table and its twin; both must give the same answer."""
    name, *words = step
    if name == "new":
        twin.orders[put(orders, **words[0])] = words[0] | {"filled": 0, "state": "PENDING_NEW"}
    elif twin.orders:
        client_id, order = list(twin.orders.items())[words[0] % len(twin.orders)]
        if name == "evidence":
            assert orders.evidence(client_id, words[1]) == twin.evidence(order, words[1])
        else:
            lots = words[1] if name == "fill" else max(1, order["lots"] - order["filled"])
            assert orders.fill(client_id, lots) == twin.fill(order, lots)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(STEP, min_size=5, max_size=60))
def test_exposure_is_always_the_sum_over_the_orders_that_are_not_terminal(steps):
    orders, twin = Orders(7), Twin()
    for step in steps:
        run(orders, twin, step)
        for symbol in range(3):
            assert [orders.exposure(symbol, side) for side in (0, 1)] == [
                totals(twin.orders, symbol, s) for s in (0, 1)
            ]
    alive = [o for o in twin.orders.values() if o["state"] not in DEAD]
    assert orders.open_orders == len(alive)
    assert orders.unknown == sum(o["state"] == "UNKNOWN" for o in alive)
    assert (orders.illegal, orders.late) == (twin.illegal, twin.late)
    assert [(o["client_id"], OrderState(o["state"]).name, o["filled"]) for o in orders.rows()] == [
        (client_id, o["state"], o["filled"]) for client_id, o in twin.orders.items()
    ]


@pytest.mark.parametrize("state", sorted(DEAD))
def test_a_late_fill_is_counted_and_resurrects_nothing(state):
    orders, client_id = in_state(state)
    assert not orders.fill(client_id, 4, 9)
    assert (orders.late, orders.illegal) == (1, 0)
    assert state_of(orders, client_id) == state
    assert (orders.exposure(0, 0)["lots"], orders.open_orders) == (0, 0)


def test_a_fill_of_more_than_was_left_is_counted_and_releases_nothing():
    orders, client_id = in_state("LIVE")
    assert not orders.fill(client_id, 11)
    assert orders.late == 1
    assert (state_of(orders, client_id), orders.exposure(0, 0)["lots"]) == ("LIVE", 10)


# Ids and places.


def test_an_id_is_the_epoch_and_a_counter_and_never_comes_twice():
    orders = Orders(0xABCD)
    ids = []
    for _ in range(3 * PLACES):
        ids.append(put(orders))
        orders.evidence(ids[-1], FULL)
    assert len(set(ids)) == len(ids)
    assert {client_id >> 32 for client_id in ids} == {0xABCD}
    assert [client_id & 0xFFFFFFFF for client_id in ids] == list(range(1, len(ids) + 1))


def test_a_terminal_order_is_found_until_its_place_is_needed():
    orders = Orders(1)
    first = put(orders)
    orders.evidence(first, FULL)
    for _ in range(PLACES - 1):
        orders.evidence(put(orders), FULL)
    assert state_of(orders, first) == "FILLED"
    second = put(orders)
    assert second % PLACES == first % PLACES
    with pytest.raises(KeyError):
        orders.order(first)


def test_the_place_of_an_order_is_not_reused_before_it_is_terminal():
    orders = Orders(1)
    held = [put(orders) for _ in range(PLACES)]
    assert len({client_id % PLACES for client_id in held}) == PLACES
    freed = held.pop(1234)
    orders.evidence(freed, CANCELED)
    latest = put(orders)
    assert latest % PLACES == freed % PLACES
    assert latest not in held
    assert [state_of(orders, client_id) for client_id in (*held, latest)] == ["PENDING_NEW"] * PLACES
    assert orders.open_orders == PLACES


def test_a_table_full_of_open_orders_takes_no_other():
    orders = Orders(1)
    held = [put(orders) for _ in range(PLACES)]
    assert put(orders) == 0
    assert [state_of(orders, client_id) for client_id in held] == ["PENDING_NEW"] * PLACES
    assert (orders.open_orders, orders.exposure(0, 0)["lots"]) == (PLACES, 10 * PLACES)


def test_an_id_of_another_run_is_not_found():
    orders = Orders(1)
    client_id = put(orders)
    for other in (0, client_id + 1, client_id + PLACES, client_id ^ (1 << 32)):
        with pytest.raises(KeyError):
            orders.evidence(other, ACCEPTED)
        with pytest.raises(KeyError):
            orders.fill(other, 1)


@pytest.mark.parametrize("evidence", [-1, 13])
def test_evidence_that_does_not_exist_is_refused(evidence):
    orders, client_id = in_state("LIVE")
    with pytest.raises(KeyError):
        orders.evidence(client_id, evidence)


@pytest.mark.parametrize(
    "words",
    [
        {"symbol": -1},
        {"symbol": 128},
        {"side": 2},
        {"ticks": -1},
        {"ticks": 1 << 51},
        {"lots": -1},
        {"lots": 1 << 51},
        {"position_side": 3},
        {"type": 7},
        {"terms": 256},
    ],
)
def test_an_order_that_is_out_of_range_is_put_nowhere(words):
    orders = Orders(1)
    with pytest.raises((IndexError, ValueError)):
        put(orders, **words)
    assert (orders.open_orders, orders.rows()) == (0, [])


# Conditional orders.


def conditional(orders, **more):
    client_id = put(orders, type=OrderType.STOP, **more)
    assert orders.evidence(client_id, IS_ARMED)
    return client_id


def test_a_conditional_order_goes_from_armed_through_its_trigger_to_its_fill():
    orders = Orders(1)
    client_id = conditional(orders)
    assert state_of(orders, client_id) == "ARMED"
    assert orders.exposure(0, 0)["lots"] == 10  # from the moment that it is asked for
    for evidence, state in ((IS_TRIGGERING, "TRIGGERING"), (ACCEPTED, "LIVE"), (PART, "PARTLY_FILLED")):
        assert orders.evidence(client_id, evidence)
        assert state_of(orders, client_id) == state
    assert orders.fill(client_id, 10)
    assert (state_of(orders, client_id), orders.exposure(0, 0)["lots"]) == ("FILLED", 0)


@pytest.mark.parametrize(("way", "state"), [([], "ARMED"), ([IS_TRIGGERING], "LIVE"), ([ACCEPTED], "LIVE")])
def test_a_conditional_order_whose_cancel_is_rejected_is_armed_again_unless_it_has_been_triggered(way, state):
    orders = Orders(1)
    client_id = conditional(orders)
    for evidence in (*way, CANCEL_SENT, CANCEL_REJECTED):
        assert orders.evidence(client_id, evidence)
    assert state_of(orders, client_id) == state


def test_a_conditional_order_needs_margin_only_from_its_trigger_on():
    orders, account = attached()
    client_id = conditional(orders, lots=1_000)
    assert (account.orders_total_e8, account.margins_of(0)["open_orders"]) == (0, 1)
    orders.evidence(client_id, IS_TRIGGERING)
    assert account.orders_total_e8 == 20_000 * E8


def test_a_fill_that_comes_before_the_news_of_its_trigger_proves_it():
    orders, account = attached()
    client_id = conditional(orders, lots=1_000)
    assert orders.fill(client_id, 400)
    assert account.orders_total_e8 == 12_000 * E8


# Close position orders have no quantity before their trigger.


def closing(orders):
    return put(orders, side=Side.SELL, lots=0, reduce_only=True, type=OrderType.STOP_MARKET, terms=Term.CLOSE_POSITION)


def test_a_close_position_order_learns_its_quantity_at_its_trigger():
    orders = Orders(1)
    client_id = closing(orders)
    assert orders.exposure(0, 1) == {"lots": 0, "value_ticks": 0, "reducing": 0, "orders": 1}
    orders.evidence(client_id, IS_TRIGGERING)
    assert orders.sized(client_id, 7)
    assert orders.exposure(0, 1) == {"lots": 7, "value_ticks": 4_200_000, "reducing": 7, "orders": 1}
    assert orders.fill(client_id, 7)
    assert (state_of(orders, client_id), orders.late, orders.open_orders) == ("FILLED", 0, 0)


def test_a_fill_of_a_close_position_order_may_come_before_its_quantity():
    orders = Orders(1)
    client_id = closing(orders)
    assert orders.fill(client_id, 4)
    assert (state_of(orders, client_id), orders.exposure(0, 1)["lots"]) == ("PARTLY_FILLED", 0)
    assert orders.sized(client_id, 7)
    assert orders.exposure(0, 1)["lots"] == 3
    assert orders.fill(client_id, 3)
    assert state_of(orders, client_id) == "FILLED"


def test_the_quantity_of_an_order_that_has_one_is_not_told_twice():
    orders = Orders(1)
    client_id = put(orders)
    assert not orders.sized(client_id, 7)
    assert orders.exposure(0, 0)["lots"] == 10


# Amendments.


@pytest.mark.parametrize(("asked", "lots", "value"), [
    ((590_000, 15), 15, 15 * 600_000), ((610_000, 5), 10, 10 * 610_000), ((610_000, 15), 15, 15 * 610_000),
])  # fmt: skip
def test_an_amendment_in_flight_counts_with_the_worse_of_what_is_and_what_is_asked(asked, lots, value):
    orders, client_id = in_state("LIVE")
    orders.ask(client_id, *asked)
    assert orders.exposure(0, 0) == {"lots": lots, "value_ticks": value, "reducing": 0, "orders": 1}
    assert orders.evidence(client_id, AMEND_REJECTED)
    assert orders.exposure(0, 0) == {"lots": 10, "value_ticks": 6_000_000, "reducing": 0, "orders": 1}


def test_an_amended_order_is_exposure_at_its_new_price_and_quantity():
    orders, client_id = in_state("LIVE")
    orders.ask(client_id, 590_000, 4)
    assert orders.amended(client_id, 590_000, 4)
    assert orders.exposure(0, 0) == {"lots": 4, "value_ticks": 4 * 590_000, "reducing": 0, "orders": 1}


def test_a_second_amendment_in_flight_does_not_hide_the_first():
    orders, client_id = in_state("LIVE")
    orders.ask(client_id, 620_000, 20)
    orders.ask(client_id, 600_000, 5)
    assert orders.exposure(0, 0)["lots"] == 20


@pytest.mark.parametrize("news", [("fill", "amended"), ("amended", "fill")])
def test_what_an_amendment_added_may_be_filled_before_the_news_of_it(news):
    orders, client_id = in_state("LIVE")
    orders.ask(client_id, 600_000, 20)
    for name in news:
        assert orders.fill(client_id, 15) if name == "fill" else orders.amended(client_id, 600_000, 20)
    assert (state_of(orders, client_id), orders.exposure(0, 0)["lots"], orders.late) == ("PARTLY_FILLED", 5, 0)
    assert orders.fill(client_id, 5)
    assert state_of(orders, client_id) == "FILLED"


def test_an_order_filled_to_its_old_quantity_is_complete_once_its_amendment_is_refused():
    orders, client_id = in_state("LIVE")
    orders.ask(client_id, 600_000, 20)
    orders.fill(client_id, 10)
    assert (state_of(orders, client_id), orders.exposure(0, 0)["lots"]) == ("PARTLY_FILLED", 10)
    assert orders.evidence(client_id, AMEND_REJECTED)
    assert (state_of(orders, client_id), orders.open_orders) == ("FILLED", 0)


def test_an_order_amended_to_what_is_filled_already_is_complete():
    orders, client_id = in_state("LIVE")
    orders.fill(client_id, 6)
    assert orders.amended(client_id, 600_000, 6)
    assert (state_of(orders, client_id), orders.exposure(0, 0)["lots"], orders.open_orders) == ("FILLED", 0, 0)


@pytest.mark.parametrize("lots", [0, -1])
def test_a_fill_of_nothing_is_no_fill(lots):
    orders, client_id = in_state("LIVE")
    assert not orders.fill(client_id, lots)
    assert (orders.late, state_of(orders, client_id), orders.exposure(0, 0)["lots"]) == (1, "LIVE", 10)


# Legs and margin.


def attached(**changes):
    """Return a table whose orders are kept in an account of three times leverage, and the account."""
    orders, account = Orders(1), Account(Instruments([spec(**changes)]), 10**6 * E8)
    orders.attach(account)
    return orders, account


def test_the_orders_of_two_legs_are_apart():
    orders = Orders(1)
    put(orders, position_side=PositionSide.LONG)
    put(orders, side=Side.SELL, position_side=PositionSide.SHORT, lots=4)
    put(orders, side=Side.BUY, position_side=PositionSide.SHORT, lots=3, reduce_only=True)
    lots = {(leg, side): orders.exposure(0, side, leg)["lots"] for leg in (0, 1) for side in (0, 1)}
    assert lots == {(0, 0): 10, (0, 1): 0, (1, 0): 3, (1, 1): 4}


def test_open_orders_need_the_margin_of_the_larger_side():
    orders, account = attached()
    buy = put(orders, lots=1_000)
    put(orders, side=Side.SELL, lots=2_000)
    put(orders, side=Side.SELL, lots=9_000, reduce_only=True)
    assert account.orders_total_e8 == 40_000 * E8
    orders.fill(buy, 1_000)
    account.fill(0, 1_000, 600_000, 0)
    # Long one, two offered: short one at worst, as much as the position itself needs.
    assert (account.initial_total_e8, account.orders_total_e8) == (20_000 * E8, 0)


def test_hedged_orders_need_the_margin_of_what_opens_each_leg():
    orders, account = attached()
    assert account.set(0, Setting.HEDGE_MODE, 1) == 0
    put(orders, lots=1_000, position_side=PositionSide.LONG)
    put(orders, side=Side.SELL, lots=2_000, position_side=PositionSide.SHORT)
    put(orders, lots=5_000, position_side=PositionSide.SHORT, reduce_only=True)
    assert account.orders_total_e8 == 60_000 * E8


@pytest.mark.parametrize("end", [CANCELED, EXPIRED, REJECTED])
def test_an_order_that_ends_frees_its_margin(end):
    orders, account = attached()
    client_id = put(orders, lots=1_000)
    orders.ask(client_id, 610_000, 3_000)
    assert account.orders_total_e8 == 61_000 * E8
    assert orders.evidence(client_id, end)
    assert (account.orders_total_e8, account.margins_of(0)["open_orders"]) == (0, 0)
    assert account.recompute() == []


def test_an_account_is_attached_only_to_an_empty_table():
    orders = Orders(1)
    put(orders)
    with pytest.raises(ValueError, match="1 orders are open"):
        orders.attach(Account(Instruments([spec()]), E8))
