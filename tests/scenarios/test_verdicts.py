"""What a verdict rests on, held against the gate's own table: beyond a limit a figure is broken, within it none is."""

import pytest
from test_risk_table import ALLOWED, BTC, CONTROLS, EPOCH, INTENT, Order, Row, World, e8

from autotrader.research.verdicts import RULES, SETTINGS, Measure, Scene, measures
from core_ext.types import OrderType, Reason, TimeInForce

UNTOLD = {
    Reason.R2_CHASE,  # the prices of an intent
    Reason.R9_LIQUIDATION_DISTANCE,  # of the position with the order
    Reason.R11_ORDER_RATE,  # what is left in the bucket
    Reason.R13_MESSAGE_QUALITY,  # the ratios of the last ten minutes
    Reason.R14_REPEATED,  # losing trips show as the switch that they throw, at the next look
    Reason.R17_FAT_FINGER,  # what is usual
}
"""Rules of which the state does not show every figure."""
WITHOUT = {Reason.R31_RISK_FAULT, Reason.R32_NOT_AS_APPROVED, Reason.NOT_AMENDABLE}
CASES = [
    pytest.param(control.reasons, row, id=f"{control.name}-{at}")
    for control in CONTROLS
    for at, row in enumerate(control.rows)
    if row.order.how != "amend" and row.order.symbol == BTC and control.name != "Data quality"
]


def request(wanted: Order) -> dict[str, int]:
    tif = TimeInForce.GTX if wanted.how == "passive" else TimeInForce.GTC
    return {
        "symbol": wanted.symbol,
        "side": wanted.side,
        "position_side": 0,
        "type": OrderType.LIMIT if wanted.ticks else OrderType.MARKET,
        "tif": tif,
        "price_ticks": wanted.ticks,
        "trigger_ticks": 0,
        "lots": wanted.lots,
        "reduce_only": wanted.reduce_only,
        "edge_e8": e8(wanted.edge or 0) // 100,
        "intent": INTENT if wanted.how == "reprice" else 0,
        "reprice": wanted.how == "reprice",
        "limiting": 0,
    }


def scene(world: World, wanted: Order, lifted: tuple[str, ...]) -> Scene:
    limits = world.limits(lifted)
    return Scene(
        world.instruments, world.account, world.orders, world.markets, world.gate, None, limits, request(wanted),
        world.now,
    )  # fmt: skip


def asked(row: Row, reason: Reason) -> tuple[list[Measure], Reason]:
    world = World(row.given, row.lifted)
    found = measures(scene(world, row.order, row.lifted), reason)
    return found, world.ask(row.order)


@pytest.mark.parametrize(("reasons", "row"), CASES)
def test_what_is_refused_has_a_broken_figure_and_what_is_allowed_has_none(reasons, row) -> None:
    for reason in {row.answer} - {ALLOWED} or set(reasons):
        if reason in WITHOUT:
            continue
        found, answer = asked(row, reason)
        assert answer == row.answer
        if row.answer == ALLOWED and not shrinking(row):
            assert not [one for one in found if one.is_broken], (reason, found)
        elif row.answer != ALLOWED and reason not in UNTOLD:
            assert [one for one in found if one.is_broken], (reason, found)


def shrinking(row: Row) -> bool:
    """Return whether the order may pass whatever the limits are: it can only make a position smaller."""
    held = float(row.given.get("position", 0))
    return held != 0 and (held > 0) == (row.order.side == 1)


def test_every_reason_has_its_figures_or_is_said_to_have_none() -> None:
    assert set(Reason) - set(RULES) == WITHOUT | {ALLOWED}


def test_the_settings_of_a_rule_are_those_of_the_page_about_risk() -> None:
    table = {reason: control.settings for control in CONTROLS for reason in control.reasons if control.settings}
    assert table == dict(SETTINGS)


def test_an_epoch_is_that_of_the_table() -> None:
    assert World({}).orders.epoch == EPOCH


def test_a_figure_that_is_not_known_is_not_broken() -> None:
    assert not Measure("x", None, 1, "usdt").is_broken and not Measure("x", 1, None, "usdt").is_broken
    assert Measure("x", 2, 1, "usdt").is_broken and not Measure("x", 1, 1, "usdt").is_broken
    assert Measure("x", 0, 1, "usdt", "least").is_broken and not Measure("x", 1, 1, "usdt", "least").is_broken
    assert Measure("x", 1, 1, "usdt", "below").is_broken and not Measure("x", 0, 1, "usdt", "below").is_broken
