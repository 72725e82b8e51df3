"""The command that proves of a journal that it is what the run wrote.

Knows its command line. Refuses to know how a journal is checked: `autotrader.run` is imported only when one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from autotrader.cli.pages import Cover, Page
from autotrader.cli.screen import FAILED, GOOD, Screen
from autotrader.messages import say

__all__ = ["audit"]


def audit(screen: Screen) -> Cover:
    """Return the group of commands.

    Parameters
    ----------
    screen : Screen
        Where results go.
    """
    return Cover("audit", commands=[_verify(screen)], help=say("help.audit"))


def _verify(screen: Screen) -> Page:
    return Page(
        "verify",
        help=say("help.audit_verify"),
        usage="RUN ... [--anchors DIR]",
        arguments={"RUN": say("help.any_run_dir")},
        callback=partial(_audit, screen),
        params=[
            click.Argument(["runs"], metavar="RUN", nargs=-1, required=True),
            click.Option(["--anchors"], metavar="DIR", help=say("help.anchors")),
        ],
    )


def _audit(screen: Screen, runs: Sequence[str], anchors: str | None) -> int:
    from autotrader.run.audit import audit_run

    found = [(run, audit_run(Path(run), Path(anchors) if anchors else None)) for run in runs]
    screen.audit(found)
    return GOOD if all(audit.holds for _, audit in found) else FAILED
