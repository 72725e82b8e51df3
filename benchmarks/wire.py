"""From a depth frame in to a signed order frame out: the program's own path against an echo in C that decides nothing.

Knows how both stand at the same wire, and that what comes back is an order whose signature is its own. Refuses to know
how the program does it: feed, recorder, journal, engine, gate and order session are those of a run, put together as
`autotrader.run.trading` does.

The peer is in C and spins: it writes a recorded depth frame, and stamps the write and the order frame that comes back.
The echo reads the same frames and answers with the bytes of such an order frame. Both have the other processor, in turn
by blocks of frames; whoever is not asked is stopped. In hot mode both spin, otherwise both sleep until something comes.

Run it with ``python -m benchmarks.wire``; ``--quick`` takes a few seconds and writes no page.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
import orjson
import uvloop

from autotrader.adapters.binance import order_session
from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.market_feed import MarketFeed, Timing
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.adapters.binance.order_session import OrderSession
from autotrader.adapters.binance.profiles import TradingUrls, trading_urls
from autotrader.adapters.storage.recorder import Recorder
from autotrader.config import Live as Section
from autotrader.run.hot import hot
from autotrader.run.rehearsal import Rehearsal
from autotrader.run.trading import SECOND_NS, TradingHours
from autotrader.secret import Credentials, Secret
from benchmarks.build import build
from benchmarks.loopback import markdown, plain
from benchmarks.machine import machine
from benchmarks.order_path import core_path
from benchmarks.pairs import undisturbed
from benchmarks.recording import ROOT, Stream, stream
from core_ext.journal import JournalWriter
from core_ext.live import Live
from core_ext.wire import Scanner

build()

from benchmarks.turns import RunClock, echo, turn  # noqa: E402 - exists once it is built

TEXT, PING, PONG = 1, 9, 10
HEAD: Final = 8
"""Bytes before a text of 126 to 65,535 bytes of a client; before a shorter one two less."""
PAGE: Final = ROOT / "docs/wire.md"
SPAWN: Final = get_context("spawn")
KEY, SECRET = "wire-key", "wire-secret"
PACE_NS: Final = 2_500_000
"""From one depth frame to the next."""
AGE: Final = 20
"""By how much the run's clock is faster than ours: between two frames the quoter's pause is over."""
EARLY_NS: Final = 12 * 3600 * 10**9
BLOCK: Final = 100
REST_S: Final = 0.5
SILENT_S: Final = 10.0
DEADLINE_NS, QUIET_NS = 20_000_000, 100_000
ROUNDS: Final = 3
"""Questions after a refusal until the program has surely worked it off: it takes a few rounds of its loop."""
GOALS: Final = {"p50": 1.6, "p99": 3.0}
PATIENT: Final = order_session.Timing(idle_s=3600.0)
"""A program that is stopped meanwhile must not take the silence for a dead connection."""
REFUSED: Final = {"code": -5022, "msg": "Due to the order could not be executed as maker, the order will be rejected."}


Step = tuple[bytes, bytes]
"""A depth frame, and the frames of other streams that followed it."""


class Turn(NamedTuple):
    """When a frame was written, and the times to its first and its last order, ns."""

    begun: int
    first: int
    last: int


# ---------------------------------------------------------------------- the program's process


class Session:
    """What `TradingHours` needs of its session."""

    def __init__(self, journal: JournalWriter) -> None:
        self.journal = journal


class Desk(TradingHours):
    """The hours of a run from the feed to the orders, without the account: nobody asks this exchange for lists."""

    def __init__(self, recorded: Stream, port: int, folder: Path) -> None:
        # Not what a run is made with: there is no account.
        urls = trading_urls("testnet", Section(profile="loopback", port=port))
        self.clock = RunClock(int(recorded.stamps[0]) - EARLY_NS, AGE)
        self.looked_s = float("inf")  # nor a latch to look at
        self.recorded = recorded
        self.engine = core_path(recorded).engine
        self.session = Session(JournalWriter(str(folder / "journal")))  # type: ignore[assignment]
        scanner = Scanner(self.engine.instruments)
        self.driver = Live(self.engine, scanner, self.session.journal, self._send, SECOND_NS)
        self.recorder = Recorder(folder / "market", "market", print)
        self.events = AccountEvents(self.engine.instruments, {1})
        key = Credentials(api_key=Secret(KEY), secret=Secret(SECRET), kind="hmac")
        plenty = Budget(weight_per_minute=10**8, orders_per_10s=10**8, orders_per_minute=10**8)
        answers = Answers(self.events.evidence)
        self.orders = OrderSession(
            urls, key, self.engine.instruments, answers, plenty, self.clock, self.driver.tell, timing=PATIENT
        )
        self.snapshot = next(message for message in recorded.messages if b'"lastUpdateId"' in message[:100])
        self.feed = self._feed(urls)

    def _feed(self, urls: TradingUrls) -> MarketFeed:
        names = Subscription(("BTCUSDT",), depth="0ms", trades="trade")

        async def fetch(*_: Any) -> bytes:
            return self.snapshot

        return MarketFeed(
            names, urls, sink=self._sink, fetch=fetch, now_ns=self.clock.now_ns, stale=lambda *_: None,
            told=lambda *_: None, timing=Timing(dead_s=3600.0),
        )  # fmt: skip

    async def last(self, spins: bool, core: int) -> None:
        """Trade until the process is ended."""
        assert self.orders is not None
        if spins:
            with hot(asyncio.get_running_loop(), core) as awake:
                plan, newest = self.recorded.plan, self.feed.newest
                awake.turn = Rehearsal(plan, self.engine, newest, self._sign, _fail).turn
                await self._all()
        else:
            os.sched_setaffinity(0, {core})
            await self._all()

    async def _all(self) -> None:
        assert self.orders is not None
        works = self.orders.run(), self._tick(), self._endure(), self._trade()
        await asyncio.gather(*works)

    async def _trade(self) -> None:
        while not self.is_ready():
            await asyncio.sleep(0.01)
        await self.feed.start()
        await self.feed.ended()

    def is_ready(self) -> bool:
        """Whether orders can leave."""
        return self.orders is not None and self.orders.is_connected


def _fail(error: Exception) -> NoReturn:
    raise error


class Stamped(Desk):
    """The same, with stamps where a message enters the run and where its orders are handed over."""

    def __init__(self, recorded: Stream, port: int, folder: Path) -> None:
        super().__init__(recorded, port, folder)
        self.stamps: list[tuple[int, int]] = []
        self._entered_ns = 0

    def _sink(self, stamp_ns: int, message: bytes) -> None:
        self._entered_ns = time.monotonic_ns()
        super()._sink(stamp_ns, message)

    def _send(self, requests: list[Any]) -> None:
        if requests:
            self.stamps.append((self._entered_ns, time.monotonic_ns()))
        super()._send(requests)

    async def tell(self, place: Path) -> None:
        """Write the stamps down again and again."""
        while True:
            await asyncio.sleep(0.2)
            np.save(place, np.array(self.stamps, np.int64).reshape(-1, 2))


def trade(port: int, spins: bool, core: int, stamps: str) -> None:
    """Be the program."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            desk = (Stamped if stamps else Desk)(stream(), port, Path(folder))
            works = [desk.last(spins, core)]
            if isinstance(desk, Stamped):
                works.append(desk.tell(Path(stamps)))
            await asyncio.gather(*works)

    with suppress(KeyboardInterrupt), undisturbed():
        uvloop.run(main())


