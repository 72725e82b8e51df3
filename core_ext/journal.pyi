"""Append rows to a journal, read them back."""

import struct
from collections.abc import Iterator
from typing import Any, final

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
    def rows(self) -> int: ...
    def __init__(self, path: str) -> None: ...
    def flush(self) -> None:
        """Write what is pending as one block."""

    def add(self, rows: Any) -> None:
        """Append an array of rows."""

    def sync(self) -> None:
        """Flush and wait until the disk has it."""

    def close(self) -> tuple[str, str]:
        """Flush, sync and close; return (journal, orders) SHA-256 as hexadecimal."""

def read_journal(path: Any, chunk_blocks: int = ...) -> Iterator[Rows]:
    """Iterate over a journal's rows."""

def torn_bytes(path: Any) -> int:
    """Return how many bytes at the end of a journal belong to no complete block."""

def read_block(file: Any, path: Any, first: int, chain: bytes) -> Any:
    """Return (rows as bytes, new chain), None at the end or in a torn tail."""
