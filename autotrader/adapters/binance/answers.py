"""What the exchange answers about our orders and trades, as rows of the core.

Knows the bodies of orders, conditional orders and trades as REST and the request socket answer them. Refuses to know
requests, statuses and refusals: `outcomes` judges those. Answers and events are read in the light of one `Evidence`, so
that neither counts twice what the other has told.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.adapters.binance.evidence import AlgoReport, Evidence, Report, Trade
from autotrader.adapters.binance.reading import (
    FEE_ASSETS,
    LATEST_MS,
    LEGS,
    SIDES,
    Grid,
    UnreadableError,
    amount_e8,
    chosen,
    client_id,
    flag,
    text,
    whole,
)
from autotrader.adapters.binance.rows import Row, packed, row
from core_ext.types import Kind

__all__ = ["Answers", "algo_report", "order_report"]

ABSENT = -2013
"""The exchange's code for an order that it does not have."""

Body = Mapping[str, Any]


class Answers:
    """Reader of answers about one account's orders.

    Every method takes the body of one granted answer (of the request socket: its ``result``) and the receive stamp in
    ns UTC, and returns an array of EVENT_DTYPE.

    Parameters
    ----------
    evidence : Evidence
        That of the account's events.

    Raises
    ------
    UnreadableError
        By every method, for an answer that cannot be believed; nothing of it has been taken. What was asked for is then
        as unknown as without an answer.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    # ------------------------------------------------------------------ requests that change an order

    def placed(self, body: Body, now_ns: int) -> NDArray[np.void]:
        """Return what the answer to a placing proves, of an ordinary or of a conditional order.

        Notes
        -----
        The answer tells how much was filled, not at which prices: until the trades are told the engine takes the order
        for unknown, and asks if that lasts a second.
        """
        return packed(self._read(body), now_ns)

    def canceled(self, body: Body, now_ns: int) -> NDArray[np.void]:
        """Return what the answer to the cancelling of an ordinary order proves."""
        return packed(self._read(body), now_ns)

    def amended(self, body: Body, now_ns: int) -> NDArray[np.void]:
        """Return what the answer to an amending proves."""
        return packed(self.evidence.report(self._report(body, amended=True)), now_ns)

    def algo_canceled(self, symbol: str, body: Body, now_ns: int) -> NDArray[np.void]:
        """Return what the answer to the cancelling of a conditional order proves, which does not name its symbol."""
        if whole(body.get("code")) != 200:
            raise UnreadableError("number")
        told = AlgoReport(
            symbol=self.evidence.grid.symbol(symbol),
            client_id=client_id(text(body, "clientAlgoId"), self.evidence.epochs),
            side=0,
            leg=0,
            status="CANCELED",
            algo_id=whole(body.get("algoId"), 1),
            child_id=0,
            trigger_ticks=0,
            lots=0,
        )
        return packed(self.evidence.algo(told), now_ns)

    # ------------------------------------------------------------------ questions

    def queried(
        self,
        symbol: str,
        order: int,
        plain: Body | None,
        algo: Body | None,
        now_ns: int,
        trades: Sequence[Body] = (),
    ) -> NDArray[np.void]:
        """Return what the answers to the question for one order of ours prove.

        Parameters
        ----------
        symbol : str
        order : int
            Client order id.
        plain, algo : mapping or None
            Answers of the two universes, an order or the refusal with its code; None where nothing was answered.
        now_ns : int
        trades : sequence of mapping
            Trades of the symbol; those of other orders are left out.

        Notes
        -----
        Trades that have not been counted come first, then what the order is now. Only when both universes say that they
        have no such order, and neither has ever said that it had, the engine is told so; a question that was not
        answered leaves the order unknown.
        """
        index = self.evidence.grid.symbol(symbol)
        found_plain, found_algo = _found(plain), _found(algo)
        armed = self._own_algo(found_algo, index, order) if found_algo is not None else None
        told = self._own_order(found_plain, index, order) if found_plain is not None else None
        rows: list[Row] = self.evidence.algo(armed, asked=True) if armed else []
        if told is not None:
            mine = [one for one in trades if whole(one.get("orderId"), 1) == told.venue_id]
            rows += self.evidence.report(told, [self._trade(one, index) for one in mine], asked=True)
        if found_plain is None and found_algo is None:
            absent = _is_absent(plain) and _is_absent(algo)
            rows = self.evidence.absent(order, index, ABSENT) if absent else []
        return packed(rows or [row(Kind.LOST, index, order, int(Kind.QUERY))], now_ns)

    def trades(self, bodies: Sequence[Body], now_ns: int) -> NDArray[np.void]:
        """Return the rows of a list of trades, of those that have not been counted and whose orders are known.

        Notes
        -----
        A trade names its order by the exchange's id alone. One whose order has not been told yet is left out, to be
        given again once the order has: see `unattributed`.
        """
        read = [(self._order_of(one), self._trade(one, self.evidence.grid.symbol(one.get("symbol")))) for one in bodies]
        made = [self.evidence.trade(order, trade) for order, trade in read if order is not None]
        return packed((row for rows in made for row in rows), now_ns)

    def unattributed(self, bodies: Sequence[Body]) -> set[tuple[str, int]]:
        """Return symbol and id of the orders to be asked for, by `told`, before their trades can be counted."""
        found = {(text(one, "symbol"), whole(one.get("orderId"), 1)) for one in bodies}
        return {(name, number) for name, number in found if not self._is_known(name, number)}

    def told(self, body: Body, now_ns: int) -> NDArray[np.void]:
        """Return what an order in a list, or one that was asked for by the exchange's id, proves."""
        return packed(self._read(body, asked=True), now_ns)

    # ------------------------------------------------------------------ reading

    def _read(self, body: Body, asked: bool = False) -> list[Row]:
        if "algoId" in body:
            return self.evidence.algo(algo_report(body, self.evidence.grid, self.evidence.epochs), asked=asked)
        return self.evidence.report(self._report(body), asked=asked)

    def _report(self, body: Body, amended: bool = False) -> Report:
        return order_report(body, self.evidence.grid, self.evidence.epochs, amended=amended)

    def _own_order(self, body: Body, symbol: int, order: int) -> Report:
        told = self._report(body)
        if (told.symbol, told.client_id) != (symbol, order):
            raise UnreadableError("name")
        return told

    def _own_algo(self, body: Body, symbol: int, order: int) -> AlgoReport:
        told = algo_report(body, self.evidence.grid, self.evidence.epochs)
        if (told.symbol, told.client_id) != (symbol, order):
            raise UnreadableError("name")
        return told

    def _is_known(self, name: str, venue_id: int) -> bool:
        return self.evidence.owner(self.evidence.grid.symbol(name), venue_id) is not None

    def _order_of(self, body: Body) -> Report | None:
        # What a trade says of its order.
        symbol, venue_id = self.evidence.grid.symbol(body.get("symbol")), whole(body.get("orderId"), 1)
        owner = self.evidence.owner(symbol, venue_id)
        side, leg = chosen(body, "side", SIDES), chosen(body, "positionSide", LEGS)
        return None if owner is None else Report(symbol, owner, venue_id, side, leg, "", 0, 0, 0, 0)

    def _trade(self, body: Body, symbol: int) -> Trade:
        lots, price_e8 = self.evidence.grid.size(symbol, body.get("qty")), amount_e8(body.get("price"), 1)
        self.evidence.grid.ticks(symbol, body.get("price"))
        if lots == 0:
            raise UnreadableError("number")
        return Trade(
            trade_id=whole(body.get("id"), 1),
            lots=lots,
            price_e8=price_e8,
            fee_e8=amount_e8(body.get("commission")) if text(body, "commissionAsset") in FEE_ASSETS else 0,
            in_coin=FEE_ASSETS.get(text(body, "commissionAsset"), False),
            maker=flag(body, "maker"),
        )


