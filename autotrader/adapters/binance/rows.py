"""Rows of the core as they are made here: plain tuples first, one array at the end.

Knows the order of a row's fields. Refuses to know what they mean: ``core_ext/types.pxd`` says it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core_ext.types import EVENT_DTYPE, Flag

__all__ = ["Row", "packed", "row", "side_flags"]

Row = tuple[int, int, int, int, int, int, int, int, int]
"""Kind, flags, symbol and the words a to f."""


def row(kind: int, symbol: int, *words: int, flags: int = 0) -> Row:
    """Return a single row; words that are not given are 0.

    Examples
    --------
    >>> row(46, 1, 7)
    (46, 1, 1, 7, 0, 0, 0, 0, 0)
    """
    a, b, c, d, e, f = words + (0,) * (6 - len(words))
    return int(kind), int(flags | Flag.F_END), symbol, a, b, c, d, e, f


def side_flags(side: int, leg: int) -> int:
    """Return the flags of an order's side (1 sells) and leg (1 is short)."""
    return (Flag.F_SELL if side else 0) | (Flag.F_SHORT if leg else 0)


def packed(rows: Iterable[Row], now_ns: int, stamp_ms: int | None = None) -> NDArray[np.void]:
    """Return rows as an array of EVENT_DTYPE.

    Parameters
    ----------
    rows : iterable of Row
    now_ns : int
        Receive stamp, ns UTC.
    stamp_ms : int, optional
        The exchange's stamp; the difference is the rows' lag, which saturates.
    """
    lag_us = 0 if stamp_ms is None else max(-(1 << 31), min((1 << 31) - 1, now_ns // 1_000 - stamp_ms * 1_000))
    filled = [(kind, flags, symbol, lag_us, now_ns, *words) for kind, flags, symbol, *words in rows]
    return np.array(filled, EVENT_DTYPE)
