"""A plain reading of what is published about a symbol: each message as a dictionary, written by the JSON library."""

from decimal import Decimal, localcontext

import orjson


class PayloadWriter:
    def __init__(self, symbol, pair, tick_e8, lot_e8, price_decimals, lot_decimals):
        self.symbol, self.pair = symbol, pair
        self.steps = {"price": (tick_e8, price_decimals), "quantity": (lot_e8, lot_decimals)}

    def text(self, what, count):
        step_e8, decimals = self.steps[what]
        with localcontext(prec=60):
            return f"{Decimal(count * step_e8).scaleb(-8):.{decimals}f}"

    def side(self, levels, side):
        return [[self.text("price", ticks), self.text("quantity", lots)] for at, ticks, lots in levels if at == side]

    def depth(self, event, stamp, first, last, before, levels):
        return orjson.dumps(
            {
                "e": "depthUpdate", "E": event, "T": stamp, "s": self.symbol, "U": first, "u": last, "pu": before,
                "b": self.side(levels, 0), "a": self.side(levels, 1), "ps": self.pair, "st": 1,
            }
        )  # fmt: skip

    def touch(self, event, stamp, last, bid, bid_lots, ask, ask_lots):
        return orjson.dumps(
            {
                "e": "bookTicker", "u": last, "E": event, "T": stamp, "s": self.symbol, "ps": self.pair,
                "b": self.text("price", bid), "B": self.text("quantity", bid_lots),
                "a": self.text("price", ask), "A": self.text("quantity", ask_lots), "st": 1,
            }
        )  # fmt: skip

    def trade(self, stamp, number, ticks, lots, sells, insured):
        return orjson.dumps(
            {
                "e": "trade", "E": stamp, "T": stamp, "s": self.symbol, "t": number, "p": self.text("price", ticks),
                "q": self.text("quantity", lots), "X": "INSURANCE_FUND" if insured else "MARKET", "m": sells,
            }
        )  # fmt: skip
