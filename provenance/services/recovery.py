"""What a sequencer does before it may sign: read back all that was signed, and compare.

Four places hold a checkpoint: the database's signed state (`log_state`), its `publication`, the
published checkpoint file, and the copy beside the keys (`storage.tiles.LastSigned`). They may lag
behind one another by what a crash between two steps of :mod:`provenance.services.sequencing`
leaves, and are then completed. Anything else means that one of them was restored from a backup,
belongs to another log or was altered: the log key must then sign nothing, and
:class:`SequencerRefusalError` names both sides.

Re-read here: the signature on each of the four; the tiles on the right edge with their hashes at
every level; the last entry bundle against level 0; the last entry, a map head; that no tile lies
beyond the signed size, since tiles are written for signed checkpoints only (so an old database is
noticed by the tiles alone, were the checkpoint file and the copy beside the keys both gone); the
map that its stored pages make, by their hashes, against that map head; and, when the publication
lags, the whole batch in between, worked out again from `uploads.entries`. Pages and states that a
batch touches are compared when they are read (:mod:`provenance.services.growth`). The rest of the
log is for `provenance fsck`. All of these from one old backup would agree: then only a witness can
tell, which is why the copy beside the keys is no part of a restore.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import MerkleError
from merkle.hashing import leaf_hash
from merkle.note import Verifier, open_note
from merkle.pagemap import PageMap
from merkle.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    TileAddress,
    TileHashReader,
    decode_bundle,
    entries_path,
    parse_path,
)
from merkle.tree import root_of
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, decode_entry
from provenance.services.growth import (
    DamagedLogError,
    Fetch,
    Growth,
    Position,
    grow,
    position_after,
    read_tree,
)
from provenance.storage import keymap as map_rows
from provenance.storage import log, mappages
from provenance.storage.log import LogState, PendingUpload
from provenance.storage.session import Connection
from provenance.storage.tiles import LastSigned, TileMissingError, TileStore, read_tile

_CACHED_PAGES = 16_384
"""Pages kept between batches: all of them up to some 350,000 subjects, 45 MB at most."""

SIGNED = "the database's signed state (log_state)"
PUBLISHED = "the database's publication"
CHECKPOINT_FILE = "the published checkpoint file"
LAST_SIGNED = "the copy of the last signed checkpoint beside the keys"


_RESTORE = (
    "A tree smaller than or different from one that was signed before would be a fork of the log. "
    "Restore database, tiles and keys that belong together (docs/restore.md), and run "
    "`provenance fsck`"
)


class SequencerRefusalError(DomainError):
    """The sequencer must not sign: what it signed before and what it finds do not go together."""

    def __init__(self, one: str, other: str, remedy: str = _RESTORE) -> None:
        super().__init__(f"refusing to sign: {one}, but {other}. {remedy}")
        self.one = one
        self.other = other
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Statement:
    """A checkpoint under the log's good signature, and the place where it was found."""

    place: str
    checkpoint: Checkpoint

    def __str__(self) -> str:
        return (
            f"{self.place} says size {self.checkpoint.size} with root {self.checkpoint.root.hex()}"
        )


@dataclass(frozen=True, slots=True)
class Recovered:
    """The log as it was left. `growth` is the signed batch that still has to be published, if any.

    `position` is the log with that batch; `keymap` likewise; `state` None before the first
    checkpoint.
    """

    state: LogState | None
    position: Position
    keymap: PageMap
    growth: Growth | None
    last_signed: Checkpoint | None


def recover(
    connection: Connection,
    store: TileStore,
    last_signed: LastSigned,
    verifiers: Sequence[Verifier],
    origin: str,
) -> Recovered:
    """Compare everything; nothing is written. `connection` is one snapshot, read under the lease.

    Raises SequencerRefusalError; errors of the stores pass.
    """
    state = log.read_state(connection)
    publication = log.read_publication(connection)
    found = {
        SIGNED: None if state is None else state.note,
        PUBLISHED: None if publication is None else publication.note,
        CHECKPOINT_FILE: store.read_checkpoint(),
        LAST_SIGNED: last_signed.read(),
    }
    statements = {
        place: read_statement(place, note, verifiers, origin)
        for place, note in found.items()
        if note is not None
    }
    if state is None:
        _require_unused(connection, statements)
        _require_nothing_beyond(store, 0, f"{SIGNED} is empty")
        return Recovered(None, Position(), PageMap(), None, None)
    signed = statements[SIGNED]
    _require_column(signed, state.size)
    if publication is not None:
        _require_column(statements[PUBLISHED], publication.size)
    for statement in statements.values():
        require_not_ahead(signed, statement)
    try:
        _require_nothing_beyond(store, state.size, str(signed))
        return _rebuild(connection, store, state, statements)
    except (DamagedLogError, TileMissingError, MerkleError) as error:
        raise SequencerRefusalError(str(signed), str(error)) from error


