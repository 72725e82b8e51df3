"""What events and records of the loopback exchange say of money, and orders that end before they are cancelled."""

import asyncio

import uvloop
from loopback import Client, Ear, Line, World, account
from plain.account import E8
from plain.mirror import units

from autotrader.adapters.loopback.proof import check
from autotrader.instruments import load, specs

SPECS = specs(["BTCUSDT"], table=load(), fees=(20_000, 50_000), leverage=5)[0]
ORDER, TRADES = "/fapi/v1/order", "ORDER_TRADE_UPDATE"


class Pair:
    """A maker and a taker at one exchange, and what their streams say."""

    def __init__(self, history=None, **taker):
        self.world = World(SPECS, [account("maker"), account("taker", **taker)], history=history)

    async def __aenter__(self):
        world = self.world
        await world.open()
        self.line, self.socket = await Line.open(world.port), await Ear.open(world.port, "/ws-fapi/v1")
        self.maker, self.taker = (Client(world, n, self.line, self.socket) for n in (0, 1))
        keys = [await self.maker.listen_key(), await self.taker.listen_key()]
        self.ear = await Ear.open(world.port, f"/private/stream?streams={keys[1]}")
        world.pass_time(10**9)
        world.coin(1, 600 * E8)
        world.index(0, 60_000 * E8)
        return self

    async def __aexit__(self, *_):
        for one in (self.ear, self.line, self.socket):
            one.close()
        await self.world.close()

    async def offer(self, *levels):
        for price, lots in levels:
            given = {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
            await self.ask(self.maker, price=price, quantity=lots, **given)

    async def ask(self, who, method="POST", path=ORDER, **params):
        status, body = await who.rest(method, path, symbol="BTCUSDT", **params)
        assert status == 200, body
        return body

    async def updates(self):
        """Return the bodies of ACCOUNT_UPDATE since the last call."""
        return [one["data"]["a"] for one in await self.ear.all_heard() if one["data"]["e"] == "ACCOUNT_UPDATE"]


def told(story):
    """Run a story to its end."""
    return uvloop.run(asyncio.wait_for(story(), 20))


def test_each_fill_of_a_request_is_told_with_the_cross_wallet_that_it_left():
    async def story():
        async with Pair() as pair:
            await pair.ask(pair.taker, path="/fapi/v1/marginType", marginType="ISOLATED")
            await pair.offer((60_000, "0.1"), (60_010, "0.2"))
            await pair.updates()
            await pair.ask(pair.taker, side="BUY", type="MARKET", quantity="0.3")
            return await pair.updates()

    first, second = told(story)
    for update in (first, second):
        (wallet,), (row,) = update["B"], update["P"]
        assert units(wallet["wb"]) - units(wallet["cw"]) == units(row["iw"])
    assert units(first["P"][0]["iw"]) == 1_200 * E8  # 6,000 at 5x
    assert units(second["P"][0]["iw"]) == 1_200 * E8 + 2_400_40000000


def test_each_fee_in_bnb_is_told_with_the_wallet_that_it_left():
    async def story():
        async with Pair(wallets_e8=(10**12, E8, 0, 0, 0), fee_coin=True) as pair:
            await pair.offer((60_000, "0.1"), (60_000, "0.1"))
            await pair.ask(pair.taker, side="BUY", type="MARKET", quantity="0.2")
            return await pair.updates()

    # 3 USDT of fee, 10 % off, at 600: 0.0045 BNB each.
    wallets = [units(update["B"][-1]["wb"]) for update in told(story)]
    assert wallets == [E8 - 450_000, E8 - 900_000]


def test_an_event_rounds_what_a_position_has_won_as_the_answer_does():
    async def story():
        async with Pair() as pair:
            pair.world.index(0, 60_000_12345678)
            await pair.offer((60_000, "0.003"))
            await pair.ask(pair.taker, side="BUY", type="MARKET", quantity="0.001")
            (update,) = await pair.updates()
            (risk,) = await pair.ask(pair.taker, "GET", "/fapi/v3/positionRisk")
            return update["P"][0]["up"], risk["unRealizedProfit"]

    up, answered = told(story)
    assert units(up) == units(answered) == 12_346  # 0.00012345678


def test_a_deposit_of_a_coin_is_recorded_with_the_wallet_of_that_coin(tmp_path):
    async def story():
        async with Pair(history=tmp_path / "history.jsonl") as pair:
            pair.world.server.venue.deposit(pair.world.now_ns, 1, 3, 5 * E8)
            pair.world.server.venue.deposit(pair.world.now_ns, 1, 3, -2 * E8)

    told(story)
    assert check(tmp_path / "history.jsonl").holds


def cancelling_what_ends_by_itself(cancel):
    """Return how a good-till-date order ended whose cancellation comes after its date."""

    async def story():
        async with Pair() as pair:
            till = pair.world.now_ms + 700_000
            given = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTD", "goodTillDate": till}
            await pair.ask(pair.taker, price=59_000, quantity="0.1", **given)
            await cancel(pair)
            heard = await pair.ear.all_heard()
            return [one["data"]["o"]["X"] for one in heard if one["data"]["e"] == TRADES]

    return told(story)


def test_cancelling_everything_succeeds_although_a_date_comes_first():
    async def cancel(pair):
        pair.world.pass_time(701 * 10**9)
        await pair.ask(pair.taker, "DELETE", "/fapi/v1/allOpenOrders")

    assert cancelling_what_ends_by_itself(cancel) == ["NEW", "EXPIRED"]


def test_a_countdown_that_runs_out_after_a_date_finds_nothing_to_cancel():
    async def cancel(pair):
        await pair.ask(pair.taker, "POST", "/fapi/v1/countdownCancelAll", countdownTime=700_500)
        pair.world.pass_time(701 * 10**9)

    assert cancelling_what_ends_by_itself(cancel) == ["NEW", "EXPIRED"]
