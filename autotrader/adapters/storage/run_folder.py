"""The folder that a run leaves: complete, or marked incomplete.

Knows file names, columns and how a file is written whole or not at all. Refuses to know what the numbers
mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["RunFolder"]

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
        self.summary_file = path / "summary.json"
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

    def discard(self) -> None:
        """Remove what a run that read nothing left behind; a folder that was there before it stays."""
        for file in (self.manifest_file, self.journal_file, self.path / INCOMPLETE):
            file.unlink(missing_ok=True)
        self._unmake()

    def _unmake(self) -> None:
        for folder in self._made:
            with suppress(OSError):  # it was never made, or somebody else uses it by now
                folder.rmdir()

    def table(self, name: str, columns: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] | pl.DataFrame) -> None:
        """Write one Parquet table, whole or not at all."""
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema=dict(columns), orient="row")
        fresh = self.path / f".{name}.parquet.part"
        try:
            frame.write_parquet(fresh, compression="zstd")
            fresh.replace(self.path / f"{name}.parquet")
        except OSError as error:
            raise OperatorError(say("run.cannot_write", path=self.path, reason=error.strerror)) from None

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write the summary."""
        self._write(self.summary_file, json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False))

    def complete(self) -> None:
        """Take the mark away: everything is there."""
        (self.path / INCOMPLETE).unlink()

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        OperatorError
            If there is none, or it is none.
        """
        if not self.journal_file.is_file():
            raise OperatorError(say("run.no_journal", path=self.journal_file))
        return self._read(self.manifest_file)

    def read_summary(self) -> dict[str, Any]:
        """Return the summary."""
        return self._read(self.summary_file)

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            values = json.loads(file.read_bytes())
        except OSError as error:
            raise OperatorError(say("run.bad_manifest", path=file, reason=error.strerror)) from None
        except (ValueError, RecursionError) as error:
            raise OperatorError(say("run.bad_manifest", path=file, reason=error)) from None
        if not isinstance(values, dict):
            raise OperatorError(say("run.bad_manifest", path=file, reason=type(values).__name__))
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
