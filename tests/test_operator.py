"""What an operator's commands become: events in the stream of the run, and what is left of what they end."""

import asyncio

import pytest
from builders import row
from test_engine import MIDDLE, SECOND, Tape, engine

from autotrader.adapters.storage.state import Latch
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.errors import OperatorError
from autotrader.run import operator
from autotrader.run.operator import Facts, Operator
from core_ext.types import Command, Kind


class Running:
    """An engine of two symbols, each held, whose controls come from an operator."""

    def __init__(self, folder):
        self.machine, self.tapes = engine(symbols=2), [Tape(0), Tape(1)]
        for tape in self.tapes:
            self.machine.feed(tape.opening)
            self.machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        facts = Facts("PAPER", "loopback", "run", False, dict, dict, lambda: self.tapes[1].later(SECOND), lambda: 1.0)
        self.operator = Operator(self.machine, self, Latch(folder), facts)
        self.controls = []

    def control(self, kind, ts, words=(), symbol=0):
        words = dict(zip("abcdef", words, strict=False))
        self.controls.append((Kind(kind).name, symbol, words))
        self.machine.feed(row(kind, ts, symbol, **words))


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setattr(operator, "CLOSED_S", 0.05)
    folder = StateFolder(tmp_path / "state")
    yield Running(folder)
    folder.close()


def test_a_symbol_that_is_flattened_opens_nothing_until_resumed_and_the_others_trade_on(running):
    done = asyncio.run(running.operator.flatten({"symbols": ["ETHUSDT"]}))
    assert running.controls == [("COMMAND", 0, {"a": int(Command.FLATTEN), "b": 2})]
    assert done.reduce_only == ["ETHUSDT"] and not done.halted
    assert done.unconfirmed[-1] == "ETHUSDT" and len(done.unconfirmed) == 2  # the closing order and what it closes
    assert [running.machine.gate.watching(k)["halted"] for k in (0, 1)] == [0, 1]
    asyncio.run(running.operator.resume({}))
    assert not running.machine.gate.watching(1)["halted"]


def test_a_symbol_that_is_reduced_stays_so_whatever_the_exchange_says_of_it(running):
    assert asyncio.run(running.operator.reduce({"symbols": ["ETHUSDT"]})).reduce_only == ["ETHUSDT"]
    now = running.tapes[1].later(SECOND)
    running.machine.feed(row(Kind.STATUS, now, 1, a=1, b=now + 10**18))
    assert running.machine.gate.watching(1)["halted"]
    asyncio.run(running.operator.resume({}))
    found = running.machine.gate.watching(1)
    assert (found["halted"], found["delist"]) == (0, now + 10**18)  # what the exchange said of it is not forgotten


def test_a_symbol_that_is_named_twice_is_one(running):
    done = asyncio.run(running.operator.flatten({"symbols": ["ETHUSDT", "ETHUSDT"]}))
    assert len(running.controls) == 1 and not done.halted


def test_without_symbols_everything_is_flattened_and_halted(running):
    done = asyncio.run(running.operator.flatten({}))
    assert running.controls == [("COMMAND", 0, {"a": int(Command.FLATTEN), "b": 0})]
    assert done.halted and {"BTCUSDT", "ETHUSDT"} <= set(done.unconfirmed)


def test_a_symbol_that_the_run_does_not_have_is_refused(running):
    with pytest.raises(OperatorError, match="XRPUSDT"):
        asyncio.run(running.operator.flatten({"symbols": ["BTCUSDT", "XRPUSDT"]}))
    assert running.controls == []
