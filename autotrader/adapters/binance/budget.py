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
from collections.abc import Mapping
from typing import Final, NamedTuple

from autotrader.adapters.binance.outcomes import Alert, Outcome, Verdict
from core_ext.budget import MOST_SENT, Allowance, Window

__all__ = ["LONGEST_BAN_NS", "MOST_SENT", "Budget", "Sent"]

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
SHORTEST_BAN_NS: Final = 2 * MINUTE_NS
LONGEST_BAN_NS: Final = 3 * 86_400 * SECOND_NS
_MOST: Final = 100_000_000
_COUNT: Final = re.compile(r"[0-9]{1,8}")
_TOO_MANY_ORDERS: Final = -1015


class Sent(NamedTuple):
    """What had been sent when a request left, itself included: its place among the others."""

    weight: int = 0
    orders: int = 0


class Budget(Allowance):
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
        super().__init__(weight_per_minute, orders_per_10s, orders_per_minute, share_pct)
        self._headers = {
            "x-mbx-used-weight-1m": self.weight,
            "x-mbx-order-count-10s": self.orders_10s,
            "x-mbx-order-count-1m": self.orders_minute,
        }
        self._entries = {
            ("REQUEST_WEIGHT", "MINUTE", 1): self.weight,
            ("ORDERS", "SECOND", 10): self.orders_10s,
            ("ORDERS", "MINUTE", 1): self.orders_minute,
        }
        self.silent_ns, self._banned_until_ns = silent_until_ns, 0

    def spend(self, weight: int, orders: int, now_ns: int) -> Sent:
        """Count a request that is sent now; return what its answer is to be heard with."""
        self.count(weight, orders, now_ns)
        return Sent(self.weight.sent, self.orders_10s.sent)

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
            self.no_orders_ns = max(self.no_orders_ns, until_ns)
            return
        self.silent_ns = max(self.silent_ns, until_ns)

    def banned(self, now_ns: int) -> bool:
        """Return whether the exchange has banned the address."""
        return now_ns < self._banned_until_ns

    def _take(self, window: Window, count: int, sent: Sent, now_ns: int) -> None:
        window.hear(count, sent.weight if window is self.weight else sent.orders, now_ns)

    def _window(self, entry: object) -> Window | None:
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
