"""Mark prices that a silent stream does not bring are asked for, and are messages like its own."""

import asyncio

import orjson
import pytest
from feeds import run
from test_engine import engine

from autotrader.adapters.binance import marks
from autotrader.adapters.binance.marks import Marks
from autotrader.errors import VenueError
from core_ext.types import Kind, Status
from core_ext.wire import Scanner

BODY = {
    "symbol": "BTCUSDT", "markPrice": "97000.10000000", "indexPrice": "97001.50000000",
    "estimatedSettlePrice": "97002.00000000", "lastFundingRate": "0.00010000", "interestRate": "0.00010000",
    "nextFundingTime": 1_796_000_000_000, "time": 1_795_990_000_123,
}  # fmt: skip


class Exchange:
    """What the requests of a run find: ages of its streams, and answers."""

    def __init__(self, ages, answer=BODY):
        self.asked, self.heard, self.told, self.answer = [], [], [], answer
        self.marks = Marks(
            ("BTCUSDT", "ETHUSDT"), ages=lambda: ages, fetch=self.fetch, sink=lambda *one: self.heard.append(one),
            now_ns=lambda: 7, told=lambda *one: self.told.append(one),
        )  # fmt: skip

    async def fetch(self, path, params):
        self.asked.append((path, dict(params)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else orjson.dumps(self.answer)


FRESH = {("BTCUSDT", "mark"): 0.9, ("ETHUSDT", "mark"): 2.9, ("BTCUSDT", "book"): 60.0}
SILENT = {("BTCUSDT", "mark"): 3.1, ("ETHUSDT", "mark"): 2.9}


def test_nothing_is_asked_while_the_stream_speaks():
    found = Exchange(FRESH)
    run(found.marks.look())
    assert (found.asked, found.heard) == ([], [])


def test_a_silent_symbol_is_asked_for_and_its_answer_is_read_as_the_streams_message():
    found = Exchange(SILENT)
    run(found.marks.look())
    assert found.asked == [("/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"})]
    ((stamp, message),) = found.heard
    assert stamp == 7 and found.told == [("MARK_ASKED", "BTCUSDT")]
    machine = engine()
    scanner = Scanner(machine.instruments)
    assert scanner.feed(message, 7) == Status.OK
    rows = scanner.rows.array()
    assert rows["kind"].tolist() == [Kind.MARK]
    assert [int(rows[word][0]) for word in "abcd"] == [
        9_700_010_000_000, 9_700_150_000_000, 10_000, 1_796_000_000_000 * 10**6,
    ]  # fmt: skip


def test_it_is_told_once_until_the_stream_speaks_again():
    ages = dict(SILENT)
    found = Exchange(ages)
    for age in (3.1, 4.1, 0.2, 3.2):
        ages["BTCUSDT", "mark"] = age
        run(found.marks.look())
    assert (len(found.heard), found.told) == (3, [("MARK_ASKED", "BTCUSDT")] * 2)


@pytest.mark.parametrize(
    "answer",
    [VenueError("no"), b"", b"[]", b"[1]", b"<html>", BODY | {"symbol": "ETHUSDT"}, BODY | {"markPrice": "1e5"},
     BODY | {"markPrice": 'x","r":"1'}, BODY | {"markPrice": "-1"}, BODY | {"time": "now"}, {"code": -1003}],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_an_answer_is_no_message(answer):
    found = Exchange(SILENT, answer)
    run(found.marks.look())
    assert found.heard == [] and len(found.asked) == 1


def test_of_many_silent_symbols_all_are_asked_for_at_once():
    names = [f"A{k}USDT" for k in range(11)]
    found = Exchange({(name, "mark"): 4.0 for name in names}, [BODY | {"symbol": name} for name in [*names, "ZUSDT"]])
    found.marks._symbols = names
    run(found.marks.look())
    assert found.asked == [("/fapi/v1/premiumIndex", {})]
    assert sorted(orjson.loads(message)["data"]["s"] for _, message in found.heard) == sorted(names)


def test_it_looks_again_and_again_and_goes_on_after_a_failure(monkeypatch):
    monkeypatch.setattr(marks, "LOOK_S", 0.01)
    found = Exchange(SILENT, VenueError("no"))

    async def main():
        task = asyncio.create_task(found.marks.run())
        await asyncio.sleep(0.1)
        task.cancel()
        return len(found.asked)

    assert run(main()) > 2
    assert found.heard == []
