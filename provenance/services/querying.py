"""Plain questions about what is stored: parties as they stand now, receipts as given, tiles.

Read only. Nothing here is proof: the proof of a party is its passport.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from merkle.proofs import prove_consistency
from merkle.tiles import TileHashReader
from merkle.tree import root_at
from provenance.domain.party import Party
from provenance.domain.seal_line import SealLine
from provenance.services.reading import Reader
from provenance.services.receipts import unpack_receipt
from provenance.storage import events as event_rows
from provenance.storage import log
from provenance.storage import parties as party_rows
from provenance.storage import seals as seal_rows
from provenance.storage import tiles as storage_tiles
from provenance.storage.session import Database
from provenance.storage.tiles import TileMissingError, TileStore, require_path


def list_parties(database: Database, *, after: str = "", limit: int = 1_000) -> list[Party]:
    """Parties in order of URI, at most `limit`, starting behind the URI `after`."""
    with database.read() as connection:
        rows = party_rows.list_parties(connection, after=after, limit=limit)
    return [Party.from_json(json.loads(row.state)) for row in rows]


def find_party(database: Database, uri: str) -> Party | None:
    """The party of this canonical URI, or None."""
    with database.read() as connection:
        row = party_rows.find_parties(connection, [uri]).get(uri)
    return None if row is None else Party.from_json(json.loads(row.state))


def find_receipt(database: Database, seal_hash: bytes) -> bytes | None:
    """The canonical bytes of the receipt that the batch under this seal (32 bytes) was first
    given, or None."""
    with database.read() as connection:
        stored = event_rows.find_sealed_upload(connection, seal_hash)
    return None if stored is None else unpack_receipt(stored.answers, stored.leaves).encode()


def list_seals(reader: Reader, *, after: int, limit: int) -> Sequence[SealLine]:
    """Published uploads beyond the log index `after`, in the order of the log, with their seals."""
    return reader.answer(lambda connection: seal_rows.read_page(connection, after, limit))


def find_consistency(
    database: Database, tiles: TileStore, old: int, new: int
) -> tuple[bytes, list[bytes]] | None:
    """The root at `old` and the consistency proof from there to `new`; 0 < old <= new.

    None beyond the published log. Whoever holds another root of that size, signed, holds with the
    proof the evidence of a fork.
    """
    with database.read() as connection:
        publication = log.read_publication(connection)
    if publication is None or new > publication.size:
        return None
    reader = TileHashReader(lambda path: storage_tiles.read_tile(tiles, path), publication.size)
    return root_at(old, reader), prove_consistency(old, new, reader)


def read_tile(tiles: TileStore, path: str) -> bytes | None:
    """The bytes at the path of a tile or map delta, or None.

    Raises merkle's TilePathError for any other path, before the store sees it.
    """
    require_path(path)
    try:
        return tiles.read(path)
    except TileMissingError:
        return None
