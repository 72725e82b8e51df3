"""One account at the exchange in a few lines: what the exchange says of an order's life, and the engine that hears it.

Knows payloads as the exchange writes them, by default those of a limit order to buy 0.010 BTCUSDT. Refuses to know what
they mean.
"""

from builders import row
from test_engine import EPOCH, engine

from autotrader.adapters.binance.account_events import AccountEvents
from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.reading import client_name
from core_ext.types import Kind, OrderType

NOW = 1_750_000_000_000_000_000
NOW_MS = NOW // 10**6
LOTS, TICKS = 10, 1_000_000
TIMER_ASKS = -1  # the engine's wake-up that asks for what is unknown


class Account:
    """An engine with one order at the venue's mercy, and what reads the venue's words."""

    def __init__(self, lots=LOTS, ticks=TICKS, side=0, **order):
        self.engine = engine(symbols=2)
        self.engine.feed(row(Kind.MARK, NOW, a=TICKS * 10**7, b=TICKS * 10**7))
        self.order = self.engine.orders.insert_for_test(0, side, ticks, lots, **order)
        self.engine.gate.observe(NOW)  # it was not asked: what it holds has to be counted
        self.events = AccountEvents(self.engine.instruments, {EPOCH})
        self.answers = Answers(self.events.evidence)
        self.events.note(row(Kind.ORDER, NOW, a=self.order, b=ticks, c=lots))

    @property
    def name(self):
        return client_name(self.order)

    @property
    def state(self):
        return self.engine.orders.order(self.order)["state"]

    @property
    def lots(self):
        return self.engine.account.position(0)["lots"]

    def hear(self, *events):
        """Let the engine hear events; return the kinds of the rows that they made."""
        return [kind for event in events for kind in self.feed(self.events.rows(event, NOW))]

    def feed(self, rows):
        self.engine.feed(rows)
        return [Kind(kind).name for kind in rows["kind"].tolist()]

    def second(self):
        """Let the engine's wake-up come."""
        self.engine.feed(row(Kind.TIMER, NOW, a=TIMER_ASKS))

    def end_state(self):
        """Return the engine's whole state without the number of rows that led to it."""
        self.second()
        now, _, *rest = self.engine.state()
        return now, rest


def order_event(name, happened="NEW", status=None, done=0, at_ms=0, **changes):
    """Return an ORDER_TRADE_UPDATE."""
    body = {
        "s": "BTCUSDT", "c": name, "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "0.010", "p": "100000.0", "ap": "0",
        "sp": "0", "x": happened, "X": status or happened, "i": 7, "l": "0", "z": quantity(done), "L": "0",
        "T": NOW_MS + at_ms, "t": 0, "b": "0", "a": "0", "m": False, "R": False, "wt": "CONTRACT_PRICE", "ot": "LIMIT",
        "ps": "BOTH", "cp": False, "pP": False, "si": 0, "ss": 0, "rp": "0", "V": "EXPIRE_MAKER", "pm": "NONE",
        "gtd": 0, "er": "0",
    }  # fmt: skip
    return {"e": "ORDER_TRADE_UPDATE", "E": NOW_MS + at_ms, "T": NOW_MS + at_ms, "o": body | changes}


def trade_event(name, trade, lots, done, status="PARTIALLY_FILLED", price="100000.0", at_ms=0, **changes):
    """Return the ORDER_TRADE_UPDATE of a fill."""
    paid = {"N": "USDT", "n": "0.01000000", "m": True, "l": quantity(lots), "L": price, "t": trade}
    return order_event(name, "TRADE", status, done, at_ms, **paid | changes)


def algo_event(name, status, at_ms=0, **changes):
    """Return an ALGO_UPDATE of a stop to sell 0.010 BTCUSDT."""
    body = {
        "caid": name, "aid": 1_000_000_033_225_453, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT",
        "S": "SELL", "ps": "BOTH", "f": "GTC", "q": "0.010", "X": status, "ai": "", "tp": "95000.0", "p": "0",
        "V": "EXPIRE_MAKER", "wt": "MARK_PRICE", "pm": "NONE", "cp": False, "pP": False, "R": True, "tt": 0, "gtd": 0,
    }  # fmt: skip
    return {"e": "ALGO_UPDATE", "E": NOW_MS + at_ms, "T": NOW_MS + at_ms, "o": body | changes}


def account_event(why, balances=(), positions=(), **changes):
    """Return an ACCOUNT_UPDATE."""
    body = {"m": why, "B": list(balances), "P": list(positions)}
    return {"e": "ACCOUNT_UPDATE", "E": NOW_MS, "T": NOW_MS, "a": body | changes}


def balance(change, wallet="10000.00000000", asset="USDT"):
    return {"a": asset, "wb": wallet, "cw": wallet, "bc": change}


def held(side="BOTH", margin="cross", wallet="0", symbol="BTCUSDT"):
    return {
        "s": symbol, "pa": "0.010", "ep": "100000", "bep": "100000", "cr": "0", "up": "0", "mt": margin, "iw": wallet,
        "ps": side,
    }  # fmt: skip


def order_body(name, status="NEW", done=0, at_ms=0, **changes):
    """Return the body of an ordinary order."""
    return {
        "orderId": 7, "symbol": "BTCUSDT", "status": status, "clientOrderId": name, "price": "100000.00",
        "origQty": "0.010", "executedQty": quantity(done), "cumQty": quantity(done), "timeInForce": "GTC",
        "type": "LIMIT", "reduceOnly": False, "closePosition": False, "side": "BUY", "positionSide": "BOTH",
        "stopPrice": "0.00", "workingType": "CONTRACT_PRICE", "priceProtect": False, "origType": "LIMIT",
        "priceMatch": "NONE", "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": 0,
        "updateTime": NOW_MS + at_ms,
    } | changes  # fmt: skip


def algo_body(name, status="NEW", **changes):
    """Return the body of a stop to sell 0.010 BTCUSDT."""
    return {
        "algoId": 2_146_760, "clientAlgoId": name, "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH", "timeInForce": "GTC", "quantity": "0.010",
        "algoStatus": status, "triggerPrice": "95000.00", "price": "0.00", "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER", "workingType": "MARK_PRICE", "priceMatch": "NONE",
        "closePosition": False, "priceProtect": False, "reduceOnly": True, "activatePrice": "", "callbackRate": "",
        "createTime": NOW_MS, "updateTime": NOW_MS, "triggerTime": 0, "goodTillDate": 0, "actualOrderId": "",
    } | changes  # fmt: skip


def trade_body(trade, lots, price="100000.00", **changes):
    """Return one of the account's trades."""
    return {
        "symbol": "BTCUSDT", "id": trade, "orderId": 7, "side": "BUY", "price": price, "qty": quantity(lots),
        "realizedPnl": "0", "quoteQty": "1000", "commission": "0.01000000", "commissionAsset": "USDT", "time": NOW_MS,
        "positionSide": "BOTH", "buyer": True, "maker": True, "marginAsset": "USDT", "baseQty": "0", "pair": "BTCUSDT",
    } | changes  # fmt: skip


def quantity(lots):
    return f"{lots / 1000:.3f}"


STOP = {"side": 1, "ticks": 0, "type": int(OrderType.STOP_MARKET), "reduce_only": True}
