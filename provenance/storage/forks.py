"""Rows of evidence against our own log: two histories under its key, or more than it remembers.

`forks` holds proofs that the log key signed two histories (domain.fork), each once, for ever;
`sightings` holds checkpoints under the key that were larger than the log when they were shown to
us. What follows from either is decided in :mod:`provenance.services.forks`.

Whoever has the log key can make as many of these as he likes, so both tables stop at
:data:`MOST_KEPT` rows: one is enough to stop the log, and a bundle carries eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from provenance.storage.tables import forks, sightings

MOST_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class StoredFork:
    """`evidence` in canonical bytes; `found_at` in milliseconds since 1970."""

    hash: bytes
    evidence: bytes
    source: str
    found_at: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """A signed note of our log, larger than the log was at `found_at` (milliseconds since 1970)."""

    size: int
    note: bytes
    source: str
    found_at: int


def add_fork(connection: Connection, fork: StoredFork) -> bool:
    """Keep the evidence; False if it is there already, or if there is more than enough."""
    return _add(
        connection,
        forks,
        {
            "hash": fork.hash,
            "evidence": fork.evidence,
            "source": fork.source,
            "found_at": fork.found_at,
        },
    )


def read_forks(connection: Connection, most: int = MOST_KEPT) -> list[StoredFork]:
    """The evidence in the order in which it was found."""
    rows = connection.execute(select(forks).order_by(forks.c.id).limit(most))
    return [StoredFork(row.hash, row.evidence, row.source, row.found_at) for row in rows]


def is_untroubled(connection: Connection) -> bool:
    """No evidence of a fork, and nobody was seen to hold more than was signed here: one look."""
    return bool(connection.scalar(_UNTROUBLED))


def count_forks(connection: Connection) -> int:
    """How many proofs of a fork are stored; 0 for an honest log."""
    return int(connection.scalar(select(func.count()).select_from(forks)) or 0)


def add_sighting(connection: Connection, hash_: bytes, sighting: Sighting) -> bool:
    """Keep a checkpoint that is ahead of us; False if it is there already, or enough are."""
    return _add(
        connection,
        sightings,
        {
            "hash": hash_,
            "size": sighting.size,
            "note": sighting.note,
            "source": sighting.source,
            "found_at": sighting.found_at,
        },
    )


def read_sightings(connection: Connection) -> list[Sighting]:
    """All of them, the largest first."""
    rows = connection.execute(select(sightings).order_by(sightings.c.size.desc(), sightings.c.id))
    return [Sighting(row.size, row.note, row.source, row.found_at) for row in rows]


def largest_sighting(connection: Connection) -> Sighting | None:
    """The largest, or None: a plain look for every round."""
    row = connection.execute(
        select(sightings).order_by(sightings.c.size.desc(), sightings.c.id).limit(1)
    ).one_or_none()
    return None if row is None else Sighting(row.size, row.note, row.source, row.found_at)


_UNTROUBLED: Final = text(
    "SELECT NOT EXISTS (SELECT 1 FROM forks) AND COALESCE((SELECT MAX(size) FROM sightings), 0) "
    "<= COALESCE((SELECT size FROM log_state), 0)"
)


def _add(connection: Connection, table: Table, values: dict[str, object]) -> bool:
    if (connection.scalar(select(func.count()).select_from(table)) or 0) >= MOST_KEPT:
        return False
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    added = connection.execute(
        insert(table)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["hash"])
        .returning(table.c.id)
    )
    return added.first() is not None
