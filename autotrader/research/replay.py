"""A run: the engine, the venue and the journal put together from one plan.

Knows how a configuration becomes the core's integers, and how a run starts, goes and ends. Refuses to
know files of market data and report formats: data come through `ports.MarketSource`, results go out as
`Outcome`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.config import Config
from autotrader.ports import MarketSource
from autotrader.strategies.trend import Trend, TrendParameters
from core_ext.account import Account
from core_ext.driver import Driver, Verifier
from core_ext.engine import Engine
from core_ext.exchange import Exchange
from core_ext.fault import Faults
from core_ext.headroom import Headroom
from core_ext.journal import JournalWriter, read_journal
from core_ext.latency import Latency, lognormal_quantiles
from core_ext.live import Live
from core_ext.quality import Quality
from core_ext.quoter import Quoter
from core_ext.signal import CandleBuilder, CandleSource, LongerCandles
from core_ext.strategy import Strategy
from core_ext.types import Instruments, Kind, Setting
from core_ext.wire import Scanner

__all__ = ["FORMAT", "Outcome", "Plan", "Progress", "Session", "left_by", "verifier_of", "verify"]

E8 = 10**8
FORMAT = 1
"""Version of the manifest and of the decoding of market data; a replay needs the same."""
SECOND_NS = 1_000_000_000
YEAR_HOURS = 8760.0
MINUTE_NS = 60 * SECOND_NS
ALWAYS_NS = 1 << 62
HOUR_NS = 60 * MINUTE_NS

Progress = Callable[[float, str], None]


def e8(value: float) -> int:
    """Return a configured number as an integer with eight decimals."""
    return round(value * E8)


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run: the same plan and the same data give the same run, bit for bit.

    Attributes
    ----------
    config : Config
    specs : list of dict
        The instruments' integers (`core_ext.types.Instruments`).
    mark_sources : list of str
        "stream", "file" or "proxy", by symbol.
    data : list of dict
        Path, sha256, rows and kind of every file.
    source : dict
        What the source needs to read the files the same way again.
    """

    config: Config
    config_values: Mapping[str, Any]
    specs: list[dict[str, Any]]
    mark_sources: list[str]
    data: list[dict[str, Any]]
    source: dict[str, Any]

    def fingerprint(self) -> bytes:
        """Return the SHA-256 of what decides the run; not places of files and anchors, the language or the exchange.

        Of what is said of the exchange the share of every size decides.
        """
        values = {section: dict(fields) for section, fields in self.config_values.items()}
        values["data"].pop("paths", None)
        values["run"].pop("language", None)
        values.pop("audit", None)
        share = values.pop("live", {}).get("size_multiplier", 1.0)
        decides: dict[str, Any] = {
            "format": FORMAT,
            "config": values,
            "specs": self.specs,
            "mark_sources": self.mark_sources,
            "data": [] if self.source.get("kind") == "wire" else [item["sha256"] for item in self.data],
            "source": self.source,
        }
        if share != 1.0:
            decides["size_multiplier"] = share
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).digest()

    def manifest(self) -> dict[str, Any]:
        """Return the plan as plain values, for the run folder."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint().hex(),
            "config": self.config_values,
            "specs": self.specs,
            "mark_sources": self.mark_sources,
            "data": self.data,
            "source": self.source,
        }

    @property
    def epoch(self) -> int:
        """Upper half of the run's client order ids, 31 bits: given on a wire, else from configuration and data."""
        given: int = self.source.get("epoch", 0)
        return given or int.from_bytes(self.fingerprint()[:4], "big") >> 1

    @property
    def start_e8(self) -> int:
        """Starting wallet: the exchange's, or the configured one."""
        given: int = self.source.get("start_e8", 0)
        return given or e8(self.config.run.initial_equity_usdt)

    def instruments(self) -> Instruments:
        """Return the core's instruments."""
        return Instruments(self.specs)

    def engine(self) -> Engine:
        """Return a fresh engine."""
        engine = Engine(
            self.instruments(),
            strategy(self.config),
            limits(self.config),
            sizing(self.config),
            self.start_e8,
            self.epoch,
            self.mark_sources,
            quality=self.quality(),
        )
        for number, names in enumerate(self.config.risk.clusters, start=1):
            for name in names.split():
                engine.gate.tell(engine.instruments.index(name), cluster=number)
        if "past" in self.source:
            engine.gate.remember(**self.source["past"])
        return engine

    def quality(self) -> Quality:
        """Return a fresh judge of the market data."""
        return Quality(self.instruments(), quality(self.config), self.config.quality.policies)


