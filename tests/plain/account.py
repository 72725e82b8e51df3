"""Plain twin of the account: exact fractions, no running totals.

Knows the exchange's margin rules (cross and isolated, one-way and hedge, one margin coin or several,
open orders) and how money is rounded. Keeps only what was booked on each leg and works everything else
out anew each time it is asked. Refuses to know how the compiled account does it.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

E8 = 10**8


def booked(units):
    """Return exact 1e-8 units as a whole number of them, half away from zero."""
    units = Fraction(units)
    size = floor(abs(units) + Fraction(1, 2))
    return size if units >= 0 else -size


def share(amount, part, whole):
    """Return amount * part / whole rounded once, half away from zero; all whole numbers, ``whole`` positive."""
    size = (2 * abs(amount * part) + whole) // (2 * whole)
    return size if amount * part >= 0 else -size


def value(spec, price_e8, lots):
    """Return the value of lots (buy positive) at a price, in 1e-8 USDT, rounded once."""
    return share(price_e8 * lots, spec["lot_e8"], E8)


def bracket(spec, notional_e8):
    """Return (mmr_e8, cum_e8) of the row with floor < notional <= cap; beyond the last cap, of the last row."""
    for floor_e8, cap_e8, mmr_e8, cum_e8, _ in spec["brackets"]:
        if floor_e8 < notional_e8 <= cap_e8:
            return mmr_e8, cum_e8
    return spec["brackets"][-1][2:4]


def exact_maintenance(spec, notional_e8):
    """Return notional * rate - maintenance amount, not rounded."""
    if notional_e8 == 0:
        return Fraction(0)
    mmr_e8, cum_e8 = bracket(spec, notional_e8)
    return Fraction(notional_e8) * mmr_e8 / E8 - cum_e8


def maintenance(spec, notional_e8):
    """Return the maintenance margin in 1e-8 USDT; the maintenance amount is a whole number of them."""
    if notional_e8 == 0:
        return 0
    mmr_e8, cum_e8 = bracket(spec, notional_e8)
    return share(notional_e8, mmr_e8, E8) - cum_e8


def initial(notional_e8, leverage):
    """Return the initial margin in whole units of 1e-8 USDT, rounded down once a leg."""
    return abs(notional_e8) // leverage


def max_notional(spec, leverage):
    """Return the cap of the largest bracket that allows a leverage, 0 if none does."""
    return max((cap for _, cap, _, _, most in spec["brackets"] if most >= leverage), default=0)


def exact_liquidation(spec, longs, shorts, cost_e8, room_e8):
    """Return the exact price (1e-8) at which equity meets maintenance, None if there is none.

    Between the prices at which a leg enters its next bracket equity and maintenance are straight lines; in each
    stretch the published formula is solved with the brackets that rule there. Of two answers (a hedged net long) the
    lower one counts. A short with nothing left at any price is liquidated at the smallest price.
    """
    legs = [(lots, sign, Fraction(lots * spec["lot_e8"], E8)) for lots, sign in ((longs, 1), (shorts, -1)) if lots]
    edges = sorted({cap / amount for _, _, amount in legs for _, cap, *_ in spec["brackets"][:-1]})
    high_roots = []
    for low, high in zip([Fraction(0), *edges], [*edges, None], strict=True):
        probe = (low + high) / 2 if high is not None else low + 1
        slope, level = Fraction(0), Fraction(room_e8 - cost_e8)
        for _, sign, amount in legs:
            mmr_e8, cum_e8 = bracket(spec, probe * amount)
            slope += amount * (sign - Fraction(mmr_e8, E8))
            level += cum_e8
        if slope == 0:
            continue
        root = -level / slope
        if root > low and (high is None or root <= high):
            if slope > 0:
                return root
            high_roots.append(root)
    if high_roots:
        return high_roots[0]
    return Fraction(1) if longs <= shorts and legs and room_e8 - cost_e8 <= 0 else None


def is_never_safe(spec, longs, shorts, cost_e8, room_e8):
    """Return whether equity is below maintenance at every price, which only a hedge can be."""
    amounts = [Fraction(lots * spec["lot_e8"], E8) for lots in (longs, shorts)]
    edges = {cap / amount for amount in amounts if amount for _, cap, *_ in spec["brackets"][:-1]}
    at = [Fraction(0), *edges, *([2 * max(edges)] if edges else [])]
    return all(
        room_e8 - cost_e8 + price * (amounts[0] - amounts[1])
        <= sum(exact_maintenance(spec, price * amount) for amount in amounts)
        for price in at
    )


def liquidation_price(spec, longs, shorts, cost_e8, room_e8):
    """Return the exact liquidation price rounded up to a whole unit of 1e-8, 0 for none."""
    price = exact_liquidation(spec, longs, shorts, cost_e8, room_e8)
    return 0 if price is None else max(1, ceil(price))


@dataclass
class Position:
    """What one leg's bookings left."""

    spec: dict
    lots: int = 0
    cost: int = 0
    mark: int = 0
    realised: int = 0
    fees: int = 0
    liquidation_fees: int = 0
    funding: int = 0
    turnover: int = 0
    isolated: int = 0

    @property
    def value(self):
        return value(self.spec, self.mark, self.lots)

    @property
    def unrealised(self):
        return self.value - self.cost

    @property
    def maintenance(self):
        return maintenance(self.spec, abs(self.value))

    def add(self, lots, price_e8, leverage=None):
        """Trade lots; one that passes zero is a closing trade and an opening one.

        With a leverage the leg is isolated: opening moves initial margin in; closing gives the closed share of it
        back, with the profit or loss.
        """
        if self.lots * lots < 0 and abs(lots) > abs(self.lots):
            rest = lots + self.lots
            whole, closed = (
                value(self.spec, price_e8, lots),
                share(value(self.spec, price_e8, lots), abs(self.lots), abs(lots)),
            )
            self.close(-self.lots, closed, leverage)
            self.open(rest, whole - closed, leverage)
        elif self.lots * lots < 0:
            self.close(lots, value(self.spec, price_e8, lots), leverage)
        else:
            self.open(lots, value(self.spec, price_e8, lots), leverage)

    def open(self, lots, amount, leverage):
        self.cost += amount
        self.lots += lots
        self.isolated += initial(amount, leverage) if leverage else 0

    def close(self, lots, amount, leverage):
        removed = share(self.cost, abs(lots), abs(self.lots))
        profit = -amount - removed
        if leverage:
            released = share(self.isolated, abs(lots), abs(self.lots))
            self.isolated = self.isolated - released if lots + self.lots else 0
        self.realised += profit
        self.cost -= removed
        self.lots += lots

    def fields(self):
        """Return the fields under the compiled account's names."""
        return {
            "lots": self.lots,
            "cost_e8": self.cost,
            "mark_e8": self.mark,
            "value_e8": self.value,
            "maintenance_e8": self.maintenance,
            "realised_e8": self.realised,
            "fees_e8": self.fees,
            "funding_e8": self.funding,
            "isolated_e8": self.isolated,
        }


