"""The report of a run: one HTML file that opens without a network and says what the run earned, cost and risked.

Knows the run folder and the shapes of tables and charts. Refuses to know how a run was made: every number comes from
the folder or from `autotrader.models.performance`, and what the folder does not hold is said, not drawn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
import polars as pl
from plotly.offline import get_plotlyjs

from autotrader.adapters.web.words import (
    NONE,
    Words,
    basis_points,
    latency,
    number,
    percent,
    price,
    quantity,
    stamp,
    usdt,
)
from autotrader.errors import OperatorError
from autotrader.models import performance
from autotrader.models.performance import Fills, Floats, Integers, RoundTrip

MILLISECOND_NS = 1_000_000
YEAR_NS = 365 * performance.DAY_NS
BUDGET_NS = 100_000_000
TARGET_SHARPE = 1.5
TARGET_FILL_RATE = 0.95
TARGET_SLIPPAGE_BPS = 5.0
TARGET_POST_ONLY = 0.70
# What happens at which share of the drawdown limit.
LADDER = ((0.5, "half"), (0.75, "reduce"), (1.0, "flatten"))
ACCOUNT_LIMITS = frozenset(
    {"DRAWDOWN_HALF", "DRAWDOWN_REDUCE_ONLY", "DRAWDOWN_KILL", "DAILY_LOSS", "LIQUIDATED", "LIQUIDATION_NEAR"}
)
SIMULATED = frozenset({"backtest", "paper"})
TRIPS_SHOWN = 500
POINTS_SHOWN = 5_000
SERIES_COLOURS = 6
NORMAL_95 = 1.96
# Exact to 1e-8, as the run books it; a sum over a column of doubles agrees to less.
BOOKED = Decimal("1e-8")
ANY_AMOUNT = Context(prec=400)
COLUMN_ROUNDING = 1e-6


# The run folder


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
        limit = _leaves(self.summary.config).get("risk.max_drawdown")
        return float(limit) if isinstance(limit, int | float) else None

    @property
    def span_ns(self) -> int:
        """Return how long the run lasted in market time, in nanoseconds."""
        return self.summary.end_ns - self.summary.start_ns


def render(run_dir: Path, language: str) -> Path:
    """Write ``report.html`` into a run folder.

    Parameters
    ----------
    run_dir
        A folder with ``summary.json`` and the Parquet files of a finished run.
    language
        ``"en"`` or ``"ko"``.

    Returns
    -------
    Path
        The report, which is whole or not there.

    Raises
    ------
    OperatorError
        If the language is unknown, a file is missing, damaged or of another shape, or the folder cannot be written;
        the text names the file and what to do.
    """
    words = Words(language)
    return _write(run_dir / "report.html", page(read(run_dir, words)), words)


def read(run_dir: Path, words: Words) -> Run:
    """Return the content of a run folder, every key and column checked; errors are those of `render`."""
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
        trips=_trips(run_dir / "fills.parquet", fills, words),
    )


def _returns(path: Path, equity: pl.DataFrame, summary: Summary, words: Words) -> Floats:
    # None if money was moved: the folder does not date transfers, and an undated one would pass for a return.
    try:
        # Two calendar days of a few seconds each are no two daily returns: the runner's rule.
        short = summary.end_ns - summary.start_ns < 2 * performance.DAY_NS
        return np.empty(0) if summary.transfers or short else performance.daily_returns(*_curve(equity, summary))
    except OperatorError as error:
        raise _damaged(path, error, words) from error


def _trips(path: Path, fills: pl.DataFrame, words: Words) -> list[RoundTrip]:
    sign = np.where(fills["side"].to_numpy() == "SELL", -1.0, 1.0)
    prices, quantities, fees, after = (
        fills[name].to_numpy() for name in ("price", "quantity", "fee_usdt", "position_after")
    )
    columns = Fills(fills["symbol"].to_list(), fills["ts_ns"].to_numpy(), prices, sign * quantities, fees, after)
    try:
        return sorted(performance.round_trips(columns), key=lambda trip: trip.entry_ns)
    except OperatorError as error:
        raise _damaged(path, error, words) from error


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


def _write(path: Path, text: str, words: Words) -> Path:
    # The reader of an old report keeps a whole one until the new one is whole.
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OperatorError(words("error.unwritable", file=path, detail=error.strerror)) from error
    return path


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    # The configuration as dotted keys.
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


# Markup: text is escaped unless it is Markup already


class Markup(str):
    """HTML that is safe as it stands."""

    __slots__ = ()


def h(tag: str, *children: str, **attributes: object) -> Markup:
    """Return an element; children that are not Markup, and all attribute values, are escaped."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{given}>{joined(children)}</{tag}>")


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts as one, those escaped that are not Markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


class Column(NamedTuple):
    """The head of a column."""

    title: str
    numeric: bool = False


class Cell(NamedTuple):
    """A value as it is read, what it sorts by, and its class."""

    text: str
    key: float | str | None = None
    tone: str = ""


Row = Sequence[Cell | str]


def table(
    columns: Sequence[Column], rows: Iterable[Row], total: Row = (), sortable: bool = False, name: str = ""
) -> Markup:
    """Return a table, which scrolls by itself where it is wider than the window."""
    head = h("thead", h("tr", *(_head(column, sortable) for column in columns)))
    body = h("tbody", *(_line(columns, row) for row in rows))
    foot = [h("tfoot", _line(columns, total, class_="total"))] if total else []
    return h("div", h("table", head, body, *foot, **({"class": name} if name else {})), class_="wide")


