"""Many accounts at one venue: the synthetic book, forced closing in its order of events, and money that stays."""

from random import Random

import numpy as np
import pytest
from builders import E8, depth, row, snapshot, spec
from plain.account import Account as PlainAccount
from plain.market import HALVINGS
from plain.matching import FOK, GTC, GTX, IOC, Crowd, Order

from core_ext.account import Account
from core_ext.book import Book
from core_ext.exchange import Exchange
from core_ext.types import AlgoStatus, Cause, Flag, Instruments, Kind, OrderType, Rows, Setting, Term

SECOND = 10**9
HOUR = 3600 * SECOND
T0 = 1_700_000_000 * SECOND // (8 * HOUR) * 8 * HOUR + SECOND
BUY, SELL = 0, 1
# Two brackets: 1 % of maintenance up to 1,000 USDT, 5 % beyond; a fee that leaves something to save.
TIERS = [(0, 1_000 * E8, 1_000_000, 0, 20), (1_000 * E8, 10**6 * E8, 5_000_000, 40 * E8, 10)]
COIN = spec(min_notional_e8=1, leverage=10, brackets=TIERS, liquidation_fee_e8=500_000, maker_fee_e8=0, taker_fee_e8=0)


def said(rows):
    """Return the answers in plain words."""
    spoken = {
        Kind.FILL: ("c", "d"),
        Kind.EXPIRED: ("b", "c"),
        Kind.LIQUIDATION: ("a", "b", "c", "e"),
        Kind.TRADE: ("b", "c"),
        Kind.LEVEL: ("a", "b"),
        Kind.REJECTED: ("b",),
    }
    return [
        (Kind(int(one["kind"])).name, *(int(one[word]) for word in spoken.get(Kind(int(one["kind"])), ())))
        for one in rows
    ]


def replay(wallets, bids, asks, instrument=COIN, **given):
    """Return a venue before a recorded book around 100 USDT, and its accounts."""
    instruments = Instruments([instrument])
    accounts = [Account(instruments, wallet * E8) for wallet in wallets]
    venue = Exchange(instruments, accounts, ["stream"], 0.0, 0.0, 0, **given)
    venue.feed(np.concatenate([row(Kind.MARK, T0, a=100 * E8), snapshot(T0, 1, bids, asks), depth(T0, 2, 2, 1)]))
    return venue, accounts


def mark(venue, price, ts=T0):
    """Move the mark; return what the venue says, in plain words."""
    return said(venue.feed(row(Kind.MARK, ts, a=int(price * E8))))


# Forced closing, in a replay. Lots are 0.001 of a coin, ticks 0.1 USDT.


def test_a_large_position_is_reduced_by_brackets_until_equity_carries_it():
    # 20 coins at 100: 2,000 USDT, maintenance 5 % - 40 = 60. At 98: 1,960, maintenance 58, equity 90 - 40 = 50.
    # To 1,000 USDT it takes more than 960: 9.796 coins are sold at 98.0, fee 0.5 % of 960.008 = 4.80004; equity
    # 45.19996, and 999.992 of notional need 9.99992.
    venue, (account,) = replay([90], [(980, 20_000)], [(981, 20_000)])
    account.fill(0, 20_000, 1000, 0)
    assert mark(venue, 98.0) == [("LIQUIDATION", 9_796, 98 * E8, 480_004_000, Cause.LIQUIDATION_ORDER)]
    assert account.position(0)["lots"] == 10_204
    assert account.equity() == 4_519_996_000
    assert account.maintenance_total_e8 == 999_992_000
    assert venue.fund.wallet_e8 == 10**17 + 480_004_000
    assert account.reconcile() == 0


def test_orders_are_cancelled_first_and_what_the_book_does_not_take_goes_to_the_fund():
    # One coin at 100 with 10 in the wallet: at 90.5 equity is 0.5, maintenance 0.905, bankruptcy at 90.
    # The book takes 400 lots at 90.2; those at 89.9 lie beyond bankruptcy.
    venue, (account,) = replay([10], [(902, 400), (899, 10_000)], [(908, 10_000)])
    account.fill(0, 1_000, 1000, 0)
    venue.place_order(T0, 1, 0, SELL, 10, 1040, reduce_only=True)
    venue.place_order(T0, 2, 0, SELL, type=OrderType.STOP_MARKET, trigger_ticks=700, terms=Term.CLOSE_POSITION)
    rows = venue.feed(row(Kind.MARK, T0, a=90_50000000))
    assert [(int(one["kind"]), int(one["a"])) for one in rows[:2]] == [(Kind.EXPIRED, 1), (Kind.ALGO, 2)]
    assert (rows[0]["c"], rows[1]["b"]) == (5, AlgoStatus.ALGO_EXPIRED)
    # Sold 0.4 at 90.2: equity 0.5 - 0.12 = 0.38; fee 0.5 % of 36.08 = 0.1804; left 0.1996. The rest, 0.6 at the mark
    # 54.3, pays 0.2715 as far as it goes: 0.1996, so it is taken over at the mark.
    assert said(rows)[2:] == [
        ("LIQUIDATION", 400, 90_20000000, 18_040_000, Cause.LIQUIDATION_ORDER),
        ("LIQUIDATION", 600, 90_50000000, 19_960_000, Cause.INSURANCE_FUND),
    ]
    assert (account.wallet_e8, account.position(0)["lots"]) == (0, 0)
    assert venue.fund.wallet_e8 == 10**17 + 38_000_000


