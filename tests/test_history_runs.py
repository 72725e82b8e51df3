"""Whole runs on candle files: candles longer than those of the files, and the filters of their day."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import HISTORY, configuration

from autotrader.cli import main
from core_ext.journal import read_journal
from core_ext.types import Kind

HOUR_MS = 3_600_000
DECIDED = [Kind.ORDER, Kind.CANCEL, Kind.REFUSED, Kind.FILL, Kind.FUNDING_PAID, Kind.ALARM]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTRADER_LANG", "en")


def finish(folder: Path, *files: Path, symbols=None, **changes: str) -> dict:
    """Run a backtest as a user types it, verify its replay, and return its summary."""
    config = configuration(folder.with_suffix(".toml"), "trend", symbols, **changes)
    assert main(["backtest", str(config), "--data", *map(str, files), "--out", str(folder)]) == 0
    assert main(["replay", str(folder), "--verify"]) == 0
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def journal(folder: Path) -> np.ndarray:
    return np.concatenate([block.array().copy() for block in read_journal(str(folder / "journal/000000.seg"))])


def decided(folder: Path) -> np.ndarray:
    """What was asked for and what came of it, the epoch of the data's hash taken out of the ids."""
    rows = journal(folder)
    chosen = rows[np.isin(rows["kind"], DECIDED)].copy()
    chosen["a"][np.isin(chosen["kind"], [Kind.ORDER, Kind.CANCEL, Kind.FILL])] &= 0xFFFFFFFF
    return chosen


# --- candles longer than those of the files


