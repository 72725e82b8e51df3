"""Seeded bytes of hostile peers of the exchange on loopback: requests, frames, and what neither is.

Knows which parameters calls take, how a request is signed and how a frame is written. Refuses to know what the
exchange must answer. Every draw comes from the generator that the caller hands in.
"""

import hashlib
import hmac
import json
import os
import time
from base64 import b64encode
from random import Random
from urllib.parse import quote

from autotrader.adapters.loopback.api import ROUTES
from autotrader.adapters.loopback.ws_api import METHODS

KEY, SECRET = "demo-key", b"demo-secret"

GOOD = {
    "symbol": ("BTCUSDT", "ETHUSDT"),
    "pair": ("BTCUSDT",),
    "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET", "1", "2"),
    "quantity": ("0.100", "0.5", "3"),
    "price": ("1990.0", "2000.0", "2010.0", "1960"),
    "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD"),
    "positionSide": ("BOTH", "LONG", "SHORT"),
    "reduceOnly": ("true", "false"),
    "newClientOrderId": ("a-1", "b_2", "c:3"),
    "triggerPrice": ("1990.0", "2010.0"),
    "algoType": ("CONDITIONAL",),
    "activatePrice": ("2020.0",),
    "callbackRate": ("1", "0.5"),
    "workingType": ("MARK_PRICE", "CONTRACT_PRICE"),
    "priceProtect": ("TRUE", "false"),
    "closePosition": ("true", "false"),
    "newOrderRespType": ("ACK", "RESULT"),
    "selfTradePreventionMode": ("EXPIRE_TAKER", "EXPIRE_BOTH", "NONE"),
    "priceMatch": ("QUEUE", "OPPONENT_5", "NONE"),
    "goodTillDate": ("4102444800000",),
    "recvWindow": ("5000", "60000"),
    "orderId": ("1", "2", "3"),
    "origClientOrderId": ("a-1", "b_2"),
    "orderIdList": ("[1,2]",),
    "origClientOrderIdList": ('["a-1","b_2"]',),
    "batchOrders": (
        '[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.1","price":"1990","timeInForce":"GTC"}]',
        '[{"symbol":"BTCUSDT","side":"BUY","orderId":1,"quantity":"0.1","price":1990}]',
    ),
    "countdownTime": ("0", "1000", "100000"),
    "leverage": ("5", "20"),
    "marginType": ("ISOLATED", "CROSSED"),
    "amount": ("10", "0.5"),
    "dualSidePosition": ("true", "false"),
    "multiAssetsMargin": ("true", "false"),
    "feeBurn": ("true", "false"),
    "limit": ("5", "10", "100", "1000"),
    "startTime": ("1700000000000",),
    "endTime": ("1700000600000",),
    "fromId": ("1",),
    "interval": ("1m", "1h", "1M"),
    "period": ("5m", "1d"),
    "contractType": ("PERPETUAL",),
    "incomeType": ("COMMISSION",),
    "autoCloseType": ("ADL", "LIQUIDATION"),
    "algoId": ("1", "2"),
    "clientAlgoId": ("x-1",),
    "modifyId": ("1",),
    "listenKey": ("abc",),
}
"""Parameters of all calls, with values that some call takes."""
TERMS = {name: GOOD[name] for name in [*GOOD][4:22] if name not in ("priceMatch", "goodTillDate")}
"""Those that an order may have besides its symbol, side, type and quantity."""

BAD = ["", " ", "0", "-0", "1", "-1", "+1", "007", "1.", ".5", "1,5", "1_0", "0x10", "1e3", "1e999", "1e-999", "NaN"]
BAD += ["Infinity", "-Infinity", "null", "true", "[]", "{}", "[[]]", '""', "[1e999]", "[null]", "[{}]", "[1,", "'"]
BAD += [str(n + d) for n in (2**31, 2**32, 10**12, 10**17, 10**18, 2**60, 2**62, 2**63, 2**64) for d in (-1, 0, 1)]
BAD += [str(-n - d) for n in (2**31, 10**18, 2**63) for d in (-1, 0, 1)]
BAD += ["9" * 13, "9" * 40, "9" * 400, "9" * 5000, "0.123456789", "0." + "0" * 400 + "1", "1e" + "9" * 300]
BAD += ["٣٤٥", "१२३.५", "１２３", "²", "½", "Ⅷ", "٠", "১"]
BAD += ["\0", "a\0b", "\r\n", "BTCUSDT\n", "btcusdt", "BTCUSDT ", "한국", "\u202ebtc", "\U0001f600", "é" * 40, "A" * 37]
BAD += ["A" * 3000, "\udc80", "\udcff\udcfe", "a\udced\udca0\udc80b", "BTCUSDT\udcff", "\udcc0\udcaf"]
BAD += ["%", "%zz", "%u0041", "%00", "..", "../../etc/passwd", "';--", "<script>", "${x}", "{0}", "{symbol}", "%s%n"]
BAD += ["[" * depth + "]" * depth for depth in (100, 300, 900, 10_000)]
BAD += ["[" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, '[{"symbol":' + "[" * 300 + "]" * 300 + "}]"]
BAD += ['[{"newClientOrderId":{"a":1},"quantity":[1],"price":1e999}]', '["\\ud800"]', "[-1]", "[1.5]", '["²"]', '["٣"]']
BAD += ["[" + "9" * 40 + "]", '["' + "9" * 5000 + '"]', "[{}" + ",{}" * 4 + "]", "[{}" + ",{}" * 9 + "]"]
BAD += ['[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":true}]']

