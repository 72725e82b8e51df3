"""Whole runs through the command line: what they leave, that they come back bit for bit, that nothing looks ahead."""

import gzip
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from builders import FIVE, HISTORY, RECORDING, configuration

from autotrader.cli import main
from core_ext.journal import JournalWriter, read_journal
from core_ext.types import Kind

ROOT = Path(__file__).resolve().parents[1]
REPLAYS = ROOT / "tests/replays"
HASHES = ("journal_sha256", "orders_sha256", "state_sha256")
HOUR_NS = 3_600 * 10**9
CENT_E8 = 1e-8

# The keys that the issue and the interface between runner and report name.
KEYS = re.findall(
    r"\S+",
    "run_id mode symbols start end events initial_equity final_equity total_return cagr sharpe sortino calmar "
    "max_drawdown fees funding realised_pnl unrealised_pnl orders fills fill_rate slippage_bps post_only_success "
    "rejects_by_reason liquidations turnover latency_ns events_per_second mark_source journal_sha256 orders_sha256 "
    "state_sha256 seed strategy start_ns end_ns transfers limiting latency_histogram config config_sha256 data "
    "defaults_used warnings notes costs alarms language",
)
TABLES = ("orders", "fills", "equity", "funding")


@dataclass(frozen=True)
class Finished:
    """A run that is done: its folder and what it left there."""

    folder: Path
    summary: dict[str, Any]

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(self.summary[name] for name in HASHES)

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")

    def journal(self) -> np.ndarray:
        blocks = read_journal(str(self.folder / "journal/000000.seg"))
        return np.concatenate([block.array().copy() for block in blocks])


def command(strategy: str, folder: Path, *files: Path, **changes: str) -> list[str]:
    """The command line of a run, and its configuration beside the folder."""
    config = str(configuration(folder.with_suffix(".toml"), strategy, **changes))
    given = list(map(str, files or {"quoter": [RECORDING], "trend": HISTORY}[strategy]))
    verb, option = {"quoter": ("paper", "--replay"), "trend": ("backtest", "--data")}[strategy]
    return [verb, config, option, *given, "--out", str(folder)]


def finish(strategy: str, folder: Path, *files: Path, **changes: str) -> Finished:
    assert main([*command(strategy, folder, *files, **changes), "--json"]) == 0
    return finished(folder)


def finished(folder: Path) -> Finished:
    return Finished(folder, json.loads((folder / "summary.json").read_text(encoding="utf-8")))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTRADER_LANG", "en")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Finished]:
    """The two demonstrations, run once for all tests that only look."""
    place = tmp_path_factory.mktemp("demo")
    return {name: finish(name, place / name) for name in ("quoter", "trend")}


@pytest.fixture(params=["quoter", "trend"])
def run(request, runs) -> Finished:
    return runs[request.param]


@pytest.fixture
def copied(run, tmp_path) -> Finished:
    """A copy of a run that a test may spoil."""
    shutil.copytree(run.folder, tmp_path / "copy")
    return finished(tmp_path / "copy")


# --- what a run leaves


def test_the_run_folder_is_complete(run):
    names = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    tables = {f"{name}.parquet" for name in TABLES}
    journal = {f"journal/{name}" for name in ("000000.seg", "anchors.jsonl", "manifest.json")}
    assert names == {"summary.json", "report.html"} | journal | tables


