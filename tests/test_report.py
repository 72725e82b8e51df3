"""The report of a run: what it says, that it says it honestly, that it opens alone, and what it refuses.

Every run folder here is made by hand: a handful of fills whose results can be checked in the head.
"""

import doctest
import json
import re
from dataclasses import fields as fields_of
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import get_args

import numpy as np
import polars as pl
import pytest

from autotrader.adapters.web import charts, report, words
from autotrader.adapters.web.words import EN, KO, Words
from autotrader.config import Quality
from autotrader.errors import OperatorError
from autotrader.models import performance
from core_ext.quality import Verdict

HOUR_NS = 3_600_000_000_000
NAUGHTY = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>&amp;'
HASH = "0123456789abcdef" * 4


def at(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


# symbol, time, side, price, quantity, fee, maker, realised, position after
FILLS = [
    ("BTCUSDT", "2025-05-05T10:00", "BUY", 100_000.0, 0.01, 0.5, False, 0.0, 0.01),
    ("BTCUSDT", "2025-05-06T12:00", "SELL", 103_000.0, 0.01, 0.206, True, 30.0, 0.0),
    ("ETHUSDT", "2025-05-07T00:00", "SELL", 2_500.0, 1.0, 1.25, False, 0.0, -1.0),
    ("ETHUSDT", "2025-05-09T08:00", "BUY", 2_600.0, 0.4, 0.52, False, -40.0, -0.6),
]
FUNDING = [("BTCUSDT", "2025-05-06T08:00", -0.10), ("ETHUSDT", "2025-05-08T08:00", 0.25)]
# Realised 30 - 40; unrealised 0.6 short from 2500, marked at 2550: -30; fees 2.476; funding 0.15.
EQUITY = [
    ("2025-05-04T16:00", 7700.0),
    ("2025-05-05T16:00", 7709.5),
    ("2025-05-06T16:00", 7729.194),
    ("2025-05-07T16:00", 7720.0),
    ("2025-05-08T16:00", 7690.0),
    ("2025-05-09T16:00", 7657.674),
]


def fill_frame(rows=FILLS, liquidated=()) -> pl.DataFrame:
    records = [
        {
            "ts_ns": at(time),
            "symbol": symbol,
            "side": side,
            "client_id": row + 1,
            "trade_id": row + 1,
            "price": price,
            "quantity": quantity,
            "notional_usdt": price * quantity,
            "fee_usdt": fee,
            "maker": maker,
            "liquidation": row in liquidated,
            "realised_usdt": realised,
            "reference_price": price,
            "slippage_bps": 0.0,
            "position_after": after,
        }
        for row, (symbol, time, side, price, quantity, fee, maker, realised, after) in enumerate(rows)
    ]
    return pl.DataFrame(records, schema=FILL_SCHEMA)


FILL_SCHEMA = {
    **dict.fromkeys(("ts_ns", "trade_id"), pl.Int64),
    **dict.fromkeys(("symbol", "side"), pl.String),
    "client_id": pl.UInt64,
    **dict.fromkeys(("price", "quantity", "notional_usdt", "fee_usdt", "realised_usdt"), pl.Float64),
    **dict.fromkeys(("maker", "liquidation"), pl.Boolean),
    **dict.fromkeys(("reference_price", "slippage_bps", "position_after"), pl.Float64),
}


def equity_frame(rows=EQUITY) -> pl.DataFrame:
    values = np.array([value for _, value in rows])
    return pl.DataFrame(
        {
            "ts_ns": pl.Series([at(time) for time, _ in rows], dtype=pl.Int64),
            "equity_usdt": pl.Series(values, dtype=pl.Float64),
            "drawdown": pl.Series(performance.drawdown_series(values, 7700.0), dtype=pl.Float64),
        }
    )


def funding_frame(rows=FUNDING) -> pl.DataFrame:
    records = [{"ts_ns": at(time), "symbol": symbol, "amount_usdt": amount} for symbol, time, amount in rows]
    return pl.DataFrame(records, schema={"ts_ns": pl.Int64, "symbol": pl.String, "amount_usdt": pl.Float64})


def order_frame(states=("FILLED",) * 4 + ("CANCELLED",)) -> pl.DataFrame:
    records = [{"type": "LIMIT", "tif": "GTX", "state": state} for state in states]
    return pl.DataFrame(records, schema={"type": pl.String, "tif": pl.String, "state": pl.String})


def summary(**changes) -> dict:
    return {
        "run_id": "test-run",
        "mode": "backtest",
        "strategy": "trend",
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "start": "2025-05-04T16:00:00Z",
        "end": "2025-05-09T16:00:00Z",
        "start_ns": at("2025-05-04T16:00"),
        "end_ns": at("2025-05-09T16:00"),
        "events": 12_345,
        "initial_equity": 7700.0,
        "final_equity": 7657.674,
        "total_return": 7657.674 / 7700.0 - 1.0,
        "cagr": -0.33,
        "sharpe": -7.5,
        "sortino": -8.5,
        "calmar": -35.0,
        "max_drawdown": 1.0 - 7657.674 / 7729.194,
        "fees": 2.476,
        "funding": 0.15,
        "realised_pnl": -10.0,
        "unrealised_pnl": -30.0,
        "transfers": 0.0,
        "orders": 5,
        "fills": 4,
        "fill_rate": 0.8,
        "slippage_bps": 1.25,
        "post_only_success": 0.75,
        "rejects_by_reason": {"R18_STALE_DATA": 7, "R11_ORDER_RATE": 3},
        "limiting": {"KELLY": 4, "CONCENTRATION": 1},
        "liquidations": 0,
        "turnover": 0.72,
        "latency_ns": {"p50": 2_000, "p99": 9_000, "p99.9": 40_000, "max": 41_500, "count": 1_000},
        "latency_histogram": {
            "edges_ns": [0, 1_000, 2_000, 4_000, 9_000, 40_000, 50_000],
            "counts": [0, 500, 400, 90, 9, 1],
        },
        "events_per_second": 2_500_000.0,
        "mark_source": {"BTCUSDT": "file: mark candles", "ETHUSDT": "proxy: candle close"},
        "journal_sha256": HASH,
        "orders_sha256": HASH[::-1],
        "state_sha256": HASH,
        "seed": 7,
        "config": {"run": {"mode": "backtest"}, "risk": {"max_drawdown": 0.12}, "trend": {"lookbacks_hours": [24, 72]}},
        "config_sha256": HASH,
        "data": [{"path": "candles.parquet", "sha256": HASH, "rows": 3_600, "kind": "candles"}],
        "defaults_used": ["BTCUSDT maker fee: 2 bps (base tier)"],
        "warnings": ["mark price of ETHUSDT is a proxy"],
        "notes": ["prior: Sharpe 0.5 +- 0.5"],
        "costs": {"fees_maker": 0.206, "fees_taker": 2.27, "liquidation_fees": 0.0, "funding": 0.15, "slippage": 0.58},
        "alarms": {"DRAWDOWN_HALF": 2, "BOOK_GAP": 5},
        "language": "en",
    } | changes


def nothing_traded(**changes) -> dict:
    quiet = {
        **dict.fromkeys(("fees", "funding", "realised_pnl", "unrealised_pnl", "total_return"), 0.0),
        **dict.fromkeys(
            ("cagr", "sharpe", "sortino", "calmar", "fill_rate", "slippage_bps", "post_only_success"), None
        ),
        **{name: {} for name in ("rejects_by_reason", "limiting", "alarms", "mark_source", "config")},
        **{name: [] for name in ("defaults_used", "warnings", "notes", "data")},
        **dict.fromkeys(("orders", "fills"), 0),
        "final_equity": 7700.0,
        "max_drawdown": 0.0,
        "turnover": None,
        "events_per_second": None,
        "latency_ns": {"p50": None, "p99": None, "p99.9": None, "max": None, "count": 0},
        "latency_histogram": {"edges_ns": [], "counts": []},
        "costs": dict.fromkeys(("fees_maker", "fees_taker", "liquidation_fees", "funding", "slippage"), 0.0),
    }
    return summary(**(quiet | changes))


def write_run(folder: Path, told=None, fills=None, orders=None, equity=None, funding=None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary() if told is None else told))
    (fill_frame() if fills is None else fills).write_parquet(folder / "fills.parquet")
    (order_frame() if orders is None else orders).write_parquet(folder / "orders.parquet")
    (equity_frame() if equity is None else equity).write_parquet(folder / "equity.parquet")
    (funding_frame() if funding is None else funding).write_parquet(folder / "funding.parquet")
    return folder


