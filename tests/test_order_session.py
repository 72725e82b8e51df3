"""Orders on their way to the exchange on loopback, healthy and not: never twice, never forgotten, never dead by guess.

Rows of the catalogue of faults stand in the tests' names.
"""

import asyncio
import hmac
from random import Random

import orjson
import pytest
from builders import limits, row, spec
from feeds import run
from loopback_world import World
from plain.feed import frame
from rest_clients import at, elsewhere
from test_engine import BUY, EPOCH, EQUITY, GTX, MIDDLE, SECOND, SELL, SIZING, START, Plan, Tape, nothing
from test_outcomes_wire import DEEDS

from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.order_session import OrderSession, Timing, Unsent
from autotrader.adapters.binance.outcomes import Alert, Outcome, judge
from autotrader.adapters.binance.rest import Answer, Rest
from autotrader.adapters.loopback.proof import check
from autotrader.errors import OperatorError
from autotrader.research.stress import STAND_ASIDE
from autotrader.secret import Credentials, Secret
from core_ext.engine import Engine
from core_ext.journal import JournalWriter
from core_ext.live import Live
from core_ext.types import Instruments, Kind, OrderState, OrderType, Term
from core_ext.wire import Request, Scanner, Signer

ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
PRICE = MIDDLE // 10
KEYS = Credentials(api_key=Secret("alice-key"), secret=Secret("alice-secret"), kind="hmac")
ENDED = {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED_, OrderState.REJECTED_}


@pytest.fixture
def world(tmp_path):
    """An exchange that stands still; what it really did must be without a contradiction."""
    with World(history=tmp_path / "history.jsonl", specs=[spec(leverage=20)]) as one:
        one.mark(PRICE)
        yield one
    report = check(tmp_path / "history.jsonl")
    assert not report.violations, report.violations


class Watched:
    """REST with an account of what it was asked, which may be cut off."""

    def __init__(self, rest):
        self.rest, self.asked, self.dead = rest, [], False

    async def post(self, ask, text):
        self.asked.append((ask.method, ask.path))
        if self.dead:
            return Answer(judge(ask.call, 0, b"", True), 0, True)
        return await self.rest.post(ask, text)


class Clock:
    """The engine's time, and the exchange's as far as it is known."""

    def __init__(self, desk):
        self.desk, self.wrong_ms, self.measured = desk, 0, 0

    def now_ns(self):
        return self.desk.live.now

    def request_ms(self):
        return self.desk.world.stamp_ms + self.wrong_ms

    async def measure(self):
        self.measured += 1
        self.wrong_ms = 0


class Desk:
    """A live run whose orders go to the exchange."""

    def __init__(self, world, folder, *steps, rest=True, timing=None, connect=True, **changes):
        self.world, self.tape, self.clock, self.connect = world, Tape(), Clock(self), connect
        rules = limits(**STAND_ASIDE | changes)
        self.engine = Engine(Instruments([spec()]), Plan(nothing, *steps), rules, SIZING, EQUITY, EPOCH, ["stream"], 12)
        self.journal = JournalWriter(str(folder / "journal"))
        self.live = Live(self.engine, Scanner(self.engine.instruments, 0), self.journal, self.send, SECOND)
        self.events = AccountEvents(self.engine.instruments, {EPOCH})
        self.verdicts, self.links, self.told, self.late_ns, self.budget = [], [], [], 0, Budget()
        self.rest = Watched(Rest(at(world.port), KEYS, Signer(b"alice-secret"), self.budget, self.clock))
        self.session = OrderSession(
            at(world.port), KEYS, self.engine.instruments, Answers(self.events.evidence),
            self.budget, self.clock, self.take, fallback=self.rest if rest else None,
            judged=lambda *one: self.verdicts.append(one), linked=self.links.append, random=Random(1),
            timing=timing or Timing(answer_s=0.4, idle_s=0.3, first_s=0.05, cap_s=0.2),
        )  # fmt: skip
        self.journal_failed = False

    def send(self, requests):
        self.session.send(requests, self.live.now - self.late_ns, self.journal_failed)

    def take(self, rows):
        self.told += zip(rows["kind"].tolist(), rows["a"].tolist(), rows["b"].tolist(), strict=True)
        self.live.tell(rows)

    async def __aenter__(self):
        self.running = asyncio.create_task(self.session.run())
        await asyncio.sleep(0)
        if self.connect:
            await self.until(lambda: self.session.is_connected)
        self.live.control(Kind.RUN, START)
        self.live.tell(self.tape.opening)
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.running
        await self.rest.rest.close()

    async def until(self, what, seconds=20.0):
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not what():
                assert not getattr(self, "running", None) or not self.running.done() or self.running.result() is None
                await asyncio.sleep(0.005)

    def step(self):
        """Let the strategy take its next step."""
        self.live.tell(self.tape.touch())

    def wake(self):
        """Let time pass until the engine's next wake-up."""
        self.live.wake(self.live.next_due)

    async def answered(self, act):
        """Do something, and wait until what it leads to is answered."""
        before = len(self.told)
        act()
        await self.until(lambda: len(self.told) > before)

    async def steps(self, count=1):
        """Let the strategy take steps, each when what the one before asked for has been answered."""
        for _ in range(count):
            await self.answered(self.step)

    async def resolve(self, seconds=20.0):
        """Let the engine's time pass, a second at a time, until nothing is unknown."""
        async with asyncio.timeout(seconds):
            while self.engine.orders.unknown:
                await self.answered(self.wake)

    def state(self, number=1):
        return OrderState[self.engine.orders.order(EPOCH << 32 | number)["state"]]

    @property
    def quiet(self):
        """Whether whatever was asked has been answered."""
        open_states = ("PENDING_NEW", "PENDING_CANCEL")
        return not any(OrderState(one["state"]).name in open_states for one in self.engine.orders.rows())

    @property
    def reasons(self):
        return [b for kind, _, b in self.told if kind == Kind.REJECTED]

    def kinds(self):
        return [Kind(kind).name for kind, _, _ in self.told]


