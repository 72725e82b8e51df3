"""What single steps of the order path cost: a risk check, a sizing, a signature, a reading of the clock.

Knows a market in which an entry passes every check. Refuses to know goals and pages.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import partial

import numpy as np

from autotrader.research.replay import sizing
from benchmarks.contests import Contest
from benchmarks.order_path import E8, EPOCH, EQUITY_USDT, KEY, core_path, gate_limits
from benchmarks.pairs import undisturbed
from benchmarks.recording import Stream, specs
from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Instruments, Reason, SelfTrade, TimeInForce
from core_ext.wire import Approval, Signer

from benchmarks.loops import (  # isort: skip - built by order_path
    ask_gate,
    check_orders,
    clock_cost,
    sign_often,
    size_positions,
    write_often,
)
from benchmarks.plain_gate import PlainGate  # isort: skip

CALLS, SAMPLES = 100, 2000
SYMBOLS, WORKING, GATE_ORDERS = 50, 200, 3000
# The path's limits, the guard against duplicates on, room for 200 orders.
GUARDED = {"duplicate_ns": 10**9, "max_orders_total": 1000}
MARK_TICKS, GATE_DEPTH, GATE_EQUITY_E8 = 600_000, 400, 100_000 * E8
# Orders come 62 times a second: the guard against duplicates looks at as many, the minute's limit is near.
NOW, GATE_STEP_NS = 1_723_161_256_000_000_000, 16_000_000
# One order for each of four checks: above the collar, too much money, more than a fifth of the depth, the same again.
REFUSED = np.array(
    [[0, 0, 640_000, 5], [0, 0, 600_000, 90], [0, 0, 600_000, 81], [0, 0, 600_000, 50], [0, 0, 600_000, 50]]
)
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
        verdict = check_orders(
            engine.gate, engine.desk.now, market["bid_ticks"], market["ask_ticks"], lots, CALLS, taken
        )
    if verdict != Reason.APPROVED:
        raise RuntimeError(f"the entry is refused: {Reason(verdict).name}")
    return taken


def gate(stream: Stream) -> Contest:
    """Set the gate, check and hold, against the same checks in a plain loop over arrays.

    Fifty symbols, half of them with a position, 200 orders working; each order that passes is held, and the oldest
    is released.

    Raises
    ------
    RuntimeError
        If the two disagree on an order, or what is to pass does not.
    """
    rules = gate_limits(stream) | GUARDED
    tight = rules | {"max_gross_e8": E8 * 3 // 10}
    require_same_verdicts(gates(rules), np.concatenate([passing_orders(600), REFUSED]))
    require_same_verdicts(gates(tight, held=0), passing_orders(600))
    if any(ask(passing_orders(GATE_ORDERS)).any() for ask in gates(rules)):
        raise RuntimeError("an order is refused that is to pass")
    wanted = passing_orders(GATE_ORDERS)
    return Contest(
        lambda: partial(gates(rules)[0], wanted),
        lambda: partial(gates(rules)[1], wanted),
        GATE_ORDERS,
    )


def require_same_verdicts(both: list[Callable[[np.ndarray], np.ndarray]], wanted: np.ndarray) -> None:
    """Raise if the gates disagree on an order, or refuse none."""
    core, plain = (ask(wanted) for ask in both)
    if not np.array_equal(core, plain) or not core.any():
        raise RuntimeError(f"the gates say {reasons(core)} and {reasons(plain)}")


def reasons(verdicts: np.ndarray) -> dict[str, int]:
    """Return how often each reason was given, by name."""
    return {
        Reason(reason).name: int(count) for reason, count in zip(*np.unique(verdicts, return_counts=True), strict=True)
    }


def passing_orders(count: int) -> np.ndarray:
    """Return orders (symbol, side, price in ticks, lots) that no check refuses and no two of which are alike."""
    k = np.arange(count)
    side = k // SYMBOLS % 2
    return np.stack([7 * k % SYMBOLS, side, MARK_TICKS + (2 * side - 1) * (k % 40), 5 + k % 7], axis=1)


def gates(rules: dict[str, float], held: int = 10) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Return the core's gate and the plain one in the same state; each answers orders with its verdicts."""
    spec = specs(("BTCUSDT",))[0]
    instruments = Instruments([spec | {"symbol": f"S{k}USDT"} for k in range(SYMBOLS)])
    account, orders, markets = Account(instruments, GATE_EQUITY_E8), Orders(EPOCH), Markets(SYMBOLS)
    mark_e8 = MARK_TICKS * spec["tick_e8"]
    positions = [0 if k % 2 else (k % 4 - 1) * held for k in range(SYMBOLS)]
    for k, lots in enumerate(positions):
        account.mark(k, mark_e8)
        if lots:
            account.fill(k, lots, MARK_TICKS, 0)
        touch = {"bid_ticks": MARK_TICKS, "ask_ticks": MARK_TICKS + 1, "book_good": True}
        markets.set(k, mark_e8=mark_e8, last_e8=mark_e8, depth_lots=(GATE_DEPTH, GATE_DEPTH), **touch)
    core = RiskGate(instruments, account, orders, markets, rules)
    plain = PlainGate(rules, spec, account.equity(), positions, [MARK_TICKS] * SYMBOLS, GATE_DEPTH)

    def asked(ask: Callable[..., None], wanted: np.ndarray) -> np.ndarray:
        verdicts = zeros(len(wanted))
        ask(wanted, NOW, GATE_STEP_NS, WORKING, verdicts)
        return verdicts

    return [partial(asked, partial(ask_gate, core, orders, markets)), partial(asked, plain.ask)]


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


def order_text(stream: Stream) -> Contest:
    """Set an order written, signed, read back and compared with what was approved against its signature alone.

    Raises
    ------
    RuntimeError
        If the order is refused, or its text is not the one that is signed.
    """
    engine, signer, approval = core_path(stream).engine, Signer(KEY), Approval()
    engine.feed(stream.rows[: until_first_order(stream)])
    market, now = engine.markets.market(0), engine.desk.now
    lots = 3 * stream.plan.specs[0]["min_notional_e8"] // (stream.plan.specs[0]["lot_e8"] * market["mark_e8"] // E8)
    passive = {"tif": TimeInForce.GTX, "stp": SelfTrade.EXPIRE_MAKER}
    verdict = engine.gate.ask(0, 0, lots, market["bid_ticks"], now=now, approval=approval, **passive)
    text = signer.order_text(approval, stream.instruments, now // 10**6)
    parameters = text.partition(b"&signature=")[0]
    if not parameters or sign_often(signer, parameters, 1) != text:
        raise RuntimeError(f"the order does not leave: {Reason(verdict).name}")
    return Contest(
        lambda: lambda: write_often(signer, approval, stream.instruments, now // 10**6, SIGNATURES),
        lambda: lambda: sign_often(signer, parameters, SIGNATURES),
        SIGNATURES,
    )


def _signature(signer: Signer, otherwise: Callable[[], str]) -> Contest:
    if signer.sign(PARAMETERS) != otherwise().encode():
        raise RuntimeError("the two signatures differ")

    def sign_all() -> None:
        for _ in range(SIGNATURES):
            otherwise()

    return Contest(lambda: lambda: sign_often(signer, PARAMETERS, SIGNATURES), lambda: sign_all, SIGNATURES)
