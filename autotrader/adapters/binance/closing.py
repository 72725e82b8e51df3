"""What ends an account's trading over REST alone: working orders are cancelled, positions closed or protected.

Knows the bodies of orders and positions, which of them a run leaves behind, and in which order they are taken away.
Refuses to know why trading ends, and whatever could open: it has no call for it.

Nothing is remembered but requests whose outcome is unknown; each step begins with what the exchange lists. So a step
may be repeated, broken off, or made by another process after this one, and the end is the same. A stop that protects is
taken away only where a list has just shown that the position is flat and no order of ours works. Orders of somebody
else, and what lies in other symbols, are not touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from autotrader.adapters.binance.outcomes import Alert, Outcome
from autotrader.adapters.binance.reading import amount_e8, is_ours
from autotrader.adapters.binance.rest import RECEIVE_WINDOW_MS, Answer, Body, Rest, RestError
from autotrader.errors import AutotraderError, VenueError
from autotrader.messages import say

__all__ = ["Clock", "Closing", "Rule", "decimal"]

T = TypeVar("T")

E8: Final = 100_000_000
ABSENT: Final = -2013
NEVER_MS: Final = RECEIVE_WINDOW_MS + 1000
"""So long after its stamp a request that the exchange does not know was never taken, and will not be."""
OVER: Final = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
Leg = tuple[str, str]
"""Symbol and side of the position: BOTH, LONG or SHORT."""


class Clock(Protocol):
    """The exchange's time; `clock.VenueClock` is one."""

    def request_ms(self) -> int:
        """Return the stamp that a request bears, ms."""

    async def measure(self) -> object:
        """Ask the exchange for its time and go by it from now on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a symbol's orders must keep to, in 1e-8: steps of price and of market orders, the largest of those."""

    tick_e8: int
    step_e8: int
    most_e8: int

    def slice_e8(self, amount_e8: int) -> int:
        """Return how much of a position one market order may close; 0: it is less than a step.

        Examples
        --------
        >>> Rule(1, 10, 100).slice_e8(-257), Rule(1, 10, 100).slice_e8(57), Rule(1, 10, 100).slice_e8(-7)
        (100, 50, 0)
        """
        return min(abs(amount_e8), self.most_e8) // self.step_e8 * self.step_e8

    def trigger_e8(self, mark_e8: int, distance_e8: int, sells: bool) -> int:
        """Return the trigger of a stop so far from the mark price, a share in 1e-8, on the tick nearer to the mark.

        Examples
        --------
        >>> Rule(10, 1, 1).trigger_e8(1003, 5_000_000, True), Rule(10, 1, 1).trigger_e8(1003, 5_000_000, False)
        (960, 1050)
        """
        apart_e8 = mark_e8 * distance_e8 // E8
        if sells:
            return -((apart_e8 - mark_e8) // self.tick_e8) * self.tick_e8
        return (mark_e8 + apart_e8) // self.tick_e8 * self.tick_e8


@dataclass(frozen=True, slots=True)
class _Held:
    # A leg that is not flat.
    amount_e8: int
    mark_e8: int


@dataclass(frozen=True, slots=True)
class _Standing:
    # What the exchange lists in our symbols: ours that could open or fill, ours that protect, who is protected, legs.
    working: list[tuple[str, str, bool]] = field(default_factory=list)
    stops: list[tuple[Leg, str]] = field(default_factory=list)
    protected: set[Leg] = field(default_factory=set)
    legs: dict[Leg, _Held] = field(default_factory=dict)

    def idle_stops(self) -> list[tuple[Leg, str]]:
        busy = {symbol for symbol, _, _ in self.working}
        return [one for one in self.stops if one[0] not in self.legs and one[0][0] not in busy]


@dataclass(frozen=True, slots=True)
class _Sent:
    # A request whose outcome is not known.
    name: str
    stamp_ms: int
    conditional: bool


class Closing:
    """The end of an account's trading, step by step.

    Parameters
    ----------
    rest : Rest
    clock : Clock
    symbols : sequence of str
        Nothing else is touched.
    names : iterator of str
        Client order ids that nobody ever used.
    told : callable
        Told (event, text): what is done, and what could not be.
    protect_e8 : int, optional
        0: positions are closed. Otherwise each gets a stop so far from the mark price, a share in 1e-8, and stays.
    """

    def __init__(
        self,
        rest: Rest,
        clock: Clock,
        symbols: Sequence[str],
        names: Iterator[str],
        told: Callable[[str, str], None],
        protect_e8: int = 0,
    ) -> None:
        self._rest, self._clock, self._symbols, self._names, self._told = rest, clock, symbols, names, told
        self._protect_e8 = protect_e8
        self._rules: Mapping[str, Rule] = {}
        self._unknown: dict[Leg, _Sent] = {}
        self.done = 0

    async def learn(self) -> None:
        """Read the symbols' rules; a step does it by itself where nobody did.

        Raises
        ------
        VenueError
            If the exchange does not answer, or what cannot be believed.
        """
        info = await self._rest.exchange_info()
        self._rules = _believed(lambda: _rules(info, self._symbols))

    async def step(self) -> list[str]:
        """Do what can be done now, and return what stood there when it began: client ids and symbols, or nothing.

        Raises
        ------
        VenueError
            If something could not be done; everything else was tried all the same.
        """
        if not self._rules:
            await self.learn()
        failed = await _failures(self._settle(leg) for leg in list(self._unknown))
        before = await self._standing()
        if before.working:
            self._told("CANCELLING", say("watchdog.cancelling", names=", ".join(one[1] for one in before.working)))
            failed += await _failures(self._cancel(*one) for one in before.working)
        now = await self._standing() if before.working else before
        due = {leg: held for leg, held in now.legs.items() if leg not in self._unknown}
        failed += await _failures(self._end(leg, held, now.protected) for leg, held in due.items())
        failed += await _failures(self._cancel(leg[0], name, True) for leg, name in now.idle_stops())
        for error in failed:
            raise error
        return self._left(before)

    def _left(self, found: _Standing) -> list[str]:
        orders = [name for _, name, _ in found.working] + [name for _, name in found.idle_stops()]
        kept = found.protected if self._protect_e8 else set()
        legs = sorted({symbol for symbol, _ in found.legs.keys() - kept} | {symbol for symbol, _ in self._unknown})
        return orders + legs

    # ------------------------------------------------------------------ what is there

    async def _standing(self) -> _Standing:
        one = self._symbols[0] if len(self._symbols) == 1 else None
        plain, algo, risk = await asyncio.gather(
            self._rest.open_orders(one), self._rest.open_algo_orders(one), self._rest.position_risk(one)
        )
        return _believed(lambda: _standing(plain, algo, risk, self._symbols))

    # ------------------------------------------------------------------ what is done

    async def _cancel(self, symbol: str, name: str, conditional: bool) -> None:
        try:
            await (self._rest.cancel_algo_order(name) if conditional else self._rest.cancel_order(symbol, name))
        except RestError as error:
            # It may have ended by itself, or not: the next list says.
            if error.verdict.outcome is not Outcome.UNKNOWN:
                raise

    async def _end(self, leg: Leg, held: _Held, protected: Collection[Leg]) -> None:
        if not self._protect_e8:
            await self._close(leg, held)
        elif leg not in protected:
            await self._protect(leg, held)

    async def _close(self, leg: Leg, held: _Held) -> None:
        (symbol, side), sells = leg, held.amount_e8 > 0
        amount_e8 = self._rules[symbol].slice_e8(held.amount_e8)
        if not amount_e8:
            raise VenueError(say("watchdog.dust", symbol=symbol, quantity=decimal(abs(held.amount_e8))))
        sent, quantity = _Sent(next(self._names), self._clock.request_ms(), False), decimal(amount_e8)
        words = {"symbol": symbol, "side": "SELL" if sells else "BUY", "quantity": quantity, "name": sent.name}
        self._told("SENT", say("watchdog.sent", **words))
        await self._heed(leg, sent, await self._rest.reduce(symbol, side, sells, quantity, sent.name))

    async def _protect(self, leg: Leg, held: _Held) -> None:
        (symbol, side), sells = leg, held.amount_e8 > 0
        trigger = decimal(self._rules[symbol].trigger_e8(held.mark_e8, self._protect_e8, sells))
        sent = _Sent(next(self._names), self._clock.request_ms(), True)
        answer = await self._rest.protect(symbol, side, sells, trigger, sent.name)
        if answer.verdict.alert is Alert.STOP_TO_MARKET:
            await self._close(leg, held)
            return
        self._told("PROTECTED", say("watchdog.protected", symbol=symbol, price=trigger, name=sent.name))
        await self._heed(leg, sent, answer)

    async def _heed(self, leg: Leg, sent: _Sent, answer: Answer) -> None:
        # Whatever was done, the next list says what is left; only what nobody knows must be asked for by its name.
        match answer.verdict.outcome:
            case Outcome.DONE:
                self.done += 1
                return
            case Outcome.UNKNOWN:
                self._unknown[leg] = sent
                self._told("UNKNOWN", say("watchdog.unknown", name=sent.name, symbol=leg[0]))
                return
            case Outcome.RESYNC:
                await self._clock.measure()
            case Outcome.REFRESH:
                await self.learn()
        raise VenueError(say("watchdog.refused", name=sent.name, reason=_why(answer)), answer.verdict.code)

    async def _settle(self, leg: Leg) -> None:
        sent = self._unknown[leg]
        is_late = self._clock.request_ms() > sent.stamp_ms + NEVER_MS  # before it is asked
        ask = self._rest.algo_order(sent.name) if sent.conditional else self._rest.order(leg[0], sent.name)
        found = await ask
        status = found.get("algoStatus" if sent.conditional else "status")
        if found.get("code") == ABSENT:
            status = say("watchdog.never") if is_late else None
        elif not sent.conditional and status not in OVER:
            status = None
        if status is not None:
            del self._unknown[leg]
            self._told("SETTLED", say("watchdog.settled", name=sent.name, status=status))


def decimal(amount_e8: int) -> str:
    """Return an amount of 1e-8, not negative, as the exchange writes it.

    Examples
    --------
    >>> decimal(150_000_000), decimal(1), decimal(200_000_000)
    ('1.5', '0.00000001', '2')
    """
    whole, part = divmod(amount_e8, E8)
    return f"{whole}.{part:08d}".rstrip("0").rstrip(".")


async def _failures(deeds: Iterable[Coroutine[Any, Any, None]]) -> list[AutotraderError]:
    # One that fails keeps no other from being tried.
    found = await asyncio.gather(*deeds, return_exceptions=True)
    for fault in found:
        if fault is not None and not isinstance(fault, AutotraderError):
            raise fault
    return [one for one in found if isinstance(one, AutotraderError)]


def _why(answer: Answer) -> str:
    return f"{answer.verdict.code} {answer.verdict.text}" if answer.verdict.code else answer.verdict.outcome.value


def _believed(read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VenueError(say("watchdog.unreadable", reason=str(error) or type(error).__name__)) from None


def _rules(info: Body, symbols: Collection[str]) -> dict[str, Rule]:
    found = {body["symbol"]: _rule(body) for body in info["symbols"] if body["symbol"] in symbols}
    if missing := set(symbols) - found.keys():
        raise ValueError(", ".join(sorted(missing)))
    return found


def _rule(body: Body) -> Rule:
    filters = {one["filterType"]: one for one in body["filters"]}
    lots = filters["LOT_SIZE"]
    market = filters.get("MARKET_LOT_SIZE", lots)
    step_e8 = max(amount_e8(lots["stepSize"], 1), amount_e8(market["stepSize"], 0))
    most_e8 = min(one for one in (amount_e8(lots["maxQty"], 0), amount_e8(market["maxQty"], 0)) if one)
    return Rule(amount_e8(filters["PRICE_FILTER"]["tickSize"], 1), step_e8, most_e8)


def _standing(
    plain: Sequence[Body], algo: Sequence[Body], risk: Sequence[Body], symbols: Collection[str]
) -> _Standing:
    found = _Standing()
    for body in risk:
        amount = amount_e8(body["positionAmt"])
        if body["symbol"] in symbols and amount:
            found.legs[body["symbol"], body["positionSide"]] = _Held(amount, amount_e8(body["markPrice"], 0))
    for body in plain:
        if body["symbol"] in symbols and is_ours(body["clientOrderId"]) and not body["closePosition"]:
            found.working.append((body["symbol"], body["clientOrderId"], False))
    for body in algo:
        if body["symbol"] in symbols:
            _sort(found, body)
    return found


def _sort(found: _Standing, body: Body) -> None:
    leg, name = (body["symbol"], body["positionSide"]), body["clientAlgoId"]
    if body["closePosition"] and body["orderType"] == "STOP_MARKET" and leg in found.legs:
        sells = found.legs[leg].amount_e8 > 0
        found.protected.update({leg} if (body["side"] == "SELL") == sells else ())
    if not is_ours(name):
        return
    if body["closePosition"] or body["reduceOnly"] or _ends(leg[1], body["side"]):
        found.stops.append((leg, name))
    else:
        found.working.append((leg[0], name, True))


def _ends(leg: str, side: str) -> bool:
    return (leg, side) in (("LONG", "SELL"), ("SHORT", "BUY"))
