"""The recording in the forms that the peers take: hftbacktest's events, nautilus_trader's deltas.

Knows how a row of the core becomes theirs. Refuses to know what they do with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.recording import Stream
from core_ext.types import Flag, Kind

if TYPE_CHECKING:
    from nautilus_trader.model.data import OrderBookDeltas
    from nautilus_trader.model.instruments import CryptoPerpetual

E8 = 10**8
LAST = 128  # nautilus_trader's F_LAST


def steps(stream: Stream) -> tuple[float, float]:
    """Return the tick and the lot as doubles."""
    spec = stream.plan.specs[0]
    return spec["tick_e8"] / E8, spec["lot_e8"] / E8


def events(rows: np.ndarray, stream: Stream, sides: int) -> np.ndarray:
    """Return levels and trades as hftbacktest's events, both of its clocks being the recording's.

    Parameters
    ----------
    rows : array
        Of the core; a snapshot's levels become snapshot events. Other kinds are left out.
    stream : Stream
    sides : int
        ``LOCAL_EVENT``, ``EXCH_EVENT`` or both: whose book they change.
    """
    import hftbacktest as hft

    is_head = np.isin(rows["kind"], [int(Kind.SNAPSHOT), int(Kind.DEPTH)])
    heads = np.where(is_head, rows["kind"], 0)
    last_head = np.maximum.accumulate(np.where(is_head, np.arange(len(rows)), 0))
    is_snapshot = heads[last_head] == int(Kind.SNAPSHOT)
    is_trade = rows["kind"] == int(Kind.TRADE)
    chosen = is_trade | (rows["kind"] == int(Kind.LEVEL))
    kind = np.where(is_trade, hft.TRADE_EVENT, np.where(is_snapshot, hft.DEPTH_SNAPSHOT_EVENT, hft.DEPTH_EVENT))
    side = np.where(rows["flags"] & int(Flag.F_SELL), hft.SELL_EVENT, hft.BUY_EVENT)
    tick, lot = steps(stream)
    out = np.zeros(np.count_nonzero(chosen), hft.event_dtype)
    out["ev"] = (kind | side | sides)[chosen]
    out["exch_ts"] = out["local_ts"] = rows["ts"][chosen]
    # A trade has its id first.
    out["px"] = (np.where(is_trade, rows["b"], rows["a"]) * tick)[chosen]
    out["qty"] = (np.where(is_trade, rows["c"], rows["b"]) * lot)[chosen]
    return out


def perpetual(stream: Stream) -> CryptoPerpetual:
    """Return the instrument as nautilus_trader has it."""
    from decimal import Decimal

    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.objects import Money, Price, Quantity

    spec = stream.plan.specs[0]
    tick, lot = (Decimal(spec[name]).scaleb(-8).normalize() for name in ("tick_e8", "lot_e8"))
    maker, taker = (Decimal(spec[name]).scaleb(-8) for name in ("maker_fee_e8", "taker_fee_e8"))
    return CryptoPerpetual(
        instrument_id=InstrumentId.from_str("BTCUSDT-PERP.BINANCE"),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=-int(tick.as_tuple().exponent),
        size_precision=-int(lot.as_tuple().exponent),
        price_increment=Price.from_str(str(tick)),
        size_increment=Quantity.from_str(str(lot)),
        max_quantity=Quantity.from_str("1000.000"),
        min_quantity=Quantity.from_str(str(lot)),
        max_notional=None,
        min_notional=Money(spec["min_notional_e8"] / E8, USDT),
        max_price=Price.from_str("4529764.0"),
        min_price=Price.from_str("0.1"),
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.025"),
        maker_fee=maker,
        taker_fee=taker,
        ts_event=0,
        ts_init=0,
    )


def deltas(rows: np.ndarray, stream: Stream) -> list[OrderBookDeltas]:
    """Return runs of levels as nautilus_trader's batches of deltas."""
    from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
    from nautilus_trader.model.enums import BookAction, OrderSide
    from nautilus_trader.model.objects import Price, Quantity

    instrument = perpetual(stream)
    tick, lot = steps(stream)
    levels = rows[rows["kind"] == int(Kind.LEVEL)]
    batches, batch = [], []
    for flags, ticks, lots, ts in zip(*(levels[name].tolist() for name in ("flags", "a", "b", "ts")), strict=True):
        is_last = bool(flags & int(Flag.F_END))
        order = BookOrder(
            OrderSide.SELL if flags & int(Flag.F_SELL) else OrderSide.BUY,
            Price(ticks * tick, instrument.price_precision),
            Quantity(lots * lot, instrument.size_precision),
            0,
        )
        action = BookAction.UPDATE if lots else BookAction.DELETE
        batch.append(OrderBookDelta(instrument.id, action, order, LAST if is_last else 0, 0, ts, ts))
        if is_last:
            batches.append(OrderBookDeltas(instrument.id, batch))
            batch = []
    return batches
