"""Authentic, second half: who the parties are, by their own chains, and who could sign when.

Steps 32 and 33 of docs/formats.md section 10. The operator's chain is replayed first, since it
accredits the others; then each other party's, in the order of the bundle, by the same function
that admitted the events (``domain.party.apply_event``). With all histories known, every event's
key and role are judged at its ledger time. A key that was revoked later as compromised leaves its
events standing but *doubtful*: they are shown as such, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provenance.crypto.signing import verify_ed25519
from provenance.domain.party import (
    KeyRefusedError,
    Party,
    PartyRuleError,
    Standing,
    apply_event,
    is_party_event,
    operator_uri,
)
from provenance.domain.passport import Passport, PresentSubject
from provenance.verify.evidence import Chains, Evidence
from provenance.verify.refusal import RefusedError


@dataclass(frozen=True, slots=True)
class Believed:
    """The parties by URI, and how each event of the bundle stands, by its index."""

    parties: Mapping[str, Party]
    standings: Sequence[Standing]
    operator: str


def judge_parties(passport: Passport, chains: Chains, origin: str) -> Believed:
    """Steps 32 and 33; raises RefusedError."""
    operator = operator_uri(origin)
    parties = _replay_all(passport, chains, origin)
    standings = []
    for evidence in chains.events:
        party = parties.get(evidence.party)
        if party is None:
            raise RefusedError("key-unknown", evidence.place)
        try:
            standings.append(party.judge_key(evidence.key, evidence.ledger_time))
        except KeyRefusedError as error:
            raise RefusedError(error.code, evidence.place) from error
        if not is_party_event(evidence.event.document):
            _require_role(party, evidence)
    return Believed(parties, standings, operator)


def _require_role(party: Party, evidence: Evidence) -> None:
    if not party.roles_at(evidence.ledger_time):
        raise RefusedError("party-not-accredited", evidence.place)


def _replay_all(passport: Passport, chains: Chains, origin: str) -> dict[str, Party]:
    """Step 32: all parties, the operator first."""
    operator_name = operator_uri(origin)
    places = {
        subject.uri: index
        for index, subject in enumerate(passport.subjects)
        if isinstance(subject, PresentSubject) and _is_party(chains.chains[subject.uri])
    }
    if operator_name not in places:
        raise RefusedError("party-missing", operator_name)
    links = {index: _times(passport, index) for index in places.values()}
    operator = _replay(
        chains.chains[operator_name], places[operator_name], links, origin, operator=None
    )
    parties = {operator_name: operator}
    for uri, index in places.items():
        if uri != operator_name:
            parties[uri] = _replay(chains.chains[uri], index, links, origin, operator=operator)
    return parties


def _is_party(chain: Sequence[Evidence]) -> bool:
    return any(is_party_event(evidence.event.document) for evidence in chain)


def _times(passport: Passport, index: int) -> list[int]:
    subject = passport.subjects[index]
    return [link.time for link in subject.links] if isinstance(subject, PresentSubject) else []


def _replay(
    chain: Sequence[Evidence],
    index: int,
    times: Mapping[int, Sequence[int]],
    origin: str,
    *,
    operator: Party | None,
) -> Party:
    """One party from the party events on its chain; other events on it are passed over.

    A party event takes effect once. A log that links one again would bring back an accreditation
    that was withdrawn, under the operator's old signature.
    """
    party: Party | None = None
    seen: set[int] = set()
    for seq, evidence in enumerate(chain):
        if not is_party_event(evidence.event.document):
            continue
        place = f"subjects[{index}].links[{seq}]"
        if evidence.index in seen:
            raise RefusedError("party-history", place)
        seen.add(evidence.index)
        try:
            party = apply_event(
                party,
                evidence.event.document,
                signer=evidence.party,
                key=evidence.key,
                at=times[index][seq],
                seq=seq,
                origin=origin,
                operator=operator,
                verify=verify_ed25519,
            )
        except KeyRefusedError as error:
            raise RefusedError(error.code, place) from error
        except PartyRuleError as error:
            raise RefusedError("party-history", place) from error
    assert party is not None  # noqa: S101 -- only chains with a party event are replayed
    return party
