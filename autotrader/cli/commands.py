"""The commands: what each accepts, which checks it makes before any work, and whom it then calls.

Knows the command line of every command. Refuses to know how a run is wired: `autotrader.run` is
imported only when a run begins, so that help and bad input answer at once.
"""

import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from autotrader import config as configuration
from autotrader.cli.audit import audit
from autotrader.cli.control import control
from autotrader.cli.doctor import confirm, doctor
from autotrader.cli.exchange import exchange
from autotrader.cli.pages import Cover, Page, choice
from autotrader.cli.screen import GOOD, Screen
from autotrader.cli.tables import VIEWS
from autotrader.cli.watchdog import watchdog
from autotrader.cli.why import why
from autotrader.config import Config
from autotrader.errors import OperatorError
from autotrader.messages import detect, language, say, set_language

__all__ = ["cover"]

_LEVERAGES = "2,3,5,10,20"
_MOST_LEVERAGES = 6
_EQUITY = (100.0, 1e9)
_SECONDS = click.FloatRange(min=0, min_open=True)
# What to type once a configuration of a mode is written.
_FOLLOWING = {
    "backtest": "autotrader backtest {} --data PATH",
    "paper": "autotrader paper {} --replay FILE",
    "testnet": "autotrader doctor {}",
    "live": "autotrader doctor {}",
}
_SYMBOLS = {"quoter": "BTCUSDT", "trend": "BTCUSDT,ETHUSDT,BNBUSDT,SOLUSDT,SUIUSDT"}


def cover(screen: Screen, spoken: str | None) -> Cover:
    """Build the commands, with their help in the current language.

    Parameters
    ----------
    screen : Screen
        Where results go.
    spoken : str or None
        What ``--lang`` said; None if it was not given.

    Returns
    -------
    Cover
        The group of commands; invoking it returns the exit code.
    """
    commands = (_init(screen), _backtest(screen, spoken), _paper(screen, spoken), _run(screen, spoken))
    kept = (_replay(screen), _report(screen), _views(screen), why(screen), audit(screen))
    before = (doctor(screen, spoken), confirm(screen, spoken))
    rest = (*kept, _stress(screen), exchange(screen), *before)
    settings = {"help_option_names": ["-h", "--help"]}
    every = [*commands, *rest, *control(screen), watchdog(screen, spoken), _bench(screen)]
    return Cover("autotrader", commands=every, help=say("help.autotrader"), context_settings=settings)


def _init(screen: Screen) -> Page:
    default = " / ".join(f"{name}: {symbols}" for name, symbols in _SYMBOLS.items())
    return Page(
        "init",
        help=say("help.init"),
        usage="[--strategy trend|quoter] [--symbols A,B] [--mode backtest|paper|testnet|live] [--out FILE] [--force]",
        arguments={},
        callback=partial(_write_config, screen),
        params=[
            choice("--strategy", ("trend", "quoter"), "trend", say("help.strategy")),
            click.Option(["--symbols"], metavar="A,B", help=say("help.symbols", default=default)),
            choice("--mode", tuple(_FOLLOWING), "backtest", say("help.mode")),
            click.Option(["--out"], metavar="FILE", help=say("help.out_file")),
            click.Option(["--force"], is_flag=True, help=say("help.force")),
        ],
    )


def _backtest(screen: Screen, spoken: str | None) -> Page:
    return Page(
        "backtest",
        help=say("help.backtest"),
        usage="CONFIG [--data PATH ...] [--out DIR]",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_run_backtest, screen, spoken),
        params=[*_config_and_files("--data", "PATH", say("help.data")), _out_dir()],
    )


def _paper(screen: Screen, spoken: str | None) -> Page:
    return Page(
        "paper",
        help=say("help.paper"),
        usage="CONFIG --replay FILE ... [--speed max|1x] [--out DIR]",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_run_paper, screen, spoken),
        params=[
            *_config_and_files("--replay", "FILE", say("help.replay_files")),
            choice("--speed", ("max", "1x"), "max", say("help.speed")),
            _out_dir(),
        ],
    )


