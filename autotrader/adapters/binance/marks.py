"""Mark prices when their stream is silent: asked for every two seconds, handed on as messages like the stream's own.

A position is valued, guarded and protected by its mark, also while nothing may be opened because the book is stale.
Knows the body of ``premiumIndex`` and the message that it becomes. Refuses to know who reads it, and to believe an
answer that does not name the symbol and a price.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Final, NoReturn

import orjson

from autotrader.adapters.binance.clock import Fetch
from autotrader.errors import AutotraderError

__all__ = ["Marks"]

PATH: Final = "/fapi/v1/premiumIndex"
LOOK_S: Final = 2.0
MOST: Final = 10
"""Symbols that are asked for one by one; more are asked for all at once, which weighs as much."""
SILENT_S: Final = 3.0
"""Age of a mark price at which it is asked for; the stream brings one a second."""
_PRICE: Final = re.compile(r"\d{1,12}(\.\d{1,8})?", re.ASCII)
_RATE: Final = re.compile(r"-?\d(\.\d{1,8})?", re.ASCII)


class Marks:
    """Asks for the mark prices that the market feed does not bring.

    Parameters
    ----------
    symbols : sequence of str
    ages : callable
        As `market_feed.MarketFeed.ages`: age of the last news by symbol and kind, s.
    fetch : callable
        Makes a public GET request, within the budget.
    sink : callable
        Given the receive stamp, ns, and a message, as the feed hands it on.
    now_ns : callable
    told : callable
        Told ``MARK_ASKED`` and the symbol, once in each silence.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        ages: Callable[[], Mapping[tuple[str, Any], float]],
        fetch: Fetch,
        sink: Callable[[int, bytes], None],
        now_ns: Callable[[], int],
        told: Callable[[str, str], None],
    ) -> None:
        self._symbols, self._ages, self._fetch = symbols, ages, fetch
        self._sink, self._now_ns, self._told = sink, now_ns, told
        self._silent: set[str] = set()

    async def run(self) -> NoReturn:
        """Look every two seconds."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask for the marks that are overdue; what fails is asked for again the next time."""
        ages = self._ages()
        silent = {name for name in self._symbols if ages.get((name, "mark"), 0.0) > SILENT_S}
        for name in sorted(silent - self._silent):
            self._told("MARK_ASKED", name)
        self._silent = silent
        if len(silent) > MOST:
            await self._ask(silent, {})
        else:
            await asyncio.gather(*(self._ask({name}, {"symbol": name}) for name in sorted(silent)))

    async def _ask(self, names: Set[str], params: dict[str, str]) -> None:
        try:
            found = orjson.loads(await self._fetch(PATH, params))
        except (AutotraderError, OSError, orjson.JSONDecodeError):
            return
        for body in found if isinstance(found, list) else [found]:
            message = _message(names, body)
            if message:
                self._sink(self._now_ns(), message)


def _message(names: Set[str], body: Any) -> bytes:
    # The stream's message, or nothing.
    name = body.get("symbol") if isinstance(body, dict) else None
    if not isinstance(name, str) or name not in names:
        return b""
    prices, rate = [body.get(key) for key in ("markPrice", "indexPrice")], body.get("lastFundingRate")
    stamps = [body.get(key) for key in ("time", "nextFundingTime")]
    if not all(isinstance(one, str) and _PRICE.fullmatch(one) for one in prices) \
            or not isinstance(rate, str) or not _RATE.fullmatch(rate) or not all(type(one) is int for one in stamps):
        return b""
    data = {
        "e": "markPriceUpdate", "E": stamps[0], "s": name, "p": prices[0], "i": prices[1],
        "r": rate, "T": stamps[1],
    }  # fmt: skip
    return orjson.dumps({"stream": f"{name.lower()}@markPrice@1s", "data": data})
