"""The commands of the exchange on loopback: serve it, and prove what it did.

Knows their command lines. Refuses to know how an exchange works: `autotrader.run` is imported only when one opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from autotrader.cli.pages import Cover, Page, choice
from autotrader.cli.screen import FAILED, GOOD, Screen
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["exchange"]

_PORT = "8870"
_SPEED = (0.01, 1000.0)
_LIMITS = "2400,1200"
_MOST = 10**9


def exchange(screen: Screen) -> Cover:
    """Return the group of commands.

    Parameters
    ----------
    screen : Screen
        Where results go.
    """
    return Cover("exchange", commands=[_serve(screen), _check(screen)], help=say("help.exchange"))


def _serve(screen: Screen) -> Page:
    return Page(
        "serve",
        help=say("help.exchange_serve"),
        usage="[--port P] [--replay FILE ... | --synthetic SEED] [--symbols A,B] [--speed 1x|max|N] [--accounts FILE]"
        " [--faults FILE] [--history FILE] [--for SECONDS] [--limits WEIGHT,ORDERS]"
        " [--unrouted silent|all] [--averages] [--tls] [--hold] [--print-urls]",
        arguments={},
        callback=partial(_run, screen),
        params=[
            click.Argument(["more"], nargs=-1),
            click.Option(["--port"], metavar="P", default=_PORT, help=say("help.exchange_port", default=_PORT)),
            click.Option(["--replay"], multiple=True, metavar="FILE", help=say("help.exchange_replay")),
            click.Option(["--synthetic"], metavar="SEED", help=say("help.exchange_synthetic")),
            click.Option(["--symbols"], metavar="A,B", help=say("help.exchange_symbols")),
            click.Option(["--speed"], metavar="1x|max|N", default="1x", help=say("help.exchange_speed")),
            click.Option(["--accounts"], metavar="FILE", help=say("help.exchange_accounts")),
            click.Option(["--faults"], metavar="FILE", help=say("help.exchange_faults")),
            click.Option(["--history"], metavar="FILE", help=say("help.exchange_history")),
            click.Option(["--for", "seconds"], metavar="SECONDS", help=say("help.exchange_for")),
            click.Option(["--limits"], metavar="WEIGHT,ORDERS", default=_LIMITS, help=say("help.exchange_limits")),
            choice("--unrouted", ("silent", "all"), "silent", say("help.exchange_unrouted")),
            click.Option(["--averages"], is_flag=True, help=say("help.exchange_averages")),
            click.Option(["--tls"], is_flag=True, help=say("help.exchange_tls")),
            click.Option(["--hold"], is_flag=True, help=say("help.exchange_hold")),
            click.Option(["--print-urls", "urls"], is_flag=True, help=say("help.exchange_urls")),
        ],
    )


def _check(screen: Screen) -> Page:
    return Page(
        "check",
        help=say("help.exchange_check"),
        usage="HISTORY",
        arguments={"HISTORY": say("help.exchange_history_file")},
        callback=partial(_prove, screen),
        params=[click.Argument(["history"], metavar="HISTORY")],
    )


def _run(
    screen: Screen,
    more: Sequence[str],
    port: str,
    replay: Sequence[str],
    synthetic: str | None,
    symbols: str | None,
    speed: str,
    accounts: str | None,
    faults: str | None,
    history: str | None,
    seconds: str | None,
    limits: str,
    unrouted: str,
    averages: bool,
    tls: bool,
    hold: bool,
    urls: bool,
) -> int:
    if more and not replay:
        raise OperatorError(say("cli.loose_files", found=more[0], option="--replay"))
    if replay and synthetic is not None:
        raise OperatorError(say("loopback.two_markets"))
    seed = _number("--synthetic", synthetic or "1", 0, 2**31 - 1)
    from autotrader.run.exchange import serve

    done = serve(
        port=_number("--port", port, 0, 65535),
        replay=[_file("--replay", name) for name in (*replay, *more)],
        seed=seed,
        speed=_speed(speed),
        symbols=[name.strip() for name in symbols.split(",")] if symbols else [],
        accounts=_file("--accounts", accounts) if accounts else None,
        faults=_file("--faults", faults) if faults else None,
        history=Path(history) if history else None,
        seconds=_number("--for", seconds, 1, 10**6) if seconds else 0,
        limits=_limits(limits),
        legacy_silent=unrouted == "silent",
        averages=averages,
        tls=tls,
        hold=hold,
        told=partial(screen.exchange_opened, urls),
    )
    screen.exchange_closed(done)
    return GOOD


def _prove(screen: Screen, history: str) -> int:
    path = _file("HISTORY", history)
    from autotrader.run.exchange import check_history

    report = check_history(path)
    screen.proof(report, path)
    return FAILED if report.violations else GOOD


def _file(option: str, name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise OperatorError(say("cli.no_path", option=option, path=path))
    return path


def _number(option: str, text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:12]) <= most:
        raise OperatorError(say("loopback.number", option=option, found=text, least=least, most=most))
    return int(text)


def _limits(text: str) -> tuple[int, int]:
    weight, _, orders = text.partition(",")
    return _number("--limits", weight, 1, _MOST), _number("--limits", orders, 1, _MOST)


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    try:
        value = float(text.removesuffix("x"))
    except ValueError:
        value = 0.0
    least, most = _SPEED
    if not least <= value <= most:
        raise OperatorError(say("loopback.speed", found=text, least=f"{least:g}", most=f"{most:g}"))
    return value
