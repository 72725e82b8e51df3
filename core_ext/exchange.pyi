"""The simulated venue."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.book import Book
from core_ext.types import Instruments

MARK_SOURCES: tuple[str, ...]

@final
class Exchange:
    """The venue behind a backtest or a paper run."""

    @property
    def instruments(self) -> Instruments: ...
    @property
    def accounts(self) -> list[Account]: ...
    @property
    def books(self) -> list[Book]: ...
    @property
    def liquidations(self) -> int: ...
    def __init__(
        self,
        instruments: Instruments,
        accounts: list[Any],
        mark_sources: list[Any],
        half_spread: float,
        impact: float,
        grace_ns: int,
        stream_funding: bool = ...,
        window_bits: int = ...,
    ) -> None: ...
    def feed(self, rows: Any) -> NDArray[np.void]:
        """Let the market move; return what the venue says, as an array."""

    def resting(self, symbol: int) -> list[dict[str, Any]]:
        """Return the open orders of a symbol, oldest first."""
