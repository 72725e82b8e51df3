"""How much of the exchange's limits is used."""

MOST_SENT: int

class Window:
    """One limit: how much is used of it in a span of time."""

    limit: int

    @property
    def span_ns(self) -> int:
        """How long what was sent counts."""

    @property
    def sent(self) -> int:
        """What was sent ever."""

    def __init__(self, span_ns: int, limit: int) -> None: ...
    def used(self, now_ns: int) -> int:
        """Return how much is used."""

    def hear(self, count: int, sent: int, now_ns: int) -> None:
        """Take a count of the exchange's."""

class Allowance:
    """What one address may ask for, and one account's orders."""

    silent_ns: int
    no_orders_ns: int

    @property
    def weight(self) -> Window:
        """Of requests, a minute."""

    @property
    def orders_10s(self) -> Window:
        """Of orders, ten seconds."""

    @property
    def orders_minute(self) -> Window:
        """Of orders, a minute."""

    def __init__(
        self, weight_per_minute: int, orders_per_10s: int, orders_per_minute: int, share_pct: int
    ) -> None: ...
    def allows(self, weight: int, orders: int, exit: bool, now_ns: int) -> bool:
        """Return whether a request may be sent now."""

    def count(self, weight: int, orders: int, now_ns: int) -> None:
        """Count a request that is sent now."""

    def silent_until_ns(self, now_ns: int) -> int:
        """Return until when nothing at all may be sent, 0 if something may."""

    def usage(self, now_ns: int) -> tuple[int, int]:
        """Return the weight used of this minute and its limit: words a and b of a USAGE row."""
