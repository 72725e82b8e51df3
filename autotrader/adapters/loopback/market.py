"""The exchange's markets as a client sees them: what is published about them and what is answered.

Knows every market payload of REST and of the WebSockets, when each stream is due, and how long what is kept. Refuses
to know orders, who is connected, how a request arrives, and what the time is: it is told.

Use: before the venue is fed, or asked anything, at a stamp, ``advance`` to it; then hand what the venue was fed or has
said to ``on_rows``. So a window ends with the book of its end. A stream whose window ends at a stamp publishes at that
stamp what came before it.

Kept a symbol: 5000 trades and aggregate trades, 7 days of minutes and 1500 candles of each longer interval, 1000
settled funding rates, 500 samples of the statistics. Older ones are gone.

Simplifications, against the exchange: the estimated settle price is the plain mean of the index over the last hour;
the premium is mark over index, less one; top traders are all accounts; the share of accounts or positions on a side
is kept between 0.0001 and 0.9999, so that every ratio exists; a market whose source tells no index has its mark for
it. When time jumps by more than a minute at once, every stream publishes what it has and the time between leaves no
samples.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from autotrader.adapters.loopback.candles import DAY, HOUR, INTERVALS, MINUTE, Candles, Ring, Tape, span
from autotrader.adapters.loopback.depth import ROW, BookStreams
from autotrader.adapters.loopback.text import decimal, e8, plain, quantity, ratio
from autotrader.instruments import Bracket
from core_ext.exchange import Exchange
from core_ext.types import E8, Asset, Flag, Kind

__all__ = ["DEPTH_LIMITS", "INTERVALS", "PERIODS", "Hub", "Market", "SymbolFacts"]

DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
"""Of the statistics."""
NEVER_MS = 4_133_404_800_000
"""Delivery date of what is never delivered."""
JUMP_MS = MINUTE
MOST_FUNDING = 1000
MOST_SAMPLES = 500
SAMPLE_MS = 5 * MINUTE
MARKS = 60
"""Samples of the mark, one a second, that its moving average holds."""
INDEXES = 3600
INTEREST_E8 = 10_000
USDT_BUFFER_E8 = 10_000
ASSET_FIELDS = (
    "index", "bidBuffer", "askBuffer", "bidRate", "askRate",
    "autoExchangeBidBuffer", "autoExchangeAskBuffer", "autoExchangeBidRate", "autoExchangeAskRate",
)  # fmt: skip
MS = 1_000_000
"""Nanoseconds in one."""
Row = tuple[int, ...]
"""Kind, flags, symbol, lag, stamp and the words a to f of a row."""
SELL = int(Flag.F_SELL)
DEPTH, LEVEL, TOUCH, TRADE = int(Kind.DEPTH), int(Kind.LEVEL), int(Kind.TOUCH), int(Kind.TRADE)
MARK, ASSET_INDEX, FUNDING = int(Kind.MARK), int(Kind.ASSET_INDEX), int(Kind.FUNDING)


class Hub(Protocol):
    """Who listens to which stream."""

    def wants(self, stream: str) -> bool:
        """Return whether anybody listens."""

    def publish(self, stream: str, payload: bytes) -> None:
        """Send a payload to all who listen."""


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """What the exchange knows about a symbol besides its market.

    Attributes
    ----------
    symbol, pair, base, quote : str
        Names.
    price_decimals, lot_decimals : int
        Decimals that prices and quantities are written with, at most 8.
    tick_e8, lot_e8 : int
        Price of a tick and quantity of a lot, 1e-8.
    funding_hours : int
        Hours between funding stamps.
    brackets : tuple of (floor_e8, cap_e8, mmr_e8, cum_e8, max_leverage)
        Leverage brackets from the smallest notional up.
    onboard_ms : int
        When it was listed, ms.
    """

    symbol: str
    pair: str
    base: str
    quote: str
    price_decimals: int
    lot_decimals: int
    tick_e8: int
    lot_e8: int
    funding_hours: int
    brackets: tuple[Bracket, ...]
    onboard_ms: int


class _Mean:
    # The mean of the last samples.
    __slots__ = ("_samples", "_sum")

    def __init__(self, most: int) -> None:
        self._samples: deque[int] = deque(maxlen=most)
        self._sum = 0

    def add(self, value: int) -> None:
        if len(self._samples) == self._samples.maxlen:
            self._sum -= self._samples[0]
        self._samples.append(value)
        self._sum += value

    def value(self, otherwise: int) -> int:
        return self._sum // len(self._samples) if self._samples else otherwise


class _Price:
    # Mark, index and funding of one symbol.
    def __init__(self) -> None:
        self.mark = 0  # 1e-8, as the venue has it; 0: none yet
        self.index = 0  # as the source tells it; 0: it tells none
        self.rate = 0
        self.funding_ms = 0
        self.at_ms = 0
        self.marks, self.indexes = _Mean(MARKS), _Mean(INDEXES)
        self.candles = {"mark": Candles(), "index": Candles(), "premium": Candles()}

    @property
    def index_or_mark(self) -> int:
        return self.index or self.mark

    def sample(self, now_ms: int) -> None:
        index = self.index_or_mark
        self.marks.add(self.mark)
        self.indexes.add(index)
        self.candles["mark"].sample(now_ms, self.mark)
        self.candles["index"].sample(now_ms, index)
        self.candles["premium"].sample(now_ms, (self.mark - index) * E8 // index)


@dataclass(slots=True)
class _Forced:
    # A forced order: the largest of its second is published.
    lots: int
    sells: bool
    price_e8: int
    average_e8: int
    at_ms: int


class Market:
    """All markets of the exchange.

    Parameters
    ----------
    exchange : Exchange
        The venue; read, never changed.
    hub : Hub
        Who listens.
    facts : sequence of SymbolFacts
        By index, as the venue's instruments.
    """

    def __init__(self, exchange: Exchange, hub: Hub, facts: Sequence[SymbolFacts]) -> None:
        self._exchange = exchange
        self._hub = hub
        self._facts = list(facts)
        self._names = [one.symbol.lower() for one in facts]
        self._symbols = range(len(facts))
        self._books = [BookStreams(one, exchange.books[i], hub) for i, one in enumerate(facts)]
        self._tapes = [Tape(one, hub) for one in facts]
        self._prices = [_Price() for _ in facts]
        self._funding = [Ring(3, MOST_FUNDING) for _ in facts]  # ms, rate, mark
        # ms, open interest, shares of long accounts and of long lots, mark, index
        self._samples = [Ring(6, MOST_SAMPLES) for _ in facts]
        self._forced: dict[int, _Forced] = {}
        self._assets: dict[int, int] = {int(Asset.USDT): E8}
        self._shown = [0] * len(facts)  # trades that the arrays of tickers have shown
        self._told = {
            TOUCH: self._on_touch,
            TRADE: self._on_trade,
            MARK: self._on_mark,
            FUNDING: self._on_funding,
            ASSET_INDEX: self._on_asset_index,
        }
        self._now_ms = 0
        self._tasks = self._table()
        self._dues = [0] * len(self._tasks)
        self._due = 0

    @property
    def now_ms(self) -> int:
        """Exchange time as last told, ms; it never goes back."""
        return self._now_ms

    # ------------------------------------------------------------------ what is told

    def on_array(self, rows: NDArray[np.void]) -> None:
        """Take what the venue has just been fed, or has just said to everybody.

        Parameters
        ----------
        rows : array of EVENT_DTYPE
            Whole runs; kinds that are not of the market are passed over, and so are snapshots and candles.
        """
        raw, told = rows.tobytes(), self._told
        at, end, size = 0, len(raw), ROW.size
        while at < end:
            row = ROW.unpack_from(raw, at)
            at += size
            if row[0] == LEVEL:  # of a snapshot
                continue
            if row[4] >= self._due:
                self.advance(row[4])
            if row[0] == DEPTH:
                at = self._on_diff(row, raw, at)
            elif row[0] in told:
                told[row[0]](row)

    def on_forced(self, symbol: int, side: int, lots: int, price_e8: int, average_e8: int, now_ms: int) -> None:
        """Take a forced order that was executed.

        Parameters
        ----------
        symbol, side : int
            Index, and side of the order: 0 buy, 1 sell.
        lots : int
            Executed.
        price_e8, average_e8 : int
            Its price and the average of its fills.
        now_ms : int
            When, ms.
        """
        known = self._forced.get(symbol)
        if known is None or known.lots < lots:
            self._forced[symbol] = _Forced(lots, side == 1, price_e8, average_e8, now_ms)

    def on_funding(self, symbol: int, rate_e8: int, mark_e8: int, stamp_ns: int) -> None:
        """Take a funding settlement: rate and mark at 1e-8, and its stamp, ns."""
        self._funding[symbol].append((stamp_ns // MS, rate_e8, mark_e8))

    def on_contract(self, symbol: int, status: str = "TRADING", brackets: Sequence[Bracket] | None = None) -> None:
        """Take a change of a contract, and publish it.

        Parameters
        ----------
        symbol : int
            Index.
        status : str
            As the exchange names it.
        brackets : sequence of Bracket, optional
            The new brackets, if these have changed.
        """
        if brackets is not None:
            self._facts[symbol] = replace(self._facts[symbol], brackets=tuple(brackets))
        if not self._hub.wants("!contractInfo"):
            return
        facts = self._facts[symbol]
        message: dict[str, Any] = {
            "e": "contractInfo", "E": self._now_ms, "s": facts.symbol, "ps": facts.pair, "ct": "PERPETUAL",
            "dt": NEVER_MS, "ot": facts.onboard_ms, "cs": status,
        }  # fmt: skip
        if brackets is not None:
            message["bks"] = _brackets(brackets)
        self._hub.publish("!contractInfo", orjson.dumps(message | {"st": 1}))

    # ------------------------------------------------------------------ time

    def advance(self, now_ns: int) -> None:
        """Let exchange time pass: publish everything that is due up to a stamp, in the order of its own stamps.

        Parameters
        ----------
        now_ns : int
            Exchange time, ns; one before what was told already changes nothing.
        """
        now_ms = now_ns // MS
        if now_ns < self._due:
            self._now_ms = max(self._now_ms, now_ms)
            return
        if self._now_ms == 0:
            self._align(now_ms)
        while now_ms >= (at_ms := min(self._dues)):
            if now_ms - at_ms > JUMP_MS:
                self._jump(now_ms)
            else:
                self._round(at_ms)
        self._now_ms = max(self._now_ms, now_ms)

    def _table(self) -> list[tuple[int, Callable[[int], None]]]:
        # Period in ms and what is due then; what is due at one stamp happens from the top down.
        return [
            (MINUTE, self._close_candles),
            (100, self._end_100),
            (250, self._end_250),
            (500, self._end_500),
            (1_000, self._second),
            (1_000, self._ticker_arrays),
            (2_000, self._tickers),
            (3_000, self._marks_3s),
            (5_000, self._touches),
            (SAMPLE_MS, self._sample),
        ]

    def _align(self, now_ms: int) -> None:
        self._now_ms = max(self._now_ms, now_ms)
        self._dues = [now_ms - now_ms % period + period for period, _ in self._tasks]
        self._due = min(self._dues) * MS

    def _round(self, at_ms: int) -> None:
        self._now_ms = max(self._now_ms, at_ms)
        for k, (period, task) in enumerate(self._tasks):
            if self._dues[k] == at_ms:
                self._dues[k] += period
                task(at_ms)
        self._due = min(self._dues) * MS

    def _jump(self, now_ms: int) -> None:
        # Each task once at its own due; the empty windows until now are passed over.
        due = [(at_ms, k) for k, at_ms in enumerate(self._dues) if at_ms <= now_ms]
        for at_ms, k in sorted(due):
            self._now_ms = max(self._now_ms, at_ms)
            self._tasks[k][1](at_ms)
        self._close_candles(now_ms - now_ms % MINUTE)
        self._align(now_ms)

    def _close_candles(self, now_ms: int) -> None:
        for tape in self._tapes:
            tape.close(now_ms)
        for price in self._prices:
            for candles in price.candles.values():
                candles.close(now_ms)

    def _end_100(self, now_ms: int) -> None:
        for book in self._books:
            book.flush(100, now_ms)
        for tape in self._tapes:
            tape.flush(now_ms)

    def _end_250(self, now_ms: int) -> None:
        for book in self._books:
            book.flush(250, now_ms)
        for tape in self._tapes:
            tape.push(now_ms)

    def _end_500(self, now_ms: int) -> None:
        for book in self._books:
            book.flush(500, now_ms)

    def _second(self, now_ms: int) -> None:
        for symbol in self._symbols:
            price = self._marked(symbol)
            if price.mark:
                price.sample(now_ms)
        self._publish_marks("@1s", now_ms)
        self._publish_forced(now_ms)
        self._publish_assets(now_ms)

    def _marks_3s(self, now_ms: int) -> None:
        self._publish_marks("", now_ms)

    def _touches(self, now_ms: int) -> None:
        if self._hub.wants("!bookTicker"):
            for book in self._books:
                self._hub.publish("!bookTicker", book.ticker(now_ms))

    # ------------------------------------------------------------------ streams

    def _on_diff(self, row: Row, raw: bytes, at: int) -> int:
        # The levels of the run stand from a byte on; where the next run does.
        end = at + row[8] * ROW.size
        self._books[row[2]].on_diff(row[4] // MS, row[5], row[6], row[7], raw[at:end])
        return end

    def _on_touch(self, row: Row) -> None:
        _, _, symbol, _, stamp, last, bid, bid_lots, ask, ask_lots, _ = row
        self._books[symbol].on_touch((last, bid, bid_lots, ask, ask_lots, stamp // MS))

    def _on_trade(self, row: Row) -> None:
        _, flags, symbol, _, stamp, number, ticks, lots, first, last, other = row
        at_ms, trade = stamp // MS, (number, ticks, lots, first, last, other)
        self._tapes[symbol].on_trade(at_ms, trade, flags & SELL != 0, max(at_ms, self._now_ms))

    def _on_mark(self, row: Row) -> None:
        _, _, symbol, _, stamp, mark, index, rate, due, *_ = row
        price = self._prices[symbol]
        price.mark, price.index, price.rate = mark, index, rate
        price.funding_ms, price.at_ms = due // MS, stamp // MS

    def _on_funding(self, row: Row) -> None:
        _, _, symbol, _, stamp, rate, mark, *_ = row
        self.on_funding(symbol, rate, mark, stamp)

    def _on_asset_index(self, row: Row) -> None:
        self._assets[row[5]] = row[6]

    def _marked(self, symbol: int) -> _Price:
        # The mark that accounts are judged by: the venue may make its own, or take it from a file.
        price = self._prices[symbol]
        price.mark = self._exchange.fund.position(symbol)["mark_e8"] or price.mark
        return price

    def _publish_marks(self, suffix: str, now_ms: int) -> None:
        marked = [symbol for symbol in self._symbols if self._prices[symbol].mark]
        everybody = self._hub.wants(f"!markPrice@arr{suffix}")
        messages = []
        for symbol in marked:
            stream = f"{self._names[symbol]}@markPrice{suffix}"
            wanted = self._hub.wants(stream)
            if not wanted and not everybody:
                continue
            messages.append(self._mark_message(symbol, now_ms))
            if wanted:
                self._hub.publish(stream, orjson.dumps(messages[-1]))
        if everybody and messages:
            self._hub.publish(f"!markPrice@arr{suffix}", orjson.dumps(messages))

    def _mark_message(self, symbol: int, now_ms: int) -> dict[str, Any]:
        price = self._prices[symbol]
        return {
            "e": "markPriceUpdate",
            "E": now_ms,
            "s": self._facts[symbol].symbol,
            "p": e8(price.mark),
            "ap": e8(price.marks.value(price.mark)),
            "i": e8(price.index_or_mark),
            "P": e8(price.indexes.value(price.index_or_mark)),
            "r": e8(price.rate),
            "T": self._next_funding(symbol),
            "st": 1,
        }

    def _tickers(self, now_ms: int) -> None:
        for symbol, name in enumerate(self._names):
            if not self._tapes[symbol].count:
                continue
            for suffix, message in (("@ticker", _ticker), ("@miniTicker", _mini_ticker)):
                if self._hub.wants(name + suffix):
                    self._hub.publish(name + suffix, orjson.dumps(message(*self._day(symbol, now_ms))))

    def _ticker_arrays(self, now_ms: int) -> None:
        counts = [tape.count for tape in self._tapes]
        changed = [symbol for symbol in self._symbols if counts[symbol] != self._shown[symbol]]
        self._shown = counts
        for stream, message in (("!ticker@arr", _ticker), ("!miniTicker@arr", _mini_ticker)):
            if changed and self._hub.wants(stream):
                self._hub.publish(stream, orjson.dumps([message(*self._day(symbol, now_ms)) for symbol in changed]))

    def _day(self, symbol: int, now_ms: int) -> tuple[dict[str, Any], str]:
        return self._tapes[symbol].day(now_ms), self._facts[symbol].pair

    def _publish_forced(self, now_ms: int) -> None:
        forced, self._forced = self._forced, {}
        for symbol, order in forced.items():
            streams = [
                stream for stream in (f"{self._names[symbol]}@forceOrder", "!forceOrder@arr") if self._hub.wants(stream)
            ]
            if streams:
                payload = orjson.dumps(self._forced_message(symbol, order, now_ms))
                for stream in streams:
                    self._hub.publish(stream, payload)

    def _forced_message(self, symbol: int, order: _Forced, now_ms: int) -> dict[str, Any]:
        facts = self._facts[symbol]
        executed = quantity(facts, order.lots)
        body = {
            "s": facts.symbol,
            "S": "SELL" if order.sells else "BUY",
            "o": "LIMIT",
            "f": "IOC",
            "q": executed,
            "p": e8(order.price_e8, facts.price_decimals),
            "ap": e8(order.average_e8, facts.price_decimals),
            "X": "FILLED",
            "l": executed,
            "z": executed,
            "T": order.at_ms,
        }
        return {"e": "forceOrder", "E": max(now_ms, order.at_ms), "o": body, "ps": facts.pair, "st": 1}

    def _publish_assets(self, now_ms: int) -> None:
        for asset in self._assets:
            stream = f"{Asset(asset).name.lower()}usd@assetIndex"
            if self._hub.wants(stream):
                self._hub.publish(stream, orjson.dumps(self._asset_message(asset, now_ms)))
        if self._hub.wants("!assetIndex@arr"):
            messages = [self._asset_message(asset, now_ms) for asset in self._assets]
            self._hub.publish("!assetIndex@arr", orjson.dumps(messages))

    def _asset_message(self, asset: int, now_ms: int) -> dict[str, Any]:
        values = self._asset_values(asset)
        head = {"e": "assetIndexUpdate", "E": now_ms, "s": f"{Asset(asset).name}USD"}
        return head | dict(zip("ibaBAqgQG", map(e8, values), strict=True))

    def _asset_values(self, asset: int) -> tuple[int, ...]:
        # Index; buffers and rates of bid and ask; the same of the automatic exchange, whose buffers are half as wide.
        index = self._assets[asset]
        wide = self._buffer(asset)
        narrow = wide if asset == Asset.USDT else wide // 2
        return (
            index, wide, wide, index * (E8 - wide) // E8, index * (E8 + wide) // E8,
            narrow, narrow, index * (E8 - narrow) // E8, index * (E8 + narrow) // E8,
        )  # fmt: skip

    def _buffer(self, asset: int) -> int:
        if asset == Asset.USDT or not self._exchange.accounts:
            return USDT_BUFFER_E8
        return E8 - self._exchange.accounts[0].asset(asset)["ratio_e8"]

    # ------------------------------------------------------------------ requests: books and trades

    def depth(self, symbol: int, limit: int = 500) -> dict[str, Any]:
        """Return the body of ``GET /fapi/v1/depth``."""
        book = self._exchange.books[symbol]
        bids, asks = self._books[symbol].levels(limit)
        stamp = min(book.ts // MS, self._now_ms)
        return {"lastUpdateId": max(book.last_id, 0), "E": self._now_ms, "T": stamp, "bids": bids, "asks": asks}

    def rpi_depth(self, symbol: int, limit: int = 1000) -> dict[str, Any]:
        """Return the body of ``GET /fapi/v1/rpiDepth``: nobody sends RPI orders here."""
        return self.depth(symbol, limit)

    def book_ticker(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/ticker/bookTicker``."""
        return self._one_or_all(symbol, self._book_ticker)

    def trades(self, symbol: int, limit: int = 500) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/trades``."""
        return self._tapes[symbol].trades(limit)

    def historical_trades(self, symbol: int, from_id: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/historicalTrades``."""
        return self._tapes[symbol].trades(limit, from_id)

    def agg_trades(
        self,
        symbol: int,
        from_id: int | None = None,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
    ) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/aggTrades``; stamps in ms, both ends included."""
        return self._tapes[symbol].aggregates(from_id, start, end, limit)

    def ticker_24h(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/ticker/24hr``."""
        return self._one_or_all(symbol, lambda i: self._tapes[i].day(self._now_ms))

    def ticker_price(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/ticker/price`` and of its second version, which are the same."""
        return self._one_or_all(symbol, self._ticker_price)

    def klines(
        self,
        kind: str,
        symbol: int,
        interval: str,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
    ) -> list[list[Any]]:
        """Return the body of a candle request.

        Parameters
        ----------
        kind : {"klines", "continuous", "index", "mark", "premium"}
            Of what.
        symbol : int
            Index.
        interval : str
            One of ``INTERVALS``.
        start, end : int, optional
            Least and greatest open time, ms; without a start the last candles are returned.
        limit : int
            How many at most.
        """
        if kind in ("klines", "continuous"):
            tape = self._tapes[symbol]
            return [tape.kline(interval, one) for one in tape.candles.select(interval, start, end, limit)]
        candles = self._prices[symbol].candles[kind]
        return [_kline(interval, one) for one in candles.select(interval, start, end, limit)]

    def _one_or_all(self, symbol: int | None, body: Callable[[int], dict[str, Any]]) -> Any:
        return body(symbol) if symbol is not None else [body(i) for i in self._symbols]

    def _book_ticker(self, symbol: int) -> dict[str, Any]:
        facts = self._facts[symbol]
        last, bid, bid_lots, ask, ask_lots, stamp = self._books[symbol].touch(self._now_ms)
        return {
            "symbol": facts.symbol,
            "bidPrice": e8(bid * facts.tick_e8, facts.price_decimals),
            "bidQty": quantity(facts, bid_lots),
            "askPrice": e8(ask * facts.tick_e8, facts.price_decimals),
            "askQty": quantity(facts, ask_lots),
            "time": stamp,
            "lastUpdateId": last,
        }

    def _ticker_price(self, symbol: int) -> dict[str, Any]:
        # Before the first trade there is the mark.
        facts, last = self._facts[symbol], self._tapes[symbol].last
        value, at_ms = (last[0] * facts.tick_e8, last[2]) if last else (self._marked(symbol).mark, self._now_ms)
        return {"symbol": facts.symbol, "price": e8(value, facts.price_decimals), "time": at_ms}

    # ------------------------------------------------------------------ requests: mark, index, funding

    def premium_index(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/premiumIndex``."""
        return self._one_or_all(symbol, self._premium_index)

    def funding_rate(
        self, symbol: int | None = None, start: int | None = None, end: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/fundingRate``: what was settled, oldest first."""
        symbols = self._symbols if symbol is None else [symbol]
        found = sorted((row, i) for i in symbols for row in self._funding[i].select(start, end, limit))
        return [
            {
                "symbol": self._facts[i].symbol,
                "fundingRate": e8(rate),
                "fundingTime": at_ms,
                "markPrice": e8(mark),
                "rateType": "Regular",
            }
            for (at_ms, rate, mark), i in (found[-limit:] if start is None else found[:limit])
        ]

    def funding_info(self) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/fundingInfo``, of every symbol."""
        return [self._funding_info(symbol) for symbol in self._symbols]

    def constituents(self, symbol: int) -> dict[str, Any]:
        """Return the body of ``GET /fapi/v1/constituents``: one source has the whole weight."""
        facts, price = self._facts[symbol], self._marked(symbol)
        source = {
            "exchange": "binance",
            "symbol": facts.symbol,
            "price": e8(price.index_or_mark),
            "weight": e8(E8),
        }
        return {"symbol": facts.symbol, "time": price.at_ms, "constituents": [source]}

    def index_info(self) -> list[dict[str, Any]]:
        """Return the body of ``GET /fapi/v1/indexInfo``: no symbol is an index of many."""
        return []

    def asset_index(self, asset: str | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/assetIndex``: of one such as ``"BNBUSD"``, or of all that have a price."""
        bodies = {f"{Asset(one).name}USD": self._asset_body(one) for one in self._assets}
        return list(bodies.values()) if asset is None else bodies.get(asset)

    def _premium_index(self, symbol: int) -> dict[str, Any]:
        price = self._marked(symbol)
        return {
            "symbol": self._facts[symbol].symbol,
            "markPrice": e8(price.mark),
            "indexPrice": e8(price.index_or_mark),
            "estimatedSettlePrice": e8(price.indexes.value(price.index_or_mark)),
            "lastFundingRate": e8(price.rate),
            "interestRate": e8(self._perpetual(symbol, "interest_e8", INTEREST_E8)),
            "nextFundingTime": self._next_funding(symbol),
            "time": price.at_ms or self._now_ms,
        }

    def _funding_info(self, symbol: int) -> dict[str, Any]:
        # 0.75 of the lowest maintenance ratio is the cap of the exchange's main symbols.
        facts = self._facts[symbol]
        cap = self._perpetual(symbol, "cap_e8", facts.brackets[0][2] * 3 // 4 if facts.brackets else 0)
        return {
            "symbol": facts.symbol,
            "adjustedFundingRateCap": e8(cap),
            "adjustedFundingRateFloor": e8(-cap),
            "fundingIntervalHours": self._hours(symbol),
            "disclaimer": False,
            "updateTime": facts.onboard_ms,
        }

    def _hours(self, symbol: int) -> int:
        return self._perpetual(symbol, "hours", self._facts[symbol].funding_hours)

    def _perpetual(self, symbol: int, field: str, otherwise: int) -> int:
        # A synthetic market has a funding of its own.
        return int(getattr(self._exchange.perpetuals[symbol], field)) if self._exchange.synthetic else otherwise

    def _next_funding(self, symbol: int) -> int:
        told, interval = self._prices[symbol].funding_ms, self._hours(symbol) * HOUR
        return told if told > self._now_ms else self._now_ms - self._now_ms % interval + interval

    def _asset_body(self, asset: int) -> dict[str, Any]:
        head = {"symbol": f"{Asset(asset).name}USD", "time": self._now_ms}
        return head | dict(zip(ASSET_FIELDS, map(e8, self._asset_values(asset)), strict=True))

    # ------------------------------------------------------------------ requests: statistics

    def open_interest(self, symbol: int) -> dict[str, Any]:
        """Return the body of ``GET /fapi/v1/openInterest``: the longs of all accounts and of the insurance fund."""
        facts = self._facts[symbol]
        return {
            "openInterest": quantity(facts, self._open_lots(symbol)),
            "symbol": facts.symbol,
            "time": self._now_ms,
        }

    def open_interest_hist(
        self, symbol: int, period: str, start: int | None = None, end: int | None = None, limit: int = 30
    ) -> list[dict[str, Any]]:
        """Return the body of ``GET /futures/data/openInterestHist``; ``period`` is one of ``PERIODS``."""
        facts = self._facts[symbol]
        return [
            {
                "symbol": facts.symbol,
                "sumOpenInterest": e8(lots * facts.lot_e8),
                "sumOpenInterestValue": e8(lots * facts.lot_e8 * mark // E8),
                "CMCCirculatingSupply": "0",
                "timestamp": str(at_ms),
            }
            for at_ms, lots, _, _, mark, _ in self._sampled(symbol, period, start, end, limit)
        ]

    def long_short_ratio(
        self,
        kind: str,
        symbol: int,
        period: str,
        start: int | None = None,
        end: int | None = None,
        limit: int = 30,
    ) -> list[dict[str, Any]]:
        """Return the body of a ratio of longs to shorts.

        Parameters
        ----------
        kind : {"topLongShortAccountRatio", "topLongShortPositionRatio", "globalLongShortAccountRatio"}
            Last part of the path.
        symbol : int
            Index.
        period : str
            One of ``PERIODS``.
        start, end : int, optional
            Stamps in ms.
        limit : int
            How many at most.
        """
        column = 3 if kind == "topLongShortPositionRatio" else 2
        return [
            {
                "symbol": self._facts[symbol].symbol,
                "longShortRatio": ratio(row[column], 10_000 - row[column], 4),
                "longAccount": decimal(row[column], 4),
                "shortAccount": decimal(10_000 - row[column], 4),
                "timestamp": str(row[0]),
            }
            for row in self._sampled(symbol, period, start, end, limit)
        ]

    def taker_ratio(
        self, symbol: int, period: str, start: int | None = None, end: int | None = None, limit: int = 30
    ) -> list[dict[str, Any]]:
        """Return the body of ``GET /futures/data/takerlongshortRatio``, made from candles."""
        lot = self._facts[symbol].lot_e8
        return [
            {
                "buySellRatio": ratio(candle[8], candle[5] - candle[8], 4),
                "buyVol": e8(candle[8] * lot, 4),
                "sellVol": e8((candle[5] - candle[8]) * lot, 4),
                "timestamp": str(candle[0]),
            }
            for candle in self._tapes[symbol].candles.select(period, start, end, limit)
        ]

    def basis(
        self, symbol: int, period: str, start: int | None = None, end: int | None = None, limit: int = 30
    ) -> list[dict[str, Any]]:
        """Return the body of ``GET /futures/data/basis`` for the perpetual of a pair: its mark against its index."""
        facts = self._facts[symbol]
        return [
            {
                "indexPrice": e8(index),
                "contractType": "PERPETUAL",
                "basisRate": ratio(mark - index, index, 4),
                "futuresPrice": e8(mark, facts.price_decimals),
                "annualizedBasisRate": "",
                "basis": e8(mark - index),
                "pair": facts.pair,
                "timestamp": at_ms,
            }
            for at_ms, _, _, _, mark, index in self._sampled(symbol, period, start, end, limit)
        ]

    def delivery(self) -> list[dict[str, Any]]:
        """Return the body of ``GET /futures/data/delivery-price``: a perpetual is never delivered."""
        return []

    def insurance_balance(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/insuranceBalance``: one fund stands behind all symbols."""
        fund = {
            "asset": Asset.USDT.name,
            "marginBalance": plain(self._exchange.fund.wallet_e8),
            "updateTime": self._now_ms,
        }
        body = {"symbols": [facts.symbol for facts in self._facts], "assets": [fund]}
        return [body] if symbol is None else body

    def symbol_adl_risk(self, symbol: int | None = None) -> Any:
        """Return the body of ``GET /fapi/v1/symbolAdlRisk``: high once the insurance fund is empty."""
        risk = "low" if self._exchange.fund.wallet_e8 > 0 else "high"
        return self._one_or_all(
            symbol, lambda i: {"symbol": self._facts[i].symbol, "adlRisk": risk, "updateTime": self._now_ms}
        )

    def trading_schedule(self) -> dict[str, Any]:
        """Return the body of ``GET /fapi/v1/tradingSchedule``: no symbol here has sessions."""
        schedules: dict[str, Any] = {"EQUITY": {"sessions": []}, "COMMODITY": {"sessions": []}}
        return {"updateTime": self._now_ms - self._now_ms % DAY, "marketSchedules": schedules}

    def _sampled(
        self, symbol: int, period: str, start: int | None, end: int | None, limit: int
    ) -> list[tuple[int, ...]]:
        rows = self._samples[symbol].select(start, end, MOST_SAMPLES if start is None else len(self._samples[symbol]))
        found = [row for row in rows if row[0] % INTERVALS[period] == 0]
        return found[-limit:] if start is None else found[:limit]

    def _sample(self, now_ms: int) -> None:
        for symbol, price in enumerate(self._prices):
            if price.mark:
                longs, shorts = self._sides(symbol)
                accounts, lots = _share(len(longs), len(shorts)), _share(sum(longs), sum(shorts))
                row = (now_ms, self._open_lots(symbol), accounts, lots, price.mark, price.index_or_mark)
                self._samples[symbol].append(row)

    def _sides(self, symbol: int) -> tuple[list[int], list[int]]:
        # Lots of the accounts' long legs and of their short legs.
        lots = [one.position(symbol, leg)["lots"] for one in self._exchange.accounts for leg in (0, 1)]
        return [one for one in lots if one > 0], [-one for one in lots if one < 0]

    def _open_lots(self, symbol: int) -> int:
        return sum(self._sides(symbol)[0]) + max(self._exchange.fund.position(symbol)["lots"], 0)


def _share(longs: int, shorts: int) -> int:
    # Of the longs in both, in 1e-4; half when there are none, and never all or nothing.
    share = longs * 10_000 // (longs + shorts) if longs + shorts else 5_000
    return min(max(share, 1), 9_999)


def _kline(interval: str, candle: Sequence[int]) -> list[Any]:
    # Of mark, index or premium: no volume, and the samples for a count.
    prices = [e8(value) for value in candle[1:5]]
    return [candle[0], *prices, "0", span(interval, candle[0])[1] - 1, "0", candle[5], "0", "0", "0"]


def _ticker(day: dict[str, Any], pair: str) -> dict[str, Any]:
    return {
        "e": "24hrTicker", "E": day["closeTime"], "s": day["symbol"], "p": day["priceChange"],
        "P": day["priceChangePercent"], "w": day["weightedAvgPrice"], "c": day["lastPrice"], "Q": day["lastQty"],
        "o": day["openPrice"], "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"],
        "q": day["quoteVolume"], "O": day["openTime"], "C": day["closeTime"], "F": day["firstId"],
        "L": day["lastId"], "n": day["count"], "st": 1, "ps": pair,
    }  # fmt: skip


def _mini_ticker(day: dict[str, Any], pair: str) -> dict[str, Any]:
    full = _ticker(day, pair)
    return {"e": "24hrMiniTicker"} | {key: full[key] for key in ("E", "s", "c", "o", "h", "l", "v", "q", "st", "ps")}


def _brackets(rows: Iterable[Bracket]) -> list[dict[str, float]]:
    ladder = list(rows)
    least = [leverage + 1 for *_, leverage in ladder[1:]] + [1]
    return [
        {
            "bs": number + 1, "bnf": _number(floor), "bnc": _number(cap), "mmr": _number(mmr), "cf": _number(cum),
            "mi": least[number], "ma": leverage,
        }
        for number, (floor, cap, mmr, cum, leverage) in enumerate(ladder)
    ]  # fmt: skip


def _number(value_e8: int) -> float:
    return value_e8 // E8 if value_e8 % E8 == 0 else value_e8 / E8
