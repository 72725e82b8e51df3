"""What the exchange on loopback publishes and answers about its markets."""

import gzip
import re
from itertools import pairwise

import numpy as np
import orjson
import pytest
from builders import E8, RECORDING, row, spec

from autotrader.adapters.loopback.market import Market, SymbolFacts
from autotrader.adapters.loopback.text import decimal, e8, plain, price, quantity, ratio
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import Asset, Instruments, Kind
from core_ext.wire import Scanner

MS = 10**6
SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_700_006_400 * SECOND  # a whole hour, but no multiple of eight
BUY, SELL = 0, 1


class Listeners:
    """A hub that keeps what is published to the streams that somebody wants (all when none is named)."""

    def __init__(self, *streams):
        self.streams = set(streams)
        self.heard = []

    def wants(self, stream):
        return not self.streams or stream in self.streams

    def publish(self, stream, payload):
        self.heard.append((stream, orjson.loads(payload)))

    def of(self, stream):
        return [payload for name, payload in self.heard if name == stream]


def facts(symbol="BTCUSDT", **changes):
    base = symbol.removesuffix("USDT")
    fields = {
        "symbol": symbol, "pair": symbol, "base": base, "quote": "USDT", "price_decimals": 2, "lot_decimals": 3,
        "tick_e8": 10**7, "lot_e8": 10**5, "funding_hours": 8, "brackets": tuple(spec()["brackets"]),
        "onboard_ms": 1_569_398_400_000,
    }  # fmt: skip
    return SymbolFacts(**(fields | changes))


