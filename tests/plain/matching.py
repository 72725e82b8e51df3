"""Plain twins of the simulated venue: one that replays an L2 recording, one that lives on candles.

Knows price-time priority, the pessimistic queue, what our own orders have eaten, the exchange's filters,
refusals and expiries. Looks everything up anew in dicts and sorted lists. Refuses to know about rows,
latency and liquidation: whoever drives it says when an order arrives, and keeps the account solvent.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from plain.account import E8, booked, value
from plain.book import Book

BUY, SELL = 0, 1
GTC, IOC, GTX, FOK = 0, 1, 2, 3
EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH = 1, 2, 3


@dataclass(frozen=True)
class Order:
    client_id: int
    side: int
    lots: int
    ticks: int = 0  # 0: a market order
    tif: int = GTC
    reduce_only: bool = False
    stp: int = EXPIRE_MAKER

    @property
    def sign(self):
        return -1 if self.side == SELL else 1

    def reaches(self, ticks):
        """Whether the order would trade at this price."""
        return self.ticks == 0 or self.sign * (self.ticks - ticks) >= 0


@dataclass
class Resting:
    order: Order
    leaves: int
    ahead: int = 0  # lots that were displayed in front of it
    since: int = 0

    @property
    def priority(self):
        """Better prices first; the list's order breaks ties by age."""
        return -self.order.sign * self.order.ticks


@dataclass
class Venue:
    """What both venues do alike: say, refuse, fill, expire, cancel. One symbol, one account."""

    spec: dict
    account: object  # a plain account of one symbol
    resting: list = field(default_factory=list)
    said: list = field(default_factory=list)
    mark: int = 0

    @property
    def position(self):
        return self.account.positions[0].lots

    def broken_rules(self, order):
        """Return the codes of every rule of the exchange that the order breaks."""
        spec, limit = self.spec, order.ticks > 0
        price = order.ticks * spec["tick_e8"] if limit else self.mark
        most = spec["max_lots"] if limit else spec["max_market_lots"]
        rules = {
            -4141: not spec["tradable"],
            -4004: order.lots < spec["min_lots"],
            -4005: order.lots > most,
            -4013: limit and order.ticks < spec["min_ticks"],
            -4002: limit and order.ticks > spec["max_ticks"],
            -4016: limit and order.side == BUY and price * E8 > self.mark * spec["up_e8"],
            -4024: limit and order.side == SELL and price * E8 < self.mark * spec["down_e8"],
            -2022: order.reduce_only and self.position * order.sign >= 0,
            -4164: not order.reduce_only and value(spec, price, order.lots) < spec["min_notional_e8"],
            -2025: len(self.resting) >= spec["max_orders"],
            -4116: any(one.order.client_id == order.client_id for one in self.resting),
            -5022: order.tif == GTX and self.would_take(order),
            -5021: order.tif == FOK and not self.fits(order),
            -4131: not limit and self.is_out_of_bounds(order),
            -2019: not order.reduce_only and self.cost(order, price) > self.account.equity,
        }
        return {code for code, broken in rules.items() if broken}

    def cost(self, order, price):
        """Initial margin of the position with all open orders, and what the new one loses at once: fee, open loss."""
        sides = [0, 0]
        for one in self.resting:
            if not one.order.reduce_only:
                sides[one.order.side] += value(self.spec, one.order.ticks * self.spec["tick_e8"], one.leaves)
        notional = value(self.spec, price, order.lots)
        sides[order.side] += notional
        held = self.account.positions[0].value
        margin = Fraction(max(abs(held + sides[BUY]), abs(held - sides[SELL])), self.spec["leverage"])
        behind = max(0, order.sign * (price - self.mark))
        return margin + Fraction(notional * self.spec["taker_fee_e8"], E8) + value(self.spec, behind, order.lots)

    def accept(self, order, now):
        """Refuse the order, or accept it; return whether it was accepted."""
        broken = self.broken_rules(order)
        self.said.append((now, "REJECTED", order, broken) if broken else (now, "ACCEPTED", order, None))
        return not broken

    def fill(self, one, lots, ticks, is_maker, touch, now):
        """Fill as far as the order allows: a reduce-only one never passes the position."""
        order = one.order
        if order.reduce_only:
            lots = min(lots, abs(self.position))
        if lots <= 0:
            return 0
        rate = self.spec["maker_fee_e8" if is_maker else "taker_fee_e8"]
        fee = booked(Fraction(value(self.spec, ticks * self.spec["tick_e8"], lots) * rate, E8))
        self.account.fill(0, order.sign * lots, ticks, fee)
        one.leaves -= lots
        self.said.append((now, "FILL", order, (ticks, lots, is_maker, fee, touch)))
        return lots

    def is_futile(self, order):
        """Whether a reduce-only order would now open or turn a position."""
        return order.reduce_only and self.position * order.sign >= 0

    def expire(self, one, reason, now):
        self.said.append((now, "EXPIRED", one.order, (one.leaves, reason)))
        one.leaves = 0

    def sweep(self):
        self.resting = [one for one in self.resting if one.leaves]

    def cancel(self, client_id, now):
        found = [one for one in self.resting if one.order.client_id == client_id]
        for one in found:
            self.said.append((now, "CANCELED", one.order, one.leaves))
            one.leaves = 0
        if not found:
            self.said.append((now, "CANCEL_REJECTED", client_id, -2011))
        self.sweep()


