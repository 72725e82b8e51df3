"""Execution quality, by symbol: what of the orders came true, how fast, at what cost, and what the venue refused.

Knows counts, sums and histograms: bounded, however long the run. A quantile is the upper edge of its bin, a
sixteenth of an octave wide. Refuses to keep single orders. Slippage is measured from the mid at the decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.orders import Order, Orders
from autotrader.views.view import E8, INT64_MAX, Row, Scales, View, rounded
from core_ext.types import Flag, Instruments, Kind

__all__ = ["ExecutionQuality", "Figures", "Tally", "bin_of", "bin_top"]

ENDED = {"FILLED": "filled", "CANCELLED": "cancelled", "EXPIRED": "expired", "REJECTED": "rejected", "UNKNOWN": "lost"}
CODES = {
    Kind.REJECTED: "reject_code",
    Kind.ABSENT: "reject_code",
    Kind.CANCEL_REJECTED: "cancel_reject_code",
    Kind.AMEND_REJECTED: "amend_reject_code",
}


@dataclass(slots=True)
class Tally:
    """One count or sum.

    Attributes
    ----------
    measure : str
        What is counted.
    key : int
        The venue's code or the histogram's bin; 0 for a plain count or sum.
    total : int
        Count, or sum in 1e-8; like the core's sums it stays at the end of 63 bits.
    """

    symbol: str
    measure: str
    key: int
    total: int


@dataclass(frozen=True)
class Figures:
    """What the tallies of one symbol, or of all, come to; a ratio that is not defined is None.

    Attributes
    ----------
    symbol : str or None
        None: all of them.
    fill_rate : float or None
        Filled over asked, by value at the mids of the decisions.
    post_only_success : float or None
        Share of the post-only orders that the venue did not reject.
    cancel_ratio : float or None
        Share of the orders that ended cancelled.
    maker_share : float or None
        Share of the fills that were maker.
    slippage_bps : float or None
        Mean against the mid at the decision, weighted by notional, paid positive.
    slippage_bps_quantiles, time_to_fill_ns : dict of float to float or None
        By share; a time is from the decision to the fill that completes the order.
    rejected : dict of str to dict of int to int
        Counts of the venue's codes: of orders, cancels and amendments.
    """

    symbol: str | None
    orders: int
    filled: int
    cancelled: int
    expired: int
    rejections: int
    lost: int
    amended: int
    fills: int
    fill_rate: float | None
    post_only_success: float | None
    cancel_ratio: float | None
    maker_share: float | None
    slippage_bps: float | None
    slippage_bps_quantiles: dict[float, float | None]
    time_to_fill_ns: dict[float, float | None]
    traded_e8: int
    paid_e8: int
    fees_maker_e8: int
    fees_taker_e8: int
    fees_coin_e8: int
    rejected: dict[str, dict[int, int]]


class ExecutionQuality(View[Tally]):
    """The execution quality of an account.

    Parameters
    ----------
    instruments : Instruments
    orders : Orders
        Told of every row before this view is.
    """

    name: ClassVar[str] = "quality"
    record: ClassVar[type] = Tally
    key: ClassVar[tuple[str, ...]] = ("symbol", "measure", "key")
    shares: ClassVar[tuple[float, ...]] = (0.5, 0.9, 0.99)

    def __init__(self, instruments: Instruments, orders: Orders):
        self.scales = Scales(instruments)
        self.orders = orders
        self._totals: Counter[tuple[str, str, int]] = Counter()
        self._changed: set[tuple[str, str, int]] = set()
        ending = (Kind.CANCELED, Kind.EXPIRED, Kind.LOST, Kind.ALGO)
        self.steps = {
            Kind.ORDER: self._order,
            Kind.FILL: self._fill,
            Kind.ACCEPTED: self._resized,
            Kind.AMENDED: self._amended,
            **dict.fromkeys(ending, self._ended),
            **dict.fromkeys(CODES, self._refused),
        }

    def rows(self) -> Iterator[Tally]:
        """Return every tally, by symbol and measure."""
        return (Tally(*place, self._totals[place]) for place in sorted(self._totals))

    def drain(self) -> list[Tally]:
        """Return the tallies that changed since the last call."""
        changed, self._changed = self._changed, set()
        return [Tally(*place, self._totals[place]) for place in sorted(changed)]

    def load(self, records: Iterator[Tally]) -> None:
        """Take back every tally."""
        self._totals = Counter({(tally.symbol, tally.measure, tally.key): tally.total for tally in records})

    # ------------------------------------------------------------------ rows

    def _add(self, symbol: str, measure: str, amount: int = 1, key: int = 0) -> None:
        total = self._totals[symbol, measure, key] + amount
        self._totals[symbol, measure, key] = max(-INT64_MAX, min(total, INT64_MAX))
        self._changed.add((symbol, measure, key))

    def _order(self, _sequence: int, row: Row) -> None:
        symbol = self.scales.names[row.symbol]
        asked_e8 = rounded(row.e * row.c * self.scales.lot_e8[row.symbol], E8)
        self._add(symbol, "orders")
        self._add(symbol, "asked_e8", asked_e8)
        order = self.orders.find(row.a)
        if order is not None and order.tif == "GTX":
            self._add(symbol, "posted")

    def _amended(self, sequence: int, row: Row) -> None:
        self._add(self.scales.names[row.symbol], "amended")
        self._resized(sequence, row)

    def _resized(self, sequence: int, row: Row) -> None:
        # The venue may say that an order is larger or smaller than what was counted.
        at, grown_e8 = self.orders.resized
        order = self.orders.find(row.a)
        if order is not None and at == sequence:
            self._add(order.symbol, "asked_e8", rounded(order.reference_e8 * grown_e8, E8))
        self._ended(sequence, row)

    def _refused(self, sequence: int, row: Row) -> None:
        order = self.orders.find(row.a)
        if row.kind == Kind.ABSENT and (order is None or order.state_sequence != sequence):
            return  # asked about too early, or again
        self._add(self.scales.names[row.symbol], CODES[Kind(row.kind)], key=row.b)
        self._ended(sequence, row)

    def _ended(self, sequence: int, row: Row) -> None:
        order = self.orders.find(row.a)
        if order is None or order.state_sequence != sequence or order.state not in ENDED:
            return  # this row changed nothing of it
        self._add(order.symbol, ENDED[order.state])
        if order.state == "REJECTED" and order.tif == "GTX":
            self._add(order.symbol, "post_refused")
        if order.state == "FILLED":
            self._add(order.symbol, "time_to_fill_ns", key=bin_of(row.ts - order.created_ns))

    def _fill(self, sequence: int, row: Row) -> None:
        symbol, maker = self.scales.names[row.symbol], bool(row.flags & Flag.F_MAKER)
        price_e8 = row.c * self.scales.tick_e8[row.symbol]
        quantity_e8 = row.d * self.scales.lot_e8[row.symbol]
        self._add(symbol, "fills")
        self._add(symbol, "maker_fills", int(maker))
        self._add(symbol, "traded_e8", rounded(price_e8 * quantity_e8, E8))
        in_coin = row.flags & Flag.F_FEE_COIN
        self._add(symbol, "fees_coin_e8" if in_coin else "fees_maker_e8" if maker else "fees_taker_e8", row.e)
        order = self.orders.find(row.a)
        if order is not None:
            self._slipped(symbol, order, price_e8, quantity_e8)
            self._ended(sequence, row)

    def _slipped(self, symbol: str, order: Order, price_e8: int, quantity_e8: int) -> None:
        reference_e8 = order.reference_e8
        self._add(symbol, "filled_e8", rounded(reference_e8 * quantity_e8, E8))
        if reference_e8 > 0:
            worse_e8 = reference_e8 - price_e8 if order.side == "SELL" else price_e8 - reference_e8
            self._add(symbol, "paid_e8", rounded(worse_e8 * quantity_e8, E8))
            self._add(symbol, "slippage_e8", key=bin_of(rounded(worse_e8 * E8, reference_e8)))

    # ------------------------------------------------------------------ figures

    @property
    def symbols(self) -> list[str]:
        """Symbols that have tallies."""
        return sorted({symbol for symbol, _, _ in self._totals})

    def figures(self, symbol: str | None = None) -> Figures:
        """Return what the tallies come to: of one symbol, or of all of them."""
        sums: Counter[str] = Counter()
        by_key: dict[str, Counter[int]] = {}
        for (name, measure, key), total in self._totals.items():
            if symbol in (None, name):
                sums[measure] += total
                by_key.setdefault(measure, Counter())[key] += total
        slippage = _quantiles(by_key.get("slippage_e8", Counter()), self.shares)
        posted, orders = sums["posted"], sums["orders"]
        mean = _ratio(sums["paid_e8"], sums["traded_e8"])
        return Figures(
            symbol=symbol,
            orders=orders,
            filled=sums["filled"],
            cancelled=sums["cancelled"],
            expired=sums["expired"],
            rejections=sums["rejected"],
            lost=sums["lost"],
            amended=sums["amended"],
            fills=sums["fills"],
            fill_rate=_ratio(sums["filled_e8"], sums["asked_e8"]),
            post_only_success=_ratio(posted - sums["post_refused"], posted),
            cancel_ratio=_ratio(sums["cancelled"], orders),
            maker_share=_ratio(sums["maker_fills"], sums["fills"]),
            slippage_bps=None if mean is None else 1e4 * mean,
            slippage_bps_quantiles={at: None if top is None else top / 1e4 for at, top in slippage.items()},
            time_to_fill_ns=_quantiles(by_key.get("time_to_fill_ns", Counter()), self.shares),
            traded_e8=sums["traded_e8"],
            paid_e8=sums["paid_e8"],
            fees_maker_e8=sums["fees_maker_e8"],
            fees_taker_e8=sums["fees_taker_e8"],
            fees_coin_e8=sums["fees_coin_e8"],
            rejected={measure: dict(sorted(by_key.get(measure, Counter()).items())) for measure in CODES.values()},
        )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def bin_of(value: int) -> int:
    """Return the number of a value's bin: sixteen an octave, exact below 16, negative values mirrored."""
    size = abs(value)
    if size >= 16:
        power = size.bit_length() - 1
        size = (power - 3) * 16 + ((size >> (power - 4)) & 15)
    return size if value >= 0 else -size


def bin_top(number: int) -> int:
    """Return the largest value of a bin."""
    if number < 0:
        return -_floor(-number)
    return number if number < 16 else _floor(number + 1) - 1


def _floor(number: int) -> int:
    return number if number < 16 else (16 + number % 16) << (number // 16 - 1)


def _quantiles(bins: Counter[int], shares: tuple[float, ...]) -> dict[float, float | None]:
    # The smallest bin at which so large a share of the values is reached.
    count = sum(bins.values())
    found: dict[float, float | None] = dict.fromkeys(shares)
    for share in shares if count else ():
        reached = 0
        for number in sorted(bins):
            reached += bins[number]
            if reached >= share * count:
                found[share] = bin_top(number)
                break
    return found