def answer(port: int, spins: bool, core: int) -> None:
    """Be the echo."""
    os.sched_setaffinity(0, {core})
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = int.from_bytes(_exactly(wire, 4))
        echo(wire.fileno(), _exactly(wire, size), spins)


def _exactly(wire: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        part = wire.recv(size - len(taken))
        if not part:
            raise ConnectionError("the other end is gone")
        taken += part
    return taken


# ---------------------------------------------------------------------- the exchange's end


def frame(text: bytes, kind: int = 1) -> bytes:
    """Return a server's frame."""
    size = len(text)
    if size < 126:
        return bytes((128 | kind, size)) + text
    if size < 1 << 16:
        return bytes((128 | kind, 126)) + size.to_bytes(2) + text
    return bytes((128 | kind, 127)) + size.to_bytes(8) + text


def texts(taken: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return (kind, text) of each frame of a client that has come whole, and the bytes after the last."""
    at, found = 0, []
    while len(taken) - at >= HEAD - 2:
        size, wide = taken[at + 1] & 127, taken[at + 1] & 127 == 126
        begin = at + HEAD - (0 if wide else 2)
        size = int.from_bytes(taken[at + 2 : at + 4]) if wide else size
        if begin + size > len(taken):
            break
        mask = taken[begin - 4 : begin]
        text = np.frombuffer(taken, np.uint8, size, begin) ^ np.resize(np.frombuffer(mask, np.uint8), size)
        found.append((taken[at] & 15, text.tobytes()))
        at = begin + size
    return found, taken[at:]


def received(wire: socket.socket) -> bytes:
    """Return what has come; wait for it."""
    taken = wire.recv(1 << 18)
    if not taken:
        raise ConnectionError("the program ended its connection")
    return taken


def accepted(door: socket.socket) -> tuple[str, socket.socket]:
    """Take a connection; return the path that it asked for."""
    wire, _ = door.accept()
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += wire.recv(4096)
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", asked)[1]  # type: ignore[index]
    word = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    wire.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + word + b"\r\n\r\n")  # fmt: skip
    return asked.split(b" ", 2)[1].decode(), wire


class Exchange:
    """The end of the wire that the frames come from; it refuses every order, outside the time that is taken.

    Parameters
    ----------
    recorded : Stream
    spins : bool
        Whether program and echo spin.
    stamps : str, optional
        Where the program writes its stamps.
    """

    def __init__(self, recorded: Stream, spins: bool, stamps: str = "") -> None:
        self.cores = sorted(os.sched_getaffinity(0))
        self.door = socket.create_server(("127.0.0.1", 0))
        self.recorded = recorded
        self.sizes: list[int] = []
        self.left, self.asked = b"", 0
        port = self.door.getsockname()[1]
        mirror = socket.create_server(("127.0.0.1", 0))
        self.echoing = SPAWN.Process(
            target=answer, args=(mirror.getsockname()[1], spins, self.cores[-1]), daemon=True
        )
        self.echoing.start()
        self.echo, _ = mirror.accept()
        self.echo.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.program = SPAWN.Process(target=trade, args=(port, spins, self.cores[-1], stamps), daemon=True)
        self.program.start()
        self.wires: dict[str, socket.socket] = {}
        for _ in range(3):
            path, wire = accepted(self.door)
            wire.settimeout(SILENT_S)
            self.wires[path.rpartition("/")[0] or path] = wire
        self.market, self.orders = self.wires["/public"], self.wires["/ws-fapi"]
        for path in ("/public", "/market"):
            self._confirm(self.wires[path])
        self._open()

    def _confirm(self, wire: socket.socket) -> None:
        ((_, text),), _ = texts(received(wire))
        wire.sendall(frame(orjson.dumps({"result": None, "id": orjson.loads(text)["id"]})))

    def _open(self) -> None:
        # Every stream is heard once; the book begins where the recording's snapshot does.
        messages = self.recorded.messages
        snapshot = next(k for k, one in enumerate(messages) if b'"lastUpdateId"' in one[:100])
        last = int(re.search(rb'"lastUpdateId":(\d+)', messages[snapshot])[1])  # type: ignore[index]
        self.diffs = steps(messages, last)
        for name in (b'"btcusdt@bookTicker"', b'"btcusdt@trade"'):
            self.market.sendall(frame(next(one for one in messages if name in one[:60])))
        self.wires["/market"].sendall(frame(mark(messages)))
        self.market.sendall(b"".join(next(self.diffs)))
        time.sleep(0.5)
        self.rest()

    def taken(self, more: bytes) -> list[tuple[int, bytes]]:
        """Answer what has come whole, and return it: each order is signed, and refused outside the time."""
        self.left += more
        come, self.left = texts(self.left)
        for kind, text in come:
            if kind == PING:
                self.orders.sendall(frame(text, PONG))
            elif kind == TEXT:
                asked, self.asked = signed(text), self.asked + 1
                self.orders.sendall(frame(orjson.dumps({"id": asked["id"], "status": 400, "error": REFUSED})))
        return come

    def trade(self, frames: list[Step]) -> Iterator[Turn]:
        """Have the program answer frames; those that led to orders."""
        for one, others in frames:
            begun = time.monotonic_ns()
            first, last, taken = turn(self.market.fileno(), self.orders.fileno(), one, DEADLINE_NS, QUIET_NS)
            before, is_clean = self.asked, not self.left
            come = self.taken(taken)
            self.rest()
            if is_clean and come and come[0][0] == TEXT:
                self.sizes.append(len(come[0][1]) + HEAD)
                yield Turn(begun, first, last)
            elif self.asked > before:  # too late for the stamp; so late at least
                late = time.monotonic_ns() - begun
                yield Turn(begun, late, late)
            self.market.sendall(others)
            self.rest()
            self._pause(begun)

    def reflect(self, frames: list[Step]) -> Iterator[int]:
        """Have the echo answer the same frames: ns."""
        for one, _ in frames:
            begun = time.monotonic_ns()
            first, _, _ = turn(self.echo.fileno(), self.echo.fileno(), one, round(SILENT_S * 1e9), 0)
            yield first
            self._pause(begun)

    def _pause(self, begun: int) -> None:
        time.sleep(max(0, PACE_NS - (time.monotonic_ns() - begun)) / 1e9)

    def rest(self) -> None:
        """Wait until the program has worked off what it was told, whatever else the machine does."""
        for _ in range(ROUNDS):
            self.orders.sendall(frame(b"", PING))
            while not any(kind == PONG for kind, _ in self.taken(received(self.orders))):
                pass

    def both(self, frames: list[Step], is_first: bool) -> tuple[list[Turn], list[int]]:
        """Have both answer the same frames, the program first or the echo; whoever is not asked stands still."""
        turns, echoes = list[Turn](), list[int]()
        for is_program in (is_first, not is_first):
            with awake(self.program if is_program else self.echoing):
                if is_program:
                    self.rest()
                    turns += self.trade(frames)
                else:
                    echoes += self.reflect(frames)
        return turns, echoes

    def warm_up(self) -> float:
        """Have both answer a block, the echo from now on by bytes of an order frame's length; return that."""
        frames = [next(self.diffs) for _ in range(BLOCK)]
        if not list(self.trade(frames)):
            raise RuntimeError("no depth frame led to an order")
        size = round(float(np.median(self.sizes)))
        self.echo.sendall(size.to_bytes(4) + frame(bytes(size - 4)))
        list(self.reflect(frames))
        for process in (self.program, self.echoing):
            os.kill(process.pid, signal.SIGSTOP)
        return float(size)

    def close(self) -> None:
        """End both processes."""
        for process in (self.program, self.echoing):
            process.kill()
            process.join()


def steps(messages: list[bytes], last: int) -> Iterator[Step]:
    """Return each depth frame from the one that holds a snapshot's last id, and the frames of what followed it."""
    diff, others, is_begun = b"", [], False
    for message in messages:
        name = message[:60]
        if b'"btcusdt@depth' in name:
            is_begun = is_begun or last_id(message) >= last
            if is_begun and diff:
                yield diff, b"".join(others)
            diff, others = frame(message) if is_begun else b"", []
        elif b'"btcusdt@bookTicker"' in name or b'"btcusdt@trade"' in name:
            others.append(frame(message))


def last_id(diff: bytes) -> int:
    """Return the last update id of a diff."""
    return int(re.search(rb'"u":(\d+)', diff)[1])  # type: ignore[index]


def mark(messages: list[bytes]) -> bytes:
    """Return a mark price message: the price of the recording's first trade."""
    trade = next(orjson.loads(one)["data"] for one in messages if b'@trade"' in one[:60])
    data = {"e": "markPriceUpdate", "E": trade["E"], "s": trade["s"], "p": trade["p"], "P": trade["p"],
            "i": trade["p"], "r": "0.00010000", "T": trade["E"] + 3_600_000}  # fmt: skip
    return orjson.dumps({"stream": "btcusdt@markPrice@1s", "data": data})


def signed(text: bytes) -> dict[str, Any]:
    """Return a request; raise if its signature is not its own."""
    asked: dict[str, Any] = orjson.loads(text)
    params = dict(asked["params"])
    signature = params.pop("signature")
    words = "&".join(f"{name}={value}" for name, value in params.items())
    if hmac.new(SECRET.encode(), words.encode(), "sha256").hexdigest() != signature:
        raise RuntimeError(f"its signature is not its own: {asked}")
    return asked


# ---------------------------------------------------------------------- the race


@contextmanager
def awake(process: Any) -> Iterator[None]:
    """Let a process run, which is stopped otherwise."""
    os.kill(process.pid, signal.SIGCONT)
    time.sleep(0.05)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGSTOP)


@dataclass
class Race:
    """Times of both for frames of the same sizes, ns.

    Attributes
    ----------
    spins : bool
    turns : list of Turn
        The program's.
    echoes : list of int
    frames : int
        Depth frames sent.
    size_in, size_out : float
        Median bytes of a depth frame and of an order frame.
    ratios : list of dict
        Of each pair of blocks: p50 and p99 of the program's first order by the echo's.
    """

    spins: bool
    turns: list[Turn] = field(default_factory=list)
    echoes: list[int] = field(default_factory=list)
    frames: int = 0
    size_in: float = 0.0
    size_out: float = 0.0
    ratios: list[dict[str, float]] = field(default_factory=list)

    def add(self, turns: list[Turn], echoes: list[int]) -> None:
        """Take a pair of blocks."""
        self.turns += turns
        self.echoes += echoes
        ours, theirs = quantiles([one.first for one in turns]), quantiles(echoes)
        self.ratios.append({name: ours[name] / theirs[name] for name in GOALS})

    def ratio(self, name: str) -> float:
        """Return the median over the pairs of blocks of a quantile's ratio."""
        return float(np.median([one[name] for one in self.ratios]))


def race(spins: bool, blocks: int, stamps: str = "") -> Race:
    """Race the program against the echo, in turn by blocks of frames, after a block of each that warms up.

    Raises
    ------
    RuntimeError
        If no frame leads to an order.
    """
    exchange, found = Exchange(stream(), spins, stamps), Race(spins)
    os.sched_setaffinity(0, {exchange.cores[0]})
    try:
        found.size_out = exchange.warm_up()
        sizes = []
        with undisturbed():
            for number in range(blocks):
                frames = [one for _, one in zip(range(BLOCK), exchange.diffs, strict=False)]
                found.add(*exchange.both(frames, is_first=number % 2 == 0))
                sizes += [len(one) for one, _ in frames]
                time.sleep(REST_S)
        found.frames, found.size_in = len(sizes), float(np.median(sizes))
        return found
    finally:
        os.sched_setaffinity(0, exchange.cores)
        exchange.close()


def quantiles(taken: list[int]) -> dict[str, float]:
    """Return p50, p99 and max, us."""
    array = np.array(taken) / 1e3
    return {"p50": float(np.quantile(array, 0.5)), "p99": float(np.quantile(array, 0.99)), "max": float(array.max())}


# ---------------------------------------------------------------------- the page


STAGES: Final = (
    "write to the run: both kernels, loop, picows, listener, feed",
    "the run to the order session: scanner, book, engine, gate, journal written",
    "order session to the peer: budget, signature, comparison, frame, picows, kernel",
)


def stages(found: Race, place: Path) -> list[float]:
    """Return the median time of each stage, us, of the turns whose stamps are there."""
    stamps = np.load(place)
    parts = []
    for turn_ in found.turns:
        at = int(np.searchsorted(stamps[:, 0], turn_.begun))
        if at < len(stamps) and stamps[at, 1] <= turn_.begun + turn_.first:
            entered, handed = stamps[at].tolist()
            parts.append((entered - turn_.begun, handed - entered, turn_.begun + turn_.first - handed))
    return [float(one) / 1e3 for one in np.median(np.array(parts), axis=0)]


def row(found: Race) -> tuple[str, ...]:
    """Return a row of the table."""
    ours, last = (quantiles([getattr(one, name) for one in found.turns]) for name in ("first", "last"))
    theirs = quantiles(found.echoes)
    names = tuple(GOALS)
    return (
        "hot" if found.spins else "idle", *(f"{ours[name]:.1f}" for name in names),
        *(f"{theirs[name]:.1f}" for name in names), *(f"{found.ratio(name):.2f}" for name in names),
        *(f"{last[name]:.1f}" for name in names), f"{ours['max'] / 1e3:.1f}", f"{len(found.turns):,}",
    )  # fmt: skip


HEAD_ROW: Final = (
    "mode", "p50, us", "p99, us", "echo p50, us", "echo p99, us", "p50 ratio", "p99 ratio", "last p50, us",
    "last p99, us", "max, ms", "orders' frames",
)  # fmt: skip


METHOD: Final = """\
A peer in C writes a recorded depth frame to the program's socket, spins until the order frame has come whole on the
other socket, and stamps both. The program is the run's own: connection, feed, recorder, journal, engine with the quoter
and every check of the gate, order session. Each order's signature is checked, and each is refused, outside the time;
trades and tickers of the recording come between the depth frames, outside the time, too. The echo, in C, reads the
same frames and answers with as many bytes as an order frame has. Both have the last processor, the peer the first, in
turn by blocks of 100 frames; whoever is not asked is stopped. In hot mode both spin, in idle mode both sleep until
something comes. A depth frame has {size_in:,.0f} bytes, an order frame {size_out:,.0f} (medians). A ratio is the median
over the pairs of blocks. *Last* is the second of the two orders that a frame leads to."""


def page(races: list[Race], parts: list[float]) -> str:
    """Return the page."""
    hot_one = races[0]
    verdict = " and ".join(
        f"{name} {hot_one.ratio(name):.2f}x, aimed at {goal:g}x: {'met' if hot_one.ratio(name) <= goal else 'NOT MET'}"
        for name, goal in GOALS.items()
    )
    slowest = max(one.first for found in races for one in found.turns) / 1e6
    return "\n".join([
        "# Wire to wire · 호가 프레임에서 서명된 주문까지",
        "",
        "Written by `python -m benchmarks.wire`; do not edit.",
        "",
        f"Hot mode against an echo in C that spins as well: {verdict}. The slowest turn took {slowest:.1f} ms of the"
        " budget of 100 ms.",
        "",
        METHOD.format(size_in=hot_one.size_in, size_out=hot_one.size_out),
        "",
        *markdown(HEAD_ROW, map(row, races)),
        "",
        "## Where the time goes in hot mode · 시간의 배분",
        "",
        "Medians of a run of its own, with stamps where a message enters the run and where its orders are handed over.",
        "",
        *markdown(("stage", "us"), [(name, f"{us:.1f}") for name, us in zip(STAGES, parts, strict=True)]),
        "",
        "## Machine · 측정 환경",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
        f"- priority: {priority()}",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
    ])  # fmt: skip


def priority() -> str:
    """Return how the scheduler prefers these processes to others."""
    group = Path("/proc/self/autogroup")
    shared = f", their group {group.read_text().split(' ', 1)[1].strip()}" if group.exists() else ""
    return f"nice {os.getpriority(os.PRIO_PROCESS, 0)}{shared}"


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, no page")
    given = parser.parse_args()
    blocks = 4 if given.quick else 20
    races = [race(spins, blocks) for spins in (True, False)]
    print(plain(HEAD_ROW, [row(one) for one in races]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "stamps.npy"
        parts = stages(race(True, blocks // 2, str(place)), place)
    print(plain(("stage", "us"), [(name, f"{us:.1f}") for name, us in zip(STAGES, parts, strict=True)]))
    if not given.quick:
        PAGE.write_text(page(races, parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
