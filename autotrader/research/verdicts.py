"""Verdicts: what each of the gate's rules looked at, and how that stood to its limit.

Knows the figures of every rule that the engine's state can give at the moment at which an order is asked for. Refuses
to judge: the verdict is the gate's, in the core. A figure that the state does not show is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autotrader.views.view import E8, rounded
from core_ext.account import Account, maintenance_margin, max_notional
from core_ext.orders import Orders
from core_ext.quality import Quality
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Gate, Instruments, OrderState, OrderType, Reason, Side, TimeInForce

__all__ = ["SETTINGS", "Measure", "Scene", "measures"]

SECONDS = 60
MINUTE_NS = SECONDS * 10**9
DAY_NS = 86_400 * 10**9
ENTRIES_NS = 600 * 10**9
SHORT_LEG = 2
CONDITIONAL = frozenset(OrderType) - {OrderType.LIMIT, OrderType.MARKET}

SETTINGS: Mapping[Reason, tuple[str, ...]] = {
    Reason.R1_PRICE_COLLAR: ("price_collar", "price_collar_exit"),
    Reason.R2_CHASE: ("max_reprices", "max_drift"),
    Reason.R3_ORDER_NOTIONAL: (
        "max_order_notional_usdt", "max_order_equity_share", "volume_share", "assumed_minute_volume_usdt",
    ),
    Reason.R4_ORDER_QUANTITY: ("max_depth_share",),
    Reason.R5_POSITION_LIMIT: ("max_symbol_share", "strategy_leverage"),
    Reason.R6_GROSS_EXPOSURE: ("max_gross", "max_net", "max_cluster"),
    Reason.R7_LEVERAGE: ("max_symbol_leverage",),
    Reason.R8_BRACKET: ("bracket_share",),
    Reason.R9_LIQUIDATION_DISTANCE: ("min_liquidation_distance", "liquidation_atr", "atr_floor"),
    Reason.R10_MARGIN_RATIO: ("max_margin_ratio", "margin_ratio_reduce"),
    Reason.R11_ORDER_RATE: ("orders_per_second", "order_burst", "orders_per_minute", "strategy_orders_per_second"),
    Reason.R12_WEIGHT: ("weight_share",),
    Reason.R13_MESSAGE_QUALITY: ("quality_orders", "quality_alarm", "quality_stop"),
    Reason.R14_REPEATED: ("repeated_entries", "losing_trips"),
    Reason.R15_DUPLICATE: ("duplicate_window_s",),
    Reason.R17_FAT_FINGER: ("fat_finger",),
    Reason.R18_STALE_DATA: ("book_stale_s", "mark_stale_s", "candle_stale_intervals"),
    Reason.R19_UNKNOWN_ORDERS: ("max_unknown",),
    Reason.R20_REDUCE_ONLY: ("max_drawdown",),
    Reason.R21_DAILY_LOSS: ("daily_loss",),
    Reason.R22_DRAWDOWN_KILL: ("max_drawdown",),
    Reason.R23_LOSS_RATE: ("loss_rate", "loss_pause_min"),
    Reason.R24_VOLATILITY: ("volatility_collars", "spread_median", "spread_floor_bps", "volatility_pause_min"),
    Reason.R25_OPEN_ORDERS: ("max_orders_symbol", "max_orders_total"),
    Reason.R26_UNPROTECTED: ("unprotected_s",),
    Reason.R27_FUNDING_COST: ("funding_window_min",),
    Reason.R28_SYMBOL_STATUS: ("delist_h",),
    Reason.R29_NOT_ALLOWED: ("entry_sides", "first_minute_utc", "last_minute_utc"),
    Reason.HEADROOM_SPENT: ("headroom", "headroom_s"),
    Reason.HEADROOM_STALE: ("headroom", "headroom_s"),
}  # fmt: skip
"""Settings of the configuration's table [risk] that a rule looks at."""


