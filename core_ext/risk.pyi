"""Pre-trade controls, loss limits, and the only place that fills an ``approved_t``."""

from typing import Any, final

from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.signal import Markets
from core_ext.types import Instruments, Reason

LIMITS: frozenset[str]
MAY_BE_ZERO: frozenset[str]

@final
class RiskGate:
    """The pre-trade gate of one account."""

    @property
    def peak_e8(self) -> int: ...
    @property
    def trough_e8(self) -> int: ...
    @property
    def max_drawdown_e8(self) -> int: ...
    @property
    def day(self) -> int: ...
    @property
    def day_start_e8(self) -> int: ...
    @property
    def transfers_seen_e8(self) -> int: ...
    @property
    def halted(self) -> bool: ...
    @property
    def killed(self) -> bool: ...
    @property
    def day_lost(self) -> bool: ...
    @property
    def ladder(self) -> int: ...
    def __init__(
        self, instruments: Instruments, account: Account, orders: Orders, markets: Markets, limits: dict[str, Any]
    ) -> None: ...
    def command(self, command: int) -> None:
        """Apply an operator's command: HALT, RESUME, KILL or ALLOW."""

    def ask(
        self,
        symbol: int,
        side: int,
        lots: int,
        price_ticks: int = ...,
        *,
        now: int,
        tif: int = ...,
        reduce_only: bool = ...,
        hold: bool = ...,
    ) -> Reason:
        """Return the verdict on an order, and hold it if it is approved (unless told not to)."""

    def observe(self, now: int) -> int:
        """Update the loss limits; return the alarms that are new, one bit each."""

    def refused(self) -> dict[str, int]:
        """Return {reason: count} of everything refused so far."""

    def state(self) -> tuple[Any, ...]:
        """Return what the state hash covers."""
