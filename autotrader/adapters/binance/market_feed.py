"""The market feed: the exchange's public streams, in the order of their arrival, for as long as a run wants them.

Knows which connection listens to what, when one is replaced, how old each stream's news are, and when a book needs a
snapshot again. Refuses to know what a message says beyond its place in its stream, and what is done with it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Final, NoReturn, Protocol

from autotrader.adapters.binance.clock import Fetch
from autotrader.adapters.binance.connections import Connection, Subscriber
from autotrader.adapters.binance.market_streams import Family, Handover, Kind, StreamName, Subscription
from autotrader.adapters.binance.pacing import Backoff
from autotrader.adapters.binance.snapshots import Snapshots
from autotrader.errors import VenueError
from autotrader.messages import say
from core_ext.feed import Stream, Switch

__all__ = ["MarketFeed", "StreamUrls", "SubscribeFailedError", "Timing"]

NAME_AT: Final = len(b'{"stream":"')
LOOK_S: Final = 0.2
FLAPPING: Final = 5
"""Tries in a row that failed when it is told."""
LATE_S: Final = 0.5
"""By so much later than due the watch does not judge: what came meanwhile is still unread."""


class StreamUrls(Protocol):
    """Where a profile's streams are: base addresses without ``/ws`` or ``/stream``."""

    @property
    def public(self) -> str:
        """Books, touches and single trades."""

    @property
    def market(self) -> str:
        """Everything else."""

    def require_host(self, url: str) -> str:
        """Return an address that may be connected to; raise OperatorError for any other."""


@dataclass(frozen=True)
class Timing:
    """How long the feed waits for what.

    Attributes
    ----------
    limits_s : mapping
        Age at which a stream's news are stale, by kind; a kind that is not named has no timetable.
    dead_s : float
        Silence of all streams with a timetable after which a connection is replaced, whatever its pongs say.
    open_s, silent_s : float
        How long a start may take to connect, and then to hear every stream.
    life_s, overlap_s : float
        Age at which a connection is renewed, and how long the old one stays beside the new one at most.
    first_s, cap_s : float
        Longest delay before the first try to connect again, and before any.
    good_s : float
        Age at which a connection counts as a good one: the next failure is the first again.
    connects : tuple of (int, float)
        Connections opened: at most so many in any so many seconds.
    spacing_s : float
        Least time between two snapshots of a symbol.
    """

    limits_s: Mapping[Kind, float] = field(default_factory=lambda: MappingProxyType({"book": 1.0, "mark": 3.0}))
    dead_s: float = 5.0
    open_s: float = 15.0
    silent_s: float = 10.0
    life_s: float = 23 * 3600.0
    overlap_s: float = 10.0
    first_s: float = 0.5
    cap_s: float = 5.0
    good_s: float = 10.0
    connects: tuple[tuple[int, float], ...] = ((5, 1.0), (250, 300.0))
    spacing_s: float = 5.0


class SubscribeFailedError(VenueError):
    """Streams that stayed silent at the start.

    Parameters
    ----------
    streams : sequence of str
    seconds : float
    """

    def __init__(self, streams: list[str], seconds: float) -> None:
        super().__init__(say("feed.silent", seconds=f"{seconds:g}", streams=", ".join(streams)))
        self.streams = streams


class _Stream(Stream):
    # One stream, by the loop's time.
    kind: Kind
    handover: Handover | None

    @property
    def is_shared(self) -> bool:
        """Whether the next connection has brought it, too."""
        return self.handover is None or self.handover.has_begun

    def settle(self) -> None:
        """End its passing to the next connection."""
        if self.handover is not None and self.handover.is_done:
            self.connection = self.next
        self.next = self.handover = None


