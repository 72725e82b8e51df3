"""What answers prove of our orders: trades first, then what the order is; absent only where both universes say so."""

import json
from itertools import product
from pathlib import Path

import pytest
from account_life import (
    NOW,
    STOP,
    TICKS,
    Account,
    algo_body,
    algo_event,
    order_body,
    order_event,
    quantity,
    trade_body,
    trade_event,
)
from builders import E8, row, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_world import World, setup
from test_engine import EPOCH

from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.reading import UnreadableError
from core_ext.engine import ABSENT_AFTER_NS
from core_ext.types import AlgoStatus, Instruments, Kind

SAMPLES = Path(__file__).resolve().parents[2] / "shared/binance/data/payload_samples.json"
NO_SUCH_ORDER = {"code": -2013, "msg": "Order does not exist."}
BTC = "BTCUSDT"


@pytest.fixture
def account():
    return Account()


def asked(account, plain=NO_SUCH_ORDER, algo=NO_SUCH_ORDER, trades=()):
    """Let the engine hear what a question for its order brought; return the kinds of the rows."""
    return account.feed(account.answers.queried(BTC, account.order, plain, algo, NOW, trades))


def lose(account, request=Kind.ORDER):
    account.engine.feed(row(Kind.LOST, NOW, a=account.order, b=int(request)))


# ---------------------------------------------------------------------------------- placing, cancelling, amending


def test_the_answer_to_a_placing_accepts_the_order_and_its_event_says_nothing_new(account):
    assert account.feed(account.answers.placed(order_body(account.name), NOW)) == ["ACCEPTED"]
    assert account.hear(order_event(account.name)) == []
    assert account.state == "LIVE"


def test_a_placing_that_was_filled_is_unknown_until_its_trades_are_told(account):
    body = order_body(account.name, "FILLED", done=10)
    assert account.feed(account.answers.placed(body, NOW)) == ["ACCEPTED", "LOST"]
    assert account.state == "UNKNOWN"
    assert account.hear(trade_event(account.name, 1, 10, 10, "FILLED")) == ["FILL"]
    assert (account.state, account.lots) == ("FILLED", 10)


def test_the_answer_may_come_after_the_events(account):
    account.hear(order_event(account.name), trade_event(account.name, 1, 10, 10, "FILLED"))
    assert account.feed(account.answers.placed(order_body(account.name), NOW)) == []
    assert account.feed(account.answers.placed(order_body(account.name, "FILLED", done=10), NOW)) == []
    assert account.engine.orders.illegal == 0


@pytest.mark.parametrize(("told", "end"), [(0, 0), (3, 3)])
def test_a_cancelling_ends_the_order_once_its_trades_are_there(account, told, end):
    account.hear(order_event(account.name))
    body = order_body(account.name, "CANCELED", done=told, at_ms=5)
    kinds = account.feed(account.answers.canceled(body, NOW))
    assert kinds == (["LOST"] if told else ["CANCELED"])
    if told:
        assert account.hear(trade_event(account.name, 1, 3, 3)) == ["FILL", "CANCELED"]
    assert (account.state, account.lots) == ("CANCELLED", end)


def test_an_amending_is_told_once(account):
    account.hear(order_event(account.name))
    account.engine.orders.ask(account.order, TICKS - 10, 12)
    account.events.note(row(Kind.AMEND, NOW, a=account.order, b=TICKS - 10, c=12))
    body = order_body(account.name, at_ms=4, price="99999.00", origQty="0.012", modifyId=1, pair=BTC)
    assert account.feed(account.answers.amended(body, NOW)) == ["AMENDED"]
    late = order_event(account.name, "AMENDMENT", "NEW", q="0.012", p="99999.0", at_ms=4)
    assert account.hear(late) == []
    assert account.engine.orders.exposure(0, 0)["lots"] == 12


