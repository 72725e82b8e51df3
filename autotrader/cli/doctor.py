"""The commands before a run: the checklist, and LIVE's typed confirmation.

Knows their command lines, and how a checklist looks to a person. Refuses to know how an item is measured and what a
confirmation is worth: `autotrader.run` is imported only when somebody asks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autotrader import config as configuration
from autotrader.cli.pages import Page
from autotrader.cli.screen import FAILED, GOOD, Screen
from autotrader.cli.tables import laid_out
from autotrader.config import Config
from autotrader.errors import OperatorError
from autotrader.messages import detect, say, set_language

if TYPE_CHECKING:
    from autotrader.run.doctor import Examination, Item

__all__ = ["confirm", "doctor"]


def doctor(screen: Screen, spoken: str | None) -> Page:
    """Return the command of the checklist.

    Parameters
    ----------
    screen : Screen
        Where results go.
    spoken : str or None
        What ``--lang`` said.
    """
    return Page(
        "doctor",
        help=say("help.doctor"),
        usage="CONFIG [--run DIR]",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_examine, screen, spoken),
        params=[
            click.Argument(["config"], metavar="CONFIG"),
            click.Option(["--run", "run_dir"], metavar="DIR", help=say("help.doctor_run")),
        ],
    )


def confirm(screen: Screen, spoken: str | None) -> Page:
    """Return the command of the typed confirmation.

    Parameters
    ----------
    screen : Screen
    spoken : str or None
    """
    return Page(
        "confirm",
        help=say("help.confirm_live"),
        usage="CONFIG",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_confirm, screen, spoken),
        params=[click.Argument(["config"], metavar="CONFIG")],
    )


def _loaded(path: str, spoken: str | None) -> Config:
    config = configuration.load(Path(path))
    set_language(detect(spoken, config.run.language, os.environ))
    return config


def _examine(screen: Screen, spoken: str | None, config: str, run_dir: str | None) -> int:
    settings = _loaded(config, spoken)
    from autotrader.adapters.keys import key_manager
    from autotrader.run.doctor import examine

    key = key_manager(settings.live, settings.folder).key if settings.live else None
    with screen.progress() as progress:
        found = examine(settings, key, None if run_dir is None else Path(run_dir), progress)
    return screen.instance(_answer(found), list(_blocks(found)), GOOD if found.holds else FAILED)


def _answer(found: Examination) -> dict[str, Any]:
    items = [asdict(item) for item in found.items]
    answer: dict[str, Any] = {"mode": found.mode, "profile": found.profile, "items": items}
    if found.mode == "live":
        answer["rehearsal"] = found.rehearsal
        answer["blockers"] = [item.name for item in found.blockers]
    return answer


def _blocks(found: Examination) -> Iterator[Any]:
    count = [item.verdict.value for item in found.items].count
    counts = {"ok": count("ok"), "fail": count("fail"), "aside": len(found.items) - count("ok") - count("fail")}
    yield say("doctor.title", mode=found.mode.upper(), profile=found.profile or "-", **counts)
    heads = {say(f"doctor.column.{name}"): True for name in ("item", "verdict", "measured")}
    yield laid_out(heads, map(_line, found.items))
    yield from (say("doctor.do", item=_name(item), todo=item.todo) for item in found.items if item.todo)
    if found.mode == "live":
        named = ", ".join(map(_name, found.blockers))
        yield say("doctor.blocked", items=named) if named else say("doctor.starts")


def _line(item: Item) -> tuple[str, str, str]:
    return _name(item), say(f"doctor.verdict.{item.verdict}"), item.measured


def _name(item: Item) -> str:
    return say(f"doctor.{item.name}")


def _confirm(screen: Screen, spoken: str | None, config: str) -> int:
    settings = _loaded(config, spoken)
    if settings.run.mode != "live" or settings.live is None:
        raise OperatorError(say("confirm.only_live", file=config, mode=settings.run.mode))
    from autotrader.adapters.keys import key_manager
    from autotrader.run import confirmation

    credentials = key_manager(settings.live, settings.folder).key()
    typed = _typed(settings, confirmation.phrase(settings, credentials))
    today = datetime.now(UTC).date()
    state = settings.resolve(settings.live.state_dir)
    path = confirmation.confirm(state, typed, settings, credentials, today)
    done = {"confirmed": str(path), "date": str(today)}
    return screen.instance(done, [say("confirm.done", date=today, path=path)])


def _typed(settings: Config, wanted: str) -> str:
    # On standard error, so that standard output stays the answer's.
    assert settings.live is not None
    asks = say(
        "confirm.asks", profile=settings.live.profile, symbols=", ".join(settings.run.symbols),
        leverage=settings.run.leverage, share=f"{settings.live.size_multiplier:g}",
        order=f"{settings.risk.max_order_notional_usdt:,.0f}",
    )  # fmt: skip
    print(asks, say("confirm.type", wanted=wanted), sep="\n", file=sys.stderr)
    return sys.stdin.readline()
