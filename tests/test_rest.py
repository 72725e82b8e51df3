"""Requests over HTTP: what the calls bring from the exchange on loopback, and what becomes of every failure."""

import asyncio
import gzip
import http.server
import logging
import ssl
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from loopback_world import World, setup
from rest_clients import Account, Time, at, publicly, run, with_market, with_rest

from autotrader.adapters.binance import rest as module
from autotrader.adapters.binance.budget import Budget
from autotrader.adapters.binance.clock import VenueClock
from autotrader.adapters.binance.outcomes import Alert, Call, Outcome
from autotrader.adapters.binance.permissions import judge as judge_key
from autotrader.adapters.binance.profiles import trading_urls
from autotrader.adapters.binance.rest import Ask, MarketRest, RestError
from autotrader.config import Live
from autotrader.errors import OperatorError, VenueError
from autotrader.run.exchange import certificate

BTC, ETH = "BTCUSDT", "ETHUSDT"
CANARY_KEY, CANARY_SECRET = "CanaryKeyC4n4ryK3yQ8vX2mZ7", "CanarySecretS3cr3tW5tY9pL1"


@pytest.fixture
def world(tmp_path):
    with World(history=tmp_path / "history.jsonl") as one:
        one.mark(50_000)
        yield one


def refused(world, act, **options):
    with pytest.raises(RestError) as caught:
        with_rest(world, act, **options)
    return caught.value


# ---------------------------------------------------------------------------------- what the calls bring


def test_public_calls_need_no_key_and_bring_what_the_exchange_says(world):
    async def act(rest):
        assert await rest.time_ms() == world.stamp_ms
        info, book = await rest.exchange_info(), await rest.depth(BTC, 5)
        assert [one["symbol"] for one in info["symbols"]] == [BTC, ETH]
        assert {"lastUpdateId", "bids", "asks"} <= set(book)
        assert (await rest.premium_index(BTC))["symbol"] == BTC
        assert await rest.klines(BTC, "1m", limit=10) == world.ok("GET", "klines", symbol=BTC, interval="1m", limit=10)
        assert b"serverTime" in await rest.fetch("/fapi/v1/time", {})

    with_market(world, act)


def test_a_client_without_a_key_has_no_way_to_an_account(world):
    async def act(rest):
        for path in ("/fapi/v1/order", "/fapi/v3/account", "/fapi/v1/listenKey", "/sapi/v1/account/apiRestrictions"):
            with pytest.raises(OperatorError, match="no business"):
                await rest.fetch(path, {})
        assert not hasattr(rest, "post") and not hasattr(rest, "cancel_all")

    with_market(world, act)


def test_orders_of_both_universes_are_found_by_either_id_and_an_absent_one_is_no_error(world):
    plain = world.order("BUY", "0.01", 40_000, newClientOrderId="at0000000100000001")
    algo = world.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice=40_000, clientAlgoId="at0000000100000002")

    async def act(rest):
        assert [one["orderId"] for one in await rest.open_orders()] == [plain["orderId"]]
        assert await rest.open_orders(ETH) == await rest.open_algo_orders(ETH) == []
        assert [one["algoId"] for one in await rest.open_algo_orders(BTC)] == [algo["algoId"]]
        found = await rest.order(BTC, "at0000000100000001")
        assert found == await rest.order(BTC, order_id=plain["orderId"]) and found["origQty"] == plain["origQty"]
        told = await rest.algo_order("at0000000100000002")
        assert told == await rest.algo_order(algo_id=algo["algoId"]) and told["algoStatus"] == "NEW"
        assert await rest.order(BTC, "at00000001000000ff") == {"code": -2013}
        assert await rest.algo_order("at00000001000000ff") == {"code": -2013}
        assert [one["orderId"] for one in await rest.all_orders(BTC, order_id=1)] == [plain["orderId"]]

    with_rest(world, act)


