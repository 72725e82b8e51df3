"""Hours of trading over looped recordings, with every family of faults drawn at random: the invariants hold throughout.

A few minutes of market time belong to the suite; two hours to ``make chaos``. ``AUTOTRADER_CHAOS_SEED`` and
``AUTOTRADER_CHAOS_HOURS`` choose others; a failure names its seed.
"""

import asyncio
import hashlib
import os
import socket
import time

import orjson
import pytest

from autotrader.adapters.loopback.orders import Asked
from autotrader.adapters.storage.recordings import Recording
from autotrader.cli import main
from autotrader.errors import OperatorError
from autotrader.research.replay import verifier_of
from autotrader.run.live import State
from chaos import figures
from chaos.hours import SECOND, CrashedError, World, recordings, traded
from chaos.invariants import Watch, accepted
from chaos.judge import Journal
from chaos.nemesis import Nemesis
from core_ext.journal import read_journal
from core_ext.types import Command, Instruments, Kind

SEED = int(os.environ.get("AUTOTRADER_CHAOS_SEED", time.time_ns() % 10**6))
HOURS = float(os.environ.get("AUTOTRADER_CHAOS_HOURS", "2"))
MODES = ("paper", "testnet")
CALM_S = 20.0
KILLED_S = 5.0


class Director:
    """Runs a simulation through its legs: rage and calm in turn, a crash at the end of every leg but the last."""

    def __init__(self, folder, seed, files, seconds, crash_s=(90.0, 240.0), mode="testnet"):
        folder.mkdir(exist_ok=True)
        self.world = World(folder, seed, files, mode)
        self.nemesis = Nemesis(self.world)
        self.watch = Watch(self.world, self.nemesis)
        self.end_s, self.crash_s = seconds, crash_s
        self.killed_s = None
        self.summary = None

    def run(self, monkeypatch):
        """Trade to the end; return the proof of the exchange's history."""
        number = 0
        while self.summary is None:
            try:
                self.summary = traded(self.world, monkeypatch, f"run{number}", self.leg)
            except CrashedError:
                number += 1
        return self.world.close()

    @property
    def now_s(self):
        return self.world.time.ns / SECOND

    async def leg(self):
        world, begun = self.world, self.now_s
        life_s = world.dice.uniform(*self.crash_s)
        while world.hours is None or not world.hours.engine.books[0].is_usable:
            await asyncio.sleep(0.05)
        while self.now_s < self.end_s:
            if self.now_s - begun > life_s and self.end_s - self.now_s > CALM_S:
                await self.nemesis.rage(world.dice.uniform(5.0, 15.0))
                self.crash()
            await self.nemesis.rage(world.dice.uniform(20.0, 60.0))
            await self.calm()
        await self.kill()

    async def calm(self):
        await asyncio.sleep(CALM_S)
        hours = self.world.hours
        hours._resumed()
        if hours.engine.gate.halted:
            hours._say(Command.RESUME)

    def crash(self):
        self.world.cut()
        self.world.hours = None
        raise CrashedError

    async def kill(self):
        """Kill while nothing passes; what is open must be closed in five seconds once it does."""
        world, hours = self.world, self.world.hours
        world.cut()
        hours._say(Command.KILL)
        await asyncio.sleep(2.0)
        world.is_up = True
        since = self.now_s
        while any(self.left()):
            await asyncio.sleep(0.05)
            assert self.now_s - since < 30.0, f"seed {world.seed}: left after a kill: {self.left()}"
        self.killed_s = self.now_s - since
        await asyncio.sleep(2.0)
        assert not any(self.left())
        with pytest.raises(OperatorError):
            State(hours.run.config)
        hours.stopped.set()
        await asyncio.sleep(60.0)

    def left(self):
        """Return what the account still has at the exchange."""
        truth = self.world.truth
        return len(truth.plain()), len(truth.algos()), truth.account.position(0)["lots"]

    def digest(self):
        """Return a hash of every journal."""
        found = hashlib.sha256()
        for run in self.world.runs:
            found.update(run.folder.journal_file.read_bytes())
        return found.hexdigest()

    def journals(self):
        """Read the journal of every run."""
        return [Journal(run.folder.journal_file) for run in self.world.runs]

    def told(self):
        """Return what came of it, in lines."""
        watch, opened = self.watch, sum(sum(opens for *_, opens in journal.sent) for journal in self.journals())
        healed = sorted(watch.healed_s) or [0.0]
        return [
            f"{self.world.mode}, seed {self.world.seed}: {self.now_s:,.0f} s of market time,"
            f" {self.world.events:,} events, {opened} openings, {len(self.world.runs)} runs,"
            f" {sum(self.nemesis.drawn.values())} faults of {len(self.nemesis.drawn)} families",
            f"agreed after a heal: {len(healed)} times, p99 {healed[int(0.99 * len(healed))]:.2f} s,"
            f" max {healed[-1]:.2f} s; ready after a start: max {max(watch.ready_s, default=0.0):.2f} s",
            f"plain exits beside a closed gate: {watch.exits}, of which {watch.false_exits} close more than there is",
            f"longest without a stop: {watch.unprotected_s:.1f} s; after the kill closed in {self.killed_s} s",
            f"answers: {dict(sorted((str(k), v) for k, v in self.world.seen.items()))}",
            f"drawn: {dict(sorted(self.nemesis.drawn.items()))}",
        ]


