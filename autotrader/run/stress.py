"""The stress command, wired: files, one window of time, a run for each leverage, and the page about them.

Knows which rooms a stress run needs. Refuses to know how anything is done: every step is somebody else's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autotrader import instruments as facts
from autotrader.adapters.storage.history import History
from autotrader.adapters.storage.sources import interval_name
from autotrader.adapters.web import stress as page
from autotrader.errors import OperatorError
from autotrader.messages import language, say
from autotrader.research import stress
from autotrader.research.replay import Progress
from autotrader.research.stress import Stress, iso
from autotrader.run.wiring import expanded
from core_ext.types import Instruments, Kind

__all__ = ["replay", "run_stress"]

E8 = 10**8


def run_stress(
    symbol: str,
    leverages: Sequence[int],
    isolated: bool,
    equity: float,
    window: tuple[int, int],
    data: Sequence[Path],
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Hold a leveraged long through a window of history, once for each leverage, and leave the report.

    Parameters
    ----------
    symbol : str
    leverages : sequence of int
    isolated : bool
        Margin of the position alone; otherwise of the whole account.
    equity : float
        Wallet before the entry, USDT.
    window : (int, int)
        First and last stamp, ns UTC.
    data : sequence of Path
        Candle, mark candle and funding files, or folders of them.
    out : Path
        Folder of ``stress.json``, ``path.parquet`` and ``report.html``.
    progress : callable
        Told the share that is done and what is being done.

    Returns
    -------
    dict
        What ``stress.json`` holds.

    Raises
    ------
    OperatorError
        For data, a leverage or a window that cannot be used; then nothing is left behind.
    """
    progress(0.0, say("run.progress_read"))
    summary, tried = replay(symbol, leverages, isolated, equity, window, data, progress)
    progress(1.0, say("run.progress_write"))
    try:
        out.mkdir(parents=True, exist_ok=True)
        _path(tried).write_parquet(out / "path.parquet", compression="zstd")
        text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
        (out / "stress.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(say("run.cannot_write", path=out, reason=error.strerror)) from None
    page.render(out / "report.html", summary, tried, language())
    return summary


def replay(
    symbol: str,
    leverages: Sequence[int],
    isolated: bool,
    equity: float,
    window: tuple[int, int],
    data: Sequence[Path],
    progress: Progress,
) -> tuple[dict[str, Any], list[Stress]]:
    """Return the summary and the runs of `run_stress`, without a folder."""
    table = facts.load()
    if symbol not in table:
        raise OperatorError(say("stress.no_symbol", found=symbol, choices=", ".join(table)))
    specs, assumed = facts.specs([symbol], table=table, fees=facts.fee_tier("VIP0"), leverage=1, language=_language())
    spec: dict[str, Any] = dict(specs[0])
    _require_leverages(symbol, leverages, spec["brackets"][0][4])
    history = History(expanded(data), Instruments(specs))
    rows = _within(history, window)
    bars = rows[rows["kind"] == int(Kind.CANDLE)]
    marked = int(np.isin(bars["ts"], rows["ts"][rows["kind"] == int(Kind.MARK_CANDLE)]).sum())
    if len(bars) < 2:
        raise OperatorError(say("stress.no_bars", symbol=symbol, start=iso(window[0]), end=iso(window[1])))
    tried = list(_runs(spec, rows, "file" if marked else "proxy", leverages, isolated, round(equity * E8), progress))
    interval = interval_name(history.interval_ns or int(np.diff(bars["ts"]).min()))
    funded = bool((rows["kind"] == int(Kind.FUNDING)).any())
    notes = [
        say("stress.note_gate"),
        say("stress.note_entry"),
        say("stress.note_filters", date=table[symbol].date or "-"),
        *_mark_notes(len(bars), marked, interval),
        *([] if funded else [say("stress.note_no_funding")]),
    ]
    summary = {
        "symbol": symbol,
        "margin": "isolated" if isolated else "cross",
        "equity": equity,
        "from": iso(int(rows["ts"][0])),
        "to": iso(int(rows["ts"][-1])),
        "interval": interval,
        "bars": len(bars),
        "bars_marked": marked,
        "mark_source": "file" if marked == len(bars) else "file+candle" if marked else "candle",
        "files": [{"path": str(f.path), "sha256": f.sha256, "rows": f.rows, "kind": f.kind} for f in history.files],
        "notes": notes,
        "warnings": [say("stress.note_in_files", warning=warning) for warning in history.warnings],
        "defaults_used": assumed,
        "rows": [run.figures(spec["lot_e8"]) for run in tried],
    }
    return summary, tried


def _require_leverages(symbol: str, leverages: Sequence[int], most: int) -> None:
    for leverage in leverages:
        if not 1 <= leverage <= most:
            raise OperatorError(say("stress.leverage", symbol=symbol, found=leverage, most=most))


def _within(history: History, window: tuple[int, int]) -> NDArray[np.void]:
    # The bar that opens at the first stamp belongs to the window, the one that closes there does not.
    first, last = window
    return np.concatenate([_inside(chunk, first, last) for chunk in history.chunks()])


def _inside(rows: NDArray[np.void], first: int, last: int) -> NDArray[np.void]:
    opens = (rows["ts"] == first) & (rows["kind"] == int(Kind.CANDLE_OPEN))
    kept: NDArray[np.void] = rows[(opens | (rows["ts"] > first)) & (rows["ts"] <= last)]
    return kept


def _runs(
    spec: dict[str, Any],
    rows: NDArray[np.void],
    mark_source: str,
    leverages: Sequence[int],
    isolated: bool,
    start_e8: int,
    progress: Progress,
) -> Iterator[Stress]:
    # Their journals are read at once and not kept: the same rows and the same leverage give the same run.
    with tempfile.TemporaryDirectory() as folder:
        for done, leverage in enumerate(leverages):
            progress(done / len(leverages), say("run.progress_run"))
            yield stress.run(spec, rows, mark_source, leverage, isolated, start_e8, Path(folder) / f"{leverage}.seg")


def _mark_notes(bars: int, marked: int, interval: str) -> list[str]:
    if not marked:
        return [say("stress.note_no_mark", interval=interval)]
    rest = [say("stress.note_some_marks", missing=bars - marked, bars=bars)] if marked < bars else []
    return [say("stress.note_mark", interval=interval), *rest]


def _path(tried: Sequence[Stress]) -> pl.DataFrame:
    frames = [
        pl.DataFrame([point._asdict() for point in run.points]).insert_column(0, pl.lit(run.leverage).alias("leverage"))
        for run in tried
    ]
    return pl.concat(frames)


def _language() -> Any:
    return "ko" if language() == "ko" else "en"
