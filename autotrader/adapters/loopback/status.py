"""The status page: what the exchange is doing, on one page that a browser loads again every two seconds.

Knows what the page shows and how it is written. Refuses to know where the figures come from: the server fills a `View`
and nothing of a view is a key or a secret. No script, nothing from elsewhere; every value is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

import msgspec

from autotrader.adapters.web.markup import Cell, Column, Markup, h, joined, note, nothing, table
from autotrader.messages import say_in

__all__ = [
    "AccountView",
    "FaultView",
    "OrderView",
    "RequestView",
    "SocketView",
    "SymbolView",
    "TradeView",
    "View",
    "page",
]

RECENT = 20  # orders and trades
MOST_ROWS = 200  # of any other table; the page says how many are left out
E8 = 10**8
FULL_E8 = 100 * E8  # a margin ratio beyond this has no meaning but that nothing is left
NONE = "—"


class SymbolView(msgspec.Struct):
    """A symbol; prices 0 where there is none."""

    symbol: str
    status: str
    bid_e8: int
    ask_e8: int
    last_e8: int
    mark_e8: int
    index_e8: int
    rate_e8: int
    next_funding_ns: int
    update_id: int
    open_orders: int
    positions: int


class AccountView(msgspec.Struct):
    """An account; ``listen_key_age_ns`` is None without a listen key."""

    name: str
    wallet_e8: int
    equity_e8: int
    margin_ratio_e8: int
    positions: int
    open_orders: int
    listen_key_age_ns: int | None = None


class SocketView(msgspec.Struct):
    """A WebSocket; ``buffered`` is in bytes, the streams of a user are named without their listen keys."""

    route: str
    streams: Sequence[str]
    sent: int
    buffered: int


class RequestView(msgspec.Struct):
    """Requests of an endpoint, with the weight that the last one had used."""

    endpoint: str
    count: int
    errors: int
    weight: int


class OrderView(msgspec.Struct):
    """A recent order."""

    time_ns: int
    account: str
    symbol: str
    order: int
    side: str
    type: str
    price_e8: int
    quantity_e8: int
    filled_e8: int
    status: str


class TradeView(msgspec.Struct):
    """A recent trade; ``side`` is the taker's."""

    time_ns: int
    symbol: str
    trade: int
    side: str
    price_e8: int
    quantity_e8: int


class FaultView(msgspec.Struct):
    """A fault in force, and how often it has fired."""

    name: str
    detail: str
    fired: int


class View(msgspec.Struct):
    """Everything that the page shows.

    Attributes
    ----------
    now_ns : int
        The exchange's time.
    mode : str
        ``"replay"`` or ``"synthetic"``.
    speed : float
        Exchange seconds a second.
    done : float or None
        Share of the recording that is done; None where there is no end.
    orders, trades : sequence
        The youngest first; the page shows twenty.
    history : str or None
        The file, None when nothing is kept.
    """

    now_ns: int
    mode: str
    speed: float
    done: float | None = None
    symbols: Sequence[SymbolView] = ()
    accounts: Sequence[AccountView] = ()
    sockets: Sequence[SocketView] = ()
    requests: Sequence[RequestView] = ()
    orders: Sequence[OrderView] = ()
    trades: Sequence[TradeView] = ()
    faults: Sequence[FaultView] = ()
    history: str | None = None
    records: int = 0


Words = Callable[..., str]


def page(view: View, language: str) -> bytes:
    """Return the page as UTF-8 HTML.

    Parameters
    ----------
    view : View
        What the server is doing now.
    language : str
        ``"en"`` or ``"ko"``.

    Returns
    -------
    bytes
    """

    def words(key: str, **fields: object) -> str:
        return say_in(language, f"loopback.status.{key}", **fields)

    body = joined([_head(view, words), *(section for build in SECTIONS for section in build(view, words))])
    text = _template().substitute(language=language, title=escape(words("title")), css=_css(), body=body)
    return text.encode()


@cache
def _template() -> Template:
    return Template(files("autotrader.adapters.loopback").joinpath("status.html").read_text(encoding="utf-8"))


@cache
def _css() -> str:
    return files("autotrader.adapters.web").joinpath("report.css").read_text(encoding="utf-8")


# ---------------------------------------------------------------------- sections


def _head(view: View, words: Words) -> Markup:
    mode = h("span", words(f"mode.{view.mode}"), class_="badge")
    figures = [
        (words("time"), _time(view.now_ns), "UTC"),
        (words("speed"), f"×{view.speed:g}", "" if view.done is None else words("done", share=f"{view.done:.1%}")),
        (words("orders_open"), _count(sum(one.open_orders for one in view.symbols)), ""),
        (words("history"), _count(view.records) if view.history else NONE, view.history or words("no_history")),
    ]
    tiles = [h("div", h("dt", name), h("dd", value), h("dd", remark)) for name, value, remark in figures]
    return joined([h("h1", words("title"), " ", mode), h("dl", *tiles, class_="figures")])


