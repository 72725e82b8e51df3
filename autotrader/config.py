"""The configuration of a run: what may be written in it, in which unit, within which range.

Knows the keys, their defaults and the ceilings of the modes. Refuses to know what a strategy, a
venue or a risk gate does with them, and whether a data file exists. Every number has its unit in
its name; a share is a fraction (0.05 is 5 %). A default beside a mode's ceiling means the smaller of
the two.
"""

import hashlib
import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, get_type_hints

from autotrader.errors import OperatorError
from autotrader.messages import language, say, say_in

__all__ = [
    "CEILINGS",
    "PROFILES",
    "Config",
    "Data",
    "Live",
    "Quality",
    "Quoter",
    "Risk",
    "Run",
    "Sources",
    "Strategy",
    "Trend",
    "Venue",
    "as_dict",
    "from_dict",
    "load",
    "sha256",
    "template",
]

CEILINGS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "backtest": {
            "run.leverage": 10,
            "risk.strategy_leverage": 10,
            "risk.max_gross": 10,
            "risk.max_net": 10,
            "risk.max_cluster": 10,
            "risk.max_drawdown": 0.12,
            "risk.daily_var": 0.02,
        },
        "paper": {
            "run.leverage": 2,
            "risk.strategy_leverage": 2,
            "risk.max_gross": 2,
            "risk.max_net": 2,
            "risk.max_cluster": 2,
            "risk.max_drawdown": 0.20,
            "risk.daily_var": 0.05,
        },
        "testnet": {
            "run.leverage": 3,
            "risk.strategy_leverage": 3,
            "risk.max_gross": 3,
            "risk.max_net": 3,
            "risk.max_cluster": 3,
            "risk.max_drawdown": 0.15,
            "risk.daily_var": 0.03,
        },
        "live": {
            "run.leverage": 10,
            "risk.strategy_leverage": 10,
            "risk.max_gross": 10,
            "risk.max_net": 10,
            "risk.max_cluster": 10,
            "risk.max_drawdown": 0.12,
            "risk.daily_var": 0.02,
        },
    }
)

# Which exchange a mode may reach: the first is its default. A backtest reaches none.
PROFILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "paper": ("production", "demo", "testnet", "loopback"),
        "testnet": ("demo", "testnet", "loopback"),
        "live": ("production", "loopback"),
    }
)

MINUTES = MappingProxyType(
    {
        "1m": 1,
        "3m": 3,
        "5m": 5,
        "15m": 15,
        "30m": 30,
        "1h": 60,
        "2h": 120,
        "4h": 240,
        "8h": 480,
        "12h": 720,
        "1d": 1440,
    }
)

_MAX_BYTES = 64 * 1024
_MAX_STATEMENT_LINES = 200


class _NotAllowedError(ValueError):
    """Carry what is wrong with a value to the place that knows its file, line and key."""


