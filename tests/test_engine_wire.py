"""What only a wire brings: what the venue says that we hold, strangers' orders, closed gates, protective stops."""

import numpy as np
import pytest
from builders import E8, row
from test_engine import BUY, EQUITY, MIDDLE, SECOND, SELL, Plan, Tape, client_id, engine, nothing, of, with_position

from core_ext.types import Alarm, AlgoStatus, Command, Flag, Gate, Kind, OrderType, Reason, Setting, Term

STOP = 5_000_000  # five percent


def alarms(rows):
    return [Alarm(int(one["a"])).name for one in of(rows, Kind.ALARM)]


def running(**changes):
    machine, tape = engine(**changes), Tape()
    machine.feed(tape.opening)
    return machine, tape


def terms_of(rows):
    """Return (client id, sell, type, trigger ticks, terms) of the conditional orders among rows."""
    heads = [one for one in of(rows, Kind.ORDER) if int(one["d"]) & 255 >= OrderType.STOP]
    tails = {int(one["a"]): int(one["b"]) for one in of(rows, Kind.ORDER_TERMS)}
    return [
        (int(h["a"]), bool(h["flags"] & Flag.F_SELL), int(h["d"]) & 255, tails[int(h["a"])], int(h["d"]) >> 32)
        for h in heads
    ]


# ---------------------------------------------------------------------------------- what the venue says that we hold


