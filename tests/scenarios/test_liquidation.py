"""Liquidation at the simulated venue: on the mark alone, at the adverse extreme, down to an empty wallet."""

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from builders import E8, limits, row, spec

from autotrader.adapters.storage.history import History
from autotrader.instruments import load, specs
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.orders import Orders
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Asset, Flag, Instruments, Kind, Setting

HOUR = 3600 * 10**9
T0 = 1_700_000_000 * 10**9 // HOUR * HOUR
BTC = spec("BTCUSDT")
ETH = spec("ETHUSDT", tick_e8=10**6)
ONE_BTC, TEN_ETH = 1_000, 10_000  # lots


def venue(wallet, *specs, source="stream"):
    """Return a venue with one account of a wallet in USDT, and the account."""
    instruments = Instruments(list(specs or [BTC]))
    account = Account(instruments, int(wallet * E8))
    return Exchange(instruments, [account], [source] * len(instruments), 1e-4, 0.8, 5 * 10**9), account


def long_btc(wallet=3_000, one=BTC, source="stream", lots=ONE_BTC):
    """Return a venue whose account is long a bitcoin (or short: negative lots) at 60,000."""
    exchange, account = venue(wallet, one, source=source)
    account.fill(0, lots, 600_000, 0)
    return exchange, account


def mark(price_e8, ts=T0, symbol=0):
    return row(Kind.MARK, ts, symbol, a=price_e8)


def bar(high, low, close, symbol=0, ts=T0 + HOUR, kind=Kind.CANDLE, end=True):
    """Return a closed bar; prices in USDT."""
    flags = Flag.F_CLOSED | (Flag.F_END if end else 0)
    return row(kind, ts, symbol, flags, a=close * E8, b=high * E8, c=low * E8, d=close * E8, e=10**6, f=HOUR)


def said(rows, kind):
    return rows[rows["kind"] == int(kind)]


def is_emptied(account, *coins):
    """Return whether the wallet is empty but for rounding: half a unit of price a coin, two bookings a position."""
    return abs(account.wallet_e8) <= sum(Fraction(amount) / 2 + 2 for amount in coins)


def is_closed(account, symbol=0):
    position = account.position(symbol)
    return position["lots"] == position["cost_e8"] == position["value_e8"] == position["maintenance_e8"] == 0


# At the price.


@pytest.mark.parametrize(("lots", "price", "beyond"), [(ONE_BTC, 57228_91566265, -1), (-ONE_BTC, 62749_00398406, 1)])
def test_a_mark_beyond_the_liquidation_price_by_a_hair_liquidates_and_one_before_it_does_not(lots, price, beyond):
    exchange, account = long_btc(lots=lots)
    assert account.liquidation(0) == price
    assert len(exchange.feed(mark(price - beyond))) == 0
    assert (exchange.liquidations, account.position(0)["lots"]) == (0, lots)
    assert len(said(exchange.feed(mark(price + beyond)), Kind.LIQUIDATION)) == 1
    assert exchange.liquidations == 1
    assert is_closed(account)


def test_a_liquidated_account_keeps_nothing_and_its_books_agree():
    exchange, account = long_btc()
    exchange.feed(mark(57_200 * E8))
    assert is_emptied(account, 1)
    assert account.equity() == account.wallet_e8
    assert (account.maintenance_total_e8, account.gross_e8, account.unrealised_e8) == (0, 0, 0)
    assert account.reconcile() == 0


def test_the_liquidation_fee_is_a_share_of_the_notional_and_the_rest_goes_with_the_position():
    # At 57,200 the equity is 200, the fee 0.1 % of 57,200: the takeover costs 142.80 more than the mark.
    exchange, account = long_btc(one=spec(liquidation_fee_e8=100_000))
    event = said(exchange.feed(mark(57_200 * E8)), Kind.LIQUIDATION)[0]
    assert (event["a"], event["d"], bool(event["flags"] & Flag.F_SELL)) == (ONE_BTC, 57_200 * E8, True)
    assert (event["b"], event["c"]) == (5_705_720_000_000, 5_720_000_000)
    assert account.fees_e8 == account.liquidation_fees_e8 == 5_720_000_000
    assert is_emptied(account, 1)
    assert account.reconcile() == 0


