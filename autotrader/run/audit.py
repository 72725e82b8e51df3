"""The audit of a run, wired: its journal against its anchors.

Knows where a run keeps what. Refuses to know how a journal is checked.
"""

from __future__ import annotations

from pathlib import Path

from autotrader.adapters.storage.anchors import Audit, audit, copies
from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.run.wiring import plan_of

__all__ = ["audit_run"]


def audit_run(run_dir: Path, anchor_dir: Path | None) -> Audit:
    """Hold a run's journal against its anchors, here and in the second place.

    Parameters
    ----------
    run_dir : Path
        A finished run, or one that broke off.
    anchor_dir : Path or None
        The second place, in place of the one that the configuration names.

    Raises
    ------
    OperatorError
        If the folder is no run, or the second place cannot be read.
    """
    folder = RunFolder(run_dir)
    folder.read_manifest()
    fingerprint, seconds = None, None
    try:
        plan = plan_of(folder)
    except OperatorError:  # a manifest that is not what it says it is: that is a finding
        pass
    else:
        fingerprint = plan.fingerprint().hex()
        named = plan.config.audit.anchor_dir
        second = anchor_dir or (plan.config.resolve(named) if named else None)
        seconds = copies(second, fingerprint) if second else None
    try:
        return audit(folder.journal_file, folder.anchors_file, fingerprint, folder.is_complete, seconds)
    except OSError as error:
        reason = error.strerror or error
        raise OperatorError(say("recording.unreadable", path=folder.journal_file, reason=reason)) from None
