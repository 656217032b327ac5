"""How `links` and `events` are divided on PostgreSQL, and how the next part is begun.

Both are divided by ranges of a trillion ids, their *parts*: `links` by subject, `events` by upload.
Which part new rows go to is decided by the sequence that gives the ids out, so that to begin a part
is to make empty tables and to set a sequence; no row is ever moved, and writers wait a moment.

    links_0      subjects below 10^12: what was there before there were parts (migration 0007)
    links_1      subjects from 10^12, sixteen tables links_1_0 … links_1_15 by the id's hash
    events_0     uploads below 10^12, as above
    events_1     uploads from 10^12, one table

Why these keys. A chain is asked for by its subject, so all of it lies in one table, and a statement
about a thousand subjects looks into the tables of those. Events come by upload and are read by
upload, and uploads follow one another in time: so an old part of events is one that nobody writes
to any more, which can be frozen once, moved to slower disks, and detached where a law demands it.

Why sixteen. An index, a vacuum, a dump and a restore are of a sixteenth, and each table may grow to
32 TB. COPY keeps rows of at most 32 tables back to write them together, so that more tables would
make every batch dearer. `events` takes a batch at one end of one index, where dividing gains
nothing.

Statement triggers of a table are not those of its parts: each part has the guard of its own.
SQLite is not divided. Sources: PostgreSQL manual 5.12; MAX_PARTITION_BUFFERS in its copyfrom.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from provenance.storage.errors import SchemaError

IDS: Final = 1_000_000_000_000
"""Ids of one part."""

HASHED: Final = 16
"""Tables of one part of links."""

_SEQUENCES: Final = {"links": "subjects_id_seq", "events": "uploads_id_seq"}
_PART: Final = re.compile(r"(?:links|events)_([0-9]+)(?:_[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its ids as [low, high), how many rows (PostgreSQL's estimate) and bytes it has.

    `table` is links or events; `low` is None where the part has no beginning. `is_open`: new ids
    fall into it. Bytes are those of all its tables with their indexes.
    """

    table: str
    number: int
    low: int | None
    high: int
    rows: int
    bytes: int
    is_open: bool


def is_part(name: str) -> bool:
    """Is this the name of a part's table, or of one of its tables?"""
    return _PART.fullmatch(name) is not None


def list_parts(connection: Connection) -> list[Part]:
    """All parts, oldest first, links before events. Raises SchemaError on SQLite."""
    _require_postgresql(connection)
    parts = []
    for table, sequence in _SEQUENCES.items():
        newest = _next_id(connection, sequence) // IDS
        rows = connection.execute(_PARTS, {"parent": table}).all()
        for row in sorted(rows, key=lambda row: _number(row.name)):
            number = _number(row.name)
            low = number * IDS or None
            high = (number + 1) * IDS
            parts.append(Part(table, number, low, high, row.rows, row.bytes, number == newest))
    return parts


def begin_part(connection: Connection, table: str) -> Part:
    """Make the next part of links or events, and let ids begin there.

    Uploads wait for this transaction, and it for those that are being written (lock_timeout bounds
    that: StoreUnavailableError, then run it again). Needs the owner's rights. Raises SchemaError.
    """
    _require_postgresql(connection)
    if table not in _SEQUENCES:
        raise SchemaError(f"table {table!r} has no parts: links and events have")
    # Two at once would both make the same one; whoever comes second makes the one after.
    connection.execute(text(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"))
    number = max(part.number for part in list_parts(connection) if part.table == table) + 1
    for statement in _statements(table, number):
        connection.execute(text(statement))
    return next(
        part for part in list_parts(connection) if (part.table, part.number) == (table, number)
    )


def _statements(table: str, number: int) -> Sequence[str]:
    """Made apart and attached when it is whole: attaching does not stand in the way of writers."""
    name, low, high = f"{table}_{number}", number * IDS, (number + 1) * IDS
    frozen = "WITH (autovacuum_freeze_min_age = 0)"  # rows never change: freeze them at once
    divided = table == "links"
    kind = "PARTITION BY HASH (subject_id)" if divided else frozen
    made = [f"CREATE TABLE {name} (LIKE {table} INCLUDING INDEXES) {kind}", _guard(name)]
    for rest in range(HASHED if divided else 0):
        made += [
            f"CREATE TABLE {name}_{rest} PARTITION OF {name} "
            f"FOR VALUES WITH (MODULUS {HASHED}, REMAINDER {rest}) {frozen}",
            _guard(f"{name}_{rest}"),
        ]
    return [
        *made,
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
        f"ALTER SEQUENCE {_SEQUENCES[table]} RESTART WITH {low}",
    ]


def _guard(name: str) -> str:
    return (
        f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _next_id(connection: Connection, sequence: str) -> int:
    query = f"SELECT last_value + is_called::int FROM {sequence}"  # noqa: S608 -- our name
    return int(connection.scalar(text(query)) or 0)


def _number(name: str) -> int:
    found = _PART.fullmatch(name)
    if found is None:
        raise SchemaError(f"{name} is no part that we made: expected links_N or events_N")
    return int(found[1])


def _require_postgresql(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        raise SchemaError("only PostgreSQL divides its tables; a SQLite database has no parts")


_PARTS: Final = text(
    "SELECT relname AS name, "
    "(SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_partition_tree(p.oid) t "
    "JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf) AS rows, "
    "(SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint "
    "FROM pg_partition_tree(p.oid) t) AS bytes "
    "FROM pg_inherits JOIN pg_class p ON p.oid = inhrelid "
    "WHERE inhparent = CAST(:parent AS regclass)"
)
