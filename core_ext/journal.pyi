"""Append rows to a journal, read them back."""

import struct
from collections.abc import Callable, Iterator
from os import PathLike
from typing import BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from core_ext.types import Rows

MAGIC: int
HEADER: struct.Struct
ROW_BYTES: int

class JournalDamaged(ValueError):
    """A block of the journal does not check; nothing after it can be trusted."""

@final
class JournalWriter:
    """Writes one journal file."""

    @property
    def rows(self) -> int:
        """Rows written so far, without those that are pending."""

    @property
    def chain(self) -> bytes:
        """SHA-256 of the last block written and all before it, 32 bytes."""

    @property
    def anchored(self) -> int:
        """Rows of the last anchor."""

    def __init__(self, path: str, anchor: Callable[[int, bytes], object] | None = None) -> None: ...
    def flush(self) -> None:
        """Write what is pending as one block."""

    def tell_anchor(self) -> None:
        """Tell the anchor of every row that is written, once the disk has them."""

    def add(self, rows: NDArray[np.void]) -> None:
        """Append an array of rows."""

    def endure(self, every_s: float) -> None:
        """Have the disk hold what is written, again and again, until it is released; in a thread of its own."""

    def release(self) -> None:
        """End `endure`, within one of its pauses and one wait for the disk."""

    def sync(self) -> None:
        """Flush and wait until the disk has it."""

    def close(self) -> tuple[str, str]:
        """Flush, sync and close; return (journal, orders) SHA-256 as hexadecimal."""

def read_journal(path: str | PathLike[str], chunk_blocks: int = 64) -> Iterator[Rows]:
    """Iterate over a journal's rows."""

def torn_bytes(path: str | PathLike[str]) -> int:
    """Return how many bytes at the end of a journal belong to no complete block."""

def read_block(file: BinaryIO, path: str | PathLike[str], first: int, chain: bytes) -> tuple[bytes, bytes] | None:
    """Return (rows as bytes, new chain), None at the end or in a torn tail."""
