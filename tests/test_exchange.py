"""The simulated venue against its plain twins, and what a fill may never be.

The venue takes only approved orders, so a scripted strategy drives it through the engine and the driver.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from builders import E8, SIZING, depth, limits, row, snapshot, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import account as plain_account
from plain.book import Diff, Snapshot
from plain.matching import BUY, FOK, GTC, GTX, IOC, SELL, Bars, Order, Replay

from autotrader.research.stress import STAND_ASIDE
from core_ext.account import Account
from core_ext.driver import Driver
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.journal import JournalWriter, read_journal
from core_ext.strategy import Strategy
from core_ext.types import Flag, Instruments, Kind

SECOND = 10**9
START = 1_700_000_000 * SECOND
RICH = 10**9 * E8
EPOCH = 3
# The gate stands aside: what is tried here is the venue.
OPEN = limits(**STAND_ASIDE)
# The gate's instrument: as the venue's, but nothing in it is in the way.
WIDE = spec(collar_e8=E8 - 1, leverage=100, up_e8=10 * E8, down_e8=1, min_notional_e8=1, max_market_lots=10**6)
# Odd fee rates, so that fees need rounding.
SPEC = spec(maker_fee_e8=20_003, taker_fee_e8=49_999, min_notional_e8=5 * E8, leverage=20, max_orders=12)


@dataclass(frozen=True)
class Ask:
    """What the strategy does at a moment: an order, or (``cancels`` set) the cancelling of what an earlier ask made."""

    ts: int
    side: int = BUY
    lots: int = 0
    ticks: int = 0
    tif: int = GTC
    reduce_only: bool = False
    cancels: int | None = None
    stp: int = 2  # the desk's own default: the maker expires


class Script(Strategy):
    """Does what it was told at the times it was told."""

    def __init__(self, asks):
        super().__init__()
        self.asks = asks
        self.ids = {}  # what became an order, or a cancel: client ids by number of the ask

    def start(self):
        for k, ask in enumerate(self.asks):
            self.desk.set_timer(k, ask.ts)

    def on_timer(self, k):
        ask = self.asks[k]
        if ask.cancels is None:
            terms = {"price_ticks": ask.ticks, "tif": ask.tif, "reduce_only": ask.reduce_only, "stp": ask.stp}
            client_id = self.desk.order(0, ask.side, 0 if ask.ticks else 1, ask.lots, **terms)
        else:
            wanted = self.ids.get(ask.cancels, 0)
            client_id = wanted if self.desk.cancel(wanted) else 0
        if client_id:
            self.ids[k] = client_id


@dataclass
class Session:
    """One run: the market as events, what the strategy asks, and what the venue said."""

    market: list
    asks: list
    folder: object
    order_latency: int = 0
    response_latency: int = 0
    venue: dict = field(default_factory=lambda: SPEC)
    wallet: int = RICH
    mark_source: str = "stream"
    half_spread: float = 0.0
    impact: float = 0.0
    grace: int = 0

    def run(self):
        """Drive the compiled venue; return its answers as rows, their stamps in the venue's own time."""
        self.script = Script(self.asks)
        engine = Engine(Instruments([WIDE]), self.script, OPEN, SIZING, RICH, EPOCH, [self.mark_source], 12)
        instruments = Instruments([self.venue])
        self.account = Account(instruments, self.wallet)
        exchange = Exchange(
            instruments, [self.account], [self.mark_source], self.half_spread, self.impact, self.grace, 12
        )
        path = self.folder / "journal"
        path.unlink(missing_ok=True)
        journal = JournalWriter(str(path))
        driver = Driver(engine, exchange, None, journal, self.order_latency, self.response_latency, SECOND)
        driver.control(Kind.RUN, START)
        driver.feed_rows(np.concatenate([event.rows() for event in self.market]), 0, 0)
        driver.finish()
        journal.close()
        assert engine.failure is None
        self.engine, self.exchange = engine, exchange
        self.journal = np.concatenate([block.array() for block in read_journal(path)])
        answers = self.journal[(self.journal["kind"] >= 32) & (self.journal["kind"] < 64)].copy()
        answers["ts"] -= self.response_latency
        return answers

    def sides(self):
        return {client_id: self.asks[k].side for k, client_id in self.script.ids.items()}

    def arrivals(self):
        """What reached the venue, and when, oldest first; None for a cancel, ours or the desk's own."""
        asks = {client_id: self.asks[k] for k, client_id in self.script.ids.items() if self.asks[k].cancels is None}
        asked = self.journal[np.isin(self.journal["kind"], (int(Kind.ORDER), int(Kind.CANCEL)))]
        told = [(int(one["ts"]) + self.order_latency, int(one["kind"]), int(one["a"])) for one in asked]
        return [(ts, asks[wanted] if kind == Kind.ORDER else None, wanted) for ts, kind, wanted in told]

    def retell(self, twin):
        """Tell a twin the same story: everything stamped up to an arrival is seen by it."""
        market = list(self.market)
        for ts, ask, client_id in self.arrivals():
            while market and market[0].ts <= ts:
                market.pop(0).tell(twin)
            if ask is not None:
                twin.submit(Order(client_id, ask.side, ask.lots, ask.ticks, ask.tif, ask.reduce_only, ask.stp), ts)
            else:
                twin.cancel(client_id, ts)
        for event in market:
            event.tell(twin)
        return twin


# ---------------------------------------------------------------------------------- the market as events


@dataclass(frozen=True)
class Shot:
    ts: int
    last_id: int
    bids: tuple
    asks: tuple

    def rows(self):
        return snapshot(self.ts, self.last_id, self.bids, self.asks)

    def tell(self, twin):
        twin.on_snapshot(Snapshot(self.last_id, dict(self.bids), dict(self.asks)), self.ts)


