"""Bad input ends with exit code 2 and one line: what is wrong, where, what to do; nothing is left behind."""

import gzip
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from builders import FIVE, HISTORY, RECORDING, configuration

from autotrader.cli import main

HUGE = "9" * 400
HANGUL = re.compile("[가-힣]")
ENGLISH = re.compile(r"\b[a-z]+ [a-z]+ [a-z]+\b")
LONGEST = 700  # characters of a line that a person still reads

Prepare = Callable[[], list[str]]


@dataclass(frozen=True)
class Case:
    """One kind of bad input: its name, what makes it and gives the command line, what the line must say."""

    name: str
    prepare: Prepare
    says: tuple[str, ...]
    slow: bool = False  # one more of a kind


def cases(*found: Case) -> list:
    return [pytest.param(case, id=case.name, marks=[pytest.mark.slow] * case.slow) for case in found]


# --- recordings


@cache
def lines() -> tuple[bytes, ...]:
    """The first lines of the shipped recording: a snapshot, its diffs, trades, touches, mark prices."""
    return tuple(gzip.decompress(RECORDING.read_bytes()).splitlines(keepends=True)[:250])


def stamped(at: int, message: bytes) -> bytes:
    return lines()[at].partition(b" ")[0] + b" " + message + b"\n"


def with_line(at: int, line: bytes) -> bytes:
    return b"".join((*lines()[:at], line, *lines()[at:]))


def recording(content: bytes, name: str = "day.gz") -> Path:
    path = Path(name)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def paper(*files: Path | str, **changes: str) -> list[str]:
    return ["paper", str(configuration(Path("quoter.toml"), **changes)), "--replay", *map(str, files)]


def raw(content: bytes, name: str = "day.gz") -> list[str]:
    Path(name).write_bytes(content)
    return paper(name)


def of_content(content: bytes, name: str = "day") -> list[str]:
    return paper(recording(content, name))


def message(text: str | bytes) -> Prepare:
    """A recording with one message more, behind the snapshot."""
    body = text.encode() if isinstance(text, str) else text
    return lambda: of_content(with_line(100, stamped(100, body)))


DEPTH = '{"e":"depthUpdate","E":1680652701000,"T":1680652701000,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[%s],"a":[]}'
TOUCH = '{"e":"bookTicker","u":2710246765485,"s":"BTCUSDT","b":"%s","B":"%s","a":"28145.20","A":"1.000"}'
TRADE = '{"e":"trade","E":1680652701000,"T":1680652701000,"s":"BTCUSDT","t":%s,"p":"%s","q":"%s","X":"MARKET","m":true}'
MARK = '{"e":"markPriceUpdate","E":1680652701000,"s":"BTCUSDT","p":"%s","P":"1","i":"%s","r":"%s","T":1680652800000}'
NUMBERS = {"NaN": "NaN", "zero": "0", "negative": "-1", "400 digits": HUGE, "infinite": "Infinity", "empty": ""}
MESSAGES = {
    **{f"depth price {name}": DEPTH % f'["{text}","1.000"]' for name, text in NUMBERS.items()},
    **{f"depth quantity {name}": DEPTH % f'["28145.10","{text}"]' for name, text in NUMBERS.items() if name != "zero"},
    **{f"touch price {name}": TOUCH % (text, "1.000") for name, text in NUMBERS.items()},
    **{f"trade price {name}": TRADE % (1, text, "0.001") for name, text in NUMBERS.items()},
    **{f"trade quantity {name}": TRADE % (1, "28145.10", text) for name, text in NUMBERS.items()},
    **{
        f"trade id {name}": TRADE % (text or "null", "28145.10", "0.001")
        for name, text in NUMBERS.items()
        if text != "0"
    },
    **{f"mark price {name}": MARK % (text, "28145.1", "0.0001") for name, text in NUMBERS.items()},
    **{
        f"funding rate {name}": MARK % ("1", "28145.1", text)
        for name, text in NUMBERS.items()
        if name not in ("zero", "negative")
    },
    "cut message": DEPTH[:60],
    "bare NaN": DEPTH % "[NaN,NaN]",
    "number": "5",
    "deep nesting": "[" * 5000 + "]" * 5000 + "}",
    "deep objects": '{"e":' * 5000 + "1" + "}" * 5000,
}
QUICK = ("depth price", "trade quantity zero", "mark price NaN", "cut", "bare", "deep")
BYTES = {
    "invalid UTF-8": b'{"e":"trade","s":"BTCUSDT\xff\xfe"}',
    "NUL": b'{"e":"trade","s":"BTC\x00USDT"}',
}
STAMPS = {
    "NaN": b"NaN",
    "zero": b"0",
    "negative": b"-1680652700600379",
    "400 digits": HUGE.encode(),
    "decimal": b"1680652700600379.5",
    "none": b"",
    "invalid UTF-8": b"\xff\xfe",
}


