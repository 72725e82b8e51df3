"""Why a run sent or refused an order, wired.

Knows which run is meant, and where it keeps what. Refuses to know what a verdict rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autotrader.adapters.storage.anchors import Anchor, read_anchors
from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.ports import MarketSource
from autotrader.research.replay import Plan, Progress
from autotrader.research.why import Named, explain, find, last_refusal, trace
from autotrader.run.wiring import blocks_of, plan_of, source_of
from core_ext.journal import JournalDamaged

__all__ = ["latest_run", "why"]

RUNS = Path("runs")


def latest_run() -> Path:
    """Return the run under ``runs`` whose journal is the newest.

    Raises
    ------
    OperatorError
        If there is none.
    """
    journals = {folder: RunFolder(folder).journal_file for folder in _runs()}
    found = {folder: file.stat().st_mtime_ns for folder, file in journals.items() if file.is_file()}
    if not found:
        raise OperatorError(say("why.no_run", path=RUNS))
    return max(found, key=lambda folder: (found[folder], str(folder)))


def _runs() -> Sequence[Path]:
    try:
        return sorted(manifest.parent.parent for manifest in RUNS.rglob("journal/manifest.json"))
    except OSError as error:
        raise OperatorError(say("recording.unreadable", path=RUNS, reason=error.strerror)) from None


def why(run_dir: Path, wanted: Named | None, symbol: str, progress: Progress) -> dict[str, Any]:
    """Explain an order or a refusal of a run.

    Parameters
    ----------
    run_dir : Path
        A finished run, or one that broke off.
    wanted : Named or None
        None: the newest refusal of the symbol.
    symbol : str
    progress : callable

    Returns
    -------
    dict
        As `autotrader.research.why.explain`, with ``run_dir`` and ``wall``: between which times of the wall clock
        (ISO 8601) the row was written, as the anchors tell; None without anchors.

    Raises
    ------
    OperatorError
        If the folder is no run, its journal is damaged, or holds no such order.
    """
    folder = RunFolder(run_dir)
    plan = plan_of(folder)
    try:
        sequence = _sequence(folder, plan, wanted, symbol)
        if sequence is None:
            raise OperatorError(_not_found(folder, wanted, symbol))
        found = trace(plan, lambda: blocks_of(folder, plan), sequence)
        source, missing = _source(plan)
        told = explain(
            plan, found, source, folder.journal_file, missing, lambda share: progress(share, say("why.progress"))
        )
    except JournalDamaged as damage:
        raise OperatorError(say("run.damaged_journal", reason=damage)) from None
    return {"run_dir": str(run_dir), "wall": _wall(folder, sequence), **told}


def _sequence(folder: RunFolder, plan: Plan, wanted: Named | None, symbol: str) -> int | None:
    if wanted is not None:
        return find(blocks_of(folder, plan), wanted)
    if symbol not in plan.config.run.symbols:
        raise OperatorError(say("why.no_symbol", symbol=symbol, symbols=", ".join(plan.config.run.symbols)))
    return last_refusal(blocks_of(folder, plan), plan.config.run.symbols.index(symbol))


def _not_found(folder: RunFolder, wanted: Named | None, symbol: str) -> str:
    if wanted is None:
        return say("why.no_refusal", path=folder.path, symbol=symbol)
    return say("why.no_order", path=folder.path)


def _source(plan: Plan) -> tuple[MarketSource | None, str]:
    # Without the data the journal still tells its own part.
    try:
        return source_of(plan), ""
    except OperatorError as error:
        return None, str(error)


def _wall(folder: RunFolder, sequence: int) -> dict[str, str | None] | None:
    try:
        known = read_anchors(folder.anchors_file, broke_off=True)
    except (OSError, ValueError):
        return None
    after = [anchor for anchor in known if anchor.rows <= sequence]
    return {"after": after[-1].at, "before": _next(known, sequence)} if after else None


def _next(known: Sequence[Anchor], sequence: int) -> str | None:
    return next((anchor.at for anchor in known if anchor.rows > sequence), None)
