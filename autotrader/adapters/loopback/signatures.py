"""Signatures of requests: what a client signed, and whether it did.

Knows keys, the text that a signature covers and three ways to sign. Refuses to know which request needs a signature,
whether a key is allowed to do what it asks, and the time.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote_plus, unquote_to_bytes

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from autotrader.errors import OperatorError
from autotrader.messages import say

Kind = Literal["hmac", "ed25519", "rsa"]
PublicKey = Ed25519PublicKey | RSAPublicKey

_PUBLIC: Final = {"ed25519": Ed25519PublicKey, "rsa": RSAPublicKey}


@dataclass(frozen=True, slots=True)
class Key:
    """Hold one key of an account.

    Parameters
    ----------
    name : str
        What the operator calls it.
    api_key : str
        What a client sends in ``X-MBX-APIKEY``; not shown.
    kind : {"hmac", "ed25519", "rsa"}
        How it signs.
    secret : str
        The shared secret of ``hmac``, or the public key in PEM; not shown.

    Raises
    ------
    OperatorError
        The kind is unknown, or the text is no public key of that kind.
    """

    name: str
    api_key: str = field(repr=False)
    kind: Kind
    secret: str = field(repr=False)
    public: PublicKey | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", None if self.kind == "hmac" else _public(self))


def _public(key: Key) -> PublicKey:
    if key.kind not in _PUBLIC:
        raise OperatorError(say("loopback.key_kind", name=key.name, found=key.kind))
    try:
        public = load_pem_public_key(key.secret.encode())
    except (ValueError, UnsupportedAlgorithm):
        public = None
    # The second test alone would do; the first tells mypy which two classes are meant.
    if isinstance(public, Ed25519PublicKey | RSAPublicKey) and isinstance(public, _PUBLIC[key.kind]):
        return public
    raise OperatorError(say("loopback.key_pem", name=key.name, kind=key.kind))


def verify(key: Key, payload: bytes, signature: str) -> bool:
    """Tell whether a key signed a payload.

    Parameters
    ----------
    key : Key
        The key that the client names.
    payload : bytes
        The signed text, see `split` and `sorted_payload`.
    signature : str
        Hexadecimal digits of either case (``hmac``), or base64; percent-encoded or not.

    Returns
    -------
    bool
        Whether it is the key's signature over the payload, or over the payload percent-decoded: python-binance signs
        the text before it is encoded.
    """
    given = unquote_to_bytes(signature.encode("utf-8", "surrogateescape"))
    readings = (payload, unquote_to_bytes(payload), unquote_to_bytes(payload.replace(b"+", b" ")))
    return any(_signed(key, reading, given) for reading in dict.fromkeys(readings))


def _signed(key: Key, payload: bytes, given: bytes) -> bool:
    if key.public is None:
        made = hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest()
        return hmac.compare_digest(made.encode(), given.lower())
    try:
        raw = base64.b64decode(given, validate=True)
        if isinstance(key.public, RSAPublicKey):
            key.public.verify(raw, payload, PKCS1v15(), SHA256())
        else:
            key.public.verify(raw, payload)
    except (binascii.Error, InvalidSignature):
        return False
    return True


def split(query: str, body: bytes) -> tuple[dict[str, str], bytes, str | None]:
    """Take a request's query and form body apart.

    Parameters
    ----------
    query : str
        What follows the question mark, undecoded.
    body : bytes
        The form body, undecoded; empty if there is none.

    Returns
    -------
    params : dict of str to str
        Decoded parameters without the signature. The query wins over the body, the first over a repetition.
    payload : bytes
        The signed text: query immediately followed by body, each without its signature.
    signature : str or None
        The signature undecoded; None if neither part carries one.
    """
    params: dict[str, str] = {}
    payload, signature = b"", None
    for part in (query, body.decode("utf-8", "surrogateescape")):
        kept = []
        for pair in part.split("&"):
            name, _, value = pair.partition("=")
            if name == "signature":
                signature = value if signature is None else signature
                continue
            kept.append(pair)
            if pair:
                params.setdefault(unquote_plus(name), unquote_plus(value))
        payload += "&".join(kept).encode("utf-8", "surrogateescape")
    return params, payload, signature


def sorted_payload(params: Mapping[str, object]) -> bytes:
    """Return the text that a request on the request socket signs.

    Parameters
    ----------
    params : mapping
        The request's ``params`` as parsed from JSON.

    Returns
    -------
    bytes
        All but ``signature``, sorted by name, as ``name=value`` with ``&`` between; strings as they are, everything
        else as JSON writes it. Empty, which no client signs, if a value is nested too deeply to be written.
    """
    try:
        pairs = [b"%b=%b" % (name.encode(), _text(params[name])) for name in sorted(params) if name != "signature"]
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        return b""
    return b"&".join(pairs)


def _text(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
