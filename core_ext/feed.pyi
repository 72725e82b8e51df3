"""Hear the frames of a WebSocket, and write orders to one."""

from typing import final

from picows import WSFrame, WSListener, WSTransport

from core_ext.types import Instruments
from core_ext.wire import Approval, Signer

class Listener(WSListener):
    """One end of a WebSocket; whoever derives from it hears its messages."""

    is_parted: bool

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

    def __init__(self, signer: Signer, instruments: Instruments) -> None: ...
    def lead(self, transport: WSTransport | None) -> None:
        """Let requests leave over a connection from now on."""

    def order(self, number: int, method: bytes, approval: Approval, stamp_ms: int) -> bool:
        """Sign what risk has approved, compare the bytes with what was approved (R32), and write them."""

    def request(self, number: int, method: bytes, text: bytes) -> None:
        """Write a request whose text is signed."""
