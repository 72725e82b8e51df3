"""The summary of a run: every figure that `summary.json` holds, from the outcome and the ledger.

Knows which figure is computed from what. Refuses to know files and pages. A ratio that is not defined is
None; money is exact to 1e-8 USDT before it becomes a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from autotrader.models import performance
from autotrader.research.replay import Outcome, Plan
from autotrader.views.ledger import Ledger

__all__ = ["summarise"]

E8 = 1e8
SHARES = (0.5, 0.99, 0.999)


def summarise(
    run_id: str,
    plan: Plan,
    outcome: Outcome,
    ledger: Ledger,
    transfers: Sequence[tuple[int, int]],
    start_ns: int,
    words: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the summary as plain values.

    Parameters
    ----------
    run_id : str
    plan : Plan
    outcome : Outcome
    ledger : Ledger
        Folded over the run's journal.
    transfers : sequence of (ns, 1e-8 USDT)
    start_ns : int
        First stamp of the data.
    words : mapping
        ``defaults_used``, ``warnings``, ``notes``, ``mark_source``, ``language``, ``config_sha256``: what is said,
        not computed.
    """
    account, judge = outcome.engine.account, outcome.engine.quality
    config = plan.config
    quality = ledger.quality.figures()
    rejections = {f"VENUE_{code}": count for code, count in quality.rejected["reject_code"].items()}
    return {
        "run_id": run_id,
        "mode": config.run.mode,
        "quality": {name: judge.counts(k) for k, name in enumerate(config.run.symbols)} if judge else {},
        "strategy": config.strategy.name,
        "symbols": list(config.run.symbols),
        "start": _iso(start_ns),
        "end": _iso(outcome.end_ns),
        "start_ns": start_ns,
        "end_ns": outcome.end_ns,
        "events": outcome.rows,
        "initial_equity": account.start_e8 / E8,
        "final_equity": account.equity() / E8,
        **_performance(outcome, transfers, start_ns),
        "fees": account.fees_e8 / E8,
        "funding": account.funding_e8 / E8,
        "realised_pnl": account.realised_e8 / E8,
        "unrealised_pnl": account.unrealised_e8 / E8,
        "transfers": account.transfers_e8 / E8,
        "orders": quality.orders,
        "fills": quality.fills + sum(ledger.risk.counts("forced").values()),
        "fill_rate": quality.fill_rate,
        "slippage_bps": quality.slippage_bps,
        "post_only_success": quality.post_only_success,
        "rejects_by_reason": dict(sorted((ledger.risk.counts("refusal") | rejections).items())),
        "limiting": ledger.risk.counts("size_cap"),
        "liquidations": outcome.engine.liquidations,
        **_latency(outcome),
        "events_per_second": outcome.rows / outcome.seconds if outcome.seconds > 0 else None,
        "journal_sha256": outcome.journal_sha256,
        "orders_sha256": outcome.orders_sha256,
        "state_sha256": outcome.state_sha256,
        "seed": config.run.seed,
        "config": plan.config_values,
        "data": plan.data,
        "costs": {
            "fees_maker": quality.fees_maker_e8 / E8,
            "fees_taker": quality.fees_taker_e8 / E8,
            "liquidation_fees": account.liquidation_fees_e8 / E8,
            "funding": account.funding_e8 / E8,
            "slippage": quality.paid_e8 / E8,
        },
        "alarms": outcome.alarms,
        **words,
    }


def _iso(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def _performance(outcome: Outcome, transfers: Sequence[tuple[int, int]], start_ns: int) -> dict[str, Any]:
    start = outcome.engine.account.start_e8 / E8
    ts, equity = outcome.curve["ts"], outcome.curve["a"] / E8
    moved = None
    if transfers:
        stamps, amounts = zip(*transfers, strict=True)
        moved = performance.Transfers(np.array(stamps, np.int64), np.array(amounts) / E8)
    # Two calendar days of a few seconds each are no two daily returns.
    whole = outcome.end_ns - start_ns >= 2 * performance.DAY_NS
    returns = performance.daily_returns(ts, equity, start, moved) if whole else np.empty(0)
    growth = performance.total_return(performance.without_transfers(ts, equity, start, moved), start)
    annual = performance.cagr(growth, outcome.end_ns - start_ns)
    deepest = outcome.engine.gate.max_drawdown_e8 / E8
    turnover = outcome.engine.account.turnover_e8 / E8
    return {
        "total_return": growth,
        "cagr": annual,
        "sharpe": performance.sharpe(returns),
        "sortino": performance.sortino(returns),
        "calmar": performance.calmar(annual, deepest),
        "max_drawdown": deepest,
        "turnover": turnover / float(np.mean(equity)) if len(equity) and np.mean(equity) > 0 else None,
    }


def _latency(outcome: Outcome) -> dict[str, Any]:
    edges, counts = outcome.latency
    # A quantile is the upper edge of its bin; the maximum is exact.
    found = performance.histogram_quantiles(edges, counts, SHARES)
    p50, p99, p999 = (None if value is None else min(value, outcome.latency_max) for value in found)
    total = sum(counts)
    return {
        "latency_ns": {
            "p50": p50,
            "p99": p99,
            "p99.9": p999,
            "max": outcome.latency_max if total else None,
            "count": total,
        },
        "latency_histogram": {"edges_ns": edges, "counts": counts},
    }