@dataclass(frozen=True)
class Change:
    ts: int
    last: int
    previous: int
    bids: tuple = ()
    asks: tuple = ()

    def rows(self):
        return depth(self.ts, self.previous + 1, self.last, self.previous, self.bids, self.asks)

    def tell(self, twin):
        twin.on_diff(Diff(self.previous + 1, self.last, self.previous, self.bids, self.asks), self.ts)


@dataclass(frozen=True)
class Trade:
    ts: int
    aggressor: int
    ticks: int
    lots: int
    is_market: bool = True

    def rows(self):
        flags = Flag.F_END | (Flag.F_SELL if self.aggressor == SELL else 0)
        return row(Kind.TRADE, self.ts, flags=flags, a=1, b=self.ticks, c=self.lots, f=0 if self.is_market else 1)

    def tell(self, twin):
        if self.is_market:
            twin.on_trade(self.aggressor, self.ticks, self.lots, self.ts)


@dataclass(frozen=True)
class Mark:
    ts: int
    price_e8: int

    def rows(self):
        return row(Kind.MARK, self.ts, a=self.price_e8, b=self.price_e8)

    def tell(self, twin):
        twin.on_mark(self.price_e8)


# ---------------------------------------------------------------------------------- comparing


def told(answers, sides):
    """Return the answers by side of the order, in the twin's words; trade ids are checked elsewhere."""
    found = {BUY: [], SELL: []}
    for one in answers:
        kind, client_id = Kind(int(one["kind"])).name, int(one["a"])
        words = {
            "ACCEPTED": None,
            "REJECTED": int(one["b"]),
            "CANCELED": int(one["b"]),
            "CANCEL_REJECTED": int(one["b"]),
            "EXPIRED": (int(one["b"]), int(one["c"])),
            "FILL": (
                int(one["c"]),
                int(one["d"]),
                bool(one["flags"] & Flag.F_MAKER),
                int(one["e"]),
                int(one["f"]),
            ),
        }[kind]
        found[sides[client_id]].append((int(one["ts"]), kind, client_id, words))
    return found


def assert_same(session, answers, twin):
    """Same fills, refusals, expiries and cancels, in the same order on each side."""
    sides = session.sides()
    found = told(answers, sides)
    for side in (BUY, SELL):
        expected = [
            (ts, kind, getattr(who, "client_id", who), words)
            for ts, kind, who, words in twin.said
            if sides[getattr(who, "client_id", who)] == side
        ]
        assert [one[:3] for one in found[side]] == [one[:3] for one in expected]
        for (_, kind, _, words), (_, _, _, wanted) in zip(found[side], expected, strict=True):
            assert words in wanted if kind == "REJECTED" else words == wanted
    assert session.account.position(0)["lots"] == twin.position
    assert session.account.equity() == twin.account.equity


# ---------------------------------------------------------------------------------- random L2 markets

MIDDLE = 1_000  # ticks: 100 USDT, where one lot of 0.001 is 0.1 USDT


class Weather:
    """A small book that wanders, in events; its own idea of the levels keeps it from crossing itself."""

    def __init__(self, dice):
        self.dice, self.ts, self.last_id = dice, START, 1
        self.sides = [
            {MIDDLE - k: dice.randint(1, 400) for k in range(1, 7)},
            {MIDDLE + k: dice.randint(1, 400) for k in range(1, 7)},
        ]
        self.events = [Mark(self.tick(), MIDDLE * SPEC["tick_e8"]), self.shot(), self.change(())]

    def tick(self):
        self.ts += self.dice.choice((0, 1, 10, 1000))
        return self.ts

    def shot(self):
        return Shot(self.tick(), self.last_id, tuple(self.sides[0].items()), tuple(self.sides[1].items()))

    def change(self, moves):
        """Apply (side, ticks, lots) to the levels and return the diff that says so."""
        changed = ({}, {})
        for side, ticks, lots in moves:
            self.set(changed, side, ticks, lots)
            other = self.sides[1 - side]
            for crossed in [t for t in other if lots and (t <= ticks if side == BUY else t >= ticks)]:
                self.set(changed, 1 - side, crossed, 0)
        previous, self.last_id = self.last_id, self.last_id + self.dice.randint(1, 3)
        return Change(self.tick(), self.last_id, previous, tuple(changed[0].items()), tuple(changed[1].items()))

    def set(self, changed, side, ticks, lots):
        changed[side][ticks] = lots
        self.sides[side].pop(ticks, None)
        if lots:
            self.sides[side][ticks] = lots

    def middle(self):
        return (max(self.sides[0], default=MIDDLE - 1) + min(self.sides[1], default=MIDDLE + 1)) // 2

    def happen(self):
        dice = self.dice
        weather = dice.random()
        if weather < 0.55:
            moves = [self.move() for _ in range(dice.randint(1, 4))]
            self.events.append(self.change(moves))
        elif weather < 0.58:
            self.events.append(replace(self.last_change(), ts=self.tick()))  # the same diff again: older than the book
        elif weather < 0.6:
            self.events.append(self.shot())  # a snapshot that nobody needs
        elif weather < 0.95:
            ticks = self.middle() + dice.randint(-3, 3)
            self.events.append(Trade(self.tick(), dice.randrange(2), ticks, dice.randint(1, 300), dice.random() < 0.95))
        else:
            self.events.append(Mark(self.tick(), self.middle() * SPEC["tick_e8"] + dice.randint(-999, 999)))

    def last_change(self):
        return next(event for event in reversed(self.events) if isinstance(event, Change))

    def move(self):
        """Change a level near the touch; now and then one in the other side's place."""
        side = self.dice.randrange(2)
        away = self.dice.randint(-2, 5) if self.dice.random() < 0.15 else self.dice.randint(1, 5)
        ticks = self.middle() - away if side == BUY else self.middle() + away
        return side, ticks, self.dice.choice((0, 0, self.dice.randint(1, 50), self.dice.randint(1, 400)))


