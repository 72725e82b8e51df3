"""The latency report measures what it says, and the reference that the book is timed against is a book.

Ratios are asserted in benchmarks/ only; here is what must hold on any machine, however loaded.
"""

import gc
import math
import shutil
import sysconfig

import numpy as np
import pytest
from builders import limits, snapshot, spec

from autotrader.errors import OperatorError, StateError
from autotrader.messages import set_language
from autotrader.research import bench
from core_ext.types import Reason, Rows

COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")


@pytest.fixture(scope="module")
def sample():
    return bench.read_sample()


@pytest.fixture(scope="module")
def report():
    told = []
    return bench.run(lambda share, what: told.append((share, what))), told


def test_every_line_of_the_report_is_a_finite_time_inside_its_budget(report):
    rows = report[0]["rows"]
    assert [row["name"] for row in rows] == [bench.WORDS["en"][key] for key in bench.BUDGETS_NS]
    for row in rows:
        assert row["count"] > 300, row
        assert 0 < row["p50_ns"] <= row["p99_ns"] <= row["p999_ns"] <= row["max_ns"] < math.inf, row
        assert row["ratio"] == row["p99_ns"] / row["budget_ns"] < 1, row


def test_the_budgets_are_those_of_the_design():
    assert bench.BUDGETS_NS["wire"] == bench.BUDGETS_NS["order"] == 100_000_000
    assert bench.BUDGETS_NS["risk"] == 10_000_000
    assert bench.BUDGETS_NS["fill"] == 100_000_000


def test_the_report_says_how_many_orders_it_rests_on(report):
    measured, _ = report
    assert f"{measured['rows'][0]['count']:,} quoted orders" in measured["text"]
    assert f"{bench.REPLAYS} times" in measured["text"]


def test_progress_never_goes_back_and_ends_at_one(report):
    shares = [share for share, _ in report[1]]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0


def test_the_report_speaks_korean(report, monkeypatch):
    set_language("ko")
    monkeypatch.setattr(bench, "REPLAYS", 1)
    measured = bench.run(lambda share, what: None)
    assert measured["rows"][0]["name"] == "메시지 수신에서 주문까지"
    assert "허용치" in measured["text"] and "{" not in measured["text"]
    assert bench.WORDS["ko"].keys() == bench.WORDS["en"].keys()


def test_the_garbage_collector_is_on_again_afterwards():
    with bench.undisturbed():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_every_sampled_decision_was_an_order_that_risk_approved(sample):
    times = bench.decisions(sample)
    assert len(times["order"]) == len(times["risk"]) == len(times["size"]) > 300
    assert len(times["order"]) <= len(times["fill"]) <= 2 * len(times["order"])


def test_the_timed_risk_check_is_one_that_passes_every_control(sample, monkeypatch):
    verdicts = []
    monkeypatch.setattr(bench, "timed", lambda work, *args, **named: verdicts.append(work(*args, **named)) or 1)
    bench.decisions(sample)
    asked = [verdict for verdict in verdicts if isinstance(verdict, Reason)]
    assert len(asked) > 300 and set(asked) == {Reason.APPROVED}


def test_timed_fills_move_the_position_out_and_back(sample):
    held = [engine.desk.position(0) for engine, _ in traded(sample)]
    assert set(np.sign(held)) == {0, 1}
    assert np.count_nonzero(np.diff(np.sign(held))) > 300


def traded(sample):
    """Yield the engine of `bench.decisions` after each of its trades."""
    times = {"size": [], "risk": [], "order": [], "fill": []}
    due = 0
    for engine, now in bench.markets(sample):
        if now >= due and engine.desk.touch(0)[0] and engine.markets.market(0)["mark_e8"]:
            due = now + bench.PAUSE_NS
            bench.trade(engine, times)
            assert engine.orders.late == engine.orders.illegal == 0
            yield engine, now


def test_an_installation_without_its_sample_says_so(monkeypatch):
    monkeypatch.setattr(bench, "SAMPLE", "samples/none.gz")
    with pytest.raises(OperatorError, match=r"samples/none\.gz: cannot be read .* install autotrader again"):
        bench.run(lambda share, what: None)


