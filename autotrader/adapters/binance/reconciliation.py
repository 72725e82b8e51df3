"""What we believe beside what the exchange lists: every difference by name, and the rows that repair it.

Knows the bodies of the exchange's lists and what the engine believes. Refuses to know when they were asked for, and to
declare dead an order that is not listed: the engine asks for it. A position or a wallet is taken over only where every
order is settled and every trade is counted, because a trade that is told later would count twice.

How to reconcile: ask for the trades and count them (`answers`), ask for the lists, ask for the trades again. Symbols
with trades that had not been counted are ``moving``. Feed the rows, note them in `evidence`, and begin anew until only
what must be raised is left.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.adapters.binance.answers import algo_report, order_report
from autotrader.adapters.binance.evidence import ALGO_ENDS, ENDS, AlgoReport, Report
from autotrader.adapters.binance.reading import (
    ASSETS,
    LEGS,
    MOST_E8,
    Grid,
    UnreadableError,
    amount_e8,
    chosen,
    client_name,
    flag,
    text,
    whole,
)
from autotrader.adapters.binance.rows import Row, packed, row, side_flags
from autotrader.messages import language, say_in
from core_ext.engine import Engine
from core_ext.types import AlgoStatus, Flag, Instruments, Kind, OrderState, OrderType, Setting

__all__ = ["Believed", "Difference", "Listed", "Remedy", "believed", "differences", "rows"]

E8 = 100_000_000
MARGIN_TYPES = {"CROSSED": 0, "ISOLATED": 1}

Body = Mapping[str, Any]
Leg = tuple[int, int]


class Remedy(Enum):
    """What is done about a difference."""

    REPAIRED = "repaired"
    """Its rows bring the engine to what the exchange says."""
    ASKED = "asked"
    """The exchange is asked once more; until it has answered nothing is taken over."""
    RAISED = "raised"
    """Somebody has to look."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what we believe and what the exchange lists.

    Attributes
    ----------
    kind : str
        Its name: ``reconcile.`` and the name is its sentence.
    symbol : str
        Empty for one of the whole account.
    ours, theirs : str
        Both sides, as a person reads them.
    remedy : Remedy
    made : tuple of Row
        The rows of the remedy.
    order : int
        Client id of the order that is asked for, 0 for none.
    """

    kind: str
    symbol: str
    ours: str
    theirs: str
    remedy: Remedy
    made: tuple[Row, ...] = ()
    order: int = 0

    def sentence(self, speech: str | None = None) -> str:
        """Return the difference and its remedy in words, in the current language or in ``speech`` (en, ko)."""
        speech = speech or language()
        found = say_in(speech, f"reconcile.{self.kind}", symbol=self.symbol, ours=self.ours, theirs=self.theirs)
        return f"{found}; {say_in(speech, f'reconcile.{self.remedy.value}')}"


@dataclass(frozen=True, slots=True)
class Believed:
    """What the engine believes.

    Attributes
    ----------
    orders : mapping of int to mapping
        Rows of the order table by client id.
    positions : mapping of (symbol, leg) to (lots, cost_e8, isolated_e8)
    wallets_e8 : mapping of int to int
        By asset.
    leverage, isolated : sequence
        By symbol.
    hedge, multi_assets : bool
    """

    orders: Mapping[int, Mapping[str, int]]
    positions: Mapping[Leg, tuple[int, int, int]]
    wallets_e8: Mapping[int, int]
    leverage: Sequence[int]
    isolated: Sequence[int]
    hedge: bool
    multi_assets: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """Bodies of the exchange's lists; what was not asked for is None and is not compared.

    Attributes
    ----------
    open_orders, open_algo_orders : sequence of mapping, optional
        Compared together: an order that one of them lists is not missing.
    position_risk, balance : sequence of mapping, optional
        Of version 3: a position that is not listed is none.
    symbol_config : sequence of mapping, optional
    dual, multi_assets : mapping, optional
        Answers of ``positionSide/dual`` and ``multiAssetsMargin``.
    since_ns : int
        When the lists were asked for: an order that has changed since is not compared.
    moving : container of str
        Symbols with trades that were not counted when the lists were made.
    """

    open_orders: Sequence[Body] | None = None
    open_algo_orders: Sequence[Body] | None = None
    position_risk: Sequence[Body] | None = None
    balance: Sequence[Body] | None = None
    symbol_config: Sequence[Body] | None = None
    dual: Body | None = None
    multi_assets: Body | None = None
    since_ns: int = 1 << 62
    moving: frozenset[str] = frozenset()


def believed(engine: Engine) -> Believed:
    """Return what an engine believes, read from its Python faces."""
    account, symbols = engine.account, range(len(engine.instruments))
    legs = {(symbol, leg): account.position(symbol, leg) for symbol in symbols for leg in (0, 1)}
    margins = [account.margins_of(symbol) for symbol in symbols]
    others = {number: account.asset(number)["wallet_e8"] for number in ASSETS.values() if number}
    return Believed(
        orders={order["client_id"]: order for order in engine.orders.rows()},
        positions={leg: (held["lots"], held["cost_e8"], held["isolated_e8"]) for leg, held in legs.items()},
        wallets_e8={0: account.wallet_e8} | others,
        leverage=[one["leverage"] for one in margins],
        isolated=[one["isolated"] for one in margins],
        hedge=account.hedge,
        multi_assets=account.multi_assets,
    )


def differences(ours: Believed, listed: Listed, instruments: Instruments, epochs: Container[int]) -> list[Difference]:
    """Return every difference, in the order in which they are repaired.

    Parameters
    ----------
    ours : Believed
    listed : Listed
    instruments : Instruments
    epochs : container of int
        Upper halves of the client order ids of all runs of this account.

    Raises
    ------
    UnreadableError
        If a list cannot be believed; then nothing is known, and nothing is repaired.
    """
    return list(_Comparison(ours, listed, instruments, epochs).all())


def rows(found: Sequence[Difference], now_ns: int) -> NDArray[np.void]:
    """Return the rows that repair differences and ask for orders, as an array of EVENT_DTYPE."""
    return packed((made for one in found for made in one.made), now_ns)


class _Comparison:
    # One comparison; ``_asked`` are the symbols with an order whose trades may be missing: all while none is compared.

    def __init__(self, ours: Believed, listed: Listed, instruments: Instruments, epochs: Container[int]) -> None:
        self.ours, self.listed, self.epochs = ours, listed, epochs
        self.grid = Grid(instruments)
        compared = listed.open_orders is not None and listed.open_algo_orders is not None
        self._asked: set[int] = set() if compared else set(range(len(self.grid.names)))

    def all(self) -> Iterator[Difference]:
        listed = self.listed
        parts: list[tuple[object, Callable[[], Iterator[Difference]]]] = [
            (listed.dual, self._dual),
            (listed.multi_assets, self._multi_assets),
            (listed.symbol_config, self._settings),
            (None if listed.open_orders is None else listed.open_algo_orders, self._orders),
            (listed.position_risk, self._positions),
            (listed.balance, self._wallets),
        ]
        for body, compare in parts:
            if body is not None:
                yield from compare()

    # ------------------------------------------------------------------ settings

    def _dual(self) -> Iterator[Difference]:
        theirs = flag(_given(self.listed.dual), "dualSidePosition")
        if theirs != self.ours.hedge:
            yield self._setting("hedge", "", 0, Setting.HEDGE_MODE, self.ours.hedge, theirs)

    def _multi_assets(self) -> Iterator[Difference]:
        theirs = flag(_given(self.listed.multi_assets), "multiAssetsMargin")
        if theirs != self.ours.multi_assets:
            yield self._setting("multi_assets", "", 0, Setting.MULTI_ASSETS, self.ours.multi_assets, theirs)

    def _settings(self) -> Iterator[Difference]:
        for index, name, body in self._of_the_run(self.listed.symbol_config):
            isolated, leverage = chosen(body, "marginType", MARGIN_TYPES), whole(body.get("leverage"), 1, 200)
            if isolated != self.ours.isolated[index]:
                yield self._setting("margin", name, index, Setting.ISOLATED, self.ours.isolated[index], isolated)
            if leverage != self.ours.leverage[index]:
                yield self._setting("leverage", name, index, Setting.LEVERAGE, self.ours.leverage[index], leverage)

    @staticmethod
    def _setting(kind: str, name: str, symbol: int, setting: Setting, ours: int, theirs: int) -> Difference:
        made = row(Kind.SETTING, symbol, int(setting), int(theirs))
        return Difference(kind, name, str(int(ours)), str(int(theirs)), Remedy.REPAIRED, (made,))

    # ------------------------------------------------------------------ orders

    def _orders(self) -> Iterator[Difference]:
        plain = [self._plain(body) for body in _bodies(self.listed.open_orders)]
        algos = [self._algo(body) for body in _bodies(self.listed.open_algo_orders)]
        seen: set[int] = set()
        for told in plain:
            if told is not None and told.status not in ENDS and told.status != "FILLED":
                seen.add(told.client_id)
                yield from self._compared(told.symbol, told.client_id, told)
        for told_algo in algos:
            # A conditional order whose child is listed is what its child is.
            if told_algo is not None and told_algo.status not in ALGO_ENDS and told_algo.client_id not in seen - {0}:
                seen.add(told_algo.client_id)
                yield from self._compared(told_algo.symbol, told_algo.client_id, told_algo)
        for client_id, order in self.ours.orders.items():
            if client_id not in seen and _is_open(order) and not self._moves(order):
                yield self._ask("order_missing", order, OrderState(order["state"]).name, "-")

    def _plain(self, body: Body) -> Report | None:
        return order_report(body, self.grid, self.epochs) if body.get("symbol") in self.grid.names else None

    def _algo(self, body: Body) -> AlgoReport | None:
        return algo_report(body, self.grid, self.epochs) if body.get("symbol") in self.grid.names else None

    def _compared(self, symbol: int, client_id: int, told: Report | AlgoReport) -> Iterator[Difference]:
        order = self.ours.orders.get(client_id) if client_id else None
        if order is None or not _is_open(order):
            if order is None or not self._moves(order):
                yield self._stray(symbol, client_id, order, told)
        elif not self._moves(order):
            yield from self._plain_order(order, told) if isinstance(told, Report) else self._algo_order(order, told)

    def _stray(
        self, symbol: int, client_id: int, order: Mapping[str, int] | None, told: Report | AlgoReport
    ) -> Difference:
        # Nobody here can manage it: an order of somebody else, of a run that is forgotten, or one believed dead.
        kind = "order_foreign" if not client_id else "order_forgotten" if order is None else "order_dead"
        number, ticks = (told.venue_id, told.ticks) if isinstance(told, Report) else (told.algo_id, told.trigger_ticks)
        made = row(Kind.FOREIGN, symbol, number, ticks, told.lots - told.done, flags=side_flags(told.side, told.leg))
        ours = "-" if order is None else OrderState(order["state"]).name
        theirs = f"{client_name(client_id) if client_id else number} {_shown(told.status)}"
        return Difference(kind, self.grid.names[symbol], ours, theirs, Remedy.RAISED, (made,))

    def _plain_order(self, order: Mapping[str, int], told: Report) -> Iterator[Difference]:
        state, client_id = OrderState(order["state"]), order["client_id"]
        if told.done != order["filled"]:
            yield self._ask("order_filled", order, str(order["filled"]), str(told.done))
        elif state == OrderState.PENDING_CANCEL:
            yield self._ask("order_state", order, state.name, _shown(told.status))
        else:
            yield from self._standing(order, told, state)
            differs = (order["price_ticks"], order["lots"]) != (told.ticks, told.lots) or order["amend_lots"]
            if told.ticks and told.lots and differs:
                made = row(Kind.AMENDED, told.symbol, client_id, told.ticks, told.lots)
                asked = f" ({order['amend_lots']} @ {order['amend_ticks']})" if order["amend_lots"] else ""
                ours, theirs = f"{order['lots']} @ {order['price_ticks']}{asked}", f"{told.lots} @ {told.ticks}"
                yield Difference("order_terms", self._name(order), ours, theirs, Remedy.REPAIRED, (made,))

    def _standing(self, order: Mapping[str, int], told: Report, state: OrderState) -> Iterator[Difference]:
        if state not in (OrderState.LIVE, OrderState.PARTLY_FILLED):
            made = row(Kind.ACCEPTED, told.symbol, told.client_id, told.venue_id, told.ticks, told.lots)
            yield Difference(
                "order_state", self._name(order), state.name, _shown(told.status), Remedy.REPAIRED, (made,)
            )

    def _algo_order(self, order: Mapping[str, int], told: AlgoReport) -> Iterator[Difference]:
        state = OrderState(order["state"])
        if order["type"] < OrderType.STOP or (order["trigger_ticks"], order["lots"]) != (told.trigger_ticks, told.lots):
            ours, theirs = f"{order['lots']} @ {order['trigger_ticks']}", f"{told.lots} @ {told.trigger_ticks}"
            yield Difference("algo_terms", self._name(order), ours, theirs, Remedy.RAISED)
        if state in (OrderState.PENDING_NEW, OrderState.UNKNOWN) and told.status == "NEW":
            made = row(Kind.ALGO, told.symbol, told.client_id, int(AlgoStatus.ALGO_NEW), told.algo_id)
            yield Difference("order_state", self._name(order), state.name, "NEW", Remedy.REPAIRED, (made,))
        elif state != (OrderState.ARMED if told.status == "NEW" else OrderState.TRIGGERING):
            yield self._ask("order_state", order, state.name, _shown(told.status))

    def _ask(self, kind: str, order: Mapping[str, int], ours: str, theirs: str) -> Difference:
        self._asked.add(order["symbol"])
        made = row(Kind.LOST, order["symbol"], order["client_id"], int(Kind.ORDER))
        return Difference(kind, self._name(order), ours, theirs, Remedy.ASKED, (made,), order=order["client_id"])

    def _name(self, order: Mapping[str, int]) -> str:
        return self.grid.names[order["symbol"]]

    def _moves(self, order: Mapping[str, int]) -> bool:
        return max(order["created"], order["updated"]) >= self.listed.since_ns

    # ------------------------------------------------------------------ positions and money

    def _positions(self) -> Iterator[Difference]:
        theirs: dict[Leg, tuple[int, int, int]] = {}
        for body in _bodies(self.listed.position_risk):
            name = text(body, "symbol")
            if name in self.grid.names:
                leg = self.grid.symbol(name), chosen(body, "positionSide", LEGS)
                held = self._held(leg[0], body)
                if held[0] and theirs.get(leg, (0, 0, 0))[0]:
                    raise UnreadableError("shape")
                theirs[leg] = held if held[0] else theirs.get(leg, held)
            elif amount_e8(body.get("positionAmt")):
                yield Difference("elsewhere", _shown(name), "0", _shown(text(body, "positionAmt")), Remedy.RAISED)
        for leg, held in self.ours.positions.items():
            yield from self._leg(leg, held, theirs.get(leg, (0, 0, 0)))

    def _held(self, symbol: int, body: Body) -> tuple[int, int, int]:
        # Lots, cost and isolated wallet; the entry price is an average, and its last digit is cut or rounded.
        lots, entry_e8 = self.grid.lots(symbol, body.get("positionAmt")), amount_e8(body.get("entryPrice"), 0)
        cost_e8 = (2 * abs(lots) * self.grid.lot_e8[symbol] * entry_e8 + E8) // (2 * E8)
        if cost_e8 >= MOST_E8 or (lots != 0) != (entry_e8 != 0):
            raise UnreadableError("number")
        return lots, -cost_e8 if lots < 0 else cost_e8, amount_e8(body.get("isolatedWallet", "0"))

    def _leg(self, leg: Leg, ours: tuple[int, int, int], theirs: tuple[int, int, int]) -> Iterator[Difference]:
        symbol, short = leg
        # A tenth of a tick is finer than any entry price that would matter; a truth to the digit is kept.
        unit_e8 = self.grid.tick_e8[symbol] * self.grid.lot_e8[symbol] // E8
        same_cost = abs(ours[1] - theirs[1]) <= abs(theirs[0]) * unit_e8 // 10 + 2
        kind = "position" if ours[0] != theirs[0] else "entry" if not same_cost else "isolated"
        if kind == "isolated" and ours[2] == theirs[2]:
            return
        cost_e8 = ours[1] if kind == "isolated" else theirs[1]
        made = row(Kind.POSITION, symbol, theirs[0], abs(cost_e8), theirs[2], flags=Flag.F_SHORT if short else 0)
        name, before, after = self.grid.names[symbol], self._shown_leg(symbol, ours), self._shown_leg(symbol, theirs)
        if symbol in self._asked or name in self.listed.moving or self._traded_since(symbol):
            yield Difference(kind, name, before, after, Remedy.ASKED)
        else:
            yield Difference(kind, name, before, after, Remedy.REPAIRED, (made,))

    def _shown_leg(self, symbol: int, held: tuple[int, int, int]) -> str:
        lots, cost_e8, isolated_e8 = held
        size_e8 = lots * self.grid.lot_e8[symbol]
        entry = f" @ {_plain(cost_e8 * E8 // size_e8)}" if lots else ""
        return f"{_plain(size_e8)}{entry}" + (f" ({_plain(isolated_e8)} USDT)" if isolated_e8 else "")

    def _traded_since(self, symbol: int) -> bool:
        return any(order["symbol"] == symbol and self._moves(order) for order in self.ours.orders.values())

    def _wallets(self) -> Iterator[Difference]:
        found = {text(body, "asset"): amount_e8(body.get("balance")) for body in _bodies(self.listed.balance)}
        settled = not (self._asked or self.listed.moving) and not any(map(self._moves, self.ours.orders.values()))
        for name, number in ASSETS.items():
            ours, theirs = self.ours.wallets_e8[number], found.get(name, 0)
            if ours != theirs:
                made = (row(Kind.WALLET, 0, theirs, number),) if settled else ()
                remedy = Remedy.REPAIRED if settled else Remedy.ASKED
                yield Difference("wallet", name, _plain(ours), _plain(theirs), remedy, made)
        for name in sorted(set(found) - set(ASSETS)):
            if found[name]:
                yield Difference("asset", _shown(name), "0", _plain(found[name]), Remedy.RAISED)

    # ------------------------------------------------------------------ reading

    def _of_the_run(self, bodies: object) -> Iterator[tuple[int, str, Body]]:
        for body in _bodies(bodies):
            name = text(body, "symbol")
            if name in self.grid.names:
                yield self.grid.symbol(name), name, body


def _given(body: Body | None) -> Body:
    if not isinstance(body, Mapping):
        raise UnreadableError("shape")
    return body


def _bodies(listed: object) -> Sequence[Body]:
    if not isinstance(listed, Sequence) or not all(isinstance(one, Mapping) for one in listed):
        raise UnreadableError("shape")
    return listed


def _is_open(order: Mapping[str, int]) -> bool:
    return OrderState.EMPTY < order["state"] < OrderState.FILLED


def _plain(value_e8: int) -> str:
    whole_part, part = divmod(abs(value_e8), E8)
    digits = f"{whole_part}.{part:08d}".rstrip("0").rstrip(".")
    return f"-{digits}" if value_e8 < 0 else digits


def _shown(word: str) -> str:
    # The exchange's words go into what an operator reads: nothing but letters, digits and a few signs.
    return "".join(one if one.isascii() and (one.isalnum() or one in "_-.") else "?" for one in word[:40])
