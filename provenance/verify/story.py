"""What a verified bundle tells: the stages, who sealed them, and what a reader should be warned of.

Step 34 of docs/formats.md section 10 and section 11. By now every history in the bundle is known
to be complete and authentic; the trace (``domain.trace``) decides which of them belong to the
subject, and none that belongs may be missing: leaving a pallet out is how a passport could lie by
omission.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provenance.domain.passport import Passport
from provenance.domain.standing import Judgement, State, Statement, judge
from provenance.domain.trace import MissingSubjectError, Step, Trace, read_step, walk
from provenance.verify.evidence import Chains, Evidence
from provenance.verify.parties import Believed
from provenance.verify.refusal import RefusedError
from provenance.verify.verdict import Signer, Stage, VerdictWarning


@dataclass(frozen=True, slots=True)
class Story:
    """The parts of a verdict that only a verified record has."""

    stages: tuple[Stage, ...]
    parties: tuple[Signer, ...]
    independent: int
    warnings: tuple[VerdictWarning, ...]


def tell(passport: Passport, chains: Chains, believed: Believed) -> Story:
    """The story of the bundle's subject; raises RefusedError (``subject-missing``)."""
    judgement = judge([Statement(e.event.document, e.party) for e in chains.events])
    trace = _trace(passport, chains, judgement.states)
    stages = _stages(trace, chains, believed, judgement.states)
    return Story(
        stages=stages,
        parties=_signers(stages, believed, chains.newest),
        independent=_count_independent(stages, believed.operator),
        warnings=tuple(_warnings(trace, chains.events, believed, judgement)),
    )


def _trace(passport: Passport, chains: Chains, states: Sequence[State]) -> Trace:
    """Step 34: the walk over the bundle's own chains."""
    absent = {subject.uri for subject in passport.subjects} - chains.chains.keys()

    def step(evidence: Evidence) -> Step:
        is_believed = states[evidence.index] in ("believed", "correction")
        return read_step(evidence.event, evidence.ledger_time, believed=is_believed)

    def load(uri: str) -> Sequence[Step] | None:
        if uri in absent:
            return None
        if uri not in chains.chains:
            raise MissingSubjectError(uri)
        return [step(evidence) for evidence in chains.chains[uri]]

    try:
        return walk(passport.subject, load)
    except MissingSubjectError as error:
        raise RefusedError("subject-missing", error.uri) from error


def _stages(
    trace: Trace, chains: Chains, believed: Believed, states: Sequence[State]
) -> tuple[Stage, ...]:
    by_hash = {evidence.event.hash: evidence for evidence in chains.events}

    def stage(step: Step, via: str) -> Stage:
        evidence = by_hash[step.hash]
        party = believed.parties[evidence.party]
        return Stage(
            index=evidence.index,
            event=step.hash,
            via=via,
            party=party.uri,
            roles=party.roles_at(evidence.ledger_time),
            custody=party.keys[evidence.key].custody,
            ledger_time=evidence.ledger_time,
            standing=believed.standings[evidence.index],
            state=states[evidence.index],
        )

    return tuple(stage(step, via) for step, via in trace.story)


def _signers(stages: Iterable[Stage], believed: Believed, newest: int) -> tuple[Signer, ...]:
    """Those who sealed stages, by URI, with the roles that they hold at the newest ledger time."""
    sealed: dict[str, list[Stage]] = {}
    for stage in stages:
        sealed.setdefault(stage.party, []).append(stage)
    return tuple(
        Signer(
            uri=uri,
            name=believed.parties[uri].name,
            roles=believed.parties[uri].roles_at(newest),
            custody="platform" if any(s.custody == "platform" for s in own) else "party",
            stages=len(own),
        )
        for uri, own in sorted(sealed.items())
    )


def _count_independent(stages: Iterable[Stage], operator: str) -> int:
    """Parties, the operator apart, that hold a believed stage under a key of their own."""
    return len(
        {
            stage.party
            for stage in stages
            if stage.is_believed and stage.custody == "party" and stage.party != operator
        }
    )


def _warnings(
    trace: Trace, events: Sequence[Evidence], believed: Believed, judgement: Judgement
) -> Iterable[VerdictWarning]:
    for evidence in events:
        if believed.standings[evidence.index] == "doubtful":
            yield VerdictWarning("key-doubtful", evidence.place)
    for index in judgement.foreign:
        yield VerdictWarning("declaration-foreign", events[index].place)
    for uri in trace.absent:
        yield VerdictWarning("subject-without-history", uri)
    if trace.limit is not None:
        yield VerdictWarning("trace-limit", trace.limit)
