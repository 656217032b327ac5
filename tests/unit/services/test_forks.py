"""Checkpoints of our log that others hold: compared, kept as evidence or sighting, settled."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from merkle.checkpoint import Checkpoint
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.note import Note, parse_note, sign_note
from merkle.tiles import TileHashReader
from merkle.tree import root_at, root_of
from provenance.crypto.signing import NoteSigner, note_verifier
from provenance.domain.errors import InvalidContentError, MalformedInputError, UnavailableError
from provenance.domain.fork import parse_fork
from provenance.services.forks import (
    ForkWatch,
    LogBehindError,
    LogForkedError,
    require_accepting,
    require_whole,
)
from provenance.storage import forks, log, tables
from provenance.storage.errors import StorageError
from provenance.storage.session import Database
from provenance.storage.tiles import TileMissingError, read_tile
from provenance.verify.forks import verify_fork
from tests.support.builders import ORIGIN, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger, make_policy


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    """A published log of 300 entries and a few, in three batches."""
    made = Ledger(database, tmp_path, clock)
    sequencer = made.sequencer()
    sequencer.start()
    for names in (range(5), range(290), range(3)):
        made.accept(*map(str, names))
        assert sequencer.run_once() is not None
    return made


@pytest.fixture
def watch(ledger: Ledger) -> ForkWatch:
    return make_watch(ledger)


def make_watch(ledger: Ledger) -> ForkWatch:
    verifiers = [note_verifier(SIGNER.vkey)]
    return ForkWatch(ledger.database, ledger.tiles, verifiers, ORIGIN, ledger.clock)


def size(ledger: Ledger) -> int:
    with ledger.database.read() as connection:
        state = log.read_state(connection)
    assert state is not None
    return state.size


def our_root(ledger: Ledger, at: int) -> bytes:
    reader = TileHashReader(lambda path: read_tile(ledger.tiles, path), size(ledger))
    return root_at(at, reader)


def sign(at: int, root: bytes, origin: str = ORIGIN) -> bytes:
    signer = NoteSigner(origin, SIGNER.key)
    return sign_note(Checkpoint(origin, at, root).format(), [signer])


def other(at: int, label: bytes = b"other") -> bytes:
    return sign(at, root_of([leaf_hash(label + b" %d" % n) for n in range(at)]))


def stored(ledger: Ledger) -> list[forks.StoredFork]:
    with ledger.database.read() as connection:
        return forks.read_forks(connection)


def sightings(ledger: Ledger) -> list[forks.Sighting]:
    with ledger.database.read() as connection:
        return forks.read_sightings(connection)


def require(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        require_whole(connection, size(ledger))


# --- consistent -----------------------------------------------------------------------------------


def test_every_size_of_our_own_tree_is_consistent_and_kept_nowhere(
    ledger: Ledger, watch: ForkWatch
) -> None:
    """Sizes between those that we published too: a checkpoint of ours needs a reason to accuse."""
    for at in (*range(20), 254, 255, 256, 257, *range(295, size(ledger) + 1)):
        root = our_root(ledger, at) if at else EMPTY_ROOT
        finding = watch.receive(sign(at, root), "a reader")
        assert (finding.relation, finding.checkpoint.size) == ("consistent", at)
        assert finding.signed == size(ledger)
    assert stored(ledger) == []
    assert sightings(ledger) == []
    require(ledger)


def test_the_published_note_with_all_its_lines_is_consistent(
    ledger: Ledger, watch: ForkWatch
) -> None:
    note = ledger.tiles.read_checkpoint()
    assert note is not None
    assert watch.receive(note, "a reader").relation == "consistent"


# --- conflicting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 7, 255, 256, 257, 299, "all"])
def test_another_history_of_each_size_becomes_evidence(
    ledger: Ledger, watch: ForkWatch, at: int | str
) -> None:
    number = size(ledger) if at == "all" else int(at)
    finding = watch.receive(other(number), "witness blue")
    assert (finding.relation, finding.is_new) == ("conflicting", True)
    (row,) = stored(ledger)
    evidence = parse_fork(row.evidence)
    assert evidence == finding.evidence
    assert row.hash == evidence.hash
    assert (row.source, row.found_at) == ("witness blue", ledger.clock())
    verify_fork(evidence, make_policy())
    assert (evidence.root is None) == (at == "all")
    with pytest.raises(LogForkedError, match=row.hash.hex()):
        require(ledger)


def test_evidence_is_kept_once_however_the_note_was_dressed(
    ledger: Ledger, watch: ForkWatch
) -> None:
    """Lines of others, in any order, make no other evidence; nor does who brings it."""
    note = parse_note(other(7))
    stranger = NoteSigner("stranger.example", make_key("stranger"))
    extra = parse_note(sign_note(note.text, [stranger])).signatures
    clock = COSIGNER.cosign(note.text.encode(), 1)
    first = watch.receive(note.format(), "a reader")
    for lines in ((*note.signatures, clock), (*extra, *note.signatures), note.signatures * 2):
        again = watch.receive(Note(note.text, lines).format(), "another reader")
        assert again.evidence == first.evidence
        assert not again.is_new
    assert [row.source for row in stored(ledger)] == ["a reader"]


def test_two_kinds_of_evidence_are_both_kept_the_oldest_first(
    ledger: Ledger, watch: ForkWatch
) -> None:
    hashes = []
    for at in (9, 3, 200):
        finding = watch.receive(other(at), "a reader")
        assert finding.evidence is not None
        hashes.append(finding.evidence.hash)
    assert [one.hash for one in watch.evidence()] == hashes
    assert watch.count() == 3
    assert [one.hash for one in watch.evidence(2)] == hashes[:2]
    assert [one["hash"] for one in watch.describe()] == [one.hex() for one in hashes]


def test_a_stolen_key_fills_no_table(
    ledger: Ledger, watch: ForkWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for n in range(forks.MOST_KEPT + 3):
        finding = watch.receive(other(2, b"%d" % n), "a reader")
        assert finding.is_new == (n < forks.MOST_KEPT)
        assert finding.evidence is not None
    assert watch.count() == forks.MOST_KEPT


def test_evidence_can_be_neither_changed_nor_deleted(ledger: Ledger, watch: ForkWatch) -> None:
    watch.receive(other(7), "a reader")
    with (
        pytest.raises((DBAPIError, StorageError), match="append-only"),
        ledger.database.write() as connection,
    ):
        connection.execute(delete(tables.forks))
    assert len(stored(ledger)) == 1


# --- ahead ----------------------------------------------------------------------------------------


def test_a_larger_one_is_a_sighting_until_the_log_has_caught_up(
    ledger: Ledger, watch: ForkWatch
) -> None:
    """As after a restore: what was seen of the lost part is compared when it is there again."""
    now, after = size(ledger), size(ledger) + 4
    finding = watch.receive(other(after), "witness blue")
    assert (finding.relation, finding.is_new, finding.signed) == ("ahead", True, now)
    assert not watch.receive(other(after), "witness blue").is_new
    with pytest.raises(LogBehindError, match=f"witness blue holds size {after}"):
        require(ledger)
    assert [one["size"] for one in watch.describe()] == [after]
    assert stored(ledger) == []
    # Grown meanwhile to another tree of that size: now it is evidence.
    _grow_without_looking(ledger, after)
    watch.settle()
    (row,) = stored(ledger)
    verify_fork(parse_fork(row.evidence), make_policy())
    assert watch.describe()[0]["source"] == "witness blue"


def _grow_without_looking(ledger: Ledger, wanted: int) -> None:
    """What a restore of a newer backup does: the sighting is not in it."""
    with ledger.database.read() as connection:
        kept = connection.execute(select(tables.sightings)).mappings().all()
    with ledger.database.write() as connection:
        connection.execute(delete(tables.sightings))
    ledger.clock.advance(60_000)
    ledger.accept(*(f"late {n}" for n in range(wanted - size(ledger) - 1)))
    assert ledger.sequencer(holder="restored").run_once() is not None
    assert size(ledger) == wanted
    with ledger.database.write() as connection:
        for row in kept:
            connection.execute(tables.sightings.insert().values(**row))


def test_a_sighting_of_what_the_log_becomes_is_settled(ledger: Ledger, watch: ForkWatch) -> None:
    wanted = size(ledger) + 4
    _grow_without_looking(ledger, wanted)
    real = sign(wanted, our_root(ledger, wanted))
    with ledger.database.write() as connection:
        forks.add_sighting(
            connection, leaf_hash(real), forks.Sighting(wanted, real, "witness blue", 1)
        )
    watch.settle()
    assert stored(ledger) == []
    assert watch.describe() == []
    require(ledger)


def test_a_sighting_under_a_key_that_has_retired_holds_nobody_up(
    ledger: Ledger, watch: ForkWatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = size(ledger) + 4
    real = sign(wanted, bytes(32))
    with ledger.database.write() as connection:
        forks.add_sighting(
            connection, leaf_hash(real), forks.Sighting(wanted, real, "witness blue", 1)
        )
    _grow_without_looking(ledger, wanted)
    successor = NoteSigner(ORIGIN, make_key("the next key of the log"))
    later = ForkWatch(
        ledger.database, ledger.tiles, [note_verifier(successor.vkey)], ORIGIN, ledger.clock
    )
    later.settle()
    assert f"witness blue showed of size {wanted} is not compared" in caplog.text
    require(ledger)
    watch.settle()  # the key that signed it is still known here
    assert [one.source for one in stored(ledger)] == ["witness blue"]


def test_two_larger_ones_that_disagree_are_evidence_at_once(
    ledger: Ledger, watch: ForkWatch
) -> None:
    at = size(ledger) + 10
    assert watch.receive(other(at), "a").relation == "ahead"
    finding = watch.receive(other(at, b"third"), "b")
    assert finding.relation == "conflicting"
    (row,) = stored(ledger)
    verify_fork(parse_fork(row.evidence), make_policy())


def test_before_the_first_checkpoint_all_is_ahead(
    database: Database, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = Ledger(database, tmp_path, clock)
    watch = make_watch(ledger)
    assert watch.receive(sign(0, EMPTY_ROOT), "a reader").relation == "consistent"
    assert watch.receive(other(1), "a reader").relation == "ahead"
    with pytest.raises(LogBehindError):
        ledger.sequencer().run_once()
    assert ledger.tiles.read_checkpoint() is None


# --- neither --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "code", "kind"),
    [
        (b"", "checkpoint-malformed", MalformedInputError),
        (b"\xff", "checkpoint-malformed", MalformedInputError),
        (b"no note", "checkpoint-malformed", MalformedInputError),
        (sign_note("words\n", [SIGNER]), "checkpoint-malformed", MalformedInputError),
        (sign(0, b"r" * 32), "checkpoint-malformed", MalformedInputError),
        (
            sign_note(Checkpoint(ORIGIN, 1, b"r" * 32).format() + "extension\n", [SIGNER]),
            "checkpoint-malformed",
            MalformedInputError,
        ),
        (other(7).replace(b"\n7\n", b"\n8\n"), "checkpoint-signature", InvalidContentError),
        (
            sign_note(
                Checkpoint(ORIGIN, 1, b"r" * 32).format(), [NoteSigner(ORIGIN, make_key("x"))]
            ),
            "checkpoint-signature",
            InvalidContentError,
        ),
        (
            sign_note(Checkpoint("other.example/log", 1, b"r" * 32).format(), [SIGNER]),
            "checkpoint-foreign",
            InvalidContentError,
        ),
        (sign(1, b"r" * 32, "other.example/log"), "checkpoint-signature", InvalidContentError),
    ],
)
def test_what_the_log_did_not_sign_changes_nothing(
    ledger: Ledger, watch: ForkWatch, note: bytes, code: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        watch.receive(note, "a reader")
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert stored(ledger) == []
    assert sightings(ledger) == []


def test_a_size_that_is_being_published_is_compared_a_moment_later(
    ledger: Ledger, watch: ForkWatch
) -> None:
    before = size(ledger)
    ledger.clock.advance(60_000)
    ledger.accept("a", "b", "c")
    sequencer = ledger.sequencer(holder="dies", cosigners=())
    with pytest.raises(Exception, match="is not published"):
        sequencer.run_once()
    assert size(ledger) == before + 4
    with pytest.raises(UnavailableError, match="can be compared then"):
        watch.receive(other(before + 2), "a reader")
    assert watch.receive(other(before + 4), "a reader").relation == "conflicting"


def test_a_store_that_lacks_a_tile_is_no_verdict(ledger: Ledger, watch: ForkWatch) -> None:
    (ledger.root / "log" / "tile" / "0" / "000").unlink()
    with pytest.raises(TileMissingError):
        watch.receive(other(7), "a reader")
    assert stored(ledger) == []


# --- uploads --------------------------------------------------------------------------------------


def test_a_log_that_has_stopped_accepts_nothing(ledger: Ledger, watch: ForkWatch) -> None:
    def accepting() -> None:
        with ledger.database.write() as connection:
            require_accepting(connection)

    accepting()
    watch.receive(other(size(ledger) + 5), "a reader")
    with pytest.raises(UnavailableError) as behind:
        accepting()
    assert behind.value.code == "log-behind"
    watch.receive(other(7), "a reader")
    with pytest.raises(UnavailableError) as forked:
        accepting()
    assert forked.value.code == "log-forked"
