"""What the exchange makes of a symbol's trades: aggregate trades, candles of every interval, 24 h statistics.

Knows intervals, how long what is kept, and the messages of the trade streams. Refuses to know books, marks, and what
the time is: it is told when a window ends.

A candle grows by the minute. Each closed minute is added to the running candle of every longer interval, so that the
candle under way is its closed minutes and the minute of now. Candles without a trade do not exist. The 24 hours of
the statistics begin at a whole minute.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from autotrader.adapters.loopback.text import Texts, e8, ratio, turnover
from core_ext.payload import PayloadWriter

if TYPE_CHECKING:
    from autotrader.adapters.loopback.market import Hub, SymbolFacts

__all__ = ["INTERVALS", "Candles", "Ring", "Tape", "Trade", "span"]

Trade = tuple[int, int, int, int, int, int]
"""Trade id, price ticks, lots, first and last id of an aggregate (0: none), and 0 for a market trade."""

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MONDAY = 4 * DAY
"""The first Monday of the epoch, ms."""
INTERVALS = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
    "1M": 31 * DAY,
}
"""Length of each interval, ms; a month has its own and no more than this."""
MOST_MINUTES = 7 * 24 * 60
MOST_CANDLES = 1500
"""Of each longer interval: the most that a request may ask for."""
MOST_TRADES = 5000
WIDTH = 12
"""Open time; open, high, low and close ticks; lots, ticks times lots and trades; lots and ticks times lots of the
buyers who took; first and last trade id."""


def span(interval: str, at_ms: int) -> tuple[int, int]:
    """Return when the candle of an interval that holds a stamp begins, and when the next one does, ms.

    Examples
    --------
    >>> span("1h", 3_600_001), span("1w", 0), span("1M", 0)
    ((3600000, 7200000), (-259200000, 345600000), (0, 2678400000))
    """
    if interval == "1M":
        first = datetime.fromtimestamp(at_ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return int(first.timestamp()) * 1000, int(following.timestamp()) * 1000
    length = INTERVALS[interval]
    begin = at_ms - (at_ms - (MONDAY if interval == "1w" else 0)) % length
    return begin, begin + length


class Ring:
    """The youngest rows of whole numbers, oldest first, whose first column never falls.

    Parameters
    ----------
    width : int
        Numbers in a row.
    most : int
        Rows that are kept for certain; the oldest are dropped beyond a quarter more.
    """

    def __init__(self, width: int, most: int) -> None:
        self._width = width
        self._most = most
        self._numbers = array("q")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._numbers) // self._width

    def append(self, row: Sequence[int]) -> None:
        """Add a row."""
        self._numbers.extend(row)
        if len(self._numbers) > (self._most + self._most // 4) * self._width:
            del self._numbers[: -self._most * self._width]

    def column(self, k: int, first: int = 0) -> "array[int]":
        """Return column ``k`` from a row on."""
        return self._numbers[first * self._width + k :: self._width]

    def rows(self, first: int, last: int) -> list[tuple[int, ...]]:
        """Return the rows from ``first`` to before ``last``."""
        width = self._width
        return [tuple(self._numbers[k * width : (k + 1) * width]) for k in range(max(first, 0), last)]

    def find(self, least: int, column: int = 0) -> int:
        """Return the number of the first row whose value in a column that never falls is at least this."""
        return bisect_left(range(len(self)), least, key=self._key(column))

    def select(self, start: int | None, end: int | None, limit: int, column: int = 0) -> list[tuple[int, ...]]:
        """Return the rows between two values of a column: the first ones from a start on, else the last ones."""
        key = self._key(column)
        first = 0 if start is None else bisect_left(range(len(self)), start, key=key)
        last = len(self) if end is None else bisect_right(range(len(self)), end, key=key)
        if start is None:
            return self.rows(max(first, last - limit), last)
        return self.rows(first, min(last, first + limit))

    def _key(self, column: int) -> Callable[[int], int]:
        numbers, width = self._numbers, self._width
        return lambda k: numbers[k * width + column]


class Candles:
    """Candles of one thing in every interval: its trades, or one sample a second.

    Parameters
    ----------
    width : int
        Numbers in a candle: open time and four prices, then sums; ``WIDTH`` for trades, 6 with a count only.
    """

    def __init__(self, width: int = 6) -> None:
        self._width = width
        self.minute: list[int] | None = None
        """The minute under way."""
        self._closed: dict[str, tuple[int, list[int]]] = {}  # end and closed minutes of each longer candle under way
        self._rings: dict[str, Ring] = {}

    def sample(self, at_ms: int, value: int) -> None:
        """Add one sample."""
        if self.minute is None:
            self.minute = [at_ms - at_ms % MINUTE, value, value, value, value, 1]
        else:
            _merge(self.minute, (0, 0, value, value, value, 1))

    def close(self, now_ms: int) -> list[tuple[str, list[int]]]:
        """Close every candle that has ended.

        Parameters
        ----------
        now_ms : int
            Exchange time, ms.

        Returns
        -------
        list of (interval, candle)
            What has ended, shortest interval first.
        """
        ended = []
        if self.minute is not None and self.minute[0] + MINUTE <= now_ms:
            ended.append(("1m", self.minute))
            self._add(self.minute)
            self.minute = None
        ended += [(interval, candle) for interval, (end, candle) in self._closed.items() if end <= now_ms]
        for interval, candle in ended:
            self._closed.pop(interval, None)
            self.ring(interval).append(candle)
        return sorted(ended, key=lambda one: INTERVALS[one[0]])

    def current(self, interval: str) -> list[int] | None:
        """Return the candle under way, None before its first trade."""
        if interval not in self._closed:
            return None if self.minute is None else [span(interval, self.minute[0])[0], *self.minute[1:]]
        candle = list(self._closed[interval][1])
        if self.minute is not None:
            _merge(candle, self.minute)
        return candle

    def select(self, interval: str, start: int | None, end: int | None, limit: int) -> list[Sequence[int]]:
        """Return candles that open between two stamps: the first ones from a start on, else the last ones."""
        found: list[Sequence[int]] = [*self.ring(interval).select(start, end, limit)]
        now = self.current(interval)
        if now is not None and (start is None or start <= now[0]) and (end is None or now[0] <= end):
            found.append(now)
        return found[-limit:] if start is None else found[:limit]

    def ring(self, interval: str) -> Ring:
        """Return the closed candles of an interval."""
        if interval not in self._rings:
            self._rings[interval] = Ring(self._width, MOST_MINUTES if interval == "1m" else MOST_CANDLES)
        return self._rings[interval]

    def _add(self, minute: list[int]) -> None:
        for interval in INTERVALS:
            if interval == "1m":
                continue
            if interval in self._closed:
                _merge(self._closed[interval][1], minute)
            else:
                begin, end = span(interval, minute[0])
                self._closed[interval] = end, [begin, *minute[1:]]


def _merge(candle: list[int], later: Sequence[int]) -> None:
    candle[2] = max(candle[2], later[2])
    candle[3] = min(candle[3], later[3])
    candle[4] = later[4]
    for k in range(5, min(len(candle), 10)):
        candle[k] += later[k]
    if len(candle) == WIDTH:
        candle[11] = later[11]


class Tape:
    """The trades of one symbol and their streams.

    Parameters
    ----------
    facts : SymbolFacts
        The symbol.
    hub : Hub
        Who listens.
    """

    def __init__(self, facts: "SymbolFacts", hub: "Hub") -> None:
        name, pair = facts.symbol.lower(), facts.pair.lower()
        self._facts = facts
        self._hub = hub
        self._price = Texts(facts.tick_e8, facts.price_decimals)
        self._quantity = Texts(facts.lot_e8, facts.lot_decimals)
        self._writer = PayloadWriter(
            facts.symbol, facts.pair, facts.tick_e8, facts.lot_e8, facts.price_decimals, facts.lot_decimals
        )
        self._turnover_decimals = min(facts.price_decimals + facts.lot_decimals, 8)
        self._trade, self._aggregate = f"{name}@trade", f"{name}@aggTrade"
        self._streams = {
            interval: (f"{name}@kline_{interval}", f"{pair}_perpetual@continuousKline_{interval}")
            for interval in INTERVALS
        }
        self._trades = Ring(5, MOST_TRADES)  # id, ticks, lots, ms, whether the taker sold
        self._aggregates = Ring(7, MOST_TRADES)  # the same; first and last trade id before the stamp
        self._pending: list[int] | None = None  # the aggregate under way
        self._next_aggregate = 1
        self._pushed = 0  # trades that the candle streams have shown
        self._day_since = -1
        self._day: list[int] | None = None  # closed minutes of the last 24 hours
        self.candles = Candles(WIDTH)
        self.count = 0
        """Trades so far."""
        self.last: tuple[int, int, int] | None = None
        """Ticks, lots and ms of the last trade."""

    def on_trade(self, stamp: int, trade: Trade, sells: bool, now_ms: int) -> None:
        """Take a trade.

        Parameters
        ----------
        stamp : int
            Exchange time of the trade, ms.
        trade : Trade
            What the row tells. What is no market trade is published and counts for nothing else.
        sells : bool
            Whether the taker sold.
        now_ms : int
            Exchange time, ms; a trade that is told late counts for the minute of now.
        """
        number, ticks, lots, first, last, other = trade
        if self._hub.wants(self._trade):
            payload = self._writer.trade(stamp, last or number, ticks, lots, sells, bool(other))
            self._hub.publish(self._trade, payload)
        if other:
            return
        self.count += 1
        self.last = ticks, lots, stamp
        self._trades.append((last or number, ticks, lots, stamp, sells))
        self._join(ticks, lots, first or number, last or number, stamp, sells)
        self._grow(now_ms, ticks, lots, first or number, last or number, sells)

    def flush(self, now_ms: int) -> None:
        """Publish the aggregate trade under way: its 100 ms are over, or a trade of another price or side came."""
        if self._pending is None:
            return
        ticks, lots, first, last, stamp, sells = self._pending
        self._pending = None
        self._aggregates.append((self._next_aggregate, ticks, lots, first, last, stamp, sells))
        if self._hub.wants(self._aggregate):
            quantity = self._quantity[lots]
            payload = (
                f'{{"e":"aggTrade","E":{max(now_ms, stamp)},"s":"{self._facts.symbol}","a":{self._next_aggregate},'
                f'"p":"{self._price[ticks]}","q":"{quantity}","nq":"{quantity}","f":{first},"l":{last},"T":{stamp},'
                f'"m":{"true" if sells else "false"},"st":1}}'
            )
            self._hub.publish(self._aggregate, payload.encode())
        self._next_aggregate += 1

    def push(self, now_ms: int) -> None:
        """Publish the candles under way if a trade has changed them."""
        if self._pushed == self.count:
            return
        self._pushed = self.count
        for interval in INTERVALS:
            if self._wanted(interval):
                candle = self.candles.current(interval)
                if candle is not None:
                    self._publish(interval, candle, False, now_ms)

    def close(self, now_ms: int) -> None:
        """Close the candles that have ended and publish them a last time."""
        self.flush(now_ms)
        for interval, candle in self.candles.close(now_ms):
            self._publish(interval, candle, True, now_ms)

    def trades(self, limit: int, from_id: int | None = None) -> list[dict[str, Any]]:
        """Return the last trades, or those from an id on."""
        return [self._trade_body(row) for row in self._trades.select(from_id, None, limit)]

    def aggregates(self, from_id: int | None, start: int | None, end: int | None, limit: int) -> list[dict[str, Any]]:
        """Return aggregate trades from an id on, or between two stamps."""
        if from_id is not None:
            return [self._aggregate_body(row) for row in self._aggregates.select(from_id, None, limit)]
        return [self._aggregate_body(row) for row in self._aggregates.select(start, end, limit, column=5)]

    def kline(self, interval: str, candle: Sequence[int]) -> list[Any]:
        """Return a candle as a request sees it."""
        return [
            candle[0],
            *(self._price[ticks] for ticks in candle[1:5]),
            self._quantity[candle[5]],
            span(interval, candle[0])[1] - 1,
            self._money(candle[6]),
            candle[7],
            self._quantity[candle[8]],
            self._money(candle[9]),
            "0",
        ]

    def day(self, now_ms: int) -> dict[str, Any]:
        """Return the statistics of the last 24 hours as a request sees them."""
        since = now_ms - now_ms % MINUTE - DAY + MINUTE
        candle = self._last_day(since)
        facts, price = self._facts, self._price
        last, lots, _ = self.last or (0, 0, 0)
        opened, high, low, _, volume, value, count, _, _, first_id, last_id = (
            candle[1:] if candle else [last, last, last, last, 0, 0, 0, 0, 0, -1, -1]
        )
        return {
            "symbol": facts.symbol,
            "priceChange": e8((last - opened) * facts.tick_e8, facts.price_decimals),
            "priceChangePercent": ratio((last - opened) * 100, opened, 3),
            "weightedAvgPrice": e8(value * facts.tick_e8 // volume if volume else 0, facts.price_decimals),
            "lastPrice": price[last],
            "lastQty": self._quantity[lots],
            "openPrice": price[opened],
            "highPrice": price[high],
            "lowPrice": price[low],
            "volume": self._quantity[volume],
            "quoteVolume": turnover(facts, value, facts.price_decimals),
            "openTime": since,
            "closeTime": now_ms,
            "firstId": first_id,
            "lastId": last_id,
            "count": count,
        }

    def _join(self, ticks: int, lots: int, first: int, last: int, stamp: int, sells: bool) -> None:
        pending = self._pending
        if pending is not None and pending[0] == ticks and pending[5] == sells:
            pending[1] += lots
            pending[3] = last
            return
        self.flush(stamp)
        self._pending = [ticks, lots, first, last, stamp, sells]

    def _grow(self, now_ms: int, ticks: int, lots: int, first: int, last: int, sells: bool) -> None:
        minute = self.candles.minute
        value = ticks * lots
        bought = (0, 0) if sells else (lots, value)
        trade = (ticks, ticks, ticks, ticks, lots, value, last - first + 1, *bought, first, last)
        if minute is None:
            self.candles.minute = [now_ms - now_ms % MINUTE, *trade]
        else:
            _merge(minute, (0, *trade))

    def _wanted(self, interval: str) -> bool:
        plain, continuous = self._streams[interval]
        return self._hub.wants(plain) or self._hub.wants(continuous)

    def _publish(self, interval: str, candle: Sequence[int], closed: bool, now_ms: int) -> None:
        if not self._wanted(interval):
            return
        plain, continuous = self._streams[interval]
        bar = self._bar(interval, candle, closed)
        symbol, pair = self._facts.symbol, self._facts.pair
        if self._hub.wants(continuous):
            message = {"e": "continuous_kline", "E": now_ms, "ps": pair, "ct": "PERPETUAL", "k": bar}
            self._hub.publish(continuous, orjson.dumps(message))
        if self._hub.wants(plain):
            bar = {"t": bar["t"], "T": bar["T"], "s": symbol} | bar
            self._hub.publish(plain, orjson.dumps({"e": "kline", "E": now_ms, "s": symbol, "k": bar}))

    def _bar(self, interval: str, candle: Sequence[int], closed: bool) -> dict[str, Any]:
        opened, o, h, low, c, volume, end, value, count, bought, bought_value, _ = self.kline(interval, candle)
        return {
            "t": opened, "T": end, "i": interval, "f": candle[10], "L": candle[11], "o": o, "c": c, "h": h, "l": low,
            "v": volume, "n": count, "x": closed, "q": value, "V": bought, "Q": bought_value, "B": "0",
        }  # fmt: skip

    def _money(self, value: int) -> str:
        return turnover(self._facts, value, self._turnover_decimals)

    def _trade_body(self, row: Sequence[int]) -> dict[str, Any]:
        trade, ticks, lots, stamp, sells = row
        return {
            "id": trade,
            "price": self._price[ticks],
            "qty": self._quantity[lots],
            "quoteQty": turnover(self._facts, ticks * lots, self._facts.price_decimals),
            "time": stamp,
            "isBuyerMaker": bool(sells),
            "isRPITrade": False,
        }

    def _aggregate_body(self, row: Sequence[int]) -> dict[str, Any]:
        number, ticks, lots, first, last, stamp, sells = row
        quantity = self._quantity[lots]
        return {
            "a": number,
            "p": self._price[ticks],
            "q": quantity,
            "nq": quantity,
            "f": first,
            "l": last,
            "T": stamp,
            "m": bool(sells),
        }

    def _last_day(self, since: int) -> list[int] | None:
        # Closed minutes are added up once a minute, the minute of now each time.
        if since != self._day_since:
            self._day_since, self._day = since, _total(self.candles.ring("1m"), since)
        minute = self.candles.minute
        if self._day is None:
            return minute
        total = list(self._day)
        if minute is not None:
            _merge(total, minute)
        return total


def _total(ring: Ring, since: int) -> list[int] | None:
    # One candle of all the minutes of a ring from a stamp on.
    first = ring.find(since)
    if first == len(ring):
        return None
    columns: Iterator[array[int]] = (ring.column(k, first) for k in range(WIDTH))
    opens, o, highs, lows, c, *sums, firsts, lasts = columns
    return [opens[0], o[0], max(highs), min(lows), c[-1], *(sum(column) for column in sums), firsts[0], lasts[-1]]