def asks_of(dice, moments, count):
    """Return random orders and cancels at the given moments, sorted."""
    asks = []
    for ts in sorted(dice.choice(moments) + dice.choice((0, 1, 500)) for _ in range(count)):
        if asks and dice.random() < 0.25:
            asks.append(Ask(ts, asks[k := dice.randrange(len(asks))].side, cancels=k))
        else:
            asks.append(order_of(dice, ts))
    return asks


def order_of(dice, ts):
    side = dice.randrange(2)
    ticks = 0 if dice.random() < 0.25 else MIDDLE + dice.randint(-6, 6)
    tif = dice.choice((GTC, GTC, IOC, GTX, FOK)) if ticks else GTC
    lots = dice.choice((dice.randint(51, 120), dice.randint(51, 900), dice.randint(40, 60)))
    return Ask(ts, side, lots, ticks, tif, dice.random() < 0.2, stp=dice.randrange(4))


def l2_session(seed, folder, venue=SPEC, asks=14, weather=60):
    dice = Random(seed)
    world = Weather(dice)
    for _ in range(weather):
        world.happen()
    moments = [event.ts for event in world.events[3:]]
    world.events.append(Mark(world.ts + SECOND, MIDDLE * SPEC["tick_e8"]))
    latencies = dice.choice(((0, 0), (700, 0), (1_500, 400)))
    return Session(world.events, asks_of(dice, moments, asks), folder, *latencies, venue)


def compare(examples, folder):
    kinds = set()

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(st.integers(0, 2**48))
    def same(seed):
        session = l2_session(seed, folder)
        answers = session.run()
        kinds.update(Kind(int(kind)) for kind in answers["kind"])
        assert_same(session, answers, session.retell(Replay(SPEC, plain_account.Account([SPEC], RICH))))

    same()
    return kinds


ALL_ANSWERS = {Kind.ACCEPTED, Kind.REJECTED, Kind.FILL, Kind.CANCELED, Kind.EXPIRED, Kind.CANCEL_REJECTED}


def test_a_replayed_market_fills_as_its_plain_twin(tmp_path):
    assert compare(150, tmp_path) == ALL_ANSWERS


@pytest.mark.slow
def test_a_replayed_market_fills_as_its_plain_twin_for_longer(tmp_path):
    assert compare(4_000, tmp_path) == ALL_ANSWERS


# ---------------------------------------------------------------------------------- one thing at a time

T = START + 10 * SECOND
PLAIN = spec(min_notional_e8=1, leverage=20)
BIDS = ((999, 100), (998, 100), (997, 100))
ASKS = ((1001, 100), (1002, 100), (1003, 100))


class Play:
    """A small market around 100 USDT, what happens in it, and what is asked; answers in plain words."""

    def __init__(self, folder, asks, happenings=(), bids=BIDS, asks_shown=ASKS, **given):
        opening = [Mark(START, MIDDLE * 10**7), Shot(START, 1, bids, asks_shown), Change(START, 2, 1)]
        closing = [Mark(T + 1_000 * SECOND, MIDDLE * 10**7)]
        self.session = Session([*opening, *happenings, *closing], asks, folder, **({"venue": PLAIN} | given))
        self.rows = self.session.run()

    def answers(self):
        """Return (what, words) an answer: fills as (price ticks, lots), refusals and expiries as their code."""
        words = {"FILL": ("c", "d"), "REJECTED": ("b",), "EXPIRED": ("c",), "CANCELED": ("b",)}
        return [
            (name, *(int(one[field]) for field in words.get(name, ())))
            for one in self.rows
            for name in [Kind(int(one["kind"])).name]
        ]

    def fills(self, k=None):
        """Return (price ticks, lots) of the fills, or of those of the k-th ask."""
        wanted = None if k is None else self.session.script.ids[k]
        return [
            (int(one["c"]), int(one["d"]))
            for one in self.rows
            if one["kind"] == Kind.FILL and wanted in (None, int(one["a"]))
        ]


def test_a_taker_walks_the_book_and_says_which_touch_it_saw(tmp_path):
    play = Play(tmp_path, [Ask(T, BUY, 250, 1003)])
    assert play.answers() == [("ACCEPTED",), ("FILL", 1001, 100), ("FILL", 1002, 100), ("FILL", 1003, 50)]
    fills = play.rows[play.rows["kind"] == Kind.FILL]
    assert set(fills["f"].tolist()) == {1001}
    assert fills["e"].tolist() == [500_500, 501_000, 250_750]  # 0.05 % of 10.01, 10.02 and 5.015 USDT
    assert not (fills["flags"] & Flag.F_MAKER).any()


@pytest.mark.parametrize(
    ("ask", "answers"),
    [
        (Ask(T, BUY, 150, 1001), [("ACCEPTED",), ("FILL", 1001, 100)]),
        (Ask(T, BUY, 150, 1001, IOC), [("ACCEPTED",), ("FILL", 1001, 100), ("EXPIRED", 2)]),
        (Ask(T, BUY, 50, 1000, IOC), [("ACCEPTED",), ("EXPIRED", 2)]),
        (Ask(T, BUY, 50, 1001, GTX), [("REJECTED", -5022)]),
        (Ask(T, SELL, 50, 999, GTX), [("REJECTED", -5022)]),
        (Ask(T, BUY, 50, 1000, GTX), [("ACCEPTED",)]),
        (Ask(T, SELL, 400), [("ACCEPTED",), *(("FILL", ticks, 100) for ticks in (999, 998, 997)), ("EXPIRED", 9)]),
    ],
    ids=["rests", "ioc", "ioc misses", "post-only buy takes", "post-only sell takes", "post-only rests", "market"],
)
def test_what_is_left_of_an_order_rests_or_expires_by_its_kind(tmp_path, ask, answers):
    assert Play(tmp_path, [ask]).answers() == answers


