"""Where one link stands in the log: a subject's link about an event, with its log index."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from provenance.storage.session import Connection
from provenance.storage.tables import links, subjects, uploads


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A link's canonical bytes and its log index, None before it is sequenced.

    An index may lie beyond the published log: compare with the publication's size.
    """

    link: bytes
    index: int | None


def find_entry(connection: Connection, uri: str, event_hash: bytes) -> EntryRow | None:
    """The link of that event (32 bytes) on the chain of that canonical subject, or None."""
    row = connection.execute(
        select(links.c.bytes, links.c.ordinal, uploads.c.first_index)
        .select_from(links)
        .join(subjects, subjects.c.id == links.c.subject_id)
        .join(uploads, uploads.c.id == links.c.upload_id)
        .where(subjects.c.uri == uri, links.c.event_hash == event_hash)
    ).one_or_none()
    if row is None:
        return None
    index = None if row.first_index is None else row.first_index + row.ordinal
    return EntryRow(row.bytes, index)
