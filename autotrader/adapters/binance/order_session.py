"""Orders on their way to the exchange, and what comes back: one connection of the request socket, and REST behind it.

Knows which request may leave at once, and which way the others take, which answer belongs to which request, how long
one is waited for, and when to connect anew. Refuses to know what should be traded, what an answer proves (`outcomes`),
what it says of an order (`answers`) and how much may be asked (`budget`).

Nothing that could open or change an order is ever sent twice. What was sent and not answered becomes LOST: the engine
asks. What did not leave is refused with a reason of ours, because then we are the evidence.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from random import Random
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray
from picows import WSFrame, WSMsgType, WSTransport

from autotrader.adapters.binance.answers import ABSENT, Answers
from autotrader.adapters.binance.budget import Budget, Sent
from autotrader.adapters.binance.connections import Connection
from autotrader.adapters.binance.outcomes import Alert, Call, Outcome, Verdict, judge
from autotrader.adapters.binance.pacing import Backoff
from autotrader.adapters.binance.profiles import TradingUrls
from autotrader.adapters.binance.reading import UnreadableError
from autotrader.adapters.binance.rest import Answer, Ask
from autotrader.adapters.binance.rows import packed, row
from autotrader.adapters.binance.signing import signer
from autotrader.errors import AutotraderError, OperatorError, VenueError
from autotrader.messages import say
from autotrader.secret import Credentials
from core_ext.feed import Outlet
from core_ext.types import Instruments, Kind
from core_ext.wire import Request, Signer

__all__ = ["Clock", "Fallback", "OrderSession", "Timing", "Unsent"]

SECOND_NS: Final = 1_000_000_000
HANDSHAKE_WEIGHT: Final = 5
LOGON_WEIGHT: Final = 2
SETTLED_S: Final = 10.0
"""A connection that has lived so long was a good one: the delays begin anew."""
RESYNC_S: Final = 1.0
LOCKED_S: Final = 1.0
"""How long cancels and questions wait after the key of one was refused: whoever knocks on is locked out."""
TRADES: Final = 1000
_MISSING: Final = -1102
_KEY_NAMED_BAD: Final = frozenset({-1022, -2015})


class Unsent(IntEnum):
    """Why a request never left: the code of its refusal, positive as none of the exchange's is."""

    EXPIRED_INTENT = 101
    """It was decided too long ago."""
    OVER_BUDGET = 102
    """The exchange's limits, or its ban, leave nothing for it."""
    NOT_CONNECTED = 103
    HALTED = 104
    """The exchange has refused in a way that somebody must put right first."""
    NOT_JOURNALLED = 105
    NOT_AS_APPROVED = 106
    """Its bytes do not say what was approved (R32)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines, in seconds.

    Attributes
    ----------
    answer_s : float
        Of a request, in all.
    intent_s : float
        Age at which what could open something is not sent any more.
    idle_s : float
        Silence after which the connection is asked whether it lives; after twice that it does not.
    life_s : float
        Age at which a connection is replaced; the exchange ends it after 24 hours.
    first_s, cap_s : float
        Longest delay before the first and before any try to connect again.
    """

    answer_s: float = 3.0
    intent_s: float = 0.5
    idle_s: float = 5.0
    life_s: float = 23 * 3600.0
    first_s: float = 0.5
    cap_s: float = 30.0


_TIMING: Final = Timing()


class _Reply(NamedTuple):
    # A frame that came back; 0 for none.
    status: int
    frame: bytes


class _Back(NamedTuple):
    # What became of a request: the verdict, what was asked for, and why it never left, if it did not.
    verdict: Verdict
    body: Any
    unsent: Unsent | None = None


_NOTHING: Final = _Reply(0, b"")


class Fallback(Protocol):
    """REST, where there is no connection, and for what the request socket does not answer."""

    async def post(self, ask: Ask, text: bytes) -> Answer:
        """Carry out a request that was signed, once, within the budget; `rest.Rest` does."""


class Clock(Protocol):
    """The exchange's time; `clock.VenueClock` is one."""

    def now_ns(self) -> int:
        """Return the time, ns UTC."""

    def request_ms(self) -> int:
        """Return the stamp that a request bears, ms."""

    async def measure(self) -> object:
        """Ask the exchange for its time and go by it from now on."""


