"""Candle history: what is believed, what is refused, and in which order its rows come."""

import hashlib
import random
import re
import tracemalloc
import zipfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from autotrader.adapters.storage import history as history_module
from autotrader.adapters.storage import sources
from autotrader.adapters.storage.history import History
from autotrader.errors import OperatorError
from autotrader.messages import set_language
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind

E8 = 10**8
MINUTE, HOUR = 60 * 10**9, 3600 * 10**9
T0 = 1_735_689_600_000  # 2025-01-01 00:00 UTC, ms
T0_NS = T0 * 1_000_000
ARCHIVE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def spec(symbol: str, tick_e8: int, lot_e8: int) -> dict:
    return {
        "symbol": symbol,
        "tick_e8": tick_e8,
        "lot_e8": lot_e8,
        "min_ticks": 1,
        "max_ticks": 10**12,
        "min_lots": 1,
        "max_lots": 10**12,
        "max_market_lots": 10**12,
        "min_notional_e8": 5 * E8,
        "up_e8": 105_000_000,
        "down_e8": 95_000_000,
        "take_bound_e8": 5_000_000,
        "liquidation_fee_e8": 1_250_000,
        "maker_fee_e8": 20_000,
        "taker_fee_e8": 50_000,
        "leverage": 5,
        "max_orders": 200,
        "collar_e8": 1_000_000,
        "tradable": 1,
        "brackets": [(0, 10**17, 400_000, 0, 125)],
    }


BTC, ETH, SOL = (
    spec("BTCUSDT", 10_000_000, 100_000),
    spec("ETHUSDT", 1_000_000, 100_000),
    spec("SOLUSDT", 1_000_000, 1_000_000),
)


def instruments(*specs: dict) -> Instruments:
    return Instruments(list(specs) or [BTC, ETH])


def bar(symbol: str, minute: float, price: float = 100.0, volume: float = 1.0, **other: float) -> dict:
    values = {"open": price, "high": price + 1, "low": price - 1, "close": price + 0.5, "volume": volume, **other}
    return {"symbol": symbol, "ts_ms": T0 + int(minute * 60_000), **values}


def klines(path: Path, rows: list[dict]) -> Path:
    pl.DataFrame(rows).write_parquet(path)
    return path


def mark_bar(symbol: str, minute: int, price: float) -> dict:
    row = bar(symbol, minute, price)
    del row["volume"]
    return row


def funding(path: Path, rows: list[tuple[str, int, float]]) -> Path:
    pl.DataFrame(rows, schema=["symbol", "ts_ms", "rate"], orient="row").write_parquet(path)
    return path


def archive_line(minute: int, price: str = "100.0", volume: str = "1.5", scale: int = 1) -> str:
    opened = (T0 + minute * 60_000) * scale
    return f"{opened},{price},{price},{price},{price},{volume},{opened + 60_000 * scale - 1},0,0,0,0,0"


