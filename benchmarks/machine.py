"""Which machine, interpreter and compiler a measurement was made with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sysconfig
from pathlib import Path


def machine() -> dict[str, str]:
    """Return what identifies the machine and the tools, by what it is."""
    return {
        "CPU": f"{_processor()}, {_cores()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": _compiler(),
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()) + " (1, 5 and 15 minutes; one is one busy core)",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compiler() -> str:
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    try:
        said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{command}, which does not say its version"
    return said.stdout.splitlines()[0]
