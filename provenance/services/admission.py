"""Read an upload line by line; refuse it at the first reason, before any work it has not earned.

The order is the defence: the seal's line, its form, the log that it names, whether we know it
already, the party, its key and role now, the signature; only then the first event is looked at.
Each event in its turn: strict JSON, the event model, canonical bytes, hash. A line too many, a link
too many or an event from the future ends the reading there.

Two forms of upload come in (docs/formats.md section 4): a seal and then its events, or, when the
first line is no seal, events that each carry their own proof.

What comes out is an :class:`Upload`: everything about it is checked that can be checked without the
chains. `capture` appends it, and judges keys and roles again at the ledger time under the party's
lock: what is judged here is judged early, not finally.

An unknown party may upload one thing: its own registration, signed by the very key that it brings.
Anybody can make such a key, so these uploads, and those of parties without a role, are kept small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from merkle.tree import root_of
from provenance.crypto import integrity
from provenance.crypto.signing import PublicKey
from provenance.domain import canonical, party, seal
from provenance.domain.canonical import MAX_SEAL_BYTES, decode_base64
from provenance.domain.errors import (
    DomainError,
    ForbiddenError,
    InvalidContentError,
    MalformedInputError,
    Refusal,
    TooLargeError,
    Violation,
)
from provenance.domain.event import Event, InvalidEventError, Line, read_line
from provenance.domain.event_memory import SignedParts
from provenance.domain.moments import format_ledger_time
from provenance.domain.party import Party
from provenance.domain.proof import Proof
from provenance.domain.seal import Seal
from provenance.domain.wire import FormError
from provenance.storage import events as event_rows
from provenance.storage.parties import find_parties
from provenance.storage.session import Database
from provenance.storage.subjects import find_subjects

Clock = Callable[[], int]
P = ParamSpec("P")
T = TypeVar("T")

MAX_WITHOUT_ROLE: Final = 16
"""Events in an upload of a party that is not registered or holds no role: party events only."""

_GOOD_FOR_MS: Final = 1_000
_MOST_RECENT: Final = 4_096

MAX_SUBJECT_BYTES: Final = 2_000
"""UTF-8 bytes of a subject's URI: PostgreSQL cannot index much more (a third of a page)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload may hold. The fixed sizes of an event and a seal are docs/formats.md's."""

    max_events: int = 10_000
    max_links: int = 100_000
    clock_tolerance_ms: int = 120_000


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the signature says: party URI and multikey text."""

    party: str
    key: str