def test_the_summary_has_every_key_and_no_number_that_is_none(run):
    assert [key for key in KEYS if key not in run.summary] == []
    text = (run.folder / "summary.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert run.summary["mode"] == {"quoter": "paper", "trend": "backtest"}[run.summary["strategy"]]
    assert set(run.summary["latency_ns"]) == {"p50", "p99", "p99.9", "max", "count"}
    assert run.summary["seed"] == 1 and run.summary["initial_equity"] == 7_700.0


def test_the_accounts_reconcile_to_a_hundred_millionth(run):
    s = run.summary
    earned = s["realised_pnl"] + s["unrealised_pnl"] + s["funding"] - s["fees"] + s["transfers"]
    assert s["initial_equity"] + earned == pytest.approx(s["final_equity"], abs=CENT_E8, rel=0)
    assert s["total_return"] == pytest.approx(s["final_equity"] / s["initial_equity"] - 1, abs=1e-12)


def test_the_costs_add_up_to_the_fees(run):
    costs = run.summary["costs"]
    paid = costs["fees_maker"] + costs["fees_taker"] + costs["liquidation_fees"]
    assert paid == pytest.approx(run.summary["fees"], abs=CENT_E8, rel=0)
    assert costs["funding"] == run.summary["funding"]


def test_the_fills_add_up_to_the_summary(run):
    fills, s = run.table("fills"), run.summary
    assert fills.height == s["fills"] > 0
    assert fills["fee_usdt"].sum() == pytest.approx(s["fees"], abs=CENT_E8, rel=0)
    assert fills["realised_usdt"].sum() == pytest.approx(s["realised_pnl"], abs=CENT_E8, rel=0)
    assert fills["liquidation"].sum() == s["liquidations"] == 0
    assert (fills["notional_usdt"] - fills["price"] * fills["quantity"]).abs().max() < 1e-9
    assert fills["ts_ns"].is_sorted()
    bps = 1e4 * s["costs"]["slippage"] / fills["notional_usdt"].sum()
    assert s["slippage_bps"] == pytest.approx(bps)
    mean = run.table("equity")["equity_usdt"].mean()
    assert s["turnover"] == pytest.approx(fills["notional_usdt"].sum() / mean, rel=1e-9)


def test_funding_rows_add_up_to_the_summary(run):
    funding = run.table("funding")
    assert funding.height > 0
    assert funding["amount_usdt"].sum() == pytest.approx(run.summary["funding"], abs=CENT_E8, rel=0)
    paid = -(funding["quantity"] * funding["mark"] * funding["rate"])
    assert (funding["amount_usdt"] - paid).abs().max() < 2e-8  # each booking is rounded once


def test_every_fill_belongs_to_an_order_and_every_order_to_its_fills(run):
    orders, fills = run.table("orders"), run.table("fills")
    assert orders.height == run.summary["orders"] and orders["client_id"].is_unique().all()
    sums = fills.group_by("client_id").agg(pl.col("quantity").sum(), pl.col("notional_usdt").sum())
    joined = orders.join(sums, on="client_id", how="left", suffix="_filled").fill_null(0.0)
    assert sums.height == joined.filter(pl.col("quantity_filled") > 0).height
    assert (joined["filled"] - joined["quantity_filled"]).abs().max() < 1e-9
    value = joined["average_price"] * joined["filled"]
    assert (value - joined["notional_usdt"]).abs().max() < 1e-6
    assert (joined["filled"] <= joined["quantity"] + 1e-9).all()
    whole = joined.filter(pl.col("state") == "FILLED")
    assert (whole["filled"] - whole["quantity"]).abs().max() < 1e-9
    ends = {"FILLED", "CANCELLED", "EXPIRED", "REJECTED"}
    assert set(orders["state"]) <= {"PENDING", "ARMED", "LIVE", "PARTLY_FILLED", *ends}
    assert (orders["updated_ns"] >= orders["created_ns"]).all()


def test_a_position_is_the_sum_of_its_fills(run):
    signed = pl.when(pl.col("side") == "SELL").then(-pl.col("quantity")).otherwise(pl.col("quantity"))
    fills = run.table("fills").with_columns(signed.cum_sum().over("symbol").alias("sum"))
    assert (fills["sum"] - fills["position_after"]).abs().max() < 1e-9


def test_the_equity_curve_ends_at_the_final_equity_and_its_drawdown_is_the_runs(run):
    equity, s = run.table("equity"), run.summary
    assert equity["equity_usdt"][-1] == s["final_equity"]
    assert equity["ts_ns"].is_sorted() and equity["ts_ns"][-1] == s["end_ns"]
    assert (equity["equity_usdt"] - equity["wallet_usdt"] - equity["unrealised_usdt"]).abs().max() < 2e-8
    peak = np.maximum(np.maximum.accumulate(equity["equity_usdt"].to_numpy()), s["initial_equity"])
    fell = 1 - equity["equity_usdt"].to_numpy() / peak
    assert (equity["drawdown"].to_numpy() >= fell - 1e-8).all()  # the gate sees every mark, the curve some
    assert fell.max() - 1e-8 <= s["max_drawdown"] <= s["config"]["risk"]["max_drawdown"]
    gross = equity["gross_notional_usdt"] / equity["equity_usdt"]
    assert 0 < gross.max() <= s["config"]["risk"]["max_gross"]


def test_refusals_and_rejections_are_those_of_the_journal(run):
    rows = run.journal()
    refused = np.count_nonzero(np.isin(rows["kind"], [Kind.REFUSED, Kind.REJECTED]))
    assert sum(run.summary["rejects_by_reason"].values()) == refused
    assert all(re.fullmatch(r"R\d+_[A-Z_]+|VENUE_-\d+|[A-Z_]+", name) for name in run.summary["rejects_by_reason"])
    assert sum(run.summary["limiting"].values()) == run.summary["orders"]


def test_latencies_are_those_of_a_histogram_from_wire_to_order(run):
    latency, histogram = run.summary["latency_ns"], run.summary["latency_histogram"]
    assert len(histogram["edges_ns"]) == len(histogram["counts"]) + 1
    assert latency["count"] == sum(histogram["counts"]) > 0
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= histogram["edges_ns"][-1]
    assert latency["p50"] <= latency["max"] <= histogram["edges_ns"][-1]


def test_ratios_of_a_hundred_seconds_are_undefined_not_invented(runs):
    assert runs["quoter"].summary["sharpe"] is None and runs["quoter"].summary["sortino"] is None
    assert isinstance(runs["trend"].summary["sharpe"], float)


def test_what_was_assumed_and_from_where_is_said(runs):
    assert runs["quoter"].summary["mark_source"] == {"BTCUSDT": "mark price stream"}
    assert set(runs["trend"].summary["mark_source"]) == set(FIVE)
    assert all("proxy" in text for text in runs["trend"].summary["mark_source"].values())
    assert any("expected edge after fees is negative" in note for note in runs["quoter"].summary["notes"])
    assert any("0.5 +- 0.5" in note and "168 h" in note for note in runs["trend"].summary["notes"])


def test_the_venue_is_described_as_it_was_configured(runs, tmp_path):
    plain = runs["quoter"].summary["notes"]
    assert "order latency 20.0 ms, response latency 5.0 ms" in plain
    assert any(note.endswith("in its queue: pessimistic model") for note in plain)
    assert not any("isolated" in note or "refuses" in note for note in plain)
    told = finish(
        "quoter",
        tmp_path / "run",
        margin='"isolated"',
        latency='"lognormal"',
        queue='"linear"',
        error_share="0.1",
        lost_share="0.05",
    ).summary["notes"]
    assert "order and response latency lognormal, medians 20.0 and 5.0 ms, sigma 0.5" in told
    assert any(note.endswith("in its queue: linear model") for note in told)
    assert "isolated margin for every symbol" in told
    assert "the venue refuses 10.0% of the requests and leaves 5.0% without an answer, as configured" in told
    followed = finish("quoter", tmp_path / "feed", latency='"feed"').summary["notes"]
    assert any("follow the feed's own lag" in note for note in followed)


def test_a_symbol_whose_cap_is_below_its_minimum_is_named(tmp_path):
    run = finish("trend", tmp_path / "run", initial_equity_usdt="100.0")
    assert any(text.startswith("BTCUSDT: the cap of 20.00 USDT is below") for text in run.summary["warnings"])
    assert run.table("orders").filter(pl.col("symbol") == "BTCUSDT").height == 0


def test_the_data_are_named_with_their_hashes(run):
    for file in run.summary["data"]:
        assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == file["sha256"]
        assert file["rows"] > 0 and file["kind"] in {"recording", "klines", "funding", "mark"}


class References(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def test_the_report_opens_without_a_network(run):
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    seen = References()
    seen.feed(page)
    assert [found for found in seen.found if not found.startswith(("#", "data:"))] == []
    styles = "".join(re.findall(r"<style.*?</style>", page, re.DOTALL))
    assert "@import" not in styles and not re.search(r"url\(\s*['\"]?(?!data:|#)", styles)
    for part in (run.summary["run_id"], run.summary["orders_sha256"], run.summary["data"][0]["sha256"]):
        assert part in page


# --- the same again


def test_the_same_run_twice_is_the_same(run, tmp_path):
    again = finish(run.summary["strategy"], tmp_path / "again")
    assert again.hashes == run.hashes
    assert (again.folder / "journal/000000.seg").read_bytes() == (run.folder / "journal/000000.seg").read_bytes()
    for name in TABLES:
        assert again.table(name).equals(run.table(name)), name
    measured = {"events_per_second", "latency_ns", "latency_histogram"}
    assert {k: v for k, v in again.summary.items() if k not in measured} == {
        k: v for k, v in run.summary.items() if k not in measured
    }


def test_where_the_data_lie_and_the_language_are_of_no_account(run, tmp_path):
    strategy = run.summary["strategy"]
    files = [Path(shutil.copy(file["path"], tmp_path / f"{at}")) for at, file in enumerate(run.summary["data"])]
    again = finish(strategy, tmp_path / "again", *files, language='"ko"')
    assert again.hashes == run.hashes


def test_the_order_of_the_arguments_is_of_no_account_to_what_is_decided(runs, tmp_path):
    again = finish("trend", tmp_path / "again", *HISTORY[::-1])
    assert decisions(again.journal()).tobytes() == decisions(runs["trend"].journal()).tobytes()


def in_process(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "autotrader.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("seed", ["0", pytest.param("12345", marks=pytest.mark.slow)])
def test_another_process_with_another_hash_seed_directory_and_zone_gives_the_same(run, tmp_path, seed):
    (tmp_path / "elsewhere").mkdir()
    arguments = command(run.summary["strategy"], tmp_path / "again")
    done = in_process(arguments, tmp_path / "elsewhere", PYTHONHASHSEED=seed, TZ="Asia/Seoul", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert finished(tmp_path / "again").hashes == run.hashes
    assert run.summary["orders_sha256"] in done.stdout


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
/* Every clock runs 40 years later and the wall clock backwards. */
static int (*real)(clockid_t, struct timespec *);
int clock_gettime(clockid_t id, struct timespec *t) {
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    static long start;
    if (id == CLOCK_REALTIME) { if (!start) start = t->tv_sec; t->tv_sec = 2 * start - t->tv_sec; }
    t->tv_sec += 40L * 365 * 86400;
    return r;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *v, void *z) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    v->tv_sec = t.tv_sec;
    v->tv_usec = t.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture(scope="module")
def other_clock(tmp_path_factory) -> Path:
    """A library that puts the process into another time."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to move the clock with")
    place = tmp_path_factory.mktemp("clock")
    (place / "clock.c").write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", place / "clock.so", place / "clock.c", "-ldl"], check=True)
    return place / "clock.so"


@pytest.mark.parametrize("strategy", ["quoter", pytest.param("trend", marks=pytest.mark.slow)])
def test_another_wall_clock_gives_the_same(runs, strategy, tmp_path, other_clock):
    moved = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"],
        env={**os.environ, "LD_PRELOAD": str(other_clock)},
        capture_output=True,
        text=True,
        check=True,
    )
    wall, monotonic = map(float, moved.stdout.split())
    assert wall > time.time() + 30 * 365 * 86_400 and monotonic > 30 * 365 * 86_400
    arguments = command(strategy, tmp_path / "again")
    done = in_process(arguments, tmp_path, LD_PRELOAD=str(other_clock))
    assert (done.returncode, done.stderr) == (0, "")
    assert finished(tmp_path / "again").hashes == runs[strategy].hashes


def first_lines(count: int, path: Path) -> Path:
    """The beginning of the shipped recording, plain."""
    lines = gzip.decompress(RECORDING.read_bytes()).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:count]))
    return path


def test_a_recording_at_its_own_pace_gives_the_same_and_takes_its_time(tmp_path):
    part = first_lines(80, tmp_path / "part")
    fast = finish("quoter", tmp_path / "fast", part)
    start = time.monotonic()
    assert main([*command("quoter", tmp_path / "slow", part), "--speed", "1x", "--json"]) == 0
    span = (fast.summary["end_ns"] - fast.summary["start_ns"]) / 1e9
    assert 0.5 < span <= time.monotonic() - start + 0.1
    assert finished(tmp_path / "slow").hashes == fast.hashes


@pytest.mark.parametrize("strategy", ["quoter", "trend"])
def test_the_demonstrations_decide_what_they_decided_before(runs, strategy):
    # After a change that is meant to change decisions: `python tests/test_end_to_end.py` records the hashes anew.
    expected = json.loads((REPLAYS / f"{strategy}.json").read_text())
    assert {name: runs[strategy].summary[name] for name in expected} == expected


# --- the replay


def verdict(folder: Path, capsys) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["replay", str(folder), "--verify", "--json"])
    return code, json.loads(capsys.readouterr().out)


def edit(path: Path, change) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_replay_gives_every_request_and_the_same_state(run, capsys):
    code, answer = verdict(run.folder, capsys)
    assert code == 0 and answer["ok"] and answer["first_difference"] is None
    assert tuple(answer[name] for name in HASHES) == run.hashes
    assert answer["orders_compared"] == requests(run.journal()).size > 0


def test_a_replay_changes_nothing_in_the_folder(run, capsys):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    verdict(run.folder, capsys)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("where", [0, 3, 20, 64, 200, -1])
def test_one_flipped_bit_of_the_journal_is_damage(copied, capsys, where):
    flip(copied.folder / "journal/000000.seg", where)
    code, answer = verdict(copied.folder, capsys)
    assert code == 2 and "damaged" in answer["error"] and "000000.seg" in answer["error"]


@pytest.mark.parametrize("cut", [1, 63, 64, 1_000])
def test_a_journal_whose_tail_is_lost_is_bad_input(copied, capsys, cut):
    journal = copied.folder / "journal/000000.seg"
    journal.write_bytes(journal.read_bytes()[:-cut])
    code, answer = verdict(copied.folder, capsys)
    assert code == 2 and re.search("last .* bytes|no seal", answer["error"])


def rewritten(run: Finished, change) -> None:
    """Write the journal anew with some rows changed, its checksums and chain right."""
    rows, journal = run.journal(), run.folder / "journal/000000.seg"
    journal.unlink()
    writer = JournalWriter(str(journal))
    writer.add(change(rows))
    writer.close()


def test_a_journal_that_lost_its_last_rows_is_bad_input(copied, capsys):
    rewritten(copied, lambda rows: rows[:-1])
    code, answer = verdict(copied.folder, capsys)
    assert code == 2 and "no seal" in answer["error"]


def test_the_journal_of_another_run_is_bad_input(copied, runs, capsys):
    other = {"quoter": "trend", "trend": "quoter"}[copied.summary["strategy"]]
    shutil.copy(runs[other].folder / "journal/000000.seg", copied.folder / "journal/000000.seg")
    code, answer = verdict(copied.folder, capsys)
    assert code == 2 and "another run" in answer["error"]


@pytest.mark.parametrize(("word", "by"), [("b", 1), ("c", 1), ("ts", 1), ("e", 1), ("f", 1)])
def test_a_decision_that_was_changed_is_the_first_difference(copied, capsys, word, by):
    def change(rows: np.ndarray) -> np.ndarray:
        rows[word][np.flatnonzero(rows["kind"] == Kind.ORDER)[3]] += by
        return rows

    rewritten(copied, change)
    code, answer = verdict(copied.folder, capsys)
    assert code == 1 and not answer["ok"]
    assert re.fullmatch(
        r"request \d+: the run asked for ORDER at \d+, this one for ORDER at \d+", answer["first_difference"]
    )


def test_a_decision_that_was_taken_out_is_the_first_difference(copied, capsys):
    rewritten(copied, lambda rows: np.delete(rows, np.flatnonzero(rows["kind"] == Kind.ORDER)[3]))
    code, answer = verdict(copied.folder, capsys)
    assert code == 1 and "this one for ORDER" in answer["first_difference"]


def test_a_decision_that_was_put_in_is_the_first_difference(copied, capsys):
    def change(rows: np.ndarray) -> np.ndarray:
        at = int(np.flatnonzero(rows["kind"] == Kind.ORDER)[3])
        return np.insert(rows, at, rows[at])

    rewritten(copied, change)
    code, answer = verdict(copied.folder, capsys)
    assert code == 1 and answer["first_difference"]


def test_a_fill_that_was_changed_is_found_at_the_latest_in_the_state(copied, capsys):
    def change(rows: np.ndarray) -> np.ndarray:
        rows["e"][np.flatnonzero(rows["kind"] == Kind.FILL)[-1]] += 1  # a fee of one hundred-millionth more
        return rows

    rewritten(copied, change)
    code, answer = verdict(copied.folder, capsys)
    assert code == 1 and answer["first_difference"]


@pytest.mark.parametrize("name", HASHES)
def test_a_hash_that_was_edited_in_the_summary_is_a_difference(copied, capsys, name):
    edit(copied.folder / "summary.json", lambda values: values.update({name: "0" * 64}))
    code, answer = verdict(copied.folder, capsys)
    assert code == 1 and answer["first_difference"].startswith(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["config"]["run"].update(leverage=1),
        lambda m: m["config"]["risk"].update(max_drawdown=0.1),
        lambda m: m["specs"][0].update(taker_fee_e8=0),
        lambda m: m["data"][0].update(sha256="0" * 64),
        lambda m: m["source"].update(ticks=True),
    ],
)
def test_a_manifest_that_was_edited_is_bad_input(copied, capsys, change):
    edit(copied.folder / "journal/manifest.json", change)
    code, answer = verdict(copied.folder, capsys)
    assert code == 2 and "manifest.json" in answer["error"]


def test_data_that_moved_or_changed_are_bad_input_until_they_are_put_back(tmp_path, capsys):
    part = first_lines(400, tmp_path / "part")
    run, content = finish("quoter", tmp_path / "run", part), part.read_bytes()
    part.unlink()
    code, answer = verdict(run.folder, capsys)
    assert code == 2 and str(part) in answer["error"]
    part.write_bytes(content.replace(b"28145.10", b"28145.20", 1))
    code, answer = verdict(run.folder, capsys)
    assert code == 2 and str(part) in answer["error"] and "changed" in answer["error"]
    part.write_bytes(content)
    assert verdict(run.folder, capsys)[0] == 0


# --- nothing looks ahead


def requests(rows: np.ndarray) -> np.ndarray:
    return rows[(rows["kind"] >= 128) & (rows["kind"] < 160)]


def decisions(rows: np.ndarray, until_ns: int | None = None) -> np.ndarray:
    """Orders, cancels and refusals, the epoch taken out of the ids: it depends on the data's hash."""
    chosen = rows[np.isin(rows["kind"], [Kind.ORDER, Kind.CANCEL, Kind.REFUSED])].copy()
    ours = np.isin(chosen["kind"], [Kind.ORDER, Kind.CANCEL])
    chosen["a"][ours] &= 0xFFFFFFFF
    return chosen if until_ns is None else chosen[chosen["ts"] <= until_ns]


def assert_prefix(part: Finished, whole: Finished, until_ns: int) -> None:
    short, long = decisions(part.journal(), until_ns), decisions(whole.journal(), until_ns)
    assert 0 < len(short) < len(decisions(whole.journal()))
    assert short.tobytes() == long.tobytes()


@pytest.mark.parametrize("share", [0.6, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.1, 0.25, 0.9))])
def test_cutting_off_the_future_of_a_recording_changes_no_past_decision(runs, tmp_path, share):
    whole = runs["quoter"]
    lines = whole.summary["data"][0]["rows"]
    part = finish("quoter", tmp_path / "part", first_lines(round(lines * share), tmp_path / "day"))
    last = int((tmp_path / "day").read_bytes().splitlines()[-1].split(b" ", 1)[0]) * 1_000
    offset = int(whole.journal()[1]["a"])
    assert part.journal()[1]["a"] == offset
    assert_prefix(part, whole, last - offset - 1)


@pytest.mark.parametrize("hours", [200, 431])
def test_cutting_off_the_future_of_candles_changes_no_past_decision(runs, tmp_path, hours):
    start_ms = runs["trend"].summary["start_ns"] // 1_000_000
    end_ms = start_ms + hours * 3_600_000
    files = []
    for path in HISTORY:
        pl.read_parquet(path).filter(pl.col("ts_ms") < end_ms).write_parquet(tmp_path / path.name)
        files.append(tmp_path / path.name)
    part = finish("trend", tmp_path / "part", *files)
    assert part.summary["end_ns"] < runs["trend"].summary["end_ns"]
    assert_prefix(part, runs["trend"], end_ms * 1_000_000)


def test_changing_the_future_of_candles_changes_no_past_decision(runs, tmp_path):
    start_ms = runs["trend"].summary["start_ns"] // 1_000_000
    end_ms = start_ms + 300 * 3_600_000
    later = pl.col("ts_ms") >= end_ms
    prices = [
        pl.when(later).then((pl.col(name) * 1.1).round(1)).otherwise(pl.col(name))
        for name in ("open", "high", "low", "close")
    ]
    pl.read_parquet(HISTORY[0]).with_columns(prices).write_parquet(tmp_path / "other.parquet")
    other = finish("trend", tmp_path / "part", tmp_path / "other.parquet", *HISTORY[1:])
    assert_prefix(other, runs["trend"], end_ms * 1_000_000)
    assert other.summary["final_equity"] != runs["trend"].summary["final_equity"]


# --- what the strategies may not do


def test_the_trend_trades_nothing_before_its_longest_lookback_is_full(runs):
    summary = runs["trend"].summary
    first = runs["trend"].table("orders")["created_ns"].min()
    assert summary["config"]["strategy"]["trend"]["lookbacks_hours"][-1] == 168
    assert 168 * HOUR_NS <= first - summary["start_ns"] <= 200 * HOUR_NS


@pytest.mark.parametrize("mean", ["0.0", "-0.5"])
def test_an_edge_that_is_zero_or_negative_gives_no_order(tmp_path, mean):
    run = finish("trend", tmp_path / "run", prior_sharpe_mean=mean)
    assert run.summary["orders"] == run.summary["fills"] == 0
    assert run.summary["final_equity"] == run.summary["initial_equity"] and run.summary["max_drawdown"] == 0.0
    assert not np.isin(run.journal()["kind"], [Kind.ORDER, Kind.REFUSED, Kind.CANCEL]).any()
    assert run.table("fills").height == 0 and (run.folder / "report.html").is_file()
    assert verdict_ok(run.folder)


def verdict_ok(folder: Path) -> bool:
    return main(["replay", str(folder), "--verify", "--json"]) == 0


def test_a_fill_never_improves_on_the_book_it_saw(runs):
    rows = runs["quoter"].journal()
    fills = rows[rows["kind"] == Kind.FILL]
    asked = {int(row["a"]): row for row in rows[rows["kind"] == Kind.ORDER]}
    for fill in fills:
        order, sell = asked[int(fill["a"])], bool(fill["flags"] & 4)
        if fill["flags"] & 8:  # maker: at its own price, never better
            assert fill["c"] == order["b"]
        else:
            assert fill["c"] <= fill["f"] if sell else fill["c"] >= fill["f"]


def test_no_order_is_larger_than_the_limits_of_the_configuration(run):
    orders, risk = run.table("orders"), run.summary["config"]["risk"]
    notional = (orders["quantity"] * orders["reference_price"]).max()
    leverage = run.summary["config"]["run"]["leverage"]
    assert notional <= risk["max_order_notional_usdt"]
    assert notional <= risk["max_order_equity_share"] * leverage * run.table("equity")["equity_usdt"].max()


def test_funding_that_is_declared_none_is_neither_paid_nor_received(runs, tmp_path):
    assert runs["quoter"].summary["funding"] != 0.0
    assert finish("quoter", tmp_path / "q", funding='"none"').summary["funding"] == 0.0
    assert finish("trend", tmp_path / "t", funding='"none"').summary["funding"] == 0.0


# --- what is shown


def test_a_machine_gets_one_object_from_every_command(tmp_path, capsys):
    part = first_lines(300, tmp_path / "part")
    arguments = command("quoter", tmp_path / "run", part)
    for argv, keys in (
        (arguments, {"exit_code", "run_dir", "summary"}),
        (["replay", "run", "--verify"], {"exit_code", "run_dir", "ok", "orders_compared", "first_difference", *HASHES}),
        (["report", "run"], {"exit_code", "report"}),
    ):
        capsys.readouterr()
        assert main([*argv, "--json"]) == 0
        shown = capsys.readouterr()
        assert set(json.loads(shown.out)) == keys and shown.err == ""


def test_a_run_without_out_makes_its_folder_under_runs_and_never_writes_over_one(tmp_path, capsys):
    part = first_lines(300, tmp_path / "part")
    arguments = [word for word in command("quoter", tmp_path / "x", part) if word not in ("--out", str(tmp_path / "x"))]
    folders = []
    for _ in range(3):
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        folders.append(Path(json.loads(capsys.readouterr().out)["run_dir"]))
    assert len(set(folders)) == 3 and all(folder.parent == Path("runs") for folder in folders)
    assert len({finished(folder).hashes for folder in folders}) == 1
    assert [finished(folder).summary["run_id"] for folder in folders] == [folder.name for folder in folders]


@pytest.mark.parametrize("strategy", ["quoter", "trend"])
def test_korean_is_spoken_on_the_screen_in_the_summary_and_in_the_report(tmp_path, capsys, strategy):
    assert main([*command(strategy, tmp_path / "run"), "--lang", "ko"]) == 0
    shown = capsys.readouterr().out
    for word in ("수익률", "최대 낙폭", "펀딩비", "체결", "강제 청산", "경고:", "다음 단계:"):
        assert word in shown
    run = finished(tmp_path / "run")
    assert run.summary["language"] == "ko"
    said = [*run.summary["notes"], *run.summary["warnings"], *run.summary["mark_source"].values()]
    assert said and all(re.search("[가-힣]", text) for text in said)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ko"' in page and "낙폭" in page
    assert main(["replay", str(run.folder), "--verify", "--lang", "ko"]) == 0
    assert re.search("[가-힣]", capsys.readouterr().out)


def test_the_report_can_be_written_anew_in_the_other_language(copied, capsys):
    assert main(["report", str(copied.folder), "--lang", "ko"]) == 0
    assert '<html lang="ko"' in (copied.folder / "report.html").read_text(encoding="utf-8")
    assert main(["report", str(copied.folder), "--lang", "en"]) == 0
    assert '<html lang="en"' in (copied.folder / "report.html").read_text(encoding="utf-8")
    assert verdict(copied.folder, capsys)[0] == 0


def test_a_run_that_ends_before_its_time_is_marked_incomplete(tmp_path, monkeypatch, capsys):
    from autotrader.run import wiring

    def stop(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "summarise", stop)
    assert main(command("quoter", tmp_path / "run", first_lines(300, tmp_path / "part"))) == 1
    assert "interrupted" in capsys.readouterr().err
    assert (tmp_path / "run/INCOMPLETE").exists() and not (tmp_path / "run/summary.json").exists()
    assert main(["replay", "run", "--verify"]) == 2 and main(["report", "run"]) == 2


def test_numbers_on_the_screen_are_those_of_the_summary(run, tmp_path, capsys):
    assert main(command(run.summary["strategy"], tmp_path / "again")) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"final equity {run.summary['final_equity']:,.2f} USDT" in words
    assert f"fees {run.summary['fees']:,.2f} USDT" in words
    assert f"orders {run.summary['orders']:,}" in words and f"fills {run.summary['fills']:,}" in words
    assert not math.isnan(run.summary["total_return"])


def record() -> None:
    """Write the hashes of the demonstrations, after a change that is meant to change what they decide."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        for strategy in ("quoter", "trend"):
            summary = finish(strategy, Path(place) / strategy).summary
            hashes = {name: summary[name] for name in ("journal_sha256", "orders_sha256")}
            (REPLAYS / f"{strategy}.json").write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    record()
