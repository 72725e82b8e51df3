"""The views one by one: against the core's own account and orders, and answers that can be worked out by hand."""

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from builders import E8, SIZING, limits, row
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import EPOCH, START, instruments, journal, terms

from autotrader.views.equity import MINUTE_NS, Equity
from autotrader.views.ledger import Ledger
from autotrader.views.orders import PLACES, SIDES, STATES, TRANSITIONS
from autotrader.views.positions import Positions
from autotrader.views.quality import bin_of, bin_top
from autotrader.views.view import rounded
from core_ext.account import Account
from core_ext.engine import ABSENT_AFTER_NS, Engine
from core_ext.orders import Orders
from core_ext.strategy import Strategy
from core_ext.types import (
    Alarm,
    AlgoStatus,
    Asset,
    Cause,
    Command,
    Flag,
    Kind,
    OrderState,
    OrderType,
    PriceMatch,
    Reason,
    Setting,
    Term,
    TimeInForce,
)

ID = EPOCH + 1
S = 10**9


def of_rows(*rows: np.ndarray) -> Ledger:
    found = Ledger(instruments(), START)
    found.apply(0, np.concatenate(rows))
    return found


def sample(found: Ledger):
    *_, newest = found.equity.rows()
    return newest


def flags(sell=False, short=False, *more: Flag) -> int:
    return Flag.F_END | (Flag.F_SELL if sell else 0) | (Flag.F_SHORT if short else 0) | sum(more)


def order(ts=1, number=0, lots=100, ticks=280_000, sell=False, mid=28_000 * E8, d=0, **more) -> np.ndarray:
    return row(Kind.ORDER, ts, 0, flags(sell, **more), a=ID + number, b=ticks, c=lots, d=d, e=mid)


def fill(ts=3, number=0, lots=100, ticks=280_000, sell=False, short=False, fee=5, extra=(), symbol=0) -> np.ndarray:
    return row(Kind.FILL, ts, symbol, flags(sell, short, *extra), a=ID + number, b=9, c=ticks, d=lots, e=fee)


def said(kind: Kind, ts=2, number=0, **words) -> np.ndarray:
    return row(kind, ts, a=ID + number, **words)


# --- positions against the core's account


def venue_rows(seed: int, account: Account) -> list[np.ndarray]:
    """Book random events of every kind on the core's account, and return them as rows."""
    chance, rows = random.Random(seed), []
    account.set(0, Setting.HEDGE_MODE, seed % 2)
    account.index(Asset.BNB, 500 * E8)
    for at in range(300):
        symbol, leg = chance.randrange(3), chance.randrange(1 + account.hedge)
        short, kind = leg == 1, chance.random()
        held = account.position(symbol, leg)["lots"]
        amount = chance.randint(-(10**9), 10**9)
        if kind < 0.6:
            sell, lots = _trade(chance, account.hedge, leg, held)
            ticks, fee, coin = chance.randint(1, 300_000), chance.randint(-500, 10**7), chance.random() < 0.3
            account.fill(symbol, -lots if sell else lots, ticks, fee, leg, coin)
            extra = (Flag.F_FEE_COIN,) if coin else ()
            rows.append(fill(at, at, lots, ticks, sell, short, fee, extra, symbol))
        elif kind < 0.68:
            account.pay_funding(symbol, amount, leg)
            rows.append(row(Kind.FUNDING_PAID, at, symbol, flags(short=short), a=amount, c=E8, d=held))
        elif kind < 0.76 and held:
            part = chance.randint(1, abs(held)) * (1 if held > 0 else -1)
            price, fee = chance.randint(1, 10**13), chance.randint(0, 10**9)
            account.take_over(symbol, price, fee, leg, part)
            words = {"a": part, "b": price, "c": fee, "d": E8, "e": chance.choice(list(Cause))}
            rows.append(row(Kind.LIQUIDATION, at, symbol, flags(short=short), **words))
        elif kind < 0.82:
            coin = chance.choice((0, 0, Asset.BNB))
            account.transfer(amount, coin)
            rows.append(row(Kind.TRANSFER, at, a=amount, b=coin))
        elif kind < 0.92:
            setting = chance.choice((Setting.LEVERAGE, Setting.ISOLATED))
            value = chance.randint(1, 20) if setting == Setting.LEVERAGE else chance.randrange(2)
            if account.set(symbol, setting, value) == 0:
                rows.append(row(Kind.SETTING, at, symbol, a=setting, b=value))
        elif account.move_margin(symbol, amount, leg) == 0:
            rows.append(row(Kind.MARGIN_MOVED, at, symbol, flags(short=short), a=amount))
    return rows


