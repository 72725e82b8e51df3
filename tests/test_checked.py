"""That the checked build checks: faults in a throw-away module of the core are caught, each in a process of its own.

The module is compiled by setup.py, so with the flags of the build that the tests are looking at. Nothing here could
be seen from the core itself, which has none of these faults, whether or not anybody looks.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import core_ext

CHECKED = os.environ.get("AUTOTRADER_CHECKED") == "1"
ASAN = bool(os.environ.get("AUTOTRADER_ASAN"))

MODULE = """
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cdef extern from *:
    const bint CHECKED "AT_CHECKED"

is_checked = CHECKED


def touch(Py_ssize_t room, Py_ssize_t at, bint too_late=False):
    cdef char* block = <char*> malloc(room)
    cdef char* kept = block
    cdef char found
    if too_late:
        free(block)
    kept[at] = 1
    found = kept[at]
    if not too_late:
        free(block)
    return found


def local(Py_ssize_t at):
    cdef char block[16]
    block[at] = 1
    return block[at]


def add(int64_t a, int64_t b):
    return a + b


def shift(int64_t a, int n):
    return a << n


def whole(double x):
    return <int64_t> x


def item(const unsigned char[::1] view, Py_ssize_t at):
    return view[at]


def unset(bint empty):
    cdef const unsigned char[::1] view
    if not empty:
        view = b"x"
    return view[0]
"""

pytestmark = pytest.mark.skipif(not CHECKED, reason="only the checked build checks")
needs_asan = pytest.mark.skipif(not ASAN, reason="the compiler has no AddressSanitizer")


@pytest.fixture(scope="module")
def faulty(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled module."""
    place = tmp_path_factory.mktemp("faulty")
    (place / "core_ext").mkdir()
    (place / "core_ext/__init__.py").touch()
    (place / "core_ext/faulty.pyx").write_text(MODULE)
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, str(root / "setup.py"), "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=place, env=plain, check=True, capture_output=True)
    return place


def ran(place: Path, call: str) -> subprocess.CompletedProcess[str]:
    """Call the module in a process of its own."""
    code = f"from core_ext.faulty import *; print({call})"
    return subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("is_checked", "True"),
        ("touch(16, 15)", "1"),
        ("local(15)", "1"),
        ("add(2**63 - 2, 1)", str(2**63 - 1)),
        ("whole(-1.5)", "-1"),
        ("item(b'abc', 2)", "99"),
        ("unset(False)", "120"),
    ],
)
def test_what_has_no_fault_is_let_through(faulty, call, answer):
    run = ran(faulty, call)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, answer, "")


@pytest.mark.parametrize(
    ("call", "report"),
    [
        pytest.param("touch(16, 16)", "AddressSanitizer: heap-buffer-overflow", marks=needs_asan),
        pytest.param("touch(16, -1)", "AddressSanitizer: heap-buffer-overflow", marks=needs_asan),
        pytest.param("touch(16, 0, True)", "AddressSanitizer: heap-use-after-free", marks=needs_asan),
        pytest.param("local(16)", "out of bounds", id="past a local array"),
        ("add(2**63 - 1, 1)", "signed integer overflow"),
        ("shift(1, 64)", "shift exponent 64 is too large"),
        ("whole(float('nan'))", "outside the range of representable values"),
        ("whole(1e19)", "outside the range of representable values"),
        ("item(b'abc', 3)", "IndexError: Out of bounds"),
        ("unset(True)", "UnboundLocalError"),
    ],
)
def test_a_fault_in_the_core_ends_the_run_and_is_named(faulty, call, report):
    run = ran(faulty, call)
    assert run.returncode != 0
    assert report in run.stderr


@pytest.mark.parametrize("mark", [pytest.param(b"__asan_report_", marks=needs_asan), b"__ubsan_handle_"])
def test_every_module_of_the_core_is_instrumented(mark):
    modules = sorted(Path(core_ext.__file__).parent.glob("*.so"))
    assert modules
    assert [path.name for path in modules if mark not in path.read_bytes()] == []