def _head(column: Column, sortable: bool) -> Markup:
    title = h("button", column.title, type="button") if sortable else column.title
    return h("th", title, scope="col", **({"class": "num"} if column.numeric else {}))


def _line(columns: Sequence[Column], row: Row, **attributes: object) -> Markup:
    return h("tr", *(_cell(column, cell) for column, cell in zip(columns, row, strict=True)), **attributes)


def _cell(column: Column, cell: Cell | str) -> Markup:
    text, key, tone = cell if isinstance(cell, Cell) else Cell(cell)
    name = " ".join(filter(None, ("num" if column.numeric else "", tone)))
    return h("td", text, **({"class": name} if name else {}), **({} if key is None else {"data-key": key}))


def signed(value: float, digits: int = 4) -> Cell:
    """Return an amount as a cell that shows its sign and sorts by its value."""
    return Cell(number(value, digits, signed=True), value, _tone(value))


def paid(amount: float) -> Cell:
    """Return a cost as a cell, in no colour: costs are certain, so they are no news."""
    return Cell(number(-amount, 4, signed=True), -amount)


def note(text: str) -> Markup:
    """Return a remark under a table or a chart."""
    return h("p", text, class_="note")


def nothing(text: str) -> Markup:
    """Return the sentence that stands where there is nothing to show."""
    return h("p", text, class_="empty")


def chart(figure: Mapping[str, Any], height: int, label: str) -> Markup:
    """Return the place of a chart and beside it the figure as JSON, which cannot end its own script element."""
    text = orjson.dumps(figure, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for raw, coded in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(raw, coded)
    place = h("div", class_="chart", style=f"height:{height}px", role="img", aria_label=label)
    return joined([place, h("script", Markup(text), type="application/json")])


def _tone(value: float) -> str:
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def _toned(text: str, value: float) -> Markup:
    return h("span", text, class_=_tone(value))


# The page


def page(run: Run) -> str:
    """Return the whole report as HTML; the same folder gives the same bytes."""
    own = files("autotrader.adapters.web")
    sections = [
        h("section", h("h2", run.words(f"{name}.title"), id=name), *build(run)) for name, build in SECTIONS.items()
    ]
    return Template(own.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        language=run.words.language,
        title=escape(f"{run.summary.strategy} {run.summary.run_id} · autotrader"),
        css=own.joinpath("report.css").read_text(encoding="utf-8"),
        body=joined([_header(run), _caveats(run), *sections, _disclaimers(run)]),
        plotly=get_plotlyjs(),
    )


def _header(run: Run) -> Markup:
    s, say = run.summary, run.words
    title = h("h1", s.strategy, " ", h("span", say.known("mode", s.mode.lower()), class_="badge"))
    period = say("head.period", start=stamp(s.start_ns), end=stamp(s.end_ns), span=say.span(run.span_ns))
    about = h("p", f"{', '.join(s.symbols)} · {period} · {say('head.run', run=s.run_id)}", class_="meta")
    limits = h("p", f"{_limits_fired(run)} {_refused(run)}")
    links = h("nav", *(h("a", say(f"{name}.title"), href=f"#{name}") for name in SECTIONS))
    return h("header", title, about, _verdict(run), limits, _key_figures(run), links)


def _verdict(run: Run) -> Markup:
    s, say = run.summary, run.words
    if not s.fills:
        return h("p", say("verdict.no_fills"), class_="verdict")
    sign = "won" if run.result > 0.0 else "lost" if run.result < 0.0 else "level"
    made = say(f"verdict.{sign}", amount=usdt(abs(run.result)), share=percent(abs(run.result) / s.initial_equity))
    before = s.realised_pnl + s.unrealised_pnl
    parts = {"before": usdt(before, True), "unrealised": usdt(s.unrealised_pnl, True), "fees": usdt(s.fees)}
    costs = say("verdict.costs", **parts, funding=usdt(s.funding, True))
    eaten = say("verdict.eaten") if run.result < 0.0 < before else ""
    return h("p", h("strong", _toned(made, run.result)), f" {costs} {eaten}", class_="verdict")


def _limits_fired(run: Run) -> str:
    s, say = run.summary, run.words
    fired = [f"{say.known('alarm', name)} ({count})" for name, count in _ranked(s.alarms) if name in ACCOUNT_LIMITS]
    if s.liquidations:
        fired.insert(0, say("verdict.liquidations", count=s.liquidations))
    return say("verdict.limits", limits="; ".join(fired)) if fired else say("verdict.no_limits")


def _refused(run: Run) -> str:
    ranked = _ranked(run.summary.rejects_by_reason)
    if not ranked:
        return run.words("verdict.no_refusals")
    name, count = ranked[0]
    total = number(sum(count for _, count in ranked), 0)
    return run.words("verdict.refusals", total=total, reason=run.words.known("reason", name), count=number(count, 0))


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: (-item[1], item[0]))


