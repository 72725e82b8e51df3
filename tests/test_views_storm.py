"""The views over what a storm leaves: orders, positions and money as the engine that lived through it holds them."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from builders import E8, SIZING, limits, row, spec
from test_driver_venue import Whims
from test_engine import MIDDLE, SECOND, Tape

from autotrader.research.stress import STAND_ASIDE
from autotrader.views.ledger import Ledger
from autotrader.views.orders import STATES
from core_ext.account import Account
from core_ext.driver import Driver
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.fault import Faults
from core_ext.journal import JournalWriter, read_journal
from core_ext.latency import Latency
from core_ext.types import Asset, Flag, Instruments, Kind, Setting

EQUITY = 30_000 * E8
FAULTS = ("lost", "lost, carried out", "lost, not carried out", "delayed", -1001, -1008, -1015, 503)


class Legs(Whims):
    """Whims in hedge mode: what opens and what closes either leg."""

    def ask(self, what, known, lots):
        if what < 0.4:
            return super().ask(what, known, lots)
        side, away, leg = self.dice.randrange(2), self.dice.randint(-3, 6), 1 + self.dice.randrange(2)
        ticks = MIDDLE + (away if side else -away)
        return self.ids.append(self.desk.order(0, side, 0, lots, price_ticks=ticks, position_side=leg))


class Storm:
    """A leveraged account at a faulty venue in a wild market, cut off in the middle of everything."""

    def __init__(self, path, seed):
        dice, tape = Random(seed), Tape()
        hedge, isolated, coin = seed % 2, seed % 3 == 0, seed % 4 < 2
        rows, middle = [tape.opening], MIDDLE
        for k in range(dice.randint(40, 160)):
            rows.append(tape.touch(lots=dice.randint(1, 60), ns=dice.randint(1, SECOND // 2)))
            if dice.random() < 0.3:
                flags = Flag.F_END | (Flag.F_SELL if dice.random() < 0.5 else 0)
                ticks = MIDDLE + dice.randint(-6, 6)
                rows.append(row(Kind.TRADE, tape.later(), flags=flags, a=k + 1, b=ticks, c=dice.randint(1, 90)))
            if dice.random() < 0.2:
                middle += dice.choice((-1, 1)) * dice.choice((30, 300, 30_000))
                rows.append(tape.mark(middle))
            if dice.random() < 0.1:
                rows.append(row(Kind.FUNDING, tape.later(), a=dice.randint(-(10**6), 10**6), b=middle * 10**7))
        rows = np.concatenate(rows)
        start, end = int(tape.opening["ts"][0]), tape.ts
        plan = [(start, end, what, 0.08, dice.randint(0, SECOND)) for what in FAULTS]
        whims = (Legs if hedge else Whims)(seed, 10**9)
        instruments = Instruments([spec(min_notional_e8=1, leverage=20, max_market_lots=dice.choice((10, 120_000)))])
        self.engine = Engine(instruments, whims, limits(**STAND_ASIDE), SIZING, EQUITY, 5, ["stream"], 12)
        self.account = Account(instruments, EQUITY)
        self.venue = Exchange(
            instruments, [self.account], ["stream"], 0.0, 0.0, 0, False, 12, faults=Faults(plan, seed)
        )
        journal = JournalWriter(str(path))
        way = Latency("quantiles", [10**6, 10**8], [10**6, 2 * 10**8], seed=seed)
        driver = Driver(self.engine, self.venue, None, journal, 0, 0, SECOND, way)
        driver.control(Kind.RUN, start - 1)
        for setting, value in ((Setting.HEDGE_MODE, hedge), (Setting.ISOLATED, isolated), (Setting.FEE_COIN, coin)):
            if value:
                driver.control(Kind.SETTING, start - 1, (int(setting), 1))
        third = len(rows) // 3
        driver.feed_rows(rows[:third], 0, 0)
        self.disturb(driver, dice, int(rows["ts"][third - 1]))
        driver.feed_rows(rows[third:], 0, third)
        driver.finish()
        journal.close()
        self.journal = np.concatenate([block.array().copy() for block in read_journal(path)])
        path.unlink()

    def disturb(self, driver, dice, now):
        for kind, words in (
            (Kind.TRANSFER, (-dice.randint(1, 10**9), int(Asset.USDT))),
            (Kind.MARGIN_MOVED, (dice.randint(1, 10**9),)),
            (Kind.SETTING, (int(Setting.LEVERAGE), dice.randint(5, 40))),
        ):
            try:
                driver.control(kind, now, words)
            except ValueError:
                continue  # the venue refuses it in this state


def tables(rows, pieces):
    """Fold a journal in pieces; each view is made anew from its records after every one."""
    found = Ledger(Instruments([spec(min_notional_e8=1, leverage=20)]), EQUITY)
    kept = {view.name: {} for view in found.views}
    for first in range(0, len(rows), pieces):
        found.apply(first, rows[first : first + pieces])
        for view in found.views:
            for record in view.drain():
                key = tuple(getattr(record, name) for name in view.key)
                kept[view.name][key] = record
            view.load(iter([kept[view.name][key] for key in sorted(kept[view.name], reverse=True)]))
    return found, kept


def assert_orders(found, engine):
    tick_e8, lot_e8 = found.orders.scales.tick_e8[0], found.orders.scales.lot_e8[0]
    held = engine.orders.rows()
    for one in held:
        order = found.orders.find(one["client_id"])
        assert (order.state, order.price_e8, order.quantity_e8, order.filled_e8) == (
            STATES[one["state"]], one["price_ticks"] * tick_e8, one["lots"] * lot_e8, one["filled"] * lot_e8,
        ), one  # fmt: skip
        assert (order.amend_price_e8, order.amend_quantity_e8) == (
            one["amend_ticks"] * tick_e8, one["amend_lots"] * lot_e8,
        ), one  # fmt: skip
    figures, states = found.quality.figures(), Counter(STATES[one["state"]] for one in held)
    ends = {"FILLED": figures.filled, "CANCELLED": figures.cancelled, "EXPIRED": figures.expired}
    assert {state: states[state] for state in ends} == ends
    assert (states["REJECTED"], len(held)) == (figures.rejections, figures.orders)


def assert_money(found, account):
    lot_e8 = found.orders.scales.lot_e8[0]
    *_, now = found.equity.rows()
    for leg in (0, 1):
        position, held = found.positions.legs.get((0, leg)), account.position(0, leg)
        if position is None:
            assert not held["lots"] and not held["realised_e8"]
            continue
        assert position.quantity_e8 == held["lots"] * lot_e8
        for name in ("cost_e8", "isolated_e8", "realised_e8", "fees_e8", "funding_e8"):
            assert getattr(position, name) == held[name], name
        assert (position.leverage, position.isolated) == (
            account.margins_of(0)["leverage"], bool(account.margins_of(0)["isolated"]),
        )  # fmt: skip
    for name in ("wallet_e8", "realised_e8", "fees_e8", "funding_e8", "transfers_e8", "liquidation_fees_e8"):
        assert getattr(now, name) == getattr(account, name), name
    assert now.bnb_e8 == account.asset(Asset.BNB)["wallet_e8"]


def storms(folder, seeds):
    states, kinds = set(), set()
    for seed in seeds:
        storm = Storm(folder / "journal", seed)
        engine, rows = storm.engine, storm.journal
        assert engine.failure is None
        whole, records = tables(rows, len(rows))
        assert_orders(whole, engine)
        assert_money(whole, engine.account)
        assert tables(rows, 37)[1] == records, seed
        told = {name: whole.risk.state(name) for name in ("halted", "killed", "day_lost")}
        assert told == {name: getattr(engine.gate, name) for name in told}, seed
        states |= {one["state"] for one in engine.orders.rows()}
        kinds |= set(rows["kind"].tolist())
    return states, kinds


ALL = {2, 3, 5, 6, 8, 9, 10, 11}
TOLD = {int(kind) for kind in (Kind.LIQUIDATION, Kind.FUNDING_PAID, Kind.TRANSFER, Kind.MARGIN_MOVED, Kind.LOST)}


def test_the_views_are_the_engines_account_and_orders_in_the_middle_of_any_storm(tmp_path):
    states, kinds = storms(tmp_path, range(60, 90))
    assert states >= ALL and kinds >= TOLD


@pytest.mark.slow
def test_the_views_are_the_engines_account_and_orders_in_the_middle_of_a_thousand_storms(tmp_path):
    states, kinds = storms(tmp_path, range(1_000))
    assert states >= ALL and kinds >= TOLD
