"""What could have been seen outside by now, and whether it all belongs to one history.

The outside view of a log: every checkpoint that any place holds or any process said, and the tile
files. Two checkpoints disagree when they are not both states of the log as its tiles are now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.hashing import HASH_SIZE
from merkle.note import Verifier, open_note, parse_note
from merkle.tiles import TILE_WIDTH, TileAddress, TileHashReader
from merkle.tree import root_at
from provenance.services.checking import fsck
from provenance.storage import log
from provenance.storage.session import Database
from provenance.storage.tiles import LastSigned, TileStore, read_tile
from tests.support.builders import ORIGIN
from tests.support.ledger import COSIGNER, SIGNER, Ledger


def audit(ledger: Ledger) -> dict[str, int]:
    """Everything derived again; what was counted."""
    report = fsck(
        ledger.database,
        ledger.tiles,
        ORIGIN,
        SIGNER.vkey,
        last_signed=ledger.last_signed,
        cosigners=[COSIGNER.vkey],
    )
    assert report.difference is None, report.difference
    return report.checked


def notes(database: Database, tiles: TileStore, last_signed: LastSigned) -> Iterator[bytes]:
    """The signed notes of the four places that hold one."""
    with database.read() as connection:
        state = log.read_state(connection)
        publication = log.read_publication(connection)
    found = [None if state is None else state.note]
    found.append(None if publication is None else publication.note)
    found += [tiles.read_checkpoint(), last_signed.read()]
    yield from (note for note in found if note is not None)


def seen(ledger: Ledger) -> set[Checkpoint]:
    """Every checkpoint that could have been seen outside the process by now."""
    return {
        parse_checkpoint(parse_note(note).text)
        for note in notes(ledger.database, ledger.tiles, ledger.last_signed)
    }


def opened(note: bytes, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint of a note that the log has signed; raises merkle's errors."""
    return parse_checkpoint(open_note(note, list(verifiers)).text)


def disagreeing(tiles: TileStore, checkpoints: Iterable[Checkpoint]) -> list[str]:
    """Those that are no states of the log as it now is; none, and no two of them disagree."""
    wanted = set(checkpoints)
    size = max(checkpoint.size for checkpoint in wanted)
    reader = TileHashReader(lambda path: read_tile(tiles, path), size)
    return [
        f"checkpoint {checkpoint}"
        for checkpoint in wanted
        if root_at(checkpoint.size, reader) != checkpoint.root
    ]


def require_one_history(ledger: Ledger, checkpoints: set[Checkpoint]) -> None:
    """All of them are states of the log as it now is."""
    assert not disagreeing(ledger.tiles, checkpoints)


def leaves(tiles: TileStore, size: int) -> list[bytes]:
    """The leaf hashes of the log, out of its level 0 tiles as any reader fetches them."""
    found: list[bytes] = []
    for index in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        data = read_tile(tiles, TileAddress(0, index, width).path())
        found += [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
    return found
