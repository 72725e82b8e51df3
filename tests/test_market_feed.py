"""The market feed in front of the exchange on loopback, healthy and not.

Rows of the catalogue of faults stand in the tests' names.
"""

import asyncio
import json
import time
from itertools import pairwise

import orjson
import pytest
from builders import spec
from feeds import BTC, ETH, Heard, Urls, run
from loopback_world import World
from rest_clients import elsewhere, publicly

from autotrader.adapters.binance.market_feed import SubscribeFailedError, Timing
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.errors import OperatorError, VenueError
from core_ext.book import Book
from core_ext.types import Instruments, Kind, Status
from core_ext.wire import Scanner

BOTH = Subscription((BTC, ETH))
LIVELY = {"lively": True, "rate_per_s": 20.0}


@pytest.fixture(scope="module")
def world():
    """An exchange whose market moves by itself; every test lifts its faults."""
    with World(**LIVELY) as one:
        yield one


@pytest.fixture(autouse=True)
def healthy(world):
    yield
    for one in world.send("GET", "/_control/faults").body:
        world.send("DELETE", f"/_control/faults/{one['name']}")


class Books:
    """The core's books, which ask for a snapshot when they find a hole."""

    def __init__(self, heard):
        self.feed = heard.feed
        self.instruments = Instruments([spec(BTC), spec(ETH)])
        self.scanner = Scanner(self.instruments)
        self.books = [Book(), Book()]
        self.trades = {BTC: [], ETH: []}
        self.touches = self.same = 0
        heard.on_message = self.take

    def take(self, stamp, message):
        if self.scanner.feed(message, stamp) != Status.OK:
            return
        rows = self.scanner.rows
        head = rows.array()[0]
        symbol, book = self.instruments.names[head["symbol"]], self.books[head["symbol"]]
        if head["kind"] <= Kind.LEVEL:
            gaps = book.gaps
            book.apply(rows)
            if book.gaps > gaps:
                self.feed.resync(symbol)
        elif head["kind"] == Kind.TRADE:
            self.trades[symbol].append(int(head["a"]))
        elif head["kind"] == Kind.TOUCH and book.is_usable and book.last_id == head["a"]:
            self.touches += 1
            self.same += book.best() == (head["b"], head["d"])

    @property
    def are_usable(self):
        return all(book.is_usable for book in self.books)

    @property
    def gaps(self):
        return [book.gaps for book in self.books]


def with_feed(world, test, subscription=BOTH, urls=None, **timing):
    """Run a test in front of a feed that has been started."""

    async def main():
        heard = Heard(world, subscription, urls, **timing)
        books = Books(heard)
        await heard.feed.start()
        try:
            await test(heard, books)
        finally:
            await heard.feed.close()
        assert heard.feed.open_connections == 0

    run(main())


def lift(world, name):
    assert world.send("DELETE", f"/_control/faults/{name}").status == 200


def fired(world, name):
    return next(one["fired"] for one in world.send("GET", "/_control/faults").body if one["name"] == name)


# ---------------------------------------------------------------------------------- health


@pytest.mark.parametrize("depth,trades", [("100ms", "aggTrade"), ("0ms", "trade")])
def test_each_route_is_asked_for_what_it_delivers_and_every_stream_is_heard(world, depth, trades):
    subscription = Subscription((BTC, ETH), depth, trades, ("1m", "1h"))

    async def test(heard, books):
        sockets = world.do(lambda: {s.route: (s.combined, set(s.names)) for s in world.server.hub.sockets})
        assert sockets == {
            family: (True, {s.name for s in subscription.streams() if s.family == family})
            for family in ("public", "market")
        }
        await heard.until(lambda: books.are_usable)
        assert heard.feed.silent() == [] and heard.feed.unknown == heard.feed.repeated == 0
        assert books.scanner.refused == 0
        assert set(heard.feed.ages()) >= {(s, k) for s in (BTC, ETH) for k in ("book", "touch", "mark")}

    with_feed(world, test, subscription)