def archive(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr(path.with_suffix(".csv").name, text)
    else:
        path.write_text(text)
    return path


def rows_of(history: History, size: int = 65536) -> np.ndarray:
    return np.concatenate([np.zeros(0, EVENT_DTYPE), *history.chunks(size)])


def read(*paths: Path, of: Instruments | None = None, interval_ns: int | None = None) -> np.ndarray:
    return rows_of(History(paths, of or instruments(), interval_ns))


def refusal(*paths: Path, of: Instruments | None = None, interval_ns: int | None = None) -> str:
    said = {}
    for language in ("ko", "en"):
        set_language(language)
        with pytest.raises(OperatorError) as caught:
            History(paths, of or instruments(), interval_ns)
        said[language] = str(caught.value)
        assert "\n" not in said[language]
    assert is_korean(said["ko"])
    return said["en"]


def is_korean(sentence: str) -> bool:
    # What the system or a library said stands in parentheses, in its own words.
    ours = re.sub(r"\(.*\)", "", sentence)
    return bool(re.search("[가-힣]", ours)) and not re.search(r"\b[a-z]+ [a-z]+ [a-z]+\b", ours)


def outline(rows: np.ndarray) -> list[tuple[str, str, float, bool]]:
    names = ["BTC", "ETH", "SOL"]
    return [
        (Kind(r["kind"]).name, names[r["symbol"]], (r["ts"] - T0_NS) / MINUTE, bool(r["flags"] & Flag.F_END))
        for r in rows
    ]


def plain_rows(bars: list[dict], grids: list[dict], interval_ns: int) -> list[tuple]:
    """Twin of the merge, by hand: every row of the candles, sorted one by one."""
    names = [grid["symbol"] for grid in grids]
    out = []
    for row in bars:
        symbol, opened = names.index(row["symbol"]), row["ts_ms"] * 1_000_000
        e8 = [int(Decimal(repr(row[name])) * E8) for name in ("open", "high", "low", "close")]
        lots = int((Decimal(repr(row["volume"])) * E8 / grids[symbol]["lot_e8"] + Decimal("0.5")) // 1)
        out.append((opened, 3, symbol, Kind.CANDLE_OPEN, Flag.F_END, e8[0], 0, 0, 0, 0))
        out.append((opened + interval_ns, 1, symbol, Kind.CANDLE, Flag.F_CLOSED, *e8, lots))
    out.sort(key=lambda row: row[:3])
    last = {row[0]: i for i, row in enumerate(out) if row[3] == Kind.CANDLE}
    for i in last.values():
        out[i] = (*out[i][:4], out[i][4] | Flag.F_END, *out[i][5:])
    return [(ts, symbol, kind, flags, *words) for ts, _, symbol, kind, flags, *words in out]


def words(rows: np.ndarray) -> list[tuple]:
    return [tuple(int(row[name]) for name in ("ts", "symbol", "kind", "flags", *"abcde")) for row in rows]


# Rows and their order.


def test_a_bar_is_an_open_at_its_opening_and_a_closed_candle_at_its_close(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", 0, 97000.1, 2.5), bar("BTCUSDT", 1, 97001.0, 0.0)])
    opened, candle, *_ = read(path)
    assert (opened["kind"], opened["ts"], opened["a"], opened["f"]) == (Kind.CANDLE_OPEN, T0_NS, 97000_10000000, MINUTE)
    assert opened["flags"] == Flag.F_END
    assert (candle["kind"], candle["ts"]) == (Kind.CANDLE, T0_NS + MINUTE)
    assert [int(candle[w]) for w in "abcdef"] == [
        97000_10000000,
        97001_10000000,
        96999_10000000,
        97000_60000000,
        2500,
        MINUTE,
    ]
    assert candle["flags"] == Flag.F_END | Flag.F_CLOSED
    assert candle["lag_us"] == 0


def test_bars_that_close_together_are_one_decision_and_opens_come_after_it(tmp_path):
    bars = [bar(symbol, minute) for symbol in ("ETHUSDT", "BTCUSDT") for minute in (0, 1)]
    assert outline(read(klines(tmp_path / "k.parquet", bars))) == [
        ("CANDLE_OPEN", "BTC", 0, True),
        ("CANDLE_OPEN", "ETH", 0, True),
        ("CANDLE", "BTC", 1, False),
        ("CANDLE", "ETH", 1, True),
        ("CANDLE_OPEN", "BTC", 1, True),
        ("CANDLE_OPEN", "ETH", 1, True),
        ("CANDLE", "BTC", 2, False),
        ("CANDLE", "ETH", 2, True),
    ]


def test_marks_come_before_candles_and_funding_between_close_and_open(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar(s, m) for s in ("BTCUSDT", "ETHUSDT") for m in (0, 1)])
    m = klines(tmp_path / "m.parquet", [mark_bar(s, m, 100.25) for s in ("BTCUSDT", "ETHUSDT") for m in (0, 1)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + 60_017, 0.0001)])
    at_close = [row[:2] + row[3:] for row in outline(read(f, m, k)) if row[2] == 1]
    assert at_close == [
        ("MARK_CANDLE", "BTC", False),
        ("MARK_CANDLE", "ETH", False),
        ("CANDLE", "BTC", False),
        ("CANDLE", "ETH", True),
        ("FUNDING", "BTC", True),
        ("CANDLE_OPEN", "BTC", True),
        ("CANDLE_OPEN", "ETH", True),
    ]


def test_filters_hold_from_the_open_at_their_stamp_and_the_first_ones_from_the_start(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(3)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + 60_000, 1e-4)])
    long_ago, soon, after = (T0 * 10**6 + minute * MINUTE for minute in (-9_000, 1, 9))
    words = [[long_ago, 0, 10, 1, 2, 3, 4, 5], [long_ago, 1, 5, 1, 1, 9, 9, 0], [soon, 0, 1, 1, 1, 1, 1, 0]]
    history = History([k, f], instruments(), MINUTE, [*words, [after, 0, 2, 2, 2, 2, 2, 2]])
    rows = rows_of(history)
    found = [(Kind(row["kind"]).name, (int(row["ts"]) - T0 * 10**6) // MINUTE, int(row["symbol"])) for row in rows[:7]]
    assert found == [
        ("FILTERS", 0, 0),
        ("FILTERS", 0, 1),
        ("CANDLE_OPEN", 0, 0),
        ("CANDLE", 1, 0),
        ("FUNDING", 1, 0),
        ("FILTERS", 1, 0),
        ("CANDLE_OPEN", 1, 0),
    ]
    assert [rows[0][word] for word in "abcdef"] == [10, 1, 2, 3, 4, 5]
    assert np.count_nonzero(rows["kind"] == Kind.FILTERS) == 3
    assert all(row["flags"] & Flag.F_END for row in rows[rows["kind"] == Kind.FILTERS])


def test_where_no_candle_closes_the_last_mark_ends_the_run(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", 0), bar("BTCUSDT", 5), bar("BTCUSDT", 10)])
    m = klines(tmp_path / "m.parquet", [mark_bar(s, m, 100.25) for s in ("BTCUSDT", "ETHUSDT") for m in range(6)])
    rows = [row for row in outline(read(k, m)) if row[2] in (1, 5)]
    assert rows == [
        ("MARK_CANDLE", "BTC", 1, False),
        ("MARK_CANDLE", "ETH", 1, True),
        ("MARK_CANDLE", "BTC", 5, False),
        ("MARK_CANDLE", "ETH", 5, False),
        ("CANDLE", "BTC", 5, True),
        ("CANDLE_OPEN", "BTC", 5, True),
    ]


def test_random_bars_with_gaps_equal_a_plain_sort(tmp_path, monkeypatch):
    monkeypatch.setattr(history_module, "WINDOW_BARS", 21)
    chance = random.Random(7)
    grids = [BTC, ETH, SOL]
    for sort in (["symbol", "ts_ms"], ["ts_ms", "symbol"]):
        bars = [
            bar(grid["symbol"], minute, chance.randrange(1000, 10**7) / 100, chance.randrange(10**9) / 1000)
            for grid in grids
            for minute in range(300)
            if chance.random() < 0.9
        ]
        path = tmp_path / "k.parquet"
        pl.DataFrame(bars).sort(sort).write_parquet(path, row_group_size=50)
        assert words(read(path, of=instruments(*grids))) == plain_rows(bars, grids, MINUTE)


def test_rows_are_the_same_whatever_the_chunk_and_the_window(tmp_path, monkeypatch):
    bars = [bar(s, m, 100 + m / 10) for s in ("BTCUSDT", "ETHUSDT") for m in range(500) if (m * 7) % 13]
    marks = [mark_bar("ETHUSDT", m, 100 + m / 10) for m in range(300)]
    paths = [klines(tmp_path / "k.parquet", bars), klines(tmp_path / "m.parquet", marks)]
    paths.append(funding(tmp_path / "f.parquet", [("ETHUSDT", T0 + m * 60_000, 1e-4) for m in (100, 200)]))
    history = History(paths, instruments())
    whole = rows_of(history)
    for size in (1, 2, 3, 7, 100, 1999):
        chunks = list(history.chunks(size))
        assert np.array_equal(np.concatenate(chunks), whole)
        assert all(before["ts"][-1] < after["ts"][0] for before, after in pairwise(chunks))
        assert all(len(chunk) <= max(size, 6) for chunk in chunks)
    for window in (5, 64):
        monkeypatch.setattr(history_module, "WINDOW_BARS", window)
        assert np.array_equal(rows_of(History(paths, instruments())), whole)


def test_a_future_that_is_cut_off_changes_no_earlier_row(tmp_path):
    def files(minutes: int) -> list[Path]:
        bars = [bar(s, m, 100 + m / 10) for s in ("BTCUSDT", "ETHUSDT") for m in range(minutes) if m % 17]
        marks = [mark_bar("BTCUSDT", m, 100 + m / 10) for m in range(minutes)]
        rates = [("BTCUSDT", T0 + m * 60_000 + 3, 1e-4) for m in range(0, minutes, 60)]
        folder = tmp_path / str(minutes)
        folder.mkdir()
        pl.DataFrame(bars).write_parquet(folder / "k.parquet")
        pl.DataFrame(marks).write_parquet(folder / "m.parquet")
        return [folder / "k.parquet", folder / "m.parquet", funding(folder / "f.parquet", rates)]

    whole = read(*files(400))
    for minutes in (70, 133, 290):
        past = T0_NS + minutes * MINUTE
        short = read(*files(minutes))
        assert np.array_equal(short[short["ts"] < past], whole[whole["ts"] < past])
        assert len(short[short["ts"] < past]) > minutes


def test_reading_twice_gives_the_same_rows(tmp_path):
    history = History([klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(50)])], instruments())
    assert np.array_equal(rows_of(history), rows_of(history))


# Exact numbers.


@pytest.mark.parametrize("text", ["0.00000001", "0.1", "97123.45", "0.0123457", "4999.99999999", "8999999999.99999999"])
def test_prices_are_exact_from_text(tmp_path, text):
    path = archive(tmp_path / "BTCUSDT-1m-2025-01-01.csv", [archive_line(0, text), archive_line(1, text)])
    assert read(path)[0]["a"] == int(Decimal(text) * E8)


@pytest.mark.parametrize("price", [0.00000001, 0.1, 97123.45, 0.0123457, 73834.21434437, 90071992.54740991])
def test_prices_are_exact_from_doubles(tmp_path, price):
    path = klines(
        tmp_path / "k.parquet", [bar("BTCUSDT", m, open=price, high=price, low=price, close=price) for m in (0, 1)]
    )
    assert read(path)[0]["a"] == int(Decimal(repr(price)) * E8)


def test_many_prices_of_two_decimals_are_exact_from_doubles(tmp_path):
    cents = np.arange(1, 200_001) * 50 + 3
    price = cents / 100
    frame = pl.DataFrame({"symbol": "BTCUSDT", "ts_ms": T0 + 60_000 * np.arange(len(cents)), "volume": 0.0})
    path = tmp_path / "k.parquet"
    frame.with_columns(*(pl.Series(n, price) for n in ("open", "high", "low", "close"))).write_parquet(path)
    rows = read(path)
    assert np.array_equal(rows[rows["kind"] == Kind.CANDLE]["d"], cents * 10**6)


@pytest.mark.parametrize(
    ("volume", "lots"),
    [
        ("0", 0),
        ("0.001", 1),
        ("0.0014", 1),
        ("0.0015", 2),
        ("123456789.123", 123456789123),
        ("145150420958.3", 145150420958300),
    ],
)
def test_volume_is_the_nearest_lot(tmp_path, volume, lots):
    text = archive(
        tmp_path / "BTCUSDT-1m-2025-01-01.csv", [archive_line(0, volume=volume), archive_line(1, volume=volume)]
    )
    floats = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m, volume=float(volume)) for m in (0, 1)])
    for path in (text, floats):
        rows = read(path)
        assert rows[rows["kind"] == Kind.CANDLE]["e"].tolist() == [lots, lots]


