"""Plain twin of the pre-trade gate: a list of questions, asked in order, in whole numbers and fractions.

Knows the table of controls (order limits: at the limit is allowed; loss limits: at the limit trips), the
exchange's filters and its margin rules. Keeps the orders that may still fill in a list and works every
exposure out anew. Refuses to know how the compiled gate does it.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from core_ext.types import Reason
from plain.account import E8, booked, liquidation_price, maintenance, value

SECOND, MINUTE, DAY = 10**9, 60 * 10**9, 86_400 * 10**9
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
    ticks: int = 0  # 0: a market order
    reduce_only: bool = False

    @property
    def sign(self):
        return -1 if self.side else 1


@dataclass
class Held:
    """An order that may still fill, at the price at which it counts until then."""

    request: Request
    lots: int
    ticks: int


@dataclass
class Gate:
    specs: list
    limits: dict
    account: object  # a plain account
    held: list = field(default_factory=list)
    markets: list = None
    sent: list = field(default_factory=list)  # stamps of every approved order
    entries: list = field(default_factory=list)  # (stamp, request) of those that were no exits
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
        self.peak = self.seen = self.account.equity

    # ------------------------------------------------------------------ the verdict

    def ask(self, request, now):
        """Return the reason, and hold what is approved."""
        reason = self.verdict(request, now)
        if reason == Reason.APPROVED:
            self.sent.append(now)
            if not self.is_exit(request):
                self.entries.append((now, request))
                self.sizes.append(self.size(request))
            self.held.append(Held(request, request.lots, self.ticks(request)))
        return reason

    def verdict(self, request, now):
        if not 0 <= request.symbol < len(self.specs):
            return Reason.R31_RISK_FAULT
        questions = self.entry_questions
        if self.is_exit(request):
            questions = self.exit_questions
        elif request.reduce_only:
            questions = self.futile_questions
        return next((reason for reason, broken in questions(request, now) if broken()), Reason.APPROVED)

    def exit_questions(self, request, now):
        return [*self.filters(request), (Reason.R1_PRICE_COLLAR, lambda: self.leaves_exit_collar(request))]

    def futile_questions(self, request, now):
        return [*self.filters(request), (Reason.NOTHING_TO_REDUCE, lambda: True)]

    def entry_questions(self, request, now):
        return [
            *self.filters(request),
            (Reason.R22_DRAWDOWN_KILL, lambda: self.killed),
            (Reason.HALTED, lambda: self.halted),
            (Reason.R21_DAILY_LOSS, lambda: self.day_lost),
            (Reason.R20_REDUCE_ONLY, lambda: self.ladder == 2),
            (Reason.R23_LOSS_RATE, lambda: now < self.paused_until),
            (Reason.R28_SYMBOL_STATUS, lambda: not self.specs[request.symbol]["tradable"]),
            (Reason.R18_STALE_DATA, lambda: self.is_stale(request.symbol, now)),
            (Reason.R31_RISK_FAULT, lambda: self.cannot_be_judged(request)),
            (Reason.R1_PRICE_COLLAR, lambda: self.leaves_collar(request)),
            (Reason.FILTER_PRICE, lambda: self.leaves_band(request)),
            (Reason.FILTER_NOTIONAL, lambda: self.notional(request) < self.specs[request.symbol]["min_notional_e8"]),
            (Reason.R3_ORDER_NOTIONAL, lambda: self.notional(request) > self.halved(self.order_cap(request.symbol))),
            (Reason.R4_ORDER_QUANTITY, lambda: request.lots > self.depth_cap(request)),
            (Reason.R5_POSITION_LIMIT, lambda: self.worst_position(request) > self.halved(self.symbol_cap)),
            (Reason.R17_FAT_FINGER, lambda: self.is_unusual(request)),
            (Reason.R6_GROSS_EXPOSURE, lambda: self.is_too_exposed(request)),
            (Reason.R9_LIQUIDATION_DISTANCE, lambda: self.is_near_liquidation(request)),
            (Reason.R10_MARGIN_RATIO, lambda: self.maintenance(request) > self.share("margin_ratio_e8")),
            (Reason.INSUFFICIENT_MARGIN, lambda: self.margin(request) > self.account.equity),
            (Reason.R25_OPEN_ORDERS, lambda: self.has_too_many_orders(request.symbol)),
            (Reason.R16_SELF_TRADE, lambda: self.meets_own_order(request)),
            (Reason.R15_DUPLICATE, lambda: self.is_duplicate(request, now)),
            (Reason.R11_ORDER_RATE, lambda: self.is_too_fast(now)),
        ]

    def filters(self, request):
        spec = self.specs[request.symbol]
        most = spec["max_lots"] if request.ticks else spec["max_market_lots"]
        outside = request.ticks and not spec["min_ticks"] <= request.ticks <= spec["max_ticks"]
        return [
            (Reason.FILTER_PRICE, lambda: outside),
            (Reason.FILTER_QUANTITY, lambda: request.lots < spec["min_lots"]),
            (Reason.R4_ORDER_QUANTITY, lambda: request.lots > most),
        ]

    # ------------------------------------------------------------------ exits

    def is_exit(self, request):
        """Whether the order can only shrink the position, even if all that is held on its side fills before it.

        The venue cuts reduce-only orders to the position, so those compete with none.
        """
        position = self.account.positions[request.symbol].lots
        rivals = [] if request.reduce_only else self.on(request.symbol, request.side)
        return position * request.sign < 0 and request.lots + sum(held.lots for held in rivals) <= abs(position)

    def leaves_exit_collar(self, request):
        market = self.markets[request.symbol]
        reference = market.mark or market.last
        return bool(request.ticks and reference) and self.is_outside(request, reference, self.limits["exit_collar_e8"])

    # ------------------------------------------------------------------ prices

    def ticks(self, request):
        """The price at which the order counts: its limit, or the touch that a market order meets."""
        market = self.markets[request.symbol]
        return request.ticks or (market.bid if request.side else market.ask)

    def price(self, request):
        return self.ticks(request) * self.specs[request.symbol]["tick_e8"]

    def notional(self, request):
        return value(self.specs[request.symbol], self.price(request), request.lots)

    def is_outside(self, request, reference, collar_e8):
        bound = Fraction(reference * (E8 + request.sign * collar_e8), E8)
        return request.sign * (self.price(request) - bound) > 0

    def leaves_collar(self, request):
        market, spec = self.markets[request.symbol], self.specs[request.symbol]
        middle = Fraction((market.bid + market.ask) * spec["tick_e8"], 2) if market.bid and market.ask else 0
        return any(self.is_outside(request, ref, spec["collar_e8"]) for ref in (market.mark, middle) if ref)

    def leaves_band(self, request):
        """Whether the exchange would find the price too far from the mark (one-sided)."""
        spec = self.specs[request.symbol]
        room = spec["down_e8"] - E8 if request.side else spec["up_e8"] - E8
        return bool(request.ticks) and self.is_outside(request, self.markets[request.symbol].mark, abs(room))

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
            if symbol == request.symbol or self.account.positions[symbol].lots or [*self.on(symbol)]
        )
        return self.price(request) <= 0 or unmarked or self.account.equity <= 0

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

    def on(self, symbol, side=None):
        """The held orders of a symbol, or of one side of it."""
        return (held for held in self.held if held.request.symbol == symbol and side in (None, held.request.side))

    def lots_on(self, symbol, side, request=None):
        added = request.lots if request and (request.symbol, request.side) == (symbol, side) else 0
        return sum(held.lots for held in self.on(symbol, side)) + added

    def value_on(self, symbol, side, opening_only=False):
        return sum(
            value(self.specs[symbol], held.ticks * self.specs[symbol]["tick_e8"], held.lots)
            for held in self.on(symbol, side)
            if not (opening_only and held.request.reduce_only)
        )

    @property
    def symbol_cap(self):
        return self.share("symbol_share_e8", "strategy_leverage_e8")

    def worst_lots(self, symbol, side, request):
        """The largest position that the orders of a side can make, in whatever order they fill.

        All of them on top of the position, or the plain ones once others have closed it.
        """
        position, sign = self.account.positions[symbol].lots, -1 if side else 1
        reducing = sum(held.lots for held in self.on(symbol, side) if held.request.reduce_only)
        everything = self.lots_on(symbol, side, request)
        return max(abs(position + sign * everything), everything - reducing)

    def worst_position(self, request):
        lots = self.worst_lots(request.symbol, request.side, request)
        return value(self.specs[request.symbol], self.markets[request.symbol].mark, lots)

    def worst_of(self, symbol, request):
        lots = max(self.worst_lots(symbol, side, request) for side in (0, 1))
        return value(self.specs[symbol], self.markets[symbol].mark, lots)

    def worst_gross(self, request):
        return sum(self.worst_of(symbol, request) for symbol in range(len(self.specs)))

    def is_too_exposed(self, request):
        """Whether gross, or net once everything on this side has filled, would be above its limit."""
        net = sum(
            value(
                spec,
                self.markets[symbol].mark,
                self.account.positions[symbol].lots + request.sign * self.lots_on(symbol, request.side, request),
            )
            for symbol, spec in enumerate(self.specs)
        )
        too_gross = self.worst_gross(request) > self.share("max_gross_e8")
        return too_gross or request.sign * net > self.share("max_net_e8")

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
        others = sum(p.maintenance for k, p in enumerate(self.account.positions) if k != request.symbol)
        return others + maintenance(self.specs[request.symbol], self.worst_of(request.symbol, request))

    def is_near_liquidation(self, request):
        """Whether, everything on this side filled and paid for, liquidation would be too near the mark."""
        symbol, spec, account = request.symbol, self.specs[request.symbol], self.account
        own, mark = account.positions[symbol], self.markets[symbol].mark
        added = self.notional(request) + self.value_on(symbol, request.side)
        lots = own.lots + request.sign * self.lots_on(symbol, request.side, request)
        room = account.wallet - Fraction(added * spec["taker_fee_e8"], E8)
        room += sum(other.value - other.cost - other.maintenance for other in account.positions if other is not own)
        price = liquidation_price(spec, max(lots, 0), max(-lots, 0), own.cost + request.sign * added, room)
        if price == 0:
            return False
        distance = Fraction((mark - price) * (1 if lots > 0 else -1), mark)
        atr = Fraction(self.limits["liquidation_atr"]) * Fraction(self.limits["atr_floor"])
        return distance < max(Fraction(self.limits["liquidation_distance_e8"], E8), atr)

    def margin(self, request):
        """Initial margin of all positions and orders, and what the new one costs: its fee and its open loss."""
        total = 0
        for symbol, spec in enumerate(self.specs):
            held = self.account.positions[symbol].value
            sides = [self.value_on(symbol, side, opening_only=True) for side in (0, 1)]
            if symbol == request.symbol:
                sides[request.side] += self.notional(request)
            total += max(abs(held + sides[0]), abs(held - sides[1])) // spec["leverage"]
        spec = self.specs[request.symbol]
        behind = max(0, request.sign * (self.price(request) - self.markets[request.symbol].mark))
        return total + Fraction(self.notional(request) * spec["taker_fee_e8"], E8) + value(spec, behind, request.lots)

    # ------------------------------------------------------------------ flow

    def meets_own_order(self, request):
        """Whether an order of ours with a price rests where this one would take."""
        return any(
            held.request.ticks and request.sign * (self.ticks(request) - held.request.ticks) >= 0
            for held in self.on(request.symbol, 1 - request.side)
        )

    def has_too_many_orders(self, symbol):
        own = len([*self.on(symbol)])
        return own >= self.limits["max_orders_symbol"] or len(self.held) >= self.limits["max_orders_total"]

    def is_duplicate(self, request, now):
        wanted = (request.symbol, request.side, request.ticks, request.lots)
        return any(
            now - at <= self.limits["duplicate_ns"] and (one.symbol, one.side, one.ticks, one.lots) == wanted
            for at, one in self.entries
        )

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
            self.day_lost = self.day_lost and not self.limits["acknowledged"]
        self.peak, self.seen = max(self.peak, equity), equity
        limit = Fraction(self.limits["max_drawdown_e8"], E8)
        self.day_lost |= equity <= self.morning * (1 - Fraction(self.limits["daily_loss_e8"], E8))
        self.killed |= equity <= self.peak * (1 - limit)
        self.watch_rate(equity, now)
        self.ladder = sum(equity <= self.peak * (1 - limit * step) for step in (Fraction(1, 2), Fraction(3, 4)))

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
        for position, market in zip(self.account.positions, self.markets, strict=True):
            old = now - market.ts_mark >= 2 * SECOND and market.ts_last > market.ts_mark and not market.interval
            if old and market.last and position.lots:
                equity += min(0, value(position.spec, market.last, position.lots) - position.value)
        return equity


def scaled(level, before, after):
    """A level of the equity after a transfer; without equity to scale by, moved by the amount."""
    if before <= 0 or after <= 0:
        return level + after - before
    return booked(Fraction(level * after, before))
