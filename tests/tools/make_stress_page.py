"""Write docs/stress.md: what became of a leveraged long on the crash days, from the recordings beside the project.

The numbers are those of `autotrader stress` over the same files. Which days and symbols are tried, and how a row
reads, is known here.

Run: python tests/tools/make_stress_page.py [--out FILE]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autotrader.messages import set_language
from autotrader.run.stress import replay

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "docs/stress.md"
LEVERAGES = (2, 3, 5, 10, 20)
EQUITY = 10_000.0

FOUR_YEARS = (
    "klines/um_1h_2019_2026.parquet",
    "mark/um_mark_1h_2019_2026.parquet",
    "funding/um_funding_2019_2026.parquet",
)
TOP = (
    "klines/um_1h_2024_2025_top10.parquet",
    "mark/um_mark_1h_2025_2026.parquet",
    "funding/um_funding_2025_2026.parquet",
)
HYPE = ("klines/um_1h_2025_09_2026_03_top90.parquet", *TOP[1:])
ALTS = (
    "klines/um_1h_2025_2026_alts.parquet",
    "mark/um_mark_1h_2025_2026_alts.parquet",
    "funding/um_funding_2025_2026_alts.parquet",
)
FIVE_MINUTES = ("klines/um_5m_2025_2026.parquet", "funding/um_funding_2025_2026.parquet")
UNMARKED = ("klines/um_1h_2025_2026_alts.parquet", "funding/um_funding_2025_2026_raw_ms.parquet")


class Day(NamedTuple):
    """One window of one symbol, and the files that hold it."""

    name: str
    symbol: str
    start: str
    end: str
    files: tuple[str, ...]

    @property
    def window(self) -> tuple[int, int]:
        """First and last stamp, ns."""
        first, last = (int(np.datetime64(text, "ns").astype(np.int64)) for text in (self.start, self.end))
        return first, last


def days(name: str, start: str, end: str, *sets: tuple[str, tuple[str, ...]]) -> list[Day]:
    """Return a day of several symbols, which are named with the files that hold them."""
    return [Day(name, symbol, start, end, files) for symbols, files in sets for symbol in symbols.split()]


DAYS = [
    *days("2020-03-12", "2020-03-11", "2020-03-15", ("BTCUSDT ETHUSDT XRPUSDT ADAUSDT", FOUR_YEARS)),
    *days("2021-05-19", "2021-05-18", "2021-05-22", ("BTCUSDT ETHUSDT XRPUSDT ADAUSDT", FOUR_YEARS)),
    *days("2022-05", "2022-05-08", "2022-05-14", ("BTCUSDT ETHUSDT XRPUSDT ADAUSDT", FOUR_YEARS)),
    *days("2022-11", "2022-11-07", "2022-11-12", ("BTCUSDT ETHUSDT XRPUSDT ADAUSDT", FOUR_YEARS)),
    *days(
        "2025-10-10",
        "2025-10-10",
        "2025-10-13",
        ("BNBUSDT DOGEUSDT SOLUSDT", TOP),
        ("HYPEUSDT", HYPE),
        ("AVAXUSDT LINKUSDT NEARUSDT TRXUSDT", ALTS),
        ("SUIUSDT", UNMARKED),
    ),
    *days("2025-10-10, 5m", "2025-10-10", "2025-10-13", ("BNBUSDT DOGEUSDT SOLUSDT HYPEUSDT", FIVE_MINUTES)),
    *days("2020-02-28, the wick", "2020-02-27", "2020-03-01", ("ADAUSDT", FOUR_YEARS)),
]

INTRO = f"""# Crash days

