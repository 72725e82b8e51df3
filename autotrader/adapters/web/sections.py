"""The sections of the report, in the order of a reader's questions.

Knows what each section tells of a run, and what it says where there is nothing to tell. Refuses to know how the folder
is read, how a chart is shaped and what stands around the sections.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

import orjson
import polars as pl

from autotrader.adapters.web.charts import (
    POINTS_SHOWN,
    equity_figure,
    latency_figure,
    position_figure,
    thinned,
    waterfall,
)
from autotrader.adapters.web.markup import Cell, Column, Markup, chart, h, note, nothing, paid, signed, table
from autotrader.adapters.web.measures import BUDGET_NS, measures
from autotrader.adapters.web.reading import Checks, Run, leaves, ranked
from autotrader.adapters.web.words import NONE, Words, latency, number, percent, price, quantity, stamp, usdt
from autotrader.models import performance
from autotrader.models.performance import RoundTrip

TRIPS_SHOWN = 500
# Exact to 1e-8, as the run books it; a sum over a column of doubles agrees to less.
BOOKED = Decimal("1e-8")
ANY_AMOUNT = Context(prec=400)
COLUMN_ROUNDING = 1e-6


def _performance(run: Run) -> list[Markup]:
    say = run.words
    if not run.equity.height:
        return [nothing(say("performance.no_equity")), *measures(run)]
    kept = thinned(POINTS_SHOWN, run.equity["equity_usdt"].to_numpy(), run.equity["drawdown"].to_numpy())
    drawn = chart(equity_figure(run, kept), 480, say("performance.title"))
    counts = {"shown": number(len(kept), 0), "rows": number(run.equity.height, 0)}
    thin = [note(say("performance.thinned", **counts))] if len(kept) < run.equity.height else []
    return [drawn, note(say("performance.note")), *thin, *measures(run)]


def _positions(run: Run) -> list[Markup]:
    say = run.words
    if not run.fills.height:
        return [nothing(say("positions.none"))]
    return [chart(position_figure(run), 380, say("positions.title")), note(say("positions.note"))]


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


def _costs(run: Run) -> list[Markup]:
    say = run.words
    if not run.fills.height and not run.funding.height:
        return [nothing(say("costs.none"))]
    columns = (Column(say("costs.item")), Column("USDT", True), Column(say("costs.rate"), True))
    steps = _cost_steps(run)
    memo = [(say("costs.slippage"), *_cost(run, -run.summary.costs.slippage))]
    rows = [*((name, *_cost(run, amount)) for name, amount in steps), *memo]
    no_funding = [] if run.funding.height else [note(say("costs.no_funding"))]
    told = note(say("costs.note", traded=usdt(run.traded)))
    return [chart(waterfall(steps), 300, say("costs.title")), table(columns, rows), told, *no_funding, *_by_symbol(run)]


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


def _latency(run: Run) -> list[Markup]:
    q, say = run.summary.latency_ns, run.words
    if not q.count or q.max is None:
        return [nothing(say("latency.none"))]
    named = ("p50", "p99", "p99.9", say("latency.worst"), say("latency.budget"), say("latency.count"))
    row = (*(latency(value) for value in (q.p50, q.p99, q.p999, q.max, BUDGET_NS)), number(q.count, 0))
    answer = "latency.within" if q.max <= BUDGET_NS else "latency.beyond"
    sentence = say(answer, count=number(q.count, 0), worst=latency(q.max), budget=latency(BUDGET_NS))
    full = any(run.summary.latency_histogram.counts)
    drawn = [chart(latency_figure(run, BUDGET_NS), 340, say("latency.title"))] if full else []
    return [h("p", sentence), table([Column(name, True) for name in named], [row]), *drawn, note(say("latency.note"))]


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
    say, rows = run.words, ranked(counts)
    if not rows:
        return nothing(say(empty))
    total = sum(count for _, count in rows)
    columns = (Column(say(title)), Column(say("refusals.meaning")), *_count_columns(say))
    meant = ((name, Cell(say.meaning(kind, name), None, "words"), count) for name, count in rows)
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


def _quality(run: Run) -> list[Markup]:
    say = run.words
    return [
        h("h3", say("quality.verdicts")),
        *(_verdicts(run) if run.summary.quality else [nothing(say("quality.none"))]),
        h("h3", say("quality.history")),
        *(_history(run) if run.summary.history else [nothing(say("quality.no_history"))]),
    ]


def _verdicts(run: Run) -> list[Markup]:
    say, counts = run.words, run.summary.quality
    judged, discarded = (sum(own.get(name, 0) for own in counts.values()) for name in ("judged", "discarded"))
    told = say("quality.judged", judged=number(judged, 0), discarded=number(discarded, 0))
    columns = (Column(say("quality.verdict")), Column(say("refusals.meaning")), Column(say("quality.policy")))
    rows = [
        (
            verdict,
            Cell(say.meaning("datum", verdict), None, "words"),
            say.known("policy", run.policies.get(verdict, NONE)),
            *_count_cells(sum(own.get(verdict, 0) for own in counts.values()), judged or 1),
        )
        for verdict in dict.fromkeys(name for own in counts.values() for name in own if name.isupper())
    ]
    by_symbol = (Column(say("column.symbol")), *(Column(say(f"quality.{name}"), True) for name in ("data", "dropped")))
    return [
        h("p", told),
        table((*columns, *_count_columns(say)), rows, name="quality"),
        table((*by_symbol, Column(say("quality.found"))), (_suspect(name, own) for name, own in counts.items())),
        note(say("quality.note")),
    ]


def _suspect(symbol: str, counts: Mapping[str, int]) -> list[Cell | str]:
    found = ranked({name: count for name, count in counts.items() if name.isupper()})
    listed = ", ".join(f"{name} {number(count, 0)}" for name, count in found) or NONE
    return [symbol, number(counts.get("judged", 0), 0), number(counts.get("discarded", 0), 0), listed]


HISTORY_COLUMNS = ("bars", "missing", "gap", "jumps", "largest", "at", "empty")


def _history(run: Run) -> list[Markup]:
    say = run.words
    columns = (Column(say("column.symbol")), *(Column(say(f"quality.{name}"), True) for name in HISTORY_COLUMNS))
    rows = [_checks(say, symbol, checks) for symbol, checks in run.summary.history.items()]
    return [table(columns, rows, name="history"), note(say("quality.history_note"))]


def _checks(say: Words, symbol: str, checks: Checks) -> list[Cell | str]:
    return [
        symbol,
        number(checks.bars, 0),
        number(checks.missing, 0),
        say.span(checks.longest_gap_ns) if checks.longest_gap_ns else NONE,
        number(checks.jumps, 0),
        percent(checks.largest_jump, signed=True),
        Cell(stamp(checks.largest_jump_ns) if checks.largest_jump_ns else NONE, None, "stamp"),
        number(checks.empty, 0),
    ]


def _data(run: Run) -> list[Markup]:
    s, say = run.summary, run.words
    columns = (Column(say("data.path")), Column(say("data.kind")), Column(say("data.rows"), True), Column("sha256"))
    rows = [
        (file.path, say.known("data.kind", file.kind), number(file.rows, 0), Cell(file.sha256, None, "hash"))
        for file in s.data
    ]
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
    for key, value in leaves(run.summary.config).items():
        group, _, name = key.partition(".")
        shown = value if isinstance(value, str) else orjson.dumps(value).decode()
        place = (group, name) if name else (run.words("configuration.other"), group)
        groups.setdefault(place[0], []).append((place[1], shown))
    return groups


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
    "quality": _quality,
    "data": _data,
    "configuration": _configuration,
}
