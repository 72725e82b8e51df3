"""The judge of the chaos runs: what fits is passed, and each way in which a run can be wrong is found."""

import numpy as np
import pytest
from builders import row

from autotrader.adapters.loopback.history import History
from chaos.judge import GOOD_FOR_NS, SECOND, Journal, Truth, judge, unexplained, wire
from core_ext.journal import JournalWriter
from core_ext.types import AlgoStatus, Command, Flag, Gate, Kind, OrderType

T0 = 1_700_000_000 * SECOND
ID, OTHER = 5 << 32 | 1, 5 << 32 | 2
OPEN = {
    "version": 1, "seed": 0, "synthetic": 1, "instruments": [{"symbol": "BTCUSDT", "tick_e8": 1, "lot_e8": 1}],
    "accounts": [{"name": "demo", "wallets": {}}], "fund_e8": 0,
}  # fmt: skip
LIMIT = {"account": 0, "symbol": 0, "side": 0, "type": 0, "tif": 0, "ticks": 100, "reduce": 0, "leg": 0}
TRADE = {
    "account": 0, "symbol": 0, "side": 0, "ticks": 100, "fee_e8": 0, "coin": 0, "maker": 0, "leg": 0, "wallet_e8": 0,
    "cost_e8": 0,
}  # fmt: skip


class Case:
    """A history and a journal under writing."""

    def __init__(self, folder):
        self.folder = folder
        self.history = History(folder / "history.jsonl")
        self.rows = []
        self.told("open", **OPEN)

    def told(self, kind, at_s=0.0, **fields):
        self.history.write(kind, T0 + round(at_s * SECOND), **fields)

    def order(self, number=1, client=ID, lots=2, at_s=0.0, **more):
        self.told("order", at_s, **LIMIT | {"order": number, "client": wire(client), "lots": lots} | more)

    def fill(self, order=1, trade=1, lots=2, position=2, at_s=0.5):
        self.told("fill", at_s, **TRADE | {"order": order, "trade": trade, "lots": lots, "position": position})

    def wrote(self, kind, at_s=0.0, flags=1, **words):
        self.rows.append(row(kind, T0 + round(at_s * SECOND), 0, flags, **words))

    def asks(self, client=ID, lots=2, at_s=0.0, flags=1):
        self.wrote(Kind.ORDER, at_s, flags, a=client, b=100, c=lots)

    def judged(self):
        self.history.close(T0 + 100 * SECOND)
        self.wrote(Kind.TIMER, 90.0)
        writer = JournalWriter(str(self.folder / "journal"))
        writer.add(np.concatenate(self.rows))
        writer.close()
        self.journal = Journal(self.folder / "journal")
        return judge(Truth(self.folder / "history.jsonl"), self.journal)


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_an_order_that_was_lost_found_and_filled_fits(case):
    case.asks()
    case.order()
    case.wrote(Kind.LOST, 0.1, a=ID, b=int(Kind.ORDER))
    case.fill()
    case.told("end", 0.5, account=0, order=1, how="FILLED", undone=0)
    case.wrote(Kind.ACCEPTED, 1.0, a=ID, b=1, c=100, d=2)
    case.wrote(Kind.FILL, 1.0, a=ID, b=1, c=100, d=2)
    assert case.judged().holds
    assert unexplained(case.journal, {ID: ("FILLED", 10)}) == []


def test_an_id_that_was_taken_again_after_its_fill_is_found(case):
    case.asks()
    case.order()
    case.fill()
    case.told("end", 0.5, account=0, order=1, how="FILLED", undone=0)
    case.order(number=2, at_s=1.0)
    assert case.judged().accepted_twice == [wire(ID)]


def test_an_order_that_was_asked_for_twice_is_found(case):
    case.asks()
    case.asks(at_s=1.0)
    assert case.judged().asked_twice == [wire(ID)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.CANCELED, {}),
        (Kind.EXPIRED, {}),
        (Kind.REJECTED, {"b": 103}),
        (Kind.REJECTED, {"b": -2010}),
        (Kind.ABSENT, {"b": -2013}),
        (Kind.ALGO, {"b": int(AlgoStatus.ALGO_CANCELED)}),
    ],
)
def test_an_end_that_the_exchange_did_not_make_is_found(case, kind, words):
    case.asks()
    case.order()
    case.wrote(kind, 10.0, a=ID, **words)
    assert len(case.judged().false_ends) == 1


