"""The checklist before a run: what was measured, whether it will do, and what to do where it does not.

Knows every item, its limit, and which of them keep LIVE from starting. Refuses to know what a run does with any of it.
An item that nobody measured is said to be so; none is a constant.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import uvloop

from autotrader import config as configuration
from autotrader import instruments as facts
from autotrader.adapters.binance import rules
from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import UNSAFE_NS, VenueClock
from autotrader.adapters.binance.connections import Connection
from autotrader.adapters.binance.market_feed import MarketFeed
from autotrader.adapters.binance.market_streams import Subscription
from autotrader.adapters.binance.permissions import judge
from autotrader.adapters.binance.profiles import MarketUrls, TradingUrls, market_urls, proxies, trading_urls
from autotrader.adapters.binance.reading import UnreadableError, amount_e8
from autotrader.adapters.binance.rest import MarketRest, Rest
from autotrader.adapters.binance.signing import refuse_kind, signer
from autotrader.adapters.storage.run_folder import RunFolder
from autotrader.config import CEILINGS, Config
from autotrader.errors import AutotraderError, OperatorError, VenueError
from autotrader.messages import say
from autotrader.research import bench
from autotrader.research.replay import Progress
from autotrader.run import machine
from autotrader.run.drill import drill
from autotrader.run.wiring import verify_replay
from autotrader.secret import Credentials
from core_ext.account import Account, max_notional
from core_ext.types import Instruments, Setting

__all__ = ["NAMES", "Examination", "Item", "Verdict", "evidence_of", "examine"]

E8 = 10**8
GIB = 1 << 30
LIQUIDATION_DISTANCE = 0.15
KILL_NS = 5 * 10**9
MEMORY_BYTES = 10**9
CPU_SHARE = 0.8
CPU_S = 0.5
FREE_BYTES = GIB
SYNC_MS = 100.0
DATABASE_MS = 1000.0
FILES = 256
"""Files and sockets that a run may need beside those that are open."""
ANOMALIES = 0.01
CERTIFICATE_DAYS = 1.0
CONNECT_S = 5.0
PINGS = 3
REPLAYS = 2
DAY_S = 86_400
SENDING = ("testnet", "live")
# What a rehearsal on this machine cannot tell, and what money of nobody's does not need.
NOT_REHEARSED = frozenset({"cpu"})
EVIDENCE = frozenset({"max_drawdown", "fills", "liquidations", "warnings"})
"""What must stand in a summary that is to prove something."""

T = TypeVar("T")
Key = Callable[[], Credentials]


class Verdict(StrEnum):
    """What is to be said of an item."""

    OK = "ok"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"
    NOT_CHECKED = "not_checked"
    NOT_BUILT = "not_built"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist.

    Attributes
    ----------
    name : str
    verdict : Verdict
    measured : str
        What was found, or why nothing was looked for.
    todo : str
        What to do; "" where nothing is.
    value, limit : float or None
        The figure that decided, and what it is held against.
    """

    name: str
    verdict: Verdict
    measured: str
    todo: str = ""
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """The checklist of a configuration.

    Attributes
    ----------
    mode, profile : str
    rehearsal : bool
        LIVE on the exchange on loopback.
    items : tuple of Item
    """

    mode: str
    profile: str
    rehearsal: bool
    items: tuple[Item, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return all(item.verdict is not Verdict.FAIL for item in self.items)

    @property
    def blockers(self) -> tuple[Item, ...]:
        """The items that keep LIVE from starting: what failed, and for real money also what was not checked."""
        return tuple(filter(self._blocks, self.items))

    def _blocks(self, item: Item) -> bool:
        if self.rehearsal:
            return item.verdict is Verdict.FAIL and item.name not in NOT_REHEARSED
        return item.verdict in (Verdict.FAIL, Verdict.NOT_CHECKED)

    def require(self) -> None:
        """Refuse to go on to LIVE.

        Raises
        ------
        OperatorError
            With every item that keeps it from starting, in one line.
        """
        if self.blockers:
            named = "; ".join(f"{say(f'doctor.{item.name}')}: {item.measured}" for item in self.blockers)
            raise OperatorError(say("doctor.refused", items=named))


class _Measure(NamedTuple):
    good: bool
    words: str
    value: float | None = None
    limit: float | None = None


class _AsideError(Exception):
    # An item that is neither good nor bad, and why.

    def __init__(self, verdict: Verdict, key: str, **words: object) -> None:
        super().__init__(say(f"doctor.{key}", **words))
        self.verdict = verdict


def evidence_of(config: Config, run: Path) -> dict[str, Any]:
    """Return the summary of a finished run whose strategy and symbols are this configuration's.

    Raises
    ------
    OperatorError
        If it is no such run.
    """
    folder = RunFolder(run)
    if not folder.is_complete:
        raise OperatorError(say("cli.not_a_run", path=run))
    summary = folder.read_summary()
    ran = summary.get("config")
    same = isinstance(ran, dict) and ran.get("strategy") == configuration.as_dict(config)["strategy"]
    whole = summary.get("mode") == "backtest" and summary.keys() >= EVIDENCE
    if not same or not whole or not set(config.run.symbols) <= set(summary.get("symbols", ())):
        raise OperatorError(say("doctor.other_run", path=run))
    return summary


def examine(config: Config, key: Key | None, run: Path | None, progress: Progress) -> Examination:
    """Carry out the checklist.

    Parameters
    ----------
    config : Config
    key : callable or None
        Returns the credentials; asked only where the mode has an account.
    run : Path or None
        A finished backtest of this strategy; None: what the configuration names, if it names one.
    progress : callable
        Told the share that is done and what is being looked at.

    Raises
    ------
    OperatorError
        If the named run is none of this strategy.
    """
    live = config.live
    if run is None and live is not None and live.backtest_dir:
        run = config.resolve(live.backtest_dir)
    summary = None if run is None else evidence_of(config, run)
    progress(0.0, say("doctor.connectivity"))
    told = {} if live is None else uvloop.run(_asked(config, key))
    case = _Case(config, told, run, summary)
    items = []
    for at, (name, check) in enumerate(_CHECKS.items()):
        progress(at / len(_CHECKS), say(f"doctor.{name}"))
        items.append(_carried_out(name, check, case))
    profile, rehearsal = (live.profile, live.rehearsal) if live else ("", False)
    return Examination(config.run.mode, profile, rehearsal, tuple(items))


def _carried_out(name: str, check: Callable[[_Case], _Measure], case: _Case) -> Item:
    todo = say(f"doctor.todo.{name}")
    try:
        found = check(case)
    except _AsideError as aside:
        return Item(name, aside.verdict, str(aside), "" if aside.verdict is Verdict.NOT_APPLICABLE else todo)
    except (AutotraderError, UnreadableError, OSError) as error:
        return Item(name, Verdict.FAIL, str(error) or type(error).__name__, todo)
    if found.good:
        return Item(name, Verdict.OK, found.words, "", found.value, found.limit)
    return Item(name, Verdict.FAIL, found.words, todo, found.value, found.limit)


# ---------------------------------------------------------------------- what the exchange is asked


async def _asked(config: Config, key: Key | None) -> dict[str, Any]:
    # Each answer, or in its place the error that came.
    assert config.live is not None
    sends = config.run.mode in SENDING
    urls = trading_urls(config.run.mode, config.live) if sends else market_urls(config.live)
    credentials = _credentials(key) if sends else None
    clock = VenueClock(lambda path, params: rest.fetch(path, params), _unheard)
    rest = _rest(urls, credentials, clock)
    symbols = config.run.symbols
    told: dict[str, Any] = {"key": credentials}
    try:
        told["ping"] = await _tried(_pinged_ms(rest))
        if isinstance(told["ping"], Exception):
            return told | dict.fromkeys((*_PUBLIC, *_ACCOUNT), told["ping"])
        told["offset"] = await _tried(clock.measure())
        told["info"] = await _tried(rest.exchange_info())
        told["prices"] = await _tried(_prices(rest, symbols))
        told["tls"] = {} if config.live.profile == "loopback" else await _tried(_certificates(urls))
        told["streams"] = await _tried(_streams_s(urls, symbols, clock))
        if isinstance(urls, TradingUrls):
            told["socket"] = await _tried(_socket_ms(urls))
        if isinstance(rest, Rest):
            told |= {name: await _tried(ask(rest, symbols)) for name, ask in _ACCOUNT.items()}
        return told
    finally:
        await rest.close()


def _credentials(key: Key | None) -> Credentials | OperatorError:
    try:
        found = key() if key else None
        if found is not None:
            refuse_kind(found)
    except OperatorError as error:
        return error
    return OperatorError(say("doctor.no_keys")) if found is None else found


def _rest(urls: MarketUrls, key: object, clock: VenueClock) -> MarketRest:
    if isinstance(urls, TradingUrls) and isinstance(key, Credentials):
        return Rest(urls, key, signer(key), Budget(), clock)
    return MarketRest(urls, Budget(), clock)


async def _tried(question: Awaitable[T]) -> T | Exception:
    try:
        return await question
    except (AutotraderError, UnreadableError, OSError) as error:
        return error


async def _pinged_ms(rest: MarketRest) -> float:
    times = []
    for _ in range(PINGS):
        begun = time.perf_counter()
        await rest.fetch("/fapi/v1/ping", {})
        times.append((time.perf_counter() - begun) * 1e3)
    return min(times)


async def _prices(rest: MarketRest, symbols: Sequence[str]) -> dict[str, str]:
    return {symbol: str((await rest.premium_index(symbol)).get("markPrice")) for symbol in symbols}


async def _fees(rest: Rest, symbols: Sequence[str]) -> list[Any]:
    return [await rest.commission_rate(symbol) for symbol in symbols]


_PUBLIC = ("offset", "info", "prices", "tls", "streams", "socket")
_ACCOUNT: Mapping[str, Callable[[Rest, Sequence[str]], Awaitable[Any]]] = {
    "balance": lambda rest, _: rest.balance(),
    "brackets": lambda rest, _: rest.leverage_brackets(),
    "fees": _fees,
    "dual": lambda rest, _: rest.position_mode(),
    "multi": lambda rest, _: rest.multi_assets_mode(),
    "margins": lambda rest, _: rest.symbol_config(),
    "rights": lambda rest, _: rest.api_restrictions(),
}


async def _streams_s(urls: MarketUrls, symbols: Sequence[str], clock: VenueClock) -> float:
    # How long it took until each stream of each symbol was heard; a silent one is an error that names it. Books are not
    # asked for: what that weighs is left to the run that begins then.
    begun = time.perf_counter()
    feed = MarketFeed(
        Subscription(tuple(symbols)), urls, sink=lambda *_: None, fetch=_no_snapshot, now_ns=clock.now_ns,
        stale=lambda *_: None, told=_unheard,
    )  # fmt: skip
    await feed.start()
    heard = time.perf_counter() - begun
    await feed.close()
    return heard


async def _no_snapshot(path: str, params: Mapping[str, str]) -> bytes:  # noqa: ARG001
    raise VenueError(say("feed.no_snapshot", symbol=params.get("symbol")))


class _Line(Connection):
    async def session(self) -> object:
        return await self._ask("session.status", [])


async def _socket_ms(urls: TradingUrls) -> float:
    line = await _Line.open(urls.require_host(urls.ws_api), lambda *_: None)
    begun = time.perf_counter()
    try:
        await line.session()
        return (time.perf_counter() - begun) * 1e3
    finally:
        line.end()
        await line.ended()


async def _certificates(urls: MarketUrls) -> dict[str, float]:
    # Days that each host's certificate holds for yet; one without TLS is an error.
    own = (urls.user, urls.ws_api, urls.spot) if isinstance(urls, TradingUrls) else ()
    bases = map(urlsplit, (urls.rest, urls.public, urls.market, *own))
    hosts = {(str(parts.hostname), parts.port or 443) for parts in bases if parts.netloc}
    return {host: await certificate_days(host, port) for host, port in sorted(hosts)}


async def certificate_days(host: str, port: int, tls: ssl.SSLContext | None = None) -> float:
    """Return how many days the certificate holds for that a host shows, verified against the authorities trusted here.

    Raises
    ------
    OSError
        If there is no connection, or the certificate cannot be trusted.
    """
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(host, port, ssl=tls or ssl.create_default_context())
    try:
        ends = ssl.cert_time_to_seconds(writer.get_extra_info("peercert")["notAfter"])
        return (ends - time.time()) / DAY_S
    finally:
        writer.close()


def _unheard(alert: str, what: str) -> None:
    """Leave what is told to the verdicts."""


# ---------------------------------------------------------------------- the case


@dataclass(frozen=True)
class _Case:
    config: Config
    told: Mapping[str, Any]
    run: Path | None
    summary: Mapping[str, Any] | None

    @property
    def mode(self) -> str:
        return self.config.run.mode

    @property
    def sends(self) -> bool:
        return self.mode in SENDING

    def heard(self, name: str) -> Any:
        # An answer of the exchange; where there is none, the reason.
        if self.config.live is None:
            raise _AsideError(Verdict.NOT_APPLICABLE, "not.no_exchange", mode=self.mode)
        if name in _ACCOUNT and not self.sends:
            raise _AsideError(Verdict.NOT_APPLICABLE, "not.no_account", mode=self.mode)
        if name in _ACCOUNT and isinstance(self.told["key"], Exception):
            raise _AsideError(Verdict.NOT_CHECKED, "not.no_keys")
        answer = self.told[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def evidence(self) -> Mapping[str, Any]:
        if self.summary is None:
            raise _AsideError(Verdict.NOT_CHECKED, "not.no_run")
        return self.summary

    def state_folder(self) -> Path:
        if self.config.live is None:
            raise _AsideError(Verdict.NOT_APPLICABLE, "not.no_exchange", mode=self.mode)
        return self.config.resolve(self.config.live.state_dir)

    def disk_folder(self) -> Path:
        # Where a run writes: beside its state, or where it stands.
        path = Path.cwd() if self.config.live is None else self.state_folder()
        if self.config.live is not None:
            machine.state(path)  # made, if it is not there
        return path

    @cached_property
    def specs(self) -> list[facts.Spec]:
        # The account's own where there is one, else those that a run without an account goes by.
        run = self.config.run
        if self.sends and not isinstance(self.told["key"], Exception):
            listed = [self.heard(name) for name in ("info", "brackets", "fees")]
            return rules.specs(run.symbols, *listed, leverage=run.leverage)[0]
        source = self.config.sources.instruments
        table = facts.load(None if source == "shipped" else self.config.resolve(source))
        fees = facts.fee_tier(self.config.venue.fee_tier)
        return facts.specs(run.symbols, table=table, fees=fees, leverage=run.leverage)[0]

    @cached_property
    def prices_e8(self) -> dict[str, int]:
        if self.config.live is None:
            from autotrader.run.exchange import last_closes, opening_prices

            return dict(zip(self.config.run.symbols, opening_prices(self.specs, last_closes()), strict=True))
        return {symbol: amount_e8(price, 1) for symbol, price in self.heard("prices").items()}

    @cached_property
    def capital(self) -> float:
        if self.sends and not isinstance(self.told["key"], Exception):
            wallet = next((one for one in self.heard("balance") if one.get("asset") == "USDT"), None)
            return amount_e8(wallet["balance"]) / E8 if wallet else 0.0
        return self.config.run.initial_equity_usdt

    @property
    def share(self) -> float:
        return self.config.live.size_multiplier if self.config.live else 1.0


# ---------------------------------------------------------------------- the configuration


def _units(case: _Case) -> _Measure:
    # What the smallest order is worth, by the core and by the exchange's own texts in decimals.
    worst, instruments = Decimal(0), Instruments(case.specs)
    for at, spec in enumerate(case.specs):
        tick, step = _steps(case, spec)
        ticks = case.prices_e8[spec["symbol"]] // spec["tick_e8"]
        account = Account(instruments, E8)
        account.fill(at, spec["min_lots"], ticks, 0)
        exact = ticks * tick * spec["min_lots"] * step
        worst = max(worst, abs(Decimal(account.turnover_e8) / E8 - exact))
    words = say("doctor.said.units", count=len(case.specs), worst=f"{worst:f}")
    return _Measure(worst <= Decimal(1) / E8, words, float(worst), 1 / E8)


def _steps(case: _Case, spec: facts.Spec) -> tuple[Decimal, Decimal]:
    if case.config.live is None:
        known = facts.load()[spec["symbol"]].known
        return Decimal(known["tick"]) / E8, Decimal(known["lot"]) / E8
    filters = {one.get("filterType"): one for one in _listed(case, spec["symbol"]).get("filters", ())}
    try:
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])
    except (ArithmeticError, KeyError, TypeError):
        raise VenueError(say("rules.unreadable", reason=spec["symbol"])) from None


