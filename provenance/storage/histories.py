"""Published histories, read by the level: all links of many subjects with their events, at once.

Only what the published map holds is seen: a subject's links are those below `map_leaves.count`,
which moves in the same transaction as `publication`, so that links which are accepted and not yet
published stay out.

One statement a call, however many subjects: the price of a passport is that of its depth, not of
its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from provenance.storage.tables import events, links, map_leaves, parties, subjects

_MAX_URIS = 500  # URIs in one IN list


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One published link with its event. `count`, `head`, `root`, `index` are the subject's own.

    `party` is the URI of whoever sealed the event; `time` the event's claimed time in microseconds.
    """

    uri: str
    count: int
    head: bytes
    root: bytes
    index: int
    link: bytes
    upload_id: int
    leaf: int
    hash: bytes
    event: bytes
    event_time: int
    party: str


def count_links(connection: Connection, uris: Sequence[str]) -> int:
    """How many published links these subjects have together: what :func:`read_histories` costs."""
    total = 0
    query = (
        select(func.coalesce(func.sum(map_leaves.c["count"]), 0))
        .select_from(subjects)
        .join(map_leaves, map_leaves.c.key == subjects.c.key)
    )
    for start in range(0, len(uris), _MAX_URIS):
        chosen = query.where(subjects.c.uri.in_(uris[start : start + _MAX_URIS]))
        total += int(connection.scalar(chosen) or 0)
    return total


def read_histories(connection: Connection, uris: Sequence[str]) -> Iterator[HistoryRow]:
    """The published links of those of `uris` that have any, by subject and then by seq."""
    query = (
        select(
            subjects.c.uri,
            map_leaves.c["count"],
            map_leaves.c.head,
            map_leaves.c.root,
            map_leaves.c.head_index,
            links.c.bytes,
            links.c.upload_id,
            links.c.leaf,
            events.c.hash,
            events.c.bytes,
            events.c.event_time,
            parties.c.uri,
        )
        .select_from(subjects)
        .join(map_leaves, map_leaves.c.key == subjects.c.key)
        .join(
            links,
            and_(links.c.subject_id == subjects.c.id, links.c.seq < map_leaves.c["count"]),
        )
        .join(
            events,
            and_(events.c.upload_id == links.c.upload_id, events.c.leaf == links.c.leaf),
        )
        .join(parties, parties.c.id == events.c.party_id)
        .order_by(subjects.c.id, links.c.seq)
    )
    for start in range(0, len(uris), _MAX_URIS):
        chosen = query.where(subjects.c.uri.in_(uris[start : start + _MAX_URIS]))
        for row in connection.execute(chosen):
            yield HistoryRow(*tuple(row))
