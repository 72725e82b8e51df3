import asyncio
import datetime
import ipaddress
import json
import logging
import os
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from autotrader.adapters.loopback import door as module
from autotrader.adapters.loopback.door import BODY_BYTES, HEAD_BYTES, HOST, Door, Request, Response, Socket

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "GET /ws/btcusdt@depth?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()


class Parrot(Socket):
    """Repeats every message and remembers what happened to it."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.heard: list[str] = []

    def on_open(self) -> None:
        self.heard.append("open")

    def on_text(self, text: bytes) -> None:
        self.heard.append(text[:20].decode())
        self.send(text)

    def on_control(self) -> None:
        self.heard.append("control")

    def on_closed(self) -> None:
        self.heard.append("closed")


class House:
    """A door with what stands behind it in these tests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.parrots: list[Parrot] = []
        self.answers: dict[str, Response] = {}
        self.door = Door(self.answer, self.connect, tls)
        self.port = 0

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answers.get(request.path) or Response(200, request.body or request.query.encode() or b"{}")

    def connect(self, request: Request) -> Socket | Response:
        self.requests.append(request)
        if request.path in self.answers:
            return self.answers[request.path]
        self.parrots.append(Parrot(request))
        return self.parrots[-1]

    async def raw(self, tls: ssl.SSLContext | None = None):
        return await asyncio.open_connection(HOST, self.port, ssl=tls, server_hostname="localhost" if tls else None)

    async def tell(self, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
        """Send bytes and return all that comes until the door ends the connection."""
        reader, writer = await self.raw(tls)
        writer.write(data)
        got = b""
        try:
            while piece := await reader.read(65536):
                got += piece
        except ConnectionResetError:
            got += b"<reset>"
        writer.close()
        return got


@asynccontextmanager
async def house(tls: ssl.SSLContext | None = None):
    home = House(tls)
    home.port = await home.door.open(0)
    try:
        yield home
    finally:
        await home.door.close()
        assert home.door.connections == set() and home.door.sockets == set()


def run(story: Callable[[House], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    async def whole() -> None:
        async with house(tls) as home:
            await asyncio.wait_for(story(home), 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        shouted: list[dict] = []
        runner.get_loop().set_exception_handler(lambda _, context: shouted.append(context))
        runner.run(whole())
        assert shouted == []


async def until(what: Callable[[], bool], seconds: float = 5.0) -> None:
    for _ in range(int(seconds / 0.005)):
        if what():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come true in time")


def request(path: str = "/", method: str = "GET", body: bytes = b"", extra: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}{extra}\r\n".encode() + body


LAST = "Connection: close\r\n"


def bodies(answers: bytes) -> list[bytes]:
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        found.append(rest[:length])
        answers = rest[length:]
    return found


def frame(opcode: int, payload: bytes, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    size = len(payload)
    length = (
        bytes([size | 128 * masked])
        if size < 126
        else struct.pack(">BH", 126 | 128 * masked, size)
        if size < 65536
        else struct.pack(">BQ", 127 | 128 * masked, size)
    )
    mask = b"\1\2\3\4" if masked else b""
    hidden = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return bytes([opcode | 128 * fin | rsv << 4]) + length + mask + hidden


def close_code(got: bytes) -> int:
    return struct.unpack(">H", got[got.rindex(b"\x88") + 2 :][:2])[0]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own, and a client's that trusts it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))])
    built = x509.CertificateBuilder(name, name, private.public_key(), 1, start, start.replace(year=2099))
    signed = built.add_extension(names, critical=False).sign(private, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(text)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_taken_apart_without_decoding_it():
    async def story(home: House) -> None:
        sent = request("/fapi/v1/order?symbol=%E5%B8%81&a=b%2Fc", "DELETE", b"x=1&y=2", "X-MBX-APIKEY: Key\r\n" + LAST)
        await home.tell(sent)
        (got,) = home.requests
        assert (got.method, got.path, got.query) == ("DELETE", "/fapi/v1/order", "symbol=%E5%B8%81&a=b%2Fc")
        assert (got.body, got.peer, got.headers["x-mbx-apikey"]) == (b"x=1&y=2", "127.0.0.1", "Key")

    run(story)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_any_method_is_answered_with_the_same_head(method: str):
    async def story(home: House) -> None:
        home.answers["/x"] = Response(418, b'{"code":-1003}', (("Retry-After", "7"),))
        got = await home.tell(request("/x", method, b"", LAST))
        assert got == (
            b"HTTP/1.1 418 I'm a Teapot\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: 14\r\n"
            b'Connection: close\r\nRetry-After: 7\r\n\r\n{"code":-1003}'
        )

    run(story)


def test_a_head_request_gets_the_length_and_no_body():
    async def story(home: House) -> None:
        home.answers["/x"] = Response(200, b"12345")
        got = await home.tell(request("/x", "HEAD", b"", LAST))
        assert b"Content-Length: 5\r\n" in got and got.endswith(b"\r\n\r\n")

    run(story)


def test_a_status_without_a_name_is_sent_all_the_same():
    async def story(home: House) -> None:
        home.answers["/x"] = Response(520, b"")
        assert (await home.tell(request("/x", extra=LAST))).startswith(b"HTTP/1.1 520 Unknown\r\n")

    run(story)


def test_a_connection_is_kept_for_the_next_request():
    async def story(home: House) -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(3):
                async with session.post(f"http://{HOST}:{home.port}/p", data=f"n={number}") as answer:
                    assert await answer.text() == f"n={number}" and answer.headers["Connection"] == "keep-alive"
                    assert answer.content_type == "application/json" and "Date" not in answer.headers
            assert len(home.door.connections) == 1

    run(story)


def test_requests_sent_in_one_go_are_answered_in_their_order():
    async def story(home: House) -> None:
        home.answers["/0"] = Response(200, b"slow", delay_s=0.05)
        sent = [request("/0"), *(request(f"/{n}?{n}") for n in range(1, 400)), request("/400?400", extra=LAST)]
        got = bodies(await home.tell(b"".join(sent)))
        assert got == [b"slow", *(str(n).encode() for n in range(1, 401))]

    run(story)


def test_a_body_comes_in_chunks_or_by_length_and_however_cut():
    async def story(home: House) -> None:
        chunked = request("/", "POST", b"", "Transfer-Encoding: chunked\r\n") + b"3\r\na=1\r\n4\r\n&b=2\r\n0\r\n\r\n"
        reader, writer = await home.raw()
        for byte in chunked + request("/", "PUT", b"c=3") + request("/", extra=LAST):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert bodies(await reader.read()) == [b"a=1&b=2", b"c=3", b"{}"]
        writer.close()

    run(story)


def test_a_client_that_waits_for_a_word_before_the_body_gets_it():
    async def story(home: House) -> None:
        reader, writer = await home.raw()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" + LAST.encode() + b"\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"a=1")
        assert bodies(await reader.read()) == [b"a=1"]
        writer.close()

    run(story)


def test_a_request_without_keep_alive_of_http_1_0_ends_the_connection():
    async def story(home: House) -> None:
        assert b"Connection: close" in await home.tell(b"GET / HTTP/1.0\r\n\r\n")

    run(story)


# --- Hostile requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"FLY / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_400_in_the_exchanges_form_and_ends(garbage: bytes):
    async def story(home: House) -> None:
        got = await home.tell(garbage)
        assert got.startswith(b"HTTP/1.1 400 ") and json.loads(bodies(got)[0])["code"] == -1100
        assert home.requests == []

    run(story)


def test_requests_before_the_malformed_one_are_still_answered():
    async def story(home: House) -> None:
        got = bodies(await home.tell(request("/?1") + request("/?2") + b"nonsense\r\n\r\n"))
        assert got[:2] == [b"1", b"2"] and b"-1100" in got[2] and len(got) == 3

    run(story)


def test_a_body_over_a_mebibyte_is_refused_without_being_kept():
    async def story(home: House) -> None:
        huge = b"x" * (10 << 20)
        for extra in (f"Content-Length: {len(huge)}\r\n", "Transfer-Encoding: chunked\r\n"):
            prefix = b"" if "Length" in extra else f"{len(huge):x}\r\n".encode()
            got = await home.tell(f"POST / HTTP/1.1\r\n{extra}\r\n".encode() + prefix + huge)
            assert got.startswith(b"HTTP/1.1 413 ") and json.loads(bodies(got)[0])["code"] == -1100
        assert home.requests == []

    run(story)


def test_a_trailer_or_a_chunk_header_without_an_end_is_refused():
    async def story(home: House) -> None:
        for endless in (b"3\r\nabc\r\n0\r\nx: " + b"y" * (12 << 20), b"3;" + b"y" * (12 << 20)):
            got = await home.tell(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
            assert got.startswith(b"HTTP/1.1 413 ")
        assert home.requests == []

    run(story)


def test_a_body_of_exactly_a_mebibyte_is_taken():
    async def story(home: House) -> None:
        got = bodies(await home.tell(request("/", "POST", b"x" * BODY_BYTES, LAST)))
        assert len(got[0]) == BODY_BYTES

    run(story)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(3000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * HEAD_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * (4 << 20),
        b"GET /" + b"y" * (4 << 20),
    ],
)
def test_a_head_over_16_kib_is_refused(head: bytes):
    async def story(home: House) -> None:
        got = await home.tell(head)
        assert got.startswith(b"HTTP/1.1 431 ") and json.loads(bodies(got)[0])["code"] == -1100

    run(story)


@pytest.mark.parametrize("start", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"])
def test_a_request_that_drips_in_is_given_up(start: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ARRIVAL_S", 0.1)

    async def story(home: House) -> None:
        assert (await home.tell(request("/?1") + start)).count(b"HTTP/1.1 408 ") == 1

    run(story)


def test_a_connection_that_says_nothing_is_ended_and_an_idle_one_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ARRIVAL_S", 0.05)

    async def story(home: House) -> None:
        assert await home.tell(b"") == b""
        reader, writer = await home.raw()
        writer.write(request("/?1"))
        await reader.readuntil(b"1")
        await asyncio.sleep(0.15)
        writer.write(request("/?2", extra=LAST))
        assert b"200 OK" in await reader.read()
        writer.close()

    run(story)


def test_connections_over_the_cap_are_told_and_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CONNECTIONS", 2)

    async def story(home: House) -> None:
        (_, first), (_, second) = await home.raw(), await home.raw()
        await until(lambda: len(home.door.connections) == 2)
        assert (await home.tell(request())).startswith(b"HTTP/1.1 503 ")
        first.close()
        second.close()
        await until(lambda: not home.door.connections)
        assert b"200 OK" in await home.tell(request(extra=LAST))

    run(story)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"GET / HTTP/1.1\r\n", b"\r\n", b"a: b\r\n", b"Content-Length: 3\r\n", b"\0", b"abc",
                                 HANDSHAKE, frame(1, b"{}"), frame(9, b""), b"\xff" * 9]), max_size=8))  # fmt: skip
def test_whatever_arrives_the_door_stays_open(pieces: list[bytes]):
    async def story(home: House) -> None:
        _, writer = await home.raw()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.transport.abort()
        assert b"200 OK" in await home.tell(request(extra=LAST))

    run(story)


def test_an_error_of_ours_is_shouted_and_costs_one_connection_only():
    async def whole() -> None:
        async with house() as home:
            home.answers["/x"] = None  # type: ignore[assignment]
            home.answer = home.door.answer = lambda got: {"/": Response(200, b"")}[got.path]  # type: ignore[method-assign]
            assert await home.tell(request("/x")) == b""
            assert b"200 OK" in await home.tell(request("/", extra=LAST))

    shouted: list[dict] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: shouted.append(context))
        runner.run(whole())
    assert [type(context["exception"]) for context in shouted] == [KeyError]


# --- What faults need -------------------------------------------------------------------------------------------------


def test_a_delayed_answer_holds_up_the_later_ones_of_its_connection_only():
    async def story(home: House) -> None:
        home.answers["/slow"] = Response(200, b"slow", delay_s=0.2)
        slow = asyncio.create_task(home.tell(request("/slow") + request("/?after", extra=LAST)))
        await until(lambda: len(home.requests) == 1)
        assert bodies(await home.tell(request("/?other", extra=LAST))) == [b"other"]
        assert not slow.done() and [got.path for got in home.requests] == ["/slow", "/"]
        assert bodies(await slow) == [b"slow", b"after"]

    run(story)


def test_an_answer_that_never_comes_leaves_the_connection_open_until_the_client_goes():
    async def story(home: House) -> None:
        home.answers["/lost"] = Response(200, b"x", never=True)
        reader, writer = await home.raw()
        writer.write(request("/lost") + request("/"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        assert [got.path for got in home.requests] == ["/lost"]
        writer.write(b"x" * (4 << 20))
        await writer.drain()
        writer.close()
        await until(lambda: not home.door.connections)

    run(story)


@pytest.mark.parametrize("cut", [0, 10, 140])
def test_a_cut_answer_ends_in_a_reset_after_so_many_bytes(cut: int):
    async def story(home: House) -> None:
        home.answers["/x"] = Response(200, b"y" * 500, cut=cut)
        got = await home.tell(request("/x"))
        assert got.endswith(b"<reset>") and len(got) == cut + len(b"<reset>")

    run(story)


def test_a_dripping_body_comes_byte_by_byte_behind_a_head_that_comes_at_once():
    async def story(home: House) -> None:
        home.answers["/x"] = Response(200, b"abcde", drip_s=0.05)
        reader, writer = await home.raw()
        loop = asyncio.get_running_loop()
        started = loop.time()
        writer.write(request("/x") + request("/?next", extra=LAST))
        await reader.readuntil(b"\r\n\r\n")
        assert loop.time() - started < 0.05
        assert await reader.readexactly(5) == b"abcde" and loop.time() - started >= 0.24
        assert bodies(await reader.read()) == [b"next"]
        writer.close()

    run(story)


def test_a_delayed_answer_to_a_client_that_left_harms_nobody():
    async def story(home: House) -> None:
        home.answers["/x"] = Response(200, b"abc", delay_s=0.05, drip_s=0.02)
        _, writer = await home.raw()
        writer.write(request("/x"))
        await until(lambda: len(home.requests) == 1)
        writer.transport.abort()
        await asyncio.sleep(0.2)
        assert not home.door.connections

    run(story)


def test_a_client_that_sends_much_and_reads_nothing_is_not_served_ahead_of_its_reading():
    async def story(home: House) -> None:
        home.answers["/x"] = Response(200, b"y" * (1 << 20))
        reader, writer = await home.raw()
        writer.transport.pause_reading()
        writer.write(request("/x") * 2000)
        await asyncio.sleep(0.3)
        assert len(home.requests) < 100
        writer.transport.resume_reading()
        writer.close()
        del reader

    run(story)


# --- WebSockets -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest, tls):
    return tls if request.param == "tls" else (None, None)


def url(home: House, tls: ssl.SSLContext | None = None, path: str = "/ws") -> str:
    return f"{'wss' if tls else 'ws'}://localhost:{home.port}{path}"


def test_a_websocket_shares_the_port_with_requests(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        async with connect(url(home, client, "/ws/a@b?x=y"), ssl=client, host=HOST) as ws:
            for text in ("short", "x" * 70_000, "y" * (1 << 20), "ü"):
                await ws.send(text)
                assert await ws.recv() == text
            (parrot,) = home.parrots
            assert (parrot.request.path, parrot.request.query) == ("/ws/a@b", "x=y")
            assert b"200 OK" in await home.tell(request(extra=LAST), client)
        await until(lambda: parrot.heard[-1] == "closed")
        assert parrot.heard.count("closed") == 1 and not home.door.sockets

    run(story, server)


def test_frames_right_behind_the_handshake_are_heard(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        frames = b"".join(frame(1, b"%d" % n) for n in range(5000))
        got = await home.tell(HANDSHAKE + frames + frame(8, b"\x03\xe8"), client)
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert rest.startswith(b"\x81\x010\x81\x011") and rest.endswith(b"\x81\x044999\x88\x02\x03\xe8")

    run(story, server)


def test_a_request_and_a_handshake_behind_it_are_both_served(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        home.answers["/slow"] = Response(200, b"slow", delay_s=0.05)
        reader, writer = await home.raw(client)
        writer.write(request("/slow") + HANDSHAKE + frame(1, b"one"))
        await asyncio.sleep(0.02)
        writer.write(frame(1, b"two"))
        await reader.readuntil(b"slow")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert await reader.readexactly(10) == b"\x81\x03one\x81\x03two"
        writer.write(frame(1, b"end") + frame(8, b""))
        assert await reader.read() == b"\x81\x03end\x88\x02\x03\xe8"
        writer.close()

    run(story, server)


def test_aiohttp_speaks_with_it_too():
    async def story(home: House) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{HOST}:{home.port}/ws") as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "hello"

    run(story)


def test_a_connection_that_may_not_become_a_websocket_gets_the_answer_and_ends():
    async def story(home: House) -> None:
        home.answers["/no"] = Response(401, b'{"code":-2015}')
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(url(home, path="/no"))
        assert refused.value.response.status_code == 401 and refused.value.response.body == b'{"code":-2015}'

    run(story)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Version: 13", b"Version: 12"), (KEY.encode(), b"short"), (KEY.encode(), b"\xff\xfe"), (b"GET", b"POST")],
)
def test_half_a_handshake_is_refused(old: bytes, new: bytes):
    async def story(home: House) -> None:
        got = await home.tell(HANDSHAKE.replace(old, new))
        assert got.startswith(b"HTTP/1.1 400 ") and b"-1100" in got and not home.parrots

    run(story)


def test_an_upgrade_to_something_else_is_answered_as_a_plain_request():
    async def story(home: House) -> None:
        sent = request("/?1", extra="Upgrade: h2c\r\nConnection: Upgrade\r\n") + request("/?2", extra=LAST)
        assert bodies(await home.tell(sent)) == [b"1", b"2"]

    run(story)


def test_a_ping_is_answered_with_its_payload_and_counted_like_a_pong():
    async def story(home: House) -> None:
        got = await home.tell(HANDSHAKE + frame(9, b"mine") + frame(10, b"") + frame(1, b"x") + frame(8, b""))
        assert b"\x8a\x04mine\x81\x01x" in got
        (parrot,) = home.parrots
        assert parrot.heard[:4] == ["open", "control", "control", "x"] and parrot.pongs == 1

    run(story)


def test_our_ping_is_answered_and_counted():
    async def story(home: House) -> None:
        async with connect(url(home)) as ws:
            home.parrots[0].ping()
            await until(lambda: home.parrots[0].pongs == 1)
            assert ws.close_code is None

    run(story)


def test_a_fragmented_message_is_heard_whole_and_pings_may_come_between():
    async def story(home: House) -> None:
        pieces = [frame(1, b"a", fin=False), frame(9, b"p"), frame(0, b"b", fin=False), frame(0, "ü".encode())]
        got = await home.tell(HANDSHAKE + b"".join(pieces) + frame(8, b""))
        assert b"\x8a\x01p" in got and b"\x81\x04ab\xc3\xbc" in got

    run(story)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(1, b"x" * ((1 << 20) + 1))], 1009),
        ([frame(1, b"x" * 700_000, fin=False), frame(0, b"x" * 700_000)], 1009),
        ([frame(2, b"x" * 700_000, fin=False), frame(0, b"x" * 700_000, fin=False)], 1009),
        ([frame(1, b"\xff\xfe")], 1007),
        ([frame(1, b"\xc3", fin=False), frame(0, b"x")], 1007),
        ([frame(0, b"x")], 1002),
        ([frame(1, b"x", fin=False), frame(1, b"x")], 1002),
        ([frame(1, b"x", masked=False)], 1002),
        ([frame(1, b"x", rsv=4)], 1002),
        ([frame(3, b"x")], 1002),
        ([frame(9, b"x" * 126)], 1002),
        ([frame(9, b"x", fin=False)], 1002),
        ([frame(8, b"x")], 1002),
        ([frame(8, b"\x00\x01")], 1002),
        ([frame(8, b"\x03\xe8\xff\xff")], 1007),
        ([frame(8, b"\x0f\xa0")], 4000),
    ],
)
def test_a_frame_that_must_not_be_closes_the_connection_with_its_code(frames: list[bytes], code: int):
    async def story(home: House) -> None:
        got = await home.tell(HANDSHAKE + b"".join(frames))
        assert close_code(got) == code
        await until(lambda: not home.door.sockets)
        assert home.parrots[0].heard == ["open", "closed"]

    run(story)


def test_binary_messages_are_ignored():
    async def story(home: House) -> None:
        sent = frame(2, b"\xff") + frame(2, b"a", fin=False) + frame(0, b"b") + frame(1, b"x") + frame(8, b"")
        await home.tell(HANDSHAKE + sent)
        assert home.parrots[0].heard == ["open", "x", "closed"]

    run(story)


def test_nothing_is_sent_after_a_close_and_nothing_heard():
    async def story(home: House) -> None:
        reader, writer = await home.raw()
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        (parrot,) = home.parrots
        parrot.send(b"before")
        parrot.close(1008, "enough")
        parrot.close(1000)
        parrot.send(b"after")
        parrot.ping()
        writer.write(frame(1, b"late") + frame(8, b"\x03\xf0"))
        assert await reader.read() == b"\x81\x06before\x88\x08\x03\xf0enough"
        assert parrot.heard == ["open", "closed"] and (parrot.sent, parrot.dropped) == (1, 1)
        parrot.send(b"long gone")
        parrot.abort()
        assert parrot.buffered == 0
        writer.close()

    run(story)


def test_a_close_that_the_peer_does_not_answer_ends_the_connection_anyway(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LINGER_S", 0.1)

    async def story(home: House) -> None:
        reader, writer = await home.raw()
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        home.parrots[0].close(1001)
        await until(lambda: not home.door.sockets, 1)
        writer.close()

    run(story)


def test_an_abort_resets_the_connection():
    async def story(home: House) -> None:
        told = asyncio.create_task(home.tell(HANDSHAKE))
        await until(lambda: bool(home.parrots) and home.parrots[0].heard == ["open"])
        home.parrots[0].abort()
        assert (await told).endswith(b"<reset>")
        await until(lambda: home.parrots[0].heard == ["open", "closed"])

    run(story)


def test_a_held_socket_reads_nothing_until_it_is_released():
    async def story(home: House) -> None:
        async with connect(url(home)) as ws:
            (parrot,) = home.parrots
            parrot.hold()
            await ws.send("x")
            await asyncio.sleep(0.1)
            assert parrot.heard == ["open"]
            parrot.release()
            assert await ws.recv() == "x"

    run(story)


def test_a_peer_that_does_not_read_is_seen_and_messages_stay_whole(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        reader, writer = await home.raw(client)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        (parrot,) = home.parrots
        message, count = os.urandom(5_000).hex().encode(), 0
        while not parrot.paused:
            parrot.send(message)
            count += 1
            if count % 100 == 0:
                await asyncio.sleep(0)
        assert parrot.buffered > 0
        writer.transport.resume_reading()
        for _ in range(count):
            assert await reader.readexactly(10_004) == b"\x81\x7e" + struct.pack(">H", 10_000) + message
        await until(lambda: not parrot.paused)
        writer.close()

    run(story, server)


def test_large_messages_of_many_sizes_in_one_go_stay_whole(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        async with connect(url(home, client), ssl=client, host=HOST) as ws:
            sizes = [9_000, 70_000, 3, 65_535, 65_536, 8_192, 8_193, 200_000, 126, 12_345] * 20
            for size in sizes:
                home.parrots[0].send(b"x" * size)
            assert [len(await ws.recv()) for _ in sizes] == sizes

    run(story, server)


def test_closing_the_door_says_going_away_to_websockets_and_ends_requests(contexts):
    server, client = contexts

    async def story(home: House) -> None:
        home.answers["/slow"] = Response(200, b"slow", delay_s=9)
        ws = await connect(url(home, client), ssl=client, host=HOST)
        told = asyncio.create_task(home.tell(request("/slow"), client))
        await until(lambda: len(home.requests) == 2)
        started = asyncio.get_running_loop().time()
        await home.door.close()
        assert asyncio.get_running_loop().time() - started < 1
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 1001 and await told == b""
        with pytest.raises(ConnectionRefusedError):
            await home.raw(client)
        await home.door.close()

    run(story, server)


def test_a_door_closes_on_peers_that_hang(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LINGER_S", 0.1)

    async def story(home: House) -> None:
        home.answers["/big"] = Response(200, b"x" * (32 << 20))
        pairs = [await home.raw(), await home.raw()]
        for (_, writer), data in zip(pairs, [HANDSHAKE, request("/big")], strict=True):
            writer.transport.pause_reading()
            writer.write(data)
        await until(lambda: len(home.requests) == 2)
        home.parrots[0].send(b"x" * (32 << 20))
        await home.door.close()
        for _, writer in pairs:
            writer.close()

    run(story)


def test_an_error_of_ours_in_a_socket_closes_it_with_1011_and_is_logged(caplog: pytest.LogCaptureFixture):
    async def story(home: House) -> None:
        async with connect(url(home)) as ws:
            home.parrots[0].on_text = lambda text: 1 / 0  # type: ignore[method-assign]
            await ws.send("x")
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1011

    with caplog.at_level(logging.WARNING):
        run(story)
    assert "ZeroDivisionError" in caplog.text


def test_a_peers_faults_are_not_logged(caplog: pytest.LogCaptureFixture):
    async def story(home: House) -> None:
        await home.tell(HANDSHAKE + frame(3, b""))

    run(story)
    assert caplog.records == []


def test_garbage_instead_of_a_tls_handshake_harms_nobody(tls):
    server, client = tls

    async def whole() -> None:
        async with house(server) as home:
            await home.tell(b"GET / HTTP/1.1\r\n\r\n")
            assert b"200 OK" in await home.tell(request(extra=LAST), client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())
