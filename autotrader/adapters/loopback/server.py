"""The exchange on loopback: its parts put together, and its hours.

Knows who hands what to whom, and the order in which things happen at one stamp: time passes (flushes, timers, faults),
then the market moves, then clients hear of it. Refuses to know how any part does its work.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from autotrader.adapters.loopback import status
from autotrader.adapters.loopback.api import Api
from autotrader.adapters.loopback.clock import MS, SECOND, Clock
from autotrader.adapters.loopback.crowd import STAKE_E8, Crowd
from autotrader.adapters.loopback.deeds import Deeds, market_row
from autotrader.adapters.loopback.door import Door, Request, Response
from autotrader.adapters.loopback.faults import Deed, Faults
from autotrader.adapters.loopback.gate import Gate
from autotrader.adapters.loopback.history import VERSION, History
from autotrader.adapters.loopback.limits import Limits
from autotrader.adapters.loopback.listen_keys import ListenKeys
from autotrader.adapters.loopback.market import Market, SymbolFacts
from autotrader.adapters.loopback.overview import overview
from autotrader.adapters.loopback.reception import FaultyHub, Reception, afflict
from autotrader.adapters.loopback.setup import DEMO, AccountSetup
from autotrader.adapters.loopback.sources import Replay
from autotrader.adapters.loopback.streams import Hub, Rules
from autotrader.adapters.loopback.symbols import COINS, E8, Symbol
from autotrader.adapters.loopback.venue import Venue
from autotrader.errors import OperatorError
from autotrader.instruments import Spec
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import Instruments, Kind, Setting

__all__ = ["Options", "Server"]

PARTICIPANTS = 3
FUND_E8 = 10**9 * 10**8
IDLE_S = 0.01
NAP_S = 0.001
"""The least that a replay sleeps: what has become due in the meantime leaves together."""
WARM_UP_NS = 60 * SECOND
BREATH = 64


@dataclass(frozen=True)
class Options:
    """What an operator chose.

    Attributes
    ----------
    specs : sequence of Spec
        Instruments of the exchange.
    replay : sequence of Path
        Recordings; empty for a synthetic market.
    labels : mapping
        Which recording each symbol plays, and how many seconds later (``sources.Replay``).
    seed : int
    speed : float
        Seconds of exchange time a second; 0: as fast as clients listen.
    accounts : sequence of AccountSetup
    faults : Path or None
    history : Path or None
        Where the truth is written.
    tls : (Path, Path) or None
        Certificate and key in PEM.
    port : int
    hold : bool
        Whether the market waits for the control port.
    weight_limit, order_limit : int
        A minute; for load tests.
    legacy_silent : bool
        Whether unrouted sockets hear the public family only, as in production.
    before_2026_06 : bool
    rate_per_s : float
        Orders of a synthetic market's participants a second and symbol.
    prices_e8 : sequence of int or None
        Where the prices of a synthetic market begin.
    coins_e8 : mapping of str to int
        What BNB, BTC and ETH are worth where their own perpetuals are not among the symbols.
    crowd : bool
        Whether a synthetic market has participants; without them its book is the clients' alone, and its indices are
        fed by whoever drives the server.
    start_ns : int or None
        The exchange's time at its opening; None: the wall's.
    """

    specs: Sequence[Spec]
    replay: Sequence[Path] = ()
    labels: Mapping[str, tuple[Sequence[Path], float]] = field(default_factory=dict)
    seed: int = 1
    speed: float = 1.0
    accounts: Sequence[AccountSetup] = DEMO
    faults: Path | None = None
    history: Path | None = None
    tls: tuple[Path, Path] | None = None
    port: int = 0
    hold: bool = False
    weight_limit: int = 2400
    order_limit: int = 1200
    legacy_silent: bool = True
    before_2026_06: bool = False
    rate_per_s: float = 4.0
    prices_e8: Sequence[int] | None = None
    coins_e8: Mapping[str, int] = field(default_factory=dict)
    crowd: bool = True
    start_ns: int | None = None


class Server:
    """One exchange.

    Parameters
    ----------
    options : Options

    Raises
    ------
    OperatorError
        If a file that it needs is missing or bad.
    """

    def __init__(self, options: Options):
        self.options = options
        self.clock = Clock(options.start_ns, options.speed)
        self.instruments = Instruments(options.specs)
        self.symbols = [Symbol.of(k, spec) for k, spec in enumerate(options.specs)]
        self.replay = self._open_replay()
        self.faults = Faults.load(options.faults, options.seed) if options.faults else Faults(options.seed)
        self.history = History(options.history)
        self.hub = Hub(self.clock.mono_ms, self._knows_key, Rules(legacy_silent=options.legacy_silent))
        self.events = FaultyHub(self.hub, self.faults, self.clock)
        self.keys = ListenKeys(options.seed)
        self.exchange = self._build_exchange()
        self.market = Market(self.exchange, self.events, [_facts(symbol) for symbol in self.symbols])
        names = [setup.name for setup in options.accounts]
        self.venue = Venue(
            self.exchange, self.symbols, names, self.history, self._tell, self.market.on_array, self._on_forced
        )
        limits = Limits(options.weight_limit, max(300, options.order_limit // 4), options.order_limit)
        gate = Gate([setup.key for setup in options.accounts], limits)
        self.gate = gate
        granted = [setup.permissions for setup in options.accounts]
        self.api = Api(
            self.venue, self.market, self.clock, limits, self.keys, granted, before_2026_06=options.before_2026_06
        )
        self.reception = Reception(self.api, gate, self.faults, self.hub, self.clock, self._control, self._catch_up)
        self.deeds = Deeds(self.venue, self.market)
        self.venue.bend = self.deeds.bend
        self.door = Door(self.reception.answer, self.reception.connect, _tls(options.tls))
        self.running = True
        self._let_run(not options.hold)
        self.ended = False
        self._stop: asyncio.Event | None = None
        self._next_second = 0  # ns; 0: before the first
        self._due = 0  # the stamp before which only the market's own windows end, ns
        self._crowd: Crowd | None = None
        self._own_marks = self.replay is not None and "own" in self._mark_sources
        self._failed: list[str] = []

    # ------------------------------------------------------------------ the world

    def _open_replay(self) -> Replay | None:
        options = self.options
        if not options.replay and not options.labels:
            return None
        return Replay(options.replay, self.instruments, options.labels or None, self.clock.start_ns)

    def _build_exchange(self) -> Exchange:
        setups = self.options.accounts
        opened = [Account(self.instruments, 0) for _ in setups]
        synthetic = self.replay is None
        others = PARTICIPANTS if synthetic and self.options.crowd else 0
        crowd = [Account(self.instruments, STAKE_E8) for _ in range(others)]
        self._mark_sources = ["stream" if synthetic or _has_marks(self.replay) else "own"] * len(self.symbols)
        return Exchange(
            self.instruments, [*opened, *crowd], self._mark_sources, 0.0, 0.0, 0, fund_e8=FUND_E8, synthetic=synthetic
        )

    def _open_accounts(self, now: int) -> None:
        settings = {
            "hedge": Setting.HEDGE_MODE,
            "multi_assets": Setting.MULTI_ASSETS,
            "fee_coin": Setting.FEE_COIN,
        }
        for account, setup in enumerate(self.options.accounts):
            for asset, amount in enumerate(setup.wallets_e8):
                if amount:
                    self.venue.deposit(now, account, asset, amount)
            for name, setting in settings.items():
                if getattr(setup, name):
                    self.venue.change(now, account, 0, setting, 1)

    def _write_opening(self, now: int) -> None:
        specs = [{"symbol": s.name, "tick_e8": s.tick_e8, "lot_e8": s.lot_e8} for s in self.symbols]
        accounts = [
            {"name": ledger.name, "wallets": {"USDT": money.wallet_e8}}
            for ledger, money in zip(self.venue.ledgers, self.exchange.accounts, strict=True)
        ]
        self.history.write(
            "open", now, version=VERSION, seed=self.options.seed, synthetic=self.replay is None, instruments=specs,
            accounts=accounts, fund_e8=self.exchange.fund.wallet_e8,
        )  # fmt: skip

    # ------------------------------------------------------------------ what happens

    def _tell(self, account: int, event: str, body: dict[str, Any]) -> None:
        key = self.keys.of(account)
        if key is None or account >= self.venue.clients:
            return
        stamp = max(self.clock.now_ms(), body.get("T", 0))
        payload = orjson.dumps({"e": event, "E": stamp, **body})
        symbol = body["o"]["s"] if "o" in body else body.get("s")
        self.events.tell(key, self.venue.ledgers[account].name, event, symbol, payload)

    def _on_forced(self, symbol: int, side: int, lots: int, price_e8: int, now_ms: int) -> None:
        self.market.on_forced(symbol, side, lots, price_e8, price_e8, now_ms)

    def _knows_key(self, key: str) -> bool:
        return self.keys.known(key)

    def step(self, stamp: int, rows: NDArray[np.void]) -> None:
        """Let the recorded market move: time passes up to the stamp, then come its rows."""
        if stamp >= self._due:
            self.advance(stamp)
        else:
            self.market.advance(stamp)
        self.venue.feed(rows)
        self.market.on_array(rows)

    def advance(self, now: int) -> None:
        """Let time pass: everything that is due, second by second."""
        if now >= self._next_second:
            self._pass_seconds(now // SECOND)
        self._move_crowd(now)
        self.market.advance(now)
        self.venue.advance(now)
        for deed in self.faults.due(now):
            self._do(now, deed)
        self._due = 0 if self.venue.timers or self.faults.timed else self._next_second

    def _pass_seconds(self, last: int) -> None:
        first = self._next_second // SECOND or last + 1
        for second in range(max(first, last - 9), last + 1):
            self._next_second = (second + 1) * SECOND
            self._each_second(second * SECOND)
        self._next_second = (last + 1) * SECOND

    def _each_second(self, now: int) -> None:
        self._move_crowd(now)
        self.venue.settle(now)
        self.market.advance(now)
        if self._own_marks:
            self._sample_index(now)
        if self.options.crowd:  # a market that stands still is priced by whoever drives it
            self._price_coins(now)
        wall = self.clock.wall_ms()
        for account, key in self.keys.due(wall):
            self._expire(account, key, now)
        self.venue.call_margins()
        self.hub.tick(self.clock.mono_ms())
        self.reception.tick(self.clock.mono_ms())
        if now // SECOND % 60 == 0:
            self._checkpoint(now)
        if self.replay is not None:
            self._write_touches(now)

    def _sample_index(self, now: int) -> None:
        # A recording without marks: the index is the middle of its book.
        for symbol in self.symbols:
            bid, ask = self.exchange.books[symbol.index].best()
            if bid and ask and self.exchange.books[symbol.index].is_usable:
                middle = (bid + ask) * symbol.tick_e8 // 2
                self.venue.feed(market_row(Kind.MARK, symbol.index, now, 0, middle))

    def _price_coins(self, now: int) -> None:
        # What a margin coin is worth: the mark of its own perpetual, or what the operator's table says of it.
        marks = {symbol.name: self._mark(symbol.index) for symbol in self.symbols}
        for asset, name in enumerate(COINS):
            price = E8 if name == "USDC" else marks.get(f"{name}USDT") or self.options.coins_e8.get(name, 0)
            if asset and price:
                row = market_row(Kind.ASSET_INDEX, 0, now, asset, price)
                self.venue.feed(row)
                self.market.on_array(row)

    def _move_crowd(self, now: int) -> None:
        if self._crowd is not None and self.running:
            self.deeds.move_prices(self._crowd, now)
            for _ in self._crowd.advance(now):
                pass

    def _catch_up(self) -> int:
        # A request finds the market as it is at its stamp, and nothing happens before it any more. What it makes due is
        # looked for at the next stamp.
        now, self._due = self.clock.now(), 0
        if self.clock.speed and self.running and (self.replay is None or self.ended):
            self.advance(now)
        return now

    def _expire(self, account: int, key: str, now: int) -> None:
        payload = orjson.dumps({"e": "listenKeyExpired", "E": now // MS, "listenKey": key})
        self.events.tell(key, self.venue.ledgers[account].name, "listenKeyExpired", None, payload)

    def _do(self, now: int, deed: Deed) -> None:
        why = ""
        if self.deeds.knows(deed):
            why = self.deeds.do(now, deed)
        elif deed.do in ("expire_key", "revoke_key"):
            self._do_to_key(now, deed)
        else:
            for socket in self.reception.concerned(deed):
                afflict(socket, deed)
        text = f"{deed.name}: {deed.do}" + (f" not done: {why}" if why else "")
        self._failed += [text] if why else []
        self.history.write("fault", now, text=text)

    def _do_to_key(self, now: int, deed: Deed) -> None:
        account = next((n for n, s in enumerate(self.options.accounts) if s.name == deed.args["account"]), -1)
        if account < 0:
            return
        if deed.do == "revoke_key":
            self.reception.revoke(account)
        key = self.keys.expire(account)
        if key is not None:
            self._expire(account, key, now)

    # ------------------------------------------------------------------ the truth

    def _checkpoint(self, now: int) -> None:
        for symbol in self.symbols:
            self.history.write("mark", now, symbol=symbol.index, mark_e8=self._mark(symbol.index))
        accounts = [self._holdings(money) for money in self.exchange.accounts]
        fund = self.exchange.fund
        held = [[k, p["lots"], p["cost_e8"]] for k in range(len(self.symbols)) for p in [fund.position(k)] if p["lots"]]
        self.history.write("state", now, accounts=accounts, fund={"wallet_e8": fund.wallet_e8, "positions": held})
        self.history.flush()

    def _holdings(self, money: Account) -> dict[str, Any]:
        rows = []
        for k in range(len(self.symbols)):
            isolated = bool(money.margins_of(k)["isolated"])
            for leg in range(2):
                p = money.position(k, leg)
                if p["lots"]:
                    unrealised = p["value_e8"] - p["cost_e8"]
                    rows.append(
                        [k, leg, p["lots"], p["cost_e8"], p["isolated_e8"], unrealised, p["maintenance_e8"], isolated]
                    )
        coins = [[k, coin["wallet_e8"], coin["fees_e8"]] for k in range(1, 5) for coin in [money.asset(k)]]
        return {
            "wallet_e8": money.wallet_e8,
            "fees_e8": money.fees_e8,
            "equity_e8": money.equity(),
            "cross_equity_e8": money.cross_equity(),
            "cross_maintenance_e8": money.cross_maintenance(),
            "positions": rows,
            "coins": [coin for coin in coins if coin[1] or coin[2]],
        }

    def _mark(self, symbol: int) -> int:
        return self.exchange.fund.position(symbol)["mark_e8"]

    def _write_touches(self, now: int) -> None:
        for symbol in self.symbols:
            book = self.exchange.books[symbol.index]
            if book.is_usable:
                bid, ask = book.best()
                self.history.write("touch", now, symbol=symbol.index, u=book.last_id, bid=bid or 0, ask=ask or 0)

    # ------------------------------------------------------------------ hours

    async def open(self) -> int:
        """Open the market and the door; return the port.

        Raises
        ------
        OperatorError
            If the port is taken.
        """
        now = self.clock.now()
        self.faults.open(now)
        self._write_opening(now)
        self._open_accounts(now)
        if self.replay is None and self.options.crowd:
            accounts = range(len(self.options.accounts), len(self.exchange.accounts))
            self._crowd = Crowd(
                self.venue,
                self.instruments,
                accounts,
                self.options.seed,
                self.options.rate_per_s,
                self.options.prices_e8,
            )
            self._crowd.open(now)
        self._stop = asyncio.Event()
        return await self.door.open(self.options.port)

    async def run(self) -> None:
        """Keep the market going until somebody stops it; then close."""
        assert self._stop is not None
        hours = asyncio.create_task(self._play() if self.replay is not None else self._tick())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({hours, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            await hours  # only a fault of ours ends it
        hours.cancel()
        await self.close()

    def stop(self) -> None:
        """End the run."""
        if self._stop is not None:
            self._stop.set()

    async def close(self) -> None:
        """Close the door and the history."""
        now = self.clock.now()
        await self.door.close()
        self._checkpoint(now)
        self.history.close(now)

    async def _tick(self) -> None:
        while True:
            if self.running:
                self.advance(self.clock.now())
            await asyncio.sleep(IDLE_S)

    async def _play(self) -> None:
        assert self.replay is not None
        steps = iter(self.replay)
        opening = self.clock.start_ns + WARM_UP_NS
        for stamp, rows in steps:  # until every book is known, the market is not open
            self.clock.reach(stamp)
            self.step(stamp, rows)
            if stamp > opening or all(book.is_usable for book in self.exchange.books):
                break
        now = 0  # the clock as last read: what lies behind it needs no further look
        for count, (stamp, rows) in enumerate(steps):
            if stamp > now or not self.running:
                now = await self._wait(stamp)
            self.step(stamp, rows)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        self.ended = True
        self.clock.run(1.0)
        await self._tick()

    async def _wait(self, stamp: int) -> int:
        # Until the market runs and a stamp has come; return the clock then.
        while not self.running:
            await asyncio.sleep(IDLE_S)
        if not self.clock.speed:
            await self.hub.relieved()
            self.clock.reach(stamp)
        while (now := self.clock.now()) < stamp:
            self.advance(now)
            await asyncio.sleep(min(IDLE_S, max(NAP_S, self.clock.wait_s(stamp))))
        return now

    # ------------------------------------------------------------------ control and status

    def _control(self, request: Request) -> Response | None:
        if request.method == "GET" and request.path in ("/", "/status"):
            language = "ko" if "lang=ko" in request.query else "en"
            return Response(200, status.page(self.view(), language), (), "text/html;charset=UTF-8")
        if not request.path.startswith("/_control/"):
            return None
        try:
            body = self._controlled(request)
        except OperatorError as error:
            return Response(400, orjson.dumps({"error": str(error)}))
        return None if body is None else Response(200, orjson.dumps(body))

    def _controlled(self, request: Request) -> Any:
        match request.method, request.path.removeprefix("/_control/").split("/"):
            case "GET", ["faults"]:
                return self.faults.listed()
            case "POST", ["faults"]:
                self._due = 0
                return self.faults.add(_table(request.body)).to_dict()
            case "DELETE", ["faults", name]:
                return {"removed": self.faults.remove(name)}
            case "POST", ["pause"]:
                self._let_run(False)
            case "POST", ["resume"]:
                self._let_run(True)
            case "POST", ["stop"]:
                self.stop()
            case "GET", ["state"]:
                pass
            case _:
                return None
        return {
            "running": self.running,
            "ended": self.ended,
            "time": self.clock.now_ms(),
            "share": self.replay.share if self.replay else 0.0,
            "messages": self.replay.messages if self.replay else 0,
            "not_done": self._failed[-20:],
        }

    def _let_run(self, is_running: bool) -> None:
        # Time stands still with the market: else all that was held back would come at once afterwards.
        self.running = is_running
        (self.clock.go_on if is_running else self.clock.halt)()

    def view(self) -> status.View:
        """Return what the status page shows."""
        return overview(self)


def _table(body: bytes) -> Mapping[str, Any]:
    try:
        table = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise OperatorError(str(error)) from None
    if not isinstance(table, dict):
        raise OperatorError("a fault is a JSON object")
    return table


def _facts(symbol: Symbol) -> SymbolFacts:
    return SymbolFacts(
        symbol.name, symbol.name, symbol.base, symbol.quote, symbol.price_decimals, symbol.lot_decimals,
        symbol.tick_e8, symbol.lot_e8, 8, tuple(symbol.brackets), symbol.onboard_ms,
    )  # fmt: skip


def _has_marks(replay: Replay | None, look: int = 20_000) -> bool:
    # A recording that has marks of its own has one a second.
    if replay is None:
        return False
    for count, (_, rows) in enumerate(replay):
        if rows["kind"][0] == Kind.MARK:
            return True
        if count == look:
            break
    return False


def _tls(files: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context
