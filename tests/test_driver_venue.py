"""The engine and the venue together: conditional orders, amendments, lost answers and isolated margin on real rows."""

from random import Random

import numpy as np
import pytest
from builders import E8, RECORDING, configuration, limits, row, spec
from test_engine import BUY, MIDDLE, SECOND, SELL, SIZING, Tape

from autotrader.cli import main
from autotrader.research.stress import STAND_ASIDE
from autotrader.views.ledger import Ledger
from core_ext.account import Account
from core_ext.driver import Driver, Verifier
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.fault import Faults
from core_ext.journal import JournalWriter, read_journal
from core_ext.latency import Latency
from core_ext.strategy import Strategy
from core_ext.types import Command, Flag, Instruments, Kind, OrderType, Reason, Setting

EQUITY = 100_000 * E8
STOP = OrderType.STOP_MARKET
OPENING = 1  # touches at which a step may be done, of the opening


class Steps(Strategy):
    """Does the n-th thing at the n-th touch."""

    def __init__(self, *steps):
        super().__init__()
        self.steps, self.seen = list(steps), 0

    def on_book(self, symbol):
        self.seen += 1
        if self.seen <= len(self.steps) and self.steps[self.seen - 1]:
            self.steps[self.seen - 1](self.desk)

    def snapshot(self):
        return (self.seen,)


class Run:
    """A strategy's steps against the venue, one touch a second."""

    def __init__(
        self,
        folder,
        *steps,
        faults=None,
        latency=None,
        isolated=False,
        marks=(),
        trade=None,
        halt=0,
        filters=None,
    ):
        tape = Tape()
        rows = [tape.opening]
        for step in range(OPENING, OPENING + len(steps) + 2):
            rows += [row(Kind.FILTERS, tape.later(), **filters[step])] if filters and step in filters else []
            rows.append(tape.touch(ns=SECOND))
            if trade and step - OPENING + 2 == trade[0]:  # somebody sells, a while after that touch
                flags = Flag.F_END | Flag.F_SELL
                rows.append(row(Kind.TRADE, tape.ts + trade[1], flags=flags, a=1, b=trade[2], c=trade[3]))
        for ticks in marks:
            rows += [tape.mark(ticks), tape.touch(ns=SECOND)]
        self.rows = np.concatenate(rows)
        self.make = lambda: Engine(
            Instruments([spec()]), Steps(*steps), limits(**STAND_ASIDE), SIZING, EQUITY, 5, ["stream"], 12
        )
        self.engine = self.make()
        self.account = Account(self.engine.instruments, EQUITY)
        self.venue = Exchange(
            self.engine.instruments, [self.account], ["stream"], 0.0, 0.0, 0, False, 12, faults=faults
        )
        self.path = folder / "journal"
        journal = JournalWriter(str(self.path))
        driver = Driver(self.engine, self.venue, None, journal, 20_000_000, 5_000_000, SECOND, latency)
        driver.control(Kind.RUN, tape.opening["ts"][0] - 1)
        if isolated:
            driver.control(Kind.SETTING, tape.opening["ts"][0] - 1, (int(Setting.ISOLATED), 1))
        if halt:
            driver.schedule(Kind.COMMAND, halt, (int(Command.HALT),))
        driver.feed_rows(self.rows, 0, 0)
        self.digest = driver.finish()
        journal.close()

    def states(self):
        return [self.engine.orders.order(one["client_id"])["state"] for one in self.engine.orders.rows()]

    def agrees(self):
        """Say whether both sides hold the same, and a replay of the journal does the same again."""
        verifier = Verifier(self.make(), None, read_journal(self.path))
        verifier.feed_rows(self.rows, 0, 0)
        mine, theirs = self.engine.account, self.account
        return (
            verifier.finish() is None and mine.position(0) == theirs.position(0) and mine.wallet_e8 == theirs.wallet_e8
        )


def buy(lots):
    return lambda desk: desk.submit(0, BUY, lots)


def stop(lots, ticks):
    return lambda desk: desk.order(0, SELL, STOP, lots, trigger_ticks=ticks, reduce_only=True, terms=4)


def test_a_stop_waits_for_the_mark_and_closes_the_position(tmp_path):
    waiting = Run(tmp_path, buy(10), None, stop(10, MIDDLE - 500))
    assert waiting.states() == ["FILLED", "ARMED"]
    (tmp_path / "journal").unlink()
    run = Run(tmp_path, buy(10), None, stop(10, MIDDLE - 500), marks=(MIDDLE - 400, MIDDLE - 500))
    assert run.states() == ["FILLED", "FILLED"]
    assert run.engine.account.position(0)["lots"] == 0
    assert run.agrees()
    # Each counts once among the orders that have ended, whatever else is said of it at the same stamp.
    ends = next(part for part in run.engine.gate.state() if part and isinstance(part, list) and "gtc" in str(part[0]))
    assert sum(minute["orders"] for minute in ends) == 2


