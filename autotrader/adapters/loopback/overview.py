"""What the status page shows of a server.

Knows where each figure of the page stands. Refuses to know how the page looks.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from autotrader.adapters.loopback.clock import MS
from autotrader.adapters.loopback.orders import SIDES, Order
from autotrader.adapters.loopback.status import (
    AccountView,
    FaultView,
    OrderView,
    RequestView,
    SocketView,
    SymbolView,
    TradeView,
    View,
)
from autotrader.adapters.loopback.streams import family
from autotrader.adapters.loopback.symbols import Symbol, money

if TYPE_CHECKING:
    from autotrader.adapters.loopback.server import Server

__all__ = ["overview"]

_RECENT = 20


def overview(server: Server) -> View:
    """Return what a server's status page shows now."""
    return View(
        server.clock.now(),
        "synthetic" if server.replay is None else "replay",
        server.clock.speed,
        server.replay.share if server.replay else None,
        [_symbol(server, symbol) for symbol in server.symbols],
        [_account(server, account) for account in range(server.venue.clients)],
        [
            SocketView(one.route, [_shown(name) for name in one.names], one.sent, one.buffered)
            for one in server.hub.sockets
        ],
        [
            RequestView(name, count, server.reception.usage.refused[name], server.reception.usage.weight[name])
            for name, count in server.reception.usage.calls.most_common()
        ],
        _orders(server),
        _trades(server),
        [_fault(fault) for fault in server.faults.listed()],
        str(server.options.history) if server.options.history else None,
        server.history.records,
    )  # fmt: skip


def _shown(name: str) -> str:
    return "user" if family(name) == "user" else name


def _symbol(server: Server, symbol: Symbol) -> SymbolView:
    book = server.exchange.books[symbol.index]
    bid, ask = book.best() if book.is_usable else (0, 0)
    premium = server.market.premium_index(symbol.index)
    ledgers = server.venue.ledgers[: server.venue.clients]
    held = [server.exchange.accounts[n].position(symbol.index, leg) for n in range(len(ledgers)) for leg in range(2)]
    return SymbolView(
        symbol.name,
        server.venue.statuses[symbol.index],
        (bid or 0) * symbol.tick_e8,
        (ask or 0) * symbol.tick_e8,
        money(server.market.ticker_price(symbol.index)["price"]),
        money(premium["markPrice"]),
        money(premium["indexPrice"]),
        money(premium["lastFundingRate"]),
        premium["nextFundingTime"] * MS,
        max(0, book.last_id),
        sum(order.symbol is symbol for ledger in ledgers for order in ledger.open_orders.values()),
        sum(bool(leg["lots"]) for leg in held),
    )


def _account(server: Server, account: int) -> AccountView:
    held, ledger = server.exchange.accounts[account], server.venue.ledgers[account]
    age = server.keys.ages(server.clock.wall_ms()).get(account)
    return AccountView(
        ledger.name,
        held.wallet_e8,
        held.equity(),
        held.margin_ratio(),
        sum(bool(held.position(s.index, leg)["lots"]) for s in server.symbols for leg in range(2)),
        len(ledger.open_orders) + len(ledger.open_algos),
        None if age is None else age * MS,
    )


def _orders(server: Server) -> list[OrderView]:
    newest = [
        (order.updated_ms, order.order_id, ledger.name, order)
        for ledger in server.venue.ledgers[: server.venue.clients]
        for order in islice(reversed(ledger.orders.values()), _RECENT)
    ]
    newest.sort(key=lambda one: one[:2], reverse=True)
    return [_order(name, order) for _, _, name, order in newest[:_RECENT]]


def _order(account: str, order: Order) -> OrderView:
    symbol = order.symbol
    return OrderView(
        order.updated_ms * MS,
        account,
        symbol.name,
        order.order_id,
        SIDES[order.side],
        order.name,
        order.ticks * symbol.tick_e8,
        order.lots * symbol.lot_e8,
        order.done * symbol.lot_e8,
        order.status,
    )


def _trades(server: Server) -> list[TradeView]:
    newest = [
        (trade.time_ms, trade.trade_id, trade)
        for ledger in server.venue.ledgers[: server.venue.clients]
        for trade in islice(reversed(ledger.trades), _RECENT)
    ]
    return [
        TradeView(
            trade.time_ms * MS,
            trade.order.symbol.name,
            trade.trade_id,
            SIDES[trade.order.side if not trade.maker else 1 - trade.order.side],
            trade.ticks * trade.order.symbol.tick_e8,
            trade.lots * trade.order.symbol.lot_e8,
        )
        for _, _, trade in sorted(newest, key=lambda one: one[:2], reverse=True)[:_RECENT]
    ]


def _fault(fault: dict[str, object]) -> FaultView:
    detail = " ".join(f"{key}={value}" for key, value in fault.items() if key not in ("name", "fired", "seen"))
    return FaultView(str(fault["name"]), detail, int(str(fault["fired"])))
