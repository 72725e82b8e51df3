"""The account's event stream: its listen key, its connections, and every event as it came.

Knows when the key is kept, when it is gone, when a connection is dead or old, and when events may be missing. Refuses
to know what an event says, how a gap is filled, and whether silence is peace: whoever compares the account with the
exchange's lists says so by `UserStream.prove`, and tells by `UserStream.proven_ns` when a stream must be called mute.

The listen key goes over the wire in a message, never in an address, and is handed to nobody: wrappers that name it are
taken off, and the event that it has expired ends here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, NoReturn, Protocol

from autotrader.adapters.binance.connections import STREAMED, Connection, Subscriber
from autotrader.adapters.binance.pacing import Backoff
from autotrader.adapters.binance.profiles import TradingUrls
from autotrader.errors import AutotraderError, VenueError
from autotrader.messages import say

__all__ = ["ListenKeys", "Timing", "UserStream"]

NO_KEY: Final = -1125
EXPIRED: Final = b'"e":"listenKeyExpired"'
DATA: Final = b'"data":'
FLAPPING: Final = 5
"""Tries in a row that failed when it is told."""
MOST_SHARED: Final = 4096
"""Events of two connections that are compared; beyond, they begin anew and some may come twice."""


class ListenKeys(Protocol):
    """Whoever asks the exchange for the account's listen key; `rest.Rest` does."""

    async def open_listen_key(self) -> str:
        """Return the key that there is, or a new one, good for an hour."""

    async def keep_listen_key(self) -> None:
        """Keep it for another hour."""

    async def close_listen_key(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Timing:
    """How long the stream waits for what, s.

    Attributes
    ----------
    keep_s, again_s : float
        Between two extensions of the key, and before the next try where one failed.
    key_s : float
        Age up to which a key is used again if no other can be got.
    open_s : float
        How long a start may take.
    life_s, overlap_s : float
        Age at which a connection is renewed, and how long the old one stays beside the new one.
    beat_s, dead_s : float
        Between two questions whether the other side is there, and how long an answer may take.
    first_s, cap_s : float
        Longest delay before the first try to connect again, and before any.
    good_s : float
        Age at which a connection counts as a good one.
    connects : tuple of (int, float)
        Connections opened: at most so many in any so many seconds.
    """

    keep_s: float = 1800.0
    again_s: float = 60.0
    key_s: float = 3300.0
    open_s: float = 15.0
    life_s: float = 23 * 3600.0
    overlap_s: float = 2.0
    beat_s: float = 5.0
    dead_s: float = 5.0
    first_s: float = 0.5
    cap_s: float = 5.0
    good_s: float = 10.0
    connects: tuple[tuple[int, float], ...] = ((5, 1.0), (250, 300.0))


class UserStream(Subscriber):
    """The events of an account; made in the loop that it runs in.

    Closed, it leaves the key to expire, since another process may listen with it.

    Parameters
    ----------
    urls : TradingUrls
    keys : ListenKeys
    sink : callable
        Given (stamp, event) of each event, in the order of their arrival, in the loop. An error that it raises ends the
        stream.
    gap : callable
        Called when events come again after some may have been missed: now the account is to be compared.
    told : callable
        Told (alert, what about): ``USER_STREAM_CONNECTED``, ``USER_STREAM_LOST`` when a connection ended,
        ``USER_STREAM_RENEWED`` when there is another key or a younger connection, ``LISTEN_KEY`` when the key could not
        be got or kept, ``FLAPPING``.
    now_ns : callable
        The exchange's time, ns; it never goes back.
    timing : Timing, optional
    random : Random, optional
        Draws the delays.
    tls : ssl.SSLContext, optional

    Attributes
    ----------
    proven_ns : int
        When events were last proven to come: one came, or `prove` was called; 0 while that is not known.
    connects, repeated : int
        Connections tried so far; events dropped because the other of two connections had brought them.

    Raises
    ------
    OperatorError
        If the profile does not serve the stream of an account.
    """

    def __init__(
        self,
        urls: TradingUrls,
        keys: ListenKeys,
        *,
        sink: Callable[[int, bytes], None],
        gap: Callable[[], None],
        told: Callable[[str, str], None],
        now_ns: Callable[[], int],
        timing: Timing | None = None,
        random: Random | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.timing = timing or Timing()
        super().__init__(sink, self.timing.connects, tls)
        self.proven_ns = 0
        self._url, self._keys = urls.require_host(f"{urls.user}/stream"), keys
        self._gap, self._told, self._now_ns = gap, told, now_ns
        self._random = random or Random()
        self._backoff = Backoff(self.timing.first_s, self.timing.cap_s, self._random)
        self._key, self._key_s = "", 0.0
        self._reason = ""
        self._connection: Connection | None = None
        self._next: Connection | None = None
        self._shared: dict[bytes, Connection] = {}
        self._is_up = asyncio.Event()

    # ------------------------------------------------------------------ what a run asks

    async def start(self) -> None:
        """Get a key, connect, and return when the exchange has confirmed the subscription.

        Raises
        ------
        VenueError
            If that does not come about in time; the message says what failed last.
        """
        self._begin(self._keep(), self._keep_key(), self._beat())
        opened = asyncio.create_task(self._is_up.wait())
        try:
            await asyncio.wait((opened, self._failed), timeout=self.timing.open_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
            if not self._is_up.is_set():
                await self.close()
        if not self._is_up.is_set():
            reason = str(self._failed.exception() if self._failed.done() else self._reason or say("feed.lost"))
            raise VenueError(say("user.unreachable", seconds=f"{self.timing.open_s:g}", reason=reason))

    def prove(self) -> None:
        """Take note that the account has just been found to be as the events told it."""
        if self.is_open:
            self.proven_ns = self._now_ns()

    async def replace(self) -> None:
        """Begin anew with another key: the stream was found mute."""
        self._key = ""
        with suppress(VenueError):  # without a key there is none to end, and the next one is another
            await self._keys.close_listen_key()
        if self._connection is not None:
            self._connection.end(is_dead=True)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection whose subscription was confirmed."""
        return self._connection is not None and not self._connection.gone.is_set()

    # ------------------------------------------------------------------ events

    def _heard(self, connection: Connection, message: bytes) -> None:
        event = _event(message)
        if not event or (self._key and self._key.encode() in event):
            self._on_own_key(event)
        elif connection is not self._connection and connection is not self._next:
            return
        elif self._next is None or self._is_first(connection, event):
            self._give(event)
        else:
            self.repeated += 1

    def _on_own_key(self, event: bytes) -> None:
        # It has expired, or an event in its wrapper cannot be read, which was one that is now missing.
        if EXPIRED in event:
            self._lose_key()
        else:
            self._gap()

    def _is_first(self, connection: Connection, event: bytes) -> bool:
        # While two connections bring the same events.
        if len(self._shared) >= MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(event, connection) is connection

    def _give(self, event: bytes) -> None:
        self.proven_ns = self._now_ns()
        self._hand_on(self.proven_ns, event)

    def _lose_key(self) -> None:
        # The socket stays open, and nothing comes any more.
        self._key = ""
        for connection in (self._connection, self._next):
            if connection is not None:
                connection.end(is_dead=True)

    def _stop(self) -> None:
        self.proven_ns = 0
        self._connection = self._next = None
        super()._stop()

    # ------------------------------------------------------------------ the key

    async def _keep_key(self) -> NoReturn:
        wait_s = self.timing.keep_s
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self.timing.keep_s if not self._key or await self._is_kept() else self.timing.again_s

    async def _is_kept(self) -> bool:
        before = self._key
        try:
            await self._keys.keep_listen_key()
        except AutotraderError as error:
            self._told("LISTEN_KEY", str(error))
            if isinstance(error, VenueError) and error.code == NO_KEY and self._key == before:
                self._lose_key()
            return False
        self._key_s = self._loop.time()
        return True

    async def _usable_key(self) -> str:
        # Asking for it also keeps it, and says whether there is another by now.
        before = self._key
        try:
            self._key = await self._keys.open_listen_key()
        except VenueError as error:
            self._told("LISTEN_KEY", str(error))
            if not before or self._loop.time() - self._key_s > self.timing.key_s:
                raise
            return before
        self._key_s = self._loop.time()
        if self._is_up.is_set() and self._key != before:
            self._told("USER_STREAM_RENEWED", say("user.key"))
        return self._key

    # ------------------------------------------------------------------ connections

    async def _keep(self) -> NoReturn:
        # One connection after the other.
        while True:
            try:
                self._connection = await self._connected()
            except VenueError as error:
                self._reason = str(error)
                continue
            self._told("USER_STREAM_CONNECTED", say("user.connected"))
            if self._is_up.is_set():
                self._gap()
            self._is_up.set()
            await self._live()
            self.proven_ns, self._connection = 0, None
            self._told("USER_STREAM_LOST", say("feed.lost"))

    async def _connected(self) -> Connection:
        # One try, when its turn has come.
        if self.connects:
            await asyncio.sleep(self._backoff.next_s())
            if self._backoff.failures == FLAPPING:
                self._told("FLAPPING", self._reason or say("feed.lost"))
        await asyncio.sleep(self._pace.take(self._loop.time()))
        self.connects += 1
        key = await self._usable_key()
        connection = await self._opened(self._url, self._heard)
        self._next = connection
        try:
            await connection.subscribe([key])
        except VenueError:
            connection.end()
            raise
        finally:
            if self._connection is None:
                self._next, self._shared = None, {}
        return connection

    async def _live(self) -> None:
        # Until the connection is gone, and none beside it has taken its place in time.
        while (connection := self._connection) is not None:
            await connection.gone_within(self.timing.life_s * self._random.uniform(0.9, 1.0))
            if self._loop.time() - connection.opened_s >= self.timing.good_s:
                self._backoff.reset()
            while not connection.gone.is_set() and connection is self._connection:
                await self._renew(connection)
            if connection is self._connection:
                return

    async def _renew(self, old: Connection) -> None:
        before = self._key
        try:
            new = await self._connected()
            await new.gone_within(self.timing.overlap_s)
            if not new.gone.is_set():
                self._connection = new
                old.end()
                self._backoff.reset()
                self._told("USER_STREAM_RENEWED", say("user.younger"))
                if self._key != before:  # the old one listened to nothing for a while
                    self._gap()
        except VenueError as error:
            self._reason = str(error)
        finally:
            self._next, self._shared = None, {}

    async def _beat(self) -> NoReturn:
        # A socket whose other side has vanished looks like one that has nothing to say.
        while True:
            await asyncio.sleep(self.timing.beat_s)
            connection = self._connection
            if connection is not None and not connection.gone.is_set():
                try:
                    async with asyncio.timeout(self.timing.dead_s):
                        await connection.prove()
                except (TimeoutError, VenueError):
                    connection.end(is_dead=True)


def _event(message: bytes) -> bytes:
    # Out of its wrapper, which names the listen key; nothing of one that is cut off.
    if not message.startswith(STREAMED):
        return message
    return message.partition(DATA)[2].removesuffix(b"}")