@pytest.fixture
def _no_socket(monkeypatch):
    """Let nobody connect anywhere (I14)."""

    def refused(*_):
        raise AssertionError("a socket was to be connected")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)


def held(director, proof, capsys):
    """Check what can be checked when all is over."""
    world = director.world
    for line in director.told():
        print(line)
    assert proof.holds, proof.violations[:3]
    for journal in director.journals():
        assert all(order.asked == 1 for order in journal.orders.values()), f"seed {world.seed}"
        assert journal.gated == [], f"seed {world.seed}"
    if world.mode == "paper":
        assert world.truth.account.recompute() == [], f"seed {world.seed}"
    else:
        history = map(orjson.loads, (world.folder / "history.jsonl").read_bytes().splitlines())
        counts = accepted(history)
        assert counts and set(counts.values()) == {1}, f"seed {world.seed}"
    assert director.killed_s <= KILLED_S, f"seed {world.seed}"
    *crashed, last = world.runs
    for run in crashed:
        replayed(run)
    capsys.readouterr()
    for command in (("replay", str(last.folder.path), "--verify"), ("audit", "verify", str(last.folder.path))):
        assert main(list(command)) == 0, f"seed {world.seed}: {command}: {capsys.readouterr()}"


def replayed(run):
    """Run again what a crash left: as far as the journal goes, every request is the same."""
    engine = run.plan.engine()
    verifier = verifier_of(run.plan, engine, run.folder.journal_file)
    files = sorted((run.folder.path / "market").iterdir())
    for _ in Recording(files, Instruments(run.specs), 0, False, True).feed(verifier):
        pass
    blocks = [block.array() for block in read_journal(str(run.folder.journal_file))]
    rows = sum(int(block["c"][block["kind"] == Kind.RANGE].sum()) for block in blocks)
    last_ns = int(blocks[-1]["ts"][-1])
    # The file may end between a message and what it led to, of which nothing has left then.
    cut = str(verifier.difference).endswith(f" at {last_ns}") and "the run asked for nothing" in verifier.difference
    assert cut or verifier.difference in (None, f"the journal has no row {rows} of source 0 here")
    assert verifier.compared > 0


def simulated(folder, seed, files, seconds, monkeypatch, **more):
    director = Director(folder, seed, files, seconds, **more)
    return director, director.run(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("_no_socket")
def test_minutes_of_trading_among_faults_keep_the_invariants(mode, tmp_path, monkeypatch, capsys):
    files = recordings(tmp_path)
    director, proof = simulated(tmp_path / "here", 4, files, 150.0, monkeypatch, crash_s=(20.0, 40.0), mode=mode)
    held(director, proof, capsys)
    assert len(director.world.runs) > 1
    assert sum(len(journal.sent) for journal in director.journals()) > 10
    assert len(director.nemesis.drawn) > 10


@pytest.mark.slow
@pytest.mark.usefixtures("_no_socket")
def test_the_same_seed_gives_the_same_journals_and_another_seed_others(tmp_path, monkeypatch):
    files, digests = recordings(tmp_path), []
    for number, seed in enumerate((7, 7, 8)):
        director, _ = simulated(tmp_path / str(number), seed, files, 30.0, monkeypatch, crash_s=(10.0, 10.0))
        digests.append(director.digest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
def test_what_does_not_hold_is_noticed_and_the_seed_is_named(tmp_path, monkeypatch):
    director = Director(tmp_path / "here", 9, recordings(tmp_path), 60.0)
    world = director.world

    def strike():
        # An order of this run's that the run knows nothing of.
        venue, number = world.server.venue, world.hours.run.plan.epoch << 32 | 0xFFFFFF
        venue.place(world.now_ns(), 0, Asked(venue.symbols[0], f"at{number:016x}", 0, 0, 0, 10, 280_000))

    monkeypatch.setattr(director.nemesis, "strike", strike)
    with pytest.raises(AssertionError, match=r"I2 at .* seed 9: order="):
        director.run(monkeypatch)


@pytest.mark.chaos
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("_no_socket")
def test_two_hours_of_trading_among_every_family_of_faults_keep_the_invariants(
    mode, root, tmp_path, monkeypatch, capsys
):
    director, proof = simulated(
        tmp_path / "hours", SEED, recordings((root / "../shared").resolve()), HOURS * 3600.0, monkeypatch,
        crash_s=(300.0, 900.0), mode=mode,
    )  # fmt: skip
    missing = set(director.nemesis.families()) - set(director.nemesis.drawn)
    with capsys.disabled():
        print("\n" + "\n".join(director.told()))
    figures.keep("hours", mode=mode, seed=SEED, told=director.told())
    held(director, proof, capsys)
    assert not missing
