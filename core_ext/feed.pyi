"""Hear the frames of a WebSocket, and write orders to one."""

from collections.abc import Callable, Mapping
from typing import Any, final

from picows import WSFrame, WSListener, WSTransport

from core_ext.budget import Allowance
from core_ext.types import Instruments
from core_ext.wire import Request, Signer

class Clock:
    """The exchange's time by a monotonic clock of ours."""

    base_ns: int
    offset_ns: int

    def __init__(self, base_ns: int, mono_ns: Callable[[], int] | None = None) -> None: ...
    def now_ns(self) -> int:
        """Return the exchange's time, ns UTC; it never goes back."""

    def request_ms(self) -> int:
        """Return the stamp that a request should bear, ms: the best that is known, even where that goes back."""

class Stream:
    """One stream: who delivers it, and when it was last heard."""

    connection: Listener | None
    next: Listener | None
    handover: Any
    heard_s: float
    is_stale: bool
    last: bytes

    @property
    def name(self) -> str:
        """Of the stream."""

    @property
    def symbol(self) -> str:
        """Whose it is."""

    @property
    def kind(self) -> str:
        """Of what it tells."""

    @property
    def is_book(self) -> bool:
        """Whether it tells of a book."""

    def __init__(self, name: str, symbol: str, kind: str) -> None: ...

@final
class Switch:
    """Hands on what a connection brings of the streams that it delivers, while nothing is to be asked of it."""

    def __init__(
        self,
        streams: Mapping[bytes, Stream],
        wanted: set[str],
        sink: Callable[[int, bytes], None],
        stop: Callable[[], None],
        now_ns: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None: ...
    def deliver(self, stream: Stream, message: bytes) -> None:
        """Hand on a message of a stream, stamped now."""

class Listener(WSListener):
    """One end of a WebSocket; whoever derives from it hears its messages."""

    is_parted: bool
    switch: Switch | None

    @property
    def most_bytes(self) -> int:
        """Length of the longest message that is heard."""

    def __init__(self, most_bytes: int) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hear a frame; pings are answered by picows."""

    def on_message(self, message: bytes) -> None:
        """Hear a message."""

    def on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hear a frame that is no whole message."""

@final
class Outlet:
    """Where requests leave: one connection of the request socket."""

    def __init__(self, signer: Signer, instruments: Instruments, budget: Allowance) -> None: ...
    def lead(self, transport: WSTransport | None) -> None:
        """Let requests leave over a connection from now on."""

    def next_number(self) -> int:
        """Return a number for a request that somebody else makes: no answer bears it twice."""

    def leave(self, requests: list[Request], stamp_ms: int, now_ns: int) -> None:
        """Let what one event led to leave, one after the other, up to what cannot, or is a question."""

    def rehearse(self, requests: list[Request], stamp_ms: int, now_ns: int) -> None:
        """Do everything that `leave` does with orders but write, count and number them."""

    def send(self, request: Request, stamp_ms: int, now_ns: int) -> int:
        """Let a request leave."""
