"""What is rehearsed while nothing comes: it is decided, approved, signed and framed, and none of it happens."""

import errno

import pytest
from builders import configuration, limits, spec
from test_engine import EPOCH, EQUITY, MIDDLE, SIZING, Plan, Tape, nothing

from autotrader import config
from autotrader.research import replay
from autotrader.research.stress import STAND_ASIDE
from autotrader.run import rehearsal as module
from autotrader.run.rehearsal import Rehearsal
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

    def __init__(self, folder):
        made = config.load(configuration(folder / "c.toml", symbols=NAMES))
        self.plan = replay.Plan(made, {}, SPECS, ["stream"] * 2, [], {"epoch": EPOCH})
        rules = limits(**STAND_ASIDE)
        self.engine = Engine(Instruments(SPECS), Plan(nothing), rules, SIZING, EQUITY, EPOCH, ["stream"] * 2, 12)
        self.news = dict.fromkeys(NAMES, b"")
        self.signed, self.folder = [], folder / "run"
        self.folder.mkdir()
        self.rehearsal = Rehearsal(
            self.plan, self.engine, self.news.__getitem__, self.signed.extend, self.folder / "rehearsal"
        )

    def open(self, symbol):
        """Give the run's engine a book, and the exchange's newest diff of it."""
        self.engine.feed(Tape(symbol).opening)
        self.news[NAMES[symbol]] = diff(NAMES[symbol], MIDDLE - 1)


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


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


def test_it_begins_anew_before_its_orders_are_too_many_and_leaves_no_file(stage, monkeypatch):
    monkeypatch.setattr(module, "MOST_ORDERS", 50)
    monkeypatch.setattr(module, "LOOKED", 10)
    fresh = Rehearsal(stage.plan, stage.engine, stage.news.__getitem__, stage.signed.extend, stage.folder / "rehearsal")
    stage.open(0)
    first = fresh._driver
    for _ in range(400):
        fresh.once()
    assert fresh.done == 200 and fresh.orders == 400  # none is missing where it began anew
    assert fresh._driver is not first
    assert list(stage.folder.iterdir()) == []


def test_it_waits_between_two_and_one_that_raises_is_the_last(stage, monkeypatch):
    stage.open(0)
    stage.rehearsal.turn()
    stage.rehearsal.turn()
    assert stage.rehearsal.done == 1
    stage.rehearsal._due_s, calls = 0.0, []

    def fail():
        calls.append(1)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(stage.rehearsal, "once", fail)
    with pytest.raises(OSError, match="full"):
        stage.rehearsal.turn()
    stage.rehearsal.turn()
    assert calls == [1]


def test_a_book_without_a_side_is_not_rehearsed(stage):
    stage.open(0)
    change = Tape(0).change(asks=[(MIDDLE + k, 0) for k in range(1, 6)])
    stage.engine.feed(change)
    assert stage.engine.books[0].best() == (MIDDLE - 1, None)
    for _ in range(4):
        stage.rehearsal.once()
    assert stage.rehearsal.done == 0


def test_its_core_is_none_of_the_runs(stage):
    rehearsed = stage.rehearsal._engine
    assert rehearsed is not stage.engine and rehearsed.instruments is not stage.engine.instruments
    assert rehearsed.orders is not stage.engine.orders and rehearsed.gate is not stage.engine.gate
