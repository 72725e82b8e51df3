"""Pre-trade controls, loss limits, and the only place that fills an ``approved_t``."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.quality import Quality
from core_ext.signal import Markets
from core_ext.types import Instruments, Reason
from core_ext.wire import Approval

LIMITS: frozenset[str]
MAY_BE_ZERO: frozenset[str]

@final
class RiskGate:
    """The pre-trade gate of one account."""

    quality_level: int
    @property
    def last_intent(self) -> int:
        """Highest intent that an approved order has named."""

    @property
    def paused_until(self) -> int:
        """End of the pause of the loss-rate breaker, ns."""

    @property
    def weight(self) -> int:
        """Request weight used in this minute."""

    @property
    def weight_limit(self) -> int:
        """Request weight allowed in a minute, 0 while not known."""

    @property
    def armed(self) -> bool:
        """Whether orders may leave at all."""

    @property
    def gates(self) -> int:
        """Closed gates, a bit each (``types.Gate``)."""

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
    def command(self, command: int, symbol: int = -1) -> None:
        """Apply an operator's command, to one symbol where that makes sense (HALT)."""

    def close_gates(self, gates: int) -> None:
        """Close these gates and open all others."""

    def remember(
        self,
        peak_e8: int,
        day: int,
        day_start_e8: int,
        *,
        day_lost: bool = False,
        halted: bool = False,
        killed: bool = False,
        paused_until: int = 0,
        loss_peaks: Iterable[Sequence[int]] = (),
        symbols: Iterable[Sequence[int]] = (),
    ) -> None:
        """Begin with what the run before this one knew: losses and latches outlive a process."""

    def loss_peaks(self) -> list[tuple[int, int]]:
        """Return what the loss-rate breaker compares with: number of ten seconds and equity, oldest first."""

    def symbols_held_back(self) -> list[tuple[int, int, int]]:
        """Return (symbol, bits, paused until) of each in which something may not be opened."""

    def ask(
        self,
        symbol: int,
        side: int,
        lots: int,
        price_ticks: int = 0,
        *,
        now: int,
        type: int = -1,
        tif: int = 0,
        reduce_only: bool = False,
        position_side: int = 0,
        trigger_ticks: int = 0,
        activate_ticks: int = 0,
        callback_e8: int = 0,
        good_till: int = 0,
        stp: int = 0,
        price_match: int = 0,
        terms: int = 0,
        edge_e8: int = 0,
        intent: int = 0,
        reprice: bool = False,
        hold: bool = True,
        approval: Approval | None = None,
    ) -> Reason:
        """Return the verdict on an order, and hold it if it is approved (unless told not to)."""

    def ask_amend(
        self,
        client_id: int,
        price_ticks: int,
        lots: int,
        *,
        now: int,
        intent: int = 0,
        approval: Approval | None = None,
    ) -> Reason:
        """Return the verdict on an amendment of an open order, and hold it if it is approved."""

    def refresh(self, now: int) -> None:
        """Bring the running totals to a state that was changed from Python."""

    def observe(self, now: int) -> int:
        """Update the loss limits; return the alarms that are new, one bit each."""

    def tell(
        self,
        symbol: int,
        *,
        headroom: tuple[int, int] | None = None,
        funding: tuple[int, int] | None = None,
        cluster: int | None = None,
        suspended: bool | None = None,
        delist: int | None = None,
        now: int = 0,
    ) -> None:
        """Tell what else is known of a symbol."""

    def judge_by(self, quality: Quality) -> None:
        """Refuse or reduce entries by the quality of a symbol's data."""

    def use_weight(self, weight: int, limit: int, now: int) -> None:
        """Tell how much of the exchange's request weight is used in the minute of ``now`` (ns)."""

    def ended(self, client_id: int, now: int) -> int:
        """Count how an order ended, for the message-quality ratios; return 0 fine, 1 alarm, 2 stop."""

    def distance(self, symbol: int, leg: int = 0) -> int:
        """Return the distance to liquidation as a share of the mark (1e-8); 1 when there is none near."""

    def reduces(self, symbol: int, leg: int = 0) -> bool:
        """Return whether a leg has to be made smaller by force."""

    def watching(self, symbol: int) -> dict[str, Any]:
        """Return what the gate remembers of a symbol."""

    def totals(self) -> tuple[int, int, int, list[int]]:
        """Return the running exposure totals (gross, net bought, net sold, clusters), 1e-8 USDT."""

    def sound(self) -> bool:
        """Return whether the running totals are those of the state."""

    def refused(self) -> dict[str, int]:
        """Return {reason: count} of everything refused so far."""

    def sent(self) -> list[int]:
        """Return the stamps of the orders that still count against the minute's limit."""

    def asked(self) -> list[tuple[int, int, int, int, int]]:
        """Return the orders that the duplicate guard still remembers, newest first."""

    def state(self) -> tuple[object, ...]:
        """Return what the state hash covers."""
