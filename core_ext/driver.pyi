"""Drive the engine and the venue through history, or the engine alone through a journal."""

from collections.abc import Iterable
from typing import final

import numpy as np
from numpy.typing import NDArray

from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.headroom import Headroom
from core_ext.journal import JournalWriter
from core_ext.latency import Latency
from core_ext.signal import CandleSource
from core_ext.types import Rows, Status
from core_ext.wire import Scanner

class FeedError(ValueError):
    """A line of a recording that is no line of a recording."""

class Feed:
    """Feeds rows or recorder lines to whoever implements ``market``."""

    @property
    def scanner(self) -> Scanner:
        """Reader of the recorder's lines."""

    @property
    def now(self) -> int:
        """Stamp of the newest row, ns."""

    @property
    def rows(self) -> int:
        """Market rows fed so far."""

    @property
    def lines(self) -> int:
        """Recorder lines fed so far."""

    candles: CandleSource | None
    """Makes the run's candles of trades or of shorter ones; where it stands, the rows that it gives go on."""
    @property
    def default_symbol(self) -> int:
        """Index of the symbol of messages that name none (REST snapshots)."""

    @default_symbol.setter
    def default_symbol(self, symbol: int) -> None: ...
    def feed_rows(self, rows: NDArray[np.void], source: int, first_row: int) -> None:
        """Feed an array of market rows."""

    def feed_lines(
        self, lines: bytes, source: int, first_row: int, unit_ns: int, offset_ns: int, first_line: int
    ) -> int:
        """Feed whole recorder lines (``<local stamp> <json>``); return the rows that they gave."""

    @property
    def taken(self) -> int:
        """Rows that messages gave so far."""

    def message(self, payload: bytes, ts: int) -> Status:
        """Feed one message as it comes in; its rows have the positions that a recording of all messages gives them."""

@final
class Collector(Feed):
    """Collects the rows that it is fed."""

    def __init__(self, scanner: Scanner) -> None: ...
    def take(self) -> NDArray[np.void]:
        """Return the rows since the last call, as an array of EVENT_DTYPE that is the caller's to change."""

class Run(Feed):
    """A run that trades: its journal, and the figures of its report."""

    @property
    def engine(self) -> Engine:
        """Engine that the rows go to."""

    @property
    def latency_max(self) -> int:
        """Longest time from a message's arrival to the orders that it led to, ns."""

    def equity_curve(self) -> NDArray[np.void]:
        """Return the samples: ts, a equity, b wallet, c unrealised, d gross (1e-8 USDT), e drawdown (1e-8)."""

    def latency_counts(self) -> tuple[list[int], list[int]]:
        """Return (edges, counts) of the wire-to-order histogram, ns, empty tails cut off."""

    def alarm_counts(self) -> dict[str, int]:
        """Return {alarm: count}."""

@final
class Driver(Run):
    """A run through history: engine, venue, journal."""

    @property
    def exchange(self) -> Exchange:
        """Venue that the orders go to."""

    def __init__(
        self,
        engine: Engine,
        exchange: Exchange,
        scanner: Scanner | None,
        journal: JournalWriter,
        order_latency_ns: int,
        response_latency_ns: int,
        sample_ns: int,
        latency: Latency | None = None,
    ) -> None: ...
    def control(self, kind: int, ts: int, words: Iterable[int] = (), symbol: int = 0) -> None:
        """Put an event that neither market nor order brings (RUN, COMMAND, TRANSFER, SETTING) into the stream, now."""

    def schedule(self, kind: int, ts: int, words: Iterable[int] = (), symbol: int = 0) -> None:
        """Put such an event into the stream at a stamp to come."""

    def wake(self, ts: int) -> None:
        """Let time pass where no market event brings it: deliver what is due before a stamp."""

    def consult(self, slow: Headroom, every_ns: int, delay_ns: int) -> None:
        """Ask for headroom at every multiple of a time, and let the engine have the answer a delay later."""

    def finish(self) -> bytes:
        """End the run: deliver what is on its way, then seal the journal with the state's hash."""

def bucket_floor(k: int) -> int:
    """Return the smallest value (ns) that falls into a bucket of the latency histogram."""

@final
class Verifier(Feed):
    """Re-runs a journal: market rows from their files, everything else from the journal itself."""

    @property
    def engine(self) -> Engine:
        """Engine that is run again."""

    @property
    def compared(self) -> int:
        """Requests compared so far."""

    @property
    def difference(self) -> str | None:
        """First difference that was found, None while there is none."""

    @property
    def sealed(self) -> bool:
        """Whether the journal's seal has been reached."""

    def __init__(self, engine: Engine, scanner: Scanner | None, script: Iterable[Rows]) -> None: ...
    def finish(self) -> str | None:
        """Return the first difference as text, None when every request and the final state are equal."""
