"""The proof: a true history passes, and for each invariant a history that breaks it is caught."""

import ast
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import orjson
import pytest
from builders import E8, depth, row, snapshot, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrader.adapters.loopback import proof
from autotrader.adapters.loopback.history import History
from autotrader.adapters.loopback.proof import Invariant, check, cost_fits, rounded
from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH, KOREAN, say, set_language
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import AlgoStatus, Asset, Flag, Instruments, Kind, OrderType, Setting, Term

SECOND = 10**9
HOUR = 3600 * SECOND
T0 = 1_700_000_000 * SECOND // (8 * HOUR) * 8 * HOUR + SECOND
BUY, SELL = 0, 1
TIERS = [(0, 1_000 * E8, 1_000_000, 0, 20), (1_000 * E8, 10**6 * E8, 5_000_000, 40 * E8, 10)]
COIN = spec(min_notional_e8=1, leverage=10, brackets=TIERS, liquidation_fee_e8=500_000)
FEES = {"maker_fee_e8": 20_000, "taker_fee_e8": 50_000}


class Scribe:
    """A venue whose every word is written down, with what a second account of the same bookings holds after it."""

    def __init__(self, path, wallets, synthetic=True, fund_e8=10**15, instruments=(COIN | FEES,)):
        self.instruments = Instruments(list(instruments))
        self.accounts = [Account(self.instruments, wallet * E8) for wallet in wallets]
        self.mirrors = [Account(self.instruments, wallet * E8) for wallet in wallets]
        sources = ["stream"] * len(instruments)
        self.venue = Exchange(
            self.instruments, self.accounts, sources, 0.0, 0.0, 0, fund_e8=fund_e8, synthetic=synthetic
        )
        self.synthetic, self.now, self.next_id = synthetic, T0, 0
        self.asked, self.ids, self.left, self.parents = {}, {}, {}, {}
        self.run = []
        self.history = History(path)
        self.write(
            "open",
            version=1,
            seed=0,
            synthetic=synthetic,
            instruments=[{name: one[name] for name in ("symbol", "tick_e8", "lot_e8")} for one in instruments],
            accounts=[{"name": f"a{k}", "wallets": {"USDT": wallet * E8}} for k, wallet in enumerate(wallets)],
            fund_e8=fund_e8,
        )

    def write(self, kind, **fields):
        self.history.write(kind, self.now, **fields)

    # What a client asks.

    def send(self, account, side, lots, ticks=0, symbol=0, **given):
        self.next_id += 1
        asked = {"side": side, "tif": given.get("tif", 0), "reduce": bool(given.get("reduce_only"))}
        self.asked[account, self.next_id] = asked | {"leg": int(given.get("position_side") == 2)}
        rows = self.venue.place_order(self.now, self.next_id, symbol, side, lots, ticks, account, **given)
        self.hear()
        return rows

    def amend(self, account, client, lots, ticks, symbol=0):
        self.venue.place_order(self.now, client, symbol, BUY, lots, ticks, account, amends=True)
        self.hear()

    def cancel(self, account, client, symbol=0):
        self.venue.cancel_order(self.now, client, symbol, account)
        self.hear()

    def set(self, account, setting, value, symbol=0):
        self.venue.set(self.now, symbol, setting, value, account)
        self.hear()

    def add_margin(self, account, amount_e8, leg=0):
        self.venue.add_margin(self.now, 0, amount_e8, leg, account)
        self.hear()

    def deposit(self, account, amount_e8, asset=Asset.USDT):
        self.venue.deposit(self.now, asset, amount_e8, account)
        self.hear()

    def feed(self, rows):
        self.venue.feed(rows)
        self.hear()

    def mark(self, ticks, symbol=0):
        self.now += SECOND
        self.feed(row(Kind.MARK, self.now, symbol, a=ticks * 10**7))

    # What the venue says.

    def hear(self):
        for one, who in zip(*self.venue.said(), strict=True):
            word = {name: int(one[name]) for name in "abcdef"}
            hear = getattr(self, Kind(int(one["kind"])).name.lower(), None)
            if hear and one["kind"] != Kind.MARK:  # marks are noted at checkpoints
                hear(who, int(one["symbol"]), int(one["flags"]), **word)

    def accepted(self, who, symbol, flags, a, b, c, d, **_):
        algo = self.parents.pop((who, b), 0)
        self.ids[who, a], self.left[who, a] = b, [d, 0]
        given = self.asked[who, a] | {"type": OrderType.LIMIT if c else OrderType.MARKET}
        self.write("order", account=who, symbol=symbol, order=b, client=str(a), lots=d, ticks=c, algo=algo, **given)

    def rejected(self, who, symbol, flags, a, b, **_):
        self.write("refused", account=who, symbol=symbol, client=str(a), code=b)

    def amended(self, who, symbol, flags, a, b, c, **_):
        self.left[who, a][0] = c
        self.write("amended", account=who, order=self.ids[who, a], lots=c, ticks=b)

    def fill(self, who, symbol, flags, a, b, c, d, e, **_):
        leg, coin = bool(flags & Flag.F_SHORT), bool(flags & Flag.F_FEE_COIN)
        side = SELL if flags & Flag.F_SELL else BUY
        self.mirrors[who].fill(symbol, -d if side else d, c, e, int(leg), coin)
        self.write(
            "fill",
            account=who,
            symbol=symbol,
            order=self.ids[who, a],
            trade=b,
            side=side,
            lots=d,
            ticks=c,
            fee_e8=e,
            coin=coin,
            maker=bool(flags & Flag.F_MAKER),
            **self.after(who, symbol, int(leg)),
        )
        left = self.left[who, a]
        left[1] += d
        if left[0] == left[1]:
            self.over(who, a, "FILLED", 0)

    def after(self, who, symbol, leg):
        held = self.mirrors[who].position(symbol, leg)
        return {"leg": leg, "wallet_e8": self.mirrors[who].wallet_e8} | {
            "position": held["lots"],
            "cost_e8": held["cost_e8"],
        }

    def over(self, who, client, how, undone, reason=0):
        self.write("end", account=who, order=self.ids.pop((who, client)), how=how, undone=undone, reason=reason)

    def canceled(self, who, symbol, flags, a, b, **_):
        self.over(who, a, "CANCELED", b)

    def expired(self, who, symbol, flags, a, b, c, **_):
        self.over(who, a, "EXPIRED_IN_MATCH" if c in (1, 3) else "EXPIRED", b, c)

    def algo(self, who, symbol, flags, a, b, c, d, e, **_):
        status = AlgoStatus(b).name.removeprefix("ALGO_")
        if status == "TRIGGERED":
            self.parents[who, d] = c
        self.write("algo", account=who, symbol=symbol, algo=c, client=str(a), status=status, child=d, code=e)

    def funding_paid(self, who, symbol, flags, a, b, c, d, **_):
        leg = int(bool(flags & Flag.F_SHORT))
        self.mirrors[who].pay_funding(symbol, a, leg)
        said = {"amount_e8": a, "rate_e8": b, "mark_e8": c, "position": d}
        self.write("funding", account=who, symbol=symbol, leg=leg, wallet_e8=self.mirrors[who].wallet_e8, **said)

    def liquidation(self, who, symbol, flags, a, b, c, d, e, **_):
        leg = int(bool(flags & Flag.F_SHORT))
        self.mirrors[who].take_over(symbol, b, c, leg, a)
        said = {"lots": a, "price_e8": b, "fee_e8": c, "mark_e8": d, "cause": e}
        self.write("forced", account=who, symbol=symbol, **said, **self.after(who, symbol, leg))

    def transfer(self, who, symbol, flags, a, b, **_):
        self.mirrors[who].transfer(a, b)
        wallet = self.mirrors[who].asset(b)["wallet_e8"] if b else self.mirrors[who].wallet_e8
        self.write("transfer", account=who, asset=b, amount_e8=a, wallet_e8=wallet)

    def margin_moved(self, who, symbol, flags, a, **_):
        self.write("margin", account=who, symbol=symbol, leg=int(bool(flags & Flag.F_SHORT)), amount_e8=a)

    def setting(self, who, symbol, flags, a, b, **_):
        if a == Setting.FEE_COIN:
            self.mirrors[who].told(symbol, a, b)
        self.write("setting", account=who, symbol=symbol, setting=a, value=b)

    def trade(self, who, symbol, flags, a, b, c, **_):
        self.write("trade", symbol=symbol, trade=a, ticks=b, lots=c, sell=bool(flags & Flag.F_SELL))

    def depth(self, who, symbol, flags, a, b, c, **_):
        self.run = [a, b, c]

    def level(self, who, symbol, flags, a, b, **_):
        self.run.append([int(bool(flags & Flag.F_SELL)), a, b])
        if flags & Flag.F_END:
            first, last, previous, *levels = self.run
            self.write("depth", symbol=symbol, U=first, u=last, pu=previous, levels=levels)

    # What the exchange notes by itself.

    def checkpoint(self):
        for symbol in range(self.instruments.size):
            mark = self.accounts[0].margins_of(symbol)["mark_e8"]
            self.write("mark", symbol=symbol, mark_e8=mark)
            if not self.synthetic:
                bid, ask = self.venue.books[symbol].best()
                self.write("touch", symbol=symbol, u=self.venue.books[symbol].last_id, bid=bid or 0, ask=ask or 0)
        self.write("state", accounts=[self.holdings(one) for one in self.accounts], fund=self.fund())
        self.history.flush()

    def holdings(self, account):
        return {
            "wallet_e8": account.wallet_e8,
            "fees_e8": account.fees_e8,
            "equity_e8": account.equity(),
            "cross_equity_e8": account.cross_equity(),
            "cross_maintenance_e8": account.cross_maintenance(),
            "positions": list(self.legs(account)),
            "coins": [
                [k, account.asset(k)["wallet_e8"], account.asset(k)["fees_e8"]]
                for k in range(1, 5)
                if account.asset(k)["transfers_e8"]
            ],
        }

    def legs(self, account):
        for symbol in range(self.instruments.size):
            for leg in (0, 1):
                held = account.position(symbol, leg)
                if held["lots"]:
                    yield [symbol, leg, *(held[name] for name in ("lots", "cost_e8", "isolated_e8")),
                           held["value_e8"] - held["cost_e8"], held["maintenance_e8"],
                           bool(account.margins_of(symbol)["isolated"])]  # fmt: skip

    def fund(self):
        fund = self.venue.fund
        held = [fund.position(symbol) for symbol in range(self.instruments.size)]
        positions = [[symbol, one["lots"], one["cost_e8"]] for symbol, one in enumerate(held) if one["lots"]]
        return {"wallet_e8": fund.wallet_e8, "positions": positions}

    def close(self):
        self.checkpoint()
        self.history.close(self.now)


