"""A replayed market with amendments and conditional orders against its plain twin."""

from random import Random

import pytest
from plain import account as plain_account
from plain.matching import FOK, GTC, GTX, IOC, FullReplay, Order, Waiting
from test_exchange import RICH, SPEC, Weather

from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import AlgoStatus, Flag, Instruments, Kind, OrderType, Term

BUY, SELL = 0, 1
VENUE = SPEC | {"max_orders": 1_000}
SPOKEN = {
    Kind.REJECTED: ("b",),
    Kind.CANCELED: ("b",),
    Kind.EXPIRED: ("b", "c"),
    Kind.CANCEL_REJECTED: ("b",),
    Kind.AMENDED: ("b", "c"),
    Kind.AMEND_REJECTED: ("b",),
}


def heard(one):
    """Return an answer as (what, words) in the twin's words."""
    kind = Kind(int(one["kind"]))
    if kind == Kind.ALGO:
        status = AlgoStatus(int(one["b"])).name
        return status.replace("ALGO_FINISHED", "FINISHED"), (int(one["e"]),) if one["e"] else ()
    if kind == Kind.FILL:
        maker = bool(one["flags"] & Flag.F_MAKER)
        return kind.name, (int(one["c"]), int(one["d"]), maker, int(one["e"]), int(one["f"]))
    return kind.name, tuple(int(one[word]) for word in SPOKEN.get(kind, ()))


class Pair:
    """The venue and its twin, told the same story."""

    def __init__(self, seed):
        self.dice = Random(seed)
        self.account = Account(Instruments([VENUE]), RICH)
        self.venue = Exchange(Instruments([VENUE]), [self.account], ["stream"], 0.0, 0.0, 0, False, 12)
        self.twin = FullReplay(VENUE, plain_account.Account([VENUE], RICH))
        self.next_id = 0
        self.words = set()
        self.world = Weather(self.dice)
        for event in self.world.events:
            self.let(event)

    def let(self, event):
        event.tell(self.twin)
        self.compare(self.venue.feed(event.rows()))

    def compare(self, rows):
        mine, theirs = {}, {}
        for one in rows:
            mine.setdefault(int(one["a"]), []).append(heard(one))
        for _, what, who, words in self.twin.said:
            theirs.setdefault(getattr(who, "client_id", who), []).append((what, words))
        self.twin.said.clear()
        assert mine.keys() == theirs.keys()
        for who, answers in mine.items():
            assert [what for what, _ in answers] == [what for what, _ in theirs[who]]
            for (what, words), (_, wanted) in zip(answers, theirs[who], strict=True):
                if isinstance(wanted, set):
                    assert words[0] in wanted
                elif what != "ACCEPTED":
                    assert words == (wanted if isinstance(wanted, tuple) else () if wanted is None else (wanted,))
                self.words.add(what)
        assert self.account.position(0)["lots"] == self.twin.position
        assert self.account.equity() == self.twin.account.equity
        assert all(one["leaves"] > 0 for one in self.venue.resting(0))
        assert self.account.reconcile() == 0

    def happen(self):
        dice = self.dice
        if dice.random() < 0.6:
            self.world.happen()
            return self.let(self.world.events[-1])
        now, known = self.world.ts, dice.randint(1, max(1, self.next_id))
        ticks, lots = self.world.middle() + dice.randint(-6, 6), dice.randint(40, 400)
        happens = dice.random()
        if happens < 0.4:
            return self.order(now, ticks, lots)
        if happens < 0.6:
            return self.condition(now, ticks, lots)
        if happens < 0.85:
            self.twin.amend(known, lots, ticks, now)
            return self.compare(self.venue.place_order(now, known, 0, BUY, lots, ticks, amends=True))
        self.twin.cancel(known, now)
        return self.compare(self.venue.cancel_order(now, known, 0))

    def order(self, now, ticks, lots):
        dice = self.dice
        self.next_id += 1
        ticks = 0 if dice.random() < 0.2 else ticks
        terms = {"tif": dice.choice((GTC, GTC, GTC, IOC, GTX, FOK)) if ticks else GTC, "stp": dice.randrange(4)}
        terms["reduce_only"] = dice.random() < 0.2
        order = Order(self.next_id, dice.randrange(2), lots, ticks, **terms)
        self.twin.submit(order, now)
        self.compare(self.venue.place_order(now, order.client_id, 0, order.side, lots, ticks, **terms))

    def condition(self, now, ticks, lots):
        dice = self.dice
        self.next_id += 1
        takes_profit, by_mark = dice.random() < 0.4, dice.random() < 0.4
        ticks = 0 if dice.random() < 0.5 else ticks
        terms = {"tif": dice.choice((GTC, GTC, IOC, GTX, FOK)) if ticks else GTC, "stp": dice.randrange(4)}
        terms["reduce_only"] = dice.random() < 0.4
        order = Order(self.next_id, dice.randrange(2), lots, ticks, **terms)
        trigger = self.world.middle() + dice.randint(-5, 5)
        rises = (order.side == BUY) != takes_profit
        self.twin.wait(Waiting(order, trigger * VENUE["tick_e8"], rises, by_mark), now)
        kind = (OrderType.TAKE_PROFIT if takes_profit else OrderType.STOP) + (0 if ticks else 1)
        terms |= {"type": kind, "trigger_ticks": trigger, "terms": Term.MARK_TRIGGER if by_mark else 0}
        self.compare(self.venue.place_order(now, order.client_id, 0, order.side, lots, ticks, **terms))


def compare(seeds, steps):
    words = set()
    for seed in range(seeds):
        pair = Pair(seed)
        for _ in range(steps):
            pair.happen()
        words |= pair.words
    return words


EVERYTHING = {
    "ACCEPTED", "REJECTED", "FILL", "EXPIRED", "CANCELED", "CANCEL_REJECTED", "AMENDED", "AMEND_REJECTED", "FINISHED",
    "ALGO_NEW", "ALGO_TRIGGERING", "ALGO_TRIGGERED", "ALGO_CANCELED", "ALGO_REJECTED",
}  # fmt: skip


def test_amendments_and_conditional_orders_in_a_replay_are_those_of_the_plain_twin():
    assert compare(30, 200) == EVERYTHING


@pytest.mark.slow
def test_amendments_and_conditional_orders_in_a_replay_are_those_of_the_plain_twin_for_longer():
    assert compare(2_000, 400) == EVERYTHING
