"""The map's leaves as rows: each subject's newest state in the published map.

The rows belong to the `publication` row and change in its transaction only, so that one snapshot of
both is one consistent map. Each row bears the size of the checkpoint that last set it. The map's
own form, of which proofs are made, is in :mod:`provenance.storage.mappages`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.sqlite import insert

from merkle.tree import Edge
from provenance.domain.ledger import SubjectState, map_value
from provenance.storage.tables import map_leaves

_MAX_KEYS = 1_000  # keys in one IN list
_FETCH = 5_000  # rows brought into memory at a time


def stream_values(connection: Connection) -> Generator[tuple[bytes, bytes], None, None]:
    """(subject key, map value) of every row, in rising order of keys.

    A stream: whoever may stop before its end closes it.
    """
    columns = map_leaves.c
    query = select(columns.key, columns.count, columns.head, columns.root, columns.head_index)
    query = query.order_by(columns.key)
    with connection.execute(query, execution_options={"yield_per": _FETCH}) as rows:
        for key, count, head, root, index in rows:
            yield key, map_value(count, head, root, index)


def read_states(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, SubjectState]:
    """The states of those of `keys` that the published map holds."""
    states = {}
    for start in range(0, len(keys), _MAX_KEYS):
        rows = connection.execute(
            select(map_leaves).where(map_leaves.c.key.in_(keys[start : start + _MAX_KEYS]))
        )
        for row in rows:
            key, count, head, _, index, edge, _ = row
            states[key] = SubjectState(count, head, Edge.decode(count, edge), index)
    return states


def write_states(connection: Connection, states: Mapping[bytes, SubjectState], size: int) -> None:
    """Set rows as the checkpoint of `size` entries has them. One statement for all."""
    if not states:
        return
    rows = [
        {
            "key": key,
            "count": state.count,
            "head": state.head,
            "root": state.edge.root(),
            "head_index": state.index,
            "edge": state.edge.encode(),
            "size": size,
        }
        for key, state in sorted(states.items())  # in key order: neighbours share a page
    ]
    if connection.dialect.name == "postgresql":
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        connection.execute(_UPSERT_POSTGRESQL, columns)
        return
    statement = insert(map_leaves)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={name: statement.excluded[name] for name in rows[0] if name != "key"},
        ),
        rows,
    )


_UPSERT_POSTGRESQL = text(
    "INSERT INTO map_leaves (key, count, head, root, head_index, edge, size) "
    "SELECT * FROM unnest(CAST(:key AS bytea[]), CAST(:count AS bigint[]), CAST(:head AS bytea[]), "
    "CAST(:root AS bytea[]), CAST(:head_index AS bigint[]), CAST(:edge AS bytea[]), "
    "CAST(:size AS bigint[])) "
    "ON CONFLICT (key) DO UPDATE SET count = excluded.count, head = excluded.head, "
    "root = excluded.root, head_index = excluded.head_index, edge = excluded.edge, "
    "size = excluded.size"
)


def count_leaves(connection: Connection) -> int:
    """How many subjects the published map holds."""
    return connection.scalar(select(func.count()).select_from(map_leaves)) or 0
