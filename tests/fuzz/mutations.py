"""Seeded changes that make a message wrong in one place, or in a few.

Knows JSON and what the exchange's numbers look like. Refuses to know which changes a reader must refuse. Every draw
comes from the generator that the caller hands in, so that a block of inputs is the same on every machine.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from fuzz.seeds import Fields, Items, Seed

NAMES = ["BTCUSDT", "ETHUSDT", "XRPUSDT", "BTCUSD", "BTCUSD_PERP", "NEXOUSDT", "btcusdt", "BTCUSDT\0", "한국", "B" * 40]
EVENTS = ["depthUpdate", "bookTicker", "trade", "aggTrade", "markPriceUpdate", "kline", "24hrTicker", "MARKET", "NA"]
INTERVALS = ["1m", "3m", "1h", "1d", "3d", "1w", "1M", "2m", "01m", "1.m", "60m", "m", ""]
NUMBERS = ["0", "-0", "1", "-1", "007", "1.5", "1e3", "1E-2", "+1", ".5", "5.", "0x10", "1_0"]
NUMBERS += ["NaN", "Infinity", "-inf"]
NUMBERS += [str(n + d) for n in (10**17, 10**18, 2**31, 2**50, 2**53, 2**60, 2**62, 2**63, 2**64) for d in (-1, 0, 1)]
NUMBERS += ["9" * 40, "9" * 400, "0" * 40 + "1", "1" + "0" * 300, "0." + "0" * 60, "0." + "0" * 60 + "1"]
WORDS = ["null", "true", "false", "True", "nul", "", "{}", "[]", "[[]]", '[["1","1"]]', '{"k":1}', "'1'", "1 2"]
WORDS += ["\\", '"', '"\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"a\\nb"', '"\x7f"', '"\xff"', "[" * 60 + "]" * 60]
KEYS = [f'"{key}"' for key in [*"eEsTUuaAbBpqmtflrxXiohcvk", "pu", "ps", "st", "nq", "ap", "bids", "asks", "symbol"]]
KEYS += ['"lastUpdateId"', '"pair"', '"stream"', '"data"', '"새"', '""', '"e2"', '"longer than any"', "e", '"\\u0065"']

LEAVES = [json.dumps(text, ensure_ascii=False).encode() for text in NAMES + EVENTS + INTERVALS + NUMBERS]
LEAVES += [text.encode("latin-1") for text in NUMBERS + WORDS]
KEY_TEXTS = [key.encode() for key in KEYS]
BYTES = b'"{}[],:\\ 0123456789.-+eEtfnusUabkpx\x00\n\r\x7f\x80\xff'
GAPS = [b""] * 8 + [b" ", b"  ", b"\n\t"]
TIMES = [2, 2, 3, 5, 9, 40, 300]
CROWDS = [1, 9, 9, 9, 40, 40, 100, 100, 1023, 1100]
MOST_REPEATED = 2_000
EDITS = [0, 1, 1, 1, 1, 1, 2, 2, 3, 6]


def copied(node: Any) -> Any:
    """Return a tree of its own."""
    if isinstance(node, Fields):
        return Fields([key, copied(value)] for key, value in node)
    return Items(map(copied, node)) if isinstance(node, Items) else node


def written(node: Any, gap: bytes) -> bytes:
    """Return a tree as JSON text."""
    if isinstance(node, Fields):
        return b"{" + (b"," + gap).join(key + b":" + gap + written(value, gap) for key, value in node) + b"}"
    if isinstance(node, Items):
        return b"[" + (b"," + gap).join(written(item, gap) for item in node) + b"]"
    return bytes(node)


def containers(node: Any) -> list[Any]:
    """Return every object and array of a tree that has something in it, the root first."""
    found = [node] if node else []
    for value in (pair[1] for pair in node) if isinstance(node, Fields) else node:
        if isinstance(value, list):
            found += containers(value)
    return found


# ------------------------------------------------------------------ changes of a leaf


def other_digits(source: Random, text: str) -> str:
    """Return a number with one character changed, put in or taken out."""
    at = source.randrange(len(text) + 1)
    new = source.choice(["", "0", "1", "5", "9", "00", ".", "-", "e1", " "])
    return text[:at] + new + text[at + source.choice([0, 1]) :]


def finer(source: Random, text: str) -> str:
    """Return a number that is finer than every grid, or looks so."""
    return text + "." * ("." not in text) + "0" * 9 + source.choice("01")


def other_size(source: Random, text: str) -> str:
    """Return a number many times as large or as small, finer, or with zeros around it."""
    return source.choice(
        [
            text + "0" * source.choice([1, 3, 8, 30]),
            text.replace(".", ""),
            text + source.choice(["1", "5", ".1", ".00000001", ".0"]),
            "0" * source.choice([1, 2, 20]) + text,
            text[: source.randrange(len(text) + 1)],
            source.choice("123456789") + text,
            "-" + text,
            text + source.choice(["e0", "e5", "E-3"]),
        ]
    )


def other_leaf(source: Random, leaf: bytes) -> bytes:
    """Return a leaf in its own notation with another content, in another notation, or something else altogether."""
    how = source.random()
    if how < 0.3:
        return source.choice(LEAVES)
    quoted = leaf[:1] == b'"'
    if how < 0.4:
        return leaf[1:-1] if quoted else b'"' + leaf + b'"'
    if how < 0.5 and quoted:
        return b'"%s"' % b"".join(b"\\u%04x" % byte if source.random() < 0.3 else b"%c" % byte for byte in leaf[1:-1])
    text = leaf.decode("latin-1").strip('"')
    text = (finer if how < 0.6 else other_digits if how < 0.8 else other_size)(source, text)
    return (f'"{text}"' if quoted else text).encode("latin-1")


# ------------------------------------------------------------------ changes of a tree


def change_value(source: Random, place: Any, at: int, _other: Any) -> None:
    """Change one value, mostly by a little."""
    old = place[at][1] if isinstance(place, Fields) else place[at]
    new = other_leaf(source, old) if isinstance(old, bytes) else source.choice([*LEAVES[:40], b"[]", b"{}", b"null"])
    put(place, at, new)


def put(place: Any, at: int, value: Any) -> None:
    """Set a value, whatever it stands in."""
    if isinstance(place, Fields):
        place[at][1] = value
    else:
        place[at] = value


def take_value(source: Random, place: Any, at: int, other: Any) -> None:
    """Put a value of another message here, preferably that of the same field."""
    if isinstance(place, Fields):
        same = [value for key, value in other if key == place[at][0]]
        put(place, at, copied(same[0] if same else source.choice(other)[1]))
    else:
        put(place, at, copied(source.choice(other)[1]))


def drop(_source: Random, place: Any, at: int, _other: Any) -> None:
    """Leave one out."""
    del place[at]


def repeat(source: Random, place: Any, at: int, _other: Any) -> None:
    """Put one in again, perhaps many times, but not so often that repeated repetitions fill the memory."""
    times = source.choice(TIMES) if isinstance(place, Items) and len(written(place, b"")) < MOST_REPEATED else 1
    place[at:at] = [item for _ in range(times) for item in copied(type(place)(place[at : at + 1]))]


def move(source: Random, place: Any, at: int, _other: Any) -> None:
    """Change two places with each other."""
    to = source.randrange(len(place))
    place[at], place[to] = place[to], place[at]


def reorder(source: Random, place: Any, _at: int, _other: Any) -> None:
    """Put a whole container into another order."""
    source.shuffle(place)


def rename(source: Random, place: Any, at: int, _other: Any) -> None:
    """Give a field another name, or an item another nesting."""
    if isinstance(place, Fields):
        place[at][0] = source.choice(KEY_TEXTS)
    else:
        place[at] = Items([place[at]])


def add(source: Random, place: Any, at: int, other: Any) -> None:
    """Put in a field or an item that does not belong here, or a field that belongs to another message."""
    if not isinstance(place, Fields):
        place.insert(at, source.choice(LEAVES))
    elif source.random() < 0.4:
        place.insert(at, copied(Fields([source.choice(other)]))[0])
    else:
        place.insert(at, [source.choice(KEY_TEXTS), source.choice(LEAVES)])


def crowd(source: Random, place: Any, at: int, _other: Any) -> None:
    """Put in so many of the shortest levels that a reader needs more room than it may have."""
    sides = [at for at, (_, value) in enumerate(place) if isinstance(value, Items)] if isinstance(place, Fields) else []
    put(place, source.choice(sides or [at]), Items([b'["1","1"]'] * source.choice(CROWDS)))


Change = Callable[[Random, Any, int, Any], None]
CHANGES: Sequence[Change] = (
    *[change_value] * 8,
    *[take_value] * 3,
    *[drop, repeat, move, reorder, rename, add, add, crowd],
)


def changed(source: Random, root: Fields, other: Fields) -> None:
    """Change a tree in one place."""
    places = containers(root)
    if places:
        place = source.choice(places) if source.random() < 0.6 else places[0]
        source.choice(CHANGES)(source, place, source.randrange(len(place)), other)


# ------------------------------------------------------------------ changes of the bytes


def spoiled(source: Random, text: bytes, other: bytes) -> bytes:
    """Return bytes with one bit, byte or stretch changed, cut off, or continued by those of another message."""
    at = source.randrange(len(text) + 1)
    to = at + source.choice([1, 1, 2, 8, 60])
    how = source.randrange(7)
    if how == 0:
        flipped = bytearray(text or b"}")
        flipped[at % len(flipped)] ^= 1 << source.randrange(8)
        return bytes(flipped)
    if how == 1:
        return text[:at] + bytes([source.choice(BYTES)]) + text[at + source.choice([0, 1]) :]
    if how == 2:
        return text[:at] + text[to:]
    if how == 3:
        return text[:to] + text[at:]
    if how == 4:
        return text[:at]
    if how == 5:
        return text[:at] + other[source.randrange(len(other) + 1) :]
    return text + source.choice([b"}", b" ", b"\n", b"\0", b",", text])


# ------------------------------------------------------------------ whole messages


def wrapped(source: Random, body: Fields) -> Fields:
    """Return a message as a combined stream sends it."""
    fields = Fields([[b'"stream"', source.choice([b'"btcusdt@depth@0ms"', b'"s"', b'"\\u0000"'])], [b'"data"', body]])
    if source.random() < 0.05:
        changed(source, fields, body)
    return fields


def mutated(source: Random, seed: Seed, other: Seed) -> bytes:
    """Return a message that began as a seed: its tree is changed, then perhaps its bytes."""
    body, edits = copied(seed.tree), source.choice(EDITS)
    as_bytes = source.random() < 0.25
    for _ in range(0 if as_bytes else edits):
        changed(source, body, other.tree)
    root = wrapped(source, body) if source.random() < 0.5 else body
    text = written(root, source.choice(GAPS))
    for _ in range(edits if as_bytes else 0):
        text = spoiled(source, text, written(other.tree, b""))
    return text