class Entry(NamedTuple):
    """One admitted event. Of the document only what appending needs is kept: memory is bounded.

    `line` counts from 1 in the upload; `leaf` from 0 among its events. `after` are the heads that
    the event demands (`prov:after`), 32 bytes each. `party_event` is a party event's document.
    """

    line: int
    leaf: int
    hash: bytes
    canonical: bytes
    subjects: tuple[str, ...]
    event_time: int
    after: tuple[bytes, ...]
    signer: Signer
    seal_hash: bytes
    party_event: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in which every line has been checked. `seal` is None when events carry proofs."""

    seal: Seal | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class KnownSeal:
    """This seal was accepted before; whatever follows it in the body is not looked at."""

    seal: Seal
    stored: event_rows.SealedUpload


@dataclass
class Admission:
    """Reads uploads for one log. One is shared by all threads of a process."""

    database: Database
    origin: str
    clock: Clock
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._recent = _Recent(self.clock)

    def forget_signers(self) -> None:
        """Some party has changed: ask anew what its keys may do."""
        self._recent = _Recent(self.clock)

    def read_batch(self, lines: Iterable[bytes]) -> Upload | KnownSeal:
        """An upload of either form. Raises a Refusal that names line, path, expected and found."""
        numbered = enumerate(lines, start=1)
        first = next(numbered, None)
        if first is None:
            raise MalformedInputError(
                "upload-truncated",
                "the upload is empty",
                expected="a seal, or an event with its own proof, on line 1",
                found="no line",
            )
        line = _on_line(1, read_line, first[1])
        if seal.is_seal(line.document):
            return self._read_sealed(first[1], line.document, numbered)
        return self._read_own_proofs(line, numbered)

    def read_event(self, body: bytes) -> Upload:
        """One event that carries its own proof."""
        return self._read_own_proofs(_on_line(1, read_line, body), iter(()))

    # -- a seal and its events ---------------------------------------------------------------------

    def _read_sealed(
        self, line: bytes, document: Any, numbered: Iterator[tuple[int, bytes]]
    ) -> Upload | KnownSeal:
        found = _on_line(1, self._admit_seal, line, document)
        if isinstance(found, KnownSeal):
            return found
        entries = tuple(self._sealed_entries(found, numbered))
        self._check_whole(found.seal, entries)
        return Upload(found.seal, entries)

    def _admit_seal(self, line: bytes, document: Any) -> _AdmittedSeal | KnownSeal:
        if len(line) > MAX_SEAL_BYTES:
            raise TooLargeError(
                "too-large",
                "the seal is too large",
                expected=f"at most {MAX_SEAL_BYTES} bytes",
                found=f"{len(line)} bytes",
            )
        read = seal.read_seal(document)
        self._check_origin(read.origin, "$.origin")
        signers = _Signers(self.database, self.clock, self._recent)
        stored = signers.find_seal(read.hash)
        if stored is not None:
            return KnownSeal(read, stored)
        if read.size > self.limits.max_events:
            raise _too_many("events", self.limits.max_events, read.size)
        signer = Signer(read.party, read.key)
        bound = signers.judge(signer)
        if bound.only_party_events and read.size > MAX_WITHOUT_ROLE:
            raise bound.refuse_more()
        _verify(read.document, read.key)
        return _AdmittedSeal(read, signer, bound)

    def _sealed_entries(
        self, admitted: _AdmittedSeal, numbered: Iterator[tuple[int, bytes]]
    ) -> Iterator[Entry]:
        read = admitted.seal
        budget = _Budget(self.limits)
        for leaf, (number, line) in enumerate(numbered):
            if leaf == read.size:
                raise MalformedInputError(
                    "upload-overlong",
                    "there are more lines than the seal has events",
                    line=number,
                    expected=f"{read.size} events after the seal",
                    found="one more line",
                    remedy="send each seal with its own events, in an upload of their own",
                )
            event = _on_line(number, self._admit_sealed_event, line, admitted, leaf)
            budget.take(number, len(event.subjects))
            yield _entry(number, leaf, event, admitted.signer, read.hash)

    def _admit_sealed_event(self, data: bytes, admitted: _AdmittedSeal, leaf: int) -> Event:
        line = read_line(data)
        document = line.document
        if isinstance(document, dict) and "proof" in document:
            # Two signatures over one event would leave open who is speaking.
            raise InvalidContentError(
                "proof-unexpected",
                "an event under a seal carries a proof of its own",
                path="$.proof",
                expected="no proof, because the seal is the signature",
                found="a proof",
                remedy="send it without a seal, or without its proof",
            )
        admitted.bound.check(document, leaf)
        return self._check_event(line)

    def _check_whole(self, read: Seal, entries: tuple[Entry, ...]) -> None:
        if len(entries) < read.size:
            raise MalformedInputError(
                "upload-truncated",
                "the upload ends before the seal's last event",
                line=len(entries) + 1,
                expected=f"{read.size} events",
                found=f"{len(entries)} events",
                remedy="send the whole upload again; nothing of it was stored",
            )
        root = root_of([entry.hash for entry in entries])
        if root != read.root:
            raise InvalidContentError(
                "seal-root-mismatch",
                "the events are not those that were sealed, or stand in another order",
                line=1,
                path="$.root",
                expected=canonical.encode_base64(read.root),
                found=canonical.encode_base64(root),
                remedy="send exactly the events that the seal was made over, in that order",
            )

    # -- events with their own proofs --------------------------------------------------------------

    def _read_own_proofs(self, first: Line, numbered: Iterator[tuple[int, bytes]]) -> Upload:
        signers = _Signers(self.database, self.clock, self._recent)
        budget = _Budget(self.limits)
        entries = [self._own_entry(1, 0, first, signers)]
        budget.take(1, len(entries[0].subjects))
        for number, data in numbered:
            if len(entries) == self.limits.max_events:
                raise _too_many("events", self.limits.max_events, len(entries) + 1)
            line = _on_line(number, read_line, data)
            entry = self._own_entry(number, len(entries), line, signers)
            budget.take(number, len(entry.subjects))
            entries.append(entry)
        return Upload(None, tuple(entries))

    def _own_entry(self, number: int, leaf: int, line: Line, signers: _Signers) -> Entry:
        event, proof = _on_line(number, self._admit_own, line, leaf, signers)
        return _entry(number, leaf, event, Signer(proof.party, proof.multikey), event.hash)

    def _admit_own(self, line: Line, leaf: int, signers: _Signers) -> tuple[Event, Proof]:
        document = line.document
        proof = _read_own_proof(document) if line.signed is None else line.signed.proof
        self._check_origin(proof.domain or "", "$.proof.domain")
        try:
            bound = signers.judge(Signer(proof.party, proof.multikey))
            bound.check(document, leaf)
        except ForbiddenError:
            # A repetition is answered with what it has, even after its key was revoked.
            known = _event_or_none(line)
            if known is None or not signers.stands_already(known):
                raise
            return known, proof
        if line.signed is None:
            _verify(document, proof.multikey)
        else:
            _verify_parts(line.signed)
        return self._check_event(line), proof

    # -- both --------------------------------------------------------------------------------------

    def _check_origin(self, found: str, path: str) -> None:
        if found != self.origin:
            raise InvalidContentError(
                "seal-foreign-log",
                "this was signed for another log",
                path=path,
                expected=self.origin,
                found=found,
                remedy="seal it again for this log",
            )

    def _check_event(self, line: Line) -> Event:
        event = line.check()
        for subject in event.subjects:
            if len(subject.encode()) > MAX_SUBJECT_BYTES or "\0" in subject:
                expected = f"identifiers of at most {MAX_SUBJECT_BYTES} bytes and without U+0000"
                raise InvalidEventError((Violation("$", expected, subject[:80]),))
        latest = self.clock() + self.limits.clock_tolerance_ms
        if event.event_time > latest * 1000:
            raise InvalidContentError(
                "event-from-the-future",
                "the event is said to have happened later than now",
                path="$.eventTime",
                expected=f"at the latest {format_ledger_time(latest)}",
                found=str(event.document["eventTime"]),
                remedy="set the clock and the time zone offset of the device that recorded it",
            )
        return event


@dataclass(frozen=True, slots=True)
class _AdmittedSeal:
    seal: Seal
    signer: Signer
    bound: _Bound


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a signer may upload now: anything, party events, or only its own registration."""

    signer: Signer
    registered: bool
    only_party_events: bool

    def check(self, document: Any, leaf: int) -> None:
        """Refuse an event that this signer may not upload, before more is done with it."""
        if not self.only_party_events:
            return
        if not self.registered and leaf == 0 and not self._registers(document):
            raise ForbiddenError(
                "party-unknown",
                "this party is not registered here",
                expected="a registered party, or a registration sealed by the key it registers",
                found=self.signer.party,
                remedy="register the party first: `provenance party register`",
            )
        if not isinstance(document, dict) or not party.is_party_event(document):
            raise self.refuse_more()
        if leaf >= MAX_WITHOUT_ROLE:
            raise self.refuse_more()

    def refuse_more(self) -> ForbiddenError:
        if not self.registered:
            return ForbiddenError(
                "party-unknown",
                "this party is not registered here",
                expected=f"a registration of at most {MAX_WITHOUT_ROLE} party events",
                found=self.signer.party,
                remedy="register the party first: `provenance party register`",
            )
        return ForbiddenError(
            "party-not-accredited",
            "this party holds no role now",
            expected=f"a role, or at most {MAX_WITHOUT_ROLE} party events",
            found=self.signer.party,
            remedy="ask the operator to accredit the party",
        )

    def _registers(self, document: Any) -> bool:
        return (
            isinstance(document, dict)
            and document.get("type") == "prov:PartyRegistered"
            and document.get("prov:party") == self.signer.party
            and document.get("prov:key") == self.signer.key
        )


