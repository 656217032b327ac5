"""Subjects and the heads of their chains: looked up, created, locked and moved by the batch.

The order in which locks are taken is part of the contract with every other writer (session.py): new
subjects are inserted in order of their URIs, then all are locked in order of their ids. Two uploads
that touch the same subjects therefore wait for one another and never in a circle.

Corruption here (a head that is not the newest link) would make the next link hang on nothing; the
guard of :func:`move_heads` and unique (subject_id, seq) in `links` are there so that it is an error
at once, and `provenance fsck` compares every head with its chain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, text

from provenance.storage.bulk import value_rows
from provenance.storage.errors import StoreConflictError, StoreInconsistentError


@dataclass(slots=True)  # not frozen: made for every subject of every upload
class SubjectRow:
    """One subject: `count` links, the newest with hash `head` (32 bytes) at ledger time `time`.

    `head` and `time` are None exactly when `count` is 0. `key` is the map key, 32 bytes.
    """

    id: int
    uri: str
    key: bytes
    count: int
    head: bytes | None
    time: int | None


class HeadMove(NamedTuple):
    """A head as it was when locked, and as it shall be."""

    id: int
    old_count: int
    old_head: bytes | None
    new_count: int
    new_head: bytes


def find_subjects(connection: Connection, uris: Collection[str]) -> dict[str, SubjectRow]:
    """Those of `uris` that exist, by URI; no lock. As `find_parties`, of any text."""
    return _select(connection, [uri for uri in uris if "\0" not in uri], lock=False)


def lock_subjects(
    connection: Connection, uris: Collection[str], key_of: Callable[[str], bytes]
) -> dict[str, SubjectRow]:
    """Every subject of `uris`, created where missing (with its map key), locked until the end.

    On SQLite the transaction itself is the lock. The heads returned cannot move under the caller.
    """
    known = find_subjects(connection, uris)
    missing = sorted(uri for uri in uris if uri not in known)
    if missing:
        _create(connection, [(uri, key_of(uri)) for uri in missing])
    if connection.dialect.name == "postgresql":
        known = _select(connection, uris, lock=True)
    elif missing:
        known |= find_subjects(connection, missing)
    if len(known) != len(set(uris)):
        raise StoreInconsistentError(f"expected {len(set(uris))} subjects, found {len(known)}")
    return known


def move_heads(connection: Connection, moves: Sequence[HeadMove], time: int) -> None:
    """Compare-and-swap of all heads in one statement; `time` is the new links' ledger time (ms).

    Raises StoreConflictError when one of them is no longer as it was: then roll back.
    """
    if connection.dialect.name == "postgresql":
        moved = _move_postgresql(connection, moves, time)
    else:
        moved = _move_sqlite(connection, moves, time)
    if moved != len(moves):
        raise StoreConflictError(f"expected to move {len(moves)} heads, moved {moved}")


def _select(connection: Connection, uris: Collection[str], *, lock: bool) -> dict[str, SubjectRow]:
    columns = "id, uri, key, count, head, time"
    result: CursorResult[Any]
    if connection.dialect.name == "postgresql":
        query = f"SELECT {columns} FROM subjects WHERE uri = ANY(CAST(:uris AS text[]))"  # noqa: S608
        if lock:
            query += " ORDER BY id FOR UPDATE"
        result = connection.execute(text(query), {"uris": list(uris)})
    else:
        result = connection.exec_driver_sql(
            f"SELECT {columns} FROM subjects WHERE uri IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(uris)),),
        )
    return {row.uri: SubjectRow(*tuple(row)) for row in result}


def _create(connection: Connection, subjects: Sequence[tuple[str, bytes]]) -> None:
    # Another upload may create the same subjects at this moment: PostgreSQL waits for it here, and
    # whichever comes second finds the row there.
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "INSERT INTO subjects (uri, key, count) "
                "SELECT uri, key, 0 FROM unnest(CAST(:uris AS text[]), CAST(:keys AS bytea[])) "
                "WITH ORDINALITY AS given(uri, key, place) ORDER BY place ON CONFLICT DO NOTHING"
            ),
            {"uris": [uri for uri, _ in subjects], "keys": [key for _, key in subjects]},
        )
        return
    connection.exec_driver_sql(
        "INSERT INTO subjects (uri, key, count) VALUES (?, ?, 0)", list(subjects)
    )


def _move_postgresql(connection: Connection, moves: Sequence[HeadMove], time: int) -> int:
    return connection.execute(
        text(
            "UPDATE subjects SET count = given.count, head = given.head, time = :time "
            "FROM unnest(CAST(:ids AS bigint[]), CAST(:old_counts AS bigint[]), "
            "CAST(:old_heads AS bytea[]), CAST(:counts AS bigint[]), CAST(:heads AS bytea[])) "
            "AS given(id, old_count, old_head, count, head) "
            "WHERE subjects.id = given.id AND subjects.count = given.old_count "
            "AND subjects.head IS NOT DISTINCT FROM given.old_head"
        ),
        {
            "time": time,
            "ids": [move.id for move in moves],
            "old_counts": [move.old_count for move in moves],
            "old_heads": [move.old_head for move in moves],
            "counts": [move.new_count for move in moves],
            "heads": [move.new_head for move in moves],
        },
    ).rowcount


def _move_sqlite(connection: Connection, moves: Sequence[HeadMove], time: int) -> int:
    # The driver counts rows only for statements that begin with UPDATE, so no WITH; and SQLite
    # calls the columns of VALUES column1, column2, …
    moved = 0
    for marks, values in value_rows(moves, 5):
        moved += connection.exec_driver_sql(
            "UPDATE subjects SET count = column4, head = column5, time = ? "  # noqa: S608 -- marks only
            f"FROM (VALUES {marks}) WHERE subjects.id = column1 "
            "AND subjects.count = column2 AND subjects.head IS column3",
            (time, *values),
        ).rowcount
    return moved
