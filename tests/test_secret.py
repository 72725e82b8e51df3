"""Secrets: nothing that renders a value shows one, and what is written does not hold one."""

import asyncio
import base64
import copy
import dataclasses
import doctest
import io
import json
import logging
import marshal
import pickle
import pprint
import subprocess
import sys
import textwrap
import threading
import traceback
from urllib.parse import quote, unquote_plus, urlencode

import aiohttp
import msgspec
import orjson
import pytest
import yarl
from binance.exceptions import BinanceAPIException, BinanceRequestException
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.traceback import Traceback

from autotrader import secret
from autotrader.cli import main
from autotrader.secret import REDACTED, Credentials, Secret, guard_output, redacted

CANARY = "cANaRy+0123/456=789&abcDEFghiJKLmnoPQRstuVWXyz%0aZYXwvuTSRqpo#!"
PEM = (
    Ed25519PrivateKey.generate()
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Know no secret of another test, and leave the process's output as it was."""
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(secret, "_known", secret._Known())
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    yield
    logging.setLogRecordFactory(factory)


def credentials(value: str = CANARY) -> Credentials:
    return Credentials(api_key=Secret("K" + CANARY[::-1]), secret=Secret(value), kind="hmac")


def shows(text: str, value: str = CANARY) -> bool:
    """Whether eight characters in a row of a value stand in a text."""
    return any(value[at : at + 8] in text for at in range(len(value) - 7))


def of_locals(one: object) -> str:
    def fails(key: object) -> None:
        raise RuntimeError("no")

    try:
        fails(one)
    except RuntimeError as error:
        plain = traceback.TracebackException.from_exception(error, capture_locals=True)
        file = io.StringIO()
        Console(file=file, width=200).print(Traceback.from_exception(*sys.exc_info(), show_locals=True))
        return "".join(plain.format()) + file.getvalue()
    raise AssertionError


RENDERINGS = {
    "str": str,
    "repr": repr,
    "format": lambda one: f"{one} {one!s} {one!r} {one:>90}",
    "percent": lambda one: "%s %r %a" % (one, one, one),  # noqa: UP031
    "str.format": lambda one: "{0} {0!r}".format(one),  # noqa: UP032
    "ascii": ascii,
    "list": lambda one: f"{[one]} { ({'key': one}) }",
    "pprint": pprint.pformat,
    "copy": lambda one: repr((copy.copy(one), copy.deepcopy(one))),
    "json by default": lambda one: json.dumps(one, default=str),
    "orjson by default": lambda one: orjson.dumps(one, default=str).decode(),
    "msgspec by default": lambda one: msgspec.json.encode(one, enc_hook=str).decode(),
    "asdict": lambda one: repr(dataclasses.asdict(Credentials(api_key=one, secret=one, kind="hmac"))),
    "credentials": lambda one: repr(Credentials(api_key=one, secret=one, kind="hmac")),
    "exception": lambda one: repr(ValueError("no", one)) + str(KeyError(one)),
    "traceback with locals": of_locals,
    "attributes": lambda one: "".join(repr(getattr(one, name)) for name in dir(one)),
}
REFUSALS = {
    "json": json.dumps,
    "orjson": orjson.dumps,
    "msgspec": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "builtins": msgspec.to_builtins,
    "pickle": pickle.dumps,
    "pickle of what holds it": lambda one: pickle.dumps({"key": [one]}),
    "reduce": lambda one: one.__reduce_ex__(4),
    "state": lambda one: one.__getstate__(),
    "marshal": marshal.dumps,
    "vars": vars,
    "bytes": bytes,
    "join": lambda one: "".join([one]),
    "concatenation": lambda one: "key=" + one,
    "urlencode": lambda one: [*one],
    "length": len,
}


@pytest.mark.parametrize("render", RENDERINGS.values(), ids=RENDERINGS)
@pytest.mark.parametrize("value", [CANARY, PEM])
def test_a_secret_is_rendered_as_redacted(render, value):
    text = render(Secret(value))
    assert REDACTED in text and not shows(text, value)


@pytest.mark.parametrize("serialise", REFUSALS.values(), ids=REFUSALS)
def test_what_would_have_to_hold_the_value_is_refused_without_showing_it(serialise):
    with pytest.raises((TypeError, ValueError)) as caught:
        serialise(Secret(CANARY))
    assert not shows(str(caught.value))


def test_who_asks_by_name_gets_the_value_and_nobody_can_hang_another_one_on():
    key = Secret(CANARY)
    assert key.reveal() == CANARY and not hasattr(key, "__dict__")
    with pytest.raises(AttributeError):
        key.value = CANARY


@pytest.mark.parametrize("value", ["", "short", b"0123456789", None])
def test_what_is_no_secret_is_refused_without_showing_it(value):
    with pytest.raises(ValueError, match=r"^a secret has 8 characters or more$"):
        Secret(value)


def test_an_api_key_is_known_by_its_fingerprint():
    assert credentials().fingerprint == credentials().fingerprint
    assert len(credentials().fingerprint) == 16 and not shows(credentials().fingerprint, "K" + CANARY[::-1])


# ---------------------------------------------------------------------- by value


FORMS = {
    "exact": lambda text: text,
    "in words": lambda text: f"refused ({text}), see above",
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded path": quote,
    "form": lambda text: urlencode({"key": text}),
    "percent-encoded in small letters": lambda text: quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "address": lambda text: str(yarl.URL("https://x.test/a").with_query(key=text)),
    "json": lambda text: json.dumps({"key": text}),
    "repr": lambda text: repr([text]),
    "bytes": lambda text: repr(text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "urlsafe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 with one before": lambda text: base64.b64encode(f"u:{text}".encode()).decode(),
    "base64 with two before": lambda text: base64.b64encode(f"u{text}x".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "twice": lambda text: text + text,
    "first eight": lambda text: f"key {text[:8]}...",
    "last eight": lambda text: f"key ...{text[-8:]}",
    "middle": lambda text: text[20:40],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_taken_out_of_a_text_in_every_form(form):
    Secret(CANARY)
    left = redacted(form(CANARY))
    assert REDACTED in left and not shows(unquote_plus(left))
    assert len(left.replace(REDACTED, "")) < 24  # no encoded rest of it beside the words around it


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_private_key_is_taken_out_and_the_frame_of_its_file_stays(form):
    Secret(PEM)
    body = PEM.splitlines()[1]
    left = redacted(form(body))
    assert REDACTED in left and not shows(left, body)
    assert redacted("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"
    assert not shows(redacted(json.dumps(PEM)), body)


def test_a_short_secret_is_taken_out_whole_and_no_word_of_it():
    Secret("loopback-demo-secret")
    assert redacted("loopback: loopback-demo-secret refused") == f"loopback: {REDACTED} refused"
    assert redacted(base64.b64encode(b"loopback-demo-secret").decode()) == REDACTED


def test_words_beside_a_secret_stay():
    Secret(CANARY)
    assert redacted(f"at 12:00 {CANARY} of BTCUSDT") == f"at 12:00 {REDACTED} of BTCUSDT"
    assert redacted(f"{CANARY} and {CANARY}") == f"{REDACTED} and {REDACTED}"
    assert redacted("") == "" and redacted("nothing of it") == "nothing of it"


def test_as_many_secrets_as_a_process_may_have_are_known_and_the_oldest_beyond_is_forgotten():
    for count in range(65):
        Secret(f"{count:03}-a-secret")
    assert redacted("064-a-secret 001-a-secret 000-a-secret") == f"{REDACTED} {REDACTED} 000-a-secret"


@given(st.text(min_size=8, max_size=80), st.text(max_size=30), st.text(max_size=30))
@example("\ud800" * 8, "", "")
@example("%" * 40, "%", "%")
def test_no_secret_survives_whatever_it_is_made_of(value, before, after):
    secret._known = secret._Known()
    Secret(value)
    left = redacted(before + value + after)
    assert value not in left.replace(REDACTED, "\0")


# ---------------------------------------------------------------------- what is written


class Kept(logging.Handler):
    """A handler of somebody else, which keeps all that it gets."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def emit(self, record):
        self.text += self.format(record) + repr(vars(record)) + json.dumps(vars(record), default=repr)


async def answer(body: bytes) -> None:
    """What a client raises when the exchange repeats the request to it."""

    class Reply:
        status = 400

    raise BinanceAPIException(Reply(), 400, body.decode())


def raised_by_aiohttp() -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(f"http://127.0.0.1:1/x?{urlencode({'secret': CANARY})}", timeout=aiohttp.ClientTimeout(5))

    try:
        asyncio.run(ask())
    except aiohttp.ClientConnectorError as error:
        raise aiohttp.InvalidURL(f"http://127.0.0.1/?secret={CANARY}", str(error)) from error


def raised_by_python_binance() -> None:
    asyncio.run(answer(json.dumps({"code": -2014, "msg": f"API-key format invalid: {CANARY}"}).encode()))


def raised_by_orjson() -> None:
    try:
        orjson.loads(f'{{"secret": "{CANARY}"')
    except orjson.JSONDecodeError as error:
        raise ValueError(error.doc) from error  # its text does not hold the document; the exception does


def raised_in_a_chain() -> None:
    try:
        raise BinanceRequestException(f"Invalid Response: {base64.b64encode(CANARY.encode()).decode()}")
    except BinanceRequestException as error:
        error.add_note(f"key {CANARY.encode().hex()}")
        raise RuntimeError("no answer") from error


FAULTS = [raised_by_aiohttp, raised_by_python_binance, raised_by_orjson, raised_in_a_chain]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("logger", ["", "aiohttp.client", "binance"])
def test_no_handler_of_any_logger_sees_a_secret_in_an_exception(fault, logger):
    Secret(CANARY)
    handler = Kept()
    logging.getLogger().addHandler(handler)
    guard_output()
    try:
        with pytest.raises(Exception) as caught:
            fault()
        try:
            raise caught.value
        except Exception as error:
            logging.getLogger(logger).exception("request %s failed: %s", CANARY, error, extra={"sent": {"key": CANARY}})
            logging.getLogger(logger).error(error)
            logging.getLogger(logger).error("%(key)s", {"key": error})
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.text.count(REDACTED) > 3
    for form in FORMS.values():
        assert form(CANARY) not in handler.text
    assert not shows(handler.text)


def test_a_record_without_a_secret_keeps_its_exception():
    guard_output()
    try:
        raise KeyError("x")
    except KeyError:
        record = logging.getLogRecordFactory()("a", 40, "f", 1, "%s of %d", ("one", 2), sys.exc_info())
    assert record.getMessage() == "one of 2" and record.exc_info is not None and record.args == ("one", 2)


END = """
    import gc, logging, sys, threading, asyncio
    from autotrader.secret import Secret, guard_output
    secret = Secret({value!r})
    guard_output()
    def fail():
        raise ValueError("refused: " + secret.reveal())
    class Thing:
        def __del__(self):
            fail()
    async def task():
        asyncio.get_running_loop().create_task(later())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
    async def later():
        fail()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Thing()
    asyncio.run(task())
    logging.warning("%d", secret.reveal())
    fail()
"""


def test_what_nobody_catches_is_told_without_the_secret():
    code = textwrap.dedent(END).format(value=CANARY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(f"ValueError: refused: {REDACTED}") == 4
    assert not shows(done.stdout + done.stderr)


def test_what_holds_no_secret_is_told_as_before_and_guarding_twice_is_guarding_once(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *fault: told.append(fault))
    guard_output()
    guard_output()
    fault = (ValueError, ValueError("no"), None)
    sys.excepthook(*fault)
    assert told == [fault]


def test_what_the_command_complains_of_does_not_hold_a_secret(capsys):
    Secret(CANARY)
    assert main(["backtest", f"{CANARY.replace('/', '')}.toml"]) == 2
    said = capsys.readouterr().err
    assert REDACTED in said and not shows(said)


def test_the_examples_run():
    assert doctest.testmod(secret).failed == 0 < doctest.testmod(secret).attempted
