"""The order table: what evidence may change, and exposure that only the venue's evidence releases."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ext.orders import Orders, transitions
from core_ext.types import OrderState, Side

EVIDENCE = (
    "ACCEPTED", "REJECTED", "PART", "FULL", "CANCELED", "EXPIRED", "CANCEL_SENT", "CANCEL_REJECTED", "LOST",
)  # fmt: skip
ACCEPTED, REJECTED, PART, FULL, CANCELED, EXPIRED, CANCEL_SENT, CANCEL_REJECTED, LOST = range(9)
STAYS, ILLEGAL = 254, 255
PLACES = 4096
DEAD = {"FILLED", "CANCELLED", "EXPIRED_", "REJECTED_"}

# From the exchange's page of order states, read as a trader reads it. A state stays ("=") where the evidence tells
# nothing new, and "-" is evidence that nothing explains.
#                      ACCEPTED REJECTED  PART          FULL   CANCELED  EXPIRED  CANCEL_SENT    C_REJECT LOST
LEGAL = {
    "EMPTY":          "-        -         -             -      -         -        -              -        -",
    "PENDING_NEW":    "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "LIVE":           "=        -         PARTLY_FILLED FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "PARTLY_FILLED":  "=        -         =             FILLED CANCELLED EXPIRED_ PENDING_CANCEL =        UNKNOWN",
    "PENDING_CANCEL": "=        REJECTED_ =             FILLED CANCELLED EXPIRED_ =              LIVE     UNKNOWN",
    "UNKNOWN":        "LIVE     REJECTED_ PARTLY_FILLED FILLED CANCELLED EXPIRED_ =              =        =",
    "FILLED":         "-        -         -             -      -         -        =              =        -",
    "CANCELLED":      "-        -         -             -      =         =        =              =        -",
    "EXPIRED_":       "-        -         -             -      =         =        =              =        -",
    "REJECTED_":      "-        =         -             -      -         -        =              =        -",
}  # fmt: skip


def cells():
    """Return (state, evidence, cell) of the table above."""
    return [(state, k, cell) for state, row in LEGAL.items() for k, cell in enumerate(row.split())]


def after(state, evidence):
    """Return the state after evidence, None if the evidence is illegal."""
    cell = LEGAL[state].split()[evidence]
    return {"=": state, "-": None}.get(cell, cell)


def put(orders, symbol=0, side=Side.BUY, ticks=600_000, lots=10, reduce_only=False):
    return orders.insert_for_test(symbol, side, ticks, lots, reduce_only)


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
    for evidence in range(9):
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
     (EXPIRED, "EXPIRED_")],
)  # fmt: skip
def test_an_unknown_order_becomes_whatever_the_venue_says(evidence, state):
    orders, client_id = in_state("UNKNOWN")
    assert (orders.unknown, orders.evidence(client_id, evidence)) == (1, True)
    assert (state_of(orders, client_id), orders.unknown) == (state, 0)


@pytest.mark.parametrize("state", ["PENDING_NEW", "LIVE", "PARTLY_FILLED", "PENDING_CANCEL"])
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
    st.tuples(st.just("evidence"), WHICH, st.integers(0, 8)),
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