def story(path):
    """Write a short history of a synthetic world in which everything happens that the proof looks at."""
    town = Scribe(path, [1_000, 1_000, 11, 1_000])
    town.write("fault", text="nothing")
    town.mark(1000)
    town.deposit(1, E8, Asset.BNB)
    town.feed(row(Kind.ASSET_INDEX, town.now, a=Asset.BNB, b=300 * E8))
    town.mirrors[1].index(Asset.BNB, 300 * E8)
    town.set(1, Setting.FEE_COIN, 1)
    town.send(0, SELL, 10, 1003)  # client 1
    town.send(0, SELL, 10, 1002)  # client 2
    town.send(1, BUY, 7, 1002)  # client 3: fills seven of client 2
    town.send(1, BUY, 5, 998)  # client 4
    town.amend(1, 4, 6, 999)
    town.cancel(1, 4)
    town.checkpoint()
    town.send(0, BUY, 20)  # client 5: market, meets its own orders
    town.send(0, SELL, 1, type=OrderType.STOP_MARKET, trigger_ticks=990, terms=Term.MARK_TRIGGER)  # client 6
    town.send(0, SELL, 2, type=OrderType.STOP_MARKET, trigger_ticks=980, terms=Term.MARK_TRIGGER)  # client 7
    town.send(1, BUY, 9, 980)  # client 8
    town.mark(989)  # client 6 triggers and fills against client 8
    town.cancel(0, 7)
    town.mark(1000)
    town.send(1, SELL, 1_000, 1000)  # client 9
    town.send(2, BUY, 1_000, 1000)  # client 10: one coin on ten USDT
    town.checkpoint()
    town.feed(row(Kind.FUNDING, town.now, a=30_000, f=8 * HOUR))
    town.checkpoint()
    town.send(0, BUY, 600, 905)  # client 11
    town.deposit(0, -50 * E8)
    town.mark(895)  # account 2 is closed by force, in part to the fund
    town.send(1, SELL, 5, 905, reduce_only=True)
    town.send(0, BUY, 5, 904, tif=1)
    town.set(3, Setting.ISOLATED, 1)
    town.send(3, SELL, 20, 905)
    town.send(1, BUY, 20, 905)
    town.checkpoint()
    town.add_margin(3, E8)
    town.feed(row(Kind.FUNDING, town.now, a=30_000, f=8 * HOUR))
    town.checkpoint()
    town.close()


