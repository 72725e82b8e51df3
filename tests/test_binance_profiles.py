"""Which hosts a run may reach: all of its profile, none of another, and in PAPER none that trades."""

import itertools
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.binance.profiles import (
    RESTRICTIONS,
    MarketUrls,
    TradingUrls,
    market_urls,
    refuse_proxies,
    trading_urls,
)
from autotrader.config import PROFILES, Live
from autotrader.errors import OperatorError
from autotrader.messages import set_language

PORT = 45_678
PUBLIC = ["/fapi/v1/time", "/fapi/v1/exchangeInfo", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "/fapi/v1/klines"]
STREAMS = ["/ws", "/stream", "/stream?streams=btcusdt@depth", "/ws/btcusdt@depth@100ms/ethusdt@trade"]
SIGNED = [
    "/fapi/v1/order",
    "/fapi/v1/batchOrders",
    "/fapi/v1/algoOrder",
    "/fapi/v1/countdownCancelAll",
    "/fapi/v3/account",
    "/fapi/v2/balance",
    "/fapi/v1/listenKey",
    "/fapi/v1/positionSide/dual",
    "/fapi/v1/leverage",
]


def live(profile: str, **values) -> Live:
    return Live(profile=profile, port=PORT if profile == "loopback" else 0, **values)


def trading(profile: str) -> TradingUrls:
    if profile == "production":
        return trading_urls("live", live(profile))
    return trading_urls("testnet", live(profile))


def refusal(call, *arguments) -> str:
    with pytest.raises(OperatorError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_addresses_are_those_of_the_exchange():
    assert trading("production") == TradingUrls(
        "production",
        "https://fapi.binance.com",
        "wss://fstream.binance.com/public",
        "wss://fstream.binance.com/market",
        "wss://fstream.binance.com/private",
        "wss://ws-fapi.binance.com/ws-fapi/v1",
        "https://api.binance.com",
    )
    demo = trading("demo")
    assert (demo.rest, demo.user) == ("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com/private")
    testnet = trading("testnet")
    assert (testnet.rest, testnet.public) == (
        "https://testnet.binancefuture.com",
        "wss://fstream.binancefuture.com/public",
    )
    assert demo.ws_api == testnet.ws_api == "wss://testnet.binancefuture.com/ws-fapi/v1"
    assert demo.spot == testnet.spot == ""
    loopback = trading("loopback")
    assert (loopback.rest, loopback.spot) == (f"http://127.0.0.1:{PORT}",) * 2
    assert loopback.ws_api == f"ws://127.0.0.1:{PORT}/ws-fapi/v1"


@pytest.mark.parametrize("profile", PROFILES["paper"])
def test_paper_reads_the_market_of_any_profile_and_holds_no_address_that_trades(profile):
    urls = market_urls(live(profile))
    assert type(urls) is MarketUrls and (urls.rest, urls.market) == (trading(profile).rest, trading(profile).market)
    for name in ("user", "ws_api", "spot"):
        with pytest.raises(AttributeError):
            getattr(urls, name)
    assert "paper" in refusal(trading_urls, "paper", live(profile))


@pytest.mark.parametrize("profile", PROFILES["paper"])
def test_what_paper_may_ask_is_public(profile):
    urls = market_urls(live(profile))
    for path in PUBLIC:
        assert urls.require_host(urls.rest + path) == urls.rest + path
    for base, path in itertools.product((urls.public, urls.market), STREAMS):
        urls.require_host(base + path)
    for path in [
        *SIGNED,
        RESTRICTIONS,
        "/ws-fapi/v1",
        "/fapi/v1/depth/../order",
        "/fapi/v1/depth/",
        "",
        "/",
        "//fapi/v1/time",
    ]:
        assert "has no business" in refusal(urls.require_host, urls.rest + path + "?symbol=BTCUSDT")
    for path in ("/private/ws/key", "/private/stream", "/public/ws/../../private/ws/k", "/public/ws/%2e%2e/x", "/ws/x"):
        assert "has no business" in refusal(urls.require_host, urls.public.removesuffix("/public") + path)


@pytest.mark.parametrize("profile", PROFILES["paper"])
def test_who_trades_reaches_its_own_hosts(profile):
    urls = trading(profile)
    for path in PUBLIC + SIGNED:
        urls.require_host(urls.rest + path)
    for path in STREAMS:
        urls.require_host(urls.user + path)
    urls.require_host(f"{urls.user}/ws/{'k' * 64}")
    urls.require_host(urls.ws_api)
    if urls.spot:
        urls.require_host(urls.spot + RESTRICTIONS + "?timestamp=1&signature=ab")
        assert "has no business" in refusal(urls.require_host, urls.spot + "/sapi/v1/capital/withdraw/apply")


@pytest.mark.parametrize(("own", "other"), itertools.permutations(PROFILES["paper"], 2))
def test_a_profile_reaches_no_host_that_is_only_of_another(own, other):
    ours, theirs = trading(own), trading(other)
    hosts = {urlsplit(base).hostname for base in (ours.rest, ours.public, ours.ws_api, ours.spot) if base}
    for base in (theirs.rest + "/fapi/v1/order", theirs.user + "/ws/k", theirs.ws_api, theirs.public + "/ws"):
        if urlsplit(base).hostname not in hosts:
            for urls in (ours, market_urls(live(own))):
                assert "is no address of profile" in refusal(urls.require_host, base)


@pytest.mark.parametrize("profile", ["demo", "testnet", "loopback"])
def test_play_money_and_real_money_have_no_host_in_common(profile):
    def hosts(urls):
        return {urlsplit(base).hostname for base in (urls.rest, urls.public, urls.user, urls.ws_api, urls.spot) if base}

    assert hosts(trading(profile)).isdisjoint(hosts(trading("production")))


@pytest.mark.parametrize("mode", ["backtest", "paper", "testnet", "live", "LIVE", ""])
@pytest.mark.parametrize("profile", PROFILES["paper"])
@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_mode_trades_where_it_may_and_nowhere_else(mode, profile, rehearsal):
    allowed = (mode == "testnet" and profile != "production") or (
        mode == "live" and (profile, rehearsal) in {("production", False), ("loopback", True)}
    )
    if allowed:
        assert trading_urls(mode, live(profile, rehearsal=rehearsal)).profile == profile
    else:
        assert refusal(trading_urls, mode, live(profile, rehearsal=rehearsal)).startswith(f"mode {mode}")


@pytest.mark.parametrize(
    "url",
    [
        "http://fapi.binance.com/fapi/v1/time",
        "ws://fapi.binance.com/fapi/v1/time",
        "https://fapi.binance.com.evil.test/fapi/v1/time",
        "https://evil.test/fapi.binance.com/fapi/v1/time",
        "https://fapi.binance.com@evil.test/fapi/v1/time",
        "https://key:secret@fapi.binance.com/fapi/v1/time",
        "https://fapi.binance.com\\@evil.test/fapi/v1/time",
        "https://evil.test#@fapi.binance.com/fapi/v1/time",
        "https://fapi.binance.com:444/fapi/v1/time",
        "https://fapi.binance.com:0/fapi/v1/time",
        "https://fapi.binance.com:99999/fapi/v1/time",
        "https://fapi.binance.com./fapi/v1/time",
        "https://fapi。binance.com/fapi/v1/time",
        "https://fapi.binance.com\n/fapi/v1/time",
        " https://fapi.binance.com/fapi/v1/time",
        "https:fapi.binance.com/fapi/v1/time",
        "//fapi.binance.com/fapi/v1/time",
        "file:///fapi/v1/time",
        "https://[::1]/fapi/v1/time",
        "https://[fapi.binance.com/fapi/v1/time",
        "https://127.0.0.1/fapi/v1/time",
        "",
    ],
)
def test_what_only_looks_like_the_host_is_refused(url):
    for urls in (market_urls(live("production")), trading("production")):
        assert "is no address of profile production" in refusal(urls.require_host, url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "0.0.0.0", "[::1]", "127.1", "2130706433"])
