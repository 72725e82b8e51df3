"""What a key may do: LIVE starts with the one set of rights that trades futures and moves no money."""

import asyncio
import itertools

import pytest
from binance.async_client import AsyncClient
from binance.client import Client
from binance.exceptions import BinanceAPIException
from loopback_world import World, setup

from autotrader.adapters.binance.permissions import REFUSED, REQUIRED, judge
from autotrader.adapters.loopback.setup import PERMISSIONS, SAFE, load_accounts
from autotrader.errors import OperatorError
from autotrader.messages import set_language

JUDGED = (
    "enableFutures",
    "ipRestrict",
    "enableWithdrawals",
    "enableInternalTransfer",
    "permitsUniversalTransfer",
    "enableMargin",
    "enableSpotAndMarginTrading",
)


def body(**changes) -> dict:
    """What the exchange says of a key that only trades futures, from fixed addresses."""
    return {"createTime": 1_700_000_000_000} | {name: name in SAFE for name in PERMISSIONS} | changes


@pytest.mark.parametrize("granted", itertools.product([False, True], repeat=7))
def test_of_all_combinations_one_is_let_through_and_every_fault_of_the_others_is_named(granted):
    told = dict(zip(JUDGED, granted, strict=True))
    verdict = judge(body(**told))
    wrong = [name for name, on in told.items() if on != (name in ("enableFutures", "ipRestrict"))]
    assert len(verdict.faults) == len(wrong) and verdict.warnings == ()
    for name, fault in zip(wrong, verdict.faults, strict=True):
        assert fault.startswith(f"{name} is {'on' if told[name] else 'off'}")
    if not wrong:
        verdict.require()
        assert granted == (True, True, False, False, False, False, False)
    else:
        with pytest.raises(OperatorError) as caught:
            verdict.require()
        assert str(caught.value) == "; ".join(verdict.faults)


def test_what_is_judged_is_what_the_test_judges():
    assert (*REQUIRED, *REFUSED) == JUDGED


@pytest.mark.parametrize("name", JUDGED)
def test_a_right_that_is_not_told_is_a_fault(name):
    told = body()
    del told[name]
    for silent in (told, body(**{name: None}), body(**{name: "true"}), body(**{name: 1}), body(**{name: 0})):
        assert [fault.split()[:3] for fault in judge(silent).faults] == [[name, "is", "missing"]]


@pytest.mark.parametrize("answer", [None, [], "", {}, 7, {"code": -2015, "msg": "Invalid API-key"}])
def test_an_answer_that_tells_nothing_lets_nobody_through(answer):
    with pytest.raises(OperatorError, match="LIVE does not start without it"):
        judge(answer).require()


@pytest.mark.parametrize("value", [True, False, None, "x", []])
def test_a_field_that_nobody_knows_is_a_warning(value):
    verdict = judge(body(enableTeleport=value, **{"en\x1b[31mable": value}))
    assert verdict.faults == ()
    assert [warning.split(" is ")[0] for warning in verdict.warnings] == ["en [31mable", "enableTeleport"]


@pytest.mark.parametrize("name", ["enableVanillaOptions", "enableFixApiTrade", "enablePortfolioMarginTrading"])
def test_a_right_that_nobody_needs_is_a_warning(name):
    verdict = judge(body(**{name: True}))
    assert verdict.faults == () and verdict.warnings == (
        f"{name} is on and not needed; switch it off for this API key",
    )


def test_faults_are_spoken_in_korean():
    set_language("ko")
    assert "끄십시오" in judge(body(enableWithdrawals=True)).faults[0]


# ---------------------------------------------------------------------- the exchange on loopback


@pytest.fixture(scope="module")
def home():
    accounts = [
        setup("safe"),
        setup("rich", permissions=SAFE | {"enableWithdrawals"}),
        setup("none", permissions=frozenset()),
    ]
    with World(*accounts) as opened, pytest.MonkeyPatch.context() as patch:
        for kind in (Client, AsyncClient):
            for name, path in (("API_URL", "api"), ("MARGIN_API_URL", "sapi"), ("FUTURES_URL", "fapi")):
                patch.setattr(kind, name, f"http://127.0.0.1:{opened.port}/{path}")
        yield opened


@pytest.mark.parametrize(("name", "faults"), [("safe", []), ("rich", ["enableWithdrawals"]), ("none", list(REQUIRED))])
def test_python_binance_is_told_what_the_key_of_an_account_may_do(home, name, faults):
    async def ask():
        client = await AsyncClient.create(f"{name}-key", f"{name}-secret")
        try:
            return await client.get_account_api_permissions()
        finally:
            await client.close_connection()

    answer = asyncio.run(ask())
    assert set(answer) == {*PERMISSIONS, "createTime"}
    assert [fault.split()[0] for fault in judge(answer).faults] == faults
    assert judge(answer).warnings == ()


def test_nobody_is_told_of_a_key_without_its_signature(home):
    async def ask():
        client = await AsyncClient.create("safe-key", "another-secret")
        try:
            await client.get_account_api_permissions()
        finally:
            await client.close_connection()

    with pytest.raises(BinanceAPIException, match="-1022"):
        asyncio.run(ask())


def test_the_accounts_file_says_what_a_key_may_do(tmp_path):
    path = tmp_path / "accounts.toml"
    table = '[[account]]\nname = "a"\napi_key = "key"\napi_secret = "secret"\n'
    path.write_text(table)
    assert load_accounts(path)[0].permissions == SAFE
    path.write_text(table + 'permissions = ["enableFutures", "enableWithdrawals"]\n')
    assert load_accounts(path)[0].permissions == {"enableFutures", "enableWithdrawals"}
    path.write_text(table + "permissions = []\n")
    assert load_accounts(path)[0].permissions == frozenset()
    path.write_text(table + 'permissions = ["enableFuture"]\n')
    with pytest.raises(
        OperatorError, match='account a: "enableFuture" is no permission of a key; use ipRestrict, enable'
    ):
        load_accounts(path)
