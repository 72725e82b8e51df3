import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
import uvloop
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect

from autotrader.adapters.loopback.door import HOST, Door, Request, Response
from autotrader.adapters.loopback.streams import Hub, MarketSocket, Rules, family

START = 1_800_000_000_000
KEYS = {"keyOfAlice", "keyOfBob", "123"}


class Fake(MarketSocket):
    """A socket whose frames end in a list, for what needs no connection."""

    def __init__(self, request: Request, hub: Hub) -> None:
        super().__init__(request, hub)
        self.out: list[bytes] = []
        self.ended: list[tuple[int, str]] = []
        self.pings = 0
        self.backlog = 0

    def send(self, payload: bytes) -> None:
        if not self.ended:
            self.out.append(payload)

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.ended.append((code, reason))

    def abort(self) -> None:
        self.ended.append((1006, ""))

    @property
    def buffered(self) -> int:
        return self.backlog

    def ask(self, message: object) -> object:
        """Say something and return what is answered."""
        self.out.clear()
        self.on_text(message if isinstance(message, bytes) else orjson.dumps(message))
        return orjson.loads(self.out[-1]) if self.out else None


class Desk:
    """A hub with a clock that the test moves."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.now = START
        self.hub = Hub(clock=lambda: self.now, known=KEYS.__contains__, rules=rules)

    def socket(self, target: str) -> Fake:
        path, _, query = target.partition("?")
        socket = self.hub.connect(Request("GET", path, query, {}, b"", "127.0.0.1"), Fake)
        assert isinstance(socket, Fake), socket
        socket.on_open()
        return socket

    def patient(self, target: str) -> Fake:
        socket = self.socket(target)
        ask = socket.ask

        def later(message: object) -> object:
            self.now += 1000
            return ask(message)

        socket.ask = later  # type: ignore[method-assign]
        return socket


def subscribe(*names: str, id: object = 1) -> dict:
    return {"method": "SUBSCRIBE", "params": list(names), "id": id}


# --- Routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(name, "public") for name in (
            "btcusdt@bookTicker", "!bookTicker", "btcusdt@depth", "btcusdt@depth@100ms", "btcusdt@depth@0ms",
            "btcusdt@depth20@500ms", "btcusdt@depth5", "btcusdt@rpiDepth@500ms", "btcusdt@trade", "币usdt@depth")],
        *[(name, "market") for name in (
            "btcusdt@aggTrade", "btcusdt@markPrice", "btcusdt@markPrice@1s", "!markPrice@arr@1s", "btcusdt@kline_1m",
            "btcusdt_perpetual@continuousKline_1m", "btcusdt@miniTicker", "!miniTicker@arr", "btcusdt@ticker",
            "!ticker@arr", "btcusdt@forceOrder", "!forceOrder@arr", "x@compositeIndex", "!contractInfo",
            "!assetIndex@arr", "btcusd@assetIndex", "tradingSession", "btcusdt@nonsense", "btcusdt@tradeX")],
        ("pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1", "user"),
    ],
)  # fmt: skip
def test_a_stream_belongs_to_a_family(name: str, expected: str):
    assert family(name) == expected


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("/public/ws", []),
        ("/public/ws/", []),
        ("/public/ws/btcusdt@depth/ethusdt@depth", ["btcusdt@depth", "ethusdt@depth"]),
        ("/public/ws/btcusdt%40depth", ["btcusdt@depth"]),
        ("/public/ws/0", []),
        ("/public/ws/17/btcusdt@depth", ["btcusdt@depth"]),
        ("/public/stream?streams=btcusdt@depth/ethusdt@trade", ["btcusdt@depth", "ethusdt@trade"]),
        ("/public/stream?streams=btcusdt%40depth%2Fethusdt%40trade", ["btcusdt@depth", "ethusdt@trade"]),
        ("/public/ws?streams=btcusdt@depth", ["btcusdt@depth"]),
        ("/ws/btcusdt@depth", ["btcusdt@depth"]),
        ("/stream?streams=btcusdt@depth&timeUnit=x", ["btcusdt@depth"]),
        ("/market/ws/BTCUSDT@aggTrade", ["BTCUSDT@aggTrade"]),
        ("/private/ws/keyOfAlice", ["keyOfAlice"]),
        ("/private/ws?listenKey=keyOfAlice", ["keyOfAlice"]),
        ("/private/stream?listenKey=keyOfAlice&listenKey=keyOfBob", ["keyOfAlice", "keyOfBob"]),
        ("/private/stream?streams=keyOfAlice", ["keyOfAlice"]),
    ],
)
def test_the_address_names_the_streams(target: str, names: list[str]):
    socket = Desk().socket(target)
    assert socket.ask({"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": names, "id": 3}
    assert socket.combined == ("/stream" in target)


@pytest.mark.parametrize("path", ["/", "/wss", "/public", "/public/x", "/other/ws", "/ws-fapi/v1", "/public/wsx/a"])
def test_an_address_of_nothing_is_refused(path: str):
    refusal = Desk().hub.connect(Request("GET", path, "", {}, b"", ""))
    assert isinstance(refusal, Response) and refusal.status == 404 and orjson.loads(refusal.body)["code"] < 0


def test_an_address_with_too_many_streams_is_refused():
    query = "streams=" + "/".join(f"s{n}@depth" for n in range(1025))
    refusal = Desk().hub.connect(Request("GET", "/stream", query, {}, b"", ""))
    assert isinstance(refusal, Response) and refusal.status == 400


PUBLIC, MARKET = "btcusdt@depth@100ms", "btcusdt@aggTrade"


@pytest.mark.parametrize(
    ("path", "silent", "heard"),
    [
        ("/public/ws", True, {PUBLIC}),
        ("/market/ws", True, {MARKET}),
        ("/private/ws", True, {"keyOfAlice"}),
        ("/ws", True, {PUBLIC}),
        ("/public/stream", False, {PUBLIC}),
        ("/ws", False, {PUBLIC, MARKET, "keyOfAlice"}),
        ("/stream", False, {PUBLIC, MARKET, "keyOfAlice"}),
    ],
)
def test_a_stream_on_another_route_is_acknowledged_and_silent(path: str, silent: bool, heard: set[str]):
    desk = Desk(Rules(legacy_silent=silent))
    socket = desk.socket(path)
    assert socket.ask(subscribe(PUBLIC, MARKET, "keyOfAlice")) == {"result": None, "id": 1}
    assert socket.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})["result"] == [PUBLIC, MARKET, "keyOfAlice"]
    socket.out.clear()
    for name in (PUBLIC, MARKET):
        desk.hub.publish(name, b'"%b"' % name.encode())
        assert desk.hub.wants(name) == (name in heard)
    desk.hub.publish_user("keyOfAlice", "ORDER_TRADE_UPDATE", b'"keyOfAlice"')
    assert desk.hub.listening("keyOfAlice") == ("keyOfAlice" in heard)
    assert set(desk.hub.names()) == heard & {PUBLIC, MARKET}
    got = [orjson.loads(payload) for payload in socket.out]
    assert {one["stream"] if isinstance(one, dict) else one for one in got} == heard


# --- Subscriptions ----------------------------------------------------------------------------------------------------


def test_the_acknowledgement_comes_before_the_first_data_of_the_stream():
    desk = Desk()
    socket = desk.socket("/public/ws")
    desk.hub.publish("btcusdt@trade", b"{}")
    socket.on_text(orjson.dumps(subscribe("btcusdt@trade")))
    desk.hub.publish("btcusdt@trade", b'{"t":1}')
    assert socket.out == [b'{"result":null,"id":1}', b'{"t":1}']


@pytest.mark.parametrize("id", [1, 0, -5, "3f7df6e3-2df4", None, True, 1.5, [1, {"a": None}], {"k": "v"}, 2**63, "ü"])
def test_any_id_comes_back_as_it_was(id: object):
    assert Desk().socket("/ws").ask(subscribe("a@trade", id=id)) == {"result": None, "id": id}


def test_raw_sockets_get_the_payload_and_combined_ones_the_wrapper():
    desk = Desk()
    raw, combined = desk.socket("/public/ws/a@trade"), desk.socket("/public/stream?streams=a@trade")
    desk.hub.publish("a@trade", b'{"p":"1"}')
    assert raw.out == [b'{"p":"1"}'] and combined.out == [b'{"stream":"a@trade","data":{"p":"1"}}']


def test_a_name_with_quotes_cannot_break_the_wrapper():
    desk = Desk()
    socket = desk.socket("/public/stream")
    socket.ask(subscribe('a"b\\@trade'))
    desk.hub.publish('a"b\\@trade', b"1")
    assert orjson.loads(socket.out[-1]) == {"stream": 'a"b\\@trade', "data": 1}


def test_a_stream_subscribed_twice_comes_once_and_leaves_at_once():
    desk = Desk()
    socket = desk.socket("/public/ws/a@trade")
    socket.ask(subscribe("a@trade", "a@trade"))
    socket.out.clear()
    desk.hub.publish("a@trade", b"1")
    assert socket.out == [b"1"]
    assert socket.ask({"method": "UNSUBSCRIBE", "params": ["a@trade", "never@there"], "id": 312}) == {
        "result": None,
        "id": 312,
    }
    desk.hub.publish("a@trade", b"2")
    assert len(socket.out) == 1 and not desk.hub.wants("a@trade") and list(desk.hub.names()) == []


def test_upper_case_symbols_stay_silent():
    desk = Desk()
    socket = desk.socket("/public/ws/BTCUSDT@depth")
    desk.hub.publish("btcusdt@depth", b"1")
    assert socket.out == [] and not desk.hub.wants("btcusdt@depth")


def test_a_socket_that_is_gone_listens_no_more():
    desk = Desk()
    socket, other = desk.socket("/public/ws/a@trade"), desk.socket("/public/ws/a@trade")
    assert desk.hub.sockets == {socket, other}
    socket.on_closed()
    socket.on_closed()
    assert desk.hub.wants("a@trade") and desk.hub.sockets == {other}
    other.on_closed()
    assert not desk.hub.wants("a@trade") and list(desk.hub.names()) == []


def test_the_wrapper_is_switched_by_a_property():
    desk = Desk()
    socket = desk.patient("/public/ws/a@trade")
    assert socket.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == {"result": False, "id": 2}
    assert socket.ask({"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}) == {"result": None, "id": 5}
    assert socket.ask({"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == {"result": True, "id": 2}
    desk.hub.publish("a@trade", b"1")
    assert socket.out[-1] == b'{"stream":"a@trade","data":1}'


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (b"", 3, "Invalid JSON"),
        (b"{", 3, "Invalid JSON"),
        (b"hello", 3, "Invalid JSON"),
        (b"[" * 10_000, 3, "Invalid JSON"),
        (b'{"id":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 3, "Invalid JSON"),
        (b'{"a":NaN}', 3, "Invalid JSON"),
        (b"[]", 2, "Invalid request"),
        (b"null", 2, "Invalid request"),
        (b"1" + b"0" * 400, 3, "Invalid JSON"),
        ({"id": 1}, 2, "Invalid request: missing field `method`"),
        ({"method": None, "id": 1}, 2, "Invalid request"),
        ({"method": ["SUBSCRIBE"], "id": 1}, 2, "Invalid request"),
        ({"method": "subscribe", "params": [], "id": 1}, 2, "unknown variant `subscribe`, expected one of"),
        ({"method": "SUBSCRIBE", "id": 1}, 2, "Invalid request: missing field `params`"),
        ({"method": "SUBSCRIBE", "params": "a@trade", "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": {"a": 1}, "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": ["a@trade", None], "id": 1}, 2, "Invalid request"),
        ({"method": "SUBSCRIBE", "params": ["x" * 300], "id": 1}, 2, "too long"),
        ({"method": "UNSUBSCRIBE", "params": [[]], "id": 1}, 2, "Invalid request"),
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0, "Unknown property"),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0, "Unknown property"),
        (
            {"method": "SET_PROPERTY", "params": ["combined", "true"], "id": 1},
            1,
            "Invalid value type: expected Boolean",
        ),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, "Invalid value type: expected Boolean"),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1, "Invalid value type: expected Boolean"),
        ({"method": "SET_PROPERTY", "params": [1, True], "id": 1}, 2, "property name must be a string"),
        ({"method": "SET_PROPERTY", "params": [], "id": 1}, 2, "property name must be a string"),
        ({"method": "SET_PROPERTY", "params": ["combined", True, 1], "id": 1}, 2, "too many parameters"),
        ({"method": "GET_PROPERTY", "params": ["combined", True], "id": 1}, 2, "too many parameters"),
    ],
)
def test_a_wrong_message_is_answered_with_its_code(message: object, code: int, words: str):
    socket = Desk().socket("/ws/a@trade")
    answer = socket.ask(message)
    assert isinstance(answer, dict) and answer["code"] == code and words in answer["msg"]
    assert answer.get("id") == (message["id"] if isinstance(message, dict) else None)
    assert not socket.ended and socket.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})["result"] == ["a@trade"]


def test_an_id_nested_too_deeply_to_be_sent_back_is_an_invalid_request():
    message = b'{"method":"SUBSCRIBE","params":["a@trade"],"id":' + b"[" * 500 + b"]" * 500 + b"}"
    assert Desk().socket("/ws").ask(message)["code"] == 2


def test_an_integer_beyond_64_bits_does_not_kill_the_socket():
    answer = Desk().socket("/ws").ask(b'{"method":"SUBSCRIBE","params":["a@trade"],"id":' + b"9" * 100 + b"}")
    assert isinstance(answer, dict) and ("result" in answer or answer["code"] in (2, 3))


@settings(max_examples=200)
@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["method", "params", "id"]), inner | st.sampled_from(["SUBSCRIBE", "SET_PROPERTY", "combined"])
    ),
))  # fmt: skip
def test_every_json_gets_one_answer(message: object):
    socket = Desk().socket("/ws")
    socket.on_text(orjson.dumps(message))
    answer = orjson.loads(socket.out[0])
    assert len(socket.out) == 1 and ("result" in answer) != ("code" in answer)


def test_more_than_1024_streams_are_refused_and_nothing_is_changed():
    socket = Desk().patient("/public/ws")
    assert "result" in socket.ask(subscribe(*(f"s{n}@trade" for n in range(1024))))
    assert socket.ask(subscribe("s0@trade", "s1@trade")) == {"result": None, "id": 1}
    assert socket.ask(subscribe("one@more"))["code"] == 2
    assert len(socket.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})["result"]) == 1024


# --- Wall time --------------------------------------------------------------------------------------------------------


def test_the_eleventh_message_in_a_second_ends_the_connection_whatever_it_is():
    desk = Desk()
    socket = desk.socket("/ws")
    for number in range(10):
        desk.now += 99
        socket.on_control() if number % 2 else socket.on_text(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
    assert socket.ended == []
    desk.now += 9
    socket.on_control()
    assert [code for code, _ in socket.ended] == [1008]


def test_ten_messages_a_second_are_fine_for_ever():
    desk = Desk()
    socket = desk.socket("/ws")
    for _ in range(200):
        desk.now += 100
        socket.on_text(b"{}")
    assert socket.ended == []


def test_a_connection_lives_a_day():
    desk = Desk()
    socket = desk.socket("/ws")
    for minute in range(1, 24 * 60):
        socket.pongs += 1
        socket.on_control()
        desk.now = START + minute * 60_000
        desk.hub.tick(desk.now)
    assert socket.ended == [] and socket.pings == 24 * 60 / 3 - 1
    desk.hub.tick(START + 86_400_000)
    assert [code for code, _ in socket.ended] == [1001]


def test_a_peer_without_a_pong_for_ten_minutes_is_closed():
    desk = Desk()
    socket = desk.socket("/ws")
    for second in range(600):
        desk.hub.tick(START + second * 1000)
    assert socket.ended == [] and socket.pings == 3
    desk.hub.tick(START + 600_000)
    assert [code for code, _ in socket.ended] == [1008]


def test_a_ping_of_the_peer_is_no_pong():
    desk = Desk()
    socket = desk.socket("/ws")
    desk.now = START + 300_000
    socket.on_control()
    desk.hub.tick(START + 600_000)
    assert socket.ended


# --- Users ------------------------------------------------------------------------------------------------------------


def test_a_users_events_go_to_all_sockets_of_the_key_raw_or_wrapped():
    desk = Desk()
    raw, combined = desk.socket("/private/ws?listenKey=keyOfAlice"), desk.socket("/private/stream")
    other = desk.socket("/private/ws/keyOfBob")
    combined.ask(subscribe("keyOfAlice", id="uuid"))
    combined.out.clear()
    desk.hub.publish_user("keyOfAlice", "ACCOUNT_UPDATE", b'{"e":"ACCOUNT_UPDATE"}')
    assert raw.out == [b'{"e":"ACCOUNT_UPDATE"}'] and other.out == []
    assert combined.out == [b'{"stream":"keyOfAlice","data":{"e":"ACCOUNT_UPDATE"}}']
    assert desk.hub.listening("keyOfAlice") and not desk.hub.wants("keyOfAlice") and list(desk.hub.names()) == []


@pytest.mark.parametrize(
    ("query", "alice", "bob"),
    [
        ("listenKey=keyOfAlice&events=A/B", "AB", ""),
        ("events=A/B&listenKey=keyOfAlice", "AB", ""),
        ("listenKey=keyOfAlice&events=A%2FB", "AB", ""),
        ("listenKey=keyOfAlice&events=", "ABC", ""),
        ("listenKey=keyOfAlice&events=A&listenKey=keyOfBob&events=C", "A", "C"),
        ("listenKey=keyOfAlice&listenKey=keyOfBob&events=C", "ABC", "C"),
        ("listenKey=keyOfAlice&events=A&listenKey=keyOfBob", "A", "ABC"),
    ],
)
def test_events_filter_the_key_before_them(query: str, alice: str, bob: str):
    desk = Desk()
    socket = desk.socket(f"/private/stream?{query}")
    for key in ("keyOfAlice", "keyOfBob"):
        for event in "ABC":
            desk.hub.publish_user(key, event, b'"%b"' % event.encode())
    got = [orjson.loads(payload) for payload in socket.out]
    assert "".join(one["data"] for one in got if one["stream"] == "keyOfAlice") == alice
    assert "".join(one["data"] for one in got if one["stream"] == "keyOfBob") == bob


def test_a_key_that_does_not_exist_is_accepted_and_silent():
    desk = Desk()
    socket = desk.socket("/private/ws?listenKey=nobodys")
    assert socket.ask(subscribe("nobodysToo")) == {"result": None, "id": 1}
    socket.out.clear()
    desk.hub.publish_user("nobodys", "A", b"1")
    assert socket.out == [] and not desk.hub.listening("nobodys") and not socket.ended


# --- Slow peers and the status page -----------------------------------------------------------------------------------


def test_a_paused_subscriber_congests_the_hub_until_it_reads_or_leaves():
    desk = Desk()
    socket, other = desk.socket("/ws/a@trade"), desk.socket("/ws/a@trade")
    assert not desk.hub.congested
    socket.pause_writing()
    assert desk.hub.congested
    socket.resume_writing()
    assert not desk.hub.congested
    other.pause_writing()
    other.on_closed()
    assert not desk.hub.congested


def test_who_waits_for_slow_subscribers_goes_on_when_the_last_has_caught_up_or_left():
    async def story():
        desk = Desk()
        await desk.hub.relieved()
        socket, other = desk.socket("/ws/a@trade"), desk.socket("/ws/a@trade")
        socket.pause_writing()
        other.pause_writing()
        waits = asyncio.create_task(desk.hub.relieved())
        await asyncio.sleep(0)
        socket.resume_writing()
        await asyncio.sleep(0)
        assert not waits.done()
        other.on_closed()
        await asyncio.wait_for(waits, 1)

    asyncio.run(story())


def test_a_slow_consumer_is_closed_and_counted():
    desk = Desk(Rules(backlog_bytes=1000))
    slow, quick = desk.socket("/ws/a@trade"), desk.socket("/ws/a@trade")
    slow.pause_writing()
    slow.backlog = 1000
    desk.hub.publish("a@trade", b"1")
    assert slow.ended == [] and desk.hub.slow_closed == 0
    slow.backlog = 1001
    desk.hub.publish("a@trade", b"2")
    desk.hub.publish("a@trade", b"3")
    assert [code for code, _ in slow.ended] == [1008] and desk.hub.slow_closed == 1
    assert quick.out == [b"1", b"2", b"3"]


# --- Over the wire ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def exchange(desk: Desk):
    door = Door(lambda request: Response(404, b"{}"), desk.hub.connect)
    port = await door.open(0)
    try:
        yield f"ws://{HOST}:{port}"
    finally:
        await door.close()
        assert desk.hub.sockets == set() and not desk.hub.congested


def run(story: Callable[[Desk, str], Awaitable[None]], rules: Rules | None = None) -> None:
    async def whole() -> None:
        desk = Desk(rules)
        async with exchange(desk) as base:
            await asyncio.wait_for(story(desk, base), 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


async def heard(ws: ClientConnection) -> object:
    return orjson.loads(await asyncio.wait_for(ws.recv(), 5))


def test_a_client_subscribes_listens_and_leaves():
    async def story(desk: Desk, base: str) -> None:
        async with connect(f"{base}/market/ws/0") as ws:
            await ws.send(json.dumps(subscribe("btcusdt@aggTrade", id=7)))
            assert await heard(ws) == {"result": None, "id": 7}
            for number in range(1000):
                desk.hub.publish("btcusdt@aggTrade", b'{"a":%d}' % number)
            assert [await heard(ws) for _ in range(1000)] == [{"a": number} for number in range(1000)]
            assert [socket.sent for socket in desk.hub.sockets] == [1001]
        async with connect(f"{base}/market/stream?streams=btcusdt@aggTrade") as ws:
            desk.hub.publish("btcusdt@aggTrade", b"1")
            assert await heard(ws) == {"stream": "btcusdt@aggTrade", "data": 1}

    run(story)


def test_a_talkative_client_is_closed_with_1008():
    async def story(desk: Desk, base: str) -> None:
        async with connect(f"{base}/ws") as ws:
            for number in range(11):
                await (ws.ping() if number % 2 else ws.send("{}"))
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await heard(ws)
            assert ws.close_code == 1008

    run(story)


def test_a_client_that_does_not_read_is_closed_before_it_costs_much_memory():
    async def story(desk: Desk, base: str) -> None:
        socket = await connect(f"{base}/public/ws/a@trade", max_queue=1)
        socket.transport.pause_reading()
        payload, count = b"x" * 100_000, 0
        while not desk.hub.slow_closed:
            desk.hub.publish("a@trade", payload)
            count += 1
            await asyncio.sleep(0)
        assert 16 << 20 < count * len(payload) < 64 << 20
        for _ in range(100):
            desk.hub.publish("a@trade", payload)
        assert all(socket.buffered < 18 << 20 for socket in desk.hub.sockets)
        socket.transport.abort()

    run(story)