class World:
    """A synthetic market in front of which somebody listens; every step is told as a server would tell it."""

    def __init__(self, *streams, symbols=("BTCUSDT", "ETHUSDT"), accounts=4):
        self.instruments = Instruments([spec(symbol, max_lots=10**9, leverage=10) for symbol in symbols])
        self.accounts = [Account(self.instruments, 10**7 * E8) for _ in range(accounts)]
        sources = ["stream"] * len(symbols)
        self.venue = Exchange(self.instruments, self.accounts, sources, 0.0, 0.0, 0, synthetic=True)
        for symbol in range(len(symbols)):
            self.venue.open_book(symbol)
        self.hub = Listeners(*streams)
        self.market = Market(self.venue, self.hub, [facts(symbol) for symbol in symbols])
        self.now, self.next_id = T0, 0
        self.market.advance(T0)
        for symbol in range(len(symbols)):
            self.tell(self.venue.feed(row(Kind.MARK, T0, symbol, a=60_000 * E8, b=60_000 * E8)))

    def tell(self, rows):
        to = self.venue.said()[1]
        self.market.on_array(rows[np.array(to, int) < 0])

    def wait(self, ns):
        self.now += ns
        self.market.advance(self.now)

    def index(self, price_e8, symbol=0):
        self.tell(self.venue.feed(row(Kind.MARK, self.now, symbol, b=price_e8)))

    def send(self, account, side, lots, ticks, symbol=0, **given):
        self.next_id += 1
        self.tell(self.venue.place_order(self.now, self.next_id, symbol, side, lots, ticks, account, **given))

    def cancel(self, number, account, symbol=0):
        self.tell(self.venue.cancel_order(self.now, number, symbol, account))

    def quote(self, symbol=0):
        self.send(0, BUY, 1_000, 600_000, symbol)
        self.send(1, SELL, 1_000, 600_010, symbol)

    def live(self):
        """Let everything happen once that can."""
        for symbol in range(len(self.venue.books)):
            self.index(60_010 * E8, symbol)
            self.quote(symbol)
            self.send(2, BUY, 10, 600_010, symbol)
            self.send(2, SELL, 4, 600_000, symbol)
        self.send(2, BUY, 2_000, 600_010)  # takes what is offered and stays: both sides change at once
        self.send(1, SELL, 500, 600_020)
        self.market.on_forced(0, SELL, 14, 59_910 * E8, 59_911 * E8, self.now // MS)
        self.market.on_funding(0, 10_000, 60_001 * E8, self.now)
        self.market.on_contract(0, brackets=spec()["brackets"])
        for _ in range(320):
            self.wait(SECOND)
        return self


@pytest.fixture(scope="module")
def lived():
    return World().live()


# ---------------------------------------------------------------------- shapes

DECIMAL = re.compile(r"-?\d+(\.\d+)?")
# What a documented sample of each payload looks like, the additions of 2026 and the live extras included.
BTC = "BTCUSDT"
DIFF = {
    "e": "depthUpdate", "E": 123456789, "T": 123456788, "s": BTC, "U": 157, "u": 160, "pu": 149,
    "b": [["0.0024", "10"]], "a": [["0.0026", "100"]], "st": 1, "ps": BTC,
}  # fmt: skip
TOUCHED = {
    "e": "bookTicker", "u": 400900217, "E": 1568014460893, "T": 1568014460891, "s": "BNBUSDT", "b": "25.35190000",
    "B": "31.21000000", "a": "25.36520000", "A": "40.66000000", "st": 1, "ps": "BNBUSDT",
}  # fmt: skip
MARKED = {
    "e": "markPriceUpdate", "E": 1562305380000, "s": BTC, "p": "11794.15000000", "ap": "11794.15000000",
    "i": "11784.62659091", "P": "11784.25641265", "r": "0.00038167", "T": 1562306400000, "st": 1,
}  # fmt: skip
MINI = {
    "e": "24hrMiniTicker", "E": 123456789, "s": BTC, "c": "0.0025", "o": "0.0010", "h": "0.0025", "l": "0.0010",
    "v": "10000", "q": "18", "st": 1, "ps": BTC,
}  # fmt: skip
TICKER = {
    "e": "24hrTicker", "E": 123456789, "s": BTC, "p": "0.0015", "P": "250.00", "w": "0.0018", "c": "0.0025", "Q": "10",
    "o": "0.0010", "h": "0.0025", "l": "0.0010", "v": "10000", "q": "18", "O": 0, "C": 86400000, "F": 0, "L": 18150,
    "n": 18151, "st": 1, "ps": BTC,
}  # fmt: skip
BAR = {
    "t": 1607443020000, "T": 1607443079999, "i": "1m", "f": 116467658886, "L": 116468012423, "o": "18787.00",
    "c": "18804.04", "h": "18804.04", "l": "18786.54", "v": "197.664", "n": 543, "x": False, "q": "3715253.19494",
    "V": "184.769", "Q": "3472925.84746", "B": "0",
}  # fmt: skip
FORCED = {
    "e": "forceOrder", "E": 1568014460893, "ps": BTC, "st": 1,
    "o": {"s": BTC, "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910", "ap": "9910", "X": "FILLED",
          "l": "0.014", "z": "0.014", "T": 1568014460893},
}  # fmt: skip
ASSET = {
    "e": "assetIndexUpdate", "E": 1686749230000, "s": "USDTUSD", "i": "0.27462452", "b": "0.10000000",
    "a": "0.10000000", "B": "0.24716207", "A": "0.30208698", "q": "0.05000000", "g": "0.05000000", "Q": "0.26089330",
    "G": "0.28835575",
}  # fmt: skip
BRACKET = {"bs": 1, "bnf": 0, "bnc": 5000, "mmr": 0.01, "cf": 0, "mi": 21, "ma": 50}
STREAMS = {
    "btcusdt@aggTrade": {"e": "aggTrade", "E": 1, "s": BTC, "a": 5933014, "p": "0.001", "q": "100", "nq": "100",
                         "f": 100, "l": 105, "T": 123456785, "m": True, "st": 1},
    "btcusdt@trade": {"e": "trade", "E": 1, "T": 1, "s": BTC, "t": 5933014, "p": "0.001", "q": "100", "X": "MARKET",
                      "m": True},
    "btcusdt@bookTicker": TOUCHED,
    "!bookTicker": TOUCHED,
    **{f"btcusdt@{name}": DIFF for name in (
        "depth@0ms", "depth@100ms", "depth", "depth@500ms", "rpiDepth@500ms", "depth5", "depth10@100ms", "depth20@500ms"
    )},
    "btcusdt@kline_1m": {"e": "kline", "E": 1, "s": BTC, "k": BAR | {"s": BTC}},
    "btcusdt@kline_1M": {"e": "kline", "E": 1, "s": BTC, "k": BAR | {"s": BTC}},
    "btcusdt_perpetual@continuousKline_1h": {"e": "continuous_kline", "E": 1, "ps": BTC, "ct": "PERPETUAL", "k": BAR},
    "btcusdt@markPrice": MARKED,
    "btcusdt@markPrice@1s": MARKED,
    "!markPrice@arr": [MARKED],
    "!markPrice@arr@1s": [MARKED],
    "btcusdt@miniTicker": MINI,
    "!miniTicker@arr": [MINI],
    "btcusdt@ticker": TICKER,
    "!ticker@arr": [TICKER],
    "btcusdt@forceOrder": FORCED,
    "!forceOrder@arr": FORCED,
    "!contractInfo": {"e": "contractInfo", "E": 1, "s": BTC, "ps": BTC, "ct": "PERPETUAL", "dt": 4133404800000,
                      "ot": 1569398400000, "cs": "TRADING", "bks": [BRACKET], "st": 1},
    "!assetIndex@arr": [ASSET],
    "usdtusd@assetIndex": ASSET,
}  # fmt: skip
BOOK = {"lastUpdateId": 1, "E": 1, "T": 1, "bids": [["4.00", "431.000"]], "asks": [["4.00", "12.000"]]}
TRADED = {"id": 28457, "price": "4.00", "qty": "12.000", "quoteQty": "48.00", "time": 1499865549590,
          "isBuyerMaker": True, "isRPITrade": True}  # fmt: skip
KLINE = [1499040000000, "0.01", "0.80", "0.01", "0.01", "148976.114", 1499644799999, "2434.19055", 308, "1756.874",
         "28.46694", "0"]  # fmt: skip
SAMPLED = [1591256460000, "9653.29201333", "9654.56401333", "9653.07367333", "9653.07367333", "0", 1591256519999, "0",
           60, "0", "0", "0"]  # fmt: skip
PRICE = {"symbol": BTC, "price": "6000.01", "time": 1589437530011}
LONGS = {"symbol": BTC, "longShortRatio": "1.4342", "longAccount": "0.5891", "shortAccount": "0.4108",
         "timestamp": "1583139600000"}  # fmt: skip
PREMIUM = {"symbol": BTC, "markPrice": "11793.63104562", "indexPrice": "11781.80495970",
           "estimatedSettlePrice": "11781.16138815", "lastFundingRate": "0.00038246", "interestRate": "0.00010000",
           "nextFundingTime": 1597392000000, "time": 1597370495002}  # fmt: skip
DAY = {"symbol": BTC, "priceChange": "-94.99", "priceChangePercent": "-95.960", "weightedAvgPrice": "0.29",
       "lastPrice": "4.00", "lastQty": "200.000", "openPrice": "99.00", "highPrice": "100.00", "lowPrice": "0.10",
       "volume": "8913.300", "quoteVolume": "15.30", "openTime": 1499783499040, "closeTime": 1499869899040,
       "firstId": 28385, "lastId": 28460, "count": 76}  # fmt: skip
TICKED = {"symbol": BTC, "bidPrice": "4.00", "bidQty": "431.000", "askPrice": "4.00", "askQty": "9.000",
          "time": 1589437530011, "lastUpdateId": 1}  # fmt: skip
INDEXED = {"symbol": "USDTUSD", "time": 1, "index": "1.92957370", "bidBuffer": "0.10000000", "askBuffer": "0.10000000",
           "bidRate": "1.73661633", "askRate": "2.12253107", "autoExchangeBidBuffer": "0.05000000",
           "autoExchangeAskBuffer": "0.05000000", "autoExchangeBidRate": "1.83309501",
           "autoExchangeAskRate": "2.02605238"}  # fmt: skip
FUND = {"symbols": ["BNBUSDT"], "assets": [{"asset": "USDC", "marginBalance": "299999998.6497832", "updateTime": 1}]}
RISK = {"symbol": BTC, "adlRisk": "low", "updateTime": 1597370495002}
REQUESTS = {
    "depth": (lambda m: m.depth(0, 5), BOOK),
    "rpiDepth": (lambda m: m.rpi_depth(0), BOOK),
    "trades": (lambda m: m.trades(0), [TRADED]),
    "historicalTrades": (lambda m: m.historical_trades(0, 1), [TRADED]),
    "aggTrades": (lambda m: m.agg_trades(0), [{"a": 26129, "p": "0.01", "q": "4.704", "nq": "4.704", "f": 27781,
                                               "l": 27781, "T": 1498793709153, "m": True}]),
    "klines": (lambda m: m.klines("klines", 0, "1h"), [KLINE]),
    "continuousKlines": (lambda m: m.klines("continuous", 0, "5m"), [KLINE]),
    "indexPriceKlines": (lambda m: m.klines("index", 0, "1m"), [SAMPLED]),
    "markPriceKlines": (lambda m: m.klines("mark", 0, "1h"), [SAMPLED]),
    "premiumIndexKlines": (lambda m: m.klines("premium", 0, "1m"), [SAMPLED[:1] + ["-0.00042931"] * 4 + SAMPLED[5:]]),
    "premiumIndex": (lambda m: m.premium_index(0), PREMIUM),
    "premiumIndex of all": (lambda m: m.premium_index(), [PREMIUM]),
    "fundingRate": (lambda m: m.funding_rate(0), [{"symbol": BTC, "fundingRate": "0.00010000", "fundingTime": 1,
                                                   "markPrice": "34287.54619963", "rateType": "Regular"}]),
    "fundingInfo": (lambda m: m.funding_info(), [{"symbol": BTC, "adjustedFundingRateCap": "0.02500000",
                                                  "adjustedFundingRateFloor": "-0.02500000", "fundingIntervalHours": 8,
                                                  "disclaimer": False, "updateTime": 1}]),
    "ticker/24hr": (lambda m: m.ticker_24h(0), DAY),
    "ticker/24hr of all": (lambda m: m.ticker_24h(), [DAY]),
    "ticker/price": (lambda m: m.ticker_price(0), PRICE),
    "ticker/price of all": (lambda m: m.ticker_price(), [PRICE]),
    "ticker/bookTicker": (lambda m: m.book_ticker(0), TICKED),
    "openInterest": (lambda m: m.open_interest(0), {"openInterest": "10659.509", "symbol": BTC, "time": 1}),
    "openInterestHist": (lambda m: m.open_interest_hist(0, "5m"), [{
        "symbol": BTC, "sumOpenInterest": "20403.63700000", "sumOpenInterestValue": "150570784.07809979",
        "CMCCirculatingSupply": "165880", "timestamp": "1583127900000"}]),
    **{name: (lambda m, name=name: m.long_short_ratio(name, 0, "5m"), [LONGS]) for name in (
        "topLongShortAccountRatio", "topLongShortPositionRatio", "globalLongShortAccountRatio")},
    "takerlongshortRatio": (lambda m: m.taker_ratio(0, "5m"), [{
        "buySellRatio": "1.5586", "buyVol": "387.3300", "sellVol": "248.5030", "timestamp": "1585614900000"}]),
    "basis": (lambda m: m.basis(0, "5m"), [{
        "indexPrice": "34400.15945055", "contractType": "PERPETUAL", "basisRate": "0.0004", "futuresPrice": "34414.10",
        "annualizedBasisRate": "", "basis": "13.94054945", "pair": BTC, "timestamp": 1698742800000}]),
    "constituents": (lambda m: m.constituents(0), {"symbol": BTC, "time": 1, "constituents": [
        {"exchange": "binance", "symbol": BTC, "price": "94057.03000000", "weight": "0.51282051"}]}),
    "assetIndex": (lambda m: m.asset_index("USDTUSD"), INDEXED),
    "assetIndex of all": (lambda m: m.asset_index(), [INDEXED]),
    "insuranceBalance": (lambda m: m.insurance_balance(0), FUND),
    "insuranceBalance of all": (lambda m: m.insurance_balance(), [FUND]),
    "symbolAdlRisk": (lambda m: m.symbol_adl_risk(0), RISK),
    "symbolAdlRisk of all": (lambda m: m.symbol_adl_risk(), [RISK]),
}  # fmt: skip
# Written with the symbol's decimals here, with any in the documents.
OF_THE_SYMBOL = {"b", "a", "B", "A", "p", "q", "nq", "c", "o", "h", "l", "v", "w", "Q", "V", "ap", "z", "P", "price"}
EIGHT = re.compile(r"-?\d+\.\d{8}")


def shape(value, name=""):
    """Return the keys of a payload, the JSON types of its leaves, and the decimals where they do not vary."""
    if isinstance(value, dict):
        return {key: shape(one, key) for key, one in sorted(value.items())}
    if isinstance(value, list):
        mixed = len({type(one) for one in value}) > 1
        return [shape(one) for one in value] if mixed else [shape(value[0], name)] if value else []
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        return "decimal of eight" if EIGHT.fullmatch(value) and name not in OF_THE_SYMBOL else "decimal"
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.mark.parametrize("stream", STREAMS)
def test_a_message_of_a_stream_has_the_shape_of_the_exchanges(lived, stream):
    heard = lived.hub.of(stream)
    assert heard, f"nothing was published to {stream}"
    full = [one for one in heard if not isinstance(one, dict) or (one.get("b") != [] and one.get("a") != [])]
    assert shape(full[-1]) == shape(STREAMS[stream])


@pytest.mark.parametrize("request_name", REQUESTS)
def test_an_answer_has_the_shape_of_the_exchanges(lived, request_name):
    ask, sample = REQUESTS[request_name]
    answer = orjson.loads(orjson.dumps(ask(lived.market)))
    assert shape(answer) == shape(sample)


def test_what_has_eight_decimals_has_them(lived):
    mark = lived.hub.of("btcusdt@markPrice@1s")[-1]
    assert all(EIGHT.fullmatch(mark[key]) for key in ("p", "ap", "i", "P", "r"))
    assert {key: mark[key] for key in ("s", "st")} == {"s": BTC, "st": 1}


def test_answers_that_are_empty_here_have_their_frame(lived):
    assert lived.market.index_info() == []
    assert lived.market.delivery() == []
    assert lived.market.trading_schedule()["marketSchedules"] == {
        "EQUITY": {"sessions": []},
        "COMMODITY": {"sessions": []},
    }


def test_numbers_are_written_as_decimals():
    one = facts()
    assert (price(one, 600_000), price(one, 1), quantity(one, 1)) == ("60000.00", "0.10", "0.001")
    assert (decimal(-5, 3), decimal(0, 2), decimal(12, 0), e8(10**8), e8(-1)) == (
        "-0.005", "0.00", "12", "1.00000000", "-0.00000001",
    )  # fmt: skip
    assert (plain(10**8), plain(1), e8(199, 2), ratio(1, 3, 4), ratio(-1, 3, 4)) == (
        "1", "0.00000001", "0.00", "0.3333", "-0.3333",
    )  # fmt: skip
    whole = facts("DOGEUSDT", price_decimals=5, lot_decimals=0, tick_e8=1000, lot_e8=E8)
    assert (price(whole, 12_345), quantity(whole, 7)) == ("0.12345", "7")


# ---------------------------------------------------------------------- when


def test_a_stream_is_published_at_multiples_of_its_period():
    world = World("btcusdt@markPrice", "btcusdt@markPrice@1s", "!bookTicker", "btcusdt@ticker").live()
    for stream, period in (("btcusdt@markPrice", 3), ("btcusdt@markPrice@1s", 1), ("btcusdt@ticker", 2)):
        stamps = [one["E"] for one in world.hub.of(stream)]
        assert {later - before for before, later in pairwise(stamps)} == {period * 1000}
        assert stamps[0] % (period * 1000) == 0
    assert sorted({one["E"] % 5000 for one in world.hub.of("!bookTicker")}) == [0]
    assert [one["s"] for one in world.hub.of("!bookTicker")[:2]] == ["BTCUSDT", "ETHUSDT"]


def test_how_time_is_cut_into_steps_changes_nothing():
    heard = []
    for steps in (1, 7, 400):
        world = World()
        for _ in range(4):
            world.quote()
            world.send(2, BUY, 3, 600_010)
            for _ in range(steps):
                world.wait(2_800 * MS // steps)
        heard.append(world.hub.heard)
    assert heard[0] == heard[1] == heard[2]
    stamps = [one["E"] for _, one in heard[0] if isinstance(one, dict)]
    assert stamps == sorted(stamps)


def test_nothing_happens_before_what_is_due_next():
    world = World()
    world.quote()
    count = len(world.hub.heard)
    world.wait(100 * MS - 1)
    assert len(world.hub.heard) == count
    world.wait(1)
    assert len(world.hub.heard) > count


def test_a_jump_of_years_costs_no_more_than_a_moment():
    world = World()
    world.quote()
    world.send(2, BUY, 3, 600_010)
    world.wait(3 * 365 * 24 * HOUR)
    assert [one["u"] for one in world.hub.of("btcusdt@depth")] == [world.venue.books[0].last_id]
    assert [one["k"]["x"] for one in world.hub.of("btcusdt@kline_1m")] == [False, True]
    assert len(world.hub.heard) < 200


def test_time_does_not_go_back():
    world = World().live()
    count, now = len(world.hub.heard), world.market.now_ms
    world.market.advance(world.now - HOUR)
    assert (len(world.hub.heard), world.market.now_ms) == (count, now)


def test_no_event_is_older_than_what_it_tells(lived):
    told = ("depthUpdate", "bookTicker", "trade", "aggTrade")
    stamped = [one for _, one in lived.hub.heard if isinstance(one, dict) and one["e"] in told]
    assert stamped
    assert all(one["E"] >= one["T"] for one in stamped)


def test_nobody_listens_and_nothing_is_written():
    world = World("nothing@atAll").live()
    assert world.hub.heard == []


# ---------------------------------------------------------------------- mark, funding, forced orders, contracts


def test_the_mark_is_the_venues_and_its_average_is_of_a_minute():
    world = World("btcusdt@markPrice@1s")
    world.quote()
    world.index(60_000 * E8)
    for k in range(90):
        world.index((60_000 + k) * E8)
        world.wait(SECOND)
    last = world.hub.of("btcusdt@markPrice@1s")[-1]
    marks = [float(one["p"]) for one in world.hub.of("btcusdt@markPrice@1s")]
    assert last["p"] == e8(world.venue.fund.position(0)["mark_e8"])
    assert last["i"] == "60089.00000000"
    assert float(last["ap"]) == pytest.approx(np.mean(marks[-60:]), abs=1e-6)
    assert float(last["P"]) == pytest.approx(60_000 + 89 / 2)
    assert last["T"] == world.venue.perpetuals[0].next_stamp // MS
    assert world.market.premium_index(0)["markPrice"] == last["p"]


def test_candles_of_the_mark_hold_a_sample_a_second():
    world = World("nothing")
    world.index(60_000 * E8)
    for _ in range(121):
        world.wait(SECOND)
    candles = world.market.klines("mark", 0, "1m")
    assert [one[8] for one in candles] == [59, 60, 2]
    assert candles[0][0] == T0 // MS
    assert candles[1][6] - candles[1][0] == 59_999
    assert all(one[5] == one[7] == "0" for one in candles)


def test_a_market_without_a_stream_of_marks_shows_the_venues():
    venue = Exchange(Instruments([spec()]), [], ["proxy"], 0.0, 0.0, 0)
    hub = Listeners("btcusdt@markPrice@1s")
    market = Market(venue, hub, [facts()])
    market.advance(T0)
    market.advance(T0 + SECOND)
    assert hub.heard == []  # nobody knows a mark yet
    venue.fund.mark(0, 123 * E8)
    market.advance(T0 + 2 * SECOND)
    (heard,) = hub.of("btcusdt@markPrice@1s")
    assert (heard["p"], heard["i"], heard["T"]) == ("123.00000000", "123.00000000", 1_700_035_200_000)


def test_settled_funding_is_told_oldest_first_and_bounded():
    world = World("nothing")
    for k in range(1500):
        world.market.on_funding(k % 2, k, 60_000 * E8, T0 + k * HOUR)
    rates = world.market.funding_rate(0, limit=1000)
    assert [one["fundingTime"] for one in rates] == [(T0 + k * HOUR) // MS for k in range(0, 1500, 2)]
    assert [one["fundingRate"] for one in world.market.funding_rate(limit=2)] == [e8(1498), e8(1499)]
    start = (T0 + 10 * HOUR) // MS
    assert [one["fundingTime"] for one in world.market.funding_rate(0, start, None, 2)] == [
        start,
        start + 2 * 3_600_000,
    ]


def test_of_the_forced_orders_of_a_second_the_largest_is_published():
    world = World("btcusdt@forceOrder", "!forceOrder@arr", "ethusdt@forceOrder")
    world.market.on_forced(0, SELL, 5, 59_000 * E8, 59_001 * E8, world.now // MS)
    world.market.on_forced(0, BUY, 50, 58_000 * E8, 58_001 * E8, world.now // MS + 1)
    world.market.on_forced(0, SELL, 7, 57_000 * E8, 57_001 * E8, world.now // MS + 2)
    world.market.on_forced(1, SELL, 1, 3_000 * E8, 3_000 * E8, world.now // MS)
    assert world.hub.heard == []
    world.wait(SECOND)
    (forced,) = world.hub.of("btcusdt@forceOrder")
    assert forced["E"] == world.now // MS
    assert {key: forced["o"][key] for key in "SqpzT"} == {
        "S": "BUY", "q": "0.050", "p": "58000.00", "z": "0.050", "T": T0 // MS + 1,
    }  # fmt: skip
    assert len(world.hub.of("!forceOrder@arr")) == 2
    world.wait(SECOND)
    assert len(world.hub.heard) == 4


def test_a_contract_shows_its_brackets_when_these_have_changed():
    world = World("!contractInfo")
    world.market.on_contract(0, "SETTLING")
    world.market.on_contract(
        1, brackets=[(0, 5_000 * E8, 1_000_000, 0, 50), (5_000 * E8, 25_000 * E8, 2_500_000, 75 * E8, 20)]
    )
    plain_one, changed = world.hub.of("!contractInfo")
    assert (plain_one["cs"], "bks" in plain_one) == ("SETTLING", False)
    assert changed["bks"] == [
        {"bs": 1, "bnf": 0, "bnc": 5000, "mmr": 0.01, "cf": 0, "mi": 21, "ma": 50},
        {"bs": 2, "bnf": 5000, "bnc": 25000, "mmr": 0.025, "cf": 75, "mi": 1, "ma": 20},
    ]
    assert world.market.funding_info()[1]["fundingIntervalHours"] == 8


def test_a_margin_coin_has_an_index_once_the_source_tells_one():
    world = World("!assetIndex@arr")
    assert world.market.asset_index("BNBUSD") is None
    world.market.on_array(row(Kind.ASSET_INDEX, T0, a=int(Asset.BNB), b=600 * E8))
    body = world.market.asset_index("BNBUSD")
    share = world.accounts[0].asset(int(Asset.BNB))["ratio_e8"]
    assert (body["index"], body["bidRate"]) == ("600.00000000", e8(600 * share))
    assert [one["symbol"] for one in world.market.asset_index()] == ["USDTUSD", "BNBUSD"]


# ---------------------------------------------------------------------- statistics


def test_open_interest_is_the_longs_of_everybody():
    world = World("nothing")
    world.index(60_000 * E8)
    world.quote()
    world.send(2, BUY, 300, 600_010)
    world.send(3, SELL, 100, 600_000)
    assert world.market.open_interest(0)["openInterest"] == "0.400"
    world.wait(300 * SECOND)
    (sampled,) = world.market.open_interest_hist(0, "5m")
    assert sampled["sumOpenInterest"] == "0.40000000"
    assert float(sampled["sumOpenInterestValue"]) == pytest.approx(0.4 * world.venue.fund.position(0)["mark_e8"] / E8)
    (accounts,) = world.market.long_short_ratio("globalLongShortAccountRatio", 0, "5m")
    assert (accounts["longAccount"], accounts["longShortRatio"]) == ("0.5000", "1.0000")


def test_a_ratio_exists_where_all_are_on_one_side():
    world = World("nothing", accounts=4)
    world.index(60_000 * E8)
    world.accounts[0].fill(0, 10, 600_000, 0)
    world.wait(300 * SECOND)
    (only,) = world.market.long_short_ratio("topLongShortPositionRatio", 0, "5m")
    assert (only["longAccount"], only["shortAccount"], only["longShortRatio"]) == ("0.9999", "0.0001", "9999.0000")


def test_longer_periods_are_those_samples_that_lie_on_them_and_all_are_bounded():
    world = World("nothing", symbols=("BTCUSDT",), accounts=1)
    world.index(60_000 * E8)
    for _ in range(700):
        world.wait(50 * SECOND)
    stamps = [int(one["timestamp"]) for one in world.market.open_interest_hist(0, "1h", limit=500)]
    assert {stamp % 3_600_000 for stamp in stamps} == {0}
    assert len(stamps) == 700 * 50 // 3600
    assert len(world.market.basis(0, "5m", limit=5)) == 5


def test_taker_volumes_come_from_the_candles():
    world = World("nothing")
    world.quote()
    world.send(2, BUY, 30, 600_010)
    world.send(2, SELL, 10, 600_000)
    (taken,) = world.market.taker_ratio(0, "1h")
    assert (taken["buyVol"], taken["sellVol"], taken["buySellRatio"]) == ("0.0300", "0.0100", "3.0000")


# ---------------------------------------------------------------------- a recording


def messages():
    """Yield the rows of each message of the shipped recording, and the array of it."""
    scanner = Scanner(Instruments([spec()]), 0)
    with gzip.open(RECORDING, "rb") as lines:
        for line in lines:
            stamp, _, message = line.rstrip().partition(b" ")
            if scanner.feed(message, int(stamp) * 1000) == 0 and len(scanner.rows):
                yield scanner.rows.array()


@pytest.fixture(scope="module")
def replayed():
    instruments = Instruments([spec()])
    venue = Exchange(instruments, [Account(instruments, 10**5 * E8)], ["stream"], 0.0, 0.0, 0)
    hub = Listeners()
    market = Market(venue, hub, [facts()])
    halfway = None
    for k, rows in enumerate(messages()):
        market.advance(int(rows["ts"][0]))
        venue.feed(rows)
        market.on_array(rows)
        if k == 6_000:
            halfway = market.depth(0, 1000)
    market.advance(int(rows["ts"][-1]) + SECOND)
    return venue, hub, market, halfway


def test_a_recording_is_published_stream_by_stream(replayed):
    venue, hub, market, _ = replayed
    assert venue.books[0].is_usable
    heard = {name for name, _ in hub.heard}
    assert {"btcusdt@depth@0ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice@1s"} <= heard
    trades = [one for one in hub.of("btcusdt@trade") if one["X"] == "MARKET"]
    assert [one["id"] for one in market.trades(0, 1000)] == [one["t"] for one in trades][-1000:]


@pytest.mark.parametrize("speed", ["@0ms", "@100ms", "", "@500ms"])
def test_whoever_follows_a_recordings_diffs_has_the_venues_book(replayed, speed):
    venue, hub, market, halfway = replayed
    diffs = hub.of(f"btcusdt@depth{speed}")
    assert all(later["pu"] == before["u"] for before, later in pairwise(diffs))
    assert all(one["U"] <= one["u"] and one["E"] >= one["T"] for one in diffs)
    followed = [one for one in diffs if one["u"] >= halfway["lastUpdateId"]]
    assert len(followed) > 50
    assert followed[0]["U"] <= halfway["lastUpdateId"]
    sides = [dict(halfway["bids"]), dict(halfway["asks"])]
    for one in followed:
        for side, levels in zip(sides, (one["b"], one["a"]), strict=True):
            side.update(levels)
    now = market.depth(0, 200)
    assert followed[-1]["u"] == now["lastUpdateId"] == venue.books[0].last_id
    for side, levels, best in zip(sides, (now["bids"], now["asks"]), (True, False), strict=True):
        left = sorted(((p, q) for p, q in side.items() if float(q)), key=lambda one: float(one[0]), reverse=best)
        assert [list(one) for one in left[:200]] == levels
