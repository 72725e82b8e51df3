"""How much of the exchange's limits is used, and what may still be asked.

Knows the weight of an address and the orders of an account: what we sent, what the exchange counted, and how long it
wants to be left alone. Refuses to know what a request weighs, who waits for it, and the time: every call brings its own
reading of a monotonic clock, in ns.

The exchange counts in minutes of its own clock, whose phase a header does not tell. So what we sent is summed over the
last minute, which is never less; and a count of the exchange's replaces that sum, plus what was sent after the request
that it answers, until it is a minute old. Both may say too much of our own for a while, and do not say too little.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from autotrader.adapters.binance.outcomes import Alert, Outcome, Verdict

__all__ = ["LONGEST_BAN_NS", "MOST_SENT", "Budget", "Sent"]

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
SHORTEST_BAN_NS: Final = 2 * MINUTE_NS
LONGEST_BAN_NS: Final = 3 * 86_400 * SECOND_NS
MOST_SENT: Final = 8192
"""Requests of one window that are remembered one by one; at the bound the newest is added to the one before."""

_MOST: Final = 100_000_000
_COUNT: Final = re.compile(r"[0-9]{1,8}")
_TOO_MANY_ORDERS: Final = -1015


class Sent(NamedTuple):
    """What had been sent when a request left, itself included: its place among the others."""

    weight: int = 0
    orders: int = 0


class _Window:
    """One limit: how much is used of it in a span of time."""

    def __init__(self, span_ns: int, limit: int) -> None:
        self.span_ns = span_ns
        self.limit = limit
        self.sent = 0  # ever
        self._recent: deque[tuple[int, int]] = deque()
        self._total = 0
        self._count = 0
        self._counted = 0
        self._believed_until_ns = -1

    def used(self, now_ns: int) -> int:
        self._forget(now_ns)
        return self._count + self.sent - self._counted if now_ns < self._believed_until_ns else self._total

    def has(self, amount: int, share_pct: int, now_ns: int) -> bool:
        return amount == 0 or self.used(now_ns) + amount <= self.limit * share_pct // 100

    def spend(self, amount: int, now_ns: int) -> None:
        if amount == 0:
            return
        self._forget(now_ns)
        before = self._recent.pop()[1] if len(self._recent) >= MOST_SENT else 0
        self._recent.append((now_ns, before + amount))
        self._total += amount
        self.sent += amount

    def hear(self, count: int, sent: int, now_ns: int) -> None:
        # An answer that was overtaken may only raise what is believed.
        if sent < self._counted and count + self.sent - sent <= self.used(now_ns):
            return
        self._count, self._counted = count, sent
        self._believed_until_ns = now_ns + self.span_ns

    def _forget(self, now_ns: int) -> None:
        while self._recent and now_ns - self._recent[0][0] >= self.span_ns:
            self._total -= self._recent.popleft()[1]


class Budget:
    """The requests of one address and the orders of one account.

    Weight is one pool, whether it is asked for over REST or over the request socket, as the exchange documents it.

    Parameters
    ----------
    weight_per_minute, orders_per_10s, orders_per_minute : int
        The exchange's limits until it says others.
    share_pct : int
        Per cent of each that everything may use; the rest is for exits.
    silent_until_ns : int, optional
        Until when the exchange wants to be left alone, as somebody before was told.

    Raises
    ------
    ValueError
        For a limit below 1, or a share outside 1 to 100.
    """

    def __init__(
        self,
        weight_per_minute: int = 2400,
        orders_per_10s: int = 300,
        orders_per_minute: int = 1200,
        share_pct: int = 80,
        silent_until_ns: int = 0,
    ) -> None:
        if min(weight_per_minute, orders_per_10s, orders_per_minute) < 1 or not 1 <= share_pct <= 100:
            raise ValueError("a budget has limits of at least 1 and a share of 1 to 100 per cent")
        self._share_pct = share_pct
        self._weight = _Window(MINUTE_NS, weight_per_minute)
        self._orders = (_Window(10 * SECOND_NS, orders_per_10s), _Window(MINUTE_NS, orders_per_minute))
        self._headers = {
            "x-mbx-used-weight-1m": self._weight,
            "x-mbx-order-count-10s": self._orders[0],
            "x-mbx-order-count-1m": self._orders[1],
        }
        self._entries = {
            ("REQUEST_WEIGHT", "MINUTE", 1): self._weight,
            ("ORDERS", "SECOND", 10): self._orders[0],
            ("ORDERS", "MINUTE", 1): self._orders[1],
        }
        self._silent_until_ns, self._no_orders_until_ns, self._banned_until_ns = silent_until_ns, 0, 0

    def allows(self, weight: int, orders: int, exit: bool, now_ns: int) -> bool:
        """Return whether a request may be sent now.

        Parameters
        ----------
        weight : int
            Of the request.
        orders : int
            New orders and amendments in it; a cancel is none.
        exit : bool
            Whether it can only reduce what is held or what is open: it may use the whole limit.
        now_ns : int
        """
        if now_ns < self._silent_until_ns or (orders and now_ns < self._no_orders_until_ns):
            return False
        share_pct = 100 if exit else self._share_pct
        return self._weight.has(weight, share_pct, now_ns) and all(
            window.has(orders, share_pct, now_ns) for window in self._orders
        )

    def spend(self, weight: int, orders: int, now_ns: int) -> Sent:
        """Count a request that is sent now; return what its answer is to be heard with."""
        self._weight.spend(weight, now_ns)
        for window in self._orders:
            window.spend(orders, now_ns)
        return Sent(self._weight.sent, self._orders[0].sent)

    def hear(self, headers: Mapping[str, str], sent: Sent, now_ns: int) -> None:
        """Take the exchange's counts from the headers of an answer, whatever else stands there.

        Parameters
        ----------
        headers : mapping of str to str
            Not those of `bookTicker` and `ticker/price`, whose counts are documented as inaccurate.
        sent : Sent
            What `spend` returned for the request that they answer.
        now_ns : int
        """
        for name, text in headers.items():
            window = self._headers.get(name.lower())
            if window is not None and _COUNT.fullmatch(text):
                self._take(window, int(text), sent, now_ns)

    def hear_limits(self, entries: object, sent: Sent, now_ns: int) -> None:
        """Take limits, and counts where there are any, from a list of ``rateLimits``.

        Parameters
        ----------
        entries : object
            As it stands in a frame of the request socket, in `exchangeInfo` or in `rateLimit/order`; what is none is
            passed over.
        sent : Sent
        now_ns : int
        """
        for entry in entries if isinstance(entries, list) else ():
            window = self._window(entry)
            if window is None:
                continue
            if _is_count(entry.get("limit"), 1):
                window.limit = entry["limit"]
            if _is_count(entry.get("count"), 0):
                self._take(window, entry["count"], sent, now_ns)

    def refuse(self, verdict: Verdict, now_ns: int, utc_ns: int) -> None:
        """Keep silent as long as a verdict to wait demands; others change nothing.

        After too many orders only orders wait, after too many requests everything. A ban ends at its stamp.

        Parameters
        ----------
        verdict : Verdict
        now_ns : int
        utc_ns : int
            The exchange's clock, ns, which the stamp of a ban is read against.
        """
        if verdict.outcome is not Outcome.WAIT:
            return
        until_ns = now_ns + (verdict.wait_s * SECOND_NS or MINUTE_NS)
        if verdict.alert is Alert.BANNED:
            until_ns = now_ns + _ban_ns(verdict, utc_ns)
            self._banned_until_ns = max(self._banned_until_ns, until_ns)
        elif verdict.code == _TOO_MANY_ORDERS:
            self._no_orders_until_ns = max(self._no_orders_until_ns, until_ns)
            return
        self._silent_until_ns = max(self._silent_until_ns, until_ns)

    def silent_until_ns(self, now_ns: int) -> int:
        """Return until when nothing at all may be sent, 0 if something may."""
        return self._silent_until_ns if now_ns < self._silent_until_ns else 0

    def banned(self, now_ns: int) -> bool:
        """Return whether the exchange has banned the address."""
        return now_ns < self._banned_until_ns

    def usage(self, now_ns: int) -> tuple[int, int]:
        """Return the weight used of this minute and its limit: words a and b of a USAGE row."""
        return self._weight.used(now_ns), self._weight.limit

    def _take(self, window: _Window, count: int, sent: Sent, now_ns: int) -> None:
        window.hear(count, sent.weight if window is self._weight else sent.orders, now_ns)

    def _window(self, entry: object) -> _Window | None:
        if not isinstance(entry, dict):
            return None
        key = tuple(entry.get(name) for name in ("rateLimitType", "interval", "intervalNum"))
        return next((window for known, window in self._entries.items() if known == key), None)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _ban_ns(verdict: Verdict, utc_ns: int) -> int:
    # A stamp in our past, or none: one of the clocks is wrong, and the shortest ban is what can be relied on.
    stated_ns = max(verdict.until_ns - utc_ns, verdict.wait_s * SECOND_NS)
    return min(stated_ns, LONGEST_BAN_NS) if stated_ns > 0 else SHORTEST_BAN_NS
