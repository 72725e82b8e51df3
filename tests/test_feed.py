"""The wire of the core: what is heard of a connection, and the bytes of what leaves."""

import asyncio

import orjson
import pytest
from builders import spec
from feeds import run
from picows import WSListener, WSMsgType, ws_connect, ws_create_server
from plain.feed import frame
from test_outgoing import SIGNER, STAMP, Desk

from core_ext.feed import Listener, Outlet
from core_ext.types import Instruments, OrderType
from core_ext.wire import Approval, Signer

TEXT, REST = WSMsgType.TEXT, WSMsgType.CONTINUATION
MOST = 1000


class Heard(Listener):
    """A listener that keeps what it hears."""

    def __init__(self):
        super().__init__(MOST)
        self.messages, self.others = [], []

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_message(self, message):
        self.messages.append(message)

    def on_other_frame(self, _, frame):
        self.others.append((frame.msg_type, frame.payload_size))


class Peer(WSListener):
    """A server's side that keeps what it is sent."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, _, frame):
        if frame.msg_type == TEXT:
            self.texts.append(frame.get_payload_as_bytes())


def on_a_wire(test):
    """Run a test of (listener, peer)."""

    async def main():
        peer = Peer()
        server = await ws_create_server(lambda _: peer, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        transport, heard = await ws_connect(Heard, url)
        try:
            await test(heard, peer)
        finally:
            transport.disconnect()
            await transport.wait_disconnected()
            server.close()

    run(main())


async def until(what):
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.005)


# ---------------------------------------------------------------------------------- in


def test_a_text_that_comes_whole_is_a_message_and_everything_else_is_not():
    async def test(heard, peer):
        peer.transport.send(TEXT, b"")
        peer.transport.send(TEXT, b"x" * MOST)
        peer.transport.send(TEXT, b"x" * (MOST + 1))
        peer.transport.send(WSMsgType.BINARY, b"abc")
        peer.transport.send(TEXT, b"in pa", fin=False)
        peer.transport.send(REST, b"rts")
        peer.transport.send_ping(b"p")
        peer.transport.send(TEXT, b"last")
        await until(lambda: b"last" in heard.messages)
        assert heard.messages == [b"", b"x" * MOST, b"last"]
        assert heard.others == [(TEXT, MOST + 1), (WSMsgType.BINARY, 3), (TEXT, 5), (REST, 3)]

    on_a_wire(test)


def test_while_a_message_comes_in_parts_no_text_is_a_whole_one():
    async def test(heard, peer):
        heard.is_parted = True
        peer.transport.send(TEXT, b"early")
        await until(lambda: heard.others)
        heard.is_parted = False
        peer.transport.send(TEXT, b"late")
        await until(lambda: heard.messages)
        assert (heard.messages, heard.others) == ([b"late"], [(TEXT, 5)])

    on_a_wire(test)


# ---------------------------------------------------------------------------------- out


@pytest.mark.parametrize("text", [b"", b"a=1", b"symbol=BTCUSDT&price=0.1&side=BUY&x=&&==", b"y" * 768, b"=" * 768])
@pytest.mark.parametrize(("number", "method"), [(1, b"order.cancel"), (2**64 - 1, b"m" * 24), (0, b"")])
def test_a_request_is_the_signed_text_as_json_byte_for_byte(text, number, method):
    async def test(heard, peer):
        outlet = Outlet(Signer(b"secret"), Instruments([spec()]))
        outlet.lead(heard.transport)
        outlet.request(number, method, text)
        outlet.request(number, method, text)
        await until(lambda: len(peer.texts) == 2)
        assert peer.texts == 2 * [frame(number, method, text)]

    on_a_wire(test)


def test_what_is_too_long_or_has_no_connection_does_not_leave():
    async def test(heard, peer):
        outlet = Outlet(Signer(b"secret"), Instruments([spec()]))
        with pytest.raises(ConnectionError):
            outlet.request(1, b"order.cancel", b"a=1")
        outlet.lead(heard.transport)
        with pytest.raises(ValueError, match="769 bytes"):
            outlet.request(1, b"order.cancel", b"a" * 769)
        with pytest.raises(ValueError, match="25 bytes"):
            outlet.request(1, b"m" * 25, b"a=1")
        outlet.lead(None)
        with pytest.raises(ConnectionError):
            outlet.request(1, b"order.cancel", b"a=1")
        outlet.lead(heard.transport)
        outlet.request(2, b"order.cancel", b"a=1")
        await until(lambda: peer.texts)
        assert [orjson.loads(text)["id"] for text in peer.texts] == [2]

    on_a_wire(test)


@pytest.mark.parametrize(
    "words", [{"ticks": 100, "type": OrderType.LIMIT}, {}, {"type": OrderType.STOP_MARKET, "trigger_ticks": 100}]
)
def test_an_order_leaves_as_the_signer_writes_it(words):
    async def test(heard, peer):
        desk = Desk()
        outlet = Outlet(SIGNER, desk.instruments)
        outlet.lead(heard.transport)
        approvals = [desk.approve(symbol, 0, 10, **words) for symbol in (0, 1)]
        assert all(outlet.order(k, b"order.place", one, STAMP) for k, one in enumerate(approvals))
        await until(lambda: len(peer.texts) == 2)
        assert peer.texts == [frame(k, b"order.place", desk.text(one)) for k, one in enumerate(approvals)]

    on_a_wire(test)


def test_what_nobody_approved_does_not_leave():
    async def test(heard, peer):
        desk = Desk()
        outlet = Outlet(SIGNER, desk.instruments)
        with pytest.raises(ConnectionError):
            outlet.order(1, b"order.place", desk.approve(0, 0, 10), STAMP)
        outlet.lead(heard.transport)
        assert not outlet.order(1, b"order.place", Approval(), STAMP)
        outlet.request(2, b"order.cancel", b"a=1")
        await until(lambda: peer.texts)
        assert [orjson.loads(text)["id"] for text in peer.texts] == [2]

    on_a_wire(test)
