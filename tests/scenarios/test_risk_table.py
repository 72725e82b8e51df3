"""The boundary answers of the risk gate, one row a case, in a trader's numbers: just inside, exactly at, just outside.

The table below is also what ``docs/risk.md`` is made of (``tests/tools/make_risk_page.py``).
"""

import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import combinations, product
from pathlib import Path

import pytest
from builders import E8, limits, row, spec

from autotrader import config
from autotrader.research import replay
from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.quality import Quality
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Command, Gate, Instruments, Kind, OrderType, Reason, TimeInForce
from core_ext.wire import Approval, Signer

SECOND, HOUR, DAY = 10**9, 3600 * 10**9, 86_400 * 10**9
NOW = 20_000 * DAY + 12 * HOUR
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
BTC, ETH = 0, 1
ETH_PRICE = Decimal(1000)
EPOCH = 1
ACCEPTED, CANCELED, CANCEL_SENT, LOST, ARMED = 0, 4, 6, 8, 9  # evidence numbers
INTENT = 1
TAKER_FEE = Decimal("0.0005")
MAINTENANCE = Decimal("0.004")  # of the first bracket

ALLOWED = Reason.APPROVED


# ---------------------------------------------------------------------------------- the words of the table


@dataclass(frozen=True)
class Order:
    """What is asked of the gate: quantity in BTC, price in USDT (None: a market order)."""

    side: int
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False
    symbol: int = BTC
    edge: str = ""  # expected profit, % of the notional
    how: str = ""  # "reprice", "amend", "passive", or nothing

    @property
    def lots(self) -> int:
        return int(self.quantity * 1000)

    @property
    def ticks(self) -> int:
        return int(self.price * 10) if self.price is not None else 0


@dataclass(frozen=True)
class Row:
    given: Mapping[str, object]
    order: Order
    answer: Reason
    lifted: tuple[str, ...] = ()  # controls whose limits are out of the way, so that this one decides


@dataclass(frozen=True)
class Control:
    name: str
    rows: tuple[Row, ...]
    reasons: tuple[Reason, ...]
    settings: tuple[str, ...] = field(default=())  # of the configuration's table [risk]


def order(side: int, quantity: str, at: str | None, reduce_only: bool, symbol: int) -> Order:
    return Order(side, Decimal(quantity), None if at is None else Decimal(at), reduce_only, symbol)


def buy(quantity: str, at: str | None = None, reduce_only: bool = False, symbol: int = BTC) -> Order:
    return order(0, quantity, at, reduce_only, symbol)


def sell(quantity: str, at: str | None = None, reduce_only: bool = False, symbol: int = BTC) -> Order:
    return order(1, quantity, at, reduce_only, symbol)


def expecting(edge: str, wanted: Order) -> Order:
    """Return an order that expects a profit of so many % of its notional."""
    return replace(wanted, edge=edge)


def reprice(wanted: Order) -> Order:
    """Return an order that follows an intent whose order is gone."""
    return replace(wanted, how="reprice")


def passive(wanted: Order) -> Order:
    """Return a post-only order."""
    return replace(wanted, how="passive")


def amend(wanted: Order) -> Order:
    """Return the wish that the open order become this one."""
    return replace(wanted, how="amend")


def rows(*cases: tuple[dict, Order, Reason], lift: str = "") -> tuple[Row, ...]:
    return tuple(Row(given, wanted, answer, tuple(lift.split())) for given, wanted, answer in cases)


# ---------------------------------------------------------------------------------- the table
# Unless a row says otherwise: equity and mark 100,000, touch one tick around it, 100 BTC on each side, default limits.

