"""The readers of what others wrote, each beside its judge: the scanner, recorder lines, journals.

Knows what each of them promises: hostile bytes are accepted or refused, never crash, and the judge, which is slower
and plainer, says the same of them. Refuses to know how they were spoiled (``mutations``) or what they began as.
"""

import hashlib
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
from builders import E8, SIZING, limits

from core_ext.account import Account
from core_ext.driver import Driver, FeedError, Verifier
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalDamaged, JournalWriter, read_journal, torn_bytes
from core_ext.quoter import Quoter
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind, Status
from core_ext.wire import Scanner
from fuzz.mutations import mutated, spoiled
from fuzz.seeds import LISTINGS, Seed, seeds

SECOND = 10**9
REFUSALS = (Status.MALFORMED, Status.UNKNOWN_SYMBOL, Status.OFF_GRID)
KINDS = ("depthUpdate", "snapshot", "bookTicker", "trade", "aggTrade", "markPriceUpdate", "kline")
KEPT = 4_000  # bytes of an input that a report shows

Note = Callable[[bytes], None]
Counts = Counter[tuple[str, str, str]]  # reader, kind of the seed, verdict


class Disagreement(AssertionError):
    """A reader and its judge differ over an input."""

    def __str__(self) -> str:
        what, given = self.args
        return f"{what}: {given[:KEPT]!r}"


def drawn(source: Random, data: Path | None) -> Iterator[tuple[Seed, bytes]]:
    """Yield mutated messages without end; every kind is as likely as any other."""
    by_kind: dict[str, list[Seed]] = {}
    for seed in seeds(data):
        by_kind.setdefault(seed.kind, []).append(seed)
    kinds, every = list(by_kind.values()), seeds(data)
    while True:
        seed = source.choice(source.choice(kinds))
        yield seed, mutated(source, seed, source.choice(every))


# ------------------------------------------------------------------ messages

LISTED = {name: Instruments(specs) for name, specs in LISTINGS.items()}
RENEWAL = 20


class Messages:
    """The fast scanner beside the general parser, a pair for each market."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin again with the least room: a scanner that met a long message keeps its room for the next."""
        self.pairs = {name: (Scanner(of, 0), Scanner(of, 0)) for name, of in LISTED.items()}

    def judged(self, listing: str, message: bytes, ts: int) -> tuple[Status, bool]:
        """Return the verdict that both give, and whether the fast one needed no help."""
        fast, general = self.pairs[listing]
        before = fast.general, fast.ignored, fast.refused
        status, expected = fast.feed(message, ts), general.feed_general(message, ts)
        if (status, bytes(fast.rows)) != (expected, bytes(general.rows)):
            raise Disagreement(f"{listing}: the scanner says {status!r}, the general parser {expected!r}", message)
        slow = fast.general - before[0]
        counted = (fast.ignored - before[1], fast.refused - before[2])
        if counted != (status == Status.IGNORED, status in REFUSALS) or (not slow and status != Status.OK):
            raise Disagreement(f"{listing}: {status!r} is not what was counted", message)
        if (status == Status.OK) != is_sound(fast.rows.array(), ts, len(LISTINGS[listing])):
            raise Disagreement(f"{listing}: {status!r} with rows that are none of it", message)
        return status, not slow


def is_sound(rows: np.ndarray, ts: int, symbols: int) -> bool:
    """Return whether rows are one message: closed once, at its end, of one listed symbol, and within bounds."""
    if not len(rows):
        return False
    head, levels = rows[0], rows[1:]
    ends = rows["flags"] & Flag.F_END
    if ends[:-1].any() or not ends[-1] or (rows["symbol"] != head["symbol"]).any() or head["symbol"] >= symbols:
        return False
    if (rows["ts"] != ts).any() or (levels["kind"] != Kind.LEVEL).any():
        return False
    if head["kind"] in (Kind.DEPTH, Kind.SNAPSHOT):
        in_range = (levels["a"] > 0) & (levels["a"] <= 2**50) & (levels["b"] >= 0) & (levels["b"] <= 2**50)
        return bool(in_range.all()) and head["d"] == len(levels)
    return len(rows) == 1 and head["kind"] in (Kind.TOUCH, Kind.TRADE, Kind.MARK, Kind.CANDLE)


def read_messages(source: Random, count: int, data: Path | None, note: Note) -> Counts:
    """Feed mutated messages to both parsers; return how many had which verdict."""
    counts: Counts = Counter()
    readers = Messages()
    for number, (seed, message) in enumerate(islice(drawn(source, data), count)):
        if number % RENEWAL == 0:
            readers.renew()
        note(message)
        status, fast = readers.judged(seed.listing, message, int(seed.stamp) * (1000 if len(seed.stamp) < 17 else 1))
        counts["messages", seed.kind, f"{status.name}{' fast' if fast else ''}"] += 1
    return counts


# ------------------------------------------------------------------ recorder lines

