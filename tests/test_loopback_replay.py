"""A recording that plays as the exchange's market comes over the socket as it was recorded: whoever follows it by the
exchange's own procedure has the book of the file, at every speed, whenever and however slowly it listens."""

import asyncio
import json
import socket
import time
from bisect import bisect_right
from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from statistics import median

import aiohttp
import pytest
import uvloop
from binance import AsyncClient, BinanceSocketManager
from binance.ws.depthcache import FuturesDepthCacheManager
from builders import RECORDING, spec
from websockets.asyncio.client import connect

from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.sources import Replay
from core_ext.book import Book
from core_ext.types import Instruments, Kind, Rows, Status
from core_ext.wire import Scanner

BTC = Instruments([spec()])
SPEEDS = ("@0ms", "@100ms", "", "@500ms")
PATIENCE_S = 120
MORE = (("btcusdt_20240718.gz", "btcusdt_20240719.gz"), ("btcusdt_20240808.gz",))
SHIPPED = [RECORDING]
FAR = 1 << 60
EVERY = 16
QUICK = 10.0
"""Speed for a library whose sockets close only when all that is on its way has been read."""


class House:
    """A server that plays a recording, and the requests that a client makes of it."""

    def __init__(self, server, port, session):
        self.server = server
        self.port = port
        self._session = session

    async def get(self, path):
        async with self._session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            assert answer.status == 200
            return await answer.read()

    async def control(self, what):
        async with self._session.post(f"http://127.0.0.1:{self.port}/_control/{what}") as answer:
            return await answer.json()

    async def until(self, what):
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, "it did not come true in time"
            await asyncio.sleep(0.005)

    async def play_on(self, messages):
        """Let so many messages of the recording play, and hold the market again."""
        end = self.server.replay.messages + messages
        await self.control("resume")
        await self.until(lambda: self.server.replay.messages >= end)
        assert not (await self.control("pause"))["ended"]

    @asynccontextmanager
    async def socket(self, *streams, **given):
        address = f"ws://127.0.0.1:{self.port}/public/stream?streams={'/'.join(streams)}"
        given = {"compression": None, "max_size": None, "ping_interval": None, "close_timeout": 1} | given
        async with connect(address, **given) as peer:
            yield peer


def played(story, recording=SHIPPED, speed=0.0):
    """Run a story of a house whose market waits until it is told to go on; return what the story returns."""
    shouted = []

    async def whole():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shouted.append(context))
        options = Options([spec()], replay=recording, speed=speed, hold=True, weight_limit=10**6)
        server = Server(options)
        port = await server.open()
        hours = asyncio.create_task(server.run())
        try:
            async with aiohttp.ClientSession() as session:
                house = House(server, port, session)
                await house.until(lambda: server.exchange.books[0].is_usable)
                return await asyncio.wait_for(story(house), PATIENCE_S)
        finally:
            server.stop()
            await hours

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(whole())
    assert shouted == []
    return told


class Follower:
    """One client of one stream of diffs, by the official procedure: buffer, snapshot, bracket, chain."""

    def __init__(self, house, speed="@0ms"):
        self.house = house
        self.stream = f"btcusdt@depth{speed}"
        self.parts = []  # (snapshot, messages) from one start of the procedure to the next
        self.broken = 0
        self.refetched = 0
        self._buffer = []
        self._snapshot = None
        self._fetching = None

    def hear(self, message):
        diff = json.loads(message)["data"]
        if self._buffer is None and diff["pu"] == self.last:
            self.parts[-1][1].append((diff, message))
            return
        if self._buffer is None:
            self.broken += 1
            self._buffer = []
        self._buffer.append((diff, message))
        if self._snapshot is None and self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        self._begin()

    async def _fetch(self):
        text = await self.house.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
        self._fetching, self._snapshot = None, (json.loads(text)["lastUpdateId"], text)
        self._begin()

    def _begin(self):
        if self._snapshot is None:
            return
        last, text = self._snapshot
        if last < self._buffer[0][0]["U"]:
            self.refetched += 1
            self._snapshot = None  # older than what was heard first: the next message fetches another
            return
        kept = [one for one in self._buffer if one[0]["u"] >= last]
        if kept:
            assert kept[0][0]["U"] <= last
            assert all(later["pu"] == before["u"] for (before, _), (later, _) in pairwise(kept))
            self.parts.append((text, kept))
            self._buffer = self._snapshot = None
        else:
            self._buffer.clear()  # all of it is in the snapshot

    @property
    def heard(self):
        return sum(len(messages) for _, messages in self.parts) + len(self._buffer or ())

    @property
    def last(self):
        return self.parts[-1][1][-1][0]["u"] if self.parts and self._buffer is None else -1


