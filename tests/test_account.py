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
from core_ext.account import Account, liquidation_price, maintenance_margin, max_notional
from core_ext.types import Asset, Instruments, Setting

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


def account_of(*specs_, start=START, **settings):
    """Return an account of symbols (a BTCUSDT of three times leverage without any) with account-wide settings."""
    account = Account(Instruments(list(specs_) or [spec()]), start)
    for name, value in settings.items():
        assert account.set(0, Setting[name.upper()], value) == 0
    return account


ONE_BTC = 1_000  # lots

# Settings and moves of margin that the exchange refuses.


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one["symbol"])
def test_a_leverage_may_carry_the_largest_bracket_that_allows_it(one):
    instruments = Instruments([one])
    for _, cap, _, _, most in one["brackets"]:
        assert max_notional(instruments, 0, most) == cap
        assert max_notional(instruments, 0, most + 1) < cap
    assert max_notional(instruments, 0, 1) == one["brackets"][-1][1]
    assert [max_notional(instruments, 0, leverage) for leverage in (-1, 0, 201)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("leverage", "code"),
    [(0, -4028), (-1, -4028), (151, -4028), (1 << 40, -4028), (150, -2027), (101, -2027), (100, 0), (1, 0)],
)
def test_a_leverage_is_refused_with_the_code_of_the_exchange(leverage, code):
    # 600,000 USDT held: the second bracket, which no more than 100 times may carry.
    account = account_of()
    account.fill(0, 10 * ONE_BTC, 600_000, 0)
    assert account.set(0, Setting.LEVERAGE, leverage) == code
    assert account.margins_of(0)["leverage"] == (3 if code else leverage)


@pytest.mark.parametrize(("wallet", "code"), [(60_000 * E8 - 1, -2028), (60_000 * E8, 0)])
def test_a_lower_leverage_needs_the_balance_that_it_takes(wallet, code):
    account = account_of(start=wallet)
    account.fill(0, ONE_BTC, 600_000, 0)
    assert account.set(0, Setting.LEVERAGE, 1) == code


def test_the_leverage_of_an_isolated_position_may_rise_but_not_fall():
    account = account_of(isolated=1)
    account.fill(0, ONE_BTC, 600_000, 0)
    assert account.set(0, Setting.LEVERAGE, 2) == -4161
    assert account.set(0, Setting.LEVERAGE, 4) == 0
    assert account.position(0)["isolated_e8"] == 20_000 * E8  # what it has been given stays


@pytest.mark.parametrize(("setting", "codes"), [
    (Setting.ISOLATED, (-4046, -4047, -4048)), (Setting.HEDGE_MODE, (-4059, -4067, -4068)),
])  # fmt: skip
def test_a_mode_changes_only_without_orders_and_positions(setting, codes):
    account = account_of()
    found = [account.set(0, setting, 0)]
    account.open(0, 0, 100 * E8)
    found.append(account.set(0, setting, 1))
    account.open(0, 0, -100 * E8, -1)
    account.fill(0, 1, 600_000, 0)
    found.append(account.set(0, setting, 1))
    account.fill(0, -1, 600_000, 0)
    assert (tuple(found), account.set(0, setting, 1)) == (codes, 0)


def test_isolated_margin_and_multi_assets_mode_exclude_each_other():
    assert account_of(isolated=1).set(0, Setting.MULTI_ASSETS, 1) == -4167
    account = account_of(multi_assets=1)
    assert account.set(0, Setting.ISOLATED, 1) == -4168
    assert account.set(0, Setting.MULTI_ASSETS, 1) == -4171


def test_multi_assets_mode_changes_only_without_orders_debts_and_need_of_collateral():
    account = account_of(start=19_000 * E8)
    account.open(0, 0, 100 * E8)
    assert account.set(0, Setting.MULTI_ASSETS, 1) == -4170
    account.open(0, 0, -100 * E8, -1)
    account.transfer(-1, Asset.ETH)
    assert account.set(0, Setting.MULTI_ASSETS, 1) == -4172
    account.transfer(1 + E8, Asset.ETH)
    account.index(Asset.ETH, 2_000 * E8)
    assert account.set(0, Setting.MULTI_ASSETS, 1) == 0
    account.fill(0, ONE_BTC, 600_000, 0)  # 20,000 of margin: 1,000 of it are the coin's
    assert account.set(0, Setting.MULTI_ASSETS, 0) == -4169


