"""Whatever a peer of the loopback exchange sends, it gets an answer of the exchange's form or a closed connection."""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import time
from collections import Counter
from random import Random
from urllib.parse import quote

import pytest
import uvloop
from builders import spec
from fuzz import peers

from autotrader.adapters.loopback import reception
from autotrader.adapters.loopback.proof import check
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key

E8 = 10**8
PATIENCE_S = 8
SLOWEST_S = 2.0
STATUSES = {200, 400, 401, 403, 404, 408, 413, 418, 429, 431, 503}
CASES = int(os.environ.get("AUTOTRADER_HOSTILE_CASES", "50000"))
ACCOUNT = AccountSetup(Key("demo", "demo-key", "hmac", "demo-secret"), (10**6 * E8, 0, 0, 0, 0))


def served(story, caplog, **given):
    """Run a story of (server, port) beside a server; return what it returns. Nothing of ours may have failed."""
    options = Options(
        [spec("BTCUSDT"), spec("ETHUSDT")], accounts=(ACCOUNT,), seed=7, weight_limit=10**9, order_limit=10**9, **given
    )
    shouted = []

    async def whole():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shouted.append(context))
        server = Server(options)
        port = await server.open()
        hours = asyncio.create_task(server.run())
        try:
            return await story(server, port)
        finally:
            server.stop()
            await hours

    with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(whole())
    assert shouted == []
    return told


async def ask(port, text, half_closed=False):
    """Send bytes; return all that comes back until the exchange ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = bytearray()
    try:
        writer.write(text)
        if half_closed:
            writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(1 << 16), PATIENCE_S):
            got += piece
    except ConnectionError:
        pass  # it may end the connection while we still send
    writer.close()
    return bytes(got)


# ------------------------------------------------------------------ faults of ours


def test_a_fault_of_ours_is_answered_and_logged_once_and_costs_nothing_else(caplog, monkeypatch):
    route = reception.ROUTES["GET", "/fapi/v1/time"]

    def broken(api, call):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setitem(reception.ROUTES, ("GET", "/fapi/v1/time"), reception.Route(broken))

    async def story(server, port):
        twice = b"GET /fapi/v1/time HTTP/1.1\r\n\r\nGET /fapi/v1/ping HTTP/1.1\r\nConnection: close\r\n\r\n"
        return await ask(port, twice), server.reception.mishaps

    assert route.weight == 1
    got, mishaps = served(story, caplog)
    first, second = got.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"500 ") and b'{"code":-1000,"msg":"An unknown error occurred' in first
    assert second.startswith(b"200 ")
    assert mishaps == 1
    assert [(one.name, one.exc_info[0]) for one in caplog.records] == [
        ("autotrader.adapters.loopback.reception", ZeroDivisionError)
    ]


def test_a_fault_of_ours_on_the_request_socket_keeps_the_socket(caplog, monkeypatch):
    def broken(api, call):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setitem(reception.ROUTES, ("GET", "/fapi/v1/depth"), reception.Route(broken))

    async def story(server, port):
        from websockets.asyncio.client import connect

        async with connect(f"ws://127.0.0.1:{port}/ws-fapi/v1") as socket:
            await socket.send('{"id":7,"method":"depth","params":{"symbol":"BTCUSDT"}}')
            await socket.send('{"id":8,"method":"ticker.book","params":{"symbol":"BTCUSDT"}}')
            return [await asyncio.wait_for(socket.recv(), 5) for _ in range(2)]

    first, second = served(story, caplog)
    assert '"id":7,"status":500,"error":{"code":-1000' in first
    assert '"id":8,"status":200' in second
    assert len(caplog.records) == 1


# ------------------------------------------------------------------ what comes back


def answers(got):
    """Yield (status, body) of the answers in a stream of bytes; a WebSocket's frames follow as (0, bytes)."""
    while got:
        head, mark, got = got.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert mark and lines[0].startswith("HTTP/1.1 "), head[:200]
        status = int(lines[0].split(" ")[1])
        if status == 100:
            continue
        if status == 101:
            yield 0, got
            return
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers["content-length"])
        is_headless = not got.startswith((b"{", b"[", b"<", b"n")) and length > 0  # of a HEAD request
        body, got = (b"", got) if is_headless else (got[:length], got[length:])
        assert is_headless or len(body) == length
        yield status, body


def texts(got):
    """Yield the text messages in a server's frames; what follows a CLOSE frame is nothing."""
    while len(got) >= 2:
        opcode, length, at = got[0] & 15, got[1], 2
        assert got[0] & 0xF0 == 0x80 and length < 128
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(got[2:at], "big")
        payload, got = got[at : at + length], got[at + length :]
        if opcode == 1:
            assert len(payload) == length
            yield payload
        assert opcode in (1, 8, 9, 10)


def is_error(body):
    return set(body) == {"code", "msg"} and type(body["code"]) is int and type(body["msg"]) is str


def judge_answer(status, body):
    """Say what an answer of HTTP is; it must be one of the exchange's."""
    assert status in STATUSES, (status, body[:300])
    if not body or body.startswith(b"<"):
        return status
    told = json.loads(body)
    if status != 200:
        own = set(told) == {"error"}
        assert own or (is_error(told) and told["code"] < 0), (status, body[:300])
    return status