async def listen(house, peer, *followers, others=None):
    """Hand what a socket brings to its followers until nothing more comes and all have the end of the recording."""
    by_stream = {one.stream: one for one in followers}
    while True:
        try:
            message = await asyncio.wait_for(peer.recv(decode=False), 0.6)
        except TimeoutError:  # longer than any window: nothing more comes
            if house.server.ended and all(one.last == house.server.exchange.books[0].last_id for one in followers):
                return
            continue
        stream = json.loads(message).get("stream")
        if stream in by_stream:
            by_stream[stream].hear(message)
        elif others is not None:
            others.append((time.monotonic(), stream, message))


# ---------------------------------------------------------------------- the file itself


class Truth:
    """The book of a recording, read from the file alone, that goes from one update id to the next."""

    def __init__(self, recording=SHIPPED):
        self.book = Book()
        self._rows = (rows for _, rows in Replay(recording, BTC))

    def reach(self, last):
        """Go to an update id, which must be one of the file's."""
        while self.book.last_id < last:
            rows = next(self._rows)
            if rows["kind"][0] in (Kind.DEPTH, Kind.SNAPSHOT):
                self.book.apply(Rows(rows))
        assert self.book.last_id == last and self.book.is_usable


def within(book, least, most):
    """Return the digest of a book's levels between two prices, and how many they are."""
    bids, asks = book.levels(0), book.levels(1)
    bids = bids[: bisect_right(bids, -least, key=lambda one: -one[0])]
    asks = asks[: bisect_right(asks, (most, FAR))]
    return hash((tuple(bids), tuple(asks))), len(bids) + len(asks)


def compare(follower, recording=SHIPPED, every=EVERY):
    """Compare the follower's book with the file's at every message; return how many there were.

    The touch is compared at every update, all levels that the snapshot reached at every so many.
    """
    truth, compared = Truth(recording), 0
    for snapshot, messages in follower.parts:
        scanner, book = Scanner(BTC, 0), Book()
        assert scanner.feed(snapshot, 1) == Status.OK
        book.apply(scanner.rows)
        least, most = book.levels(0)[-1][0], book.levels(1)[-1][0]
        for diff, message in messages:
            assert scanner.feed(message, 1) == Status.OK
            book.apply(scanner.rows)
            truth.reach(diff["u"])
            assert book.is_usable and book.last_id == diff["u"]
            assert book.best() == truth.book.best()
            compared += 1
            if compared % every == 0 or message is messages[-1][1]:
                mine, levels = within(book, least, most)
                assert (mine, levels) == within(truth.book, least, most)
                assert levels > 500
        assert book.gaps == book.crossings == 0 and scanner.general == scanner.refused == 0
    return compared


def recorded(kind, recording=SHIPPED):
    """Return the recording's rows of a kind."""
    return [row for _, rows in Replay(recording, BTC) for row in rows[rows["kind"] == kind].tolist()]


# ---------------------------------------------------------------------- at maximum speed


async def all_speeds(house):
    followers = [Follower(house, speed) for speed in SPEEDS]
    tickers = []
    async with house.socket("btcusdt@bookTicker", *(one.stream for one in followers)) as peer:
        await house.control("resume")
        await listen(house, peer, *followers, others=tickers)
    return followers, tickers


@pytest.fixture(scope="module")
def at_once():
    return played(all_speeds)


def test_the_real_time_stream_gives_the_files_book_at_every_update(at_once):
    (follower, *_), _ = at_once
    assert (follower.broken, len(follower.parts)) == (0, 1)
    assert compare(follower) == follower.heard > 3_500


@pytest.mark.parametrize("speed", SPEEDS[1:])
def test_a_slower_stream_gives_the_files_book_at_its_own_updates(at_once, speed):
    followers, _ = at_once
    (follower,) = (one for one in followers if one.stream == f"btcusdt@depth{speed}")
    assert (follower.broken, len(follower.parts)) == (0, 1)
    assert compare(follower, every=4) == follower.heard > 60


@pytest.mark.slow
def test_the_real_time_stream_gives_all_levels_of_the_files_book_at_every_update(at_once):
    (follower, *_), _ = at_once
    assert compare(follower, every=1) == follower.heard


def test_every_update_of_the_file_comes_and_none_twice(at_once):
    (follower, *_), _ = at_once
    heard = [(diff["U"], diff["u"], diff["pu"]) for diff, _ in follower.parts[0][1]]
    rows = [row[5:8] for row in recorded(Kind.DEPTH)]
    assert heard == rows[-len(heard) :]


def test_every_touch_of_the_file_comes_in_its_order(at_once):
    _, tickers = at_once
    scanner, heard = Scanner(BTC, 0), []
    for _, _, message in tickers:
        assert scanner.feed(message, 1) == Status.OK
        heard += [row[5:10] for row in scanner.rows.array().tolist()]
    rows = [row[5:10] for row in recorded(Kind.TOUCH)]
    assert heard == rows[-len(heard) :] and len(heard) > 6_000


