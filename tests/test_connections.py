"""One WebSocket to the exchange's streams, in front of a server that does what a test says."""

import asyncio
import time

import orjson
import pytest
from feeds import run
from picows import WSListener, WSMsgType, WSUpgradeResponse, ws_create_server

from autotrader.adapters.binance import connections
from autotrader.adapters.binance.connections import MESSAGE_BYTES, NAMES, Connection
from autotrader.errors import VenueError
from autotrader.messages import say

TEXT, REST = WSMsgType.TEXT, WSMsgType.CONTINUATION


class Peer(WSListener):
    """A server's side; what it answers is the test's."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.asked = []

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == TEXT:
            self.asked.append((time.monotonic(), orjson.loads(frame.get_payload_as_bytes())))
            self.answer(transport, self.asked[-1][1])
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


def confirmed(transport, asked):
    transport.send(TEXT, orjson.dumps({"result": None, "id": asked["id"]}))


def in_front_of(test, answer=confirmed):
    """Run a test of (connection, peer, messages heard)."""

    async def main():
        peer, heard = Peer(answer), []
        server = await ws_create_server(lambda _: peer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(f"ws://127.0.0.1:{port}/public/stream", lambda _, m: heard.append(m))
        try:
            await test(connection, peer, heard)
        finally:
            connection.end()
            await asyncio.wait_for(connection.gone.wait(), 5)
            server.close()

    run(main())


async def until(what):
    end = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_many_streams_are_asked_for_in_few_messages_that_are_spaced():
    names = [f"s{k}@depth" for k in range(3 * NAMES + 1)]

    async def test(connection, peer, heard):
        assert connection.opened_s == 0.0
        await connection.subscribe(names)
        assert connection.opened_s > 0.0
        asked = [message for _, message in peer.asked]
        assert [name for message in asked for name in message["params"]] == names
        assert {message["method"] for message in asked} == {"SUBSCRIBE"} and len({m["id"] for m in asked}) == 4
        assert peer.asked[-1][0] - peer.asked[0][0] >= 3 * 0.2  # the exchange hears at most ten a second
        assert heard == []

    in_front_of(test)


def test_a_refusal_is_told_in_the_exchange_s_words():
    def refuse(transport, asked):
        transport.send(TEXT, orjson.dumps({"code": 2, "msg": "Invalid request: too many streams", "id": asked["id"]}))

    async def test(connection, *_):
        with pytest.raises(VenueError, match="refused a subscription: Invalid request: too many streams"):
            await connection.subscribe(["a@depth"])
        assert connection.opened_s == 0.0

    in_front_of(test, refuse)


@pytest.mark.parametrize("answer", [{"id": 1, "result": [1]}, {"id": 1}, {"id": 1, "error": {"code": 1}}])
def test_an_answer_that_confirms_nothing_is_a_refusal(answer):
    async def test(connection, *_):
        with pytest.raises(VenueError, match="refused"):
            await connection.subscribe(["a@depth"])

    in_front_of(test, lambda transport, _: transport.send(TEXT, orjson.dumps(answer)))


def test_an_answer_that_does_not_come_has_a_deadline(monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_S", 0.1)

    async def test(connection, *_):
        with pytest.raises(VenueError, match=r"did not answer a subscription within 0\.1 s"):
            await connection.subscribe(["a@depth"])

    in_front_of(test, lambda *_: None)


def test_a_connection_that_ends_answers_whoever_waits():
    async def test(connection, *_):
        with pytest.raises(VenueError, match="the connection ended"):
            await connection.subscribe(["a@depth"])
        assert connection.gone.is_set()
        with pytest.raises(VenueError, match="the connection ended"):
            await connection.subscribe(["a@depth"])

    in_front_of(test, lambda transport, _: transport.disconnect())


GARBAGE = [b"[1]", b"{}", b"x", b'{"id":99,"result":null}', b'{"id":[],"result":null}', b"\xef\xbb\xbf{}", b"null", b""]


def test_what_is_no_answer_is_handed_over_and_answers_nothing():
    def answer(transport, asked):
        for one in GARBAGE:
            transport.send(TEXT, one)
        confirmed(transport, asked)

    async def test(connection, _, heard):
        await connection.subscribe(["a@depth"])
        assert heard == GARBAGE

    in_front_of(test, answer)


def test_a_message_in_parts_is_heard_whole_and_other_frames_are_not():
    whole = b'{"stream":"a@depth","data":{}}'

    async def test(connection, peer, heard):
        peer.transport.send(WSMsgType.BINARY, b"\x00")
        for at, byte in enumerate(whole):
            kind = TEXT if at == 0 else REST
            peer.transport.send(kind, bytes([byte]), fin=at == len(whole) - 1)
            peer.transport.send_ping(b"x")
        peer.transport.send(TEXT, whole)
        await until(lambda: len(heard) == 2)
        assert heard == [whole, whole]

    in_front_of(test)


@pytest.mark.parametrize("parts", [1, 8])
def test_a_message_of_more_than_a_megabyte_ends_the_connection(parts):
    async def test(connection, peer, heard):
        size = MESSAGE_BYTES // parts + 1
        for at in range(parts):
            peer.transport.send(REST if at else TEXT, b"x" * size, fin=at == parts - 1)
        await until(connection.gone.is_set)
        assert heard == []

    in_front_of(test)


def test_a_close_of_the_exchange_ends_the_connection():
    async def test(connection, peer, _):
        peer.transport.send_close()
        await until(connection.gone.is_set)

    in_front_of(test)


@pytest.mark.parametrize("status", [302, 200, 404, 503])
def test_no_redirect_is_followed_and_whatever_is_no_websocket_is_refused(status):
    asked = []

    async def main():
        def answer(request):
            asked.append(request.path)
            return WSUpgradeResponse.create_error_response(status, b"", {"Location": f"ws://127.0.0.1:{port}/there"})

        server = await ws_create_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(VenueError):
            await Connection.open(f"ws://127.0.0.1:{port}/here", lambda *_: None)
        server.close()

    run(main())
    assert asked == [b"/here"]


def test_a_peer_that_never_answers_the_handshake_has_a_deadline(monkeypatch):
    monkeypatch.setattr(connections, "CONNECT_S", 0.2)

    async def main():
        held = []
        server = await asyncio.start_server(lambda *streams: held.append(streams), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(VenueError):
            await asyncio.wait_for(Connection.open(f"ws://127.0.0.1:{port}/", lambda *_: None), 5)
        assert len(held) == 1
        server.close()

    run(main())


def test_a_peer_that_ends_the_connection_before_the_handshake_is_no_connection():
    async def main():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(VenueError, match=say("feed.lost")):
            await asyncio.wait_for(Connection.open(f"ws://127.0.0.1:{port}/", lambda *_: None), 5)
        server.close()

    run(main())
