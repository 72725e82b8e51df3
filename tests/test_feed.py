"""The wire of the core: what is heard of a connection, and the bytes of what leaves."""

import asyncio

import orjson
import pytest
from builders import spec
from feeds import run
from picows import WSListener, WSMsgType, ws_connect, ws_create_server
from plain.feed import frame
from test_outgoing import SIGNER, STAMP, Desk

from autotrader.adapters.binance.order_session import Unsent
from core_ext.budget import Allowance
from core_ext.feed import Listener, Outlet, Stream, Switch
from core_ext.types import Instruments, Kind, OrderType
from core_ext.wire import Approval, Request, Signer

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


def switched(heard, *names, wanted=(), sink=None):
    """Give a listener a switch of streams that it delivers; return them, and what was handed on."""
    streams = {
        name.encode(): Stream(name, name.partition("@")[0], "book" if "depth" in name else "trade") for name in names
    }
    for one in streams.values():
        one.connection = heard
    taken = []
    take = sink or (lambda *one: taken.append(one))
    heard.switch = Switch(streams, set(wanted), take, lambda: taken.append("stopped"), lambda: 7, lambda: 1.5)
    return streams, taken


def news(name, rest=b""):
    return b'{"stream":"' + name + b'","data":{' + rest + b"}}"


def test_a_message_of_a_stream_that_is_delivered_is_handed_on_with_its_stamp():
    async def test(heard, peer):
        streams, taken = switched(heard, "btc@depth", "btc@trade")
        texts = [news(b"btc@depth", b'"u":1'), news(b"btc@trade"), news(b"btc@depth", b'"u":2')]
        for text in texts:
            peer.transport.send(TEXT, text)
        await until(lambda: len(taken) == 3)
        assert taken == [(7, text) for text in texts] and heard.messages == []
        assert (streams[b"btc@depth"].heard_s, streams[b"btc@depth"].last) == (1.5, texts[2])
        assert (streams[b"btc@trade"].heard_s, streams[b"btc@trade"].last) == (1.5, b"")

    on_a_wire(test)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"stream":"', b'{"stream":"btc@depth', b'{"stream": "btc@depth"}', b'{"id":1}', news(b"eth@depth"),
     news(b"moving@depth"), news(b"theirs@depth"), news(b"holed@depth")],
)  # fmt: skip
def test_what_somebody_has_to_look_at_first_is_not_handed_on(text):
    async def test(heard, peer):
        streams, taken = switched(
            heard, "btc@depth", "moving@depth", "theirs@depth", "holed@depth", "holed@trade", wanted=["holed"]
        )
        streams[b"moving@depth"].handover = object()
        streams[b"theirs@depth"].connection = Heard()
        peer.transport.send(TEXT, text)
        peer.transport.send(TEXT, news(b"holed@trade"))
        await until(lambda: taken)
        assert heard.messages == [text] and taken == [(7, news(b"holed@trade"))]
        assert [one.heard_s for one in streams.values()] == [0.0, 0.0, 0.0, 0.0, 1.5]

    on_a_wire(test)


def test_a_sink_that_fails_stops_everything_at_once():
    async def test(heard, peer):
        def fail(*_):
            raise RuntimeError("full")

        _, told = switched(heard, "btc@depth", sink=fail)
        peer.transport.send(TEXT, news(b"btc@depth"))
        await until(lambda: told)
        assert told == ["stopped"]

    with pytest.raises(RuntimeError, match="full"):  # the connection ends with what it raised
        on_a_wire(test)


# ---------------------------------------------------------------------------------- out


def outlet(instruments, signer=SIGNER, **words):
    return Outlet(
        signer, instruments, Allowance(*({"weight": 100, "ten": 100, "minute": 100, "share": 80} | words).values())
    )


def asked(kind, conditional=False, closes=False, approval=None):
    return Request(kind, 0xAB, 0, conditional, closes, approval)


@pytest.mark.parametrize("name", [b"", b"key-name"])
@pytest.mark.parametrize(
    ("kind", "conditional", "method"),
    [
        (Kind.CANCEL, False, b"order.cancel"),
        (Kind.CANCEL, True, b"algoOrder.cancel"),
        (Kind.QUERY, False, b"order.status"),
    ],
)
def test_a_request_is_the_signed_text_as_json_byte_for_byte(kind, conditional, method, name):
    async def test(heard, peer):
        instruments, signer = Instruments([spec()]), Signer(b"secret", name=name)
        way = outlet(instruments, signer)
        way.lead(heard.transport)
        requests = [asked(kind, conditional) for _ in range(2)]
        assert [way.send(one, STAMP, 1) for one in requests] == [0, 0]
        await until(lambda: len(peer.texts) == 2)
        text = signer.reference_text(0xAB, 0, instruments, STAMP, conditional)
        assert peer.texts == [frame(number, method, text) for number in (1, 2)]
        assert [(one.number, one.weight_sent, one.orders_sent) for one in requests] == [(1, 1, 0), (2, 2, 0)]

    on_a_wire(test)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ({"ticks": 100, "type": OrderType.LIMIT}, b"order.place"),
        ({}, b"order.place"),
        ({"type": OrderType.STOP_MARKET, "trigger_ticks": 100}, b"algoOrder.place"),
    ],
)
def test_an_order_leaves_as_the_signer_writes_it(words, method):
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments)
        way.lead(heard.transport)
        approvals = [desk.approve(symbol, 0, 10, **words) for symbol in (0, 1)]
        requests = [asked(Kind.ORDER, "trigger_ticks" in words, approval=one) for one in approvals]
        way.leave(requests, STAMP, 1)
        await until(lambda: len(peer.texts) == 2)
        assert peer.texts == [frame(k, method, desk.text(one)) for k, one in enumerate(approvals, 1)]
        assert [(one.number, one.weight_sent, one.orders_sent) for one in requests] == [(1, 0, 1), (2, 0, 2)]

    on_a_wire(test)


