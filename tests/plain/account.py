"""Plain twin of the account: exact fractions, no running totals.

Knows the exchange's margin rules (cross, one-way) and how money is rounded. Keeps only what was
booked on each position and works everything else out anew each time it is asked. Refuses to know how
the compiled account does it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

E8 = 10**8


def booked(units):
    """Return exact 1e-8 units as a whole number of them, half away from zero."""
    size = floor(abs(Fraction(units)) + Fraction(1, 2))
    return size if units >= 0 else -size


def value(spec, price_e8, lots):
    """Return the value of lots (buy positive) at a price, in 1e-8 USDT, rounded once."""
    return booked(Fraction(price_e8 * lots * spec["lot_e8"], E8))


def bracket(spec, notional_e8):
    """Return (mmr_e8, cum_e8) of the row with floor < notional <= cap; beyond the last cap, of the last row."""
    for floor_e8, cap_e8, mmr_e8, cum_e8, _ in spec["brackets"]:
        if floor_e8 < notional_e8 <= cap_e8:
            return mmr_e8, cum_e8
    return spec["brackets"][-1][2:4]


def exact_maintenance(spec, notional_e8):
    """Return notional * rate - maintenance amount, not rounded."""
    if notional_e8 == 0:
        return Fraction(0)
    mmr_e8, cum_e8 = bracket(spec, notional_e8)
    return Fraction(notional_e8) * mmr_e8 / E8 - cum_e8


def maintenance(spec, notional_e8):
    """Return the maintenance margin in 1e-8 USDT; the maintenance amount is a whole number of them."""
    return booked(exact_maintenance(spec, notional_e8))


def liquidation_price(spec, longs, shorts, cost_e8, room_e8):
    """Return the least price (1e-8) beyond which equity is on the other side of maintenance, 0 for none.

    Searched, not solved: equity minus maintenance is evaluated at whole prices with the bracket of each
    one's own notional. The exact answer lies less than one unit below.
    """

    def is_safe(price_e8):
        sides = [Fraction(price_e8 * lots * spec["lot_e8"], E8) for lots in (longs, shorts)]
        equity = room_e8 - cost_e8 + sides[0] - sides[1]
        return equity > sum(exact_maintenance(spec, side) for side in sides)

    low, high = 0, 1
    while is_safe(high) == is_safe(low) and high < 1 << 62:
        low, high = high, 2 * high
    if is_safe(high) == is_safe(low):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_safe(middle) == is_safe(high) else (middle, high)
    return high


@dataclass
class Position:
    """What one symbol's bookings left."""

    spec: dict
    lots: int = 0
    cost: int = 0
    mark: int = 0
    realised: int = 0
    fees: int = 0
    liquidation_fees: int = 0
    funding: int = 0
    turnover: int = 0

    @property
    def value(self):
        return value(self.spec, self.mark, self.lots)

    @property
    def maintenance(self):
        return maintenance(self.spec, abs(self.value))

    def add(self, lots, price_e8):
        """Trade lots; one that passes zero is a closing trade and an opening one."""
        if self.lots * lots < 0 and abs(lots) > abs(self.lots):
            rest = lots + self.lots
            self.add(-self.lots, price_e8)
            self.add(rest, price_e8)
        elif self.lots * lots < 0:
            removed = booked(Fraction(self.cost * -lots, self.lots))
            self.realised += -value(self.spec, price_e8, lots) - removed
            self.cost -= removed
            self.lots += lots
        else:
            self.cost += value(self.spec, price_e8, lots)
            self.lots += lots

    def fields(self):
        """Return the fields under the compiled account's names."""
        return {
            "lots": self.lots,
            "cost_e8": self.cost,
            "mark_e8": self.mark,
            "value_e8": self.value,
            "maintenance_e8": self.maintenance,
            "realised_e8": self.realised,
            "fees_e8": self.fees,
            "funding_e8": self.funding,
            "isolated_e8": 0,
        }


class Account:
    """One cross-margin account; money in 1e-8 USDT."""

    def __init__(self, specs, start_e8):
        self.start = start_e8
        self.positions = [Position(spec) for spec in specs]
        self.transfers = 0

    def fill(self, symbol, lots, price_ticks, fee_e8):
        position = self.positions[symbol]
        price_e8 = price_ticks * position.spec["tick_e8"]
        position.add(lots, price_e8)
        position.mark = position.mark or price_e8
        position.turnover += abs(value(position.spec, price_e8, lots))
        position.fees += fee_e8

    def mark(self, symbol, mark_e8):
        self.positions[symbol].mark = mark_e8

    def take_over(self, symbol, price_e8, fee_e8):
        position = self.positions[symbol]
        position.add(-position.lots, price_e8)
        position.fees += fee_e8
        position.liquidation_fees += fee_e8

    def funding_amount(self, symbol, rate_e8, mark_e8):
        position = self.positions[symbol]
        return booked(Fraction(-position.lots * position.spec["lot_e8"] * mark_e8 * rate_e8, E8 * E8))

    def pay_funding(self, symbol, amount_e8):
        self.positions[symbol].funding += amount_e8

    def transfer(self, amount_e8):
        self.transfers += amount_e8

    def total(self, name):
        """Return the sum of a field over the positions."""
        return sum(getattr(position, name) for position in self.positions)

    @property
    def wallet(self):
        return self.start + self.total("realised") - self.total("fees") + self.total("funding") + self.transfers

    @property
    def unrealised(self):
        return self.total("value") - self.total("cost")

    @property
    def equity(self):
        return self.wallet + self.unrealised

    @property
    def exact_initial(self):
        """Initial margin of the positions, not rounded: no rule says how, and nothing books it."""
        return sum(Fraction(abs(position.value), position.spec["leverage"]) for position in self.positions)

    def liquidation(self, symbol):
        own = self.positions[symbol]
        others = [position for position in self.positions if position is not own]
        room = self.wallet + sum(other.value - other.cost - other.maintenance for other in others)
        return liquidation_price(own.spec, max(own.lots, 0), max(-own.lots, 0), own.cost, room)

    def fields(self):
        """Return the totals under the compiled account's names."""
        return {
            "wallet_e8": self.wallet,
            "realised_e8": self.total("realised"),
            "fees_e8": self.total("fees"),
            "liquidation_fees_e8": self.total("liquidation_fees"),
            "funding_e8": self.total("funding"),
            "transfers_e8": self.transfers,
            "unrealised_e8": self.unrealised,
            "cost_e8": self.total("cost"),
            "maintenance_total_e8": self.total("maintenance"),
            "gross_e8": sum(abs(position.value) for position in self.positions),
            "net_e8": self.total("value"),
            "turnover_e8": self.total("turnover"),
        }
