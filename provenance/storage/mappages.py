"""The map's pages as rows (merkle.pagemap): what processes read instead of holding the map.

Like the leaves, the pages belong to the `publication` row and change in its transaction only: one
snapshot of both is one consistent map. Each row bears the size of the checkpoint that last set it,
so a process that knows the places and hashes of an older size asks for what is newer; rows of pages
that were cut are deleted, and the rows below them tell it.

Places and hashes stand in an index of their own (`ix_map_pages_size`): to read all of them, a start
goes through some 50 bytes a page and leaves the leaves where they are.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from merkle.pagemap import Page, PageChanges, pages_of
from provenance.storage.keymap import stream_values
from provenance.storage.tables import map_leaves, map_pages

_MAX_PLACES = 1_000  # places in one IN list, rows in one statement
_FETCH = 5_000  # rows brought into memory at a time


def read_hashes(
    connection: Connection, *, above: int = 0
) -> Generator[tuple[int, bytes], None, None]:
    """(place, hash) of every page set by a checkpoint larger than `above` entries.

    A stream: whoever may stop before its end closes it.
    """
    columns = map_pages.c
    query = select(columns.id, columns.hash).where(columns.size > above)
    with connection.execute(query, execution_options={"yield_per": _FETCH}) as rows:
        for row in rows:
            yield row.id, row.hash


def read_pages(connection: Connection, places: Sequence[int]) -> dict[int, bytes]:
    """The leaves of the pages at these places; absent ones are left out."""
    columns = map_pages.c
    found: dict[int, bytes] = {}
    for start in range(0, len(places), _MAX_PLACES):
        some = places[start : start + _MAX_PLACES]
        rows = connection.execute(select(columns.id, columns.leaves).where(columns.id.in_(some)))
        found.update((place, leaves) for place, leaves in rows)
    return found


def write_pages(connection: Connection, changes: PageChanges, size: int) -> None:
    """Set rows as the checkpoint of `size` entries has them, and delete those of cut pages."""
    for start in range(0, len(changes.removed), _MAX_PLACES):
        some = changes.removed[start : start + _MAX_PLACES]
        connection.execute(delete(map_pages).where(map_pages.c.id.in_(some)))
    waiting = iter(sorted(changes.pages.items()))
    while some_pages := list(islice(waiting, _MAX_PLACES)):
        _upsert(connection, some_pages, size)


def _upsert(connection: Connection, pages: Sequence[tuple[int, Page]], size: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(
            _UPSERT_POSTGRESQL,
            {
                "ids": [place for place, _ in pages],
                "leaves": [page.leaves for _, page in pages],
                "hashes": [page.hash for _, page in pages],
                "size": size,
            },
        )
        return
    statement = insert_sqlite(map_pages)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={name: statement.excluded[name] for name in ("leaves", "hash", "size")},
        ),
        _rows(pages, size),
    )


_UPSERT_POSTGRESQL = text(
    "INSERT INTO map_pages (id, leaves, hash, size) "
    "SELECT given.id, given.leaves, given.hash, :size FROM unnest(CAST(:ids AS bigint[]), "
    "CAST(:leaves AS bytea[]), CAST(:hashes AS bytea[])) AS given(id, leaves, hash) "
    "ON CONFLICT (id) DO UPDATE SET leaves = excluded.leaves, hash = excluded.hash, "
    "size = excluded.size"
)


def is_behind(connection: Connection) -> bool:
    """Do the pages not know of leaves that were published?

    So it is after an upgrade from the revision that had none, and after that revision ran again for
    a while: every publication of ours that sets leaves sets pages. Both answers come from indexes.
    """
    newest = connection.scalar(select(func.max(map_leaves.c.size))) or 0
    return newest > (connection.scalar(select(func.max(map_pages.c.size))) or 0)


def fill(connection: Connection, size: int) -> None:
    """Make every page anew out of the stored leaves, as those of the checkpoint of `size` entries.

    Streaming: memory does not depend on the number of leaves.
    """
    connection.execute(delete(map_pages))
    with closing(stream_values(connection)) as values:
        pages = pages_of(values)
        while some := list(islice(pages, _MAX_PLACES)):
            connection.execute(insert(map_pages), _rows(some, size))


def count_pages(connection: Connection) -> int:
    """How many pages the published map has."""
    return connection.scalar(select(func.count()).select_from(map_pages)) or 0


def _rows(pages: Sequence[tuple[int, Page]], size: int) -> list[dict[str, object]]:
    return [
        {"id": place, "leaves": page.leaves, "hash": page.hash, "size": size}
        for place, page in pages
    ]
