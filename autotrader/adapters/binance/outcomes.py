"""What an answer of the exchange, or none, proves about a request.

Knows the exchange's codes, sentences and statuses, and what each means for an order, an amendment, a cancel, a query
and everything else: one table. Refuses to know which order it was and what the time is; it judges and does not act.

An order that was sent is done or failed only by evidence: an answer with the order's number, a code or a sentence of
the exchange. A limiter (418, 429) and the door (401, 403, 451) prove by their status alone that nothing went in. All
else leaves it unknown, and a sentence that says "unknown" outranks a code that does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, unique
from typing import Any, Final, NamedTuple

import orjson

__all__ = ["TABLE", "Alert", "By", "Call", "Outcome", "Reaction", "Row", "Step", "Verdict", "judge", "judge_batch"]


class Call(StrEnum):
    """What was asked of the exchange."""

    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"
    QUERY = "query"
    OTHER = "other"


class Outcome(StrEnum):
    """What became of a request, and what follows.

    All but ``DONE``, ``UNKNOWN`` and ``ABSENT`` mean that nothing was carried out.
    """

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Carried out or not: ask for its state; until then it counts as possibly live."""
    ABSENT = "absent"
    """The answer to a query: no such order. Once, soon after an unknown order, it proves nothing: ask again."""
    WAIT = "wait"
    """Too much was asked: nothing more until the window has rolled or the ban has ended."""
    RESYNC = "resync"
    """Our clock is off: measure it, and stamp the request anew."""
    REFRESH = "refresh"
    """Filters, brackets or a symbol's status are not what we believe: read them."""
    RECONCILE = "reconcile"
    """Position, mode or user stream are not what we believe: compare before anything else."""
    HALT = "halt"
    """Open nothing until an operator or the exchange has put it right; exits are still tried."""


class Alert(StrEnum):
    """What an operator is told; ``NONE``: an ordinary outcome."""

    NONE = ""
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    CANCEL_UNKNOWN = "CANCEL_UNKNOWN"
    UNEXPECTED_ANSWER = "UNEXPECTED_ANSWER"
    OUR_MISTAKE = "OUR_MISTAKE"
    RATE_LIMIT = "RATE_LIMIT"
    BANNED = "BANNED"
    OVERLOADED = "OVERLOADED"
    MAINTENANCE = "MAINTENANCE"
    FIREWALL = "FIREWALL"
    REGION = "REGION"
    CLOCK_SKEW = "CLOCK_SKEW"
    KEY_REFUSED = "KEY_REFUSED"
    RESTRICTED = "RESTRICTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    LIQUIDATION = "LIQUIDATION"
    FILTERS_CHANGED = "FILTERS_CHANGED"
    BRACKET_CHANGED = "BRACKET_CHANGED"
    SYMBOL_STATUS = "SYMBOL_STATUS"
    REDUCE_REJECT = "REDUCE_REJECT"
    POSITION_MODE = "POSITION_MODE"
    USER_STREAM_RENEWED = "USER_STREAM_RENEWED"
    STOP_TO_MARKET = "STOP_TO_MARKET"
    MARGIN = "MARGIN"
    OPEN_ORDERS = "OPEN_ORDERS"
    DUST = "DUST"


class Step(NamedTuple):
    """An outcome, whether the same request may be sent again, and an alert that goes before the row's."""

    outcome: Outcome
    again: bool = False
    alert: Alert = Alert.NONE


_DONE, _FAILED, _RETRY = Step(Outcome.DONE), Step(Outcome.FAILED), Step(Outcome.FAILED, True)
_HALT, _LOST = Step(Outcome.HALT), Step(Outcome.UNKNOWN, False, Alert.ORDER_UNKNOWN)
_ASK = Step(Outcome.UNKNOWN)


