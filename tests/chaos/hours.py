"""Hours of trading in one process, at no clock's pace: a run as shipped, the exchange on loopback, faults between.

The loop's time is the only time: it jumps to whatever is due next, so that two hours take minutes and the same seed
gives the same journal, byte for byte. No socket is opened; requests are handed to the exchange's reception and its
events to the run, through a wire that a nemesis damages. Knows how the ends are put together. Refuses to
know what goes wrong and what must hold: `nemesis` and `invariants` do.
"""

import asyncio
import selectors
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from urllib.parse import urlsplit

from builders import SAMPLES, configuration
from canaries import KEY, SECRET
from multidict import CIMultiDict

from autotrader import instruments
from autotrader.adapters.binance import rest
from autotrader.adapters.binance.budget import SHORTEST_BAN_NS
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.market_feed import NAME_AT
from autotrader.adapters.binance.order_session import OrderSession
from autotrader.adapters.binance.snapshots import Snapshots
from autotrader.adapters.keys import key_manager
from autotrader.adapters.loopback.deeds import market_row
from autotrader.adapters.loopback.door import Request
from autotrader.adapters.loopback.proof import check
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key
from autotrader.adapters.loopback.sources import Replay
from autotrader.adapters.loopback.streams import MarketSocket
from autotrader.config import load
from autotrader.errors import AutotraderError
from autotrader.run import live, trading
from core_ext.types import Kind

SECOND = 10**9
START_NS = 1_750_000_003 * SECOND
NAME = "chaos"
SYMBOL = "BTCUSDT"
RECORDINGS = ("btcusdt_20240718.gz", "btcusdt_20240719.gz")
PEER = "127.0.0.1"
NUMBERED = {int(Kind.DEPTH), int(Kind.SNAPSHOT), int(Kind.TOUCH)}


def recordings(shared):
    """Return the files that are looped: the large ones where they are, the shipped sample otherwise."""
    files = [shared / "data/l2/um" / name for name in RECORDINGS]
    return files if all(map(Path.exists, files)) else [SAMPLES / "btcusdt_l2_20230404.gz"]


# ---------------------------------------------------------------------- time


class Time:
    """The only clock: waiting is what moves it."""

    ns = 0


class Jump(selectors.SelectSelector):
    """Waits for nothing but the time."""

    def __init__(self, time):
        super().__init__()
        self.virtual = time

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due")
        self.virtual.ns += int(timeout * SECOND) + (timeout > 0)
        return []


class Loop(asyncio.SelectorEventLoop):
    """A loop that jumps to what is due."""

    def __init__(self, time):
        self.virtual = time
        super().__init__(Jump(time))

    def time(self):
        return self.virtual.ns / SECOND

    def add_signal_handler(self, *_):
        raise RuntimeError("no signals here")


class CrashedError(Exception):
    """The run is gone from one moment to the next."""


# ---------------------------------------------------------------------- what is so


class AtExchange:
    """The account as the exchange on loopback has it: what orders that leave lead to."""

    def __init__(self, server, hours):
        self.ledger, self.account = server.venue.ledgers[0], server.exchange.accounts[0]

    def plain(self):
        """Return (client order id, side, lots left, reduces) of the open orders."""
        found = [one for one in self.ledger.open_orders.values() if one.algo is None]
        return [(one.client_id, one.side, one.lots - one.done, one.reduce_only) for one in found]

    def algos(self):
        """Return (client order id, side, lots) of the conditional orders that wait."""
        asked = [one.asked for one in self.ledger.open_algos.values()]
        return [(one.client_id, one.side, one.lots) for one in asked]


class AtVenue:
    """The account as PAPER's own venue has it."""

    def __init__(self, server, hours):
        self.venue, self.account = hours.session.venue, hours.session.venue.accounts[0]

    def plain(self):
        """Return (client order id, side, lots left, reduces) of the open orders."""
        found = [one | one["order"] for one in self.venue.resting(0)]
        return [(_name(one), one["side"], one["leaves"], one["reduce_only"]) for one in found]

    def algos(self):
        """Return (client order id, side, lots) of the conditional orders that wait."""
        found = [one["order"] for one in self.venue.algos(0)]
        return [(_name(one), one["side"], one["lots"]) for one in found]


def _name(order):
    return f"at{order['client_id']:016x}"


# ---------------------------------------------------------------------- the wire


