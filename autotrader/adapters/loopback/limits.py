"""Limits on how often clients may ask: weights per address, orders per account, bans.

Knows buckets of wall-clock time, the exchange's sentences of refusal and who used how much. Refuses to know what a
request weighs, who signed it, and the time: every question brings its own stamp, in ms.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import orjson

Headers = tuple[tuple[str, str], ...]
Entry = dict[str, str | int]
_Kept = TypeVar("_Kept")

MINUTE_MS: Final = 60_000
TEN_SECONDS_MS: Final = 10_000
FIVE_MINUTES_MS: Final = 300_000
BAN_MS: Final = 120_000
LONGEST_BAN_MS: Final = 3 * 86_400_000
FORGIVEN_MS: Final = 86_400_000
VISITORS: Final = 4096
"""How many addresses, and how many accounts, are remembered; beyond that the one seen first is forgotten."""

POOLS: Final = {"funding": 500, "data": 1000}
"""Requests in five minutes of the endpoints that have a pool of their own."""

TOO_MANY: Final = (
    "Too many requests; current limit is {limit} requests per {span}."
    " Please use the websocket for live updates to avoid polling the API."
)
BANNED: Final = (
    "Way too many requests; IP banned until {until}. Please use the websocket for live updates to avoid bans."
)
_ORDERS: Final = "Too many new orders; current limit is {limit} orders per {span}."


@dataclass(frozen=True, slots=True)
class TooMuch:
    """Say no: the HTTP status, the exchange's code and sentence, and after how many seconds to come back."""

    status: int
    code: int
    text: str
    retry_after_s: int

    @property
    def body(self) -> bytes:
        """The JSON body of the answer."""
        return orjson.dumps({"code": self.code, "msg": self.text})

    @property
    def headers(self) -> Headers:
        """The headers of the answer: ``Retry-After``."""
        return (("Retry-After", str(self.retry_after_s)),)


@dataclass(slots=True)
class _Bucket:
    """A count that starts again with every span of the wall clock."""

    span_ms: int
    index: int = -1
    count: int = 0

    def held(self, now_ms: int) -> int:
        return self.count if self.index == now_ms // self.span_ms else 0

    def add(self, amount: int, now_ms: int) -> int:
        self.index, self.count = now_ms // self.span_ms, self.held(now_ms) + amount
        return self.count

    def left_s(self, now_ms: int) -> int:
        return _seconds(self.span_ms - now_ms % self.span_ms)


@dataclass(slots=True)
class _Address:
    weight: _Bucket = field(default_factory=lambda: _Bucket(MINUTE_MS))
    refused: _Bucket = field(default_factory=lambda: _Bucket(MINUTE_MS))
    pools: dict[str, _Bucket] = field(default_factory=lambda: {name: _Bucket(FIVE_MINUTES_MS) for name in POOLS})
    banned_until_ms: int = 0
    last_ban_ms: int = 0


@dataclass(slots=True)
class _Account:
    ten_seconds: _Bucket = field(default_factory=lambda: _Bucket(TEN_SECONDS_MS))
    minute: _Bucket = field(default_factory=lambda: _Bucket(MINUTE_MS))