def _run(screen: Screen, spoken: str | None) -> Page:
    return Page(
        "run",
        help=say("help.run"),
        usage="CONFIG [--mode paper|testnet|live] [--for SECONDS] [--out DIR]",
        arguments={"CONFIG": say("help.config")},
        callback=partial(_run_online, screen, spoken),
        params=[
            click.Argument(["config"], metavar="CONFIG"),
            choice("--mode", ("paper", "testnet", "live"), "paper", say("help.run_mode")),
            click.Option(["--for", "seconds"], type=_SECONDS, metavar="SECONDS", help=say("help.for_run")),
            _out_dir(),
        ],
    )


def _replay(screen: Screen) -> Page:
    return Page(
        "replay",
        help=say("help.replay"),
        usage="RUN_DIR --verify",
        arguments={"RUN_DIR": say("help.run_dir")},
        callback=partial(_verify, screen),
        params=[_run_dir(), click.Option(["--verify"], is_flag=True, help=say("help.verify"))],
    )


def _report(screen: Screen) -> Page:
    return Page(
        "report",
        help=say("help.report"),
        usage="RUN_DIR",
        arguments={"RUN_DIR": say("help.run_dir")},
        callback=partial(_render, screen),
        params=[_run_dir()],
    )


def _stress(screen: Screen) -> Page:
    return Page(
        "stress",
        help=say("help.stress"),
        usage="--data PATH ... --symbol S --from TIME --to TIME [--leverage L,L] [--margin cross|isolated]"
        " [--equity USDT] [--out DIR]",
        arguments={},
        callback=partial(_run_stress, screen),
        params=[
            click.Argument(["more"], nargs=-1),
            click.Option(
                ["--data", "files"], multiple=True, metavar="PATH", help=say("help.stress_data"), required=True
            ),
            click.Option(["--symbol"], metavar="S", help=say("help.stress_symbol"), required=True),
            click.Option(["--from", "start"], metavar="TIME", help=say("help.stress_from"), required=True),
            click.Option(["--to", "end"], metavar="TIME", help=say("help.stress_to"), required=True),
            click.Option(
                ["--leverage"], metavar="L,L", help=say("help.stress_leverage", default=_LEVERAGES), default=_LEVERAGES
            ),
            choice("--margin", ("cross", "isolated"), "cross", say("help.stress_margin")),
            click.Option(
                ["--equity"], metavar="USDT", help=say("help.stress_equity", default="10000"), default="10000"
            ),
            click.Option(["--out"], metavar="DIR", help=say("help.stress_out")),
        ],
    )


def _views(screen: Screen) -> Page:
    return Page(
        "views",
        help=say("help.views"),
        usage="RUN_DIR [VIEW] [--last N] [--rebuild]",
        arguments={"RUN_DIR": say("help.any_run_dir"), "VIEW": say("help.view", views=", ".join(VIEWS))},
        callback=partial(_show_view, screen),
        params=[
            _run_dir(),
            click.Argument(["view"], metavar="VIEW", default=next(iter(VIEWS))),
            click.Option(["--last"], metavar="N", default="20", help=say("help.last")),
            click.Option(["--rebuild"], is_flag=True, help=say("help.rebuild")),
        ],
    )


def _bench(screen: Screen) -> Page:
    return Page("bench", help=say("help.bench"), usage="", arguments={}, callback=partial(_measure, screen))


def _config_and_files(option: str, metavar: str, text: str) -> Sequence[click.Parameter]:
    # `--data A B C` is what a shell makes of `--data *.gz`: click gives A to the option and
    # leaves B and C as positional arguments behind CONFIG.
    return (
        click.Argument(["config"], metavar="CONFIG"),
        click.Argument(["more"], nargs=-1),
        click.Option([option, "files"], multiple=True, metavar=metavar, help=text),
    )


