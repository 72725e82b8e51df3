"""An account's money and positions as the exchange writes them: answers and ACCOUNT_UPDATE.

Knows the names and formats of every amount. Refuses to know how one comes about: `core_ext.account` does the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from autotrader.adapters.loopback.ledger import Ledger, Leg
from autotrader.adapters.loopback.symbols import COINS, E8, Symbol, entry, trimmed
from autotrader.adapters.loopback.text import e8, plain
from core_ext.account import Account

__all__ = [
    "account_v2",
    "account_v3",
    "adl_ranks",
    "balance_change",
    "balances",
    "book",
    "called",
    "changed",
    "max_notional_value",
    "risk_v2",
    "risk_v3",
    "update",
]

CALL_PERCENT = 80
_SIDES = ("BOTH", "LONG", "SHORT")


def book(leg: Leg, side: int, lots: int, position: int, fee_e8: int, realised_e8: int, now_ms: int) -> None:
    """Count what a fill paid and won towards a leg that holds ``position`` lots after it.

    Notes
    -----
    The fees of what is still open make the break-even price: a closing takes its share of them along.
    """
    signed = lots if side == 0 else -lots
    before = position - signed
    leg.updated_ms = now_ms
    if before and (before > 0) != (signed > 0):
        left = 0 if abs(signed) >= abs(before) else abs(before) - abs(signed)
        leg.fees_e8 = leg.fees_e8 * left // abs(before)
        leg.realised_e8 += realised_e8
        if position and (position > 0) == (signed > 0):
            leg.fees_e8 = fee_e8 * abs(position) // lots
        return
    leg.fees_e8 = (leg.fees_e8 if before else 0) + fee_e8


def update(why: str, balances_changed: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of ACCOUNT_UPDATE."""
    return {"m": why, "B": balances_changed, "P": rows}


def balance_change(asset: str, wallet_e8: int, isolated_e8: int, change_e8: int) -> dict[str, Any]:
    """Return an asset in ACCOUNT_UPDATE: its wallets, and what changed by more than trading."""
    return {"a": asset, "wb": e8(wallet_e8), "cw": e8(wallet_e8 - isolated_e8), "bc": plain(change_e8)}


def changed(money: Account, symbol: Symbol, side: str, held: dict[str, int], paid: Leg) -> dict[str, Any]:
    """Return a position in ACCOUNT_UPDATE."""
    margins = money.margins_of(symbol.index)
    lots, cost = held["lots"], held["cost_e8"]
    value = _rounded(lots * symbol.lot_e8 * margins["mark_e8"])
    return {
        "s": symbol.name,
        "pa": symbol.quantity(lots) if lots else "0",
        "ep": trimmed(entry(symbol, lots, cost), 5),
        "bep": plain(break_even(symbol, lots, cost, paid)),
        "cr": plain(paid.realised_e8),
        "up": plain(value - cost),
        "mt": "isolated" if margins["isolated"] else "cross",
        "iw": e8(held["isolated_e8"]) if margins["isolated"] else "0",
        "ps": side,
    }


def called(money: Account, symbols: Iterable[Symbol]) -> Iterator[tuple[tuple[int, int], list[dict[str, Any]]]]:
    """Yield what a margin call names: ((-1, 0), all cross legs) and ((symbol, leg), that isolated leg).

    Notes
    -----
    The exchange's threshold is not public; here it is a maintenance margin of ``CALL_PERCENT`` of what stands behind.
    """
    cross = []
    for symbol, leg, side, held, margins in _legs(money, symbols):
        if not held["lots"]:
            continue
        row = _margin_call(symbol, side, held, margins)
        if not margins["isolated"]:
            cross.append(row)
        elif _calls(held["maintenance_e8"], _isolated_margin(held)):
            yield (symbol.index, leg), [row]
    if cross and _calls(money.cross_maintenance(), money.cross_equity()):
        yield (-1, 0), cross


def _calls(maintenance_e8: int, behind_e8: int) -> bool:
    return 100 * maintenance_e8 >= CALL_PERCENT * behind_e8


def _margin_call(symbol: Symbol, side: str, held: dict[str, int], margins: dict[str, Any]) -> dict[str, Any]:
    return {
        "s": symbol.name,
        "ps": side,
        "pa": symbol.quantity(held["lots"]),
        "mt": "ISOLATED" if margins["isolated"] else "CROSSED",
        "iw": e8(held["isolated_e8"]) if margins["isolated"] else "0",
        "mp": plain(margins["mark_e8"]),
        "up": plain(held["value_e8"] - held["cost_e8"]),
        "mm": plain(held["maintenance_e8"]),
    }


