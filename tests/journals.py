"""Journals as engines and venues write them, without either: every kind that a view reads, and others."""

import random

import numpy as np
from builders import E8, row, spec

from core_ext.types import (
    AlgoStatus,
    Cause,
    Flag,
    Instruments,
    Kind,
    OrderType,
    PriceMatch,
    Setting,
    Term,
    TimeInForce,
)

START = 7_700 * E8
EPOCH = (0xDEADBEEF << 32) - 2**64  # as it stands in a row: signed
MARKET = (Kind.DEPTH, Kind.TRADE, Kind.CANDLE, Kind.TIMER, Kind.RANGE, Kind.CLOCK_OFFSET)
ENDINGS = (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED, Kind.CANCEL_REJECTED, Kind.LOST, Kind.ABSENT, Kind.CANCEL)


def instruments() -> Instruments:
    coarse = spec("ETHUSDT", tick_e8=10**6, lot_e8=10**5), spec("BNBUSDT", tick_e8=10**6, lot_e8=10**6)
    return Instruments([spec(), *coarse])


def terms(type=OrderType.LIMIT, tif=TimeInForce.GTC, stp=0, match=0, bits=0) -> int:
    return type | tif << 8 | stp << 16 | match << 24 | bits << 32


def journal(seed: int, count: int = 600) -> np.ndarray:
    """Return about `count` rows, the same for the same seed; evidence may contradict itself, as the wire's may."""
    chance, rows, ids, now = random.Random(seed), [row(Kind.RUN)], [EPOCH], 0
    for _ in range(count):
        now += chance.randrange(40 * 10**9)
        rows += _decision(chance, ids, now) if chance.random() < 0.35 else [_evidence(chance, ids, now)]
    return np.concatenate([*rows, row(Kind.SEAL, now)])


def _flags(chance: random.Random, *more: Flag) -> int:
    return int(Flag.F_END) | sum(chance.choice((0, int(flag))) for flag in (Flag.F_SELL, Flag.F_SHORT, *more))


def _decision(chance: random.Random, ids: list[int], now: int) -> list[np.ndarray]:
    symbol, flags = chance.randrange(3), _flags(chance, Flag.F_REDUCE_ONLY)
    mid = chance.randint(1, 30_000) * E8
    ticks, lots = chance.choice((0, chance.randint(1, 300_000))), chance.randint(0, 400)
    type_ = chance.choice(list(OrderType))
    packed = terms(
        type_,
        chance.choice(list(TimeInForce)),
        0,
        chance.choice(list(PriceMatch)),
        chance.choice((0, Term.CLOSE_POSITION)),
    )
    words = {"b": ticks, "c": lots, "d": packed, "e": mid}
    if chance.random() < 0.15:
        return [row(Kind.REFUSED, now, symbol, flags, a=chance.choice((1, 15, 18, 49)), **words)]
    ids.append(ids[-1] + chance.choice((1, 1, 1, 2, 4096)))
    asked = row(Kind.ORDER, now, symbol, flags, a=ids[-1], f=chance.randrange(13), **words)
    if type_ < OrderType.STOP:
        return [asked]
    asked["flags"] -= int(Flag.F_END)
    return [asked, row(Kind.ORDER_TERMS, now, symbol, a=ids[-1], b=ticks + 1, c=7, d=10**6, e=now + 10**12)]


def _evidence(chance: random.Random, ids: list[int], now: int) -> np.ndarray:
    symbol, order, pick = chance.randrange(3), chance.choice(ids[-12:]), chance.random()
    ticks, lots = chance.randint(1, 300_000), chance.randint(1, 200)
    if pick < 0.12:
        return row(Kind.ACCEPTED, now, symbol, a=order, b=chance.randrange(10**12), c=ticks, d=lots)
    if pick < 0.42:
        flags = _flags(chance, Flag.F_MAKER, Flag.F_FEE_COIN)
        return row(Kind.FILL, now, symbol, flags, a=order, b=now, c=ticks, d=lots, e=chance.randint(-500, 10**7))
    if pick < 0.58:
        return row(chance.choice(ENDINGS), now, symbol, a=order, b=chance.choice((-2011, -5022, 4)), c=3)
    if pick < 0.66:
        kind = chance.choice((Kind.AMEND, Kind.AMENDED, Kind.AMEND_REJECTED))
        return row(kind, now, symbol, a=order, b=ticks, c=lots)
    if pick < 0.74:
        status = chance.choice(list(AlgoStatus))
        return row(Kind.ALGO, now, symbol, a=order, b=status, c=chance.randrange(99), d=chance.randrange(99), e=-2021)
    return _account(chance, symbol, now)


def _account(chance: random.Random, symbol: int, now: int) -> np.ndarray:
    flags, kind = _flags(chance), chance.randrange(9)
    amount = chance.randint(-(10**10), 10**10)
    if kind == 0:
        return row(Kind.FUNDING_PAID, now, symbol, flags, a=amount, b=chance.randint(-99, 99), c=28_000 * E8, d=9)
    if kind == 1:
        lots = chance.choice((-1, 1)) * chance.randint(1, 50)
        words = {"a": lots, "b": chance.randint(1, 10**13), "c": chance.randint(0, 10**9), "d": E8}
        return row(Kind.LIQUIDATION, now, symbol, flags, e=chance.choice(list(Cause)), **words)
    if kind == 2:
        return row(Kind.TRANSFER, now, a=amount, b=chance.randrange(5))
    if kind == 3:
        setting = chance.choice(list(Setting))
        value = chance.randint(1, 20) if setting == Setting.LEVERAGE else chance.randrange(2)
        return row(Kind.SETTING, now, symbol, a=setting, b=value)
    if kind == 4:
        return row(Kind.MARGIN_MOVED, now, symbol, flags, a=amount)
    if kind == 5:
        return row(Kind.MARK, now, symbol, a=chance.randint(1, 30_000) * E8)
    if kind == 6:
        return row(Kind.ALARM, now, symbol, a=chance.randint(1, 16))
    if kind == 7:
        return row(Kind.COMMAND, now, a=chance.randint(1, 4))
    return row(chance.choice(MARKET), now, symbol, a=1, b=2, c=3)
