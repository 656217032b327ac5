"""Do the stored rows say one thing? Asked after every test of capture, whatever happened in it.

A small fsck over what capture writes, from the definitions of docs/formats.md and nothing of the
code under test but the decoder of links.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select, text

from merkle.hashing import leaf_hash
from merkle.tiles import decode_bundle
from merkle.tree import root_of
from provenance.domain.canonical import decode_base64
from provenance.domain.chain import decode_link, subject_key
from provenance.storage import tables
from provenance.storage.session import Database

COUNTED = ("subjects", "parties", "uploads", "seals", "events", "links", "disclosures")


def snapshot(database: Database) -> dict[str, Any]:
    """Row counts, heads and party states: equal before and after a refusal."""
    with database.read() as connection:
        counts: dict[str, Any] = {
            name: connection.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608
            for name in COUNTED
        }
        rows = connection.execute(select(tables.subjects).order_by(tables.subjects.c.uri))
        counts["heads"] = [(row.uri, row.count, row.head, row.time) for row in rows]
        parties = connection.execute(select(tables.parties).order_by(tables.parties.c.uri))
        counts["states"] = [(row.uri, row.state) for row in parties]
    return counts


def audit(database: Database) -> None:
    """Assert that chains, heads, uploads, seals and events fit together exactly."""
    with database.read() as connection:
        events = {
            (row.upload_id, row.leaf): row for row in connection.execute(select(tables.events))
        }
        seals = {row.upload_id: row for row in connection.execute(select(tables.seals))}
        _audit_events(events, seals)
        linked = _audit_chains(connection, events, seals)
        assert linked == set(events), "every event stands on a chain, and no other"
        _audit_uploads(connection, seals)


def _audit_events(events: dict[tuple[int, int], Any], seals: dict[int, Any]) -> None:
    for (upload, leaf), row in events.items():
        assert row.hash == leaf_hash(row.bytes)
        if upload in seals:
            assert seals[upload].leaves[32 * leaf : 32 * leaf + 32] == row.hash
    for row in seals.values():
        assert row.hash == leaf_hash(row.bytes)
        leaves = [row.leaves[i : i + 32] for i in range(0, len(row.leaves), 32)]
        assert root_of(leaves) == decode_base64(json.loads(row.bytes)["root"], 32)


def _audit_chains(
    connection: Connection, events: dict[tuple[int, int], Any], seals: dict[int, Any]
) -> set[tuple[int, int]]:
    linked: set[tuple[int, int]] = set()
    rows = connection.execute(
        select(tables.links).order_by(tables.links.c.subject_id, tables.links.c.seq)
    ).all()
    for subject in connection.execute(select(tables.subjects)):
        assert subject.key == subject_key(subject.uri)
        chain = [row for row in rows if row.subject_id == subject.id]
        before, newest, upload = None, 0, 0
        for seq, row in enumerate(chain):
            link = decode_link(row.bytes)
            event = events[row.upload_id, row.leaf]
            seal = seals[row.upload_id].hash if row.upload_id in seals else event.hash
            assert (link.key, link.seq, link.prev) == (subject.key, seq, before)
            assert link.event == row.event_hash == event.hash
            assert link.seal == seal
            assert link.time >= newest, "time never falls along a chain"
            assert row.upload_id >= upload, "id order respects every chain"
            before, newest, upload = leaf_hash(row.bytes), link.time, row.upload_id
            linked.add((row.upload_id, row.leaf))
        assert (subject.count, subject.head) == (len(chain), before)
        assert subject.time == (newest if chain else None)
    return linked


def _audit_uploads(connection: Connection, seals: dict[int, Any]) -> None:
    for upload in connection.execute(select(tables.uploads)):
        own = connection.execute(
            select(tables.links)
            .where(tables.links.c.upload_id == upload.id)
            .order_by(tables.links.c.ordinal)
        ).all()
        assert [row.ordinal for row in own] == list(range(upload.links))
        if upload.entries is not None:
            assert list(decode_bundle(upload.entries, upload.links)) == [row.bytes for row in own]
        assert all(decode_link(row.bytes).time == upload.accepted_at for row in own)
        assert (upload.seal_id is not None) == (upload.id in seals)