def test_values_finer_than_the_eighth_decimal_are_rounded_and_reported(tmp_path):
    fine = 100.123456789
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m, open=fine) for m in (0, 1)])
    history = History([path], instruments())
    assert rows_of(history)[0]["a"] == 100_12345679
    assert any("2 values rounded to 1e-8" in warning for warning in history.warnings)
    text = archive(tmp_path / "BTCUSDT-1m-2025-01-01.csv", [archive_line(m, "100.123456789") for m in (0, 1)])
    history = History([text], instruments())
    assert rows_of(history)[0]["a"] == 100_12345679
    assert any("8 values rounded to 1e-8" in warning for warning in history.warnings)


def test_values_on_no_tick_are_kept(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", 0, 100.0, close=100.05), bar("BTCUSDT", 1, 100.0)])
    history = History([path], instruments())
    assert rows_of(history)[1]["d"] == 100_05000000


# Formats.


def test_parquet_csv_archive_and_zip_give_the_same_rows(tmp_path):
    prices = [f"{97000 + m % 50}.{m % 10}" for m in range(200)]
    bars = [
        {"symbol": "BTCUSDT", "ts_ms": T0 + m * 60_000, **dict.fromkeys(("open", "high", "low", "close"), float(p))}
        | {"volume": 1.5}
        for m, p in enumerate(prices)
    ]
    lines = [archive_line(m, p) for m, p in enumerate(prices)]
    micro = [archive_line(m, p, scale=1000) for m, p in enumerate(prices)]
    expected = read(klines(tmp_path / "k.parquet", bars))
    pl.DataFrame(bars).with_columns(extra=pl.lit("x")).write_csv(tmp_path / "plain.csv")
    files = [
        tmp_path / "plain.csv",
        archive(tmp_path / "a/BTCUSDT-1m-2025-01-01.csv", lines),
        archive(tmp_path / "b/BTCUSDT-1m-2025-01-01.csv", [ARCHIVE_HEADER, *lines]),
        archive(tmp_path / "c/BTCUSDT-1m-2025-01-01.zip", [ARCHIVE_HEADER, *lines]),
        archive(tmp_path / "d/BTCUSDT-1m-2025-01-01.zip", micro),
    ]
    crlf = tmp_path / "e/BTCUSDT-1m-2025-01-01.csv"
    crlf.parent.mkdir()
    crlf.write_bytes(b"\xef\xbb\xbf" + ("\r\n".join([ARCHIVE_HEADER, *lines]) + "\r\n\r\n").encode())
    for path in (*files, crlf):
        assert np.array_equal(read(path), expected), path


def test_a_csv_of_several_symbols_is_read_in_time_order_however_it_is_sorted(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TEXT_BYTES", 700)
    bars = [bar(s, m, 100 + m / 10) for s in ("ETHUSDT", "XRPUSDT", "BTCUSDT") for m in range(100)]
    expected = read(klines(tmp_path / "k.parquet", bars))
    for sort in (["symbol", "ts_ms"], ["ts_ms", "symbol"]):
        pl.DataFrame(bars).sort(sort).write_csv(tmp_path / "k.csv")
        assert np.array_equal(read(tmp_path / "k.csv"), expected)


def test_day_files_of_the_archive_follow_each_other_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TEXT_BYTES", 500)
    days = [
        archive(tmp_path / f"{symbol}-1m-2025-01-0{day}.zip", [archive_line(m) for m in range(day * 60, day * 60 + 60)])
        for symbol in ("BTCUSDT", "ETHUSDT")
        for day in (3, 1, 2)
    ]
    history = History(days, instruments())
    assert (history.bars, history.gaps) == (360, {"BTCUSDT": 0, "ETHUSDT": 0})
    assert [facts.path for facts in history.files] == days
    bars = [
        bar(s, m, close=100.0, high=100.0, low=100.0, volume=1.5)
        for s in ("BTCUSDT", "ETHUSDT")
        for m in range(60, 240)
    ]
    assert np.array_equal(rows_of(history), read(klines(tmp_path / "k.parquet", bars)))


def test_mark_klines_are_told_by_their_folder(tmp_path):
    lines = [archive_line(m, "100.5", "0") for m in range(3)]
    k = archive(tmp_path / "klines/BTCUSDT-1m-2025-01-01.csv", [archive_line(m) for m in range(3)])
    m = archive(tmp_path / "markPriceKlines/BTCUSDT-1m-2025-01-01.zip", lines)
    history = History([k, m], instruments())
    assert [facts.kind for facts in history.files] == ["klines", "mark"]
    marks = [row for row in rows_of(history) if row["kind"] == Kind.MARK_CANDLE]
    assert [(int(row["a"]), int(row["e"]), int(row["f"])) for row in marks] == [(100_50000000, 0, MINUTE)] * 3
    assert history.mark_sources == {"BTCUSDT": "candles:1m", "ETHUSDT": "none"}


def test_archive_funding_is_read_with_its_jitter_removed(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m * 60) for m in range(30)])
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    lines += [f"{T0 + hours * 3_600_000 + 7},8,{rate}" for hours, rate in ((8, "0.00010000"), (16, "-0.00003849"))]
    f = archive(tmp_path / "BTCUSDT-fundingRate-2025-01.zip", lines)
    rows = read(k, f)
    paid = rows[rows["kind"] == Kind.FUNDING]
    assert paid["ts"].tolist() == [T0_NS + 8 * HOUR, T0_NS + 16 * HOUR]
    assert paid["a"].tolist() == [10_000, -3_849]
    assert paid["f"].tolist() == [0, 8 * HOUR]


