"""Why: one order or one refusal, from the state in which it was asked for to its end.

Knows which rows of a journal concern an order, and how a run is re-run up to the moment at which it was asked for.
Refuses to guess: what neither the journal nor the re-run shows is None, and why not is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.messages import say
from autotrader.ports import MarketSource
from autotrader.research.replay import Plan, limits, verifier_of
from autotrader.research.verdicts import SETTINGS, Measure, Scene, drawdown_e8, measures
from autotrader.views.orders import Orders
from autotrader.views.positions import Positions
from autotrader.views.view import E8, Row, decode, rounded
from core_ext.engine import Engine
from core_ext.sizing import Factor
from core_ext.types import Command, Flag, Gate, Kind, Reason, Side

__all__ = ["Named", "Trace", "explain", "find", "last_refusal", "named", "trace"]

Blocks = Callable[[], Iterable[NDArray[np.void]]]

OF_ORDER = frozenset(
    {
        *(Kind.ORDER, Kind.ORDER_TERMS, Kind.AMEND, Kind.QUERY, Kind.CANCEL, Kind.ACCEPTED, Kind.REJECTED, Kind.FILL),
        *(Kind.CANCELED, Kind.EXPIRED, Kind.CANCEL_REJECTED, Kind.AMENDED, Kind.AMEND_REJECTED, Kind.ALGO, Kind.LOST),
        Kind.ABSENT,
    }
)
"""Kinds whose first word is the client order id."""
ASKED = (Kind.ORDER, Kind.REFUSED)
CODES = {
    Kind.REJECTED: "b", Kind.CANCEL_REJECTED: "b", Kind.AMEND_REJECTED: "b", Kind.ABSENT: "b", Kind.EXPIRED: "c",
    Kind.ALGO: "e",
}  # fmt: skip
"""Which word is the venue's code."""
ID_DIGITS = 16


@dataclass(frozen=True)
class Named:
    """What an operator may mean by a number: client order ids, as they stand in a row, and the number of a row."""

    ids: tuple[int, ...] = ()
    row: int | None = None


def named(text: str) -> Named | None:
    """Read an order's name.

    Parameters
    ----------
    text : str
        A client order id as on the wire ("at" and 16 hexadecimal digits), as hexadecimal, as a decimal number, or the
        number of a row.

    Returns
    -------
    Named or None
        None for what can be none of them.

    Examples
    --------
    >>> named("at0000000100000002")
    Named(ids=(4294967298,), row=None)
    >>> named("7")
    Named(ids=(7,), row=7)
    """
    word = text.strip().lower()
    digits = word.removeprefix("at").removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{1,19}", digits):
        return None
    as_hex = [int(digits, 16)] if len(digits) <= ID_DIGITS else []
    if digits != word or not digits.isdecimal():
        return Named(tuple(map(_signed, as_hex))) if as_hex else None
    number = int(digits)
    both = [*as_hex, number] if len(digits) == ID_DIGITS else [number]  # sixteen digits are how a view writes an id
    return Named(tuple(_signed(one) for one in both if one < 2**64), number if number < 2**62 else None)


def _signed(client_id: int) -> int:
    return client_id - 2**64 if client_id >= 2**63 else client_id


def find(blocks: Iterable[NDArray[np.void]], wanted: Named) -> int | None:
    """Return the row that asked for an order: the first of an id, or the row of this number; None for neither."""
    first, numbered = 0, None
    for rows in blocks:
        asked = np.flatnonzero((rows["kind"] == int(Kind.ORDER)) & np.isin(rows["a"], wanted.ids))
        if len(asked):
            return first + int(asked[0])
        at = -1 if wanted.row is None else wanted.row - first
        if 0 <= at < len(rows) and rows["kind"][at] in ASKED:
            numbered = wanted.row
        first += len(rows)
    return numbered


def last_refusal(blocks: Iterable[NDArray[np.void]], symbol: int) -> int | None:
    """Return the row of the newest refusal of a symbol, None where nothing was refused."""
    first, found = 0, None
    for rows in blocks:
        refused = np.flatnonzero((rows["kind"] == int(Kind.REFUSED)) & (rows["symbol"] == symbol))
        found = first + int(refused[-1]) if len(refused) else found
        first += len(rows)
    return found


