"""The synthetic market: an index that wanders, two makers that quote around it, and takers that come by chance.

Knows how these participants behave; they trade at the synthetic exchange through its public methods, with accounts of
their own. Refuses to know clocks, sockets and clients: time comes in, and what the exchange said goes out action by
action. Every action has its stamp before it is carried out, and every symbol its own sequences of chance, so the same
seed and the same orders of others give the same market in however many steps it is advanced.

A maker keeps the levels next to the index complete and leaves the farther ones where they stood, so a move costs a
bounded number of orders however far it goes. What others left in its way it takes. Orders are bounded by ``LEVELS`` a
side, symbol and pair of makers; takers' orders never rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core_ext.account import Account
from core_ext.book import Book
from core_ext.types import EVENT_DTYPE, Flag, Instruments, Kind, Side, TimeInForce

__all__ = ["LEVELS", "STAKE_E8", "Crowd", "Said"]

Said = tuple[int, NDArray[np.void], list[int]]

E8 = 10**8
MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
STAKE_E8 = 10**8 * E8  # what each account of the crowd needs to begin with
START_TICKS = 20_000  # where a price begins that nobody names
LEVELS = 48  # a side, of both makers
CLOSE_LEVELS = 10  # of those, next to the index without a gap
BASE_E8 = 5_000 * E8  # what a level is worth, about
STEP_NS = 250 * MS_NS  # of the index, and of the makers' look at it
STEP_SIGMA = 0.6 / (365 * 86_400 * 4) ** 0.5  # 60 % a year
JUMP_SHARE, JUMP_SIGMA = 1 / 2_400, 0.003  # one in ten minutes
WALK_BLOCK = 512
REACTION_NS = (2 * MS_NS, 20 * MS_NS)
TAKER_SHARE, TAKER_SPREAD = 0.06, 1.2  # of a level: the median and the logarithm's deviation
REACH = 1  # levels behind the touch that a taker goes to
PATIENCE = 40  # levels that a taker holds at most before it only trades back
BUY, SELL = int(Side.BUY), int(Side.SELL)


class Place(Protocol):
    """The exchange as its participants see it."""

    @property
    def accounts(self) -> Sequence[Account]:
        """Money of all accounts."""

    @property
    def books(self) -> Sequence[Book]:
        """Order books, by symbol."""

    def feed(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Feed indices; return what the exchange says."""

    def place_order(
        self, now: int, client_id: int, symbol: int, side: int, lots: int, price_ticks: int, account: int, *, tif: int
    ) -> NDArray[np.void]:
        """Place an order."""

    def cancel_order(self, now: int, client_id: int, symbol: int, account: int) -> NDArray[np.void]:
        """Cancel an order."""

    def said(self) -> tuple[NDArray[np.void], list[int]]:
        """Return what the exchange said last, and to whom."""


