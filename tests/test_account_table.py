"""Many portfolios at once against exact fractions: equity, margins, margin ratio, liquidation prices."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from builders import E8
from plain import account as plain

from autotrader.instruments import load, specs
from core_ext.account import margin_table
from core_ext.types import Instruments

TABLE = load()
SPECS = specs([name for name, facts in TABLE.items() if facts.brackets], table=TABLE, fees=(0, 0), leverage=1)[0]
NOTHING_LEFT = 2**63 - 1
NAMES = ("equity_e8", "initial_e8", "maintenance_e8", "ratio_e8")


def portfolio(random):
    """Return a twin that holds one to ten positions, each of a notional in a bracket drawn evenly."""
    twin = plain.Account(SPECS, 0)
    twin.hedge = random.random() < 0.4
    apart = random.random() < 0.5
    for symbol in random.sample(range(len(SPECS)), random.randint(1, 10)):
        one = SPECS[symbol]
        twin.isolated[symbol] = apart and random.random() < 0.5
        row = random.choice(one["brackets"])
        twin.leverage[symbol] = random.randint(1, row[4])
        price = random.randint(200, 90_000) * max(one["tick_e8"], E8 // 10**5)
        twin.mark(symbol, price * random.randint(900_000, 1_100_000) // 1_000_000)
        for leg in (0, 1) if twin.hedge else (0,):
            notional = random.randint(row[0], row[1])
            lots = max(1, notional * E8 // (price * one["lot_e8"]))
            lots *= (1, -1)[leg] if twin.hedge else random.choice([1, -1])
            if random.random() < 0.8:
                twin.leg(symbol, leg).add(lots, price, twin.margin_of(symbol))
    gross = sum(abs(twin.leg(*key).cost) for key in twin.legs())
    twin.start = twin.isolated_total("isolated") + int(gross * random.uniform(-0.01, 0.6)) + 1_000 * E8
    return twin


def arrays(twins):
    """Return the arguments of the vectorised function."""
    both = [[[twin.leg(k, leg) for leg in (0, 1)] for k in range(len(SPECS))] for twin in twins]
    pick = lambda name: np.array([[[getattr(p, name) for p in legs] for legs in one] for one in both], np.int64)  # noqa: E731
    return {
        "lots": pick("lots"),
        "cost_e8": pick("cost"),
        "mark_e8": pick("mark")[:, :, 0],
        "wallet_e8": np.array([twin.wallet for twin in twins], np.int64),
        "leverage": np.array([twin.leverage for twin in twins], np.int64),
        "isolated": np.array([twin.isolated for twin in twins]),
        "isolated_e8": pick("isolated"),
    }


def off(found, exact):
    """Return how far a figure is from the exact one, in units of 1e-8: relative or absolute, whichever is less."""
    return float(min(abs(found - exact), abs(found - exact) * E8 / max(1, abs(exact))))


def compare(twins):
    """Return the largest differences, by figure, and how many prices were compared."""
    table = margin_table(Instruments(SPECS), **arrays(twins))
    worst, prices = dict.fromkeys((*NAMES, "liquidation_e8"), 0.0), 0
    for n, twin in enumerate(twins):
        exact = [twin.equity, exact_initial(twin), exact_maintenance(twin)]
        for name, figure in zip(NAMES, exact, strict=False):
            worst[name] = max(worst[name], abs(float(table[name][n] - figure)) / held(twin))
        if twin.ratio is None:
            assert table["ratio_e8"][n] == NOTHING_LEFT
        else:
            worst["ratio_e8"] = max(worst["ratio_e8"], off(int(table["ratio_e8"][n]), twin.ratio * E8))
        for symbol, leg in twin.legs():
            words = SPECS[symbol], *twin.behind(symbol, leg)
            if words[1] > words[2] > 0 and plain.is_never_safe(*words):
                continue
            price, prices = plain.exact_liquidation(*words), prices + 1
            found = int(table["liquidation_e8"][n, symbol, leg])
            if price is None:
                assert found == 0
            elif price < 2:
                assert found == 1
            else:
                worst["liquidation_e8"] = max(worst["liquidation_e8"], off(found, price))
    return worst, prices, table


def held(twin):
    """Return the number of positions: each is rounded to a unit of its own."""
    return max(1, len(twin.legs()))


def exact_initial(twin):
    return sum(Fraction(abs(twin.leg(k, leg).value), twin.leverage[k]) for k, leg in twin.legs())


def exact_maintenance(twin):
    return sum(plain.exact_maintenance(SPECS[k], abs(twin.leg(k, leg).value)) for k, leg in twin.legs())


def test_random_portfolios_are_the_exact_ones_to_1e_8():
    random = Random(19)
    worst, prices, _ = compare([portfolio(random) for _ in range(60)])
    assert max(worst.values()) <= 1
    assert prices > 200


@pytest.mark.slow
def test_a_thousand_random_portfolios_are_the_exact_ones_to_1e_8(capsys):
    random = Random(20)
    twins = [portfolio(random) for _ in range(1_000)]
    worst, prices, table = compare(twins)
    with capsys.disabled():
        print(f"\n1,000 portfolios, {prices} liquidation prices; largest differences in units of 1e-8: "
              + ", ".join(f"{name} {figure:.3g}" for name, figure in worst.items()))  # fmt: skip
    assert max(worst.values()) <= 1
    assert worst["equity_e8"] == 0
    assert prices > 3_000
    # The sample is what it should be: every bracket, both modes, healthy accounts and liquidated ones.
    reached = {(k, plain.bracket(SPECS[k], abs(twin.leg(k, leg).value)))
               for twin in twins for k, leg in twin.legs()}  # fmt: skip
    assert reached == {(k, tuple(row[2:4])) for k, one in enumerate(SPECS) for row in one["brackets"]}
    assert 0.02 < np.mean(table["ratio_e8"] >= E8) < 0.9
    assert (table["liquidation_e8"] > 0).sum() > 2_000


def one_position(**changes):
    """Return the arguments for a long of a bitcoin at 60,000 alone, with changes."""
    shape = (1, len(SPECS))
    words = {
        "lots": np.zeros((*shape, 2), np.int64),
        "cost_e8": np.zeros((*shape, 2), np.int64),
        "mark_e8": np.full(shape, 60_000 * E8),
        "wallet_e8": np.array([3_000 * E8]),
        "leverage": np.full(shape, 20),
    }
    words["lots"][0, 0, 0], words["cost_e8"][0, 0, 0] = 1_000, 60_000 * E8
    return words | changes


def test_one_long_of_the_exchange_page_comes_out_of_the_table():
    table = margin_table(Instruments(SPECS), **one_position())
    assert [int(table[name][0]) for name in NAMES[:3]] == [3_000 * E8, 3_000 * E8, 240 * E8]
    assert (table["ratio_e8"][0], table["liquidation_e8"][0, 0, 0]) == (8_000_000, 57228_91566265)


def test_no_portfolio_is_an_empty_table():
    table = margin_table(Instruments(SPECS), **{name: words[:0] for name, words in one_position().items()})
    assert [len(column) for column in table.values()] == [0] * 5


@pytest.mark.parametrize(
    ("name", "words", "what"),
    [
        ("lots", np.zeros((1, 2, 2), np.int64), "lots of shape"),
        ("lots", np.full((1, len(SPECS), 2), 1 << 60), "lots out of range"),
        ("cost_e8", np.full((1, len(SPECS), 2), 0.5), "cost: whole numbers"),
        ("mark_e8", np.full((1, len(SPECS)), -1), "mark out of range"),
        ("mark_e8", np.zeros((1, len(SPECS)), np.int64), "mark out of range: a position without one"),
        ("mark_e8", np.full((1, len(SPECS)), np.nan), "mark: whole numbers"),
        ("leverage", np.zeros((1, len(SPECS)), np.int64), "leverage out of range"),
        ("wallet_e8", np.array([1.5]), "wallet: whole numbers"),
        ("isolated", np.full((1, len(SPECS)), 2), "isolated out of range"),
        ("isolated_e8", np.zeros((1, 3, 2), np.int64), "broadcast"),
    ],
)
def test_a_table_refuses_what_is_no_portfolio(name, words, what):
    with pytest.raises(ValueError, match=what):
        margin_table(Instruments(SPECS), **one_position(**{name: words}))
