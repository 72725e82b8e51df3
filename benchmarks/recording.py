"""The market data that the figures are measured on: a recorded stream, and candles.

Knows where the recordings lie, what takes their place when they are absent, and in which forms a
figure needs them. Refuses to know how anything is timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autotrader import config as configuration
from autotrader import instruments as facts
from autotrader.adapters.storage.candles import Candles
from autotrader.adapters.storage.recordings import Recording
from autotrader.ports import MarketSource
from autotrader.research.replay import Plan
from core_ext.types import EVENT_DTYPE, Instruments, Kind, Rows
from core_ext.wire import Scanner

ROOT = Path(__file__).resolve().parents[1]
SHARED = (ROOT / "../shared/data").resolve()
SAMPLES = ROOT / "autotrader/samples"
STREAMS = (SHARED / "l2/um/btcusdt_20240808.gz", SAMPLES / "btcusdt_l2_20230404.gz")
CANDLES = (SHARED / "klines/um_1m_2025_05.parquet", SAMPLES / "candles_1h_2025_05.parquet")
INTERVALS = {CANDLES[0]: "1m", CANDLES[1]: "1h"}
FIVE = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "SUIUSDT")


def plan_of(source: MarketSource, config: configuration.Config, marks: list[str]) -> Plan:
    """Return the plan of a run, as `autotrader backtest` makes it."""
    return Plan(
        config=config,
        config_values=configuration.as_dict(config),
        specs=specs(config.run.symbols),
        mark_sources=marks,
        data=[{"path": str(f.path), "sha256": f.sha256, "rows": f.rows, "kind": f.kind} for f in source.files],
        source=source.facts,
    )


def specs(symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the shipped facts of symbols, at the base fee tier and three times leverage."""
    made, _ = facts.specs(symbols, table=facts.load(), fees=facts.fee_tier("VIP0"), leverage=3)
    return [dict(spec) for spec in made]


@dataclass(frozen=True)
class Stream:
    """A recorded stream of BTCUSDT: depth diffs, touch, trades.

    Attributes
    ----------
    path : Path
        The gzip file.
    """

    path: Path

    @cached_property
    def instruments(self) -> Instruments:
        """The run's instruments."""
        return Instruments(specs(("BTCUSDT",)))

    @cached_property
    def recording(self) -> Recording:
        """The file as the product reads it."""
        return Recording([self.path], self.instruments)

    @cached_property
    def text(self) -> bytes:
        """All lines, decompressed."""
        return b"".join(lines for _, lines, _, _ in self.recording.chunks())

    @cached_property
    def messages(self) -> list[bytes]:
        """The messages without their stamps."""
        return [line.split(b" ", 1)[1] for line in self.text.splitlines()]

    @cached_property
    def stamps(self) -> np.ndarray:
        """Local stamp of each message, ns, the recorder's offset removed."""
        raw = np.array([int(line.split(b" ", 1)[0]) for line in self.text.splitlines()], np.int64)
        return raw * self.recording.unit_ns - self.recording.offset_ns

    @cached_property
    def depth_messages(self) -> list[bytes]:
        """The depth diffs among the messages."""
        return [message for message in self.messages if b'"e":"depthUpdate"' in message[:100]]

    @cached_property
    def rows(self) -> np.ndarray:
        """All rows, decoded."""
        scanner = Scanner(self.instruments, 0)
        parts = []
        for message, ts in zip(self.messages, self.stamps.tolist(), strict=True):
            scanner.feed(message, ts)
            parts.append(scanner.rows.array())
        return np.concatenate(parts)

    @cached_property
    def book_runs(self) -> tuple[Rows, Rows]:
        """The snapshot, and the diffs that follow it in its chain, as a book applies them."""
        depth = self.rows[self.rows["kind"] <= int(Kind.LEVEL)]
        heads = np.flatnonzero(depth["kind"] != int(Kind.LEVEL))
        runs = np.split(depth, heads[1:])
        snapshot = next(run for run in runs if run["kind"][0] == int(Kind.SNAPSHOT))
        diffs = [run for run in runs if run["kind"][0] == int(Kind.DEPTH) and run["b"][0] >= snapshot["a"][0]]
        return Rows(snapshot), Rows(np.concatenate(diffs))

    @cached_property
    def ticks(self) -> tuple[int, int]:
        """Lowest and highest price, in ticks."""
        levels = self.rows["a"][self.rows["kind"] == int(Kind.LEVEL)]
        return int(levels.min()), int(levels.max())

    @cached_property
    def plan(self) -> Plan:
        """The quoter's backtest with the defaults of the configuration."""
        mark = "stream" if b"markPriceUpdate" in self.text else "proxy"
        tables = {
            "run": {"mode": "backtest", "symbols": ["BTCUSDT"]},
            "sources": {"book": "l2", "mark": mark, "funding": "none"},
            "strategy": {"name": "quoter"},
        }
        return plan_of(self.recording, configuration.from_dict(tables), [mark])

    def shifted(self, times: int) -> np.ndarray:
        """Return the rows as if the recording had gone on: stamps and ids moved behind those of the copies before.

        The chain of ids breaks between copies, so each copy begins as a reconnection does: its book is
        lost and found again with its snapshot.
        """
        rows = self.rows.copy()
        rows["ts"] += times * (int(self.stamps[-1] - self.stamps[0]) + 1_000_000_000)
        for kind, words in IDS.items():
            chosen = rows["kind"] == int(kind)
            for word in words:
                rows[word][chosen] += times * self._id_span
        return rows

    @cached_property
    def _id_span(self) -> int:
        numbered = self.rows[np.isin(self.rows["kind"], [int(kind) for kind in IDS])]
        return int(numbered["a"].max() + 1)


