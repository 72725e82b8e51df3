"""How an account's trading is ended over REST, on the exchange on loopback: step by step, whatever goes wrong."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_world import World, setup
from rest_clients import Account, run

from autotrader.adapters.binance.closing import NEVER_MS, Closing, Rule
from autotrader.adapters.binance.reading import client_name
from autotrader.errors import VenueError

BTC, ETH = "BTCUSDT", "ETHUSDT"
EPOCH = 7


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        one.quote()
        yield one


class Ending:
    """The end of alice's trading, and what it told."""

    def __init__(self, world, *symbols, epoch=EPOCH, **options):
        self.world, self.symbols, self.options = world, symbols or (BTC,), options
        self.names, self.told = (client_name(epoch << 32 | n) for n in count(1)), []

    def steps(self, most=20, between=lambda: None):
        """Take steps until nothing is left; return how many, and every failure in words."""

        async def main():
            failures = []
            async with Account(self.world) as account:
                account.clock.measure = self._measured
                tell = lambda event, text: self.told.append((event, text))  # noqa: E731
                closing = Closing(account.rest, account.clock, self.symbols, self.names, tell, **self.options)
                for step in range(1, most + 1):
                    try:
                        if not await closing.step():
                            return step, failures
                    except VenueError as error:
                        failures.append(str(error))
                    between()
            return most + 1, failures

        return run(main())

    async def _measured(self):
        self.told.append(("MEASURED", ""))


def ours(n, epoch=1):
    return client_name(epoch << 32 | n)


STOP = ours(9)


def stop(world, trigger=40_000, name=STOP, side="SELL", **more):
    return world.algo(
        side, "STOP_MARKET", triggerPrice=trigger, closePosition="true", workingType="MARK_PRICE", clientAlgoId=name,
        **more,
    )  # fmt: skip


def names(world, path="openOrders", key="clientOrderId", who="alice"):
    return {one[key] for one in world.ok("GET", path, who)}


def accepted(world, epoch=EPOCH):
    """Return the orders that this end has placed, as the exchange took them."""
    return [one for one in world.records("order") if one["client"].startswith(f"at{epoch:08x}")]


def test_nothing_to_be_ended_is_one_look(world):
    assert Ending(world).steps() == (1, [])
    assert accepted(world) == []


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_orders_go_first_then_the_position_and_its_stop_last(world, side):
    world.hold(side, 0.5)
    world.order("BUY", "0.1", 40_000, newClientOrderId=ours(1))
    world.order("SELL", "0.1", 60_000, newClientOrderId=ours(2))
    stop(world, 40_000 if side == "BUY" else 60_000, side="SELL" if side == "BUY" else "BUY")
    exit_side = "SELL" if side == "BUY" else "BUY"
    trigger = 39_000 if side == "BUY" else 61_000
    more = {"quantity": "0.5", "triggerPrice": trigger, "reduceOnly": "true", "clientAlgoId": ours(3)}
    world.algo(exit_side, "STOP_MARKET", **more)
    _, failures = Ending(world).steps()
    assert (failures, world.position()) == ([], 0)
    assert names(world) == names(world, "openAlgoOrders", "clientAlgoId") == set()
    cancelled = [one["n"] for one in world.records("end") if one["how"] == "CANCELED"]
    closed = [one["n"] for one in world.records("fill") if one["account"] == 0][-1]
    unprotected = [one["n"] for one in world.records("algo") if one["status"] in ("CANCELED", "EXPIRED")]
    assert len(unprotected) == 2
    assert max(cancelled) < closed < min(unprotected)
    order = accepted(world)[0]
    assert (order["reduce"], order["lots"]) == (True, 500)


