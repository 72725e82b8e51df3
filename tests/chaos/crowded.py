"""Orders by the thousand between the live core and an exchange that stands still, and unknown outcomes among them.

Here the run's time passes only when a test says so: what would take hours of waiting for an order to be known as absent
takes as long as the questions take. Engine, journal, order session, readers of answers and of the account's stream are
those of a run; the market is a maker's two quotes.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from builders import spec
from loopback_world import World, setup
from rest_clients import at
from test_engine import BUY, GTX, MIDDLE, SELL
from test_order_session import PRICE, Desk

from autotrader.adapters.binance.budget import Sent
from autotrader.adapters.binance.order_session import Timing
from autotrader.adapters.binance.user_stream import UserStream
from chaos.storm import CUTS, DONE, EVENTS, METHODS, ORDERS, SILENT, UNDONE, UNKNOWN
from core_ext.types import OrderState, OrderType, Term, TimeInForce

SETTLES = 400
"""Wake-ups of a second each after which what is still unknown stays so."""
SHARES = (((*DONE, *UNDONE), 0.1), (SILENT, 0.02), (CUTS, 0.005))
"""Of the calls that the faults before one have let pass: silence costs time, and a cut takes others with it."""
LIVE = (OrderState.LIVE, OrderState.PARTLY_FILLED, OrderState.ARMED)


def exchange(folder: Path) -> World:
    """Return an exchange that stands still: who trades there, who makes the market, and who takes an id again."""
    return World(
        setup("alice", 900_000_000), setup("maker", 900_000_000), setup("again"),
        history=folder / "history.jsonl",
        specs=[spec(leverage=20)], weight_limit=999_999, order_limit=999_999,
    )  # fmt: skip


def plan_of_faults(chance: Random, tag: str) -> list[dict]:
    """Return every family on every call about an order, in an order of its own; a third of the calls is spared."""
    families = [(one, share) for those, share in SHARES for one in those]
    chance.shuffle(families)
    made = [
        {"do": do, "path": ORDERS, "method": one, "share": share, **keys}
        for (do, keys), share in families
        for one in METHODS
    ]
    questions = (*DONE[:3], *UNDONE[:1])
    made += [{"do": do, "path": ORDERS, "method": "GET", "share": 0.03, **keys} for do, keys in questions]
    made += [{"do": "lose_answer", "path": "/fapi/v1/userTrades", "method": "GET", "share": 0.02}]
    made += [
        {"do": do, "stream": "user", "event": event, "share": share, **keys}
        for event in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE")
        for do, keys, share in EVENTS
    ]
    return [one | {"count": 10**9, "name": f"{tag}-{k}"} for k, one in enumerate(made)]


class Crowd:
    """What a strategy asks for, turn by turn: entries of every kind, then changes of what stands."""

    def __init__(self, seed: int, burst: int) -> None:
        self.chance, self.burst, self.turn = Random(seed), burst, 0
        self.leaving = False

    def __call__(self, desk: object) -> None:
        self.turn += 1
        if self.turn % 2 and not self.leaving:
            takes = SELL if desk.position(0) > 0 else BUY  # on both sides they would meet one another
            for k in range(self.burst):
                self._enter(desk, k, takes)
            return
        for order in desk.orders.rows():
            if order["state"] in LIVE:
                self._change(desk, order)

    def _change(self, desk: object, order: dict) -> None:
        limit = order["type"] == OrderType.LIMIT
        if limit and order["state"] == OrderState.LIVE and not self.leaving and self.chance.random() < 0.3:
            desk.amend(order["client_id"], order["price_ticks"] + self.chance.choice((-3, -2, 2, 3)), order["lots"])
        else:
            desk.cancel(order["client_id"])

    def _enter(self, desk: object, k: int, takes: int) -> None:
        side, kind = k % 2, self.chance.random()
        if kind < 0.6:
            away = 15 + k
            desk.submit(0, takes, 1, MIDDLE + away if takes == BUY else MIDDLE - away, TimeInForce.IOC)
        elif kind < 0.65:
            desk.submit(0, takes, 1)
        elif kind < 0.9:
            away = 200 + k
            desk.submit(0, side, 2, MIDDLE - away if side == BUY else MIDDLE + away, GTX)
        else:
            trigger = MIDDLE + 20_000 + k if side == BUY else MIDDLE - 20_000 - k
            desk.order(0, side, OrderType.STOP_MARKET, 1, trigger_ticks=trigger, terms=int(Term.MARK_TRIGGER))


class CrowdDesk(Desk):
    """A live run with its account's stream, whose time passes when there is nothing else to wait for."""

    def __init__(self, world: World, folder: Path, act: Crowd, turns: int, rest_only: bool) -> None:
        answer_s = 1.5 if rest_only else 0.3  # REST has eight connections, and most are waiting for their turn
        timing = Timing(answer_s=answer_s, idle_s=1.0, first_s=0.02, cap_s=0.1)
        super().__init__(world, folder, *[act] * turns, timing=timing, connect=not rest_only)
        self.rest_only, self.gaps, self.injected = rest_only, 0, Counter()

    async def __aenter__(self) -> "CrowdDesk":
        limits = await asyncio.to_thread(self.world.ok, "GET", "exchangeInfo")
        self.budget.hear_limits(limits["rateLimits"], Sent(), self.clock.now_ns())
        if self.rest_only:
            self.world.fault("refuse", path="/ws-fapi*", count=10**9, name="always")
        self.stream = UserStream(
            at(self.world.port), self.rest.rest, sink=self._on_event, gap=self._on_gap, told=lambda *_: None,
            now_ns=self.clock.now_ns,
        )  # fmt: skip
        await self.stream.start()
        return await super().__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self.stream.close()
        await super().__aexit__(*error)

    def step(self) -> None:
        self.tape.ts = max(self.tape.ts, self.live.now)  # two turns of one instant would ask for the same twice
        super().step()

    def _on_gap(self) -> None:
        self.gaps += 1

    def _on_event(self, stamp_ns: int, event: bytes) -> None:
        rows = self.events.rows(event, stamp_ns)
        if rows.size:
            self.live.tell(rows)

    async def weather(self, chance: Random, number: int) -> None:
        """Count what fired, and let other faults come."""
        await asyncio.to_thread(self.lift)
        for table in plan_of_faults(chance, f"w{number}"):
            await asyncio.to_thread(lambda table=table: self.world.fault(**table))

    def lift(self) -> None:
        for one in self.world.send("GET", "/_control/faults").body:
            if one["name"] == "always":
                continue
            if one["do"] in UNKNOWN and one.get("method") in METHODS:
                key = one["do"] + ("" if "done" not in one else "+" if one["done"] else "-")
                self.injected[key] += one["fired"]
            self.world.send("DELETE", f"/_control/faults/{one['name']}")

    async def settle(self) -> None:
        """Wait for what is under way, and let time pass until nothing is unknown."""
        if self.live.failure is not None or self.engine.failed:
            raise AssertionError(f"{self.live.failure} {self.engine.failure}")
        for _ in range(SETTLES):
            with suppress(TimeoutError):
                await self.until(lambda: self.quiet, 3.0)
            if self.quiet and not self.engine.orders.unknown:
                return
            if self.live.next_due is not None:
                self.wake()
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.engine.orders.unknown} orders stay unknown: {self.open_rows()}")

    def open_rows(self) -> list[tuple]:
        return [
            (hex(one["client_id"]), OrderState(one["state"]).name)
            for one in self.engine.orders.rows()
            if 0 < one["state"] < OrderState.FILLED
        ]


async def crowded(world: World, folder: Path, seed: int, unknown: int, rest_only: bool) -> CrowdDesk:
    """Trade until so many outcomes were unknown; then all is well again, and everything is cancelled."""
    chance, act = Random(seed), Crowd(seed, 12 if rest_only else 40)
    async with CrowdDesk(world, folder, act, 1_000_000, rest_only) as desk:
        rounds = 0
        while sum(desk.injected.values()) < unknown:
            await desk.weather(chance, rounds)
            for _ in range(4):
                desk.step()
                await desk.settle()
            rounds += 1
        await asyncio.to_thread(desk.lift)
        act.leaving = True
        for _ in range(5):
            desk.step()
            await desk.settle()
        desk.live.finish()
        desk.journal.close()
        return desk


def quoted(world: World) -> None:
    """Let a maker stand on both sides, with more than anybody takes."""
    world.mark(PRICE)
    world.quote(PRICE - 1, PRICE + 1, 15)
