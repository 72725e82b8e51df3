"""The ledger: tables rebuilt from the journal alone tell what the engine booked, to the last 1e-8 USDT."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import E8, HISTORY, RECORDING, SIZING, configuration, limits, row
from journals import START, instruments, journal

from autotrader.adapters.storage import run_folder
from autotrader.adapters.storage.run_folder import RunFolder, RunTables
from autotrader.config import load
from autotrader.research.replay import Session
from autotrader.run import wiring
from autotrader.views.equity import Sample
from autotrader.views.ledger import Ledger
from autotrader.views.orders import PLACES
from core_ext.account import Account
from core_ext.engine import Engine
from core_ext.journal import read_journal
from core_ext.sizing import Factor
from core_ext.strategy import Strategy
from core_ext.types import EVENT_DTYPE, Flag, Kind, OrderState, OrderType, Reason, TimeInForce

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
TOTALS = ("wallet_e8", "realised_e8", "fees_e8", "funding_e8", "transfers_e8", "liquidation_fees_e8")
BOOKED = ("cost_e8", "realised_e8", "fees_e8", "funding_e8", "isolated_e8")


def ledger() -> Ledger:
    return Ledger(instruments(), START)


def of_rows(*rows: np.ndarray) -> Ledger:
    found = ledger()
    found.apply(0, np.concatenate(rows))
    return found


def last(found: Ledger) -> Sample:
    *_, sample = found.equity.rows()
    return sample


def assert_same_books(found: Ledger, expected: Account) -> None:
    sample = last(found)
    assert {name: getattr(sample, name) for name in TOTALS} == {name: getattr(expected, name) for name in TOTALS}
    for position in found.positions.rows():
        symbol = expected_symbol(found, position.symbol)
        held = expected.position(symbol, position.leg)
        assert position.quantity_e8 == held["lots"] * found.instruments.spec(symbol)["lot_e8"], position
        assert {name: getattr(position, name) for name in BOOKED} == {name: held[name] for name in BOOKED}, position
    used = {(expected_symbol(found, position.symbol), position.leg) for position in found.positions.rows()}
    for symbol in range(len(found.instruments)):
        for leg in (0, 1):
            held = expected.position(symbol, leg)
            assert (symbol, leg) in used or not any(held[name] for name in ("lots", *BOOKED)), (symbol, leg)


def expected_symbol(found: Ledger, name: str) -> int:
    return found.instruments.names.index(name)


def table(found: Ledger, name: str, folder: Path) -> list[dict]:
    """The rows of a run folder's table, read back from its Parquet file."""
    tables = RunTables(RunFolder(folder), found)
    tables.close()
    return pl.read_parquet(folder / f"{name}.parquet").to_dicts()


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
    assert_same_books(found, engine.account)
    assert engine.account.reconcile() == 0
    fills, payments, quality = found.fills.drain(), found.payments.drain(), found.quality.figures()
    assert len(fills) == np.count_nonzero(np.isin(rows["kind"], [Kind.FILL, Kind.LIQUIDATION]))
    assert sum(fill.realised_e8 for fill in fills) == engine.account.realised_e8
    assert sum(fill.fee_e8 for fill in fills) == engine.account.fees_e8
    fees = quality.fees_maker_e8 + quality.fees_taker_e8 + engine.account.liquidation_fees_e8
    assert fees == engine.account.fees_e8
    traded = quality.traded_e8
    assert traded == engine.account.turnover_e8
    for kind, total in (("FUNDING_PAID", engine.account.funding_e8), ("TRANSFER", engine.account.transfers_e8)):
        assert sum(paid.amount_e8 for paid in payments if paid.kind == kind) == total


@pytest.mark.parametrize("size", [1, 7, 100])
def test_rows_may_come_in_pieces_of_any_size(size):
    rows, piecewise, whole = account_rows(1), ledger(), of_rows(account_rows(1))
    drained = {view.name: {} for view in piecewise.views}
    for at in range(0, len(rows), size):
        piecewise.apply(at, rows[at : at + size])
        for view in piecewise.views:
            for record in view.drain():
                drained[view.name][tuple(getattr(record, name) for name in view.key)] = record
    for view in whole.views:
        assert list(drained[view.name].values()) == view.drain() or view.name in ("positions", "quality")
    assert list(piecewise.positions.rows()) == list(whole.positions.rows())
    assert list(piecewise.quality.rows()) == list(whole.quality.rows())
    assert piecewise.next == whole.next == len(rows)