def _out_dir() -> click.Option:
    return click.Option(["--out"], metavar="DIR", help=say("help.out_dir"))


def _run_dir() -> click.Argument:
    return click.Argument(["run_dir"], metavar="RUN_DIR")


def _write_config(screen: Screen, strategy: str, symbols: str | None, mode: str, out: str | None, force: bool) -> int:
    names = [name.strip() for name in (_SYMBOLS[strategy] if symbols is None else symbols).split(",")]
    text = configuration.template(strategy, names, language(), mode)
    path = Path(f"{strategy}.toml" if out is None else out)
    if _exists(path) and not force:
        raise OperatorError(say("cli.exists", path=path))
    _write(path, text)
    screen.wrote_config(path, _FOLLOWING[mode].format(shlex.quote(str(path))))
    return GOOD


def _write(path: Path, text: str) -> None:
    # Whole or not at all: a full disk leaves the old file as it was.
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh = Path(folder) / "config.toml"
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
    except OSError as error:
        raise OperatorError(say("cli.cannot_write", path=path, reason=error.strerror)) from None


def _run_backtest(
    screen: Screen, spoken: str | None, config: str, more: Sequence[str], files: Sequence[str], out: str | None
) -> int:
    settings = _configured(config, "backtest", spoken)
    data = _files("--data", files, more) or _declared(config, settings)
    folder = _fresh(out)
    from autotrader.run.wiring import run_backtest

    with screen.progress() as progress:
        summary = run_backtest(settings, data, folder, progress)
    screen.run(summary, folder or Path("runs") / summary["run_id"])
    return GOOD


def _run_paper(
    screen: Screen,
    spoken: str | None,
    config: str,
    more: Sequence[str],
    files: Sequence[str],
    speed: str,
    out: str | None,
) -> int:
    settings = _configured(config, "paper", spoken)
    recording = _files("--replay", files, more)
    if not recording:
        raise OperatorError(say("cli.no_replay"))
    folder = _fresh(out)
    from autotrader.run.wiring import run_paper

    with screen.progress() as progress:
        summary = run_paper(settings, recording, speed, folder, progress)
    screen.run(summary, folder or Path("runs") / summary["run_id"])
    return GOOD


def _run_online(
    screen: Screen, spoken: str | None, config: str, mode: str, seconds: float | None, out: str | None
) -> int:
    settings = _configured(config, mode, spoken)
    folder = _fresh(out)
    if mode in ("testnet", "live"):
        from autotrader.run.trading import run_trading as run
    else:
        from autotrader.run.live import run_online as run

    if mode == "live":
        screen.notice(_whose_money(settings))
    with screen.progress() as progress:
        summary = run(settings, seconds, folder, progress)
    screen.run(summary, folder or Path("runs") / summary["run_id"])
    return GOOD


def _whose_money(config: Config) -> str:
    assert config.live is not None  # a configuration of mode live has the section
    return say("live.rehearsal" if config.live.rehearsal else "live.real", **asdict(config.live))


def _verify(screen: Screen, run_dir: str, verify: bool) -> int:
    if not verify:
        raise OperatorError(say("cli.say_verify"))
    folder = _finished(run_dir)
    from autotrader.run.wiring import verify_replay

    with screen.progress() as progress:
        verdict = verify_replay(folder, progress)
    return screen.verdict(verdict, folder)


def _render(screen: Screen, run_dir: str) -> int:
    folder = _finished(run_dir)
    from autotrader.run.wiring import render_report

    screen.report(render_report(folder))
    return GOOD