class Wire(MarketSocket):
    """One connection of the exchange's streams, as far as it can be seen without a socket."""

    def __init__(self, request, hub, heard=None):
        super().__init__(request, hub)
        self.heard, self.alive, self.frozen = heard, True, False

    def send(self, payload):
        if self.alive and not self.frozen:
            self.heard(payload)

    def freeze(self):
        self.frozen = True

    def close(self, code=1000, reason=""):
        if self.alive:
            self.alive = False
            self.on_closed()

    kick = abort = close

    def slow_down(self, bytes_per_s):
        self.frozen = True  # so slow that nothing comes in time

    def tick(self, now_ms):
        """Ping nobody: who is not there is found by the age of what he says."""


class World:
    """The exchange, the wire and the time of a simulation.

    Parameters
    ----------
    folder : Path
    seed : int
    files : list of Path
        The recordings that are looped.
    mode : str, optional
        Of the run: "testnet", whose orders leave for the exchange, or "paper", whose venue is its own.

    Attributes
    ----------
    truth : AtExchange or AtVenue
        The account that orders lead to, of the run that trades.
    after : list of callable
        Called after every event.
    sending, refusing : list of callable
        Given the requests that are about to leave; and each that the run itself refuses, with the reason.
    seen : Counter
        Answers by status, and what was noticed on the wire.
    """

    def __init__(self, folder, seed, files, mode="testnet"):
        self.folder, self.seed, self.files, self.mode = folder, seed, files, mode
        self.dice, self.time = Random(seed), Time()
        self.skew_ns = 0  # of the run's own wall clock
        self.disk_s = 0.0  # what the disk takes
        self.is_up = True
        self.hours, self.truth, self.runs, self.broken = None, None, [], None
        self.wires = []
        self.quiet_until = self.used_until = self.silent_until = (
            0  # until when a limiter told the run to wait, or its weight is used up
        )
        self.events, self.seen, self.after, self.sending, self.refusing = 0, Counter(), [], [], []
        self.server = self._opened()
        self._steps = self._batches()
        self._next = next(self._steps)

    def now_ns(self):
        return START_NS + self.time.ns

    def free_ns(self):
        """Return from when on the run may ask: by what it was told, or what it makes of it, within a bound.

        By a clock that is off a ban's end may be in the past; then the shortest ban there is counts.
        """
        now, hours = self.now_ns(), self.hours
        if hours is not None:
            ours = hours.clock.now_ns()
            left = max(0, hours.budget.silent_until_ns(ours) - ours)
            self.silent_until = max(self.silent_until, min(now + left, self.quiet_until + SHORTEST_BAN_NS))
        return max(self.quiet_until, self.used_until, self.silent_until)

    # ------------------------------------------------------------------ the exchange

    def _opened(self):
        (spec,), _ = instruments.specs(
            [SYMBOL], table=instruments.load(), fees=instruments.fee_tier("VIP0"), leverage=20
        )
        bird = AccountSetup(Key(NAME, KEY, "hmac", SECRET), (10**12, 0, 0, 0, 0))
        server = Server(
            Options(
                [spec], labels={SYMBOL: (self.files, 0.0)}, seed=self.seed, speed=0.0, accounts=(bird,),
                history=self.folder / "history.jsonl", start_ns=START_NS,
            )
        )  # fmt: skip
        server.clock.now = self.now_ns
        server.clock.wall_ms = lambda: self.now_ns() // 10**6
        server.clock.mono_ms = lambda: self.time.ns // 10**6
        server.faults.open(START_NS)
        server._write_opening(START_NS)
        server._open_accounts(START_NS)
        return server

    def _batches(self):
        # The recordings again and again; update ids go on where they ended.
        begin, last = START_NS, 0
        while True:
            shift, top = None, last
            for stamp, rows in Replay([], self.server.instruments, {SYMBOL: (self.files, 0.0)}, begin):
                kind = int(rows["kind"][0])
                if kind in NUMBERED:
                    if shift is None:
                        shift = last + 1000 - int(rows["a"][0]) if last else 0
                    top = max(top, renumbered(rows, kind, shift))
                yield stamp, rows
            begin, last = stamp + SECOND, top + 1000
            # A diff that does not follow: only a book with a hole takes the snapshot with which the recording begins.
            yield begin, market_row(Kind.DEPTH, 0, begin, last, last, last - 1)

    async def _market(self):
        # The market goes on in whichever loop time passes.
        while True:
            stamp, rows = self._next
            while (wait := stamp - self.now_ns()) > 0:
                await asyncio.sleep(wait / SECOND)
            self.server.step(stamp, rows)
            self._next = next(self._steps)
            self.happened()

    def happened(self):
        """Let those look who look after every event."""
        self.events += 1
        if self.broken is not None:
            raise self.broken
        for look in self.after:
            look()

    def begin(self, hours):
        """Take note of the run that trades from here on."""
        self.hours = hours
        self.truth = (AtVenue if self.mode == "paper" else AtExchange)(self.server, hours)
        self.runs.append(hours.run)

    def close(self):
        """Finish the history; return its proof."""
        now = self.now_ns()
        self.server._checkpoint(now)
        self.server.history.close(now)
        return check(self.folder / "history.jsonl")

    # ------------------------------------------------------------------ requests and connections

    async def exchange(self, ask, url, headers):
        """Carry a request to the exchange and its answer back, in the place of HTTP."""
        reply, parts = rest._Reply(), urlsplit(url)
        self.seen["asked while told to wait"] += self.now_ns() < self.quiet_until
        with suppress(TimeoutError):
            async with asyncio.timeout(ask.seconds):
                await asyncio.sleep(self.dice.uniform(0.001, 0.02))
                if not self.is_up:
                    return rest._Reply(sent=False)
                names = {name.lower(): value for name, value in headers.items()}
                answer = self.server.reception.answer(Request(ask.method, parts.path, parts.query, names, b"", PEER))
                await self._back(answer, reply)
        self.happened()
        return reply

    async def _back(self, answer, reply):
        self.seen[answer.status] += 1
        way_s = self.dice.uniform(0.001, 0.02)
        await asyncio.sleep(way_s + answer.delay_s + max(0.0, answer.drip_s) * len(answer.body))
        if answer.never or not self.is_up:
            await asyncio.sleep(3600.0)
        if answer.cut < 0:
            reply.status, reply.headers, reply.body = answer.status, CIMultiDict(answer.headers), answer.body
            if answer.status in (418, 429) and "Retry-After" in reply.headers:
                self.quiet_until = max(self.quiet_until, self.now_ns() + int(reply.headers["Retry-After"]) * SECOND)

    def connect(self, path, query, heard):
        """Return a connection to streams, None where there is none to be had."""
        whose = NAME if path.startswith("/private") else None
        deed = self.server.faults.on_connect(self.now_ns(), path=path, account=whose)
        if not self.is_up or (deed is not None and deed.do == "refuse"):
            return None
        wire = self.server.hub.connect(Request("GET", path, query, {}, b"", PEER), partial(Wire, heard=heard))
        wire.on_open()
        self.wires = [one for one in self.wires if one.alive] + [wire]
        if deed is not None:
            wire.close()
        return wire

    def cut(self):
        """Let nothing pass any more: what listens hears nothing, and is not told."""
        self.is_up = False
        for wire in self.wires:
            wire.freeze()

    # ------------------------------------------------------------------ the run

    def run(self, *works):
        """Run coroutines until the first ends, in the simulation's time; return what that one does."""
        with asyncio.Runner(loop_factory=lambda: Loop(self.time)) as runner:
            return runner.run(self._first(works))

    def _on_broken(self, _, context):
        # What a callback raised nobody waits for.
        self.broken = self.broken or context.get("exception")

    async def _first(self, works):
        asyncio.get_running_loop().set_exception_handler(self._on_broken)
        tasks = [asyncio.create_task(work) for work in (*works, self._market())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done = next(task for task in reversed(tasks) if task.done())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return done.result()


def renumbered(rows, kind, shift):
    """Move the update ids of one message; return the last of them."""
    for word in ("a", "b", "c") if kind == Kind.DEPTH else ("a",):
        rows[word][0] += shift if rows[word][0] >= 0 else 0
    return int(rows["b" if kind == Kind.DEPTH else "a"][0])


# ---------------------------------------------------------------------- the run's ends of the wire


class Feed:
    """Market data as a run takes them, from the exchange's streams in this process."""

    def __init__(self, world, subscription, urls, *, sink, fetch, now_ns, stale, told):
        self.world, self.sink, self.now_ns, self.told = world, sink, now_ns, told
        self.streams = {one.name.encode(): one for one in subscription.streams()}
        self.lasts, self.heard_s = {}, {}
        self.wires = dict.fromkeys(("public", "market"))
        self.snapshots = Snapshots(fetch, self._give, told, lambda task: None, Random(world.seed), 5.0)
        self.loop = asyncio.get_running_loop()
        self.task = None

    async def start(self):
        self.task = self.loop.create_task(self._keep())
        end = self.loop.time() + 30.0
        while len(self.heard_s) < 3 and self.loop.time() < end:
            await asyncio.sleep(0.05)

    async def ended(self):
        await self.task

    async def close(self):
        self.task.cancel()
        self.snapshots.close()
        for wire in filter(None, self.wires.values()):
            wire.close()

    def resync(self, symbol):
        last = self.lasts.get(symbol)
        if last:
            self.snapshots.ask(symbol, last)
        else:
            self.snapshots.want(symbol)

    @property
    def open_connections(self):
        return sum(wire is not None and wire.alive for wire in self.wires.values())

    def ages(self):
        now = self.loop.time()
        return {key: now - heard for key, heard in self.heard_s.items()}

    async def _keep(self):
        # A route that is closed, or that has said nothing for five seconds, is connected anew.
        since = dict.fromkeys(self.wires, -1e9)
        while True:
            now = self.loop.time()
            for family, wire in self.wires.items():
                news = max(self.heard_s.get(self._key(s), 0.0) for s in self._of(family) if s.kind != "trade")
                if wire is None or not wire.alive or now - max(news, since[family]) > 5.0:
                    if wire is not None:
                        wire.close()
                    self.wires[family], since[family] = self._connected(family), now
            await asyncio.sleep(0.5)

    def _of(self, family):
        return [stream for stream in self.streams.values() if stream.family == family]

    @staticmethod
    def _key(stream):
        return stream.symbol, stream.kind

    def _connected(self, family):
        for stream in self._of(family):
            if stream.kind == "book":
                self.lasts.pop(stream.symbol, None)
                self.snapshots.want(stream.symbol)
        names = "/".join(stream.name for stream in self._of(family))
        return self.world.connect(f"/{family}/stream", f"streams={names}", self._heard)

    def _heard(self, message):
        stream = self.streams.get(message[NAME_AT : message.find(b'"', NAME_AT)])
        if stream is None:
            return
        self.heard_s[self._key(stream)] = self.loop.time()
        if stream.kind == "book":
            self.lasts[stream.symbol] = message
        self._give(message)
        if stream.kind == "book" and stream.symbol in self.snapshots.wanted:
            self.snapshots.ask(stream.symbol, message)

    def _give(self, message):
        self.sink(self.now_ns(), message)


class User:
    """The account's events as a run takes them, from the exchange's stream in this process."""

    def __init__(self, world, url, keys, *, sink, gap, told, now_ns):
        self.world, self.keys, self.sink, self.gap, self.told, self.now_ns = world, keys, sink, gap, told, now_ns
        self.wire, self.proven_ns = None, 0
        self.task = None

    async def start(self):
        self.task = asyncio.create_task(self._keep())
        while not self.is_open:
            await asyncio.sleep(0.05)

    async def ended(self):
        await self.task

    async def close(self):
        self.task.cancel()
        if self.wire is not None:
            self.wire.close()

    @property
    def is_open(self):
        return self.wire is not None and self.wire.alive

    def prove(self):
        if self.is_open:
            self.proven_ns = self.now_ns()

    async def replace(self):
        with suppress(AutotraderError):
            await self.keys.close_listen_key()
        if self.wire is not None:
            self.wire.close()

    async def _keep(self):
        beaten, had = 0.0, False
        while True:
            if not self.is_open:
                await self._connect(had)
                had = had or self.is_open
            elif self.wire.frozen:  # what is asked on it stays without an answer
                beaten += 0.5
                if beaten > 7.0:
                    self.wire.close()
                    beaten = 0.0
            await asyncio.sleep(0.5)

    async def _connect(self, again):
        self.proven_ns = 0
        try:
            key = await self.keys.open_listen_key()
        except AutotraderError as error:
            self.told("LISTEN_KEY", str(error))
            return
        self.wire = self.world.connect(f"/private/ws/{key}", "", self._heard)
        if self.is_open and again:
            self.gap()

    def _heard(self, event):
        # Some milliseconds later, in order.
        asyncio.get_running_loop().call_later(0.003, self._give, self.wire, event)

    def _give(self, wire, event):
        if wire is not self.wire or not self.world.is_up:
            return
        if b"listenKeyExpired" in event:
            wire.close()
        self.proven_ns = self.now_ns()
        self.sink(self.proven_ns, event)
        self.world.happened()


class Orders(OrderSession):
    """The order session on REST alone: the request socket is not simulated."""

    world = None

    @property
    def is_connected(self):
        return self.world.is_up

    def _reliable_line(self):
        return None

    async def _keep_connected(self):
        await asyncio.Event().wait()

    def send(self, requests, decided_ns, journal_failed=False):
        for look in self.world.sending:
            look(requests)
        super().send(requests, decided_ns, journal_failed)

    def _refuse(self, ask, why):
        for look in self.world.refusing:
            look(ask, why)
        super()._refuse(ask, why)


class Hours(trading.TradingHours):
    """The hours of a simulated run, of which nobody asks by a socket."""

    async def _serve_operator(self):
        self.run.world.begin(self)

    async def _endure(self):
        # In place of the thread that has the disk hold what is written: as often, and as long as this disk takes.
        journal, durable = self.session.journal, 0
        while True:
            await asyncio.sleep(trading.DURABLE_S + self.run.world.disk_s)
            if journal.rows != durable:
                durable = journal.rows
                journal.sync()


class Run(trading.TradingRun):
    """A run whose exchange is in this process."""

    world = None

    def _hours(self, session, stack):
        return Hours(self, session, stack)


class PaperHours(live.Hours):
    """The hours of a simulated PAPER run."""

    async def _serve_operator(self):
        self.run.world.begin(self)


class PaperRun(live.OnlineRun):
    """A PAPER run whose market is in this process."""

    world = None

    def _hours(self, session, stack):
        return PaperHours(self, session, stack)


@contextmanager
def in_process(world, monkeypatch, script):
    """Let everything that would reach a socket, a clock or a thread reach the simulation; ``script`` runs beside it."""

    async def to_thread(work, *arguments):
        await asyncio.sleep(world.disk_s)
        return work(*arguments)

    async def exchanged(_, ask, url, headers):
        return await world.exchange(ask, url, headers)

    stand_in = SimpleNamespace(
        time_ns=lambda: world.now_ns() + world.skew_ns, monotonic=lambda: world.time.ns / SECOND,
        monotonic_ns=lambda: world.time.ns, perf_counter=lambda: world.time.ns / SECOND,
    )  # fmt: skip
    clock = partial(VenueClock, wall_ns=stand_in.time_ns, mono_ns=stand_in.monotonic_ns)
    is_paper = world.mode == "paper"
    asks = () if is_paper else (tuple,)  # the first loop only asks what there is
    works = iter((*asks, lambda: (script(),)))
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "to_thread", to_thread)
        patch.setattr(rest.MarketRest, "_exchanged", exchanged)
        for module in (live, trading):
            patch.setattr(module, "time", stand_in)
            patch.setattr(module, "VenueClock", clock)
            patch.setattr(module, "uvloop", SimpleNamespace(run=lambda main: world.run(main, *next(works)())))
        patch.setattr(trading, "Random", partial(Random, world.seed))
        patch.setattr(live, "MarketFeed", partial(Feed, world))
        patch.setattr(trading, "UserStream", partial(User, world))
        patch.setattr(trading, "OrderSession", type("Orders", (Orders,), {"world": world}))
        yield type("Run", (PaperRun if is_paper else Run,), {"world": world})


def traded(world, monkeypatch, name, script):
    """Trade until the script ends the run; return the summary.

    Raises
    ------
    CrashedError
        If the script ends it so.
    """
    file = configured(world.folder / "c.toml", world.mode)
    monkeypatch.setenv("AUTOTRADER_API_KEY", KEY)
    monkeypatch.setenv("AUTOTRADER_API_SECRET", SECRET)
    world.is_up = True
    with in_process(world, monkeypatch, script) as made:
        config = load(file)
        with live.State(config) as state:
            keys = [] if world.mode == "paper" else [key_manager(config.live, config.folder).key()]
            given = [[]] if world.mode == "paper" else []
            return made(config, *given, lambda share, what: None, None, state, *keys).go(world.folder / name, "live")


def configured(path, mode):
    """Write a run's configuration; PAPER's own venue refuses and loses requests."""
    values = {"profile": '"loopback"', "port": 1, "requote_ms": 250}
    if mode == "paper":
        values |= {"error_share": 0.03, "lost_share": 0.03, "latency": '"lognormal"', "latency_sigma": 1.0}
    return configuration(path, symbols=(SYMBOL,), mode=mode, **values)
