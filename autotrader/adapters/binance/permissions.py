"""What an API key may do, judged before LIVE starts.

Knows which rights a key that trades futures must have and which it must not have. Refuses to know how the exchange was
asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["REFUSED", "REQUIRED", "Verdict", "judge"]

REQUIRED: Final = ("enableFutures", "ipRestrict")
REFUSED: Final = (
    "enableWithdrawals",
    "enableInternalTransfer",
    "permitsUniversalTransfer",
    "enableMargin",
    "enableSpotAndMarginTrading",
)
# Rights that open nothing of ours and that nobody needs.
_UNNEEDED: Final = ("enableVanillaOptions", "enableFixApiTrade", "enablePortfolioMarginTrading")
_HARMLESS: Final = ("enableReading", "enableFixReadOnly", "createTime", "tradingAuthorityExpirationTime")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a key.

    Attributes
    ----------
    faults : tuple of str
        Why LIVE does not start with it.
    warnings : tuple of str
        What an operator should look at.
    """

    faults: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def require(self) -> None:
        """Refuse a key that has a fault.

        Raises
        ------
        OperatorError
            With all of its faults, in one line.
        """
        if self.faults:
            raise OperatorError("; ".join(self.faults))


def judge(body: object) -> Verdict:
    """Judge what the exchange says of a key.

    Parameters
    ----------
    body : object
        The answer of ``GET /sapi/v1/account/apiRestrictions``, decoded.

    Returns
    -------
    Verdict
        A right that is needed or forbidden and is not told, or not told as true or false, is a fault: what is not known
        is not safe. A field that is not known here is a warning.
    """
    if not isinstance(body, dict):
        return Verdict((say("permissions.no_answer"),))
    return Verdict(tuple(_faults(body)), tuple(_warnings(body)))


def _faults(body: dict[str, Any]) -> Iterator[str]:
    for name in (*REQUIRED, *REFUSED):
        if not isinstance(body.get(name), bool):
            yield say("permissions.missing", name=name)
        elif body[name] != (name in REQUIRED):
            yield say("permissions.required" if name in REQUIRED else "permissions.refused", name=name)


def _warnings(body: dict[str, Any]) -> Iterator[str]:
    for name in _UNNEEDED:
        if body.get(name):
            yield say("permissions.unneeded", name=name)
    for name in sorted(set(body) - {*REQUIRED, *REFUSED, *_UNNEEDED, *_HARMLESS}):
        yield say("permissions.unknown", name=_shown(name))


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name)[:40]