IDS = {Kind.DEPTH: "abc", Kind.SNAPSHOT: "a", Kind.TOUCH: "a", Kind.TRADE: "ade"}


@dataclass(frozen=True)
class Bars:
    """Candles of some symbols.

    Attributes
    ----------
    path : Path
        A Parquet file.
    symbols : tuple of str
    """

    path: Path
    symbols: tuple[str, ...]

    @cached_property
    def config(self) -> configuration.Config:
        """The trend's backtest with the defaults of the configuration."""
        tables = {
            "run": {"mode": "backtest", "symbols": list(self.symbols)},
            "sources": {"book": "candle", "mark": "proxy", "funding": "none"},
            "data": {"interval": INTERVALS[self.path]},
            "strategy": {"name": "trend"},
        }
        return configuration.from_dict(tables)

    def source(self) -> Candles:
        """Return the file, opened as the product opens it."""
        interval_ns = self.config.data.interval_ns
        return Candles([self.path], Instruments(specs(self.symbols)), interval_ns, False, False)

    @cached_property
    def plan(self) -> Plan:
        """The trend's backtest."""
        return plan_of(self.source(), self.config, ["proxy"] * len(self.symbols))

    @cached_property
    def rows(self) -> np.ndarray:
        """All rows, decoded."""
        return np.concatenate(list(self.source().history.chunks())).astype(EVENT_DTYPE, copy=False)

    @cached_property
    def count(self) -> int:
        """How many candles there are, of all symbols."""
        return int(np.count_nonzero(self.rows["kind"] == int(Kind.CANDLE)))


def first_present(paths: tuple[Path, ...]) -> Path:
    """Return the recording, or the shipped sample where the recordings are not here."""
    return next(path for path in paths if path.exists())


@cache
def stream() -> Stream:
    """Return the L2 recording."""
    return Stream(first_present(STREAMS))


@cache
def sample() -> Stream:
    """Return the shipped L2 sample."""
    return Stream(STREAMS[-1])


@cache
def bars(*symbols: str) -> Bars:
    """Return candles of symbols."""
    return Bars(first_present(CANDLES), symbols)
