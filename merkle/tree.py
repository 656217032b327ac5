"""Roots of RFC 9162 trees at any size: from leaf hashes, stored hashes, or the right edge.

The tree is seen through :class:`HashReader`, which answers one question: the hash of a *full*
subtree (level `l`, index `i`), that is of the leaves ``[i·2^l, (i+1)·2^l)``. Every root and proof
is made of such hashes; where they are kept (memory here, tiles in `merkle.tiles`) is the reader's
matter. The tree over n > 1 leaves splits at the largest power of two strictly below n, so an odd
subtree on the right is carried up as it is and never doubled (RFC 9162 §2.1.1).

Left to others: what an entry is, where hashes are stored, who vouches for a root.

Source: RFC 9162 §2.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from merkle.errors import ArgumentError
from merkle.hashing import EMPTY_ROOT, HASH_SIZE, node_hash, require_hashes


class HashReader(Protocol):
    """Stored hashes of full subtrees.

    A reader that returns a wrong hash makes proofs that do not verify, never a verifier that errs:
    what it returns is checked, in the end, against a signed root.
    """

    def read_hash(self, level: int, index: int) -> bytes:
        """Hash (32 bytes) of the leaves ``[index·2^level, (index+1)·2^level)``.

        Raises `ArgumentError` when the tree behind the reader does not reach that far.
        """
        ...


def full_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """The full subtrees ``(level, index)`` that make up leaves ``[start, end)``, left to right.

    `start` must be a multiple of the largest power of two not above ``end - start`` (as every left
    border of a subtree is); sizes then fall strictly.
    """
    subtrees = []
    while start < end:
        level = (end - start).bit_length() - 1
        subtrees.append((level, start >> level))
        start += 1 << level
    return subtrees


def fold_subtrees(hashes: Sequence[bytes]) -> bytes:
    """Hash of the tree whose full subtrees, biggest first, have these hashes (RFC 9162 §2.1.1)."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def range_hash(start: int, end: int, reader: HashReader) -> bytes:
    """``MTH(D[start:end])`` for a subtree's own range; `start` as in `full_subtrees`."""
    return fold_subtrees([reader.read_hash(level, i) for level, i in full_subtrees(start, end)])


def root_at(size: int, reader: HashReader) -> bytes:
    """Root of the tree of the first `size` leaves; `EMPTY_ROOT` for 0."""
    if size < 0:
        raise ArgumentError(f"tree size: expected 0 or more, found {size}")
    return range_hash(0, size, reader)


