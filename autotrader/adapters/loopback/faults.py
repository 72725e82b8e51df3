"""What the exchange is told to do wrong, to whom, and when: a plan that the server asks at every step.

Knows the faults, their keys, and the exact words of the exchange's errors. Refuses to know sockets, accounts and
clocks: it is asked with the time and answers with what to do. A plan is a TOML file of ``[[fault]]`` tables; the
control port hands in the same tables one by one. The same plan, seed and questions give the same answers.

A fault without a selector concerns everybody. Of the faults that a request, an event or a connection matches, the
first in the plan's order that fires decides; ``weight`` and ``skew`` add up. A fault fires once unless ``count`` says
otherwise; those that last (``mute``, ``hold``, ``maintenance``, ``weight``, ``skew``) go on until ``until_s`` or until
they are removed. ``after_s``, ``until_s`` and ``at_s`` count seconds of exchange time since the opening; without
``at_s`` a deed at a time is due at once, and a deed on connections waits for the next one that opens. A request over
the WebSocket API is asked about as the REST request that it equals. ``reference`` is the table of all of this.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson

from autotrader.adapters.loopback.codes import TEXTS
from autotrader.adapters.loopback.limits import BANNED, TOO_MANY
from autotrader.adapters.loopback.symbols import COINS
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["CATALOGUE", "ENTRIES", "Deed", "Fate", "Fault", "Faults", "reference", "unserved"]

E8 = 10**8
MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
MAX_FAULTS = 256
MAX_PLAN_BYTES = 1 << 20
MAX_HELD = 4096
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
JSON, HTML = "application/json", "text/html"

# Where the catalogue of faults asks for the exchange's side.
_ASKED = (
    "A1 A2 A4 A7 A8 A9 A10 A15 A17 A18 A19 A20 B1 B2 B3 B5 B6 B12 B14 B15 B16 B17 B18 B19 B20 B22 B23 B25 "
    "C1 C2 C3 C8 C9 C10 C11 C12 C13 C14 C15 D1 D2 D3 D4 D6 D13 D14 E5 F17 H11 H12 H15"
)
CATALOGUE = tuple(_ASKED.split())

# ---------------------------------------------------------------------------------- which values a key may have


class _NotAllowedError(ValueError):
    """A value that its rule refuses."""


@dataclass(frozen=True)
class _Rule:
    # ``kind`` names the reader; numbers have bounds, decimals become integers at 1e-8.
    kind: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    default: object = None
    required: bool = False

    def read(self, value: object) -> object:
        """Return the value as a deed keeps it."""
        return _READERS[self.kind](self, value)

    def words(self) -> str:
        """Return the allowed values in the operator's language."""
        if self.kind in ("number", "decimal"):
            return say("rule.number", low=_figure(self.low), high=_figure(self.high))
        if self.kind == "whole":
            return say("rule.whole", low=_figure(self.low), high=_figure(self.high))
        if self.kind == "choice":
            return say("rule.one_of", choices=", ".join(self.choices))
        if self.kind == "flag":
            return say("rule.one_of", choices="true, false")
        return say("loopback.fault_rows") if self.kind == "rows" else say("loopback.fault_text", most=int(self.high))


def _figure(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.8f}".rstrip("0")


