"""The steps that the prices and quantities of a history lie on, month by month.

Knows which columns of a file tell the tick and the lot of their day, and that a record of them knows better.
Refuses to know which steps the exchange has and what a run does with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autotrader.adapters.storage.sheets import OHLC, Grid, Ints, Sheet, in_sheets
from autotrader.adapters.storage.sources import Content, identify
from autotrader.instruments import Decimals, Epoch

__all__ = ["Steps"]

PRICES = {Content.KLINES: OHLC, Content.TRADES: ("price",)}
QUANTITY = {Content.KLINES: "volume", Content.TRADES: "quantity"}


class Steps:
    """What the candles and trades of some files tell of the filters of their day.

    Parameters
    ----------
    paths : sequence of Path
        The files, each read once; those without prices that were traded tell nothing.
    specs : sequence of mapping
        The run's instruments as they are today.
    records : mapping of str to sequence of Epoch
        By symbol the steps that somebody recorded: each goes before what the data of its month tell.

    Raises
    ------
    OperatorError
        If a file cannot be read or a value in it cannot be true.
    """

    def __init__(
        self, paths: Sequence[Path], specs: Sequence[Mapping[str, Any]], records: Mapping[str, Sequence[Epoch]]
    ):
        self._grids = {
            spec["symbol"]: Grid(index, spec["symbol"], spec["tick_e8"], spec["lot_e8"])
            for index, spec in enumerate(specs)
        }
        self._records = records
        self._months: dict[str, dict[int, tuple[Decimals, Decimals]]] = {name: {} for name in self._grids}
        for source in map(identify, paths):
            if source.content in PRICES:
                for frame in source.scan(list(self._grids)):
                    for sheet in in_sheets(source, self._grids, frame):
                        self._count(sheet)

    def _count(self, sheet: Sheet) -> None:
        content = sheet.source.content
        months = _months_of(sheet.stamps())
        prices = [sheet.prices(column) for column in PRICES[content]]
        quantities = sheet.exact(QUANTITY[content])
        known = self._months[sheet.grid.symbol]
        for month in np.unique(months).tolist():
            rows = months == month
            of_prices, of_quantities = known.setdefault(
                month, (Decimals(sheet.grid.tick_e8), Decimals(sheet.grid.lot_e8))
            )
            for values in prices:
                of_prices.add(values[rows])
            of_quantities.add(quantities[rows])

    def epochs(self, symbol: str) -> list[Epoch]:
        """Return what each month of a symbol tells, in the order of time; 0 where it tells nothing."""
        recorded = {int(_months_of(np.array([epoch.first_ns]))[0]): epoch for epoch in self._records.get(symbol, ())}
        told = []
        for month, (prices, quantities) in sorted(self._months[symbol].items()):
            record = recorded.get(month)
            tick_e8, lot_e8 = (record.tick_e8, record.lot_e8) if record else (prices.step_e8, quantities.step_e8)
            told.append(Epoch(_begin_ns(month), tick_e8, lot_e8))
        return told

    def off_tick(self, symbol: str, today_e8: int, epochs: Sequence[Epoch]) -> int:
        """Return how many prices of a symbol lie on no tick of their day.

        Parameters
        ----------
        symbol : str
        today_e8 : int
            The tick before the first of the epochs.
        epochs : sequence of Epoch
            As `autotrader.instruments.epochs_of` gives them.
        """
        ticks = [(-1, today_e8), *((epoch.first_ns, epoch.tick_e8) for epoch in epochs)]
        count = 0
        for month, (prices, _) in self._months[symbol].items():
            count += prices.off(next(tick for first, tick in reversed(ticks) if first <= _begin_ns(month)))
        return count


def _months_of(stamps_ns: Ints) -> Ints:
    return stamps_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)


def _begin_ns(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[ns]").astype(np.int64))
