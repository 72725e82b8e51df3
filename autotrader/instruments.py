"""The exchange's facts about each symbol, as the integers that the compiled core takes.

Knows the shipped table of filters and leverage brackets, how strictly a table of the operator is
checked, which conservative value stands in for each unknown fact, the fee tiers, and which tick and lot
old data tell of their own day. Refuses to know the network, the configuration file, positions and clocks.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from autotrader.errors import OperatorError
from autotrader.messages import say, say_in

E8 = 100_000_000
MAX_BRACKETS = 16
MAX_LEVERAGE = 200
POWERS = 19
"""Powers of ten, from 1e-8 up to 1e10 of the coin, that a step may be."""
LEAST_VALUES = 20
"""Fewer different values in a month are no evidence of a step."""
MAX_TABLE_BYTES = 8_000_000
"""Every symbol of the exchange fits several times; a larger file is not a table of instruments."""

Language = Literal["en", "ko"]
Bracket = tuple[int, int, int, int, int]

# Conservative values for unknown facts. The catalogue of messages gives each its reason, which reports print.
MIN_NOTIONAL_E8 = 100 * E8
LIQUIDATION_FEE_E8 = 1_500_000
MULTIPLIER_UP_E8 = 105_000_000
MULTIPLIER_DOWN_E8 = 95_000_000
TAKE_BOUND_E8 = 5_000_000
MAX_PRICE_E8 = 100_000 * E8
MAX_LOTS = 1_000_000
MARKET_PART = 10
MAX_ORDERS = 200

# R1: our own price collar, tighter where the book is deepest.
MAJORS = frozenset({"BTCUSDT", "ETHUSDT"})
COLLAR_MAJORS_E8 = 2_000_000
COLLAR_OTHERS_E8 = 4_000_000

FEE_TIERS_E8 = {
    "VIP0": (20_000, 50_000),
    "VIP1": (16_000, 40_000),
    "VIP2": (14_000, 35_000),
    "VIP3": (12_000, 32_000),
    "VIP4": (10_000, 30_000),
    "VIP5": (8_000, 27_000),
    "VIP6": (6_000, 25_000),
    "VIP7": (4_000, 22_000),
    "VIP8": (2_000, 20_000),
    "VIP9": (0, 17_000),
}
"""Maker and taker rate by tier (1e-8 of the notional), without the discount for paying in BNB."""


ASSUMED: Mapping[str, float] = {
    "min_price": 1,
    "max_price": MAX_PRICE_E8 // E8,
    "min_quantity": 1,
    "max_quantity": MAX_LOTS,
    "max_market_quantity": MARKET_PART,
    "min_notional": MIN_NOTIONAL_E8 // E8,
    "multiplier_up": MULTIPLIER_UP_E8 / E8,
    "multiplier_down": MULTIPLIER_DOWN_E8 / E8,
    "take_bound": TAKE_BOUND_E8 / E8 * 100,
    "liquidation_fee": LIQUIDATION_FEE_E8 / E8 * 100,
    "max_orders": MAX_ORDERS,
}
"""What stands in for an unknown fact, as a person reads it: ticks, lots, USDT, multiples, percent."""


class Spec(TypedDict):
    """The integer fields of one instrument, as ``core_ext.types.Instruments`` takes them."""

    symbol: str
    tick_e8: int
    lot_e8: int
    min_ticks: int
    max_ticks: int
    min_lots: int
    max_lots: int
    max_market_lots: int
    min_notional_e8: int
    up_e8: int
    down_e8: int
    take_bound_e8: int
    liquidation_fee_e8: int
    maker_fee_e8: int
    taker_fee_e8: int
    leverage: int
    max_orders: int
    collar_e8: int
    tradable: int
    brackets: list[Bracket]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of history with one tick and one lot.

    Attributes
    ----------
    first_ns : int
        Its beginning, ns UTC.
    tick_e8, lot_e8 : int
        At 1e-8; 0 where nothing is known.
    """

    first_ns: int
    tick_e8: int
    lot_e8: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a table knows about one symbol.

    Attributes
    ----------
    symbol : str
        The exchange's name of the instrument.
    known : mapping of str to int
        The known fields by their name in the table, at 1e-8 (``max_orders`` is a count).
    brackets : tuple of (floor_e8, cap_e8, mmr_e8, cum_e8, max_leverage)
        Leverage brackets from the smallest notional up; empty when unknown.
    date : str
        The day of the newest of these facts; empty when unknown.
    past : tuple of Epoch
        Tick and lot of months of which there is a record.
    """

    symbol: str
    known: Mapping[str, int]
    brackets: tuple[Bracket, ...]
    date: str = ""
    past: tuple[Epoch, ...] = ()


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    date: str


class _Past(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    month: str
    tick: str
    lot: str
    source: str = ""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tick: str | None = None
    lot: str | None = None
    min_price: str | None = None
    max_price: str | None = None
    min_quantity: str | None = None
    max_quantity: str | None = None
    max_market_quantity: str | None = None
    min_notional: str | None = None
    multiplier_up: str | None = None
    multiplier_down: str | None = None
    take_bound: str | None = None
    liquidation_fee: str | None = None
    max_orders: int | None = None
    brackets: list[tuple[str, str, str, str, int]] | None = None
    sources: dict[str, _Source] | None = None
    date: str | None = None
    past: list[_Past] | None = None


_NAME = re.compile(r"[A-Z0-9_]{1,31}")
_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")
# Ten digits before the point keep every amount, at 1e-8, inside a signed 64-bit word.
_DECIMAL = re.compile(r"[0-9]{1,10}(\.[0-9]{1,8})?")
_DECIMAL_FIELDS = tuple(f for f, kind in _Row.__annotations__.items() if kind == str | None and f != "date")
# Exclusive bounds at 1e-8; a field that is not named here is only positive.
_BETWEEN_E8 = {
    "multiplier_up": (E8, 10 * E8),
    "multiplier_down": (0, E8),
    "take_bound": (0, E8),
    "liquidation_fee": (0, E8),
}


def load(path: str | Path | None = None) -> dict[str, Facts]:
    """Return the facts by symbol: the shipped table, and over it the operator's.

    Parameters
    ----------
    path : str or Path, optional
        A JSON file of the shape of the shipped table. A row of it replaces the shipped row whole,
        so that facts of two dates are never mixed within a symbol.

    Returns
    -------
    dict of str to Facts
        By symbol.

    Raises
    ------
    OperatorError
        If the file cannot be read, or a row is malformed; the message names file, symbol and field.

    Examples
    --------
    >>> load()["BTCUSDT"].known["tick"]
    10000000
    """
    shipped = files("autotrader") / "data/instruments.json"
    table = _table(shipped.read_bytes(), "instruments.json")
    return table if path is None else table | _table(_bytes(Path(path)), str(path))


def table_of(rows: Mapping[str, object], where: str) -> dict[str, Facts]:
    """Return the facts by symbol that rows of the shape of the shipped table hold, as strictly as those of a file.

    Parameters
    ----------
    rows : mapping of str to object
        Decoded JSON, by symbol.
    where : str
        What the message of an error calls them.

    Raises
    ------
    OperatorError
        If a row is malformed; the message names where, symbol and field.

    Examples
    --------
    >>> table_of({"X": {"tick": "0.1", "lot": "1"}}, "mine")["X"].known["tick"]
    10000000
    """
    return {symbol: _facts(symbol, row, where) for symbol, row in rows.items()}


def specs(
    symbols: Sequence[str],
    *,
    table: Mapping[str, Facts],
    fees: tuple[int, int],
    leverage: int,
    collar_e8: int | None = None,
    language: Language = "en",
) -> tuple[list[Spec], list[str]]:
    """Return the instruments of a run as integers, and a line for every assumption made.

    Parameters
    ----------
    symbols : sequence of str
        The run's symbols; the order is kept.
    table : mapping of str to Facts
        What is known: see `load`.
    fees : (int, int)
        Maker and taker rate at 1e-8: see `fee_tier`.
    leverage : int
        Leverage that the account sets; limited by each symbol's first bracket.
    collar_e8 : int, optional
        Price collar (R1) at 1e-8 of the mark; by default 2 % for majors and 4 % for the others.
    language : {"en", "ko"}
        Language of the lines.

    Returns
    -------
    list of dict, list of str
        What ``core_ext.types.Instruments`` takes; and one line for each unknown field, naming its
        symbols, the value assumed and the reason, and one for each leverage that a bracket lowered.

    Raises
    ------
    OperatorError
        If a symbol has no tick, lot or brackets, or its limits leave no valid order.
    """
    chosen = [_facts_of(symbol, table) for symbol in symbols]
    made = [_spec(facts, fees, leverage, collar_e8) for facts in chosen]
    return made, _assumption_lines(chosen, language) + _leverage_lines(made, leverage, language)


def fee_tier(name: str) -> tuple[int, int]:
    """Return (maker_e8, taker_e8), the fee rates of a tier at 1e-8 of the notional.

    Parameters
    ----------
    name : str
        VIP0 (the base tier) to VIP9.

    Raises
    ------
    OperatorError
        If there is no such tier.

    Examples
    --------
    >>> fee_tier("VIP0")
    (20000, 50000)
    """
    if name not in FEE_TIERS_E8:
        raise OperatorError(say("instruments.fee_tier", name=name, tiers=", ".join(FEE_TIERS_E8)))
    return FEE_TIERS_E8[name]


class Decimals:
    """What the prices or the quantities of a month tell of the step that they lie on.

    Every tick and lot of the exchange's perpetuals is a power of ten (the complete records of 2021 and 2026), so that
    is what is looked for, and the step of today beside it.

    Parameters
    ----------
    today_e8 : int
        Today's step at 1e-8, which need not be a power of ten.

    Examples
    --------
    >>> prices = Decimals(today_e8=10_000_000)
    >>> prices.add(np.arange(2_814_500, 2_814_600) * 1_000_000)
    >>> prices.step_e8
    1000000
    """

    def __init__(self, today_e8: int):
        self.today_e8 = today_e8
        self._on = np.zeros(POWERS + 1, np.int64)  # values that each power of ten divides, and those on today's step
        self._seen: set[int] = set()

    def add(self, values_e8: NDArray[np.int64]) -> None:
        """Count values at 1e-8; zeros say nothing about the step and are left out."""
        values = values_e8[values_e8 != 0]
        self._on[POWERS] += np.count_nonzero(values % self.today_e8 == 0)
        if len(self._seen) < LEAST_VALUES:
            self._seen |= set(np.unique(values)[:LEAST_VALUES].tolist())
        for power in range(POWERS):
            values = values[values % 10**power == 0]
            self._on[power] += len(values)

    @property
    def step_e8(self) -> int:
        """The coarsest step that at least 99 % of the values lie on, 0 while fewer than 20 differ.

        The 1 % is for isolated values off the step, which real recordings hold; they do not refine the grid that
        orders use. By chance, twenty values would lie on a step ten times too coarse once in 1e20.
        """
        if len(self._seen) < LEAST_VALUES:
            return 0
        enough = 100 * self._on >= 99 * self._on[0]
        coarsest: int = 10 ** int(np.flatnonzero(enough[:POWERS])[-1])
        return max(coarsest, self.today_e8) if enough[POWERS] else coarsest

    def off(self, step_e8: int) -> int:
        """Return how many values lie off a step; for a step that is not counted, off its decimals."""
        if step_e8 == self.today_e8:
            return int(self._on[0] - self._on[POWERS])
        return int(self._on[0] - self._on[_trailing_zeros(step_e8)])


def epochs_of(spec: Mapping[str, Any], found: Iterable[Epoch]) -> list[Epoch]:
    """Return the epochs of an instrument's history, each different from the one before it.

    Parameters
    ----------
    spec : mapping
        The instrument as it is today; its filters hold until something else is found.
    found : iterable of Epoch
        In the order of time. What an epoch does not know holds on from before; a tick and a lot of which one tick
        times one lot is finer than 1e-8 USDT are not believed: the exchange has none.

    Returns
    -------
    list of Epoch
        Empty when today's filters hold throughout.
    """
    kept: list[Epoch] = []
    before = Epoch(0, spec["tick_e8"], spec["lot_e8"])
    for epoch in found:
        now = Epoch(epoch.first_ns, epoch.tick_e8 or before.tick_e8, epoch.lot_e8 or before.lot_e8)
        if now.tick_e8 * now.lot_e8 % E8 == 0 and (now.tick_e8, now.lot_e8) != (before.tick_e8, before.lot_e8):
            kept.append(now)
            before = now
    return kept


def on_one_grid(spec: Mapping[str, Any], epochs: Sequence[Epoch]) -> dict[str, Any]:
    """Return an instrument whose tick and lot divide those of all its epochs.

    A run counts in one tick and one lot from its beginning to its end: positions and resting orders then mean the same
    whatever the filters of the day, which only say of which multiples an order may be.

    Raises
    ------
    OperatorError
        If one tick times one lot would be finer than 1e-8 USDT.

    Examples
    --------
    >>> today = {"symbol": "X", "tick_e8": 10, "lot_e8": E8, "min_ticks": 2, "max_ticks": 9, "min_lots": 1,
    ...          "max_lots": 5, "max_market_lots": 3}
    >>> on_one_grid(today, [Epoch(0, 1, E8)])["max_ticks"]
    90
    """
    if not epochs:
        return dict(spec)
    tick_e8 = math.gcd(spec["tick_e8"], *(epoch.tick_e8 for epoch in epochs))
    lot_e8 = math.gcd(spec["lot_e8"], *(epoch.lot_e8 for epoch in epochs))
    if tick_e8 * lot_e8 % E8:
        raise OperatorError(say("instruments.grids_apart", symbol=spec["symbol"], tick=tick_e8 / E8, lot=lot_e8 / E8))
    ticks, lots = spec["tick_e8"] // tick_e8, spec["lot_e8"] // lot_e8
    counts = {field: spec[field] * ticks for field in ("min_ticks", "max_ticks")}
    counts |= {field: spec[field] * lots for field in ("min_lots", "max_lots", "max_market_lots")}
    return dict(spec) | counts | {"tick_e8": tick_e8, "lot_e8": lot_e8, "tick_step": ticks, "lot_step": lots}


def filters_of(spec: Mapping[str, Any], epoch: Epoch) -> list[int]:
    """Return the words of the FILTERS row of an epoch, in the ticks and lots of `on_one_grid`.

    What decimals do not tell, the smallest and the largest order, is what it is today, in whole steps of the day.

    Returns
    -------
    list of int
        Tick step, lot step, fewest, most and most market lots, smallest notional at 1e-8 USDT.
    """
    step = epoch.lot_e8 // spec["lot_e8"]
    least = _ceil(spec["min_lots"], step) * step
    most = [max(least, spec[field] // step * step) for field in ("max_lots", "max_market_lots")]
    return [epoch.tick_e8 // spec["tick_e8"], step, least, *most, spec["min_notional_e8"]]


def minimum_order_usdt(spec: Spec, price_e8: int) -> float:
    """Return the smallest notional in USDT that the exchange accepts at a price.

    Notes
    -----
    Quantities are whole lots, so this is the notional of the fewest lots that meet both the minimum
    quantity and the minimum notional: at 30,000 USDT one lot of BTCUSDT is worth 30, and a minimum
    of 50 needs two lots, 60 USDT.
    """
    lot_value = price_e8 * spec["lot_e8"]
    lots = max(spec["min_lots"], _ceil(spec["min_notional_e8"] * E8, lot_value))
    return lots * lot_value / E8**2


def caps_below_minimum(
    specs: Iterable[Spec], prices_e8: Mapping[str, int], cap_usdt: float, language: Language = "en"
) -> list[str]:
    """Return a line for every symbol whose position cap is below its smallest order.

    Parameters
    ----------
    specs : iterable of dict
        The run's instruments.
    prices_e8 : mapping of str to int
        A price of each of them, at 1e-8.
    cap_usdt : float
        The largest position notional that the configuration allows for a symbol.
    language : {"en", "ko"}
        Language of the lines.
    """
    minima = {spec["symbol"]: minimum_order_usdt(spec, prices_e8[spec["symbol"]]) for spec in specs}
    below = {symbol: least for symbol, least in minima.items() if cap_usdt < least}
    return [
        say_in(language, "instruments.cap", symbol=symbol, cap=cap_usdt, least=least) for symbol, least in below.items()
    ]


def _ceil(value: int, step: int) -> int:
    return -(-value // step)


def _trailing_zeros(value: int) -> int:
    text = str(value)
    return len(text) - len(text.rstrip("0"))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise OperatorError(say("instruments.unreadable", path=path, reason=error.strerror)) from error
    if len(content) > MAX_TABLE_BYTES:
        raise OperatorError(say("instruments.too_large", path=path, limit=MAX_TABLE_BYTES))
    return content


def _table(content: bytes, where: str) -> dict[str, Facts]:
    try:
        rows = json.loads(content, object_pairs_hook=_unique, parse_int=_short_int)
    except (ValueError, RecursionError) as error:
        raise OperatorError(say("instruments.not_json", where=where, reason=error)) from error
    if not isinstance(rows, dict) or not rows:
        raise OperatorError(say("instruments.no_rows", where=where))
    return table_of(rows, where)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # JSON lets a key stand twice and the last one wins, which here would hide a contradiction.
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(say("instruments.key_twice", key=key))
        found[key] = value
    return found


def _short_int(text: str) -> int:
    if len(text) > 18:
        raise ValueError(say("instruments.long_number", digits=len(text)))
    return int(text)


def _facts(symbol: str, raw: object, where: str) -> Facts:
    if not _NAME.fullmatch(symbol):
        raise OperatorError(say("instruments.bad_symbol", where=where, found=symbol[:40]))
    at = f"{where}: {symbol}"
    try:
        row = msgspec.convert(raw, _Row)
    except msgspec.ValidationError as error:
        raise OperatorError(say("instruments.bad_row", at=at, reason=error)) from error
    _check_dates(row, at)
    past = tuple(_past(record, f"{at}: past[{i}]") for i, record in enumerate(row.past or []))
    brackets = () if row.brackets is None else brackets_of(row.brackets, at)
    facts = Facts(symbol, _known(row, at), brackets, row.date or "", past)
    if {"tick", "lot"} <= facts.known.keys():
        _limits(facts, at)
    return facts


def _past(record: _Past, at: str) -> Epoch:
    steps = {field: _fact_e8(text, field, at) for field, text in (("tick", record.tick), ("lot", record.lot))}
    if not _MONTH.fullmatch(record.month):
        raise OperatorError(say("instruments.bad_month", at=at, found=record.month[:40]))
    if steps["tick"] * steps["lot"] % E8:
        raise OperatorError(say("instruments.too_fine", at=at))
    return Epoch(int(np.datetime64(record.month, "ns").astype(np.int64)), steps["tick"], steps["lot"])


def _check_dates(row: _Row, at: str) -> None:
    dates = {"date": row.date} if row.date is not None else {}
    dates |= {f"sources.{name}.date": source.date for name, source in (row.sources or {}).items()}
    for field, date in dates.items():
        if not _DATE.fullmatch(date):
            raise OperatorError(say("instruments.bad_date", at=at, field=field, found=date))


def _known(row: _Row, at: str) -> dict[str, int]:
    texts = {field: getattr(row, field) for field in _DECIMAL_FIELDS}
    known = {field: _fact_e8(text, field, at) for field, text in texts.items() if text is not None}
    if row.max_orders is None:
        return known
    if not 1 <= row.max_orders <= 10_000:
        raise OperatorError(say("instruments.max_orders", at=at))
    return known | {"max_orders": row.max_orders}


def _fact_e8(text: str, field: str, at: str) -> int:
    value = _e8(text, field, at)
    low, high = _BETWEEN_E8.get(field, (0, 1 << 62))
    if not low < value < high:
        place = {"at": at, "field": field, "found": text}
        if field in _BETWEEN_E8:
            raise OperatorError(say("instruments.not_between", **place, low=low / E8, high=high / E8))
        raise OperatorError(say("instruments.not_positive", **place))
    return value


def _e8(text: str, field: str, at: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise OperatorError(say("instruments.not_decimal", at=at, field=field, found=text[:40]))
    whole, _, part = text.partition(".")
    return int(whole) * E8 + int(part.ljust(8, "0"))


def brackets_of(rows: Sequence[tuple[str, str, str, str, int]], at: str) -> tuple[Bracket, ...]:
    """Return leverage brackets from their decimals.

    Parameters
    ----------
    rows : sequence of (floor, cap, maintenance margin ratio, maintenance amount, maximum leverage)
        From the smallest notional up.
    at : str
        Where they stand, for the error.

    Raises
    ------
    OperatorError
        If they are none, too many, not contiguous, or their amounts do not keep the margin continuous.
    """
    if not 1 <= len(rows) <= MAX_BRACKETS:
        raise OperatorError(say("instruments.bracket_rows", at=at, most=MAX_BRACKETS, found=len(rows)))
    ladder = tuple(_bracket(row, f"brackets[{i}]", at) for i, row in enumerate(rows))
    before: Bracket = (0, 0, 0, 0, MAX_LEVERAGE)
    for i, bracket in enumerate(ladder):
        fault = _bracket_fault(before, bracket)
        if fault:
            raise OperatorError(f"{at}: brackets[{i}]: {fault}")
        before = bracket
    return ladder


def _bracket(row: tuple[str, str, str, str, int], field: str, at: str) -> Bracket:
    floor, cap, mmr, cum = (_e8(text, field, at) for text in row[:4])
    return floor, cap, mmr, cum, row[4]


def _bracket_fault(before: Bracket, bracket: Bracket) -> str | None:
    # Why this bracket cannot follow the one before it; the first follows an empty one that ends at zero.
    floor, cap, mmr, cum, leverage = bracket
    if floor != before[1] or cap <= floor:
        return say("instruments.bracket_floor", start=before[1] / E8)
    if not before[2] < mmr < E8:
        return say("instruments.bracket_ratio", low=before[2] / E8, found=mmr / E8)
    if not 1 <= leverage <= before[4]:
        return say("instruments.bracket_leverage", most=before[4], found=leverage)
    # cum_n = cum_(n-1) + floor_n (mmr_n - mmr_(n-1)) keeps the maintenance margin continuous.
    expected = before[3] * E8 + floor * (mmr - before[2])
    if abs(cum * E8 - expected) > E8:
        return say("instruments.bracket_cum", expected=expected / E8**2, found=cum / E8)
    return None


def _facts_of(symbol: str, table: Mapping[str, Facts]) -> Facts:
    facts = table.get(symbol)
    if facts is None:
        raise OperatorError(say("instruments.no_facts", symbol=symbol))
    missing = [field for field in ("tick", "lot") if field not in facts.known] + ["brackets"] * (not facts.brackets)
    if missing:
        raise OperatorError(say("instruments.missing", symbol=symbol, fields=", ".join(missing)))
    return facts


def _complete(facts: Facts) -> dict[str, int]:
    # Every field at 1e-8, the unknown ones at their conservative value.
    known = facts.known
    max_quantity = known.get("max_quantity", MAX_LOTS * known["lot"])
    assumed = {
        "min_price": known["tick"],
        "max_price": MAX_PRICE_E8,
        "min_quantity": known["lot"],
        "max_quantity": max_quantity,
        "max_market_quantity": max_quantity // MARKET_PART,
        "min_notional": MIN_NOTIONAL_E8,
        "multiplier_up": MULTIPLIER_UP_E8,
        "multiplier_down": MULTIPLIER_DOWN_E8,
        "take_bound": TAKE_BOUND_E8,
        "liquidation_fee": LIQUIDATION_FEE_E8,
        "max_orders": MAX_ORDERS,
    }
    return assumed | dict(known)


class _Limits(TypedDict):
    min_ticks: int
    max_ticks: int
    min_lots: int
    max_lots: int
    max_market_lots: int


def _limits(facts: Facts, at: str) -> _Limits:
    # Bounds as counts, rounded inwards: a price or quantity outside them is refused by the exchange.
    value = _complete(facts)
    tick, lot = value["tick"], value["lot"]
    if tick * lot % E8:
        raise OperatorError(say("instruments.too_fine", at=at))
    limits = _Limits(
        min_ticks=_ceil(value["min_price"], tick),
        max_ticks=value["max_price"] // tick,
        min_lots=_ceil(value["min_quantity"], lot),
        max_lots=value["max_quantity"] // lot,
        max_market_lots=value["max_market_quantity"] // lot,
    )
    _check_limits(limits, at)
    return limits


def _check_limits(limits: _Limits, at: str) -> None:
    if limits["max_ticks"] < limits["min_ticks"]:
        raise OperatorError(say("instruments.no_tick", at=at))
    if limits["max_lots"] < limits["min_lots"]:
        raise OperatorError(say("instruments.no_lot", at=at, field="max_quantity"))
    if limits["max_market_lots"] < limits["min_lots"]:
        raise OperatorError(say("instruments.no_lot", at=at, field="max_market_quantity"))


def _spec(facts: Facts, fees: tuple[int, int], leverage: int, collar_e8: int | None) -> Spec:
    value = _complete(facts)
    class_collar = COLLAR_MAJORS_E8 if facts.symbol in MAJORS else COLLAR_OTHERS_E8
    return Spec(
        symbol=facts.symbol,
        tick_e8=value["tick"],
        lot_e8=value["lot"],
        **_limits(facts, facts.symbol),
        min_notional_e8=value["min_notional"],
        up_e8=value["multiplier_up"],
        down_e8=value["multiplier_down"],
        take_bound_e8=value["take_bound"],
        liquidation_fee_e8=value["liquidation_fee"],
        maker_fee_e8=fees[0],
        taker_fee_e8=fees[1],
        leverage=min(leverage, facts.brackets[0][4]),
        max_orders=value["max_orders"],
        collar_e8=class_collar if collar_e8 is None else collar_e8,
        tradable=1,
        brackets=list(facts.brackets),
    )


def _assumption_lines(chosen: Sequence[Facts], language: Language) -> list[str]:
    unknown = {field: [facts.symbol for facts in chosen if field not in facts.known] for field in ASSUMED}
    return [
        say_in(language, f"instruments.assumed.{field}", symbols=", ".join(symbols), value=ASSUMED[field])
        for field, symbols in unknown.items()
        if symbols
    ]


def _leverage_lines(made: Sequence[Spec], leverage: int, language: Language) -> list[str]:
    return [
        say_in(language, "instruments.leverage", symbol=spec["symbol"], wanted=leverage, allowed=spec["leverage"])
        for spec in made
        if spec["leverage"] < leverage
    ]
