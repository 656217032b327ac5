"""The table of anchors: what was asked of third parties about checkpoints, and what they said.

A row is pending (`time` and `proof` null) until it is confirmed, and then never changes. There is
one row for a kind and size: two processes that want the same one cannot both make it. A lost row
costs one anchor and nothing else; an altered one is seen by whoever verifies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from provenance.storage.session import Connection
from provenance.storage.tables import anchors


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor. Times are milliseconds since 1970; `proof` is JSON, None while pending."""

    id: int
    kind: str
    size: int
    checkpoint: bytes
    requested_at: int
    time: int | None
    proof: bytes | None


_COLUMNS = (
    anchors.c.id,
    anchors.c.kind,
    anchors.c.size,
    anchors.c.checkpoint,
    anchors.c.requested_at,
    anchors.c.time,
    anchors.c.proof,
)


def find_newest(connection: Connection, kind: str) -> AnchorRow | None:
    """The row of the largest size of that kind, pending or not."""
    query = select(*_COLUMNS).where(anchors.c.kind == kind).order_by(anchors.c.size.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else AnchorRow(*tuple(row))


def insert_pending(
    connection: Connection, kind: str, size: int, checkpoint: bytes, requested_at: int
) -> None:
    """A row before anything is asked; StoreConflictError where that kind and size has one."""
    connection.execute(
        insert(anchors).values(
            kind=kind, size=size, checkpoint=checkpoint, requested_at=requested_at
        )
    )


def confirm(connection: Connection, row_id: int, time: int, proof: bytes) -> None:
    """What the third party said; a row that is confirmed already keeps what it has."""
    connection.execute(
        update(anchors)
        .where(anchors.c.id == row_id, anchors.c.time.is_(None))
        .values(time=time, proof=proof)
    )


def drop_pending(connection: Connection, row_id: int) -> None:
    """Forget a request that will never be answered; a confirmed row stays."""
    connection.execute(delete(anchors).where(anchors.c.id == row_id, anchors.c.time.is_(None)))


def list_newest(connection: Connection, limit: int) -> Sequence[AnchorRow]:
    """The latest requests, newest first, at most `limit`."""
    query = select(*_COLUMNS).order_by(anchors.c.id.desc()).limit(limit)
    return [AnchorRow(*tuple(row)) for row in connection.execute(query)]


def find_covering(connection: Connection, index: int, most: int) -> Sequence[AnchorRow]:
    """For each kind the earliest confirmed anchor of a size in ``(index, most]``, by kind."""
    earliest = (
        select(anchors.c.kind, func.min(anchors.c.size).label("size"))
        .where(anchors.c.time.is_not(None), anchors.c.size > index, anchors.c.size <= most)
        .group_by(anchors.c.kind)
        .subquery()
    )
    query = (
        select(*_COLUMNS)
        .join(earliest, (anchors.c.kind == earliest.c.kind) & (anchors.c.size == earliest.c.size))
        .order_by(anchors.c.kind)
    )
    return [AnchorRow(*tuple(row)) for row in connection.execute(query)]


def count_confirmed(connection: Connection) -> int:
    """How many anchors are confirmed: it changes when, and only when, bundles may change by one."""
    query = select(func.count()).select_from(anchors).where(anchors.c.time.is_not(None))
    return int(connection.scalar(query) or 0)