@dataclass
class Replay(Venue):
    """The venue behind a recording: the recording is the market, and remembers what we took from it."""

    book: Book = field(default_factory=Book)
    eaten: dict = field(default_factory=dict)  # (side, ticks) -> lots, until that level next changes

    # ------------------------------------------------------------------ the recording

    def on_snapshot(self, snapshot, now):
        before = self.book.last_id, self.book.state
        self.book.on_snapshot(snapshot)
        if (self.book.last_id, self.book.state) != before:
            self.eaten.clear()
        self.look(now)

    def on_diff(self, diff, now):
        before = self.book.last_id
        self.book.on_diff(diff)
        if self.book.last_id != before:
            for side, changes in ((BUY, diff.bids), (SELL, diff.asks)):
                for ticks, _ in changes:
                    self.eaten.pop((side, ticks), None)
        self.look(now)

    def on_mark(self, mark_e8):
        self.mark = mark_e8
        self.account.mark(0, mark_e8)

    def on_trade(self, aggressor, ticks, lots, now):
        """An aggressor passed: better prices first, then those in front of us at its price, then us."""
        for one in self.waiting(1 - aggressor):
            if not one.order.reaches(ticks) or lots <= 0:
                continue
            passed = 0
            if one.order.ticks == ticks:
                passed = min(one.ahead, lots)
                one.ahead -= passed
            if self.is_futile(one.order):
                self.expire(one, 4, now)
            else:
                lots -= self.fill(one, min(one.leaves, lots - passed), one.order.ticks, True, one.order.ticks, now)
        self.sweep()

    def look(self, now):
        """After a change of the book: queues shorten, and what the other side has crossed is filled at its limit."""
        if not self.book.is_usable or None in self.book.best():
            return
        for one in self.in_order():
            one.ahead = min(one.ahead, self.displayed(one.order.side, one.order.ticks))
            if self.would_take(one.order):
                self.eat(one, now, is_maker=True)
        self.sweep()

    # ------------------------------------------------------------------ the book as we see it

    def waiting(self, side):
        return sorted((one for one in self.resting if one.order.side == side), key=lambda one: one.priority)

    def in_order(self):
        """Who is looked at first: matters only where both sides are crossed at once."""
        return self.waiting(BUY) + self.waiting(SELL)

    def displayed(self, side, ticks):
        return (self.book.asks if side == SELL else self.book.bids).get(ticks, 0)

    def against(self, order):
        """The other side's levels, best first: [ticks, lots shown, lots that we have not eaten]."""
        other = 1 - order.side
        return [
            (ticks, max(0, lots - self.eaten.get((other, ticks), 0))) for ticks, lots in self.book.levels(int(other))
        ]

    def would_take(self, order):
        levels = self.against(order)
        return bool(levels) and order.reaches(levels[0][0])

    def is_out_of_bounds(self, order):
        levels = self.against(order)
        return bool(levels) and self.is_beyond(levels[0][0])

    def is_beyond(self, ticks):
        """Whether a market order may not execute so far from the mark."""
        return abs(ticks * self.spec["tick_e8"] - self.mark) * E8 > self.mark * self.spec["take_bound_e8"]

    # ------------------------------------------------------------------ orders

    def fits(self, order):
        """Whether all of it would fill at once."""
        there = sum(lots for ticks, lots in self.against(order) if order.reaches(ticks))
        return min(there, abs(self.position) if order.reduce_only else there) >= order.lots

    def submit(self, order, now):
        if not self.accept(order, now):
            return
        self.enter(Resting(order, order.lots, self.displayed(order.side, order.ticks), now), now)

    def enter(self, one, now):
        """Take what the order reaches; what is left rests or expires."""
        order = one.order
        if order.tif != GTX and self.would_take(order):
            self.eat(one, now, is_maker=False)
        if order.ticks:
            for own in self.own_reached(order, order.ticks):
                self.self_trade(one, own, now)
        self.sweep()
        if one.leaves and order.ticks == 0:
            self.expire(one, 9, now)
        elif one.leaves and order.tif == IOC:
            self.expire(one, 2, now)
        elif one.leaves:
            self.resting.append(one)

    def eat(self, one, now, is_maker):
        """Walk the other side: a taker at its prices, an order that was crossed at its own."""
        order, levels = one.order, self.against(one.order)
        touch = order.ticks if is_maker else levels[0][0]
        for ticks, lots in levels:
            if not order.reaches(ticks) or (order.ticks == 0 and self.is_beyond(ticks)):
                return
            for own in [] if is_maker else self.own_reached(order, ticks):
                in_front = min(lots, own.ahead) if own.order.ticks == ticks else 0
                lots -= self.bite(one, ticks, in_front, touch, is_maker, now)
                self.self_trade(one, own, now)
            self.bite(one, ticks, lots, touch, is_maker, now)

    def bite(self, one, ticks, lots, touch, is_maker, now):
        """Take up to so many lots of a level; return how many were taken."""
        if one.leaves and self.is_futile(one.order):
            self.expire(one, 4, now)
        price = one.order.ticks if is_maker else ticks
        taken = self.fill(one, min(one.leaves, lots), price, is_maker, touch, now)
        key = (1 - one.order.side, ticks)
        self.eaten[key] = self.eaten.get(key, 0) + taken
        return taken

    def own_reached(self, order, ticks):
        """Our own orders of the other side at this price or a better one, if self-trade prevention looks for them."""
        if not order.stp or order.tif in (FOK, GTX):
            return []
        return [
            own for own in self.waiting(1 - order.side) if own.leaves and order.sign * (ticks - own.order.ticks) >= 0
        ]

    def self_trade(self, one, own, now):
        """The taker's mode says whose order ends."""
        if not one.leaves or not own.leaves:
            return
        if one.order.stp != EXPIRE_TAKER:
            self.expire(own, 1, now)
        if one.order.stp != EXPIRE_MAKER:
            self.expire(one, 3 if one.order.tif == IOC else 1, now)


