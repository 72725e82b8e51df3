"""The account with its open orders against the plain twin, on long random walks through every margin mode.

One generator of steps serves Hypothesis, which shrinks what it finds, and the seeded walks, which are long.
``AUTOTRADER_WALK_STEPS=1000000`` makes the seeded walks that long in all, divided among the seeds.
"""

import os
from fractions import Fraction
from random import Random

import pytest
from builders import E8, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import account as plain

from autotrader.instruments import load, specs
from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.types import Instruments, OrderType, Setting

STEPS = int(os.environ.get("AUTOTRADER_WALK_STEPS", "45000"))
SEEDS = 10
NOTHING_LEFT = 2**63 - 1
START = 1_000_000 * E8
COINS = {1: ("BNB", 600), 2: ("USDC", 1), 3: ("BTC", 60_000), 4: ("ETH", 3_000)}
ACCEPTED, REJECTED, CANCELED, EXPIRED, CANCEL_SENT, CANCEL_REJECTED, LOST, ARMED, TRIGGERING, AMEND_REJECTED = (
    0, 1, 4, 5, 6, 7, 8, 9, 10, 12,
)  # fmt: skip


def shipped(*names):
    """Return shipped symbols whose brackets are known."""
    table = load()
    return specs(list(names), table=table, fees=(20_000, 50_000), leverage=5)[0]


SPECS = [*shipped("BTCUSDT", "DOGEUSDT"), spec("BNBUSDT", tick_e8=10**6, leverage=7)]
TICKS = [600_000, 15_000, 60_000]
MOST_LOTS = [1_500, 1_500_000, 15_000]


