"""Plain twin of the streaming features: every one from the whole history, by its definition.

Knows the formulas (Cont, Kukanov and Stoikov 2014 for order flow; Easley, Lopez de Prado and O'Hara 2012 for
VPIN) and what a window of seconds is. Refuses to know rings, decays by steps, or anything that is kept between
two events. Touches are (ts, bid ticks, bid lots, ask ticks, ask lots), trades (ts, ticks, lots, sold).
"""

from fractions import Fraction
from itertools import pairwise
from statistics import median

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
WINDOW = 60


def mid(touch):
    return (touch[1] + touch[3]) / 2


def recent(events, now, seconds=WINDOW):
    """Return the events of the second of ``now`` and of the seconds before it."""
    return [event for event in events if event[0] // SECOND > now // SECOND - seconds]


def spread_bps(touch):
    return 10_000 * (touch[3] - touch[1]) / mid(touch)


def spread_samples(touches):
    """Return the spread of the first touch of every second that has one, the last 300."""
    first = {}
    for touch in touches:
        first.setdefault(touch[0] // SECOND, spread_bps(touch))
    return list(first.values())[-300:]


def median_spread_bps(touches):
    samples = spread_samples(touches)
    return median(samples) if len(samples) >= 60 else 0


def minute_move(touches, now):
    """Return the largest distance of the mid from any that stood in the last sixty whole seconds."""
    if not touches:
        return 0
    start = (now // SECOND - WINDOW) * SECOND
    stood = [mid(touch) for touch in touches if touch[0] < start][-1:]
    stood += [mid(touch) for touch in touches if touch[0] >= start]
    return max(abs(mid(touches[-1]) / then - 1) for then in stood)


def step_flow(before, after):
    """Return the order flow between two touches: equation (4) of the paper, written with its indicators."""
    _, bid0, bid_lots0, ask0, ask_lots0 = before
    _, bid, bid_lots, ask, ask_lots = after
    return (bid >= bid0) * bid_lots - (bid <= bid0) * bid_lots0 - (ask <= ask0) * ask_lots + (ask >= ask0) * ask_lots0


def order_flow(touches, now):
    steps = [(after[0], step_flow(before, after)) for before, after in pairwise(touches)]
    return sum(flow for _, flow in recent(steps, now))


def signed(trade):
    return -trade[2] if trade[3] else trade[2]


def trade_flow(trades, now):
    seen = recent(trades, now)
    return sum(map(signed, seen)) / sum(trade[2] for trade in seen) if seen else 0


def trade_flow_ewma(trades):
    """Return the share of signed lots, each weighed by half for every ten whole seconds that have passed."""
    if not trades:
        return 0
    last = trades[-1][0] // SECOND
    weights = [0.5 ** ((last - trade[0] // SECOND) / 10) for trade in trades]
    total = sum(w * trade[2] for w, trade in zip(weights, trades, strict=True))
    return sum(w * signed(trade) for w, trade in zip(weights, trades, strict=True)) / total


def vwap(trades):
    """Return the volume-weighted average price in ticks, 0 of no trades."""
    lots = sum(trade[2] for trade in trades)
    return float(Fraction(sum(trade[1] * trade[2] for trade in trades), lots)) if lots else 0


def day_vwap(trades):
    return vwap([trade for trade in trades if trade[0] // DAY == trades[-1][0] // DAY])


def size_ratio(trades):
    """Return the last trade against the usual size: the mean of 64, then 1/64 of each new one."""
    usual = 0.0
    for count, trade in enumerate(trades[:-1], 1):
        usual += (trade[2] - usual) / min(count, 64)
    return trades[-1][2] / usual if len(trades) > 64 else 0


def vpin(trades, bucket, buckets):
    """Return the mean imbalance of the last whole volume buckets, -1 before there are enough: lot by lot."""
    lots = [-1 if trade[3] else 1 for trade in trades for _ in range(trade[2])]
    whole = [lots[k : k + bucket] for k in range(0, len(lots) - bucket + 1, bucket)]
    if len(whole) < buckets:
        return -1
    return sum(abs(sum(one)) for one in whole[-buckets:]) / (buckets * bucket)


def imbalance(bids, asks, levels):
    bid, ask = (sum(lots for _, lots in side[:levels]) for side in (bids, asks))
    return (bid - ask) / (bid + ask) if bid + ask else 0


def walk(side, lots):
    """Return the average price in ticks of lots taken one by one, None when the side does not hold them."""
    prices = [ticks for ticks, size in side for _ in range(size)]
    return sum(prices[:lots]) / lots if 0 < lots <= len(prices) else None


def book_flow(before, after, levels):
    """Return the order flow at each level, summed; books are (bids, asks), a missing level is worse than any."""
    total = 0
    for k in range(levels):
        looks = []
        for bids, asks in (before, after):
            bid, ask = (side[k] if k < len(side) else None for side in (bids, asks))
            looks.append((0, *(bid or (float("-inf"), 0)), *(ask or (float("inf"), 0))))
        total += step_flow(*looks)
    return total


def longer(bars, source, length):
    """Return the longer bars (close stamp, open, high, low, close, lots, vwap) of one symbol's shorter ones.

    A shorter bar is (close stamp, open, high, low, close, lots). A longer bar is there when all of its parts are.
    """
    by_stamp = {}
    for bar in bars:
        by_stamp.setdefault(bar[0], bar)
    out = []
    for close in sorted(stamp for stamp in by_stamp if stamp % length == 0):
        stamps = range(close - length + source, close + 1, source)
        if not all(stamp in by_stamp for stamp in stamps):
            continue
        parts = [by_stamp[stamp] for stamp in stamps]
        lots = sum(part[5] for part in parts)
        worth = sum(Fraction(part[2] + part[3] + part[4], 3) * part[5] for part in parts)
        average = float(worth / lots) if lots else parts[-1][4]
        high, low = max(part[2] for part in parts), min(part[3] for part in parts)
        out.append((close, parts[0][1], high, low, parts[-1][4], lots, average))
    return out