@dataclass
class Trace:
    """What a journal says of one decision.

    Attributes
    ----------
    sequence, row
        The row that asked.
    cause : (int, Row) or None
        The row that was being handled, with its number: market rows stand for the last of their range.
    asked : int
        Orders and refusals up to this one, itself among them.
    events : list of (int, Row, str, int)
        Rows of the order, with the state and the quantity filled (1e-8) after each.
    commands : list of (int, Row)
        Of the operator.
    position_e8 : int
        Quantity of the order's leg before it, buy positive.
    """

    sequence: int
    row: Row
    cause: tuple[int, Row] | None = None
    asked: int = 0
    events: list[tuple[int, Row, str, int]] = field(default_factory=list)
    commands: list[tuple[int, Row]] = field(default_factory=list)
    position_e8: int = 0

    @property
    def is_refusal(self) -> bool:
        """Whether the gate refused it."""
        return self.row.kind == Kind.REFUSED

    @property
    def reason(self) -> int:
        """The gate's verdict."""
        return self.row.a if self.is_refusal else int(Reason.APPROVED)


def trace(plan: Plan, blocks: Blocks, sequence: int) -> Trace:
    """Follow a decision through its journal.

    Parameters
    ----------
    plan : Plan
    blocks : callable
        Gives the journal's rows from the first on.
    sequence : int
        Row of an order or a refusal.
    """
    instruments = plan.instruments()
    positions, orders = Positions(instruments), Orders(instruments)
    wanted = np.zeros(256, bool)
    wanted[[int(Kind.COMMAND), *map(int, positions.kinds)]] = True
    ours = np.isin(np.arange(256), list(map(int, OF_ORDER)))
    found, first = _decision(blocks(), sequence), 0
    for rows in blocks():
        before = rows[: max(0, sequence - first)]
        found.asked += int(np.isin(before["kind"], list(map(int, ASKED))).sum())
        told = np.flatnonzero((before["kind"] < 128) | (before["kind"] >= 160))
        if len(told):
            found.cause = first + int(told[-1]), Row._make(before[told[-1]].tolist())
        mine = ours[rows["kind"]] & (rows["a"] == found.row.a) if not found.is_refusal else np.zeros(len(rows), bool)
        for at, row in decode(first, rows, wanted):
            if row.kind == Kind.COMMAND:
                found.commands.append((at, row))
            elif at < sequence:
                positions.apply(at, row)
        for at in np.flatnonzero(mine).tolist():
            _event(found, orders, first + at, Row._make(rows[at].tolist()))
        first += len(rows)
    found.asked += 1
    found.position_e8 = positions.of(found.row).quantity_e8
    return found


def _decision(blocks: Iterable[NDArray[np.void]], sequence: int) -> Trace:
    first = 0
    for rows in blocks:
        if sequence < first + len(rows):
            return Trace(sequence, Row._make(rows[sequence - first].tolist()))
        first += len(rows)
    raise IndexError(sequence)


def _event(found: Trace, orders: Orders, sequence: int, row: Row) -> None:
    if row.kind in orders.steps:
        orders.apply(sequence, row)
    order = orders.find(row.a)
    if order is not None:
        found.events.append((sequence, row, order.state, order.filled_e8))


# ---------------------------------------------------------------------- the state when it was asked


class _Witness:
    # Takes down the state at one of a run's requests.
    def __init__(self, engine: Engine, plan: Plan, nth: int, reason: int):
        self.engine, self.nth, self.reason, self.count = engine, nth, reason, 0
        self.limits = limits(plan.config)
        self.sizes: dict[int, dict[str, Any]] = {}
        self.state: dict[str, Any] | None = None
        self.request: dict[str, int] = {}

    def sized(self, symbol: int, inputs: dict[str, float], lots: int, factor: int) -> None:
        now = self.engine.desk.now
        self.sizes[symbol] = {"ts_ns": now, "lots": lots, "limiting": Factor(factor).name, "inputs": dict(inputs)}

    def asked(self, request: dict[str, int]) -> None:
        self.count += 1
        if self.count != self.nth:
            return
        engine, self.request = self.engine, dict(request)
        scene = Scene(
            engine.instruments,
            engine.account,
            engine.orders,
            engine.markets,
            engine.gate,
            engine.quality,
            self.limits,
            self.request,
            engine.desk.now,
        )
        known = self.reason in set(Reason)
        self.state = _state(scene) | {
            "limiting": Factor(self.request["limiting"]).name,
            "sizing": self._size(scene.symbol, scene.now),
            "measures": list(map(_measured, measures(scene, Reason(self.reason)) if known else [])),
        }

    def _size(self, symbol: int, now: int) -> dict[str, Any] | None:
        size = self.sizes.get(symbol)
        return size if size is not None and size["ts_ns"] == now else None


