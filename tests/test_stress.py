"""Stress runs: one long that the whole equity pays for, what the margin went through, the command and its page."""

import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import E8, HISTORY, SAMPLES, row, spec

from autotrader.adapters.web import stress as page
from autotrader.adapters.web.words import Words
from autotrader.cli import main
from autotrader.errors import OperatorError
from autotrader.research.stress import Stress, run
from autotrader.run.stress import replay
from core_ext.account import maintenance_margin
from core_ext.types import Flag, Instruments, Kind

HOUR = 3600 * 10**9
T0 = 1_700_000_000 * 10**9 // HOUR * HOUR
CLOSED = Flag.F_CLOSED | Flag.F_END
START = 10_000 * E8


def history(*bars, funding=()):
    """Return the rows of hourly bars: (open, high, low, close) in USDT, and the mark's too where there are eight."""
    rows = []
    for at, bar in enumerate(bars):
        opens, closes = T0 + at * HOUR, T0 + (at + 1) * HOUR
        rows.append(row(Kind.CANDLE_OPEN, opens, a=round(bar[0] * E8), f=HOUR))
        for kind, flags, prices in ((Kind.MARK_CANDLE, 0, bar[4:]), (Kind.CANDLE, CLOSED, bar[:4])):
            if prices:
                words = dict(zip("abcd", (round(price * E8) for price in prices), strict=True))
                rows.append(row(kind, closes, 0, flags, **words, e=10**6 if kind == Kind.CANDLE else 0, f=HOUR))
        rows += [row(Kind.FUNDING, closes, a=rate, b=mark, f=8 * HOUR) for when, rate, mark in funding if when == at]
    return np.concatenate(rows)


def calm(*tail, funding=()):
    """Return two quiet bars at 60,000, the first of which is bought on, and what follows; mark and last are one."""
    return history(*[bar * 2 for bar in ((60_000,) * 4, (60_000,) * 4, *tail)], funding=funding)


def held(rows, tmp_path, leverage=5, isolated=False, source="file", one=None, name="journal"):
    return run(one or spec(), rows, source, leverage, isolated, START, tmp_path / name)


# ---------------------------------------------------------------------- the entry


@pytest.mark.parametrize("leverage", [1, 2, 5, 20, 50])
def test_the_equity_is_the_margin_of_one_long_bought_at_the_open_after_the_first_bar(tmp_path, leverage):
    stress = held(calm((60_000, 60_000, 60_000, 60_000)), tmp_path, leverage)
    lot = Fraction(60 * E8)  # a thousandth of a bitcoin at 60,000
    assert (stress.entry_ns, stress.entry_e8) == (T0 + HOUR, 60_000 * E8)
    # A lot at a price 0.05 % worse: its margin, its fee, its loss against the mark.
    worse = lot * Fraction(10_005, 10_000)
    cost = worse / leverage + worse * Fraction(5, 10_000) + worse - lot
    assert stress.lots in (int(START / cost), int(START / cost) - 1)
    assert 0.85 < stress.lots * lot / START / leverage <= 1.0


def test_one_order_buys_more_than_the_exchange_takes_in_one(tmp_path):
    stress = held(calm((60_000,) * 4), tmp_path, 10, one=spec(max_market_lots=10, max_lots=20))
    assert stress.lots > 1_000


def test_a_window_that_ends_before_anything_is_bought_is_refused(tmp_path):
    with pytest.raises(OperatorError, match=r"BTCUSDT at 5x: no position was opened; .*--from and --to"):
        held(history((60_000,) * 8), tmp_path)


def test_an_equity_below_the_smallest_order_is_refused_with_the_reason(tmp_path):
    with pytest.raises(OperatorError, match=r"BTCUSDT at 1x: the position cannot be opened \(FILTER_QUANTITY\)"):
        run(spec(), calm((60_000,) * 4), "file", 1, False, 50 * E8, tmp_path / "journal")