@dataclass(frozen=True)
class Waiting:
    """A conditional order: what it becomes, and the price that it waits for."""

    order: Order  # of the child; without ticks a market order
    trigger_e8: int
    rises: bool  # it waits for a price that rises to it
    by_mark: bool = False

    def sees(self, price_e8):
        return price_e8 >= self.trigger_e8 if self.rises else price_e8 <= self.trigger_e8


@dataclass
class FullReplay(Replay):
    """The venue behind a recording with amendments and conditional orders."""

    algos: list = field(default_factory=list)  # Waiting, oldest first
    children: set = field(default_factory=set)
    last: int = 0

    def fill(self, one, *rest):
        taken = super().fill(one, *rest)
        if taken:
            self.finish(one, rest[-1])
        return taken

    def expire(self, one, reason, now):
        super().expire(one, reason, now)
        self.finish(one, now)

    def finish(self, one, now):
        """A conditional order is finished when its child has ended."""
        if one.leaves == 0 and one.order.client_id in self.children:
            self.said.append((now, "FINISHED", one.order, None))

    def cancel(self, client_id, now):
        for one in [one for one in self.algos if one.order.client_id == client_id]:
            self.algos.remove(one)
            self.said.append((now, "ALGO_CANCELED", one.order, None))
            return
        found = [one for one in self.resting if one.order.client_id == client_id]
        super().cancel(client_id, now)
        for one in found:
            self.finish(one, now)

    def enter(self, one, now):
        """As ever; what rests stands in front of the first worse order of its side, behind everybody else."""
        super().enter(one, now)
        if self.resting and self.resting[-1] is one:
            self.resting.pop()
            worse = (
                k for k, other in enumerate(self.resting)
                if other.order.side == one.order.side and other.priority > one.priority
            )  # fmt: skip
            self.resting.insert(next(worse, len(self.resting)), one)

    def in_order(self):
        return list(self.resting)

    # ------------------------------------------------------------------ amendments

    def amend(self, client_id, lots, ticks, now):
        """A new price and quantity, at the end of its queue; refused it stays as it was."""
        found = [one for one in self.resting if one.order.client_id == client_id]
        if not found:
            self.said.append((now, "AMEND_REJECTED", client_id, {-2013}))
            return
        (one,) = found
        order = replace(one.order, lots=lots, ticks=ticks, stp=0)
        broken = self.broken_by_amendment(one.order, order)
        if broken:
            self.said.append((now, "AMEND_REJECTED", client_id, broken))
            return
        self.resting.remove(one)
        done = one.order.lots - one.leaves
        if lots <= done or (order.tif == GTX and self.would_take(order)):
            self.said.append((now, "CANCELED", order, one.leaves))
            one.leaves = 0
            self.finish(one, now)
            return
        self.said.append((now, "AMENDED", order, (ticks, lots)))
        self.enter(Resting(order, lots - done, self.displayed(order.side, ticks), now), now)

    def broken_by_amendment(self, before, after):
        broken = self.broken_rules(after) & {-4004, -4005, -4013, -4002, -4016, -4024, -4164}
        if -4164 in broken:
            broken = broken - {-4164} | {-5029}
        return broken | ({-5027} if (before.lots, before.ticks) == (after.lots, after.ticks) else set())

    # ------------------------------------------------------------------ conditional orders

    def wait(self, waiting, now):
        order, price = waiting.order, self.mark if waiting.by_mark or not self.last else self.last
        if waiting.sees(price):
            self.said.append((now, "REJECTED", order, {-2021}))
        else:
            self.algos.append(waiting)
            self.said.append((now, "ALGO_NEW", order, None))

    def trigger(self, price_e8, by_mark, now):
        for one in [one for one in self.algos if one.by_mark == by_mark and one.sees(price_e8)]:
            self.algos.remove(one)
            self.said.append((now, "ALGO_TRIGGERING", one.order, None))
            broken = self.broken_rules(one.order)
            if broken:
                self.said.append((now, "ALGO_REJECTED", one.order, broken))
                continue
            self.said.append((now, "ALGO_TRIGGERED", one.order, None))
            self.children.add(one.order.client_id)
            self.submit(one.order, now)

    def on_trade(self, aggressor, ticks, lots, now):
        super().on_trade(aggressor, ticks, lots, now)
        self.last = ticks * self.spec["tick_e8"]
        self.trigger(self.last, False, now)

    def on_mark(self, mark_e8, now=0):
        super().on_mark(mark_e8)
        self.trigger(mark_e8, True, now)