def limits(config: Config) -> dict[str, Any]:
    """Return the risk gate's limits as the core's integers."""
    risk = config.risk
    return {
        "exit_collar_e8": e8(risk.price_collar_exit),
        "max_order_e8": e8(risk.max_order_notional_usdt),
        "order_equity_share_e8": e8(risk.max_order_equity_share),
        "order_leverage_e8": config.run.leverage * E8,
        "volume_share_e8": e8(risk.volume_share),
        "assumed_minute_e8": e8(risk.assumed_minute_volume_usdt),
        "depth_share_e8": e8(risk.max_depth_share),
        "symbol_share_e8": e8(risk.max_symbol_share),
        "strategy_leverage_e8": e8(risk.strategy_leverage),
        "max_gross_e8": e8(risk.max_gross),
        "liquidation_distance_e8": e8(risk.min_liquidation_distance),
        "liquidation_atr": risk.liquidation_atr,
        "atr_floor": risk.atr_floor,
        "orders_per_second": risk.orders_per_second,
        "order_burst": risk.order_burst,
        "orders_per_minute": risk.orders_per_minute,
        "strategy_orders_per_second": risk.strategy_orders_per_second,
        "duplicate_ns": round(risk.duplicate_window_s * SECOND_NS),
        "book_stale_ns": round(risk.book_stale_s * SECOND_NS),
        "mark_stale_ns": round(risk.mark_stale_s * SECOND_NS),
        "candle_stale": risk.candle_stale_intervals,
        "max_drawdown_e8": e8(risk.max_drawdown),
        "daily_loss_e8": e8(risk.daily_loss),
        "max_orders_symbol": risk.max_orders_symbol,
        "max_orders_total": risk.max_orders_total,
        "max_reprices": risk.max_reprices,
        "max_drift_e8": e8(risk.max_drift),
        "max_net_e8": e8(risk.max_net),
        "max_cluster_e8": e8(risk.max_cluster),
        "max_leverage": risk.max_symbol_leverage,
        "bracket_share_e8": e8(risk.bracket_share),
        "liquidation_alarm_e8": e8(risk.liquidation_alarm),
        "liquidation_reduce_e8": e8(risk.liquidation_reduce),
        "margin_ratio_e8": e8(risk.max_margin_ratio),
        "margin_reduce_e8": e8(risk.margin_ratio_reduce),
        "weight_share_e8": e8(risk.weight_share),
        "quality_orders": risk.quality_orders,
        "quality_alarm_e8": e8(risk.quality_alarm),
        "quality_stop_e8": e8(risk.quality_stop),
        "repeated_entries": risk.repeated_entries,
        "losing_trips": risk.losing_trips,
        "fat_finger_e8": e8(risk.fat_finger),
        "max_unknown": risk.max_unknown,
        "loss_rate_e8": e8(risk.loss_rate),
        "loss_pause_ns": risk.loss_pause_min * MINUTE_NS,
        "volatility_collars": risk.volatility_collars,
        "spread_median": risk.spread_median,
        "spread_floor": risk.spread_floor_bps / 10_000,
        "volatility_pause_ns": risk.volatility_pause_min * MINUTE_NS,
        "unprotected_ns": round(risk.unprotected_s * SECOND_NS),
        "stop_e8": e8(risk.protective_stop),
        "stale_order_ns": round(risk.stale_order_s * SECOND_NS),
        "funding_window_ns": risk.funding_window_min * MINUTE_NS,
        "delist_ns": risk.delist_h * HOUR_NS,
        "first_minute": risk.first_minute_utc,
        "last_minute": risk.last_minute_utc,
        "sides": {"both": 3, "long": 1, "short": 2}[risk.entry_sides],
        "types": 127,
        "headroom_ns": round(risk.headroom_s * SECOND_NS) if risk.headroom == "on" else 0,
        "conservative_size_e8": e8(config.quality.conservative_size),
        "acknowledged": int(config.run.mode in ("backtest", "paper")),
        "armed": 1,
    }


def quality(config: Config) -> dict[str, int]:
    """Return what makes market data suspect, as the core's integers."""
    rules, risk = config.quality, config.risk
    return {
        "book_stale_ns": round(risk.book_stale_s * SECOND_NS),
        "mark_stale_ns": round(risk.mark_stale_s * SECOND_NS),
        "candle_stale_e8": e8(risk.candle_stale_intervals),
        "outlier_e8": e8(rules.outlier_score),
        "outlier_floor_e8": e8(rules.outlier_floor),
        "spike_e8": e8(rules.spike),
        "wide_spread_e8": e8(rules.wide_spread),
        "one_sided_e8": e8(rules.one_sided),
        "one_sided_ns": round(rules.one_sided_s * SECOND_NS),
        "volume_spike_e8": e8(rules.volume_spike),
        "volume_drop_e8": e8(rules.volume_drop),
        "conservative_ns": round(rules.conservative_s * SECOND_NS),
        "clean_ns": round(rules.clean_s * SECOND_NS),
    }