class _Recent:
    """Who was found good a moment ago: phones send one event after the other under one key.

    Only a good answer is kept, and only for a second: it opens the door to the locks, under which
    everybody is judged again; a bad one would be final. Shared by the threads of a process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bounds: dict[Signer, tuple[int, _Bound]] = {}

    def find(self, signer: Signer) -> _Bound | None:
        until, bound = self._bounds.get(signer, (0, None))
        now = self._clock()
        return bound if until - _GOOD_FOR_MS <= now < until else None

    def keep(self, signer: Signer, bound: _Bound) -> None:
        if bound.only_party_events:
            return
        if len(self._bounds) >= _MOST_RECENT:
            self._bounds.clear()  # keeping an order would cost more than asking again
        self._bounds[signer] = (self._clock() + _GOOD_FOR_MS, bound)


class _Signers:
    """The signers of one upload, each looked up and judged once. Lives as long as the upload."""

    def __init__(self, database: Database, clock: Clock, recent: _Recent) -> None:
        self._database = database
        self._clock = clock
        self._recent = recent
        self._judged: dict[Signer, _Bound] = {}

    def find_seal(self, seal_hash: bytes) -> event_rows.SealedUpload | None:
        with self._database.read() as connection:
            return event_rows.find_sealed_upload(connection, seal_hash)

    def judge(self, signer: Signer) -> _Bound:
        """What this signer may upload now; raises ForbiddenError for a key not valid now."""
        bound = self._judged.get(signer) or self._recent.find(signer)
        if bound is None:
            bound = self._judge(signer)
            self._recent.keep(signer, bound)
        self._judged[signer] = bound
        return bound

    def _judge(self, signer: Signer) -> _Bound:
        with self._database.read() as connection:
            row = find_parties(connection, [signer.party]).get(signer.party)
        if row is None:
            return _Bound(signer, registered=False, only_party_events=True)
        state = Party.from_json(json.loads(row.state))
        at = max(self._clock(), row.time or 0)
        judge_signer(state, signer.key, at, row.time)
        return _Bound(signer, registered=True, only_party_events=not state.roles_at(at))

    def stands_already(self, event: Event) -> bool:
        """Does every subject's chain hold this event?"""
        with self._database.read() as connection:
            subjects = find_subjects(connection, event.subjects)
            if len(subjects) != len(event.subjects):
                return False
            wanted = [(subject.id, event.hash) for subject in subjects.values()]
            return len(event_rows.find_links(connection, wanted)) == len(wanted)


