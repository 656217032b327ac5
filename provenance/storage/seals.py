"""Published uploads with their seals, in the order of the log, a page at a time.

Only what readers may see: uploads whose links lie below the published size. A page is bounded twice
(uploads and bytes), and its size is known from small columns before any large one is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from provenance.domain.canonical import MAX_SEAL_BYTES
from provenance.domain.seal_line import SealLine
from provenance.storage.tables import publication, seals, uploads

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Seals and leaves of one page, as stored; a page holds one upload at least."""


def read_page(connection: Connection, after: int, limit: int) -> Sequence[SealLine]:
    """At most `limit` published uploads whose first link stands beyond log index `after`.

    Uploads in which nothing was new have no link in the log and do not occur.
    """
    room = MAX_PAGE_BYTES
    last = after
    for index, size in connection.execute(_published(after, limit, seals.c.size)):
        room -= MAX_SEAL_BYTES + 32 * (size or 0)
        if room < 0 and last != after:
            break
        last = index
    query = _published(after, limit, uploads.c.links, seals.c.bytes, seals.c.leaves)
    return [SealLine(*tuple(row)) for row in connection.execute(query.where(_first_index <= last))]


_first_index = uploads.c.first_index


def _published(after: int, limit: int, *columns: Any) -> Select[Any]:
    """`columns` beside the first index, of uploads with links in the published log."""
    chosen: Select[Any] = select(_first_index, *columns)
    size = select(publication.c.size).scalar_subquery()
    return (
        chosen.outerjoin(seals, seals.c.upload_id == uploads.c.id)
        .where(_first_index > after, _first_index < size)
        .order_by(_first_index)
        .limit(limit)
    )