def _symbols(view: View, words: Words) -> Iterable[Markup]:
    columns = _columns(words, "symbol", "status", "#bid", "#ask", "#last", "#mark", "#index", "#rate",
                       "#next_funding", "#update_id", "#open_orders", "#positions")  # fmt: skip
    rows = [
        (
            one.symbol,
            one.status,
            *map(_price, (one.bid_e8, one.ask_e8, one.last_e8, one.mark_e8, one.index_e8)),
            _share(one.rate_e8, 4),
            _span(one.next_funding_ns - view.now_ns) if one.next_funding_ns else NONE,
            str(one.update_id),
            _count(one.open_orders),
            _count(one.positions),
        )
        for one in view.symbols[:MOST_ROWS]
    ]
    yield _section(words, "symbols", columns, rows, len(view.symbols))


def _accounts(view: View, words: Words) -> Iterable[Markup]:
    columns = _columns(words, "account", "#wallet", "#equity", "#margin_ratio", "#positions", "#open_orders",
                       "#listen_key_age")  # fmt: skip
    rows = [
        (
            one.name,
            _money(one.wallet_e8),
            _money(one.equity_e8),
            _ratio(one.margin_ratio_e8),
            _count(one.positions),
            _count(one.open_orders),
            NONE if one.listen_key_age_ns is None else _span(one.listen_key_age_ns),
        )
        for one in view.accounts[:MOST_ROWS]
    ]
    yield _section(words, "accounts", columns, rows, len(view.accounts))


def _recent(view: View, words: Words) -> Iterable[Markup]:
    columns = _columns(words, "at", "account", "symbol", "#order", "side", "type", "#price", "#quantity", "#filled",
                       "status")  # fmt: skip
    orders = [
        (_clock(one.time_ns), one.account, one.symbol, str(one.order), _side(one.side), one.type,
         _price(one.price_e8), _decimal(one.quantity_e8), _decimal(one.filled_e8), one.status)
        for one in view.orders[:RECENT]
    ]  # fmt: skip
    yield _section(words, "orders", columns, orders, len(orders))
    columns = _columns(words, "at", "symbol", "#trade", "side", "#price", "#quantity")
    trades = [
        (_clock(one.time_ns), one.symbol, str(one.trade), _side(one.side), _price(one.price_e8),
         _decimal(one.quantity_e8))
        for one in view.trades[:RECENT]
    ]  # fmt: skip
    yield _section(words, "trades", columns, trades, len(trades))


def _faults(view: View, words: Words) -> Iterable[Markup]:
    rows = [(one.name, one.detail, _count(one.fired)) for one in view.faults[:MOST_ROWS]]
    yield _section(words, "faults", _columns(words, "fault", "detail", "#fired"), rows, len(view.faults))


def _traffic(view: View, words: Words) -> Iterable[Markup]:
    sockets = [
        (one.route, ", ".join(one.streams) or NONE, _count(one.sent), _count(one.buffered))
        for one in view.sockets[:MOST_ROWS]
    ]
    requests = [
        (one.endpoint, _count(one.count), Cell(_count(one.errors), tone="bad" if one.errors else ""),
         _count(one.weight))
        for one in view.requests[:MOST_ROWS]
    ]  # fmt: skip
    yield h(
        "div",
        _section(words, "sockets", _columns(words, "route", "streams", "#sent", "#buffered"), sockets,
                 len(view.sockets)),
        _section(words, "requests", _columns(words, "endpoint", "#count", "#errors", "#weight"), requests,
                 len(view.requests)),
        class_="pair",
    )  # fmt: skip


SECTIONS = (_symbols, _accounts, _faults, _traffic, _recent)


def _columns(words: Words, *names: str) -> list[Column]:
    # A leading # marks a column of numbers.
    return [Column(words(name.lstrip("#")), name.startswith("#")) for name in names]


def _section(
    words: Words, name: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], count: int
) -> Markup:
    head = h("h2", words(name), " ", h("small", _count(count)))
    shown = table(columns, rows) if rows else nothing(words("empty"))
    rest = [note(words("left_out", count=_count(count - len(rows))))] if count > len(rows) else []
    return h("section", head, shown, *rest)


# ---------------------------------------------------------------------- how values are written


def _decimal(value_e8: int, places: int = 0) -> str:
    # Exact, without the zeros that no place asks for.
    whole, part = divmod(abs(value_e8), E8)
    digits = f"{part:08d}".rstrip("0").ljust(places, "0")
    return f"{'−' if value_e8 < 0 else ''}{whole:,}{'.' if digits else ''}{digits}"


def _price(price_e8: int) -> str:
    return _decimal(price_e8) if price_e8 else NONE


def _money(amount_e8: int) -> str:
    return _decimal(amount_e8, 2)


def _count(count: int) -> str:
    return f"{count:,}"


def _share(share_e8: int, places: int) -> str:
    return f"{share_e8 / 10**6:.{places}f} %".replace("-", "−")


def _ratio(ratio_e8: int) -> Cell:
    text = "∞" if ratio_e8 > FULL_E8 else _share(ratio_e8, 2)
    return Cell(text, tone="bad" if ratio_e8 >= E8 else "")


def _side(side: str) -> Cell:
    return Cell(side, tone="gain" if side == "BUY" else "loss")


def _stamp(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def _time(ns: int) -> str:
    return _stamp(ns).strftime("%Y-%m-%d %H:%M:%S")


def _clock(ns: int) -> str:
    return _stamp(ns).isoformat(timespec="milliseconds")[11:23]


def _span(ns: int) -> str:
    seconds = max(0, ns) // 10**9
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