def test_what_we_took_is_gone_until_the_level_next_changes(tmp_path):
    asks = [Ask(T, BUY, 60, 1001), Ask(T + 1, BUY, 60, 1001, IOC), Ask(T + 3, BUY, 100, 1001, IOC)]
    play = Play(tmp_path, asks, [Change(T + 2, 3, 2, asks=((1001, 80),))])
    assert [play.fills(k) for k in range(3)] == [[(1001, 60)], [(1001, 40)], [(1001, 80)]]


@pytest.mark.parametrize(
    "again",
    [Change(T + 1, 2, 1, asks=((1001, 100),)), Shot(T + 1, 2, BIDS, ASKS)],
    ids=["a diff older than the book", "a snapshot that nobody needs"],
)
def test_what_changes_no_level_gives_nothing_back(tmp_path, again):
    play = Play(tmp_path, [Ask(T, BUY, 100, 1001), Ask(T + 2, BUY, 100, 1001, IOC)], [again])
    assert play.fills() == [(1001, 100)]


def test_a_crossing_of_the_book_fills_at_our_price_what_it_shows_and_only_once(tmp_path):
    cross = Change(T + 1, 3, 2, bids=((999, 0), (998, 0)), asks=((998, 30), (999, 20)))
    play = Play(tmp_path, [Ask(T, BUY, 100, 999), Ask(T + 2, BUY, 100, 999, IOC)], [cross])
    assert play.fills(0) == [(999, 30), (999, 20)]
    assert play.fills(1) == []


def test_the_better_priced_of_our_orders_is_reached_first_by_a_trade(tmp_path):
    # The older order has 2 in front of it at 999; the younger one stands alone at 1000.
    asks = [Ask(T, BUY, 3, 999), Ask(T + 1, BUY, 4, 1000)]
    play = Play(tmp_path, asks, [Trade(T + 2, SELL, 999, 5)], bids=((999, 2), (998, 100)))
    assert [play.fills(k) for k in (0, 1)] == [[], [(1000, 4)]]


def test_the_better_priced_of_our_orders_is_reached_first_by_a_crossing(tmp_path):
    cross = Change(T + 2, 3, 2, bids=((999, 0),), asks=((998, 50),))
    asks = [Ask(T, BUY, 50, 999), Ask(T + 1, BUY, 50, 1000)]
    play = Play(tmp_path, asks, [cross], bids=((999, 1), (990, 100)))
    assert [play.fills(k) for k in (0, 1)] == [[], [(1000, 50)]]


QUEUE = [
    ("joins behind all that is displayed", [], 100, []),
    ("no one stands behind more than is displayed", [Change(T + 1, 3, 2, bids=((999, 30),))], 30, []),
    (
        "what joins later stands behind us",
        [Change(T + 1, 3, 2, bids=((999, 30),)), Change(T + 2, 4, 3, bids=((999, 500),))],
        30,
        [],
    ),
    ("a trade at our price moves it", [Trade(T + 1, SELL, 999, 60)], 40, []),
    ("a trade at a better price does not", [Trade(T + 1, SELL, 1000, 60)], 100, []),
    ("a trade of the other side does not", [Trade(T + 1, BUY, 999, 60)], 100, []),
    ("a trade that is no market trade does not", [Trade(T + 1, SELL, 999, 60, is_market=False)], 100, []),
    ("the trade that reaches us fills the rest", [Trade(T + 1, SELL, 999, 110)], 0, [(999, 10)]),
    ("a trade through our price fills us", [Trade(T + 1, SELL, 998, 20)], 100, [(999, 20)]),
]


@pytest.mark.parametrize(
    ("happenings", "ahead", "fills"), [case[1:] for case in QUEUE], ids=[case[0] for case in QUEUE]
)
def test_the_queue_in_front_of_a_resting_order(tmp_path, happenings, ahead, fills):
    play = Play(tmp_path, [Ask(T, BUY, 50, 999, GTX)], happenings)
    assert play.fills() == fills
    (resting,) = play.session.exchange.resting(0)
    assert (resting["ahead"], resting["leaves"]) == (ahead, 50 - sum(lots for _, lots in fills))


def test_a_maker_pays_the_makers_fee_at_exactly_its_limit(tmp_path):
    play = Play(tmp_path, [Ask(T, SELL, 10, 1001)], [Trade(T + 1, BUY, 1005, 400)])
    (fill,) = play.rows[play.rows["kind"] == Kind.FILL]
    assert (fill["c"], fill["d"], fill["e"], fill["f"]) == (1001, 10, 20_020, 1001)  # 0.02 % of 1.001 USDT
    assert fill["flags"] & Flag.F_MAKER
    assert fill["flags"] & Flag.F_SELL


def test_a_cancelled_order_says_what_was_left_and_only_once(tmp_path):
    asks = [Ask(T, BUY, 50, 999), Ask(T + 2, cancels=0), Ask(T + 5, BUY, 1, 998), Ask(T + 6, cancels=2)]
    play = Play(tmp_path, asks, [Trade(T + 1, SELL, 999, 120), Trade(T + 7, SELL, 990, 500)])
    assert play.answers() == [("ACCEPTED",), ("FILL", 999, 20), ("CANCELED", 30), ("ACCEPTED",), ("CANCELED", 1)]


