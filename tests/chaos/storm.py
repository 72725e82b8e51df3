"""A run that trades as wildly as it can while everything between it and the exchange fails: ``python -m chaos.storm``.

Knows which faults there are, and how a run of the product's own is given another strategy and limits that stand aside.
Refuses to know what is right: `judge` does, from journal and history.
"""

import argparse
import asyncio
import dataclasses
import hmac
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from random import Random
from urllib.parse import urlencode

from autotrader.adapters.keys import key_manager
from autotrader.config import load
from autotrader.research.replay import Plan, limits, sizing
from autotrader.research.stress import STAND_ASIDE
from autotrader.run.live import State
from autotrader.run.trading import TradingHours, TradingRun
from core_ext.engine import Engine
from core_ext.strategy import Strategy
from core_ext.types import Gate, OrderState, OrderType, Reason, Term, TimeInForce

KEY, SECRET = "loopback-demo-key", "loopback-demo-secret"
BUY, SELL = 0, 1
E8 = 10**8
PATIENCE_S = 60.0
"""On a machine with much else to do even an exchange on loopback may take long."""
ORDERS, METHODS = "/fapi/v1/*rder", ("POST", "PUT", "DELETE")
DONE = (
    ("timeout_done", {}), ("unknown_503_done", {}), ("truncated_json", {}), ("empty_200", {"done": True}),
    ("answer", {"body": "[]", "done": True}),
)  # fmt: skip
UNDONE = (
    ("timeout_undone", {}), ("unknown_503_undone", {}), ("empty_200", {"done": False}),
    ("answer", {"body": "{}", "done": False, "status": 500}),
)  # fmt: skip
SILENT = (("lose_answer", {}), ("lose_request", {}))
CUTS = (
    ("bad_gateway_html", {"done": True}),
    ("bad_gateway_html", {"done": False, "status": 504}),
    ("reset", {"done": True, "cut": 40}),
    ("reset", {"done": False}),
)
"""What ends the connection of the request socket as a whole."""
SPELLS = ((DONE, 0.6), ((*DONE, *SILENT), 0.2), ((*DONE, *UNDONE, *SILENT), 0.2))
"""An order that never arrived is known to be absent after six seconds only, and nothing is opened meanwhile: most
spells do without."""
ENDED = frozenset({"FILLED", "CANCELLED", "EXPIRED_", "REJECTED_"})
UNKNOWN = frozenset(do for do, _ in (*DONE, *UNDONE, *SILENT, *CUTS))
EVENTS = (
    ("drop", {}, 0.05), ("duplicate", {}, 0.1), ("delay", {"delay_s": 0.3}, 0.1), ("delay", {"delay_s": 2.5}, 0.05),
    ("reorder", {}, 0.05),
)  # fmt: skip
OUTAGES = (
    [{"do": "mute", "stream": "*", "event": one} for one in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE")],
    [{"do": "lose_request", "path": "/fapi/*", "count": 10**6}],
    [{"do": "lose_answer", "path": ORDERS, "method": one, "count": 10**6} for one in METHODS],
    [{"do": "close", "path": "/*", "at_s": 0.0, "count": 1}, {"do": "refuse", "path": "/*", "count": 10**6}],
    [{"do": "timeout_done", "path": ORDERS, "method": one, "count": 10**6} for one in METHODS],
    [{"do": "bad_gateway_html", "path": "/fapi/*", "count": 10**6}],
)


class Faults:
    """The exchange's control port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/_control/faults"
        self.fired: dict[str, int] = {}

    def add(self, table: dict) -> None:
        data = json.dumps(table).encode()
        urllib.request.urlopen(self.url, data, timeout=PATIENCE_S).close()

    def listed(self) -> list[dict]:
        with urllib.request.urlopen(self.url, timeout=PATIENCE_S) as answer:
            found = json.loads(answer.read())
        return found if isinstance(found, list) else found["faults"]

    def lift(self, keep: str = "") -> None:
        """Lift all of them but one, and count what fired on orders."""
        for one in self.listed():
            if one["name"] == keep:
                continue
            if one["do"] in UNKNOWN and one.get("method") in METHODS:
                key = one["do"] + ("" if "done" not in one else "+" if one["done"] else "-")
                self.fired[key] = self.fired.get(key, 0) + one["fired"]
            request = urllib.request.Request(f"{self.url}/{one['name']}", method="DELETE")
            urllib.request.urlopen(request, timeout=PATIENCE_S).close()


def asked(port: int, path: str, account: str = "demo", method: str = "GET", **params: object) -> list[dict]:
    """Make a signed call as an account."""
    key, secret = f"loopback-{account}-key", f"loopback-{account}-secret"
    query = urlencode({**params, "recvWindow": 60_000, "timestamp": time.time_ns() // 10**6})
    signature = hmac.new(secret.encode(), query.encode(), "sha256").hexdigest()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}?{query}&signature={signature}", headers={"X-MBX-APIKEY": key}, method=method
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


def plan_of_faults(chance: Random, cuts: float) -> list[dict]:
    """Return the faults of one spell of bad weather, in an order of its own."""
    families = chance.choices([spell for spell, _ in SPELLS], [share for _, share in SPELLS])[0]
    requests = [(do, keys, 0.6 / len(families)) for do, keys in families] + [(do, keys, cuts) for do, keys in CUTS]
    chance.shuffle(requests)
    made = []
    for do, keys, share in requests:
        for method in METHODS:
            made.append({"do": do, "path": ORDERS, "method": method, "share": share, **keys})
    made += [
        {"do": do, "path": ORDERS, "method": "GET", "share": 0.04}
        for do in ("lose_answer", "timeout_done", "empty_200")
    ]
    made.append({"do": "delay", "path": ORDERS, "share": 0.1, "delay_s": chance.choice((0.05, 0.5, 2.0))})
    for event in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE"):
        made += [{"do": do, "event": event, "stream": "*", "share": share, **keys} for do, keys, share in EVENTS]
    tag = chance.randrange(10**9)
    return [one | {"count": 10**9, "name": f"{tag}-{k}"} for k, one in enumerate(made)]


class Storm(Strategy):
    """Trades for the sake of trading: entries that rest, that fill at once, amendments, cancels, exits, stops."""

    calm = False

    def __init__(self, seed: int, period_s: float, burst: int) -> None:
        super().__init__()
        self.chance = Random(seed)
        self.period_ns, self.burst = round(period_s * 10**9), burst
        self.turn: dict[int, int] = {}
        self.mine: dict[int, list[int]] = {}

    def snapshot(self) -> object:
        return ()

    def on_book(self, symbol: int) -> None:
        if Storm.calm or self.desk.now < self.turn.get(symbol, 0):
            return
        self.turn[symbol] = self.desk.now + self.period_ns
        mine = self.mine[symbol] = [one for one in self.mine.get(symbol, []) if self._is_open(one)]
        for one in self.chance.sample(mine, min(len(mine), self.burst // 2)):
            self._change(one)
        held = self.desk.position(symbol)
        lots = self._lots(symbol)
        if abs(held) > 6 * lots:
            self.desk.close(symbol, 0, abs(held))
            return
        for _ in range(self.burst):
            number = self._enter(symbol, lots)
            if number:
                mine.append(number)
            elif self.desk.last_reason in (Reason.R19_UNKNOWN_ORDERS, Reason.GATE_CLOSED, Reason.HALTED):
                return

    def _is_open(self, number: int) -> bool:
        try:
            return self.desk.orders.order(number)["state"] not in ENDED
        except KeyError:
            return False

    def _change(self, number: int) -> None:
        order = self.desk.orders.order(number)
        if order["type"] == OrderType.LIMIT and self.chance.random() < 0.4:
            away = self.chance.choice((-3, -2, 2, 3))
            self.desk.amend(number, order["price_ticks"] + away, order["lots"])
        else:
            self.desk.cancel(number)

    def _lots(self, symbol: int) -> int:
        spec = self.desk.instruments.spec(symbol)
        value_e8 = self.desk.touch(symbol)[0] * spec["tick_e8"] * spec["lot_e8"] // E8
        return max(spec["min_lots"], -(-spec["min_notional_e8"] * 12 // (10 * value_e8)), -(-20 * E8 // value_e8))

    def _enter(self, symbol: int, lots: int) -> int:
        bid, _, ask, _ = self.desk.touch(symbol)
        side, kind = self.chance.randrange(2), self.chance.random()
        if kind < 0.35:
            price = bid - self.chance.randrange(30) if side == BUY else ask + self.chance.randrange(30)
            return self.desk.submit(symbol, side, lots, price, self.chance.choice((TimeInForce.GTC, TimeInForce.GTX)))
        if kind < 0.7:
            price = ask + 20 if side == BUY else bid - 20
            return self.desk.submit(symbol, side, lots, price, self.chance.choice((TimeInForce.IOC, TimeInForce.GTC)))
        if kind < 0.8:
            return self.desk.submit(symbol, side, lots)
        if kind < 0.9:
            far = max(1, bid // 10)
            price = bid - far - self.chance.randrange(99) if side == BUY else ask + far + self.chance.randrange(99)
            return self.desk.submit(symbol, side, lots, price)
        away = bid // self.chance.choice((5_000, 50))
        trigger = ask + away + self.chance.randrange(20) if side == BUY else bid - away - self.chance.randrange(20)
        return self.desk.order(
            symbol, side, OrderType.STOP_MARKET, lots, trigger_ticks=trigger, terms=int(Term.MARK_TRIGGER)
        )


class StormPlan(Plan):
    """A plan with the storm's strategy, and limits that stand aside."""

    seed, period_s, burst = 0, 0.5, 8

    def engine(self) -> Engine:
        rules = limits(self.config) | STAND_ASIDE | {"unprotected_ns": 0}
        rules = {name: rules[name] for name in limits(self.config)}
        storm = Storm(self.seed, self.period_s, self.burst)
        return Engine(
            self.instruments(), storm, rules, sizing(self.config), self.start_e8, self.epoch, self.mark_sources,
            quality=None,
        )  # fmt: skip


class StormRun(TradingRun):
    """A TESTNET run with the storm in it."""

    weather: argparse.Namespace

    def _plan(self, data: list, source: dict) -> Plan:
        made = super()._plan(data, source)
        plan = StormPlan(**{one.name: getattr(made, one.name) for one in dataclasses.fields(made)})
        StormPlan.seed, StormPlan.period_s, StormPlan.burst = (
            self.weather.seed, self.weather.period, self.weather.burst,
        )  # fmt: skip
        return plan

    def _hours(self, session: object, stack: object) -> "StormHours":
        return StormHours(self, session, stack)


class StormHours(TradingHours):
    """The hours of a storm: bad weather, an outage, calm until both sides agree, and again."""

    def _works(self) -> tuple:
        weather = self.run.weather
        self.chance, self.faults = Random(weather.seed), Faults(weather.port)
        self.heals: list[tuple[str, float, float]] = []
        self.terminal: dict[int, tuple[str, int]] = {}
        self.stuck: list[str] = []
        return (*super()._works(), self._weather(weather), self._observe())

    def _gates(self) -> int:
        # Over REST alone there is no connection for orders, and that is what is wanted here.
        closed = super()._gates()
        return closed & ~Gate.LINK if self.run.weather.rest else closed

    async def _weather(self, weather: argparse.Namespace) -> None:
        await asyncio.sleep(2.0)
        begun = time.monotonic()
        while sum(self.faults.fired.values()) < weather.unknown and time.monotonic() - begun < weather.most:
            Storm.calm = False
            refused = [{"do": "refuse", "path": "/ws-fapi*", "count": 10**9}] if weather.rest else []
            for table in [*refused, *plan_of_faults(self.chance, weather.cuts)]:
                await asyncio.to_thread(self.faults.add, table)
            await asyncio.sleep(weather.spell)
            name = await self._outage()
            Storm.calm = True
            await asyncio.to_thread(self.faults.lift)
            await self._heal(name)
            done = sum(self.faults.fired.values())
            print(f"{time.monotonic() - begun:7.1f} s, {done} unknown, heal {self.heals[-1:]}", file=sys.stderr)
        self.stopped.set()
        await asyncio.sleep(3600)

    async def _outage(self) -> str:
        tables = self.chance.choice(OUTAGES)
        await asyncio.to_thread(self.faults.lift)
        for table in tables:
            await asyncio.to_thread(self.faults.add, table)
        await asyncio.sleep(self.chance.uniform(1.0, 5.0))
        return str(tables[-1]["do"])

    async def _heal(self, name: str) -> None:
        # When position and known open orders are the exchange's, and when besides nothing is unknown any more.
        begun = time.monotonic()
        known_s = all_s = 0.0
        while time.monotonic() - begun < 60:
            try:
                same, unknown = await self._agrees()
            except OSError as error:  # the exchange itself may be too busy to answer
                self.difference = {"unanswered": str(error)}
                continue
            now = time.monotonic() - begun
            known_s = (known_s or now) if same else 0.0
            if same and not unknown:
                all_s = now
                break
            await asyncio.sleep(0.05)
        else:
            self.stuck.append(f"{name}: {self.difference}")
        self.heals.append((name, known_s, all_s))

    async def _agrees(self) -> tuple[bool, int]:
        port = self.run.weather.port
        plain, algo, risk = await asyncio.gather(
            asyncio.to_thread(asked, port, "/fapi/v1/openOrders"),
            asyncio.to_thread(asked, port, "/fapi/v1/openAlgoOrders"),
            asyncio.to_thread(asked, port, "/fapi/v3/positionRisk"),
        )
        theirs = {one["clientOrderId"] for one in plain} | {one["clientAlgoId"] for one in algo}
        rows = [one for one in self.engine.orders.rows() if 0 < one["state"] < OrderState.FILLED]
        unknown = {f"at{one['client_id']:016x}" for one in rows if one["state"] == OrderState.UNKNOWN}
        ours = {f"at{one['client_id']:016x}" for one in rows}
        held = {one["symbol"]: round(float(one["positionAmt"]) * E8) for one in risk}
        mine = {
            name: sum(self.engine.account.position(at, leg)["lots"] for leg in (0, 1))
            * self.engine.instruments.spec(at)["lot_e8"]
            for at, name in enumerate(self.symbols)
        }
        wrong = {name: (mine[name], held.get(name, 0)) for name in mine if mine[name] != held.get(name, 0)}
        self.difference = {
            "ours": sorted(ours - theirs)[:5], "theirs": sorted(theirs - ours)[:5], "held": wrong,
            "unknown": len(unknown),
        }  # fmt: skip
        return not wrong and not theirs - ours and not ours - theirs - unknown, len(unknown)

    async def _observe(self) -> None:
        while True:
            self.session.journal.flush()  # whatever led to what is seen now is in the journal
            for one in self.engine.orders.rows():
                if one["state"] >= OrderState.FILLED and one["client_id"] not in self.terminal:
                    self.terminal[one["client_id"]] = (OrderState(one["state"]).name, self.session.journal.rows)
            await asyncio.sleep(1.0)

    async def _leave(self) -> None:
        await super()._leave()
        await asyncio.sleep(1.0)
        Path("observed.json").write_text(
            json.dumps({
                "fired": self.faults.fired, "heals": self.heals, "stuck": self.stuck, "terminal": self.terminal,
                "illegal": self.engine.orders.illegal, "late": self.engine.orders.late,
                "unknown": self.engine.orders.unknown, "failure": repr(self.engine.failure),
                "told": dict(self.run.told.most_common(40)),
            })
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unknown", type=int, default=300)
    parser.add_argument("--most", type=float, default=900.0)
    parser.add_argument("--spell", type=float, default=10.0)
    parser.add_argument("--period", type=float, default=0.5)
    parser.add_argument("--burst", type=int, default=8)
    parser.add_argument("--cuts", type=float, default=0.0005)
    parser.add_argument("--rest", action="store_true")
    given = parser.parse_args()
    os.environ |= {"AUTOTRADER_API_KEY": KEY, "AUTOTRADER_API_SECRET": SECRET}
    config = load(given.config)
    credentials = key_manager(config.live, config.folder).key()
    StormRun.weather = given
    with State(config) as state:
        run = StormRun(config, lambda *_: None, None, state, credentials)
        summary = run.go(Path("out"), "live")
    json.dump({name: summary[name] for name in ("orders", "fills")}, sys.stdout)


if __name__ == "__main__":
    main()
