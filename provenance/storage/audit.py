"""Everything that is stored, in streams for an audit: each table once, in the order that joins it.

Used by `provenance fsck` inside one snapshot; a stream that is left early is to be closed before
it. Memory stays bounded however large the tables are; the database sorts where an order has no
index, which costs it disk and the audit nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, and_, func, select

from provenance.storage.tables import (
    disclosures,
    events,
    links,
    map_leaves,
    map_pages,
    parties,
    seals,
    subjects,
    uploads,
)

T = TypeVar("T")

_FETCH = 2_000  # rows brought into memory at a time


@dataclass(frozen=True, slots=True)
class SequencedLink:
    """A link that has a log index. `seq` and `event_hash` are the columns beside its bytes."""

    index: int
    canonical: bytes


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A subject with one of its links; a subject without links comes once, its link fields None."""

    subject_id: int
    uri: str
    key: bytes
    count: int
    head: bytes | None
    time: int | None
    seq: int | None
    event_hash: bytes | None
    canonical: bytes | None


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload with its seal; the seal fields are None when its events carry their own proofs."""

    id: int
    accepted_at: int
    links: int
    entries: bytes | None
    first_index: int | None
    seal_id: int | None
    found_seal_id: int | None
    seal_hash: bytes | None
    seal: bytes | None
    size: int | None
    leaves: bytes | None
    party: str | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event; `party` is the URI that its row points at, None if that party is missing."""

    upload_id: int
    leaf: int
    hash: bytes
    canonical: bytes
    party: str | None
    event_time: int


@dataclass(frozen=True, slots=True)
class UploadLink:
    """A link as part of its upload."""

    upload_id: int
    leaf: int
    ordinal: int
    uri: str
    canonical: bytes


@dataclass(frozen=True, slots=True)
class MapLeafRow:
    """A stored leaf of the published map."""

    key: bytes
    count: int
    head: bytes
    root: bytes
    head_index: int
    edge: bytes
    size: int


@dataclass(frozen=True, slots=True)
class MapPageRow:
    """A page of the map as stored."""

    place: int
    leaves: bytes
    hash: bytes
    size: int


@dataclass(frozen=True, slots=True)
class PartyChainRow:
    """A party's stored state with one event of its chain."""

    uri: str
    state: str
    seq: int
    link: bytes
    event: bytes
    seal: bytes | None


@dataclass(frozen=True, slots=True)
class StoredDisclosure:
    """A disclosure and the event that it belongs to, None if there is none."""

    upload_id: int
    leaf: int
    digest: str
    text: str
    event: bytes | None


def stream_log(connection: Connection) -> Generator[SequencedLink, None, None]:
    """Every sequenced link, by log index."""
    index = uploads.c.first_index + links.c.ordinal
    query = (
        select(index, links.c.bytes)
        .join(links, links.c.upload_id == uploads.c.id)
        .where(uploads.c.first_index.is_not(None))
        .order_by(uploads.c.first_index, links.c.ordinal)
    )
    return _stream(connection, query, SequencedLink)


def stream_chains(connection: Connection) -> Generator[ChainRow, None, None]:
    """Every subject with every link, by subject and seq."""
    query = (
        select(
            subjects.c.id,
            subjects.c.uri,
            subjects.c.key,
            subjects.c["count"],
            subjects.c.head,
            subjects.c.time,
            links.c.seq,
            links.c.event_hash,
            links.c.bytes,
        )
        .outerjoin(links, links.c.subject_id == subjects.c.id)
        .order_by(subjects.c.id, links.c.seq)
    )
    return _stream(connection, query, ChainRow)


def find_broken_file(connection: Connection) -> str | None:
    """What SQLite itself finds wrong with its file, or None.

    None on PostgreSQL, whose own means (checksums, amcheck) are its administrator's. Our queries
    look at rows; an index that none of them happens to use may be broken all the same, and would
    mislead the next query that uses it.
    """
    if connection.dialect.name != "sqlite":
        return None
    answer = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return None if answer == "ok" else answer


def count_orphans(connection: Connection) -> tuple[int, int]:
    """How many links belong to no subject or to no upload, and how many events to no upload."""
    lost_links = (
        select(func.count())
        .select_from(links)
        .outerjoin(subjects, subjects.c.id == links.c.subject_id)
        .outerjoin(uploads, uploads.c.id == links.c.upload_id)
        .where(subjects.c.id.is_(None) | uploads.c.id.is_(None))
    )
    lost_events = (
        select(func.count())
        .select_from(events)
        .outerjoin(uploads, uploads.c.id == events.c.upload_id)
        .where(uploads.c.id.is_(None))
    )
    return connection.scalar(lost_links) or 0, connection.scalar(lost_events) or 0