def test_a_cancel_that_comes_too_late_is_refused(tmp_path):
    # Sent before the fill is known to us, arriving after it.
    play = Play(tmp_path, [Ask(T, BUY, 50, 1001), Ask(T + 2, cancels=0)], order_latency=1_000, response_latency=5_000)
    assert play.answers() == [("ACCEPTED",), ("FILL", 1001, 50), ("CANCEL_REJECTED",)]


# ---------------------------------------------------------------------------------- refusals

REFUSALS = [
    ({"tradable": 0}, Ask(T, BUY, 10, 1000), -4141),
    ({"min_lots": 10}, Ask(T, BUY, 10, 1000), None),
    ({"min_lots": 10}, Ask(T, BUY, 9, 1000), -4004),
    ({"max_lots": 50}, Ask(T, BUY, 50, 1000), None),
    ({"max_lots": 50}, Ask(T, BUY, 51, 1000), -4005),
    ({"max_market_lots": 50}, Ask(T, BUY, 50), None),
    ({"max_market_lots": 50}, Ask(T, BUY, 51), -4005),
    ({"max_market_lots": 50}, Ask(T, BUY, 51, 1000), None),
    ({"min_ticks": 990}, Ask(T, BUY, 10, 990), None),
    ({"min_ticks": 990}, Ask(T, BUY, 10, 989), -4013),
    ({"max_ticks": 1010}, Ask(T, SELL, 10, 1010), None),
    ({"max_ticks": 1010}, Ask(T, SELL, 10, 1011), -4002),
    ({}, Ask(T, BUY, 10, 1050), None),
    ({}, Ask(T, BUY, 10, 1051), -4016),
    ({}, Ask(T, SELL, 10, 950), None),
    ({}, Ask(T, SELL, 10, 949), -4024),
    ({}, Ask(T, BUY, 10, 1), None),  # the band is one-sided
    ({}, Ask(T, SELL, 10, 10_000), None),
    ({"min_notional_e8": E8}, Ask(T, BUY, 10, 1000), None),
    ({"min_notional_e8": E8}, Ask(T, BUY, 10, 999), -4164),
    ({"min_notional_e8": E8}, Ask(T, BUY, 10), None),  # a market order counts at the mark
    ({"min_notional_e8": E8}, Ask(T, BUY, 9), -4164),
]


@pytest.mark.parametrize(("filters", "ask", "code"), REFUSALS)
def test_the_exchange_refuses_what_breaks_its_filters_with_its_own_code(tmp_path, filters, ask, code):
    play = Play(tmp_path, [ask], venue=PLAIN | filters)
    assert play.answers()[0] == (("ACCEPTED",) if code is None else ("REJECTED", code))
    assert not play.fills() or code is None


def test_the_exchange_counts_open_orders(tmp_path):
    asks = [Ask(T + k, BUY, 1, 990 - k) for k in range(3)]
    assert Play(tmp_path, asks, venue=PLAIN | {"max_orders": 2}).answers()[-1] == ("REJECTED", -2025)
    assert Play(tmp_path, asks, venue=PLAIN | {"max_orders": 3}).answers()[-1] == ("ACCEPTED",)


def test_nothing_is_accepted_before_there_is_a_mark(tmp_path):
    market = [Shot(START, 1, BIDS, ASKS), Change(START, 2, 1), Mark(T + 1, 10**10), Mark(T + SECOND, 10**10)]
    session = Session(market, [Ask(T, BUY, 10, 1000)], tmp_path, venue=PLAIN)
    # Our own gate refuses it as well: it reaches no venue at all.
    assert len(session.run()) == 0
    assert session.engine.gate.refused() == {"R31_RISK_FAULT": 1}


def test_a_market_order_executes_no_further_from_the_mark_than_the_bound(tmp_path):
    far = ((1001, 10), (1050, 10), (1051, 10))
    assert Play(tmp_path, [Ask(T, BUY, 30)], asks_shown=far).answers() == [
        ("ACCEPTED",),
        ("FILL", 1001, 10),
        ("FILL", 1050, 10),
        ("EXPIRED", 9),
    ]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_market_order_whose_best_price_is_beyond_the_bound_is_refused(tmp_path, side):
    play = Play(tmp_path, [Ask(T, side, 10)], bids=((949, 100),), asks_shown=((1051, 100),))
    assert play.answers() == [("REJECTED", -4131)]


def test_margin_for_an_order_is_its_share_of_the_notional_and_its_fee(tmp_path):
    # 1,000 lots at 100 USDT are 100 USDT: a twentieth of it is 5, the taker's fee 0.05.
    for wallet, answer in ((505_000_000, ("ACCEPTED",)), (499_999_999, ("REJECTED", -2019))):
        assert Play(tmp_path, [Ask(T, BUY, 1_000, 1000, GTX)], wallet=wallet).answers() == [answer]


def test_margin_for_an_order_counts_what_it_loses_at_once(tmp_path):
    # 1,000 lots bought at 104.0 with the mark at 100: margin 5.2, fee 0.052, and 4 lost at once.
    shown = ((1040, 2_000),)
    for wallet, answer in ((926_000_000, ("ACCEPTED",)), (919_000_000, ("REJECTED", -2019))):
        play = Play(tmp_path, [Ask(T, BUY, 1_000, 1040, IOC)], asks_shown=shown, wallet=wallet)
        assert play.answers()[0] == answer


def test_margin_counts_orders_of_both_sides_at_the_larger_one(tmp_path):
    # Each order of 100 USDT needs 5: two on one side need 10, one on each side needs 5. Fees are below 0.1.
    wallet = 520_000_000
    beside = [Ask(T, BUY, 1_000, 999, GTX), Ask(T + 1, SELL, 1_000, 1001, GTX)]
    same = [Ask(T, BUY, 1_000, 999, GTX), Ask(T + 1, BUY, 1_000, 998, GTX)]
    assert Play(tmp_path, beside, wallet=wallet).answers() == [("ACCEPTED",), ("ACCEPTED",)]
    assert Play(tmp_path, same, wallet=wallet).answers() == [("ACCEPTED",), ("REJECTED", -2019)]


