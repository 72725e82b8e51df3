"""The crash days with a leveraged long: liquidated at the first bar whose mark's low touches, and not before.

Every run is checked against a twin that knows nothing of the program: it reads the recorded files, keeps one
position in fractions, and says bar by bar what the margin balance and the maintenance margin are.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from autotrader import instruments as facts
from autotrader.run.stress import replay

E8 = 10**8
MS = 10**6
HOUR_MS = 3_600_000
DUST = Fraction(1, 10**7)  # of a USDT: amounts are booked in units of 1e-8


def tool(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("make_stress_page", root / "tests/tools/make_stress_page.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_stress_page"] = module
    spec.loader.exec_module(module)
    return module


PAGE = tool(Path(__file__).resolve().parents[2])
MARKED = [day for day in PAGE.DAYS if any(name.startswith("mark/") for name in day.files)]
UNMARKED = [day for day in PAGE.DAYS if day not in MARKED]
by_day = pytest.mark.parametrize("day", MARKED, ids=lambda day: f"{day.name} {day.symbol}")


# ---------------------------------------------------------------------- the twin


class Bar(NamedTuple):
    """A bar that closes at a stamp (ms): prices as they stand in the file."""

    close_ms: int
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction


class Moment(NamedTuple):
    """What stood against what, at a price of the mark and with a wallet."""

    ns: int
    mark: Bar
    wallet: Fraction
    balance: Fraction
    maintenance: Fraction

    @property
    def is_touched(self) -> bool:
        return self.balance <= self.maintenance


def exact(value: float) -> Fraction:
    return Fraction(Decimal(repr(value)))


def cut(shared: Path, day: Any, folder: Path) -> list[Path]:
    """Write what the window needs of each file, so that the four years around it are not read again and again."""
    first, last = (stamp // MS for stamp in day.window)
    near = (pl.col("symbol") == day.symbol) & pl.col("ts_ms").is_between(first, last)
    folder.mkdir(exist_ok=True)
    files = [folder / name.replace("/", "_") for name in day.files]
    for name, file in zip(day.files, files, strict=True):
        if not file.exists():
            pl.scan_parquet(shared / "data" / name).filter(near).collect().write_parquet(file)
    return files


def recorded(files: list[Path], kind: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(file) for file in files if file.name.startswith(kind)).sort("ts_ms")


def bars(files: list[Path], kind: str) -> list[Bar]:
    rows = recorded(files, kind).select("ts_ms", "open", "high", "low", "close").rows()
    return [Bar(ts + HOUR_MS, *map(exact, prices)) for ts, *prices in rows]


def maintenance(spec: dict[str, Any], notional: Fraction) -> Fraction:
    for floor, cap, rate, amount, _ in spec["brackets"]:
        if floor <= notional * E8 < cap:
            return notional * rate / E8 - Fraction(amount, E8)
    raise AssertionError("beyond the last bracket")


class Twin:
    """One long in fractions: bought at the open after the first bar, paid for, marked, funded."""

    def __init__(self, crash: "Crash", lots: int):
        self.spec = spec = crash.spec
        last_ms = crash.day.window[1] // MS
        self.bars = [bar for bar in bars(crash.files, "klines") if bar.close_ms <= last_ms]
        self.marks = {bar.close_ms: bar for bar in bars(crash.files, "mark")}
        self.opens = {bar.close_ms - HOUR_MS: bar.open for bar in self.marks.values()}
        self.rates = dict(recorded(crash.files, "funding").select("ts_ms", "rate").rows())
        tick = Fraction(spec["tick_e8"], E8)
        self.quantity = lots * Fraction(spec["lot_e8"], E8)
        self.entry = ceil(self.bars[1].open / tick) * tick
        self.wallet = int(PAGE.EQUITY) - self.quantity * self.entry * spec["taker_fee_e8"] / E8
        self.paid: list[tuple[int, Fraction]] = []

    def at(self, bar: Bar, price: Fraction, wallet: Fraction) -> Moment:
        value = self.quantity * price
        balance = wallet + value - self.quantity * self.entry
        return Moment(bar.close_ms * MS, bar, wallet, balance, maintenance(self.spec, value))

    def moments(self) -> Iterator[Moment]:
        """Yield the mark's low of every bar, and what funding leaves at its close, until one of them liquidates."""
        wallet = self.wallet
        for bar in self.bars[1:]:
            mark = self.marks[bar.close_ms]
            low = self.at(mark, mark.low, wallet)
            yield low
            if low.is_touched:
                return
            if bar.close_ms in self.rates:
                rate = exact(self.rates[bar.close_ms])
                amount = -rate * self.quantity * self.opens.get(bar.close_ms, mark.close)
                wallet += amount
                self.paid.append((bar.close_ms * MS, amount))
                after = self.at(mark, mark.close, wallet)
                yield after
                if after.is_touched:
                    return