def judge_message(payload):
    """Say what a message of a WebSocket is; it must be one of the exchange's."""
    told = json.loads(payload)
    if "status" in told:
        assert told["status"] in STATUSES, payload[:300]
        assert set(told) - {"rateLimits"} == {"id", "status", "result" if told["status"] == 200 else "error"}
        assert told["status"] == 200 or (is_error(told["error"]) and told["error"]["code"] < 0), payload[:300]
        return f"ws {told['status']}"
    if "code" in told:
        assert set(told) <= {"code", "msg", "id"} and told["code"] in (0, 1, 2, 3), payload[:300]
        return "ws control error"
    assert set(told) in ({"result", "id"}, {"stream", "data"}) or "e" in told or "u" in told, payload[:300]
    return "ws control" if "result" in told else "ws event"


async def suffer(port, rng, cases):
    """Send hostile cases one after the other; count what came of them."""
    verdicts = Counter()
    for _ in range(cases):
        is_http = rng.random() < 0.6
        text = peers.hostile_request(rng) if is_http else peers.hostile_socket(rng)
        began = time.monotonic()
        try:
            got = await ask(port, text, half_closed=True)
            assert time.monotonic() - began < SLOWEST_S
            found = list(answers(got))
            for status, body in found:
                told = [judge_message(one) for one in texts(body)] if status == 0 else [judge_answer(status, body)]
                verdicts.update(told or ["ws closed"])
            verdicts.update([] if found else ["closed"])
        except (AssertionError, TimeoutError, ValueError) as error:
            raise AssertionError(f"{type(error).__name__} {error} after {text[:3000]!r}") from error
    return verdicts


# ------------------------------------------------------------------ what must still be true


def signed(method, path, **params):
    text = "&".join(f"{name}={value}" for name, value in {**params, "timestamp": int(time.time() * 1000)}.items())
    made = hmac.new(b"demo-secret", text.encode(), hashlib.sha256).hexdigest()
    head = f"{method} {path}?{text}&signature={made} HTTP/1.1\r\nX-MBX-APIKEY: demo-key\r\nConnection: close\r\n\r\n"
    return head.encode()


async def told(port, request):
    ((status, body),) = answers(await ask(port, request))
    return status, json.loads(body)


async def still_works(port):
    """Ping, place an order far below the market, and cancel it."""
    assert await told(port, b"GET /fapi/v1/ping HTTP/1.1\r\nConnection: close\r\n\r\n") == (200, {})
    await told(port, signed("DELETE", "/fapi/v1/allOpenOrders", symbol="ETHUSDT"))
    _, book = await told(port, b"GET /fapi/v1/depth?symbol=ETHUSDT&limit=5 HTTP/1.1\r\nConnection: close\r\n\r\n")
    _, mode = await told(port, signed("GET", "/fapi/v1/positionSide/dual"))
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    order["price"] = f"{float(book['bids'][0][0]) * 0.97:.1f}"
    order["positionSide"] = "LONG" if mode["dualSidePosition"] else "BOTH"
    status, placed = await told(port, signed("POST", "/fapi/v1/order", **order))
    assert status == 200 and placed["status"] == "NEW", placed
    gone = await told(port, signed("DELETE", "/fapi/v1/order", symbol="ETHUSDT", orderId=placed["orderId"]))
    assert gone[1]["status"] == "CANCELED"


def attacked(seed, cases, caplog, tmp_path):
    history = tmp_path / f"history-{seed}"

    async def story(server, port):
        verdicts = await suffer(port, Random(f"hostile {seed}"), cases)
        await still_works(port)
        assert server.reception.mishaps == 0
        return verdicts

    verdicts = served(story, caplog, history=history)
    assert [one.getMessage() for one in caplog.records] == []
    report = check(history)
    assert not report.violations, report.violations[:5]
    return verdicts


@pytest.mark.parametrize("seed", range(3))
def test_hostile_peers_are_answered_as_the_exchange_answers_and_harm_nobody(seed, caplog, tmp_path):
    verdicts = attacked(seed, 1_000, caplog, tmp_path)
    expected = {200, 400, 401, 404, "closed", "ws 200", "ws 400", "ws control", "ws control error", "ws closed"}
    assert expected <= set(verdicts), verdicts


@pytest.mark.slow
def test_many_hostile_peers_are_answered_as_the_exchange_answers_and_harm_nobody(caplog, tmp_path):
    verdicts = Counter()
    for seed in range(100, 100 + CASES // 1_000):
        verdicts += attacked(seed, 1_000, caplog, tmp_path)
    assert verdicts.total() >= CASES


# ------------------------------------------------------------------ one by one

DEEP = "[" * 10_000
NUMBERS = {
    "1e999": -1100, "NaN": -1100, "-Infinity": -1100, "9" * 400: -1100, "٣": -1100, "１": -1100, "²": -1100,
    "0x1": -1100, "1_0": -1100, "-1": -4003, "-0": -4003, "0.00000": -4003,
    "0." + "0" * 17 + "1": -1111, "999999999999": -4005,
}  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: ascii(text[:12]))
def test_a_quantity_that_is_none_is_refused_by_its_code(number, caplog):
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "1990"}

    async def story(server, port):
        return await told(port, signed("POST", "/fapi/v1/order", **order, quantity=quote(number)))

    status, body = served(story, caplog)
    assert (status, body["code"]) == (400, NUMBERS[number])


