"""Plain twin of the pre-trade gate: a list of questions, asked in order, in whole numbers and fractions.

Knows the table of controls (order limits: at the limit is allowed; loss limits: at the limit trips), the
exchange's filters and its margin rules. Keeps the orders that may still fill in a list and works every
exposure out anew. Refuses to know how the compiled gate does it.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from core_ext.types import Reason
from plain.account import E8, OpenOrder, booked, liquidation_price, maintenance, max_notional, share, value

SECOND, MINUTE, DAY = 10**9, 60 * 10**9, 86_400 * 10**9
ENTRY_SPAN = 600 * SECOND
LONG, SHORT = 1, 2  # position sides of hedge mode
LOSS_SLOT, LOSS_SLOTS = 10 * SECOND, 30


@dataclass
class Market:
    """What the gate sees of a symbol's market; prices in ticks or 1e-8 USDT, 0 for none."""

    bid: int = 0
    ask: int = 0
    mark: int = 0
    last: int = 0
    ts_mark: int = 0
    ts_book: int = 0
    ts_last: int = 0
    interval: int = 0  # ns of a candle; 0 in a run on ticks
    bar_lots: int = 0
    depth: tuple = (0, 0)
    good: bool = False


@dataclass(frozen=True)
class Request:
    symbol: int
    side: int
    lots: int
    ticks: int = 0  # 0: at market
    reduce_only: bool = False
    position_side: int = 0
    trigger: int = 0  # of a conditional order
    edge: int = 0  # expected profit, share of the notional

    @property
    def sign(self):
        return -1 if self.side else 1

    @property
    def leg(self):
        return 1 if self.position_side == SHORT else 0

    @property
    def can_only_close(self):
        return self.reduce_only or (self.position_side, self.side) in ((LONG, 1), (SHORT, 0))


@dataclass(eq=False)  # two orders alike are two orders
class Held:
    """An order that may still fill, at the price at which it counts until then.

    ``asked`` is the price and what would be left after an amendment that the venue has not answered: the worse counts.
    """

    request: Request
    lots: int
    ticks: int
    state: str = "new"  # new, live, cancelling, unknown
    triggered: bool = False
    asked: tuple = (0, 0)

    @property
    def leaves(self):
        return max(0, self.lots, self.asked[1])

    @property
    def counted_ticks(self):
        return max(self.ticks, self.asked[0])

    @property
    def is_waiting(self):
        """Whether it is conditional and nothing has triggered it."""
        return bool(self.request.trigger) and not self.triggered

    @property
    def open_order(self):
        """The order as the account's margin sees it."""
        r = self.request
        return OpenOrder(
            r.symbol, r.leg, r.side, self.counted_ticks, self.leaves,
            conditional=r.trigger > 0, can_only_close=r.can_only_close, triggered=self.triggered,
        )  # fmt: skip


@dataclass
class Told:
    """What the slow layer and the exchange have said of a symbol."""

    headroom: list = None  # lots by side
    headroom_ts: int = 0
    funding: tuple = (0, 0)  # rate and stamp to come
    suspended: bool = False
    delist: int = 0
    cluster: int = 0
    disabled: list = field(default_factory=lambda: [False, False])  # entries by side, for being repeated
    excused: list = field(default_factory=lambda: [0, 0])  # so many of the gate's entries an operator has looked at