def recorded(folder, number, tell=story):
    """Return the records of a story as plain dictionaries."""
    path = folder / f"{number}.jsonl"
    tell(path)
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def rewritten(folder, records, close=True):
    """Write records anew, numbers and sums made right; return the report on them."""
    path = folder / "again.jsonl"
    path.unlink(missing_ok=True)
    history = History(path)
    for one in records:
        fields = {name: value for name, value in one.items() if name not in "ntkc"}
        if one["k"] == "close" and "records" in fields and fields["records"] >= 0:
            fields["records"] = history.records
        history.write(one["k"], one["t"], **fields)
    history.flush()
    return check(path)


def names(report):
    return {one.invariant for one in report.violations}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return orjson.dumps(recorded(tmp_path_factory.mktemp("story"), "told"))


@pytest.fixture
def records(told):
    return orjson.loads(told)


def find(records, kind, place=0, **match):
    """Return the record of a kind that has these fields, the first or another."""
    found = [one for one in records if one["k"] == kind and all(one[name] == value for name, value in match.items())]
    return found[place]


# What holds.


def test_a_true_history_passes_and_exercises_every_invariant(tmp_path):
    story(tmp_path / "h.jsonl")
    report = check(tmp_path / "h.jsonl")
    assert report.violations == []
    assert [name for name, times in report.checked.items() if times == 0] == []
    assert (report.holds, report.cut, report.torn) == (True, False, 0)
    kinds = {"open", "order", "amended", "end", "fill", "algo", "funding", "forced", "transfer", "setting", "state",
             "trade", "depth", "fault", "mark", "close"}  # fmt: skip
    assert set(report.counts) >= kinds
    assert report.counts.total() == report.records


def test_a_history_written_anew_still_passes(tmp_path, records):
    assert rewritten(tmp_path, records).violations == []


