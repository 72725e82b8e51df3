"""A rehearsal: what a message leads to, again and again while nothing comes, so that the processor keeps it at hand.

Knows how a second core is led through the run's own market, with a quoter that always wants something and limits that
stand aside, and has its orders signed and framed. Refuses to let any of them leave: whoever signs them for it writes
nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Final

from autotrader.adapters.binance.rows import Row, packed, row
from autotrader.research.replay import Plan, limits, sizing
from autotrader.research.stress import STAND_ASIDE
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
"""So many rehearsals go by one mark price, before it is old."""
LOOKED: Final = 2_000
"""So many of a symbol go by its market as it was looked at."""
LEVELS: Final = 20
TOUCHED: Final = 8
MOST: Final = 5_000_000
"""After so many it begins anew, long before its orders run out of numbers."""
LONGEST: Final = 1 << 14
"""A longer diff is not rehearsed, because whatever comes meanwhile waits."""
FAULTS: Final = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What no rehearsal should raise, and none may end a run with."""
_OPEN: Final = STAND_ASIDE | {"repeated_entries": 0, "stop_e8": 0}
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
    failed : callable
        Told of what a rehearsal raised, which was the last then.

    Attributes
    ----------
    done, orders : int
        Rehearsals, and the orders that they led to.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        newest: Callable[[str], bytes],
        sign: Callable[[list[Request]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._plan, self._real, self._newest, self._sign, self._failed = plan, engine, newest, sign, failed
        self._symbols = cycle(range(len(plan.specs)))
        self._asked: list[Request] = []
        self._due_s, self._heard = 0.0, 0
        self._file = -1
        self._end = self.done = self.orders = 0

    def _begin(self) -> None:
        instruments, names = self._plan.instruments(), range(len(self._plan.specs))
        rules = limits(self._plan.config) | _OPEN
        quoter = Quoter(
            order_e8=1_000 * E8, budget_e8=5_000 * E8, requote_ns=STEP_NS // 2, join_ticks=0, min_spread_ticks=1
        )
        marks = ["stream" for _ in names]
        self._engine = Engine(instruments, quoter, rules, sizing(self._plan.config), 1_000_000 * E8, 1, marks)
        self._driver = Live(self._engine, Scanner(instruments), self._journal(), self._asked.extend, 1 << 60)
        self._now_ns, self._end, self._marked = time.time_ns(), self.done + MOST, self.done
        self._looked = [self.done for _ in names]

    def _journal(self) -> JournalWriter:
        # Nobody reads it: it is in memory where the system has such a place, has no name, and is cut again and again.
        self.close()
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
            place = Path(folder) / "journal"
            journal = JournalWriter(str(place))
            self._file = os.open(place, os.O_WRONLY)
        return journal

    def turn(self) -> None:
        """Rehearse, if it is time to, and nothing has come for as long as is between two of them."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        if self._real.events != self._heard:
            self._heard, self._due_s = self._real.events, now_s + EVERY_S
            return
        try:
            self.once()
            self._due_s = time.monotonic() + EVERY_S
        except FAULTS as error:
            self._due_s = float("inf")
            self._failed(error)

    def once(self) -> None:
        """Decide once more on the newest diff of the next book."""
        if self.done >= self._end:
            self._begin()
        symbol = next(self._symbols)
        found, book = self._parts(symbol), self._real.books[symbol]
        if found is None or not book.is_usable or None in book.best():
            return
        self._now_ns += STEP_NS
        if self.done >= self._looked[symbol] or not self._engine.books[symbol].is_usable:
            self._look(symbol)
        if self.done >= self._marked:
            self._marked = self.done + MARKED
            self._driver.tell(packed(filter(None, map(self._mark, range(len(self._plan.specs)))), self._now_ns))
        self._driver.message(self._again(symbol, found), self._now_ns)
        self._answer()
        self.done += 1
        for side in (0, 1):  # what the run itself will look at
            book.levels(side, TOUCHED)
        self._real.gate.watching(symbol)

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _parts(self, symbol: int) -> tuple[bytes, ...] | None:
        newest = self._newest(self._real.instruments.names[symbol])
        found = _DIFF.fullmatch(newest) if len(newest) <= LONGEST else None
        return found.groups() if found else None

    def _look(self, symbol: int) -> None:
        # The market as the run's own book has it.
        os.ftruncate(self._file, 0)
        self._looked[symbol] = self.done + LOOKED
        book, ours = self._real.books[symbol], self._engine.books[symbol]
        levels: list[Row] = [
            (int(Kind.LEVEL), int(Flag.F_SELL) * side, symbol, ticks, lots, 0, 0, 0, 0)
            for side in (0, 1)
            for ticks, lots in book.levels(side, LEVELS)
        ]
        last_id, (kind, flags, *words) = ours.last_id + 1, levels.pop()
        head: Row = (int(Kind.SNAPSHOT), 0, symbol, last_id, 0, 0, len(levels) + 1, 0, 0)
        end = row(kind, *words[:3], flags=flags)
        ours.state = 0  # it waits for a snapshot
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