class _Budget:
    """How many links the upload may still append."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_links
        self._used = 0

    def take(self, line: int, links: int) -> None:
        self._used += links
        if self._used > self._most:
            raise _too_many("links", self._most, self._used).at_line(line)


def judge_signer(state: Party, key: str, at: int, changed_at: int | None) -> None:
    """Refuse a key that is not valid at `at`, or no longer by all that the party's chain says.

    `changed_at` is the time of the chain's newest link. The ends of a key's life are inclusive
    (domain.party), so a key revoked at t would still seal at t, for as long as our clock stands
    before or at it. Verifiers must allow that; we need not. Raises KeyRefusedError.
    """
    state.judge_key(key, at)
    if changed_at is not None and changed_at >= at:
        state.judge_key(key, changed_at + 1)


def _entry(number: int, leaf: int, event: Event, signer: Signer, seal_hash: bytes) -> Entry:
    document = event.document
    return Entry(
        line=number,
        leaf=leaf,
        hash=event.hash,
        canonical=event.canonical,
        subjects=event.subjects,
        event_time=event.event_time,
        after=_demanded_heads(document),
        signer=signer,
        seal_hash=seal_hash,
        party_event=document if party.is_party_event(document) else None,
    )


def _demanded_heads(document: Mapping[str, Any]) -> tuple[bytes, ...]:
    """`prov:after`: one link hash or a list of them (docs/formats.md section 2)."""
    value = document.get("prov:after", [])
    return tuple(decode_base64(text, 32) for text in ([value] if isinstance(value, str) else value))


def _read_own_proof(document: Any) -> Proof:
    expected = "a seal on line 1, or a proof in every event"
    try:
        proof = seal.own_proof(document) if isinstance(document, dict) else None
    except FormError as error:
        raise InvalidContentError(
            "proof-malformed",
            "the event's own proof is not of its form",
            path=f"$.{error.member}",
            expected=error.expected,
            found=error.found,
            remedy="see docs/formats.md section 4",
        ) from error
    if proof is None:
        raise InvalidContentError(
            "proof-missing",
            "nobody has signed this event",
            path="$.proof",
            expected=expected,
            found="no proof",
            remedy="seal the events, or sign this one",
        )
    return proof


def _verify(document: Mapping[str, Any], multikey: str) -> None:
    with _refused_signature(multikey):
        integrity.verify_proof(document, PublicKey.from_multikey(multikey))


def _verify_parts(signed: SignedParts) -> None:
    proof = signed.proof
    with _refused_signature(proof.multikey):
        key = PublicKey.from_multikey(proof.multikey)
        integrity.verify_parts(signed.options, signed.unsigned, proof.value, key)


@contextmanager
def _refused_signature(multikey: str) -> Iterator[None]:
    try:
        yield
    except DomainError as error:
        raise InvalidContentError(
            "seal-signature",
            "the signature does not verify",
            path="$.proof.proofValue",
            expected=f"a signature by {multikey} over exactly this document",
            found=str(error)[:200],
            remedy="sign the document as it is sent, with the key that the proof names",
        ) from error


def _event_or_none(line: Line) -> Event | None:
    try:
        return line.check()
    except DomainError:
        return None


def _too_many(what: str, most: int, found: int) -> TooLargeError:
    return TooLargeError(
        f"too-many-{what}",
        f"the upload holds too many {what}",
        expected=f"at most {most:,} {what}",
        found=f"{found:,} or more",
        remedy="split it into several, each under a seal of its own",
    )


def _on_line(number: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call, and tell a refusal on which line of the upload it happened."""
    try:
        return function(*arguments, **named)
    except Refusal as refusal:
        if refusal.line is None:
            refusal.at_line(number)
        raise
