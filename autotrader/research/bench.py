"""The latency report of `autotrader bench`: the order path and its steps against their budgets.

Knows the budgets and what an installed wheel can measure of itself: it needs no compiler, no network and
no files but the shipped sample. Refuses to know other programs; `benchmarks/` compares with those.
"""

from __future__ import annotations

import gc
import gzip
import hmac
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader import config as configuration
from autotrader import instruments as facts
from autotrader.errors import OperatorError, StateError
from autotrader.messages import language
from autotrader.models.performance import histogram_quantiles
from autotrader.research.replay import Plan, Progress, Session, limits, sizing
from core_ext.book import Book
from core_ext.engine import Engine
from core_ext.strategy import Desk, Strategy
from core_ext.types import EVENT_DTYPE, Flag, Kind, Side, Status, TimeInForce
from core_ext.wire import Scanner

__all__ = ["run"]

SAMPLE = "samples/btcusdt_l2_20230404.gz"
SYMBOL = "BTCUSDT"
UNIT_NS = 1_000  # the sample's stamps are microseconds
REPLAYS = 20
PAUSE_NS = 60_000_000  # between two orders: below every rate limit that a configuration may open
ORDER_PATH_NS, RISK_CHECK_NS, POSITION_UPDATE_NS = 100_000_000, 10_000_000, 100_000_000
SHARES = (0.5, 0.99, 0.999)
KEY = bytes(64)
PARAMETERS = b"newClientOrderId=at0000000100000001&quantity=0.004&side=BUY&symbol=BTCUSDT&type=MARKET"
# An edge that sizes to more than the exchange's minimum, so that every cap is computed.
EDGE = (0.8, 0.6, 0.09, 0.5, 0.5)

Times = list[int]

BUDGETS_NS = {
    "wire": ORDER_PATH_NS,
    "order": ORDER_PATH_NS,
    "size": ORDER_PATH_NS,
    "risk": RISK_CHECK_NS,
    "fill": POSITION_UPDATE_NS,
    "parse": ORDER_PATH_NS,
    "book": ORDER_PATH_NS,
    "sign": ORDER_PATH_NS,
}
WORDS = {
    "en": {
        "wire": "wire to order",
        "order": "size, risk, order",
        "size": "sizing",
        "risk": "risk check",
        "fill": "position update after a fill",
        "parse": "message parse",
        "book": "book update",
        "sign": "signature (HMAC-SHA256)",
        "text": (
            "The shipped sample ({messages:,} messages) was replayed {replays} times: {orders:,} quoted orders. "
            '"{wire}" is taken inside the compiled driver, from the arrival of a message to its approved orders; the '
            "other lines are taken around single calls from Python and include the call (reading the clock alone: "
            "{clock} ns). Budgets: order path 100 ms, risk check 10 ms, position update 100 ms. The network is not "
            "in it. {cpu}, Python {python}."
        ),
    },
    "ko": {
        "wire": "메시지 수신에서 주문까지",
        "order": "수량 산정·리스크 검사·주문",
        "size": "주문 수량 산정",
        "risk": "리스크 검사",
        "fill": "체결 후 포지션 갱신",
        "parse": "메시지 해석",
        "book": "호가창 갱신",
        "sign": "주문 서명 (HMAC-SHA256)",
        "text": (
            "내장 샘플(메시지 {messages:,}건)을 {replays}회 재생해 호가 주문 {orders:,}건을 측정했습니다. "
            '"{wire}" 항목은 컴파일된 드라이버 안에서 메시지 도착부터 주문 승인까지 잰 값이며, 나머지 항목은 '
            "Python에서 한 번 호출할 때마다 잰 값으로 호출 비용을 포함합니다(시계 읽기만 {clock} ns). "
            "허용치는 주문 경로 100 ms, 리스크 검사 10 ms, 포지션 갱신 100 ms입니다. "
            "네트워크 지연은 포함하지 않습니다. {cpu}, Python {python}."
        ),
    },
}


@dataclass(frozen=True)
class Sample:
    """The shipped recording and the plan of a quoter on it.

    Attributes
    ----------
    lines : bytes
        Recorder lines.
    messages : list of (bytes, int)
        Message and local stamp, ns.
    plan : Plan
    """

    lines: bytes
    messages: list[tuple[bytes, int]]
    plan: Plan


