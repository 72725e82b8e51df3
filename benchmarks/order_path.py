"""From a message's bytes to signed orders: the core against the usual Python stack, message by message.

Knows how both get the same messages and the same venue, and refuses a comparison in which they do not
ask for the same orders, byte for byte. Refuses to know goals and pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from resource import RUSAGE_SELF, getrusage
from time import perf_counter_ns

import numpy as np

from autotrader.research.replay import limits, sizing
from benchmarks.build import build
from benchmarks.pairs import undisturbed
from benchmarks.recording import Stream
from benchmarks.stack import Stack
from core_ext.engine import Engine
from core_ext.quoter import Quoter
from core_ext.wire import Scanner

build()

from benchmarks.loops import OrderPath  # noqa: E402 - exists once it is built

E8 = 10**8
KEY = bytes(range(64))
EPOCH = 1
EQUITY_USDT, ORDER_USDT, BUDGET_USDT = 7700.0, 120.0, 600.0
# The quoter asks for both sides 25 times a second, the rate limits let that pass, and no order counts as a
# duplicate: as many samples as the gate's own bound on a minute's orders allows. Every check stays on.
REQUOTE_NS = 40_000_000
RATES = {
    "orders_per_second": 1000,
    "strategy_orders_per_second": 1000,
    "order_burst": 1000,
    "orders_per_minute": 4095,
    "duplicate_ns": 0,
    "quality_orders": 1_000_000,
}
BLOCK = 1000


@dataclass(frozen=True)
class Race:
    """Times of both for each message, ns.

    Attributes
    ----------
    decided : array
        Ours, bytes to orders approved; 0 where there are none.
    ours, theirs : array
        Bytes to the last signed order, or to knowing that there is none.
    orders : array
        How many orders each message led to; the same for both.
    is_depth : array of bool
        Whether the message changed the book.
    """

    decided: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray
    orders: np.ndarray
    is_depth: np.ndarray


def race(stream: Stream) -> Race:
    """Run both over a recording, in turn by blocks of messages.

    Raises
    ------
    RuntimeError
        If a message leads to different orders, or none leads to any.
    """
    core, stack = core_path(stream), python_stack(stream)
    messages, count = stream.messages, len(stream.messages)
    decided, ours, theirs, orders = (np.zeros(count, np.int64) for _ in range(4))
    with undisturbed():
        for part in blocks(count):
            asked = core.run(messages[part], stream.stamps[part], decided[part], ours[part])
            wanted = run_stack(stack, messages[part], stream.stamps[part].tolist(), theirs[part])
            require_same(asked, wanted, part.start)
            orders[part] = [len(signed) for signed in asked]
    if not orders.any():
        raise RuntimeError("no message led to an order")
    return Race(decided, ours, theirs, orders, np.array([b'"depthUpdate"' in message[:100] for message in messages]))


@dataclass(frozen=True)
class Tail:
    """The core's path alone, pinned to a processor.

    Attributes
    ----------
    taken_ns : array
        Bytes to the last signed order, of the messages that changed the book and led to orders.
    levels : array
        Level changes of each.
    switches : int
        Times that the system took the processor away meanwhile.
    """

    taken_ns: np.ndarray
    levels: np.ndarray
    switches: int


def tail(stream: Stream) -> Tail:
    """Run the core's path alone over a recording, after a run that warms up."""
    count = len(stream.messages)
    with undisturbed(), pinned():
        for _ in range(2):
            decided, signed = np.zeros(count, np.int64), np.zeros(count, np.int64)
            path, before = core_path(stream), getrusage(RUSAGE_SELF).ru_nivcsw
            asked = path.run(stream.messages, stream.stamps, decided, signed)
            switches = getrusage(RUSAGE_SELF).ru_nivcsw - before
    levels = np.array(
        [_levels(message) if orders else 0 for message, orders in zip(stream.messages, asked, strict=True)]
    )
    return Tail(signed[levels > 0], levels[levels > 0], switches)


def _levels(message: bytes) -> int:
    return message.count(b'["') if b'"depthUpdate"' in message[:100] else 0


@contextmanager
def pinned() -> Iterator[None]:
    """Keep the process on one processor, where the system lets it choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def blocks(count: int) -> Iterator[slice]:
    """Cut so many messages into blocks."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(count, start + BLOCK))


def core_path(stream: Stream) -> OrderPath:
    """Return the core's path, its quoter and its gate."""
    config, rules = stream.plan.config, gate_limits(stream)
    quoter = Quoter(
        order_e8=int(ORDER_USDT * E8),
        budget_e8=int(BUDGET_USDT * E8),
        requote_ns=REQUOTE_NS,
        join_ticks=0,
        min_spread_ticks=1,
    )
    marks = stream.plan.mark_sources
    engine = Engine(stream.instruments, quoter, rules, sizing(config), int(EQUITY_USDT * E8), EPOCH, marks)
    return OrderPath(engine, Scanner(stream.instruments, 0), KEY)


def python_stack(stream: Stream) -> Stack:
    """Return the Python stack, with the same rules."""
    quoter = {"order_usdt": ORDER_USDT, "budget_usdt": BUDGET_USDT, "requote_ns": REQUOTE_NS}
    is_proxy = stream.plan.mark_sources == ["proxy"]
    return Stack(stream.plan.specs[0], gate_limits(stream), quoter, EQUITY_USDT, EPOCH, KEY, is_proxy)


def gate_limits(stream: Stream) -> dict[str, float]:
    """Return the default limits, the rates opened."""
    return limits(stream.plan.config) | RATES


def run_stack(stack: Stack, messages: list[bytes], stamps: list[int], taken_ns: np.ndarray) -> list[list[str]]:
    """Time each message; the venue refuses every order at once, outside the time."""
    asked = []
    for k, (message, now) in enumerate(zip(messages, stamps, strict=True)):
        started = perf_counter_ns()
        signed = stack.on_message(message, now)
        taken_ns[k] = perf_counter_ns() - started
        asked.append(signed)
        stack.on_rejects()
    return asked


def require_same(ours: list[list[bytes]], theirs: list[list[str]], first: int) -> None:
    """Raise if a message led to different orders."""
    for k, (asked, wanted) in enumerate(zip(ours, theirs, strict=True)):
        if [order.decode() for order in asked] != wanted:
            raise RuntimeError(f"message {first + k}: the core asks for {asked}, the Python stack for {wanted}")
