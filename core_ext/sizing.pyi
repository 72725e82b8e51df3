"""Fractional Kelly and the other caps, to whole lots."""

from enum import IntEnum

from core_ext.types import Instruments

class Factor(IntEnum):
    """What set a size."""

    FULL = 0
    NO_EDGE = 1
    KELLY = 2
    VOLATILITY_TARGET = 3
    ATR_RISK = 4
    LIQUIDATION_SAFE = 5
    VAR_HEADROOM = 6
    CONCENTRATION = 7
    GROSS = 8
    MARGIN = 9
    INVENTORY = 10
    BELOW_MINIMUM = 11
    BAD_INPUT = 12

def size(instruments: Instruments, symbol: int, price_e8: int, **inputs: float) -> tuple[int, Factor]:
    """Return (lots, limiting factor) of a position."""