@dataclass
class Gate:
    specs: list
    limits: dict
    account: object  # a plain account
    held: list = field(default_factory=list)
    markets: list = None
    sent: list = field(default_factory=list)  # stamps of every approved order
    entries: list = field(default_factory=list)  # (stamp, request, amends) of those that were no exits
    told: list = None
    weight: tuple = (0, 0, 0)  # used, the limit, and the minute of both
    armed: bool = True
    halted: bool = False
    killed: bool = False
    day_lost: bool = False
    ladder: int = 0
    day: int = -1
    morning: int = 0
    peak: int = None
    seen: int = None  # the equity at the last look
    transfers: int = 0
    sizes: list = field(default_factory=list)  # positions that approved entries could make, shares of the equity
    highs: dict = field(default_factory=dict)  # highest equity by ten seconds
    paused_until: int = 0

    def __post_init__(self):
        self.markets = [Market() for _ in self.specs]
        self.told = [Told() for _ in self.specs]
        self.peak = self.seen = self.account.equity

    # ------------------------------------------------------------------ the verdict

    def ask(self, request, now):
        """Return the reason, and hold what is approved."""
        reason = self.verdict(request, now)
        if reason == Reason.APPROVED:
            self.count(request, now, self.is_exit(request))
            self.held.append(Held(request, request.lots, self.ticks(request)))
        return reason

    def ask_amend(self, held, ticks, lots, now):
        """Return the reason for a new price and what shall be left: as for a new order in the place of the old."""
        request = replace(held.request, ticks=ticks, lots=lots, edge=0)
        same = (ticks, lots) == (held.request.ticks, held.lots)
        plain = held.request.ticks and not held.request.trigger
        if not plain or held.state != "live" or held.asked[0] or same:
            return Reason.NOT_AMENDABLE
        at = self.held.index(held)
        del self.held[at]
        reason = self.verdict(request, now, amends=True)
        if reason == Reason.APPROVED:
            self.count(request, now, self.is_exit(request), amends=True)
            held.asked = (ticks, lots)
        self.held.insert(at, held)
        return reason

    def count(self, request, now, is_exit, amends=False):
        """Remember an approved order; exits use up the rate, and are no entries."""
        self.sent.append(now)
        if is_exit:
            return
        self.sizes.append(self.size(request))
        self.entries.append((now, request, amends))
        headroom = self.told[request.symbol].headroom
        if headroom:
            headroom[request.side] = max(0, headroom[request.side] - request.lots)

    def verdict(self, request, now, amends=False):
        if not 0 <= request.symbol < len(self.specs):
            return Reason.R31_RISK_FAULT
        if not self.armed:
            return Reason.R30_MODE
        questions = self.entry_questions
        if self.is_exit(request):
            questions = self.exit_questions
        elif request.can_only_close:
            questions = self.futile_questions
        return next((reason for reason, broken in questions(request, now, amends) if broken()), Reason.APPROVED)

    def exit_questions(self, request, now, amends):
        return [*self.filters(request), (Reason.R1_PRICE_COLLAR, lambda: self.leaves_exit_collar(request))]

    def futile_questions(self, request, now, amends):
        return [*self.filters(request), (Reason.NOTHING_TO_REDUCE, lambda: True)]

    def entry_questions(self, request, now, amends):
        symbol = request.symbol
        return [
            *self.filters(request),
            (Reason.R22_DRAWDOWN_KILL, lambda: self.killed),
            (Reason.HALTED, lambda: self.halted),
            (Reason.R21_DAILY_LOSS, lambda: self.day_lost),
            (Reason.R20_REDUCE_ONLY, lambda: self.ladder == 2),
            (Reason.R23_LOSS_RATE, lambda: now < self.paused_until),
            (Reason.R28_SYMBOL_STATUS, lambda: self.is_off(symbol, now)),
            (Reason.R29_NOT_ALLOWED, lambda: not self.limits["sides"] & (2 if request.side else 1)),
            (Reason.R19_UNKNOWN_ORDERS, lambda: self.is_in_doubt(symbol)),
            (Reason.R14_REPEATED, lambda: self.told[symbol].disabled[request.side]),
            (Reason.R12_WEIGHT, lambda: self.is_heavy(now)),
            (Reason.R18_STALE_DATA, lambda: self.is_stale(request.symbol, now)),
            (Reason.R7_LEVERAGE, lambda: self.account.leverage[symbol] > self.limits["max_leverage"]),
            (Reason.R31_RISK_FAULT, lambda: self.cannot_be_judged(request)),
            (Reason.R1_PRICE_COLLAR, lambda: self.leaves_collar(request)),
            (Reason.FILTER_PRICE, lambda: self.leaves_band(request)),
            (Reason.FILTER_NOTIONAL, lambda: self.notional(request) < self.specs[request.symbol]["min_notional_e8"]),
            (Reason.R3_ORDER_NOTIONAL, lambda: self.notional(request) > self.halved(self.order_cap(request.symbol))),
            (Reason.R4_ORDER_QUANTITY, lambda: request.lots > self.depth_cap(request)),
            (Reason.R5_POSITION_LIMIT, lambda: self.worst_position(request) > self.halved(self.symbol_cap)),
            (Reason.R17_FAT_FINGER, lambda: self.is_unusual(request)),
            (Reason.R6_GROSS_EXPOSURE, lambda: self.is_too_exposed(request)),
            (Reason.R8_BRACKET, lambda: self.worst_of(symbol, request) > self.bracket_cap(symbol)),
            (Reason.R9_LIQUIDATION_DISTANCE, lambda: self.is_near_liquidation(request)),
            (Reason.R10_MARGIN_RATIO, lambda: self.maintenance(request) > self.share("margin_ratio_e8")),
            (Reason.INSUFFICIENT_MARGIN, lambda: self.margin(request) > max(0, self.account.available)),
            (Reason.R25_OPEN_ORDERS, lambda: not amends and self.has_too_many_orders(symbol)),
            (Reason.R16_SELF_TRADE, lambda: self.meets_own_order(request)),
            (Reason.R15_DUPLICATE, lambda: not amends and self.is_duplicate(request, now)),
            (Reason.R14_REPEATED, lambda: not amends and self.is_repeated(request, now)),
            (Reason.R27_FUNDING_COST, lambda: self.pays_too_much(request, now)),
            (Reason.R11_ORDER_RATE, lambda: self.is_too_fast(now)),
            (Reason.HEADROOM_STALE, lambda: self.headroom_is_stale(request, now)),
            (Reason.HEADROOM_SPENT, lambda: self.headroom_is_spent(request)),
        ]

    def filters(self, request):
        spec = self.specs[request.symbol]
        most = spec["max_lots"] if request.ticks else spec["max_market_lots"]
        prices = [ticks for ticks in (request.ticks, request.trigger) if ticks]
        outside = any(not spec["min_ticks"] <= ticks <= spec["max_ticks"] for ticks in prices)
        has_leg, hedge = request.position_side != 0, self.account.hedge
        return [
            (Reason.R29_NOT_ALLOWED, lambda: has_leg != hedge or (hedge and request.reduce_only)),
            (Reason.FILTER_PRICE, lambda: outside),
            (Reason.FILTER_QUANTITY, lambda: request.lots < spec["min_lots"] and not self.closes_whole(request)),
            (Reason.R4_ORDER_QUANTITY, lambda: request.lots > most),
        ]

    # ------------------------------------------------------------------ exits

    def closes_whole(self, request):
        """Whether it is a market order that closes exactly the leg: no minimum may hold a rest back."""
        lots = self.account.leg(request.symbol, request.leg).lots
        closes = (request.reduce_only or self.account.hedge) and not request.ticks and not request.trigger
        return closes and lots != 0 and request.sign * request.lots == -lots

    def is_exit(self, request):
        """Whether the order can only shrink the position, even if all that is held on its side fills before it.

        The venue cuts what can only close to the position, so that competes with none.
        """
        position = self.account.leg(request.symbol, request.leg).lots
        rivals = [] if request.can_only_close else self.on(request.symbol, request.side, request.leg)
        return position * request.sign < 0 and request.lots + sum(held.leaves for held in rivals) <= abs(position)

    def leaves_exit_collar(self, request):
        market = self.markets[request.symbol]
        reference = market.mark or market.last
        judged = request.ticks and not request.trigger and reference
        return bool(judged) and self.is_outside(request, reference, self.limits["exit_collar_e8"])

    # ------------------------------------------------------------------ prices

    def ticks(self, request):
        """The price at which the order counts: its limit or trigger, or the touch that a market order meets."""
        market = self.markets[request.symbol]
        return max(request.ticks, request.trigger) or (market.bid if request.side else market.ask)

    def price(self, request):
        return self.ticks(request) * self.specs[request.symbol]["tick_e8"]

    def notional(self, request):
        return value(self.specs[request.symbol], self.price(request), request.lots)

    def is_outside(self, request, reference, collar_e8, ticks=None):
        price = self.price(request) if ticks is None else ticks * self.specs[request.symbol]["tick_e8"]
        bound = Fraction(reference * (E8 + request.sign * collar_e8), E8)
        return request.sign * (price - bound) > 0

    def leaves_collar(self, request):
        market, spec = self.markets[request.symbol], self.specs[request.symbol]
        if request.trigger:  # where the mark will be by then nobody knows: the limit is judged against the trigger
            reference = request.trigger * spec["tick_e8"]
            return request.ticks > 0 and self.is_outside(request, reference, spec["collar_e8"], request.ticks)
        middle = Fraction((market.bid + market.ask) * spec["tick_e8"], 2) if market.bid and market.ask else 0
        return any(self.is_outside(request, ref, spec["collar_e8"]) for ref in (market.mark, middle) if ref)

    def leaves_band(self, request):
        """Whether the exchange would find the price too far from the mark (one-sided)."""
        spec = self.specs[request.symbol]
        room = spec["down_e8"] - E8 if request.side else spec["up_e8"] - E8
        judged = request.ticks and not request.trigger
        return bool(judged) and self.is_outside(request, self.markets[request.symbol].mark, abs(room))

    def is_stale(self, symbol, now):
        market, limits = self.markets[symbol], self.limits
        if not market.good:
            return True
        if market.interval:
            return now - min(market.ts_last, market.ts_mark) > Fraction(limits["candle_stale"]) * market.interval
        return now - market.ts_book > limits["book_stale_ns"] or now - market.ts_mark > limits["mark_stale_ns"]

    def cannot_be_judged(self, request):
        unmarked = any(
            self.markets[symbol].mark <= 0
            for symbol in range(len(self.specs))
            if symbol == request.symbol
            or any(self.account.leg(symbol, leg).lots for leg in (0, 1))
            or [*self.on(symbol)]
        )
        return self.price(request) <= 0 or unmarked or self.account.equity <= 0

    def is_off(self, symbol, now):
        told, left = self.told[symbol], self.limits["delist_ns"]
        return not self.specs[symbol]["tradable"] or told.suspended or (told.delist > 0 and now > told.delist - left)

    def is_in_doubt(self, symbol):
        unknown = [held.request.symbol for held in self.held if held.state == "unknown"]
        return symbol in unknown or len(unknown) > self.limits["max_unknown"]

    def is_heavy(self, now):
        used, most, minute = self.weight
        return (
            now // MINUTE == minute and most > 0 and used >= booked(Fraction(most * self.limits["weight_share_e8"], E8))
        )

    # ------------------------------------------------------------------ sizes

    def share(self, *names):
        amount = Fraction(self.account.equity)
        for name in names:
            amount = amount * self.limits[name] / E8
        return amount

    def halved(self, amount):
        return amount / 2 if self.ladder == 1 else amount

    def order_cap(self, symbol):
        market, spec = self.markets[symbol], self.specs[symbol]
        volume = Fraction(self.limits["assumed_minute_e8"])
        if market.interval and market.ts_last:
            volume = value(spec, market.mark, market.bar_lots * MINUTE // market.interval)
        return min(
            Fraction(self.limits["max_order_e8"]),
            self.share("order_equity_share_e8", "order_leverage_e8"),
            volume * self.limits["volume_share_e8"] / E8,
        )

    def depth_cap(self, request):
        market = self.markets[request.symbol]
        depth = market.bar_lots if market.interval else market.depth[1 - request.side]
        return Fraction(depth * self.limits["depth_share_e8"], E8)

    # ------------------------------------------------------------------ exposure

    def on(self, symbol, side=None, leg=None):
        """The held orders of a symbol, of one side of it, or of one side of a leg."""
        return (
            held
            for held in self.held
            if held.request.symbol == symbol and side in (None, held.request.side) and leg in (None, held.request.leg)
        )

    def opened_by(self, side):
        """The leg that a side opens: in hedge mode buys the long one, sells the short one."""
        return side if self.account.hedge else 0

    def lots_on(self, symbol, side, request=None):
        """Lots of the orders of a side of the leg that it opens."""
        added = request.lots if request and (request.symbol, request.side) == (symbol, side) else 0
        return sum(held.leaves for held in self.on(symbol, side, self.opened_by(side))) + added

    def value_on(self, symbol, side):
        return sum(
            value(self.specs[symbol], held.counted_ticks * self.specs[symbol]["tick_e8"], held.leaves)
            for held in self.on(symbol, side, self.opened_by(side))
        )

    @property
    def symbol_cap(self):
        return self.share("symbol_share_e8", "strategy_leverage_e8")

    def worst_lots(self, symbol, side, request):
        """The largest position that the orders of a side can make, in whatever order they fill.

        All of them on top of the position, or the plain ones once others have closed it.
        """
        leg = self.opened_by(side)
        position, sign = self.account.leg(symbol, leg).lots, -1 if side else 1
        reducing = sum(held.leaves for held in self.on(symbol, side, leg) if held.request.can_only_close)
        everything = self.lots_on(symbol, side, request)
        return max(abs(position + sign * everything), everything - reducing)

    def worst_position(self, request):
        lots = self.worst_lots(request.symbol, request.side, request)
        return value(self.specs[request.symbol], self.markets[request.symbol].mark, lots)

    def worst_of(self, symbol, request):
        sides = [self.worst_lots(symbol, side, request) for side in (0, 1)]
        lots = sum(sides) if self.account.hedge else max(sides)
        return value(self.specs[symbol], self.markets[symbol].mark, lots)

    def worst_gross(self, request):
        return sum(self.worst_of(symbol, request) for symbol in range(len(self.specs)))

    def is_too_exposed(self, request):
        """Whether gross, net once everything on this side has filled, or the cluster would be above its limit."""
        own = self.told[request.symbol].cluster
        together = [k for k, told in enumerate(self.told) if own and told.cluster == own]
        return (
            self.worst_gross(request) > self.share("max_gross_e8")
            or request.sign * self.net(request.side, request) > self.share("max_net_e8")
            or sum(self.worst_of(k, request) for k in together) > self.share("max_cluster_e8")
        )

    def net(self, side, request=None):
        """Signed value of everything once all orders of a side have filled."""
        total = 0
        for symbol, spec in enumerate(self.specs):
            lots = sum(self.account.leg(symbol, leg).lots for leg in (0, 1))
            lots += (-1 if side else 1) * self.lots_on(symbol, side, request)
            total += value(spec, self.markets[symbol].mark, lots)
        return total

    def bracket_cap(self, symbol):
        most = max_notional(self.specs[symbol], self.account.leverage[symbol])
        return Fraction(most * self.limits["bracket_share_e8"], E8)

    def size(self, request):
        """The largest position that the symbol can come to with this order, as a share of the equity."""
        return booked(Fraction(self.worst_of(request.symbol, request) * E8, self.account.equity))

    def is_unusual(self, request):
        last = sorted(self.sizes[-50:])
        if len(last) < 10:
            return False
        median = Fraction(last[(len(last) - 1) // 2] + last[len(last) // 2], 2)
        return self.size(request) > median * self.limits["fat_finger_e8"] / E8

    def maintenance(self, request):
        """Maintenance margin of everything once this symbol is as large as it can come to be."""
        legs = [self.account.leg(k, leg) for k in range(len(self.specs)) if k != request.symbol for leg in (0, 1)]
        others = sum(position.maintenance for position in legs)
        return others + maintenance(self.specs[request.symbol], self.worst_of(request.symbol, request))

    def is_near_liquidation(self, request):
        """Whether, everything on this side filled and paid for, liquidation would be too near the mark."""
        symbol, spec, account = request.symbol, self.specs[request.symbol], self.account
        mark, leg = self.markets[symbol].mark, request.leg
        own = account.leg(symbol, leg)
        added = self.notional(request) + self.value_on(symbol, request.side)
        lots = own.lots + request.sign * self.lots_on(symbol, request.side, request)
        longs, shorts, cost, room = account.behind(symbol, leg)
        longs += max(lots, 0) - max(own.lots, 0)
        shorts += max(-lots, 0) - max(-own.lots, 0)
        if account.isolated[symbol]:  # margin of what opens comes into the leg
            room += added // account.leverage[symbol]
        else:
            room -= share(added, spec["taker_fee_e8"], E8)
        price = liquidation_price(spec, longs, shorts, cost + request.sign * added, room)
        if price == 0:
            return False
        net = lots if account.isolated[symbol] else longs - shorts
        distance = Fraction((mark - price) * (1 if net > 0 else -1), mark)
        atr = Fraction(self.limits["liquidation_atr"]) * Fraction(self.limits["atr_floor"])
        return distance < max(Fraction(self.limits["liquidation_distance_e8"], E8), atr)

    def margin(self, request):
        """What the new order would take from the available balance, beside everything that is open."""
        self.show_orders()
        return self.account.order_cost(request.symbol, request.side, self.price(request), request.lots, request.leg)

    def show_orders(self):
        """Let the account see the open orders."""
        self.account.orders = {k: held.open_order for k, held in enumerate(self.held)}

    # ------------------------------------------------------------------ flow

    def meets_own_order(self, request):
        """Whether an order of ours with a price rests where this one would take."""
        return not request.trigger and any(
            held.request.ticks
            and not held.is_waiting
            and request.sign * (self.ticks(request) - held.request.ticks) >= 0
            for held in self.on(request.symbol, 1 - request.side)
        )

    def has_too_many_orders(self, symbol):
        own = len([*self.on(symbol)])
        return own >= self.limits["max_orders_symbol"] or len(self.held) >= self.limits["max_orders_total"]

    def is_duplicate(self, request, now):
        wanted = (request.symbol, request.side, request.ticks, request.lots)
        return any(
            now - at <= self.limits["duplicate_ns"] and (one.symbol, one.side, one.ticks, one.lots) == wanted
            for at, one, _ in self.entries
        )

    def is_repeated(self, request, now):
        """Whether the side has been entered too often; then it stays shut until somebody has looked."""
        most, key = self.limits["repeated_entries"], (request.symbol, request.side)
        newer = self.entries[self.told[request.symbol].excused[request.side] :]
        entered = [at for at, one, amends in newer if (one.symbol, one.side) == key and not amends]
        repeated = 0 < most <= sum(now - at < ENTRY_SPAN for at in entered)
        self.told[request.symbol].disabled[request.side] |= repeated
        return repeated

    def pays_too_much(self, request, now):
        """Whether the next funding costs more than half of the expected profit."""
        rate, due = self.told[request.symbol].funding
        near = due and 0 <= due - now <= self.limits["funding_window_ns"]
        return bool(request.edge and near) and 2 * rate * request.sign > request.edge

    def headroom_is_stale(self, request, now):
        told, most = self.told[request.symbol], self.limits["headroom_ns"]
        oldest = max(most, 2 * self.markets[request.symbol].interval)
        return most > 0 and (not told.headroom or now - told.headroom_ts > oldest)

    def headroom_is_spent(self, request):
        return self.limits["headroom_ns"] > 0 and request.lots > self.told[request.symbol].headroom[request.side]

    def is_too_fast(self, now):
        rates = (self.limits["orders_per_second"], self.limits["strategy_orders_per_second"])
        in_minute = sum(now - at < MINUTE for at in self.sent)
        return any(self.debt(rate, now) + 1 > self.limits["order_burst"] for rate in rates) or (
            in_minute >= self.limits["orders_per_minute"]
        )

    def debt(self, per_second, now):
        """Orders that a bucket refilled at this rate still owes: it begins full."""
        owed, before = Fraction(0), 0
        for at in [*self.sent, now]:
            owed = max(Fraction(0), owed - Fraction((at - before) * per_second, SECOND)) + 1
            before = at
        return owed - 1

    # ------------------------------------------------------------------ losses

    def observe(self, now):
        """Update the loss limits."""
        equity = self.worst_equity(now)
        moved = self.account.transfers - self.transfers
        self.transfers += moved
        if moved:  # a transfer changes no share: levels scale with the equity
            self.peak = scaled(self.peak, equity - moved, equity)
            self.morning = scaled(self.morning, equity - moved, equity)
            self.seen = scaled(self.seen, equity - moved, equity)
            self.highs = {}
        if now // DAY != self.day:  # the day starts from what the one before ended with
            self.morning = self.seen if self.day >= 0 else equity
            self.day = now // DAY
            if self.limits["acknowledged"]:
                self.allow()
        self.peak, self.seen = max(self.peak, equity), equity
        limit = Fraction(self.limits["max_drawdown_e8"], E8)
        self.day_lost |= equity <= self.morning * (1 - Fraction(self.limits["daily_loss_e8"], E8))
        self.killed |= equity <= self.peak * (1 - limit)
        self.watch_rate(equity, now)
        self.ladder = sum(equity <= self.peak * (1 - limit * step) for step in (Fraction(1, 2), Fraction(3, 4)))

    def allow(self):
        """Lift what waits for an operator."""
        self.day_lost = False
        for told in self.told:
            for side in range(2):
                if told.disabled[side]:
                    told.excused[side] = len(self.entries)
            told.disabled = [False, False]

    def watch_rate(self, equity, now):
        """Pause entries after a fast loss from the highest equity of five minutes, counted in tens of seconds."""
        slot = now // LOSS_SLOT
        self.highs[slot] = max(self.highs.get(slot, equity), equity)
        highest = max(high for at, high in self.highs.items() if slot - at < LOSS_SLOTS)
        lost = equity <= highest * (1 - Fraction(self.limits["loss_rate_e8"], E8))
        if now >= self.paused_until and lost:
            self.paused_until, self.highs = now + self.limits["loss_pause_ns"], {}

    def worst_equity(self, now):
        """Equity at the marks; where a mark is two seconds old and a newer price is worse, at that price."""
        equity = self.account.equity
        for symbol, (spec, market) in enumerate(zip(self.specs, self.markets, strict=True)):
            old = now - market.ts_mark >= 2 * SECOND and market.ts_last > market.ts_mark and not market.interval
            if old and market.last:
                legs = [self.account.leg(symbol, leg) for leg in (0, 1)]
                equity += min(0, sum(value(spec, market.last, leg.lots) - leg.value for leg in legs))
        return equity


def scaled(level, before, after):
    """A level of the equity after a transfer; without equity to scale by, moved by the amount."""
    if before <= 0 or after <= 0:
        return level + after - before
    return booked(Fraction(level * after, before))