class _Line:
    # One route: its streams and the connection that delivers them.
    def __init__(self, family: Family, url: str, streams: list[_Stream], timing: Timing, random: Random) -> None:
        self.family, self.url, self.streams = family, url, streams
        self.names = [stream.name for stream in streams]
        self.timed = [stream for stream in streams if stream.kind in timing.limits_s]
        self.backoff = Backoff(timing.first_s, timing.cap_s, random)
        self.connection: Connection | None = None
        self.reason = ""

    @property
    def is_shared(self) -> bool:
        """Whether the next connection has brought every stream with a timetable that anybody brings."""
        return all(stream.is_shared or stream.is_stale for stream in self.timed)

    @property
    def is_passed(self) -> bool:
        """Whether every stream has passed to the next connection."""
        return all(stream.handover is None or stream.handover.is_done for stream in self.streams)


class MarketFeed(Subscriber):
    """The market data of a run; made in the loop that it runs in.

    Parameters
    ----------
    subscription : Subscription
    urls : StreamUrls
    sink : callable
        Given (stamp, message) of each message of a stream and of each snapshot, in the order of their arrival, in the
        loop. An error that it raises ends the feed.
    fetch : callable
        Makes a public request; for snapshots.
    now_ns : callable
        The exchange's time, ns; it never goes back.
    stale : callable
        Told (symbol, kind, age in s) when a stream's news become stale, and with an age of 0.0 when they come again.
    told : callable
        Told (alert, what about): ``CONNECTED``, ``DISCONNECTED``, ``RENEWED``, ``STREAM_SILENT``, ``FLAPPING`` of a
        route; ``BOOK_RESYNC``, ``NO_SNAPSHOT`` of a symbol.
    timing : Timing, optional
    random : Random, optional
        Draws the delays.
    tls : ssl.SSLContext, optional

    Attributes
    ----------
    connects, repeated, unknown : int
        Connections tried so far; messages dropped because another connection had brought them, or had to; and
        messages of no stream that was asked for.
    snapshots : Snapshots

    Raises
    ------
    OperatorError
        If one of the addresses is none of the profile's.
    VenueError
        By `start` and `ended`.
    """

    def __init__(
        self,
        subscription: Subscription,
        urls: StreamUrls,
        *,
        sink: Callable[[int, bytes], None],
        fetch: Fetch,
        now_ns: Callable[[], int],
        stale: Callable[[str, Kind, float], None],
        told: Callable[[str, str], None],
        timing: Timing | None = None,
        random: Random | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.timing = timing or Timing()
        super().__init__(sink, self.timing.connects, tls)
        self._now_ns, self._stale, self._told = now_ns, stale, told
        self._random = random or Random()
        names = subscription.streams()
        self._streams = {one.name.encode(): _Stream(one.name, one.symbol, one.kind) for one in names}
        self._books = {s.symbol: s for s in self._streams.values() if s.is_book}
        routes: tuple[tuple[Family, str], ...] = (("public", urls.public), ("market", urls.market))
        self._lines = [self._line(family, urls.require_host(_stream(url)), names) for family, url in routes]
        self.snapshots = Snapshots(fetch, self._give, told, self._on_done, self._random, self.timing.spacing_s)
        self._switch = Switch(self._streams, self.snapshots.wanted, sink, self._stop, now_ns, self._loop.time)
        self.unknown = 0

    def _line(self, family: Family, url: str, names: list[StreamName]) -> _Line:
        streams = [self._streams[name.name.encode()] for name in names if name.family == family]
        return _Line(family, url, streams, self.timing, self._random)

    # ------------------------------------------------------------------ what a run asks

    async def start(self) -> None:
        """Connect, subscribe, and return when every stream has been heard.

        Raises
        ------
        SubscribeFailedError
            If one stays silent for ten seconds after its subscription; trades and candles, which have no timetable,
            count as heard when one symbol's have been.
        VenueError
            If there is no connection.
        """
        self._begin(*(self._keep(line) for line in self._lines), self._watch())
        is_heard = False
        try:
            await self._hear_all()
            is_heard = True
        finally:
            if not is_heard:
                await self.close()

    def resync(self, symbol: str) -> None:
        """Bring a snapshot for a symbol whose book has a hole: at once, or five seconds after its last one."""
        book = self._books[symbol]
        if book.last:
            self.snapshots.ask(symbol, book.last)
        else:
            self.snapshots.want(symbol)

    def newest(self, symbol: str) -> bytes:
        """Return the newest diff of a symbol's book; empty before there is one."""
        return self._books[symbol].last

    def silent(self) -> list[str]:
        """Return the names of the streams that have not been heard yet."""
        streams = list(self._streams.values())
        heard = {stream.kind for stream in streams if stream.heard_s}
        return [s.name for s in streams if not s.heard_s and not (s.kind in ("trade", "candle") and s.kind in heard)]

    def ages(self) -> dict[tuple[str, Kind], float]:
        """Return how old the last news of each symbol and kind are, s; those never heard are not named."""
        now = self._loop.time()
        return {(s.symbol, s.kind): now - s.heard_s for s in self._streams.values() if s.heard_s}

    def _unopened(self) -> list[str]:
        words = {"seconds": f"{self.timing.open_s:g}"}
        return [
            say("feed.unreachable", url=line.url, reason=line.reason or say("feed.lost"), **words)
            for line in self._lines
            if line.connection is None
        ]

    async def _hear_all(self) -> None:
        await self._until(self._unopened, self.timing.open_s)
        if unopened := self._unopened():
            raise VenueError(unopened[0])
        await self._until(self.silent, self.timing.silent_s)
        if silent := self.silent():
            raise SubscribeFailedError(silent, self.timing.silent_s)

    async def _until(self, missing: Callable[[], list[str]], seconds: float) -> None:
        end = self._loop.time() + seconds
        while missing() and self._loop.time() < end:
            if self._failed.done():
                await self._failed
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------------ messages

    def _heard(self, connection: Connection, message: bytes) -> None:
        stream = self._streams.get(message[NAME_AT : message.find(b'"', NAME_AT)])
        if stream is None:
            self.unknown += 1
        elif stream.connection is connection and stream.handover is None:
            self._deliver(stream, message)
        else:
            self._pass_on(stream, connection, message)

    def _pass_on(self, stream: _Stream, connection: Connection, message: bytes) -> None:
        # Of a stream that passes from one connection to the next, or of a connection that counts no more.
        handover, passed = stream.handover, list[bytes]()
        if handover is not None and connection is stream.connection:
            passed = handover.from_old(message)
        elif handover is not None and connection is stream.next:
            passed = handover.from_new(message)
            if handover.is_over:
                stream.settle()
        if not passed:
            self.repeated += 1
        for one in passed:
            self._deliver(stream, one)

    def _deliver(self, stream: _Stream, message: bytes) -> None:
        self._switch.deliver(stream, message)
        if stream.is_book and stream.symbol in self.snapshots.wanted:
            self.snapshots.ask(stream.symbol, message)

    def _give(self, message: bytes) -> None:
        self._hand_on(self._now_ns(), message)

    def _stop(self) -> None:
        self.snapshots.close()
        for stream in self._streams.values():
            stream.connection = stream.next = stream.handover = None
        super()._stop()

    # ------------------------------------------------------------------ connections

    async def _keep(self, line: _Line) -> NoReturn:
        # A route's connections, one after the other.
        while True:
            try:
                line.connection = await self._connected(line, self._take_over)
            except VenueError as error:
                line.reason = str(error)
                continue
            self._told("CONNECTED", line.family)
            await self._live(line)
            self._told("DISCONNECTED", line.family)

    async def _connected(self, line: _Line, adopt: Callable[[_Line, Connection], None]) -> Connection:
        # One try, when its turn has come.
        if line.connection is not None or line.reason:
            await asyncio.sleep(line.backoff.next_s())
            if line.backoff.failures == FLAPPING:
                self._told("FLAPPING", line.family)
        await asyncio.sleep(self._pace.take(self._loop.time()))
        self.connects += 1
        connection = await self._opened(line.url, self._heard)
        connection.switch = self._switch
        adopt(line, connection)
        try:
            await connection.subscribe(line.names)
        except VenueError:
            connection.end()
            raise
        return connection

    def _take_over(self, line: _Line, connection: Connection) -> None:
        # A new connection brings a route's streams; of what was missed meanwhile, books need a snapshot.
        for stream in line.streams:
            stream.connection, stream.next, stream.handover, stream.last = connection, None, None, b""
            if stream.is_book:
                self.snapshots.want(stream.symbol)

    async def _live(self, line: _Line) -> None:
        # Until the connection is gone, and none beside it has taken its place in time.
        while (connection := line.connection) is not None:
            await connection.gone_within(self.timing.life_s * self._random.uniform(0.9, 1.0))
            if self._loop.time() - connection.opened_s >= self.timing.good_s:
                line.backoff.reset()
            while not connection.gone.is_set() and connection is line.connection:
                await self._renew(line, connection)
            if connection is line.connection:
                return

    async def _renew(self, line: _Line, old: Connection) -> None:
        try:
            new = await self._connected(line, self._share)
        except VenueError as error:
            line.reason = str(error)
            self._unshare(line, old)
            return
        end = self._loop.time() + self.timing.overlap_s
        while self._loop.time() < end and not (old.gone.is_set() or new.gone.is_set()) and not line.is_passed:
            await asyncio.sleep(0.02)
        if new.gone.is_set() or not (old.gone.is_set() or line.is_shared):
            new.end()
            self._unshare(line, old)
            return
        self._finish(line)
        line.connection = new
        old.end()
        line.backoff.reset()
        self._told("RENEWED", line.family)

    def _share(self, line: _Line, connection: Connection) -> None:
        # Two connections bring a route's streams.
        for stream in line.streams:
            stream.settle()
            stream.next, stream.handover = connection, Handover(stream.kind)

    def _unshare(self, line: _Line, old: Connection) -> None:
        # The new connection was no good. What it has taken over already, nobody brings now: begin anew.
        if any(stream.handover is not None and stream.handover.is_done for stream in line.streams):
            old.end()
        for stream in line.streams:
            stream.next = stream.handover = None

    def _finish(self, line: _Line) -> None:
        for stream in line.streams:
            if stream.handover is None:
                continue
            if stream.is_book and not stream.handover.is_done:
                self.snapshots.want(stream.symbol)  # nobody knows whether there is a hole
            for message in stream.handover.finish():
                self._deliver(stream, message)

    # ------------------------------------------------------------------ the watch

    async def _watch(self) -> NoReturn:
        while True:
            due = self._loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            if self._loop.time() - due < LATE_S:
                self._look(self._loop.time())

    def _look(self, now_s: float) -> None:
        for stream in self._streams.values():
            limit = self.timing.limits_s.get(stream.kind)
            if limit is not None and stream.heard_s:
                self._judge(stream, now_s - stream.heard_s, limit)
        for line in self._lines:
            connection = line.connection
            if connection is None or connection.gone.is_set():
                continue
            heard = max((stream.heard_s for stream in line.timed), default=now_s)
            if now_s - max(heard, connection.opened_s) > self.timing.dead_s:
                self._told("STREAM_SILENT", line.family)
                connection.end(is_dead=True)

    def _judge(self, stream: _Stream, age_s: float, limit_s: float) -> None:
        if (age_s > limit_s) != stream.is_stale:
            stream.is_stale = not stream.is_stale
            self._stale(stream.symbol, stream.kind, age_s if stream.is_stale else 0.0)


def _stream(url: str) -> str:
    return f"{url.rstrip('/')}/stream"