# ---------------------------------------------------------------------------------- reduce-only


def test_a_reduce_only_order_is_cut_to_the_position_and_its_rest_expires(tmp_path):
    asks = [
        Ask(T, BUY, 100, 1001),
        Ask(T + 20, SELL, 60, 999),
        Ask(T + 20, SELL, 100, 998, reduce_only=True),  # decided before the sale is known
    ]
    play = Play(tmp_path, asks, order_latency=10, response_latency=0)
    assert play.fills(2) == [(999, 40)]
    assert play.answers()[-1] == ("EXPIRED", 4)
    assert play.session.account.position(0)["lots"] == 0


def test_a_reduce_only_order_that_finds_no_position_is_refused(tmp_path):
    asks = [Ask(T, BUY, 100, 1001), Ask(T + 20, SELL, 100, 999), Ask(T + 20, SELL, 100, 998, reduce_only=True)]
    play = Play(tmp_path, asks, order_latency=10, response_latency=0)
    assert play.answers()[-1] == ("REJECTED", -2022)


def test_a_resting_reduce_only_order_is_knocked_out_once_nothing_is_left(tmp_path):
    asks = [Ask(T, BUY, 50, 1001), Ask(T + 1, SELL, 50, 1005, reduce_only=True), Ask(T + 2, SELL, 50, 999)]
    play = Play(tmp_path, asks, [Trade(T + 3, BUY, 1006, 500)])
    assert play.answers()[-1] == ("EXPIRED", 4)
    assert play.session.account.position(0)["lots"] == 0


# ---------------------------------------------------------------------------------- what a fill may never be


def best_at(events, ts):
    """Return (bid, ask) as shown once everything stamped up to ``ts`` has happened."""
    book = Replay(PLAIN, plain_account.Account([PLAIN], RICH))
    for event in events:
        if event.ts <= ts and isinstance(event, Shot | Change):
            event.tell(book)
    return book.book.best()


def assert_fills_are_honest(session, answers):
    """No fill improves on the book it saw or on its limit, comes early, or fills more than was asked for."""
    orders = {int(one["a"]): one for one in session.journal if one["kind"] == Kind.ORDER}
    filled = dict.fromkeys(orders, 0)
    for fill in answers[answers["kind"] == Kind.FILL]:
        order, ticks = orders[int(fill["a"])], int(fill["c"])
        sign = -1 if fill["flags"] & Flag.F_SELL else 1
        limit = int(order["b"])
        assert fill["ts"] >= order["ts"] + session.order_latency
        if fill["flags"] & Flag.F_MAKER:
            assert ticks == limit
        else:
            bid, ask = best_at(session.market, int(fill["ts"]))
            assert int(fill["f"]) == (bid if sign < 0 else ask)
            assert sign * (ticks - int(fill["f"])) >= 0
            assert limit == 0 or sign * (limit - ticks) >= 0
        filled[int(fill["a"])] += int(fill["d"])
    for client_id, lots in filled.items():
        assert 0 <= lots <= int(orders[client_id]["c"])
        undone = answers[(answers["a"] == client_id) & np.isin(answers["kind"], (Kind.CANCELED, Kind.EXPIRED))]
        assert lots + int(undone["b"].sum()) <= int(orders[client_id]["c"])
        if len(undone):
            assert lots + int(undone["b"].sum()) == int(orders[client_id]["c"])


def test_fills_are_honest_in_any_market(tmp_path):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.integers(0, 2**48))
    def honest(seed):
        session = l2_session(seed, tmp_path)
        answers = session.run()
        assert_fills_are_honest(session, answers)
        trade_ids = answers[answers["kind"] == Kind.FILL]["b"]
        assert (np.diff(trade_ids) > 0).all()
        assert session.account.reconcile() == 0
        assert session.account.equity() - RICH == session.engine.account.equity() - RICH

    honest()


def test_no_level_is_taken_twice_while_it_does_not_change(tmp_path):
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(st.integers(1, 250), min_size=2, max_size=8), st.integers(0, 1))
    def once(sizes, side):
        asks = [Ask(T + k, side, lots, 1003 if side == BUY else 997, IOC) for k, lots in enumerate(sizes)]
        play = Play(tmp_path, asks)
        for ticks, lots in ASKS if side == BUY else BIDS:
            assert sum(done for at, done in play.fills() if at == ticks) <= lots
        assert sum(done for _, done in play.fills()) == min(300, sum(sizes))

    once()


# ---------------------------------------------------------------------------------- funding and liquidation


@dataclass(frozen=True)
class Funding(Mark):
    """A mark that also announces the next funding: its rate and its stamp."""

    rate_e8: int = 0
    stamp: int = 0

    def rows(self):
        return row(Kind.MARK, self.ts, a=self.price_e8, b=self.price_e8, c=self.rate_e8, d=self.stamp)


def funding(play):
    paid = play.rows[play.rows["kind"] == Kind.FUNDING_PAID]
    return [(int(one["a"]), int(one["d"])) for one in paid]


def test_funding_is_paid_at_its_stamp_at_the_mark_by_the_position(tmp_path):
    stamp = T + 60 * SECOND
    announced = [Funding(T + 1, 101 * E8, 10_000, stamp), Mark(stamp, 102 * E8), Mark(stamp + 1, 103 * E8)]
    play = Play(tmp_path, [Ask(T, BUY, 100, 1001)], announced)
    # 0.1 of a coin at 101 USDT and 0.01 %: a long pays a positive rate.
    assert funding(play) == [(-101_000, 100)]
    assert play.session.account.reconcile() == 0


