"""The exchange's rules as instruments of a run, and what changes of them while it runs."""

import copy
import json

import pytest
from builders import E8, limits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback_world import World
from rest_clients import with_rest
from test_engine import SIZING, Idle

from autotrader import instruments
from autotrader.adapters.binance.rules import Rules, specs
from autotrader.errors import OperatorError, VenueError
from core_ext.engine import Engine
from core_ext.types import Flag, Instruments, Kind

BTC, ETH = "BTCUSDT", "ETHUSDT"
SIX = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
SHIPPED = instruments.load()

# BTCUSDT as the exchange listed it in September 2026.
INFO = {
    "serverTime": 1_790_401_500_000,
    "symbols": [
        {
            "symbol": BTC, "pair": BTC, "contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000,
            "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2,
            "quantityPrecision": 3, "triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": "0.05",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MIN_NOTIONAL", "notional": "50"},
                {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500",
                 "multiplierDecimal": "4"},
                {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
            ],
        }
    ],
}  # fmt: skip
LADDER = [
    {
        "symbol": BTC,
        "brackets": [
            {"bracket": 1, "initialLeverage": 150, "notionalCap": 300_000, "notionalFloor": 0,
             "maintMarginRatio": 0.004, "cum": 0.0},
            {"bracket": 2, "initialLeverage": 100, "notionalCap": 800_000, "notionalFloor": 300_000,
             "maintMarginRatio": 0.005, "cum": 300.0},
            {"bracket": 3, "initialLeverage": 75, "notionalCap": 3_000_000, "notionalFloor": 800_000,
             "maintMarginRatio": 0.0065, "cum": 1500.0},
        ],
    }
]  # fmt: skip
FEES = [{"symbol": BTC, "makerCommissionRate": "0.0002", "takerCommissionRate": "0.0005"}]
KNOWN = {
    "symbol": BTC, "tick_e8": 10_000_000, "lot_e8": 100_000, "min_ticks": 5568, "max_ticks": 45_297_640, "min_lots": 1,
    "max_lots": 1_000_000, "max_market_lots": 120_000, "min_notional_e8": 50 * E8, "up_e8": 105_000_000,
    "down_e8": 95_000_000, "take_bound_e8": 5_000_000, "liquidation_fee_e8": 1_250_000, "maker_fee_e8": 20_000,
    "taker_fee_e8": 50_000, "leverage": 3, "max_orders": 200, "collar_e8": 2_000_000, "tradable": 1,
    "brackets": [(0, 300_000 * E8, 400_000, 0, 150), (300_000 * E8, 800_000 * E8, 500_000, 300 * E8, 100),
                 (800_000 * E8, 3_000_000 * E8, 650_000, 1500 * E8, 75)],
}  # fmt: skip


def made(info=INFO, ladder=LADDER, fees=FEES, symbols=(BTC,), leverage=3):
    return specs(symbols, info, ladder, fees, leverage=leverage)


def info_with(**changes):
    """Return INFO with fields of its symbol, or of a filter (``LOT_SIZE={...}``), changed; None takes one away."""
    info = copy.deepcopy(INFO)
    body = info["symbols"][0]
    for name, value in changes.items():
        found = next((one for one in body["filters"] if one["filterType"] == name), None)
        if found is None:
            body[name] = value
        elif value is None:
            body["filters"].remove(found)
        else:
            found |= value
    return info


# ---------------------------------------------------------------------------------- at the start


def test_the_exchange_s_bodies_become_the_integers_of_the_core():
    assert made() == ([KNOWN], [])
    assert len(Instruments([KNOWN])) == 1


