"""Random stories of orders and money over the wire: every answer and every event against the plain twins.

A story is one exchange whose time stands still, three accounts with keys, and steps by chance: a request by HTTP or by
the WebSocket request API, a new index, time. After each the event stream has been heard to its end, and then

- the book's twin has said beforehand who fills whom, in which order, and why an order expires;
- the account's twin, fed from the events and answers alone, agrees with what the exchange answers about money;
- the stream alone has rebuilt the open orders, positions and wallets that the exchange answers;
- answers to requests, lists of trades and of income say what the stream said.

In the end the history is proved. ``AUTOTRADER_WIRE_STEPS=100000`` makes the stories that long in all.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter, deque
from fractions import Fraction
from pathlib import Path
from random import Random

import orjson
import pytest
import uvloop
from loopback import Client, Ear, Line, World, account
from plain import account as plain
from plain.account import E8, share, value
from plain.market import Asked, Market
from plain.matching import FOK, GTX
from plain.mirror import OPEN, Mirror, same_algo, same_order, units

from autotrader.adapters.loopback.codes import Refusal
from autotrader.adapters.loopback.proof import check
from autotrader.instruments import load, specs

STEPS = int(os.environ.get("AUTOTRADER_WIRE_STEPS", "20000"))
STORY = 1_000  # steps of one exchange
NAMES = ["BTCUSDT", "DOGEUSDT"]
SPECS = specs(NAMES, table=load(), fees=(20_000, 50_000), leverage=5)[0]
PRICES = [60_000 * E8, 15_000_000]
COINS = {1: ("BNB", 600), 2: ("USDC", 1), 3: ("BTC", 60_000), 4: ("ETH", 3_000)}
ASSETS = ("USDT", "BNB", "USDC", "BTC", "ETH")
TIFS = ("GTC", "IOC", "GTX", "FOK", "GTD")
STPS = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
SIDES, LEGS = ("BUY", "SELL"), ("LONG", "SHORT")
SECOND_NS = 10**9
WALLETS = (4_000, 30_000, 200_000)
EVERYTHING = [
    "NEW", "TRADE", "CANCELED", "EXPIRED", "AMENDMENT", "CALCULATED", "DEPOSIT", "WITHDRAW", "FUNDING_FEE",
    "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE", "MARGIN_CALL", "algo TRIGGERED", "algo FINISHED", "algo REJECTED",
    "algo EXPIRED", -2019, -2021, -2022, -4047, -4048, -4067, -4116, -4164, -4168, -4170, -5021, -5022, -5027, -5040,
]  # fmt: skip
PAGE = 1_000  # rows of a list of trades or income
MOST_OPEN = 14  # orders that an account leaves open


def lived(seed, steps, folder):
    """Live through stories of so many steps in all, prove each, and return what happened how often."""
    counts = Counter()
    while steps > 0:
        history = folder / f"{seed}.jsonl"
        counts += tell_story(seed, min(steps, STORY), history)
        report = check(history)
        assert report.holds, [one.sentence() for one in report.violations]
        history.unlink()
        steps, seed = steps - STORY, seed + 1
    return counts


def test_a_short_story_over_the_wire_is_what_the_twins_say(tmp_path):
    lived(1, 500, tmp_path)


@pytest.mark.slow
def test_long_stories_over_the_wire_are_what_the_twins_say(tmp_path):
    counts = lived(1_000, STEPS, tmp_path)
    if STEPS >= 10_000:  # they went through everything that there is
        assert all(counts[name] for name in EVERYTHING), counts


def test_the_same_requests_make_the_same_history_in_another_process(tmp_path):
    files = [tmp_path / "here.jsonl", tmp_path / "there.jsonl"]
    code = "import sys, pathlib; import test_loopback_stateful as t; t.tell_story(77, 100, pathlib.Path(sys.argv[1]))"
    for file in files:
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, cwd=Path(__file__).parent)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes().count(b"\n") > 100


def tell_story(seed, steps, history):
    """Live through a story; return what happened how often."""
    return uvloop.run(_told(seed, steps, history))


async def _told(seed, steps, history):
    story = Story(seed, history)
    await story.open()
    try:
        for _ in range(steps):
            await story.step()
    finally:
        await story.close()
    return story.counts


class Holder:
    """One account: who trades with it, its twin, and what its stream says."""

    def __init__(self, number, client, setup):
        self.number, self.client = number, client
        self.twin = plain.Account(SPECS, 0)
        for asset, amount in enumerate(setup.wallets_e8):
            self.twin.transfer(amount, asset)
        self.twin.hedge, self.twin.multi_assets, self.twin.fee_coin = setup.hedge, setup.multi_assets, setup.fee_coin
        self.mirror = Mirror(multi_assets=setup.multi_assets)
        self.mirror.wallets = {ASSETS[k]: (amount, amount) for k, amount in enumerate(setup.wallets_e8) if amount}
        self.update = None  # an ACCOUNT_UPDATE whose trade comes next
        self.lite = None
        self.trades, self.income = [], []  # of this step
        self.moved = False  # margin, by request
        self.booked = 0  # the last row of the income list that was read
        self.funded = Counter()  # of this step, by symbol

    def leg_of(self, position_side):
        return int(position_side == "SHORT")

    def side_of(self, leg):
        return LEGS[leg] if self.twin.hedge else "BOTH"

    def open_names(self):
        orders = {o["c"]: o for o in self.mirror.open_orders()}
        return orders | {o["caid"]: o for o in self.mirror.open_algos()}


class Story:
    """An exchange, its clients, and the twins of everything."""

    def __init__(self, seed, history):
        self.dice = dice = Random(seed)
        self.setups = [
            account(
                f"account{n}",
                (dice.choice(WALLETS) * E8, *(10 * E8 * dice.randint(0, 1) for _ in COINS)),
                hedge=dice.random() < 0.4,
                multi_assets=dice.random() < 0.25,
                fee_coin=dice.random() < 0.3,
            )
            for n in range(3)
        ]
        self.world = World(SPECS, self.setups, seed=seed, history=history)
        self.markets = [Market(spec=spec) for spec in SPECS]
        self.indices = list(PRICES)
        self.counts = Counter()
        self.steps = self.names = 0
        self.expected = deque()  # what the book's twin says comes next
        self.asked = {}  # client id -> Asked, placed in this step
        self.fired = set()  # client ids of conditional orders that have triggered in this step
        self.may_end = set()  # client ids whose cancellation was asked for
        self.amending = {}  # client id -> (lots, ticks)
        self.timers = {}  # (account, symbol) -> ms
        self.liquidated, self.closed = set(), set()  # accounts: whose orders a liquidation ended, whose legs it closed
        self.lasts = [set(), set()]  # last prices of this step, by symbol
        self.answers = []  # (holder, parameters, body), of this step
        self.gone = []  # (holder, client ids) that must have ended after it
        self.configured = []  # what the stream must say of settings
        self.marks = [{0}, {0}]  # before and after this step, by symbol
        self.next_funding = 10**18
        self.since = self.world.now_ms  # of the step before

    async def open(self):
        await self.world.open()
        port = self.world.port
        self.line = await Line.open(port)
        self.socket = await Ear.open(port, "/ws-fapi/v1?returnRateLimits=false")
        clients = [Client(self.world, n, self.line, self.socket) for n in range(3)]
        self.holders = [Holder(n, client, self.setups[n]) for n, client in enumerate(clients)]
        keys = [await client.listen_key() for client in clients]
        self.of_key = dict(zip(keys, self.holders, strict=True))
        self.ear = await Ear.open(port, "/private/stream?streams=" + "/".join(keys))
        self.world.pass_time(SECOND_NS)
        for asset, (_, price) in COINS.items():
            self.set_coin(asset, price * E8)
        for symbol, price in enumerate(PRICES):
            self.world.index(symbol, price)
        for holder in self.holders:
            _, rows = await holder.client.rest("GET", "/fapi/v1/income", limit=PAGE)
            holder.booked = max(row["tranId"] for row in rows)
        await self.settle(moved=True)

    async def close(self):
        for one in (self.ear, self.line, self.socket):
            one.close()
        await self.world.close()

    # ------------------------------------------------------------------ steps

    async def step(self):
        self.world.pass_time(self.dice.randint(1, 900) * 10**6)
        await self.do_what_is_due()
        acts = {
            self.place: 30, self.place_batch: 3, self.amend: 9, self.amend_batch: 1, self.cancel: 7,
            self.cancel_all: 1, self.cancel_batch: 1, self.place_algo: 9, self.cancel_algo: 3, self.cancel_algos: 1,
            self.move_index: 14, self.move_coin: 1, self.wait: 2, self.leverage: 3, self.margin_type: 3,
            self.position_mode: 2, self.multi_assets: 2, self.fee_coin: 1, self.move_margin: 4, self.transfer: 3,
            self.flatten: 3, self.countdown: 1,
        }  # fmt: skip
        act = self.dice.choices(list(acts), list(acts.values()))[0]
        self.steps += 1
        self.counts[act.__name__] += 1
        moved = await act(self.dice.choice(self.holders))
        await self.settle(bool(moved))

    async def send(self, holder, method, path, **params):
        """Send a request by the one way or the other; return (status, body)."""
        names = {
            ("POST", "/fapi/v1/order"): "order.place", ("PUT", "/fapi/v1/order"): "order.modify",
            ("DELETE", "/fapi/v1/order"): "order.cancel", ("POST", "/fapi/v1/algoOrder"): "algoOrder.place",
            ("DELETE", "/fapi/v1/algoOrder"): "algoOrder.cancel",
        }  # fmt: skip
        name = names.get((method, path))
        if name and self.dice.random() < 0.5:
            status, body = await holder.client.frame(name, **params)
        else:
            status, body = await holder.client.rest(method, path, **params)
        if status != 200:
            self.counts[body["code"]] += 1
        return status, body

    def symbol(self):
        return self.dice.randrange(len(SPECS))

    def price(self, symbol, spread=12):
        """Return ticks near the mark."""
        middle = self.markets[symbol].mark // SPECS[symbol]["tick_e8"]
        return max(1, middle + middle * self.dice.randint(-spread, spread) // 1000)

    def lots(self, symbol):
        lot_e8 = share(self.markets[symbol].mark, SPECS[symbol]["lot_e8"], E8)
        most = self.dice.choice([100, 1_000, 20_000, 60_000]) * E8 // lot_e8
        return self.dice.randint(1, max(1, most))

    def new_name(self):
        self.names += 1
        return f"w{self.names}"

    def leg_and_closes(self, holder, side):
        """Return (leg, whether it only closes, parameters)."""
        if holder.twin.hedge:
            leg = self.dice.randrange(2)
            return leg, side != leg, {"positionSide": LEGS[leg]}
        closes = self.dice.random() < 0.2
        return 0, closes, {"reduceOnly": "true"} if closes else {}

    def wanted(self, holder):
        """Return an order to place: (what the twin takes, parameters, what else tells whether it may be)."""
        dice, symbol, side = self.dice, self.symbol(), self.dice.randrange(2)
        leg, closes, params = self.leg_and_closes(holder, side)
        name, lots, stp = self.new_name(), self.lots(symbol), dice.choice([0, 1, 2, 2, 2, 3])
        if dice.random() < 0.01 and holder.open_names():
            name = dice.choice(list(holder.open_names()))
        tif = dice.choice([0, 0, 0, 0, 1, 2, 3, 4])
        ticks = 0 if dice.random() < 0.2 else self.price(symbol, 80 if dice.random() < 0.05 else 12)
        params |= {
            "symbol": NAMES[symbol], "side": SIDES[side], "quantity": quantity(symbol, lots), "newClientOrderId": name,
            "newOrderRespType": dice.choice(["ACK", "RESULT"]), "selfTradePreventionMode": STPS[stp],
        }  # fmt: skip
        good_till = 0
        if ticks:
            params |= {"type": "LIMIT", "price": price(symbol, ticks), "timeInForce": TIFS[tif]}
            if TIFS[tif] == "GTD":
                good_till = self.world.now_ms + 1000 * dice.choice([300, 601, 700, 5_000])
                params["goodTillDate"] = str(good_till)
        else:
            params["type"], tif = "MARKET", 0
        order = Asked(name, side, lots, ticks, 0 if tif == 4 else tif, stp=stp, leg=leg, only_closes=closes)
        return symbol, order, params, good_till

    async def place(self, holder):
        if len(holder.mirror.open_orders()) >= MOST_OPEN:
            await self.cancel_all(holder)
            return
        symbol, order, params, good_till = self.wanted(holder)
        broken = self.broken(holder, symbol, order, good_till)
        self.asked[order.client_id] = order
        status, body = await self.send(holder, "POST", "/fapi/v1/order", **params)
        self.judged(order, status, body, broken)
        if status == 200:
            self.answers.append((holder, params, body))

    async def place_batch(self, holder):
        if len(holder.mirror.open_orders()) >= MOST_OPEN:
            await self.cancel_all(holder)
            return
        batch = [self.wanted(holder) for _ in range(self.dice.randint(1, 5))]
        self.asked |= {order.client_id: order for _, order, _, _ in batch}
        texts = orjson.dumps([params for _, _, params, _ in batch]).decode()
        status, bodies = await self.send(holder, "POST", "/fapi/v1/batchOrders", batchOrders=texts)
        assert status == 200 and len(bodies) == len(batch)
        for (_, order, params, _), body in zip(batch, bodies, strict=True):
            if "code" in body:
                self.asked.pop(order.client_id, None)
                self.counts[body["code"]] += 1
            elif params["newOrderRespType"] == "ACK":  # a later one of the batch may have met it since
                assert body["clientOrderId"] == order.client_id

    def judged(self, order, status, body, broken):
        """Check that a request was refused for a rule that it breaks, and only then."""
        if status == 200:
            assert not broken, (order, broken, body)
        else:
            self.asked.pop(order.client_id, None)
            assert body["code"] in broken, (order, broken, body)

    def broken(self, holder, symbol, order, good_till):
        """Return the codes of every rule of the exchange that an order breaks."""
        spec, market, twin = SPECS[symbol], self.markets[symbol], holder.twin
        at = order.ticks * spec["tick_e8"] if order.ticks else market.mark
        held = twin.leg(symbol, order.leg).lots
        room = max(0, -order.sign * held)
        there, is_sure = market.standing(order)
        best = [maker.order.ticks for _, maker in market.best(Asked("", order.side, 1))]
        name_is_used = order.client_id in holder.open_names()
        then = twin.needed(symbol, (order.side, order.leg, value(spec, at, order.lots)))
        most = plain.max_notional(spec, twin.leverage[symbol]) // twin.leverage[symbol]
        rules = {
            -5040: bool(good_till) and good_till // 1000 * 1000 <= self.world.now_ms + 600_000,
            -4116: name_is_used,
            **self.filters(symbol, order),
            -2022: order.only_closes and (room == 0 or (twin.hedge and order.lots > room)),
            -4164: not order.only_closes and value(spec, at, order.lots) < spec["min_notional_e8"],
            -5022: order.tif == GTX and market.would_take(order),
            -5021: order.tif == FOK and (there < order.lots or (order.only_closes and order.lots > room)),
            -4131: order.ticks == 0 and bool(best) and market.is_beyond(best[0]),
            -2027: not order.only_closes and then > twin.needed(symbol) and then > most,
            -2019: not order.only_closes
            and twin.order_cost(symbol, order.side, at, order.lots, order.leg) > twin.available,
        }
        codes = {code for code, is_broken in rules.items() if is_broken}
        if order.tif == FOK and not is_sure and not codes:  # what closers in the book can fill is theirs to say
            codes = Perhaps({-5021})
        return codes

    def filters(self, symbol, order):
        spec, mark = SPECS[symbol], self.markets[symbol].mark
        at = order.ticks * spec["tick_e8"]
        most = spec["max_lots"] if order.ticks else spec["max_market_lots"]
        return {
            -4004: order.lots < spec["min_lots"],
            -4005: order.lots > most,
            -4013: 0 < order.ticks < spec["min_ticks"],
            -4002: order.ticks > spec["max_ticks"],
            -4016: order.ticks > 0 and order.side == 0 and at > mark * spec["up_e8"] // E8,
            -4024: order.ticks > 0 and order.side == 1 and at < mark * spec["down_e8"] // E8,
        }

    def change_of(self, holder):
        """Return (order, lots, ticks, parameters) of an amendment, None without an open order."""
        found = holder.mirror.open_orders()
        if not found:
            return None
        o = self.dice.choice(found)
        symbol = NAMES.index(o["s"])
        lots, ticks = lots_of(symbol, o["q"]), ticks_of(symbol, o["p"])
        if self.dice.random() < 0.9:
            ticks = self.price(symbol)
        if self.dice.random() < 0.6:
            lots = self.lots(symbol)
        params = {
            "symbol": o["s"], "side": o["S"], "origClientOrderId": o["c"], "quantity": quantity(symbol, lots),
            "price": price(symbol, ticks),
        }  # fmt: skip
        return o, lots, ticks, params

    async def amend(self, holder):
        change = self.change_of(holder)
        if change is None:
            return
        o, lots, ticks, params = change
        broken = self.broken_change(holder, o, lots, ticks)
        self.amending[o["c"]] = lots, ticks
        status, body = await self.send(holder, "PUT", "/fapi/v1/order", **params)
        self.amending = self.amending if status == 200 else {}
        if status == 200:
            assert not broken, (o, lots, ticks, broken)
            self.answers.append((holder, {}, body))
        else:
            assert body["code"] in broken, (o, lots, ticks, broken, body)

    def broken_change(self, holder, o, lots, ticks):
        """Return the codes of every rule that an amendment breaks."""
        twin, symbol, mine = holder.twin, NAMES.index(o["s"]), holder.twin.orders[o["i"]]
        spec, side, at = SPECS[symbol], SIDES.index(o["S"]), ticks * SPECS[symbol]["tick_e8"]
        rest = lots - mine.filled
        rules = {
            -5027: (lots, ticks) == (mine.lots, mine.ticks),
            **self.filters(symbol, Asked("", side, lots, ticks)),
        }
        if mine.can_only_close:
            room = max(0, (1 if side else -1) * twin.leg(symbol, mine.leg).lots)
            rules[-2022] = twin.hedge and rest > room
        else:
            rules[-5029] = value(spec, at, lots) < spec["min_notional_e8"]
            if rest > 0:
                del twin.orders[o["i"]]
                then = twin.needed(symbol, (side, mine.leg, value(spec, at, rest)))
                most = plain.max_notional(spec, twin.leverage[symbol]) // twin.leverage[symbol]
                rules[-2027] = then > twin.needed(symbol) and then > most
                rules[-2019] = twin.order_cost(symbol, side, at, rest, mine.leg) > twin.available
                twin.orders[o["i"]] = mine
        return {code for code, is_broken in rules.items() if is_broken}

    async def amend_batch(self, holder):
        changes = [change for change in (self.change_of(holder) for _ in range(3)) if change]
        changes = list({o["c"]: (o, lots, ticks, params) for o, lots, ticks, params in changes}.values())
        if not changes:
            return
        self.amending = {o["c"]: (lots, ticks) for o, lots, ticks, _ in changes}
        texts = orjson.dumps([params for _, _, _, params in changes]).decode()
        status, bodies = await self.send(holder, "PUT", "/fapi/v1/batchOrders", batchOrders=texts)
        assert status == 200 and len(bodies) == len(changes)
        for (o, *_), body in zip(changes, bodies, strict=True):
            if "code" in body:
                del self.amending[o["c"]]

    async def cancel(self, holder):
        found = holder.mirror.open_orders()
        if not found or self.dice.random() < 0.05:
            ended = {"symbol": NAMES[0], "origClientOrderId": f"w{self.dice.randint(1, self.names + 1)}"}
            if ended["origClientOrderId"] in holder.open_names():
                return
            status, body = await self.send(holder, "DELETE", "/fapi/v1/order", **ended)
            assert (status, body["code"]) == (400, -2011)
            return
        o = self.dice.choice(found)
        named = self.dice.choice([{"orderId": o["i"]}, {"origClientOrderId": o["c"]}])
        self.may_end.add(o["c"])
        status, body = await self.send(holder, "DELETE", "/fapi/v1/order", symbol=o["s"], **named)
        assert (status, body["status"]) == (200, "CANCELED")
        self.answers.append((holder, {}, body))

    async def cancel_all(self, holder):
        symbol = self.symbol()
        self.may_end |= {o["c"] for o in holder.mirror.open_orders() if o["s"] == NAMES[symbol]}
        status, _ = await self.send(holder, "DELETE", "/fapi/v1/allOpenOrders", symbol=NAMES[symbol])
        assert status == 200
        self.gone.append((holder, self.may_end))

    async def cancel_batch(self, holder):
        symbol = self.symbol()
        found = [o for o in holder.mirror.open_orders() if o["s"] == NAMES[symbol]][:10]
        if not found:
            return
        self.may_end |= {o["c"] for o in found}
        listed = orjson.dumps([o["i"] for o in found]).decode()
        status, bodies = await self.send(
            holder, "DELETE", "/fapi/v1/batchOrders", symbol=NAMES[symbol], orderIdList=listed
        )
        assert status == 200
        self.answers += [(holder, {}, body) for body in bodies]

    async def countdown(self, holder):
        symbol, ms = self.symbol(), self.dice.choice([0, 500, 2_000])
        status, _ = await self.send(
            holder, "POST", "/fapi/v1/countdownCancelAll", symbol=NAMES[symbol], countdownTime=ms
        )
        assert status == 200
        self.timers[holder.number, symbol] = self.world.now_ms + ms if ms else 10**18

    async def do_what_is_due(self):
        """Let timers, good-till dates and funding stamps that have passed happen before the step, not within it."""
        has_ended = self.due_timers()
        now = self.world.now_ms
        ends = [o["gtd"] for holder in self.holders for o in holder.mirror.open_orders() if o["gtd"]]
        is_due = any(end <= now for end in ends) or now >= self.next_funding
        for symbol, index in enumerate(self.indices if is_due else ()):
            self.world.index(symbol, index)
        if is_due or has_ended:
            await self.settle(is_due)

    def due_timers(self):
        """Expect what the timers that have run out cancel; return whether there are any."""
        over = [key for key, due in self.timers.items() if due <= self.world.now_ms]
        for number, symbol in over:
            holder = self.holders[number]
            named = {o["c"] for o in holder.mirror.open_orders() if o["s"] == NAMES[symbol]}
            self.may_end |= named
            self.gone.append((holder, named))
            del self.timers[number, symbol]
        return bool(over)

    # Conditional orders.

    async def place_algo(self, holder):
        dice, symbol, side = self.dice, self.symbol(), self.dice.randrange(2)
        if len(holder.mirror.open_algos()) >= MOST_OPEN:
            await self.cancel_algos(holder)
            return
        _, closes, params = self.leg_and_closes(holder, side)
        kind = dice.choice(["STOP", "STOP_MARKET", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
                            "TRAILING_STOP_MARKET"])  # fmt: skip
        by_mark = dice.random() < 0.5
        params |= {
            "algoType": "CONDITIONAL", "symbol": NAMES[symbol], "side": SIDES[side], "type": kind,
            "clientAlgoId": self.new_name(), "workingType": "MARK_PRICE" if by_mark else "CONTRACT_PRICE",
            "priceProtect": dice.choice(["false", "false", "true"]),
        }  # fmt: skip
        if kind == "TRAILING_STOP_MARKET":
            params["callbackRate"] = dice.choice(["0.5", "1", "2.5"])
        else:
            params["triggerPrice"] = price(symbol, self.price(symbol, 25))
        if kind in ("STOP", "TAKE_PROFIT"):
            params |= {"price": price(symbol, self.price(symbol, 25)), "timeInForce": dice.choice(TIFS[:4])}
        if kind in ("STOP_MARKET", "TAKE_PROFIT_MARKET") and (closes or dice.random() < 0.2):
            params.pop("reduceOnly", None)
            params["closePosition"] = "true"
        else:
            params["quantity"] = quantity(symbol, self.lots(symbol))
        status, body = await self.send(holder, "POST", "/fapi/v1/algoOrder", **params)
        if status == 200:
            self.answers.append((holder, params, body))
        else:
            assert body["code"] in (-2021, -4061, -4137, -4138, -4005, -4004, -4013), body

    async def cancel_algo(self, holder):
        found = holder.mirror.open_algos()
        if not found:
            return
        o = self.dice.choice(found)
        named = self.dice.choice([{"algoId": o["aid"]}, {"clientAlgoId": o["caid"]}])
        self.may_end.add(o["caid"])
        status, body = await self.send(holder, "DELETE", "/fapi/v1/algoOrder", **named)
        assert (status, body["algoId"]) == (200, o["aid"])

    async def cancel_algos(self, holder):
        symbol = self.symbol()
        self.may_end |= {o["caid"] for o in holder.mirror.open_algos() if o["s"] == NAMES[symbol]}
        status, _ = await self.send(holder, "DELETE", "/fapi/v1/algoOpenOrders", symbol=NAMES[symbol])
        assert status == 200
        self.gone.append((holder, self.may_end))

    # The market and time.

    async def move_index(self, _):
        self.new_index(self.symbol(), self.dice.choice([10, 10, 10, 40]))
        return True

    def new_index(self, symbol, spread):
        centre = PRICES[symbol]
        moved = self.indices[symbol] * (1000 + self.dice.randint(-spread, spread)) // 1000
        self.indices[symbol] = min(max(moved, centre * 7 // 10), centre * 14 // 10)
        self.world.index(symbol, self.indices[symbol])

    async def move_coin(self, _):
        asset = self.dice.choice(list(COINS))
        self.set_coin(asset, COINS[asset][1] * self.dice.randint(8 * E8 // 10, 12 * E8 // 10))
        return True

    def set_coin(self, asset, price_e8):
        self.world.coin(asset, price_e8)
        for holder in self.holders:
            holder.twin.index(asset, price_e8)

    async def wait(self, _):
        """Let time go by to what becomes due: a good-till date, or the next funding."""
        to_funding_ms = self.next_funding + 1 - self.world.now_ms
        self.world.pass_time(self.dice.choice([700 * SECOND_NS, to_funding_ms * 10**6]))
        self.due_timers()
        for symbol in range(len(SPECS)):
            self.new_index(symbol, 5)
        return True

    # Settings and money.

    async def leverage(self, holder):
        symbol, leverage = self.symbol(), self.dice.choice([1, 2, 3, 5, 10, 20, 50, 75, 100, 150, 151])
        code = holder.twin.set_leverage(symbol, leverage)
        found = await self.send(holder, "POST", "/fapi/v1/leverage", symbol=NAMES[symbol], leverage=leverage)
        self.same_code(found, code)
        if code == 0:
            assert found[1]["leverage"] == leverage
            self.configured.append(("leverage", holder, NAMES[symbol], leverage))

    async def margin_type(self, holder):
        symbol, isolated = self.symbol(), self.dice.random() < 0.6
        code = holder.twin.set_isolated(symbol, isolated)
        kind = "ISOLATED" if isolated else "CROSSED"
        self.same_code(
            await self.send(holder, "POST", "/fapi/v1/marginType", symbol=NAMES[symbol], marginType=kind), code
        )

    async def position_mode(self, holder):
        hedge = self.dice.random() < 0.5
        code = holder.twin.set_hedge(hedge)
        text = str(hedge).lower()
        self.same_code(await self.send(holder, "POST", "/fapi/v1/positionSide/dual", dualSidePosition=text), code)

    async def multi_assets(self, holder):
        multi = self.dice.random() < 0.5
        code = holder.twin.set_multi_assets(multi)
        text = str(multi).lower()
        self.same_code(await self.send(holder, "POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin=text), code)
        if code == 0:
            self.configured.append(("multi", holder, "", multi))

    async def fee_coin(self, holder):
        holder.twin.fee_coin = self.dice.random() < 0.5
        text = str(holder.twin.fee_coin).lower()
        self.same_code(await self.send(holder, "POST", "/fapi/v1/feeBurn", feeBurn=text), 0)

    async def move_margin(self, holder):
        legs = [key for key in holder.twin.legs() if holder.twin.isolated[key[0]]] or [(self.symbol(), 0)]
        symbol, leg = self.dice.choice(legs)
        given = holder.twin.leg(symbol, leg).isolated
        amount = self.dice.choice([self.dice.randint(1, 10**12), given // 10, -(given // 10), -given, -given // 3])
        if amount == 0:
            return
        code = holder.twin.move_margin(symbol, amount, leg)
        holder.moved = code == 0
        self.same_code(
            await self.send(
                holder, "POST", "/fapi/v1/positionMargin", symbol=NAMES[symbol], amount=decimal(abs(amount)),
                type=1 if amount > 0 else 2, positionSide=holder.side_of(leg),
            ),
            code,
        )  # fmt: skip

    async def transfer(self, holder):
        asset = self.dice.choice([0, 0, *COINS])
        worth = self.dice.randint(-20_000, 25_000) * E8
        amount = worth if asset == 0 else worth // COINS[asset][1]
        if amount == 0:
            return
        twin = holder.twin
        there = twin.coins[asset].wallet if asset else twin.wallet - twin.total("isolated")
        lost = -amount if asset == 0 else collateral_lost(twin.coins[asset], amount)
        counts = asset == 0 or twin.multi_assets
        refused = amount < 0 and (-amount > max(0, there) or (counts and lost > max(0, twin.available)))
        try:
            self.world.server.venue.deposit(self.world.now_ns, holder.number, asset, amount)
            assert not refused
        except Refusal as no:
            assert refused and no.code == -2018

    async def flatten(self, holder):
        """Cancel everything of an account, and let another one take a position over."""
        for path in ("allOpenOrders", "algoOpenOrders"):
            for name in NAMES:
                self.may_end |= {c for c, o in holder.open_names().items() if o["s"] == name}
                await self.send(holder, "DELETE", f"/fapi/v1/{path}", symbol=name)
        await self.settle(False)
        for symbol, leg in holder.twin.legs():
            await self.hand_over(holder, symbol, leg)

    async def hand_over(self, holder, symbol, leg):
        lots = holder.twin.leg(symbol, leg).lots
        if not lots:
            return
        side, other = int(lots > 0), self.holders[(holder.number + 1) % 3]
        out = {"positionSide": LEGS[leg]} if holder.twin.hedge else {"reduceOnly": "true"}
        into = {"positionSide": LEGS[1 - side]} if other.twin.hedge else {}
        ticks = self.markets[symbol].mark // SPECS[symbol]["tick_e8"]
        for who, which, params, tif in ((other, 1 - side, into, "GTC"), (holder, side, out, "IOC")):
            leg, name = LEGS.index(params.get("positionSide", "LONG")), self.new_name()
            self.asked[name] = Asked(
                name, which, abs(lots), ticks, TIFS.index(tif), stp=2, leg=leg, only_closes=who is holder
            )
            status, _ = await self.send(
                who, "POST", "/fapi/v1/order", symbol=NAMES[symbol], side=SIDES[which], type="LIMIT", timeInForce=tif,
                quantity=quantity(symbol, abs(lots)), price=price(symbol, ticks), newClientOrderId=name, **params,
            )  # fmt: skip
            if status != 200:
                del self.asked[name]
            await self.settle(False)

    @staticmethod
    def same_code(answer, code):
        status, body = answer
        assert (0 if status == 200 else body["code"]) == code, (body, code)

    # ------------------------------------------------------------------ what the exchange says

    async def settle(self, moved):
        """Hear everything that has happened, and compare it with everything that the exchange answers."""
        heard = await self.ear.all_heard()
        if moved:
            await self.read_marks(any(one["data"].get("a", {}).get("m") == "FUNDING_FEE" for one in heard))
        touched = set()
        for one in heard:
            holder = self.of_key[one["stream"]]
            touched.add(holder.number)
            self.on_event(holder, one["data"])
        self.all_is_done()
        touched |= {holder.number for holder, _, _ in self.answers}
        for holder in self.holders:
            if moved or holder.number in touched or self.steps % 10 == 0:
                await self.agree(holder)
        self.forget()

    async def read_marks(self, with_funding):
        _, rows = await self.line.ask("GET", "/fapi/v1/premiumIndex")
        for symbol, row in enumerate(rows):
            mark = units(row["markPrice"])
            self.marks[symbol] = {self.markets[symbol].mark, mark}
            self.markets[symbol].mark = mark
            for holder in self.holders:
                holder.twin.mark(symbol, mark)
        self.next_funding = min(row["nextFundingTime"] for row in rows)
        self.fundings = {}
        if with_funding:
            _, rows = await self.line.ask("GET", "/fapi/v1/fundingRate?limit=10")
            self.fundings = {row["symbol"]: (units(row["fundingRate"]), units(row["markPrice"])) for row in rows}

    def on_event(self, holder, event):
        match event["e"]:
            case "ORDER_TRADE_UPDATE":
                self.on_order(holder, event["o"])
            case "ALGO_UPDATE":
                self.on_algo(holder, event["o"])
            case "ACCOUNT_UPDATE":
                self.on_account(holder, event["a"])
            case "TRADE_LITE":
                assert holder.lite is None
                holder.lite = event
            case "ACCOUNT_CONFIG_UPDATE" if "ac" in event:
                self.configured.remove(("leverage", holder, event["ac"]["s"], event["ac"]["l"]))
            case "ACCOUNT_CONFIG_UPDATE":
                self.configured.remove(("multi", holder, "", event["ai"]["j"]))
            case "MARGIN_CALL":
                self.on_call(holder, event)
            case other:
                raise AssertionError(other)
        holder.mirror.hear(event)

    def all_is_done(self):
        assert self.liquidated <= self.closed
        assert not self.expected and not self.asked and not self.amending and not self.configured
        for holder in self.holders:
            assert holder.update is None and holder.lite is None and not holder.moved
        for holder, names in self.gone:
            assert not names & set(holder.open_names())
        for holder, params, body in self.answers:
            if "algoId" in body:
                if holder.mirror.algos[body["algoId"]]["X"] == "NEW":
                    same_algo(body, holder.mirror.algos[body["algoId"]])
            elif params.get("newOrderRespType") == "ACK":
                assert (body["status"], units(body["executedQty"])) == ("NEW", 0)
                assert body["orderId"] in holder.mirror.orders
            else:
                same_order(body, holder.mirror.orders[body["orderId"]])

    def forget(self):
        self.asked, self.amending, self.answers, self.gone = {}, {}, [], []
        self.may_end, self.lasts = set(), [set(), set()]
        self.marks = [{market.mark} for market in self.markets]
        self.liquidated, self.closed = set(), set()
        if any(len(holder.income) >= PAGE // 2 for holder in self.holders):  # what no page held has the same stamp
            self.world.pass_time(10**6)
        self.since = self.world.now_ms
        for holder in self.holders:
            holder.mirror.forget_ended()
            holder.trades, holder.income, holder.funded = [], [], Counter()

    # Orders.

    def on_order(self, holder, o):
        symbol, happened = NAMES.index(o["s"]), o["x"]
        market, number, name = self.markets[symbol], holder.number, o["c"]
        self.counts[happened] += 1
        if happened == "NEW":
            self.on_new(holder, symbol, o)
        elif happened == "TRADE":
            words = ticks_of(symbol, o["L"]), lots_of(symbol, o["l"]), o["m"]
            if self.expected:
                assert self.expected.popleft() == (number, name, "TRADE", words)
            else:
                market.filled_by_force(number, name, words[1], words[0])
            self.lasts[symbol].add(words[0] * SPECS[symbol]["tick_e8"])
            self.book(holder, symbol, o)
        elif happened == "EXPIRED":
            self.on_expired(holder, market, o)
        elif happened == "CANCELED":
            assert not self.expected
            self.on_canceled(holder, symbol, o)
        elif happened == "AMENDMENT":
            lots, ticks = self.amending.pop(name)
            assert (lots, ticks) == (lots_of(symbol, o["q"]), ticks_of(symbol, o["p"])) and not self.expected
            mine = holder.twin.orders[o["i"]]
            mine.lots, mine.ticks = lots, ticks
            market.amend(number, name, lots, ticks)
            self.expected += market.told()
        else:
            assert happened == "CALCULATED"
            self.on_forced(holder, symbol, o)
        if o["X"] not in OPEN and happened != "CALCULATED":
            del holder.twin.orders[o["i"]]

    def on_new(self, holder, symbol, o):
        assert not self.expected
        order = self.asked.pop(o["c"], None) or self.child(holder, symbol, o)
        wire = SIDES.index(o["S"]), lots_of(symbol, o["q"]), ticks_of(symbol, o["p"])
        assert wire == (order.side, order.lots, order.ticks) and o["i"] not in holder.twin.orders
        holder.twin.orders[o["i"]] = plain.OpenOrder(
            symbol, order.leg, order.side, order.ticks, order.lots, can_only_close=order.only_closes
        )
        self.markets[symbol].submit(holder.number, order)
        self.expected += self.markets[symbol].told()

    def child(self, holder, symbol, o):
        """Return what a conditional order has become, which the stream has said before."""
        algo = next(algo for algo in holder.mirror.algos.values() if algo["ai"] == str(o["i"]))
        assert algo["X"] == "TRIGGERED" and algo["caid"] == o["c"] and algo["act"] == o["o"]
        side, leg = SIDES.index(o["S"]), holder.leg_of(o["ps"])
        closes = side != leg if holder.twin.hedge else o["R"] or o["cp"]
        tif = 0 if o["f"] == "GTD" else TIFS.index(o["f"])
        return Asked(
            o["c"], side, lots_of(symbol, o["q"]), ticks_of(symbol, o["p"]), tif, stp=STPS.index(o["V"]), leg=leg,
            only_closes=closes,
        )  # fmt: skip

    def on_expired(self, holder, market, o):
        reason = int(o["er"])
        assert o["X"] == ("EXPIRED_IN_MATCH" if reason in (1, 3) else "EXPIRED")
        if self.expected:
            assert self.expected.popleft() == (holder.number, o["c"], "EXPIRED", (reason,))
            return
        if reason == 0:
            assert 0 < o["gtd"] <= self.world.now_ms
        elif reason == 4:  # a closing by force has met an order that had nothing left to close
            assert market.room(holder.number, self.resting(holder, market, o).order) == 0
        else:
            assert reason == 5
            self.liquidated.add(holder.number)
        assert market.take_out(holder.number, o["c"])

    @staticmethod
    def resting(holder, market, o):
        return next(one for whose, one in market.resting if (whose, one.order.client_id) == (holder.number, o["c"]))

    def on_canceled(self, holder, symbol, o):
        market = self.markets[symbol]
        one = self.resting(holder, market, o)
        if o["c"] in self.amending:  # so much is done already, or it would take and must not
            lots, ticks = self.amending.pop(o["c"])
            order = Asked("", one.order.side, lots, ticks)
            takes = one.order.tif == GTX and any(maker is not one for _, maker in market.best(order))
            assert lots <= one.order.lots - one.leaves or takes
        else:
            assert o["c"] in self.may_end
        market.take_out(holder.number, o["c"])

    # Conditional orders.

    def on_algo(self, holder, o):
        symbol, twin, key = NAMES.index(o["s"]), holder.twin, ("algo", o["aid"])
        before = holder.mirror.algos.get(o["aid"], {"X": ""})["X"]
        side, leg = SIDES.index(o["S"]), holder.leg_of(o["ps"])
        self.counts[f"algo {o['X']}"] += 1
        walk = {"NEW": ("", "NEW"), "TRIGGERING": ("NEW",), "TRIGGERED": ("TRIGGERING",), "REJECTED": ("TRIGGERING",),
                "FINISHED": ("TRIGGERED",), "CANCELED": ("NEW",), "EXPIRED": ("NEW", "TRIGGERING")}  # fmt: skip
        assert before in walk[o["X"]]
        assert before != o["X"] or (o["o"], o["ia"]) == ("TRAILING_STOP_MARKET", True)  # it follows the price now
        if o["X"] == "NEW":
            twin.orders[key] = plain.OpenOrder(symbol, leg, side, 0, lots_of(symbol, o["q"]), conditional=True)
        elif before == "NEW":
            del twin.orders[key]
        if o["X"] == "TRIGGERING":
            market = self.markets[symbol]
            seen = {market.mark} if o["wt"] == "MARK_PRICE" else self.lasts[symbol] | {market.last}
            assert o["o"] == "TRAILING_STOP_MARKET" or any(sees(o, symbol, at) for at in seen)
        elif o["X"] == "FINISHED":
            child = holder.mirror.orders[int(o["ai"])]
            assert child["X"] not in OPEN
            assert (units(child["z"]), units(child["ap"])) == (units(o["aq"]), units(o["ap"]))
        elif o["X"] == "CANCELED":
            assert o["caid"] in self.may_end
        elif o["X"] == "EXPIRED" and (not o["cp"] or self.closes(twin.leg(symbol, leg).lots, side)):
            self.liquidated.add(holder.number)

    @staticmethod
    def closes(held, side):
        """Whether an order of a side would close what is held."""
        return held > 0 if side else held < 0

    # Money.

    def on_account(self, holder, a):
        twin, why = holder.twin, a["m"]
        self.counts[why] += 1
        if why == "ORDER":
            assert holder.update is None
            holder.update = a
            return
        if why in ("DEPOSIT", "WITHDRAW"):
            (row,) = a["B"]
            asset, amount = ASSETS.index(row["a"]), units(row["bc"])
            assert (amount > 0) == (why == "DEPOSIT")
            twin.transfer(amount, asset)
            holder.income.append(("TRANSFER", amount, row["a"], ""))
        elif why == "FUNDING_FEE":
            self.on_funding(holder, a)
        elif why == "MARGIN_TRANSFER":
            (row,) = a["P"]
            symbol, leg = NAMES.index(row["s"]), holder.leg_of(row["ps"])
            if not holder.moved:  # what stood behind a leg stays behind what a closing by force has left of it
                twin.leg(symbol, leg).isolated = units(row["iw"])
            holder.moved = False
        else:
            assert why == "MARGIN_TYPE_CHANGE"
        self.same_update(holder, a)

    def on_funding(self, holder, a):
        twin, symbol = holder.twin, NAMES.index(a["S"])
        legs = [leg for leg in (0, 1) if twin.leg(symbol, leg).lots]
        leg = legs[holder.funded[symbol]]
        holder.funded[symbol] += 1
        due = twin.funding_amount(symbol, *self.fundings[a["S"]], leg)
        twin.pay_funding(symbol, due, leg)
        assert units(a["B"][0]["bc"]) == due and bool(a["P"]) == twin.isolated[symbol]
        holder.income.append(("FUNDING_FEE", due, "USDT", a["S"]))

    def on_call(self, holder, event):
        """Check a margin call: the legs of a scope whose maintenance is most of what stands behind it."""
        twin = holder.twin
        self.counts["MARGIN_CALL"] += 1
        legs = [(NAMES.index(row["s"]), holder.leg_of(row["ps"])) for row in event["p"]]
        if "cw" in event:
            assert legs == [key for key in sorted(twin.legs()) if not twin.isolated[key[0]]]
            assert units(event["cw"]) == twin.wallet - twin.total("isolated")
        for key, row in zip(legs, event["p"], strict=True):
            position, at = twin.leg(*key), units(row["mp"])
            worth = value(SPECS[key[0]], at, position.lots)
            assert at in self.marks[key[0]] and lots_of(key[0], row["pa"]) == position.lots
            assert units(row["up"]) == worth - position.cost
            assert units(row["mm"]) == plain.maintenance(SPECS[key[0]], abs(worth))

    def same_update(self, holder, a):
        """Check the wallets and positions of an event against the twin at that moment."""
        twin = holder.twin
        for row in a["B"]:
            wallet = twin.wallet if row["a"] == "USDT" else twin.coins[ASSETS.index(row["a"])].wallet
            apart = twin.total("isolated") if row["a"] == "USDT" else 0
            assert (units(row["wb"]), units(row["cw"])) == (wallet, wallet - apart), (row, wallet, apart)
        for row in a["P"]:
            symbol, leg = NAMES.index(row["s"]), holder.leg_of(row["ps"])
            position = twin.leg(symbol, leg)
            assert (row["ps"] == "BOTH") != twin.hedge
            assert lots_of(symbol, row["pa"]) == position.lots
            assert units(row["ep"]) == entry(position)
            assert units(row["iw"]) == (position.isolated if twin.isolated[symbol] else 0)
            assert row["mt"] == ("isolated" if twin.isolated[symbol] else "cross")
            lots, marks = position.lots, self.marks[symbol]
            assert units(row["up"]) in [value(SPECS[symbol], at, lots) - position.cost for at in marks], (row, marks)

    def book(self, holder, symbol, o):
        """Book a fill as the stream tells it; it was announced by TRADE_LITE and by ACCOUNT_UPDATE."""
        twin, leg, spec = holder.twin, holder.leg_of(o["ps"]), SPECS[symbol]
        ticks, lots = ticks_of(symbol, o["L"]), lots_of(symbol, o["l"])
        amount = value(spec, ticks * spec["tick_e8"], lots)
        fee = share(amount, spec["maker_fee_e8" if o["m"] else "taker_fee_e8"], E8)
        coins = twin.coin_fee(fee)
        assert (o["N"], units(o["n"])) == (("BNB", coins) if coins else ("USDT", fee))
        before = twin.leg(symbol, leg).realised
        twin.fill(symbol, -lots if o["S"] == "SELL" else lots, ticks, coins or fee, leg, bool(coins))
        won = twin.leg(symbol, leg).realised - before
        assert units(o["rp"]) == won
        twin.orders[o["i"]].filled += lots
        assert units(o["z"]) == twin.orders[o["i"]].filled * spec["lot_e8"]
        assert (o["X"] == "FILLED") == (twin.orders[o["i"]].leaves == 0)
        lite = {name: holder.lite[name] for name in ("s", "q", "p", "m", "c", "S", "L", "l", "t", "i")}
        assert lite == {name: o[name] for name in lite}
        assert holder.update["m"] == "ORDER" and len(holder.update["P"]) == 1
        moves_usdt = not coins or won or twin.isolated[symbol]
        assert [row["a"] for row in holder.update["B"]] == ["USDT"] * bool(moves_usdt) + ["BNB"] * bool(coins)
        self.same_update(holder, holder.update)
        holder.update = holder.lite = None
        holder.trades.append(o)
        holder.income.append(("COMMISSION", -(coins or fee), o["N"], o["s"]))
        if won:
            holder.income.append(("REALIZED_PNL", won, "USDT", o["s"]))

    def on_forced(self, holder, symbol, o):
        """Book a closing by force. The price is on no tick, so what was won or lost tells what it came to."""
        twin, leg, spec = holder.twin, holder.leg_of(o["ps"]), SPECS[symbol]
        position, lots, won, fee = twin.leg(symbol, leg), lots_of(symbol, o["l"]), units(o["rp"]), units(o["n"])
        signed = lots if o["S"] == "BUY" else -lots
        assert position.lots * signed < 0 and lots <= abs(position.lots)
        amount = -won - share(position.cost, lots, abs(position.lots))
        low, high = (value(spec, (ticks_of(symbol, o["L"]) + k) * spec["tick_e8"], lots) for k in (0, 1))
        assert low <= abs(amount) <= high
        self.closed.add(holder.number)
        position.close(signed, amount, twin.margin_of(symbol))
        position.fees += fee
        held = self.markets[symbol].held
        held[holder.number, leg] = held.get((holder.number, leg), 0) + signed
        self.same_update(holder, holder.update)
        holder.update = None
        holder.trades.append(o)
        holder.income.append(("REALIZED_PNL", won, "USDT", o["s"]))
        if fee:
            holder.income.append(("INSURANCE_CLEAR", -fee, "USDT", o["s"]))

    # ------------------------------------------------------------------ agreement

    async def agree(self, holder):
        """Compare what the exchange answers about an account with its twin, and with what its stream has told."""
        client, symbols = holder.client, sorted({o["s"] for o in holder.trades})
        if self.dice.random() < 0.5:
            money = [client.frame(f"v2/account.{name}") for name in ("status", "position", "balance")]
        else:
            money = [client.rest("GET", f"/fapi/v3/{name}") for name in ("account", "positionRisk", "balance")]
        first = [min(o["t"] for o in holder.trades if o["s"] == name) for name in symbols]
        answers = await asyncio.gather(
            *money,
            client.rest("GET", "/fapi/v1/openOrders"),
            client.rest("GET", "/fapi/v1/openAlgoOrders"),
            client.rest("GET", "/fapi/v1/income", startTime=self.since, limit=PAGE),
            *(
                client.rest("GET", "/fapi/v1/userTrades", symbol=name, fromId=k, limit=PAGE)
                for name, k in zip(symbols, first, strict=True)
            ),
        )
        assert all(status == 200 for status, _ in answers), answers
        total, risks, balances, orders, algos, income, *trades = (body for _, body in answers)
        self.same_totals(holder, total, balances)
        self.same_positions(holder, total["positions"], risks)
        self.same_orders(holder, orders, algos)
        self.same_lists(holder, income, [row for rows in trades for row in rows])

    def same_totals(self, holder, total, balances):
        twin, cash = holder.twin, holder.twin.wallet
        fields = twin.fields()
        isolated = fields["isolated_total_e8"]
        expected = {
            "totalInitialMargin": fields["initial_total_e8"] + fields["orders_total_e8"],
            "totalMaintMargin": fields["maintenance_total_e8"],
            "totalWalletBalance": cash,
            "totalUnrealizedProfit": fields["unrealised_e8"],
            "totalMarginBalance": twin.equity,
            "totalPositionInitialMargin": fields["initial_total_e8"],
            "totalOpenOrderInitialMargin": fields["orders_total_e8"],
            "totalCrossWalletBalance": cash - isolated,
            "totalCrossUnPnl": fields["unrealised_e8"] - fields["isolated_unrealised_e8"],
            "availableBalance": max(0, twin.available),
        }
        assert {name: units(total[name]) for name in expected} == expected
        wallets = {"USDT": (cash, cash - isolated)}
        wallets |= {ASSETS[k]: (coin.wallet, coin.wallet) for k, coin in twin.coins.items() if coin.wallet}
        for rows, name in ((total["assets"], "walletBalance"), (balances, "balance")):
            found = {row["asset"]: (units(row[name]), units(row["crossWalletBalance"])) for row in rows}
            assert found == wallets, name
        told = {asset: pair for asset, pair in holder.mirror.wallets.items() if pair[0] or asset == "USDT"}
        assert told == wallets

    def same_positions(self, holder, rows, risks):
        twin = holder.twin
        legs = [(symbol, leg) for symbol in range(len(SPECS)) for leg in range(1 + twin.hedge)]
        used = {order.symbol for order in twin.orders.values()}
        legs = [key for key in legs if twin.leg(*key).lots or key[0] in used]
        for name, found in (("account", rows), ("risk", risks)):
            assert [(row["symbol"], row["positionSide"]) for row in found] == [
                (NAMES[symbol], holder.side_of(leg)) for symbol, leg in legs
            ], name
        for (symbol, leg), row, risk in zip(legs, rows, risks, strict=True):
            position = twin.leg(symbol, leg)
            apart = twin.isolated[symbol]
            expected = {
                "positionAmt": position.lots * SPECS[symbol]["lot_e8"],
                "notional": position.value,
                "maintMargin": position.maintenance,
                "isolatedWallet": position.isolated if apart else 0,
                "isolatedMargin": position.isolated + position.unrealised if apart else 0,
            }
            assert {name: units(row[name]) for name in expected} == expected
            opened = self.opened(twin, symbol, leg)
            expected |= {
                "entryPrice": entry(position),
                "markPrice": position.mark,
                "unRealizedProfit": position.unrealised,
                "positionInitialMargin": plain.initial(position.value, twin.leverage[symbol]),
                "bidNotional": opened[0],
                "askNotional": opened[1],
            }
            assert {name: units(risk[name]) for name in expected} == expected
            self.same_as_told(holder, symbol, leg, risk)
            if self.steps % 10 == 0 and position.lots:
                self.same_liquidation(twin, symbol, leg, units(risk["liquidationPrice"]))
        told = {key for key, row in holder.mirror.positions.items() if units(row["pa"])}
        assert told == {(NAMES[symbol], holder.side_of(leg)) for symbol, leg in twin.legs()}
        for symbol, market in enumerate(self.markets):
            for leg in (0, 1):
                assert market.held.get((holder.number, leg), 0) == twin.leg(symbol, leg).lots

    @staticmethod
    def opened(twin, symbol, leg):
        """Return the notionals of a leg's open buys and sells."""
        sums = [0, 0]
        for order in twin.orders.values():
            if (order.symbol, order.leg) == (symbol, leg):
                sums[order.side] += order.notional(SPECS[symbol])
        return sums

    @staticmethod
    def same_as_told(holder, symbol, leg, risk):
        told = holder.mirror.positions.get((risk["symbol"], risk["positionSide"]))
        if told is None or not holder.twin.leg(symbol, leg).lots:
            return
        assert (units(told["pa"]), units(told["ep"])) == (units(risk["positionAmt"]), units(risk["entryPrice"]))
        assert units(told["iw"]) == units(risk["isolatedWallet"])
        assert units(told["bep"]) == units(risk["breakEvenPrice"])

    @staticmethod
    def same_liquidation(twin, symbol, leg, found):
        longs, shorts, cost, room = twin.behind(symbol, leg)
        if longs > shorts > 0 and plain.is_never_safe(SPECS[symbol], longs, shorts, cost, room):
            return
        exact = plain.exact_liquidation(SPECS[symbol], longs, shorts, cost, room)
        if exact is None or exact >= 2**63 - 1:
            assert found == 0
        else:
            assert abs(found - exact) <= (1 if exact < 2 else Fraction(1, 2)), (found, float(exact))

    def same_orders(self, holder, orders, algos):
        told, waiting = holder.mirror.open_orders(), holder.mirror.open_algos()
        assert {row["orderId"] for row in orders} == {o["i"] for o in told}
        assert {row["algoId"] for row in algos} == {o["aid"] for o in waiting}
        for row in orders:
            same_order(row, holder.mirror.orders[row["orderId"]])
        for row in algos:
            same_algo(row, holder.mirror.algos[row["algoId"]])
        for o in waiting:
            symbol = NAMES.index(o["s"])
            price = self.markets[symbol].mark if o["wt"] == "MARK_PRICE" else self.markets[symbol].last
            if price and not o["pP"] and o["o"] != "TRAILING_STOP_MARKET":
                assert not sees(o, symbol, price), (o, price)
        resting = {
            one.order.client_id: one.leaves
            for market in self.markets
            for whose, one in market.resting
            if whose == holder.number
        }
        symbols = {o["c"]: NAMES.index(o["s"]) for o in told}
        assert resting == {o["c"]: lots_of(symbols[o["c"]], o["q"]) - lots_of(symbols[o["c"]], o["z"]) for o in told}

    @staticmethod
    def same_lists(holder, income, trades):
        is_whole = len(income) < PAGE
        income = [row for row in income if row["tranId"] > holder.booked]
        holder.booked = max([holder.booked, *(row["tranId"] for row in income)])
        found = [(row["incomeType"], units(row["income"]), row["asset"], row["symbol"]) for row in income]
        assert found == holder.income[: None if is_whole else len(found)], (found, holder.income)
        names = {"id": "t", "orderId": "i", "side": "S", "commissionAsset": "N", "time": "T", "maker": "m",
                 "positionSide": "ps", "symbol": "s"}  # fmt: skip
        amounts = {"price": "L", "qty": "l", "realizedPnl": "rp", "commission": "n"}
        told = [o for name in NAMES for o in [o for o in holder.trades if o["s"] == name][:PAGE]]
        assert len(trades) == len(told)
        for row, o in zip(trades, told, strict=True):
            assert {name: row[name] for name in names} == {name: o[short] for name, short in names.items()}
            assert {name: units(row[name]) for name in amounts} == {name: units(o[k]) for name, k in amounts.items()}


