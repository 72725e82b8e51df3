"""The account against exact fractions: bookings, margin by bracket, liquidation prices."""

import json
from fractions import Fraction
from random import Random

import pytest
from builders import E8, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import account as plain

from autotrader.instruments import load, specs
from core_ext.account import Account, liquidation_price, maintenance_margin
from core_ext.types import Instruments

SPECS = [
    spec("BTCUSDT"),
    spec("ETHUSDT", tick_e8=10**6, leverage=7),
    spec("DOGEUSDT", tick_e8=10**3, lot_e8=E8, brackets=[(0, 80_000 * E8, 650_000, 0, 75),
                                                         (80_000 * E8, 150_000 * E8, 1_000_000, 280 * E8, 50),
                                                         (150_000 * E8, 3_000_000 * E8, 1_500_000, 1_030 * E8, 25)]),
]  # fmt: skip
# Prices around which each symbol trades, in ticks.
TICKS = (600_000, 300_000, 15_000)
START = 1_000_000 * E8


def near(centre):
    """Return prices of a tenth to three times a price."""
    return st.integers(max(1, centre // 10), 3 * centre)


def lots(most):
    """Return signed lots, small and large ones equally often; never zero."""
    return st.one_of(st.integers(1, 20), st.integers(1, most)).flatmap(lambda n: st.sampled_from([n, -n]))


def on_symbol(symbol):
    mark = near(TICKS[symbol] * SPECS[symbol]["tick_e8"])
    return st.one_of(
        st.tuples(st.just("fill"), st.just(symbol), lots(20_000), near(TICKS[symbol]), st.integers(-(10**6), 10**10)),
        st.tuples(st.just("part"), st.just(symbol), st.integers(1, 99), near(TICKS[symbol]), st.integers(0, 10**10)),
        st.tuples(st.just("flip"), st.just(symbol), near(TICKS[symbol]), st.integers(0, 10**10)),
        st.tuples(st.just("close"), st.just(symbol), near(TICKS[symbol]), st.integers(0, 10**10)),
        st.tuples(st.just("mark"), st.just(symbol), mark),
        st.tuples(st.just("funding"), st.just(symbol), st.integers(-2_000_000, 2_000_000), mark),
        st.tuples(st.just("take_over"), st.just(symbol), mark, st.integers(0, 10**10)),
    )


STEP = st.one_of(*map(on_symbol, range(3)), st.tuples(st.just("transfer"), st.integers(-(10**13), 10**13)))


def trade(name, held, words):
    """Return the lots, price and fee that add to, reduce, end or turn round what is held."""
    if name == "fill":
        return words
    if name == "part":
        percent, *words = words
        return [-(held * percent // 100), *words]
    return [-held if name == "close" else -2 * held, *words]


def apply(step, account, twin):
    """Apply a step to both accounts."""
    name, *words = step
    if name in ("fill", "part", "close", "flip"):
        words = [words[0], *trade(name, twin.positions[words[0]].lots, words[1:])]
        if words[1] == 0:
            return
        name = "fill"
    if name == "funding":
        due = [one.funding_amount(*words) for one in (account, twin)]
        assert due[0] == due[1]
        name, words = "pay_funding", [words[0], due[0]]
    for one in (account, twin):
        getattr(one, name)(*words)


def agree(account, twin):
    assert {name: getattr(account, name) for name in twin.fields()} == twin.fields()
    assert [account.position(k) for k in range(3)] == [position.fields() for position in twin.positions]
    assert account.equity() == twin.equity
    assert account.reconcile() == 0


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(STEP, max_size=30))
def test_no_field_of_the_account_ever_differs_from_the_exact_one(steps):
    account, twin = Account(Instruments(SPECS), START), plain.Account(SPECS, START)
    for step in steps:
        apply(step, account, twin)
        agree(account, twin)


def wander(seed, steps):
    """Trade, mark and fund at random, evenly, which short and simple examples do not; compare at every step."""
    random = Random(seed)
    account, twin = Account(Instruments(SPECS), START), plain.Account(SPECS, START)
    for _ in range(steps):
        symbol = random.randrange(3)
        ticks = int(TICKS[symbol] * random.uniform(0.5, 2))
        price_e8 = ticks * SPECS[symbol]["tick_e8"] + random.randrange(1000)
        step = random.choice([
            ("fill", symbol, random.choice([-1, 1]) * random.randint(1, 3_000), ticks, random.randrange(10**10)),
            ("part", symbol, random.randint(1, 99), ticks, random.randrange(10**10)),
            ("flip", symbol, ticks, random.randrange(10**10)),
            ("mark", symbol, price_e8),
            ("funding", symbol, random.randint(-10**6, 10**6), price_e8),
        ])  # fmt: skip
        apply(step, account, twin)
        agree(account, twin)


@pytest.mark.parametrize("seed", range(10))
def test_no_field_differs_on_a_random_walk(seed):
    wander(seed, 100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_no_field_differs_on_a_long_random_walk(seed):
    wander(seed, 5_000)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(STEP, max_size=15))
def test_the_liquidation_price_is_where_equity_meets_maintenance(steps):
    account, twin = Account(Instruments(SPECS), 20_000 * E8), plain.Account(SPECS, 20_000 * E8)
    for step in steps:
        apply(step, account, twin)
    for symbol, position in enumerate(twin.positions):
        if position.lots:
            assert account.liquidation(symbol) == pytest.approx(twin.liquidation(symbol), rel=0, abs=1)
        else:
            assert account.liquidation(symbol) == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 10**6), st.booleans(), st.integers(1, 3), st.integers(-3, 3))
def test_a_liquidation_price_at_a_bracket_edge_is_found(size, is_long, row, off):
    # The wallet is chosen so that the notional at the liquidation price is the edge, or units beside it.
    one = SPECS[0]
    cost = (size if is_long else -size) * 60_000 * 10**5
    edge = one["brackets"][row - 1][1] if row < 3 else one["brackets"][1][1]
    wallet = plain.booked(plain.exact_maintenance(one, edge) + cost - (edge if is_long else -edge)) + off
    longs, shorts = (size, 0) if is_long else (0, size)
    found = liquidation_price(Instruments([one]), 0, longs, shorts, cost, wallet)
    assert found == pytest.approx(plain.liquidation_price(one, longs, shorts, cost, wallet), rel=0, abs=1)


@pytest.mark.parametrize(
    ("longs", "shorts", "wallet"),
    [
        (680_538, 0, 40_035_980_00000280),
        (879_054, 0, 52_444_440_00000337),
        (913_173, 0, 54_491_580_00000309),
        (0, 663_969, -39_536_939_99999685),
    ],
)
def test_a_liquidation_price_is_found_where_its_rounding_passes_a_bracket_edge(longs, shorts, wallet):
    # The exact notional is within a unit of price of the edge: rounded, it may lie in neither row's own range.
    cost = (longs - shorts) * 60_000 * 10**5
    found = liquidation_price(Instruments([SPECS[0]]), 0, longs, shorts, cost, wallet)
    assert found == pytest.approx(plain.liquidation_price(SPECS[0], longs, shorts, cost, wallet), rel=0, abs=1)


def test_a_long_that_its_wallet_pays_in_full_has_no_liquidation_price():
    account = Account(Instruments(SPECS), 60_001 * E8)
    account.fill(0, 1000, 600_000, 0)
    assert account.liquidation(0) == 0


def test_longs_pay_a_positive_funding_rate_and_shorts_receive_it():
    account = Account(Instruments(SPECS), START)
    account.fill(0, 1000, 600_000, 0)
    account.fill(1, -1000, 300_000, 0)
    assert account.funding_amount(0, 10_000, 60_000 * E8) == -6 * E8
    assert account.funding_amount(1, 10_000, 3_000 * E8) == 30_000_000


def test_a_partial_close_leaves_the_average_price_of_the_rest_unchanged():
    account = Account(Instruments(SPECS), START)
    account.fill(0, 1000, 600_000, 0)
    account.fill(0, 1000, 620_000, 0)
    realised = account.fill(0, -500, 640_000, 0)
    assert realised == 1_500 * E8
    assert account.position(0)["cost_e8"] == 1500 * 61_000 * 10**5


def test_a_transfer_leaves_the_spot_wallet_and_arrives_in_this_one():
    account = Account(Instruments(SPECS), START)
    account.spot_deposit(500 * E8)
    account.transfer(200 * E8)
    assert (account.spot(), account.wallet_e8, account.transfers_e8) == (300 * E8, START + 200 * E8, 200 * E8)
    assert account.reconcile() == 0


# Margin by bracket.


def shipped():
    """Return the specs of every symbol of the shipped table whose brackets are known."""
    table = load()
    return specs([name for name, facts in table.items() if facts.brackets], table=table, fees=(0, 0), leverage=1)[0]


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one["symbol"])
def test_maintenance_margin_is_continuous_and_rises_at_every_bracket_edge(one):
    instruments = Instruments([one])
    for _, cap, *_ in one["brackets"]:
        below, at, above = (maintenance_margin(instruments, 0, cap + off) for off in (-1, 0, 1))
        assert 0 <= at - below <= 1
        assert 0 <= above - at <= 1
        assert maintenance_margin(instruments, 0, cap - 1000) < at < maintenance_margin(instruments, 0, cap + 1000)
        assert at == plain.maintenance(one, cap)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**17), st.integers(0, 10**12))
