"""Faults of the simulated venue, and its rate limits."""

from typing import final

MISHAPS: dict[str, int]
REFUSALS: tuple[int, ...]

@final
class Faults:
    """The venue's bad moments."""

    @property
    def per_10s(self) -> int:
        """Orders and amendments that an account may send in ten seconds."""

    @property
    def per_minute(self) -> int:
        """Orders and amendments that an account may send in a minute."""

    @property
    def refused(self) -> int:
        """Requests refused so far."""

    @property
    def lost(self) -> int:
        """Requests whose answer was lost so far."""

    def __init__(
        self,
        plan: list[tuple[int, int, int | str, float, int]],
        seed: int = 1,
        per_10s: int = 300,
        per_minute: int = 1200,
    ) -> None: ...
    def state(self) -> tuple[int, list[dict[str, int]]]:
        """Return what the next draws and counts depend on."""
