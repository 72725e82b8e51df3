"""The chains of depth diffs, partial books and touches that the exchange on loopback publishes."""

from itertools import pairwise
from random import Random

import numpy as np
import orjson
import pytest
from builders import E8, row, spec
from test_loopback_market import BUY, MS, SECOND, SELL, T0, Listeners, World, facts

from autotrader.adapters.loopback.depth import MOST_RUNS, SPEEDS
from autotrader.adapters.loopback.market import Market
from autotrader.adapters.loopback.text import MOST_TEXTS, Texts, decimal
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind

SPEED_OF = {"btcusdt@depth@0ms": 0, "btcusdt@depth@100ms": 100, "btcusdt@depth": 250, "btcusdt@depth@500ms": 500}


def run(kind, ts, words, bids=(), asks=()):
    """Return a run of a head and its levels as an array."""
    levels = [(0, *level) for level in bids] + [(int(Flag.F_SELL), *level) for level in asks]
    head = (int(kind), 0 if levels else int(Flag.F_END), 0, 0, ts, *words, len(levels), 0, 0)
    rows = [head, *((int(Kind.LEVEL), side, 0, 0, ts, ticks, lots, 0, 0, 0, 0) for side, ticks, lots in levels)]
    array = np.array(rows, EVENT_DTYPE)
    array["flags"][-1] |= Flag.F_END
    return array


class Replay:
    """A recorded market that a test dictates: a snapshot of one level a side, then diffs."""

    def __init__(self, *streams):
        instruments = Instruments([spec()])
        self.venue = Exchange(instruments, [Account(instruments, 10**5 * E8)], ["stream"], 0.0, 0.0, 0)
        self.hub = Listeners(*streams)
        self.market = Market(self.venue, self.hub, [facts()])
        self.last = 10

    def feed(self, rows):
        self.market.advance(int(rows["ts"][0]))
        self.venue.feed(rows)
        self.market.on_array(rows)

    def snapshot(self, ms=0):
        self.feed(run(Kind.SNAPSHOT, T0 + ms * MS, (self.last, 0, 0), [(600_000, 5)], [(600_010, 5)]))

    def diff(self, ms, bids=(), asks=(), before=None, ids=3):
        before = self.last if before is None else before
        first, self.last = self.last + 1, self.last + ids
        self.feed(run(Kind.DEPTH, T0 + ms * MS, (first, self.last, before), bids, asks))

    def begin(self):
        self.snapshot()
        self.feed(run(Kind.DEPTH, T0, (9, 11, 8), [(599_999, 1)]))
        self.last = 11


class Client:
    """Whoever keeps a local book by the exchange's own procedure."""

    def __init__(self):
        self.buffer, self.book, self.last = [], None, -1

    def on_event(self, event):
        self.buffer.append(event)

    def sync(self, ask):
        """Try to follow: a snapshot, then what was buffered; return whether it succeeded."""
        if self.book is None:
            snapshot = ask()
            last = snapshot["lastUpdateId"]
            events = [one for one in self.buffer if one["u"] >= last]
            if not events or not events[0]["U"] <= last <= events[0]["u"]:
                return False
            self.book = [dict(snapshot["bids"]), dict(snapshot["asks"])]
            self.last, self.buffer = events[0]["pu"], events
        for event in self.buffer:
            assert event["pu"] == self.last
            self.last = event["u"]
            for side, levels in zip(self.book, (event["b"], event["a"]), strict=True):
                for price, lots in levels:
                    side[price] = lots
                    if not float(lots):
                        side.pop(price)
        self.buffer = []
        return True


@pytest.mark.parametrize("stream", SPEED_OF)
def test_a_client_that_follows_the_procedure_has_the_venues_book(stream):
    """Random orders in a synthetic world; a client joins at a random moment and never sees a gap."""
    for seed in range(4):
        dice, world, client, seen = Random(seed), World(stream, "btcusdt@bookTicker"), Client(), 0
        world.index(60_000 * E8)
        joined = dice.randrange(50, 200)
        for k in range(600):
            if dice.random() < 0.75:
                side = dice.randrange(2)
                world.send(dice.randrange(4), side, dice.randrange(1, 50), 600_000 + dice.randrange(-9, 10), stp=0)
            elif world.next_id:
                world.cancel(dice.randrange(1, world.next_id + 1), dice.randrange(4))
            world.wait(dice.randrange(60) * MS)
            fresh, seen = world.hub.of(stream)[seen:], len(world.hub.of(stream))
            if k >= joined:
                for event in fresh:
                    client.on_event(event)
                client.sync(lambda: world.market.depth(0, 1000))  # noqa: B023
        world.wait(SECOND)
        for event in world.hub.of(stream)[seen:]:
            client.on_event(event)
        assert client.sync(lambda: world.market.depth(0, 1000))  # noqa: B023
        venue = world.market.depth(0, 1000)
        assert client.last == venue["lastUpdateId"]
        assert client.book == [dict(venue["bids"]), dict(venue["asks"])]


