"""Which tick and lot the files of a history tell of their own day, month by month."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import E8, spec

from autotrader import instruments as facts
from autotrader.adapters.storage.steps import Steps
from autotrader.errors import OperatorError
from autotrader.instruments import Epoch

HOUR_MS = 3_600_000
TODAY = spec("BTCUSDT", tick_e8=10**7, lot_e8=10**5)


def stamp(month: str) -> int:
    return int(np.datetime64(month, "ms").astype(np.int64))


def begin(month: str) -> int:
    return stamp(month) * 1_000_000


def months(tick: float, lot: float, *names: str, count: int = 60, symbol: str = "BTCUSDT") -> pl.DataFrame:
    """Return bars of some months whose prices and volumes are every multiple of a tick and a lot in turn."""
    n = np.arange(count)
    frames = []
    for name in names:
        low = np.round((10_000 + n) * tick, 8)
        columns = {"open": low, "high": np.round((10_001 + n) * tick, 8), "low": low, "close": low}
        columns["volume"] = np.round((1 + n) * float(lot), 8)
        frames.append(pl.DataFrame({"symbol": symbol, "ts_ms": stamp(name) + n * HOUR_MS, **columns}))
    return pl.concat(frames)


def told(folder: Path, *frames: pl.DataFrame, specs=(TODAY,), records=None) -> Steps:
    paths = []
    for frame in frames:
        paths.append(folder / f"{len(paths)}.parquet")
        frame.write_parquet(paths[-1])
    return Steps(paths, specs, records or {})


def test_each_month_tells_its_own_tick_and_lot(tmp_path):
    steps = told(tmp_path, months(0.01, 1, "2021-01"), months(0.1, 0.001, "2021-02", "2021-04"))
    coarse = (10**7, 10**5)
    expected = [Epoch(begin("2021-01"), 10**6, E8), *(Epoch(begin(m), *coarse) for m in ("2021-02", "2021-04"))]
    assert steps.epochs("BTCUSDT") == expected
    assert steps.epochs("BTCUSDT") == told(
        tmp_path, pl.concat([pl.read_parquet(tmp_path / f"{n}.parquet") for n in (0, 1)])
    ).epochs("BTCUSDT")


def test_a_month_of_few_values_tells_nothing(tmp_path):
    steps = told(tmp_path, months(0.01, 1, "2021-01", count=19), months(0.01, 1, "2021-02", count=20))
    first, second = steps.epochs("BTCUSDT")
    assert first == Epoch(begin("2021-01"), 10**6, 0)  # its highs and lows are 20 prices
    assert second == Epoch(begin("2021-02"), 10**6, E8)


def test_no_month_tells_anything_of_another(tmp_path):
    january = months(0.1, 0.001, "2021-01")
    alone = told(tmp_path, january).epochs("BTCUSDT")
    assert told(tmp_path, january, months(0.00001, 1, "2021-02")).epochs("BTCUSDT")[:1] == alone


def test_prices_off_their_tick_are_counted_by_the_tick_of_their_day(tmp_path):
    fine, coarse = months(0.01, 1, "2021-01"), months(0.1, 1, "2021-02")
    strays = coarse.with_columns(
        pl.when(pl.int_range(60) == 7).then(pl.col("close") + 0.03).otherwise("close").alias("close")
    )
    strays = strays.with_columns(pl.max_horizontal("high", "close").alias("high"))
    steps = told(tmp_path, fine, strays)
    epochs = facts.epochs_of(TODAY, steps.epochs("BTCUSDT"))
    assert [epoch.tick_e8 for epoch in epochs] == [10**6, 10**7]
    assert steps.off_tick("BTCUSDT", 10**7, epochs) == 1
    assert steps.off_tick("BTCUSDT", 10**7, []) > 200


def test_a_record_of_a_month_goes_before_what_its_data_tell(tmp_path):
    records = {"BTCUSDT": [Epoch(begin("2021-02"), 10**6, 10**6), Epoch(begin("2020-02"), 1, E8)]}
    steps = told(tmp_path, months(0.1, 0.001, "2021-01", "2021-02", "2021-03"), records=records)
    assert [(e.tick_e8, e.lot_e8) for e in steps.epochs("BTCUSDT")] == [(10**7, 10**5), (10**6, 10**6), (10**7, 10**5)]


def test_volumes_too_large_to_be_exact_tell_nothing_of_the_lot(tmp_path):
    large = months(0.1, 0.1, "2021-01").with_columns(pl.col("volume") + 123_456_789.0)
    assert told(tmp_path, large).epochs("BTCUSDT") == [Epoch(begin("2021-01"), 10**7, 0)]


def test_trades_tell_as_candles_do_and_marks_tell_nothing(tmp_path):
    lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    lines += [f"{n},{100 + n / 100},{n},{n},{n},{stamp('2021-01') + n},true" for n in range(1, 60)]
    path = tmp_path / "BTCUSDT-aggTrades-2021-01-01.csv"
    path.write_text("\n".join(lines) + "\n")
    mark = tmp_path / "mark.parquet"
    months(0.00001, 1, "2021-01").drop("volume").write_parquet(mark)
    assert Steps([path, mark], [TODAY], {}).epochs("BTCUSDT") == [Epoch(begin("2021-01"), 10**6, E8)]


def test_a_value_that_cannot_be_true_is_named_with_its_row(tmp_path):
    bad = months(0.1, 1, "2021-01").with_columns(
        pl.when(pl.int_range(60) == 2).then(-1.0).otherwise("low").alias("low")
    )
    with pytest.raises(OperatorError, match="row 3, BTCUSDT, column low"):
        told(tmp_path, bad)


# --- recordings


def real(shared: Path, name: str, *symbols: str) -> tuple[Steps, list[dict]]:
    specs, _ = facts.specs(symbols, table=facts.load(), fees=facts.fee_tier("VIP0"), leverage=3)
    return Steps([shared / f"data/klines/{name}.parquet"], specs, {}), [dict(spec) for spec in specs]


def test_the_majors_since_2019_tell_what_the_exchange_changed(shared):
    names = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    steps, specs = real(shared, "um_1h_2019_2026", *names)
    found = {today["symbol"]: facts.epochs_of(today, steps.epochs(today["symbol"])) for today in specs}
    assert found == {
        "BTCUSDT": [Epoch(begin("2019-09"), 10**6, 10**5), Epoch(begin("2022-03"), 10**7, 10**5)],
        "ETHUSDT": [],
        "XRPUSDT": [],
        "ADAUSDT": [Epoch(begin("2020-01"), 10**3, E8), Epoch(begin("2021-06"), 10**4, E8)],
    }
    # The complete record of September 2021 says the same.
    table = facts.load()
    for today in specs:
        name = today["symbol"]
        epochs = [Epoch(0, today["tick_e8"], today["lot_e8"]), *found[name]]
        then = [epoch for epoch in epochs if epoch.first_ns <= begin("2021-09")][-1]
        (record,) = table[name].past
        assert (then.tick_e8, then.lot_e8) == (record.tick_e8, record.lot_e8)


def test_a_lot_that_became_a_hundred_times_finer_is_seen(shared):
    steps, specs = real(shared, "um_1h_2024_2025_top10", "SOLUSDT")
    assert facts.epochs_of(specs[0], steps.epochs("SOLUSDT")) == [
        Epoch(begin("2024-01"), 10**5, E8),
        Epoch(begin("2024-11"), 10**6, E8),
        Epoch(begin("2025-04"), 10**6, 10**6),
    ]