def test_an_amendment_leaves_by_its_own_call():
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments)
        way.lead(heard.transport)
        placed = desk.approve(0, 0, 10, ticks=100, type=OrderType.LIMIT)
        number = int(desk.text(placed).partition(b"newClientOrderId=at")[2][:16], 16)
        amended = desk.amend(number, 101, 10)
        assert way.send(Request(Kind.AMEND, number, 0, True, False, amended), STAMP, 1) == 0
        await until(lambda: peer.texts)
        assert peer.texts == [frame(1, b"order.modify", desk.text(amended))]

    on_a_wire(test)


def test_what_nobody_approved_and_what_has_no_connection_does_not_leave():
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments)
        order = asked(Kind.ORDER, approval=desk.approve(0, 0, 10))
        assert way.send(order, STAMP, 1) == Unsent.NOT_CONNECTED
        way.lead(heard.transport)
        for nothing in (None, Approval()):
            assert way.send(asked(Kind.ORDER, approval=nothing), STAMP, 1) == Unsent.NOT_AS_APPROVED
        with pytest.raises(IndexError):
            way.send(Request(Kind.CANCEL, 1, 99), STAMP, 1)
        way.lead(None)
        assert way.send(asked(Kind.CANCEL), STAMP, 1) == Unsent.NOT_CONNECTED
        way.lead(heard.transport)
        assert (order.number, way.next_number(), way.send(order, STAMP, 1)) == (0, 1, 0)
        await until(lambda: peer.texts)
        assert [orjson.loads(text)["id"] for text in peer.texts] == [order.number] == [2]

    on_a_wire(test)


def test_what_the_budget_does_not_allow_does_not_leave_and_an_exit_has_the_rest():
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments, ten=5)
        way.lead(heard.transport)
        opening = [asked(Kind.ORDER, approval=desk.approve(0, 0, 10 + k)) for k in range(6)]
        way.leave(opening, STAMP, 1)
        assert [one.number for one in opening] == [1, 2, 3, 4, 0, 0]
        assert way.send(opening[4], STAMP, 1) == Unsent.OVER_BUDGET
        exits = [asked(Kind.ORDER, False, True, desk.approve(0, 0, 10 + k, reduce_only=True)) for k in (0, 1)]
        assert [way.send(one, STAMP, 1) for one in exits] == [0, Unsent.OVER_BUDGET]
        assert way.send(asked(Kind.CANCEL), STAMP, 1) == 0
        await until(lambda: len(peer.texts) == 6)

    on_a_wire(test)


def test_requests_leave_in_their_order_up_to_a_question():
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments)
        way.lead(heard.transport)
        order = asked(Kind.ORDER, approval=desk.approve(0, 0, 10))
        requests = [asked(Kind.CANCEL), order, asked(Kind.QUERY), asked(Kind.CANCEL)]
        way.leave(requests, STAMP, 1)
        await until(lambda: len(peer.texts) == 2)
        assert [one.number for one in requests] == [1, 2, 0, 0]
        assert [orjson.loads(text)["method"] for text in peer.texts] == ["order.cancel", "order.place"]

    on_a_wire(test)


def test_what_is_rehearsed_does_not_leave_and_is_not_counted():
    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments, ten=2)
        way.lead(heard.transport)
        orders = [asked(Kind.ORDER, approval=desk.approve(0, 0, 10 + k)) for k in range(3)]
        way.rehearse([*orders, asked(Kind.CANCEL), asked(Kind.QUERY), asked(Kind.ORDER, approval=Approval())], STAMP, 1)
        assert [one.number for one in orders] == [0, 0, 0]
        assert way.send(orders[0], STAMP, 1) == 0
        await until(lambda: peer.texts)
        await asyncio.sleep(0.05)
        assert peer.texts == [frame(1, b"order.place", desk.text(orders[0].approval))]
        assert (orders[0].number, orders[0].orders_sent) == (1, 1)

    on_a_wire(test)


def test_a_reference_and_an_order_are_written_with_every_byte_in_its_place():
    longest = Signer(b"secret", name=b"n" * 128)

    async def test(heard, peer):
        desk = Desk()
        way = outlet(desk.instruments, longest)
        way.lead(heard.transport)
        approval = desk.approve(0, 0, 10, ticks=100, type=OrderType.LIMIT)
        way.leave([asked(Kind.ORDER, approval=approval)], STAMP, 1)
        await until(lambda: peer.texts)
        assert peer.texts == [frame(1, b"order.place", longest.order_text(approval, desk.instruments, STAMP))]

    on_a_wire(test)
