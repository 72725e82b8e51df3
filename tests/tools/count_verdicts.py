"""Count the verdicts of data quality on the recordings beside the project, as the table of docs/data.md.

Knows which recordings and which days, and the settings and policies of the tests, with outliers under the sternest
policy. Refuses to judge by itself: every verdict is the core's.

Run: PYTHONPATH=.:tests python tests/tools/count_verdicts.py [--shared DIRECTORY]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from builders import E8, spec
from numpy.typing import NDArray
from test_quality import POLICIES, SETTINGS, recorded
from test_recordings_l2 import RUNS

from autotrader.adapters.storage.history import History
from core_ext.book import Book
from core_ext.quality import Quality, Verdict
from core_ext.types import Instruments, Kind

ROOT = Path(__file__).resolve().parents[2]
L2 = ("um 2023-04", "um 2024-07", "um 2024-08", "nexo 34 h")
CANDLES = (
    ("um_1h_2019_2026", "um_mark_1h_2019_2026"),
    ("um_1h_2025_2026_alts", "um_mark_1h_2025_2026_alts"),
    ("um_5m_2025_2026", None),
    ("um_1m_2025_05", None),
    ("um_1m_2026_01", None),
    ("um_1m_new_listings_2025_2026", None),
)
CRASHES = ("2020-03-12", "2020-03-13", "2021-05-19", "2022-05-11", "2022-11-09", "2024-08-05", "2025-10-10")
SHOWN = tuple(Verdict)


def judged_kinds(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Return which rows bear a verdict: depth at the end of its run, trades, touches, marks, bars."""
    kinds, ends = rows["kind"], rows["flags"] & 1 == 1
    return ((kinds <= int(Kind.LEVEL)) & ends) | ((kinds > int(Kind.LEVEL)) & (kinds <= int(Kind.MARK_CANDLE)))


def line(name: str, rows: NDArray[np.void], found: NDArray[np.uint16]) -> str:
    """Return a line of the table."""
    judged = int(np.count_nonzero(judged_kinds(rows)))
    counts = [int(np.count_nonzero(found >> verdict & 1)) for verdict in SHOWN]
    share = np.count_nonzero(found) / judged
    cells = [name, f"{judged:,}", *(f"{count:,}" if count else "" for count in counts)]
    return f"| {' | '.join(cells)} | {int(np.count_nonzero(found & 1))} | {share:.3%} |"


def candles(paths: list[Path]) -> tuple[NDArray[np.void], NDArray[np.uint16]]:
    """Return the rows of candle files and their verdicts."""
    symbols = pl.read_parquet(paths[0], columns=["symbol"])["symbol"].unique().sort().to_list()
    instruments = Instruments([spec(symbol, tick_e8=1, lot_e8=E8) for symbol in symbols])
    judge = Quality(instruments, SETTINGS, POLICIES | {"OUTLIER": "discard"})
    pairs = [(rows, judge.feed(rows)) for rows in History(paths, instruments).chunks()]
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([found for _, found in pairs])


def table(data: Path) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| recording | judged | {' | '.join(verdict.name for verdict in SHOWN)} | discarded | share |"
    yield f"|---|{'---|' * (len(SHOWN) + 3)}"
    for name in L2:
        judge = Quality(Instruments([RUNS[name].spec]), SETTINGS, POLICIES | {"OUTLIER": "discard"})
        rows = recorded(data.parent, name, 10**9)
        yield line(f"L2, {name}", rows, judge.feed(rows, [Book()]))
    for klines, marks in CANDLES:
        paths = [data / "klines" / f"{klines}.parquet", *([data / "mark" / f"{marks}.parquet"] if marks else [])]
        rows, found = candles(paths)
        title = klines + (" with marks" if marks else "")
        yield line(title, rows, found)
        days = rows["ts"].astype("datetime64[ns]").astype("datetime64[D]")
        for day in CRASHES:
            of_day = days == np.datetime64(day)
            if of_day.any():
                yield line(f"{title}: {day}", rows[of_day], found[of_day])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT / "../shared")
    print("\n".join(table(parser.parse_args().shared / "data")))


if __name__ == "__main__":
    main()
