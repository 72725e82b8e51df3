"""An Ed25519 key trades: REST signed, the request socket logged on, and logged on anew before anything leaves by it.

The exchange on loopback verifies every signature; what it really did must be without a contradiction.
"""

from pathlib import Path

import orjson
import pytest
from builders import spec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from loopback_world import World, setup
from rest_clients import at
from test_engine import MIDDLE
from test_loopback_cli import served
from test_online import eventually, told
from test_order_session import PRICE, Desk, Watched, buy, cancel, placed, run
from test_trading import configured, ended, proved, trading

from autotrader.adapters.binance.answers import Answers
from autotrader.adapters.binance.order_session import OrderSession, Timing
from autotrader.adapters.binance.outcomes import Alert, Outcome
from autotrader.adapters.binance.rest import Rest
from autotrader.adapters.binance.signing import Ed25519Signer
from autotrader.adapters.loopback.proof import check
from autotrader.adapters.loopback.setup import AccountSetup
from autotrader.adapters.loopback.signatures import Key
from autotrader.adapters.loopback.ws_api import RequestSocket
from autotrader.cli import main
from autotrader.secret import Credentials, Secret
from core_ext.types import OrderState

E8 = 10**8
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ORDERS = ("POST", "/fapi/v1/order")


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public(key=PRIVATE):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def keys(private=PRIVATE):
    return Credentials(api_key=Secret("carol-key"), secret=Secret(pem(private)), kind="ed25519")


@pytest.fixture
def world(tmp_path):
    """An exchange that stands still, on which carol's key is an Ed25519 key."""
    carol = AccountSetup(Key("carol", "carol-key", "ed25519", public()), (10_000 * E8, 0, 0, 0, 0))
    accounts = (carol, setup("bob"), setup("maker", 100_000_000))
    with World(*accounts, history=tmp_path / "history.jsonl", specs=[spec(leverage=20)]) as one:
        one.mark(PRICE)
        yield one
    report = check(tmp_path / "history.jsonl")
    assert not report.violations, report.violations


class LogonDesk(Desk):
    """A live run whose key is an Ed25519 key; its frames are kept."""

    def __init__(self, world, folder, *steps, private=PRIVATE, rest=True, timing=None, **options):
        super().__init__(world, folder, *steps, **options)
        credentials = keys(private)
        signer = Ed25519Signer(credentials.secret)
        self.rest = Watched(Rest(at(world.port), credentials, signer, self.budget, self.clock))
        self.session = OrderSession(
            at(world.port), credentials, self.engine.instruments, Answers(self.events.evidence),
            self.budget, self.clock, self.take, fallback=self.rest if rest else None,
            judged=lambda *one: self.verdicts.append(one), linked=self.links.append,
            timing=timing or Timing(answer_s=0.4, idle_s=0.3, first_s=0.05, cap_s=0.2),
        )  # fmt: skip

    @property
    def alerts(self):
        return [verdict.alert for _, _, verdict in self.verdicts]


@pytest.fixture
def asked(world):
    """What the exchange is asked over its request socket, in order: (method, names of the parameters)."""
    found, plain = [], RequestSocket.on_text

    def on_text(self, text):
        frame = orjson.loads(text)
        found.append((frame["method"], sorted(frame["params"])))
        plain(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RequestSocket, "on_text", on_text)
        yield found


def with_desk(world, folder, test, *steps, **options):
    async def hours():
        async with LogonDesk(world, folder, *steps, **options) as desk:
            await test(desk)

    run(hours())


def log_off(world):
    """Let the exchange forget every logon, and say nothing of it."""
    world.do(lambda: [socket._log_off() for socket in world.server.reception._talking])


# ---------------------------------------------------------------------------------- health


def test_a_connection_logs_on_once_and_then_nothing_has_a_key_or_a_signature(world, tmp_path, asked):
    async def test(desk):
        assert asked == [("session.logon", ["apiKey", "signature", "timestamp"])]
        await desk.steps(2)
        assert desk.state() == OrderState.CANCELLED and desk.kinds() == ["ACCEPTED", "CANCELED"]
        assert [method for method, _ in asked[1:]] == ["order.place", "order.cancel"]
        for _, names in asked[1:]:
            assert "timestamp" in names and not {"apiKey", "signature"} & set(names)
        assert desk.rest.asked == [] and desk.links == [True]

    with_desk(world, tmp_path, test, buy(), cancel())


def test_an_order_of_an_ed25519_key_is_filled(world, tmp_path):
    async def test(desk):
        await desk.steps()
        assert world.order("SELL", 0.01, 99_999.5, "maker")["status"] in ("FILLED", "NEW")
        (held,) = [one for one in await desk.rest.rest.position_risk("BTCUSDT") if float(one["positionAmt"])]
        assert float(held["positionAmt"]) == 0.01
        assert [one["side"] for one in await desk.rest.rest.user_trades("BTCUSDT", 0)] == ["BUY"]

    with_desk(world, tmp_path, test, buy())