def _trade(chance: random.Random, hedge: bool, leg: int, held: int) -> tuple[bool, int]:
    # In hedge mode a leg is never turned round: what closes it takes at most what is there.
    sell = chance.random() < 0.5
    closes = hedge and held != 0 and sell == (leg == 0)
    if hedge and not held:
        sell = leg == 1
    return sell, chance.randint(1, abs(held)) if closes else chance.randint(1, 400)


@pytest.mark.parametrize("seed", range(12))
def test_positions_are_the_core_accounts_in_both_modes_cross_and_isolated(seed):
    of = instruments()
    account = Account(of, START)
    rows = venue_rows(seed, account)
    found = of_rows(*rows)
    assert len({int(one["kind"][0]) for one in rows}) >= 5
    for position in found.positions.rows():
        symbol = of.names.index(position.symbol)
        held, margins = account.position(symbol, position.leg), account.margins_of(symbol)
        lot_e8 = of.spec(symbol)["lot_e8"]
        mine = (position.quantity_e8, position.cost_e8, position.isolated_e8, position.realised_e8)
        assert mine == (held["lots"] * lot_e8, held["cost_e8"], held["isolated_e8"], held["realised_e8"])
        assert (position.fees_e8, position.funding_e8) == (held["fees_e8"], held["funding_e8"])
        assert (position.leverage, position.isolated) == (margins["leverage"], bool(margins["isolated"]))
    now = sample(found)
    assert (now.wallet_e8, now.fees_e8, now.funding_e8) == (account.wallet_e8, account.fees_e8, account.funding_e8)
    assert (now.realised_e8, now.transfers_e8) == (account.realised_e8, account.transfers_e8)
    assert now.liquidation_fees_e8 == account.liquidation_fees_e8
    assert now.bnb_e8 == account.asset(Asset.BNB)["wallet_e8"]
    fees = sum(position.fees_coin_e8 for position in found.positions.rows())
    assert fees == account.asset(Asset.BNB)["fees_e8"] == sum(one.fee_coin_e8 for one in found.fills.rows())


