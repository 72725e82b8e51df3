"""The synthetic market: what its participants do, and that it is the same market every time."""

from hashlib import sha256

import numpy as np
import pytest
from builders import row, spec

from autotrader.adapters.loopback.crowd import LEVELS, STAKE_E8, Crowd
from core_ext.account import Account
from core_ext.exchange import Exchange
from core_ext.types import Flag, Instruments, Kind

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
BUY, SELL = 0, 1
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Market:
    """A synthetic exchange with one client, account 0, and a crowd behind it."""

    def __init__(self, names=NAMES, seed=11, **changes):
        self.instruments = Instruments([spec(name, leverage=20) for name in names])
        accounts = [Account(self.instruments, 10**6 * 10**8), *(Account(self.instruments, STAKE_E8) for _ in range(6))]
        self.venue = Exchange(self.instruments, accounts, ["stream"] * len(names), 0.0, 0.0, 0, synthetic=True)
        self.crowd = Crowd(self.venue, self.instruments, range(1, 7), seed, **changes)
        self.opening = self.crowd.open(T0)

    def run(self, seconds, step_s=0.1):
        said = []
        for k in range(1, round(seconds / step_s) + 1):
            said += self.crowd.advance(T0 + round(k * step_s * SECOND))
        return said

    def spread(self, symbol):
        bid, ask = self.venue.books[symbol].best()
        return ask - bid


def digest(said):
    state = sha256()
    for stamp, rows, receivers in said:
        state.update(repr((stamp, receivers)).encode() + rows.tobytes())
    return state.hexdigest()


def kinds(said, kind):
    return sum(int((rows["kind"] == kind).sum()) for _, rows, _ in said)


def test_the_books_are_full_from_the_first_moment():
    market = Market()
    for symbol in range(3):
        for side in (BUY, SELL):
            assert len(market.venue.books[symbol].levels(side)) == LEVELS
        assert market.spread(symbol) == 1
    assert kinds(market.opening, Kind.REJECTED) == 0


def test_the_books_stay_full_and_their_spread_small_while_trades_print():
    market = Market()
    spreads, trades = [], 0
    for k in range(600):
        said = list(market.crowd.advance(T0 + k * SECOND // 10))
        trades += kinds(said, Kind.TRADE)
        spreads += [market.spread(symbol) for symbol in range(3)]
        assert all(len(market.venue.books[s].levels(side)) >= 40 for s in range(3) for side in (BUY, SELL))
        assert kinds(said, Kind.REJECTED) == kinds(said, Kind.LIQUIDATION) == 0
    assert np.mean(np.array(spreads) <= 3) > 0.99 and max(spreads) <= 6
    assert trades > 2 * 3 * 60


def test_the_same_seed_is_the_same_market_however_it_is_advanced():
    markets = [Market() for _ in range(3)]
    runs = [markets[0].run(20, 0.1), markets[1].run(20, 0.25), markets[2].run(20, 20)]
    assert len({digest(said) for said in runs}) == 1
    assert digest(Market(seed=12).run(20)) != digest(runs[0])


def test_a_clients_orders_are_part_of_the_market():
    def play(step_s):
        market, said = Market(), []
        for second in range(1, 6):
            at = T0 + second * SECOND
            for now in np.arange(at - SECOND + round(step_s * SECOND), at + 1, round(step_s * SECOND)):
                said += market.crowd.advance(int(now))
            market.venue.place_order(at, second, 0, BUY, 30_000)
            said.append((at, *market.venue.said()))
        return digest(said), market.venue.accounts[0].position(0)["lots"]

    assert play(0.05) == play(0.2)
    assert play(0.05)[1] == 150_000


def test_actions_come_in_order_of_time_and_tell_who_hears_what():
    said = Market().run(5)
    stamps = [stamp for stamp, _, _ in said]
    assert stamps == sorted(stamps)
    assert all(len(rows) == len(receivers) for _, rows, receivers in said)
    assert {one for _, _, receivers in said for one in receivers} == {-1, *range(1, 7)}
    assert all((rows["ts"] == stamp).all() for stamp, rows, _ in said if len(rows))


def test_the_index_goes_out_once_a_second_and_makes_a_mark_and_a_rate():
    market = Market()
    said = market.run(10)
    marks = [one for _, rows, _ in said for one in rows[rows["kind"] == Kind.MARK]]
    assert len(marks) == 3 * 10
    for one in marks:
        assert int(one["b"]) == market.crowd.index_e8(int(one["symbol"]), int(one["ts"]))
        assert abs(int(one["a"]) / int(one["b"]) - 1) < 0.005 and int(one["d"]) > T0


def test_the_makers_follow_the_index_far_and_fast():
    market = Market()
    before = market.venue.books[0].best()[0]
    market.run(1)
    market.crowd.rescale(0, 70_000_000)
    # Beyond the percent filter the market follows mark by mark.
    said = list(market.crowd.advance(T0 + 9 * SECOND))
    bid, ask = market.venue.books[0].best()
    assert bid < 0.72 * before and ask - bid <= 3
    assert len(market.venue.books[0].levels(SELL)) >= 40
    assert len(said) < 2_500 and kinds(said, Kind.REJECTED) == 0
    market.crowd.rescale(0, 10**8)
    list(market.crowd.advance(T0 + 30 * SECOND))
    assert market.venue.books[0].best()[0] > 0.98 * before


def test_a_clients_order_is_filled_when_the_index_passes_it():
    market = Market()
    bid, _ = market.venue.books[0].best()
    market.venue.place_order(T0, 1, 0, BUY, 1_000, bid - 30)
    market.crowd.rescale(0, 99_000_000)
    list(market.crowd.advance(T0 + SECOND))
    assert market.venue.accounts[0].position(0)["lots"] == 1_000


def test_orders_are_bounded_and_nobodys_position_runs_away():
    market = Market()
    market.run(120)
    for symbol in range(3):
        assert len(market.venue.resting(symbol)) <= 2 * LEVELS
        place = market.crowd._places[symbol]
        held = [abs(one.position(symbol)["lots"]) for one in market.venue.accounts[1:]]
        assert max(held) < 60 * place.level_lots
        assert sum(one.position(symbol)["lots"] for one in market.venue.accounts) == 0


def test_the_crowd_rests_while_a_symbol_does_not_trade_and_obeys_new_filters():
    market = Market()
    market.venue.feed(row(Kind.STATUS, T0, a=0))
    quiet = market.run(5)
    assert not any((rows["kind"] == Kind.TRADE)[rows["symbol"] == 0].any() for _, rows, _ in quiet[200:])
    market.venue.feed(row(Kind.STATUS, T0 + 5 * SECOND, a=1))
    market.venue.feed(row(Kind.FILTERS, T0 + 5 * SECOND, a=5, b=10, c=10, d=10**6, e=10**5, f=10 * 10**8))
    list(market.crowd.advance(T0 + 8 * SECOND))
    late = list(market.crowd.advance(T0 + 20 * SECOND))
    levels = [one for _, rows, _ in late for one in rows[(rows["kind"] == Kind.ACCEPTED) & (rows["symbol"] == 0)]]
    assert levels and all(int(one["c"]) % 5 == 0 and int(one["d"]) % 10 == 0 for one in levels)
    assert kinds(late, Kind.REJECTED) == 0


def test_it_needs_makers_and_takers():
    market = Market()
    with pytest.raises(ValueError, match="two makers and takers"):
        Crowd(market.venue, market.instruments, range(1, 3), 1)


def test_published_rows_end_their_runs():
    assert all(rows["flags"][-1] & Flag.F_END for _, rows, _ in Market().run(2) if len(rows))