def test_a_position_opened_after_the_stamp_pays_no_funding(tmp_path):
    stamp = T + 60 * SECOND
    announced = [Funding(T, 100 * E8, 10_000, stamp), Change(stamp + 50, 3, 2), Mark(stamp + 60, 100 * E8)]
    play = Play(tmp_path, [Ask(stamp + 10, BUY, 100, 1001)], announced)
    assert play.fills() == [(1001, 100)]
    assert funding(play) == []


def held(lots, wallet, ticks=1000, source="stream"):
    """Return an account that holds a position and the venue that watches it."""
    instruments = Instruments([PLAIN])
    account = Account(instruments, wallet)
    account.fill(0, lots, ticks, 0)
    return account, Exchange(instruments, [account], [source], 0.0, 0.0, 0, 12)


def test_liquidation_is_judged_on_the_mark_and_not_on_trades():
    account, venue = held(1_000, 10 * E8)  # one coin at 100 USDT on 10 USDT of equity
    crash = Trade(T, SELL, 500, 10**6).rows()
    assert len(venue.feed(np.concatenate([Mark(START, 100 * E8).rows(), crash]))) == 0
    # Equity 0.36 + x, maintenance 0.4 % of 90.36 + x = 0.36144...: between the two marks lies the answer.
    assert len(venue.feed(Mark(T + 1, 9_037_000_000).rows())) == 0
    (answer,) = venue.feed(Mark(T + 2, 9_036_000_000).rows())
    assert (answer["kind"], answer["a"], answer["d"]) == (Kind.LIQUIDATION, 1_000, 9_036_000_000)
    assert account.position(0)["lots"] == 0
    assert account.reconcile() == 0
    assert account.equity() == 0  # what was left went to the clearance fee
    assert account.liquidation_fees_e8 == 36_000_000


def test_a_short_is_liquidated_by_a_mark_that_rises():
    account, venue = held(-1_000, 10 * E8)
    assert len(venue.feed(Mark(START, 10_956_000_000).rows())) == 0
    (answer,) = venue.feed(Mark(START + 1, 10_957_000_000).rows())
    assert answer["kind"] == Kind.LIQUIDATION
    assert account.reconcile() == 0


def candle(ts, kind, open_, high, low, close, lots=1_000, flags=Flag.F_END | Flag.F_CLOSED):
    words = {"a": open_, "b": high, "c": low, "d": close, "f": 3_600 * SECOND}
    return row(kind, ts, flags=flags, **words | ({"e": lots} if kind == Kind.CANDLE else {}))


@pytest.mark.parametrize(("source", "liquidated"), [("file", False), ("proxy", True)])
def test_on_candles_the_last_price_may_crash_while_the_mark_holds(source, liquidated):
    account, venue = held(1_000, 20 * E8, source=source)
    wild = candle(T, Kind.CANDLE, 100 * E8, 101 * E8, 50 * E8, 99 * E8)
    calm = candle(T, Kind.MARK_CANDLE, 100 * E8, 101 * E8, 95 * E8, 99 * E8)
    answers = venue.feed(np.concatenate([calm, wild] if source == "file" else [wild]))
    assert [Kind(int(one)) for one in answers["kind"]] == [Kind.LIQUIDATION] * liquidated
    assert (account.position(0)["lots"] == 0) == liquidated


def test_the_adverse_extreme_of_a_bar_comes_first_for_either_side():
    for lots, low, high in ((1_000, 79 * E8, 101 * E8), (-1_000, 99 * E8, 121 * E8)):
        account, venue = held(lots, 20 * E8, source="proxy")
        answers = venue.feed(candle(T, Kind.CANDLE, 100 * E8, high, low, 100 * E8))
        assert [Kind(int(one)) for one in answers["kind"]] == [Kind.LIQUIDATION]
        assert account.reconcile() == 0


# ---------------------------------------------------------------------------------- candles

BAR = 3_600 * SECOND
OPENING = START - START % BAR
GRACE = 5 * SECOND


@dataclass(frozen=True)
class Open:
    ts: int
    price_e8: int

    def rows(self):
        return row(Kind.CANDLE_OPEN, self.ts, a=self.price_e8, f=BAR)

    def tell(self, twin):
        twin.on_open(self.price_e8, self.ts)


@dataclass(frozen=True)
class Bar:
    ts: int
    open: int
    high: int
    low: int
    close: int
    lots: int

    def rows(self):
        return candle(self.ts, Kind.CANDLE, self.open, self.high, self.low, self.close, self.lots)

    def tell(self, twin):
        twin.on_close(self.high, self.low, self.close, self.lots, self.ts)


def bars(dice, count):
    """Return bars that wander by a percent or two, each followed at its stamp by the next open; prices on no tick."""
    events, price = [Open(OPENING, 100 * E8)], 100 * E8
    for k in range(1, count + 1):
        close = price * dice.randint(9_900, 10_100) // 10_000
        high = max(price, close) * dice.randint(10_000, 10_150) // 10_000
        low = min(price, close) * dice.randint(9_850, 10_000) // 10_000
        ts = OPENING + k * BAR
        events.append(Bar(ts, price, high, low, close, dice.randint(20_000, 90_000)))
        price = close * dice.randint(9_990, 10_010) // 10_000
        events.append(Open(ts, price))
    return events


