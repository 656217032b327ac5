"""One page of the map: some leaves in order of keys, and the part of the trie that they make.

The trie over sorted keys needs no node objects. Between two neighbouring leaves stands exactly one
inner node, whose bit is the first at which the two keys differ; and of any run of leaves that have
a node of their own, the root is where the least of these bits stands. So a page is three strings:

    leaves   n × (key 32 ‖ value 32), in rising order of keys
    bits     n − 1 bytes: the bit of the inner node between leaf i and leaf i + 1
    hashes   (n − 1) × 32: the hash of that node

Bits and hashes follow from the leaves (:meth:`Page.of_leaves`, two hashes a leaf). Whoever stores
them beside the leaves (:attr:`Page.summary`) gets a page back for which nothing is computed
(:meth:`Page.stored`); of such a page nothing is believed but its own hash, and each way that is
gone through it is hashed up to that (:meth:`Page.is_proved`).

Pages are values: a change makes another page. Left to others: which keys a page has, where pages
lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from merkle.errors import ArgumentError
from merkle.hashing import EMPTY_ROOT, HASH_SIZE
from merkle.mapnode import (
    KEY_BITS,
    KEY_SIZE,
    LENGTH,
    MASKS,
    TAG_INNER,
    TAG_LEAF,
    TAG_SUBTREE,
    VALUE_SIZE,
    VARINTS,
    divide,
    entry_hash,
    first_difference,
    inner_hash,
)

LEAF_SIZE: Final = KEY_SIZE + VALUE_SIZE

LEAF_TAG: Final = bytes([TAG_LEAF])
SUBTREE_TAG: Final = bytes([TAG_SUBTREE])
INNER_STEPS: Final = tuple(bytes([TAG_INNER]) + varint for varint in VARINTS)
"""An inner node in a transition proof, by its bit."""

_SUMMARY_SIZE: Final = 1 + HASH_SIZE
FEW: Final = 4
"""From so many new leaves on it is cheaper to make the whole page anew."""


Step = tuple[int, int, int, int, bytes]
"""An inner node on a way: its bit, its index, its first and last leaf, and the hash of the side
that the way does not take."""

Way = tuple[list[Step], int]
"""Where a search for a key goes: the inner nodes from the page's root down, the index of the leaf.

