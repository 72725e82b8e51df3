"""Write what a venue publishes about one symbol: depth diffs, touches, trades."""

from typing import final

@final
class PayloadWriter:
    """Writes the messages of one symbol's streams."""

    def __init__(
        self, symbol: str, pair: str, tick_e8: int, lot_e8: int, price_decimals: int, lot_decimals: int
    ) -> None: ...
    def depth(self, event: int, stamp: int, first: int, last: int, before: int, levels: bytes) -> bytes:
        """Return a ``depthUpdate``."""

    def touch(self, event: int, stamp: int, last: int, bid: int, bid_lots: int, ask: int, ask_lots: int) -> bytes:
        """Return a ``bookTicker``."""

    def trade(self, stamp: int, number: int, ticks: int, lots: int, sells: bool, insured: bool) -> bytes:
        """Return a ``trade``."""