def test_without_a_connection_what_leaves_is_signed_by_the_key_over_rest(world, tmp_path):
    world.fault("flap", path="/ws-fapi/v1", count=1000)

    async def test(desk):
        await desk.steps(2)
        assert desk.state() == OrderState.CANCELLED
        assert desk.rest.asked == [ORDERS, ("DELETE", "/fapi/v1/order")]

    with_desk(world, tmp_path, test, buy(), cancel(), connect=False)


# ---------------------------------------------------------------------------------- refused


def test_another_private_key_is_refused_by_the_logon_and_nothing_opens(world, tmp_path):
    async def test(desk):
        await desk.until(lambda: desk.session.halted is not None)
        assert (desk.session.halted.code, desk.session.halted.alert) == (-1022, Alert.KEY_REFUSED)
        assert not desk.session.is_connected and desk.links == []
        await desk.steps()
        assert desk.kinds() == ["REJECTED"] and placed(world) == []

    with_desk(world, tmp_path, test, buy(), private=OTHER, connect=False)


def test_a_clock_that_is_off_is_measured_and_the_logon_put_anew(world, tmp_path, asked):
    async def test(desk):
        assert desk.clock.measured == 1
        assert [method for method, _ in asked] == ["session.logon", "session.logon"]
        await desk.steps()
        assert desk.state() == OrderState.LIVE

    class Wrong(LogonDesk):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.clock.wrong_ms = 60_000

    async def hours():
        async with Wrong(world, tmp_path, buy()) as desk:
            await test(desk)

    run(hours())


# ---------------------------------------------------------------------------------- lost


def test_a_new_connection_logs_on_before_anything_leaves_by_it(world, tmp_path, asked):
    async def test(desk):
        await desk.steps()
        world.fault("close", path="/ws-fapi/v1", at_s=0)
        await desk.until(lambda: desk.links == [True, False, True])
        await desk.steps()
        assert [method for method, _ in asked] == ["session.logon", "order.place", "session.logon", "order.place"]
        assert len(placed(world)) == 2

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6))


def test_a_lost_session_fails_one_order_and_logs_on_anew_by_itself(world, tmp_path, asked):
    async def test(desk):
        await desk.steps()
        log_off(world)
        await desk.steps()
        assert desk.reasons == [-2014] and desk.session.halted is None and Alert.KEY_REFUSED in desk.alerts
        await desk.until(lambda: desk.session.is_connected)
        assert desk.links == [True, False, True]
        await desk.steps()
        assert desk.state(3) == OrderState.LIVE and desk.rest.asked == []
        methods = [method for method, _ in asked]
        assert methods == ["session.logon", "order.place", "order.place", "session.logon", "order.place"]
        log_off(world)
        await desk.steps()
        assert desk.reasons == [-2014, -2014] and desk.session.halted is None  # not in a row

    with_desk(world, tmp_path, test, *[buy(ticks=MIDDLE - away) for away in (5, 6, 7, 8)])


def test_until_it_has_logged_on_anew_what_leaves_is_signed_over_rest(world, tmp_path, asked, monkeypatch):
    async def test(desk):
        await desk.steps()
        log_off(world)
        monkeypatch.setattr(RequestSocket, "_on_session", lambda *_: None)
        await desk.steps()
        assert desk.reasons == [-2014] and not desk.session.is_connected
        await desk.steps()
        assert desk.state() == OrderState.CANCELLED and desk.rest.asked == [("DELETE", "/fapi/v1/order")]
        assert [method for method, _ in asked if not method.startswith("session.")] == ["order.place"] * 2

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6), cancel())


def test_several_orders_that_one_lost_session_fails_are_one_loss(world, tmp_path):
    def three(desk):
        for away in (6, 7, 8):
            desk.submit(0, 0, 10, MIDDLE - away)

    async def test(desk):
        await desk.steps()
        log_off(world)
        desk.step()
        await desk.until(lambda: len(desk.reasons) == 3)
        assert desk.session.halted is None
        await desk.until(lambda: desk.session.is_connected)
        await desk.steps()
        assert len(placed(world)) == 2

    with_desk(world, tmp_path, test, buy(), three, buy(ticks=MIDDLE - 9))


def test_a_session_that_is_lost_twice_in_a_row_opens_nothing_any_more(world, tmp_path):
    async def test(desk):
        for _ in range(2):
            log_off(world)
            await desk.steps()
            await desk.until(lambda: desk.session.is_connected)
        assert desk.session.halted is not None and desk.session.halted.outcome is Outcome.HALT
        await desk.steps()
        assert len(desk.reasons) == 3 and placed(world) == []
        desk.session.resume()
        await desk.steps()
        assert len(placed(world)) == 1

    with_desk(world, tmp_path, test, *[buy(ticks=MIDDLE - away) for away in (5, 6, 7, 8)])


