"""What a plan of faults does at its time to accounts and markets.

Knows how each deed is done with the venue's and the market's own means. Refuses to know when it is due, and requests,
events and sockets: `faults` and `server` see to those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autotrader.adapters.loopback.clock import SECOND
from autotrader.adapters.loopback.codes import Refusal
from autotrader.adapters.loopback.crowd import Crowd
from autotrader.adapters.loopback.faults import Deed
from autotrader.adapters.loopback.market import Market
from autotrader.adapters.loopback.orders import Asked
from autotrader.adapters.loopback.symbols import COINS, Symbol
from autotrader.adapters.loopback.venue import Venue
from core_ext.types import EVENT_DTYPE, Cause, Flag, Kind, OrderType, Setting

__all__ = ["Deeds", "market_row"]

HOUR = 3600 * SECOND


def market_row(kind: Kind, symbol: int, now: int, *words: int) -> np.ndarray[Any, np.dtype[np.void]]:
    """Return one row of the market's."""
    padded = (*words, *(0,) * (6 - len(words)))
    return np.array([(int(kind), int(Flag.F_END), symbol, 0, now, *padded)], dtype=EVENT_DTYPE)


@dataclass
class _Announced:
    # What a recording is made to say of a symbol's funding: the rate of the next stamp, and the hours between stamps.
    rate_e8: int | None = None
    hours: int = 0
    stamp: int = 0  # the next one, ns; 0: no mark has named it

    def shorten(self, now: int) -> None:
        """Let the new interval lead to the next stamp, which never comes later by it."""
        step = self.hours * HOUR
        if step and self.stamp > now:
            self.stamp -= (self.stamp - now - 1) // step * step

    def bend(self, row: np.void) -> None:
        """Let a mark say what was announced, instead of what was recorded."""
        now = int(row["ts"])
        if self.stamp == 0:
            self.stamp = int(row["d"])
            self.shorten(now)
        if now >= self.stamp:
            self.rate_e8, step = None, self.hours * HOUR
            self.stamp += ((now - self.stamp) // step + 1) * step if step else int(row["d"]) - self.stamp
        if self.rate_e8 is not None:
            row["c"] = self.rate_e8
        if self.hours:
            row["d"] = self.stamp


class Deeds:
    """The deeds of a plan.

    Parameters
    ----------
    venue : Venue
    market : Market
    """

    def __init__(self, venue: Venue, market: Market):
        self._venue = venue
        self._market = market
        self._symbols = {symbol.name: symbol for symbol in venue.symbols}
        self._accounts = {ledger.name: n for n, ledger in enumerate(venue.ledgers[: venue.clients])}
        self._jumps: dict[int, tuple[int, float]] = {}
        self._moves: dict[int, tuple[int, float]] = {}
        self._announced: dict[int, _Announced] = {}
        self._table: Mapping[str, Callable[[int, Mapping[str, Any]], None]] = {
            "status": self._status,
            "filters": self._filters,
            "brackets": self._brackets,
            "adl": self._deleverage,
            "liquidate": self._liquidate,
            "settle": self._settle,
            "funding": self._funding,
            "next_funding": self._announce,
            "deposit": self._deposit,
            "withdraw": self._withdraw,
            "leverage": self._leverage,
            "margin_type": self._margin_type,
            "position_mode": self._position_mode,
            "fee_tier": self._fee_tier,
            "foreign_order": self._foreign_order,
            "mark_jump": self._jump,
            "price_jump": self._move,
        }

    def knows(self, deed: Deed) -> bool:
        """Return whether a deed is one of these."""
        return deed.do in self._table

    def do(self, now: int, deed: Deed) -> str:
        """Do a deed; return why it could not be done, nothing when it was."""
        try:
            self._table[deed.do](now, deed.args)
        except Refusal as refused:
            return f"{refused.code} {refused.text}"
        except (KeyError, ValueError) as error:
            return str(error)
        return ""

    def bend(self, rows: np.ndarray[Any, np.dtype[np.void]]) -> None:
        """Multiply the marks among rows of the market whose symbols jump, and let them say what funding is to come."""
        for symbol, (until, factor) in list(self._jumps.items()):
            here = (rows["kind"] == int(Kind.MARK)) & (rows["symbol"] == symbol)
            # Of a recording the mark alone jumps; where the venue makes its own mark, what it is made of.
            for word, there in (("a", here & (rows["a"] > 0)), ("b", here & (rows["a"] == 0))):
                rows[word][there] = (rows[word][there] * factor).astype(np.int64)
            if len(rows) and rows["ts"][-1] >= until:
                del self._jumps[symbol]
        for symbol, announced in self._announced.items():
            for k in np.flatnonzero((rows["kind"] == int(Kind.MARK)) & (rows["symbol"] == symbol) & (rows["d"] > 0)):
                announced.bend(rows[k])

    def move_prices(self, crowd: Crowd | None, now: int) -> None:
        """Let a synthetic market's prices jump, and come back."""
        for symbol, (until, factor) in list(self._moves.items()):
            if crowd is not None:
                crowd.rescale(symbol, int(factor * 10**8) if now < until else 10**8)
            if now >= until:
                del self._moves[symbol]

    def _symbol(self, args: Mapping[str, Any]) -> Symbol:
        return self._symbols[args["symbol"]]

    def _account(self, args: Mapping[str, Any]) -> int:
        return self._accounts[args["account"]]

    def _status(self, now: int, args: Mapping[str, Any]) -> None:
        symbol = self._symbol(args)
        self._venue.feed(market_row(Kind.STATUS, symbol.index, now, int(args["value"] == "TRADING")))
        self._venue.statuses[symbol.index] = args["value"]
        self._market.on_contract(symbol.index, args["value"])

    def _filters(self, now: int, args: Mapping[str, Any]) -> None:
        symbol = self._symbol(args)
        spec = self._venue.exchange.instruments.spec(symbol.index)
        steps = (
            args["tick"] // symbol.tick_e8 if args.get("tick") else spec["tick_step"],
            args["step"] // symbol.lot_e8 if args.get("step") else spec["lot_step"],
            args["min_qty"] // symbol.lot_e8 if args.get("min_qty") else spec["min_lots"],
            args["max_qty"] // symbol.lot_e8 if args.get("max_qty") else spec["max_lots"],
            args["max_market_qty"] // symbol.lot_e8 if args.get("max_market_qty") else spec["max_market_lots"],
            args["min_notional"] if args.get("min_notional") is not None else spec["min_notional_e8"],
        )
        self._venue.feed(market_row(Kind.FILTERS, symbol.index, now, *steps))
        self._market.on_contract(symbol.index, self._venue.statuses[symbol.index])

    def _brackets(self, now: int, args: Mapping[str, Any]) -> None:
        symbol = self._symbol(args)
        rows = args["rows"]
        self._venue.exchange.instruments.revise(symbol.index, brackets=rows)
        symbol.spec["brackets"] = list(rows)
        self._market.on_contract(symbol.index, brackets=symbol.spec["brackets"])

    def _deleverage(self, now: int, args: Mapping[str, Any]) -> None:
        symbol, account = self._symbol(args), self._account(args)
        for leg in range(2):
            held = self._venue.account(account).position(symbol.index, leg)
            lots = int(held["lots"] * args["share"])
            price_e8 = held["mark_e8"] - held["mark_e8"] % symbol.tick_e8  # a trade, and those are on the tick
            if lots:
                self._venue.close_by_force(now, account, symbol.index, leg, lots, price_e8, Cause.DELEVERAGED)

    def _liquidate(self, now: int, args: Mapping[str, Any]) -> None:
        self._venue.liquidate(now, self._account(args))

    def _settle(self, now: int, args: Mapping[str, Any]) -> None:
        # Orders first, then every position at the settlement price, then the symbol is gone.
        symbol = self._symbol(args)
        self._status(now, {"symbol": symbol.name, "value": "SETTLING"})
        for account in range(len(self._venue.ledgers)):
            self._venue.cancel_all(now, account, symbol.index)
            self._venue.cancel_algos(now, account, symbol.index)
            for leg in range(2):
                lots = self._venue.account(account).position(symbol.index, leg)["lots"]
                if lots:
                    self._venue.close_by_force(now, account, symbol.index, leg, lots, args["price"], Cause.SETTLED)
        self._status(now, {"symbol": symbol.name, "value": "CLOSE"})

    def _funding(self, now: int, args: Mapping[str, Any]) -> None:
        self._venue.feed(market_row(Kind.FUNDING, self._symbol(args).index, now, args["rate"]))

    def _announce(self, now: int, args: Mapping[str, Any]) -> None:
        # Where the venue makes its own marks it says so at once; a recording says so with its next mark.
        symbol, rate, hours = self._symbol(args).index, args.get("rate"), args.get("hours", 0)
        if self._venue.exchange.perpetuals:
            own = self._venue.exchange.perpetuals[symbol]
            own.announce(now, rate, hours)
            if own.index_e8:
                self._venue.feed_unbent(market_row(Kind.MARK, symbol, now, 0, own.index_e8))
            return
        announced = self._announced.setdefault(symbol, _Announced())
        announced.rate_e8 = announced.rate_e8 if rate is None else rate
        if hours:
            self._venue.intervals[symbol] = announced.hours = hours
            announced.shorten(now)

    def _deposit(self, now: int, args: Mapping[str, Any]) -> None:
        self._venue.deposit(now, self._account(args), COINS.index(args["asset"]), args["amount"])

    def _withdraw(self, now: int, args: Mapping[str, Any]) -> None:
        self._venue.deposit(now, self._account(args), COINS.index(args["asset"]), -args["amount"])

    def _leverage(self, now: int, args: Mapping[str, Any]) -> None:
        self._change(now, args, self._symbol(args).index, Setting.LEVERAGE, args["value"])

    def _margin_type(self, now: int, args: Mapping[str, Any]) -> None:
        self._change(now, args, self._symbol(args).index, Setting.ISOLATED, int(args["value"] == "ISOLATED"))

    def _position_mode(self, now: int, args: Mapping[str, Any]) -> None:
        self._change(now, args, 0, Setting.HEDGE_MODE, int(args["value"] == "HEDGE"))

    def _change(self, now: int, args: Mapping[str, Any], symbol: int, setting: Setting, value: int) -> None:
        self._venue.change(now, self._account(args), symbol, setting, value)

    def _fee_tier(self, now: int, args: Mapping[str, Any]) -> None:
        # The venue has one tier for everybody.
        for symbol in self._venue.symbols:
            fees = {"maker_fee_e8": args["maker"], "taker_fee_e8": args["taker"]}
            self._venue.exchange.instruments.revise(symbol.index, **fees)
            symbol.spec.update(fees)  # type: ignore[typeddict-item]

    def _foreign_order(self, now: int, args: Mapping[str, Any]) -> None:
        symbol, side = self._symbol(args), int(args["side"] == "SELL")
        asked = Asked(symbol, f"web_{now}", side, int(OrderType.MARKET), lots=args["quantity"] // symbol.lot_e8)
        self._venue.place(now, self._account(args), asked)

    def _jump(self, now: int, args: Mapping[str, Any]) -> None:
        until = now + max(1, int(args["hold_s"] * SECOND))
        self._jumps[self._symbol(args).index] = (until, 1 + args["percent"] / 100)

    def _move(self, now: int, args: Mapping[str, Any]) -> None:
        if not self._venue.exchange.synthetic:
            raise ValueError("a recording's prices do not move")
        until = now + max(SECOND, int(args["hold_s"] * SECOND))
        self._moves[self._symbol(args).index] = (until, 1 + args["percent"] / 100)