@dataclass
class Bars(Venue):
    """The venue on candles: market orders at an open, limit orders when a bar trades through them by a tick."""

    half_spread: Fraction = Fraction(0)
    impact: Fraction = Fraction(0)
    grace: int = 0  # ns after an open in which that open still counts
    open: int = 0
    opened: int = 0
    close: int = 0
    variance: Decimal = Decimal(0)
    volume: int = 0

    def would_take(self, order):
        return order.ticks == 0 or order.sign * (order.ticks * self.spec["tick_e8"] - self.least(order)) >= 0

    def is_out_of_bounds(self, order):
        return False

    def fits(self, order):
        raise NotImplementedError("fill-or-kill on candles is tried by hand")

    def least(self, order):
        """The best that a taker can pay, 1e-8 USDT and exact: open, half a spread and square-root impact worse."""
        cost = Decimal(self.half_spread.numerator) / self.half_spread.denominator
        if self.volume:
            impact = Decimal(self.impact.numerator) / self.impact.denominator
            cost += impact * self.variance.sqrt() * (Decimal(order.lots) / self.volume).sqrt()
        return self.open * (1 + order.sign * cost)

    def submit(self, order, now):
        if not self.accept(order, now):
            return
        one = Resting(order, order.lots, since=now)
        takes = self.would_take(order) and now - self.opened <= self.grace
        if takes:
            self.take(one, now)
        if one.leaves and order.ticks == 0 and takes:
            self.expire(one, 9, now)
        elif one.leaves and order.tif == IOC:
            self.expire(one, 2, now)
        elif one.leaves:
            self.resting.append(one)

    def take(self, one, now):
        if self.is_futile(one.order):
            self.expire(one, 4, now)
            return
        tick = self.spec["tick_e8"]
        exact = self.least(one.order) / tick
        ticks = int(exact.to_integral_value("ROUND_CEILING" if one.order.side == BUY else "ROUND_FLOOR"))
        self.fill(one, one.leaves, ticks, False, ticks, now)

    def on_open(self, price_e8, now):
        self.open, self.opened = price_e8, now
        self.mark = self.mark or price_e8
        for one in [one for one in self.resting if one.order.ticks == 0]:
            self.take(one, now)
            if one.leaves:
                self.expire(one, 9, now)
        self.sweep()

    def on_close(self, high, low, close, volume, now):
        for one in self.resting:
            tick = self.spec["tick_e8"]
            limit = one.order.ticks * tick
            passed = low <= limit - tick if one.order.side == BUY else high >= limit + tick
            if one.order.ticks == 0 or not passed or one.since > self.opened:
                continue
            if self.is_futile(one.order):
                self.expire(one, 4, now)
                continue
            self.fill(one, one.leaves, one.order.ticks, True, one.order.ticks, now)
            if one.leaves:
                self.expire(one, 4, now)
        self.sweep()
        self.remember(close, volume)
        self.mark = close
        self.account.mark(0, close)

    def remember(self, close, volume):
        """Half-life of 13.5 bars: a twentieth of the weight goes to the newest."""
        if self.close:
            change = Decimal(close) / self.close - 1
            self.variance = (19 * self.variance + change * change) / 20
            self.volume = (19 * self.volume + volume) // 20
        else:
            self.volume = volume
        self.close = close