def test_a_window_publishes_the_last_quantity_of_each_level_that_changed():
    replay = Replay()
    replay.begin()
    replay.diff(10, [(599_990, 4)], [(600_020, 1)])
    replay.diff(60, [(599_990, 0), (599_980, 7)])
    replay.diff(110, [(599_990, 2)])
    replay.market.advance(T0 + 500 * MS)
    for_all = {name: replay.hub.of(name) for name in SPEED_OF}
    assert [one["b"] for one in for_all["btcusdt@depth@0ms"]] == [
        [["59999.90", "0.001"]],
        [["59999.00", "0.004"]],
        [["59999.00", "0.000"], ["59998.00", "0.007"]],
        [["59999.00", "0.002"]],
    ]
    tenths = for_all["btcusdt@depth@100ms"]
    assert [(one["U"], one["u"], one["pu"]) for one in tenths] == [(9, 17, 8), (18, 20, 17)]
    assert [(one["E"] - T0 // MS, one["T"] - T0 // MS) for one in tenths] == [(100, 60), (200, 110)]
    (quarter,) = for_all["btcusdt@depth"]
    assert quarter["b"] == [["59999.90", "0.001"], ["59999.00", "0.002"], ["59998.00", "0.007"]]
    assert quarter["a"] == [["60002.00", "0.001"]]
    assert (quarter["U"], quarter["u"], quarter["pu"], quarter["E"] - T0 // MS) == (9, 20, 8, 250)
    assert replay.hub.of("btcusdt@depth@500ms") == replay.hub.of("btcusdt@rpiDepth@500ms")


def test_an_empty_window_publishes_nothing():
    replay = Replay()
    replay.begin()
    replay.market.advance(T0 + SECOND)
    count = len(replay.hub.of("btcusdt@depth@100ms"))
    replay.market.advance(T0 + 10 * SECOND)
    assert len(replay.hub.of("btcusdt@depth@100ms")) == count == 1


def test_chains_run_on_while_nobody_listens():
    replay = Replay("nothing")
    replay.begin()
    for k in range(40):
        replay.diff(20 + 30 * k, [(599_990, k + 1)])
    replay.hub.streams = set(SPEED_OF)
    for k in range(40, 80):
        replay.diff(20 + 30 * k, [(599_990, k + 1)])
    replay.market.advance(T0 + 10 * SECOND)
    for stream in SPEED_OF:
        heard = replay.hub.of(stream)
        assert heard
        assert heard[0]["pu"] == heard[0]["U"] - 1
        assert all(later["pu"] == before["u"] for before, later in pairwise(heard))


def test_nothing_is_published_before_the_book_is_usable():
    replay = Replay()
    replay.diff(0, [(599_990, 4)])
    replay.snapshot(10)
    replay.market.advance(T0 + SECOND)
    assert [name for name, _ in replay.hub.heard if "depth" in name] == []
    assert replay.hub.of("btcusdt@bookTicker") == []


def test_a_gap_of_the_recording_is_a_gap_for_whoever_listens():
    replay = Replay("btcusdt@depth@0ms", "btcusdt@depth@100ms")
    replay.begin()
    replay.diff(20, [(599_990, 4)])
    followed = replay.last
    replay.last += 100
    replay.diff(140, [(599_990, 5)], before=replay.last - 1)  # what came before it was lost
    replay.diff(160, [(599_990, 6)])
    assert not replay.venue.books[0].is_usable
    replay.snapshot(400)
    replay.diff(420, [(599_990, 7)])
    replay.diff(440, [(599_990, 8)])
    replay.market.advance(T0 + SECOND)
    for stream in ("btcusdt@depth@0ms", "btcusdt@depth@100ms"):
        heard = replay.hub.of(stream)
        broken = [(before, later) for before, later in pairwise(heard) if later["pu"] != before["u"]]
        assert len(broken) == 1
        assert broken[0][0]["u"] <= followed < broken[0][1]["pu"]
        assert replay.market.depth(0)["lastUpdateId"] == heard[-1]["u"]


def test_a_diff_that_is_told_twice_is_published_once():
    replay = Replay("btcusdt@depth@0ms")
    replay.begin()
    again = run(Kind.DEPTH, T0 + 5 * MS, (9, 11, 8), [(599_999, 1)])
    replay.feed(again)
    assert len(replay.hub.heard) == 1


def test_a_window_that_is_full_ends_early():
    replay = Replay("btcusdt@depth@500ms")
    replay.begin()
    for _ in range(MOST_RUNS):
        replay.diff(1, [(599_990, 4)])
    (early,) = replay.hub.heard
    assert early[1]["E"] == T0 // MS + 1
    replay.diff(2, [(599_990, 5)])
    replay.market.advance(T0 + 500 * MS)
    assert replay.hub.of("btcusdt@depth@500ms")[1]["pu"] == early[1]["u"]


@pytest.mark.parametrize(("suffix", "speed"), [("@100ms", 100), ("", 250), ("@500ms", 500)])
@pytest.mark.parametrize("limit", [5, 10, 20])
def test_a_partial_book_is_the_top_of_the_book_best_first(suffix, speed, limit):
    stream = f"btcusdt@depth{limit}{suffix}"
    world = World(stream)
    for k in range(30):
        world.send(0, BUY, k + 1, 600_000 - k)
        world.send(1, SELL, k + 1, 600_010 + k)
    world.wait(speed * MS)
    (heard,) = world.hub.of(stream)
    assert heard["b"] == [[decimal((600_000 - k) * 10, 2), decimal(k + 1, 3)] for k in range(limit)]
    assert heard["a"] == [[decimal((600_010 + k) * 10, 2), decimal(k + 1, 3)] for k in range(limit)]
    assert heard["u"] == world.market.depth(0)["lastUpdateId"]
    world.wait(5 * SECOND)
    assert len(world.hub.of(stream)) == 1


def test_a_touch_is_published_as_it_is_told():
    world = World("btcusdt@bookTicker")
    world.quote()
    first, second = world.hub.of("btcusdt@bookTicker")
    assert (first["b"], first["a"], first["A"]) == ("60000.00", "0.00", "0.000")
    assert (second["B"], second["a"], second["A"]) == ("1.000", "60001.00", "1.000")
    assert second["u"] == world.venue.books[0].last_id
    assert world.market.book_ticker(0)["askPrice"] == "60001.00"
    world.send(0, BUY, 5, 599_000)  # behind the touch
    assert len(world.hub.heard) == 2


def test_a_source_without_touches_has_them_made_from_its_book():
    replay = Replay("btcusdt@bookTicker", "!bookTicker")
    replay.begin()
    replay.diff(10, [(599_990, 4)])  # the touch is as it was
    replay.diff(20, [(600_005, 4)])
    assert [(one["b"], one["B"], one["a"]) for one in replay.hub.of("btcusdt@bookTicker")] == [
        ("60000.00", "0.005", "60001.00"), ("60000.50", "0.004", "60001.00"),
    ]  # fmt: skip
    replay.feed(row(Kind.TOUCH, T0 + 30 * MS, a=99, b=600_006, c=1, d=600_009, e=2))
    replay.diff(40, [(600_005, 0)])
    assert len(replay.hub.of("btcusdt@bookTicker")) == 3  # from now on the source tells it
    replay.market.advance(T0 + 5 * SECOND)
    (slow,) = replay.hub.of("!bookTicker")
    assert (slow["u"], slow["b"], slow["E"], slow["T"]) == (
        99,
        "60000.60",
        (T0 + 5 * SECOND) // MS,
        (T0 + 30 * MS) // MS,
    )


def test_depth_is_answered_with_the_id_of_the_book():
    replay = Replay("nothing")
    assert replay.market.depth(0)["bids"] == []
    replay.begin()
    body = replay.market.depth(0, 5)
    assert body["lastUpdateId"] == 11
    assert body["bids"] == [["60000.00", "0.005"], ["59999.90", "0.001"]]
    assert body["E"] >= body["T"] == T0 // MS


def test_every_message_is_json_also_where_a_symbol_has_chinese_letters():
    instruments = Instruments([spec()])
    venue = Exchange(instruments, [Account(instruments, 10**5 * E8)], ["stream"], 0.0, 0.0, 0)
    hub = Listeners()
    market = Market(venue, hub, [facts("币安USDT")])
    for rows in (run(Kind.SNAPSHOT, T0, (10, 0, 0), [(600_000, 5)]), run(Kind.DEPTH, T0, (9, 11, 8), [(599_999, 1)])):
        venue.feed(rows)
        market.on_array(rows)
    market.on_array(row(Kind.TRADE, T0, a=1, b=600_000, c=1, d=1, e=1))
    assert {one["s"] for _, one in hub.heard} == {"币安USDT"}
    assert {name for name, _ in hub.heard} >= {"币安usdt@depth@0ms", "币安usdt@trade"}


def test_remembered_texts_are_bounded_and_right():
    texts = Texts(10**7, 2)
    for k in range(2 * MOST_TEXTS + 5):
        assert texts[k] == decimal(k * 10, 2)
        assert len(texts) <= MOST_TEXTS
    assert orjson.loads(orjson.dumps(SPEEDS)) == [100, 250, 500]
