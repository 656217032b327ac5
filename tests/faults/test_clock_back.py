"""The machine's clock jumps back, an hour or a day, and later is put right.

Ledger times never fall along a chain, nothing stops, nothing forks; the one thing that suffers is
the age of the checkpoint as a reader with a right clock sees it, and that heals with the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy import select

from provenance.domain import canonical
from provenance.domain.chain import decode_link
from provenance.domain.moments import parse_ledger_time
from provenance.services.proving import Prover
from provenance.services.sequencing import Published, Sequencer
from provenance.storage import tables
from provenance.verify import Verdict, verify_bundle
from tests.faults.evidence import audit, disagreeing, seen
from tests.support.builders import ORIGIN, Actor, World, item_event, item_uri
from tests.support.clock import START
from tests.support.ledger import Ledger, make_policy
from tests.support.tried import Tried

HOUR, DAY = 3_600_000, 86_400_000


@dataclass
class Reader:
    """Somebody whose clock is right, with our policy."""

    ledger: Ledger
    now: int

    def verdict(self, serial: int) -> Verdict:
        """On the passport of an item as it is served now."""
        prover = Prover(self.ledger.database, self.ledger.tiles, ORIGIN)
        bundle = canonical.encode(prover.passport(item_uri(serial)))
        return verify_bundle(bundle, make_policy(), now=self.now // 1000)


def times(ledger: Ledger) -> dict[int, list[int]]:
    """The ledger times of each chain, in the chain's order."""
    rows = tables.links
    with ledger.database.read() as connection:
        found = connection.execute(select(rows).order_by(rows.c.subject_id, rows.c.seq)).all()
    chains: dict[int, list[int]] = {}
    for row in found:
        chains.setdefault(row.subject_id, []).append(decode_link(row.bytes).time)
    return chains


def falling(ledger: Ledger) -> list[str]:
    """Chains along which time falls; none."""
    return [
        f"chain {subject}: {chain}"
        for subject, chain in times(ledger).items()
        if chain != sorted(chain)
    ]


def accept(world: World, brand: Actor, *serials: int) -> int:
    """One event about some items, claimed to be of now; the ledger time that it got."""
    event = item_event(*serials, at=world.clock.now)
    receipt = world.capture.submit_batch(brand.sealed([event])).receipt
    return parse_ledger_time(receipt["accepted"])


def follower(ledger: Ledger, before: Sequencer, restart: bool) -> Sequencer:
    """The process that goes on, or one that is started under the clock as it is now."""
    return ledger.sequencer(holder="restarted") if restart else before


@pytest.mark.parametrize("restart", [False, True], ids=["goes on", "restart"])
@pytest.mark.parametrize("jump", [HOUR, DAY], ids=["an hour", "a day"])
def test_clock_back(
    ledger: Ledger, world: World, brand: Actor, jump: int, restart: bool, tried: Tried
) -> None:
    before = ledger.sequencer()
    ledger.clock.advance(1_000)
    accept(world, brand, 1)
    assert before.run_once() is not None
    checkpoints = seen(ledger)
    reader = Reader(ledger, ledger.clock.now + 1_000)
    ledger.clock.advance(-jump)

    # Capture goes on; times stand still where they would fall.
    assert accept(world, brand, 1) == START + 1_000, "the chain of item 1, and its signer's own"
    assert accept(world, brand, 2) == START, "a new chain, whose signer was registered at START"
    late = world.party("late")
    assert accept(world, late, 3) == START + 1_000, "a party changes after all else"
    lost = falling(ledger)

    # Publication goes on. A second sequencer takes the lease, which seems to stand for too long;
    # the first is then fenced off.
    published = publish(follower(ledger, before, restart))
    assert published.size > max(checkpoint.size for checkpoint in checkpoints)
    if restart:
        accept(world, brand, 4)
        assert before.run_once() is None
    checkpoints |= seen(ledger)
    audit(ledger)

    # A reader with a right clock sees a checkpoint as old as the jump; never another record.
    verdict = reader.verdict(1)
    assert verdict.reason == (None if jump < DAY else "checkpoint-stale")

    # The clock is put right: the checkpoint is fresh at once.
    ledger.clock.advance(jump)
    publish(follower(ledger, before, restart))
    verdict = Reader(ledger, ledger.clock.now).verdict(1)
    assert (verdict.record, verdict.checks["fresh"]) == ("verified", "pass")
    assert accept(world, brand, 1) == ledger.clock.now
    follower(ledger, before, restart).run_once()
    audit(ledger)
    lost += [*falling(ledger), *disagreeing(ledger.tiles, checkpoints | seen(ledger))]
    tried.row("clock back under capture and sequencer", 1, lost)


def publish(sequencer: Sequencer) -> Published:
    published = sequencer.run_once()
    assert published is not None
    return published
