"""Risk: what the gate refused and why, what alarmed, who commanded what, which limits stand.

Knows what the rows tell. A rung of the drawdown ladder, for one, announces itself when it is reached and not
when it is left, so the view says the last rung reached and when; and a lost day that ends with its midnight, where
the configuration says so, stands until a command. Refuses to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from autotrader.views.view import Row, Scales, View
from core_ext.sizing import Factor
from core_ext.types import Alarm, Cause, Command, Instruments, Kind, Reason, Setting

__all__ = ["Risk", "Watch"]

ACCOUNT_SETTINGS = frozenset({Setting.HEDGE_MODE, Setting.MULTI_ASSETS, Setting.FEE_COIN})
LADDER = {Alarm.DRAWDOWN_HALF: 1, Alarm.DRAWDOWN_REDUCE_ONLY: 2, Alarm.DRAWDOWN_KILL: 3}
ALARMED = {
    Alarm.LIQUIDATED: ("halted", 1),
    Alarm.DELEVERAGING: ("halted", 1),
    Alarm.FOREIGN_ORDER: ("halted", 1),
    Alarm.DRAWDOWN_KILL: ("killed", 1),
    Alarm.DAILY_LOSS: ("day_lost", 1),
}
COMMANDED = {
    Command.HALT: ("halted", 1),
    Command.FLATTEN: ("halted", 1),
    Command.RESUME: ("halted", 0),
    Command.KILL: ("killed", 1),
    Command.ALLOW: ("day_lost", 0),
}


@dataclass(slots=True)
class Watch:
    """One thing that risk keeps count of.

    Attributes
    ----------
    topic : str
        refusal, alarm, command, size_cap, forced, strategy (all counted), setting or state (the value that stands).
    name : str
        The reason's, alarm's, command's, cap's, cause's or setting's name; of a state: halted, killed, day_lost or
        ladder (0 to 3: none, half size, reduce only, killed).
    symbol : str
        Empty for what is the account's; of a symbol's own halt by the operator its name.
    value : int
        Count, or the value that stands.
    last_ns : int
        When it was last told.
    """

    topic: str
    name: str
    symbol: str
    value: int
    last_ns: int


class Risk(View[Watch]):
    """The risk record of an account.

    Parameters
    ----------
    instruments : Instruments
    """

    name: ClassVar[str] = "risk"
    record: ClassVar[type] = Watch
    key: ClassVar[tuple[str, ...]] = ("topic", "name", "symbol")

    def __init__(self, instruments: Instruments):
        self.scales = Scales(instruments)
        self._watches: dict[tuple[str, str, str], Watch] = {}
        self._changed: dict[tuple[str, str, str], Watch] = {}
        self.steps = {
            Kind.REFUSED: self._refused,
            Kind.ALARM: self._alarm,
            Kind.COMMAND: self._command,
            Kind.ORDER: self._order,
            Kind.LIQUIDATION: self._liquidation,
            Kind.STRATEGY_FAILED: self._strategy_failed,
            Kind.SETTING: self._setting,
        }

    def rows(self) -> Iterator[Watch]:
        """Return everything, by topic and name."""
        return (self._watches[place] for place in sorted(self._watches))

    def drain(self) -> list[Watch]:
        """Return what changed since the last call."""
        changed, self._changed = self._changed, {}
        return [changed[place] for place in sorted(changed)]

    def load(self, records: Iterator[Watch]) -> None:
        """Take everything back."""
        self._watches = {(watch.topic, watch.name, watch.symbol): watch for watch in records}

    def state(self, name: str) -> int:
        """Return the value of a state, 0 while nothing was told of it."""
        watch = self._watches.get(("state", name, ""))
        return watch.value if watch is not None else 0

    def counts(self, topic: str) -> dict[str, int]:
        """Return {name: count} of a topic, all symbols together, by name."""
        found: dict[str, int] = {}
        for watch in self.rows():
            if watch.topic == topic:
                found[watch.name] = found.get(watch.name, 0) + watch.value
        return found

    # ------------------------------------------------------------------ rows

    def _watch(self, row: Row, topic: str, name: str, symbol: str) -> Watch:
        place = topic, name, symbol
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = Watch(topic, name, symbol, 0, 0)
        watch.last_ns = row.ts
        self._changed[place] = watch
        return watch

    def _count(self, row: Row, topic: str, name: str, symbol: str | None = None) -> None:
        self._watch(row, topic, name, self.scales.names[row.symbol] if symbol is None else symbol).value += 1

    def _stand(self, row: Row, topic: str, name: str, value: int, symbol: str = "") -> None:
        self._watch(row, topic, name, symbol).value = value

    def _refused(self, _sequence: int, row: Row) -> None:
        self._count(row, "refusal", Reason(row.a).name or str(row.a))

    def _alarm(self, _sequence: int, row: Row) -> None:
        self._count(row, "alarm", Alarm(row.a).name or str(row.a))
        if row.a in ALARMED:
            self._stand(row, "state", *ALARMED[Alarm(row.a)])
        if row.a in LADDER:
            self._stand(row, "state", "ladder", LADDER[Alarm(row.a)])

    def _command(self, _sequence: int, row: Row) -> None:
        symbol = self.scales.names[row.b - 1] if row.b else ""
        self._count(row, "command", Command(row.a).name or str(row.a), symbol)
        if row.a in COMMANDED:
            self._stand(row, "state", *COMMANDED[Command(row.a)], symbol)
        if row.a == Command.RESUME:
            for _, _, one in [place for place in self._watches if place[:2] == ("state", "halted")]:
                self._stand(row, "state", "halted", 0, one)

    def _order(self, _sequence: int, row: Row) -> None:
        self._count(row, "size_cap", Factor(row.f).name or str(row.f))

    def _liquidation(self, _sequence: int, row: Row) -> None:
        self._count(row, "forced", Cause(row.e).name or str(row.e))

    def _strategy_failed(self, _sequence: int, row: Row) -> None:
        self._count(row, "strategy", "STRATEGY_FAILED", "")

    def _setting(self, _sequence: int, row: Row) -> None:
        if row.a in ACCOUNT_SETTINGS:
            self._stand(row, "setting", Setting(row.a).name, row.b)