def _measured(measure: Measure) -> dict[str, Any]:
    return asdict(measure) | {"broken": measure.is_broken}


def _state(s: Scene) -> dict[str, Any]:
    market, spec, account = s.market, s.spec, s.account
    bid, ask = (market[name] * spec["tick_e8"] for name in ("bid_ticks", "ask_ticks"))
    mid, age = s.mid_e8, {"book": market["ts_book"], "mark": market["ts_mark"], "last": market["ts_last"]}
    position = account.position(s.symbol, s.leg)
    opened = [s.orders.exposure(s.symbol, side, s.leg) for side in (Side.BUY, Side.SELL)]
    return {
        "market": {
            "bid_e8": bid or None,
            "ask_e8": ask or None,
            "mid_e8": mid or None,
            "spread_e8": ask - bid if mid else None,
            "spread_bps": 1e4 * (ask - bid) / mid if mid else None,
            "mark_e8": market["mark_e8"] or None,
            "last_e8": market["last_e8"] or None,
            "book_good": bool(market["book_good"]),
            **{f"{name}_age_ns": s.now - ts if ts else None for name, ts in age.items()},
        },
        "account": {
            "equity_e8": s.equity_e8,
            "available_e8": account.available(),
            "position_e8": s.quantity_e8(position["lots"]),
            "entry_e8": _entry(s, position),
            "leverage": account.margins_of(s.symbol)["leverage"],
            "open_buys_e8": s.quantity_e8(opened[0]["lots"]),
            "open_sells_e8": s.quantity_e8(opened[1]["lots"]),
            "worst_before_e8": s.worst_e8(False) if market["mark_e8"] else None,
            "worst_after_e8": s.worst_e8(True) if market["mark_e8"] else None,
            "worst_gross_e8": s.gate.totals()[0],
            "drawdown_e8": drawdown_e8(s.gate, s.equity_e8),
            "ladder": s.gate.ladder,
            "halted": s.gate.halted,
            "killed": s.gate.killed,
            "gates": [gate.name for gate in Gate if s.gate.gates & gate],
        },
    }


def _entry(s: Scene, position: dict[str, int]) -> int | None:
    size_e8 = s.quantity_e8(abs(position["lots"]))
    return rounded(abs(position["cost_e8"]) * E8, size_e8) if size_e8 else None


def _replayed(
    plan: Plan, source: MarketSource, journal: Path, found: Trace, progress: Callable[[float], None]
) -> tuple[dict[str, Any] | None, str]:
    # The state, or why there is none.
    engine = plan.engine()
    witness = _Witness(engine, plan, found.asked, found.reason)
    engine.desk.witness = witness
    verifier = verifier_of(plan, engine, journal)
    for share in source.feed(verifier) if witness.state is None else ():
        progress(share)
        if witness.state is not None or verifier.difference is not None:
            break
    request, row = witness.request, found.row
    same = request and (request["symbol"], request["price_ticks"], request["lots"]) == (row.symbol, row.b, row.c)
    if witness.state is None or not same:
        return None, str(verifier.difference or say("why.rerun_ended"))
    return witness.state, ""


# ---------------------------------------------------------------------- everything together