@pytest.mark.parametrize(("setting", "value"), [
    (Setting.ISOLATED, 2), (Setting.HEDGE_MODE, -1), (Setting.FEE_COIN, 2), (9, 1),
])  # fmt: skip
def test_a_setting_that_does_not_exist_is_a_bad_parameter(setting, value):
    assert account_of().set(0, setting, value) == -1130


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, -4055),
        (80_000 * E8, 0),
        (80_000 * E8 + 1, -4050),
        # 20,000 given, a profit of 1,500, initial margin 20,500: 1,000 may leave.
        (-1_000 * E8, 0),
        (-1_000 * E8 - 1, -4051),
    ],
)
def test_margin_moves_as_far_as_both_sides_can_spare_it(amount, code):
    account = account_of(start=100_000 * E8, isolated=1)
    account.fill(0, ONE_BTC, 600_000, 0)
    account.mark(0, 61_500 * E8)
    assert account.move_margin(0, amount) == code
    assert account.position(0)["isolated_e8"] == 20_000 * E8 + (0 if code else amount)


def test_margin_is_moved_only_into_an_isolated_position():
    account = account_of()
    assert account.move_margin(0, E8) == -4049
    assert account.set(0, Setting.ISOLATED, 1) == 0
    assert account.move_margin(0, E8) == -4054
    assert account.isolated_total_e8 == 0


# Isolated positions.


def isolated_btc():
    """Return an account of 100,000 that is long two bitcoins at 60,000, isolated, at three times."""
    account = account_of(start=100_000 * E8, isolated=1)
    account.fill(0, 2 * ONE_BTC, 600_000, 60 * E8)
    return account


def test_opening_an_isolated_position_moves_its_margin_and_takes_the_fee_from_the_wallet():
    account = isolated_btc()
    assert account.position(0)["isolated_e8"] == account.isolated_total_e8 == 40_000 * E8
    assert (account.wallet_e8, account.cross_equity()) == (99_940 * E8, 59_940 * E8)
    assert account.available() == 59_940 * E8


@pytest.mark.parametrize("ticks", [990_000, 1_000_000, 1_050_000])
def test_a_partial_close_leaves_the_rest_of_an_isolated_leg_as_safe_as_it_was(ticks):
    account = Account(Instruments([spec(leverage=10)]), 10_000 * E8)
    account.set(0, Setting.ISOLATED, 1)
    account.fill(0, 20, 1_000_000, 0)
    before = account.liquidation(0)
    account.fill(0, -10, ticks, 0)
    assert account.liquidation(0) == before
    assert account.position(0)["isolated_e8"] == 100 * E8  # half of 200
    assert account.cross_equity() == 10_000 * E8 - 100 * E8 + 10 * (ticks - 1_000_000) * 10**4


def test_a_partial_close_releases_its_share_of_the_isolated_wallet_and_its_profit():
    account = isolated_btc()
    account.fill(0, -ONE_BTC, 610_000, 0)
    assert account.position(0)["isolated_e8"] == 20_000 * E8
    assert account.cross_equity() == 80_940 * E8
    account.fill(0, -ONE_BTC, 590_000, 0)
    assert (account.position(0)["isolated_e8"], account.cross_equity()) == (0, 99_940 * E8)


def test_funding_of_an_isolated_position_is_paid_out_of_its_wallet():
    account = isolated_btc()
    account.pay_funding(0, -100 * E8)
    assert (account.position(0)["isolated_e8"], account.wallet_e8) == (39_900 * E8, 99_840 * E8)
    assert account.cross_equity() == 59_940 * E8


def test_a_loss_of_an_isolated_position_touches_no_cross_margin():
    account = isolated_btc()
    account.mark(0, 45_000 * E8)
    assert (account.cross_equity(), account.available()) == (59_940 * E8, 59_940 * E8)
    assert account.margin_ratio() == 3_600_000  # 360 of maintenance on the 10,000 that are left
    account.mark(0, 40_000 * E8)
    assert account.margin_ratio() == 2**63 - 1


def test_an_isolated_position_that_turns_round_is_given_margin_anew():
    account = isolated_btc()
    account.fill(0, -3 * ONE_BTC, 600_000, 0)
    assert (account.position(0)["lots"], account.position(0)["isolated_e8"]) == (-ONE_BTC, 20_000 * E8)


def test_margin_of_a_position_that_the_venue_makes_cross_goes_back():
    account = isolated_btc()
    account.told(0, Setting.ISOLATED, 0)
    assert (account.isolated_total_e8, account.cross_equity(), account.recompute()) == (0, 99_940 * E8, [])
    account.told(0, Setting.ISOLATED, 1)
    assert (account.isolated_initial_e8, account.recompute()) == (40_000 * E8, [])


@pytest.mark.parametrize("leverage", [0, -3, 201, 1 << 60])
def test_a_leverage_that_makes_no_sense_is_not_taken_over(leverage):
    account = isolated_btc()
    account.told(0, Setting.LEVERAGE, leverage)
    assert (account.margins_of(0)["leverage"], account.recompute()) == (3, [])