def test_trades_of_both_archive_sets_are_trade_rows(tmp_path):
    agg = archive(
        tmp_path / "BTCUSDT-aggTrades-2025-01-01.zip",
        [
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
            f"7,97000.1,0.250,70,72,{T0},true",
            f"8,97000.2,0.001,73,73,{T0},false",
        ],
    )
    plain = archive(tmp_path / "ETHUSDT-trades-2025-01-01.csv", [f"5,3300.01,0.100,330.001,{T0 + 1},True"])
    history = History([agg, plain], instruments())
    rows = rows_of(history)
    assert [tuple(int(row[w]) for w in "abcdef") for row in rows] == [
        (7, 970001, 250, 70, 72, 0),
        (8, 970002, 1, 73, 73, 0),
        (5, 330001, 100, 5, 5, 0),
    ]
    assert rows["flags"].tolist() == [Flag.F_END | Flag.F_SELL, Flag.F_END, Flag.F_END | Flag.F_SELL]
    assert rows["ts"].tolist() == [T0_NS, T0_NS, T0_NS + 1_000_000]
    assert (history.bars, history.interval_ns) == (0, None)


def test_trades_follow_the_bar_that_opens_at_their_stamp(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", 0), bar("BTCUSDT", 1)])
    t = archive(tmp_path / "BTCUSDT-trades-2025-01-01.csv", [f"5,100.0,0.1,10,{T0 + 60_000},false"])
    assert [row[0] for row in outline(read(k, t)) if row[2] == 1] == ["CANDLE", "CANDLE_OPEN", "TRADE"]


# Marks and funding.


def test_a_coarser_mark_series_gives_funding_marks_and_no_rows(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m * 60) for m in range(30)])
    m = klines(tmp_path / "m.parquet", [mark_bar("BTCUSDT", h * 60, 100.5 + h) for h in (0, 8, 16)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + h * 3_600_000 + 2, 1e-4) for h in (0, 8, 24)])
    history = History([k, m, f], instruments())
    rows = rows_of(history)
    assert not (rows["kind"] == Kind.MARK_CANDLE).any()
    assert rows[rows["kind"] == Kind.FUNDING]["b"].tolist() == [100_50000000, 108_50000000, 0]
    assert history.mark_sources["BTCUSDT"] == "funding:8h"
    assert any("1 of 3 funding stamps have no mark price" in warning for warning in history.warnings)


def test_only_the_finest_mark_series_is_emitted_and_all_give_funding_marks(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m * 60) for m in range(20)])
    coarse = klines(tmp_path / "m8.parquet", [mark_bar("BTCUSDT", h * 60, 100.5) for h in (0, 8, 16)])
    fine = klines(tmp_path / "m1.parquet", [mark_bar("BTCUSDT", m, 100.5) for m in range(120)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + h * 3_600_000, 1e-4) for h in (8, 16)])
    history = History([k, coarse, fine, f], instruments())
    rows = rows_of(history)
    assert set(rows[rows["kind"] == Kind.MARK_CANDLE]["f"].tolist()) == {MINUTE}
    assert rows[rows["kind"] == Kind.FUNDING]["b"].tolist() == [100_50000000] * 2
    assert history.mark_sources["BTCUSDT"] == "candles:1m+funding:8h"


