"""What a run believed against what the exchange did: read from the run's journal and the exchange's history alone.

Knows the rows of a journal and the records of a history. Refuses to know the engine, its order table and its rules:
what is counted here is counted a second time, by other means.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from autotrader.adapters.loopback import history as told
from core_ext.journal import read_journal
from core_ext.types import AlgoStatus, Command, Flag, Gate, Kind, OrderType, Term

SECOND = 10**9
GOOD_FOR_NS = 6 * SECOND
"""How long after it was sent an order may still reach the exchange: its window of 5 s, and a second of wrong clocks."""
ENDS = {Kind.CANCELED: ("CANCELED",), Kind.EXPIRED: ("EXPIRED", "EXPIRED_IN_MATCH")}
ALGO_ENDS = {
    AlgoStatus.ALGO_CANCELED: "CANCELED",
    AlgoStatus.ALGO_EXPIRED: "EXPIRED",
    AlgoStatus.ALGO_REJECTED: "REJECTED",
}
EVIDENCE = frozenset(
    {Kind.ACCEPTED, Kind.REJECTED, Kind.FILL, Kind.CANCELED, Kind.EXPIRED, Kind.AMENDED, Kind.ALGO,
     Kind.CANCEL_REJECTED, Kind.AMEND_REJECTED}
)  # fmt: skip


@dataclass
class Real:
    """What the exchange did with one client order id."""

    accepted: list[int] = field(default_factory=list)
    """Stamps, ns; of an order that a trigger made, none."""
    children: int = 0
    orders: dict[int, int] = field(default_factory=dict)
    """Lots by the exchange's id."""
    ends: list[tuple[int, str]] = field(default_factory=list)
    algo_ends: list[tuple[int, str]] = field(default_factory=list)
    trades: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Stamp and lots by trade id."""
    grew: bool = False
    """Whether a trade of it made a position larger."""


class Truth:
    """The history of one account, by client order id.

    Parameters
    ----------
    path : Path
    account : str
    """

    def __init__(self, path: Path, account: str = "demo") -> None:
        self.by_client: dict[str, Real] = defaultdict(Real)
        self.client_of: dict[int, str] = {}
        self.refused: Counter[int] = Counter()
        self.faults = 0
        number = -1
        for record in told.Reader(path):
            if isinstance(record, told.Open):
                number = [one.name for one in record.accounts].index(account)
            elif isinstance(record, told.Fault):
                self.faults += 1
            elif getattr(record, "account", number) == number:
                self._hear(record)

    def _hear(self, record: told.Record) -> None:
        if isinstance(record, told.Order):
            real = self.by_client[record.client]
            real.orders[record.order] = record.lots
            self.client_of[record.order] = record.client
            if record.algo:
                real.children += 1
            else:
                real.accepted.append(record.t)
        elif isinstance(record, told.Algo):
            real = self.by_client[record.client]
            if record.status == "NEW":
                real.accepted.append(record.t)
            elif record.status in ("CANCELED", "EXPIRED", "REJECTED"):
                real.algo_ends.append((record.t, record.status))
        elif isinstance(record, told.Amended):
            self.by_client[self.client_of[record.order]].orders[record.order] = record.lots
        elif isinstance(record, told.End):
            self.by_client[self.client_of[record.order]].ends.append((record.t, record.how))
        elif isinstance(record, told.Fill):
            real = self.by_client[self.client_of[record.order]]
            real.trades[record.trade] = (record.t, record.lots)
            before = record.position + (record.lots if record.side else -record.lots)
            real.grew |= abs(record.position) > abs(before)
        elif isinstance(record, told.Refused):
            self.refused[record.code] += 1

    def accepted_twice(self) -> list[str]:
        """Return the client ids that the exchange has taken more than once over their lives."""
        return sorted(name for name, real in self.by_client.items() if len(real.accepted) > 1 or real.children > 1)


@dataclass
class Believed:
    """What a journal says of one client order id."""

    asked_ns: int
    row: int
    symbol: int
    side: int
    leg: int
    reduces: bool
    conditional: bool
    lots: int
    asked: int = 1
    filled: int = 0
    filled_row: int = -1
    filled_ns: int = 0
    trades: dict[int, int] = field(default_factory=dict)
    end: tuple[int, str, int, int] | None = None
    """Row, what it says, its word b, and its stamp."""
    absent: tuple[int, int] | None = None
    """Row and stamp of the newest word that the exchange has no such order; None once it has one."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can come of it any more."""
        return self.over is not None

    @property
    def over(self) -> tuple[int, int] | None:
        """Row and stamp of what ended it."""
        if self.end is not None:
            return self.end[0], self.end[3]
        if self.filled >= self.lots > 0:
            return self.filled_row, self.filled_ns
        gone = self.absent is not None and self.absent[1] - self.asked_ns > GOOD_FOR_NS
        return self.absent if gone else None


