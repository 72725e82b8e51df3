"""Hostile bytes are accepted or refused, alike by each reader and its plain judge, and nothing crashes.

A small share of what ``make fuzz`` feeds: fifty thousand inputs in the checked run, where a byte read or written out
of place ends it, and ten thousand anywhere else.
"""

import hashlib
import os
from collections import Counter
from itertools import islice
from random import Random

import pytest
from builders import spec
from fuzz.mutations import written
from fuzz.readers import KINDS, Disagreement, Messages, drawn, missing, read_block
from fuzz.seeds import seeds

from core_ext.types import Instruments, Status
from core_ext.wire import Scanner

BLOCKS = 5 if os.environ.get("AUTOTRADER_CHECKED") == "1" else 1


@pytest.mark.parametrize("number", range(BLOCKS))
def test_hostile_bytes_are_judged_alike_and_survived(number, tmp_path):
    counts = read_block(0, number, 10_000, tmp_path)
    assert counts.total() == 10_000
    assert missing(counts) == []


def test_a_block_is_the_same_bytes_every_time():
    def digest(seed):
        messages = (message for _, message in islice(drawn(Random(seed), None), 300))
        return hashlib.sha256(b"\0".join(messages)).digest()

    assert digest("1 0") == digest("1 0") != digest("1 1")


def test_every_seed_is_what_the_exchange_sends():
    readers = Messages()
    for seed in seeds():
        status, fast = readers.judged(seed.listing, written(seed.tree, b""), 1)
        assert (status, fast) == ((Status.OK, True) if seed.kind in KINDS else (Status.IGNORED, False)), seed
    assert {seed.kind for seed in seeds()} > set(KINDS)


def test_a_reader_that_differs_from_its_judge_is_found_out():
    readers = Messages()
    fast, _ = readers.pairs["perpetual"]
    readers.pairs["perpetual"] = fast, Scanner(Instruments([spec(tick_e8=10**8)]), 0)
    with pytest.raises(Disagreement, match=r"scanner says <Status\.OK: 0>, the general parser <Status\.OFF_GRID"):
        readers.judged("perpetual", b'{"u":1,"s":"BTCUSDT","b":"10.1","B":"1","a":"10.2","A":"1"}', 1)


def test_a_run_that_does_not_reach_a_verdict_is_found_out():
    everything = missing(Counter())
    assert {"messages kline OFF_GRID", "messages depthUpdate OK fast", "lines refused"} <= set(everything)
    counts = Counter({tuple(name.split(" ", 2)): 1 for name in everything if name.startswith("messages")})
    assert missing(counts) == [name for name in everything if not name.startswith("messages")]


# ------------------------------------------------------------------ found by fuzzing


def test_what_is_announced_as_no_trade_is_none_even_with_a_price():
    message = b'{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":1,"p":"10.1","q":"1","X":"NA","m":true}'
    assert Messages().judged("perpetual", message, 1) == (Status.IGNORED, False)
