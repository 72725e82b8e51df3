"""The proof: whether a history can be true.

Knows the arithmetic of orders, positions, wallets and books, written a second time and from the records alone.
Refuses to know the core: it imports none of it, so that a fault there cannot hide here. It also refuses to know what
the records do not say: brackets of maintenance margin, collateral ratios, the fund's own trades between checkpoints.

After a violation the recorded figure is believed, so that one fault is told once. Memory is that of the exchange's open
orders, positions and levels, and bounded besides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from autotrader.adapters.loopback.history import (
    VERSION,
    Algo,
    Amended,
    Close,
    Depth,
    End,
    Fill,
    Forced,
    Funding,
    Holdings,
    Instrument,
    Margin,
    Mark,
    Open,
    Order,
    Reader,
    Record,
    Setting,
    State,
    Touch,
    Trade,
    Transfer,
)
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["Invariant", "Report", "Violation", "check"]

E8 = 10**8
COINS = ("USDT", "BNB", "USDC", "BTC", "ETH")  # by the number that a transfer names
FEE_COIN = 1
MULTI_ASSETS = 4  # the setting that makes other coins part of the equity
MAX_VIOLATIONS = 200  # kept; the others are counted
MAX_ENDED = 1 << 16  # ended orders whose id is remembered


class Invariant(StrEnum):
    """What must hold of a history; the catalogues name each as ``loopback.proof.<value>``."""

    COMPLETE = "complete"
    NAMED = "named"
    ORDER_ONCE = "order_once"
    ORDER_RISES = "order_rises"
    CLIENT_ONCE = "client_once"
    CHANGE_OPEN = "change_open"
    FILL_KNOWN = "fill_known"
    FILL_OPEN = "fill_open"
    FILL_WITHIN = "fill_within"
    FILL_LIMIT = "fill_limit"
    FILLED_WHOLE = "filled_whole"
    TRADE_RISES = "trade_rises"
    TRADE_SIDES = "trade_sides"
    ALGO_WALK = "algo_walk"
    ALGO_CHILD = "algo_child"
    POSITION_SUMS = "position_sums"
    COST_MOVES = "cost_moves"
    WALLET_ADDS = "wallet_adds"
    COIN_ADDS = "coin_adds"
    FUNDING_DUE = "funding_due"
    STATE_AGREES = "state_agrees"
    EQUITY_ADDS = "equity_adds"
    ISOLATED_MOVES = "isolated_moves"
    MARGIN_KEPT = "margin_kept"
    MONEY_KEPT = "money_kept"
    LOTS_KEPT = "lots_kept"
    DEPTH_CHAIN = "depth_chain"
    BOOK_UNCROSSED = "book_uncrossed"
    BOOK_IS_ORDERS = "book_is_orders"


class Violation(NamedTuple):
    """An invariant that does not hold at a line (its ``n``), and the values of its sentence."""

    line: int
    invariant: Invariant
    values: dict[str, object]

    def sentence(self) -> str:
        """Return what is wrong, in one sentence of the current language."""
        return say(f"loopback.wrong.{self.invariant}", **self.values)


@dataclass(slots=True)
class Report:
    """What a history holds and what of it does not hold.

    Attributes
    ----------
    path : Path
    records : int
        Records read.
    counts : Counter of str
        Records by kind.
    checked : dict of Invariant to int
        How often each invariant was evaluated; 0: the history does not exercise it.
    violations : list of Violation
        The first of them.
    found : int
        All of them.
    torn : int
        Bytes of a torn last line.
    cut : bool
        Whether the history ends without its close.
    """

    path: Path
    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    checked: dict[Invariant, int] = field(default_factory=lambda: dict.fromkeys(Invariant, 0))
    violations: list[Violation] = field(default_factory=list)
    found: int = 0
    torn: int = 0
    cut: bool = True

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self.found == 0

    def expect(self, record: Record, invariant: Invariant, true: bool, /, **values: object) -> bool:
        """Count an evaluation, note a violation; return whether it held."""
        self.checked[invariant] += 1
        if not true:
            self.found += 1
            if len(self.violations) < MAX_VIOLATIONS:
                self.violations.append(Violation(record.n, invariant, values))
        return true

    def lines(self) -> list[tuple[str, dict[str, object]]]:
        """Return the report as keys of the catalogues and the values of their placeholders, in order."""
        return [*self._read(), *self._evaluated(), *self._broken()]

    def _read(self) -> Iterator[tuple[str, dict[str, object]]]:
        yield "loopback.report.records", {"path": self.path, "records": self.records}
        if self.torn:
            yield "loopback.report.torn", {"bytes": self.torn}
        if self.cut:
            yield "loopback.report.cut", {}
        for kind, count in sorted(self.counts.items()):
            yield "loopback.report.kind", {"kind": kind, "count": count}

    def _evaluated(self) -> Iterator[tuple[str, dict[str, object]]]:
        broken = Counter(one.invariant for one in self.violations)
        for invariant, times in self.checked.items():
            name = say(f"loopback.proof.{invariant}")
            if times == 0:
                yield "loopback.report.idle", {"name": name}
            elif broken[invariant]:
                yield "loopback.report.failed", {"name": name, "times": times}
            else:
                yield "loopback.report.held", {"name": name, "times": times}

    def _broken(self) -> Iterator[tuple[str, dict[str, object]]]:
        for one in self.violations:
            name = say(f"loopback.proof.{one.invariant}")
            yield "loopback.report.violation", {"line": one.line, "name": name, "sentence": one.sentence()}
        if self.found > len(self.violations):
            yield "loopback.report.more", {"count": self.found - len(self.violations)}
        yield ("loopback.report.sound", {}) if self.holds else ("loopback.report.unsound", {"count": self.found})


def check(path: Path) -> Report:
    """Prove a history, as far as it goes.

    Parameters
    ----------
    path : Path
        A file that `autotrader.adapters.loopback.history.History` wrote.

    Returns
    -------
    Report
        What was evaluated and what does not hold.

    Raises
    ------
    OperatorError
        If the file cannot be read, is damaged, or does not begin with the opening of a world of this version.
    """
    report, reader = Report(path), Reader(path)
    records = iter(reader)
    world = _opened(path, next(records, None))
    report.records, report.counts["open"] = 1, 1
    witness = _Witness(report, world)
    for record in records:
        report.records += 1
        report.counts[type(record).__name__.lower()] += 1
        witness.hear(record)
    report.torn = reader.torn
    return report


def _opened(path: Path, first: Record | None) -> Open:
    if not isinstance(first, Open) or first.version != VERSION:
        raise OperatorError(say("loopback.history_no_open", path=path, version=VERSION))
    return first


def rounded(numerator: int, denominator: int) -> int:
    """Return the quotient rounded half away from zero, as the exchange rounds money."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def _unit(instrument: Instrument) -> int:
    return instrument.unit_e8 or instrument.tick_e8 * instrument.lot_e8 // E8