def test_a_stranger_s_orders_and_other_symbols_are_not_touched(world):
    world.mark(3_000, ETH)
    world.quote(2_999, 3_001, symbol=ETH)
    world.hold("BUY", 1, 3_000, symbol=ETH)
    world.hold("BUY", 0.5)
    world.order("BUY", "0.1", 40_000, newClientOrderId="by-hand")
    world.order("BUY", "1", 2_000, newClientOrderId=ours(3), symbol=ETH)
    more = {"quantity": "0.1", "triggerPrice": 40_000, "reduceOnly": "true"}
    world.algo("SELL", "STOP_MARKET", clientAlgoId="stop-by-hand", **more)
    world.algo("SELL", "STOP_MARKET", clientAlgoId=ours(4), **more)
    Ending(world).steps()
    assert (world.position(), world.position(symbol=ETH)) == (0, 1)
    assert names(world) == {"by-hand", ours(3)}
    assert names(world, "openAlgoOrders", "clientAlgoId") == {"stop-by-hand"}


def test_a_conditional_order_that_could_open_goes_with_the_others_and_one_that_reduces_stays(world):
    world.hold("BUY", 0.5)
    world.algo("BUY", "STOP_MARKET", quantity="0.1", triggerPrice=60_000, clientAlgoId=ours(1))
    world.algo("SELL", "STOP_MARKET", quantity="0.1", triggerPrice=40_000, reduceOnly="true", clientAlgoId=ours(2))
    stop(world)
    Ending(world, protect_e8=5_000_000).steps()
    assert names(world, "openAlgoOrders", "clientAlgoId") == {ours(2), ours(9)}
    assert world.position() == 0.5


def test_each_leg_of_a_hedge_is_closed_by_its_own_side(tmp_path):
    accounts = setup("alice", hedge=True), setup("maker", 100_000_000)
    with World(*accounts, history=tmp_path / "history.jsonl") as world:
        world.mark(50_000)
        world.quote()
        world.order("BUY", 0.3, positionSide="LONG")
        world.order("SELL", 0.2, positionSide="SHORT")
        stop(world, positionSide="LONG")
        stop(world, 60_000, ours(8), "BUY", positionSide="SHORT")
        assert Ending(world).steps()[1] == []
        assert [one for one in world.ok("GET", "/fapi/v3/positionRisk") if float(one["positionAmt"])] == []
        assert names(world, "openAlgoOrders", "clientAlgoId") == set()
        assert [(one["leg"], one["side"], one["lots"]) for one in accepted(world)] == [(0, 1, 300), (1, 0, 200)]


def test_a_position_beyond_the_largest_market_order_is_closed_in_slices(world):
    world.hold("BUY", 0.5)
    world.fault("filters", symbol=BTC, max_market_qty="0.2", at_s=0)
    Ending(world).steps()
    assert world.position() == 0
    assert [one["lots"] for one in accepted(world)] == [200, 200, 100]


@pytest.mark.parametrize("do", ["lose_answer", "timeout_done", "unknown_503_done", "empty_200"])
def test_an_order_that_was_carried_out_unheard_is_asked_for_and_not_sent_again(world, do):
    world.hold("BUY", 0.5)
    world.fault(do, path="/fapi/v1/order", method="POST", count=1)
    ending = Ending(world)
    ending.steps()
    assert world.position() == 0
    assert len(accepted(world)) == 1
    assert [event for event, _ in ending.told] == ["SENT", "UNKNOWN", "SETTLED"]


@pytest.mark.parametrize("do", ["lose_request", "timeout_undone", "unknown_503_undone"])
def test_an_order_that_was_not_carried_out_is_sent_again_when_it_cannot_come_any_more(world, do):
    world.hold("BUY", 0.5)
    world.fault(do, path="/fapi/v1/order", method="POST", count=1)
    ending = Ending(world)
    begun, sent = world.stamp_ms, []

    def pass_a_second():
        sent.append((world.stamp_ms - begun, len([one for one, _ in ending.told if one == "SENT"])))
        world.wall_ms += 1000

    ending.steps(between=pass_a_second)
    assert world.position() == 0
    assert {count for ms, count in sent if ms <= NEVER_MS} == {1}  # while it may still come there is no second
    assert sent[-1][1] == 2
    assert len(accepted(world)) == 1


def test_while_one_symbol_is_refused_the_others_are_ended(world):
    world.mark(3_000, ETH)
    world.quote(2_999, 3_001, symbol=ETH)
    world.hold("BUY", 1, 3_000, symbol=ETH)
    world.hold("BUY", 0.5)
    world.fault("error", path="/fapi/v1/order", method="POST", count=100, code=-4131, text="x", symbol=BTC)
    _, failures = Ending(world, BTC, ETH).steps(3)
    assert failures
    assert "-4131" in failures[0]
    assert world.position(symbol=ETH) == 0


