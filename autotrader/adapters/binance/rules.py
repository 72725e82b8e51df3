"""The exchange's rules for its symbols: as a run takes them at its start, and what has changed of them since.

Knows the bodies of ``exchangeInfo``, ``leverageBracket`` and ``commissionRate``, and which contracts a run may trade.
Refuses to know when they are asked for and what a change leads to. A run counts in the tick and lot of its start: a
grid that does not fit leaves the symbol to its exits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autotrader import instruments as facts
from autotrader.adapters.binance.rows import Row, packed, row
from autotrader.errors import OperatorError, VenueError
from autotrader.instruments import Language, Spec
from autotrader.messages import say
from core_ext.types import Flag, Instruments, Kind
from core_ext.wire import Refused, rate_value, scaled, whole

__all__ = ["Changes", "Rules", "specs"]

Body = Mapping[str, Any]
Words = tuple[int, int, int, int, int, int]

INFO: Final = "exchangeInfo"
LADDER: Final = "leverageBracket"
TRADING: Final = "TRADING"
ENDLESS_MS: Final = 4_133_404_800_000
"""The delivery date of what is never delivered, 25 December 2100; from there on none is told."""
HIGHEST_FEE_E8: Final = 1_000_000
LARGEST_REBATE_E8: Final = 100_000
UNREADABLE: Final = (OperatorError, Refused, KeyError, TypeError, ValueError, AttributeError)
FIELDS: Final = ("tick_step", "lot_step", "min_lots", "max_lots", "max_market_lots", "min_notional_e8")
"""The fields of an instrument that a FILTERS row sets, in its order."""


def specs(
    symbols: Sequence[str],
    info: Body,
    brackets: Sequence[Body],
    commissions: Sequence[Body],
    *,
    leverage: int,
    collar_e8: int | None = None,
    language: Language = "en",
) -> tuple[list[Spec], list[str]]:
    """Return the instruments of a run as the exchange describes them now.

    Parameters
    ----------
    symbols : sequence of str
        The run's symbols; the order is kept.
    info : mapping
        Body of ``exchangeInfo``.
    brackets, commissions : sequence of mapping
        Bodies of ``leverageBracket`` and ``commissionRate`` that name each symbol.
    leverage : int
        Leverage that the account sets; limited by each symbol's first bracket.
    collar_e8, language
        As in `autotrader.instruments.specs`.

    Returns
    -------
    list of dict, list of str
        As of `autotrader.instruments.specs`: the instruments, and a line for every fact that the exchange leaves out.

    Raises
    ------
    OperatorError
        If a symbol is not listed, or is no perpetual that is quoted and margined in USDT.
    VenueError
        If a body cannot be believed.
    """
    listed, ladders, fees = (_by_symbol(one) for one in (_symbols(info), brackets, commissions))
    for symbol in symbols:
        _require_perpetual(symbol, listed.get(symbol))
    try:
        table = facts.table_of({name: _row(listed[name], ladders.get(name)) for name in symbols}, INFO)
        made, lines = facts.specs(
            symbols, table=table, fees=(0, 0), leverage=leverage, collar_e8=collar_e8, language=language
        )
        for spec in made:
            spec["maker_fee_e8"], spec["taker_fee_e8"] = _fees(fees.get(spec["symbol"], {}))
    except (OperatorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VenueError(say("rules.unreadable", reason=str(error) or type(error).__name__)) from None
    return made, lines


def _require_perpetual(symbol: str, body: Body | None) -> None:
    if body is None:
        raise OperatorError(say("rules.absent", symbol=symbol))
    found = tuple(str(body.get(key))[:40] for key in ("contractType", "quoteAsset", "marginAsset"))
    if found != ("PERPETUAL", "USDT", "USDT"):
        raise OperatorError(say("rules.not_perpetual", symbol=symbol, contract=found[0], quote=found[1], coin=found[2]))


def _row(body: Body, ladder: Body | None) -> dict[str, object]:
    # A row of the shape of the shipped table; a bound of 0 is none.
    filters = _filters(body)
    prices, lots, market, band = (
        filters.get(kind, {}) for kind in ("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "PERCENT_PRICE")
    )
    fields = {
        "tick": prices.get("tickSize"),
        "lot": lots.get("stepSize"),
        "min_price": _bound(prices.get("minPrice")),
        "max_price": _bound(prices.get("maxPrice")),
        "min_quantity": _bound(lots.get("minQty")),
        "max_quantity": _bound(lots.get("maxQty")),
        "max_market_quantity": _bound(market.get("maxQty")),
        "min_notional": _bound(filters.get("MIN_NOTIONAL", {}).get("notional")),
        "multiplier_up": band.get("multiplierUp"),
        "multiplier_down": band.get("multiplierDown"),
        "take_bound": body.get("marketTakeBound"),
        "liquidation_fee": body.get("liquidationFee"),
        "max_orders": filters.get("MAX_NUM_ORDERS", {}).get("limit"),
        "brackets": None if ladder is None else [_bracket(one) for one in _ordered(ladder["brackets"])],
    }
    return {field: value for field, value in fields.items() if value is not None}


def _bound(value: object) -> object:
    return None if isinstance(value, str) and not value.strip("0.") else value


def _ordered(brackets: Sequence[Body]) -> list[Body]:
    return sorted(brackets, key=lambda one: whole(one["bracket"]))


def _bracket(body: Body) -> tuple[str, str, str, str, int]:
    floor, cap, ratio, cum = (
        _number(body[key]) for key in ("notionalFloor", "notionalCap", "maintMarginRatio", "cum")
    )
    return floor, cap, ratio, cum, whole(body["initialLeverage"])


def _number(value: object) -> str:
    # A JSON number; its shortest text is what the exchange wrote.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no number: {str(value)[:40]}")
    return f"{Decimal(repr(value)).normalize():f}"


def _fees(body: Body) -> tuple[int, int]:
    maker, taker = rate_value(body.get("makerCommissionRate")), rate_value(body.get("takerCommissionRate"))
    if not -LARGEST_REBATE_E8 <= maker <= HIGHEST_FEE_E8 or not 0 <= taker <= HIGHEST_FEE_E8:
        raise ValueError(f"no fees: {maker / facts.E8}, {taker / facts.E8}")
    return maker, taker


def _symbols(info: Body) -> Sequence[Body]:
    found = info.get("symbols") if isinstance(info, Mapping) else None
    if not isinstance(found, list):
        raise VenueError(say("rules.unreadable", reason="symbols"))
    return found


def _by_symbol(bodies: Sequence[Body]) -> dict[str, Body]:
    if not isinstance(bodies, Sequence) or not all(isinstance(one, Mapping) for one in bodies):
        raise VenueError(say("rules.unreadable", reason="symbol"))
    return {str(one.get("symbol")): one for one in bodies}


def _filters(body: Body) -> dict[str, Body]:
    return {str(one["filterType"]): one for one in body["filters"]}


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from what a run was told.

    Attributes
    ----------
    rows : array of EVENT_DTYPE
        STATUS, FILTERS and BRACKET rows.
    told : list of (str, str)
        A symbol and a sentence for each change, in the same order.
    """

    rows: NDArray[np.void]
    told: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Standing:
    # Whether a symbol may open positions, until when it is listed, and why.
    trades: bool
    delist_ns: int
    why: str


