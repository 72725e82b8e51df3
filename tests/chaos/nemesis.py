"""What goes wrong in a simulation, and when: families of faults, drawn at random, and all lifted from time to time.

Knows the families and how each is done to a `hours.World`. Refuses to know what must hold meanwhile. How often each was
drawn stands in what a simulation tells; one that was never drawn would test nothing.
"""

import asyncio
from collections import Counter

import orjson

from chaos.hours import NAME, SECOND, SYMBOL

MINUTE = 60 * SECOND
ORDERS = ("/fapi/v1/order", "/fapi/v1/algoOrder")
METHODS = ("POST", "POST", "DELETE", "GET", None)
QUESTIONS = ("/fapi/v1/depth", "/fapi/v1/depth", "/fapi/v1/time", "/fapi/v1/premiumIndex")
"""All that a PAPER run asks."""
EVENTS = ("ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE")
STREAMS = ("btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@aggTrade", "btcusdt@markPrice@1s")
ROUTES = ("/public/*", "/market/*", "/private/*")
SPOILT = (
    "truncate", "not_utf8", "bom", "deep", "huge_frame", "huge_number", "nan_price", "negative_price", "int_price",
    "duplicate_keys", "unknown_field", "unknown_event", "unknown_status",
)  # fmt: skip
UNKNOWN = (
    ("lose_answer", {}), ("lose_request", {}), ("timeout_done", {}), ("timeout_undone", {}), ("unknown_503_done", {}),
    ("unknown_503_undone", {}), ("bad_gateway_html", {"done": True}), ("bad_gateway_html", {"done": False}),
    ("empty_200", {"done": True}), ("empty_200", {"done": False}), ("truncated_json", {}), ("reset", {"done": True}),
    ("reset", {"done": False}), ("delay", {"delay_s": 4.0}), ("drip", {"byte_s": 0.1}),
)  # fmt: skip
FAILED = ("unavailable_503", "overloaded_503", "internal_503", "waf_403")
CODES = (-5022, -2022, -2019, -2021, -1021, -1111, -4164, -2011, -1008, -4118, -5021)
OF_THE_ACCOUNT = frozenset({
    "lost event", "duplicated event", "reordered event", "late event", "spoilt event", "mute account", "expired key",
    "deposit", "withdrawal", "deleveraging", "leverage set", "fees",
})  # fmt: skip
"""Families that a run does not meet whose account is at its own venue."""


def _event(dice, do, count=4, **more):
    return [{"do": do, "stream": "user", "event": dice.choice(EVENTS), "count": dice.randint(1, count), **more}]


def _stream(dice, do, **more):
    return [{"do": do, "stream": dice.choice(STREAMS), **more}]


def _crossed(nemesis):
    # Prices that cross, in a message that is otherwise the next of its stream.
    bid, ask = nemesis.touch()
    told = {"e": "bookTicker", "u": 10**15, "s": SYMBOL, "b": ask, "B": "1.000", "a": bid, "A": "1.000"}
    stamp = nemesis.world.now_ns() // 10**6
    payload = orjson.dumps(told | {"T": stamp, "E": stamp}).decode()
    return [{"do": "replace", "stream": STREAMS[1], "payload": payload, "count": nemesis.dice.randint(1, 20)}]


