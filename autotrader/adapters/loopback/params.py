"""Parameters of a request: from their texts to what the venue takes, with the exchange's complaints.

Knows which parameters an order may and must have and how each is written. Refuses to know accounts, limits and books.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import orjson

from autotrader.adapters.loopback.codes import refusal
from autotrader.adapters.loopback.orders import MATCHES, POSITION_SIDES, SIDES, STPS, TIFS, TYPES, Asked
from autotrader.adapters.loopback.symbols import Symbol, money
from core_ext.types import OrderType, Term

__all__ = ["Params", "algo_order", "amendment", "new_order", "text_of"]

_CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_LAST_MS = 253_402_300_799_000
_CALLBACKS_E8 = (10_000_000, 2_000_000_000)  # percent
_WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT})
_CLOSERS = frozenset({OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})
_WORKING = {"CONTRACT_PRICE": 0, "MARK_PRICE": int(Term.MARK_TRIGGER)}
_DEFAULT_STP = STPS.index("EXPIRE_MAKER")

Value = TypeVar("Value")


class Params:
    """The parameters of one request.

    Parameters
    ----------
    values : mapping of str to str
    """

    def __init__(self, values: Mapping[str, str]):
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter, or the default for one that was not sent or is empty."""
        return self._values.get(name) or default

    def need(self, name: str) -> str:
        """Return a parameter that must be there.

        Raises
        ------
        Refusal
            -1102.
        """
        value = self._values.get(name)
        if not value:
            raise refusal(-1102, name)
        return value

    def integer(self, name: str, default: int = 0, least: int = -(10**18), most: int = 10**18) -> int:
        """Return a whole number.

        Raises
        ------
        Refusal
            -1100 for what is none, -1130 outside the bounds.
        """
        value = self.text(name)
        if not value:
            return default
        if not _INTEGER.fullmatch(value):
            raise refusal(-1100)
        if not least <= int(value) <= most:
            raise refusal(-1130, name)
        return int(value)

    def needed_integer(self, name: str) -> int:
        """Return a whole number that must be there."""
        self.need(name)
        return self.integer(name)

    def flag(self, name: str) -> bool:
        """Return a flag; requests write it as text.

        Raises
        ------
        Refusal
            -1130 for another word.
        """
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise refusal(-1130, name)
        return value == "true"

    def choice(self, name: str, words: Sequence[str], code: int, default: str = "") -> int:
        """Return the position of a word in a list.

        Raises
        ------
        Refusal
            -1102 for a missing one without default, ``code`` for another word.
        """
        value = self.text(name, default) if default else self.need(name)
        if value not in words:
            raise refusal(code, name)
        return words.index(value)

    def window(self, longest_ms: int) -> tuple[int, int]:
        """Return (startTime, endTime) in ms, 0 where not sent.

        Raises
        ------
        Refusal
            -1023 for a start after the end, -1127 for a longer window.
        """
        start, end = self.integer("startTime", least=0), self.integer("endTime", least=0)
        if start and end and start > end:
            raise refusal(-1023)
        if start and end and end - start > longest_ms:
            raise refusal(-1127)
        return start, end


def text_of(value: object) -> str:
    """Return a parameter that came as JSON as the text that it would be in a query; "" for null.

    Raises
    ------
    Refusal
        -1100 for what is nested too deeply to be written.
    """
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise refusal(-1100) from None


def new_order(params: Params, symbol: Symbol, default_id: str) -> Asked:
    """Return what POST order asks for.

    Raises
    ------
    Refusal
    """
    side = params.choice("side", SIDES, -1117)
    kind = params.choice("type", TYPES, -1116)
    if kind > OrderType.MARKET:
        raise refusal(-4120)
    asked = Asked(symbol, _client_id(params, "newClientOrderId", default_id), side, kind)
    asked.position_side = params.choice("positionSide", POSITION_SIDES, -4060, "BOTH")
    asked.reduce_only = params.flag("reduceOnly")
    _limit_terms(params, asked)
    asked.lots = symbol.lots(params.need("quantity"))
    _common(params, asked)
    return asked