def test_the_proof_knows_nothing_of_the_core():
    tree = ast.parse(Path(proof.__file__).read_text("utf-8"))
    origins = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    origins |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not any(str(origin).startswith("core_ext") for origin in origins)


def replay(path):
    """Write a short history of a replay."""
    venue = Scribe(path, [1_000], synthetic=False)
    bids, asks = [(999, 50), (998, 50)], [(1001, 50), (1002, 50)]
    venue.feed(np.concatenate([snapshot(T0, 1, bids, asks), depth(T0, 2, 2, 1)]))
    venue.mark(1000)
    venue.send(0, BUY, 60)
    venue.send(0, SELL, 20, 1001)
    venue.write("trade", symbol=0, trade=77, ticks=1001, lots=90, sell=False)
    venue.feed(row(Kind.TRADE, venue.now, a=77, b=1001, c=90))
    venue.send(0, SELL, 100, type=OrderType.STOP_MARKET, trigger_ticks=900, terms=Term.CLOSE_POSITION)
    venue.set(0, Setting.LEVERAGE, 5)
    venue.send(0, SELL, 200, 999)
    venue.close()


def test_a_replay_passes_without_the_synthetic_invariants(tmp_path):
    replay(tmp_path / "h.jsonl")
    report = check(tmp_path / "h.jsonl")
    assert report.violations == []
    assert report.counts["fill"] > 2
    unused = {Invariant.MONEY_KEPT, Invariant.LOTS_KEPT, Invariant.BOOK_IS_ORDERS, Invariant.TRADE_SIDES}
    assert all(report.checked[name] == 0 for name in unused)
    assert report.checked[Invariant.BOOK_UNCROSSED] == 1


def test_a_history_that_was_cut_says_so_and_is_no_violation(tmp_path, records):
    report = rewritten(tmp_path, records[:-1])
    assert (report.violations, report.cut) == ([], True)
    path = tmp_path / "again.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    report = check(path)
    assert report.cut and report.torn > 0 and report.holds


def test_what_does_not_open_a_world_is_no_history(tmp_path, records):
    with pytest.raises(OperatorError, match=r"again\.jsonl"):
        rewritten(tmp_path, records[1:])
    with pytest.raises(OperatorError, match=r"again\.jsonl"):
        rewritten(tmp_path, [records[0] | {"version": 2}, *records[1:]])
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(OperatorError, match="empty"):
        check(tmp_path / "empty")


# What does not hold. Each changes a true history in one place.


def swap(records, one, other):
    a, b = records.index(one), records.index(other)
    records[a], records[b] = records[b], records[a]


def repeat(records, one, **changes):
    records.insert(records.index(one) + 1, one | changes)


def bump(name, by=1):
    def change(one):
        one[name] += by

    return change


def isolated(records, account=3):
    """Return the only leg of an account at the last checkpoint."""
    return find(records, "state", -1)["accounts"][account]["positions"][0]


