"""Names and routes of market streams; a stream that passes from one connection to the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.binance.market_streams import EARLY, Handover, Subscription, needed_id
from autotrader.adapters.loopback.streams import family

TEXTS = {
    "book": '{{"stream":"s","data":{{"e":"depthUpdate","E":1,"T":1,"s":"S","U":0,"u":{0},"pu":7,"b":[],"a":[]}}}}',
    "touch": '{{"stream":"s","data":{{"e":"bookTicker","u":{0},"E":1,"T":1,"s":"S"}}}}',
    "trade": '{{"stream":"s","data":{{"e":"aggTrade","E":1,"s":"S","a":{0},"p":"1","q":"1","f":3,"l":4,"T":1}}}}',
    "mark": '{{"stream":"s","data":{{"e":"markPriceUpdate","E":{0},"s":"S","p":"1"}}}}',
    "candle": '{{"stream":"s","data":{{"e":"kline","E":{0},"s":"S","k":{{"t":9,"T":9}}}}}}',
}


def message(kind, place):
    return TEXTS[kind].format(place).encode()


def test_every_stream_goes_to_the_route_that_delivers_it():
    found = Subscription(("BTCUSDT", "ETHUSDT"), candles=("1m", "4h")).streams()
    assert {s.name for s in found if s.symbol == "ETHUSDT"} == {
        "ethusdt@depth@100ms", "ethusdt@bookTicker", "ethusdt@aggTrade", "ethusdt@markPrice@1s", "ethusdt@kline_1m",
        "ethusdt@kline_4h",
    }  # fmt: skip
    assert all(family(stream.name) == stream.family for stream in found)
    other = Subscription(("BTCUSDT",), depth="0ms", trades="trade").streams()
    assert {s.name for s in other if s.family == "public"} == {
        "btcusdt@depth@0ms", "btcusdt@bookTicker", "btcusdt@trade",
    }  # fmt: skip
    assert all(family(stream.name) == stream.family for stream in other)


@st.composite
def overlaps(draw):
    """Places of a stream, where the new connection begins, where the old one ends, and who speaks when."""
    steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=30))
    places = [sum(steps[: k + 1]) for k in range(len(steps))]
    begins = draw(st.integers(0, len(places) - 1))
    ends = draw(st.integers(begins, len(places)))
    turns = draw(st.lists(st.booleans(), min_size=100, max_size=100))
    return places, begins, ends, turns


@given(st.sampled_from(sorted(TEXTS)), overlaps(), st.integers(0, 60))
def test_a_stream_passes_without_a_hole_and_without_a_repetition(kind, overlap, forced_at):
    places, begins, ends, turns = overlap
    old, new = places[:ends], places[begins:]
    handover, passed = Handover(kind), []
    for turn, from_old in enumerate(turns):
        if turn == forced_at and not old:
            passed += handover.finish()
        if from_old and old:
            passed += handover.from_old(message(kind, old.pop(0)))
        elif not from_old and new:
            passed += handover.from_new(message(kind, new.pop(0)))
    passed += [m for place in old for m in handover.from_old(message(kind, place))]
    passed += handover.finish()
    passed += [m for place in new for m in handover.from_new(message(kind, place))]
    assert passed == [message(kind, place) for place in places]
    assert handover.is_done


@pytest.mark.parametrize("places,over", [((1, 2, 3), False), ((1, 2, 3, 4), True)])
def test_it_is_over_when_the_new_one_has_passed_the_old_one(places, over):
    handover = Handover("trade")
    for place in (1, 2, 3):
        handover.from_old(message("trade", place))
    for place in places:
        handover.from_new(message("trade", place))
    assert handover.is_done and handover.is_over is over


def test_what_is_kept_back_has_a_bound():
    handover = Handover("touch")
    passed = [m for place in range(EARLY) for m in handover.from_new(message("touch", place))]
    assert len(passed) == EARLY and handover.is_done and handover.is_over


def test_a_message_without_a_place_counts_only_from_the_connection_that_counts():
    handover = Handover("mark")
    assert handover.from_old(b"{}") == [b"{}"]
    assert handover.from_new(b"{}") == []
    handover.finish()
    assert handover.from_old(b"{}") == []
    assert handover.from_new(b"{}") == [b"{}"]


def test_a_diff_says_what_snapshot_it_needs():
    assert needed_id(message("book", 12)) == 7
    assert needed_id(b'{"e":"depthUpdate","U":40,"u":44}') == 39
    assert needed_id(b"{") == 0