def _key_figures(run: Run) -> Markup:
    s, say = run.summary, run.words
    share = percent(run.result / s.initial_equity, signed=True)
    fees = say("key.of_traded", rate=basis_points(s.fees / run.traded * 1e4)) if run.traded else ""
    limit = say("key.no_limit") if run.drawdown_limit is None else say("key.limit", limit=percent(run.drawdown_limit))
    slippage = say("key.target", target=f"< {basis_points(TARGET_SLIPPAGE_BPS, 0)}")
    closed = number(sum(trip.exit_ns is not None for trip in run.trips), 0)
    days = "key.days" if _sharpe_error(run) is not None else "key.days_only"
    figures = (
        ("result", _toned(usdt(run.result, True), run.result), say("key.of", share=share, base=usdt(s.initial_equity))),
        ("drawdown", percent(s.max_drawdown), limit),
        ("sharpe", _sharpe(run), say(days, days=len(run.returns))),
        ("fees", usdt(s.fees), fees),
        ("funding", _toned(usdt(s.funding, True), s.funding), say("key.payments", count=number(run.funding.height, 0))),
        ("fills", number(s.fills, 0), say("key.trips", trips=closed, orders=number(s.orders, 0))),
        ("slippage", basis_points(s.slippage_bps), slippage),
        ("latency", latency(s.latency_ns.p99), say("key.budget", budget=latency(BUDGET_NS))),
    )
    tiles = (h("div", h("dt", say(f"key.{name}")), h("dd", value), h("dd", base)) for name, value, base in figures)
    return h("dl", *tiles, class_="figures")


def _sharpe_error(run: Run) -> float | None:
    return None if run.summary.sharpe is None else performance.mertens_standard_error(run.returns)


def _sharpe(run: Run) -> str:
    error = _sharpe_error(run)
    return number(run.summary.sharpe) if error is None else f"{number(run.summary.sharpe)} ± {number(error)}"


def _caveats(run: Run) -> Markup:
    s, say = run.summary, run.words
    moved = [say("caveat.transfers", amount=usdt(s.transfers, True))] if s.transfers else []
    said = [*s.notes, *s.warnings, *moved]
    body = h("ul", *(h("li", line) for line in said)) if said else note(say("caveat.none"))
    return h("aside", h("h2", say("caveat.title")), body, *_defaults(run), class_="caveats")


def _defaults(run: Run) -> list[Markup]:
    used = run.summary.defaults_used
    head = h("summary", run.words("caveat.defaults", count=len(used)))
    return [h("details", head, h("ul", *(h("li", line) for line in used)), open="")] if used else []


def _disclaimers(run: Run) -> Markup:
    kinds = ["simulated"] if run.summary.mode.lower() in SIMULATED else []
    return h("footer", *(h("p", run.words(f"disclaimer.{kind}")) for kind in [*kinds, "past", "advice"]))


# Equity, drawdown and the measures


def _performance(run: Run) -> list[Markup]:
    say = run.words
    if not run.equity.height:
        return [nothing(say("performance.no_equity")), *_measures(run)]
    kept = thinned(POINTS_SHOWN, run.equity["equity_usdt"].to_numpy(), run.equity["drawdown"].to_numpy())
    drawn = chart(_equity_figure(run, kept), 480, say("performance.title"))
    counts = {"shown": number(len(kept), 0), "rows": number(run.equity.height, 0)}
    thin = [note(say("performance.thinned", **counts))] if len(kept) < run.equity.height else []
    return [drawn, note(say("performance.note")), *thin, *_measures(run)]