def bar_session(seed, folder):
    dice = Random(seed)
    events = bars(dice, 12)
    asks = []
    moments = (OPENING + dice.randint(1, 11) * BAR + dice.choice((1, GRACE - 1, GRACE, GRACE + 1, BAR // 2))
               for _ in range(12))  # fmt: skip
    for ts in sorted(moments):
        if asks and dice.random() < 0.2:
            asks.append(Ask(ts, asks[k := dice.randrange(len(asks))].side, cancels=k))
        else:
            ticks = 0 if dice.random() < 0.5 else 1_000 + dice.randint(-25, 25)
            tif = dice.choice((GTC, GTC, GTX, IOC)) if ticks else GTC
            asks.append(Ask(ts, dice.randrange(2), dice.randint(51, 4_000), ticks, tif, dice.random() < 0.25))
    costs = {"half_spread": 0.000123, "impact": 0.8, "grace": GRACE}
    return Session(events, asks, folder, *dice.choice(((0, 0), (SECOND, 10))), mark_source="proxy", **costs)


def compare_bars(examples, folder):
    kinds = set()

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(st.integers(0, 2**48))
    def same(seed):
        session = bar_session(seed, folder)
        answers = session.run()
        kinds.update(Kind(int(kind)) for kind in answers["kind"])
        account = plain_account.Account([SPEC], RICH)
        costs = {"half_spread": Fraction(123, 10**6), "impact": Fraction(8, 10), "grace": GRACE}
        assert_same(session, answers, session.retell(Bars(SPEC, account, **costs)))

    same()
    return kinds


def test_candles_fill_as_their_plain_twin(tmp_path):
    assert compare_bars(100, tmp_path) == ALL_ANSWERS


@pytest.mark.slow
def test_candles_fill_as_their_plain_twin_for_longer(tmp_path):
    assert compare_bars(4_000, tmp_path) == ALL_ANSWERS


def on_bars(folder, asks, *events, **given):
    """Run asks on a few bars; return (kind, price, lots, stamp) of the fills and the codes of the rest."""
    market = [Open(OPENING, 100 * E8), *events]
    settings_ = {"venue": PLAIN, "mark_source": "proxy", "grace": GRACE} | given
    answers = Session(market, asks, folder, **settings_).run()
    return [
        (int(one["ts"]), int(one["c"]), int(one["d"])) if one["kind"] == Kind.FILL else Kind(int(one["kind"])).name
        for one in answers
        if one["kind"] != Kind.ACCEPTED
    ]


FLAT = (100 * E8, 100 * E8, 100 * E8, 100 * E8, 10_000)


def test_a_market_order_fills_at_the_open_of_the_bar_after_the_decision(tmp_path):
    first, second = OPENING + BAR, OPENING + 2 * BAR
    events = [Bar(first, *FLAT), Open(first, 101 * E8), Bar(second, 101 * E8, 109 * E8, 93 * E8, 95 * E8, 10_000),
              Open(second, 95 * E8), Bar(second + BAR, 95 * E8, 96 * E8, 94 * E8, 95 * E8, 10_000)]  # fmt: skip
    costs = {"half_spread": 0.00101}
    at_once = on_bars(tmp_path, [Ask(first + SECOND, BUY, 100)], *events, **costs)
    assert at_once == [(first + SECOND, 1_012, 100)]  # 101 * 1.00101 = 101.10201, up to the next tick
    too_late = on_bars(tmp_path, [Ask(first + GRACE + 1, BUY, 100)], *events, **costs)
    assert too_late == [(second, 951, 100)]  # 95.09595
    sold = on_bars(tmp_path, [Ask(first + SECOND, SELL, 100)], *events, **costs)
    assert sold == [(first + SECOND, 1_008, 100)]  # 100.89799, down to the next tick


def test_without_a_spread_and_impact_a_market_order_pays_the_open(tmp_path):
    first = OPENING + BAR
    events = [Bar(first, *FLAT), Open(first, 100 * E8), Bar(first + BAR, *FLAT)]
    for side in (BUY, SELL):
        assert on_bars(tmp_path, [Ask(first + SECOND, side, 100)], *events) == [(first + SECOND, 1_000, 100)]


@pytest.mark.parametrize(
    ("ask", "low", "high", "fills"),
    [
        (Ask(0, BUY, 100, 990), "98.9", "101", True),
        (Ask(0, BUY, 100, 990), "98.91", "101", False),
        (Ask(0, BUY, 100, 990), "99", "101", False),
        (Ask(0, SELL, 100, 1010), "99", "101.1", True),
        (Ask(0, SELL, 100, 1010), "99", "101.09", False),
        (Ask(0, SELL, 100, 1010), "99", "101", False),
    ],
)
def test_a_limit_order_fills_only_when_a_bar_trades_through_it_by_a_tick(tmp_path, ask, low, high, fills):
    """The bar in which it arrived does not count: what of it came before is not known."""
    first, second, third = (OPENING + k * BAR for k in (1, 2, 3))
    extremes = int(Decimal(high) * E8), int(Decimal(low) * E8)
    events = [Bar(first, *FLAT), Open(first, 100 * E8), Bar(second, *FLAT), Open(second, 100 * E8),
              Bar(third, 100 * E8, *extremes, 100 * E8, 10_000)]  # fmt: skip
    answer = on_bars(tmp_path, [replace(ask, ts=first + SECOND)], *events)
    assert answer == ([(third, ask.ticks, 100)] if fills else [])


def test_an_order_placed_inside_a_bar_cannot_use_what_that_bar_did(tmp_path):
    first, second = OPENING + BAR, OPENING + 2 * BAR
    deep = (100 * E8, 101 * E8, 98 * E8, 100 * E8, 10_000)
    events = [Bar(first, *FLAT), Open(first, 100 * E8), Bar(second, *deep), Open(second, 100 * E8),
              Bar(second + BAR, *deep)]  # fmt: skip
    asks = [Ask(first + BAR // 2, BUY, 100, 990)]
    assert on_bars(tmp_path, asks, *events) == [(second + BAR, 990, 100)]
