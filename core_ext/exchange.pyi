"""The simulated venue."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.book import Book
from core_ext.fault import Faults
from core_ext.perpetual import Perpetual
from core_ext.types import Instruments

MARK_SOURCES: tuple[str, ...]

@final
class Exchange:
    """The venue behind a backtest, a paper run or a loopback server."""

    @property
    def instruments(self) -> Instruments:
        """Instruments of the run."""

    @property
    def accounts(self) -> list[Account]:
        """Accounts at the venue, by number."""

    @property
    def fund(self) -> Account:
        """The insurance fund: takes positions over, never below zero."""

    @property
    def perpetuals(self) -> list[Perpetual]:
        """Mark and funding of a synthetic market, by symbol."""

    @property
    def faults(self) -> Faults | None:
        """When the venue refuses, loses or delays."""

    @property
    def synthetic(self) -> bool:
        """Whether the book is the accounts' own orders."""

    @property
    def books(self) -> list[Book]:
        """Order books as the venue shows them, by symbol."""

    @property
    def liquidations(self) -> int:
        """Liquidations so far."""

    def __init__(
        self,
        instruments: Instruments,
        accounts: list[Account],
        mark_sources: list[str],
        half_spread: float,
        impact: float,
        grace_ns: int,
        stream_funding: bool = True,
        window_bits: int = 16,
        queue: str = "pessimistic",
        recovery_ns: int = 0,
        fund_e8: int = 10**17,
        synthetic: bool = False,
        faults: Faults | None = None,
    ) -> None: ...
    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Let the market move; return what the venue says, as an array."""

    def settle(self, now: int) -> NDArray[np.void]:
        """Settle every funding stamp up to now that no row has led to; return what the venue says."""

    def resting(self, symbol: int) -> list[dict[str, Any]]:
        """Return the open orders of a symbol, oldest first."""

    def place_order(
        self,
        now: int,
        client_id: int,
        symbol: int,
        side: int,
        lots: int = 0,
        price_ticks: int = 0,
        account: int = 0,
        type: int = -1,
        tif: int = 0,
        reduce_only: bool = False,
        position_side: int = 0,
        trigger_ticks: int = 0,
        activate_ticks: int = 0,
        callback_e8: int = 0,
        good_till: int = 0,
        stp: int = 0,
        price_match: int = 0,
        terms: int = 0,
        amends: bool = False,
        test: bool = False,
    ) -> NDArray[np.void]:
        """Hand over a client's order, or a new price and quantity for one; return what the venue says."""

    def cancel_order(self, now: int, client_id: int, symbol: int, account: int = 0) -> NDArray[np.void]:
        """Cancel a client's order; return what the venue says."""

    def query_order(self, now: int, client_id: int, symbol: int, account: int = 0) -> NDArray[np.void]:
        """Ask what has become of an order; return what the venue says: nothing more than its fills if it is filled."""

    def set(self, now: int, symbol: int, setting: int, value: int, account: int = 0) -> int:
        """Change a setting of an account (``types.Setting``); return the exchange's code, 0 when it is done."""

    def add_margin(self, now: int, symbol: int, amount_e8: int, leg: int = 0, account: int = 0) -> int:
        """Move USDT into an isolated leg (negative: out of it); return the exchange's code, 0 when it is done."""

    def deposit(self, now: int, asset: int, amount_e8: int, account: int = 0) -> int:
        """Move an asset into the futures wallet (negative: out); return the exchange's code, 0 when it is done."""

    def close_position(
        self, now: int, symbol: int, lots: int, price: int, cause: int, leg: int = 0, account: int = 0
    ) -> NDArray[np.void]:
        """Close signed lots of a leg by force, as a settlement or a deleveraging does; return what the venue says."""

    def liquidate_account(self, now: int, account: int = 0) -> NDArray[np.void]:
        """Liquidate what an account holds in cross margin, whatever its margin; return what the venue says."""

    def after(self) -> NDArray[np.void]:
        """Return for each row said last: to whom (a) and, where it booked something, what that account then holds."""

    def said(self) -> tuple[NDArray[np.void], list[int]]:
        """Return what the venue said since the last request or feed, and to whom (-1: to everybody)."""

    def algos(self, symbol: int) -> list[dict[str, Any]]:
        """Return the conditional orders of a symbol that wait for their trigger, oldest first."""

    def check(self, symbol: int, account: int) -> None:
        """Raise IndexError for a symbol or an account that the venue does not have."""

    def open_book(self, symbol: int) -> None:
        """Begin a synthetic book: empty, and known to be so."""
