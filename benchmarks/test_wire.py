"""The race at the wire is one: the program's orders are signed orders, and both answer the same frames."""

import pytest

from benchmarks import wire


def test_a_client_s_frames_are_read_whole_and_the_rest_is_kept():
    def masked(kind, text):
        head = (
            bytes((128 | kind, 128 | len(text)))
            if len(text) < 126
            else bytes((128 | kind, 254)) + len(text).to_bytes(2)
        )
        return head + b"abcd" + bytes(one ^ b"abcd"[k % 4] for k, one in enumerate(text))

    told = [(wire.PONG, b""), (wire.TEXT, b"x" * 125), (wire.TEXT, b"y" * 126), (wire.PING, b"z")]
    stream = b"".join(masked(*one) for one in told)
    for cut in range(len(stream) + 1):
        first, left = wire.texts(stream[:cut])
        rest, nothing = wire.texts(left + stream[cut:])
        assert (first + rest, nothing) == (told, b"")


def test_an_order_whose_signature_is_another_s_is_found_out():
    with pytest.raises(RuntimeError, match="not its own"):
        wire.signed(b'{"id":1,"method":"order.place","params":{"symbol":"BTCUSDT","signature":"00"}}')


@pytest.mark.parametrize("spins", [True, False])
def test_most_frames_lead_to_orders_and_all_are_echoed(spins):
    found = wire.race(spins, 1)
    assert found.frames == len(found.echoes) == wire.BLOCK
    assert len(found.turns) > wire.BLOCK / 2
    assert all(0 < one.first <= one.last for one in found.turns) and min(found.echoes) > 0
    assert found.size_in > found.size_out > 300
