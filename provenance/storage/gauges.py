"""How the ledger stands right now, in a few cheap reads of one snapshot.

For whoever watches: every process and every host that asks the database gets the same answer. All
look-ups go over an index that holds only what waits, or read a single row; the price grows with
the queue and never with the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from provenance.storage.anchors import find_newest
from provenance.storage.forks import count_forks
from provenance.storage.log import LogState, Publication, read_publication, read_state
from provenance.storage.session import Connection
from provenance.storage.tables import leases, uploads


@dataclass(frozen=True, slots=True)
class Queue:
    """Accepted uploads that wait for an index, the links in them, and since when the oldest upload
    waits that no reader can see yet (ledger time in ms; None when all are published)."""

    uploads: int
    links: int
    oldest_unpublished_at: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """`lease_token` and `lease_expires_at` (ms) are the sequencer's, 0 before the first one.

    `anchored_at` has the ledger time (ms) of the newest anchor of each kind, None while pending.
    """

    queue: Queue
    signed: LogState | None
    publication: Publication | None
    forks: int
    lease_token: int
    lease_expires_at: int
    anchored_at: dict[str, int | None]


def read_standing(connection: Connection, *, lease: str, anchor_kinds: tuple[str, ...]) -> Standing:
    """Everything, in the snapshot of `connection`."""
    row = connection.execute(
        select(leases.c.token, leases.c.expires_at).where(leases.c.name == lease)
    ).one_or_none()
    newest = [find_newest(connection, kind) for kind in anchor_kinds]
    return Standing(
        queue=read_queue(connection),
        signed=read_state(connection),
        publication=read_publication(connection),
        forks=count_forks(connection),
        lease_token=0 if row is None else row.token,
        lease_expires_at=0 if row is None else row.expires_at,
        anchored_at={anchor.kind: anchor.time for anchor in newest if anchor is not None},
    )


def read_queue(connection: Connection) -> Queue:
    """What waits. An upload is unpublished while its links' copies are kept, pending or signed."""
    waiting = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(uploads.c.links), 0),
            func.min(uploads.c.accepted_at),
        ).where(uploads.c.first_index.is_(None))
    ).one()
    signed = connection.scalar(
        # The range lets both products use ix_uploads_unpublished.
        select(func.min(uploads.c.accepted_at)).where(
            uploads.c.first_index >= 0, uploads.c.entries.is_not(None)
        )
    )
    times = [time for time in (waiting[2], signed) if time is not None]
    return Queue(int(waiting[0]), int(waiting[1]), min(times, default=None))
