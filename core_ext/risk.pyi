"""Pre-trade controls, loss limits, and the only place that fills an ``approved_t``."""

from typing import final

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
    def peak_e8(self) -> int:
        """Peak of the equity, moved by transfers, 1e-8 USDT."""

    @property
    def equity_seen_e8(self) -> int:
        """Equity at the last look, 1e-8 USDT."""

    @property
    def max_drawdown_e8(self) -> int:
        """Deepest share of the peak lost so far, eight decimals."""

    @property
    def day(self) -> int:
        """Day since 1970 (UTC), -1 before the first event."""

    @property
    def day_start_e8(self) -> int:
        """Equity at the start of the day, 1e-8 USDT."""

    @property
    def transfers_seen_e8(self) -> int:
        """Transfers that the equity levels already follow, 1e-8 USDT."""

    @property
    def halted(self) -> bool:
        """Whether entries are off by command."""

    @property
    def killed(self) -> bool:
        """Whether the kill is latched."""

    @property
    def day_lost(self) -> bool:
        """Whether the daily loss limit has tripped."""

    @property
    def ladder(self) -> int:
        """Step of the drawdown ladder: 0 full size, 1 half size, 2 reduce-only."""

    def __init__(
        self, instruments: Instruments, account: Account, orders: Orders, markets: Markets, limits: dict[str, float]
    ) -> None: ...
    def command(self, command: int) -> None:
        """Apply an operator's command: HALT, RESUME, KILL or ALLOW."""

    def ask(
        self,
        symbol: int,
        side: int,
        lots: int,
        price_ticks: int = 0,
        *,
        now: int,
        tif: int = 0,
        reduce_only: bool = False,
        hold: bool = True,
    ) -> Reason:
        """Return the verdict on an order, and hold it if it is approved (unless told not to)."""

    def observe(self, now: int) -> int:
        """Update the loss limits; return the alarms that are new, one bit each."""

    def refused(self) -> dict[str, int]:
        """Return {reason: count} of everything refused so far."""

    def sent(self) -> list[int]:
        """Return the stamps of the orders that still count against the minute's limit."""

    def asked(self) -> list[tuple[int, int, int, int, int]]:
        """Return the orders that the duplicate guard still remembers, newest first."""

    def state(self) -> tuple[object, ...]:
        """Return what the state hash covers."""