def next_level(hashes: Sequence[bytes]) -> list[bytes]:
    """The level above `hashes`: pairs hashed, a last odd one carried up as it is."""
    above = [
        sha256(b"\x01" + left + right).digest()  # node_hash, inlined: the innermost loop
        for left, right in zip(hashes[::2], hashes[1::2], strict=False)
    ]
    if len(hashes) & 1:
        above.append(hashes[-1])
    return above


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root over leaf hashes of 32 bytes each; `EMPTY_ROOT` for none.

    Raises `ArgumentError` for a hash of another length.
    """
    level = list(leaf_hashes)
    require_hashes(level, "leaf hash")
    while len(level) > 1:
        level = next_level(level)
    return level[0] if level else EMPTY_ROOT


class MemoryTree:
    """A tree that grows in memory, alone or on top of a stored one.

    ``MemoryTree()`` starts empty. ``MemoryTree(base, size)`` starts where a stored tree of `size`
    leaves ends: hashes below that border are read from `base`, those above are kept here, so that
    an append to a large log needs only its right edge. Memory: about two hashes an appended leaf.
    Not safe for appends from several threads.
    """

    def __init__(self, base: HashReader | None = None, size: int = 0) -> None:
        if size < 0 or (size and base is None):
            raise ArgumentError(
                f"a tree that starts at size {size} needs a reader for what is below"
            )
        self._base = base
        self._base_size = size
        self._size = size
        self._levels: list[list[bytes]] = []

    @property
    def size(self) -> int:
        """Number of leaves, those of the base included."""
        return self._size

    def append(self, leaf_hash: bytes) -> int:
        """Append one leaf hash (32 bytes) and return its index."""
        if len(leaf_hash) != HASH_SIZE:
            raise ArgumentError(f"leaf hash: expected 32 bytes, found {len(leaf_hash)}")
        index = position = self._size
        level = 0
        value = leaf_hash
        self._keep(0, value)
        while position & 1:  # a right child: its parent is now full
            value = node_hash(self.read_hash(level, position - 1), value)
            level += 1
            position >>= 1
            self._keep(level, value)
        self._size = index + 1
        return index

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaf hashes (32 bytes each) in order; level by level, so each node is one step."""
        added = list(leaf_hashes)
        require_hashes(added, "leaf hash")
        size, level = self._size, 0
        self._size += len(added)
        while added:
            while level >= len(self._levels):
                self._levels.append([])
            self._levels[level] += added
            if size & 1:  # a left child that is there already
                added.insert(0, self.read_hash(level, size - 1))
            added = [
                sha256(b"\x01" + left + right).digest()  # node_hash, inlined
                for left, right in zip(added[::2], added[1::2], strict=False)
            ]
            size >>= 1
            level += 1

    def _keep(self, level: int, value: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(value)

    def read_hash(self, level: int, index: int) -> bytes:
        """See `HashReader.read_hash`."""
        if level < 0 or index < 0:
            raise ArgumentError(f"no subtree at level {level}, index {index}")
        kept_from = self._base_size >> level  # subtrees before it are full in the base
        if index < kept_from:
            assert self._base is not None  # noqa: S101  # the constructor refuses a size without one
            return self._base.read_hash(level, index)
        if level < len(self._levels) and index - kept_from < len(self._levels[level]):
            return self._levels[level][index - kept_from]
        raise ArgumentError(
            f"subtree at level {level}, index {index} is not full in a tree of {self._size} leaves"
        )

    def read_hashes(self, level: int, first: int, count: int) -> bytes:
        """`count` neighbouring hashes, joined. Errors as for `read_hash`."""
        start = first - (self._base_size >> level)
        kept = self._levels[level] if 0 <= level < len(self._levels) else []
        if start >= 0 and start + count <= len(kept):
            return b"".join(kept[start : start + count])
        return b"".join(self.read_hash(level, first + i) for i in range(count))

    def root(self, size: int | None = None) -> bytes:
        """Root at `size` leaves (the present size unless given)."""
        return root_at(self._size if size is None else size, self)


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: all that is needed to append to it and to state its root.

    `hashes` are those of the full subtrees that make up the tree, biggest first; there are as many
    as `size` has one bits. An edge is a value: `append` gives a new one.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ArgumentError(f"edge size: expected 0 or more, found {self.size}")
        if len(self.hashes) != self.size.bit_count():
            raise ArgumentError(
                f"an edge of size {self.size} has {self.size.bit_count()} hashes, "
                f"found {len(self.hashes)}"
            )
        require_hashes(self.hashes, "edge hash")

    def append(self, leaf_hash: bytes) -> Edge:
        """The edge after one more leaf hash (32 bytes)."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Edge:
        """The edge after these leaf hashes, in order."""
        size = self.size
        stack = list(self.hashes)
        for value in leaf_hashes:
            if len(value) != HASH_SIZE:
                raise ArgumentError(f"leaf hash: expected 32 bytes, found {len(value)}")
            merged = value
            position = size
            while position & 1:
                merged = node_hash(stack.pop(), merged)
                position >>= 1
            stack.append(merged)
            size += 1
        return Edge(size, tuple(stack))

    def root(self) -> bytes:
        """Root of the tree that ends here; `EMPTY_ROOT` at size 0."""
        return fold_subtrees(self.hashes)

    def encode(self) -> bytes:
        """The hashes joined, biggest subtree first: ``32 · popcount(size)`` bytes."""
        return b"".join(self.hashes)

    @classmethod
    def decode(cls, size: int, data: bytes) -> Edge:
        """The edge of `size` leaves from `encode`'s bytes; `ArgumentError` on a wrong length."""
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise ArgumentError(f"{len(data)} bytes are no edge of a tree of {size} leaves")
        return cls(size, tuple(data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)))

    @classmethod
    def read(cls, size: int, reader: HashReader) -> Edge:
        """The edge of a stored tree of `size` leaves."""
        if size < 0:
            raise ArgumentError(f"edge size: expected 0 or more, found {size}")
        return cls(size, tuple(reader.read_hash(level, i) for level, i in full_subtrees(0, size)))