def explain(
    plan: Plan,
    found: Trace,
    source: MarketSource | None,
    journal: Path,
    missing: str,
    progress: Callable[[float], None],
) -> dict[str, Any]:
    """Return all that is known of a decision.

    Parameters
    ----------
    plan : Plan
    found : Trace
    source : MarketSource or None
        None where the run cannot be re-run.
    journal : Path
    missing : str
        Why not.
    progress : callable
        Told the share of the data that is done.

    Returns
    -------
    dict
        ``row``, ``client_id`` (None for a refusal), ``ts_ns``, ``cause``, ``order``, ``verdict``, ``state`` (None where
        it is not known, then ``unknown`` says why), ``position_e8``, ``events``, ``fills``, ``end``, ``commands``.
        Money, prices and quantities in 1e-8.
    """
    state, why_not = (None, missing) if source is None else _replayed(plan, source, journal, found, progress)
    order = _order(plan, found)
    return {
        "row": found.sequence,
        "client_id": None if found.is_refusal else f"at{found.row.a % 2**64:016x}",
        "ts_ns": found.row.ts,
        "cause": _cause(plan, found),
        "order": order,
        "verdict": _verdict(plan, found),
        "state": state,
        "unknown": why_not,
        "position_e8": found.position_e8,
        "events": [_told(found, *event) for event in found.events],
        "fills": [_fill(plan, found, row) for _, row, _, _ in found.events if row.kind == Kind.FILL],
        "end": None if found.is_refusal else {"state": found.events[-1][2], "filled_e8": found.events[-1][3]},
        "commands": [
            {"row": at, "ts_ns": row.ts, "command": Command(row.a).name if row.a in set(Command) else str(row.a)}
            for at, row in found.commands
        ],
    }


def _order(plan: Plan, found: Trace) -> dict[str, Any]:
    # As the view of orders reads it.
    view = Orders(plan.instruments())
    view.apply(found.sequence, found.row)
    for at, row, _, _ in found.events:
        if row.kind == Kind.ORDER_TERMS:
            view.apply(at, row)
    names = ("symbol", "side", "leg", "type", "tif", "price_match", "reduce_only", "close_position", "price_e8")
    more = ("quantity_e8", "reference_e8", "limiting", "trigger_e8", "activate_e8", "callback_e8", "good_till_ns")
    (order,) = view.drain()
    return {name: getattr(order, name) for name in (*names, *more)}


def _verdict(plan: Plan, found: Trace) -> dict[str, Any]:
    number = found.reason
    known = number in set(Reason)
    risk = plan.config_values["risk"]
    name = Reason(number).name if known else str(number)
    settings = SETTINGS.get(Reason(number), ()) if known else ()
    return {
        "reason": name,
        "number": number,
        "rule": name.partition("_")[0] if re.match(r"R\d+_", name) else None,
        "settings": {setting: risk[setting] for setting in settings if setting in risk},
    }


def _cause(plan: Plan, found: Trace) -> dict[str, Any] | None:
    if found.cause is None:
        return None
    at, row = found.cause
    told: dict[str, Any] = {"row": at, "kind": Kind(row.kind).name, "ts_ns": row.ts}
    if row.kind == Kind.RANGE:
        known = 0 <= row.a < len(plan.data)
        told |= {"file": plan.data[row.a]["path"] if known else None, "market_row": row.b + row.c - 1}
    return told


def _told(found: Trace, at: int, row: Row, state: str, filled_e8: int) -> dict[str, Any]:
    word = CODES.get(Kind(row.kind))
    return {
        "row": at,
        "ts_ns": row.ts,
        "after_ns": row.ts - found.row.ts,
        "lag_us": row.lag_us,
        "kind": Kind(row.kind).name,
        "code": getattr(row, word) if word else 0,
        "venue_id": row.b if row.kind == Kind.ACCEPTED else 0,
        "state": state,
        "filled_e8": filled_e8,
    }


def _fill(plan: Plan, found: Trace, row: Row) -> dict[str, Any]:
    spec = plan.specs[row.symbol]
    price_e8, reference_e8 = row.c * spec["tick_e8"], found.row.e
    worse_e8 = reference_e8 - price_e8 if row.flags & Flag.F_SELL else price_e8 - reference_e8
    return {
        "ts_ns": row.ts,
        "after_ns": row.ts - found.row.ts,
        "price_e8": price_e8,
        "quantity_e8": row.d * spec["lot_e8"],
        "fee_e8": row.e,
        "fee_asset": "BNB" if row.flags & Flag.F_FEE_COIN else "USDT",
        "maker": bool(row.flags & Flag.F_MAKER),
        "slippage_bps": 1e4 * worse_e8 / reference_e8 if reference_e8 > 0 else None,
        "trade_id": row.b,
    }