def test_a_conditional_order_is_placed_and_cancelled():
    account = Account(**STOP)
    assert account.feed(account.answers.placed(algo_body(account.name), NOW)) == ["ALGO"]
    assert account.state == "ARMED"
    body = {"algoId": 2_146_760, "clientAlgoId": account.name, "code": "200", "msg": "success"}
    assert account.feed(account.answers.algo_canceled(BTC, body, NOW)) == ["ALGO"]
    assert account.state == "CANCELLED"
    assert account.hear(algo_event(account.name, "CANCELED")) == []
    with pytest.raises(UnreadableError):
        account.answers.algo_canceled(BTC, body | {"code": "-2011"}, NOW)


# ---------------------------------------------------------------------------------- questions


def test_the_missing_trades_come_first_then_the_end(account):
    account.hear(order_event(account.name), trade_event(account.name, 1, 2, 2))
    lose(account)
    trades = [trade_body(1, 2), trade_body(2, 5, "99999.90"), trade_body(9, 7, orderId=8)]
    kinds = asked(account, order_body(account.name, "CANCELED", done=7, at_ms=9), trades=trades)
    assert kinds == ["ACCEPTED", "FILL", "CANCELED"]
    assert (account.state, account.lots) == ("CANCELLED", 7)
    assert account.engine.account.fees_e8 == 2 * 10**6
    assert account.engine.orders.late == 0


def test_trades_that_are_still_missing_leave_the_order_unknown(account):
    lose(account)
    assert asked(account, order_body(account.name, "FILLED", done=10), trades=[trade_body(1, 4)])[-1] == "LOST"
    assert account.state == "UNKNOWN"


def test_an_unknown_order_that_stands_is_live_again_though_that_is_old_news(account):
    account.hear(order_event(account.name))
    lose(account, Kind.CANCEL)
    assert account.state == "UNKNOWN"
    assert asked(account, order_body(account.name)) == ["ACCEPTED"]
    assert account.state == "LIVE"


def test_an_amending_without_an_answer_is_settled_by_a_question(account):
    account.hear(order_event(account.name))
    account.engine.orders.ask(account.order, TICKS, 15)
    account.events.note(row(Kind.AMEND, NOW, a=account.order, b=TICKS, c=15))
    lose(account, Kind.AMEND)
    asked(account, order_body(account.name, origQty="0.015", at_ms=2))
    assert account.engine.orders.exposure(0, 0)["lots"] == 15
    assert account.engine.orders.order(account.order)["lots"] == 15
    assert account.state == "LIVE"


@pytest.mark.parametrize(
    ("plain", "algo"),
    list(product([NO_SUCH_ORDER, None, {"code": -1003}], repeat=2)),
)
def test_an_order_is_absent_only_where_both_universes_say_so(account, plain, algo):
    lose(account)
    account.engine.feed(row(Kind.TIMER, NOW + ABSENT_AFTER_NS + 1, a=5))
    kinds = asked(account, plain, algo)
    assert kinds == (["ABSENT"] if plain == algo == NO_SUCH_ORDER else ["LOST"])
    assert account.state == ("REJECTED_" if kinds == ["ABSENT"] else "UNKNOWN")


def test_an_order_that_has_stood_is_not_declared_absent_by_an_answer_that_lags(account):
    account.hear(order_event(account.name))
    lose(account, Kind.CANCEL)
    assert asked(account) == ["LOST"]
    assert account.state == "UNKNOWN"