def test_dumps_of_six_symbols_give_what_the_shipped_table_gives(shared):
    dumps = shared / "binance/data"
    info = json.loads((dumps / "filters.json").read_text())
    ladders = json.loads((dumps / "brackets.json").read_text())["symbols"]
    brackets = [{"symbol": name, "brackets": ladders[name]} for name in SIX]
    fees = [FEES[0] | {"symbol": name} for name in SIX]
    found, _ = specs(SIX, info, brackets, fees, leverage=10)
    shipped, _ = instruments.specs(SIX, table=SHIPPED, fees=instruments.fee_tier("VIP0"), leverage=10)
    for one, other in zip(found, shipped, strict=True):
        # The dump assumes the liquidation fees of two of them; it says so, and the table has other sources.
        assumed = {"liquidation_fee_e8"} if one["symbol"] in ("SOLUSDT", "BNBUSDT") else set()
        assert {key for key in one if one[key] != other[key]} == assumed
    answer = json.loads((dumps / "leverageBracket.response.json").read_text())
    assert specs(SIX, info, answer, fees, leverage=10)[0] == found


def test_the_exchange_on_loopback_is_read_back_as_it_was_made():
    names = list(SHIPPED)[:25]
    given_, _ = instruments.specs(names, table=SHIPPED, fees=instruments.fee_tier("VIP0"), leverage=5)
    with World(specs=given_) as world:

        async def act(rest):
            fees = [await rest.commission_rate(name) for name in names]
            return specs(names, await rest.exchange_info(), await rest.leverage_brackets(), fees, leverage=5)

        found, lines = with_rest(world, act)
    assert found == given_ and lines == []


def test_facts_that_the_exchange_leaves_out_are_assumed_and_said():
    (spec,), lines = made(info_with(MIN_NOTIONAL=None, PRICE_FILTER={"minPrice": "0"}))
    assert (spec["min_notional_e8"], spec["min_ticks"]) == (100 * E8, 1)
    assert len(lines) == 2 and any("min_notional" in line for line in lines)


def test_leverage_is_limited_by_the_first_bracket_and_fees_are_the_account_s():
    (spec,), lines = made(leverage=200, fees=[FEES[0] | {"makerCommissionRate": "-0.00005"}])
    assert (spec["leverage"], spec["maker_fee_e8"]) == (150, -5_000) and "150" in lines[0]


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (info_with(contractType="CURRENT_QUARTER"), "is no perpetual"),
        (info_with(contractType="TRADIFI_PERPETUAL"), "is no perpetual"),
        (info_with(quoteAsset="USDC"), "quote USDC"),
        (info_with(marginAsset="BNFCR"), "margin BNFCR"),
        (info_with(symbol="BTCUSD_PERP"), "does not list it"),
    ],
)
def test_what_a_run_may_not_trade_is_refused_with_what_to_do(info, words):
    with pytest.raises(OperatorError, match=f"^BTCUSDT: .*{words}.*run.symbols"):
        made(info)


BAD = [
    {"PRICE_FILTER": {"tickSize": "0"}}, {"PRICE_FILTER": {"tickSize": "-0.1"}}, {"PRICE_FILTER": {"tickSize": "NaN"}},
    {"PRICE_FILTER": {"tickSize": 0.1}}, {"PRICE_FILTER": None}, {"LOT_SIZE": None}, {"filters": None},
    {"LOT_SIZE": {"stepSize": "0.000000001"}}, {"LOT_SIZE": {"maxQty": "0.0001"}}, {"filters": [{}]},
    {"MAX_NUM_ORDERS": {"limit": 0}}, {"MAX_NUM_ORDERS": {"limit": "200"}}, {"PERCENT_PRICE": {"multiplierUp": "0.9"}},
    {"PRICE_FILTER": {"maxPrice": "1"}}, {"marketTakeBound": "1e9"}, {"liquidationFee": "5"},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=json.dumps)
def test_a_body_that_cannot_be_believed_is_the_exchange_s_fault(change):
    with pytest.raises(VenueError, match="cannot be believed"):
        made(info_with(**change))


