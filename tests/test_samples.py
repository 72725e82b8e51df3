"""The shipped samples are what they say: whole, unaltered, without gaps, exact in eight decimals."""

import gzip
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from autotrader.instruments import load

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "autotrader/samples"
SOURCES = json.loads((SAMPLES / "SOURCES.json").read_text())
TABLES = [name for name in SOURCES if name.endswith(".parquet")]
CANDLES, FUNDING, MARKS = "candles_1h_2025_05.parquet", "funding_2025_05.parquet", "mark_8h_2025_05.parquet"
L2 = "btcusdt_l2_20230404.gz"
SYMBOLS = ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "SUIUSDT"]

HOUR_MS = 3_600_000
START_MS = int(datetime(2025, 5, 4, 16, tzinfo=UTC).timestamp() * 1000)
END_MS = int(datetime(2025, 6, 3, 8, tzinfo=UTC).timestamp() * 1000)


def table(name):
    return pl.read_parquet(SAMPLES / name)


def stamps(name, symbol):
    return table(name).filter(pl.col("symbol") == symbol)["ts_ms"].to_list()


@pytest.fixture(scope="module")
def messages():
    with gzip.open(SAMPLES / L2, "rt") as lines:
        split = (line.split(" ", 1) for line in lines)
        return [(int(stamp), json.loads(text)) for stamp, text in split]


# --- all of them


def test_every_sample_has_a_source_and_every_source_a_sample():
    shipped = {path.name for path in SAMPLES.iterdir()} - {"SOURCES.json", "LICENSE-MIT.txt"}
    assert shipped == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_sample_has_the_bytes_that_its_source_states(name):
    content = (SAMPLES / name).read_bytes()
    assert len(content) == SOURCES[name]["bytes"]
    assert hashlib.sha256(content).hexdigest() == SOURCES[name]["sha256"]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_content_that_its_source_states(name):
    rows = table(name)
    assert hashlib.sha256(rows.write_csv().encode()).hexdigest() == SOURCES[name]["content_sha256"]
    assert (len(rows), rows.columns) == (SOURCES[name]["rows"], SOURCES[name]["columns"])


def test_the_samples_stay_below_three_megabytes():
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 3_000_000


def test_the_licence_notice_of_every_source_is_shipped():
    notice = (SAMPLES / "LICENSE-MIT.txt").read_text()
    assert "Permission is hereby granted, free of charge" in notice
    assert all(source["licence"] == "MIT" and source["copyright"] in notice for source in SOURCES.values())


@pytest.mark.parametrize("name", SOURCES)
def test_the_data_page_names_every_sample_with_its_hash(name):
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert name in page
    assert SOURCES[name]["sha256"] in page and SOURCES[name]["commit"] in page


def test_cutting_again_gives_the_same_content(shared, tmp_path):
    subprocess.run([sys.executable, ROOT / "tests/tools/cut_samples.py", "--out", tmp_path], check=True)
    assert (tmp_path / L2).read_bytes() == (SAMPLES / L2).read_bytes()
    for name in TABLES:
        assert pl.read_parquet(tmp_path / name).equals(table(name))


# --- candles, funding, marks


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_candles_are_712_hours_without_a_gap(symbol):
    assert len(range(START_MS, END_MS, HOUR_MS)) == 712
    assert stamps(CANDLES, symbol) == list(range(START_MS, END_MS, HOUR_MS))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_marks_are_89_stamps_without_a_gap(symbol):
    assert stamps(MARKS, symbol) == list(range(START_MS, END_MS, 8 * HOUR_MS))
    assert len(stamps(MARKS, symbol)) == 89


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_funding_stamp_is_a_mark_stamp_with_a_few_ms_of_jitter(symbol):
    late = [found - due for found, due in zip(stamps(FUNDING, symbol), stamps(MARKS, symbol), strict=True)]
    assert min(late) >= 0 and max(late) == 10


@pytest.mark.parametrize("name", [CANDLES, MARKS])
def test_open_and_close_lie_between_low_and_high(name):
    rows = table(name)
    inside = (pl.col("low") <= pl.min_horizontal("open", "close")) & (
        pl.max_horizontal("open", "close") <= pl.col("high")
    )
    assert rows.filter(~inside).is_empty()
    assert rows["low"].min() > 0


