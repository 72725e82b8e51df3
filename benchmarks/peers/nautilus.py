"""nautilus_trader put together for the contest: its backtest on bars, and its way from a message to a signed order.

Knows which of its parts a delta passes before an order leaves, and leaves none of them out that its live node
has, but for queues and tasks. Refuses to know what it is compared with. It is imported only where the peer is.
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil, floor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from nautilus_trader.adapters.binance.common.schemas.market import BinanceDataMsgWrapper, BinanceOrderBookMsg
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.core.nautilus_pyo3 import hmac_signature
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.client import MarketDataClient
from nautilus_trader.data.engine import DataEngine
from nautilus_trader.data.messages import SubscribeOrderBook
from nautilus_trader.execution.client import ExecutionClient
from nautilus_trader.execution.engine import ExecutionEngine
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType, OrderBookDeltas
from nautilus_trader.model.enums import AccountType, BookType, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.events import AccountState
from nautilus_trader.model.identifiers import AccountId, ClientId, TraderId, Venue
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.engine import RiskEngine
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from benchmarks.peers.market import E8, perpetual, steps
from benchmarks.recording import Stream, stream

if TYPE_CHECKING:
    from benchmarks.peers.candles import Market

BINANCE = Venue("BINANCE")


class Cross(Strategy):
    """A moving-average cross with its own indicators.

    Parameters
    ----------
    bar_type : BarType
    fast, slow : int
    quantity : Quantity
    """

    def __init__(self, bar_type: BarType, fast: int, slow: int, quantity: Quantity):
        super().__init__(StrategyConfig(strategy_id="CROSS-001"))
        self.bar_type, self.quantity = bar_type, quantity
        self.fast, self.slow = SimpleMovingAverage(fast), SimpleMovingAverage(slow)
        self.side = 0
        self.held = False

    def on_start(self) -> None:
        self.register_indicator_for_bars(self.bar_type, self.fast)
        self.register_indicator_for_bars(self.bar_type, self.slow)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002 - the indicators have it already
        if not self.slow.initialized:
            return
        side = 1 if self.fast.value > self.slow.value else -1
        if self.side and side != self.side:
            quantity = self.quantity
            if self.held:
                quantity = Quantity(2 * quantity.as_double(), quantity.precision)
            order_side = OrderSide.BUY if side > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(self.bar_type.instrument_id, order_side, quantity))
            self.held = True
        self.side = side


def bar_engine(market: Market, fast: int, slow: int) -> BacktestEngine:
    """Return a backtest of the cross on bars that is ready to run."""
    from core_ext.types import Kind

    config = market.history.plan.config
    logging = LoggingConfig(bypass_logging=True)
    engine = BacktestEngine(BacktestEngineConfig(trader_id="PEER-001", logging=logging, run_analysis=False))
    engine.add_venue(
        BINANCE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(config.run.initial_equity_usdt, USDT)],
        base_currency=USDT,
        default_leverage=Decimal(10),
    )
    instrument = perpetual(stream())
    engine.add_instrument(instrument)
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    words = (market.column(Kind.CANDLE, word)[:, 0].tolist() for word in "abcd")
    engine.add_data(
        [
            Bar(bar_type, *(Price(price, instrument.price_precision) for price in prices), Quantity(1000, 3), ts, ts)
            for *prices, ts in zip(*words, market.stamps.tolist(), strict=True)
        ]
    )
    lot = market.history.plan.specs[0]["lot_e8"] / E8
    engine.add_strategy(Cross(bar_type, fast, slow, Quantity(market.lots[0] * lot, instrument.size_precision)))
    return engine


def wallet(engine: BacktestEngine) -> float:
    """Return the wallet after a run, USDT."""
    return engine.portfolio.account(BINANCE).balance_total(USDT).as_double()


class Node:
    """Its data engine, cache, strategy, risk engine, execution engine and an execution client that signs.

    Parameters
    ----------
    market : Stream
    key : str
        Secret of the account.
    requote_ns : int
    order_usdt, budget_usdt, equity_usdt : float
    """

    def __init__(
        self,
        market: Stream,
        key: str,
        requote_ns: int,
        order_usdt: float,
        budget_usdt: float,
        equity_usdt: float,
    ):
        self.instrument = perpetual(market)
        trader, self.clock = TraderId("PEER-001"), TestClock()
        self.bus = MessageBus(trader, self.clock)
        self.cache = Cache(database=None)
        self.cache.add_instrument(self.instrument)
        portfolio = Portfolio(self.bus, self.cache, self.clock)
        self.data = DataEngine(self.bus, self.cache, self.clock)
        self.execution = ExecutionEngine(self.bus, self.cache, self.clock)
        self.risk = RiskEngine(portfolio, self.bus, self.cache, self.clock)
        self.client = Signing(self.bus, self.cache, self.clock, key)
        self.execution.register_client(self.client)
        self.data.register_client(Feed(ClientId("BINANCE"), self.bus, self.cache, self.clock, BINANCE))
        self.cache.add_account(margin_account(equity_usdt))
        self.quoter = MicropriceQuoter(self.instrument, steps(market), requote_ns, order_usdt, budget_usdt)
        self.quoter.register(trader, portfolio, self.bus, self.cache, self.clock)
        for part in (self.data, self.risk, self.execution, self.quoter):
            part.start()
        self.wrapper = msgspec.json.Decoder(BinanceDataMsgWrapper)
        self.message = msgspec.json.Decoder(BinanceOrderBookMsg)

    def load(self, snapshot: OrderBookDeltas) -> None:
        """Start the book."""
        self.data.process(snapshot)
        self.client.take()

    def on_message(self, raw: bytes, now: int) -> list[str]:
        """Take a depth message in; return the signed orders that it leads to."""
        self.clock.set_time(now)
        if "@depth@" in (self.wrapper.decode(raw).stream or ""):
            self.data.process(self.message.decode(raw).data.parse_to_order_book_deltas(self.instrument.id, now))
        return self.client.take()

    def on_rejects(self) -> None:
        """Take the venue's refusal of everything that is open."""
        self.client.reject_all()