CHANGES = {
    # an order id twice; ids that fall; a client id twice
    "order twice": (Invariant.ORDER_ONCE, lambda r: repeat(r, find(r, "order"), client="x")),
    "ended order again": (Invariant.ORDER_ONCE, lambda r: r.insert(-1, find(r, "order"))),
    "ids fall": (Invariant.ORDER_RISES, lambda r: find(r, "order", 1).update(order=0)),
    "client twice": (Invariant.CLIENT_ONCE, lambda r: find(r, "order", 1).update(client="1")),
    # fills
    "fill of nobody": (Invariant.FILL_KNOWN, lambda r: find(r, "fill").update(order=9_999)),
    "fill of another account": (Invariant.FILL_KNOWN, lambda r: find(r, "fill").update(account=2)),
    "fill on the other side": (Invariant.FILL_KNOWN, lambda r: find(r, "fill").update(side=BUY)),
    "fill after the end": (
        Invariant.FILL_OPEN,
        lambda r: repeat(r, find(r, "end", how="FILLED"), **find(r, "fill", 1)),
    ),
    "too much": (Invariant.FILL_WITHIN, lambda r: bump("lots", 4)(find(r, "fill"))),
    "nothing": (Invariant.FILL_WITHIN, lambda r: find(r, "fill").update(lots=0)),
    "amended below what is filled": (Invariant.FILL_WITHIN, lambda r: find(r, "amended").update(lots=0)),
    "sold below": (Invariant.FILL_LIMIT, lambda r: bump("ticks", -1)(find(r, "fill", side=SELL))),
    "bought above": (Invariant.FILL_LIMIT, lambda r: bump("ticks")(find(r, "fill", side=BUY))),
    "amended limit": (Invariant.CHANGE_OPEN, lambda r: find(r, "amended").update(account=0)),
    "end of nothing": (Invariant.CHANGE_OPEN, lambda r: repeat(r, find(r, "end"))),
    # ends
    "filled, but not all": (Invariant.FILLED_WHOLE, lambda r: find(r, "end", how="CANCELED").update(how="FILLED")),
    "all, but not filled": (Invariant.FILLED_WHOLE, lambda r: find(r, "end", how="FILLED").update(how="EXPIRED")),
    "another rest": (Invariant.FILLED_WHOLE, lambda r: bump("undone")(find(r, "end", how="CANCELED"))),
    "never said to be filled": (Invariant.FILLED_WHOLE, lambda r: r.remove(find(r, "end", how="FILLED"))),
    # trades
    "fill ids fall": (Invariant.TRADE_RISES, lambda r: find(r, "fill", -1).update(trade=1)),
    "published ids fall": (Invariant.TRADE_RISES, lambda r: find(r, "trade", -1).update(trade=1)),
    "two sellers": (Invariant.TRADE_SIDES, lambda r: find(r, "fill", 1).update(side=SELL)),
    "another price": (Invariant.TRADE_SIDES, lambda r: bump("ticks", -1)(find(r, "fill", 1))),
    "three sides": (Invariant.TRADE_SIDES, lambda r: repeat(r, find(r, "fill", 1))),
    "published otherwise": (Invariant.TRADE_SIDES, lambda r: bump("lots")(find(r, "trade"))),
    # conditional orders
    "straight to triggered": (Invariant.ALGO_WALK, lambda r: r.remove(find(r, "algo", status="TRIGGERING"))),
    "back to new": (Invariant.ALGO_WALK, lambda r: find(r, "algo", status="TRIGGERED").update(status="NEW")),
    "after its end": (Invariant.ALGO_WALK, lambda r: repeat(r, find(r, "algo", status="CANCELED"))),
    "begun again": (Invariant.ALGO_WALK, lambda r: r.insert(-1, find(r, "algo", status="NEW"))),
    "another's": (Invariant.ALGO_WALK, lambda r: find(r, "algo", status="TRIGGERING").update(account=1)),
    "another child": (Invariant.ALGO_CHILD, lambda r: bump("child")(find(r, "algo", status="TRIGGERED"))),
    "another child at the end": (Invariant.ALGO_CHILD, lambda r: bump("child")(find(r, "algo", status="FINISHED"))),
    "a child without parent": (Invariant.ALGO_CHILD, lambda r: find(r, "order").update(algo=4)),
    "finished too soon": (
        Invariant.ALGO_CHILD,
        lambda r: swap(r, find(r, "algo", status="FINISHED"), r[r.index(find(r, "algo", status="FINISHED")) - 1]),
    ),
    "algo client twice": (
        Invariant.CLIENT_ONCE,
        lambda r: find(r, "algo", 1, status="NEW").update(client=find(r, "algo", status="NEW")["client"]),
    ),
    # money
    "position": (Invariant.POSITION_SUMS, lambda r: bump("position")(find(r, "fill", 2))),
    "forced position": (Invariant.POSITION_SUMS, lambda r: bump("position")(find(r, "forced"))),
    "cost of an opening": (Invariant.COST_MOVES, lambda r: bump("cost_e8")(find(r, "fill"))),
    "cost of a closing": (Invariant.COST_MOVES, lambda r: bump("cost_e8", 2)(find(r, "fill", account=0, side=BUY))),
    "cost of a forced closing": (Invariant.COST_MOVES, lambda r: bump("cost_e8", 2)(find(r, "forced"))),
    "wallet by a unit": (Invariant.WALLET_ADDS, lambda r: bump("wallet_e8")(find(r, "fill"))),
    "fee by a unit": (Invariant.WALLET_ADDS, lambda r: bump("fee_e8")(find(r, "fill", coin=False))),
    "fee that was in the coin": (Invariant.WALLET_ADDS, lambda r: find(r, "fill", coin=True).update(coin=False)),
    "fill price": (Invariant.WALLET_ADDS, lambda r: bump("ticks", -1)(find(r, "fill", account=0, side=BUY))),
    "wallet after funding": (Invariant.WALLET_ADDS, lambda r: bump("wallet_e8")(find(r, "funding"))),
    "wallet after force": (Invariant.WALLET_ADDS, lambda r: bump("wallet_e8")(find(r, "forced"))),
    "price of force": (Invariant.WALLET_ADDS, lambda r: bump("price_e8", 10**6)(find(r, "forced"))),
    "transfer": (Invariant.WALLET_ADDS, lambda r: bump("amount_e8")(find(r, "transfer", asset=0))),
    "transfer of a coin": (Invariant.COIN_ADDS, lambda r: bump("amount_e8")(find(r, "transfer", asset=1))),
    "fee in the coin": (Invariant.COIN_ADDS, lambda r: bump("fee_e8")(find(r, "fill", coin=True))),
    "funding by a unit": (Invariant.FUNDING_DUE, lambda r: bump("amount_e8")(find(r, "funding"))),
    "funding rate": (Invariant.FUNDING_DUE, lambda r: bump("rate_e8", 100)(find(r, "funding", account=2))),
    "funding of another position": (Invariant.FUNDING_DUE, lambda r: bump("position")(find(r, "funding"))),
    "a fill left out": (Invariant.STATE_AGREES, lambda r: r.remove(find(r, "fill"))),
    "wallet at a checkpoint": (Invariant.STATE_AGREES, lambda r: bump("wallet_e8")(find(r, "state")["accounts"][0])),
    "fees at a checkpoint": (Invariant.STATE_AGREES, lambda r: bump("fees_e8")(find(r, "state")["accounts"][0])),
    "legs at a checkpoint": (Invariant.STATE_AGREES, lambda r: find(r, "state")["accounts"][0]["positions"].clear()),
    "an account left out": (Invariant.STATE_AGREES, lambda r: find(r, "state")["accounts"].pop()),
    "coin at a checkpoint": (Invariant.COIN_ADDS, lambda r: find(r, "state")["accounts"][1]["coins"].clear()),
    "equity": (Invariant.EQUITY_ADDS, lambda r: bump("equity_e8")(find(r, "state")["accounts"][0])),
    "cross equity": (Invariant.EQUITY_ADDS, lambda r: bump("cross_equity_e8")(find(r, "state")["accounts"][0])),
    "isolated wallet": (Invariant.ISOLATED_MOVES, lambda r: isolated(r).__setitem__(4, isolated(r)[4] + 1)),
    "isolated margin": (Invariant.ISOLATED_MOVES, lambda r: bump("amount_e8")(find(r, "margin", -1))),
    "isolated funding": (Invariant.ISOLATED_MOVES, lambda r: r.remove(find(r, "funding", -1, account=3))),
    "a wallet behind a cross leg": (Invariant.ISOLATED_MOVES, lambda r: isolated(r, 1).__setitem__(4, 1)),
    "mark": (Invariant.EQUITY_ADDS, lambda r: bump("mark_e8", E8)(find(r, "mark"))),
    "money from nowhere": (Invariant.MONEY_KEPT, lambda r: bump("wallet_e8")(find(r, "state")["fund"])),
    "lots from nowhere": (Invariant.LOTS_KEPT, lambda r: find(r, "state")["fund"]["positions"].append([0, 1, 0])),
    # books
    "chain": (Invariant.DEPTH_CHAIN, lambda r: r.remove(find(r, "depth", 2))),
    "backwards": (Invariant.DEPTH_CHAIN, lambda r: find(r, "depth", 2).update(U=1, u=1)),
    "crossed": (Invariant.BOOK_UNCROSSED, lambda r: find(r, "depth", 2)["levels"].append([BUY, 1003, 1])),
    "more shown": (Invariant.BOOK_IS_ORDERS, lambda r: find(r, "depth")["levels"][0].__setitem__(2, 11)),
    "an order not shown": (Invariant.BOOK_IS_ORDERS, lambda r: r.remove(find(r, "depth", -1))),
    "an amendment left out": (Invariant.BOOK_IS_ORDERS, lambda r: r.remove(find(r, "amended"))),
    # the file
    "closed twice": (Invariant.COMPLETE, lambda r: r.append(r[-1])),
    "opened twice": (Invariant.COMPLETE, lambda r: r.insert(5, r[0])),
    "another count": (Invariant.COMPLETE, lambda r: r[-1].update(records=-1)),
    "a symbol that is not there": (Invariant.NAMED, lambda r: find(r, "order").update(symbol=7)),
    "an account that is not there": (Invariant.NAMED, lambda r: find(r, "fill").update(account=-1)),
    "a third side": (Invariant.NAMED, lambda r: find(r, "depth")["levels"].append([2, 1, 1])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_caught(tmp_path, records, change):
    invariant, apply = CHANGES[change]
    apply(records)
    report = rewritten(tmp_path, records)
    assert invariant in names(report)
    assert not report.holds
    assert all(0 < one.line < report.records for one in report.violations)


def test_every_invariant_is_broken_by_some_change():
    assert {invariant for invariant, _ in CHANGES.values()} | {Invariant.MARGIN_KEPT} == set(Invariant)


def test_one_fault_is_told_once(tmp_path, records):
    bump("wallet_e8")(find(records, "state", -1)["fund"])
    report = rewritten(tmp_path, records)
    assert [one.invariant for one in report.violations] == [Invariant.MONEY_KEPT]
    assert report.violations[0].line == records.index(find(records, "state", -1))


def test_a_crossed_touch_of_a_replay_is_caught(tmp_path):
    records = recorded(tmp_path, "replay", replay)
    find(records, "touch")["ask"] = 999
    assert names(rewritten(tmp_path, records)) == {Invariant.BOOK_UNCROSSED}


# Margin.


def unnoticed(town, ticks=890):
    """Move the accounts' marks without their venue, which would have closed something."""
    for account in town.accounts:
        account.mark(0, ticks * 10**7)


def leveraged(path):
    """Return a world in which account 0 holds one coin on eleven USDT, and a resting order."""
    town = Scribe(path, [11, 1_000, 1_000])
    town.mark(1000)
    town.send(1, SELL, 1_000, 1000)
    town.send(0, BUY, 1_000, 1000)
    town.send(0, SELL, 10, 1010)
    return town


def test_an_account_under_its_maintenance_margin_without_a_forced_closing_is_caught(tmp_path):
    town = leveraged(tmp_path / "h.jsonl")
    town.checkpoint()
    unnoticed(town)
    town.close()
    report = check(tmp_path / "h.jsonl")
    assert [(one.invariant, one.values["account"]) for one in report.violations] == [(Invariant.MARGIN_KEPT, "a0")]


def test_an_account_that_was_closed_by_force_may_be_under_it(tmp_path):
    town = leveraged(tmp_path / "h.jsonl")
    town.checkpoint()
    town.mark(890)
    town.close()
    report = check(tmp_path / "h.jsonl")
    assert report.violations == []
    assert report.counts["forced"] > 0


def test_what_an_account_has_just_traded_excuses_it_until_the_next_checkpoint(tmp_path):
    town = leveraged(tmp_path / "h.jsonl")
    unnoticed(town)
    town.close()
    assert check(tmp_path / "h.jsonl").violations == []


@pytest.mark.parametrize("trades", [False, True])
def test_an_account_that_stays_under_it_is_caught_whatever_it_trades(tmp_path, trades):
    town = leveraged(tmp_path / "h.jsonl")
    unnoticed(town)
    town.checkpoint()
    if trades:
        town.send(2, BUY, 5, 1010)
    town.close()
    report = check(tmp_path / "h.jsonl")
    assert names(report) == {Invariant.MARGIN_KEPT}
    assert report.counts["fill"] == 2 + 2 * trades


def test_an_isolated_leg_under_its_maintenance_margin_is_caught(tmp_path):
    town = Scribe(tmp_path / "h.jsonl", [1_000, 1_000])
    town.mark(1000)
    town.set(0, Setting.ISOLATED, 1)
    town.send(1, SELL, 1_000, 1000)
    town.send(0, BUY, 1_000, 1000)
    town.add_margin(0, 5 * E8)
    town.checkpoint()
    for account in town.accounts:
        account.mark(0, 85 * E8)
    town.close()
    report = check(tmp_path / "h.jsonl")
    assert names(report) == {Invariant.MARGIN_KEPT}
    assert report.violations[0].values == {"account": "a0", "scope": "0/0"}


# Arithmetic.


@pytest.mark.parametrize(
    ("held", "cost", "lots", "value", "after"),
    [
        (0, 0, 5, 500, 500),
        (5, 500, 5, 600, 1_100),
        (-5, -500, -1, -90, -590),
        (3, 100, -1, -40, 67),  # a third of 100 is 33.3: 33 or 34 is taken
        (3, 100, -1, -40, 66),
        (3, 100, -3, -90, 0),
        (3, 100, -5, -200, -80),
        (-3, -100, 5, 200, 80),
    ],
)
def test_a_cost_that_follows_the_fill_fits_and_another_does_not(held, cost, lots, value, after):
    assert cost_fits(held, cost, lots, value, after)
    assert not cost_fits(held, cost, lots, value, after + 3)
    assert not cost_fits(held, cost, lots, value, after - 3)


def test_halves_are_rounded_away_from_zero():
    assert [rounded(n, 10) for n in (4, 5, 15, -4, -5, -15)] == [0, 1, 2, 0, -1, -2]


# Any story of three accounts.

ACTIONS = st.one_of(
    st.tuples(
        st.just("send"), st.integers(0, 2), st.integers(0, 1), st.integers(1, 900), st.integers(985, 1015),
        st.integers(0, 3), st.integers(0, 3), st.booleans(),
    ),
    st.tuples(st.just("market"), st.integers(0, 2), st.integers(0, 1), st.integers(1, 900)),
    st.tuples(st.just("stop"), st.integers(0, 2), st.integers(0, 1), st.integers(1, 50), st.integers(950, 1050)),
    st.tuples(st.just("amend"), st.integers(0, 2), st.integers(1, 30), st.integers(1, 900), st.integers(985, 1015)),
    st.tuples(st.just("cancel"), st.integers(0, 2), st.integers(1, 30)),
    st.tuples(st.just("mark"), st.integers(880, 1120)),
    st.tuples(st.just("funding"), st.integers(-75_000, 75_000)),
    st.tuples(st.just("deposit"), st.integers(0, 2), st.integers(-20, 20)),
    st.tuples(st.just("isolated"), st.integers(0, 2), st.integers(0, 1)),
    st.tuples(st.just("checkpoint")),
)  # fmt: skip


def act(town, what, *given):
    """Carry out one action of a random story."""
    if what == "send":
        account, side, lots, ticks, tif, stp, reduce = given
        town.send(account, side, lots, ticks, tif=tif, stp=stp, reduce_only=reduce)
    elif what == "market":
        town.send(*given)
    elif what == "stop":
        account, side, lots, trigger = given
        town.send(account, side, lots, type=OrderType.STOP_MARKET, trigger_ticks=trigger, terms=Term.MARK_TRIGGER)
    elif what == "funding":
        town.feed(row(Kind.FUNDING, town.now, a=given[0], f=8 * HOUR))
    elif what == "deposit":
        town.deposit(given[0], given[1] * E8)
    elif what == "isolated":
        town.set(given[0], Setting.ISOLATED, given[1])
    else:
        getattr(town, what)(*given)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, max_size=80), st.tuples(*[st.sampled_from((30, 300, 10_000))] * 3))