class _Witness:
    # Hears every record once and passes it on to whom it concerns.

    def __init__(self, report: Report, world: Open) -> None:
        self.report, self.world, self.closed = report, world, False
        self.hearers: dict[type[Record], list[Callable[[Any], None]]] = defaultdict(list)
        books = _Books(report, world)
        algos = _Algos(report)
        parts = (algos, _Orders(report, books, algos), _Trades(report, world), _Accounts(report, world), books)
        for part in parts:
            for kind, hear in part.hearers().items():
                self.hearers[kind].append(hear)

    def hear(self, record: Record) -> None:
        if self.closed or isinstance(record, Open | Close):
            self.end(record)
        elif self.report.expect(record, Invariant.NAMED, self.names(record)):
            for hear in self.hearers.get(type(record), ()):
                hear(record)

    def end(self, record: Record) -> None:
        whole = not self.closed and isinstance(record, Close) and record.records == record.n
        self.report.expect(record, Invariant.COMPLETE, whole, count=record.n)
        self.closed = self.closed or isinstance(record, Close)
        self.report.cut = not self.closed

    def names(self, record: Record) -> bool:
        # Whether the account, symbol, leg and sides of a record are any that there are.
        of: Callable[[str], int] = lambda name: getattr(record, name, 0)  # noqa: E731
        known = 0 <= of("account") < len(self.world.accounts) and 0 <= of("symbol") < len(self.world.instruments)
        sides = (of("side"), of("leg"), *(level.side for level in getattr(record, "levels", ())))
        return known and all(side in (0, 1) for side in sides)