def test_marks_and_funding_outside_the_candles_are_left_out(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(600, 700)])
    m = klines(tmp_path / "m.parquet", [mark_bar("BTCUSDT", m, 100.5) for m in range(1000)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + h * 3_600_000, 1e-4) for h in range(20)])
    history = History([k, m, f], instruments())
    rows = rows_of(history)
    assert (history.start_ns, history.end_ns) == (T0_NS + 600 * MINUTE, T0_NS + 700 * MINUTE)
    assert (rows["ts"].min(), rows["ts"].max()) == (history.start_ns, history.end_ns)
    assert rows[rows["kind"] == Kind.FUNDING]["f"].tolist() == [HOUR, HOUR]


def test_missing_funding_and_missing_symbols_are_said(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m * 60) for m in range(48)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + h * 3_600_000, 1e-4) for h in (0, 8, 40, 48)])
    warnings = History([k, f], instruments()).warnings
    assert "BTCUSDT: gaps of more than 8h without funding: 1, the longest 32h" in warnings
    assert "ETHUSDT: no file has its candles or trades" in warnings
    assert "BTCUSDT: no funding; its positions neither pay nor receive any" in History([k], instruments()).warnings


def test_every_warning_is_said_in_korean_too(tmp_path):
    other = klines(tmp_path / "o.parquet", [bar("XRPUSDT", m * 60) for m in (0, 1)])
    bars = [mark_bar("BTCUSDT", m * 60, 100.123456789) | {"volume": 0.0} for m in range(48)]
    k = klines(tmp_path / "k.parquet", bars)
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0 + h * 3_600_000, 1e-4) for h in (0, 8, 40)])
    set_language("ko")
    warnings = History([other, k, f], instruments()).warnings + History([k], instruments()).warnings
    assert [warning for warning in warnings if not is_korean(warning)] == []
    jumping = klines(tmp_path / "j.parquet", [closing("BTCUSDT", 0, 100.0), closing("BTCUSDT", 1, 120.0)])
    assert "BTCUSDT: 직전 종가와 10% 넘게 차이 난 캔들이 1개입니다(최대 +20.0%, 2025-01-01 00:02)" in (
        History([jumping], instruments()).warnings
    )
    assert f"{other}: 거래할 심볼이 하나도 없습니다" in warnings
    assert f"{k}, BTCUSDT: 값 192개를 1e-8 단위로 반올림했습니다" in warnings
    assert f"{k}, BTCUSDT: 거래량이 모두 0입니다. 마크 가격 파일이 아닌지 확인하십시오" in warnings
    assert "BTCUSDT: 펀딩비가 8시간 넘게 빈 구간이 1회 있습니다(최장 32시간)" in warnings
    assert "BTCUSDT: 펀딩비 정산 시각 3개 중 3개는 파일에 마크 가격이 없습니다" in warnings
    assert "BTCUSDT: 펀딩비 데이터가 없어 포지션에 펀딩비가 발생하지 않습니다" in warnings
    assert "ETHUSDT: 캔들이나 체결이 든 파일이 없습니다" in warnings


# Counts.


def test_gaps_are_allowed_and_counted_also_between_files(tmp_path):
    first = klines(tmp_path / "a.parquet", [bar("BTCUSDT", m) for m in (0, 1, 2, 5)])
    second = klines(
        tmp_path / "b.parquet", [bar("BTCUSDT", m) for m in (8, 9)] + [bar("ETHUSDT", 0), bar("ETHUSDT", 1)]
    )
    history = History([second, first], instruments())
    assert history.gaps == {"BTCUSDT": 4, "ETHUSDT": 0}
    assert (history.bars, history.interval_ns) == (8, MINUTE)
    assert (history.start_ns, history.end_ns) == (T0_NS, T0_NS + 10 * MINUTE)


def closing(symbol: str, minute: int, close: float, volume: float = 1.0) -> dict:
    return bar(symbol, minute, close, volume) | {"close": close}


def test_a_jump_is_a_close_more_than_a_tenth_from_the_one_before(tmp_path):
    closes = [100.0, 110.0, 99.0, 108.91, 85.0]
    path = klines(tmp_path / "k.parquet", [closing("BTCUSDT", m, close) for m, close in enumerate(closes)])
    history = History([path], instruments())
    checks = history.checks["BTCUSDT"]
    # +10 %, -10 % and +10.01 % by hand; 85 / 108.91 - 1 = -21.95 %.
    assert (checks.jumps, checks.bars, checks.missing) == (2, 5, 0)
    assert checks.largest_jump == pytest.approx(85 / 108.91 - 1)
    assert checks.largest_jump_ns == T0_NS + 5 * MINUTE
    assert "BTCUSDT: 2 bars closed more than 10 % from the one before, at most -22.0% at 2025-01-01 00:05" in (
        history.warnings
    )


def test_the_seams_between_files_are_checked_too(tmp_path):
    first = klines(tmp_path / "a.parquet", [closing("BTCUSDT", m, 100.0) for m in (0, 1, 4)])
    second = klines(tmp_path / "b.parquet", [closing("BTCUSDT", m, 150.0) for m in (10, 11)])
    checks = History([second, first], instruments()).checks["BTCUSDT"]
    assert (checks.jumps, checks.largest_jump, checks.largest_jump_ns) == (1, 0.5, T0_NS + 11 * MINUTE)
    assert (checks.missing, checks.longest_gap_ns) == (7, 5 * MINUTE)