def buy(lots=10, ticks=MIDDLE - 5, **words):
    return lambda desk: desk.submit(0, BUY, lots, ticks, **words)


def cancel(number=1):
    return lambda desk: desk.cancel(EPOCH << 32 | number)


def amend(ticks, lots, number=1):
    return lambda desk: desk.amend(EPOCH << 32 | number, ticks, lots)


def with_desk(world, folder, test, *steps, **options):
    async def main():
        async with Desk(world, folder, *steps, **options) as desk:
            await test(desk)

    run(main())


def placed(world):
    """Return what the exchange wrote of every order that it took."""
    return world.records("order")


# ---------------------------------------------------------------------------------- health


def test_a_frame_says_what_was_signed_and_nothing_else():
    text = Signer(b"alice-secret", name=b"alice-key").reference_text(7, 0, Instruments([spec()]), 1_700_000_000_000)
    found = orjson.loads(frame(3, b"order.cancel", text))
    assert (found["id"], found["method"], set(found)) == (3, "order.cancel", {"id", "method", "params"})
    signature = found["params"].pop("signature")
    payload = "&".join(f"{name}={value}" for name, value in sorted(found["params"].items()))
    assert signature == hmac.new(b"alice-secret", payload.encode(), "sha256").hexdigest()
    assert list(found["params"]) == sorted(found["params"])


def test_an_order_is_placed_amended_and_cancelled(world, tmp_path):
    async def test(desk):
        await desk.steps(2)
        assert desk.state() == OrderState.LIVE
        assert desk.engine.orders.order(EPOCH << 32 | 1)["price_ticks"] == MIDDLE - 7
        (row,) = world.ok("GET", "openOrders", symbol="BTCUSDT")
        assert (row["clientOrderId"], float(row["price"]), row["origQty"]) == ("at0000000500000001", 99_999.3, "0.020")
        await desk.steps()
        assert desk.state() == OrderState.CANCELLED and world.ok("GET", "openOrders", symbol="BTCUSDT") == []
        assert desk.kinds() == ["ACCEPTED", "AMENDED", "CANCELED"] and desk.rest.asked == []

    with_desk(world, tmp_path, test, buy(), amend(MIDDLE - 7, 20), cancel())


def test_orders_of_one_event_leave_together_and_each_has_its_answer(world, tmp_path):
    def three(desk):
        for away in (5, 6, 7):
            desk.submit(0, BUY, 10, MIDDLE - away)

    async def test(desk):
        desk.step()
        await desk.until(lambda: len(desk.told) == 3)
        assert desk.kinds() == ["ACCEPTED"] * 3
        assert [float(one["price"]) for one in world.ok("GET", "openOrders")] == [99_999.5, 99_999.4, 99_999.3]

    with_desk(world, tmp_path, test, three)


