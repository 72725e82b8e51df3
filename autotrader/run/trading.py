"""TESTNET and LIVE over the wire: orders leave for an exchange, and nothing is believed of them but what it says.

Knows how the parts of `adapters.binance` are put together with the live core: what must be in order before anything is
opened, when both sides are compared, and how a run begins and ends. Refuses to know how any of them works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import numpy as np
import uvloop
from numpy.typing import NDArray

from autotrader.adapters.binance import reconciliation, rules
from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.dead_man import DeadMan
from autotrader.adapters.binance.order_session import OrderSession
from autotrader.adapters.binance.outcomes import Call, Outcome, Verdict
from autotrader.adapters.binance.pacing import Backoff
from autotrader.adapters.binance.profiles import refuse_proxies, trading_urls
from autotrader.adapters.binance.reading import amount_e8, is_ours
from autotrader.adapters.binance.reconciliation import Listed, Remedy
from autotrader.adapters.binance.rest import MarketRest, Rest
from autotrader.adapters.binance.rows import packed, row
from autotrader.adapters.binance.signing import refuse_kind, signer
from autotrader.adapters.binance.user_stream import UserStream
from autotrader.adapters.keys import key_manager
from autotrader.adapters.storage.state import Safety, SafetyRecord
from autotrader.config import Config
from autotrader.errors import AutotraderError, OperatorError, VenueError
from autotrader.messages import language, say
from autotrader.research.replay import Outcome as RunOutcome
from autotrader.research.replay import Plan, Progress, left_by
from autotrader.run import confirmation
from autotrader.run.live import LEASE_S, Hours, OnlineRun, State
from autotrader.run.rehearsal import Rehearsal
from autotrader.secret import Credentials
from core_ext.journal import JournalWriter
from core_ext.live import Live
from core_ext.types import Command, Gate, Kind, OrderType
from core_ext.wire import Request, Scanner

__all__ = ["cleared", "run_trading"]

SECOND_NS = 10**9
PROVEN_S = 10.0
"""How long the account's stream counts as alive after an event, or after both sides were found to agree."""
COMPARED_S = 5.0
"""Between two comparisons with the exchange's lists."""
MODES_S = 60.0
"""Between two looks at position mode and multi-assets mode, which weigh 60 of a comparison's 155."""
FAILED_S = 1.0
"""The longest to the first try after one that failed, or left something open."""
SPACED_S = 3.0
"""The least between two of them, whatever asks for one: each weighs 17 with one symbol, 95 with several."""
MUTE_S = 3.0
"""How long the account's stream may be silent about what the exchange has carried out; an answer takes no longer."""
RULES_S = 60.0
DURABLE_S = 0.0005
"""Between two looks at what is not on the disk yet: soon, so that the next write seldom meets one that is under way."""
ROUNDS = 4
"""Comparisons in a row before what is left is raised."""


def run_trading(config: Config, seconds: float | None, out: Path | None, progress: Progress) -> dict[str, Any]:
    """Trade at an exchange, its test network or the exchange on loopback, and leave the run's folder.

    Parameters
    ----------
    config : Config
        Of mode testnet or live; live starts only when it is cleared.
    seconds, out, progress
        As of `live.run_online`.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    OperatorError
        If something that the configuration, the keys or the machine say does not allow the run.
    VenueError
        If the exchange cannot be reached, or says what cannot be.
    """
    refuse_proxies(config.run.mode)
    assert config.live is not None  # a configuration of these modes has the section
    trading_urls(config.run.mode, config.live)
    credentials = key_manager(config.live, config.folder).key()
    refuse_kind(credentials)
    warnings = cleared(config, credentials, progress) if config.run.mode == "live" else []
    with State(config) as state:
        return TradingRun(config, progress, seconds, state, credentials, warnings).go(out, "live")