@dataclass
class Crowd:
    """A market of many accounts without a recording: price, then time; no margin, no filters, one symbol."""

    resting: list = field(default_factory=list)  # (account, Resting), oldest first
    said: list = field(default_factory=list)  # (what, client id, words)

    def best(self, order):
        """The resting orders of the other side that the order reaches, best price and then oldest first."""
        found = [pair for pair in self.resting if pair[1].order.side != order.side and pair[1].leaves]
        return sorted((pair for pair in found if order.reaches(pair[1].order.ticks)), key=lambda pair: pair[1].priority)

    def submit(self, account, order):
        reached = self.best(order)
        if order.tif == GTX and reached:
            self.said.append(("REJECTED", order.client_id, -5022))
        elif order.tif == FOK and sum(maker.leaves for _, maker in reached) < order.lots:
            self.said.append(("REJECTED", order.client_id, -5021))
        else:
            self.said.append(("ACCEPTED", order.client_id, (order.ticks, order.lots)))
            self.enter(account, Resting(order, order.lots))

    def enter(self, account, one):
        order = one.order
        for whose, maker in self.best(order):
            if not one.leaves:
                break
            if whose == account and order.stp and order.tif not in (FOK, GTX):
                if order.stp != EXPIRE_TAKER:
                    self.expire(maker, 1)
                if order.stp != EXPIRE_MAKER:
                    self.expire(one, 3 if order.tif == IOC else 1)
                continue
            lots = min(one.leaves, maker.leaves)
            for side in (maker, one):
                side.leaves -= lots
                self.said.append(("FILL", side.order.client_id, (maker.order.ticks, lots)))
        if one.leaves and order.ticks == 0:
            self.expire(one, 9)
        elif one.leaves and order.tif in (IOC, FOK):
            self.expire(one, 2)
        elif one.leaves:
            self.resting.append((account, one))
        self.resting = [pair for pair in self.resting if pair[1].leaves]

    def expire(self, one, reason):
        self.said.append(("EXPIRED", one.order.client_id, (one.leaves, reason)))
        one.leaves = 0

    def take_out(self, account, client_id):
        found = [pair for pair in self.resting if pair[0] == account and pair[1].order.client_id == client_id]
        self.resting = [pair for pair in self.resting if pair not in found]
        return found[0][1] if found else None

    def cancel(self, account, client_id):
        one = self.take_out(account, client_id)
        self.said.append(("CANCELED", client_id, one.leaves) if one else ("CANCEL_REJECTED", client_id, -2011))

    def amend(self, account, client_id, lots, ticks):
        """A new price and quantity, behind everybody; cancelled when so much is done or a post-only one would take."""
        found = [one for whose, one in self.resting if whose == account and one.order.client_id == client_id]
        if not found or (found[0].order.lots, found[0].order.ticks) == (lots, ticks):
            self.said.append(("AMEND_REJECTED", client_id, -5027 if found else -2013))
            return
        one = self.take_out(account, client_id)
        done = one.order.lots - one.leaves
        order = Order(client_id, one.order.side, lots, ticks, one.order.tif, stp=0)
        if lots <= done or (order.tif == GTX and self.best(order)):
            self.said.append(("CANCELED", client_id, one.leaves))
            return
        self.said.append(("AMENDED", client_id, (ticks, lots)))
        self.enter(account, Resting(order, lots - done))