def test_rows_that_were_folded_before_change_nothing_and_missing_ones_are_a_fault():
    rows, found = account_rows(2), of_rows(account_rows(2))
    for view in found.views:
        view.drain()
    found.apply(0, rows)
    found.apply(len(rows) - 7, rows[-7:])
    assert [view.drain() for view in found.views] == [[]] * len(found.views)
    with pytest.raises(ValueError, match=f"row {len(rows)} of the journal is awaited, {len(rows) + 1} came"):
        found.apply(len(rows) + 1, rows)


def finished(tmp_path: Path, strategy: str, files: list[Path]) -> tuple[Session, Ledger]:
    config = load(configuration(tmp_path / "c.toml", strategy))
    run = wiring.Run(config, files, lambda share, text: None)
    session = Session(run.plan, tmp_path / "j.seg")
    for _ in session.run(run.source):
        pass
    session.finish()
    found = Ledger(run.plan.instruments(), run.plan.start_e8)
    for block in read_journal(str(tmp_path / "j.seg")):
        found.apply(found.next, block.array())
    return session, found


@pytest.mark.parametrize(("strategy", "files"), [("quoter", [RECORDING]), ("trend", HISTORY)])
def test_the_tables_of_a_whole_run_equal_what_its_engine_holds(tmp_path, strategy, files):
    session, found = finished(tmp_path, strategy, files)
    fills, payments = found.fills.drain(), found.payments.drain()
    assert len(fills) > 10 and any(paid.kind == "FUNDING_PAID" for paid in payments)
    assert_same_books(found, session.engine.account)
    assert sum(fill.realised_e8 for fill in fills) == session.engine.account.realised_e8
    words = {"PENDING_NEW": "PENDING", "EXPIRED_": "EXPIRED", "REJECTED_": "REJECTED"}
    held = session.engine.orders.rows()
    assert len(held) > 10
    for order in held:
        mine, state = found.orders.find(as_signed(order["client_id"])), OrderState(order["state"]).name
        lot_e8 = session.engine.instruments.spec(order["symbol"])["lot_e8"]
        assert (mine.state, mine.venue_id or mine.algo_id) == (words.get(state, state), order["venue_id"])
        assert (mine.filled_e8, mine.quantity_e8) == (order["filled"] * lot_e8, order["lots"] * lot_e8)


def as_signed(client_id: int) -> int:
    return client_id - 2**64 if client_id >= 2**63 else client_id


def test_a_run_without_a_fill_has_empty_tables_and_no_ratios(tmp_path):
    found = of_rows(row(Kind.RUN), row(Kind.SEAL))
    assert [table(found, name, tmp_path) for name in ("orders", "fills", "funding")] == [[], [], []]
    figures = found.quality.figures()
    assert (figures.slippage_bps, figures.fill_rate, figures.post_only_success) == (None, None, None)
    assert (figures.cancel_ratio, figures.maker_share, set(figures.time_to_fill_ns.values())) == (None, None, {None})
    sample = last(found)
    assert (sample.wallet_e8, sample.equity_e8, sample.drawdown_e8, sample.priced_ns) == (START, START, 0, 0)


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
    (known,) = found.orders.rows()
    assert (known.state, known.filled_e8) == (state, filled * 10**5)
    assert known.updated_ns == int([order(), *evidence][-1]["ts"][0])


def test_an_order_row_says_what_was_asked(tmp_path):
    found = of_rows(
        order(7, 50, 281_451, sell=True, tif=TimeInForce.GTX, mid=2_814_515 * E8 // 100, flags=Flag.F_REDUCE_ONLY),
        order(8, 20, 0, number=1),
    )
    post, market = table(found, "orders", tmp_path)
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
        "short_leg": False,
        "trigger_price": 0.0,
        "amendments": 0,
        "code": 0,
    }
    assert (market["type"], market["tif"], market["price"], market["side"]) == ("MARKET", "GTC", 0.0, "BUY")
    assert market["client_id"] == ID + 1 and not market["reduce_only"]
    assert found.risk.counts("size_cap") == {"KELLY": 2}


