"""The report of a stress run: one HTML page about a leveraged long that was held through a crash.

Knows which questions the page answers, in this order: what became of it, how near liquidation was, what the mark
did while the last price fell, what funding took. Refuses to know how the run was made: every number is given.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from autotrader.adapters.web.charts import (
    MILLISECOND_NS,
    base_axis,
    base_layout,
    level_line,
    level_name,
    line_trace,
    time_axis,
)
from autotrader.adapters.web.markup import Cell, Column, Markup, chart, h, joined, note, nothing, signed, table
from autotrader.adapters.web.report import document, write
from autotrader.adapters.web.words import NONE, Words, number, percent, price, quantity, stamp, usdt
from autotrader.research.stress import Stress
from core_ext.types import Cause

E8 = 1e8
COLOURS = 6
# A margin ratio beyond this is drawn here: the position is gone at one.
HIGHEST_RATIO = 1.2
Figure = dict[str, Any]


def render(path: Path, summary: Mapping[str, Any], runs: Sequence[Stress], language: str) -> Path:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file, which is whole or not there.
    summary : mapping
        What ``stress.json`` holds.
    runs : sequence of Stress
        One for each leverage, all over the same bars.
    language : {"en", "ko"}

    Raises
    ------
    OperatorError
        If the language is unknown or the file cannot be written.
    """
    words = Words(language)
    return write(path, page(summary, runs, words), words)


def page(summary: Mapping[str, Any], runs: Sequence[Stress], say: Words) -> str:
    """Return the whole page as HTML."""
    sections = (
        ("outcome", _outcome(summary, say)),
        ("ratio", [chart(_ratio_figure(runs, say), 360, say("stress.ratio")), note(say("stress.ratio_note"))]),
        ("equity", [chart(_equity_figure(runs, say), 420, say("stress.equity")), note(say("stress.equity_note"))]),
        ("price", [chart(_price_figure(runs, say), 480, say("stress.price")), note(_price_note(summary, say))]),
        ("events", _events(summary, runs, say)),
        ("funding", _funding(runs, say)),
        ("files", _files(summary, say)),
    )
    body = [h("section", h("h2", say(f"stress.{name}")), *parts) for name, parts in sections]
    foot = h("footer", *(h("p", say(f"disclaimer.{kind}")) for kind in ("simulated", "past", "advice")))
    return document(
        f"{say('stress.title')} {summary['symbol']}",
        joined([_header(summary, say), _caveats(summary, say), *body, foot]),
        say,
    )


def _header(summary: Mapping[str, Any], say: Words) -> Markup:
    title = h(
        "h1",
        f"{say('stress.title')} {summary['symbol']} ",
        h("span", say(f"stress.{summary['margin']}"), class_="badge"),
    )
    about = say(
        "stress.about",
        start=_time(summary["from"]),
        end=_time(summary["to"]),
        bars=number(summary["bars"], 0),
        interval=summary["interval"],
        equity=usdt(summary["equity"]),
    )
    return h("header", title, h("p", about, class_="meta"), _verdict(summary, say), h("p", _entry(summary, say)))


def _verdict(summary: Mapping[str, Any], say: Words) -> Markup:
    gone = [row for row in summary["rows"] if row["liquidated_at"]]
    lived = [f"{row['leverage']}x" for row in summary["rows"] if not row["liquidated_at"]]
    parts = [say("stress.lived", leverages=", ".join(lived))] if lived else []
    parts += (
        [say("stress.gone", leverages=", ".join(f"{row['leverage']}x ({_time(row['liquidated_at'])})" for row in gone))]
        if gone
        else []
    )
    return h("p", h("strong", " ".join(parts)), class_="verdict")


def _entry(summary: Mapping[str, Any], say: Words) -> str:
    # What is the same for every leverage.
    row = summary["rows"][0]
    entry = say("stress.entry", price=price(row["entry_price"]), time=_time(row["entry_at"]))
    if row["largest_gap"] is None:
        return entry
    return f"{entry} {say('stress.gap', gap=percent(row['largest_gap'], signed=True), time=_time(row['gap_at']))}"


def _caveats(summary: Mapping[str, Any], say: Words) -> Markup:
    said = h("ul", *(h("li", line) for line in (*summary["notes"], *summary["warnings"])))
    used = summary["defaults_used"]
    head = h("summary", say("caveat.defaults", count=len(used)))
    defaults = [h("details", head, h("ul", *(h("li", line) for line in used)))] if used else []
    return h("aside", h("h2", say("caveat.title")), said, *defaults, class_="caveats")


# ---------------------------------------------------------------------- the table

COLUMNS = ("notional", "became", "lowest", "nearest", "paid", "fees", "left")


def _outcome(summary: Mapping[str, Any], say: Words) -> list[Markup]:
    columns = [Column(say("stress.leverage"), True), *(Column(say(f"stress.{name}"), True) for name in COLUMNS)]
    return [table(columns, [_row(row, say) for row in summary["rows"]]), note(say("stress.outcome_note"))]


