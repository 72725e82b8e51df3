"""The status page: what it shows, that it runs nothing, and that nothing breaks out of it."""

from html.parser import HTMLParser

import pytest

from autotrader.adapters.loopback import status
from autotrader.adapters.loopback.status import (
    AccountView,
    FaultView,
    OrderView,
    RequestView,
    SocketView,
    SymbolView,
    TradeView,
    View,
    page,
)

E8 = 10**8
SECOND = 10**9
T0 = 1_700_000_000 * SECOND


def view(**changes):
    """Return a view of a busy exchange, with changes."""
    fields = {
        "now_ns": T0,
        "mode": "replay",
        "speed": 2.5,
        "done": 0.4321,
        "symbols": [
            SymbolView("BTCUSDT", "TRADING", 27_123_40000000, 27_123_50000000, 27_123_50000000, 27_120_12345678,
                       27_119 * E8, 10_000, T0 + 3_725 * SECOND, 123_456_789, 12, 3),
            SymbolView("ETHUSDT", "BREAK", 0, 0, 0, 0, 0, -2_500, 0, 1, 0, 0),
        ],
        "accounts": [
            AccountView("alice", 10_000 * E8, 10_123_45678901, 12_345_678, 2, 7, 61 * SECOND),
            AccountView("bob", -5 * E8, 0, 2**63 - 1, 1, 0),
        ],
        "sockets": [SocketView("/market/stream", ["btcusdt@aggTrade", "btcusdt@depth"], 123_456, 2_048)],
        "requests": [RequestView("GET /fapi/v1/depth", 1_000, 3, 25), RequestView("POST /fapi/v1/order", 7, 0, 1)],
        "orders": [
            OrderView(T0 - k * SECOND, "alice", "BTCUSDT", 900 - k, ("BUY", "SELL")[k % 2], "LIMIT", 27_000 * E8,
                      5 * 10**6, 10**6, "PARTIALLY_FILLED")
            for k in range(30)
        ],
        "trades": [TradeView(T0 - k * SECOND, "BTCUSDT", 500 - k, "SELL", 27_000 * E8, 10**5) for k in range(30)],
        "faults": [FaultView("latency", "POST /fapi/v1/order +250 ms", 17)],
        "history": "/tmp/run/history.jsonl",
        "records": 1_234_567,
    }  # fmt: skip
    return View(**(fields | changes))


class Cells(HTMLParser):
    """The text of a page, and the tags in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and data.strip():
            self.words.append(data.strip())


@pytest.fixture(params=["en", "ko"])
def read(request):
    return Cells(page(view(), request.param).decode())


def test_the_page_shows_every_part_of_the_exchange(read):
    for word in (
        "2023-11-14 22:13:20", "×2.5", "1,234,567", "/tmp/run/history.jsonl", "BTCUSDT", "TRADING", "27,123.4",
        "27,120.12345678", "0.0100 %", "−0.0025 %", "1:02:05", "123456789", "alice", "10,123.45678901", "12.35 %",
        "0:01:01", "∞", "−5.00", "/market/stream", "btcusdt@aggTrade, btcusdt@depth", "123,456", "2,048",
        "GET /fapi/v1/depth", "1,000", "25", "900", "22:13:20.000", "PARTIALLY_FILLED", "0.05", "latency", "17",
    ):  # fmt: skip
        assert word in read.words, word
    assert any("43.2%" in word for word in read.words)


def test_the_page_is_well_formed_and_loads_itself_again(read):
    assert read.open == []
    assert ("meta", {"http-equiv": "refresh", "content": "2"}) in read.tags


def test_the_page_runs_nothing_and_fetches_nothing(read):
    assert not {"script", "iframe", "img", "link", "form"} & {tag for tag, _ in read.tags}
    for _, attributes in read.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "href")}
    assert "http://" not in page(view(), "en").decode() and "https://" not in page(view(), "en").decode()


def test_only_the_youngest_orders_and_trades_are_shown(read):
    assert "881" in read.words and "880" not in read.words
    assert "481" in read.words and "480" not in read.words


def test_no_value_breaks_out_of_its_cell():
    bad = "<script>alert('&\"')</script>"
    shown = page(
        view(
            symbols=[SymbolView(bad, bad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
            accounts=[AccountView(bad, 0, 0, 0, 0, 0)],
            sockets=[SocketView(bad, [bad], 0, 0)],
            requests=[RequestView(bad, 0, 0, 0)],
            orders=[OrderView(T0, bad, bad, 0, bad, bad, 0, 0, 0, bad)],
            trades=[TradeView(T0, bad, 0, bad, 0, 0)],
            faults=[FaultView(bad, bad, 0)],
            history=bad,
        ),
        "en",
    )
    read = Cells(shown.decode())
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.words.count(bad) == 16


def test_an_exchange_where_nothing_has_happened_has_a_page_too():
    read = Cells(page(View(0, "synthetic", 1.0), "en").decode())
    assert read.words.count("None yet.") == 7
    assert "nothing is kept" in read.words and "SYNTHETIC" in read.words


def test_a_long_table_is_cut_and_says_so():
    sockets = [SocketView(f"/ws/{k}", [], 0, 0) for k in range(status.MOST_ROWS + 5)]
    read = Cells(page(view(sockets=sockets), "en").decode())
    assert "/ws/199" in read.words and "/ws/200" not in read.words
    assert "5 more are not shown." in read.words


def test_a_ratio_of_one_and_a_failed_request_stand_out():
    text = page(view(accounts=[AccountView("a", 0, 0, E8, 1, 0), AccountView("b", 0, 0, E8 - 1, 1, 0)]), "en").decode()
    assert '<td class="num bad">100.00 %</td>' in text.replace("\u00a0", " ")
    assert text.count('class="num bad"') == 2  # the ratio, and the endpoint with errors


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(0, 0, "0"), (0, 2, "0.00"), (1, 0, "0.00000001"), (-150_000_000, 2, "−1.50"), (10**15, 2, "10,000,000.00")],
)
def test_decimals_are_exact(value, places, text):
    assert status._decimal(value, places) == text
