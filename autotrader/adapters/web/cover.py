"""What a report says before and after its sections: the verdict, the key figures, the caveats and the disclaimers.

Knows what a reader must not miss, and that caveats come before the first chart. Refuses to know the sections: it is
given their names for the links.
"""

from collections.abc import Iterable

from autotrader.adapters.web.markup import Markup, h, note, toned
from autotrader.adapters.web.measures import BUDGET_NS, TARGET_SLIPPAGE_BPS, sharpe, sharpe_error
from autotrader.adapters.web.reading import Run, ranked
from autotrader.adapters.web.words import basis_points, latency, number, percent, stamp, usdt

ACCOUNT_LIMITS = frozenset(
    {"DRAWDOWN_HALF", "DRAWDOWN_REDUCE_ONLY", "DRAWDOWN_KILL", "DAILY_LOSS", "LIQUIDATED", "LIQUIDATION_NEAR"}
)
SIMULATED = frozenset({"backtest", "paper"})


def header(run: Run, sections: Iterable[str]) -> Markup:
    """Return the head of the page: run, verdict, limits, key figures, and links to the named sections."""
    s, say = run.summary, run.words
    title = h("h1", s.strategy, " ", h("span", say.known("mode", s.mode.lower()), class_="badge"))
    period = say("head.period", start=stamp(s.start_ns), end=stamp(s.end_ns), span=say.span(run.span_ns))
    about = h("p", f"{', '.join(s.symbols)} · {period} · {say('head.run', run=s.run_id)}", class_="meta")
    limits = h("p", f"{_limits_fired(run)} {_refused(run)}")
    links = h("nav", *(h("a", say(f"{name}.title"), href=f"#{name}") for name in sections))
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
    return h("p", h("strong", toned(made, run.result)), f" {costs} {eaten}", class_="verdict")


def _limits_fired(run: Run) -> str:
    s, say = run.summary, run.words
    fired = [f"{say.known('alarm', name)} ({count})" for name, count in ranked(s.alarms) if name in ACCOUNT_LIMITS]
    if s.liquidations:
        fired.insert(0, say("verdict.liquidations", count=s.liquidations))
    return say("verdict.limits", limits="; ".join(fired)) if fired else say("verdict.no_limits")


def _refused(run: Run) -> str:
    refused = ranked(run.summary.rejects_by_reason)
    if not refused:
        return run.words("verdict.no_refusals")
    name, count = refused[0]
    total = number(sum(count for _, count in refused), 0)
    return run.words("verdict.refusals", total=total, reason=run.words.known("reason", name), count=number(count, 0))


def _key_figures(run: Run) -> Markup:
    s, say = run.summary, run.words
    share = percent(run.result / s.initial_equity, signed=True)
    fees = say("key.of_traded", rate=basis_points(s.fees / run.traded * 1e4)) if run.traded else ""
    limit = say("key.no_limit") if run.drawdown_limit is None else say("key.limit", limit=percent(run.drawdown_limit))
    slippage = say("key.target", target=f"< {basis_points(TARGET_SLIPPAGE_BPS, 0)}")
    closed = number(sum(trip.exit_ns is not None for trip in run.trips), 0)
    days = "key.days" if sharpe_error(run) is not None else "key.days_only"
    figures = (
        ("result", toned(usdt(run.result, True), run.result), say("key.of", share=share, base=usdt(s.initial_equity))),
        ("drawdown", percent(s.max_drawdown), limit),
        ("sharpe", sharpe(run), say(days, days=len(run.returns))),
        ("fees", usdt(s.fees), fees),
        ("funding", toned(usdt(s.funding, True), s.funding), say("key.payments", count=number(run.funding.height, 0))),
        ("fills", number(s.fills, 0), say("key.trips", trips=closed, orders=number(s.orders, 0))),
        ("slippage", basis_points(s.slippage_bps), slippage),
        ("latency", latency(s.latency_ns.p99), say("key.budget", budget=latency(BUDGET_NS))),
    )
    tiles = (h("div", h("dt", say(f"key.{name}")), h("dd", value), h("dd", base)) for name, value, base in figures)
    return h("dl", *tiles, class_="figures")


def caveats(run: Run) -> Markup:
    """Return what limits the worth of every number below: notes, warnings, transfers, and defaults that stood in."""
    s, say = run.summary, run.words
    moved = [say("caveat.transfers", amount=usdt(s.transfers, True))] if s.transfers else []
    said = [*s.notes, *s.warnings, *moved]
    if s.language not in ("", say.language) and (said or s.defaults_used):
        said.insert(0, say("caveat.language"))
    body = h("ul", *(h("li", line) for line in said)) if said else note(say("caveat.none"))
    return h("aside", h("h2", say("caveat.title")), body, *_defaults(run), class_="caveats")


def _defaults(run: Run) -> list[Markup]:
    used = run.summary.defaults_used
    head = h("summary", run.words("caveat.defaults", count=len(used)))
    return [h("details", head, h("ul", *(h("li", line) for line in used)), open="")] if used else []


def disclaimers(run: Run) -> Markup:
    """Return the foot of the page: that results are simulated if they are, that the past binds nothing, no advice."""
    kinds = ["simulated"] if run.summary.mode.lower() in SIMULATED else []
    return h("footer", *(h("p", run.words(f"disclaimer.{kind}")) for kind in [*kinds, "past", "advice"]))
