"""The commands for a running instance: look at it, restrain it, end its trading.

Knows their command lines and how an answer looks to a person. Refuses to know how an instance does what it is told, and
where orders are: it asks the instance. Only the kill switch's latch it closes by itself.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from autotrader.cli.pages import Page
from autotrader.cli.screen import FAILED, GOOD, Screen
from autotrader.cli.tables import INSTANCE, percent, span, table
from autotrader.errors import AutotraderError, OperatorError
from autotrader.messages import say

if TYPE_CHECKING:
    from autotrader.adapters.control import Done, Status
    from autotrader.adapters.storage.state import Latched
    from autotrader.adapters.storage.state_folder import StateFolder

__all__ = ["control"]

_STATE = "state"
_TIMEOUT = "10"
_SECONDS = (0.1, 600.0)
_LONGEST_REASON = 500
_SYMBOL = re.compile(r"[A-Z0-9_]{1,31}")
_LADDER = ("full", "half", "reduce_only")


class _Instance(NamedTuple):
    # Where it keeps its state, and how long it may take.
    state: Path
    timeout_s: float

    def ask(self, command: str, **arguments: Any) -> Any:
        from autotrader.adapters.control import ask

        return ask(self.state, command, arguments, self.timeout_s)


def control(screen: Screen) -> Sequence[Page]:
    """Return the commands.

    Parameters
    ----------
    screen : Screen
        Where answers go.
    """
    return [
        _page(screen, "status", _status),
        *(_page(screen, name, partial(_list, name)) for name in ("positions", "orders", "balance")),
        _page(screen, "halt", partial(_restrain, "halt")),
        _page(screen, "reduce", partial(_restrain, "reduce"), "[--symbols A,B]", _symbols_option()),
        _page(screen, "resume", _resume, "[--confirm STAMP]", _option("--confirm", "STAMP", "help.confirm")),
        _page(screen, "flatten", partial(_restrain, "flatten"), "[--symbols A,B]", _symbols_option()),
        _page(screen, "kill", _kill, "[--reason TEXT]", _option("--reason", "TEXT", "help.reason")),
    ]


def _page(screen: Screen, name: str, deed: Any, usage: str = "", *more: click.Option) -> Page:
    def run(state: str | None, timeout: str, **options: Any) -> int:
        instance = _Instance(Path(state or os.environ.get("AUTOTRADER_STATE") or _STATE), _seconds(timeout))
        return int(deed(screen, instance, **options))

    return Page(
        name,
        help=say(f"help.{name}"),
        usage=" ".join(filter(None, ("[--state DIR]", "[--timeout S]", usage))),
        arguments={},
        callback=run,
        params=[
            click.Option(["--state"], metavar="DIR", help=say("help.state", default=_STATE)),
            click.Option(["--timeout"], metavar="S", default=_TIMEOUT, help=say("help.timeout", default=_TIMEOUT)),
            *more,
        ],
    )


def _option(name: str, metavar: str, key: str) -> click.Option:
    return click.Option([name], metavar=metavar, help=say(key))


def _symbols_option() -> click.Option:
    return _option("--symbols", "A,B", "help.only_symbols")


def _status(screen: Screen, instance: _Instance) -> int:
    status, kill = instance.ask("status"), _latched(instance.state)
    blocks = [*_looks(status), table(INSTANCE["symbols"], status.symbols)]
    if kill and not status.killed:
        blocks.insert(1, say("control.not_heeded", stamp=kill.stamp))
    return screen.instance({"status": asdict(status), "latched": kill.stamp if kill else ""}, blocks)


def _list(name: str, screen: Screen, instance: _Instance) -> int:
    records = instance.ask(name)
    shown = table(INSTANCE[name], records) if records else f"  {say('views.nothing')}"
    return screen.instance({name: [asdict(record) for record in records]}, [f"{say(f'control.{name}')}:", shown])


def _restrain(command: str, screen: Screen, instance: _Instance, symbols: str | None = None) -> int:
    chosen = {} if command == "halt" else {"symbols": _symbols(symbols)}
    return _told(screen, command, instance.ask(command, **chosen))


def _resume(screen: Screen, instance: _Instance, confirm: str | None) -> int:
    from autotrader.adapters.control import NoInstanceError

    kill = _latched(instance.state)
    stamp = _confirmed(screen, kill, confirm) if kill else ""
    try:
        return _told(screen, "resume", instance.ask("resume", confirm=stamp))
    except NoInstanceError:
        if kill is None:
            raise
    _rearm(instance.state, stamp)
    return screen.instance({"resume": {"killed": "", "instance": False}}, [say("control.rearmed_offline")])


def _kill(screen: Screen, instance: _Instance, reason: str | None) -> int:
    why = _plain(reason or say("control.operator"))
    _open(instance.state).close()
    # At once: a disk that hangs does not hold up the instance, nor an instance that hangs, and is started anew by a
    # supervisor, the latch. Leaving waits for the latch, also when the operator gives up waiting.
    with ThreadPoolExecutor(1) as pool:
        latching = pool.submit(_latch, instance.state, why)
        done, refusal = _ask_to_kill(instance, why)
    try:
        kill = latching.result()
    except OperatorError as error:
        raise AutotraderError(say(f"control.not_latched.{'killed' if done else 'unknown'}", reason=error)) from None
    if refusal:
        raise AutotraderError(say("control.latched_alone", reason=refusal, stamp=kill.stamp))
    if done is None:
        line = say("control.latched_offline", stamp=kill.stamp)
        return screen.instance({"kill": {"killed": kill.stamp, "instance": False}}, [line])
    return _told(screen, "kill", done)


def _ask_to_kill(instance: _Instance, reason: str) -> tuple[Done | None, str]:
    # What it did, or why it is not known to be killed; neither where there is no instance.
    from autotrader.adapters.control import NoInstanceError

    try:
        done: Done = instance.ask("kill", reason=reason)
    except NoInstanceError:
        return None, ""
    except AutotraderError as error:
        return None, str(error)
    return (done, "") if done.killed else (None, say("control.not_killed"))


def _open(state: Path) -> StateFolder:
    from autotrader.adapters.storage.state_folder import StateFolder

    return StateFolder(state, create=False)


def _latch(state: Path, reason: str) -> Latched:
    from autotrader.adapters.storage.state import Latch

    folder = _open(state)
    try:
        return Latch(folder).close(reason, time.time_ns())
    finally:
        folder.close()


def _rearm(state: Path, stamp: str) -> None:
    from autotrader.adapters.storage.state import Latch

    folder = _open(state)
    try:
        Latch(folder).rearm(stamp)
    finally:
        folder.close()


def _latched(state: Path) -> Latched | None:
    from autotrader.adapters.storage.state import Latch

    folder = _open(state)
    try:
        return Latch(folder).read()
    finally:
        folder.close()


def _confirmed(screen: Screen, kill: Latched, typed: str | None) -> str:
    if typed is None and not screen.machine and sys.stdin.isatty():
        typed = _typed(say("control.type_stamp", reason=kill.reason, stamp=kill.stamp))
    if typed is None:
        raise OperatorError(say("control.say_confirm", reason=kill.reason, stamp=kill.stamp))
    if typed != kill.stamp:
        raise OperatorError(say("state.not_rearmed", reason=kill.reason, stamp=kill.stamp))
    return typed


def _typed(question: str) -> str:
    try:
        return input(f"{question} ").strip()
    except EOFError:
        return ""


def _told(screen: Screen, command: str, done: Done) -> int:
    # What the command should have ended and did not is a failure, and each is named.
    lines = [_trading(done.killed, False, done.halted, 0)]
    if done.reduce_only:
        lines.append(say("control.reduce_only", symbols=", ".join(done.reduce_only)))
    lines.append(say("control.left", orders=f"{done.orders_open:,}", positions=f"{done.positions:,}"))
    if done.unconfirmed:
        lines.append(say("control.unconfirmed", names=", ".join(done.unconfirmed)))
    return screen.instance({command: asdict(done)}, lines, FAILED if done.unconfirmed else GOOD)


def _looks(status: Status) -> list[Any]:
    links = ", ".join(f"{name} {state}" for name, state in sorted(status.links.items()))
    rows: Mapping[str, str] = {
        "uptime": span(status.uptime_s * 10**9),
        "trading": _trading(status.killed, status.safe, status.halted, status.ladder),
        "gates": ", ".join(status.gates) or say("control.none"),
        "equity": f"{status.equity_e8 / 1e8:,.2f} USDT",
        "drawdown": percent(status.drawdown_e8 / 1e8),
        "day_loss": percent(status.day_loss_e8 / 1e8),
        "open_orders": say("control.counts", open=f"{status.orders_open:,}", unknown=f"{status.orders_unknown:,}"),
        "links": links or say("control.none"),
    }
    title = f"{status.mode} · {status.profile} · {status.run}"
    return [title, [(say(f"control.{name}"), value) for name, value in rows.items()]]


def _trading(killed: str, safe: bool, halted: bool, ladder: int) -> str:
    # The hardest restraint is the one that counts.
    if killed:
        return say("control.killed", stamp=killed)
    if safe:
        return say("control.safe")
    return say("control.halted") if halted else say(f"control.ladder.{_LADDER[ladder]}")


def _symbols(text: str | None) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text is not None else []
    for name in names:
        if not _SYMBOL.fullmatch(name):
            raise OperatorError(say("control.bad_symbol", found=name))
    return names


def _plain(text: str) -> str:
    # Bytes of a command line that are no UTF-8 cannot be sent.
    return text.encode(errors="replace").decode()[:_LONGEST_REASON]


def _seconds(text: str) -> float:
    least, most = _SECONDS
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not least <= value <= most:
        raise OperatorError(say("control.bad_timeout", found=text, least=f"{least:g}", most=f"{most:g}"))
    return value