def stamp(text: bytes, at: int) -> Prepare:
    return lambda: of_content(
        b"".join((*lines()[:at], text + b" " + lines()[at].partition(b" ")[2], *lines()[at + 1 :]))
    )


def cut_gzip(keep: Callable[[int], int]) -> Prepare:
    def prepare() -> list[str]:
        whole = RECORDING.read_bytes()
        return raw(whole[: keep(len(whole))])

    return prepare


def overlapping() -> list[str]:
    return paper(recording(b"".join(lines()[:150]), "a"), recording(b"".join(lines()[120:]), "b"))


def other_unit() -> list[str]:
    later = [line.replace(b" ", b"000 ", 1) for line in lines()[150:]]
    return paper(recording(b"".join(lines()[:150]), "a"), recording(b"".join(later), "b"))


def without_snapshot() -> list[str]:
    return of_content(b"".join(line for line in lines() if b"lastUpdateId" not in line))


def without_marks() -> list[str]:
    return of_content(b"".join(line for line in lines() if b"markPrice" not in line))


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


FOREIGN = {
    "picture": png,
    "text": lambda: b"Dear reader,\nthis is no market data.\n",
    "other JSON": lambda: b'{"a": [1, 2, 3]}\n',
    "other JSON lines": lambda: b'{"a": 1}\n{"a": 2}\n',
    "other Parquet": lambda: parquet(pl.DataFrame({"a": [1], "b": ["x"]})),
    "zip without CSV": lambda: zipped(picture__png=png()),
    "empty zip": lambda: zipped(),
    "zeros": lambda: bytes(5000),
    "random bytes": lambda: np.random.default_rng(1).bytes(50_000),
    "UTF-16 text": lambda: "symbol,ts_ms,open\n".encode("utf-16"),
}


def foreign_name(name: str) -> str:
    return f"foreign{ {'picture': '.png', 'text': '.txt', 'other Parquet': '.parquet', 'zeros': ''}.get(name, '.dat') }"


def in_folder(content: bytes | None) -> str:
    Path("folder").mkdir()
    if content is not None:
        Path("folder/one").write_bytes(content)
    return "folder"


def pipe() -> str:
    os.mkfifo("pipe")
    return "pipe"


RECORDINGS = cases(
    Case("missing", lambda: paper("nowhere.gz"), ("nowhere.gz",)),
    Case("empty", lambda: raw(b""), ("day.gz", "empty")),
    Case("blank", lambda: raw(b"\n \n"), ("day.gz",)),
    Case("gzip of nothing", lambda: raw(gzip.compress(b"")), ("day.gz", "empty")),
    *(
        Case(f"gzip cut to {name}", cut_gzip(keep), ("day.gz",))
        for name, keep in {
            "1 byte": lambda n: 1,
            "2 bytes": lambda n: 2,
            "5 bytes": lambda n: 5,
            "its header": lambda n: 10,
            "100 bytes": lambda n: 100,
            "a third": lambda n: n // 3,
            "all but its trailer": lambda n: n - 8,
            "all but one byte": lambda n: n - 1,
        }.items()
    ),
    Case(
        "gzip with rubbish behind it",
        lambda: raw(gzip.compress(b"".join(lines())) + b"rubbish"),
        ("day.gz", "damaged"),
    ),
    Case(
        "gzip with a flipped bit",
        lambda: raw((lambda b: b[:20_000] + bytes([b[20_000] ^ 4]) + b[20_001:])(RECORDING.read_bytes())),
        ("day.gz",),
    ),
    Case("last line cut", lambda: of_content(b"".join(lines())[:-40]), ("day", "middle of a line")),
    Case("last stamp cut", lambda: of_content(b"".join(lines()) + b"16806527"), ("day",)),
    Case("blank line within", lambda: of_content(with_line(50, b"\n")), ("day", "line 51")),
    Case("lines in another order", lambda: of_content(b"".join((*lines()[125:], *lines()[:125]))), ("day", "line 126")),
    Case("lines backwards", lambda: of_content(b"".join(reversed(lines()))), ("day",)),
    Case("overlapping days", overlapping, ("b", "starts before the file ahead of it ends")),
    Case("the same day twice", lambda: paper(RECORDING, RECORDING), (RECORDING.name, "starts before")),
    Case("days of two units", other_unit, ("another unit",)),
    Case("no snapshot", without_snapshot, ("BTCUSDT", "snapshot")),
    Case("another symbol", lambda: paper(RECORDING, symbols=["ETHUSDT"]), (RECORDING.name, "BTCUSDT", "ETHUSDT")),
    *(
        Case(f"foreign: {name}", lambda make=make, name=name: raw(make(), foreign_name(name)), ("foreign",))
        for name, make in FOREIGN.items()
    ),
    Case("candles", lambda: paper(*HISTORY), (HISTORY[0].name, "recording")),
    Case("empty folder", lambda: paper(in_folder(None)), ("folder",)),
    Case("folder of a picture", lambda: paper(in_folder(png())), ("folder/one",)),
    Case("no file", lambda: paper("/dev/null"), ("/dev/null",)),
    Case("endless file", lambda: paper("/dev/zero"), ("/dev/zero",)),
    Case("pipe", lambda: paper(pipe()), ("pipe",)),
    Case("file that cannot be read", lambda: paper("/proc/self/mem"), ("/proc/self/mem",)),
    *(Case(f"first stamp {name}", stamp(text, 0), ("day",)) for name, text in STAMPS.items()),
    *(Case(f"stamp {name}", stamp(text, 200), ("day", "line 201")) for name, text in STAMPS.items()),
    *(
        Case(f"message: {name}", message(text), ("day", "line 101"), slow=not name.startswith(QUICK))
        for name, text in MESSAGES.items()
    ),
    *(Case(f"message: {name}", message(text), ("day", "line 101")) for name, text in BYTES.items()),
)


