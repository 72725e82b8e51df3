"""The command that explains an order or a refusal.

Knows its command line. Refuses to know how a run is read: `autotrader.run` is imported only when one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autotrader.cli.pages import Page
from autotrader.cli.screen import GOOD, Screen
from autotrader.errors import OperatorError
from autotrader.messages import say

if TYPE_CHECKING:
    from autotrader.research.why import Named

__all__ = ["why"]


def why(screen: Screen) -> Page:
    """Return the command.

    Parameters
    ----------
    screen : Screen
        Where results go.
    """
    return Page(
        "why",
        help=say("help.why"),
        usage="ORDER [RUN] | --last-refusal SYMBOL [RUN]",
        arguments={"ORDER": say("help.why_order"), "RUN": say("help.why_run")},
        callback=partial(_explain, screen),
        params=[
            click.Argument(["words"], metavar="ORDER", nargs=-1),
            click.Option(["--last-refusal", "symbol"], metavar="SYMBOL", help=say("help.why_refusal")),
        ],
    )


def _explain(screen: Screen, words: Sequence[str], symbol: str | None) -> int:
    order, runs = (words[:1], words[1:]) if symbol is None else ((), words)
    if len(runs) > 1:
        raise OperatorError(say("cli.extra", found=runs[1], command="autotrader why"))
    wanted = None if symbol is not None else _named(order)
    from autotrader.run.why import latest_run
    from autotrader.run.why import why as explain

    run = Path(runs[0]) if runs else latest_run()
    with screen.progress() as progress:
        found = explain(run, wanted, symbol or "", progress)
    screen.why(found)
    return GOOD


def _named(order: Sequence[str]) -> Named:
    from autotrader.research.why import named

    if not order:
        raise OperatorError(say("cli.missing", name="ORDER", command="autotrader why"))
    wanted = named(order[0])
    if wanted is None:
        raise OperatorError(say("why.bad_id", found=order[0]))
    return wanted
