"""Build the compiled core.

The release build is the default. ``AUTOTRADER_CHECKED=1`` switches bounds checks, initialisation
checks, the undefined-behaviour sanitizer and the core's own audits (``AT_CHECKED``) on, and
``AUTOTRADER_ASAN`` the address sanitizer too, whose runtime must then be preloaded: ``deploy/checked``
does both. Both builds must pass the same tests. There is no ``-march=native`` and no fast-math: a
journal written by one wheel must replay bit for bit on every machine that can install that wheel.
"""

import os
import sys
from pathlib import Path
from sysconfig import get_platform

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("AUTOTRADER_CHECKED") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": True,
    "nonecheck": False,
    "embedsignature": True,
    "freethreading_compatible": False,
}

COMPILE = [
    *("-O3", "-ffp-contract=off", "-fno-fast-math", "-std=c11", "-Wno-unreachable-code"),
    f"-DAT_CHECKED={CHECKED:d}",
]
LINK = [] if sys.platform == "darwin" else ["-Wl,-z,relro", "-Wl,-z,now"]
if CHECKED:
    COMPILE[0] = "-O1"
    SANITIZE = "-fsanitize=" + ("address,undefined" if os.environ.get("AUTOTRADER_ASAN") else "undefined")
    COMPILE += ["-g", "-fno-omit-frame-pointer", SANITIZE, "-fno-sanitize-recover=all"]
    # The interpreter's own flags make signed overflow wrap, which hides it; a double that fits no integer is
    # undefined too, and no part of `undefined`.
    COMPILE += ["-fno-wrapv", "-fsanitize=float-cast-overflow"]
    LINK += [SANITIZE]
else:
    COMPILE += ["-g0"]


def modules() -> list[Extension]:
    """Return one extension per noun of the core."""
    return [
        Extension(
            f"core_ext.{source.stem}",
            [str(source)],
            extra_compile_args=COMPILE,
            extra_link_args=LINK,
        )
        for source in sorted(Path("core_ext").glob("*.pyx"))
    ]


JOBS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
PLACE = f"build/{'checked' if CHECKED else 'lib'}.{get_platform()}-{sys.implementation.cache_tag}"

setup(
    ext_modules=cythonize(
        modules(),
        compiler_directives=DIRECTIVES,
        build_dir=f"build/{'checked' if CHECKED else 'release'}",
        nthreads=JOBS if sys.platform == "linux" else 0,
        quiet=True,
    ),
    options={"build_ext": {"build_lib": PLACE, "parallel": JOBS}},
)
