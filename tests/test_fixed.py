"""Fixed-point arithmetic as far as Python reaches it: rounding, saturation, decimal text to whole numbers."""

from fractions import Fraction

import pytest
from builders import E8, spec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain.account import booked

from core_ext.account import Account, liquidation_price, maintenance_margin
from core_ext.types import Asset, Instruments, Status, decimals_of
from core_ext.wire import Scanner

MOST = 2**63 - 1
BTC = Instruments([spec()])
CALM = settings(max_examples=300, deadline=None, derandomize=True)


def holding(lots, instruments=BTC, ticks=600_000):
    """Return an account that holds lots (buy positive)."""
    account = Account(instruments, 0)
    account.fill(0, lots, ticks, 0)
    return account


def valued(lots, mark_e8, instruments=BTC):
    """Return the value of lots at a mark."""
    account = holding(lots, instruments)
    account.mark(0, mark_e8)
    return account.position(0)["value_e8"]


# Rounding.


@pytest.mark.parametrize(
    ("mark_e8", "value"), [(1_499, 1), (1_500, 2), (1_501, 2), (500, 1), (499, 0), (2_500, 3), (2_499, 2)]
)
def test_half_a_unit_is_rounded_away_from_zero_on_both_sides(mark_e8, value):
    # One lot is a thousandth of a coin.
    assert (valued(1, mark_e8), valued(-1, mark_e8)) == (value, -value)


@CALM
@given(st.integers(1, 10**6), st.integers(1, 10**14))
def test_a_value_at_a_mark_is_the_exact_product_rounded_once(lots, mark_e8):
    exact = booked(Fraction(mark_e8 * lots * 10**5, E8))
    assert (valued(lots, mark_e8), valued(-lots, mark_e8)) == (exact, -exact)


@CALM
@given(st.integers(1, 10**6), st.integers(1, 10**13), st.integers(-3_000_000, 3_000_000))
@example(10**6, 10**13, 3_000_000)
@example(1, 10**5, 50_000)
def test_a_product_of_three_is_rounded_once_and_not_twice(lots, mark_e8, rate_e8):
    exact = booked(Fraction(-mark_e8 * lots * 10**5 * rate_e8, E8 * E8))
    assert holding(lots).funding_amount(0, rate_e8, mark_e8) == exact
    assert holding(-lots).funding_amount(0, rate_e8, mark_e8) == -exact