@pytest.mark.parametrize(
    "change",
    [{"cum": 1.0}, {"notionalFloor": 1}, {"maintMarginRatio": 0.0}, {"maintMarginRatio": "0.005"},
     {"notionalCap": True}, {"initialLeverage": 0}, {"initialLeverage": 300}, {"bracket": None}, {"notionalCap": 1e300},
     {"cum": float("inf")}],
    ids=str,
)  # fmt: skip
def test_brackets_that_cannot_be_are_refused(change):
    ladder = copy.deepcopy(LADDER)
    ladder[0]["brackets"][1] |= change
    with pytest.raises(VenueError, match="cannot be believed"):
        made(ladder=ladder)


@pytest.mark.parametrize(
    "fees", [[], [{"symbol": BTC}], [FEES[0] | {"takerCommissionRate": "0.5"}], [FEES[0] | {"makerCommissionRate": 0}]]
)
def test_fees_that_are_missing_or_absurd_are_refused(fees):
    with pytest.raises(VenueError, match="cannot be believed"):
        made(fees=fees)


@pytest.mark.parametrize("info", [{}, [], None, {"symbols": {}}, {"symbols": [1]}])
def test_a_list_that_is_none_is_refused(info):
    for read in (lambda: made(info), lambda: Rules(Instruments([KNOWN])).changes(info, 1)):
        with pytest.raises(VenueError, match="cannot be believed"):
            read()


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(), st.text(max_size=8), st.just([]), st.just({}),
    st.sampled_from(["0", "1e5", "-1", "0.1", "0.30", "1" * 30, "NaN", "TRADING"]),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), value=ODD)