def test_a_key_that_is_revoked_halts_and_its_logon_is_refused(world, tmp_path):
    async def test(desk):
        await desk.steps()
        world.fault("revoke_key", account="carol")
        await desk.until(lambda: desk.session.halted is not None and not desk.session.is_connected)
        assert (desk.session.halted.code, desk.session.halted.alert) == (-2015, Alert.KEY_REFUSED)
        before = len(placed(world))
        await desk.steps()
        assert len(placed(world)) == before == 1

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6))


def test_a_session_that_is_refused_connects_and_logs_on_until_the_exchange_has_put_it_right(world, tmp_path, asked):
    async def test(desk):
        await desk.steps()
        world.fault("revoke_key", account="carol")
        await desk.until(lambda: len(asked) >= 5 and not desk.session.is_connected)
        assert {method for method, _ in asked[2:]} == {"session.logon"}
        world.do(world.server.reception._gate.revoked.clear)
        await desk.until(lambda: desk.session.is_connected)
        await desk.steps()
        assert len(placed(world)) == 1 and desk.session.halted is not None
        desk.session.resume()
        await desk.steps()
        assert len(placed(world)) == 2 and desk.rest.asked == []

    with_desk(world, tmp_path, test, *[buy(ticks=MIDDLE - away) for away in (5, 6, 7)])


def test_a_key_that_is_named_bad_halts_at_once_although_it_may_log_on(world, tmp_path):
    world.fault("error", path="/fapi/v1/order", method="POST", status=401, code=-2015, text="Invalid API-key.")

    async def test(desk):
        await desk.steps()
        assert desk.reasons == [-2015] and desk.session.halted.code == -2015
        await desk.until(lambda: desk.session.is_connected)
        await desk.steps()
        assert placed(world) == []

    with_desk(world, tmp_path, test, buy(), buy(ticks=MIDDLE - 6))


def test_a_logon_without_an_answer_is_none_and_the_next_connection_logs_on(world, tmp_path, monkeypatch):
    plain, heard = RequestSocket.reply, []

    def reply(self, *answer):
        heard.append(self)
        if len(heard) > 1:
            plain(self, *answer)

    monkeypatch.setattr(RequestSocket, "reply", reply)

    async def test(desk):
        await desk.until(lambda: desk.session.is_connected)
        assert len(heard) == 2 and heard[0] is not heard[1]
        await desk.steps()
        assert desk.state() == OrderState.LIVE and desk.rest.asked == []

    with_desk(world, tmp_path, test, buy(), connect=False)


# ---------------------------------------------------------------------------------- a whole run

ACCOUNTS = f'''
[[account]]
name = "demo"
api_key = "loopback-demo-key"
api_secret = "loopback-demo-secret"
[[account]]
name = "carol"
api_key = "an-ed25519-key-of-ours"
kind = "ed25519"
public_key = """{public()}"""
'''


@pytest.fixture
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    Path("accounts.toml").write_text(ACCOUNTS)


def key_file(private=PRIVATE):
    Path("keys").write_text(f"an-ed25519-key-of-ours\n{pem(private)}")
    Path("keys").chmod(0o600)
    return {"keys": '"file"', "key_file": '"keys"'}


EXCHANGE = ("--synthetic", "3", "--symbols", "BTCUSDT", "--accounts", "accounts.toml", "--history", "history.jsonl")


@pytest.mark.usefixtures("_here")
def test_a_run_with_an_ed25519_key_trades_is_protected_and_agrees(capsys):
    with served(*EXCHANGE) as (opened, _), trading(opened["port"], **key_file()) as process:
        eventually(capsys, lambda legs: legs and legs[0]["stop_e8"], "positions", seconds=60.0)
        assert told(capsys, "status")[1]["links"] == {"market": "up", "orders": "up", "user": "up"}
        summary = ended(process)
        assert summary["fills"] > 0
    assert proved(capsys) == 0
    for path in [path for path in Path("out").rglob("*") if path.is_file()]:
        assert b"PRIVATE KEY" not in path.read_bytes() and b"an-ed25519-key-of-ours" not in path.read_bytes()


@pytest.mark.usefixtures("_here")
def test_a_run_with_another_private_key_says_so_in_one_sentence(capsys):
    with served(*EXCHANGE) as (opened, _):
        file = configured(opened["port"], **key_file(OTHER))
        code = main(["run", str(file), "--mode", "testnet", "--for", "1"])
        said = capsys.readouterr().err.strip()
    assert code != 0 and len(said.splitlines()) == 1 and "-1022" in said, said
    assert "the exchange refused the API key or its signature, HTTP 400; check live.keys" in said


@pytest.mark.usefixtures("_here")
def test_checklist_and_watchdog_take_an_ed25519_key(capsys):
    with served(*EXCHANGE) as (opened, _):
        configured(opened["port"], **key_file())
        main(["--json", "doctor", "c.toml"])
        items = orjson.loads(capsys.readouterr().out)["items"]
        assert {one["name"]: one["verdict"] for one in items}["key"] == "ok"
        assert main(["watchdog", "c.toml", "--for", "1"]) == 0
