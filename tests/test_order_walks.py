"""Random walks of orders against a venue that loses, delays and refuses: what is held, what may come of it, and a kill.

Knows what the venue truly has, which the engine only hears of. Refuses to know how the engine keeps its books.
"""

from dataclasses import dataclass
from random import Random

import pytest
from builders import E8, row
from test_engine import BUY, MIDDLE, SECOND, SELL, Tape, engine

from core_ext.strategy import Strategy
from core_ext.types import AlgoStatus, Command, Flag, Kind, OrderType, PositionSide, Setting

CAP = 20  # lots: a fifth of the equity
TOO_OLD = 6 * SECOND  # the venue takes no request that is older
STOP = OrderType.STOP_MARKET
FREE = {"maker_fee_e8": 0, "taker_fee_e8": 0}
ONLY_THE_CAP = {
    "max_order_e8": 10**6 * E8,
    "order_equity_share_e8": E8,
    "order_burst": 4_000,
    "orders_per_minute": 4_000,
    "duplicate_ns": 0,
    "fat_finger_e8": 10**6 * E8,
    "liquidation_distance_e8": 1,
    "liquidation_alarm_e8": 1,
    "liquidation_reduce_e8": 1,
    "liquidation_atr": 1e-9,
    "max_orders_symbol": 60,
    "max_unknown": 50,
    "depth_share_e8": 100 * E8,
    "book_stale_ns": 1 << 61,
    "mark_stale_ns": 1 << 61,
    "volume_share_e8": E8,
}


@dataclass
class Order:
    """An order as the venue has it."""

    side: int
    leg: int
    lots: int
    only_closes: bool
    type: int = int(OrderType.LIMIT)
    waits: bool = False  # for its trigger
    filled: int = 0
    live: bool = True

    @property
    def left(self):
        return self.lots - self.filled if self.live else 0


class Wish(Strategy):
    """Does what it is told to at the next touch."""

    def __init__(self):
        super().__init__()
        self.wish = None

    def on_book(self, symbol):
        if self.wish:
            self.wish(self.desk)

    def snapshot(self):
        return ()


