"""What single steps of the order path cost: a risk check, a sizing, a signature, a reading of the clock.

Knows a market in which an entry passes every check. Refuses to know goals and pages.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import numpy as np

from autotrader.research.replay import sizing
from benchmarks.contests import Contest
from benchmarks.order_path import EQUITY_USDT, KEY, core_path
from benchmarks.pairs import undisturbed
from benchmarks.recording import Stream
from core_ext.types import Reason
from core_ext.wire import Signer

from benchmarks.loops import check_orders, clock_cost, sign_often, size_positions  # isort: skip - built by order_path

CALLS, SAMPLES = 100, 2000
SIGNATURES = 1000
PARAMETERS = (
    b"newClientOrderId=at0000000100000001&price=61740.1&quantity=0.001&side=BUY&symbol=BTCUSDT"
    b"&timeInForce=GTX&timestamp=1723161256603&type=LIMIT"
)


def zeros(count: int) -> np.ndarray:
    """Return room for so many times."""
    return np.zeros(count, np.int64)


def clock() -> np.ndarray:
    """Return the cost of taking a time, ns."""
    taken = zeros(CALLS * SAMPLES)
    with undisturbed():
        clock_cost(taken)
    return taken


def risk_check(stream: Stream) -> np.ndarray:
    """Return times of one check of an entry that passes all of them, ns; each is the mean of a hundred.

    Raises
    ------
    RuntimeError
        If the entry is refused: then not every check was made.
    """
    engine = core_path(stream).engine
    engine.feed(stream.rows[: until_first_order(stream)])
    market, taken = engine.markets.market(0), zeros(SAMPLES)
    lots = 3 * stream.plan.specs[0]["min_notional_e8"] // (stream.plan.specs[0]["lot_e8"] * market["mark_e8"] // 10**8)
    with undisturbed():
        verdict = check_orders(engine.gate, engine.desk.now, market["bid_ticks"], lots, CALLS, taken)
    if verdict != Reason.APPROVED:
        raise RuntimeError(f"the entry is refused: {Reason(verdict).name}")
    return taken


def until_first_order(stream: Stream) -> int:
    """Return how many rows there are up to the end of the message that first leads to an order."""
    engine = core_path(stream).engine
    for row in range(len(stream.rows)):
        engine.feed(stream.rows[row : row + 1])
        if engine.orders.next_count > 1:
            return row + 1
    raise RuntimeError("no message led to an order")


def position_size(stream: Stream) -> np.ndarray:
    """Return times of one sizing by Kelly and every other cap, ns; each is the mean of a hundred."""
    price, taken = 61_740 * 10**8, zeros(SAMPLES)
    inputs = sizing(stream.plan.config) | {
        "equity": EQUITY_USDT,
        "peak": EQUITY_USDT,
        "max_drawdown": 0.12,
        "signal": 0.8,
        "correlation_factor": 1.0,
        "volatility": 0.6,
        "sharpe_mean": 0.5,
        "sharpe_sd": 0.5,
        "target_volatility": 0.09,
        "atr": 250.0,
        "book_var": 20.0,
        "book_correlation": 1.0,
        "symbol_cap": 1540.0,
        "gross_room": 20_000.0,
        "margin_room": 20_000.0,
    }
    with undisturbed():
        lots = size_positions(stream.instruments, price, inputs, CALLS, taken)
    if lots <= 0:
        raise RuntimeError("the position is sized to nothing, so not every cap was computed")
    return taken


def signature() -> Contest:
    """Set the core's signature against hashlib with the key's two blocks hashed once."""
    signer, inner, outer = Signer(KEY), *(hashlib.sha256(bytes(b ^ pad for b in KEY)) for pad in (0x36, 0x5C))

    def by_hashlib() -> str:
        first, second = inner.copy(), outer.copy()
        first.update(PARAMETERS)
        second.update(first.digest())
        return second.hexdigest()

    return _signature(signer, by_hashlib)


def usual_signature() -> Contest:
    """Set the core's signature against hmac.new, as the Python stack signs."""
    return _signature(Signer(KEY), lambda: hmac.new(KEY, PARAMETERS, hashlib.sha256).hexdigest())


def _signature(signer: Signer, otherwise: Callable[[], str]) -> Contest:
    if signer.sign(PARAMETERS) != otherwise().encode():
        raise RuntimeError("the two signatures differ")

    def sign_all() -> None:
        for _ in range(SIGNATURES):
            otherwise()

    return Contest(lambda: lambda: sign_often(signer, PARAMETERS, SIGNATURES), lambda: sign_all, SIGNATURES)