def test_a_liquidation_fee_is_never_more_than_the_equity_that_pays_it():
    # 1.25 % of 57,200 are 715, and there are 200 left.
    exchange, account = long_btc()
    event = said(exchange.feed(mark(57_200 * E8)), Kind.LIQUIDATION)[0]
    assert (event["b"], event["c"]) == (57_200 * E8, 200 * E8)
    assert account.liquidation_fees_e8 == 200 * E8
    assert is_emptied(account, 1)


def test_every_position_of_a_cross_account_is_taken_over_together():
    exchange, account = venue(5_000, BTC, ETH)
    account.fill(0, ONE_BTC, 600_000, 0)
    account.fill(1, -TEN_ETH, 300_000, 0)
    rows = exchange.feed(np.concatenate([mark(56_000 * E8), mark(3_070 * E8, symbol=1)]))
    taken = said(rows, Kind.LIQUIDATION)
    assert [(event["symbol"], event["a"]) for event in taken] == [(0, ONE_BTC), (1, -TEN_ETH)]
    assert is_closed(account, 0)
    assert is_closed(account, 1)
    assert account.fees_e8 == sum(taken["c"])
    assert is_emptied(account, 1, 10)
    assert account.reconcile() == 0


def test_a_last_price_far_below_the_liquidation_price_does_not_liquidate():
    exchange, account = long_btc()
    exchange.feed(np.concatenate([mark(60_000 * E8), row(Kind.TRADE, T0 + 1, a=1, b=300_000, c=5_000, flags=5)]))
    exchange.feed(bar(61_000, 30_000, 60_000))
    assert (exchange.liquidations, account.position(0)["lots"]) == (0, ONE_BTC)


def test_an_account_without_a_position_is_never_liquidated():
    exchange, account = venue(0)
    assert len(exchange.feed(mark(1))) == 0
    assert (exchange.liquidations, account.equity()) == (0, 0)


def test_an_account_is_liquidated_alone():
    instruments = Instruments([BTC])
    poor, rich = Account(instruments, 3_000 * E8), Account(instruments, 30_000 * E8)
    exchange = Exchange(instruments, [poor, rich], ["stream"], 1e-4, 0.8, 0)
    for account in (poor, rich):
        account.fill(0, ONE_BTC, 600_000, 0)
    exchange.feed(mark(57_000 * E8))
    assert (exchange.liquidations, is_closed(poor), rich.position(0)["lots"]) == (1, True, ONE_BTC)
    assert rich.equity() == 27_000 * E8


# The worked examples of the exchange page, as an account that got there by trading. Positions are (symbol, coins, price
# in USDT), a negative amount of the short leg in hedge mode; the shipped brackets are those of the page's day.

TABLE = load()
PAGE = specs(["BTCUSDT", "ETHUSDT", "SOLUSDT"], table=TABLE, fees=(0, 0), leverage=10)[0]
B, E, S = 0, 1, 2
WORKED = [
    ("isolated long", True, [(B, 1, 60_000)], 3_000, 57228_91566265, 57_000),
    ("isolated short", True, [(E, -200, 3_000)], 60_000, 3285_07462687, 3_300),
    ("cross long beside a losing short", False, [(S, 5_000, 150), (E, -10, 3_000)], 50_000, 141_34323232, None),
    ("cross hedge", False, [(B, 3, 60_000), (B, -1, 61_000)], 20_000, 49899_19354839, None),
    ("isolated long in the third bracket", True, [(B, 20, 60_000)], 120_000, 54277_80573729, 54_000),
    ("isolated long that falls into the second bracket", True, [(B, 14, 60_000)], 84_000, 54249_82053123, 54_000),
]