def thinned(most: int, *series: Floats) -> Integers:
    """Return the rows to draw, at most ``most`` of them: of each stretch the low and the high of each series."""
    size = len(series[0])
    if size <= most:
        return np.arange(size)
    edges = np.linspace(0, size, (most - 2) // (2 * len(series)) + 1).astype(np.int64)
    kept = {0, size - 1}
    for first, last in pairwise(edges.tolist()):
        for values in series:
            kept |= {first + int(values[first:last].argmin()), first + int(values[first:last].argmax())}
    return np.array(sorted(kept))


def _equity_figure(run: Run, kept: Integers) -> dict[str, Any]:
    say = run.words
    times = run.equity["ts_ns"].to_numpy()[kept] // MILLISECOND_NS
    equity = run.equity["equity_usdt"].to_numpy()[kept]
    drawdown = -100.0 * run.equity["drawdown"].to_numpy()[kept]
    lines = [
        _trace(say("performance.equity"), times, equity, "var(--ink)", "%{y:,.2f} USDT"),
        _trace(say("performance.drawdown"), times, drawdown, "var(--loss)", "%{y:.2f} %", yaxis="y2")
        | {"fill": "tozeroy", "fillcolor": "var(--fill)"},
    ]
    ladder, start = _ladder(run), run.summary.initial_equity
    named = _level_name(say("performance.start"), start, "y")
    layout = _layout(
        xaxis=_time_axis(run) | {"anchor": "y2"},
        yaxis=_axis("USDT") | {"domain": [0.40, 1.0], "tickformat": ","},
        yaxis2=_axis("%") | {"domain": [0.0, 0.33], "range": [_floor(ladder, float(drawdown.min())), 0.0]},
        shapes=[_level(start, "y", "var(--soft)"), *(_level(depth, "y2", "var(--caution)") for depth, _ in ladder)],
        annotations=[named, *(_level_name(f"{number(depth)} % {step}", depth, "y2") for depth, step in ladder)],
    )
    return {"data": lines, "layout": layout}


def _ladder(run: Run) -> list[tuple[float, str]]:
    # Depth in percent (negative) and what happens there.
    limit = run.drawdown_limit
    return [] if limit is None else [(-100.0 * share * limit, run.words(f"ladder.{step}")) for share, step in LADDER]


def _floor(ladder: Sequence[tuple[float, str]], deepest: float) -> float:
    # The next step of the ladder below the deepest drawdown stays in sight.
    below = [depth for depth, _ in ladder if depth < deepest]
    return 1.15 * (below[0] if below else min(deepest, -0.01))


def _measures(run: Run) -> list[Markup]:
    say = run.words
    columns = (
        Column(say("measure.name")),
        Column(say("measure.value"), True),
        Column(say("measure.target"), True),
        Column(say("measure.remark")),
    )
    rows: list[Row] = [
        (say(f"measure.{name}"), value, target, Cell(remark, None, "words"))
        for name, value, target, remark in _measure_rows(run)
    ]
    return [h("h3", say("measure.title")), table(columns, rows), h("p", _sharpe_in_words(run))]


def _measure_rows(run: Run) -> list[tuple[str, str, str, str]]:
    s, say = run.summary, run.words
    volatility = performance.annual_volatility(run.returns)
    limit = run.drawdown_limit
    below = ("", "") if limit is None else (f"< {percent(limit)}", _below(say, s.max_drawdown, limit))
    filled = _above(say, s.fill_rate, TARGET_FILL_RATE)
    slipped = _below(say, s.slippage_bps, TARGET_SLIPPAGE_BPS)
    rested = _above(say, s.post_only_success, TARGET_POST_ONLY)
    turnover = NONE if s.turnover is None else f"{number(s.turnover, 1)}×"
    rate = NONE if s.events_per_second is None else say("measure.per_second", value=number(s.events_per_second, 0))
    return [
        ("total_return", percent(s.total_return, signed=True), "", _defined(say, s.total_return)),
        ("cagr", percent(s.cagr, signed=True), "", _annual(run, s.cagr)),
        ("volatility", percent(volatility), "", _annual(run, volatility)),
        ("sharpe", _sharpe(run), f"≥ {number(TARGET_SHARPE, 1)}", _defined(say, s.sharpe) or say("measure.estimate")),
        ("sortino", number(s.sortino), "", _annual(run, s.sortino)),
        ("calmar", number(s.calmar), "", _annual(run, s.calmar)),
        ("max_drawdown", percent(s.max_drawdown), *below),
        ("turnover", turnover, "", _defined(say, s.turnover) or say("measure.times")),
        ("fill_rate", percent(s.fill_rate), f"> {percent(TARGET_FILL_RATE, 0)}", filled),
        ("slippage", basis_points(s.slippage_bps), f"< {basis_points(TARGET_SLIPPAGE_BPS, 0)}", slipped),
        ("post_only", percent(s.post_only_success), f"> {percent(TARGET_POST_ONLY, 0)}", rested),
        ("latency", latency(s.latency_ns.p99), f"< {latency(BUDGET_NS)}", _below(say, s.latency_ns.p99, BUDGET_NS)),
        ("events", number(s.events, 0), "", ""),
        ("events_per_second", rate, "", ""),
    ]


def _defined(say: Words, value: float | None) -> str:
    return say("measure.undefined") if value is None else ""


def _annual(run: Run, value: float | None) -> str:
    if value is None or run.span_ns >= YEAR_NS:
        return _defined(run.words, value)
    return run.words("measure.extrapolated", span=run.words.span(run.span_ns))


def _above(say: Words, value: float | None, target: float) -> str:
    return _met(say, None if value is None else value > target)


def _below(say: Words, value: float | None, target: float) -> str:
    return _met(say, None if value is None else value < target)


def _met(say: Words, met: bool | None) -> str:
    return say({True: "measure.met", False: "measure.missed", None: "measure.not_measured"}[met])


def _sharpe_in_words(run: Run) -> str:
    say, ratio, error, days = run.words, run.summary.sharpe, _sharpe_error(run), len(run.returns)
    if ratio is None:
        return say("sharpe.undefined", days=days)
    if error is None:
        return say("sharpe.no_error")
    low, high = ratio - NORMAL_95 * error, ratio + NORMAL_95 * error
    verdict = "nothing" if low <= 0.0 <= high else "short" if days < performance.DAYS_PER_YEAR else "long"
    interval = say("sharpe.interval", days=days, error=number(error), low=number(low), high=number(high))
    return f"{interval} {say(f'sharpe.{verdict}')}"


# Positions and months


def _positions(run: Run) -> list[Markup]:
    say = run.words
    if not run.fills.height:
        return [nothing(say("positions.none"))]
    layout = _layout(xaxis=_time_axis(run), yaxis=_axis("USDT") | {"tickformat": ",", "zerolinewidth": 1.5})
    layout |= {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"}}
    figure = {"data": _position_traces(run), "layout": layout}
    return [chart(figure, 380, say("positions.title")), note(say("positions.note"))]


def _position_traces(run: Run) -> list[dict[str, Any]]:
    books = run.fills.partition_by("symbol", maintain_order=True)
    return [_position_trace(run, fills, at, POINTS_SHOWN // len(books)) for at, fills in enumerate(books)]


def _position_trace(run: Run, fills: pl.DataFrame, at: int, most: int) -> dict[str, Any]:
    # Flat before the first fill; the last position holds until the end of the run.
    value = (fills["position_after"] * fills["price"]).to_numpy()
    times = np.concatenate(([run.summary.start_ns], fills["ts_ns"].to_numpy(), [run.summary.end_ns])) // MILLISECOND_NS
    value = np.concatenate(([0.0], value, value[-1:]))
    kept = thinned(max(most, 4), value)
    colour = f"var(--c{at % SERIES_COLOURS + 1})"
    trace = _trace(escape(fills["symbol"][0]), times[kept], value[kept], colour, "%{y:,.2f} USDT")
    line = {"color": colour, "width": 1.4, "shape": "hv", "dash": "solid" if at < SERIES_COLOURS else "dot"}
    return trace | {"line": line}


def _months(run: Run) -> list[Markup]:
    say = run.words
    if not len(run.returns):
        return [nothing(say("months.none"))]
    years = performance.monthly_returns(*run.curve)
    largest = max(abs(value) for row in years.values() for value in row if value is not None) or 1.0
    names = [*say("months.names").split(), say("months.year")]
    columns = [Column(""), *(Column(name, True) for name in names)]
    rows = [_year(year, values, largest) for year, values in years.items()]
    return [table(columns, rows, name="months"), note(say("months.note"))]


def _year(year: int, values: Sequence[float | None], largest: float) -> list[Cell | str]:
    whole = performance.compound(value for value in values if value is not None)
    return [str(year), *(_month(value, largest) for value in values), Cell(percent(whole, signed=True))]


def _month(value: float | None, largest: float) -> Cell:
    if value is None:
        return Cell("")
    heat = 1 + round(4 * abs(value) / largest)
    return Cell(percent(value, signed=True), None, f"{'up' if value > 0.0 else 'down'} heat{heat}" if value else "")


# Costs and accounts


def _costs(run: Run) -> list[Markup]:
    say = run.words
    if not run.fills.height and not run.funding.height:
        return [nothing(say("costs.none"))]
    columns = (Column(say("costs.item")), Column("USDT", True), Column(say("costs.rate"), True))
    *steps, net = _cost_steps(run)
    memo = [(say("costs.slippage"), *_cost(run, -run.summary.costs.slippage))]
    rows = [*((name, *_cost(run, amount)) for name, amount in [*steps, net]), *memo]
    no_funding = [] if run.funding.height else [note(say("costs.no_funding"))]
    told = note(say("costs.note", traded=usdt(run.traded)))
    return [chart(_waterfall(run), 300, say("costs.title")), table(columns, rows), told, *no_funding, *_by_symbol(run)]


def _cost_steps(run: Run) -> list[tuple[str, float]]:
    s, say = run.summary, run.words
    amounts = {
        "gross": s.realised_pnl,
        "maker": -s.costs.fees_maker,
        "taker": -s.costs.fees_taker,
        "liquidation": -s.costs.liquidation_fees,
        "funding": s.costs.funding,
    }
    steps = [*amounts.items(), ("net", sum(amounts.values()))]
    return [(say(f"costs.{name}"), amount) for name, amount in steps]


def _cost(run: Run, amount: float) -> tuple[str, str]:
    return number(amount, 4, signed=True), number(amount / run.traded * 1e4 if run.traded else None, 2, signed=True)


def _waterfall(run: Run) -> dict[str, Any]:
    names, amounts = zip(*_cost_steps(run), strict=True)
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "measure": ["absolute", *["relative"] * (len(names) - 2), "total"],
        "y": names,
        "x": amounts,
        "text": [number(amount, 2, signed=True) for amount in amounts],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y} %{text} USDT<extra></extra>",
        "connector": {"line": {"color": "var(--rule)", "width": 1}},
        "increasing": {"marker": {"color": "var(--gain)"}},
        "decreasing": {"marker": {"color": "var(--loss)"}},
        "totals": {"marker": {"color": "var(--soft)"}},
    }
    sums = np.concatenate(([0.0], np.cumsum(amounts[:-1])))
    # Room for the amounts, which stand outside the bars on the side that they point to.
    room = 0.28 * float(np.ptp(sums)) or 1.0
    ends = [sums.min() - room * (sums.min() < 0.0), sums.max() + room * (sums.max() > 0.0)]
    xaxis = _axis("USDT") | {"tickformat": ",", "range": ends}
    yaxis = _axis("") | {"autorange": "reversed", "showgrid": False, "fixedrange": True}
    return {"data": [trace], "layout": _layout(xaxis=xaxis, yaxis=yaxis, hovermode="closest")}


def _by_symbol(run: Run) -> list[Markup]:
    say = run.words
    columns = [Column(say("column.symbol")), *(Column(say(f"column.{name}"), True) for name in SYMBOL_COLUMNS)]
    lines = _symbol_sums(run)
    rows = [_symbol_row(symbol, sums) for symbol, sums in lines.items()]
    total = _symbol_row(say("costs.total"), [sum(column) for column in zip(*lines.values(), strict=True)])
    return [h("h3", say("costs.by_symbol")), table(columns, rows, total), note(say("costs.symbol_note"))]


SYMBOL_COLUMNS = ("fills", "traded", "gross", "fees", "funding", "net")


def _symbol_sums(run: Run) -> dict[str, list[float]]:
    # Per symbol: fills, traded notional, gross, fees, funding.
    traded = run.fills.group_by("symbol").agg(
        pl.len().cast(pl.Float64),
        pl.col("notional_usdt").sum(),
        pl.col("realised_usdt").sum(),
        pl.col("fee_usdt").sum(),
    )
    funding = run.funding.group_by("symbol").agg(pl.col("amount_usdt").sum())
    sums = traded.join(funding, on="symbol", how="full", coalesce=True).fill_null(0.0).sort("symbol")
    return {symbol: values for symbol, *values in sums.iter_rows()}


def _symbol_row(name: str, sums: Sequence[float]) -> list[Cell | str]:
    fills, traded, gross, fees, funding = sums
    amounts = (signed(gross), paid(fees), signed(funding), signed(gross - fees + funding))
    return [name, number(fills, 0), number(traded, 2), *amounts]


def _accounts(run: Run) -> list[Markup]:
    s, say = run.summary, run.words
    terms = (
        ("", "initial", s.initial_equity),
        ("+", "realised", s.realised_pnl),
        ("+", "unrealised", s.unrealised_pnl),
        ("+", "funding", s.funding),
        ("−", "fees", s.fees),
        ("+", "transfers", s.transfers),
    )
    summed = sum((-booked(value) if sign == "−" else booked(value) for sign, _, value in terms), Decimal(0))
    final = booked(s.final_equity)
    ends = (("=", "computed", summed), ("", "final", final), ("", "difference", summed - final))
    rows = [(sign, say(f"accounts.{name}"), number(float(value), 8)) for sign, name, value in (*terms, *ends)]
    answer = "yes" if abs(summed - final) <= BOOKED else "no"
    sentence = h("p", h("strong", say(f"accounts.{answer}", difference=number(float(summed - final), 8))))
    columns = (Column(""), Column(""), Column("USDT", True))
    return [sentence, table(columns, rows, name="sum"), note(say("accounts.columns", checks=_column_checks(run)))]


def booked(value: float) -> Decimal:
    """Return an amount as the run books it, exact at 1e-8 USDT."""
    return Decimal(repr(value)).quantize(BOOKED, context=ANY_AMOUNT)


def _column_checks(run: Run) -> str:
    s, c = run.summary, run.summary.costs
    pairs = (
        ("accounts.realised", float(run.fills["realised_usdt"].sum()), s.realised_pnl),
        ("accounts.fees", float(run.fills["fee_usdt"].sum()), s.fees),
        ("accounts.split", c.fees_maker + c.fees_taker + c.liquidation_fees, s.fees),
        ("accounts.funding", float(run.funding["amount_usdt"].sum()), s.funding),
    )
    return "; ".join(_check(run.words, name, found - stated) for name, found, stated in pairs)


def _check(say: Words, name: str, difference: float) -> str:
    state = "agrees" if abs(difference) <= COLUMN_ROUNDING else "differs"
    return say(f"accounts.{state}", name=say(name), difference=number(difference, 8, signed=True))


# Trades


def _trades(run: Run) -> list[Markup]:
    say = run.words
    if not run.fills.height:
        return [nothing(say("trades.none"))]
    shown = run.trips[:TRIPS_SHOWN]
    precise = bool((run.fills["ts_ns"] % performance.DAY_NS % 1_000_000_000 != 0).any())
    columns = [Column(say(title), numeric) for title, numeric in TRIP_COLUMNS]
    rows = (_trip(say, at, trip, precise) for at, trip in enumerate(shown, 1))
    return [h("p", _trades_in_words(run)), table(columns, rows, sortable=True), note(say("trades.note"))]


TRIP_COLUMNS = (
    ("trades.number", True),
    ("column.symbol", False),
    ("trades.side", False),
    ("trades.entry", False),
    ("trades.held", True),
    ("trades.size", True),
    ("trades.entry_average", True),
    ("trades.exit_average", True),
    ("column.gross", True),
    ("column.fees", True),
    ("column.net", True),
)


def _trip(say: Words, at: int, trip: RoundTrip, precise: bool) -> list[Cell | str]:
    held_ns = None if trip.exit_ns is None else trip.exit_ns - trip.entry_ns
    return [
        Cell(str(at), at),
        trip.symbol,
        say("trades.long" if trip.is_long else "trades.short"),
        Cell(stamp(trip.entry_ns, precise), trip.entry_ns, "stamp"),
        Cell(say("trades.open") if held_ns is None else say.span(held_ns), -1 if held_ns is None else held_ns),
        Cell(quantity(trip.max_quantity), trip.max_quantity),
        Cell(price(trip.entry_average), trip.entry_average),
        Cell(price(trip.exit_average), trip.exit_average or 0.0),
        signed(trip.gross),
        paid(trip.fees),
        signed(trip.net),
    ]


def _trades_in_words(run: Run) -> str:
    say = run.words
    closed = [trip.net for trip in run.trips if trip.exit_ns is not None]
    trips, fills = number(len(run.trips), 0), number(run.fills.height, 0)
    parts = [say("trades.count", trips=trips, open=number(len(run.trips) - len(closed), 0), fills=fills)]
    if closed:
        winners = percent(sum(net > 0.0 for net in closed) / len(closed), 1)
        mean, best, worst = (usdt(value, True) for value in (sum(closed) / len(closed), max(closed), min(closed)))
        parts.append(say("trades.summary", winners=winners, mean=mean, best=best, worst=worst))
    if len(run.trips) > TRIPS_SHOWN:
        parts.append(say("trades.shown", shown=TRIPS_SHOWN))
    return " ".join(parts)


# Latency


def _latency(run: Run) -> list[Markup]:
    q, say = run.summary.latency_ns, run.words
    if not q.count or q.max is None:
        return [nothing(say("latency.none"))]
    named = ("p50", "p99", "p99.9", say("latency.worst"), say("latency.budget"), say("latency.count"))
    row = (*(latency(value) for value in (q.p50, q.p99, q.p999, q.max, BUDGET_NS)), number(q.count, 0))
    answer = "latency.within" if q.max <= BUDGET_NS else "latency.beyond"
    sentence = say(answer, count=number(q.count, 0), worst=latency(q.max), budget=latency(BUDGET_NS))
    full = any(run.summary.latency_histogram.counts)
    drawn = [chart(_latency_figure(run), 340, say("latency.title"))] if full else []
    return [h("p", sentence), table([Column(name, True) for name in named], [row]), *drawn, note(say("latency.note"))]


def _latency_figure(run: Run) -> dict[str, Any]:
    q, say = run.summary.latency_ns, run.words
    edges, counts = _full_bins(run.summary.latency_histogram)
    bars = {
        "type": "bar",
        "x": (edges[:-1] + edges[1:]) / 2.0,
        "y": counts,
        "width": np.diff(edges),
        "marker": {"color": "var(--c1)", "line": {"width": 0}},
        "customdata": [f"{latency(low)} – {latency(high)}" for low, high in pairwise(edges.tolist())],
        "hovertemplate": "%{customdata}: %{y:,}<extra></extra>",
    }
    budget = (say("latency.budget"), float(BUDGET_NS))
    named = (("p50", q.p50), ("p99", q.p99), ("p99.9", q.p999), (say("latency.worst"), q.max), budget)
    marks = [(name, value) for name, value in named if value]
    layout = _layout(
        xaxis=_axis(say("latency.axis")) | _decades(edges, BUDGET_NS),
        yaxis=_axis(say("latency.orders")) | {"type": "log", "dtick": 1, "tickformat": ","},
        shapes=[_upright(value, name == budget[0]) for name, value in marks],
        annotations=[
            _upright_name(f"{name} {latency(value)}", value, len(marks) - at) for at, (name, value) in enumerate(marks)
        ],
        hovermode="closest",
        bargap=0,
    )
    return {"data": [bars], "layout": layout | {"margin": {"l": 8, "r": 24, "t": 104, "b": 8}}}


def _full_bins(histogram: Histogram) -> tuple[Floats, Integers]:
    # From the first bin that holds something to the last; a logarithm has no place for an edge at zero.
    counts = np.array(histogram.counts)
    edges = np.array(histogram.edges_ns, dtype=np.float64)
    full = np.flatnonzero(counts)
    first, last = int(full[0]), int(full[-1]) + 1
    edges = np.maximum(edges[first : last + 1], edges[edges > 0.0].min() / 2.0)
    return edges, counts[first:last]


def _decades(edges: Floats, budget: float) -> dict[str, Any]:
    low, high = int(np.floor(np.log10(edges[0]))), int(np.ceil(np.log10(max(edges[-1], budget)) + 0.05))
    ticks = [10.0**power for power in range(low, high + 1)]
    return {"type": "log", "range": [low, high], "tickvals": ticks, "ticktext": [latency(tick) for tick in ticks]}


# Refusals and limits


def _refusals(run: Run) -> list[Markup]:
    say = run.words
    return [
        h("h3", say("refusals.orders")),
        _order_states(run) if run.orders.height else nothing(say("refusals.no_orders")),
        h("h3", say("refusals.refused")),
        _counted(run, run.summary.rejects_by_reason, "reason", "refusals.reason", "refusals.none"),
    ]


def _order_states(run: Run) -> Markup:
    say = run.words
    names = ("type", "tif", "state")
    counts = run.orders.group_by(names).len().sort("len", *names, descending=[True, False, False, False])
    columns = (*(Column(say(f"refusals.{name}")) for name in names), *_count_columns(say))
    rows = ((*row[:3], *_count_cells(row[3], run.orders.height)) for row in counts.iter_rows())
    return table(columns, rows)


def _counted(run: Run, counts: Mapping[str, int], kind: str, title: str, empty: str) -> Markup:
    say, ranked = run.words, _ranked(counts)
    if not ranked:
        return nothing(say(empty))
    total = sum(count for _, count in ranked)
    columns = (Column(say(title)), Column(say("refusals.meaning")), *_count_columns(say))
    meant = ((name, Cell(say.meaning(kind, name), None, "words"), count) for name, count in ranked)
    return table(columns, ((name, meaning, *_count_cells(count, total)) for name, meaning, count in meant))


def _count_columns(say: Words) -> tuple[Column, Column]:
    return Column(say("refusals.count"), True), Column(say("refusals.share"), True)


def _count_cells(count: int, total: int) -> tuple[str, str]:
    return number(count, 0), percent(count / total, 1)


def _limits(run: Run) -> list[Markup]:
    s, say = run.summary, run.words
    return [
        h("h3", say("limits.limiting")),
        _counted(run, s.limiting, "cap", "limits.cap", "limits.no_limiting"),
        h("h3", say("limits.alarms")),
        _counted(run, s.alarms, "alarm", "limits.alarm", "limits.no_alarms"),
        h("h3", say("limits.liquidations")),
        *_liquidations(run),
    ]


def _liquidations(run: Run) -> list[Markup]:
    say, count = run.words, run.summary.liquidations
    listed = run.fills.filter("liquidation")
    if not listed.height and not count:
        return [nothing(say("limits.no_liquidations"))]
    columns = (
        Column(say("limits.time")),
        Column(say("column.symbol")),
        Column(say("limits.side")),
        *(Column(say(f"limits.{name}"), True) for name in ("quantity", "price", "realised")),
        Column(say("column.fees"), True),
    )
    rows = [_liquidation(say, fill) for fill in listed.iter_rows(named=True)]
    missing = [note(say("limits.unlisted", count=count, listed=listed.height))] if count != listed.height else []
    return [table(columns, rows), *missing]


def _liquidation(say: Words, fill: Mapping[str, Any]) -> list[Cell | str]:
    return [
        Cell(stamp(fill["ts_ns"]), None, "stamp"),
        fill["symbol"],
        say.known("side", fill["side"]),
        quantity(fill["quantity"]),
        price(fill["price"]),
        signed(fill["realised_usdt"]),
        paid(fill["fee_usdt"]),
    ]


# Data and configuration


def _data(run: Run) -> list[Markup]:
    s, say = run.summary, run.words
    columns = (Column(say("data.path")), Column(say("data.kind")), Column(say("data.rows"), True), Column("sha256"))
    rows = [(file.path, file.kind, number(file.rows, 0), Cell(file.sha256, None, "hash")) for file in s.data]
    sources = (Column(say("column.symbol")), Column(say("data.source")))
    return [
        table(columns, rows, name="paths") if rows else nothing(say("data.none")),
        h("h3", say("data.mark")),
        table(sources, s.mark_source.items()) if s.mark_source else nothing(say("data.no_mark")),
    ]


def _configuration(run: Run) -> list[Markup]:
    s, say = run.summary, run.words
    fingerprints = (
        ("run_id", s.run_id),
        ("seed", str(s.seed)),
        ("config", s.config_sha256),
        ("journal", s.journal_sha256),
        ("orders", s.orders_sha256),
        ("state", s.state_sha256),
    )
    columns = (Column(say("configuration.key")), Column(say("configuration.value")))
    rows = [(say(f"fingerprint.{name}"), Cell(value, None, "hash")) for name, value in fingerprints]
    groups = [h("section", h("h3", name), table(columns, rows)) for name, rows in _config_groups(run).items()]
    return [
        h("div", *groups, class_="groups") if groups else nothing(say("configuration.none")),
        h("h3", say("configuration.hashes")),
        table(columns, rows),
        note(say("configuration.hash_note")),
    ]


def _config_groups(run: Run) -> dict[str, list[tuple[str, str]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, value in _leaves(run.summary.config).items():
        group, _, name = key.partition(".")
        shown = value if isinstance(value, str) else orjson.dumps(value).decode()
        place = (group, name) if name else (run.words("configuration.other"), group)
        groups.setdefault(place[0], []).append((place[1], shown))
    return groups


# Shapes of charts. Colours are names of CSS variables, which the page fills in for light, dark and paper


def _layout(**parts: Any) -> dict[str, Any]:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 12, "color": "var(--soft)"},
        "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "var(--panel)", "bordercolor": "var(--rule)", "font": {"color": "var(--ink)"}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--rule)", "activecolor": "var(--ink)"},
        "showlegend": False,
    } | parts


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zerolinecolor": "var(--rule)",
        "fixedrange": False,
    }


