"""The account's event stream in front of the exchange on loopback, healthy and not.

Rows of the catalogue of faults stand in the tests' names.
"""

import asyncio
import time

import orjson
import pytest
from loopback_world import World
from rest_clients import Account, at, elsewhere, publicly, run

from autotrader.adapters.binance.user_stream import Timing, UserStream
from autotrader.errors import OperatorError, VenueError
from autotrader.secret import REDACTED

BTC = "BTCUSDT"
FAST = {"first_s": 0.05, "cap_s": 0.2, "good_s": 0.5, "overlap_s": 0.3}


@pytest.fixture
def world():
    with World() as one:
        one.mark(50_000)
        yield one


class Listener:
    """A stream and everything that it said."""

    def __init__(self, rest, port, **timing):
        self.events, self.news, self.gaps = [], [], 0
        self.on_event = lambda *_: None
        self.stream = UserStream(
            at(port), rest, sink=self.take, gap=self.on_gap,
            told=lambda *one: self.news.append(one), now_ns=time.monotonic_ns, timing=Timing(**FAST | timing),
        )  # fmt: skip

    def take(self, stamp, event):
        self.events.append((stamp, event))
        self.on_event(event)

    def on_gap(self):
        self.gaps += 1

    @property
    def kinds(self):
        return [orjson.loads(event)["e"] for _, event in self.events]

    def orders(self):
        return [one["o"]["c"] for _, e in self.events if (one := orjson.loads(e))["e"] == "ORDER_TRADE_UPDATE"]

    def alerts(self, name):
        return [about for alert, about in self.news if alert == name]

    async def until(self, what, seconds=20.0):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.news[-5:], self.stream.connects)
            await asyncio.sleep(0.01)


def listening(world, test, **timing):
    """Run a test with alice's stream, which has been started."""

    async def main():
        async with Account(world) as account:
            heard = Listener(account.rest, world.port, **timing)
            await heard.stream.start()
            try:
                await test(heard, account.rest)
            finally:
                await heard.stream.close()
            assert heard.stream.open_connections == 0

    run(main())


async def order(world, name, price=40_000, who="alice"):
    await asyncio.to_thread(world.order, "BUY", "0.01", price, who, newClientOrderId=name)


def live_keys(world):
    return {account: world.server.keys.of(account) for account in range(len(world.names))}


# ---------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "urls", [elsewhere(at(9), user="ws://127.0.0.2:9/private"), elsewhere(publicly(9), user=at(9).user)]
)
def test_an_account_s_stream_at_another_host_or_of_paper_is_refused_before_anything_is_opened(urls):
    async def main():
        with pytest.raises(OperatorError, match="profile loopback"):
            UserStream(urls, None, sink=print, gap=print, told=print, now_ns=time.monotonic_ns)

    run(main())


# ---------------------------------------------------------------------------------- health


def test_every_event_comes_once_as_it_was_sent_and_proves_the_stream(world):
    ear = world.listen()

    async def test(heard, rest):
        assert heard.stream.is_open and heard.stream.proven_ns == 0 and heard.events == []
        for k in range(5):
            await order(world, f"o{k}")
        await heard.until(lambda: len(heard.events) == 5)
        assert [event for _, event in heard.events] == ear.raw()
        assert heard.stream.proven_ns == heard.events[-1][0] and heard.gaps == 0
        await order(world, "bobs", who="bob")
        before = heard.stream.proven_ns
        heard.stream.prove()
        assert heard.stream.proven_ns > before
        assert heard.orders() == [f"o{k}" for k in range(5)]

    listening(world, test)


def test_the_listen_key_is_in_no_address_and_in_nothing_that_is_handed_over(world):
    seen = []

    async def test(heard, rest):
        key = live_keys(world)[0]
        (socket,) = [one for one in world.server.hub.sockets if one.route == "private"]
        assert key in socket.names  # asked for in a message, since the address is the same for every account
        assert heard.stream._url == f"ws://127.0.0.1:{world.port}/private/stream"
        await order(world, "one")
        await asyncio.to_thread(world.fault, "expire_key", account="alice")
        await heard.until(lambda: heard.gaps == 1)
        await order(world, "two")
        await heard.until(lambda: "two" in heard.orders())
        seen.append((key, heard))

    listening(world, test)
    ((key, heard),) = seen
    shown = repr(heard.events) + repr(heard.news) + repr(heard.stream)
    assert key not in shown and REDACTED not in shown and heard.orders() == ["one", "two"]


def test_the_key_is_kept_while_the_stream_runs(world):
    async def test(heard, rest):
        key = live_keys(world)[0]
        for _ in range(3):
            world.wall_ms += 50 * 60_000
            await asyncio.sleep(0.3)  # it is kept each 0.1 s here
            await asyncio.to_thread(world.pass_s, 1)
        assert live_keys(world)[0] == key and heard.gaps == 0 and heard.stream.connects == 1
        await order(world, "still")
        await heard.until(lambda: heard.orders() == ["still"])

    listening(world, test, keep_s=0.1)