class Limits:
    """Count what addresses and accounts use, and refuse what is too much.

    Parameters
    ----------
    weight_per_minute, orders_per_10s, orders_per_minute : int
        The exchange's limits; raise them for a load test.
    patience : int
        Refused requests of one address in one minute; the next one brings a ban.
    """

    def __init__(
        self,
        weight_per_minute: int = 2400,
        orders_per_10s: int = 300,
        orders_per_minute: int = 1200,
        patience: int = 20,
    ) -> None:
        self.weight_per_minute = weight_per_minute
        self.orders_per_10s = orders_per_10s
        self.orders_per_minute = orders_per_minute
        self.patience = patience
        self._addresses: dict[Hashable, _Address] = {}
        self._accounts: dict[Hashable, _Account] = {}

    def weight(self, ip: str, weight: int, now_ms: int) -> TooMuch | None:
        """Let a request of some weight pass (None), or refuse it; a refused one weighs too."""
        address = _remembered(self._addresses, ip, _Address)
        return self._counted(address, address.weight, weight, (self.weight_per_minute, "minute"), now_ms)

    def pool(self, ip: str, pool: Literal["funding", "data"], now_ms: int) -> TooMuch | None:
        """Let a request of an endpoint with a pool of its own pass (None), or refuse it."""
        address = _remembered(self._addresses, ip, _Address)
        return self._counted(address, address.pools[pool], 1, (POOLS[pool], "5 minutes"), now_ms)

    def orders(self, account: Hashable, count_10s: int, count_minute: int, now_ms: int) -> TooMuch | None:
        """Let new orders of an account pass (None), or refuse them all; refused ones do not count."""
        used = _remembered(self._accounts, account, _Account)
        for bucket, count, limit, span in (
            (used.ten_seconds, count_10s, self.orders_per_10s, "10 SECOND"),
            (used.minute, count_minute, self.orders_per_minute, "1 MINUTE"),
        ):
            if bucket.held(now_ms) + count > limit:
                return TooMuch(429, -1015, _ORDERS.format(limit=limit, span=span), bucket.left_s(now_ms))
        used.ten_seconds.add(count_10s, now_ms)
        used.minute.add(count_minute, now_ms)
        return None

    def headers(self, ip: str | None, account: Hashable | None, now_ms: int) -> Headers:
        """Return the headers that tell an address its used weight and an account its order counts; None: not told."""
        found: Headers = ()
        if ip is not None:
            found += (("X-MBX-USED-WEIGHT-1M", str(self._weight(ip, now_ms))),)
        if account is not None:
            ten_seconds, minute = self._orders(account, now_ms)
            found += (("X-MBX-ORDER-COUNT-10S", str(ten_seconds)), ("X-MBX-ORDER-COUNT-1M", str(minute)))
        return found

    def rate_limits(self, ip: str, account: Hashable | None, now_ms: int) -> list[Entry]:
        """Return the ``rateLimits`` of an answer on the request socket; without an account the weight only."""
        weight = _entry("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute) | {"count": self._weight(ip, now_ms)}
        if account is None:
            return [weight]
        counts = self._orders(account, now_ms)
        return [entry | {"count": n} for entry, n in zip(self.order_limits(), counts, strict=True)] + [weight]

    def order_limits(self) -> list[Entry]:
        """Return what ``GET /fapi/v1/rateLimit/order`` answers."""
        return [
            _entry("ORDERS", "SECOND", 10, self.orders_per_10s),
            _entry("ORDERS", "MINUTE", 1, self.orders_per_minute),
        ]

    def remembered(self) -> int:
        """Return how many addresses and accounts are remembered."""
        return len(self._addresses) + len(self._accounts)

    def _counted(
        self, address: _Address, bucket: _Bucket, amount: int, rule: tuple[int, str], now_ms: int
    ) -> TooMuch | None:
        if now_ms < address.banned_until_ms:
            return _ban(address.banned_until_ms, now_ms)
        limit, span = rule
        if bucket.add(amount, now_ms) <= limit:
            return None
        if address.refused.add(1, now_ms) > self.patience:
            return _punish(address, now_ms)
        return TooMuch(429, -1003, TOO_MANY.format(limit=limit, span=span), bucket.left_s(now_ms))

    def _weight(self, ip: str, now_ms: int) -> int:
        address = self._addresses.get(ip)
        return address.weight.held(now_ms) if address else 0

    def _orders(self, account: Hashable, now_ms: int) -> tuple[int, int]:
        used = self._accounts.get(account)
        return (used.ten_seconds.held(now_ms), used.minute.held(now_ms)) if used else (0, 0)


def _punish(address: _Address, now_ms: int) -> TooMuch:
    recent = now_ms < address.banned_until_ms + FORGIVEN_MS
    address.last_ban_ms = min(2 * address.last_ban_ms, LONGEST_BAN_MS) if recent and address.last_ban_ms else BAN_MS
    address.banned_until_ms = now_ms + address.last_ban_ms
    return _ban(address.banned_until_ms, now_ms)


def _ban(until_ms: int, now_ms: int) -> TooMuch:
    return TooMuch(418, -1003, BANNED.format(until=until_ms), _seconds(until_ms - now_ms))


def _seconds(span_ms: int) -> int:
    return -(-span_ms // 1000)


def _entry(kind: str, interval: str, number: int, limit: int) -> Entry:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _remembered(kept: dict[Hashable, _Kept], who: Hashable, blank: Callable[[], _Kept]) -> _Kept:
    found = kept.get(who)
    if found is None:
        if len(kept) >= VISITORS:
            del kept[next(iter(kept))]
        found = kept[who] = blank()
    return found