class Nemesis:
    """Draws what goes wrong.

    Parameters
    ----------
    world : hours.World
    each_s : tuple of float
        Bounds of the time between two draws.

    Attributes
    ----------
    drawn : Counter
        How often by family.
    troubled_ns : int
        When something was last wrong.
    healed_ns : int
        Since when nothing is wrong, 0 while something is.
    """

    def __init__(self, world, each_s=(1.0, 6.0)):
        self.world, self.dice, self.each_s = world, world.dice, each_s
        self.drawn, self.lasting = Counter(), {}
        self.troubled_ns, self.healed_ns = 0, world.now_ns()
        self._bag = []

    # ------------------------------------------------------------------ the families: faults, and how long they last

    def families(self):
        """Return what can go wrong: tables for the exchange, and for how many seconds; None: until they have fired."""
        dice = self.dice
        do, more = dice.choice(UNKNOWN)
        found = {
            "unknown outcome": lambda: (self._request(do, **more), 12.0),
            "failed outcome": lambda: (self._request(dice.choice(FAILED)), 8.0),
            "refusal": lambda: (self._request("error", code=dice.choice(CODES), text="No."), 8.0),
            "rate limit": lambda: (self._request("limit", retry_s=dice.randint(2, 12)), 5.0),
            "ban": lambda: (self._request("ban", ban_s=dice.uniform(5.0, 30.0), count=1), 30.0),
            "weight used by others": self._use_weight,
            "maintenance": lambda: ([{"do": "maintenance"}], dice.uniform(3.0, 10.0)),
            "lost event": lambda: (_event(dice, "drop"), 15.0),
            "duplicated event": lambda: (_event(dice, "duplicate"), 15.0),
            "reordered event": lambda: (_event(dice, "reorder"), 15.0),
            "late event": lambda: (_event(dice, "delay", delay_s=dice.uniform(0.1, 6.0)), 15.0),
            "spoilt event": lambda: (_event(dice, "malform", how=dice.choice(SPOILT)), 15.0),
            "mute account": lambda: ([{"do": "mute", "stream": "user"}], dice.uniform(2.0, 20.0)),
            "gap in the depth": lambda: ([{"do": "gap", "count": dice.randint(1, 3)}], 5.0),
            "duplicated market": lambda: (_stream(dice, "duplicate", count=dice.randint(1, 50)), 5.0),
            "reordered market": lambda: (_stream(dice, "reorder", count=dice.randint(1, 20)), 5.0),
            "late market": lambda: (_stream(dice, "delay", delay_s=dice.uniform(0.05, 3.0), count=30), 5.0),
            "held market": lambda: (_stream(dice, "hold", until_s=self.elapsed + dice.uniform(1.0, 4.0)), 6.0),
            "mute market": lambda: (_stream(dice, "mute"), dice.uniform(2.0, 12.0)),
            "spoilt market": lambda: (_stream(dice, "malform", how=dice.choice(SPOILT), count=10), 5.0),
            "crossed book": lambda: (_crossed(self), 5.0),
            "late snapshot": lambda: ([{"do": "delay", "path": "/fapi/v1/depth", "delay_s": 3.0, "count": 2}], 10.0),
            "closed connection": lambda: (self._connection("close"), 2.0),
            "half-open connection": lambda: (self._connection("half_open"), 2.0),
            "refused connection": lambda: ([*self._connection("close"), {"do": "refuse", "count": 2}], 5.0),
            "flapping connection": lambda: ([*self._connection("close"), {"do": "flap", "count": 3}], 6.0),
            "expired key": lambda: ([{"do": "expire_key", "account": NAME}], 2.0),
            "deposit": lambda: ([self._money("deposit")], 1.0),
            "withdrawal": lambda: ([self._money("withdraw")], 1.0),
            "funding": lambda: ([{"do": "funding", "symbol": SYMBOL, "rate": f"{dice.uniform(-3e-3, 3e-3):.6f}"}], 1.0),
            "deleveraging": lambda: ([{"do": "adl", "account": NAME, "symbol": SYMBOL, "share": 0.5}], 3.0),
            "leverage set": lambda: ([self._by_hand("leverage", value=dice.randint(2, 5))], 3.0),
            "fees": lambda: ([{"do": "fee_tier", "account": NAME, "maker": "0.0002", "taker": "0.0005"}], 1.0),
            "mark off": lambda: ([{"do": "mark_jump", "symbol": SYMBOL, "percent": 3, "hold_s": 3}], 6.0),
            "exchange's clock": lambda: ([{"do": "skew", "skew_ms": dice.choice((-7_000, -900, 900, 1_500))}], 6.0),
            "own clock": self._jump,
            "slow disk": self._slow,
            "no network": self._cut,
        }  # fmt: skip
        left_out = OF_THE_ACCOUNT if self.world.mode == "paper" else frozenset()
        return {family: drawn for family, drawn in found.items() if family not in left_out}

    @property
    def elapsed(self):
        return self.world.time.ns / SECOND

    def touch(self):
        book = self.world.server.exchange.books[0]
        bid, ask = (ticks or 1 for ticks in book.best())
        return tuple(self.world.server.symbols[0].price(ticks) for ticks in (bid, max(ask, bid + 1)))

    def _request(self, do, **more):
        dice, is_paper = self.dice, self.world.mode == "paper"
        method = None if is_paper else dice.choice(METHODS)
        path = dice.choice(QUESTIONS if is_paper else ORDERS)
        table = {"do": do, "path": path, "count": dice.randint(1, 4), "skip": dice.randint(0, 2), **more}
        return [table | ({"method": method} if method else {})]

    def _connection(self, do):
        return [{"do": do, "path": self.dice.choice(ROUTES), "at_s": self.elapsed}]

    def _money(self, do):
        # So little that those of which the event is lost, and which then count as losses, do not end the day's trading.
        return {"do": do, "account": NAME, "asset": "USDT", "amount": f"{self.dice.uniform(1.0, 8.0):.2f}"}

    def _by_hand(self, do, **more):
        return {"do": do, "account": NAME, "symbol": SYMBOL, **more}

    def _use_weight(self):
        # What the headers say is believed for a minute.
        self.world.used_until = self.world.now_ns() + 8 * SECOND + MINUTE
        return [{"do": "weight", "used": self.dice.randint(500, 2_300)}], 8.0

    def _jump(self):
        self.world.skew_ns += self.dice.choice((-3, -1, 1, 3)) * SECOND
        return [], 5.0

    def _slow(self):
        self.world.disk_s = self.dice.uniform(0.2, 5.0)
        return [], self.dice.uniform(2.0, 10.0)

    def _cut(self):
        self.world.cut()
        return [], self.dice.uniform(0.5, 12.0)

    # ------------------------------------------------------------------ drawing

    def strike(self):
        """Let one thing go wrong; every family comes before any comes again."""
        families = self.families()
        if not self._bag:
            self._bag = sorted(families)
            self.dice.shuffle(self._bag)
        family = self._bag.pop()
        tables, seconds = families[family]()
        names = [self.world.server.faults.add(table).name for table in tables]
        self.world.server._due = 0
        self.drawn[family] += 1
        self.lasting[family] = (self.world.now_ns() + round(seconds * SECOND), names)
        self.healed_ns = 0

    def lift(self, everything=False):
        """Lift what has lasted long enough, or everything."""
        now = self.world.now_ns()
        for family, (until, names) in list(self.lasting.items()):
            if everything or now >= until:
                del self.lasting[family]
                for name in names:
                    self.world.server.faults.remove(name)
                if family == "slow disk":
                    self.world.disk_s = 0.0
                if family == "no network":
                    self.world.is_up = True
        if self.lasting:
            self.troubled_ns = now
        elif not self.healed_ns:
            self.troubled_ns = now
            self.healed_ns = now

    async def rage(self, seconds):
        """Let things go wrong for some time, then let nothing be wrong."""
        end = self.world.time.ns + round(seconds * SECOND)
        while self.world.time.ns < end:
            self.strike()
            pause = self.world.time.ns + round(self.dice.uniform(*self.each_s) * SECOND)
            while self.world.time.ns < pause:
                await asyncio.sleep(0.25)
                self.lift()
        self.lift(everything=True)
