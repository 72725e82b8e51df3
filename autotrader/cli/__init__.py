"""The `autotrader` command: from its arguments to its exit code.

Knows the flags that may stand anywhere and what each failure is worth: 0 good, 1 the run failed,
2 bad input. Refuses to know what a run does: the commands call `autotrader.run`.
"""

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from autotrader import __version__
from autotrader.cli.commands import cover
from autotrader.cli.pages import blame
from autotrader.cli.screen import BAD_INPUT, FAILED, GOOD, Screen
from autotrader.errors import AutotraderError, OperatorError
from autotrader.messages import detect, say, set_language
from autotrader.secret import guard_output

__all__ = ["main"]


@dataclass(frozen=True)
class _Flags:
    # The flags that may stand before or after a subcommand, and the arguments without them.
    language: str | None
    machine: bool
    version: bool
    rest: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; the process's own by default.

    Returns
    -------
    int
        0 good, 1 the run failed or the machine did (an interrupt, a full disk), 2 bad input. A fault of ours is
        raised, not returned.
    """
    _tolerate_any_locale()
    guard_output()
    flags = _split(sys.argv[1:] if arguments is None else arguments)
    screen = Screen(flags.machine)
    try:
        set_language(detect(flags.language, "", os.environ))
        return _run(flags, screen)
    except click.UsageError as error:
        return screen.fail(blame(error), BAD_INPUT)
    except OperatorError as error:
        return screen.fail(str(error), BAD_INPUT)
    except AutotraderError as error:
        return screen.fail(str(error), FAILED)
    except (click.Abort, KeyboardInterrupt):
        return screen.fail(say("cli.interrupted"), FAILED)
    except OSError as error:  # what no layer foresaw
        if error.filename is None:  # a full disk behind standard output, which then takes no object for a machine
            screen = Screen(machine=False)
        where = error.filename or say("cli.output")
        return screen.fail(say("cli.failed_io", path=where, reason=error.strerror or error), FAILED)


def _run(flags: _Flags, screen: Screen) -> int:
    if flags.version:
        screen.version(__version__)
        return GOOD
    commands = cover(screen, flags.language)
    try:
        return int(commands.main(list(flags.rest), prog_name="autotrader", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        return screen.fail(say("cli.no_command"), BAD_INPUT, error.message)


def _split(arguments: Sequence[str]) -> _Flags:
    language, rest, waiting = None, list[str](), list(arguments)
    while waiting and waiting[0] != "--":
        word = waiting.pop(0)
        if word == "--lang":
            language = waiting.pop(0) if waiting else ""
        elif word.startswith("--lang="):
            language = word.removeprefix("--lang=")
        elif word not in ("--json", "--version"):
            rest.append(word)
    ours = arguments[: len(arguments) - len(waiting)]
    return _Flags(language, "--json" in ours, "--version" in ours, (*rest, *waiting))


def _tolerate_any_locale() -> None:
    # A terminal that cannot show Hangul shows a question mark; it does not end the run.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
