"""The log as static files: tiles of 256 hashes and bundles of 256 entries (C2SP tlog-tiles 0.1.0).

Addresses and their paths, the bytes in each file, which files a growing log writes, and a
:class:`TileHashReader` that computes any subtree hash out of tiles. Fetching, storing and caching
on disk are left to others; so is trust: nothing here authenticates a tile. Hashes read from tiles
count only once a proof or root made of them meets a signed checkpoint.

Rules: hash i of the tile at level L, index N is that of the full subtree of 256^L leaves number
``N·256 + i``; level 0 holds leaf hashes. A tile of fewer than 256 hashes is *partial*, is never
hashed upward, and has its width in its path. Paths, by example:

    tile/0/000    tile/1/x001/x234/067    tile/0/x001/067.p/112    tile/entries/000.p/5

Source: https://c2sp.org/tlog-tiles (0.1.0).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from merkle.errors import ArgumentError, TileError, TilePathError
from merkle.hashing import HASH_SIZE
from merkle.tree import HashReader, MemoryTree, root_of

TILE_WIDTH: Final = 256
"""Hashes in a full tile, entries in a full bundle."""

TILE_HEIGHT: Final = 8
"""Levels of the tree in one tile: 256 = 2^8."""

MAX_ENTRY_SIZE: Final = 65_535
"""Bytes in one entry: its length is a u16 in the bundle."""

MAX_LEVEL: Final = 63
MAX_INDEX: Final = 2**55 - 1
"""The last tile of a log of 2^63 entries; no address beyond it can be meant."""

_PATH = re.compile(
    r"tile/(?:(?P<entries>entries)|(?P<level>[0-9]|[1-5][0-9]|6[0-3]))"
    r"/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class TileAddress:
    """Which file: `level` 0..63, or None for the bundle of entries; `index`; `width` 1..256.

    Width 256 is the full tile and does not show in the path. Raises `ArgumentError` out of range.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise ArgumentError(f"tile level: expected 0..{MAX_LEVEL}, found {self.level}")
        if not 0 <= self.index <= MAX_INDEX:
            raise ArgumentError(f"tile index: expected 0..{MAX_INDEX}, found {self.index}")
        if not 1 <= self.width <= TILE_WIDTH:
            raise ArgumentError(f"tile width: expected 1..{TILE_WIDTH}, found {self.width}")

    @property
    def is_full(self) -> bool:
        """Are all 256 places taken?"""
        return self.width == TILE_WIDTH

    def full(self) -> TileAddress:
        """The full tile or bundle at the same place."""
        return TileAddress(self.level, self.index)

    def path(self) -> str:
        """The path below the log's prefix, without a leading slash."""
        kind = "entries" if self.level is None else str(self.level)
        groups = format_index(self.index)
        partial = "" if self.is_full else f".p/{self.width}"
        return f"tile/{kind}/{groups}{partial}"


def format_index(index: int) -> str:
    """The index in groups of three digits, as paths have it: 1234067 is x001/x234/067."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Path of the tile of hashes at `level` and `index`."""
    return TileAddress(level, index, width).path()


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Path of the bundle of entries at `index`."""
    return TileAddress(None, index, width).path()


def parse_path(text: str) -> TileAddress:
    """The address that `text` names, if it is spelt in the one allowed way; else `TilePathError`.

    Refused among others: a leading slash, ``..``, leading zeros in level or width, a group under
    ``x000`` in front (one path for one tile), width 0 or 256, digits that are not ASCII.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise TilePathError(f"{text[:100]!r} is no tile path such as tile/0/x001/067.p/112")
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"]) if match["width"] else TILE_WIDTH
    if index > MAX_INDEX or (match["width"] and width >= TILE_WIDTH):
        raise TilePathError(f"{text[:100]!r}: index or width is out of range (width 1..255)")
    address = TileAddress(int(match["level"]) if match["level"] else None, index, width)
    if address.path() != text:
        raise TilePathError(f"{text[:100]!r} is spelt otherwise: expected {address.path()!r}")
    return address


def addresses_for(old_size: int, new_size: int) -> list[TileAddress]:
    """Every bundle and tile that a log writes when it grows from `old_size` to `new_size` entries.

    Bundles first, then tiles from level 0 up; within a level by index. Sizes in between are not
    published, so each place appears once, full or at the width of `new_size`. Raises
    `ArgumentError` when the log shrinks.
    """
    if not 0 <= old_size <= new_size:
        raise ArgumentError(f"a log does not grow from {old_size} to {new_size} entries")
    addresses = _grown(None, old_size, new_size)
    level = 0
    while old_size != new_size:
        addresses += _grown(level, old_size, new_size)
        level += 1
        old_size >>= TILE_HEIGHT
        new_size >>= TILE_HEIGHT
    return addresses