@unique
class Reaction(Enum):
    """A class of the exchange's documentation: the step for each `Call`, in its order.

    A cancel, a query and a setting change nothing when they are sent twice; an order and an amendment would.
    """

    ACCEPT = (_DONE, _DONE, _DONE, _DONE, _DONE)
    REJECT = (_FAILED, _FAILED, _FAILED, _FAILED, _FAILED)
    RETRY = (_RETRY, _RETRY, _RETRY, _RETRY, _RETRY)
    ASK = (_LOST, _LOST, Step(Outcome.UNKNOWN, True, Alert.CANCEL_UNKNOWN), _RETRY, Step(Outcome.UNKNOWN, True))
    DUPLICATE = (_LOST, *(_FAILED,) * 4)
    NOT_OPEN = (_ASK, _ASK, _ASK, _FAILED, _FAILED)
    ABSENT = (_ASK, _ASK, _ASK, Step(Outcome.ABSENT, True), _FAILED)
    ALREADY = (_FAILED, _DONE, _FAILED, _FAILED, _DONE)
    WAIT = (Step(Outcome.WAIT, True),) * 5
    CLOCK = (Step(Outcome.RESYNC, True),) * 5
    REFRESH = (Step(Outcome.REFRESH),) * 5
    RECONCILE = (Step(Outcome.RECONCILE),) * 5
    HALT = (_HALT,) * 5
    COMPLIANCE = (_HALT, _HALT, _FAILED, _FAILED, _FAILED)

    def step(self, call: Call) -> Step:
        """Return what follows for a call."""
        steps: tuple[Step, ...] = self.value
        return steps[_PLACES[call]]


_PLACES: Final = {call: place for place, call in enumerate(Call)}


class By(Enum):
    """What a row of the table is found by, the stronger evidence first."""

    PHRASE = "words in the text"
    LIMIT = "status of the limiter"
    CODE = "code"
    SENTENCE = "first sentence"
    DOOR = "status at the door"
    STATUS = "status"
    ANYTHING = "anything else"


class Row(NamedTuple):
    """A row of the table: what it is found by, how that reads, what follows, and its alert."""

    by: By
    key: int | str
    says: str
    reaction: Reaction
    alert: Alert = Alert.NONE


def _codes(reaction: Reaction, alert: Alert, says: Mapping[int, str]) -> tuple[Row, ...]:
    return tuple(Row(By.CODE, code, text, reaction, alert) for code, text in says.items())


_ANSWERED, _REFUSED, _ODD, _SILENT, _UNSENT = "answered", "refused", "odd", "silent", "unsent"

