"""Orders: the whole life of each, from the decision to the venue's last word, and what the risk gate refused.

Knows the core's own table of transitions, so that a state here is the engine's. Holds as many orders as the
engine's table does: an order leaves when its place is needed, and what is said of it later is of an order that
nobody knows. Refuses to know money.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.view import E8, Row, Scales, View, rounded
from core_ext.engine import ABSENT_AFTER_NS
from core_ext.orders import transitions
from core_ext.sizing import Factor
from core_ext.types import AlgoStatus, Flag, Instruments, Kind, OrderState, OrderType, PriceMatch, Term, TimeInForce

__all__ = ["ENDS", "PLACES", "Order", "Orders"]

PLACES = 4096
"""Orders that are remembered; a client order id's low bits are its place, as in the engine."""
REFUSED = "REFUSED"
ENDS = frozenset({"FILLED", "CANCELLED", "EXPIRED", "REJECTED", REFUSED})
"""States from which no order comes back."""
SIDES = ("BUY", "SELL")

# Columns of the core's table of transitions.
ACCEPTED, REJECTED, PART, FULL, CANCELED, EXPIRED, CANCEL_SENT, CANCEL_REJECTED, LOST = range(9)
ARMED, TRIGGERING, AMENDED, AMEND_REJECTED = range(9, 13)
STAY, ILLEGAL = 254, 255

EVIDENCE = {
    Kind.REJECTED: REJECTED,
    Kind.CANCELED: CANCELED,
    Kind.EXPIRED: EXPIRED,
    Kind.CANCEL: CANCEL_SENT,
    Kind.CANCEL_REJECTED: CANCEL_REJECTED,
    Kind.ABSENT: REJECTED,
}
ALGO_EVIDENCE = {
    AlgoStatus.ALGO_NEW: ARMED,
    AlgoStatus.ALGO_TRIGGERING: TRIGGERING,
    AlgoStatus.ALGO_CANCELED: CANCELED,
    AlgoStatus.ALGO_EXPIRED: EXPIRED,
    AlgoStatus.ALGO_REJECTED: REJECTED,
}


def _word(state: OrderState) -> str:
    return "PENDING" if state == OrderState.PENDING_NEW else state.name.rstrip("_")


STATES = {int(state): _word(state) for state in OrderState}
NUMBERS = {word: number for number, word in STATES.items()}
TRANSITIONS = transitions()


@dataclass(slots=True)
class Order:
    """One order, or one refusal of the risk gate (state REFUSED, client id 0, the reason's number as code).

    Attributes
    ----------
    sequence : int
        Row that asked for it.
    client_id, venue_id, algo_id : int
        As in the rows: 64 signed bits; 0 while there is none. A triggered order's venue id is its child's.
    price_e8, quantity_e8 : int
        As amended; a price of 0 is a market order, a quantity of 0 the whole position.
    amend_price_e8, amend_quantity_e8 : int
        The greatest that was asked for and not answered yet, else 0.
    filled_e8, filled_value_e8 : int
        Filled quantity, and what it came to in 1e-8 USDT.
    reference_e8 : int
        Mid when it was decided.
    limiting : str
        Which cap set its size.
    code : int
        The venue's code for refusing it, the reason of an expiry, or the gate's reason.
    created_ns, updated_ns, state_sequence : int
        When it was asked for, when something was last said of it, and the row that gave it its state.
    """

    sequence: int
    client_id: int
    symbol: str
    side: str
    leg: int
    type: str
    tif: str
    price_match: str
    reduce_only: bool
    close_position: bool
    price_e8: int
    quantity_e8: int
    reference_e8: int
    limiting: str
    created_ns: int
    updated_ns: int
    state: str
    state_sequence: int
    trigger_e8: int = 0
    activate_e8: int = 0
    callback_e8: int = 0
    good_till_ns: int = 0
    triggered: bool = False
    venue_id: int = 0
    algo_id: int = 0
    amend_price_e8: int = 0
    amend_quantity_e8: int = 0
    amendments: int = 0
    filled_e8: int = 0
    filled_value_e8: int = 0
    code: int = 0

    @property
    def is_conditional(self) -> bool:
        """Whether it waits for a trigger."""
        return self.type not in ("LIMIT", "MARKET")