def test_no_story_of_three_accounts_contradicts_itself(tmp_path, actions, wallets):
    path = tmp_path / "any.jsonl"
    path.unlink(missing_ok=True)
    town = Scribe(path, wallets, fund_e8=10**11)
    town.mark(1000)
    for what in actions:
        act(town, *what)
    town.close()
    assert check(path).violations == []


def test_long_stories_with_hedges_and_forced_closings_do_not_contradict_themselves(tmp_path):
    checked, counts = dict.fromkeys(Invariant, 0), {}
    for seed in range(8):
        dice = Random(seed)
        town = Scribe(
            tmp_path / f"{seed}", [dice.choice((30, 300, 10_000)) for _ in range(5)], fund_e8=seed % 2 * 10**15
        )
        middle = 1_000
        town.mark(middle)
        for account in range(5):
            town.set(account, Setting.HEDGE_MODE, dice.randrange(2))
            town.set(account, Setting.ISOLATED, dice.randrange(2))
        for _ in range(250):
            happen(town, dice, middle)
            if dice.random() < 0.12:
                middle = max(500, middle + dice.randint(-60, 60))
                town.mark(middle)
                town.checkpoint()
        town.close()
        report = check(tmp_path / f"{seed}")
        assert report.violations == [], seed
        counts = {kind: counts.get(kind, 0) + report.counts[kind] for kind in chain(counts, report.counts)}
        checked = {name: checked[name] + times for name, times in report.checked.items()}
    assert counts["forced"] and counts["margin"] and counts["amended"]
    assert all(times for name, times in checked.items() if name is not Invariant.FUNDING_DUE)


