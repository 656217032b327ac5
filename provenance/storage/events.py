"""Uploads with their seals, events and links: appended once by capture, read by whoever proves.

Everything is written and read by the batch. Rows of `seals`, `events` and `links` are never changed
(triggers refuse it); of `uploads` only `first_index` and `entries` change, by the sequencer.

`uploads.entries` holds the links' bytes a second time, framed as the log's entry bundle wants them,
until they are published: the sequencer reads one value an upload instead of collecting rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, CursorResult, func, insert, select, text, update

from provenance.storage.bulk import insert_rows, value_rows
from provenance.storage.errors import StoreInconsistentError
from provenance.storage.tables import events, links, seals, uploads


@dataclass(frozen=True, slots=True)
class SealedUpload:
    """An accepted upload under a seal: `leaves` are all event hashes, 32 bytes each, in order.

    `newest` is the upload with the newest link in the answer: itself, unless nothing was new.
    """

    upload_id: int
    newest: int
    accepted_at: int
    links: int
    leaves: bytes
    answers: bytes


class LinkRow(NamedTuple):
    """One link as stored, in the order of `LINK_COLUMNS`; `canonical` is an entry of the log."""

    subject_id: int
    seq: int
    upload_id: int
    leaf: int
    ordinal: int
    event_hash: bytes
    canonical: bytes


class EventRow(NamedTuple):
    """One event as stored, in the order of `EVENT_COLUMNS`; `event_time` is claimed, in
    microseconds."""

    upload_id: int
    leaf: int
    hash: bytes
    canonical: bytes
    party_id: int
    event_time: int


LINK_COLUMNS: Final = ("subject_id", "seq", "upload_id", "leaf", "ordinal", "event_hash", "bytes")
EVENT_COLUMNS: Final = ("upload_id", "leaf", "hash", "bytes", "party_id", "event_time")


@dataclass(frozen=True, slots=True)
class SealRow:
    """One seal as stored: canonical bytes with proof, and the hashes of its whole batch."""

    upload_id: int
    hash: bytes
    canonical: bytes
    size: int
    leaves: bytes


def find_sealed_upload(connection: Connection, seal_hash: bytes) -> SealedUpload | None:
    """The upload that came under this seal, or None."""
    row = connection.execute(
        select(
            uploads.c.id,
            uploads.c.newest_known,
            uploads.c.accepted_at,
            uploads.c.links,
            seals.c.leaves,
            uploads.c.answers,
        )
        .join(seals, seals.c.upload_id == uploads.c.id)
        .where(seals.c.hash == seal_hash)
    ).one_or_none()
    if row is None:
        return None
    if row.answers is None:
        raise StoreInconsistentError(f"upload {row.id} has a seal and no answer")
    newest = row.id if row.newest_known is None else row.newest_known
    return SealedUpload(row.id, newest, row.accepted_at, row.links, row.leaves, row.answers)


def newest_acceptance(connection: Connection) -> int | None:
    """The latest ledger time (ms) at which any upload was accepted; one look into an index."""
    newest: int | None = connection.scalar(select(func.max(uploads.c.accepted_at)))
    return newest


def insert_upload(
    connection: Connection,
    *,
    accepted_at: int,
    entries: Sequence[bytes],
    framed: bytes,
    newest_known: int = 0,
) -> int:
    """A new upload; its id. `framed` are the `entries` as one entry bundle.

    Insert it only after the heads of its subjects are locked: so the order of ids is the order of
    every subject's links. An upload without links (everything in it stood there already) has
    nothing to be sequenced and is born with index 0; it is published when `newest_known` is, the
    upload that holds the newest of those links.
    """
    result = connection.execute(
        insert(uploads).values(
            accepted_at=accepted_at,
            links=len(entries),
            entries=framed if entries else None,
            first_index=None if entries else 0,
            newest_known=None if entries else newest_known or None,
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 -- one row inserted has one key
    return int(key[0])


def insert_seal(
    connection: Connection,
    *,
    upload_id: int,
    party_id: int,
    seal_hash: bytes,
    canonical: bytes,
    leaves: bytes,
    answers: bytes,
) -> None:
    """The seal of an upload, and the answer that its sender is given now and on every repetition.

    Raises StoreConflictError (when the transaction block ends) if the seal is there already.
    """
    result = connection.execute(
        insert(seals).values(
            hash=seal_hash,
            upload_id=upload_id,
            party_id=party_id,
            bytes=canonical,
            size=len(leaves) // 32,
            leaves=leaves,
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 -- one row inserted has one key
    connection.execute(
        update(uploads).where(uploads.c.id == upload_id).values(seal_id=key[0], answers=answers)
    )


def insert_events(connection: Connection, rows: Iterable[EventRow]) -> None:
    """Append events."""
    insert_rows(connection, events, EVENT_COLUMNS, rows)


def insert_links(connection: Connection, rows: Iterable[LinkRow]) -> None:
    """Append links. A (subject, seq) that is taken ends in StoreConflictError."""
    insert_rows(connection, links, LINK_COLUMNS, rows)


_LINK_COLUMNS = ", ".join(f"l.{name}" for name in LINK_COLUMNS)


def find_links(
    connection: Connection, wanted: Sequence[tuple[int, bytes]]
) -> dict[tuple[int, bytes], LinkRow]:
    """The links that stand for (subject id, event hash), where there are any."""
    found: dict[tuple[int, bytes], LinkRow] = {}
    for result in _find_links(connection, wanted):
        for row in result:
            found[row.subject_id, row.event_hash] = LinkRow._make(row)
    return found


def _find_links(
    connection: Connection, wanted: Sequence[tuple[int, bytes]]
) -> Iterable[CursorResult[Any]]:
    # The list leads and the index follows, whatever the planner thinks of the sizes.
    condition = "l.subject_id = given.subject_id AND l.event_hash = given.event_hash"
    if connection.dialect.name == "postgresql":
        yield connection.execute(
            text(
                f"SELECT {_LINK_COLUMNS} FROM unnest(CAST(:ids AS bigint[]), "  # noqa: S608
                "CAST(:hashes AS bytea[])) AS given(subject_id, event_hash) "
                f"JOIN links AS l ON {condition}"
            ),
            {"ids": [pair[0] for pair in wanted], "hashes": [pair[1] for pair in wanted]},
        )
        return
    for marks, values in value_rows(wanted, 2):
        yield connection.exec_driver_sql(
            f"WITH given(subject_id, event_hash) AS (VALUES {marks}) "  # noqa: S608 -- marks only
            f"SELECT {_LINK_COLUMNS} FROM given CROSS JOIN links AS l ON {condition}",
            values,
        )


def read_chain(connection: Connection, subject_id: int, count: int | None = None) -> list[LinkRow]:
    """A subject's links in order of seq; only the first `count` if given."""
    query = (
        select(
            links.c.subject_id,
            links.c.seq,
            links.c.upload_id,
            links.c.leaf,
            links.c.ordinal,
            links.c.event_hash,
            links.c.bytes,
        )
        .where(links.c.subject_id == subject_id)
        .order_by(links.c.seq)
    )
    if count is not None:
        query = query.where(links.c.seq < count)
    return [LinkRow._make(row) for row in connection.execute(query)]


