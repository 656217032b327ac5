"""The log's rows: uploads waiting for an index, what was signed, and what readers may see.

`log_state` is what the log key signed last; it moves only by :func:`commit_state`, a
compare-and-swap on the size that the signer saw and on the fencing token. `publication` is what
readers may see; it is at most one batch behind. Between the two, `uploads.entries` still holds the
links' bytes, so that everything after the commit can be done again from the database alone.

All SQL here, no decisions: the order of these steps and its reasons are in
:mod:`provenance.services.sequencing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)

from merkle.errors import TileError
from merkle.tiles import decode_bundle
from provenance.storage.errors import StorageError, StoreInconsistentError
from provenance.storage.tables import log_state, publication, uploads

_MAX_IDS = 1_000  # ids in one IN list


class StateConflictError(StorageError):
    """The compare-and-swap found another state than the one that the signer had read."""


class UploadDamagedError(StoreInconsistentError):
    """The stored bytes of an upload are not what its row says."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The newest signed checkpoint. `note` bears the log's signature line alone.

    `map_head_index` is always `size - 1`; `fence` is the token of the lease under which it was
    signed.
    """

    size: int
    note: bytes
    map_root: bytes
    map_head_index: int
    subjects: int
    ignored: int
    fence: int


@dataclass(frozen=True, slots=True)
class Publication:
    """The newest checkpoint that readers may see, with its cosignatures; time in milliseconds."""

    size: int
    note: bytes
    published_at: int


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An accepted upload, its links' bytes in order; `first_index` None until it is sequenced.

    `accepted_at` is its ledger time, milliseconds since 1970.
    """

    id: int
    first_index: int | None
    entries: tuple[bytes, ...]
    accepted_at: int


def read_state(connection: Connection) -> LogState | None:
    """What was signed last, or None before the first checkpoint."""
    row = connection.execute(select(log_state)).one_or_none()
    if row is None:
        return None
    return LogState(
        size=row.size,
        note=row.note,
        map_root=row.map_root,
        map_head_index=row.map_head_index,
        subjects=row.subjects,
        ignored=row.ignored,
        fence=row.fence,
    )


def read_publication(connection: Connection) -> Publication | None:
    """What readers may see, or None before the first publication."""
    row = connection.execute(select(publication)).one_or_none()
    return None if row is None else Publication(row.size, row.note, row.published_at)


def commit_state(connection: Connection, old: LogState | None, new: LogState) -> None:
    """Put `new` in the place of exactly `old`. Raises StateConflictError; then roll back.

    The note is compared as well as the size: equal sizes with other roots must never pass.
    """
    if old is None:
        if read_state(connection) is not None:
            raise StateConflictError("expected a log without a checkpoint, found one that has one")
        connection.execute(insert(log_state).values(id=1, **_columns(new)))
        return
    moved = connection.execute(
        update(log_state)
        .where(
            log_state.c.id == 1,
            log_state.c.size == old.size,
            log_state.c.note == old.note,
            log_state.c.fence <= new.fence,
        )
        .values(**_columns(new))
    )
    if moved.rowcount != 1:
        found = read_state(connection)
        raise StateConflictError(
            f"log state: expected size {old.size} and a fence up to {new.fence}, found "
            + ("none" if found is None else f"size {found.size} and fence {found.fence}")
        )


def write_publication(connection: Connection, new: Publication) -> None:
    """Let readers see `new`. Raises StateConflictError if they have seen a larger one."""
    moved = connection.execute(
        update(publication)
        .where(publication.c.id == 1, publication.c.size <= new.size)
        .values(size=new.size, note=new.note, published_at=new.published_at)
    )
    if moved.rowcount == 1:
        return
    found = read_publication(connection)
    if found is not None:
        raise StateConflictError(
            f"publication: expected a size up to {new.size}, found {found.size}"
        )
    connection.execute(
        insert(publication).values(
            id=1, size=new.size, note=new.note, published_at=new.published_at
        )
    )


def pending_ids(connection: Connection, max_links: int) -> list[int]:
    """Ids of uploads without an index, in order, up to `max_links` links but at least one upload.

    Id order keeps the order of every subject's chain (storage.tables). On PostgreSQL an upload may
    become visible after one with a larger id; it has no subject in common with it, and comes next.
    """
    rows = connection.execute(
        select(uploads.c.id, uploads.c.links)
        .where(uploads.c.first_index.is_(None))
        .order_by(uploads.c.id)
        .limit(max_links)
    ).all()
    ids: list[int] = []
    links = 0
    for row in rows:
        links += row.links
        if ids and links > max_links:
            break
        ids.append(row.id)
    return ids