def happen(town, dice, middle):
    """Let an account of any mode do something."""
    account, ticks, happens = dice.randrange(5), middle + dice.randint(-15, 15), dice.random()
    town.now += dice.randint(0, 9) * SECOND
    if happens < 0.7:
        given = {"position_side": dice.randint(1, 2) if town.accounts[account].hedge else 0, "stp": dice.randrange(4)}
        kind = dice.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6))
        if kind >= 2:
            given |= {"trigger_ticks": middle + dice.randint(-30, 30), "callback_e8": dice.randint(1, 30) * 10**5}
            given["terms"] = dice.randrange(8)
        lots = 0 if given.get("terms", 0) & 1 else dice.randint(1, 4_000)
        town.send(account, dice.randrange(2), lots, ticks if kind in (0, 2, 4) else 0, type=kind, **given)
    elif happens < 0.85:
        town.amend(account, dice.randint(1, max(1, town.next_id)), dice.randint(1, 4_000), ticks)
    elif happens < 0.95:
        town.cancel(account, dice.randint(1, max(1, town.next_id)))
    else:
        town.add_margin(account, dice.randint(-50, 50) * E8, dice.randrange(2))


# The report.


def test_a_report_names_line_invariant_and_what_is_wrong(tmp_path, records):
    bump("wallet_e8")(find(records, "fill"))
    report = rewritten(tmp_path, records)
    first = report.violations[0]
    assert first.line == records.index(find(records, "fill"))
    assert "a0" in first.sentence() and str(first.values["expected"]) in first.sentence()
    texts = [say(key, **values) for key, values in report.lines()]
    assert any(f"line {first.line}" in text for text in texts)
    assert any(text.startswith("not exercised") for text in texts) is (0 in report.checked.values())


