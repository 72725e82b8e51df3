"""What we believe beside what the exchange lists: from anywhere the engine is led to what the exchange has."""

from dataclasses import dataclass, field, replace

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
from builders import E8, row
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_world import World, setup
from test_engine import EPOCH, EQUITY

from autotrader.adapters.binance.reading import UnreadableError, client_name
from autotrader.adapters.binance.reconciliation import Listed, Remedy, believed, differences, rows
from autotrader.messages import ENGLISH, KOREAN
from core_ext.types import Flag, Kind, Setting

BTC, ETH = "BTCUSDT", "ETHUSDT"
NO_TRIGGER = {"triggerPrice": "0.00"}  # as an order that a test puts into the table has it
NO_SUCH_ORDER = {"code": -2013, "msg": "Order does not exist."}
PASSES = 4
NOTHING = Listed(
    open_orders=[], open_algo_orders=[], position_risk=[], balance=[{"asset": "USDT", "balance": str(EQUITY // E8)}]
)


@pytest.fixture
def account():
    return Account()


def compare(account, listed, **changes):
    listed = replace(listed, **changes)
    return differences(believed(account.engine), listed, account.engine.instruments, {EPOCH})


def repair(account, listed, **changes):
    """Feed what a comparison found, and let the memory know; return the kinds and remedies of the differences."""
    found = compare(account, listed, **changes)
    made = rows(found, NOW)
    account.engine.feed(made)
    account.events.note(made)
    return [(one.kind, one.remedy.value) for one in found]


def at_risk(lots, entry="100000.00000000", symbol=BTC, side="BOTH", isolated="0"):
    return {
        "symbol": symbol, "positionSide": side, "positionAmt": quantity(lots), "entryPrice": entry if lots else "0.0",
        "isolatedWallet": isolated,
    }  # fmt: skip


def config(symbol=BTC, leverage=3, margin="CROSSED"):
    return {"symbol": symbol, "marginType": margin, "isAutoAddMargin": False, "leverage": leverage}


# ---------------------------------------------------------------------------------- orders


def test_nothing_differs_between_equals(account):
    account.hear(order_event(account.name))
    assert compare(account, NOTHING, open_orders=[order_body(account.name)]) == []


def test_an_order_that_is_in_no_list_is_asked_for_and_never_declared_dead(account):
    account.hear(order_event(account.name))
    (found,) = compare(account, NOTHING)
    assert (found.kind, found.remedy, found.order) == ("order_missing", Remedy.ASKED, account.order)
    repair(account, NOTHING)
    assert account.state == "UNKNOWN"
    assert account.engine.orders.exposure(0, 0)["orders"] == 1


def test_an_order_that_changed_after_the_lists_were_made_is_not_compared(account):
    account.hear(order_event(account.name))
    assert compare(account, NOTHING, since_ns=NOW) == []


def test_an_order_of_one_universe_is_not_missing_from_the_other():
    account = Account(**STOP)
    account.hear(algo_event(account.name, "NEW"))
    assert compare(account, NOTHING, open_algo_orders=[algo_body(account.name, **NO_TRIGGER)]) == []
    child = order_body(account.name, side="SELL", orderId=8, price="0", type="MARKET")
    assert repair(account, NOTHING, open_orders=[child]) == [("order_state", "repaired")]
    assert account.state == "LIVE"


def test_unknown_orders_that_are_listed_stand(account):
    account.engine.feed(row(Kind.LOST, NOW, a=account.order, b=int(Kind.ORDER)))
    assert repair(account, NOTHING, open_orders=[order_body(account.name)]) == [("order_state", "repaired")]
    assert account.state == "LIVE"
    stop = Account(**STOP)
    assert repair(stop, NOTHING, open_algo_orders=[algo_body(stop.name, **NO_TRIGGER)]) == [("order_state", "repaired")]
    assert stop.state == "ARMED"


def test_other_terms_are_taken_over_and_other_sums_are_asked_for(account):
    account.hear(order_event(account.name))
    body = order_body(account.name, price="99999.00", origQty="0.012")
    assert repair(account, NOTHING, open_orders=[body]) == [("order_terms", "repaired")]
    assert account.engine.orders.order(account.order)["price_ticks"] == TICKS - 10
    body = order_body(account.name, "PARTIALLY_FILLED", 5, price="99999.00", origQty="0.012")
    assert repair(account, NOTHING, open_orders=[body]) == [("order_filled", "asked")]


def test_a_cancel_that_does_not_come_is_asked_for(account):
    account.hear(order_event(account.name))
    account.engine.orders.evidence(account.order, 6)
    assert repair(account, NOTHING, open_orders=[order_body(account.name)]) == [("order_state", "asked")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("web_1", "order_foreign"), (client_name(EPOCH << 32 | 77), "order_forgotten"), (None, "order_dead")],
)
@pytest.mark.parametrize("algo", [False, True])
def test_an_order_that_nobody_here_manages_is_raised_and_stops_entries(name, kind, algo):
    account = Account(**(STOP if algo else {}))
    account.hear(*([algo_event(account.name, "NEW")] if algo else [order_event(account.name)]))
    own = algo_body(account.name, **NO_TRIGGER) if algo else order_body(account.name)
    if name is None:
        account.hear(algo_event(account.name, "CANCELED") if algo else order_event(account.name, "CANCELED"))
    lists = [own | ({"clientAlgoId": name} if algo else {"clientOrderId": name})] if name else [own]
    lists = lists if name is None else [own, *lists]
    changes = {"open_algo_orders" if algo else "open_orders": lists}
    assert repair(account, NOTHING, **changes) == [(kind, "raised")]
    assert account.engine.gate.halted


def test_a_stop_with_another_trigger_is_raised():
    account = Account(**STOP)
    account.hear(algo_event(account.name, "NEW"))
    assert repair(account, NOTHING, open_algo_orders=[algo_body(account.name, triggerPrice="90000.0")]) == [
        ("algo_terms", "raised")
    ]


# ---------------------------------------------------------------------------------- positions and money


@pytest.mark.parametrize(("lots", "entry"), [(7, "99999.12345678"), (-7, "100000.1")])
def test_a_position_is_taken_over_with_its_cost(account, lots, entry):
    stands = [order_body(account.name)]
    assert repair(account, NOTHING, position_risk=[at_risk(lots, entry)], open_orders=stands)[1][0] == "position"
    held = account.engine.account.position(0)
    assert held["lots"] == lots
    assert held["cost_e8"] == round(lots * float(entry) * 10**5)
    assert account.engine.account.reconcile() == 0


def test_a_position_that_is_not_listed_is_none(account):
    account.hear(order_event(account.name, "CANCELED"), trade_event("web_1", 1, 4, 4))
    assert repair(account, NOTHING)[0] == ("position", "repaired")
    assert account.lots == 0


def test_a_difference_of_the_average_within_its_last_digits_is_none(account):
    account.hear(trade_event(account.name, 1, 3, 3), trade_event(account.name, 2, 4, 7, price="99999.9"))
    body = order_body(account.name, "PARTIALLY_FILLED", 7)
    cost = account.engine.account.position(0)["cost_e8"]
    listed = replace(NOTHING, open_orders=[body], balance=None)
    exact = f"{cost * 10**8 // (7 * 10**5) / 10**8:.8f}"
    assert compare(account, listed, position_risk=[at_risk(7, exact)]) == []
    (found,) = compare(account, listed, position_risk=[at_risk(7, "99999.97")])
    assert (found.kind, found.remedy) == ("entry", Remedy.REPAIRED)


def test_hedge_legs_and_their_isolated_margin_are_taken_over(account):
    account.hear(order_event(account.name, "CANCELED"))
    listed = replace(
        NOTHING,
        dual={"dualSidePosition": True},
        symbol_config=[config(leverage=10, margin="ISOLATED"), config("XRPUSDT")],
        position_risk=[at_risk(5, side="LONG", isolated="60"), at_risk(-3, side="SHORT", isolated="31.5")],
    )
    kinds = [kind for kind, _ in repair(account, listed)]
    assert kinds == ["hedge", "margin", "leverage", "position", "position"]
    books = account.engine.account
    legs = [books.position(0, leg) for leg in (0, 1)]
    assert [(leg["lots"], leg["isolated_e8"]) for leg in legs] == [(5, 60 * E8), (-3, 3_150_000_000)]
    assert books.hedge and books.margins_of(0)["leverage"] == 10
    assert repair(account, listed) == []
    moved = replace(listed, position_risk=[at_risk(5, side="LONG", isolated="70"), listed.position_risk[1]])
    assert repair(account, moved) == [("isolated", "repaired")]
    assert books.position(0, 0)["isolated_e8"] == 70 * E8


def test_nothing_is_taken_over_while_trades_may_be_missing(account):
    account.hear(order_event(account.name))
    wallet = [{"asset": "USDT", "balance": "1"}]
    listed = replace(NOTHING, position_risk=[at_risk(5), at_risk(2, symbol=ETH)], balance=wallet)
    missing = repair(account, listed)
    assert missing == [
        ("order_missing", "asked"), ("position", "asked"), ("position", "repaired"), ("wallet", "asked"),
    ]  # fmt: skip
    assert account.lots == 0
    standing = replace(listed, open_orders=[order_body(account.name)], moving=frozenset({BTC}))
    account.feed(account.answers.told(order_body(account.name), NOW))
    assert repair(account, standing) == [("position", "asked"), ("wallet", "asked")]
    assert repair(account, standing, open_orders=None) == [("position", "asked"), ("wallet", "asked")]


def test_wallets_are_taken_over_and_unknown_assets_are_raised(account):
    account.hear(order_event(account.name, "CANCELED"))
    wallet = [{"asset": a, "balance": b} for a, b in (("USDT", "9000.5"), ("BNB", "2"), ("BUSD", "3"), ("FDUSD", "0"))]
    assert repair(account, NOTHING, balance=wallet) == [
        ("wallet", "repaired"), ("wallet", "repaired"), ("asset", "raised"),
    ]  # fmt: skip
    assert account.engine.account.wallet_e8 == 900_050_000_000
    assert account.engine.account.asset(1)["wallet_e8"] == 2 * E8


def test_a_position_on_another_symbol_is_raised(account):
    account.hear(order_event(account.name, "CANCELED"))
    (found,) = compare(account, NOTHING, position_risk=[at_risk(5, symbol="XRPUSDT"), at_risk(0, symbol="ADAUSDT")])
    assert (found.kind, found.symbol, found.remedy) == ("elsewhere", "XRPUSDT", Remedy.RAISED)


# ---------------------------------------------------------------------------------- settings


def test_settings_are_taken_over(account):
    found = compare(account, Listed(dual={"dualSidePosition": True}, multi_assets={"multiAssetsMargin": True}))
    assert [one.made[0][:5] for one in found] == [
        (Kind.SETTING, Flag.F_END, 0, Setting.HEDGE_MODE, 1),
        (Kind.SETTING, Flag.F_END, 0, Setting.MULTI_ASSETS, 1),
    ]


# ---------------------------------------------------------------------------------- words and absurd lists


@pytest.mark.parametrize(
    ("part", "listed"),
    [
        ("open_orders", [order_body("web_1", price="NaN")]),
        ("open_orders", [1]),
        ("open_orders", {"code": -1021}),
        ("open_algo_orders", [algo_body("web_1", triggerPrice="1e5")]),
        ("position_risk", [at_risk(5, "0.0")]),
        ("position_risk", [at_risk(5), at_risk(6)]),
        ("position_risk", [at_risk(5) | {"positionAmt": "0.0005"}]),
        ("position_risk", [at_risk(5, "9" * 17)]),
        ("balance", [{"asset": "USDT"}]),
        ("symbol_config", [config(leverage=0)]),
        ("symbol_config", [config(margin="HALF")]),
        ("dual", {"dualSidePosition": "true"}),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_true_is_refused_whole(account, part, listed):
    with pytest.raises(UnreadableError):
        compare(account, NOTHING, **{part: listed})


def test_every_difference_has_its_sentence_in_both_languages(account):
    account.hear(order_event(account.name))
    evil = order_body("x\x1b[31m", "NEW\u202e")
    found = compare(account, NOTHING, open_orders=[order_body(account.name), evil], position_risk=[at_risk(5)])
    assert [one.sentence("en") for one in found] == [
        "BTCUSDT the exchange lists an order of somebody else: 7 NEW? (ours: -); look at the account; nothing new is "
        "opened until then",
        "BTCUSDT position: we believed 0, the exchange has 0.005 @ 100000; taken over from the exchange",
    ]
    assert all(one.sentence("ko") != one.sentence("en") and BTC in one.sentence("ko") for one in found)
    named = {key.removeprefix("reconcile.") for key in ENGLISH if key.startswith("reconcile.")}
    assert named >= {remedy.value for remedy in Remedy} and named <= {key.removeprefix("reconcile.") for key in KOREAN}


# ---------------------------------------------------------------------------------- from any belief to any truth


@dataclass
class Truth:
    """An order as the exchange has it, and its trades."""

    order: int
    side: int
    lots: int
    trades: list[tuple[int, int]] = field(default_factory=list)
    status: str = "NEW"
    algo: bool = False

    @property
    def name(self):
        return client_name(self.order)

    @property
    def done(self):
        return sum(lots for _, lots in self.trades)

    def body(self):
        if self.status == "ABSENT" or self.algo:
            return NO_SUCH_ORDER
        words = {"side": ("BUY", "SELL")[self.side], "origQty": quantity(self.lots), "orderId": self.venue_id}
        return order_body(self.name, self.status, self.done, 50, **words)

    def algo_body(self):
        if self.status == "ABSENT" or not self.algo:
            return NO_SUCH_ORDER
        return algo_body(self.name, self.status, quantity=quantity(self.lots), algoId=self.venue_id, **NO_TRIGGER)

    @property
    def venue_id(self):
        return 1_000 + (self.order & 0xFFFF)

    @property
    def stands(self):
        return self.status in ("NEW", "PARTIALLY_FILLED")

    def trade_bodies(self):
        side = ("BUY", "SELL")[self.side]
        return [trade_body(number, lots, side=side, orderId=self.venue_id) for number, lots in self.trades]

    def events(self):
        """Everything that the stream would have said."""
        if self.status == "ABSENT":
            return []
        if self.algo:
            words = {"q": quantity(self.lots), "aid": self.venue_id}
            return [algo_event(self.name, status, **words) for status in dict.fromkeys(("NEW", self.status))]
        words = {"S": ("BUY", "SELL")[self.side], "q": quantity(self.lots), "i": self.venue_id}
        told, done = [order_event(self.name, **words)], 0
        for n, (number, lots) in enumerate(self.trades):
            done += lots
            status = "FILLED" if done == self.lots else "PARTIALLY_FILLED"
            told.append(trade_event(self.name, number, lots, done, status, at_ms=n + 1, **words))
        if self.status in ("CANCELED", "EXPIRED"):
            told.append(order_event(self.name, self.status, done=done, at_ms=50, **words))
        return told


@st.composite
def truths(draw, account):
    """An order of ours at the exchange, of either universe."""
    side, lots = draw(st.integers(0, 1)), draw(st.integers(1, 9))
    if draw(st.booleans()) and draw(st.booleans()):
        order = account.engine.orders.insert_for_test(0, 1, 0, lots, True, 0, STOP["type"])
        account.events.note(row(Kind.ORDER, NOW, a=order, c=lots))
        return Truth(order, 1, lots, [], draw(st.sampled_from(["NEW", "CANCELED", "EXPIRED", "ABSENT"])), True)
    order = account.engine.orders.insert_for_test(0, side, TICKS, lots)
    account.events.note(row(Kind.ORDER, NOW, a=order, b=TICKS, c=lots))
    truth = Truth(order, side, lots)
    for n in range(draw(st.integers(0, 3))):
        left = lots - truth.done
        if left:
            truth.trades.append((order * 10 % 10**9 + n, draw(st.integers(1, left))))
    open_status = "PARTIALLY_FILLED" if truth.trades else "NEW"
    truth.status = "FILLED" if truth.done == lots else draw(st.sampled_from([open_status, "CANCELED", "EXPIRED"]))
    if not truth.trades and draw(st.booleans()):
        truth.status = "ABSENT"
    return truth


def answer_questions(account, orders):
    """Answer what the engine asks, as whoever carries its questions would."""
    asked = account.engine.feed(row(Kind.TIMER, NOW, a=-1))
    for number in asked["a"][asked["kind"] == Kind.QUERY].tolist():
        truth = orders[number]
        rows_ = account.answers.queried(BTC, number, truth.body(), truth.algo_body(), NOW, truth.trade_bodies())
        account.engine.feed(rows_)


def all_lists(orders, position, entry, wallet, hedge_of_the_venue, leverage):
    legs = [at_risk(position, entry, side="BOTH")] if position else []
    standing = [truth for truth in orders.values() if truth.stands]
    return Listed(
        open_orders=[truth.body() for truth in standing if not truth.algo],
        open_algo_orders=[truth.algo_body() for truth in standing if truth.algo],
        position_risk=legs,
        balance=[{"asset": "USDT", "balance": wallet}],
        symbol_config=[config(leverage=leverage)],
        dual={"dualSidePosition": hedge_of_the_venue},
    )


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_from_any_belief_the_engine_is_led_to_any_truth(data):
    """Orders of which the engine has heard any part, a position, a wallet and settings that differ: all end equal."""
    account = Account()
    account.engine.orders.evidence(account.order, 1)  # the order of every account is not part of this
    account.events.evidence.believe(account.engine.orders.rows())
    orders = {}
    for _ in range(data.draw(st.integers(0, 4))):
        truth = data.draw(truths(account))
        orders[truth.order] = truth
        told = truth.events()
        heard = data.draw(st.permutations(told))[: data.draw(st.integers(0, len(told)))] if told else []
        account.hear(*heard)
        if data.draw(st.booleans()):
            account.engine.feed(row(Kind.LOST, NOW, a=truth.order, b=int(Kind.ORDER)))
    foreign = data.draw(st.integers(-20, 20))
    if data.draw(st.booleans()) and foreign:
        size, side = abs(foreign), "BUY" if foreign > 0 else "SELL"
        account.hear(trade_event("web_1", 5, size, size, "FILLED", S=side, q=quantity(size), i=3))
    position = foreign + sum((1 - 2 * truth.side) * truth.done for truth in orders.values())
    entry = data.draw(st.decimals(99_500, 100_500, places=8, allow_nan=False).map(str))
    wallet = data.draw(st.decimals(9_950, 20_000, places=8, allow_nan=False).map(str))
    listed = all_lists(orders, position, entry, wallet, False, data.draw(st.integers(1, 20)))
    for _ in range(PASSES):
        found = repair(account, listed)
        answer_questions(account, orders)
        if not found:
            break
    assert found == []
    engine = account.engine
    assert engine.account.position(0)["lots"] == position
    assert engine.account.wallet_e8 == int(wallet.replace(".", ""))
    assert engine.account.reconcile() == 0
    states = {truth.order: engine.orders.order(truth.order) for truth in orders.values()}
    standing = {order for order, held in states.items() if held["state"] in ("LIVE", "PARTLY_FILLED", "ARMED")}
    assert standing == {truth.order for truth in orders.values() if truth.stands}
    assert engine.orders.open_orders == len(standing)
    assert {order: held["filled"] for order, held in states.items()} == {t.order: t.done for t in orders.values()}
    assert engine.orders.sound()


# ---------------------------------------------------------------------------------- the exchange on loopback


def test_an_engine_that_slept_is_led_to_what_the_exchange_on_loopback_has():
    with World(setup("alice"), setup("bob"), setup("maker", 100_000_000)) as world:
        account = Account(lots=30, ticks=500_010)
        world.quote(quantity=0.01)
        world.order("SELL", 0.003, 49_999)  # by hand, filled
        world.order("BUY", 0.030, 50_001, newClientOrderId=account.name)
        stop = account.engine.orders.insert_for_test(0, 1, 0, 0, True, 0, STOP["type"], 1)
        world.algo("SELL", "STOP_MARKET", closePosition=True, triggerPrice=48_000, clientAlgoId=client_name(stop))
        world.ok("POST", "leverage", symbol=BTC, leverage=7)
        gone = account.engine.orders.insert_for_test(0, 0, 400_000, 5)
        assert account.lots == 0
        for _ in range(PASSES):
            trades = world.ok("GET", "userTrades", symbol=BTC)
            for name, number in account.answers.unattributed(trades):
                told = world.ok("GET", "order", symbol=name, orderId=number)
                account.engine.feed(account.answers.told(told, NOW))
            account.engine.feed(account.answers.trades(trades, NOW))
            found = repair(account, the_lists_of(world))
            asked = account.engine.feed(row(Kind.TIMER, NOW, a=-1))
            for number in asked["a"][asked["kind"] == Kind.QUERY].tolist():
                name = client_name(number)
                plain = world.call("GET", "order", symbol=BTC, origClientOrderId=name).body
                algo = world.call("GET", "algoOrder", clientAlgoId=name).body
                account.engine.feed(account.answers.queried(BTC, number, plain, algo, NOW, trades))
            if all(remedy == "raised" for _, remedy in found):
                break
        assert found == [("algo_terms", "raised")]  # an order that a test puts into the table has no trigger
        orders, books = account.engine.orders, account.engine.account
        states = [orders.order(order)["state"] for order in (account.order, stop, gone)]
        assert states == ["LIVE", "ARMED", "REJECTED_"]
        assert orders.order(account.order)["filled"] == 10
        theirs = world.do(lambda: world.server.exchange.accounts[0].position(0))
        assert (
            (books.position(0)["lots"], books.position(0)["cost_e8"]) == (theirs["lots"], theirs["cost_e8"]) != (0, 0)
        )
        assert books.wallet_e8 == round(world.wallet() * E8)
        assert books.margins_of(0)["leverage"] == 7


def the_lists_of(world):
    return Listed(
        open_orders=world.ok("GET", "openOrders"),
        open_algo_orders=world.ok("GET", "openAlgoOrders"),
        position_risk=world.ok("GET", "/fapi/v3/positionRisk"),
        balance=[one for one in world.ok("GET", "/fapi/v3/balance") if one["asset"] == "USDT"],
        symbol_config=world.ok("GET", "symbolConfig"),
        dual=world.ok("GET", "positionSide/dual"),
        multi_assets=world.ok("GET", "multiAssetsMargin"),
    )
