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
from typing import Final

from sqlalchemy import Connection, delete, func, select

from merkle.pagemap import Page, PageChanges, pages_of
from provenance.storage.bulk import insert_rows, read_rows, upsert_rows
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
    found: dict[int, bytes] = {}
    for start in range(0, len(places), _MAX_PLACES):
        some = places[start : start + _MAX_PLACES]
        found.update(read_rows(connection, "SELECT id, leaves FROM map_pages WHERE id", some))
    return found


def read_stored(connection: Connection, places: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
    """The same with what was worked out of the leaves; empty where nobody wrote that."""
    found: dict[int, tuple[bytes, bytes]] = {}
    for start in range(0, len(places), _MAX_PLACES):
        rows = read_rows(
            connection,
            "SELECT id, leaves, nodes FROM map_pages WHERE id",
            places[start : start + _MAX_PLACES],
        )
        found.update((place, (leaves, nodes or b"")) for place, leaves, nodes in rows)
    return found


def write_pages(connection: Connection, changes: PageChanges, size: int) -> None:
    """Set rows as the checkpoint of `size` entries has them, and delete those of cut pages."""
    for start in range(0, len(changes.removed), _MAX_PLACES):
        some = changes.removed[start : start + _MAX_PLACES]
        connection.execute(delete(map_pages).where(map_pages.c.id.in_(some)))
    upsert_rows(connection, map_pages, "id", _COLUMNS, _rows(sorted(changes.pages.items()), size))


_COLUMNS: Final = ("id", "leaves", "hash", "size", "nodes")


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
            insert_rows(connection, map_pages, _COLUMNS, _rows(some, size))


def count_pages(connection: Connection) -> int:
    """How many pages the published map has."""
    return connection.scalar(select(func.count()).select_from(map_pages)) or 0


def _rows(
    pages: Sequence[tuple[int, Page]], size: int
) -> list[tuple[int, bytes, bytes, int, bytes]]:
    return [(place, page.leaves, page.hash, size, page.summary) for place, page in pages]
