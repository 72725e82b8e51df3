"""What a peer of the loopback exchange may send, and what must come of it: an answer of the exchange, or a closed door."""

import asyncio
import logging

import pytest
import uvloop
from builders import spec

from autotrader.adapters.loopback import reception
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key

E8 = 10**8
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


async def ask(port, text):
    """Send bytes; return all that comes back until the exchange ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return got


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
