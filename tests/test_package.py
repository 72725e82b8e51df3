"""What the wheel carries, and which build of the core the tests are looking at."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import core_ext

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_checked_run_looks_at_the_checked_build() -> None:
    """`make test` runs the core's tests twice; a path mistake would make both runs look at one build."""
    folder = ROOT / "build" / "checked" if os.environ.get("AUTOTRADER_CHECKED") == "1" else ROOT
    assert Path(core_ext.__file__).resolve() == folder / "core_ext" / "__init__.py"


def test_the_installed_package_is_described_as_in_pyproject() -> None:
    described = metadata.metadata("autotrader")
    assert described["Version"] == PROJECT["version"]
    assert described["License-Expression"] == PROJECT["license"]
    assert described["License-File"] == "LICENSE"


def in_the_tree(*folders: str) -> set[str]:
    """Return what a wheel should carry of the source tree: everything but Cython bodies and what was compiled."""
    built = {".pyx", ".c", ".so", ".pyc"}
    files = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    carried = {path for path in files if path.suffix not in built}
    return {str(path.relative_to(ROOT)) for path in carried if path.parent.name != "core_ext" or path.suffix != ".html"}


def compiled() -> set[str]:
    """Return the compiled modules that a wheel should carry, one a source."""
    return {f"core_ext/{path.stem}{sysconfig.get_config_var('EXT_SUFFIX')}" for path in ROOT.glob("core_ext/*.pyx")}


@pytest.mark.slow
def test_the_wheel_carries_the_whole_program_and_nothing_else(tmp_path: Path) -> None:
    """One test, not several: two builds at the same time would meet in ``build/``."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert carried == in_the_tree("autotrader", "core_ext") | compiled(), "stale files? `make clean` empties build/"