def test_cancels_that_are_refused_do_not_keep_the_position(world):
    world.hold("BUY", 0.5)
    world.order("BUY", "0.1", 40_000, newClientOrderId=ours(1))
    world.fault("error", path="/fapi/v1/order", method="DELETE", count=2, code=-1008, text="throttled")
    steps, failures = Ending(world).steps(2)
    assert (steps, len(failures), world.position()) == (3, 2, 0)
    Ending(world).steps()
    assert names(world) == set()


@pytest.mark.parametrize("path", ["openOrders", "openAlgoOrders"])
def test_a_list_that_cannot_be_believed_ends_nothing(world, path):
    world.hold("BUY", 0.5)
    world.fault("answer", path=f"/fapi/v1/{path}", method="GET", body='[{"symbol": "BTCUSDT"}]', count=1)
    _, failures = Ending(world).steps(1)
    assert "cannot be believed" in failures[0]
    assert world.position() == 0.5
    Ending(world).steps()
    assert world.position() == 0


def test_who_protects_leaves_each_position_its_one_stop(world):
    world.hold("BUY", 0.5)
    world.order("BUY", "0.1", 40_000, newClientOrderId=ours(1))
    for _ in range(2):  # again changes nothing
        assert Ending(world, protect_e8=5_000_000).steps()[1] == []
        stops = world.ok("GET", "openAlgoOrders")
        assert [(one["side"], one["closePosition"], float(one["triggerPrice"])) for one in stops] == [
            ("SELL", True, 47_500)
        ]
    assert (world.position(), names(world)) == (0.5, set())


def test_a_stop_whose_trigger_has_passed_is_a_close_at_market(world):
    world.hold("BUY", 0.5)
    world.fault("error", path="/fapi/v1/algoOrder", method="POST", count=1, code=-2021, text="would trigger")
    Ending(world, protect_e8=5_000_000).steps()
    assert world.position() == 0


def test_a_stop_that_was_placed_unheard_is_not_placed_twice(world):
    world.hold("SELL", 0.5)
    world.fault("lose_answer", path="/fapi/v1/algoOrder", method="POST", count=1)
    ending = Ending(world, protect_e8=5_000_000)
    ending.steps()
    assert len(world.ok("GET", "openAlgoOrders")) == 1
    assert [event for event, _ in ending.told] == ["PROTECTED", "UNKNOWN", "SETTLED"]


def test_an_end_that_broke_off_anywhere_is_ended_by_the_next(world):
    for taken in range(4):
        world.hold("BUY", 0.5)
        world.order("BUY", "0.1", 40_000, newClientOrderId=ours(1, 10 + taken))
        stop(world, name=ours(9, 10 + taken))
        Ending(world, epoch=100 + taken).steps(taken)
        Ending(world, epoch=200 + taken).steps()
        assert (world.position(), names(world), names(world, "openAlgoOrders", "clientAlgoId")) == (0, set(), set())


@given(
    amount=st.integers(-(10**14), 10**14), step=st.integers(1, 10**8), most=st.integers(1, 10**12)
)  # fmt: skip
def test_slices_never_exceed_the_position_or_the_largest_order(amount, step, most):
    left, rule = abs(amount), Rule(1, step, most)
    size = rule.slice_e8(amount)
    assert 0 <= size <= min(left, most)
    assert size % step == 0
    assert size > 0 or min(left, most) < step


@given(st.integers(1, 10**15), st.integers(1, 50_000_000), st.integers(1, 10**6), st.booleans())
def test_a_trigger_is_on_the_tick_and_not_farther_than_it_should_be(mark, distance, tick, sells):
    trigger = Rule(tick, 1, 1).trigger_e8(mark, distance, sells)
    assert trigger % tick == 0
    apart = mark - trigger if sells else trigger - mark
    assert mark * distance // 10**8 - tick < apart <= mark * distance // 10**8
