"""What the engine does with events: the same every time, and whatever goes wrong, towards less risk."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from builders import E8, RECORDING, SIZING, depth, limits, row, snapshot, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from core_ext.account import Account
from core_ext.driver import Driver, Verifier
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalWriter, read_journal
from core_ext.quoter import Quoter
from core_ext.strategy import Strategy
from core_ext.types import Alarm, Command, Flag, Instruments, Kind, OrderState, OrderType, Reason
from core_ext.wire import Scanner

ROOT = Path(__file__).resolve().parents[1]

SECOND = 10**9
DAY = 86_400 * SECOND
START = 20_000 * DAY + 3_600 * SECOND
MIDDLE = 1_000_000  # ticks: 100,000 USDT, so that a lot of 0.001 is 100 USDT
EQUITY = 10_000 * E8  # a symbol may hold 20 % of it: 20 lots
EPOCH = 5
BUY, SELL = 0, 1
GTC, GTX = 0, 2


# ---------------------------------------------------------------------------------- a market and a strategy to order


class Tape:
    """Market rows of one symbol, each a little later than the one before."""

    def __init__(self, symbol=0, mark=MIDDLE):
        self.symbol, self.ts, self.last_id = symbol, START, 1
        self.opening = np.concatenate([self.mark(mark), self.snapshot(), self.touch()])

    def later(self, ns=SECOND // 10):
        self.ts += ns
        return self.ts

    def mark(self, ticks, ns=SECOND // 10):
        return row(Kind.MARK, self.later(ns), self.symbol, a=ticks * 10**7, b=ticks * 10**7)

    def snapshot(self):
        bids, asks = ([(MIDDLE + sign * k, 2_000) for k in range(1, 6)] for sign in (-1, 1))
        return snapshot(self.later(), self.last_id, bids, asks, self.symbol)

    def touch(self, lots=2_000, ns=SECOND // 10):
        """A diff that restates the best bid."""
        return self.change(bids=[(MIDDLE - 1, lots)], ns=ns)

    def change(self, bids=(), asks=(), missed=0, ns=SECOND // 10):
        previous = self.last_id + missed
        self.last_id = previous + 1
        return depth(self.later(ns), previous + 1, previous + 1, previous, bids, asks, self.symbol)

    def said(self, kind, **words):
        """An answer of the venue."""
        return row(kind, self.later(), self.symbol, **words)

    def command(self, command):
        return row(Kind.COMMAND, self.later(), a=int(command))


class Plan(Strategy):
    """Does the n-th thing at the n-th touch."""

    def __init__(self, *steps):
        super().__init__()
        self.steps, self.seen = steps, 0

    def on_book(self, symbol):
        self.seen += 1
        if self.seen <= len(self.steps):
            self.steps[self.seen - 1](self.desk)

    def snapshot(self):
        return (self.seen,)


class Idle(Strategy):
    """Does nothing."""


def engine(strategy=None, symbols=1, sources=None, filters=None, **changes):
    specs = [spec(name, **(filters or {})) for name in ("BTCUSDT", "ETHUSDT")[:symbols]]
    return Engine(
        Instruments(specs), strategy or Idle(), limits(**changes), SIZING, EQUITY, EPOCH,
        sources or ["stream"] * symbols, 12,
    )  # fmt: skip


def client_id(n):
    """The id of the n-th order of a run, from 1."""
    return EPOCH << 32 | n


def order(side, lots, ticks=0, tif=GTC, reduce_only=False):
    return lambda desk: desk.submit(0, side, lots, ticks, tif, reduce_only)


def nothing(desk):
    pass


def kinds(rows):
    return [Kind(int(kind)).name for kind in rows["kind"]]


def of(rows, kind):
    return rows[rows["kind"] == kind]


def with_position(lots, *steps, **changes):
    """Return an engine that holds lots (buy positive) by a fill that it did not ask for, and its tape."""
    tape, machine = Tape(), engine(Plan(nothing, *steps), **changes)
    machine.feed(tape.opening)
    flags = Flag.F_END | (Flag.F_SELL if lots < 0 else 0)
    machine.feed(tape.said(Kind.FILL, flags=flags, a=99, b=1, c=MIDDLE, d=abs(lots)))
    return machine, tape


# ---------------------------------------------------------------------------------- the same every time


def wandering(seed, count):
    """Return rows of a market that wanders by ticks: diffs, marks, trades."""
    dice, tape = np.random.default_rng(seed), Tape()
    rows, best = [row(Kind.RUN, START), tape.opening], MIDDLE
    for _ in range(count):
        move = int(dice.integers(-2, 3))
        lots = int(dice.integers(1, 3_000))
        bids, asks = [(best + move - 1, lots)], [(best + move + 1, 3_001 - lots)]
        if move > 0:
            asks = [(best + k, 0) for k in range(1, move + 1)] + asks
        if move < 0:
            bids = [(best - k, 0) for k in range(1, -move + 1)] + bids
        best += move
        pause = int(dice.integers(1, SECOND // 2))
        rows.append(tape.change(dict(bids).items(), dict(asks).items(), ns=pause))
        rows.append(tape.mark(best, 1))
        side = Flag.F_SELL if move < 0 else 0
        rows.append(row(Kind.TRADE, tape.later(1), flags=Flag.F_END | side, a=1, b=best, c=lots))
    return np.concatenate(rows)


def quoter():
    return Quoter(
        order_e8=150 * E8, budget_e8=600 * E8, requote_ns=SECOND // 5, join_ticks=0, min_spread_ticks=1
    )  # fmt: skip


def drive(machine, rows, folder, name="journal"):
    """Run rows through engine and venue; return (outbox, digest, path of the journal)."""
    instruments = Instruments([spec()])
    account = Account(instruments, EQUITY)
    exchange = Exchange(instruments, [account], ["stream"], 0.0, 0.0, 0, 12)
    path = folder / name
    path.unlink(missing_ok=True)
    journal = JournalWriter(str(path))
    driver = Driver(machine, exchange, None, journal, 20_000_000, 5_000_000, SECOND)
    driver.control(Kind.RUN, START)
    driver.feed_rows(rows[rows["kind"] < 32], 0, 0)
    digest = driver.finish()
    journal.close()
    assert account.equity() == machine.account.equity()
    written = np.concatenate([block.array() for block in read_journal(path)])
    return written[(written["kind"] >= 128) & (written["kind"] < 160)], digest, path


def test_the_same_rows_give_the_same_requests_and_the_same_state(tmp_path):
    rows = wandering(1, 300)
    runs = [drive(engine(quoter()), rows, tmp_path) for _ in range(2)]
    assert len(of(runs[0][0], Kind.ORDER)) > 20
    assert runs[0][0].tobytes() == runs[1][0].tobytes()
    assert runs[0][1] == runs[1][1]


def test_ten_events_in_replayed_give_the_same_hash():
    rows, machines = wandering(2, 10), [engine(quoter()) for _ in range(3)]
    assert rows[:10].tobytes() != rows[1:11].tobytes()
    for machine, few in zip(machines, (rows[:10], rows[:10], rows[:11]), strict=True):
        machine.feed(few)
    same, again, one_more = (machine.digest() for machine in machines)
    assert same == again
    assert same != one_more


def test_the_hash_of_a_run_does_not_depend_on_the_hash_seed_of_the_interpreter():
    found = {
        subprocess.run(
            [sys.executable, __file__],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "4294967295")
    }
    assert found == {hash_of_a_run()}


def hash_of_a_run():
    with TemporaryDirectory() as folder:
        asked, digest, _ = drive(engine(quoter()), wandering(3, 60), Path(folder))
    return f"{len(of(asked, Kind.ORDER))} {digest.hex()}\n"


def test_a_run_verifies_against_its_journal(tmp_path):
    rows = wandering(4, 300)
    _, _, path = drive(engine(quoter()), rows, tmp_path)
    verifier = Verifier(engine(quoter()), None, read_journal(path))
    verifier.feed_rows(rows[rows["kind"] < 32], 0, 0)
    assert verifier.finish() is None
    assert verifier.compared > 20
    other = Verifier(engine(quoter(), order_burst=19), None, read_journal(path))
    other.feed_rows(rows[rows["kind"] < 32], 0, 0)
    assert other.finish() == "the state at the end" or other.compared < verifier.compared


def test_truncating_the_future_changes_no_past_decision(tmp_path):
    rows = wandering(5, 100)
    whole, _, _ = drive(engine(quoter()), rows, tmp_path)
    assert len(of(whole, Kind.ORDER)) > 20

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(st.integers(1, len(rows)))
    def prefix(cut):
        now = rows[cut - 1]["ts"]
        past, _, _ = drive(engine(quoter()), rows[:cut], tmp_path)
        past = past[past["ts"] <= now]
        assert past.tobytes() == whole[: len(past)].tobytes()
        assert len(past) >= np.count_nonzero(whole["ts"] < now)

    prefix()


def recorded(lines, folder):
    """Run the quoter over recorder lines and return the journal, with the last stamp of the recording."""
    instruments = Instruments([spec()])
    machine = Engine(instruments, quoter(), limits(), SIZING, 7_700 * E8, EPOCH, ["stream"])
    exchange = Exchange(instruments, [Account(instruments, 7_700 * E8)], ["stream"], 0.0, 0.0, 0)
    path = folder / "journal"
    path.unlink(missing_ok=True)
    journal = JournalWriter(str(path))
    driver = Driver(machine, exchange, Scanner(instruments, 0), journal, 20_000_000, 5_000_000, SECOND)
    driver.control(Kind.RUN, int(lines[0].split(b" ")[0]) * 1_000)
    driver.feed_lines(b"".join(lines), 0, 0, 1_000, 0, 1)
    last = driver.now
    driver.finish()
    journal.close()
    return np.concatenate([block.array() for block in read_journal(path)]), last


def requests(journal):
    return journal[(journal["kind"] >= 128) & (journal["kind"] < 160)]


def recording():
    with gzip.open(RECORDING) as file:
        return file.read().splitlines(keepends=True)


def test_truncating_a_recording_changes_no_past_decision(tmp_path):
    lines = recording()[:4_000]
    whole = requests(recorded(lines, tmp_path)[0])
    assert len(of(whole, Kind.ORDER)) > 5
    for cut in (1_000, 1_999, 3_333):
        journal, last = recorded(lines[:cut], tmp_path)
        past = requests(journal[journal["ts"] <= last])
        assert past.tobytes() == whole[whole["ts"] <= last][: len(past)].tobytes()
        assert len(past) >= np.count_nonzero(whole["ts"] < last)


def test_a_makers_fills_on_a_recording_stand_at_their_limit_and_come_after_their_orders(tmp_path):
    journal, _ = recorded(recording(), tmp_path)
    orders = {int(one["a"]): one for one in of(journal, Kind.ORDER)}
    fills = of(journal, Kind.FILL)
    assert len(fills) > 10
    for fill in fills:
        order = orders[int(fill["a"])]
        assert fill["flags"] & Flag.F_MAKER
        assert fill["c"] == order["b"]
        assert fill["ts"] - 5_000_000 >= order["ts"] + 20_000_000
    for client_id, order in orders.items():
        assert fills["d"][fills["a"] == client_id].sum() <= order["c"]


# ---------------------------------------------------------------------------------- a strategy that raises


def stumble(desk):
    desk.submit(0, BUY, 2, MIDDLE - 3, GTX)
    raise ZeroDivisionError("one over nothing")


FAILING = (order(BUY, 1, MIDDLE - 2, GTX), order(SELL, 1, MIDDLE + 2, GTX), stumble, order(BUY, 3, MIDDLE - 4, GTX))


def failing_rows(tape):
    return np.concatenate([tape.opening, tape.touch(), tape.touch(), tape.touch(), tape.touch()])


def test_a_strategy_that_raises_is_disabled_and_its_orders_are_cancelled():
    machine = engine(Plan(*FAILING))
    asked = machine.feed(failing_rows(Tape()))
    assert kinds(asked[1:]) == ["ORDER", "ORDER", "ORDER", "STRATEGY_FAILED", "CANCEL", "CANCEL", "CANCEL"]
    assert sorted(of(asked, Kind.CANCEL)["a"].tolist()) == [client_id(n) for n in (1, 2, 3)]
    assert machine.failed
    assert isinstance(machine.failure, ZeroDivisionError)
    assert machine.strategy.seen == 3


def test_the_stop_of_a_strategy_that_raises_stays():
    protect = lambda desk: desk.order(  # noqa: E731
        0, SELL, OrderType.STOP_MARKET, 10, trigger_ticks=MIDDLE - 5_000, reduce_only=True
    )
    machine, tape = with_position(10, protect, stumble)
    asked = machine.feed(np.concatenate([tape.touch(), tape.touch(), tape.touch()]))
    assert machine.failed
    assert of(asked, Kind.CANCEL)["a"].tolist() == [client_id(2)]


def test_a_strategy_that_raises_does_so_identically_on_replay(tmp_path):
    tape = Tape()
    rows = np.concatenate([failing_rows(tape), tape.mark(MIDDLE), tape.touch()])
    first, again = engine(Plan(*FAILING)), engine(Plan(*FAILING))
    assert first.feed(rows).tobytes() == again.feed(rows).tobytes()
    assert first.digest() == again.digest()
    _, _, path = drive(engine(Plan(*FAILING)), rows, tmp_path)
    verifier = Verifier(engine(Plan(*FAILING)), None, read_journal(path))
    verifier.feed_rows(rows, 0, 0)
    assert verifier.finish() is None


def test_a_failed_strategy_stops_nothing_else():
    machine = engine(Plan(*FAILING))
    tape = Tape()
    machine.feed(failing_rows(tape))
    machine.feed(tape.said(Kind.FILL, a=client_id(1), b=1, c=MIDDLE - 2, d=1, e=10**6))
    assert machine.account.position(0)["lots"] == 1
    asked = machine.feed(tape.command(Command.KILL))
    assert kinds(asked) == ["ORDER"]
    assert asked["flags"][0] & Flag.F_REDUCE_ONLY


# ---------------------------------------------------------------------------------- books that break


def test_a_lost_book_pulls_its_quotes_and_says_so():
    tape, machine = Tape(), engine(Plan(order(BUY, 1, MIDDLE - 2, GTX)))
    machine.feed(tape.opening)
    asked = machine.feed(tape.change(bids=[(MIDDLE - 1, 5)], missed=1))
    assert kinds(asked) == ["ALARM", "CANCEL"]
    assert asked["a"].tolist() == [Alarm.BOOK_GAP, client_id(1)]
    assert machine.strategy.seen == 1
    assert len(machine.feed(tape.touch())) == 0
    asked = machine.feed(np.concatenate([tape.snapshot(), tape.touch()]))
    assert (kinds(asked), asked["a"].tolist()) == (["ALARM"], [Alarm.BOOK_RECOVERED])
    assert machine.strategy.seen > 1


def test_a_lost_book_pulls_only_its_own_quotes_and_keeps_what_reduces():
    steps = (
        order(BUY, 1, MIDDLE - 2, GTX),
        order(SELL, 1, MIDDLE + 2, GTX, reduce_only=True),
        lambda desk: desk.submit(1, BUY, 2, MIDDLE - 2, GTX),
    )
    tape, other, machine = Tape(), Tape(1), engine(Plan(nothing, nothing, *steps), symbols=2)
    machine.feed(np.concatenate([tape.opening, other.opening]))
    machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=1))
    asked = machine.feed(np.concatenate([tape.touch(), tape.touch(), tape.touch()]))
    assert kinds(asked) == ["ORDER"] * 3
    asked = machine.feed(tape.change(missed=3))
    assert kinds(asked) == ["ALARM", "CANCEL"]
    assert asked["a"][1] == client_id(1)


def test_a_crossed_book_is_no_book():
    tape, machine = Tape(), engine(Plan(order(BUY, 1, MIDDLE - 2, GTX)))
    machine.feed(tape.opening)
    asked = machine.feed(tape.change(bids=[(MIDDLE + 2, 5)]))
    assert (kinds(asked), asked["a"].tolist()) == (["ALARM", "CANCEL"], [Alarm.BOOK_CROSSED, client_id(1)])


def test_entries_wait_for_a_usable_book_and_exits_do_not():
    machine, tape = with_position(10)
    machine.feed(tape.change(missed=1))
    assert machine.desk.submit(0, BUY, 1, MIDDLE) == 0
    assert machine.desk.last_reason == Reason.R18_STALE_DATA
    assert machine.desk.submit(0, SELL, 10, 0, GTC, True) == client_id(1)


# ---------------------------------------------------------------------------------- kill and halt


def test_kill_cancels_everything_and_closes_the_position():
    machine, tape = with_position(10, order(BUY, 1, MIDDLE - 2, GTX), order(SELL, 1, MIDDLE + 5, GTX))
    machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    asked = machine.feed(tape.command(Command.KILL))
    assert sorted(of(asked, Kind.CANCEL)["a"].tolist()) == [client_id(1), client_id(2)]
    (closing,) = of(asked, Kind.ORDER)
    assert (closing["b"], closing["c"], closing["d"] & 255) == (0, 10, OrderType.MARKET)
    assert closing["flags"] & Flag.F_SELL
    assert closing["flags"] & Flag.F_REDUCE_ONLY


def test_kill_closes_a_short_by_buying():
    machine, tape = with_position(-10)
    (closing,) = machine.feed(tape.command(Command.KILL))
    assert closing["kind"] == Kind.ORDER
    assert closing["c"] == 10
    assert not closing["flags"] & Flag.F_SELL


def test_kill_tries_again_after_a_second_until_flat():
    machine, tape = with_position(10)
    machine.feed(tape.command(Command.KILL))
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=client_id(1), b=2, c=MIDDLE - 1, d=4))
    assert "ORDER" not in kinds(machine.feed(tape.mark(MIDDLE, 2 * SECOND)))  # the first one is still on its way
    machine.feed(tape.said(Kind.EXPIRED, a=client_id(1), b=6, c=9))
    (again,) = machine.feed(tape.mark(MIDDLE, SECOND))
    assert (again["kind"], again["c"]) == (Kind.ORDER, 6)
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=client_id(2), b=3, c=MIDDLE - 1, d=6))
    assert machine.account.position(0)["lots"] == 0
    assert len(machine.feed(np.concatenate([tape.mark(MIDDLE, 2 * SECOND), tape.mark(MIDDLE, 2 * SECOND)]))) == 0


def test_kill_closes_in_pieces_what_the_exchange_takes_in_pieces():
    machine, tape = with_position(10, filters={"max_market_lots": 6})
    sizes = []
    for n, at_once in ((1, tape.command(Command.KILL)), (2, None), (3, None)):
        asked = machine.feed(at_once if at_once is not None else tape.mark(MIDDLE, SECOND))
        sizes += asked["c"].tolist()
        for lots in asked["c"].tolist():
            flags = Flag.F_END | Flag.F_SELL
            machine.feed(tape.said(Kind.FILL, flags=flags, a=client_id(n), b=n, c=MIDDLE, d=lots))
    assert sizes == [6, 4]


def test_kill_does_not_repeat_itself_within_a_second():
    machine, tape = with_position(10)
    machine.feed(tape.command(Command.KILL))
    machine.feed(tape.said(Kind.EXPIRED, a=client_id(1), b=10, c=9))
    assert len(machine.feed(tape.mark(MIDDLE, SECOND // 2))) == 0
    assert len(machine.feed(tape.command(Command.KILL))) == 0
    assert kinds(machine.feed(tape.mark(MIDDLE, SECOND))) == ["ORDER"]


def test_a_reduce_only_order_far_away_does_not_keep_a_kill_from_closing():
    """A resting take-profit must not survive the flatten, nor stand in its way."""
    machine, tape = with_position(10, order(SELL, 10, MIDDLE + 4_000, GTX, reduce_only=True))
    assert kinds(machine.feed(tape.touch())) == ["ORDER"]
    asked = machine.feed(tape.command(Command.KILL))
    asked = np.concatenate([asked, machine.feed(tape.said(Kind.CANCELED, a=client_id(1), b=10))])
    asked = np.concatenate([asked, machine.feed(tape.mark(MIDDLE, 2 * SECOND))])
    assert of(asked, Kind.CANCEL)["a"].tolist() == [client_id(1)]
    closing = of(asked, Kind.ORDER)
    assert closing["c"].tolist() == [10]
    assert closing["b"].tolist() == [0]


def test_after_a_kill_nothing_is_asked_of_the_strategy_and_nothing_resumes_it():
    machine, tape = with_position(10, *[order(BUY, 1, MIDDLE - k, GTX) for k in range(2, 9)])
    machine.feed(tape.command(Command.KILL))
    machine.feed(np.concatenate([tape.command(Command.RESUME), tape.command(Command.ALLOW), tape.touch()]))
    assert machine.strategy.seen == 1
    assert machine.desk.submit(0, BUY, 1, MIDDLE) == 0
    assert machine.desk.last_reason == Reason.R22_DRAWDOWN_KILL


def test_a_drawdown_at_its_limit_says_so_and_closes_the_position_by_itself():
    # 20 lots bought at 100,000 lose 20 USDT for every 1,000 of the mark; the equity is 1,200 above the limit.
    machine, tape = with_position(20, max_drawdown_e8=10_000_000, daily_loss_e8=50_000_000)
    assert len(machine.feed(tape.mark(MIDDLE // 2 + 1))) > 0  # half size and reduce-only, on the way
    assert not machine.gate.killed
    asked = machine.feed(tape.mark(MIDDLE // 2))
    assert (kinds(asked), asked["a"][0]) == (["ALARM", "ORDER"], Alarm.DRAWDOWN_KILL)
    assert (asked["b"][1], asked["c"][1]) == (0, 20)
    assert machine.gate.killed


def test_the_drawdown_ladder_and_the_daily_loss_are_told_once_each():
    machine, tape = with_position(20, max_drawdown_e8=8_000_000, loss_rate_e8=99_000_000)
    told = [
        of(machine.feed(tape.mark(MIDDLE * percent // 100)), Kind.ALARM)["a"].tolist()
        for percent in (86, 85, 84, 80, 79, 70, 69)
    ]
    assert told == [[], [Alarm.DAILY_LOSS], [], [Alarm.DRAWDOWN_HALF], [], [Alarm.DRAWDOWN_REDUCE_ONLY], []]


def test_a_halted_gate_still_lets_a_position_shrink():
    machine, tape = with_position(10, order(BUY, 1, MIDDLE - 2, GTX), order(SELL, 10, MIDDLE + 1))
    machine.feed(tape.command(Command.HALT))
    asked = machine.feed(np.concatenate([tape.touch(), tape.touch()]))
    assert kinds(asked) == ["REFUSED", "ORDER"]
    assert asked["a"][0] == Reason.HALTED
    machine.feed(tape.command(Command.RESUME))
    assert machine.desk.submit(0, BUY, 1, MIDDLE - 2, GTX) == client_id(2)


def test_a_cancel_is_never_refused_for_its_rate():
    steps = [order(BUY, 1, MIDDLE - 2 - k, GTX) for k in range(21)]

    def all_at_once(desk):
        for step in steps:
            step(desk)

    wide = {"max_orders_symbol": 99, "symbol_share_e8": E8}
    tape, machine = Tape(), engine(Plan(all_at_once, lambda desk: desk.cancel_all()), **wide)
    asked = machine.feed(tape.opening)
    assert kinds(asked[1:]) == ["ORDER"] * 20 + ["REFUSED"]
    assert asked["a"][-1] == Reason.R11_ORDER_RATE
    assert kinds(machine.feed(tape.touch(ns=1))) == ["CANCEL"] * 20


# ---------------------------------------------------------------------------------- answers that surprise


def test_a_strategy_that_loops_is_held_at_its_rate_and_its_exits_are_not():
    def loop(desk):
        for k in range(100):
            desk.submit(0, BUY, 1, MIDDLE - 5 - k)

    machine, tape = with_position(10, *[loop] * 10, orders_per_second=2, order_burst=5, strategy_orders_per_second=2)
    left = [len(of(machine.feed(tape.touch(SECOND // 10)), Kind.ORDER)) for _ in range(10)]
    assert 5 <= sum(left) <= 5 + 2 and left[0] == 5
    assert machine.gate.refused()["R11_ORDER_RATE"] >= 900
    assert machine.desk.close(0, 0, 10)


def test_a_fill_of_an_unknown_order_moves_the_position_and_is_counted():
    machine, tape = with_position(7)
    assert machine.account.position(0)["lots"] == 7
    assert machine.orders.late == 1
    machine.feed(tape.said(Kind.FILL, flags=Flag.F_END | Flag.F_SELL, a=98, b=2, c=MIDDLE, d=3, e=50))
    assert (machine.account.position(0)["lots"], machine.account.fees_e8, machine.orders.late) == (4, 50, 2)


def test_a_fill_of_an_order_believed_dead_moves_the_position_and_resurrects_nothing():
    tape, machine = Tape(), engine(Plan(order(BUY, 5, MIDDLE - 2, GTX)))
    machine.feed(tape.opening)
    machine.feed(tape.said(Kind.CANCELED, a=client_id(1), b=5))
    machine.feed(tape.said(Kind.FILL, a=client_id(1), b=1, c=MIDDLE - 2, d=5))
    assert machine.account.position(0)["lots"] == 5
    assert machine.orders.late == 1
    assert machine.orders.order(client_id(1))["state"] == OrderState.CANCELLED.name
    assert machine.orders.open_orders == 0


def test_evidence_about_an_unknown_order_is_counted_and_changes_nothing():
    machine, tape = engine(), Tape()
    machine.feed(tape.opening)
    before = machine.account.equity(), machine.orders.rows()
    machine.feed(np.concatenate([tape.said(Kind.ACCEPTED, a=12345, b=1), tape.said(Kind.CANCELED, a=12345, b=1)]))
    assert machine.orders.illegal == 2
    assert (machine.account.equity(), machine.orders.rows()) == before


@pytest.mark.parametrize("kind", [Kind.DEPTH, Kind.TRADE, Kind.MARK, Kind.FILL, Kind.FUNDING_PAID, Kind.TIMER])
def test_an_event_of_a_symbol_that_the_run_does_not_have_raises(kind):
    machine = engine()
    with pytest.raises(ValueError, match="symbol 1"):
        machine.feed(row(kind, START, symbol=1))


def test_an_unknown_command_raises():
    with pytest.raises(ValueError, match="77"):
        engine().feed(Tape().command(77))


def test_a_liquidation_ends_the_position_and_halts():
    machine, tape = with_position(20)
    asked = machine.feed(tape.said(Kind.LIQUIDATION, flags=Flag.F_END | Flag.F_SELL, a=20, b=95_000 * E8, c=25 * E8))
    assert (kinds(asked)[0], asked["a"][0]) == ("ALARM", Alarm.LIQUIDATED)
    assert machine.account.position(0)["lots"] == 0
    assert machine.gate.halted
    assert machine.account.reconcile() == 0


def test_a_deposit_and_a_withdrawal_are_no_profit_and_no_loss():
    machine, tape = with_position(20)
    machine.feed(np.concatenate([tape.said(Kind.TRANSFER, a=1_000 * E8), tape.said(Kind.TRANSFER, a=-500 * E8)]))
    assert machine.account.equity() == 10_500 * E8
    assert machine.gate.peak_e8 == 10_500 * E8
    assert machine.gate.ladder == 0
    assert not machine.gate.day_lost


# ---------------------------------------------------------------------------------- sizes that are zero


class Sized(Strategy):
    """Trades to the size that its stated edge deserves, at every bar."""

    def __init__(self, signal, sharpe):
        super().__init__()
        self.signal, self.sharpe = signal, sharpe

    def on_bars(self):
        lots, factor = self.desk.size(0, self.signal, 0.6, 0.09, self.sharpe, 0.5)
        self.desk.trade_to(0, lots, factor)


def candles(count):
    rows = []
    for k in range(1, count + 1):
        ts = START + k * 3_600 * SECOND
        words = {"a": 10**13, "b": 10**13 + 10**10, "c": 10**13 - 10**10, "d": 10**13, "e": 10**6, "f": 3_600 * SECOND}
        rows.append(row(Kind.CANDLE, ts, flags=Flag.F_END | Flag.F_CLOSED, **words))
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("signal", "sharpe", "orders"),
    [
        (0.0, 0.5, 0),
        (1.0, 0.0, 0),
        (1.0, -0.5, 0),
        (-1.0, -0.5, 0),
        (float("nan"), 0.5, 0),
        (1.0, 0.5, 3),
        (-1.0, 0.5, 3),
    ],
)
def test_without_a_signal_or_an_edge_there_is_no_order(signal, sharpe, orders):
    asked = engine(Sized(signal, sharpe), sources=["proxy"]).feed(candles(3))
    assert len(of(asked, Kind.ORDER)) == orders
    assert len(of(asked, Kind.REFUSED)) == 0
    assert all(bool(flags & Flag.F_SELL) == (signal < 0) for flags in asked["flags"])


@pytest.mark.parametrize(
    ("tick", "touch"), [(1, (100_003, 100_004)), (10, (100_000, 100_010)), (4, (100_000, 100_004))]
)
def test_the_touch_of_a_candle_lies_on_the_tick_of_the_day(tick, touch):
    idle, bars = Idle(), candles(1)
    machine = engine(idle, sources=["proxy"])
    bars["d"] = 100_003 * 10**7 + 5
    machine.feed(row(Kind.FILTERS, START, a=tick, b=1, c=1, d=10, e=10, f=0))
    machine.feed(bars)
    bid, _, ask, _ = idle.desk.touch(0)
    assert (bid, ask) == touch


if __name__ == "__main__":
    sys.stdout.write(hash_of_a_run())


# ---------------------------------------------------------------------------------- limits that trip


def resting_entry_under(event, position=0):
    """Return what is asked for when something happens while a buy of 2 rests below, and the engine."""
    plan = Plan(nothing, order(BUY, 2, MIDDLE - 500))
    machine, tape = engine(plan, symbol_share_e8=50_000_000), Tape()
    machine.feed(tape.opening)
    if position:
        machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=position))
    assert kinds(machine.feed(tape.touch())) == ["ORDER"]
    machine.feed(tape.said(Kind.ACCEPTED, a=client_id(1), b=1, c=MIDDLE - 500, d=2))
    return machine.feed(event(tape)), machine


def test_a_halt_takes_back_what_would_open_more():
    asked, _ = resting_entry_under(lambda tape: tape.command(Command.HALT))
    assert "CANCEL" in kinds(asked)


def test_a_daily_loss_takes_back_what_would_open_more():
    # 20 lots are 2,000 USDT of 10,000: a fifth less loses 4 % of the equity, more than the day's 3 %.
    asked, machine = resting_entry_under(lambda tape: tape.mark(MIDDLE * 80 // 100), position=20)
    assert machine.gate.day_lost
    assert "CANCEL" in kinds(asked)


def test_losses_are_judged_on_trades_while_the_mark_is_old():
    _, machine = resting_entry_under(
        lambda tape: row(Kind.TRADE, tape.later(3 * SECOND), b=MIDDLE // 4, c=1), position=20
    )
    assert machine.gate.killed


def test_a_mark_between_two_candles_is_looked_at():
    machine = engine(sources=["file"])
    bar = {"a": 100_000 * E8, "b": 100_000 * E8, "c": 100_000 * E8, "d": 100_000 * E8, "e": 10**6, "f": 3_600 * SECOND}
    low = bar | {"c": 40_000 * E8, "d": 40_000 * E8, "f": 60 * SECOND}
    machine.feed(row(Kind.CANDLE, START, flags=Flag.F_END | Flag.F_CLOSED, **bar))
    machine.feed(row(Kind.FILL, START + 1, a=99, b=1, c=MIDDLE, d=20))
    machine.feed(row(Kind.MARK_CANDLE, START + 60 * SECOND, **low))
    assert machine.gate.killed


def test_the_first_move_after_midnight_belongs_to_the_new_day():
    machine, tape = engine(), Tape()
    machine.feed(tape.opening)
    machine.feed(tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=20))
    machine.feed(tape.mark(MIDDLE))
    tape.ts = 20_001 * DAY
    machine.feed(tape.mark(MIDDLE * 80 // 100, ns=0))
    assert machine.gate.day_lost


def test_a_position_larger_than_a_market_order_is_closed_in_parts():
    seen = []

    class Closer(Strategy):
        def on_book(self, symbol):
            if self.desk.position(0):
                seen.append(self.desk.trade_to(0, 0))

    machine, tape = engine(Closer(), filters={"max_market_lots": 8}), Tape()
    machine.feed(np.concatenate([tape.opening, tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=20)]))
    asked = of(machine.feed(tape.touch(lots=1_999)), Kind.ORDER)
    assert [(int(one["c"]), bool(one["flags"] & Flag.F_REDUCE_ONLY)) for one in asked] == [(8, True)]


def test_a_reduce_only_order_withdraws_the_plain_orders_beside_it():
    machine, tape = with_position(10, order(SELL, 5, MIDDLE + 400), order(SELL, 10, reduce_only=True))
    machine.feed(tape.touch(lots=1_998))
    assert kinds(machine.feed(tape.touch(lots=1_997))) == ["CANCEL", "ORDER"]


def test_a_quoter_without_an_engine_and_lines_without_a_scanner_are_errors_and_no_crash(tmp_path):
    with pytest.raises(TypeError, match="engine"):
        quoter().on_book(0)
    machine = engine()
    exchange = Exchange(machine.instruments, [Account(machine.instruments, EQUITY)], ["stream"], 0.0, 0.0, 0, 12)
    driver = Driver(machine, exchange, None, JournalWriter(str(tmp_path / "journal")), 0, 0, SECOND)
    with pytest.raises(TypeError, match="scanner"):
        driver.feed_lines(b"1700000000000 {}\n", 0, 0, 1_000_000, 0, 1)


# ---------------------------------------------------------------------------------- who watches what is asked for


class Witness:
    """Takes down what is asked for, and what was held at that moment."""

    def __init__(self, engine):
        self.engine, self.requests, self.sizes = engine, [], []
        engine.desk.witness = self

    def asked(self, request):
        held = self.engine.orders.open_orders
        self.requests.append((request["side"], request["lots"], request["price_ticks"], held))

    def sized(self, symbol, inputs, lots, factor):
        self.sizes.append((symbol, inputs["signal"], inputs["equity"], lots, factor))


def test_a_witness_sees_every_order_and_every_refusal_before_it_is_held_and_changes_nothing():
    tape = Tape()
    rows = np.concatenate([tape.opening, *(tape.touch() for _ in range(3))])

    def plan():
        return Plan(order(BUY, 2, MIDDLE - 5), order(SELL, 3, MIDDLE + 5), order(BUY, 10**6, MIDDLE - 6))

    plain, watched = engine(plan()), engine(plan())
    witness = Witness(watched)
    assert watched.feed(rows).tobytes() == plain.feed(rows).tobytes() and watched.digest() == plain.digest()
    assert witness.requests == [(BUY, 2, MIDDLE - 5, 0), (SELL, 3, MIDDLE + 5, 1), (BUY, 10**6, MIDDLE - 6, 2)]


def test_a_witness_hears_what_a_size_was_made_of():
    found = []
    watched = engine(Plan(lambda desk: found.append(desk.size(0, -0.5, 0.6, 0.1, 0.5, 0.5))))
    witness = Witness(watched)
    watched.feed(Tape().opening)
    ((symbol, signal, equity, lots, factor),) = witness.sizes
    assert (symbol, signal, equity) == (0, -0.5, EQUITY / E8) and found == [(-lots, factor)] and lots > 0
