"""Load a run with 25 symbols at ten times their pace, print the table, write its part of docs/loopback-load.md.

Knows how an exchange that replays re-labelled recordings again and again and a run on its streams are started as
processes of their own, and what is read of both. Refuses to know how either works. Every number comes from the run that
wrote it.

Run it with ``python -m benchmarks.client_load``; ``--quick`` takes some seconds a run and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

from autotrader import instruments
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.sources import Batch, Replay
from autotrader.config import load, template
from autotrader.run import live, trading
from benchmarks.long_run import resident_bytes
from benchmarks.loopback import (
    KEY,
    PAGE,
    SECRET,
    SHIFT_S,
    SPAWN,
    World,
    markdown,
    options,
    percentile,
    plain,
    recordings,
)
from benchmarks.machine import machine
from core_ext.journal import read_journal
from core_ext.types import Kind

SYMBOLS, PACE = 25, 10.0
WARM_S = 10.0
LOOK_S = 0.005
MOST_BEHIND_NS = 10**8
LATE_NS = 500_000_000
"""What is said so shortly before the run's end, or behind it, need not reach the run: its stops outlive it."""
HEADING = "## A run on its streams · 실행"
NUMBERED = {int(Kind.SNAPSHOT): "a", int(Kind.DEPTH): "abc", int(Kind.TOUCH): "a"}


class Looped(Replay):
    """A replay that begins anew when it ends, faster than it was recorded, by a clock that goes as clocks do.

    Update ids go on, so that nobody sees a step back.
    """

    pace = 1.0
    played = 0  # messages of all laps
    now: Callable[[], int]

    def __iter__(self) -> Iterator[Batch]:
        """Play for ever."""
        begun_ns, end_ns, shifts = self.begin_ns, self.begin_ns, dict[int, int]()
        while True:
            tops = dict[int, int]()
            for _, rows in super().__iter__():
                rows["ts"] = begun_ns + ((rows["ts"] - self.begin_ns) / self.pace).astype(np.int64)
                behind_ns = self.now() - int(rows["ts"][-1])
                if behind_ns > MOST_BEHIND_NS:  # an exchange that cannot keep the pace plays on, and sends no old news
                    begun_ns += behind_ns
                    rows["ts"] += behind_ns
                end_ns = max(end_ns, int(rows["ts"][-1]))
                kind, symbol = int(rows["kind"][0]), int(rows["symbol"][0])
                for word in NUMBERED.get(kind, ""):
                    rows[word][0] += shifts.get(symbol, 0) if rows[word][0] >= 0 else 0
                if kind in NUMBERED:
                    tops[symbol] = max(tops.get(symbol, 0), int(rows["b" if kind == Kind.DEPTH else "a"][0]))
                self.played += 1
                yield int(rows["ts"][-1]), rows
            begun_ns, shifts = end_ns + 10**9, {symbol: top + 1000 for symbol, top in tops.items()}
            # A diff that does not follow: only a book with a hole takes the snapshot with which a recording begins.
            for symbol, last in shifts.items():
                yield begun_ns, market_row(Kind.DEPTH, symbol, begun_ns, last, last, last - 1)


def chosen(symbols: int, history: str = "") -> Options:
    """Return how the exchange is made: symbols of the shipped table, all with the tick and lot of BTCUSDT."""
    made = options(World(symbols, 1.0, history=history))
    names = ["BTCUSDT", *(name for name in instruments.load() if name != "BTCUSDT")][:symbols]
    specs: list[Any] = [{**made.specs[0], "symbol": name} for name in names]
    # Recordings with marks of their own and such without do not go together.
    files = [paths for paths in recordings() if "20230404" not in paths[0].name] or recordings()
    labels = {name: (files[k % len(files)], k * SHIFT_S) for k, name in enumerate(names)}
    return replace(made, specs=specs, labels=labels)


# ---------------------------------------------------------------------- the exchange's process


def serve(symbols: int, pace: float, history: str, pipe: Connection) -> None:
    """Be the exchange: tell the port, and at every word what has been sent; until told to stop."""
    uvloop.run(_serve(symbols, pace, history, pipe))


async def _serve(symbols: int, pace: float, history: str, pipe: Connection) -> None:
    made = chosen(symbols, history)
    server = Server(made)
    server.replay = Looped([], server.instruments, made.labels, server.clock.start_ns)
    server.replay.pace, server.replay.now = pace, server.clock.now
    told = 0
    tell = server.events.tell

    def counted(key: str, account: str, event: str, symbol: str | None, payload: bytes) -> None:
        nonlocal told
        told += event == "ORDER_TRADE_UPDATE" and server.hub.listening(key)
        tell(key, account, event, symbol, payload)

    server.events.tell = counted  # type: ignore[method-assign]
    port = await server.open()
    hours = asyncio.create_task(server.run())
    while not all(book.is_usable for book in server.exchange.books):
        await asyncio.sleep(0.05)
    server._let_run(True)
    pipe.send(port)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv) != "stop":
        pipe.send(
            {
                "in": server.replay.played,
                "sent": sum(socket.sent for socket in server.hub.sockets),
                "dropped": sum(socket.dropped for socket in server.hub.sockets) + server.hub.slow_closed,
                "orders": told,
                "cpu": time.process_time(),
                "wall": time.monotonic(),
            }
        )
    server.stop()
    await hours
    pipe.send("stopped")


