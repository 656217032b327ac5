"""A policy read as a person must: whom it knows, what is enough, and what that cannot show.

    describe(policy)                what a reader who pins it relies on, with warnings
    examine(note, policy, …)        one checkpoint under it: who cosigned, when, is it enough

A policy is right or wrong only for somebody's purpose; the warnings say what an honest-looking one
leaves open. The one that matters most: a quorum which the operator reaches alone, with cosigners of
its own name, lets it show two readers two histories.

Own: a cosigner whose key's name is the log's origin, or lies below it (``<origin>/clock``), or
whose key is the log's own under another name.
Whether another name is another hand is nothing that a file can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from merkle.note import KIND_COSIGNATURE, KIND_ED25519, KIND_MLDSA, VerifierKey
from merkle.policy import Policy
from provenance.verify.checkpoints import (
    judge_age,
    judge_not_future,
    read_checkpoint,
    require_quorum,
    verify_lines,
)
from provenance.verify.refusal import RefusedError
from provenance.verify.verdict import VerdictWarning

KINDS = {KIND_ED25519: "Ed25519", KIND_COSIGNATURE: "Ed25519", KIND_MLDSA: "ML-DSA-44"}

POLICY_WARNINGS: Mapping[str, str] = {
    "no-log": "it knows no log: every passport is refused",
    "no-quorum": "no cosignature is asked for: a checkpoint has no age, and the operator may show "
    "two readers two histories",
    "operator-alone": "the operator's own cosigners are enough: it may show two readers two "
    "histories, or leave events out, and nobody would be missing",
    "one-outside": "one cosigner beside the operator's own is enough: the two of them together "
    "may show two readers two histories",
    "not-counted": "its cosignature changes nothing: no way to the quorum leads over it",
    "key-passing-on": "two Ed25519 keys of one log: one is being passed on to the other",
    "post-quantum-only": "a log known by its ML-DSA-44 key alone: many phones cannot verify it",
}


@dataclass(frozen=True, slots=True)
class Examination:
    """One checkpoint under a policy.

    `times`: policy name of each witness with a good line → POSIX seconds; `as_of` the time that the
    quorum vouches for, None where it is not reached or not asked for. `reason` is a code of
    docs/formats.md section 10, None if all is well.
    """

    origin: str
    size: int
    root: bytes
    times: Mapping[str, int]
    as_of: int | None
    reason: str | None


def describe(policy: Policy) -> list[VerdictWarning]:
    """The warnings, `place` naming the log or witness that each is about (or ``quorum``)."""
    return [*_log_warnings(policy), *_quorum_warnings(policy), *_unused(policy)]


def own_cosigners(policy: Policy) -> set[str]:
    """The policy's names of witnesses that say they are the operator's, or bear a log's key."""
    return {
        witness.name
        for witness in policy.witnesses
        if any(
            _is_below(witness.key.name, log.origin) or witness.key.public_key == log.key.public_key
            for log in policy.logs
        )
    }


def _is_below(name: str, origin: str) -> bool:
    return name == origin or name.startswith(f"{origin}/")


def _log_warnings(policy: Policy) -> Iterator[VerdictWarning]:
    if not policy.logs:
        yield VerdictWarning("no-log", "quorum")
    for origin in dict.fromkeys(log.origin for log in policy.logs):
        kinds = [log.key.kind for log in policy.log_named(origin)]
        if kinds.count(KIND_ED25519) > 1:
            yield VerdictWarning("key-passing-on", origin)
        if KIND_ED25519 not in kinds:
            yield VerdictWarning("post-quantum-only", origin)


def _quorum_warnings(policy: Policy) -> Iterator[VerdictWarning]:
    own = own_cosigners(policy)
    if policy.quorum is None:
        yield VerdictWarning("no-quorum", "quorum")
    elif policy.is_satisfied(own):
        yield VerdictWarning("operator-alone", "quorum")
    elif any(policy.is_satisfied(own | {witness.name}) for witness in policy.witnesses):
        yield VerdictWarning("one-outside", "quorum")


def _unused(policy: Policy) -> Iterator[VerdictWarning]:
    """Witnesses that no way to the quorum leads over: thresholds only ever ask for more members."""
    if policy.quorum is None:
        return
    counted, groups = {policy.quorum}, {group.name: group for group in policy.groups}
    pending = [policy.quorum]
    while pending:
        group = groups.get(pending.pop())
        if group is not None:
            counted.update(group.members)
            pending += group.members
    for witness in policy.witnesses:
        if witness.name not in counted:
            yield VerdictWarning("not-counted", witness.name)


def examine(note: str, policy: Policy, *, now: int, max_age: int) -> Examination:
    """Steps 4 to 7, 10 and 11 of docs/formats.md section 10 on one signed note.

    Raises RefusedError where nothing can be said of it (no checkpoint, no log of the policy, a
    signature that is missing or bad); that too few cosigned, or that it is old, is an answer.
    """
    checkpoint = read_checkpoint(note, policy)
    published = verify_lines(note, checkpoint, policy)
    as_of, reason = policy.latest_time(published.times), None
    try:
        require_quorum(published, policy)
        judge_age(judge_not_future(published, policy, now), now, max_age)
    except RefusedError as error:
        reason = error.reason
    return Examination(
        checkpoint.origin, checkpoint.size, checkpoint.root, published.times, as_of, reason
    )


def kind_of(key: VerifierKey) -> str:
    """The name of a key's algorithm."""
    return KINDS[key.kind]