def test_a_leverage_that_the_bracket_of_the_position_does_not_allow_is_refused_with_the_exchange_s_code(tmp_path):
    with pytest.raises(OperatorError, match=r"BTCUSDT at 150x: the position cannot be opened \(-2027\)"):
        held(calm((60_000,) * 4), tmp_path, 150)


# ---------------------------------------------------------------------- what becomes of it


def test_a_position_that_survives_keeps_its_lowest_balance_and_its_nearest_approach(tmp_path):
    stress = held(calm((60_000, 60_000, 52_000, 58_000), (58_000, 59_000, 57_000, 58_500)), tmp_path)
    assert (stress.liquidated_ns, stress.closed) == (None, [])
    quantity = Fraction(stress.lots, 1_000)
    fee = quantity * 30
    assert stress.fees_e8 == fee * E8
    assert stress.lowest == (T0 + 3 * HOUR, (10_000 - fee - 8_000 * quantity) * E8)
    nearest = stress.nearest
    assert (nearest.ts_ns, nearest.mark_low_e8) == (T0 + 3 * HOUR, 52_000 * E8)
    assert nearest.distance == pytest.approx(52_000 * E8 / nearest.liquidation_e8 - 1.0)
    assert stress.end_e8 == (10_000 - fee - 1_500 * quantity) * E8


def test_a_mark_below_the_liquidation_price_liquidates_in_its_bar_whatever_its_close(tmp_path):
    stress = held(calm((60_000, 60_000, 47_000, 60_000), (60_000,) * 4), tmp_path)
    assert stress.liquidated_ns == T0 + 3 * HOUR
    assert stress.nearest.distance < 0.0
    assert stress.closed[0].mark_e8 == 47_000 * E8
    assert stress.lowest[0] == T0 + 3 * HOUR
    assert stress.end_e8 < 10 * E8
    assert [point.ts_ns for point in stress.held] == [T0 + 2 * HOUR, T0 + 3 * HOUR]


def test_a_hair_above_the_liquidation_price_nothing_happens_and_a_hair_below_everything(tmp_path):
    price = held(calm((60_000,) * 4), tmp_path, name="probe").points[-1].liquidation_e8
    for hair, gone in ((5, False), (-5, True)):  # 1e-8: money is booked in such units
        low = (price + hair) / E8
        bars = [(60_000,) * 8, (60_000,) * 8, (60_000,) * 4 + (60_000, 60_000, low, 60_000)]
        stress = held(history(*bars), tmp_path, name=f"hair{hair}")
        assert (stress.liquidated_ns is not None) is gone


def test_a_last_price_that_the_mark_does_not_follow_liquidates_only_where_it_stands_in(tmp_path):
    wick = [(60_000,) * 8, (60_000,) * 8, (60_000, 60_000, 30_000, 60_000, 60_000, 60_000, 59_000, 60_000)]
    stress = held(history(*wick), tmp_path)
    assert stress.liquidated_ns is None
    assert stress.widest.gap == pytest.approx(30_000 / 59_000 - 1.0)
    assert stress.stood_in == 0
    blind = held(history(*(bar[:4] for bar in wick)), tmp_path, source="proxy", name="blind")
    assert blind.liquidated_ns == T0 + 3 * HOUR
    assert (blind.widest, blind.stood_in) == (None, len(blind.points))


def test_a_bar_without_a_mark_is_marked_by_its_candle_and_counted(tmp_path):
    stress = held(history((60_000,) * 8, (60_000,) * 8, (60_000, 60_000, 47_000, 60_000), (60_000,) * 8), tmp_path)
    assert stress.liquidated_ns == T0 + 3 * HOUR
    assert stress.stood_in == 1


def test_funding_is_paid_on_the_whole_position_and_moves_the_liquidation_price(tmp_path):
    stress = held(calm((60_000,) * 4, (60_000,) * 4, funding=[(2, 100_000, 59_000 * E8)]), tmp_path)
    paid = stress.funding[0]
    assert paid.amount_e8 == stress.funding_e8 == -Fraction(stress.lots, 1_000) * 59 * E8
    before, after = stress.points[-2:]
    assert after.liquidation_e8 > before.liquidation_e8
    assert stress.points[-1].balance_e8 == stress.end_e8