# ---------------------------------------------------------------------- orders


@dataclass(slots=True)
class _Standing:
    # An open order.
    account: int
    symbol: int
    leg: int
    client: str
    side: int
    ticks: int
    lots: int
    left: int


class _Orders:
    def __init__(self, report: Report, books: _Books, algos: _Algos) -> None:
        self.report, self.books, self.algos = report, books, algos
        self.open: dict[int, _Standing] = {}
        self.clients: dict[tuple[int, int, str], int] = {}
        self.last: dict[int, int] = {}
        self.full: set[int] = set()  # filled, and not yet said to be
        self.ended: dict[int, None] = {}  # the youngest

    def hearers(self) -> dict[type[Record], Callable[[Any], None]]:
        return {
            Order: self.accepted,
            Fill: self.filled,
            Amended: self.amended,
            End: self.over,
            State: self.settled,
            Algo: self.finished,
        }

    def accepted(self, order: Order) -> None:
        client, expect = (order.account, order.symbol, order.client), self.report.expect
        expect(
            order,
            Invariant.ORDER_ONCE,
            order.order not in self.open and order.order not in self.ended,
            order=order.order,
        )
        last = self.last.get(order.symbol, -1)
        expect(order, Invariant.ORDER_RISES, order.order > last, order=order.order, last=last)
        expect(order, Invariant.CLIENT_ONCE, client not in self.clients, client=order.client, account=order.account)
        if order.algo:
            self.algos.child_comes(order)
        self.last[order.symbol] = max(last, order.order)
        self.clients[client] = order.order
        self.open[order.order] = _Standing(
            order.account, order.symbol, order.leg, order.client, order.side, order.ticks, order.lots, order.lots
        )
        self.books.move(order.symbol, order.side, order.ticks, order.lots)

    def filled(self, fill: Fill) -> None:
        o = self.open.get(fill.order)
        ended = o is None and fill.order <= self.last.get(fill.symbol, -1)
        if not self.report.expect(fill, Invariant.FILL_OPEN, not ended, order=fill.order):
            return
        whose = (fill.account, fill.symbol, fill.leg, fill.side)
        known = o is not None and (o.account, o.symbol, o.leg, o.side) == whose
        self.report.expect(fill, Invariant.FILL_KNOWN, known, order=fill.order, account=fill.account)
        if o is not None:
            self.reduce(o, fill)

    def reduce(self, o: _Standing, fill: Fill) -> None:
        within = 0 < fill.lots <= o.left
        self.report.expect(fill, Invariant.FILL_WITHIN, within, order=fill.order, lots=fill.lots, left=o.left)
        if o.ticks:
            fair = fill.ticks >= o.ticks if o.side else fill.ticks <= o.ticks
            self.report.expect(fill, Invariant.FILL_LIMIT, fair, order=fill.order, ticks=fill.ticks, limit=o.ticks)
        self.books.move(o.symbol, o.side, o.ticks, -fill.lots)
        o.left -= fill.lots
        if o.left <= 0:
            self.full.add(fill.order)

    def amended(self, change: Amended) -> None:
        o = self.own(change)
        if o is None:
            return
        done = o.lots - o.left
        self.report.expect(
            change, Invariant.FILL_WITHIN, change.lots > done, order=change.order, lots=done, left=change.lots
        )
        self.books.move(o.symbol, o.side, o.ticks, -o.left)
        o.ticks, o.lots, o.left = change.ticks, change.lots, change.lots - done
        self.books.move(o.symbol, o.side, o.ticks, o.left)

    def over(self, end: End) -> None:
        o = self.own(end)
        if o is None:
            return
        whole = (end.how == "FILLED") == (o.left == 0) and end.undone == o.left
        self.report.expect(
            end, Invariant.FILLED_WHOLE, whole, order=end.order, how=end.how, left=o.left, undone=end.undone
        )
        self.books.move(o.symbol, o.side, o.ticks, -o.left)
        self.forget(end.order, o)

    def forget(self, order: int, o: _Standing) -> None:
        del self.open[order]
        self.clients.pop((o.account, o.symbol, o.client), None)
        self.full.discard(order)
        self.ended[order] = None
        if len(self.ended) > MAX_ENDED:
            del self.ended[next(iter(self.ended))]

    def own(self, change: Amended | End) -> _Standing | None:
        o = self.open.get(change.order)
        mine = o is not None and o.account == change.account
        self.report.expect(change, Invariant.CHANGE_OPEN, mine, order=change.order, account=change.account)
        return o if mine else None

    def settled(self, state: State) -> None:
        # At a checkpoint whatever is filled has been said to be.
        order = min(self.full, default=0)
        self.report.expect(state, Invariant.FILLED_WHOLE, not self.full, order=order, how="open", left=0, undone=0)
        self.full.clear()

    def finished(self, algo: Algo) -> None:
        if algo.status == "FINISHED":
            over = algo.child not in self.open
            self.report.expect(algo, Invariant.ALGO_CHILD, over, algo=algo.algo, child=algo.child)


