"""Orders, fills and funding of a run, rebuilt from its journal.

Knows the journal's rows and the account's arithmetic (the core's own, so that every realised profit is
the booked one). Refuses to know files, and what a report does with the tables.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.sizing import Factor
from core_ext.types import Flag, Instruments, Kind, OrderType, Reason, TimeInForce

__all__ = ["Ledger"]

E8 = 1e8
SIDES = ("BUY", "SELL")
ENDS = {Kind.REJECTED: "REJECTED", Kind.CANCELED: "CANCELLED", Kind.EXPIRED: "EXPIRED"}


@dataclass
class Order:
    """One order of the run: what was asked, what became of it."""

    client_id: int
    symbol: int
    sell: bool
    type: int
    tif: int
    reduce_only: bool
    ticks: int
    lots: int
    reference_e8: int
    limiting: int
    created_ns: int
    updated_ns: int
    state: str = "PENDING"
    filled: int = 0
    value_ticks: int = 0
    code: int = 0


@dataclass
class Ledger:
    """A fold over the journal: ``apply`` rows in order, then ask for the tables.

    Attributes
    ----------
    instruments : Instruments
    account : Account
        Booked from the journal alone; marks are not in it, so it has no unrealised profit.
    refusals : Counter
        Orders refused by the risk gate, by reason.
    limiting : Counter
        Orders by the cap that set their size.
    """

    instruments: Instruments
    account: Account
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    funding: list[dict[str, Any]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    limiting: Counter[str] = field(default_factory=Counter)
    transfers: list[tuple[int, float]] = field(default_factory=list)
    fees_maker: float = 0.0
    fees_taker: float = 0.0
    slippage_usdt: float = 0.0

    def __post_init__(self) -> None:
        """Keep what turns ticks and lots into prices and coins."""
        specs = [self.instruments.spec(at) for at in range(len(self.instruments))]
        self._ticks = [spec["tick_e8"] / E8 for spec in specs]
        self._lots = [spec["lot_e8"] / E8 for spec in specs]
        self._names = self.instruments.names
        self._steps = {
            Kind.ORDER: self._order,
            Kind.REFUSED: self._refused,
            Kind.ACCEPTED: self._accepted,
            Kind.FILL: self._fill,
            Kind.REJECTED: self._ended,
            Kind.CANCELED: self._ended,
            Kind.EXPIRED: self._ended,
            Kind.FUNDING_PAID: self._funding,
            Kind.LIQUIDATION: self._liquidation,
            Kind.TRANSFER: self._transfer,
        }

    def apply(self, rows: NDArray[np.void]) -> None:
        """Fold some rows of the journal, in order."""
        wanted = rows[np.isin(rows["kind"], [int(kind) for kind in self._steps])]
        for row in wanted:
            self._steps[Kind(int(row["kind"]))](row)

    def _order(self, row: Any) -> None:
        client_id = int(row["a"]) & (2**64 - 1)
        order = Order(
            client_id=client_id,
            symbol=int(row["symbol"]),
            sell=bool(row["flags"] & Flag.F_SELL),
            type=int(row["d"]) & 255,
            tif=int(row["d"]) >> 8 & 255,
            reduce_only=bool(row["flags"] & Flag.F_REDUCE_ONLY),
            ticks=int(row["b"]),
            lots=int(row["c"]),
            reference_e8=int(row["e"]),
            limiting=int(row["f"]),
            created_ns=int(row["ts"]),
            updated_ns=int(row["ts"]),
        )
        self.orders[client_id] = order
        self.limiting[Factor(order.limiting).name] += 1

    def _refused(self, row: Any) -> None:
        self.refusals[Reason(int(row["a"])).name] += 1

    def _of(self, row: Any) -> Order | None:
        order = self.orders.get(int(row["a"]) & (2**64 - 1))
        if order is not None:
            order.updated_ns = int(row["ts"])
        return order

    def _accepted(self, row: Any) -> None:
        order = self._of(row)
        if order is not None and order.state == "PENDING":
            order.state = "LIVE"

    def _ended(self, row: Any) -> None:
        order = self._of(row)
        if order is not None:
            order.state = ENDS[Kind(int(row["kind"]))]
        if row["kind"] == Kind.REJECTED:
            self.rejections[f"VENUE_{int(row['b'])}"] += 1
            if order is not None:
                order.code = int(row["b"])

    def _fill(self, row: Any) -> None:
        symbol, sell = int(row["symbol"]), bool(row["flags"] & Flag.F_SELL)
        ticks, lots, fee = int(row["c"]), int(row["d"]), int(row["e"])
        maker = bool(row["flags"] & Flag.F_MAKER)
        realised = self.account.fill(symbol, -lots if sell else lots, ticks, fee)
        order = self._of(row)
        reference = order.reference_e8 / E8 if order else 0.0
        if order is not None:
            order.filled += lots
            order.value_ticks += lots * ticks
            if order.filled == order.lots:
                order.state = "FILLED"
            elif order.state not in ENDS.values():  # a late fill resurrects nothing
                order.state = "PARTLY_FILLED"
        price, quantity = ticks * self._ticks[symbol], lots * self._lots[symbol]
        paid = (reference - price if sell else price - reference) if reference else 0.0
        self.slippage_usdt += paid * quantity
        if maker:
            self.fees_maker += fee / E8
        else:
            self.fees_taker += fee / E8
        client_id = int(row["a"]) & (2**64 - 1)
        self._book(row, sell, price, quantity, fee, realised, maker, False, client_id, int(row["b"]), reference, paid)

    def _liquidation(self, row: Any) -> None:
        symbol, lots = int(row["symbol"]), int(row["a"])
        price, quantity = int(row["b"]) / E8, abs(lots) * self._lots[symbol]
        fee = int(row["c"])
        realised = self.account.take_over(symbol, int(row["b"]), fee)
        self._book(row, lots > 0, price, quantity, fee, realised, False, True, 0, 0, 0.0, 0.0)

    def _book(
        self,
        row: Any,
        sell: bool,
        price: float,
        quantity: float,
        fee: int,
        realised: int,
        maker: bool,
        liquidation: bool,
        client_id: int,
        trade_id: int,
        reference: float,
        paid: float,
    ) -> None:
        symbol = int(row["symbol"])
        self.fills.append(
            {
                "ts_ns": int(row["ts"]),
                "symbol": self._names[symbol],
                "side": SIDES[sell],
                "client_id": client_id,
                "trade_id": trade_id,
                "price": price,
                "quantity": quantity,
                "notional_usdt": price * quantity,
                "fee_usdt": fee / E8,
                "maker": maker,
                "liquidation": liquidation,
                "realised_usdt": realised / E8,
                "reference_price": reference,
                "slippage_bps": 1e4 * paid / reference if reference else 0.0,
                "position_after": self.account.position(symbol)["lots"] * self._lots[symbol],
            }
        )

    def _funding(self, row: Any) -> None:
        symbol = int(row["symbol"])
        self.account.pay_funding(symbol, int(row["a"]))
        self.funding.append(
            {
                "ts_ns": int(row["ts"]),
                "symbol": self._names[symbol],
                "rate": int(row["b"]) / E8,
                "mark": int(row["c"]) / E8,
                "quantity": int(row["d"]) * self._lots[symbol],
                "amount_usdt": int(row["a"]) / E8,
            }
        )

    def _transfer(self, row: Any) -> None:
        self.account.transfer(int(row["a"]))
        self.transfers.append((int(row["ts"]), int(row["a"]) / E8))

    def order_rows(self) -> list[dict[str, Any]]:
        """Return one dict an order, oldest first."""
        return [self._order_row(order) for order in self.orders.values()]

    def _order_row(self, order: Order) -> dict[str, Any]:
        tick, lot = self._ticks[order.symbol], self._lots[order.symbol]
        return {
            "client_id": order.client_id,
            "symbol": self._names[order.symbol],
            "side": SIDES[order.sell],
            "type": OrderType(order.type).name,
            "tif": TimeInForce(order.tif).name,
            "reduce_only": order.reduce_only,
            "price": order.ticks * tick,
            "quantity": order.lots * lot,
            "filled": order.filled * lot,
            "average_price": order.value_ticks / order.filled * tick if order.filled else 0.0,
            "state": order.state,
            "created_ns": order.created_ns,
            "updated_ns": order.updated_ns,
            "limiting": Factor(order.limiting).name,
            "reference_price": order.reference_e8 / E8,
        }

    def slippage_bps(self) -> float | None:
        """Return the notional-weighted slippage of the fills against the mid at decision; None without fills."""
        traded = sum(fill["notional_usdt"] for fill in self.fills if not fill["liquidation"])
        return 1e4 * self.slippage_usdt / traded if traded else None

    def fill_rate(self) -> float | None:
        """Return filled over asked quantity of the orders, by value; None without orders."""
        asked = sum(o.lots * o.reference_e8 * self._lots[o.symbol] for o in self.orders.values())
        done = sum(o.filled * o.reference_e8 * self._lots[o.symbol] for o in self.orders.values())
        return done / asked if asked else None

    def post_only_success(self) -> float | None:
        """Return the share of post-only orders that the venue accepted; None without any."""
        posted = [order for order in self.orders.values() if order.tif == TimeInForce.GTX]
        refused = sum(order.state == "REJECTED" for order in posted)
        return 1.0 - refused / len(posted) if posted else None