def _listed(case: _Case, symbol: str) -> Mapping[str, Any]:
    bodies = case.heard("info").get("symbols", ())
    return next((one for one in bodies if one.get("symbol") == symbol), {})


def _limits(case: _Case) -> _Measure:
    config = case.config
    used = {key: attrgetter(key)(config) / ceiling for key, ceiling in CEILINGS[case.mode].items()}
    tightest = max(used, key=lambda key: used[key])
    stop, grace = config.risk.protective_stop, config.risk.unprotected_s
    protected = not case.sends or (stop > 0 and grace > 0)
    words = say(
        "doctor.said.limits", count=len(used), mode=case.mode, key=tightest, value=f"{attrgetter(tightest)(config):g}",
        ceiling=f"{CEILINGS[case.mode][tightest]:g}", stop=f"{stop:.1%}", grace=f"{grace:g}",
    )  # fmt: skip
    return _Measure(used[tightest] <= 1 and protected, words, used[tightest], 1.0)


def _sizes(case: _Case) -> _Measure:
    # What the strategy may ask for at most, against what the exchange takes at least.
    config, risk = case.config, case.config.risk
    cap = case.capital * risk.max_symbol_share * risk.strategy_leverage
    order = min(risk.max_order_notional_usdt, case.capital * config.run.leverage * risk.max_order_equity_share)
    own = config.strategy.quoter.order_notional_usdt if config.strategy.quoter else cap
    most = min(own * case.share, cap, order)
    least = {one["symbol"]: facts.minimum_order_usdt(one, case.prices_e8[one["symbol"]]) for one in case.specs}
    symbol = max(least, key=lambda name: least[name])
    words = say("doctor.said.sizes", most=f"{most:,.2f}", symbol=symbol, least=f"{least[symbol]:,.2f}")
    return _Measure(most >= least[symbol], words, most, least[symbol])