LINE = re.compile(rb"([0-9]{1,19}) (.*?)\r?\n", re.DOTALL)
STAMPS = [b"", b"0", b"-1", b"1", b"1.5", b" 1", *(b"0" * n + b"1680652700423575" for n in (3, 4, 9))]
STAMPS += [b"1" * 19, b"4611686018427387904", b"4611686018427387", b"4611686018427388", b"9" * 20]
ENDS = [b"\n"] * 12 + [b"\r\n", b"\r\r\n", b"", b"\n\n", b"\r"]
MONEY_E8 = 7_700 * E8


def engine() -> Engine:
    """Return an engine that trades what the lines say, so that they reach all of it."""
    quoter = Quoter(order_e8=120 * E8, budget_e8=600 * E8, requote_ns=SECOND // 2, join_ticks=0, min_spread_ticks=1)
    instruments = LISTED["perpetual"]
    return Engine(instruments, quoter, limits(), SIZING, MONEY_E8, 7, ["stream"] * instruments.size)


def driver(journal: JournalWriter) -> Driver:
    """Return a run of that engine at the simulated venue."""
    trader = engine()
    money, marks = Account(trader.instruments, MONEY_E8), ["stream"] * trader.instruments.size
    venue = Exchange(trader.instruments, [money], marks, 1e-4, 0.8, SECOND)
    return Driver(trader, venue, Scanner(trader.instruments, 0), journal, 20_000_000, 5_000_000, SECOND)


def spoiled_lines(source: Random, messages: Iterator[tuple[Seed, bytes]], clock_us: int) -> bytes:
    """Return a few recorder lines, most of them with a stamp, one after the other."""
    lines = []
    for _, message in islice(messages, source.choice([1, 1, 2, 5])):
        clock_us += source.choice([0, 1, 50, 100_000])
        stamp = b"%d" % clock_us if source.random() < 0.95 else source.choice(STAMPS)
        gap = b" " if source.random() < 0.98 else source.choice([b"", b"  ", b"\t"])
        lines.append(stamp + gap + message + source.choice(ENDS))
    return b"".join(lines)


def expected_of_lines(general: Scanner, lines: bytes) -> tuple[int, int, int | None]:
    """Return (lines, rows) that a feed takes and the number of the line that it stops at, by the plainest reading."""
    at = count = rows = 0
    while at < len(lines):
        line = LINE.match(lines, at, lines.find(b"\n", at) + 1)
        if not line or not 0 < int(line[1]) <= 2**62 // 1000:
            return count, rows, count
        if general.feed_general(line[2], int(line[1]) * 1000) == Status.OK:
            rows += len(general.rows)
        count, at = count + 1, line.end()
    return count, rows, None


def feed_lines(feed: Driver | Verifier, lines: bytes, first_row: int) -> int | None:
    """Feed lines; return the number of the line that it stops at, None if it takes them all."""
    try:
        feed.feed_lines(lines, 0, first_row, 1000, 0, 0)
    except FeedError as error:
        return int(re.match(r"line (\d+): it does", str(error))[1])  # type: ignore[index]
    return None


def read_lines(source: Random, count: int, data: Path | None, note: Note, folder: Path) -> Counts:
    """Feed spoiled lines to a run, and the same to the replay of its journal, which must find no difference."""
    counts: Counts = Counter()
    path = folder / "lines.seg"
    path.unlink(missing_ok=True)
    journal, fed = JournalWriter(str(path)), []
    run, general = driver(journal), Scanner(LISTED["perpetual"], 0)
    messages = ((seed, text) for seed, text in drawn(source, data) if seed.listing == "perpetual")
    run.control(Kind.RUN, 0)
    for number in range(count):
        lines = spoiled_lines(source, messages, 1_680_652_700_000_000 + number * 100_000)
        note(lines)
        before = run.lines, run.rows
        stopped = feed_lines(run, lines, run.rows)
        found = run.lines - before[0], run.rows - before[1], stopped
        if found != (expected := expected_of_lines(general, lines)):
            raise Disagreement(f"lines, rows, stop: {found}, and {expected} by the plain reading", lines)
        fed.append((lines, before[1]))
        counts["lines", "", "taken" if stopped is None else "refused"] += 1
    run.finish()
    journal.close()
    replay = Verifier(engine(), Scanner(LISTED["perpetual"], 0), read_journal(str(path)))
    for lines, first_row in fed:
        feed_lines(replay, lines, first_row)
    if (difference := replay.finish()) is not None:
        raise Disagreement(f"the replay differs: {difference}", b"\n".join(lines for lines, _ in fed))
    return counts


# ------------------------------------------------------------------ journals

HEADER = struct.Struct("<4sIQI32s8sI")  # "ATJ1", rows, first row, crc of the rows, chain, padding, crc of the header
ROW = EVENT_DTYPE.itemsize
MOST_ROWS = 1024


def sealed(fields: tuple[bytes, int, int, int, bytes, bytes]) -> bytes:
    """Return a header with the checksum that it needs."""
    return HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)))


