"""The command that keeps an eye on a run and ends its trading when the run is gone.

Knows its command line. Refuses to know how a run is watched: `autotrader.run` is imported only when one is.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from autotrader import config as configuration
from autotrader.cli.pages import Page
from autotrader.cli.screen import FAILED, GOOD, Screen
from autotrader.errors import OperatorError
from autotrader.messages import detect, say, set_language

__all__ = ["watchdog"]

_SECONDS = click.FloatRange(min=0, min_open=True)


def watchdog(screen: Screen, spoken: str | None) -> Page:
    """Return the command.

    Parameters
    ----------
    screen : Screen
        Where results go.
    spoken : str or None
        What ``--lang`` said; None if it was not given.
    """
    return Page(
        "watchdog",
        help=say("help.watchdog"),
        usage="CONFIG [--for SECONDS]",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_watch, screen, spoken),
        params=[
            click.Argument(["config"], metavar="CONFIG"),
            click.Option(["--for", "seconds"], type=_SECONDS, metavar="SECONDS", help=say("help.for_watchdog")),
        ],
    )


def _watch(screen: Screen, spoken: str | None, config: str, seconds: float | None) -> int:
    settings = configuration.load(Path(config))
    set_language(detect(spoken, settings.run.language, os.environ))
    if settings.run.mode not in ("testnet", "live"):
        raise OperatorError(say("watchdog.mode", file=config, mode=settings.run.mode))
    from autotrader.run.watchdog import run_watchdog

    done = run_watchdog(settings, seconds, screen.happened)
    lines = [say("watchdog.closed", count=done["ended"])]
    if done["left"]:
        lines.append(say("watchdog.left", names=", ".join(done["left"])))
    return screen.instance({"watchdog": done}, lines, FAILED if done["left"] else GOOD)
