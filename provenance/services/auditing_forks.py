"""Two checkpoints of one log held against each other: one continues the other, or the log forked.

Whatever the log's key signed must be a state of one growing tree. A pair that cannot be becomes
evidence (`domain.fork`) that convinces anybody who has the log's key, without us and without the
log: it is verified here as a stranger would, and kept as a file.

Who signed besides, and how old a checkpoint is, plays no part.
"""

from __future__ import annotations

from pathlib import Path

from merkle.checkpoint import Checkpoint
from merkle.hashing import EMPTY_ROOT
from merkle.policy import Policy
from merkle.proofs import prove_consistency
from merkle.tree import HashReader, root_at
from provenance.domain.fork import ForkEvidence
from provenance.services.checking_log import DifferenceError
from provenance.storage.audit_state import AuditDirectory
from provenance.verify.forks import ForkEvidenceError, open_state, verify_fork

__all__ = [
    "ForkEvidenceError",
    "ForkFoundError",
    "SignedLieError",
    "State",
    "keep_evidence",
    "open_signed",
    "require_continuing",
]


class SignedLieError(DifferenceError):
    """What the log's key signed cannot be: it stays so, whatever is served later."""


class ForkFoundError(SignedLieError):
    """The log's key signed two states that cannot both be; the evidence is at `path`."""

    def __init__(self, place: str, one: Checkpoint, other: Checkpoint, path: Path) -> None:
        super().__init__("fork", place, _in_words(one), f"{_in_words(other)}; evidence in {path}")
        self.path = path


class State:
    """A signed state of the log: the note's text and its checkpoint."""

    def __init__(self, note: str, checkpoint: Checkpoint) -> None:
        self.note = note
        self.checkpoint = checkpoint


def open_signed(note: bytes, origin: str, policy: Policy) -> State:
    """The state of a note that the log's own key signed; raises ForkEvidenceError otherwise."""
    text = note.decode("utf-8", "surrogateescape")
    return State(text, open_state(text, origin, policy))


def require_continuing(
    directory: AuditDirectory,
    policy: Policy,
    older: State,
    newer: State,
    reader: HashReader | None,
    place: str,
) -> None:
    """Nothing if `newer` (not smaller) continues `older`; else keep evidence, ForkFoundError.

    A log without entries has one root only. Another one is a SignedLieError without evidence: no
    proof leads from size 0, so the form has no place for it.

    `reader` is the tree of `newer`, not asked between equal sizes. `place` is where the one of the
    two that was not known yet was seen.
    """
    one, other = older.checkpoint, newer.checkpoint
    if one.size == 0:
        for checkpoint in (one, other):
            _require_empty_root(checkpoint, place)
        return
    if one.size == other.size:
        if one.root == other.root:
            return
        evidence = ForkEvidence(one.origin, older.note, newer.note)
    else:
        assert reader is not None  # noqa: S101 -- only equal sizes go without
        root = root_at(one.size, reader)
        if root == one.root:
            return
        proof = tuple(prove_consistency(one.size, other.size, reader))
        evidence = ForkEvidence(one.origin, older.note, newer.note, root, proof)
    raise ForkFoundError(place, one, other, keep_evidence(directory, policy, evidence))


def _require_empty_root(checkpoint: Checkpoint, place: str) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise SignedLieError("root of no entries", place, EMPTY_ROOT.hex(), checkpoint.root.hex())


def keep_evidence(directory: AuditDirectory, policy: Policy, evidence: ForkEvidence) -> Path:
    """Where it is kept, if it is one; raises ForkEvidenceError otherwise."""
    verify_fork(evidence, policy)
    return directory.write_fork(evidence.hash.hex(), evidence.encode())


def _in_words(checkpoint: Checkpoint) -> str:
    return f"size {checkpoint.size} with root {checkpoint.root.hex()}"