def write_quiet_run(folder: Path, **changes) -> Path:
    return write_run(
        folder,
        nothing_traded(**changes),
        fills=fill_frame([]),
        orders=order_frame(()),
        equity=equity_frame([("2025-05-04T16:00", 7700.0), ("2025-05-04T20:00", 7700.0)]),
        funding=funding_frame([]),
    )


class Page(HTMLParser):
    """What a browser would make of the file: elements with their attributes, the visible text, the charts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.figures: list[dict] = []
        self.scripts: list[str] = []
        self.style = ""
        self._inside: list[str] = []
        self._json = False
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._json = tag == "script" and dict(attrs).get("type") == "application/json"
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style") and self._inside:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.words.append(data)
        elif self._inside[-1] == "style":
            self.style += data
        elif self._json:
            self.figures.append(json.loads(data))
        else:
            self.scripts.append(data)

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(params=["en", "ko"])
def language(request) -> str:
    return request.param


@pytest.fixture
def page(tmp_path) -> Page:
    return Page(report.render(write_run(tmp_path / "run"), "en"))


# What the report says


def test_the_verdict_says_what_was_lost_after_costs_and_which_limits_fired(page):
    # 7657.674 - 7700 = -42.326, 0.55 % of 7700; before costs -10 - 30 = -40.
    assert "Lost 42.33 USDT (0.55 %) after costs." in page.text
    assert (
        "Before costs \u221240.00 USDT, of which \u221230.00 USDT unrealised; fees 2.48 USDT; funding +0.15 USDT."
        in page.text
    )
    assert "drawdown at half its limit: half size (2)" in page.text
    assert "10 orders were refused, most often: market data too old or the book not usable (7)." in page.text


def test_a_gap_in_the_book_is_no_account_limit(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(alarms={"BOOK_GAP": 5})), "en"))
    assert "No account limit fired." in page.text
    assert "Gap in the order book's update chain" in page.text


def test_costs_that_turned_a_gain_into_a_loss_are_named(tmp_path):
    told = summary(realised_pnl=31.0, final_equity=7698.674, fees=2.476)
    page = Page(report.render(write_run(tmp_path / "run", told), "en"))
    assert "Costs turned a gain into a loss." in page.text


def test_caveats_stand_before_the_first_chart(tmp_path):
    html = report.render(write_run(tmp_path / "run"), "en").read_text()
    first_chart = html.index('class="chart"')
    for caveat in (
        "prior: Sharpe 0.5 +- 0.5",
        "mark price of ETHUSDT is a proxy",
        "BTCUSDT maker fee: 2 bps (base tier)",
    ):
        assert html.index(caveat) < first_chart


def test_a_run_made_in_another_language_says_why_its_notes_are_in_that(tmp_path, language):
    page = Page(report.render(write_run(tmp_path / "run", summary(language="en")), language))
    assert (" ".join(Words(language)("caveat.language").split()) in page.text) is (language == "ko")


def test_the_sections_come_in_the_order_of_a_readers_questions(page):
    assert page.ids() == [
        "performance",
        "positions",
        "months",
        "costs",
        "accounts",
        "trades",
        "latency",
        "refusals",
        "limits",
        "quality",
        "data",
        "configuration",
    ]
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert links == [f"#{name}" for name in page.ids()]


def test_the_accounts_are_written_out_and_reconcile(page):
    # 7700 - 10 - 30 + 0.15 - 2.476 + 0 = 7657.674
    for amount in (
        "7,700.00000000",
        "\u221210.00000000",
        "\u221230.00000000",
        "0.15000000",
        "2.47600000",
        "7,657.67400000",
    ):
        assert amount in page.text
    assert "Yes: the sum equals the final equity" in page.text
    assert "DIFFERS" not in page.text


def test_accounts_that_miss_by_two_units_of_the_last_place_are_called_out(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(final_equity=7657.67400002)), "en"))
    assert "NO: the sum misses the final equity by \u22120.00000002 USDT" in page.text


def test_a_summary_that_the_fills_contradict_is_called_out(tmp_path):
    told = summary(fees=2.0, final_equity=7658.15)
    page = Page(report.render(write_run(tmp_path / "run", told), "en"))
    assert "fees, liquidation fees included DIFFERS by +0.47600000 USDT" in page.text


def test_slippage_is_a_memo_and_not_subtracted_again(page):
    # -10 gross - 0.206 - 2.27 + 0.15 = -12.326, whatever the slippage of 0.58 was.
    (waterfall,) = [trace for figure in page.figures for trace in figure["data"] if trace["type"] == "waterfall"]
    assert waterfall["x"] == pytest.approx([-10.0, -0.206, -2.27, 0.0, 0.15, -12.326], abs=1e-9)
    assert waterfall["measure"] == ["absolute", "relative", "relative", "relative", "relative", "total"]
    assert "Memo: slippage" in page.text
    assert "\u22120.5800" in page.text


def test_each_symbol_shows_its_own_result(page):
    # ETH: -40 gross, 1.77 fees, 0.25 funding: -41.52. Both: -10 - 2.476 + 0.15 = -12.326.
    assert re.search(r"ETHUSDT 2 3,540\.00 −40\.0000 −1\.7700 \+0\.2500 −41\.5200", page.text)
    assert re.search(r"Total 4 5,570\.00 −10\.0000 −2\.4760 \+0\.1500 −12\.3260", page.text)


def test_trades_are_round_trips_and_an_open_one_is_called_open(page):
    assert "2 round trips, 1 of them still open, from the 4 fills in fills.parquet." in page.text
    assert re.search(r"1 BTCUSDT Long 2025-05-05 10:00:00 1 d 2 h 0\.01 100,000\.00 103,000\.00 \+30\.0000", page.text)
    assert re.search(r"2 ETHUSDT Short 2025-05-07 00:00:00 open 1 2,500\.000 2,600\.000 −40\.0000", page.text)


def test_trades_can_be_sorted_by_number_not_by_text(page):
    keys = [attributes["data-key"] for _, attributes in page.elements if "data-key" in attributes]
    assert "93600000000000" in keys
    assert sum(tag == "button" for tag, _ in page.elements) == 11


def test_no_more_than_five_hundred_trades_are_shown_and_the_rest_is_counted(tmp_path):
    rows = []
    for trip in range(501):
        time = np.datetime64("2025-05-05T00:00") + np.timedelta64(trip, "m")
        rows.append(("BTCUSDT", str(time), "BUY", 100.0, 1.0, 0.0, False, 0.0, 1.0))
        rows.append(("BTCUSDT", str(time), "SELL", 100.0, 1.0, 0.0, False, 0.0, 0.0))
    page = Page(report.render(write_run(tmp_path / "run", fills=fill_frame(rows)), "en"))
    assert "501 round trips, 0 of them still open, from the 1,002 fills in fills.parquet." in page.text
    assert "The first 500 are shown." in page.text
    assert page.text.count("BTCUSDT Long") == 500


def test_the_position_is_drawn_in_usdt_from_flat_to_the_end_of_the_run(page):
    steps = {trace["name"]: trace for figure in page.figures for trace in figure["data"] if trace["type"] == "scatter"}
    eth = steps["ETHUSDT"]
    assert eth["y"] == pytest.approx([0.0, -2500.0, -0.6 * 2600.0, -0.6 * 2600.0])
    assert eth["x"][0] == at("2025-05-04T16:00") // 1_000_000
    assert eth["x"][-1] == at("2025-05-09T16:00") // 1_000_000
    assert eth["line"]["shape"] == "hv"


def test_the_drawdown_ladder_stands_at_one_half_three_quarters_and_all_of_the_limit(page):
    layout = page.figures[0]["layout"]
    levels = [shape["y0"] for shape in layout["shapes"] if shape["yref"] == "y2"]
    assert levels == pytest.approx([-6.0, -9.0, -12.0])
    # The deepest drawdown is 0.93 %, so the first step is the one to keep in sight.
    assert layout["yaxis2"]["range"][0] == pytest.approx(-6.9)


def test_a_configuration_without_a_limit_draws_no_ladder(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(config={})), "en"))
    assert [shape["yref"] for shape in page.figures[0]["layout"]["shapes"]] == ["y"]


def test_the_months_show_the_compounded_daily_returns(page):
    assert "−0.55 %" in page.text
    assert re.search(r"2025 (−0\.55 % ){2}", page.text)


def test_a_short_run_says_what_its_sharpe_is_worth(page):
    returns = performance.daily_returns(*_curve(), 7700.0)
    error = performance.mertens_standard_error(returns)
    assert f"−7.50 ± {error:.2f}" in page.text
    assert (
        f"{len(returns)} daily returns: the standard error of the annual Sharpe ratio is about {error:.2f}" in page.text
    )


def _curve():
    frame = equity_frame()
    return frame["ts_ns"].to_numpy(), frame["equity_usdt"].to_numpy()


def test_an_interval_around_zero_says_nothing_about_skill(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(sharpe=0.5)), "en"))
    assert "The interval contains zero: this run says nothing about skill." in page.text


def test_an_interval_beside_zero_in_a_short_run_is_one_stretch_of_the_market(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(sharpe=90.0)), "en"))
    assert "this describes one stretch of the market, not the strategy" in page.text


def test_targets_are_met_or_missed_and_what_was_not_measured_says_so(tmp_path):
    told = summary(fill_rate=0.951, slippage_bps=5.0, post_only_success=None)
    page = Page(report.render(write_run(tmp_path / "run", told), "en"))
    assert "Fill rate 95.10 % > 95 % met" in page.text
    assert "Slippage per order 5.00 bps < 5 bps missed" in page.text
    assert "Post-only success — > 70 % not measured" in page.text


def test_annual_figures_of_a_short_run_are_called_annualised(page):
    assert "Annual growth (CAGR) −33.00 % annualised from 5 d" in page.text


def test_latency_is_told_against_the_budget(tmp_path, page):
    assert "The slowest of 1,000 was 41.5 µs, inside the budget of 100 ms." in page.text
    slow = {"p50": 2_000, "p99": 9_000, "p99.9": 40_000, "max": 100_000_001, "count": 1_000}
    late = Page(report.render(write_run(tmp_path / "late", summary(latency_ns=slow)), "en"))
    assert "beyond the budget of 100 ms" in late.text
    (bars,) = [trace for figure in page.figures for trace in figure["data"] if trace["type"] == "bar"]
    assert bars["y"] == [500, 400, 90, 9, 1]
    assert bars["x"][0] == 1_500.0


def test_a_histogram_that_begins_at_zero_can_be_drawn_on_a_logarithm(tmp_path):
    histogram = {"edges_ns": [0, 1_000, 2_000], "counts": [3, 1]}
    page = Page(report.render(write_run(tmp_path / "run", summary(latency_histogram=histogram)), "en"))
    (bars,) = [trace for figure in page.figures for trace in figure["data"] if trace["type"] == "bar"]
    assert bars["x"] == [750.0, 1_500.0]
    assert bars["width"] == [500.0, 1_000.0]


def test_refusals_and_caps_are_explained_in_words(page):
    assert "R18_STALE_DATA Market data too old or the book not usable 7 70.0 %" in page.text
    assert "KELLY Fractional Kelly 4 80.0 %" in page.text


def test_a_name_that_the_report_does_not_know_is_shown_as_it_is(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(rejects_by_reason={"-2019": 2})), "en"))
    assert "most often: -2019 (2)" in page.text
    assert "-2019 — 2 100.0 %" in page.text


def test_liquidations_are_listed_and_a_missing_one_is_noticed(tmp_path):
    told = summary(liquidations=2)
    page = Page(report.render(write_run(tmp_path / "run", told, fills=fill_frame(liquidated={3})), "en"))
    assert "liquidation (2)" in page.text
    assert "2025-05-09 08:00:00 ETHUSDT buy 0.4 2,600.000 −40.0000 −0.5200" in page.text
    assert "The run counts 2 liquidations; fills.parquet lists 1." in page.text


def test_transfers_without_dates_leave_out_what_they_would_falsify(tmp_path):
    told = summary(transfers=1000.0, final_equity=8657.674)
    page = Page(report.render(write_run(tmp_path / "run", told), "en"))
    assert "Lost 42.33 USDT (0.55 %) after costs." in page.text
    assert "Money was moved during the run (+1,000.00 USDT net)" in page.text
    assert "There are no daily returns, so there is no month to show." in page.text
    assert "The standard error of the Sharpe ratio cannot be computed" in page.text


def test_data_configuration_and_fingerprints_are_all_there(page):
    for part in (
        "candles.parquet candles 3,600",
        HASH,
        HASH[::-1],
        "max_drawdown 0.12",
        "lookbacks_hours [24,72]",
        "proxy",
    ):
        assert part in page.text


VERDICTS = {"judged": 10_000, "discarded": 1, **dict.fromkeys((verdict.name for verdict in Verdict), 0)}
CHECKS = {
    "bars": 700,
    "missing": 9,
    "longest_gap_ns": 9 * HOUR_NS,
    "jumps": 3,
    "largest_jump": -0.2413,
    "largest_jump_ns": 1_584_010_800_000_000_000,
    "empty": 4,
}
POLICIES = {"on_spike": "discard", "on_stale": "halt", "on_outlier": "warn", "on_wide_spread": "conservative"}


def with_quality(**changes) -> dict:
    both = {"BTCUSDT": VERDICTS | {"SPIKE": 7}, "ETHUSDT": VERDICTS | {"STALE": 12, "SPIKE": 1}}
    config = {"quality": POLICIES}
    return summary(**({"quality": both, "history": {"BTCUSDT": CHECKS}, "config": config} | changes))


def test_each_verdict_on_the_data_shows_its_meaning_its_policy_and_its_count(tmp_path, language):
    page = Page(report.render(write_run(tmp_path / "run", with_quality()), language))
    say = Words(language)
    # 7 + 1 spikes of 20,000 data are 0.04 %, which one decimal shows as 0.0.
    assert f"SPIKE {say.meaning('datum', 'SPIKE')} {say('policy.discard')} 8 0.0 %" in page.text
    assert f"STALE {say.meaning('datum', 'STALE')} {say('policy.halt')} 12 0.1 %" in page.text
    assert f"OUTLIER {say.meaning('datum', 'OUTLIER')} {say('policy.warn')} 0 0.0 %" in page.text
    assert say("quality.judged", judged="20,000", discarded="2") in page.text
    assert "BTCUSDT 10,000 1 SPIKE 7" in page.text
    assert "ETHUSDT 10,000 1 STALE 12, SPIKE 1" in page.text


def test_the_checks_of_the_history_are_shown(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", with_quality()), "en"))
    assert "BTCUSDT 700 9 9 h 3 −24.13 % 2020-03-12 11:00:00 4" in page.text
    calm = CHECKS | {"longest_gap_ns": 0, "largest_jump_ns": 0, "largest_jump": 0.0}
    page = Page(report.render(write_run(tmp_path / "run", with_quality(history={"BTCUSDT": calm})), "en"))
    assert "BTCUSDT 700 9 — 3 0.00 % — 4" in page.text


def test_every_verdict_and_policy_of_the_core_is_explained():
    assert {f"datum.{verdict.name}" for verdict in Verdict} == {key for key in EN if key.startswith("datum.")}
    chosen = {choice for item in fields_of(Quality) for choice in get_args(item.type) if isinstance(choice, str)}
    assert {f"policy.{policy}" for policy in chosen} == {key for key in EN if key.startswith("policy.")}


def test_a_suspect_datum_is_no_account_limit(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(alarms={"DATA_ANOMALY": 5})), "en"))
    assert "No account limit fired." in page.text and "suspect market data" in page.text.lower()


def test_a_simulation_says_that_it_is_one_and_live_trading_does_not(tmp_path, page):
    assert "This is a simulation" in page.text
    live = Page(report.render(write_run(tmp_path / "live", summary(mode="live")), "en"))
    assert "This is a simulation" not in live.text
    assert "It is not investment advice" in live.text


# Runs with little in them


def test_a_run_without_a_trade_says_so_in_every_section(tmp_path, language):
    say = Words(language)
    page = Page(report.render(write_quiet_run(tmp_path / "run"), language))
    for key in (
        "verdict.no_fills",
        "verdict.no_limits",
        "verdict.no_refusals",
        "caveat.none",
        "positions.none",
        "costs.none",
        "trades.none",
        "latency.none",
        "refusals.no_orders",
        "refusals.none",
        "limits.no_limiting",
        "limits.no_alarms",
        "limits.no_liquidations",
        "quality.none",
        "quality.no_history",
        "data.none",
        "data.no_mark",
        "configuration.none",
    ):
        assert " ".join(say(key).split()) in page.text
    assert " ".join(say("sharpe.undefined", days=1).split()) in page.text
    assert len(page.figures) == 1


def test_a_run_without_equity_draws_no_curve(tmp_path):
    folder = write_quiet_run(tmp_path / "run", max_drawdown=None)
    equity_frame([]).write_parquet(folder / "equity.parquet")
    page = Page(report.render(folder, "en"))
    assert "equity.parquet has no row: there is no curve to draw." in page.text
    assert page.figures == []


def test_a_run_of_one_day_has_no_ratio_and_its_text_no_nan(tmp_path, language):
    told = summary(cagr=None, sharpe=None, sortino=None, calmar=None)
    equity = equity_frame([("2025-05-04T16:00", 7700.0), ("2025-05-04T20:00", 7657.674)])
    page = Page(report.render(write_run(tmp_path / "run", told, equity=equity), language))
    assert "± " not in page.text
    assert not re.search(r"\b(nan|inf|None|null)\b", page.text)


def test_a_run_without_funding_says_so(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", funding=funding_frame([])), "en"))
    assert "No funding was paid or received." in page.text


def test_half_a_second_matters_where_fills_are_that_close(tmp_path):
    rows = [
        ("BTCUSDT", "2025-05-05T10:00:00.250", "BUY", 100.0, 1.0, 0.0, True, 0.0, 1.0),
        ("BTCUSDT", "2025-05-05T10:00:00.750", "SELL", 101.0, 1.0, 0.0, True, 1.0, 0.0),
    ]
    page = Page(report.render(write_run(tmp_path / "run", fills=fill_frame(rows)), "en"))
    assert "2025-05-05 10:00:00.250 500 ms" in page.text


# Large runs


def test_a_long_curve_is_thinned_and_keeps_its_ends_its_high_its_low_and_its_deepest_drawdown():
    size = 200_000
    equity = 7700.0 + 50.0 * np.sin(np.arange(size) / 900.0)
    equity[123_457], equity[77_771], equity[0] = 9_000.0, 5_000.0, 7_700.0
    drawdown = performance.drawdown_series(equity, 7700.0)
    kept = charts.thinned(5_000, equity, drawdown)
    assert len(kept) <= 5_000
    assert np.all(np.diff(kept) > 0)
    assert {0, size - 1, 123_457, 77_771, int(drawdown.argmax())} <= set(kept.tolist())


@pytest.mark.parametrize("size", [1, 2, 4_999, 5_000, 5_001, 5_007])
def test_thinning_never_exceeds_its_bound_and_leaves_short_curves_alone(size):
    values = np.arange(size, dtype=np.float64) % 7
    kept = charts.thinned(5_000, values, values)
    assert len(kept) == size if size <= 5_000 else len(kept) <= 5_000


def test_the_report_says_that_points_were_left_out(tmp_path):
    times = at("2025-05-04T16:00") + np.arange(20_000) * 21_600_000_000
    values = np.linspace(7700.0, 7657.674, 20_000)
    drawdown = performance.drawdown_series(values, 7700.0)
    equity = pl.DataFrame({"ts_ns": times, "equity_usdt": values, "drawdown": drawdown})
    page = Page(report.render(write_run(tmp_path / "run", equity=equity), "en"))
    assert len(page.figures[0]["data"][0]["x"]) <= 5_000
    assert "of 20,000 observations are drawn" in page.text


# One file that opens alone, and runs nothing that came from a run


def test_nothing_is_loaded_from_anywhere(tmp_path, language):
    path = report.render(write_run(tmp_path / "run"), language)
    page = Page(path)
    for tag, attributes in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policy = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none';")
    assert "http" not in policy[0]
    own = page.scripts[-1]
    assert "http" not in own
    assert "fetch(" not in own


def test_the_charting_library_is_there_exactly_once(page):
    libraries = [script for script in page.scripts if len(script) > 1_000_000]
    assert len(libraries) == 1
    assert "plotly.js v" in libraries[0][:300]
    assert "displaylogo: false" in page.scripts[-1]
    assert "responsive: true" in page.scripts[-1]


def test_no_button_uploads_a_chart(page):
    assert "showSendToCloud: false" in page.scripts[-1]
    assert 'plotlyServerURL: ""' in page.scripts[-1]


def test_no_text_of_a_run_becomes_markup(tmp_path, language):
    naughty = [(NAUGHTY, *row[1:]) for row in FILLS[:2]]
    told = summary(
        symbols=[NAUGHTY],
        strategy=NAUGHTY,
        run_id=NAUGHTY,
        mode=NAUGHTY,
        notes=[NAUGHTY],
        warnings=[NAUGHTY],
        defaults_used=[NAUGHTY],
        rejects_by_reason={NAUGHTY: 1},
        limiting={NAUGHTY: 1},
        alarms={NAUGHTY: 1},
        mark_source={NAUGHTY: NAUGHTY},
        config={NAUGHTY: {NAUGHTY: NAUGHTY}},
        data=[{"path": NAUGHTY, "sha256": NAUGHTY, "rows": 1, "kind": NAUGHTY}],
        config_sha256=NAUGHTY,
    )
    folder = write_run(
        tmp_path / "run",
        told,
        fills=fill_frame(naughty, liquidated={1}),
        orders=order_frame((NAUGHTY,)),
        funding=funding_frame([(NAUGHTY, "2025-05-06T08:00", 1.0)]),
    )
    path = report.render(folder, language)
    page = Page(path)
    tags = [tag for tag, _ in page.elements]
    assert "img" not in tags
    assert tags.count("script") == 2 + len(page.figures)
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert NAUGHTY in page.text
    assert "<img src=x" not in path.read_text()


def test_a_symbol_is_no_markup_inside_a_chart_either(tmp_path):
    fills = fill_frame([("<b>X</b>", *row[1:]) for row in FILLS[:2]])
    page = Page(report.render(write_run(tmp_path / "run", fills=fills), "en"))
    names = [trace.get("name") for figure in page.figures for trace in figure["data"]]
    assert "&lt;b&gt;X&lt;/b&gt;" in names


def test_the_charts_are_figures_that_the_library_accepts(page):
    graph_objects = pytest.importorskip("plotly.graph_objects")
    assert len(page.figures) == 4
    for figure in page.figures:
        graph_objects.Figure(_with_colours(figure))


def _with_colours(part):
    # The page fills in the colours; here one stands for all.
    if isinstance(part, dict):
        return {key: _with_colours(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_with_colours(value) for value in part]
    return "#123456" if isinstance(part, str) and part.startswith("var(--") else part


def test_every_colour_of_a_chart_is_defined_by_the_style(page):
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", json.dumps(page.figures)))
    assert used
    assert all(f"{name}:" in page.style for name in used)


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    folder = write_run(tmp_path / "run")
    first = report.render(folder, "en").read_bytes()
    assert report.render(folder, "en").read_bytes() == first


# Languages


def test_both_languages_have_the_same_keys_and_the_same_fields():
    def fields(text):
        return sorted(name.split("!")[0] for _, name, _, _ in Formatter().parse(text) if name)

    assert EN.keys() == KO.keys()
    assert {key: fields(text) for key, text in EN.items()} == {key: fields(text) for key, text in KO.items()}


def test_every_korean_text_is_korean():
    assert [key for key, text in KO.items() if not re.search("[가-힣]", text)] == []


def test_every_code_of_the_venue_is_explained(root):
    codes = re.findall(r"^    [A-Z_]+ = (-\d{4})$", (root / "core_ext/request.pxd").read_text(), re.MULTILINE)
    assert len(codes) > 40
    assert {f"reason.VENUE_{code}" for code in codes} <= EN.keys()


def test_every_reason_alarm_and_cap_of_the_core_is_explained():
    types = pytest.importorskip("core_ext.types")
    sizing = pytest.importorskip("core_ext.sizing")
    assert {f"reason.{reason.name}" for reason in types.Reason if reason} <= EN.keys()
    assert {f"alarm.{alarm.name}" for alarm in types.Alarm} <= EN.keys()
    assert {f"cap.{factor.name}" for factor in sizing.Factor} <= EN.keys()


def test_the_korean_report_is_korean(tmp_path):
    path = report.render(write_run(tmp_path / "run"), "ko")
    page = Page(path)
    assert dict(page.elements)["html"]["lang"] == "ko"
    for text in ("비용 차감 후 42.33 USDT (0.55 %) 손실.", "최대 낙폭", "펀딩비", "청산가", "슬리피지", "수량 절반"):
        assert text in page.text or text in json.dumps(page.figures, ensure_ascii=False)
    titles = [text for key, text in EN.items() if key.endswith(".title")]
    assert not any(title in page.text for title in titles)


def test_another_language_is_refused(tmp_path):
    with pytest.raises(OperatorError, match="'de' is not known: choose en or ko"):
        report.render(write_run(tmp_path / "run"), "de")


@pytest.mark.parametrize(
    "nanoseconds, told",
    [
        (0, "0 ms"),
        (999_999, "0 ms"),
        (250_000_000, "250 ms"),
        (61 * 10**9, "1 min 1 s"),
        (HOUR_NS, "1 h"),
        (25 * HOUR_NS + 1, "1 d 1 h"),
        (24 * HOUR_NS + 10**9, "1 d"),
        (712 * HOUR_NS, "29 d 16 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(nanoseconds, told):
    assert Words("en").span(nanoseconds) == told


@pytest.mark.parametrize(
    "value, told",
    [(None, "—"), (0.0, "0 ns"), (999.4, "999 ns"), (1_000, "1 µs"), (999_960, "1,000 µs"), (2.5e9, "2.5 s")],
)
def test_a_latency_is_told_in_the_unit_that_it_fills(value, told):
    assert words.latency(value).replace("\u00a0", " ") == told


def test_numbers_that_round_to_nothing_have_no_sign():
    assert words.number(-0.001) == "0.00"
    assert words.number(0.0, signed=True) == "0.00"
    assert words.number(-1234.5, 1) == "\u22121,234.5"


def test_the_examples_in_the_docstrings_run():
    results = doctest.testmod(words)
    assert results.failed == 0
    assert results.attempted >= 7


# Bad input


FILES = ["summary.json", "fills.parquet", "orders.parquet", "equity.parquet", "funding.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_what_to_do(tmp_path, name, language):
    folder = write_run(tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises(OperatorError) as caught:
        report.render(folder, language)
    assert str(folder / name) in str(caught.value)
    assert {"en": "again", "ko": "다시 실행"}[language] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def test_a_file_missing_from_a_run_that_is_still_going_says_so(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "equity.parquet").unlink()
    (folder / "INCOMPLETE").touch()
    with pytest.raises(OperatorError, match="the run failed or is still going"):
        report.render(folder, "en")


def _empty(content: bytes) -> bytes:
    return b""


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _foreign(content: bytes) -> bytes:
    return b"\xff\xfe not what it should be \x00"


def _without_footer(content: bytes) -> bytes:
    return content[:-8] + b"\x00" * 8


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [_empty, _truncated, _foreign, _without_footer])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, name, damage):
    folder = write_run(tmp_path / "run")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(OperatorError) as caught:
        report.render(folder, "en")
    assert str(folder / name) in str(caught.value)
    assert "run again to rebuild it" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes, wrong",
    [
        ({"fees": "cheap"}, "$.fees"),
        ({"orders": 1.5}, "$.orders"),
        ({"latency_ns": {"p50": 1}}, "p99"),
        ({"latency_histogram": {"edges_ns": [1, 2], "counts": [1, 2]}}, "latency_histogram"),
        ({"latency_histogram": {"edges_ns": [1, 3, 2], "counts": [1, 2]}}, "latency_histogram"),
        ({"latency_histogram": {"edges_ns": [-1, 3], "counts": [1]}}, "latency_histogram"),
        ({"latency_histogram": {"edges_ns": [1, 3], "counts": [-1]}}, "latency_histogram"),
        ({"start_ns": 2, "end_ns": 1}, "start_ns 2, end_ns 1"),
        ({"end_ns": 2**63}, f"end_ns {2**63}"),
        ({"start_ns": -1}, "start_ns -1"),
        ({"initial_equity": 0.0}, "initial_equity"),
        ({"initial_equity": -1.0}, "initial_equity"),
    ],
)
def test_a_summary_of_another_shape_names_the_key(tmp_path, changes, wrong):
    folder = write_run(tmp_path / "run", summary(**changes))
    with pytest.raises(OperatorError, match=re.escape(wrong)):
        report.render(folder, "en")


@pytest.mark.parametrize("key", sorted(set(summary()) - {"start", "end", "language"}))
def test_a_summary_without_a_key_names_it(tmp_path, key):
    told = summary()
    del told[key]
    with pytest.raises(OperatorError, match=rf"missing required field `{key}`"):
        report.render(write_run(tmp_path / "run", told), "en")


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_number_that_is_none_is_named_by_column_and_row(tmp_path, bad):
    equity = equity_frame().with_columns(
        equity_usdt=pl.Series([*(value for _, value in EQUITY[:-1]), bad], dtype=pl.Float64)
    )
    with pytest.raises(OperatorError, match=r"equity\.parquet.*equity_usdt, row 5"):
        report.render(write_run(tmp_path / "run", equity=equity), "en")


def test_a_column_of_another_type_or_name_is_named(tmp_path):
    folder = write_run(tmp_path / "run", fills=fill_frame().with_columns(pl.col("price").cast(pl.Float32)))
    with pytest.raises(OperatorError, match=r"fills\.parquet.*price: Float32 instead of Float64"):
        report.render(folder, "en")
    fill_frame().drop("price").write_parquet(folder / "fills.parquet")
    with pytest.raises(OperatorError, match=r"fills\.parquet.*price"):
        report.render(folder, "en")


def test_fills_that_do_not_join_up_are_refused_with_file_and_row(tmp_path):
    with pytest.raises(OperatorError, match=r"fills\.parquet: damaged .*row 0.*run again to rebuild it"):
        report.render(write_run(tmp_path / "run", fills=fill_frame(FILLS[1:2])), "en")


def test_an_equity_curve_that_runs_backwards_is_refused_with_file_and_row(tmp_path):
    with pytest.raises(OperatorError, match=r"equity\.parquet: damaged .*row 5: the time runs backwards"):
        report.render(write_run(tmp_path / "run", equity=equity_frame([*EQUITY[:-1], EQUITY[0]])), "en")


def test_absurdly_large_amounts_are_written_out_and_do_not_reconcile(tmp_path):
    page = Page(report.render(write_run(tmp_path / "run", summary(final_equity=1e300)), "en"))
    assert "NO: the sum misses the final equity" in page.text


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OperatorError, match="no such run folder"):
        report.render(tmp_path / "nowhere", "en")


def test_an_old_report_stays_whole_when_the_new_one_cannot_be_made(tmp_path):
    folder = write_run(tmp_path / "run")
    before = report.render(folder, "en").read_bytes()
    (folder / "summary.json").write_text("{")
    with pytest.raises(OperatorError):
        report.render(folder, "en")
    assert (folder / "report.html").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "report.html"])


def test_a_folder_that_cannot_be_written_is_named_and_left_clean(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "report.html").mkdir()
    (folder / "report.html" / "kept").touch()
    with pytest.raises(OperatorError, match=r"report\.html: cannot be written"):
        report.render(folder, "en")
    assert not list(folder.glob("*.draft")) + list(folder.glob(".*.draft"))
