"""The log's half of `provenance fsck`: replay every entry, and compare all that was derived from
it.

Entries are read from the bundles, bundle by bundle, and hashed anew; nothing that is compared is
also used to compute. Out of them come: each tile at every level, each root that was ever found
signed, the map at every map head and the delta beside it, the states of all subjects. Beside them
runs the database: every sequenced link at its index.

What is signed and not published yet (at most one batch) is replayed from `uploads.entries`, as
recovery would.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from merkle.checkpoint import Checkpoint
from merkle.errors import TileError, TilePathError
from merkle.hashing import HASH_SIZE, leaf_hash
from merkle.keymap import KeyMap
from merkle.mapnode import KEY_SIZE
from merkle.pagemap import pages_of, split_leaves
from merkle.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    decode_bundle,
    entries_path,
    parse_path,
    tile_path,
)
from merkle.tree import Edge, root_of
from provenance.domain.chain import Link
from provenance.domain.delta import DELTA_PREFIX, MapDelta, delta_path, parse_delta_path
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, SubjectState, apply_link, decode_entry
from provenance.storage.audit import MapLeafRow, MapPageRow, SequencedLink
from provenance.storage.log import LogState, PendingUpload
from provenance.storage.tiles import TileMissingError, TileStore, cut, read_tile

Tally = Callable[[str, int], None]
"""``tally(what, count)``: so many more of these were checked."""

MissingDelta = Callable[[str, bytes], None]
"""``missing(path, data)``: a published map delta is absent; these are its bytes."""


class DifferenceError(DomainError):
    """Two things that must be equal are not: the end of a check."""

    def __init__(self, what: str, where: str, expected: object, found: object) -> None:
        super().__init__(f"{what} of {where}: expected {show(expected)}, found {show(found)}")
        self.what = what
        self.where = where
        self.expected = show(expected)
        self.found = show(found)


def show(value: object) -> str:
    """A value for a report: hashes in hex, longer bytes as text where they are text."""
    if not isinstance(value, bytes):
        return str(value)
    if len(value) == HASH_SIZE:
        return value.hex()
    return repr(value)[1:] if value.isascii() else value.hex()


def require_equal(what: str, where: str, expected: object, found: object) -> None:
    """Raise DifferenceError unless the two are equal."""
    if expected != found:
        raise DifferenceError(what, where, expected, found)


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that must be a state of this log, and where it was found."""

    place: str
    checkpoint: Checkpoint


