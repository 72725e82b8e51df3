"""The latency report: p50, p99, p99.9 and max of the order path and its steps, against their budgets.

The budgets are those of a live system (100 ms to an order, 10 ms for a risk check); a millionth of them is used.
"""

import pytest

from benchmarks import order_path, parts
from benchmarks.pairs import spread

ORDER_BUDGET_NS, RISK_BUDGET_NS = 100_000_000, 10_000_000


def reported(benchmark, taken_ns, budget_ns):
    """Put a distribution into pytest-benchmark's report; return it."""
    found = spread(taken_ns)
    benchmark.extra_info.update({f"{name}_ns": value for name, value in found.items()}, budget_ns=budget_ns)
    return found


def test_the_order_path_keeps_its_budget(benchmark, stream):
    path = order_path.core_path(stream)
    decided, signed = (parts.zeros(len(stream.messages)) for _ in range(2))
    args = (stream.messages, stream.stamps, decided, signed)
    asked = benchmark.pedantic(path.run, args=args, rounds=1, iterations=1)
    found = reported(benchmark, signed[[bool(orders) for orders in asked]], ORDER_BUDGET_NS)
    assert 0 < found["p50"] <= found["p99.9"] < ORDER_BUDGET_NS


def test_a_risk_check_keeps_its_budget(benchmark, stream):
    found = reported(benchmark, benchmark.pedantic(parts.risk_check, (stream,), rounds=1), RISK_BUDGET_NS)
    assert 0 < found["p50"] <= found["p99.9"] < RISK_BUDGET_NS


def test_a_sizing_keeps_the_order_paths_budget(benchmark, stream):
    found = reported(benchmark, benchmark.pedantic(parts.position_size, (stream,), rounds=1), ORDER_BUDGET_NS)
    assert 0 < found["p50"] <= found["p99.9"] < ORDER_BUDGET_NS


@pytest.mark.parametrize("signer", ["ours", "theirs"])
def test_a_signature_keeps_the_order_paths_budget(benchmark, signer):
    contest = parts.signature()
    work = getattr(contest, signer)()
    benchmark.pedantic(work, rounds=parts.CALLS, iterations=1, warmup_rounds=1)
    assert 0 < benchmark.stats["max"] * 1e9 / contest.units < ORDER_BUDGET_NS
