"""A checkpoint under our key that somebody else holds: does our log continue it?

Wherever it comes from (a witness, a mirror, a reader who uploads it), it is compared with what this
log signed, read from the database at that moment:

    consistent    our tree of that size has that root: nothing is kept
    conflicting   it has another root: the log key signed two histories. The pair is kept as
                  evidence (domain.fork), for ever, and goes into every passport
    ahead         it is larger than anything this log remembers to have signed: the database came
                  back from an old backup, or a copy signs elsewhere. It is kept as a sighting

Either of the last two stops the sequencer (:func:`require_whole`, asked in every transaction that
signs or publishes) and the acceptance of uploads. A sighting stops them until the log has caught
up; then it is compared again (:meth:`ForkWatch.settle`). Evidence stops them for good.

Only the log's own Ed25519 lines are looked at and kept: anybody may add other lines to a note, and
evidence must have one spelling. Who has no key of ours can store nothing here.

Sources: docs/formats.md section 8; RFC 9162 section 2.1.4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import CheckpointError, NoteError, NoteSignatureError, NoteUnverifiedError
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.note import Note, Verifier, open_note
from merkle.proofs import prove_consistency
from merkle.tiles import TileHashReader
from merkle.tree import root_at
from provenance.domain.errors import (
    InvalidContentError,
    MalformedInputError,
    Refusal,
    UnavailableError,
)
from provenance.domain.fork import ForkEvidence, parse_fork
from provenance.domain.passport import MAX_FORKS
from provenance.services.recovery import SequencerRefusalError
from provenance.storage import forks as rows
from provenance.storage import log
from provenance.storage.errors import StorageError
from provenance.storage.log import LogState, Publication
from provenance.storage.session import Connection, Database
from provenance.storage.tiles import TileStore, read_tile

_logger = logging.getLogger(__name__)

_SUCCEED = (
    "Nothing can undo this. Keep the evidence public (`provenance fork show`), find out who used "
    "the key, and begin a new log under another origin whose key the old one names as its "
    "successor. Readers see every passport of this log in red"
)
_CATCH_UP = (
    "The database came back from an old backup, or a copy of this log signs elsewhere. Restore the "
    "newest backup, or replay the write-ahead log, until the log reaches that size; stop any copy. "
    "It signs again when it has caught up (docs/restore.md)"
)


class LogForkedError(SequencerRefusalError):
    """The log key signed two histories; nothing is signed or published any more."""


class LogBehindError(SequencerRefusalError):
    """Somebody holds a checkpoint of ours that our database does not know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a checkpoint. `is_new`: it was stored just now; `signed`: our own size.

    `evidence` stands only where it conflicts.
    """

    relation: Literal["consistent", "conflicting", "ahead"]
    checkpoint: Checkpoint
    signed: int
    is_new: bool = False
    evidence: ForkEvidence | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """A checkpoint and its note with the log's good lines alone."""

    checkpoint: Checkpoint
    note: bytes


def require_whole(connection: Connection, signed: int) -> None:
    """Raise LogForkedError or LogBehindError if this log, signed up to `signed`, may not go on."""
    evidence = rows.read_forks(connection, 1)
    if evidence:
        raise LogForkedError(
            f"the key of this log signed two histories (evidence {evidence[0].hash.hex()})",
            f"one of them was shown by {evidence[0].source}",
            _SUCCEED,
        )
    seen = rows.largest_sighting(connection)
    if seen is not None and seen.size > signed:
        raise behind(seen.source, seen.size, signed)


def behind(source: str, size: int, signed: int) -> LogBehindError:
    """The error for a log that is smaller than what `source` holds of it."""
    return LogBehindError(
        f"{source} holds size {size} of this log",
        f"the database's signed state (log_state) says size {signed}",
        _CATCH_UP,
    )


