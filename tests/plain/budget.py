"""How much of a limit is used, by a list of all that was sent."""


class Window:
    """One limit; every request is kept for as long as it counts."""

    def __init__(self, span_ns: int, most: int) -> None:
        self.span_ns, self.most = span_ns, most
        self.recent: list[list[int]] = []
        self.sent = self.count = self.counted = 0
        self.believed_until_ns = -1

    def used(self, now_ns: int) -> int:
        """Return the exchange's count and what was sent since, while that count is believed; else what was sent."""
        self.recent = [one for one in self.recent if now_ns - one[0] < self.span_ns]
        if now_ns < self.believed_until_ns:
            return self.count + self.sent - self.counted
        return sum(amount for _, amount in self.recent)

    def spend(self, amount: int, now_ns: int) -> None:
        """Count a request; where too many are kept, the newest grows."""
        self.used(now_ns)
        if amount and len(self.recent) == self.most:
            self.recent[-1] = [now_ns, self.recent[-1][1] + amount]
        elif amount:
            self.recent.append([now_ns, amount])
        self.sent += amount

    def hear(self, count: int, sent: int, now_ns: int) -> None:
        """Believe the exchange, unless something newer said more."""
        if sent >= self.counted or count + self.sent - sent > self.used(now_ns):
            self.count, self.counted, self.believed_until_ns = count, sent, now_ns + self.span_ns