def _liquidation(case: _Case) -> _Measure:
    distance = min(liquidation_distance(case.config, case.specs, case.prices_e8, case.capital, s) for s in (1, -1))
    words = say(
        "doctor.said.liquidation", distance=f"{distance:.1%}", leverage=case.config.run.leverage,
        margin=case.config.run.margin,
    )  # fmt: skip
    return _Measure(distance > LIQUIDATION_DISTANCE, words, distance, LIQUIDATION_DISTANCE)


def liquidation_distance(
    config: Config, specs: Sequence[facts.Spec], prices_e8: Mapping[str, int], capital: float, side: int
) -> float:
    """Return how far all prices may go against the largest book that the limits allow, until it is liquidated.

    Parameters
    ----------
    config : Config
    specs : sequence of dict
    prices_e8 : mapping of str to int
    capital : float
        Equity, USDT.
    side : int
        1 a book of longs, -1 of shorts.

    Returns
    -------
    float
        Share of the price; 1.0 where it is never liquidated within that.
    """
    account = Account(Instruments(specs), round(capital * E8))
    for at, spec in enumerate(specs):
        price_e8 = prices_e8[spec["symbol"]]
        if config.run.margin == "isolated":
            account.set(at, int(Setting.ISOLATED), 1)
        account.mark(at, price_e8)
        lots = _largest_lots(config, specs, at, price_e8, capital)
        if lots:
            account.fill(at, side * lots, price_e8 // spec["tick_e8"], 0)
    low, high = 0.0, 0.99  # of a price of nothing there is no maintenance margin
    if not account.gross_e8 or not _is_liquidated(account, specs, prices_e8, side * high):
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_liquidated(account, specs, prices_e8, side * middle) else (middle, high)
    return low


def _largest_lots(config: Config, specs: Sequence[facts.Spec], at: int, price_e8: int, capital: float) -> int:
    # R5 and R6, and R8: what the account's brackets carry at this leverage.
    risk, spec = config.risk, specs[at]
    share = min(risk.max_symbol_share * risk.strategy_leverage, risk.max_gross / len(specs), risk.max_net / len(specs))
    carried = max_notional(Instruments(specs), at, spec["leverage"]) / E8 * risk.bracket_share
    return int(min(capital * share, carried) * E8 * E8 // (price_e8 * spec["lot_e8"]))


def _is_liquidated(account: Account, specs: Sequence[facts.Spec], prices_e8: Mapping[str, int], down: float) -> bool:
    for at, spec in enumerate(specs):
        account.mark(at, max(1, round(prices_e8[spec["symbol"]] * (1 - down))))
    return account.margin_ratio() >= E8


def _cost_model(case: _Case) -> _Measure:
    case.heard("fees")
    assumed = facts.fee_tier(case.config.venue.fee_tier)
    paid = [(one["maker_fee_e8"], one["taker_fee_e8"]) for one in case.specs]
    worst = max(real - model for pair in paid for real, model in zip(pair, assumed, strict=True)) / 1e4
    maker, taker = (max(pair[k] for pair in paid) / 1e4 for k in (0, 1))
    words = say(
        "doctor.said.cost_model", maker=f"{maker:g}", taker=f"{taker:g}", tier=case.config.venue.fee_tier,
        model_maker=f"{assumed[0] / 1e4:g}", model_taker=f"{assumed[1] / 1e4:g}",
    )  # fmt: skip
    return _Measure(worst <= 0, words, worst, 0.0)


def _not_built(case: _Case) -> _Measure:  # noqa: ARG001
    raise _AsideError(Verdict.NOT_BUILT, "not.built")


# ---------------------------------------------------------------------- the evidence of a backtest


def _look_ahead(case: _Case) -> _Measure:
    # The replay feeds row after row and compares each request with the one of the run: none needed a later row.
    case.evidence()
    assert case.run is not None
    verdict = verify_replay(case.run, lambda *_: None)
    count = verdict["orders_compared"]
    words = say("doctor.said.look_ahead", count=count, difference=verdict["first_difference"] or "-")
    return _Measure(verdict["ok"], words, float(count))


def _data_quality(case: _Case) -> _Measure:
    summary = case.evidence()
    counts = list(summary.get("quality", {}).values())
    judged = sum(one["judged"] for one in counts)
    if not judged:
        raise _AsideError(Verdict.NOT_CHECKED, "not.no_quality")
    suspect = sum(count for one in counts for name, count in one.items() if name not in ("judged", "discarded"))
    share = suspect / judged
    words = say(
        "doctor.said.data_quality", suspect=f"{suspect:,}", judged=f"{judged:,}", share=f"{share:.3%}",
        warnings=len(summary.get("warnings", ())),
    )  # fmt: skip
    return _Measure(share <= ANOMALIES, words, share, ANOMALIES)


def _robustness(case: _Case) -> _Measure:
    summary, most = case.evidence(), case.config.risk.max_drawdown
    sharpe, drawdown = summary.get("sharpe"), summary["max_drawdown"]
    good = sharpe is not None and sharpe > 0 and drawdown < most and summary["fills"] and not summary["liquidations"]
    words = say(
        "doctor.said.robustness", sharpe="-" if sharpe is None else f"{sharpe:.2f}", drawdown=f"{drawdown:.2%}",
        most=f"{most:.0%}", fills=summary["fills"], liquidations=summary["liquidations"],
    )  # fmt: skip
    return _Measure(bool(good), words, sharpe, 0.0)


# ---------------------------------------------------------------------- the program


def _latency(case: _Case) -> _Measure:  # noqa: ARG001
    with bench.undisturbed():
        found = bench.wire_to_order(bench.read_sample(), REPLAYS)
    p99, limit = found["p99_ns"] / 1e6, bench.ORDER_PATH_NS / 1e6
    words = say("doctor.said.latency", p99=f"{p99:.3f}", limit=f"{limit:g}", count=found["count"])
    return _Measure(p99 < limit, words, p99, limit)


def _kill_switch(case: _Case) -> _Measure:
    found = drill(None if case.config.live is None else case.disk_folder())
    flat = found.flat_ns
    good = flat is not None and flat <= KILL_NS and not found.opened and found.is_latched
    words = say(
        "doctor.said.kill_switch", orders=found.orders, flat="-" if flat is None else f"{flat / 1e6:.0f}",
        opened=found.opened, latch=say("doctor.held" if found.is_latched else "doctor.not_held"),
    )  # fmt: skip
    return _Measure(good, words, None if flat is None else flat / 1e9, KILL_NS / 1e9)


# ---------------------------------------------------------------------- the exchange


def _connectivity(case: _Case) -> _Measure:
    ping, streams = case.heard("ping"), case.heard("streams")
    socket = f"{case.heard('socket'):.1f} ms" if case.sends else "-"
    count = len(Subscription(case.config.run.symbols).streams())
    words = say("doctor.said.connectivity", ping=f"{ping:.1f}", count=count, seconds=f"{streams:.1f}", socket=socket)
    return _Measure(True, words, ping)


def _tls(case: _Case) -> _Measure:
    days = case.heard("tls")
    if case.config.live is not None and case.config.live.profile == "loopback":
        raise _AsideError(Verdict.NOT_APPLICABLE, "not.loopback")
    host = min(days, key=lambda name: days[name])
    words = say("doctor.said.tls", count=len(days), host=host, days=f"{days[host]:.0f}")
    return _Measure(days[host] > CERTIFICATE_DAYS, words, days[host], CERTIFICATE_DAYS)


def _clock(case: _Case) -> _Measure:
    offset = case.heard("offset")
    error_ms, limit_ms = offset.error_ns / 1e6, UNSAFE_NS / 1e6
    words = say("doctor.said.clock", offset=f"{offset.ns / 1e6:+.1f}", error=f"{error_ms:.1f}", limit=f"{limit_ms:g}")
    return _Measure(offset.error_ns <= UNSAFE_NS, words, error_ms, limit_ms)


def _key_rights(case: _Case) -> _Measure:
    if case.sends and isinstance(case.told["key"], Exception):
        raise case.told["key"]
    wallets = case.heard("balance")  # signed: the exchange knows the key and accepts its signature
    fingerprint = case.told["key"].fingerprint[:8]
    body = case.heard("rights")
    if body is None:
        words = say("doctor.said.key_unjudged", key=fingerprint, wallets=len(wallets))
        return _Measure(case.mode != "live", words)
    verdict = judge(body)
    said = "; ".join((*verdict.faults, *verdict.warnings))
    words = say("doctor.said.key", key=fingerprint, said=said or say("doctor.rights_good"))
    return _Measure(not verdict.faults, words, float(len(verdict.faults)), 0.0)


def _account_mode(case: _Case) -> _Measure:
    wanted = {"cross": "CROSSED", "isolated": "ISOLATED"}[case.config.run.margin]
    margins = {one.get("symbol"): one.get("marginType") for one in case.heard("margins")}
    others = sum(margins.get(symbol, wanted) != wanted for symbol in case.config.run.symbols)
    hedge = case.heard("dual").get("dualSidePosition") is not False
    multi = case.heard("multi").get("multiAssetsMargin") is not False
    words = say(
        "doctor.said.account_mode", hedge=say("doctor.on" if hedge else "doctor.off"),
        multi=say("doctor.on" if multi else "doctor.off"), margin=wanted, others=others,
    )  # fmt: skip
    return _Measure(not hedge and not multi and not others, words, float(hedge + multi + others), 0.0)


def _symbols(case: _Case) -> _Measure:
    found = {symbol: _listed(case, symbol).get("status", "-") for symbol in case.config.run.symbols}
    halted = {symbol: status for symbol, status in found.items() if status != "TRADING"}
    named = ", ".join(f"{symbol} {status}" for symbol, status in halted.items())
    words = say("doctor.said.symbols", trading=len(found) - len(halted), count=len(found), others=named or "-")
    return _Measure(not halted, words, float(len(halted)), 0.0)


def _wallet(case: _Case) -> _Measure:
    case.heard("balance")
    return _Measure(case.capital > 0, say("doctor.said.wallet", usdt=f"{case.capital:,.2f}"), case.capital, 0.0)


# ---------------------------------------------------------------------- the machine


def _state(case: _Case) -> _Measure:
    path = case.state_folder()
    found = machine.state(path)
    words = say("doctor.said.state", path=path, holder=found.holder or "-", killed=found.killed or "-")
    return _Measure(not found.holder and not found.killed, words)


def _disk(case: _Case) -> _Measure:
    found = machine.disk(case.disk_folder())
    words = say(
        "doctor.said.disk", free=f"{found.free_bytes / GIB:.1f}", least=f"{FREE_BYTES / GIB:g}",
        sync=f"{found.sync_ms:.1f}", most=f"{SYNC_MS:g}",
    )  # fmt: skip
    return _Measure(found.free_bytes >= FREE_BYTES and found.sync_ms <= SYNC_MS, words, found.sync_ms, SYNC_MS)


def _database(case: _Case) -> _Measure:
    ms = machine.database_ms(case.disk_folder())
    return _Measure(ms <= DATABASE_MS, say("doctor.said.database", ms=f"{ms:.1f}"), ms, DATABASE_MS)


def _memory(case: _Case) -> _Measure:  # noqa: ARG001
    used, available = machine.memory()
    words = say("doctor.said.memory", used=f"{used / 1e6:,.0f}", available=f"{available / 1e6:,.0f}")
    return _Measure(used < MEMORY_BYTES and used + available >= MEMORY_BYTES, words, used / 1e6, MEMORY_BYTES / 1e6)


def _cpu(case: _Case) -> _Measure:  # noqa: ARG001
    share = machine.busy_share(CPU_S)
    return _Measure(share < CPU_SHARE, say("doctor.said.cpu", share=f"{share:.0%}"), share, CPU_SHARE)


def _files(case: _Case) -> _Measure:  # noqa: ARG001
    is_open, most = machine.files()
    words = say("doctor.said.files", most=most, open=is_open, more=FILES)
    return _Measure(most >= is_open + FILES, words, float(most), float(is_open + FILES))


def _proxies(case: _Case) -> _Measure:
    named = proxies()
    words = say("doctor.said.proxies", names=", ".join(named) or "-")
    return _Measure(not named or case.mode != "live", words, float(len(named)), 0.0)


_CHECKS: Mapping[str, Callable[[_Case], _Measure]] = {
    "units": _units,
    "look_ahead": _look_ahead,
    "limits": _limits,
    "sizes": _sizes,
    "liquidation": _liquidation,
    "cost_model": _cost_model,
    "slippage": _not_built,
    "data_quality": _data_quality,
    "robustness": _robustness,
    "overfitting": _not_built,
    "latency": _latency,
    "kill_switch": _kill_switch,
    "connectivity": _connectivity,
    "tls": _tls,
    "clock": _clock,
    "symbols": _symbols,
    "key": _key_rights,
    "account_mode": _account_mode,
    "wallet": _wallet,
    "state": _state,
    "disk": _disk,
    "database": _database,
    "memory": _memory,
    "cpu": _cpu,
    "files": _files,
    "proxies": _proxies,
}
NAMES = tuple(_CHECKS)
"""The items, in the order in which they are looked at."""
