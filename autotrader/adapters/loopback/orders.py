"""What the exchange remembers of orders, conditional orders, trades and income, and how it writes them.

Knows the records and their JSON. Refuses to know when they change: `venue` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from autotrader.adapters.loopback.symbols import Symbol, trimmed
from autotrader.adapters.loopback.text import decimal, e8

__all__ = [
    "ALGO_STATUSES",
    "MATCHES",
    "OPEN",
    "POSITION_SIDES",
    "SIDES",
    "STPS",
    "TIFS",
    "TYPES",
    "Algo",
    "Asked",
    "Income",
    "Order",
    "Trade",
]

SIDES = ("BUY", "SELL")
TYPES = ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
TIFS = ("GTC", "IOC", "GTX", "FOK", "GTD")
POSITION_SIDES = ("BOTH", "LONG", "SHORT")
STPS = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
MATCHES = (
    "NONE",
    "OPPONENT",
    "OPPONENT_5",
    "OPPONENT_10",
    "OPPONENT_20",
    "QUEUE",
    "QUEUE_5",
    "QUEUE_10",
    "QUEUE_20",
)
ALGO_STATUSES = ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED", "CANCELED", "EXPIRED", "REJECTED")
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
_CLOSE, _PROTECT, _BY_MARK = 1, 2, 4
_TRAILING = 6
_TERMS = frozenset({"priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"})


@dataclass(slots=True)
class Asked:
    """What a client asks for in an order, in ticks and lots."""

    symbol: Symbol
    client_id: str
    side: int
    type: int
    tif: int = 0
    lots: int = 0
    ticks: int = 0
    position_side: int = 0
    reduce_only: bool = False
    trigger_ticks: int = 0
    activate_ticks: int = 0
    callback_e8: int = 0
    good_till_ms: int = 0
    stp: int = 2
    price_match: int = 0
    terms: int = 0


@dataclass(slots=True)
class Algo:
    """A conditional order in the algo universe."""

    asked: Asked
    account: int
    handle: int
    algo_id: int
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    triggered_ms: int = 0
    reason: str = ""
    activated: bool = False
    child: Order | None = None

    @property
    def open(self) -> bool:
        """Whether it waits for its trigger, or for its child."""
        return self.status in ("NEW", "TRIGGERING", "TRIGGERED")

    @property
    def done(self) -> int:
        """What its child has filled, in lots."""
        return self.child.done if self.child else 0

    @property
    def trails(self) -> bool:
        """Whether it follows the price, once it is activated."""
        return self.asked.type == _TRAILING

    def common(self) -> dict[str, Any]:
        """Return what every answer about it holds."""
        asked, symbol = self.asked, self.asked.symbol
        return {
            "algoId": self.algo_id,
            "clientAlgoId": asked.client_id,
            "algoType": "CONDITIONAL",
            "orderType": TYPES[asked.type],
            "symbol": symbol.name,
            "side": SIDES[asked.side],
            "positionSide": POSITION_SIDES[asked.position_side],
            "timeInForce": TIFS[asked.tif],
            "quantity": symbol.quantity(asked.lots),
            "algoStatus": self.status,
            "triggerPrice": symbol.price(asked.trigger_ticks),
            "price": symbol.price(asked.ticks),
            "icebergQuantity": None,
            "selfTradePreventionMode": STPS[asked.stp],
            "workingType": "MARK_PRICE" if asked.terms & _BY_MARK else "CONTRACT_PRICE",
            "priceMatch": MATCHES[asked.price_match],
            "closePosition": bool(asked.terms & _CLOSE),
            "priceProtect": bool(asked.terms & _PROTECT),
            "reduceOnly": asked.reduce_only,
            "createTime": self.created_ms,
            "updateTime": self.updated_ms,
            "triggerTime": self.triggered_ms,
            "goodTillDate": asked.good_till_ms,
        }

    def placed(self) -> dict[str, Any]:
        """Return the answer to its placing."""
        return self.common() | self._trailing("activatePrice", "callbackRate", "")

    def queried(self) -> dict[str, Any]:
        """Return the answer to a question about it."""
        symbol, child, zero = self.asked.symbol, self.child, self.asked.symbol.price(0)
        actual = {
            "actualOrderId": str(child.order_id) if child else "",
            "actualPrice": child.average() if child else "0.00000",
            "actualQty": symbol.quantity(child.done if child else 0),
            "actualType": TYPES[child.type] if child else "",
        }
        profit = dict.fromkeys(("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"), zero) | {"tpOrderType": ""}
        return self.common() | actual | profit | self._trailing("activatePrice", "callbackRate", None)

    def _trailing(self, activate: str, callback: str, otherwise: str | None) -> dict[str, Any]:
        if self.asked.type != _TRAILING:
            return {} if otherwise is None else {activate: otherwise, callback: otherwise}
        return {
            activate: self.asked.symbol.price(self.asked.activate_ticks),
            callback: trimmed(self.asked.callback_e8 * 100),
        }

    def told(self) -> dict[str, Any]:
        """Return the body of ALGO_UPDATE."""
        asked, symbol, child = self.asked, self.asked.symbol, self.child
        return {
            "caid": asked.client_id,
            "aid": self.algo_id,
            "at": "CONDITIONAL",
            "o": TYPES[asked.type],
            "s": symbol.name,
            "S": SIDES[asked.side],
            "ps": POSITION_SIDES[asked.position_side],
            "f": TIFS[asked.tif],
            "q": symbol.quantity(asked.lots),
            "X": self.status,
            "ai": str(child.order_id) if child else "",
            "ap": child.average() if child else "0.00000",
            "aq": symbol.quantity(child.done) if child else "0.00000",
            "act": TYPES[child.type] if child else "0",
            "tp": symbol.price(asked.trigger_ticks),
            "p": symbol.price(asked.ticks),
            "V": STPS[asked.stp],
            "wt": "MARK_PRICE" if asked.terms & _BY_MARK else "CONTRACT_PRICE",
            "pm": MATCHES[asked.price_match],
            "cp": bool(asked.terms & _CLOSE),
            "pP": bool(asked.terms & _PROTECT),
            "R": asked.reduce_only,
            "tt": self.triggered_ms,
            "gtd": asked.good_till_ms,
            "rm": self.reason,
            "ia": self.activated,
        }


@dataclass(slots=True)
class Order:
    """An ordinary order, from its acceptance on."""

    symbol: Symbol
    account: int
    handle: int
    client_id: str
    order_id: int
    side: int
    type: int
    tif: int
    lots: int
    ticks: int
    position_side: int
    reduce_only: bool
    created_ms: int
    updated_ms: int
    stp: int = 2
    price_match: int = 0
    good_till_ms: int = 0
    orig_type: str = ""
    status: str = "NEW"
    done: int = 0
    value: int = 0
    algo: Algo | None = None
    modify_id: int = 0
    reason: int = 0
    amendments: list[dict[str, Any]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN

    @property
    def name(self) -> str:
        """Its type in the exchange's words."""
        return TYPES[self.type]

    @property
    def stop(self) -> str:
        """The trigger of the conditional order that it is the child of."""
        return self.symbol.price(self.algo.asked.trigger_ticks if self.algo else 0)

    @property
    def working(self) -> str:
        """What triggered it."""
        return "MARK_PRICE" if self.algo and self.algo.asked.terms & _BY_MARK else "CONTRACT_PRICE"

    @property
    def closes(self) -> bool:
        """Whether it was to close the position, whatever its size."""
        return bool(self.algo and self.algo.asked.terms & _CLOSE)

    @property
    def protected(self) -> bool:
        """Whether its trigger had price protection."""
        return bool(self.algo and self.algo.asked.terms & _PROTECT)

    def average(self) -> str:
        """Return the average price of its fills."""
        if self.done == 0:
            return "0.00000"
        tenth = self.value * self.symbol.tick_e8 // self.done // 10 ** (8 - self.symbol.price_decimals - 3)
        return (
            decimal(tenth, self.symbol.price_decimals + 3)
            if self.symbol.price_decimals <= 5
            else e8(self.value * self.symbol.tick_e8 // self.done)
        )

    def spent(self) -> str:
        """Return the value of its fills in the quote coin."""
        return trimmed(self.symbol.value_e8(1, self.value), 5)

    def common(self) -> dict[str, Any]:
        """Return what every answer about it holds."""
        symbol = self.symbol
        return {
            "orderId": self.order_id,
            "symbol": symbol.name,
            "status": self.status,
            "clientOrderId": self.client_id,
            "price": symbol.price(self.ticks),
            "origQty": symbol.quantity(self.lots),
            "executedQty": symbol.quantity(self.done),
            "timeInForce": TIFS[self.tif],
            "type": self.name,
            "reduceOnly": self.reduce_only,
            "closePosition": self.closes,
            "side": SIDES[self.side],
            "positionSide": POSITION_SIDES[self.position_side],
            "stopPrice": self.stop,
            "workingType": self.working,
            "priceProtect": self.protected,
            "origType": self.orig_type or self.name,
            "priceMatch": MATCHES[self.price_match],
            "selfTradePreventionMode": STPS[self.stp],
            "goodTillDate": self.good_till_ms,
            "updateTime": self.updated_ms,
        }

    def answered(self, before_2026_06: bool = False) -> dict[str, Any]:
        """Return the answer to its placing, amending or cancelling, without averages since 2026-06."""
        body = self.common() | {"cumQty": self.symbol.quantity(self.done)}
        return body | {"avgPrice": self.average(), "cumQuote": self.spent()} if before_2026_06 else body

    def acknowledged(self, before_2026_06: bool = False) -> dict[str, Any]:
        """Return the answer as it was on acceptance: NEW, nothing filled."""
        asked = replace(self, status="NEW", done=0, value=0, updated_ms=self.created_ms)
        return asked.answered(before_2026_06)

    def amended(self, before_2026_06: bool = False) -> dict[str, Any]:
        """Return the answer to its amending."""
        last = {"pair": self.symbol.name, "cumBase": "0"}
        return self.answered(before_2026_06) | last | ({"modifyId": self.modify_id} if self.modify_id else {})

    def queried(self) -> dict[str, Any]:
        """Return the answer to a question about it."""
        return self.common() | {"avgPrice": self.average(), "cumQuote": self.spent(), "time": self.created_ms}

    def listed(self) -> dict[str, Any]:
        """Return it as a row of all orders."""
        return self.queried() | {"pair": self.symbol.name, "cumBase": "0"}

    def forced(self) -> dict[str, Any]:
        """Return it as a row of what was closed by force."""
        return {name: value for name, value in self.listed().items() if name not in _TERMS}


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of one account."""

    trade_id: int
    order: Order
    lots: int
    ticks: int
    fee_e8: int
    fee_asset: str
    realised_e8: int
    maker: bool
    time_ms: int

    def listed(self) -> dict[str, Any]:
        """Return it as a row of the account's trades."""
        order, symbol = self.order, self.order.symbol
        return {
            "symbol": symbol.name,
            "id": self.trade_id,
            "orderId": order.order_id,
            "side": SIDES[order.side],
            "price": symbol.price(self.ticks),
            "qty": symbol.quantity(self.lots),
            "realizedPnl": e8(self.realised_e8),
            "quoteQty": trimmed(symbol.value_e8(self.ticks, self.lots), 5),
            "baseQty": "0",
            "commission": e8(self.fee_e8),
            "commissionAsset": self.fee_asset,
            "time": self.time_ms,
            "positionSide": POSITION_SIDES[order.position_side],
            "buyer": order.side == 0,
            "maker": self.maker,
            "marginAsset": symbol.quote,
            "pair": symbol.name,
        }


@dataclass(frozen=True, slots=True)
class Income:
    """One booking of the futures wallet."""

    kind: str
    amount_e8: int
    asset: str
    symbol: str
    time_ms: int
    booking_id: int
    trade_id: str = ""

    def listed(self) -> dict[str, Any]:
        """Return it as a row of the account's income."""
        return {
            "symbol": self.symbol,
            "incomeType": self.kind,
            "income": e8(self.amount_e8),
            "asset": self.asset,
            "info": self.kind,
            "time": self.time_ms,
            "tranId": self.booking_id,
            "tradeId": self.trade_id,
        }