class LogReplay:
    """The log, entry by entry. `index` counts entries, `states` are the subjects' states."""

    def __init__(
        self,
        store: TileStore,
        rows: Iterator[SequencedLink],
        signed: Sequence[Signed],
        tally: Tally,
        missing: MissingDelta | None = None,
    ) -> None:
        """`missing` is told of absent map deltas; without it, one is a difference."""
        self.index = 0
        self.states: dict[bytes, SubjectState] = {}
        self.heads: list[MapHead] = []
        self._store = store
        self._rows = rows
        self._signed = signed
        self._sizes = frozenset(one.checkpoint.size for one in signed)
        self._tally = tally
        self._missing = missing
        self._edge = Edge()
        self._keymap = KeyMap()
        # Of the batch that is gone through, by key: the state before it of every subject that a
        # link names, and the new value of every one that changed.
        self._named: dict[bytes, SubjectState | None] = {}
        self._changed: dict[bytes, bytes] = {}
        self._published = 0
        self._ignored = 0
        self._levels: list[list[bytes]] = [[]]  # hashes of the unfinished tile at each level

    # Entries

    def replay_published(self, size: int) -> None:
        """Every bundle, every tile and every map delta of the log's first `size` entries."""
        self._published = size
        for index in range(0, (size + TILE_WIDTH - 1) // TILE_WIDTH):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            self._take(self._read_bundle(index, width))
            self._tally("entry bundles", 1)
            if width == TILE_WIDTH:
                self._finish_tile(0, index, size)
        for level, hashes in enumerate(self._levels):
            if hashes:
                place = (size >> (TILE_HEIGHT * level)) // TILE_WIDTH
                self._compare_tile(tile_path(level, place, len(hashes)), hashes)

    def replay_unpublished(self, uploads: Sequence[PendingUpload]) -> None:
        """The batch after the published log, and the map head that was signed over it."""
        for upload in uploads:
            where = f"upload {upload.id}"
            require_equal("first log index", where, self.index, upload.first_index)
            self._take(upload.entries)
        self._compare_delta()
        self._move_map()
        head = MapHead(
            index=self.index,
            root=self._keymap.root(),
            subjects=len(self._keymap),
            ignored=self._ignored,
            previous=self.heads[-1].index if self.heads else None,
        )
        self._take([head.encode()])
        self._tally("uploads signed and not yet published", len(uploads))

    def require_state(self, state: LogState) -> None:
        """The columns beside the signed note are what the replay gives."""
        where = "log_state"
        require_equal("size", where, self.index, state.size)
        head = self.heads[-1]
        require_equal("map root", where, head.root, state.map_root)
        require_equal("index of the map head", where, head.index, state.map_head_index)
        require_equal("subjects", where, head.subjects, state.subjects)
        require_equal("ignored links", where, head.ignored, state.ignored)

    def require_no_more_rows(self) -> None:
        """No link in the database has an index at or above the signed size."""
        row = next(self._rows, None)
        if row is not None:
            raise DifferenceError(
                "sequenced link",
                f"index {row.index}",
                f"no index from {self.index} on",
                row.canonical,
            )

    def _read_bundle(self, index: int, width: int) -> list[bytes]:
        path = entries_path(index, width)
        try:
            return decode_bundle(read_tile(self._store, path), width)
        except TileMissingError as error:
            raise DifferenceError("file", error.path, "an entry bundle", "nothing") from error
        except TileError as error:
            raise DifferenceError("framing", path, f"{width} entries", error) from error

    def _take(self, entries: Sequence[bytes]) -> None:
        hashes = []
        for entry in entries:
            self._take_entry(entry)
            hashes.append(leaf_hash(entry))
            if self.index in self._sizes:
                self._edge = self._edge.extend(hashes)
                self._levels[0] += hashes
                hashes = []
                self._compare_roots()
        self._edge = self._edge.extend(hashes)
        self._levels[0] += hashes

    def _take_entry(self, entry: bytes) -> None:
        where = f"log entry {self.index}"
        decoded = decode_entry(entry)
        if isinstance(decoded, Link):
            if not self.index:
                raise DifferenceError("kind", where, "a map head", entry)
            self._compare_row(where, entry)
            self._apply(decoded)
            self._tally("links", 1)
        elif isinstance(decoded, MapHead):
            self._compare_head(where, decoded)
            self._tally("map heads", 1)
        else:
            raise DifferenceError("kind", where, "a link or a map head", entry)
        self.index += 1

    def _compare_row(self, where: str, entry: bytes) -> None:
        row = next(self._rows, None)
        if row is None or row.index != self.index:
            found = "none" if row is None else f"the next one at {row.index}"
            raise DifferenceError("database row", where, "a link of this index", found)
        require_equal("bytes (database against entry bundle)", where, row.canonical, entry)

    def _apply(self, link: Link) -> None:
        self._named.setdefault(link.key, self.states.get(link.key))
        state = apply_link(self.states.get(link.key), link, self.index)
        if state is None:
            self._ignored += 1
        else:
            self.states[link.key] = state
            self._changed[link.key] = state.value

    def _move_map(self) -> None:
        self._keymap.update(self._changed.items())
        self._changed = {}
        self._named = {}

    def _compare_delta(self) -> None:
        """The map's delta at this index is there and is what follows from the batch.

        Before the map is moved. That of a batch which is not published yet may still be absent.
        """
        path = delta_path(self.index)
        states = {key: state for key, state in self._named.items() if state is not None}
        delta = MapDelta(self.index, states, self._keymap.prove_transition(self._named))
        try:
            found = self._store.read(path)
        except TileMissingError as error:
            if self.index >= self._published:
                return
            if self._missing is not None:
                self._missing(path, delta.encode())
                self._tally("map deltas that were missing", 1)
                return
            raise DifferenceError("file", path, "a map delta", "nothing") from error
        _require_same_bytes(path, delta.encode(), found)
        self._tally("map deltas", 1)

    def _compare_head(self, where: str, head: MapHead) -> None:
        if self.index < self._published:
            self._compare_delta()
        self._move_map()
        require_equal("own index", where, self.index, head.index)
        require_equal("map root", where, self._keymap.root(), head.root)
        require_equal("subjects", where, len(self._keymap), head.subjects)
        require_equal("ignored links", where, self._ignored, head.ignored)
        previous = self.heads[-1].index if self.heads else None
        require_equal("previous map head", where, previous, head.previous)
        self.heads.append(head)

    # Hashes

    def _compare_roots(self) -> None:
        for one in self._signed:
            if one.checkpoint.size == self.index:
                root = self._edge.root()
                require_equal("root", one.place, root, one.checkpoint.root)
                self._tally("checkpoints", 1)

    def _finish_tile(self, level: int, index: int, size: int) -> None:
        """A full tile: compare it, and hand its hash to the level above."""
        hashes = self._levels[level]
        self._compare_tile(tile_path(level, index), hashes)
        self._levels[level] = []
        if level + 1 == len(self._levels):
            self._levels.append([])
        self._levels[level + 1].append(root_of(hashes))
        if len(self._levels[level + 1]) == TILE_WIDTH:
            self._finish_tile(level + 1, index // TILE_WIDTH, size)

    def _compare_tile(self, path: str, hashes: Sequence[bytes]) -> None:
        try:
            found = read_tile(self._store, path)
        except TileMissingError as error:
            raise DifferenceError("file", path, "a tile", "nothing") from error
        require_equal("length in bytes", path, len(hashes) * HASH_SIZE, len(found))
        for place, expected in enumerate(hashes):
            start = place * HASH_SIZE
            require_equal(f"hash {place}", path, expected, found[start : start + HASH_SIZE])
        self._tally("tiles", 1)


def _require_same_bytes(path: str, expected: bytes, found: bytes) -> None:
    """Equal files; else the 32 bytes from the first difference on are reported, not all of them."""
    if expected == found:
        return
    pairs = enumerate(zip(expected, found, strict=False))
    shortest = min(len(expected), len(found))
    place = next((place for place, (one, other) in pairs if one != other), shortest)
    end = place + HASH_SIZE
    raise DifferenceError(f"bytes from {place}", path, expected[place:end], found[place:end])


def compare_map_leaves(
    rows: Iterator[MapLeafRow],
    states: Mapping[bytes, SubjectState],
    heads: Sequence[int],
    tally: Tally,
) -> None:
    """The stored leaves are the states at the published size; `heads`: the map heads' indexes."""
    seen = 0
    for row in rows:
        where = f"map leaf {row.key.hex()}"
        state = states.get(row.key)
        if state is None:
            raise DifferenceError("row", where, "none, the log has no such subject", "a row")
        require_equal("count", where, state.count, row.count)
        require_equal("head", where, state.head, row.head)
        require_equal("root", where, state.root, row.root)
        require_equal("log index of the head", where, state.index, row.head_index)
        require_equal("edge", where, state.edge.encode(), row.edge)
        covered_by = heads[bisect_right(heads, state.index)] + 1
        require_equal("size that set it", where, covered_by, row.size)
        seen += 1
        tally("map leaves", 1)
    if seen != len(states):
        raise DifferenceError("number", "map leaves", len(states), seen)


def compare_map_pages(
    rows: Iterator[MapPageRow],
    states: Mapping[bytes, SubjectState],
    heads: Sequence[int],
    tally: Tally,
) -> None:
    """The stored pages are those into which the states at the published size are cut.

    A page's size is that of a publication, and of none before that of its newest leaf; it may be a
    later one, which cut the page above.
    """
    expected = dict(pages_of((key, state.value) for key, state in sorted(states.items())))
    sizes = {index + 1 for index in heads}
    for row in rows:
        where = f"map page {row.place}"
        page = expected.pop(row.place, None)
        if page is None:
            raise DifferenceError("row", where, "none, the map has no such page", "a row")
        require_equal("leaves", where, page.leaves, row.leaves)
        require_equal("hash", where, page.hash, row.hash)
        newest = max(states[leaf[:KEY_SIZE]].index for leaf in split_leaves(page.leaves))
        if row.size not in sizes or row.size <= newest:
            raise DifferenceError(
                "size that set it", where, f"a published one above {newest}", row.size
            )
        tally("map pages", 1)
    if expected:
        raise DifferenceError("row", f"map page {min(expected)}", "a row", "none")


def compare_leftovers(store: TileStore, size: int, heads: Sequence[int], tally: Tally) -> None:
    """Every partial tile that is still there is the beginning of what replaced it.

    And every map delta is beside one of the map heads, whose indexes are `heads`. Files beyond the
    published size belong to a batch that is not published yet.
    """
    for path in sorted(store.paths()):
        if path.startswith(DELTA_PREFIX):
            _require_head_of(path, size, heads)
            continue
        try:
            address = parse_path(path)
        except TilePathError as error:
            raise DifferenceError("name", f"file {path}", "a tile path", "another") from error
        level = address.level or 0
        there = (size >> (TILE_HEIGHT * level)) - address.index * TILE_WIDTH
        if address.is_full or there <= address.width:
            continue  # compared already, or beyond the published size
        make = entries_path if address.level is None else _level_path(address.level)
        now = make(address.index, min(there, TILE_WIDTH))
        expected = cut(read_tile(store, now), path, address.width)
        require_equal("bytes (older partial file)", path, expected, store.read(path))
        tally("older partial files", 1)


def _require_head_of(path: str, size: int, heads: Sequence[int]) -> None:
    try:
        index = parse_delta_path(path)
    except TilePathError as error:
        raise DifferenceError(
            "name", f"file {path}", "the path of a map delta", "another"
        ) from error
    place = bisect_right(heads, index)
    if index < size and (not place or heads[place - 1] != index):
        raise DifferenceError("file", path, "none, the log has no map head there", "a map delta")


def _level_path(level: int) -> Callable[[int, int], str]:
    return lambda index, width: tile_path(level, index, width)
