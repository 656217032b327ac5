"""Disclosures (salt, name, value) of concealed members, kept apart from the events they belong to.

Whether a disclosure fits its event is judged by the caller (domain.disclosure). A row may be
deleted: that is how personal data is erased, and no hash, signature or proof depends on it. A row
is never widened: the audience that came first stands, or a reader who was shown a member could open
it to all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, tuple_

from provenance.storage.tables import disclosures

PUBLIC = "public"

_KEYS_A_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class DisclosureRow:
    """One disclosure: `text` as issued (base64url), `digest` as in the event, who may read it."""

    upload_id: int
    leaf: int
    digest: str
    text: str
    audience: tuple[str, ...]


def insert_disclosures(connection: Connection, rows: Sequence[DisclosureRow]) -> None:
    """Append disclosures that are not there yet; the caller has looked."""
    if rows:
        connection.execute(
            insert(disclosures),
            [
                {
                    "upload_id": row.upload_id,
                    "leaf": row.leaf,
                    "digest": row.digest,
                    "text": row.text,
                    "audience": json.dumps(sorted(row.audience)),
                }
                for row in rows
            ],
        )


def read_disclosures(
    connection: Connection,
    wanted: Sequence[tuple[int, int]],
    roles: Collection[str] | None = (PUBLIC,),
) -> dict[tuple[int, int], list[DisclosureRow]]:
    """Disclosures by (upload id, leaf) that a reader in one of `roles` may see; None: all of them.

    In order of digest. Erased ones are simply not there.
    """
    found: dict[tuple[int, int], list[DisclosureRow]] = {}
    key = tuple_(disclosures.c.upload_id, disclosures.c.leaf)
    for start in range(0, len(wanted), _KEYS_A_STATEMENT):
        rows = connection.execute(
            select(disclosures)
            .where(key.in_(wanted[start : start + _KEYS_A_STATEMENT]))
            .order_by(disclosures.c.upload_id, disclosures.c.leaf, disclosures.c.digest)
        )
        for row in rows:
            audience = tuple(json.loads(row.audience))
            if roles is None or set(audience) & {PUBLIC, *roles}:
                found.setdefault((row.upload_id, row.leaf), []).append(
                    DisclosureRow(row.upload_id, row.leaf, row.digest, row.text, audience)
                )
    return found