class _Algos:
    # What a conditional order may become, by what it is; None: it was not there. What is not named here is an end.
    WALK = MappingProxyType(
        {
            None: ("NEW",),
            "NEW": ("TRIGGERING", "CANCELED", "EXPIRED"),
            "TRIGGERING": ("TRIGGERED", "REJECTED", "EXPIRED"),
            "TRIGGERED": ("FINISHED",),
        }
    )

    def __init__(self, report: Report) -> None:
        self.report = report
        self.open: dict[int, Algo] = {}
        self.clients: dict[tuple[int, int, str], int] = {}
        self.last = -1

    def hearers(self) -> dict[type[Record], Callable[[Any], None]]:
        return {Algo: self.moved}

    def moved(self, algo: Algo) -> None:
        before = self.open.get(algo.algo)
        status = before.status if before else None
        same = before is None or (before.account, before.client) == (algo.account, algo.client)
        legal = same and algo.status in self.WALK[status] and (before is not None or algo.algo > self.last)
        self.report.expect(algo, Invariant.ALGO_WALK, legal, algo=algo.algo, before=status or "-", status=algo.status)
        if before and before.status == "TRIGGERED":
            born = algo.child == before.child
            self.report.expect(algo, Invariant.ALGO_CHILD, born, algo=algo.algo, child=algo.child)
        self.keep(algo, before is None)

    def keep(self, algo: Algo, new: bool) -> None:
        client = (algo.account, algo.symbol, algo.client)
        if new:
            self.report.expect(
                algo, Invariant.CLIENT_ONCE, client not in self.clients, client=algo.client, account=algo.account
            )
        self.last = max(self.last, algo.algo)
        if algo.status in self.WALK:
            self.open[algo.algo], self.clients[client] = algo, algo.algo
        else:
            self.open.pop(algo.algo, None)
            self.clients.pop(client, None)

    def child_comes(self, order: Order) -> None:
        parent = self.open.get(order.algo)
        born = parent is not None and parent.status == "TRIGGERED" and parent.child == order.order
        self.report.expect(order, Invariant.ALGO_CHILD, born, algo=order.algo, child=order.order)


class _Trades:
    def __init__(self, report: Report, world: Open) -> None:
        self.report, self.world = report, world
        self.fills: dict[int, Fill] = {}  # the last of a symbol
        self.paired: set[int] = set()  # symbols whose last trade has both its sides
        self.published: dict[int, int] = {}

    def hearers(self) -> dict[type[Record], Callable[[Any], None]]:
        return {Fill: self.filled, Trade: self.traded}

    def filled(self, fill: Fill) -> None:
        last = self.fills.get(fill.symbol)
        trade = last.trade if last else -1
        self.report.expect(fill, Invariant.TRADE_RISES, fill.trade >= trade, trade=fill.trade, last=trade)
        if last is not None and fill.trade == trade:
            self.report.expect(fill, Invariant.TRADE_SIDES, self.matches(fill, last), trade=trade)
            self.paired.add(fill.symbol)
        else:
            self.paired.discard(fill.symbol)
        self.fills[fill.symbol] = fill

    def matches(self, fill: Fill, last: Fill) -> bool:
        # In a replay the other side is the recording's: our trades have one side only.
        return (
            bool(self.world.synthetic)
            and fill.symbol not in self.paired
            and (fill.side, fill.maker) == (1 - last.side, not last.maker)
            and (fill.lots, fill.ticks) == (last.lots, last.ticks)
        )

    def traded(self, trade: Trade) -> None:
        last = self.published.get(trade.symbol, -1)
        self.report.expect(trade, Invariant.TRADE_RISES, trade.trade > last, trade=trade.trade, last=last)
        self.published[trade.symbol] = max(last, trade.trade)
        fill = self.fills.get(trade.symbol)
        if self.world.synthetic:
            same = fill is not None and (fill.trade, fill.ticks, fill.lots) == (trade.trade, trade.ticks, trade.lots)
            self.report.expect(trade, Invariant.TRADE_SIDES, same, trade=trade.trade)