def block(first: int, chain: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return a block of rows, and the chain after it."""
    chain = hashlib.sha256(chain + body).digest()
    return sealed((b"ATJ1", len(body) // ROW, first, zlib.crc32(body), chain, bytes(8))) + body, chain


def blocks(source: Random) -> list[bytes]:
    """Return a journal of a few blocks, written by the plain reading of its format."""
    first, chain, written = 0, bytes(32), []
    for _ in range(source.choice([0, 1, 2, 3])):
        rows = source.choice([1, 2, 3, 9, MOST_ROWS])
        text, chain = block(first, chain, source.randbytes(rows * ROW))
        first += rows
        written.append(text)
    return written


def forged(source: Random, text: bytes) -> bytes:
    """Return a block with a field changed and its header's checksum made right again."""
    fields = list(HEADER.unpack(text[: HEADER.size])[:-1])
    at = source.randrange(len(fields))
    if isinstance(fields[at], bytes):
        fields[at] = source.choice([bytes(len(fields[at])), source.randbytes(len(fields[at]))])
    else:
        fields[at] = source.choice([0, 1, fields[at] + 1, MOST_ROWS, MOST_ROWS + 1, 2**31, 2**32 - 1])
    return sealed(tuple(fields)) + text[HEADER.size :]


def spoiled_journal(source: Random) -> bytes:
    """Return a journal that is whole, torn, damaged, forged, or of blocks in another order."""
    written, how = blocks(source), source.randrange(6)
    if written and how == 1:
        at = source.randrange(len(written))
        written[at] = forged(source, written[at])
    elif written and how == 2:
        written = source.choices(written, k=len(written))
    text = b"".join(written)
    if how == 3:
        return text[: source.randrange(len(text) + 1)]
    return spoiled(source, text, b"".join(blocks(source))) if how == 4 else text


def expected_of_journal(text: bytes) -> tuple[bytes | None, int | None]:
    """Return (rows, torn bytes) by the plainest reading of the format, None and None for damage."""
    at, chain, rows = 0, bytes(32), b""
    while at + HEADER.size <= len(text):
        magic, count, first, crc, stated, padding, head_crc = HEADER.unpack_from(text, at)
        body = text[at + HEADER.size : at + HEADER.size + count * ROW]
        head = HEADER.pack(magic, count, first, crc, stated, padding, 0)
        if (magic, first, head_crc) != (b"ATJ1", len(rows) // ROW, zlib.crc32(head)) or not 0 < count <= MOST_ROWS:
            return None, None
        if len(body) < count * ROW:
            break
        if (crc, stated) != (zlib.crc32(body), hashlib.sha256(chain + body).digest()):
            return None, None
        at, chain, rows = at + HEADER.size + len(body), stated, rows + body
    return rows, len(text) - at


def found_in_journal(path: Path, chunk: int) -> tuple[bytes | None, int | None]:
    """Return (rows, torn bytes) as the core reads a journal, None for damage."""
    try:
        rows: bytes | None = b"".join(bytes(part) for part in read_journal(str(path), chunk))
    except JournalDamaged:
        rows = None
    try:
        return rows, torn_bytes(str(path))
    except JournalDamaged:
        return rows, None


def read_journals(source: Random, count: int, note: Note, folder: Path) -> Counts:
    """Read spoiled journals; return how many were whole, torn or damaged."""
    counts: Counts = Counter()
    path = folder / "journal.seg"
    for _ in range(count):
        text = spoiled_journal(source)
        note(text)
        path.write_bytes(text)
        found, expected = found_in_journal(path, source.choice([1, 2, 64])), expected_of_journal(text)
        if found != expected:
            raise Disagreement("the journal's rows and torn bytes are not those of the plain reading", text)
        counts["journals", "", "damaged" if found[0] is None else "torn" if found[1] else "whole"] += 1
    return counts


# ------------------------------------------------------------------ a block of everything


def missing(counts: Counts) -> list[str]:
    """Return what a run should have reached and did not: it would have tested less than it says."""
    needed = {("messages", kind, verdict.name) for kind in KINDS for verdict in (Status.OK, Status.IGNORED, *REFUSALS)}
    needed |= {("messages", kind, "OK fast") for kind in KINDS}
    needed |= {("lines", "", verdict) for verdict in ("taken", "refused")}
    needed |= {("journals", "", verdict) for verdict in ("whole", "torn", "damaged")}
    return sorted(" ".join(filter(None, one)) for one in needed if not counts[one])


def read_block(seed: int, number: int, inputs: int, folder: Path, data: Path | None = None) -> Counts:
    """Feed one block of inputs to every reader: 94 in a hundred are messages, 4 recorder lines, 2 journals.

    A block depends on nothing but its arguments. The input that a reader is looking at stands in ``folder/last``, so
    that what ended the process can be seen afterwards.
    """
    source = Random(f"{seed} {number}")
    lines, journals = inputs * 4 // 100, inputs * 2 // 100
    with (folder / "last").open("wb", buffering=0) as last:

        def note(text: bytes) -> None:
            last.seek(0)
            last.truncate()
            last.write(text)

        counts = read_messages(source, inputs - lines - journals, data, note)
        counts += read_lines(source, lines, data, note, folder)
        return counts + read_journals(source, journals, note, folder)
