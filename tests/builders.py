"""What tests build again and again: instruments, limits, rows, configurations and the shipped samples."""

import re
from pathlib import Path

import numpy as np

from autotrader.config import template
from core_ext.types import EVENT_DTYPE, Flag, Kind

E8 = 10**8
SAMPLES = Path(__file__).resolve().parents[1] / "autotrader/samples"
RECORDING = SAMPLES / "btcusdt_l2_20230404.gz"
HISTORY = [SAMPLES / f"{name}_2025_05.parquet" for name in ("candles_1h", "funding", "mark_8h")]
FIVE = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "SUIUSDT")


def spec(symbol="BTCUSDT", **changes):
    """Return an instrument like the exchange's BTCUSDT, with changes."""
    fields = {
        "symbol": symbol,
        "tick_e8": 10**7,
        "lot_e8": 10**5,
        "min_ticks": 1,
        "max_ticks": 10**9,
        "min_lots": 1,
        "max_lots": 10**6,
        "max_market_lots": 120_000,
        "min_notional_e8": 50 * E8,
        "up_e8": 105_000_000,
        "down_e8": 95_000_000,
        "take_bound_e8": 5_000_000,
        "liquidation_fee_e8": 1_250_000,
        "maker_fee_e8": 20_000,
        "taker_fee_e8": 50_000,
        "leverage": 3,
        "max_orders": 200,
        "collar_e8": 2_000_000,
        "tradable": 1,
        "brackets": [
            (0, 300_000 * E8, 400_000, 0, 150),
            (300_000 * E8, 800_000 * E8, 500_000, 300 * E8, 100),
            (800_000 * E8, 3_000_000 * E8, 650_000, 1_500 * E8, 75),
        ],
    }
    return fields | changes


def limits(**changes):
    """Return the default limits of the risk gate, with changes."""
    fields = {
        "exit_collar_e8": 5_000_000,
        "max_order_e8": 5_000 * E8,
        "order_equity_share_e8": E8 // 10,
        "order_leverage_e8": 3 * E8,
        "volume_share_e8": 5_000_000,
        "assumed_minute_e8": 5_000_000 * E8,
        "depth_share_e8": 20_000_000,
        "symbol_share_e8": 20_000_000,
        "strategy_leverage_e8": E8,
        "max_gross_e8": 3 * E8,
        "liquidation_distance_e8": 15_000_000,
        "liquidation_atr": 8.0,
        "atr_floor": 0.004,
        "orders_per_second": 10,
        "order_burst": 20,
        "orders_per_minute": 300,
        "strategy_orders_per_second": 2,
        "duplicate_ns": 10**9,
        "book_stale_ns": 10**9,
        "mark_stale_ns": 3 * 10**9,
        "candle_stale": 1.5,
        "max_drawdown_e8": 12_000_000,
        "daily_loss_e8": 3_000_000,
        "max_orders_symbol": 20,
        "max_orders_total": 100,
        "max_reprices": 3,
        "max_drift_e8": 1_000_000,
        "max_net_e8": 3 * E8,
        "max_cluster_e8": 3 * E8 // 2,
        "max_leverage": 5,
        "bracket_share_e8": 80_000_000,
        "liquidation_alarm_e8": 20_000_000,
        "liquidation_reduce_e8": 10_000_000,
        "margin_ratio_e8": 30_000_000,
        "margin_reduce_e8": 50_000_000,
        "weight_share_e8": 80_000_000,
        "quality_orders": 1_000,
        "quality_alarm_e8": 80_000_000,
        "quality_stop_e8": 95_000_000,
        "repeated_entries": 0,
        "losing_trips": 0,
        "fat_finger_e8": 5 * E8,
        "max_unknown": 2,
        "loss_rate_e8": 1_500_000,
        "loss_pause_ns": 1_800 * 10**9,
        "volatility_collars": 1.5,
        "spread_median": 5.0,
        "spread_floor": 0.0005,
        "volatility_pause_ns": 300 * 10**9,
        "unprotected_ns": 0,
        "stop_e8": 0,
        "stale_order_ns": 0,
        "funding_window_ns": 600 * 10**9,
        "delist_ns": 86_400 * 10**9,
        "sides": 3,
        "types": 127,
        "first_minute": 0,
        "last_minute": 1_439,
        "headroom_ns": 0,
        "conservative_size_e8": 50_000_000,
        "acknowledged": 1,
        "armed": 1,
    }
    return fields | changes


SIZING = {"kelly_fraction": 0.25, "atr_risk": 0.01, "atr_stop": 2.0, "safe_atr": 3.0, "daily_var": 0.02}


def row(kind, ts=0, symbol=0, flags=Flag.F_END, **words):
    """Return one row as an array of length one."""
    out = np.zeros(1, EVENT_DTYPE)
    out["kind"], out["flags"], out["symbol"], out["ts"] = int(kind), int(flags), symbol, ts
    for name, value in words.items():
        out[name] = value
    return out


def depth(ts, first, last, previous, bids=(), asks=(), symbol=0, kind=Kind.DEPTH):
    """Return a depth run: (ticks, lots) pairs a side."""
    levels = [row(Kind.LEVEL, ts, symbol, 0, a=t, b=q) for t, q in bids]
    levels += [row(Kind.LEVEL, ts, symbol, Flag.F_SELL, a=t, b=q) for t, q in asks]
    run = np.concatenate([row(kind, ts, symbol, 0, a=first, b=last, c=previous, d=len(levels)), *levels])
    run["flags"][-1] |= int(Flag.F_END)
    return run


def snapshot(ts, last_id, bids, asks, symbol=0):
    """Return a snapshot run."""
    return depth(ts, last_id, 0, 0, bids, asks, symbol, Kind.SNAPSHOT)


def configuration(path, strategy="quoter", symbols=None, mode=None, **changes):
    """Write what `autotrader init` writes, with some keys changed, each a TOML value; return the path."""
    names = symbols or {"quoter": ("BTCUSDT",), "trend": FIVE}[strategy]
    text = template(strategy, names, "en", mode or {"quoter": "paper", "trend": "backtest"}[strategy])
    for key, value in changes.items():
        text, found = re.subn(rf"^{key} = .*$", lambda _, line=f"{key} = {value}": line, text, flags=re.MULTILINE)
        assert found == 1, key
    path.write_text(text, encoding="utf-8")
    return path
