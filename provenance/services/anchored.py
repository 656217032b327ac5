"""Stored anchors as passports and the interface show them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from merkle.proofs import prove_consistency
from merkle.tree import HashReader
from provenance.domain.moments import format_ledger_time, format_seconds
from provenance.domain.passport import Anchor
from provenance.storage.anchors import AnchorRow, list_newest
from provenance.storage.session import Database


def bundle_anchors(rows: Iterable[AnchorRow], size: int, reader: HashReader) -> tuple[Anchor, ...]:
    """Confirmed rows of sizes up to `size`, as a bundle whose checkpoint is of `size` has them."""
    return tuple(
        Anchor(
            kind=row.kind,
            checkpoint=row.checkpoint.decode(),
            consistency=tuple(prove_consistency(row.size, size, reader)),
            time=format_seconds(row.time // 1000),
            proof=json.loads(row.proof),
        )
        for row in rows
        if row.time is not None and row.proof is not None
    )


def bytes_of(anchors: Iterable[Anchor]) -> int:
    """An upper bound of what they take in a bundle."""
    return sum(
        200 + len(a.checkpoint) * 2 + 47 * len(a.consistency) + len(json.dumps(dict(a.proof)))
        for a in anchors
    )


def list_anchors(database: Database, limit: int) -> list[dict[str, Any]]:
    """The latest requests, newest first: what was asked of whom, and what was answered."""
    with database.read() as connection:
        rows = list_newest(connection, limit)
    return [
        {
            "kind": row.kind,
            "size": row.size,
            "state": "pending" if row.time is None else "confirmed",
            "requested": format_ledger_time(row.requested_at),
            "time": None if row.time is None else format_seconds(row.time // 1000),
            "checkpoint": row.checkpoint.decode(),
            "proof": None if row.proof is None else json.loads(row.proof),
        }
        for row in rows
    ]