def _rebuild(
    connection: Connection, store: TileStore, state: LogState, statements: dict[str, Statement]
) -> Recovered:
    def fetch(path: str) -> bytes:
        return read_tile(store, path)

    signed = statements[SIGNED]
    published = statements.get(PUBLISHED)
    before = Position() if published is None else check_tail(published.checkpoint, fetch)
    keymap = _read_map(connection, before)
    growth = None
    position = before
    if before.size < signed.checkpoint.size:
        growth = _redo(connection, before, keymap, fetch)
        position = growth.after
    _require_state(state, signed, position)
    tree = growth.tree if growth is not None else read_tree(position, fetch)
    for statement in statements.values():
        root = tree.root(statement.checkpoint.size)
        if root != statement.checkpoint.root:
            raise SequencerRefusalError(
                str(statement), f"the log of {SIGNED} has root {root.hex()} at that size"
            )
    copy = statements.get(LAST_SIGNED)
    return Recovered(state, position, keymap, growth, None if copy is None else copy.checkpoint)


def read_statement(
    place: str, note: bytes, verifiers: Sequence[Verifier], origin: str
) -> Statement:
    """The checkpoint of a note under the log's good signature; else SequencerRefusalError."""
    try:
        checkpoint = parse_checkpoint(open_note(note, verifiers).text)
    except MerkleError as error:
        raise SequencerRefusalError(
            f"{place} should be a checkpoint signed by this log's key", str(error)
        ) from error
    if checkpoint.origin != origin:
        raise SequencerRefusalError(
            f"this is the log {origin}", f"{place} is of the log {checkpoint.origin}"
        )
    return Statement(place, checkpoint)


def check_tail(checkpoint: Checkpoint, fetch: Fetch) -> Position:
    """Re-read the right edge of the stored log at a published checkpoint (size > 0).

    Raises DamagedLogError, storage.tiles.TileMissingError, merkle.errors.MerkleError.
    """
    size = checkpoint.size
    if size == 0:
        raise DamagedLogError("published checkpoint", "at least one entry", "size 0")
    read_tree(Position(size, checkpoint.root), fetch)
    reader = TileHashReader(fetch, size)
    _check_edge(size, reader)
    return position_after(_check_last_bundle(size, reader, fetch), checkpoint.root)


def _check_edge(size: int, reader: TileHashReader) -> None:
    """At each level, the last full tile hashes to what the level above says of it.

    The root alone does not show this: at size 256 it is read from level 1, and level 0 is not.
    """
    level = 0
    while full := size >> (TILE_HEIGHT * (level + 1)):
        first = (full - 1) * TILE_WIDTH
        hashes = [reader.read_hash(TILE_HEIGHT * level, first + i) for i in range(TILE_WIDTH)]
        above = reader.read_hash(TILE_HEIGHT * (level + 1), full - 1)
        if root_of(hashes) != above:
            raise DamagedLogError(
                f"hash of tile {full - 1} at level {level}", above.hex(), root_of(hashes).hex()
            )
        level += 1


def _check_last_bundle(size: int, reader: TileHashReader, fetch: Fetch) -> MapHead:
    """The last bundle hashes to the last tile, and its last entry is the map head of this size."""
    index, place = divmod(size - 1, TILE_WIDTH)
    entries = decode_bundle(fetch(entries_path(index, place + 1)), place + 1)
    for offset, entry in enumerate(entries):
        expected = reader.read_hash(0, index * TILE_WIDTH + offset)
        if leaf_hash(entry) != expected:
            raise DamagedLogError(
                f"leaf hash of stored entry {index * TILE_WIDTH + offset}",
                expected.hex(),
                leaf_hash(entry).hex(),
            )
    head = decode_entry(entries[-1])
    if not isinstance(head, MapHead) or head.index != size - 1:
        raise DamagedLogError(f"entry {size - 1}", "the map head of this size", repr(head)[:200])
    return head


