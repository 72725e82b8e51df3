"""The ledger: tables rebuilt from the journal alone tell what the engine booked, to the last 1e-8 USDT."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders import E8, HISTORY, RECORDING, SIZING, configuration, limits, row, spec

from autotrader.config import load
from autotrader.research.replay import Session
from autotrader.run import wiring
from autotrader.views.ledger import Ledger
from core_ext.account import Account
from core_ext.engine import Engine
from core_ext.journal import read_journal
from core_ext.sizing import Factor
from core_ext.strategy import Strategy
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind, OrderState, OrderType, Reason, TimeInForce

START = 7_700 * E8
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
TOTALS = ("wallet_e8", "realised_e8", "fees_e8", "funding_e8", "transfers_e8", "liquidation_fees_e8", "turnover_e8")
BOOKED = ("lots", "cost_e8", "realised_e8", "fees_e8", "funding_e8")


def instruments() -> Instruments:
    coarse = spec("ETHUSDT", tick_e8=10**6, lot_e8=10**5), spec("BNBUSDT", tick_e8=10**6, lot_e8=10**6)
    return Instruments([spec(), *coarse])


def ledger() -> Ledger:
    of = instruments()
    return Ledger(of, Account(of, START))


def of_rows(*rows: np.ndarray) -> Ledger:
    found = ledger()
    found.apply(np.concatenate(rows))
    return found


def assert_same_books(found: Account, expected: Account, count: int) -> None:
    assert {name: getattr(found, name) for name in TOTALS} == {name: getattr(expected, name) for name in TOTALS}
    for symbol in range(count):
        mine, theirs = found.position(symbol), expected.position(symbol)
        assert {name: mine[name] for name in BOOKED} == {name: theirs[name] for name in BOOKED}, symbol


# --- against the engine


def account_rows(seed: int, count: int = 400) -> np.ndarray:
    """What a venue could say to an account: fills of both sides, funding, transfers, now and then a liquidation."""
    chance, lots, rows = random.Random(seed), Counter(), []
    for at in range(count):
        symbol, kind = chance.randrange(len(SYMBOLS)), chance.random()
        if kind < 0.8:
            sell, size = chance.random() < 0.5, chance.randint(1, 400)
            lots[symbol] += -size if sell else size
            words = {"a": at + 1, "b": at, "c": chance.randint(1, 300_000), "d": size, "e": chance.randint(-500, 10**7)}
            flags = Flag.F_END | (Flag.F_SELL if sell else 0) | chance.choice((0, Flag.F_MAKER))
            rows.append(row(Kind.FILL, at, symbol, flags, **words))
        elif kind < 0.9:
            rows.append(
                row(Kind.FUNDING_PAID, at, symbol, a=chance.randint(-(10**9), 10**9), b=7, c=E8, d=lots[symbol])
            )
        elif kind < 0.96:
            rows.append(row(Kind.TRANSFER, at, a=chance.randint(-(10**10), 10**10)))
        elif lots[symbol]:
            words = {"a": lots.pop(symbol), "b": chance.randint(1, 10**13), "c": chance.randint(0, 10**9), "d": E8}
            rows.append(row(Kind.LIQUIDATION, at, symbol, **words))
    return np.concatenate(rows)


@pytest.mark.parametrize("seed", range(8))
def test_the_books_equal_the_engines_whatever_the_venue_says(seed):
    rows = account_rows(seed)
    engine = Engine(instruments(), Strategy(), limits(), SIZING, START, 1, ["stream"] * len(SYMBOLS))
    engine.feed(rows)
    found = of_rows(rows)
    assert {int(kind) for kind in np.unique(rows["kind"])} == {34, 38, 39, 40}
    assert_same_books(found.account, engine.account, len(SYMBOLS))
    assert engine.account.reconcile() == 0
    assert len(found.fills) == np.count_nonzero(np.isin(rows["kind"], [Kind.FILL, Kind.LIQUIDATION]))
    total = round(sum(fill["realised_usdt"] * E8 for fill in found.fills))
    assert total == engine.account.realised_e8
    assert (
        round((found.fees_maker + found.fees_taker) * E8) + engine.account.liquidation_fees_e8 == engine.account.fees_e8
    )
    assert round(sum(paid["amount_usdt"] * E8 for paid in found.funding)) == engine.account.funding_e8
    assert round(sum(amount * E8 for _, amount in found.transfers)) == engine.account.transfers_e8


@pytest.mark.parametrize("size", [1, 7, 100])
def test_rows_may_come_in_pieces_of_any_size(size):
    rows, piecewise = account_rows(1), ledger()
    for at in range(0, len(rows), size):
        piecewise.apply(rows[at : at + size])
    whole = of_rows(rows)
    assert (piecewise.fills, piecewise.funding, piecewise.transfers) == (whole.fills, whole.funding, whole.transfers)
    assert_same_books(piecewise.account, whole.account, len(SYMBOLS))


def finished(tmp_path: Path, strategy: str, files: list[Path]) -> tuple[Session, Ledger]:
    config = load(configuration(tmp_path / "c.toml", strategy))
    run = wiring._Run(config, files, lambda share, text: None)
    session = Session(run.plan, tmp_path / "j.seg")
    for _ in session.run(run.source):
        pass
    session.finish()
    found = Ledger(run.plan.instruments(), Account(run.plan.instruments(), run.plan.start_e8))
    for block in read_journal(str(tmp_path / "j.seg")):
        found.apply(block.array())
    return session, found


@pytest.mark.parametrize(("strategy", "files"), [("quoter", [RECORDING]), ("trend", HISTORY)])
def test_the_tables_of_a_whole_run_equal_what_its_engine_holds(tmp_path, strategy, files):
    session, found = finished(tmp_path, strategy, files)
    account, count = session.engine.account, len(session.engine.instruments)
    assert len(found.fills) > 10 and found.funding
    assert_same_books(found.account, account, count)
    after = {fill["symbol"]: fill["position_after"] for fill in found.fills}
    for symbol, name in enumerate(session.engine.instruments.names):
        lot = session.engine.instruments.spec(symbol)["lot_e8"] / E8
        assert after.get(name, 0.0) == account.position(symbol)["lots"] * lot
    words = {"PENDING_NEW": "PENDING", "EXPIRED_": "EXPIRED", "REJECTED_": "REJECTED", "PENDING_CANCEL": "LIVE"}
    for held in session.engine.orders.rows():
        mine, state = found.orders[held["client_id"]], OrderState(held["state"]).name
        assert (mine.state, mine.filled, mine.lots) == (words.get(state, state), held["filled"], held["lots"])


def test_a_run_without_a_fill_has_empty_tables_and_no_ratios():
    found = of_rows(row(Kind.RUN), row(Kind.SEAL))
    assert (found.order_rows(), found.fills, found.funding) == ([], [], [])
    assert (found.slippage_bps(), found.fill_rate(), found.post_only_success()) == (None, None, None)


# --- known answers

ID = (0xDEADBEEF << 32) | 5
SIGNED = ID - 2**64  # as it stands in the row


def order(
    ts=1, lots=100, ticks=280_000, sell=False, tif=TimeInForce.GTC, mid=28_000 * E8, number=0, **more
) -> np.ndarray:
    kind = OrderType.LIMIT if ticks else OrderType.MARKET
    flags = Flag.F_END | (Flag.F_SELL if sell else 0) | more.pop("flags", 0)
    return row(Kind.ORDER, ts, 0, flags, a=SIGNED + number, b=ticks, c=lots, d=kind + 256 * tif, e=mid, f=Factor.KELLY)


def fill(ts=3, lots=100, ticks=280_000, sell=False, maker=False, fee=5, number=0) -> np.ndarray:
    flags = Flag.F_END | (Flag.F_SELL if sell else 0) | (Flag.F_MAKER if maker else 0)
    return row(Kind.FILL, ts, 0, flags, a=SIGNED + number, b=77, c=ticks, d=lots, e=fee)


def said(kind: Kind, ts=2, number=0, **words) -> np.ndarray:
    return row(kind, ts, a=SIGNED + number, **words)


ACCEPTED, CANCELED = said(Kind.ACCEPTED, b=1), said(Kind.CANCELED, 9)
LIVES = {
    "asked": ((), "PENDING", 0),
    "accepted": ((ACCEPTED,), "LIVE", 0),
    "partly filled": ((ACCEPTED, fill(lots=40)), "PARTLY_FILLED", 40),
    "filled": ((ACCEPTED, fill()), "FILLED", 100),
    "filled in two": ((ACCEPTED, fill(lots=40), fill(lots=60)), "FILLED", 100),
    "filled before it was accepted": ((fill(), ACCEPTED), "FILLED", 100),
    "partly filled before it was accepted": ((fill(lots=40), ACCEPTED), "PARTLY_FILLED", 40),
    "cancelled": ((ACCEPTED, CANCELED), "CANCELLED", 0),
    "partly filled, then cancelled": ((ACCEPTED, fill(lots=40), CANCELED), "CANCELLED", 40),
    "expired": ((said(Kind.EXPIRED, 9),), "EXPIRED", 0),
    "partly filled, then expired": ((fill(lots=40), said(Kind.EXPIRED, 9)), "EXPIRED", 40),
    "rejected": ((said(Kind.REJECTED, 9, b=-5022),), "REJECTED", 0),
    "cancel rejected": ((ACCEPTED, said(Kind.CANCEL_REJECTED, 9, b=-2011)), "LIVE", 0),
    # As in the engine's own table: the books follow the venue, a dead order stays dead.
    "filled in part after it was cancelled": ((ACCEPTED, CANCELED, fill(10, lots=40)), "CANCELLED", 40),
}


@pytest.mark.parametrize("life", LIVES)
def test_an_order_ends_in_the_state_that_the_venue_told(life):
    evidence, state, filled = LIVES[life]
    found = of_rows(order(), *evidence)
    (table,) = found.order_rows()
    assert (table["state"], table["filled"]) == (state, pytest.approx(filled * 1e-3, abs=1e-12))
    told = [int(part["ts"][0]) for part in (order(), *evidence) if part["kind"][0] != Kind.CANCEL_REJECTED]
    assert table["updated_ns"] == told[-1]


def test_an_order_row_says_what_was_asked():
    found = of_rows(
        order(7, 50, 281_451, sell=True, tif=TimeInForce.GTX, mid=2_814_515 * E8 // 100, flags=Flag.F_REDUCE_ONLY),
        order(8, 20, 0, number=1),
    )
    post, market = found.order_rows()
    assert post == {
        "client_id": ID,
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "tif": "GTX",
        "reduce_only": True,
        "price": pytest.approx(28_145.1),
        "quantity": pytest.approx(0.05),
        "filled": 0.0,
        "average_price": 0.0,
        "state": "PENDING",
        "created_ns": 7,
        "updated_ns": 7,
        "limiting": "KELLY",
        "reference_price": pytest.approx(28_145.15),
    }
    assert (market["type"], market["tif"], market["price"], market["side"]) == ("MARKET", "GTC", 0.0, "BUY")
    assert market["client_id"] == ID + 1 and not market["reduce_only"]
    assert found.limiting == {"KELLY": 2}


def test_a_fill_row_says_what_was_paid_and_what_is_held():
    # Buy 0.1 at 28,000.5 against a mid of 28,000; sell 0.04 of it at 28,100 against a mid of 28,101.
    found = of_rows(
        order(),
        fill(3, 100, 280_005, fee=140_002_500),
        order(4, 40, 281_000, sell=True, mid=28_101 * E8, number=1),
        fill(5, 40, 281_000, sell=True, maker=True, fee=22_480_000, number=1),
    )
    bought, sold = found.fills
    assert bought["side"] == "BUY" and sold["side"] == "SELL"
    assert (bought["client_id"], bought["trade_id"], bought["ts_ns"]) == (ID, 77, 3)
    assert bought["price"] == pytest.approx(28_000.5) and bought["quantity"] == pytest.approx(0.1)
    assert bought["notional_usdt"] == pytest.approx(2_800.05)
    assert (bought["fee_usdt"], sold["fee_usdt"]) == (1.400025, 0.2248)
    assert (bought["maker"], sold["maker"], bought["liquidation"]) == (False, True, False)
    assert bought["realised_usdt"] == 0.0
    assert sold["realised_usdt"] == pytest.approx(0.04 * (28_100 - 28_000.5))
    assert bought["slippage_bps"] == pytest.approx(1e4 * 0.5 / 28_000)
    assert sold["slippage_bps"] == pytest.approx(1e4 * 1 / 28_101)  # sold lower than the mid: paid
    assert (bought["position_after"], sold["position_after"]) == (pytest.approx(0.1), pytest.approx(0.06))
    assert found.slippage_usdt == pytest.approx(0.1 * 0.5 + 0.04 * 1)
    assert found.slippage_bps() == pytest.approx(1e4 * 0.09 / (2_800.05 + 0.04 * 28_100))
    assert (found.fees_maker, found.fees_taker) == (0.2248, 1.400025)


def test_a_better_price_than_the_mid_is_negative_slippage():
    found = of_rows(order(), fill(ticks=279_990, maker=True))
    assert found.fills[0]["slippage_bps"] == pytest.approx(-1e4 * 1 / 28_000)
    assert found.slippage_usdt == pytest.approx(-0.1)


def test_a_liquidation_closes_the_position_at_its_price_without_an_order():
    found = of_rows(order(), fill(), row(Kind.LIQUIDATION, 5, a=100, b=2_500_012_345_678, c=3_125_000, d=24_000 * E8))
    taken = found.fills[1]
    assert (taken["side"], taken["liquidation"], taken["client_id"], taken["position_after"]) == ("SELL", True, 0, 0.0)
    assert taken["price"] == 25_000.12345678 and taken["quantity"] == pytest.approx(0.1)
    assert taken["realised_usdt"] == pytest.approx(0.1 * (25_000.12345678 - 28_000), abs=1e-8)
    assert taken["fee_usdt"] == 0.03125 and taken["slippage_bps"] == 0.0
    assert found.account.liquidation_fees_e8 == 3_125_000
    short = of_rows(order(sell=True), fill(sell=True), row(Kind.LIQUIDATION, 5, a=-100, b=30_000 * E8, c=0, d=1))
    assert short.fills[1]["side"] == "BUY" and short.fills[1]["realised_usdt"] == pytest.approx(-200.0)


def test_a_liquidation_is_no_slippage_of_ours():
    found = of_rows(order(), fill(ticks=280_010), row(Kind.LIQUIDATION, 5, a=100, b=20_000 * E8, c=0, d=1))
    assert found.slippage_bps() == pytest.approx(1e4 * 1 / 28_001)


def test_a_funding_row_says_rate_mark_position_and_what_was_received():
    found = of_rows(order(), fill(), row(Kind.FUNDING_PAID, 9, a=-28_500_000, b=10_000, c=28_500 * E8, d=100))
    assert found.funding == [
        {
            "ts_ns": 9,
            "symbol": "BTCUSDT",
            "rate": 0.0001,
            "mark": 28_500.0,
            "quantity": pytest.approx(0.1),
            "amount_usdt": -0.285,
        }
    ]
    assert found.account.funding_e8 == -28_500_000


def test_refusals_and_rejections_are_counted_by_reason():
    found = of_rows(
        *(row(Kind.REFUSED, a=int(Reason.R15_DUPLICATE)) for _ in range(3)),
        row(Kind.REFUSED, a=int(Reason.R1_PRICE_COLLAR)),
        order(),
        said(Kind.REJECTED, b=-5022),
        order(number=1),
        said(Kind.REJECTED, number=1, b=-2019),
    )
    assert found.refusals == {"R15_DUPLICATE": 3, "R1_PRICE_COLLAR": 1}
    assert found.rejections == {"VENUE_-5022": 1, "VENUE_-2019": 1}
    assert len(found.orders) == 2


def test_the_fill_rate_weighs_orders_by_value_and_post_only_counts_what_was_accepted():
    found = of_rows(
        order(tif=TimeInForce.GTX),
        fill(lots=25),
        order(number=1, tif=TimeInForce.GTX),
        said(Kind.REJECTED, number=1, b=-5022),
        order(number=2, lots=200),
        fill(lots=200, number=2),
        order(number=3, tif=TimeInForce.GTX),
        said(Kind.ACCEPTED, number=3, b=4),
    )
    assert found.fill_rate() == pytest.approx(225 / 500)
    assert found.post_only_success() == pytest.approx(2 / 3)


def test_a_fill_of_an_order_that_nobody_knows_is_booked_all_the_same():
    found = of_rows(fill(number=9))
    assert found.account.position(0)["lots"] == 100 and not found.orders
    assert found.fills[0]["reference_price"] == 0.0 and found.fills[0]["slippage_bps"] == 0.0


def test_what_is_not_the_accounts_is_passed_over():
    market = [row(Kind(kind)) for kind in (Kind.DEPTH, Kind.TRADE, Kind.MARK, Kind.CANDLE, Kind.TIMER, Kind.RANGE)]
    found = of_rows(*market, row(Kind.ALARM, a=1), row(Kind.CANCEL, a=1), row(Kind.SET_TIMER), row(Kind.SEAL))
    assert not (found.orders or found.fills or found.funding or found.refusals or found.transfers)
    found.apply(np.zeros(0, EVENT_DTYPE))
    assert not found.orders