def require_accepting(connection: Connection) -> None:
    """Raise UnavailableError where an upload that is accepted would never be published."""
    if rows.is_untroubled(connection):
        return  # every upload asks; only where something is wrong is it read what
    state = log.read_state(connection)
    try:
        require_whole(connection, 0 if state is None else state.size)
    except LogForkedError as error:
        raise UnavailableError(
            "log-forked",
            f"this log has stopped: {error.one}, but {error.other}",
            remedy="nothing was stored; keep the upload until the operator says where to send it",
        ) from error
    except LogBehindError as error:
        raise UnavailableError(
            "log-behind",
            f"this log has stopped: {error.one}, but {error.other}",
            remedy="nothing was stored; send it again when the operator has caught up",
        ) from error


class ForkWatch:
    """Judges checkpoints of this log that others hold. Safe to share by threads."""

    def __init__(
        self,
        database: Database,
        tiles: TileStore,
        verifiers: Sequence[Verifier],
        origin: str,
        clock: Callable[[], int],
    ) -> None:
        """`verifiers` are those of the log's Ed25519 keys; `clock` gives milliseconds."""
        self._database = database
        self._tiles = tiles
        self._verifiers = tuple(verifiers)
        self._origin = origin
        self._clock = clock

    def receive(self, note: bytes, source: str) -> Finding:
        """Compare a signed note with this log, and keep what speaks against it.

        `source` says for people who holds it. Raises MalformedInputError
        (`checkpoint-malformed`), InvalidContentError (`checkpoint-foreign`,
        `checkpoint-signature`), UnavailableError (`not-published-yet`: ask again); errors of the
        stores pass.
        """
        claim = self._read(note)
        with self._database.read() as connection:
            state, publication = log.read_state(connection), log.read_publication(connection)
        signed = 0 if state is None else state.size
        if claim.checkpoint.size > signed:
            return self._keep_sighting(claim, source, signed)
        evidence = self._compare(claim, state, publication)
        if evidence is None:
            return Finding("consistent", claim.checkpoint, signed)
        return self._keep_evidence(evidence, claim.checkpoint, source, signed)

    def settle(self) -> None:
        """Compare again what was ahead of this log when it was seen and is so no more.

        What cannot be compared is passed over with a warning: signed by a key that has retired
        since (it was compared while both keys signed, or no checkpoint could have been made), or of
        a size within the batch that is about to be published, which is compared next time.
        """
        with self._database.read() as connection:
            state = log.read_state(connection)
            seen = rows.read_sightings(connection)
        for sighting in seen:
            if state is not None and sighting.size <= state.size:
                self._settle(sighting)

    def _settle(self, sighting: rows.Sighting) -> None:
        try:
            self.receive(sighting.note, sighting.source)
        except StorageError:
            raise
        except Refusal as error:
            _logger.warning(
                "what %s showed of size %d is not compared: %s",
                sighting.source,
                sighting.size,
                error,
            )

    def evidence(self, most: int = MAX_FORKS) -> list[ForkEvidence]:
        """The stored evidence, the oldest first."""
        with self._database.read() as connection:
            return [parse_fork(row.evidence) for row in rows.read_forks(connection, most)]

    def describe(self) -> list[dict[str, Any]]:
        """All that is stored against this log, for people: evidence, then sightings."""
        with self._database.read() as connection:
            found: list[dict[str, Any]] = [
                {
                    "hash": row.hash.hex(),
                    "source": row.source,
                    "foundAt": row.found_at,
                    "evidence": parse_fork(row.evidence).to_json(),
                }
                for row in rows.read_forks(connection)
            ]
            seen = rows.read_sightings(connection)
            state = log.read_state(connection)
        signed = 0 if state is None else state.size
        return found + [
            {"size": one.size, "signed": signed, "source": one.source, "foundAt": one.found_at}
            for one in seen
            if one.size > signed
        ]

    def count(self) -> int:
        """How many proofs of a fork are stored."""
        with self._database.read() as connection:
            return rows.count_forks(connection)

    def _read(self, note: bytes) -> _Claim:
        try:
            opened = open_note(note, self._verifiers)
            checkpoint = parse_checkpoint(opened.text)
        except (NoteError, CheckpointError) as error:
            raise MalformedInputError(
                "checkpoint-malformed",
                f"This is no signed checkpoint: {error}",
                remedy="Send the note byte for byte as it was served.",
            ) from error
        except (NoteSignatureError, NoteUnverifiedError) as error:
            raise InvalidContentError(
                "checkpoint-signature",
                f"This log did not sign it: {error}",
                expected=f"a good line of the log {self._origin}",
                found="none",
            ) from error
        if checkpoint.origin != self._origin:
            raise InvalidContentError(
                "checkpoint-foreign",
                "This is a checkpoint of another log.",
                expected=self._origin,
                found=checkpoint.origin,
            )
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise MalformedInputError(
                "checkpoint-malformed",
                "No tree of size 0 has this root.",
                expected=EMPTY_ROOT.hex(),
                found=checkpoint.root.hex(),
            )
        # While the log's key passes on there are two, and readers who pinned either.
        lines = {line.key_id: line for line in opened.verified}
        return _Claim(
            checkpoint, Note(opened.text, tuple(lines[key] for key in sorted(lines))).format()
        )

    def _compare(
        self, claim: _Claim, state: LogState | None, publication: Publication | None
    ) -> ForkEvidence | None:
        """Evidence if the claim, not larger than what we signed, is not of our history."""
        size = claim.checkpoint.size
        if size == 0 or state is None:
            return None
        if size == state.size:
            return self._compare_same_size(claim, self._read(state.note))
        if publication is None or size > publication.size:
            # The batch in between is signed and its tiles are being written. We never signed a
            # checkpoint of this size, but that can be proved only when they are there.
            raise UnavailableError(
                "not-published-yet",
                f"the log is about to publish size {state.size}; size {size} can be compared then",
                remedy="send it again in a second",
            )
        ours = self._read(publication.note)
        if size == publication.size:
            return self._compare_same_size(claim, ours)
        reader = TileHashReader(lambda path: read_tile(self._tiles, path), publication.size)
        root = root_at(size, reader)
        if root == claim.checkpoint.root:
            return None
        proof = prove_consistency(size, publication.size, reader)
        return ForkEvidence(
            self._origin, claim.note.decode(), ours.note.decode(), root, tuple(proof)
        )

    def _compare_same_size(self, claim: _Claim, ours: _Claim) -> ForkEvidence | None:
        if claim.checkpoint.root == ours.checkpoint.root:
            return None
        return ForkEvidence(self._origin, claim.note.decode(), ours.note.decode())

    def _keep_sighting(self, claim: _Claim, source: str, signed: int) -> Finding:
        """Ahead of us; and evidence at once if it conflicts with another one of the same size."""
        checkpoint = claim.checkpoint
        with self._database.read() as connection:
            seen = rows.read_sightings(connection)
        for other in seen:
            if other.size == checkpoint.size:
                evidence = self._compare_same_size(self._read(other.note), claim)
                if evidence is not None:
                    return self._keep_evidence(evidence, checkpoint, source, signed)
        sighting = rows.Sighting(checkpoint.size, claim.note, source, self._clock())
        with self._database.write() as connection:
            is_new = rows.add_sighting(connection, leaf_hash(claim.note), sighting)
        _logger.error(
            "%s holds size %d of this log, which has signed %d", source, checkpoint.size, signed
        )
        return Finding("ahead", checkpoint, signed, is_new)

    def _keep_evidence(
        self, evidence: ForkEvidence, checkpoint: Checkpoint, source: str, signed: int
    ) -> Finding:
        row = rows.StoredFork(evidence.hash, evidence.encode(), source, self._clock())
        with self._database.write() as connection:
            is_new = rows.add_fork(connection, row)
        _logger.error(
            "this log has FORKED: %s holds another history of it at size %d (evidence %s)",
            source,
            checkpoint.size,
            evidence.hash.hex(),
        )
        return Finding("conflicting", checkpoint, signed, is_new, evidence)