def stream_uploads(connection: Connection) -> Generator[UploadRow, None, None]:
    """Every upload with its seal, by id."""
    query = (
        select(
            uploads.c.id,
            uploads.c.accepted_at,
            uploads.c.links,
            uploads.c.entries,
            uploads.c.first_index,
            uploads.c.seal_id,
            seals.c.id,
            seals.c.hash,
            seals.c.bytes,
            seals.c.size,
            seals.c.leaves,
            parties.c.uri,
        )
        .outerjoin(seals, seals.c.upload_id == uploads.c.id)
        .outerjoin(parties, parties.c.id == seals.c.party_id)
        .order_by(uploads.c.id)
    )
    return _stream(connection, query, UploadRow)


def stream_events(connection: Connection) -> Generator[StoredEvent, None, None]:
    """Every event, by upload and leaf."""
    query = (
        select(
            events.c.upload_id,
            events.c.leaf,
            events.c.hash,
            events.c.bytes,
            parties.c.uri,
            events.c.event_time,
        )
        .outerjoin(parties, parties.c.id == events.c.party_id)
        .order_by(events.c.upload_id, events.c.leaf)
    )
    return _stream(connection, query, StoredEvent)


def stream_upload_links(connection: Connection) -> Generator[UploadLink, None, None]:
    """Every link, by upload and ordinal."""
    query = (
        select(links.c.upload_id, links.c.leaf, links.c.ordinal, subjects.c.uri, links.c.bytes)
        .join(subjects, subjects.c.id == links.c.subject_id)
        .order_by(links.c.upload_id, links.c.ordinal)
    )
    return _stream(connection, query, UploadLink)


def stream_map_leaves(connection: Connection) -> Generator[MapLeafRow, None, None]:
    """Every stored leaf of the map, by key."""
    columns = map_leaves.c
    query = select(
        columns.key,
        columns["count"],
        columns.head,
        columns.root,
        columns.head_index,
        columns.edge,
        columns.size,
    ).order_by(columns.key)
    return _stream(connection, query, MapLeafRow)


def stream_map_pages(connection: Connection) -> Generator[MapPageRow, None, None]:
    """Every stored page of the map, by place."""
    columns = map_pages.c
    query = select(columns.id, columns.leaves, columns.hash, columns.size).order_by(columns.id)
    return _stream(connection, query, MapPageRow)


def stream_party_chains(connection: Connection, first: str) -> Generator[PartyChainRow, None, None]:
    """Every party's chain, by party and seq; the party `first` before all others."""
    query = (
        select(
            parties.c.uri,
            parties.c.state,
            links.c.seq,
            links.c.bytes,
            events.c.bytes,
            seals.c.bytes,
        )
        .join(links, links.c.subject_id == parties.c.subject_id)
        .join(
            events,
            and_(events.c.upload_id == links.c.upload_id, events.c.leaf == links.c.leaf),
        )
        .outerjoin(seals, seals.c.upload_id == links.c.upload_id)
        .order_by(parties.c.uri != first, parties.c.uri, links.c.seq)
    )
    return _stream(connection, query, PartyChainRow)


def party_subjects(connection: Connection) -> Sequence[tuple[str, str | None]]:
    """(party URI, URI of the subject that its row points at), by URI."""
    query = (
        select(parties.c.uri, subjects.c.uri)
        .outerjoin(subjects, subjects.c.id == parties.c.subject_id)
        .order_by(parties.c.uri)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def stream_disclosures(connection: Connection) -> Generator[StoredDisclosure, None, None]:
    """Every disclosure with its event, by place."""
    query = (
        select(
            disclosures.c.upload_id,
            disclosures.c.leaf,
            disclosures.c.digest,
            disclosures.c.text,
            events.c.bytes,
        )
        .outerjoin(
            events,
            and_(
                events.c.upload_id == disclosures.c.upload_id,
                events.c.leaf == disclosures.c.leaf,
            ),
        )
        .order_by(disclosures.c.upload_id, disclosures.c.leaf, disclosures.c.digest)
    )
    return _stream(connection, query, StoredDisclosure)


def _stream(
    connection: Connection, query: Select[Any], make: Callable[..., T]
) -> Generator[T, None, None]:
    result = connection.execute(query, execution_options={"yield_per": _FETCH})
    try:
        for row in result:
            yield make(*row)
    finally:
        result.close()  # a server-side cursor must not outlive its transaction