def test_an_end_that_came_before_the_exchanges_is_found(case):
    case.asks()
    case.order()
    case.wrote(Kind.CANCELED, 1.0, a=ID)
    case.told("end", 5.0, account=0, order=1, how="CANCELED", undone=2)
    assert len(case.judged().false_ends) == 1


def test_an_end_that_the_run_was_never_told_is_found(case):
    case.asks()
    case.order()
    case.told("end", 5.0, account=0, order=1, how="CANCELED", undone=2)
    assert len(case.judged().forgotten) == 1


def test_a_trade_that_is_missing_and_one_that_never_was_are_found(case):
    case.asks()
    case.order()
    case.fill(trade=7)
    case.wrote(Kind.FILL, 1.0, a=ID, b=8, c=100, d=2)
    verdict = case.judged()
    assert verdict.forgotten == [f"{wire(ID)}: trade 7"]
    assert verdict.invented == [f"{wire(ID)}: trade 8 of 2"]


@pytest.mark.parametrize("sells", [False, True])
def test_an_order_that_opens_more_while_a_gate_is_closed_is_found_and_an_exit_is_none(case, sells):
    case.asks()
    case.order()
    case.fill()
    case.wrote(Kind.FILL, 1.0, a=ID, b=1, c=100, d=2)
    case.wrote(Kind.GATE, 2.0, a=int(Gate.CLOCK))
    case.asks(OTHER, at_s=3.0, flags=Flag.F_END | (Flag.F_SELL if sells else 0))
    verdict = case.judged()
    assert len(verdict.gated) == (not sells)


def test_an_order_after_a_kill_is_found(case):
    case.wrote(Kind.COMMAND, 1.0, a=int(Command.KILL))
    case.asks(at_s=2.0)
    assert case.judged().gated == [f"{wire(ID)}: KILL"]


def test_an_order_beside_one_of_unknown_outcome_is_found_until_that_is_known(case):
    case.asks()
    case.wrote(Kind.LOST, 0.1, a=ID, b=int(Kind.ORDER))
    case.asks(OTHER, at_s=1.0)
    case.wrote(Kind.ABSENT, 2.0, a=ID, b=-2013)
    case.asks(OTHER + 1, at_s=3.0)
    case.wrote(Kind.ABSENT, GOOD_FOR_NS / SECOND + 0.5, a=ID, b=-2013)
    case.asks(OTHER + 2, at_s=8.0)
    assert [one.split(":")[0] for one in case.judged().gated] == [wire(OTHER), wire(OTHER + 1)]


def test_a_state_that_no_row_explains_is_found(case):
    case.asks()
    case.asks(OTHER)
    case.wrote(Kind.CANCELED, 1.0, a=OTHER)
    case.judged()
    ended = {ID: ("CANCELLED", 3), OTHER: ("CANCELLED", 3)}
    assert [one.split(":")[0] for one in unexplained(case.journal, ended)] == [wire(ID)]
    assert unexplained(case.journal, {OTHER: ("CANCELLED", 2)}) != []


def test_a_conditional_order_and_the_one_that_its_trigger_made_are_one(case):
    words = int(OrderType.STOP_MARKET)
    case.wrote(Kind.ORDER, 0.0, a=ID, b=0, c=2, d=words)
    case.told("algo", 0.1, account=0, symbol=0, algo=9, client=wire(ID), status="NEW")
    case.wrote(Kind.ALGO, 0.2, a=ID, b=int(AlgoStatus.ALGO_NEW))
    case.order(algo=9, at_s=1.0)
    case.fill(at_s=1.0)
    case.told("end", 1.0, account=0, order=1, how="FILLED", undone=0)
    case.wrote(Kind.FILL, 1.1, a=ID, b=1, c=100, d=2)
    assert case.judged().holds