@dataclass
class Coin:
    """A margin coin besides USDT: what is in the futures wallet, and what it is worth."""

    ratio: int = 0
    transfers: int = 0
    fees: int = 0
    price: int = 0

    @property
    def wallet(self):
        return self.transfers - self.fees

    @property
    def collateral(self):
        worth = share(self.wallet, self.price, E8)
        return share(worth, self.ratio, E8) if worth > 0 else worth


@dataclass
class OpenOrder:
    """An order as the exchange's margin sees it; the worse of what it is and what it was asked to become."""

    symbol: int
    leg: int
    side: int
    ticks: int
    lots: int
    conditional: bool = False
    can_only_close: bool = False
    triggered: bool = False
    filled: int = 0
    asked: tuple = (0, 0)

    @property
    def leaves(self):
        return max(0, max(self.lots, self.asked[1]) - self.filled)

    def notional(self, spec):
        if self.can_only_close or (self.conditional and not self.triggered):
            return 0
        return max(self.ticks, self.asked[0]) * spec["tick_e8"] * spec["lot_e8"] // E8 * self.leaves


BUY, SELL = 0, 1
USDT, BNB = 0, 1
RATIOS = {1: 95_000_000, 2: 99_990_000, 3: 95_000_000, 4: 95_000_000}


@dataclass
class Account:
    """One account; money in 1e-8 USDT."""

    specs: list
    start: int
    transfers: int = 0
    hedge: bool = False
    multi_assets: bool = False
    fee_coin: bool = False
    orders: dict = field(default_factory=dict)

    def __post_init__(self):
        self.positions = [Position(spec) for spec in self.specs]
        self.shorts = [Position(spec) for spec in self.specs]
        self.leverage = [spec["leverage"] for spec in self.specs]
        self.isolated = [False] * len(self.specs)
        self.coins = {asset: Coin(ratio) for asset, ratio in RATIOS.items()}

    # What happens.

    def leg(self, symbol, leg):
        return (self.shorts if leg else self.positions)[symbol]

    def legs(self):
        """Return (symbol, leg) of everything that is held."""
        both = ((symbol, leg) for leg in (0, 1) for symbol in range(len(self.specs)))
        return [key for key in both if self.leg(*key).lots]

    def margin_of(self, symbol):
        return self.leverage[symbol] if self.isolated[symbol] else None

    def fill(self, symbol, lots, price_ticks, fee_e8, leg=0, in_coin=False):
        position = self.leg(symbol, leg)
        price_e8 = price_ticks * position.spec["tick_e8"]
        position.add(lots, price_e8, self.margin_of(symbol))
        if not position.mark:
            self.mark(symbol, price_e8)
        position.turnover += abs(value(position.spec, price_e8, lots))
        if in_coin:
            self.coins[BNB].fees += fee_e8
        else:
            position.fees += fee_e8

    def mark(self, symbol, mark_e8):
        self.positions[symbol].mark = self.shorts[symbol].mark = mark_e8

    def take_over(self, symbol, price_e8, fee_e8, leg=0, lots=0):
        position = self.leg(symbol, leg)
        position.add(-(lots or position.lots), price_e8, self.margin_of(symbol))
        position.fees += fee_e8
        position.liquidation_fees += fee_e8

    def funding_amount(self, symbol, rate_e8, mark_e8, leg=0):
        position = self.leg(symbol, leg)
        return share(-position.lots * position.spec["lot_e8"] * mark_e8, rate_e8, E8 * E8)

    def pay_funding(self, symbol, amount_e8, leg=0):
        position = self.leg(symbol, leg)
        position.funding += amount_e8
        if self.isolated[symbol] and position.lots:
            position.isolated += amount_e8

    def transfer(self, amount_e8, asset=USDT):
        if asset == USDT:
            self.transfers += amount_e8
        else:
            self.coins[asset].transfers += amount_e8

    def index(self, asset, price_e8):
        self.coins[asset].price = price_e8

    def move_margin(self, symbol, amount_e8, leg=0):
        """Move margin into an isolated leg (negative: out of it); return the exchange's code."""
        position = self.leg(symbol, leg)
        left = position.isolated + amount_e8
        code = first(
            (-4055, amount_e8 == 0),
            (-4049, not self.isolated[symbol]),
            (-4054, position.lots == 0),
            (-4050, amount_e8 > 0 and amount_e8 > self.available),
            (-4051, amount_e8 < 0 and left < 0),
            (-4051, amount_e8 < 0 and left + position.unrealised < initial(position.value, self.leverage[symbol])),
        )
        if code == 0:
            position.isolated += amount_e8
        return code

    def coin_fee(self, fee_e8):
        """Return a USDT fee in BNB at 10 % off, 0 when there is no BNB for it."""
        coin = self.coins[BNB]
        if not self.fee_coin or not coin.price or fee_e8 <= 0:
            return 0
        amount = share(fee_e8, 9 * E8, 10 * coin.price)
        return amount if amount <= coin.wallet else 0

    # Settings.

    def set_leverage(self, symbol, leverage):
        notional = sum(self.exposure(symbol))
        held = any(self.leg(symbol, leg).lots for leg in (0, 1))
        code = first(
            (-4028, not 1 <= leverage <= self.specs[symbol]["brackets"][0][4]),
            (-4161, self.isolated[symbol] and held and leverage < self.leverage[symbol]),
            (-2027, notional > max_notional(self.specs[symbol], leverage)),
            (-2028, self.more_at(symbol, leverage) > max(0, self.available)),
        )
        if code == 0:
            self.leverage[symbol] = leverage
        return code

    def more_at(self, symbol, leverage):
        """Return what another leverage would need more than the one of now."""
        return sum(initial(side, max(1, leverage)) for side in self.exposure(symbol)) - self.needed(symbol)

    def set_isolated(self, symbol, isolated):
        code = first(
            (-4046, self.isolated[symbol] == isolated),
            (-4168, self.multi_assets),
            (-4047, any(order.symbol == symbol for order in self.orders.values())),
            (-4048, any(held == symbol for held, _ in self.legs())),
        )
        if code == 0:
            self.isolated[symbol] = isolated
        return code

    def set_hedge(self, hedge):
        code = first((-4059, self.hedge == hedge), (-4067, bool(self.orders)), (-4068, bool(self.legs())))
        if code == 0:
            self.hedge = hedge
        return code

    def set_multi_assets(self, multi):
        alone = self.available - self.collateral
        code = first(
            (-4171, self.multi_assets == multi),
            (-4167, any(self.isolated)),
            (-4170, bool(self.orders)),
            (-4172, self.wallet < 0 or any(coin.wallet < 0 for coin in self.coins.values())),
            (-4169, alone < 0),
        )
        if code == 0:
            self.multi_assets = multi
        return code

    def told(self, symbol, name, value):
        """Take over a setting that the venue reports: leverage, isolated, or else multi-assets mode."""
        if name == "leverage":
            self.leverage[symbol] = value or self.leverage[symbol]
        elif name == "isolated":
            self.isolated[symbol] = bool(value)
            for leg in (0, 1):
                self.leg(symbol, leg).isolated *= value
        else:
            self.multi_assets = bool(value)

    # What it comes to.

    def total(self, name):
        """Return the sum of a field over the legs."""
        return sum(getattr(position, name) for position in (*self.positions, *self.shorts))

    def isolated_total(self, name):
        """Return the sum of a field over the legs of isolated symbols."""
        legs = [self.leg(k, leg) for k in range(len(self.specs)) if self.isolated[k] for leg in (0, 1)]
        return sum(getattr(position, name) for position in legs)

    @property
    def wallet(self):
        return self.start + self.total("realised") - self.total("fees") + self.total("funding") + self.transfers

    @property
    def unrealised(self):
        return self.total("value") - self.total("cost")

    @property
    def collateral(self):
        return sum(coin.collateral for coin in self.coins.values()) if self.multi_assets else 0

    @property
    def equity(self):
        return self.wallet + self.unrealised + self.collateral

    @property
    def cross_equity(self):
        return self.equity - self.isolated_total("isolated") - self.isolated_total("unrealised")

    @property
    def cross_maintenance(self):
        return self.total("maintenance") - self.isolated_total("maintenance")

    def position_margin(self, symbol):
        return sum(initial(self.leg(symbol, leg).value, self.leverage[symbol]) for leg in (0, 1))

    def exposure(self, symbol, more=(None, 0, 0)):
        """Return the notionals that need margin: one in one-way mode (the larger side), long and short in hedge mode.

        ``more`` is (side, leg, notional) of one more order.
        """
        opened = {}
        for order in self.orders.values():
            if order.symbol == symbol:
                key = order.side, order.leg
                opened[key] = opened.get(key, 0) + order.notional(self.specs[symbol])
        side, leg, amount = more
        if side is not None:
            opened[side, leg] = opened.get((side, leg), 0) + amount
        held = [self.leg(symbol, leg).value for leg in (0, 1)]
        if self.hedge:
            return held[0] + opened.get((BUY, 0), 0), -held[1] + opened.get((SELL, 1), 0)
        return (max(abs(held[0] + opened.get((BUY, 0), 0)), abs(held[0] - opened.get((SELL, 0), 0))),)

    def needed(self, symbol, more=(None, 0, 0)):
        return sum(initial(side, self.leverage[symbol]) for side in self.exposure(symbol, more))

    def order_margin(self, symbol):
        return self.needed(symbol) - self.position_margin(symbol)

    def order_cost(self, symbol, side, price_e8, lots, leg=0):
        """Return margin, loss against the mark and taker fee of one more order."""
        spec, mark = self.specs[symbol], self.positions[symbol].mark
        amount = value(spec, price_e8, lots)
        worse = max(0, price_e8 - mark if side == BUY else mark - price_e8) if mark else 0
        more = self.needed(symbol, (side, leg, amount)) - self.needed(symbol)
        return more + value(spec, worse, lots) + share(amount, spec["taker_fee_e8"], E8)

    @property
    def available(self):
        symbols = range(len(self.specs))
        cross = sum(self.position_margin(k) for k in symbols if not self.isolated[k])
        return self.cross_equity - cross - sum(map(self.order_margin, symbols))

    @property
    def ratio(self):
        """The largest maintenance over balance of what is liquidated together, None where nothing is left."""
        together = [(self.cross_maintenance, self.cross_equity)]
        for symbol, leg in self.legs():
            if self.isolated[symbol]:
                position = self.leg(symbol, leg)
                together.append((position.maintenance, position.isolated + position.unrealised))
        used = [(needed, left) for needed, left in together if needed]
        if any(left <= 0 for _, left in used):
            return None
        return max((Fraction(needed, left) for needed, left in used), default=Fraction(0))

    def behind(self, symbol, leg):
        """Return (longs, shorts, cost, room) of the published liquidation formula."""
        own = self.leg(symbol, leg)
        if self.isolated[symbol]:
            return max(own.lots, 0), max(-own.lots, 0), own.cost, own.isolated
        both = [self.leg(symbol, k) for k in (0, 1)]
        others = [self.leg(k, one) for k in range(len(self.specs)) if k != symbol for one in (0, 1)
                  if not self.isolated[k]]  # fmt: skip
        room = self.wallet + self.collateral - self.isolated_total("isolated")
        room += sum(other.unrealised - other.maintenance for other in others)
        longs, shorts = sum(max(p.lots, 0) for p in both), sum(max(-p.lots, 0) for p in both)
        return longs, shorts, sum(p.cost for p in both), room

    def liquidation(self, symbol, leg=0):
        return liquidation_price(self.specs[symbol], *self.behind(symbol, leg))

    def bankruptcy(self, symbol, leg=0):
        """Return the exact price at which nothing is left, all else at its mark."""
        own = self.leg(symbol, leg)
        left = own.isolated if self.isolated[symbol] else self.cross_equity - own.unrealised
        return Fraction((own.cost - left) * E8, own.lots * own.spec["lot_e8"])

    def fields(self):
        """Return the totals under the compiled account's names."""
        symbols = range(len(self.specs))
        values = [position.value for position in (*self.positions, *self.shorts)]
        return {
            "wallet_e8": self.wallet,
            "realised_e8": self.total("realised"),
            "fees_e8": self.total("fees"),
            "liquidation_fees_e8": self.total("liquidation_fees"),
            "funding_e8": self.total("funding"),
            "transfers_e8": self.transfers,
            "unrealised_e8": sum(values) - self.total("cost"),
            "cost_e8": self.total("cost"),
            "maintenance_total_e8": self.total("maintenance"),
            "initial_total_e8": sum(map(self.position_margin, symbols)),
            "orders_total_e8": sum(map(self.order_margin, symbols)),
            "gross_e8": sum(map(abs, values)),
            "net_e8": sum(values),
            "turnover_e8": self.total("turnover"),
            "collateral_e8": self.collateral,
            "isolated_total_e8": self.isolated_total("isolated"),
            "isolated_unrealised_e8": self.isolated_total("unrealised"),
            "isolated_maintenance_e8": self.isolated_total("maintenance"),
            "isolated_initial_e8": sum(self.position_margin(k) for k in symbols if self.isolated[k]),
        }


def first(*rules):
    """Return the code of the first rule that refuses, 0 if none does."""
    return next((code for code, refuses in rules if refuses), 0)
