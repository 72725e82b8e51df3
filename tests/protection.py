"""What the exchange's history says of protection: how long a leg was held without a stop that closes it."""

from collections.abc import Iterator
from pathlib import Path

from autotrader.adapters.loopback.history import Algo, Close, Fill, Forced, Reader, State

LIVE = ("NEW", "TRIGGERING", "TRIGGERED")


def unprotected(path: Path, account: int = 0) -> Iterator[tuple[int, int]]:
    """Yield from when until when, ns, a leg of an account was held without one; the last until the history's end."""
    held: dict[tuple[int, int], int] = {}
    stops: dict[tuple[int, int, int], set[int]] = {}
    since: dict[tuple[int, int], int] = {}
    now = 0
    for record in Reader(path):
        now = record.t
        if isinstance(record, Fill | Forced) and record.account == account:
            held[record.symbol, record.leg] = record.position
        elif isinstance(record, Algo) and record.account == account and record.closes:
            standing = stops.setdefault((record.symbol, record.leg, record.side), set())
            (standing.add if record.status in LIVE else standing.discard)(record.algo)
        elif not isinstance(record, State | Close):
            continue
        for leg, lots in held.items():
            is_bare = lots != 0 and not stops.get((*leg, int(lots > 0)))
            if is_bare:
                since.setdefault(leg, now)
            elif leg in since:
                yield since.pop(leg), now
    for begun in since.values():
        yield begun, now
