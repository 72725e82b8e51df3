"""The commands, wired: configuration, data, engine, journal, report.

The only place that knows all names. Refuses to know how anything is done: every step is somebody else's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from autotrader import config as configuration
from autotrader import instruments as facts
from autotrader.adapters.storage import run_folder
from autotrader.adapters.storage.anchors import Anchors, new_copy
from autotrader.adapters.storage.candles import Candles
from autotrader.adapters.storage.recordings import Recording, is_recording
from autotrader.adapters.storage.run_folder import RunFolder, RunTables
from autotrader.adapters.storage.sources import interval_name
from autotrader.adapters.storage.steps import Steps
from autotrader.adapters.storage.store import Store
from autotrader.adapters.web import report
from autotrader.config import Config, Venue
from autotrader.errors import AutotraderError, OperatorError
from autotrader.messages import language, say
from autotrader.ports import MarketSource
from autotrader.research.replay import FORMAT, Outcome, Plan, Progress, Session, verify
from autotrader.research.summary import summarise
from autotrader.run.online import paced
from autotrader.views.ledger import Ledger
from core_ext.driver import Verifier
from core_ext.journal import JournalDamaged, read_journal, torn_bytes
from core_ext.types import Instruments, Kind

__all__ = [
    "Run", "anchors_of", "blocks_of", "expanded", "files_of", "plan_of", "read_view", "render_report", "run_backtest",
    "run_bench", "run_paper", "source_of", "verify_replay",
]  # fmt: skip

E8 = 10**8
MAX_FOLDERS = 10_000
STREAMS = frozenset({"orders", "fills", "payments", "equity"})


def run_backtest(config: Config, data: list[Path], out: Path | None, progress: Progress) -> dict[str, Any]:
    """Run a backtest and leave its folder.

    Parameters
    ----------
    config : Config
    data : list of Path
        Recorder lines, or candle files.
    out : Path or None
        The run's folder; None makes one under ``runs``.
    progress : callable
        Told the share that is done and what is being done.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    OperatorError
        For data or a configuration that cannot be used; then nothing is left behind.
    """
    return Run(config, data, progress).go(out, "max")


def run_paper(config: Config, files: list[Path], speed: str, out: Path | None, progress: Progress) -> dict[str, Any]:
    """Run PAPER mode on a recording, as fast as it goes or at its own pace ("max", "1x")."""
    return Run(config, files, progress).go(out, speed)


class Run:
    """One run from its market data to its folder.

    Parameters
    ----------
    config : Config
    data : list of Path
        Files of market data.
    progress : callable
        Told the share that is done and what is being done.
    """

    def __init__(self, config: Config, data: list[Path], progress: Progress):
        self.config = config
        self.progress = progress
        progress(0.0, say("run.progress_read"))
        self.table = facts.load(None if config.sources.instruments == "shipped" else _instruments_file(config))
        specs, self.defaults = self._specified()
        collar = round(config.risk.price_collar * E8)
        self.specs: list[dict[str, Any]] = [
            dict(spec) | {"collar_e8": collar if spec["symbol"] in facts.MAJORS else 2 * collar} for spec in specs
        ]
        self.anchors: Anchors | None = None
        self.epochs: dict[str, list[facts.Epoch]] = {}
        self.off_tick: dict[str, int] = {}
        self.source: MarketSource
        self.marks: list[str]
        self.mark_words: dict[str, str]
        self.plan = self._planned(data)

    def _specified(self) -> tuple[list[Any], list[str]]:
        config = self.config
        specs, defaults = facts.specs(
            config.run.symbols,
            table=self.table,
            fees=facts.fee_tier(config.venue.fee_tier),
            leverage=config.run.leverage,
            language=_language(),
        )
        return list(specs), defaults

    def _planned(self, data: list[Path]) -> Plan:
        config, paths = self.config, expanded(data)
        if config.sources.book == "candle" and not all(is_recording(path) for path in paths):
            self.source = self._candles(paths)
        else:
            self.source = self._recording(paths, Instruments(self.specs))
        return self._plan(files_of(self.source), self.source.facts)

    def _plan(self, data: list[dict[str, Any]], source: dict[str, Any]) -> Plan:
        return Plan(
            config=self.config,
            config_values=_kept(self.config),
            specs=self.specs,
            mark_sources=self.marks,
            data=data,
            source=source,
        )

    def _recording(self, paths: Sequence[Path], instruments: Instruments) -> Recording:
        for path in paths:
            if not is_recording(path) and path.suffix in {".parquet", ".csv", ".zip"}:
                raise OperatorError(say("run.book_needs", path=path, book="l2", needed=say("run.needs_recording")))
        mark = self.config.sources.mark
        if mark == "file":
            raise OperatorError(say("run.no_mark", symbols=", ".join(self.config.run.symbols)))
        if self.config.sources.funding == "file":
            raise OperatorError(say("run.no_funding", symbols=", ".join(self.config.run.symbols)))
        self.marks = [mark] * len(instruments)
        as_candles = self.config.sources.book == "candle"
        proxy = say("run.mark_proxy_candle") if as_candles else say("run.mark_proxy_book")
        text = say("run.mark_stream") if mark == "stream" else proxy
        self.mark_words = dict.fromkeys(self.config.run.symbols, text)
        return Recording(paths, instruments, as_candles=as_candles)

    def _candles(self, paths: Sequence[Path]) -> Candles:
        for path in paths:
            if is_recording(path):
                raise OperatorError(say("run.book_needs", path=path, book="candle", needed=say("run.needs_candles")))
        if self.config.venue.latency == "feed":
            raise OperatorError(say("run.no_lag"))
        sources, names = self.config.sources, self.config.run.symbols
        filters = self._filters_of_their_day(paths)
        source = Candles(
            paths,
            Instruments(self.specs),
            self.config.data.interval_ns,
            sources.funding != "none",
            sources.mark == "file",
            filters,
        )
        marks = {name: source.marks(name) for name in names}
        without = [name for name in names if sources.mark != "proxy" and not any(marks[name])]
        if without:
            raise OperatorError(say("run.no_mark", symbols=", ".join(without)))
        without = [name for name in names if sources.funding != "none" and not source.has_funding(name)]
        if without:
            raise OperatorError(say("run.no_funding", symbols=", ".join(without)))
        self.marks = ["file" if sources.mark == "file" and marks[name][0] else "proxy" for name in names]
        self.mark_words = {name: self._mark_words(*marks[name]) for name in names}
        return source

    def _filters_of_their_day(self, paths: Sequence[Path]) -> list[list[int]]:
        # Puts every instrument on the grid of all its epochs, and returns what the day's filters are on it.
        steps = Steps(paths, self.specs, {name: self.table[name].past for name in self.config.run.symbols})
        filters = []
        for index, today in enumerate(self.specs):
            name = today["symbol"]
            told = steps.epochs(name)
            epochs = facts.epochs_of(today, told)
            if epochs and told[0].first_ns < epochs[0].first_ns:  # today's filters held until then
                self.epochs[name] = [facts.Epoch(told[0].first_ns, today["tick_e8"], today["lot_e8"]), *epochs]
            else:
                self.epochs[name] = epochs
            self.off_tick[name] = steps.off_tick(name, today["tick_e8"], epochs)
            self.specs[index] = spec = facts.on_one_grid(today, epochs)
            filters += [[epoch.first_ns, index, *facts.filters_of(spec, epoch)] for epoch in epochs]
        return sorted(filters)

    def _mark_words(self, candles: str, funding: str) -> str:
        if self.config.sources.mark == "file" and candles:
            return say("run.mark_file", interval=candles)
        return say("run.mark_proxy_candle") + (say("run.mark_funding", interval=funding) if funding else "")

    # ------------------------------------------------------------------ running

    def go(self, out: Path | None, speed: str) -> dict[str, Any]:
        """Run, and leave the run's folder; return the summary.

        Raises
        ------
        OperatorError
            For data or a configuration that cannot be used; then nothing is left behind.
        """
        run_id, folder = _folder(self.plan, out)
        self.folder = folder
        folder.create(self.plan.manifest())
        try:
            self.anchors = anchors_of(self.plan, folder)
            session = self._session(folder.journal_file)
            self._feed(session, speed)
            self._require_read(session)
            outcome = session.finish()
        except OperatorError:
            if not self.has_opened:
                if self.anchors is not None:
                    self.anchors.discard()
                folder.discard()
            raise
        except OSError as error:  # a full disk: what was written stays, marked incomplete
            raise AutotraderError(say("run.disk", path=folder.path, reason=error.strerror or error)) from None
        return self._leave(run_id, folder, outcome)

    @property
    def has_opened(self) -> bool:
        """Whether an order may have left for an exchange, so that the journal is kept whatever happens."""
        return False

    def _session(self, journal: Path) -> Any:
        return Session(self.plan, journal, self.anchors)

    def _feed(self, session: Session, speed: str) -> None:
        if speed == "1x" and isinstance(self.source, Recording):
            paced(session, self.source, lambda share: self.progress(share, say("run.progress_run")))
            return
        for share in session.run(self.source):
            self.progress(share, say("run.progress_run"))

    def _require_read(self, session: Session) -> None:
        symbols = ", ".join(self.config.run.symbols)
        if session.driver.rows == 0:
            raise OperatorError(say("run.nothing_read", messages=session.scanner.messages, symbols=symbols))
        if self.config.sources.book == "l2" and not any(book.applied for book in session.engine.books):
            raise OperatorError(say("run.no_book", symbols=symbols))
        if self.config.sources.mark == "stream":
            self._require_marks(session)

    def _require_marks(self, session: Session) -> None:
        markets, names = session.engine.markets, self.config.run.symbols
        without = [name for at, name in enumerate(names) if not markets.market(at)["mark_e8"]]
        if without:
            raise OperatorError(say("run.no_mark_stream", symbols=", ".join(without)))

    def _leave(self, run_id: str, folder: RunFolder, outcome: Outcome) -> dict[str, Any]:
        self.progress(1.0, say("run.progress_write"))
        ledger = Ledger(outcome.engine.instruments, self.plan.start_e8)
        tables = RunTables(folder, ledger)
        for block in read_journal(str(folder.journal_file)):
            ledger.apply(ledger.next, block.array())
            tables.take()
        words = {
            "mark_source": self.mark_words,
            "config_sha256": configuration.sha256(self.config),
            "defaults_used": self.defaults,
            "warnings": list(self._warnings(outcome)),
            "notes": list(self._notes()),
            "language": language(),
        }
        summary = summarise(run_id, self.plan, outcome, ledger, tables.transfers, self.source.start_ns, words)
        if isinstance(self.source, Candles):
            summary["history"] = {name: asdict(checks) for name, checks in self.source.history.checks.items()}
        tables.close()
        folder.table("equity", run_folder.EQUITY, _equity(outcome))
        folder.summary(summary)
        report.render(folder.path, language())
        folder.complete()
        return summary

    # ------------------------------------------------------------------ saying

    def _warnings(self, outcome: Outcome) -> Iterable[str]:
        yield from self.source.warnings
        yield from self._filters()
        yield from self._caps(outcome)
        scanner = outcome.scanner
        if scanner.refused:
            yield say("run.refused", count=scanner.refused, messages=scanner.messages)
        yield from self._without_data(outcome)
        for name, book in zip(self.config.run.symbols, outcome.engine.books, strict=True):
            if book.gaps + book.crossings:
                yield say("run.gaps", symbol=name, count=book.gaps + book.crossings)
        if isinstance(self.source, Candles):
            yield from self._candle_warnings(self.source)
        if outcome.engine.failed:
            yield say("run.strategy_failed", error=repr(outcome.engine.failure))
        if self.anchors is not None and self.anchors.missed:
            yield say("audit.missed", path=self.anchors.copy, count=self.anchors.missed)

    def _without_data(self, outcome: Outcome) -> Iterable[str]:
        for at, name in enumerate(self.config.run.symbols):
            if not outcome.engine.markets.market(at)["mark_e8"]:
                yield say("run.no_data", symbol=name)

    def _candle_warnings(self, source: Candles) -> Iterable[str]:
        for name, count in source.history.gaps.items():
            if count:
                yield say("run.missing_bars", symbol=name, count=count)
        for name, count in self.off_tick.items():
            if count:
                yield say("run.off_tick", symbol=name, count=count)
        for name, epochs in self.epochs.items():
            if epochs:
                yield say("run.epochs", symbol=name, epochs="; ".join(map(_epoch_in_words, epochs)))

    def _filters(self) -> Iterable[str]:
        dates = sorted(filter(None, {self.table[name].date for name in self.config.run.symbols})) or ["-"]
        key = "run.limits_today" if isinstance(self.source, Candles) else "run.filters_today"
        yield say(key, date=dates[0] if len(dates) == 1 else f"{dates[0]} .. {dates[-1]}")

    def _caps(self, outcome: Outcome) -> Iterable[str]:
        risk = self.config.risk
        cap = self.config.run.initial_equity_usdt * risk.max_symbol_share * risk.strategy_leverage
        prices = {name: outcome.engine.markets.market(at)["mark_e8"] for at, name in enumerate(self.config.run.symbols)}
        known = {name: price for name, price in prices.items() if price}
        specs = [spec for spec in self.specs if spec["symbol"] in known]
        yield from facts.caps_below_minimum(specs, known, cap, language=_language())  # type: ignore[arg-type]

    def _notes(self) -> Iterable[str]:
        venue = self.config.venue
        if self.config.strategy.quoter is not None:
            yield say("run.note_quoter", maker=f"{facts.fee_tier(venue.fee_tier)[0] / 1e4:g}")
        trend = self.config.strategy.trend
        if trend is not None:
            yield say(
                "run.note_trend",
                mean=trend.prior_sharpe_mean,
                sd=trend.prior_sharpe_sd,
                lookbacks="/".join(str(hours) for hours in trend.lookbacks_hours),
                warmup=trend.lookbacks_hours[-1],
            )
        if self.config.sources.book == "candle":
            yield say("run.note_impact", half=venue.half_spread_bps, impact=venue.impact_coefficient)
        if isinstance(self.source, Candles) and self.source.parts_ns:
            yield say("run.note_parts", wanted=self.config.data.interval, parts=interval_name(self.source.parts_ns))
        yield _latency_note(venue)
        if self.config.sources.book == "l2":
            yield say("run.note_queue", queue=venue.queue)
        if self.config.run.margin == "isolated":
            yield say("run.note_margin")
        if venue.error_share or venue.lost_share:
            yield say("run.note_faults", errors=venue.error_share, lost=venue.lost_share)


def _latency_note(venue: Venue) -> str:
    medians = {"order": venue.order_latency_ms, "response": venue.response_latency_ms}
    if venue.latency == "lognormal":
        return say("run.note_lognormal", sigma=venue.latency_sigma, **medians)
    return say("run.note_feed") if venue.latency == "feed" else say("run.note_latency", **medians)


def files_of(source: MarketSource) -> list[dict[str, Any]]:
    """Return what a plan says of its files."""
    return [{"path": str(f.path.resolve()), "sha256": f.sha256, "rows": f.rows, "kind": f.kind} for f in source.files]


def _epoch_in_words(epoch: facts.Epoch) -> str:
    month = str(np.datetime64(epoch.first_ns, "ns").astype("datetime64[M]"))
    return say("run.epoch", tick=epoch.tick_e8 / E8, lot=epoch.lot_e8 / E8, month=month)


def _kept(config: Config) -> dict[str, Any]:
    # What the manifest keeps: a run's folder is not the configuration's, so that the place of the anchors stands whole.
    values = configuration.as_dict(config)
    if config.audit.anchor_dir:
        values["audit"]["anchor_dir"] = str(config.resolve(config.audit.anchor_dir).resolve())
    return values


def _instruments_file(config: Config) -> Path:
    return config.resolve(config.sources.instruments)


def _language() -> Any:
    return "ko" if language() == "ko" else "en"


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Return the files of a list of paths, in which a folder stands for the files in it.

    Raises
    ------
    OperatorError
        If a folder is empty or cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        found += _inside(path) if path.is_dir() else [path]
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        files = sorted(item for item in folder.iterdir() if item.is_file())
    except OSError as error:
        raise OperatorError(say("recording.unreadable", path=folder, reason=error.strerror)) from None
    if not files:
        raise OperatorError(say("run.empty_folder", path=folder))
    return files


def _equity(outcome: Outcome) -> pl.DataFrame:
    curve = outcome.curve
    return pl.DataFrame(
        {
            "ts_ns": curve["ts"],
            "equity_usdt": curve["a"] / E8,
            "wallet_usdt": curve["b"] / E8,
            "unrealised_usdt": curve["c"] / E8,
            "drawdown": curve["e"] / E8,
            "gross_notional_usdt": curve["d"] / E8,
        },
        schema=run_folder.EQUITY,
    )


def _folder(plan: Plan, out: Path | None) -> tuple[str, RunFolder]:
    # The id tells what the run decides on; a second run of the same gets a number.
    base = f"{plan.config.strategy.name}-{plan.config.run.mode}-{plan.fingerprint().hex()[:8]}"
    if out is not None:
        return base, RunFolder(out)
    for count in range(1, MAX_FOLDERS):
        run_id = base if count == 1 else f"{base}-{count}"
        if not (Path("runs") / run_id).exists():
            return run_id, RunFolder(Path("runs") / run_id)
    raise OperatorError(say("run.cannot_write", path=Path("runs") / base, reason=f"{MAX_FOLDERS} runs"))


# ---------------------------------------------------------------------- the other commands


def verify_replay(run_dir: Path, progress: Progress) -> dict[str, Any]:
    """Re-run a journal and compare every request and the final state.

    Returns
    -------
    dict
        ``ok``, ``orders_compared``, ``first_difference`` (None when equal) and the three hashes of the journal
        on disk.

    Raises
    ------
    OperatorError
        If the folder is no run, its data have moved, or the journal is damaged.
    """
    folder = RunFolder(run_dir)
    plan = plan_of(folder)
    summary = folder.read_summary()
    try:
        torn = torn_bytes(str(folder.journal_file))
        if torn:
            raise OperatorError(say("run.torn_journal", count=torn))
        hashes = _hashes(folder, plan)
        verifier: Verifier | None = None
        for step in verify(plan, source_of(plan), folder.journal_file):
            if isinstance(step, float | int):
                progress(float(step), say("run.progress_verify"))
            else:
                verifier = step
    except JournalDamaged as damage:
        raise OperatorError(say("run.damaged_journal", reason=damage)) from None
    assert verifier is not None  # verify ends with it
    difference = verifier.difference
    for key in ("journal_sha256", "orders_sha256", "state_sha256"):
        if difference is None and hashes[key] != summary.get(key):
            difference = f"{key}: {hashes[key]} != {summary.get(key)}"
    return {
        "ok": difference is None,
        "orders_compared": verifier.compared,
        "first_difference": difference,
        **hashes,
    }


def anchors_of(plan: Plan, folder: RunFolder) -> Anchors:
    """Begin the anchors of a run, beside its journal and, where the configuration says so, in a second place.

    Raises
    ------
    OperatorError
        If they cannot be written.
    """
    second = plan.config.audit.anchor_dir
    copy = new_copy(plan.config.resolve(second), plan.fingerprint().hex()) if second else None
    return Anchors(folder.anchors_file, copy)


def plan_of(folder: RunFolder) -> Plan:
    """Return the plan of a run from its manifest.

    Raises
    ------
    OperatorError
        If there is none, or it is not what its fingerprint says.
    """
    manifest = folder.read_manifest()
    try:
        if manifest["format"] != FORMAT:
            reason = f"format {manifest['format']}"
            raise OperatorError(say("run.bad_manifest", path=folder.manifest_file, reason=reason))
        config = configuration.from_dict(manifest["config"], str(folder.manifest_file), folder.path)
        plan = Plan(
            config=config,
            config_values=manifest["config"],
            specs=manifest["specs"],
            mark_sources=manifest["mark_sources"],
            data=manifest["data"],
            source=manifest["source"],
        )
        plan.instruments()
        if plan.fingerprint().hex() != manifest["fingerprint"]:
            raise OperatorError(say("run.bad_manifest", path=folder.manifest_file, reason="fingerprint"))
        _paths(plan)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise OperatorError(say("run.bad_manifest", path=folder.manifest_file, reason=repr(error)[:80])) from None
    return plan


def _paths(plan: Plan) -> list[Path]:
    return [Path(item["path"]) for item in plan.data]


def source_of(plan: Plan) -> MarketSource:
    """Return the market data of a run.

    Raises
    ------
    OperatorError
        If a file is not where it was, or not what it was.
    """
    paths = _paths(plan)
    for path in paths:
        if not path.is_file():
            raise OperatorError(say("run.moved", path=path))
    source: MarketSource
    if plan.source["kind"] in ("recording", "wire"):
        facts = plan.source
        source = Recording(paths, plan.instruments(), facts["offset_ns"], facts["ticks"], facts["kind"] == "wire")
    else:
        sources = plan.config.sources
        source = Candles(
            paths,
            plan.instruments(),
            plan.config.data.interval_ns,
            sources.funding != "none",
            sources.mark == "file",
            plan.source.get("filters", []),
        )
    for file, item in zip(source.files, plan.data, strict=True):
        if file.sha256 != item["sha256"]:
            raise OperatorError(say("run.moved", path=item["path"]))
    return source


def _hashes(folder: RunFolder, plan: Plan) -> dict[str, str]:
    # Of a journal from its RUN row, which names the plan, to its SEAL, which holds the state.
    rows_hash, outbox_hash, state, run = hashlib.sha256(), hashlib.sha256(), "", ""
    for block in read_journal(str(folder.journal_file)):
        array = block.array()
        run = run or _words(array[0])
        rows_hash.update(array.tobytes())
        outbox_hash.update(array[(array["kind"] >= 128) & (array["kind"] < 160)].tobytes())
        for seal in array[array["kind"] == int(Kind.SEAL)]:
            state = _words(seal)
    if not state:
        raise OperatorError(say("run.unsealed_journal", path=folder.journal_file))
    if run != plan.fingerprint().hex():
        raise OperatorError(say("run.other_journal", path=folder.journal_file))
    return {
        "journal_sha256": rows_hash.hexdigest(),
        "orders_sha256": outbox_hash.hexdigest(),
        "state_sha256": state,
    }


def _words(row: Any) -> str:
    return np.array([row[word] for word in "abcd"], "<i8").tobytes().hex()


def read_view(run_dir: Path, view: str, last: int, rebuild: bool, progress: Progress) -> dict[str, Any]:
    """Bring a run's views up to its journal's end, in the store beside it, and return records of one of them.

    Parameters
    ----------
    run_dir : Path
        A finished run, or one that broke off: what its journal's whole blocks tell.
    view : str
        The view's name.
    last : int
        At most so many orders, fills, payments or samples, the newest, oldest of them first; other views come whole.
    rebuild : bool
        Fold the whole journal anew.
    progress : callable

    Returns
    -------
    dict
        ``run_dir``, ``view``, ``complete`` (whether the run ended well and its journal is whole), ``sequence`` (of
        the journal's last row), ``total`` (records of the view) and ``records``; of execution quality one record of
        figures a symbol.

    Raises
    ------
    OperatorError
        If the folder is no run, its journal is damaged, or its store cannot be used.
    """
    folder = RunFolder(run_dir)
    plan = plan_of(folder)
    progress(0.0, say("views.progress"))
    store = Store(folder.views_file, plan.instruments(), plan.start_e8, plan.fingerprint().hex(), rebuild=rebuild)
    try:
        store.follow(lambda: blocks_of(folder, plan))
        if view == "quality":
            quality = store.ledger.quality
            found: list[Any] = [quality.figures(name) for name in quality.symbols]
            found += [quality.figures()] if len(found) > 1 else []
        else:
            found = list(store.newest(view, last if view in STREAMS else -1))[::-1]
        total = store.count(view) if view in STREAMS else len(found)
        return {
            "run_dir": str(run_dir),
            "view": view,
            "complete": folder.is_complete and store.is_sealed,
            "sequence": store.sequence,
            "total": total,
            "records": found,
        }
    except JournalDamaged as damage:
        raise OperatorError(say("run.damaged_journal", reason=damage)) from None
    finally:
        store.close()


def blocks_of(folder: RunFolder, plan: Plan) -> Iterator[NDArray[np.void]]:
    """Yield the rows of a journal that is this plan's, some blocks at a time.

    Raises
    ------
    OperatorError
        If it is another plan's.
    JournalDamaged
        As `core_ext.journal.read_journal`.
    """
    for at, block in enumerate(read_journal(str(folder.journal_file))):
        rows = block.array()
        if at == 0 and _words(rows[0]) != plan.fingerprint().hex():
            raise OperatorError(say("run.other_journal", path=folder.journal_file))
        yield rows


def render_report(run_dir: Path) -> Path:
    """Write the report of a finished run anew, in the current language."""
    return report.render(run_dir, language())


def run_bench(progress: Progress) -> dict[str, Any]:
    """Measure the latency of the order path against its budgets."""
    from autotrader.research import bench

    return bench.run(progress)
