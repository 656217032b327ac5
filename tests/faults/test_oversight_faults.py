"""The writes that witnesses and mirrors bring about fail, lost or kept.

Publication under witnesses whose answers are waited for, or that are added to what is published
already; and the evidence that this log has forked: whatever fails while it is stored, nothing more
is signed.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import pytest

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.note import parse_note, sign_note
from merkle.tree import root_of
from provenance.services.recovery import SequencerRefusalError
from provenance.services.sequencing import Sequencer
from provenance.storage import forks, log
from tests.faults.evidence import audit, disagreeing, seen
from tests.faults.stores import Breaker, FaultyDatabase, FaultyLastSigned, FaultyTiles, Mode
from tests.faults.test_store_matrix import kind_of
from tests.support.builders import ORIGIN, Actor, World, item_event
from tests.support.ledger import SIGNER, Ledger
from tests.support.overseen import Overseen
from tests.support.tried import Tried
from tests.support.witness_habits import Reply, served


def faulty(field: Overseen, breaker: Breaker, holder: str) -> Sequencer:
    ledger = field.ledger
    database = FaultyDatabase(ledger.database, breaker)
    field.stack.callback(database.close)
    return field.sequencer(
        holder,
        database=database,
        tiles=FaultyTiles(ledger.tiles, breaker),
        last_signed=FaultyLastSigned(ledger.last_signed, breaker),
    )


def rounds(sequencer: Sequencer, field: Overseen) -> bool:
    """Rounds until all is published under the quorum; did one of them end with the injection?"""
    for _ in range(20):
        try:
            sequencer.run_once()
        except Exception as error:
            assert "injected" in str(error)
            return True
        with field.ledger.database.read() as connection:
            waiting = log.pending_links(connection)
        if not waiting and "blue" in field.signers():
            return False
    raise AssertionError("twenty rounds were not enough")


@pytest.mark.parametrize("mode", ["lost", "kept"])
@pytest.mark.parametrize("publication", ["wait", "upgrade"])
def test_under_witnesses(
    ledger: Ledger,
    world: World,
    brand: Actor,
    publication: Literal["wait", "upgrade"],
    mode: Mode,
    tried: Tried,
) -> None:
    ledger.options = replace(ledger.options, publication=publication)
    broken: Counter[str] = Counter()
    lost: list[str] = []
    with ExitStack() as stack:
        field = Overseen(ledger, stack, "blue")
        rounds(faulty(field, Breaker(None, mode), "first"), field)
        checkpoints = seen(ledger)
        for at in range(40):
            event = item_event(*range(at * 3, at * 3 + 2))
            upload = world.capture.submit_batch(brand.sealed([event])).upload_id
            ledger.clock.advance(60_000)
            breaker = Breaker(at, mode)
            failed = rounds(faulty(field, breaker, f"faulty {at}"), field)
            assert failed == breaker.broke
            if not failed:
                break
            broken[kind_of(breaker.steps[at])] += 1
            checkpoints |= seen(ledger)
            audit(ledger)
            ledger.clock.advance(60_000)
            assert not rounds(faulty(field, Breaker(None, mode), f"next {at}"), field)
            checkpoints |= seen(ledger)
            held = field.of["blue"].held
            assert held is not None
            checkpoints.add(held)
            with ledger.database.read() as connection:
                if not log.is_covered(connection, upload):
                    lost.append(f"upload {upload}")
        audit(ledger)
        lost += disagreeing(ledger.tiles, checkpoints | seen(ledger))
    assert broken["commit/log_state"] == broken["last-signed"] == 1
    assert broken["checkpoint"] >= (2 if publication == "upgrade" else 1)
    note = f"({', '.join(f'{kind} {times}' for kind, times in sorted(broken.items()))})"
    tried.row(f"write under witnesses {mode}", sum(broken.values()), lost, note)


@pytest.mark.parametrize("mode", ["lost", "kept"])
@pytest.mark.parametrize("ahead", [0, 5], ids=["forked", "behind"])
def test_evidence_against_us(
    ledger: Ledger, world: World, brand: Actor, ahead: int, mode: Mode, tried: Tried
) -> None:
    """A mirror holds another history, or a larger one than we know; its storing fails."""
    ledger.sequencer().run_once()
    with ledger.database.read() as connection:
        before = log.read_state(connection)
    assert before is not None
    size = before.size + ahead
    root = root_of([leaf_hash(b"other %d" % number) for number in range(size)])
    shown = sign_note(Checkpoint(ORIGIN, size, root).format(), [SIGNER])
    world.capture.submit_batch(brand.sealed([item_event(1)]))
    broken: list[str] = []
    with ExitStack() as stack:
        field = Overseen(ledger, stack, "blue")
        field.mirrors = [stack.enter_context(served(lambda *_: Reply(200, shown))).url]
        for at in range(20):
            ledger.clock.advance(60_000)
            breaker = Breaker(at, mode)
            with pytest.raises(Exception, match=r"injected|refusing to sign") as caught:
                faulty(field, breaker, f"faulty {at}").run_once()
            if not breaker.broke:
                assert isinstance(caught.value, SequencerRefusalError)
                break
            broken.append(breaker.steps[at])
    with ledger.database.read() as connection:
        after, kept = log.read_state(connection), forks.read_forks(connection)
        sighted = forks.read_sightings(connection)
    assert (len(kept), len(sighted)) == ((0, 1) if ahead else (1, 0))
    assert broken, "the lease, and the evidence"
    lost = [] if after == before else [f"signed {after} beside another history"]
    published = parse_note(ledger.tiles.read_checkpoint() or b"")
    assert published.text == parse_note(before.note).text
    tried.row(f"write of evidence {mode}", len(broken), lost, f"({', '.join(broken)})")