What a leveraged long went through on the days that matter. Each row is one run of `autotrader stress` on recorded
market data: {EQUITY:,.0f} USDT, the whole of it the margin of one long that is bought at the open after the first bar
and held. `tests/tools/make_stress_page.py` writes this page from the recordings; do not edit it.
[한국어는 아래에 있습니다.](#한국어)

    autotrader stress --data KLINES MARK FUNDING --symbol BTCUSDT --from 2020-03-11 --to 2020-03-15 --out DIR

* The risk gate stands aside, its forced reduction (R9, R10) too: this judges the position, not a strategy.
* Liquidation is decided on the mark, at the low of a bar; the time is the stamp at which the bar closed, UTC.
* Where the files have no mark of the bars' interval the candle stands in (mark: candle): a wick of the last price
  liquidates there, which the exchange's mark might not have followed.
* Ticks, lots, brackets and fees are those of the shipped table, not of the day: in 2020 the brackets were other ones.
* Lowest equity: of the mark's lows that were survived, and of what a liquidation left. Nearest liquidation: the mark's
  low above the liquidation price, as a share of it; below zero, how far the bar that liquidated went through it.
* Funding is received positive. Gap: high, low or close of the last price against the mark's in the same bar, where
  they were farthest apart.
* With the whole equity in one position, isolated and cross margin hold the same money but for what was kept back for
  fee and slippage, so the tables are those of cross margin; `--margin isolated` gives the others.
"""
KOREAN = f"""## 한국어

중요한 날에 레버리지 롱이 겪은 일입니다. 위 표의 각 행은 기록된 시장 데이터에 대한 `autotrader stress` 실행 한 번입니다.
{EQUITY:,.0f} USDT 전부를 증거금으로 삼아 첫 봉 다음 봉의 시가에 롱 하나를 사서 끝까지 들고 있습니다. 이 문서는
`tests/tools/make_stress_page.py`가 기록에서 만들므로 직접 고치지 마십시오. 열은 차례대로 심볼, 마크 가격의 출처,
레버리지, 진입 가격, 결과(survived는 생존, liquidated는 청산과 그 시각), 최저 자산, 청산까지 최단 거리, 펀딩비,
체결가와 마크 가격의 최대 차이입니다.

* 리스크 게이트는 강제 축소(R9, R10)를 포함해 개입하지 않습니다. 전략이 아니라 포지션을 시험합니다.
* 청산은 마크 가격으로, 봉의 저가에서 판정합니다. 시각은 그 봉이 닫힌 시각(UTC)입니다.
* 파일에 봉과 같은 간격의 마크 가격이 없으면 체결가 캔들이 대신합니다(candle). 거래소의 마크가 따라가지 않았을 꼬리에도
  거기서는 청산됩니다.
* 틱, 랏, 레버리지 구간, 수수료는 그날의 값이 아니라 패키지에 든 표의 값입니다. 2020년의 구간은 달랐습니다.
* 최저 자산은 살아남은 마크 저가에서의 자산과 청산 뒤 남은 자산 가운데 가장 낮은 값입니다. 청산까지 최단 거리는 마크
  저가가 청산 가격 위에 남긴 비율이며, 0 미만이면 청산한 봉이 그만큼 뚫고 내려갔다는 뜻입니다.
* 펀딩비는 받은 금액이 양수입니다. 차이는 같은 봉에서 체결가와 마크의 고가, 저가, 종가가 가장 크게 벌어진 값입니다.
* 자산 전부가 한 포지션에 들어가므로 교차와 격리 증거금은 수수료와 슬리피지로 남겨 둔 금액만 다릅니다. 표는 교차
  증거금의 결과이며 `--margin isolated`로 격리의 결과를 얻습니다.
"""
COLUMNS = (
    "symbol",
    "mark",
    "leverage",
    "entry",
    "outcome",
    "lowest equity, USDT",
    "nearest liquidation",
    "funding, USDT",
    "largest gap, last to mark",
)


def results(shared: Path) -> list[tuple[Day, dict[str, Any]]]:
    """Return what became of each day, from the recordings."""
    set_language("en")
    return [(day, trial(day, shared)) for day in DAYS]


def trial(day: Day, shared: Path) -> dict[str, Any]:
    """Return the summary of one day."""
    files = [shared / "data" / name for name in day.files]
    return replay(day.symbol, LEVERAGES, False, EQUITY, day.window, files, lambda _share, _text: None)[0]


def tables(tried: list[tuple[Day, dict[str, Any]]]) -> Iterator[str]:
    """Yield a table for each day."""
    for name in dict.fromkeys(day.name for day, _ in tried):
        yield from (f"## {name}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}")
        for summary in (summary for day, summary in tried if day.name == name):
            yield from (f"| {' | '.join(cells(row, summary))} |" for row in summary["rows"])
        yield ""


def cells(row: dict[str, Any], summary: dict[str, Any]) -> Iterator[str]:
    """Yield one row of a table."""
    yield summary["symbol"]
    yield f"{summary['interval']} {summary['mark_source']}"
    yield f"{row['leverage']}x"
    yield f"{row['entry_price']:g}"
    yield f"liquidated {minute(row['liquidated_at'])}" if row["liquidated_at"] else "survived"
    yield f"{round(row['lowest_equity'], 2) + 0.0:,.2f}"
    yield "-" if row["nearest_distance"] is None else f"{row['nearest_distance']:+.2%} ({minute(row['nearest_at'])})"
    yield f"{row['funding']:+,.2f}"
    yield "-" if row["largest_gap"] is None else f"{row['largest_gap']:+.2%} ({minute(row['gap_at'])})"


def minute(text: str) -> str:
    """Return an ISO time to the minute."""
    return text[:16].replace("T", " ")


def page(shared: Path) -> str:
    """Return the page, English first."""
    return "\n".join([INTRO, *tables(results(shared)), KOREAN])


def main() -> None:
    """Write the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    given = arguments.parse_args()
    given.out.write_text(page(given.shared), encoding="utf-8")


if __name__ == "__main__":
    main()
