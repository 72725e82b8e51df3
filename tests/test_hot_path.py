"""No interpreter on the hot path: what is declared ``noexcept nogil`` compiles to plain C.

Cython's annotated listing scores each source line by the interpreter calls in its C; this
counts the lines with a score inside the bodies of ``noexcept nogil`` functions.
"""

import ast
import re
from pathlib import Path

import pytest
from Cython.Build import cythonize
from setuptools import Extension

ROOT = Path(__file__).resolve().parents[1]
HOT = [
    path
    for name in [
        "wire",
        "budget",
        "book",
        "quality",
        "signal",
        "regime",
        "orders",
        "account",
        "sizing",
        "risk",
        "headroom",
        "payload",
        "frames",
    ]
    if (path := ROOT / "core_ext" / f"{name}.pyx").exists()
]

pytestmark = pytest.mark.slow


def directives() -> dict[str, object]:
    """Return the release directives: they are written once, in setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DIRECTIVES":
            return dict(eval(ast.unparse(node.value), {"CHECKED": False}))
    raise AssertionError("setup.py has no DIRECTIVES")


def scores(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the interpreter score of each line of a .pyx."""
    monkeypatch.chdir(source.parents[1])
    relative = f"core_ext/{source.name}"
    cythonize(
        [Extension(f"core_ext.{source.stem}", [relative])],
        compiler_directives=directives(),
        build_dir=str(folder),
        annotate=True,
        force=True,
        quiet=True,
    )
    html = (folder / relative).with_suffix(".html").read_text()
    return [int(score) for score in re.findall(r'<pre class="cython line score-(\d+)"', html)]


def bodies(lines: list[str]) -> list[range]:
    """Return the line indices of the body of each ``noexcept nogil`` function."""
    found = []
    for start, line in enumerate(lines):
        if re.match(r"\s*(cdef|cpdef)\b[^=]*\(", line):
            head = end_of_signature(lines, start)
            if "noexcept nogil" in " ".join(lines[start:head]):
                found.append(range(head, end_of_block(lines, head, indent(line))))
    return found


def end_of_signature(lines: list[str], start: int) -> int:
    """Return the index after the line that closes a signature."""
    end = start
    while not lines[end].split("#")[0].rstrip().endswith(":") and end + 1 < len(lines) and end < start + 10:
        end += 1
    return end + 1


def end_of_block(lines: list[str], start: int, outer: int) -> int:
    """Return the index after the last line that is indented deeper than its head."""
    end = start
    while end < len(lines) and (not lines[end].strip() or indent(lines[end]) > outer):
        end += 1
    return end


def indent(line: str) -> int:
    """Return the number of leading spaces."""
    return len(line) - len(line.lstrip())


def interpreted(lines: list[str], scored: list[int]) -> list[str]:
    """Return the lines of ``noexcept nogil`` bodies that call the interpreter."""
    return [f"{i + 1}: {lines[i].strip()}" for body in bodies(lines) for i in body if scored[i]]


@pytest.mark.parametrize("source", HOT, ids=lambda path: path.stem)
def test_a_hot_function_never_enters_the_interpreter(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = source.read_text().splitlines()
    scored = scores(source, tmp_path, monkeypatch)
    assert len(scored) == len(lines)
    assert bodies(lines), f"{source.name} has no noexcept nogil function"
    assert interpreted(lines, scored) == []


def test_a_function_that_takes_the_interpreter_back_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "core_ext" / "warm.pyx"
    source.parent.mkdir()
    source.write_text(
        "cdef int warm(int x) noexcept nogil:\n    with gil:\n        print(x)\n    return x\n\nwarm(1)\n"
    )
    lines = source.read_text().splitlines()
    assert any("print(x)" in line for line in interpreted(lines, scores(source, tmp_path / "out", monkeypatch)))
