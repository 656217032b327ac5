"""From bundle bytes to a verdict: the steps of docs/formats.md section 10, in their order.

    verdict = verify_bundle(data, Policy.parse(text), now=1_795_000_000)
    verdict.record      "verified" | "refused" | "absent" | "unusable"

The first step that fails decides reason and place. Nothing here reads a clock, a network, a file
or a database: the same bytes, policy and time give the same verdict on every machine, in Python
and in JavaScript (``static/js/verify/index.js``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from merkle.policy import Policy
from provenance.domain.passport import AbsentSubject, Passport, PassportError, read_passport
from provenance.verify.checkpoints import (
    judge_age,
    judge_map_head,
    judge_not_future,
    open_checkpoint,
)
from provenance.verify.evidence import collect_evidence
from provenance.verify.histories import verify_history
from provenance.verify.parties import judge_parties
from provenance.verify.refusal import RefusedError
from provenance.verify.signatures import verify_signatures
from provenance.verify.story import Story, tell
from provenance.verify.verdict import CHECKS, NOT_CHECKED, Check, LogView, Record, Verdict

MAX_AGE: Final = 86_400  # seconds


def verify_bundle(data: bytes, policy: Policy, *, now: int, max_age: int = MAX_AGE) -> Verdict:
    """The verdict on a passport bundle; raises nothing, whatever the bytes.

    `policy` is the reader's own (logs, witnesses, quorum), `now` POSIX seconds, `max_age` the
    greatest age of the checkpoint in seconds.
    """
    try:
        passport = read_passport(data)
    except PassportError as error:
        record: Record = "refused" if error.usable else "unusable"
        return Verdict(record, _unchecked(), reason=error.code, place=error.place)
    return _Examination(passport, policy, now, max_age).verdict()


def _unchecked() -> dict[str, Check]:
    return dict.fromkeys(CHECKS, NOT_CHECKED)


@dataclass(slots=True)
class _Examination:
    """One bundle under examination: which check is being made, and what is known so far."""

    passport: Passport
    policy: Policy
    now: int
    max_age: int
    checks: dict[str, Check] = field(default_factory=_unchecked)
    current: str = CHECKS[0]
    log: LogView | None = None

    def verdict(self) -> Verdict:
        """Examine, and turn whatever comes of it into a verdict."""
        try:
            story = self._examine()
        except RefusedError as error:
            self.checks[self.current] = "fail"
            refused = Verdict("refused", self.checks, self.passport.subject, log=self.log)
            return replace(refused, reason=error.reason, place=error.place)
        if story is None:
            return Verdict("absent", self.checks, self.passport.subject, log=self.log)
        return Verdict(
            record="verified",
            checks=self.checks,
            subject=self.passport.subject,
            log=self.log,
            stages=story.stages,
            parties=story.parties,
            independent=story.independent,
            warnings=story.warnings,
        )

    def _examine(self) -> Story | None:
        """Steps 4 to 34; None for a subject that is proved absent. Raises RefusedError."""
        published = open_checkpoint(self.passport.checkpoint, self.policy)
        self.log = published.view
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

    def _pass_on_to(self, check: str, *, is_checked: bool = True) -> None:
        """The current check is passed (or could not be made); what follows belongs to `check`."""
        self.checks[self.current] = "pass" if is_checked else NOT_CHECKED
        self.current = check