# ---------------------------------------------------------------------- the run's process


def trade(mode: str, symbols: int, port: int, seconds: float, folder: str, pipe: Connection) -> None:
    """Be the run: trade for some seconds, and tell what the loop and the memory did meanwhile."""
    logging.disable(logging.WARNING)
    os.chdir(folder)
    os.environ |= {"AUTOTRADER_API_KEY": KEY, "AUTOTRADER_API_SECRET": SECRET.decode()}
    specs = chosen(symbols).specs
    text = template("quoter", [spec["symbol"] for spec in specs], "en", mode)
    for key, value in {"profile": '"loopback"', "port": port}.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    Path("c.toml").write_text(text, encoding="utf-8")
    config = load(Path("c.toml"))
    # Lags in tenths of a millisecond: what is kept here must not grow.
    told: dict[str, Any] = {"lags": Counter(), "memory": []}
    hours = trading.TradingHours if mode == "testnet" else live.Hours
    works = hours._works

    def watched(self: Any) -> Any:
        return (*works(self), _watch(self, told))

    hours._works = watched  # type: ignore[method-assign,assignment]
    if mode == "paper":
        live.OnlineRun._specified = _listed(specs)  # type: ignore[method-assign]
    run = trading.run_trading if mode == "testnet" else live.run_online
    summary = run(config, seconds, Path("out"), _ignore)
    told |= {"cpu": told.get("cpu", 0.0), "warnings": len(summary["warnings"])}
    pipe.send(told)


def _listed(specs: Any) -> Any:
    # PAPER takes ticks and lots from the shipped table; those of a re-labelled recording are BTCUSDT's.
    return lambda run: ([{**spec, "leverage": run.config.run.leverage} for spec in specs], [])


def _ignore(share: float, what: str) -> None:
    """Leave the progress to whoever looks at the clock."""


async def _watch(hours: Any, told: dict[str, Any]) -> None:
    await asyncio.sleep(WARM_S)
    driver, begun = hours.driver, time.monotonic()
    first = time.process_time(), driver.lines
    sampled = begun
    while True:
        due = time.monotonic() + LOOK_S
        await asyncio.sleep(LOOK_S)
        now = time.monotonic()
        told["lags"][round((now - due) * 1e4)] += 1
        if now - sampled >= 1.0:
            sampled = now
            told["memory"].append((now - begun, resident_bytes()))
            told |= {
                "cpu": (time.process_time() - first[0]) / (now - begun),
                "rate": (driver.lines - first[1]) / (now - begun),
                "lines": driver.lines,
            }


# ---------------------------------------------------------------------- both


@dataclass(frozen=True)
class Load:
    """What a run under load came to.

    Attributes
    ----------
    mode : str
    seconds : float
    played, taken : float
        Messages a second that the exchange played, of all its streams; and that the run took of those it listens to.
    cpu : float
        Share of a core.
    p50_ms, p99_ms, max_ms : float
        Lag of the run's loop.
    orders, fills : int
        That the run has journalled.
    missing : int
        Fills and ends of its orders that the exchange's history has and the run's journal has not.
    dropped : int
        Messages that the exchange could not deliver.
    early_mib, late_mib : float
        Resident memory after warming up and at the end.
    slope_mib_h : float
        Growth an hour over the second half.
    """

    mode: str
    seconds: float
    played: float
    taken: float
    cpu: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    orders: int
    fills: int
    missing: int
    dropped: int
    early_mib: float
    late_mib: float
    slope_mib_h: float


def load_run(mode: str, seconds: float, symbols: int = SYMBOLS, pace: float = PACE) -> Load:
    """Let a run of a mode trade on an exchange under load for some seconds behind its warming up."""
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder, "history.jsonl")
        mine, theirs = SPAWN.Pipe()
        exchange = SPAWN.Process(target=serve, args=(symbols, pace, str(history), theirs))
        exchange.start()
        port = mine.recv()
        mine.send("facts")
        first = mine.recv()
        own, its = SPAWN.Pipe()
        arguments = (mode, symbols, port, seconds + WARM_S, folder, its)
        client = SPAWN.Process(target=trade, args=arguments)
        client.start()
        its.close()
        try:
            told = own.recv()
        except EOFError:
            raise SystemExit(f"{mode}: the run ended without a word") from None
        finally:
            client.join()
            mine.send("facts")
            facts = mine.recv()
            facts["rate"] = (facts["in"] - first["in"]) / (facts["wall"] - first["wall"])
            mine.send("stop")
            with suppress(EOFError):
                mine.recv()
            exchange.join()
        kept, end_ns = counted(Path(folder, "out/journal/000000.seg"))
        return _load(mode, seconds, told, facts, kept, said(history, end_ns - LATE_NS) if mode == "testnet" else {})


