"""The table of the contest with the peers: it needs none of them, and says which are missing."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest


@pytest.fixture(scope="module")
def table(benchmarks):
    from benchmarks.peers import table

    return table


@pytest.fixture
def row(table):
    return table.Row("book apply", "호가창 갱신", "hftbacktest", "8 ns", "60 ns", 7.5, 4.0, "net of its loop")


@pytest.fixture
def result(table, row):
    machine = {"CPU": "a processor", "Python": "CPython 3.11", "load": "0.1"}
    return table.Result("2026-01-01 00:00 UTC", machine, "a recording", {"hftbacktest": "2.4.3"}, [row])


def test_the_page_needs_no_peer_and_not_even_the_core(root):
    code = (
        "import sys; from benchmarks.peers import table; table.section([]);"
        "loaded = {name.split('.')[0] for name in sys.modules} & {'core_ext', 'autotrader', 'hftbacktest', 'msgspec'};"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_a_page_without_results_says_how_to_make_them(table, tmp_path):
    assert table.results(tmp_path / "absent") == []
    text = "\n".join(table.section([]))
    assert "Not measured here" in text and "make peers" in text and "|" not in text


def test_a_result_reads_back_as_it_was_written(table, result, tmp_path):
    result.write(tmp_path / "build" / "a.json")
    assert table.results(tmp_path / "build") == [result]


@pytest.mark.parametrize("text", ["{", "{}", '{"rows": [{"job": 1}]}', "[]"])
def test_a_file_that_is_no_result_is_named_and_not_taken_for_nothing(table, text, tmp_path):
    path = tmp_path / "cut.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cut\.json is no result.*make peers"):
        table.results(tmp_path)


@pytest.mark.parametrize(
    ("ratio", "aim", "verdict"),
    [(4.0, 4.0, "met"), (3.99, 4.0, "NOT MET"), (math.nan, 4.0, "NOT MET"), (0.1, None, ""), (math.inf, 4.0, "met")],
)
def test_an_aim_is_met_at_its_bound_and_never_by_what_is_no_number(table, row, ratio, aim, verdict):
    assert replace(row, ratio=ratio, aim=aim).verdict == verdict


def test_the_section_has_a_line_for_each_row_and_says_which_peers_are_missing(table, result):
    text = "\n".join(table.section([result]))
    assert "| book apply | 호가창 갱신 | hftbacktest 2.4.3 | 8 ns | 60 ns | 7.5 x | >= 4 | met |" in text
    assert "- book apply, hftbacktest: net of its loop" in text
    assert "1 of 1 aims are met. All are met." in text
    missing = set(table.PEERS) - {"hftbacktest"}
    assert set(table.missing([result])) == missing
    assert all(f"- Not measured: {peer} is not installed." in text for peer in missing)
    assert "Not measured: hftbacktest" not in text


def test_what_missed_its_aim_and_what_did_not_finish_stand_on_the_page(table, result, row):
    slow = replace(row, job="depth parse", peer="simdjson", ratio=1.2, aim=1.5)
    bad = replace(result, rows=[row, slow], failures={"L2 backtest, hftbacktest": "DifferentResultError: fills"})
    text = "\n".join(table.section([bad]))
    assert "1 of 2 aims are met. Not met: depth parse (simdjson)." in text
    assert "- Not measured: L2 backtest, hftbacktest: DifferentResultError: fills." in text
    assert "DifferentResultError: fills" in table.plain_table(bad)


def test_a_row_that_two_environments_measured_stands_once(table, result):
    lines = table.section([result, replace(result, date="2026-01-02 00:00 UTC")])
    assert sum(line.startswith("| book apply |") for line in lines) == 1


def test_only_peers_that_are_installed_are_found(table):
    found = table.installed(["pytest", "no-such-distribution-of-anyone"])
    assert list(found) == ["pytest"]


def test_results_stay_plain_json(table, result, tmp_path):
    result.write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["rows"][0]["korean"] == "호가창 갱신"


def test_every_pinned_peer_is_one_that_the_table_knows(table, root):
    tools = {"cython", "setuptools", "polars", "sortedcontainers"}
    lines = [
        line.partition("=")[0].rstrip(">")
        for path in (root / "benchmarks/peers").glob("requirements*.txt")
        for line in path.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    # simdjson is a header of the system, not a package.
    assert set(lines) - tools == set(table.PEERS) - {"simdjson"}