def sizing(config: Config) -> dict[str, float]:
    """Return the sizer's standing limits."""
    risk = config.risk
    return {
        "kelly_fraction": risk.kelly_fraction,
        "atr_risk": risk.atr_risk,
        "atr_stop": risk.atr_stop,
        "safe_atr": risk.liquidation_safe_atr,
        "daily_var": risk.daily_var,
    }


def strategy(config: Config) -> Strategy:
    """Return a fresh strategy of the configured name, every size of which is scaled by the configured share."""
    share = config.live.size_multiplier if config.live else 1.0
    if config.strategy.quoter is not None:
        quoter = config.strategy.quoter
        return Quoter(
            order_e8=e8(quoter.order_notional_usdt * share),
            budget_e8=e8(quoter.inventory_budget_usdt * share),
            requote_ns=quoter.requote_ms * 1_000_000,
            join_ticks=quoter.join_ticks,
            min_spread_ticks=quoter.min_spread_ticks,
        )
    assert config.strategy.trend is not None  # the configuration has one of the two
    trend = config.strategy.trend
    bars_an_hour = HOUR_NS / config.data.interval_ns
    return Trend(
        TrendParameters(
            lookbacks=tuple(round(hours * bars_an_hour) for hours in trend.lookbacks_hours),
            half_life=trend.volatility_half_life_hours * bars_an_hour,
            bars_per_year=YEAR_HOURS * bars_an_hour,
            target_volatility=trend.target_volatility,
            sharpe_mean=trend.prior_sharpe_mean,
            sharpe_sd=trend.prior_sharpe_sd,
            band=trend.rebalance_band,
            every=trend.decide_every_bars,
            delay_ns=config.venue.bar_delay_ms * 1_000_000,
            share=share,
        )
    )


@dataclass(frozen=True)
class Outcome:
    """What a run leaves in memory, beside its journal.

    Attributes
    ----------
    curve : array
        Equity curve (`core_ext.driver.Driver.equity_curve`).
    latency : tuple of (edges, counts)
        Wire-to-order histogram, ns.
    seconds : float
        Wall time of the run; statistics only.
    """

    engine: Engine
    venue: Exchange | None  # None: the orders went to an exchange
    scanner: Scanner
    curve: NDArray[np.void]
    latency: tuple[list[int], list[int]]
    latency_max: int
    alarms: dict[str, int]
    rows: int
    seconds: float
    journal_sha256: str
    orders_sha256: str
    state_sha256: str
    end_ns: int


class Session:
    """One run under way: start it, feed it, finish it.

    Parameters
    ----------
    plan : Plan
    journal : Path
        The journal's file; it must not exist.
    anchor : callable, optional
        Told now and then how many rows it has and their chain (`core_ext.journal.JournalWriter`).
    """

    def __init__(self, plan: Plan, journal: Path, anchor: Callable[[int, bytes], object] | None = None):
        config = plan.config
        self.plan = plan
        self.engine = plan.engine()
        self.venue = Exchange(
            self.engine.instruments,
            [Account(self.engine.instruments, plan.start_e8)],
            plan.mark_sources,
            config.venue.half_spread_bps * 1e-4,
            config.venue.impact_coefficient,
            _grace_ns(config),
            config.sources.funding == "stream",
            queue=config.venue.queue,
            faults=faults(config),
        )
        self.scanner = Scanner(self.engine.instruments)
        self.journal = JournalWriter(str(journal), anchor)
        self.driver = Driver(
            self.engine,
            self.venue,
            self.scanner,
            self.journal,
            round(config.venue.order_latency_ms * 1e6),
            round(config.venue.response_latency_ms * 1e6),
            SECOND_NS if config.sources.book != "candle" else config.data.interval_ns,
            latency(config),
        )
        self.driver.candles = candles(plan, self.engine)
        if config.risk.headroom == "on":
            self.driver.consult(*slow_layer(config, self.engine))
        self._started = time.perf_counter()

    def start(self, start_ns: int) -> None:
        """Put the run's first events into the stream: its fingerprint, and the recorder's clock offset."""
        words = np.frombuffer(self.plan.fingerprint(), "<i8").tolist()
        self.driver.control(int(Kind.RUN), start_ns, (*words, self.plan.epoch))
        if "offset_ns" in self.plan.source:
            offset = (self.plan.source["offset_ns"], self.plan.source["offset_lines"])
            self.driver.control(int(Kind.CLOCK_OFFSET), start_ns, offset)

        if self.plan.config.run.margin == "isolated":
            for symbol in range(len(self.engine.instruments)):
                self.driver.control(int(Kind.SETTING), start_ns, (int(Setting.ISOLATED), 1), symbol)

    def finish(self) -> Outcome:
        """Deliver what is on its way, seal and close the journal."""
        digest = self.driver.finish()
        return left_by(self.driver, digest, self.journal, time.perf_counter() - self._started, self.venue)

    def run(self, source: MarketSource) -> Iterator[float]:
        """Run through a whole source; yields the share that is done."""
        self.start(source.start_ns)
        yield from source.feed(self.driver)


