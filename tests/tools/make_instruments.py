"""Write autotrader/data/instruments.json from the recorded exchange facts beside the project.

Knows where each group of facts was recorded and when. A value that a record only assumes is
left out: an unknown is worth more than a guess, because the program names every default it takes.

Run: python tests/tools/make_instruments.py [--out FILE]
"""

import argparse
import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "../shared"
OUT = ROOT / "autotrader/data/instruments.json"

MAJORS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
OTHERS = (
    "ADAUSDT", "SUIUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT", "1000PEPEUSDT", "TRXUSDT", "NEARUSDT", "HYPEUSDT",
    "DOTUSDT", "BCHUSDT", "UNIUSDT", "AAVEUSDT", "ARBUSDT", "APTUSDT", "FILUSDT", "ATOMUSDT", "ETCUSDT", "XLMUSDT",
)  # fmt: skip

# The record assumes these two symbols' values from another symbol's class.
ASSUMED = ("SOLUSDT", "BNBUSDT")
RISK_FIELDS = ("multiplier_up", "multiplier_down", "take_bound", "liquidation_fee")

LEAN = ("QuantConnect/Lean symbol-properties-database.csv @ 24863901", "2026-08-21")
LIVE = ("exchangeInfo as observed live in two independent notes", "2026-09-30")
CCXT = ("ccxt static market fixture", "2023-09")
NOTES = ("live notes of MIN_NOTIONAL", "2026-09")
BOUNDS = {
    "SOLUSDT": ("third-party fixtures of exchangeInfo", "2026-10"),
    "BNBUSDT": ("third-party fixtures of exchangeInfo", "2025"),
}
NOTIONALS = {"SOLUSDT": ("third-party fixture of exchangeInfo", "2026-10"), "DOGEUSDT": CCXT}
PAST = ("exchangeInfo as returned 2021-09-06", "2021-09")
BRACKETS = ("leverageBracket rows in freqtrade 2026.9 binance_leverage_tiers.json", "2026-09-29")
BRACKETS_OTHERS = ("leverageBracket rows in Roshan7869/algotrading @ db07ceb7 binance_leverage_tiers.json", "2026-08")


def plain(value: object) -> str:
    """Return a decimal without exponent or trailing zeros, so that every row is written the same way."""
    text = format(Decimal(str(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def brackets(rows: list[dict]) -> list[list]:
    return [
        [plain(r["notionalFloor"]), plain(r["notionalCap"]), plain(r["maintMarginRatio"]), plain(r["cum"]),
         int(r["initialLeverage"])]
        for r in rows
    ]  # fmt: skip


def group(source: tuple[str, str]) -> dict[str, str]:
    return {"source": source[0], "date": source[1]}


def major_sources(symbol: str) -> dict:
    if symbol == "BTCUSDT":
        return {"steps": group(LIVE), "bounds": group(LIVE), "min_notional": group(LIVE), "risk": group(LIVE),
                "brackets": group(BRACKETS)}  # fmt: skip
    found = {"steps": LEAN, "bounds": BOUNDS.get(symbol, CCXT), "min_notional": NOTIONALS.get(symbol, NOTES)}
    if symbol not in ASSUMED:
        found["risk"] = CCXT
    return {name: group(source) for name, source in (found | {"brackets": BRACKETS}).items()}


def major(entry: dict, tiers: list[dict]) -> dict:
    filters = {f["filterType"]: f for f in entry["filters"]}
    price, lot, percent = filters["PRICE_FILTER"], filters["LOT_SIZE"], filters["PERCENT_PRICE"]
    row = {
        "tick": plain(price["tickSize"]),
        "lot": plain(lot["stepSize"]),
        "min_price": plain(price["minPrice"]),
        "max_price": plain(price["maxPrice"]),
        "min_quantity": plain(lot["minQty"]),
        "max_quantity": plain(lot["maxQty"]),
        "max_market_quantity": plain(filters["MARKET_LOT_SIZE"]["maxQty"]),
        "min_notional": plain(filters["MIN_NOTIONAL"]["notional"]),
        "multiplier_up": plain(percent["multiplierUp"]),
        "multiplier_down": plain(percent["multiplierDown"]),
        "take_bound": plain(entry["marketTakeBound"]),
        "liquidation_fee": plain(entry["liquidationFee"]),
        "max_orders": filters["MAX_NUM_ORDERS"]["limit"],
        "brackets": brackets(tiers),
        "sources": major_sources(entry["symbol"]),
    }
    return row | (dict.fromkeys(RISK_FIELDS) if entry["symbol"] in ASSUMED else {})


def other(line: dict, tiers: list[dict]) -> dict:
    unknown = ("min_price", "max_price", "min_quantity", "max_quantity", "max_market_quantity", "min_notional")
    return {
        "tick": plain(line["minimum_price_variation"]),
        "lot": plain(line["lot_size"]),
        **dict.fromkeys(unknown),
        **dict.fromkeys(RISK_FIELDS),
        "max_orders": None,
        "brackets": brackets(tiers),
        "sources": {"steps": group(LEAN), "brackets": group(BRACKETS_OTHERS)},
    } | ({"min_quantity": plain(line["minimum_order_size"])} if line["minimum_order_size"] else {})


def past(entry: dict | None) -> dict:
    """Return the tick and lot of the month of the complete record of 2021, for a symbol that was listed then."""
    if entry is None:
        return {}
    filters = {f["filterType"]: f for f in entry["filters"]}
    steps = {"tick": plain(filters["PRICE_FILTER"]["tickSize"]), "lot": plain(filters["LOT_SIZE"]["stepSize"])}
    return {"past": [{"month": PAST[1], **steps, "source": PAST[0]}]}


def dated(row: dict) -> dict:
    """Add the newest date of the row's groups: the day as of which the row was put together."""
    return row | {"date": max(source["date"] for source in row["sources"].values())}


def lean_lines(path: Path) -> dict[str, dict]:
    with path.open(newline="") as lines:
        return {r["symbol"]: r for r in csv.DictReader(lines) if r["market"] == "binance"}


def table(shared: Path) -> dict[str, dict]:
    filters = json.loads((shared / "binance/data/filters.json").read_text())
    tiers = json.loads((shared / "binance/data/brackets.json").read_text())["symbols"]
    lean = lean_lines(shared / "data/meta/um_cm_symbol_properties_lean.csv")
    more = json.loads(gzip.decompress((shared / "data/meta/um_leverage_brackets_2026-08.json.gz").read_bytes()))
    record = json.loads(gzip.decompress((shared / "data/meta/um_exchangeInfo_2021-09-06.json.gz").read_bytes()))
    then = {entry["symbol"]: entry for entry in record["symbols"]}
    entries = {entry["symbol"]: entry for entry in filters["symbols"]}
    rows = {symbol: major(entries[symbol], tiers[symbol]) for symbol in MAJORS}
    for symbol in OTHERS:
        ladder = more[f"{symbol.removesuffix('USDT')}/USDT:USDT"]
        rows[symbol] = other(lean[symbol], [tier["info"] for tier in ladder])
    return {symbol: dated(row) | past(then.get(symbol)) for symbol, row in rows.items()}


def text(rows: dict[str, dict]) -> str:
    """Render one field a line: a refreshed table then shows in a diff what the exchange changed."""
    blocks = (f"{json.dumps(symbol)}: {{\n{fields(row)}\n}}" for symbol, row in rows.items())
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def fields(row: dict) -> str:
    return ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in row.items())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.parse_args().out.write_text(text(table(SHARED)))


if __name__ == "__main__":
    main()
