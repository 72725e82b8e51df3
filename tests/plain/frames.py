"""A plain reading of the frames of a server: their texts, by the lengths that RFC 6455 lays down."""

import struct


def texts(data):
    """Return the texts of frames that stand one behind the other."""
    found, at = [], 0
    while at < len(data):
        first, length = data[at], data[at + 1]
        assert first == 0b1000_0001  # the last frame of its message; text
        at += 2
        if length == 126:
            (length,) = struct.unpack_from(">H", data, at)
            at += 2
            assert length >= 126
        elif length == 127:
            (length,) = struct.unpack_from(">Q", data, at)
            at += 8
            assert length >= 65536
        found.append(data[at : at + length])
        assert len(found[-1]) == length
        at += length
    return found