def test_the_account_is_read_whole(world):
    world.quote()
    world.hold("BUY", 0.02)

    async def act(rest):
        (held,) = [one for one in await rest.position_risk() if Decimal(one["positionAmt"])]
        assert (held["symbol"], Decimal(held["positionAmt"])) == (BTC, Decimal("0.02"))
        usdt = next(one for one in await rest.balance() if one["asset"] == "USDT")
        assert Decimal(usdt["balance"]) == Decimal((await rest.account())["totalWalletBalance"])
        assert (await rest.account_config())["canTrade"] is True
        assert {one["symbol"] for one in await rest.symbol_config()} == {BTC, ETH}
        assert await rest.position_mode() == {"dualSidePosition": False}
        assert await rest.multi_assets_mode() == {"multiAssetsMargin": False}
        assert [one["symbol"] for one in await rest.leverage_brackets()] == [BTC, ETH]
        assert [one["symbol"] for one in await rest.leverage_brackets(ETH)] == [ETH]
        assert Decimal((await rest.commission_rate(BTC))["takerCommissionRate"]) == Decimal("0.0005")
        assert [one["incomeType"] for one in await rest.income(kind="COMMISSION")] == ["COMMISSION"]

    with_rest(world, act)


def test_settings_are_set_and_one_that_is_so_already_is_no_error(world):
    async def act(rest):
        await rest.set_leverage(BTC, 7)
        for _ in range(2):
            await rest.set_margin_type(BTC, isolated=True)
        (config,) = await rest.symbol_config(BTC)
        assert (config["leverage"], config["marginType"]) == (7, "ISOLATED")

    with_rest(world, act)


def test_cancels_of_all_leave_the_other_universe_alone(world):
    world.order("BUY", "0.01", 40_000)
    world.algo("SELL", "STOP_MARKET", quantity="0.01", triggerPrice=40_000)

    async def act(rest):
        await rest.cancel_all(BTC)
        assert await rest.open_orders(BTC) == [] and len(await rest.open_algo_orders(BTC)) == 1
        await rest.cancel_all_algo(BTC)
        assert await rest.open_algo_orders(BTC) == []

    with_rest(world, act)


def test_what_only_reduces_is_placed_and_what_would_open_has_no_call(world):
    world.quote()
    world.hold("BUY", 0.2)

    async def act(rest):
        answer = await rest.protect(BTC, "BOTH", True, "40000", "at0000000100000001")
        assert answer.verdict.outcome is Outcome.DONE
        stop = (await rest.open_algo_orders(BTC))[0]
        assert (stop["closePosition"], stop["workingType"], stop["side"]) == (True, "MARK_PRICE", "SELL")
        await rest.cancel_algo_order("at0000000100000001")
        answer = await rest.reduce(BTC, "BOTH", True, "0.5", "at0000000100000002")  # more than there is
        assert answer.verdict.outcome is Outcome.DONE
        assert [one for one in await rest.position_risk(BTC) if float(one["positionAmt"])] == []
        assert (await rest.reduce(BTC, "BOTH", True, "0.5", "at0000000100000003")).verdict.code == -2022
        for leg, sells in (("LONG", False), ("SHORT", True)):
            with pytest.raises(ValueError, match="would open"):
                await rest.reduce(BTC, leg, sells, "0.1", "at0000000100000004")
            with pytest.raises(ValueError, match="would open"):
                await rest.protect(BTC, leg, sells, "40000", "at0000000100000004")

    with_rest(world, act)


def test_one_order_is_cancelled_by_its_name_alone(world):
    for name in ("at0000000100000001", "by-hand"):
        world.order("BUY", "0.01", 40_000, newClientOrderId=name)

    async def act(rest):
        await rest.cancel_order(BTC, "at0000000100000001")
        assert [one["clientOrderId"] for one in await rest.open_orders(BTC)] == ["by-hand"]

    with_rest(world, act)


def test_c8_more_trades_than_a_page_holds_are_read_page_by_page_from_an_id(world):
    for price in range(50_000, 50_007):
        world.hold("BUY", 0.002, price)
    whole = world.ok("GET", "userTrades", symbol=BTC)
    assert len(whole) == 7

    async def act(rest):
        for page in (1, 2, 3, 7, 8):
            assert await rest.user_trades(BTC, 0, page) == whole
            assert await rest.user_trades(BTC, whole[4]["id"], page) == whole[4:]
        assert await rest.user_trades(BTC, whole[-1]["id"] + 1) == await rest.user_trades(ETH, 0) == []

    with_rest(world, act)


@pytest.mark.parametrize("body", ['[{"id":5},{"id":4}]', '[{"id":4},{"id":4}]', "[{}]", '[{"id":"4"}]', "[4]", "{}"])
def test_a_page_that_cannot_be_a_page_of_trades_is_refused(world, body):
    world.fault("answer", path="/fapi/v1/userTrades", body=body)
    assert "not what the exchange describes" in str(refused(world, lambda rest: rest.user_trades(BTC, 0, 2)))