class Orders(View[Order]):
    """The orders of an account.

    Parameters
    ----------
    instruments : Instruments

    Attributes
    ----------
    resized : (int, int)
        The last row that gave an order another quantity, and by how much, 1e-8.
    """

    name: ClassVar[str] = "orders"
    record: ClassVar[type] = Order
    key: ClassVar[tuple[str, ...]] = ("sequence",)

    def __init__(self, instruments: Instruments):
        self.scales = Scales(instruments)
        self._places: dict[int, Order] = {}
        self._changed: dict[int, Order] = {}
        self.resized = -1, 0
        self.steps = {
            Kind.ORDER: self._order,
            Kind.ORDER_TERMS: self._terms,
            Kind.REFUSED: self._refused,
            Kind.ACCEPTED: self._accepted,
            Kind.FILL: self._fill,
            Kind.AMEND: self._amend,
            Kind.AMENDED: self._amended,
            Kind.AMEND_REJECTED: self._amend_rejected,
            Kind.ALGO: self._algo,
            Kind.LOST: self._lost,
            **dict.fromkeys(EVIDENCE, self._told),
        }

    def rows(self) -> Iterator[Order]:
        """Return the orders that are remembered, oldest first."""
        return iter(sorted(self._places.values(), key=lambda order: order.sequence))

    def drain(self) -> list[Order]:
        """Return what is new or changed since the last call, refusals among it."""
        changed, self._changed = self._changed, {}
        return [changed[sequence] for sequence in sorted(changed)]

    def load(self, records: Iterator[Order]) -> None:
        """Take back the last order of each place."""
        self._places.clear()
        for order in records:
            if order.state != REFUSED:
                self._places.setdefault(order.client_id % PLACES, order)
                if len(self._places) == PLACES:
                    return

    def find(self, client_id: int) -> Order | None:
        """Return an order that is remembered."""
        order = self._places.get(client_id % PLACES)
        return order if order is not None and order.client_id == client_id else None

    def remembers(self, order: Order) -> bool:
        """Return whether something can still be said of an order."""
        return self._places.get(order.client_id % PLACES) is order

    # ------------------------------------------------------------------ decisions

    def _order(self, sequence: int, row: Row) -> None:
        order = self._asked(sequence, row, row.a, "PENDING")
        order.limiting = Factor(row.f).name or str(row.f)
        self._places[row.a % PLACES] = order

    def _refused(self, sequence: int, row: Row) -> None:
        self._asked(sequence, row, 0, REFUSED).code = row.a

    def _asked(self, sequence: int, row: Row, client_id: int, state: str) -> Order:
        terms = row.d.to_bytes(8, "little", signed=True)
        order = self._changed[sequence] = Order(
            sequence=sequence,
            client_id=client_id,
            symbol=self.scales.names[row.symbol],
            side=SIDES[bool(row.flags & Flag.F_SELL)],
            leg=1 if row.flags & Flag.F_SHORT else 0,
            type=OrderType(terms[0]).name,
            tif=TimeInForce(terms[1]).name,
            price_match=PriceMatch(terms[3]).name if terms[3] else "",
            reduce_only=bool(row.flags & Flag.F_REDUCE_ONLY),
            close_position=bool(terms[4] & Term.CLOSE_POSITION),
            price_e8=row.b * self.scales.tick_e8[row.symbol],
            quantity_e8=row.c * self.scales.lot_e8[row.symbol],
            reference_e8=row.e,
            limiting="",
            created_ns=row.ts,
            updated_ns=row.ts,
            state=state,
            state_sequence=sequence,
        )
        return order

    def _terms(self, _sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is not None:
            tick_e8 = self.scales.tick_e8[row.symbol]
            order.trigger_e8, order.activate_e8 = row.b * tick_e8, row.c * tick_e8
            order.callback_e8, order.good_till_ns = row.d, row.e

    def _amend(self, _sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is not None:
            price_e8, quantity_e8 = self._price_and_quantity(row)
            order.amend_price_e8 = max(order.amend_price_e8, price_e8)
            order.amend_quantity_e8 = max(order.amend_quantity_e8, quantity_e8)

    # ------------------------------------------------------------------ evidence

    def _of(self, row: Row) -> Order | None:
        order = self.find(row.a)
        if order is not None:
            order.updated_ns = row.ts
            self._changed[order.sequence] = order
        return order

    def _price_and_quantity(self, row: Row) -> tuple[int, int]:
        return row.b * self.scales.tick_e8[row.symbol], row.c * self.scales.lot_e8[row.symbol]

    def _told(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is None:
            return
        if row.kind == Kind.ABSENT and row.ts - order.created_ns <= ABSENT_AFTER_NS:
            return  # it may be on its way
        if row.kind in (Kind.REJECTED, Kind.ABSENT):
            order.code = row.b
        elif row.kind == Kind.EXPIRED:
            order.code = row.c
        _move(order, EVIDENCE[Kind(row.kind)], sequence)

    def _lost(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is not None and row.b != Kind.QUERY:  # a question that was lost changed nothing
            _move(order, LOST, sequence)

    def _accepted(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is None:
            return
        order.venue_id = row.b
        if order.state == "FILLED":
            return  # old news: its fills were faster
        asked = order.state == "UNKNOWN" and order.amend_quantity_e8
        price_e8 = row.c * self.scales.tick_e8[row.symbol]
        quantity_e8 = row.d * self.scales.lot_e8[row.symbol]
        if order.close_position and not order.quantity_e8 and order.state not in ENDS:
            self._resize(order, quantity_e8, sequence)
            _complete(order, sequence)
        if not _move(order, ACCEPTED, sequence):
            return
        if asked:  # the answer to a question names what the order is now, whatever was asked of it
            self._become(order, price_e8, quantity_e8, sequence)
        elif order.price_match and price_e8 and not order.amendments:
            order.price_e8 = price_e8

    def _fill(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is None:
            return
        # News of an amendment may come after a fill of what it added.
        most_e8 = max(order.quantity_e8, order.amend_quantity_e8)
        left_e8 = most_e8 - order.filled_e8
        size_e8 = row.d * self.scales.lot_e8[row.symbol]
        order.filled_e8 += size_e8
        order.filled_value_e8 += rounded(row.c * self.scales.tick_e8[row.symbol] * size_e8, E8)
        if size_e8 <= left_e8 or not most_e8:  # what exceeds the order moves the position only
            order.triggered = order.triggered or order.state not in ENDS
            _move(order, FULL if size_e8 == left_e8 else PART, sequence)

    def _amended(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is not None:
            self._become(order, *self._price_and_quantity(row), sequence)

    def _become(self, order: Order, price_e8: int, quantity_e8: int, sequence: int) -> None:
        if not _move(order, AMENDED, sequence):
            return
        order.amendments += (order.price_e8, order.quantity_e8) != (price_e8, quantity_e8)
        order.price_e8 = price_e8
        self._resize(order, quantity_e8, sequence)
        order.amend_price_e8 = order.amend_quantity_e8 = 0
        _complete(order, sequence)

    def _resize(self, order: Order, quantity_e8: int, sequence: int) -> None:
        self.resized = sequence, quantity_e8 - order.quantity_e8
        order.quantity_e8 = quantity_e8

    def _amend_rejected(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is None:
            return
        order.code = row.b
        if _move(order, AMEND_REJECTED, sequence):
            order.amend_price_e8 = order.amend_quantity_e8 = 0
            _complete(order, sequence)

    def _algo(self, sequence: int, row: Row) -> None:
        order = self._of(row)
        if order is None:
            return
        order.algo_id = row.c or order.algo_id
        order.venue_id = row.d or order.venue_id
        order.code = row.e or order.code
        if row.b in ALGO_EVIDENCE:
            _move(order, ALGO_EVIDENCE[AlgoStatus(row.b)], sequence)


def _complete(order: Order, sequence: int) -> None:
    # What an order has become may leave nothing of it.
    if order.quantity_e8 and order.filled_e8 >= order.quantity_e8 and order.state not in ENDS:
        _move(order, FULL, sequence)


def _move(order: Order, evidence: int, sequence: int) -> bool:
    # False for evidence that the order's state does not allow; as the core's `Orders.on_evidence`.
    following = TRANSITIONS[NUMBERS[order.state]][evidence]
    if following == ILLEGAL:
        return False
    if evidence in (ACCEPTED, TRIGGERING, PART):
        order.triggered = True
    if evidence == PART and order.state == "UNKNOWN" and order.amend_quantity_e8:
        return True  # whether it was amended is as unknown as before
    if following == STAY or STATES[following] == order.state:
        return True
    word = STATES[following]
    if evidence == CANCEL_REJECTED and not order.triggered:
        word = STATES[OrderState.ARMED if order.is_conditional else OrderState.PENDING_NEW]
    if word != order.state:
        order.state, order.state_sequence = word, sequence
        if word in ENDS:
            order.amend_price_e8 = order.amend_quantity_e8 = 0
    return True