# ---------------------------------------------------------------------- money


@dataclass(slots=True)
class _Leg:
    lots: int = 0
    cost_e8: int = 0


@dataclass(slots=True)
class _Purse:
    # What an account is believed to have.
    name: str
    wallet_e8: int
    coins: dict[int, int]
    coin_fees: Counter[int] = field(default_factory=Counter)
    fees_e8: int = 0
    legs: dict[tuple[int, int], _Leg] = field(default_factory=lambda: defaultdict(_Leg))
    isolated: dict[tuple[int, int], int] = field(default_factory=dict)  # of legs that nothing has traded since
    multi_assets: bool = False
    forced: bool = False  # since the last checkpoint
    traded: bool = False
    under: set[str] = field(default_factory=set)  # what was at or below its maintenance then

    def held(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {key: (leg.lots, leg.cost_e8) for key, leg in self.legs.items() if leg.lots or leg.cost_e8}


class _Accounts:
    def __init__(self, report: Report, world: Open) -> None:
        self.report, self.world = report, world
        self.purses = [_purse(one.name, one.wallets) for one in world.accounts]
        self.marks: dict[int, Mark] = {}
        self.money = _Money(report, world.fund_e8 + sum(purse.wallet_e8 for purse in self.purses))

    def hearers(self) -> dict[type[Record], Callable[[Any], None]]:
        return {
            Fill: self.filled,
            Forced: self.forced,
            Funding: self.funded,
            Transfer: self.transferred,
            Setting: self.set,
            Margin: self.moved,
            Mark: self.marked,
            State: self.stated,
        }

    def filled(self, fill: Fill) -> None:
        purse, lots = self.purses[fill.account], -fill.lots if fill.side else fill.lots
        value = lots * fill.ticks * _unit(self.world.instruments[fill.symbol])
        purse.traded = True
        if fill.coin:
            purse.coins[FEE_COIN] = purse.coins.get(FEE_COIN, 0) - fill.fee_e8
            purse.coin_fees[FEE_COIN] += fill.fee_e8
        else:
            self.money.paid_e8 += fill.fee_e8
        self.book(fill, lots, value, 0 if fill.coin else fill.fee_e8)

    def forced(self, forced: Forced) -> None:
        # The clearance fee goes to the fund, so it is no money that leaves.
        self.purses[forced.account].forced = True
        instrument = self.world.instruments[forced.symbol]
        value = -rounded(forced.price_e8 * forced.lots * instrument.lot_e8, E8)
        self.book(forced, -forced.lots, value, forced.fee_e8)

    def book(self, record: Fill | Forced, lots: int, value: int, fee: int) -> None:
        # Signed lots of signed value: cash goes out for what is bought, and the rest is what the cost explains.
        purse = self.purses[record.account]
        leg = purse.legs[record.symbol, record.leg]
        said = {"account": purse.name, "found": record.position, "expected": leg.lots + lots}
        self.report.expect(record, Invariant.POSITION_SUMS, record.position == leg.lots + lots, **said)
        fits = cost_fits(leg.lots, leg.cost_e8, lots, value, record.cost_e8)
        said = {"account": purse.name, "before": leg.cost_e8, "found": record.cost_e8, "value": value}
        self.report.expect(record, Invariant.COST_MOVES, fits, **said)
        purse.fees_e8 += fee
        purse.isolated.pop((record.symbol, record.leg), None)
        self.add(record, purse.wallet_e8 - value + record.cost_e8 - leg.cost_e8 - fee)
        leg.lots, leg.cost_e8 = record.position, record.cost_e8

    def add(self, record: Fill | Forced | Funding | Transfer, expected: int) -> None:
        purse, found = self.purses[record.account], record.wallet_e8
        self.report.expect(
            record, Invariant.WALLET_ADDS, found == expected, account=purse.name, found=found, expected=expected
        )
        purse.wallet_e8 = found

    def funded(self, funding: Funding) -> None:
        purse, lot = self.purses[funding.account], self.world.instruments[funding.symbol].lot_e8
        lots = purse.legs[funding.symbol, funding.leg].lots
        due = -rounded(funding.mark_e8 * lots * lot * funding.rate_e8, E8 * E8)
        right = (funding.position, funding.amount_e8) == (lots, due)
        self.report.expect(
            funding, Invariant.FUNDING_DUE, right, account=purse.name, found=funding.amount_e8, expected=due
        )
        self.money.fundings += 1
        self.moved(funding)
        self.add(funding, purse.wallet_e8 + funding.amount_e8)

    def transferred(self, transfer: Transfer) -> None:
        purse = self.purses[transfer.account]
        if transfer.asset == 0:
            self.money.came_e8 += transfer.amount_e8
            self.add(transfer, purse.wallet_e8 + transfer.amount_e8)
            return
        expected = purse.coins.get(transfer.asset, 0) + transfer.amount_e8
        found = purse.coins[transfer.asset] = transfer.wallet_e8
        self.report.expect(
            transfer, Invariant.COIN_ADDS, found == expected, account=purse.name, found=found, expected=expected
        )

    def moved(self, record: Margin | Funding) -> None:
        # What an isolated leg is given or pays; how much of it a trade takes depends on leverage, which nobody tells.
        isolated, key = self.purses[record.account].isolated, (record.symbol, record.leg)
        if key in isolated:
            isolated[key] += record.amount_e8

    def set(self, setting: Setting) -> None:
        if setting.setting == MULTI_ASSETS:
            self.purses[setting.account].multi_assets = setting.value == 1

    def marked(self, mark: Mark) -> None:
        self.marks[mark.symbol] = mark

    def stated(self, state: State) -> None:
        whole = len(state.accounts) == len(self.purses)
        self.report.expect(state, Invariant.STATE_AGREES, whole, account="-", found=len(state.accounts),
                           expected=len(self.purses))  # fmt: skip
        for purse, found in zip(self.purses, state.accounts, strict=False):
            self.agrees(state, purse, found)
            self.adds(state, purse, found)
            self.stands(state, purse, found)
            self.stays_apart(state, purse, found)
        if self.world.synthetic and whole:
            self.money.kept(state)

    def agrees(self, state: State, purse: _Purse, found: Holdings) -> None:
        legs = {(one.symbol, one.leg): (one.lots, one.cost_e8) for one in found.positions if one.lots or one.cost_e8}
        said: tuple[object, ...] = (found.wallet_e8, found.fees_e8, legs)
        believed: tuple[object, ...] = (purse.wallet_e8, purse.fees_e8, purse.held())
        self.report.expect(
            state, Invariant.STATE_AGREES, said == believed, account=purse.name, found=said, expected=believed
        )
        coins = {one.asset: (one.wallet_e8, one.fees_e8) for one in found.coins if one.wallet_e8 or one.fees_e8}
        paid = purse.coin_fees
        mine = {k: (purse.coins.get(k, 0), paid[k]) for k in {*purse.coins, *paid} if purse.coins.get(k) or paid[k]}
        self.report.expect(state, Invariant.COIN_ADDS, coins == mine, account=purse.name, found=coins, expected=mine)
        purse.wallet_e8, purse.fees_e8 = found.wallet_e8, found.fees_e8

    def adds(self, state: State, purse: _Purse, found: Holdings) -> None:
        # Margin balance: the wallet and what the legs are worth more than they cost; the isolated ones stand apart.
        apart = sum(one.isolated_e8 + one.unrealised_e8 for one in found.positions if one.isolated)
        equity = found.wallet_e8 + sum(one.unrealised_e8 for one in found.positions)
        maintenance = sum(one.maintenance_e8 for one in found.positions if not one.isolated)
        right = (
            (purse.multi_assets or found.equity_e8 == equity)
            and (found.cross_equity_e8, found.cross_maintenance_e8) == (found.equity_e8 - apart, maintenance)
            and all(one.unrealised_e8 == self.worth(state, one.symbol, one.lots, one.unrealised_e8, one.cost_e8)
                    for one in found.positions)
        )  # fmt: skip
        self.report.expect(
            state, Invariant.EQUITY_ADDS, right, account=purse.name, found=found.equity_e8, expected=equity
        )

    def stays_apart(self, state: State, purse: _Purse, found: Holdings) -> None:
        # Behind a cross leg nothing stands of its own.
        for one in found.positions:
            expected = purse.isolated.get((one.symbol, one.leg), one.isolated_e8) if one.isolated else 0
            self.report.expect(
                state, Invariant.ISOLATED_MOVES, one.isolated_e8 == expected, account=purse.name,
                scope=f"{one.symbol}/{one.leg}", found=one.isolated_e8, expected=expected,
            )  # fmt: skip
        purse.isolated = {(one.symbol, one.leg): one.isolated_e8 for one in found.positions if one.isolated}

    def worth(self, state: State, symbol: int, lots: int, otherwise: int, cost_e8: int) -> int:
        # Unrealised profit at the mark of this checkpoint, if there is one.
        mark = self.marks.get(symbol)
        if mark is None or mark.t != state.t:
            return otherwise
        return rounded(mark.mark_e8 * lots * self.world.instruments[symbol].lot_e8, E8) - cost_e8

    def stands(self, state: State, purse: _Purse, found: Holdings) -> None:
        # The exchange looks at every mark. What an account traded since may have put it under, once.
        under = set(_under(found))
        excused = purse.forced or (purse.traded and not under & purse.under)
        self.report.expect(
            state, Invariant.MARGIN_KEPT, not under or excused, account=purse.name, scope=", ".join(sorted(under))
        )
        purse.under, purse.forced, purse.traded = under, False, False


def _purse(name: str, wallets: dict[str, int]) -> _Purse:
    coins = {COINS.index(coin): amount for coin, amount in wallets.items() if coin in COINS[1:]}
    return _Purse(name, wallets.get(COINS[0], 0), coins)


def _under(found: Holdings) -> Iterator[str]:
    if found.cross_maintenance_e8 and found.cross_equity_e8 <= found.cross_maintenance_e8:
        yield "cross"
    for one in found.positions:
        if one.isolated and one.maintenance_e8 and one.isolated_e8 + one.unrealised_e8 <= one.maintenance_e8:
            yield f"{one.symbol}/{one.leg}"


def cost_fits(held: int, cost: int, lots: int, value: int, after: int) -> bool:
    """Tell whether the signed cost of a leg is right after signed lots of a signed value.

    Notes
    -----
    What opens adds its value. What closes takes its share of the cost, rounded to a unit of 1e-8 either way. What
    turns a leg around leaves the share of the value that opened.
    """
    left = held + lots
    if held == 0 or (held > 0) == (lots > 0):
        return after == cost + value
    if left == 0:
        return after == 0
    if (left > 0) == (held > 0):
        return abs((cost - after) * abs(held) - cost * abs(lots)) <= abs(held)
    return after == rounded(value * abs(left), abs(lots))


class _Money:
    # A synthetic world has no other side: what an account pays another one gets, or the fund, or it is a fee.

    def __init__(self, report: Report, start_e8: int) -> None:
        self.report = report
        self.came_e8 = start_e8
        self.paid_e8 = 0
        self.fundings = 0  # since the last checkpoint; each is rounded by itself, the fund's too
        self.rest_e8 = 0

    def kept(self, state: State) -> None:
        held = [(one.wallet_e8, [(leg.symbol, leg.lots, leg.cost_e8) for leg in one.positions])
                for one in state.accounts]  # fmt: skip
        held.append((state.fund.wallet_e8, [(leg.symbol, leg.lots, leg.cost_e8) for leg in state.fund.positions]))
        lots: Counter[int] = Counter()
        for _, legs in held:
            for symbol, count, _ in legs:
                lots[symbol] += count
        self.report.expect(state, Invariant.LOTS_KEPT, not any(lots.values()), found=dict(lots))
        self.balance(state, sum(wallet - sum(cost for _, _, cost in legs) for wallet, legs in held))

    def balance(self, state: State, cash: int) -> None:
        rest = cash + self.paid_e8 - self.came_e8
        kept = abs(rest - self.rest_e8) <= self.fundings
        self.report.expect(
            state, Invariant.MONEY_KEPT, kept, found=cash, expected=self.came_e8 - self.paid_e8 + self.rest_e8
        )
        self.rest_e8, self.fundings = rest, 0


# ---------------------------------------------------------------------- books


class _Books:
    def __init__(self, report: Report, world: Open) -> None:
        self.report, self.world = report, world
        symbols = range(len(world.instruments))
        self.standing: list[tuple[Counter[int], Counter[int]]] = [(Counter(), Counter()) for _ in symbols]
        self.shown: list[tuple[dict[int, int], dict[int, int]]] = [({}, {}) for _ in symbols]
        self.last: dict[int, int] = {}

    def hearers(self) -> dict[type[Record], Callable[[Any], None]]:
        return {Depth: self.changed, Touch: self.touched, State: self.stated}

    def move(self, symbol: int, side: int, ticks: int, lots: int) -> None:
        # An order's lots come to a level or leave it; a market order stands at none.
        if not self.world.synthetic or ticks == 0:
            return
        level = self.standing[symbol][side]
        level[ticks] += lots
        if level[ticks] == 0:
            del level[ticks]

    def changed(self, depth: Depth) -> None:
        self.follows(depth, depth.U, depth.u, depth.pu)
        bids, asks = self.shown[depth.symbol]
        for level in depth.levels:
            (asks if level.side else bids)[level.ticks] = level.lots
            if level.lots == 0:
                del (asks if level.side else bids)[level.ticks]
        best, dearest = max(bids, default=None), min(asks, default=None)
        self.uncrossed(depth, best, dearest)
        if self.world.synthetic:
            self.compare(depth)

    def follows(self, depth: Depth, first: int, last: int, previous: int) -> None:
        before = self.last.get(depth.symbol, previous)
        chained = previous == before and previous < first <= last
        self.report.expect(
            depth, Invariant.DEPTH_CHAIN, chained, symbol=self.name(depth.symbol), found=previous, expected=before
        )
        self.last[depth.symbol] = last

    def uncrossed(self, record: Depth | Touch, bid: int | None, ask: int | None) -> None:
        if bid is not None and ask is not None:
            name = self.name(record.symbol)
            self.report.expect(record, Invariant.BOOK_UNCROSSED, bid < ask, symbol=name, bid=bid, ask=ask)

    def compare(self, depth: Depth) -> None:
        standing = self.standing[depth.symbol]
        wrong = [level for level in depth.levels if standing[level.side][level.ticks] != level.lots]
        ticks, found = (wrong[0].ticks, wrong[0].lots) if wrong else (0, 0)
        expected = standing[wrong[0].side][ticks] if wrong else 0
        said = {"symbol": self.name(depth.symbol), "ticks": ticks, "found": found, "expected": expected}
        self.report.expect(depth, Invariant.BOOK_IS_ORDERS, not wrong, **said)

    def touched(self, touch: Touch) -> None:
        self.uncrossed(touch, touch.bid or None, touch.ask or None)

    def stated(self, state: State) -> None:
        # At a checkpoint everything is published: the whole book is the open orders.
        for symbol, (standing, shown) in enumerate(zip(self.standing, self.shown, strict=True)):
            if not self.world.synthetic:
                return
            for ours, theirs in zip(standing, shown, strict=True):
                self.equal(state, symbol, ours, theirs)

    def equal(self, state: State, symbol: int, ours: Counter[int], theirs: dict[int, int]) -> None:
        wrong = min((ticks for ticks in {*ours, *theirs} if ours[ticks] != theirs.get(ticks, 0)), default=0)
        said = {"symbol": self.name(symbol), "ticks": wrong, "found": theirs.get(wrong, 0), "expected": ours[wrong]}
        self.report.expect(state, Invariant.BOOK_IS_ORDERS, wrong == 0, **said)

    def name(self, symbol: int) -> str:
        return self.world.instruments[symbol].symbol
