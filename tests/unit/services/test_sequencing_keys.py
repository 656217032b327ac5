"""Checkpoints under more than one key of the log: while one passes to the next, and beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from merkle.errors import NoteUnverifiedError
from merkle.note import Ed25519Verifier, open_note, parse_note
from merkle.policy import Log, Policy, Witness
from provenance.crypto.signing import NoteSigner, verify_ed25519
from provenance.services.recovery import SequencerRefusalError
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger

NEXT = NoteSigner(ORIGIN, make_key("the next log key"))


def policy(*signers: NoteSigner) -> Policy:
    logs = tuple(Log(signer.vkey) for signer in signers)
    return Policy(logs=logs, witnesses=(Witness("clock", COSIGNER.vkey),), quorum="clock")


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock)


def lines(note: bytes | None, signer: NoteSigner) -> int:
    """Good lines under the key; each checked, none passed over."""
    assert note is not None
    try:
        opened = open_note(note, [Ed25519Verifier(signer.vkey, verify_ed25519)])
    except NoteUnverifiedError:
        return 0
    return len(opened.verified)


def test_every_checkpoint_bears_a_line_by_each_signer(ledger: Ledger) -> None:
    sequencer = ledger.sequencer(signers=(SIGNER, NEXT), policy=policy(SIGNER, NEXT))
    assert sequencer.start()
    ledger.accept("urn:x:1")
    published = sequencer.run_once()
    assert published is not None
    for note in (published.note, ledger.tiles.read_checkpoint(), ledger.last_signed.read()):
        assert [lines(note, signer) for signer in (SIGNER, NEXT)] == [1, 1]


def test_a_signer_that_joins_signs_what_is_published_at_once_and_only_once(ledger: Ledger) -> None:
    before = ledger.sequencer()
    assert before.start()
    ledger.accept("urn:x:1")
    old = before.run_once()
    assert old is not None
    assert lines(old.note, NEXT) == 0
    before.release()
    joined = ledger.sequencer(signers=(SIGNER, NEXT), policy=policy(SIGNER, NEXT))
    assert joined.start()
    note = ledger.tiles.read_checkpoint()
    assert note is not None
    assert parse_note(note).text == parse_note(old.note).text
    assert [lines(note, signer) for signer in (SIGNER, NEXT)] == [1, 1]
    joined.release()
    again = ledger.sequencer(signers=(SIGNER, NEXT), policy=policy(SIGNER, NEXT))
    assert again.start()
    assert ledger.tiles.read_checkpoint() == note


def test_the_old_key_retires_and_the_log_goes_on_under_the_new_one(ledger: Ledger) -> None:
    overlap = ledger.sequencer(signers=(SIGNER, NEXT), policy=policy(SIGNER, NEXT))
    assert overlap.start()
    ledger.accept("urn:x:1")
    overlap.run_once()
    overlap.release()
    retired = ledger.sequencer(signers=(NEXT,), policy=policy(NEXT))
    assert retired.start()
    ledger.accept("urn:x:2")
    published = retired.run_once()
    assert published is not None
    assert [lines(published.note, signer) for signer in (SIGNER, NEXT)] == [0, 1]


def test_no_signer_may_be_missing_in_the_policy(ledger: Ledger) -> None:
    with pytest.raises(SequencerRefusalError, match=NEXT.key_id.hex()):
        ledger.sequencer(signers=(SIGNER, NEXT), policy=policy(SIGNER))