TABLE: Final = (
    Row(By.PHRASE, "ip banned until", "banned, whatever the status", Reaction.WAIT, Alert.BANNED),
    Row(By.PHRASE, "status unknown", "time-out inside the exchange", Reaction.ASK),
    Row(By.PHRASE, "unknown error", "accepted or not, not answered in time", Reaction.ASK),
    Row(By.LIMIT, 418, "banned; the text may say until when", Reaction.WAIT, Alert.BANNED),
    Row(By.LIMIT, 429, "too many requests or orders", Reaction.WAIT, Alert.RATE_LIMIT),
    *_codes(Reaction.ASK, Alert.NONE, {
        -1000: "unknown error",
        -1006: "unexpected answer inside the exchange, execution unknown",
        -1007: "time-out inside the exchange, execution unknown",
        -1010: "error message received",
        -2012: "cancel-all failed",
        -4000: "invalid order status",
        -4083: "batch failed",
        -4117: "the stop order is triggering",
    }),
    *_codes(Reaction.DUPLICATE, Alert.NONE, {-4116: "client order id is taken: the earlier one probably arrived"}),
    *_codes(Reaction.NOT_OPEN, Alert.NONE, {-2011: "no such open order: it may be filled"}),
    *_codes(Reaction.ABSENT, Alert.NONE, {-2013: "no such order"}),
    *_codes(Reaction.RETRY, Alert.NONE, {
        -1001: "internal error, nothing done",
        -1112: "no orders on the book",
        -5043: "an amendment is pending",
    }),
    *_codes(Reaction.RETRY, Alert.OVERLOADED, {-1008: "throttled; what only reduces, and cancels, are exempt"}),
    *_codes(Reaction.WAIT, Alert.RATE_LIMIT, {-1003: "too many requests", -1015: "too many new orders"}),
    *_codes(Reaction.CLOCK, Alert.CLOCK_SKEW, {
        -1021: "stamp outside the window, or ahead",
        -5028: "stamp outside the window at the matching engine",
    }),
    *_codes(Reaction.REFRESH, Alert.FILTERS_CHANGED, {
        -1111: "more decimals than allowed",
        -1120: "invalid interval",
        -1121: "invalid symbol",
        -4001: "price below zero",
        -4002: "price above the maximum",
        -4003: "quantity not above zero",
        -4004: "quantity below the minimum",
        -4005: "quantity above the maximum",
        -4013: "price below the minimum",
        -4014: "price off the tick",
        -4023: "quantity off the step",
    }),
    *_codes(Reaction.REFRESH, Alert.DUST, {
        -4164: "notional below the minimum",
        -5029: "notional of an amendment below the minimum",
    }),
    *_codes(Reaction.REFRESH, Alert.SYMBOL_STATUS, {
        -1122: "invalid symbol status",
        -4140: "symbol does not open positions",
        -4141: "symbol is closed",
        -5024: "symbol does not trade, no amendment",
    }),
    *_codes(Reaction.REFRESH, Alert.BRACKET_CHANGED, {
        -2027: "beyond the largest position at this leverage",
        -2028: "leverage too small for the margin",
    }),
    *_codes(Reaction.RECONCILE, Alert.REDUCE_REJECT, {
        -2022: "reduce-only order rejected",
        -2024: "position not sufficient",
        -4118: "reduce-only order fails against position and open orders",
    }),
    *_codes(Reaction.RECONCILE, Alert.POSITION_MODE, {
        -4060: "invalid position side",
        -4061: "position side does not match the mode",
        -4062: "reduce-only does not match the mode",
    }),
    *_codes(Reaction.RECONCILE, Alert.USER_STREAM_RENEWED, {-1125: "no such listen key: open a new one"}),
    *_codes(Reaction.HALT, Alert.KEY_REFUSED, {
        -1002: "unauthorised",
        -1022: "invalid signature",
        -1099: "not found or not authenticated",
        -2014: "key has no valid form",
        -2015: "key, address or permission refused",
        -2017: "keys are locked",
    }),
    *_codes(Reaction.HALT, Alert.MAINTENANCE, {
        -1016: "service is shutting down",
        -1109: "invalid account",
        239999: "maintenance",
    }),
    *_codes(Reaction.HALT, Alert.LIQUIDATION, {-2023: "account in liquidation"}),
    *_codes(Reaction.HALT, Alert.RESTRICTED, {-4109: "account is inactive", -4192: "cooling-off period"}),
    *_codes(Reaction.HALT, Alert.REDUCE_ONLY, {
        -4087: "may only reduce",
        -4088: "may not open",
        -4105: "risk control of the symbol",
        -4106: "risk control of the symbol",
        -4107: "risk control of the symbol",
        -4189: "risk control of the symbol",
        -4400: "quantitative rules: reduce only",
        -4401: "large position: reduce only",
    }),
    *_codes(Reaction.COMPLIANCE, Alert.RESTRICTED, {
        **dict.fromkeys(range(-4202, -4210, -1), "leverage limited by the account's standing"),
        -4402: "compliance: symbol refused",
        -4403: "compliance: leverage refused",
    }),
    *_codes(Reaction.ALREADY, Alert.NONE, {
        -4046: "margin type is so already",
        -4052: "automatic margin is so already",
        -4059: "position mode is so already",
        -4171: "asset mode is so already",
        -5027: "the amendment changes nothing",
    }),
    *_codes(Reaction.REJECT, Alert.OUR_MISTAKE, {
        -1013: "invalid message",
        -1014: "unsupported combination",
        -1020: "unsupported operation",
        -1023: "start after end",
        -1100: "illegal characters",
        -1101: "too many parameters",
        -1102: "parameter missing or malformed",
        -1103: "unknown parameter",
        -1104: "parameters not read",
        -1105: "parameter empty",
        -1106: "parameter not required",
        -1108: "invalid asset",
        -1114: "time in force not required",
        -1115: "invalid time in force",
        -1116: "invalid order type",
        -1117: "invalid side",
        -1118: "client order id empty",
        -1119: "original client order id empty",
        -1127: "interval too long",
        -1128: "invalid combination of parameters",
        -1130: "invalid value of a parameter",
        -1136: "invalid kind of answer",
        -2026: "order type does not go with reduce-only",
        -4015: "invalid client order id",
        -4021: "invalid depth limit",
        -4028: "invalid leverage",
        -4031: "invalid working type",
        -4055: "amount not above zero",
        -4082: "invalid size of a batch",
        -4120: "conditional orders have an endpoint of their own",
        -4135: "invalid activation price",
        -4137: "quantity with a close-position order",
        -4138: "close-position must be reduce-only",
        -5025: "only limit orders are amended",
        -5037: "invalid price match",
        -5038: "price match does not go with the order type",
        -5039: "invalid self-trade prevention",
        -5040: "invalid good-till date",
        -5047: "reduce-only does not go with the amendment",
    }),
    *_codes(Reaction.REJECT, Alert.MARGIN, {
        -2018: "balance insufficient",
        -2019: "margin insufficient",
        -4050: "cross balance insufficient",
        -4051: "isolated balance insufficient",
    }),
    *_codes(Reaction.REJECT, Alert.OPEN_ORDERS, {-2025: "too many open orders", -4045: "too many open stop orders"}),
    *_codes(Reaction.REJECT, Alert.STOP_TO_MARKET, {
        -2021: "would trigger at once: the stop is breached, act at market",
        -4142: "would trigger at once: the stop is breached, act at market",
    }),
    *_codes(Reaction.REJECT, Alert.NONE, {
        -2010: "new order rejected",
        -2020: "unable to fill",
        -4016: "price above the band",
        -4024: "price below the band",
        -4047: "margin type fixed by open orders",
        -4048: "margin type fixed by a position",
        -4067: "position mode fixed by open orders",
        -4068: "position mode fixed by a position",
        -4531: "position mode fixed for a while",
        -4131: "best price outside the band",
        -4161: "leverage fixed by an isolated position",
        -4167: "asset mode does not go with isolated margin",
        -4168: "isolated margin does not go with the asset mode",
        -4169: "asset mode: margin insufficient",
        -4170: "asset mode fixed by open orders",
        -4172: "asset mode: a balance is negative",
        -4183: "stop price above the band",
        -4184: "stop price below the band",
        -4210: "stop price above the band",
        -4211: "stop price below the band",
        -5021: "fill-or-kill could not be filled",
        -5022: "post-only would have taken",
        -5026: "amended too often",
        -5041: "no price on the book to match",
    }),
    Row(By.SENTENCE, "service unavailable", "not carried out", Reaction.RETRY),
    Row(By.SENTENCE, "internal error; unable to process your request", "not carried out", Reaction.RETRY),
    Row(By.SENTENCE, "request throttled by system-level protection", "not carried out", Reaction.RETRY,
        Alert.OVERLOADED),
    Row(By.DOOR, 401, "unauthorised", Reaction.HALT, Alert.KEY_REFUSED),
    Row(By.DOOR, 403, "the firewall's page", Reaction.HALT, Alert.FIREWALL),
    Row(By.DOOR, 451, "refused in this region", Reaction.HALT, Alert.REGION),
    Row(By.STATUS, 408, "time-out, state unknown", Reaction.ASK),
    Row(By.STATUS, 500, "a fault of the exchange's", Reaction.ASK),
    Row(By.STATUS, 502, "a gateway's page", Reaction.ASK),
    Row(By.STATUS, 503, "without one of the exchange's sentences", Reaction.ASK),
    Row(By.STATUS, 504, "a gateway's page", Reaction.ASK),
    Row(By.ANYTHING, _ANSWERED, "2xx with what was asked for", Reaction.ACCEPT),
    Row(By.ANYTHING, _REFUSED, "4xx but 408, with a code that is not in this table", Reaction.REJECT,
        Alert.UNEXPECTED_ANSWER),
    Row(By.ANYTHING, _SILENT, "sent, and no answer", Reaction.ASK),
    Row(By.ANYTHING, _UNSENT, "not wholly sent, and no answer of the exchange", Reaction.RETRY),
    Row(By.ANYTHING, _ODD, "anything else: empty, cut off, redirected, contradictory", Reaction.ASK,
        Alert.UNEXPECTED_ANSWER),
)  # fmt: skip
"""Every answer that is known. Where several rows fit, the order of `By` says which one wins."""