def longer(bars: pl.DataFrame, hours: int) -> pl.DataFrame:
    """Return the whole longer bars of hourly ones, the plainest way."""
    stamp = (pl.col("ts_ms") // (hours * HOUR_MS) * hours * HOUR_MS).alias("ts_ms")
    parts = bars.sort("ts_ms").group_by("symbol", stamp, maintain_order=True)
    made = parts.agg(
        pl.len().alias("parts"),
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    return made.filter(pl.col("parts") == hours).drop("parts").sort("symbol", "ts_ms")


@pytest.mark.parametrize(("interval", "hours", "mark"), [("4h", 4, "proxy"), ("1d", 24, "proxy"), ("1d", 24, "file")])
def test_a_run_on_longer_candles_decides_as_one_on_files_of_them(tmp_path, interval, hours, mark):
    bars = pl.read_parquet(HISTORY[0])
    made = longer(bars, hours)
    within = pl.col("ts_ms").is_between(made["ts_ms"].min(), made["ts_ms"].max() + hours * HOUR_MS - 1)
    bars.filter(within).write_parquet(tmp_path / "shorter.parquet")
    made.write_parquet(tmp_path / "longer.parquet")
    changes = {"interval": f'"{interval}"', "mark": f'"{mark}"'}
    summaries = [
        finish(tmp_path / f"run-{name}", tmp_path / f"{name}.parquet", *HISTORY[1:], **changes)
        for name in ("shorter", "longer")
    ]
    ours, theirs = decided(tmp_path / "run-shorter"), decided(tmp_path / "run-longer")
    assert np.count_nonzero(ours["kind"] == Kind.FILL) > 5
    assert ours.tobytes() == theirs.tobytes()
    assert summaries[0]["final_equity"] == summaries[1]["final_equity"]
    note = f"{interval} candles are gathered from 1h candles; one with a part missing is left out"
    assert [note in summary["notes"] for summary in summaries] == [True, False]


def test_hours_gathered_from_recorded_minutes_decide_as_the_shipped_hours(tmp_path, shared):
    hours = pl.read_parquet(HISTORY[0])
    within = pl.col("ts_ms").is_between(hours["ts_ms"].min(), hours["ts_ms"].max() + HOUR_MS - 1)
    minutes = pl.read_parquet(shared / "data/klines/um_1m_2025_05.parquet").filter(within)
    minutes.write_parquet(tmp_path / "minutes.parquet")
    finish(tmp_path / "minutes", tmp_path / "minutes.parquet", *HISTORY[1:])
    finish(tmp_path / "hours", *HISTORY)
    assert np.count_nonzero(decided(tmp_path / "hours")["kind"] == Kind.FILL) > 100
    assert decided(tmp_path / "minutes").tobytes() == decided(tmp_path / "hours").tobytes()


def test_nothing_of_a_longer_candle_is_known_before_it_has_closed(tmp_path):
    bars = pl.read_parquet(HISTORY[0])
    cut = bars["ts_ms"].min() // (24 * HOUR_MS) * 24 * HOUR_MS + 15 * 24 * HOUR_MS  # a day that closes
    inside = pl.col("ts_ms").is_between(cut - 5 * HOUR_MS, cut - 1)
    prices = [
        pl.when(inside).then(pl.col(n) * 1.25).otherwise(pl.col(n)).round(1) for n in ("open", "high", "low", "close")
    ]
    bars.with_columns(prices).write_parquet(tmp_path / "other.parquet")
    for name, source in (("whole", HISTORY[0]), ("changed", tmp_path / "other.parquet")):
        finish(tmp_path / name, source, *HISTORY[1:], interval='"1d"', symbols=("BTCUSDT",))
    before = [decided(tmp_path / name) for name in ("whole", "changed")]
    before = [rows[rows["ts"] < cut * 1_000_000] for rows in before]
    assert len(before[0]) > 0
    assert before[0].tobytes() == before[1].tobytes()


def test_candles_that_cannot_be_made_of_the_files_are_one_error(tmp_path, capsys):
    config = configuration(tmp_path / "c.toml", "trend", interval='"30m"')
    assert main(["backtest", str(config), "--data", *map(str, HISTORY), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{HISTORY[0]}: has 1h bars, of which no 30m candles can be made; set data.interval to 1h" in line
    assert not (tmp_path / "out").exists()


# --- filters of their day


def test_a_run_orders_in_the_lot_of_its_day_and_says_so(tmp_path, capsys):
    # May as if the lot were still a whole coin and the tick a tenth; June as it was.
    june = pl.col("ts_ms") >= 1_748_736_000_000
    prices = [pl.when(june).then(n).otherwise(pl.col(n).round(1)).alias(n) for n in ("open", "high", "low", "close")]
    volume = pl.when(june).then("volume").otherwise(pl.col("volume").round()).alias("volume")
    pl.read_parquet(HISTORY[0]).with_columns(*prices, volume).write_parquet(tmp_path / "then.parquet")
    files = (tmp_path / "then.parquet", *HISTORY[1:])
    summary = finish(tmp_path / "run", *files, symbols=("SOLUSDT", "BNBUSDT"))
    for name in ("SOLUSDT", "BNBUSDT"):
        line = f"{name}: orders use the filters of their day, told month by month from the files: "
        assert line + "tick 0.1, lot 1 from 2025-05; tick 0.01, lot 0.01 from 2025-06" in summary["warnings"]
    manifest = json.loads((tmp_path / "run/journal/manifest.json").read_text())
    assert [row[2:4] for row in manifest["source"]["filters"]] == [[10, 100], [10, 100], [1, 1], [1, 1]]
    fills = pl.read_parquet(tmp_path / "run/fills.parquet").with_columns(
        (pl.col("ts_ns") >= 1_748_736_000 * 10**9).alias("june")
    )
    of_a_coin = pl.col("quantity").round(8) % 1
    may, june = (fills.filter(pl.col("june") == later) for later in (False, True))
    assert may.height > 10 and june.height > 3
    assert may.select((of_a_coin == 0).all()).item() and not june.select((of_a_coin == 0).all()).item()
    assert may.select(((pl.col("price") * 10).round(6) % 1 == 0).all()).item()
    assert main(["report", str(tmp_path / "run"), "--lang", "ko"]) == 0


def test_the_years_of_the_majors_trade_at_the_tick_of_their_day(tmp_path, shared):
    within = pl.col("ts_ms").is_between(1_643_673_600_000, 1_648_771_199_999)  # February and March 2022
    source = pl.read_parquet(shared / "data/klines/um_1h_2019_2026.parquet")
    source.filter(within, pl.col("symbol") == "BTCUSDT").write_parquet(tmp_path / "btc.parquet")
    summary = finish(tmp_path / "run", tmp_path / "btc.parquet", symbols=("BTCUSDT",), funding='"none"', mark='"proxy"')
    (line,) = [line for line in summary["warnings"] if "filters of their day" in line]
    assert line.endswith("tick 0.01, lot 0.001 from 2022-02; tick 0.1, lot 0.001 from 2022-03")
    fills = pl.read_parquet(tmp_path / "run/fills.parquet")
    on_tenths = (pl.col("price") * 10).round(6) % 1 == 0
    march = pl.col("ts_ns") >= 1_646_092_800 * 10**9
    assert fills.filter(march).height > 10
    assert fills.filter(march).select(on_tenths.all()).item()
    assert not fills.filter(~march).select(on_tenths.all()).item()