def load_uploads(connection: Connection, ids: Sequence[int]) -> list[PendingUpload]:
    """Uploads whose bytes are still here, in id order. Raises UploadDamagedError."""
    loaded = []
    for some in _chunks(ids):
        rows = connection.execute(
            select(
                uploads.c.id,
                uploads.c.first_index,
                uploads.c.links,
                uploads.c.entries,
                uploads.c.accepted_at,
            )
            .where(uploads.c.id.in_(some))
            .order_by(uploads.c.id)
        )
        for row in rows:
            try:
                entries = decode_entries(row.entries or b"", row.links)
            except TileError as error:
                raise UploadDamagedError(
                    f"upload {row.id}: expected the bytes of {row.links} links: {error}"
                ) from error
            loaded.append(PendingUpload(row.id, row.first_index, entries, row.accepted_at))
    return loaded


def unpublished_uploads(connection: Connection, start: int) -> list[PendingUpload]:
    """Uploads whose index is `start` or above and whose bytes are still here, in index order."""
    ids = connection.scalars(
        select(uploads.c.id).where(
            uploads.c.first_index >= start, uploads.c.entries.is_not(None), uploads.c.links > 0
        )
    ).all()
    loaded = load_uploads(connection, sorted(ids))
    return sorted(loaded, key=lambda upload: upload.first_index or 0)


def assign_indexes(connection: Connection, indexes: Sequence[tuple[int, int]]) -> None:
    """Set (upload id, first log index) for uploads that have none.

    Raises StateConflictError if one of them is gone or has an index; then roll back.
    """
    if not indexes:
        return
    if connection.dialect.name == "postgresql":
        done = connection.execute(
            _ASSIGN_POSTGRESQL,
            {"ids": [pair[0] for pair in indexes], "firsts": [pair[1] for pair in indexes]},
        ).rowcount
    else:
        done = connection.execute(
            update(uploads)
            .where(uploads.c.id == bindparam("upload"), uploads.c.first_index.is_(None))
            .values(first_index=bindparam("first")),
            [{"upload": upload, "first": first} for upload, first in indexes],
        ).rowcount
    if done != len(indexes):
        raise StateConflictError(f"uploads: expected {len(indexes)} without an index, found {done}")


_ASSIGN_POSTGRESQL = text(
    "UPDATE uploads SET first_index = given.first_index "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:firsts AS bigint[])) AS given(id, first_index) "
    "WHERE uploads.id = given.id AND uploads.first_index IS NULL"
)


def forget_entries(connection: Connection, upload_ids: Sequence[int]) -> None:
    """Drop the copies of links that are in published tiles now."""
    for some in _chunks(upload_ids):
        connection.execute(update(uploads).where(uploads.c.id.in_(some)).values(entries=None))


def pending_links(connection: Connection) -> int:
    """How many accepted links wait for an index (for health and for pushing back)."""
    return int(
        connection.scalar(
            select(func.coalesce(func.sum(uploads.c.links), 0)).where(
                uploads.c.first_index.is_(None)
            )
        )
        or 0
    )


def is_covered(connection: Connection, upload_id: int) -> bool | None:
    """Are all links of this upload below the published size? None if there is no such upload."""
    row = connection.execute(
        select(uploads.c.first_index, uploads.c.links, publication.c.size)
        .select_from(uploads.outerjoin(publication, publication.c.id == 1))
        .where(uploads.c.id == upload_id)
    ).one_or_none()
    if row is None:
        return None
    if row.first_index is None or row.size is None:
        return False
    return bool(row.first_index + row.links <= row.size)


def decode_entries(data: bytes, count: int) -> tuple[bytes, ...]:
    """The `count` links in `uploads.entries`. Raises merkle.errors.TileError."""
    return tuple(decode_bundle(data, count))


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    for start in range(0, len(ids), _MAX_IDS):
        yield ids[start : start + _MAX_IDS]


def _columns(state: LogState) -> dict[str, object]:
    return {
        "size": state.size,
        "note": state.note,
        "map_root": state.map_root,
        "map_head_index": state.map_head_index,
        "subjects": state.subjects,
        "ignored": state.ignored,
        "fence": state.fence,
    }
