"""Values that nobody may see: how they are carried, and how they are taken out of whatever is written.

Knows every value that became a `Secret` in this process, and the forms in which it could turn up in a text. Refuses to
know where keys come from and what they open. Nothing here reads a log: whatever is written passes through `redacted`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, final
from urllib.parse import quote, quote_plus

__all__ = ["REDACTED", "SHORTEST", "Credentials", "Secret", "guard_output", "redacted"]

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8
# A shorter value is taken out whole only: eight characters of it could be a word of the language.
_LONG: Final = 32
# A process has two or three; the oldest is forgotten beyond this.
_MOST: Final = 64


class _Known:
    # The forms of every secret: whole ones of short values, runs of eight characters of long ones.

    def __init__(self) -> None:
        self._values: dict[str, None] = {}
        self.wholes: tuple[str, ...] = ()
        self.runs: frozenset[str] = frozenset()

    def add(self, value: str) -> None:
        if value in self._values:
            return
        self._values[value] = None
        while len(self._values) > _MOST:
            del self._values[next(iter(self._values))]
        short = {form for one in self._values if len(one) < _LONG for form in _forms(one)}
        long = {form for one in self._values if len(one) >= _LONG for form in _forms(one)}
        self.wholes = tuple(sorted(short, key=len, reverse=True))
        self.runs = frozenset(form[at : at + SHORTEST] for form in long for at in range(len(form) - SHORTEST + 1))


def _forms(value: str) -> Iterator[str]:
    text = _body(value)
    raw = text.encode("utf-8", "surrogatepass")
    yield from (text, json.dumps(text)[1:-1], repr(text)[1:-1])
    for encoded in (quote(raw, safe=""), quote_plus(raw), quote(raw)):
        yield from (encoded, _lower_escapes(encoded))
    yield from (raw.hex(), raw.hex().upper())
    yield from _base64(raw)


def _body(value: str) -> str:
    # The first and the last line of a PEM are the same in every key: only what stands between them is secret. So little
    # that it could be a word of the language is no key, and taken out it would spoil every text.
    if not value.startswith("-----BEGIN "):
        return value
    body = "".join(line for line in value.splitlines() if not line.startswith("-----"))
    return body if len(body) >= SHORTEST else value


def _lower_escapes(encoded: str) -> str:
    head, *escapes = encoded.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in escapes)])


def _base64(raw: bytes) -> Iterator[str]:
    # What stands before a value moves its digits: three alignments, without the digits that neighbours share.
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        padded = bytes(before) + raw
        shared = 1 if len(padded) % 3 else 0
        for digits in (base64.b64encode(padded).decode(), base64.urlsafe_b64encode(padded).decode()):
            digits = digits.rstrip("=")
            yield digits[skipped : len(digits) - shared]
    yield base64.b64encode(raw).decode()


_known: Final = _Known()


def redacted(text: str) -> str:
    """Return a text without the secrets of this process.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        With ``[redacted]`` for each secret as it is, percent-encoded, escaped, in Base64 or hexadecimal; and for every
        eight characters in a row of one that has 32 or more, so that its beginning or end does not show either.

    Examples
    --------
    >>> key = Secret("correct horse battery")
    >>> redacted("refused: correct horse battery")
    'refused: [redacted]'
    """
    for whole in _known.wholes:
        text = text.replace(whole, REDACTED)
    return _without_runs(text, _known.runs)


def _without_runs(text: str, runs: frozenset[str]) -> str:
    if not runs:
        return text
    parts, shown, hidden = list[str](), 0, -1
    for at in range(len(text) - SHORTEST + 1):
        if text[at : at + SHORTEST] not in runs:
            continue
        if at > hidden:
            parts += text[shown:at], REDACTED
        hidden = shown = at + SHORTEST
    return "".join(parts) + text[shown:]


@final
class Secret:
    """Carry a value that shows itself to nobody but to who asks by name.

    Parameters
    ----------
    value : str
        At least eight characters. From now on `redacted` takes it out of texts.

    Raises
    ------
    ValueError
        If it is shorter, or no text; the value is not in the message.

    Examples
    --------
    >>> key = Secret("correct horse battery")
    >>> key
    [redacted]
    >>> f"{key:>30}"
    '[redacted]'
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str) or len(value) < SHORTEST:
            raise ValueError(f"a secret has {SHORTEST} characters or more")
        _known.add(value)
        self._reveal: Callable[[], str] = lambda: (
            value
        )  # no attribute holds it, so that nothing that walks attributes finds it

    def reveal(self) -> str:
        """Return the value, for the one line that signs with it."""
        return self._reveal()

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What an account's requests are signed with.

    Attributes
    ----------
    api_key : Secret
    secret : Secret
        The HMAC secret, or a private key as PEM.
    kind : str
        How it signs: "hmac", "ed25519" or "rsa".
    """

    api_key: Secret
    secret: Secret
    kind: Literal["hmac", "ed25519", "rsa"]

    @property
    def fingerprint(self) -> str:
        """What may be shown of the API key: the first 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.api_key.reveal().encode()).hexdigest()[:16]


def guard_output() -> None:
    """Take secrets out of every log record and of every exception that nobody caught, from now on.

    Notes
    -----
    Records are cleaned where they are made, so that no handler of any logger sees a secret; what `extra` adds later is
    cleaned by a filter of the root's handlers that there are now.
    """
    logging.setLogRecordFactory(_Record)
    for handler in logging.getLogger().handlers:
        if _clean_record not in handler.filters:
            handler.addFilter(_clean_record)
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        hook = getattr(module, name)
        setattr(module, name, hook if isinstance(hook, _Hook) else _Hook(hook))


class _Hook:
    # Tells what nobody caught; where there is no secret in it, as it would have been told without us.

    def __init__(self, before: Callable[..., object]) -> None:
        self._before = before

    def __call__(self, *fault: Any) -> None:
        told = fault if len(fault) == 3 else (fault[0].exc_type, fault[0].exc_value, fault[0].exc_traceback)
        text = "".join(traceback.format_exception(*told))
        if redacted(text) == text:
            self._before(*fault)
        else:
            sys.stderr.write(redacted(text))


class _Record(logging.LogRecord):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _clean_record(self)

    def getMessage(self) -> str:  # noqa: N802
        return redacted(super().getMessage())  # of arguments that only show a secret once they are formatted


def _clean_record(record: logging.LogRecord) -> bool:
    for name, value in vars(record).items():
        if name != "exc_info":
            setattr(record, name, _clean(value))
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if redacted(text) != text:  # handlers would format it anew: they get the text alone
            record.exc_info, record.exc_text = None, redacted(text)
    return True


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, BaseException):
        return value if redacted(repr(value) + str(value)) == repr(value) + str(value) else redacted(str(value))
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return tuple(map(_clean, value)) if type(value) is tuple else value