@dataclass(frozen=True)
class Measure:
    """One figure of a rule, and the limit that it was held against.

    Attributes
    ----------
    name : str
        What was measured.
    value, limit : int or None
        In 1e-8 for money, prices, quantities, shares and ratios; ns for times; None for what the state does not show.
    unit : str
        usdt, price, quantity, share, ratio, ns, count, gate (`core_ext.types.Gate`, 0: none) or yes (1 yes, 0 no).
    allows : str
        "most" or "least": what the limit is to a value that may pass; "below" where exactly the limit is refused.
    """

    name: str
    value: int | None
    limit: int | None
    unit: str
    allows: str = "most"

    @property
    def is_broken(self) -> bool:
        """Whether the value is known to be on the wrong side of the limit."""
        if self.value is None or self.limit is None:
            return False
        if self.allows == "most":
            return self.value > self.limit
        return self.value < self.limit if self.allows == "least" else self.value >= self.limit


@dataclass(frozen=True)
class Scene:
    """The state in which an order is asked for.

    Attributes
    ----------
    limits : mapping
        The gate's (`autotrader.research.replay.limits`).
    request : mapping
        The order as the gate is asked about it (`core_ext.risk`, ``request_t``).
    now : int
        ns.
    """

    instruments: Instruments
    account: Account
    orders: Orders
    markets: Markets
    gate: RiskGate
    quality: Quality | None
    limits: Mapping[str, Any]
    request: Mapping[str, int]
    now: int

    @property
    def symbol(self) -> int:
        """Index of the order's symbol."""
        return self.request["symbol"]

    @property
    def side(self) -> int:
        """`core_ext.types.Side` of the order."""
        return self.request["side"]

    @property
    def leg(self) -> int:
        """Leg that the order is of: 1 for the short one of hedge mode."""
        return int(self.request["position_side"] == SHORT_LEG)

    @property
    def spec(self) -> dict[str, Any]:
        """The instrument, as its filters are now."""
        return self.instruments.spec(self.symbol)

    @property
    def market(self) -> dict[str, Any]:
        """The market, as it is now."""
        return self.markets.market(self.symbol)

    @property
    def watched(self) -> dict[str, Any]:
        """What the gate remembers of the symbol."""
        return self.gate.watching(self.symbol)

    @property
    def equity_e8(self) -> int:
        """Equity, 1e-8 USDT."""
        return self.account.equity()

    @property
    def price_e8(self) -> int:
        """Price at which the order counts as exposure, 1e-8; 0 while there is none."""
        ticks = max(self.request["price_ticks"], self.request["trigger_ticks"])
        if not ticks:
            ticks = self.market["bid_ticks" if self.side else "ask_ticks"]
        return int(ticks * self.spec["tick_e8"])

    @property
    def mid_e8(self) -> int:
        """Middle of the touch, 1e-8; 0 without two sides."""
        market = self.market
        if not (market["bid_ticks"] and market["ask_ticks"]):
            return 0
        return int((market["bid_ticks"] + market["ask_ticks"]) * self.spec["tick_e8"] // 2)

    def quantity_e8(self, lots: int) -> int:
        """Return lots as a quantity, 1e-8."""
        return int(lots * self.spec["lot_e8"])

    def notional_e8(self, price_e8: int, lots: int) -> int:
        """Return a notional, 1e-8 USDT."""
        return rounded(price_e8 * lots * int(self.spec["lot_e8"]), E8)

    def worst_lots(self, side: int, with_order: bool) -> int:
        """Return the largest position that a side's open orders can make, with this order or without it, lots."""
        leg = side if self.account.hedge else 0
        opened = self.orders.exposure(self.symbol, side, leg)
        more = self.request["lots"] if with_order and side == self.side and leg == self.leg else 0
        sign = -1 if side == Side.SELL else 1
        held = self.account.position(self.symbol, leg)["lots"]
        return max(abs(held + sign * (opened["lots"] + more)), opened["lots"] - opened["reducing"] + more)

    def worst_e8(self, with_order: bool) -> int:
        """Return the notional at the mark of the largest position that the symbol can come to, 1e-8 USDT."""
        lots = [self.worst_lots(side, with_order) for side in (Side.BUY, Side.SELL)]
        return self.notional_e8(self.market["mark_e8"], sum(lots) if self.account.hedge else max(lots))

    def shrinks(self) -> bool:
        """Return whether the order can only make its leg smaller."""
        held = self.account.position(self.symbol, self.leg)["lots"]
        return held != 0 and (held > 0) == (self.side == Side.SELL)

    def reduced_e8(self, most_e8: int) -> int:
        """Return a limit as the drawdown ladder and suspect data leave it."""
        if self.gate.ladder == 1:
            most_e8 >>= 1
        if self.quality is not None and self.quality.is_conservative(self.symbol, self.now):
            most_e8 = rounded(most_e8 * self.limits["conservative_size_e8"], E8)
        return most_e8


def measures(scene: Scene, reason: Reason) -> list[Measure]:
    """Return what a rule looks at, as it stands.

    Parameters
    ----------
    scene : Scene
        Before the order is held.
    reason : Reason
        The gate's verdict.

    Returns
    -------
    list of Measure
        Empty for a rule without figures.
    """
    rule = RULES.get(reason)
    return list(rule(scene)) if rule else []


def _part(amount_e8: int, share_e8: int) -> int:
    return rounded(amount_e8 * share_e8, E8)


# ---------------------------------------------------------------------- price and size


def _collar(s: Scene) -> Iterator[Measure]:
    reference = {"mark": s.market["mark_e8"], "mid": s.mid_e8}
    collar, price = s.spec["collar_e8"], s.price_e8
    if s.request["type"] in CONDITIONAL:
        reference = {"trigger": s.request["trigger_ticks"] * s.spec["tick_e8"]}
        price = s.request["price_ticks"] * s.spec["tick_e8"]
    elif s.shrinks():
        reference = {"mark": s.market["mark_e8"] or s.market["last_e8"]}
        collar = s.limits["exit_collar_e8"]
    for name, around in reference.items():
        if around and s.side == Side.BUY:
            yield Measure(f"price_{name}", price, _part(around, E8 + collar), "price")
        elif around:
            yield Measure(f"price_{name}", price, _part(around, E8 - collar), "price", "least")


def _price_filter(s: Scene) -> Iterator[Measure]:
    spec, mark, ticks = s.spec, s.market["mark_e8"], s.request["price_ticks"] or s.request["trigger_ticks"]
    if ticks:
        price = ticks * spec["tick_e8"]
        yield Measure("price_step", ticks % spec["tick_step"] * spec["tick_e8"], 0, "price")
        yield Measure("price_least", price, spec["min_ticks"] * spec["tick_e8"], "price", "least")
        yield Measure("price_most", price, spec["max_ticks"] * spec["tick_e8"], "price")
    if mark and s.side == Side.BUY:
        yield Measure("price_band", s.price_e8, _part(mark, spec["up_e8"]), "price")
    elif mark:
        yield Measure("price_band", s.price_e8, _part(mark, spec["down_e8"]), "price", "least")


def _quantity_filter(s: Scene) -> Iterator[Measure]:
    lots, spec = s.request["lots"], s.spec
    yield Measure("quantity_least", s.quantity_e8(lots), s.quantity_e8(spec["min_lots"]), "quantity", "least")
    yield Measure("quantity_step", s.quantity_e8(lots % spec["lot_step"]), 0, "quantity")


def _least_notional(s: Scene) -> Iterator[Measure]:
    asked = s.notional_e8(s.price_e8, s.request["lots"])
    yield Measure("notional_least", asked, s.spec["min_notional_e8"], "usdt", "least")


def _notional(s: Scene) -> Iterator[Measure]:
    limits, asked = s.limits, s.notional_e8(s.price_e8, s.request["lots"])
    share = _part(_part(s.equity_e8, limits["order_equity_share_e8"]), limits["order_leverage_e8"])
    yield Measure("order_notional", asked, s.reduced_e8(limits["max_order_e8"]), "usdt")
    yield Measure("order_equity", asked, s.reduced_e8(share), "usdt")
    minute = _minute_lots(s)
    volume = limits["assumed_minute_e8"] if minute is None else s.notional_e8(s.market["mark_e8"], minute)
    yield Measure("order_volume", asked, s.reduced_e8(_part(volume, limits["volume_share_e8"])), "usdt")


def _minute_lots(s: Scene) -> int | None:
    # Traded in the last minute; None while that is not known, as in the core's `minute_volume_lots`.
    market, second = s.market, s.now // 10**9
    if market["interval_ns"]:
        seconds = max(1, market["interval_ns"] // 10**9)
        return int(market["bar_lots"] * 60 // seconds) if market["ts_last"] else None
    if not market["first_second"] or second - market["first_second"] < SECONDS:
        return None
    counted = range(max(second - SECONDS, market["second"] - SECONDS) + 1, market["second"] + 1)
    return sum(int(market["second_lots"][at % SECONDS]) for at in counted)


def _quantity(s: Scene) -> Iterator[Measure]:
    market, spec, lots = s.market, s.spec, s.request["lots"]
    most = spec["max_market_lots" if s.request["type"] == OrderType.MARKET else "max_lots"]
    yield Measure("quantity_most", s.quantity_e8(lots), s.quantity_e8(most), "quantity")
    depth = market["bar_lots"] if market["interval_ns"] else market["depth_lots"][1 - s.side]
    yield Measure("quantity_depth", s.quantity_e8(lots), _part(s.quantity_e8(depth), s.limits["depth_share_e8"]),
                  "quantity")  # fmt: skip


# ---------------------------------------------------------------------- exposure


def _position(s: Scene) -> Iterator[Measure]:
    cap = _part(_part(s.equity_e8, s.limits["symbol_share_e8"]), s.limits["strategy_leverage_e8"])
    worst = s.notional_e8(s.market["mark_e8"], s.worst_lots(s.side, True))
    yield Measure("worst_position", worst, cap >> 1 if s.gate.ladder == 1 else cap, "usdt")


def _gross(s: Scene) -> Iterator[Measure]:
    gross, bought, sold, clusters = s.gate.totals()
    watched, limits, equity = s.watched, s.limits, s.equity_e8
    more = s.worst_e8(True) - watched["worst_e8"]
    yield Measure("worst_gross", gross + more, _part(equity, limits["max_gross_e8"]), "usdt")
    order = s.notional_e8(s.market["mark_e8"], s.request["lots"])
    net = bought + order if s.side == Side.BUY else order - sold
    yield Measure("worst_net", net, _part(equity, limits["max_net_e8"]), "usdt")
    if watched["cluster"]:
        clustered = clusters[watched["cluster"]] + more
        yield Measure("worst_cluster", clustered, _part(equity, limits["max_cluster_e8"]), "usdt")


def _leverage(s: Scene) -> Iterator[Measure]:
    yield Measure("leverage", s.account.margins_of(s.symbol)["leverage"], s.limits["max_leverage"], "count")


def _bracket(s: Scene) -> Iterator[Measure]:
    most = max_notional(s.instruments, s.symbol, s.account.margins_of(s.symbol)["leverage"])
    yield Measure("bracket", s.worst_e8(True), _part(most, s.limits["bracket_share_e8"]), "usdt")


def _liquidation(s: Scene) -> Iterator[Measure]:
    # Of the position with the order: the gate alone works that out.
    yield Measure("liquidation_distance", None, s.limits["liquidation_distance_e8"], "share", "least")


def _margin_ratio(s: Scene) -> Iterator[Measure]:
    held = sum(s.account.position(s.symbol, leg)["maintenance_e8"] for leg in range(2))
    worst = maintenance_margin(s.instruments, s.symbol, s.worst_e8(True))
    needed = s.account.maintenance_total_e8 - held + worst
    yield Measure("maintenance", needed, _part(s.equity_e8, s.limits["margin_ratio_e8"]), "usdt")


def _margin(s: Scene) -> Iterator[Measure]:
    cost = s.account.order_cost(s.symbol, s.side, s.price_e8, s.request["lots"], s.leg)
    yield Measure("order_cost", cost, s.account.available(), "usdt")


def _usual(s: Scene) -> Iterator[Measure]:
    share = rounded(s.worst_e8(True) * E8, s.equity_e8) if s.equity_e8 > 0 else None
    yield Measure("usual_size", share, None, "share")


def _reducing(s: Scene) -> Iterator[Measure]:
    held = s.account.position(s.symbol, s.leg)["lots"]
    there = max(0, held if s.side == Side.SELL else -held)
    yield Measure("reducible", s.quantity_e8(s.request["lots"]), s.quantity_e8(there), "quantity")


# ---------------------------------------------------------------------- flow


def _rate(s: Scene) -> Iterator[Measure]:
    sent = s.gate.sent()
    minute = sum(s.now - ts < MINUTE_NS for ts in sent)
    yield Measure("orders_minute", minute, s.limits["orders_per_minute"], "count", "below")
    # The bucket refills all the time: what is in it is the gate's own.
    yield Measure("orders_second", sum(s.now - ts < 10**9 for ts in sent), None, "count")


def _weight(s: Scene) -> Iterator[Measure]:
    yield Measure("weight", s.gate.weight, _part(s.gate.weight_limit, s.limits["weight_share_e8"]), "count", "below")


def _message_quality(s: Scene) -> Iterator[Measure]:
    # As it was judged last; the ratios of the last ten minutes are the gate's own.
    yield Measure("quality_level", s.gate.quality_level, None, "count")


def _repeated(s: Scene) -> Iterator[Measure]:
    watched, limits = s.watched, s.limits
    entries = sum(ts > 0 and s.now - ts < ENTRIES_NS for ts in watched["entries"][s.side])
    if limits["repeated_entries"]:
        yield Measure("entries", entries, limits["repeated_entries"], "count", "below")
    switches = watched["disabled"]  # a C string: what stands behind a zero is not shown
    told = switches[s.side] if len(switches) > s.side else None if s.side else 0
    yield Measure("disabled", told, 0, "yes")


def _duplicate(s: Scene) -> Iterator[Measure]:
    wanted = s.symbol, s.side, s.request["price_ticks"], s.request["lots"]
    for ts, *order in s.gate.asked():
        if tuple(order) == wanted and s.now - ts <= s.limits["duplicate_ns"]:
            yield Measure("same_ago", s.now - ts, s.limits["duplicate_ns"] + 1, "ns", "least")
            return
    intent = s.request["intent"]
    if intent and not s.request["reprice"]:
        yield Measure("intent", intent, s.gate.last_intent + 1, "count", "least")


def _own_order(s: Scene) -> Iterator[Measure]:
    resting = [
        order["price_ticks"] * s.spec["tick_e8"]
        for order in s.orders.rows()
        if order["symbol"] == s.symbol
        and order["side"] != s.side
        and order["price_ticks"]
        and OrderState.EMPTY < order["state"] < OrderState.FILLED
        and (order["type"] not in CONDITIONAL or order["triggered"])
    ]
    if resting and s.side == Side.BUY:
        yield Measure("own_order", s.price_e8, min(resting), "price", "below")
    elif resting:
        yield Measure("own_order", s.price_e8, max(resting) + 1, "price", "least")


def _chase(s: Scene) -> Iterator[Measure]:
    # The prices of an intent are the gate's own.
    yield Measure("reprices", None, s.limits["max_reprices"], "count", "below")


def _open_orders(s: Scene) -> Iterator[Measure]:
    here = s.account.margins_of(s.symbol)["open_orders"]
    yield Measure("open_here", here, s.limits["max_orders_symbol"], "count", "below")
    yield Measure("open_all", s.orders.open_orders, s.limits["max_orders_total"], "count", "below")


def _unknown(s: Scene) -> Iterator[Measure]:
    here = sum(row["symbol"] == s.symbol and row["state"] == OrderState.UNKNOWN for row in s.orders.rows())
    yield Measure("unknown_here", here, 0, "count")
    yield Measure("unknown_all", s.orders.unknown, s.limits["max_unknown"], "count")


def _funding(s: Scene) -> Iterator[Measure]:
    rate, wait = s.watched["rate_e8"], s.watched["funding_due"] - s.now
    if s.request["edge_e8"] and 0 <= wait <= s.limits["funding_window_ns"]:
        yield Measure("funding_cost", 2 * (rate if s.side == Side.BUY else -rate), s.request["edge_e8"], "share")
        yield Measure("funding_in", wait, None, "ns")


def _headroom(s: Scene) -> Iterator[Measure]:
    room = s.watched["headroom"][s.side]
    yield Measure("headroom", s.quantity_e8(s.request["lots"]), s.quantity_e8(room), "quantity")


def _headroom_age(s: Scene) -> Iterator[Measure]:
    told = s.watched["headroom"][s.side] >= 0
    most = max(s.limits["headroom_ns"], 2 * s.market["interval_ns"])
    yield Measure("headroom_told", int(told), 1, "yes", "least")
    yield Measure("headroom_age", s.now - s.watched["headroom_ts"] if told else None, most, "ns")


# ---------------------------------------------------------------------- state


def _stale(s: Scene) -> Iterator[Measure]:
    market, limits = s.market, s.limits
    yield Measure("book_good", int(market["book_good"]), 1, "yes", "least")
    if market["interval_ns"]:
        age = s.now - min(market["ts_last"], market["ts_mark"])
        yield Measure("candle_age", age, int(limits["candle_stale"] * market["interval_ns"]), "ns")
        return
    yield Measure("book_age", s.now - market["ts_book"], limits["book_stale_ns"], "ns")
    yield Measure("mark_age", s.now - market["ts_mark"], limits["mark_stale_ns"], "ns")


def _suspect(s: Scene) -> Iterator[Measure]:
    if s.quality is None:
        return
    yield Measure("data_halted", int(s.quality.is_halted(s.symbol, s.now)), 0, "yes")
    if s.request["tif"] != TimeInForce.GTX:
        yield Measure("data_suspect", int(s.quality.is_conservative(s.symbol, s.now)), 0, "yes")


def drawdown_e8(gate: RiskGate, equity_e8: int) -> int | None:
    """Return the share of the peak that is lost, 1e-8; None without a peak."""
    return max(0, E8 - rounded(equity_e8 * E8, gate.peak_e8)) if gate.peak_e8 > 0 else None


def _ladder(s: Scene) -> Iterator[Measure]:
    yield Measure("ladder", s.gate.ladder, 2, "count", "below")
    yield Measure("drawdown", drawdown_e8(s.gate, s.equity_e8), s.limits["max_drawdown_e8"] * 3 // 4, "share", "below")


def _kill(s: Scene) -> Iterator[Measure]:
    yield Measure("killed", int(s.gate.killed), 0, "yes")
    yield Measure("drawdown", drawdown_e8(s.gate, s.equity_e8), s.limits["max_drawdown_e8"], "share", "below")


def _day(s: Scene) -> Iterator[Measure]:
    start = s.gate.day_start_e8
    loss = E8 - rounded(s.equity_e8 * E8, start) if start > 0 else None
    yield Measure("day_lost", int(s.gate.day_lost), 0, "yes")
    yield Measure("day_loss", loss, s.limits["daily_loss_e8"], "share", "below")


def _halted(s: Scene) -> Iterator[Measure]:
    yield Measure("halted", int(s.gate.halted or s.watched["halted"]), 0, "yes")


def _gates(s: Scene) -> Iterator[Measure]:
    for gate in Gate:
        if s.gate.gates & gate:
            yield Measure("gate", int(gate), 0, "gate")


def _armed(s: Scene) -> Iterator[Measure]:
    yield Measure("armed", int(s.gate.armed), 1, "yes", "least")


def _loss_rate(s: Scene) -> Iterator[Measure]:
    yield Measure("paused_for", s.gate.paused_until - s.now, 0, "ns")


def _volatility(s: Scene) -> Iterator[Measure]:
    paused = s.watched["paused_until"] - s.now
    if paused > 0:
        yield Measure("paused_for", paused, 0, "ns")
        return
    found, spec = s.markets.features(s.symbol, s.now), s.spec
    most = s.limits["volatility_collars"] * spec["collar_e8"]
    yield Measure("minute_move", round(found["minute_move"] * E8), round(most), "share")
    market = s.market
    if market["ask_ticks"] - market["bid_ticks"] > s.limits["spread_floor"] * market["bid_ticks"]:
        yield Measure("spread_ratio", round(found["spread_ratio"] * E8), round(s.limits["spread_median"] * E8), "ratio")


def _protection(s: Scene) -> Iterator[Measure]:
    since = s.watched["unprotected"]
    yield Measure("unprotected", s.now - since if since else None, s.limits["unprotected_ns"], "ns")


def _status(s: Scene) -> Iterator[Measure]:
    yield Measure("tradable", int(s.spec["tradable"]), 1, "yes", "least")
    yield Measure("suspended", int(s.watched["suspended"]), 0, "yes")
    if s.watched["delist"]:
        yield Measure("delist_in", s.watched["delist"] - s.now, s.limits["delist_ns"], "ns", "least")


def _allowed(s: Scene) -> Iterator[Measure]:
    yield Measure("side_allowed", s.limits["sides"] >> s.side & 1, 1, "yes", "least")
    yield Measure("type_allowed", s.limits["types"] >> s.request["type"] & 1, 1, "yes", "least")
    minute = s.now % DAY_NS // MINUTE_NS
    yield Measure("minute_first", minute, s.limits["first_minute"], "count", "least")
    yield Measure("minute_last", minute, s.limits["last_minute"], "count")
    fits = (s.request["position_side"] == 0) != s.account.hedge and not (s.account.hedge and s.request["reduce_only"])
    yield Measure("mode_fits", int(fits), 1, "yes", "least")


RULES: Mapping[Reason, Callable[[Scene], Iterator[Measure]]] = {
    Reason.R1_PRICE_COLLAR: _collar,
    Reason.R2_CHASE: _chase,
    Reason.R3_ORDER_NOTIONAL: _notional,
    Reason.R4_ORDER_QUANTITY: _quantity,
    Reason.R5_POSITION_LIMIT: _position,
    Reason.R6_GROSS_EXPOSURE: _gross,
    Reason.R7_LEVERAGE: _leverage,
    Reason.R8_BRACKET: _bracket,
    Reason.R9_LIQUIDATION_DISTANCE: _liquidation,
    Reason.R10_MARGIN_RATIO: _margin_ratio,
    Reason.R11_ORDER_RATE: _rate,
    Reason.R12_WEIGHT: _weight,
    Reason.R13_MESSAGE_QUALITY: _message_quality,
    Reason.R14_REPEATED: _repeated,
    Reason.R15_DUPLICATE: _duplicate,
    Reason.R16_SELF_TRADE: _own_order,
    Reason.R17_FAT_FINGER: _usual,
    Reason.R18_STALE_DATA: _stale,
    Reason.R19_UNKNOWN_ORDERS: _unknown,
    Reason.R20_REDUCE_ONLY: _ladder,
    Reason.R21_DAILY_LOSS: _day,
    Reason.R22_DRAWDOWN_KILL: _kill,
    Reason.R23_LOSS_RATE: _loss_rate,
    Reason.R24_VOLATILITY: _volatility,
    Reason.R25_OPEN_ORDERS: _open_orders,
    Reason.R26_UNPROTECTED: _protection,
    Reason.R27_FUNDING_COST: _funding,
    Reason.R28_SYMBOL_STATUS: _status,
    Reason.R29_NOT_ALLOWED: _allowed,
    Reason.R30_MODE: _armed,
    Reason.FILTER_PRICE: _price_filter,
    Reason.FILTER_QUANTITY: _quantity_filter,
    Reason.FILTER_NOTIONAL: _least_notional,
    Reason.INSUFFICIENT_MARGIN: _margin,
    Reason.NOTHING_TO_REDUCE: _reducing,
    Reason.HALTED: _halted,
    Reason.GATE_CLOSED: _gates,
    Reason.HEADROOM_SPENT: _headroom,
    Reason.HEADROOM_STALE: _headroom_age,
    Reason.DATA_QUALITY: _suspect,
}
