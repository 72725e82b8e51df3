"""The frames of a server beside a plain reader of frames."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plain.frames import texts

from core_ext.frames import Frames

LENGTHS = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 65_535, 65_536, 70_000]))


@given(st.lists(st.tuples(LENGTHS, st.booleans()), max_size=20))
@example([(125, True), (126, True), (65_535, True), (65_536, True)])
@example([(300_000, False), (0, True)])
def test_what_was_added_is_read_again_in_its_order(added):
    frames, waiting, total = Frames(), [], 0
    for k, (length, leaves) in enumerate(added):
        waiting.append(bytes([k]) * length)
        total += length + (2 if length < 126 else 4 if length < 65_536 else 10)
        assert frames.add(waiting[-1]) == frames.waiting == total
        if leaves:
            assert texts(frames.take()) == waiting
            waiting, total = [], 0
        assert frames.count == k + 1
    assert texts(frames.take()) == waiting and frames.take() == b"" and frames.waiting == 0


def test_only_bytes_are_framed():
    with pytest.raises(TypeError):
        Frames().add("text")
    with pytest.raises(TypeError):
        Frames().add(None)
