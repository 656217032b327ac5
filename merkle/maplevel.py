"""What stands at the places of a map in pages: one level of the cut trie, in few bytes.

:mod:`merkle.pagemap` says what a place is. Here are the hashes of all places of one depth, and how
keys are divided between the two places below one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from merkle.hashing import HASH_SIZE
from merkle.mapnode import MASKS

NONE: Final = 0
INNER: Final = 1
PAGE: Final = 2
"""What can stand at a place."""

_MANY: Final = 8  # from so many sorted keys on, halving beats looking at each
_SHORT: Final = 64  # bits of the prefix by which sorted keys are halved


class Level:
    """What stands at one depth, by prefix: in a dict while that is little, then in two arrays.

    Where keys are hashes, all levels but the last one or two are full. A level that somebody made
    deep on purpose holds few places and costs what they cost.
    """

    __slots__ = ("_few", "_hashes", "_kinds", "_width")

    def __init__(self, depth: int) -> None:
        self._width = 1 << depth
        self._few: dict[int, tuple[int, bytes]] = {}
        self._kinds: bytearray | None = None
        self._hashes = bytearray()

    def kind(self, prefix: int) -> int:
        """What stands there."""
        if self._kinds is not None:
            return self._kinds[prefix]
        found = self._few.get(prefix)
        return found[0] if found else NONE

    def kinds(self, above: int) -> tuple[int, int]:
        """What stands at the two places below a prefix one bit shorter."""
        left = 2 * above
        if self._kinds is not None:
            return self._kinds[left], self._kinds[left + 1]
        return self.kind(left), self.kind(left + 1)

    def hash(self, prefix: int) -> bytes:
        """The hash of what stands there; nothing if nothing does."""
        if self._kinds is None:
            found = self._few.get(prefix)
            return found[1] if found else b""
        if not self._kinds[prefix]:
            return b""
        return bytes(self._hashes[prefix * HASH_SIZE : (prefix + 1) * HASH_SIZE])

    def children(self, above: int) -> bytes:
        """The hashes, joined, of what stands below a prefix one bit shorter."""
        left = 2 * above
        if self._kinds is not None and self._kinds[left] and self._kinds[left + 1]:
            return bytes(self._hashes[left * HASH_SIZE : (left + 2) * HASH_SIZE])
        return self.hash(left) + self.hash(left + 1)

    def put(self, prefix: int, kind: int, value: bytes) -> None:
        """Set what stands there."""
        if self._kinds is not None:
            self._kinds[prefix] = kind
            self._hashes[prefix * HASH_SIZE : (prefix + 1) * HASH_SIZE] = value
            return
        self._few[prefix] = kind, value
        if 4 * len(self._few) > self._width:  # from here on the arrays are the smaller ones
            few, self._few = self._few, {}
            self._kinds = bytearray(self._width)
            self._hashes = bytearray(self._width * HASH_SIZE)
            for place, (one, its) in few.items():
                self.put(place, one, its)

    def parents(self) -> Iterator[int]:
        """The places one level above under which something stands, each once."""
        above = self._width >> 1
        if self._kinds is None:
            yield from {above | prefix >> 1 for prefix in self._few}
            return
        kinds = self._kinds
        for prefix in range(above):
            if kinds[2 * prefix] or kinds[2 * prefix + 1]:
                yield above | prefix


def divide_below(
    keys: Sequence[bytes], place: int, depth: int, *, in_order: bool
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The keys below a place with bit `depth` 0, and those with it 1."""
    if in_order and len(keys) >= _MANY and depth < _SHORT:
        right = (
            2 * place + 1 - (2 << depth)
        ) << _SHORT - 1 - depth  # the least key on the right, in short
        border = bisect_left(keys, right.to_bytes(8, "big"))
        return keys[:border], keys[border:]
    index, mask = depth >> 3, MASKS[depth & 7]
    ones = [key for key in keys if key[index] & mask]
    if not ones or len(ones) == len(keys):
        return ((), keys) if ones else (keys, ())
    return [key for key in keys if not key[index] & mask], ones
