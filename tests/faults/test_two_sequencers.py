"""Two sequencer processes on one log: the holder is stopped, the other takes over, the first wakes.

What wakes believes itself the holder and may be in the middle of a batch; the fencing token sees to
it that it writes nothing over what came meanwhile (provenance/storage/leases.py).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.faults.installation import install
from tests.faults.running import Load, Running, losses, quick, running
from tests.support.processes import is_alive, until
from tests.support.tried import Tried

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)

STOPS = 6


def test_a_stopped_holder(database_url: str, tmp_path: Path, tried: Tried) -> None:
    settings = quick(tmp_path / "data", database_url)
    brand = install(settings)
    chance = random.Random(5)
    signed: list[bytes] = []
    holders: set[int] = set()
    with running(settings, tmp_path / "processes.log", sequencers=2) as platform:
        with Load(platform.url, brand, threads=2, pause=0.02) as load:
            load.goes_on(platform)
            for _ in range(STOPS):
                time.sleep(chance.random() * 0.3)
                holders.add(one_change_of_hands(platform, load, signed))
        platform.publishes_all()
        lost = losses(platform, load, signed)
        messages = platform.messages
    assert len(holders) == 2, "each of the two was stopped, and came back to hold it again"
    woken = messages.count("storage.leases.LeaseLostError")
    note = f"({woken} woke up inside a batch and were refused)"
    tried.row("sequencer stopped, overtaken and continued", STOPS, lost, note)


def one_change_of_hands(platform: Running, load: Load, signed: list[bytes]) -> int:
    """Stops the holder until the other has published, then lets it go on; which one it was."""
    until(lambda: platform.holder() is not None)
    holder = platform.holder()
    assert holder is not None
    platform.stop_between_writes(holder)
    signed += platform.notes()
    until(lambda: platform.holder() != holder)
    load.goes_on(platform)
    signed += platform.notes()
    os.kill(holder, signal.SIGCONT)
    load.goes_on(platform)
    signed += platform.notes()
    assert is_alive(holder), platform.messages
    return holder
