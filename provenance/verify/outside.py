"""What a bundle brings from outside its own proofs: the policy it proposes, and anchors.

Neither decides the record (docs/formats.md section 11). A policy that is not the reader's is worth
a word, because a log that changes its witnesses or its key says so there first. An anchor is listed
if its checkpoint is one of this log, signed by it, on which the bundle's builds; whether the third
party really dated it (a time-stamp token, a transaction) is not judged here: that takes its
certificates, or its chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from merkle.checkpoint import Checkpoint
from merkle.errors import PolicyError
from merkle.errors import ProofError as ConsistencyError
from merkle.policy import Policy
from merkle.proofs import verify_consistency
from provenance.domain.passport import Anchor
from provenance.verify.forks import ForkEvidenceError, open_state
from provenance.verify.verdict import AnchorView, VerdictWarning


def differs(proposed: str, origin: str, policy: Policy) -> bool:
    """Whether the text proposes anything else for this log than the reader's `policy`.

    Compared are the log's keys, witnesses, groups and the quorum; not URLs, nor the order of lines.
    """
    try:
        return _meaning(Policy.parse(proposed), origin) != _meaning(policy, origin)
    except PolicyError:
        return True


def _meaning(policy: Policy, origin: str) -> tuple[Any, ...]:
    return (
        {log.key for log in policy.log_named(origin)},
        {(witness.name, witness.key) for witness in policy.witnesses},
        {(group.name, group.threshold, frozenset(group.members)) for group in policy.groups},
        policy.quorum,
    )


def judge_anchors(
    anchors: Sequence[Anchor], checkpoint: Checkpoint, policy: Policy
) -> tuple[tuple[AnchorView, ...], tuple[VerdictWarning, ...]]:
    """The anchors on whose checkpoints this one builds, and a warning for each other."""
    views, warnings = [], []
    for index, anchor in enumerate(anchors):
        try:
            anchored = open_state(anchor.checkpoint, checkpoint.origin, policy)
            verify_consistency(
                anchored.size, checkpoint.size, anchored.root, checkpoint.root, anchor.consistency
            )
        except (ForkEvidenceError, ConsistencyError):
            warnings.append(VerdictWarning("anchor-unusable", f"anchors[{index}]"))
        else:
            views.append(AnchorView(anchor.kind, anchored.size, anchor.time))
    return tuple(views), tuple(warnings)