def _rounded(exact: int) -> int:
    # From 1e-16 to 1e-8, half away from zero: as the account rounds what a leg is worth.
    size = (abs(exact) + E8 // 2) // E8
    return size if exact >= 0 else -size


def break_even(symbol: Symbol, lots: int, cost_e8: int, paid: Leg) -> int:
    """Return the price at which what was paid in fees is won back, 1e-8; the exit's own fee is not in it."""
    return entry(symbol, lots, cost_e8 + paid.fees_e8)


def max_notional_value(money: Account, symbol: Symbol) -> str:
    """Return the largest notional at the leverage that is set."""
    leverage = money.margins_of(symbol.index)["leverage"]
    return plain(max((cap for _, cap, _, _, most in symbol.brackets if most >= leverage), default=0))


# ---------------------------------------------------------------------- balances


def _asset_rows(money: Account, now_ms: int) -> list[dict[str, Any]]:
    rows = [_usdt(money, now_ms)]
    for at in range(1, len(COINS)):
        coin = money.asset(at)
        if coin["wallet_e8"]:
            rows.append(_coin(COINS[at], coin["wallet_e8"], now_ms))
    return rows


def _usdt(money: Account, now_ms: int) -> dict[str, Any]:
    cross = money.wallet_e8 - money.isolated_total_e8
    return {
        "asset": "USDT",
        "walletBalance": e8(money.wallet_e8),
        "unrealizedProfit": e8(money.unrealised_e8),
        "marginBalance": e8(money.wallet_e8 + money.unrealised_e8),
        "maintMargin": e8(money.maintenance_total_e8),
        "initialMargin": e8(money.initial_total_e8 + money.orders_total_e8),
        "positionInitialMargin": e8(money.initial_total_e8),
        "openOrderInitialMargin": e8(money.orders_total_e8),
        "crossWalletBalance": e8(cross),
        "crossUnPnl": e8(money.unrealised_e8 - money.isolated_unrealised_e8),
        "availableBalance": e8(money.available()),
        "maxWithdrawAmount": e8(max(0, min(money.available(), cross))),
        "updateTime": now_ms,
    }


def _coin(asset: str, wallet_e8: int, now_ms: int) -> dict[str, Any]:
    zeros = ("maintMargin", "initialMargin", "positionInitialMargin", "openOrderInitialMargin", "crossUnPnl")
    held = ("walletBalance", "marginBalance", "crossWalletBalance", "availableBalance", "maxWithdrawAmount")
    rest = {"unrealizedProfit": e8(0), "updateTime": now_ms}
    return {"asset": asset} | dict.fromkeys(held, e8(wallet_e8)) | dict.fromkeys(zeros, e8(0)) | rest


def _totals(money: Account) -> dict[str, Any]:
    cross = money.wallet_e8 - money.isolated_total_e8
    return {
        "totalInitialMargin": e8(money.initial_total_e8 + money.orders_total_e8),
        "totalMaintMargin": e8(money.maintenance_total_e8),
        "totalWalletBalance": e8(money.wallet_e8),
        "totalUnrealizedProfit": e8(money.unrealised_e8),
        "totalMarginBalance": e8(money.equity()),
        "totalPositionInitialMargin": e8(money.initial_total_e8),
        "totalOpenOrderInitialMargin": e8(money.orders_total_e8),
        "totalCrossWalletBalance": e8(cross),
        "totalCrossUnPnl": e8(money.unrealised_e8 - money.isolated_unrealised_e8),
        "availableBalance": e8(money.available()),
        "maxWithdrawAmount": e8(max(0, min(money.available(), cross))),
    }


def balances(money: Account, alias: str, now_ms: int) -> list[dict[str, Any]]:
    """Return the answer of v2 and v3 balance."""
    return [
        {
            "accountAlias": alias,
            "asset": row["asset"],
            "balance": row["walletBalance"],
            "crossWalletBalance": row["crossWalletBalance"],
            "crossUnPnl": row["crossUnPnl"],
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": now_ms,
        }
        for row in _asset_rows(money, now_ms)
    ]


def account_v3(money: Account, symbols: Sequence[Symbol], ledger: Ledger, now_ms: int) -> dict[str, Any]:
    """Return the answer of v3 account: only what is held or has open orders."""
    rows = [
        {
            "symbol": symbol.name,
            "positionSide": side,
            "positionAmt": symbol.quantity(held["lots"]),
            "unrealizedProfit": e8(held["value_e8"] - held["cost_e8"]),
            "isolatedMargin": e8(_isolated_margin(held) if margins["isolated"] else 0),
            "notional": e8(held["value_e8"]) if held["lots"] else "0",
            "isolatedWallet": e8(held["isolated_e8"]) if margins["isolated"] else "0",
            "initialMargin": _or_zero(_initial(held, margins) + _orders(side, margins)),
            "maintMargin": _or_zero(held["maintenance_e8"]),
            "updateTime": ledger.leg(symbol.index, leg).updated_ms,
        }
        for symbol, leg, side, held, margins in _legs(money, symbols)
        if held["lots"] or margins["open_orders"]
    ]
    return _totals(money) | {"assets": _asset_rows(money, now_ms), "positions": rows}


def account_v2(money: Account, symbols: Sequence[Symbol], ledger: Ledger, fee_tier: int, now_ms: int) -> dict[str, Any]:
    """Return the answer of v2 account: every symbol."""
    head = {
        "feeTier": fee_tier,
        "feeBurn": money.fee_coin,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": money.multi_assets,
        "tradeGroupId": -1,
    }
    rows = [
        {
            "symbol": symbol.name,
            "initialMargin": _or_zero(_initial(held, margins) + _orders(side, margins)),
            "maintMargin": _or_zero(held["maintenance_e8"]),
            "unrealizedProfit": e8(held["value_e8"] - held["cost_e8"]),
            "positionInitialMargin": _or_zero(_initial(held, margins)),
            "openOrderInitialMargin": _or_zero(_orders(side, margins)),
            "leverage": str(margins["leverage"]),
            "isolated": bool(margins["isolated"]),
            "entryPrice": trimmed(entry(symbol, held["lots"], held["cost_e8"]), 5),
            "breakEvenPrice": trimmed(break_even(symbol, held["lots"], held["cost_e8"], ledger.leg(symbol.index, leg))),
            "maxNotional": max_notional_value(money, symbol),
            "bidNotional": plain(margins["open_e8"][leg][0]),
            "askNotional": plain(margins["open_e8"][leg][1]),
            "positionSide": side,
            "positionAmt": symbol.quantity(held["lots"]),
            "notional": e8(held["value_e8"]) if held["lots"] else "0",
            "isolatedWallet": e8(held["isolated_e8"]) if margins["isolated"] else "0",
            "updateTime": ledger.leg(symbol.index, leg).updated_ms,
        }
        for symbol, leg, side, held, margins in _legs(money, symbols)
    ]
    assets = [row | {"marginAvailable": True} for row in _asset_rows(money, now_ms)]
    return head | _totals(money) | {"assets": assets, "positions": rows}


def risk_v3(
    money: Account, symbols: Iterable[Symbol], ledger: Ledger, adl: dict[tuple[int, int], int]
) -> list[dict[str, Any]]:
    """Return the answer of v3 positionRisk: only what is held or has open orders."""
    return [
        {
            "symbol": symbol.name,
            "positionSide": side,
            "positionAmt": symbol.quantity(held["lots"]),
            "entryPrice": trimmed(entry(symbol, held["lots"], held["cost_e8"])),
            "breakEvenPrice": trimmed(break_even(symbol, held["lots"], held["cost_e8"], ledger.leg(symbol.index, leg))),
            "markPrice": e8(margins["mark_e8"]),
            "unRealizedProfit": e8(held["value_e8"] - held["cost_e8"]),
            "liquidationPrice": _liquidation(money, symbol, leg, held),
            "isolatedMargin": e8(_isolated_margin(held)) if margins["isolated"] else "0",
            "notional": e8(held["value_e8"]) if held["lots"] else "0",
            "marginAsset": symbol.quote,
            "isolatedWallet": e8(held["isolated_e8"]) if margins["isolated"] else "0",
            "initialMargin": _or_zero(_initial(held, margins) + _orders(side, margins)),
            "maintMargin": _or_zero(held["maintenance_e8"]),
            "positionInitialMargin": _or_zero(_initial(held, margins)),
            "openOrderInitialMargin": _or_zero(_orders(side, margins)),
            "adl": adl.get((symbol.index, leg), 0),
            "bidNotional": plain(margins["open_e8"][leg][0]),
            "askNotional": plain(margins["open_e8"][leg][1]),
            "updateTime": ledger.leg(symbol.index, leg).updated_ms,
        }
        for symbol, leg, side, held, margins in _legs(money, symbols)
        if held["lots"] or margins["open_orders"]
    ]


def risk_v2(money: Account, symbols: Iterable[Symbol], ledger: Ledger) -> list[dict[str, Any]]:
    """Return the answer of v2 positionRisk: every symbol, in hedge mode both its legs."""
    return [
        {
            "symbol": symbol.name,
            "positionAmt": symbol.quantity(held["lots"]),
            "entryPrice": trimmed(entry(symbol, held["lots"], held["cost_e8"])),
            "breakEvenPrice": trimmed(break_even(symbol, held["lots"], held["cost_e8"], ledger.leg(symbol.index, leg))),
            "markPrice": e8(margins["mark_e8"]),
            "unRealizedProfit": e8(held["value_e8"] - held["cost_e8"]),
            "liquidationPrice": _liquidation(money, symbol, leg, held),
            "leverage": str(margins["leverage"]),
            "maxNotionalValue": max_notional_value(money, symbol),
            "marginType": "isolated" if margins["isolated"] else "cross",
            "isolatedMargin": e8(_isolated_margin(held) if margins["isolated"] else 0),
            "isAutoAddMargin": "false",
            "positionSide": side,
            "notional": e8(held["value_e8"]) if held["lots"] else "0",
            "isolatedWallet": e8(held["isolated_e8"]) if margins["isolated"] else "0",
            "updateTime": ledger.leg(symbol.index, leg).updated_ms,
        }
        for symbol, leg, side, held, margins in _legs(money, symbols)
    ]


def _legs(
    money: Account, symbols: Iterable[Symbol]
) -> Iterable[tuple[Symbol, int, str, dict[str, int], dict[str, Any]]]:
    for symbol in symbols:
        margins = money.margins_of(symbol.index)
        for leg in range(2 if money.hedge else 1):
            side = _SIDES[1 + leg] if money.hedge else _SIDES[0]
            yield symbol, leg, side, money.position(symbol.index, leg), margins


def _or_zero(value_e8: int) -> str:
    return e8(value_e8) if value_e8 else "0"


def _initial(held: dict[str, int], margins: dict[str, Any]) -> int:
    return abs(held["value_e8"]) // int(margins["leverage"])


def _orders(side: str, margins: dict[str, Any]) -> int:
    # The venue counts what open orders need by symbol; in hedge mode it stands at the long leg.
    return int(margins["orders_e8"]) if side != "SHORT" else 0


def _isolated_margin(held: dict[str, int]) -> int:
    return held["isolated_e8"] + held["value_e8"] - held["cost_e8"]


def _liquidation(money: Account, symbol: Symbol, leg: int, held: dict[str, int]) -> str:
    price = money.liquidation(symbol.index, leg) if held["lots"] else 0
    return e8(price) if price else "0"


def adl_ranks(accounts: Sequence[Account], account: int, symbols: Sequence[Symbol]) -> dict[tuple[int, int], int]:
    """Return where the account's legs stand in the queue of deleveraging, 0 (low) to 4, by (symbol, leg).

    Notes
    -----
    Profit in percent times effective leverage ranks what gains, profit divided by it what loses, among all who hold
    the same side.
    """
    ranks = {}
    for symbol in symbols:
        for leg in range(2):
            held = accounts[account].position(symbol.index, leg)
            if not held["lots"]:
                continue
            mine = _adl_score(accounts[account], held)
            others = [
                _adl_score(money, theirs)
                for money in accounts
                for side in range(2)
                for theirs in [money.position(symbol.index, side)]
                if theirs["lots"] and (theirs["lots"] > 0) == (held["lots"] > 0)
            ]
            ranks[symbol.index, leg] = min(4, 5 * sum(score <= mine for score in others) // (len(others) + 1))
    return ranks


def _adl_score(money: Account, held: dict[str, int]) -> float:
    share = (held["value_e8"] - held["cost_e8"]) / max(1, abs(held["cost_e8"]))
    leverage = abs(held["value_e8"]) / max(1, money.equity())
    return share * leverage if share > 0 else share / max(leverage, 1e-9)