def test_a_fill_row_says_what_was_paid_and_what_is_held(tmp_path):
    # Buy 0.1 at 28,000.5 against a mid of 28,000; sell 0.04 of it at 28,100 against a mid of 28,101.
    found = of_rows(
        order(),
        fill(3, 100, 280_005, fee=140_002_500),
        order(4, 40, 281_000, sell=True, mid=28_101 * E8, number=1),
        fill(5, 40, 281_000, sell=True, maker=True, fee=22_480_000, number=1),
    )
    bought, sold = table(found, "fills", tmp_path)
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
    figures = found.quality.figures()
    assert figures.paid_e8 == 5_000_000 + 4_000_000  # 0.1 * 0.5 + 0.04 * 1 USDT
    assert figures.slippage_bps == pytest.approx(1e4 * 0.09 / (2_800.05 + 0.04 * 28_100))
    assert (figures.fees_maker_e8, figures.fees_taker_e8) == (22_480_000, 140_002_500)


def test_a_better_price_than_the_mid_is_negative_slippage():
    found = of_rows(order(), fill(ticks=279_990, maker=True))
    assert found.fills.drain()[0].paid_e8 == found.quality.figures().paid_e8 == -E8 // 10
    assert found.quality.figures().slippage_bps == pytest.approx(-1e4 * 1 / 27_999)


def test_a_liquidation_closes_the_position_at_its_price_without_an_order(tmp_path):
    found = of_rows(order(), fill(), row(Kind.LIQUIDATION, 5, a=100, b=2_500_012_345_678, c=3_125_000, d=24_000 * E8))
    taken = table(found, "fills", tmp_path)[1]
    assert (taken["side"], taken["liquidation"], taken["client_id"], taken["position_after"]) == ("SELL", True, 0, 0.0)
    assert taken["price"] == 25_000.12345678 and taken["quantity"] == pytest.approx(0.1)
    assert taken["realised_usdt"] == pytest.approx(0.1 * (25_000.12345678 - 28_000), abs=1e-8)
    assert taken["fee_usdt"] == 0.03125 and taken["slippage_bps"] == 0.0
    assert last(found).liquidation_fees_e8 == 3_125_000
    short = of_rows(order(sell=True), fill(sell=True), row(Kind.LIQUIDATION, 5, a=-100, b=30_000 * E8, c=0, d=1))
    bought = short.fills.drain()[1]
    assert (bought.side, bought.realised_e8, bought.cause) == ("BUY", -200 * E8, 0)


def test_a_liquidation_is_no_slippage_of_ours():
    found = of_rows(order(), fill(ticks=280_010), row(Kind.LIQUIDATION, 5, a=100, b=20_000 * E8, c=0, d=1))
    assert found.quality.figures().slippage_bps == pytest.approx(1e4 * 1 / 28_001)


def test_a_funding_row_says_rate_mark_position_and_what_was_received(tmp_path):
    found = of_rows(order(), fill(), row(Kind.FUNDING_PAID, 9, a=-28_500_000, b=10_000, c=28_500 * E8, d=100))
    assert table(found, "funding", tmp_path) == [
        {
            "ts_ns": 9,
            "symbol": "BTCUSDT",
            "rate": 0.0001,
            "mark": 28_500.0,
            "quantity": pytest.approx(0.1),
            "amount_usdt": -0.285,
        }
    ]
    assert last(found).funding_e8 == -28_500_000


