"""Raw columns into checked rows of 64 bytes, exact to the eighth decimal.

Knows what a price, a volume, a rate and a stamp may be, and how a bar, a funding rate and a trade
are written as rows. Refuses to know which files there are and how symbols interleave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from autotrader.adapters.storage.sources import Content, Source
from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.types import EVENT_DTYPE, Flag, Kind

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.void]

E8 = 10**8
# 18 digits at eight decimals: above it a price does not fit the rows.
PRICE_LIMIT = 1e10
# Below it a published decimal, read as a double, times 1e8 is within half a unit of its integer.
EXACT = float(1 << 50)
# Lots from here on could not be told from their neighbours in a double.
LOTS_LIMIT = float(1 << 50)
# 2000 to 2100 in milliseconds; the archive's microseconds are a thousand times larger.
EARLIEST_MS, LATEST_MS, MICROSECONDS = 946_684_800_000, 4_102_444_800_000, 100_000_000_000_000

OHLC = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Grid:
    """An instrument of the run, as far as its history must know it: its index and its steps."""

    index: int
    symbol: str
    tick_e8: int
    lot_e8: int


class Sheet:
    """The rows of one symbol in one block of a file.

    Parameters
    ----------
    source : Source
        The file, for its columns' names and its bars' interval.
    grid : Grid
        The instrument.
    frame : polars.DataFrame
        Its columns as read, with ``row``, the number of each row in the file.

    Attributes
    ----------
    rounded : int
        Values finer than 1e-8 that were rounded so far.
    """

    def __init__(self, source: Source, grid: Grid, frame: pl.DataFrame):
        self.source = source
        self.grid = grid
        self.frame = frame
        self.rounded = 0

    def refuse(self, bad: Mask, column: str, reason: str) -> None:
        """Raise OperatorError for the first row that is bad, if there is one."""
        if not bad.any():
            return
        i = int(bad.argmax())
        found = self.frame[column][i]
        raise OperatorError(
            say(
                "history.bad_value",
                place=self._place(i),
                symbol=self.grid.symbol,
                column=self.source.layout.columns[column],
                value=say("history.nothing") if found is None else str(found)[:40],
                reason=reason,
            )
        )

    def _place(self, i: int) -> str:
        if "row" not in self.frame.columns:
            return str(self.source.path)
        return say("history.place", path=self.source.path, row=self.frame["row"][i])

    def whole(self, column: str) -> Ints:
        """Return a column of whole numbers."""
        numbers = self.frame[column].cast(pl.Int64, strict=False)
        self.refuse(numbers.is_null().to_numpy(), column, say("history.not_whole"))
        return numbers.to_numpy()

    def stamps(self) -> Ints:
        """Return the rows' stamps in nanoseconds UTC; milliseconds and microseconds are told apart by size."""
        raw = self.whole("ts")
        micro = raw >= MICROSECONDS
        ms = np.where(micro, raw // 1000, raw)
        self.refuse((ms < EARLIEST_MS) | (ms >= LATEST_MS), "ts", say("history.not_stamp"))
        return np.where(micro, raw * 1000, raw * 1_000_000)

    def prices(self, column: str) -> Ints:
        """Return prices as integers at eight decimals."""
        numbers, values = self._numbers(column)
        self.refuse(~((values >= 1 / E8) & (values < PRICE_LIMIT)), column, say("history.not_price"))
        return self._e8(column, numbers, values)

    def rates(self, column: str) -> Ints:
        """Return funding rates, fractions per interval, as integers at eight decimals."""
        numbers, values = self._numbers(column)
        self.refuse(~(np.abs(values) < 1), column, say("history.not_rate"))
        return self._e8(column, numbers, values)

    def lots(self, column: str) -> Ints:
        """Return quantities in lots, rounded to the nearest lot."""
        lot_e8 = self.grid.lot_e8
        numbers, values = self._numbers(column)
        scaled = values * E8
        self.refuse(~((values >= 0) & (scaled / lot_e8 < LOTS_LIMIT)), column, say("history.not_quantity"))
        e8 = np.rint(np.where(scaled < EXACT, scaled, 0)).astype(np.int64)
        lots = (e8 + lot_e8 // 2) // lot_e8
        far = scaled >= EXACT
        if far.any():
            lots[far] = _far_lots(numbers, values, far, lot_e8)
        return lots

    def exact(self, column: str) -> Ints:
        """Return quantities at eight decimals, 0 for those that cannot be told so exactly."""
        scaled = self._numbers(column)[1] * E8
        return np.rint(np.where((scaled > 0) & (scaled < EXACT), scaled, 0)).astype(np.int64)

    def sides(self, column: str) -> Mask:
        """Return a column of true and false."""
        text = self.frame[column].cast(pl.String).fill_null("").str.to_lowercase()
        self.refuse((~text.is_in(["true", "false"])).to_numpy(), column, say("history.not_side"))
        return (text == "true").to_numpy()

    def _numbers(self, column: str) -> tuple[pl.Series, Floats]:
        # Text becomes exact decimals; what is no number becomes NaN in the doubles used for range checks.
        raw = self.frame[column]
        numbers = raw.cast(pl.Decimal(38, 8) if raw.dtype == pl.String else pl.Float64, strict=False)
        return numbers, numbers.cast(pl.Float64).to_numpy()

    def _e8(self, column: str, numbers: pl.Series, values: Floats) -> Ints:
        if numbers.dtype != pl.Float64:
            finer = self.frame[column].cast(pl.Decimal(38, 16), strict=False) != numbers
            self.rounded += int(finer.sum())
            return numbers.to_physical().cast(pl.Int64).to_numpy()
        scaled = values * E8
        e8 = np.rint(scaled).astype(np.int64)
        far = np.abs(scaled) >= EXACT
        if far.any():
            e8[far] = [int((Decimal(repr(value)) * E8).to_integral_value()) for value in values[far].tolist()]
        self.rounded += int(np.count_nonzero((e8 / E8 != values) & ~far))
        return e8


def _far_lots(numbers: pl.Series, values: Floats, far: Mask, lot_e8: int) -> Any:
    if numbers.dtype == pl.Float64:
        return np.floor(values[far] * E8 / lot_e8 + 0.5)
    return [(e8 + lot_e8 // 2) // lot_e8 for e8 in numbers.to_physical().filter(pl.Series(far)).to_list()]


def in_sheets(source: Source, grids: Mapping[str, Grid], frame: pl.DataFrame) -> list[Sheet]:
    """Return one sheet for each symbol in a block of a file."""
    if frame.is_empty():
        return []
    if source.symbol:
        return [Sheet(source, grids[source.symbol], frame)]
    groups = frame.partition_by("symbol", maintain_order=True)
    return [Sheet(source, grids[str(group["symbol"][0])], group) for group in groups]


def _rows(sheet: Sheet, kind: Kind, flags: int) -> Rows:
    rows = np.zeros(sheet.frame.height, EVENT_DTYPE)
    rows["kind"] = kind
    rows["flags"] = flags
    rows["symbol"] = sheet.grid.index
    return rows


def _bars(sheet: Sheet, kind: Kind) -> Rows:
    rows = _rows(sheet, kind, Flag.F_CLOSED)
    prices = [sheet.prices(column) for column in OHLC]
    opened, high, low, closed = prices
    sheet.refuse(high < low, "high", say("history.high_below_low"))
    sheet.refuse((opened > high) | (opened < low), "open", say("history.outside_bar"))
    sheet.refuse((closed > high) | (closed < low), "close", say("history.outside_bar"))
    rows["ts"] = sheet.stamps() + sheet.source.interval_ns
    for word, column in zip("abcd", prices, strict=True):
        rows[word] = column
    rows["f"] = sheet.source.interval_ns
    return rows


def candles(sheet: Sheet) -> Rows:
    """Return CANDLE rows, each at its close."""
    rows = _bars(sheet, Kind.CANDLE)
    rows["e"] = sheet.lots("volume")
    return rows


def marks(sheet: Sheet) -> Rows:
    """Return MARK_CANDLE rows, each at its close."""
    return _bars(sheet, Kind.MARK_CANDLE)


def funding(sheet: Sheet) -> Rows:
    """Return FUNDING rows at their whole second, their mark not known yet.

    Notes
    -----
    The exchange stamps a settlement up to tens of milliseconds after the full hour.
    """
    rows = _rows(sheet, Kind.FUNDING, Flag.F_END)
    rows["ts"] = sheet.stamps() // 10**9 * 10**9
    rows["a"] = sheet.rates("rate")
    return rows


def trades(sheet: Sheet) -> Rows:
    """Return TRADE rows; a price that is on no tick of the instrument is refused."""
    tick_e8 = sheet.grid.tick_e8
    rows = _rows(sheet, Kind.TRADE, Flag.F_END)
    prices = sheet.prices("price")
    sheet.refuse(prices % tick_e8 != 0, "price", say("history.off_tick", tick=tick_e8 / E8))
    rows["flags"] |= np.where(sheet.sides("maker"), Flag.F_SELL, 0).astype(np.uint8)
    rows["ts"] = sheet.stamps()
    rows["b"] = prices // tick_e8
    rows["c"] = sheet.lots("quantity")
    for word, column in (("a", "id"), ("d", "first"), ("e", "last")):
        rows[word] = sheet.whole(column)
    return rows


DECODERS: dict[Content, Callable[[Sheet], Rows]] = {
    Content.KLINES: candles,
    Content.MARK: marks,
    Content.FUNDING: funding,
    Content.TRADES: trades,
}


def decoded(sheet: Sheet) -> Rows:
    """Return the checked rows of a sheet, one for each of its own, with the close as the stamp of a bar."""
    return DECODERS[sheet.source.content](sheet)