class _Rule(Protocol):
    """Say which values a key may have."""

    def read(self, value: object) -> object:
        """Return the value as the configuration keeps it."""

    def words(self, speech: str) -> str:
        """Return the allowed values in a language."""


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _unquoted(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _unquoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else hex(value)  # str refuses more than 4300 digits
    if isinstance(value, list | tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return "{...}" if isinstance(value, dict) else str(value)


def _refuse(value: object, rule: _Rule) -> _NotAllowedError:
    return _NotAllowedError(say("config.not_allowed", found=_shown(value), allowed=rule.words(language())))


@dataclass(frozen=True)
class _Between:
    low: float
    high: float
    mode: str = ""  # the mode whose ceiling is the upper end

    kind = "number"

    def under(self, ceiling: float, mode: str) -> "_Between":
        return replace(self, high=ceiling, mode=mode) if ceiling <= self.high else self

    def read(self, value: object) -> object:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise _refuse(value, self)
        return float(value)

    def words(self, speech: str) -> str:
        key = f"rule.{self.kind}_in_mode" if self.mode else f"rule.{self.kind}"
        return say_in(speech, key, low=_plain_number(self.low), high=_plain_number(self.high), mode=self.mode)


@dataclass(frozen=True)
class _Whole(_Between):
    kind = "whole"

    def read(self, value: object) -> object:
        super().read(value)
        if not isinstance(value, int):
            raise _refuse(value, self)
        return value


def _plain_number(value: float) -> str:
    return f"{int(value):_}" if value == int(value) else repr(value)


@dataclass(frozen=True)
class _OneOf:
    choices: tuple[str, ...]

    def read(self, value: object) -> object:
        if not isinstance(value, str) or value not in self.choices:
            raise _refuse(value, self)
        return value

    def words(self, speech: str) -> str:
        return say_in(speech, "rule.one_of", choices=", ".join(f'"{choice}"' for choice in self.choices))


@dataclass(frozen=True)
class _Path:
    may_be_empty: bool = False

    def read(self, value: object) -> object:
        if not _is_path(value) and not (self.may_be_empty and value == ""):
            raise _refuse(value, self)
        return value

    def words(self, speech: str) -> str:
        return say_in(speech, "rule.path_or_none" if self.may_be_empty else "rule.path")


class _Flag:
    def read(self, value: object) -> object:
        if not isinstance(value, bool):
            raise _refuse(value, self)
        return value

    def words(self, speech: str) -> str:
        return say_in(speech, "rule.flag")


@dataclass(frozen=True)
class _List:
    key: str  # of the message that describes it
    least: int
    most: int
    fits: Callable[[object, list[Any]], bool]  # an item, and those before it

    def read(self, value: object) -> object:
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise _refuse(value, self)
        for place, item in enumerate(value):
            if not self.fits(item, value[:place]):
                raise _refuse(item, self)
        return tuple(value)

    def words(self, speech: str) -> str:
        return say_in(speech, self.key, least=self.least, most=self.most)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _is_new_symbol(value: object, before: list[Any]) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Z0-9_]{2,30}", value) is not None and value not in before


def _is_longer(hours: object, before: list[Any]) -> bool:
    return type(hours) is int and 1 <= hours <= 8760 and all(hours > shorter for shorter in before)


_SYMBOLS = _List("rule.symbols", 1, 25, _is_new_symbol)
_CLUSTERS = _List("rule.clusters", 0, 12, lambda names, _: isinstance(names, str) and len(names.split()) > 1)
_LOOKBACKS = _List("rule.hours", 1, 8, _is_longer)
_PATHS = _List("rule.paths", 0, 1000, lambda path, _: _is_path(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Name what is run: the mode, the symbols, the capital in USDT and the seed."""

    mode: Literal["backtest", "paper", "testnet", "live"]
    symbols: Annotated[tuple[str, ...], _SYMBOLS]
    margin: Literal["cross", "isolated"] = "cross"
    initial_equity_usdt: Annotated[float, _Between(1, 1_000_000_000)] = 7700.0
    leverage: Annotated[int, _Whole(1, 10)] = 3
    seed: Annotated[int, _Whole(0, 2**63 - 1)] = 1
    language: Literal["en", "ko", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Declare where the book, the mark price, the funding rates and the instrument rules come from."""

    book: Literal["l2", "candle"]
    mark: Literal["stream", "file", "proxy"]
    funding: Literal["stream", "file", "none"]
    instruments: Annotated[str, _Path()] = "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Name the files of market data, relative to the configuration, and the candle interval."""

    paths: Annotated[tuple[str, ...], _PATHS] = ()
    interval: Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"] = "1h"

    @property
    def interval_ns(self) -> int:
        """Return the candle interval in nanoseconds."""
        return MINUTES[self.interval] * 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoter:
    """Parametrise the passive microprice quoter; it is sized by an inventory budget, not by Kelly."""

    order_notional_usdt: Annotated[float, _Between(1, 1_000_000)] = 120.0
    inventory_budget_usdt: Annotated[float, _Between(1, 10_000_000)] = 600.0
    requote_ms: Annotated[int, _Whole(1, 60_000)] = 500
    join_ticks: Annotated[int, _Whole(0, 1000)] = 0
    min_spread_ticks: Annotated[int, _Whole(1, 1000)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Parametrise volatility-targeted trend following; the prior is the Sharpe ratio that Kelly may assume."""

    lookbacks_hours: Annotated[tuple[int, ...], _LOOKBACKS] = (24, 72, 168)
    volatility_half_life_hours: Annotated[float, _Between(1, 8760)] = 60.0
    target_volatility: Annotated[float, _Between(0.01, 0.5)] = 0.09
    prior_sharpe_mean: Annotated[float, _Between(-3, 3)] = 0.5
    prior_sharpe_sd: Annotated[float, _Between(0.01, 3)] = 0.5
    rebalance_band: Annotated[float, _Between(0, 1)] = 0.25
    decide_every_bars: Annotated[int, _Whole(1, 1000)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Name the strategy; the parameters of the named one are there, those of the other are None."""

    name: Literal["quoter", "trend"]
    quoter: Quoter | None = None
    trend: Trend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Limit one order, one symbol and the whole account; R numbers are those of the risk gate's reasons."""

    price_collar: Annotated[float, _Between(0.0005, 0.15)] = 0.02
    price_collar_exit: Annotated[float, _Between(0.0005, 0.15)] = 0.05
    max_order_notional_usdt: Annotated[float, _Between(1, 10_000_000)] = 5000.0
    max_order_equity_share: Annotated[float, _Between(0.001, 1)] = 0.10
    volume_share: Annotated[float, _Between(0.0001, 0.5)] = 0.05
    assumed_minute_volume_usdt: Annotated[float, _Between(1000, 10_000_000_000)] = 5_000_000.0
    max_depth_share: Annotated[float, _Between(0.001, 1)] = 0.20
    max_symbol_share: Annotated[float, _Between(0.001, 1)] = 0.20
    strategy_leverage: Annotated[float, _Between(0.1, 10)] = 1.0
    max_gross: Annotated[float, _Between(0.1, 10)] = 3.0
    min_liquidation_distance: Annotated[float, _Between(0.01, 0.9)] = 0.15
    liquidation_atr: Annotated[float, _Between(1, 50)] = 8.0
    atr_floor: Annotated[float, _Between(0.0001, 0.1)] = 0.004
    orders_per_second: Annotated[int, _Whole(1, 30)] = 10
    order_burst: Annotated[int, _Whole(1, 300)] = 20
    orders_per_minute: Annotated[int, _Whole(1, 1200)] = 300
    strategy_orders_per_second: Annotated[int, _Whole(1, 30)] = 2
    duplicate_window_s: Annotated[float, _Between(0, 60)] = 1.0
    book_stale_s: Annotated[float, _Between(0.1, 60)] = 1.0
    mark_stale_s: Annotated[float, _Between(0.1, 60)] = 3.0
    candle_stale_intervals: Annotated[float, _Between(1, 5)] = 1.5
    max_drawdown: Annotated[float, _Between(0.01, 0.20)] = 0.12
    daily_loss: Annotated[float, _Between(0.001, 0.10)] = 0.03
    max_orders_symbol: Annotated[int, _Whole(1, 200)] = 20
    max_orders_total: Annotated[int, _Whole(1, 5000)] = 100
    max_reprices: Annotated[int, _Whole(1, 15)] = 3
    max_drift: Annotated[float, _Between(0.0001, 0.2)] = 0.01
    max_net: Annotated[float, _Between(0.1, 10)] = 3.0
    max_cluster: Annotated[float, _Between(0.1, 10)] = 1.5
    clusters: Annotated[tuple[str, ...], _CLUSTERS] = ()
    max_symbol_leverage: Annotated[int, _Whole(1, 125)] = 5
    bracket_share: Annotated[float, _Between(0.01, 1)] = 0.8
    liquidation_alarm: Annotated[float, _Between(0.01, 0.9)] = 0.2
    liquidation_reduce: Annotated[float, _Between(0.01, 0.9)] = 0.1
    max_margin_ratio: Annotated[float, _Between(0.01, 0.9)] = 0.3
    margin_ratio_reduce: Annotated[float, _Between(0.01, 0.9)] = 0.5
    weight_share: Annotated[float, _Between(0.1, 1)] = 0.8
    quality_orders: Annotated[int, _Whole(10, 100000)] = 1000
    quality_alarm: Annotated[float, _Between(0.1, 1)] = 0.8
    quality_stop: Annotated[float, _Between(0.1, 1)] = 0.95
    repeated_entries: Annotated[int, _Whole(0, 63)] = 10
    losing_trips: Annotated[int, _Whole(0, 7)] = 3
    fat_finger: Annotated[float, _Between(1.5, 1000)] = 5.0
    max_unknown: Annotated[int, _Whole(0, 20)] = 2
    loss_rate: Annotated[float, _Between(0.001, 0.1)] = 0.015
    loss_pause_min: Annotated[int, _Whole(1, 1440)] = 30
    volatility_collars: Annotated[float, _Between(0.1, 100)] = 1.5
    spread_median: Annotated[float, _Between(1.5, 1000)] = 5.0
    spread_floor_bps: Annotated[float, _Between(0, 1000)] = 5.0
    volatility_pause_min: Annotated[int, _Whole(1, 1440)] = 5
    unprotected_s: Annotated[float, _Between(0, 3600)] = 0.0
    protective_stop: Annotated[float, _Between(0, 0.5)] = 0.0
    stale_order_s: Annotated[float, _Between(0, 86_400)] = 0.0
    funding_window_min: Annotated[int, _Whole(1, 480)] = 10
    delist_h: Annotated[int, _Whole(0, 720)] = 24
    first_minute_utc: Annotated[int, _Whole(0, 1439)] = 0
    last_minute_utc: Annotated[int, _Whole(0, 1439)] = 1439
    headroom: Literal["on", "off"] = "off"
    headroom_s: Annotated[float, _Between(1, 86_400)] = 120.0
    headroom_half_life_h: Annotated[float, _Between(1, 10_000)] = 720.0
    daily_es: Annotated[float, _Between(0.001, 0.1)] = 0.015
    entry_sides: Literal["both", "long", "short"] = "both"
    kelly_fraction: Annotated[float, _Between(0.01, 0.25)] = 0.25
    atr_risk: Annotated[float, _Between(0.0001, 0.05)] = 0.01
    atr_stop: Annotated[float, _Between(0.5, 10)] = 2.0
    liquidation_safe_atr: Annotated[float, _Between(1, 50)] = 3.0
    daily_var: Annotated[float, _Between(0.001, 0.05)] = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Say which market data are suspect, and what follows from each verdict; staleness has the limits of `Risk`."""

    outlier_score: Annotated[float, _Between(2, 50)] = 5.0
    outlier_floor: Annotated[float, _Between(0, 0.05)] = 0.0005
    spike: Annotated[float, _Between(0.01, 0.5)] = 0.10
    wide_spread: Annotated[float, _Between(0.001, 0.5)] = 0.05
    one_sided: Annotated[float, _Between(0.5, 1)] = 0.9
    one_sided_s: Annotated[float, _Between(0, 3600)] = 3.0
    volume_spike: Annotated[float, _Between(2, 10_000)] = 100.0
    volume_drop: Annotated[float, _Between(0, 0.5)] = 0.01
    conservative_size: Annotated[float, _Between(0.05, 1)] = 0.5
    conservative_s: Annotated[float, _Between(0, 86_400)] = 30.0
    clean_s: Annotated[float, _Between(0, 86_400)] = 60.0
    on_stale: Literal["warn", "conservative", "halt"] = "halt"
    on_bad_price: Literal["discard", "conservative", "halt"] = "discard"
    on_outlier: Literal["warn", "conservative", "halt", "discard"] = "warn"
    on_spike: Literal["warn", "conservative", "halt", "discard"] = "discard"
    on_crossed: Literal["conservative", "halt", "discard"] = "halt"
    on_wide_spread: Literal["warn", "conservative", "halt"] = "conservative"
    on_one_sided: Literal["warn", "conservative", "halt"] = "conservative"
    on_volume_spike: Literal["warn", "conservative", "halt"] = "warn"
    on_volume_drop: Literal["warn", "conservative", "halt"] = "warn"

    @property
    def policies(self) -> dict[str, str]:
        """Return the policy of each verdict, by the verdict's name in capitals."""
        named = {item.name: getattr(self, item.name) for item in fields(self) if item.name.startswith("on_")}
        return {name.removeprefix("on_").upper(): policy for name, policy in named.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """Describe the simulated venue: latencies in ms, the fee tier, and what candles do not show."""

    order_latency_ms: Annotated[float, _Between(0, 10_000)] = 20.0
    response_latency_ms: Annotated[float, _Between(0, 10_000)] = 5.0
    latency: Literal["constant", "lognormal", "feed"] = "constant"
    latency_sigma: Annotated[float, _Between(0, 3)] = 0.5
    queue: Literal["pessimistic", "linear", "square", "cube", "logarithm"] = "pessimistic"
    error_share: Annotated[float, _Between(0, 0.5)] = 0.0
    lost_share: Annotated[float, _Between(0, 0.5)] = 0.0
    fee_tier: Literal["VIP0", "VIP1", "VIP2", "VIP3", "VIP4", "VIP5", "VIP6", "VIP7", "VIP8", "VIP9"] = "VIP0"
    half_spread_bps: Annotated[float, _Between(0, 100)] = 1.0
    impact_coefficient: Annotated[float, _Between(0, 5)] = 0.8
    bar_delay_ms: Annotated[int, _Whole(0, 30_000)] = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Say which exchange is reached over the wire, with whose keys, and where its state is kept."""

    profile: Literal["production", "demo", "testnet", "loopback"] = "production"
    port: Annotated[int, _Whole(0, 65_535)] = 0
    rehearsal: Annotated[bool, _Flag()] = False
    keys: Literal["environment", "file", "age"] = "environment"
    key_file: Annotated[str, _Path(may_be_empty=True)] = ""
    identity_file: Annotated[str, _Path(may_be_empty=True)] = ""
    state_dir: Annotated[str, _Path()] = "state"
    hot: Annotated[bool, _Flag()] = False
    hot_core: Annotated[int, _Whole(-1, 4095)] = -1
    size_multiplier: Annotated[float, _Between(0.001, 1)] = 1.0
    backtest_dir: Annotated[str, _Path(may_be_empty=True)] = ""
    watchdog_s: Annotated[int, _Whole(10, 600)] = 15
    watchdog_do: Literal["flatten", "protect"] = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Say where a run's anchors are copied to; it decides nothing of the run."""

    anchor_dir: Annotated[str, _Path(may_be_empty=True)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Hold one validated configuration; build it with `load` or `from_dict`, which check every value."""

    run: Run
    sources: Sources
    data: Data
    strategy: Strategy
    risk: Risk
    quality: Quality
    venue: Venue
    live: Live | None = None  # of the modes that reach an exchange
    audit: Audit = field(default_factory=Audit)
    folder: Path = field(default=Path(), compare=False)  # where relative paths start; not part of the hash

    def resolve(self, name: str) -> Path:
        """Return a path of the configuration as seen from the configuration's own folder."""
        return self.folder / name


_SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "run": Run,
        "sources": Sources,
        "data": Data,
        "strategy": Strategy,
        "risk": Risk,
        "quality": Quality,
        "venue": Venue,
        "live": Live,
        "audit": Audit,
    }
)
# A quoter enters again and again by design: its orders are bounded by their rate (R11), not by R14; minutes of a book
# say nothing about a covariance.
_DEFAULTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "quoter": MappingProxyType({"repeated_entries": 0, "losing_trips": 0}),
        "trend": MappingProxyType({"headroom": "on"}),
    }
)
# LIVE begins with a tenth of every size, until somebody who has seen it trade writes more.
_FIRST_STAGE: Mapping[str, float] = MappingProxyType({"live": 0.1})
_LIVE: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        mode: {"profile": allowed[0], "size_multiplier": _FIRST_STAGE.get(mode, 1.0)}
        for mode, allowed in PROFILES.items()
    }
)
# Where orders leave, a position is protected at the exchange, for the day on which nobody looks after it, and no order
# is forgotten there. PAPER rehearses that.
_PROTECTED: Mapping[str, object] = MappingProxyType(
    {"protective_stop": 0.05, "unprotected_s": 3.0, "stale_order_s": 300.0}
)
_MODE_DEFAULTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    dict.fromkeys(("paper", "testnet", "live"), _PROTECTED)
)
_PARAMETERS: Mapping[str, type] = MappingProxyType({"quoter": Quoter, "trend": Trend})


