"""Positions, by symbol and leg: what is held, what it cost, what it has earned and paid.

Knows the account's bookings, to the last 1e-8 USDT as the core's own account makes them. Refuses to know
orders, and market data beyond the last price that the journal itself tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.view import E8, Row, Scales, View, rounded
from core_ext.types import Flag, Instruments, Kind, Setting

__all__ = ["Position", "Positions"]

MOST_LEVERAGE = 200  # of any exchange's; the core passes over a greater one


@dataclass(slots=True)
class Position:
    """One leg of one symbol; money in 1e-8 USDT.

    Attributes
    ----------
    leg : int
        1 the short leg of hedge mode, 0 the long one or the only one.
    quantity_e8, cost_e8 : int
        Buy positive; what the open quantity cost, signed with it.
    isolated_e8 : int
        Wallet of the leg, 0 in cross margin.
    realised_e8, last_realised_e8 : int
        Gross of fees and funding: ever, and of the last fill or liquidation.
    fees_e8, fees_coin_e8, liquidation_fees_e8 : int
        Fees paid in USDT, those of them that liquidations charged, and fees paid in the fee coin (1e-8 of it).
    price_e8, price_ns : int
        Last price that the rows tell, and when.
    is_mark : bool
        Whether that price comes from the mark price's own rows, which nothing else then replaces.
    liquidations, cause : int
        How often a part was closed by force, and the last `core_ext.types.Cause` (-1: never).
    sequence : int
        Row of the last change of what is held.
    """

    symbol: str
    leg: int
    quantity_e8: int = 0
    cost_e8: int = 0
    isolated_e8: int = 0
    realised_e8: int = 0
    last_realised_e8: int = 0
    fees_e8: int = 0
    fees_coin_e8: int = 0
    liquidation_fees_e8: int = 0
    funding_e8: int = 0
    leverage: int = 1
    isolated: bool = False
    price_e8: int = 0
    price_ns: int = 0
    is_mark: bool = False
    liquidations: int = 0
    cause: int = -1
    updated_ns: int = 0
    sequence: int = -1

    @property
    def entry_e8(self) -> int:
        """Average entry price from the cost, 0 when nothing is held."""
        return rounded(abs(self.cost_e8) * E8, abs(self.quantity_e8)) if self.quantity_e8 else 0

    @property
    def value_e8(self) -> int:
        """What is held at the last price, signed."""
        return rounded(self.price_e8 * self.quantity_e8, E8)

    @property
    def unrealised_e8(self) -> int:
        """Profit of what is held at the last price."""
        return self.value_e8 - self.cost_e8


class Positions(View[Position]):
    """The positions of an account.

    Parameters
    ----------
    instruments : Instruments
    """

    name: ClassVar[str] = "positions"
    record: ClassVar[type] = Position
    key: ClassVar[tuple[str, ...]] = ("symbol", "leg")

    def __init__(self, instruments: Instruments):
        self.scales = Scales(instruments)
        self.legs: dict[tuple[int, int], Position] = {}
        self._changed: dict[tuple[int, int], Position] = {}
        self.steps = {
            Kind.FILL: self._fill,
            Kind.LIQUIDATION: self._liquidation,
            Kind.FUNDING_PAID: self._funding,
            Kind.MARGIN_MOVED: self._margin_moved,
            Kind.SETTING: self._setting,
            Kind.MARK: self._mark,
            Kind.MARK_CANDLE: self._mark_candle,
            Kind.ORDER: self._decision,
            Kind.POSITION: self._believed,
        }

    def rows(self) -> Iterator[Position]:
        """Return every leg that was ever used, by symbol."""
        return (self.legs[place] for place in sorted(self.legs))

    def drain(self) -> list[Position]:
        """Return the legs that changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def load(self, records: Iterator[Position]) -> None:
        """Take back every leg."""
        numbers = {name: at for at, name in enumerate(self.scales.names)}
        self.legs = {(numbers[position.symbol], position.leg): position for position in records}

    def of(self, row: Row) -> Position:
        """Return the leg that a row concerns."""
        return self._leg(row.symbol, 1 if row.flags & Flag.F_SHORT else 0)

    def holds(self, symbol: int) -> bool:
        """Return whether a leg of the symbol is open."""
        return any(leg is not None and leg.quantity_e8 != 0 for leg in map(self.legs.get, ((symbol, 0), (symbol, 1))))

    # ------------------------------------------------------------------ bookings

    def _leg(self, symbol: int, leg: int) -> Position:
        place = symbol, leg
        found = self.legs.get(place)
        if found is None:
            found = self.legs[place] = Position(self.scales.names[symbol], leg, leverage=self.scales.leverage[symbol])
            other = self.legs.get((symbol, 1 - leg))
            if other is not None:  # settings and prices are the symbol's, not the leg's
                found.leverage, found.isolated = other.leverage, other.isolated
                found.price_e8, found.price_ns, found.is_mark = other.price_e8, other.price_ns, other.is_mark
        self._changed[place] = found
        return found

    def _fill(self, sequence: int, row: Row) -> None:
        position = self.of(row)
        price_e8 = row.c * self.scales.tick_e8[row.symbol]
        size_e8 = row.d * self.scales.lot_e8[row.symbol]
        quantity_e8 = -size_e8 if row.flags & Flag.F_SELL else size_e8
        _book(position, quantity_e8, rounded(price_e8 * quantity_e8, E8))
        if row.flags & Flag.F_FEE_COIN:
            position.fees_coin_e8 += row.e
        else:
            position.fees_e8 += row.e
        _touch(position, sequence, row)
        self._price(row.symbol, price_e8, row.ts, False)

    def _liquidation(self, sequence: int, row: Row) -> None:
        # The row's lots are the leg's own, signed: they go.
        position = self.of(row)
        quantity_e8 = -row.a * self.scales.lot_e8[row.symbol]
        _book(position, quantity_e8, rounded(row.b * quantity_e8, E8))
        position.fees_e8 += row.c
        position.liquidation_fees_e8 += row.c
        position.liquidations += 1
        position.cause = row.e
        _touch(position, sequence, row)
        self._price(row.symbol, row.d, row.ts, False)

    def _funding(self, sequence: int, row: Row) -> None:
        position = self.of(row)
        position.funding_e8 += row.a
        if position.isolated and position.quantity_e8:
            position.isolated_e8 += row.a
        _touch(position, sequence, row)
        self._price(row.symbol, row.c, row.ts, False)

    def _margin_moved(self, sequence: int, row: Row) -> None:
        position = self.of(row)
        if position.isolated:  # a cross leg has no wallet
            position.isolated_e8 += row.a
        _touch(position, sequence, row)

    def _setting(self, sequence: int, row: Row) -> None:
        if row.a not in (Setting.LEVERAGE, Setting.ISOLATED):
            return  # of the account
        if row.a == Setting.LEVERAGE and not 1 <= row.b <= MOST_LEVERAGE:
            return
        self._leg(row.symbol, 0)
        for leg in (leg for leg in (0, 1) if (row.symbol, leg) in self.legs):
            position = self._leg(row.symbol, leg)
            if row.a == Setting.LEVERAGE:
                position.leverage = row.b
            else:
                position.isolated = bool(row.b)
                if not position.isolated:  # what the leg still had goes back to cross
                    position.isolated_e8 = 0
            _touch(position, sequence, row)

    def _believed(self, sequence: int, row: Row) -> None:
        # What the venue holds replaces what was booked; no profit is.
        position = self.of(row)
        position.quantity_e8 = row.a * self.scales.lot_e8[row.symbol]
        position.cost_e8 = -row.b if row.a < 0 else row.b
        position.isolated_e8 = row.c if position.isolated else 0
        _touch(position, sequence, row)

    # ------------------------------------------------------------------ prices

    def _mark(self, _sequence: int, row: Row) -> None:
        self._price(row.symbol, row.a, row.ts, True)

    def _mark_candle(self, _sequence: int, row: Row) -> None:
        self._price(row.symbol, row.d, row.ts, True)

    def _decision(self, _sequence: int, row: Row) -> None:
        self._price(row.symbol, row.e, row.ts, False)

    def _price(self, symbol: int, price_e8: int, ts: int, is_mark: bool) -> None:
        # Prices of a symbol without a position are nobody's business here.
        for place in ((symbol, 0), (symbol, 1)):
            position = self.legs.get(place)
            if position is not None and price_e8 > 0 and is_mark >= position.is_mark:
                position.price_e8, position.price_ns, position.is_mark = price_e8, ts, is_mark
                self._changed[place] = position