def test_a_funding_payment_can_liquidate(tmp_path):
    stress = held(calm((60_000,) * 4, (60_000,) * 4, funding=[(2, 3 * E8 // 1_000 * 10, 60_000 * E8)]), tmp_path, 50)
    assert stress.liquidated_ns == T0 + 3 * HOUR
    assert len(stress.funding) == 1


@pytest.mark.parametrize("isolated", [False, True])
def test_the_balance_is_that_of_the_account_or_of_the_position_alone(tmp_path, isolated):
    stress = held(calm((60_000, 60_000, 55_000, 58_000)), tmp_path, isolated=isolated)
    quantity = Fraction(stress.lots, 1_000)
    margin = quantity * 60_000 / 5 if isolated else 10_000 - quantity * 30
    assert stress.points[-1].balance_e8 == (margin - 2_000 * quantity) * E8
    assert stress.points[-1].low_balance_e8 == (margin - 5_000 * quantity) * E8
    notional = int(quantity * 58_000 * E8)
    assert stress.points[-1].maintenance_e8 == maintenance_margin(Instruments([spec()]), 0, notional)


def test_the_same_rows_give_the_same_run(tmp_path):
    rows = calm((60_000, 60_000, 52_000, 58_000), (58_000, 58_000, 40_000, 41_000), funding=[(2, 10_000, 0)])
    assert held(rows, tmp_path, name="one") == held(rows, tmp_path, name="two")


def test_the_gate_neither_shrinks_nor_closes_a_position_that_is_about_to_be_liquidated(tmp_path):
    near = held(calm((60_000,) * 4), tmp_path, name="probe").points[-1].liquidation_e8 / E8 * 1.001
    stress = held(calm((60_000, 60_000, near, near), (near, near, near, near)), tmp_path)
    assert stress.liquidated_ns is None
    assert stress.points[-1].lots == stress.lots


# ---------------------------------------------------------------------- the shipped sample


def exact(value: float) -> Fraction:
    return Fraction(Decimal(repr(value)))


def test_the_sample_is_liquidated_at_the_first_low_that_touches_and_not_before():
    window = (int(np.datetime64("2025-05-05", "ns").astype(int)), int(np.datetime64("2025-06-03", "ns").astype(int)))
    summary, runs = replay("SUIUSDT", (3, 5, 10, 20), False, 10_000.0, window, HISTORY, lambda _share, _text: None)
    assert summary["mark_source"] == "candle"
    candles = pl.read_parquet(SAMPLES / "candles_1h_2025_05.parquet").filter(pl.col("symbol") == "SUIUSDT")
    candles = candles.filter(pl.col("ts_ms") * 10**6 >= window[0]).sort("ts_ms")
    brackets = [(0, 20_000, 1), (20_000, 200_000, Fraction(3, 2)), (200_000, 10**6, 2)]
    assert any(stress.liquidated_ns for stress in runs) and any(stress.liquidated_ns is None for stress in runs)
    for stress in runs:
        quantity = stress.lots * Fraction(1, 10)
        funding = {paid.ts_ns: exact(paid.amount_e8) / E8 for paid in stress.funding}
        wallet = 10_000 - Fraction(stress.fees_e8 - stress.liquidation_fees_e8, E8)
        touched = None
        for ts_ms, low in candles.select("ts_ms", "low").rows()[1:]:
            closes = ts_ms * 10**6 + HOUR
            # Stamps of funding lie some milliseconds after the hour.
            wallet += sum(funding.pop(ts) for ts in [ts for ts in funding if ts < closes])
            value, amount = quantity * exact(low), Fraction(0)
            for (floor, cap, percent), before in zip(brackets, (0, *(b[2] for b in brackets)), strict=False):
                amount += floor * Fraction(percent - before) / 100
                if floor <= value < cap:
                    touched = wallet + value - quantity * stress.entry_e8 / E8 <= value * percent / 100 - amount
            if touched:
                touched = closes
                break
        assert stress.liquidated_ns == (touched or None), f"{stress.leverage}x"


# ---------------------------------------------------------------------- the command

ARGUMENTS = [
    "stress",
    "--data",
    *map(str, HISTORY),
    "--symbol",
    "SUIUSDT",
    "--from",
    "2025-05-20",
    "--to",
    "2025-06-01",
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


def test_the_command_leaves_the_numbers_the_path_and_the_page(tmp_path, capsys):
    assert main([*ARGUMENTS, "--json", "--out", "out"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"] == "out/report.html"
    summary = json.loads((tmp_path / "out/stress.json").read_text())
    assert answer["summary"] == summary
    assert [found["leverage"] for found in summary["rows"]] == [2, 3, 5, 10, 20]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["path.parquet", "report.html", "stress.json"]
    path = pl.read_parquet(tmp_path / "out/path.parquet")
    assert path["leverage"].unique().sort().to_list() == [2, 3, 5, 10, 20]
    assert path.filter(pl.col("leverage") == 2)["ts_ns"].is_sorted()


def test_the_command_shows_a_row_for_each_leverage_in_both_languages(capsys):
    assert main([*ARGUMENTS, "--leverage", "2,20", "--margin", "isolated", "--out", "one"]) == 0
    shown = capsys.readouterr().out
    assert "STRESS · SUIUSDT · isolated · 10,000.00 USDT" in shown
    assert re.search(r"2x +survived", shown) and re.search(r"20x +liquidated", shown)
    assert main([*ARGUMENTS, "--leverage", "2,20", "--lang", "ko", "--out", "two"]) == 0
    shown = capsys.readouterr().out
    assert "스트레스 · SUIUSDT" in shown and "생존" in shown and "리스크 게이트" in shown


def test_a_folder_stands_for_the_files_in_it(capsys, tmp_path):
    (tmp_path / "data").mkdir()
    for file in HISTORY:
        (tmp_path / "data" / file.name).symlink_to(file)
    window = ["--symbol", "SUIUSDT", "--from", "2025-05-20", "--to", "2025-06-01", "--json"]
    assert main([*ARGUMENTS, "--json", "--out", "one"]) == 0
    files = json.loads(capsys.readouterr().out)["summary"]
    assert main(["stress", "--data", "data", *window, "--out", "two"]) == 0
    folder = json.loads(capsys.readouterr().out)["summary"]
    assert folder["rows"] == files["rows"]
    (tmp_path / "empty").mkdir()
    assert main(["stress", "--data", "empty", *window]) == 2
    assert "empty: there is no file in this folder" in json.loads(capsys.readouterr().out)["error"]


def test_without_out_the_folder_is_named_after_the_run_and_never_overwritten(capsys):
    assert main(ARGUMENTS) == 0
    assert Path("runs/stress-SUIUSDT-2025-05-20-cross/report.html").is_file()
    assert main(ARGUMENTS) == 2
    assert "is not an empty folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["--leverage", "2,x"], '--leverage "2,x" is not allowed; use up to 6 whole numbers'),
        (["--leverage", "1,2,3,4,5,6,7"], "use up to 6 whole numbers"),
        (["--leverage", "150"], "--leverage 150: SUIUSDT may have 1 to 75"),
        (["--leverage", "0"], "--leverage 0: SUIUSDT may have 1 to 75"),
        (["--from", "yesterday"], '--from "yesterday" is no time; use UTC'),
        (["--to", "2025-13-01"], '--to "2025-13-01" is no time'),
        (["--to", "2025-05-20"], "--to 2025-05-20 is not after --from 2025-05-20"),
        (["--from", "2020-01-01", "--to", "2020-02-01"], "SUIUSDT: fewer than two bars from 2020-01-01T00:00:00Z"),
        (["--equity", "1e12"], '--equity "1e12" is not allowed'),
        (["--equity", "nan"], '--equity "nan" is not allowed'),
        (["--margin", "both"], '--margin "both" is not allowed; use cross, isolated'),
        (
            ["--symbol", "NOSUCHUSDT"],
            '--symbol "NOSUCHUSDT": the shipped table has no tick, lot and brackets of it; use one of BTCUSDT',
        ),
        (["--data", "no/file.parquet"], "--data no/file.parquet: no such file or folder"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do_and_leaves_nothing(capsys, tmp_path, changes, told):
    assert main([*ARGUMENTS, "--out", "out", *changes]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err and shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--data", "--symbol", "--from", "--to"])
def test_an_option_that_is_missing_is_named(capsys, option):
    at = ARGUMENTS.index(option)
    end = at + (1 + len(HISTORY) if option == "--data" else 2)
    assert main([*ARGUMENTS[:at], *ARGUMENTS[end:]]) == 2
    assert f"{option} is missing; see `autotrader stress --help`" in capsys.readouterr().err


def test_the_command_has_a_help_page(capsys):
    assert main(["stress", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: autotrader stress --data PATH ...")


# ---------------------------------------------------------------------- the page


def told(language, **changes):
    window = (int(np.datetime64("2025-05-20", "ns").astype(int)), int(np.datetime64("2025-06-01", "ns").astype(int)))
    summary, runs = replay("SUIUSDT", (2, 20), False, 10_000.0, window, HISTORY, lambda _share, _text: None)
    return page.page(summary | changes, runs, Words(language)), summary, runs


def figures(html):
    found = re.findall(r'<script type="application/json">(.*?)</script>', html)
    return [json.loads(text) for text in found]


def test_the_page_answers_in_the_order_of_the_questions():
    html, summary, _ = told("en")
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles[1:] == [
        "What became of it",
        "Margin ratio",
        "Equity and maintenance margin",
        "Mark against last, and the liquidation price",
        "Liquidations",
        "Funding",
        "Files",
    ]
    assert "Survived at 2x." in html and "Liquidated at 20x" in html
    entry = summary["rows"][0]
    assert f"Bought at {entry['entry_price']:.6f} USDT, {entry['entry_at'][:16].replace('T', ' ')} UTC." in html
    assert all(note.split(".")[0] in html for note in summary["notes"][:3])


def test_the_charts_show_every_leverage_and_where_it_was_liquidated():
    html, _, runs = told("en")
    ratio, equity, price = figures(html)
    assert [trace["name"] for trace in ratio["data"]] == ["2x", "20x"]
    assert len(equity["data"]) == 4
    names = [trace["name"] for trace in price["data"]]
    assert names[-3:] == ["liquidation price 2x", "liquidation price 20x", "liquidated 20x"]
    gone: Stress = runs[1]
    assert price["data"][-1]["x"][0] == gone.liquidated_ns // 10**6
    assert max(ratio["data"][1]["y"]) >= 100.0 > max(ratio["data"][0]["y"])


def test_the_page_without_a_mark_draws_none_and_says_so():
    html, _, _ = told("en")
    assert "mark, low" not in [trace["name"] for trace in figures(html)[2]["data"]]
    assert "There is no mark of these bars" in html


def test_the_page_is_korean_throughout():
    html, _, _ = told("ko")
    assert '<html lang="ko">' in html
    assert "증거금 비율" in html and "청산" in html and "교차 증거금" in html and "마크 캔들" in html
    assert not re.search("survived|cross|klines", re.sub("<script.*?</script>|<style.*?</style>", "", html, flags=re.S))


def test_a_name_from_a_file_cannot_become_markup():
    html, _, _ = told("en", warnings=["<img src=x onerror=alert(1)>"])
    assert "<img src=x" not in html