def algo_order(params: Params, symbol: Symbol, default_id: str) -> Asked:
    """Return what POST algoOrder asks for.

    Raises
    ------
    Refusal
    """
    params.choice("algoType", ("CONDITIONAL",), -1130)
    side = params.choice("side", SIDES, -1117)
    kind = params.choice("type", TYPES, -1116)
    if kind <= OrderType.MARKET:
        raise refusal(-1116)
    asked = Asked(symbol, _client_id(params, "clientAlgoId", default_id), side, kind)
    asked.position_side = params.choice("positionSide", POSITION_SIDES, -4060, "BOTH")
    asked.reduce_only = params.flag("reduceOnly")
    _limit_terms(params, asked)
    _trigger(params, asked)
    if params.flag("closePosition"):
        _close(params, asked)
    else:
        asked.lots = symbol.lots(params.need("quantity"))
    _common(params, asked)
    return asked


def amendment(params: Params, symbol: Symbol) -> tuple[int, int, int, int]:
    """Return (lots, ticks, price match, modify id) of PUT order.

    Raises
    ------
    Refusal
    """
    params.choice("side", SIDES, -1117)
    lots = symbol.lots(params.need("quantity"))
    match = params.choice("priceMatch", MATCHES, -5037, "NONE")
    ticks = 0 if match and not params.text("price") else symbol.ticks(params.need("price"))
    return lots, ticks, match, params.integer("modifyId", least=0)


def _client_id(params: Params, name: str, default: str) -> str:
    value = params.text(name, default)
    if not _CLIENT_ID.fullmatch(value):
        raise refusal(-4015)
    return value


def generated_id(*parts: object) -> str:
    """Return an id of 22 letters and digits for an order that was sent without one."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:22]


def _limit_terms(params: Params, asked: Asked) -> None:
    # Price, its match and time in force, for the types that have a limit.
    sent = params.text("timeInForce")
    if asked.type not in _WITH_LIMIT:
        if sent and sent not in ("GTC", "GTE_GTC"):
            raise refusal(-1106, "timeInForce")
        if sent and asked.type == OrderType.MARKET:
            raise refusal(-1106, "timeInForce")
        if params.text("price") and money(params.text("price")):
            raise refusal(-1106, "price")
        if params.choice("priceMatch", MATCHES, -5037, "NONE"):
            raise refusal(-5038)
        return
    if asked.type == OrderType.LIMIT:
        params.need("timeInForce")
    asked.tif = params.choice("timeInForce", TIFS, -1115, "GTC")
    asked.price_match = params.choice("priceMatch", MATCHES, -5037, "NONE")
    if not asked.price_match or params.text("price"):
        asked.ticks = asked.symbol.ticks(params.need("price"))


def _trigger(params: Params, asked: Asked) -> None:
    asked.terms |= list(_WORKING.values())[params.choice("workingType", tuple(_WORKING), -4031, "CONTRACT_PRICE")] | (
        int(Term.PRICE_PROTECT) if params.flag("priceProtect") else 0
    )
    if asked.type != OrderType.TRAILING_STOP_MARKET:
        asked.trigger_ticks = asked.symbol.ticks(params.need("triggerPrice"), "triggerPrice")
        return
    rate = money(params.need("callbackRate"))
    if rate % 1_000_000 or not _CALLBACKS_E8[0] <= rate <= _CALLBACKS_E8[1]:
        raise refusal(-1130, "callbackRate")
    asked.callback_e8 = rate // 100
    activate = params.text("activatePrice") or params.text("activationPrice")
    if activate:
        asked.activate_ticks = asked.symbol.ticks(activate, "activatePrice")


def _close(params: Params, asked: Asked) -> None:
    if params.text("quantity") and money(params.text("quantity")):
        raise refusal(-4137)
    if asked.type not in _CLOSERS:
        raise refusal(-1106, "closePosition")
    asked.terms |= int(Term.CLOSE_POSITION)


def _common(params: Params, asked: Asked) -> None:
    asked.stp = params.choice("selfTradePreventionMode", STPS, -5039, STPS[_DEFAULT_STP])
    params.choice("newOrderRespType", ("ACK", "RESULT"), -1136, "ACK")
    asked.good_till_ms = params.integer("goodTillDate", least=0)
    if asked.tif != TIFS.index("GTD"):
        asked.good_till_ms = 0
    elif not asked.good_till_ms:
        raise refusal(-1102, "goodTillDate")
    elif asked.good_till_ms >= _LAST_MS:
        raise refusal(-5040)
    else:
        asked.good_till_ms -= asked.good_till_ms % 1000