class _Walk:
    """The path of an index: geometric, with jumps, in whole 1e-8, on a grid of ``STEP_NS``; two blocks are kept."""

    def __init__(self, start_e8: int, dice: np.random.Generator) -> None:
        self.bounds = (max(1, start_e8 // 4), start_e8 * 4)
        self.dice = dice
        self.path = [start_e8]
        self.first = 0

    def at(self, step: int) -> int:
        """Return the index at a step; one that is no longer kept is the oldest kept."""
        while step >= self.first + len(self.path):
            self._extend()
        return self.path[max(0, step - self.first)]

    def _extend(self) -> None:
        moves = STEP_SIGMA * self.dice.standard_normal(WALK_BLOCK)
        jumps = JUMP_SIGMA * self.dice.standard_normal(WALK_BLOCK)
        moves += np.where(self.dice.random(WALK_BLOCK) < JUMP_SHARE, jumps, 0.0)
        price, (low, high) = self.path[-1], self.bounds
        for move in np.rint(moves * E8).astype(np.int64).tolist():
            price = min(high, max(low, price + price * move // E8))
            self.path.append(price)
        forgotten = max(0, len(self.path) - 2 * WALK_BLOCK)
        del self.path[:forgotten]
        self.first += forgotten


class _Place:
    """One symbol: its index, its makers' orders by price, and the filters as they last stood."""

    def __init__(self, instruments: Instruments, symbol: int, start_e8: int, seed: int) -> None:
        self.instruments = instruments
        self.symbol = symbol
        self.walk = _Walk(start_e8, np.random.Generator(np.random.PCG64([seed, symbol, 1])))
        self.dice = np.random.Generator(np.random.PCG64([seed, symbol, 2]))
        self.scale_e8 = E8
        self.mine: tuple[dict[int, tuple[int, int]], ...] = ({}, {})  # a side: ticks -> (client id, account)
        self.at = 0  # the index in grid steps when the makers last looked
        self.reacts = False
        self.look(start_e8)
        self.bound(start_e8)

    def look(self, index_e8: int) -> None:
        """Read the filters anew: the grid in ticks, and what a level holds."""
        spec = self.instruments.spec(self.symbol)
        lot_value_e8 = max(1, index_e8 * spec["lot_e8"] // E8)
        step, least = spec["lot_step"], max(spec["min_lots"], 2 * spec["min_notional_e8"] // lot_value_e8 + 1)
        self.trades = bool(spec["tradable"])
        self.grid_ticks: int = spec["tick_step"]
        self.grid_e8: int = spec["tick_e8"] * self.grid_ticks
        self.lot_step: int = step
        self.down_e8, self.up_e8 = ((E8 - spec["down_e8"]) * 6 // 10, (spec["up_e8"] - E8) * 6 // 10)
        self.least: int = -(-least // step) * step
        self.most: int = spec["max_lots"] // step * step
        self.level_lots = self.lots(BASE_E8 / lot_value_e8)

    def bound(self, mark_e8: int) -> None:
        """Stay well within the percent filter around a mark: a market that jumps further goes there by marks."""
        self.low_e8 = mark_e8 - mark_e8 * self.down_e8 // E8
        self.high_e8 = mark_e8 + mark_e8 * self.up_e8 // E8

    def lots(self, wanted: float) -> int:
        """Return a quantity that the filters allow."""
        return max(self.least, min(self.most, int(wanted) // self.lot_step * self.lot_step))


class Crowd:
    """Everybody at a synthetic exchange who is no client.

    Parameters
    ----------
    exchange : Exchange
        Synthetic.
    instruments : Instruments
    accounts : range
        Three numbers at least: two makers, and takers; each with ``STAKE_E8`` in its wallet.
    seed : int
    rate_per_s : float, optional
        Takers' orders a second and symbol.
    prices_e8 : sequence of int, optional
        Where the indices begin; 20,000 ticks each otherwise.

    Attributes
    ----------
    actions : int
        Carried out so far.

    Notes
    -----
    A client's order belongs between the actions up to its stamp and those after it: advance to the stamp, exhaust what
    ``advance`` gives, then hand over the order.
    """

    def __init__(
        self,
        exchange: Place,
        instruments: Instruments,
        accounts: range,
        seed: int,
        rate_per_s: float = 4.0,
        prices_e8: Sequence[int] | None = None,
    ) -> None:
        if len(accounts) < 3 or not rate_per_s > 0:
            raise ValueError(f"a crowd is two makers and takers at a positive rate: {accounts}, {rate_per_s}")
        self.exchange = exchange
        self.makers = (accounts[0], accounts[1])
        self.takers = accounts[2:]
        self.pause_ns = SECOND_NS / rate_per_s
        self.actions = 0
        starts = prices_e8 or [START_TICKS * instruments.spec(k)["tick_e8"] for k in range(instruments.size)]
        self._places = [_Place(instruments, k, start, seed) for k, start in enumerate(starts)]
        self._opened = 0
        self._ids = count(1)
        self._agenda: list[tuple[int, int, Callable[[int, int], Iterator[Said]], int]] = []
        self._order = count()

    def index_e8(self, symbol: int, now_ns: int) -> int:
        """Return a symbol's index, 1e-8: its walk at the last step up to now, times its scale."""
        place = self._places[symbol]
        return place.walk.at((now_ns - self._opened) // STEP_NS) * place.scale_e8 // E8

    def rescale(self, symbol: int, scale_e8: int) -> None:
        """Let a symbol's index be so much of its walk from here on (1e8: all of it); the makers follow."""
        self._places[symbol].scale_e8 = scale_e8

    def open(self, now_ns: int) -> list[Said]:
        """Begin: feed the first index and build the books; return what the exchange said, action by action."""
        self._opened = now_ns
        said = list(self._publish(0, now_ns))
        for place in self._places:
            said += self._quote(place.symbol, now_ns)
            self._plan(now_ns + self._offset(place.symbol), self._look, place.symbol)
            self._plan(now_ns + self._wait(place), self._take, place.symbol)
        return said

    def advance(self, now_ns: int) -> Iterator[Said]:
        """Carry out what is due up to now, in order of time.

        Yields
        ------
        tuple of int, array, list of int
            The action's stamp, what the exchange said, and the account that each row goes to (-1: everybody).
        """
        while self._agenda and self._agenda[0][0] <= now_ns:
            due, _, act, symbol = heapq.heappop(self._agenda)
            yield from act(symbol, due)

    # Actions: each plans its next before it begins.

    def _plan(self, due: int, act: Callable[[int, int], Iterator[Said]], symbol: int) -> None:
        heapq.heappush(self._agenda, (due, next(self._order), act, symbol))

    def _offset(self, symbol: int) -> int:
        # The makers look at one symbol after the other.
        return STEP_NS * (symbol + 1) // (len(self._places) + 1)

    def _wait(self, place: _Place) -> int:
        return 1 + round(float(place.dice.exponential(self.pause_ns)))

    def _publish(self, _: int, now: int) -> Iterator[Said]:
        # The indices of all symbols at every whole second; the exchange makes its marks and funding rates of them.
        self._plan((now // SECOND_NS + 1) * SECOND_NS, self._publish, 0)
        rows = np.zeros(len(self._places), EVENT_DTYPE)
        rows["kind"], rows["flags"], rows["ts"] = Kind.MARK, Flag.F_END, now
        for place in self._places:
            index_e8 = self.index_e8(place.symbol, now)
            place.look(index_e8)
            rows[place.symbol]["symbol"], rows[place.symbol]["b"] = place.symbol, index_e8
        said = self.exchange.feed(rows)
        for one in said[said["kind"] == Kind.MARK]:
            self._places[int(one["symbol"])].bound(int(one["a"]))
        yield self._heard(now)

    def _look(self, symbol: int, now: int) -> Iterator[Said]:
        self._plan(now + STEP_NS, self._look, symbol)
        return self._quote(symbol, now)

    def _react(self, symbol: int, now: int) -> Iterator[Said]:
        self._places[symbol].reacts = False
        return self._quote(symbol, now)

    def _take(self, symbol: int, now: int) -> Iterator[Said]:
        place = self._places[symbol]
        self._plan(now + self._wait(place), self._take, symbol)
        account = self.takers[int(place.dice.integers(len(self.takers)))]
        wanted = TAKER_SHARE * place.level_lots * float(np.exp(TAKER_SPREAD * place.dice.standard_normal()))
        side = self._mood(place, account)
        if not place.trades:
            return
        if not place.reacts:
            place.reacts = True
            self._plan(now + int(place.dice.integers(*REACTION_NS)), self._react, symbol)
        ticks = (place.at + 1 + REACH if side == BUY else place.at - REACH) * place.grid_ticks
        lots = place.lots(wanted)
        self.exchange.place_order(now, next(self._ids), symbol, side, lots, ticks, account, tif=TimeInForce.IOC)
        yield self._heard(now)

    def _mood(self, place: _Place, account: int) -> int:
        # Who holds much rather trades back, so nobody's position grows without end.
        held = int(self.exchange.accounts[account].position(place.symbol)["lots"])
        full = PATIENCE * place.level_lots
        return BUY if place.dice.random() < 0.5 - held / (2 * full) else SELL

    # Quoting.

    def _quote(self, symbol: int, now: int) -> Iterator[Said]:
        # The side that the market leaves goes first, so that no maker meets the other.
        place = self._places[symbol]
        if not place.trades:
            return
        centre_e8 = max(place.low_e8, min(place.high_e8, self.index_e8(symbol, now)))
        before, place.at = place.at, centre_e8 // place.grid_e8
        for side in (SELL, BUY) if place.at >= before else (BUY, SELL):
            yield from self._quote_side(place, side, now)

    def _quote_side(self, place: _Place, side: int, now: int) -> Iterator[Said]:
        grid, out = place.grid_ticks, -1 if side == BUY else 1
        touch = (place.at if side == BUY else place.at + 1) * grid
        shown = {ticks for ticks, _ in self.exchange.books[place.symbol].levels(side)}
        mine = place.mine[side]
        for ticks in [ticks for ticks in mine if ticks not in shown]:  # filled, or ended by force
            del mine[ticks]
        stale = [ticks for ticks in mine if (ticks - touch) * out < 0]
        wanted = [ticks for k in range(CLOSE_LEVELS) if (ticks := touch + k * out * grid) not in mine]
        kept = sorted((ticks for ticks in mine if (ticks - touch) * out >= 0), key=lambda ticks: ticks * out)
        room = LEVELS - len(wanted)
        wanted += self._farther(place, side, kept[-1] if kept else wanted[-1], room - len(kept))
        stale += kept[max(0, room) :]
        if side == SELL:
            yield from self._add(place, side, wanted, touch, now)
            yield from self._drop(place, side, stale, now)
        else:
            yield from self._drop(place, side, stale, now)
            yield from self._add(place, side, wanted, touch, now)

    def _farther(self, place: _Place, side: int, last: int, missing: int) -> list[int]:
        # Levels behind the last, with gaps of up to two.
        if missing <= 0:
            return []
        out = -1 if side == BUY else 1
        steps = np.cumsum(place.dice.integers(1, 4, missing)).tolist()
        begin = last // place.grid_ticks * place.grid_ticks  # the last may be of a finer grid than today's
        return [ticks for step in steps if (ticks := begin + step * out * place.grid_ticks) > 0]

    def _add(self, place: _Place, side: int, wanted: list[int], touch: int, now: int) -> Iterator[Said]:
        draws = place.dice.random(len(wanted)).tolist()
        for ticks, draw in zip(wanted, draws, strict=True):
            depth = abs(ticks - touch) // place.grid_ticks
            account = self.makers[ticks // place.grid_ticks & 1]
            lots = place.lots(place.level_lots * (0.5 + draw) * (1 + depth / 8))
            client_id = next(self._ids)
            place.mine[side][ticks] = client_id, account
            self.exchange.place_order(now, client_id, place.symbol, side, lots, ticks, account, tif=TimeInForce.GTC)
            yield self._heard(now)

    def _drop(self, place: _Place, side: int, stale: list[int], now: int) -> Iterator[Said]:
        for ticks in stale:
            client_id, account = place.mine[side].pop(ticks)
            self.exchange.cancel_order(now, client_id, place.symbol, account)
            yield self._heard(now)

    def _heard(self, now: int) -> Said:
        self.actions += 1
        rows, receivers = self.exchange.said()
        return now, rows, receivers
