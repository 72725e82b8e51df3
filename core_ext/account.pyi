"""The account: bookings, running totals, margin and liquidation price."""

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core_ext.types import Instruments

@final
class Account:
    """One account at the exchange."""

    @property
    def hedge(self) -> bool:
        """Whether the account has long and short legs."""

    @property
    def multi_assets(self) -> bool:
        """Whether every margin coin is collateral."""

    @property
    def fee_coin(self) -> bool:
        """Whether fees are paid in the fee coin while there is some."""

    @property
    def start_e8(self) -> int:
        """Starting wallet, 1e-8 USDT."""

    @property
    def wallet_e8(self) -> int:
        """Wallet, 1e-8 USDT."""

    @property
    def realised_e8(self) -> int:
        """Realised profit so far, gross of fees and funding, 1e-8 USDT."""

    @property
    def fees_e8(self) -> int:
        """Trading and liquidation fees so far, 1e-8 USDT."""

    @property
    def liquidation_fees_e8(self) -> int:
        """Liquidation fees so far, 1e-8 USDT; the fees hold them too."""

    @property
    def funding_e8(self) -> int:
        """Funding so far, received positive, 1e-8 USDT."""

    @property
    def transfers_e8(self) -> int:
        """Transfers into the wallet so far, out of it negative, 1e-8 USDT."""

    @property
    def unrealised_e8(self) -> int:
        """Unrealised profit of the open positions at their marks, 1e-8 USDT."""

    @property
    def cost_e8(self) -> int:
        """Signed cost of all open positions, 1e-8 USDT."""

    @property
    def maintenance_total_e8(self) -> int:
        """Maintenance margin of all positions, 1e-8 USDT."""

    @property
    def initial_total_e8(self) -> int:
        """Initial margin of all positions, 1e-8 USDT."""

    @property
    def gross_e8(self) -> int:
        """Sum of the absolute values of all positions, 1e-8 USDT."""

    @property
    def net_e8(self) -> int:
        """Sum of the signed values of all positions, 1e-8 USDT."""

    @property
    def turnover_e8(self) -> int:
        """Notional of all fills so far, 1e-8 USDT."""

    @property
    def orders_total_e8(self) -> int:
        """Margin of the open orders beyond that of the positions, 1e-8 USDT."""

    @property
    def collateral_e8(self) -> int:
        """What the other margin coins are worth as collateral, 1e-8 USDT; 0 in single-asset mode."""

    @property
    def isolated_total_e8(self) -> int:
        """Wallets of the isolated legs, 1e-8 USDT."""

    @property
    def isolated_unrealised_e8(self) -> int:
        """Unrealised profit of the isolated legs, 1e-8 USDT."""

    @property
    def isolated_maintenance_e8(self) -> int:
        """Maintenance margin of the isolated legs, 1e-8 USDT."""

    @property
    def isolated_initial_e8(self) -> int:
        """Initial margin of the isolated legs, 1e-8 USDT."""

    def __init__(self, instruments: Instruments, start_e8: int) -> None: ...
    def fill(self, symbol: int, lots: int, price_ticks: int, fee_e8: int, leg: int = 0, in_coin: bool = False) -> int:
        """Book a fill (lots: buy positive); return the realised profit in 1e-8 USDT, gross of the fee."""

    def mark(self, symbol: int, mark_e8: int) -> None:
        """Set a symbol's mark price (1e-8 USDT)."""

    def take_over(self, symbol: int, price_e8: int, fee_e8: int, leg: int = 0, lots: int = 0) -> int:
        """Close lots of a leg (0: all) at a price that may be on no tick; return the realised profit."""

    def funding_amount(self, symbol: int, rate_e8: int, mark_e8: int, leg: int = 0) -> int:
        """Return what a leg would receive at a funding stamp, 1e-8 USDT."""

    def pay_funding(self, symbol: int, amount_e8: int, leg: int = 0) -> None:
        """Book a funding payment (received positive)."""

    def transfer(self, amount_e8: int, asset: int = 0) -> None:
        """Move an asset (``types.Asset``) from the spot wallet into this one (negative: back)."""

    def move_margin(self, symbol: int, amount_e8: int, leg: int = 0) -> int:
        """Move USDT from cross into an isolated leg (negative: back); return 0, or the exchange's code."""

    def index(self, asset: int, price_e8: int) -> None:
        """Set what a margin coin is worth, 1e-8 USDT."""

    def haircut(self, asset: int, ratio_e8: int) -> None:
        """Set the share of a margin coin's value that counts as collateral, 1e-8."""

    def coin_fee(self, fee_e8: int) -> int:
        """Return what a USDT fee is in the fee coin, discount included; 0 when it is paid in USDT."""

    def set(self, symbol: int, setting: int, value: int) -> int:
        """Change a setting (``types.Setting``); return 0, or the exchange's code for refusing it."""

    def told(self, symbol: int, setting: int, value: int) -> None:
        """Take over a setting that the venue reports, whatever stands; one that makes no sense is ignored."""

    def open(self, symbol: int, side: int, amount_e8: int, orders: int = 1, leg: int = 0) -> None:
        """Count an open order of this notional (negative, with orders -1: it is gone)."""

    def order_cost(self, symbol: int, side: int, price_e8: int, lots: int, leg: int = 0) -> int:
        """Return what one more order would take from the available balance, 1e-8 USDT."""

    def spot_deposit(self, amount_e8: int, symbol: int = 128) -> None:
        """Add to a spot wallet: a symbol's base coin, or USDT when no symbol is given."""

    def spot(self, symbol: int = 128) -> int:
        """Return a spot wallet's balance, eight decimals."""

    def position(self, symbol: int, leg: int = 0) -> dict[str, int]:
        """Return a leg's fields, and its symbol's mark."""

    def margins_of(self, symbol: int) -> dict[str, Any]:
        """Return a symbol's leverage, margin type, open orders and initial margin."""

    def asset(self, asset: int) -> dict[str, int]:
        """Return a margin coin's wallet, transfers, fees, price and collateral ratio, and its spot balance."""

    def liquidation(self, symbol: int, leg: int = 0) -> int:
        """Return the liquidation price of the leg as it stands, 1e-8 USDT, 0 for none."""

    def bankruptcy(self, symbol: int, leg: int = 0) -> int:
        """Return the price at which nothing is left behind the leg, 1e-8 USDT, 0 without a position."""

    def equity(self) -> int:
        """Return the margin balance: wallet, unrealised profit, and collateral in multi-assets mode, 1e-8 USDT."""

    def cross_equity(self) -> int:
        """Return the margin balance that the cross positions share, 1e-8 USDT."""

    def cross_maintenance(self) -> int:
        """Return the maintenance margin of the cross positions, 1e-8 USDT."""

    def margin_ratio(self) -> int:
        """Return the largest maintenance margin over margin balance of what is liquidated together, 1e-8."""

    def available(self) -> int:
        """Return what new orders and withdrawals may use, 1e-8 USDT."""

    def reconcile(self) -> int:
        """Return the difference that the accounts leave unexplained; 0 always."""

    def recompute(self) -> list[str]:
        """Return the names of the running figures that differ from the ones worked out anew; none is right."""

    def state(self) -> tuple[Any, ...]:
        """Return everything that the account remembers, as plain values."""

    def check(self, symbol: int, leg: int = 0) -> None:
        """Raise IndexError for a symbol or leg that the account does not have."""

    def check_coin(self, asset: int) -> None:
        """Raise IndexError for what is no margin coin besides USDT."""

def maintenance_margin(instruments: Instruments, symbol: int, amount_e8: int) -> int:
    """Return the maintenance margin of a notional, 1e-8 USDT (notional * rate - maintenance amount)."""

def max_notional(instruments: Instruments, symbol: int, leverage: int) -> int:
    """Return the largest notional that a leverage may carry, 1e-8 USDT; 0 for one that no bracket allows."""

def liquidation_price(
    instruments: Instruments,
    symbol: int,
    longs: int,
    shorts: int,
    cost_e8: int,
    wallet_e8: int,
    other_unrealised_e8: int = 0,
    other_maintenance_e8: int = 0,
) -> int:
    """Return the liquidation price of a cross or isolated position, hedge legs included, in 1e-8 USDT; 0 for none."""

def margin_table(
    instruments: Instruments,
    lots: ArrayLike,
    cost_e8: ArrayLike,
    mark_e8: ArrayLike,
    wallet_e8: ArrayLike,
    leverage: ArrayLike,
    isolated: ArrayLike | None = None,
    isolated_e8: ArrayLike | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Return what each of N portfolios needs and where each of its legs is liquidated, as arrays."""
