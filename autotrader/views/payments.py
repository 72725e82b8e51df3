"""Payments: every movement of money that is no trade: funding, transfers, margin into isolated positions.

Knows amounts and whom they concern. Refuses to remember them: records are drained as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.view import Row, Scales, View
from core_ext.types import Asset, Flag, Instruments, Kind

__all__ = ["Payment", "Payments"]


@dataclass(slots=True)
class Payment:
    """One payment.

    Attributes
    ----------
    kind : str
        FUNDING_PAID, TRANSFER or MARGIN_MOVED.
    symbol : str
        Empty for a transfer.
    amount_e8 : int
        Received positive; of a margin move, into the position positive.
    rate_e8, mark_e8, quantity_e8 : int
        Of a funding payment: the rate, the mark, and the position it was paid on.
    """

    sequence: int
    ts_ns: int
    kind: str
    symbol: str
    leg: int
    asset: str
    amount_e8: int
    rate_e8: int = 0
    mark_e8: int = 0
    quantity_e8: int = 0


class Payments(View[Payment]):
    """The payments of an account.

    Parameters
    ----------
    instruments : Instruments
    """

    name: ClassVar[str] = "payments"
    record: ClassVar[type] = Payment
    key: ClassVar[tuple[str, ...]] = ("sequence",)

    def __init__(self, instruments: Instruments):
        self.scales = Scales(instruments)
        self._fresh: list[Payment] = []
        self.steps = {
            Kind.FUNDING_PAID: self._funding,
            Kind.TRANSFER: self._transfer,
            Kind.MARGIN_MOVED: self._margin_moved,
        }

    def rows(self) -> Iterator[Payment]:
        """Return the payments since the last drain."""
        return iter(self._fresh)

    def drain(self) -> list[Payment]:
        """Return the payments since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def load(self, _records: Iterator[Payment]) -> None:
        """Take nothing back: no payment depends on another."""
        self._fresh = []

    def _funding(self, sequence: int, row: Row) -> None:
        payment = self._pay(sequence, row, self.scales.names[row.symbol], Asset.USDT)
        payment.rate_e8, payment.mark_e8 = row.b, row.c
        payment.quantity_e8 = row.d * self.scales.lot_e8[row.symbol]

    def _transfer(self, sequence: int, row: Row) -> None:
        self._pay(sequence, row, "", row.b)

    def _margin_moved(self, sequence: int, row: Row) -> None:
        self._pay(sequence, row, self.scales.names[row.symbol], Asset.USDT)

    def _pay(self, sequence: int, row: Row, symbol: str, asset: int) -> Payment:
        leg = 1 if row.flags & Flag.F_SHORT else 0
        payment = Payment(sequence, row.ts, Kind(row.kind).name, symbol, leg, Asset(asset).name or str(asset), row.a)
        self._fresh.append(payment)
        return payment
