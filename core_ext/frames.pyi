"""Frame the texts that a server sends over a WebSocket, and keep them until they leave together."""

from typing import final

@final
class Frames:
    """Texts that wait for one peer, each as one frame."""

    @property
    def waiting(self) -> int:
        """Bytes that wait."""

    @property
    def count(self) -> int:
        """Texts added so far."""

    def __init__(self) -> None: ...
    def add(self, text: bytes) -> int:
        """Add a text; return how many bytes wait now."""

    def take(self) -> bytes:
        """Return all that waits, and let nothing wait."""
