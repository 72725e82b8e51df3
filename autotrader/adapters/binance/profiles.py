"""Which hosts there are, and which of them a run may reach.

Knows the addresses of every profile and the paths that a mode has any business with. Refuses to know how a connection
is made. PAPER gets addresses without those of trading: there is nothing in its hands that an order could be sent to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from autotrader.config import PROFILES, Live
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["RESTRICTIONS", "MarketUrls", "TradingUrls", "market_urls", "proxies", "refuse_proxies", "trading_urls"]

RESTRICTIONS: Final = "/sapi/v1/account/apiRestrictions"
_PORTS: Final = MappingProxyType({"https": 443, "wss": 443, "http": 80, "ws": 80})
# What needs no key. Everything else under /fapi belongs to an account.
_PUBLIC: Final = re.compile(
    r"/fapi/v1/(ping|time|exchangeInfo|depth|aggTrades|trades|klines|markPriceKlines|indexPriceKlines|premiumIndex"
    r"|premiumIndexKlines|fundingRate|fundingInfo|openInterest|assetIndex|ticker/(24hr|bookTicker|price))"
    r"|/fapi/v2/ticker/price|/(public|market)/(ws|stream)(/[^/].*)?"
)
# Of an account at the spot host only the question what its key may do: nothing here moves money.
_TRADING: Final = re.compile(
    r"/fapi/v[123]/[A-Za-z]+(/[A-Za-z0-9]+)*|/private/(ws|stream)(/[^/].*)?|/ws-fapi/v1|" + RESTRICTIONS
)
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"})


@dataclass(frozen=True, slots=True)
class MarketUrls:
    """Where market data are: base addresses, without a slash at the end.

    Attributes
    ----------
    profile : str
    rest : str
        Before ``/fapi/...``.
    public, market : str
        Before ``/ws`` or ``/stream``.
    """

    profile: str
    rest: str
    public: str
    market: str

    def require_host(self, url: str) -> str:
        """Return an address that may be connected to.

        Parameters
        ----------
        url : str

        Returns
        -------
        str
            The same.

        Raises
        ------
        OperatorError
            If its scheme, host or port is not one of these, or its path is one that this mode has no business with.
            The message has no query: a signature or a listen key may stand there.
        """
        parts = _split(url)
        if parts is None or _origin(parts) not in self._origins():
            raise OperatorError(say("wire.host", url=_shown(url), profile=self.profile))
        if not self._serves(parts.path):
            raise OperatorError(say("wire.path", path=parts.path[:80], profile=self.profile))
        return url

    def _origins(self) -> set[tuple[str, str, int]]:
        return {_origin(urlsplit(base)) for base in (self.rest, self.public, self.market)}

    def _serves(self, path: str) -> bool:
        return _is_plain(path) and _PUBLIC.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class TradingUrls(MarketUrls):
    """Where orders go, too.

    Attributes
    ----------
    user : str
        Before ``/ws`` or ``/stream``: the stream of an account.
    ws_api : str
        Whole.
    spot : str
        Before ``/sapi/...``, which says what a key may do; "" where there is no such host.
    """

    user: str
    ws_api: str
    spot: str

    def _origins(self) -> set[tuple[str, str, int]]:
        own = {_origin(urlsplit(base)) for base in (self.user, self.ws_api, self.spot) if base}
        return MarketUrls._origins(self) | own

    def _serves(self, path: str) -> bool:
        return MarketUrls._serves(self, path) or (_is_plain(path) and _TRADING.fullmatch(path) is not None)


_HOSTS: Final[Mapping[str, tuple[str, str, str, str]]] = MappingProxyType(
    {
        # REST, streams, request API over WebSocket, spot.
        "production": (
            "https://fapi.binance.com",
            "wss://fstream.binance.com",
            "wss://ws-fapi.binance.com",
            "https://api.binance.com",
        ),
        # One backend, two names: its request API over WebSocket answers at the old one only, /sapi/* at none.
        "demo": (
            "https://demo-fapi.binance.com",
            "wss://demo-fstream.binance.com",
            "wss://testnet.binancefuture.com",
            "",
        ),
        "testnet": (
            "https://testnet.binancefuture.com",
            "wss://fstream.binancefuture.com",
            "wss://testnet.binancefuture.com",
            "",
        ),
    }
)


def market_urls(live: Live) -> MarketUrls:
    """Return where the market data of a profile are; any mode may read them.

    Parameters
    ----------
    live : Live
    """
    rest, streams, _, _ = _hosts(live)
    return MarketUrls(live.profile, rest, f"{streams}/public", f"{streams}/market")


def trading_urls(mode: str, live: Live) -> TradingUrls:
    """Return where a mode trades.

    Parameters
    ----------
    mode : str
        "testnet" or "live".
    live : Live

    Raises
    ------
    OperatorError
        If the mode trades nowhere, as PAPER, or may not reach the profile; LIVE reaches the exchange on loopback only
        as a rehearsal. The configuration says so too; this holds even for one that nobody has checked.
    """
    if mode not in ("testnet", "live"):
        raise OperatorError(say("wire.no_trading", mode=mode))
    if live.profile not in PROFILES[mode] or (mode == "live" and (live.profile == "loopback") != live.rehearsal):
        raise OperatorError(say("wire.profile", mode=mode, profile=live.profile))
    rest, streams, ws_api, spot = _hosts(live)
    return TradingUrls(
        live.profile,
        rest,
        f"{streams}/public",
        f"{streams}/market",
        user=f"{streams}/private",
        ws_api=f"{ws_api}/ws-fapi/v1",
        spot=spot,
    )


def _hosts(live: Live) -> tuple[str, str, str, str]:
    if live.profile != "loopback":
        return _HOSTS[live.profile]
    rest, sockets = f"http://127.0.0.1:{live.port}", f"ws://127.0.0.1:{live.port}"
    return rest, sockets, sockets, rest


def _split(url: str) -> SplitResult | None:
    # Parsers disagree about what is refused here, and whoever connects may have another than ours.
    if not url.isascii() or not url.isprintable() or any(one in url for one in " \\#"):
        return None
    try:
        parts = urlsplit(url)
        known = parts.scheme in _PORTS and parts.port != 0
    except ValueError:
        return None
    return parts if known and "@" not in parts.netloc else None


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _is_plain(path: str) -> bool:
    return ".." not in unquote(path) and "//" not in path


def _shown(url: str) -> str:
    bare = re.split(r"[?#]", url, maxsplit=1)[0].rpartition("@")[2]
    return "".join(letter if letter.isprintable() else " " for letter in bare)[:80]


def proxies(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the variables of an environment, by default ours, that put a proxy in between."""
    return sorted(name for name, value in environment.items() if name.lower() in _PROXIES and value.strip())


def refuse_proxies(mode: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """See to it that no proxy stands between us and the exchange.

    Parameters
    ----------
    mode : str
    environment : mutable mapping, optional
        The process's own by default.

    Raises
    ------
    OperatorError
        In LIVE, if the environment names one. In every other mode the variables are taken out of it, so that no library
        that reads them follows one.
    """
    named = proxies(environment)
    if mode == "live" and named:
        raise OperatorError(say("wire.proxy", names=", ".join(named)))
    for name in [name for name in environment if name.lower() in _PROXIES]:
        del environment[name]
