"""What the exchange has proven of our orders so far, and the rows that its next word makes.

Knows, of every order of ours, how much of it has been traded, which terms it has, and whether it has ended; and which
trades have been counted. Reports may come in any order, twice, by the stream or as answers: the rows lead to the same
state of the engine. An end that names more trades than have been told is held back until they are there, and the engine
asks for them. Refuses to know messages: `account_events` and `answers` read them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autotrader.adapters.binance.reading import Grid, UnreadableError
from autotrader.adapters.binance.rows import Row, row, side_flags
from core_ext.types import AlgoStatus, Cause, Flag, Instruments, Kind, OrderState, OrderType

__all__ = ["AlgoReport", "Evidence", "Report", "Trade", "put"]

MOST_ORDERS = 1 << 13
"""Orders remembered; at the bound the one that ended first is forgotten."""
MOST_TRADES = 1 << 17
"""Trades remembered; at the bound the oldest is forgotten."""
MOST_IDS = 1 << 14
"""Order ids of the exchange remembered; at the bound the oldest is forgotten."""

ENDS = {
    "CANCELED": Kind.CANCELED,
    "EXPIRED": Kind.EXPIRED,
    "EXPIRED_IN_MATCH": Kind.EXPIRED,
    "REJECTED": Kind.REJECTED,
}
STANDS = frozenset({"NEW", "PARTIALLY_FILLED"})
STAGES = {
    "NEW": AlgoStatus.ALGO_NEW,
    "TRIGGERING": AlgoStatus.ALGO_TRIGGERING,
    "TRIGGERED": AlgoStatus.ALGO_TRIGGERED,
    "FINISHED": AlgoStatus.ALGO_FINISHED,
}
ALGO_ENDS = {
    "CANCELED": AlgoStatus.ALGO_CANCELED,
    "EXPIRED": AlgoStatus.ALGO_EXPIRED,
    "REJECTED": AlgoStatus.ALGO_REJECTED,
}
_ENDED = frozenset({Kind.CANCELED, Kind.EXPIRED, Kind.REJECTED, Kind.ABSENT})
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Report:
    """What the exchange says of an ordinary order.

    Attributes
    ----------
    symbol : int
        Index among the instruments.
    client_id, venue_id : int
        Our id, 0 for a foreign order; the exchange's.
    side, leg : int
        Of `reading.SIDES` and `reading.LEGS`.
    status : str
        In the exchange's words.
    ticks, lots, done : int
        Price, quantity, and how much of it has been traded in all.
    stamp_ms : int
        When this was so, by the matching engine's clock.
    reason : int
        Why it expired.
    amended : bool
        Whether its terms are the news.
    """

    symbol: int
    client_id: int
    venue_id: int
    side: int
    leg: int
    status: str
    ticks: int
    lots: int
    done: int
    stamp_ms: int
    reason: int = 0
    amended: bool = False


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill.

    Attributes
    ----------
    trade_id : int
        The exchange's, by symbol.
    lots, price_e8 : int
        A forced closing may be at a price on no tick.
    fee_e8 : int
        Paid positive, in USDT or in the fee coin, 1e-8.
    in_coin, maker : bool
    """

    trade_id: int
    lots: int
    price_e8: int
    fee_e8: int
    in_coin: bool = False
    maker: bool = False


@dataclass(frozen=True, slots=True)
class AlgoReport:
    """What the exchange says of a conditional order.

    Attributes
    ----------
    symbol, client_id, side, leg, status, lots, done
        As in `Report`; the status is that of the algo universe, ``done`` what the order of its trigger has traded.
    algo_id, child_id : int
        The exchange's ids of the conditional order and of the order of its trigger, 0 before.
    trigger_ticks : int
    """

    symbol: int
    client_id: int
    side: int
    leg: int
    status: str
    algo_id: int
    child_id: int
    trigger_ticks: int
    lots: int
    done: int = 0


@dataclass(slots=True)
class _Known:
    # ``done`` counts trades once, ``proved`` is the largest sum that the exchange has named.
    symbol: int
    done: int = 0
    proved: int = 0
    ticks: int = 0
    lots: int = 0
    stamp_ms: int = 0
    stage: int = -1
    accepted: bool = False
    amending: bool = False
    end: Row | None = None
    complete: bool = False
    ended: bool = False