def _row(row: Mapping[str, Any], say: Words) -> list[Cell | str]:
    gone, nearest = row["liquidated_at"], row["nearest_distance"]
    return [
        f"{row['leverage']}x",
        number(row["notional"]),
        Cell(say("stress.liquidated", time=_time(gone)), tone="loss") if gone else say("stress.survived"),
        _when(number(row["lowest_equity"]), row["lowest_at"]),
        NONE if nearest is None else _when(percent(nearest, signed=True), row["nearest_at"]),
        signed(row["funding"]),
        number(row["fees"] + row["liquidation_fee"]),
        number(row["final_equity"]),
    ]


def _when(figure: str, time: str) -> Markup:
    # The time below its figure: beside it the table is wider than the page.
    return joined([figure, Markup("<br>"), h("small", _hour(time))])


# ---------------------------------------------------------------------- the charts


def _ratio_figure(runs: Sequence[Stress], say: Words) -> Figure:
    traces = [
        line_trace(f"{run.leverage}x", _times(run), _ratios(run), _colour(at), "%{y:.1f} %")
        for at, run in enumerate(runs)
    ]
    yaxis = base_axis("%") | {"range": [0.0, 100.0 * HIGHEST_RATIO]}
    limit = {
        "shapes": [level_line(100.0, "y", "var(--caution)")],
        "annotations": [level_name(say("stress.limit"), 100.0, "y")],
    }
    return {"data": traces, "layout": _with_legend(runs, yaxis=yaxis, **limit)}


def _ratios(run: Stress) -> Any:
    # At the mark's low of every bar that the position lived through; nothing left to divide by is as far as it goes.
    low = np.array([[point.low_maintenance_e8, point.low_balance_e8] for point in run.held], dtype=np.float64)
    ratio = np.full(len(low), HIGHEST_RATIO)
    np.divide(low[:, 0], low[:, 1], out=ratio, where=low[:, 1] > 0.0)
    return 100.0 * np.minimum(ratio, HIGHEST_RATIO)


def _equity_figure(runs: Sequence[Stress], say: Words) -> Figure:
    pairs = (_equity_traces(run, _colour(at), say) for at, run in enumerate(runs))
    return {
        "data": list(chain.from_iterable(pairs)),
        "layout": _with_legend(runs, yaxis=base_axis("USDT") | {"tickformat": ","}),
    }


def _equity_traces(run: Stress, colour: str, say: Words) -> list[Figure]:
    # Every bar twice: where its mark was lowest, as far as it was survived, and where it closed.
    times, equity, margin = [], [], []
    for point in run.points:
        if point.ts_ns != run.liquidated_ns:
            times.append(point.ts_ns)
            equity.append(point.low_balance_e8)
            margin.append(point.low_maintenance_e8)
        times.append(point.ts_ns)
        equity.append(point.balance_e8)
        margin.append(point.maintenance_e8)
    x = np.array(times) // MILLISECOND_NS
    name = f"{run.leverage}x"
    upper = line_trace(f"{name} {say('stress.balance')}", x, np.array(equity) / E8, colour, "%{y:,.2f} USDT")
    lower = line_trace(f"{name} {say('stress.maintenance')}", x, np.array(margin) / E8, colour, "%{y:,.2f} USDT")
    return [upper | {"legendgroup": name}, lower | {"legendgroup": name, "line": _dashed(colour)}]


def _price_figure(runs: Sequence[Stress], say: Words) -> Figure:
    bars = max((run for run in runs), key=lambda run: len(run.points))
    times = _times(bars, whole=True)
    drawn = [
        _price_trace(say("stress.last_low"), times, [p.last_low_e8 for p in bars.points], "var(--soft)", "dot"),
        _price_trace(say("stress.last_close"), times, [p.last_close_e8 for p in bars.points], "var(--soft)", "solid"),
    ]
    if not all(point.from_candle for point in bars.points):
        drawn += [
            _price_trace(say("stress.mark_low"), times, [p.mark_low_e8 for p in bars.points], "var(--ink)", "dot"),
            _price_trace(
                say("stress.mark_close"), times, [p.mark_close_e8 for p in bars.points], "var(--ink)", "solid"
            ),
        ]
    lines = [_liquidation_trace(run, _colour(at), say) for at, run in enumerate(runs)]
    gone = [_cross(run, _colour(at), say) for at, run in enumerate(runs) if run.closed]
    return {
        "data": [*drawn, *lines, *gone],
        "layout": _with_legend(runs, yaxis=base_axis("USDT") | {"tickformat": ","}, hovermode="x"),
    }


def _price_trace(name: str, times: Any, values_e8: Sequence[int], colour: str, dash: str) -> Figure:
    line = {"color": colour, "width": 1.4, "dash": dash}
    return line_trace(name, times, np.array(values_e8) / E8, colour, "%{y:,.6~g}") | {"line": line}


