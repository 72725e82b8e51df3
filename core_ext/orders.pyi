"""The order table: legal transitions as data, exposure as running totals."""

from typing import Any, final

from core_ext.account import Account

@final
class Orders:
    """Our orders."""

    @property
    def open_orders(self) -> int:
        """Open orders of all symbols."""

    @property
    def unknown(self) -> int:
        """Orders whose outcome is not known."""

    @property
    def epoch(self) -> int:
        """Upper 32 bits of every client order id of this run."""

    @property
    def next_count(self) -> int:
        """Count from which the next client order id is sought."""

    @property
    def illegal(self) -> int:
        """Evidence so far that no state allows."""

    @property
    def late(self) -> int:
        """Fills so far of orders believed dead, or of more than was left."""

    def __init__(self, epoch: int) -> None: ...
    def sound(self) -> bool:
        """Return whether the running totals are those of the table."""

    def attach(self, account: Account) -> None:
        """Keep the margin of open orders in this account from here on."""

    def insert_for_test(
        self,
        symbol: int,
        side: int,
        price_ticks: int,
        lots: int,
        reduce_only: bool = False,
        position_side: int = 0,
        type: int = 0,
        terms: int = 0,
    ) -> int:
        """Put an order into its place without asking risk and return its client id; tests only."""

    def ask(self, client_id: int, price_ticks: int, lots: int) -> None:
        """Count an amendment that has been asked for: until it is answered the worst is exposure."""

    def amended(self, client_id: int, price_ticks: int, lots: int, ts: int = 0) -> bool:
        """Apply the venue's new price and quantity; return whether the state allowed it."""

    def sized(self, client_id: int, lots: int, ts: int = 0) -> bool:
        """Apply the quantity of a close position order; return whether it had none before."""

    def evidence(self, client_id: int, evidence: int, ts: int = 0) -> bool:
        """Apply evidence by its number; return whether the state allowed it."""

    def fill(self, client_id: int, lots: int, ts: int = 0) -> bool:
        """Apply a fill; return whether the order could have it."""

    def exposure(self, symbol: int, side: int, leg: int = 0) -> dict[str, int]:
        """Return the open lots, value, reducing lots and orders of one side of a symbol's leg."""

    def order(self, client_id: int) -> dict[str, Any]:
        """Return an order's fields, its state by name."""

    def state(self) -> tuple[Any, ...]:
        """Return the open orders, and of the ended ones what late evidence would meet, as plain values."""

    def rows(self) -> list[dict[str, int]]:
        """Return every order that the table still holds, oldest first."""

def transitions() -> list[list[int]]:
    """Return the transition table as rows of states by columns of evidence (254 stays, 255 illegal)."""
