"""Listen keys: one an account, alive for an hour after it was last asked for.

Knows keys and their ends. Refuses to know the sockets that listen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from autotrader.adapters.loopback.codes import refusal

__all__ = ["ListenKeys"]

LIFE_MS = 3_600_000


@dataclass(slots=True)
class _Key:
    text: str
    until_ms: int


class ListenKeys:
    """The listen keys of all accounts.

    Parameters
    ----------
    seed : int
        The same seed gives the same keys.
    """

    def __init__(self, seed: int):
        self._seed = seed
        self._made = 0
        self._keys: dict[int, _Key] = {}

    def open(self, account: int, now_ms: int) -> str:
        """Return the account's key, a new one if it has none; either way it lives for another hour."""
        if account not in self._keys:
            self._made += 1
            text = hashlib.sha256(f"{self._seed}/{account}/{self._made}".encode()).hexdigest()
            self._keys[account] = _Key(text, 0)
        self._keys[account].until_ms = now_ms + LIFE_MS
        return self._keys[account].text

    def keep(self, account: int, now_ms: int) -> str:
        """Let the account's key live for another hour.

        Raises
        ------
        Refusal
            -1125 without one.
        """
        if account not in self._keys:
            raise refusal(-1125)
        return self.open(account, now_ms)

    def close(self, account: int) -> None:
        """Forget the account's key."""
        self._keys.pop(account, None)

    def of(self, account: int) -> str | None:
        """Return the account's key."""
        key = self._keys.get(account)
        return key.text if key else None

    def known(self, text: str) -> bool:
        """Return whether a key is alive."""
        return any(key.text == text for key in self._keys.values())

    def expire(self, account: int) -> str | None:
        """End the account's key now; return it."""
        key = self._keys.pop(account, None)
        return key.text if key else None

    def ages(self, now_ms: int) -> dict[int, int]:
        """Return the ms since each account's key was last asked for."""
        return {account: now_ms - key.until_ms + LIFE_MS for account, key in self._keys.items()}

    def due(self, now_ms: int) -> list[tuple[int, str]]:
        """Forget the keys whose hour is over; return (account, key) of each."""
        over = [(account, key.text) for account, key in self._keys.items() if key.until_ms <= now_ms]
        for account, _ in over:
            del self._keys[account]
        return over