def test_an_answer_that_is_later_than_its_word_can_say_says_the_most_it_can(tmp_path):
    # An hour's delay holds back what comes after it, too: one connection keeps its order.
    faults = Faults([(0, moment(2), "delayed", 1.0, 3_600 * SECOND)])
    run = Run(tmp_path, buy(5), buy(6), faults=faults)
    rows = np.concatenate([block.array() for block in read_journal(run.path)])
    assert rows[rows["kind"] == Kind.FILL]["lag_us"].tolist() == [5_000, 2**31 - 1]
    assert run.agrees()


def test_an_amendment_reaches_the_venue_and_comes_back(tmp_path):
    def change(desk):
        assert desk.amend(desk.orders.rows()[0]["client_id"], MIDDLE - 2, 7)

    run = Run(tmp_path, lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3), None, change)
    (order,) = run.engine.orders.rows()
    assert (order["price_ticks"], order["lots"], run.states()) == (MIDDLE - 2, 7, ["LIVE"])
    assert run.agrees()


@pytest.mark.parametrize(
    ("what", "end", "asked"), [("lost, carried out", "LIVE", False), ("lost, not carried out", "REJECTED_", True)]
)
def test_only_the_venue_ends_an_order_whose_answer_was_lost(tmp_path, what, end, asked):
    # What was carried out tells it by itself; of what was not, the venue says so when it is asked, and is believed once
    # the request is too old to arrive.
    first = int(Tape().opening["ts"][-1]) + SECOND
    faults = Faults([(0, first + SECOND, what, 1.0, 0)])
    run = Run(tmp_path, lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3), *[None] * 8, faults=faults)
    kinds = {Kind(int(kind)) for block in read_journal(run.path) for kind in block.array()["kind"]}
    assert Kind.LOST in kinds
    assert (Kind.QUERY in kinds) == asked
    assert run.states() == [end]
    assert run.agrees()


def moment(touches):
    """Return the stamp of the n-th touch; what is asked for then reaches the venue 20 ms later."""
    return int(Tape().opening["ts"][-1]) + (touches - 1) * SECOND


def asked(run, kind):
    return sum(int((block.array()["kind"] == int(kind)).sum()) for block in read_journal(run.path))


