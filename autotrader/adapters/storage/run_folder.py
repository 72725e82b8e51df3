"""The folder that a run leaves: complete, or marked incomplete.

Knows file names, columns and how a file is written whole or not at all. Refuses to know what the numbers
mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl

from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.views.fills import Fill
from autotrader.views.ledger import Ledger
from autotrader.views.orders import REFUSED, Order
from autotrader.views.payments import Payment

__all__ = ["RunFolder", "RunTables"]

INCOMPLETE = "INCOMPLETE"
ORDERS = {
    "client_id": pl.UInt64,
    "symbol": pl.String,
    "side": pl.String,
    "type": pl.String,
    "tif": pl.String,
    "reduce_only": pl.Boolean,
    "price": pl.Float64,
    "quantity": pl.Float64,
    "filled": pl.Float64,
    "average_price": pl.Float64,
    "state": pl.String,
    "created_ns": pl.Int64,
    "updated_ns": pl.Int64,
    "limiting": pl.String,
    "reference_price": pl.Float64,
    "short_leg": pl.Boolean,
    "trigger_price": pl.Float64,
    "amendments": pl.Int64,
    "code": pl.Int64,
}
FILLS = {
    "ts_ns": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "client_id": pl.UInt64,
    "trade_id": pl.Int64,
    "price": pl.Float64,
    "quantity": pl.Float64,
    "notional_usdt": pl.Float64,
    "fee_usdt": pl.Float64,
    "maker": pl.Boolean,
    "liquidation": pl.Boolean,
    "realised_usdt": pl.Float64,
    "reference_price": pl.Float64,
    "slippage_bps": pl.Float64,
    "position_after": pl.Float64,
    "short_leg": pl.Boolean,
    "fee_coin": pl.Float64,
}
EQUITY = {
    "ts_ns": pl.Int64,
    "equity_usdt": pl.Float64,
    "wallet_usdt": pl.Float64,
    "unrealised_usdt": pl.Float64,
    "drawdown": pl.Float64,
    "gross_notional_usdt": pl.Float64,
}
FUNDING = {
    "ts_ns": pl.Int64,
    "symbol": pl.String,
    "rate": pl.Float64,
    "mark": pl.Float64,
    "quantity": pl.Float64,
    "amount_usdt": pl.Float64,
}
PART_ROWS = 1 << 16
"""Rows of a table that wait in memory; more of them go to parts on the disk."""
POLARS = {"int": pl.Int64, "str": pl.String, "bool": pl.Boolean}
E8 = 1e8


class RunFolder:
    """One run's folder.

    Parameters
    ----------
    path : Path
        A folder; `create` makes it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.manifest_file = path / "journal" / "manifest.json"
        self.journal_file = path / "journal" / "000000.seg"
        self.anchors_file = path / "journal" / "anchors.jsonl"
        self.summary_file = path / "summary.json"
        self.views_file = path / "views.sqlite"
        self._made: list[Path] = []

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Make the folder, mark it incomplete, write the manifest.

        Raises
        ------
        OperatorError
            If it cannot be made or is not empty.
        """
        journal = self.journal_file.parent
        try:
            self._made = [folder for folder in (journal, *journal.parents) if not folder.exists()]
            journal.mkdir(parents=True, exist_ok=True)
            (self.path / INCOMPLETE).touch(exist_ok=False)
        except OSError as error:
            self._unmake()
            raise OperatorError(say("run.cannot_write", path=self.path, reason=error.strerror)) from None
        self._write(self.manifest_file, json.dumps(manifest, indent=1, sort_keys=True))

    def retell(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest again, whole or not at all: a run on a wire has its data at its end.

        Raises
        ------
        OperatorError
            If it cannot be written.
        """
        self._write(self.manifest_file, json.dumps(manifest, indent=1, sort_keys=True))

    def discard(self) -> None:
        """Remove what a run that read nothing left behind; a folder that was there before it stays."""
        for file in (self.manifest_file, self.journal_file, self.path / INCOMPLETE):
            file.unlink(missing_ok=True)
        self._unmake()

    def _unmake(self) -> None:
        for folder in self._made:
            with suppress(OSError):  # it was never made, or somebody else uses it by now
                folder.rmdir()

    def table(self, name: str, columns: Mapping[str, Any], frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Write one Parquet table, whole or not at all."""
        fresh = self.path / f".{name}.parquet.part"
        try:
            frame.lazy().select(*columns).sink_parquet(fresh, compression="zstd")
            fresh.replace(self.path / f"{name}.parquet")
        except OSError as error:
            raise OperatorError(say("run.cannot_write", path=self.path, reason=error.strerror)) from None

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write the summary."""
        self._write(self.summary_file, json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False))

    def complete(self) -> None:
        """Take the mark away: everything is there."""
        (self.path / INCOMPLETE).unlink()

    @property
    def is_complete(self) -> bool:
        """Whether the run ended and left everything."""
        return self.summary_file.is_file() and not (self.path / INCOMPLETE).exists()

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        OperatorError
            If there is none, or it is none, or there is no journal that we may read beside it.
        """
        try:
            self.journal_file.open("rb").close()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise OperatorError(say("run.no_journal", path=self.journal_file)) from None
        except OSError as error:
            raise OperatorError(say("recording.unreadable", path=self.journal_file, reason=error.strerror)) from None
        return self._read(self.manifest_file, "run.bad_manifest")

    def read_summary(self) -> dict[str, Any]:
        """Return the summary.

        Raises
        ------
        OperatorError
            If there is none, or it is none.
        """
        return self._read(self.summary_file, "run.bad_summary")

    def _read(self, file: Path, bad: str) -> dict[str, Any]:
        try:
            values = json.loads(file.read_bytes())
        except OSError as error:
            raise OperatorError(say("recording.unreadable", path=file, reason=error.strerror)) from None
        except (ValueError, RecursionError) as error:
            raise OperatorError(say(bad, path=file, reason=error)) from None
        if not isinstance(values, dict):
            raise OperatorError(say(bad, path=file, reason=type(values).__name__))
        return values

    def _write(self, file: Path, text: str) -> None:
        fresh = file.with_name(f".{file.name}.part")
        try:
            with fresh.open("w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(file)
        except OSError as error:
            raise OperatorError(say("run.cannot_write", path=file, reason=error.strerror)) from None


class RunTables:
    """The tables of orders, fills and funding, written while the ledger reads the journal.

    Memory holds the orders that the ledger remembers and a part's rows, however long the run.

    Parameters
    ----------
    folder : RunFolder
    ledger : Ledger

    Attributes
    ----------
    transfers : list of (ns, 1e-8 USDT)
    """

    def __init__(self, folder: RunFolder, ledger: Ledger):
        self.ledger = ledger
        self.transfers: list[tuple[int, int]] = []
        self._orders = _Table(folder, "orders", ORDERS)
        self._fills = _Table(folder, "fills", FILLS)
        self._funding = _Table(folder, "funding", FUNDING)
        self._open: dict[int, Order] = {}

    def take(self) -> None:
        """Take what the ledger's views have that is new."""
        drained = {view.name: view.drain() for view in self.ledger.views}
        self._open.update((order.sequence, order) for order in drained["orders"] if order.state != REFUSED)
        gone = [at for at, order in self._open.items() if not self.ledger.orders.remembers(order)]
        self._orders.add(_orders([self._open.pop(at) for at in gone]))
        self._fills.add(_fills(drained["fills"]))
        payments: list[Payment] = drained["payments"]
        self._funding.add(_funding([paid for paid in payments if paid.kind == "FUNDING_PAID"]))
        self.transfers += [(paid.ts_ns, paid.amount_e8) for paid in payments if _is_transfer(paid)]

    def close(self) -> None:
        """Write the tables."""
        self.take()
        self._orders.add(_orders(list(self._open.values())))
        self._orders.close("client_id")  # an order that stood long was late to leave
        self._fills.close()
        self._funding.close()


