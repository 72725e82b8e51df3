"""Hot mode: a loop that never sleeps, on a processor of its own."""

import asyncio
import os
import threading
import time

import pytest
import uvloop

from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.run import hot as module
from autotrader.run.hot import LAST, hot

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
pins = pytest.mark.skipif(not CORES, reason="the system lets no thread choose its processor")


def run(main):
    """Run a coroutine in a thread of its own, so that the test's keeps its processors."""
    found, ended = [], []

    def work():
        try:
            found.append(uvloop.run(main))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if ended:
        raise ended[0]
    return found[0]


async def busy_share(seconds=0.5):
    """Return the share of a while that the loop's thread was at work although nothing was to be done."""
    begun, worked = time.monotonic(), time.thread_time()
    await asyncio.sleep(seconds)
    return (time.thread_time() - worked) / (time.monotonic() - begun)


def test_a_hot_loop_works_all_the_time_and_an_idle_one_sleeps():
    async def main():
        idle = await busy_share()
        with hot(asyncio.get_running_loop()):
            spent = await busy_share()
        return idle, spent, await busy_share()

    idle, spent, after = run(main())
    assert idle < spent / 5 > after


def test_a_hot_loop_still_does_what_is_due():
    async def main():
        with hot(asyncio.get_running_loop()):
            reader, writer = os.pipe()
            came, begun = asyncio.Event(), time.monotonic()
            asyncio.get_running_loop().add_reader(reader, came.set)
            asyncio.get_running_loop().call_later(0.05, os.write, writer, b"x")
            await asyncio.wait_for(came.wait(), 10)
            asyncio.get_running_loop().remove_reader(reader)
            os.close(reader), os.close(writer)
            return time.monotonic() - begun

    assert run(main()) > 0.03  # a timer counts from when the loop last looked at its clock


@pins
@pytest.mark.parametrize("core", [LAST, CORES[0] if CORES else 0])
def test_the_loop_s_thread_has_one_processor_and_afterwards_all_of_them(core):
    def seen():
        return os.sched_getaffinity(threading.get_native_id())

    async def main():
        with hot(asyncio.get_running_loop(), core):
            own, others = seen(), await asyncio.to_thread(seen)
        return own, others, seen()

    own, others, after = run(main())
    assert own == {CORES[-1] if core == LAST else core}
    assert others == (set(CORES) - own or own)
    assert after == set(CORES)
    assert os.sched_getaffinity(0) == set(CORES)


@pins
def test_a_processor_that_the_process_may_not_use_is_refused_with_those_that_it_may():
    async def main():
        with hot(asyncio.get_running_loop(), 4095):
            pass

    with pytest.raises(OperatorError) as refused:
        run(main())
    assert str(refused.value) == say("hot.core", core=4095, allowed=", ".join(map(str, CORES)))


def test_where_no_thread_may_choose_only_a_chosen_processor_is_refused(monkeypatch):
    monkeypatch.delattr(module.os, "sched_setaffinity", raising=False)

    async def main(core):
        with hot(asyncio.get_running_loop(), core):
            return await busy_share(0.2)

    assert run(main(LAST)) > 0
    with pytest.raises(OperatorError, match="hot_core = 1"):
        run(main(1))


def test_a_hot_loop_has_something_done_in_each_turn_until_it_rests():
    async def main():
        counts, turns = [], []
        with hot(asyncio.get_running_loop()) as awake:
            awake.turn = lambda: turns.append(1)
            await asyncio.sleep(0.01)
            awake.rest()
            counts.append(len(turns))
            await asyncio.sleep(0.01)
        return counts[0], len(turns)

    before, after = run(main())
    assert before == after > 10
