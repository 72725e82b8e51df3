"""The exchange's clock."""

from autotrader.adapters.loopback.clock import MS, SECOND, Clock

START = 1_800_000_000 * SECOND


def test_setting_the_time_forward_leaves_the_count_of_milliseconds_alone():
    clock = Clock(START, speed=0.0)
    counts = []
    for second in range(50):
        clock.reach(START + second * SECOND)
        counts.append(clock.mono_ms())
        while clock.mono_ms() < second // 10:
            pass
    assert counts == sorted(counts) and counts[-1] >= 4


def test_time_stands_still_while_it_is_halted_and_goes_on_from_there():
    clock = Clock(START, speed=1000.0)
    clock.halt()
    before, count = clock.now(), clock.mono_ms()
    while clock.mono_ms() < count + 5:
        pass
    assert clock.now() == before
    clock.halt()
    clock.go_on()
    assert before <= clock.now() < before + 2 * SECOND


def test_a_halted_clock_can_be_set_forward():
    clock = Clock(START, speed=1.0)
    clock.halt()
    clock.reach(START + 5 * SECOND)
    assert clock.now() == START + 5 * SECOND
    clock.run(2.0)
    assert clock.now() == START + 5 * SECOND


def test_a_clock_that_runs_does_not_go_on_anew():
    clock = Clock(START, speed=1.0)
    before = clock.now()
    clock.go_on()
    assert before <= clock.now() < before + 1000 * MS
