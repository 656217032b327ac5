"""Two views of one log's hash tree for an auditor: as it is served now, and as it was mirrored.

:class:`ServedTree` fetches tiles over the network and hands out only what the signed root vouches
for: the partial tiles on the right edge give the root together, every full tile hashes to what the
tile above says of it. So an entry that fits its level 0 tile is an entry of the signed log, however
little of the log was read yet. Together with each bundle's entries all levels are made anew: a hash
at level 0 from the entry, a hash above from the whole tile below.

When something does not fit, the next level below is fetched too, to name the very hash that is
wrong; that costs at most 256 files and is done once, since the first such fault ends the reading.

:class:`OwnTree` reads the mirror. It answers for any size up to the entries taken, whatever partial
tiles there are, since a hash above level 0 follows from the full tile below it.

Source: https://c2sp.org/tlog-tiles (0.1.0).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from merkle.checkpoint import Checkpoint
from merkle.errors import TileError
from merkle.hashing import HASH_SIZE, leaf_hash
from merkle.tiles import (
    MAX_ENTRY_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileAddress,
    TileHashReader,
    decode_bundle,
)
from merkle.tree import root_at, root_of
from provenance.domain.log_source import LogFileMissingError, LogMalformedError
from provenance.services.checking_log import DifferenceError
from provenance.storage.audit_state import AuditStateError
from provenance.storage.tiles import cut

MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + MAX_ENTRY_SIZE)
_KEPT_TILES: Final = 64


class Source(Protocol):
    """A platform as an outsider reaches it; `url` is its address, for messages.

    `provenance.client.log_reader.LogReader` over the platform's address is one.
    """

    @property
    def url(self) -> str:
        """The address below which paths lie."""
        ...

    def read(self, path: str, most: int) -> bytes:
        """The bytes at `path`, at most `most`.

        Raises domain.log_source's LogFileMissingError (404), LogMalformedError (too long, another
        status), LogUnreachableError (no answer).
        """
        ...


def fetch(source: Source, path: str, most: int, what: str) -> bytes:
    """A file that the log must have. DifferenceError where it has none or one too long."""
    try:
        return source.read(path, most)
    except LogFileMissingError as error:
        raise DifferenceError(what, path, "a file", "nothing (404)") from error
    except LogMalformedError as error:
        raise DifferenceError(what, path, f"a file of at most {most} bytes", error) from error


class ServedTree:
    """The tree of `checkpoint` by its served tiles. Errors of the source's outages pass."""

    def __init__(self, source: Source, checkpoint: Checkpoint) -> None:
        """Reads the right edge; raises DifferenceError where it does not lead to the root."""
        self.good = 0
        """Tiles that came and fit so far."""
        self._source = source
        self._size = checkpoint.size
        self._edge: dict[tuple[int, int], bytes] = {}
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        level = 0
        while count := self._size >> (TILE_HEIGHT * level):
            index, width = divmod(count, TILE_WIDTH)
            if width:
                self._edge[level, index] = self._fetch_tile(TileAddress(level, index, width))
            level += 1
        root = root_at(self._size, TileHashReader(self._read_edge, self._size))
        if root != checkpoint.root:
            self._name_edge_fault()
            raise DifferenceError(
                "root", f"the tiles of {self._size} entries", checkpoint.root, root
            )
        self.good = len(self._edge)

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._size

    def read_hash(self, level: int, index: int) -> bytes:
        """See `merkle.tree.HashReader`; every hash is one that the signed root vouches for."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, offset = divmod(index << height, TILE_WIDTH)
        tile = self.tile(tile_level, number)
        return root_of(_hashes(tile)[offset : offset + (1 << height)])

    def tile(self, level: int, index: int) -> bytes:
        """The tile's hashes as far as the log fills it. DifferenceError where it is not right."""
        place = (level, index)
        if place in self._edge:
            return self._edge[place]
        tile = self._kept.get(place)
        if tile is None:
            tile = self._read_full(level, index)
            self._kept[place] = tile
            if len(self._kept) > _KEPT_TILES:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(place)
        return tile

    def bundle(self, index: int) -> tuple[list[bytes], bytes]:
        """The entries of a bundle and their leaf hashes joined, which are those of the tile.

        DifferenceError names the entry that is not the log's.
        """
        width = min(TILE_WIDTH, self._size - index * TILE_WIDTH)
        address = TileAddress(None, index, width)
        entries = self._fetch_entries(address)
        hashes = b"".join(map(leaf_hash, entries))
        self._require_same(hashes, self.tile(0, index), address, "leaf hash of entry")
        return entries, hashes

    # What is served

    def _read_edge(self, path: str) -> bytes:
        by_path = {
            TileAddress(level, index, len(tile) // HASH_SIZE).path(): tile
            for (level, index), tile in self._edge.items()
        }
        return by_path[path]

    def _read_full(self, level: int, index: int) -> bytes:
        tile = self._fetch_tile(TileAddress(level, index))
        expected = _hashes(self.tile(level + 1, index // TILE_WIDTH))[index % TILE_WIDTH]
        if root_of(_hashes(tile)) != expected:
            address = TileAddress(level, index)
            self._name_fault(address, tile)
            raise DifferenceError("hash over all", address.path(), expected, root_of(_hashes(tile)))
        self.good += 1
        return tile

    def _fetch_tile(self, address: TileAddress) -> bytes:
        tile = self._fetch_partial(address, TILE_WIDTH * HASH_SIZE, "tile")
        if len(tile) != address.width * HASH_SIZE:
            raise DifferenceError(
                "length in bytes", address.path(), address.width * HASH_SIZE, len(tile)
            )
        return tile

    def _fetch_entries(self, address: TileAddress) -> list[bytes]:
        data = self._fetch_partial(address, MAX_BUNDLE_BYTES, "entry bundle")
        try:
            return decode_bundle(data, address.width)
        except TileError as error:
            raise DifferenceError("framing", address.path(), "whole entries", error) from error

    def _fetch_partial(self, address: TileAddress, most: int, what: str) -> bytes:
        """The file at an address; where a partial one is gone, cut out of the full one."""
        if not address.is_full:
            try:
                return self._source.read(f"log/{address.path()}", most)
            except LogFileMissingError:
                pass  # tlog-tiles 0.1.0, "Partial Tiles": then there is a full one
            except LogMalformedError as error:
                raise DifferenceError(what, address.path(), "a file", error) from error
        try:
            data = fetch(self._source, f"log/{address.full().path()}", most, what)
        except DifferenceError as error:
            raise DifferenceError(what, address.path(), error.expected, error.found) from error
        return data if address.is_full else cut(data, address.path(), address.width)

    # Naming what is wrong

    def _name_edge_fault(self) -> None:
        for level, index in sorted(self._edge):
            tile = self._edge[level, index]
            self._name_fault(TileAddress(level, index, len(tile) // HASH_SIZE), tile)

    def _name_fault(self, address: TileAddress, tile: bytes) -> None:
        """Raise DifferenceError for the first hash that is not that of what lies below it."""
        level = address.level or 0
        if level == 0:
            entries = self._fetch_entries(TileAddress(None, address.index, address.width))
            below = b"".join(map(leaf_hash, entries))
        else:
            first = address.index * TILE_WIDTH
            places = (TileAddress(level - 1, first + i) for i in range(address.width))
            below = b"".join(root_of(_hashes(self._fetch_tile(place))) for place in places)
        self._require_same(below, tile, address, "hash", found_is_tile=True)

    @staticmethod
    def _require_same(
        made: bytes, tile: bytes, address: TileAddress, what: str, *, found_is_tile: bool = False
    ) -> None:
        if made == tile:
            return
        for place, (ours, theirs) in enumerate(zip(_hashes(made), _hashes(tile), strict=True)):
            if ours != theirs:
                expected, found = (ours, theirs) if found_is_tile else (theirs, ours)
                number = place if found_is_tile else address.index * TILE_WIDTH + place
                raise DifferenceError(f"{what} {number}", address.path(), expected, found)


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[i : i + HASH_SIZE] for i in range(0, len(tile), HASH_SIZE)]


class OwnTree:
    """A `merkle.tree.HashReader` over the mirrored tiles: level 0, and what is full above it."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        """`read` gives a mirrored file by its path, or None."""
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    def read_hash(self, level: int, index: int) -> bytes:
        """See `merkle.tree.HashReader`."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        return root_of([self._hash(tile_level, first + i) for i in range(1 << height)])

    def _hash(self, level: int, index: int) -> bytes:
        number, offset = divmod(index, TILE_WIDTH)
        tile = self._tile(level, number, offset + 1)
        if tile is not None:
            return tile[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]
        below = self._tile(level - 1, index, TILE_WIDTH) if level else None
        if below is None:
            raise AuditStateError(
                f"the mirror has lost {TileAddress(level, number).path()}; audit into another "
                "--state directory"
            )
        return root_of(_hashes(below))

    def _tile(self, level: int, index: int, reach: int) -> bytes | None:
        """A mirrored tile of `reach` hashes at least: the full one, else a partial one."""
        known = self._tiles.get((level, index))
        if known is None or len(known) < reach * HASH_SIZE:
            widths = range(TILE_WIDTH, reach - 1, -1) if level == 0 else (TILE_WIDTH,)
            paths = (TileAddress(level, index, width).path() for width in widths)
            known = next((data for path in paths if (data := self._read(path))), None)
            if known is not None:
                self._tiles[level, index] = known
        return known