def test_an_invariant_that_was_never_evaluated_is_not_said_to_hold(tmp_path, records):
    report = rewritten(tmp_path, [records[0], records[-1]])
    lines = report.lines()
    idle = [values["name"] for key, values in lines if key == "loopback.report.idle"]
    assert len(idle) == len(Invariant) - 1
    assert [key for key, _ in lines].count("loopback.report.held") == 1
    assert lines[-1][0] == "loopback.report.sound"


@pytest.mark.parametrize("speech", ["en", "ko"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_violation_has_its_sentence_in_both_languages(tmp_path, records, change, speech):
    CHANGES[change][1](records)
    report = rewritten(tmp_path, records)
    set_language(speech)
    for key, values in report.lines():
        assert say(key, **values)


def test_every_invariant_is_named_in_both_catalogues():
    for invariant in Invariant:
        for catalogue in (ENGLISH, KOREAN):
            assert catalogue[f"loopback.proof.{invariant}"] and catalogue[f"loopback.wrong.{invariant}"]


def test_violations_beyond_the_bound_are_counted(tmp_path, records):
    many = [find(records, "end") for _ in range(proof.MAX_VIOLATIONS + 7)]
    report = rewritten(tmp_path, [records[0], *many, records[-1]])
    assert (len(report.violations), report.found) == (proof.MAX_VIOLATIONS, proof.MAX_VIOLATIONS + 7)
    assert ("loopback.report.more", {"count": 7}) in report.lines()
