"""The building blocks of the page: elements, tables, remarks, and the place of a chart.

Knows HTML, and that text is escaped unless it is `Markup` already. Refuses to know a run, a language and what a chart
shows: it is given texts, values and figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import orjson

from autotrader.adapters.web.words import number


class Markup(str):
    """HTML that is safe as it stands."""

    __slots__ = ()


def h(tag: str, *children: str, **attributes: object) -> Markup:
    """Return an element; children that are not Markup, and all attribute values, are escaped."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{given}>{joined(children)}</{tag}>")


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts as one, those escaped that are not Markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


class Column(NamedTuple):
    """The head of a column."""

    title: str
    numeric: bool = False


class Cell(NamedTuple):
    """A value as it is read, what it sorts by, and its class."""

    text: str
    key: float | str | None = None
    tone: str = ""


Row = Sequence[Cell | str]


def table(
    columns: Sequence[Column], rows: Iterable[Row], total: Row = (), sortable: bool = False, name: str = ""
) -> Markup:
    """Return a table, which scrolls by itself where it is wider than the window."""
    head = h("thead", h("tr", *(_head(column, sortable) for column in columns)))
    body = h("tbody", *(_line(columns, row) for row in rows))
    foot = [h("tfoot", _line(columns, total, class_="total"))] if total else []
    return h("div", h("table", head, body, *foot, **({"class": name} if name else {})), class_="wide")


def _head(column: Column, sortable: bool) -> Markup:
    title = h("button", column.title, type="button") if sortable else column.title
    return h("th", title, scope="col", **({"class": "num"} if column.numeric else {}))


def _line(columns: Sequence[Column], row: Row, **attributes: object) -> Markup:
    return h("tr", *(_cell(column, cell) for column, cell in zip(columns, row, strict=True)), **attributes)


def _cell(column: Column, cell: Cell | str) -> Markup:
    text, key, tone = cell if isinstance(cell, Cell) else Cell(cell)
    name = " ".join(filter(None, ("num" if column.numeric else "", tone)))
    return h("td", text, **({"class": name} if name else {}), **({} if key is None else {"data-key": key}))


def signed(value: float) -> Cell:
    """Return an amount as a cell that shows its sign and sorts by its value."""
    return Cell(number(value, 4, signed=True), value, _tone(value))


def paid(amount: float) -> Cell:
    """Return a cost as a cell, in no colour: costs are certain, so they are no news."""
    return Cell(number(-amount, 4, signed=True), -amount)


def note(text: str) -> Markup:
    """Return a remark under a table or a chart."""
    return h("p", text, class_="note")


def nothing(text: str) -> Markup:
    """Return the sentence that stands where there is nothing to show."""
    return h("p", text, class_="empty")


def toned(text: str, value: float) -> Markup:
    """Return a text in the colour of a gain or of a loss, in none at zero."""
    return h("span", text, class_=_tone(value))


def _tone(value: float) -> str:
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def chart(figure: Mapping[str, Any], height: int, label: str) -> Markup:
    """Return the place of a chart and beside it the figure as JSON, which cannot end its own script element."""
    text = orjson.dumps(figure, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for raw, coded in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(raw, coded)
    place = h("div", class_="chart", style=f"height:{height}px", role="img", aria_label=label)
    return joined([place, h("script", Markup(text), type="application/json")])