class _Way(NamedTuple):
    # The call that takes a request: whether the request socket has it; over REST; its weight and order count.
    call: Call
    has_socket: bool
    verb: str
    path: str
    weight: int
    orders: int


_ORDER, _ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
_WAYS: Final = {
    (Kind.ORDER, False): _Way(Call.PLACE, True, "POST", _ORDER, 0, 1),
    (Kind.ORDER, True): _Way(Call.PLACE, True, "POST", _ALGO, 0, 1),
    (Kind.AMEND, False): _Way(Call.AMEND, True, "PUT", _ORDER, 0, 1),
    (Kind.CANCEL, False): _Way(Call.CANCEL, True, "DELETE", _ORDER, 1, 0),
    (Kind.CANCEL, True): _Way(Call.CANCEL, True, "DELETE", _ALGO, 1, 0),
    (Kind.QUERY, False): _Way(Call.QUERY, True, "GET", _ORDER, 1, 0),
    (Kind.QUERY, True): _Way(Call.QUERY, False, "GET", _ALGO, 1, 0),
}
_TRADES: Final = _Way(Call.OTHER, False, "GET", "/fapi/v1/userTrades", 5, 0)
_REFUSED: Final = {Kind.ORDER: Kind.REJECTED, Kind.AMEND: Kind.AMEND_REJECTED, Kind.CANCEL: Kind.CANCEL_REJECTED}
_OPENS: Final = frozenset({Kind.ORDER, Kind.AMEND})


def _way(ask: Request) -> _Way:
    return _WAYS[ask.kind, ask.conditional and ask.kind is not Kind.AMEND]


