"""Keys of each kind sign what the core has written and compared, or are refused."""

import base64
from urllib.parse import unquote_to_bytes

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from test_outgoing import BARE, FULL, SPECS, STAMP, STOP, Desk

from autotrader.adapters.binance.signing import Ed25519Signer, signer
from autotrader.errors import OperatorError
from autotrader.secret import Credentials, Secret
from core_ext.types import Instruments, Reason, Term
from core_ext.wire import Signer

# The first test vector of RFC 8032, 7.1, and its second (one byte, 72).
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
OF_NOTHING = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def credentials(secret, kind):
    return Credentials(api_key=Secret("an-api-key-of-ours"), secret=Secret(secret), kind=kind)


PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
OURS = Ed25519Signer(Secret(pem(PRIVATE)))


def split(text):
    plain, _, signature = text.partition(b"&signature=")
    return plain, base64.b64decode(unquote_to_bytes(signature), validate=True)


def test_a_signature_is_that_of_the_standard_in_base64():
    assert OURS.sign(b"") == base64.b64encode(OF_NOTHING)


@pytest.mark.parametrize("words", [FULL, STOP], ids=["plain", "stop"])
def test_an_order_is_signed_as_it_was_approved_and_compared(words):
    desk = Desk()
    approval = desk.approve(**words)
    text = OURS.order_text(approval, desk.instruments, STAMP)
    plain, signature = split(text)
    assert BARE.compare(plain, approval, desk.instruments, STAMP) == Reason.APPROVED
    PRIVATE.public_key().verify(signature, plain)
    with pytest.raises(InvalidSignature):
        PRIVATE.public_key().verify(signature, plain + b"0")
    assert not set(text.partition(b"&signature=")[2]) & set(b"+/=&")


def test_an_order_that_is_not_as_approved_is_not_signed():
    desk = Desk()
    assert OURS.order_text(desk.approve(0, 1, 10, 2_000_001, terms=Term.PRICE_PROTECT), desk.instruments, STAMP) == b""


def test_a_reference_is_signed():
    plain, signature = split(OURS.reference_text(9 << 32 | 1, 3, Instruments(SPECS), STAMP))
    assert plain == BARE.reference_text(9 << 32 | 1, 3, Instruments(SPECS), STAMP)
    PRIVATE.public_key().verify(signature, plain)


def test_each_kind_of_key_has_its_signer_and_rsa_none():
    assert isinstance(signer(credentials("a-secret-of-ours", "hmac")), Signer)
    assert isinstance(signer(credentials(pem(PRIVATE), "ed25519")), Ed25519Signer)
    other = pem(rsa.generate_private_key(65537, 2048))
    with pytest.raises(OperatorError, match=r"^an RSA key cannot sign orders here; make an HMAC or an Ed25519 key$"):
        signer(credentials(other, "rsa"))
    with pytest.raises(ValueError, match="no Ed25519 key"):
        Ed25519Signer(Secret(other))


def test_what_signs_shows_nothing_of_its_key_and_is_not_stored():
    import pickle

    assert "PRIVATE KEY" not in repr(vars(OURS)) and base64.b64encode(SEED).decode() not in repr(vars(OURS))
    with pytest.raises(TypeError):
        pickle.dumps(OURS)