def test_whatever_stands_in_a_body_either_is_believed_whole_or_refused(data, value):
    info = copy.deepcopy(INFO)
    body = info["symbols"][0]
    part = data.draw(st.sampled_from([body, *body["filters"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = value
    rules = Rules(Instruments([KNOWN]))
    try:
        found, _ = made(info)
        Instruments(found)
    except (OperatorError, VenueError):
        pass
    try:
        for row in rules.changes(info, 1).rows:
            words = [int(row[name]) for name in "abcdef"]
            assert row["kind"] == Kind.STATUS or (words[0] > 0 and 0 < words[2] <= words[3] and min(words) >= 0)
    except VenueError:
        assert rules.changes(INFO, 1).rows.size == 1  # nothing counts as told


# ---------------------------------------------------------------------------------- while a run runs


def rows_of(changes):
    return [(int(row["kind"]), int(row["symbol"]), *(int(row[name]) for name in "abcdef")) for row in changes.rows]


STATUS, FILTERS, BRACKET = int(Kind.STATUS), int(Kind.FILTERS), int(Kind.BRACKET)
OPEN = (STATUS, 0, 1, 0, 0, 0, 0, 0)
SHUT = (STATUS, 0, 0, 0, 0, 0, 0, 0)


def after(*infos, instrument=KNOWN):
    """Return the last changes of a run that has seen the others."""
    rules = Rules(Instruments([instrument]))
    found = [rules.changes(info, 7) for info in infos]
    return found[-1]


def test_the_status_is_told_once_and_filters_that_hold_are_not():
    first = after(INFO)
    assert rows_of(first) == [OPEN] and first.told == [(BTC, "BTCUSDT: trades")]
    assert (first.rows["ts"] == 7).all() and (first.rows["flags"] == 1).all()
    assert after(INFO, INFO).rows.size == 0 and after(INFO, INFO).told == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PRICE_FILTER": {"tickSize": "0.50"}}, (5, 1, 1, 1_000_000, 120_000, 50 * E8)),
        ({"LOT_SIZE": {"stepSize": "0.010", "minQty": "0.010"}}, (1, 10, 10, 1_000_000, 120_000, 50 * E8)),
        ({"LOT_SIZE": {"minQty": "0.0015"}}, (1, 1, 2, 1_000_000, 120_000, 50 * E8)),
        ({"LOT_SIZE": {"maxQty": "10.0005"}}, (1, 1, 1, 10_000, 120_000, 50 * E8)),
        ({"MARKET_LOT_SIZE": {"maxQty": "7"}}, (1, 1, 1, 1_000_000, 7_000, 50 * E8)),
        ({"MIN_NOTIONAL": {"notional": "100.5"}}, (1, 1, 1, 1_000_000, 120_000, 10_050_000_000)),
    ],
)
def test_filters_that_change_are_told_in_the_run_s_ticks_and_lots(change, words):
    changes = after(INFO, info_with(**change))
    assert rows_of(changes) == [(FILTERS, 0, *words)]
    assert changes.told[0][0] == BTC and "/".join(map(str, words)) in changes.told[0][1]


def test_filters_are_told_until_the_engine_has_taken_them():
    rules, info = Rules(instruments_ := Instruments([KNOWN])), info_with(MIN_NOTIONAL={"notional": "100"})
    for _ in range(2):
        assert (FILTERS, 0, 1, 1, 1, 1_000_000, 120_000, 100 * E8) in rows_of(rules.changes(info, 7))
    instruments_.revise(0, min_notional_e8=100 * E8)
    assert rules.changes(info, 7).rows.size == 0


def ladder_with(*brackets):
    """Return the ladder with other (leverage, floor, cap, ratio, amount)."""
    names = ("initialLeverage", "notionalFloor", "notionalCap", "maintMarginRatio", "cum")
    rows = [{"bracket": n + 1, **dict(zip(names, one, strict=True))} for n, one in enumerate(brackets)]
    return [{"symbol": BTC, "brackets": rows[::-1]}]


CUT = ladder_with((50, 0, 10_000, 0.01, 0.0), (25, 10_000, 50_000.5, 0.025, 150))


def test_brackets_that_hold_are_not_told_and_those_that_changed_are_whole():
    rules = Rules(Instruments([KNOWN]))
    assert rows_of(rules.changes(INFO, 7, LADDER)) == [OPEN]
    changes = rules.changes(INFO, 7, CUT)
    assert rows_of(changes) == [
        (BRACKET, 0, 0, 10_000 * E8, 1_000_000, 0, 50, 0),
        (BRACKET, 0, 1, 5_000_050_000_000, 2_500_000, 150 * E8, 25, 0),
    ]
    assert changes.rows["flags"].tolist() == [0, Flag.F_END]
    ((symbol, sentence),) = changes.told
    assert symbol == BTC and "was 150x to 300,000 USDT at 0.40% and is 50x to 10,000 USDT at 1.00%" in sentence


def test_brackets_that_changed_hold_in_the_engine_that_takes_them():
    machine = Engine(Instruments([KNOWN]), Idle(), limits(), SIZING, 10_000 * E8, 1, ["stream"])
    rules = Rules(machine.instruments)
    machine.feed(rules.changes(INFO, 10**18, CUT).rows)
    assert machine.instruments.spec(0)["brackets"][1]["cap_e8"] == 5_000_050_000_000
    assert rules.changes(INFO, 7, CUT).rows.size == 0


@pytest.mark.parametrize(
    "ladder",
    [
        [],
        [(50, 0, 10_000, float("nan"), 0.0)],
        [(50, 0, 1e300, 0.1, 0.0)],
        [(50, 0, 10, 0.1234567891, 0.0)],
        [(50, 0, 10_000, "0.01", 0.0)],
        [(0, 0, 10_000, 0.01, 0.0)],
        [(50, 1, 10_000, 0.01, 0.0)],
        [(50, 0, 10_000, 0.01, 0.0), (25, 10_000, 50_000, 0.025, 149)],
        [(50 - n, 10 * n, 10 * n + 10, 0.01, 0.0) for n in range(17)],
    ],
    ids=str,
)
def test_brackets_that_cannot_be_are_told_and_hold_up_nothing_else(ladder):
    changes = Rules(Instruments([KNOWN])).changes(INFO, 7, ladder_with(*ladder))
    assert rows_of(changes) == [OPEN]
    assert "cannot be believed (BTCUSDT: " in changes.told[-1][1]


@pytest.mark.parametrize(
    "status", ["PENDING_TRADING", "PRE_SETTLE", "SETTLING", "CLOSE", "TRADING_HALT", "TRADING_CANCEL_ONLY", "NEW"]
)
def test_a_symbol_that_does_not_trade_may_only_be_reduced_and_opens_again_when_it_trades(status):
    changes = after(INFO, info_with(status=status))
    assert rows_of(changes) == [SHUT] and f"says {status}; it may only be reduced" in changes.told[0][1]
    assert rows_of(after(INFO, info_with(status=status), INFO)) == [OPEN]


def test_a_symbol_that_is_listed_no_more_may_only_be_reduced():
    changes = after(INFO, INFO | {"symbols": []})
    assert rows_of(changes) == [SHUT] and "does not list it any more" in changes.told[0][1]


def test_a_delisting_is_told_with_its_stamp():
    changes = after(INFO, info_with(deliveryDate=1_790_500_000_000))
    assert rows_of(changes) == [(STATUS, 0, 1, 1_790_500_000_000 * 10**6, 0, 0, 0, 0)]
    assert changes.told[0][1] == "BTCUSDT: is delisted on 2026-09-27 09:06 UTC"


@pytest.mark.parametrize(
    "change",
    [{"PRICE_FILTER": {"tickSize": "0.01"}}, {"PRICE_FILTER": {"tickSize": "0.25"}},
     {"LOT_SIZE": {"stepSize": "0.0001"}}, {"LOT_SIZE": {"stepSize": "0.0015"}}, {"PRICE_FILTER": {"tickSize": "0"}},
     {"LOT_SIZE": {"maxQty": "0.0001"}}],
    ids=str,
)  # fmt: skip
def test_steps_that_do_not_fit_the_run_s_grid_leave_the_symbol_to_its_exits(change):
    changes = after(INFO, info_with(**change))
    assert rows_of(changes) == [SHUT] and "do not fit tick 0.1 and lot 0.001" in changes.told[0][1]
    assert rows_of(after(INFO, info_with(**change), INFO)) == [OPEN]


def test_words_of_the_exchange_cannot_write_on_an_operator_s_screen():
    assert "says TRA?DING??31m;" in after(info_with(status="TRA\u202eDING\x1b[31m")).told[0][1]


def test_b18_c11_d13_changes_of_an_exchange_that_runs_reach_the_run():
    names = (BTC, ETH)
    with World() as world:

        async def act(rest):
            info = await rest.exchange_info()
            found, _ = specs(
                names, info, await rest.leverage_brackets(), [await rest.commission_rate(name) for name in names],
                leverage=3,
            )  # fmt: skip
            rules = Rules(Instruments(found))
            assert rows_of(rules.changes(info, 1)) == [OPEN, (STATUS, 1, 1, 0, 0, 0, 0, 0)]
            world.fault("status", symbol=ETH, value="SETTLING")
            world.fault("filters", symbol=BTC, tick="0.5", min_notional="75")
            seen = rows_of(rules.changes(await rest.exchange_info(), 2))
            world.fault("status", symbol=ETH, value="TRADING")
            return found, seen, rows_of(rules.changes(await rest.exchange_info(), 3))

        found, seen, later = with_rest(world, act)
    lots = [found[0][field] for field in ("min_lots", "max_lots", "max_market_lots")]
    filters = (FILTERS, 0, 5, 1, *lots, 75 * E8)
    assert seen == [filters, (STATUS, 1, 0, 0, 0, 0, 0, 0)]
    assert later == [filters, (STATUS, 1, 1, 0, 0, 0, 0, 0)]


def test_of_all_that_is_listed_only_the_run_s_symbols_are_read():
    others = [{"symbol": f"X{k}USDT", "filters": None} for k in range(600)]
    info = INFO | {"symbols": [*others, *INFO["symbols"]]}
    assert rows_of(after(info)) == [OPEN] and made(info) == made()