def test_a_stream_that_closes_leaves_the_key_to_whoever_else_listens(world):
    ear = world.listen()

    async def test(heard, rest):
        await order(world, "one")

    listening(world, test)
    world.order("BUY", "0.01", 40_000, newClientOrderId="two")
    assert [one["o"]["c"] for one in ear.heard()] == ["one", "two"]


# ---------------------------------------------------------------------------------- the key


def test_c1_a_key_that_expires_is_replaced_within_five_seconds_and_a_gap_is_told(world):
    async def test(heard, rest):
        key = live_keys(world)[0]
        heard.stream.prove()
        world.wall_ms += 61 * 60_000
        began = time.monotonic()
        await asyncio.to_thread(world.pass_s, 1)
        await heard.until(lambda: heard.gaps == 1, 5.0)
        assert time.monotonic() - began < 5.0
        assert live_keys(world)[0] not in (None, key) and heard.alerts("USER_STREAM_RENEWED")
        assert heard.stream.proven_ns == 0 and heard.kinds == []
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["after"])
        assert heard.stream.proven_ns > 0

    listening(world, test, first_s=Timing().first_s, cap_s=Timing().cap_s)


@pytest.mark.parametrize("how", ["event", "refusal"])
def test_c2_a_key_that_is_gone_is_replaced_whether_an_event_or_a_refusal_says_so(world, how):
    async def test(heard, rest):
        key = live_keys(world)[0]
        if how == "event":
            await asyncio.to_thread(world.fault, "expire_key", account="alice")
        else:
            world.do(lambda: world.server.keys.close(0))
        await heard.until(lambda: heard.gaps == 1)
        assert live_keys(world)[0] not in (None, key)
        assert (how == "refusal") is any("(-1125)" in about for about in heard.alerts("LISTEN_KEY"))
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["after"])

    listening(world, test, keep_s=0.2)


def test_a_key_that_cannot_be_kept_is_tried_again_and_the_stream_goes_on(world):
    async def test(heard, rest):
        await asyncio.to_thread(world.fault, "unavailable_503", path="/fapi/v1/listenKey", count=3)
        await heard.until(lambda: len(heard.alerts("LISTEN_KEY")) == 3)
        world.wall_ms += 50 * 60_000
        await asyncio.sleep(0.3)
        world.wall_ms += 50 * 60_000
        await asyncio.to_thread(world.pass_s, 1)
        assert heard.gaps == 0 and heard.stream.connects == 1

    listening(world, test, keep_s=0.1, again_s=0.05)


def test_a_connection_that_is_lost_while_keys_are_refused_comes_back_with_the_key_that_it_had(world):
    async def test(heard, rest):
        await asyncio.to_thread(world.fault, "unavailable_503", path="/fapi/v1/listenKey", count=1000)
        await asyncio.to_thread(world.fault, "close", path="/private/*", account="alice", at_s=0)
        await heard.until(lambda: heard.gaps == 1)
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["after"])

    listening(world, test)


# ---------------------------------------------------------------------------------- connections


def test_c3_a_mute_stream_is_not_proven_and_one_that_is_called_mute_begins_anew_with_another_key(world):
    async def test(heard, rest):
        await order(world, "before")
        await heard.until(lambda: heard.orders() == ["before"])
        key, proven = live_keys(world)[0], heard.stream.proven_ns
        await asyncio.to_thread(world.fault, "mute", stream="user", name="silence")
        await order(world, "unheard")
        await asyncio.sleep(1.0)  # its other side answers all the while
        assert heard.orders() == ["before"] and heard.stream.proven_ns == proven and heard.stream.is_open
        await asyncio.to_thread(world.send, "DELETE", "/_control/faults/silence")
        await heard.stream.replace()
        await heard.until(lambda: heard.gaps == 1)
        assert live_keys(world)[0] != key
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["before", "after"])

    listening(world, test, beat_s=0.1)


def test_a_connection_that_ends_comes_back_and_a_gap_is_told_after_the_subscription(world):
    async def test(heard, rest):
        during = []
        heard.stream._gap = lambda: (heard.on_gap(), during.append(heard.stream.is_open))
        await asyncio.to_thread(world.fault, "close", path="/private/*", at_s=0)
        await heard.until(lambda: heard.gaps == 1)
        assert during == [True] and len(heard.alerts("USER_STREAM_LOST")) == 1
        assert heard.stream.proven_ns == 0
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["after"])

    listening(world, test)