def read_events(
    connection: Connection, wanted: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], EventRow]:
    """Events by (upload id, leaf), where there are any."""
    found: dict[tuple[int, int], EventRow] = {}
    for result in _read_events(connection, wanted):
        for row in result:
            found[row.upload_id, row.leaf] = EventRow._make(row)
    return found


def _read_events(
    connection: Connection, wanted: Sequence[tuple[int, int]]
) -> Iterable[CursorResult[Any]]:
    columns = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
    condition = "e.upload_id = given.upload_id AND e.leaf = given.leaf"
    if connection.dialect.name == "postgresql":
        yield connection.execute(
            text(
                f"SELECT {columns} FROM unnest(CAST(:ids AS bigint[]), "  # noqa: S608 -- names are ours
                "CAST(:leaves AS integer[])) AS given(upload_id, leaf) "
                f"JOIN events AS e ON {condition}"
            ),
            {"ids": [pair[0] for pair in wanted], "leaves": [pair[1] for pair in wanted]},
        )
        return
    for marks, values in value_rows(wanted, 2):
        yield connection.exec_driver_sql(
            f"WITH given(upload_id, leaf) AS (VALUES {marks}) "  # noqa: S608 -- marks only
            f"SELECT {columns} FROM given CROSS JOIN events AS e ON {condition}",
            values,
        )


def read_seals(connection: Connection, upload_ids: Sequence[int]) -> dict[int, SealRow]:
    """Seals by upload id; an upload of events with own proofs has none."""
    found: dict[int, SealRow] = {}
    for start in range(0, len(upload_ids), 1_000):
        rows = connection.execute(
            select(
                seals.c.upload_id, seals.c.hash, seals.c.bytes, seals.c.size, seals.c.leaves
            ).where(seals.c.upload_id.in_(upload_ids[start : start + 1_000]))
        )
        found.update({row.upload_id: SealRow(*tuple(row)) for row in rows})
    return found


def find_seal(connection: Connection, seal_hash: bytes) -> SealRow | None:
    """The seal of this hash, or None."""
    row = connection.execute(
        select(seals.c.upload_id, seals.c.hash, seals.c.bytes, seals.c.size, seals.c.leaves).where(
            seals.c.hash == seal_hash
        )
    ).one_or_none()
    return None if row is None else SealRow(*tuple(row))
