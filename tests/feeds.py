"""A market feed in front of an exchange on loopback: in the loop of the test, with everything it said kept."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvloop
from loopback_world import World
from rest_clients import publicly

from autotrader.adapters.binance.market_feed import MarketFeed, Timing
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.errors import VenueError

BTC, ETH = "BTCUSDT", "ETHUSDT"


@dataclass(frozen=True)
class Urls:
    """Addresses of an exchange that nobody has checked."""

    public: str
    market: str

    def require_host(self, url: str) -> str:
        return url


class Heard:
    """A feed's sink and everything else that it tells."""

    def __init__(self, world: World, subscription: Subscription, urls: Any = None, **timing: Any):
        self.world = world
        self.messages: list[tuple[int, bytes]] = []
        self.staled: list[tuple[str, str, float]] = []
        self.news: list[tuple[str, str]] = []
        self.fetched: list[tuple[float, str]] = []
        self.now_ns: Callable[[], int] = time.monotonic_ns
        self.on_message: Callable[[int, bytes], None] = lambda *_: None
        self.feed = MarketFeed(
            subscription, urls or publicly(world.port), sink=self._take, fetch=self.fetch, now_ns=lambda: self.now_ns(),
            stale=lambda *one: self.staled.append(one), told=lambda *one: self.news.append(one),
            timing=Timing(**timing),
        )  # fmt: skip

    def _take(self, stamp: int, message: bytes) -> None:
        self.messages.append((stamp, message))
        self.on_message(stamp, message)

    async def fetch(self, path: str, params: Mapping[str, str]) -> bytes:
        self.fetched.append((time.monotonic(), params.get("symbol", "")))
        answer = await asyncio.to_thread(lambda: self.world.send("GET", path, urlencode(params)))
        if answer.status != 200:
            raise VenueError(str(answer.status))
        return answer.raw

    def alerts(self, name: str) -> list[str]:
        """Return what an alert was about, each time."""
        return [about for alert, about in self.news if alert == name]

    async def until(self, what: Callable[[], Any], seconds: float = 30.0) -> float:
        """Wait until something is so; return how long it took."""
        begun = time.monotonic()
        while not what():
            assert time.monotonic() - begun < seconds, f"not within {seconds} s; {self.news[-5:]}"
            await asyncio.sleep(0.01)
        return time.monotonic() - begun


def run(main: Any) -> Any:
    """Run a coroutine in a loop like the program's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(main, 180))