class Perhaps(set):
    """Codes that a request may be refused with, or not at all."""

    def __bool__(self):
        return False


def collateral_lost(coin, amount):
    """Return what equity loses when so much (negative) of a coin leaves."""
    before, after = share(coin.wallet, coin.price, E8), share(coin.wallet + amount, coin.price, E8)
    return share(before, coin.ratio, E8) - share(after, coin.ratio, E8)


def entry(position):
    return position.cost * E8 // (position.lots * position.spec["lot_e8"]) if position.lots else 0


def sees(o, symbol, price_e8):
    """Whether a price triggers a conditional order."""
    trigger = ticks_of(symbol, o["tp"]) * SPECS[symbol]["tick_e8"]
    rises = (o["S"] == "BUY") != o["o"].startswith("TAKE_PROFIT")
    return price_e8 >= trigger if rises else price_e8 <= trigger


def decimal(amount_e8):
    return f"{amount_e8 // E8}.{amount_e8 % E8:08d}"


def price(symbol, ticks):
    return decimal(ticks * SPECS[symbol]["tick_e8"])


def quantity(symbol, lots):
    return decimal(lots * SPECS[symbol]["lot_e8"])


def lots_of(symbol, text):
    return units(text) // SPECS[symbol]["lot_e8"]


def ticks_of(symbol, text):
    return units(text) // SPECS[symbol]["tick_e8"]