def test_trades_that_never_end_are_not_read_for_ever(world, monkeypatch):
    monkeypatch.setattr(module, "PAGES", 3)
    for price in (50_000, 50_001, 50_002):
        world.hold("BUY", 0.002, price)
    assert "does not end" in str(refused(world, lambda rest: rest.user_trades(BTC, 0, 1)))


def test_a_listen_key_is_opened_kept_and_closed_without_a_signature(world):
    async def act(rest):
        key = await rest.open_listen_key()
        assert key == await rest.open_listen_key()
        await rest.keep_listen_key()
        await rest.close_listen_key()
        with pytest.raises(RestError) as caught:
            await rest.keep_listen_key()
        assert caught.value.code == -1125 and caught.value.verdict.outcome is Outcome.RECONCILE
        assert await rest.open_listen_key() != key

    with_rest(world, act)


@pytest.mark.parametrize("key", ['""', "5", '"a b"', '"a\\"b"', "null", f'"{"a" * 201}"'])
def test_a_listen_key_that_is_none_is_refused(world, key):
    world.fault("answer", path="/fapi/v1/listenKey", body=f'{{"listenKey":{key}}}')
    error = refused(world, lambda rest: rest.open_listen_key())
    assert "not what the exchange describes" in str(error)


def test_what_a_key_may_do_is_asked_at_the_spot_host():
    with World(setup("alice", permissions=frozenset({"ipRestrict", "enableReading", "enableFutures"}))) as world:
        found = with_rest(world, lambda rest: rest.api_restrictions())
        assert judge_key(found).faults == ()


def test_an_approved_order_s_signed_text_is_posted_as_it_is(world):
    ask = Ask("POST", "/fapi/v1/order", 0, Call.PLACE, orders=1, seconds=module.ORDER_S)
    params = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": 40_000}
    text = world.signed("alice", params)
    answer = with_rest(world, lambda rest: rest.post(ask, text.encode()))
    assert answer.verdict.outcome is Outcome.DONE and len(world.ok("GET", "openOrders")) == 1


# ---------------------------------------------------------------------------------- the budget


def test_a_request_beyond_the_budget_is_not_sent_and_an_exit_may_use_the_reserve(world):
    before = world.do(lambda: world.server.api.limits.weight_per_minute)
    assert before > 0
    budget = Budget(weight_per_minute=10)

    async def act(rest):
        await rest.balance()
        with pytest.raises(RestError, match="not asked") as caught:
            await rest.balance()
        assert caught.value.verdict.outcome is Outcome.WAIT and caught.value.verdict.again
        await rest.cancel_all(BTC)

    with_rest(world, act, budget=budget)


def test_d1_d2_after_a_limit_or_a_ban_nothing_is_asked(world):
    for do, alert in (("limit", Alert.RATE_LIMIT), ("ban", Alert.BANNED)):
        name = world.fault(do, path="/fapi/v3/balance")

        async def act(rest):
            with pytest.raises(RestError, match="HTTP 4"):
                await rest.balance()
            with pytest.raises(RestError, match="not asked"):
                await rest.cancel_all(BTC)

        async def main(act=act):
            async with Account(world) as account:
                await act(account.rest)
                return account

        account = run(main())
        assert [one.alert for one in account.verdicts] == [alert]
        assert account.budget.silent_until_ns(account.clock.now_ns()) > account.clock.now_ns()
        assert account.budget.banned(account.clock.now_ns()) is (do == "ban")
        world.send("DELETE", f"/_control/faults/{name}")


def test_d4_the_exchange_s_counts_and_limits_go_before_our_own(world):
    async def main():
        async with Account(world) as account:
            await account.rest.exchange_info()
            world.fault("weight", used=1900)
            await account.rest.account()
            return account

    account = run(main())
    used, limit = account.budget.usage(account.clock.now_ns())
    assert used >= 1900 and limit == world.do(lambda: world.server.api.limits.weight_per_minute)