def test_loopback_is_one_address_and_one_port(host):
    urls = trading("loopback")
    urls.require_host(f"http://127.0.0.1:{PORT}/fapi/v1/time")
    refusal(urls.require_host, f"http://{host}:{PORT}/fapi/v1/time")
    refusal(urls.require_host, f"http://127.0.0.1:{PORT + 1}/fapi/v1/time")


def test_capitals_and_the_usual_port_are_the_same_host():
    urls = market_urls(live("production"))
    urls.require_host("HTTPS://FAPI.binance.com:443/fapi/v1/time")


def test_a_refusal_shows_no_query_and_no_password():
    urls = market_urls(live("production"))
    for url in ("https://u:hunter2@evil.test/x?signature=hunter2", "https://fapi.binance.com/fapi/v1/order?k=hunter2"):
        assert "hunter2" not in refusal(urls.require_host, url)


@given(st.text(max_size=60), st.sampled_from(["", "https://", "wss://", "https://fapi.binance.com"]))
def test_no_text_gets_past_but_an_address_of_the_profile(text, start):
    urls = market_urls(live("production"))
    try:
        url = urls.require_host(start + text)
    except OperatorError:
        return
    assert urlsplit(url).hostname in {"fapi.binance.com", "fstream.binance.com"}


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "Https_Proxy", "wss_proxy"])
def test_a_proxy_is_refused_in_live_by_its_name_and_elsewhere_nobody_sees_it(name):
    environment = {name: "http://user:hunter2@proxy.test:3128", "PATH": "/bin", "no_proxy": "x"}
    said = refusal(refuse_proxies, "live", environment)
    assert name in said and "hunter2" not in said and name in environment
    for mode in ("paper", "testnet"):
        left = dict(environment)
        refuse_proxies(mode, left)
        assert left == {"PATH": "/bin", "no_proxy": "x"}


def test_a_variable_without_a_proxy_is_none():
    refuse_proxies("live", {"http_proxy": " ", "PATH": "/bin"})


def test_refusals_are_spoken_in_korean():
    set_language("ko")
    assert "paper 모드" in refusal(trading_urls, "paper", live("demo"))