@pytest.mark.parametrize("setting", [Setting.ISOLATED, Setting.HEDGE_MODE, Setting.MULTI_ASSETS, Setting.FEE_COIN])
@pytest.mark.parametrize("value", [-1, 2, 256, 1 << 32])
def test_a_mode_that_is_neither_on_nor_off_is_not_taken_over(setting, value):
    account = isolated_btc()
    before = account.state()
    account.told(0, setting, value)
    assert (account.state() == before, account.recompute()) == (True, [])


def test_a_position_mode_that_the_venue_changes_while_both_legs_stand_keeps_the_totals():
    account = account_of(hedge_mode=1)
    account.fill(0, 2 * ONE_BTC, 600_000, 0)
    account.fill(0, -ONE_BTC, 600_000, 0, 1)
    account.told(0, Setting.HEDGE_MODE, 0)
    account.mark(0, 61_000 * E8)
    assert (account.net_e8, account.gross_e8, account.recompute()) == (61_000 * E8, 183_000 * E8, [])


# Hedge mode and open orders.


def test_an_order_that_closes_a_leg_costs_its_fee_and_no_margin():
    account = account_of(hedge_mode=1)
    account.fill(0, ONE_BTC, 600_000, 0)
    cost = {(side, leg): account.order_cost(0, side, 60_000 * E8, ONE_BTC, leg) for side in (0, 1) for leg in (0, 1)}
    fee, opening = 30 * E8, 20_030 * E8
    assert cost == {(0, 0): opening, (1, 0): fee, (0, 1): fee, (1, 1): opening}


@pytest.mark.parametrize(
    ("side", "price", "loss"), [(0, 60_100, 100), (0, 59_900, 0), (1, 59_900, 100), (1, 60_100, 0)]
)
def test_an_order_worse_than_the_mark_costs_its_loss(side, price, loss):
    account = account_of()
    account.mark(0, 60_000 * E8)
    cost = Fraction(price, 3) + Fraction(price, 2000) + loss
    assert abs(account.order_cost(0, side, price * E8, ONE_BTC) - cost * E8) <= 1


def test_a_hedged_net_long_is_liquidated_by_a_rise_where_it_cannot_be_by_a_fall():
    # Long 10.001 and short 10: equity hardly moves with the price, and the maintenance of both legs grows with it.
    one, wallet = spec(), 100_000 * E8
    cost = (10_001 - 10_000) * 60_000 * 10**5
    found = liquidation_price(Instruments([one]), 0, 10_001, 10_000, cost, wallet)
    assert found > 60_000 * E8
    assert abs(found - plain.exact_liquidation(one, 10_001, 10_000, cost, wallet)) <= Fraction(1, 2)


# Other coins.


def test_a_fee_in_the_fee_coin_is_ten_percent_less():
    account = account_of(fee_coin=1)
    assert account.coin_fee(30 * E8) == 0  # none of it, and no price
    account.index(Asset.BNB, 600 * E8)
    account.transfer(4_500_000, Asset.BNB)
    assert account.coin_fee(30 * E8) == 4_500_000  # 27 USDT at 600
    assert account.coin_fee(30 * E8 + 1_000) == 0  # a little more than there is
    assert (account.coin_fee(0), account.coin_fee(-30 * E8)) == (0, 0)
    account.fill(0, ONE_BTC, 600_000, 4_500_000, 0, True)
    assert (account.asset(Asset.BNB)["wallet_e8"], account.fees_e8, account.wallet_e8) == (0, 0, START)


def test_another_coin_is_collateral_with_a_haircut_and_a_debt_in_it_counts_whole():
    account = account_of(multi_assets=1)
    account.index(Asset.ETH, 2_000 * E8)
    account.transfer(10 * E8, Asset.ETH)
    assert account.collateral_e8 == 19_000 * E8
    account.haircut(Asset.ETH, 90_000_000)
    assert (account.collateral_e8, account.equity()) == (18_000 * E8, START + 18_000 * E8)
    account.transfer(-15 * E8, Asset.ETH)
    assert account.collateral_e8 == -10_000 * E8
    assert account.set(0, Setting.FEE_COIN, 0) == 0
    assert account.recompute() == []


def test_a_coin_comes_out_of_the_spot_wallet_of_its_symbol():
    account = account_of(spec("ETHUSDT", tick_e8=10**6))
    account.spot_deposit(3 * E8, 0)
    account.transfer(E8, Asset.ETH)
    account.transfer(E8, Asset.BTC)  # no symbol of the run: a spot wallet of its own
    assert (account.spot(0), account.asset(Asset.ETH)["spot"], account.asset(Asset.BTC)["spot"]) == (
        2 * E8,
        2 * E8,
        -E8,
    )