def order_report(body: Body, grid: Grid, epochs: Container[int], *, amended: bool = False) -> Report:
    """Return what the body of an ordinary order says.

    Raises
    ------
    UnreadableError
        If a part of it is missing or absurd.
    """
    symbol = grid.symbol(body.get("symbol"))
    told = Report(
        symbol=symbol,
        client_id=client_id(text(body, "clientOrderId"), epochs),
        venue_id=whole(body.get("orderId"), 1),
        side=chosen(body, "side", SIDES),
        leg=chosen(body, "positionSide", LEGS),
        status=text(body, "status"),
        ticks=grid.ticks(symbol, body.get("price")),
        lots=grid.size(symbol, body.get("origQty")),
        done=grid.size(symbol, body.get("executedQty")),
        stamp_ms=whole(body.get("updateTime"), 0, LATEST_MS),
        amended=amended,
    )
    if told.done > told.lots:
        raise UnreadableError("number")
    return told


def algo_report(body: Body, grid: Grid, epochs: Container[int]) -> AlgoReport:
    """Return what the body of a conditional order says.

    Raises
    ------
    UnreadableError
        If a part of it is missing or absurd.
    """
    symbol = grid.symbol(body.get("symbol"))
    return AlgoReport(
        symbol=symbol,
        client_id=client_id(text(body, "clientAlgoId"), epochs),
        side=chosen(body, "side", SIDES),
        leg=chosen(body, "positionSide", LEGS),
        status=text(body, "algoStatus"),
        algo_id=whole(body.get("algoId"), 1),
        child_id=whole(body.get("actualOrderId") or 0),
        trigger_ticks=grid.ticks(symbol, body.get("triggerPrice") or "0"),
        lots=grid.size(symbol, body.get("quantity") or "0"),
        done=grid.size(symbol, body.get("actualQty") or "0"),
    )


def _found(answer: Body | None) -> Body | None:
    return None if answer is None or "code" in answer else answer


def _is_absent(answer: Body | None) -> bool:
    return answer is not None and answer.get("code") == ABSENT