def cleared(config: Config, credentials: Credentials, progress: Progress) -> list[str]:
    """See to it that LIVE may start: environment, confirmation of today, and a checklist that holds now.

    Returns
    -------
    list of str
        What somebody who reads of the run should know of its clearance.

    Raises
    ------
    OperatorError
        With everything that keeps it from starting.
    """
    from autotrader.run import doctor  # a test network is taken up again without it, sooner

    assert config.live is not None
    state = config.resolve(config.live.state_dir)
    confirmation.require(state, config, credentials, datetime.now(UTC).date())
    examination = doctor.examine(config, lambda: credentials, None, progress)
    examination.require()
    unknown = [say(f"doctor.{one.name}") for one in examination.items if one.verdict is doctor.Verdict.NOT_BUILT]
    told = [say("live.not_built", items=", ".join(unknown))] if unknown else []
    return [say("live.rehearsal", port=config.live.port), *told] if config.live.rehearsal else told


class TradingSession:
    """The core of a run on a wire: engine, journal, and what hands its requests over.

    Parameters
    ----------
    plan : Plan
    journal : Path
    anchor : callable or None
    """

    def __init__(self, plan: Plan, journal: Path, anchor: Callable[[int, bytes], object] | None) -> None:
        self.plan = plan
        self.engine = plan.engine()
        self.scanner = Scanner(self.engine.instruments)
        self.journal = JournalWriter(str(journal), anchor)
        self.driver = Live(self.engine, self.scanner, self.journal, _nobody, SECOND_NS)
        self._started = time.perf_counter()

    def start(self, start_ns: int) -> None:
        """Put the run's first events into the stream."""
        words = np.frombuffer(self.plan.fingerprint(), "<i8").tolist()
        self.driver.control(int(Kind.RUN), start_ns, (*words, self.plan.epoch))
        self.driver.control(int(Kind.CLOCK_OFFSET), start_ns, (0, 0))

    def finish(self) -> RunOutcome:
        """Seal and close the journal."""
        digest = self.driver.finish()
        return left_by(self.driver, digest, self.journal, time.perf_counter() - self._started, None)


class TradingRun(OnlineRun):
    """A run whose orders leave.

    Parameters
    ----------
    config, progress, seconds, state
        As of an `OnlineRun`.
    credentials : Credentials
    warnings : sequence of str, optional
        Said in the summary.
    """

    def __init__(
        self,
        config: Config,
        progress: Progress,
        seconds: float | None,
        state: State,
        credentials: Credentials,
        warnings: Sequence[str] = (),
    ):
        self.urls = trading_urls(config.run.mode, state.live)
        self.credentials, self.warnings = credentials, warnings
        self.safety = Safety(state.folder)
        super().__init__(config, [], progress, seconds, state)

    async def _asked(self) -> dict[str, Any]:
        # What has to be known of the exchange before there is an engine.
        clock = VenueClock(lambda path, params: rest.fetch(path, params), _unheard)
        rest = self.rest(self.budget, clock)
        try:
            await self.wait_for_room(clock)
            symbols = self.config.run.symbols
            return {
                "info": await rest.exchange_info(),
                "brackets": await rest.leverage_brackets(),
                "fees": [await rest.commission_rate(symbol) for symbol in symbols],
                "balance": await rest.balance(),
                "income": await rest.income(kind="TRANSFER"),
            }
        finally:
            self.keep_silence(clock)
            await rest.close()

    def rest(self, budget: Budget, clock: VenueClock) -> Rest:
        """Return a client of the account's requests, for the loop that it is made in."""
        return Rest(self.urls, self.credentials, signer(self.credentials), budget, clock)

    def _specified(self) -> tuple[list[Any], list[str]]:
        listed = self.listed = uvloop.run(self._asked())
        return rules.specs(
            self.config.run.symbols, listed["info"], listed["brackets"], listed["fees"],
            leverage=self.config.run.leverage, language="ko" if language() == "ko" else "en",
        )  # fmt: skip

    def _begun(self) -> dict[str, Any]:
        usdt = next((one for one in self.listed["balance"] if one.get("asset") == "USDT"), None)
        wallet_e8 = amount_e8(usdt["balance"]) if usdt else 0
        if wallet_e8 <= 0:
            raise OperatorError(say("trading.no_money"))
        begun: dict[str, Any] = {"epoch": self.state.epoch, "start_e8": wallet_e8}
        record = self.safety.record
        if record is not None:
            moved_e8 = self._moved_since(record.as_of_ns)
            begun["past"] = {
                "peak_e8": max(1, record.peak_e8 + moved_e8),
                "day": record.day,
                "day_start_e8": max(1, record.day_start_e8 + moved_e8),
                "day_lost": record.day_lost,
                "halted": record.halted,
                "paused_until": record.paused_until_ns,
                "loss_peaks": [] if moved_e8 else record.loss_peaks,
                "symbols": [
                    (self.config.run.symbols.index(name), *rest)
                    for name, *rest in record.disabled
                    if name in self.config.run.symbols
                ],
            }
        return begun

    def _moved_since(self, as_of_ns: int) -> int:
        # What came in and went out while nobody was looking is neither profit nor loss.
        moved = [one for one in self.listed["income"] if one.get("asset") == "USDT"]
        return sum(amount_e8(one["income"]) for one in moved if int(one["time"]) * 10**6 > as_of_ns)

    def _session(self, path: Path) -> Any:
        return TradingSession(self.plan, path, self.anchors)

    def _hours(self, session: Any, stack: AsyncExitStack) -> Hours:
        return TradingHours(self, session, stack)

    def _warnings(self, outcome: RunOutcome) -> Iterable[str]:
        yield from self.warnings
        yield from super()._warnings(outcome)


