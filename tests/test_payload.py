"""What is published about a symbol, byte for byte beside a plain writer."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plain.payload import PayloadWriter as PlainWriter

from core_ext.payload import PayloadWriter
from core_ext.types import EVENT_DTYPE, Flag, Kind

MOST = 2**63 - 1
COUNT = st.one_of(st.just(0), st.integers(0, 10**9), st.integers(0, MOST))
NUMBER = st.one_of(st.integers(-1, 10**13), st.integers(-MOST, MOST))
LEVELS = st.lists(st.tuples(st.integers(0, 1), COUNT, COUNT), max_size=40)
BTC = ("BTCUSDT", "BTCUSDT", 10**7, 10**5, 2, 3)


@st.composite
def makings(draw):
    """Draw what a writer is made of: names, steps, decimals, which need not be as few as the step has."""
    price, lots = draw(st.integers(0, 8)), draw(st.integers(0, 8))
    tick, lot = (draw(st.integers(1, 10**4)) * 10 ** (8 - decimals) for decimals in (price, lots))
    name = draw(st.sampled_from(["BTCUSDT", "币安USDT", "X" * 200]))
    return name, name[::-1], tick, lot, price, lots


def rows(levels):
    """Return levels as rows."""
    return np.array(
        [(int(Kind.LEVEL), side * int(Flag.F_SELL) | k % 2, 3, -7, 9, *level, 5, 5, 5, 5)
         for k, (side, *level) in enumerate(levels)],
        EVENT_DTYPE,
    ).tobytes()  # fmt: skip


@given(makings(), st.tuples(*[NUMBER] * 5), LEVELS)
@example(("A", "B", 10**8, 10**8, 0, 0), (1, 2, 3, 4, -1), [(0, MOST, MOST), (1, 0, 0), (0, 1, 0)])
@example(("A", "B", 1, 1, 8, 8), (1, 2, 3, 4, 5), [(1, MOST, MOST), (1, 1, 0), (0, 10**8, 99_999_999)])
@example(("A", "B", 10**12, 10**12, 8, 8), (1, 2, 3, 4, 5), [(1, MOST, MOST)])
def test_a_depth_diff_is_written_as_the_plain_writer_writes_it(makings, words, levels):
    assert PayloadWriter(*makings).depth(*words, rows(levels)) == PlainWriter(*makings).depth(*words, levels)


@given(makings(), st.tuples(*[NUMBER] * 3), st.tuples(*[COUNT] * 4))
def test_a_touch_is_written_as_the_plain_writer_writes_it(makings, words, sides):
    assert PayloadWriter(*makings).touch(*words, *sides) == PlainWriter(*makings).touch(*words, *sides)


@given(makings(), st.tuples(NUMBER, NUMBER, COUNT, COUNT, st.booleans(), st.booleans()))
def test_a_trade_is_written_as_the_plain_writer_writes_it(makings, trade):
    assert PayloadWriter(*makings).trade(*trade) == PlainWriter(*makings).trade(*trade)


def test_one_writer_writes_short_and_long_messages_in_turn():
    ours, plain = PayloadWriter(*BTC), PlainWriter(*BTC)
    for n in (3, 2_000, 0, 5_000, 1):
        levels = [(k % 2, MOST - k, k) for k in range(n)]
        assert ours.depth(1, 2, 3, 4, 5, rows(levels)) == plain.depth(1, 2, 3, 4, 5, levels)


@pytest.mark.parametrize(
    ("tick", "decimals", "why"),
    [(10**7, 9, "0 to 8 decimals, not 9"), (10**7, -1, "0 to 8 decimals"), (10**7, 0, "does not fit into 0 decimals"),
     (0, 2, "does not fit"), (-(10**7), 2, "does not fit")],
)  # fmt: skip
def test_a_step_that_cannot_be_written_is_refused(tick, decimals, why):
    with pytest.raises(ValueError, match=why):
        PayloadWriter("BTCUSDT", "BTCUSDT", tick, 10**5, decimals, 3)
    with pytest.raises(ValueError, match=why):
        PayloadWriter("BTCUSDT", "BTCUSDT", 10**5, tick, 3, decimals)
