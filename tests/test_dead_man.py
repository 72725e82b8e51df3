"""The dead man's switch: what the exchange cancels when we fall silent, and what it does not while we live."""

import asyncio
import time
from contextlib import suppress

import pytest
from loopback_world import World
from rest_clients import Account, run

from autotrader.adapters.binance.dead_man import BEAT_S, LOOKS, TIMER_MS, DeadMan
from autotrader.errors import VenueError

BTC, ETH = "BTCUSDT", "ETHUSDT"


class Switch:
    """A switch in front of somebody who notes what was set, and fails when told to."""

    def __init__(self, symbols=(), timer_ms=1000, beat_s=0.3, fails=()):
        self.symbols, self.fails = set(symbols), set(fails)
        self.calls, self.news = [], []
        self.began = time.monotonic()
        self.dead_man = DeadMan(self.set, lambda: self.symbols, lambda *one: self.news.append(one), timer_ms, beat_s)

    async def set(self, symbol, timer_ms):
        self.calls.append((symbol, timer_ms))
        if symbol in self.fails:
            raise VenueError("silent")

    def of(self, symbol):
        return [timer_ms for one, timer_ms in self.calls if one == symbol]

    async def until(self, what):
        end = time.monotonic() + 10
        while not what():
            assert time.monotonic() < end, (self.calls[-5:], self.news[-5:])
            await asyncio.sleep(0.005)


def running(test, **options):
    async def main():
        switch = Switch(**options)
        task = asyncio.create_task(switch.dead_man.run())
        try:
            await test(switch)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return switch

    return run(main())


def test_it_is_as_the_exchange_advises_and_a_beat_may_fail():
    assert (TIMER_MS, BEAT_S) == (120_000, 30.0)
    assert BEAT_S / LOOKS <= 1.0  # an order is covered within a second
    for timer_ms, beat_s in ((60_000, 30.0), (0, 30.0), (1000, 0.0)):
        with pytest.raises(ValueError, match="would run out"):
            DeadMan(Switch().set, tuple, lambda *_: None, timer_ms, beat_s)


def test_each_symbol_with_orders_is_set_at_once_and_again_at_each_beat():
    async def test(switch):
        await switch.until(lambda: len(switch.calls) >= 2)
        assert sorted(switch.calls[:2]) == [(BTC, 1000), (ETH, 1000)]
        await switch.until(lambda: len(switch.of(BTC)) >= 4)

    switch = running(test, symbols=(BTC, ETH))
    assert set(switch.of(BTC)) == {1000} and abs(len(switch.of(BTC)) - len(switch.of(ETH))) <= 1


def test_a_symbol_whose_first_order_comes_between_two_beats_does_not_wait_for_the_next():
    async def test(switch):
        await asyncio.sleep(0.1)
        switch.symbols.add(BTC)
        began = time.monotonic()
        await switch.until(lambda: switch.calls)
        assert time.monotonic() - began < 5.0 and switch.calls == [(BTC, 60_000)]

    running(test, beat_s=15.0, timer_ms=60_000)


def test_a_symbol_without_orders_has_its_timer_ended_before_it_runs_out():
    async def test(switch):
        await switch.until(lambda: switch.calls)
        switch.symbols.clear()
        began = time.monotonic()
        await switch.until(lambda: switch.of(BTC)[-1] == 0)
        assert time.monotonic() - began < 2.0 and switch.dead_man.armed == set()
        await asyncio.sleep(0.7)
        assert switch.of(BTC)[-1] == 0 and switch.of(BTC).count(0) == 1

    running(test, symbols=(BTC,))


def test_a_failure_is_told_once_tried_again_soon_and_told_when_it_is_over():
    async def test(switch):
        await switch.until(lambda: len(switch.of(BTC)) >= 8)
        assert [alert for alert, _ in switch.news] == ["DEAD_MAN_FAILED"] and "silent" in switch.news[0][1]
        assert len(switch.of(BTC)) > len(switch.of(ETH))  # one that works waits for the beat
        switch.fails.clear()
        await switch.until(lambda: len(switch.news) == 2)
        assert switch.news[1][0] == "DEAD_MAN_WORKS" and BTC in switch.news[1][1]

    running(test, symbols=(BTC, ETH), fails=(BTC,), beat_s=0.6, timer_ms=2000)


