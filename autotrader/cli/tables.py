"""Tables: how one is laid out, and the views of a run: which columns, how a figure is written.

Knows how records of 1e-8 look to a person. Refuses to know where they come from and how wide the terminal is: a
record is one line, so that it can be searched and no figure is broken in two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from autotrader.messages import say
from core_ext.types import Cause, Reason

__all__ = ["INSTANCE", "VIEWS", "decimal", "laid_out", "percent", "span", "stamp", "table"]

E8 = 10**8
LEFT = frozenset(
    {"time", "symbol", "leg", "side", "type", "state", "code", "kind", "asset", "topic", "name", "last", "book"}
)
UNITS = ((3_600 * 10**9, "h"), (60 * 10**9, "min"), (10**9, "s"), (10**6, "ms"), (10**3, "us"))

Write = Callable[[Any], str]


def table(columns: Mapping[str, Write], records: Sequence[Any]) -> Table:
    """Return records as a table, headed in the operator's language.

    Parameters
    ----------
    columns : mapping of str to callable
        How a record's cell is written, by the key of its heading, such as those of `VIEWS`.
    records : sequence
    """
    heads = {say(f"views.{name}"): name in LEFT for name in columns}
    return laid_out(heads, ([write(record) for write in columns.values()] for record in records))


def laid_out(heads: Mapping[str, bool], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of texts.

    Parameters
    ----------
    heads : mapping of str to bool
        The heading of each column, and whether it reads from the left, as words do; figures stand to the right.
    rows : iterable of sequence of str
    """
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head, from_left in heads.items():
        drawn.add_column(head, justify="left" if from_left else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


def _amount(name: str, decimals: int = 2) -> Write:
    return lambda record: f"{getattr(record, name) / E8:,.{decimals}f}"


def _exact(name: str) -> Write:
    # All eight decimals but for the zeros at the end: prices, quantities and coins.
    return lambda record: decimal(getattr(record, name))


def decimal(value: int) -> str:
    """Return what has eight decimals, without the zeros at its end."""
    whole, part = divmod(abs(value), E8)
    text = f"{whole:,}.{part:08}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def _price(name: str) -> Write:
    return lambda record: decimal(getattr(record, name)) if getattr(record, name) else "-"


def _plain(name: str) -> Write:
    return lambda record: str(getattr(record, name))


def _time(name: str) -> Write:
    return lambda record: stamp(getattr(record, name))


def stamp(ns: int) -> str:
    """Return a time (ns UTC), to the millisecond."""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{ns % 10**9 // 10**6:03}"


def span(ns: float | None) -> str:
    """Return a time of so many nanoseconds in the largest unit that it fills; "-" for none."""
    if ns is None:
        return "-"
    for size, unit in UNITS:
        if ns >= size:
            return f"{ns / size:,.3g} {unit}"
    return f"{ns:.0f} ns"


def _share(name: str) -> Write:
    return lambda record: percent(getattr(record, name))


def percent(value: float | None) -> str:
    """Return a share as a percentage; "-" for none."""
    return "-" if value is None else f"{value:.2%}"


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _leg(record: Any) -> str:
    if record.quantity_e8 == 0 and not record.leg:
        return say("views.flat")
    return say("views.short" if record.leg or record.quantity_e8 < 0 else "views.long")


def _margin(record: Any) -> str:
    return say("views.isolated", amount=decimal(record.isolated_e8)) if record.isolated else say("views.cross")


def _forced(record: Any) -> str:
    return f"{record.liquidations} {Cause(record.cause).name}" if record.liquidations else "0"


def _type(record: Any) -> str:
    # A market order has no time in force.
    words = (record.type, "" if record.type == "MARKET" else record.tif)
    return " ".join([*filter(None, words), *([say("views.reduce_only")] if record.reduce_only else [])])


def _limit(record: Any) -> str:
    price = record.price_e8 or record.trigger_e8
    return decimal(price) if price else "-"


def _average(record: Any) -> str:
    if not record.filled_e8:
        return "-"
    return f"{record.filled_value_e8 / record.filled_e8:,.10g}"


def _code(record: Any) -> str:
    if record.state == "REFUSED":
        return Reason(record.code).name or str(record.code)
    return str(record.code) if record.code else ""


def _client_id(record: Any) -> str:
    return f"{record.client_id % 2**64:016x}" if record.client_id else "-"


def _fee(record: Any) -> str:
    return f"{decimal(record.fee_coin_e8)} BNB" if record.fee_coin_e8 else decimal(record.fee_e8)


def _maker(record: Any) -> str:
    return (
        Cause(record.cause).name if record.cause >= 0 else say("views.is_maker" if record.maker else "views.is_taker")
    )


def _slippage(record: Any) -> str:
    return f"{1e4 * record.paid_e8 / record.notional_e8:.3f}" if record.reference_e8 and record.notional_e8 else "-"


def _rate(record: Any) -> str:
    return f"{record.rate_e8 / E8:.4%}" if record.kind == "FUNDING_PAID" else "-"


def _price_age(record: Any) -> str:
    return span(record.ts_ns - record.priced_ns) if record.priced_ns else "-"


def _drawdown(record: Any) -> str:
    return f"{record.drawdown_e8 / E8:.2%}"


def _whose(record: Any) -> str:
    return record.symbol or say("views.all")


def _quantiles(record: Any) -> str:
    found = record.slippage_bps_quantiles
    return f"{_bps(found[0.5])} / {_bps(found[0.99])}"


def _times(record: Any) -> str:
    found = record.time_to_fill_ns
    return f"{span(found[0.5])} / {span(found[0.99])}"


def _rejections(record: Any) -> str:
    counts: dict[int, int] = {}
    for by_code in record.rejected.values():
        for code, count in by_code.items():
            counts[code] = counts.get(code, 0) + count
    return ", ".join(f"{code}: {count:,}" for code, count in sorted(counts.items())) or "0"


def _book(record: Any) -> str:
    return say("views.usable" if record.book_usable else "views.unusable")


def _age(record: Any) -> str:
    return span(record.age_ns)


def _topic(record: Any) -> str:
    return say(f"views.{record.topic}")


VIEWS: dict[str, dict[str, Write]] = {
    "positions": {
        "symbol": _plain("symbol"),
        "leg": _leg,
        "quantity": _exact("quantity_e8"),
        "entry": _exact("entry_e8"),
        "price": _exact("price_e8"),
        "unrealised": _amount("unrealised_e8"),
        "realised": _amount("realised_e8"),
        "fees": _amount("fees_e8"),
        "funding": _amount("funding_e8"),
        "leverage": _plain("leverage"),
        "margin": _margin,
        "forced": _forced,
    },
    "orders": {
        "time": _time("created_ns"),
        "symbol": _plain("symbol"),
        "side": _plain("side"),
        "type": _type,
        "price": _limit,
        "quantity": _exact("quantity_e8"),
        "filled": _exact("filled_e8"),
        "average": _average,
        "state": _plain("state"),
        "code": _code,
        "client_id": _client_id,
    },
    "fills": {
        "time": _time("ts_ns"),
        "symbol": _plain("symbol"),
        "side": _plain("side"),
        "price": _exact("price_e8"),
        "quantity": _exact("quantity_e8"),
        "fee": _fee,
        "maker": _maker,
        "realised": _amount("realised_e8", 4),
        "slippage": _slippage,
        "position": _exact("position_e8"),
    },
    "payments": {
        "time": _time("ts_ns"),
        "kind": _plain("kind"),
        "symbol": _plain("symbol"),
        "amount": _exact("amount_e8"),
        "asset": _plain("asset"),
        "rate": _rate,
    },
    "equity": {
        "time": _time("ts_ns"),
        "equity": _amount("equity_e8"),
        "wallet": _amount("wallet_e8"),
        "unrealised": _amount("unrealised_e8"),
        "gross": _amount("gross_e8"),
        "drawdown": _drawdown,
        "price_age": _price_age,
    },
    "quality": {
        "symbol": _whose,
        "orders": _plain("orders"),
        "fills": _plain("fills"),
        "fill_rate": _share("fill_rate"),
        "post_only": _share("post_only_success"),
        "cancel_ratio": _share("cancel_ratio"),
        "maker": _share("maker_share"),
        "slippage": lambda record: _bps(record.slippage_bps),
        "slippage_quantiles": _quantiles,
        "time_to_fill": _times,
        "rejections": _rejections,
    },
    "risk": {
        "topic": _topic,
        "name": _plain("name"),
        "symbol": _plain("symbol"),
        "value": _plain("value"),
        "last": _time("last_ns"),
    },
}
"""The columns of each view: how a record's cell is written, by the key of its heading."""

INSTANCE: dict[str, dict[str, Write]] = {
    "symbols": {
        "symbol": _plain("symbol"),
        "bid": _price("bid_e8"),
        "ask": _price("ask_e8"),
        "age": _age,
        "book": _book,
        "position": _exact("quantity_e8"),
    },
    "positions": {
        "symbol": _plain("symbol"),
        "leg": _leg,
        "quantity": _exact("quantity_e8"),
        "entry": _exact("entry_e8"),
        "price": _exact("price_e8"),
        "liquidation": _price("liquidation_e8"),
        "stop": _price("stop_e8"),
        "unrealised": _amount("unrealised_e8"),
        "leverage": _plain("leverage"),
        "margin": _margin,
    },
    "orders": {
        "time": _time("created_ns"),
        "symbol": _plain("symbol"),
        "side": _plain("side"),
        "type": _type,
        "price": _limit,
        "quantity": _exact("quantity_e8"),
        "filled": _exact("filled_e8"),
        "state": _plain("state"),
        "client_id": _plain("client_id"),
    },
    "balance": {
        "asset": _plain("asset"),
        "wallet": _exact("wallet_e8"),
        "unrealised": _exact("unrealised_e8"),
        "available": _exact("available_e8"),
    },
}
"""The columns of what a running instance answers, as `VIEWS`."""