def _read_map(connection: Connection, position: Position) -> PageMap:
    """The map of the stored pages, compared with the map head at `position`.

    Their hashes only: each page is compared with its own when it is read. How many subjects there
    are is the map head's word, which the log's signature covers.
    """
    with closing(mappages.read_hashes(connection)) as hashes:
        keymap = PageMap.load(hashes, position.subjects, cached=_CACHED_PAGES)
    if keymap.root() != position.map_root:
        raise DamagedLogError(
            f"map of the stored pages at size {position.size}",
            f"root {position.map_root.hex()}",
            f"root {keymap.root().hex()}",
        )
    return keymap


def _redo(connection: Connection, before: Position, keymap: PageMap, fetch: Fetch) -> Growth:
    """The batch that was signed and not published, worked out again from the uploads it took."""
    uploads = log.unpublished_uploads(connection, before.size)
    _require_contiguous(before.size, uploads)
    return grow(
        before,
        uploads=uploads,
        keymap=keymap,
        read=partial(mappages.read_stored, connection),
        read_states=partial(map_rows.read_states, connection),
        fetch=fetch,
    )


def _require_contiguous(start: int, uploads: Sequence[PendingUpload]) -> None:
    for upload in uploads:
        if upload.first_index != start:
            raise DamagedLogError(
                f"first log index of upload {upload.id}", str(start), str(upload.first_index)
            )
        start += len(upload.entries)


def _require_unused(connection: Connection, statements: dict[str, Statement]) -> None:
    """A log without a signed state must not have left traces anywhere."""
    for statement in statements.values():
        raise SequencerRefusalError(f"{SIGNED} is empty", str(statement))
    if leaves := map_rows.count_leaves(connection):
        raise SequencerRefusalError(f"{SIGNED} is empty", f"the map has {leaves} stored leaves")
    if pages := mappages.count_pages(connection):
        raise SequencerRefusalError(f"{SIGNED} is empty", f"the map has {pages} stored pages")


def _require_nothing_beyond(store: TileStore, size: int, signed: str) -> None:
    """No level 0 tile reaches beyond `size`: whatever grew from it left one of these.

    A larger log has, at the index where `size` ends, a wider partial tile or the full one.
    """
    index, width = divmod(size, TILE_WIDTH)
    for path in store.forms(TileAddress(0, index, TILE_WIDTH).path()):
        if parse_path(path).width > width:
            raise SequencerRefusalError(signed, f"the tile directory holds {path} of a larger log")


def _require_column(statement: Statement, size: int) -> None:
    if statement.checkpoint.size != size:
        raise SequencerRefusalError(str(statement), f"the column beside it says size {size}")


def require_not_ahead(signed: Statement, other: Statement) -> None:
    """Raise SequencerRefusalError where `other` is larger, or of the same size and another root."""
    if other.checkpoint.size > signed.checkpoint.size:
        raise SequencerRefusalError(str(signed), str(other))
    same_size = other.checkpoint.size == signed.checkpoint.size
    if same_size and other.checkpoint.root != signed.checkpoint.root:
        raise SequencerRefusalError(str(signed), str(other))


def _require_state(state: LogState, signed: Statement, position: Position) -> None:
    """The signed state is exactly what the stored bytes give."""
    stated = Position(
        state.size,
        signed.checkpoint.root,
        state.map_root,
        state.subjects,
        state.ignored,
        state.map_head_index,
    )
    if position != stated:
        raise SequencerRefusalError(
            f"{signed} and {_describe(stated)}",
            f"the stored uploads and tiles give size {position.size} with root "
            f"{position.root.hex()} and {_describe(position)}",
        )


def _describe(position: Position) -> str:
    return (
        f"map root {position.map_root.hex()} of {position.subjects} subjects at entry "
        f"{position.map_head}, {position.ignored} links ignored"
    )