def test_no_message_is_older_than_what_it_tells(at_once):
    followers, tickers = at_once
    for follower in followers:
        stamps = [(diff["E"], diff["T"]) for _, messages in follower.parts for diff, _ in messages]
        assert all(event >= told for event, told in stamps)
        assert all(later >= before for (before, _), (later, _) in pairwise(stamps))
    events = [json.loads(message)["data"]["E"] for _, _, message in tickers]
    assert events == sorted(events)


def test_who_subscribes_late_has_the_same_book():
    async def story(house):
        first, late = Follower(house), Follower(house)
        async with house.socket(first.stream) as peer, house.socket() as other:
            begun = asyncio.create_task(listen(house, peer, first))
            await house.play_on(4_000)
            await other.send(json.dumps({"id": 1, "method": "SUBSCRIBE", "params": [late.stream]}))
            assert json.loads(await other.recv()) == {"result": None, "id": 1}
            await house.control("resume")
            await asyncio.gather(begun, listen(house, other, late))
        return first, late

    first, late = played(story)
    assert 0 < late.heard < first.heard
    for follower in (first, late):
        assert follower.broken == 0
        assert compare(follower) == follower.heard


def test_two_sockets_hear_the_same():
    async def story(house):
        followers = [Follower(house), Follower(house)]
        heard = [], []
        async with (
            house.socket(followers[0].stream, "btcusdt@bookTicker") as one,
            house.socket(followers[1].stream, "btcusdt@bookTicker") as two,
        ):
            await house.control("resume")
            await asyncio.gather(
                listen(house, one, followers[0], others=heard[0]), listen(house, two, followers[1], others=heard[1])
            )
        return followers, heard

    followers, (one, two) = played(story)
    first, second = ([message for _, messages in each.parts for _, message in messages] for each in followers)
    size = min(len(first), len(second))  # their snapshots may be of different moments
    assert first[-size:] == second[-size:] and size > 3_000
    assert [message for *_, message in one] == [message for *_, message in two]


def test_who_stops_listening_and_begins_again_needs_one_snapshot_more():
    async def story(house):
        follower = Follower(house)
        async with house.socket(follower.stream) as peer:
            begun = asyncio.create_task(listen(house, peer, follower))
            await house.play_on(3_000)
            await peer.send(json.dumps({"id": 1, "method": "UNSUBSCRIBE", "params": [follower.stream]}))
            await house.until(lambda: not house.server.hub.wants(follower.stream))
            await house.play_on(2_000)
            await peer.send(json.dumps({"id": 2, "method": "SUBSCRIBE", "params": [follower.stream]}))
            await house.until(lambda: house.server.hub.wants(follower.stream))
            await house.control("resume")
            await begun
        return follower

    follower = played(story)
    assert (follower.broken, len(follower.parts)) == (1, 2)
    assert compare(follower) == follower.heard < 4_000


@pytest.mark.slow
def test_a_slow_reader_at_maximum_speed_loses_nothing():
    async def story(house):
        followers = [Follower(house, speed) for speed in SPEEDS]
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", house.port))
        streams = [one.stream for one in followers] + ["btcusdt@bookTicker", "btcusdt@depth20@100ms"]
        async with house.socket(*streams, sock=small, max_queue=4) as peer:
            await house.control("resume")
            await house.until(lambda: house.server.hub.congested)
            assert not house.server.ended
            await listen(house, peer, *followers, others=[])
        return followers

    followers = played(story)
    for follower in followers:
        assert (follower.broken, len(follower.parts)) == (0, 1)
        assert compare(follower, every=64) == follower.heard


# ---------------------------------------------------------------------- in its own time


def test_in_its_own_time_no_message_comes_before_its_stamp():
    async def story(house):
        follower, heard = Follower(house), []
        async with house.socket(*(f"btcusdt@depth{speed}" for speed in SPEEDS), "btcusdt@bookTicker") as peer:
            await house.control("resume")
            for _ in range(600):
                message = await asyncio.wait_for(peer.recv(decode=False), 10)
                heard.append((house.server.clock.now_ms(), json.loads(message)["data"]["E"], message))
                if json.loads(message)["stream"] == follower.stream:
                    follower.hear(message)
        return follower, heard

    follower, heard = played(story, speed=1.0)
    lags = [now - event for now, event, _ in heard]
    assert min(lags) >= 0 and median(lags) < 100
    assert heard[-1][1] - heard[0][1] > 1_000
    assert follower.broken == 0
    assert compare(follower) == follower.heard > 50


