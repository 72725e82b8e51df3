"""Equity: the account's money over time, one sample for each stretch in which something happened.

Knows the wallet exactly, from the bookings. What is held is valued at the last price that the journal tells:
its mark price rows where it has them (live), else fills, decisions and funding stamps, and every sample says
how old the oldest of these prices is. Refuses to fetch a price from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from autotrader.views.positions import Positions
from autotrader.views.view import E8, Row, View, rounded
from core_ext.types import Asset, Flag, Kind

__all__ = ["MINUTE_NS", "Equity", "Sample"]

MINUTE_NS = 60 * 10**9


@dataclass(slots=True)
class Sample:
    """The account at the last row of a stretch that concerned it; money in 1e-8 USDT, other coins in 1e-8 of them.

    Attributes
    ----------
    slot_ns : int
        Start of the stretch.
    ts_ns, sequence : int
        The row.
    wallet_e8 : int
        Start + realised - fees + funding + transfers, of USDT alone.
    unrealised_e8, gross_e8 : int
        At the last prices that the rows tell.
    priced_ns : int
        Stamp of the oldest of these prices, 0 when nothing is held.
    peak_e8, drawdown_e8 : int
        Highest equity of the samples (a transfer moves it in proportion) and the share lost from it, 1e-8.
    """

    slot_ns: int
    ts_ns: int
    sequence: int
    equity_e8: int
    wallet_e8: int
    unrealised_e8: int
    gross_e8: int
    realised_e8: int
    fees_e8: int
    liquidation_fees_e8: int
    funding_e8: int
    transfers_e8: int
    peak_e8: int
    drawdown_e8: int
    priced_ns: int
    bnb_e8: int = 0
    usdc_e8: int = 0
    btc_e8: int = 0
    eth_e8: int = 0


_COINS: dict[int, str] = {Asset.BNB: "bnb_e8", Asset.USDC: "usdc_e8", Asset.BTC: "btc_e8", Asset.ETH: "eth_e8"}
_EMPTY = Sample(*(0 for _ in fields(Sample)))


class Equity(View[Sample]):
    """The equity samples of an account.

    Parameters
    ----------
    positions : Positions
        Told of every row after this view is, which closes a stretch before the next one's first row changes anything.
    start_e8 : int
        Starting wallet, 1e-8 USDT.
    slot_ns : int, optional
        Length of a stretch.
    """

    name: ClassVar[str] = "equity"
    record: ClassVar[type] = Sample
    key: ClassVar[tuple[str, ...]] = ("slot_ns",)

    def __init__(self, positions: Positions, start_e8: int, slot_ns: int = MINUTE_NS):
        self.positions = positions
        self.start_e8 = start_e8
        self.slot_ns = slot_ns
        self._before: Sample | None = None  # the last one whose stretch is over
        self._now: Sample | None = None  # the one under way; its sums are worked out when they are asked for
        self._stale = False
        self._fresh: list[Sample] = []
        self.steps = {
            Kind.RUN: self._seen,
            Kind.FILL: self._fill,
            Kind.LIQUIDATION: self._seen,
            Kind.FUNDING_PAID: self._seen,
            Kind.TRANSFER: self._transfer,
            Kind.POSITION: self._seen,
            Kind.WALLET: self._wallet,
            Kind.ORDER: self._priced,
            Kind.MARK: self._priced,
            Kind.MARK_CANDLE: self._priced,
        }

    def rows(self) -> Iterator[Sample]:
        """Return the samples since the last drain, and the one under way."""
        return iter(self._fresh if self._now is None else [*self._fresh, replace(self._sums(self._now))])

    def drain(self) -> list[Sample]:
        """Return the samples since the last call; the one under way comes again whenever it has changed."""
        fresh = list(self.rows()) if self._stale else self._fresh
        self._fresh, self._stale = [], False
        return fresh

    def load(self, records: Iterator[Sample]) -> None:
        """Take back the last two samples."""
        self._now, self._before = next(records, None), next(records, None)

    # ------------------------------------------------------------------ rows

    def _seen(self, sequence: int, row: Row) -> None:
        self._enter(sequence, row)

    def _enter(self, sequence: int, row: Row) -> Sample:
        slot_ns = row.ts - row.ts % self.slot_ns
        now = self._now
        if now is None or slot_ns > now.slot_ns:
            if now is not None and self._stale:
                self._fresh.append(self._sums(now))
            self._before = now
            self._now = now = replace(now or _EMPTY, slot_ns=slot_ns)
        now.ts_ns, now.sequence, self._stale = row.ts, sequence, True
        return now

    def _fill(self, sequence: int, row: Row) -> None:
        now = self._enter(sequence, row)
        if row.flags & Flag.F_FEE_COIN:
            now.bnb_e8 -= row.e

    def _transfer(self, sequence: int, row: Row) -> None:
        now, coin = self._enter(sequence, row), _COINS.get(row.b)
        if row.b == Asset.USDT:
            now.transfers_e8 += row.a
        elif coin is not None:
            setattr(now, coin, getattr(now, coin) + row.a)

    def _wallet(self, sequence: int, row: Row) -> None:
        # What the venue's wallet has more was brought in; what it lacks was lost, and the peak stays.
        now, coin = self._enter(sequence, row), _COINS.get(row.b)
        if row.b != Asset.USDT:
            if coin is not None:
                setattr(now, coin, row.a)
            return
        missing_e8 = min(0, row.a - self._sums(now).wallet_e8)
        now.transfers_e8 += row.a - now.wallet_e8
        if self._before is not None:
            self._before.transfers_e8 += missing_e8

    def _priced(self, sequence: int, row: Row) -> None:
        if self.positions.holds(row.symbol):
            self._enter(sequence, row)

    # ------------------------------------------------------------------ sums

    def _sums(self, now: Sample) -> Sample:
        legs = list(self.positions.rows())
        held = [leg for leg in legs if leg.quantity_e8]
        now.realised_e8 = sum(leg.realised_e8 for leg in legs)
        now.fees_e8 = sum(leg.fees_e8 for leg in legs)
        now.liquidation_fees_e8 = sum(leg.liquidation_fees_e8 for leg in legs)
        now.funding_e8 = sum(leg.funding_e8 for leg in legs)
        now.unrealised_e8 = sum(leg.unrealised_e8 for leg in held)
        now.gross_e8 = sum(abs(leg.value_e8) for leg in held)
        now.priced_ns = min((leg.price_ns for leg in held), default=0)
        now.wallet_e8 = self.start_e8 + now.realised_e8 - now.fees_e8 + now.funding_e8 + now.transfers_e8
        now.equity_e8 = now.wallet_e8 + now.unrealised_e8
        now.peak_e8 = max(self._peak(now), now.equity_e8)
        now.drawdown_e8 = rounded((now.peak_e8 - now.equity_e8) * E8, now.peak_e8) if now.peak_e8 > 0 else 0
        return now

    def _peak(self, now: Sample) -> int:
        # A deposit is no profit and a withdrawal no loss: the share below the peak stays what it was.
        before = self._before
        peak_e8, moved_e8 = (before.peak_e8, before.transfers_e8) if before else (self.start_e8, 0)
        untouched_e8 = now.equity_e8 - (now.transfers_e8 - moved_e8)
        if untouched_e8 == now.equity_e8 or untouched_e8 <= 0:
            return peak_e8
        return rounded(peak_e8 * now.equity_e8, untouched_e8)