def _time_axis(run: Run) -> dict[str, Any]:
    # Digits only, so that the axis needs no language.
    stops = (
        (None, 1_000, "%H:%M:%S.%L"),
        (1_000, 60_000, "%H:%M:%S"),
        (60_000, 86_400_000, "%H:%M\n%m-%d"),
        (86_400_000, "M1", "%m-%d\n%Y"),
        ("M1", None, "%Y-%m"),
    )
    formats = [{"dtickrange": [low, high], "value": text} for low, high, text in stops]
    span = [run.summary.start_ns // MILLISECOND_NS, run.summary.end_ns // MILLISECOND_NS]
    shape = {"type": "date", "range": span, "tickformatstops": formats, "hoverformat": "%Y-%m-%d %H:%M:%S UTC"}
    return _axis("") | shape


def _trace(name: str, x: Integers, y: Floats, colour: str, hover: str, yaxis: str = "y") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "yaxis": yaxis,
        "line": {"color": colour, "width": 1.6},
        "hovertemplate": hover,
    }


def _level(value: float, axis: str, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": value, "y1": value, "line": line}


def _level_name(text: str, value: float, axis: str) -> dict[str, Any]:
    place = {"xref": "paper", "x": 0.005, "xanchor": "left", "yref": axis, "y": value, "yanchor": "bottom"}
    return place | {"text": text, "showarrow": False, "font": {"size": 11, "color": "var(--soft)"}}


def _upright(value: float, is_budget: bool) -> dict[str, Any]:
    colour, dash = ("var(--caution)", "dash") if is_budget else ("var(--soft)", "dot")
    line = {"color": colour, "width": 1, "dash": dash}
    return {"type": "line", "xref": "x", "x0": value, "x1": value, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _upright_name(text: str, value: float, height: int) -> dict[str, Any]:
    # On a logarithmic axis an annotation is placed by the logarithm; the lowest, the budget, has no room to its right.
    side = "right" if height == 1 else "left"
    place = {"xref": "x", "x": float(np.log10(value)), "xanchor": side, "yref": "paper", "y": 1.0}
    stem = {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": "var(--rule)"}
    words = {"text": text, "font": {"size": 11, "color": "var(--soft)"}}
    return place | stem | words | {"ax": 0, "ay": -16 * height}


SECTIONS: Mapping[str, Callable[[Run], list[Markup]]] = {
    "performance": _performance,
    "positions": _positions,
    "months": _months,
    "costs": _costs,
    "accounts": _accounts,
    "trades": _trades,
    "latency": _latency,
    "refusals": _refusals,
    "limits": _limits,
    "data": _data,
    "configuration": _configuration,
}
