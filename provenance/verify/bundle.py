"""From bundle bytes to a verdict: the steps of docs/formats.md section 10, in their order.

    verdict = verify_bundle(data, Policy.parse(text), now=1_795_000_000)
    verdict.record      "verified" | "refused" | "absent" | "unusable"

The first step that fails decides reason and place. Nothing here reads a clock, a network, a file
or a database: the same bytes, policy and time give the same verdict on every machine, in Python
and in JavaScript (``static/js/verify/index.js``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from merkle.checkpoint import Checkpoint
from merkle.policy import Policy
from provenance.domain.passport import AbsentSubject, Passport, PassportError, read_passport
from provenance.verify.checkpoints import (
    judge_age,
    judge_map_head,
    judge_not_future,
    read_checkpoint,
    require_quorum,
    verify_lines,
)
from provenance.verify.evidence import collect_evidence
from provenance.verify.forks import Known, refuse_forked
from provenance.verify.histories import verify_history
from provenance.verify.outside import differs, judge_anchors
from provenance.verify.parties import judge_parties
from provenance.verify.refusal import RefusedError
from provenance.verify.signatures import verify_signatures
from provenance.verify.story import Story, tell
from provenance.verify.succession import Accepted, accept_successors
from provenance.verify.verdict import (
    CHECKS,
    NOT_CHECKED,
    AnchorView,
    Check,
    LogView,
    Record,
    Verdict,
    VerdictWarning,
)

MAX_AGE: Final = 86_400  # seconds


def verify_bundle(
    data: bytes,
    policy: Policy,
    *,
    now: int,
    max_age: int = MAX_AGE,
    known: Sequence[Known] = (),
) -> Verdict:
    """The verdict on a passport bundle; raises nothing, whatever the bytes.

    `policy` is the reader's own (logs, witnesses, quorum), `now` POSIX seconds, `max_age` the
    greatest age of the checkpoint in seconds. `known` is what the reader has from elsewhere: fork
    evidence, and notes of checkpoints seen before.
    """
    try:
        passport = read_passport(data)
    except PassportError as error:
        record: Record = "refused" if error.usable else "unusable"
        return Verdict(record, _unchecked(), reason=error.code, place=error.place)
    return _Examination(passport, policy, now, max_age, tuple(known)).verdict()


def _unchecked() -> dict[str, Check]:
    return dict.fromkeys(CHECKS, NOT_CHECKED)


@dataclass(slots=True)
class _Examination:
    """One bundle under examination: which check is being made, and what is known so far."""

    passport: Passport
    policy: Policy
    now: int
    max_age: int
    known: tuple[Known, ...]
    checks: dict[str, Check] = field(default_factory=_unchecked)
    current: str = CHECKS[0]
    log: LogView | None = None
    anchors: tuple[AnchorView, ...] = ()
    warnings: tuple[VerdictWarning, ...] = ()  # about the log

    def verdict(self) -> Verdict:
        """Examine, and turn whatever comes of it into a verdict."""
        try:
            story = self._examine()
        except RefusedError as error:
            self.checks[self.current] = "fail"
            refused = Verdict("refused", self.checks, self.passport.subject, log=self.log)
            return replace(refused, reason=error.reason, place=error.place)
        absent = Verdict("absent", self.checks, self.passport.subject, log=self.log)
        absent = replace(absent, warnings=self.warnings, anchors=self.anchors)
        if story is None:
            return absent
        return replace(
            absent,
            record="verified",
            stages=story.stages,
            parties=story.parties,
            independent=story.independent,
            warnings=(*story.warnings, *self.warnings),
        )

    def _examine(self) -> Story | None:
        """Steps 4 to 34; None for a subject that is proved absent. Raises RefusedError."""
        checkpoint = read_checkpoint(self.passport.checkpoint, self.policy)
        accepted = accept_successors(self.passport.succession, checkpoint.origin, self.policy)
        published = verify_lines(self.passport.checkpoint, checkpoint, accepted.policy)
        refuse_forked(self.passport.forks, self.known, checkpoint, accepted.policy)
        require_quorum(published, self.policy)
        self.log = published.view
        self._look_outside(checkpoint, accepted)
        map_root = judge_map_head(self.passport.map_head, published.checkpoint)
        self._pass_on_to("fresh")
        self.log = judge_not_future(published, self.policy, self.now)
        judge_age(self.log, self.now, self.max_age)
        self._pass_on_to("complete", is_checked=self.log.as_of is not None)
        for index, subject in enumerate(self.passport.subjects):
            verify_history(subject, f"subjects[{index}]", map_root, published.checkpoint)
        self._pass_on_to("unaltered")
        if isinstance(self.passport.subjects[0], AbsentSubject):
            return None
        chains = collect_evidence(self.passport)
        self._pass_on_to("authentic")
        origin = published.checkpoint.origin
        verify_signatures(self.passport, chains.events, origin, chains.chains.keys())
        believed = judge_parties(self.passport, chains, origin)
        story = tell(self.passport, chains, believed)
        self.checks["authentic"] = "pass"
        return story

    def _look_outside(self, checkpoint: Checkpoint, accepted: Accepted) -> None:
        """What never decides the record: warnings about the log, and its anchors."""
        proposed = self.passport.policy
        warnings = [VerdictWarning("log-key-succeeded", place) for place in accepted.places]
        if proposed is not None and differs(proposed, checkpoint.origin, self.policy):
            warnings.append(VerdictWarning("policy-differs", "policy"))
        self.anchors, unusable = judge_anchors(self.passport.anchors, checkpoint, accepted.policy)
        self.warnings = (*warnings, *unusable)

    def _pass_on_to(self, check: str, *, is_checked: bool = True) -> None:
        """The current check is passed (or could not be made); what follows belongs to `check`."""
        self.checks[self.current] = "pass" if is_checked else NOT_CHECKED
        self.current = check