def test_every_hour_was_traded_and_funding_is_a_small_fraction():
    assert table(CANDLES)["volume"].min() > 0
    assert table(FUNDING)["rate"].abs().max() < 0.003


def test_mark_and_last_price_agree_at_the_funding_stamps():
    both = table(MARKS).join(table(CANDLES), on=["symbol", "ts_ms"], suffix="_last")
    assert len(both) == 445
    assert ((both["open"] / both["open_last"] - 1).abs() < 0.005).all()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_lie_on_the_tick_and_volumes_on_the_lot_of_the_shipped_table(symbol):
    rows = table(CANDLES).filter(pl.col("symbol") == symbol)
    tick, lot = (Decimal(load()[symbol].known[step]).scaleb(-8) for step in ("tick", "lot"))
    for name, step in [*((price, tick) for price in ("open", "high", "low", "close")), ("volume", lot)]:
        assert all(Decimal(repr(number)) % step == 0 for number in rows[name]), name


@pytest.mark.parametrize("name", TABLES)
def test_every_number_is_exact_at_its_own_decimals(name):
    for column in table(name).select(pl.col(pl.Float64)):
        for number in column:
            text = Decimal(repr(number))
            decimals = max(0, -text.as_tuple().exponent)
            assert decimals <= 8
            assert round(number * 10**decimals) == text.scaleb(decimals)


@pytest.mark.parametrize("name", TABLES)
def test_every_number_but_three_large_volumes_is_exact_at_eight_decimals(name):
    numbers = [number for column in table(name).select(pl.col(pl.Float64)) for number in column]
    inexact = [number for number in numbers if round(number * 10**8) != Decimal(repr(number)).scaleb(8)]
    assert inexact == ([70410119.4, 70759313.9, 79758372.6] if name == CANDLES else [])


def test_an_hour_is_made_of_its_sixty_minutes(shared):
    minutes = pl.read_parquet(shared / "data/klines/um_1m_2025_05.parquet").filter(
        (pl.col("symbol").cast(pl.String) == "SUIUSDT")
        & pl.col("ts_ms").is_between(START_MS, START_MS + HOUR_MS, "left")
    )
    hour = table(CANDLES).filter(pl.col("symbol") == "SUIUSDT").row(0, named=True)
    assert len(minutes) == 60
    assert (hour["open"], hour["close"]) == (minutes["open"][0], minutes["close"][-1])
    assert (hour["high"], hour["low"]) == (minutes["high"].max(), minutes["low"].min())
    assert Decimal(repr(hour["volume"])) == sum(Decimal(repr(v)) for v in minutes["volume"])


# --- the recorder lines


def test_the_recording_holds_one_snapshot_and_the_streams_that_it_names(messages):
    kinds = [message.get("data", message).get("e", "snapshot") for _, message in messages]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {
        "depthUpdate": 4_322, "bookTicker": 6_765, "trade": 2_197, "markPriceUpdate": 99, "snapshot": 1,
    }  # fmt: skip


def test_the_snapshot_has_a_thousand_levels_a_side(messages):
    (snapshot,) = [message for _, message in messages if "lastUpdateId" in message]
    assert (len(snapshot["bids"]), len(snapshot["asks"])) == (1_000, 1_000)


def test_local_stamps_are_microseconds_that_never_go_back(messages):
    local = [stamp for stamp, _ in messages]
    assert local == sorted(local)
    assert datetime.fromtimestamp(local[0] / 1e6, UTC).isoformat().startswith("2023-04-04T23:58:20")
    assert (local[-1] - local[0]) / 1e6 == pytest.approx(99.563, abs=1e-3)


def test_the_recorders_clock_runs_behind_the_exchange(messages):
    lag_ms = sorted(stamp / 1e3 - message.get("data", message)["E"] for stamp, message in messages)
    assert lag_ms[0] == pytest.approx(-23.4, abs=0.01)
    assert lag_ms[len(lag_ms) // 2] == pytest.approx(-8.2, abs=0.02)
