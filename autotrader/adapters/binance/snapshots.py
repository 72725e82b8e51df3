"""Snapshots of the books: asked for when a book needs one, never too often, never too old.

Knows the request, what makes a snapshot too old, and how often the exchange may be asked. Refuses to know how a book is
kept, who found a hole in it, and how a request is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import orjson

from autotrader.adapters.binance.clock import Fetch
from autotrader.adapters.binance.market_streams import needed_id
from autotrader.adapters.binance.pacing import Backoff, Pace
from autotrader.errors import AutotraderError, VenueError
from autotrader.messages import say

__all__ = ["Snapshots"]

PATH: Final = "/fapi/v1/depth"
LIMIT: Final = "1000"
DEADLINE_S: Final = 10.0
CAP_S: Final = 60.0
PER_MINUTE: Final = 60
"""Requests of all symbols: 1,200 of the 2,400 that an address may weigh in a minute."""


@dataclass
class _Need:
    # A symbol that needs a snapshot: the least id that serves it, None until a diff has said so.
    backoff: Backoff
    id: int | None = None
    delay_s: float = 0.0
    asked_s: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Snapshots:
    """Brings each symbol the snapshot that it needs.

    Parameters
    ----------
    fetch : callable
    hand : callable
        Given each snapshot as a message that names its symbol.
    told : callable
        Told (alert, symbol): ``BOOK_RESYNC`` when one is handed over, ``NO_SNAPSHOT`` when a request fails.
    ended : callable
        Given each request's task when it has ended.
    random : Random
    spacing_s : float
        Least time between two requests for one symbol.

    Attributes
    ----------
    wanted : set of str
        Symbols that wait for a diff to ask at.
    asked, stale : int
        Requests so far; and those whose answer was older than the diffs that wait for it.

    Notes
    -----
    A snapshot serves if its id is not before the ``pu`` of the first diff that waits; whatever lies before is gone.
    """

    def __init__(
        self,
        fetch: Fetch,
        hand: Callable[[bytes], None],
        told: Callable[[str, str], None],
        ended: Callable[[asyncio.Task[None]], None],
        random: Random,
        spacing_s: float,
    ) -> None:
        self._fetch, self._hand, self._told, self._ended, self._random = fetch, hand, told, ended, random
        self._spacing_s = spacing_s
        self._pace = Pace((PER_MINUTE, 60.0))
        self._needs: dict[str, _Need] = {}
        self.wanted: set[str] = set()
        self.asked = 0
        self.stale = 0

    def want(self, symbol: str) -> None:
        """Note that a symbol needs a snapshot: it is asked for once the next diff is there."""
        self.wanted.add(symbol)

    def ask(self, symbol: str, diff: bytes) -> None:
        """Ask for a symbol's snapshot, which must serve this diff; one that is being asked for must serve it, too."""
        need = self._need(symbol)
        self.wanted.discard(symbol)
        need.id = needed_id(diff)
        if need.task is None:
            need.task = asyncio.create_task(self._bring(symbol, need))
            need.task.add_done_callback(self._ended)

    def close(self) -> None:
        """Ask no more."""
        for need in self._needs.values():
            if need.task is not None:
                need.task.cancel()

    def _need(self, symbol: str) -> _Need:
        return self._needs.setdefault(symbol, _Need(Backoff(self._spacing_s, CAP_S, self._random)))

    async def _bring(self, symbol: str, need: _Need) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(max(need.asked_s + self._spacing_s - loop.time(), need.delay_s))
                await asyncio.sleep(self._pace.take(loop.time()))
                need.asked_s = loop.time()
                if await self._served(symbol, need):
                    return
        finally:
            need.task = None

    async def _served(self, symbol: str, need: _Need) -> bool:
        self.asked += 1
        need.delay_s = need.backoff.next_s()
        try:
            async with asyncio.timeout(DEADLINE_S):
                body = await self._fetch(PATH, {"symbol": symbol, "limit": LIMIT})
            last_id, message = _read(symbol, body)
        except (AutotraderError, OSError):
            self._told("NO_SNAPSHOT", symbol)
            return False
        if last_id < (need.id or 0):
            self.stale += 1
            return False
        need.backoff.reset()
        need.id, need.delay_s = None, 0.0
        self._hand(message)
        self._told("BOOK_RESYNC", symbol)
        return need.id is None  # whoever took it may have asked for another


def _read(symbol: str, body: bytes) -> tuple[int, bytes]:
    # The snapshot's id, and the body with its symbol in front.
    try:
        found = orjson.loads(body)
        last_id = found["lastUpdateId"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise VenueError(say("feed.no_snapshot", symbol=symbol)) from None
    if type(last_id) is not int or last_id < 0 or not isinstance(found.get("bids"), list):
        raise VenueError(say("feed.no_snapshot", symbol=symbol))
    if "symbol" in found:
        return last_id, body
    return last_id, b'{"symbol":%b,%b' % (orjson.dumps(symbol), body.lstrip()[1:])
