"""What the exchange really sends, a few of each kind, as trees that a mutation can change.

Knows the shipped recording, recordings in a folder, and the documented forms of what neither holds. Refuses to know
what a reader makes of them.
"""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from builders import RECORDING, spec

PER_KIND = 40  # of a recording, spread over it
SOME_LEVELS, MANY_LEVELS = 8, 100

LISTINGS = {
    "perpetual": (spec(), spec("ETHUSDT", tick_e8=5 * 10**6, lot_e8=10**6), spec("BNBUSDT", tick_e8=10**4)),
    "spot": (spec(tick_e8=10**6, lot_e8=10**3), spec("NEXOUSDT", tick_e8=10**5, lot_e8=10**6)),
    "inverse": (spec("BTCUSD_PERP", lot_e8=10**8), spec("ETHUSD_PERP", tick_e8=10**6, lot_e8=10**8)),
}
FOLDERS = {"um": "perpetual", "cm": "inverse", "spot": "spot", "spot_nexo_34h": "spot"}

# Of the perpetual market, from the exchange's documentation: kinds that no recording here holds.
DOCUMENTED = [
    b'{"e":"aggTrade","E":1680652700455,"s":"BTCUSDT","a":5933014,"p":"28145.1","q":"0.100","nq":"0.100","f":100,'
    b'"l":105,"T":1680652700452,"m":true,"st":1}',
    b'{"e":"aggTrade","E":1680652700455,"s":"ETHUSDT","a":12345,"p":"1871.05","q":"2.5","f":7,"l":7,'
    b'"T":1680652700452,"m":false,"M":true}',
    b'{"e":"kline","E":1680652700455,"s":"BTCUSDT","k":{"t":1680652680000,"T":1680652739999,"s":"BTCUSDT","i":"1m",'
    b'"f":100,"L":200,"o":"28145.1","c":"28145.2","h":"28150.0","l":"28140.0","v":"1000","n":100,"x":false,'
    b'"q":"1.0000","V":"500","Q":"0.500","B":"123456"},"st":1,"ps":"BTCUSDT"}',
    b'{"e":"kline","E":1680652800000,"s":"ETHUSDT","k":{"t":1680649200000,"T":1680652799999,"s":"ETHUSDT","i":"1h",'
    b'"f":0,"L":0,"o":"1871.12345678","c":"1871.12345678","h":"1871.12345678","l":"1871.12345678","v":"0.00",'
    b'"n":0,"x":true,"q":"0","V":"0.00","Q":"0","B":"0"}}',
    b'{"e":"markPriceUpdate","E":1680652701000,"s":"ETHUSDT","p":"1871.27373413","ap":"1871.2","P":"1870.15563565",'
    b'"i":"1871.75642857","r":"-0.00002754","T":1680652800000,"st":1}',
    b'{"lastUpdateId":1027024,"E":1680652700590,"T":1680652700580,"symbol":"ETHUSDT","pair":"ETHUSDT",'
    b'"bids":[["1871.00","4.31"]],"asks":[["1871.05","12.00"],["1871.10","0.01"]]}',
    b'{"lastUpdateId":1027025,"E":1680652700590,"T":1680652700580,"bids":[["28145.1","4.310"],["28145.0","0.001"]],'
    b'"asks":[["28145.2","12"]]}',
    b'{"lastUpdateId":50093239218,"bids":[["61837.60000000","3.78800000"]],"asks":[]}',
    b'{"e":"24hrTicker","E":1680652700455,"s":"BTCUSDT","p":"1","P":"0.1","c":"28145.1"}',
]


class Fields(list[list[Any]]):
    """A JSON object: [key, value] pairs in order; a key is JSON text."""


class Items(list[Any]):
    """A JSON array. What is neither is a leaf: bytes of JSON text."""


@dataclass(frozen=True)
class Seed:
    """A message as it was sent, without the wrapper of a combined stream."""

    listing: str
    kind: str
    stamp: bytes
    tree: Fields


def tree(payload: bytes) -> Any:
    """Return a message as a tree whose numbers keep their text."""

    def fields(pairs: list[tuple[str, Any]]) -> Fields:
        return Fields([json.dumps(key).encode(), leaf(value)] for key, value in pairs)

    def leaf(value: Any) -> Any:
        if isinstance(value, Fields | bytes):
            return value
        return Items(map(leaf, value)) if isinstance(value, list) else json.dumps(value).encode()

    return leaf(json.loads(payload, object_pairs_hook=fields, parse_int=str.encode, parse_float=str.encode))


def kind_of(body: Fields) -> str:
    """Return the message's kind by its event, or by its fields where it names none."""
    found = dict(body)
    if b'"e"' in found:
        return str(json.loads(found[b'"e"']))
    return "snapshot" if b'"lastUpdateId"' in found else "bookTicker"


def shortened(body: Fields, levels: int) -> Fields:
    """Return a message with so many levels a side: most mutations of a long one would hit one level in hundreds."""
    return Fields([key, Items(value[:levels]) if isinstance(value, Items) else value] for key, value in body)


def seed(listing: str, line: bytes, levels: int) -> Seed:
    """Return a recorder line as a seed."""
    stamp, _, message = line.rstrip().partition(b" ")
    body = tree(message)
    if body[0][0] == b'"stream"':
        body = dict(body)[b'"data"']
    return Seed(listing, kind_of(body), stamp, shortened(body, levels))


def recorded(path: Path, listing: str) -> list[Seed]:
    """Return some messages of each kind of a recording, the first of each with many levels."""
    by_kind: dict[bytes, list[bytes]] = {}
    with gzip.open(path) as lines:
        for line in islice(lines, 20_000):
            event = line.partition(b'"e":"')[2].partition(b'"')[0] or line.partition(b"{")[2][:9]
            by_kind.setdefault(event, []).append(line)
    chosen: list[Seed] = []
    for lines_of_kind in by_kind.values():
        spread = lines_of_kind[:: -(-len(lines_of_kind) // PER_KIND)]
        chosen += (seed(listing, line, SOME_LEVELS) for line in spread)
        chosen.append(seed(listing, lines_of_kind[0], MANY_LEVELS))
    return chosen


@cache
def seeds(data: Path | None = None) -> tuple[Seed, ...]:
    """Return the shipped and the documented seeds, and those of the recordings in a data folder."""
    found = recorded(RECORDING, "perpetual")
    found += (seed("perpetual", b"1680652700423575 " + message, SOME_LEVELS) for message in DOCUMENTED)
    folders: Iterable[tuple[str, str]] = FOLDERS.items() if data else ()
    for folder, listing in folders:
        for path in sorted((Path(data or ".") / "l2" / folder).glob("*.gz")):
            found += recorded(path, listing)
    return tuple(found)
