"""The reading of a run folder: its summary and its tables, every key and column checked, as one `Run`.

Knows the names and the shapes of the files that a run leaves. Refuses to know how a run was made, what is said about it
and how a page looks: a file that is missing or damaged is named, and nothing is put in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from autotrader.adapters.web.words import Words
from autotrader.errors import OperatorError
from autotrader.models import performance
from autotrader.models.performance import Fills, Floats, Integers, RoundTrip


class Quantiles(msgspec.Struct):
    """Wire-to-order latency in nanoseconds; ``None`` where nothing was timed."""

    p50: float | None
    p99: float | None
    max: float | None
    count: int
    p999: float | None = msgspec.field(name="p99.9")


class Histogram(msgspec.Struct):
    """Latencies by bin, in nanoseconds: one edge more than counts."""

    edges_ns: list[float]
    counts: list[int]


class Costs(msgspec.Struct):
    """Costs in USDT, paid positive, but funding received positive."""

    fees_maker: float
    fees_taker: float
    liquidation_fees: float
    funding: float
    slippage: float


class DataFile(msgspec.Struct):
    """A file that the run read."""

    path: str
    sha256: str
    rows: int
    kind: str


class Checks(msgspec.Struct):
    """What the candles of a symbol were checked for before the run."""

    bars: int
    missing: int
    longest_gap_ns: int
    jumps: int
    largest_jump: float
    largest_jump_ns: int
    empty: int


class Summary(msgspec.Struct):
    """What ``summary.json`` must hold; a ratio that is not defined is ``None``."""

    run_id: str
    mode: str
    strategy: str
    symbols: list[str]
    start_ns: int
    end_ns: int
    events: int
    initial_equity: float
    final_equity: float
    total_return: float | None
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    fees: float
    funding: float
    realised_pnl: float
    unrealised_pnl: float
    transfers: float
    orders: int
    fills: int
    fill_rate: float | None
    slippage_bps: float | None
    post_only_success: float | None
    rejects_by_reason: dict[str, int]
    limiting: dict[str, int]
    liquidations: int
    turnover: float | None
    latency_ns: Quantiles
    latency_histogram: Histogram
    events_per_second: float | None
    mark_source: dict[str, str]
    journal_sha256: str
    orders_sha256: str
    state_sha256: str
    seed: int
    config: dict[str, Any]
    config_sha256: str
    data: list[DataFile]
    defaults_used: list[str]
    warnings: list[str]
    notes: list[str]
    costs: Costs
    alarms: dict[str, int]
    quality: dict[str, dict[str, int]] = {}  # by symbol: data judged, discarded, and by verdict
    history: dict[str, Checks] = {}  # by symbol, candle runs
    language: str = ""  # of the notes, warnings and defaults


POLICY = "quality.on_"

FILLS = {
    "ts_ns": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "price": pl.Float64,
    "quantity": pl.Float64,
    "notional_usdt": pl.Float64,
    "fee_usdt": pl.Float64,
    "liquidation": pl.Boolean,
    "realised_usdt": pl.Float64,
    "position_after": pl.Float64,
}
WIRED = frozenset({"testnet", "live"})
"""Modes of runs that begin with whatever the account holds."""
ORDERS = {"type": pl.String, "tif": pl.String, "state": pl.String}
EQUITY = {"ts_ns": pl.Int64, "equity_usdt": pl.Float64, "drawdown": pl.Float64}
FUNDING = {"symbol": pl.String, "amount_usdt": pl.Float64}


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it, and the words to tell it in."""

    words: Words
    summary: Summary
    fills: pl.DataFrame
    orders: pl.DataFrame
    equity: pl.DataFrame
    funding: pl.DataFrame
    returns: Floats  # daily
    trips: list[RoundTrip]  # in the order of their entries

    @property
    def curve(self) -> tuple[Integers, Floats, float]:
        """Return the times (ns UTC), the equity (USDT) and the starting equity (USDT)."""
        return _curve(self.equity, self.summary)

    @property
    def result(self) -> float:
        """Return what was made or lost after costs, in USDT, transfers excluded."""
        return self.summary.final_equity - self.summary.initial_equity - self.summary.transfers

    @property
    def traded(self) -> float:
        """Return the traded notional in USDT."""
        return float(self.fills["notional_usdt"].sum())

    @property
    def drawdown_limit(self) -> float | None:
        """Return the drawdown limit of the configuration as a share, ``None`` if it states none."""
        limit = leaves(self.summary.config).get("risk.max_drawdown")
        return float(limit) if isinstance(limit, int | float) else None

    @property
    def policies(self) -> dict[str, str]:
        """Return the policy of each verdict on market data, by the verdict's name, as far as the configuration says."""
        chosen = leaves(self.summary.config)
        return {key[len(POLICY) :].upper(): value for key, value in chosen.items() if key.startswith(POLICY)}

    @property
    def span_ns(self) -> int:
        """Return how long the run lasted in market time, in nanoseconds."""
        return self.summary.end_ns - self.summary.start_ns