# --- candles

CSV = "symbol,ts_ms,open,high,low,close,volume\n"


def backtest(*files: Path | str, **changes: str) -> list[str]:
    return ["backtest", str(configuration(Path("trend.toml"), "trend", **changes)), "--data", *map(str, files)]


def candle_rows(symbols: tuple[str, ...] = FIVE) -> pl.DataFrame:
    return pl.read_parquet(HISTORY[0]).filter(pl.col("symbol").is_in(symbols))


def edited(column: str, value: object) -> Prepare:
    """The shipped candles with one value changed in row 41, with their funding and marks."""

    def prepare() -> list[str]:
        frame = candle_rows()
        is_row = pl.int_range(pl.len()) == 40
        frame = frame.with_columns(pl.when(is_row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
        frame.write_parquet("candles.parquet")
        return backtest("candles.parquet", *HISTORY[1:])

    return prepare


def csv(change: Callable[[list[str]], list[str]]) -> Prepare:
    """Candles as CSV, their rows changed."""

    def prepare() -> list[str]:
        rows = candle_rows(("BTCUSDT",)).select(*CSV.strip().split(",")).write_csv().splitlines()[1:]
        Path("candles.csv").write_text(CSV + "\n".join(change(rows)) + "\n")
        return backtest("candles.csv", HISTORY[1], HISTORY[2], symbols=["BTCUSDT"])

    return prepare


def field(at: int, text: str) -> Prepare:
    """Row 41 with another text in one of its fields."""

    def change(rows: list[str]) -> list[str]:
        fields = rows[40].split(",")
        fields[at] = text
        return [*rows[:40], ",".join(fields), *rows[41:]]

    return csv(change)


def history_bytes(change: Callable[[bytes], bytes], which: int = 0) -> Prepare:
    def prepare() -> list[str]:
        Path("changed.parquet").write_bytes(change(HISTORY[which].read_bytes()))
        return backtest("changed.parquet", *(path for at, path in enumerate(HISTORY) if at != which))

    return prepare


def funding(value: float) -> Prepare:
    def prepare() -> list[str]:
        frame = pl.read_parquet(HISTORY[1])
        first = pl.int_range(pl.len()) == 3
        frame.with_columns(pl.when(first).then(value).otherwise(pl.col("rate")).alias("rate")).write_parquet(
            "f.parquet"
        )
        return backtest(HISTORY[0], "f.parquet", HISTORY[2])

    return prepare


def foreign_candles(make: Callable[[], bytes], name: str) -> Prepare:
    def prepare() -> list[str]:
        Path(foreign_name(name)).write_bytes(make())
        return backtest(foreign_name(name), *HISTORY[1:])

    return prepare


def in_parts(*parts: Callable[[pl.DataFrame], pl.DataFrame]) -> Prepare:
    def prepare() -> list[str]:
        files = [Path(f"part{at}.parquet") for at in range(len(parts))]
        for path, part in zip(files, parts, strict=True):
            part(candle_rows()).write_parquet(path)
        return backtest(*files, *HISTORY[1:])

    return prepare


def zip_of(content: bytes, name: str = "BTCUSDT-1h-2025-05.zip") -> list[str]:
    Path(name).write_bytes(content)
    return backtest(name, HISTORY[1], HISTORY[2], symbols=["BTCUSDT"])


OHLC = ("open", "high", "low", "close")
FLOATS = {"NaN": float("nan"), "zero": 0.0, "negative": -1.0, "infinite": float("inf"), "absurd": 1e300, "null": None}
HISTORIES = cases(
    Case("missing", lambda: backtest("nowhere.parquet"), ("nowhere.parquet",)),
    *(
        Case(f"{column} {name}", edited(column, value), ("candles.parquet", "row 41", column), slow=column != "open")
        for column in OHLC
        for name, value in FLOATS.items()
    ),
    *(
        Case(f"volume {name}", edited("volume", value), ("candles.parquet", "row 41", "volume"))
        for name, value in FLOATS.items()
        if name != "zero"
    ),
    *(
        Case(f"stamp {name}", edited("ts_ms", value), ("candles.parquet", "row 41", "ts_ms"))
        for name, value in {"zero": 0, "negative": -1, "far": 2**62, "null": None}.items()
    ),
    *(
        Case(f"funding rate {name}", funding(value), ("f.parquet", "row 4", "rate"))
        for name, value in {"NaN": float("nan"), "infinite": float("inf"), "absurd": 5.0}.items()
    ),
    *(
        Case(f"CSV {column} {name}", field(at, text), ("candles.csv", "row 41", column), slow=column != "close")
        for at, column in ((2, "open"), (5, "close"), (6, "volume"))
        for name, text in {**NUMBERS, "word": "dear"}.items()
        if not (column == "volume" and name == "zero")
    ),
    Case("CSV stamp of 400 digits", field(1, HUGE), ("candles.csv", "row 41", "ts_ms")),
    Case("CSV row cut", csv(lambda rows: [*rows[:40], rows[40][:20], *rows[41:]]), ("candles.csv", "row 41")),
    Case("CSV last row cut", csv(lambda rows: [*rows[:-1], rows[-1][:30]]), ("candles.csv",)),
    Case("CSV header alone", csv(lambda rows: []), ("candles.csv", "no rows")),
    Case("CSV rows in another order", csv(lambda rows: rows[300:] + rows[:300]), ("candles.csv", "earlier")),
    Case("CSV row twice", csv(lambda rows: [*rows[:41], *rows[40:]]), ("candles.csv", "row 42", "twice")),
    Case(
        "CSV of invalid UTF-8",
        lambda: [
            csv(lambda rows: rows)(),
            Path("candles.csv").write_bytes(Path("candles.csv").read_bytes() + b"\xff\xfe,1\n"),
        ][0],
        ("candles.csv",),
    ),
    *(
        Case(f"Parquet cut to {name}", history_bytes(lambda b, keep=keep: b[: keep(len(b))]), ("changed.parquet",))
        for name, keep in {
            "nothing": lambda n: 0,
            "4 bytes": lambda n: 4,
            "8 bytes": lambda n: 8,
            "half": lambda n: n // 2,
            "all but 4": lambda n: n - 4,
            "all but 1": lambda n: n - 1,
        }.items()
    ),
    Case(
        "Parquet with a damaged page",
        history_bytes(lambda b: b[:2000] + bytes(200) + b[2200:]),
        ("changed.parquet",),
    ),
    Case(
        "Parquet with a damaged footer", history_bytes(lambda b: b[:-300] + bytes(200) + b[-100:]), ("changed.parquet",)
    ),
    *(Case(f"foreign: {name}", foreign_candles(make, name), ("foreign",)) for name, make in FOREIGN.items()),
    Case("zip cut", lambda: zip_of(zipped(a__csv=b"1,2\n" * 99)[:-30]), ("BTCUSDT-1h-2025-05.zip",)),
    Case(
        "zip of two files", lambda: zip_of(zipped(a__csv=b"1\n", b__csv=b"1\n")), ("BTCUSDT-1h-2025-05.zip", "2 files")
    ),
    Case("zip of an empty CSV", lambda: zip_of(zipped(a__csv=b"")), ("BTCUSDT-1h-2025-05.zip", "empty")),
    Case("recording and candles together", lambda: backtest(RECORDING, *HISTORY), (RECORDING.name,)),
    Case("candles twice", lambda: backtest(HISTORY[0], *HISTORY), ("overlap",)),
    Case(
        "overlapping parts",
        in_parts(
            lambda f: f.filter(pl.col("ts_ms") < 1_747_500_000_000),
            lambda f: f.filter(pl.col("ts_ms") > 1_747_400_000_000),
        ),
        ("part1.parquet", "overlap", "part0.parquet"),
    ),
    Case("another interval", lambda: backtest(*HISTORY, interval='"30m"', lookbacks_hours=[24]), ("1h", "30m")),
    Case("another symbol", lambda: backtest(*HISTORY, symbols=["XRPUSDT"]), ("XRPUSDT",)),
    Case("no funding", lambda: backtest(HISTORY[0], HISTORY[2]), ("sources.funding", "BTCUSDT")),
    Case("no marks", lambda: backtest(*HISTORY[:2], mark='"file"'), ("sources.mark", "BTCUSDT")),
    Case("no lag", lambda: backtest(*HISTORY, latency='"feed"'), ("venue.latency", "constant")),
    Case("empty folder", lambda: backtest(in_folder(None)), ("folder",)),
    Case("no file", lambda: backtest("/dev/null", *HISTORY), ("/dev/null",)),
    Case("pipe", lambda: backtest(pipe(), *HISTORY), ("pipe",)),
    Case("file that cannot be read", lambda: backtest("/proc/self/mem", *HISTORY), ("/proc/self/mem",)),
)


# --- configurations, symbols, where a run is written


def text(content: str | bytes, *more: str) -> Prepare:
    def prepare() -> list[str]:
        Path("c.toml").write_bytes(content.encode() if isinstance(content, str) else content)
        return ["backtest", "c.toml", "--data", *map(str, HISTORY), *more]

    return prepare


def symbols(value: str) -> Prepare:
    """A configuration whose symbols are another TOML value."""

    def prepare() -> list[str]:
        argv = backtest(*HISTORY, symbols=["BTCUSDT"])
        path = Path("trend.toml")
        path.write_text(path.read_text().replace('symbols = ["BTCUSDT"]', f"symbols = {value}"))
        return argv

    return prepare


def changed(**changes: object) -> Prepare:
    return lambda: backtest(*HISTORY, **{key: str(value) for key, value in changes.items()})


def appended(line: str) -> Prepare:
    def prepare() -> list[str]:
        argv = backtest(*HISTORY)
        path = Path("trend.toml")
        path.write_text(path.read_text() + line + "\n")
        return argv

    return prepare


def a_folder() -> list[str]:
    Path("c.toml").mkdir()
    return ["backtest", "c.toml", "--data", *map(str, HISTORY)]


SHIPPED = Path(__file__).resolve().parents[1] / "autotrader/data/instruments.json"


def instruments(**changes: object) -> Prepare:
    """An operator's table of instruments: the shipped row of BTCUSDT, some fields changed, those of None left out."""

    def prepare() -> list[str]:
        row = json.loads(SHIPPED.read_text())["BTCUSDT"] | changes
        Path("table.json").write_text(json.dumps({"BTCUSDT": {k: v for k, v in row.items() if v is not None}}))
        return backtest(*HISTORY, instruments='"table.json"', symbols=["BTCUSDT"])

    return prepare


CONFIGURATIONS = cases(
    Case("missing", lambda: ["backtest", "nowhere.toml", "--data", str(HISTORY[0])], ("nowhere.toml",)),
    Case("folder", a_folder, ("c.toml",)),
    Case("empty", text(""), ("c.toml", "empty")),
    Case("binary", text(png()), ("c.toml",)),
    Case("NUL", text(b'[run]\nmode = "\0"\n'), ("c.toml",)),
    Case("huge", text("# x\n" * 100_000), ("c.toml", "64")),
    Case("invalid UTF-8", text(b'[run]\nmode = "\xff"\n'), ("c.toml:2",)),
    Case("no TOML", text("dear reader"), ("c.toml:1",)),
    Case("no file", lambda: ["backtest", "/dev/null", "--data", str(HISTORY[0])], ("/dev/null", "empty")),
    Case("leverage 100", changed(leverage=100), ("trend.toml:", "run.leverage", "100")),
    Case("leverage of 400 digits", changed(leverage=HUGE), ("run.leverage",)),
    Case("leverage zero", changed(leverage=0), ("run.leverage",)),
    Case("leverage negative", changed(leverage=-3), ("run.leverage",)),
    Case("leverage as text", changed(leverage='"3"'), ("run.leverage",)),
    Case("leverage as a fraction", changed(leverage=2.5), ("run.leverage",)),
    Case("equity NaN", changed(initial_equity_usdt="nan"), ("run.initial_equity_usdt",)),
    Case("equity infinite", changed(initial_equity_usdt="inf"), ("run.initial_equity_usdt",)),
    Case("equity true", changed(initial_equity_usdt="true"), ("run.initial_equity_usdt",)),
    Case("unknown key", appended("[rusk]\nleverage = 3"), ("trend.toml:", "rusk")),
    Case(
        "unknown key of a section", changed(leverage="3\nlevrage = 3"), ("trend.toml:", "run.levrage", "run.leverage")
    ),
    Case("symbols as text", symbols('"BTCUSDT"'), ("run.symbols",)),
    Case("symbols as numbers", symbols("[1]"), ("run.symbols",)),
    Case("symbol twice", symbols('["BTCUSDT", "BTCUSDT"]'), ("run.symbols",)),
    Case("no symbol", symbols("[]"), ("run.symbols",)),
    Case("section as a number", text("run = 5\n"), ("c.toml:1", "run")),
    Case("recording without the funding file", lambda: backtest(RECORDING), ("sources.funding", "BTCUSDT")),
    Case(
        "recording without the mark file",
        lambda: backtest(RECORDING, funding='"none"', mark='"file"'),
        ("sources.mark",),
    ),
    Case("recording without the mark stream", without_marks, ("sources.mark", "BTCUSDT", "proxy")),
)

INSTRUMENTS = cases(
    Case("symbol that nobody knows", symbols('["NOSUCHUSDT"]'), ("NOSUCHUSDT",)),
    Case("instruments: missing", lambda: backtest(*HISTORY, instruments='"nowhere.json"'), ("nowhere.json",)),
    Case("instruments: folder", lambda: backtest(*HISTORY, instruments=f'"{in_folder(None)}"'), ("folder",)),
    *(
        Case(f"instruments: no {field}", instruments(**{field: None}), ("BTCUSDT", field))
        for field in ("tick", "lot", "brackets")
    ),
    *(
        Case(f"instruments: {field} {name}", instruments(**{field: value}), ("table.json", "BTCUSDT", field))
        for field in ("tick", "lot", "min_notional", "brackets")
        for name, value in {"zero": "0", "negative": "-1", "NaN": "NaN", "400 digits": HUGE, "number": 5}.items()
    ),
    Case("instruments: empty brackets", instruments(brackets=[]), ("table.json", "BTCUSDT", "brackets")),
    Case(
        "instruments: no JSON",
        lambda: [Path("table.json").write_bytes(png()), backtest(*HISTORY, instruments='"table.json"')][1],
        ("table.json",),
    ),
)

WRITING = cases(
    Case("taken folder", lambda: [*backtest(*HISTORY), "--out", in_folder(b"x")], ("--out folder",)),
    Case("file", lambda: [*backtest(*HISTORY), "--out", "trend.toml"], ("--out trend.toml",)),
    Case(
        "below a file",
        lambda: [*backtest(*HISTORY), "--out", "trend.toml/run"],
        ("trend.toml/run", "cannot be written"),
    ),
    Case(
        "below a device",
        lambda: [*backtest(*HISTORY), "--out", "/dev/null/run"],
        ("/dev/null/run", "cannot be written"),
    ),
    Case(
        "where nobody may write",
        lambda: [*backtest(*HISTORY), "--out", "/proc/run"],
        ("/proc/run", "cannot be written"),
    ),
    Case("a name too long", lambda: [*backtest(*HISTORY), "--out", "x" * 300], ("xxx", "cannot be written")),
)


# --- run folders

MANIFEST, JOURNAL = "run/journal/manifest.json", "run/journal/000000.seg"


@cache
def finished() -> dict[str, bytes]:
    """The files of a finished run over the beginning of the recording; made once."""
    with TemporaryDirectory() as place:
        day = Path(place) / "day"
        day.write_bytes(b"".join(lines()))
        config = configuration(Path(place) / "quoter.toml")
        assert main(["paper", str(config), "--replay", str(day), "--out", f"{place}/run", "--json"]) == 0
        names = [path for path in (Path(place) / "run").rglob("*") if path.is_file()]
        return {str(path.relative_to(place)): path.read_bytes() for path in names}


def of_run(change: Callable[[dict[str, bytes]], object], command: str = "replay") -> Prepare:
    """A finished run, its files changed, and the command that reads it."""

    def prepare() -> list[str]:
        files = dict(finished())
        data = json.loads(files[MANIFEST])
        data["data"][0]["path"] = str(recording(b"".join(lines()), "day").resolve())
        files[MANIFEST] = json.dumps(data).encode()
        change(files)
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        return ["replay", "run", "--verify"] if command == "replay" else ["report", "run"]

    return prepare


def manifest(change: Callable[[dict], object]) -> Prepare:
    def edit(files: dict[str, bytes]) -> None:
        values = json.loads(files[MANIFEST])
        change(values)
        files[MANIFEST] = json.dumps(values).encode()

    return of_run(edit)


def summary(command: str, change: Callable[[dict], object]) -> Prepare:
    def edit(files: dict[str, bytes]) -> None:
        values = json.loads(files["run/summary.json"])
        change(values)
        files["run/summary.json"] = json.dumps(values).encode()

    return of_run(edit, command)


def put(name: str, content: bytes, command: str = "replay") -> Prepare:
    return of_run(lambda files: files.update({name: content}), command)


def without(name: str, command: str = "replay") -> Prepare:
    return of_run(lambda files: files.pop(name), command)


def no_run(command: str) -> list[Case]:
    verify = ["--verify"] if command == "replay" else []
    return [
        Case(f"{command}: missing", lambda: [command, "nowhere", *verify], ("nowhere", "no run folder")),
        Case(f"{command}: empty folder", lambda: [command, in_folder(None), *verify], ("folder", "no run folder")),
        Case(f"{command}: other folder", lambda: [command, in_folder(png()), *verify], ("folder", "no run folder")),
        Case(f"{command}: a file", lambda: [command, str(recording(b"x", "day")), *verify], ("day", "no run folder")),
        Case(f"{command}: unfinished", put("run/INCOMPLETE", b"", command), ("run", "did not finish")),
        *(
            Case(f"{command}: summary of {name}", put("run/summary.json", content, command), ("run/summary.json",))
            for name, content in {"nothing": b"", "a picture": png(), "a list": b"[1]", "a number": b"1e999"}.items()
        ),
    ]


ODD = {"null": None, "number": 5, "text": "abc", "list": [1], "object": {"a": {"b": 10**30}}, "huge": 10**400}
RUNS = cases(
    *no_run("replay"),
    *no_run("report"),
    Case("replay: no manifest", without(MANIFEST), (MANIFEST,)),
    *(
        Case(f"replay: manifest of {name}", put(MANIFEST, content), (MANIFEST,))
        for name, content in {
            "nothing": b"",
            "a picture": png(),
            "a list": b"[1]",
            "an empty object": b"{}",
            "deep nesting": b"[" * 100_000,
        }.items()
    ),
    *(
        Case(f"replay: manifest without {key}", manifest(lambda values, key=key: values.pop(key)), (MANIFEST,))
        for key in ("format", "fingerprint", "config", "specs", "mark_sources", "data", "source")
    ),
    *(
        Case(
            f"replay: manifest whose {key} is {name}",
            manifest(lambda values, key=key, value=value: values.update({key: value})),
            (MANIFEST,),
            slow=name not in ("null", "list"),
        )
        for key in ("format", "fingerprint", "config", "specs", "mark_sources", "data", "source")
        for name, value in ODD.items()
    ),
    Case("replay: manifest of leverage 1", manifest(lambda v: v["config"]["run"].update(leverage=1)), (MANIFEST,)),
    Case("replay: manifest of leverage 100", manifest(lambda v: v["config"]["run"].update(leverage=100)), (MANIFEST,)),
    Case("replay: manifest of another tick", manifest(lambda v: v["specs"][0].update(tick_e8=10**6)), (MANIFEST,)),
    Case("replay: manifest of an absurd tick", manifest(lambda v: v["specs"][0].update(tick_e8=10**40)), (MANIFEST,)),
    Case("replay: manifest of other data", manifest(lambda v: v["data"][0].update(sha256="0" * 64)), (MANIFEST,)),
    Case("replay: data moved", manifest(lambda v: v["data"][0].update(path="/nowhere")), ("/nowhere", "data file")),
    Case("replay: data without a path", manifest(lambda v: v["data"][0].pop("path")), (MANIFEST,)),
    Case("replay: data whose path is a number", manifest(lambda v: v["data"][0].update(path=5)), (MANIFEST,)),
    Case("replay: data with a path of NUL", manifest(lambda v: v["data"][0].update(path="a\0b")), ("data file",)),
    Case(
        "replay: data changed",
        lambda: [of_run(lambda files: None)(), Path("day").write_bytes(b"".join(lines()[:-1]))][0],
        ("day", "data file"),
    ),
    Case("replay: no journal", without(JOURNAL), (JOURNAL,)),
    Case("replay: journal of nothing", put(JOURNAL, b""), (JOURNAL, "seal")),
    Case("replay: journal of a picture", put(JOURNAL, png() * 3), ("damaged",)),
    Case("replay: journal cut", of_run(lambda files: files.update({JOURNAL: files[JOURNAL][:-1]})), ("last",)),
    Case(
        "replay: journal with a flipped bit",
        of_run(lambda f: f.update({JOURNAL: f[JOURNAL][:300] + bytes([f[JOURNAL][300] ^ 1]) + f[JOURNAL][301:]})),
        (JOURNAL, "damaged"),
    ),
    *(
        Case(f"report: {name} of {kind}", put(f"run/{name}.parquet", content, "report"), (f"run/{name}.parquet",))
        for name in ("orders", "fills", "equity", "funding")
        for kind, content in {
            "nothing": b"",
            "a picture": png(),
            "other columns": parquet(pl.DataFrame({"a": [1]})),
        }.items()
    ),
    *(
        Case(f"report: no {name}", without(f"run/{name}.parquet", "report"), (f"run/{name}.parquet",))
        for name in ("orders", "fills", "equity", "funding")
    ),
    *(
        Case(
            f"report: summary whose {key} is {name}",
            summary("report", lambda values, key=key, value=value: values.update({key: value})),
            ("run/summary.json",),
        )
        for key, name, value in (
            ("final_equity", "text", "abc"),
            ("symbols", "a number", 5),
            ("start_ns", "absurd", 10**400),
            ("latency_ns", "a list", [1]),
            ("config", "null", None),
        )
    ),
)


# --- what holds for all


def tree() -> dict[str, bytes]:
    """Everything below the current folder."""
    paths = sorted(Path().rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def the_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    before = tree()
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autotrader: ") and shown.err.endswith("\n") and shown.err.count("\n") == 1
    assert "Traceback" not in shown.err and len(shown.err) < LONGEST
    assert tree() == before, "something was left behind"
    return shown.err


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTRADER_LANG", "en")


def the_line_of(case: Case, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    argv = case.prepare()
    capsys.readouterr()
    return the_line([*argv, *more], capsys)


@pytest.mark.parametrize("case", RECORDINGS)
def test_a_recording_that_is_bad_is_refused_in_one_line(case, capsys):
    line = the_line_of(case, capsys)
    assert [part for part in case.says if part not in line] == [], line


@pytest.mark.parametrize("case", HISTORIES)
def test_history_that_is_bad_is_refused_in_one_line(case, capsys):
    line = the_line_of(case, capsys)
    assert [part for part in case.says if part not in line] == [], line


@pytest.mark.parametrize("case", [*CONFIGURATIONS, *INSTRUMENTS, *WRITING])
def test_a_configuration_that_is_bad_is_refused_in_one_line(case, capsys):
    line = the_line_of(case, capsys)
    assert [part for part in case.says if part not in line] == [], line


@pytest.mark.parametrize("case", RUNS)
def test_a_folder_that_is_no_run_is_refused_in_one_line(case, capsys):
    line = the_line_of(case, capsys)
    assert [part for part in case.says if part not in line] == [], line


@pytest.mark.slow
@pytest.mark.parametrize("case", [*RECORDINGS, *RUNS])
def test_what_is_bad_is_said_in_korean_too(case, capsys):
    # The compiled core names the damaged line or block in English, within the Korean sentence.
    assert HANGUL.search(the_line_of(case, capsys, "--lang", "ko"))


@pytest.mark.slow
@pytest.mark.parametrize("case", [*HISTORIES, *CONFIGURATIONS, *INSTRUMENTS, *WRITING])
def test_what_is_bad_is_said_in_korean_alone(case, capsys):
    line = the_line_of(case, capsys, "--lang", "ko")
    # What the system or a library said stands in parentheses, in its own words.
    ours = re.sub(r"\(.*\)", "", line)
    assert HANGUL.search(ours) and not ENGLISH.search(ours), line
