"""The help pages and the words for a mistyped command line, in the operator's language.

Knows how a page is laid out (terminal cells, not characters, so that Hangul lines up). Refuses to
know what any command does.
"""

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autotrader.errors import OperatorError
from autotrader.messages import LANGUAGES, say

__all__ = ["Cover", "Page", "blame", "choice"]

_SETTINGS = {"help_option_names": ["-h", "--help"], "allow_extra_args": True}


def choice(name: str, words: Sequence[str], default: str, text: str) -> click.Option:
    """Return an option that accepts one of a few words and refuses others in the operator's language.

    Parameters
    ----------
    name : str
        The option, with its dashes.
    words : sequence of str
        What it accepts.
    default : str
        The word when the option is absent.
    text : str
        Its help.

    Returns
    -------
    click.Option
        Parsing it raises OperatorError for another word.
    """

    def check(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
        if value not in words:
            raise OperatorError(say("cli.choice", option=name, found=value, choices=", ".join(words)))
        return value

    return click.Option([name], default=default, metavar="|".join(words), help=text, callback=check)


class Page(click.Command):
    """Hold one command with its help page.

    Parameters
    ----------
    name : str
        The command.
    usage : str
        What follows the command's name on the usage line.
    arguments : mapping of str to str
        The help of each positional argument, by metavar.
    **rest : object
        As for `click.Command`.
    """

    def __init__(self, name: str, *, usage: str, arguments: Mapping[str, str], **rest: Any) -> None:
        super().__init__(name, context_settings=dict(_SETTINGS), **rest)
        self.usage = usage
        self.arguments = arguments

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and raise OperatorError if one is left over."""
        for left in super().parse_args(ctx, args):
            raise OperatorError(say("cli.extra", found=left, command=ctx.command_path))
        return []

    def get_help(self, ctx: click.Context) -> str:
        """Return the help page as text."""
        blocks = {"help.arguments": self.arguments.items(), "help.options": _options(self.params)}
        return _page(f"{ctx.command_path} {self.usage}", self.help or "", blocks)


class Cover(click.Group):
    """Hold the front page: the program and its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, or raise OperatorError with the nearest."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            _unknown_command(args[0], list(self.commands))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the front page as text."""
        commands = [(name, command.help or "") for name, command in self.commands.items()]
        return _page(f"{ctx.command_path} COMMAND ...", self.help or "", {"help.commands": commands})


def blame(error: click.UsageError) -> str:
    """Return one line in the operator's language for a command line that click refused.

    Parameters
    ----------
    error : click.UsageError
        What click raised.

    Returns
    -------
    str
        What is wrong and where to look.
    """
    command = error.ctx.command_path if error.ctx else "autotrader"
    match error:
        case click.NoSuchOption(option_name=found, possibilities=[nearest, *_]):
            return say("cli.unknown_option", found=found, command=command, nearest=nearest)
        case click.NoSuchOption(option_name=found):
            return say("cli.unknown_option_far", found=found, command=command)
        case click.MissingParameter(param=click.Option() as missing):
            return say("cli.missing", name=missing.opts[0], command=command)
        case click.MissingParameter(param=click.Parameter() as missing):
            return say("cli.missing", name=missing.human_readable_name, command=command)
        case click.BadOptionUsage(option_name=found):
            return say("cli.option_value", found=found)
    return say("cli.usage", detail=error.format_message().rstrip("."), command=command)


def _unknown_command(found: str, known: Sequence[str]) -> NoReturn:
    for nearest in get_close_matches(found, known, 1):
        raise OperatorError(say("cli.unknown_command", found=found, nearest=nearest))
    raise OperatorError(say("cli.unknown_command_far", found=found))


def _options(params: Sequence[click.Parameter]) -> Iterator[tuple[str, str]]:
    for param in params:
        if isinstance(param, click.Option):
            yield " ".join(filter(None, (param.opts[0], param.metavar))), param.help or ""


def _everywhere() -> Iterator[tuple[str, str]]:
    yield f"--lang {'|'.join(LANGUAGES)}", say("help.lang")
    yield "--json", say("help.json")
    yield "--version", say("help.version")
    yield "-h, --help", say("help.help")


def _page(usage: str, about: str, blocks: Mapping[str, Any]) -> str:
    paper, width = io.StringIO(), min(shutil.get_terminal_size().columns, 100)
    console = Console(file=paper, width=width, markup=False, highlight=False)
    console.print(f"{say('help.usage')}: {usage}\n", soft_wrap=True)
    console.print(Padding(about, (0, 0, 0, 2)))
    for key, rows in {**blocks, "help.everywhere": _everywhere()}.items():
        _block(console, say(key), list(rows))
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines())


def _block(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if not rows:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # an ellipsis would take the end of a line of Hangul
    for name, text in rows:
        table.add_row(Text(f"  {name}"), Text(text))
    console.print(f"\n{title}:")
    console.print(table)