class Evidence:
    """Memory of what the exchange has said of orders and trades.

    Parameters
    ----------
    instruments : Instruments
    epochs : container of int
        Upper halves of the client order ids of all runs of this account; an id of another epoch is foreign.
    """

    def __init__(self, instruments: Instruments, epochs: Container[int]) -> None:
        self.grid = Grid(instruments)
        self.epochs = epochs
        self._orders: dict[int, _Known] = {}
        self._ended: dict[int, None] = {}
        self._trades: dict[tuple[int, int], None] = {}
        self._whose: dict[tuple[int, int], int] = {}

    # ------------------------------------------------------------------ what came another way

    def note(self, rows: NDArray[np.void]) -> None:
        """Learn from rows that this memory did not make.

        That is whatever the engine asks for, what the outcome of a request makes of it without a report (a refusal),
        and a whole journal at recovery.
        """
        for kind, symbol, a, b, c, d in zip(*(rows[f].tolist() for f in ("kind", "symbol", *"abcd")), strict=True):
            if kind == Kind.ORDER or kind == Kind.AMENDED:
                known = self._known(a, symbol)
                known.ticks, known.lots, known.amending = b, c, False
            elif kind == Kind.AMEND:
                self._known(a, symbol).amending = True
            elif kind == Kind.FILL:
                self._note_fill(a, symbol, b, d)
            elif kind == Kind.ACCEPTED:
                self._accept(self._known(a, symbol), a, b)
            elif kind == Kind.ALGO:
                self._note_algo(self._known(a, symbol), a, b)
            elif kind in _ENDED:
                self._end(self._known(a, symbol), a)

    def believe(self, orders: Iterable[Mapping[str, int]]) -> None:
        """Learn from the table of a recovered engine, as ``Orders.rows()`` returns it."""
        for order in orders:
            known = self._known(order["client_id"], order["symbol"])
            known.ticks, known.lots = order["price_ticks"], order["lots"]
            known.done = known.proved = order["filled"]
            resting = order["state"] in (OrderState.LIVE, OrderState.PARTLY_FILLED)
            if order["triggered"] or (resting and order["type"] < OrderType.STOP):
                self._accept(known, order["client_id"], order["venue_id"])
            elif order["state"] == OrderState.ARMED or order["state"] == OrderState.TRIGGERING:
                known.stage = order["state"] - OrderState.ARMED
            if order["state"] >= OrderState.FILLED:
                self._end(known, order["client_id"])

    def owner(self, symbol: int, venue_id: int) -> int | None:
        """Return the client id of an order by the exchange's id: 0 for a foreign one, None if it has not been told."""
        return self._whose.get((symbol, venue_id))

    def symbol_of(self, client_id: int) -> int | None:
        """Return the symbol of an order of ours, None if nothing is known of it."""
        known = self._orders.get(client_id)
        return known.symbol if known else None

    def has_stood(self, client_id: int) -> bool:
        """Return whether the exchange has ever said that it has the order."""
        known = self._orders.get(client_id)
        return known is not None and (known.accepted or known.stage >= 0 or known.done > 0)

    # ------------------------------------------------------------------ ordinary orders

    def report(self, told: Report, trades: Sequence[Trade] = (), *, asked: bool = False) -> list[Row]:
        """Return the rows that a report makes.

        Parameters
        ----------
        told : Report
        trades : sequence of Trade
            Fills of the order; they are told after its terms and before its end.
        asked : bool
            Whether it answers a question: then it is told though nothing of it is new, because the engine waits for it.
        """
        for trade in trades:
            self._ticks(told.symbol, trade)
        if told.client_id == 0:
            self._own(told.symbol, told.venue_id, 0)
            return self._foreign(told, trades)
        known = self._known(told.client_id, told.symbol)
        self._own(told.symbol, told.venue_id, told.client_id)
        end = row(ENDS[told.status], told.symbol, told.client_id, *_why(told)) if told.status in ENDS else None
        rows: list[Row] = [end] if asked and known.ended and end else []
        if told.status != "REJECTED" and not known.ended and (asked or not known.accepted):
            rows.append(row(Kind.ACCEPTED, told.symbol, told.client_id, told.venue_id, told.ticks, told.lots))
            self._accept(known, told.client_id, told.venue_id)
        rows += self._terms(known, told)
        for trade in trades:
            rows += self._fill(known, told, trade)
        known.proved = max(known.proved, told.done)
        known.end = end or known.end
        known.complete |= told.status == "FILLED" or told.status in ENDS
        return rows + self._conclude(known, told.client_id, told.status in STANDS or known.complete)

    def trade(self, told: Report, trade: Trade) -> list[Row]:
        """Return the rows of a trade of which a list tells; of the report only what names the order is read."""
        self._ticks(told.symbol, trade)
        if told.client_id == 0:
            return self._fill(None, told, trade)
        known = self._known(told.client_id, told.symbol)
        return self._fill(known, told, trade) + self._conclude(known, told.client_id, True)

    def forced(self, told: Report, trade: Trade, cause: Cause) -> list[Row]:
        """Return the row of a closing by force, none if it has been counted."""
        self._own(told.symbol, told.venue_id, 0)
        if not self._first(told.symbol, trade.trade_id):
            return []
        lots = trade.lots if told.side else -trade.lots
        words = (lots, trade.price_e8, trade.fee_e8, 0, int(cause), told.venue_id)
        return [row(Kind.LIQUIDATION, told.symbol, *words, flags=side_flags(told.side, told.leg))]

    def lost(self, client_id: int, symbol: int) -> list[Row]:
        """Return the row that makes the engine ask what has become of an order of ours."""
        known = self._orders.get(client_id)
        return [] if known is not None and known.ended else [row(Kind.LOST, symbol, client_id, int(Kind.ORDER))]

    def absent(self, client_id: int, symbol: int, code: int) -> list[Row]:
        """Return the row of an order that the exchange has in neither universe; none of one that it once had."""
        return [] if self.has_stood(client_id) else [row(Kind.ABSENT, symbol, client_id, code)]

    def _foreign(self, told: Report, trades: Sequence[Trade]) -> list[Row]:
        rows = [made for trade in trades for made in self._fill(None, told, trade)]
        if told.status not in ENDS and told.status != "FILLED":
            left = max(0, told.lots - told.done)
            flags = side_flags(told.side, told.leg)
            rows.append(row(Kind.FOREIGN, told.symbol, told.venue_id, told.ticks, left, flags=flags))
        return rows

    def _terms(self, known: _Known, told: Report) -> list[Row]:
        # Of two reports of one millisecond the amendment is the later one. Of an order whose price or quantity the
        # exchange sets there is nothing to compare.
        newer = told.stamp_ms > known.stamp_ms or (told.amended and told.stamp_ms == known.stamp_ms)
        if known.ended or not newer:
            return []
        bound = told.amended or (known.ticks and known.lots)
        differs = bound and (known.ticks, known.lots) != (told.ticks, told.lots)
        # Filled: whatever else was asked of its terms came too late.
        late = known.amending and told.status == "FILLED"
        known.ticks, known.lots, known.stamp_ms = told.ticks, told.lots, told.stamp_ms
        if not (differs or late) or not (told.ticks and told.lots):
            return []
        known.amending = False
        return [row(Kind.AMENDED, told.symbol, told.client_id, told.ticks, told.lots)]

    def _ticks(self, symbol: int, trade: Trade) -> int:
        return self.grid.steps(trade.price_e8, self.grid.tick_e8[symbol])

    def _fill(self, known: _Known | None, told: Report, trade: Trade) -> list[Row]:
        if not self._first(told.symbol, trade.trade_id):
            return []
        if known is not None:
            known.done += trade.lots
            known.proved = max(known.proved, known.done)
        paid = (Flag.F_MAKER if trade.maker else 0) | (Flag.F_FEE_COIN if trade.in_coin else 0)
        ticks = self._ticks(told.symbol, trade)
        words = (told.client_id, trade.trade_id, ticks, trade.lots, trade.fee_e8)
        return [row(Kind.FILL, told.symbol, *words, flags=side_flags(told.side, told.leg) | paid)]

    def _conclude(self, known: _Known, client_id: int, understood: bool) -> list[Row]:
        # The end, once all of its trades are there; until then, and while a status says nothing to us, the engine asks.
        if known.ended:
            return []
        if known.done < known.proved or not understood:
            return self.lost(client_id, known.symbol)
        if not known.complete:
            return []
        self._end(known, client_id)
        return [known.end] if known.end else []

    # ------------------------------------------------------------------ conditional orders

    def algo(self, told: AlgoReport, *, asked: bool = False) -> list[Row]:
        """Return the rows that a report of a conditional order makes; ``asked`` as in `report`."""
        known = self._known(told.client_id, told.symbol) if told.client_id else None
        self._own(told.symbol, told.child_id, told.client_id)
        if known is None:
            return _foreign_algo(told)
        end = _algo_row(told, ALGO_ENDS[told.status]) if told.status in ALGO_ENDS and not known.accepted else None
        if known.ended:
            return [end] if asked and end else []
        known.proved = max(known.proved, told.done)
        rows = self._armed(known, told, asked)
        if end:
            known.end, known.complete = end, True
        # What ends with a child ends by the child's own reports.
        understood = told.status in STAGES and told.status != "FINISHED"
        return rows + self._conclude(known, told.client_id, understood or known.complete)

    def _armed(self, known: _Known, told: AlgoReport, asked: bool) -> list[Row]:
        # That it stands is said first, whatever comes first; a stage that is behind it is not said again.
        if known.accepted:
            return []
        rows = []
        if known.stage < 0:
            known.stage = int(AlgoStatus.ALGO_NEW)
            rows.append(_algo_row(told, AlgoStatus.ALGO_NEW))
        elif asked and told.status == "NEW" and known.stage == AlgoStatus.ALGO_NEW:
            rows.append(_algo_row(told, AlgoStatus.ALGO_NEW))
        stage = STAGES.get(told.status, AlgoStatus.ALGO_NEW)
        if stage > known.stage or (asked and stage == known.stage == AlgoStatus.ALGO_TRIGGERING):
            known.stage = int(stage)
            rows.append(_algo_row(told, stage))
        return rows

    # ------------------------------------------------------------------ memory

    def _known(self, client_id: int, symbol: int) -> _Known:
        known = self._orders.get(client_id)
        if known is None:
            self._make_room()
            known = self._orders[client_id] = _Known(symbol)
        elif known.symbol != symbol:
            raise UnreadableError("symbol")
        return known

    def _make_room(self) -> None:
        if len(self._orders) < MOST_ORDERS:
            return
        if not self._ended:
            raise UnreadableError("number")  # more open orders than an account may have: these are not ours
        oldest = next(iter(self._ended))
        del self._ended[oldest], self._orders[oldest]

    def _accept(self, known: _Known, client_id: int, venue_id: int) -> None:
        known.accepted = True
        self._own(known.symbol, venue_id, client_id)

    def _own(self, symbol: int, venue_id: int, client_id: int) -> None:
        if venue_id:
            put(self._whose, (symbol, venue_id), client_id, MOST_IDS)

    def _end(self, known: _Known, client_id: int) -> None:
        known.ended = True
        self._ended[client_id] = None

    def _first(self, symbol: int, trade_id: int) -> bool:
        if (symbol, trade_id) in self._trades:
            return False
        put(self._trades, (symbol, trade_id), None, MOST_TRADES)
        return True

    def _note_fill(self, client_id: int, symbol: int, trade_id: int, lots: int) -> None:
        if not self._first(symbol, trade_id) or client_id == 0:
            return
        known = self._known(client_id, symbol)
        known.done += lots
        known.proved = max(known.proved, known.done)
        if known.lots and known.done >= known.lots:
            self._end(known, client_id)

    def _note_algo(self, known: _Known, client_id: int, status: int) -> None:
        if status > AlgoStatus.ALGO_FINISHED:
            self._end(known, client_id)
        else:
            known.stage = max(known.stage, status)


def _foreign_algo(told: AlgoReport) -> list[Row]:
    if told.status in ALGO_ENDS or told.status == "FINISHED":
        return []
    return [
        row(
            Kind.FOREIGN,
            told.symbol,
            told.algo_id,
            told.trigger_ticks,
            told.lots,
            flags=side_flags(told.side, told.leg),
        )
    ]


def _algo_row(told: AlgoReport, status: AlgoStatus) -> Row:
    return row(Kind.ALGO, told.symbol, told.client_id, int(status), told.algo_id, told.child_id)


def _why(told: Report) -> tuple[int, int]:
    return (0, 0) if told.status == "REJECTED" else (max(0, told.lots - told.done), told.reason)


def put(memory: dict[K, V], key: K, value: V, most: int) -> None:
    """Remember something; at the bound the oldest is forgotten."""
    if key not in memory and len(memory) >= most:
        del memory[next(iter(memory))]
    memory[key] = value
