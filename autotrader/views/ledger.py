"""The ledger: all views of one account, told of the journal's rows in order.

Knows which view hears a row before which, and how far the journal has been read. Refuses to know files: who
wants to keep the records drains them (batch by batch, so that memory stays bounded) and stores them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.views.equity import Equity
from autotrader.views.fills import Fills
from autotrader.views.orders import Orders
from autotrader.views.payments import Payments
from autotrader.views.positions import Positions
from autotrader.views.quality import ExecutionQuality
from autotrader.views.risk import Risk
from autotrader.views.view import Row, View, decode
from core_ext.types import Instruments

__all__ = ["Ledger"]


class Ledger:
    """The views of one account.

    Parameters
    ----------
    instruments : Instruments
    start_e8 : int
        Starting wallet, 1e-8 USDT.

    Attributes
    ----------
    next : int
        Sequence number of the row that is awaited; a row's number is its position in the journal.
    """

    def __init__(self, instruments: Instruments, start_e8: int):
        self.instruments = instruments
        self.start_e8 = start_e8
        self.positions = Positions(instruments)
        self.equity = Equity(self.positions, start_e8)
        self.orders = Orders(instruments)
        self.fills = Fills(instruments, self.positions, self.orders)
        self.payments = Payments(instruments)
        self.quality = ExecutionQuality(instruments, self.orders)
        self.risk = Risk(instruments)
        # In this order a row is told: a stretch of equity ends before its first row changes a position.
        self.views: tuple[View[Any], ...] = (
            self.equity,
            self.positions,
            self.orders,
            self.fills,
            self.payments,
            self.quality,
            self.risk,
        )
        self.next = 0
        self._told: list[tuple[Callable[[int, Row], None], ...]] = [
            tuple(view.steps[kind] for view in self.views if kind in view.steps) for kind in range(256)
        ]
        self._wanted = np.array([bool(told) for told in self._told])

    def apply(self, first: int, rows: NDArray[np.void]) -> None:
        """Fold rows of the journal; rows that were folded before change nothing.

        Parameters
        ----------
        first : int
            Sequence number of the first of them.
        rows : array of EVENT_DTYPE

        Raises
        ------
        ValueError
            If rows are missing between the last one and these.
        """
        if first > self.next:
            raise ValueError(f"row {self.next} of the journal is awaited, {first} came")
        for sequence, row in decode(self.next, rows[self.next - first :], self._wanted):
            for step in self._told[row.kind]:
                step(sequence, row)
        self.next = max(self.next, first + len(rows))
