"""Who has an account at the exchange: the accounts file.

Knows its tables, and the account that there is without a file. Refuses to know what an account does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from autotrader.adapters.loopback.codes import Refusal
from autotrader.adapters.loopback.signatures import Key
from autotrader.adapters.loopback.symbols import COINS, money
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["DEMO", "PERMISSIONS", "SAFE", "AccountSetup", "load_accounts"]

_MOST = 64
PERMISSIONS = (
    "ipRestrict", "enableReading", "enableFutures", "enableWithdrawals", "enableInternalTransfer",
    "permitsUniversalTransfer", "enableMargin", "enableSpotAndMarginTrading", "enableVanillaOptions",
    "enableFixApiTrade", "enableFixReadOnly", "enablePortfolioMarginTrading",
)  # fmt: skip
# What a key that trades futures needs, and nothing that moves money.
SAFE = frozenset(("ipRestrict", "enableReading", "enableFutures"))


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    api_key: str
    api_secret: str = ""
    public_key: str = ""
    kind: str = "hmac"
    usdt: str = "10000"
    bnb: str = "0"
    usdc: str = "0"
    btc: str = "0"
    eth: str = "0"
    hedge_mode: bool = False
    multi_assets: bool = False
    pay_fees_in_bnb: bool = False
    permissions: list[str] | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: list[_Table]


@dataclass(frozen=True, slots=True)
class AccountSetup:
    """An account as it opens.

    Attributes
    ----------
    key : Key
        What its requests are signed with.
    wallets_e8 : tuple of int
        USDT, BNB, USDC, BTC and ETH, eight decimals.
    hedge, multi_assets, fee_coin : bool
    permissions : frozenset of str
        What the exchange says that the key may do; nothing is refused for it here.
    """

    key: Key
    wallets_e8: tuple[int, ...]
    hedge: bool = False
    multi_assets: bool = False
    fee_coin: bool = False
    permissions: frozenset[str] = SAFE

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return self.key.name


# On loopback a key is a name and no secret: whoever reaches the port may print it.
DEMO = (AccountSetup(Key("demo", "loopback-demo-key", "hmac", "loopback-demo-secret"), (10_000 * 10**8, 0, 0, 0, 0)),)


def load_accounts(path: Path) -> Sequence[AccountSetup]:
    """Return the accounts of a TOML file.

    Raises
    ------
    OperatorError
        If it cannot be read, has no account, names one twice, or a value makes no sense.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = msgspec.convert(data, _File, strict=True).account
    except OSError as error:
        raise OperatorError(say("loopback.accounts_unreadable", file=path, reason=error.strerror)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise OperatorError(say("loopback.accounts_syntax", file=path, reason=error)) from None
    if not 0 < len(tables) <= _MOST:
        raise OperatorError(say("loopback.accounts_count", file=path, most=_MOST))
    for what in ("name", "api_key"):
        values = [getattr(table, what) for table in tables]
        if len(set(values)) < len(values) or not all(values):
            raise OperatorError(say("loopback.accounts_twice", file=path, key=what))
    return [_setup(path, table) for table in tables]


def _setup(path: Path, table: _Table) -> AccountSetup:
    secret = table.api_secret if table.kind == "hmac" else table.public_key
    if not secret:
        wanted = "api_secret" if table.kind == "hmac" else "public_key"
        raise OperatorError(say("loopback.accounts_key", file=path, name=table.name, key=wanted))
    kind: Any = table.kind
    wallets = tuple(_amount(path, table, asset.lower()) for asset in COINS)
    try:
        key = Key(table.name, table.api_key, kind, secret)
    except OperatorError as error:
        raise OperatorError(say("loopback.accounts_syntax", file=path, reason=error)) from None
    permissions = SAFE if table.permissions is None else frozenset(table.permissions)
    for name in permissions.difference(PERMISSIONS):
        choices = ", ".join(PERMISSIONS)
        raise OperatorError(
            say("loopback.accounts_permission", file=path, name=table.name, found=name, choices=choices)
        )
    return AccountSetup(key, wallets, table.hedge_mode, table.multi_assets, table.pay_fees_in_bnb, permissions)


def _amount(path: Path, table: _Table, asset: str) -> int:
    text = getattr(table, asset)
    try:
        amount = money(text)
    except Refusal:
        amount = -1
    if not 0 <= amount <= 10**17:
        raise OperatorError(say("loopback.accounts_amount", file=path, name=table.name, key=asset, found=text))
    return amount