_ROWS: Final[dict[By, dict[int | str | None, Row]]] = {by: {row.key: row for row in TABLE if row.by is by} for by in By}
_ANY: Final = _ROWS[By.ANYTHING]

_PROOFS: Final = {
    Call.PLACE: ("orderId", "algoId"),
    Call.AMEND: ("orderId",),
    Call.CANCEL: ("orderId", "algoId"),
    Call.QUERY: ("orderId", "algoId"),
}
"""The numbers of which an answer must carry one; a query may also answer with a list, and a cancel of all with 200."""

_LISTS: Final = frozenset({Call.QUERY, Call.OTHER})
_CODE: Final = re.compile(r"-?[0-9]{1,6}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_STAMP: Final = re.compile(r"banned until ([0-9]{13})(?![0-9])", re.IGNORECASE)
_NO_ERROR: Final = frozenset({0, 200})
_TEXT_LENGTH: Final = 200
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request came to.

    Parameters
    ----------
    outcome : Outcome
    again : bool
        Whether the same request may be sent again, stamped anew.
    alert : Alert
    code : int or None
        The exchange's, as it was sent.
    text : str
        The exchange's, printable, at most 200 characters.
    until_ns : int
        When a ban ends, UTC; 0 if the exchange did not say.
    wait_s : int
        Of ``Retry-After``; 0 if there was none.
    """

    outcome: Outcome
    again: bool
    alert: Alert = Alert.NONE
    code: int | None = None
    text: str = ""
    until_ns: int = 0
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    found: object = None
    code: int | None = None
    text: str = ""

    @property
    def spoken(self) -> bool:
        """Whether the exchange itself refused, rather than something in front of it."""
        return self.code is not None or bool(self.text)


def judge(call: Call, status: int, body: bytes, sent: bool, *, retry_after: str | None = None) -> Verdict:
    """Say what an answer proves.

    Parameters
    ----------
    call : Call
    status : int
        Of HTTP, or the ``status`` of a frame; 0 if no answer came.
    body : bytes
        The answer, or the whole frame.
    sent : bool
        Whether the last byte of the request was handed over before.
    retry_after : str, optional
        The header of that name, as it came.

    Examples
    --------
    >>> judge(Call.PLACE, 503, b'{"code": -1008, "msg": "Request throttled."}', sent=True).again
    True
    >>> judge(Call.PLACE, 200, b"", sent=True).outcome
    <Outcome.UNKNOWN: 'unknown'>
    """
    return _verdict(call, status, _read(body), sent, retry_after)


def judge_batch(
    call: Call, status: int, body: bytes, sent: bool, count: int, *, retry_after: str | None = None
) -> list[Verdict]:
    """Say what an answer proves about each of several orders of one request, in its order.

    Parameters
    ----------
    count : int
        Orders in the request; an answer about another number of them proves nothing about any.

    Notes
    -----
    The other parameters are those of `judge`. The refusal of one order stands inside an answer of 200; it counts as
    the 400 that it would have been alone.
    """
    answer = _read(body)
    if not 200 <= status < 300 or answer.code is not None:
        return [_verdict(call, status, answer, sent, retry_after)] * count
    found = answer.found if isinstance(answer.found, list) and len(answer.found) == count else [None] * count
    return [_verdict(call, 400 if (item := _part(each)).spoken else status, item, sent, None) for each in found]


def _verdict(call: Call, status: int, answer: _Answer, sent: bool, retry_after: str | None) -> Verdict:
    row = _row(call, status, answer, sent)
    step = row.reaction.step(call)
    until_ns, wait_s = (_stamp_ns(answer.text), _seconds(retry_after)) if step.outcome is Outcome.WAIT else (0, 0)
    return Verdict(step.outcome, step.again, step.alert or row.alert, answer.code, answer.text, until_ns, wait_s)


def _row(call: Call, status: int, answer: _Answer, sent: bool) -> Row:
    if 200 <= status < 300 and _proves(call, answer.found):
        # An order's number beside an error's code is a contradiction, and so proves neither.
        return _ANY[_ANSWERED if answer.code is None else _ODD]
    return _known(status, answer) or _unknown(status, answer, sent)


def _known(status: int, answer: _Answer) -> Row | None:
    text = answer.text.casefold()
    keys = {
        By.PHRASE: next((phrase for phrase in _ROWS[By.PHRASE] if str(phrase) in text), ""),
        By.LIMIT: status,
        By.CODE: answer.code,
        By.SENTENCE: text.partition(".")[0] if status >= 400 else "",
        By.DOOR: status,
    }
    return next((row for by, key in keys.items() if (row := _ROWS[by].get(key))), None)


def _unknown(status: int, answer: _Answer, sent: bool) -> Row:
    if not answer.spoken:
        if not sent:
            return _ANY[_UNSENT]
        if status == 0:
            return _ANY[_SILENT]
    by_status = _ROWS[By.STATUS].get(status)
    refused = answer.code is not None and 400 <= status < 500
    return by_status or _ANY[_REFUSED if refused else _ODD]


def _proves(call: Call, found: object) -> bool:
    if not isinstance(found, Mapping):
        return isinstance(found, list) and call in _LISTS
    if call is Call.OTHER:
        return "code" not in found or _whole(found["code"]) in _NO_ERROR
    if call is Call.CANCEL and _whole(found.get("code")) == 200:
        return True
    return any(_is_number(found.get(key)) for key in _PROOFS[call])


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _read(body: bytes) -> _Answer:
    try:
        return _part(orjson.loads(body))
    except orjson.JSONDecodeError:
        return _Answer()


def _part(found: Any) -> _Answer:
    """Read the answer, out of its frame if it has one."""
    if not isinstance(found, dict):
        return _Answer(found)
    for inside in ("error", "result"):
        if "id" in found and inside in found:
            return _part(found[inside] if isinstance(found[inside], list) else _flat(found[inside]))
    code = _whole(found.get("code")) if "239999" not in found else 239999
    return _Answer(found, None if code in _NO_ERROR else code, _printable(found.get("msg"), code))


def _flat(found: Any) -> Any:
    # A frame within a frame is nothing that the exchange sends.
    return {key: value for key, value in found.items() if key != "id"} if isinstance(found, dict) else None


def _whole(value: object) -> int | None:
    """Return a code, which the exchange writes as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if _CODE.fullmatch(text) else None


def _printable(value: object, code: int | None) -> str:
    if not isinstance(value, str) or code in _NO_ERROR:
        return ""
    words = " ".join(value[: 4 * _TEXT_LENGTH].split())
    return "".join(letter for letter in words if letter.isprintable())[:_TEXT_LENGTH]


def _seconds(header: str | None) -> int:
    return int(header) if header and _SECONDS.fullmatch(header) else 0


def _stamp_ns(text: str) -> int:
    found = _STAMP.search(text)
    return int(found.group(1)) * _MS_NS if found else 0
