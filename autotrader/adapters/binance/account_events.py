"""What the account's event stream says, as rows of the core.

Knows the payloads of the user stream. Refuses to know connections, listen keys and clocks, and what an event proves of
an order in the light of earlier ones: `evidence` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from autotrader.adapters.binance.evidence import AlgoReport, Evidence, Report, Trade, put
from autotrader.adapters.binance.reading import (
    ASSETS,
    FEE_ASSETS,
    LATEST_MS,
    LEGS,
    SIDES,
    UnreadableError,
    amount_e8,
    chosen,
    client_id,
    flag,
    text,
    whole,
)
from autotrader.adapters.binance.rows import Row, packed, row
from core_ext.types import Cause, Flag, Instruments, Kind, Setting

__all__ = ["AccountEvents"]

MOST_REASON = 99
FORCED = {
    "autoclose-": Cause.LIQUIDATION_ORDER,
    "adl_autoclose": Cause.DELEVERAGED,
    "settlement_autoclose-": Cause.SETTLED,
    "delivery_autoclose-": Cause.SETTLED,
}
"""Beginnings of the client order ids that the exchange gives to what it closes by force."""
MOVED = frozenset(
    {
        "DEPOSIT",
        "WITHDRAW",
        "WITHDRAW_REJECT",
        "ADMIN_DEPOSIT",
        "ADMIN_WITHDRAW",
        "ASSET_TRANSFER",
        "AUTO_EXCHANGE",
        "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
    }
)
"""Reasons of ACCOUNT_UPDATE for which money came or went that was neither won nor lost."""
FROM_TRADING = frozenset({"ORDER", "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE"})
"""Reasons whose balances follow from trades, which have their own events."""
MARGIN_TYPES = {"cross": 0, "isolated": 1}
PASSED_OVER = frozenset({"TRADE_LITE", "STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT"})

MOST_CHANGES = 1 << 12
"""Changes of balances remembered; at the bound the oldest is forgotten."""
MOST_BYTES = 1 << 20
"""Longer messages are absurd."""

Body = Mapping[str, Any]
Change = tuple[str, int, int]
Held = tuple[int, int, int, int]


class AccountEvents:
    """Reader of one account's event stream.

    Parameters
    ----------
    instruments : Instruments
    epochs : container of int
        Upper halves of the client order ids of all runs of this account.

    Attributes
    ----------
    evidence : Evidence
        What has been told of orders and trades; answers to requests are read in its light too.
    refused : Counter
        Messages that cannot be believed, by reason (see `reading.UnreadableError`, and ``json``).
    unknown : int
        Events of a type that the exchange's description does not have.
    margin_calls, expirations : int
        Margin calls, and events that say that the listen key has expired: after one the stream stays silent.
    """

    def __init__(self, instruments: Instruments, epochs: Container[int]) -> None:
        self.evidence = Evidence(instruments, epochs)
        self.refused: Counter[str] = Counter()
        self.unknown = 0
        self.margin_calls = 0
        self.expirations = 0
        self._grid = self.evidence.grid
        self._changes: dict[tuple[int, str, int, int], None] = {}
        self._isolated: dict[tuple[int, int], int] = {}
        self._readers: dict[str, Callable[[Body], list[Row]]] = {
            "ORDER_TRADE_UPDATE": self._on_order,
            "ALGO_UPDATE": self._on_algo,
            "ACCOUNT_UPDATE": self._on_account,
            "ACCOUNT_CONFIG_UPDATE": self._on_setting,
            "MARGIN_CALL": self._on_margin_call,
            "listenKeyExpired": self._on_expired,
        }

    def rows(self, event: Body | bytes, now_ns: int) -> NDArray[np.void]:
        """Return what an event means to the core.

        Parameters
        ----------
        event : mapping or bytes
            A message of the stream, with or without the stream's name around it.
        now_ns : int
            Receive stamp, ns UTC.

        Returns
        -------
        array of EVENT_DTYPE
            Empty for what changes nothing, and for a message that cannot be believed, which is counted in ``refused``;
            if that was about an order of ours the engine asks what has become of it.
        """
        try:
            body = _opened(event)
            made = self._read(body)
            return packed(made, now_ns, whole(body["E"], 0, LATEST_MS) if made and "E" in body else None)
        except UnreadableError as error:
            self.refused[error.reason] += 1
            return packed(self._doubted(event), now_ns)

    def note(self, rows: NDArray[np.void]) -> None:
        """Learn from rows that were not made here: see `Evidence.note`; and the isolated wallets of positions."""
        self.evidence.note(rows)
        for told in rows[rows["kind"] == Kind.POSITION]:
            self._isolated[int(told["symbol"]), int(bool(told["flags"] & Flag.F_SHORT))] = int(told["c"])

    # ------------------------------------------------------------------ dispatch

    def _read(self, body: Body) -> list[Row]:
        name = text(body, "e")
        reader = self._readers.get(name)
        if reader is None:
            self.unknown += name not in PASSED_OVER
            return []
        whole(body.get("E"), 0, LATEST_MS)
        return reader(body)

    def _doubted(self, event: Body | bytes) -> list[Row]:
        # Of an order event that cannot be believed only which order of ours it is about, or that the exchange closes
        # something by force: what, the comparison finds, and until somebody has looked nothing is opened.
        try:
            told = _part(_opened(event), "o")
            name, symbol = text(told, "c" if "c" in told else "caid"), self._grid.symbol(told.get("s"))
            if name.startswith(tuple(FORCED)):
                return [row(Kind.FOREIGN, symbol)]
            ours = client_id(name, self.evidence.epochs)
            return self.evidence.lost(ours, symbol) if ours else []
        except UnreadableError:
            return []

    # ------------------------------------------------------------------ orders

    def _on_order(self, body: Body) -> list[Row]:
        told = _part(body, "o")
        symbol, name = self._grid.symbol(told.get("s")), text(told, "c")
        happened, last = text(told, "x"), self._grid.size(symbol, told.get("l"))
        cause = next((cause for start, cause in FORCED.items() if name.startswith(start)), None)
        report = Report(
            symbol=symbol,
            client_id=0 if cause is not None else client_id(name, self.evidence.epochs),
            venue_id=whole(told.get("i"), 1),
            side=chosen(told, "S", SIDES),
            leg=chosen(told, "ps", LEGS),
            status=text(told, "X"),
            ticks=self._grid.ticks(symbol, told.get("p")) if cause is None else 0,
            lots=self._grid.size(symbol, told.get("q")),
            done=self._grid.size(symbol, told.get("z")),
            stamp_ms=whole(told.get("T"), 0, LATEST_MS),
            reason=whole(told.get("er", "0"), 0, MOST_REASON),
            amended=happened == "AMENDMENT",
        )
        if cause is None and not last <= report.done <= report.lots:
            raise UnreadableError("number")
        trade = self._trade(told, report, last, cause) if last and happened in ("TRADE", "CALCULATED") else None
        if cause is None:
            return self.evidence.report(report, [trade] if trade else [])
        return self.evidence.forced(report, trade, cause) if trade else []

    def _trade(self, told: Body, report: Report, lots: int, cause: Cause | None) -> Trade:
        # A closing by force may have no trade: then the order and how far it is done name it.
        number = whole(told.get("t"), int(cause is None))
        return Trade(
            trade_id=number or -(report.venue_id << 50 | report.done),
            lots=lots,
            price_e8=amount_e8(told.get("L"), 1),
            fee_e8=amount_e8(told["n"]) if self._fee_known(told) else 0,
            in_coin="n" in told and FEE_ASSETS.get(text(told, "N"), False),
            maker=flag(told, "m"),
        )

    def _fee_known(self, told: Body) -> bool:
        # The fill is true though its fee is in an asset that we keep no wallet of.
        if "n" not in told:
            return False
        known = text(told, "N") in FEE_ASSETS
        if not known:
            self.refused["name"] += 1
        return known

    def _on_algo(self, body: Body) -> list[Row]:
        told = _part(body, "o")
        symbol = self._grid.symbol(told.get("s"))
        report = AlgoReport(
            symbol=symbol,
            client_id=client_id(text(told, "caid"), self.evidence.epochs),
            side=chosen(told, "S", SIDES),
            leg=chosen(told, "ps", LEGS),
            status=text(told, "X"),
            algo_id=whole(told.get("aid"), 1),
            child_id=whole(told.get("ai") or 0),
            trigger_ticks=self._grid.ticks(symbol, told.get("tp") or "0"),
            lots=self._grid.size(symbol, told.get("q") or "0"),
            done=self._grid.size(symbol, told.get("aq") or "0"),
        )
        return self.evidence.algo(report)

    # ------------------------------------------------------------------ money, positions, settings

    def _on_account(self, body: Body) -> list[Row]:
        told = _part(body, "a")
        why, held = text(told, "m"), [self._held(one) for one in _parts(told, "P") if self._traded(one)]
        changed = [(text(one, "a"), amount_e8(one.get("wb")), amount_e8(one.get("bc"))) for one in _parts(told, "B")]
        rows: list[Row] = []
        if why == "MARGIN_TRANSFER":
            rows = self._moved(held)
        elif why == "MARGIN_TYPE_CHANGE":
            rows = [
                row(Kind.SETTING, symbol, Setting.ISOLATED, value)
                for symbol, value in {one[0]: one[2] for one in held}.items()
            ]
        elif why == "FUNDING_FEE":
            rows = self._paid(told, held, self._new(body, changed))
        elif why not in FROM_TRADING:
            rows = [made for one in self._new(body, changed) for made in self._balance(why, *one)]
        self._isolated |= {(symbol, leg): wallet for symbol, leg, _, wallet in held}
        return rows

    def _new(self, body: Body, changed: list[Change]) -> list[Change]:
        # Balances that changed, each once: two connections tell of each twice, with the same wallet behind it.
        stamp = whole(body.get("T"), 0, LATEST_MS)
        found = [one for one in changed if one[2] and (stamp, *one) not in self._changes]
        for one in found:
            put(self._changes, (stamp, *one), None, MOST_CHANGES)
        return found

    def _traded(self, one: Body) -> bool:
        return text(one, "s") in self._grid.names

    def _held(self, one: Body) -> Held:
        # Symbol, leg, whether isolated, and its wallet.
        isolated = chosen(one, "mt", MARGIN_TYPES)
        wallet = amount_e8(one.get("iw", "0"))
        return self._grid.symbol(one.get("s")), chosen(one, "ps", LEGS), isolated, wallet

    def _moved(self, held: list[Held]) -> list[Row]:
        # What an event says is what the wallet is now; of a leg never told of, nobody knows what was moved.
        if any((symbol, leg) not in self._isolated for symbol, leg, _, _ in held):
            raise UnreadableError("shape")
        return [
            row(Kind.MARGIN_MOVED, symbol, wallet - self._isolated[symbol, leg], flags=Flag.F_SHORT if leg else 0)
            for symbol, leg, _, wallet in held
            if wallet != self._isolated[symbol, leg]
        ]

    def _paid(self, told: Body, held: list[Held], changed: list[Change]) -> list[Row]:
        amount = sum(change for asset, _, change in changed if asset == "USDT")
        if amount == 0:
            return []
        symbol, leg = (held[0][0], held[0][1]) if held else (self._grid.symbol(told.get("S")), 0)
        return [row(Kind.FUNDING_PAID, symbol, amount, flags=Flag.F_SHORT if leg else 0)]

    def _balance(self, why: str, asset: str, wallet_e8: int, change_e8: int) -> list[Row]:
        number = ASSETS.get(asset)
        if number is None:
            self.refused["name"] += 1
            return []
        if why in MOVED:
            return [row(Kind.TRANSFER, 0, change_e8, number)]
        return [row(Kind.WALLET, 0, wallet_e8, number)]

    def _on_setting(self, body: Body) -> list[Row]:
        rows = []
        if "ac" in body:
            told = _part(body, "ac")
            symbol = self._grid.symbol(told.get("s"))
            rows.append(row(Kind.SETTING, symbol, Setting.LEVERAGE, whole(told.get("l"), 1, 200)))
        if "ai" in body:
            rows.append(row(Kind.SETTING, 0, Setting.MULTI_ASSETS, int(flag(_part(body, "ai"), "j"))))
        return rows

    def _on_margin_call(self, body: Body) -> list[Row]:
        _parts(body, "p")
        self.margin_calls += 1
        return []

    def _on_expired(self, _: Body) -> list[Row]:
        self.expirations += 1
        return []


def _opened(event: Body | bytes) -> Body:
    if isinstance(event, bytes | bytearray | memoryview):
        if len(event) > MOST_BYTES:
            raise UnreadableError("shape")
        try:
            event = orjson.loads(event)
        except orjson.JSONDecodeError as error:
            raise UnreadableError("json") from error
    if not isinstance(event, Mapping):
        raise UnreadableError("shape")
    return _part(event, "data") if "data" in event else event


def _part(body: Body, key: str) -> Body:
    part = body.get(key)
    if not isinstance(part, Mapping):
        raise UnreadableError("shape")
    return part


def _parts(body: Body, key: str) -> list[Body]:
    parts = body.get(key, [])
    if not isinstance(parts, list) or not all(isinstance(one, Mapping) for one in parts):
        raise UnreadableError("shape")
    return parts
