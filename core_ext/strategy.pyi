"""The desk and the strategy."""

from collections.abc import Iterable, Mapping
from typing import Any, final

from core_ext.account import Account
from core_ext.book import Book
from core_ext.orders import Orders
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Instruments, SelfTrade, TimeInForce

@final
class Desk:
    """What a strategy sees and may ask for."""

    @property
    def instruments(self) -> Instruments:
        """Instruments of the run."""

    @property
    def markets(self) -> Markets:
        """Features of every symbol."""

    @property
    def account(self) -> Account:
        """Account as the engine believes it to be."""

    @property
    def orders(self) -> Orders:
        """Table of our orders."""

    @property
    def gate(self) -> RiskGate:
        """Risk gate that every order passes."""

    @property
    def books(self) -> list[Book]:
        """Order books, by symbol."""

    @property
    def now(self) -> int:
        """Stamp of the event being handled, ns."""

    @property
    def last_reason(self) -> int:
        """Reason of the last order that was asked for."""

    witness: Any
    """Told of every size (``sized``) and of every order before it is judged (``asked``); None outside of replays."""

    def __init__(
        self,
        instruments: Instruments,
        markets: Markets,
        account: Account,
        orders: Orders,
        gate: RiskGate,
        books: list[Book],
        sizing: dict[str, float],
    ) -> None: ...
    def submit(
        self,
        symbol: int,
        side: int,
        lots: int,
        price_ticks: int = 0,
        tif: int = TimeInForce.GTC,
        reduce_only: bool = False,
        limiting: int = 0,
        position_side: int = 0,
    ) -> int:
        """Ask for a limit or market order; return its client id, 0 when risk refuses it (``last_reason`` says why)."""

    def order(
        self,
        symbol: int,
        side: int,
        type: int,
        lots: int = 0,
        *,
        price_ticks: int = 0,
        trigger_ticks: int = 0,
        activate_ticks: int = 0,
        callback_e8: int = 0,
        good_till: int = 0,
        tif: int = TimeInForce.GTC,
        reduce_only: bool = False,
        position_side: int = 0,
        stp: int = SelfTrade.EXPIRE_MAKER,
        price_match: int = 0,
        terms: int = 0,
        edge_e8: int = 0,
        intent: int = 0,
        reprice: bool = False,
        limiting: int = 0,
    ) -> int:
        """Ask for an order of any kind; return its client id, 0 when risk refuses it (``last_reason`` says why)."""

    def batch(self, orders: Iterable[Mapping[str, Any]]) -> list[int]:
        """Ask for several orders at once, each a dict of ``order``'s arguments; return their client ids."""

    def amend(self, client_id: int, price_ticks: int, lots: int, intent: int = 0) -> bool:
        """Ask for a new price and whole quantity of a limit order; return whether risk lets it through."""

    def close(self, symbol: int, leg: int, lots: int, limiting: int = 0) -> int:
        """Ask for a market order that takes lots (not more than a market order may have) off a leg."""

    def query(self, client_id: int) -> int:
        """Ask the venue what has become of an order."""

    def cancel(self, client_id: int) -> bool:
        """Ask for an order to be cancelled; return whether there is such an order and it was not asked before."""

    def cancel_all(self, symbol: int = -1, keep_reducing: bool = False) -> int:
        """Ask for every open order (of a symbol) to be cancelled; return how many."""

    def set_timer(self, timer_id: int, due: int) -> int:
        """Ask to be woken at ``due`` (ns); it comes back as an event."""

    def trade_to(self, symbol: int, target_lots: int, limiting: int = 0) -> int:
        """Ask for the market order that brings the position to a target (buy positive)."""

    def size(
        self,
        symbol: int,
        signal: float,
        volatility: float,
        target_volatility: float,
        sharpe_mean: float,
        sharpe_sd: float,
    ) -> tuple[int, int]:
        """Return (lots, limiting factor) of the position that an edge deserves; lots have the signal's sign."""

    def position(self, symbol: int) -> int:
        """Return the position in lots, buy positive; the sum of both legs in hedge mode."""

    def pending(self, symbol: int) -> bool:
        """Return whether any order of a symbol is live, pending or unknown."""

    def last_price(self, symbol: int) -> float:
        """Return the last price in the quote coin; 0.0 before the first."""

    def touch(self, symbol: int) -> tuple[int, int, int, int]:
        """Return (bid ticks, bid lots, ask ticks, ask lots); zeros for an empty side."""

    def equity(self) -> float:
        """Return the equity in USDT."""

    @property
    def symbols(self) -> list[str]:
        """The run's symbols, by index."""

class Strategy:
    """A strategy: override what you need."""

    desk: Desk
    """Where the strategy sees the state and asks; the engine sets it."""
    def __init__(self) -> None: ...
    def start(self) -> None:
        """Prepare: the desk is there, the run's first event is being handled."""

    def on_book(self, symbol: int) -> None:
        """React to a new touch of a symbol whose book is usable."""

    def on_bars(self) -> None:
        """React to the candles that closed at ``desk.now``, all symbols together."""

    def on_timer(self, timer_id: int) -> None:
        """React to a wake-up that was asked for."""

    def on_fill(self, symbol: int, lots: int, price_ticks: int) -> None:
        """React to a fill of ours (lots: buy positive)."""

    def snapshot(self) -> object:
        """Return the strategy's whole state."""
