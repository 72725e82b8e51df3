"""The plainest judge of market data: lists, sorting, and one sentence a verdict.

It knows prices in ticks or 1e-8 USDT and what may be believed of them. It refuses to know speed: a median is the
middle of a sorted list. Written from the design page ("Market data and its quality") and the header of the core's
noun; the score is that of Iglewicz and Hoaglin (1993).
"""

from dataclasses import dataclass, field
from fractions import Fraction

LIMIT = 10**10  # USDT; a price above it is absurd
STREAMS = ("trades", "book", "marks", "bars", "mark_bars")


def median(values):
    """Return the middle one, or the mean of the middle two."""
    ordered = sorted(values)
    return Fraction(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2], 2)


@dataclass
class Stream:
    name: str
    ts: int = 0
    prices: list = field(default_factory=list)  # accepted, all of them, USDT
    held: Fraction | None = None
    interval: int = 0
    silent: bool = False

    @property
    def last(self):
        return self.prices[-1] if self.prices else None


@dataclass
class Symbol:
    tick: Fraction
    streams: dict = field(default_factory=lambda: {name: Stream(name) for name in STREAMS})
    bar_lots: list = field(default_factory=list)
    minutes: list = field(default_factory=list)
    minute: int | None = None
    running: int = 0
    whole: bool = False
    spiked: bool = False
    one_sided_since: int | None = None
    conservative_until: int = 0
    halted_until: int = 0
    seen: dict = field(default_factory=dict)


