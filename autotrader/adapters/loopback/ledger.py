"""What the exchange keeps for one account beside its money: orders, trades, income, and what its legs have paid.

Knows how long each is kept and how it is found. Refuses to know what an order does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from autotrader.adapters.loopback.codes import refusal
from autotrader.adapters.loopback.orders import Algo, Income, Order, Trade

__all__ = ["Ledger", "Leg"]

DAY_MS = 86_400_000
_UNFILLED_MS = 3 * DAY_MS
_ALL_MS = 90 * DAY_MS
_MOST_ORDERS = 200_000
_MOST_ROWS = 200_000


@dataclass(slots=True)
class Leg:
    """What a leg has paid and won since it was opened, and what stands behind it alone."""

    fees_e8: int = 0
    realised_e8: int = 0
    isolated_e8: int = 0
    updated_ms: int = 0


@dataclass(slots=True)
class Ledger:
    """One account's records.

    Attributes
    ----------
    name : str
    shown : bool
        Whether anybody asks for it; the participants of a synthetic market keep no history.
    coins : dict of str to int
        Wallets of the coins besides USDT, 1e-8, as of what was booked last: several fills of one request are told one
        by one, each with the wallets that it left.
    """

    name: str
    shown: bool = True
    orders: dict[int, Order] = field(default_factory=dict)
    algos: dict[int, Algo] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    open_algos: dict[int, Algo] = field(default_factory=dict)
    by_client: dict[str, Order] = field(default_factory=dict)
    algo_by_client: dict[str, Algo] = field(default_factory=dict)
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=_MOST_ROWS))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=_MOST_ROWS))
    forced: deque[Order] = field(default_factory=lambda: deque(maxlen=1000))
    moves: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=1000))
    legs: dict[tuple[int, int], Leg] = field(default_factory=dict)
    symbols: set[int] = field(default_factory=set)
    coins: dict[str, int] = field(default_factory=dict)

    def add(self, order: Order) -> None:
        """Keep an accepted order."""
        self.orders[order.order_id] = order
        self.open_orders[order.order_id] = order
        self.by_client[order.client_id] = order
        self.symbols.add(order.symbol.index)
        if len(self.orders) > _MOST_ORDERS or not self.shown:
            self._forget()

    def add_algo(self, algo: Algo) -> None:
        """Keep an accepted conditional order."""
        self.algos[algo.algo_id] = algo
        self.open_algos[algo.algo_id] = algo
        self.algo_by_client[algo.asked.client_id] = algo
        if len(self.algos) > _MOST_ORDERS:
            self.algos.pop(next(iter(self.algos)))

    def close(self, order: Order) -> None:
        """Take an order that has ended from the open ones."""
        self.open_orders.pop(order.order_id, None)
        if not self.shown:
            self.orders.pop(order.order_id, None)
            self.by_client.pop(order.client_id, None)

    def close_algo(self, algo: Algo) -> None:
        """Take a conditional order that has ended from the open ones."""
        self.open_algos.pop(algo.algo_id, None)

    def _forget(self) -> None:
        oldest = next(iter(self.orders))
        if oldest not in self.open_orders:
            gone = self.orders.pop(oldest)
            if self.by_client.get(gone.client_id) is gone:
                del self.by_client[gone.client_id]

    def uses(self, client_id: str) -> bool:
        """Whether an open order bears a client id: only those must be unique."""
        order, algo = self.by_client.get(client_id), self.algo_by_client.get(client_id)
        return (order is not None and order.open) or (algo is not None and algo.status == "NEW")

    def leg(self, symbol: int, leg: int) -> Leg:
        """Return what a leg has paid."""
        return self.legs.setdefault((symbol, leg), Leg())

    @property
    def isolated_e8(self) -> int:
        """What stands behind isolated legs, as of what was booked last."""
        return sum(leg.isolated_e8 for leg in self.legs.values())

    def move_coin(self, asset: str, amount_e8: int) -> int:
        """Book an amount to the wallet of a coin; return what is in it then."""
        self.coins[asset] = self.coins.get(asset, 0) + amount_e8
        return self.coins[asset]

    def visible(self, now_ms: int) -> Iterator[Order]:
        """Yield the orders that the exchange still remembers, oldest first."""
        return (order for order in self.orders.values() if _remembered(order, now_ms))

    def find(self, symbol: int, order_id: str, client_id: str, now_ms: int, code: int = -2013) -> Order:
        """Return the order of an id, or the youngest of a client id.

        Raises
        ------
        Refusal
            -1102 without either, ``code`` when there is none.
        """
        if not order_id and not client_id:
            raise refusal(-1102, "orderId")
        order = self.orders.get(int(order_id)) if order_id else self.by_client.get(client_id)
        if order is None or order.symbol.index != symbol or not _remembered(order, now_ms):
            raise refusal(code)
        return order

    def visible_algos(self, now_ms: int) -> Iterator[Algo]:
        """Yield the conditional orders that the exchange still remembers, oldest first."""
        return (algo for algo in self.algos.values() if _remembered(algo, now_ms))

    def find_algo(self, algo_id: str, client_id: str, now_ms: int, code: int = -2013) -> Algo:
        """Return the conditional order of an id, or the youngest of a client id."""
        if not algo_id and not client_id:
            raise refusal(-1102, "algoId")
        algo = self.algos.get(int(algo_id)) if algo_id else self.algo_by_client.get(client_id)
        if algo is None or not _remembered(algo, now_ms):
            raise refusal(code)
        return algo


def _remembered(order: Order | Algo, now_ms: int) -> bool:
    if order.open:
        return True
    age = now_ms - order.updated_ms
    return age <= (_ALL_MS if order.done else _UNFILLED_MS)