class _Line(Connection):
    # One connection of the request socket. Every frame of the peer's is a sign of life, a request without answer none.

    def __init__(self, heard: Callable[[Connection, bytes], None]) -> None:
        super().__init__(heard)
        self.heard_s = self.opened_s = asyncio.get_running_loop().time()
        self.asked_s = 0.0
        self.is_mute = False
        self.is_ready = False
        self.waiting: dict[int, asyncio.Future[_Reply]] = {}

    @property
    def transport(self) -> WSTransport | None:
        return self._transport

    def wait(self, number: int, seconds: float) -> asyncio.Future[_Reply]:
        """Return what a request will be answered with; after so many seconds it is given up."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Reply] = loop.create_future()
        self.waiting[number] = answer
        timer = loop.call_later(seconds, self.expire, number)
        answer.add_done_callback(lambda _: timer.cancel())
        return answer

    def settle(self, number: object, reply: _Reply) -> bool:
        """Answer a request; return whether one waited for it."""
        answer = self.waiting.pop(number, None) if type(number) is int else None
        if answer is None or answer.done():
            return False
        answer.set_result(reply)
        return True

    def ping(self) -> None:
        if self._transport is not None and not self.gone.is_set():
            self.asked_s = asyncio.get_running_loop().time()
            self._transport.send_ping()

    def expire(self, number: int) -> None:
        """Give a request up; until something is heard again the connection is not to be relied on."""
        if self.settle(number, _NOTHING):
            self.is_mute = True
            self.ping()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        self.is_mute = False
        super().on_ws_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        for number in list(self.waiting):
            self.settle(number, _NOTHING)

    def on_message(self, message: bytes) -> None:
        self._heard(self, message)


_Left = _Line | Awaitable[_Back] | Unsent
"""The connection over which a request has left, and nobody waits for its answer yet; its way over REST; or none."""


class OrderSession:
    """What takes orders to the exchange and brings back what became of them.

    Parameters
    ----------
    urls : TradingUrls
        Those of the run's mode.
    credentials : Credentials
    instruments : Instruments
        Those of the gate that approves.
    answers : Answers
    budget : Budget
    clock : Clock
    told : callable
        Given rows of EVENT_DTYPE: what became of requests. Never called from within `send`.
    fallback : Fallback, optional
        Without one nothing leaves while there is no connection, and an order that the exchange never had stays unknown.
    judged : callable, optional
        Given (call, client id, verdict) of every answer: refreshing, reconciling and alerting are the caller's.
    linked : callable, optional
        Given whether there is a connection, when that changes.
    timing : Timing, optional
    random : Random, optional
        Of the delays.
    tls : SSLContext, optional

    Raises
    ------
    OperatorError
        For a key that signs neither by HMAC nor by Ed25519, or a request socket that is none of the profile's.

    Attributes
    ----------
    halted : Verdict or None
        The refusal since which nothing is opened; `resume` lifts it.
    late, unreadable : int
        Answers to nothing that waited, and those that could not be believed.
    """

    def __init__(
        self,
        urls: TradingUrls,
        credentials: Credentials,
        instruments: Instruments,
        answers: Answers,
        budget: Budget,
        clock: Clock,
        told: Callable[[NDArray[np.void]], None],
        *,
        fallback: Fallback | None = None,
        judged: Callable[[Call, int, Verdict], None] = lambda *_: None,
        linked: Callable[[bool], None] = lambda _: None,
        timing: Timing = _TIMING,
        random: Random | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._bare = signer(credentials)
        self._outlet = Outlet(_written_by(credentials), instruments, budget)
        self._api_key, self._logs_on = credentials.api_key, credentials.kind == "ed25519"
        self._url, self._tls = urls.require_host(urls.ws_api), tls
        self._instruments, self._answers, self._budget, self._clock = instruments, answers, budget, clock
        self._told, self._heard_of, self._linked = told, judged, linked
        self._fallback, self._timing = fallback, timing
        self._backoff = Backoff(timing.first_s, timing.cap_s, random or Random())
        self._line: _Line | None = None
        self._group: asyncio.TaskGroup | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._resyncing: asyncio.Task[None] | None = None
        self._finding: set[int] = set()
        self._renew = asyncio.Event()
        self._has_link = False
        self._losses = 0
        self._refused_s = float("-inf")
        self.halted: Verdict | None = None
        self.late = self.unreadable = 0

    # ------------------------------------------------------------------ life

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that takes requests: where the key logs on, one that has logged on."""
        return self._line is not None and self._line.is_ready and not self._line.gone.is_set()

    async def run(self) -> None:
        """Keep a connection until `close`; what a callback raises ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._connecting = group.create_task(self._keep_connected())
        finally:
            self._group = None  # nobody would hear of what is sent from here on

    async def close(self) -> None:
        """Stop: no request is taken any more; what is under way is answered, or told as lost after its deadline."""
        self._group = None
        if self._connecting is not None:
            self._connecting.cancel()
        if self._line is not None:
            await self._retire(self._line)
            self._tell_link()

    def resume(self) -> None:
        """Let orders that open something leave again."""
        self.halted = None

    async def _keep_connected(self) -> None:
        while True:
            await self._wait_for_room()
            line = await self._opened()
            if line is None:
                self._tell_link()
                await asyncio.sleep(self._backoff.next_s())
                continue
            self._adopt(line)
            await self._watch(line)
            self._tell_link()
            if line.gone.is_set():
                await asyncio.sleep(self._backoff.next_s())

    async def _opened(self) -> _Line | None:
        # A connection that takes requests, or none.
        try:
            line = await _Line.open(self._url, self._on_message, self._tls)
        except VenueError:
            return None
        try:
            line.is_ready = not self._logs_on or await self._log_on(line)
        finally:
            if not line.is_ready:
                line.end(is_dead=True)
        return line if line.is_ready else None

    async def _wait_for_room(self) -> None:
        # A handshake weighs, and a ban ends later for who knocks.
        while not self._budget.allows(HANDSHAKE_WEIGHT, 0, True, self._clock.now_ns()):
            await asyncio.sleep(1.0)
        self._budget.spend(HANDSHAKE_WEIGHT, 0, self._clock.now_ns())

    def _adopt(self, line: _Line) -> None:
        before, self._line = self._line, line
        self._outlet.lead(line.transport)
        self._renew.clear()
        self._tell_link()
        if before is not None and not before.gone.is_set():
            self._spawn(self._retire(before))

    def _tell_link(self) -> None:
        if self.is_connected != self._has_link:
            self._has_link = self.is_connected
            self._linked(self._has_link)

    async def _retire(self, line: _Line) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.answer_s):
                while line.waiting and not line.gone.is_set():
                    await asyncio.wait(list(line.waiting.values()))
        line.end()
        await line.ended()

    async def _watch(self, line: _Line) -> None:
        # Until it has gone, or another should take its place.
        while not line.gone.is_set() and not self._renew.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.idle_s):
                    await line.gone.wait()
            now = asyncio.get_running_loop().time()
            if line.asked_s > line.heard_s and now - line.asked_s >= self._timing.idle_s / 2:
                line.end(is_dead=True)
                await line.ended()
            elif now - line.heard_s >= self._timing.idle_s:
                line.ping()
            if now - line.opened_s >= self._timing.life_s:
                self._renew.set()
            if now - line.opened_s >= SETTLED_S:
                self._backoff.reset()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        self._group.create_task(work)

    # ------------------------------------------------------------------ the session of an Ed25519 key

    async def _log_on(self, line: _Line) -> bool:
        # What leaves over a connection that has logged on needs no signature; until then requests go by REST, signed.
        now_ns = self._clock.now_ns()
        if line.transport is None or line.gone.is_set() or not self._budget.allows(LOGON_WEIGHT, 0, True, now_ns):
            return False
        number, sent = self._outlet.next_number(), self._budget.spend(LOGON_WEIGHT, 0, now_ns)
        line.transport.send(WSMsgType.TEXT, self._logon(number))
        reply = await line.wait(number, self._timing.answer_s)
        found = _decoded(reply.frame)
        self._budget.hear_limits(found.get("rateLimits"), sent, self._clock.now_ns())
        verdict = judge(Call.OTHER, reply.status, reply.frame, sent=True)
        if verdict.outcome is Outcome.DONE:
            return _is_authorized(found.get("result"))
        self._heed(Call.OTHER, 0, verdict)
        if verdict.outcome is Outcome.RESYNC:
            await self._resync()
        return False

    def _logon(self, number: int) -> bytes:
        key, stamp_ms = self._api_key.reveal(), self._clock.request_ms()
        signature = self._bare.sign(f"apiKey={key}&timestamp={stamp_ms}".encode()).decode()
        params = {"apiKey": key, "signature": signature, "timestamp": stamp_ms}
        return orjson.dumps({"id": number, "method": "session.logon", "params": params})

    def _in_session(self, line: _Line, verdict: Verdict) -> Verdict:
        # A request without a key that is refused for want of one says that the session is over, not that the key is
        # bad: that says the next logon. Twice in a row, though, or with the key named bad, it is a refusal like others.
        if not self._logs_on or not _is_logged_off(verdict):
            self._losses = 0 if verdict.outcome is Outcome.DONE else self._losses
            return verdict
        if line.is_ready:
            self._losses += 1
            self._leave_session(line)
        if verdict.code in _KEY_NAMED_BAD or self._losses > 1:
            return replace(verdict, outcome=Outcome.HALT)
        return replace(verdict, outcome=Outcome.FAILED, again=True)

    def _leave_session(self, line: _Line) -> None:
        line.is_ready = False
        self._tell_link()
        if self._group is not None:
            self._spawn(self._log_on_anew(line))

    async def _log_on_anew(self, line: _Line) -> None:
        line.is_ready = await self._log_on(line)
        if line.is_ready:
            self._tell_link()
        else:
            await self._retire(line)

    # ------------------------------------------------------------------ out

    def send(self, requests: list[Request], decided_ns: int, journal_failed: bool = False) -> None:
        """Let requests leave: each is signed, compared with what was approved, and written at once, or refused.

        Parameters
        ----------
        requests : list of Request
            What one event led to.
        decided_ns : int
            When, by the clock of this session, ns. What is older than its time to live is refused, but not what only
            takes risk away.
        journal_failed : bool, optional
            Whether the journal does not hold them; then only what takes risk away leaves.
        """
        now_ns = self._clock.now_ns()
        expired = now_ns - decided_ns > self._timing.intent_s * SECOND_NS
        line = self._open_line(expired or journal_failed)
        left: list[tuple[Request, _Left | None]] = []
        try:
            if line is not None:
                self._outlet.leave(requests, self._clock.request_ms(), now_ns)
            for ask in requests:
                if not ask.number:
                    left.append((ask, self._left(ask, now_ns, expired, journal_failed)))
        finally:  # first the wire, of all of them; then who waits for what, and until when
            later = [ask for ask, _ in left]
            for ask in requests:
                if line is not None and ask.number and ask not in later:
                    self._follow(ask, line)
            for ask, what in left:
                self._follow(ask, what)

    def rehearse(self, requests: list[Request]) -> None:
        """Do with orders what `send` does before the connection is reached; nothing leaves, and nothing is counted.

        Parameters
        ----------
        requests : list of Request
        """
        now_ns = self._clock.now_ns()
        if self._open_line(False) is not None:
            self._outlet.rehearse(requests, self._clock.request_ms(), now_ns)

    def _open_line(self, is_barred: bool) -> _Line | None:
        # The connection over which whatever was decided may leave, if nothing has to be asked of each request.
        if is_barred or self._group is None or self.halted is not None or self._is_locked():
            return None
        return self._reliable_line()

    def _is_locked(self) -> bool:
        return asyncio.get_running_loop().time() - self._refused_s < LOCKED_S

    def _follow(self, ask: Request, left: _Left | None) -> None:
        if isinstance(left, Unsent):
            self._refuse(ask, left)
        elif left is None:
            self._find_once(ask)
        else:
            self._spawn(self._finish(ask, self._answer(ask, left)))

    def _left(self, ask: Request, now_ns: int, expired: bool, journal_failed: bool) -> _Left | None:
        # None for a question, which takes its own way.
        unsent = self._withheld(ask, expired, journal_failed)
        if unsent is not None:
            return unsent
        return None if ask.kind is Kind.QUERY else self._put(ask, now_ns)

    def _withheld(self, ask: Request, expired: bool, journal_failed: bool) -> Unsent | None:
        if self._group is None:
            return Unsent.NOT_CONNECTED
        if ask.kind not in _OPENS and self._is_locked():
            return Unsent.HALTED
        if not ask.may_open:
            return None
        if journal_failed:
            return Unsent.NOT_JOURNALLED
        if self.halted is not None:
            return Unsent.HALTED
        return Unsent.EXPIRED_INTENT if expired else None

    def _put(self, ask: Request, now_ns: int) -> _Left:
        # The bytes of an order are handed over here, once; only what changes nothing comes here twice.
        way, line = _way(ask), self._reliable_line()
        if line is not None and way.has_socket:
            why = self._outlet.send(ask, self._clock.request_ms(), now_ns)
            return Unsent(why) if why else line
        if self._fallback is None:
            return Unsent.NOT_CONNECTED
        if not self._budget.allows(way.weight, way.orders, ask.is_exit, now_ns):
            return Unsent.OVER_BUDGET
        text = self._text(ask)
        return self._by_rest(ask, way, text) if text else Unsent.NOT_AS_APPROVED

    def _answer(self, ask: Request, left: _Line | Awaitable[_Back]) -> Awaitable[_Back]:
        return self._by_socket(ask, left) if isinstance(left, _Line) else left

    def _reliable_line(self) -> _Line | None:
        line = self._line if self.is_connected else None
        return None if line is not None and line.is_mute and self._fallback is not None else line

    def _text(self, ask: Request) -> bytes:
        stamp_ms = self._clock.request_ms()
        if ask.approval is not None:
            return self._bare.order_text(ask.approval, self._instruments, stamp_ms)
        if ask.kind in _OPENS:
            return b""
        return self._bare.reference_text(ask.client_id, ask.symbol, self._instruments, stamp_ms, ask.conditional)

    def _by_socket(self, ask: Request, line: _Line) -> Awaitable[_Back]:
        # It is waited for from now on, not from when the task begins: an answer may come before.
        sent = Sent(ask.weight_sent, ask.orders_sent)
        return self._judged(ask, line, sent, line.wait(ask.number, self._timing.answer_s))

    async def _judged(self, ask: Request, line: _Line, sent: Sent, answer: Awaitable[_Reply]) -> _Back:
        reply, call = await answer, _way(ask).call
        found = _decoded(reply.frame)
        self._budget.hear_limits(found.get("rateLimits"), sent, self._clock.now_ns())
        verdict = self._in_session(line, judge(call, reply.status, reply.frame, sent=True))
        self._heed(call, ask.client_id, verdict)
        return _Back(verdict, found.get("result"))

    async def _by_rest(self, ask: Request, way: _Way, text: bytes) -> _Back:
        assert self._fallback is not None
        asked = Ask(way.verb, way.path, way.weight, way.call, way.orders, ask.is_exit, self._timing.answer_s)
        answer = await self._fallback.post(asked, text)
        self._heed(way.call, ask.client_id, answer.verdict)
        if answer.status or answer.sent:
            return _Back(answer.verdict, _decoded(answer.body, of=(dict, list)))
        held = answer.verdict.outcome is Outcome.WAIT
        return _Back(answer.verdict, None, Unsent.OVER_BUDGET if held else Unsent.NOT_CONNECTED)

    # ------------------------------------------------------------------ in

    def _on_message(self, line: Connection, message: bytes) -> None:
        assert isinstance(line, _Line)
        found = _decoded(message)
        if not found:
            self.unreadable += 1
            return
        status = found.get("status")
        reply = _Reply(status if type(status) is int else 0, message)
        if found.get("id") is not None:
            self.late += not line.settle(found["id"], reply)
        elif isinstance(found.get("event"), dict):  # the exchange is about to end the connection
            self._renew.set()
        else:
            verdict = judge(Call.OTHER, reply.status, message, sent=True)
            self._heed(Call.OTHER, 0, self._in_session(line, verdict))

    async def _finish(self, ask: Request, answer: Awaitable[_Back]) -> None:
        back = await answer
        if back.verdict.outcome is Outcome.RESYNC and ask.kind is Kind.CANCEL:
            await self._resync()
            again = self._put(ask, self._clock.now_ns())
            if isinstance(again, Unsent):
                self._refuse(ask, again)
                return
            back = await self._answer(ask, again)
        self._conclude(ask, back)
        if back.verdict.outcome is Outcome.RESYNC:
            await self._resync()

    def _conclude(self, ask: Request, back: _Back) -> None:
        outcome = back.verdict.outcome
        if outcome is Outcome.UNKNOWN:
            self._tell(ask, Kind.LOST, int(ask.kind))
        elif outcome is Outcome.DONE:
            self._read(ask, lambda now_ns: self._rows(ask, back.body, now_ns))
        else:
            self._tell(ask, _REFUSED[ask.kind], int(back.unsent or back.verdict.code or 0))

    def _rows(self, ask: Request, body: Any, now_ns: int) -> NDArray[np.void]:
        if not isinstance(body, dict):
            raise UnreadableError("shape")
        if ask.kind is Kind.ORDER:
            return self._answers.placed(body, now_ns)
        if ask.kind is Kind.AMEND:
            return self._answers.amended(body, now_ns)
        if ask.conditional:
            return self._answers.algo_canceled(self._instruments.names[ask.symbol], body, now_ns)
        return self._answers.canceled(body, now_ns)

    def _find_once(self, ask: Request) -> None:
        # Whoever asks every second asks again before a silent exchange is given up: one question an order is enough,
        # and more would take the place of whatever else has to be asked when the exchange is back.
        if ask.client_id not in self._finding:
            self._finding.add(ask.client_id)
            self._spawn(self._find(ask))

    async def _find(self, ask: Request) -> None:
        try:
            await self._look_for(ask)
        finally:
            self._finding.discard(ask.client_id)

    async def _look_for(self, ask: Request) -> None:
        # Both universes where the order may be in either, and its trades where it has some.
        plain = await self._found(ask, False)
        algo = await self._found(ask, True) if ask.conditional or (plain or {}).get("code") == ABSENT else None
        trades = await self._trades(ask, plain) if _has_traded(plain) else []
        symbol = self._instruments.names[ask.symbol]
        self._read(ask, lambda now: self._answers.queried(symbol, ask.client_id, plain, algo, now, trades or ()))

    async def _found(self, ask: Request, conditional: bool) -> dict[str, Any] | None:
        # An order, the refusal that says that there is none, or None for no answer.
        asked = Request(ask.kind, ask.client_id, ask.symbol, conditional, ask.closes)
        back = await self._asked(asked)
        if back is not None and back.verdict.outcome is Outcome.RESYNC:
            await self._resync()
            back = await self._asked(asked)
        if back is None:
            return None
        if back.verdict.outcome is Outcome.ABSENT:
            return {"code": ABSENT}
        return back.body if back.verdict.outcome is Outcome.DONE and isinstance(back.body, dict) else None

    async def _asked(self, ask: Request) -> _Back | None:
        left = self._put(ask, self._clock.now_ns())
        return None if isinstance(left, Unsent) else await self._answer(ask, left)

    async def _trades(self, ask: Request, plain: Any) -> list[dict[str, Any]] | None:
        symbol, number = self._instruments.names[ask.symbol], plain.get("orderId")
        if type(number) is not int or self._fallback is None:
            return None
        text = f"limit={TRADES}&orderId={number}&symbol={symbol}&timestamp={self._clock.request_ms()}".encode()
        signature = quote(self._bare.sign(text), safe="").encode()
        back = await self._by_rest(ask, _TRADES, text + b"&signature=" + signature)
        return back.body if back.verdict.outcome is Outcome.DONE and isinstance(back.body, list) else None

    def _heed(self, call: Call, client_id: int, verdict: Verdict) -> None:
        self._budget.refuse(verdict, self._clock.now_ns(), self._clock.now_ns())
        if verdict.outcome is Outcome.HALT:
            self.halted = self.halted or verdict
            if verdict.alert is Alert.KEY_REFUSED and call in (Call.CANCEL, Call.QUERY):
                self._refused_s = asyncio.get_running_loop().time()
        self._heard_of(call, client_id, verdict)

    async def _resync(self) -> None:
        # One measurement for all that wait for it; after a second they go by what is known.
        if self._resyncing is None or self._resyncing.done():
            self._resyncing = asyncio.create_task(self._measure())
        await self._resyncing

    async def _measure(self) -> None:
        with suppress(AutotraderError, OSError):
            async with asyncio.timeout(RESYNC_S):
                await self._clock.measure()

    # ------------------------------------------------------------------ what the engine hears

    def _read(self, ask: Request, rows: Callable[[int], NDArray[np.void]]) -> None:
        try:
            told = rows(self._clock.now_ns())
        except UnreadableError:
            self.unreadable += 1
            self._tell(ask, Kind.LOST, int(ask.kind))
            return
        if told.size:
            self._told(told)

    def _refuse(self, ask: Request, why: Unsent) -> None:
        # Later, because whoever sends is in the midst of a step. A question is put again by who asked.
        kind = _REFUSED.get(ask.kind, Kind.LOST)
        word = int(ask.kind if kind is Kind.LOST else why)
        if self._group is None:
            asyncio.get_running_loop().call_soon(self._tell, ask, kind, word)
        else:
            self._spawn(self._tell_later(ask, kind, word))

    async def _tell_later(self, ask: Request, kind: Kind, word: int) -> None:
        self._tell(ask, kind, word)

    def _tell(self, ask: Request, kind: Kind, word: int) -> None:
        rows = packed([row(kind, ask.symbol, ask.client_id, word)], self._clock.now_ns())
        self._answers.evidence.note(rows)
        self._told(rows)


def _written_by(credentials: Credentials) -> Signer:
    # Who writes the texts of the request socket: named and signed by HMAC, or bare, for a session that has logged on.
    secret = credentials.secret.reveal().encode() if credentials.kind == "hmac" else None
    try:
        named = Signer(secret, name=credentials.api_key.reveal().encode())
    except ValueError:
        raise OperatorError(say("session.key_name")) from None
    return named if secret else Signer(None)


def _is_authorized(result: Any) -> bool:
    return isinstance(result, dict) and type(result.get("authorizedSince")) is int


def _is_logged_off(verdict: Verdict) -> bool:
    missing = verdict.code == _MISSING and ("apiKey" in verdict.text or "signature" in verdict.text)
    return missing or verdict.alert is Alert.KEY_REFUSED


def _decoded(text: bytes, of: tuple[type, ...] = (dict,)) -> Any:
    # What is none of the kinds that are expected is nothing.
    with suppress(orjson.JSONDecodeError):
        found = orjson.loads(text)
        return found if isinstance(found, of) else {}
    return {}


def _has_traded(plain: Mapping[str, Any] | None) -> bool:
    done = (plain or {}).get("executedQty")
    return isinstance(done, str) and done.strip("0.") != ""
