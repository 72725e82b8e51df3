"""A stress run: one leveraged long, opened at the first bar and held through a crash.

Knows how the position is opened behind a gate that stands aside, and what its margin went through, bar by
bar. Refuses to judge a strategy and the limits of the risk gate (a real run has both, and would have made the
position smaller or closed it), and to know files and pages: it is given rows and gives numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrader import config as configuration
from autotrader.errors import OperatorError, StateError
from autotrader.messages import say
from autotrader.research.replay import limits, sizing
from core_ext.account import Account
from core_ext.driver import Driver
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalWriter, read_journal
from core_ext.strategy import Strategy
from core_ext.types import Flag, Instruments, Kind, Reason, Setting, Side

__all__ = ["STAND_ASIDE", "Closed", "Hold", "Paid", "Point", "Stress", "iso", "run"]

E8 = 10**8
GRACE_NS = 1_000_000_000
ORDER_SLACK_E8 = 50_000
"""How much worse than the last close a market order is taken to fill when it is sized: 0.05 %, as the exchange does."""

STAND_ASIDE: dict[str, float] = {
    "exit_collar_e8": E8 - 1,
    "max_reprices": 15,
    "max_drift_e8": 10 * E8,
    "max_order_e8": 10**9 * E8,
    "order_equity_share_e8": E8,
    "order_leverage_e8": 200 * E8,
    "volume_share_e8": 10**6 * E8,
    "assumed_minute_e8": 10**9 * E8,
    "depth_share_e8": 10**6 * E8,
    "symbol_share_e8": E8,
    "strategy_leverage_e8": 200 * E8,
    "max_gross_e8": 200 * E8,
    "max_net_e8": 200 * E8,
    "max_cluster_e8": 200 * E8,
    "max_leverage": 200,
    "bracket_share_e8": 10**4 * E8,
    "liquidation_distance_e8": 1,
    "liquidation_alarm_e8": 1,
    "liquidation_reduce_e8": 1,
    "liquidation_atr": 1e-9,
    "margin_ratio_e8": 100 * E8,
    "margin_reduce_e8": 100 * E8,
    "orders_per_second": 10**6,
    "order_burst": 10**6,
    "orders_per_minute": 4_000,
    "strategy_orders_per_second": 10**6,
    "quality_orders": 10**9,
    "duplicate_ns": 0,
    "fat_finger_e8": 10**6 * E8,
    "book_stale_ns": 1 << 61,
    "mark_stale_ns": 1 << 61,
    "candle_stale": 1e9,
    "max_unknown": 4_000,
    "max_drawdown_e8": E8 - 1,
    "daily_loss_e8": E8 - 1,
    "loss_rate_e8": E8 - 1,
    "volatility_collars": 1e9,
    "spread_median": 1e9,
    "max_orders_symbol": 4_000,
    "max_orders_total": 4_000,
    "headroom_ns": 0,
}
"""Limits with which the gate lets one large position be opened and leaves it alone (R9 and R10 would reduce it)."""
COSTED_LOTS = 10**6
MOST_LOTS = 10**12


class Hold(Strategy):
    """Buy at the first closed bar all that the account's leverage allows, and never trade again.

    What the exchange asks for beside the margin is kept back: the fee, and the loss against the mark of a price
    that is a little worse than the last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def on_bars(self) -> None:
        """Ask once, for all that the available balance pays for."""
        if self.asked:
            return
        self.asked = True
        # Cost is proportional to size: what many lots cost says how many there can be.
        account = self.desk.account
        price_e8 = round(self.desk.last_price(0) * (E8 + ORDER_SLACK_E8))
        cost_e8 = account.order_cost(0, int(Side.BUY), price_e8, COSTED_LOTS)
        self.desk.submit(0, int(Side.BUY), account.available() * COSTED_LOTS // cost_e8)

    def snapshot(self) -> object:
        """Return whether it has asked."""
        return self.asked


class Point(NamedTuple):
    """The position at one bar's close; money and prices at 1e-8.

    Prices of the last trades and of the mark: high, low, close. ``low`` figures stand at the mark's low, before
    anything that happened at the stamp; the others after it, at the mark's close. The balance is what the
    maintenance margin is held against: of the account (cross), or of the position alone (isolated).
    """

    ts_ns: int
    last_high_e8: int
    last_low_e8: int
    last_close_e8: int
    mark_high_e8: int
    mark_low_e8: int
    mark_close_e8: int
    low_balance_e8: int
    low_maintenance_e8: int
    liquidation_e8: int
    balance_e8: int
    maintenance_e8: int
    lots: int
    from_candle: bool

    @property
    def distance(self) -> float:
        """How far the mark's low stayed above the liquidation price, as a share of it; below zero: it went through."""
        return self.mark_low_e8 / self.liquidation_e8 - 1.0

    @property
    def gap(self) -> float:
        """The farthest of high, low and close of the last price from the mark's, as a share of the mark."""
        pairs = zip(self[1:4], self[4:7], strict=True)
        return max((last / mark - 1.0 for last, mark in pairs), key=abs)


class Paid(NamedTuple):
    """A funding payment: received positive, 1e-8 USDT; rate and mark at 1e-8."""

    ts_ns: int
    amount_e8: int
    rate_e8: int
    mark_e8: int
    lots: int


class Closed(NamedTuple):
    """A part of the position that the exchange closed by force: lots at a price, the fee and the mark, 1e-8 USDT."""

    ts_ns: int
    lots: int
    price_e8: int
    fee_e8: int
    mark_e8: int
    cause: int


@dataclass(frozen=True)
class Stress:
    """What became of one leveraged long.

    Attributes
    ----------
    symbol, leverage, isolated
        What was asked for.
    start_e8, end_e8 : int
        Equity before and after, 1e-8 USDT.
    entry_ns, entry_e8, lots : int
        When the position was opened, its average price (1e-8) and its size.
    fees_e8, liquidation_fees_e8 : int
        Fees, the liquidation's among them; and those alone.
    points : list of Point
        By bar, from the first that the position lived through.
    funding : list of Paid
    closed : list of Closed
        Empty where it survived.
    """

    symbol: str
    leverage: int
    isolated: bool
    start_e8: int
    end_e8: int
    entry_ns: int
    entry_e8: int
    lots: int
    fees_e8: int
    liquidation_fees_e8: int
    points: list[Point]
    funding: list[Paid]
    closed: list[Closed]

    @property
    def liquidated_ns(self) -> int | None:
        """Close of the bar, or stamp of the funding, that liquidated; None: it survived."""
        return self.closed[0].ts_ns if self.closed else None

    @property
    def held(self) -> list[Point]:
        """The bars through which the whole position was held."""
        return [point for point in self.points if self.liquidated_ns is None or point.ts_ns <= self.liquidated_ns]

    @property
    def lowest(self) -> tuple[int, int]:
        """Stamp and amount (1e-8 USDT) of the lowest margin balance.

        Notes
        -----
        Of the balances at the mark's lows that were survived, and of what a liquidation left. How deep a mark fell
        that liquidated says nothing: the position was gone before.
        """
        survived = [(point.low_balance_e8, point.ts_ns) for point in self.held if point.ts_ns != self.liquidated_ns]
        left = [(point.balance_e8, point.ts_ns) for point in self.points]
        amount, ts_ns = min(survived + left)
        return ts_ns, amount

    @property
    def nearest(self) -> Point | None:
        """The bar whose mark came nearest to the liquidation price; None where no price above zero liquidates."""
        near = [point for point in self.held if point.liquidation_e8 > 0]
        return min(near, key=lambda point: point.distance, default=None)

    @property
    def widest(self) -> Point | None:
        """The bar in which last price and mark were farthest apart; None without a mark series."""
        return max((p for p in self.points if not p.from_candle), key=lambda point: abs(point.gap), default=None)

    @property
    def funding_e8(self) -> int:
        """All funding, received positive, 1e-8 USDT."""
        return sum(paid.amount_e8 for paid in self.funding)

    @property
    def stood_in(self) -> int:
        """Bars for which the candle stood in for a mark that the files do not have."""
        return sum(point.from_candle for point in self.points)

    def figures(self, lot_e8: int) -> dict[str, Any]:
        """Return the numbers of the table: USDT, prices, coins, shares and ISO times; None for what does not exist."""
        (lowest_ns, lowest_e8), nearest, widest = self.lowest, self.nearest, self.widest
        quantity = self.lots * lot_e8 / E8
        return {
            "leverage": self.leverage,
            "entry_at": iso(self.entry_ns),
            "entry_price": self.entry_e8 / E8,
            "quantity": quantity,
            "notional": quantity * self.entry_e8 / E8,
            "liquidated_at": None if self.liquidated_ns is None else iso(self.liquidated_ns),
            "lowest_equity": lowest_e8 / E8,
            "lowest_at": iso(lowest_ns),
            "nearest_distance": nearest and nearest.distance,
            "nearest_at": nearest and iso(nearest.ts_ns),
            "funding": self.funding_e8 / E8,
            "fees": (self.fees_e8 - self.liquidation_fees_e8) / E8,
            "liquidation_fee": self.liquidation_fees_e8 / E8,
            "final_equity": self.end_e8 / E8,
            "largest_gap": widest and widest.gap,
            "gap_at": widest and iso(widest.ts_ns),
        }


def iso(ts_ns: int) -> str:
    """Return a stamp as ISO 8601, UTC, to the second."""
    return f"{np.datetime64(ts_ns, 'ns').astype('datetime64[s]')}Z"


def run(
    spec: dict[str, Any],
    rows: NDArray[np.void],
    mark_source: str,
    leverage: int,
    isolated: bool,
    start_e8: int,
    journal: Path,
) -> Stress:
    """Open one long on the first bar's close and hold it to the last row.

    Parameters
    ----------
    spec : dict
        The instrument (`core_ext.types.Instruments`); its leverage is replaced by the one asked for.
    rows : array of EVENT_DTYPE
        Candles, mark candles and funding of this one symbol, in the order of a run.
    mark_source : {"file", "proxy"}
        Whether mark candles decide, or the candles stand in for them.
    leverage : int
    isolated : bool
    start_e8 : int
        Wallet before the entry, 1e-8 USDT.
    journal : Path
        Where the run's journal is written; it must not exist.

    Raises
    ------
    OperatorError
        If the position cannot be opened: no bars, a leverage that its size may not have, too small a wallet.
    StateError
        If the journal and the venue's account do not agree on the money.
    """
    # How the position was bought is not judged: one order, of whatever size.
    instruments = Instruments([spec | {"leverage": leverage, "max_lots": MOST_LOTS, "max_market_lots": MOST_LOTS}])
    config = configuration.from_dict(_PLAIN | {"run": {"mode": "backtest", "symbols": [spec["symbol"]]}})
    engine = Engine(instruments, Hold(), limits(config) | STAND_ASIDE, sizing(config), start_e8, 1, [mark_source])
    venue = Exchange(instruments, [Account(instruments, start_e8)], [mark_source], 0.0, 0.0, GRACE_NS)
    writer = JournalWriter(str(journal))
    driver = Driver(engine, venue, None, writer, 0, 0, GRACE_NS)
    if isolated and len(rows):
        driver.control(int(Kind.SETTING), int(rows["ts"][0]), (int(Setting.ISOLATED), 1))
    driver.feed_rows(rows, 0, 0)
    driver.finish()
    writer.close()
    told = np.concatenate([block.array() for block in read_journal(str(journal))])
    _require_position(told, spec["symbol"], leverage)
    account = Account(instruments, start_e8)
    if isolated:
        account.set(0, int(Setting.ISOLATED), 1)
    points = list(_points(rows, told, account, mark_source))
    _require_agreement(account, venue.accounts[0])
    fills = _of(told, Kind.FILL)
    fills = fills[fills["ts"] == fills["ts"][0]]
    lots = int(fills["d"].sum())
    return Stress(
        symbol=spec["symbol"],
        leverage=leverage,
        isolated=isolated,
        start_e8=start_e8,
        end_e8=account.equity(),
        entry_ns=int(fills["ts"][0]),
        entry_e8=sum(int(row["c"]) * int(row["d"]) for row in fills) * spec["tick_e8"] // lots,
        lots=lots,
        fees_e8=account.fees_e8,
        liquidation_fees_e8=account.liquidation_fees_e8,
        points=points,
        funding=[Paid(*(int(row[word]) for word in ("ts", *"abcd"))) for row in _of(told, Kind.FUNDING_PAID)],
        closed=[Closed(*(int(row[word]) for word in ("ts", *"abcde"))) for row in _of(told, Kind.LIQUIDATION)],
    )


_PLAIN: dict[str, Any] = {
    "sources": {"book": "candle", "mark": "file", "funding": "file"},
    "strategy": {"name": "trend"},
}


def _of(rows: NDArray[np.void], *kinds: Kind) -> NDArray[np.void]:
    found: NDArray[np.void] = rows[np.isin(rows["kind"], [int(kind) for kind in kinds])]
    return found


def _require_position(told: NDArray[np.void], symbol: str, leverage: int) -> None:
    # The first word about the entry decides: a refusal of the gate or the exchange, or a fill.
    for row in _of(told, Kind.REFUSED, Kind.REJECTED, Kind.FILL)[:1]:
        if row["kind"] == Kind.FILL:
            return
        reason = Reason(int(row["a"])).name if row["kind"] == Kind.REFUSED else str(int(row["b"]))
        raise OperatorError(say("stress.refused", symbol=symbol, leverage=leverage, reason=reason))
    raise OperatorError(say("stress.not_opened", symbol=symbol, leverage=leverage))


def _require_agreement(booked: Account, truth: Account) -> None:
    same = (booked.wallet_e8, booked.position(0)) == (truth.wallet_e8, truth.position(0))
    if not same or booked.reconcile():
        raise StateError(say("stress.disagree", booked=booked.equity() / E8, truth=truth.equity() / E8))


def _points(rows: NDArray[np.void], told: NDArray[np.void], account: Account, mark_source: str) -> Iterator[Point]:
    # The account once more, from the journal alone, stopped at every bar: at the mark's low, then at its close.
    events = _of(told, Kind.FILL, Kind.FUNDING_PAID, Kind.LIQUIDATION)
    marks = {int(row["ts"]): row for row in _of(rows, Kind.MARK_CANDLE)} if mark_source == "file" else {}
    done = 0
    for bar in _of(rows, Kind.CANDLE):
        ts = int(bar["ts"])
        mark = marks.get(ts, bar)
        lived = bool(account.position(0)["lots"]) or done > 0
        account.mark(0, int(mark["c"]))
        low, liquidation = _margin(account), account.liquidation(0)
        while done < len(events) and events["ts"][done] <= ts:
            _book(account, events[done])
            done += 1
        account.mark(0, int(mark["d"]))
        if lived:
            last, marked = _prices(bar), _prices(mark)
            yield Point(
                ts, *last, *marked, *low, liquidation, *_margin(account), account.position(0)["lots"], ts not in marks
            )
    for row in events[done:]:
        _book(account, row)


def _prices(bar: NDArray[np.void]) -> tuple[int, int, int]:
    return int(bar["b"]), int(bar["c"]), int(bar["d"])


def _margin(account: Account) -> tuple[int, int]:
    # What stands against what; the position is all that the account has.
    if account.margins_of(0)["isolated"]:
        return account.isolated_total_e8 + account.isolated_unrealised_e8, account.isolated_maintenance_e8
    return account.cross_equity(), account.cross_maintenance()


def _book(account: Account, row: Any) -> None:
    if row["kind"] == Kind.FUNDING_PAID:
        account.pay_funding(0, int(row["a"]))
    elif row["kind"] == Kind.LIQUIDATION:
        _close(account, int(row["a"]), int(row["b"]), int(row["c"]))
    else:
        lots = -int(row["d"]) if row["flags"] & Flag.F_SELL else int(row["d"])
        account.fill(0, lots, int(row["c"]), int(row["e"]))


def _close(account: Account, lots: int, price_e8: int, fee_e8: int) -> None:
    # What stood behind an isolated position stays behind the rest of it.
    behind = account.position(0)["isolated_e8"]
    behind += account.take_over(0, price_e8, fee_e8, 0, lots) - fee_e8
    held = account.position(0)
    if held["lots"] and held["isolated_e8"] != behind and account.margins_of(0)["isolated"]:
        account.move_margin(0, behind - held["isolated_e8"])
