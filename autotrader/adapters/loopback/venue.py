"""The venue as the exchange runs it: requests in, what became of them out, and a record of everything.

Knows how a request reaches the compiled venue, how its answers become orders, trades, income and events, and what is
written into the history. Refuses to know sockets, signatures and JSON texts of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrader.adapters.loopback import positions
from autotrader.adapters.loopback.clock import MS
from autotrader.adapters.loopback.codes import TEXTS, refusal
from autotrader.adapters.loopback.history import History
from autotrader.adapters.loopback.ledger import Ledger
from autotrader.adapters.loopback.orders import (
    ALGO_STATUSES,
    MATCHES,
    POSITION_SIDES,
    SIDES,
    STPS,
    TIFS,
    TYPES,
    Algo,
    Asked,
    Income,
    Order,
    Trade,
)
from autotrader.adapters.loopback.symbols import COINS, Symbol, trimmed
from autotrader.adapters.loopback.text import e8, plain
from core_ext.account import Account
from core_ext.book import Book
from core_ext.exchange import Exchange
from core_ext.types import Cause, Flag, Kind, OrderType, PositionSide, Setting, Term

__all__ = ["Row", "Venue"]

Row = tuple[int, ...]
Tell = Callable[[int, str, dict[str, Any]], None]

EVERYBODY = -1
FUNDING_HOURS = 8
_SELF_TRADE = (1, 3)
_CLOSE_POSITION = 1
_LATEST_NS = 2**63 - 1  # the exchange takes dates to the year 9999, the venue's stamps end in 2262
_LIQUIDATED = {Cause.LIQUIDATION_ORDER: "autoclose-", Cause.INSURANCE_FUND: "autoclose-"}
_FORCED = {**_LIQUIDATED, Cause.DELEVERAGED: "adl_autoclose-", Cause.SETTLED: "settlement_autoclose-"}


class Venue:
    """The compiled venue with its records.

    Parameters
    ----------
    exchange : Exchange
    symbols : sequence of Symbol
    names : sequence of str
        Of the accounts that clients have keys for; further accounts of the exchange are participants of a synthetic
        market.
    history : History
    tell : callable
        Takes (account, event, body): what a user's stream says.
    publish : callable
        Takes market rows that the venue itself says.
    forced : callable
        Takes (symbol, side, lots, price_e8, now_ms) of a forced closing.
    """

    def __init__(
        self,
        exchange: Exchange,
        symbols: Sequence[Symbol],
        names: Sequence[str],
        history: History,
        tell: Tell,
        publish: Callable[[NDArray[np.void]], None],
        forced: Callable[[int, int, int, int, int], None],
    ):
        self.exchange = exchange
        self.symbols = list(symbols)
        self.ledgers = [Ledger(name) for name in names]
        self.ledgers += [Ledger(f"participant {n}", shown=False) for n in range(len(exchange.accounts) - len(names))]
        self.clients = len(names)
        self.history = history
        self.timers: dict[tuple[int, int], int] = {}
        self.statuses = ["TRADING"] * len(self.symbols)
        self.intervals = [FUNDING_HOURS] * len(self.symbols)
        self.bend: Callable[[NDArray[np.void]], None] = lambda rows: None
        self._tell = tell
        self._publish = publish
        self._forced = forced
        self._by_handle: dict[int, Order | Algo | Asked] = {}
        self._handle = 0
        self._booking = 0
        self._refused = 0
        self._modify_id = 0
        self._placing: Order | Algo | None = None
        self._unarmed: dict[int, Algo] = {}
        self._called: set[tuple[int, int, int]] = set()
        self._participants: dict[tuple[int, int], int] = {}
        self._diff: dict[str, Any] = {}
        self._on = {
            Kind.ACCEPTED: self._on_accepted,
            Kind.FILL: self._on_fill,
            Kind.CANCELED: self._on_canceled,
            Kind.EXPIRED: self._on_expired,
            Kind.AMENDED: self._on_amended,
            Kind.ALGO: self._on_algo,
            Kind.REJECTED: self._on_refused,
            Kind.AMEND_REJECTED: self._on_refused,
            Kind.CANCEL_REJECTED: self._on_refused,
            Kind.FUNDING_PAID: self._on_funding,
            Kind.LIQUIDATION: self._on_forced,
            Kind.TRANSFER: self._on_transfer,
            Kind.SETTING: self._on_setting,
            Kind.MARGIN_MOVED: self._on_margin,
        }

    # ------------------------------------------------------------------ requests

    def account(self, account: int) -> Account:
        """Return the money of an account."""
        return self.exchange.accounts[account]

    def adl(self, account: int) -> dict[tuple[int, int], int]:
        """Return the account's places in the queue of deleveraging."""
        return positions.adl_ranks(self.exchange.accounts, account, self.symbols)

    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Let the market move; return what the venue said."""
        self.bend(rows)
        return self.feed_unbent(rows)

    def feed_unbent(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Let the market move as the rows say, whatever fault bends it; return what the venue said."""
        said = self.exchange.feed(rows)
        self._digest(said)
        if self._unarmed and len(rows):
            self._note_armed(int(rows["ts"][-1]) // MS)
        return said

    def settle(self, now: int) -> None:
        """Settle the funding stamps that have passed and that no row has led to."""
        self._digest(self.exchange.settle(now))

    def funding_hours(self, symbol: int) -> int:
        """Return the hours between a symbol's funding stamps: the venue's own, or those that it was told."""
        own = self.exchange.perpetuals
        return own[symbol].hours if own else self.intervals[symbol]

    def place(self, now: int, account: int, asked: Asked) -> Order | Algo:
        """Place an order.

        Raises
        ------
        Refusal
            With the code of the venue, or -4116 for a client id that an open order bears.
        """
        ledger = self.ledgers[account]
        if ledger.uses(asked.client_id):
            raise refusal(-4116)
        self._handle += 1
        handle = self._handle
        self._by_handle[handle] = asked
        self._refused = 0
        said = self._ask(now, handle, account, asked)
        self._placing = None
        self._digest(said)
        if self._refused:
            del self._by_handle[handle]
            self.history.write(
                "refused", now, account=account, symbol=asked.symbol.index, client=asked.client_id, code=self._refused
            )
            raise refusal(self._refused, self._limit(asked))
        assert self._placing is not None
        return self._placing

    def judge(self, now: int, account: int, asked: Asked) -> None:
        """Check an order as if it were placed.

        Raises
        ------
        Refusal
        """
        if self.ledgers[account].uses(asked.client_id):
            raise refusal(-4116)
        said = self._ask(now, 0, account, asked, test=True)
        if len(said):
            self._refused = int(said["b"][0])
            raise refusal(self._refused, self._limit(asked))

    def _ask(self, now: int, handle: int, account: int, asked: Asked, test: bool = False) -> NDArray[np.void]:
        return self.exchange.place_order(
            now,
            handle,
            asked.symbol.index,
            asked.side,
            asked.lots,
            asked.ticks,
            account,
            type=asked.type,
            tif=asked.tif,
            reduce_only=asked.reduce_only,
            position_side=asked.position_side,
            trigger_ticks=asked.trigger_ticks,
            activate_ticks=asked.activate_ticks,
            callback_e8=asked.callback_e8,
            good_till=min(asked.good_till_ms * MS, _LATEST_NS),
            stp=asked.stp,
            price_match=asked.price_match,
            terms=asked.terms,
            test=test,
        )

    def amend(self, now: int, order: Order, lots: int, ticks: int, price_match: int = 0, modify_id: int = 0) -> Order:
        """Give an open order a new price and quantity; it may end by it.

        Raises
        ------
        Refusal
        """
        self._refused, self._modify_id = 0, modify_id
        said = self.exchange.place_order(
            now, order.handle, order.symbol.index, order.side, lots, ticks, order.account, type=OrderType.LIMIT,
            price_match=price_match, amends=True,
        )  # fmt: skip
        self._digest(said)
        if self._refused:
            raise refusal(self._refused, plain(order.symbol.spec["min_notional_e8"]))
        return order

    def cancel(self, now: int, order: Order | Algo) -> None:
        """Cancel an open order.

        Raises
        ------
        Refusal
            -2011 for one that has ended.
        """
        if not order.open or (isinstance(order, Algo) and order.status != "NEW"):
            raise refusal(-2011)
        code = self._withdraw(now, order)
        if code:
            raise refusal(code)

    def _withdraw(self, now: int, order: Order | Algo) -> int:
        # The venue's code; an order whose good-till date has come by this stamp ends of itself, and is unknown then.
        symbol = order.symbol if isinstance(order, Order) else order.asked.symbol
        self._refused = 0
        self._digest(self.exchange.cancel_order(now, order.handle, symbol.index, order.account))
        return self._refused

    def cancel_all(self, now: int, account: int, symbol: int) -> int:
        """Cancel every ordinary order of a symbol; return how many there were."""
        orders = [o for o in self.ledgers[account].open_orders.values() if o.symbol.index == symbol]
        for order in orders:
            if order.open:
                self._withdraw(now, order)
        return len(orders)

    def cancel_algos(self, now: int, account: int, symbol: int) -> int:
        """Cancel every conditional order of a symbol; return how many there were."""
        algos = [a for a in self.ledgers[account].open_algos.values() if a.asked.symbol.index == symbol]
        for algo in algos:
            if algo.status == "NEW":
                self._withdraw(now, algo)
        return len(algos)

    def change(self, now: int, account: int, symbol: int, setting: Setting, value: int) -> None:
        """Change a setting.

        Raises
        ------
        Refusal
        """
        code = self.exchange.set(now, symbol, setting, value, account)
        if code:
            raise refusal(code, value)
        self._digest_last()

    def move_margin(self, now: int, account: int, symbol: int, leg: int, amount_e8: int) -> None:
        """Move USDT into an isolated leg, or out of it.

        Raises
        ------
        Refusal
        """
        code = self.exchange.add_margin(now, symbol, amount_e8, leg, account)
        if code:
            raise refusal(code, "amount")
        self._digest_last()

    def deposit(self, now: int, account: int, asset: int, amount_e8: int) -> None:
        """Move an asset into the futures wallet, or out of it.

        Raises
        ------
        Refusal
        """
        code = self.exchange.deposit(now, asset, amount_e8, account)
        if code:
            raise refusal(code, "amount")
        self._digest_last()

    def close_by_force(
        self, now: int, account: int, symbol: int, leg: int, lots: int, price_e8: int, cause: Cause
    ) -> None:
        """Close signed lots of a leg, as settlements and deleveragings do."""
        self._digest(self.exchange.close_position(now, symbol, lots, price_e8, int(cause), leg, account))

    def liquidate(self, now: int, account: int) -> None:
        """Liquidate what an account holds in cross margin."""
        self._digest(self.exchange.liquidate_account(now, account))

    def countdown(self, now: int, account: int, symbol: int, countdown_ms: int) -> None:
        """Start the dead man's switch of a symbol anew, or stop it."""
        if countdown_ms:
            self.timers[account, symbol] = now + countdown_ms * MS
        else:
            self.timers.pop((account, symbol), None)

    def advance(self, now: int) -> None:
        """Do what has become due."""
        if not self.timers:
            return
        for key in [key for key, due in self.timers.items() if due <= now]:
            del self.timers[key]
            self.cancel_all(now, *key)

    def call_margins(self) -> None:
        """Tell the clients whose margin is nearly used up: once, until it has recovered."""
        for account in range(self.clients):
            money = self.account(account)
            calls = {(account, *scope): rows for scope, rows in positions.called(money, self.symbols)}
            for key, rows in calls.items():
                if key not in self._called:
                    cross = {"cw": e8(money.wallet_e8 - money.isolated_total_e8)} if key[1] < 0 else {}
                    self._tell(account, "MARGIN_CALL", cross | {"p": rows})
            self._called = {key for key in self._called if key[0] != account} | set(calls)

    # What a participant of a synthetic market calls: as the compiled venue, but everything is recorded.

    @property
    def accounts(self) -> list[Account]:
        """Money of all accounts."""
        return self.exchange.accounts

    @property
    def books(self) -> list[Book]:
        """Order books as the venue shows them."""
        return self.exchange.books

    def said(self) -> tuple[NDArray[np.void], list[int]]:
        """Return what the venue said last, and to whom."""
        return self.exchange.said()

    def place_order(
        self, now: int, client_id: int, symbol: int, side: int, lots: int, price_ticks: int, account: int, *, tif: int
    ) -> NDArray[np.void]:  # fmt: skip
        """Place a participant's order; return what the venue said."""
        self._handle += 1
        kind = OrderType.LIMIT if price_ticks else OrderType.MARKET
        asked = Asked(self.symbols[symbol], str(client_id), side, int(kind), tif, lots, price_ticks)
        self._by_handle[self._handle] = asked
        self._participants[account, client_id] = handle = self._handle
        self._refused = 0
        said = self.exchange.place_order(
            now, handle, symbol, side, lots, price_ticks, account, type=int(kind), tif=tif, stp=2
        )
        self._digest(said)
        if self._refused:
            self._by_handle.pop(handle)
            self._participants.pop((account, client_id))
        return said

    def cancel_order(self, now: int, client_id: int, symbol: int, account: int) -> NDArray[np.void]:
        """Cancel a participant's order; return what the venue said: nothing when it has ended already."""
        handle = self._participants.get((account, client_id), 0)
        said = self.exchange.cancel_order(now, handle, symbol, account)
        self._digest(said)
        return said

    # ------------------------------------------------------------------ what the venue says

    def _digest_last(self) -> None:
        self._digest(self.exchange.said()[0])

    def _digest(self, said: NDArray[np.void]) -> None:
        if not len(said):
            return
        told = self.exchange.after()
        for row, after in zip(said.tolist(), told.tolist(), strict=True):
            account = after[5]
            if account == EVERYBODY:
                self._record(row)
            else:
                self._on[row[0]](row, account, after)
        world = said[told["a"] == EVERYBODY]
        if len(world):
            self._publish(world)
        if self._unarmed:
            self._note_armed(int(said["ts"][-1]) // MS)

    def _record(self, row: Row) -> None:
        # What the venue itself says to everybody, in the order in which it happened.
        side = int(bool(row[1] & Flag.F_SELL))
        if row[0] == Kind.TRADE:
            self.history.write("trade", row[4], symbol=row[2], trade=row[5], ticks=row[6], lots=row[7], sell=bool(side))
        elif row[0] == Kind.DEPTH:
            self._diff = {"symbol": row[2], "U": row[5], "u": row[6], "pu": row[7], "levels": []}
        elif row[0] == Kind.LEVEL:
            self._diff["levels"].append((side, row[5], row[6]))
            if row[1] & Flag.F_END:
                self.history.write("depth", row[4], **self._diff)

    def _on_refused(self, row: Row, account: int, after: Row) -> None:
        self._refused = row[6]

    def _on_accepted(self, row: Row, account: int, after: Row) -> None:
        origin = self._by_handle[row[5]]
        asked = origin.asked if isinstance(origin, Algo) else origin
        assert isinstance(asked, Asked)
        algo = origin if isinstance(origin, Algo) else None
        now = row[4] // MS
        kind = asked.type if algo is None else _child_type(asked.type)
        order = Order(
            asked.symbol, account, row[5], asked.client_id, row[6], asked.side, kind, asked.tif, row[8], row[7],
            asked.position_side, asked.reduce_only, now, now, asked.stp, asked.price_match, asked.good_till_ms,
            TYPES[asked.type], algo=algo,
        )  # fmt: skip
        self._by_handle[row[5]] = order
        self.ledgers[account].add(order)
        if algo is None:
            self._placing = order
        else:
            algo.child = order
            self._tell_algo(algo, now)
        self.history.write(
            "order", row[4], account=account, symbol=asked.symbol.index, order=order.order_id, client=order.client_id,
            side=order.side, type=order.type, tif=order.tif, lots=order.lots, ticks=order.ticks,
            reduce=order.reduce_only, leg=_leg(order.position_side), algo=algo.algo_id if algo else 0,
        )  # fmt: skip
        self._tell_order(order, "NEW", now)

    def _on_fill(self, row: Row, account: int, after: Row) -> None:
        order = self._order(row)
        now = row[4] // MS
        ticks, lots, fee = row[7], row[8], row[9]
        coin, maker = bool(row[1] & Flag.F_FEE_COIN), bool(row[1] & Flag.F_MAKER)
        ledger = self.ledgers[account]
        order.done += lots
        order.value += ticks * lots
        order.updated_ms = now
        order.status = "FILLED" if order.done >= order.lots else "PARTIALLY_FILLED"
        trade = Trade(row[6], order, lots, ticks, fee, "BNB" if coin else "USDT", after[10], maker, now)
        self.history.write(
            "fill", row[4], account=account, symbol=order.symbol.index, order=order.order_id, trade=trade.trade_id,
            side=order.side, lots=lots, ticks=ticks, fee_e8=fee, coin=coin, maker=maker,
            leg=_leg(order.position_side), wallet_e8=after[6], position=after[7], cost_e8=after[8],
        )  # fmt: skip
        leg = ledger.leg(order.symbol.index, _leg(order.position_side))
        positions.book(leg, order.side, lots, after[7], 0 if coin else fee, after[10], now)
        leg.isolated_e8 = after[9]
        if order.status == "FILLED":
            self._end(order, row[4], "FILLED", 0)
        if ledger.shown:
            ledger.trades.append(trade)
            self._book(account, "COMMISSION", -fee, trade.fee_asset, order.symbol, now, trade.trade_id)
            if after[10]:
                self._book(account, "REALIZED_PNL", after[10], "USDT", order.symbol, now, trade.trade_id)
            self._tell(account, "TRADE_LITE", _lite(trade, now))
            self._tell_account(
                account, "ORDER", order.symbol, _leg(order.position_side), after, now, coin_e8=fee if coin else 0
            )
            self._tell_order(order, "TRADE", now, trade)

    def _on_canceled(self, row: Row, account: int, after: Row) -> None:
        order = self._order(row)
        order.status = "CANCELED"
        order.updated_ms = row[4] // MS
        self._end(order, row[4], "CANCELED", row[6])
        self._tell_order(order, "CANCELED", order.updated_ms)

    def _on_expired(self, row: Row, account: int, after: Row) -> None:
        order = self._order(row)
        order.reason = row[7]
        order.status = "EXPIRED_IN_MATCH" if row[7] in _SELF_TRADE else "EXPIRED"
        order.updated_ms = row[4] // MS
        self._end(order, row[4], order.status, row[6])
        self._tell_order(order, "EXPIRED", order.updated_ms)

    def _on_amended(self, row: Row, account: int, after: Row) -> None:
        order = self._order(row)
        symbol, now = order.symbol, row[4] // MS
        self._booking += 1
        order.amendments.append(
            {
                "amendmentId": self._booking,
                "symbol": symbol.name,
                "pair": symbol.name,
                "orderId": order.order_id,
                "clientOrderId": order.client_id,
                "time": now,
                "amendment": {
                    "price": {"before": symbol.price(order.ticks), "after": symbol.price(row[6])},
                    "origQty": {"before": symbol.quantity(order.lots), "after": symbol.quantity(row[7])},
                    "count": len(order.amendments) + 1,
                },
            }
        )
        order.ticks, order.lots, order.updated_ms = row[6], row[7], now
        order.stp, order.modify_id = 0, self._modify_id
        self.history.write("amended", row[4], account=account, order=order.order_id, lots=row[7], ticks=row[6])
        self._tell_order(order, "AMENDMENT", now)

    def _on_algo(self, row: Row, account: int, after: Row) -> None:
        origin = self._by_handle[row[5]]
        now, status = row[4] // MS, ALGO_STATUSES[row[6]]
        if isinstance(origin, Asked):
            algo = Algo(origin, account, row[5], row[7], now, now)
            algo.activated = not algo.trails
            self._by_handle[row[5]] = algo
            self.ledgers[account].add_algo(algo)
            self._placing = algo
            if algo.trails:
                self._unarmed[row[5]] = algo
        else:
            found = origin if isinstance(origin, Algo) else origin.algo
            assert found is not None
            algo = found
        if status == "TRIGGERING":
            self._arm(algo, now)
            algo.triggered_ms = now
        algo.status, algo.updated_ms = status, now
        if status == "REJECTED":
            algo.reason = TEXTS.get(row[9], "").format("")
        self.history.write(
            "algo", row[4], account=account, symbol=algo.asked.symbol.index, algo=algo.algo_id,
            client=algo.asked.client_id, status=status, child=row[8], code=row[9], side=algo.asked.side,
            leg=int(algo.asked.position_side == PositionSide.SHORT),
            closes=bool(algo.asked.terms & Term.CLOSE_POSITION),
        )  # fmt: skip
        if not algo.open:
            self._unarmed.pop(row[5], None)
            self.ledgers[account].close_algo(algo)
            self._by_handle.pop(row[5], None)
        if status != "TRIGGERED":
            self._tell_algo(algo, now)

    def _note_armed(self, now: int) -> None:
        # The venue does not say when a trailing order's activation price has been passed; it shows it.
        for symbol in {algo.asked.symbol.index for algo in self._unarmed.values()}:
            for waiting in self.exchange.algos(symbol):
                algo = self._unarmed.get(waiting["order"]["client_id"])
                if algo is not None and waiting["armed"]:
                    self._arm(algo, now)

    def _arm(self, algo: Algo, now: int) -> None:
        # A trailing order is told as NEW twice, the second time as activated.
        if self._unarmed.pop(algo.handle, None) is not None:
            algo.activated, algo.updated_ms = True, now
            self._tell_algo(algo, now)

    def _on_funding(self, row: Row, account: int, after: Row) -> None:
        symbol, leg, now = self.symbols[row[2]], _leg_of(row), row[4] // MS
        self.history.write(
            "funding", row[4], account=account, symbol=row[2], leg=leg, amount_e8=row[5], rate_e8=row[6],
            mark_e8=row[7], position=after[7], wallet_e8=after[6],
        )  # fmt: skip
        self._book(account, "FUNDING_FEE", row[5], "USDT", symbol, now)
        self.ledgers[account].leg(row[2], leg).isolated_e8 = after[9]
        self._tell_account(account, "FUNDING_FEE", symbol, leg, after, now, row[5])

    def _on_forced(self, row: Row, account: int, after: Row) -> None:
        # A closing by force has no order of the client's; the exchange makes one up.
        symbol, leg, now = self.symbols[row[2]], _leg_of(row), row[4] // MS
        lots, side, ledger = abs(row[5]), 1 if row[5] > 0 else 0, self.ledgers[account]
        self.history.write(
            "forced", row[4], account=account, symbol=row[2], leg=leg, lots=row[5], price_e8=row[6], fee_e8=row[7],
            mark_e8=row[8], cause=row[9], wallet_e8=after[6], position=after[7], cost_e8=after[8],
        )  # fmt: skip
        order_id, trade_id = row[10], after[4]
        ticks = row[6] // symbol.tick_e8
        name = f"{_FORCED[Cause(row[9])]}{now}{order_id:06d}"
        order = Order(
            symbol, account, 0, name, order_id, side, int(OrderType.LIMIT), 1, lots, ticks,
            self._position_side(account, leg), False, now, now, 0, status="FILLED", done=lots,
            value=ticks * lots,
        )  # fmt: skip
        paid = ledger.leg(symbol.index, leg)
        positions.book(paid, side, lots, after[7], row[7], after[10], now)
        paid.isolated_e8 = after[9]
        if ledger.shown:
            ledger.forced.append(order)
            ledger.orders[order_id] = order
            trade = Trade(trade_id, order, lots, ticks, row[7], "USDT", after[10], False, now)
            ledger.trades.append(trade)
            self._book(account, "REALIZED_PNL", after[10], "USDT", symbol, now, trade_id)
            if row[7]:
                self._book(account, "INSURANCE_CLEAR", -row[7], "USDT", symbol, now)
            self._tell_account(account, "ORDER", symbol, leg, after, now)
            self._tell_order(order, "CALCULATED", now, trade)
        if Cause(row[9]) in _LIQUIDATED:
            self._forced(symbol.index, side, lots, row[6], now)

    def _on_transfer(self, row: Row, account: int, after: Row) -> None:
        amount, asset, now, ledger = row[5], row[6], row[4] // MS, self.ledgers[account]
        wallet = ledger.move_coin(COINS[asset], amount) if asset else after[6]
        self.history.write("transfer", row[4], account=account, asset=asset, amount_e8=amount, wallet_e8=wallet)
        self._book(account, "TRANSFER", amount, COINS[asset], None, now)
        change = positions.balance_change(COINS[asset], wallet, 0 if asset else ledger.isolated_e8, amount)
        body = positions.update("DEPOSIT" if amount > 0 else "WITHDRAW", [change], [])
        self._tell(account, "ACCOUNT_UPDATE", {"T": now, "a": body})

    def _on_setting(self, row: Row, account: int, after: Row) -> None:
        setting, value, now, symbol = Setting(row[5]), row[6], row[4] // MS, self.symbols[row[2]]
        self.history.write("setting", row[4], account=account, symbol=row[2], setting=row[5], value=value)
        self.ledgers[account].symbols.add(row[2])
        if setting == Setting.LEVERAGE:
            self._tell(account, "ACCOUNT_CONFIG_UPDATE", {"T": now, "ac": {"s": symbol.name, "l": value}})
        elif setting == Setting.MULTI_ASSETS:
            self._tell(account, "ACCOUNT_CONFIG_UPDATE", {"T": now, "ai": {"j": bool(value)}})
        elif setting == Setting.ISOLATED:
            rows = [
                self._position(account, symbol, leg, self.account(account).position(symbol.index, leg))
                for leg in self._legs(account)
            ]
            self._tell(account, "ACCOUNT_UPDATE", {"T": now, "a": positions.update("MARGIN_TYPE_CHANGE", [], rows)})

    def _on_margin(self, row: Row, account: int, after: Row) -> None:
        symbol, leg, now = self.symbols[row[2]], _leg_of(row), row[4] // MS
        self.history.write("margin", row[4], account=account, symbol=row[2], leg=leg, amount_e8=row[5])
        self.ledgers[account].moves.append(
            {
                "symbol": symbol.name,
                "type": 1 if row[5] > 0 else 2,
                "deltaType": "USER_ADJUST",
                "amount": trimmed(abs(row[5])),
                "asset": "USDT",
                "time": now,
                "positionSide": POSITION_SIDES[self._position_side(account, leg)],
            }
        )
        self.ledgers[account].leg(row[2], leg).isolated_e8 = after[9]
        self._tell_account(account, "MARGIN_TRANSFER", symbol, leg, after, now)

    # ------------------------------------------------------------------ telling

    def _order(self, row: Row) -> Order:
        order = self._by_handle[row[5]]
        assert isinstance(order, Order)
        return order

    def _end(self, order: Order, now: int, how: str, undone: int) -> None:
        self.history.write(
            "end", now, account=order.account, order=order.order_id, how=how, undone=undone, reason=order.reason
        )
        self.ledgers[order.account].close(order)
        if order.algo is None:
            self._by_handle.pop(order.handle, None)
        if not self.ledgers[order.account].shown:
            self._participants.pop((order.account, int(order.client_id)), None)

    def _book(
        self, account: int, kind: str, amount: int, asset: str, symbol: Symbol | None, now: int, trade: int = 0
    ) -> None:
        if not self.ledgers[account].shown:
            return
        self._booking += 1
        name = symbol.name if symbol else ""
        self.ledgers[account].income.append(
            Income(kind, amount, asset, name, now, self._booking, str(trade) if trade else "")
        )

    def _tell_order(self, order: Order, happened: str, now: int, trade: Trade | None = None) -> None:
        if self.ledgers[order.account].shown:
            margins = self.account(order.account).margins_of(order.symbol.index)
            self._tell(
                order.account, "ORDER_TRADE_UPDATE", {"T": now, "o": _order_event(order, happened, now, trade, margins)}
            )

    def _tell_algo(self, algo: Algo, now: int) -> None:
        self._tell(algo.account, "ALGO_UPDATE", {"T": now, "o": algo.told()})

    def _tell_account(
        self, account: int, why: str, symbol: Symbol, leg: int, after: Row, now: int, change_e8: int = 0,
        coin_e8: int = 0,
    ) -> None:  # fmt: skip
        # Of the assets those that changed: with a fee in the coin an opening fill leaves the USDT of a cross leg alone.
        if not self.ledgers[account].shown:
            return
        money = self.account(account)
        isolated = bool(money.margins_of(symbol.index)["isolated"])
        ledger, balances = self.ledgers[account], []
        if not coin_e8 or after[10] or isolated:
            balances.append(positions.balance_change("USDT", after[6], ledger.isolated_e8, change_e8))
        if coin_e8:
            balances.append(positions.balance_change("BNB", ledger.move_coin("BNB", -coin_e8), 0, 0))
        held = {"lots": after[7], "cost_e8": after[8], "isolated_e8": after[9]}
        rows = [] if why == "FUNDING_FEE" and not isolated else [self._position(account, symbol, leg, held)]
        body = positions.update(why, balances, rows)
        if why == "FUNDING_FEE":
            body["S"] = symbol.name
        self._tell(account, "ACCOUNT_UPDATE", {"T": now, "a": body})

    def _position(self, account: int, symbol: Symbol, leg: int, held: dict[str, int]) -> dict[str, Any]:
        side = POSITION_SIDES[self._position_side(account, leg)]
        paid = self.ledgers[account].leg(symbol.index, leg)
        return positions.changed(self.account(account), symbol, side, held, paid)

    def _position_side(self, account: int, leg: int) -> int:
        return 1 + leg if self.account(account).hedge else 0

    def _legs(self, account: int) -> range:
        return range(2 if self.account(account).hedge else 1)

    def _limit(self, asked: Asked) -> str:
        spec = asked.symbol.spec
        mark = self.account(0).position(asked.symbol.index)["mark_e8"]
        if self._refused == -4016:
            return asked.symbol.price_e8(mark * spec["up_e8"] // 10**8)
        if self._refused == -4024:
            return asked.symbol.price_e8(mark * spec["down_e8"] // 10**8)
        return plain(spec["min_notional_e8"])


def _child_type(kind: int) -> int:
    return int(OrderType.LIMIT if kind in (OrderType.STOP, OrderType.TAKE_PROFIT) else OrderType.MARKET)


def _leg(position_side: int) -> int:
    return int(position_side == 2)


def _leg_of(row: Row) -> int:
    return int(bool(row[1] & Flag.F_SHORT))


def _lite(trade: Trade, now: int) -> dict[str, Any]:
    order, symbol = trade.order, trade.order.symbol
    return {
        "T": now,
        "s": symbol.name,
        "q": symbol.quantity(order.lots),
        "p": symbol.price(order.ticks),
        "m": trade.maker,
        "c": order.client_id,
        "S": SIDES[order.side],
        "L": symbol.price(trade.ticks),
        "l": symbol.quantity(trade.lots),
        "t": trade.trade_id,
        "i": order.order_id,
    }


def _order_event(order: Order, happened: str, now: int, trade: Trade | None, margins: dict[str, Any]) -> dict[str, Any]:
    symbol, algo = order.symbol, order.algo
    body: dict[str, Any] = {
        "s": symbol.name,
        "c": order.client_id,
        "S": SIDES[order.side],
        "o": order.name,
        "f": TIFS[order.tif],
        "q": symbol.quantity(order.lots),
        "p": symbol.price(order.ticks),
        "ap": order.average() if order.done else "0",
        "sp": order.stop if algo else "0",
        "x": happened,
        "X": order.status,
        "i": order.order_id,
        "l": symbol.quantity(trade.lots) if trade else "0",
        "z": symbol.quantity(order.done) if order.done else "0",
        "L": symbol.price(trade.ticks) if trade else "0",
    }
    if trade:
        body |= {"N": trade.fee_asset, "n": e8(trade.fee_e8)}
    body |= {
        "T": now,
        "t": trade.trade_id if trade else 0,
        "b": plain(margins["open_e8"][_leg(order.position_side)][0]),
        "a": plain(margins["open_e8"][_leg(order.position_side)][1]),
        "m": trade.maker if trade else False,
        "R": order.reduce_only,
        "wt": order.working,
        "ot": order.orig_type or order.name,
        "ps": POSITION_SIDES[order.position_side],
        "cp": order.closes,
    }
    if algo and algo.asked.type == OrderType.TRAILING_STOP_MARKET:
        body |= {"AP": symbol.price(algo.asked.activate_ticks), "cr": trimmed(algo.asked.callback_e8 * 100)}
    if happened == "AMENDMENT" and order.modify_id:
        body["M"] = order.modify_id
    return body | {
        "pP": order.protected,
        "si": 0,
        "ss": 0,
        "rp": e8(trade.realised_e8) if trade and trade.realised_e8 else "0",
        "V": STPS[order.stp],
        "pm": MATCHES[order.price_match],
        "gtd": order.good_till_ms,
        "er": str(order.reason),
    }