def margin_account(equity_usdt: float) -> Any:
    """Return an account of its own kind with so much in it."""
    from nautilus_trader.accounting.factory import AccountFactory

    money = Money(equity_usdt, USDT)
    balance = AccountBalance(money, Money(0, USDT), money)
    state = AccountState(AccountId("BINANCE-001"), AccountType.MARGIN, None, True, [balance], [], {}, UUID4(), 0, 0)
    return AccountFactory.create(state)


class Feed(MarketDataClient):
    """A data client of which nothing is asked: messages are handed over by the contest."""

    def subscribe_order_book_deltas(self, command: SubscribeOrderBook) -> None:
        """Do nothing: the deltas come anyway."""


class Signing(ExecutionClient):
    """An execution client that signs what its Binance adapter would send, by the same function.

    Parameters
    ----------
    bus, cache, clock
    key : str
    """

    def __init__(self, bus: MessageBus, cache: Cache, clock: TestClock, key: str):
        super().__init__(ClientId("BINANCE"), BINANCE, OmsType.NETTING, AccountType.MARGIN, None, bus, cache, clock)
        self._set_account_id(AccountId("BINANCE-001"))
        self._key, self._time = key, clock
        self._signed: list[str] = []
        self._open: list[Any] = []

    def submit_order(self, command: Any) -> None:
        order = command.order
        self.generate_order_submitted(
            order.strategy_id, order.instrument_id, order.client_order_id, self._time.timestamp_ns()
        )
        query = urlencode(
            {
                "symbol": "BTCUSDT",
                "side": "BUY" if order.side == OrderSide.BUY else "SELL",
                "type": "LIMIT",
                "timeInForce": "GTX" if order.is_post_only else "GTC",
                "quantity": str(order.quantity),
                "price": str(order.price),
                "newClientOrderId": order.client_order_id.value,
                "timestamp": self._time.timestamp_ms(),
            }
        )
        self._signed.append(f"{query}&signature={hmac_signature(self._key, query)}")
        self._open.append(order)

    def take(self) -> list[str]:
        """Return what was signed since the last time."""
        signed, self._signed = self._signed, []
        return signed

    def reject_all(self) -> None:
        """Refuse what is open."""
        for order in self._open:
            self.generate_order_rejected(
                order.strategy_id, order.instrument_id, order.client_order_id, "refused", self._time.timestamp_ns()
            )
        self._open.clear()


class MicropriceQuoter(Strategy):
    """The same quotes as `core_ext.quoter`, from its managed book.

    Parameters
    ----------
    instrument : CryptoPerpetual
    steps : tuple of float
        Tick and lot.
    requote_ns : int
    order_usdt, budget_usdt : float
    """

    def __init__(
        self,
        instrument: Any,
        steps: tuple[float, float],
        requote_ns: int,
        order_usdt: float,
        budget_usdt: float,
    ):
        super().__init__(StrategyConfig(strategy_id="QUOTER-001"))
        self.instrument, self.steps, self.requote_ns = instrument, steps, requote_ns
        self.order_usdt, self.budget_usdt = order_usdt, budget_usdt
        self.quoted = {OrderSide.BUY: 0, OrderSide.SELL: 0}
        self.orders: dict[OrderSide, Any] = {}

    def on_start(self) -> None:
        self.subscribe_order_book_deltas(self.instrument.id, BookType.L2_MBP, client_id=ClientId("BINANCE"))

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        now, tick = deltas.ts_init, self.steps[0]
        book = self.cache.order_book(self.instrument.id)
        bid, ask = (float(price) / tick for price in (book.best_bid_price(), book.best_ask_price()))
        bid_size, ask_size = float(book.best_bid_size()), float(book.best_ask_size())
        fair = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        self.quote(OrderSide.BUY, min(round(bid), floor(fair + 1e-6)), now)
        self.quote(OrderSide.SELL, max(round(ask), ceil(fair - 1e-6)), now)

    def quote(self, side: OrderSide, ticks: int, now: int) -> None:
        live = self.orders.get(side)
        if now - self.quoted[side] < self.requote_ns or (live is not None and not live.is_closed):
            return
        tick, lot = self.steps
        value = ticks * tick * lot
        held = round(float(self.portfolio.net_position(self.instrument.id)) / lot)
        lots = floor(self.order_usdt / value)
        if lots > floor(self.budget_usdt / value) - (held if side == OrderSide.BUY else -held):
            return
        self.quoted[side] = now
        order = self.order_factory.limit(
            self.instrument.id,
            side,
            self.instrument.make_qty(lots * lot),
            self.instrument.make_price(ticks * tick),
            time_in_force=TimeInForce.GTC,
            post_only=True,
        )
        self.orders[side] = order
        self.submit_order(order)
