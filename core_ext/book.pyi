"""The L2 book: ladders that follow the touch, and the chain of update ids that makes them trustworthy."""

from typing import final

from core_ext.types import Rows

@final
class Book:
    """The L2 book of one symbol."""

    state: int
    @property
    def last_id(self) -> int: ...
    @property
    def ts(self) -> int: ...
    @property
    def applied(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def gaps(self) -> int: ...
    @property
    def crossings(self) -> int: ...
    @property
    def stale_snapshots(self) -> int: ...
    def __init__(self, window_bits: int = ...) -> None: ...
    def apply(self, rows: Rows) -> None:
        """Apply a run (or several) of depth or snapshot rows."""

    @property
    def is_usable(self) -> bool:
        """Whether the book is known good."""

    def best(self) -> tuple[int | None, int | None]:
        """Return (bid ticks, ask ticks), None for an empty side."""

    def levels(self, side: int, limit: int = ...) -> list[tuple[int, int]]:
        """Return [(ticks, lots), ...] of one side (0 bids, 1 asks) from the touch outwards."""