def test_refusals_and_rejections_are_counted_by_reason():
    found = of_rows(
        *(row(Kind.REFUSED, a=int(Reason.R15_DUPLICATE)) for _ in range(3)),
        row(Kind.REFUSED, a=int(Reason.R1_PRICE_COLLAR)),
        order(),
        said(Kind.REJECTED, b=-5022),
        order(number=1),
        said(Kind.REJECTED, number=1, b=-2019),
    )
    assert found.risk.counts("refusal") == {"R15_DUPLICATE": 3, "R1_PRICE_COLLAR": 1}
    assert found.quality.figures().rejected["reject_code"] == {-5022: 1, -2019: 1}
    assert found.quality.figures().rejections == 2
    refused = [(order.state, order.code, order.client_id) for order in found.orders.drain() if not order.client_id]
    assert refused == [("REFUSED", Reason.R15_DUPLICATE, 0)] * 3 + [("REFUSED", Reason.R1_PRICE_COLLAR, 0)]


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
    figures = found.quality.figures("BTCUSDT")
    assert figures.fill_rate == pytest.approx(225 / 500)
    assert figures.post_only_success == pytest.approx(2 / 3)
    assert replace(figures, symbol=None) == found.quality.figures()


def test_a_fill_of_an_order_that_nobody_knows_is_booked_all_the_same():
    found = of_rows(fill(number=9))
    (position,), (booked,) = found.positions.rows(), found.fills.drain()
    assert position.quantity_e8 == booked.position_e8 == 100 * 10**5 and not list(found.orders.rows())
    assert (booked.reference_e8, booked.paid_e8) == (0, 0)


def test_what_is_not_the_accounts_is_passed_over():
    market = [row(Kind(kind)) for kind in (Kind.DEPTH, Kind.TRADE, Kind.MARK, Kind.CANDLE, Kind.TIMER, Kind.RANGE)]
    found = of_rows(*market, row(Kind.ALARM, a=1), row(Kind.CANCEL, a=1), row(Kind.SET_TIMER), row(Kind.SEAL))
    kept = {view.name: view.drain() for view in found.views}
    assert {name for name, records in kept.items() if records} == {"risk"}
    assert [(watch.topic, watch.name, watch.value) for watch in kept["risk"]] == [("alarm", "BOOK_GAP", 1)]
    found.apply(found.next, np.zeros(0, EVENT_DTYPE))
    assert found.next == len(market) + 4


def test_a_kind_that_no_view_knows_is_passed_over():
    strange = row(Kind.ALARM)
    strange["kind"] = 250
    found = of_rows(strange)
    assert (found.next, [view.drain() for view in found.views]) == (1, [[]] * len(found.views))


# --- the run folder's tables


@pytest.mark.parametrize("block", [3, 100])
def test_tables_are_the_same_in_memory_and_in_parts(tmp_path, monkeypatch, block):
    rows = journal(4, 1_500)
    whole = Ledger(instruments(), START)
    whole.apply(0, rows)
    RunTables(RunFolder(tmp_path), whole).close()
    expected = {
        name: pl.read_parquet(tmp_path / f"{name}.parquet").to_dicts() for name in ("orders", "fills", "funding")
    }
    assert all(len(records) > 20 for records in expected.values())
    monkeypatch.setattr(run_folder, "PART_ROWS", 10)
    (tmp_path / "parts").mkdir()
    found = Ledger(instruments(), START)
    tables = RunTables(RunFolder(tmp_path / "parts"), found)
    for at in range(0, len(rows), block):
        found.apply(at, rows[at : at + block])
        tables.take()
    assert any(path.suffix == ".part" for path in (tmp_path / "parts").iterdir())
    tables.close()
    for name, records in expected.items():
        assert pl.read_parquet(tmp_path / "parts" / f"{name}.parquet").to_dicts() == records, name
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {f"{name}.parquet" for name in expected}
    transfers = rows[(rows["kind"] == Kind.TRANSFER) & (rows["b"] == 0)]
    assert tables.transfers == list(zip(transfers["ts"].tolist(), transfers["a"].tolist(), strict=True))


def test_a_table_writer_holds_no_more_orders_than_the_ledger_remembers(tmp_path):
    rows = np.concatenate([order()] * (PLACES + 300))
    rows["a"] += np.arange(len(rows))
    found = ledger()
    tables = RunTables(RunFolder(tmp_path), found)
    for at in range(0, len(rows), 1_000):
        found.apply(at, rows[at : at + 1_000])
        tables.take()
    assert len(tables._open) == PLACES
    tables.close()
    assert pl.read_parquet(tmp_path / "orders.parquet")["client_id"].to_list() == [ID + at for at in range(len(rows))]