def run(progress: Progress) -> dict[str, Any]:
    """Measure the order path and its steps on the shipped sample.

    Parameters
    ----------
    progress : callable
        Told the share that is done and what is being measured.

    Returns
    -------
    dict
        ``rows``: a dict each with ``name``, ``p50_ns``, ``p99_ns``, ``p999_ns``, ``max_ns``, ``budget_ns``,
        ``ratio`` (p99 / budget) and ``count``; ``text``: how it was measured, in the current language.

    Raises
    ------
    OperatorError
        If the installation lacks the sample.
    StateError
        If the sample leads to no order: then nothing was measured.
    """
    words = WORDS[language()]
    progress(0.0, words["parse"])
    sample = read_sample()
    with undisturbed():
        measured = dict(measures(sample, lambda share, key: progress(share, words[key])))
    progress(1.0, words["wire"])
    rows = [{"name": words[key], **measured[key], "budget_ns": budget} for key, budget in BUDGETS_NS.items()]
    for row in rows:
        row["ratio"] = row["p99_ns"] / row["budget_ns"]
    return {"rows": rows, "text": text(words, sample, measured["wire"]["count"])}


def text(words: dict[str, str], sample: Sample, orders: int) -> str:
    """Return how it was measured."""
    return words["text"].format(
        messages=len(sample.messages),
        replays=REPLAYS,
        orders=orders,
        wire=words["wire"],
        clock=round(float(np.median(clock()))),
        cpu=processor(),
        python=platform.python_version(),
    )