WRONG = {
    "symbol=%ED%A0%80": (400, -1121),
    "symbol=%00": (400, -1121),
    "symbol=BTCUSDT%0A": (400, -1121),
    "symbol=%zz": (400, -1121),
    "symbol=BTCUSDT&limit=%D9%A3": (400, -1100),
    "symbol=BTCUSDT&limit=" + "9" * 400: (400, -1100),
}


@pytest.mark.parametrize("query", WRONG, ids=lambda text: text[:30])
def test_a_parameter_that_is_none_is_refused_by_its_code(query, caplog):
    async def story(server, port):
        return await told(port, f"GET /fapi/v1/depth?{query} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())

    status, body = served(story, caplog)
    assert (status, body["code"]) == WRONG[query]


@pytest.mark.parametrize("name", ["%ED%A0%80", "%FF", "a%00b", "%D9%A3", "a%20b", "A" * 37])
def test_a_client_id_of_other_characters_is_refused(name, caplog):
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "1990", "quantity": 1}

    async def story(server, port):
        return await told(port, signed("POST", "/fapi/v1/order", **order, newClientOrderId=name))

    status, body = served(story, caplog)
    assert (status, body["code"]) == (400, -4015)


@pytest.mark.parametrize(
    "batch", [DEEP, DEEP + "]" * 10_000, '[{"symbol":' + "[" * 300 + "]" * 300 + "}]", '["\\ud800"]', "[1]", "{}", "[]"]
)
def test_a_batch_that_is_none_is_refused(batch, caplog):
    async def story(server, port):
        text = f"batchOrders={quote(batch)}&timestamp={int(time.time() * 1000)}"
        made = hmac.new(b"demo-secret", text.encode(), hashlib.sha256).hexdigest()
        body = f"{text}&signature={made}".encode()
        head = f"POST /fapi/v1/batchOrders HTTP/1.1\r\nX-MBX-APIKEY: demo-key\r\nContent-Length: {len(body)}\r\n\r\n"
        return list(answers(await ask(port, head.encode() + body, half_closed=True)))

    ((status, body),) = served(story, caplog)
    assert status == 400 and json.loads(body)["code"] in (-1100, -1130, -4082)


def test_ten_megabytes_are_refused_before_they_are_read(caplog):
    async def story(server, port):
        posted = peers.large(Random(1))
        message = peers.handshake("/ws-fapi/v1") + peers.frame(b'{"id":"' + b"x" * (10 << 20) + b'"}')
        return [list(answers(await ask(port, one))) for one in (posted, message)]

    posted, message = served(story, caplog)
    assert [status for status, _ in posted] in ([413], [])  # the peer may see the reset before the answer
    assert [list(texts(body)) for _, body in message] == [[]]


IDS = {"7": 7, '"x"': "x", "null": None, "[1]": None, '{"a":1}': None, "1.5": None, "true": None, "9" * 40: None}


@pytest.mark.parametrize("number", [*IDS, "[" * 300 + "]" * 300], ids=lambda text: text[:12])
def test_an_id_is_a_whole_number_a_text_or_null(number, caplog):
    async def story(server, port):
        text = f'{{"id":{number},"method":"ticker.book","params":{{"symbol":"BTCUSDT"}}}}'.encode()
        return await ask(port, peers.handshake("/ws-fapi/v1") + peers.frame(text) + peers.frame(b"", 8))

    ((_, frames),) = answers(served(story, caplog))
    (answer,) = map(json.loads, texts(frames))
    is_good = number in ("7", '"x"', "null")
    assert answer["id"] == IDS.get(number)
    assert answer["status"] == (200 if is_good else 400) and (is_good or answer["error"]["code"] == -1130)


@pytest.mark.parametrize("path", ["/ws", "/ws-fapi/v1"])
@pytest.mark.parametrize("depth", [200, 300, 900, 10_000])
def test_a_socket_survives_json_of_any_depth(path, depth, caplog):
    deep = b"[" * depth + b"]" * depth
    messages = [deep, b'{"id":%b,"method":"depth","params":{}}' % deep, b'{"id":1,"method":%b,"params":{}}' % deep]
    messages += [b'{"id":1,"method":"SUBSCRIBE","params":%b}' % deep, b'{"id":1,"method":"depth","params":%b}' % deep]
    messages += [b'{"id":1,"method":"depth","params":{"symbol":%b}}' % deep]

    async def story(server, port):
        stream = b"".join(peers.frame(one) for one in messages)
        return await ask(port, peers.handshake(path) + stream + peers.frame(b"", 8))

    ((_, frames),) = answers(served(story, caplog))
    assert len([judge_message(one) for one in texts(frames)]) == len(messages)
    assert caplog.records == []
