import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from hypothesis import given
from hypothesis import strategies as st

from autotrader.adapters.loopback.signatures import Key, sorted_payload, split, verify
from autotrader.errors import OperatorError

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
HMAC = Key("alice", "public-part", "hmac", SECRET)
PLAIN = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
PLAIN_SIGNED = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
QUERY = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
BODY = "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943"
MIXED_SIGNED = "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4"


def pem(private) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def hmac_of(payload: bytes) -> str:
    return hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()


def test_the_documented_query_and_its_signature_agree():
    _, payload, signature = split(f"{PLAIN}&signature={PLAIN_SIGNED}", b"")
    assert payload == PLAIN.encode() and signature == PLAIN_SIGNED
    assert verify(HMAC, payload, signature)


def test_the_documented_query_with_a_body_is_signed_without_a_sign_between_them():
    _, payload, signature = split(QUERY, f"{BODY}&signature={MIXED_SIGNED}".encode())
    assert payload == (QUERY + BODY).encode() and signature == MIXED_SIGNED
    assert verify(HMAC, payload, signature)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (f"{PLAIN}&signature={PLAIN_SIGNED}", ""),
        (f"signature={PLAIN_SIGNED}&{PLAIN}", ""),
        (f"signature={PLAIN_SIGNED}", PLAIN),
        ("", f"{PLAIN}&signature={PLAIN_SIGNED}"),
        (PLAIN, f"signature={PLAIN_SIGNED}"),
        (PLAIN.replace("&price", f"&signature={PLAIN_SIGNED}&price"), ""),
    ],
)
def test_a_signature_is_accepted_wherever_it_stands(query: str, body: str):
    params, payload, signature = split(query, body.encode())
    assert payload == PLAIN.encode() and verify(HMAC, payload, signature or "")
    assert "signature" not in params and params["price"] == "9000"


def test_the_case_of_a_hexadecimal_signature_does_not_matter():
    assert verify(HMAC, PLAIN.encode(), PLAIN_SIGNED.upper())


@pytest.mark.parametrize("wrong", ["", "0" * 64, PLAIN_SIGNED[:-1], PLAIN_SIGNED + "0", "é", "\udcff", "%00"])
def test_another_signature_is_refused(wrong: str):
    assert not verify(HMAC, PLAIN.encode(), wrong)


def test_a_changed_payload_is_refused():
    assert not verify(HMAC, PLAIN.encode() + b"0", PLAIN_SIGNED)


def test_a_signature_over_the_text_before_it_was_encoded_is_valid_too():
    sent = b"newClientOrderId=a%3Ab%2Fc+d&timestamp=1"
    assert verify(HMAC, sent, hmac_of(sent))
    assert verify(HMAC, sent, hmac_of(b"newClientOrderId=a:b/c d&timestamp=1"))
    assert verify(HMAC, sent, hmac_of(b"newClientOrderId=a:b/c+d&timestamp=1"))
    assert not verify(HMAC, sent, hmac_of(b"newClientOrderId=a:b&timestamp=1"))


def test_the_query_wins_over_the_body():
    params, payload, signature = split("price=1&symbol=A", b"price=2&side=BUY")
    assert params == {"price": "1", "symbol": "A", "side": "BUY"}
    assert payload == b"price=1&symbol=Aprice=2&side=BUY" and signature is None


def test_parameters_are_decoded_and_the_payload_is_not():
    params, payload, _ = split("symbol=%E5%B8%81USDT&note=a+b&empty=&flag", b"")
    assert params == {"symbol": "币USDT", "note": "a b", "empty": "", "flag": ""}
    assert payload == b"symbol=%E5%B8%81USDT&note=a+b&empty=&flag"


def test_bytes_that_are_no_text_come_through_unchanged():
    params, payload, _ = split("a=1", b"b=\xff\xfe")
    assert payload == b"a=1b=\xff\xfe" and set(params) == {"a", "b"}


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_whatever_a_client_encodes_and_signs_is_verified(params: dict[str, str]):
    text = "&".join(f"{quote(k)}={quote(v)}" for k, v in params.items() if k != "signature")
    found, payload, signature = split(f"{text}&signature={hmac_of(text.encode())}", b"")
    assert found == {k: v for k, v in params.items() if k != "signature"}
    assert verify(HMAC, payload, signature or "")


def test_an_ed25519_signature_is_verified_percent_encoded_or_not():
    private = Ed25519PrivateKey.generate()
    key = Key("bob", "k", "ed25519", pem(private))
    signed = base64.b64encode(private.sign(b"timestamp=1")).decode()
    assert verify(key, b"timestamp=1", signed) and verify(key, b"timestamp=1", quote(signed, safe=""))
    assert not verify(key, b"timestamp=2", signed)
    assert not any(verify(key, b"timestamp=1", wrong) for wrong in ("", "AAAA", "not base64!", "\udcff"))


def test_an_rsa_signature_is_verified():
    private = rsa_key(public_exponent=65537, key_size=2048)
    key = Key("carol", "k", "rsa", pem(private))
    signed = base64.b64encode(private.sign(b"timestamp=1", padding.PKCS1v15(), hashes.SHA256())).decode()
    assert verify(key, b"timestamp=1", quote(signed, safe=""))
    assert not verify(key, b"timestamp=2", signed) and not verify(key, b"timestamp=1", "AAAA")


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_text_that_is_no_public_key_of_its_kind_is_refused_naming_the_key(kind: str):
    for text in ("secret", "", pem(ec_key(SECP256R1()))):
        with pytest.raises(OperatorError, match=rf"dora.*{kind}"):
            Key("dora", "k", kind, text)


def test_a_key_of_another_kind_is_refused():
    with pytest.raises(OperatorError, match=r"dora.*hmac"):
        Key("dora", "k", "md5", "s")  # type: ignore[arg-type]


def test_a_key_never_shows_its_secret():
    assert SECRET not in repr(HMAC) and SECRET not in str(HMAC) and "alice" in repr(HMAC)
    assert "public-part" not in repr(HMAC)


def test_the_payload_of_the_request_socket_is_sorted_and_leaves_the_signature_out():
    params = {"timestamp": 1, "apiKey": "k", "signature": "s", "reduceOnly": True, "price": 0.1, "quantity": "0.10"}
    assert sorted_payload(params) == b"apiKey=k&price=0.1&quantity=0.10&reduceOnly=true&timestamp=1"


def test_the_payload_renders_nested_and_absent_values_as_json():
    assert sorted_payload({"b": [1, "x"], "a": None, "c": {"k": 1.5}}) == b'a=null&b=[1,"x"]&c={"k":1.5}'


def test_a_payload_that_cannot_be_rendered_is_empty():
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    assert sorted_payload({"a": deep}) == sorted_payload({"\ud800": 1}) == b""
