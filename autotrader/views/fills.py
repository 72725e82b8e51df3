"""Fills: every trade of the account, and every part of a position that was closed by force.

Knows what each cost against the price at which it was decided, and what it left. Refuses to remember any of
them: records are drained as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.orders import SIDES, Orders
from autotrader.views.positions import Positions
from autotrader.views.view import E8, Row, Scales, View, rounded
from core_ext.types import Flag, Instruments, Kind

__all__ = ["Fill", "Fills"]


@dataclass(slots=True)
class Fill:
    """One fill; money in 1e-8 USDT.

    Attributes
    ----------
    client_id, trade_id : int
        0 for what was closed by force.
    fee_e8, fee_coin_e8 : int
        The fee, in USDT or in the fee coin.
    cause : int
        `core_ext.types.Cause` of what was closed by force, -1 for a trade.
    realised_e8 : int
        Gross of the fee.
    reference_e8 : int
        Mid when its order was decided, 0: not known.
    paid_e8 : int
        What it cost against that mid, negative when it was better.
    position_e8 : int
        Quantity of the leg after it, buy positive.
    """

    sequence: int
    ts_ns: int
    symbol: str
    leg: int
    side: str
    client_id: int
    trade_id: int
    price_e8: int
    quantity_e8: int
    notional_e8: int
    fee_e8: int
    fee_coin_e8: int
    maker: bool
    cause: int
    realised_e8: int
    reference_e8: int
    paid_e8: int
    position_e8: int


class Fills(View[Fill]):
    """The fills of an account.

    Parameters
    ----------
    instruments : Instruments
    positions : Positions
    orders : Orders
        Both told of every row before this view is.
    """

    name: ClassVar[str] = "fills"
    record: ClassVar[type] = Fill
    key: ClassVar[tuple[str, ...]] = ("sequence",)

    def __init__(self, instruments: Instruments, positions: Positions, orders: Orders):
        self.scales = Scales(instruments)
        self.positions = positions
        self.orders = orders
        self._fresh: list[Fill] = []
        self.steps = {Kind.FILL: self._fill, Kind.LIQUIDATION: self._liquidation}

    def rows(self) -> Iterator[Fill]:
        """Return the fills since the last drain."""
        return iter(self._fresh)

    def drain(self) -> list[Fill]:
        """Return the fills since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def load(self, _records: Iterator[Fill]) -> None:
        """Take nothing back: no fill depends on another."""
        self._fresh = []

    def _fill(self, sequence: int, row: Row) -> None:
        sell, in_coin = bool(row.flags & Flag.F_SELL), bool(row.flags & Flag.F_FEE_COIN)
        order = self.orders.find(row.a)
        reference_e8 = order.reference_e8 if order else 0
        price_e8 = row.c * self.scales.tick_e8[row.symbol]
        quantity_e8 = row.d * self.scales.lot_e8[row.symbol]
        worse_e8 = (reference_e8 - price_e8 if sell else price_e8 - reference_e8) if reference_e8 else 0
        self._book(
            sequence,
            row,
            sell,
            client_id=row.a,
            trade_id=row.b,
            price_e8=price_e8,
            quantity_e8=quantity_e8,
            fee_e8=0 if in_coin else row.e,
            fee_coin_e8=row.e if in_coin else 0,
            maker=bool(row.flags & Flag.F_MAKER),
            cause=-1,
            reference_e8=reference_e8,
            paid_e8=rounded(worse_e8 * quantity_e8, E8),
        )

    def _liquidation(self, sequence: int, row: Row) -> None:
        self._book(
            sequence,
            row,
            row.a > 0,
            client_id=0,
            trade_id=0,
            price_e8=row.b,
            quantity_e8=abs(row.a) * self.scales.lot_e8[row.symbol],
            fee_e8=row.c,
            fee_coin_e8=0,
            maker=False,
            cause=row.e,
            reference_e8=0,
            paid_e8=0,
        )

    def _book(
        self, sequence: int, row: Row, sell: bool, *, price_e8: int, quantity_e8: int, maker: bool, **rest: int
    ) -> None:
        position = self.positions.of(row)
        self._fresh.append(
            Fill(
                sequence=sequence,
                ts_ns=row.ts,
                symbol=position.symbol,
                leg=position.leg,
                side=SIDES[sell],
                price_e8=price_e8,
                quantity_e8=quantity_e8,
                notional_e8=rounded(price_e8 * quantity_e8, E8),
                maker=maker,
                realised_e8=position.last_realised_e8,
                position_e8=position.quantity_e8,
                **rest,
            )
        )
