"""What must hold in a simulation, looked at after every event, from the exchange's own side.

Knows the invariants by their numbers. Refuses to believe the run about anything that the exchange knows better.

========  =============================================================================================================
I1        here: every client order id of ours was accepted once; and by the proof of the history
I2        here, after every event: what is open at the exchange is open to us, and held at its full size
I3        here, after every heal: position, orders and wallet agree within ten seconds; the times are reported
I4, I7    here, at every request that could open something: every gate open, no breaker tripped, not killed; or it
          closes no more than is held, which is also counted by what the exchange says is held
I5        here, at every request: the journal's file has it
I6        by the test: the replay of every run, and of what a crash left, gives the same requests and the same state
I8        here: a position without its stop for more than three seconds while nothing is wrong; never two stops a side.
          While requests are banned or the network is gone nobody can place one: the longest time is reported
I9        here: nothing that only takes risk away is refused by ourselves but for a ban or a wire that is gone
I10       here: no request while a limiter has told us to wait
I11       here: mark, touch and equity stay what the exchange's are, whatever the messages said
I12       by the test: the state of a run that lasts is refused to another
I13       by the test: after a kill all is closed in five seconds once the wire works; nothing is opened any more
I14       by the test: no socket connects
I15       by the suite: its canaries are this run's keys
I16       by the test: `autotrader audit verify`
I17       here: tasks and orders kept are bounded. Memory and the loop's lag: `benchmarks.client_load`, as
          neither can be measured where time jumps
I18       here, after every start: the gates open within ten seconds while nothing is wrong
I19       not here: alerts have no channel of their own yet; what a run tells is in its summary
I20       by the proof of the history at the exchange, and here by the wallets at every heal
========  =============================================================================================================
"""

import asyncio

from autotrader.adapters.binance.order_session import Unsent
from chaos.hours import SECOND
from core_ext.types import Gate, OrderState

ENDED = 8
"""States from here on are ends."""
ENDS = {state.name for state in OrderState if state >= ENDED} | {"EMPTY"}
HEALED_S = PROTECTED_S = READY_S = 10.0
STOP_S = 3.0
TASKS = 200
MOST_OFF = 0.5
TICK_E8 = 10**7


