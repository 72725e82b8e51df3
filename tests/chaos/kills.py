"""A run that trades and is killed, again and again, each time taken up by the next.

Knows how a run is ended at a moment of time, or at a call that changes its journal or its state, and how long the next
one takes to a state in which both sides agree. What really happened is read from the exchange's history and the runs'
journals, not from what a run says of itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from protection import unprotected

from autotrader.adapters.control import ask
from autotrader.adapters.loopback.history import Algo, Order, Reader
from autotrader.errors import AutotraderError
from core_ext.journal import read_journal
from core_ext.types import Kind

SECOND_NS = 10**9
STATE = Path("state")
ROOM = 1_000
"""Weight used in a minute at which nothing more is started: a start would wait."""
ENDINGS = ("time", "before", "after", "torn")
"""When a run is killed: some time after it began to trade, or at a call on its files."""


@dataclass
class Found:
    """What many kills came to.

    Attributes
    ----------
    safe_s : list of float
        From the start of a process to a reconciled state with all gates open.
    bare_s, dead_s : list of float
        Times without a stop: while a run was there, and around a kill.
    kills : Counter
        By manner.
    away, waits : list of (int, int)
        From when until when nobody reconciled was there, and when we waited before a start, ns of the exchange.
    unwritten, twice : list of str
        Orders that the exchange took and no journal holds, and those that it took twice.
    """

    safe_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    dead_s: list[float] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    away: list[tuple[int, int]] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    orders: int = 0


def started(config: Path, out: Path, death: dict[str, str]) -> subprocess.Popen[str]:
    """Start a run; ``death`` is what the preloaded library is told."""
    command = [sys.executable, "-m", "autotrader.cli", "--json", "run", str(config), "--mode", "testnet"]
    environment = os.environ | death
    return subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def safe(run: subprocess.Popen[str], seconds: float) -> bool:
    """Wait until a run has all its gates open; return whether it came to that before it ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and run.poll() is None:
        with suppress(AutotraderError):
            status = ask(STATE, "status", {}, 2.0)
            if not status.gates and not status.orders_unknown:
                return True
        time.sleep(0.02)
    if run.poll() is None:
        raise AssertionError("no safe state in time")
    return False


def killed(config: Path, port: int, kills: int, random: Random, library: Path) -> Found:
    """Start and kill a run so many times, and once more let it end; say what was found."""
    found = Found()
    for number in range(kills + 1):
        manner = "end" if number == kills else ENDINGS[number % len(ENDINGS)]
        found.waits.append(waited_for_room(port))
        # What an operator would do who knows why it crashed: a crash loop would not let it trade.
        (STATE / "starts").unlink(missing_ok=True)
        begun = time.monotonic()
        run = started(config, Path(f"out-{number}"), _death(manner, library, random))
        try:
            if safe(run, 60):
                found.safe_s.append(time.monotonic() - begun)
                found.away[-1:] = [(since, exchange_ns(port)) for since, _ in found.away[-1:]]
                with suppress(subprocess.TimeoutExpired):
                    run.wait(random.uniform(0.0, 4.0))
            run.send_signal(signal.SIGINT if manner == "end" else signal.SIGKILL)
            code = run.wait(60)
            assert code in (0, -signal.SIGKILL), (manner, code, run.stdout and run.stdout.read())
        finally:
            run.kill()
            assert run.stdout is not None
            run.stdout.close()
        found.away.append((exchange_ns(port), sys.maxsize))
        found.kills[manner] += 1
    return found


def _death(manner: str, library: Path, random: Random) -> dict[str, str]:
    if manner not in ("before", "after", "torn"):
        return {}
    at = random.randint(1, 12) if random.random() < 0.5 else random.randint(12, 400)
    word = random.choice(("/journal/", f"/{STATE}/"))
    return {"LD_PRELOAD": str(library), "DIE_HOW": manner, "DIE_WORD": word, "DIE_AT": str(at)}


def waited_for_room(port: int) -> tuple[int, int]:
    """Wait where starts of this minute have used up much of what an address may ask; return from when until when."""
    begun_ns = exchange_ns(port)
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/fapi/v1/time", timeout=10) as answer:
            if int(answer.headers["X-MBX-USED-WEIGHT-1M"]) < ROOM:
                return begun_ns, exchange_ns(port)
        time.sleep(1.0)


def exchange_ns(port: int) -> int:
    """Return the exchange's time, ns."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/fapi/v1/time", timeout=10) as answer:
        return int(json.loads(answer.read())["serverTime"]) * 10**6


def judged(found: Found, history: Path) -> Found:
    """Read what happened from the exchange's history and the runs' journals."""
    taken: Counter[str] = Counter()
    for record in Reader(history):
        if getattr(record, "account", -1) != 0:
            continue
        if (isinstance(record, Order) and not record.algo) or (isinstance(record, Algo) and record.status == "NEW"):
            taken[record.client] += 1
    written = {name for path in sorted(Path().glob("out-*/journal/*.seg")) for name in _asked(path)}
    found.orders = sum(taken.values())
    found.unwritten = sorted(set(taken) - written)
    found.twice = sorted(name for name, count in taken.items() if count > 1)
    for begun, ended in unprotected(history):
        is_away = any(begun <= back and ended >= gone - 10**6 for gone, back in found.away)
        ours_ns = sum(max(0, min(ended, until) - max(begun, since)) for since, until in found.waits)
        (found.dead_s if is_away else found.bare_s).append((ended - begun - ours_ns) / SECOND_NS)
    return found


def _asked(journal: Path) -> Iterator[str]:
    for block in read_journal(str(journal)):
        rows = block.array()
        for row in rows[rows["kind"] == int(Kind.ORDER)]:
            yield f"at{int(row['a']):016x}"


def spreads(found: Found) -> dict[str, Any]:
    """Return the figures of a report."""
    return {
        "kills": dict(found.kills), "orders": found.orders, "safe_s": spread(found.safe_s),
        "unprotected_s": spread(found.bare_s), "unprotected_around_kills_s": spread(found.dead_s),
        "unwritten": len(found.unwritten), "twice": len(found.twice),
    }  # fmt: skip


def spread(times: list[float]) -> dict[str, float]:
    """Return how many there are, their median, 99th percentile and maximum."""
    if not times:
        return {"n": 0}
    middle, high, most = np.quantile(times, [0.5, 0.99, 1.0]).round(3).tolist()
    return {"n": len(times), "p50": middle, "p99": high, "max": most}