def test_checks_are_the_same_however_the_file_is_read(tmp_path, monkeypatch):
    draw = random.Random(3)
    stamps = sorted(draw.sample(range(400), 200))
    bars = [closing("BTCUSDT", m, draw.choice([90.0, 100.0, 112.0]), draw.choice([0.0, 1.0])) for m in stamps]
    path = klines(tmp_path / "k.parquet", bars)
    whole = History([path], instruments()).checks["BTCUSDT"]
    assert whole.empty == sum(not one["volume"] for one in bars)
    assert whole.longest_gap_ns == (max(b - a for a, b in pairwise(stamps)) - 1) * MINUTE
    assert whole.jumps == sum(abs(b["close"] / a["close"] - 1) > 0.1 for a, b in pairwise(bars))
    monkeypatch.setattr(sources, "PARQUET_ROWS", 7)
    assert History([path], instruments()).checks["BTCUSDT"] == whole


def test_quiet_candles_have_no_warning_of_jumps(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(3)])
    history = History([path], instruments())
    assert history.checks["BTCUSDT"].jumps == 0
    assert not [warning for warning in history.warnings if "10 %" in warning]


def test_a_file_is_known_by_its_hash_rows_and_kind(tmp_path):
    path = klines(tmp_path / "named_at_random.bin", [bar(s, m) for s in ("BTCUSDT", "XRPUSDT") for m in (0, 1)])
    (facts,) = History([path], instruments()).files
    assert (facts.path, facts.rows, facts.kind) == (path, 4, "klines")
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# Refusals.


@pytest.mark.parametrize(
    ("changed", "column", "part"),
    [
        ({"open": float("nan")}, "open", "nan is no price"),
        ({"close": float("inf")}, "close", "inf is no price"),
        ({"low": 0.0}, "low", "0.0 is no price"),
        ({"low": -5.0}, "low", "-5.0 is no price"),
        ({"high": 1e10}, "high", "no price"),
        ({"open": 1e-9}, "open", "no price"),
        ({"close": None}, "close", "nothing is no price"),
        ({"high": 98.0}, "high", "98.0 is below the bar's low"),
        ({"open": 105.0}, "open", "105.0 lies outside"),
        ({"close": 90.0}, "close", "90.0 lies outside"),
        ({"volume": -1.0}, "volume", "-1.0 is no quantity"),
        ({"volume": float("nan")}, "volume", "nan is no quantity"),
        ({"volume": 1e300}, "volume", "no quantity"),
        ({"ts_ms": T0 + 60_000}, "ts_ms", "is there twice"),
        ({"ts_ms": T0 + 59_000}, "ts_ms", "is earlier than the row before it"),
        ({"ts_ms": T0 + 121_000}, "ts_ms", "is not on the grid of 1m bars"),
        ({"ts_ms": 12}, "ts_ms", "is no stamp in ms or us between 2000 and 2100"),
        ({"ts_ms": None}, "ts_ms", "nothing is no whole number"),
    ],
)
def test_a_value_that_cannot_be_true_is_named_with_file_row_and_column(tmp_path, changed, column, part):
    bars = [bar("XRPUSDT", 0), *(bar("BTCUSDT", m) for m in range(5))]
    bars[3] |= changed
    path = klines(tmp_path / "k.parquet", bars)
    message = refusal(path)
    assert message.startswith(f"{path}, row 4, BTCUSDT, column {column}: ")
    assert part in message
    assert message.endswith("correct that row or fetch the file again")


@pytest.mark.parametrize("price", ["9" * 400, "1e400", "nan", "", "-1.0", "0", "1,0", "0x10", "10000000000", "1.2.3"])
def test_text_that_is_no_price_is_named_with_its_row(tmp_path, price):
    line = archive_line(1).split(",")
    line[1] = price
    path = archive(tmp_path / "BTCUSDT-1m-2025-01-01.csv", [ARCHIVE_HEADER, archive_line(0), ",".join(line)])
    message = refusal(path)
    assert f"{path}, row 2" in message
    assert len(message) < len(str(path)) + 220


def test_rows_are_numbered_over_the_blocks_of_a_long_text(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TEXT_BYTES", 300)
    lines = [archive_line(m) for m in range(100)]
    lines[77] = archive_line(77, "-3.0")
    assert ", row 78, BTCUSDT, column open: -3.0" in refusal(archive(tmp_path / "BTCUSDT-1m-2025-01-01.csv", lines))


def test_rows_are_numbered_over_the_slices_of_a_long_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PARQUET_ROWS", 10)
    bars = [bar("BTCUSDT", m) for m in range(100)]
    bars[77]["low"] = -3.0
    assert ", row 78, BTCUSDT, column low: -3.0" in refusal(klines(tmp_path / "k.parquet", bars))


def test_a_line_with_too_few_or_too_many_fields_or_no_text_is_named(tmp_path):
    path = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    for bad in ("1735689660000,100", archive_line(1) + ",9", archive_line(1).replace("100.0", "\xff", 1)):
        path.write_bytes("\n".join([archive_line(0), bad, archive_line(2)]).encode("latin-1"))
        assert f"{path}, row 2" in refusal(path)


def test_a_value_out_of_order_across_blocks_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PARQUET_ROWS", 4)
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in (0, 1, 2, 3, 3, 4)])
    assert "row 5, BTCUSDT, column ts_ms" in refusal(path)


@pytest.mark.parametrize("rate", [float("nan"), 1.0, -7.5])
def test_an_absurd_funding_rate_is_refused(tmp_path, rate):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in (0, 1)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0, 1e-4), ("BTCUSDT", T0 + 28_800_000, rate)])
    assert f"{f}, row 2, BTCUSDT, column rate: {rate} is no funding rate" in refusal(k, f)


def test_two_settlements_in_one_second_are_refused(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in (0, 1)])
    f = funding(tmp_path / "f.parquet", [("BTCUSDT", T0, 1e-4), ("BTCUSDT", T0 + 5, 1e-4)])
    assert f"{f}, row 2, BTCUSDT, column ts_ms" in refusal(k, f)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (f"6,100.05,0.1,10,{T0 + 1},false", "column price: 100.05 is on no tick of 0.1"),
        (f"5,100.1,0.1,10,{T0 + 1},false", "column id: 5 does not follow the trade id before it"),
        (f"6,100.1,0.1,10,{T0 - 1},false", "is earlier than the trade before it"),
        (f"6,100.1,0.1,10,{T0 + 1},maybe", "column is_buyer_maker: maybe is neither true nor false"),
        (f"6.5,100.1,0.1,10,{T0 + 1},true", "column id: 6.5 is no whole number"),
    ],
)
def test_trades_that_cannot_be_true_are_refused(tmp_path, line, part):
    path = archive(tmp_path / "BTCUSDT-trades-2025-01-01.csv", [f"5,100.0,0.1,10,{T0},false", line])
    message = refusal(path)
    assert f"{path}, row 2, BTCUSDT, " in message
    assert part in message