def read(run_dir: Path, words: Words) -> Run:
    """Return the content of a run folder.

    Parameters
    ----------
    run_dir
        A folder with ``summary.json`` and the Parquet files of a finished run.
    words
        The words in which errors, and later the report, are told.

    Returns
    -------
    Run
        Every key and column checked, the daily returns and the round trips worked out.

    Raises
    ------
    OperatorError
        If the folder or a file is missing, damaged or of another shape; the text names the file and what to do.
    """
    if not run_dir.is_dir():
        raise OperatorError(words("error.folder", folder=run_dir))
    summary = _summary(run_dir / "summary.json", words)
    fills = _table(run_dir / "fills.parquet", FILLS, words)
    equity = _table(run_dir / "equity.parquet", EQUITY, words)
    return Run(
        words=words,
        summary=summary,
        fills=fills,
        orders=_table(run_dir / "orders.parquet", ORDERS, words),
        equity=equity,
        funding=_table(run_dir / "funding.parquet", FUNDING, words),
        returns=_returns(run_dir / "equity.parquet", equity, summary, words),
        trips=_trips(run_dir / "fills.parquet", fills, summary, words),
    )


def _returns(path: Path, equity: pl.DataFrame, summary: Summary, words: Words) -> Floats:
    # None if money was moved: the folder does not date transfers, and an undated one would pass for a return.
    try:
        # Two calendar days of a few seconds each are no two daily returns: the runner's rule.
        short = summary.end_ns - summary.start_ns < 2 * performance.DAY_NS
        return np.empty(0) if summary.transfers or short else performance.daily_returns(*_curve(equity, summary))
    except OperatorError as error:
        raise _damaged(path, error, words) from error


def _trips(path: Path, fills: pl.DataFrame, summary: Summary, words: Words) -> list[RoundTrip]:
    sign = np.where(fills["side"].to_numpy() == "SELL", -1.0, 1.0)
    prices, quantities, fees, after = (
        fills[name].to_numpy() for name in ("price", "quantity", "fee_usdt", "position_after")
    )
    columns = Fills(fills["symbol"].to_list(), fills["ts_ns"].to_numpy(), prices, sign * quantities, fees, after)
    if summary.mode in WIRED:
        columns = _with_takeovers(columns)
    try:
        return sorted(performance.round_trips(columns), key=lambda trip: trip.entry_ns)
    except OperatorError as error:
        raise _damaged(path, error, words) from error


def _with_takeovers(fills: Fills) -> Fills:
    # A position that was there when the run began, or that the exchange told of, no fill of the run has opened: it
    # counts as opened at the price of the fill that met it.
    held: dict[str, float] = {}
    rows: list[tuple[str, int, float, float, float, float]] = []
    for symbol, *numbers in zip(fills.symbols, *(column.tolist() for column in fills[1:]), strict=True):
        ts_ns, price, quantity, fee, after = numbers
        before = round(after - quantity, 8)
        jump = round(before - held.get(symbol, 0.0), 8)
        if jump:
            rows.append((symbol, ts_ns, price, jump, 0.0, before))
        rows.append((symbol, ts_ns, price, quantity, fee, after))
        held[symbol] = after
    if not rows:
        return fills
    symbols, *columns = zip(*rows, strict=True)
    return Fills(list(symbols), *(np.array(column) for column in columns))


def _curve(equity: pl.DataFrame, summary: Summary) -> tuple[Integers, Floats, float]:
    return equity["ts_ns"].to_numpy(), equity["equity_usdt"].to_numpy(), summary.initial_equity


def _summary(path: Path, words: Words) -> Summary:
    try:
        summary = msgspec.json.decode(_bytes(path, words), type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, error, words) from error
    if not _is_histogram(summary.latency_histogram):
        raise _damaged(path, "latency_histogram: edges_ns must rise from 0 or above, one more than counts", words)
    if not 0 <= summary.start_ns <= summary.end_ns < 2**63:
        raise _damaged(path, f"start_ns {summary.start_ns}, end_ns {summary.end_ns}", words)
    if not summary.initial_equity > 0.0:
        raise _damaged(path, f"initial_equity: {summary.initial_equity}", words)
    return summary


def _is_histogram(histogram: Histogram) -> bool:
    edges, counts = histogram.edges_ns, histogram.counts
    rising = all(low < high for low, high in pairwise(edges)) and min(edges, default=0.0) >= 0.0
    return not counts or (len(edges) == len(counts) + 1 and rising and min(counts) >= 0)


def _table(path: Path, columns: Mapping[str, Any], words: Words) -> pl.DataFrame:
    content = _bytes(path, words)
    try:
        frame = pl.read_parquet(content, columns=list(columns))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error, words) from error
    for name, kind in columns.items():
        _require_column(path, frame[name], kind, words)
    return frame


def _require_column(path: Path, column: pl.Series, kind: Any, words: Words) -> None:
    if column.dtype != kind:
        raise _damaged(path, f"{column.name}: {column.dtype} instead of {kind}", words)
    good = column.is_finite().fill_null(False) if kind == pl.Float64 else column.is_not_null()
    if not good.all():
        row = int(np.argmin(good.to_numpy()))
        raise _damaged(path, f"{column.name}, row {row}: {column[row]}", words)


def _bytes(path: Path, words: Words) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        state = "error.incomplete" if path.with_name("INCOMPLETE").exists() else "error.missing"
        raise OperatorError(words(state, file=path)) from error
    except OSError as error:
        raise OperatorError(words("error.unreadable", file=path, detail=error.strerror)) from error


def _damaged(path: Path, detail: object, words: Words) -> OperatorError:
    return OperatorError(words("error.damaged", file=path, detail=" ".join(str(detail).split())[:200]))


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a configuration as dotted keys and their values."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the counts that are not zero, the largest first, equal ones by name."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: (-item[1], item[0]))
