"""From EPCIS documents to sealed batches: what a partner does before it uploads.

Each event of a document becomes one that stands alone (own ``@context``, ``eventID``,
``prov:nonce``), members that the partner conceals are replaced by digests, and one signature seals
up to 10,000 events. The result is the very body of ``POST /api/v1/batches`` (docs/formats.md
section 4): a file that can be kept, sent again and compared. Disclosures travel in a file of their
own, never in the upload.

All or nothing: everything is judged before anything is written. An event that every platform would
refuse, a member to conceal that no event has (a misspelt path would publish what was meant to be
hidden) and a reader that nobody can be are refused here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merkle.tree import root_of
from provenance.client.errors import EventRefusedError, SealingError
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical, disclosure
from provenance.domain.disclosure import ConcealmentError
from provenance.domain.documents import standalone_events
from provenance.domain.errors import Refusal
from provenance.domain.event import Event, parse_event
from provenance.domain.moments import format_seconds
from provenance.domain.party_events import ROLES
from provenance.domain.seal import new_seal, parse_seal

MAX_EVENTS = 10_000
AUDIENCES = frozenset({*ROLES, "public"})
Random = Callable[[int], bytes]
Disclosed = tuple[tuple[str, tuple[str, ...]], ...]
"""Of one event: the text of each disclosure and the roles that may read it."""


@dataclass(frozen=True, slots=True)
class Concealment:
    """Which member to conceal (JSON path) and which roles, or ``public``, may be shown it."""

    path: str
    audience: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who seals: a party's URI and one of its keys, for one log."""

    origin: str
    party: str
    key: PrivateKey

    @property
    def method(self) -> str:
        """The verification method of its proofs: party, ``#``, multikey."""
        return f"{self.party}#{self.key.public.multikey}"


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """One upload. `disclosures[i]` belongs to event i; most are empty."""

    seal: bytes
    seal_hash: bytes
    events: tuple[bytes, ...]
    event_hashes: tuple[bytes, ...]
    disclosures: tuple[Disclosed, ...] = ()

    def lines(self) -> Iterator[bytes]:
        """Seal, then events, each without its newline."""
        yield self.seal
        yield from self.events

    def disclosure_lines(self) -> list[dict[str, Any]]:
        """The body of the disclosures' upload, one entry an event that has any."""
        return [
            {"leaf": leaf, "disclosures": [{"text": t, "audience": list(a)} for t, a in texts]}
            for leaf, texts in enumerate(self.disclosures)
            if texts
        ]


def prepare(document: dict[str, Any], *, random: Random) -> list[dict[str, Any]]:
    """The document's events, each able to stand alone; see `documents.standalone_events`."""
    return standalone_events(document, random=random)


def seal_events(
    events: Iterable[dict[str, Any]],
    signer: Signer,
    *,
    now: int,
    random: Random,
    conceal: Sequence[Concealment] = (),
    most: int = MAX_EVENTS,
) -> list[SealedBatch]:
    """Seals events in batches of at most `most`; `now` is POSIX seconds.

    Raises SealingError where there is nothing to seal or a concealment fits nowhere, and
    EventRefusedError for the first event that breaks the event model: nothing that the platform
    would refuse leaves this machine.
    """
    _require_audiences(conceal)
    finished = []
    unused = {rule.path for rule in conceal}
    for position, event in enumerate(events, start=1):
        wanted = [rule for rule in conceal if holds(event, rule.path)]
        unused -= {rule.path for rule in wanted}
        finished.append(_finish(position, event, wanted, random))
    if not finished:
        raise SealingError("there is no event to seal")
    if unused:
        raise SealingError(
            f"no event has a member at {', '.join(sorted(unused))}: it was to be concealed, so "
            "nothing was sealed; paths are written $.a[0].b or $.a['ex:b']"
        )
    batches = [finished[start : start + most] for start in range(0, len(finished), most)]
    return [_seal(batch, signer, now=now, random=random) for batch in batches]


def _require_audiences(rules: Iterable[Concealment]) -> None:
    for rule in rules:
        if unknown := set(rule.audience) - AUDIENCES:
            raise SealingError(
                f"{rule.path} is to be shown to {', '.join(sorted(unknown))}; "
                f"expected one or more of {', '.join(sorted(AUDIENCES))}"
            )


def _finish(
    position: int, event: dict[str, Any], rules: Sequence[Concealment], random: Random
) -> tuple[Event, Disclosed]:
    try:
        concealed, texts = disclosure.conceal(event, [rule.path for rule in rules], random)
        audiences = [rule.audience for rule in rules]
        finished = parse_event(canonical.encode(concealed))
    except Refusal as refusal:
        raise EventRefusedError(position, str(event.get("eventID")), refusal) from refusal
    return finished, tuple(zip(texts, audiences, strict=True))


def holds(event: dict[str, Any], path: str) -> bool:
    """Whether the event has a member at this path: a rule may be meant for some of many events."""
    try:
        steps = disclosure.parse_path(path)
    except ConcealmentError as error:
        raise SealingError(str(error)) from error
    value: Any = event
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _seal(
    batch: Sequence[tuple[Event, Disclosed]],
    signer: Signer,
    *,
    now: int,
    random: Random,
) -> SealedBatch:
    hashes = tuple(event.hash for event, _ in batch)
    created = format_seconds(now)
    unsigned = new_seal(
        origin=signer.origin,
        party=signer.party,
        root=root_of(hashes),
        size=len(batch),
        created=created,
        nonce=random(16),
    )
    signed = add_proof(unsigned, signer.key, signer.method, created)
    seal = parse_seal(canonical.encode(signed))
    return SealedBatch(
        seal.canonical,
        seal.hash,
        tuple(event.canonical for event, _ in batch),
        hashes,
        tuple(texts for _, texts in batch),
    )


def sign_event(event: dict[str, Any], signer: Signer, *, now: int) -> bytes:
    """Canonical bytes of one event with its own proof, bound to the signer's log by `domain`."""
    signed = add_proof(event, signer.key, signer.method, format_seconds(now), domain=signer.origin)
    return parse_event(canonical.encode(signed)).canonical


def write_batch(batch: SealedBatch, path: Path) -> None:
    """Writes the upload, and beside it ``<name>.disclosures`` where anything was concealed.

    The upload gets its name last: whoever finds it finds its disclosures too, and a crash leaves
    nothing that could be taken for a whole upload. Disclosures are readable by the owner alone.
    """
    secret = disclosures_path(path)
    lines = batch.disclosure_lines()
    if lines:
        _write(secret, [canonical.encode(line) for line in lines], 0o600)
    else:
        secret.unlink(missing_ok=True)  # of an earlier seal under this name
    _write(path, batch.lines(), 0o644)


def _write(path: Path, lines: Iterable[bytes], mode: int) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def disclosures_path(path: Path) -> Path:
    """Where the disclosures of an upload file are kept."""
    return path.with_name(path.name + ".disclosures")
