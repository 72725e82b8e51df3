"""The engine: events in, state and intents out."""

from typing import final

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.book import Book
from core_ext.orders import Orders
from core_ext.quality import Quality
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.strategy import Desk, Strategy
from core_ext.types import Instruments

MARK_SOURCES: tuple[str, ...]
ABSENT_AFTER_NS: int
"""An order that the venue does not know ends only when its request is older: until then it may be on its way."""

@final
class Engine:
    """The deterministic trading engine of one account."""

    @property
    def instruments(self) -> Instruments:
        """Instruments of the run."""

    @property
    def markets(self) -> Markets:
        """Features of every symbol."""

    @property
    def account(self) -> Account:
        """Account as the engine believes it to be."""

    @property
    def orders(self) -> Orders:
        """Table of our orders."""

    @property
    def gate(self) -> RiskGate:
        """Risk gate that every order passes."""

    @property
    def desk(self) -> Desk:
        """Desk that the strategy works at."""

    @property
    def strategy(self) -> Strategy:
        """Strategy of the run."""

    @property
    def books(self) -> list[Book]:
        """Order books, by symbol."""

    @property
    def quality(self) -> Quality | None:
        """Judge of the market data, None where they are believed."""

    @property
    def events(self) -> int:
        """Events stepped through so far."""

    @property
    def leaving(self) -> bool:
        """Whether it was told to close everything, and is not flat yet."""

    @property
    def failed(self) -> bool:
        """Whether the strategy raised and is disabled."""

    @property
    def failure(self) -> Exception | None:
        """What the strategy raised, None while it has not."""

    @property
    def liquidations(self) -> int:
        """Liquidations so far."""

    def __init__(
        self,
        instruments: Instruments,
        strategy: Strategy,
        limits: dict[str, float],
        sizing: dict[str, float],
        start_e8: int,
        epoch: int,
        mark_sources: list[str],
        window_bits: int = 16,
        quality: Quality | None = None,
    ) -> None: ...
    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Step through rows (of EVENT_DTYPE); return what they made the engine ask for, as one array."""

    def state(self) -> tuple[object, ...]:
        """Return the whole trading state as plain values."""

    def counted(self) -> dict[int, int]:
        """Return {kind: events} of the checked build; empty in the release build."""

    def digest(self) -> bytes:
        """Return the SHA-256 of the state, 32 bytes."""
