"""An instance without an engine: a control server on a thread of its own, and what it was asked."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from autotrader.adapters.control import Balance, ControlServer, Done, OpenOrder, Position, Status, SymbolStatus
from autotrader.adapters.storage.state import Latch
from autotrader.adapters.storage.state_folder import StateFolder

E8 = 10**8
NOW = 1_796_000_000_000_000_000
STATUS = Status(
    mode="TESTNET",
    profile="loopback",
    run="20261130-abc",
    uptime_s=3_725,
    gates=["CLOCK", "RECONCILING"],
    halted=False,
    killed="",
    safe=False,
    ladder=1,
    equity_e8=987_654 * E8 + 32_100_000,
    drawdown_e8=6_250_000,
    day_loss_e8=-1_250_000,
    orders_open=3,
    orders_unknown=1,
    symbols=[
        SymbolStatus("BTCUSDT", 97_000 * E8, 97_000 * E8 + 10_000_000, 40_000_000, True, -25_000_000),
        SymbolStatus("SUIUSDT", 0, 0, None, False, 0),
    ],
    links={"user": "up", "market": "down"},
)
POSITIONS = [
    Position("BTCUSDT", 0, -25_000_000, 98_000 * E8, 97_000 * E8, 140_000 * E8, 99_500 * E8, 250 * E8, 3, True, 9 * E8),
    Position("SUIUSDT", 0, 1_000 * E8, 3 * E8, 310_000_000, 0, 0, -100 * E8, 2, False, 0),
]
ORDERS = [
    OpenOrder(
        NOW, "BTCUSDT", "BUY", "LIMIT", "GTX", False, 96_000 * E8, 0, E8, 40_000_000, "OPEN", "at000000010000000a"
    ),
    OpenOrder(
        NOW, "BTCUSDT", "BUY", "STOP_MARKET", "GTC", True, 0, 99_500 * E8, E8, 0, "UNKNOWN", "at000000010000000b"
    ),
]
BALANCE = [Balance("USDT", 10_000 * E8, -100 * E8, 8_000 * E8), Balance("BNB", 150_000_000, 0, 150_000_000)]


class Instance:
    """What an operator's commands find.

    Attributes
    ----------
    asked : list of (str, dict)
        Commands and their arguments, in order.
    """

    def __init__(self, state: Path):
        self.state = state
        self.asked: list[tuple[str, dict]] = []
        self.answers: dict[str, Any] = {
            "status": STATUS,
            "positions": POSITIONS,
            "orders": ORDERS,
            "balance": BALANCE,
            "halt": Done(True, "", [], 1, 1, []),
            "reduce": Done(False, "", ["BTCUSDT"], 1, 1, []),
            "resume": Done(False, "", [], 1, 1, []),
            "flatten": Done(True, "", [], 0, 0, []),
        }
        self.folder = StateFolder(state)
        self.latch = Latch(self.folder)

    def handlers(self) -> Mapping[str, Callable]:
        def answering(command: str):
            async def handle(arguments):
                self.asked.append((command, dict(arguments)))
                answer = self.answers[command]
                return await answer(arguments) if callable(answer) else answer

            return handle

        return {name: answering(name) for name in [*self.answers, "kill"]}

    async def kill(self, arguments):
        kill = self.latch.close(arguments["reason"], NOW)
        return Done(True, kill.stamp, [], 0, 0, [])

    async def rearm(self, arguments):
        self.latch.rearm(arguments["confirm"])
        return Done(False, "", [], 0, 0, [])


@contextmanager
def running(state: Path, **answers: Any):
    """Serve an instance on a thread, with other answers than the usual ones."""
    instance = Instance(state)
    instance.answers |= {"kill": instance.kill, "resume": instance.rearm} | answers
    loop, opened = uvloop.new_event_loop(), threading.Event()
    server = ControlServer(instance.folder, instance.handlers())
    loop.set_exception_handler(lambda *_: None)

    def run():
        loop.run_until_complete(server.open())
        opened.set()
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    opened.wait()
    try:
        yield instance
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        instance.folder.close()


async def stuck(_arguments):
    """A handler that does not come to an end."""
    await asyncio.sleep(3_600)
