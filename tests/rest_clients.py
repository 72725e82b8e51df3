"""Clients of an exchange on loopback that ask as the program does: over HTTP, signed, within a budget."""

import asyncio
import ssl
import time
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import uvloop
from loopback_world import World

from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.outcomes import Verdict
from autotrader.adapters.binance.profiles import MarketUrls, TradingUrls, market_urls, trading_urls
from autotrader.adapters.binance.rest import MarketRest, Rest
from autotrader.config import Live
from autotrader.secret import Credentials, Secret
from core_ext.wire import Signer


class Time:
    """The time of an exchange that stands still, or of the wall for one that does not."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world
        self.ahead_ms = 0

    def request_ms(self) -> int:
        return (self.world.stamp_ms if self.world else time.time_ns() // 10**6) + self.ahead_ms

    def now_ns(self) -> int:
        return self.request_ms() * 10**6


def at(port: int) -> TradingUrls:
    """Return the addresses of an exchange on loopback."""
    return trading_urls("testnet", Live(profile="loopback", port=port))


def publicly(port: int) -> MarketUrls:
    """Return those that PAPER gets."""
    return market_urls(Live(profile="loopback", port=port))


def elsewhere(urls: Any, **names: str) -> Any:
    """Return a profile's addresses of which some have been changed behind its back."""
    return SimpleNamespace(
        **{one.name: getattr(urls, one.name) for one in fields(urls)} | names, require_host=urls.require_host
    )


class Account:
    """One account's client, and what it was told; to be used as a context in the loop."""

    def __init__(
        self, world: World | None, who: str = "alice", *, urls: TradingUrls | None = None, budget: Budget | None = None,
        key: str = "", secret: str = "", tls: ssl.SSLContext | None = None,
    ):  # fmt: skip
        self.clock, self.budget, self.verdicts = Time(world), budget or Budget(), list[Verdict]()
        secret = secret or f"{who}-secret"
        credentials = Credentials(api_key=Secret(key or f"{who}-key"), secret=Secret(secret), kind="hmac")
        self.make = lambda: Rest(
            urls or at(world.port), credentials, Signer(secret.encode()), self.budget, self.clock,
            judged=self.verdicts.append, tls=tls,
        )  # fmt: skip

    async def __aenter__(self) -> "Account":
        self.rest = self.make()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rest.close()


def with_rest(world: World, act: Any, **options: Any) -> Any:
    """Return what becomes of an act of alice's client."""

    async def main() -> Any:
        async with Account(world, **options) as account:
            return await act(account.rest)

    return run(main())


def with_market(world: World, act: Any) -> Any:
    """Return what becomes of an act of a client without a key."""

    async def main() -> Any:
        rest = MarketRest(publicly(world.port), Budget(), Time(world))
        try:
            return await act(rest)
        finally:
            await rest.close()

    return run(main())


def run(main: Any, seconds: float = 60.0) -> Any:
    """Run a coroutine in a loop like the program's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(main, seconds))