class Walk:
    """An engine, a venue, and what is on its way between them."""

    def __init__(self, seed, hedge):
        self.dice, self.hedge, self.tape = Random(seed), hedge, Tape()
        self.engine = engine(Wish(), filters=FREE, **ONLY_THE_CAP)
        self.orders, self.requests, self.answers, self.timers = {}, [], [], []
        self.position, self.trades = [0, 0], 0
        self.feed(self.tape.opening)
        if hedge:
            self.feed(self.tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))

    def feed(self, rows):
        self.send(self.engine.feed(rows))

    def send(self, asked):
        for one in asked:
            kind = Kind(int(one["kind"]))
            if kind in (Kind.ORDER, Kind.AMEND, Kind.CANCEL, Kind.QUERY):
                self.requests.append((kind, one.copy(), self.tape.ts))
            elif kind == Kind.SET_TIMER:
                self.timers.append((int(one["b"]), int(one["a"])))

    def say(self, kind, client_id, flags=0, **words):
        self.answers.append((kind, {"a": client_id, "flags": Flag.F_END | flags, **words}))

    def hear(self):
        """Deliver what the venue has said, and what is due."""
        while self.answers:
            kind, words = self.answers.pop(0)
            self.feed(self.tape.said(kind, **words))
        for due in [timer for timer in self.timers if timer[0] <= self.tape.ts]:
            self.timers.remove(due)
            self.feed(row(Kind.TIMER, self.tape.ts, a=due[1], b=due[0]))
        assert len(self.timers) <= 3  # one of each of the engine's own
        self.stands()

    def stands(self):
        """Whatever the venue has is held, and whatever fills next, the position stays within its cap."""
        assert self.engine.orders.sound() and self.engine.gate.sound()
        for leg in range(1 + self.hedge):
            held = self.position[leg]
            for side, sign in ((BUY, 1), (SELL, -1)):
                live = [one for one in self.orders.values() if (one.side, one.leg) == (side, leg)]
                assert self.engine.orders.exposure(0, side, leg)["lots"] >= sum(one.left for one in live)
                plain = sum(one.left for one in live if not one.only_closes)
                assert abs(held + sign * plain) <= max(CAP, abs(held))
                assert plain <= CAP or not any(one.left and one.only_closes for one in live)

    # ------------------------------------------------------------------ the strategy

    def want(self):
        """Let the strategy ask for something."""
        self.engine.strategy.wish = self.ask
        self.feed(self.tape.touch())
        self.engine.strategy.wish = None
        assert not self.engine.failed, self.engine.failure

    def ask(self, desk):
        dice = self.dice
        open_orders = [one for one in self.engine.orders.rows() if one["state"] < 8]
        side, lots = dice.randint(0, 1), dice.choice((1, 2, 5, 10, 20, 25))
        leg = dice.choice((PositionSide.LONG, PositionSide.SHORT)) if self.hedge else 0
        shrinks = not self.hedge and dice.random() < 0.4
        away = 1 if side == BUY else -1
        what = dice.random()
        if what < 0.35:
            desk.submit(0, side, lots, MIDDLE - away * dice.randint(5, 50), 0, shrinks, 0, leg)
        elif what < 0.45:
            desk.submit(0, side, lots, 0, 0, shrinks, 0, leg)
        elif what < 0.55:
            trigger = MIDDLE + away * 500
            desk.order(0, side, STOP, lots, trigger_ticks=trigger, reduce_only=shrinks, position_side=leg)
        elif what < 0.65:
            desk.close(0, dice.randint(0, 1) if self.hedge else 0, lots)
        elif open_orders:
            one = dice.choice(open_orders)
            if what < 0.85:
                desk.amend(one["client_id"], one["price_ticks"] + dice.randint(-3, 3), max(1, one["lots"] + lots - 8))
            else:
                (desk.cancel if what < 0.95 else desk.query)(one["client_id"])

    # ------------------------------------------------------------------ the venue

    def serve(self, silence=0.3):
        """Take the oldest requests, one of which may overtake another; some are lost, some answers are."""
        if not self.requests:
            return
        kind, asked, sent = request = self.requests.pop(self.dice.randrange(min(3, len(self.requests))))
        client_id, what = int(asked["a"]), self.dice.random()
        if kind == Kind.ORDER and self.tape.ts - sent > TOO_OLD:
            self.orders[client_id] = Order(BUY, 0, 0, True, live=False)
            self.say(Kind.REJECTED, client_id, b=-1021)
        elif what < silence / 3:
            self.say(Kind.LOST, client_id, b=int(kind))
        elif what < silence * 2 / 3 and kind == Kind.ORDER:
            self.say(Kind.LOST, client_id, b=int(kind))
            self.requests.insert(0, request)  # it comes through later
        else:
            self.take(kind, asked, client_id)
            if what < silence and kind != Kind.QUERY:
                self.say(Kind.LOST, client_id, b=int(kind))

    def take(self, kind, asked, client_id):
        order = self.orders.get(client_id)
        if kind == Kind.ORDER:
            self.place(asked, client_id)
        elif kind == Kind.QUERY:
            self.tell(client_id, order)
        elif order is None or not order.live or self.dice.random() < 0.2:
            refused = Kind.CANCEL_REJECTED if kind == Kind.CANCEL else Kind.AMEND_REJECTED
            self.say(refused, client_id, b=-2011)
        elif kind == Kind.CANCEL or int(asked["c"]) <= order.filled:
            order.live = False
            self.say(Kind.CANCELED, client_id, b=1)
        else:
            order.lots = int(asked["c"])
            self.say(Kind.AMENDED, client_id, b=int(asked["b"]), c=order.lots)

    def place(self, asked, client_id):
        side, leg = (1 if asked["flags"] & flag else 0 for flag in (Flag.F_SELL, Flag.F_SHORT))
        only_closes = bool(asked["flags"] & Flag.F_REDUCE_ONLY) or (self.hedge and side != leg)
        order = Order(side, leg, int(asked["c"]), only_closes, int(asked["d"]) & 255)
        order.waits, order.live = order.type == STOP, self.dice.random() > 0.1
        self.orders[client_id] = order
        if order.live:
            self.tell(client_id, order)
        else:
            self.say(Kind.REJECTED, client_id, b=-2019)

    def tell(self, client_id, order):
        """Say what has become of an order."""
        if order is None:
            self.say(Kind.ABSENT, client_id, b=-2013)
        elif order.live and order.waits:
            self.say(Kind.ALGO, client_id, b=int(AlgoStatus.ALGO_NEW), c=7)
        elif order.live or order.filled >= order.lots > 0:
            price = 0 if order.type else MIDDLE
            self.say(Kind.ACCEPTED, client_id, b=7, c=price, d=order.lots)
        else:
            self.say(Kind.CANCELED, client_id, b=1)

    def trade(self, kinds=(OrderType.LIMIT, OrderType.MARKET, STOP)):
        """Let one of the live orders be triggered, or filled as far as it may be."""
        live = [(key, one) for key, one in self.orders.items() if one.left and one.type in kinds]
        if not live:
            return
        client_id, order = self.dice.choice(live)
        held, sign = self.position[order.leg], 1 if order.side == BUY else -1
        most = min(order.left, max(0, -held * sign)) if order.only_closes else order.left
        if order.waits:
            order.waits = False
            self.say(Kind.ALGO, client_id, b=int(AlgoStatus.ALGO_TRIGGERING), c=7)
            self.tell(client_id, order)
        elif most == 0:
            order.live = False
            self.say(Kind.EXPIRED, client_id, b=1)
        else:
            lots = self.dice.randint(1, most)
            order.filled += lots
            order.live = order.filled < order.lots
            self.position[order.leg] += sign * lots
            self.trades += 1
            flags = (Flag.F_SELL if order.side else 0) | (Flag.F_SHORT if order.leg else 0)
            self.say(Kind.FILL, client_id, flags, b=self.trades, c=MIDDLE, d=lots)

    def run(self, steps):
        for _ in range(steps):
            self.tape.later(self.dice.choice((SECOND // 100, SECOND // 10, SECOND)))
            self.dice.choice((self.want, self.want, self.serve, self.serve, self.trade))()
            self.hear()

    def kill(self):
        """Kill, and let nothing come but the venue's answers and the engine's own wake-ups; return what is left."""
        self.feed(self.tape.command(Command.KILL))
        for _ in range(1_500):
            self.tape.later(SECOND // 4)
            self.serve()
            self.trade((OrderType.MARKET,))
            self.hear()
            if not (any(self.position) or self.engine.orders.open_orders or self.requests):
                break
        return self.position, [one for one in self.orders.values() if one.live], self.engine.orders.open_orders


def walks(seeds, hedge):
    for seed in seeds:
        walk = Walk(seed, hedge)
        walk.run(200)
        assert walk.kill() == ([0, 0], [], 0), seed


@pytest.mark.parametrize("hedge", [False, True], ids=["one-way", "hedge"])
def test_what_the_venue_has_is_held_within_the_cap_and_a_kill_ends_all_of_it(hedge):
    walks(range(25), hedge)


@pytest.mark.slow
@pytest.mark.parametrize("hedge", [False, True], ids=["one-way", "hedge"])
def test_what_the_venue_has_is_held_within_the_cap_and_a_kill_ends_all_of_it_for_longer(hedge):
    walks(range(25, 500), hedge)
