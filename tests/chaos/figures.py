"""Figures of the chaos runs: one line of JSON each, kept under ``build/chaos`` and printed when the tests are over."""

import datetime
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "build/chaos/figures.jsonl"


def keep(name: str, **values: object) -> None:
    """Keep the figures of one run, with when it was and how busy the machine was."""
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = {"name": name, "at": at, "load": [round(one, 1) for one in os.getloadavg()], **values}
    with FIGURES.open("a") as file:
        file.write(json.dumps(line) + "\n")


def share(values: list[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)] if ordered else 0.0