@dataclass
class Quality:
    ticks: list  # price of one tick by symbol, USDT
    settings: dict  # shares and times in ns by name
    policies: dict
    turn: int = 0

    def __post_init__(self):
        self.symbols = [Symbol(Fraction(tick)) for tick in self.ticks]
        self.began = []

    # What a row may be ---------------------------------------------------------------

    def on_trade(self, symbol, ts, ticks, lots):
        self.begin(symbol, "trades", ts)
        good = 0 < ticks <= 2**50 and lots >= 0
        found = self.on_price(symbol, "trades", ts, ticks * self.symbols[symbol].tick if good else None)
        if "DISCARDED" not in found:
            found |= self.minute_volume(self.symbols[symbol], ts, lots)
        return self.conclude(symbol, ts, found)

    def on_touch(self, symbol, ts, bid, bid_lots, ask, ask_lots):
        self.begin(symbol, "book", ts)
        good = 0 < bid <= 2**50 and 0 < ask <= 2**50 and bid_lots >= 0 and ask_lots >= 0
        mid = Fraction(bid + ask, 2) * self.symbols[symbol].tick
        if good and mid <= LIMIT and bid >= ask:
            return self.conclude(symbol, ts, {"CROSSED", "DISCARDED"})
        found = self.on_price(symbol, "book", ts, mid if good else None)
        if "BAD_PRICE" not in found:
            found |= self.spread(bid, ask)
        return self.conclude(symbol, ts, found)

    def on_mark(self, symbol, ts, mark):
        self.begin(symbol, "marks", ts)
        return self.conclude(symbol, ts, self.on_price(symbol, "marks", ts, mark))

    def on_bar(self, symbol, ts, stream, prices, lots, interval):
        self.begin(symbol, stream, ts)
        opened, high, low, closed = prices
        good = 0 < low <= min(opened, closed) and max(opened, closed) <= high <= LIMIT
        good = good and lots >= 0 and 0 < interval <= 31 * 86_400 * 10**9
        found = self.on_price(symbol, stream, ts, closed if good else None, interval)
        if stream == "bars" and "DISCARDED" not in found:
            found |= self.volume(self.symbols[symbol].bar_lots, lots, {"VOLUME_SPIKE", "VOLUME_DROP"})
            self.symbols[symbol].bar_lots.append(lots)
        return self.conclude(symbol, ts, found)

    def on_open(self, symbol, ts, price):
        self.begin(symbol, "bars", ts)
        return self.conclude(symbol, ts, self.on_price(symbol, "bars", ts, price, opens=True))

    def on_book(self, symbol, ts, bids, asks, applied=True, crossed=False):
        """Judge a book, (ticks, lots) from the touch outwards, after a diff that it applied or not."""
        self.begin(symbol, "book", ts)
        if crossed:
            return self.conclude(symbol, ts, {"CROSSED"})
        if not applied:
            return self.conclude(symbol, ts, set())
        found = self.one_sided(self.symbols[symbol], ts, bids, asks)
        if bids and asks:
            found |= self.spread(bids[0][0], asks[0][0])
            mid = Fraction(bids[0][0] + asks[0][0], 2) * self.symbols[symbol].tick
            found |= self.on_price(symbol, "book", ts, mid, discardable=False)
        return self.conclude(symbol, ts, found)

    # What is said of it --------------------------------------------------------------

    def on_price(self, symbol, name, ts, price, interval=0, opens=False, discardable=True):
        if price is None or not 0 < price <= LIMIT:
            return {"BAD_PRICE", "DISCARDED"}
        own = self.symbols[symbol].streams[name]
        found = set()
        if own.prices and abs(price - own.last) > self.settings["spike"] * own.last:
            found.add("SPIKE")
        if not opens and self.is_outlier(own, price, self.symbols[symbol].tick):
            found.add("OUTLIER")
        suspected = any(self.policies[verdict] == "discard" for verdict in found)
        if suspected and discardable and not self.believed(symbol, own, price, ts):
            own.held = price
            return found | {"DISCARDED"}
        if not opens:
            own.prices.append(price)
            own.held, own.silent, own.ts = None, False, max(own.ts, ts)
            own.interval = interval
        return found

    def is_outlier(self, own, price, tick):
        window = own.prices[-100:]
        if len(window) < 20:
            return False
        middle = median(window)
        spread = max(median([abs(x - middle) for x in window]), tick, self.settings["outlier_floor"] * middle)
        score = Fraction(6745, 10000) * abs(price - middle) / spread
        return score > self.settings["outlier"] and abs(price - own.last) > abs(price - middle) / 2

    def believed(self, symbol, own, price, ts):
        if own.held is not None and abs(price - own.held) < abs(price - own.last):
            return True
        fresh = [
            other.last
            for other in self.symbols[symbol].streams.values()
            if other is not own and other.prices and ts - other.ts <= self.vouches(other.name)
        ]
        if any(abs(price - other) < abs(own.last - other) for other in fresh):
            return True
        return own.name in ("marks", "bars", "mark_bars") and not fresh

    def vouches(self, name):
        return {"trades": self.settings["book_stale"], "book": self.settings["book_stale"]}.get(
            name, self.settings["mark_stale"] if name == "marks" else 0
        )

    def spread(self, bid, ask):
        return {"WIDE_SPREAD"} if ask - bid > self.settings["wide_spread"] * Fraction(bid + ask, 2) else set()

    def one_sided(self, s, ts, bids, asks):
        bought, sold = (sum(lots for _, lots in side[:5]) for side in (bids, asks))
        if bought and sold and abs(bought - sold) <= self.settings["one_sided"] * (bought + sold):
            s.one_sided_since = None
            return set()
        s.one_sided_since = ts if s.one_sided_since is None else s.one_sided_since
        return {"ONE_SIDED"} if ts - s.one_sided_since >= self.settings["one_sided_ns"] else set()

    def minute_volume(self, s, ts, lots):
        minute = ts // (60 * 10**9)
        found = set()
        s.minute = minute if s.minute is None else s.minute
        if minute > s.minute:
            closed = ([s.running] if s.whole else []) + [0] * min(minute - s.minute - 1, 20)
            for one in closed:
                found |= self.volume(s.minutes, one, {"VOLUME_DROP"})
                s.minutes.append(one)
            s.minute, s.running, s.whole, s.spiked = minute, 0, True, False
        s.running += lots
        if s.whole and not s.spiked and self.volume(s.minutes, s.running, {"VOLUME_SPIKE"}):
            s.spiked = True
            found.add("VOLUME_SPIKE")
        return found

    def volume(self, before, lots, asked):
        mean = Fraction(sum(before[-20:]), 20) if len(before) >= 20 else 0
        found = set()
        if mean and lots > self.settings["volume_spike"] * mean:
            found.add("VOLUME_SPIKE")
        if mean and lots < self.settings["volume_drop"] * mean:
            found.add("VOLUME_DROP")
        return found & asked

    # Silence -------------------------------------------------------------------------

    def begin(self, symbol, own, ts):
        self.began, self.stale = [], set()
        self.turn = (self.turn + 1) % len(self.symbols)
        if self.turn != symbol:
            self.silence(self.turn, None, ts)
        self.stale = self.silence(symbol, own, ts)

    def silence(self, symbol, own, ts):
        found = set()
        for stream in self.symbols[symbol].streams.values():
            own_pause = stream.name == own and stream.name in ("trades", "book", "marks")
            if own_pause or not stream.prices or stream.name == "trades":
                continue
            if ts - stream.ts <= self.limit(stream):
                continue
            if stream.silent:
                self.impose(self.symbols[symbol], "STALE", ts)
                continue
            stream.silent = True
            found = {"STALE"}
            self.note(symbol, "STALE", ts)
        return found

    def limit(self, stream):
        if stream.name in ("book", "marks"):
            return self.settings[f"{stream.name.rstrip('s')}_stale"]
        return round(self.settings["candle_stale"] * stream.interval)

    # What follows --------------------------------------------------------------------

    def conclude(self, symbol, ts, found):
        for verdict in sorted(found - {"DISCARDED"}):
            self.note(symbol, verdict, ts)
        return found | self.stale

    def note(self, symbol, verdict, ts):
        s = self.symbols[symbol]
        if verdict not in s.seen or ts - s.seen[verdict] > self.lasting(s, "clean"):
            self.began.append((symbol, verdict))
        self.impose(s, verdict, ts)

    def impose(self, s, verdict, ts):
        s.seen[verdict] = ts
        policy = self.policies[verdict]
        if policy == "halt":
            s.halted_until = max(s.halted_until, ts + self.lasting(s, "clean"))
        if policy == "conservative" or (policy == "discard" and verdict in ("OUTLIER", "SPIKE")):
            s.conservative_until = max(s.conservative_until, ts + self.lasting(s, "conservative"))

    def lasting(self, s, name):
        return max(self.settings[name], s.streams["bars"].interval)