def test_a_symbol_whose_requests_hang_does_not_hold_up_the_beat_of_another():
    async def test(switch):
        whole = switch.dead_man._set_timer

        async def slow(symbol, timer_ms):
            if symbol == ETH:
                await asyncio.sleep(0.3)
            await whole(symbol, timer_ms)

        switch.dead_man._set_timer = slow
        switch.fails.add(ETH)
        began = time.monotonic()
        await switch.until(lambda: len(switch.of(BTC)) >= 4)
        assert time.monotonic() - began < 5.0  # thirty looks of 0.3 s each would have been nine

    running(test, symbols=(BTC, ETH), beat_s=0.5, timer_ms=2000)


def test_a_timer_whose_setting_failed_may_run_and_is_ended_all_the_same():
    async def main():
        switch = Switch(symbols=(BTC,), fails=(BTC,))
        task = asyncio.create_task(switch.dead_man.run())
        await switch.until(lambda: switch.calls)
        task.cancel()
        switch.fails.clear()
        await switch.dead_man.stop()
        assert switch.of(BTC)[-1] == 0 and switch.dead_man.armed == set()

    run(main())


def test_an_error_that_is_ours_ends_it():
    async def main():
        async def broken(symbol, timer_ms):
            raise KeyError(symbol)

        with pytest.raises(KeyError):
            await DeadMan(broken, lambda: [BTC], lambda *_: None).run()

    run(main())


# ---------------------------------------------------------------------------------- at the exchange


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        yield one


def test_d7_when_we_fall_silent_ordinary_orders_are_cancelled_and_protection_stays(world):
    world.order("BUY", "0.01", 40_000)
    world.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice=40_000)

    async def main():
        async with Account(world) as account:
            dead_man = DeadMan(account.rest.countdown_cancel_all, lambda: [BTC], lambda *_: None, 10_000, 0.2)
            task = asyncio.create_task(dead_man.run())
            for _ in range(4):  # twice the timer goes by, and each beat begins it anew
                await asyncio.sleep(0.5)
                await asyncio.to_thread(world.pass_s, 5)
            assert len(await account.rest.open_orders(BTC)) == 1
            task.cancel()
            await asyncio.to_thread(world.pass_s, 11)
            assert await account.rest.open_orders(BTC) == []
            assert len(await account.rest.open_algo_orders(BTC)) == 1

    run(main())


def test_a_clean_end_leaves_the_orders_and_a_refusal_is_told(world):
    world.order("BUY", "0.01", 40_000)

    async def main():
        news = []
        async with Account(world) as account:
            told = lambda *one: news.append(one)  # noqa: E731
            dead_man = DeadMan(account.rest.countdown_cancel_all, lambda: [BTC], told, 10_000, 0.2)
            world.fault("unavailable_503", path="/fapi/v1/countdownCancelAll")
            task = asyncio.create_task(dead_man.run())
            while len(news) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            await dead_man.stop()
            await asyncio.to_thread(world.pass_s, 60)
            assert len(await account.rest.open_orders(BTC)) == 1
        return news

    news = run(main())
    assert [alert for alert, _ in news] == ["DEAD_MAN_FAILED", "DEAD_MAN_WORKS"]
    assert "POST /fapi/v1/countdownCancelAll" in news[0][1]


def test_a_symbol_that_the_profile_does_not_know_is_told_and_the_others_go_on(world):
    async def main():
        news = []
        async with Account(world) as account:
            told = lambda *one: news.append(one)  # noqa: E731
            dead_man = DeadMan(account.rest.countdown_cancel_all, lambda: [BTC, "XUSDT"], told, 10_000, 0.2)
            task = asyncio.create_task(dead_man.run())
            while not news or BTC not in dead_man.armed:
                await asyncio.sleep(0.01)
            task.cancel()
        return news

    assert "XUSDT" in run(main())[0][1]