def test_d8_a_half_open_connection_is_found_though_an_account_has_nothing_to_say(world):
    async def test(heard, rest):
        began = time.monotonic()
        await asyncio.to_thread(world.fault, "half_open", path="/private/*", at_s=0)
        await heard.until(lambda: heard.gaps == 1)
        assert time.monotonic() - began < 5.0
        await order(world, "after")
        await heard.until(lambda: heard.orders() == ["after"])

    listening(world, test, beat_s=0.2, dead_s=0.3)


def test_d8_it_is_found_within_fifteen_seconds():
    timing = Timing()
    assert timing.beat_s + timing.dead_s + timing.first_s <= 15.0
    assert timing.cap_s <= 5.0  # who was away is back within five seconds


def test_d10_a_server_that_accepts_and_closes_is_tried_ever_less_often_and_told_once(world):
    async def test(heard, rest):
        name = await asyncio.to_thread(world.fault, "flap", path="/private/*", count=1000)
        await asyncio.to_thread(world.fault, "close", path="/private/*", at_s=0)
        await asyncio.sleep(3.0)
        tries = heard.stream.connects
        assert 5 < tries <= 1 + 5 * 3 and len(heard.alerts("FLAPPING")) == 1
        await asyncio.to_thread(world.send, "DELETE", f"/_control/faults/{name}")
        await heard.until(lambda: heard.stream.is_open)
        await order(world, "after")
        await heard.until(lambda: "after" in heard.orders())
        assert heard.stream.open_connections <= 2

    listening(world, test, connects=((5, 1.0), (250, 300.0)), good_s=60.0)


def test_a20_a_younger_connection_takes_over_without_a_hole_or_a_repetition(world):
    async def test(heard, rest):
        k = 0
        while len(heard.alerts("USER_STREAM_RENEWED")) < 3:
            await order(world, f"o{k}")
            k += 1
            await asyncio.sleep(0.03)
        await heard.until(lambda: len(heard.orders()) == k)
        assert heard.orders() == [f"o{n}" for n in range(k)]
        assert heard.gaps == 0 and heard.stream.repeated > 0 and heard.alerts("USER_STREAM_LOST") == []
        assert heard.stream.open_connections <= 2

    listening(world, test, life_s=0.5)


def test_a_start_that_finds_nobody_says_so_and_leaves_nothing_behind(world):
    async def main():
        async with Account(world) as account:
            heard = Listener(account.rest, 9, open_s=0.5)
            with pytest.raises(VenueError, match=r"did not open within 0\.5 s"):
                await heard.stream.start()
            assert heard.stream.open_connections == 0 and not heard.stream.is_open

    run(main())


def test_a_start_with_a_key_that_is_refused_says_the_exchange_s_code(world):
    async def main():
        async with Account(world, key="another-key") as account:
            heard = Listener(account.rest, world.port, open_s=0.5)
            with pytest.raises(VenueError, match=r"POST /fapi/v1/listenKey.*\(-2015\)"):
                await heard.stream.start()

    run(main())


def test_an_error_of_whoever_takes_the_events_ends_the_stream(world):
    async def main():
        async with Account(world) as account:
            heard = Listener(account.rest, world.port)

            def fail(event):
                raise OperatorError("full")

            heard.on_event = fail
            await heard.stream.start()
            await order(world, "one")
            with pytest.raises(OperatorError, match="full"):
                await asyncio.wait_for(heard.stream.ended(), 10)
            await order(world, "two")
            await asyncio.sleep(0.2)
            assert len(heard.events) == 1
            await heard.stream.close()

    run(main())


@pytest.mark.parametrize("how", ["truncate", "not_utf8", "bom", "deep", "duplicate_keys", "unknown_field"])
def test_c_events_that_are_spoilt_are_handed_over_without_the_key(world, how):
    async def test(heard, rest):
        key = live_keys(world)[0]
        await asyncio.to_thread(world.fault, "malform", stream="user", how=how)
        await order(world, "spoilt")
        await order(world, "sound")
        await heard.until(lambda: len(heard.events) >= 1 and b'"sound"' in heard.events[-1][1])
        assert all(key.encode() not in event for _, event in heard.events)
        assert heard.gaps == 0

    listening(world, test)


def test_an_event_whose_wrapper_cannot_be_read_is_a_gap_and_its_key_goes_nowhere(world):
    async def test(heard, rest):
        key = live_keys(world)[0].encode()
        for spoilt in (b'\xef\xbb\xbf{"stream":"' + key + b'","data":{}}', b' {"stream":"' + key + b'","da'):
            heard.stream._heard(heard.stream._connection, spoilt)
        heard.stream._heard(heard.stream._connection, b'{"stream":"' + key + b'","da')
        assert heard.gaps == 3 and heard.events == []
        assert heard.stream.is_open and heard.stream.connects == 1

    listening(world, test)
