"""Cut the samples that the package ships from the MIT-licensed recordings beside the project.

Knows which recordings, which symbols and which window, and refuses to write a bar that is not made
of sixty minutes or a number that eight decimals do not hold exactly.

The recorder file is copied byte for byte. The tables have the same content on every run, which
``content_sha256`` states; their bytes are equal only under the same release of polars.

Run: python tests/tools/cut_samples.py [--out DIRECTORY]
"""

import argparse
import hashlib
import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "../shared/data"
OUT = ROOT / "autotrader/samples"

E8 = 100_000_000
HOUR_MS = 3_600_000
SYMBOLS = ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "SUIUSDT"]
START_MS = int(datetime(2025, 5, 4, 16, tzinfo=UTC).timestamp() * 1000)
END_MS = int(datetime(2025, 6, 3, 8, tzinfo=UTC).timestamp() * 1000)

L2 = "btcusdt_l2_20230404.gz"
HFTBACKTEST = {
    "repository": "nkaz001/hftbacktest",
    "commit": "b73eae70c674050dca294e1a1f53e4e2d0221ff0",
    "path": "examples/usdm/btcusdt_20230404.dat.gz",
    "licence": "MIT",
    "copyright": "Copyright (c) 2022 nkaz001@protonmail.com",
}
TYPHONUN = {
    "repository": "typhonun/DcaTpStrategy",
    "commit": "057525d1db7e665da1122809889fb38144460d88",
    "path": "user_data/data/binance/futures/",
    "licence": "MIT",
    "copyright": "Copyright (c) 2025 [typhonun]",
}


def window(path: str) -> pl.DataFrame:
    """Return the rows of a recording that belong to our symbols and lie in [START_MS, END_MS)."""
    rows = pl.read_parquet(DATA / path).with_columns(pl.col("symbol").cast(pl.String))
    chosen = pl.col("symbol").is_in(SYMBOLS) & pl.col("ts_ms").is_between(START_MS, END_MS, closed="left")
    return exact(rows.filter(chosen).sort("symbol", "ts_ms"))


def exact(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows after proving that each number is a decimal that its own decimals give back."""
    for name in rows.select(pl.col(pl.Float64)).columns:
        for number in rows[name]:
            text = Decimal(repr(number))
            decimals = max(0, -text.as_tuple().exponent)
            if decimals > 8 or round(number * 10**decimals) != text.scaleb(decimals):
                raise SystemExit(f"{name} {number!r} is not a number of eight decimals")
    return rows


def hours(minutes: pl.DataFrame) -> pl.DataFrame:
    """Return hourly bars of sixty minutes each; volume is summed as integers, so no digit is lost."""
    volume_e8 = (pl.col("volume") * E8).round().cast(pl.Int64)
    bars = minutes.group_by("symbol", pl.col("ts_ms") // HOUR_MS * HOUR_MS, maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        volume_e8.sum(),
        pl.len().alias("minutes"),
    )
    if not (bars["minutes"] == 60).all():
        raise SystemExit("an hour of the window has not sixty minutes")
    # NumPy's quotient is the nearest double; polars multiplies by a reciprocal and misses it.
    return exact(bars.with_columns(volume=bars["volume"].to_numpy() / E8).drop("minutes"))


def content_sha256(rows: pl.DataFrame) -> str:
    """Return the hash of a table's content: its CSV text, which no compression or writer changes."""
    return hashlib.sha256(rows.write_csv().encode()).hexdigest()


def file_facts(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write_l2(out: Path) -> dict[str, object]:
    shutil.copyfile(DATA / "l2/um/btcusdt_20230404.dat.gz", out / L2)
    what = "BTCUSDT recorder lines: depth diffs, one depth snapshot, best bid and offer, trades, mark price"
    return {"what": what, **HFTBACKTEST, **file_facts(out / L2)}


def write_table(out: Path, name: str, what: str, rows: pl.DataFrame) -> dict[str, object]:
    rows.write_parquet(out / name, compression="zstd", compression_level=19, statistics=False)
    shape = {"rows": len(rows), "columns": rows.columns, "content_sha256": content_sha256(rows)}
    return {"what": what, **TYPHONUN, **shape, **file_facts(out / name)}


def cut(out: Path) -> dict[str, dict[str, object]]:
    """Write the samples into a directory and return what SOURCES.json says of them."""
    tables = {
        "candles_1h_2025_05.parquet": (
            "hourly candles of five symbols, made of 1-minute candles",
            hours(window("klines/um_1m_2025_05.parquet")),
        ),
        "funding_2025_05.parquet": ("funding rates of the same symbols", window("funding/um_funding_2025_05.parquet")),
        "mark_8h_2025_05.parquet": (
            "8-hour mark-price candles; the open is the funding mark at its stamp",
            window("mark/um_mark_8h_2025_05.parquet"),
        ),
    }
    return {L2: write_l2(out)} | {name: write_table(out, name, *table) for name, table in tables.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    out = arguments.parse_args().out
    (out / "SOURCES.json").write_text(json.dumps(cut(out), indent=1) + "\n")


if __name__ == "__main__":
    main()
