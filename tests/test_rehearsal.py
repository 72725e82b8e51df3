"""What is rehearsed while nothing comes: it is decided, approved, signed and framed, and none of it happens."""

import asyncio
import errno
import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from builders import configuration, limits, spec
from test_engine import EPOCH, EQUITY, MIDDLE, SECOND, SIZING, Plan, Tape, nothing

from autotrader import config
from autotrader.research import replay
from autotrader.research.stress import STAND_ASIDE
from autotrader.run import rehearsal as module
from autotrader.run.hot import Awake
from autotrader.run.rehearsal import Rehearsal
from autotrader.run.trading import TradingHours
from core_ext.engine import Engine
from core_ext.types import Instruments, Kind

NAMES = "BTCUSDT", "ETHUSDT"
SPECS = [spec(name) for name in NAMES]


def diff(symbol, bid, lots=7):
    """A diff as the exchange says it, MIDDLE being 100000.0."""
    return (
        f'{{"stream":"x@depth","data":{{"e":"depthUpdate","E":1700000000000,"T":1700000000000,"s":"{symbol}","U":5,"u":9,'
        f'"pu":4,"b":[["{bid / 10:.1f}","0.{lots:03}"]],"a":[]}}}}'
    ).encode()


class Stage:
    """A run's engine with books of two symbols, and what is rehearsed beside it."""

    def __init__(self, folder, strategy="quoter", **changes):
        made = config.load(configuration(folder / "c.toml", strategy, NAMES, **changes))
        self.plan = replay.Plan(made, {}, SPECS, ["stream"] * 2, [], {"epoch": EPOCH})
        rules = limits(**STAND_ASIDE)
        self.engine = Engine(Instruments(SPECS), Plan(nothing), rules, SIZING, EQUITY, EPOCH, ["stream"] * 2, 12)
        self.news = dict.fromkeys(NAMES, b"")
        self.signed, self.failures = [], []
        self.rehearsal = Rehearsal(
            self.plan, self.engine, self.news.__getitem__, self.signed.extend, self.failures.append
        )

    def open(self, symbol):
        """Give the run's engine a book, and the exchange's newest diff of it."""
        self.engine.feed(Tape(symbol).opening)
        self.news[NAMES[symbol]] = diff(NAMES[symbol], MIDDLE - 1)


@pytest.fixture
def stage(tmp_path):
    one = Stage(tmp_path)
    yield one
    one.rehearsal.close()


def test_each_rehearsal_has_two_orders_approved_at_the_runs_own_touch_and_the_run_stays_as_it_was(stage):
    stage.open(0)
    before = stage.engine.digest()
    for _ in range(100):
        stage.rehearsal.once()
    assert stage.rehearsal.done == 50  # the other symbol has no book yet
    assert stage.rehearsal.orders == len(stage.signed) == 100
    assert {one.kind for one in stage.signed} == {Kind.ORDER} and all(one.approval for one in stage.signed)
    assert {one.number for one in stage.signed} == {0}
    assert stage.engine.digest() == before


def test_every_book_has_its_turn_and_a_market_that_moved_is_followed(stage):
    stage.open(0)
    stage.open(1)
    for _ in range(20):
        stage.rehearsal.once()
    assert [sum(one.symbol == symbol for one in stage.signed) for symbol in (0, 1)] == [20, 20]
    tape = Tape(0)
    stage.engine.feed(tape.change(bids=[(MIDDLE + 3, 9)], asks=[(MIDDLE + k, 0) for k in range(1, 4)]))
    stage.news["BTCUSDT"] = diff("BTCUSDT", MIDDLE + 3)
    for _ in range(4):
        stage.rehearsal.once()
    assert stage.rehearsal._engine.books[0].best() == stage.engine.books[0].best() == (MIDDLE + 3, MIDDLE + 4)
    assert stage.rehearsal._engine.books[0].is_usable


@pytest.mark.parametrize("news", [b"", b"{}", b'{"e":"depthUpdate","s":"BTCUSDT"}'])
def test_without_a_book_or_a_diff_nothing_is_rehearsed(stage, news):
    stage.rehearsal.once()
    stage.open(0)
    stage.news["BTCUSDT"] = news
    for _ in range(4):
        stage.rehearsal.once()
    assert (stage.rehearsal.done, stage.signed) == (0, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"max_order_notional_usdt": 200},
        {"repeated_entries": 3},
        {"strategy": "trend"},
        {"strategy": "trend", "headroom": '"on"'},
        {"protective_stop": 0.05},
        {"orders_per_second": 1, "orders_per_minute": 10},
    ],
)
def test_whatever_the_run_is_limited_to_the_rehearsal_has_its_orders(tmp_path, changes):
    stage = Stage(tmp_path, **changes)
    stage.open(0)
    for _ in range(200):
        stage.rehearsal.once()
    assert (stage.rehearsal.done, stage.rehearsal.orders) == (100, 200)
    stage.rehearsal.close()


