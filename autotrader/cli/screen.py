"""What the command shows: progress, results, what to type next; or one JSON object for a machine.

Knows how figures are written. Refuses to know how they came about: it prints what it is given, and
a figure that is undefined is said to be so.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from autotrader.cli.explained import explained, sentence, title
from autotrader.cli.tables import VIEWS, laid_out, table
from autotrader.messages import say
from autotrader.secret import redacted

__all__ = ["BAD_INPUT", "FAILED", "GOOD", "Screen"]

GOOD, FAILED, BAD_INPUT = 0, 1, 2

_WIDEST = 10_000
_FILES = {"summary": "summary.json", "report": "report.html"}
_HASHES = {
    "result.journal": "journal_sha256",
    "result.order_hash": "orders_sha256",
    "result.state": "state_sha256",
}


class Screen:
    """Show results to a person, or to a machine.

    Parameters
    ----------
    machine : bool
        True prints one JSON object on standard output and nothing else there.
    """

    def __init__(self, machine: bool) -> None:
        self.machine = machine
        self._out = Console(markup=False, highlight=False)

    def version(self, version: str) -> None:
        """Show the version."""
        if self.machine:
            self._answer({"version": version})
        else:
            self._line(f"autotrader {version}")

    def fail(self, message: str, exit_code: int, page: str = "") -> int:
        """Show why the command failed, in one line, and return its exit code.

        Parameters
        ----------
        message : str
            What, where, and what to do.
        exit_code : int
            1 the run failed, 2 bad input.
        page : str
            A help page that a person sees in place of the line.

        Returns
        -------
        int
            The exit code.
        """
        line = _one_line(redacted(message))
        if self.machine:
            self._answer({"error": line, "exit_code": exit_code})
        else:
            print(page or f"autotrader: {line}", file=sys.stderr)
        return exit_code

    def notice(self, text: str) -> None:
        """Show what nobody may miss, whoever reads the answer."""
        print(f"*** {text} ***", file=sys.stderr, flush=True)

    @contextmanager
    def progress(self) -> Iterator[Callable[[float, str], None]]:
        """Give a function that shows how far long work is: a fraction from 0 to 1 and what is done now."""
        console = Console(stderr=True)
        if self.machine or not console.is_terminal:
            yield lambda _fraction, _text: None
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda fraction, text: bar.update(task, completed=fraction, description=text)

    def wrote_config(self, path: Path, following: str) -> None:
        """Show that a configuration was written, and the command that uses it."""
        if self.machine:
            self._answer({"exit_code": GOOD, "config": str(path), "next": following})
            return
        self._line(say("result.wrote", path=path))
        self._next(following)

    def run(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Show the summary of a run, where its files are, and what to type next."""
        if self.machine:
            self._answer({"exit_code": GOOD, "run_dir": str(folder), "summary": summary})
            return
        symbols = ", ".join(summary["symbols"])
        self._line(say("result.title", mode=summary["mode"], strategy=summary["strategy"], symbols=symbols))
        self._rows(_figures(summary))
        for kind in ("warning", "note"):
            for text in summary[f"{kind}s"]:
                self._line(say(f"result.{kind}", text=text))
        self._files(summary, folder)
        report = say("result.next_report", path=folder / "report.html")
        self._next(report, f"autotrader replay {shlex.quote(str(folder))} --verify")

    def verdict(self, verdict: Mapping[str, Any], folder: Path) -> int:
        """Show whether a replay gave the same run, and return the exit code: 0 the same, 1 not."""
        exit_code = GOOD if verdict["ok"] else FAILED
        if self.machine:
            self._answer({"exit_code": exit_code, "run_dir": str(folder), **verdict})
            return exit_code
        self._rows([(say("result.compared"), _count(verdict["orders_compared"])), *_hashes(verdict)])
        if verdict["ok"]:
            self._line(say("result.same", orders=_count(verdict["orders_compared"])))
            self._next(f"autotrader report {shlex.quote(str(folder))}")
        else:
            self._line(say("result.differs", difference=verdict["first_difference"]))
        return exit_code

    def report(self, path: Path) -> None:
        """Show where a report was written."""
        if self.machine:
            self._answer({"exit_code": GOOD, "report": str(path)})
            return
        self._line(say("result.wrote", path=path))
        self._next(say("result.next_report", path=path))

    def stress(self, summary: Mapping[str, Any], folder: Path) -> None:
        """Show what became of a leveraged long at each leverage, and where the report is."""
        report = folder / "report.html"
        if self.machine:
            self._answer({"exit_code": GOOD, "run_dir": str(folder), "report": str(report), "summary": summary})
            return
        said = {"symbol": summary["symbol"], "margin": summary["margin"], "equity": summary["equity"]}
        self._line(say("stress.title", **said, start=summary["from"], end=summary["to"]))
        names = ("leverage", "outcome", "lowest", "nearest", "funding", "gap")
        heads = {say(f"stress.column.{name}"): name == "outcome" for name in names}
        self._table(laid_out(heads, map(_stressed, summary["rows"])))
        for kind in ("warning", "note"):
            for text in summary[f"{kind}s"]:
                self._line(say(f"result.{kind}", text=text))
        self._next(say("result.next_report", path=report))

    def view(self, found: Mapping[str, Any]) -> None:
        """Show records of a view of a run; a machine gets them as they are stored, money in integers of 1e-8."""
        if self.machine:
            records = [asdict(record) for record in found["records"]]
            self._answer({"exit_code": GOOD, **found, "records": records})
            return
        title = say(
            "views.title",
            view=say(f"views.{found['view']}"),
            shown=_count(len(found["records"])),
            total=_count(found["total"]),
            rows=_count(found["sequence"] + 1),
        )
        self._line(title)
        if found["records"]:
            self._table(table(VIEWS[found["view"]], found["records"]))
        else:
            self._line(f"  {say('views.nothing')}")
        if not found["complete"]:
            self._line(say("result.warning", text=say("views.incomplete")))

    def bench(self, measured: Mapping[str, Any]) -> None:
        """Show measured latencies beside their budgets, in nanoseconds, and the bench's own words."""
        if self.machine:
            self._answer({"exit_code": GOOD, **measured})
            return
        names = (say("result.measure"), "p50", "p99", "max", say("result.budget"), say("result.ratio"))
        heads = {name: at == 0 for at, name in enumerate(names)}
        self._table(laid_out(heads, map(_measured, measured["rows"])))
        self._line(measured["text"])

    def exchange_opened(self, urls: bool, opened: Mapping[str, Any]) -> None:
        """Show where an exchange can be reached, and what its clients must be told."""
        if self.machine:
            self._answer({"event": "opened", **opened})
            sys.stdout.flush()
            return
        symbols = ", ".join(opened["symbols"])
        self._line(say(f"loopback.opened.{opened['market']}", port=opened["port"], symbols=symbols))
        self._line(say("loopback.status_page", url=opened["status"]))
        if opened["certificate"]:
            self._line(say("loopback.certificate", path=opened["certificate"]))
        for client, lines in opened["urls"].items() if urls else ():
            self._line(f"{client}:")
            for line in lines:
                self._line(f"  {line}")
        self._line(say("loopback.stop_with"))

    def exchange_closed(self, done: Mapping[str, Any]) -> None:
        """Show what an exchange did, and how to prove it."""
        if self.machine:
            self._answer({"event": "closed", "exit_code": GOOD, **done})
            return
        self._line(say("loopback.closed", calls=_count(done["calls"]), refused=_count(done["refused"])))
        if done["history"]:
            self._line(say("loopback.written", path=done["history"], records=_count(done["records"])))
            self._next(f"autotrader exchange check {shlex.quote(done['history'])}")

    def proof(self, report: Any, path: Path) -> None:
        """Show what was proved of an exchange from its history."""
        if self.machine:
            broken = [{"line": one.line, "invariant": one.invariant.name} for one in report.violations]
            checked = {invariant.name: times for invariant, times in report.checked.items()}
            exit_code = GOOD if report.holds else FAILED
            self._answer({"exit_code": exit_code, "history": str(path), "checked": checked, "violations": broken})
            return
        for key, values in report.lines():
            self._line(say(key, **values))

    def audit(self, found: Sequence[tuple[str, Any]]) -> None:
        """Show whether the journals of runs are what was written."""
        if self.machine:
            runs = [{"run_dir": run, "ok": audit.holds, **asdict(audit)} for run, audit in found]
            good = all(audit.holds for _, audit in found)
            self._answer({"exit_code": GOOD if good else FAILED, "runs": runs})
            return
        for run, audit in found:
            self._line(say("audit.holds" if audit.holds else "audit.broken", run=run))
            if audit.finding is not None:
                wrong = {"row": _count(audit.finding.row), "detail": audit.finding.detail}
                self._line(f"  {say(f'audit.found.{audit.finding.what}', **wrong)}")
            words = {"rows": _count(audit.rows), "blocks": _count(audit.blocks), "anchored": _count(audit.anchored)}
            self._line(f"  {say('audit.read', anchors=_count(audit.anchors), **words)}")
            if audit.holds and audit.torn:
                self._line(f"  {say('audit.torn', count=_count(audit.torn))}")

    def why(self, found: Mapping[str, Any]) -> None:
        """Show why an order was sent or refused, and what became of it."""
        said = sentence(found["verdict"]["reason"])
        if self.machine:
            self._answer({"exit_code": GOOD, **found, "sentence": said})
            return
        self._line(title(found))
        for head, part in explained(found):
            self._line(head)
            if isinstance(part, Table):
                self._table(part)
            else:
                self._rows(part)

    def instance(self, answer: Mapping[str, Any], blocks: Sequence[Any], exit_code: int = GOOD) -> int:
        """Show what a running instance answered, and return the exit code.

        Parameters
        ----------
        answer : mapping
            For a machine.
        blocks : sequence
            For a person: a line, a table, or rows of a name and a value.
        exit_code : int, optional
        """
        if self.machine:
            self._answer({"exit_code": exit_code, **answer})
            return exit_code
        for block in blocks:
            match block:
                case str():
                    self._line(block)
                case Table():
                    self._table(block)
                case rows:
                    self._rows(rows)
        return exit_code

    def happened(self, event: str, text: str) -> None:
        """Show at once what a long command sees and does; a machine gets one JSON object a line."""
        if self.machine:
            self._answer({"event": event, "text": text})
        else:
            self._line(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z  {event}  {text}")
        sys.stdout.flush()

    def _files(self, summary: Mapping[str, Any], folder: Path) -> None:
        files = [(say(f"result.{name}"), str(folder / file)) for name, file in _FILES.items()]
        self._rows([*_hashes(summary), *files])

    def _rows(self, rows: Sequence[tuple[str, str]]) -> None:
        # Printed line by line: a hash or a path that a table would fold could not be copied.
        width = max(Text(name).cell_len for name, _ in rows)
        for name, value in rows:
            self._line(f"  {name}{' ' * (width - Text(name).cell_len)}  {value}")

    def _table(self, drawn: Table) -> None:
        # As wide as it needs: a terminal that is narrower breaks lines, not figures.
        wide = Console(markup=False, highlight=False, width=_WIDEST)
        needed = wide.measure(drawn).maximum
        Console(markup=False, highlight=False, width=max(needed, 1)).print(drawn)

    def _next(self, *commands: str) -> None:
        self._line(say("result.next"))
        for command in commands:
            self._line(f"  {command}")

    def _line(self, text: str) -> None:
        self._out.print(text, soft_wrap=True)

    def _answer(self, payload: Mapping[str, Any]) -> None:
        print(json.dumps(payload, ensure_ascii=False, allow_nan=False))


def _stressed(row: Mapping[str, Any]) -> tuple[str, ...]:
    gone = row["liquidated_at"]
    return (
        f"{row['leverage']}x",
        say("stress.liquidated", time=gone[:16].replace("T", " ")) if gone else say("stress.survived"),
        f"{round(row['lowest_equity'], 2) + 0.0:,.2f}",  # dust of rounding has no sign
        _signed(row["nearest_distance"]),
        f"{row['funding']:+,.2f}",
        _signed(row["largest_gap"]),
    )


def _measured(row: Mapping[str, Any]) -> tuple[str, ...]:
    times = (_time(row[key]) for key in ("p50_ns", "p99_ns", "max_ns", "budget_ns"))
    return (row["name"], *times, _ratio(row["ratio"]))


def _figures(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    refusals = summary["rejects_by_reason"]
    reasons = ", ".join(f"{name} {_count(count)}" for name, count in refusals.items() if count)
    figures = {
        "period": f"{summary['start']} - {summary['end']}",
        "final_equity": _money(summary["final_equity"]),
        "return": _share(summary["total_return"]),
        "sharpe": _ratio(summary["sharpe"]),
        "drawdown": _share(summary["max_drawdown"]),
        "fees": _money(summary["fees"]),
        "funding": _money(summary["funding"]),
        "orders": _count(summary["orders"]),
        "fills": _count(summary["fills"]),
        "refusals": _count(sum(refusals.values())) + (f" ({reasons})" if reasons else ""),
        "liquidations": _count(summary["liquidations"]),
        "events": _count(summary["events"]),
        "rate": _count(summary["events_per_second"]),
    }
    return [(say(f"result.{name}"), value) for name, value in figures.items()]


def _hashes(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"{say(key)} sha256", str(source[name])) for key, name in _HASHES.items()]


def _share(value: float | None) -> str:
    return say("result.undefined") if value is None else f"{value:.2%}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"


def _ratio(value: float | None) -> str:
    return say("result.undefined") if value is None else f"{value:.3g}"


def _money(value: float) -> str:
    return f"{value:,.2f} USDT"


def _count(value: float | None) -> str:
    return say("result.undefined") if value is None else f"{value:,.0f}"


def _time(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:,.4g} {unit}"
    return f"{nanoseconds:,.0f} ns"


def _one_line(message: str) -> str:
    # A file name or a key may hold a newline or a terminal's control codes.
    return "".join(letter if letter.isprintable() else " " for letter in message)