def test_more_notional_never_needs_less_maintenance_margin(notional, more):
    instruments = Instruments(SPECS)
    for symbol, one in enumerate(SPECS):
        least = maintenance_margin(instruments, symbol, notional)
        assert least == plain.maintenance(one, notional)
        assert maintenance_margin(instruments, symbol, notional + more) >= least


# The six worked liquidation prices of the exchange page: what is held, and where it is liquidated.

BTC = [
    (0, 300_000 * E8, 400_000, 0, 150),
    (300_000 * E8, 800_000 * E8, 500_000, 300 * E8, 100),
    (800_000 * E8, 3_000_000 * E8, 650_000, 1_500 * E8, 75),
]
SOL = [
    (0, 50_000 * E8, 500_000, 0, 100),
    (50_000 * E8, 400_000 * E8, 650_000, 75 * E8, 75),
    (400_000 * E8, 1_000_000 * E8, 1_000_000, 1_475 * E8, 50),
]
LITERAL = {"BTCUSDT": BTC, "ETHUSDT": BTC, "SOLUSDT": SOL}

# Symbol, longs, shorts (coins), cost of the longs minus proceeds of the shorts, wallet, unrealised profit and
# maintenance margin of the others (USDT); liquidation price.
WORKED = [
    ("BTCUSDT", 1, 0, 60_000, 3_000, 0, 0, 57228_91566265),
    ("ETHUSDT", 0, 200, -600_000, 60_000, 0, 0, 3285_07462687),
    ("SOLUSDT", 5_000, 0, 750_000, 50_000, -1_000, 124, 141_34323232),
    ("BTCUSDT", 3, 1, 119_000, 20_000, 0, 0, 49899_19354839),
    ("BTCUSDT", 20, 0, 1_200_000, 120_000, 0, 0, 54277_80573729),
    ("BTCUSDT", 14, 0, 840_000, 84_000, 0, 0, 54249_82053123),
]


