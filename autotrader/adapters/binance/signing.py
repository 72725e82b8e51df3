"""Whoever signs what an account sends: the core by HMAC, or an Ed25519 key behind the texts that the core writes.

Knows which kinds of key sign, and how a signature stands behind a text. Refuses to know where keys come from, which
request a text is of, and whether it may leave.
"""

from __future__ import annotations

import base64
from typing import Protocol
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from autotrader.errors import OperatorError
from autotrader.messages import say
from autotrader.secret import Credentials, Secret
from core_ext.types import Instruments
from core_ext.wire import Approval, Signer

__all__ = ["Ed25519Signer", "TextSigner", "refuse_kind", "signer"]


class TextSigner(Protocol):
    """Writes and signs the texts of an account for REST."""

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text as it is written, not percent-encoded."""

    def order_text(self, approval: Approval, instruments: Instruments, timestamp_ms: int) -> bytes:
        """Return the signed text of an approved order, compared with what was approved (R32); empty if refused."""

    def reference_text(
        self, client_id: int, symbol: int, instruments: Instruments, timestamp_ms: int, conditional: bool = False
    ) -> bytes:
        """Return the signed text that names an order."""


class Ed25519Signer:
    """Signs by Ed25519 the texts that the core has written and compared; the signature is in Base64.

    Parameters
    ----------
    secret : Secret
        The private key as PEM.

    Raises
    ------
    ValueError
        If it is no Ed25519 key.

    References
    ----------
    RFC 8032 (Josefsson and Liusvaara, Edwards-Curve Digital Signature Algorithm, 2017).
    """

    def __init__(self, secret: Secret) -> None:
        key = load_pem_private_key(secret.reveal().encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("no Ed25519 key")
        self._key, self._texts = key, Signer(None)

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text, 88 characters."""
        return base64.b64encode(self._key.sign(text))

    def order_text(self, approval: Approval, instruments: Instruments, timestamp_ms: int) -> bytes:
        """Return the signed text of an approved order, compared with what was approved (R32); empty if refused."""
        text = self._texts.order_text(approval, instruments, timestamp_ms)
        return self._signed(text) if text else b""

    def reference_text(
        self, client_id: int, symbol: int, instruments: Instruments, timestamp_ms: int, conditional: bool = False
    ) -> bytes:
        """Return the signed text that names an order."""
        return self._signed(self._texts.reference_text(client_id, symbol, instruments, timestamp_ms, conditional))

    def _signed(self, text: bytes) -> bytes:
        return b"%b&signature=%b" % (text, quote(self.sign(text), safe="").encode())


def refuse_kind(credentials: Credentials) -> None:
    """Refuse a key that does not sign here.

    Raises
    ------
    OperatorError
        If it is neither of HMAC nor of Ed25519.
    """
    if credentials.kind not in ("hmac", "ed25519"):
        raise OperatorError(say("session.key_kind", kind=credentials.kind.upper()))


def signer(credentials: Credentials) -> TextSigner:
    """Return whoever signs with an account's key over REST.

    Parameters
    ----------
    credentials : Credentials

    Raises
    ------
    OperatorError
        If the key is neither of HMAC nor of Ed25519.
    """
    refuse_kind(credentials)
    if credentials.kind == "ed25519":
        return Ed25519Signer(credentials.secret)
    return Signer(credentials.secret.reveal().encode())