def test_rounding_twice_would_show():
    # Half of 0.999 units is no half; of a value already rounded to 1 it would be, and round up.
    assert holding(1).funding_amount(0, E8 // 2, 999) == 0
    assert holding(1).funding_amount(0, E8 // 2, 1_000) == -1


@CALM
@given(st.integers(0, 10**17))
def test_a_share_of_an_amount_is_rounded_half_away_from_zero(notional):
    one = spec(brackets=[(0, 10**18, 1_234_567, 0, 20)])
    assert maintenance_margin(Instruments([one]), 0, notional) == booked(Fraction(notional * 1_234_567, E8))


@CALM
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_fill_on_the_tick_is_never_rounded(lots, ticks, part):
    account = holding(lots, ticks=ticks)
    assert account.position(0)["cost_e8"] == lots * ticks * 10**4
    account.fill(0, -lots, part, 0)
    assert account.realised_e8 == lots * (part - ticks) * 10**4


# Saturation: an absurd number stays absurd, it does not wrap round to a sensible one.


@pytest.mark.parametrize("lots", [1, -1])
def test_a_product_beyond_63_bits_saturates_with_its_sign(lots):
    instruments = Instruments([spec(lot_e8=100 * E8)])
    assert valued(lots, 2**62, instruments) == lots * MOST


@pytest.mark.parametrize("lots", [10**9, -(10**9)])
def test_a_fill_beyond_63_bits_saturates_with_its_sign(lots):
    assert holding(lots, ticks=10**12).position(0)["cost_e8"] == (MOST if lots > 0 else -MOST)


@pytest.mark.parametrize("lots", [10**12, -(10**12)])
def test_a_product_of_three_beyond_63_bits_saturates_with_its_sign(lots):
    assert holding(lots, ticks=1).funding_amount(0, E8, 2**62) == (-MOST if lots > 0 else MOST)


def test_a_product_of_the_last_bit_of_128_saturates_with_its_sign():
    # 2^62 * -2^50 * 2^15 is the one negative number whose size is no positive one.
    assert valued(-(2**50), 2**62, Instruments([spec(tick_e8=E8, lot_e8=2**15)])) == -MOST


@pytest.mark.parametrize("lot_e8", [2**50, 2**51, 2**52, 2**60])
@pytest.mark.parametrize(("longs", "shorts", "price"), [(2**50, 0, 0), (0, 2**50, 1)])
def test_so_many_coins_that_128_bits_do_not_hold_them_are_liquidated_within_a_unit(lot_e8, longs, shorts, price):
    # The exact price is a millionth of a unit or less: none for a long, the least there is for a short.
    one = Instruments([spec(tick_e8=E8, lot_e8=lot_e8)])
    assert liquidation_price(one, 0, longs, shorts, 2**62 if longs else -(2**62), 0) == price


def test_money_beyond_64_bits_is_reconciled_in_whole_numbers():
    account = Account(BTC, E8)
    for _ in range(3):
        account.transfer(2**62)
        account.transfer(2**62, Asset.ETH)
    assert (account.wallet_e8, account.reconcile(), account.recompute()) == (MOST, E8, [])


# Decimal text.


def mark_read(text):
    """Return (status, mark) of a mark price as the scanner reads it from a message."""
    scanner = Scanner(BTC)
    message = (
        f'{{"e":"markPriceUpdate","E":1700000000000,"s":"BTCUSDT","p":"{text}","i":"60000.00000000",'
        '"P":"60000.00000000","r":"0.00010000","T":1700006400000}'
    )
    status = scanner.feed(message.encode(), 1)
    return status, int(scanner.rows.array()["a"][0]) if status == Status.OK else None


def trade_read(price, quantity="1.000"):
    """Return (status, ticks, lots) of a trade as the scanner reads it from a message."""
    scanner = Scanner(BTC)
    message = (
        f'{{"e":"trade","E":1700000000000,"T":1700000000000,"s":"BTCUSDT","t":7,"p":"{price}",'
        f'"q":"{quantity}","X":"MARKET","m":true}}'
    )
    status = scanner.feed(message.encode(), 1)
    if status != Status.OK:
        return status, None, None
    row = scanner.rows.array()[0]
    return status, int(row["b"]), int(row["c"])


@CALM
@given(st.integers(1, 10**17), st.integers(0, 3), st.integers(0, 4))
def test_decimal_text_is_read_exactly_whatever_zeros_surround_it(value_e8, leading, trailing):
    whole, part = divmod(value_e8, E8)
    text = "0" * leading + f"{whole}.{part:08d}" + "0" * trailing
    if len(str(whole)) + leading <= 10:
        assert mark_read(text) == (Status.OK, value_e8)


@pytest.mark.parametrize(
    ("text", "value_e8"),
    [
        ("1", E8),
        ("1.", E8),
        ("0.1", 10**7),
        ("60000.12345678", 60_000_12345678),
        ("0.00000001", 1),
        ("007.5", 750_000_000),
    ],
)
def test_a_decimal_needs_neither_all_its_decimals_nor_any(text, value_e8):
    assert mark_read(text) == (Status.OK, value_e8)


@pytest.mark.parametrize(
    "text",
    ["", ".", ".5", "-1", "+1", "1e5", "1,5", " 1", "1 ", "0x10", "NaN", "Infinity", "1.2.3", "٣", "9" * 19, "1" * 400],
)  # fmt: skip
def test_text_that_is_no_decimal_of_ours_is_refused(text):
    assert mark_read(text)[0] in (Status.MALFORMED, Status.OFF_GRID)


def test_a_digit_finer_than_eight_decimals_is_refused_and_not_rounded():
    assert mark_read("1.123456789")[0] == Status.OFF_GRID
    assert mark_read("1.123456780") == (Status.OK, 112_345_678)


def test_a_price_is_counted_in_ticks_and_a_quantity_in_lots():
    assert trade_read("60000.10", "0.120") == (Status.OK, 600_001, 120)


@pytest.mark.parametrize(("price", "quantity"), [("60000.15", "1"), ("60000.10", "0.0005")])
def test_a_price_between_ticks_and_a_quantity_between_lots_are_refused(price, quantity):
    assert trade_read(price, quantity)[0] == Status.OFF_GRID


def test_a_tick_of_a_quarter_counts_quarters():
    scanner = Scanner(Instruments([spec(tick_e8=E8 // 4)]))
    body = '{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":7,"p":"%s","q":"1","X":"MARKET","m":true}'
    assert scanner.feed((body % "10.75").encode(), 1) == Status.OK
    assert scanner.rows.array()["b"][0] == 43
    assert scanner.feed((body % "10.80").encode(), 1) == Status.OFF_GRID


# Steps.


@CALM
@given(st.integers(1, 10**12))
def test_a_step_is_a_mantissa_with_as_few_decimals_as_possible(step_e8):
    decimals, mantissa = decimals_of(step_e8)
    assert Fraction(mantissa, 10**decimals) == Fraction(step_e8, E8)
    assert decimals == 0 or mantissa % 10


# Decimals of a level are read eight bytes at once where they fit, byte by byte where they do not.

WHOLE = st.integers(0, 10**8).map(str)
PART = st.one_of(
    st.none(), st.text("0123456789", max_size=6), st.sampled_from(["0", "00", "10", "001", "0010", "5x", "."])
)
DECIMAL = st.builds(lambda whole, part: whole if part is None else f"{whole}.{part}", WHOLE, PART)


@CALM
@given(st.lists(st.tuples(DECIMAL, DECIMAL), max_size=6), st.lists(st.tuples(DECIMAL, DECIMAL), max_size=2))
def test_prices_and_quantities_of_any_lengths_are_read_as_the_general_parser_reads_them(bids, asks):
    sides = [",".join(f'["{price}","{lots}"]' for price, lots in side) for side in (bids, asks)]
    message = '{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":1,"pu":0,"b":[{}],"a":[{}]}}'.format(*sides)
    fast, general = Scanner(BTC), Scanner(BTC)
    assert fast.feed(message.encode(), 1) == general.feed_general(message.encode(), 1)
    assert bytes(fast.rows) == bytes(general.rows)
