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
    def instruments(self) -> Instruments:
        """Instruments of the run."""

    @property
    def accounts(self) -> list[Account]:
        """Accounts at the venue, by number."""

    @property
    def books(self) -> list[Book]:
        """Order books as the venue shows them, by symbol."""

    @property
    def liquidations(self) -> int:
        """Liquidations so far."""

    def __init__(
        self,
        instruments: Instruments,
        accounts: list[Account],
        mark_sources: list[str],
        half_spread: float,
        impact: float,
        grace_ns: int,
        stream_funding: bool = True,
        window_bits: int = 16,
    ) -> None: ...
    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Let the market move; return what the venue says, as an array."""

    def resting(self, symbol: int) -> list[dict[str, Any]]:
        """Return the open orders of a symbol, oldest first."""