class Watch:
    """Looks at a world after every event.

    Parameters
    ----------
    world : hours.World
    nemesis : nemesis.Nemesis

    Attributes
    ----------
    healed_s, ready_s : list of float
        How long it took to agree with the exchange after each heal, and to open the gates after each start.
    unprotected_s : float
        The longest that a position was without a stop.
    most_tasks, most_orders : int
    """

    def __init__(self, world, nemesis):
        self.world, self.nemesis = world, nemesis
        self.healed_s, self.ready_s, self.unprotected_s = [], [], 0.0
        self.most_tasks = self.most_orders = self.opened = self.exits = self.false_exits = 0
        self._judged_ns = self._bare_ns = self._born_ns = 0
        self._hours = None
        world.after.append(self.look)
        world.sending.append(self.leaves)
        world.refusing.append(self.refused)

    def fail(self, invariant, **facts):
        """Say what does not hold."""
        told = ", ".join(f"{name}={value}" for name, value in facts.items())
        raise AssertionError(
            f"{invariant} at {self.world.time.ns / SECOND:.3f} s, seed {self.world.seed}: {told};"
            f" wrong now: {sorted(self.nemesis.lasting)}"
        )

    @property
    def engine(self):
        return self.world.hours.engine

    # ------------------------------------------------------------------ after every event

    def look(self):
        hours = self.world.hours
        if hours is None:
            return
        if hours is not self._hours:
            self._hours, self._born_ns, self._bare_ns = hours, self.world.now_ns(), 0
        self._i2_what_is_open_is_held()
        self._i8_positions_are_protected()
        self._i10_who_is_told_to_wait_waits()
        if self.world.events % 16 == 0:
            self._i11_numbers_are_the_exchange_s()
        if self.world.events % 256 == 0:
            self._i17_nothing_grows()
        self._i3_both_sides_agree()
        self._i18_ready()

    def ours(self, client):
        """Return the number of an order of this run, 0 for another's."""
        number = int(client[2:], 16) if len(client) == 18 and client.startswith("at") else 0
        return number if number >> 32 == self._hours.run.plan.epoch else 0

    def _open(self):
        truth = self.world.truth
        plain = [(self.ours(client), *rest) for client, *rest in truth.plain()]
        return plain, [(self.ours(client), *rest, True) for client, *rest in truth.algos()]

    def _i2_what_is_open_is_held(self):
        plain, algos = self._open()
        for number, side, lots, _ in (*plain, *algos):
            if number and (state := self._state(number)) in ENDS:
                self.fail("I2", order=f"{number:x}", ours=state, side=side, lots=lots)
        for side in (0, 1):
            lots = sum(left for number, its, left, closes in plain if number and its == side and not closes)
            held = self.engine.orders.exposure(0, side, 0)["lots"]
            if held < lots:
                self.fail("I2 exposure", side=side, at_the_exchange=lots, held=held)

    def _state(self, number):
        try:
            return str(self.engine.orders.order(number)["state"])
        except KeyError:
            return "EMPTY"

    def _i8_positions_are_protected(self):
        now, lots = self.world.now_ns(), self.world.truth.account.position(0)["lots"]
        _, algos = self._open()
        if any(sum(its == side for _, its, _, _ in algos) > 1 for side in (0, 1)):
            self.fail("I8 two stops", stops=algos)
        if not lots or any(its == (lots > 0) for _, its, _, _ in algos):
            self._bare_ns = 0
            return
        self._bare_ns = self._bare_ns or now
        bare_s = (now - self._bare_ns) / SECOND
        self.unprotected_s = max(self.unprotected_s, bare_s)
        calm_s = (now - max(self._bare_ns, self._born_ns, self._calm_since())) / SECOND
        if calm_s > STOP_S:
            self.fail("I8", bare_s=bare_s, calm_s=calm_s, lots=lots)

    def _calm_since(self):
        # When whatever was wrong has been over for the time in which both sides come to agree.
        nemesis = self.nemesis
        if not nemesis.healed_ns:
            return self.world.now_ns()
        return max(nemesis.healed_ns, self.world.free_ns()) + round(HEALED_S * SECOND)

    def _i10_who_is_told_to_wait_waits(self):
        if self.world.seen["asked while told to wait"]:
            self.fail("I10", told_until=self.world.quiet_until)

    def _i11_numbers_are_the_exchange_s(self):
        true, market = self.world.server._mark(0), self.engine.markets.market(0)
        equity = self.engine.account.equity()
        if true and market["mark_e8"] and abs(market["mark_e8"] / true - 1.0) > MOST_OFF:
            self.fail("I11 mark", ours=market["mark_e8"], true=true)
        if not 0 < equity < 10**14:
            self.fail("I11 equity", equity_e8=equity)
        book = self.engine.books[0]
        bid, ask = (ticks or 0 for ticks in book.best())
        low, high = true * (1 - MOST_OFF), true * (1 + MOST_OFF)
        if true and bid and book.is_usable and not low < bid * TICK_E8 < ask * TICK_E8 < high:
            self.fail("I11 touch", bid=bid, ask=ask, true=true)

    def _i17_nothing_grows(self):
        self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
        self.most_orders = max(self.most_orders, len(self.engine.orders.rows()))
        if self.most_tasks > TASKS or self.most_orders > 4096:
            self.fail("I17", tasks=self.most_tasks, orders=self.most_orders)

    # ------------------------------------------------------------------ after every heal and start

    def _i3_both_sides_agree(self):
        healed_ns = self.nemesis.healed_ns
        if not healed_ns or healed_ns == self._judged_ns:
            return
        since_ns = max(healed_ns, self.world.free_ns(), self._born_ns)
        late_s = (self.world.now_ns() - since_ns) / SECOND
        if late_s >= 0.0 and self.agree():
            self._judged_ns = healed_ns
            self.healed_s.append(late_s)
        elif late_s > HEALED_S:
            hours = self.world.hours
            usage = hours.budget.usage(hours.clock.now_ns())
            facts = {"gates": self.engine.gate.gates, "usage": usage, "told": dict(hours.run.told)}
            self.fail("I3", seconds=late_s, **facts, **self.sides())

    def sides(self):
        """Return what both sides have."""
        plain, algos = self._open()
        ledger = self.world.truth.account
        rows = self.engine.orders.rows()
        ours = sorted(order["client_id"] for order in rows if 0 < order["state"] < ENDED)
        return {
            "orders": (ours, sorted(order[0] for order in (*plain, *algos))),
            "lots": (self.engine.account.position(0)["lots"], ledger.position(0)["lots"]),
            "wallets": (self.engine.account.wallet_e8, ledger.wallet_e8),
        }  # fmt: skip

    def agree(self):
        """Say whether both sides have the same."""
        return all(ours == theirs for ours, theirs in self.sides().values())

    def _i18_ready(self):
        if self._born_ns and not self.engine.gate.gates & ~Gate.SAFE:
            self.ready_s.append((self.world.now_ns() - self._born_ns) / SECOND)
            self._born_ns = 0
        elif self._born_ns and self.nemesis.healed_ns:
            since = max(self._born_ns, self.nemesis.healed_ns, self.world.free_ns())
            if (self.world.now_ns() - since) / SECOND > READY_S:
                self.fail("I18", gates=self.engine.gate.gates)

    # ------------------------------------------------------------------ at every request

    def leaves(self, requests):
        """Look at what is about to leave."""
        hours = self.world.hours
        if hours is None:
            return
        written = tail(hours.run.folder.journal_file)
        for ask in requests:
            if ask.client_id.to_bytes(8, "little") not in written:
                self.fail("I5", request=ask.kind.name, order=f"{ask.client_id:x}")
            if ask.may_open:
                self.opened += 1
                self._i4_every_gate_is_open(ask.kind, ask.client_id)

    def _i4_every_gate_is_open(self, kind, number):
        gate, book = self.engine.gate, self.engine.books[0]
        facts = {
            "gates": gate.gates,
            "halted": gate.halted,
            "killed": gate.killed,
            "day_lost": gate.day_lost,
            "paused": gate.paused_until > self._hours.driver.now,
            "unusable": not book.is_usable,
        }
        if not any(facts.values()):
            return
        order = self.engine.orders.order(number)
        if not self._shrinks(self.engine.account, order):
            self.fail("I4, I7", request=kind.name, order=order, **facts)
        self.exits += 1
        self.false_exits += not self._shrinks(self.world.truth.account, order)

    def _shrinks(self, account, order):
        # Whether the order and all others of its side close no more than an account holds.
        lots, side = account.position(0)["lots"], order["side"]
        return lots and (lots > 0) == (side == 1) and self.engine.orders.exposure(0, side, 0)["lots"] <= abs(lots)

    def refused(self, ask, why):
        """Look at what we refuse ourselves."""
        if ask.is_exit and why not in (Unsent.NOT_CONNECTED, Unsent.EXPIRED_INTENT):
            now = self.world.now_ns()
            if why is not Unsent.OVER_BUDGET or (now > self.world.free_ns() + SECOND and not self.nemesis.lasting):
                self.fail("I9", request=ask.kind.name, why=why.name)


def accepted(history):
    """Return how often each client order id of ours was accepted, from the history's records."""
    found = {}
    for record in history:
        is_new = record["k"] == "order" or (record["k"] == "algo" and record["status"] == "NEW")
        if is_new and record["account"] == 0 and record["client"].startswith("at"):
            key = record["k"], record["client"]
            found[key] = found.get(key, 0) + 1
    return found


def tail(path, size=1 << 16):
    """Return the end of a file as it is now."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()
