"""Suspect data in the engine: what does not enter, what is told, and what losses are judged by."""

import tomllib

import numpy as np
from builders import SIZING, limits, row, spec
from test_engine import BUY, EPOCH, EQUITY, MIDDLE, SECOND, Idle, Tape, of

from autotrader import config
from autotrader.research import replay
from autotrader.research.stress import STAND_ASIDE
from core_ext.engine import Engine
from core_ext.quality import Quality, Verdict
from core_ext.strategy import Strategy
from core_ext.types import Alarm, Flag, Instruments, Kind, Reason

SHIPPED = config.from_dict(tomllib.loads(config.template("quoter", ["BTCUSDT"], "en")))


def machine(**changes):
    instruments = Instruments([spec()])
    judge = Quality(instruments, replay.quality(SHIPPED), SHIPPED.quality.policies)
    return Engine(instruments, Idle(), limits(**changes), SIZING, EQUITY, EPOCH, ["stream"], 12, judge)


def settled(**changes):
    """Return an engine that has seen thirty quiet marks and touches, and its tape."""
    tape, engine = Tape(), machine(**changes)
    engine.feed(tape.opening)
    engine.feed(np.concatenate([rows for _ in range(30) for rows in (tape.mark(MIDDLE), tape.touch())]))
    return engine, tape


def alarms(rows):
    return [(int(one["a"]), int(one["b"])) for one in of(rows, Kind.ALARM)]


def test_a_mark_that_nothing_confirms_does_not_enter_and_is_told():
    engine, tape = settled()
    told = engine.feed(tape.mark(MIDDLE * 8 // 10))
    assert (Alarm.DATA_ANOMALY, Verdict.SPIKE) in alarms(told)
    assert engine.markets.market(0)["mark_e8"] == MIDDLE * 10**7


def test_a_second_mark_near_it_is_believed():
    engine, tape = settled()
    engine.feed(tape.mark(MIDDLE * 8 // 10))
    engine.feed(tape.mark(MIDDLE * 8 // 10 - 1))
    assert engine.markets.market(0)["mark_e8"] == (MIDDLE * 8 // 10 - 1) * 10**7


def test_losses_are_judged_at_a_mark_that_is_held_back_and_a_kill_waits_for_its_confirmation():
    engine, tape = settled(**STAND_ASIDE | {"max_drawdown_e8": 12_000_000, "daily_loss_e8": 3_000_000})
    engine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=100))  # 10,000 USDT on 10,000
    engine.feed(tape.mark(MIDDLE * 80 // 100))
    assert engine.gate.day_lost
    assert not engine.gate.killed
    engine.feed(tape.mark(MIDDLE * 80 // 100))
    assert engine.gate.killed


def test_a_glitch_that_is_over_leaves_the_account_unharmed():
    engine, tape = settled(**STAND_ASIDE | {"max_drawdown_e8": 12_000_000})
    engine.feed(tape.said(Kind.FILL, a=90, b=1, c=MIDDLE, d=100))
    engine.feed(np.concatenate([tape.mark(MIDDLE * 80 // 100), tape.mark(MIDDLE)]))
    assert not engine.gate.killed
    assert engine.account.equity() == EQUITY


def test_a_crossed_touch_does_not_enter_and_halts_entries_of_its_symbol():
    engine, tape = settled()
    before = engine.markets.market(0)["bid_ticks"]
    crossed = row(Kind.TOUCH, tape.later(), flags=Flag.F_END, a=10**6, b=MIDDLE + 5, c=9, d=MIDDLE + 5, e=9)
    assert (Alarm.DATA_ANOMALY, Verdict.CROSSED) in alarms(engine.feed(crossed))
    assert engine.markets.market(0)["bid_ticks"] == before
    engine.feed(tape.mark(MIDDLE))
    assert (engine.desk.submit(0, BUY, 1, MIDDLE), engine.desk.last_reason) == (0, Reason.DATA_QUALITY)
    for _ in range(61):
        engine.feed(np.concatenate([tape.mark(MIDDLE, SECOND // 2), tape.touch(ns=SECOND // 2)]))
    assert engine.desk.submit(0, BUY, 1, MIDDLE)


class Counting(Strategy):
    """Counts how often it is told of bars."""

    told = 0

    def on_bars(self):
        self.told += 1


def test_a_candle_that_does_not_enter_hides_no_other_of_its_stamp():
    instruments = Instruments([spec(), spec("ETHUSDT")])
    judge = Quality(instruments, replay.quality(SHIPPED), SHIPPED.quality.policies)
    engine = Engine(instruments, Counting(), limits(), SIZING, EQUITY, EPOCH, ["proxy"] * 2, 12, judge)
    for minute in range(1, 6):
        bars = [row(Kind.CANDLE, minute * 60 * SECOND, k, int(Flag.F_CLOSED), a=p, b=p, c=p, d=p, e=9, f=60 * SECOND)
                for k, p in enumerate((MIDDLE * 10**7, 0 if minute == 3 else MIDDLE * 10**6))]  # fmt: skip
        bars[-1]["flags"] |= int(Flag.F_END)
        engine.feed(np.concatenate(bars))
    assert engine.strategy.told == 5
    assert engine.markets.market(0)["ts_last"] == engine.markets.market(1)["ts_last"] == 300 * SECOND