def left_by(
    run: Driver | Live, digest: bytes, journal: JournalWriter, seconds: float, venue: Exchange | None
) -> Outcome:
    """Return what a finished run leaves, and close its journal."""
    journal_sha256, orders_sha256 = journal.close()
    return Outcome(
        engine=run.engine,
        venue=venue,
        scanner=run.scanner,
        curve=run.equity_curve(),
        latency=run.latency_counts(),
        latency_max=run.latency_max,
        alarms=run.alarm_counts(),
        rows=run.rows,
        seconds=seconds,
        journal_sha256=journal_sha256,
        orders_sha256=orders_sha256,
        state_sha256=digest.hex(),
        end_ns=run.now,
    )


def latency(config: Config) -> Latency:
    """Return the way to the simulated venue and back."""
    venue = config.venue
    there, back = (round(ms * 1e6) for ms in (venue.order_latency_ms, venue.response_latency_ms))
    if venue.latency == "lognormal":
        there_ns, back_ns = (lognormal_quantiles(median, venue.latency_sigma) for median in (there, back))
        return Latency("quantiles", there_ns, back_ns, seed=config.run.seed)
    if venue.latency == "feed":
        return Latency("feed", [E8], [E8])
    return Latency("constant", [there], [back])


def faults(config: Config) -> Faults | None:
    """Return what goes wrong at the simulated venue, None for nothing."""
    venue = config.venue
    if not venue.error_share and not venue.lost_share:
        return None
    plan: list[tuple[int, int, int | str, float, int]] = [
        (0, ALWAYS_NS, -1001, venue.error_share, 0),
        (0, ALWAYS_NS, "lost", venue.lost_share, 0),
    ]
    return Faults(plan, seed=config.run.seed)


def slow_layer(config: Config, engine: Engine) -> tuple[Headroom, int, int]:
    """Return the headroom model, how often it is asked and after which delay it answers, ns."""
    risk, every_ns = config.risk, config.data.interval_ns if config.sources.book == "candle" else MINUTE_NS
    model = Headroom(
        engine.instruments,
        daily_var=risk.daily_var,
        daily_es=risk.daily_es,
        symbol=risk.max_symbol_share * risk.strategy_leverage,
        gross=risk.max_gross,
        net=risk.max_net,
        liquidation_distance=risk.min_liquidation_distance,
        asked_a_day=24 * HOUR_NS / every_ns,
        half_life=risk.headroom_half_life_h * HOUR_NS / every_ns,
    )
    return model, every_ns, config.venue.bar_delay_ms * 500_000


def candles(plan: Plan, engine: Engine) -> CandleSource | None:
    """Return what makes the run's candles of trades or of shorter candles; None for a source that holds them."""
    if plan.source.get("ticks"):
        return CandleBuilder(engine.instruments, plan.config.data.interval_ns)
    parts_ns = plan.source.get("parts_ns")
    return LongerCandles(len(engine.instruments), parts_ns, plan.config.data.interval_ns) if parts_ns else None


def _grace_ns(config: Config) -> int:
    # An order decided on a close arrives this late at most; anything later waits for the next open.
    delay = config.venue.bar_delay_ms + 2 * config.venue.order_latency_ms + config.venue.response_latency_ms
    return min(round(2 * delay * 1e6) + SECOND_NS, config.data.interval_ns // 2)


def verifier_of(plan: Plan, engine: Engine, journal: Path) -> Verifier:
    """Return what re-runs a journal on a fresh engine, once it is fed the run's data."""
    verifier = Verifier(engine, Scanner(engine.instruments), read_journal(str(journal)))
    verifier.candles = candles(plan, engine)
    return verifier


def verify(plan: Plan, source: MarketSource, journal: Path) -> Iterator[float | Verifier]:
    """Re-run a journal; yields the share that is done, and at the end the verifier, finished."""
    verifier = verifier_of(plan, plan.engine(), journal)
    yield from source.feed(verifier)
    verifier.finish()
    yield verifier
