"""The shipped table of exchange facts, the integers made of it, and what it refuses."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.errors import OperatorError
from autotrader.instruments import (
    ASSUMED,
    E8,
    FEE_TIERS_E8,
    LIQUIDATION_FEE_E8,
    MAX_LOTS,
    MAX_TABLE_BYTES,
    MIN_NOTIONAL_E8,
    Decimals,
    Epoch,
    caps_below_minimum,
    epochs_of,
    fee_tier,
    filters_of,
    load,
    minimum_order_usdt,
    on_one_grid,
    specs,
)
from autotrader.messages import set_language
from core_ext import types

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "autotrader/data/instruments.json"
TABLE = load()
RECORDED = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT"]

LADDER = [["0", "1000", "0.01", "0", 20], ["1000", "5000", "0.025", "15", 10]]
ROW = {"tick": "0.01", "lot": "0.1", "brackets": LADDER}


def made(*symbols, leverage=3, table=TABLE, **options):
    return specs(symbols, table=table, fees=fee_tier("VIP0"), leverage=leverage, **options)


def spec(symbol, **options):
    return made(symbol, **options)[0][0]


def written(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# --- the shipped table


def test_the_shipped_table_knows_twenty_five_symbols():
    assert len(TABLE) == 25
    assert {*RECORDED, "SUIUSDT", "HYPEUSDT", "1000PEPEUSDT"} <= set(TABLE)


@pytest.mark.parametrize(
    ("symbol", "tick_e8", "lot_e8"),
    [
        ("BTCUSDT", 10_000_000, 100_000),
        ("ETHUSDT", 1_000_000, 100_000),
        ("SOLUSDT", 1_000_000, 1_000_000),
        ("BNBUSDT", 1_000_000, 1_000_000),
        ("XRPUSDT", 10_000, 10_000_000),
        ("DOGEUSDT", 1_000, 100_000_000),
        ("1000PEPEUSDT", 10, 100_000_000),
        ("SUIUSDT", 10_000, 10_000_000),
    ],
)
def test_tick_and_lot_are_the_exchanges(symbol, tick_e8, lot_e8):
    assert (spec(symbol)["tick_e8"], spec(symbol)["lot_e8"]) == (tick_e8, lot_e8)


def test_btcusdt_has_the_filters_that_were_observed_live():
    btc = spec("BTCUSDT")
    assert (btc["min_ticks"], btc["max_ticks"]) == (5_568, 45_297_640)
    assert (btc["min_lots"], btc["max_lots"], btc["max_market_lots"]) == (1, 1_000_000, 120_000)
    assert (btc["min_notional_e8"], btc["max_orders"]) == (50 * E8, 200)
    assert (btc["up_e8"], btc["down_e8"], btc["take_bound_e8"]) == (105_000_000, 95_000_000, 5_000_000)
    assert btc["liquidation_fee_e8"] == 1_250_000


def test_the_first_brackets_are_those_of_the_fact_sheet():
    assert spec("BTCUSDT")["brackets"][:2] == [
        (0, 300_000 * E8, 400_000, 0, 150),
        (300_000 * E8, 800_000 * E8, 500_000, 300 * E8, 100),
    ]
    assert spec("SOLUSDT")["brackets"][1] == (50_000 * E8, 400_000 * E8, 650_000, 75 * E8, 75)
    assert spec("DOGEUSDT")["brackets"][1] == (80_000 * E8, 150_000 * E8, 1_000_000, 280 * E8, 50)


@pytest.mark.parametrize("symbol", TABLE)
def test_brackets_meet_and_keep_the_maintenance_margin_continuous(symbol):
    ladder = TABLE[symbol].brackets
    assert ladder[0][0] == 0 and ladder[0][3] == 0
    for lower, upper in pairwise(ladder):
        assert upper[0] == lower[1] < upper[1]
        at_the_border = [border[0] * b[2] - b[3] * E8 for border, b in ((upper, lower), (upper, upper))]
        assert abs(at_the_border[0] - at_the_border[1]) <= E8
        assert upper[4] < lower[4]


@pytest.mark.parametrize("name", ["sources", "date"])
def test_every_shipped_row_says_where_it_is_from_and_when(name):
    assert all(row[name] for row in json.loads(SHIPPED.read_text()).values())


def test_a_value_that_its_record_only_assumes_is_unknown():
    assert "liquidation_fee" not in TABLE["SOLUSDT"].known
    assert "take_bound" not in TABLE["BNBUSDT"].known


def test_the_shipped_table_is_what_the_tool_makes_of_the_records(shared, tmp_path):
    out = tmp_path / "instruments.json"
    subprocess.run([sys.executable, ROOT / "tests/tools/make_instruments.py", "--out", out], check=True)
    assert out.read_bytes() == SHIPPED.read_bytes()


# --- the integers of a run


def test_the_core_takes_every_shipped_symbol():
    assert len(types.Instruments(made(*TABLE)[0])) == len(TABLE)


def test_specs_keep_the_order_of_the_run():
    assert [s["symbol"] for s in made("SOLUSDT", "BTCUSDT", "ADAUSDT")[0]] == ["SOLUSDT", "BTCUSDT", "ADAUSDT"]


def test_leverage_is_limited_by_the_first_bracket_and_said_so():
    made_specs, lines = made("BTCUSDT", "DOGEUSDT", leverage=100)
    assert [s["leverage"] for s in made_specs] == [100, 75]
    assert [line for line in lines if "leverage" in line] == [
        "DOGEUSDT: leverage 100 lowered to 75, the most of its first bracket"
    ]


@pytest.mark.parametrize(("symbol", "collar"), [("BTCUSDT", 2_000_000), ("ETHUSDT", 2_000_000), ("SOLUSDT", 4_000_000)])
def test_the_collar_is_tighter_for_majors(symbol, collar):
    assert spec(symbol)["collar_e8"] == collar


def test_a_configured_collar_wins():
    assert spec("BTCUSDT", collar_e8=1_000_000)["collar_e8"] == 1_000_000


def test_unknown_facts_take_the_conservative_default():
    ada = spec("ADAUSDT")
    assert ada["min_notional_e8"] == MIN_NOTIONAL_E8
    assert ada["liquidation_fee_e8"] == LIQUIDATION_FEE_E8
    assert (ada["min_ticks"], ada["min_lots"], ada["max_lots"]) == (1, 1, MAX_LOTS)
    assert ada["max_market_lots"] == MAX_LOTS // 10
    assert (ada["up_e8"], ada["down_e8"], ada["take_bound_e8"]) == (105_000_000, 95_000_000, 5_000_000)
    assert ada["max_orders"] == 200


def test_defaults_are_no_kinder_than_any_recorded_symbol():
    recorded = made(*RECORDED)[0]
    ada = spec("ADAUSDT")
    for field in ("min_notional_e8", "liquidation_fee_e8", "down_e8", "min_lots"):
        assert ada[field] >= max(s[field] for s in recorded), field
    for field in ("max_lots", "up_e8", "take_bound_e8", "max_orders"):
        assert ada[field] <= min(s[field] for s in recorded), field


def test_a_market_order_limit_follows_a_known_quantity_limit(tmp_path):
    table = load(written(tmp_path, {"NEWUSDT": ROW | {"max_quantity": "500"}}))
    assert (spec("NEWUSDT", table=table)["max_lots"], spec("NEWUSDT", table=table)["max_market_lots"]) == (5_000, 500)


def test_a_complete_record_needs_no_assumption():
    assert made("BTCUSDT", "ETHUSDT", "XRPUSDT", "DOGEUSDT")[1] == []


def test_each_assumption_names_its_symbols_its_value_and_its_reason():
    lines = made("BTCUSDT", "ADAUSDT", "SOLUSDT")[1]
    assert len(lines) == len(ASSUMED)
    assert (
        "ADAUSDT: min_notional unknown, 100 USDT assumed (twice the largest minimum of the complete records)" in lines
    )
    assert "ADAUSDT, SOLUSDT: liquidation_fee unknown, 1.5 % assumed (the highest rate on record since 2023)" in lines


def test_assumptions_are_read_in_korean():
    lines = made("ADAUSDT", language="ko")[1]
    assert len(lines) == len(ASSUMED)
    assert "ADAUSDT: min_notional 미확인, 100 USDT 적용 (기록이 완전한 심볼의 최대 최소주문금액의 두 배)" in lines


def test_an_unknown_symbol_is_named_with_the_way_out():
    with pytest.raises(OperatorError, match=r"^FOOUSDT: no exchange facts are known .*sources\.instruments"):
        made("BTCUSDT", "FOOUSDT")


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({"tick": "0.1", "lot": "1"}, "brackets"),
        ({"lot": "1", "brackets": LADDER}, "tick"),
        ({"tick": "0.1", "lot": None, "brackets": LADDER}, "lot"),
        ({}, "tick, lot, brackets"),
    ],
)
def test_a_symbol_without_tick_lot_or_brackets_cannot_be_traded(tmp_path, row, missing):
    table = load(written(tmp_path, {"NEWUSDT": row}))
    with pytest.raises(OperatorError, match=rf"^NEWUSDT: unknown {missing}: sources\.instruments"):
        made("NEWUSDT", table=table)


# --- an operator's table


def test_a_row_of_the_operators_table_replaces_the_shipped_row_whole(tmp_path):
    table = load(written(tmp_path, {"BTCUSDT": ROW}))
    assert table["BTCUSDT"].known == {"tick": 1_000_000, "lot": 10_000_000}
    assert table["ETHUSDT"] == TABLE["ETHUSDT"]


def test_limits_are_rounded_inwards_to_whole_ticks_and_lots(tmp_path):
    row = ROW | {"min_price": "0.015", "max_price": "9.999", "min_quantity": "0.15", "max_quantity": "7.77"}
    new = spec("NEWUSDT", table=load(written(tmp_path, {"NEWUSDT": row})))
    assert (new["min_ticks"], new["max_ticks"], new["min_lots"], new["max_lots"]) == (2, 999, 2, 77)


BAD_FIELDS = [
    ({"tick": "0"}, "tick: must be positive, not 0"),
    ({"tick": "-1"}, "tick: '-1' is no decimal"),
    ({"tick": "0.000000001"}, "tick: '0.000000001' is no decimal of at most 10 digits and 8 decimals"),
    ({"tick": "1e-2"}, "tick: '1e-2' is no decimal"),
    ({"tick": "NaN"}, "tick: 'NaN' is no decimal"),
    ({"tick": "9" * 400}, "tick: '9999"),
    ({"tick": "٣"}, "tick: '٣' is no decimal"),
    ({"tick": 0.1}, r"Expected `str | null`, got `float` - at `$.tick`"),
    ({"tik": "0.1"}, "unknown field `tik`"),
    ({"tick": "0.00001", "lot": "0.00001"}, "finer than 1e-8 USDT"),
    ({"max_orders": 0}, "max_orders: must be 1 to 10000"),
    ({"max_orders": True}, "got `bool` - at `$.max_orders`"),
    ({"multiplier_up": "0.95"}, "multiplier_up: must be between 1 and 10, not 0.95"),
    ({"multiplier_down": "1.05"}, "multiplier_down: must be between 0 and 1, not 1.05"),
    ({"liquidation_fee": "1.5"}, "liquidation_fee: must be between 0 and 1, not 1.5"),
    ({"min_price": "10", "max_price": "1"}, "max_price: leaves no tick above min_price"),
    ({"min_quantity": "10", "max_quantity": "1"}, "max_quantity: leaves no lot above min_quantity"),
    ({"max_market_quantity": "0.05"}, "max_market_quantity: leaves no lot above min_quantity"),
    ({"date": "yesterday"}, "date: 'yesterday' is no date"),
    ({"sources": {"steps": {"source": "me", "date": "1/2/26"}}}, "sources.steps.date: '1/2/26' is no date"),
    ({"brackets": []}, "brackets: 1 to 16 rows are needed, not 0"),
    ({"brackets": LADDER * 9}, "brackets: 1 to 16 rows are needed, not 18"),
    ({"brackets": [["0", "1000", "0.01", "0"]]}, "Expected `array` of length 5, got 4 - at `$.brackets[0]`"),
    ({"brackets": [["5", "1000", "0.01", "0", 20]]}, "brackets[0]: not contiguous: it must start at 0 USDT"),
    (
        {"brackets": [LADDER[0], ["1001", "5000", "0.025", "15", 10]]},
        "brackets[1]: not contiguous: it must start at 1000 USDT",
    ),
    ({"brackets": [["0", "0", "0.01", "0", 20]]}, "brackets[0]: not contiguous"),
    ({"brackets": [["0", "1000", "0", "0", 20]]}, "brackets[0]: maintenance margin ratio must be above 0"),
    ({"brackets": [["0", "1000", "1", "0", 20]]}, "brackets[0]: maintenance margin ratio must be above 0 and below 1"),
    (
        {"brackets": [LADDER[0], ["1000", "5000", "0.005", "0", 10]]},
        "brackets[1]: maintenance margin ratio must be above 0.01",
    ),
    (
        {"brackets": [LADDER[0], ["1000", "5000", "0.025", "15.00000002", 10]]},
        "brackets[1]: cum must be 15.00000000, not 15.00000002",
    ),
    ({"brackets": [["0", "1000", "0.01", "1", 20]]}, "brackets[0]: cum must be 0.00000000, not 1.00000000"),
    ({"brackets": [["0", "1000", "0.01", "0", 201]]}, "brackets[0]: max_leverage must be 1 to 200, not 201"),
    (
        {"brackets": [LADDER[0], ["1000", "5000", "0.025", "15", 25]]},
        "brackets[1]: max_leverage must be 1 to 20, not 25",
    ),
    ({"brackets": [["0", "x", "0.01", "0", 20]]}, "brackets[0]: 'x' is no decimal"),
]


@pytest.mark.parametrize(("change", "complaint"), BAD_FIELDS)
def test_a_malformed_row_is_refused_by_file_symbol_and_field(tmp_path, change, complaint):
    path = written(tmp_path, {"NEWUSDT": ROW | change})
    with pytest.raises(OperatorError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: NEWUSDT: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [change for change, _ in BAD_FIELDS])
def test_a_malformed_row_is_refused_in_korean_too(tmp_path, change):
    set_language("ko")
    path = written(tmp_path, {"NEWUSDT": ROW | change})
    with pytest.raises(OperatorError) as caught:
        load(path)
    # What the JSON reader said stands in parentheses, in its own words.
    ours = re.sub(r"\(.*\)", "", str(caught.value).removeprefix(f"{path}: NEWUSDT: "))
    assert re.search("[가-힣]", ours) and not re.search("[a-z]+ [a-z]+ [a-z]+", ours), ours


def test_the_row_that_the_malformed_ones_are_made_of_is_good(tmp_path):
    assert load(written(tmp_path, {"NEWUSDT": ROW}))["NEWUSDT"].brackets[1] == (
        1000 * E8, 5000 * E8, 2_500_000, 15 * E8, 10,
    )  # fmt: skip


def test_the_example_of_the_data_page_is_a_good_table(tmp_path):
    example = (ROOT / "docs/data.md").read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    assert spec("LTCUSDT", table=load(written(tmp_path, example)))["min_notional_e8"] == 20 * E8


def test_a_cum_within_one_unit_of_rounding_is_accepted(tmp_path):
    ladder = [LADDER[0], ["1000", "5000", "0.025", "15.00000001", 10]]
    assert load(written(tmp_path, {"NEWUSDT": ROW | {"brackets": ladder}}))["NEWUSDT"].brackets[1][3] == 1_500_000_001


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"A": {"max_orders": ' + "9" * 400 + "}}", "a number of 400 digits"),
        ('{"A": {"tick": "1", "tick": "2"}}', "key 'tick' stands twice"),
        ("[]", "an object with a row for each symbol is needed"),
        ("{}", "an object with a row for each symbol is needed"),
        ('{"btcusdt": {}}', "'btcusdt': a symbol has"),
        ('{"A": []}', "A: Expected `object`, got `array`"),
        (" " * (MAX_TABLE_BYTES + 1), "this is no table of instruments"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, content, complaint):
    path = written(tmp_path, content)
    with pytest.raises(OperatorError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_invalid_utf8_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(b'{"\xff": {}}')
    with pytest.raises(OperatorError, match="not valid JSON"):
        load(path)


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path):
    with pytest.raises(OperatorError, match=r"absent\.json: cannot read the instruments: No such file"):
        load(tmp_path / "absent.json")
    with pytest.raises(OperatorError, match="cannot read the instruments: Is a directory"):
        load(tmp_path)


# --- fees


def test_fee_tiers_are_those_of_the_exchange():
    assert fee_tier("VIP0") == (20_000, 50_000)
    assert fee_tier("VIP5") == (8_000, 27_000)
    assert fee_tier("VIP9") == (0, 17_000)
    assert list(FEE_TIERS_E8) == [f"VIP{i}" for i in range(10)]


def test_a_higher_tier_never_pays_more():
    tiers = list(FEE_TIERS_E8.values())
    for lower, higher in pairwise(tiers):
        assert higher[0] < lower[0] and higher[1] < lower[1]


def test_an_unknown_fee_tier_lists_the_known_ones():
    with pytest.raises(OperatorError, match="'VIP10' does not exist: use one of VIP0, VIP1"):
        fee_tier("VIP10")


# --- steps of old data


def told(values, today_e8=1):
    decimals = Decimals(today_e8)
    decimals.add(np.array(values, dtype=np.int64))
    return decimals


@given(st.integers(0, 9), st.sets(st.integers(1, 10**8), min_size=20, max_size=50))
def test_the_step_that_decimals_tell_divides_all_values_and_no_coarser_one_does(power, counts):
    values = np.array(sorted(counts), dtype=np.int64) * 10**power
    step = told(values).step_e8
    assert step >= 10**power
    assert not np.any(values % step) and np.any(values % (10 * step))


@pytest.mark.parametrize(("strays", "step"), [(1, 1_000_000), (2, 1)])
def test_one_value_in_a_hundred_may_lie_off_the_step(strays, step):
    decimals = told([1_000_000 * (10 * i + 1) for i in range(100 - strays)] + [123_456_789] * strays)
    assert decimals.step_e8 == step
    assert decimals.off(1_000_000) == strays


def test_zeros_and_repeated_values_are_no_evidence_of_a_step():
    assert told([0] * 100 + [300 + k for k in range(19)] * 5).step_e8 == 0
    assert told([0] * 100 + [300 + k for k in range(20)]).step_e8 == 1
    assert told([]).step_e8 == 0


def test_blocks_tell_what_the_whole_tells():
    values = [7 * 10**4 * k for k in range(1, 60)]
    parts = Decimals(10**5)
    for at in range(0, len(values), 7):
        parts.add(np.array(values[at : at + 7], dtype=np.int64))
    assert parts.step_e8 == told(values, 10**5).step_e8 == 10**4
    assert parts.off(10**5) == told(values, 10**5).off(10**5) > 0


@pytest.mark.parametrize(("counted_in", "step"), [(5, 5_000_000), (10, 10_000_000), (1, 1_000_000)])
def test_the_step_of_today_need_not_be_a_power_of_ten(counted_in, step):
    assert told([k * counted_in * 1_000_000 for k in range(1, 60)], today_e8=5_000_000).step_e8 == step


# --- filters of their day

TODAY = {
    "symbol": "X",
    "tick_e8": 10**7,
    "lot_e8": 10**6,
    "min_ticks": 3,
    "max_ticks": 90,
    "min_lots": 2,
    "max_lots": 500,
    "max_market_lots": 150,
    "min_notional_e8": 7,
}


def test_an_epoch_is_what_differs_from_the_one_before():
    found = [Epoch(1, 10**6, 10**8), Epoch(2, 10**6, 10**8), Epoch(3, 0, 0), Epoch(4, 10**7, 0), Epoch(5, 0, 10**6)]
    assert epochs_of(TODAY, found) == [Epoch(1, 10**6, 10**8), Epoch(4, 10**7, 10**8), Epoch(5, 10**7, 10**6)]
    assert epochs_of(TODAY, [Epoch(1, 10**7, 10**6), Epoch(2, 0, 0)]) == []


def test_steps_that_no_exchange_has_are_not_believed():
    assert epochs_of(TODAY, [Epoch(1, 1, 10**6), Epoch(2, 10**6, 10**6)]) == [Epoch(2, 10**6, 10**6)]


def test_a_run_counts_in_what_divides_every_step_and_limits_stay_where_they_were():
    epochs = [Epoch(1, 10**6, 10**8), Epoch(2, 10**8, 10**5)]
    grid = on_one_grid(TODAY, epochs)
    assert (grid["tick_e8"], grid["lot_e8"], grid["tick_step"], grid["lot_step"]) == (10**6, 10**5, 10, 10)
    assert (grid["min_ticks"], grid["max_ticks"]) == (30, 900)
    assert (grid["min_lots"], grid["max_lots"], grid["max_market_lots"]) == (20, 5_000, 1_500)
    # A lot of a whole coin is the least and bounds the most, in whole steps of the day.
    assert filters_of(grid, epochs[0]) == [1, 1_000, 1_000, 5_000, 1_000, 7]
    assert filters_of(grid, epochs[1]) == [100, 1, 20, 5_000, 1_500, 7]
    assert on_one_grid(TODAY, []) == TODAY


def test_a_grid_that_money_cannot_be_counted_in_is_refused():
    with pytest.raises(OperatorError, match=r"X: the tick of 1e-08 and the lot of 0.01 .* run a shorter stretch"):
        on_one_grid(TODAY, [Epoch(1, 1, 10**8)])


@pytest.mark.parametrize("symbol", TABLE)
def test_the_core_takes_the_filters_of_every_recorded_month(symbol):
    today = spec(symbol)
    epochs = epochs_of(today, TABLE[symbol].past)
    grid = on_one_grid(today, epochs)
    instruments = types.Instruments([grid])
    assert instruments.spec(0)["tick_step"] * grid["tick_e8"] == today["tick_e8"]
    for epoch in epochs:
        tick, lot, least, most, market, _ = filters_of(grid, epoch)
        assert (tick * grid["tick_e8"], lot * grid["lot_e8"]) == (epoch.tick_e8, epoch.lot_e8)
        assert 0 < least <= market <= most and not any(lots % lot for lots in (least, most, market))


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"month": "2021-13"}, "past[0]: month: '2021-13' is no month: write YYYY-MM"),
        ({"month": "2021-09-06"}, "is no month"),
        ({"tick": "0"}, "past[0]: tick: must be positive"),
        ({"lot": "a"}, "past[0]: lot: 'a' is no decimal"),
        ({"tick": "0.00000001", "lot": "0.01"}, "past[0]: tick, lot: one tick times one lot is finer"),
        ({"step": "1"}, "step"),
    ],
)
def test_a_record_of_the_past_is_checked_as_strictly(tmp_path, changed, part):
    record = {"month": "2021-09", "tick": "0.01", "lot": "0.001"}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"BTCUSDT": {"past": [record | changed]}}))
    with pytest.raises(OperatorError) as refusal:
        load(path)
    assert str(path) in str(refusal.value) and part in str(refusal.value)


# --- the smallest order


@pytest.mark.parametrize(
    ("symbol", "price", "usdt"),
    [
        ("BTCUSDT", 100_000, 100.0),  # one lot is worth more than the minimum notional of 50
        ("BTCUSDT", 50_000, 50.0),  # exactly the minimum
        ("BTCUSDT", 30_000, 60.0),  # one lot of 30 is too little, two are 60
        ("DOGEUSDT", 0.3, 5.1),  # 17 lots of 0.30
        ("ETHUSDT", 2_500, 20.0),
    ],
)
def test_the_smallest_order_is_in_whole_lots_and_meets_both_minima(symbol, price, usdt):
    assert minimum_order_usdt(spec(symbol), round(price * E8)) == usdt


@given(st.sampled_from(sorted(TABLE)), st.integers(1_000, 200_000 * E8))
def test_the_smallest_order_is_accepted_and_one_lot_less_is_not(symbol, price_e8):
    s = spec(symbol)
    lots = round(minimum_order_usdt(s, price_e8) * E8**2 / (price_e8 * s["lot_e8"]))

    def accepted(n):
        return n >= s["min_lots"] and n * price_e8 * s["lot_e8"] >= s["min_notional_e8"] * E8

    assert accepted(lots) and not accepted(lots - 1)


def test_every_symbol_whose_cap_is_below_its_minimum_is_named():
    chosen = made("BTCUSDT", "ETHUSDT", "DOGEUSDT")[0]
    prices = {"BTCUSDT": 100_000 * E8, "ETHUSDT": 2_500 * E8, "DOGEUSDT": 30_000_000}
    assert caps_below_minimum(chosen, prices, 20.0) == [
        "BTCUSDT: the cap of 20.00 USDT is below the exchange's minimum of 100.00 USDT: it gets no orders"
    ]
    assert caps_below_minimum(chosen, prices, 100.0) == []
    assert len(caps_below_minimum(chosen, prices, 5.0)) == 3
    assert caps_below_minimum(chosen, prices, 20.0, "ko") == [
        "BTCUSDT: 포지션 한도 20.00 USDT가 거래소 최소 주문금액 100.00 USDT보다 작아 주문을 내지 않습니다"
    ]
