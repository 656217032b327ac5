"""Take in disclosures of concealed members: apart from the events, and only those that fit.

One line for each event, JSON:

    {"leaf": 0, "disclosures": [{"text": "<disclosure>", "audience": ["customs"]}, …]}

`text` is a disclosure as issued (RFC 9901 section 4.2), `audience` the roles that may read it, or
"public". The digest of each text must stand in that event; so whoever sends one knew it already,
and nothing can be attached that the signer did not seal. Sending the same again changes nothing;
the same member for another audience is refused: the first word stands (storage/disclosures.py).

An event that carries its own proof is its own seal (docs/formats.md section 4). The store keeps no
index by event hash, so such a line also says on which chain to look: ``"subject": "<URI>"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provenance.domain import canonical, disclosure
from provenance.domain.errors import (
    ConflictError,
    DomainError,
    InvalidContentError,
    MalformedInputError,
    NotFoundError,
    Refusal,
    TooLargeError,
)
from provenance.domain.party import ROLES
from provenance.domain.wire import FormError, read_integer, read_object, read_string
from provenance.storage import disclosures as rows
from provenance.storage import events as event_rows
from provenance.storage.disclosures import PUBLIC, DisclosureRow
from provenance.storage.session import Connection, Database
from provenance.storage.subjects import find_subjects

AUDIENCES: Final = frozenset({*ROLES, PUBLIC})


@dataclass(frozen=True, slots=True)
class Attachment:
    """How many disclosures were new, and how many were there already."""

    added: int
    known: int


@dataclass(frozen=True, slots=True)
class DisclosureLine:
    """One line: the event's place, perhaps a subject, and each text with who may read it."""

    number: int
    leaf: int
    subject: str | None
    texts: tuple[tuple[str, tuple[str, ...]], ...]


Place = tuple[int, int]
"""Upload id and leaf: where an event is stored."""


def attach(
    database: Database, seal_hash: bytes, lines: Iterable[bytes], max_lines: int = 10_000
) -> Attachment:
    """Store the disclosures of `lines` for the events under `seal_hash` (32 bytes).

    Raises, each with its line: MalformedInputError (``disclosures-malformed`` or a code of
    docs/formats.md section 1), TooLargeError (``too-many-lines``), NotFoundError (``seal-unknown``,
    ``leaf-unknown``), InvalidContentError (``disclosure-unmatched``), ConflictError
    (``disclosure-known``).
    """
    read = list(_read_lines(lines, max_lines))
    # Events never change, so whether a text fits is judged before anybody is kept waiting.
    with database.read() as connection:
        places = _place(connection, seal_hash, read)
        keys = list(dict.fromkeys(places))
        events = event_rows.read_events(connection, keys)
        stored = rows.read_disclosures(connection, keys, roles=None)
    given = _judge(read, places, events, stored)
    with database.write() as connection:
        return _store(connection, given)


def _judge(
    lines: Sequence[DisclosureLine],
    places: Sequence[Place],
    events: Mapping[Place, event_rows.EventRow],
    stored: Mapping[Place, Sequence[DisclosureRow]],
) -> list[tuple[DisclosureLine, DisclosureRow]]:
    """Every disclosure as a row, in order, once it is known to belong into its event."""
    texts = {place: [row.text for row in earlier] for place, earlier in stored.items()}
    given = []
    for line, place in zip(lines, places, strict=True):
        event = events.get(place)
        if event is None:
            raise _no_leaf(line)
        # A nested one may lean on one that came earlier.
        known = texts.setdefault(place, [])
        known += [text for text, _ in line.texts if text not in known]
        _require_fit(line, event, known)
        # Only now: a text that fits nowhere need not be ASCII, and then has no digest.
        given += [
            (line, DisclosureRow(*place, disclosure.digest(text), text, audience))
            for text, audience in line.texts
        ]
    return given


def _store(
    connection: Connection, given: Sequence[tuple[DisclosureLine, DisclosureRow]]
) -> Attachment:
    """Insert what is new; refuse another audience for what is there."""
    keys = list(dict.fromkeys((row.upload_id, row.leaf) for _, row in given))
    stored = rows.read_disclosures(connection, keys, roles=None)
    there = {(r.upload_id, r.leaf, r.digest): r for some in stored.values() for r in some}
    fresh = []
    for line, row in given:
        key = (row.upload_id, row.leaf, row.digest)
        if key not in there:
            there[key] = row
            fresh.append(row)
        elif there[key].audience != row.audience:
            raise _other_audience(line, there[key], row)
    rows.insert_disclosures(connection, fresh)
    return Attachment(len(fresh), len(given) - len(fresh))