def measures(sample: Sample, told: Callable[[float, str], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure everything; yields each key with its distribution."""
    told(0.1, "parse")
    yield "parse", spread(parse(sample))
    told(0.2, "book")
    yield "book", spread(book(sample))
    told(0.3, "order")
    for key, times in decisions(sample).items():
        yield key, spread(times)
    told(0.6, "sign")
    yield "sign", spread(signatures())
    told(0.7, "wire")
    yield "wire", wire_to_order(sample)


def read_sample() -> Sample:
    """Return the shipped recording.

    Raises
    ------
    OperatorError
        If it is not there or cannot be read.
    """
    try:
        lines = gzip.decompress((files("autotrader") / SAMPLE).read_bytes())
    except (OSError, EOFError) as error:
        raise OperatorError(f"{SAMPLE}: cannot be read ({error}); install autotrader again") from None
    split = (line.split(b" ", 1) for line in lines.splitlines())
    return Sample(lines, [(message, int(stamp) * UNIT_NS) for stamp, message in split], plan())


def plan() -> Plan:
    """Return a quoter's paper run with the rate limits as far open as a configuration may."""
    rates = {"orders_per_second": 30, "strategy_orders_per_second": 30, "order_burst": 300, "orders_per_minute": 1200}
    config = configuration.from_dict(
        {
            "run": {"mode": "paper", "symbols": [SYMBOL], "leverage": 2},
            "sources": {"book": "l2", "mark": "stream", "funding": "none"},
            "strategy": {"name": "quoter"},
            "risk": {**rates, "duplicate_window_s": 0.0, "max_gross": 2.0, "quality_orders": 100_000},
        }
    )
    fees = facts.fee_tier(config.venue.fee_tier)
    specs, _ = facts.specs([SYMBOL], table=facts.load(), fees=fees, leverage=config.run.leverage)
    return Plan(
        config=config,
        config_values=configuration.as_dict(config),
        specs=[dict(spec) for spec in specs],
        mark_sources=[config.sources.mark],
        data=[],
        source={},
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector out of what is timed."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# ---------------------------------------------------------------------------- what is measured


def wire_to_order(sample: Sample, replays: int = REPLAYS) -> dict[str, Any]:
    """Return the driver's own latencies over so many replays; one before them warms up."""
    outcomes = [replay(sample) for _ in range(replays + 1)][1:]
    edges = max((found for (found, _), _ in outcomes), key=len)
    counts = [sum(bins) for bins in zip_longest(*(found for (_, found), _ in outcomes), fillvalue=0)]
    if not sum(counts):
        raise StateError(f"{SAMPLE}: led to no order, so there is nothing to measure")
    worst = max(longest for _, longest in outcomes)
    # A quantile is the upper edge of its bin, which may lie above the largest value.
    p50, p99, p999 = (min(edge, worst) for edge in histogram_quantiles(edges, counts, SHARES) if edge is not None)
    return {"p50_ns": p50, "p99_ns": p99, "p999_ns": p999, "max_ns": worst, "count": sum(counts)}


def replay(sample: Sample) -> tuple[tuple[list[int], list[int]], int]:
    """Run the quoter over the sample; return the latency histogram and its largest value, ns."""
    with TemporaryDirectory() as folder:
        session = Session(sample.plan, Path(folder) / "journal")
        session.start(sample.messages[0][1])
        session.driver.default_symbol = 0
        session.driver.feed_lines(sample.lines, 0, 0, UNIT_NS, 0, 1)
        outcome = session.finish()
    return outcome.latency, outcome.latency_max


def parse(sample: Sample) -> Times:
    """Return the time of reading each message."""
    scanner = Scanner(sample.plan.instruments(), 0)
    return [timed(scanner.feed, message, ts) for message, ts in sample.messages]


def book(sample: Sample) -> Times:
    """Return the time of applying each depth diff."""
    scanner, book, times = Scanner(sample.plan.instruments(), 0), Book(), []
    for message, ts in sample.messages:
        if b'"depthUpdate"' in message[:100] or message.startswith(b'{"lastUpdateId"'):
            scanner.feed(message, ts)
            times.append(timed(book.apply, scanner.rows))
    return times


def decisions(sample: Sample) -> dict[str, Times]:
    """Trade the sample from Python; return the times of sizing, risk check, whole decision and fill."""
    times: dict[str, Times] = {"size": [], "risk": [], "order": [], "fill": []}
    due = 0
    for engine, now in markets(sample):
        if now >= due and engine.desk.touch(0)[0] and engine.markets.market(0)["mark_e8"]:
            due = now + PAUSE_NS
            trade(engine, times)
    if not times["fill"]:
        raise StateError(f"{SAMPLE}: led to no order, so there is nothing to measure")
    return times


def markets(sample: Sample) -> Iterator[tuple[Engine, int]]:
    """Step an engine without a strategy through the sample; yields it after each message, with the stamp."""
    config = sample.plan.config
    rules = limits(config), sizing(config), sample.plan.start_e8, sample.plan.epoch, sample.plan.mark_sources
    engine = Engine(sample.plan.instruments(), Strategy(), *rules)
    scanner = Scanner(engine.instruments, 0)
    for message, ts in sample.messages:
        if scanner.feed(message, ts) == Status.OK:
            engine.feed(scanner.rows.array())
            yield engine, ts


def trade(engine: Engine, times: dict[str, Times]) -> None:
    """Open a position as a strategy would, or close it; an opening is timed, and so is each fill."""
    desk, held = engine.desk, engine.desk.position(0)
    bid = desk.touch(0)[0]
    client_id = desk.submit(0, Side.SELL, held, bid, TimeInForce.GTC) if held else opened(desk, bid, times)
    if client_id:
        lots = held or desk.orders.order(client_id)["lots"]
        times["fill"].append(timed(engine.feed, fill(desk.now, client_id, bid, lots, bool(held))))


def opened(desk: Desk, bid: int, times: dict[str, Times]) -> int:
    """Size and submit an entry at the bid; return its id, 0 if risk refused it."""
    started = perf_counter_ns()
    lots, factor = desk.size(0, *EDGE)
    client_id: int = desk.submit(0, Side.BUY, lots, bid, TimeInForce.GTX, False, factor)
    taken = perf_counter_ns() - started
    if client_id:
        times["order"].append(taken)
        times["size"].append(timed(desk.size, 0, *EDGE))
        times["risk"].append(timed(desk.gate.ask, 0, Side.BUY, lots, bid - 1, now=desk.now, tif=2, hold=False))
    return client_id


def fill(now: int, client_id: int, price_ticks: int, lots: int, sells: bool) -> NDArray[np.void]:
    """Return the row of a fill."""
    row = np.zeros(1, EVENT_DTYPE)
    row["kind"], row["flags"] = int(Kind.FILL), int(Flag.F_END) | int(Flag.F_SELL) * sells
    row["ts"], row["a"], row["b"], row["c"], row["d"] = now, client_id, client_id, price_ticks, lots
    return row


def signatures() -> Times:
    """Return the times of signing an order."""
    return [timed(hmac.digest, KEY, PARAMETERS, "sha256") for _ in range(2000)]


def clock() -> Times:
    """Return the times of doing nothing."""
    return [timed(int) for _ in range(2000)]


def timed(work: Callable[..., object], *args: Any, **named: Any) -> int:
    """Return the time of one call, ns."""
    started = perf_counter_ns()
    work(*args, **named)
    return perf_counter_ns() - started


def spread(times: Times) -> dict[str, Any]:
    """Return the distribution of times."""
    p50, p99, p999 = (float(value) for value in np.quantile(times, SHARES))
    return {"p50_ns": p50, "p99_ns": p99, "p999_ns": p999, "max_ns": max(times), "count": len(times)}


def processor() -> str:
    """Return the processor's name, or at least its kind, and how many there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, platform.machine())} x {os.cpu_count()}"