class _Table:
    # One table in the making: frames in memory, beyond a bound parts on the disk.
    def __init__(self, folder: RunFolder, name: str, columns: Mapping[str, Any]):
        self.folder, self.name, self.columns = folder, name, columns
        self.frames = [pl.DataFrame(schema=dict(columns))]
        self.rows = 0
        self.parts: list[Path] = []

    def add(self, frame: pl.DataFrame) -> None:
        self.frames.append(frame)
        self.rows += frame.height
        if self.rows > PART_ROWS:
            self.parts.append(self.folder.path / f".{self.name}.{len(self.parts):06}.part")
            try:
                pl.concat(self.frames).write_parquet(self.parts[-1], compression="lz4")
            except OSError as error:
                raise OperatorError(say("run.cannot_write", path=self.folder.path, reason=error.strerror)) from None
            self.frames, self.rows = self.frames[:1], 0

    def close(self, order: str | None = None) -> None:
        whole = pl.concat([*(pl.scan_parquet(part) for part in self.parts), pl.concat(self.frames).lazy()])
        self.folder.table(self.name, self.columns, whole.sort(order) if order else whole)
        for part in self.parts:
            part.unlink()


def _is_transfer(payment: Payment) -> bool:
    return payment.kind == "TRANSFER" and payment.asset == "USDT"