CONTROLS = (
    Control(
        "R1",
        rows(
            ({"mark": "100000"}, buy("0.01", "102000.0"), ALLOWED),
            ({"mark": "100000"}, buy("0.01", "102000.1"), Reason.R1_PRICE_COLLAR),
            ({"mark": "100000"}, sell("0.01", "98000.0"), ALLOWED),
            ({"mark": "100000"}, sell("0.01", "97999.9"), Reason.R1_PRICE_COLLAR),
            ({"ask": "102000.0"}, buy("0.01"), ALLOWED),
            ({"ask": "102000.1"}, buy("0.01"), Reason.R1_PRICE_COLLAR),
            ({"bid": "98000.0"}, sell("0.01"), ALLOWED),
            ({"bid": "97999.9"}, sell("0.01"), Reason.R1_PRICE_COLLAR),
            ({"position": "0.05"}, sell("0.05", "95000.0", reduce_only=True), ALLOWED),
            ({"position": "0.05"}, sell("0.05", "94999.9", reduce_only=True), Reason.R1_PRICE_COLLAR),
            ({"position": "0.05"}, sell("0.05", "95000.0"), ALLOWED),
            ({"position": "-0.05"}, buy("0.05", "105000.0", reduce_only=True), ALLOWED),
            ({"position": "-0.05"}, buy("0.05", "105000.1", reduce_only=True), Reason.R1_PRICE_COLLAR),
            ({"mark": None}, buy("0.01", "100000.0"), Reason.R31_RISK_FAULT),
            ({"mark": None, "position": "0.05"}, sell("0.05", "95000.0", reduce_only=True), ALLOWED),
            ({"band": "1"}, buy("0.01", "101000.0"), ALLOWED),
            ({"band": "1"}, buy("0.01", "101000.1"), Reason.FILTER_PRICE),
            ({"band": "1"}, sell("0.01", "99000.0"), ALLOWED),
            ({"band": "1"}, sell("0.01", "98999.9"), Reason.FILTER_PRICE),
        ),
        (Reason.R1_PRICE_COLLAR,),
        ("price_collar", "price_collar_exit"),
    ),
    Control(
        "R2",
        rows(
            ({"reprices": 2}, reprice(buy("0.002", "100000.0")), ALLOWED),
            ({"reprices": 3}, reprice(buy("0.002", "100000.0")), Reason.R2_CHASE),
            ({"reprices": 3, "reprices_ago": "5"}, reprice(buy("0.002", "100000.0")), Reason.R2_CHASE),
            ({"reprices": 3, "reprices_ago": "5.001"}, reprice(buy("0.002", "100000.0")), ALLOWED),
            ({"reprices": 0}, reprice(buy("0.002", "101000.0")), ALLOWED),
            ({"reprices": 0}, reprice(buy("0.002", "101000.1")), Reason.R2_CHASE),
            ({"reprices": 0, "reprices_ago": "60.001"}, reprice(buy("0.002", "101000.1")), ALLOWED),
            ({}, reprice(buy("0.002", "100000.0")), Reason.R2_CHASE),
        ),
        (Reason.R2_CHASE,),
        ("max_reprices", "max_drift"),
    ),
    Control(
        "R3",
        rows(
            ({}, buy("0.050", "99999.8"), ALLOWED),
            ({}, buy("0.050", "100000.0"), ALLOWED),
            ({}, buy("0.050", "100000.2"), Reason.R3_ORDER_NOTIONAL),
            ({"position": "0.060"}, sell("0.060", "100000.0"), ALLOWED),
            ({"minute_volume": "40000"}, buy("0.020", "100000.0"), ALLOWED),
            ({"minute_volume": "40000"}, buy("0.020", "100000.1"), Reason.R3_ORDER_NOTIONAL),
            ({"candle_age": "1", "candle_volume": "24"}, buy("0.020", "100000.0"), ALLOWED),
            ({"candle_age": "1", "candle_volume": "24"}, buy("0.021", "100000.0"), Reason.R3_ORDER_NOTIONAL),
        )
        + rows(
            ({"equity": "10000"}, buy("0.030", "100000.0"), ALLOWED),
            ({"equity": "10000"}, buy("0.030", "100000.1"), Reason.R3_ORDER_NOTIONAL),
            lift="R5",
        ),
        (Reason.R3_ORDER_NOTIONAL,),
        ("max_order_notional_usdt", "max_order_equity_share", "volume_share", "assumed_minute_volume_usdt"),
    ),
    Control(
        "R4",
        rows(
            ({"equity": "10000000", "depth": "10"}, buy("1.999", "100000.0"), ALLOWED),
            ({"equity": "10000000", "depth": "10"}, buy("2.000", "100000.0"), ALLOWED),
            ({"equity": "10000000", "depth": "10"}, buy("2.001", "100000.0"), Reason.R4_ORDER_QUANTITY),
            ({"equity": "10000000", "depth": "10"}, sell("2.000", "100000.0"), ALLOWED),
            ({"equity": "10000000", "depth": "10"}, sell("2.001", "100000.0"), Reason.R4_ORDER_QUANTITY),
            ({"equity": "10000000", "depth": "10", "position": "5"}, sell("5.000", "100000.0"), ALLOWED),
            lift="R3 R5",
        )
        + rows(
            ({"equity": "100000000", "depth": "1000"}, buy("120.000"), ALLOWED),
            ({"equity": "100000000", "depth": "1000"}, buy("120.001"), Reason.R4_ORDER_QUANTITY),
            lift="R3 R5 R8",
        ),
        (Reason.R4_ORDER_QUANTITY,),
        ("max_depth_share",),
    ),
    Control(
        "R5",
        rows(
            ({"equity": "500000", "position": "0.9", "live_buys": "0.099"}, buy("0.001", "100000.0"), ALLOWED),
            ({"equity": "500000", "position": "0.9"}, buy("0.100", "100000.0"), ALLOWED),
            ({"equity": "500000", "position": "0.9"}, buy("0.101", "100000.0"), Reason.R5_POSITION_LIMIT),
            (
                {"equity": "500000", "position": "0.9", "live_buys": "0.1"},
                buy("0.001", "100000.0"),
                Reason.R5_POSITION_LIMIT,
            ),
            ({"equity": "500000", "position": "-0.9", "live_sells": "0.099"}, sell("0.001", "100000.0"), ALLOWED),
            (
                {"equity": "500000", "position": "-0.9", "live_sells": "0.1"},
                sell("0.001", "100000.0"),
                Reason.R5_POSITION_LIMIT,
            ),
            # A position may be gone before the orders against it fill: then all of those turn it.
            ({"equity": "500000", "position": "0.9", "live_sells": "0.9"}, sell("0.100", "100000.0"), ALLOWED),
            (
                {"equity": "500000", "position": "0.9", "live_sells": "0.9"},
                sell("0.101", "100000.0"),
                Reason.R5_POSITION_LIMIT,
            ),
            ({"equity": "500000", "position": "1.2"}, buy("0.001", "100000.0"), Reason.R5_POSITION_LIMIT),
            ({"equity": "500000", "position": "1.2"}, sell("0.100", "100000.0"), ALLOWED),
            ({"equity": "500000", "position": "1.2"}, sell("1.200", "100000.0", reduce_only=True), ALLOWED),
            (
                {"equity": "500000", "strategy_leverage": "2", "position": "1.9"},
                buy("0.100", "100000.0"),
                ALLOWED,
            ),
            (
                {"equity": "500000", "strategy_leverage": "2", "position": "1.9"},
                buy("0.101", "100000.0"),
                Reason.R5_POSITION_LIMIT,
            ),
            lift="R3",
        ),
        (Reason.R5_POSITION_LIMIT,),
        ("max_symbol_share", "strategy_leverage"),
    ),
    Control(
        "R6",
        rows(
            ({"leverage": 5, "elsewhere": "294900"}, buy("0.050", "100000.0"), ALLOWED),
            ({"leverage": 5, "elsewhere": "295000"}, buy("0.050", "100000.0"), ALLOWED),
            ({"leverage": 5, "elsewhere": "295100"}, buy("0.050", "100000.0"), Reason.R6_GROSS_EXPOSURE),
            ({"leverage": 5, "elsewhere": "295000"}, sell("0.050", "100000.0"), ALLOWED),
            ({"leverage": 5, "elsewhere": "295100"}, sell("0.050", "100000.0"), Reason.R6_GROSS_EXPOSURE),
            (
                {"leverage": 5, "elsewhere": "295000", "live_buys": "0.001"},
                buy("0.050", "100000.0"),
                Reason.R6_GROSS_EXPOSURE,
            ),
            ({"leverage": 5, "elsewhere": "300000", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            lift="R5",
        )
        + rows(
            ({"cluster": True, "elsewhere": "149000"}, buy("0.010", "100000.0"), ALLOWED),
            ({"cluster": True, "elsewhere": "149001"}, buy("0.010", "100000.0"), Reason.R6_GROSS_EXPOSURE),
            ({"cluster": False, "elsewhere": "149001"}, buy("0.010", "100000.0"), ALLOWED),
            ({"net": "1.5", "elsewhere": "149000"}, buy("0.010", "100000.0"), ALLOWED),
            ({"net": "1.5", "elsewhere": "149001"}, buy("0.010", "100000.0"), Reason.R6_GROSS_EXPOSURE),
            ({"net": "1.5", "elsewhere": "149001"}, sell("0.010", "100000.0"), ALLOWED),
            lift="R9",
        ),
        (Reason.R6_GROSS_EXPOSURE,),
        ("max_gross", "max_net", "max_cluster"),
    ),
    Control(
        "R7",
        rows(
            ({"leverage": 4}, buy("0.01", "100000.0"), ALLOWED),
            ({"leverage": 5}, buy("0.01", "100000.0"), ALLOWED),
            ({"leverage": 6}, buy("0.01", "100000.0"), Reason.R7_LEVERAGE),
            ({"leverage": 6, "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R7_LEVERAGE,),
        ("max_symbol_leverage",),
    ),
    Control(
        "R8",
        rows(
            ({"equity": "100000000", "depth": "1000"}, buy("23.999", "100000.0"), ALLOWED),
            ({"equity": "100000000", "depth": "1000"}, buy("24.000", "100000.0"), ALLOWED),
            ({"equity": "100000000", "depth": "1000"}, buy("24.001", "100000.0"), Reason.R8_BRACKET),
            (
                {"equity": "100000000", "depth": "1000", "live_buys": "4.001"},
                buy("20.000", "100000.0"),
                Reason.R8_BRACKET,
            ),
            lift="R3 R5",
        ),
        (Reason.R8_BRACKET,),
        ("bracket_share",),
    ),
    Control(
        "R9",
        rows(
            ({"leverage": 10, "liquidation": "15.1", "position": "0.999"}, buy("0.001", "100000.0"), ALLOWED),
            ({"leverage": 10, "liquidation": "15.0", "position": "0.999"}, buy("0.001", "100000.0"), ALLOWED),
            (
                {"leverage": 10, "liquidation": "14.9", "position": "0.999"},
                buy("0.001", "100000.0"),
                Reason.R9_LIQUIDATION_DISTANCE,
            ),
            ({"leverage": 10, "liquidation": "15.0", "position": "-0.999"}, sell("0.001", "100000.0"), ALLOWED),
            (
                {"leverage": 10, "liquidation": "14.9", "position": "-0.999"},
                sell("0.001", "100000.0"),
                Reason.R9_LIQUIDATION_DISTANCE,
            ),
            (
                {"leverage": 10, "liquidation": "16.1", "atr": "2", "position": "0.999"},
                buy("0.001", "100000.0"),
                ALLOWED,
            ),
            (
                {"leverage": 10, "liquidation": "15.9", "atr": "2", "position": "0.999"},
                buy("0.001", "100000.0"),
                Reason.R9_LIQUIDATION_DISTANCE,
            ),
            ({"leverage": 10, "liquidation": "9.9", "position": "0.999"}, sell("0.001", "100000.0"), ALLOWED),
            lift="R3 R5 R6 R7 R10",
        ),
        (Reason.R9_LIQUIDATION_DISTANCE,),
        ("min_liquidation_distance", "liquidation_atr", "atr_floor"),
    ),
    Control(
        "R10",
        rows(
            ({"leverage": 100, "position": "0.999", "equity": "1333.34"}, buy("0.001", "100000.0"), ALLOWED),
            ({"leverage": 100, "position": "0.999", "equity": "1333.33333333"}, buy("0.001", "100000.0"), ALLOWED),
            (
                {"leverage": 100, "position": "0.999", "equity": "1333.33"},
                buy("0.001", "100000.0"),
                Reason.R10_MARGIN_RATIO,
            ),
            ({"leverage": 100, "position": "1.1", "equity": "1333.33"}, sell("0.1", "100000.0"), ALLOWED),
            lift="R3 R5 R6 R7 R9",
        ),
        (Reason.R10_MARGIN_RATIO,),
        ("max_margin_ratio", "margin_ratio_reduce"),
    ),
    Control(
        "R11",
        rows(
            ({"sent": 19}, buy("0.001", "100000.0"), ALLOWED),
            ({"sent": 20}, buy("0.001", "100000.0"), Reason.R11_ORDER_RATE),
            ({"sent": 20, "sent_ago": "0.499"}, buy("0.001", "100000.0"), Reason.R11_ORDER_RATE),
            ({"sent": 20, "sent_ago": "0.5"}, buy("0.001", "100000.0"), ALLOWED),
            ({"sent": 20, "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
        )
        + rows(
            ({"sent": 299, "sent_ago": "59.999"}, buy("0.001", "100000.0"), ALLOWED),
            ({"sent": 300, "sent_ago": "59.999"}, buy("0.001", "100000.0"), Reason.R11_ORDER_RATE),
            ({"sent": 300, "sent_ago": "60"}, buy("0.001", "100000.0"), ALLOWED),
            lift="burst",
        ),
        (Reason.R11_ORDER_RATE,),
        ("orders_per_second", "order_burst", "orders_per_minute", "strategy_orders_per_second"),
    ),
    Control(
        "R12",
        rows(
            ({"weight": 1919}, buy("0.01", "100000.0"), ALLOWED),
            ({"weight": 1920}, buy("0.01", "100000.0"), Reason.R12_WEIGHT),
            ({"weight": 1921}, buy("0.01", "100000.0"), Reason.R12_WEIGHT),
            ({"weight": 2400, "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R12_WEIGHT,),
        ("weight_share",),
    ),
    Control(
        "R13",
        rows(
            ({"ended": 1000, "unfilled": 949}, buy("0.01", "100000.0"), ALLOWED),
            ({"ended": 1000, "unfilled": 950}, buy("0.01", "100000.0"), ALLOWED),
            ({"ended": 1000, "unfilled": 951}, buy("0.01", "100000.0"), Reason.R13_MESSAGE_QUALITY),
            ({"ended": 1000, "unfilled": 951, "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"ended": 999, "unfilled": 999}, buy("0.01", "100000.0"), ALLOWED),
            ({"ended": 1000, "unfilled": 951, "ended_ago": "600"}, buy("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R13_MESSAGE_QUALITY,),
        ("quality_orders", "quality_alarm", "quality_stop"),
    ),
    Control(
        "R14",
        rows(
            ({"entries": 9}, buy("0.005", "100000.0"), ALLOWED),
            ({"entries": 10}, buy("0.005", "100000.0"), Reason.R14_REPEATED),
            ({"entries": 10}, sell("0.005", "100000.0"), ALLOWED),
            ({"entries": 10, "entries_ago": "599.999"}, buy("0.005", "100000.0"), Reason.R14_REPEATED),
            ({"entries": 10, "entries_ago": "600"}, buy("0.005", "100000.0"), ALLOWED),
            ({"lost_trips": 2}, buy("0.005", "100000.0"), ALLOWED),
            ({"lost_trips": 3}, buy("0.005", "100000.0"), Reason.R14_REPEATED),
            ({"lost_trips": 3}, sell("0.005", "100000.0"), Reason.R14_REPEATED),
            ({"lost_trips": 3, "allow": True}, buy("0.005", "100000.0"), ALLOWED),
            ({"lost_trips": 3, "position": "0.005"}, sell("0.005", "100000.0"), ALLOWED),
        ),
        (Reason.R14_REPEATED,),
        ("repeated_entries", "losing_trips"),
    ),
    Control(
        "R15",
        rows(
            ({"same_ago": "0.999"}, buy("0.001", "100000.0"), Reason.R15_DUPLICATE),
            ({"same_ago": "1.000"}, buy("0.001", "100000.0"), Reason.R15_DUPLICATE),
            ({"same_ago": "1.001"}, buy("0.001", "100000.0"), ALLOWED),
            ({"same_ago": "0.999"}, buy("0.001", "100000.1"), ALLOWED),
            ({"same_ago": "0.999"}, buy("0.002", "100000.0"), ALLOWED),
            ({"same_ago": "0.999"}, sell("0.001", "100000.0"), ALLOWED),
            ({"same_ago": "0.999", "position": "-0.05"}, buy("0.001", "100000.0"), ALLOWED),
        ),
        (Reason.R15_DUPLICATE,),
        ("duplicate_window_s",),
    ),
    Control(
        "R16",
        rows(
            ({"own_sell": "100000.2"}, buy("0.01", "100000.1"), ALLOWED),
            ({"own_sell": "100000.2"}, buy("0.01", "100000.2"), Reason.R16_SELF_TRADE),
            ({"own_sell": "100000.2"}, buy("0.01", "100000.3"), Reason.R16_SELF_TRADE),
            ({"own_sell": "100000.1"}, buy("0.01"), Reason.R16_SELF_TRADE),
            ({"own_buy": "99999.8"}, sell("0.01", "99999.9"), ALLOWED),
            ({"own_buy": "99999.8"}, sell("0.01", "99999.8"), Reason.R16_SELF_TRADE),
            ({"own_buy": "99999.8", "position": "0.01"}, sell("0.01", "99999.8"), ALLOWED),
        ),
        (Reason.R16_SELF_TRADE,),
    ),
    Control(
        "R17",
        rows(
            ({"usual": "0.010"}, buy("0.049", "100000.0"), ALLOWED),
            ({"usual": "0.010"}, buy("0.050", "100000.0"), ALLOWED),
            ({"usual": "0.010"}, buy("0.051", "100000.0"), Reason.R17_FAT_FINGER),
            ({"usual": "0.010", "position": "0.100"}, sell("0.100", "100000.0"), ALLOWED),
            lift="R3 burst",
        ),
        (Reason.R17_FAT_FINGER,),
        ("fat_finger",),
    ),
    Control(
        "R18",
        rows(
            ({"book_age": "1.000"}, buy("0.01", "100000.0"), ALLOWED),
            ({"book_age": "1.001"}, buy("0.01", "100000.0"), Reason.R18_STALE_DATA),
            ({"mark_age": "3.000"}, buy("0.01", "100000.0"), ALLOWED),
            ({"mark_age": "3.001"}, buy("0.01", "100000.0"), Reason.R18_STALE_DATA),
            ({"book_lost": True}, buy("0.01", "100000.0"), Reason.R18_STALE_DATA),
            ({"candle_age": "1.5"}, buy("0.01", "100000.0"), ALLOWED),
            ({"candle_age": "1.501"}, buy("0.01", "100000.0"), Reason.R18_STALE_DATA),
            ({"book_lost": True, "mark_age": "60", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
        ),
        (Reason.R18_STALE_DATA,),
        ("book_stale_s", "mark_stale_s", "candle_stale_intervals"),
    ),
    Control(
        "R19",
        rows(
            ({"unknown": 0}, buy("0.01", "100000.0"), ALLOWED),
            ({"unknown": 1}, buy("0.01", "100000.0"), Reason.R19_UNKNOWN_ORDERS),
            ({"unknown": 1, "position": "0.05"}, sell("0.02", "100000.0"), ALLOWED),
            ({"unknown_elsewhere": 2}, buy("0.01", "100000.0"), ALLOWED),
            ({"unknown_elsewhere": 3}, buy("0.01", "100000.0"), Reason.R19_UNKNOWN_ORDERS),
        ),
        (Reason.R19_UNKNOWN_ORDERS,),
        ("max_unknown",),
    ),
    Control(
        "R20",
        rows(
            ({"drawdown": "5.99"}, buy("0.050", "100000.0"), ALLOWED),
            ({"drawdown": "6.00"}, buy("0.050", "100000.0"), Reason.R3_ORDER_NOTIONAL),
            ({"drawdown": "6.00"}, buy("0.025", "100000.0"), ALLOWED),
            ({"drawdown": "6.00"}, buy("0.025", "100000.4"), Reason.R3_ORDER_NOTIONAL),
            ({"drawdown": "6.00", "position": "0.09"}, buy("0.004", "100000.0"), ALLOWED),
            ({"drawdown": "6.00", "position": "0.09"}, buy("0.005", "100000.0"), Reason.R5_POSITION_LIMIT),
            ({"drawdown": "8.99"}, buy("0.025", "100000.0"), ALLOWED),
            ({"drawdown": "9.00"}, buy("0.001", "100000.0"), Reason.R20_REDUCE_ONLY),
            ({"drawdown": "9.00", "position": "0.09"}, sell("0.09", "100000.0"), ALLOWED),
        ),
        (Reason.R20_REDUCE_ONLY,),
        ("max_drawdown",),
    ),
    Control(
        "R21",
        rows(
            ({"day_loss": "2.999"}, buy("0.01", "100000.0"), ALLOWED),
            ({"day_loss": "3.000"}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
            ({"day_loss": "2.999", "lost_by": "fees"}, buy("0.01", "100000.0"), ALLOWED),
            ({"day_loss": "3.000", "lost_by": "fees"}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
            ({"day_loss": "2.999", "lost_by": "realised"}, buy("0.01", "100000.0"), ALLOWED),
            ({"day_loss": "3.000", "lost_by": "realised"}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
            ({"day_loss": "2.999", "lost_by": "unrealised"}, buy("0.01", "100000.0"), ALLOWED),
            ({"day_loss": "3.000", "lost_by": "unrealised"}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
            ({"day_loss": "3.000", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            ({"day_loss": "3.000", "recovered": True}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
            ({"day_loss": "3.000", "next_day": True}, buy("0.01", "100000.0"), ALLOWED),
            (
                {"day_loss": "3.000", "next_day": True, "needs_operator": True},
                buy("0.01", "100000.0"),
                Reason.R21_DAILY_LOSS,
            ),
            (
                {"day_loss": "3.000", "next_day": True, "needs_operator": True, "allow": True},
                buy("0.01", "100000.0"),
                ALLOWED,
            ),
            ({"day_loss": "3.000", "allow": True}, buy("0.01", "100000.0"), Reason.R21_DAILY_LOSS),
        ),
        (Reason.R21_DAILY_LOSS,),
        ("daily_loss",),
    ),
    Control(
        "R22",
        rows(
            ({"equity": "10000", "path": ("8800.01",)}, buy("0.001", "100000.0"), Reason.R20_REDUCE_ONLY),
            ({"equity": "10000", "path": ("8800.00",)}, buy("0.001", "100000.0"), Reason.R22_DRAWDOWN_KILL),
            (
                {"equity": "10000", "path": ("8800.00", "9999.00")},
                buy("0.001", "100000.0"),
                Reason.R22_DRAWDOWN_KILL,
            ),
            (
                {"equity": "10000", "path": ("8800.00", "+1000")},
                buy("0.001", "100000.0"),
                Reason.R22_DRAWDOWN_KILL,
            ),
            (
                {"equity": "10000", "path": ("+1000", "9680.01")},
                buy("0.001", "100000.0"),
                Reason.R20_REDUCE_ONLY,
            ),
            (
                {"equity": "10000", "path": ("+1000", "9680.00")},
                buy("0.001", "100000.0"),
                Reason.R22_DRAWDOWN_KILL,
            ),
            (
                {
                    "equity": "10000",
                    "path": ("8900",),
                    "position": "0.1",
                    "entry": "100000",
                    "mark": "99100",
                    "mark_age": "1.999",
                    "last": "99000",
                },
                buy("0.001", "99000.0"),
                Reason.R20_REDUCE_ONLY,
            ),
            (
                {
                    "equity": "10000",
                    "path": ("8900",),
                    "position": "0.1",
                    "entry": "100000",
                    "mark": "99100",
                    "mark_age": "2.000",
                    "last": "99000",
                },
                buy("0.001", "99000.0"),
                Reason.R22_DRAWDOWN_KILL,
            ),
            (
                {
                    "equity": "10000",
                    "path": ("8900",),
                    "position": "0.1",
                    "entry": "100000",
                    "mark": "99100",
                    "mark_age": "2.000",
                    "last": "99200",
                },
                buy("0.001", "99000.0"),
                Reason.R20_REDUCE_ONLY,
            ),
            ({"killed": True}, buy("0.001", "100000.0"), Reason.R22_DRAWDOWN_KILL),
            ({"killed": True, "resumed": True}, buy("0.001", "100000.0"), Reason.R22_DRAWDOWN_KILL),
            ({"killed": True, "position": "0.05"}, sell("0.05", reduce_only=True), ALLOWED),
        ),
        (Reason.R22_DRAWDOWN_KILL,),
        ("max_drawdown",),
    ),
    Control(
        "R23",
        rows(
            ({"rate_loss": "1.499"}, buy("0.01", "100000.0"), ALLOWED),
            ({"rate_loss": "1.5"}, buy("0.01", "100000.0"), Reason.R23_LOSS_RATE),
            ({"rate_loss": "1.5", "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"rate_loss": "1.5", "rate_loss_ago": "1799.999"}, buy("0.01", "100000.0"), Reason.R23_LOSS_RATE),
            ({"rate_loss": "1.5", "rate_loss_ago": "1800"}, buy("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R23_LOSS_RATE,),
        ("loss_rate", "loss_pause_min"),
    ),
    Control(
        "R24",
        rows(
            ({"minute_ago": "97087.4"}, buy("0.01", "100000.0"), ALLOWED),
            ({"minute_ago": "97087.3"}, buy("0.01", "100000.0"), Reason.R24_VOLATILITY),
            ({"minute_ago": "97087.3", "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"median_spread": "20.0", "ask": "100050.0", "bid": "99950.0"}, buy("0.01", "100000.0"), ALLOWED),
            (
                {"median_spread": "20.0", "ask": "100050.1", "bid": "99949.9"},
                buy("0.01", "100000.0"),
                Reason.R24_VOLATILITY,
            ),
            ({"median_spread": "0.2", "ask": "100024.9", "bid": "99975.0"}, buy("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R24_VOLATILITY,),
        ("volatility_collars", "spread_median", "spread_floor_bps", "volatility_pause_min"),
    ),
    Control(
        "R25",
        rows(
            ({"open_orders": 19}, buy("0.001", "100000.0"), ALLOWED),
            ({"open_orders": 20}, buy("0.001", "100000.0"), Reason.R25_OPEN_ORDERS),
            ({"open_orders": 20}, sell("0.001", "100000.0"), Reason.R25_OPEN_ORDERS),
            ({"open_elsewhere": 99}, buy("0.001", "100000.0"), ALLOWED),
            ({"open_elsewhere": 100}, buy("0.001", "100000.0"), Reason.R25_OPEN_ORDERS),
            ({"open_orders": 20, "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
        ),
        (Reason.R25_OPEN_ORDERS,),
        ("max_orders_symbol", "max_orders_total"),
    ),
    Control(
        "R26",
        rows(
            ({"position": "0.01", "no_stop_for": "3"}, buy("0.01", "100000.0"), ALLOWED),
            ({"position": "0.01", "no_stop_for": "3.001"}, buy("0.01", "100000.0"), Reason.R26_UNPROTECTED),
            ({"position": "0.01", "no_stop_for": "60", "stop": "0.01"}, buy("0.01", "100000.0"), ALLOWED),
            (
                {"position": "0.01", "no_stop_for": "60", "stop": "0.009"},
                buy("0.01", "100000.0"),
                Reason.R26_UNPROTECTED,
            ),
            ({"position": "0.01", "no_stop_for": "60"}, sell("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R26_UNPROTECTED,),
        ("unprotected_s",),
    ),
    Control(
        "R27",
        rows(
            ({"funding": "0.05", "funding_in": "10"}, expecting("0.1", buy("0.01", "100000.0")), ALLOWED),
            (
                {"funding": "0.05", "funding_in": "10"},
                expecting("0.0999", buy("0.01", "100000.0")),
                Reason.R27_FUNDING_COST,
            ),
            ({"funding": "0.05", "funding_in": "10"}, expecting("0.0999", sell("0.01", "100000.0")), ALLOWED),
            (
                {"funding": "-0.05", "funding_in": "10"},
                expecting("0.0999", sell("0.01", "100000.0")),
                Reason.R27_FUNDING_COST,
            ),
            ({"funding": "0.05", "funding_in": "10.001"}, expecting("0.0999", buy("0.01", "100000.0")), ALLOWED),
            ({"funding": "0.05", "funding_in": "10"}, buy("0.01", "100000.0"), ALLOWED),
        ),
        (Reason.R27_FUNDING_COST,),
        ("funding_window_min",),
    ),
    Control(
        "R28",
        rows(
            ({"status": "SETTLING"}, buy("0.001", "100000.0"), Reason.R28_SYMBOL_STATUS),
            ({"status": "TRADING"}, buy("0.001", "100000.0"), ALLOWED),
            ({"status": "SETTLING", "position": "0.05"}, sell("0.05", "100000.0", reduce_only=True), ALLOWED),
            ({"status": "SETTLING", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            ({"status": "SETTLING", "position": "0.05"}, buy("0.001", "100000.0"), Reason.R28_SYMBOL_STATUS),
        )
        + rows(
            ({"delist_in": "24"}, buy("0.01", "100000.0"), ALLOWED),
            ({"delist_in": "23.999"}, buy("0.01", "100000.0"), Reason.R28_SYMBOL_STATUS),
            ({"delist_in": "1", "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"suspended": True}, buy("0.01", "100000.0"), Reason.R28_SYMBOL_STATUS),
        ),
        (Reason.R28_SYMBOL_STATUS,),
        ("delist_h",),
    ),
    Control(
        "R29",
        rows(
            ({"sides": "long"}, buy("0.01", "100000.0"), ALLOWED),
            ({"sides": "long"}, sell("0.01", "100000.0"), Reason.R29_NOT_ALLOWED),
            ({"sides": "long", "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"hours": "12:00-12:00"}, buy("0.01", "100000.0"), ALLOWED),
            ({"hours": "12:01-23:59"}, buy("0.01", "100000.0"), Reason.R29_NOT_ALLOWED),
            ({"hours": "00:00-11:59"}, buy("0.01", "100000.0"), Reason.R29_NOT_ALLOWED),
        ),
        (Reason.R29_NOT_ALLOWED,),
        ("entry_sides", "first_minute_utc", "last_minute_utc"),
    ),
    Control(
        "R30",
        rows(
            ({"armed": True}, buy("0.01", "100000.0"), ALLOWED),
            ({"armed": False}, buy("0.01", "100000.0"), Reason.R30_MODE),
            ({"armed": False, "position": "0.01"}, sell("0.01", "100000.0"), Reason.R30_MODE),
        ),
        (Reason.R30_MODE,),
    ),
    Control(
        "R31",
        rows(
            ({}, buy("0.001", "100000.0", symbol=99), Reason.R31_RISK_FAULT),
            ({"mark": None}, buy("0.001", "100000.0"), Reason.R31_RISK_FAULT),
            ({"ask": None}, buy("0.001"), Reason.R31_RISK_FAULT),
            ({"bid": None}, sell("0.001"), Reason.R31_RISK_FAULT),
            ({"elsewhere": "1000", "unmarked_elsewhere": True}, buy("0.001", "100000.0"), Reason.R31_RISK_FAULT),
            ({"mark": None, "position": "0.05"}, sell("0.05", reduce_only=True), ALLOWED),
            ({"bid": None, "position": "0.05"}, sell("0.05", reduce_only=True), ALLOWED),
        ),
        (Reason.R31_RISK_FAULT,),
    ),
    Control(
        "R32",
        rows(
            ({"leaves": "price=100000.0"}, buy("0.01", "100000.0"), ALLOWED),
            ({"leaves": "price=100000.1"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "quantity=0.010"}, buy("0.01", "100000.0"), ALLOWED),
            ({"leaves": "quantity=0.011"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "side=SELL"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "symbol=ETHUSDT"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "type=MARKET"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "timeInForce=GTC"}, passive(buy("0.01", "99999.0")), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "newClientOrderId=at0000000100000002"}, buy("0.01"), Reason.R32_NOT_AS_APPROVED),
            ({"lacks": "newClientOrderId"}, buy("0.01"), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "reduceOnly=true"}, buy("0.01"), Reason.R32_NOT_AS_APPROVED),
            ({"position": "0.05", "leaves": "reduceOnly=true"}, sell("0.05", reduce_only=True), ALLOWED),
            ({"position": "0.05", "lacks": "reduceOnly"}, sell("0.05", reduce_only=True), Reason.R32_NOT_AS_APPROVED),
            ({"leaves": "closePosition=true"}, buy("0.01"), Reason.R32_NOT_AS_APPROVED),
            ({"signature": "other"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
            ({"signature": "short"}, buy("0.01", "100000.0"), Reason.R32_NOT_AS_APPROVED),
        ),
        (Reason.R32_NOT_AS_APPROVED,),
    ),
    Control(
        "Filters",
        rows(
            ({"prices": ("99990", "100010")}, buy("0.01", "99990.0"), ALLOWED),
            ({"prices": ("99990", "100010")}, buy("0.01", "99989.9"), Reason.FILTER_PRICE),
            ({"prices": ("99990", "100010")}, sell("0.01", "100010.0"), ALLOWED),
            ({"prices": ("99990", "100010")}, sell("0.01", "100010.1"), Reason.FILTER_PRICE),
            ({}, buy("0"), Reason.FILTER_QUANTITY),
            ({}, buy("-0.001", "100000.0"), Reason.FILTER_QUANTITY),
            ({"least": "0.005"}, buy("0.005", "100000.0"), ALLOWED),
            ({"least": "0.005"}, buy("0.004", "100000.0"), Reason.FILTER_QUANTITY),
            ({"minimum": "100"}, buy("0.001", "100000.0"), ALLOWED),
            ({"minimum": "100"}, buy("0.001", "99999.9"), Reason.FILTER_NOTIONAL),
            ({"minimum": "100", "position": "0.001"}, sell("0.001", "99999.9", reduce_only=True), ALLOWED),
        ),
        (Reason.FILTER_PRICE, Reason.FILTER_QUANTITY, Reason.FILTER_NOTIONAL),
    ),
    Control(
        "Margin",
        rows(
            ({"leverage": 1, "equity": "10000.51", "position": "0.09"}, buy("0.01", "100000.0"), ALLOWED),
            ({"leverage": 1, "equity": "10000.50", "position": "0.09"}, buy("0.01", "100000.0"), ALLOWED),
            (
                {"leverage": 1, "equity": "10000.49", "position": "0.09"},
                buy("0.01", "100000.0"),
                Reason.INSUFFICIENT_MARGIN,
            ),
            # 1,010 and its fee of 0.505, and the 10 by which it starts below the mark.
            ({"leverage": 1, "equity": "10020.51", "position": "0.09"}, buy("0.01", "101000.0"), ALLOWED),
            (
                {"leverage": 1, "equity": "10020.50", "position": "0.09"},
                buy("0.01", "101000.0"),
                Reason.INSUFFICIENT_MARGIN,
            ),
            (
                {"leverage": 1, "equity": "10000.50", "position": "0.09", "live_buys": "0.001"},
                buy("0.01", "100000.0"),
                Reason.INSUFFICIENT_MARGIN,
            ),
            ({"leverage": 1, "equity": "1000", "position": "0.09"}, sell("0.09", "100000.0"), ALLOWED),
            lift="R3 R5 R6 R9",
        ),
        (Reason.INSUFFICIENT_MARGIN,),
    ),
    Control(
        "Headroom",
        rows(
            ({"headroom": "0.010"}, buy("0.009", "100000.0"), ALLOWED),
            ({"headroom": "0.010"}, buy("0.010", "100000.0"), ALLOWED),
            ({"headroom": "0.010"}, buy("0.011", "100000.0"), Reason.HEADROOM_SPENT),
            ({"headroom": "0.010", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            ({"headroom": "0.010", "headroom_age": "120"}, buy("0.010", "100000.0"), ALLOWED),
            ({"headroom": "0.010", "headroom_age": "120.001"}, buy("0.010", "100000.0"), Reason.HEADROOM_STALE),
            ({"headroom": None}, buy("0.010", "100000.0"), Reason.HEADROOM_STALE),
        ),
        (Reason.HEADROOM_SPENT, Reason.HEADROOM_STALE),
        ("headroom", "headroom_s"),
    ),
    Control(
        "Data quality",
        rows(
            ({"crossed_ago": "59.999"}, buy("0.01", "100000.0"), Reason.DATA_QUALITY),
            ({"crossed_ago": "60"}, buy("0.01", "100000.0"), ALLOWED),
            ({"crossed_ago": "1", "position": "0.01"}, sell("0.01", "100000.0"), ALLOWED),
            ({"wide_ago": "29.999"}, buy("0.01", "99990.0"), Reason.DATA_QUALITY),
            ({"wide_ago": "29.999"}, passive(buy("0.01", "99990.0")), ALLOWED),
            ({"wide_ago": "29.999"}, passive(buy("0.026", "99990.0")), Reason.R3_ORDER_NOTIONAL),
            ({"wide_ago": "30"}, buy("0.01", "99990.0"), ALLOWED),
        ),
        (Reason.DATA_QUALITY,),
    ),
    Control(
        "Amendments",
        rows(
            ({"open_buy": "0.010"}, amend(buy("0.010", "99990.1")), ALLOWED),
            ({"open_buy": "0.010"}, amend(buy("0.010", "99990.0")), Reason.NOT_AMENDABLE),
            ({"open_buy": "0.010"}, amend(buy("0.050", "99990.0")), ALLOWED),
            ({"open_buy": "0.010"}, amend(buy("0.051", "99990.0")), Reason.R3_ORDER_NOTIONAL),
            ({"open_buy": "0.010", "cancelling": True}, amend(buy("0.011", "99990.0")), Reason.NOT_AMENDABLE),
        ),
        (Reason.NOT_AMENDABLE,),
    ),
    Control(
        "Reduce-only",
        rows(
            ({}, sell("0.01", "100000.0", reduce_only=True), Reason.NOTHING_TO_REDUCE),
            ({"position": "0.05"}, buy("0.01", "100000.0", reduce_only=True), Reason.NOTHING_TO_REDUCE),
            ({"position": "0.05"}, sell("0.05", "100000.0", reduce_only=True), ALLOWED),
            ({"position": "0.05"}, sell("0.051", "100000.0", reduce_only=True), Reason.NOTHING_TO_REDUCE),
            (
                {"position": "0.05", "live_reducing": "0.03"},
                sell("0.05", "100000.0", reduce_only=True),
                ALLOWED,  # the venue cuts it to what is left
            ),
            ({"position": "0.05", "live_sells": "0.05"}, sell("0.05", reduce_only=True), ALLOWED),
            ({"position": "0.05", "live_sells": "0.05", "halted": True}, sell("0.01"), Reason.HALTED),
        ),
        (Reason.NOTHING_TO_REDUCE,),
    ),
    Control(
        "Halt",
        rows(
            ({"halted": True}, buy("0.01", "100000.0"), Reason.HALTED),
            ({"halted": True, "resumed": True}, buy("0.01", "100000.0"), ALLOWED),
            ({"halted": True, "position": "0.05"}, buy("0.001", "100000.0"), Reason.HALTED),
            ({"halted": True, "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            ({"halted": True, "position": "0.05"}, sell("0.051", "100000.0"), Reason.HALTED),
        ),
        (Reason.HALTED,),
    ),
    Control(
        "Gates",
        rows(
            ({"gates": "USER_STREAM"}, buy("0.01", "100000.0"), Reason.GATE_CLOSED),
            ({"gates": "DISK"}, buy("0.01", "100000.0"), Reason.GATE_CLOSED),
            ({"gates": "LINK", "position": "0.05"}, sell("0.05", "100000.0"), ALLOWED),
            ({"gates": "LINK", "position": "0.05"}, sell("0.051", "100000.0"), Reason.GATE_CLOSED),
        ),
        (Reason.GATE_CLOSED,),
    ),
)

# ---------------------------------------------------------------------------------- the world behind a row

HUGE = 10**17
LIFTS = {
    "R3": {"max_order_e8": HUGE, "order_leverage_e8": 100 * E8, "volume_share_e8": E8, "assumed_minute_e8": HUGE},
    "R5": {"symbol_share_e8": E8, "strategy_leverage_e8": 100 * E8},
    "R6": {"max_gross_e8": 100 * E8, "max_net_e8": 100 * E8, "max_cluster_e8": 100 * E8},
    "R7": {"max_leverage": 200},
    "R8": {"bracket_share_e8": 100 * E8},
    "R9": {"liquidation_distance_e8": 1, "liquidation_atr": 1e-6},
    "R10": {"margin_ratio_e8": 100 * E8},
    "R21": {"daily_loss_e8": E8 // 2},
    "burst": {"orders_per_second": 1000, "strategy_orders_per_second": 1000, "order_burst": 1000},
}


def e8(amount: object) -> int:
    return int(Decimal(str(amount)) * E8)


def minute_of_day(clock: str) -> int:
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


def seconds(text: object) -> int:
    return int(Decimal(str(text)) * SECOND)


class World:
    """One account in front of its gate, at NOW, as a situation says."""

    def __init__(self, given: Mapping[str, object], lifted: tuple[str, ...] = ()) -> None:
        self.given = given
        self.now = NOW
        self.instruments = Instruments([spec(symbol, **self.filters()) for symbol in SYMBOLS])
        self.account = Account(self.instruments, self.start())
        self.orders = Orders(EPOCH)
        self.markets = Markets(len(SYMBOLS))
        self.gate = RiskGate(self.instruments, self.account, self.orders, self.markets, self.limits(lifted))
        self.hold_positions()
        self.live_until_today()
        self.live_through_today()
        self.remember_market()
        self.send_orders()
        self.rest_orders()
        self.end_orders()
        self.trip()
        self.chase()
        self.lose_quickly()
        self.obey_commands()
        self.tell_gate()
        self.show_market(self.now)
        self.gate.observe(self.now)

    def filters(self) -> dict:
        given = self.given
        band = e8(Decimal(str(given.get("band", 5))) / 100)
        low, high = given.get("prices", ("0.1", "100000000"))
        return {
            "leverage": given.get("leverage", 3),
            "up_e8": E8 + band,
            "down_e8": E8 - band,
            "min_ticks": int(Decimal(low) * 10),
            "max_ticks": int(Decimal(high) * 10),
            "min_lots": int(Decimal(given.get("least", "0.001")) * 1000),
            "min_notional_e8": e8(given.get("minimum", 50)),
            "tradable": given.get("status", "TRADING") == "TRADING",
        }

    def limits(self, lifted: tuple[str, ...]) -> dict:
        given = self.given
        changed = {name: value for control in lifted for name, value in LIFTS[control].items()}
        if "minute_volume" in given:
            changed["assumed_minute_e8"] = e8(given["minute_volume"])
        if "strategy_leverage" in given:
            changed["strategy_leverage_e8"] = e8(given["strategy_leverage"])
        for name, limit in (("entries", "repeated_entries"), ("lost_trips", "losing_trips")):
            if name in given:
                changed[limit] = getattr(config.Risk(), limit)
        if "net" in given:
            changed["max_net_e8"] = e8(given["net"])
        if "no_stop_for" in given:
            changed["unprotected_ns"] = 3 * SECOND
        if "headroom" in given:
            changed["headroom_ns"] = 120 * SECOND
        if "sides" in given:
            changed["sides"] = {"long": 1, "short": 2}[given["sides"]]
        if "hours" in given:
            changed |= zip(("first_minute", "last_minute"), map(minute_of_day, given["hours"].split("-")), strict=True)
        if "armed" in given:
            changed["armed"] = int(given["armed"])
        if "atr" in given:
            changed["atr_floor"] = float(given["atr"]) / 100
        return limits(**changed, acknowledged=int("needs_operator" not in given))

    def start(self) -> int:
        """Starting equity; for a stated liquidation distance, what makes it so once one BTC is held."""
        given = self.given
        if "liquidation" not in given:
            return e8(given.get("equity", 100_000))
        sign = 1 if Decimal(given["position"]) > 0 else -1
        price = 100_000 * (1 - sign * Decimal(given["liquidation"]) / 100)
        # wallet - fee + sign * (price - 100,000) = maintenance * price, for 1 BTC of which the order brings 0.001.
        return e8(MAINTENANCE * price - sign * (price - 100_000) + TAKER_FEE * 100)

    def show_market(self, now: int) -> None:
        given = self.given
        mark = given.get("mark", "100000")
        middle = Decimal(mark or "100000")
        ask, bid = given.get("ask", middle + Decimal("0.1")), given.get("bid", middle - Decimal("0.1"))
        depth = int(Decimal(given.get("depth", "100")) * 1000)
        self.markets.set(
            BTC,
            mark_e8=0 if mark is None else e8(mark),
            bid_ticks=0 if bid is None else int(Decimal(bid) * 10),
            ask_ticks=0 if ask is None else int(Decimal(ask) * 10),
            ts_mark=now - seconds(given.get("mark_age", 0)),
            ts_book=now - seconds(given.get("book_age", 0)),
            depth_lots=(depth, depth),
            book_good=not given.get("book_lost", False),
        )
        if "last" in given:
            self.markets.set(BTC, last_e8=e8(given["last"]), ts_last=now)
        if "candle_age" in given:
            age = int(Decimal(given["candle_age"]) * HOUR)
            volume = int(Decimal(given.get("candle_volume", "1000")) * 1000)
            self.markets.set(BTC, interval_ns=HOUR, ts_last=now - age, bar_lots=volume)
        unmarked = given.get("unmarked_elsewhere", False)
        if "cluster" in given:
            for symbol in (BTC, ETH) if given["cluster"] else ():
                if self.gate.watching(symbol)["worst_e8"] == 0:
                    self.gate.tell(symbol, cluster=1)
        self.markets.set(ETH, mark_e8=0 if unmarked else e8(ETH_PRICE), ts_mark=now, ts_book=now, book_good=True)

    def hold_positions(self) -> None:
        given = self.given
        if "no_stop_for" in given and self.gate.day < 0:
            return  # opened later
        mark = given.get("mark", "100000") or "100000"
        self.fill(BTC, Decimal(given.get("position", "0")), Decimal(given.get("entry", mark)))
        self.fill(ETH, Decimal(given.get("elsewhere", "0")) / ETH_PRICE, ETH_PRICE)
        self.account.mark(BTC, e8(mark))

    def fill(self, symbol: int, quantity: Decimal, price: Decimal, fee_e8: int = 0) -> None:
        if quantity:
            self.account.fill(symbol, int(quantity * 1000), int(price * 10), fee_e8)

    def go_to(self, wallet: object) -> None:
        self.account.pay_funding(BTC, e8(wallet) - self.account.wallet_e8)

    def live_until_today(self) -> None:
        """Go through yesterday's equities and deposits, each seen by the gate, and begin today."""
        path = self.given.get("path", ())
        if "drawdown" in self.given:
            path = (Decimal(self.account.wallet_e8) / E8 * (1 - Decimal(self.given["drawdown"]) / 100),)
        self.gate.observe(NOW - DAY)
        for step in path:
            if str(step).startswith("+"):
                self.account.transfer(e8(step))
            else:
                self.go_to(step)
            self.gate.observe(NOW - DAY)
        self.gate.observe(NOW - HOUR)

    def live_through_today(self) -> None:
        given, morning = self.given, Decimal(self.account.wallet_e8) / E8
        if "day_loss" in given:
            self.lose(morning * Decimal(given["day_loss"]) / 100)
            self.gate.observe(NOW - HOUR)
        if "recovered" in given:
            self.go_to(morning)
        if "next_day" in given:
            self.now = NOW + DAY
            self.gate.observe(self.now)

    def lose(self, amount: Decimal) -> None:
        how = self.given.get("lost_by", "funding")
        if how == "funding":
            self.account.pay_funding(BTC, -e8(amount))
        elif how == "fees":
            self.fill(BTC, Decimal("0.001"), Decimal(100_000), e8(amount))
            self.fill(BTC, Decimal("-0.001"), Decimal(100_000))
        else:
            self.fill(ETH, Decimal(10), ETH_PRICE)
            if how == "realised":
                self.fill(ETH, Decimal(-10), ETH_PRICE - amount / 10)
            else:
                self.account.mark(ETH, e8(ETH_PRICE - amount / 10))

    def remember_market(self) -> None:
        """Show the touches of the last minute, or five minutes of a spread."""
        given = self.given
        if "minute_ago" in given:
            self.touch(self.now - 30 * SECOND, Decimal(given["minute_ago"]), Decimal("0.2"))
            self.touch(self.now, Decimal(100_000), Decimal("0.2"))
        for k in range(300 if "median_spread" in given else 0):
            self.touch(self.now - (301 - k) * SECOND, Decimal(100_000), Decimal(given["median_spread"]))

    def touch(self, ts: int, middle: Decimal, spread: Decimal) -> None:
        bid, ask = int((middle - spread / 2) * 10), int((middle + spread / 2) * 10)
        self.markets.observe(self.instruments, row(Kind.TOUCH, ts, BTC, a=ts, b=bid, c=10, d=ask, e=10))

    def end_orders(self) -> None:
        given = self.given
        for k in range(given.get("ended", 0)):
            client_id = self.orders.insert_for_test(BTC, 0, 1_000_000, 1)
            if k < given["unfilled"]:
                self.orders.evidence(client_id, CANCELED)
            else:
                self.orders.fill(client_id, 1)
            self.gate.ended(client_id, self.now - seconds(given.get("ended_ago", 0)))

    def trip(self) -> None:
        for k in range(self.given.get("lost_trips", 0)):
            for lots, ticks in ((1, 1_000_000), (-1, 999_000)):
                self.account.fill(BTC, lots, ticks, 0)
                self.gate.refresh(self.now - (k + 1) * SECOND)

    def chase(self) -> None:
        """Begin an intent and re-price it so many times; each of its orders is gone again."""
        given = self.given
        at = self.now - seconds(given.get("reprices_ago", 0))
        for k in range(given["reprices"] + 1 if "reprices" in given else 0):
            self.show_market(at)
            answer = self.gate.ask(BTC, 0, 1, 1_000_000 + k, now=at, intent=INTENT, reprice=k > 0)
            assert answer == ALLOWED
            self.orders.evidence(self.last_id(), CANCELED)

    def last_id(self) -> int:
        return EPOCH << 32 | self.orders.next_count - 1

    def lose_quickly(self) -> None:
        given = self.given
        if "rate_loss" in given:
            at = self.now - seconds(given.get("rate_loss_ago", 0))
            self.gate.observe(at)
            self.account.pay_funding(BTC, -e8(Decimal(self.account.wallet_e8) / E8 * Decimal(given["rate_loss"]) / 100))
            self.gate.observe(at)

    def judge_data(self) -> None:
        """Let the gate know data of which one touch was crossed, or half a dollar in ten wide."""
        shipped = config.from_dict(tomllib.loads(config.template("quoter", ["BTCUSDT"], "en")))
        judge = Quality(self.instruments, replay.quality(shipped), shipped.quality.policies)
        for name, bid, ask in (("crossed_ago", 1_000_001, 1_000_000), ("wide_ago", 970_000, 1_030_000)):
            if name in self.given:
                at = self.now - seconds(self.given[name])
                judge.feed(row(Kind.TOUCH, at, BTC, a=1, b=bid, c=10, d=ask, e=10))
        self.gate.judge_by(judge)

    def tell_gate(self) -> None:
        """Tell the gate what events would: usage, headroom, funding, listing, suspect data."""
        given = self.given
        if "crossed_ago" in given or "wide_ago" in given:
            self.judge_data()
        if "weight" in given:
            self.gate.use_weight(given["weight"], 2400, self.now)
        if given.get("headroom"):
            lots = int(Decimal(given["headroom"]) * 1000)
            self.gate.tell(BTC, headroom=(lots, lots), now=self.now - seconds(given.get("headroom_age", 0)))
        if "funding" in given:
            due = self.now + int(Decimal(given["funding_in"]) * 60 * SECOND)
            self.gate.tell(BTC, funding=(e8(Decimal(given["funding"]) / 100), due))
        if "delist_in" in given:
            self.gate.tell(BTC, delist=self.now + int(Decimal(given["delist_in"]) * HOUR))
        if "suspended" in given:
            self.gate.tell(BTC, suspended=given["suspended"])
        if "no_stop_for" in given:
            self.hold_positions()
            self.gate.refresh(self.now - seconds(given["no_stop_for"]))
            if "stop" in given:
                self.stop(int(Decimal(given["stop"]) * 1000))

    def stop(self, lots: int) -> None:
        now = self.now - SECOND
        kind = OrderType.STOP_MARKET
        assert self.gate.ask(BTC, 1, lots, now=now, type=kind, trigger_ticks=900_000, reduce_only=True) == ALLOWED
        self.orders.evidence(self.last_id(), ARMED)

    def send_orders(self) -> None:
        """Send what was sent before; all of it is gone again, but it was sent."""
        given = self.given
        for k in range(given.get("sent", 0)):
            self.send(k % 2, 1_000_001 + k // 2, given.get("sent_ago", 0))
        if "same_ago" in given:
            self.send(0, 1_000_000, given["same_ago"])
        for k in range(given.get("entries", 0)):
            self.send(0, 1_000_001 + k, given.get("entries_ago", "2"))
        for k in range(50 if "usual" in given else 0):
            self.send(k % 2, 1_000_000, 52 - k, int(Decimal(given["usual"]) * 1000))

    def send(self, side: int, ticks: int, ago: object, lots: int = 1) -> None:
        at = self.now - seconds(ago)
        self.show_market(at)
        assert self.gate.ask(BTC, side, lots, ticks, now=at) == ALLOWED
        self.orders.evidence(self.last_id(), CANCELED)

    def rest_orders(self) -> None:
        given = self.given
        entry = 1 if Decimal(given.get("position", "0")) < 0 else 0
        for name, side, reducing in (("live_buys", 0, False), ("live_sells", 1, False), ("live_reducing", 1, True)):
            if name in given:
                self.orders.insert_for_test(BTC, side, 1_000_000, int(Decimal(given[name]) * 1000), reducing)
        for name, side in (("own_buy", 0), ("own_sell", 1)):
            if name in given:
                self.orders.insert_for_test(BTC, side, int(Decimal(given[name]) * 10), 1)
        for name, symbol in (("unknown", BTC), ("unknown_elsewhere", ETH)):
            for k in range(given.get(name, 0)):
                self.orders.evidence(self.orders.insert_for_test(symbol, 0, 10_000 + k, 1), LOST)
        if "open_buy" in given:
            self.open = self.orders.insert_for_test(BTC, 0, 999_900, int(Decimal(given["open_buy"]) * 1000))
            self.orders.evidence(self.open, ACCEPTED)
            if "cancelling" in given:
                self.orders.evidence(self.open, CANCEL_SENT)
        for k in range(given.get("open_orders", 0)):
            self.orders.insert_for_test(BTC, entry, 999_000 + k, 1)
        for k in range(given.get("open_elsewhere", 0)):
            self.orders.insert_for_test(ETH, 0, 10 + k, 1)

    def obey_commands(self) -> None:
        commands = {"halted": Command.HALT, "killed": Command.KILL, "resumed": Command.RESUME, "allow": Command.ALLOW}
        for name, command in commands.items():
            if self.given.get(name):
                self.gate.command(command)
        if "gates" in self.given:
            self.gate.close_gates(int(Gate[self.given["gates"]]))

    def ask(self, wanted: Order) -> Reason:
        if wanted.how == "amend":
            return self.gate.ask_amend(self.open, wanted.ticks, wanted.lots, now=self.now)
        approval = Approval()
        answer = self.gate.ask(
            wanted.symbol,
            wanted.side,
            wanted.lots,
            wanted.ticks,
            now=self.now,
            reduce_only=wanted.reduce_only,
            tif=TimeInForce.GTX if wanted.how == "passive" else TimeInForce.GTC,
            edge_e8=e8(Decimal(wanted.edge or 0) / 100),
            intent=INTENT if wanted.how == "reprice" else 0,
            reprice=wanted.how == "reprice",
            approval=approval,
        )
        return (
            self.leave(approval) if answer == ALLOWED and {"leaves", "lacks", "signature"} & set(self.given) else answer
        )

    def leave(self, approval: Approval) -> Reason:
        """Return the verdict on the order's text, changed and signed as the row says."""
        given, signer, now = self.given, Signer(b"key"), self.now // 10**6
        name, _, value = given.get("leaves", given.get("lacks", "")).partition("=")
        text = signer.order_text(approval, self.instruments, now)[: -len("&signature=") - 64].decode()
        words = dict(word.split("=") for word in text.split("&"))
        words |= {name: value} if value else {}
        signed = "&".join(f"{key}={words[key]}" for key in sorted(words) if value or key != name).encode()
        signature = signer.sign(signed + b" " * (given.get("signature") == "other"))
        cut = 63 if given.get("signature") == "short" else 64
        return signer.compare(signed + b"&signature=" + signature[:cut], approval, self.instruments, now)


# ---------------------------------------------------------------------------------- the tests


def label(control: Control, row: Row) -> str:
    given = " ".join(f"{name}={value}" for name, value in row.given.items())
    price = "market" if row.order.price is None else row.order.price
    wanted = f"{('buy', 'sell')[row.order.side]} {row.order.quantity} at {price}"
    return f"{control.name}: {given}: {wanted}{' reduce-only' * row.order.reduce_only}"


CASES = [pytest.param(row, id=label(control, row)) for control in CONTROLS for row in control.rows]


@pytest.mark.parametrize("row", CASES)
def test_the_gate_answers_as_the_table_says(row: Row) -> None:
    assert World(row.given, row.lifted).ask(row.order) == row.answer


def test_every_reason_has_its_boundary_in_the_table() -> None:
    assert {reason for control in CONTROLS for reason in control.reasons} == set(Reason) - {ALLOWED}
    for control in CONTROLS:
        answers = {row.answer for row in control.rows}
        assert {ALLOWED, *control.reasons} <= answers


def test_the_table_is_about_the_limits_that_ship(tmp_path: Path) -> None:
    file = tmp_path / "autotrader.toml"
    file.write_text(config.template("quoter", ["BTCUSDT"], "en"), encoding="utf-8")
    shipped = replay.limits(config.load(file))
    assert {name: shipped[name] for name in limits()} == limits()


def test_the_page_about_risk_is_the_table(root: Path) -> None:
    tool = importlib.util.spec_from_file_location("make_risk_page", root / "tests/tools/make_risk_page.py")
    maker = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(maker)
    written = (root / "docs/risk.md").read_text(encoding="utf-8")
    assert written == maker.page(CONTROLS), "run python tests/tools/make_risk_page.py"
    assert all(written.count(f"`{reason.name}`") >= 4 for reason in Reason if reason != ALLOWED)


GATES = ("halted", "killed", "day lost", "reduce-only", "stale", "rate exhausted", "open orders full")
CLOSED = [chosen for count in range(len(GATES) + 1) for chosen in combinations(GATES, count)]


def closed_world(gates: tuple[str, ...], position: str) -> World:
    """Return a world that holds a position behind a set of closed gates."""
    given: dict[str, object] = {"position": position}
    if "rate exhausted" in gates:
        given["sent"] = 20
    if "open orders full" in gates:
        given |= {"open_orders": 20, "open_elsewhere": 80}
    world = World(given, () if "day lost" in gates else ("R21",))
    world.go_to(100_000 - 9_000 * ("reduce-only" in gates) - 3_000 * ("day lost" in gates))
    if "stale" in gates:
        world.markets.set(BTC, book_good=0, ts_mark=NOW - HOUR, ts_book=NOW - HOUR)
    for gate, command in (("halted", Command.HALT), ("killed", Command.KILL)):
        if gate in gates:
            world.gate.command(command)
    world.gate.observe(NOW)
    return world


@pytest.mark.parametrize("gates", CLOSED, ids=lambda gates: "+".join(gates) or "all open")
def test_an_exit_passes_whatever_is_closed_and_an_entry_does_not(gates: tuple[str, ...]) -> None:
    for position, leave, enter in (("0.05", sell, buy), ("-0.05", buy, sell)):
        world = closed_world(gates, position)
        for price, reduce_only in product(("100000.0", None), (False, True)):
            wanted = leave("0.05", price, reduce_only)
            answer = world.gate.ask(
                BTC, wanted.side, wanted.lots, wanted.ticks, now=NOW, reduce_only=reduce_only, hold=False
            )
            assert answer == ALLOWED
        assert (world.ask(enter("0.001", "100000.5")) == ALLOWED) == (gates == ())
        for _ in range(50):
            assert world.ask(leave("0.001", "100000.0")) == ALLOWED
        assert world.ask(leave("0.001", "100000.0")) != ALLOWED


def test_a_refused_order_is_counted_by_its_reason_and_holds_nothing() -> None:
    world = World({"halted": True})
    for _ in range(3):
        assert world.ask(buy("0.01", "100000.0")) == Reason.HALTED
    assert world.gate.refused() == {"HALTED": 3}
    assert world.orders.open_orders == 0


def test_limits_that_are_missing_unknown_or_not_positive_are_refused() -> None:
    world = World({})
    for wrong in ({"max_gross_e8": 0}, {"max_order_e8": -1}, {"daily_loss": 1}, {"orders_per_minute": 5000}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RiskGate(world.instruments, world.account, world.orders, world.markets, limits(**wrong))
    short = limits()
    del short["max_gross_e8"]
    with pytest.raises(ValueError, match="max_gross_e8"):
        RiskGate(world.instruments, world.account, world.orders, world.markets, short)
