"""Plain twin of one symbol's book at an exchange of many accounts: who fills whom, in which order.

Knows price and time priority, self-trade prevention, orders that can only close, and how far from the mark a market
order goes. Refuses to know money, filters and what makes an order come: each is handed over when it is accepted, and
what must happen next is returned as a list.
"""

from dataclasses import dataclass, field

from plain.account import E8, share
from plain.matching import FOK, GTX, IOC, Crowd, Order, Resting

REDUCED_AWAY, IOC_REST, MARKET_REST = 4, 2, 9
HALVINGS = 63  # of a difference of 64 bits, until nothing is left of it


@dataclass(frozen=True)
class Asked(Order):
    """An order with the leg that it belongs to; in hedge mode its side tells whether it only closes."""

    leg: int = 0
    only_closes: bool = False


@dataclass
class Market(Crowd):
    """The book of one symbol, and what each account holds: lots by (account, leg)."""

    spec: dict = field(default_factory=dict)
    mark: int = 0
    last: int = 0
    held: dict = field(default_factory=dict)

    def told(self):
        """Return what must be said since the last call: (account, client id, what, words)."""
        told, self.said = self.said, []
        return told

    # Orders.

    def submit(self, account, order):
        self.enter(account, Resting(order, order.lots))

    def enter(self, account, one):
        order = one.order
        if order.tif != GTX:
            self.take(account, one)
        if one.leaves and order.ticks == 0:
            self.expire(one, MARKET_REST, account)
        elif one.leaves and order.tif in (IOC, FOK):
            self.expire(one, IOC_REST, account)
        elif one.leaves:
            self.resting.append((account, one))
        self.resting = [pair for pair in self.resting if pair[1].leaves]

    def take(self, account, one):
        order = one.order
        for whose, maker in self.best(order):
            rounds = 0
            while one.leaves and maker.leaves:
                if order.ticks == 0 and self.is_beyond(maker.order.ticks):
                    return
                self.meet(account, one, whose, maker, rounds)
                rounds += 1

    def meet(self, account, one, whose, maker, rounds):
        """Let a taker and the best maker that it reaches end, or trade, having done so in rounds before."""
        order = one.order
        if whose == account and order.stp and order.tif not in (FOK, GTX):
            self.self_trade(account, one, maker)
        elif not self.room(account, order):
            self.expire(one, REDUCED_AWAY, account)
        elif not self.room(whose, maker.order):
            self.expire(maker, REDUCED_AWAY, whose)
        else:
            whole = min(one.leaves, maker.leaves)
            lots = min(whole, self.room(account, order), self.room(whose, maker.order))
            sides = [(whose, maker, True), (account, one, False)]
            is_own = (whose, maker.order.leg) == (account, order.leg)
            if lots < whole and is_own and rounds >= (1 if maker.order.only_closes else HALVINGS):
                lots = whole  # whoever opens goes first, so that the other one may close as much
                sides = sides[::-1] if maker.order.only_closes else sides
            for who, side, is_maker in sides:
                self.trade(who, side, lots, maker.order.ticks, is_maker)

    def trade(self, account, one, lots, ticks, is_maker):
        self.book(account, one, lots)
        self.last = ticks * self.spec["tick_e8"]
        self.said.append((account, one.order.client_id, "TRADE", (ticks, lots, is_maker)))

    def book(self, account, one, lots):
        one.leaves -= lots
        key = account, one.order.leg
        self.held[key] = self.held.get(key, 0) + one.order.sign * lots

    def self_trade(self, account, one, maker):
        """The taker's mode says whose order ends."""
        stp, is_ioc = one.order.stp, one.order.tif == IOC
        if stp != 1:
            self.expire(maker, 1, account)
        if stp != 2:
            self.expire(one, 3 if is_ioc else 1, account)

    def expire(self, one, reason, account=None):
        self.said.append((account, one.order.client_id, "EXPIRED", (reason,)))
        one.leaves = 0

    def amend(self, account, client_id, lots, ticks):
        """Give an order its new price and quantity, behind everybody, without self-trade prevention."""
        one = self.take_out(account, client_id)
        done = one.order.lots - one.leaves
        was = one.order
        order = Asked(was.client_id, was.side, lots, ticks, was.tif, stp=0, leg=was.leg, only_closes=was.only_closes)
        self.enter(account, Resting(order, lots - done))

    def filled_by_force(self, account, client_id, lots, ticks):
        """Fill a resting order against a closing by force, which is nobody's order; it must have been the best."""
        one = next(one for whose, one in self.resting if (whose, one.order.client_id) == (account, client_id))
        assert one.order.ticks == ticks
        better = [
            other for _, other in self.resting
            if other.order.side == one.order.side and other.priority < one.priority
        ]  # fmt: skip
        assert not better
        self.book(account, one, lots)
        self.last = ticks * self.spec["tick_e8"]
        self.resting = [pair for pair in self.resting if pair[1].leaves]

    # What decides.

    def room(self, account, order):
        """Return the lots that an order may fill: one that can only close never passes the position."""
        if not order.only_closes:
            return order.lots
        return max(0, -order.sign * self.held.get((account, order.leg), 0))

    def is_beyond(self, ticks):
        """Whether a market order may not execute so far from the mark."""
        return abs(ticks * self.spec["tick_e8"] - self.mark) > share(self.mark, self.spec["take_bound_e8"], E8)

    def would_take(self, order):
        return bool(self.best(order))

    def standing(self, order):
        """Return the lots that an order reaches, and whether all of them are sure to be there."""
        reached = [maker for _, maker in self.best(order)]
        return sum(maker.leaves for maker in reached), not any(maker.order.only_closes for maker in reached)
