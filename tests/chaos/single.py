"""A run that brings one order into a state and keeps opening others beside it: ``python -m chaos.single``.

Knows which faults and which market lead to which state. Refuses to know what a kill does.
"""

import argparse
import asyncio
import os
import sys
import traceback
from pathlib import Path

from autotrader.adapters.keys import key_manager
from autotrader.config import load
from autotrader.research.replay import Plan, limits, sizing
from autotrader.research.stress import STAND_ASIDE
from autotrader.run.live import State
from autotrader.run.trading import TradingHours, TradingRun
from chaos.storm import BUY, E8, KEY, ORDERS, SECRET, Faults
from core_ext.engine import Engine
from core_ext.strategy import Strategy
from core_ext.types import OrderType, Term, TimeInForce

SUBJECT, BUSY = 0, 1
BTC = "BTCUSDT"
LOST = 10**6
MUTE = [{"do": "mute", "stream": "*", "event": "ORDER_TRADE_UPDATE", "symbol": BTC}]
BEFORE = {
    "PENDING_NEW": [{"do": "delay", "path": ORDERS, "method": "POST", "symbol": BTC, "delay_s": 60.0}, *MUTE],
    "UNKNOWN": [
        {"do": "lose_answer", "path": ORDERS, "method": "POST", "symbol": BTC},
        {"do": "lose_request", "path": ORDERS, "method": "GET", "symbol": BTC, "count": LOST}, *MUTE,
    ],
    "TRIGGERING": [{"do": "mute", "stream": "*", "event": "ALGO_UPDATE", "skip": 2}, *MUTE],
}  # fmt: skip
LATER = {
    "PENDING_CANCEL": [{"do": "lose_request", "path": ORDERS, "method": "DELETE", "symbol": BTC, "count": LOST}, *MUTE],
    "TRIGGERING": [{"do": "price_jump", "symbol": BTC, "percent": 0.6, "hold_s": 8.0}],
}
STATES = (
    "PENDING_NEW", "LIVE", "PARTLY_FILLED", "PENDING_CANCEL", "UNKNOWN", "ARMED", "TRIGGERING", "FILLED", "CANCELLED",
    "EXPIRED_", "REJECTED_",
)  # fmt: skip


class Single(Strategy):
    """One order of a kind, and others that come and go at twenty a second."""

    wanted = ""
    step = ""
    number = 0

    def __init__(self) -> None:
        super().__init__()
        self.others: list[int] = []
        self.next = 0

    def snapshot(self) -> object:
        return ()

    def on_book(self, symbol: int) -> None:
        if symbol == BUSY and Single.step and self.desk.now >= self.next:
            self.next = self.desk.now + 50_000_000
            self._other()
        elif symbol == SUBJECT and Single.step == "place" and not Single.number:
            Single.number = self._subject()
        elif symbol == SUBJECT and Single.step == "cancel":
            Single.step = "cancelled"
            self.desk.cancel(Single.number)

    def _other(self) -> None:
        if len(self.others) > 3:
            self.desk.cancel(self.others.pop(0))
        bid = self.desk.touch(BUSY)[0]
        number = self.desk.submit(BUSY, BUY, self._lots(BUSY), bid - bid // 100)
        self.others += [number] if number else []

    def _lots(self, symbol: int) -> int:
        spec = self.desk.instruments.spec(symbol)
        value_e8 = self.desk.touch(symbol)[0] * spec["tick_e8"] * spec["lot_e8"] // E8
        return max(spec["min_lots"], -(-spec["min_notional_e8"] * 12 // (10 * value_e8)))

    def _subject(self) -> int:
        bid, _, ask, offered = self.desk.touch(SUBJECT)
        lots, desk = self._lots(SUBJECT), self.desk
        if Single.wanted == "PARTLY_FILLED":
            return desk.submit(SUBJECT, BUY, offered + 20_000, ask)
        if Single.wanted == "FILLED":
            return desk.submit(SUBJECT, BUY, lots)
        if Single.wanted == "EXPIRED_":
            return desk.submit(SUBJECT, BUY, lots, bid - bid // 100, TimeInForce.IOC)
        if Single.wanted == "REJECTED_":
            return desk.submit(SUBJECT, BUY, lots, ask + ask // 200, TimeInForce.GTX)
        if Single.wanted in ("ARMED", "TRIGGERING"):
            away = ask // (50 if Single.wanted == "ARMED" else 400)
            words = {"trigger_ticks": ask + away, "terms": int(Term.MARK_TRIGGER)}
            return desk.order(SUBJECT, BUY, OrderType.STOP_MARKET, lots, **words)
        return desk.submit(SUBJECT, BUY, lots, bid - bid // 100)


class SinglePlan(Plan):
    """A plan with that strategy, and limits that stand aside."""

    def engine(self) -> Engine:
        known = limits(self.config)
        rules = {name: (known | STAND_ASIDE)[name] for name in known}
        return Engine(
            self.instruments(), Single(), rules, sizing(self.config), self.start_e8, self.epoch, self.mark_sources,
            quality=None,
        )  # fmt: skip


class SingleRun(TradingRun):
    """A TESTNET run with that plan."""

    port = 0

    def _plan(self, data: list, source: dict) -> Plan:
        made = super()._plan(data, source)
        return SinglePlan(**{name: getattr(made, name) for name in Plan.__dataclass_fields__})

    def _hours(self, session: object, stack: object) -> "SingleHours":
        return SingleHours(self, session, stack)


class SingleHours(TradingHours):
    """Hours in which the order comes into its state, and that is told by a file."""

    def _works(self) -> tuple:
        return (*super()._works(), self._lead())

    async def _lead(self) -> None:
        faults = Faults(self.run.port)
        while self.engine.gate.gates or not all(book.is_usable for book in self.engine.books):
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        await self._add(faults, BEFORE.get(Single.wanted, ()))
        Single.step = "place"
        if Single.wanted in ("PENDING_CANCEL", "CANCELLED"):
            await self._until("LIVE")
            await self._add(faults, LATER.get(Single.wanted, ()))
            Single.step = "cancel"
        elif Single.wanted == "TRIGGERING":
            await self._until("ARMED")
            await self._add(faults, LATER["TRIGGERING"])
        await self._until(Single.wanted)
        Path("reached").write_text(f"{Single.number}")
        await asyncio.sleep(3_600)

    async def _add(self, faults: Faults, tables: object) -> None:
        for table in tables:
            await asyncio.to_thread(faults.add, table)

    async def _until(self, state: str) -> None:
        while not Single.number or self.engine.orders.order(Single.number)["state"] != state:
            await asyncio.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", choices=STATES, required=True)
    given = parser.parse_args()
    os.environ |= {"AUTOTRADER_API_KEY": KEY, "AUTOTRADER_API_SECRET": SECRET}
    Single.wanted, SingleRun.port = given.state, given.port
    config = load(given.config)
    credentials = key_manager(config.live, config.folder).key()
    try:
        with State(config) as state:
            SingleRun(config, lambda *_: None, None, state, credentials).go(Path("out"), "live")
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