def _read_lines(lines: Iterable[bytes], most: int) -> Iterator[DisclosureLine]:
    for number, line in enumerate(lines, start=1):
        if number > most:
            raise TooLargeError(
                "too-many-lines",
                "there are more lines than a batch can have events",
                line=number,
                expected=f"at most {most:,} lines",
                found="one more line",
                remedy="send one line for each event that has disclosures",
            )
        yield read_disclosure_line(number, line)


def read_disclosure_line(number: int, line: bytes) -> DisclosureLine:
    """The form of one line, its text not yet held against any event.

    Raises MalformedInputError (``disclosures-malformed`` or a code of docs/formats.md section 1)
    with `number`, which counts lines from 1.
    """
    try:
        members = read_object(canonical.parse(line), ("leaf", "disclosures"), ("subject",))
        return DisclosureLine(
            number,
            read_integer(members, "leaf", 0, 9_999),
            read_string(members, "subject") if "subject" in members else None,
            _read_texts(members["disclosures"]),
        )
    except FormError as error:
        raise MalformedInputError(
            "disclosures-malformed",
            "the line is not of its form",
            line=number,
            path=f"$.{error.member}" if error.member else "$",
            expected=error.expected,
            found=error.found,
            remedy='send {"leaf": i, "disclosures": [{"text": "…", "audience": ["public"]}]}',
        ) from error
    except Refusal as refusal:
        refusal.at_line(number)
        raise


def _read_texts(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, list) or not value:
        raise FormError("disclosures", "a list of at least one", value)
    return tuple(_read_disclosure(position, item) for position, item in enumerate(value))


def _read_disclosure(position: int, value: Any) -> tuple[str, tuple[str, ...]]:
    try:
        members: Mapping[str, Any] = read_object(value, ("text", "audience"))
        text, audience = read_string(members, "text"), members["audience"]
    except FormError as error:
        where = f"disclosures[{position}]" + (f".{error.member}" if error.member else "")
        raise FormError(where, error.expected, error.found) from error
    if (
        not isinstance(audience, list)
        or not audience
        or not all(isinstance(role, str) and role in AUDIENCES for role in audience)
    ):
        expected = f"a list of {', '.join(sorted(AUDIENCES))}"
        raise FormError(f"disclosures[{position}].audience", expected, audience)
    return text, tuple(sorted(set(audience)))


def _place(
    connection: Connection, seal_hash: bytes, lines: Sequence[DisclosureLine]
) -> list[Place]:
    """For each line the place of the event that it is about."""
    seal = event_rows.find_seal(connection, seal_hash)
    if seal is not None:
        return [(seal.upload_id, line.leaf) for line in lines]
    return [_place_own(connection, seal_hash, line) for line in lines]


def _place_own(connection: Connection, event_hash: bytes, line: DisclosureLine) -> Place:
    if line.subject is not None and line.leaf == 0:
        subject = find_subjects(connection, [line.subject]).get(line.subject)
        if subject is not None:
            found = event_rows.find_links(connection, [(subject.id, event_hash)])
            for link in found.values():
                return link.upload_id, link.leaf
    raise NotFoundError(
        "seal-unknown",
        "no batch was accepted under this seal",
        line=line.number,
        expected="the hash of an accepted seal, or of an event with its own proof and its subject",
        found=event_hash.hex(),
        remedy='upload the batch first; for an event with its own proof add "subject": "<URI>"',
    )


def _require_fit(line: DisclosureLine, event: event_rows.EventRow, texts: Sequence[str]) -> None:
    try:
        disclosure.apply(canonical.parse(event.canonical), texts)
    except DomainError as error:
        raise InvalidContentError(
            "disclosure-unmatched",
            "a disclosure does not belong to this event",
            line=line.number,
            path="$.disclosures",
            expected="texts whose digests stand in prov:_sd of the event, each once",
            found=str(error)[:200],
            remedy="send the disclosures as they were made when the event was sealed",
        ) from error


def _other_audience(
    line: DisclosureLine, stored: DisclosureRow, given: DisclosureRow
) -> ConflictError:
    return ConflictError(
        "disclosure-known",
        "this disclosure is there already, for another audience",
        line=line.number,
        expected=", ".join(stored.audience),
        found=", ".join(given.audience),
        remedy="leave it out: the audience that was given first stands",
    )


def _no_leaf(line: DisclosureLine) -> NotFoundError:
    return NotFoundError(
        "leaf-unknown",
        "the upload stored no event at this place",
        line=line.number,
        path="$.leaf",
        expected="the place of an event that came in with this batch",
        found=str(line.leaf),
        remedy="an event that stood on its chains before belongs to the seal it came with first",
    )