def test_settings_and_prices_are_the_symbols_whichever_leg_comes_later():
    found = of_rows(
        row(Kind.SETTING, 1, 0, a=Setting.LEVERAGE, b=7),
        row(Kind.SETTING, 2, 0, a=Setting.ISOLATED, b=1),
        row(Kind.MARK, 3, 0, a=28_500 * E8),
        fill(4, lots=70, sell=True, short=True),
        row(Kind.SETTING, 5, 0, a=Setting.LEVERAGE, b=10),
        fill(6, lots=70, sell=True, short=True),
    )
    long, short = found.positions.rows()
    assert (long.leg, long.quantity_e8, short.leg, short.quantity_e8) == (0, 0, 1, -140 * 10**5)
    assert [(one.leverage, one.isolated, one.price_e8, one.is_mark) for one in (long, short)] == [
        (10, True, 28_500 * E8, True)
    ] * 2
    assert (long.isolated_e8, short.isolated_e8) == (0, 1_960 * E8 // 7 + 1_960 * E8 // 10)


SAID_OF_A_HELD_LEG = {
    "back to cross": (row(Kind.SETTING, 9, 0, a=Setting.ISOLATED, b=0),),
    "margin of a cross leg": (row(Kind.SETTING, 9, 0, a=Setting.ISOLATED, b=0), row(Kind.MARGIN_MOVED, 9, 0, a=5 * E8)),
    "a leverage that there is not": (row(Kind.SETTING, 9, 0, a=Setting.LEVERAGE, b=0), fill(10)),
    "a leverage beyond all": (row(Kind.SETTING, 9, 0, a=Setting.LEVERAGE, b=201), fill(10)),
    "a coin that nobody knows": (row(Kind.TRANSFER, 9, a=5 * E8, b=77),),
}


@pytest.mark.parametrize("what", SAID_OF_A_HELD_LEG)
def test_what_the_core_makes_of_a_word_about_a_held_leg_is_what_the_view_makes_of_it(what):
    engine = Engine(instruments(), Strategy(), limits(), SIZING, START, 1, ["stream"] * 3)
    rows = (row(Kind.SETTING, 1, 0, a=Setting.ISOLATED, b=1), fill(2), *SAID_OF_A_HELD_LEG[what], fill(11))
    engine.feed(np.concatenate(rows))
    found = of_rows(*rows)
    (position,), held = found.positions.rows(), engine.account.position(0)
    assert (position.quantity_e8, position.cost_e8) == (held["lots"] * 10**5, held["cost_e8"])
    assert (position.isolated_e8, position.leverage) == (held["isolated_e8"], engine.account.margins_of(0)["leverage"])
    assert (sample(found).wallet_e8, sample(found).transfers_e8) == (engine.account.wallet_e8, 0)


def test_a_payment_in_a_coin_that_nobody_has_named_yet_says_its_number():
    (payment,) = of_rows(row(Kind.TRANSFER, 9, a=5, b=77)).payments.rows()
    assert (payment.asset, payment.amount_e8) == ("77", 5)


def test_unrealised_profit_is_the_core_accounts_at_the_same_mark():
    of = instruments()
    account = Account(of, START)
    account.fill(0, -70, 280_000, 0)
    account.mark(0, 27_555 * E8 + 1)
    found = of_rows(fill(lots=70, sell=True, fee=0), row(Kind.MARK, 9, 0, a=27_555 * E8 + 1))
    (position,) = found.positions.rows()
    assert (position.unrealised_e8, sample(found).unrealised_e8) == (account.unrealised_e8,) * 2
    assert position.unrealised_e8 == 70 * (28_000 - 27_555) * E8 // 1_000  # the last 1e-8 of the mark rounds away
    assert (sample(found).equity_e8, sample(found).gross_e8) == (account.equity(), account.gross_e8)


def test_the_entry_price_is_the_cost_by_the_quantity():
    found = of_rows(fill(lots=30, ticks=280_000), fill(lots=60, ticks=283_000), fill(lots=45, ticks=290_000, sell=True))
    (position,) = found.positions.rows()
    assert position.entry_e8 == 28_200 * E8  # (30 * 28,000 + 60 * 28,300) / 90; a sale does not move it
    assert position.last_realised_e8 == 45 * 800 * E8 // 1_000
    assert of_rows(fill(), fill(sell=True)).positions.legs[0, 0].entry_e8 == 0


def test_a_mark_replaces_other_prices_and_no_other_price_replaces_a_mark():
    rows = [fill(3), order(4, 1, mid=28_100 * E8), row(Kind.MARK, 5, 0, a=28_050 * E8), order(6, 2, mid=1 * E8)]
    prices = [of_rows(*rows[:count]).positions.legs[0, 0] for count in (1, 2, 3, 4)]
    assert [(one.price_e8 // E8, one.price_ns) for one in prices] == [
        (28_000, 3),
        (28_100, 4),
        (28_050, 5),
        (28_050, 5),
    ]


# --- orders


@pytest.mark.parametrize("seed", range(10))
def test_states_are_the_core_tables_under_any_evidence(seed):
    chance, core = random.Random(seed), Orders((EPOCH % 2**64) >> 32)
    kinds = [Kind.ACCEPTED, Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED, Kind.CANCEL, Kind.CANCEL_REJECTED, Kind.LOST]
    numbers = dict(zip(kinds, (0, 1, 4, 5, 6, 7, 8), strict=True))
    rows, ids = [], []
    for at in range(400):
        if not ids or chance.random() < 0.2:
            ids.append(core.insert_for_test(0, 0, 280_000, 100))
            rows.append(row(Kind.ORDER, at, a=ids[-1] - 2**64, b=280_000, c=100, e=E8))
        number, kind = chance.choice(ids[-4:]), chance.choice([*kinds, Kind.FILL])
        lots = chance.choice((30, 100))
        signed = number - 2**64
        if kind == Kind.FILL:
            if core.order(number)["state"] in ("FILLED", "CANCELLED", "EXPIRED_", "REJECTED_"):
                continue  # the view counts what was filled late, the core's table does not
            core.fill(number, lots)
            if core.order(number)["filled"] + lots > 100 and core.order(number)["state"] != "FILLED":
                continue
            rows.append(row(kind, at, a=signed, c=280_000, d=lots))
        else:
            core.evidence(number, numbers[kind])
            rows.append(row(kind, at, a=signed, b=-1))
    found = of_rows(*rows)
    states = {word: number for number, word in STATES.items()}
    for number in ids:
        assert states[found.orders.find(number - 2**64).state] == OrderState[core.order(number)["state"]]
    assert len({found.orders.find(number - 2**64).state for number in ids}) >= 5


CONDITIONAL = order(d=terms(OrderType.STOP_MARKET, bits=Term.CLOSE_POSITION), lots=0, ticks=0, sell=True)
TERMS = row(Kind.ORDER_TERMS, 1, a=ID, b=270_000, c=271_000, d=10**6, e=77)


def algo(status: AlgoStatus, ts=2, **words) -> np.ndarray:
    return said(Kind.ALGO, ts, b=status, **words)


ARMED = (algo(AlgoStatus.ALGO_NEW, c=41),)
TRIGGERED = (*ARMED, algo(AlgoStatus.ALGO_TRIGGERING), algo(AlgoStatus.ALGO_TRIGGERED, d=42))
LIVES = {
    "asked": ((), "PENDING"),
    "armed": (ARMED, "ARMED"),
    "triggering": (TRIGGERED[:2], "TRIGGERING"),
    "triggered, its child not told yet": (TRIGGERED, "TRIGGERING"),
    "triggered": ((*TRIGGERED, said(Kind.ACCEPTED, b=42, d=50)), "LIVE"),
    "its child filled": ((*TRIGGERED, said(Kind.ACCEPTED, b=42, d=50), fill(lots=50, sell=True)), "FILLED"),
    "its child filled in part": ((*TRIGGERED, said(Kind.ACCEPTED, b=42, d=50), fill(lots=49)), "PARTLY_FILLED"),
    "its child filled before its trigger was told": (
        (*ARMED, said(Kind.ACCEPTED, b=42, d=50), fill(lots=50), *TRIGGERED[1:]),
        "FILLED",
    ),
    "finished changes nothing": ((*TRIGGERED, algo(AlgoStatus.ALGO_FINISHED)), "TRIGGERING"),
    "cancelled while armed": ((*ARMED, said(Kind.CANCEL), algo(AlgoStatus.ALGO_CANCELED)), "CANCELLED"),
    "its cancel refused while armed": ((*ARMED, said(Kind.CANCEL), said(Kind.CANCEL_REJECTED)), "ARMED"),
    "its cancel refused after the trigger": ((*TRIGGERED, said(Kind.CANCEL), said(Kind.CANCEL_REJECTED)), "LIVE"),
    "expired while armed": ((*ARMED, algo(AlgoStatus.ALGO_EXPIRED)), "EXPIRED"),
    "refused at its trigger": ((*TRIGGERED[:2], algo(AlgoStatus.ALGO_REJECTED, e=-2021)), "REJECTED"),
    "refused when it was sent": ((said(Kind.REJECTED, b=-2021),), "REJECTED"),
    "no answer": ((said(Kind.LOST, b=128),), "UNKNOWN"),
    "no answer, then found": ((said(Kind.LOST, b=128), *ARMED), "ARMED"),
    "no answer, and the venue has not had it": ((said(Kind.LOST, b=128), said(Kind.ABSENT)), "UNKNOWN"),
    "no answer, and the venue never had it": (
        (said(Kind.LOST, b=128), said(Kind.ABSENT), said(Kind.ABSENT, ABSENT_AFTER_NS + 2)),
        "REJECTED",
    ),
}


@pytest.mark.parametrize("life", LIVES)
def test_a_conditional_order_is_one_order_until_its_end(life):
    evidence, state = LIVES[life]
    found = of_rows(CONDITIONAL, TERMS, *evidence)
    (known,) = found.orders.rows()
    assert known.state == state
    assert (known.type, known.close_position, known.trigger_e8, known.activate_e8) == (
        "STOP_MARKET",
        True,
        27_000 * E8,
        27_100 * E8,
    )
    assert (known.callback_e8, known.good_till_ns) == (10**6, 77)


def test_a_conditional_order_keeps_the_numbers_and_codes_that_the_venue_gave_it():
    (known,) = of_rows(CONDITIONAL, TERMS, *TRIGGERED, algo(AlgoStatus.ALGO_REJECTED, e=-2021)).orders.rows()
    assert (known.algo_id, known.venue_id, known.code, known.triggered) == (41, 42, -2021, True)


def test_an_amendment_counts_once_the_venue_has_made_it():
    asked = said(Kind.AMEND, b=279_000, c=80)
    made, refused = said(Kind.AMENDED, b=279_000, c=80), said(Kind.AMEND_REJECTED, b=-5027)
    accepted = said(Kind.ACCEPTED, b=1, c=280_000, d=100)
    lives = [(asked,), (asked, made), (asked, refused), (asked, made, said(Kind.ACCEPTED, b=1, c=280_000, d=100))]
    told = []
    for life in lives:
        (known,) = of_rows(order(), accepted, *life).orders.rows()
        told.append((known.price_e8 // E8, known.quantity_e8, known.amend_price_e8 // E8, known.amendments, known.code))
    assert told == [
        (28_000, 100 * 10**5, 27_900, 0, 0),
        (27_900, 80 * 10**5, 0, 1, 0),
        (28_000, 100 * 10**5, 0, 0, -5027),
        (27_900, 80 * 10**5, 0, 1, 0),  # a late acceptance takes no amendment back
    ]
    (filled,) = of_rows(order(), accepted, asked, made, fill(lots=80)).orders.rows()
    assert filled.state == "FILLED"


LOST_AMENDMENT = (order(), said(Kind.ACCEPTED, b=4), said(Kind.AMEND, 3, b=279_990, c=150))
AMENDMENTS = {
    "asked for twice, the greater stands": (
        (*LOST_AMENDMENT, said(Kind.AMEND, 4, b=279_980, c=160)),
        ("LIVE", 280_000, 100, 279_990, 160),
    ),
    "unknown, and the answer to a question names it": (
        (*LOST_AMENDMENT, said(Kind.LOST, 4, b=Kind.AMEND), said(Kind.ACCEPTED, 5, b=4, c=279_990, d=150)),
        ("LIVE", 279_990, 150, 0, 0),
    ),
    "unknown, and filled in part meanwhile": (
        (*LOST_AMENDMENT, said(Kind.LOST, 4, b=Kind.AMEND), fill(5, lots=40)),
        ("UNKNOWN", 280_000, 100, 279_990, 150),
    ),
    "filled beyond what it was": ((*LOST_AMENDMENT, fill(5, lots=120)), ("PARTLY_FILLED", 280_000, 100, 279_990, 150)),
    "filled whole before it was told": ((*LOST_AMENDMENT, fill(5, lots=150)), ("FILLED", 280_000, 100, 0, 0)),
    "made smaller than what was filled": (
        (*LOST_AMENDMENT, fill(5, lots=60), said(Kind.AMENDED, 6, b=279_990, c=60)),
        ("FILLED", 279_990, 60, 0, 0),
    ),
    "refused when all is filled": (
        (*LOST_AMENDMENT, fill(5, lots=100), said(Kind.AMEND_REJECTED, 6, b=-5027)),
        ("FILLED", 280_000, 100, 0, 0),
    ),
    "a question that was lost": (
        (*LOST_AMENDMENT, said(Kind.LOST, 4, b=Kind.QUERY)),
        ("LIVE", 280_000, 100, 279_990, 150),
    ),
}


@pytest.mark.parametrize("life", AMENDMENTS)
def test_an_amended_order_is_what_the_engine_takes_it_for(life):
    rows, expected = AMENDMENTS[life]
    found = of_rows(*rows)
    (one,) = found.orders.rows()
    prices, lots = (one.price_e8, one.amend_price_e8), (one.quantity_e8, one.amend_quantity_e8)
    assert (one.state, prices[0] // 10**7, lots[0] // 10**5, prices[1] // 10**7, lots[1] // 10**5) == expected
    assert found.quality.figures().filled == (one.state == "FILLED")


def test_a_whole_position_and_what_an_amendment_added_are_asked_for_too():
    closing = order(d=terms(OrderType.STOP_MARKET, bits=Term.CLOSE_POSITION), lots=0, sell=True)
    found = of_rows(
        *(closing, said(Kind.ALGO, b=AlgoStatus.ALGO_NEW, c=41), said(Kind.ACCEPTED, b=42, d=50), fill(lots=50)),
        *(order(number=1), said(Kind.ACCEPTED, number=1), said(Kind.AMEND, number=1, b=280_000, c=150)),
        *(said(Kind.AMENDED, number=1, b=280_000, c=150), fill(number=1, lots=150)),
    )
    figures = found.quality.figures()
    assert (figures.fill_rate, figures.filled, figures.amended) == (1.0, 2, 1)


def test_the_venue_names_the_price_of_a_price_match():
    matched = order(ticks=0, d=terms(match=PriceMatch.QUEUE_5, tif=TimeInForce.GTX))
    (known,) = of_rows(matched, said(Kind.ACCEPTED, b=1, c=279_999, d=100)).orders.rows()
    assert (known.price_match, known.tif, known.price_e8) == ("QUEUE_5", "GTX", 279_999 * 10**7)


def test_a_fill_beyond_the_order_moves_the_position_and_no_state():
    found = of_rows(order(), said(Kind.ACCEPTED, b=1), fill(lots=130))
    (known,) = found.orders.rows()
    assert (known.state, known.filled_e8) == ("LIVE", 130 * 10**5)
    assert found.positions.legs[0, 0].quantity_e8 == 130 * 10**5


def test_a_refusal_is_an_order_that_nobody_got():
    refused = row(Kind.REFUSED, 5, 1, flags(True), a=Reason.R18_STALE_DATA, b=10, c=20, d=terms(tif=2), e=7 * E8)
    found = of_rows(refused)
    (known,) = found.orders.drain()
    assert (known.state, known.code, known.client_id, known.side, known.tif) == ("REFUSED", 18, 0, SIDES[1], "GTX")
    assert (known.symbol, known.price_e8, known.quantity_e8) == ("ETHUSDT", 10**7, 20 * 10**5)
    assert not list(found.orders.rows()) and not found.orders.drain()


def test_orders_are_remembered_as_long_as_the_engine_remembers_them():
    count = PLACES + 500
    rows = np.concatenate([row(Kind.ORDER, a=0, b=280_000, c=100, e=E8)] * count)
    rows["a"] = ID + np.arange(count)
    found = Ledger(instruments(), START)
    found.apply(0, rows)
    assert len(list(found.orders.rows())) == PLACES
    assert found.orders.find(ID + 499) is None and found.orders.find(ID + 500) is not None
    drained = found.orders.drain()
    assert len(drained) == count and not found.orders.remembers(drained[0]) and found.orders.remembers(drained[-1])
    found.apply(count, np.concatenate([fill(number=3), fill(number=count - 1)]))
    late, known = found.fills.drain()
    assert (late.reference_e8, known.reference_e8) == (0, E8)
    assert [one.state for one in found.orders.drain()] == ["FILLED"]


def test_every_state_has_a_row_in_the_core_table():
    assert len(TRANSITIONS) == len(STATES) == len(OrderState)


# --- all views


@pytest.mark.parametrize("seed", range(8))
def test_a_views_records_are_its_whole_state(seed):
    rows, chance = journal(seed), random.Random(seed)
    whole = Ledger(instruments(), START)
    whole.apply(0, rows)
    expected = {view.name: {key(view, one): one for one in view.drain()} for view in whole.views}
    kept: dict[str, dict] = {view.name: {} for view in whole.views}
    done = 0
    while done < len(rows):
        ledger = Ledger(instruments(), START)
        for view in ledger.views:
            newest_first = sorted(kept[view.name], reverse=True)
            view.load(replace(kept[view.name][at]) for at in newest_first)
        ledger.next = done
        following = min(len(rows), done + chance.choice((1, 5, 60)))
        ledger.apply(done, rows[done:following])
        for view in ledger.views:
            kept[view.name] |= {key(view, one): replace(one) for one in view.drain()}
        done = following
    assert kept == expected


def key(view, record) -> tuple:
    return tuple(getattr(record, name) for name in view.key)


def test_what_is_drained_is_not_kept():
    rows = journal(3, 2_000)
    found = Ledger(instruments(), START)
    found.apply(0, rows)
    assert len(list(found.fills.rows())) > 100
    for view in found.views:
        assert view.drain()
    assert not list(found.fills.rows()) and not list(found.payments.rows()) and len(list(found.equity.rows())) == 1
    assert not any(view.drain() for view in found.views)


# --- equity


def test_a_sample_is_the_last_moment_of_its_minute_and_a_quiet_minute_has_none():
    found = of_rows(
        row(Kind.RUN, 0),
        fill(10 * S, ticks=280_000, fee=E8),
        fill(59 * S, 1, lots=50, ticks=281_000, sell=True, fee=E8),
        row(Kind.TRANSFER, 200 * S, a=100 * E8),
    )
    first, last = found.equity.rows()
    assert (first.slot_ns, first.ts_ns, first.sequence) == (0, 59 * S, 2)
    assert (first.realised_e8, first.fees_e8, first.wallet_e8) == (5 * E8, 2 * E8, START + 3 * E8)
    assert (first.unrealised_e8, first.gross_e8) == (5 * E8, 1_405 * E8)  # 0.05 at the last price, 28,100
    assert (last.slot_ns, last.transfers_e8) == (180 * S, 100 * E8)
    assert last.equity_e8 == START + 108 * E8
    assert last.priced_ns == 59 * S


def test_a_sample_that_has_changed_comes_again_under_its_key():
    found = Ledger(instruments(), START)
    found.apply(0, row(Kind.RUN, 0))
    (before,) = found.equity.drain()
    assert not found.equity.drain()
    found.apply(1, fill(S, fee=E8))
    (after,) = found.equity.drain()
    assert (before.slot_ns, before.wallet_e8) == (after.slot_ns, after.wallet_e8 + E8)


def test_the_drawdown_is_from_the_highest_sample_and_transfers_are_no_profit():
    minute = [MINUTE_NS * at for at in range(6)]
    half = START // 2
    found = of_rows(
        row(Kind.RUN, minute[0]),
        row(Kind.FUNDING_PAID, minute[1], a=-half, c=E8),  # half of it is lost
        row(Kind.TRANSFER, minute[2], a=half),  # as much comes in: still half below the peak, which has moved
        row(Kind.FUNDING_PAID, minute[3], a=START, c=E8),
        row(Kind.TRANSFER, minute[4], a=-START),
    )
    told = [(one.equity_e8, one.peak_e8, one.drawdown_e8) for one in found.equity.rows()]
    assert told == [
        (START, START, 0),
        (half, START, E8 // 2),
        (START, 2 * START, E8 // 2),
        (2 * START, 2 * START, 0),
        (START, START, 0),
    ]


def test_prices_of_what_is_not_held_make_no_sample():
    found = of_rows(row(Kind.MARK, 5, a=E8), order(6), row(Kind.MARK_CANDLE, 7, d=E8))
    assert not list(found.equity.rows()) and not list(found.positions.rows())


def test_other_coins_stay_beside_the_wallet():
    found = of_rows(
        row(Kind.TRANSFER, 1, a=3 * E8, b=Asset.BNB),
        row(Kind.TRANSFER, 1, a=4 * E8, b=Asset.ETH),
        fill(2, fee=E8, extra=(Flag.F_FEE_COIN,)),
    )
    now = sample(found)
    assert (now.wallet_e8, now.bnb_e8, now.eth_e8, now.btc_e8, now.fees_e8) == (START, 2 * E8, 4 * E8, 0, 0)


def test_equity_takes_any_length_of_a_stretch():
    positions = Positions(instruments())
    equity = Equity(positions, START, slot_ns=10)
    assert equity.slot_ns == 10 and not list(equity.rows())


# --- execution quality


@given(st.integers(-(2**62), 2**62))
@settings(deadline=None, derandomize=True)
def test_a_bin_holds_its_value_and_is_a_sixteenth_wide(value):
    top = bin_top(bin_of(value))
    assert value <= top <= value + abs(value) // 16
    assert bin_of(top) == bin_of(value)


def test_bins_are_numbered_in_the_order_of_their_values():
    numbers = [bin_of(value) for value in (-(2**40), -1_000, -17, -16, -1, 0, 1, 15, 16, 17, 31, 32, 34, 10**9)]
    assert all(left < right for left, right in pairwise(numbers))


def test_quality_counts_how_orders_ended_how_fast_and_at_what_cost():
    gtx = terms(tif=TimeInForce.GTX)
    found = of_rows(
        order(0, 0, d=gtx),
        fill(50, 0, lots=100, ticks=280_028, extra=(Flag.F_MAKER,)),  # 1 bps worse, after 50 ns
        order(0, 1, d=gtx),
        said(Kind.REJECTED, 9, 1, b=-5022),
        said(Kind.REJECTED, 9, 1, b=-5022),  # told twice
        order(0, 2),
        said(Kind.CANCEL, 4, 2),
        said(Kind.CANCEL_REJECTED, 5, 2, b=-2011),
        said(Kind.CANCELED, 9, 2),
        order(0, 3),
        said(Kind.LOST, 9, 3),
        order(0, 4),
        said(Kind.EXPIRED, 9, 4),
        said(Kind.AMENDED, 9, 4),
        said(Kind.AMEND_REJECTED, 9, 4, b=-5027),
    )
    figures = found.quality.figures()
    assert (figures.orders, figures.filled, figures.cancelled, figures.expired) == (5, 1, 1, 1)
    assert (figures.rejections, figures.lost, figures.amended, figures.fills) == (1, 1, 1, 1)
    assert (figures.fill_rate, figures.cancel_ratio, figures.maker_share) == (0.2, 0.2, 1.0)
    assert figures.post_only_success == 0.5
    assert figures.rejected == {
        "reject_code": {-5022: 2},
        "cancel_reject_code": {-2011: 1},
        "amend_reject_code": {-5027: 1},
    }
    assert set(figures.time_to_fill_ns.values()) == {51}  # the top of the bin 50..51
    assert figures.slippage_bps == pytest.approx(1e4 * 2.8 / 28_002.8)
    assert figures.slippage_bps_quantiles[0.5] == pytest.approx(1.0, rel=1 / 16)
    assert figures.paid_e8 == 28 * E8 // 100
    assert found.quality.symbols == ["BTCUSDT"]
    assert found.quality.figures("ETHUSDT").orders == 0


def test_quantiles_are_of_the_values_in_their_order():
    rows = []
    for at, worse in enumerate([-280, -28, 0, 0, 28, 28, 28, 28, 28, 2_800]):  # bps: -10, -1, 0, 0, 1 ..., 100
        rows += [order(0, at), fill(1, at, ticks=280_000 + worse)]
    quantiles = of_rows(*rows).quality.figures().slippage_bps_quantiles
    assert quantiles[0.5] == pytest.approx(1.0, rel=1 / 16)
    assert quantiles[0.9] == pytest.approx(1.0, rel=1 / 16)
    assert quantiles[0.99] == pytest.approx(100, rel=1 / 16)


# --- risk


def test_risk_counts_by_reason_and_symbol_and_says_what_stands():
    found = of_rows(
        row(Kind.REFUSED, 1, 0, a=Reason.R18_STALE_DATA),
        row(Kind.REFUSED, 2, 1, a=Reason.R18_STALE_DATA),
        row(Kind.REFUSED, 3, 1, a=Reason.R1_PRICE_COLLAR),
        row(Kind.ALARM, 4, 0, a=Alarm.DRAWDOWN_HALF),
        row(Kind.ALARM, 5, 0, a=Alarm.DAILY_LOSS),
        row(Kind.COMMAND, 6, a=Command.HALT),
        row(Kind.LIQUIDATION, 7, 0, a=1, b=E8, e=Cause.DELEVERAGED),
        row(Kind.SETTING, 8, a=Setting.HEDGE_MODE, b=1),
        row(Kind.SETTING, 8, a=Setting.LEVERAGE, b=9),
        row(Kind.STRATEGY_FAILED, 9),
    )
    risk = found.risk
    assert risk.counts("refusal") == {"R18_STALE_DATA": 2, "R1_PRICE_COLLAR": 1}
    assert risk.counts("alarm") == {"DAILY_LOSS": 1, "DRAWDOWN_HALF": 1}
    assert (risk.counts("forced"), risk.counts("strategy")) == ({"DELEVERAGED": 1}, {"STRATEGY_FAILED": 1})
    assert risk.counts("setting") == {"HEDGE_MODE": 1}
    assert [risk.state(name) for name in ("halted", "day_lost", "ladder", "killed")] == [1, 1, 1, 0]
    stale = [(watch.symbol, watch.last_ns) for watch in risk.rows() if watch.name == "R18_STALE_DATA"]
    assert stale == [("BTCUSDT", 1), ("ETHUSDT", 2)]


@pytest.mark.parametrize(
    ("rows", "name", "value"),
    [
        ([row(Kind.COMMAND, a=Command.HALT), row(Kind.COMMAND, a=Command.RESUME)], "halted", 0),
        ([row(Kind.ALARM, a=Alarm.LIQUIDATED)], "halted", 1),
        ([row(Kind.ALARM, a=Alarm.DELEVERAGING)], "halted", 1),
        ([row(Kind.COMMAND, a=Command.KILL), row(Kind.COMMAND, a=Command.RESUME)], "killed", 1),
        ([row(Kind.ALARM, a=Alarm.DRAWDOWN_KILL)], "killed", 1),
        ([row(Kind.ALARM, a=Alarm.DRAWDOWN_KILL)], "ladder", 3),
        ([row(Kind.ALARM, a=Alarm.DAILY_LOSS), row(Kind.COMMAND, a=Command.ALLOW)], "day_lost", 0),
    ],
)
def test_a_state_stands_until_a_row_says_otherwise(rows, name, value):
    assert of_rows(*rows).risk.state(name) == value


def test_numbers_that_nobody_has_named_yet_are_shown_as_numbers():
    found = of_rows(row(Kind.REFUSED, a=200), row(Kind.ALARM, a=60), row(Kind.COMMAND, a=77))
    assert found.risk.counts("refusal") == {"200": 1} and found.risk.counts("alarm") == {"60": 1}


# --- rounding


@given(st.integers(-(2**100), 2**100), st.integers(1, 2**62))
@settings(deadline=None, derandomize=True)
def test_rounding_is_half_away_from_zero_and_ends_at_63_bits(product, divisor):
    found = rounded(product, divisor)
    if abs(found) == 2**63 - 1:
        assert abs(product) >= (2**63 - 2) * divisor
    else:
        assert 2 * abs(found * divisor - product) <= divisor
        assert found == -rounded(-product, divisor)
        if 2 * abs(found * divisor - product) == divisor:
            assert abs(found * divisor) > abs(product)
