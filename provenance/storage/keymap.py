"""The map's leaves as rows: each subject's newest state in the published map.

The rows belong to the `publication` row and change in its transaction only, so that one snapshot of
both is one consistent map. Each row bears the size of the checkpoint that last set it. The map's
own form, of which proofs are made, is in :mod:`provenance.storage.mappages`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from merkle.tree import Edge
from provenance.domain.ledger import SubjectState, map_value
from provenance.storage.bulk import read_rows, upsert_rows
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
        some = keys[start : start + _MAX_KEYS]
        for key, count, head, index, edge in read_rows(connection, _SELECT, some):
            states[key] = SubjectState(count, head, Edge.decode(count, edge), index)
    return states


_SELECT: Final = "SELECT key, count, head, head_index, edge FROM map_leaves WHERE key"


def write_states(connection: Connection, states: Mapping[bytes, SubjectState], size: int) -> None:
    """Set rows as the checkpoint of `size` entries has them. One statement for all."""
    rows = [
        (key, one.count, one.head, one.root, one.index, one.edge.encode(), size)
        for key, one in sorted(states.items())  # in key order: neighbours share a page
    ]
    upsert_rows(connection, map_leaves, "key", _COLUMNS, rows)


_COLUMNS: Final = ("key", "count", "head", "root", "head_index", "edge", "size")


def count_leaves(connection: Connection) -> int:
    """How many subjects the published map holds."""
    return connection.scalar(select(func.count()).select_from(map_leaves)) or 0
