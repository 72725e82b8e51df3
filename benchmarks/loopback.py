"""Load the exchange on loopback until it no longer keeps up, print the table, write docs/loopback-load.md.

Knows what is sent in and read back, and the page. The server and those who read it are processes of their own, as
they are in use. Every number on the page comes from the run that wrote it.

Run it with ``python -m benchmarks.loopback``; ``--quick`` takes a few seconds a figure and writes no page.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import hashlib
import hmac
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from autotrader import instruments
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.sources import Replay
from benchmarks.long_run import resident_bytes
from benchmarks.machine import machine
from benchmarks.recording import ROOT, SAMPLES, SHARED
from core_ext.types import Instruments

PAGE = ROOT / "docs/loopback-load.md"
KEY, SECRET = "loopback-demo-key", b"loopback-demo-secret"
RECORDINGS = (("btcusdt_20240808.gz",), ("btcusdt_20230404.dat.gz",), ("btcusdt_20240718.gz", "btcusdt_20240719.gz"))
SYMBOLS = 25
READERS = 4
SHIFT_S = 0.35
"""How much later each symbol begins than the one before."""
KINDS = ("bookTicker", "trade", "depth@0ms")
STAMP = re.compile(rb'"E":(\d+)')
CHAIN = re.compile(rb'\{"stream":"([a-z0-9]+)@depth@0ms".*?"u":(\d+),"pu":(\d+)')
SAMPLED = 16
"""Of so many messages one is timed; of each diff the chain is checked."""
ASKED = (2_000, 4_000, 5_000, 6_000, 7_000, 8_000, 10_000, 12_000, 15_000, 20_000)
"""Market messages a second to go in."""
KEPT_MS = 100.0
"""A rate is kept if the 99th percentile of the lag is below this and the messages come at the rate."""
ORDERS = (100, 200, 400, 800, 1_200, 1_600, 2_000, 2_500, 3_000, 4_000)
"""Orders a second, each placed and cancelled."""
TAIL = 5.0
STEPS = 10
"""Samples of memory."""
SPAWN = get_context("spawn")


# ---------------------------------------------------------------------- the server's process


@dataclass(frozen=True)
class World:
    """What a server is started with; everything else is as an operator has it by default.

    Attributes
    ----------
    symbols : int
    speed : float
    replays : bool
        Whether the recordings play; otherwise the market is synthetic.
    history : str
        Where the truth is written; empty: nowhere.
    profile : str
        Where a profile is written; empty: nowhere.
    """

    symbols: int
    speed: float
    replays: bool = True
    history: str = ""
    profile: str = ""


def recordings() -> list[list[Path]]:
    """Return the recordings by their files: the large ones if they are here, the shipped one otherwise."""
    known = [[SHARED / "l2/um" / name for name in names] for names in RECORDINGS]
    return [files for files in known if all(map(Path.exists, files))] or [[SAMPLES / "btcusdt_l2_20230404.gz"]]


def options(world: World) -> Options:
    """Return how a server of a world is made."""
    (btc,), _ = instruments.specs(["BTCUSDT"], table=instruments.load(), fees=instruments.fee_tier("VIP0"), leverage=20)
    names = ["BTCUSDT", *(f"BTC{k:02d}USDT" for k in range(1, world.symbols))]
    made: list[Any] = [{**btc, "symbol": name} for name in names]
    paths = recordings()
    labels = {name: (paths[k % len(paths)], k * SHIFT_S) for k, name in enumerate(names)} if world.replays else {}
    return Options(
        made, labels=labels, speed=world.speed, hold=True, weight_limit=10**9, order_limit=10**9,
        history=Path(world.history) if world.history else None,
    )  # fmt: skip


def serve(world: World, pipe: Connection) -> None:
    """Be the server: tell the port, begin when told, and tell at every later word what has been done so far."""
    uvloop.run(_serve(world, pipe))


async def _serve(world: World, pipe: Connection) -> None:
    server = Server(options(world))
    port = await server.open()
    hours = asyncio.create_task(server.run())
    loop = asyncio.get_running_loop()
    while world.replays and not all(book.is_usable for book in server.exchange.books):
        await asyncio.sleep(0.05)
    pipe.send({"port": port, "symbols": [symbol.name for symbol in server.symbols]})
    profiler = None
    while (word := await loop.run_in_executor(None, pipe.recv)) != "stop":
        if word == "profile" and world.profile:
            profiler = cProfile.Profile()
            profiler.enable()
        pipe.send(_facts(server))
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(world.profile)
    server.stop()
    await hours
    pipe.send({"records": server.history.records, "mishaps": server.reception.mishaps})


def _facts(server: Server) -> dict[str, Any]:
    clock = server.clock
    return {
        "wall": time.monotonic(),
        "cpu": time.process_time(),
        "in": server.replay.messages if server.replay else 0,
        "ended": server.ended,
        "sent": sum(socket.sent for socket in server.hub.sockets),
        "dropped": sum(socket.dropped for socket in server.hub.sockets),
        "slow": server.hub.slow_closed,
        "rss": resident_bytes(),
        "clock": (clock.now(), time.monotonic_ns(), clock.speed),
        "behind_s": _behind_s(server),
        "mishaps": server.reception.mishaps,
    }


def _behind_s(server: Server) -> float:
    replay, clock = server.replay, server.clock
    if replay is None or server.ended:
        return 0.0
    return (clock.now() - replay.begin_ns - replay.share * replay.duration_ns) / 1e9 / clock.speed


class Running:
    """A server in a process of its own, as the measuring process sees it."""

    def __init__(self, world: World) -> None:
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(world, theirs))
        self.process.start()
        self.opened = self.pipe.recv()

    def ask(self, word: str) -> dict[str, Any]:
        """Say a word; return the answer."""
        self.pipe.send(word)
        return self.pipe.recv()

    def control(self, what: str) -> None:
        """Hold the market, or let it go on."""
        urlopen(Request(f"http://127.0.0.1:{self.opened['port']}/_control/{what}", method="POST")).close()

    def stop(self) -> dict[str, Any]:
        """End the server; return its last facts."""
        told = self.ask("stop")
        self.process.join()
        return told


# ---------------------------------------------------------------------- the readers' process


HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9vcGJhY2stcmVhZGVyIQ==\r\n\r\n"
)
TEXT = 0x81
"""First byte of a frame that is a whole text."""


class Reader(asyncio.Protocol):
    """Read one connection: count, time some, check the chain of each book.

    It takes frames apart by itself, many of one read together: what a client library adds a message would be measured
    in place of the server.
    """

    def __init__(self, clock: tuple[int, int, float], target: str) -> None:
        self.base_ns, self.base_mono, self.speed = clock
        self.target = target
        self.connected = asyncio.get_running_loop().create_future()
        self.count = 0
        self.size = 0
        self.broken = 0
        self.lags: list[float] = []
        self.last: dict[bytes, bytes] = {}
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the streams."""
        transport.write(HANDSHAKE.format(target=self.target).encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        data = self.rest + data
        if not self.connected.done():
            head, end, data = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101") or not end, head
            if not end:
                self.rest = head
                return
            self.connected.set_result(None)
        self.rest = data[self._frames(data) :]

    def _frames(self, data: bytes) -> int:
        # Hear the whole frames; return where the first begins that is not whole.
        at, end = 0, len(data)
        while end - at >= 10 or (end - at >= 2 and data[at + 1] < 126):
            begin, size = at + 2, data[at + 1]
            if size > 125:
                begin = at + (4 if size == 126 else 10)
                size = int.from_bytes(data[at + 2 : begin])
            if begin + size > end:
                break
            if data[at] == TEXT:
                self._hear(data, begin, begin + size)
            at = begin + size
        return at

    def _hear(self, data: bytes, begin: int, end: int) -> None:
        self.count += 1
        self.size += end - begin
        if self.count % SAMPLED == 0:
            found = STAMP.search(data, begin, end)
            if found:
                now = self.base_ns + (time.monotonic_ns() - self.base_mono) * self.speed
                self.lags.append(now / 1e6 - int(found[1]))
        chain = CHAIN.match(data, begin, end)
        if chain:
            symbol, u, pu = chain.groups()
            self.broken += self.last.get(symbol, pu) != pu
            self.last[symbol] = u


def read(port: int, symbols: list[str], readers: int, clock: tuple[int, int, float], pipe: Connection) -> None:
    """Be the readers: connect, say so, read until told to stop, tell what was read."""
    uvloop.run(_read(port, symbols, readers, clock, pipe))


async def _read(port: int, symbols: list[str], readers: int, clock: tuple[int, int, float], pipe: Connection) -> None:
    names = "/".join(f"{symbol.lower()}@{kind}" for symbol in symbols for kind in KINDS)
    loop = asyncio.get_running_loop()
    listeners = [Reader(clock, f"/public/stream?streams={names}") for _ in range(readers)]
    for one in listeners:
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        await one.connected
    pipe.send("connected")
    while (word := await loop.run_in_executor(None, pipe.recv)) != "stop":
        if word == "reset":
            for one in listeners:
                one.lags.clear()
        elif word[0] == "clock":
            for one in listeners:
                one.base_ns, one.base_mono, one.speed = word[1]
        pipe.send([one.count for one in listeners])
    speed = listeners[0].speed if listeners else 1.0
    lags = sorted(lag / speed for one in listeners for lag in one.lags)
    pipe.send(
        {
            "counts": [one.count for one in listeners],
            "bytes": sum(one.size for one in listeners),
            "broken": sum(one.broken for one in listeners),
            "lags": lags,
            "cpu": time.process_time(),
        }
    )


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


# ---------------------------------------------------------------------- market data


@dataclass(frozen=True)
class Flow:
    """What a rate of market messages came to.

    Attributes
    ----------
    asked, taken, sent : float
        Messages a second: that were to go in, that went in, that came out to all readers.
    megabytes : float
        A second, to all readers.
    p50_ms, p99_ms : float
        From the stamp in a message to its reader.
    server, readers : float
        Share of a core.
    lost : int
        Messages sent that no reader has, and breaks of a chain.
    behind_s : float
        How far the replay was behind its clock at the end.
    """

    asked: float
    taken: float
    sent: float
    megabytes: float
    p50_ms: float
    p99_ms: float
    server: float
    readers: float
    lost: int
    behind_s: float

    @property
    def is_kept(self) -> bool:
        """Whether the server kept up."""
        return self.p99_ms < KEPT_MS and self.taken > 0.9 * self.asked and self.lost == 0 and self.behind_s < 0.1


def flow(asked: float, seconds: float, readers: int, natural: float, profile: str = "") -> Flow:
    """Let messages of all symbols go in at a rate for so many seconds."""
    running = Running(World(SYMBOLS, asked / natural, profile=profile))
    mine, theirs = SPAWN.Pipe()
    facts = running.ask("facts")
    process = SPAWN.Process(
        target=read, args=(running.opened["port"], running.opened["symbols"], readers, facts["clock"], theirs)
    )
    process.start()
    assert mine.recv() == "connected"
    running.control("resume")
    mine.send(("clock", running.ask("profile")["clock"]))
    mine.recv()
    time.sleep(min(2.0, seconds / 4))
    mine.send("reset")
    mine.recv()
    first = running.ask("facts")
    time.sleep(seconds)
    last = running.ask("facts")
    return _flow(asked, running, mine, process, first, last)


def _flow(
    asked: float, running: Running, mine: Connection, process: Any, first: dict[str, Any], last: dict[str, Any]
) -> Flow:
    running.control("pause")
    end = running.ask("facts")
    counts: list[int] = []
    while sum(counts) < end["sent"]:  # what is on its way still comes
        time.sleep(0.1)
        mine.send("count")
        before, counts = counts, mine.recv()
        if counts == before:
            break
    mine.send("stop")
    told = mine.recv()
    process.join()
    stopped = running.stop()
    wall = last["wall"] - first["wall"]
    return Flow(
        asked,
        (last["in"] - first["in"]) / wall,
        (last["sent"] - first["sent"]) / wall,
        told["bytes"] / max(1, sum(told["counts"])) * (last["sent"] - first["sent"]) / wall / 1e6,
        percentile(told["lags"], 0.50),
        percentile(told["lags"], 0.99),
        (last["cpu"] - first["cpu"]) / wall,
        told["cpu"] / (end["wall"] - first["wall"]),
        end["sent"] - sum(told["counts"]) + told["broken"] + end["dropped"] + end["slow"] + stopped["mishaps"],
        last["behind_s"],
    )


def natural_rate() -> float:
    """Return how many messages a second all symbols have together when they play at their own pace."""
    made = options(World(SYMBOLS, 1.0))
    replay = Replay([], Instruments(list(made.specs)), made.labels, time.time_ns())
    first = replay.begin_ns + round((SYMBOLS * SHIFT_S + 2) * 1e9)
    played = takewhile(lambda batch: batch[0] < first + 30 * 10**9, replay)
    return sum(stamp >= first for stamp, _ in played) / 30


# ---------------------------------------------------------------------- orders


@dataclass(frozen=True)
class Orders:
    """What a rate of orders came to.

    Attributes
    ----------
    asked, done : float
        Requests a second, places and cancels alike: that were to be sent, that were answered.
    p50_ms, p99_ms : float
        From the moment at which a request was due to its answer.
    server : float
        Share of a core.
    refused : int
    """

    asked: float
    done: float
    p50_ms: float
    p99_ms: float
    server: float
    refused: int


class Desk(WSListener):
    """One connection of the request API."""

    def __init__(self) -> None:
        self.due: dict[int, float] = {}
        self.took: list[float] = []
        self.refused = 0
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the connection."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """Take an answer."""
        if frame.msg_type == WSMsgType.TEXT:
            now = time.perf_counter()
            answer = orjson.loads(frame.get_payload_as_bytes())
            self.took.append(now - self.due.pop(answer["id"]))
            self.refused += answer["status"] != 200

    def ask(self, number: int, due: float, method: str, **params: Any) -> None:
        """Send a signed request."""
        params |= {"apiKey": KEY, "timestamp": time.time_ns() // 10**6}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
        self.due[number] = due
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, orjson.dumps({"id": number, "method": method, "params": params}))


def orders(asked: float, seconds: float, profile: str = "", history: str = "") -> Orders:
    """Place and cancel orders at a rate, whatever the answers take."""
    running = Running(World(5, 1.0, replays=False, history=history, profile=profile))
    running.control("resume")
    first = running.ask("profile")
    desk, taken = uvloop.run(_trade(running.opened["port"], asked, seconds))
    last = running.ask("facts")
    running.stop()
    took = sorted(one * 1000 for one in desk.took)
    return Orders(
        asked, len(took) / taken, percentile(took, 0.5), percentile(took, 0.99),
        (last["cpu"] - first["cpu"]) / (last["wall"] - first["wall"]), desk.refused + len(desk.due),
    )  # fmt: skip


async def _trade(port: int, asked: float, seconds: float, flow: int = 0) -> tuple[Desk, float]:
    desk = Desk()
    await ws_connect(lambda: desk, f"ws://127.0.0.1:{port}/ws-fapi/v1")
    price = await asyncio.get_running_loop().run_in_executor(None, far_price, port)
    began = time.perf_counter()
    for number in range(int(asked * seconds)):
        due = began + number / asked
        while (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait if wait > 0.001 else 0)
        name = f"o{flow}-{number // 2}"
        if number % 2:
            desk.ask(number, due, "order.cancel", symbol="BTCUSDT", origClientOrderId=name)
        else:
            desk.ask(
                number, due, "order.place", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                quantity="0.1", price=price, newClientOrderId=name,
            )  # fmt: skip
        if number % 64 == 0:
            await asyncio.sleep(0)
    sent = time.perf_counter()
    while desk.due and time.perf_counter() < sent + 30:
        await asyncio.sleep(0.01)
    taken = time.perf_counter() - began
    assert desk.transport is not None
    desk.transport.disconnect()
    return desk, max(taken, seconds)


def far_price(port: int) -> str:
    """Return a price three percent below the touch, so that nothing fills."""
    with urlopen(f"http://127.0.0.1:{port}/fapi/v1/ticker/bookTicker?symbol=BTCUSDT") as answer:
        return f"{float(orjson.loads(answer.read())['bidPrice']) * 0.97:.1f}"


# ---------------------------------------------------------------------- memory


@dataclass(frozen=True)
class Memory:
    """What an hour of exchange time left behind.

    Attributes
    ----------
    what : str
    minutes : float
        Of exchange time.
    begin_mib, end_mib : float
        Resident memory after the first tenth and at the end.
    slope_kib : float
        Growth a minute of exchange time over the second half.
    orders : int
    """

    what: str
    minutes: float
    begin_mib: float
    end_mib: float
    slope_kib: float
    orders: int


def memory(seconds: float, speed: float, rate: float) -> Memory:
    """Watch the memory of a synthetic market at a speed, with orders at a rate."""
    running = Running(World(2, speed, replays=False))
    running.control("resume")
    began, sent = time.monotonic(), 0
    samples = [(0.0, running.ask("facts")["rss"])]
    for number in range(STEPS):
        if rate:
            desk, _ = uvloop.run(_trade(running.opened["port"], rate, seconds / STEPS, number))
            sent += len(desk.took)
        else:
            time.sleep(seconds / STEPS)
        samples.append((time.monotonic() - began, running.ask("facts")["rss"]))
    running.stop()
    (t0, m0), (t1, m1) = samples[STEPS // 2], samples[-1]
    what = f"market and {rate:g} order requests/s" if rate else "market alone"
    return Memory(
        what, t1 * speed / 60, samples[1][1] / 2**20, samples[-1][1] / 2**20,
        (m1 - m0) / 1024 / ((t1 - t0) * speed / 60), sent,
    )  # fmt: skip


# ---------------------------------------------------------------------- the page

METHOD = """\
## Method · 측정 방법

Server and clients are processes of their own on one machine, so they share its cores; the load stands below. The limits
of weight and orders are raised, everything else is as by default. No history is written where nothing else is said.

- Market data: {symbols} symbols, all with the tick and lot of BTCUSDT, play {recordings}, each
  {shift:g} s later than the one before, at the speed that gives the rate that is asked for ({natural:,.0f} messages a
  second at 1x, on average). {readers} connections of one other process each hear `bookTicker`, `trade` and `depth@0ms`
  of all symbols. Lag: from `E` in one message of {sampled} (cut to whole milliseconds of exchange time) to its reader,
  in milliseconds of the wall's time. Lost: sent but not read, or a break in a book's chain. A rate is kept when the
  99th percentile of the lag is below {kept:g} ms and the replay is on time; recorded traffic comes in bursts, so the
  server stands still a part of the time at every rate that is kept. The processor's time a message says what a core
  of its own could do, whatever else ran on this machine.
- Orders: over one connection of `ws-fapi`, signed, placed three percent below the touch of a synthetic market of five
  symbols and cancelled; an open loop, so a request's time counts from when it was due.
- Memory: resident memory of a synthetic market of two symbols at {speed:g} times its pace; the slope is over the
  second half. What has a bound (candles, trades, orders' history) is still filling up in an hour.

"""


def page(flows: list[Flow], trades: list[Orders], memories: list[Memory], natural: float) -> str:
    """Return the page in Markdown."""
    names = ", ".join(f"`{path.name}`" for files in recordings() for path in files)
    method = METHOD.format(
        symbols=SYMBOLS, recordings=names, shift=SHIFT_S,
        natural=natural, readers=READERS, sampled=SAMPLED, kept=KEPT_MS, speed=60,
    )  # fmt: skip
    facts = [f"- {name}: {value}" for name, value in machine().items()]
    lines = [
        "# The exchange on loopback under load · 모의 거래소 부하 시험",
        "",
        "Generated by `python -m benchmarks.loopback`; do not edit.",
        "",
        *summary(flows, trades),
        "",
        method,
        "## Market data · 시장 데이터",
        "",
        *markdown(FLOW_HEAD, map(flow_row, flows)),
        "",
        "## Orders · 주문",
        "",
        *markdown(ORDER_HEAD, map(order_row, trades)),
        "",
        "## Memory · 메모리",
        "",
        *markdown(MEMORY_HEAD, map(memory_row, memories)),
        "",
        "## Machine · 측정 환경",
        "",
        *facts,
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
    ]
    return "\n".join(lines)


def summary(flows: list[Flow], trades: list[Orders]) -> list[str]:
    """Return what came out, in a few lines."""
    kept = [one for one in flows if one.is_kept]
    most = max(kept, key=lambda one: one.taken, default=None)
    full = max(flows, key=lambda one: one.taken)
    good = list(takewhile(lambda one: one.p99_ms <= TAIL * one.p50_ms and one.refused == 0, trades))
    first = trades[len(good)] if len(good) < len(trades) else None
    return [
        f"- Market data: {most.taken:,.0f} messages/s in and {most.sent:,.0f} out are kept up with."
        if most
        else "- Market data: no rate was kept.",
        f"- Market data, as fast as it goes: {full.taken:,.0f} messages/s in and {full.sent:,.0f} out;"
        f" {sum(one.lost for one in flows)} lost at any rate. The 20,000 in that were aimed at are"
        f" {'reached' if full.taken >= 20_000 else 'not reached'}.",
        f"- Orders: p99 stays within {TAIL:g} times the median up to {max((o.asked for o in good), default=0):,.0f}/s"
        + (f"; at {first.asked:,.0f}/s it does not." if first else "."),
    ]


FLOW_HEAD = (
    "asked/s",
    "in/s",
    "out/s",
    "MB/s",
    "lag p50, ms",
    "p99, ms",
    "server CPU",
    "us a message",
    "readers CPU",
    "lost",
    "",
)
ORDER_HEAD = ("asked/s", "answered/s", "p50 ms", "p99 ms", "p99/p50", "server CPU", "refused or late")
MEMORY_HEAD = ("what", "exchange minutes", "MiB early", "MiB at the end", "KiB a minute", "order requests")


def flow_row(one: Flow) -> tuple[str, ...]:
    """Return a row of the table of market data."""
    verdict = "kept" if one.is_kept else f"not kept: {one.behind_s:.1f} s behind"
    return (
        f"{one.asked:,.0f}", f"{one.taken:,.0f}", f"{one.sent:,.0f}", f"{one.megabytes:.1f}", f"{one.p50_ms:.1f}",
        f"{one.p99_ms:.1f}", f"{one.server:.0%}", f"{one.server / max(one.taken, 1) * 1e6:.0f}",
        f"{one.readers:.0%}", str(one.lost), verdict,
    )  # fmt: skip


def order_row(one: Orders) -> tuple[str, ...]:
    """Return a row of the table of orders."""
    return (
        f"{one.asked:,.0f}", f"{one.done:,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}",
        f"{one.p99_ms / one.p50_ms:.1f}", f"{one.server:.0%}", str(one.refused),
    )  # fmt: skip


def memory_row(one: Memory) -> tuple[str, ...]:
    """Return a row of the table of memory."""
    return (
        one.what, f"{one.minutes:.0f}", f"{one.begin_mib:.1f}", f"{one.end_mib:.1f}", f"{one.slope_kib:.1f}",
        f"{one.orders:,}",
    )  # fmt: skip


def markdown(head: tuple[str, ...], rows: Any) -> list[str]:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---:|" * len(head)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def plain(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table for a terminal."""
    table = [head, *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table)


def main() -> int:
    """Measure, print, write the page."""
    logging.disable(logging.WARNING)  # picows tells every pause of writing
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loopback", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds a figure, no page")
    parser.add_argument("--profile", metavar="FILE", help="profile the server at the first rate; nothing else")
    parser.add_argument("--rate", type=float, default=ASKED[0], help="that rate")
    parser.add_argument("--orders", action="store_true", help="profile orders, not market data")
    given = parser.parse_args()
    natural = natural_rate()
    if given.profile:
        seconds = 8.0
        if given.orders:
            print(plain(ORDER_HEAD, [order_row(orders(given.rate, seconds, given.profile))]))
        else:
            print(plain(FLOW_HEAD, [flow_row(flow(given.rate, seconds, READERS, natural, given.profile))]))
        return 0
    flows = until_lost((lambda rate=rate: flow(rate, 4.0 if given.quick else 12.0, READERS, natural)) for rate in ASKED)
    print(plain(FLOW_HEAD, [flow_row(one) for one in flows]), flush=True)
    trades = [orders(rate, 2.0 if given.quick else 10.0) for rate in ORDERS]
    print(plain(ORDER_HEAD, [order_row(one) for one in trades]), flush=True)
    memories = [memory(6.0 if given.quick else 60.0, 60.0, rate) for rate in (0.0, 50.0)]
    print(plain(MEMORY_HEAD, [memory_row(one) for one in memories]))
    if not given.quick:
        # What `benchmarks.client_load` wrote behind it stays.
        _, heading, rest = PAGE.read_text(encoding="utf-8").partition("\n## A run on its streams")
        PAGE.write_text(page(flows, trades, memories, natural) + heading + rest, encoding="utf-8")
    return 0


def until_lost(measures: Iterable[Callable[[], Flow]]) -> list[Flow]:
    """Return the flows up to the first of which less than four fifths went in."""
    flows: list[Flow] = []
    for measure in measures:
        flows.append(measure())
        print(flow_row(flows[-1]), file=sys.stderr)
        if flows[-1].taken < 0.8 * flows[-1].asked:
            break
    return flows


if __name__ == "__main__":
    sys.exit(main())
