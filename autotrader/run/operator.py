"""What an operator may ask of a running instance, and what is answered: a handler for each command of the socket.

Knows the engine's state and which event each command becomes. Refuses to know how a command arrives, and who asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from autotrader.adapters.binance.reading import client_name
from autotrader.adapters.control import Balance, Done, OpenOrder, Position, Status, SymbolStatus
from autotrader.adapters.storage.state import Latch
from autotrader.errors import OperatorError
from autotrader.messages import say
from core_ext.engine import Engine
from core_ext.types import Asset, Command, Gate, Kind, OrderState, OrderType, Side, Term, TimeInForce

__all__ = ["Facts", "Operator", "Stream"]

CLOSED_S = 5.0
"""How long a command waits for the exchange to confirm what it ends."""
LOOK_S = 0.05
SECOND_NS = 10**9
COINS = (Asset.USDT, Asset.BNB, Asset.USDC, Asset.BTC, Asset.ETH)


class Stream(Protocol):
    """Where events of a run are put."""

    def control(self, kind: int, ts: int, words: tuple[int, ...] = (), symbol: int = 0) -> None:
        """Put an event that neither market nor order brings into the stream."""


async def _nothing() -> None:
    """Keep nothing."""


@dataclass(frozen=True)
class Facts:
    """What a run knows of itself besides its engine.

    Attributes
    ----------
    mode, profile, run : str
    safe : bool
        Started after a crash loop.
    ages : callable
        Age of the last news by symbol, s; a symbol never heard is not named.
    links : callable
        What each connection does.
    now_ns, uptime_s : callable
    resumed : callable, optional
        Called when an operator has resumed: what keeps entries back outside the engine lets them out again.
    keep : callable, optional
        Has what outlives the run on the disk; a command that holds something back is answered after that.
    """

    mode: str
    profile: str
    run: str
    safe: bool
    ages: Callable[[], Mapping[str, float]]
    links: Callable[[], dict[str, str]]
    now_ns: Callable[[], int]
    uptime_s: Callable[[], float]
    resumed: Callable[[], None] = lambda: None
    keep: Callable[[], Awaitable[None]] = _nothing


@dataclass
class Operator:
    """The commands of one running instance.

    Attributes
    ----------
    engine : Engine
    stream : Stream
    latch : Latch
        Of the kill.
    facts : Facts
    """

    engine: Engine
    stream: Stream
    latch: Latch
    facts: Facts

    def handlers(self) -> Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        """Return the handler of each command."""
        return {
            "status": self.status,
            "positions": self.positions,
            "orders": self.orders,
            "balance": self.balance,
            "halt": self.halt,
            "reduce": self.reduce,
            "resume": self.resume,
            "flatten": self.flatten,
            "kill": self.kill,
        }

    # ------------------------------------------------------------------ questions

    async def status(self, _: Mapping[str, Any]) -> Status:
        """Say how the run is."""
        gate, account, facts = self.engine.gate, self.engine.account, self.facts
        kill = self.latch.read()
        equity = account.equity()
        return Status(
            mode=facts.mode,
            profile=facts.profile,
            run=facts.run,
            uptime_s=int(facts.uptime_s()),
            gates=[one.name for one in Gate if gate.gates & one],
            halted=gate.halted,
            killed=kill.stamp if kill else "",
            safe=facts.safe,
            ladder=gate.ladder,
            equity_e8=equity,
            drawdown_e8=_lost_e8(gate.peak_e8, equity),
            day_loss_e8=_lost_e8(gate.day_start_e8, equity),
            orders_open=self.engine.orders.open_orders,
            orders_unknown=self.engine.orders.unknown,
            symbols=[self._symbol(at, name) for at, name in enumerate(self.engine.instruments.names)],
            links=facts.links(),
        )

    def _symbol(self, at: int, name: str) -> SymbolStatus:
        market, spec = self.engine.markets.market(at), self.engine.instruments.spec(at)
        age = self.facts.ages().get(name)
        lots = sum(self.engine.account.position(at, leg)["lots"] for leg in (0, 1))
        return SymbolStatus(
            name,
            market["bid_ticks"] * spec["tick_e8"],
            market["ask_ticks"] * spec["tick_e8"],
            None if age is None else round(age * SECOND_NS),
            self.engine.books[at].is_usable,
            lots * spec["lot_e8"],
        )

    async def positions(self, _: Mapping[str, Any]) -> list[Position]:
        """List the legs that are not flat."""
        names = self.engine.instruments.names
        legs = [(at, name, leg) for at, name in enumerate(names) for leg in (0, 1)]
        return [self._position(*leg) for leg in legs if self.engine.account.position(leg[0], leg[2])["lots"]]

    def _position(self, at: int, name: str, leg: int) -> Position:
        account, spec = self.engine.account, self.engine.instruments.spec(at)
        held, margins = account.position(at, leg), account.margins_of(at)
        quantity_e8 = held["lots"] * spec["lot_e8"]
        return Position(
            symbol=name,
            leg=leg,
            quantity_e8=quantity_e8,
            entry_e8=held["cost_e8"] * 10**8 // quantity_e8,
            price_e8=held["mark_e8"],
            liquidation_e8=account.liquidation(at, leg),
            stop_e8=self._stop_ticks(at, leg) * spec["tick_e8"],
            unrealised_e8=held["value_e8"] - held["cost_e8"],
            leverage=margins["leverage"],
            isolated=bool(margins["isolated"]),
            isolated_e8=held["isolated_e8"],
        )

    def _stop_ticks(self, at: int, leg: int) -> int:
        stops = [
            order["trigger_ticks"]
            for order in self._open()
            if order["symbol"] == at
            and order["type"] == OrderType.STOP_MARKET
            and order["terms"] & Term.CLOSE_POSITION
            and (order["position_side"] == 2) == (leg == 1)
        ]
        return int(stops[0]) if stops else 0

    def _open(self) -> list[dict[str, Any]]:
        return [order for order in self.engine.orders.rows() if 0 < order["state"] < OrderState.FILLED]

    async def orders(self, _: Mapping[str, Any]) -> list[OpenOrder]:
        """List the orders that are open, under way or unknown."""
        return [self._order(order) for order in self._open()]

    def _order(self, order: Mapping[str, Any]) -> OpenOrder:
        spec = self.engine.instruments.spec(order["symbol"])
        return OpenOrder(
            created_ns=order["created"],
            symbol=self.engine.instruments.names[order["symbol"]],
            side=Side(order["side"]).name,
            type=OrderType(order["type"]).name,
            tif=TimeInForce(order["tif"]).name,
            reduce_only=bool(order["reduce_only"]),
            price_e8=order["price_ticks"] * spec["tick_e8"],
            trigger_e8=order["trigger_ticks"] * spec["tick_e8"],
            quantity_e8=order["lots"] * spec["lot_e8"],
            filled_e8=order["filled"] * spec["lot_e8"],
            state=OrderState(order["state"]).name,
            client_id=client_name(order["client_id"]),
        )

    async def balance(self, _: Mapping[str, Any]) -> list[Balance]:
        """List the coins of the account; those that it does not have are left out."""
        account = self.engine.account
        usdt = Balance("USDT", account.wallet_e8, account.unrealised_e8, max(0, account.available()))
        coins = [(coin.name, account.asset(coin)["wallet_e8"]) for coin in COINS[1:]]
        return [usdt, *(Balance(name, amount, 0, amount) for name, amount in coins if amount)]

    # ------------------------------------------------------------------ orders of the operator

    async def halt(self, _: Mapping[str, Any]) -> Done:
        """Open nothing any more, and cancel what could open more."""
        self._say(Command.HALT)
        await self.facts.keep()
        return self._done(())

    async def reduce(self, arguments: Mapping[str, Any]) -> Done:
        """Open nothing any more in some symbols."""
        for name in self._named(arguments):
            self._say(Command.HALT, name)
        await self.facts.keep()
        return self._done(())

    async def resume(self, arguments: Mapping[str, Any]) -> Done:
        """Open again, what was halted, reduced or lost for the day; a kill needs its stamp.

        Raises
        ------
        OperatorError
            If it is killed and the stamp is not that of the kill.
        """
        if self.engine.gate.killed or self.latch.read() is not None:
            await asyncio.to_thread(self.latch.rearm, str(arguments.get("confirm") or ""))
            raise OperatorError(say("operator.rearmed"))
        self._say(Command.ALLOW)
        self._say(Command.RESUME)
        self.facts.resumed()
        await self.facts.keep()
        return self._done(())

    async def flatten(self, arguments: Mapping[str, Any]) -> Done:
        """Cancel and close everything, or some symbols, and open nothing there until somebody resumes."""
        names, known = self._named(arguments), self.engine.instruments.names
        if len(names) == len(known):
            self._say(Command.FLATTEN)
        else:
            for name in names:
                self._say(Command.FLATTEN, name)
        until_s = time.monotonic() + CLOSED_S
        await self.facts.keep()
        return self._done(await self._closed(names, until_s))

    async def kill(self, arguments: Mapping[str, Any]) -> Done:
        """Stop for good: cancel, close, and stay closed through restarts until somebody re-arms."""
        self._say(Command.KILL)
        until_s = time.monotonic() + CLOSED_S  # what the disk takes is not the exchange's time
        await asyncio.to_thread(self.latch.close, str(arguments.get("reason") or "operator"), self.facts.now_ns())
        return self._done(await self._closed(self.engine.instruments.names, until_s))

    def _say(self, command: Command, name: str = "") -> None:
        place = 1 + self.engine.instruments.names.index(name) if name else 0
        self.stream.control(int(Kind.COMMAND), self.facts.now_ns(), (int(command), place))

    def _named(self, arguments: Mapping[str, Any]) -> list[str]:
        known, named = self.engine.instruments.names, list(dict.fromkeys(arguments.get("symbols") or []))
        unknown = [name for name in named if name not in known]
        if unknown:
            raise OperatorError(say("operator.symbols", unknown=", ".join(unknown), known=", ".join(known)))
        return named or list(known)

    async def _closed(self, names: list[str], until_s: float) -> list[str]:
        # What is left of what a command ends, once nothing is or the time is over.
        symbols = [self.engine.instruments.names.index(name) for name in names]
        while (left := self._left(symbols)) and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)
        return left

    def _left(self, symbols: list[int]) -> list[str]:
        account, names = self.engine.account, self.engine.instruments.names
        held = [names[at] for at in symbols if any(account.position(at, leg)["lots"] for leg in (0, 1))]
        return [client_name(order["client_id"]) for order in self._open() if order["symbol"] in symbols] + held

    def _done(self, unconfirmed: list[str] | tuple[()]) -> Done:
        kill = self.latch.read()
        account, names = self.engine.account, self.engine.instruments.names
        return Done(
            halted=self.engine.gate.halted,
            killed=kill.stamp if kill else "",
            reduce_only=[name for at, name in enumerate(names) if self.engine.gate.watching(at)["halted"]],
            orders_open=self.engine.orders.open_orders,
            positions=sum(account.position(at, leg)["lots"] != 0 for at in range(len(names)) for leg in (0, 1)),
            unconfirmed=list(unconfirmed),
        )


def _lost_e8(before_e8: int, now_e8: int) -> int:
    return (before_e8 - now_e8) * 10**8 // before_e8 if before_e8 > 0 else 0
