"""An account as its event stream alone tells it: open orders, conditional orders, positions and wallets.

Knows the fields of ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, ALGO_UPDATE and ACCOUNT_CONFIG_UPDATE and how the same facts are
named in answers. Refuses to work anything out: what the stream does not say is not here.
"""

from dataclasses import dataclass, field

OPEN = ("NEW", "PARTIALLY_FILLED")
ORDER_FIELDS = {
    "symbol": "s", "clientOrderId": "c", "side": "S", "type": "o", "timeInForce": "f", "status": "X", "orderId": "i",
    "reduceOnly": "R", "workingType": "wt", "origType": "ot", "positionSide": "ps", "closePosition": "cp",
    "priceProtect": "pP", "selfTradePreventionMode": "V", "priceMatch": "pm", "goodTillDate": "gtd", "updateTime": "T",
}  # fmt: skip
ORDER_AMOUNTS = {"origQty": "q", "price": "p", "executedQty": "z", "avgPrice": "ap", "stopPrice": "sp"}
ALGO_FIELDS = {
    "clientAlgoId": "caid", "algoId": "aid", "algoType": "at", "orderType": "o", "symbol": "s", "side": "S",
    "positionSide": "ps", "timeInForce": "f", "algoStatus": "X", "selfTradePreventionMode": "V", "workingType": "wt",
    "priceMatch": "pm", "closePosition": "cp", "priceProtect": "pP", "reduceOnly": "R", "triggerTime": "tt",
    "goodTillDate": "gtd",
}  # fmt: skip
ALGO_AMOUNTS = {"quantity": "q", "triggerPrice": "tp", "price": "p"}


def units(text):
    """Return a decimal text as whole units of 1e-8."""
    whole, _, places = text.lstrip("-").partition(".")
    size = int(whole) * 10**8 + int(places[:8].ljust(8, "0"))
    return -size if text[0] == "-" else size


@dataclass
class Mirror:
    """One account, from its events."""

    orders: dict = field(default_factory=dict)  # order id -> "o", the ended ones of this step too
    algos: dict = field(default_factory=dict)  # algo id -> "o"
    positions: dict = field(default_factory=dict)  # (symbol, position side) -> row of "P"
    wallets: dict = field(default_factory=dict)  # asset -> (wallet, cross wallet)
    leverage: dict = field(default_factory=dict)
    multi_assets: bool = False

    def hear(self, event):
        match event["e"]:
            case "ORDER_TRADE_UPDATE":
                self.orders[event["o"]["i"]] = event["o"]
            case "ALGO_UPDATE":
                self.algos[event["o"]["aid"]] = event["o"]
            case "ACCOUNT_UPDATE":
                for row in event["a"]["B"]:
                    self.wallets[row["a"]] = units(row["wb"]), units(row["cw"])
                for row in event["a"]["P"]:
                    self.positions[row["s"], row["ps"]] = row
            case "ACCOUNT_CONFIG_UPDATE" if "ac" in event:
                self.leverage[event["ac"]["s"]] = event["ac"]["l"]
            case "ACCOUNT_CONFIG_UPDATE":
                self.multi_assets = event["ai"]["j"]

    def forget_ended(self):
        self.orders = {number: o for number, o in self.orders.items() if o["X"] in OPEN}
        self.algos = {number: o for number, o in self.algos.items() if o["X"] in ("NEW", "TRIGGERING", "TRIGGERED")}

    def open_orders(self):
        return [o for o in self.orders.values() if o["X"] in OPEN]

    def open_algos(self):
        return [o for o in self.algos.values() if o["X"] == "NEW"]


def same_order(answer, told):
    """Check that an answer about an order says what the stream said last."""
    for name, short in ORDER_FIELDS.items():
        assert answer[name] == told[short], (name, answer, told)
    for name, short in ORDER_AMOUNTS.items():
        if name in answer:
            assert units(answer[name]) == units(told[short]), (name, answer, told)


def same_algo(answer, told):
    """Check that an answer about a conditional order says what the stream said last."""
    for name, short in ALGO_FIELDS.items():
        assert answer[name] == told[short], (name, answer, told)
    for name, short in ALGO_AMOUNTS.items():
        assert units(answer[name]) == units(told[short]), (name, answer, told)
