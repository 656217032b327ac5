"""Unaltered: events, seals and links fit each other, and nothing is missing on either side.

Steps 21 to 28 of docs/formats.md section 10. An event's hash leads by its path to the root that
its seal signed, and stands in a link of each of its subjects; every link's event is here, under
the seal that the link names. Signatures are not judged yet (``verify.signatures``).

An event is read with the fewest demands that make this possible (``domain.event.read_event``), so
that an old passport never turns bad because a vocabulary grew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from merkle.errors import ProofError
from merkle.proofs import verify_inclusion
from provenance.domain import disclosure
from provenance.domain.chain import Link
from provenance.domain.disclosure import DisclosureError
from provenance.domain.event import Event, MalformedEventError, read_event
from provenance.domain.passport import BundledEvent, Passport, PresentSubject
from provenance.domain.proof import Proof
from provenance.domain.seal import Seal, own_proof
from provenance.domain.wire import FormError
from provenance.verify.refusal import RefusedError


@dataclass(frozen=True, slots=True)
class Evidence:
    """One event that fits. `index` in the bundle; `sealing` is its seal or its own proof.

    `ledger_time` (ms) is that of the first link in the bundle that carries it.
    """

    index: int
    event: Event
    sealing: Seal | Proof
    ledger_time: int

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"events[{self.index}]"

    @property
    def party(self) -> str:
        """The party that sealed it."""
        return self.sealing.party

    @property
    def key(self) -> str:
        """The multikey that sealed it."""
        return self.sealing.key if isinstance(self.sealing, Seal) else self.sealing.multikey

    @property
    def seal_hash(self) -> bytes:
        """What its links must name: an event with its own proof is its own seal."""
        return self.sealing.hash if isinstance(self.sealing, Seal) else self.event.hash


@dataclass(frozen=True, slots=True)
class Chains:
    """The bundle's events by what they hang on. `chains`: URI of a present subject → its events."""

    events: tuple[Evidence, ...]
    chains: Mapping[str, tuple[Evidence, ...]]
    newest: int


def collect_evidence(passport: Passport) -> Chains:
    """Steps 21 to 28; raises RefusedError. `newest` is the newest ledger time in any link."""
    times = _first_times(passport)
    events: list[Evidence] = []
    by_hash: dict[bytes, Evidence] = {}
    for index, member in enumerate(passport.events):
        evidence = _read(index, member, passport.seals, times, by_hash)
        events.append(evidence)
        by_hash[evidence.event.hash] = evidence
    chains = {
        subject.uri: _follow(subject, place, by_hash) for subject, place in _present(passport)
    }
    _require_on_chains(passport, events, chains)
    newest = max(link.time for subject, _ in _present(passport) for link in subject.links)
    return Chains(tuple(events), chains, newest)


def _present(passport: Passport) -> Iterator[tuple[PresentSubject, str]]:
    for index, subject in enumerate(passport.subjects):
        if isinstance(subject, PresentSubject):
            yield subject, f"subjects[{index}]"


def _first_times(passport: Passport) -> dict[bytes, int]:
    """Event hash → ledger time of the first link that carries it, in the order of the bundle."""
    times: dict[bytes, int] = {}
    for subject, _ in _present(passport):
        for link in subject.links:
            times.setdefault(link.event, link.time)
    return times


def _read(
    index: int,
    member: BundledEvent,
    seals: Sequence[Seal],
    times: Mapping[bytes, int],
    known: Mapping[bytes, Evidence],
) -> Evidence:
    """Steps 21 to 24 for one event."""
    place = f"events[{index}]"
    event, sealing = _read_event(member, seals, place)
    _verify_path(event, member, sealing, place)
    try:
        disclosure.apply(dict(event.document), member.disclosures)
    except DisclosureError as error:
        raise RefusedError("disclosure-unmatched", place) from error
    if event.hash in known or event.hash not in times:
        raise RefusedError("event-unlinked", place)
    return Evidence(index, event, sealing, times[event.hash])


def _read_event(
    member: BundledEvent, seals: Sequence[Seal], place: str
) -> tuple[Event, Seal | Proof]:
    """Step 21: the event, and what sealed it."""
    try:
        event = read_event(member.document)
        sealing = own_proof(member.document) if member.seal is None else seals[member.seal]
    except (MalformedEventError, FormError) as error:
        raise RefusedError("event-malformed", place) from error
    if sealing is None:
        raise RefusedError("event-malformed", place)
    return event, sealing


def _verify_path(event: Event, member: BundledEvent, sealing: Seal | Proof, place: str) -> None:
    """Step 22. The tree's size is the seal's word: a path of another length is another tree's."""
    if not isinstance(sealing, Seal):
        if member.leaf or member.path:
            raise RefusedError("event-altered", place)
        return
    try:
        verify_inclusion(event.hash, member.leaf, sealing.size, member.path, sealing.root)
    except ProofError as error:
        raise RefusedError("event-altered", place) from error


def _follow(
    subject: PresentSubject, place: str, by_hash: Mapping[bytes, Evidence]
) -> tuple[Evidence, ...]:
    """Steps 25 to 27 for one subject: the events of its links, in order."""
    return tuple(
        _find(link, subject.uri, f"{place}.links[{seq}]", by_hash)
        for seq, link in enumerate(subject.links)
    )


def _find(link: Link, uri: str, place: str, by_hash: Mapping[bytes, Evidence]) -> Evidence:
    evidence = by_hash.get(link.event)
    if evidence is None:
        raise RefusedError("event-missing", place)
    if link.seal != evidence.seal_hash:
        raise RefusedError("seal-mismatch", place)
    if uri not in evidence.event.subjects:
        raise RefusedError("event-not-about-subject", place)
    return evidence


def _require_on_chains(
    passport: Passport, events: Sequence[Evidence], chains: Mapping[str, Sequence[Evidence]]
) -> None:
    """Step 28: what an event says of a subject, that subject's chain says too."""
    members = {uri: {evidence.index for evidence in chain} for uri, chain in chains.items()}
    absent = {subject.uri for subject in passport.subjects if subject.uri not in chains}
    for evidence in events:
        for uri in evidence.event.subjects:
            missing = uri in members and evidence.index not in members[uri]
            if missing or uri in absent:
                raise RefusedError("event-missing-on-chain", evidence.place)
