"""The L2 book: ladders that follow the touch, and the chain of update ids that makes them trustworthy."""

from typing import final

from core_ext.types import Rows

@final
class Book:
    """The L2 book of one symbol."""

    state: int
    """0 awaiting a snapshot, 1 loading one, 2 loaded, 3 usable."""
    @property
    def last_id(self) -> int:
        """Last update id of the newest applied diff, or the snapshot's id; -1 before either."""

    @property
    def ts(self) -> int:
        """Stamp of the last applied run, ns."""

    @property
    def applied(self) -> int:
        """Diffs applied so far."""

    @property
    def stale(self) -> int:
        """Diffs so far that were older than the book."""

    @property
    def gaps(self) -> int:
        """Times so far that the chain of update ids broke or a level found no room."""

    @property
    def crossings(self) -> int:
        """Times so far that bid and ask crossed."""

    @property
    def stale_snapshots(self) -> int:
        """Snapshots so far that were of no use."""

    def __init__(self, window_bits: int = 16) -> None: ...
    def apply(self, rows: Rows) -> None:
        """Apply a run (or several) of depth or snapshot rows."""

    def pending(self) -> tuple[bool, bool, bytes]:
        """Return what the levels do not show: the run under way, and the diffs kept for a snapshot."""

    @property
    def is_usable(self) -> bool:
        """Whether the book is known good."""

    def best(self) -> tuple[int | None, int | None]:
        """Return (bid ticks, ask ticks), None for an empty side."""

    def levels(self, side: int, limit: int = 1073741824) -> list[tuple[int, int]]:
        """Return [(ticks, lots), ...] of one side (0 bids, 1 asks) from the touch outwards."""