def worked_price(brackets, symbol, longs, shorts, *money):
    instruments = Instruments([spec(symbol, brackets=brackets[symbol])])
    return liquidation_price(instruments, 0, longs * 1000, shorts * 1000, *[amount * E8 for amount in money])


def recorded(shared):
    """Return the exchange's recorded brackets of every symbol."""
    rows = json.loads((shared / "binance/data/brackets.json").read_text())["symbols"]
    keys = ("notionalFloor", "notionalCap", "maintMarginRatio", "cum")
    return {
        symbol: [(*(int(Fraction(str(row[key])) * E8) for key in keys), row["initialLeverage"]) for row in table]
        for symbol, table in rows.items()
    }


@pytest.mark.parametrize(("case", "expected"), [(row[:-1], row[-1]) for row in WORKED])
def test_a_worked_liquidation_price_of_the_exchange_page_comes_out(case, expected):
    assert worked_price(LITERAL, *case) == pytest.approx(expected, rel=0, abs=1)


@pytest.mark.parametrize(("case", "expected"), [(row[:-1], row[-1]) for row in WORKED])
def test_a_worked_liquidation_price_comes_out_of_the_shipped_brackets(case, expected):
    brackets = {one["symbol"]: one["brackets"] for one in shipped()}
    assert worked_price(brackets, *case) == pytest.approx(expected, rel=0, abs=1)


@pytest.mark.parametrize(("case", "expected"), [(row[:-1], row[-1]) for row in WORKED])
def test_a_worked_liquidation_price_comes_out_of_the_recorded_brackets(shared, case, expected):
    assert worked_price(recorded(shared), *case) == pytest.approx(expected, rel=0, abs=1)


def test_the_account_itself_finds_the_third_worked_price():
    # A long in SOL while a short in ETH stands at a loss: the others' profit and margin count.
    pair = [spec("ETHUSDT", brackets=BTC), spec("SOLUSDT", brackets=SOL)]
    account = Account(Instruments(pair), 50_000 * E8)
    account.fill(0, -10_000, 30_000, 0)
    account.fill(1, 5_000_000, 1_500, 0)
    account.mark(0, 3_100 * E8)
    assert account.liquidation(1) == pytest.approx(141_34323232, rel=0, abs=1)


# Bad calls.


def test_a_symbol_that_the_run_does_not_have_is_refused():
    account = Account(Instruments(SPECS), START)
    for call in (
        account.position,
        account.liquidation,
        lambda k: account.mark(k, E8),
        lambda k: account.fill(k, 1, 1, 0),
    ):
        for symbol in (-1, 3):
            with pytest.raises(IndexError):
                call(symbol)


@pytest.mark.parametrize("start", [-1, 1 << 60])
def test_a_starting_equity_out_of_range_is_refused(start):
    with pytest.raises(ValueError, match="starting equity"):
        Account(Instruments(SPECS), start)


def test_coins_that_cost_next_to_nothing_are_counted_exactly():
    """Two hundred billion lots of one coin at 0.00004 USDT: products that 64 bits do not hold."""
    cheap = spec("1000PEPEUSDT", tick_e8=10, lot_e8=E8, max_lots=10**12)
    account, lots = Account(Instruments([cheap]), 10**9 * E8), 2 * 10**11
    account.fill(0, lots, 400, 0)
    account.mark(0, 4_000)
    assert account.position(0)["value_e8"] == 8_000_000 * E8
    assert account.unrealised_e8 == 0
    assert account.funding_amount(0, 1_000_000, 4_000) == -80_000 * E8
    assert account.reconcile() == 0