def test_b20_a_conditional_order_goes_to_its_own_universe_and_is_cancelled_and_found_there(world, tmp_path):
    def stop(ticks):
        words = {"trigger_ticks": ticks, "terms": int(Term.MARK_TRIGGER), "reduce_only": True}
        return lambda desk: desk.order(0, SELL, OrderType.STOP_MARKET, 5, **words)

    async def test(desk):
        world.hold("BUY", 0.01, PRICE)
        desk.live.tell(desk.tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        await desk.steps()
        (found,) = world.ok("GET", "openAlgoOrders", symbol="BTCUSDT")
        assert (found["clientAlgoId"], found["workingType"]) == ("at0000000500000001", "MARK_PRICE")
        assert desk.state() == OrderState.ARMED
        world.fault("lose_answer", path=ALGO, method="POST")
        await desk.steps()
        assert desk.state(2) == OrderState.UNKNOWN
        await desk.resolve()
        assert desk.state(2) == OrderState.ARMED
        await desk.steps()
        assert desk.state() == OrderState.CANCELLED and len(world.ok("GET", "openAlgoOrders", symbol="BTCUSDT")) == 1

    with_desk(world, tmp_path, test, stop(MIDDLE - 50_000), stop(MIDDLE - 50_001), cancel())


# ---------------------------------------------------------------------------------- a new order and every fault


@pytest.mark.parametrize(("do", "keys", "done", "outcome"), DEEDS, ids=[f"{d[0]}-{','.join(d[1])}" for d in DEEDS])
def test_b1_b2_b5_b7_an_order_that_meets_a_fault_is_what_the_exchange_made_of_it(
    world, tmp_path, do, keys, done, outcome
):
    async def test(desk):
        world.fault(do, path=ORDER, method="POST", **keys)
        await desk.steps()
        if outcome is Outcome.UNKNOWN:
            assert desk.state() == OrderState.UNKNOWN
        await desk.resolve()
        assert len(placed(world)) == done
        assert desk.state() == (OrderState.LIVE if done else OrderState.REJECTED_)
        assert desk.engine.orders.open_orders == done and desk.engine.orders.illegal == 0

    with_desk(world, tmp_path, test, buy())


def test_b4_an_order_stays_unknown_as_long_as_nobody_says_what_became_of_it(world, tmp_path):
    async def test(desk):
        world.fault("lose_answer", path=ORDER, method="POST")
        world.fault("lose_request", path=ORDER, method="GET", count=4, name="mute")
        await desk.steps()
        desk.rest.dead = True
        for _ in range(4):
            await desk.answered(desk.wake)
            assert desk.state() == OrderState.UNKNOWN
            assert desk.engine.orders.exposure(0, BUY)["lots"] == 10
        desk.rest.dead = False
        await desk.resolve()
        assert desk.state() == OrderState.LIVE and len(placed(world)) == 1

    with_desk(world, tmp_path, test, buy())


def test_b4_a_question_that_is_under_way_is_not_put_again_and_one_that_was_lost_is(world, tmp_path):
    async def test(desk):
        world.fault("lose_answer", path=ORDER, method="POST")
        await desk.steps()
        world.fault("lose_request", path=ORDER, method="GET", name="first")
        desk.wake()
        await asyncio.sleep(0.05)
        before = len(desk.told)
        for _ in range(3):
            desk.wake()
        await asyncio.sleep(0.05)
        assert len(desk.told) == before  # the first one is still waited for, and those after it were none
        await desk.until(lambda: len(desk.told) > before)
        assert desk.told[before:] == [(Kind.LOST, EPOCH << 32 | 1, Kind.QUERY)]
        await desk.answered(desk.wake)
        assert desk.state() == OrderState.LIVE

    with_desk(world, tmp_path, test, buy())


def test_b4_ten_minutes_in_which_nobody_answers_make_no_order_dead(world, tmp_path):
    async def test(desk):
        desk.rest.dead = True
        await desk.steps()
        for _ in range(600):
            await desk.answered(desk.wake)
            assert desk.state() == OrderState.UNKNOWN
        assert desk.engine.orders.exposure(0, BUY)["lots"] == 10 and set(desk.kinds()) == {"LOST"}
        assert [path for path in desk.rest.asked if path == ("POST", ORDER)] == [("POST", ORDER)]
        desk.rest.dead = False
        await desk.resolve()
        assert desk.state() == OrderState.REJECTED_ and placed(world) == []

    world.fault("refuse", path="/ws-fapi/v1", count=1000)
    with_desk(world, tmp_path, test, buy(), connect=False)


def test_b2_absence_is_proven_in_both_universes_or_not_at_all(world, tmp_path):
    async def test(desk):
        world.fault("lose_request", path=ORDER, method="POST")
        await desk.steps()
        for _ in range(8):
            await desk.answered(desk.wake)
        assert desk.state() == OrderState.UNKNOWN and "ABSENT" not in desk.kinds()

    with_desk(world, tmp_path, test, buy(), rest=False)


def test_b6_an_order_that_filled_at_once_and_was_not_answered_is_found_filled_and_not_sent_again(world, tmp_path):
    world.quote(PRICE - 1, PRICE)

    async def test(desk):
        world.fault("lose_answer", path=ORDER, method="POST")
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN
        await desk.resolve()
        assert desk.state() == OrderState.FILLED and desk.engine.account.position(0)["lots"] == 10
        assert world.position() == 0.01 and len(world.ok("GET", "allOrders", symbol="BTCUSDT")) == 1

    with_desk(world, tmp_path, test, buy(ticks=0))


@pytest.mark.parametrize("code", [-5022, -2022, -4118, -4061, -2019, -4164, -1111, -2021, -4120, -2025, -1015])
def test_b14_b20_a_refusal_ends_the_order_once_and_nothing_is_tried_again(world, tmp_path, code):
    async def test(desk):
        world.fault("error", path=ORDER, method="POST", code=code, text="no", count=5)
        await desk.steps()
        assert desk.state() == OrderState.REJECTED_ and desk.reasons == [code]
        for _ in range(3):
            desk.live.tell(desk.tape.touch())
        await asyncio.sleep(0.05)
        (fault,) = world.send("GET", "/_control/faults").body
        assert fault["fired"] == 1 and len(desk.verdicts) == 1

    with_desk(world, tmp_path, test, buy())


def test_b14_a_post_only_order_that_would_take_ends_by_its_answer_alone(world, tmp_path):
    world.quote(PRICE - 1, PRICE - 0.5)

    async def test(desk):
        await desk.steps()
        assert desk.state() == OrderState.REJECTED_ and desk.reasons == [-5022]

    with_desk(world, tmp_path, test, buy(ticks=MIDDLE - 2, tif=GTX))


def test_b19_a_stop_that_would_trigger_at_once_becomes_an_order_at_market(world, tmp_path):
    world.quote(PRICE - 1, PRICE + 1)

    async def test(desk):
        world.hold("BUY", 0.01, PRICE)
        world.fault("error", path=ALGO, method="POST", code=-2021, text="Order would immediately trigger.")
        desk.live.tell(desk.tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        await desk.until(lambda: len(desk.told) == 2)
        await desk.until(lambda: world.position() == 0)
        assert desk.state() == OrderState.REJECTED_ and desk.reasons == [-2021]

    with_desk(world, tmp_path, test, stop_e8=5_000_000)


def test_b12_of_several_orders_each_has_its_own_outcome(world, tmp_path):
    def three(desk):
        for away in (5, 6, 7):
            desk.submit(0, BUY, 10, MIDDLE - away)

    async def test(desk):
        world.fault("error", path=ORDER, method="POST", code=-2019, text="Margin is insufficient.", skip=1)
        world.fault("lose_request", path=ORDER, method="POST", skip=1, name="lost")
        desk.step()
        await desk.until(lambda: len(desk.told) == 3)
        await desk.resolve()
        assert [desk.state(one) for one in (1, 2, 3)] == [OrderState.LIVE, OrderState.REJECTED_, OrderState.REJECTED_]
        assert sorted(desk.reasons) == [-2019] and len(placed(world)) == 1

    with_desk(world, tmp_path, test, three)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_b1_b2_after_many_faults_at_random_the_engine_has_what_the_exchange_has(world, tmp_path, seed):
    dice = Random(seed)
    deeds = [(do, keys) for do, keys, _, outcome in DEEDS if outcome in (Outcome.UNKNOWN, Outcome.FAILED)]
    places = [(method, *dice.choice(deeds)) for method in dice.choices(["POST", "GET", "DELETE"], k=20)]

    async def test(desk):
        for method, do, keys in places:
            name = world.fault(do, path=ORDER, method=method, **keys)
            await desk.until(lambda: desk.session.is_connected)
            desk.step()
            await desk.until(lambda: desk.quiet)
            await desk.resolve()
            world.send("DELETE", f"/_control/faults/{name}")
        theirs = {int(one["clientOrderId"][2:], 16) for one in world.ok("GET", "openOrders", symbol="BTCUSDT")}
        ours = {one["client_id"] for one in desk.engine.orders.rows() if one["state"] == OrderState.LIVE}
        assert (
            len(placed(world)) > 3
            and ours == theirs
            and desk.engine.orders.unknown == 0
            and desk.engine.orders.illegal == 0
        )
        names = [one["clientOrderId"] for one in world.ok("GET", "allOrders", symbol="BTCUSDT")]
        assert len(names) == len(set(names)) == len(placed(world))

    steps = [buy(ticks=MIDDLE - 5 - k) if k % 2 == 0 else cancel(k // 2 + 1) for k in range(len(places))]
    with_desk(world, tmp_path, test, *steps)


# ---------------------------------------------------------------------------------- cancels and amendments


def test_b9_a_cancel_that_a_fill_outran_ends_in_a_filled_order(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.order("SELL", 0.01, PRICE - 0.5, "maker")
        await desk.steps()
        assert desk.verdicts[-1][2].code == -2011 and desk.state() == OrderState.UNKNOWN
        await desk.resolve()
        assert desk.state() == OrderState.FILLED and desk.engine.account.position(0)["lots"] == 10

    with_desk(world, tmp_path, test, buy(), cancel())


def test_b10_a_part_that_filled_before_the_cancel_is_counted(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.order("SELL", 0.004, PRICE - 0.5, "maker")
        await desk.steps()
        await desk.resolve()
        assert desk.state() == OrderState.CANCELLED and desk.engine.account.position(0)["lots"] == 4

    with_desk(world, tmp_path, test, buy(), cancel())


@pytest.mark.parametrize(("do", "state"), [("lose_answer", OrderState.CANCELLED), ("lose_request", OrderState.LIVE)])
def test_b11_a_cancel_that_is_not_answered_is_exposure_until_the_exchange_says_what_it_did(world, tmp_path, do, state):
    async def test(desk):
        await desk.steps()
        world.fault(do, path=ORDER, method="DELETE")
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN and desk.engine.orders.exposure(0, BUY)["lots"] == 10
        await desk.resolve()
        assert desk.state() == state

    with_desk(world, tmp_path, test, buy(), cancel())


@pytest.mark.parametrize(("do", "lots"), [("lose_answer", 20), ("lose_request", 10)])
def test_b13_of_an_amendment_that_is_not_answered_the_larger_counts_until_the_exchange_says(world, tmp_path, do, lots):
    async def test(desk):
        await desk.steps()
        world.fault(do, path=ORDER, method="PUT")
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN and desk.engine.orders.exposure(0, BUY)["lots"] == 20
        await desk.resolve()
        order = desk.engine.orders.order(EPOCH << 32 | 1)
        assert (desk.state(), order["lots"]) == (OrderState.LIVE, lots)

    with_desk(world, tmp_path, test, buy(), amend(MIDDLE - 7, 20))


def test_e5_a_cancel_with_a_wrong_stamp_is_stamped_and_signed_anew_once(world, tmp_path):
    async def test(desk):
        await desk.steps()
        desk.clock.wrong_ms = -9_000
        await desk.steps()
        assert desk.state() == OrderState.CANCELLED and desk.clock.measured == 1
        assert [verdict.outcome for _, _, verdict in desk.verdicts] == [Outcome.DONE, Outcome.RESYNC, Outcome.DONE]
        world.fault("error", path=ORDER, method="DELETE", code=-1021, text="no", count=5)
        await desk.steps(2)
        assert desk.told[-1][::2] == (Kind.CANCEL_REJECTED, -1021) and desk.clock.measured >= 2
        assert [verdict.outcome for _, _, verdict in desk.verdicts[-2:]] == [Outcome.RESYNC] * 2

    with_desk(world, tmp_path, test, buy(), cancel(), buy(), cancel(2))


def test_e5_a_new_order_with_a_wrong_stamp_is_refused_not_sent_again_and_the_clock_is_measured(world, tmp_path):
    async def test(desk):
        desk.clock.wrong_ms = 2_000
        await desk.steps()
        assert desk.state() == OrderState.REJECTED_ and desk.reasons == [-1021]
        await desk.until(lambda: desk.clock.measured == 1)
        await desk.steps()
        assert desk.state(2) == OrderState.LIVE and len(placed(world)) == 1

    with_desk(world, tmp_path, test, buy(), buy())


# ---------------------------------------------------------------------------------- what does not leave


def test_b8_what_was_decided_too_long_ago_does_not_leave_unless_it_takes_risk_away(world, tmp_path):
    world.quote(PRICE - 1, PRICE + 1)

    async def test(desk):
        desk.late_ns = 600_000_000
        await desk.steps()
        assert desk.reasons == [Unsent.EXPIRED_INTENT] and desk.state() == OrderState.REJECTED_
        world.hold("BUY", 0.01, PRICE)
        desk.live.tell(desk.tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        await desk.steps()
        assert desk.kinds()[-1] == "ACCEPTED" and world.position() == 0

    with_desk(world, tmp_path, test, buy(), lambda desk: desk.submit(0, SELL, 10, 0, 0, True))


def test_what_leaves_at_once_and_what_takes_its_own_way_is_each_answered_once(world, tmp_path):
    async def test(desk):
        await desk.steps(2)
        first, second = (EPOCH << 32 | number for number in (1, 2))
        before = len(desk.told)
        requests = [Request(Kind.CANCEL, first, 0), Request(Kind.QUERY, second, 0), Request(Kind.CANCEL, second, 0)]
        desk.session.send(requests, desk.live.now)
        await desk.until(lambda: len(desk.told) >= before + 3)
        await asyncio.sleep(0.1)
        assert len({one.number for one in requests if one.kind is Kind.CANCEL}) == 2
        told = [(number, Kind(kind).name) for kind, number, _ in desk.told[before:]]
        assert sorted(number for number, _ in told) == [first, second, second], told
        assert desk.session.late == 0 and not desk.session._line.waiting
        assert desk.state(1) == desk.state(2) == OrderState.CANCELLED

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6))


def test_what_is_over_the_budget_in_the_midst_of_others_is_refused_alone(world, tmp_path):
    world.quote(PRICE - 1, PRICE + 1)

    def three(desk):
        desk.submit(0, BUY, 10, MIDDLE - 5)
        desk.submit(0, BUY, 10, MIDDLE - 6)
        desk.submit(0, SELL, 10, 0, 0, True)

    async def test(desk):
        world.hold("BUY", 0.01, PRICE)
        desk.live.tell(desk.tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        desk.budget.orders_10s.hear(239, desk.budget.orders_10s.sent, desk.live.now)
        desk.step()
        await desk.until(lambda: len(desk.told) >= 3)
        await asyncio.sleep(0.1)
        assert desk.reasons == [Unsent.OVER_BUDGET] and sorted(desk.kinds()) == ["ACCEPTED", "ACCEPTED", "REJECTED"]
        assert desk.session.late == 0 and not desk.session._line.waiting
        assert world.position() == 0

    with_desk(world, tmp_path, test, three)


def test_without_a_journal_only_what_takes_risk_away_leaves(world, tmp_path):
    async def test(desk):
        await desk.steps()
        desk.journal_failed = True
        await desk.steps(2)
        assert desk.reasons == [Unsent.NOT_JOURNALLED] and desk.state() == OrderState.CANCELLED
        assert len(placed(world)) == 1

    with_desk(world, tmp_path, test, buy(), buy(), cancel())


def test_a_key_that_is_refused_keeps_entries_in_and_lets_cancels_out_until_somebody_resumes(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.fault("error", path=ORDER, method="POST", status=401, code=-2015, text="Invalid API-key.")
        await desk.steps(2)
        assert desk.reasons == [-2015, Unsent.HALTED] and desk.session.halted.alert is Alert.KEY_REFUSED
        await desk.steps()
        assert desk.state() == OrderState.CANCELLED
        desk.session.resume()
        await desk.steps()
        assert desk.state(4) == OrderState.LIVE

    with_desk(world, tmp_path, test, buy(), buy(), buy(), cancel(), buy())


def test_h12_cancels_and_questions_do_not_knock_on_when_the_key_of_one_was_refused(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.fault("error", path=ORDER, method="DELETE", status=401, code=-2015, text="Invalid API-key.", count=1000)
        await desk.steps(6)
        (fault,) = world.send("GET", "/_control/faults").body
        assert fault["fired"] == 1 and [word for _, _, word in desk.told[2:]] == [Unsent.HALTED] * 5
        desk.live.tell(row(Kind.LOST, desk.live.now, a=EPOCH << 32 | 1, b=int(Kind.CANCEL)))
        await desk.answered(desk.wake)
        assert desk.told[-1][::2] == (Kind.LOST, Kind.QUERY) and len(desk.verdicts) == 2
        await asyncio.sleep(1.0)
        await desk.resolve()
        assert desk.state() == OrderState.LIVE

    with_desk(world, tmp_path, test, buy(), *[cancel()] * 6)


def test_d1_after_too_many_requests_nothing_leaves_until_the_exchange_allows_it(world, tmp_path):
    async def test(desk):
        world.fault("limit", path=ORDER, method="POST", retry_s=60, name="limit")
        await desk.steps(3)
        assert desk.reasons[1:] == [Unsent.OVER_BUDGET] * 2 and len(desk.verdicts) == 1
        assert desk.rest.asked == [] and desk.verdicts[0][2].alert is Alert.RATE_LIMIT

    with_desk(world, tmp_path, test, buy(), buy(), buy())


def test_d2_a_ban_silences_orders_cancels_and_questions_and_the_connection_stays(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.fault("ban", path=ORDER, method="POST", ban_s=120)
        await desk.steps(3)
        asked = len(desk.verdicts)
        assert desk.told[-1][::2] == (Kind.CANCEL_REJECTED, Unsent.OVER_BUDGET)
        desk.live.tell(row(Kind.LOST, desk.live.now, a=EPOCH << 32 | 1, b=int(Kind.CANCEL)))
        await desk.answered(desk.wake)
        assert desk.told[-1][::2] == (Kind.LOST, Kind.QUERY) and desk.state() == OrderState.UNKNOWN
        assert len(desk.verdicts) == asked and desk.session.is_connected and desk.rest.asked == []

    with_desk(world, tmp_path, test, buy(), buy(), buy(), cancel())


def test_exits_have_a_reserve_of_the_budget(world, tmp_path):
    def exhausted(desk):
        desk.budget.hear_limits(
            [{"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 10, "count": 8}],
            desk.budget.spend(0, 0, desk.clock.now_ns()), desk.clock.now_ns(),
        )  # fmt: skip

    async def test(desk):
        world.hold("BUY", 0.01, PRICE)
        desk.live.tell(desk.tape.said(Kind.FILL, a=99, b=1, c=MIDDLE, d=10))
        exhausted(desk)
        await desk.steps(2)
        assert desk.kinds() == ["REJECTED", "ACCEPTED"] and desk.reasons == [Unsent.OVER_BUDGET]

    with_desk(world, tmp_path, test, buy(), lambda desk: desk.submit(0, SELL, 10, MIDDLE + 50, 0, True))


# ---------------------------------------------------------------------------------- connections


def test_b7_what_was_under_way_when_the_connection_ended_is_lost_found_and_not_sent_again(world, tmp_path):
    async def test(desk):
        world.fault("delay", path=ORDER, method="POST", delay_s=30)
        desk.step()
        await desk.until(lambda: placed(world))
        world.fault("close", path="/ws-fapi/v1", at_s=0)
        await desk.until(lambda: desk.told)
        assert desk.kinds() == ["LOST"] and desk.state() == OrderState.UNKNOWN
        await desk.resolve()
        assert desk.state() == OrderState.LIVE and len(placed(world)) == 1
        await desk.until(lambda: desk.session.is_connected)
        assert desk.links == [True, False, True]

    with_desk(world, tmp_path, test, buy(), timing=Timing(answer_s=3.0, first_s=0.05))


def test_without_a_connection_orders_leave_over_rest(world, tmp_path):
    async def test(desk):
        await desk.steps(3)
        assert desk.kinds() == ["ACCEPTED", "AMENDED", "CANCELED"]
        assert desk.rest.asked == [("POST", ORDER), ("PUT", ORDER), ("DELETE", ORDER)]

    world.fault("refuse", path="/ws-fapi/v1", count=1000)
    with_desk(world, tmp_path, test, buy(), amend(MIDDLE - 7, 20), cancel(), connect=False)


def test_without_a_connection_and_without_rest_an_order_is_refused_because_it_never_left(world, tmp_path):
    async def test(desk):
        await desk.steps()
        assert desk.reasons == [Unsent.NOT_CONNECTED] and placed(world) == []

    world.fault("refuse", path="/ws-fapi/v1", count=1000)
    with_desk(world, tmp_path, test, buy(), rest=False, connect=False)


def test_rest_that_does_not_answer_leaves_an_order_unknown(world, tmp_path):
    async def test(desk):
        desk.rest.dead = True
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN and desk.told[0][::2] == (Kind.LOST, Kind.ORDER)

    world.fault("refuse", path="/ws-fapi/v1", count=1000)
    with_desk(world, tmp_path, test, buy(), connect=False)


def test_after_the_end_what_was_under_way_is_lost_and_nothing_leaves_any_more(world, tmp_path):
    async def test(desk):
        world.fault("delay", path=ORDER, method="POST", delay_s=30)
        desk.step()
        await desk.until(lambda: placed(world))
        await desk.session.close()
        await desk.running
        assert desk.kinds() == ["LOST"] and desk.state() == OrderState.UNKNOWN and desk.links == [True, False]
        await desk.answered(desk.wake)
        assert desk.told[-1][::2] == (Kind.LOST, Kind.QUERY) and desk.state() == OrderState.UNKNOWN
        assert desk.rest.asked == []

    with_desk(world, tmp_path, test, buy())


def test_b7_a_half_answer_of_rest_leaves_an_order_unknown_until_it_is_found(world, tmp_path):
    async def test(desk):
        world.fault("reset", path=ORDER, method="POST", done=True, cut=40)
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN
        await desk.resolve()
        assert desk.state() == OrderState.LIVE and len(placed(world)) == 1
        assert {path for _, path in desk.rest.asked} == {ORDER}

    world.fault("refuse", path="/ws-fapi/v1", count=1000)
    with_desk(world, tmp_path, test, buy(), connect=False)


def test_d8_a_connection_that_says_nothing_at_all_is_replaced(world, tmp_path):
    async def test(desk):
        await desk.until(lambda: desk.links == [True, False, True])
        await desk.steps()
        assert desk.kinds() == ["ACCEPTED"]

    world.fault("half_open", path="/ws-fapi/v1")
    with_desk(world, tmp_path, test, buy())


def test_d8_while_a_connection_is_mute_questions_and_exits_leave_over_rest(world, tmp_path):
    async def test(desk):
        await desk.steps()
        assert desk.state() == OrderState.UNKNOWN and desk.session.is_connected
        await desk.resolve()
        await desk.steps()
        assert desk.state() == OrderState.REJECTED_ and desk.kinds()[-2:] == ["ABSENT", "ACCEPTED"]
        assert desk.rest.asked[0] == ("GET", ORDER) and desk.rest.asked[-1] == ("POST", ORDER)
        assert desk.links == [True] and len(placed(world)) == 1

    world.fault("half_open", path="/ws-fapi/v1")
    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6), timing=Timing(answer_s=0.4, idle_s=30.0))


def test_a_connection_that_did_not_answer_one_request_is_used_again_once_it_is_heard(world, tmp_path):
    async def test(desk):
        world.fault("lose_answer", path=ORDER, method="POST")
        await desk.steps()
        await desk.until(lambda: not desk.session._line.is_mute)
        await desk.resolve()
        await desk.steps()
        assert desk.state(2) == OrderState.LIVE and desk.rest.asked == []

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6), timing=Timing(answer_s=0.4, idle_s=30.0))


def test_a20_an_old_connection_is_replaced_while_it_still_answers(world, tmp_path):
    async def test(desk):
        for _ in range(8):
            await desk.steps()
            await asyncio.sleep(0.1)
        assert desk.kinds() == ["ACCEPTED"] * 8 and desk.links == [True] and desk.rest.asked == []
        assert world.do(lambda: len(world.server.reception._talking)) <= 2

    steps = [buy(ticks=MIDDLE - 5 - k) for k in range(8)]
    with_desk(world, tmp_path, test, *steps, timing=Timing(answer_s=0.4, idle_s=0.05, life_s=0.2))


def test_d10_a_connection_that_ends_at_once_is_not_opened_again_and_again(world, tmp_path):
    async def test(desk):
        await asyncio.sleep(1.5)
        (fault,) = world.send("GET", "/_control/faults").body
        assert 2 <= fault["fired"] <= 8

    world.fault("flap", path="/ws-fapi/v1", count=1000)
    timing = Timing(first_s=0.2, cap_s=5.0)
    with_desk(world, tmp_path, test, connect=False, timing=timing)


# ---------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(("kind", "name"), [("rsa", "alice-key"), ("hmac", "alice&key=1")])
def test_a_key_that_cannot_sign_here_is_refused_and_not_shown(kind, name):
    keys = Credentials(api_key=Secret(name), secret=Secret("alice-secret"), kind=kind)
    instruments = Instruments([spec()])
    answers = Answers(AccountEvents(instruments, {EPOCH}).evidence)
    with pytest.raises(OperatorError) as error:
        OrderSession(at(1), keys, instruments, answers, Budget(), None, print)
    assert name not in str(error.value) and "alice-secret" not in str(error.value)


def test_a_request_socket_at_another_host_is_refused_before_anything_is_opened():
    instruments = Instruments([spec()])
    answers = Answers(AccountEvents(instruments, {EPOCH}).evidence)
    with pytest.raises(OperatorError, match="is no address of profile loopback"):
        OrderSession(
            elsewhere(at(1), ws_api="ws://127.0.0.2:1/ws-fapi/v1"), KEYS, instruments, answers, Budget(), None, print
        )


def test_a_session_shows_neither_key(world, tmp_path):
    async def test(desk):
        await desk.steps()
        shown = repr(desk.session) + repr(vars(desk.session)) + repr(vars(desk.session._line)) + repr(desk.verdicts)
        assert "alice-key" not in shown and "alice-secret" not in shown

    with_desk(world, tmp_path, test, buy())