def _grown(level: int | None, old_count: int, new_count: int) -> list[TileAddress]:
    """The addresses of one level at which the number of places taken grows from old to new."""
    if old_count == new_count:
        return []
    full, rest = divmod(new_count, TILE_WIDTH)
    addresses = [TileAddress(level, index) for index in range(old_count // TILE_WIDTH, full)]
    if rest:
        addresses.append(TileAddress(level, full, rest))
    return addresses


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of an entry bundle: for each entry ``u16 length ‖ bytes``.

    Raises `ArgumentError` for more than 256 entries or an entry above 65,535 bytes.
    """
    if len(entries) > TILE_WIDTH:
        raise ArgumentError(f"a bundle holds at most {TILE_WIDTH} entries, found {len(entries)}")
    return frame_entries(entries)


def frame_entries(entries: Iterable[bytes]) -> bytes:
    """Any number of entries as they stand in bundles, one after the other.

    Raises `ArgumentError` for an entry above 65,535 bytes.
    """
    parts: list[bytes] = []
    for number, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_SIZE:
            raise ArgumentError(
                f"entry {number}: at most {MAX_ENTRY_SIZE} bytes, found {len(entry)}"
            )
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, count: int) -> list[bytes]:
    """The `count` entries of a bundle; `TileError` if the bytes end early or go on."""
    entries = []
    offset = 0
    for number in range(count):
        start = offset + 2
        end = start + int.from_bytes(data[offset:start], "big")
        if start > len(data) or end > len(data):
            raise TileError(f"bundle of {count} entries ends inside entry {number}")
        entries.append(data[start:end])
        offset = end
    if offset != len(data):
        raise TileError(f"bundle goes on for {len(data) - offset} bytes after {count} entries")
    return entries


def tile_hashes(address: TileAddress, reader: HashReader) -> bytes:
    """The bytes of a tile: its `width` hashes.

    Raises `ArgumentError` for a bundle's address, which holds entries and no hashes.
    """
    if address.level is None:
        raise ArgumentError(f"{address.path()} holds entries, not hashes")
    level = address.level * TILE_HEIGHT
    first = address.index * TILE_WIDTH
    if isinstance(reader, MemoryTree):
        return reader.read_hashes(level, first, address.width)
    return b"".join(reader.read_hash(level, first + i) for i in range(address.width))


class TileHashReader:
    """A `HashReader` over the tiles of a log of `size` entries.

    `fetch` gets a path and returns the file's bytes; what it raises passes through. Only files that
    `size` implies are asked for, partial ones by their width at `size`, each once in this reader's
    life: make a reader for one operation and drop it. Not a verifier: see the module's first lines.
    """

    def __init__(self, fetch: Callable[[str], bytes], size: int) -> None:
        if size < 0:
            raise ArgumentError(f"tree size: expected 0 or more, found {size}")
        self._fetch = fetch
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._computed: dict[tuple[int, int], bytes] = {}

    @property
    def size(self) -> int:
        """Number of entries in the log whose tiles are read."""
        return self._size

    def read_hash(self, level: int, index: int) -> bytes:
        """See `HashReader.read_hash`. Raises `TileError` for a tile of the wrong length."""
        if level < 0 or index < 0 or (index + 1) << level > self._size:
            raise ArgumentError(
                f"subtree at level {level}, index {index} is not full in a log of {self._size}"
            )
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height  # place, on the tile's level, of the first hash below this subtree
        if height == 0:
            return self._hashes(tile_level, first, 1)[0]
        known = self._computed.get((level, index))
        if known is None:
            known = root_of(self._hashes(tile_level, first, 1 << height))
            self._computed[level, index] = known
        return known

    def _hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """`count` neighbouring hashes of one tile; they never reach over its border."""
        index, offset = divmod(first, TILE_WIDTH)
        tile = self._tile(level, index)
        start = offset * HASH_SIZE
        end = start + count * HASH_SIZE
        return [tile[i : i + HASH_SIZE] for i in range(start, end, HASH_SIZE)]

    def _tile(self, level: int, index: int) -> bytes:
        tile = self._tiles.get((level, index))
        if tile is None:
            count = (self._size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH
            address = TileAddress(level, index, min(count, TILE_WIDTH))
            tile = self._fetch(address.path())
            if len(tile) != address.width * HASH_SIZE:
                raise TileError(
                    f"{address.path()}: expected {address.width * HASH_SIZE} bytes, "
                    f"found {len(tile)}"
                )
            self._tiles[level, index] = tile
        return tile
