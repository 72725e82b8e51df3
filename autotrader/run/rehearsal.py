"""A rehearsal: what a message leads to, again and again while nothing comes, so that the processor keeps it at hand.

Knows how a second core is led through the run's own market, with a quoter that always wants something, and has its
orders signed and framed. Refuses to let any of them leave: whoever signs them for it writes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Final

from autotrader.adapters.binance.rows import Row, packed, row
from autotrader.research.replay import Plan, limits, sizing
from core_ext.engine import Engine
from core_ext.journal import JournalWriter
from core_ext.live import Live
from core_ext.quoter import Quoter
from core_ext.types import Flag, Kind
from core_ext.wire import Request, Scanner

__all__ = ["Rehearsal"]

E8: Final = 10**8
EVERY_S: Final = 0.0005
"""Between two of them. After a millisecond much of the path has left the processor's caches."""
STEP_NS: Final = 50_000_000
"""Its own time passes so fast that each finds the quoter's pause over and the limits of a minute kept."""
MARKED: Final = 20
"""So many rehearsals go by one mark price, before the gate would find it old."""
LOOKED: Final = 2_000
"""So many go by the market as it was looked at."""
LEVELS: Final = 20
TOUCHED: Final = 8
MOST_ORDERS: Final = 100_000
"""Then it begins anew, with another journal: this one has 20 MB."""
_OPEN: Final = {
    "orders_per_second": 1000, "strategy_orders_per_second": 1000, "order_burst": 1000, "orders_per_minute": 4095,
    "duplicate_ns": 0, "quality_orders": 1_000_000,
}  # fmt: skip
_DIFF: Final = re.compile(rb'(.*?"E":)\d+(,"T":)\d+(.*?"U":)\d+(,"u":)\d+(,"pu":)\d+(.*)', re.DOTALL)


class Rehearsal:
    """A second core that decides on the newest diffs of the run's books; to be told whenever the loop has time.

    Parameters
    ----------
    plan : Plan
        The run's; its strategy takes no part.
    engine : Engine
        The run's, which is only looked at.
    newest : callable
        Given a symbol, returns the newest diff of its book, empty for none.
    sign : callable
        Takes requests, and does with them what can be done without letting them leave.
    place : Path
        Of a journal that nobody reads: the file has lost its name before anything is written.

    Attributes
    ----------
    done, orders : int
        Rehearsals, and the orders that they led to.
    """

    def __init__(
        self, plan: Plan, engine: Engine, newest: Callable[[str], bytes], sign: Callable[[list[Request]], None],
        place: Path,
    ) -> None:  # fmt: skip
        self._plan, self._real, self._newest, self._sign, self._place = plan, engine, newest, sign, place
        self._symbols = cycle(range(len(engine.instruments.names)))
        self._asked: list[Request] = []
        self._due_s = 0.0
        self.done = self.orders = self._looked = 0
        self._begin()

    def _begin(self) -> None:
        quoter = Quoter(
            order_e8=1_000 * E8, budget_e8=5_000 * E8, requote_ns=STEP_NS // 2, join_ticks=0, min_spread_ticks=1
        )
        instruments = self._plan.instruments()
        rules, marks = limits(self._plan.config) | _OPEN, ["stream"] * instruments.size
        self._engine = Engine(instruments, quoter, rules, sizing(self._plan.config), 1_000_000 * E8, 1, marks)
        self._place.unlink(missing_ok=True)
        journal = JournalWriter(str(self._place))
        self._place.unlink()
        self._driver = Live(self._engine, Scanner(instruments), journal, self._asked.extend, 1 << 60)
        self._now_ns, self._end, self._marked = time.time_ns(), self.orders + MOST_ORDERS, self.done

    def turn(self) -> None:
        """Rehearse, if it is time to; one that raises is the last."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = float("inf")
        self.once()
        self._due_s = time.monotonic() + EVERY_S

    def once(self) -> None:
        """Decide once more on the newest diff of the next book."""
        symbol = next(self._symbols)
        found, book = _DIFF.fullmatch(self._newest(self._real.instruments.names[symbol])), self._real.books[symbol]
        if found is None or not book.is_usable or None in book.best():
            return
        self._now_ns += STEP_NS
        if self.done >= self._looked or not self._engine.books[symbol].is_usable:
            self._look(symbol)
        if self.done >= self._marked:
            self._marked = self.done + MARKED
            self._driver.tell(packed(filter(None, map(self._mark, range(len(self._plan.specs)))), self._now_ns))
        self._driver.message(self._again(symbol, found.groups()), self._now_ns)
        self._answer()
        self.done += 1
        for side in (0, 1):  # what the run itself will look at
            book.levels(side, TOUCHED)
        self._real.gate.watching(symbol)

    def _look(self, symbol: int) -> None:
        # The market as the run's own book has it.
        if self.orders > self._end:
            self._begin()
        self._looked = self.done + LOOKED
        book = self._real.books[symbol]
        sides = book.levels(0, LEVELS), book.levels(1, LEVELS)
        levels: list[Row] = [
            (int(Kind.LEVEL), int(Flag.F_SELL) * side, symbol, ticks, lots, 0, 0, 0, 0)
            for side, found in enumerate(sides)
            for ticks, lots in found
        ]
        last_id, (kind, flags, *words) = self._engine.books[symbol].last_id + 1, levels.pop()
        head: Row = (int(Kind.SNAPSHOT), 0, symbol, last_id, 0, 0, len(levels) + 1, 0, 0)
        end = row(kind, *words[:3], flags=flags)
        self._driver.tell(packed([head, *levels, end], self._now_ns))

    def _mark(self, symbol: int) -> Row | None:
        bid, ask = self._real.books[symbol].best()
        if bid is None or ask is None:
            return None
        mark_e8 = (bid + ask) * self._plan.specs[symbol]["tick_e8"] // 2
        return row(Kind.MARK, symbol, mark_e8, mark_e8)

    def _again(self, symbol: int, parts: tuple[bytes, ...]) -> bytes:
        # The same diff once more, as the next one of the rehearsal's own book, and just now.
        last, now_ms = self._engine.books[symbol].last_id, self._now_ns // 10**6
        words = now_ms, now_ms, last, last + 1, last
        return b"".join(b"%b%d" % one for one in zip(parts, words, strict=False)) + parts[-1]

    def _answer(self) -> None:
        # Refused, as an order is that would not have been the maker.
        requests, self._asked[:] = list(self._asked), []
        if not requests:
            return
        self._sign(requests)
        orders = [one for one in requests if one.kind is Kind.ORDER]
        self.orders += len(orders)
        self._driver.tell(packed([row(Kind.REJECTED, one.symbol, one.client_id, 5022) for one in orders], self._now_ns))