@pytest.mark.parametrize("what", ["lost, not carried out", "lost", 503])
def test_a_venue_that_is_silent_is_asked_once_a_second_and_no_more(tmp_path, what):
    # Two orders are lost, then every question for ten seconds.
    faults = Faults([(0, moment(1) + SECOND // 2, "lost, not carried out", 1.0, 0), (0, moment(11), what, 1.0, 0)])

    def both(desk):
        for k in (3, 4):
            assert desk.submit(0, BUY, 5, MIDDLE - k)

    run = Run(tmp_path, both, *[None] * 13, faults=faults)
    assert run.states() == ["REJECTED_"] * 2
    assert 20 <= asked(run, Kind.QUERY) <= 24
    assert asked(run, Kind.SET_TIMER) <= 13
    assert run.agrees()


def test_an_order_that_never_arrived_is_counted_by_the_venues_code(tmp_path):
    faults = Faults([(0, moment(1) + SECOND // 2, "lost, not carried out", 1.0, 0)])
    run = Run(tmp_path, lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3), *[None] * 8, faults=faults)
    found = Ledger(run.engine.instruments, EQUITY)
    for block in read_journal(run.path):
        found.apply(found.next, block.array())
    (order,) = found.orders.rows()
    assert (order.state, order.code) == ("REJECTED", -2013)
    assert found.quality.figures().rejected["reject_code"] == {-2013: 1}
    assert asked(run, Kind.ABSENT) > 1


@pytest.mark.parametrize("what", ["lost, carried out", "lost, not carried out"])
def test_a_lost_amendment_is_settled_by_what_the_venue_holds(tmp_path, what):
    faults = Faults([(moment(2), moment(3), what, 1.0, 0)])

    def change(desk):
        assert desk.amend(desk.orders.rows()[0]["client_id"], MIDDLE - 2, 7)

    run = Run(tmp_path, lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3), change, *[None] * 3, faults=faults)
    (order,) = run.engine.orders.rows()
    (resting,) = run.venue.resting(0)
    assert (order["price_ticks"], order["lots"]) == (resting["order"]["price_ticks"], resting["order"]["lots"])
    assert (order["amend_lots"], order["amend_ticks"], run.states()) == (0, 0, ["LIVE"])
    assert run.agrees()


@pytest.mark.parametrize(("lots", "state"), [(5, "FILLED"), (2, "LIVE")])
def test_a_fill_does_not_hide_that_an_amendment_is_unknown(tmp_path, lots, state):
    # The order fills as it was while nobody knows whether it has become larger.
    faults = Faults([(moment(2), moment(3), "lost, not carried out", 1.0, 0)])

    def change(desk):
        assert desk.amend(desk.orders.rows()[0]["client_id"], MIDDLE - 2, 7)

    run = Run(
        tmp_path,
        lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3),
        change,
        *[None] * 3,
        faults=faults,
        trade=(2, SECOND // 10, MIDDLE - 4, lots),
    )
    (order,) = run.engine.orders.rows()
    assert (run.states(), order["lots"], order["filled"], order["amend_lots"]) == ([state], 5, lots, 0)
    assert run.engine.orders.exposure(0, BUY)["lots"] == 5 - lots
    assert run.engine.orders.illegal == 0
    assert run.agrees()


@pytest.mark.parametrize("what", ["lost, not carried out", "lost, carried out", 503, -1001])
def test_a_halt_asks_again_for_what_it_could_not_cancel(tmp_path, what):
    faults = Faults([(moment(3), moment(7), what, 1.0, 0)])
    rest = (lambda desk: desk.submit(0, BUY, 5, MIDDLE - 3), *[None] * 9)
    run = Run(tmp_path, *rest, faults=faults, halt=moment(3) + SECOND // 2)
    assert run.states() == ["CANCELLED"]
    assert run.venue.resting(0) == []
    assert asked(run, Kind.CANCEL) <= 6
    assert run.agrees()


def test_the_loss_of_an_answer_about_an_order_that_has_ended_is_nothing_illegal(tmp_path):
    faults = Faults([(moment(2), moment(3), "lost, carried out", 1.0, 0)])
    ids = []

    def forget(desk):  # the fill is under way while the cancel leaves
        desk.cancel(ids[0])

    run = Run(
        tmp_path,
        lambda desk: ids.append(desk.submit(0, BUY, 5, MIDDLE - 3)),
        forget,
        *[None] * 3,
        faults=faults,
        trade=(2, SECOND // 100, MIDDLE - 4, 5),
    )
    assert run.states() == ["FILLED"]
    assert run.engine.orders.illegal == 0
    assert run.agrees()


def test_isolated_margin_is_the_same_on_both_sides(tmp_path):
    run = Run(tmp_path, buy(10), None, lambda desk: desk.close(0, 0, 4), isolated=True)
    assert run.engine.account.position(0)["lots"] == 6
    assert run.engine.account.position(0)["isolated_e8"] > 0
    assert run.agrees()


def test_drawn_latencies_are_drawn_again_the_same(tmp_path):
    digests = []
    for k in range(2):
        folder = tmp_path / str(k)
        folder.mkdir()
        way = Latency("quantiles", [10**7, 9 * 10**7], [10**6, 10**7], seed=3)
        run = Run(folder, buy(10), None, lambda desk: desk.close(0, 0, 4), latency=way)
        assert run.agrees()
        digests.append(run.digest)
    assert digests[0] == digests[1]


class Whims(Strategy):
    """Asks for something at every touch until it is told to be quiet: orders, stops, amendments, cancels."""

    def __init__(self, seed, quiet):
        super().__init__()
        self.dice, self.quiet, self.seen, self.ids = Random(seed), quiet, 0, [0]

    def on_book(self, symbol):
        self.seen += 1
        if self.seen < self.quiet:
            for _ in range(self.dice.randint(0, 3)):
                self.ask(self.dice.random(), self.dice.choice(self.ids), self.dice.randint(1, 40))

    def ask(self, what, known, lots):
        side, away, desk = self.dice.randrange(2), self.dice.randint(-3, 6), self.desk
        ticks = MIDDLE + (away if side else -away)
        if what < 0.3:
            desk.amend(known, ticks, lots)
        elif what < 0.4:
            desk.cancel(known)
        elif what < 0.6:
            terms, trigger = (
                4 * self.dice.randrange(2) + (lots % 5 == 0),
                MIDDLE + (-away - 1 if side else away + 1) * 20,
            )
            self.ids.append(desk.order(0, side, STOP, 0 if terms & 1 else lots, trigger_ticks=trigger, terms=terms))
        else:
            tif = self.dice.choice((0, 0, 0, 1, 2, 3))
            self.ids.append(desk.order(0, side, 0, lots, price_ticks=ticks, tif=tif, reduce_only=lots % 7 == 0))

    def snapshot(self):
        return (self.seen,)


class Storm:
    """Whims, a market that wanders and a venue with every fault at once; then quiet until all is known."""

    def __init__(self, path, seed, isolated):
        dice, tape = Random(seed), Tape()
        rows, middle = [tape.opening], MIDDLE
        for k in range(160):
            rows.append(tape.touch(lots=dice.randint(1, 60), ns=dice.randint(1, SECOND // 5)))
            if k < 120 and dice.random() < 0.3:
                flags = Flag.F_END | (Flag.F_SELL if dice.random() < 0.5 else 0)
                ticks = MIDDLE + dice.randint(-6, 6)
                rows.append(row(Kind.TRADE, tape.later(), flags=flags, a=k + 1, b=ticks, c=dice.randint(1, 90)))
            if k < 120 and dice.random() < 0.2:
                middle += dice.randint(-60, 60)
                rows.append(tape.mark(middle))
        rows += [tape.touch(ns=SECOND) for _ in range(12)]
        self.rows = np.concatenate(rows)
        start, end = int(tape.opening["ts"][0]), tape.ts - 10 * SECOND
        ways = ("lost", "lost, carried out", "lost, not carried out", "delayed", -1001, -1008, -1015, 503)
        plan = [(start, end, what, 0.08, dice.randint(0, SECOND)) for what in ways]
        self.faults = Faults([*plan, (start, end, "lost", 0.3, 0)] if seed % 2 else plan, seed)
        self.make = lambda: Engine(
            Instruments([spec(min_notional_e8=1)]), Whims(seed, 120), limits(**STAND_ASIDE), SIZING, EQUITY, 5,
            ["stream"], 12,
        )  # fmt: skip
        self.engine = self.make()
        self.account = Account(self.engine.instruments, EQUITY)
        self.venue = Exchange(
            self.engine.instruments, [self.account], ["stream"], 0.0, 0.0, 0, False, 12, faults=self.faults
        )
        journal = JournalWriter(str(path))
        way = Latency("quantiles", [10**6, 10**8], [10**6, 2 * 10**8], seed=seed)
        driver = Driver(self.engine, self.venue, None, journal, 0, 0, SECOND, way)
        driver.control(Kind.RUN, start - 1)
        driver.control(Kind.SETTING, start - 1, (int(Setting.ISOLATED), 1)) if isolated else None
        driver.feed_rows(self.rows, 0, 0)
        driver.finish()
        journal.close()
        verifier = Verifier(self.make(), None, read_journal(path))
        verifier.feed_rows(self.rows, 0, 0)
        self.difference = verifier.finish()

    def at_the_venue(self):
        resting = {
            one["order"]["client_id"]: (one["order"]["price_ticks"], one["order"]["lots"], one["leaves"])
            for one in self.venue.resting(0)
        }
        algos = {
            one["order"]["client_id"]: (0, one["order"]["lots"], one["order"]["lots"]) for one in self.venue.algos(0)
        }
        return resting | algos

    def at_the_engine(self):
        open_ = [one for one in self.engine.orders.rows() if 0 < one["state"] < 8]
        assert all(one["amend_lots"] == 0 for one in open_)
        return {one["client_id"]: (one["price_ticks"], one["lots"], one["lots"] - one["filled"]) for one in open_}


def storms(folder, seeds):
    kinds = set()
    for seed in range(seeds):
        storm = Storm(folder / "journal", seed, isolated=seed % 3 == 0)
        (folder / "journal").unlink()
        assert storm.engine.failure is None
        assert storm.difference is None, seed
        assert storm.at_the_engine() == storm.at_the_venue(), seed
        assert (storm.engine.orders.unknown, storm.engine.orders.illegal, storm.engine.orders.late) == (0, 0, 0), seed
        mine, theirs = storm.engine.account, storm.account
        assert (mine.position(0), mine.wallet_e8, mine.margins_of(0)["open_orders"]) == (
            theirs.position(0), theirs.wallet_e8, theirs.margins_of(0)["open_orders"],
        ), seed  # fmt: skip
        assert mine.reconcile() == 0
        assert storm.engine.orders.sound()
        kinds |= {one["state"] for one in storm.engine.orders.rows()}
    return kinds


def test_after_any_storm_engine_and_venue_hold_the_same(tmp_path):
    assert storms(tmp_path, 24) >= {2, 6, 8, 9, 10, 11}


@pytest.mark.slow
def test_after_any_storm_engine_and_venue_hold_the_same_for_longer(tmp_path):
    assert storms(tmp_path, 1_500) >= {2, 6, 8, 9, 10, 11}


@pytest.mark.parametrize(
    "changes",
    [
        {"latency": '"lognormal"'},
        {"latency": '"feed"'},
        {"queue": '"square"'},
        {"error_share": "0.1", "lost_share": "0.1"},
        {"margin": '"isolated"'},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_a_configured_venue_runs_and_replays_to_the_same_state(tmp_path, changes, capsys):
    file = configuration(tmp_path / "quoter.toml", **changes)
    assert main(["paper", str(file), "--replay", str(RECORDING), "--out", str(tmp_path / "run")]) == 0
    assert main(["replay", str(tmp_path / "run"), "--verify"]) == 0


# --- filters that change under a position and a resting order


def day(tick, lot, least):
    """Return the words of a FILTERS row: the steps of the day and its smallest order, in the run's ticks and lots."""
    return {"a": tick, "b": lot, "c": least, "d": 100_000, "e": 100_000, "f": 0}


def reasons(run):
    journal = np.concatenate([block.array().copy() for block in read_journal(run.path)])
    return [Reason(int(r["a"])).name for r in journal[journal["kind"] == Kind.REFUSED]]


def held(run):
    return run.engine.account.position(0)["lots"]


def test_a_coarser_step_leaves_the_position_as_it_is_and_lets_it_be_closed_whole(tmp_path):
    run = Run(tmp_path, buy(17), None, buy(18), lambda desk: desk.close(0, 0, 17), filters={2: day(1, 10, 10)})
    assert reasons(run) == ["FILTER_QUANTITY"]
    assert held(run) == 0
    assert run.agrees()


def test_what_is_below_the_least_order_of_the_day_is_closed_whole(tmp_path):
    run = Run(tmp_path, buy(7), None, lambda desk: desk.close(0, 0, 7), filters={2: day(1, 1, 20)})
    assert (reasons(run), held(run)) == ([], 0)
    assert run.agrees()


@pytest.mark.parametrize(("part", "left"), [(1, 15), (8, 15), (10, 15), (11, 5), (21, 0), (25, 0)])
def test_a_part_is_closed_in_steps_of_the_day_and_never_less_of_it(tmp_path, part, left):
    run = Run(tmp_path, buy(25), None, lambda desk: desk.close(0, 0, part), filters={2: day(1, 10, 10)})
    assert (reasons(run), held(run)) == ([], left)
    assert run.agrees()


@pytest.mark.parametrize(("target", "end"), [(30, 25), (35, 35), (49, 45), (25, 25), (24, 15), (10, 5), (0, 0)])
def test_a_target_is_reached_in_steps_of_the_day_and_never_passed_upwards(tmp_path, target, end):
    run = Run(tmp_path, buy(25), None, lambda desk: desk.trade_to(0, target), filters={2: day(1, 10, 10)})
    assert (reasons(run), held(run)) == ([], end)
    assert run.agrees()


def test_a_finer_step_is_used_at_once(tmp_path):
    steps = (None, None, buy(20), buy(3), buy(3), lambda desk: desk.close(0, 0, 1))
    run = Run(tmp_path, *steps, filters={2: day(1, 10, 10), 4: day(1, 1, 1)})
    assert (reasons(run), held(run)) == (["FILTER_QUANTITY"], 22)
    assert run.agrees()


def test_an_order_that_rests_off_the_new_tick_stays_and_fills_and_no_new_one_joins_it(tmp_path):
    def rest(desk):
        assert desk.submit(0, BUY, 5, MIDDLE - 3)

    def join(desk):
        assert not desk.submit(0, BUY, 4, MIDDLE - 4)

    run = Run(tmp_path, rest, None, join, filters={2: day(10, 1, 1)})
    assert (MIDDLE - 3) % 10 and (MIDDLE - 4) % 10
    assert (run.states(), reasons(run)) == (["LIVE"], ["FILTER_PRICE"])
    assert run.agrees()


def test_money_is_the_same_whatever_the_filters_did_meanwhile(tmp_path):
    wallets = []
    for name, filters in (("plain", None), ("changed", {2: day(10, 10, 10), 3: day(1, 1, 1)})):
        (tmp_path / name).mkdir()
        run = Run(tmp_path / name, buy(17), None, None, lambda desk: desk.close(0, 0, 17), filters=filters)
        assert held(run) == 0 and run.agrees()
        wallets.append(run.engine.account.wallet_e8)
    assert wallets[0] == wallets[1] != EQUITY
