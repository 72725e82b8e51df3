"""Compile what the contest needs: the compiled candle strategy, and simdjson's On-Demand where its header is.

Knows that both sides are compiled by the same compiler; On-Demand also for this machine's own
instructions, which it needs to be itself and the core does without. Refuses to know what is measured.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.build import ROOT, SUFFIX, settings

FOLDER = Path(__file__).resolve().parent
BUILT = ROOT / "build/peers" / (sysconfig.get_config_var("SOABI") or "here")
SOURCE = FOLDER / "ondemand.cpp"


def is_older(built: Path, *sources: Path) -> bool:
    """Return whether a file is missing or older than what it is made of."""
    return not built.exists() or any(source.stat().st_mtime > built.stat().st_mtime for source in sources)


def crossing() -> None:
    """Compile the strategy beside its source, with the core's flags.

    Raises
    ------
    RuntimeError
        With the compiler's own words, if it fails.
    """
    source, built = FOLDER / "crossing.pyx", FOLDER / f"crossing{SUFFIX}"
    if is_older(built, source, *(ROOT / "core_ext").glob("*.pxd")):
        _run([sys.executable, "-m", "benchmarks.peers.build"])


def ondemand() -> ctypes.CDLL | None:
    """Return simdjson's On-Demand compiled, None where there is no header or no C++ compiler."""
    built = BUILT / "ondemand.so"
    if not has_simdjson():
        return None
    if is_older(built, SOURCE):
        built.parent.mkdir(parents=True, exist_ok=True)
        _run([*_compiler(), "-O3", "-march=native", "-shared", "-fPIC", str(SOURCE), "-o", str(built), "-lsimdjson"])
    library = ctypes.CDLL(str(built))
    library.simdjson_version.restype = ctypes.c_char_p
    library.simdjson_kernel.restype = ctypes.c_char_p
    return library


def has_simdjson() -> bool:
    """Return whether the compiler finds simdjson's header."""
    command = [*_compiler(), "-fsyntax-only", "-x", "c++", "-"]
    try:
        return not subprocess.run(command, input=b"#include <simdjson.h>\n", capture_output=True).returncode
    except OSError:
        return False


def _compiler() -> list[str]:
    return [*os.environ.get("CXX", "g++").split(), "-std=c++17"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the contest does not compile:\n{done.stdout}{done.stderr}")


def compile_crossing() -> None:
    """Compile the strategy, in a process of its own."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    flags = settings()
    module = Extension(
        "benchmarks.peers.crossing",
        ["benchmarks/peers/crossing.pyx"],
        extra_compile_args=flags["COMPILE"],
        extra_link_args=flags["LINK"],
    )
    sources = cythonize(
        [module], compiler_directives=flags["DIRECTIVES"], build_dir="build/benchmarks/c", force=True, quiet=True
    )
    command = Distribution({"name": "peers", "ext_modules": sources}).get_command_obj("build_ext")
    command.inplace, command.force = True, True
    command.build_temp, command.build_lib = "build/benchmarks/temp", "build/benchmarks/lib"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    os.chdir(ROOT)
    compile_crossing()