def _run_stress(
    screen: Screen,
    more: Sequence[str],
    files: Sequence[str],
    symbol: str,
    start: str,
    end: str,
    leverage: str,
    margin: str,
    equity: str,
    out: str | None,
) -> int:
    data = _files("--data", files, more)
    window = (_stamp("--from", start), _stamp("--to", end))
    if window[0] >= window[1]:
        raise OperatorError(say("stress.bad_window", start=start, end=end))
    leverages, usdt = _leverages(leverage), _usdt(equity)
    named = f"runs/stress-{symbol}-{start.replace(':', '')}-{margin}"
    folder = Path(named) if out is None else Path(out)
    _fresh(str(folder))
    from autotrader.run.stress import run_stress

    with screen.progress() as progress:
        summary = run_stress(symbol, leverages, margin == "isolated", usdt, window, data, folder, progress)
    screen.stress(summary, folder)
    return GOOD


def _stamp(option: str, text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise OperatorError(say("stress.bad_time", option=option, found=text)) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return int(time.timestamp()) * 1_000_000_000


def _leverages(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if len(words) > _MOST_LEVERAGES or not all(word.isascii() and word.isdigit() and len(word) < 4 for word in words):
        raise OperatorError(say("stress.bad_leverage", found=text, most=_MOST_LEVERAGES))
    return sorted({int(word) for word in words})


def _usdt(text: str) -> float:
    least, most = _EQUITY
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not least <= value <= most:
        raise OperatorError(say("stress.bad_equity", found=text, least=f"{least:,.0f}", most=f"{most:,.0f}"))
    return value


def _show_view(screen: Screen, run_dir: str, view: str, last: str, rebuild: bool) -> int:
    if view not in VIEWS:
        raise OperatorError(say("views.bad_view", found=view, choices=", ".join(VIEWS)))
    if not last.isascii() or not last.isdecimal() or not 0 < int(last[:10]) < 10**9:
        raise OperatorError(say("views.bad_last", found=last))
    from autotrader.run.wiring import read_view

    with screen.progress() as progress:
        found = read_view(Path(run_dir), view, int(last), rebuild, progress)
    screen.view(found)
    return GOOD


def _measure(screen: Screen) -> int:
    from autotrader.run.wiring import run_bench

    with screen.progress() as progress:
        measured = run_bench(progress)
    screen.bench(measured)
    return GOOD


def _configured(path: str, mode: str, spoken: str | None) -> Config:
    config = configuration.load(Path(path))
    set_language(detect(spoken, config.run.language, os.environ))
    if config.run.mode in ("testnet", "live") and config.run.mode != mode:
        raise OperatorError(say("cli.wire_mode", file=path, mode=config.run.mode, wanted=mode))
    if config.run.mode != mode:
        raise OperatorError(say("cli.wrong_mode", file=path, mode=config.run.mode, wanted=mode))
    return config


def _files(option: str, named: Sequence[str], more: Sequence[str]) -> list[Path]:
    if more and not named:
        raise OperatorError(say("cli.loose_files", found=more[0], option=option))
    return _present(option, [Path(name) for name in (*named, *more)])


def _declared(file: str, config: Config) -> list[Path]:
    if not config.data.paths:
        raise OperatorError(say("cli.no_data", file=file))
    return _present(f"{file}: data.paths:", [config.resolve(name) for name in config.data.paths])


def _present(origin: str, paths: list[Path]) -> list[Path]:
    for path in paths:
        if not _exists(path):
            raise OperatorError(say("cli.no_path", option=origin, path=path))
    return paths


def _fresh(out: str | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if _exists(folder) and not _is_empty(folder):
        raise OperatorError(say("cli.out_taken", path=folder))
    return folder


def _finished(run_dir: str) -> Path:
    folder = Path(run_dir)
    if _exists(folder / "INCOMPLETE"):
        raise OperatorError(say("cli.incomplete", path=folder))
    if not _exists(folder / "summary.json"):
        raise OperatorError(say("cli.not_a_run", path=folder))
    return folder


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:  # a file, or a folder that we may not read: neither is one to write a run in
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or behind a folder that we may not enter
        return False
