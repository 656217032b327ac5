"""Published and fresh: the checkpoint, who cosigned it and when, and the map head under it.

Steps 4 to 11 of docs/formats.md section 10 (5a and 5b: ``verify.succession``; 6a:
``verify.forks``). What comes out is one trusted hash, the map root, and the log's root; everything
after this hangs on these two.

The policy is the reader's own and pinned; nothing of it is taken from the bundle. Times come from
cosignatures only, so that a log without a witness has no age, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.cosignature import decode_cosignature
from merkle.errors import CheckpointError, NoteError, NoteSignatureError, NoteUnverifiedError
from merkle.errors import ProofError as InclusionError
from merkle.hashing import leaf_hash
from merkle.note import OpenedNote, open_note, parse_note
from merkle.policy import Policy
from merkle.proofs import verify_inclusion
from provenance.crypto.mldsa import is_available, verify_mldsa
from provenance.crypto.signing import verify_ed25519
from provenance.domain.ledger import MalformedMapHeadError, parse_map_head
from provenance.domain.passport import MapHeadProof
from provenance.verify.refusal import RefusedError
from provenance.verify.verdict import LogView

CLOCK_SKEW: Final = 300  # seconds by which a cosigner's clock may be ahead of the reader's


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that the policy accepts. `times`: policy name of a witness → POSIX seconds."""

    checkpoint: Checkpoint
    times: dict[str, int]

    @property
    def view(self) -> LogView:
        """What the verdict says about the log, its age not yet judged."""
        cosigners = tuple(
            sorted(self.times, key=lambda name: name.encode("utf-8", "surrogateescape"))
        )
        return LogView(self.checkpoint.origin, self.checkpoint.size, None, cosigners)


def read_checkpoint(note: str, policy: Policy) -> Checkpoint:
    """Steps 4 and 5: a note whose text is a checkpoint of a log in the policy."""
    try:
        checkpoint = parse_checkpoint(parse_note(note.encode("utf-8")).text)
    except (NoteError, CheckpointError) as error:
        raise RefusedError("checkpoint-malformed", "checkpoint") from error
    if not policy.log_named(checkpoint.origin):
        raise RefusedError("log-unknown", "checkpoint")
    return checkpoint


def verify_lines(note: str, checkpoint: Checkpoint, policy: Policy) -> Published:
    """Step 6. A note that the log did not sign is refused, however many witnesses did.

    Lines of post-quantum keys are judged where the library can, else passed over like those of
    unknown keys.
    """
    mldsa = verify_mldsa if is_available() else None
    log_verifiers = policy.log_verifiers(checkpoint.origin, verify_ed25519, mldsa)
    log_keys = {(verifier.name, verifier.key_id) for verifier in log_verifiers}
    # By name and id: a post-quantum log key may also stand as a witness's.
    verifiers = {
        (verifier.name, verifier.key_id): verifier
        for verifier in (*policy.witness_verifiers(verify_ed25519, mldsa), *log_verifiers)
    }
    try:
        opened = open_note(note.encode("utf-8"), verifiers.values())
    except (NoteSignatureError, NoteUnverifiedError) as error:
        raise RefusedError("checkpoint-signature", "checkpoint") from error
    if not any((line.name, line.key_id) in log_keys for line in opened.verified):
        raise RefusedError("checkpoint-signature", "checkpoint")
    return Published(checkpoint, _cosignature_times(opened, policy))


def require_quorum(published: Published, policy: Policy) -> None:
    """Step 7: cosigned by enough."""
    if not policy.is_satisfied(published.times.keys()):
        raise RefusedError("quorum-missing", "checkpoint")


def _cosignature_times(opened: OpenedNote, policy: Policy) -> dict[str, int]:
    """The latest time of each witness with a good line."""
    times: dict[str, int] = {}
    for line in opened.verified:
        witness = policy.witness_of(line)
        if witness is not None:
            seconds = decode_cosignature(line.signature).seconds
            times[witness.name] = max(seconds, times.get(witness.name, 0))
    return times


def judge_map_head(member: MapHeadProof, checkpoint: Checkpoint) -> bytes:
    """Steps 8 and 9: the map root (32 bytes), shown to be committed to by the log's last entry."""
    try:
        head = parse_map_head(member.entry)
    except MalformedMapHeadError as error:
        raise RefusedError("map-head-malformed", "mapHead") from error
    if head.index != checkpoint.size - 1:
        raise RefusedError("map-head-malformed", "mapHead")
    entry = leaf_hash(member.entry.encode("ascii"))
    try:
        verify_inclusion(entry, head.index, checkpoint.size, member.proof, checkpoint.root)
    except InclusionError as error:
        raise RefusedError("map-head-inclusion", "mapHead") from error
    return head.root


def judge_not_future(published: Published, policy: Policy, now: int) -> LogView:
    """Step 10: the log's view with its as-of time; None under a quorum of ``none``."""
    as_of = policy.latest_time(published.times)
    if as_of is not None and as_of > now + CLOCK_SKEW:
        raise RefusedError("checkpoint-future", "checkpoint")
    return replace(published.view, as_of=as_of)


def judge_age(view: LogView, now: int, max_age: int) -> None:
    """Step 11: not older than `max_age` seconds at `now`."""
    if view.as_of is not None and now - view.as_of > max_age:
        raise RefusedError("checkpoint-stale", "checkpoint")