def test_the_venues_position_replaces_ours_and_a_difference_is_told_once():
    machine, tape = running()
    held = tape.said(Kind.POSITION, a=-40, b=40 * 1_000 * E8 // 10, c=0)
    assert alarms(machine.feed(held)) == ["DIFFERENCE"]
    assert machine.account.position(0, 0)["lots"] == -40
    assert machine.account.position(0, 0)["cost_e8"] == -4_000 * E8
    assert alarms(machine.feed(tape.said(Kind.POSITION, a=-40, b=4_000 * E8))) == []
    assert machine.account.reconcile() == 0
    assert not machine.account.recompute()


def test_the_venues_wallet_replaces_ours_and_what_is_missing_is_a_loss():
    machine, tape = running(daily_loss_e8=3_000_000, loss_rate_e8=90_000_000)
    more = EQUITY + 500 * E8
    assert alarms(machine.feed(tape.said(Kind.WALLET, a=more))) == ["DIFFERENCE"]
    assert (machine.account.wallet_e8, machine.gate.peak_e8) == (more, more)
    told = alarms(machine.feed(tape.said(Kind.WALLET, a=more * 97 // 100)))
    assert told == ["DIFFERENCE", "DAILY_LOSS"]
    assert machine.gate.peak_e8 == more
    assert machine.account.reconcile() == 0


def test_a_withdrawal_that_was_told_is_no_loss_when_the_wallet_is_compared():
    machine, tape = running()
    machine.feed(tape.said(Kind.TRANSFER, a=-EQUITY // 2))
    assert alarms(machine.feed(tape.said(Kind.WALLET, a=EQUITY // 2))) == []
    assert not machine.gate.day_lost


# ---------------------------------------------------------------------------------- strangers


def test_an_order_that_is_not_ours_halts_entries_until_an_operator_resumes():
    machine, tape = running()
    assert "FOREIGN_ORDER" in alarms(machine.feed(tape.said(Kind.FOREIGN, a=77, b=MIDDLE, c=3)))
    assert machine.desk.submit(0, BUY, 1, MIDDLE) == 0
    assert machine.desk.last_reason == Reason.HALTED
    machine.feed(row(Kind.COMMAND, tape.later(), a=int(Command.RESUME)))
    machine.feed(tape.touch())
    assert machine.desk.submit(0, BUY, 1, MIDDLE)


def test_a_fill_that_is_not_ours_moves_the_position_and_halts_entries():
    machine, tape = running()
    rows = machine.feed(tape.said(Kind.FILL, a=0, b=5, c=MIDDLE, d=7))
    assert "FOREIGN_ORDER" in alarms(rows)
    assert machine.account.position(0, 0)["lots"] == 7
    assert machine.gate.halted


# ---------------------------------------------------------------------------------- gates


def test_a_closed_gate_lets_a_position_shrink_and_nothing_grow():
    machine, tape = with_position(10)
    machine.feed(row(Kind.GATE, tape.later(), a=int(Gate.USER_STREAM | Gate.LINK)))
    machine.feed(tape.touch())
    assert (machine.desk.submit(0, BUY, 1, MIDDLE), machine.desk.last_reason) == (0, Reason.GATE_CLOSED)
    assert machine.desk.close(0, 0, 10)
    machine.feed(row(Kind.GATE, tape.later()))
    assert machine.gate.gates == 0


def test_what_the_run_before_knew_is_remembered():
    machine, tape = running()
    machine.gate.remember(2 * EQUITY, machine.gate.day, EQUITY, day_lost=True)
    assert machine.gate.peak_e8 == 2 * EQUITY
    machine.feed(tape.touch())
    machine.feed(tape.mark(MIDDLE))
    assert machine.gate.killed  # half of the peak is gone
    for wrong in ({"peak_e8": 0}, {"symbols": [(1, 1, 0)]}):
        with pytest.raises(ValueError, match="past"):
            machine.gate.remember(**{"peak_e8": 1, "day": 1, "day_start_e8": 1} | wrong)


def test_pauses_and_what_is_held_back_outlive_a_run():
    before, tape = running()
    now = tape.later()
    before.gate.command(int(Command.HALT), 0)
    before.gate.remember(EQUITY, before.gate.day, EQUITY, paused_until=now, symbols=[(0, 5, now)])
    before.feed(tape.mark(MIDDLE, SECOND))
    (kept,), peaks = before.gate.symbols_held_back(), before.gate.loss_peaks()
    assert (kept, len(peaks)) == ((0, 5, now), 1)
    after, _ = running()
    past = {"paused_until": before.gate.paused_until, "loss_peaks": peaks, "symbols": [kept]}
    after.gate.remember(EQUITY, before.gate.day, EQUITY, **past)
    assert (after.gate.paused_until, after.gate.symbols_held_back()) == (now, [kept])
    assert after.gate.loss_peaks()[0] == peaks[0]
    assert (after.desk.submit(0, BUY, 1, MIDDLE), after.desk.last_reason) == (0, Reason.HALTED)


# ---------------------------------------------------------------------------------- protective stops


def test_the_first_fill_of_a_position_asks_for_one_stop_that_closes_all_of_it():
    machine, tape = running(stop_e8=STOP)
    rows = machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
    ((number, sells, type_, trigger, terms),) = terms_of(rows)
    assert (sells, type_, terms) == (True, OrderType.STOP_MARKET, Term.CLOSE_POSITION | Term.MARK_TRIGGER)
    assert trigger == MIDDLE * 95 // 100
    machine.feed(tape.said(Kind.ALGO, a=number, b=int(AlgoStatus.ALGO_NEW), c=5))
    assert not terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=2, c=MIDDLE, d=10)))
    assert not terms_of(machine.feed(tape.mark(MIDDLE, 5 * SECOND)))


def test_a_short_is_protected_from_above_on_the_days_tick():
    machine, tape = running(stop_e8=STOP)
    sold = {"flags": Flag.F_END | Flag.F_SELL}
    ((_, sells, _, trigger, _),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10, **sold)))
    assert (sells, trigger) == (False, MIDDLE * 105 // 100)


def test_a_stop_that_the_exchange_does_not_take_is_asked_for_again_a_second_later():
    machine, tape = running(stop_e8=STOP)
    ((number, *_),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    assert alarms(machine.feed(tape.said(Kind.REJECTED, a=number, b=-4045))) == ["STOP_REFUSED"]
    assert not terms_of(machine.feed(tape.mark(MIDDLE, SECOND // 2)))
    assert len(terms_of(machine.feed(tape.mark(MIDDLE, SECOND)))) == 1


def test_a_stop_whose_trigger_has_passed_closes_the_position_at_market():
    machine, tape = running(stop_e8=STOP)
    ((number, *_),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    rows = machine.feed(tape.said(Kind.REJECTED, a=number, b=-2021))
    (out,) = of(rows, Kind.ORDER)
    assert (int(out["c"]), bool(out["flags"] & Flag.F_SELL), int(out["d"]) & 255) == (10, True, OrderType.MARKET)


def test_a_stop_of_unknown_outcome_is_not_doubled():
    machine, tape = running(stop_e8=STOP)
    ((number, *_),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    machine.feed(tape.said(Kind.LOST, a=number, b=int(Kind.ORDER)))
    assert not terms_of(machine.feed(np.concatenate([tape.mark(MIDDLE, 3 * SECOND), tape.mark(MIDDLE, SECOND)])))


def test_each_leg_of_hedge_mode_gets_its_own_stop():
    machine, tape = running(stop_e8=STOP)
    machine.feed(tape.said(Kind.SETTING, a=int(Setting.HEDGE_MODE), b=1))
    long = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    short = {"flags": Flag.F_END | Flag.F_SELL | Flag.F_SHORT}
    machine.feed(tape.said(Kind.FILL, a=99, b=2, c=MIDDLE, d=4, **short))
    later = terms_of(machine.feed(tape.mark(MIDDLE, 2 * SECOND)))
    assert ([one[1] for one in long], [one[1] for one in later]) == ([True], [False])


def test_a_late_fill_is_told():
    machine, tape = with_position(10, lambda desk: desk.submit(0, SELL, 10, MIDDLE + 50))
    machine.feed(tape.touch())
    machine.feed(tape.said(Kind.CANCELED, a=client_id(1), b=10))
    sold = {"flags": Flag.F_END | Flag.F_SELL}
    assert "LATE_FILL" in alarms(machine.feed(tape.said(Kind.FILL, a=client_id(1), b=9, c=MIDDLE, d=10, **sold)))


# ---------------------------------------------------------------------------------- leaving


def test_flatten_cancels_and_closes_everything_and_entries_stay_off_until_resumed():
    machine, tape = with_position(10, lambda desk: desk.submit(0, BUY, 1, MIDDLE - 50))
    machine.feed(tape.touch())
    rows = machine.feed(tape.command(Command.FLATTEN))
    (out,) = of(rows, Kind.ORDER)
    assert (int(out["c"]), bool(out["flags"] & Flag.F_SELL)) == (10, True)
    assert [int(one["a"]) for one in of(rows, Kind.CANCEL)] == [client_id(1)]
    assert machine.leaving
    machine.feed(tape.said(Kind.CANCELED, a=client_id(1), b=1))
    sold = {"flags": Flag.F_END | Flag.F_SELL}
    machine.feed(tape.said(Kind.FILL, a=int(out["a"]), b=9, c=MIDDLE, d=10, **sold))
    machine.feed(tape.touch())
    assert (machine.leaving, machine.gate.halted, machine.gate.killed) == (False, True, False)
    machine.feed(tape.command(Command.RESUME))
    machine.feed(tape.touch())
    assert machine.desk.submit(0, BUY, 1, MIDDLE)


def test_a_flatten_that_finds_nothing_is_over_at_once_and_the_strategy_goes_on_when_resumed():
    machine, tape = engine(Plan(nothing, lambda desk: desk.submit(0, BUY, 1, MIDDLE - 50))), Tape()
    machine.feed(tape.opening)
    machine.feed(tape.command(Command.FLATTEN))
    assert (machine.leaving, machine.gate.halted) == (False, True)
    machine.feed(tape.command(Command.RESUME))
    assert [int(one["a"]) for one in of(machine.feed(tape.touch()), Kind.ORDER)] == [client_id(1)]


def test_one_symbol_is_left_while_the_others_go_on():
    tape, other = Tape(), Tape(1)
    machine = engine(symbols=2)
    machine.feed(tape.opening)
    machine.feed(other.opening)
    for one in (tape, other):
        machine.feed(one.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
    rows = machine.feed(row(Kind.COMMAND, other.later(SECOND), a=int(Command.FLATTEN), b=2))
    (out,) = of(rows, Kind.ORDER)
    assert (int(out["symbol"]), int(out["c"]), bool(out["flags"] & Flag.F_SELL)) == (1, 10, True)
    assert (machine.leaving, machine.gate.halted, machine.gate.watching(1)["halted"]) == (False, False, True)
    machine.feed(other.said(Kind.EXPIRED, a=int(out["a"]), b=10))
    again = of(machine.feed(other.mark(MIDDLE, 2 * SECOND)), Kind.ORDER)
    assert [(int(one["symbol"]), int(one["c"])) for one in again] == [(1, 10)]
    sold = {"flags": Flag.F_END | Flag.F_SELL}
    machine.feed(other.said(Kind.FILL, a=int(again[0]["a"]), b=9, c=MIDDLE, d=10, **sold))
    assert not of(machine.feed(other.mark(MIDDLE, 2 * SECOND)), Kind.ORDER).size
    assert machine.account.position(0, 0)["lots"] == 10
    tape.ts = other.ts
    machine.feed(np.concatenate([tape.mark(MIDDLE), tape.touch()]))
    assert machine.desk.submit(0, BUY, 1, MIDDLE), machine.desk.last_reason


def test_a_flatten_of_a_symbol_that_finds_nothing_open_is_over_at_once():
    machine, tape = running()
    for command, place in ((Command.FLATTEN, 1), (Command.RESUME, 0)):
        assert not of(machine.feed(row(Kind.COMMAND, tape.later(), a=int(command), b=place)), Kind.ORDER).size
    machine.feed(np.concatenate([tape.mark(MIDDLE), tape.touch()]))
    assert machine.desk.submit(0, BUY, 1, MIDDLE)
    for _ in range(3):
        assert not of(machine.feed(tape.mark(MIDDLE, SECOND)), Kind.CANCEL).size


def test_several_symbols_are_flattened_at_once():
    tapes, machine = (Tape(), Tape(1)), engine(symbols=2)
    for tape in tapes:
        machine.feed(tape.opening)
        machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
    now = tapes[1].later()
    asked = [machine.feed(row(Kind.COMMAND, now, a=int(Command.FLATTEN), b=place)) for place in (1, 2)]
    assert [int(of(rows, Kind.ORDER)["symbol"][0]) for rows in asked] == [0, 1]


def test_a_symbol_that_the_run_does_not_have_is_left_alone():
    machine, tape = running()
    with pytest.raises(ValueError, match="symbol"):
        machine.feed(row(Kind.COMMAND, tape.later(), a=int(Command.FLATTEN), b=2))


# ---------------------------------------------------------------------------------- stale orders


def test_an_order_that_has_rested_for_so_long_is_cancelled_until_it_is_gone():
    machine, tape = with_position(10, lambda desk: desk.submit(0, BUY, 1, MIDDLE - 50), stale_order_ns=300 * SECOND)
    machine.feed(tape.touch())
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=5, c=MIDDLE - 50, d=1))
    assert not of(machine.feed(tape.mark(MIDDLE, 299 * SECOND)), Kind.CANCEL).size
    assert [int(one["a"]) for one in of(machine.feed(tape.mark(MIDDLE, SECOND)), Kind.CANCEL)] == [client_id(1)]
    assert not of(machine.feed(tape.mark(MIDDLE, SECOND)), Kind.CANCEL).size
    machine.feed(tape.said(Kind.CANCEL_REJECTED, a=client_id(1), b=-1001))
    assert of(machine.feed(tape.mark(MIDDLE, SECOND)), Kind.CANCEL).size


def test_a_protective_stop_never_becomes_stale_and_without_a_limit_nothing_does():
    machine, tape = running(stop_e8=STOP, stale_order_ns=300 * SECOND)
    ((number, *_),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    machine.feed(tape.said(Kind.ALGO, a=number, b=int(AlgoStatus.ALGO_NEW), c=5))
    assert not of(machine.feed(tape.mark(MIDDLE, 4_000 * SECOND)), Kind.CANCEL).size
    machine, tape = with_position(10, lambda desk: desk.submit(0, BUY, 1, MIDDLE - 50))
    machine.feed(tape.touch())
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=5, c=MIDDLE - 50, d=1))
    assert not of(machine.feed(tape.mark(MIDDLE, 4_000 * SECOND)), Kind.CANCEL).size


def test_a_stop_that_has_nothing_to_close_is_taken_back():
    machine, tape = running(stop_e8=STOP)
    ((number, *_),) = terms_of(machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10)))
    machine.feed(tape.said(Kind.POSITION, a=0))  # closed by force before the stop came to stand
    machine.feed(tape.said(Kind.ALGO, a=number, b=int(AlgoStatus.ALGO_NEW), c=5))
    assert not of(machine.feed(tape.mark(MIDDLE, SECOND // 2)), Kind.CANCEL).size
    assert [int(one["a"]) for one in of(machine.feed(tape.mark(MIDDLE, SECOND)), Kind.CANCEL)] == [number]


# ---------------------------------------------------------------------------------- brackets


def brackets(tape, *ladder):
    """Rows of (cap_e8, ratio_e8, amount_e8, leverage), the last of which ends the set."""
    return np.concatenate([
        row(
            Kind.BRACKET, tape.later(), a=place, b=cap, c=ratio, d=amount, e=leverage,
            flags=Flag.F_END if place == len(ladder) - 1 else 0,
        )
        for place, (cap, ratio, amount, leverage) in enumerate(ladder)
    ])  # fmt: skip


def test_brackets_that_the_exchange_has_changed_hold_from_their_last_row_on():
    machine, tape = with_position(10)
    before = machine.account.position(0, 0)["maintenance_e8"]
    rows = brackets(tape, (50 * E8, 1_000_000, 0, 20), (100_000 * E8, 2_000_000, E8 // 2, 10))
    machine.feed(rows[:1])
    assert machine.account.position(0, 0)["maintenance_e8"] == before
    machine.feed(rows[1:])
    found = [tuple(one.values()) for one in machine.instruments.spec(0)["brackets"]]
    assert found == [(0, 50 * E8, 1_000_000, 0, 20), (50 * E8, 100_000 * E8, 2_000_000, E8 // 2, 10)]
    value = machine.account.position(0, 0)["value_e8"]
    assert machine.account.position(0, 0)["maintenance_e8"] == value * 2 // 100 - E8 // 2
    assert not machine.account.recompute()


@pytest.mark.parametrize(
    "ladder",
    [
        [(50 * E8, 0, 0, 20)],
        [(50 * E8, E8, 0, 20)],
        [(50 * E8, 1_000_000, -1, 20)],
        [(50 * E8, 1_000_000, 0, 0)],
        [(50 * E8, 1_000_000, 0, 201)],
        [(0, 1_000_000, 0, 20)],
        [(50 * E8, 1_000_000, 0, 20), (50 * E8, 2_000_000, 0, 10)],
        [(50 * E8 * (k + 1), 1_000_000, 0, 20) for k in range(17)],
    ],
)
def test_brackets_that_cannot_be_leave_what_was(ladder):
    machine, tape = with_position(10)
    before = machine.instruments.spec(0)["brackets"]
    machine.feed(brackets(tape, *ladder))
    assert machine.instruments.spec(0)["brackets"] == before


def test_a_set_of_brackets_that_lacks_one_leaves_what_was():
    machine, tape = with_position(10)
    before = machine.instruments.spec(0)["brackets"]
    rows = brackets(tape, (50 * E8, 1_000_000, 0, 20), (80 * E8, 1_500_000, 0, 15), (100 * E8, 2_000_000, 0, 10))
    machine.feed(rows[[0, 2]])
    assert machine.instruments.spec(0)["brackets"] == before
    machine.feed(rows)
    assert len(machine.instruments.spec(0)["brackets"]) == 3


# ---------------------------------------------------------------------------------------------- what comes late


def late(rows, seconds):
    rows = rows.copy()
    rows["lag_us"] = round(seconds * 1e6)
    return rows


@pytest.mark.parametrize(("book_s", "mark_s", "reason"), [
    (0.8, 2.8, None), (1.1, 0.0, Reason.R18_STALE_DATA), (0.0, 3.1, Reason.R18_STALE_DATA), (-5.0, -5.0, None),
])  # fmt: skip
def test_what_has_been_under_way_for_long_is_as_old_as_that_a5(book_s, mark_s, reason):
    machine, tape = running()
    machine.feed(late(tape.mark(MIDDLE, 5 * SECOND), mark_s))
    machine.feed(late(tape.touch(), book_s))
    number = machine.desk.submit(0, BUY, 1, MIDDLE)
    assert bool(number) == (reason is None) and (reason is None or machine.desk.last_reason == reason)
