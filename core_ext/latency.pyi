"""Latency models of the order path."""

from collections.abc import Sequence
from typing import final

LATENCY_KINDS: tuple[str, ...]

@final
class Latency:
    """The way to the venue and back."""

    def __init__(
        self,
        kind: str,
        requests: Sequence[int],
        responses: Sequence[int],
        stamps: Sequence[int] = (),
        seed: int = 1,
    ) -> None: ...
    def there(self, now: int) -> int:
        """Return how long a request that leaves now takes to the venue, ns."""

    def back(self, now: int) -> int:
        """Return how long an answer that leaves now takes to us, ns."""

    def lag(self, lag_ns: int) -> None:
        """Tell the feed's own lag, ns."""

    def state(self) -> tuple[int, int, int, int, int]:
        """Return what the next values depend on."""

def lognormal_quantiles(median_ns: int, sigma: float, steps: int = 256) -> list[int]:
    """Return a table for ``Latency``: quantiles of a lognormal distribution, ns."""
