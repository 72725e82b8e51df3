"""The figures of the report as plotly reads them: dictionaries of traces and a layout.

Knows how a run is drawn and how many points a chart may hold; a colour is the name of a CSS variable, which the page
fills in for light, dark and paper. Refuses to know HTML, the order of the page and what a reader should conclude.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from autotrader.adapters.web.reading import Histogram, Run
from autotrader.adapters.web.words import latency, number
from autotrader.models.performance import Floats, Integers

MILLISECOND_NS = 1_000_000
# What happens at which share of the drawdown limit.
LADDER = ((0.5, "half"), (0.75, "reduce"), (1.0, "flatten"))
POINTS_SHOWN = 5_000
SERIES_COLOURS = 6


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


def equity_figure(run: Run, kept: Integers) -> dict[str, Any]:
    """Return equity (USDT) above drawdown (percent) over the rows to draw, with the ladder of the drawdown limit."""
    say = run.words
    times = run.equity["ts_ns"].to_numpy()[kept] // MILLISECOND_NS
    equity = run.equity["equity_usdt"].to_numpy()[kept]
    drawdown = -100.0 * run.equity["drawdown"].to_numpy()[kept]
    lines = [
        line_trace(say("performance.equity"), times, equity, "var(--ink)", "%{y:,.2f} USDT"),
        line_trace(say("performance.drawdown"), times, drawdown, "var(--loss)", "%{y:.2f} %", yaxis="y2")
        | {"fill": "tozeroy", "fillcolor": "var(--fill)"},
    ]
    ladder, start = _ladder(run), run.summary.initial_equity
    named = level_name(say("performance.start"), start, "y")
    layout = base_layout(
        xaxis=time_axis(run.summary.start_ns, run.summary.end_ns) | {"anchor": "y2"},
        yaxis=base_axis("USDT") | {"domain": [0.40, 1.0], "tickformat": ","},
        yaxis2=base_axis("%") | {"domain": [0.0, 0.33], "range": [_floor(ladder, float(drawdown.min())), 0.0]},
        shapes=[
            level_line(start, "y", "var(--soft)"),
            *(level_line(depth, "y2", "var(--caution)") for depth, _ in ladder),
        ],
        annotations=[named, *(level_name(f"{number(depth)} % {step}", depth, "y2") for depth, step in ladder)],
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


def position_figure(run: Run) -> dict[str, Any]:
    """Return the value of each position in USDT, short negative; there must be a fill."""
    layout = base_layout(
        xaxis=time_axis(run.summary.start_ns, run.summary.end_ns),
        yaxis=base_axis("USDT") | {"tickformat": ",", "zerolinewidth": 1.5},
    )
    layout |= {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"}}
    return {"data": _position_traces(run), "layout": layout}


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
    trace = line_trace(escape(fills["symbol"][0]), times[kept], value[kept], colour, "%{y:,.2f} USDT")
    line = {"color": colour, "width": 1.4, "shape": "hv", "dash": "solid" if at < SERIES_COLOURS else "dot"}
    return trace | {"line": line}


def waterfall(steps: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the way from the first of the named amounts (USDT), step by step, to the last, which is their sum."""
    names, amounts = zip(*steps, strict=True)
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
    xaxis = base_axis("USDT") | {"tickformat": ",", "range": ends}
    yaxis = base_axis("") | {"autorange": "reversed", "showgrid": False, "fixedrange": True}
    return {"data": [trace], "layout": base_layout(xaxis=xaxis, yaxis=yaxis, hovermode="closest")}


def latency_figure(run: Run, budget_ns: int) -> dict[str, Any]:
    """Return how many orders took how long, on logarithmic axes, beside a budget in ns; there must be a full bin."""
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
    budget = (say("latency.budget"), float(budget_ns))
    named = (("p50", q.p50), ("p99", q.p99), ("p99.9", q.p999), (say("latency.worst"), q.max), budget)
    marks = [(name, value) for name, value in named if value]
    layout = base_layout(
        xaxis=base_axis(say("latency.axis")) | _decades(edges, budget_ns),
        yaxis=base_axis(say("latency.orders")) | {"type": "log", "dtick": 1, "tickformat": ","},
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


def base_layout(**parts: Any) -> dict[str, Any]:
    """Return the layout of every chart, with parts of its own."""
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


def base_axis(title: str) -> dict[str, Any]:
    """Return an axis with a title."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "gridcolor": "var(--grid)",
        "linecolor": "var(--rule)",
        "zerolinecolor": "var(--rule)",
        "fixedrange": False,
    }


def time_axis(start_ns: int, end_ns: int) -> dict[str, Any]:
    """Return an axis of UTC times from one stamp to another."""
    # Digits only, so that the axis needs no language.
    stops = (
        (None, 1_000, "%H:%M:%S.%L"),
        (1_000, 60_000, "%H:%M:%S"),
        (60_000, 86_400_000, "%H:%M\n%m-%d"),
        (86_400_000, "M1", "%m-%d\n%Y"),
        ("M1", None, "%Y-%m"),
    )
    formats = [{"dtickrange": [low, high], "value": text} for low, high, text in stops]
    span = [start_ns // MILLISECOND_NS, end_ns // MILLISECOND_NS]
    shape = {"type": "date", "range": span, "tickformatstops": formats, "hoverformat": "%Y-%m-%d %H:%M:%S UTC"}
    return base_axis("") | shape


def line_trace(name: str, x: Integers, y: Floats, colour: str, hover: str, yaxis: str = "y") -> dict[str, Any]:
    """Return a line through values over times in ms."""
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


def level_line(value: float, axis: str, colour: str) -> dict[str, Any]:
    """Return a dashed line at a value, across the whole chart."""
    line = {"color": colour, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": value, "y1": value, "line": line}


def level_name(text: str, value: float, axis: str) -> dict[str, Any]:
    """Return the words above such a line."""
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
