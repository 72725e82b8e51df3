"""The account: bookings, running totals, margin and liquidation price."""

from typing import final

from core_ext.types import Instruments

@final
class Account:
    """One account at the exchange."""

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

    def __init__(self, instruments: Instruments, start_e8: int) -> None: ...
    def fill(self, symbol: int, lots: int, price_ticks: int, fee_e8: int) -> int:
        """Book a fill (lots: buy positive); return the realised profit in 1e-8 USDT, gross of the fee."""

    def mark(self, symbol: int, mark_e8: int) -> None:
        """Set a symbol's mark price (1e-8 USDT)."""

    def take_over(self, symbol: int, price_e8: int, fee_e8: int) -> int:
        """Close the whole position at a price that may be on no tick; return the realised profit."""

    def funding_amount(self, symbol: int, rate_e8: int, mark_e8: int) -> int:
        """Return what the account would receive at a funding stamp, 1e-8 USDT."""

    def pay_funding(self, symbol: int, amount_e8: int) -> None:
        """Book a funding payment (received positive)."""

    def transfer(self, amount_e8: int) -> None:
        """Move USDT from the spot wallet into this one (negative: back)."""

    def spot_deposit(self, amount_e8: int, symbol: int = 128) -> None:
        """Add to a spot wallet: a symbol's base coin, or USDT when no symbol is given."""

    def spot(self, symbol: int = 128) -> int:
        """Return a spot wallet's balance, eight decimals."""

    def position(self, symbol: int) -> dict[str, int]:
        """Return a position's fields."""

    def liquidation(self, symbol: int) -> int:
        """Return the liquidation price of the position as it stands, 1e-8 USDT, 0 for none."""

    def equity(self) -> int:
        """Return wallet plus unrealised profit, 1e-8 USDT."""

    def reconcile(self) -> int:
        """Return the difference that the accounts leave unexplained; 0 always."""

    def check(self, symbol: int) -> None:
        """Raise IndexError for a symbol that the run does not have."""

def maintenance_margin(instruments: Instruments, symbol: int, amount_e8: int) -> int:
    """Return the maintenance margin of a notional, 1e-8 USDT (notional * rate - maintenance amount)."""

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
