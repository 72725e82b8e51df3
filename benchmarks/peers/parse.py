"""Depth diffs from bytes to numbers: the core's scanner against the JSON readers of others.

Knows what each reader leaves undone. Refuses to know books and orders.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import orjson

from benchmarks import contests
from benchmarks.contests import Contest, Work
from benchmarks.peers.build import ondemand
from benchmarks.peers.jobs import Job, require_equal, row
from benchmarks.peers.table import Row
from benchmarks.recording import Stream
from core_ext.types import Kind
from core_ext.wire import Scanner

from benchmarks.loops import read_messages  # isort: skip - built by contests

NAMED = ("depth parse", "호가 메시지 해석")
SIMDJSON_AIM, MSGSPEC_AIM = 1.5, 6.0
TYPED = "a typed decoder, one for all messages, in a Python loop; prices and sizes stay text"
UNTYPED = "dictionaries and lists, in a Python loop; prices and sizes stay text"
SIMDJSON_PYTHON = "the Python package: one parser kept, the message's levels taken out as lists of text"
INTEGERS = (
    "On-Demand {version}, kernel {kernel}, compiled with -march=native (the core without), the fields asked for in "
    "the exchange's order, messages padded beforehand; the symbol compared, ids and stamps read, every price and size "
    "read from its raw digits to an integer by a loop of ours. The core's scanner writes 64-byte rows besides, and "
    "checks ranges and the grid. Every level of every message compared"
)
DOUBLES = "the same by its own get_double_in_string, which gives doubles, no ticks and lots"


def jobs(stream: Stream) -> list[Job]:
    """Return the jobs of the readers."""
    return [
        Job("depth parse", "msgspec", lambda: _python(contests.typed_parse(stream), "msgspec", MSGSPEC_AIM, TYPED)),
        Job("depth parse", "orjson", lambda: _python(contests.untyped_parse(stream), "orjson", None, UNTYPED)),
        Job("depth parse, pysimdjson", "pysimdjson", lambda: pysimdjson(stream)),
        Job("depth parse, On-Demand", "simdjson", lambda: simdjson(stream)),
    ]


def _python(contest: Contest, peer: str, aim: float | None, note: str) -> Iterator[Row]:
    yield row(contest, NAMED, peer, "message", aim, note)


def pysimdjson(stream: Stream) -> Iterator[Row]:
    """Measure simdjson's Python package."""
    import simdjson

    parser, messages = simdjson.Parser(), stream.depth_messages

    def read() -> None:
        for message in messages:
            data = parser.parse(message)["data"]
            data["b"].as_list()
            data["a"].as_list()
            del data  # the parser refuses to be used again while an element of its document lives

    yield row(_scanned(stream, lambda: read), NAMED, "pysimdjson", "message", None, SIMDJSON_PYTHON)


def simdjson(stream: Stream) -> Iterator[Row]:
    """Measure On-Demand, with integers and with doubles, after comparing every level.

    Raises
    ------
    DifferentResultError
        If a level differs from the scanner's.
    """
    reader = OnDemand(stream)
    require_same_levels(stream, reader)
    library = reader.library
    said = {"version": library.simdjson_version().decode(), "kernel": library.simdjson_kernel().decode()}
    for name, note, read in (
        ("integers", INTEGERS.format(**said), reader.integers),
        ("doubles", DOUBLES, reader.doubles),
    ):
        named = (f"{NAMED[0]} to {name}", NAMED[1])
        yield row(_scanned(stream, lambda read=read: read), named, "simdjson", "message", SIMDJSON_AIM, note)


def require_same_levels(stream: Stream, reader: OnDemand) -> None:
    """Raise if On-Demand reads a level otherwise than the scanner."""
    scanner = Scanner(stream.instruments, 0)
    for k, message in enumerate(stream.depth_messages):
        scanner.feed(message, 1)
        rows = scanner.rows.array()
        rows = rows[rows["kind"] == int(Kind.LEVEL)]
        found = reader.levels(k)
        steps = np.array([reader.tick, reader.lot])
        require_equal(
            f"levels of depth message {k}",
            np.stack([rows["a"], rows["b"]], axis=1).tolist(),
            (found // steps).tolist(),
        )
        require_equal(f"levels of message {k} off the grid", 0, int(np.count_nonzero(found % steps)))


def _scanned(stream: Stream, theirs: Callable[[], Work]) -> Contest:
    messages, scanner = stream.depth_messages, Scanner(stream.instruments)
    return Contest(lambda: lambda: read_messages(scanner, messages), theirs, len(messages))


class Totals(ctypes.Structure):
    """What On-Demand counted."""

    _fields_ = [(name, ctypes.c_int64) for name in ("messages", "levels", "ids", "stamps")]


class OnDemand:
    """The depth messages in one padded block, and On-Demand to read them.

    Parameters
    ----------
    stream : Stream
    """

    def __init__(self, stream: Stream):
        library = ondemand()
        if library is None:
            raise FileNotFoundError("there is no simdjson.h: apt install libsimdjson-dev g++")
        self.library = library
        spec = stream.plan.specs[0]
        self.symbol = spec["symbol"].encode()
        messages, room = stream.depth_messages, library.padding()
        self.decimals = decimals_of(messages[0])
        self.tick, self.lot = (
            spec[name] * 10**decimals // 10**8
            for name, decimals in zip(("tick_e8", "lot_e8"), self.decimals, strict=True)
        )
        self.sizes = np.array([len(message) for message in messages], np.int64)
        self.starts = np.cumsum(np.concatenate(([0], self.sizes[:-1] + room)))
        self.block = b"".join(message + bytes(room) for message in messages)
        most = max(message.count(b"[") for message in messages)
        self.integer_levels = np.zeros((most, 2), np.int64)
        self.double_levels = np.zeros((most, 2), np.float64)

    def integers(self) -> Totals:
        """Read all messages, prices and sizes to integers."""
        return self._read(0, len(self.sizes), self.library.read_integers, self.integer_levels, self.decimals)

    def doubles(self) -> Totals:
        """Read all messages, prices and sizes to doubles."""
        return self._read(0, len(self.sizes), self.library.read_doubles, self.double_levels, [])

    def levels(self, k: int) -> np.ndarray:
        """Return the levels of one message as integers of the last decimal."""
        totals = self._read(k, 1, self.library.read_integers, self.integer_levels, self.decimals)
        return self.integer_levels[: totals.levels]

    def _read(self, first: int, count: int, read: Callable[..., int], out: np.ndarray, decimals: list[int]) -> Totals:
        totals = Totals()
        places = (ctypes.c_void_p(array.ctypes.data + 8 * first) for array in (self.starts, self.sizes))
        into = ctypes.c_void_p(out.ctypes.data)
        code = read(self.block, *places, ctypes.c_int64(count), self.symbol, *decimals, into, ctypes.byref(totals))
        if code or totals.messages != count:
            raise RuntimeError(f"On-Demand stopped at message {first + totals.messages} with its error {code}")
        return totals


def decimals_of(message: bytes) -> list[int]:
    """Return how many decimals the exchange writes, of prices and of sizes."""
    data = orjson.loads(message)["data"]
    level = (data["b"] or data["a"])[0]
    return [len(text.partition(".")[2]) for text in level]
