"""The exchange on loopback as a command: from what the operator typed to a server that runs, and back.

Knows which files and symbols an exchange is made of, and what each client must be told to find it. Refuses to know how
it works.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import signal
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import polars as pl
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autotrader import instruments
from autotrader.adapters.loopback.proof import Report, check
from autotrader.adapters.loopback.server import Options, Server
from autotrader.adapters.loopback.setup import DEMO, load_accounts
from autotrader.adapters.loopback.sources import recorded_symbol
from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["check_history", "client_urls", "serve"]

DEFAULT_SYMBOLS = 10
LEVERAGE = 20
CERTIFICATE, PRIVATE_KEY = "loopback-cert.pem", "loopback-key.pem"


def serve(
    *,
    port: int,
    replay: Sequence[Path],
    seed: int,
    speed: float,
    symbols: Sequence[str],
    accounts: Path | None,
    faults: Path | None,
    history: Path | None,
    seconds: int,
    limits: tuple[int, int],
    legacy_silent: bool,
    averages: bool,
    tls: bool,
    hold: bool,
    told: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Run an exchange until it is stopped.

    Parameters
    ----------
    port : int
        0: any free one.
    replay : sequence of Path
        Recordings; none: a synthetic market.
    seed : int
    speed : float
        0: as fast as clients listen.
    symbols : sequence of str
        None: those of the recordings, or the first ten of the table.
    accounts, faults, history : Path, optional
    seconds : int
        After which it closes by itself; 0: it does not.
    limits : (int, int)
        Weight of an address and orders of an account a minute.
    legacy_silent : bool
        Whether unrouted sockets hear the public family only.
    averages : bool
        Whether answers to orders hold averages, as they did before 2026-06.
    tls : bool
        Whether to serve with a certificate of its own making.
    hold : bool
    told : callable
        Told what was opened, once.

    Returns
    -------
    dict
        What it did.

    Raises
    ------
    OperatorError
    """
    table = instruments.load()
    names = list(symbols) or [_recorded(path) for path in replay] or list(table)[:DEFAULT_SYMBOLS]
    specs, _ = instruments.specs(
        list(dict.fromkeys(names)), table=table, fees=instruments.fee_tier("VIP0"), leverage=LEVERAGE
    )
    last = last_closes()
    options = Options(
        specs,
        replay=replay,
        seed=seed,
        speed=speed,
        accounts=load_accounts(accounts) if accounts else DEMO,
        faults=faults,
        history=history,
        tls=certificate(Path.cwd()) if tls else None,
        port=port,
        hold=hold,
        weight_limit=limits[0],
        order_limit=limits[1],
        legacy_silent=legacy_silent,
        before_2026_06=averages,
        prices_e8=None if replay else opening_prices(specs, last),
        coins_e8={name: last[f"{name}USDT"] for name in ("BNB", "BTC", "ETH")},
    )
    return uvloop.run(_serve(options, seconds, told))


async def _serve(options: Options, seconds: int, told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    server = Server(options)
    try:
        port = await server.open()
    except OSError as error:
        raise OperatorError(say("loopback.port", port=options.port, reason=error.strerror)) from None
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, server.stop)
    if seconds:
        loop.call_later(seconds, server.stop)
    told(
        {
            "port": port,
            "symbols": [symbol.name for symbol in server.symbols],
            "accounts": [setup.name for setup in options.accounts],
            "market": "replay" if server.replay else "synthetic",
            "speed": options.speed,
            "urls": client_urls(port, options.tls is not None),
            "certificate": str(options.tls[0]) if options.tls else "",
            "status": f"{'https' if options.tls else 'http'}://127.0.0.1:{port}/",
        }
    )
    await server.run()
    return {
        "calls": sum(server.reception.usage.calls.values()),
        "refused": sum(server.reception.usage.refused.values()),
        "history": str(options.history or ""),
        "records": server.history.records,
    }


def client_urls(port: int, tls: bool = False) -> dict[str, list[str]]:
    """Return what each known client must be told, by client.

    Parameters
    ----------
    port : int
    tls : bool, optional
    """
    http, ws = ("https", "wss") if tls else ("http", "ws")
    rest, sockets = f"{http}://127.0.0.1:{port}", f"{ws}://127.0.0.1:{port}"
    paths = {
        "fapiPublic": "fapi/v1", "fapiPublicV2": "fapi/v2", "fapiPublicV3": "fapi/v3", "fapiPrivate": "fapi/v1",
        "fapiPrivateV2": "fapi/v2", "fapiPrivateV3": "fapi/v3", "fapiData": "futures/data", "sapi": "sapi/v1",
    }  # fmt: skip
    return {
        "python-binance": [
            f'AsyncClient.FUTURES_URL = "{rest}/fapi"',
            f'AsyncClient.FUTURES_DATA_URL = "{rest}/futures/data"',
            f'AsyncClient.API_URL = "{rest}/api"',
            f'AsyncClient.MARGIN_API_URL = "{rest}/sapi"',
            f'AsyncClient.WS_FUTURES_URL = "{sockets}/ws-fapi/v1"',
            f'BinanceSocketManager.FSTREAM_URL = "{sockets}/"',
        ],
        "ccxt": [
            *(f"exchange.urls['api']['{name}'] = '{rest}/{path}'" for name, path in paths.items()),
            f"exchange.urls['api']['ws']['linear'] = '{sockets}/ws'",
            f"exchange.urls['api']['ws']['ws-api']['linear'] = '{sockets}/ws-fapi/v1'",
            "exchange.options['fetchCurrencies'] = False",
        ],
        "binance-sdk-derivatives-trading-usds-futures": [
            f'ConfigurationRestAPI(base_path="{rest}", ...)',
            f'ConfigurationWebSocketStreams(stream_url="{sockets}", ...)',
            f'ConfigurationWebSocketAPI(stream_url="{sockets}/ws-fapi/v1", ...)',
        ],
    }


def _recorded(path: Path) -> str:
    name = recorded_symbol(path)
    if not name:
        raise OperatorError(say("recording.foreign", path=path))
    return name


def opening_prices(specs: Sequence[instruments.Spec], last_e8: Mapping[str, int]) -> list[int]:
    """Return where the prices of a synthetic market begin: the shipped candles' last close, or 20,000 ticks."""
    return [last_e8.get(spec["symbol"], 20_000 * spec["tick_e8"]) for spec in specs]


def last_closes() -> dict[str, int]:
    """Return the shipped candles' last closes, 1e-8, by symbol."""
    with as_file(files("autotrader") / "samples/candles_1h_2025_05.parquet") as file:
        table = pl.read_parquet(file)
    closes = table.group_by("symbol").agg(pl.col("close").last())
    return {name: round(close * 10**8) for name, close in closes.iter_rows()}


def check_history(path: Path) -> Report:
    """Prove what an exchange did from its history.

    Raises
    ------
    OperatorError
        If the file cannot be read.
    """
    return check(path)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate of 127.0.0.1 and its key in a folder, made when they are not there.

    Raises
    ------
    OperatorError
        If they cannot be written.
    """
    files = folder / CERTIFICATE, folder / PRIVATE_KEY
    if all(path.is_file() for path in files):
        return files
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        files[1].touch(mode=0o600)
        files[1].write_bytes(secret)
        files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise OperatorError(say("cli.cannot_write", path=error.filename, reason=error.strerror)) from None
    return files
