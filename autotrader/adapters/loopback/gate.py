"""Who is let in: keys, stamps and signatures, weights and order counts.

Knows the order in which the exchange checks a request before it looks at what it asks. Refuses to know what that is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from autotrader.adapters.loopback.api import KEY, NONE, Route
from autotrader.adapters.loopback.codes import refusal
from autotrader.adapters.loopback.limits import Limits, TooMuch
from autotrader.adapters.loopback.params import Params
from autotrader.adapters.loopback.signatures import Key, verify

__all__ = ["Gate"]

_KEY = re.compile(r"[!-~]{1,256}")
_AHEAD_MS = 1000
_WINDOW_MS = 5000
_LONGEST_MS = 60_000


class Gate:
    """The checks before a call.

    Parameters
    ----------
    keys : sequence of Key
        By account.
    limits : Limits
    """

    def __init__(self, keys: Sequence[Key], limits: Limits):
        self.keys = list(keys)
        self.limits = limits
        self.revoked: set[int] = set()
        self._accounts = {key.api_key: account for account, key in enumerate(keys)}

    def account(self, api_key: str) -> int:
        """Return whose a key is, -1 for nobody's."""
        account = self._accounts.get(api_key, -1)
        return -1 if account in self.revoked else account

    def count(self, route: Route, ip: str, weight: int, account: int, wall_ms: int) -> TooMuch | None:
        """Count a call towards the limits; return the refusal of one too many."""
        if route.pool:
            return self.limits.pool(ip, route.pool, wall_ms)
        refused = self.limits.weight(ip, weight, wall_ms)
        if refused is None and any(route.orders) and account >= 0:
            refused = self.limits.orders(account, *route.orders, wall_ms)
        return refused

    def admit(
        self, route: Route, api_key: str, params: Mapping[str, str], payload: bytes, signature: str | None,
        clocks_ms: Sequence[int],
    ) -> int:  # fmt: skip
        """Return the account of a call that may be made, -1 where none is needed.

        Parameters
        ----------
        clocks_ms : sequence of int
            Stamps that the request's own may agree with: at a replay's own speed clients keep the wall's time.

        Raises
        ------
        Refusal
        """
        if route.security == NONE:
            return -1
        account = self.known(api_key)
        if route.security == KEY:
            return account
        read = Params(params)
        self.stamp(read, clocks_ms)
        if signature is None:
            raise refusal(-1102, "signature")
        if not verify(self.keys[account], payload, signature):
            raise refusal(-1022)
        return account

    def known(self, api_key: str) -> int:
        """Return the account of a key.

        Raises
        ------
        Refusal
            -2014 for what cannot be one, -2015 for one that nobody has.
        """
        if not _KEY.fullmatch(api_key):
            raise refusal(-2014)
        account = self.account(api_key)
        if account < 0:
            raise refusal(-2015)
        return account

    def stamp(self, params: Params, clocks_ms: Sequence[int]) -> None:
        """Check a request's stamp.

        Raises
        ------
        Refusal
            -1102 without one, -1021 outside the window, -1130 for a window that is too long.
        """
        sent = params.needed_integer("timestamp")
        window = params.integer("recvWindow", _WINDOW_MS, 1, 10**12)
        if any(sent < now + _AHEAD_MS and now - sent <= min(window, _LONGEST_MS) for now in clocks_ms):
            return
        if all(sent >= now + _AHEAD_MS for now in clocks_ms):
            raise refusal(-1021, text="Timestamp for this request was 1000ms ahead of the server's time.")
        raise refusal(-1021)
