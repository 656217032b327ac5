"""kill -9 of web workers and sequencers under load, fifty rounds; nothing acknowledged is lost."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.installation import install
from tests.faults.running import Load, MapWitness, Running, losses, quick, running
from tests.support.processes import until
from tests.support.tried import Tried

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)

ROUNDS = 50


def test_killed_under_load(tmp_path: Path, tried: Tried) -> None:
    """A round: load, a kill at some moment, and what is acknowledged afterwards is published.

    Of two sequencers the one that holds the lease is killed and replaced; of two web workers one,
    which gunicorn replaces; now and then the whole web side, in the middle of its answers, or the
    witness, which checks the map and must cosign whatever is published.
    """
    settings = quick(tmp_path / "data")
    brand = install(settings)
    chance = random.Random(3)
    witness = MapWitness(settings, tmp_path / "witness")
    killed: Counter[str] = Counter()
    signed: list[bytes] = []
    with running(settings, tmp_path / "processes.log", sequencers=2) as platform:
        platform.start_witness(witness)
        with Load(platform.url, brand, threads=2, pause=0.05) as load:
            load.goes_on(platform)
            load.seen.clear()  # what was published before the witness stood in the policy
            for number in range(ROUNDS):
                time.sleep(chance.random() * 0.2)
                killed[one_kill(platform, witness, chance, number)] += 1
                signed += [*platform.notes(), witness.note()]
                load.goes_on(platform)
        platform.publishes_all()
        lost = losses(platform, load, [*signed, witness.note()])
    assert set(killed) == {"sequencer", "a web worker", "the whole web side", "the witness"}
    assert len(load.acknowledged) > ROUNDS * 2
    note = f"({len(load.acknowledged)} acknowledged uploads, {len(load.seen)} checkpoints seen)"
    assert sum(killed.values()) == ROUNDS
    for what, times in sorted(killed.items()):
        tried.row(f"kill -9 under load: {what}", times, lost, note)


def one_kill(platform: Running, witness: MapWitness, chance: random.Random, number: int) -> str:
    """Kills something; what it was."""
    if number % 10 == 9:
        platform.kill_web()
        platform.start_web()
        return "the whole web side"
    if number % 10 == 4:
        platform.kill_witness()
        platform.start_witness(witness)
        return "the witness"
    if number % 2:
        platform.kill(chance.choice(platform.workers()))
        return "a web worker"
    until(lambda: platform.holder() is not None)
    holder = platform.holder()
    assert holder is not None
    platform.kill(holder)
    platform.start_sequencer()
    return "sequencer"