class TradingHours(Hours):
    """The hours of a run whose orders leave."""

    run: TradingRun
    session: TradingSession

    def __init__(self, run: TradingRun, session: TradingSession, stack: AsyncExitStack) -> None:
        self.mode = run.config.run.mode.upper()
        self.events = AccountEvents(run.plan.instruments(), {run.plan.epoch})
        self.user: UserStream | None = None
        self.orders: OrderSession | None = None
        self.compared_s = self.ruled_s = self.moded_s = float("-inf")
        self.heard_s, self.untold_s = float("-inf"), float("inf")  # the last event; since when another one is owed
        self.agree = False
        self.asked = asyncio.Event()
        self.keeping = asyncio.Lock()
        self.was_halted: bool | None = None  # before the end of the run halted
        self.former = set(run.config.run.symbols)  # where stops of runs before this one may stand
        self.account: Rest
        super().__init__(run, session, stack)
        self.rules = rules.Rules(self.engine.instruments)
        session.driver.send = self._send

    def _rest(self) -> MarketRest:
        self.account = self.run.rest(self.budget, self.clock)
        return self.account

    # ------------------------------------------------------------------ opening

    async def _open(self) -> None:
        self.state.has_opened = True
        await asyncio.gather(*map(self._clear_orders, self.symbols))
        await self._set_up()
        answers = Answers(self.events.evidence)
        self.orders = OrderSession(
            self.run.urls, self.run.credentials, self.engine.instruments, answers, self.budget, self.clock,
            self.driver.tell, fallback=self.account, judged=self._judged,
        )  # fmt: skip
        self.ordering = asyncio.create_task(self.orders.run())
        self.stack.callback(self.ordering.cancel)
        self.user = UserStream(
            self.run.urls, self.account, sink=self._on_event, gap=self.asked.set, told=self.run.tell,
            now_ns=self.clock.now_ns,
        )  # fmt: skip
        await self.user.start()
        self.stack.push_async_callback(self.user.close)

    async def _clear_orders(self, symbol: str) -> None:
        # Orders of runs before this one: nobody steers them any more. Where somebody else's stand beside them none is
        # touched; the comparison tells of them.
        found = await self.account.open_orders(symbol)
        if found and all(is_ours(one.get("clientOrderId")) for one in found):
            await self.account.cancel_all(symbol)

    async def _clear_stops(self, symbol: str) -> None:
        # Just before the comparison, because the engine asks for stops of its own as soon as it knows of the positions;
        # and what fails here or there is tried again, and ends no run.
        found = await self.account.open_algo_orders(symbol)
        if found and all(is_ours(one.get("clientAlgoId")) for one in found):
            await self.account.cancel_all_algo(symbol)
        self.former.discard(symbol)

    async def _set_up(self) -> None:
        # The configured leverage and margin type; where the exchange refuses, the comparison takes over what it has.
        leverage, isolated = self.run.config.run.leverage, self.run.config.run.margin == "isolated"
        for one in await self.account.symbol_config():
            name = str(one.get("symbol"))
            if name in self.symbols and one.get("leverage") != leverage:
                await self._set("LEVERAGE", name, self.account.set_leverage(name, leverage))
            if name in self.symbols and one.get("marginType") != ("ISOLATED" if isolated else "CROSSED"):
                await self._set("MARGIN", name, self.account.set_margin_type(name, isolated))

    async def _set(self, alert: str, name: str, deed: Awaitable[None]) -> None:
        try:
            await deed
        except VenueError as error:
            self.run.tell(alert, f"{name}: {error}")

    def _resumed(self) -> None:
        if self.orders is not None:
            self.orders.resume()

    def _works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        assert self.orders is not None
        assert self.user is not None
        dead_man = DeadMan(self.account.countdown_cancel_all, self._open_symbols, self.run.tell)
        self.stack.push_async_callback(self._disarm, dead_man)
        self._rehearse()
        lasting = _over(self.ordering), self.user.ended(), self._keep_comparing()
        return (*super()._works(), *lasting, dead_man.run(), self._sync(), self._endure())

    def _rehearse(self) -> None:
        # In hot mode.
        if self.awake is None or self.orders is None:
            return
        rehearsal = Rehearsal(self.run.plan, self.engine, self.feed.newest, self._sign, self._unrehearsed)
        self.stack.callback(rehearsal.close)
        self.awake.turn = rehearsal.turn
        self.stack.callback(self.awake.rest)

    def _unrehearsed(self, error: Exception) -> None:
        self.run.tell("REHEARSAL_FAILED", say("hot.rehearsal", reason=str(error) or type(error).__name__))

    async def _disarm(self, dead_man: DeadMan) -> None:
        # Orders that are left are steered by nobody: the exchange's own timer goes on, and ends them.
        if not self._open_symbols():
            await dead_man.stop()

    def _open_symbols(self) -> set[str]:
        names, open_orders = self.engine.instruments.names, self.engine.orders.rows()
        return {names[o["symbol"]] for o in open_orders if 0 < o["state"] < 8 and o["type"] < OrderType.STOP}

    async def _leave(self) -> None:
        # What could open more goes; positions and their stops stay, and are what the next run finds.
        self.was_halted = self.engine.gate.halted
        self._say(Command.HALT)
        end = time.monotonic() + PROVEN_S
        while self._open_symbols() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        assert self.orders is not None
        await self.orders.close()
        for symbol in self._open_symbols():
            self.run.tell("ORDERS_LEFT", symbol)
        await self._keep()

    # ------------------------------------------------------------------ orders

    def _send(self, requests: list[Request]) -> None:
        if self.orders is None:
            asyncio.get_running_loop().call_soon(self._refuse, requests)
        else:
            # What is decided without a look at the kill latch counts as decided too long ago: only exits leave.
            has_looked = time.monotonic() - self.looked_s < LEASE_S
            self.orders.send(requests, self.driver.now if has_looked else 0, self.driver.failure is not None)
        self.events.note(self._noted(requests))  # no answer comes before the loop goes on

    def _sign(self, requests: list[Request]) -> None:
        # In a rehearsal: the way there with nothing in hand, and then what is done with orders before they leave.
        assert self.orders is not None
        self._send([])
        self.orders.rehearse(requests)

    def _noted(self, requests: Sequence[Request]) -> NDArray[np.void]:
        made = []
        for ask in requests:
            order = self.engine.orders.order(ask.client_id) if ask.kind in (Kind.ORDER, Kind.AMEND) else None
            if order is not None:
                made.append(row(ask.kind, ask.symbol, ask.client_id, order["price_ticks"], order["lots"]))
        return packed(made, self.driver.now)

    def _refuse(self, requests: Sequence[Request]) -> None:
        made = [
            row(Kind.REJECTED, ask.symbol, ask.client_id, 103) for ask in requests if ask.kind is Kind.ORDER
        ]
        if made:
            rows = packed(made, self.clock.now_ns())
            self.events.note(rows)
            self.driver.tell(rows)

    def _judged(self, call: Call, client_id: int, verdict: Verdict) -> None:  # noqa: ARG002
        now_s = time.monotonic()
        if verdict.outcome is Outcome.DONE and call is not Call.QUERY and now_s - self.heard_s > MUTE_S:
            self.untold_s = min(self.untold_s, now_s)  # an event of just now may have been faster than its answer
        if verdict.outcome in (Outcome.RECONCILE, Outcome.REFRESH):
            self.asked.set()
            self.moded_s = float("-inf")  # what was refused may say that the modes have changed
            self.ruled_s = float("-inf") if verdict.outcome is Outcome.REFRESH else self.ruled_s
        if verdict.alert:
            self.run.tell(str(verdict.alert), f"{call} {verdict.code or verdict.text[:80]}")

    def _on_event(self, stamp_ns: int, event: bytes) -> None:
        self.heard_s, self.untold_s = time.monotonic(), float("inf")
        rows = self.events.rows(event, stamp_ns)
        if rows.size:
            self.driver.tell(rows)
        if np.any(rows["kind"] == int(Kind.LIQUIDATION)):
            self.asked.set()  # at a price that an event may round

    # ------------------------------------------------------------------ both sides

    async def _keep_comparing(self) -> NoReturn:
        backoff = Backoff(FAILED_S, COMPARED_S, Random())
        while True:
            begun = time.monotonic()
            try:
                if self.former:
                    await self._differences()  # while that fails, positions are not known, and the old stops stay
                    await asyncio.gather(*map(self._clear_stops, sorted(self.former)))
                await self._compare()
            except (AutotraderError, OSError) as error:
                self.agree = False
                self.run.tell("RECONCILE_FAILED", str(error))
            if self.agree:
                backoff.reset()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.asked.wait(), COMPARED_S if self.agree else backoff.next_s())
                await asyncio.sleep(begun + SPACED_S - time.monotonic())
            self.asked.clear()
            await self._replace_if_mute()

    @property
    def _is_mute(self) -> bool:
        return time.monotonic() - self.untold_s > MUTE_S

    async def _replace_if_mute(self) -> None:
        # What the exchange carries out it also tells: a stream that does not bring it is dead, whatever its pongs say.
        if self._is_mute and self.user is not None:
            self.untold_s = float("inf")
            self.run.tell("USER_STREAM_MUTE", say("user.mute", seconds=f"{MUTE_S:g}"))
            await self.user.replace()

    async def _compare(self) -> None:
        for _ in range(ROUNDS):
            found = await self._differences()
            for one in found:
                self.run.tell("DIFFERENCE", one.sentence())
            rows = reconciliation.rows(found, self.clock.now_ns())
            if rows.size:
                self.events.note(rows)
                self.driver.tell(rows)
            left = [one for one in found if one.remedy is Remedy.REPAIRED or one.remedy is Remedy.ASKED]
            if not left:
                self.agree = True
                self.compared_s = time.monotonic()
                assert self.user is not None
                self.user.prove()
                return
            await asyncio.sleep(0.2)
        self.agree = False

    async def _differences(self) -> list[reconciliation.Difference]:
        one = self.symbols[0] if len(self.symbols) == 1 else None
        since_ns, asks_modes = self.now_ns(), not self.agree or time.monotonic() - self.moded_s > MODES_S
        account = self.account
        lists: list[Any] = await asyncio.gather(
            account.open_orders(one), account.open_algo_orders(one), account.position_risk(one), account.balance(),
            account.symbol_config(one), *((account.position_mode(), account.multi_assets_mode()) if asks_modes else ()),
        )  # fmt: skip
        plain, algo, risk, balance, config, *modes = lists
        dual, multi = modes or (None, None)
        self.moded_s = time.monotonic() if asks_modes else self.moded_s
        listed = Listed(
            open_orders=plain, open_algo_orders=algo, position_risk=risk, balance=balance, symbol_config=config,
            dual=dual, multi_assets=multi, since_ns=since_ns,
        )  # fmt: skip
        ours = reconciliation.believed(self.engine)
        return reconciliation.differences(ours, listed, self.engine.instruments, {self.run.plan.epoch})

    # ------------------------------------------------------------------ once a second

    def _gates(self) -> int:
        user, orders = self.user, self.orders
        now_ns = self.clock.now_ns()
        closed = super()._gates()
        if user is None or not user.is_open or now_ns - user.proven_ns > PROVEN_S * SECOND_NS or self._is_mute:
            closed |= Gate.USER_STREAM
        if not self.agree or time.monotonic() - self.compared_s > PROVEN_S:  # whoever slept compares first
            closed |= Gate.RECONCILING
        if orders is None or not orders.is_connected or orders.halted is not None:
            closed |= Gate.LINK
        if self.driver.failure is not None:
            closed |= Gate.DISK
        if self.budget.banned(now_ns):
            closed |= Gate.BANNED
        return closed

    def _links(self) -> dict[str, str]:
        orders = "up" if self.orders is not None and self.orders.is_connected else "down"
        user = "up" if self.user is not None and self.user.is_open else "down"
        return super()._links() | {"orders": orders, "user": user}

    async def _sync(self) -> NoReturn:
        # The journal on the disk, the safety record, the rules, the use of the limits.
        while True:
            await self._keep()
            weight, limit = self.budget.usage(self.clock.now_ns())
            self.driver.control(int(Kind.USAGE), self.now_ns(), (weight, limit))
            if time.monotonic() - self.ruled_s > RULES_S:
                await self._refresh_rules()
            await asyncio.sleep(1.0)

    async def _endure(self) -> None:
        # What was written before it left is on the disk within a few milliseconds (I5): off the loop, in groups, by a
        # thread that never holds the interpreter's lock while the loop wants it.
        try:
            await asyncio.to_thread(self.session.journal.endure, DURABLE_S)
        finally:
            self.session.journal.release()

    async def _keep(self) -> None:
        async with self.keeping:
            if self.engine.gate.day >= 0:
                await asyncio.to_thread(self.run.safety.keep, self._record(), time.monotonic_ns())

    def _record(self) -> SafetyRecord:
        # What was held back in symbols that this run does not trade stays held back.
        gate, before = self.engine.gate, self.run.safety.record
        disabled = [one for one in before.disabled if one[0] not in self.symbols] if before else []
        disabled += [(self.symbols[at], bits, until_ns) for at, bits, until_ns in gate.symbols_held_back()]
        return SafetyRecord(
            as_of_ns=self.driver.now, day=gate.day, day_start_e8=max(0, gate.day_start_e8), peak_e8=gate.peak_e8,
            max_drawdown_e8=gate.max_drawdown_e8, day_lost=gate.day_lost, ladder=gate.ladder,
            halted=gate.halted if self.was_halted is None else self.was_halted, paused_until_ns=gate.paused_until,
            loss_peaks=tuple(gate.loss_peaks()), disabled=tuple(disabled),
        )  # fmt: skip

    async def _ladders(self) -> list[Any]:
        # Status and filters do not wait for them.
        try:
            return await self.account.leverage_brackets()
        except VenueError as error:
            self.run.tell("RULES_FAILED", str(error))
            return []

    async def _refresh_rules(self) -> None:
        try:
            info, ladders = await asyncio.gather(self.account.exchange_info(), self._ladders())
            changes = self.rules.changes(info, self.clock.now_ns(), ladders)
        except VenueError as error:
            self.run.tell("RULES_FAILED", str(error))
            return
        self.ruled_s = time.monotonic()
        for _, sentence in changes.told:
            self.run.tell("RULES", sentence)
        if changes.rows.size:
            self.driver.tell(changes.rows)


def _unheard(alert: str, what: str) -> None:
    """Leave what is told before there is a run to the run itself."""


async def _over(task: asyncio.Task[None]) -> None:
    await task


def _nobody(requests: list[Request]) -> None:
    """Take requests before anybody does; there are none before the run has opened."""
