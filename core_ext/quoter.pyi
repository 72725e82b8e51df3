"""The passive microprice quoter."""

from typing import final

from core_ext.strategy import Strategy

@final
class Quoter(Strategy):
    """Quote both sides of the touch around the microprice."""

    def __init__(
        self, *, order_e8: int, budget_e8: int, requote_ns: int, join_ticks: int, min_spread_ticks: int
    ) -> None: ...
    def on_book(self, symbol: int) -> None:
        """Keep one bid and one ask where they belong."""

    def snapshot(self) -> list[list[dict[str, int]]]:
        """Return the quotes."""