def _frame(record: type, records: Sequence[object]) -> pl.DataFrame:
    # What has eight decimals becomes a float, by NumPy: Polars multiplies by 1e-8, which is not the nearest one.
    schema = {field.name: POLARS[str(field.type)] for field in fields(record)}
    frame = pl.DataFrame(list(map(attrgetter(*schema), records)), schema=schema, orient="row")
    return frame.with_columns(pl.Series(name, frame[name].to_numpy() / E8) for name in schema if name.endswith("_e8"))


def _orders(records: Sequence[Order]) -> pl.DataFrame:
    filled = pl.col("filled_e8") > 0
    return _frame(Order, records).select(
        pl.col("client_id").reinterpret(signed=False),
        "symbol",
        "side",
        "type",
        "tif",
        "reduce_only",
        pl.col("price_e8").alias("price"),
        pl.col("quantity_e8").alias("quantity"),
        pl.col("filled_e8").alias("filled"),
        pl.when(filled).then(pl.col("filled_value_e8") / pl.col("filled_e8")).otherwise(0.0).alias("average_price"),
        "state",
        "created_ns",
        "updated_ns",
        "limiting",
        pl.col("reference_e8").alias("reference_price"),
        (pl.col("leg") == 1).alias("short_leg"),
        pl.col("trigger_e8").alias("trigger_price"),
        "amendments",
        "code",
    )


def _fills(records: Sequence[Fill]) -> pl.DataFrame:
    price, reference = pl.col("price_e8"), pl.col("reference_e8")
    worse = pl.when(pl.col("side") == "SELL").then(reference - price).otherwise(price - reference)
    return _frame(Fill, records).select(
        "ts_ns",
        "symbol",
        "side",
        pl.col("client_id").reinterpret(signed=False),
        "trade_id",
        pl.col("price_e8").alias("price"),
        pl.col("quantity_e8").alias("quantity"),
        pl.col("notional_e8").alias("notional_usdt"),
        pl.col("fee_e8").alias("fee_usdt"),
        "maker",
        (pl.col("cause") >= 0).alias("liquidation"),
        pl.col("realised_e8").alias("realised_usdt"),
        pl.col("reference_e8").alias("reference_price"),
        pl.when(reference > 0).then(1e4 * worse / reference).otherwise(0.0).alias("slippage_bps"),
        pl.col("position_e8").alias("position_after"),
        (pl.col("leg") == 1).alias("short_leg"),
        pl.col("fee_coin_e8").alias("fee_coin"),
    )


def _funding(records: Sequence[Payment]) -> pl.DataFrame:
    return _frame(Payment, records).select(
        "ts_ns",
        "symbol",
        pl.col("rate_e8").alias("rate"),
        pl.col("mark_e8").alias("mark"),
        pl.col("quantity_e8").alias("quantity"),
        pl.col("amount_e8").alias("amount_usdt"),
    )
