"""Does this evidence show that a log of the policy has forked?

Two states that the log signed and that cannot both be: docs/formats.md section 8 has the form,
section 10 (step 6a) says when a verifier asks. What counts is the log's own Ed25519 line on each
note; who cosigned either says nothing about the fork and is not looked at.

Evidence that proves nothing is an error to :func:`verify_fork` and nothing to a verdict: anybody
may make such a thing up, and it must not turn a reader red.

A reader may also bring a checkpoint that it, or somebody it trusts, has seen before (`Known`): one
of the same size and another root is as good as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import CheckpointError, NoteError, NoteSignatureError, NoteUnverifiedError
from merkle.errors import ProofError as ConsistencyError
from merkle.note import open_note
from merkle.policy import Policy
from merkle.proofs import verify_consistency
from provenance.crypto.signing import verify_ed25519
from provenance.domain import canonical
from provenance.domain.canonical import Base64Error, MalformedJsonError
from provenance.domain.errors import DomainError
from provenance.domain.fork import ForkEvidence, MalformedForkError, read_fork
from provenance.domain.wire import FormError
from provenance.verify.refusal import RefusedError

MAX_KNOWN_BYTES = 1_048_576

Known = ForkEvidence | str
"""What a reader brings itself: evidence, or the note of a checkpoint that was seen before."""


class ForkEvidenceError(DomainError):
    """The evidence does not show that a log of this policy forked; the message says why not."""


def verify_fork(evidence: ForkEvidence, policy: Policy) -> None:
    """Nothing if both states are the log's and conflict; raises ForkEvidenceError otherwise."""
    first = open_state(evidence.first, evidence.origin, policy)
    second = open_state(evidence.second, evidence.origin, policy)
    if not 0 < first.size <= second.size:
        raise ForkEvidenceError(
            f"expected sizes above 0 in rising order, found {first.size} and {second.size}"
        )
    if first.size == second.size:
        _require_two_roots(evidence, first, second)
    else:
        _require_other_beginning(evidence, first, second)


def open_state(note: str, origin: str, policy: Policy) -> Checkpoint:
    """The checkpoint of a note that the log `origin` signed; raises ForkEvidenceError.

    Every Ed25519 line under a key of that log must be good and there must be one.
    """
    data = note.encode("utf-8", "surrogatepass")
    try:
        opened = open_note(data, policy.log_verifiers(origin, verify_ed25519))
        checkpoint = parse_checkpoint(opened.text)
    except (NoteError, CheckpointError, NoteSignatureError, NoteUnverifiedError) as error:
        raise ForkEvidenceError(f"not a checkpoint signed by {origin}: {error}") from error
    if checkpoint.origin != origin:
        raise ForkEvidenceError(f"expected the origin {origin}, found {checkpoint.origin}")
    return checkpoint


def _require_two_roots(evidence: ForkEvidence, first: Checkpoint, second: Checkpoint) -> None:
    if evidence.root is not None or evidence.proof:
        raise ForkEvidenceError("between equal sizes nothing is proved: root null, proof empty")
    if first.root == second.root:
        raise ForkEvidenceError(f"both have the same root at size {first.size}")


def _require_other_beginning(evidence: ForkEvidence, first: Checkpoint, second: Checkpoint) -> None:
    """The second's tree begins with `root`, which is not what the log signed at that size."""
    if evidence.root is None:
        raise ForkEvidenceError("between different sizes the root of the beginning is needed")
    try:
        verify_consistency(first.size, second.size, evidence.root, second.root, evidence.proof)
    except ConsistencyError as error:
        raise ForkEvidenceError(str(error)) from error
    if evidence.root == first.root:
        raise ForkEvidenceError("the second state continues the first")


def parse_known(data: bytes) -> tuple[Known, ...]:
    """What a reader's file holds: a signed note, evidence, or a JSON list of both.

    Raises MalformedForkError; a note is not looked into.
    """
    if data.lstrip()[:1] not in (b"{", b"["):
        return (_read_note(data),)
    try:
        value = canonical.parse(data, max_bytes=MAX_KNOWN_BYTES)
        items = value if isinstance(value, list) else [value]
        return tuple(item if isinstance(item, str) else read_fork(item) for item in items)
    except (MalformedJsonError, FormError, Base64Error) as error:
        raise MalformedForkError(f"known states of a log: {error}") from error


def _read_note(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedForkError(f"a signed note is UTF-8; byte {error.start} is not") from error


def refuse_forked(
    told: Sequence[ForkEvidence], known: Sequence[Known], checkpoint: Checkpoint, policy: Policy
) -> None:
    """Step 6a: RefusedError if anything shows that the log of `checkpoint` has forked.

    `told` stands in the bundle, `known` is the reader's own. `checkpoint` is known to be signed by
    the log.
    """
    places: list[tuple[str, Known]] = [(f"forks[{i}]", item) for i, item in enumerate(told)]
    places += [(f"known[{i}]", item) for i, item in enumerate(known)]
    for place, item in places:
        if _shows_fork(item, checkpoint, policy):
            raise RefusedError("log-forked", place)


def _shows_fork(item: Known, checkpoint: Checkpoint, policy: Policy) -> bool:
    try:
        if isinstance(item, str):
            seen = open_state(item, checkpoint.origin, policy)
            return seen.size == checkpoint.size and seen.root != checkpoint.root
        verify_fork(item, policy)
    except ForkEvidenceError:
        return False
    return item.origin == checkpoint.origin
