"""What the account's event stream does to the engine: trades once, orders truly, in whatever order the words come."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import orjson
import pytest
from account_life import (
    LOTS,
    NOW,
    NOW_MS,
    STOP,
    TICKS,
    Account,
    account_event,
    algo_event,
    balance,
    held,
    order_event,
    trade_event,
)  # fmt: skip
from builders import E8, row, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_world import World, setup
from test_engine import EPOCH, EQUITY

from autotrader.adapters.binance import evidence
from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.reading import client_name
from core_ext.types import EVENT_DTYPE, AlgoStatus, Asset, Cause, Flag, Instruments, Kind, Setting

SAMPLES = Path(__file__).resolve().parents[2] / "shared/binance/data/payload_samples.json"


@pytest.fixture
def account():
    return Account()


def words(rows, names="abcdef"):
    return [tuple(int(one[name]) for name in names) for one in rows]


def fill_of_hand(account, lots, **changes):
    """A fill of an order that somebody else has placed."""
    return account.events.rows(trade_event("web_1", 900, lots, lots, **changes), NOW)


# ---------------------------------------------------------------------------------- one order's life


def test_an_order_is_accepted_filled_and_paid_for_to_the_last_digit(account):
    part = trade_event(account.name, 1, 4, 4, price="99999.9", n="0.12345678")
    rest = trade_event(account.name, 2, 6, 10, "FILLED", m=False, n="-0.00000001")
    assert account.hear(order_event(account.name), part, rest) == ["ACCEPTED", "FILL", "FILL"]
    assert (account.state, account.lots) == ("FILLED", 10)
    assert account.engine.account.fees_e8 == 12_345_678 - 1
    assert account.engine.account.position(0)["cost_e8"] == (4 * 999_999 + 6 * 1_000_000) * 10**4


def test_the_rows_carry_what_the_core_reads(account):
    (accepted,) = account.events.rows(order_event(account.name, at_ms=-3), NOW)
    (fill,) = account.events.rows(trade_event(account.name, 12, 4, 4, m=False), NOW)
    assert words([accepted])[0] == (account.order, 7, TICKS, LOTS, 0, 0)
    assert words([fill])[0] == (account.order, 12, TICKS, 4, 10**6, 0)
    assert (int(accepted["ts"]), int(accepted["lag_us"])) == (NOW, 3_000)
    assert fill["flags"] == Flag.F_END


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"S": "SELL"}, Flag.F_SELL),
        ({"m": True}, Flag.F_MAKER),
        ({"ps": "SHORT"}, Flag.F_SHORT),
        ({"N": "BNB", "n": "0.00001"}, Flag.F_FEE_COIN),
    ],
)
def test_a_fill_says_its_side_its_leg_its_liquidity_and_its_fee_coin(account, changes, flags):
    (_, fill) = account.events.rows(trade_event(account.name, 1, 4, 4, **{"m": False} | changes), NOW)
    assert fill["flags"] == Flag.F_END | flags


def test_a_fill_without_a_fee_has_none_and_one_in_an_asset_without_a_wallet_is_counted(account):
    free = trade_event(account.name, 1, 4, 4)
    del free["o"]["N"], free["o"]["n"]
    odd = trade_event(account.name, 2, 2, 6, N="BNFCR", n="0.5")
    assert account.hear(free, odd) == ["ACCEPTED", "FILL", "FILL"]
    assert account.engine.account.fees_e8 == 0
    assert account.events.refused == {"name": 1}


@pytest.mark.parametrize(
    ("happened", "status", "end"),
    [
        ("CANCELED", "CANCELED", "CANCELLED"),
        ("EXPIRED", "EXPIRED", "EXPIRED_"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "EXPIRED_"),
    ],
)
def test_an_end_says_how_much_was_left_undone_and_why(account, happened, status, end):
    account.hear(order_event(account.name), trade_event(account.name, 1, 4, 4))
    rows = account.events.rows(order_event(account.name, happened, status, done=4, er="4"), NOW)
    account.feed(rows)
    assert words(rows, "abc") == [(account.order, 6, 4)]
    assert account.state == end


def test_an_amendment_changes_price_and_quantity(account):
    account.hear(order_event(account.name))
    kinds = account.hear(order_event(account.name, "AMENDMENT", "NEW", q="0.012", p="99999.0", at_ms=1))
    order = account.engine.orders.order(account.order)
    assert kinds == ["AMENDED"]
    assert (order["price_ticks"], order["lots"]) == (999_990, 12)


def test_a_fill_that_overtakes_its_amendment_brings_the_new_terms_along(account):
    account.hear(order_event(account.name))
    last = trade_event(account.name, 1, 12, 12, "FILLED", q="0.012", at_ms=2)
    assert account.hear(last) == ["AMENDED", "FILL"]
    assert account.hear(order_event(account.name, "AMENDMENT", "NEW", q="0.012", at_ms=1)) == []
    assert account.state == "FILLED"


def test_an_amendment_that_came_too_late_is_no_exposure_after_the_fill(account):
    account.hear(order_event(account.name))
    account.engine.orders.ask(account.order, TICKS, 15)
    account.events.note(row(Kind.AMEND, NOW, a=account.order, b=TICKS, c=15))
    account.hear(trade_event(account.name, 1, 10, 10, "FILLED", at_ms=1))
    assert account.state == "FILLED"
    assert account.engine.orders.exposure(0, 0)["lots"] == 0


# ---------------------------------------------------------------------------------- whatever the order of events


def cancelled_life(name):
    return [
        order_event(name),
        trade_event(name, 1, 1, 1, price="99999.9", at_ms=1),
        trade_event(name, 2, 2, 3, price="99999.8", at_ms=2),
        trade_event(name, 3, 3, 6, price="99999.7", at_ms=3),
        trade_event(name, 4, 1, 7, price="100000.0", at_ms=4),
        order_event(name, "CANCELED", done=7, at_ms=5),
    ]


def filled_life(name):
    return [
        order_event(name),
        trade_event(name, 1, 2, 2, price="99999.9", at_ms=1),
        order_event(name, "AMENDMENT", "PARTIALLY_FILLED", done=2, q="0.012", p="100001.0", at_ms=2),
        trade_event(name, 2, 3, 5, price="99999.8", q="0.012", p="100001.0", at_ms=3),
        trade_event(name, 3, 3, 8, price="100001.0", q="0.012", p="100001.0", at_ms=4),
        trade_event(name, 4, 4, 12, "FILLED", price="100000.1", q="0.012", p="100001.0", at_ms=5),
    ]


def expired_life(name):
    return [
        order_event(name),
        trade_event(name, 1, 1, 1, at_ms=1),
        order_event(name, "AMENDMENT", "PARTIALLY_FILLED", done=1, q="0.008", at_ms=1),
        trade_event(name, 2, 2, 3, at_ms=1, q="0.008"),
        trade_event(name, 3, 2, 5, at_ms=2, q="0.008"),
        order_event(name, "EXPIRED", done=5, at_ms=2, q="0.008", er="4"),
    ]


def stop_life(name):
    sold = {"S": "SELL", "o": "MARKET", "ot": "STOP_MARKET", "p": "0", "i": 8, "R": True}
    child = {"ai": "8", "act": "MARKET", "tt": NOW_MS}
    return [
        algo_event(name, "NEW"),
        algo_event(name, "TRIGGERING", 1, tt=NOW_MS),
        algo_event(name, "TRIGGERED", 2, **child),
        order_event(name, at_ms=3, **sold),
        trade_event(name, 1, 10, 10, "FILLED", price="94999.0", at_ms=4, **sold),
        algo_event(name, "FINISHED", 5, **child, ap="94999.0", aq="0.010"),
    ]


def close_position_life(name):
    sold = {"S": "SELL", "o": "MARKET", "ot": "STOP_MARKET", "p": "0", "i": 8, "cp": True}
    child = {"ai": "8", "act": "MARKET", "cp": True, "q": "0.000", "R": False}
    return [
        algo_event(name, "NEW", q="0.000", cp=True),
        algo_event(name, "TRIGGERED", 2, **child),
        order_event(name, at_ms=3, **sold),
        trade_event(name, 1, 3, 3, price="94999.0", at_ms=4, **sold),
        trade_event(name, 2, 7, 10, "FILLED", price="94998.9", at_ms=5, **sold),
        algo_event(name, "FINISHED", 6, **child, aq="0.010"),
    ]


def expired_stop_life(name):
    return [
        algo_event(name, "NEW"),
        algo_event(name, "NEW", 1, ia=True),
        algo_event(name, "TRIGGERING", 2),
        algo_event(name, "REJECTED", 3, rm="Reduce Only reject"),
        algo_event(name, "NEW"),
        algo_event(name, "TRIGGERING", 2),
    ]


LIVES = {
    "cancelled": (cancelled_life, {}, ("CANCELLED", 7)),
    "filled, amended on the way": (filled_life, {}, ("FILLED", 12)),
    "expired, all in two milliseconds": (expired_life, {}, ("EXPIRED_", 5)),
    "a stop": (stop_life, STOP, ("FILLED", -10)),
    "a stop that closes the position": (close_position_life, STOP | {"lots": 0, "terms": 1}, ("FILLED", -10)),
    "a stop that was rejected at its trigger": (expired_stop_life, STOP, ("REJECTED_", 0)),
}


@pytest.mark.parametrize(("life", "order", "end"), LIVES.values(), ids=LIVES)
def test_all_720_orders_of_six_events_end_in_one_state_of_the_engine(life, order, end):
    states = set()
    for events in permutations(range(6)):
        account = Account(**order)
        told = life(account.name)
        account.hear(*(told[k] for k in events))
        assert (account.state, account.lots) == end, events
        assert account.engine.orders.sound()
        states.add(repr(account.end_state()))
    assert len(states) == 1


@pytest.mark.parametrize(("life", "order", "end"), LIVES.values(), ids=LIVES)
def test_events_that_come_twice_change_nothing(life, order, end):
    once, twice = Account(**order), Account(**order)
    told = life(once.name)
    once.hear(*told)
    twice.hear(*told, *told, *reversed(told))
    assert (twice.state, twice.lots) == end
    assert once.end_state() == twice.end_state()


def test_an_order_that_ended_before_its_last_trades_came_is_held_as_exposure_and_asked_for(account):
    account.hear(order_event(account.name), order_event(account.name, "CANCELED", done=7, at_ms=5))
    assert account.state == "UNKNOWN"
    assert account.engine.orders.exposure(0, 0)["lots"] == LOTS
    asked = account.engine.feed(row(Kind.TIMER, NOW, a=-1))
    assert Kind.QUERY in asked["kind"]
    assert account.hear(trade_event(account.name, 1, 3, 3, at_ms=1)) == ["FILL", "LOST"]
    assert account.hear(trade_event(account.name, 2, 4, 7, at_ms=2)) == ["FILL", "CANCELED"]
    assert (account.state, account.lots) == ("CANCELLED", 7)


def test_trades_are_the_truth_where_an_end_names_fewer(account):
    account.hear(order_event(account.name), trade_event(account.name, 1, 5, 5, at_ms=1))
    account.hear(order_event(account.name, "CANCELED", done=3, at_ms=2))
    assert (account.state, account.lots) == ("CANCELLED", 5)
    account.hear(trade_event(account.name, 2, 2, 7, at_ms=1))
    assert account.lots == 7
    assert account.engine.orders.late == 1


def test_a_lost_trade_makes_the_engine_ask(account):
    account.hear(order_event(account.name))
    assert account.hear(trade_event(account.name, 2, 3, 8)) == ["FILL", "LOST"]
    assert account.state == "UNKNOWN"


@pytest.mark.parametrize("status", ["NEW_INSURANCE", "PENDING_CANCEL", "", "새"])
def test_a_status_that_nobody_knows_makes_the_order_unknown(account, status):
    account.hear(order_event(account.name))
    assert account.hear(order_event(account.name, "NEW", status=status or " ", at_ms=1)) == ["LOST"]
    assert account.state == "UNKNOWN"
    stop = Account(**STOP)
    assert stop.hear(algo_event(stop.name, status)) == ["ALGO", "LOST"]
    assert stop.state == "UNKNOWN"


# ---------------------------------------------------------------------------------- somebody else


@pytest.mark.parametrize("name", ["web_abc", "at00000005", "AT0000000500000001", "at0000000600000001", "x" * 36, ""])
def test_an_order_of_somebody_else_is_foreign(account, name):
    rows = account.events.rows(order_event(name, S="SELL", ps="SHORT"), NOW)
    assert rows["kind"].tolist() == [Kind.FOREIGN]
    assert words(rows, "abc") == [(7, TICKS, LOTS)]
    assert rows["flags"][0] == Flag.F_END | Flag.F_SELL | Flag.F_SHORT


def test_a_fill_of_somebody_else_is_ours_to_carry_once(account):
    rows = fill_of_hand(account, 4)
    assert rows["kind"].tolist() == [Kind.FILL, Kind.FOREIGN]
    assert words(rows, "abcd") == [(0, 900, TICKS, 4), (7, TICKS, 6, 0)]
    account.engine.feed(rows[:1])
    assert account.lots == 4
    assert fill_of_hand(account, 4)["kind"].tolist() == [Kind.FOREIGN]
    assert len(account.events.rows(order_event("web_1", "CANCELED", done=4), NOW)) == 0


def test_a_conditional_order_of_somebody_else_is_foreign_until_it_ends(account):
    rows = account.events.rows(algo_event("web_1", "NEW"), NOW)
    assert (rows["kind"].tolist(), words(rows, "abc")) == ([Kind.FOREIGN], [(1_000_000_033_225_453, 950_000, 10)])
    assert len(account.events.rows(algo_event("web_1", "CANCELED"), NOW)) == 0


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("autoclose-1750000000", Cause.LIQUIDATION_ORDER),
        ("adl_autoclose", Cause.DELEVERAGED),
        ("settlement_autoclose-1", Cause.SETTLED),
        ("delivery_autoclose-1", Cause.SETTLED),
    ],
)
def test_a_closing_by_force_is_told_once_with_its_cause(account, name, cause):
    event = trade_event(name, 5, 4, 4, "FILLED", "99999.95", S="SELL", x="CALCULATED", o="LIQUIDATION", p="0.003")
    rows = account.events.rows(event, NOW)
    assert rows["kind"].tolist() == [Kind.LIQUIDATION]
    assert words(rows) == [(4, 9_999_995_000_000, 1_000_000, 0, cause, 7)]
    assert len(account.events.rows(event, NOW)) == 0
    assert len(account.events.rows(order_event(name, "NEW", o="LIQUIDATION", p="0.003"), NOW)) == 0


@pytest.mark.parametrize("name", ["autoclose-1750000000", "adl_autoclose", "settlement_autoclose-1"])
def test_a_closing_by_force_at_no_price_is_not_booked_but_opens_nothing_more(account, name):
    event = trade_event(name, 5, 4, 4, "FILLED", "0.00", S="SELL", x="CALCULATED")
    rows = account.events.rows(event, NOW)
    assert (rows["kind"].tolist(), rows["symbol"].tolist()) == ([Kind.FOREIGN], [0])
    account.engine.feed(rows)
    assert account.engine.gate.halted
    assert account.events.refused["number"] == 1


def test_a_short_leg_that_is_closed_by_force_loses_negative_lots(account):
    event = trade_event("autoclose-1", 0, 4, 4, "FILLED", ps="SHORT", x="CALCULATED")
    rows = account.events.rows(event, NOW)
    assert words(rows, "a") == [(-4,)]
    assert rows["flags"][0] & Flag.F_SHORT
    assert len(account.events.rows(event, NOW)) == 0  # without a trade id its order and its sum name it


# ---------------------------------------------------------------------------------- money, margin, settings


def test_funding_is_booked_once_to_its_symbol(account):
    event = account_event("FUNDING_FEE", [balance("-1.25000001")], S="ETHUSDT")
    rows = account.events.rows(event, NOW)
    assert rows["symbol"].tolist() == [1]
    assert words(rows, "a") == [(-125_000_001,)]
    account.engine.feed(rows)
    assert account.engine.account.wallet_e8 == EQUITY - 125_000_001
    assert len(account.events.rows(event, NOW)) == 0


def test_funding_of_an_isolated_leg_names_it(account):
    rows = account.events.rows(account_event("FUNDING_FEE", [balance("2")], [held("SHORT", "isolated", "50")]), NOW)
    assert (words(rows, "a"), rows["flags"][0]) == ([(2 * E8,)], Flag.F_END | Flag.F_SHORT)


def test_funding_of_no_known_symbol_is_refused(account):
    assert len(account.events.rows(account_event("FUNDING_FEE", [balance("2")]), NOW)) == 0
    assert sum(account.events.refused.values()) == 1


@pytest.mark.parametrize("why", ["DEPOSIT", "WITHDRAW", "ASSET_TRANSFER", "AUTO_EXCHANGE"])
def test_what_is_moved_is_a_transfer_of_its_asset(account, why):
    rows = account.events.rows(account_event(why, [balance("-5"), balance("0.5", asset="BNB"), balance("0")]), NOW)
    assert rows["kind"].tolist() == [Kind.TRANSFER, Kind.TRANSFER]
    assert words(rows, "ab") == [(-5 * E8, Asset.USDT), (E8 // 2, Asset.BNB)]


@pytest.mark.parametrize("why", ["INSURANCE_CLEAR", "ADJUSTMENT", "OPTIONS_PREMIUM_FEE", "SOMETHING_NEW"])
def test_what_was_lost_or_won_otherwise_is_the_wallet_that_it_left(account, why):
    rows = account.events.rows(account_event(why, [balance("-5", "9995"), balance("1", asset="BUSD")]), NOW)
    assert rows["kind"].tolist() == [Kind.WALLET]
    assert words(rows, "ab") == [(9_995 * E8, Asset.USDT)]


def test_what_trading_did_to_the_account_is_not_booked_twice(account):
    event = account_event("ORDER", [balance("0", "9999")], [held()])
    assert len(account.events.rows(event, NOW)) == 0
    assert not account.events.refused


def test_margin_that_was_moved_is_the_difference_of_the_isolated_wallet(account):
    first = account_event("ORDER", [], [held("LONG", "isolated", "50.5"), held("LONG", "isolated", "9", "XRPUSDT")])
    moved = account_event("MARGIN_TRANSFER", [], [held("LONG", "isolated", "60")])
    assert len(account.events.rows(first, NOW)) == 0
    assert words(account.events.rows(moved, NOW), "a") == [(950_000_000,)]
    assert len(account.events.rows(moved, NOW)) == 0


def test_margin_of_a_leg_never_told_of_is_refused_until_its_position_is_known(account):
    moved = account_event("MARGIN_TRANSFER", [], [held("SHORT", "isolated", "60")])
    assert len(account.events.rows(moved, NOW)) == 0
    assert account.events.refused == {"shape": 1}
    account.events.note(row(Kind.POSITION, NOW, flags=Flag.F_END | Flag.F_SHORT, a=-10, b=1, c=70 * E8))
    assert words(account.events.rows(moved, NOW), "a") == [(-10 * E8,)]


def test_a_margin_type_is_a_setting_of_its_symbol(account):
    event = account_event("MARGIN_TYPE_CHANGE", [], [held("LONG", "isolated", symbol="ETHUSDT"), held("SHORT")])
    rows = account.events.rows(event, NOW)
    assert list(zip(rows["symbol"].tolist(), words(rows, "ab"), strict=True)) == [
        (1, (Setting.ISOLATED, 1)),
        (0, (Setting.ISOLATED, 0)),
    ]


def test_leverage_and_multi_assets_mode_are_settings(account):
    leverage = {"e": "ACCOUNT_CONFIG_UPDATE", "E": NOW_MS, "T": NOW_MS, "ac": {"s": "ETHUSDT", "l": 25}}
    assets = {"e": "ACCOUNT_CONFIG_UPDATE", "E": NOW_MS, "T": NOW_MS, "ai": {"j": True}}
    account.feed(account.events.rows(leverage, NOW))
    account.feed(account.events.rows(assets, NOW))
    assert account.engine.account.margins_of(1)["leverage"] == 25
    assert account.engine.account.multi_assets


def test_what_only_warns_is_counted(account):
    call = {"e": "MARGIN_CALL", "E": NOW_MS, "cw": "3", "p": [{"s": "ETHUSDT", "ps": "LONG"}]}
    expired = {"e": "listenKeyExpired", "E": NOW_MS, "listenKey": "k"}
    assert account.hear(call, expired, {"e": "TRADE_LITE", "E": NOW_MS}, {"e": "NEWS", "E": NOW_MS}) == []
    events = account.events
    assert (events.margin_calls, events.expirations, events.unknown, events.refused) == (1, 1, 1, {})


# ---------------------------------------------------------------------------------- what cannot be believed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"L": "1e5"}, "number"),
        ({"L": "NaN"}, "number"),
        ({"L": "Infinity"}, "number"),
        ({"L": "-100000.0"}, "number"),
        ({"L": "0"}, "number"),
        ({"L": 100000.0}, "number"),
        ({"L": "1" * 400}, "number"),
        ({"L": "9" * 18}, "number"),
        ({"L": "100000.05"}, "grid"),
        ({"l": "0.0005"}, "grid"),
        ({"l": "-0.001"}, "number"),
        ({"l": "٣"}, "number"),
        ({"l": "0.011", "z": "0.011"}, "number"),
        ({"l": "0.006", "z": "0.005"}, "number"),
        ({"t": 0}, "number"),
        ({"t": True}, "number"),
        ({"t": 1 << 63}, "number"),
        ({"i": "x"}, "number"),
        ({"i": None}, "number"),
        ({"n": "1e-400"}, "number"),
        ({"N": ["USDT"]}, "shape"),
        ({"T": -1}, "number"),
        ({"S": "HOLD"}, "name"),
        ({"ps": "LEFT"}, "name"),
        ({"er": "100"}, "number"),
        ({"m": "true"}, "shape"),
        ({"x": None}, "shape"),
        ({"X": 3}, "shape"),
    ],
)
def test_a_fill_that_cannot_be_true_is_refused_and_its_order_is_asked_for(account, change, reason):
    account.hear(order_event(account.name))
    assert account.hear(trade_event(account.name, 1, 4, 4, **change)) == ["LOST"]
    assert account.events.refused == {reason: 1}
    assert (account.lots, account.state) == (0, "UNKNOWN")
    assert account.hear(trade_event(account.name, 1, 4, 4)) == ["FILL"]
    assert account.state == "PARTLY_FILLED"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b'{"e":"ORDER_TRADE_UPDATE","E":1,"o":NaN}', "json"),
        (b"\xff\xfe{}", "json"),
        (b"[" * 100_000, "json"),
        (b'{"e":"' + b"x" * (1 << 20) + b'"}', "shape"),
        (b"[]", "shape"),
        (b"null", "shape"),
        (b'{"data":[]}', "shape"),
        (b'{"E":1}', "shape"),
        (b'{"e":"MARGIN_CALL","p":[]}', "number"),
        (b'{"e":"ORDER_TRADE_UPDATE","E":1}', "shape"),
        (b'{"e":"ACCOUNT_UPDATE","E":1,"a":{"m":"DEPOSIT","B":[1]}}', "shape"),
        (b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"DEPOSIT","B":[{"a":"USDT","wb":"1","bc":"1e9"}]}}', "number"),
        (b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ac":{"s":"BTCUSDT","l":0}}', "number"),
        (b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ac":{"s":"BTC\\u202eUSDT","l":5}}', "name"),
        (b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ac":{"s":"XRPUSDT","l":5}}', "symbol"),
        (b'{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ai":{"j":1}}', "shape"),
    ],
)
def test_a_malformed_message_is_one_counted_refusal(account, event, reason):
    assert len(account.events.rows(event, NOW)) == 0
    assert account.events.refused == {reason: 1}


def test_a_message_of_another_type_than_an_object_is_refused(account):
    assert len(account.events.rows([1], NOW)) == 0
    assert account.events.refused == {"shape": 1}


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers(), max_size=2),
    st.sampled_from(["0", "-1", "1e9", "NaN", "0.001", "BTCUSDT", "FILLED", "NEW", "99999999999999999999.9"]),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_mutated_event_raises_or_puts_an_absurd_number_into_a_row(data):
    account = Account()
    name = data.draw(st.sampled_from([account.name, "web_1", "autoclose-1"]))
    event = data.draw(
        st.sampled_from(
            [
                order_event(name), trade_event(name, 1, 4, 4), algo_event(name, "NEW"),
                account_event("DEPOSIT", [balance("5")], [held()]),
                account_event("FUNDING_FEE", [balance("5")], [held()]),
                account_event("MARGIN_TRANSFER", [], [held()]),
                {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ac": {"s": "BTCUSDT", "l": 5}, "ai": {"j": True}},
            ]
        )
    )  # fmt: skip
    event = orjson.loads(orjson.dumps(event))
    for _ in range(data.draw(st.integers(1, 3))):
        part = event
        while True:
            key = data.draw(st.sampled_from(sorted(part)))
            inner = part[key][0] if isinstance(part[key], list) and part[key] else part[key]
            if not isinstance(inner, dict) or not inner or data.draw(st.booleans()):
                break
            part = inner
        part[key] = data.draw(values)
    rows = account.events.rows(event, NOW)
    for field in "abcdef":
        assert (np.abs(rows[field].astype(object)) < 1 << 63).all()
    fills = rows[rows["kind"] == Kind.FILL]
    assert ((fills["d"] > 0) & (fills["d"] <= LOTS * 1000) & (fills["c"] > 0) & (fills["c"] <= 1 << 50)).all()
    account.engine.feed(rows[rows["kind"] < Kind.POSITION])
    assert account.engine.account.reconcile() == 0


def test_memory_is_bounded_and_an_old_end_is_what_is_forgotten(account, monkeypatch):
    monkeypatch.setattr(evidence, "MOST_ORDERS", 4)
    monkeypatch.setattr(evidence, "MOST_TRADES", 3)
    for n in range(2, 10):
        name = client_name(EPOCH << 32 | n)
        account.events.rows(order_event(name, i=n), NOW)
        account.events.rows(trade_event(name, n, 10, 10, "FILLED", i=n), NOW)
    memory = account.events.evidence
    assert memory.symbol_of(account.order) == 0  # open: kept
    assert memory.symbol_of(EPOCH << 32 | 2) is None
    assert len(memory._orders) == 4
    assert len(memory._trades) == 3


def test_more_open_orders_than_an_account_may_have_are_refused(account, monkeypatch):
    monkeypatch.setattr(evidence, "MOST_ORDERS", 2)
    for n in range(2, 5):
        account.events.rows(order_event(client_name(EPOCH << 32 | n), i=n), NOW)
    assert account.events.refused == {"number": 2}


# ---------------------------------------------------------------------------------- after a restart


def test_a_trade_of_before_the_restart_is_not_counted_again(account):
    journal = [account.events.rows(event, NOW) for event in cancelled_life(account.name)[:3]]
    for rows in journal:
        account.engine.feed(rows)
    again = AccountEvents(account.engine.instruments, {EPOCH})
    again.note(row(Kind.ORDER, NOW, a=account.order, b=TICKS, c=LOTS))
    again.note(np.concatenate(journal))
    account.events = again
    account.hear(*cancelled_life(account.name))
    assert (account.state, account.lots) == ("CANCELLED", 7)
    assert account.engine.orders.illegal == 0


def test_a_recovered_table_is_enough_to_go_on(account):
    told = cancelled_life(account.name)
    account.hear(*told[:3])
    account.events = AccountEvents(account.engine.instruments, {EPOCH})
    account.events.evidence.believe(account.engine.orders.rows())
    account.hear(*told[3:])
    assert (account.state, account.lots) == ("CANCELLED", 7)


def test_a_recovered_stop_is_not_armed_twice():
    account = Account(**STOP)
    told = stop_life(account.name)
    account.hear(*told[:2])
    account.events = AccountEvents(account.engine.instruments, {EPOCH})
    account.events.evidence.believe(account.engine.orders.rows())
    assert account.hear(*told) == ["ACCEPTED", "FILL"] or account.state == "FILLED"
    assert (account.state, account.lots, account.engine.orders.illegal) == ("FILLED", -10, 0)


# ---------------------------------------------------------------------------------- real messages


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples of payloads are not here")
def test_the_documented_samples_are_read():
    samples = json.loads(SAMPLES.read_bytes())["samples"]
    events = AccountEvents(
        Instruments([spec(name, tick_e8=10**6) for name in ("BTCUSDT", "ETHUSDT", "BNBUSDT")]), {EPOCH}
    )
    names = (
        "ACCOUNT_CONFIG_UPDATE",
        "ACCOUNT_UPDATE",
        "MARGIN_CALL",
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "ALGO_UPDATE",
    )
    told = [
        event for name in (*names, "listenKeyExpired") for event in samples[f"ws {name}"] if isinstance(event, dict)
    ]
    rows = np.concatenate([events.rows(event, NOW) for event in told])
    assert not events.refused and events.unknown == 0
    assert rows["kind"].tolist() == [Kind.SETTING, Kind.SETTING, Kind.FOREIGN]
    assert rows.dtype == EVENT_DTYPE


def test_what_the_exchange_on_loopback_says_leads_to_what_it_holds():
    """One account trades over the wire; an engine that hears only its stream ends with the exchange's position."""
    with World(setup("alice"), setup("bob"), setup("maker", 100_000_000)) as world:
        ear = world.listen()
        account = Account()
        again = {"who": "alice", "newClientOrderId": account.name}
        world.quote()
        world.order("BUY", 0.010, 50_001, **again)
        ids = [account.engine.orders.insert_for_test(0, side, 0, lots) for side, lots in ((0, 20), (1, 5))]
        for order, side, lots in zip(ids, ("BUY", "SELL"), (0.020, 0.005), strict=True):
            world.order(side, lots, who="alice", newClientOrderId=client_name(order))
        rest = account.engine.orders.insert_for_test(0, 0, 400_000, 30)
        world.order("BUY", 0.030, 49_000, who="alice", newClientOrderId=client_name(rest))
        world.ok("DELETE", "order", "alice", symbol="BTCUSDT", origClientOrderId=client_name(rest))
        world.order("BUY", 0.002, who="alice")
        world.ok("POST", "leverage", "alice", symbol="BTCUSDT", leverage=7)
        heard = ear.heard()
        for event in heard:
            rows = account.events.rows(event, NOW)
            account.engine.feed(rows[rows["kind"] != Kind.FOREIGN])
        assert account.lots == round(world.position() * 1000) == 27
        held_by_venue = world.do(lambda: world.server.exchange.accounts[0].position(0)["cost_e8"])
        assert account.engine.account.position(0)["cost_e8"] == held_by_venue
        assert account.engine.account.wallet_e8 == round(world.wallet() * E8)
        states = [account.engine.orders.order(order)["state"] for order in (account.order, *ids, rest)]
        assert states == ["FILLED", "FILLED", "FILLED", "CANCELLED"]
        assert account.engine.account.margins_of(0)["leverage"] == 7
        assert not account.events.refused and account.events.unknown == 0
        assert account.engine.orders.illegal == 0


def test_a_stop_of_the_exchange_on_loopback_is_one_order_to_the_engine():
    with World(setup("alice"), setup("bob"), setup("maker", 100_000_000)) as world:
        ear = world.listen()
        account = Account(**STOP | {"lots": 0, "terms": 1})
        world.quote(quantity=1)
        world.hold("BUY", 0.010)
        world.algo("SELL", "STOP_MARKET", closePosition=True, triggerPrice=49_500, clientAlgoId=account.name)
        world.mark(49_000)
        world.order("SELL", 0.5, 49_900, "bob")
        world.order("BUY", 1, 49_400, "maker")
        world.order("SELL", 1.2, 49_400, "bob")
        for event in ear.heard():
            rows = account.events.rows(event, NOW)
            account.engine.feed(rows[rows["kind"] != Kind.FOREIGN])
        assert account.state == "FILLED"
        assert account.lots == round(world.position() * 1000) == 0
        assert (account.engine.orders.illegal, account.events.refused) == (0, {})


def test_algo_status_words_are_those_of_the_core():
    words = {**evidence.STAGES, **evidence.ALGO_ENDS}
    assert {f"ALGO_{word}" for word in words} == {status.name for status in AlgoStatus}