def test_missing_empty_truncated_and_foreign_files_are_refused_in_one_line(tmp_path):
    good = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(500)]).read_bytes()
    zipped = archive(tmp_path / "BTCUSDT-1m-2025-01-01.zip", [archive_line(m) for m in range(500)]).read_bytes()
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as out:
        out.writestr("a.csv", "1")
        out.writestr("b.csv", "1")
    cases = {
        "gone.parquet": (None, "there is no such file"),
        "empty.csv": (b"", "is empty"),
        "blank.csv": (b"\n\n", "is empty"),
        "cut.parquet": (good[: len(good) // 2], "cannot be read"),
        "stub.parquet": (b"PAR1", "cannot be read"),
        "cut.zip": (zipped[: len(zipped) // 2], "cannot be read"),
        "noise.bin": (bytes(range(256)) * 9, "is no history file"),
        "page.csv": (b"<html><body>404 Not Found</body></html>\n", "is no history file"),
        "other.csv": (b"a,b,c,d\n1,2,3,4\n", "is no history file (columns a, b, c, d)"),
        "numbers.csv": (b"1,2,3,4\n", "is no history file (4 columns without a header row)"),
        "header.csv": (b"symbol,ts_ms,rate\n", "has no rows"),
        "nameless.csv": (archive_line(0).encode(), "its name states no interval"),
        "BTCUSDT-1w-2025-01.csv": (archive_line(0).encode(), "its name states no interval"),
    }
    for name, (content, part) in cases.items():
        path = tmp_path / "bad" / name
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        message = refusal(path)
        assert message.startswith(f"{path}: "), message
        assert part in message
    assert "a zip of 2 files" in refusal(two)
    assert "there is no such file" in refusal(tmp_path)


def test_a_damaged_member_of_a_zip_is_refused(tmp_path):
    path = archive(tmp_path / "BTCUSDT-1m-2025-01-01.zip", [archive_line(m, f"{100 + m}.1") for m in range(5000)])
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 40):
        data[place] ^= 0x5A
    path.write_bytes(data)
    assert str(path) in refusal(path)


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_a_parquet_with_flipped_bits_is_read_or_refused_and_never_crashes(tmp_path, place):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m, 100 + m) for m in range(300)])
    data = bytearray(path.read_bytes())
    data[place * len(data) // 40] ^= 0xFF
    path.write_bytes(data)
    try:
        assert len(read(path)) <= 600
    except OperatorError as error:
        assert str(path) in str(error)


def test_columns_of_the_wrong_type_are_refused(tmp_path):
    frame = pl.DataFrame([bar("BTCUSDT", m) for m in (0, 1)])
    for column, change in (("ts_ms", pl.Float64), ("symbol", pl.Binary), ("open", pl.List(pl.Float64))):
        value = pl.concat_list("open") if column == "open" else pl.col(column).cast(change)
        frame.with_columns(value.alias(column)).write_parquet(tmp_path / "k.parquet")
        assert f"column {column} holds" in refusal(tmp_path / "k.parquet")


def test_index_and_premium_klines_are_not_taken_for_prices(tmp_path):
    path = archive(tmp_path / "premiumIndexKlines/BTCUSDT-1m-2025-01-01.csv", [archive_line(m) for m in (0, 1)])
    assert "not prices that trade" in refusal(path)


def test_files_without_any_symbol_of_the_run_are_an_error_and_some_are_a_warning(tmp_path):
    other = klines(tmp_path / "o.parquet", [bar("XRPUSDT", m) for m in (0, 1)])
    mine = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in (0, 1)])
    assert "no file has candles or trades of BTCUSDT, ETHUSDT" in refusal(other)
    assert f"{other}: has none of the run's symbols" in History([other, mine], instruments()).warnings
    named = archive(tmp_path / "XRPUSDT-1m-2025-01-01.csv", [archive_line(m) for m in (0, 1)])
    assert np.array_equal(read(named, mine), read(mine))


def test_files_that_overlap_are_refused(tmp_path):
    a = klines(tmp_path / "a.parquet", [bar("BTCUSDT", m) for m in range(5)])
    b = klines(tmp_path / "b.parquet", [bar("BTCUSDT", m) for m in range(4, 9)])
    assert f"{b}: klines of BTCUSDT overlap those of {a}" in refusal(b, a)
    assert "overlap" in refusal(a, a)


def test_bars_of_two_intervals_are_refused(tmp_path):
    a = klines(tmp_path / "a.parquet", [bar("BTCUSDT", m) for m in range(5)])
    b = klines(tmp_path / "b.parquet", [bar("ETHUSDT", m * 60) for m in range(5)])
    assert f"{b}: has 1h bars, the run reads 1m" in refusal(a, b)
    assert f"{b}: has 1h bars, the run reads 1m" in refusal(a, b, interval_ns=4 * HOUR)
    renamed = archive(tmp_path / "BTCUSDT-1h-2025-01-01.csv", [archive_line(m) for m in range(3)])
    assert "its name says 1h, its bars are 1m apart" in refusal(renamed)


def test_a_run_reads_bars_of_its_interval_or_of_one_that_divides_it(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m * 60) for m in range(5)])
    for interval_ns in (HOUR, 2 * HOUR, 24 * HOUR):
        assert History([path], instruments(), interval_ns).interval_ns == HOUR
    for shorter, name in ((MINUTE, "1m"), (30 * MINUTE, "30m")):
        message = refusal(path, interval_ns=shorter)
        assert f"{path}: has 1h bars, of which no {name} candles can be made; set data.interval to 1h" in message
    three = klines(tmp_path / "three.parquet", [bar("BTCUSDT", m * 3) for m in range(5)])
    assert f"{three}: has 3m bars, of which no 5m candles can be made" in refusal(three, interval_ns=5 * MINUTE)