class Pair:
    """An account with its order table and their twin: each step happens to both, and both must agree after it."""

    def __init__(self, random):
        self.random = random
        self.apart = random.random() < 0.5  # whether this walk isolates symbols, which excludes multi-assets mode
        self.account = Account(Instruments(SPECS), START)
        self.orders = Orders(7)
        self.orders.attach(self.account)
        self.twin = plain.Account(SPECS, START)
        self.ticks = list(TICKS)
        self.spot = dict.fromkeys(range(len(COINS) + 1), 0)
        self.spent = 0  # what all fills have cost: wallet and cost of what is held must explain it
        self.steps = 0
        for asset in COINS:
            self.index(asset)

    # Steps.

    def step(self):
        weighted = self.random.choices(
            [self.new_order, self.news, self.fill, self.market, self.mark, self.funding, self.transfer, self.index,
             self.move_margin, self.leverage, self.margin_type, self.hedge, self.multi_assets, self.fee_coin,
             self.take_over, self.flatten, self.told],
            [20, 14, 14, 10, 20, 3, 4, 3, 5, 5, 3, 1, 2, 1, 2, 2, 1],
        )[0]  # fmt: skip
        weighted()
        self.steps += 1
        self.agree()

    def symbol(self):
        return self.random.randrange(len(SPECS))

    def price(self, symbol):
        """Return ticks near the mark."""
        return max(1, self.ticks[symbol] * self.random.randint(970, 1030) // 1000)

    def new_order(self):
        symbol, side = self.symbol(), self.random.randrange(2)
        leg = self.random.randrange(2) if self.twin.hedge else 0
        position_side = (1 + leg) if self.twin.hedge else 0
        closes = side != leg if self.twin.hedge else self.random.random() < 0.2
        type_ = self.random.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP])
        ticks, lots = self.price(symbol), self.random.randint(1, MOST_LOTS[symbol])
        if len(self.twin.orders) < 12:
            cost = self.twin.order_cost(symbol, side, ticks * SPECS[symbol]["tick_e8"], lots, leg)
            assert self.account.order_cost(symbol, side, ticks * SPECS[symbol]["tick_e8"], lots, leg) == cost
            client_id = self.orders.insert_for_test(symbol, side, ticks, lots, closes, position_side, type_)
            self.twin.orders[client_id] = plain.OpenOrder(
                symbol, leg, side, ticks, lots, conditional=type_ == OrderType.STOP, can_only_close=closes
            )

    def some_order(self):
        return self.random.choice(list(self.twin.orders.items())) if self.twin.orders else (None, None)

    def news(self):
        client_id, order = self.some_order()
        if order is None:
            return
        name = self.random.choice(["accepted", "armed", "triggering", "lost", "sent", "cancel refused", "canceled",
                                   "expired", "ask", "ask", "amended", "amend refused"])  # fmt: skip
        if name == "ask":
            asked = self.price(order.symbol), self.random.randint(1, MOST_LOTS[order.symbol])
            order.asked = tuple(map(max, order.asked, asked))
            self.orders.ask(client_id, *asked)
        elif name == "amended":
            self.amended(client_id, order)
        elif name == "amend refused":
            order.asked = (0, 0)
            assert self.orders.evidence(client_id, AMEND_REJECTED)
            self.drop_if_done(client_id, order)
        elif name in ("canceled", "expired"):
            assert self.orders.evidence(client_id, CANCELED if name == "canceled" else EXPIRED)
            del self.twin.orders[client_id]
        else:
            number = {"accepted": ACCEPTED, "armed": ARMED, "triggering": TRIGGERING, "lost": LOST,
                      "sent": CANCEL_SENT, "cancel refused": CANCEL_REJECTED}[name]  # fmt: skip
            assert self.orders.evidence(client_id, number)
            order.triggered |= name in ("accepted", "triggering")

    def amended(self, client_id, order):
        ticks, lots = order.asked if order.asked[1] else (order.ticks, order.lots)
        if self.orders.amended(client_id, ticks, lots):
            order.ticks, order.lots, order.asked = ticks, lots, (0, 0)
            self.drop_if_done(client_id, order)

    def drop_if_done(self, client_id, order):
        if order.filled >= max(order.lots, order.asked[1]):
            del self.twin.orders[client_id]

    def fill(self):
        client_id, order = self.some_order()
        if order is None:
            return
        lots = self.random.choice([order.leaves, self.random.randint(1, max(1, order.leaves))])
        if self.twin.hedge and order.can_only_close:
            lots = min(lots, abs(self.twin.leg(order.symbol, order.leg).lots))
        if lots == 0:
            return
        assert self.orders.fill(client_id, lots)
        order.filled += lots
        order.triggered = True
        self.drop_if_done(client_id, order)
        self.trade(order.symbol, lots if order.side == plain.BUY else -lots, order.ticks, order.leg)

    def trade(self, symbol, lots, ticks, leg):
        one = SPECS[symbol]
        amount = plain.value(one, ticks * one["tick_e8"], lots)
        fee = plain.share(abs(amount), one["taker_fee_e8"], E8) * self.random.choice([1, 1, 1, -1])
        in_coin = self.twin.coin_fee(fee)
        assert self.account.coin_fee(fee) == in_coin
        profit = self.twin.total("realised")
        assert (
            self.account.fill(symbol, lots, ticks, in_coin or fee, leg, bool(in_coin))
            == (self.twin.fill(symbol, lots, ticks, in_coin or fee, leg, bool(in_coin)) or 0)
            + self.twin.total("realised")
            - profit
        )
        self.spent += amount

    def market(self):
        symbol = self.symbol()
        leg = self.random.randrange(2) if self.twin.hedge else 0
        held = self.twin.leg(symbol, leg).lots
        lots = self.random.randint(1, MOST_LOTS[symbol]) * self.random.choice([-1, 1])
        lots = self.random.choice([lots, -held, -held * self.random.randint(1, 99) // 100, -2 * held])
        if self.twin.hedge:
            lots = max(lots, -held) if leg == 0 else min(lots, -held)
        if lots:
            self.trade(symbol, lots, self.price(symbol), leg)

    def mark(self):
        symbol = self.symbol()
        one, centre = SPECS[symbol], TICKS[symbol]
        moved = self.ticks[symbol] * self.random.randint(900, 1112) // 1000
        self.ticks[symbol] = min(max(moved, centre // 10), centre * 10)
        price = self.ticks[symbol] * one["tick_e8"] + self.random.randrange(one["tick_e8"])
        self.both("mark", symbol, price)

    def funding(self):
        symbol, leg = self.symbol(), self.random.randrange(2)
        words = symbol, self.random.randint(-300_000, 300_000), self.ticks[symbol] * SPECS[symbol]["tick_e8"], leg
        due = self.twin.funding_amount(*words)
        assert self.account.funding_amount(*words) == due
        self.both("pay_funding", symbol, due, leg)

    def transfer(self):
        asset = self.random.choice([0, *COINS])
        worth = self.random.randint(-200_000, 250_000) * E8
        amount = worth if asset == 0 else worth // COINS[asset][1]
        if asset and self.random.random() < 0.95:
            amount = max(amount, -self.twin.coins[asset].wallet)
        self.both("transfer", amount, asset)
        self.spot[asset] -= amount

    def index(self, asset=None):
        asset = asset or self.random.choice(list(COINS))
        self.both("index", asset, COINS[asset][1] * self.random.randint(E8 // 2, 2 * E8))

    def move_margin(self):
        symbol, leg = self.symbol(), self.random.randrange(2)
        given = self.twin.leg(symbol, leg).isolated
        amount = self.random.choice([self.random.randint(-(10**13), 10**13), -given // 10, -given, given // 10, 0])
        words = symbol, amount, leg
        assert self.account.move_margin(*words) == self.twin.move_margin(*words)

    def leverage(self):
        symbol, leverage = self.symbol(), self.random.choice([0, 1, 2, 3, 5, 10, 20, 50, 75, 100, 150, 151])
        assert self.account.set(symbol, Setting.LEVERAGE, leverage) == self.twin.set_leverage(symbol, leverage)

    def margin_type(self):
        symbol, isolated = self.symbol(), self.random.random() < (0.6 if self.apart else 0.02)
        if self.random.random() < 0.8:
            self.clear(symbol)
        assert self.account.set(symbol, Setting.ISOLATED, isolated) == self.twin.set_isolated(symbol, isolated)

    def hedge(self):
        hedge = self.random.random() < 0.5
        for symbol in range(len(SPECS) if self.random.random() < 0.8 else 1):
            self.clear(symbol)
        assert self.account.set(0, Setting.HEDGE_MODE, hedge) == self.twin.set_hedge(hedge)

    def multi_assets(self):
        multi = self.random.random() < (0.3 if self.apart else 0.7)
        if self.random.random() < 0.7:
            for symbol in range(len(SPECS)):
                self.clear(symbol, position=False)
        assert self.account.set(0, Setting.MULTI_ASSETS, multi) == self.twin.set_multi_assets(multi)

    def fee_coin(self):
        self.twin.fee_coin = self.random.random() < 0.5
        assert self.account.set(0, Setting.FEE_COIN, self.twin.fee_coin) == 0

    def take_over(self):
        if self.twin.legs():
            symbol, leg = self.random.choice(self.twin.legs())
            held = self.twin.leg(symbol, leg).lots
            lots = self.random.choice([0, held // 2]) if abs(held) > 1 else 0
            price = max(1, self.account.bankruptcy(symbol, leg))
            price = min(price, 100 * self.ticks[symbol] * SPECS[symbol]["tick_e8"])
            self.spent -= plain.value(SPECS[symbol], price, lots or held)
            self.both("take_over", symbol, price, self.random.randint(0, 10**10), leg, lots)

    def told(self):
        """Take over what the venue says, which need not be what it would take from us now."""
        symbol = self.symbol()
        setting, value = self.random.choice(
            [(Setting.LEVERAGE, 0), (Setting.LEVERAGE, self.random.randint(1, 200)), (Setting.ISOLATED, 0),
             (Setting.ISOLATED, int(self.apart)), (Setting.MULTI_ASSETS, int(not self.apart))]
        )  # fmt: skip
        self.account.told(symbol, setting, value)
        self.twin.told(symbol, {Setting.LEVERAGE: "leverage", Setting.ISOLATED: "isolated"}.get(setting), value)

    def flatten(self):
        self.clear(self.symbol())

    def clear(self, symbol, position=True):
        """Cancel a symbol's orders and close its legs."""
        for client_id in [k for k, order in self.twin.orders.items() if order.symbol == symbol]:
            assert self.orders.evidence(client_id, CANCELED)
            del self.twin.orders[client_id]
        for leg in (0, 1) if position else ():
            if self.twin.leg(symbol, leg).lots:
                self.trade(symbol, -self.twin.leg(symbol, leg).lots, self.ticks[symbol], leg)

    def both(self, name, *words):
        getattr(self.account, name)(*words)
        getattr(self.twin, name)(*words)

    # Agreement.

    def agree(self):
        account, twin = self.account, self.twin
        assert account.recompute() == []
        expected = twin.fields()
        assert {name: getattr(account, name) for name in expected} == expected
        assert account.available() == max(0, twin.available)
        self.is_conserved()
        for k, margin_type in enumerate(twin.isolated):
            margins = account.margins_of(k)
            assert (margins["leverage"], margins["isolated"]) == (twin.leverage[k], margin_type)
            assert margins["open_orders"] == sum(order.symbol == k for order in twin.orders.values())
            for leg in (0, 1):
                assert account.position(k, leg) == twin.leg(k, leg).fields()
        if self.steps % 5 == 0:
            self.prices_agree()

    def is_conserved(self):
        """Check every asset: what came in, less what was paid, is there to the last unit."""
        account = self.account
        cash = START + account.transfers_e8 + account.funding_e8 - account.fees_e8 - self.spent
        assert account.wallet_e8 == cash + account.cost_e8
        assert account.transfers_e8 == -self.spot[0] == -account.spot()
        for asset in COINS:
            coin = account.asset(asset)
            assert coin["wallet_e8"] + coin["spot"] + coin["fees_e8"] == 0
            assert coin["spot"] == self.spot[asset]
            assert (coin["wallet_e8"], coin["fees_e8"]) == (self.twin.coins[asset].wallet, self.twin.coins[asset].fees)

    def prices_agree(self):
        ratio = self.twin.ratio
        if ratio is None:
            assert self.account.margin_ratio() == NOTHING_LEFT
        else:
            assert abs(self.account.margin_ratio() - ratio * E8) <= Fraction(1, 2)
        for symbol, leg in self.twin.legs():
            longs, shorts, cost, room = self.twin.behind(symbol, leg)
            if not (longs > shorts > 0 and plain.is_never_safe(SPECS[symbol], longs, shorts, cost, room)):
                exact = plain.exact_liquidation(SPECS[symbol], longs, shorts, cost, room)
                near(self.account.liquidation(symbol, leg), exact)
            near(self.account.bankruptcy(symbol, leg), max(Fraction(1), self.twin.bankruptcy(symbol, leg)))


def near(found, exact):
    """Check a price against the exact one, half a unit of rounding apart at most; 0 is none."""
    if exact is None or exact >= NOTHING_LEFT:
        assert found == 0 or found >= NOTHING_LEFT - 1
    else:
        assert abs(found - exact) <= (1 if exact < 2 else Fraction(1, 2)), (found, float(exact))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_no_step_makes_the_account_differ_from_its_twin(random, steps):
    pair = Pair(random)
    for _ in range(steps):
        pair.step()


@pytest.mark.parametrize("seed", range(3))
def test_the_account_is_its_twin_on_a_random_walk(seed):
    walk(seed, 250)


@pytest.mark.slow
@settings(max_examples=125, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_no_longer_sequence_of_steps_makes_the_account_differ(random):
    pair = Pair(random)
    for _ in range(40):
        pair.step()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
def test_the_account_is_its_twin_on_a_long_random_walk(seed):
    walk(seed, STEPS // SEEDS)


def walk(seed, steps):
    """Walk at random, beginning anew every 400 steps so that no walk ends in ruin; return the last pair."""
    random = Random(seed)
    pair = Pair(random)
    for k in range(steps):
        if k % 400 == 399:
            pair = Pair(random)
        pair.step()
    return pair
