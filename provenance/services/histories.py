"""Histories: one subject's published links and events, as its map value names them.

What a map value names stays that history for ever, so whoever holds one may keep it. Whether the
stored leaf is the one that the published map has is for the caller to compare (`History.value`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from provenance.domain.chain import Link, decode_link
from provenance.domain.event import Event, subjects_of
from provenance.domain.ledger import map_value
from provenance.domain.passport import MapEntry
from provenance.domain.trace import Step, read_chain
from provenance.storage.histories import HistoryRow, read_histories
from provenance.storage.session import Connection

Place = tuple[int, int]
"""Where an event is stored: (upload id, leaf)."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of a history; `concealing` if a disclosure could apply to it."""

    place: Place
    event: Event
    party: str
    own_proof: bool
    concealing: bool


@dataclass(frozen=True, slots=True)
class History:
    """One subject's published history, as the map value `value` names it."""

    uri: str
    entry: MapEntry
    links: tuple[Link, ...]
    events: tuple[StoredEvent, ...]
    steps: tuple[Step, ...]

    @property
    def value(self) -> bytes:
        """The map value that this history gives."""
        entry = self.entry
        return map_value(entry.count, entry.head, entry.root, entry.index)


def load_histories(connection: Connection, uris: Sequence[str]) -> list[History]:
    """The histories of those subjects that have one, in one statement; in no certain order."""
    rows: dict[str, list[HistoryRow]] = {}
    for row in read_histories(connection, uris) if uris else ():
        rows.setdefault(row.uri, []).append(row)
    return [_history(uri, chain) for uri, chain in rows.items()]


def _history(uri: str, rows: Sequence[HistoryRow]) -> History:
    links = tuple(decode_link(row.link) for row in rows)
    events = tuple(map(_event, rows))
    steps = read_chain(
        (one.event, link.time, one.party) for one, link in zip(events, links, strict=True)
    )
    first = rows[0]
    entry = MapEntry(first.count, first.head, first.root, first.index)
    return History(uri, entry, links, events, tuple(steps))


def _event(row: HistoryRow) -> StoredEvent:
    # The bytes are canonical since capture (fsck proves it): no need to judge them at each reading.
    document = json.loads(row.event)
    event = Event(document, row.event, row.hash, subjects_of(document), row.event_time)
    concealing = b'"prov:_sd":' in row.event
    return StoredEvent((row.upload_id, row.leaf), event, row.party, "proof" in document, concealing)
