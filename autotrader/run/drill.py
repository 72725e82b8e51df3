"""The kill switch, rehearsed before there is any money: a run on the shipped recording is killed in the middle.

Knows what must be gone after a kill, at the engine and at the venue, and how the latch must hold. Refuses to know how
an engine kills: what is rehearsed is what trades.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from autotrader import config as configuration
from autotrader.adapters.storage.state import Latch
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.errors import OperatorError, StateError
from autotrader.messages import say
from autotrader.research import bench
from autotrader.research.replay import Plan, Session
from core_ext.types import Command, Kind, OrderState, OrderType

__all__ = ["Drill", "drill"]

STAMP_NS = 1_700_000_000_123_000_000
OTHER_STAMP = "2023-11-14T22:13:20.124Z"


@dataclass(frozen=True, slots=True)
class Drill:
    """What a kill found, and what it left.

    Attributes
    ----------
    orders, lots : int
        Resting and waiting orders, and the position, when it was said.
    flat_ns : int or None
        From the kill until nothing was open and nothing held, in the time of the market; None: something was left.
    opened : int
        Orders after it that could have opened something.
    is_latched : bool
        Whether the latch held through a restart, and opened to the stamp of its own kill alone.
    """

    orders: int
    lots: int
    flat_ns: int | None
    opened: int
    is_latched: bool


def drill(folder: Path | None = None) -> Drill:
    """Kill a run in the middle, and latch a kill.

    Parameters
    ----------
    folder : Path, optional
        Where to do it, so that the disk is the one that counts; nothing of it stays there.

    Raises
    ------
    OperatorError
        If the disk refuses, or the installation lacks the recording.
    StateError
        If the recording leads to no moment with a position, an order and a stop.
    """
    with TemporaryDirectory(prefix=".drill-", dir=folder) as place:
        return replace(_killed(Path(place) / "journal"), is_latched=_is_latched(Path(place) / "state"))


def _killed(journal: Path) -> Drill:
    sample = bench.read_sample()
    session = Session(_protected(sample.plan), journal)
    session.start(sample.messages[0][1])
    session.driver.default_symbol = 0
    before, killed_ns, flat_ns = (0, 0), 0, None
    for message, stamp_ns in sample.messages:
        session.driver.message(message, stamp_ns)
        if not killed_ns and _is_busy(session):
            before, killed_ns = (_open_orders(session), _held(session)), session.driver.now
            session.driver.control(int(Kind.COMMAND), killed_ns, (int(Command.KILL),))
        elif killed_ns and flat_ns is None and _is_over(session):
            flat_ns = session.driver.now - killed_ns
    session.finish()
    if not killed_ns:
        raise StateError(say("doctor.no_moment", sample=bench.SAMPLE))
    return Drill(*before, flat_ns if _is_over(session) else None, _opened_since(session, killed_ns), False)


def _protected(plan: Plan) -> Plan:
    risk = replace(plan.config.risk, protective_stop=0.05, unprotected_s=3.0)
    config = replace(plan.config, risk=risk)
    return replace(plan, config=config, config_values=configuration.as_dict(config))


def _is_busy(session: Session) -> bool:
    venue = session.venue
    return bool(_held(session) and venue.resting(0) and venue.algos(0))


def _is_over(session: Session) -> bool:
    venue = session.venue
    left = venue.resting(0) or venue.algos(0) or venue.accounts[0].position(0)["lots"]
    return not left and not _open_orders(session) and not _held(session)


def _held(session: Session) -> int:
    lots: int = abs(session.engine.account.position(0)["lots"])
    return lots


def _open_orders(session: Session) -> int:
    return sum(0 < order["state"] < OrderState.FILLED for order in session.engine.orders.rows())


def _opened_since(session: Session, killed_ns: int) -> int:
    orders = session.engine.orders.rows()
    return sum(o["created"] > killed_ns and not o["reduce_only"] and o["type"] < OrderType.STOP for o in orders)


def _is_latched(path: Path) -> bool:
    folder = StateFolder(path)
    try:
        stamp = Latch(folder).close("drill", STAMP_NS).stamp
    finally:
        folder.close()
    folder = StateFolder(path)  # as the next run finds it
    try:
        latch = Latch(folder)
        kill = latch.read()
        held = kill is not None and kill.stamp == stamp and _refuses(latch, OTHER_STAMP) and latch.read() is not None
        latch.rearm(stamp)
        return held and latch.read() is None
    finally:
        folder.close()


def _refuses(latch: Latch, stamp: str) -> bool:
    try:
        latch.rearm(stamp)
    except OperatorError:
        return True
    return False