@cache
def _rules(kind: type) -> dict[str, _Rule]:
    # The rule of each plain key: of Annotated, its rule; of Literal, its choices.
    found: dict[str, _Rule] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated:
            found[name] = get_args(hint)[1]
        elif get_origin(hint) is Literal:
            found[name] = _OneOf(get_args(hint))
    return found


def _known() -> Iterator[str]:
    # Every key that a configuration may have, dotted.
    for section, kind in _SECTIONS.items():
        yield from (f"{section}.{name}" for name in _rules(kind))
    for strategy, kind in _PARAMETERS.items():
        yield from (f"strategy.{strategy}.{name}" for name in _rules(kind))


@dataclass(frozen=True)
class _Source:
    # Where the keys came from: a name to print, and the text in which to find a line.
    name: str
    text: str = ""

    def error(self, key: str, wrong: str) -> OperatorError:
        line = _line(self.text, tuple(key.split("."))) if self.text else None
        return OperatorError(f"{_place(self.name, line)}: {key}: {wrong}")


def _place(name: str, line: int | None) -> str:
    return f"{name}:{line}" if line else name


def _line(text: str, path: tuple[str, ...]) -> int | None:
    # A key that is missing is looked for at its table.
    while path:
        try:
            line = _line_of(text.split("\n"), path)
        except LookupError:
            return None
        if line:
            return line
        path = path[:-1]
    return None