def traded(isolated, positions, wallet):
    """Return an account that holds the positions, an isolated one with the wallet of the example."""
    instruments = Instruments(PAGE)
    account = Account(instruments, (10**7 if isolated else wallet) * E8)
    hedge = len({symbol for symbol, *_ in positions}) < len(positions)
    assert account.set(0, Setting.HEDGE_MODE, hedge) == (0 if hedge else -4059)
    for symbol, coins, price in positions:
        if isolated:
            assert account.set(symbol, Setting.ISOLATED, 1) == 0
        one, leg = PAGE[symbol], int(hedge and coins < 0)
        account.fill(symbol, coins * E8 // one["lot_e8"], price * E8 // one["tick_e8"], 0, leg)
        if isolated:
            moved = wallet * E8 - account.position(symbol)["isolated_e8"]
            assert moved == 0 or account.set(symbol, Setting.LEVERAGE, 20) == account.move_margin(symbol, moved) == 0
    return account


@pytest.mark.parametrize(("isolated", "positions", "wallet", "price", "bankrupt"), [row[1:] for row in WORKED],
                         ids=[row[0] for row in WORKED])  # fmt: skip
def test_a_worked_example_of_the_exchange_page_is_liquidated_at_its_price(isolated, positions, wallet, price, bankrupt):
    account = traded(isolated, positions, wallet)
    if len(positions) == 2 and positions[1][0] == E:
        account.mark(E, 3_100 * E8)
    symbol = positions[0][0]
    assert abs(account.liquidation(symbol) - price) <= 1
    assert bankrupt is None or account.bankruptcy(symbol) == bankrupt * E8
    beyond = -2 if positions[0][1] > 0 else 2
    account.mark(symbol, price - beyond)
    assert account.margin_ratio() <= E8  # at the price to eight decimals
    account.mark(symbol, price + beyond * 10**6)
    assert account.margin_ratio() > E8
    assert account.recompute() == []


def test_both_legs_of_a_hedge_are_liquidated_at_one_price():
    account = traded(*WORKED[3][1:4])
    assert account.liquidation(B, 0) == account.liquidation(B, 1)


def test_a_hedge_is_not_near_liquidation_while_its_other_leg_is_far():
    # Net long: the short leg gains on the way down to 49,899, and less of it would bring that nearer.
    account = traded(*WORKED[3][1:4])
    account.mark(B, 60_000 * E8)
    gate = RiskGate(Instruments(PAGE), account, Orders(1), Markets(len(PAGE)), limits())
    assert gate.distance(B, 0) == (60_000 * E8 - WORKED[3][4]) // 60_000
    assert (gate.distance(B, 1), gate.reduces(B, 0), gate.reduces(B, 1)) == (E8, False, False)
    account.mark(B, 49_899 * E8)
    assert (gate.distance(B, 0), gate.distance(B, 1)) == (0, 0)


def test_what_lies_in_other_wallets_does_not_move_an_isolated_liquidation_price():
    account = traded(*WORKED[0][1:4])
    account.transfer(10**6 * E8)
    account.fill(S, 1_000, 1_500, 0)
    assert abs(account.liquidation(B) - WORKED[0][4]) <= 1


def test_collateral_in_another_coin_lowers_a_cross_liquidation_price():
    account = Account(Instruments(PAGE), 3_000 * E8)
    assert account.set(0, Setting.MULTI_ASSETS, 1) == 0
    account.index(Asset.BNB, 600 * E8)
    account.transfer(10 * E8, Asset.BNB)
    account.fill(B, 1_000, 600_000, 0)
    # 6,000 of coins count 5,700: (8,700 - 60,000) / (0.004 - 1).
    assert abs(account.liquidation(B) - 51506_02409639) <= 1


# Beyond the bankruptcy price.


@pytest.mark.parametrize(("lots", "price", "bankruptcy"), [(ONE_BTC, 56_000, 57_000), (-ONE_BTC, 64_000, 63_000)])
def test_a_negative_equity_is_taken_over_at_the_bankruptcy_price_without_a_fee(lots, price, bankruptcy):
    exchange, account = long_btc(lots=lots)
    event = said(exchange.feed(mark(price * E8)), Kind.LIQUIDATION)[0]
    assert (event["b"], event["c"]) == (bankruptcy * E8, 0)
    assert (account.wallet_e8, account.fees_e8, account.realised_e8) == (0, 0, -3_000 * E8)
    assert account.reconcile() == 0


def test_a_joint_negative_equity_leaves_an_empty_wallet():
    exchange, account = venue(5_000, BTC, ETH)
    account.fill(0, ONE_BTC, 600_000, 0)
    account.fill(1, TEN_ETH, 300_000, 0)
    exchange.feed(np.concatenate([bar(60_000, 52_345, 60_000, 0, end=False), bar(3_000, 2_222, 3_000, 1)]))
    assert exchange.liquidations == 0  # the venue follows the mark stream, and it has not moved
    exchange.feed(np.concatenate([mark(52_345_12345678), mark(2_222_87654321, symbol=1)]))
    assert exchange.liquidations == 1
    assert account.fees_e8 == 0
    assert is_emptied(account, 1, 10)
    assert account.reconcile() == 0


# Bars: the adverse extreme comes first.


@pytest.mark.parametrize("source", ["proxy", "file"])
@pytest.mark.parametrize(("lots", "high", "low", "close"), [(1, 61_000, 57_100, 60_900), (-1, 62_800, 58_000, 58_100)])
def test_a_bar_whose_extreme_liquidates_is_not_saved_by_its_close(source, lots, high, low, close):
    exchange, account = long_btc(lots=lots * ONE_BTC, source=source)
    kind = Kind.MARK_CANDLE if source == "file" else Kind.CANDLE
    event = said(exchange.feed(bar(high, low, close, kind=kind)), Kind.LIQUIDATION)[0]
    assert event["d"] == (low if lots > 0 else high) * E8
    assert is_closed(account)
    assert is_emptied(account, 1)
    assert account.reconcile() == 0


@pytest.mark.parametrize(("lots", "high", "low", "close"), [(1, 70_000, 57_300, 57_400), (-1, 62_700, 30_000, 62_600)])
def test_a_bar_whose_favourable_extreme_is_large_changes_nothing(lots, high, low, close):
    exchange, account = long_btc(lots=lots * ONE_BTC, source="proxy")
    exchange.feed(bar(high, low, close))
    assert exchange.liquidations == 0
    assert account.equity() == (3_000 + lots * (close - 60_000)) * E8
    assert account.reconcile() == 0


def test_with_marks_from_a_file_only_the_mark_bar_counts():
    exchange, account = long_btc(source="file")
    batch = [bar(61_000, 59_000, 60_500, kind=Kind.MARK_CANDLE, end=False), bar(61_000, 30_000, 60_400)]
    exchange.feed(np.concatenate(batch))
    assert exchange.liquidations == 0
    assert account.equity() == 3_500 * E8


# A long of a bitcoin at 60,000 and ten ether at 3,000 with 5,000 in the wallet: each extreme alone is survived.
JOINT = [(TEN_ETH, (60_500, 57_700, 60_000), (3_010, 2_750, 3_000)),
         (-TEN_ETH, (60_500, 57_700, 60_000), (3_250, 2_990, 3_000))]  # fmt: skip


def pair(eth_lots, source="proxy"):
    exchange, account = venue(5_000, BTC, ETH, source=source)
    account.fill(0, ONE_BTC, 600_000, 0)
    account.fill(1, eth_lots, 300_000, 0)
    return exchange, account


@pytest.mark.parametrize(("eth_lots", "btc", "eth"), JOINT)
def test_two_symbols_are_at_their_adverse_extremes_together(eth_lots, btc, eth):
    exchange, account = pair(eth_lots)
    rows = exchange.feed(np.concatenate([bar(*btc, 0, end=False), bar(*eth, 1)]))
    assert exchange.liquidations == 1
    assert list(said(rows, Kind.LIQUIDATION)["d"]) == [btc[1] * E8, (eth[1] if eth_lots > 0 else eth[0]) * E8]
    assert is_emptied(account, 1, 10)
    assert account.reconcile() == 0


@pytest.mark.parametrize(("eth_lots", "btc", "eth"), JOINT)
def test_extremes_of_different_bars_do_not_come_together(eth_lots, btc, eth):
    exchange, account = pair(eth_lots)
    calm = (60_000, 60_000, 60_000), (3_000, 3_000, 3_000)
    exchange.feed(np.concatenate([bar(*btc, 0, end=False), bar(*calm[1], 1)]))
    exchange.feed(np.concatenate([bar(*calm[0], 0, T0 + 2 * HOUR, end=False), bar(*eth, 1, T0 + 2 * HOUR)]))
    assert exchange.liquidations == 0
    assert account.equity() == 5_000 * E8


# Funding.


@pytest.mark.parametrize(("lots", "rate_e8", "paid"), [
    (ONE_BTC, 10_000, -600001235),
    (-ONE_BTC, 10_000, 600001235),
    (ONE_BTC, -10_000, 600001235),
    (7, 12_345, -5184911),
])  # fmt: skip
def test_funding_moves_the_wallet_by_lots_times_mark_times_rate_rounded_once(lots, rate_e8, paid):
    exchange, account = long_btc(10_000, lots=lots)
    given_mark = 60_000_12345678
    rows = exchange.feed(row(Kind.FUNDING, T0, a=rate_e8, b=given_mark, f=8 * HOUR))
    event = said(rows, Kind.FUNDING_PAID)[0]
    assert tuple(event[word] for word in "abcd") == (paid, rate_e8, given_mark, lots)
    assert (account.wallet_e8, account.funding_e8) == (10_000 * E8 + paid, paid)
    assert account.fees_e8 == 0
    assert account.reconcile() == 0


def test_funding_without_a_mark_of_its_own_is_on_the_mark_that_stands():
    exchange, account = long_btc(10_000)
    exchange.feed(np.concatenate([mark(55_000 * E8), row(Kind.FUNDING, T0, a=10_000, f=8 * HOUR)]))
    assert account.funding_e8 == -550_000_000


def test_an_account_without_a_position_neither_pays_nor_receives_funding():
    exchange, account = venue(1_000)
    rows = exchange.feed(row(Kind.FUNDING, T0, a=10_000, b=60_000 * E8))
    assert [Kind(event["kind"]) for event in rows] == [Kind.FUNDING]  # what was settled is told to everybody
    assert account.wallet_e8 == 1_000 * E8


def test_a_funding_payment_can_liquidate():
    # Maintenance is 240 at 60,000; 300 of equity pay 120.
    exchange, account = long_btc(300)
    rows = exchange.feed(row(Kind.FUNDING, T0, a=200_000, b=60_000 * E8, f=8 * HOUR))
    assert [Kind(event["kind"]) for event in rows] == [Kind.FUNDING, Kind.FUNDING_PAID, Kind.LIQUIDATION]
    assert account.funding_e8 == -120 * E8
    assert is_emptied(account, 1)
    assert account.reconcile() == 0


def test_a_funding_receipt_does_not_liquidate():
    exchange, account = long_btc(300)
    exchange.feed(row(Kind.FUNDING, T0, a=-200_000, b=60_000 * E8, f=8 * HOUR))
    assert (exchange.liquidations, account.wallet_e8) == (0, 420 * E8)


def stream(second, price, rate_e8, due):
    """Return a message of the mark stream, seconds after the stamp of funding."""
    return row(Kind.MARK, T0 + int(second * 10**9), a=price * E8, c=rate_e8, d=due)


def test_funding_of_a_stream_is_paid_once_at_its_stamp_with_the_rate_and_mark_before_it():
    exchange, account = long_btc(10_000)
    ahead = exchange.feed(stream(-2, 61_000, 20_000, T0))
    at = exchange.feed(np.concatenate([stream(-1, 60_000, 10_000, T0), stream(0, 59_000, 30_000, T0 + 8 * HOUR)]))
    later = exchange.feed(stream(1, 58_000, 30_000, T0 + 8 * HOUR))
    paid = said(at, Kind.FUNDING_PAID)
    assert (len(said(ahead, Kind.FUNDING_PAID)), len(paid), len(said(later, Kind.FUNDING_PAID))) == (0, 1, 0)
    assert tuple(paid[0][word] for word in "abc") == (-6 * E8, 10_000, 60_000 * E8)
    assert account.funding_e8 == -6 * E8


def test_funding_is_paid_though_the_news_of_the_next_arrives_before_its_stamp_on_our_clock():
    # The exchange has settled when its stream names the next stamp; our clock may run a little behind its.
    exchange, account = long_btc(10_000)
    early = [stream(-1, 60_000, 10_000, T0), stream(-0.001, 60_000, 30_000, T0 + 8 * HOUR)]
    exchange.feed(np.concatenate([*early, stream(1, 60_000, 30_000, T0 + 8 * HOUR)]))
    assert account.funding_e8 == -6 * E8


# 2020-02-28, 17:00 UTC: the last price of ADAUSDT fell to less than half, the mark hardly moved.

CRASH_MS = 1_582_909_200_000
ADA_BRACKETS = [(0, 10_000 * E8, 1_000_000, 0, 50), (10_000 * E8, 10**15, 2_500_000, 150 * E8, 20)]
ADA = spec("ADAUSDT", tick_e8=1_000, lot_e8=E8, max_lots=10**7, brackets=ADA_BRACKETS)


@pytest.fixture(scope="module")
def crash(shared, tmp_path_factory):
    """The hours around the crash, cut from the recordings: candles and mark candles."""
    folder = tmp_path_factory.mktemp("crash")
    near = (pl.col("symbol") == "ADAUSDT") & ((pl.col("ts_ms") - CRASH_MS).abs() <= 4 * 3_600_000)
    for name in ("klines/um_1h_2019_2026.parquet", "mark/um_mark_1h_2019_2026.parquet"):
        pl.scan_parquet(shared / "data" / name).filter(near).collect().write_parquet(folder / name.replace("/", "_"))
    return sorted(folder.iterdir())


def held_through(crash, source):
    """Return what the venue said while a five times leveraged long went through the crash, and its account."""
    exchange, account = venue(1_000, ADA, source=source)
    account.fill(0, 100_000, 4_857, 0)
    assert 0.0229 * E8 < account.liquidation(0) < 0.0475 * E8
    chunks = History(crash, exchange.instruments, HOUR).chunks()
    return np.concatenate([exchange.feed(rows) for rows in chunks]), exchange, account


def test_a_wick_of_the_last_price_that_the_mark_did_not_follow_liquidates_nobody(crash):
    said_, exchange, account = held_through(crash, "file")
    assert (len(said_), exchange.liquidations) == (0, 0)
    assert account.position(0)["lots"] == 100_000
    assert account.equity() == (1_000 + 100_000 * Fraction("0.04884224") - 4_857) * E8
    assert account.reconcile() == 0


def test_the_same_wick_liquidates_where_candles_must_stand_in_for_the_mark(crash):
    said_, exchange, account = held_through(crash, "proxy")
    event = said(said_, Kind.LIQUIDATION)[0]
    assert (exchange.liquidations, event["d"], event["ts"]) == (1, 2_286_000, CRASH_MS * 10**6 + HOUR)
    # Already beyond bankruptcy at 0.02286: taken over where the wallet of 1,000 is used up.
    assert (event["b"], event["c"]) == (3_857_000, 0)
    assert is_emptied(account, 100_000)
    assert account.reconcile() == 0
