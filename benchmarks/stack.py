"""The usual Python stack: orjson, sorted dictionaries, floats, urlencode, hmac.

Knows the same book, the same quotes, the same checks and the same order text as the core, written as
a Python trader writes them, and takes the shorter way wherever Python has one. Refuses to know the
core: the two meet only in the comparison of their orders.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import orjson
from sortedcontainers import SortedDict

E8 = 1e8
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1440 * MINUTE_NS
HALF_LIFE_S = 60
DEPTH_LEVELS = 20
EPSILON = 1e-6


class Book:
    """An L2 book of two sorted dictionaries, price to quantity."""

    def __init__(self) -> None:
        self.bids: SortedDict = SortedDict()
        self.asks: SortedDict = SortedDict()
        self.last_id = -1
        self.state = "awaiting"
        self.kept: list[Mapping[str, Any]] = []

    def load(self, snapshot: Mapping[str, Any]) -> bool:
        """Start from a snapshot, then apply the diffs that came before it; return whether the book is good."""
        self.bids = SortedDict((float(price), float(quantity)) for price, quantity in snapshot["bids"])
        self.asks = SortedDict((float(price), float(quantity)) for price, quantity in snapshot["asks"])
        self.last_id, self.state = snapshot["lastUpdateId"], "loaded"
        kept, self.kept = self.kept, []
        for diff in kept:
            self.update(diff)
        return self.state == "synced"

    def update(self, diff: Mapping[str, Any]) -> bool:
        """Apply a diff; return whether the book is good."""
        if self.state == "awaiting":
            self.kept.append(diff)
            return False
        if diff["u"] < self.last_id:
            return self.state == "synced"
        if diff["pu"] != self.last_id if self.state == "synced" else diff["pu"] > self.last_id:
            self.state, self.kept = "awaiting", [diff]
            return False
        _set_levels(self.bids, diff["b"])
        _set_levels(self.asks, diff["a"])
        self.last_id, self.state = diff["u"], "synced"
        if self.bids.peekitem(-1)[0] >= self.asks.peekitem(0)[0]:
            self.state = "awaiting"
        return self.state == "synced"


def _set_levels(side: SortedDict, levels: Iterable[tuple[str, str]]) -> None:
    for price, text in levels:
        quantity = float(text)
        if quantity:
            side[float(price)] = quantity
        else:
            side.pop(float(price), None)


class Stack:
    """From a message's bytes to signed orders.

    Parameters
    ----------
    spec : dict
        The instrument's integers, as the core takes them.
    limits : dict
        The gate's limits, as the core takes them.
    quoter : dict
        ``order_usdt``, ``budget_usdt``, ``requote_ns``.
    equity : float
        Starting wallet, USDT.
    epoch : int
        Upper half of the client order ids.
    key : bytes
        Secret of the account.
    mark_is_proxy : bool
        Whether the microprice stands in for a mark price that the stream does not have.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        limits: Mapping[str, Any],
        quoter: Mapping[str, float],
        equity: float,
        epoch: int,
        key: bytes,
        mark_is_proxy: bool,
    ):
        self.symbol = spec["symbol"]
        self.tick, self.lot = spec["tick_e8"] / E8, spec["lot_e8"] / E8
        self.price_digits, self.lot_digits = _digits(self.tick), _digits(self.lot)
        self.spec, self.limits, self.quoter = spec, limits, quoter
        self.brackets = [[value / E8 for value in row[:4]] for row in spec["brackets"]]
        self.key = key
        self.next_id = epoch << 32 | 1
        self.book = Book()
        self.bid = self.ask = (0.0, 0.0)
        self.touch_id = 0
        self.mark, self.mark_ns, self.book_ns = 0.0, 0, 0
        self.mark_is_proxy = mark_is_proxy
        self.wallet = self.peak = self.day_start = equity
        self.position = self.cost = 0.0
        self.day = -1
        self.halted = False
        self.open: dict[str, tuple[str, float, float]] = {}
        self.quoted = {"BUY": 0, "SELL": 0}
        self.live = {"BUY": "", "SELL": ""}
        self.trades: deque[tuple[int, float]] = deque()
        self.volume, self.first_trade = 0.0, 0
        self.sampled_second, self.sampled_mid, self.variance = 0, 0.0, 0.0
        self.sent: deque[int] = deque()
        self.tokens, self.refilled = float(limits["order_burst"]), 0
        self.recent: dict[tuple[str, float, float], int] = {}

    # What comes in.

    def on_message(self, raw: bytes, now: int) -> list[str]:
        """Take a message in; return the signed orders that it leads to."""
        message = orjson.loads(raw)
        data = message.get("data", message)
        kind = data.get("e")
        if kind == "bookTicker":
            return self.on_ticker(data, now)
        if kind == "depthUpdate":
            return self.on_depth(now) if self.book.update(data) else []
        if kind == "trade":
            self.on_trade(data, now)
        elif kind == "markPriceUpdate":
            self.on_mark(float(data["p"]), now)
        elif "lastUpdateId" in data:
            return self.on_depth(now) if self.book.load(data) else []
        return []

    def on_ticker(self, data: Mapping[str, Any], now: int) -> list[str]:
        if self.book.state != "synced" or data["u"] < self.touch_id:
            return []
        self.touch_id = data["u"]
        self.bid = float(data["b"]), float(data["B"])
        self.ask = float(data["a"]), float(data["A"])
        return self.on_touch(now)

    def on_depth(self, now: int) -> list[str]:
        if self.book.last_id < self.touch_id:
            return []
        self.touch_id = self.book.last_id
        self.bid, self.ask = self.book.bids.peekitem(-1), self.book.asks.peekitem(0)
        return self.on_touch(now)

    def on_trade(self, data: Mapping[str, Any], now: int) -> None:
        if data.get("X", "MARKET") != "MARKET":
            return
        quantity = float(data["q"])
        self.first_trade = self.first_trade or now
        self.trades.append((now, quantity))
        self.volume += quantity

    def on_touch(self, now: int) -> list[str]:
        self.book_ns = now
        (bid, bid_size), (ask, ask_size) = self.bid, self.ask
        self.sample(0.5 * (bid + ask), now // SECOND_NS)
        fair = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        if self.mark_is_proxy:
            self.on_mark(fair, now)
        return self.quote(fair, now) if self.mark else []

    def on_mark(self, mark: float, now: int) -> None:
        self.mark, self.mark_ns = mark, now
        self.watch(now)

    def on_rejects(self) -> None:
        """Take the venue's refusal of everything that is open."""
        self.open.clear()

    # What is known.

    @property
    def equity(self) -> float:
        return self.wallet + self.position * self.mark - self.cost

    def sample(self, mid: float, second: int) -> None:
        if second == self.sampled_second:
            return
        if self.sampled_mid:
            decay = 0.5 ** (1 / HALF_LIFE_S)
            change = mid / self.sampled_mid - 1.0
            self.variance = decay * self.variance + (1 - decay) * change * change / (second - self.sampled_second)
        self.sampled_second, self.sampled_mid = second, mid

    def watch(self, now: int) -> None:
        equity = self.equity
        if now // DAY_NS != self.day:
            self.day, self.day_start = now // DAY_NS, equity
        self.peak = max(self.peak, equity)
        lost = 1.0 - equity / self.peak
        if lost >= self.limits["max_drawdown_e8"] / E8 or 1.0 - equity / self.day_start >= self.share("daily_loss"):
            self.halted = True

    def share(self, name: str) -> float:
        return self.limits[f"{name}_e8"] / E8

    def minute_volume(self, now: int) -> float:
        if not self.first_trade or now - self.first_trade < MINUTE_NS:
            return self.share("assumed_minute")
        while self.trades and now - self.trades[0][0] >= MINUTE_NS:
            self.volume -= self.trades.popleft()[1]
        return self.volume * self.mark

    def depth(self, side: str) -> float:
        book = self.book
        if side == "BUY":
            return sum(islice(book.asks.values(), DEPTH_LEVELS))
        return sum(book.bids[price] for price in islice(reversed(book.bids), DEPTH_LEVELS))

    # What is wanted.

    def quote(self, fair: float, now: int) -> list[str]:
        bid = min(self.bid[0], math.floor(fair / self.tick + EPSILON) * self.tick)
        ask = max(self.ask[0], math.ceil(fair / self.tick - EPSILON) * self.tick)
        if ask - bid < self.tick / 2:
            return []
        return [*self.quote_side("BUY", bid, now), *self.quote_side("SELL", ask, now)]

    def quote_side(self, side: str, price: float, now: int) -> list[str]:
        if now - self.quoted[side] < self.quoter["requote_ns"] or self.live[side] in self.open:
            return []
        quantity = self.size(side, price)
        if quantity <= 0.0:
            return []
        self.quoted[side] = now
        if self.refusal(side, price, quantity, now):
            return []
        return [self.send(side, price, quantity, now)]

    def size(self, side: str, price: float) -> float:
        value = price * self.lot
        lots = math.floor(self.quoter["order_usdt"] / value)
        budget = math.floor(self.quoter["budget_usdt"] / value)
        held = self.position / self.lot if side == "BUY" else -self.position / self.lot
        if held < 0 and -held <= lots:
            return -held * self.lot
        return lots * self.lot if lots <= budget - held else 0.0

    # What is allowed.

    def refusal(self, side: str, price: float, quantity: float, now: int) -> str:
        """Return why an order is refused, nothing if it is not."""
        spec, limits = self.spec, self.limits
        if not spec["min_ticks"] * self.tick <= price <= spec["max_ticks"] * self.tick:
            return "price filter"
        if not spec["min_lots"] * self.lot - EPSILON <= quantity <= spec["max_lots"] * self.lot:
            return "quantity"
        if self.halted or not spec["tradable"]:
            return "halted"
        if now - self.book_ns > limits["book_stale_ns"] or now - self.mark_ns > limits["mark_stale_ns"]:
            return "stale data"
        return self.size_refusal(side, price, quantity, now) or self.flow_refusal(side, price, quantity, now)

    def size_refusal(self, side: str, price: float, quantity: float, now: int) -> str:
        equity, notional = self.equity, price * quantity
        collar = self.spec["collar_e8"] / E8
        for reference in (self.mark, 0.5 * (self.bid[0] + self.ask[0])):
            if price > reference * (1 + collar) if side == "BUY" else price < reference * (1 - collar):
                return "price collar"
        if notional < self.spec["min_notional_e8"] / E8:
            return "notional filter"
        most = min(self.share("max_order"), equity * self.share("order_equity_share") * self.share("order_leverage"))
        if notional > min(most, self.minute_volume(now) * self.share("volume_share")):
            return "order notional"
        if quantity > self.depth(side) * self.share("depth_share"):
            return "order quantity"
        return self.exposure_refusal(side, notional, quantity, equity)

    def exposure_refusal(self, side: str, notional: float, quantity: float, equity: float) -> str:
        sign = 1.0 if side == "BUY" else -1.0
        same = [order for order in self.open.values() if order[0] == side]
        worst = self.position + sign * (quantity + sum(q for _, _, q in same))
        added = notional + sum(p * q for _, p, q in same)
        exposure = abs(worst) * self.mark
        if exposure > equity * self.share("symbol_share") * self.share("strategy_leverage"):
            return "position limit"
        if exposure > equity * self.share("max_gross"):
            return "gross exposure"
        if not self.is_far_from_liquidation(worst, self.cost + sign * added, added):
            return "liquidation distance"
        fee = notional * self.spec["taker_fee_e8"] / E8
        return "margin" if exposure / self.spec["leverage"] + fee > equity else ""

    def is_far_from_liquidation(self, worst: float, cost: float, added: float) -> bool:
        wallet = self.wallet - added * self.spec["taker_fee_e8"] / E8
        for floor, cap, ratio, amount in self.brackets:
            sign = 1.0 if worst > 0 else -1.0
            price = (wallet + amount - cost) / (abs(worst) * ratio - worst)
            if floor < abs(worst) * price <= cap:
                break
        if price <= 0.0 or sign * (self.mark - price) / self.mark >= 1.0:
            return True
        atr = self.mark * max(self.limits["atr_floor"], math.sqrt(self.variance) * 60.0)
        distance = sign * (self.mark - price) / self.mark
        least = max(self.share("liquidation_distance"), self.limits["liquidation_atr"] * atr / self.mark)
        return distance >= least

    def flow_refusal(self, side: str, price: float, quantity: float, now: int) -> str:
        limits = self.limits
        if len(self.open) >= min(limits["max_orders_symbol"], limits["max_orders_total"]):
            return "open orders"
        if now - self.recent.get((side, price, quantity), -MINUTE_NS) <= limits["duplicate_ns"]:
            return "duplicate"
        rate = min(limits["orders_per_second"], limits["strategy_orders_per_second"])
        self.tokens = min(limits["order_burst"], self.tokens + (now - self.refilled) * rate / SECOND_NS)
        self.refilled = now
        while self.sent and now - self.sent[0] >= MINUTE_NS:
            self.sent.popleft()
        if self.tokens < 1.0 or len(self.sent) >= limits["orders_per_minute"]:
            return "order rate"
        self.tokens -= 1.0
        self.sent.append(now)
        self.recent[side, price, quantity] = now
        return ""

    # What goes out.

    def send(self, side: str, price: float, quantity: float, now: int) -> str:
        client_id = f"at{self.next_id:016x}"
        self.next_id += 1
        self.open[client_id] = (side, price, quantity)
        self.live[side] = client_id
        query = urlencode(
            {
                "newClientOrderId": client_id,
                "price": f"{price:.{self.price_digits}f}",
                "quantity": f"{quantity:.{self.lot_digits}f}",
                "selfTradePreventionMode": "EXPIRE_MAKER",
                "side": side,
                "symbol": self.symbol,
                "timeInForce": "GTX",
                "timestamp": now // 1_000_000,
                "type": "LIMIT",
            }
        )
        signature = hmac.new(self.key, query.encode(), hashlib.sha256).hexdigest()
        return f"{query}&signature={signature}"


def _digits(step: float) -> int:
    return max(0, round(-math.log10(step)))
