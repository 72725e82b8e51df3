"""The engine: events in, state and intents out."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.book import Book
from core_ext.orders import Orders
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.strategy import Desk, Strategy
from core_ext.types import Instruments

MARK_SOURCES: tuple[str, ...]

@final
class Engine:
    """The deterministic trading engine of one account."""

    @property
    def instruments(self) -> Instruments: ...
    @property
    def markets(self) -> Markets: ...
    @property
    def account(self) -> Account: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def gate(self) -> RiskGate: ...
    @property
    def desk(self) -> Desk: ...
    @property
    def strategy(self) -> Strategy: ...
    @property
    def books(self) -> list[Book]: ...
    @property
    def events(self) -> int: ...
    @property
    def failed(self) -> bool: ...
    @property
    def failure(self) -> Exception | None: ...
    @property
    def liquidations(self) -> int: ...
    def __init__(
        self,
        instruments: Instruments,
        strategy: Strategy,
        limits: dict[str, Any],
        sizing: dict[str, Any],
        start_e8: int,
        epoch: int,
        mark_sources: list[Any],
        window_bits: int = ...,
    ) -> None: ...
    def feed(self, rows: Any) -> NDArray[np.void]:
        """Step through rows (of EVENT_DTYPE); return what they made the engine ask for, as one array."""

    def state(self) -> tuple[Any, ...]:
        """Return the whole trading state as plain values."""

    def digest(self) -> bytes:
        """Return the SHA-256 of the state, 32 bytes."""