def _liquidation_trace(run: Stress, colour: str, say: Words) -> Figure:
    held = [point for point in run.held if point.liquidation_e8 > 0]
    times = np.array([point.ts_ns for point in held], dtype=np.int64) // MILLISECOND_NS
    values = np.array([point.liquidation_e8 for point in held]) / E8
    name = say("stress.liquidation", leverage=run.leverage)
    return line_trace(name, times, values, colour, "%{y:,.6~g}") | {"line": _dashed(colour)}


def _cross(run: Stress, colour: str, say: Words) -> Figure:
    marker = {"symbol": "x", "size": 11, "color": colour}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": say("stress.gone_at", leverage=run.leverage),
        "x": [closed.ts_ns // MILLISECOND_NS for closed in run.closed],
        "y": [closed.mark_e8 / E8 for closed in run.closed],
        "marker": marker,
        "hovertemplate": "%{y:,.6~g}",
    }


def _price_note(summary: Mapping[str, Any], say: Words) -> str:
    return say("stress.price_note") if summary["bars_marked"] else say("stress.price_note_candle")


def _with_legend(runs: Sequence[Stress], **parts: Any) -> Figure:
    points = max((run.points for run in runs), key=len)
    legend = {"orientation": "h", "x": 0, "y": -0.12, "yanchor": "top"}
    axis = time_axis(points[0].ts_ns, points[-1].ts_ns)
    return base_layout(xaxis=axis, **parts) | {"showlegend": True, "legend": legend}


def _times(run: Stress, whole: bool = False) -> Any:
    points = run.points if whole else run.held
    return np.array([point.ts_ns for point in points], dtype=np.int64) // MILLISECOND_NS


def _colour(at: int) -> str:
    return f"var(--c{at % COLOURS + 1})"


def _dashed(colour: str) -> Figure:
    return {"color": colour, "width": 1.2, "dash": "dash"}


# ---------------------------------------------------------------------- events, funding, files

EVENTS = ("quantity", "mark", "taken", "fee")


def _events(summary: Mapping[str, Any], runs: Sequence[Stress], say: Words) -> list[Markup]:
    columns = [
        Column(say("stress.leverage"), True),
        Column(say("stress.time")),
        *(Column(say(f"stress.{name}"), True) for name in EVENTS),
        Column(say("stress.cause")),
    ]
    rows = list(chain.from_iterable(_event_rows(row, run, say) for row, run in zip(summary["rows"], runs, strict=True)))
    return [table(columns, rows), note(say("stress.events_note"))] if rows else [nothing(say("stress.no_events"))]


def _event_rows(row: Mapping[str, Any], run: Stress, say: Words) -> list[list[Cell | str]]:
    coin = row["quantity"] / run.lots
    return [
        [
            f"{run.leverage}x",
            stamp(closed.ts_ns),
            quantity(closed.lots * coin),
            price(closed.mark_e8 / E8),
            price(closed.price_e8 / E8),
            usdt(closed.fee_e8 / E8),
            say(f"stress.cause.{Cause(closed.cause).name}"),
        ]
        for closed in run.closed
    ]


def _funding(runs: Sequence[Stress], say: Words) -> list[Markup]:
    stamps = {paid.ts_ns: paid for run in runs for paid in run.funding}
    if not stamps:
        return [nothing(say("stress.no_funding"))]
    columns = [
        Column(say("stress.time")),
        Column(say("stress.rate"), True),
        Column(say("stress.mark"), True),
        *(Column(f"{run.leverage}x", True) for run in runs),
    ]
    by_run = [{paid.ts_ns: paid.amount_e8 / E8 for paid in run.funding} for run in runs]
    rows = [
        [
            stamp(ts),
            percent(paid.rate_e8 / E8, 4, True),
            price(paid.mark_e8 / E8),
            *(_amount(own.get(ts)) for own in by_run),
        ]
        for ts, paid in sorted(stamps.items())
    ]
    total: list[Cell | str] = [say("stress.total"), "", "", *(signed(run.funding_e8 / E8) for run in runs)]
    return [table(columns, rows, total), note(say("stress.funding_note"))]


def _amount(amount: float | None) -> Cell | str:
    return NONE if amount is None else signed(amount)


def _files(summary: Mapping[str, Any], say: Words) -> list[Markup]:
    columns = [Column(say("data.path")), Column(say("data.kind")), Column(say("data.rows"), True), Column("sha256")]
    rows: list[list[Cell | str]] = [
        [
            Path(file["path"]).name,
            say.known("data.kind", file["kind"]),
            number(file["rows"], 0),
            Cell(file["sha256"], tone="hash"),
        ]
        for file in summary["files"]
    ]
    return [table(columns, rows, name="paths")]


def _time(text: str) -> str:
    # To the minute: the bars are no finer.
    return text[:16].replace("T", " ")


def _hour(text: str) -> str:
    return _time(text)[5:]