Plain tuples: thousands are made for a batch."""


class Page:
    """See the module text. `hash` is that of the page's part of the trie."""

    __slots__ = ("bits", "hash", "hashes", "is_sound", "leaves")

    def __init__(
        self, leaves: bytes, bits: bytes, hashes: bytes, value: bytes, *, is_sound: bool = True
    ) -> None:
        """Use `of_leaves` or `stored`. `is_sound`: bits and hashes were computed here."""
        self.leaves = leaves
        self.bits = bits
        self.hashes = hashes
        self.hash = value
        self.is_sound = is_sound

    @classmethod
    def of_leaves(cls, leaves: Sequence[bytes]) -> Page:
        """The page of these leaves, 64 bytes each. Raises `ArgumentError` unless keys rise."""
        if not leaves:
            return cls(b"", b"", b"", EMPTY_ROOT)
        bits = bytes(_bits(leaves))
        found = [b""] * len(bits)
        spine: list[tuple[int, int, bytes]] = []  # bit, node, hash of its left side
        value = entry_hash(leaves[0])
        for node, bit in enumerate(bits):
            while spine and spine[-1][0] > bit:
                value = _close(spine, found, value)
            spine.append((bit, node, value))
            value = entry_hash(leaves[node + 1])
        while spine:
            value = _close(spine, found, value)
        return cls(b"".join(leaves), bits, b"".join(found), value)

    @classmethod
    def stored(cls, leaves: bytes, summary: bytes, value: bytes) -> Page | None:
        """The page whose hash is `value`, read back; None if these cannot be leaves and summary."""
        inner = len(leaves) // LEAF_SIZE - 1
        if inner < 1 or len(summary) != inner * _SUMMARY_SIZE:
            return None
        return cls(leaves, summary[:inner], summary[inner:], value, is_sound=False)

    @property
    def summary(self) -> bytes:
        """Bits and hashes, 33 bytes for each leaf but one: to be stored beside the leaves."""
        return self.bits + self.hashes

    def __len__(self) -> int:
        return len(self.leaves) // LEAF_SIZE

    def leaf(self, index: int) -> bytes:
        """Key ‖ value of one leaf."""
        start = index * LEAF_SIZE
        return self.leaves[start : start + LEAF_SIZE]

    # Ways

    def way(self, key: bytes) -> Way:
        """Where a search for `key` goes; the page is not empty."""
        bits = self.bits
        first, last = 0, len(bits)
        steps = []
        while first < last:
            bit = min(bits[first:last])
            node = bits.index(bit, first, last)
            if key[bit >> 3] & MASKS[bit & 7]:
                steps.append((bit, node, first, last, self._part(first, node)))
                first = node + 1
            else:
                steps.append((bit, node, first, last, self._part(node + 1, last)))
                last = node
        return steps, first

    def find(self, key: bytes) -> int:
        """The index of the leaf at which that search ends."""
        bits = self.bits
        first, last = 0, len(bits)
        while first < last:
            bit = min(bits[first:last])
            node = bits.index(bit, first, last)
            if key[bit >> 3] & MASKS[bit & 7]:
                first = node + 1
            else:
                last = node
        return first

    def _part(self, first: int, last: int) -> bytes:
        """The hash over a run of leaves that has a node of its own, or is one leaf."""
        if first == last:
            start = first * LEAF_SIZE
            return entry_hash(self.leaves[start : start + LEAF_SIZE])
        bits = self.bits
        start = HASH_SIZE * bits.index(min(bits[first:last]), first, last)
        return self.hashes[start : start + HASH_SIZE]

    def is_proved(self, way: Way) -> bool:
        """Do the leaf and the hashes of a way lead to the page's own hash?"""
        steps, at = way
        hashes = self.hashes
        value = entry_hash(self.leaf(at))
        for bit, node, _, _, sibling in reversed(steps):
            value = (
                inner_hash(bit, value, sibling) if at <= node else inner_hash(bit, sibling, value)
            )
            start = HASH_SIZE * node
            if hashes[start : start + HASH_SIZE] != value:
                return False
        return value == self.hash

    def value(self, key: bytes, index: int) -> bytes | None:
        """The value of `key`, whose search ends at that leaf; None if the page does not hold it."""
        leaf = self.leaf(index)
        return leaf[KEY_SIZE:] if leaf[:KEY_SIZE] == key else None

    # Proofs

    def prove(self, key: bytes, way: Way) -> bytes:
        """The page's share of `KeyMap.prove`."""
        steps, at = way
        parts = [VARINTS[step[0]] + step[4] for step in reversed(steps)]
        leaf = self.leaf(at)
        if leaf[:KEY_SIZE] != key:
            parts.insert(0, LENGTH + leaf[:KEY_SIZE] + LENGTH + leaf[KEY_SIZE:])
        return b"".join(parts)

    def prove_way(self, way: Way) -> bytes:
        """The page's share of `KeyMap.prove_transition`, if one key's search enters it."""
        steps, at = way
        parts: list[bytes] = []
        behind: list[bytes] = []  # what stands on the right of the way, from the root down
        for bit, node, _, _, sibling in steps:
            parts.append(INNER_STEPS[bit])
            (behind if at <= node else parts).append(SUBTREE_TAG + sibling)
        parts.append(LEAF_TAG + self.leaf(at))
        behind.reverse()
        return b"".join(parts + behind)

    def prove_ways(self, keys: Sequence[bytes]) -> bytes:
        """The same for the searches of several keys."""
        parts: list[bytes] = []
        self._enter(0, len(self.bits), keys, parts)
        return b"".join(parts)

    def _enter(self, first: int, last: int, keys: Sequence[bytes], parts: list[bytes]) -> None:
        """Append the proof over a run of leaves; at most 256 calls deep."""
        if not keys:
            parts.append(SUBTREE_TAG + self._part(first, last))
            return
        if first == last:
            parts.append(LEAF_TAG + self.leaf(first))
            return
        bit = min(self.bits[first:last])
        node = self.bits.index(bit, first, last)
        left, right = divide(keys, bit)
        parts.append(INNER_STEPS[bit])
        self._enter(first, node, left, parts)
        self._enter(node + 1, last, right, parts)

    # Changes

    def with_leaf(self, leaf: bytes, way: Way) -> Page:
        """The page after setting one leaf, key ‖ value, whose key's way is given."""
        at = way[1]
        found = self.leaf(at)
        if found == leaf:
            return self
        if found[:KEY_SIZE] == leaf[:KEY_SIZE]:
            start = at * LEAF_SIZE
            leaves = self.leaves[:start] + leaf + self.leaves[start + LEAF_SIZE :]
            hashes = bytearray(self.hashes)
            return self._rehashed(leaves, self.bits, hashes, way, entry_hash(leaf), 0)
        return self._inserted(leaf, way, first_difference(leaf[:KEY_SIZE], found[:KEY_SIZE]))

    def _inserted(self, leaf: bytes, way: Way, bit: int) -> Page:
        """With a new leaf whose key first differs at `bit` from all that stand below there.

        Bits rise along a way, so the new node's place is above the first step with a greater one.
        """
        steps, at = way
        above = len(steps)
        while above and steps[above - 1][0] > bit:
            above -= 1
        hashes = bytearray(self.hashes)
        if above < len(steps):
            _, below, first, last, _ = steps[above]
            start = HASH_SIZE * below
            other = self.hashes[start : start + HASH_SIZE]
        else:
            first = last = at
            other = entry_hash(self.leaf(at))
        value = entry_hash(leaf)
        if leaf[bit >> 3] & MASKS[bit & 7]:
            node, place = last, last + 1
            value = inner_hash(bit, other, value)
        else:
            node = place = first
            value = inner_hash(bit, value, other)
        hashes[HASH_SIZE * node : HASH_SIZE * node] = value
        start = LEAF_SIZE * place
        return self._rehashed(
            self.leaves[:start] + leaf + self.leaves[start:],
            self.bits[:node] + bytes((bit,)) + self.bits[node:],
            hashes,
            (steps[:above], at),
            value,
            HASH_SIZE,
        )

    def _rehashed(
        self, leaves: bytes, bits: bytes, hashes: bytearray, way: Way, value: bytes, shift: int
    ) -> Page:
        """The page of these leaves, with the hashes on a way made anew from `value` up.

        `shift`: how many bytes of hashes came in, that of a new node which the way leads to.
        """
        steps, at = way
        for bit, node, _, _, sibling in reversed(steps):
            start = HASH_SIZE * node
            if at <= node:
                sides = value + sibling
                start += shift
            else:
                sides = sibling + value
            value = sha256(INNER_STEPS[bit] + sides).digest()  # inner_hash, inlined
            hashes[start : start + HASH_SIZE] = value
        return Page(leaves, bits, bytes(hashes), value, is_sound=self.is_sound)

    def with_leaves(self, leaves: Sequence[bytes]) -> Page:
        """The page after setting some leaves, whose ways are proved already if it is not sound.

        A page that is not sound takes few: what is made anew must be known to be right.
        """
        if self.leaves and len(leaves) < FEW:
            page = self
            for leaf in leaves:
                page = page.with_leaf(leaf, page.way(leaf[:KEY_SIZE]))
            return page
        held = {leaf[:KEY_SIZE]: leaf for leaf in split_leaves(self.leaves)}
        held |= {leaf[:KEY_SIZE]: leaf for leaf in leaves}
        return Page.of_leaves([held[key] for key in sorted(held)])

    def cut(self, depth: int) -> tuple[Page | None, Page | None]:
        """Its leaves with bit `depth` 0, and those with it 1; at all bits before they agree."""
        bit = min(self.bits)
        if bit != depth:
            on_right = self.leaves[depth >> 3] & MASKS[depth & 7]
            return (None, self) if on_right else (self, None)
        node = self.bits.index(bit)
        return self._run(0, node), self._run(node + 1, len(self.bits))

    def _run(self, first: int, last: int) -> Page:
        return Page(
            self.leaves[LEAF_SIZE * first : LEAF_SIZE * (last + 1)],
            self.bits[first:last],
            self.hashes[HASH_SIZE * first : HASH_SIZE * last],
            self._part(first, last),
            is_sound=self.is_sound,
        )


def split_leaves(leaves: bytes) -> list[bytes]:
    """The leaves of a page, key ‖ value; its length is a multiple of 64."""
    return [leaves[start : start + LEAF_SIZE] for start in range(0, len(leaves), LEAF_SIZE)]


def _bits(leaves: Iterable[bytes]) -> Iterator[int]:
    """The first bit at which each leaf's key differs from the next one's."""
    last = -1
    for leaf in leaves:
        number = int.from_bytes(leaf[:KEY_SIZE], "big")
        if number <= last:
            raise ArgumentError(f"the key {leaf[:KEY_SIZE].hex()} stands out of order")
        if last >= 0:
            yield KEY_BITS - (last ^ number).bit_length()
        last = number


def _close(spine: list[tuple[int, int, bytes]], found: list[bytes], right: bytes) -> bytes:
    """Hash the last open node, whose right side is known now."""
    bit, node, left = spine.pop()
    found[node] = value = inner_hash(bit, left, right)
    return value