def _within(rule: _Rule, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not rule.low <= value <= rule.high:
        raise _NotAllowedError


def _read_number(rule: _Rule, value: object) -> float:
    _within(rule, value)
    assert isinstance(value, int | float)
    return float(value)


def _read_whole(rule: _Rule, value: object) -> int:
    _within(rule, value)
    if not isinstance(value, int):
        raise _NotAllowedError
    return value


def _read_decimal(rule: _Rule, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _NotAllowedError
    if isinstance(value, str) and PLAIN_NUMBER.fullmatch(value) is None:
        raise _NotAllowedError
    try:
        scaled = Decimal(str(value)) * E8
        if not rule.low * E8 <= scaled <= rule.high * E8 or scaled != scaled.to_integral_value():
            raise _NotAllowedError
    except (ArithmeticError, ValueError):
        raise _NotAllowedError from None
    return int(scaled)


def _read_choice(rule: _Rule, value: object) -> str | int:
    # Choices that are numbers may be written as such.
    meant = [int(choice) if choice.isdigit() else choice for choice in rule.choices]
    for choice in meant:
        if not isinstance(value, bool) and (value == choice or value == str(choice)):
            return choice
    raise _NotAllowedError


def _read_flag(_: _Rule, value: object) -> bool:
    if not isinstance(value, bool):
        raise _NotAllowedError
    return value


def _read_text(rule: _Rule, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= rule.high:
        raise _NotAllowedError
    return value


def _read_rows(_: _Rule, value: object) -> tuple[tuple[int, ...], ...]:
    # Rows of [notional floor, cap, maintenance ratio, leverage]; the maintenance amount follows from them.
    if not isinstance(value, list) or not 1 <= len(value) <= 16:
        raise _NotAllowedError
    rows = [_read_bracket(row) for row in value]
    if rows[0][0] or any(above[0] != below[1] or above[2] <= below[2] for below, above in pairwise(rows)):
        raise _NotAllowedError
    amounts = [0]
    for below, above in pairwise(rows):
        amounts.append(amounts[-1] + above[0] * (above[2] - below[2]) // E8)
    return tuple(
        (floor, cap, ratio, amount, most) for (floor, cap, ratio, most), amount in zip(rows, amounts, strict=True)
    )


def _read_bracket(row: object) -> tuple[int, int, int, int]:
    if not isinstance(row, list) or len(row) != 4:
        raise _NotAllowedError
    floor, cap = (_read_decimal(_Rule("decimal", 0, 10**10), part) for part in row[:2])
    if floor >= cap:
        raise _NotAllowedError
    return floor, cap, _read_decimal(_Rule("decimal", 0.0001, 1), row[2]), _read_whole(_Rule("whole", 1, 150), row[3])


_READERS: dict[str, Callable[[_Rule, object], object]] = {
    "number": _read_number,
    "whole": _read_whole,
    "decimal": _read_decimal,
    "choice": _read_choice,
    "flag": _read_flag,
    "text": _read_text,
    "rows": _read_rows,
}


def _number(low: float, high: float, default: float | None = None, required: bool = False) -> _Rule:
    return _Rule("number", low, high, default=default, required=required)


def _whole(low: int, high: int, default: int | None = None, required: bool = False) -> _Rule:
    return _Rule("whole", low, high, default=default, required=required)


def _decimal(low: float, high: float, required: bool = False) -> _Rule:
    return _Rule("decimal", low, high, required=required)


def _choice(*choices: str, default: int | None = None, required: bool = True) -> _Rule:
    return _Rule("choice", choices=choices, default=default, required=required and default is None)


_YEAR_S = 366 * 86_400
_TEXT = _Rule("text", high=128)
_NEEDED_TEXT = _Rule("text", high=128, required=True)
_FLAG = _Rule("flag", default=False)
_DONE = _Rule("flag", default=True)
_BODY = _Rule("text", high=1 << 20, required=True)
_PRICE = _decimal(1e-8, 10**8, required=True)
_AMOUNT = _decimal(1e-8, 9 * 10**9, required=True)
_ASSET = _choice(*COINS)
_STATUS = _choice(
    "TRADING", "PENDING_TRADING", "PRE_SETTLE", "SETTLING", "PRE_DELIVERING", "DELIVERING", "DELIVERED", "CLOSE"
)
_JUMP = {"symbol": _NEEDED_TEXT, "percent": _number(-99, 1000, required=True), "hold_s": _number(0, 86_400, 0.0)}
_HOW = _choice(
    "truncate", "not_utf8", "bom", "deep", "huge_frame", "huge_number", "nan_price", "negative_price", "int_price",
    "duplicate_keys", "unknown_field", "unknown_event", "unknown_status",
)  # fmt: skip

# What a fault may say about itself, by what it happens to.
_WINDOW = {
    "after_s": _number(0, _YEAR_S, 0.0),
    "until_s": _number(0, _YEAR_S),
    "skip": _whole(0, 10**9, 0),
    "count": _whole(1, 10**9),
    "share": _number(0, 1, 1.0),
}
_SELECTORS = {
    "request": ("method", "path", "account", "symbol", "type", "side"),
    "event": ("stream", "event", "symbol", "account"),
    "connection": ("path", "account"),
    "time": (),
    "clock": (),
}
_COMMON: dict[str, dict[str, _Rule]] = {
    "request": _WINDOW | {"delay_s": _number(0, 86_400, 0.0)},
    "event": _WINDOW,
    "connection": _WINDOW | {"at_s": _number(0, _YEAR_S), "delay_s": _number(0, 86_400, 0.0)},
    "time": {"at_s": _number(0, _YEAR_S, 0.0)},
    "clock": {"after_s": _WINDOW["after_s"], "until_s": _WINDOW["until_s"]},
}
_HEADINGS = {
    "request": "On requests",
    "event": "On events",
    "connection": "On connections",
    "time": "At a time",
    "clock": "On the clock",
}
_SELECTOR = {name: _TEXT for names in _SELECTORS.values() for name in names}


@dataclass(frozen=True)
class Entry:
    """One deed of the reference: what it happens to, what it does, its keys, and which faults it serves.

    Parameters
    ----------
    do, group, says : str
    serves : str
        Rows of the catalogue of faults, apart by spaces.
    keys : mapping, optional
        Rules of the deed's own keys.
    lasts : bool, optional
        Whether it goes on without a count.
    one_of : tuple of str, optional
        Keys of which a table must have one.
    """

    do: str
    group: str
    says: str
    serves: str = ""
    keys: Mapping[str, _Rule] = field(default_factory=dict)
    lasts: bool = False
    one_of: tuple[str, ...] = ()

    @property
    def rules(self) -> dict[str, _Rule]:
        """Every key of a table with this deed, but for ``name`` and ``do``."""
        selectors = {name: _SELECTOR[name] for name in _SELECTORS[self.group]}
        return selectors | _COMMON[self.group] | dict(self.keys)


def _request(do: str, says: str, serves: str = "", lasts: bool = False, **keys: _Rule) -> Entry:
    return Entry(do, "request", says, serves, keys, lasts)


def _event(do: str, says: str, serves: str = "", lasts: bool = False, **keys: _Rule) -> Entry:
    return Entry(do, "event", says, serves, keys, lasts)


def _connection(do: str, says: str, serves: str = "", **keys: _Rule) -> Entry:
    return Entry(do, "connection", says, serves, keys)


def _time(do: str, says: str, serves: str, **keys: _Rule) -> Entry:
    return Entry(do, "time", says, serves, keys)


ENTRIES: tuple[Entry, ...] = (
    _request("lose_answer", "Carried out, never answered.", "B6 B11"),
    _request("lose_request", "Neither carried out nor answered.", "B2"),
    _request("timeout_done", "HTTP 408, -1007; carried out.", "B1 B3 B5"),
    _request("timeout_undone", "HTTP 408, -1007; not carried out.", "B2 B5"),
    _request("unknown_503_done", "HTTP 503, unknown error; carried out.", "B1 B3 B5"),
    _request("unknown_503_undone", "HTTP 503, unknown error; not carried out.", "B2 B5"),
    _request("unavailable_503", "HTTP 503, service unavailable; not carried out.", "B5"),
    _request(
        "overloaded_503",
        "HTTP 503, -1008, for new orders; reduce-only and close-position orders and cancels are exempt.",
        "B5",
    ),
    _request("internal_503", "HTTP 503, -1001; not carried out.", "B5"),
    _request("bad_gateway_html", "A gateway's HTML, 502 or 504; carried out or not.", "B5",
             status=_choice("502", "504", default=502), done=_FLAG),
    _request("waf_403", "HTTP 403, the firewall's HTML; not carried out.", "D3"),
    _request("error", "An error of the exchange, not carried out; `spare_exits` lets what only reduces pass.",
             "B14 B15 B16 B17 B18 B19 B20 B22 C1 C2 C12 C15 D3 E5 H12",
             code=_whole(-999_999, 999_999, required=True), status=_whole(400, 599, 400),
             text=_Rule("text", high=1024, required=True), spare_exits=_FLAG),
    _request("answer", "Any answer, carried out or not.", "A2 A17 B12 D14",
             status=_whole(200, 599, 200), body=_BODY, done=_FLAG),
    _request("delay", "Answered late; carried out at once.", "A2 B3 D14", delay_s=_number(0, 86_400, required=True)),
    _request("empty_200", "HTTP 200 without a body; carried out or not.", "B5", done=_DONE),
    _request("truncated_json", "Carried out; half of the answer's text under a length that fits it.", "B5"),
    _request("reset", "The connection is cut after so many bytes of the answer; carried out or not.", "B1 B2 B6 B7",
             cut=_whole(0, 1 << 24, 0), done=_FLAG),
    _request("drip", "Answered byte by byte.", "D11", byte_s=_number(0.001, 60, 1.0)),
    _request("ban", "HTTP 418 from here on, whatever the account asks, for a while.", "D2",
             ban_s=_number(1, 3 * 86_400, 120.0)),
    _request("limit", "HTTP 429 with Retry-After.", "D1", retry_s=_whole(1, 3600, 60)),
    _request("maintenance", "HTTP 503, -1016, until it is lifted.", "D13", lasts=True),
    _request("weight", "The headers say that more weight is used.", "D4", lasts=True,
             used=_whole(1, 100_000, required=True)),
    _event("drop", "The event is not sent.", "A1 A17 B14 C7"),
    _event("gap", "One depth diff is not sent.", "A1"),
    _event("duplicate", "The event is sent twice.", "A6 C4"),
    _event("reorder", "The event is sent behind the next of its stream.", "A6 C5 C6 D14"),
    _event("delay", "The event is sent late; those behind it overtake it unless they are late too. "
           "With `stream` or `event` a delay is of events, otherwise of requests.", "A9 B3 D14",
           delay_s=_number(0, 86_400, required=True)),
    _event("hold", "Events wait for `until_s` and then come all at once.", "A5 A9", lasts=True,
           until_s=_number(0, _YEAR_S, required=True)),
    _event("mute", "The stream is silent.", "A3 A4 A10 C3", lasts=True),
    _event("malform", "The event is spoilt.", "A11 A14 A15", how=_HOW),
    _event("replace", "Another text in the event's place.", "A7 A8 A15 A17", payload=_BODY),
    _connection("close", "The server closes, with a code.", "A20", code=_whole(1000, 4999, 1001)),
    _connection("half_open", "The server stops reading and writing; the socket stays.", "A3 D8"),
    _connection("refuse", "The server refuses the connection.", "A10"),
    _connection("slow", "The server writes slowly.", "D9", bytes_per_s=_whole(1, 10**9, required=True)),
    _connection("flap", "The server accepts and closes at once.", "D10"),
    _time("expire_key", "The listen key expires: the event, then silence.", "C1 C2", account=_NEEDED_TEXT),
    _time("revoke_key", "The API key is no longer valid (-2015).", "H12", account=_NEEDED_TEXT),
    _time("status", "A symbol has another status.", "C11 D13", symbol=_NEEDED_TEXT, value=_STATUS),
    _time("filters", "A symbol has other filters.", "B18", symbol=_NEEDED_TEXT, tick=_decimal(1e-8, 10**6),
          step=_decimal(1e-8, 10**6), min_qty=_decimal(1e-8, 10**8), max_qty=_decimal(1e-8, 10**9),
          max_market_qty=_decimal(1e-8, 10**9), min_notional=_decimal(0, 10**6)),
    _time("brackets", "A symbol has other leverage brackets.", "C12", symbol=_NEEDED_TEXT,
          rows=_Rule("rows", required=True)),
    _time("adl", "A share of a position is deleveraged.", "C9", account=_NEEDED_TEXT, symbol=_NEEDED_TEXT,
          share=_number(0.01, 1, 1.0)),
    _time("liquidate", "The account is liquidated.", "B23 C10", account=_NEEDED_TEXT),
    _time("settle", "A symbol is settled and delisted.", "B23 C11", symbol=_NEEDED_TEXT, price=_PRICE),
    _time("funding", "Funding is settled at once, at this rate.", "A19", symbol=_NEEDED_TEXT,
          rate=_decimal(-0.03, 0.03, required=True)),
    Entry("next_funding", "time", "The next funding rate, the interval, or both are others: shown at once, settled at "
          "the stamp. The next stamp never comes later by it.", "A19",
          {"symbol": _NEEDED_TEXT, "rate": _decimal(-0.03, 0.03), "hours": _choice("8", "4", "1", required=False)},
          one_of=("rate", "hours")),
    _time("deposit", "Money comes into the futures wallet.", "C13", account=_NEEDED_TEXT, asset=_ASSET, amount=_AMOUNT),
    _time("withdraw", "Money leaves the futures wallet.", "C13", account=_NEEDED_TEXT, asset=_ASSET, amount=_AMOUNT),
    _time("leverage", "Somebody else sets the leverage.", "C12", account=_NEEDED_TEXT, symbol=_NEEDED_TEXT,
          value=_whole(1, 150, required=True)),
    _time("margin_type", "Somebody else sets the margin type.", "C12", account=_NEEDED_TEXT, symbol=_NEEDED_TEXT,
          value=_choice("ISOLATED", "CROSSED")),
    _time("position_mode", "Somebody else sets the position mode.", "B16", account=_NEEDED_TEXT,
          value=_choice("HEDGE", "ONE_WAY")),
    _time("fee_tier", "The exchange's fees change, for everybody.", "C14", account=_NEEDED_TEXT,
          maker=_decimal(-0.001, 0.01, required=True), taker=_decimal(-0.001, 0.01, required=True)),
    _time("foreign_order", "Somebody else sends a market order.", "B25 H11", account=_NEEDED_TEXT,
          symbol=_NEEDED_TEXT, side=_choice("BUY", "SELL"), quantity=_AMOUNT),
    _time("mark_jump", "The mark price is off by so many percent for a while.", "A13 C10", **_JUMP),
    _time("price_jump", "The market moves by so many percent, and back.", "A12 C10", **_JUMP),
    Entry("skew", "clock", "The server's clock is off, for its answers and for its checks.", "E1 E5",
          {"skew_ms": _whole(-86_400_000, 86_400_000, required=True)}, lasts=True),
)  # fmt: skip


def unserved() -> list[str]:
    """Return the rows of the catalogue that no deed serves."""
    served = {row for entry in ENTRIES for row in entry.serves.split()}
    return [row for row in CATALOGUE if row not in served]


def reference() -> str:
    """Return every deed with its keys as Markdown."""
    parts = []
    for group, heading in _HEADINGS.items():
        keys = [f"`{key}`" for key in (*_SELECTORS[group], *_COMMON[group])]
        parts += [f"## {heading}", "", f"Every deed: {', '.join(keys)}.", ""]
        parts += ["| do | what happens | keys | serves |", "|---|---|---|---|"]
        parts += [_line(entry) for entry in ENTRIES if entry.group == group]
        parts.append("")
    return "\n".join([*parts, f"Served by nothing here: {', '.join(unserved())}.", ""])


def _line(entry: Entry) -> str:
    keys = [f"`{key}`{'' if rule.required else '?'}: {_plain(rule)}" for key, rule in entry.keys.items()]
    return f"| `{entry.do}` | {entry.says} | {'; '.join(keys)} | {entry.serves} |"


def _plain(rule: _Rule) -> str:
    bounds = f" {_figure(rule.low)} to {_figure(rule.high)}" if rule.kind in ("number", "whole", "decimal") else ""
    default = "" if rule.default is None else f" ({str(rule.default).lower()})"
    return (" / ".join(rule.choices) or f"{rule.kind}{bounds}") + default


# ---------------------------------------------------------------------------------- one fault


@dataclass(frozen=True)
class Fault:
    """One validated table.

    Parameters
    ----------
    name, do, group : str
    selectors : mapping of str to str
        ``path`` and ``stream`` are globs, the others are compared whole.
    args : mapping
        The deed's own keys, decimals as integers at 1e-8.
    after_ns, until_ns : int
        Window since the opening; ``until_ns`` -1: without an end.
    skip, count : int
        Matches that pass first, times that it fires; ``count`` 0: without a bound.
    share : float
        Of the matches that fire.
    at_ns : int
        Since the opening; -1: it answers a question instead.
    table : mapping
        As it was written.
    """

    name: str
    do: str
    group: str
    selectors: Mapping[str, str]
    args: Mapping[str, Any]
    after_ns: int
    until_ns: int
    skip: int
    count: int
    share: float
    at_ns: int
    table: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the table that makes this fault."""
        return dict(self.table) | {"name": self.name}

    def matches(self, facts: Mapping[str, str | None]) -> bool:
        """Tell whether the facts of a question are those that the selectors name."""
        return all(_selected(key, wanted, facts.get(key)) for key, wanted in self.selectors.items())


def _selected(key: str, wanted: str, found: str | None) -> bool:
    if found is None:
        return False
    return fnmatchcase(found, wanted) if key in ("path", "stream") else found == wanted


@dataclass(frozen=True)
class Deed:
    """Something to do to a connection, an account or a symbol.

    Parameters
    ----------
    name, do : str
    args : mapping
        The fault's own keys (decimals as integers at 1e-8) and its selectors.
    """

    name: str
    do: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Fate:
    """What becomes of a request.

    Parameters
    ----------
    execute : bool
        Whether it is carried out.
    answer : tuple or None
        Status, body, content type and headers in place of the true answer; None: the true one.
    delay_s : float
        The answer waits so long.
    never : bool
        It is never answered.
    cut : int or None
        The connection is reset after so many bytes of the answer.
    drip_s : float
        Seconds between the answer's bytes.
    half : bool
        Only the first half of the answer's body is sent, with a length that fits it.
    weight : int
        The headers say that so much more is used.
    name : str
        Of the fault; empty: nothing happens.
    """

    execute: bool = True
    answer: tuple[int, bytes, str, tuple[tuple[str, str], ...]] | None = None
    delay_s: float = 0.0
    never: bool = False
    cut: int | None = None
    drip_s: float = 0.0
    half: bool = False
    weight: int = 0
    name: str = ""


CARRIED_OUT = Fate()

# ---------------------------------------------------------------------------------- what becomes of a request

UNKNOWN = "Unknown error, please check your request or try again later."
UNAVAILABLE = "Service Unavailable."
OVERLOADED = (
    "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."
)
SHUT = "This service is no longer available."
GATEWAYS = {502: "Bad Gateway", 504: "Gateway Time-out"}
GATEWAY = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
)
FIREWALL = (
    "<!DOCTYPE HTML>\n<html><head><title>ERROR: The request could not be satisfied</title></head>\n"
    "<body><h1>403 ERROR</h1><h2>The request could not be satisfied.</h2>\nRequest blocked.\n</body></html>\n"
)
NEW_ORDERS = frozenset({"/fapi/v1/order", "/fapi/v1/batchOrders", "/fapi/v1/order/test"})
SPARING = frozenset({"overloaded_503"})

# Carried out, status, code (None: the gateway's own words, without a code), text.
_REFUSALS: dict[str, tuple[bool, int, int | None, str]] = {
    "timeout_done": (True, 408, -1007, TEXTS[-1007]),
    "timeout_undone": (False, 408, -1007, TEXTS[-1007]),
    "unknown_503_done": (True, 503, None, UNKNOWN),
    "unknown_503_undone": (False, 503, None, UNKNOWN),
    "unavailable_503": (False, 503, None, UNAVAILABLE),
    "overloaded_503": (False, 503, -1008, OVERLOADED),
    "internal_503": (False, 503, -1001, TEXTS[-1001]),
    "maintenance": (False, 503, -1016, SHUT),
}


def _said(status: int, code: int | None, text: str, now_ns: int, path: str) -> tuple[int, bytes, str, tuple[()]]:
    body = {"timestamp": now_ns // MS_NS, "path": path} if code is None else {"code": code}
    return status, orjson.dumps(body | {"msg": text}), JSON, ()


def _refused(fault: Fault, now_ns: int, path: str) -> Fate:
    execute, status, code, text = _REFUSALS[fault.do]
    return Fate(execute, _said(status, code, text, now_ns, path))


def _mistaken(fault: Fault, now_ns: int, path: str) -> Fate:
    args = fault.args
    return Fate(False, _said(args["status"], args["code"], args["text"], now_ns, path))


def _limited(fault: Fault, now_ns: int, path: str) -> Fate:
    status, body, kind, _ = _said(429, -1003, TOO_MANY.format(limit=2400, span="minute"), now_ns, path)
    return Fate(False, (status, body, kind, (("Retry-After", str(fault.args["retry_s"])),)))


def _gateway(fault: Fault, *_: object) -> Fate:
    status = fault.args["status"]
    body = GATEWAY.format(f"{status} {GATEWAYS[status]}")
    return Fate(fault.args["done"], (status, body.encode(), HTML, ()))


def _answered(fault: Fault, *_: object) -> Fate:
    return Fate(fault.args["done"], (fault.args["status"], fault.args["body"].encode(), JSON, ()))


_FATES: dict[str, Callable[[Fault, int, str], Fate]] = {
    **dict.fromkeys(_REFUSALS, _refused),
    "error": _mistaken,
    "limit": _limited,
    "bad_gateway_html": _gateway,
    "answer": _answered,
    "lose_answer": lambda *_: Fate(True, never=True),
    "lose_request": lambda *_: Fate(False, never=True),
    "waf_403": lambda *_: Fate(False, (403, FIREWALL.encode(), HTML, ())),
    "delay": lambda *_: Fate(),
    "empty_200": lambda fault, *_: Fate(fault.args["done"], (200, b"", JSON, ())),
    "truncated_json": lambda *_: Fate(half=True),
    "reset": lambda fault, *_: Fate(fault.args["done"], cut=fault.args["cut"] if fault.args["done"] else 0),
    "drip": lambda fault, *_: Fate(drip_s=fault.args["byte_s"]),
}


def _banned(until_ns: int, now_ns: int) -> Fate:
    body = orjson.dumps({"code": -1003, "msg": BANNED.format(until=until_ns // MS_NS)})
    wait = str(-(-(until_ns - now_ns) // SECOND_NS))
    return Fate(False, (418, body, JSON, (("Retry-After", wait),)))


# ---------------------------------------------------------------------------------- what becomes of an event

DECIMAL = re.compile(rb'"-?[0-9]+\.[0-9]+"')
STATUS = re.compile(rb'"X":"[A-Z_]+"')
KIND = re.compile(rb'"e":"[A-Za-z0-9_]+"')
FIRST_KEY = re.compile(rb'\{("[^"]+":)')
DEEP = b"[" * 10_000 + b"]" * 10_000
HUGE_BYTES = 10 << 20


def _with_member(payload: bytes, member: bytes) -> bytes:
    # Behind the last member of an object; in front of the first of an array's first object.
    if payload.endswith(b"}"):
        return payload[:-1] + b"," + member + b"}"
    return payload.replace(b"{", b"{" + member + b",", 1)


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "truncate": lambda payload: payload[: len(payload) // 2],
    "not_utf8": lambda payload: payload.replace(b'"', b'"\xff\xfe', 1),
    "bom": lambda payload: b"\xef\xbb\xbf" + payload,
    "deep": lambda payload: _with_member(payload, b'"deep":' + DEEP),
    "huge_frame": lambda payload: _with_member(payload, b'"pad":"' + b"x" * HUGE_BYTES + b'"'),
    "huge_number": lambda payload: DECIMAL.sub(b'"' + b"9" * 400 + b'"', payload, count=1),
    "nan_price": lambda payload: DECIMAL.sub(b'"NaN"', payload, count=1),
    "negative_price": lambda payload: DECIMAL.sub(lambda found: b'"-' + found[0][1:], payload, count=1),
    "int_price": lambda payload: DECIMAL.sub(lambda found: found[0][1:-1].partition(b".")[0], payload, count=1),
    "duplicate_keys": lambda payload: FIRST_KEY.sub(rb"{\1null,\1", payload, count=1),
    "unknown_field": lambda payload: _with_member(payload, b'"zz":{"new":1}'),
    "unknown_event": lambda payload: KIND.sub(b'"e":"somethingNew"', payload, count=1),
    "unknown_status": lambda payload: STATUS.sub(b'"X":"SOMETHING_NEW"', payload, count=1),
}


def _held_back(fault: Fault, payload: bytes, since_ns: int) -> list[tuple[float, bytes]]:
    return [((fault.until_ns - since_ns) / SECOND_NS, payload)]


# By deed: the fault, the event's text, and the time since the opening give what is sent, and how much later.
_EVENTS: dict[str, Callable[[Fault, bytes, int], list[tuple[float, bytes]]]] = {
    "drop": lambda *_: [],
    "gap": lambda *_: [],
    "mute": lambda *_: [],
    "reorder": lambda *_: [],
    "duplicate": lambda _, payload, __: [(0.0, payload), (0.0, payload)],
    "delay": lambda fault, payload, _: [(fault.args["delay_s"], payload)],
    "hold": _held_back,
    "malform": lambda fault, payload, _: [(0.0, _SPOILERS[fault.args["how"]](payload))],
    "replace": lambda fault, _, __: [(0.0, fault.args["payload"].encode())],
}

# ---------------------------------------------------------------------------------- reading a table


class _Table:
    """A table under reading: whatever is wrong names the place, the key and what is allowed."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        self.table = table
        self.place = place

    def refuse(self, key: str, allowed: str) -> OperatorError:
        if key not in self.table:
            return OperatorError(say("loopback.fault_missing", place=self.place, key=key, allowed=allowed))
        found = _short(self.table[key])
        return OperatorError(say("loopback.fault_value", place=self.place, key=key, found=found, allowed=allowed))

    def entry(self) -> Entry:
        fitting = [entry for entry in ENTRIES if entry.do == self.table.get("do")]
        if not fitting:
            raise self.refuse("do", say("rule.one_of", choices=", ".join(sorted({entry.do for entry in ENTRIES}))))
        of_events = "stream" in self.table or "event" in self.table
        return next((entry for entry in fitting if (entry.group == "event") == of_events), fitting[0])

    def name(self, spare: str) -> str:
        name = self.table.get("name", spare)
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            raise self.refuse("name", say("loopback.fault_name"))
        return name

    def values(self, entry: Entry) -> dict[str, Any]:
        rules = entry.rules
        for key in self.table:
            if key not in rules and key not in ("name", "do"):
                known = ", ".join(sorted(rules))
                raise OperatorError(
                    say("loopback.fault_key", place=self.place, key=_short(key), deed=entry.do, allowed=known)
                )
        if entry.one_of and not any(key in self.table for key in entry.one_of):
            keys = ", ".join(entry.one_of)
            raise OperatorError(say("loopback.fault_none_of", place=self.place, deed=entry.do, keys=keys))
        return {key: self.value(key, rule) for key, rule in rules.items()}

    def value(self, key: str, rule: _Rule) -> object:
        if key not in self.table and not rule.required:
            return rule.default
        try:
            return rule.read(self.table.get(key))
        except _NotAllowedError:
            raise self.refuse(key, rule.words()) from None


def _short(value: object) -> str:
    try:
        text = " ".join(str(value).split())
    except (ValueError, RecursionError):  # a number of thousands of digits, lists of thousands of lists
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


def _ns(seconds: float | None) -> int:
    return -1 if seconds is None else round(seconds * SECOND_NS)


def _fault(table: Mapping[str, Any], place: str, spare: str) -> Fault:
    reading = _Table(table, place)
    entry = reading.entry()
    name = reading.name(spare)
    values = reading.values(entry)
    at_s = values.get("at_s")
    selectors = {key: values[key] for key in _SELECTORS[entry.group] if values[key] is not None}
    if entry.do == "gap":
        selectors.setdefault("event", "depthUpdate")
    own = set(entry.keys) | ({"delay_s"} & set(entry.rules))
    return Fault(
        name=name,
        do=entry.do,
        group=entry.group,
        selectors=MappingProxyType(selectors),
        args=MappingProxyType({key: values[key] for key in entry.rules if key in own and values[key] is not None}),
        after_ns=_ns(values.get("after_s", 0.0)),
        until_ns=_ns(values.get("until_s")),
        skip=values.get("skip", 0),
        count=values.get("count") or (0 if entry.lasts else 1),
        share=values["share"] if "skip" in values else 1.0,
        at_ns=_ns(at_s),
        table=MappingProxyType(dict(table)),
    )


def _tables(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PLAN_BYTES + 1)
        if len(raw) > MAX_PLAN_BYTES:
            raise OperatorError(say("config.too_large", file=path, limit=MAX_PLAN_BYTES // 1024))
        plan = tomllib.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise OperatorError(say("config.unreadable", file=path, reason=error.strerror)) from None
    except (ValueError, RecursionError) as error:
        raise OperatorError(say("loopback.faults_syntax", file=path, detail=error)) from None
    tables = plan.get("fault")
    if list(plan) != ["fault"] or not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise OperatorError(say("loopback.faults_tables", file=path, found=_short(", ".join(plan))))
    return tables


# ---------------------------------------------------------------------------------- the plan


class _Live:
    """A fault under way: how often it matched and fired."""

    def __init__(self, fault: Fault, seed: int) -> None:
        self.fault = fault
        self.seen = 0
        self.fired = 0
        self.dice = np.random.Generator(np.random.PCG64([seed & (1 << 63) - 1, zlib.crc32(fault.name.encode())]))
        self.banned: dict[str | None, int] = {}  # account: until when; accounts are few

    @property
    def spent(self) -> bool:
        """Whether it has fired as often as it may."""
        return self.fault.count > 0 and self.fired >= self.fault.count

    def runs(self, since_ns: int) -> bool:
        """Tell whether its window is open."""
        fault = self.fault
        return fault.after_ns <= since_ns and (fault.until_ns < 0 or since_ns < fault.until_ns)

    def fires(self, since_ns: int) -> bool:
        """Count a match, and tell whether it is one to act on."""
        fault = self.fault
        if self.spent or not self.runs(since_ns):
            return False
        self.seen += 1
        if self.seen <= fault.skip or (fault.share < 1.0 and self.dice.random() >= fault.share):
            return False
        self.fired += 1
        return True


class Faults:
    """The plan, and how far it has come.

    Parameters
    ----------
    seed : int
        Of every draw.

    Attributes
    ----------
    eventful : bool
        Whether a fault waits for events; where none does, nobody needs to ask.

    Examples
    --------
    >>> faults = Faults(seed=1)
    >>> fault = faults.add({"do": "lose_answer", "path": "/fapi/v1/order"})
    >>> faults.on_request(0, method="POST", path="/fapi/v1/order", account="alice").never
    True
    >>> faults.on_request(0, method="POST", path="/fapi/v1/order", account="alice").never
    False
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.eventful = False
        self._live: dict[str, _Live] = {}
        self._made = 0
        self._opened: int | None = None
        self._held: dict[tuple[str, str | None], bytes] = {}
        self._by_group: dict[str, list[_Live]] = {group: [] for group in _SELECTORS}

    @classmethod
    def load(cls, path: Path, seed: int) -> Faults:
        """Return the plan of a file.

        Raises
        ------
        OperatorError
            If the file is no plan; it names the file, the number of the table, the key and what is allowed.
        """
        faults = cls(seed)
        for number, table in enumerate(_tables(path), start=1):
            faults._take_in(table, say("loopback.fault_place", file=path, number=number))
        return faults

    def open(self, now_ns: int) -> None:
        """Set the opening, from which the plan counts its seconds; without it the first question is the opening."""
        self._opened = now_ns

    def add(self, table: Mapping[str, Any]) -> Fault:
        """Add a fault while the exchange runs.

        Raises
        ------
        OperatorError
            If the table is none of a fault, its name is taken, or there are too many.
        """
        return self._take_in(table, say("loopback.fault_control"))

    def remove(self, name: str) -> bool:
        """Lift a fault; return whether there was one of that name."""
        found = self._live.pop(name, None) is not None
        self._sort()
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Return every table with the times that it matched and fired, in the plan's order."""
        return [one.fault.to_dict() | {"seen": one.seen, "fired": one.fired} for one in self._live.values()]

    def on_request(
        self,
        now_ns: int,
        *,
        method: str,
        path: str,
        account: str | None = None,
        symbol: str | None = None,
        order_type: str | None = None,
        side: str | None = None,
        exempt: bool = False,
    ) -> Fate:
        """Return what becomes of a request.

        Parameters
        ----------
        now_ns : int
        method, path : str
        account, symbol, order_type, side : str, optional
            None where the request has none; a selector of it does not match then.
        exempt : bool, optional
            Whether it is a cancel or an order that only reduces.
        """
        if not self._by_group["request"]:
            return CARRIED_OUT
        facts = {
            "method": method, "path": path, "account": account, "symbol": symbol, "type": order_type, "side": side,
        }  # fmt: skip
        fate = self._fate(now_ns, facts, exempt) or CARRIED_OUT
        weight = self._weight(now_ns, facts)
        return replace(fate, weight=weight) if weight else fate

    def on_event(
        self,
        now_ns: int,
        *,
        stream: str,
        event: str,
        symbol: str | None = None,
        account: str | None = None,
        payload: bytes,
    ) -> list[tuple[float, bytes]]:
        """Return what is sent in place of an event: texts, each with the seconds that it waits."""
        since, key = self._since(now_ns), (stream, account)
        before = self._held.pop(key, None)
        facts = {"stream": stream, "event": event, "symbol": symbol, "account": account}
        sent = [(0.0, payload)]
        for live in self._by_group["event"]:
            if self._may_act(live, before) and live.fault.matches(facts) and live.fires(since):
                sent = _EVENTS[live.fault.do](live.fault, payload, since)
                if live.fault.do == "reorder":
                    self._held[key] = payload
                break
        if before is not None:
            sent = [*sent, (0.0, before)]
        self._sort_if_spent("event")
        return sent

    def on_connect(self, now_ns: int, *, path: str, account: str | None = None) -> Deed | None:
        """Return what becomes of a connection that opens, None: nothing."""
        since = self._since(now_ns)
        for live in self._by_group["connection"]:
            if live.fault.matches({"path": path, "account": account}) and live.fires(since):
                self._sort_if_spent("connection")
                return _deed(live.fault)
        return None

    @property
    def timed(self) -> bool:
        """Whether a deed waits for its time."""
        return bool(self._by_group["time"])

    def due(self, now_ns: int) -> list[Deed]:
        """Return the deeds whose time has come since the last question, in order of time and then of the plan."""
        since = self._since(now_ns)
        if not self._by_group["time"]:
            return []
        ready = sorted((one for one in self._by_group["time"] if one.fault.at_ns <= since), key=_at)
        for live in ready:
            live.seen = live.fired = 1
        self._sort_if_spent("time")
        return [_deed(live.fault) for live in ready]

    def skew_ms(self, now_ns: int) -> int:
        """Return by how much the server's clock is ahead of the exchange's time."""
        since = self._since(now_ns)
        return sum(int(one.fault.args["skew_ms"]) for one in self._by_group["clock"] if one.runs(since))

    def _take_in(self, table: Mapping[str, Any], place: str) -> Fault:
        fault = _fault(table, place, f"fault{self._made + 1}")
        if fault.name in self._live:
            raise OperatorError(say("loopback.fault_twice", place=place, name=fault.name))
        if len(self._live) >= MAX_FAULTS:
            raise OperatorError(say("loopback.faults_many", place=place, most=MAX_FAULTS))
        self._made += 1
        self._live[fault.name] = _Live(fault, self.seed)
        self._sort()
        return fault

    def _since(self, now_ns: int) -> int:
        if self._opened is None:
            self._opened = now_ns
        return now_ns - self._opened

    def _sort(self) -> None:
        # Those that can still fire, by what they answer.
        for group in self._by_group.values():
            group.clear()
        for live in self._live.values():
            if not live.spent or live.banned:
                self._by_group[_asked_by(live.fault)].append(live)
        self.eventful = bool(self._by_group["event"] or self._held)

    def _sort_if_spent(self, group: str) -> None:
        waiting = self._by_group[group]
        if any(live.spent for live in waiting) or (group == "event" and not waiting):
            self._sort()

    def _may_act(self, live: _Live, before: bytes | None) -> bool:
        # Two events change places, no more; and what is held has a bound.
        return live.fault.do != "reorder" or (before is None and len(self._held) < MAX_HELD)

    def _fate(self, now_ns: int, facts: Mapping[str, str | None], exempt: bool) -> Fate | None:
        since = self._since(now_ns)
        for live in self._by_group["request"]:
            fault = live.fault
            if fault.do == "ban" and (until := live.banned.get(facts["account"], 0)) > now_ns:
                return replace(_banned(until, now_ns), name=fault.name)
            if fault.do == "weight" or (exempt and _spares(fault)) or not _concerns(fault, facts):
                continue
            if live.fires(since):
                return self._decided(live, now_ns, facts)
        return None

    def _decided(self, live: _Live, now_ns: int, facts: Mapping[str, str | None]) -> Fate:
        fault = live.fault
        if fault.do == "ban":
            live.banned[facts["account"]] = until = now_ns + _ns(fault.args["ban_s"])
            fate = _banned(until, now_ns)
        else:
            fate = _FATES[fault.do](fault, now_ns, facts["path"] or "")
        self._sort_if_spent("request")
        return replace(fate, name=fault.name, delay_s=fault.args["delay_s"])

    def _weight(self, now_ns: int, facts: Mapping[str, str | None]) -> int:
        since = self._since(now_ns)
        heavy = [one for one in self._by_group["request"] if one.fault.do == "weight" and one.fault.matches(facts)]
        return sum(int(one.fault.args["used"]) for one in heavy if one.fires(since))


def _spares(fault: Fault) -> bool:
    return fault.do in SPARING or bool(fault.args.get("spare_exits"))


def _concerns(fault: Fault, facts: Mapping[str, str | None]) -> bool:
    # The exchange throttles new orders only; a plan that names a path knows better.
    if fault.do == "overloaded_503" and "path" not in fault.selectors:
        return facts["method"] == "POST" and facts["path"] in NEW_ORDERS and fault.matches(facts)
    return fault.matches(facts)


def _asked_by(fault: Fault) -> str:
    # A deed on connections that names a time concerns those that are open then.
    return "time" if fault.group == "connection" and fault.at_ns >= 0 else fault.group


def _at(live: _Live) -> int:
    return live.fault.at_ns


def _deed(fault: Fault) -> Deed:
    return Deed(fault.name, fault.do, MappingProxyType(dict(fault.selectors) | dict(fault.args)))
