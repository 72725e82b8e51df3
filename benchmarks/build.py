"""Compile the C references and the C loops of the benchmarks, in place.

Knows that both sides of a comparison must be compiled alike: flags and directives are read from
setup.py, where they stand once. Refuses to know what is measured.
"""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
import sysconfig
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def settings() -> dict[str, Any]:
    """Return the flags and directives: what setup.py assigns before it defines and builds anything."""
    found: dict[str, Any] = {"sys": sys, "os": os}
    body = ast.parse((ROOT / "setup.py").read_text()).body
    settled = takewhile(lambda node: not isinstance(node, ast.FunctionDef), body)
    chosen: list[ast.stmt] = [node for node in settled if isinstance(node, ast.Assign | ast.If)]
    exec(compile(ast.Module(chosen, []), "setup.py", "exec"), found)
    return found


def is_stale(source: Path) -> bool:
    """Return whether a module is older than its source, the core's headers or the flags."""
    built = source.with_name(source.stem + SUFFIX)
    origins = [source, ROOT / "setup.py", Path(__file__), *(ROOT / "core_ext").glob("*.pxd")]
    return not built.exists() or any(origin.stat().st_mtime > built.stat().st_mtime for origin in origins)


def build() -> None:
    """Compile what is stale, in a process of its own; two callers at once compile once.

    Raises
    ------
    RuntimeError
        With the compiler's own words, if it fails.
    """
    with (FOLDER / "__init__.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = [source for source in sorted(FOLDER.glob("*.pyx")) if is_stale(source)]
        if stale:
            command = [sys.executable, "-m", "benchmarks.build", *(source.stem for source in stale)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"benchmarks do not compile:\n{done.stdout}{done.stderr}")


def compile_modules(names: list[str]) -> None:
    """Compile modules of this folder into it."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    flags = settings()
    modules = [
        Extension(
            f"benchmarks.{name}",
            [f"benchmarks/{name}.pyx"],
            extra_compile_args=flags["COMPILE"],
            extra_link_args=flags["LINK"],
        )
        for name in names
    ]
    sources = cythonize(
        modules, compiler_directives=flags["DIRECTIVES"], build_dir="build/benchmarks/c", force=True, quiet=True
    )
    # The distribution of its own keeps the project's package list and metadata out of it.
    command = Distribution({"name": "benchmarks", "ext_modules": sources}).get_command_obj("build_ext")
    command.inplace, command.force = True, True
    command.build_temp, command.build_lib = "build/benchmarks/temp", "build/benchmarks/lib"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    os.chdir(ROOT)
    compile_modules(sys.argv[1:] or [source.stem for source in sorted(FOLDER.glob("*.pyx"))])