def _touch(position: Position, sequence: int, row: Row) -> None:
    position.sequence, position.updated_ns = sequence, row.ts


def _book(position: Position, quantity_e8: int, value_e8: int) -> None:
    # Signed quantity of signed value joins the leg: what closes is realised, what is left opens.
    held = position.quantity_e8
    position.last_realised_e8 = 0
    if held and (held > 0) != (quantity_e8 > 0):
        closing = min(abs(quantity_e8), abs(held))
        closed_value = rounded(value_e8 * closing, abs(quantity_e8))
        _close(position, closing if quantity_e8 > 0 else -closing, closed_value)
        quantity_e8 += -closing if quantity_e8 > 0 else closing
        value_e8 -= closed_value
    if quantity_e8:
        position.quantity_e8 += quantity_e8
        position.cost_e8 += value_e8
        if position.isolated:
            position.isolated_e8 += abs(value_e8) // position.leverage


def _close(position: Position, quantity_e8: int, value_e8: int) -> None:
    # The closed share of an isolated wallet goes back to cross, with the profit or loss.
    closing, held = abs(quantity_e8), abs(position.quantity_e8)
    removed = rounded(position.cost_e8 * closing, held)
    realised = -value_e8 - removed
    if position.isolated:
        share = rounded(position.isolated_e8 * closing, held)
        position.isolated_e8 = 0 if closing == held else position.isolated_e8 - share
    position.cost_e8 -= removed
    position.quantity_e8 += quantity_e8
    position.realised_e8 += realised
    position.last_realised_e8 = realised