TARGETS = sorted(ROUTES)
ORDERS = [(method, "/fapi/v1/order") for method in ("POST", "POST", "PUT", "DELETE")]
ORDERS += [("POST", f"/fapi/v1/{path}") for path in ("algoOrder", "batchOrders", "positionMargin")]
OWN = [("GET", "/"), ("GET", "/status"), ("GET", "/_control/state"), ("GET", "/_control/faults")]
OWN += [("POST", "/_control/faults"), ("DELETE", "/_control/faults/x"), ("POST", "/_control/x"), ("PATCH", "/_control")]
STRANGE = ["/", "//", "/fapi", "/fapi/v1/", "/fapi/v9/order", "*", "/%00", "/\xff\xfe", "/" + "a" * 5000, "/stream?x"]
VERBS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get", ""]
SOCKETS = ["/ws", "/stream", "/public/ws", "/public/stream", "/market/ws", "/market/stream", "/private/ws"]
SOCKETS += ["/ws/btcusdt@depth", "/public/stream?streams=btcusdt@depth@0ms/btcusdt@trade", "/private/ws?listenKey=x"]
SOCKETS += ["/private/stream?listenKey=a&events=x/y&listenKey=%FF", "/stream?streams=" + "/".join(map(str, range(900)))]
SOCKETS += ["/ws/%ED%A0%80", "/ws/\xff", "/ws-fapi/v1?returnRateLimits=false", "/ws-fapi/v1?returnRateLimits=%FF&%"]
STREAMS = ["btcusdt@depth", "btcusdt@depth@0ms", "btcusdt@bookTicker", "!ticker@arr", "btcusdt@kline_1m", "no@depth"]
DEPTHS = [10, 100, 200, 260, 500, 900, 1025, 10_000]


def encoded(text: str, rng: Random) -> str:
    """Return a value as a query has it; now and then with every byte escaped, or hardly any."""
    draw = rng.random()
    raw = text.encode("utf-8", "surrogateescape")
    if draw < 0.9:
        return quote(raw, safe="" if draw < 0.5 else ',:[]{}"')
    return "".join(rng.choice((f"%{one:02x}", f"%{one:02X}", chr(one) if 32 < one < 127 else "%")) for one in raw)