def test_messages_come_as_they_were_sent_and_snapshots_name_their_symbol(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.sleep(1.0)
        stamps = [stamp for stamp, _ in heard.messages]
        assert stamps == sorted(stamps)
        named = [orjson.loads(m) for _, m in heard.messages]
        snapshots = [one for one in named if "lastUpdateId" in one]
        assert [one["symbol"] for one in snapshots] == heard.alerts("BOOK_RESYNC")
        assert {one["stream"] for one in named if "stream" in one} <= {s.name for s in BOTH.streams()}
        assert len(named) == len(snapshots) + sum("stream" in one for one in named)
        # Each symbol's first diff came before its snapshot.
        for symbol in (BTC, ETH):
            diff = f"{symbol.lower()}@depth@100ms"
            kinds = ["stream" in one for one in named if symbol == one.get("symbol") or diff == one.get("stream")]
            assert kinds[0] is True and kinds.count(False) == 1

    with_feed(world, test)


def test_the_touch_of_the_books_is_the_one_that_is_told(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable and books.touches > 50, 30)
        assert books.same == books.touches
        assert books.gaps == [0, 0]

    with_feed(world, test, Subscription((BTC, ETH), depth="0ms"))


# ---------------------------------------------------------------------------------- the start


def test_an_address_without_a_route_is_found_out_at_the_start_A10(world):
    async def main():
        base = f"ws://127.0.0.1:{world.port}"
        heard = Heard(world, BOTH, Urls(base, base), silent_s=1.5)
        with pytest.raises(SubscribeFailedError, match="SUBSCRIBE_FAILED") as failure:
            await heard.feed.start()
        assert failure.value.streams == [
            f"{symbol.lower()}@{name}" for symbol in (BTC, ETH) for name in ("aggTrade", "markPrice@1s")
        ]
        assert isinstance(failure.value, VenueError)

    run(main())


def test_a_stream_that_stays_silent_ends_the_start_A10(world):
    world.fault("mute", stream="ethusdt@markPrice*")

    async def main():
        heard = Heard(world, BOTH, silent_s=1.5)
        with pytest.raises(SubscribeFailedError) as failure:
            await heard.feed.start()
        assert failure.value.streams == ["ethusdt@markPrice@1s"]

    run(main())
    assert Timing().silent_s == 10.0


def test_an_exchange_that_refuses_is_named_with_its_reason_A10(world):
    world.fault("refuse", path="/market/*", count=1000)

    async def main():
        heard = Heard(world, BOTH, open_s=1.0)
        with pytest.raises(VenueError, match=r"127\.0\.0\.1:\d+/market/stream: no connection within 1 s \(.*503"):
            await heard.feed.start()

    run(main())


def test_a_port_where_nobody_listens_is_named(world):
    async def main():
        heard = Heard(world, BOTH, Urls("ws://127.0.0.1:9/public", "ws://127.0.0.1:9/market"), open_s=0.5)
        with pytest.raises(VenueError, match=r"127\.0\.0\.1:9/public/stream: no connection.*Connect call failed"):
            await heard.feed.start()

    run(main())


@pytest.mark.parametrize("route", ["public", "market"])
@pytest.mark.parametrize(
    "url", ["ws://127.0.0.2:{port}/public", "wss://127.0.0.1:{port}/market", "ws://127.0.0.1:9/public"]
)
def test_a_stream_at_another_host_is_refused_before_anything_is_opened(world, route, url):
    async def main():
        urls = elsewhere(publicly(world.port), **{route: url.format(port=world.port)})
        with pytest.raises(OperatorError, match="is no address of profile loopback"):
            Heard(world, BOTH, urls)

    run(main())


def test_a_path_without_market_data_is_none_of_paper_s(world):
    async def main():
        urls = elsewhere(publicly(world.port), public=f"ws://127.0.0.1:{world.port}/private")
        with pytest.raises(OperatorError, match="no business there"):
            Heard(world, BOTH, urls)

    run(main())


@pytest.mark.parametrize("error", [RuntimeError("broken"), OSError(28, "broken")])
@pytest.mark.parametrize("at", [b'{"stream":', b'{"symbol":'])
def test_a_sink_that_fails_ends_the_feed_at_once(world, error, at):
    async def main():
        heard = Heard(world, BOTH, spacing_s=0.1)
        await heard.feed.start()
        raised = []

        def fail(_, message):
            if message.startswith(at):
                raised.append(message)
                raise error

        heard.on_message = fail
        heard.feed.resync(BTC)
        with pytest.raises(type(error), match="broken"):
            await asyncio.wait_for(heard.feed.ended(), 20)
        await asyncio.sleep(0.5)
        assert len(raised) == 1 and heard.messages[-1][1] == raised[0]
        await heard.feed.close()
        assert heard.feed.open_connections == 0

    run(main())


# ---------------------------------------------------------------------------------- books


def test_a_hole_in_the_diffs_is_healed_within_three_seconds_by_one_request_A1(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        asked = len(heard.fetched)
        await asyncio.sleep(max(0.0, heard.fetched[-1][0] + 1.0 - time.monotonic()))
        await asyncio.to_thread(world.fault, "gap", stream="btcusdt@depth*")
        await heard.until(lambda: books.gaps[0] == 1)
        assert await heard.until(lambda: books.are_usable) <= 3.0
        await asyncio.sleep(1.0)
        assert [symbol for _, symbol in heard.fetched[asked:]] == [BTC]
        assert books.gaps == [1, 0]

    with_feed(world, test, spacing_s=1.0)


@pytest.mark.slow
def test_however_often_a_book_breaks_there_is_one_request_in_five_seconds_A1(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        for _ in range(14):
            await asyncio.to_thread(world.fault, "gap", stream="btcusdt@depth*")
            heard.feed.resync(BTC)
            await asyncio.sleep(0.5)
        await heard.until(lambda: books.are_usable)
        times = [when for when, symbol in heard.fetched if symbol == BTC]
        assert len(times) >= 2 and min(b - a for a, b in pairwise(times)) >= 4.99

    with_feed(world, test)


def test_a_snapshot_older_than_the_diffs_is_asked_for_again_and_never_handed_over_A2(world):
    old = {"lastUpdateId": 1, "E": 1, "T": 1, "bids": [["1.0", "1"]], "asks": [["2.0", "1"]]}

    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.to_thread(world.fault, "answer", path="/fapi/v1/depth", symbol=BTC, body=json.dumps(old), count=2)
        await asyncio.to_thread(world.fault, "gap", stream="btcusdt@depth*")
        await heard.until(lambda: books.gaps[0] == 1)
        await heard.until(lambda: books.are_usable)
        assert heard.feed.snapshots.stale == 2
        assert not [m for _, m in heard.messages if b'"lastUpdateId":1,' in m]
        assert books.books[0].stale_snapshots == 0

    with_feed(world, test, spacing_s=0.3)


@pytest.mark.parametrize(
    "do,keys",
    [("unavailable_503", {}), ("waf_403", {}), ("truncated_json", {}), ("empty_200", {}), ("reset", {}),
     ("answer", {"body": "[]"}), ("answer", {"body": '{"lastUpdateId":"9","bids":[],"asks":[]}'})],
)  # fmt: skip
def test_a_request_that_fails_is_made_again_later(world, do, keys):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        assert len(heard.alerts("NO_SNAPSHOT")) == 2
        assert books.gaps == [0, 0]

    world.fault(do, path="/fapi/v1/depth", count=2, **keys)
    with_feed(world, test, spacing_s=0.3)


# ---------------------------------------------------------------------------------- silence


def test_one_muted_stream_is_told_and_the_others_go_on_A4(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        name = await asyncio.to_thread(world.fault, "mute", stream="ethusdt@depth*")
        await heard.until(lambda: heard.staled and heard.staled[-1][2] > 1.0)
        symbol, kind, age = heard.staled[-1]
        assert (symbol, kind) == (ETH, "book") and 1.0 < age < 2.0
        begun = len(heard.messages)
        await asyncio.sleep(1.0)
        assert {orjson.loads(m)["stream"] for _, m in heard.messages[begun:]} >= {
            "btcusdt@depth@100ms", "btcusdt@bookTicker", "ethusdt@bookTicker", "ethusdt@markPrice@1s",
        }  # fmt: skip
        lift(world, name)
        await heard.until(lambda: heard.staled[-1] == (ETH, "book", 0.0))
        assert sorted(heard.alerts("CONNECTED")) == ["market", "public"] and heard.feed.connects == 2

    with_feed(world, test)


def test_a_socket_whose_data_stop_is_replaced_although_it_answers_A3(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        names = [await asyncio.to_thread(world.fault, "mute", stream=f"*{kind}*") for kind in ("@depth", "@bookTicker")]
        await heard.until(lambda: "public" in heard.alerts("STREAM_SILENT"))
        for name in names:
            lift(world, name)
        await heard.until(lambda: heard.alerts("CONNECTED").count("public") >= 2)
        await heard.until(lambda: books.are_usable and heard.feed.ages()[BTC, "book"] < 1.0)
        assert heard.alerts("CONNECTED").count("market") == 1

    with_feed(world, test, dead_s=1.5, spacing_s=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/public/*", "/market/*"])
def test_a_half_open_connection_is_replaced_within_fifteen_seconds_D8(path):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.to_thread(world.fault, "half_open", path=path, at_s=0)
        family = path.split("/")[1]
        took = await heard.until(lambda: heard.alerts("CONNECTED").count(family) == 2, 20)
        assert took <= 15.0
        await heard.until(lambda: not any(heard.feed.ages()[BTC, kind] > 2.0 for kind in ("book", "mark")))
        await heard.until(lambda: books.are_usable)

    with World(**LIVELY) as world:  # of its own: it never learns that the frozen connection has ended
        with_feed(world, test)


@pytest.mark.parametrize("path", ["/public/*", "/market/*"])
def test_a_connection_that_is_closed_is_opened_again_within_a_second(world, path):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.to_thread(world.fault, "close", path=path, at_s=0)
        await heard.until(lambda: heard.alerts("DISCONNECTED"))
        assert await heard.until(lambda: heard.feed.connects == 3) < 1.0
        await heard.until(lambda: len(heard.alerts("CONNECTED")) == 3)
        if path == "/public/*":
            await heard.until(lambda: heard.alerts("BOOK_RESYNC").count(BTC) == 2)
        await heard.until(lambda: heard.feed.ages()[BTC, "book"] < 0.5 and books.are_usable)

    with_feed(world, test, spacing_s=0.5)


@pytest.mark.parametrize("how", ["huge_frame", "truncate", "not_utf8", "deep", "bom", "unknown_event", "nan_price"])
def test_a_spoilt_message_costs_a_connection_at_most_A14(world, how):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        count = len(heard.messages)
        name = await asyncio.to_thread(world.fault, "malform", how=how, stream="btcusdt@depth*", count=2)
        await heard.until(lambda: fired(world, name) == 2)
        await heard.until(lambda: books.are_usable and heard.feed.ages()[BTC, "book"] < 0.5)
        await asyncio.sleep(1.0)
        assert len(heard.messages) > count + 10
        assert all(len(message) <= 1 << 20 for _, message in heard.messages)

    with_feed(world, test, spacing_s=0.3)


# ---------------------------------------------------------------------------------- connections that follow each other


@pytest.mark.slow
def test_a_connection_is_renewed_beside_the_old_one_without_hole_or_repetition_A20(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await heard.until(lambda: all(heard.alerts("RENEWED").count(f) >= 3 for f in ("public", "market")), 90)
        assert books.gaps == [0, 0] and books.are_usable
        assert heard.alerts("DISCONNECTED") == [] and heard.feed.repeated > 0
        assert heard.alerts("BOOK_RESYNC") == [*dict.fromkeys(heard.alerts("BOOK_RESYNC"))]  # a snapshot a symbol
        for ids in books.trades.values():
            assert ids == list(range(ids[0], ids[0] + len(ids))) and len(ids) > 10
        marks = [orjson.loads(m)["data"]["E"] for _, m in heard.messages if b'"btcusdt@markPrice@1s"' in m]
        assert marks == sorted(set(marks))

    with_feed(world, test, life_s=2.0, good_s=0.5, first_s=0.1)


def test_a_renewal_that_fails_leaves_the_old_connection_alone_A20(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        name = await asyncio.to_thread(world.fault, "refuse", path="/public/*", count=1000)
        await heard.until(lambda: fired(world, name) >= 2)
        assert books.gaps == [0, 0] and heard.feed.ages()[BTC, "book"] < 1.0
        lift(world, name)
        await heard.until(lambda: "public" in heard.alerts("RENEWED"))
        assert "public" not in heard.alerts("DISCONNECTED") and books.gaps == [0, 0]

    with_feed(world, test, life_s=1.5, first_s=0.1, cap_s=0.3)


def test_a_stream_that_nobody_brings_does_not_hinder_a_renewal_A20(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.to_thread(world.fault, "mute", stream="ethusdt@depth*")
        await heard.until(lambda: (ETH, "book") in [one[:2] for one in heard.staled])
        await heard.until(lambda: "public" in heard.alerts("RENEWED"))
        assert books.gaps[0] == 0

    with_feed(world, test, life_s=3.0, overlap_s=2.0)


def test_twice_the_same_is_harmless_to_a_book(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        await asyncio.sleep(2.0)
        scanner, twice = Scanner(books.instruments), [Book(), Book()]
        for stamp, message in heard.messages:
            for _ in range(2):
                if scanner.feed(message, stamp) == Status.OK and scanner.rows.array()[0]["kind"] <= Kind.LEVEL:
                    twice[scanner.rows.array()[0]["symbol"]].apply(scanner.rows)
        for once, again in zip(books.books, twice, strict=True):
            assert again.gaps == 0 and again.is_usable and again.last_id == once.last_id
            assert [again.levels(side) for side in (0, 1)] == [once.levels(side) for side in (0, 1)]

    with_feed(world, test)


@pytest.mark.slow
def test_a_storm_of_connections_that_end_at_once_is_paced_D10(world):
    async def test(heard, books):
        name = await asyncio.to_thread(world.fault, "flap", path="/*", count=1000)
        await asyncio.to_thread(world.fault, "close", path="/*", at_s=0)
        await heard.until(lambda: len(heard.alerts("DISCONNECTED")) >= 2)
        before, cpu, begun = heard.feed.connects, time.process_time(), time.monotonic()
        await asyncio.sleep(6.0)
        # Nothing but the pace holds these back: five a second of both routes together, six windows and the one begun.
        assert 10 < heard.feed.connects - before <= 5 * 7
        assert fired(world, name) <= 5 * 7 + 5
        assert heard.alerts("FLAPPING") in (["public", "market"], ["market", "public"])
        assert time.process_time() - cpu < (time.monotonic() - begun)
        lift(world, name)
        await heard.until(lambda: books.are_usable and max(heard.feed.ages().values()) < 4.0, 20)

    with_feed(world, test, first_s=0.001, cap_s=0.002, spacing_s=0.5)


@pytest.mark.slow
def test_a_storm_dies_down_by_itself_D10(world):
    async def test(heard, books):
        name = await asyncio.to_thread(world.fault, "flap", path="/*", count=1000)
        await asyncio.to_thread(world.fault, "close", path="/*", at_s=0)
        before = heard.feed.connects
        await asyncio.sleep(8.0)
        # Half a second, one, two, four: each drawn between its half and its whole, of two routes.
        assert 4 <= heard.feed.connects - before <= 2 * 6
        lift(world, name)
        assert sum(count for count, seconds in Timing().connects if seconds >= 300) < 300

    with_feed(world, test)


def test_a_loop_that_stood_still_does_not_call_its_streams_silent(world):
    async def test(heard, books):
        await heard.until(lambda: books.are_usable)
        time.sleep(2.0)
        await asyncio.sleep(1.0)
        assert heard.staled == [] and heard.alerts("STREAM_SILENT") == []

    with_feed(world, test, dead_s=1.5)
