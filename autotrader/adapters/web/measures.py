"""The measures of a run beside their targets, and what its Sharpe ratio can and cannot show.

Knows the targets, the latency budget, and when a measure is undefined or extrapolated. Refuses to know where on the
page they stand; what the folder does not state comes from `autotrader.models.performance`.
"""

from autotrader.adapters.web.markup import Cell, Column, Markup, Row, h, table
from autotrader.adapters.web.reading import Run
from autotrader.adapters.web.words import NONE, Words, basis_points, latency, number, percent
from autotrader.models import performance

YEAR_NS = 365 * performance.DAY_NS
BUDGET_NS = 100_000_000
TARGET_SHARPE = 1.5
TARGET_FILL_RATE = 0.95
TARGET_SLIPPAGE_BPS = 5.0
TARGET_POST_ONLY = 0.70
NORMAL_95 = 1.96


def measures(run: Run) -> list[Markup]:
    """Return the table of the measures and what the Sharpe ratio says in words."""
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
        ("sharpe", sharpe(run), f"≥ {number(TARGET_SHARPE, 1)}", _defined(say, s.sharpe) or say("measure.estimate")),
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


def sharpe_error(run: Run) -> float | None:
    """Return the standard error of the annual Sharpe ratio, ``None`` where the ratio or its error is not defined."""
    return None if run.summary.sharpe is None else performance.mertens_standard_error(run.returns)


def sharpe(run: Run) -> str:
    """Return the annual Sharpe ratio as it is read, with its standard error where there is one."""
    error = sharpe_error(run)
    return number(run.summary.sharpe) if error is None else f"{number(run.summary.sharpe)} ± {number(error)}"


def _sharpe_in_words(run: Run) -> str:
    say, ratio, error, days = run.words, run.summary.sharpe, sharpe_error(run), len(run.returns)
    if ratio is None:
        return say("sharpe.undefined", days=days)
    if error is None:
        return say("sharpe.no_error")
    low, high = ratio - NORMAL_95 * error, ratio + NORMAL_95 * error
    verdict = "nothing" if low <= 0.0 <= high else "short" if days < performance.DAYS_PER_YEAR else "long"
    interval = say("sharpe.interval", days=days, error=number(error), low=number(low), high=number(high))
    return f"{interval} {say(f'sharpe.{verdict}')}"