def _load(mode: str, seconds: float, told: dict[str, Any], facts: dict[str, Any], kept: Any, truth: Any) -> Load:
    lags = sorted(lag / 10 for lag in told["lags"].elements())
    memory = told["memory"] or [(0.0, 0)]
    half = memory[len(memory) // 2 :]
    slope = float(np.polyfit(*zip(*half, strict=True), 1)[0]) if len(half) > 2 else float("nan")
    return Load(
        mode, seconds, facts["rate"],
        told["rate"], told["cpu"], percentile(lags, 0.5), percentile(lags, 0.99), lags[-1],
        kept["ORDER"], kept["FILL"], sum(max(0, count - kept[kind]) for kind, count in truth.items()),
        facts["dropped"], memory[0][1] / 2**20, memory[-1][1] / 2**20, slope * 3600 / 2**20,
    )  # fmt: skip


def counted(journal: Path) -> tuple[dict[str, int], int]:
    """Return how many rows of each kind a journal has, and its last stamp."""
    found, end_ns = dict.fromkeys(Kind.__members__, 0), 0
    for block in read_journal(str(journal)):
        end_ns = max(end_ns, int(block.array()["ts"].max()))
        for kind, count in zip(*np.unique(block.array()["kind"], return_counts=True), strict=True):
            found[Kind(int(kind)).name] += int(count)
    return found, end_ns


def said(history: Path, until_ns: int) -> dict[str, int]:
    """Return what the exchange has said of the account's orders until then, by the kind of row that it becomes."""
    records = [orjson.loads(line) for line in history.read_bytes().splitlines()]
    mine = [record for record in records if record.get("account") == 0 and record["t"] < until_ns]
    return {
        "FILL": sum(record["k"] == "fill" for record in mine),
        "CANCELED": sum(record["k"] == "end" and record["how"] == "CANCELED" for record in mine),
    }


# ---------------------------------------------------------------------- the page

HEAD = (
    "mode", "seconds", "played/s",
    "taken/s", "CPU", "loop lag p50, ms", "p99, ms", "max, ms", "orders", "fills", "missing",
    "dropped", "MiB early", "MiB late", "MiB an hour",
)  # fmt: skip


def row(one: Load) -> tuple[str, ...]:
    """Return a row of the table."""
    return (
        one.mode.upper(), f"{one.seconds:.0f}", f"{one.played:,.0f}",
        f"{one.taken:,.0f}", f"{one.cpu:.0%}", f"{one.p50_ms:.2f}",
        f"{one.p99_ms:.1f}", f"{one.max_ms:.1f}", f"{one.orders:,}", f"{one.fills:,}", str(one.missing),
        str(one.dropped), f"{one.early_mib:.1f}", f"{one.late_mib:.1f}", f"{one.slope_mib_h:.1f}",
    )  # fmt: skip


def part(loads: list[Load]) -> str:
    """Return the page's part in Markdown."""
    lines = [
        HEADING,
        "",
        "Generated by `python -m benchmarks.client_load`; do not edit. A run and the exchange are processes.",
        f"{SYMBOLS} symbols play the recordings again and again, each {SHIFT_S:g} s later than the one before,",
        f"{PACE:g} times as fast as they were recorded, or as fast as the exchange goes; the clocks go as clocks do.",
        "The run trades all of them.",
        f"It is looked at from {WARM_S:g} s on. Loop lag: what a sleep of {LOOK_S * 1e3:g} ms lasts longer.",
        "Missing: fills and cancellations that the exchange's history has and the run's journal has not; PAPER has its",
        "venue in its own process. The slope of memory is that of the second half.",
        "",
        *markdown(HEAD, map(row, loads)),
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load: {machine()['load']}",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write the part of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client_load", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some seconds a run, nothing is written")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each run")
    parser.add_argument("--pace", type=float, default=PACE, help="pace of the recordings")
    given = parser.parse_args()
    seconds = 10.0 if given.quick else given.seconds
    loads = [load_run(mode, seconds, SYMBOLS, given.pace) for mode in ("paper", "testnet")]
    print(plain(HEAD, [row(one) for one in loads]))
    if not given.quick:
        text = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
        PAGE.write_text(text.rstrip() + "\n\n" + part(loads), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