def _line_of(lines: list[str], path: tuple[str, ...]) -> int:
    # The line of a key is where the shortest head of the file that holds it ends: exact for
    # dotted keys, inline tables and quoted names, because the real parser reads each head.
    line = bisect_left(range(len(lines) + 1), True, key=lambda count: _has(_head(lines, count), path))
    return line if line <= len(lines) else 0


def _head(lines: list[str], count: int) -> dict[str, Any]:
    # The first lines, up to the end of the statement in which they stop.
    for end in range(count, min(count + _MAX_STATEMENT_LINES, len(lines)) + 1):
        try:
            return tomllib.loads("\n".join(lines[:end]) + "\n")
        except ValueError:
            continue
    raise LookupError(count)  # a statement longer than any of ours: no line is better than a wrong one


def _has(table: object, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Parameters
    ----------
    path : Path
        A TOML file in UTF-8, at most 64 KiB.

    Returns
    -------
    Config
        Every value inside its range, relative paths starting at the file's folder.

    Raises
    ------
    OperatorError
        The file cannot be read, or a key is unknown, missing, of a wrong type or out of range;
        the text is ``file:line: key: what is wrong; what to do``.
    """
    text = _text(path)
    return _config(_parse(str(path), text), _Source(str(path), text), path.parent)


def from_dict(tables: Mapping[str, Any], source: str = "configuration", folder: Path = Path()) -> Config:
    """Check the tables of a configuration, such as those that `as_dict` gave.

    Parameters
    ----------
    tables : mapping
        Section name to mapping of key to value, as TOML or JSON give them.
    source : str
        The name that an error line begins with.
    folder : Path
        Where relative paths start.

    Returns
    -------
    Config
        The configuration, every value inside its range.

    Raises
    ------
    OperatorError
        As for `load`, without a line number.
    """
    return _config(tables, _Source(source), folder)


def _text(path: Path) -> str:
    raw = _bytes(path)
    if len(raw) > _MAX_BYTES:
        raise OperatorError(say("config.too_large", file=path, limit=_MAX_BYTES // 1024))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise OperatorError(say("config.not_utf8", file=path, line=line, byte=f"0x{raw[error.start]:02x}")) from None
    if not text.strip():
        raise OperatorError(say("config.empty", file=path))
    return text


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise OperatorError(say("config.no_file", file=path)) from None
    except OSError as error:
        raise OperatorError(say("config.unreadable", file=path, reason=error.strerror)) from None
    except ValueError as error:  # a NUL in the name
        raise OperatorError(say("config.unreadable", file=path, reason=error)) from None


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for numbers of thousands of digits
        raise OperatorError(_syntax(name, text, str(error))) from None


def _syntax(name: str, text: str, detail: str) -> str:
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", detail)
    line = int(at[1] or text.rstrip().count("\n") + 1) if at else None
    return say("config.syntax", place=_place(name, line), detail=detail[: at.start()] if at else detail)


def _config(tables: Mapping[str, Any], source: _Source, folder: Path) -> Config:
    for name in tables:
        if name not in _SECTIONS:
            raise source.error(name, _unknown(name, "", _SECTIONS))
    mode = _mode(tables, source)
    early = [name for name in _SECTIONS if name not in ("risk", "live")]
    parts = {name: _part(name, tables.get(name, {}), mode, source) for name in early}
    own = {**_DEFAULTS.get(parts["strategy"].name, {}), **_MODE_DEFAULTS.get(mode, {})}
    parts["risk"] = _section("risk", Risk, tables.get("risk", {}), mode, source, own)
    parts["live"] = _live(tables.get("live"), mode, source)
    config = Config(folder=folder, **parts)
    for key, wrong in _contradictions(config):
        raise source.error(key, wrong)
    return config


def _live(table: object, mode: str, source: _Source) -> Live | None:
    if mode in PROFILES:
        found: Live = _section("live", Live, {} if table is None else table, mode, source, _LIVE[mode])
        return found
    if table is not None:
        raise source.error("live", say("config.no_live", mode=mode))
    return None


def _mode(tables: Mapping[str, Any], source: _Source) -> str:
    # The mode is read first: it bounds the other values.
    run = _table("run", tables.get("run", {}), source)
    return str(_value("run.mode", run, _rules(Run)["mode"], MISSING, source))


def _part(name: str, table: object, mode: str, source: _Source) -> Any:
    return (
        _strategy(table, mode, source) if name == "strategy" else _section(name, _SECTIONS[name], table, mode, source)
    )


def _strategy(table: object, mode: str, source: _Source) -> Strategy:
    found = _table("strategy", table, source)
    name = str(_value("strategy.name", found, _rules(Strategy)["name"], MISSING, source))
    for key in found:
        if key not in ("name", *_PARAMETERS):
            raise source.error(f"strategy.{key}", _unknown(key, "strategy", ("name", *_PARAMETERS)))
        if key not in ("name", name):
            raise source.error(f"strategy.{key}", say("config.other_strategy", name=name))
    parameters = _section(f"strategy.{name}", _PARAMETERS[name], found.get(name, {}), mode, source)
    return Strategy(name=name, **{name: parameters})  # type: ignore[arg-type]


def _section(
    prefix: str, kind: type, table: object, mode: str, source: _Source, own: Mapping[str, object] = MappingProxyType({})
) -> Any:
    # `own` are defaults of the strategy that runs, before those of the section.
    rules = _bounded(prefix, kind, mode)
    found = _table(prefix, table, source)
    for key in found:
        if key not in rules:
            raise source.error(f"{prefix}.{key}", _unknown(key, prefix, rules))
    defaults = {item.name: item.default for item in fields(kind)} | dict(own)
    return kind(**{key: _value(f"{prefix}.{key}", found, rule, defaults[key], source) for key, rule in rules.items()})


def _bounded(prefix: str, kind: type, mode: str) -> dict[str, _Rule]:
    return {name: _under(rule, f"{prefix}.{name}", mode) for name, rule in _rules(kind).items()}


def _under(rule: _Rule, key: str, mode: str) -> _Rule:
    ceiling = CEILINGS[mode].get(key)
    return rule if ceiling is None or not isinstance(rule, _Between) else rule.under(ceiling, mode)


def _table(key: str, value: object, source: _Source) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise source.error(key, say("config.not_a_table", found=_shown(value), table=key))
    return value


def _value(key: str, table: Mapping[str, Any], rule: _Rule, default: object, source: _Source) -> object:
    name = key.rpartition(".")[2]
    if name in table:
        try:
            return rule.read(table[name])
        except _NotAllowedError as wrong:
            raise source.error(key, str(wrong)) from None
    if default is MISSING:
        raise source.error(key, say("config.missing", allowed=rule.words(language())))
    return rule.read(min(default, rule.high)) if isinstance(rule, _Between) else default  # type: ignore[call-overload]


def _unknown(key: str, prefix: str, siblings: Iterable[str]) -> str:
    nearest = _nearest(key, prefix, siblings)
    return say("config.unknown_key", nearest=nearest) if nearest else say("config.unknown_key_far")


def _nearest(key: str, prefix: str, siblings: Iterable[str]) -> str:
    # The same name in another table, then a sibling, then nearly the same name elsewhere.
    elsewhere = {dotted.rpartition(".")[2]: dotted for dotted in _known()}
    if key in elsewhere:
        return elsewhere[key]
    for name in get_close_matches(key, list(siblings), 1):
        return f"{prefix}.{name}" if prefix else name
    return next((elsewhere[name] for name in get_close_matches(key, list(elsewhere), 1, 0.8)), "")


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
    # Pairs of values that are each allowed and cannot both be meant.
    strategy, book = config.strategy, config.sources.book
    needed = {"trend": "candle", "quoter": "l2"}[strategy.name]
    if book != needed:
        yield "sources.book", say("config.book", strategy=strategy.name, needed=needed, found=book)
    if config.run.leverage > config.risk.max_symbol_leverage:
        yield "risk.max_symbol_leverage", say("config.leverage", least=config.run.leverage)
    clustered = [name for names in config.risk.clusters for name in names.split()]
    for name in clustered:
        if name not in config.run.symbols or clustered.count(name) > 1:
            yield "risk.clusters", say("config.cluster", symbol=name)
    if config.risk.price_collar_exit < config.risk.price_collar:
        yield "risk.price_collar_exit", say("config.exit_collar", least=config.risk.price_collar)
    if strategy.quoter and strategy.quoter.inventory_budget_usdt < strategy.quoter.order_notional_usdt:
        yield "strategy.quoter.inventory_budget_usdt", say("config.budget", least=strategy.quoter.order_notional_usdt)
    for hours in strategy.trend.lookbacks_hours if strategy.trend else ():
        if hours * 3_600_000_000_000 % config.data.interval_ns:
            yield "strategy.trend.lookbacks_hours", say("config.lookback", hours=hours, interval=config.data.interval)
    if config.live:
        yield from _unreachable(config.live, config.run)
        if config.live.watchdog_do == "protect" and not config.risk.protective_stop:
            yield "live.watchdog_do", say("config.no_stop")


def _unreachable(live: Live, run: Run) -> Iterator[tuple[str, str]]:
    allowed = PROFILES[run.mode]
    if live.profile not in allowed:
        names = ", ".join(f'"{name}"' for name in allowed)
        yield "live.profile", say("config.profile", mode=run.mode, found=live.profile, allowed=names)
    if run.mode == "live" and (live.profile == "loopback") != live.rehearsal:
        yield "live.rehearsal", say("config.rehearsal")
    if live.profile == "loopback" and not live.port:
        yield "live.port", say("config.no_port")
    if live.keys != "environment" and not live.key_file:
        yield "live.key_file", say("config.no_key_file", keys=live.keys)
    for name in run.symbols if run.mode != "paper" else ():
        if not name.endswith("USDT"):
            yield "run.symbols", say("config.not_perpetual", symbol=name, mode=run.mode)


def as_dict(config: Config) -> dict[str, Any]:
    """Return a configuration as plain tables that JSON can hold and that `from_dict` reads back.

    Parameters
    ----------
    config : Config
        The configuration; its folder is left out, because it says nothing about the run.

    Returns
    -------
    dict
        Section name to dictionary of key to value; lists for tuples.
    """
    tables = {name: asdict(part) for name in _SECTIONS if (part := getattr(config, name))}
    tables["strategy"] = {key: value for key, value in tables["strategy"].items() if value is not None}
    return dict(json.loads(json.dumps(tables, allow_nan=False)))


def sha256(config: Config) -> str:
    """Return the hash of a configuration: SHA-256 of its JSON with sorted keys and no spaces.

    Parameters
    ----------
    config : Config
        The configuration; its folder does not count.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    canonical = json.dumps(as_dict(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


_START: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "quoter": {"book": "l2", "mark": "stream", "funding": "stream"},
        "trend": {"book": "candle", "mark": "proxy", "funding": "file"},
    }
)

_ON_THE_WIRE = {"mark": "stream", "funding": "stream"}


def template(strategy: str, symbols: Iterable[str], language: str, mode: str = "backtest") -> str:
    """Write a configuration in which every key stands with its default, its range and a comment.

    Parameters
    ----------
    strategy : str
        ``"quoter"`` or ``"trend"``.
    symbols : iterable of str
        The symbols to trade.
    language : str
        ``"en"`` or ``"ko"``: the language of the comments and of the run.
    mode : str
        ``"backtest"``, ``"paper"``, ``"testnet"`` or ``"live"``.

    Returns
    -------
    str
        TOML that `load` accepts.

    Raises
    ------
    OperatorError
        The strategy, a symbol, the language or the mode is not one of those allowed.
    """
    _value("strategy.name", {"name": strategy}, _rules(Strategy)["name"], MISSING, _Source("init"))
    tables = {
        "run": {"mode": mode, "symbols": list(symbols), "language": language},
        "sources": dict(_START[strategy]) | (_ON_THE_WIRE if mode in ("testnet", "live") else {}),
        "strategy": {"name": strategy},
    }
    return "\n".join(_written(from_dict(tables, "init"), language))


def _written(config: Config, speech: str) -> Iterator[str]:
    yield f"# {say_in(speech, 'template.title')}"
    yield f"# {say_in(speech, 'template.units')}"
    for prefix, part in _parts(config):
        yield f"\n# {say_in(speech, f'section.{prefix}')}\n[{prefix}]"
        for name, rule in _bounded(prefix, type(part), config.run.mode).items():
            yield f"# {say_in(speech, f'field.{prefix}.{name}')} ({rule.words(speech)})"
            yield f"{name} = {_toml(getattr(part, name))}"
    yield ""


def _parts(config: Config) -> Iterator[tuple[str, Any]]:
    for section in (name for name in _SECTIONS if getattr(config, name)):
        yield section, getattr(config, section)
        if section == "strategy":
            name = config.strategy.name
            yield f"strategy.{name}", getattr(config.strategy, name)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