def test_what_was_held_back_does_not_come_at_once_afterwards():
    async def story(house):
        async with house.socket("btcusdt@bookTicker") as peer:
            await asyncio.sleep(1.5)  # of the wall's time, in which the market is held
            began = time.monotonic()
            await house.control("resume")
            stamps = [json.loads(await asyncio.wait_for(peer.recv(), 10))["data"]["E"] for _ in range(60)]
            return stamps[-1] - stamps[0], (time.monotonic() - began) * 1000

    recorded_ms, taken_ms = played(story, speed=1.0)
    assert recorded_ms > 500
    assert taken_ms > 0.9 * recorded_ms


# ---------------------------------------------------------------------- python-binance


@pytest.fixture
def library(monkeypatch):
    """Return a maker of python-binance clients whose addresses are a house's."""

    async def make(house):
        rest = f"http://127.0.0.1:{house.port}"
        monkeypatch.setattr(AsyncClient, "FUTURES_URL", f"{rest}/fapi")
        monkeypatch.setattr(AsyncClient, "API_URL", f"{rest}/api")
        monkeypatch.setattr(BinanceSocketManager, "FSTREAM_URL", f"ws://127.0.0.1:{house.port}/")
        client = await AsyncClient.create("demo-key", "demo-secret")
        return client, BinanceSocketManager(client, max_queue_size=10**6)

    return make


def levels_of(texts):
    """Return levels as ticks and lots."""
    return [(round(float(price) * 10), round(float(quantity) * 1_000)) for price, quantity in texts]


def test_python_binance_has_the_files_touch(library):
    async def story(house):
        client, manager = await library(house)
        streams = ["btcusdt@bookTicker", "btcusdt@depth10@100ms"]
        heard = defaultdict(list)
        async with manager.futures_multiplex_socket(streams, category="public") as peer:
            await house.until(lambda: house.server.hub.wants(streams[1]))
            before = house.server.replay.messages
            await house.control("resume")
            for _ in range(2_500):
                message = await asyncio.wait_for(peer.recv(), 10)
                heard[message["stream"]].append(message["data"])
        await client.close_connection()
        return heard, before

    heard, before = played(story, speed=QUICK)
    played_before = sum(rows["kind"][0] == Kind.TOUCH for _, rows in islice(Replay(SHIPPED, BTC), before))
    rows = [row[5:10] for row in recorded(Kind.TOUCH)][played_before:]
    touches = [
        (one["u"], *levels_of([(one["b"], one["B"])])[0], *levels_of([(one["a"], one["A"])])[0])
        for one in heard["btcusdt@bookTicker"]
    ]
    assert touches == rows[: len(touches)] and len(touches) > 1_500
    truth = Truth()
    for one in heard["btcusdt@depth10@100ms"]:
        truth.reach(one["u"])
        assert levels_of(one["b"]) == truth.book.levels(0, 10)
        assert levels_of(one["a"]) == truth.book.levels(1, 10)
    assert len(heard["btcusdt@depth10@100ms"]) > 100


def test_the_depth_cache_of_python_binance_has_the_files_touch(library):
    async def story(house):
        client, manager = await library(house)
        caches, partial = [], {}
        async with (
            house.socket("btcusdt@depth10") as raw,
            FuturesDepthCacheManager(client, "BTCUSDT", bm=manager) as cache,
        ):
            await house.until(lambda: len(house.server.hub.sockets) == 2 and house.server.hub.wants("btcusdt@depth10"))
            await house.control("resume")
            for _ in range(60):
                told = await asyncio.wait_for(cache.recv(), 10)
                caches.append((told.update_time, told.get_bids()[:10], told.get_asks()[:10]))
                one = json.loads(await asyncio.wait_for(raw.recv(), 10))["data"]
                partial[one["E"]] = one["u"]
        await client.close_connection()
        return caches, partial

    caches, partial = played(story, speed=QUICK)
    truth = Truth()
    for event, bids, asks in caches:
        truth.reach(partial[event])
        assert [(round(p * 10), round(q * 1_000)) for p, q in bids] == truth.book.levels(0, 10)
        assert [(round(p * 10), round(q * 1_000)) for p, q in asks] == truth.book.levels(1, 10)


# ---------------------------------------------------------------------- longer recordings


@pytest.mark.slow
@pytest.mark.parametrize("names", MORE, ids="-".join)
def test_a_longer_recording_gives_the_files_book_at_every_speed(names, shared):
    recording = [shared / "data/l2/um" / name for name in names]
    if not all(path.exists() for path in recording):
        pytest.skip(f"{names[0]} is not here")
    followers, tickers = played(all_speeds, recording)
    for follower in followers:
        assert follower.broken == 0
        assert compare(follower, recording, every=64) == follower.heard > 100
    assert len(tickers) > 5_000