class Crash(NamedTuple):
    """A day, what its files hold of it, and what became of a long at every leverage."""

    day: Any
    spec: dict[str, Any]
    files: list[Path]
    summary: dict[str, Any]
    runs: list[Any]

    def twins(self) -> Iterator[tuple[Any, Twin, list[Moment]]]:
        """Yield each run with its twin and the way that the twin went."""
        for run in self.runs:
            if (self.day, run.leverage) not in WALKS:
                twin = Twin(self, run.lots)
                WALKS[self.day, run.leverage] = twin, list(twin.moments())
            yield run, *WALKS[self.day, run.leverage]


WALKS: dict[Any, tuple[Twin, list[Moment]]] = {}
CRASHES: dict[Any, Crash] = {}


def crash_of(shared: Path, factory: Any, day: Any, isolated: bool = False) -> Crash:
    if (day, isolated) not in CRASHES:
        folder = factory.getbasetemp() / re.sub(r"\W", "_", f"{day.name} {day.symbol}")
        files = cut(shared, day, folder)
        spec = dict(facts.specs([day.symbol], table=facts.load(), fees=facts.fee_tier("VIP0"), leverage=1)[0][0])
        given = (day.symbol, PAGE.LEVERAGES, isolated, PAGE.EQUITY, day.window, files)
        CRASHES[day, isolated] = Crash(day, spec, files, *replay(*given, lambda _share, _text: None))
    return CRASHES[day, isolated]


@pytest.fixture
def crash(shared: Path, tmp_path_factory: Any, day: Any) -> Crash:
    """What became of a cross-margined long on the day."""
    return crash_of(shared, tmp_path_factory, day)


@pytest.fixture
def isolated(shared: Path, tmp_path_factory: Any, day: Any) -> Crash:
    """What became of an isolated one."""
    return crash_of(shared, tmp_path_factory, day, isolated=True)


# ---------------------------------------------------------------------- cross margin


@by_day
def test_a_long_is_liquidated_when_the_mark_first_touches_maintenance_and_not_before(crash):
    for run, twin, moments in crash.twins():
        assert run.entry_e8 == twin.entry * E8
        last = moments[-1]
        assert run.liquidated_ns == (last.ns if last.is_touched else None), f"{run.leverage}x"
        if run.liquidated_ns is None:
            assert abs(run.lowest[1] - min(moment.balance for moment in moments) * E8) <= DUST * E8
            assert run.closed == []
        else:
            assert run.points[-1].lots < run.lots


@by_day
def test_funding_is_rate_times_mark_times_quantity_of_the_files(crash):
    coin = Fraction(crash.spec["lot_e8"], E8)
    for run, twin, _ in crash.twins():
        whole = [paid for paid in run.funding if paid.lots == run.lots]
        assert [paid.ts_ns for paid in whole] == [ts for ts, _ in twin.paid]
        assert all(abs(paid.amount_e8 - amount * E8) <= 1 for paid, (_, amount) in zip(whole, twin.paid, strict=True))
        assert all(abs(p.amount_e8 + p.lots * coin * Fraction(p.rate_e8, E8) * p.mark_e8) <= 1 for p in run.funding)
        assert run.funding_e8 == sum(paid.amount_e8 for paid in run.funding)


@by_day
def test_the_margin_path_is_that_of_the_files(crash):
    for run, _, moments in crash.twins():
        lows = dict(reversed([(moment.ns, moment) for moment in moments]))
        assert [point.ts_ns for point in run.held] == sorted(lows)
        for point in run.held:
            low = lows[point.ts_ns]
            assert (point.mark_high_e8, point.mark_low_e8, point.mark_close_e8) == tuple(x * E8 for x in low.mark[2:5])
            assert abs(point.low_balance_e8 - low.balance * E8) <= DUST * E8
            assert abs(point.low_maintenance_e8 - low.maintenance * E8) <= DUST * E8


