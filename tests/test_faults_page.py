"""The table of faults and tests: every row of the catalogue is there, and every test that it names exists."""

import ast
import importlib.util
from functools import cache

import pytest

FAMILIES = {"A": 20, "B": 28, "C": 15, "D": 14, "E": 5, "F": 18, "H": 16}
CATALOGUE = [f"{family}{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)]
KEYS = {"id", "fault", "holds", "cover", "tests", "lacks"}


@pytest.fixture
def maker(root):
    tool = importlib.util.spec_from_file_location("make_faults_page", root / "tests/tools/make_faults_page.py")
    found = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(found)
    return found


@cache
def defined(path):
    """Return the tests that a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_row_of_the_catalogue_is_there_once_and_in_its_order(maker):
    assert [one["id"] for one in maker.rows()] == CATALOGUE


def test_every_test_that_a_row_names_exists(maker, root):
    names = [(one["id"], *name.split("::")) for one in maker.rows() for name in one.get("tests", ())]
    assert [one for one in names if one[2] not in defined(root / one[1])] == []


def test_a_row_says_what_shows_it_and_what_does_not(maker):
    for one in maker.rows():
        assert one.keys() <= KEYS and one["cover"] in maker.COVERS, one
        assert bool(one.get("tests")) is (one["cover"] != "none"), one
        assert ("lacks" in one) is (one["cover"] != "full"), one
        assert not {"|", "\n"} & set(one["fault"] + one["holds"] + one.get("lacks", "")), one


def test_the_page_shows_every_row_in_both_headings(maker):
    page = maker.page()
    assert all(f"\n| {row} | " in page for row in CATALOGUE)
    assert all(f"### {family}: {english} · {korean}" in page for family, (english, korean) in maker.FAMILIES.items())
