"""What the inner rooms ask of the outer ones, as protocols.

Knows shapes only. Refuses to know who implements them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from autotrader.secret import Credentials
from core_ext.driver import Feed

__all__ = ["Fence", "FileFacts", "KeyManager", "MarketSource"]


class FileFacts(Protocol):
    """What one file of market data is: its bytes' hash, its data rows and its kind."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def sha256(self) -> str:
        """Hash of its bytes."""

    @property
    def rows(self) -> int:
        """Data rows in it."""

    @property
    def kind(self) -> str:
        """What it holds."""


class MarketSource(Protocol):
    """Market data of a run that can be fed again and again, always the same rows in the same order."""

    @property
    def files(self) -> Sequence[FileFacts]:
        """The files, in the order in which they are read."""

    @property
    def start_ns(self) -> int:
        """Stamp of the first row, the clock offset removed."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a replay must know to read the files the same way."""

    @property
    def warnings(self) -> list[str]:
        """What a trader should know about the files before he believes the run."""

    def feed(self, into: Feed) -> Iterator[float]:
        """Feed everything; yields the share that is done now and then."""


class KeyManager(Protocol):
    """Whoever keeps the keys of an account: the environment, a file, a vault."""

    def key(self) -> Credentials:
        """Return the keys, or raise an `OperatorError` that says what to do and shows nothing of them."""


class Fence(Protocol):
    """What keeps a second writer from an account: one holder at a time, each with a larger token than all before."""

    def acquire(self) -> int:
        """Become the holder and return the token; raises OperatorError if another is."""

    def holds(self, token: int) -> bool:
        """Whether the token is still the holder's: with False, nothing may be sent any more."""

    def release(self) -> None:
        """Let another become the holder."""
