"""Parties as rows: the projection of a party's own chain, kept so that a signer is judged at once.

The state is the text of `domain.party.Party`; this module does not read into it. It can be rebuilt
from the chain at any time (`provenance fsck` compares). A party's row is also the lock under which
its keys are judged: every upload holds its signer's row shared until it commits, and whoever
changes a party holds it alone. Without that, an upload could commit after a revocation with an
earlier view of the key, and every verifier would refuse it for ever.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from provenance.storage.errors import StoreConflictError
from provenance.storage.tables import parties, subjects


@dataclass(frozen=True, slots=True)
class PartyRow:
    """One party. `time` is the ledger time (ms) of its chain's newest link, None without one."""

    id: int
    uri: str
    subject_id: int
    state: str
    time: int | None


def find_parties(connection: Connection, uris: Collection[str]) -> dict[str, PartyRow]:
    """Those of `uris` that are parties, by URI; no lock. A handful of URIs, not thousands.

    Any text may be asked for: one with U+0000, which PostgreSQL cannot even compare, names none.
    """
    uris = [uri for uri in uris if "\0" not in uri]
    if not uris:
        return {}
    query = (
        select(parties.c.id, parties.c.uri, parties.c.subject_id, parties.c.state, subjects.c.time)
        .join(subjects, subjects.c.id == parties.c.subject_id)
        .where(parties.c.uri.in_(sorted(uris)))
    )
    return {row.uri: _read(row) for row in connection.execute(query)}


def lock_parties(connection: Connection, uris: Collection[str], *, exclusive: bool) -> None:
    """Hold the rows of those of `uris` that are parties, in id order, until the transaction ends.

    Shared for a signer, exclusive for whoever changes one of them. On SQLite the transaction itself
    is the lock.
    """
    if connection.dialect.name != "postgresql" or not uris:
        return
    query = select(parties.c.id).where(parties.c.uri.in_(sorted(uris))).order_by(parties.c.id)
    connection.execute(query.with_for_update(read=not exclusive)).all()


def list_parties(connection: Connection, *, after: str = "", limit: int = 1_000) -> list[PartyRow]:
    """Parties in order of URI, at most `limit`, starting after the URI `after`."""
    query = (
        select(parties.c.id, parties.c.uri, parties.c.subject_id, parties.c.state, subjects.c.time)
        .join(subjects, subjects.c.id == parties.c.subject_id)
        .where(parties.c.uri > after)
        .order_by(parties.c.uri)
        .limit(limit)
    )
    return [_read(row) for row in connection.execute(query)]


def insert_party(connection: Connection, uri: str, subject_id: int, state: str, at: int) -> int:
    """A new party, at ledger time `at`; its id. The caller holds its subject."""
    result = connection.execute(
        insert(parties).values(uri=uri, subject_id=subject_id, state=state, updated_at=at)
    )
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 -- one row inserted has one key
    return int(key[0])


def update_party(connection: Connection, party_id: int, state: str, at: int) -> None:
    """A party's new state, at ledger time `at`; the caller holds its row alone."""
    done = connection.execute(
        update(parties).where(parties.c.id == party_id).values(state=state, updated_at=at)
    )
    if done.rowcount != 1:
        raise StoreConflictError(f"expected party {party_id}, found none")


def _read(row: Any) -> PartyRow:
    return PartyRow(row.id, row.uri, row.subject_id, row.state, row.time)