# What is kept running, and the state.


def test_totals_that_have_left_64_bits_are_named_and_wrap_round_to_nothing_sensible():
    huge = [spec(name, lot_e8=100 * E8, tick_e8=E8) for name in ("BTCUSDT", "ETHUSDT")]
    account = account_of(*huge)
    for k in (0, 1):
        account.fill(k, 2**20, 1, 0)
        account.mark(k, 2**62)
    assert account.gross_e8 == account.net_e8 == 2**63 - 1
    account.mark(0, E8)
    assert "gross_e8" in account.recompute()


def test_the_initial_margin_of_two_legs_that_64_bits_do_not_hold_leaves_nothing_available():
    account = account_of(spec(lot_e8=100 * E8, tick_e8=E8, leverage=1), hedge_mode=1)
    account.fill(0, 2**20, 1, 0)
    account.fill(0, -(2**20), 1, 0, 1)
    account.mark(0, 2**62)
    assert (account.initial_total_e8, account.available(), account.recompute()) == (2**63 - 1, 0, [])


def everything(account):
    """Return one change after the other, each of them of something that the state must show."""
    return [
        lambda: account.mark(0, 60_000 * E8),
        lambda: account.fill(0, 5, 600_000, 7),
        lambda: account.pay_funding(0, -3),
        lambda: account.transfer(11),
        lambda: account.transfer(13, Asset.BNB),
        lambda: account.index(Asset.BNB, 600 * E8),
        lambda: account.haircut(Asset.BNB, 1),
        lambda: account.spot_deposit(17),
        lambda: account.spot_deposit(19, 0),
        lambda: account.open(0, 0, 23),
        lambda: account.open(0, 0, 0),
        lambda: account.set(0, Setting.LEVERAGE, 4),
        lambda: account.set(0, Setting.FEE_COIN, 1),
        lambda: account.take_over(0, 60_000 * E8, 5),
        lambda: account.told(0, Setting.ISOLATED, 1),
        lambda: account.told(0, Setting.HEDGE_MODE, 1),
        lambda: account.told(0, Setting.MULTI_ASSETS, 1),
    ]


def test_every_change_of_the_account_shows_in_its_state():
    one, other = account_of(), account_of()
    seen = [repr(one.state())]
    for change, same in zip(everything(one), everything(other), strict=True):
        change()
        same()
        assert one.state() == other.state()
        seen.append(repr(one.state()))
    assert len(set(seen)) == len(seen)


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fill", (0, 1 << 51, 1, 0)),
        ("fill", (0, 1, -1, 0)),
        ("fill", (0, 1, 1 << 51, 0)),
        ("fill", (0, 1, 1, -(2**63))),
        ("mark", (0, 0)),
        ("mark", (0, -1)),
        ("mark", (0, 2**63 - 1)),
        ("take_over", (0, 0, 0)),
        ("take_over", (0, E8, -1)),
        ("take_over", (0, E8, 0, 0, 6)),
        ("take_over", (0, E8, 0, 0, -1)),
        ("funding_amount", (0, 2 * E8, E8)),
        ("pay_funding", (0, -(2**63))),
        ("transfer", (-(2**63),)),
        ("move_margin", (0, -(2**63))),
        ("index", (1, 0)),
        ("index", (1, -1)),
        ("haircut", (1, E8 + 1)),
        ("haircut", (1, -1)),
        ("order_cost", (0, 0, 0, 1)),
        ("order_cost", (0, 0, E8, -1)),
        ("open", (0, 0, -(2**63))),
        ("spot_deposit", (-(2**63),)),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_and_changes_nothing(name, words):
    account = account_of()
    account.fill(0, 5, 600_000, 0)
    before = account.state()
    with pytest.raises(ValueError, match=r"^[^\n]+ out of range: [^\n]+$"):
        getattr(account, name)(*words)
    assert account.state() == before


@pytest.mark.parametrize("leverage", [0, -1, 201])
def test_an_instrument_without_a_leverage_makes_no_account(leverage):
    with pytest.raises(ValueError, match="BTCUSDT: leverage out of range"):
        Account(Instruments([spec(leverage=leverage)]), START)


@pytest.mark.parametrize(("name", "words"), [
    ("index", (0, E8)), ("index", (8, E8)), ("transfer", (1, 8)), ("transfer", (1, -1)), ("asset", (0,)),
    ("haircut", (9, 1)), ("spot", (129,)), ("fill", (0, 1, 1, 0, 2)), ("told", (1, 1, 1)),
])  # fmt: skip
def test_a_coin_or_leg_that_does_not_exist_is_refused(name, words):
    with pytest.raises(IndexError):
        getattr(account_of(), name)(*words)