def test_it_begins_anew_before_its_orders_are_too_many_and_its_journal_stays_small(stage, monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    monkeypatch.setattr(module, "LOOKED", 10)
    stage.open(0)
    cores, sizes = set(), []
    for _ in range(400):
        stage.rehearsal.once()
        cores.add(id(stage.rehearsal._engine))
        sizes.append(os.fstat(stage.rehearsal._file).st_size)
    assert stage.rehearsal.done == 200 and stage.rehearsal.orders == 400  # none is missing where it began anew
    assert len(cores) > 1 and 0 < max(sizes) < 20_000
    assert os.fstat(stage.rehearsal._file).st_nlink == 0
    stage.rehearsal.close()
    assert stage.rehearsal._file == -1


def test_it_waits_between_two_and_after_whatever_has_come(stage, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stage.open(0)
    stage.open(1)
    counts = []
    for step in (0.0, 0.0004, 0.0004, 0.0001, 0.0006):
        now[0] += step
        stage.rehearsal.turn()
        counts.append(stage.rehearsal.done)
    assert counts == [0, 0, 1, 1, 2]
    stage.engine.feed(Tape(1).mark(MIDDLE, 10 * SECOND))
    for step in (0.0006, 0.0004, 0.0002):
        now[0] += step
        stage.rehearsal.turn()
        counts.append(stage.rehearsal.done)
    assert counts[-3:] == [2, 2, 3]


def test_one_that_raises_is_the_last_and_is_told(stage, monkeypatch):
    stage.open(0)
    stage.rehearsal._heard = stage.engine.events
    error, calls = OSError(errno.ENOSPC, "full"), []

    def fail():
        calls.append(1)
        raise error

    monkeypatch.setattr(stage.rehearsal, "once", fail)
    stage.rehearsal.turn()
    stage.rehearsal.turn()
    assert (calls, stage.failures) == ([1], [error])


def test_a_diff_that_takes_long_is_not_rehearsed(stage):
    stage.open(0)
    for size, done in ((module.LONGEST + 1, 0), (module.LONGEST, 2)):
        news = diff("BTCUSDT", MIDDLE - 1)
        levels = b',["1.0","0.000"]' * ((size - len(news)) // 16)
        stage.news["BTCUSDT"] = news.replace(b'"]],"a"', b'"]' + levels + b'],"a"').ljust(size)
        for _ in range(4):
            stage.rehearsal.once()
        assert stage.rehearsal.done == done


def test_a_hot_run_rehearses_the_way_to_its_own_orders():
    hours = TradingHours.__new__(TradingHours)
    sent, signed, told = [], [], []
    hours.awake = Awake(asyncio.new_event_loop())
    hours.stack = ExitStack()
    hours.orders = SimpleNamespace(rehearse=signed.append, send=lambda requests, *_: sent.append(requests))
    broken = SimpleNamespace(specs=SPECS, instruments=[].pop)
    hours.run = SimpleNamespace(plan=broken, tell=lambda *one: told.append(one))
    hours.engine = Engine(Instruments(SPECS), Plan(nothing), limits(), SIZING, EQUITY, EPOCH, ["stream"] * 2, 12)
    hours.feed = SimpleNamespace(newest=lambda _: b"")
    hours.driver, hours.looked_s = SimpleNamespace(now=1, failure=None), 0.0
    hours.events = SimpleNamespace(note=lambda rows: sent.append(len(rows)))
    hours._rehearse()
    turn = hours.awake.turn
    hours._sign([1, 2])
    assert (sent, signed) == ([[], 0], [[1, 2]])
    turn()  # its plan is none
    assert [alert for alert, _ in told] == ["REHEARSAL_FAILED"]
    hours.stack.close()
    assert hours.awake.turn != turn


def test_a_book_without_a_side_is_not_rehearsed(stage):
    stage.open(0)
    change = Tape(0).change(asks=[(MIDDLE + k, 0) for k in range(1, 6)])
    stage.engine.feed(change)
    assert stage.engine.books[0].best() == (MIDDLE - 1, None)
    for _ in range(4):
        stage.rehearsal.once()
    assert stage.rehearsal.done == 0


def test_its_core_is_none_of_the_runs(stage):
    stage.rehearsal.once()
    rehearsed = stage.rehearsal._engine
    assert rehearsed is not stage.engine and rehearsed.instruments is not stage.engine.instruments
    assert rehearsed.orders is not stage.engine.orders and rehearsed.gate is not stage.engine.gate