def test_every_call_weighs_for_us_what_it_weighs_for_the_exchange(world):
    calls = {
        "open_orders": (), "open_algo_orders": (), "all_orders": (BTC, 1), "user_trades": (BTC, 0), "position_risk": (),
        "balance": (), "account": (), "account_config": (), "symbol_config": (), "position_mode": (),
        "multi_assets_mode": (), "leverage_brackets": (), "commission_rate": (BTC,), "income": (),
        "open_listen_key": (), "keep_listen_key": (), "close_listen_key": (), "cancel_all": (BTC,),
        "cancel_all_algo": (BTC,), "countdown_cancel_all": (BTC, 0), "exchange_info": (), "premium_index": (BTC,),
        "set_leverage": (BTC, 5), "order": (BTC, "x"), "algo_order": ("x",), "time_ms": (),
    }  # fmt: skip
    sized = [("depth", (BTC, limit)) for limit in (5, 50, 100, 500, 1000)]
    sized += [("klines", (BTC, "1m", None, None, limit)) for limit in (99, 100, 499, 500, 1000, 1001)]
    fetched = [(f"/fapi/v1/{path}", {"symbol": BTC} | more) for path, more in (
        ("depth", {}), ("depth", {"limit": "1000"}), ("klines", {"interval": "1m"}), ("trades", {}), ("aggTrades", {}),
        ("openInterest", {}),
    )]  # fmt: skip

    async def main():
        ours = []
        async with Account(world, budget=Counted()) as account:
            for name, arguments in [*calls.items(), *sized]:
                await getattr(account.rest, name)(*arguments)
                ours.append((name, account.budget.last, account.budget.heard))
            for path, params in fetched:
                await account.rest.fetch(path, params)
                ours.append((path, account.budget.last, account.budget.heard))
        return ours

    before = 0
    for name, weight, used in run(main()):
        assert used - before == weight, name
        before = used


class Counted(Budget):
    """A budget that remembers the last weight and the last count of the exchange's."""

    def spend(self, weight, orders, now_ns):
        if weight:
            self.last = weight
        return super().spend(weight, orders, now_ns)

    def hear(self, headers, sent, now_ns):
        self.heard = int(headers["X-MBX-USED-WEIGHT-1M"])
        super().hear(headers, sent, now_ns)


# ---------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("do", "keys", "outcome", "words"),
    [
        ("timeout_undone", {}, Outcome.UNKNOWN, "refused, HTTP 408 (-1007)"),
        ("unavailable_503", {}, Outcome.FAILED, "refused, HTTP 503"),
        ("internal_503", {}, Outcome.FAILED, "refused, HTTP 503 (-1001)"),
        ("bad_gateway_html", {}, Outcome.UNKNOWN, "refused, HTTP 502"),
        ("waf_403", {}, Outcome.HALT, "refused, HTTP 403"),
        ("maintenance", {}, Outcome.HALT, "refused, HTTP 503 (-1016)"),
        ("error", {"code": -1021, "text": "Timestamp"}, Outcome.RESYNC, "refused, HTTP 400 (-1021)"),
        ("empty_200", {}, Outcome.UNKNOWN, "HTTP 200"),
        ("truncated_json", {}, Outcome.UNKNOWN, "HTTP 200"),
        ("reset", {}, Outcome.UNKNOWN, "no answer"),
        ("reset", {"done": True, "cut": 60}, Outcome.UNKNOWN, ""),
        ("answer", {"status": 302, "body": "-"}, Outcome.UNKNOWN, "HTTP 302"),
        ("answer", {"body": "[]"}, None, "not what the exchange describes"),
    ],
)
def test_every_fault_is_judged_told_and_says_no_more_than_method_path_and_code(world, do, keys, outcome, words):
    world.fault(do, path="/fapi/v3/account", **keys)
    error = refused(world, lambda rest: rest.account())
    assert str(error).startswith("GET /fapi/v3/account: ") and words in str(error)
    assert outcome is None or error.verdict.outcome is outcome


def test_d11_an_answer_that_drips_has_a_total_deadline(world, monkeypatch):
    monkeypatch.setattr(module, "ORDER_S", 0.3)
    world.fault("drip", path="/fapi/v1/order", byte_s=0.05)
    world.fault("lose_answer", path="/fapi/v1/algoOrder")
    for call in (lambda rest: rest.order(BTC, "x"), lambda rest: rest.algo_order("x")):
        error = refused(world, call)
        assert error.verdict.outcome is Outcome.FAILED and error.verdict.again  # a question may be asked again


def test_orders_have_three_seconds_and_data_ten():
    assert (module.ORDER_S, module.DATA_S) == (3.0, 10.0)


