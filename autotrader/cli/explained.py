"""An explained decision, as lines: what was asked for, in which state, what the gate said, and what became of it.

Knows how each part reads. Refuses to know where it comes from; what is not known is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from autotrader.adapters.web.words import TEXTS
from autotrader.cli.tables import decimal, laid_out, span, stamp
from autotrader.messages import language, say
from core_ext.types import Gate

__all__ = ["explained", "sentence", "title"]

MOST_EVENTS = 24
"""Of an order's rows that a screen shows; a machine gets all."""
NEAR_COMMANDS = 3
UNITS = {"usdt": " USDT", "price": "", "quantity": "", "count": ""}

Part = tuple[str, Sequence[tuple[str, str]] | Table]
"""A heading, and its rows (name, text) or its table."""


def sentence(reason: str) -> str:
    """Return what a reason of the gate means, in the operator's language; the reason itself where nobody knows it."""
    return TEXTS[language()].get(f"reason.{reason}", reason)


def explained(found: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the parts of an explanation.

    Parameters
    ----------
    found : mapping
        As `autotrader.run.why.why` returns it.
    """
    yield say("why.head.asked"), list(_asked(found))
    yield say("why.head.market"), list(_market(found["state"]))
    yield say("why.head.account"), list(_account(found))
    yield say("why.head.size"), list(_size(found))
    yield say("why.head.verdict"), list(_verdict(found))
    if found["client_id"]:
        yield say("why.head.answers"), _answers(found["events"])
        if found["fills"]:
            yield say("why.head.fills"), _fills(found["fills"])
    yield say("why.head.commands"), list(_commands(found)) or [("", say("why.no_commands"))]


def title(found: Mapping[str, Any]) -> str:
    """Return what is explained, in one line."""
    order = found["order"]
    price = decimal(order["price_e8"] or order["trigger_e8"]) if order["price_e8"] or order["trigger_e8"] else "-"
    words = " ".join(filter(None, (order["type"], "" if order["type"] == "MARKET" else order["tif"])))
    what = {"side": order["side"], "quantity": decimal(order["quantity_e8"]), "symbol": order["symbol"]}
    key = "why.title_order" if found["client_id"] else "why.title_refused"
    reducing = f" {say('views.reduce_only')}" if order["reduce_only"] else ""
    return say(key, id=found["client_id"], type=words + reducing, price=price, end=_end(found), **what)


def _end(found: Mapping[str, Any]) -> str:
    return str(found["end"]["state"] if found["end"] else found["verdict"]["reason"])


def _known(value: int | None, unit: str = "") -> str:
    return say("why.unknown") if value is None else f"{decimal(value)}{unit}"


def _asked(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield say("why.time"), say("why.at_row", time=_exact(found["ts_ns"]), row=f"{found['row']:,}")
    yield say("why.wall"), _wall(found["wall"])
    cause = found["cause"]
    if cause is None:
        yield say("why.cause"), say("why.unknown")
    elif cause["kind"] == "RANGE":
        file = Path(cause["file"]).name if cause["file"] else "?"
        yield say("why.cause"), say("why.on_market", row=f"{cause['market_row']:,}", file=file)
    else:
        yield say("why.cause"), say("why.on_row", kind=cause["kind"], row=f"{cause['row']:,}")


def _wall(wall: Mapping[str, Any] | None) -> str:
    if wall is None:
        return say("why.no_wall")
    return say("why.between", after=wall["after"], before=wall["before"] or "?")


def _exact(ns: int) -> str:
    return f"{stamp(ns)}{ns % 10**6:06}"


def _market(state: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if state is None:
        yield "", say("why.unknown")
        return
    market = state["market"]
    bps = "" if market["spread_bps"] is None else f" ({market['spread_bps']:.3f} bps)"
    touch = f"{_known(market['bid_e8'])} / {_known(market['ask_e8'])}"
    yield say("why.touch"), say("why.touch_is", touch=touch, mid=_known(market["mid_e8"]))
    yield say("why.spread"), f"{_known(market['spread_e8'])}{bps}"
    for name in ("mark", "last"):
        price, age = _known(market[f"{name}_e8"]), span(market[f"{name}_age_ns"])
        yield say(f"why.{name}"), say("why.aged", price=price, age=age)
    book = say("why.book_good" if market["book_good"] else "why.book_bad")
    yield say("why.book"), f"{book}, {say('why.age', age=span(market['book_age_ns']))}"


def _account(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    state = found["state"]
    yield say("why.position"), decimal(found["position_e8"])
    if state is None:
        yield say("why.worst"), say("why.unknown")
        return
    account = state["account"]
    before, after = (_known(account[f"worst_{name}_e8"]) for name in ("before", "after"))
    yield say("why.worst"), say("why.worst_is", before=before, after=after, gross=_known(account["worst_gross_e8"]))
    buys, sells = decimal(account["open_buys_e8"]), decimal(account["open_sells_e8"])
    yield say("why.open"), say("why.open_is", buys=buys, sells=sells)
    drawdown = say("why.unknown") if account["drawdown_e8"] is None else f"{account['drawdown_e8'] / 1e8:.2%}"
    equity = {"equity": decimal(account["equity_e8"]), "free": decimal(account["available_e8"])}
    yield say("why.equity"), say("why.equity_is", drawdown=drawdown, **equity)


def _size(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    limiting, size = found["order"]["limiting"], found["state"]["sizing"] if found["state"] else None
    if not limiting and found["state"] is not None:
        limiting = found["state"]["limiting"]
    yield say("why.limiting"), limiting or say("why.unknown")
    if size is not None:
        inputs = ", ".join(f"{name} {value:,.6g}" for name, value in size["inputs"].items())
        yield say("why.sized"), say("why.sized_is", lots=f"{size['lots']:,}", limiting=size["limiting"])
        yield say("why.inputs"), inputs
    elif found["state"] is not None:
        yield say("why.sized"), say("why.not_sized")


def _verdict(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    verdict = found["verdict"]
    reason = verdict["reason"]
    yield say("why.reason"), say("why.approved") if reason == "APPROVED" else f"{reason}: {sentence(reason)}"
    if verdict["settings"]:
        said = ", ".join(f"{name} = {value}" for name, value in verdict["settings"].items())
        yield say("why.settings"), f"[risk] {said}"
    for measure in found["state"]["measures"] if found["state"] else ():
        yield say(f"why.m.{measure['name']}"), _measure(measure)
    if found["state"] is None:
        yield say("why.state"), say("why.no_state", reason=found["unknown"])
    elif reason != "APPROVED" and not found["state"]["measures"]:
        yield say("why.state"), say("why.no_figures")


def _measure(measure: Mapping[str, Any]) -> str:
    value, limit = (_figure(measure[name], measure["unit"]) for name in ("value", "limit"))
    key = "why.unlimited" if measure["limit"] is None else f"why.limit_{measure['allows']}"
    return say(key, value=value, limit=limit) + (f"  {say('why.broken')}" if measure["broken"] else "")


def _figure(value: int | None, unit: str) -> str:
    if value is None:
        return say("why.unknown")
    if unit == "ns":
        return span(value) if value >= 0 else f"-{span(-value)}"
    if unit == "yes":
        return say("why.yes" if value else "why.no")
    if unit == "gate":
        return Gate(value).name if value else say("why.no_gate")
    if unit == "count":
        return f"{value:,}"
    if unit == "ratio":
        return f"{value / 1e8:.4g}"
    return f"{value / 1e8:.4%}" if unit == "share" else f"{decimal(value)}{UNITS[unit]}"


def _answers(events: Sequence[Mapping[str, Any]]) -> Table:
    names = ("time", "after", "row", "what", "code", "state", "filled")
    heads = {say(f"why.column.{name}"): name in ("time", "what", "state") for name in names}
    shown = events if len(events) <= MOST_EVENTS else [*events[: MOST_EVENTS // 2], *events[-MOST_EVENTS // 2 :]]
    return laid_out(heads, map(_answer, shown))


def _answer(event: Mapping[str, Any]) -> tuple[str, ...]:
    code, state = str(event["code"] or ""), event["state"]
    after = span(event["after_ns"])
    return stamp(event["ts_ns"]), after, f"{event['row']:,}", event["kind"], code, state, decimal(event["filled_e8"])


def _fills(fills: Sequence[Mapping[str, Any]]) -> Table:
    names = ("time", "after", "price", "quantity", "fee", "maker", "slippage")
    heads = {say(f"why.column.{name}"): name == "time" for name in names}
    return laid_out(heads, map(_fill, fills[:MOST_EVENTS]))


def _fill(fill: Mapping[str, Any]) -> tuple[str, ...]:
    slippage = "-" if fill["slippage_bps"] is None else f"{fill['slippage_bps']:.3f}"
    fee = f"{decimal(fill['fee_e8'])} {fill['fee_asset']}"
    maker = say("views.is_maker" if fill["maker"] else "views.is_taker")
    price, quantity = decimal(fill["price_e8"]), decimal(fill["quantity_e8"])
    return stamp(fill["ts_ns"]), span(fill["after_ns"]), price, quantity, fee, maker, slippage


def _commands(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    before = [one for one in found["commands"] if one["row"] < found["row"]][-NEAR_COMMANDS:]
    after = [one for one in found["commands"] if one["row"] > found["row"]][:NEAR_COMMANDS]
    for one in (*before, *after):
        gap = one["ts_ns"] - found["ts_ns"]
        key = "why.command_before" if gap < 0 else "why.command_after"
        yield one["command"], say(key, time=stamp(one["ts_ns"]), span=span(abs(gap)), row=f"{one['row']:,}")