@by_day
def test_the_liquidation_price_of_a_bar_is_where_balance_and_maintenance_meet(crash):
    for run, twin, moments in crash.twins():
        lows = dict(reversed([(moment.ns, moment) for moment in moments]))
        hair = Fraction(1, E8) + Fraction(3 + len(twin.paid), E8) / twin.quantity  # money is booked in units of 1e-8
        for point in run.held:
            low, price = lows[point.ts_ns], Fraction(point.liquidation_e8, E8)
            assert twin.at(low.mark, price - hair, low.wallet).is_touched
            assert not twin.at(low.mark, price + hair, low.wallet).is_touched


@by_day
def test_money_reconciles(crash):
    # Before: the wallet. After: what the position made, less fees, with funding; nothing is lost on the way.
    for run in crash.runs:
        coin = Fraction(crash.spec["lot_e8"], E8)
        closed = sum(part.lots * coin * (part.price_e8 - run.entry_e8) for part in run.closed)
        last = run.points[-1]
        held = last.lots * coin * (last.mark_close_e8 - run.entry_e8)
        assert sum(part.lots for part in run.closed) + last.lots == run.lots
        left = run.start_e8 + closed + held + run.funding_e8 - run.fees_e8
        assert abs(run.end_e8 - left) <= 2 + len(run.closed)
        assert run.liquidation_fees_e8 == sum(part.fee_e8 for part in run.closed)


@by_day
def test_a_higher_leverage_never_lives_longer(crash):
    ends = [run.liquidated_ns or 1 << 62 for run in crash.runs]
    assert ends == sorted(ends, reverse=True)


# ---------------------------------------------------------------------- the wick

WICK_NS = 1_582_909_200_000 * MS + HOUR_MS * MS  # 2020-02-28 17:00, the bar's close
WICK = next(day for day in MARKED if "wick" in day.name)
BLIND = WICK._replace(name="blind", files=tuple(name for name in WICK.files if not name.startswith("mark/")))


@pytest.mark.parametrize("day", [WICK], ids=["ADAUSDT"])
def test_a_wick_of_the_last_price_that_the_mark_did_not_follow_liquidates_nobody(crash):
    for run in crash.runs:
        assert run.liquidated_ns is None
        point = next(point for point in run.points if point.ts_ns == WICK_NS)
        assert point.last_low_e8 < point.liquidation_e8 < point.mark_low_e8
        assert run.widest == point
        assert point.last_low_e8 == 2_286_000 and point.gap == pytest.approx(0.02286 / 0.04768 - 1.0, abs=1e-4)


@pytest.mark.parametrize("day", [BLIND], ids=["ADAUSDT"])
def test_the_same_wick_liquidates_where_the_candle_stands_in_for_the_mark(crash):
    assert {run.leverage: run.liquidated_ns for run in crash.runs} == dict.fromkeys(PAGE.LEVERAGES, WICK_NS)


@pytest.mark.parametrize("day", UNMARKED, ids=lambda day: f"{day.name} {day.symbol}")
def test_without_a_mark_the_report_says_that_the_candle_stood_in(crash):
    assert crash.summary["mark_source"] == "candle"
    assert any("the candle of the last price stands in" in text for text in crash.summary["notes"])
    for run in crash.runs:
        assert run.stood_in == len(run.points) and run.widest is None
        assert all(point.mark_low_e8 == point.last_low_e8 for point in run.points)


# ---------------------------------------------------------------------- isolated margin


@by_day
def test_an_isolated_margin_holds_what_was_put_aside_at_the_entry_and_takes_its_funding(isolated):
    # By account numbers: the balance at every low is margin, funding and profit of the position alone.
    coin = Fraction(isolated.spec["lot_e8"], E8)
    for run in isolated.runs:
        put_aside = run.lots * coin * run.entry_e8 / run.leverage
        for point in run.held:
            paid = sum(paid.amount_e8 for paid in run.funding if paid.ts_ns < point.ts_ns)
            profit = run.lots * coin * (point.mark_low_e8 - run.entry_e8)
            assert abs(point.low_balance_e8 - (put_aside + paid + profit)) <= 3 + len(run.funding)


# ---------------------------------------------------------------------- the page


@pytest.mark.slow
def test_the_page_is_what_the_recordings_give(root, shared):
    written = (root / "docs/stress.md").read_text(encoding="utf-8")
    assert written == PAGE.page(shared), "run python tests/tools/make_stress_page.py"
