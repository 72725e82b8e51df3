"""The exchange's clock as this machine knows it: measured, corrected, and never silently wrong."""

import asyncio
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_world import World

from autotrader.adapters.binance import clock as clocks
from autotrader.adapters.binance.clock import VenueClock, median_offset
from autotrader.errors import VenueError

MS = 1_000_000
S = 1_000_000_000
START = 1_750_000_000 * S


class Machine:
    """A machine and an exchange whose clocks a test moves; a question takes as long as the test says."""

    def __init__(self):
        self.mono, self.wall, self.venue = 10**12, START, START
        self.ways = iter([])
        self.told = []
        self.asked = 0
        self.body = None

    def pass_ns(self, ns, rate=1.0):
        self.mono += round(ns * rate)
        self.wall += round(ns * rate)
        self.venue += ns

    async def fetch(self, path, params):
        assert (path, dict(params)) == ("/fapi/v1/time", {})
        self.asked += 1
        there, back = next(self.ways, (MS, MS))
        self.pass_ns(there)
        answer = orjson.dumps({"serverTime": self.venue // MS}) if self.body is None else self.body
        if isinstance(answer, Exception):
            raise answer
        self.pass_ns(back)
        return answer

    def clock(self):
        return VenueClock(self.fetch, lambda *news: self.told.append(news), lambda: self.wall, lambda: self.mono)


@given(
    st.integers(-6 * S, 6 * S),
    st.lists(st.tuples(st.integers(0, 400 * MS), st.integers(0, 400 * MS)), min_size=5, max_size=5),
)
def test_the_offset_is_known_within_its_error(skew, ways):
    machine = Machine()
    machine.venue -= skew
    machine.ways = iter(ways)
    clock = machine.clock()
    offset = asyncio.run(clock.measure())
    assert abs(clock.request_ms() * MS - machine.venue) <= offset.error_ns + MS
    assert abs(offset.ns - skew) <= offset.error_ns
    assert clock.is_safe


def test_the_median_is_not_moved_by_two_slow_answers():
    # Ours is 7 ms ahead; two answers were 900 ms on their way back.
    quick = [(100 * S, 100 * S + 2 * MS, (100 * S - 6 * MS) // MS)] * 3
    slow = [(100 * S, 100 * S + 902 * MS, (100 * S - 6 * MS) // MS)] * 2
    offset = median_offset([*slow, *quick])
    assert (offset.ns, offset.error_ns) == (7 * MS - MS // 2, MS + MS // 2)


def test_an_offset_needs_a_sample():
    with pytest.raises(ValueError, match="sample"):
        median_offset([])


def test_a_step_of_the_wall_clock_moves_nothing_and_is_told_at_once():
    machine = Machine()
    clock = machine.clock()

    async def hours():
        await clock.measure()
        before = clock.now_ns()
        machine.wall -= 3 * S
        assert clock.now_ns() == before
        assert clock._has_jumped()
        assert not clock.is_safe and clock.error_ns is None
        await clock.measure()
        assert clock.is_safe and abs(clock.now_ns() - machine.venue) < 3 * MS

    asyncio.run(hours())
    assert [name for name, _ in machine.told] == ["CLOCK_STEP"]


def test_a_machine_that_slept_knows_the_time_after_the_next_measurement():
    machine = Machine()
    clock = machine.clock()
    asyncio.run(clock.measure())
    machine.wall += 1200 * S
    machine.venue += 1200 * S
    assert clock._has_jumped() and not clock.is_safe
    asyncio.run(clock.measure())
    assert abs(clock.now_ns() - machine.venue) < 3 * MS


def test_the_exchange_is_asked_at_once_when_a_clock_jumps_and_each_minute_otherwise(monkeypatch):
    monkeypatch.setattr(clocks, "LOOK_S", 0.001)
    machine = Machine()
    clock = machine.clock()

    async def looks(until):
        while machine.asked < until:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        return machine.asked

    async def hours():
        task = asyncio.create_task(clock.run())
        assert await looks(5) == 5
        machine.pass_ns(59 * S)
        assert await looks(5) == 5
        machine.pass_ns(S)
        assert await looks(10) == 10
        machine.wall -= 3 * S
        assert await looks(15) == 15
        assert clock.is_safe
        task.cancel()

    asyncio.run(asyncio.wait_for(hours(), 20))
    assert [name for name, _ in machine.told] == ["CLOCK_STEP"]


def test_stamps_never_go_back_but_a_request_bears_the_best_that_is_known():
    machine = Machine()
    machine.venue -= 2 * S
    clock = machine.clock()
    before = clock.now_ns()
    asyncio.run(clock.measure())
    assert clock.now_ns() == before
    assert abs(clock.request_ms() - machine.venue // MS) <= 2
    machine.pass_ns(3 * S)
    assert clock.now_ns() > before and abs(clock.now_ns() - machine.venue) < 3 * MS


def test_a_jump_of_the_exchanges_clock_is_told():
    machine = Machine()
    clock = machine.clock()
    asyncio.run(clock.measure())
    machine.venue += 700 * MS
    asyncio.run(clock.measure())
    assert [name for name, _ in machine.told] == ["CLOCK_STEP"]
    assert "-700 ms" in machine.told[0][1] or "-699 ms" in machine.told[0][1]


def test_an_error_of_more_than_half_a_second_is_unsafe_and_told_until_it_is_gone():
    machine = Machine()
    clock = machine.clock()
    machine.ways = iter([(600 * MS, 600 * MS)] * 10)
    for _ in range(2):
        assert asyncio.run(clock._measured()) is False
    assert not clock.is_safe
    assert asyncio.run(clock._measured()) is True
    assert [name for name, _ in machine.told] == ["CLOCK_SKEW", "CLOCK_SAFE"]


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_a_clock_that_runs_wrong_is_corrected_each_minute(rate):
    machine = Machine()
    clock = machine.clock()
    for _ in range(5):
        machine.pass_ns(60 * S, rate)
        asyncio.run(clock.measure())
        assert abs(clock.request_ms() - machine.venue // MS) <= 3
    assert {name for name, _ in machine.told} == {"CLOCK_STEP"}


def test_the_error_grows_while_nothing_is_measured():
    machine = Machine()
    clock = machine.clock()
    asyncio.run(clock.measure())
    first = clock.error_ns
    machine.pass_ns(100 * S)
    assert clock.error_ns == first + 10 * MS
    machine.pass_ns(5000 * S)
    assert not clock.is_safe


BAD = [b"", b"{}", b"[]", b"<html>", b'{"serverTime":"1"}', b'{"serverTime":-1}', b'{"serverTime":1e300}',
       b'{"serverTime":99999999999999}', b'{"serverTime":true}']  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_an_answer_without_a_time_changes_nothing(body):
    machine = Machine()
    clock = machine.clock()
    offset = asyncio.run(clock.measure())
    machine.body = body
    with pytest.raises(VenueError):
        asyncio.run(clock.measure())
    assert clock.offset == offset


def test_an_exchange_that_does_not_say_its_time_is_told_once_and_asked_again():
    machine = Machine()
    clock = machine.clock()
    machine.body = ConnectionResetError("reset")
    for _ in range(3):
        assert asyncio.run(clock._measured()) is False
    machine.body = None
    assert asyncio.run(clock._measured()) is True
    assert [name for name, _ in machine.told] == ["CLOCK_UNKNOWN", "CLOCK_SAFE"]


def test_the_time_of_the_exchange_on_loopback_is_found_whatever_its_skew(monkeypatch):
    with World(lively=True) as world:

        async def fetch(path, params):
            return await asyncio.to_thread(lambda: world.send("GET", path, urlencode(params)).raw)

        async def hours():
            news = []
            clock = VenueClock(fetch, lambda *one: news.append(one))
            offset = await clock.measure()
            assert abs(offset.ns) <= offset.error_ns + 5 * MS
            for name, skew in (("fast", 1500), ("slow", -6000)):
                world.fault("skew", name=name, skew_ms=skew)
                offset = await clock.measure()
                assert abs(offset.ns + skew * MS) <= offset.error_ns + 5 * MS
                assert world.send("DELETE", f"/_control/faults/{name}").status == 200
            return [name for name, _ in news]

        assert asyncio.run(hours()) == ["CLOCK_STEP"] * 2
        monkeypatch.setattr(clocks, "EACH_S", 0.05)
        monkeypatch.setattr(clocks, "LOOK_S", 0.01)
        asked = []

        async def counted(path, params):
            asked.append(path)
            return await fetch(path, params)

        async def minutes():
            clock = VenueClock(counted, lambda *_: None)
            task = asyncio.create_task(clock.run())
            while len(asked) < 15:
                await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(asyncio.wait_for(minutes(), 20))