_Change = tuple[str, list[Row], str, _Standing | None]
"""A symbol, the rows, the sentence, and what to remember of its status."""


class Rules:
    """The rules that a run goes by, beside those that the exchange lists.

    Parameters
    ----------
    instruments : Instruments
        The engine's own: its filters are those of the last FILTERS row that it has taken.

    Notes
    -----
    What was told of a symbol's status is remembered here and not read from the engine: after a start every status is
    told once.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._told: dict[str, _Standing] = {}

    def changes(self, info: Body, now_ns: int, ladders: Sequence[Body] = ()) -> Changes:
        """Return what the exchange lists differently by now.

        Parameters
        ----------
        info : mapping
            Body of ``exchangeInfo``.
        ladders : sequence of mapping, optional
            Body of ``leverageBracket``; the brackets of a symbol that it does not name are not compared.
        now_ns : int
            Receive stamp of the rows, ns UTC.

        Raises
        ------
        VenueError
            If it cannot be believed; then nothing counts as told.
        """
        listed, brackets = _by_symbol(_symbols(info)), _by_symbol(ladders)
        names = self._instruments.names
        try:
            found = [one for index, name in enumerate(names) for one in self._of(index, name, listed.get(name))]
        except UNREADABLE as error:
            raise VenueError(say("rules.unreadable", reason=str(error) or type(error).__name__)) from None
        for index, name in enumerate(names):
            try:
                found += self._brackets(index, brackets.get(name))
            except UNREADABLE as error:  # what is known of a symbol's status does not wait for its brackets
                found.append((name, [], say("rules.unreadable", reason=f"{name}: {error}"), None))
        self._told |= {name: standing for name, _, _, standing in found if standing is not None}
        made = packed((row for _, made, _, _ in found for row in made), now_ns)
        return Changes(made, [(name, sentence) for name, _, sentence, _ in found])

    def _of(self, index: int, name: str, body: Body | None) -> Iterator[_Change]:
        spec = self._instruments.spec(index)
        words = None if body is None else _words(body, spec)
        standing = _standing(name, body, words, spec)
        if standing != self._told.get(name):
            yield name, [row(Kind.STATUS, index, int(standing.trades), standing.delist_ns)], standing.why, standing
        before = tuple(spec[field] for field in FIELDS)
        if words is not None and words != before:
            sentence = say("rules.filters", symbol=name, before=_shown(before), now=_shown(words))
            yield name, [row(Kind.FILTERS, index, *words)], sentence, None

    def _brackets(self, index: int, body: Body | None) -> Iterator[_Change]:
        # All of a symbol's brackets anew, because a maintenance amount stands on those before it.
        if body is None:
            return
        spec = self._instruments.spec(index)
        before = [tuple(one.values()) for one in spec["brackets"]]
        now = list(facts.brackets_of([_bracket(one) for one in _ordered(body["brackets"])], LADDER))
        if now != before:
            ends = [0] * (len(now) - 1) + [Flag.F_END]
            rows = [
                (int(Kind.BRACKET), int(end), index, at, *bracket[1:], 0)
                for at, (end, bracket) in enumerate(zip(ends, now, strict=True))
            ]
            yield spec["name"], rows, say("rules.brackets", symbol=spec["name"], **_change(before, now)), None


def _change(before: Sequence[tuple[int, ...]], now: Sequence[tuple[int, ...]]) -> dict[str, object]:
    # The lowest bracket tells most: its leverage, its end and its ratio.
    words = ("leverage", "cap", "ratio")
    of = [(ladder[0][4], ladder[0][1] / facts.E8, ladder[0][2] / facts.E8) for ladder in (before, now)]
    return {f"{word}_{when}": value for when, values in zip(("then", "now"), of, strict=True)
            for word, value in zip(words, values, strict=True)}


def _standing(name: str, body: Body | None, words: Words | None, spec: Mapping[str, Any]) -> _Standing:
    if body is None:
        return _Standing(False, 0, say("rules.gone", symbol=name))
    status, delivery_ms = str(body["status"])[:40], whole(body["deliveryDate"])
    delist_ns = delivery_ms * 1_000_000 if delivery_ms < ENDLESS_MS else 0
    if status != TRADING:
        return _Standing(False, delist_ns, say("rules.status", symbol=name, status=_word(status)))
    if words is None:
        grid = {"tick": spec["tick_e8"] / facts.E8, "lot": spec["lot_e8"] / facts.E8}
        return _Standing(False, delist_ns, say("rules.grid", symbol=name, **grid))
    if delist_ns:
        day = f"{datetime.fromtimestamp(delivery_ms / 1000, UTC):%Y-%m-%d %H:%M}"
        return _Standing(True, delist_ns, say("rules.delist", symbol=name, day=day))
    return _Standing(True, 0, say("rules.trading", symbol=name))


def _words(body: Body, spec: Mapping[str, Any]) -> Words | None:
    # Words of a FILTERS row in the run's ticks and lots; None where they cannot be said in them.
    filters = _filters(body)
    lots, market = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", {})
    tick_e8, lot_e8 = scaled(filters["PRICE_FILTER"]["tickSize"], 8), scaled(lots["stepSize"], 8)
    if not tick_e8 or not lot_e8 or tick_e8 % spec["tick_e8"] or lot_e8 % spec["lot_e8"]:
        return None
    step = lot_e8 // spec["lot_e8"]
    least = max(1, -(-scaled(lots["minQty"], 8) // lot_e8)) * step
    most = scaled(lots["maxQty"], 8) // lot_e8 * step
    at_market = scaled(market["maxQty"], 8) // lot_e8 * step if market else spec["max_market_lots"]
    notional = filters.get("MIN_NOTIONAL", {}).get("notional")
    notional_e8 = spec["min_notional_e8"] if notional is None else scaled(notional, 8)
    if not least <= most < 1 << 62 or not least <= at_market < 1 << 62:
        return None
    return tick_e8 // spec["tick_e8"], step, least, most, at_market, notional_e8


def _shown(values: Sequence[int]) -> str:
    return "/".join(map(str, values))


def _word(text: str) -> str:
    # The exchange's words go into what an operator reads.
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "?" for letter in text)