def asked(rng: Random, trades: bool) -> dict[str, str]:
    """Return parameters of which most are right; those of an order if it is to be one."""
    share = rng.choice((0.3, 0.6, 0.9))
    if trades:
        params = {name: rng.choice(values) for name, values in TERMS.items() if rng.random() < 0.2}
        params |= {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": rng.choice(GOOD["price"])}
        needed = ("orderId", "batchOrders", "triggerPrice", "callbackRate", "algoType", "amount")
        params |= {name: rng.choice(GOOD[name]) for name in needed}
        if rng.random() < 0.4:
            params |= {"type": rng.choice(GOOD["type"][1:6])}
            params = {name: text for name, text in params.items() if name not in ("price", "timeInForce")}
    else:
        params = {name: rng.choice(values) for name, values in GOOD.items() if rng.random() < share}
    params |= {"symbol": rng.choice(GOOD["symbol"]), "side": rng.choice(GOOD["side"]), "pair": "BTCUSDT"}
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
        params[rng.choice([*(params if trades else GOOD), "timestamp", "unheard-of"])] = rng.choice(BAD)
    return params


def signed(params: dict[str, str], rng: Random) -> str:
    """Return a query with its stamp and signature."""
    params.setdefault("timestamp", str(int(time.time() * 1000)))
    text = "&".join(f"{name}={encoded(value, rng)}" for name, value in params.items())
    made = hmac.new(SECRET, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
    return f"{text}&signature={made if rng.random() < 0.95 else rng.choice(BAD)[:100]}"


def request(rng: Random) -> bytes:
    """Return a whole request whose parameters may be anything."""
    trades = rng.random() < 0.5
    method, path = rng.choice(ORDERS if trades else TARGETS)
    text = signed(asked(rng, trades), rng)
    in_body = len(text) > 12_000 or (method != "GET" and rng.random() < 0.6)
    body = text.encode("utf-8", "surrogateescape") if in_body else b""
    target = path if in_body else f"{path}?{text}"
    key = KEY if rng.random() < 0.97 else rng.choice(["", "x" * 300, "é", "\x7f", "nobody"])
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {key}\r\n"
    if body:
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    return head.encode("latin-1", "replace") + b"\r\n" + body


def own_request(rng: Random) -> bytes:
    """Return a request to the server's own paths, or to none at all."""
    if rng.random() < 0.5:
        method, path = rng.choice(OWN)
    else:
        method, path = rng.choice(VERBS), rng.choice(STRANGE)
    bodies = [*BAD, '{"name":"x"}', '{"do":"answer","name":[],"after_s":1e999}']
    body = rng.choice(bodies).encode("utf-8", "surrogateescape")
    return f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def mangled(rng: Random, text: bytes) -> bytes:
    """Return bytes with some of them changed."""
    made = bytearray(text)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                made[at:at] = rng.choice([b"\0", b"\r\n", b"\n", b" ", b":", b"%", b"\r\n\r\n", rng.randbytes(9)])
            case 2:
                del made[at : at + rng.choice((1, 3, 40))]
            case 3:
                made[at:at] = made[rng.randrange(len(made) + 1) :][:50]
            case 4:
                del made[at:]
    return bytes(made)


def framing(rng: Random) -> bytes:
    """Return a request whose length is a lie, or nonsense."""
    body = b"symbol=BTCUSDT&side=BUY"
    match rng.randrange(9):
        case 0:
            lengths = ["-1", "0x10", "1e3", "9" * 30, "", " ", "²", "5, 5", "18446744073709551616", str(11 << 20), "+5"]
            lines = f"Content-Length: {rng.choice(lengths)}\r\n"
        case 1:
            lines = "Content-Length: 5\r\nContent-Length: 9\r\n"
        case 2:
            lines = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
        case 3:
            codings = ["gzip", "chunked, chunked", "identity", "CHUNKED", "xchunked"]
            lines = f"Transfer-Encoding: {rng.choice(codings)}\r\n"
        case 4:
            sizes = [b"zz", b"-5", b"5;x=" + b"y" * 2000, b"f" * 30, b"", b"5\0", b"ffffffff", b"1"]
            chunks = b"".join(rng.choice(sizes) + b"\r\n" + b"a" * rng.choice((0, 1, 5)) + b"\r\n" for _ in range(4))
            return b"POST /fapi/v1/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        case 5:
            lines = "".join(f"X-{n}: {'v' * rng.choice((1, 200))}\r\n" for n in range(rng.choice((10, 200))))
        case 6:
            lines = f"X: {'v' * 20_000}\r\n"
        case 7:
            lines = rng.choice(["X", ": y", "X : y", " X: y", "X: y\r\n z", "X: \0", "Expect: 100-continue"]) + "\r\n"
        case _:
            lines = f"Upgrade: {rng.choice(['websocket', 'h2c', ''])}\r\nConnection: Upgrade\r\n"
    return f"POST /fapi/v1/order HTTP/1.{rng.choice('01129')}\r\n{lines}\r\n".encode("latin-1", "replace") + body


def large(rng: Random) -> bytes:
    """Return a request of ten megabytes."""
    body = rng.choice([b"a", b"&", b"=", b"%", b"[", b"\0", b"symbol=B&"]) * (10 << 20)
    return f"POST /fapi/v1/batchOrders HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def hostile_request(rng: Random) -> bytes:
    """Return what a hostile peer sends as HTTP."""
    draw = rng.random()
    if draw < 0.62:
        return request(rng)
    if draw < 0.80:
        return mangled(rng, request(rng))
    if draw < 0.87:
        return own_request(rng)
    if draw < 0.975:
        return framing(rng)
    return rng.randbytes(rng.choice((1, 20, 3000))) if draw < 0.998 else large(rng)


# ---------------------------------------------------------------------- WebSockets


def handshake(path: str) -> bytes:
    """Return a request to become a WebSocket."""
    key = b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode("latin-1")


def frame(payload: bytes, opcode: int = 1, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return a frame; its mask is 0, so that what it hides stays readable."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask = masked << 7
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + len(payload).to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def anything(rng: Random, most: int = 3) -> object:
    """Return a JSON value that nobody expects."""
    match rng.randrange(9):
        case 0:
            return rng.choice([0, -1, 1, 7, 2**31, 2**53, 2**63 - 1, -(2**63), 10**400, 10**18])
        case 1:
            return rng.choice([0.5, -0.0, 1e308, 1e-300])
        case 2 | 3:
            return rng.choice(BAD)
        case 4:
            return rng.choice([None, True, False])
        case 5 if most:
            return [anything(rng, most - 1) for _ in range(rng.randrange(4))]
        case 6 if most:
            return {rng.choice([*GOOD, "id", "é"]): anything(rng, most - 1) for _ in range(rng.randrange(4))}
        case _:
            return rng.choice(STREAMS)


def dumped(value: object, rng: Random) -> bytes:
    """Return JSON, now and then with a part nested deeply or no JSON at all."""
    text = json.dumps(value).encode()
    if rng.random() < 0.15:
        depth = rng.choice(DEPTHS)
        deep = rng.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"[" * depth])
        places = [at for at, one in enumerate(text) if one in b":,"] or [0]
        at = rng.choice(places) + 1
        text = text[:at] + deep + (text[at:] if rng.random() < 0.1 else text[_behind(text, at) :])
    return mangled(rng, text) if rng.random() < 0.15 else text


def _behind(text: bytes, at: int) -> int:
    """Return where the simple value that begins at a place ends."""
    ends = [found for mark in (b",", b"}", b"]") if (found := text.find(mark, at)) >= 0]
    return min(ends, default=len(text))


def asked_by_frame(rng: Random) -> bytes:
    """Return a frame's text for the request API."""
    trades = rng.random() < 0.5
    params: dict[str, object] = dict(asked(rng, trades))
    params = {name: _natural(str(value), rng) for name, value in params.items()}
    params |= {"apiKey": KEY, "timestamp": int(time.time() * 1000)}
    if rng.random() < 0.25:
        params[rng.choice([*params])] = anything(rng)
    if rng.random() < 0.95:
        params["signature"] = _signature(params)
    method = rng.choice(["order.place", "order.modify", "order.cancel", "algoOrder.place"] if trades else [*METHODS])
    message: dict[str, object] = {"id": rng.choice([1, "x", None, "i" * 40]), "method": method, "params": params}
    if rng.random() < 0.3:
        message[rng.choice(["id", "method", "params", "x"])] = anything(rng)
    if rng.random() < 0.05:
        message["method"] = rng.choice(["session.logon", "session.status", "session.logout"])
    return dumped(message, rng)


def _natural(text: str, rng: Random) -> object:
    """Return a text as the JSON number or flag that it is, half the time; JSON knows no lone surrogates."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if rng.random() < 0.5 and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return text


def _signature(params: dict[str, object]) -> str:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    text = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
    return hmac.new(SECRET, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def control(rng: Random) -> bytes:
    """Return a frame's text for the control protocol of the streams."""
    method = rng.choice(["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"])
    params: object = rng.sample(STREAMS, 2) if method.endswith("SCRIBE") else ["combined", rng.choice([True, False])]
    message: dict[str, object] = {"id": rng.choice([1, "x", None]), "method": method, "params": params}
    if rng.random() < 0.6:
        message[rng.choice(["id", "method", "params"])] = anything(rng)
    if rng.random() < 0.1:
        del message[rng.choice([*message])]
    return dumped(message, rng)


def frames(rng: Random, path: str) -> bytes:
    """Return what a hostile peer sends once it is connected."""
    talk = asked_by_frame if path.startswith("/ws-fapi") else control
    draw = rng.random()
    if draw < 0.70:
        return b"".join(frame(talk(rng)) for _ in range(rng.choice((1, 1, 2, 5))))
    if draw < 0.80:
        text = talk(rng)
        cut = rng.randrange(len(text) + 1)
        parts = frame(text[:cut], fin=False) + frame(text[cut:], 0)
        return parts if draw < 0.76 else parts + frame(text, 0) + frame(text[cut:], rng.choice((0, 1)), fin=False)
    if draw < 0.90:
        return frame(talk(rng), rng.randrange(16), rng.random() < 0.7, rng.choice((0, 0, 1, 4, 7)), rng.random() < 0.7)
    if draw < 0.93:
        return frame(rng.randbytes(rng.choice((0, 1, 2, 125, 126, 500))), rng.choice((8, 9, 10)))
    if draw < 0.96:
        return mangled(rng, frame(talk(rng)))
    if draw < 0.998:
        return rng.randbytes(rng.choice((1, 2, 14, 200, 3000)))
    return frame(rng.choice([b"[", b"a", b'{"id":"' + b"x"]) * (10 << 20))


def hostile_socket(rng: Random) -> bytes:
    """Return a handshake and what follows it."""
    path = rng.choice(["/ws-fapi/v1"] * 12 + SOCKETS)
    return handshake(path) + frames(rng, path) + frame(b"", 8)