def test_a_request_is_never_repeated_by_the_library(world):
    # A connection that was kept and then cut: a library that sends a DELETE once more would get an answer.
    async def act(rest):
        await rest.balance()
        world.fault("reset", path="/fapi/v1/allOpenOrders", method="DELETE")
        with pytest.raises(RestError) as caught:
            await rest.cancel_all(BTC)
        assert caught.value.verdict.outcome is Outcome.UNKNOWN

    with_rest(world, act)


def test_what_found_no_connection_was_not_sent():
    async def main():
        async with Account(None, urls=at(9)) as account:
            with pytest.raises(RestError, match="no connection") as caught:
                await account.rest.cancel_all(BTC)
        return caught.value

    verdict = run(main()).verdict
    assert (verdict.outcome, verdict.again) == (Outcome.FAILED, True)


def test_a_body_that_is_too_large_is_none(world, monkeypatch):
    monkeypatch.setattr(module, "BODY_BYTES", 100)
    ask = Ask("GET", "/fapi/v1/exchangeInfo", most_bytes=100)
    answer = with_market(world, lambda rest: rest.carry(ask))
    assert answer.verdict.outcome is Outcome.UNKNOWN and answer.body == b"" and answer.status == 200


def test_e1_e5_a_request_bears_the_stamp_of_its_moment(world):
    async def main():
        async with Account(world) as account:
            account.clock.ahead_ms = 1_500
            with pytest.raises(RestError) as caught:
                await account.rest.balance()
            account.clock.ahead_ms = 0
            await account.rest.balance()
        return caught.value

    error = run(main())
    assert error.code == -1021 and error.verdict.alert is Alert.CLOCK_SKEW