def test_marks_up_to_the_interval_of_the_run_are_emitted(tmp_path):
    k = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(5)])
    m = tmp_path / "m.parquet"
    pl.DataFrame([mark_bar("BTCUSDT", n * 5, 100.0) for n in range(2)]).write_parquet(m)
    assert History([k, m], instruments(), MINUTE).mark_sources["BTCUSDT"] == "funding:5m"
    assert History([k, m], instruments(), HOUR).mark_sources["BTCUSDT"] == "candles:5m"


def test_a_single_bar_needs_a_stated_interval(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", 0)])
    assert "one bar a symbol" in refusal(path)
    assert len(read(path, interval_ns=MINUTE)) == 2


def test_a_file_that_changed_after_it_was_checked_is_refused(tmp_path):
    path = klines(tmp_path / "k.parquet", [bar("BTCUSDT", m) for m in range(5)])
    history = History([path], instruments())
    klines(path, [bar("BTCUSDT", m, 200.0) for m in range(50)])
    with pytest.raises(OperatorError, match="changed while it was in use"):
        rows_of(history)


# Bounds, and real recordings.


def test_memory_stays_flat_however_long_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr(history_module, "WINDOW_BARS", 1 << 12)
    monkeypatch.setattr(sources, "PARQUET_ROWS", 1 << 12)

    def peak(minutes: int) -> int:
        m = np.arange(minutes)
        price = 100 + m % 7 / 10
        columns = {"open": price, "high": price, "low": price, "close": price, "volume": price}
        frames = [pl.DataFrame({"symbol": s, "ts_ms": T0 + m * 60_000, **columns}) for s in ("BTCUSDT", "ETHUSDT")]
        pl.concat(frames).write_parquet(tmp_path / "k.parquet", row_group_size=1 << 12)
        tracemalloc.start()
        rows = sum(len(chunk) for chunk in History([tmp_path / "k.parquet"], instruments()).chunks(4096))
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert rows == 4 * minutes
        return top

    assert peak(100_000) < 1.5 * peak(10_000)


def real(shared: Path, *names: str) -> list[Path]:
    return [shared / "data" / name for name in names]


@pytest.fixture(scope="module")
def minutes_2025(shared) -> History:
    five = [BTC, ETH, SOL, spec("BNBUSDT", 1_000_000, 1_000_000), spec("SUIUSDT", 10_000, 10_000_000)]
    paths = real(
        shared,
        "klines/um_1m_2025_05.parquet",
        "funding/um_funding_2025_05.parquet",
        "mark/um_mark_8h_2025_05.parquet",
    )
    return History(paths, instruments(*five))


def test_the_minute_recording_is_read_whole_and_exactly(minutes_2025, shared):
    assert minutes_2025.bars == 232_988
    assert set(minutes_2025.gaps.values()) == {0}
    assert set(minutes_2025.mark_sources.values()) == {"funding:8h"}
    rows = rows_of(minutes_2025)
    assert (np.diff(rows["ts"]) >= 0).all()
    candles = rows[(rows["kind"] == Kind.CANDLE) & (rows["symbol"] == 0)]
    frame = pl.read_parquet(shared / "data/klines/um_1m_2025_05.parquet").filter(pl.col("symbol") == "BTCUSDT")
    assert np.array_equal(candles["ts"] - MINUTE, frame["ts_ms"].to_numpy() * 1_000_000)
    for word, column in zip("abcd", ("open", "high", "low", "close"), strict=True):
        assert np.array_equal(candles[word] / E8, frame[column].to_numpy())
    assert np.array_equal(candles["e"] / 1000, frame["volume"].to_numpy())


def test_every_stamp_of_the_minute_recording_has_one_end_among_its_candles(minutes_2025):
    rows = rows_of(minutes_2025)
    candles = rows[rows["kind"] == Kind.CANDLE]
    ends = candles[(candles["flags"] & Flag.F_END) != 0]
    assert np.array_equal(ends["ts"], np.unique(candles["ts"]))
    assert all(
        (ends["symbol"][i] == candles[candles["ts"] == ends["ts"][i]]["symbol"].max()) for i in range(0, 900, 97)
    )


def test_funding_of_the_minute_recording_takes_the_open_of_the_eight_hour_mark(minutes_2025, shared):
    rows = rows_of(minutes_2025)
    paid = rows[(rows["kind"] == Kind.FUNDING) & (rows["symbol"] == 0)]
    assert (paid["b"] > 0).all()
    assert set(paid["f"].tolist()) == {8 * HOUR}
    frame = pl.read_parquet(shared / "data/mark/um_mark_8h_2025_05.parquet").filter(pl.col("symbol") == "BTCUSDT")
    opens = dict(zip((frame["ts_ms"] * 1_000_000).to_list(), frame["open"].to_list(), strict=True))
    assert [int(row["b"]) / E8 for row in paid] == [opens[int(row["ts"])] for row in paid]


def test_the_hourly_recording_holds_its_mark_through_the_wick_of_2020(shared):
    four = [BTC, ETH, spec("ADAUSDT", 1_000, E8), spec("XRPUSDT", 10_000, 10_000_000)]
    paths = real(
        shared,
        "klines/um_1h_2019_2026.parquet",
        "mark/um_mark_1h_2019_2026.parquet",
        "funding/um_funding_2019_2026.parquet",
    )
    history = History(paths, instruments(*four))
    assert history.bars == 160_448
    assert set(history.mark_sources.values()) == {"candles:1h"}
    rows = rows_of(history)
    assert np.count_nonzero(rows["kind"] == Kind.CANDLE) == 160_448
    at = 1_582_909_200_000 * 1_000_000 + HOUR  # the bar of 2020-02-28 17:00 UTC
    wick = rows[(rows["ts"] == at) & (rows["symbol"] == 2)]
    assert [Kind(row["kind"]).name for row in wick] == ["MARK_CANDLE", "CANDLE", "CANDLE_OPEN"]
    mark_low, last_low = wick["c"].tolist()[:2]
    assert last_low == 2_286_000
    assert 4_768_000 <= mark_low < 4_769_000
