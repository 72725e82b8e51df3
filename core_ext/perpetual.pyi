"""The mark price and the funding rate of a perpetual."""

from typing import final

from core_ext.types import Instruments

@final
class Perpetual:
    """One perpetual's own mark and funding."""

    @property
    def index_e8(self) -> int:
        """Index price of the last sample, 1e-8."""

    @property
    def rate_e8(self) -> int:
        """Funding rate of the interval under way, from the samples so far."""

    @property
    def is_announced(self) -> bool:
        """Whether the rate of the next stamp was announced: samples do not move it."""

    @property
    def last_rate_e8(self) -> int:
        """Funding rate that was settled last."""

    @property
    def next_stamp(self) -> int:
        """Next funding stamp, ns; 0 before the first sample."""

    @property
    def hours(self) -> int:
        """Hours between funding stamps."""

    @property
    def calm(self) -> int:
        """Hourly stamps in a row with a small rate."""

    @property
    def interest_e8(self) -> int:
        """Interest per eight hours."""

    @property
    def cap_e8(self) -> int:
        """Cap and floor of the rate."""

    def __init__(
        self, instruments: Instruments, symbol: int, hours: int = 8, interest_e8: int = 10_000, cap_e8: int = 0
    ) -> None: ...
    def announce(self, now: int, rate_e8: int | None = None, hours: int = 0) -> None:
        """Set the rate of the next stamp, the funding interval, or both, against the formulas."""

def next_interval(hours: int, rate_e8: int, cap_e8: int, calm: int) -> tuple[int, int]:
    """Return the funding interval after a settlement, and the count of calm ones."""

def funding_rate(premium_e8: int, hours: int = 8, interest_e8: int = 10_000, cap_e8: int = 300_000) -> int:
    """Return the funding rate of an average premium, 1e-8."""

def mark_price(
    index_e8: int, last_rate_e8: int, remaining_ns: int, interval_ns: int, basis_e8: int, last_e8: int
) -> int:
    """Return the mark price: the median of index with funding to come, index with basis, and last price; 1e-8."""