BOMB = gzip.compress(bytes(64 << 20), 9)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
JUNK = {
    "nothing": b"",
    "zeros": bytes(1000),
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a strange status": b"HTTP/1.1 99999 OK\r\n\r\n",
    "a status alone": b"HTTP/1.1 418 I'm a teapot\r\n",
    "headers without an end": HEAD + b"X: " + b"y" * 100_000,
    "many headers": HEAD + b"X: y\r\n" * 10_000 + b"\r\n",
    "a strange length": HEAD + b"Content-Length: -5\r\n\r\n{}",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that lies": HEAD + b"Content-Length: 500\r\n\r\n{}",
    "a strange chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
    "a strange coding": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "a bomb": HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    "not UTF-8": HEAD + b"Content-Length: 9\r\n\r\n{\"a\":\"\xff\"}",
    "deep nesting": HEAD + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
    "a request": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_a14_whatever_comes_back_is_an_answer_that_proves_nothing(junk):
    async def main():
        async def peer(reader, writer):
            with suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(junk)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        rest = MarketRest(publicly(server.sockets[0].getsockname()[1]), Budget(), Time())
        try:
            return await rest.carry(Ask("GET", "/fapi/v1/time", call=Call.PLACE, seconds=5.0))
        finally:
            await rest.close()
            server.close()

    answer = run(main())
    assert (answer.verdict.outcome, answer.verdict.again, answer.sent) == (Outcome.UNKNOWN, False, True)
    assert len(answer.body) <= module.BODY_BYTES


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A host that nobody allowed; it counts who comes."""

    visits = 0

    def do_GET(self):
        type(self).visits += 1
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/fapi/v1/time")
        self.send_header("Set-Cookie", "a=b")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    Elsewhere.visits = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_d12_no_redirect_is_followed(elsewhere):
    async def main():
        rest = MarketRest(publicly(elsewhere), Budget(), Time())
        try:
            with pytest.raises(RestError, match="HTTP 302"):
                await rest.fetch("/fapi/v1/time", {})
        finally:
            await rest.close()

    run(main())
    assert Elsewhere.visits == 1


def test_d12_no_proxy_of_the_environment_is_asked(world, elsewhere, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{elsewhere}")
    assert with_rest(world, lambda rest: rest.balance()) and Elsewhere.visits == 0


def test_d6_whoever_does_not_prove_who_he_is_is_told_nothing(tmp_path):
    files = certificate(tmp_path)
    vouched = ssl.create_default_context(cafile=str(files[0]))
    with World(tls=files) as world:
        for tls, words in ((vouched, None), (None, "no connection")):

            async def main(tls=tls, words=words):
                urls = replace(at(world.port), rest=f"https://127.0.0.1:{world.port}")
                async with Account(world, urls=urls, tls=tls) as account:
                    if words is None:
                        return await account.rest.balance()
                    with pytest.raises(RestError, match=words) as caught:
                        await account.rest.balance()
                    return caught.value.verdict

            found = run(main())
            assert isinstance(found, list) if words is None else found.outcome is Outcome.FAILED


@pytest.mark.parametrize("slow", [False, True])
def test_d5_a_name_that_is_not_found_holds_nothing_up_and_was_not_sent(monkeypatch, slow):
    monkeypatch.setattr(module, "CONNECT_S", 0.3)

    async def resolve(*_, **__):
        if slow:
            await asyncio.sleep(30)
        raise OSError("no such name")

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)

    async def main():
        urls = trading_urls("live", Live(profile="production"))
        async with Account(None, urls=urls) as account:
            with pytest.raises(RestError, match="no connection") as caught:
                await account.rest.balance()
        return caught.value.verdict

    began = time.monotonic()
    verdict = run(main())
    assert (verdict.outcome, verdict.again) == (Outcome.FAILED, True) and time.monotonic() - began < 10


def test_e1_e5_the_exchange_s_clock_is_measured_by_the_same_requests_and_stamps_them():
    with World(lively=True) as world:
        world.fault("skew", skew_ms=30_000)

        async def main():
            async with Account(world) as account:
                clock = VenueClock(account.rest.fetch, lambda *_: None)
                account.rest._clock = clock
                with pytest.raises(RestError) as caught:
                    await account.rest.balance()
                await clock.measure()
                await account.rest.balance()
                return caught.value.code, clock.offset.ns

        code, offset_ns = run(main())
    assert code == -1021 and abs(offset_ns + 30 * 10**9) < 10**9


# ---------------------------------------------------------------------------------- secrets


FAULTS = [
    ("timeout_done", {}), ("bad_gateway_html", {}), ("waf_403", {}), ("empty_200", {}), ("truncated_json", {}),
    ("reset", {"done": True, "cut": 50}), ("reset", {}), ("ban", {}), ("limit", {}), ("maintenance", {}),
    ("error", {"code": -2015, "text": "refused"}), ("answer", {"body": "5"}), ("lose_answer", {}),
    ("answer", {"status": 302, "body": "-"}),
]  # fmt: skip


@pytest.mark.parametrize(("do", "keys"), FAULTS, ids=lambda one: one if isinstance(one, str) else "")
def test_s4_no_error_holds_a_query_a_key_or_a_signature_however_it_is_rendered(do, keys, monkeypatch, caplog):
    monkeypatch.setattr(module, "ORDER_S", 0.3)
    caplog.set_level(logging.DEBUG)
    alice = setup("alice")
    object.__setattr__(alice.key, "api_key", CANARY_KEY)
    object.__setattr__(alice.key, "secret", CANARY_SECRET)
    with World(alice) as world:
        asked = []
        for call in ("order", "account", "open_listen_key", "user_trades"):
            world.fault(do, path="/fapi/*", **keys)
            arguments = {"order": (BTC, "CanaryQuery"), "user_trades": (BTC, 77_777_777)}.get(call, ())
            if call != "order" and do == "lose_answer":
                continue
            for error in failures(world, call, arguments):
                asked.append(error)
                shown = rendered(error) + caplog.text
                for canary in (CANARY_KEY, CANARY_SECRET, "signature=", "timestamp=", "recvWindow=", "listenKey="):
                    assert canary not in shown, (canary, shown)
                assert error.__cause__ is None and error.__context__ is None
        assert asked


def failures(world, call, arguments):
    async def main():
        async with Account(world, key=CANARY_KEY, secret=CANARY_SECRET) as account:
            try:
                await getattr(account.rest, call)(*arguments)
            except VenueError as error:
                return [error]
        return []

    return run(main())


def rendered(error):
    try:
        logging.getLogger("canary").error("failed: %r %s", error, error, exc_info=error)
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [line for line in shown.format() if "rest_clients" not in line and "test_rest" not in line]
        return "".join(frames) + repr(error.args) + repr(vars(error))
    finally:
        del error


def test_an_account_and_its_requests_show_nothing_of_its_keys():
    async def main():
        async with Account(None, urls=at(9), key=CANARY_KEY, secret=CANARY_SECRET) as account:
            return repr(account.rest) + repr(vars(account.rest))

    shown = run(main())
    assert CANARY_KEY not in shown and CANARY_SECRET not in shown