def test_beyond_bankruptcy_the_fund_pays_what_is_missing():
    venue, (account,) = replay([10], [(890, 10_000)], [(891, 10_000)])
    account.fill(0, 1_000, 1000, 0)
    assert mark(venue, 89) == [("LIQUIDATION", 1_000, 90 * E8, 0, Cause.INSURANCE_FUND)]
    assert account.wallet_e8 == 0
    assert venue.fund.wallet_e8 == 10**17 - E8


def test_where_the_fund_cannot_pay_the_best_ranked_of_the_other_side_are_deleveraged():
    # Shorts from 100: both gain 11 %; the second is the more leveraged, so it goes first, then half of the first.
    venue, accounts = replay([10, 100, 20], [(890, 10_000)], [(891, 10_000)], fund_e8=E8 // 2)
    for account, lots in zip(accounts, (1_000, -800, -600), strict=True):
        account.fill(0, lots, 1000, 0)
    rows = venue.feed(row(Kind.MARK, T0, a=89 * E8))
    assert said(rows) == [
        ("LIQUIDATION", 600, 90 * E8, 0, Cause.LIQUIDATION_ORDER),
        ("LIQUIDATION", -600, 90 * E8, 0, Cause.DELEVERAGED),
        ("LIQUIDATION", 400, 90 * E8, 0, Cause.LIQUIDATION_ORDER),
        ("LIQUIDATION", -400, 90 * E8, 0, Cause.DELEVERAGED),
    ]
    assert venue.said()[1] == [0, 2, 0, 1]
    assert [account.position(0)["lots"] for account in accounts] == [0, -400, 0]
    assert [account.wallet_e8 for account in accounts] == [0, 104 * E8, 26 * E8]
    assert venue.fund.wallet_e8 == E8 // 2


def test_alone_in_a_replay_the_rest_of_the_market_is_deleveraged_against():
    venue, (account,) = replay([10], [(890, 10_000)], [(891, 10_000)], fund_e8=0)
    account.fill(0, 1_000, 1000, 0)
    assert mark(venue, 89) == [("LIQUIDATION", 1_000, 90 * E8, 0, Cause.LIQUIDATION_ORDER)]
    assert (account.wallet_e8, venue.fund.wallet_e8) == (0, 0)


def test_an_isolated_position_is_liquidated_alone():
    instruments = Instruments([COIN, COIN | {"symbol": "ETHUSDT"}])
    account = Account(instruments, 1_000 * E8)
    venue = Exchange(instruments, [account], ["stream"] * 2, 0.0, 0.0, 0)
    for symbol in (0, 1):
        venue.feed(row(Kind.MARK, T0, symbol, a=100 * E8))
    assert venue.set(T0, 0, Setting.ISOLATED, 1) == 0
    account.fill(0, 1_000, 1000, 0)  # isolated on 10 USDT
    account.fill(1, 1_000, 1000, 0)
    assert mark(venue, 91.0) == []
    # At 90.9: 0.9 of the 10 are left and 0.909 are needed; the fee of 0.4545 leaves 0.4455 that go with the position.
    assert mark(venue, 90.9) == [("LIQUIDATION", 1_000, 90_45450000, 45_450_000, Cause.INSURANCE_FUND)]
    assert [account.position(symbol)["lots"] for symbol in (0, 1)] == [0, 1_000]
    assert (account.wallet_e8, account.isolated_total_e8) == (990 * E8, 0)
    assert account.reconcile() == 0


def test_what_stands_behind_an_isolated_position_stays_behind_its_rest():
    venue, (account,) = replay([1_000], [(926, 20_000)], [(927, 20_000)])
    mirror = Account(venue.instruments, 1_000 * E8)
    assert venue.set(T0, 0, Setting.ISOLATED, 1) == mirror.set(0, Setting.ISOLATED, 1) == 0
    for one in (account, mirror):
        one.fill(0, 20_000, 1000, 0)  # 2,000 USDT on 200
    # At 92.6: 200 - 148 = 52 are left, 1,852 need 92.6 - 40 = 52.6. 9.201 coins are sold to come to 1,000 USDT.
    liquidated, moved = rows = venue.feed(row(Kind.MARK, T0, a=92_60000000))
    assert said(rows) == [("LIQUIDATION", 9_201, 92_60000000, 426_006_300, Cause.LIQUIDATION_ORDER), ("MARGIN_MOVED",)]
    position = account.position(0)
    assert position["isolated_e8"] + position["value_e8"] - position["cost_e8"] == 52 * E8 - 426_006_300
    assert account.cross_equity() == 800 * E8
    assert account.reconcile() == 0
    # Whoever follows the rows has the same account.
    mirror.mark(0, 92_60000000)
    mirror.take_over(0, int(liquidated["b"]), int(liquidated["c"]), 0, int(liquidated["a"]))
    mirror.move_margin(0, int(moved["a"]))
    assert mirror.position(0) == position


def test_a_hedged_account_may_lose_one_leg_and_keep_the_other():
    # At 90.5 the long has lost 95 and the short won 9.5 of 86.1: both legs' maintenance is above what is left.
    venue, (account,) = replay([86], [(905, 20_000)], [(906, 20_000)])
    assert venue.set(T0, 0, Setting.HEDGE_MODE, 1) == 0
    account.fill(0, 10_000, 1000, 0)
    account.fill(0, -1_000, 1000, 0, 1)
    rows = venue.feed(row(Kind.MARK, T0, a=90_50000000))
    assert said(rows) == [("LIQUIDATION", 10_000, 90_50000000, 50_000_000, Cause.LIQUIDATION_ORDER),
                          ("LIQUIDATION", -1_000, 90_50000000, 0, Cause.INSURANCE_FUND)]  # fmt: skip
    assert [bool(one["flags"] & Flag.F_SHORT) for one in rows] == [False, True]
    assert account.wallet_e8 == 0


@pytest.mark.parametrize(("high", "low", "left"), [(110, 99, [1_000, 0]), (101, 90, [0, -1_000])])
def test_on_candles_each_isolated_leg_meets_its_own_adverse_extreme(high, low, left):
    instruments = Instruments([COIN])
    account = Account(instruments, 1_000 * E8)
    venue = Exchange(instruments, [account], ["proxy"], 0.0, 0.0, 0)
    venue.feed(row(Kind.CANDLE_OPEN, T0, a=100 * E8, f=HOUR))
    assert venue.set(T0, 0, Setting.HEDGE_MODE, 1) == venue.set(T0, 0, Setting.ISOLATED, 1) == 0
    account.fill(0, 1_000, 1000, 0)
    account.fill(0, -1_000, 1000, 0, 1)
    words = {"a": 100 * E8, "b": high * E8, "c": low * E8, "d": 100 * E8, "e": 10**6, "f": HOUR}
    venue.feed(row(Kind.CANDLE, T0 + HOUR, flags=33, **words))
    assert [account.position(0, leg)["lots"] for leg in (0, 1)] == left
    assert account.margins_of(0)["mark_e8"] == 100 * E8
    assert account.reconcile() == 0


def test_a_liquidation_sells_whole_steps():
    venue, (account,) = replay([90], [(980, 20_000)], [(981, 20_000)], COIN | {"lot_step": 100})
    account.fill(0, 20_000, 1000, 0)
    mark(venue, 98.0)
    assert account.position(0)["lots"] == 10_200


# The synthetic book.


class Town:
    """A synthetic market of some accounts."""

    def __init__(self, wallets, instrument=COIN, fund_e8=10**15):
        instruments = Instruments([instrument])
        self.accounts = [Account(instruments, wallet * E8) for wallet in wallets]
        self.venue = Exchange(instruments, self.accounts, ["stream"], 0.0, 0.0, 0, fund_e8=fund_e8, synthetic=True)
        self.now = T0
        self.next_id = 0
        self.mark(1000)

    def mark(self, ticks):
        return self.venue.feed(row(Kind.MARK, self.now, a=ticks * 10**7))

    def index(self, price_e8, after=SECOND):
        self.now += after
        return self.venue.feed(row(Kind.MARK, self.now, b=price_e8))

    def send(self, account, side, lots, ticks=0, **given):
        self.next_id += 1
        return self.venue.place_order(self.now, self.next_id, 0, side, lots, ticks, account, **given)

    def total(self):
        """Everything that anybody has, and the trading fees that the venue has kept."""
        everybody = [*self.accounts, self.venue.fund]
        return sum(one.equity() + one.fees_e8 - one.liquidation_fees_e8 for one in everybody)


def test_orders_of_many_accounts_match_by_price_and_then_by_time():
    town = Town([1_000] * 4)
    town.send(0, SELL, 10, 1003)
    town.send(1, SELL, 10, 1002)
    town.send(2, SELL, 10, 1002)
    rows = town.send(3, BUY, 25, 1003)
    fills = rows[rows["kind"] == Kind.FILL]
    to = [account for one, account in zip(rows, town.venue.said()[1], strict=True) if one["kind"] == Kind.FILL]
    assert [(account, int(one["c"]), int(one["d"])) for account, one in zip(to, fills, strict=True)] == [
        (1, 1002, 10), (3, 1002, 10), (2, 1002, 10), (3, 1002, 10), (0, 1003, 5), (3, 1003, 5),
    ]  # fmt: skip
    assert [bool(one["flags"] & Flag.F_MAKER) for one in fills] == [True, False] * 3
    assert fills["b"].tolist() == [1, 1, 2, 2, 3, 3]
    assert [account.position(0)["lots"] for account in town.accounts] == [-5, -10, -10, 25]


def test_a_synthetic_market_publishes_its_trades_its_depth_and_its_touch():
    town = Town([1_000] * 2)
    rows = town.send(0, SELL, 10, 1002)
    assert said(rows) == [("ACCEPTED",), ("DEPTH",), ("LEVEL", 1002, 10), ("TOUCH",)]
    assert town.venue.said()[1] == [0, -1, -1, -1]
    rows = town.send(1, BUY, 4, 1005)
    assert [one for one in said(rows) if one[0] in ("TRADE", "LEVEL")] == [("TRADE", 1002, 4), ("LEVEL", 1002, 6)]
    (touch,) = rows[rows["kind"] == Kind.TOUCH]
    assert tuple(int(touch[word]) for word in "bcde") == (0, 0, 1002, 6)
    assert town.venue.books[0].levels(SELL) == [(1002, 6)]


def test_a_triggered_limit_order_takes_what_its_own_trigger_has_left_in_the_book():
    town = Town([1_000] * 3)
    town.send(0, SELL, 1, 1000)
    town.send(1, BUY, 1, 1000)
    town.send(0, SELL, 5, 1005, type=OrderType.TAKE_PROFIT, trigger_ticks=1005)
    town.send(2, SELL, 10, 1005)
    town.send(1, BUY, 30, 1005)
    assert town.venue.books[0].levels(BUY) == [(1005, 15)]
    assert town.venue.books[0].levels(SELL) == []
    assert town.accounts[0].position(0)["lots"] == -6


def test_each_booking_is_told_with_what_the_account_then_holds():
    town = Town([1_000] * 2)
    town.send(0, SELL, 10, 1002)
    rows = town.send(1, BUY, 4, 1002)
    after = town.venue.after()
    told = {int(to["a"]): to for one, to in zip(rows, after, strict=True) if one["kind"] == Kind.FILL}
    for account, lots in ((0, -4), (1, 4)):
        held = town.accounts[account].position(0)
        assert [int(told[account][word]) for word in "bcde"] == [
            town.accounts[account].wallet_e8, lots, held["cost_e8"], 0,
        ]  # fmt: skip
    rows = town.send(1, SELL, 4, 1000)
    assert len(rows) and int(town.venue.after()["f"].sum()) == 0
    town.send(0, BUY, 6, 1000)
    after = town.venue.after()
    assert sorted(after["f"][after["b"] != 0].tolist()) == sorted(
        town.accounts[account].realised_e8 for account in range(2)
    )


def test_a_position_is_closed_by_force_at_a_price_that_is_named():
    town = Town([1_000] * 2)
    town.send(0, SELL, 10, 1000)
    town.send(1, BUY, 10, 1000)
    before = town.total()
    with pytest.raises(ValueError, match="no such position"):
        town.venue.close_position(town.now, 0, -10, 1001 * 10**7, int(Cause.SETTLED), account=1)
    for account, lots in ((0, -10), (1, 10)):
        (row_,) = town.venue.close_position(town.now, 0, lots, 1010 * 10**7, int(Cause.SETTLED), account=account)
        assert (row_["kind"], row_["e"]) == (Kind.LIQUIDATION, Cause.SETTLED)
        assert town.accounts[account].position(0)["lots"] == 0
    assert town.total() == before
    assert town.accounts[1].realised_e8 == -town.accounts[0].realised_e8 > 0


def test_a_position_that_turns_over_leaves_no_order_that_was_to_close_it():
    town = Town([1_000] * 2)
    town.send(0, SELL, 20, 1000)
    town.send(1, BUY, 4, 1000)
    town.send(1, SELL, 0, type=OrderType.STOP_MARKET, trigger_ticks=900, terms=Term.CLOSE_POSITION)
    town.send(0, BUY, 2, 999)
    town.send(1, SELL, 1, 999)
    assert len(town.venue.algos(0)) == 1       # smaller, but still long
    town.send(0, BUY, 20, 999)
    rows = town.send(1, SELL, 9, 999)
    (end,) = rows[rows["kind"] == Kind.ALGO]
    assert end["b"] == AlgoStatus.ALGO_EXPIRED
    assert town.venue.algos(0) == []


def test_an_order_that_is_only_judged_leaves_nothing_behind():
    town = Town([1_000] * 2)
    town.send(0, SELL, 10, 1000)
    before = [account.state() for account in town.accounts], town.venue.resting(0)
    assert len(town.venue.place_order(town.now, 9, 0, BUY, 5, 1000, 1, test=True)) == 0
    (no,) = town.venue.place_order(town.now, 9, 0, BUY, 5, 1000, 1, tif=2, test=True)
    assert (no["kind"], no["b"]) == (Kind.REJECTED, -5022)
    (no,) = town.venue.place_order(town.now, 9, 0, SELL, 5, 1000, 1, reduce_only=True, test=True)
    assert (no["kind"], no["b"]) == (Kind.REJECTED, -2022)
    assert ([account.state() for account in town.accounts], town.venue.resting(0)) == before
    assert town.send(1, BUY, 1, 1000)["b"].tolist()[0] == 2      # the next order's id


def test_forced_closings_have_ids_of_orders_and_trades_like_all_others():
    town = Town([1_000] * 2)
    town.send(0, SELL, 10, 1000)
    fills = town.send(1, BUY, 10, 1000)
    trade = int(fills[fills["kind"] == Kind.FILL]["b"].max())
    ids = []
    for account, lots in ((0, -10), (1, 10)):
        (closed,) = town.venue.close_position(town.now, 0, lots, 1000 * 10**7, int(Cause.SETTLED), account=account)
        ids.append((int(closed["f"]), int(town.venue.after()["ts"][0])))
    assert ids == [(3, trade + 1), (4, trade + 2)]
    assert int(town.send(1, BUY, 1, 1000)["b"][0]) == 5


def test_a_reader_of_the_published_depth_has_the_venues_book():
    dice, town = Random(5), Town([10**5] * 3)
    book = Book()
    book.apply(Rows(np.concatenate([snapshot(T0, 1, (), ()), depth(T0, 2, 2, 1)])))
    for _ in range(300):
        if dice.random() < 0.3 and town.next_id:
            rows = town.venue.cancel_order(town.now, dice.randint(1, town.next_id), 0, dice.randrange(3))
        else:
            rows = town.send(dice.randrange(3), dice.randrange(2), dice.randint(1, 50), dice.randint(990, 1010))
        book.apply(Rows(rows[np.isin(rows["kind"], (int(Kind.DEPTH), int(Kind.LEVEL)))]))
        resting = town.venue.resting(0)
        for side in (BUY, SELL):
            there = {}
            for one in resting:
                if one["order"]["side"] == side:
                    ticks = one["order"]["price_ticks"]
                    there[ticks] = there.get(ticks, 0) + one["leaves"]
            assert dict(book.levels(side)) == there
        assert book.is_usable


@pytest.mark.parametrize("fund_e8", [0, 5 * E8, 10**15])
def test_money_is_conserved_whatever_happens(fund_e8):
    forced = set()
    for seed in range(12):
        dice = Random(seed)
        wallets = [dice.choice((20, 50, 200, 5_000)) for _ in range(6)]
        town = Town(wallets, COIN | {"maker_fee_e8": 20_000, "taker_fee_e8": 50_000}, fund_e8)
        start, middle = town.total(), 1000
        assert start == sum(wallets) * E8 + fund_e8
        for _ in range(250):
            town.now += SECOND
            happens = dice.random()
            if happens < 0.7:
                ticks = 0 if dice.random() < 0.2 else middle + dice.randint(-8, 8)
                town.send(dice.randrange(6), dice.randrange(2), dice.randint(1, 3_000), ticks, stp=dice.randrange(4))
            elif happens < 0.8:
                town.venue.cancel_order(town.now, dice.randint(1, max(1, town.next_id)), 0, dice.randrange(6))
            else:
                middle = max(600, middle + dice.randint(-40, 40))
                rows = town.mark(middle)
                forced |= set(rows[rows["kind"] == Kind.LIQUIDATION]["e"].tolist())
                town.venue.feed(row(Kind.FUNDING, town.now, a=0, f=8 * HOUR))
            assert town.total() == start
            assert sum(one.position(0)["lots"] for one in [*town.accounts, town.venue.fund]) == 0
        assert all(account.reconcile() == 0 for account in [*town.accounts, town.venue.fund])
    assert {Cause.LIQUIDATION_ORDER, Cause.DELEVERAGED} <= forced or fund_e8 >= 10**15
    assert Cause.LIQUIDATION_ORDER in forced


def test_a_liquidated_account_sells_to_the_other_accounts():
    town = Town([11, 1_000, 1_000])
    town.send(1, SELL, 1_000, 1000)
    town.send(0, BUY, 1_000, 1000)
    town.send(2, BUY, 1_000, 905)
    rows = town.mark(905)
    assert ("LIQUIDATION", 1_000, 90_50000000, 45_250_000, Cause.LIQUIDATION_ORDER) not in said(rows)
    rows = town.mark(898)
    assert [one for one in said(rows) if one[0] in ("LIQUIDATION", "FILL")] == [
        ("FILL", 905, 1_000),
        ("LIQUIDATION", 1_000, 90_50000000, 45_250_000, Cause.LIQUIDATION_ORDER),
    ]
    assert [account.position(0)["lots"] for account in town.accounts] == [0, -1_000, 1_000]
    assert town.venue.fund.wallet_e8 == 10**15 + 45_250_000


def test_the_fund_sells_what_it_took_over_when_there_are_buyers_again():
    town = Town([11, 1_000, 1_000])
    town.send(1, SELL, 1_000, 1000)
    town.send(0, BUY, 1_000, 1000)
    town.mark(895)
    assert town.venue.fund.position(0)["lots"] == 1_000
    town.send(2, BUY, 600, 890)
    town.index(89 * E8)
    assert town.venue.fund.position(0)["lots"] == 400
    assert town.accounts[2].position(0)["lots"] == 600


def test_fill_or_kill_does_not_count_on_orders_that_have_nothing_left_to_close():
    town = Town([1_000] * 3)
    town.send(1, SELL, 10, 1000)
    town.send(0, BUY, 10, 1000)
    town.send(0, SELL, 10, 1001, reduce_only=True)
    town.send(0, SELL, 10, 1001, reduce_only=True)
    assert said(town.send(2, BUY, 20, 1001, tif=FOK))[0] == ("REJECTED", -5021)
    rows = town.send(2, BUY, 10, 1001, tif=FOK)
    assert ("FILL", 1001, 10) in said(rows)
    assert town.accounts[2].position(0)["lots"] == 10


def test_what_is_published_of_many_levels_at_once_bears_its_time():
    town = Town([15, 1_000], COIN | {"max_orders": 4_000})
    town.send(1, SELL, 1_000, 1000)
    town.send(0, BUY, 1_000, 1000)
    for k in range(600):
        town.send(0, BUY, 1, 300 + k)
    town.now += SECOND
    rows = town.venue.feed(row(Kind.MARK, town.now, a=50 * E8))
    assert (rows["kind"] == Kind.LIQUIDATION).any()
    assert (rows["kind"] == Kind.DEPTH).sum() >= 2
    assert set(rows["ts"].tolist()) == {town.now}


def test_an_index_of_nothing_is_no_index():
    town = Town([1_000] * 2)
    town.send(0, BUY, 10**4, 1000)
    town.send(1, SELL, 10**4, 1002)
    assert len(town.index(0)) == 0
    assert len(town.index(100 * E8)) > 0


FEES = COIN | {"maker_fee_e8": 20_000, "taker_fee_e8": 50_000}  # of a lot at a whole tick nothing is rounded


def lot_by_lot(twin, leg, sign, lots, closer_takes):
    """Let an opening and a closing order of one account meet at 100 USDT in steps of what there is to close."""
    while lots:
        step = min(lots, abs(twin.leg(0, leg).lots))
        for takes in (False, True):
            way = -sign if takes == closer_takes else sign
            twin.fill(0, way * step, 1_000, step * 1_000 * (5 if takes else 2), leg)
        lots -= step
    return twin


def agree(account, twin, leg=0):
    """Compare a leg and the wallet; halves that no unit is left of are rounded, and so is isolated margin."""
    position, plain = account.position(0, leg), twin.leg(0, leg)
    assert (position["lots"], account.fees_e8) == (plain.lots, plain.fees)
    assert account.wallet_e8 - position["cost_e8"] == twin.wallet - plain.cost
    assert abs(account.realised_e8 - plain.realised) <= 1
    assert abs(position["isolated_e8"] - plain.isolated) <= 2
    assert account.reconcile() == 0


@pytest.mark.parametrize("closer_takes,trades", [(False, 2), (True, HALVINGS + 1)], ids=["rests", "takes"])
@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("isolated", [0, 1], ids=["cross", "isolated"])
def test_an_accounts_closing_order_meets_its_opening_one_in_few_trades(closer_takes, trades, side, isolated):
    """What one opens the other may close: soon nothing is realised by it, and the rest is one trade."""
    town, sign, lots = Town([10**6] * 2, FEES), 1 - 2 * side, 5_003
    town.venue.set(town.now, 0, Setting.ISOLATED, isolated, 0)
    town.send(1, 1 - side, 7, 990)
    town.send(0, side, 7, 990)
    twin = PlainAccount([FEES], 10**6 * E8)
    twin.isolated[0] = bool(isolated)
    twin.fill(0, sign * 7, 990, 7 * 990 * 5)
    lot_by_lot(twin, 0, sign, lots, closer_takes)
    orders = [(1 - side, {"reduce_only": True}), (side, {})]
    for way, given in reversed(orders) if closer_takes else orders:
        rows = town.send(0, way, lots, 1_000, **given)
    fills = rows[rows["kind"] == Kind.FILL]
    assert len(fills) == 2 * len(rows[rows["kind"] == Kind.TRADE]) == 2 * trades
    assert int(fills["d"].sum()) == 2 * lots and int(fills["e"].sum()) == lots * 7_000
    assert town.venue.resting(0) == []
    agree(town.accounts[0], twin)


def test_a_hedged_leg_that_shrank_under_its_closing_order_meets_the_next_opening_one_in_two_trades():
    town, lots = Town([10**6] * 2, FEES), 5_003
    town.venue.set(town.now, 0, Setting.HEDGE_MODE, 1, 0)
    twin = PlainAccount([FEES], 10**6 * E8, hedge=True)
    for side, many in ((SELL, lots), (BUY, lots - 7)):
        town.send(1, 1 - side, many, 990)
        town.send(0, side, many, 990, position_side=2)
        twin.fill(0, (1 - 2 * side) * many, 990, many * 990 * 5, 1)
        if side == SELL:
            town.send(0, BUY, lots, 980, position_side=2)
    rows = town.send(0, SELL, lots, 980, position_side=2)
    assert len(rows[rows["kind"] == Kind.TRADE]) == 2
    while lots:
        step = min(lots, 7)
        twin.fill(0, step, 980, step * 980 * 2, 1)
        twin.fill(0, -step, 980, step * 980 * 5, 1)
        lots -= step
    agree(town.accounts[0], twin, 1)


def test_a_synthetic_market_has_a_mark_and_a_funding_rate_of_its_own():
    town = Town([10**6] * 2)
    town.send(0, BUY, 10**6, 1000)
    town.send(1, SELL, 10**6, 1002)
    rows = town.index(100 * E8)
    (own,) = rows[rows["kind"] == Kind.MARK]
    # No trade yet: the middle of 100.01 (funding to come) ... the index with its basis of 0.1 decides.
    assert (int(own["a"]), int(own["b"])) == (100_10000000, 100 * E8)
    assert town.venue.perpetuals[0].rate_e8 == 10_000
    assert int(own["d"]) == T0 - SECOND + 8 * HOUR
    # 5 % above the index the premium decides, within the cap of three quarters of 1 %.
    for _ in range(10):
        town.index(95 * E8, 5 * SECOND)
    assert town.venue.perpetuals[0].rate_e8 == 750_000


# Against the plain twin, and everything at once.


def compare_crowds(seeds, steps):
    kinds = set()
    for seed in range(seeds):
        dice, twin = Random(seed), Crowd()
        town = Town([10**9] * 4, COIN | {"max_lots": 10**9, "max_orders": 4_000})
        words = {Kind.ACCEPTED: "cd", Kind.FILL: "cd", Kind.EXPIRED: "bc", Kind.AMENDED: "bc"}
        for _ in range(steps):
            account, known = dice.randrange(4), dice.randint(1, max(1, town.next_id))
            lots, ticks, happens = dice.randint(1, 60), 1_000 + dice.randint(-6, 6), dice.random()
            if happens < 0.75:
                ticks = 0 if dice.random() < 0.15 else ticks
                tif, stp = dice.choice((GTC, GTC, IOC, GTX, FOK)) if ticks else GTC, dice.randrange(4)
                side = dice.randrange(2)
                rows = town.send(account, side, lots, ticks, tif=tif, stp=stp)
                twin.submit(account, Order(town.next_id, side, lots, ticks, tif, stp=stp))
            elif happens < 0.88:
                rows = town.venue.place_order(town.now, known, 0, BUY, lots, ticks, account, amends=True)
                twin.amend(account, known, lots, ticks)
            else:
                rows = town.venue.cancel_order(town.now, known, 0, account)
                twin.cancel(account, known)
            answers = [
                (
                    Kind(int(one["kind"])).name,
                    int(one["a"]),
                    tuple(int(one[word]) for word in words.get(one["kind"], "b")),
                )
                for one in rows[rows["kind"] >= 32]
            ]
            expected = [(what, who, one if isinstance(one, tuple) else (one,)) for what, who, one in twin.said]
            assert answers == expected, (seed, town.next_id)
            kinds |= {what for what, _, _ in expected}
            twin.said.clear()
    return kinds


CROWD_WORDS = {"ACCEPTED", "REJECTED", "FILL", "EXPIRED", "CANCELED", "CANCEL_REJECTED", "AMENDED", "AMEND_REJECTED"}


def test_a_synthetic_market_matches_as_its_plain_twin():
    assert compare_crowds(20, 150) == CROWD_WORDS


@pytest.mark.slow
def test_a_synthetic_market_matches_as_its_plain_twin_for_longer():
    assert compare_crowds(1_500, 300) == CROWD_WORDS


class Riot(Town):
    """Accounts of every mode do everything that an account may do."""

    def __init__(self, seed):
        self.dice = Random(seed)
        super().__init__([self.dice.choice((30, 300, 10_000)) for _ in range(5)], fund_e8=self.dice.choice((0, 10**15)))
        self.middle = 1_000
        for account in range(5):
            self.venue.set(self.now, 0, Setting.HEDGE_MODE, self.dice.randrange(2), account)
            self.venue.set(self.now, 0, Setting.ISOLATED, self.dice.randrange(2), account)

    def happen(self):
        dice, account = self.dice, self.dice.randrange(5)
        self.now += dice.randint(0, 30) * SECOND
        ticks = self.middle + dice.randint(-15, 15)
        happens = dice.random()
        if happens < 0.6:
            return self.order(account, ticks)
        if happens < 0.7:
            known, lots = dice.randint(1, max(1, self.next_id)), dice.randint(1, 4_000)
            return self.venue.place_order(self.now, known, 0, BUY, lots, ticks, account, amends=True)
        if happens < 0.78:
            return self.venue.cancel_order(self.now, dice.randint(1, max(1, self.next_id)), 0, account)
        if happens < 0.82:
            self.venue.set(self.now, 0, dice.choice((1, 2, 3)), dice.randint(0, 20), account)
        elif happens < 0.85:
            self.venue.add_margin(self.now, 0, dice.randint(-50, 50) * E8, dice.randrange(2), account)
        else:
            self.middle = max(500, self.middle + dice.randint(-60, 60))
            return self.mark(self.middle)
        return self.venue.said()[0]

    def order(self, account, ticks):
        dice, hedge = self.dice, self.accounts[account].hedge
        given = {"position_side": dice.randint(1, 2) if hedge else 0, "stp": dice.randrange(4)}
        given["good_till"] = self.now + dice.randint(590, 1_500) * SECOND
        kind = dice.choice((0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6))
        if kind >= 2:
            given["trigger_ticks"] = self.middle + dice.randint(-30, 30)
            given["callback_e8"] = dice.randint(1, 30) * 10**5
            given["terms"] = dice.randrange(8)
        else:
            given["reduce_only"] = dice.random() < 0.2
        limit = ticks if kind in (0, 2, 4) else 0
        if limit or dice.random() < 0.05:
            given["tif"] = dice.choice((0, 0, 0, 1, 2, 3, 4))
        lots = 0 if given.get("terms", 0) & 1 else dice.randint(1, 4_000)
        return self.send(account, dice.randrange(2), lots, limit, type=kind, **given)

    def check(self):
        resting, algos = self.venue.resting(0), self.venue.algos(0)
        for number, account in enumerate(self.accounts):
            mine = [one for one in resting if one["account"] == number]
            margins = account.margins_of(0)
            assert margins["open_orders"] == len(mine) + sum(one["account"] == number for one in algos)
            assert sum(map(sum, margins["open_e8"])) == sum(one["counted_e8"] for one in mine)
            assert account.reconcile() == 0
        assert all(one["leaves"] > 0 for one in resting)
        for side in (BUY, SELL):
            prices = [one["order"]["price_ticks"] for one in resting if one["order"]["side"] == side]
            assert prices == sorted(prices, reverse=side == BUY)
        everybody = [*self.accounts, self.venue.fund]
        assert sum(one.position(0, leg)["lots"] for one in everybody for leg in (0, 1)) == 0


def riots(seeds, steps):
    seen = set()
    for seed in range(seeds):
        town = Riot(seed)
        start = town.total()
        for _ in range(steps):
            rows = town.happen()
            seen |= {Kind(int(kind)).name for kind in rows["kind"]}
            seen |= {AlgoStatus(int(one["b"])).name for one in rows if one["kind"] == Kind.ALGO}
            town.check()
            assert town.total() == start, seed
    return seen


EVERYTHING = {"LIQUIDATION", "EXPIRED", "AMENDED", "FILL", "MARGIN_MOVED", "SETTING"} | {one.name for one in AlgoStatus}


def test_money_and_margin_hold_when_everybody_does_everything():
    assert riots(20, 300) >= EVERYTHING


@pytest.mark.slow
def test_money_and_margin_hold_when_everybody_does_everything_for_longer():
    assert riots(600, 600) >= EVERYTHING