class Journal:
    """A run's journal: its orders, and what was sent while something was not in order.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.orders: dict[int, Believed] = {}
        self.lost: Counter[str] = Counter()
        self.gated: list[tuple[int, int, str]] = []
        """Row, client id and why nothing that opens more should have left."""
        self.trusted: list[tuple[int, int, str]] = []
        """The same of what by our own belief could only make a position smaller, and did not tell the exchange so."""
        self.commands: list[tuple[int, Command, int]] = []
        self.closed_spans: list[tuple[int, int]] = []
        self.sent: list[tuple[int, int, bool]] = []
        """Stamp, client id and whether it could open more, of every order."""
        self.rows = self.last_ns = 0
        self._gates, self._barred, self._closed_ns = 0, "", 0
        self._unknown: dict[int, int] = {}
        self._held: Counter[tuple[int, int]] = Counter()
        self._open: dict[tuple[int, int, int], set[int]] = defaultdict(set)
        for block in read_journal(str(path)):
            rows = block.array()
            words = (rows[name].tolist() for name in ("kind", "flags", "symbol", "ts", *"abcd"))
            for kind, flags, symbol, ts, a, b, c, d in zip(*words, strict=True):
                self._hear(kind, flags, symbol, ts, a, b, c, d)
                self.rows += 1
                self.last_ns = max(self.last_ns, ts)

    def _hear(self, kind: int, flags: int, symbol: int, ts: int, a: int, b: int, c: int, d: int) -> None:
        if kind == Kind.GATE:
            if self._gates and not a:
                self.closed_spans.append((self._closed_ns, ts))
            if a and not self._gates:
                self._closed_ns = ts
            self._gates = a
        elif kind == Kind.COMMAND:
            self._on_command(Command(a), ts)
        elif kind == Kind.ORDER:
            self._on_order(flags, symbol, ts, a, c, d)
        elif kind == Kind.AMEND and a in self.orders:
            order = self.orders[a]
            if c > order.lots and not order.reduces and self._opens(order, c - order.lots):
                self._bar(a, symbol)
        elif kind == Kind.LOST:
            if b != Kind.QUERY:
                self.lost[Kind(b).name] += 1
                if a in self.orders and not self.orders[a].is_over:
                    self._unknown[a] = symbol
        elif kind == Kind.POSITION:
            self._held[symbol, flags & Flag.F_SHORT] = a
        elif kind == Kind.FILL:
            self._held[symbol, flags & Flag.F_SHORT] += -d if flags & Flag.F_SELL else d
        if a in self.orders and kind in (*EVIDENCE, Kind.ABSENT):
            self._on_evidence(self.orders[a], kind, flags, ts, a, b, c, d)

    def _on_command(self, command: Command, ts: int) -> None:
        self.commands.append((self.rows, command, ts))
        if command in (Command.HALT, Command.KILL, Command.FLATTEN):
            self._barred = command.name
        elif command == Command.RESUME and self._barred != Command.KILL.name:
            self._barred = ""

    def _on_order(self, flags: int, symbol: int, ts: int, a: int, c: int, d: int) -> None:
        reduces = bool(flags & Flag.F_REDUCE_ONLY) or bool(d >> 32 & Term.CLOSE_POSITION)
        conditional = d & 255 >= OrderType.STOP
        if a in self.orders:
            self.orders[a].asked += 1
            return
        sells, short = flags & Flag.F_SELL, flags & Flag.F_SHORT
        order = self.orders[a] = Believed(ts, self.rows, symbol, sells, short, reduces, conditional, c)
        opens = not reduces and self._opens(order, c)
        self._open[symbol, short, sells].add(a)
        self.sent.append((ts, a, opens))
        if opens:
            self._bar(a, symbol)
        elif not reduces and self._why(symbol):
            self.trusted.append((self.rows, a, self._why(symbol)))

    def _opens(self, order: Believed, lots: int) -> bool:
        # Whether so many lots more could make the largest possible position larger: what is open on its side counts.
        held = self._held[order.symbol, order.leg]
        if held == 0 or (held > 0) != bool(order.side):
            return True
        others = (self.orders[one] for one in self._open[order.symbol, order.leg, order.side])
        return lots + sum(one.lots - one.filled for one in others) > abs(held)

    def _bar(self, client_id: int, symbol: int) -> None:
        if why := self._why(symbol):
            self.gated.append((self.rows, client_id, why))

    def _why(self, symbol: int) -> str:
        why = [one.name for one in Gate if self._gates & one]
        why += [self._barred] if self._barred else []
        return " ".join(why + (["UNKNOWN"] if symbol in self._unknown.values() else []))

    def _on_evidence(
        self, order: Believed, kind: int, flags: int, ts: int, a: int, b: int, c: int, d: int
    ) -> None:
        if kind == Kind.ABSENT:
            order.absent = (self.rows, ts)
            if order.is_over:
                self._settle(order, a)
            return
        self._unknown.pop(a, None)
        if kind in (Kind.CANCEL_REJECTED, Kind.AMEND_REJECTED):
            return
        if kind == Kind.AMENDED:
            order.lots = c
        elif kind == Kind.ACCEPTED:
            order.lots = d or order.lots
        elif kind == Kind.FILL:
            order.trades[b] = order.trades.get(b, 0) + d
            order.filled += d
            order.filled_row, order.filled_ns = self.rows, ts
        ends = kind in (Kind.REJECTED, *ENDS) or (kind == Kind.ALGO and b in ALGO_ENDS)
        if ends and order.end is None:
            name = AlgoStatus(b).name if kind == Kind.ALGO else Kind(kind).name
            order.end = (self.rows, name, b, ts)
        if not ends:
            order.absent = None
        if order.is_over:
            self._settle(order, a)

    def _settle(self, order: Believed, client_id: int) -> None:
        self._unknown.pop(client_id, None)
        self._open[order.symbol, order.leg, order.side].discard(client_id)


@dataclass
class Verdict:
    """What does not fit, by kind, with the client ids."""

    orders: int
    accepted_twice: list[str]
    asked_twice: list[str]
    false_ends: list[str]
    """Said to have ended, and the exchange says otherwise, or later."""
    forgotten: list[str]
    """Ended at the exchange, or traded there, and the journal does not say so."""
    invented: list[str]
    """Trades that the journal has and the exchange has not, or other lots of them."""
    gated: list[str]

    @property
    def holds(self) -> bool:
        """Whether everything fits."""
        return not any(
            (self.accepted_twice, self.asked_twice, self.false_ends, self.forgotten, self.invented, self.gated)
        )


def wire(client_id: int) -> str:
    """Return a client id as it stands on the wire."""
    return f"at{client_id:016x}"


def judge(truth: Truth, journal: Journal, slack_ns: int = SECOND, grace_ns: int = 10 * SECOND) -> Verdict:
    """Compare a run's journal with the truth.

    Parameters
    ----------
    truth : Truth
    journal : Journal
    slack_ns : int, optional
        By how much the run's clock may be behind the exchange's.
    grace_ns : int, optional
        What happened so shortly before the run's end need not have reached it.
    """
    until_ns = journal.last_ns - grace_ns
    false_ends, forgotten, invented = [], [], []
    for client_id, order in journal.orders.items():
        name = wire(client_id)
        real = truth.by_client.get(name, Real())
        false_ends += [f"{name}: {wrong}" for wrong in [_false_end(order, real, slack_ns)] if wrong]
        forgotten += [f"{name}: {what}" for what in _forgotten(order, real, until_ns)]
        for trade, lots in order.trades.items():
            if real.trades.get(trade, (0, 0))[1] != lots:
                invented.append(f"{name}: trade {trade} of {lots}")
    return Verdict(
        orders=len(journal.orders),
        accepted_twice=truth.accepted_twice(),
        asked_twice=[wire(one) for one, order in journal.orders.items() if order.asked > 1],
        false_ends=false_ends,
        forgotten=forgotten,
        invented=invented,
        gated=[f"{wire(client_id)}: {why}" for _, client_id, why in journal.gated],
    )


def _forgotten(order: Believed, real: Real, until_ns: int) -> list[str]:
    # A whole fill is told by its trades; any other end by itself.
    ends = [(t, how) for t, how in real.ends + real.algo_ends if how != "FILLED" and t < until_ns]
    missing = [f"trade {trade}" for trade, (t, _) in real.trades.items() if t < until_ns and trade not in order.trades]
    return missing + ([f"{ends}"] if ends and order.end is None else [])


def _false_end(order: Believed, real: Real, slack_ns: int) -> str:
    # An end that a run believes must be one that the exchange made, and made before.
    if order.end is None:
        if order.absent is not None and real.accepted:
            return f"absent, but accepted {real.accepted}"
        return ""
    _, name, _, ts = order.end
    if name == "REJECTED":
        rejected = any(how == "REJECTED" for _, how in real.algo_ends)
        return f"rejected, but accepted {real.accepted}" if real.accepted and not rejected else ""
    if name.startswith("ALGO_"):
        wanted, found = (ALGO_ENDS[AlgoStatus[name]],), real.algo_ends
    else:
        wanted, found = ENDS[Kind[name]], real.ends
    if not any(how in wanted and t <= ts + slack_ns for t, how in found):
        return f"{name} at {ts}, but {found or 'open'}"
    return ""


def unexplained(journal: Journal, ended: dict[int, tuple[str, int]]) -> list[str]:
    """Return the orders that a run took for ended before any row of its journal said so.

    Parameters
    ----------
    journal : Journal
    ended : dict
        Client id -> state, and the rows that the journal had when that was seen.
    """
    found = []
    for client_id, (state, rows) in ended.items():
        order = journal.orders[client_id]
        told = [order.filled_row] if state == "FILLED" and order.filled >= order.lots else []
        told += [order.end[0]] if order.end and state != "FILLED" else []
        told += [order.absent[0]] if order.absent and state == "REJECTED_" else []
        if not told or min(told) >= rows:
            found.append(f"{wire(client_id)}: {state} in row {rows}, told in {told}")
    return found