def test_a_sample_that_leads_to_no_order_is_no_measurement(sample, monkeypatch):
    quiet = bench.Sample(sample.lines[: sample.lines.index(b"\n") + 1], sample.messages[:1], sample.plan)
    monkeypatch.setattr(bench, "REPLAYS", 1)
    with pytest.raises(StateError, match="led to no order"):
        bench.wire_to_order(quiet)
    with pytest.raises(StateError, match="led to no order"):
        bench.decisions(quiet)


# ---------------------------------------------------------------------------- what benchmarks/ compares


@pytest.fixture(scope="module")
def compiled(benchmarks):
    """The folder of measurements, compiled."""
    from benchmarks.build import build

    build()


@needs_compiler
@pytest.mark.slow
def test_the_plain_ladder_holds_the_same_levels_as_the_book_after_every_message(compiled):
    from benchmarks.reference import PlainLadder

    from benchmarks.recording import sample as recorded
    from core_ext.book import Book

    stream = recorded()
    start, diffs = stream.book_runs
    rows = diffs.array()
    book, ladder = Book(), PlainLadder(*stream.ticks)
    book.apply(start)
    ladder.apply(start)
    for number, run in enumerate(np.split(rows, np.flatnonzero(rows["flags"] & 1)[:-1] + 1)):
        book.apply(Rows(run))
        ladder.apply(Rows(run))
        assert book.best() == ladder.best(), number
    assert book.applied == number + 1 and book.gaps == book.crossings == 0
    assert [book.levels(side) for side in range(2)] == [ladder.levels(side) for side in range(2)]


@needs_compiler
@pytest.mark.slow
def test_the_plain_ladder_repairs_its_touch_when_a_side_empties(compiled):
    from benchmarks.reference import PlainLadder

    ladder = PlainLadder(90, 110)
    ladder.apply(Rows(snapshot(1, 1, [(99, 5), (95, 1)], [(101, 2)])))
    assert ladder.best() == (99, 101)
    ladder.apply(Rows(np.concatenate([snapshot(1, 1, [(99, 0)], [])[1:], snapshot(1, 1, [], [(101, 0)])[1:]])))
    assert ladder.best() == (95, None)
    assert ladder.levels(0) == [(95, 1)] and ladder.levels(1) == []


@needs_compiler
@pytest.mark.slow
def test_the_core_and_the_python_stack_ask_for_the_same_orders_byte_for_byte(compiled):
    from benchmarks.order_path import race, require_same
    from benchmarks.recording import sample as recorded

    found = race(recorded())
    assert found.orders.sum() > 3000
    assert found.ours.min() > 0 and found.theirs.min() > 0
    with pytest.raises(RuntimeError, match="message 7: the core asks for"):
        require_same([[b"a=1"]], [["a=2"]], 7)


@needs_compiler
@pytest.mark.slow
def test_the_prepared_signature_is_hmac_sha256(compiled):
    import hashlib
    import hmac

    from benchmarks.loops import sign_often

    from core_ext.wire import Signer

    text = b"symbol=BTCUSDT&timestamp=1"
    expected = hmac.new(b"key", text, hashlib.sha256).hexdigest()
    assert sign_often(Signer(b"key"), text, 3) == text + b"&signature=" + expected.encode()


@needs_compiler
@pytest.mark.slow
def test_a_risk_check_that_is_refused_is_not_timed_as_one_that_passed(compiled):
    from benchmarks.loops import check_orders

    from core_ext.account import Account
    from core_ext.orders import Orders
    from core_ext.risk import RiskGate
    from core_ext.signal import Markets
    from core_ext.types import Instruments

    instruments = Instruments([spec()])
    account = Account(instruments, 7700 * 10**8)
    gate = RiskGate(instruments, account, Orders(1), Markets(1), limits())
    verdict = check_orders(gate, 10**18, 600_000, 600_001, 1, 10, np.zeros(10, np.int64))
    assert verdict == Reason.R18_STALE_DATA


@needs_compiler
@pytest.mark.slow
def test_a_figure_that_is_no_number_meets_no_goal(compiled):
    from benchmarks.figures import Figure, Goal

    for relation in ("<=", ">="):
        assert not Goal(relation, 1.0).is_met_by(math.nan)
        assert Goal(relation, 1.0).is_met_by(1.0)
    assert Figure("a", "b", 2.1, "x", Goal("<=", 2.0), "").verdict == "NOT MET"
    assert Figure("a", "b", 1.9, "x", Goal("<=", 2.0), "").verdict == "met"
    assert Figure("a", "b", 1.9, "x", None, "").verdict == ""