@pytest.mark.parametrize(
    ("status", "state"),
    [("NEW", "ARMED"), ("TRIGGERING", "TRIGGERING"), ("CANCELED", "CANCELLED"), ("EXPIRED", "EXPIRED_")],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_conditional_order_is_found_in_the_algo_universe(status, state, known):
    account = Account(**STOP)
    if known:
        account.hear(algo_event(account.name, "NEW"))
    lose(account)
    asked(account, algo=algo_body(account.name, status))
    assert account.state == state
    assert account.engine.orders.illegal == 0


def test_a_triggered_order_is_what_its_child_is():
    account = Account(**STOP)
    lose(account)
    algo = algo_body(account.name, "FINISHED", actualOrderId="8", actualQty="0.010", actualPrice="94999.0")
    child = order_body(
        account.name, "FILLED", 10, side="SELL", orderId=8, type="MARKET", price="0", origType="STOP_MARKET"
    )
    asked(account, child, algo, [trade_body(1, 10, "94999.00", orderId=8, side="SELL", maker=False)])
    assert (account.state, account.lots) == ("FILLED", -10)
    assert account.engine.orders.illegal == 0


def test_a_question_after_the_end_says_the_end_again(account):
    account.hear(order_event(account.name))
    account.hear(order_event(account.name, "CANCELED", at_ms=1))
    assert asked(account, order_body(account.name, "CANCELED", at_ms=1)) == ["CANCELED"]
    assert (account.state, account.engine.orders.illegal) == ("CANCELLED", 0)


BELIEFS = {
    "asked for": [],
    "accepted": ["new"],
    "partly filled": ["new", "first"],
    "unknown": ["lost"],
    "unknown after a part": ["new", "first", "lost"],
    "being cancelled": ["new", "cancel"],
    "only its last trade is known": ["second"],
}
TRUTHS = {
    "stands": ("NEW", 0),
    "is partly filled": ("PARTIALLY_FILLED", 7),
    "is filled": ("FILLED", 10),
    "was cancelled": ("CANCELED", 7),
    "has expired": ("EXPIRED", 7),
}
STATES = {
    "NEW": {"LIVE"},
    "PARTIALLY_FILLED": {"LIVE", "PARTLY_FILLED"},
    "FILLED": {"FILLED"},
    "CANCELED": {"CANCELLED"},
    "EXPIRED": {"EXPIRED_"},
}


@pytest.mark.parametrize("belief", BELIEFS.values(), ids=BELIEFS)
@pytest.mark.parametrize(("status", "done"), TRUTHS.values(), ids=TRUTHS)
def test_from_every_believed_state_a_question_leads_to_the_truth(belief, status, done):
    account = Account()
    traded = [1, 2] if done else []
    steps = {
        "new": lambda: account.hear(order_event(account.name)),
        "first": lambda: account.hear(trade_event(account.name, 1, 3, 3, at_ms=1)),
        "second": lambda: account.hear(trade_event(account.name, 2, 4, 7, at_ms=2)),
        "lost": lambda: lose(account),
        "cancel": lambda: account.engine.orders.evidence(account.order, 6),
    }
    for step in belief:
        if (step, done) not in (("first", 0), ("second", 0)):
            steps[step]()
    trades = [trade_body(n, lots) for n, lots in ((1, 3), (2, done - 3)) if n in traded]
    if "second" in belief and done == 10:
        trades.append(trade_body(3, 3))
        trades[1] = trade_body(2, 4)
    asked(account, order_body(account.name, status, done, at_ms=5), trades=trades)
    assert account.lots == done
    stands = STATES[status] | (
        {"PENDING_CANCEL"} if "cancel" in belief and status in ("NEW", "PARTIALLY_FILLED") else set()
    )
    assert account.state in stands
    assert (account.engine.orders.illegal, account.engine.orders.late) == (0, 0)
    assert account.engine.orders.order(account.order)["filled"] == done


# ---------------------------------------------------------------------------------- lists of trades


def test_trades_of_known_orders_are_counted_and_the_others_are_asked_for(account):
    account.hear(order_event(account.name))
    gap = [trade_body(1, 4), trade_body(2, 3, orderId=8), trade_body(3, 2, orderId=9, side="SELL")]
    assert account.answers.unattributed(gap) == {(BTC, 8), (BTC, 9)}
    assert account.feed(account.answers.trades(gap, NOW)) == ["FILL"]
    other = account.engine.orders.insert_for_test(0, 0, TICKS, 3)
    name = f"at{other:016x}"
    account.feed(account.answers.told(order_body(name, "FILLED", 3, orderId=8, origQty="0.003"), NOW))
    foreign = account.answers.told(order_body("web_1", "FILLED", 2, orderId=9, side="SELL"), NOW)
    assert len(foreign) == 0
    assert account.answers.unattributed(gap) == set()
    assert account.feed(account.answers.trades(gap, NOW)) == ["FILL", "FILL"]
    assert account.engine.orders.order(other)["state"] == "FILLED"
    assert account.lots == 4 + 3 - 2
    assert account.feed(account.answers.trades(gap, NOW)) == []


def test_an_open_order_of_somebody_else_in_a_list_is_foreign(account):
    rows = account.answers.told(order_body("web_1", "PARTIALLY_FILLED", 4), NOW)
    assert (rows["kind"].tolist(), int(rows["c"][0])) == ([Kind.FOREIGN], 6)


# ---------------------------------------------------------------------------------- what cannot be believed


@pytest.mark.parametrize(
    "change",
    [
        {"price": "NaN"}, {"price": "0.00000001"}, {"origQty": "-1"}, {"executedQty": "0.020"}, {"orderId": 0},
        {"symbol": "XRPUSDT"}, {"side": None}, {"status": None}, {"positionSide": "UP"}, {"updateTime": "soon"},
        {"clientOrderId": None}, {"clientOrderId": "web_1"}, {"symbol": "ETHUSDT"},
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_true_is_refused_whole(account, change):
    lose(account)
    before = account.engine.state()
    with pytest.raises(UnreadableError):
        asked(account, order_body(account.name, "FILLED", 10) | change, trades=[trade_body(1, 10)])
    assert account.engine.state() == before
    assert asked(account, order_body(account.name, "FILLED", 10), trades=[trade_body(1, 10)])[-1] == "FILL"
    assert account.state == "FILLED"


@pytest.mark.parametrize(
    "change",
    [
        {"qty": "0"}, {"qty": "1e3"}, {"price": "100000.01"}, {"price": "0"}, {"commission": "x"}, {"maker": 1},
        {"id": 0}, {"commissionAsset": None}, {"orderId": "x"},
    ],
)  # fmt: skip
def test_a_trade_that_cannot_be_true_takes_its_whole_list_along(account, change):
    account.hear(order_event(account.name))
    trades = [trade_body(1, 4), trade_body(2, 3) | change]
    with pytest.raises(UnreadableError):
        account.answers.trades(trades, NOW)
    with pytest.raises(UnreadableError):
        asked(account, order_body(account.name), trades=trades)
    assert account.feed(account.answers.trades(trades[:1], NOW)) == ["FILL"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_events_and_answers_in_any_mixture_end_in_the_truth(data):
    """Up to four trades, told by the stream and by answers as chance has it; a last question settles the rest."""
    account = Account()
    lots = data.draw(st.lists(st.integers(1, 4), max_size=4))
    lots = lots if sum(lots) <= 10 else [1] * len(lots)
    done = sum(lots)
    status = "FILLED" if done == 10 else data.draw(st.sampled_from(["CANCELED", "EXPIRED", "NEW"]))
    so_far, stream, trades = 0, [order_event(account.name)], []
    for n, size in enumerate(lots, 1):
        so_far += size
        last = "FILLED" if so_far == 10 else "PARTIALLY_FILLED"
        stream.append(trade_event(account.name, n, size, so_far, last, at_ms=n))
        trades.append(trade_body(n, size))
    if status not in ("FILLED", "NEW"):
        stream.append(order_event(account.name, status, done=done, at_ms=9))
    final = order_body(account.name, status if status != "NEW" or not done else "PARTIALLY_FILLED", done, at_ms=9)
    words = [lambda event=event: account.hear(event) for event in stream]
    words += [lambda one=one: account.feed(account.answers.trades([one], NOW)) for one in trades]
    words += [lambda: account.feed(account.answers.placed(order_body(account.name), NOW)), lambda: lose(account)]
    words += [lambda: asked(account, order_body(account.name), trades=trades[:0])] * (status == "NEW" and not done)
    for word in data.draw(st.permutations(words))[: data.draw(st.integers(0, len(words)))]:
        word()
    asked(account, final, trades=trades)
    orders = account.engine.orders
    assert account.lots == done
    assert orders.order(account.order)["filled"] == done
    assert account.state in STATES["PARTIALLY_FILLED" if status == "NEW" else status]
    assert (orders.illegal, orders.late) == (0, 0)


# ---------------------------------------------------------------------------------- real answers


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples of payloads are not here")
def test_the_documented_samples_are_read():
    samples = json.loads(SAMPLES.read_bytes())["samples"]
    names = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "LTCUSDT", "ADAUSDT")
    instruments = Instruments([spec(name, tick_e8=10**6) for name in names])
    answers = Answers(AccountEvents(instruments, {EPOCH}).evidence)
    plain = [
        body for name in ("POST /fapi/v1/order", "DELETE /fapi/v1/order", "GET /fapi/v1/order", "PUT /fapi/v1/order")
        for body in samples[name] if isinstance(body, dict) and "orderId" in body
    ] + [one for body in samples["GET /fapi/v1/openOrders"] for one in body]  # fmt: skip
    algo = [body for body in samples["POST /fapi/v1/algoOrder"] if isinstance(body, dict)]
    assert len(plain) >= 5 and algo
    for body in plain + algo:
        assert set(answers.told(body, NOW)["kind"].tolist()) <= {Kind.FOREIGN}
    (trade,) = samples["GET /fapi/v1/userTrades"][0]
    answers.told(order_body("web_1", "FILLED", orderId=trade["orderId"]), NOW)
    (fill,) = answers.trades([trade], NOW)
    assert (fill["kind"], fill["c"], fill["d"], fill["e"]) == (Kind.FILL, 781_901, 2, 7_819_010)


def test_what_the_exchange_on_loopback_answers_settles_what_was_never_heard():
    """No event of the stream is heard; questions and lists alone lead to the exchange's position, wallet and orders."""
    with World(setup("alice"), setup("bob"), setup("maker", 100_000_000)) as world:
        account = Account(lots=30, ticks=500_010)
        world.quote(quantity=0.01)
        world.order("BUY", 0.030, 50_001, newClientOrderId=account.name)
        lose(account)
        stop = account.engine.orders.insert_for_test(0, 1, 0, 5, True, 0, STOP["type"])
        world.algo("SELL", "STOP_MARKET", quantity=0.005, triggerPrice=48_000, clientAlgoId=f"at{stop:016x}")
        account.engine.feed(row(Kind.LOST, NOW, a=stop, b=int(Kind.ORDER)))
        for order in (account.order, stop):
            name = f"at{order:016x}"
            plain = world.call("GET", "order", symbol=BTC, origClientOrderId=name).body
            algo = world.call("GET", "algoOrder", clientAlgoId=name).body
            trades = world.ok("GET", "userTrades", symbol=BTC)
            account.feed(account.answers.queried(BTC, order, plain, algo, NOW, trades))
        orders = account.engine.orders
        assert [orders.order(order)["state"] for order in (account.order, stop)] == ["PARTLY_FILLED", "ARMED"]
        assert orders.order(account.order)["filled"] == account.lots == round(world.position() * 1000) == 10
        assert account.engine.account.wallet_e8 == round(world.wallet() * E8)
        canceled = world.ok("DELETE", "order", symbol=BTC, origClientOrderId=account.name)
        account.feed(account.answers.canceled(canceled, NOW))
        account.feed(account.answers.algo_canceled(BTC, world.ok("DELETE", "algoOrder", clientAlgoId=name), NOW))
        assert [orders.order(order)["state"] for order in (account.order, stop)] == ["CANCELLED", "CANCELLED"]
        gone = orders.insert_for_test(0, 0, 400_000, 3)
        name = f"at{gone:016x}"
        plain = world.call("GET", "order", symbol=BTC, origClientOrderId=name).body
        algo = world.call("GET", "algoOrder", clientAlgoId=name).body
        kinds = account.answers.queried(BTC, gone, plain, algo, NOW)["kind"].tolist()
        assert kinds == [Kind.ABSENT]


def test_statuses_of_conditional_orders_have_numbers():
    assert AlgoStatus.ALGO_NEW < AlgoStatus.ALGO_TRIGGERING < AlgoStatus.ALGO_TRIGGERED < AlgoStatus.ALGO_FINISHED
    assert quantity(10) == "0.010"
