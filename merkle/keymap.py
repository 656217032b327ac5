"""A verifiable map from 32-byte keys to 32-byte values: a Merkle-Patricia trie held in memory.

One root hash commits to the whole map. A proof shows that a key has a value, or that it is absent,
or (transition) what the root becomes when given items are set.

The trie, in the documented format of torchwood's `mpt`, for keys and values of 32 bytes only. Bit b
of a key counts from the top bit of byte 0; v(b) is an unsigned LEB128 varint (128 is ``80 01``).

- empty map: ``SHA-256("")``
- leaf: ``SHA-256(00 20 key 20 value)``
- inner: ``SHA-256(01 ‖ v(b) ‖ left ‖ right)``, b the first bit at which the keys below differ, 0
  left

Only nodes with two children exist, so the shape depends on the set of keys, never on the order in
which they came. Proofs:

- presence: ``v(b) ‖ sibling`` from the leaf up, b strictly falling; empty for a map of one entry
- absence: ``20 other-key 20 other-value`` of the entry at which a search for the key ends, then its
  steps; at every listed bit the two keys agree. Empty for the empty map.
- transition (our own form): the old trie in preorder, entered exactly where a search for one of the
  keys goes: ``01 v(b) left right``, ``00 key value``, and ``02 hash`` for a subtree not entered;
  empty for the empty map. Whoever holds it (a :class:`PartialMap`) can look those keys up, set them
  and state the root that follows, without the rest of the map.

Padded varints and lengths other than 32 are refused, so that one claim has one proof.

Left to others: what keys and values mean (docs/formats.md section 6), storing, locking. A `KeyMap`
is not safe for use by several threads at once: even `root` writes cached hashes.

Sources: filippo.io/torchwood `mpt` (Russ Cox); ledger notes, map delta, for the transition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from merkle.errors import ArgumentError, MapProofError
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
    bit_of,
    collect,
    divide,
    entry_hash,
    first_difference,
    inner_hash,
    require_key,
)

_LEAF = bytes([TAG_LEAF])
_INNER = bytes([TAG_INNER])


class _Inner:
    """A node with two children. `hash` is None when something below has changed since.

    A node whose hash is None has only such nodes above it: that lets invalidation stop early.
    """

    __slots__ = ("bit", "hash", "left", "right")

    def __init__(self, bit: int, left: _Node, right: _Node, value: bytes | None = None) -> None:
        self.bit = bit
        self.left = left
        self.right = right
        self.hash = value


class _Subtree:
    """A part of the trie of which a transition proof tells the hash only."""

    __slots__ = ("hash",)

    def __init__(self, value: bytes) -> None:
        self.hash = value


# A leaf is one bytes object of 64, key ‖ value: the smallest form that Python has, and none that
# the garbage collector must visit. About 270 bytes an entry with its share of inner nodes.
_Node: TypeAlias = "bytes | _Inner | _Subtree"


def _node_hash(node: _Node) -> bytes:
    """Hash of a node, from its cache if nothing below has changed; at most 256 calls deep."""
    if type(node) is bytes:
        return entry_hash(node)
    assert not isinstance(node, bytes)  # noqa: S101  # says to the type checker what stands above
    if node.hash is None:
        assert isinstance(node, _Inner)  # noqa: S101  # a subtree always has its hash
        left, right = node.left, node.right
        node.hash = inner_hash(
            node.bit,
            # Most children have their hash: asking here saves a call for each.
            (not isinstance(left, bytes) and left.hash) or _node_hash(left),
            (not isinstance(right, bytes) and right.hash) or _node_hash(right),
        )
    return node.hash


class KeyMap:
    """The map in memory. Hashes are computed when asked for, each touched node once a batch."""

    def __init__(self) -> None:
        self._root: _Node | None = None
        self._count = 0

    @classmethod
    def build(cls, items: Iterable[tuple[bytes, bytes]]) -> KeyMap:
        """The map of these items (of a key given twice the later value counts).

        Much faster than `update` for a whole map. Raises `ArgumentError` for other sizes than 32.
        """
        collected = collect(items)
        return cls.of_leaves(key + collected[key] for key in sorted(collected))

    @classmethod
    def of_leaves(cls, leaves: Iterable[bytes]) -> KeyMap:
        """The map of these leaves: key ‖ value, 64 bytes each, in rising order of keys.

        Raises `ArgumentError` for another order; sizes are the caller's word.
        """
        built = cls()
        spine: list[_Inner] = []  # inner nodes on the right edge, from the root down
        previous, last = b"", -1
        for leaf in leaves:
            number = int.from_bytes(leaf[:KEY_SIZE], "big")
            if number <= last:
                raise ArgumentError(f"the key {leaf[:KEY_SIZE].hex()} stands out of order")
            bit = KEY_BITS - (last ^ number).bit_length()  # the first that differs
            built._count += 1
            if not previous:
                built._root = leaf
            else:
                left: _Node = previous
                while spine and spine[-1].bit > bit:
                    left = spine.pop()
                node = _Inner(bit, left, leaf)
                if spine:
                    spine[-1].right = node
                else:
                    built._root = node
                spine.append(node)
            previous, last = leaf, number
        return built

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries in the order of their keys; do not change the map meanwhile."""
        for leaf in self.leaves():
            yield leaf[:KEY_SIZE], leaf[KEY_SIZE:]

    def leaves(self) -> Iterator[bytes]:
        """The same as key ‖ value, 64 bytes each."""
        stack: list[_Node] = [] if self._root is None else [self._root]
        while stack:
            node = stack.pop()
            if isinstance(node, _Inner):
                stack += (node.right, node.left)
                continue
            assert isinstance(node, bytes)  # noqa: S101  # a caller's map has no _Subtree
            yield node

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. Raises `ArgumentError` for a key that is not 32 bytes."""
        require_key(key)
        node = self._root
        while isinstance(node, _Inner):
            node = node.right if bit_of(key, node.bit) else node.left
        if isinstance(node, bytes) and node[:KEY_SIZE] == key:
            return node[KEY_SIZE:]
        return None

    def root(self) -> bytes:
        """The root hash, 32 bytes; `EMPTY_ROOT` for the empty map."""
        return EMPTY_ROOT if self._root is None else _node_hash(self._root)

    def set(self, key: bytes, value: bytes) -> None:
        """Set one value. Raises `ArgumentError` for other sizes than 32."""
        self.update(((key, value),))

    def update(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set many values; the same root as setting them one by one, each node hashed once.

        Sizes are checked before anything is changed.
        """
        for key, value in collect(items).items():
            self._set(key, key + value)

    def _set(self, key: bytes, leaf: bytes) -> None:
        path: list[_Inner] = []
        node = self._root
        while type(node) is _Inner:
            path.append(node)
            bit = node.bit
            node = node.right if key[bit >> 3] & MASKS[bit & 7] else node.left
        if node is None:
            self._root = leaf
            self._count = 1
            return
        if (
            type(node) is not bytes
        ):  # `_PartialReader` enters every search: a second line of defence
            raise MapProofError("transition proof: a key's search runs into a subtree hash")
        if node[:KEY_SIZE] != key:
            self._insert(path, key, leaf, node)
        elif node != leaf:
            self._replace(path, key, leaf)

    def _insert(self, path: list[_Inner], key: bytes, leaf: bytes, found: bytes) -> None:
        """Put an inner node on the path to the leaf `found`, where the keys first differ.

        Bits rise along the path, so the place is above the first node with a greater bit.
        """
        bit = first_difference(key, found[:KEY_SIZE])
        below: _Node = found
        while path and path[-1].bit > bit:
            below = path.pop()
        node = _Inner(bit, below, leaf) if bit_of(key, bit) else _Inner(bit, leaf, below)
        self._replace(path, key, node)
        self._count += 1

    def _replace(self, path: list[_Inner], key: bytes, node: _Node) -> None:
        """Hang `node` at the end of `path` on the side of `key`; forget the hashes above it."""
        if not path:
            self._root = node
            return
        if bit_of(key, path[-1].bit):
            path[-1].right = node
        else:
            path[-1].left = node
        for above in reversed(path):
            if above.hash is None:
                break
            above.hash = None

    def prove(self, key: bytes) -> bytes:
        """The presence proof of `key`, or its absence proof if it is not in the map.

        Raises `ArgumentError` for a key that is not 32 bytes.
        """
        require_key(key)
        self.root()  # every hash below is cached from here on
        steps: list[bytes] = []
        node = self._root
        while isinstance(node, _Inner):
            child, sibling = node.left, node.right
            if bit_of(key, node.bit):
                child, sibling = sibling, child
            steps.append(VARINTS[node.bit] + _node_hash(sibling))
            node = child
        steps.reverse()
        if not isinstance(node, bytes):
            return b""
        if node[:KEY_SIZE] != key:
            steps.insert(0, LENGTH + node[:KEY_SIZE] + LENGTH + node[KEY_SIZE:])
        return b"".join(steps)

    def prove_transition(self, keys: Iterable[bytes]) -> bytes:
        """What a `PartialMap` for `keys` is read from; taken *before* these keys are set.

        Raises `ArgumentError` for a key that is not 32 bytes.
        """
        searched = list(dict.fromkeys(keys))
        for key in searched:
            require_key(key)
        self.root()
        parts: list[bytes] = []
        if self._root is not None:
            _write_partial(self._root, searched, parts)
        return b"".join(parts)


def _write_partial(node: _Node, keys: Sequence[bytes], parts: list[bytes]) -> None:
    """Append the part of the trie that searches for `keys` enter; at most 256 calls deep."""
    if not keys:
        parts += (bytes([TAG_SUBTREE]), _node_hash(node))
    elif isinstance(node, _Inner):
        left, right = divide(keys, node.bit)
        parts += (bytes([TAG_INNER]), VARINTS[node.bit])
        _write_partial(node.left, left, parts)
        _write_partial(node.right, right, parts)
    else:
        assert isinstance(node, bytes)  # noqa: S101  # a caller's map has no _Subtree
        parts += (bytes([TAG_LEAF]), node)


def verify_presence(root: bytes, key: bytes, value: bytes, proof: bytes) -> None:
    """Raise `MapProofError` unless the map with `root` is shown to have `value` under `key`."""
    _require_claim(root, key)
    if len(value) != VALUE_SIZE:
        raise MapProofError(f"map value: expected 32 bytes, found {len(value)}")
    steps = _read_steps(proof, 0)
    if _root_from_steps(key, entry_hash(key + value), steps) != root:
        raise MapProofError("presence proof does not lead to the map root")


def verify_absence(root: bytes, key: bytes, proof: bytes) -> None:
    """Raise `MapProofError` unless the map with `root` is shown to have no entry under `key`."""
    _require_claim(root, key)
    if not proof:
        if root != EMPTY_ROOT:
            raise MapProofError("empty absence proof, but the map is not empty")
        return
    other = _read_other(proof)
    other_key = other[:KEY_SIZE]
    if other_key == key:
        raise MapProofError("absence proof shows the key itself")
    steps = _read_steps(proof, 2 + KEY_SIZE + VALUE_SIZE)
    for bit, _ in steps:
        if bit_of(key, bit) != bit_of(other_key, bit):
            raise MapProofError(f"absence proof: a search for the key turns away at bit {bit}")
    if _root_from_steps(other_key, entry_hash(other), steps) != root:
        raise MapProofError("absence proof does not lead to the map root")


def verify_transition(old_root: bytes, items: Iterable[tuple[bytes, bytes]], proof: bytes) -> bytes:
    """The root after setting `items` in the map with `old_root`; nothing else can have changed.

    Raises `MapProofError` for a proof that is malformed, does not lead to `old_root`, leaves out a
    node that a search enters, or holds more than is needed; `ArgumentError` for items of other
    sizes than 32. Trust in the new root is trust in the old one.
    """
    collected = collect(items)
    partial = PartialMap.read(old_root, collected, proof)
    partial.update(collected.items())
    return partial.root()


class PartialMap:
    """What a transition proof shows of a map: the searched keys can be read and set, no others.

    Memory follows the proof, not the map. Trust in `root` after `update` is trust in the root that
    the proof was read under.
    """

    def __init__(self, trie: KeyMap, searched: frozenset[bytes]) -> None:
        """Use `read`; `trie` is entered by the search for every key in `searched`."""
        self._trie = trie
        self._searched = searched

    @classmethod
    def read(cls, root: bytes, keys: Iterable[bytes], proof: bytes) -> PartialMap:
        """The part of the map with `root` that the searches for `keys` enter.

        Raises `MapProofError` for a proof that is malformed, does not lead to `root`, leaves out a
        node that a search enters, or holds more than is needed; `ArgumentError` for a key that is
        not 32 bytes.
        """
        searched = frozenset(keys)
        for key in searched:
            require_key(key)
        if len(root) != HASH_SIZE:
            raise MapProofError(f"map root: expected 32 bytes, found {len(root)}")
        trie = KeyMap()
        found = EMPTY_ROOT
        if proof:
            reader = _PartialReader(proof)
            trie._root = reader.read(list(searched), ())
            reader.finish()
            found = trie.root()
        if found != root:
            raise MapProofError("transition proof does not lead to the old map root")
        return cls(trie, searched)

    @property
    def added(self) -> int:
        """How many of the keys set so far the map had not held."""
        return len(self._trie)

    def get(self, key: bytes) -> bytes | None:
        """The value of a searched key, or None if the map does not hold it.

        Raises `ArgumentError` for any other key: of those nothing is known.
        """
        self._require_searched(key)
        return self._trie.get(key)

    def update(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set values of searched keys. Raises `ArgumentError` for any other key; nothing is set."""
        collected = collect(items)
        for key in collected:
            self._require_searched(key)
        self._trie.update(collected.items())

    def root(self) -> bytes:
        """The root of the whole map as it now is."""
        return self._trie.root()

    def _require_searched(self, key: bytes) -> None:
        if key not in self._searched:
            raise ArgumentError(f"the transition proof was not read for the key {key.hex()}")


class _PartialReader:
    """Reads a transition proof into a partial trie, and accepts the one right form only.

    Hashes come along, so that the trie is gone through once. The keys below a node agree in the
    bits that were asked on the way to it, and so must a leaf.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def read(self, keys: Sequence[bytes], asked: tuple[int, ...]) -> _Node:
        """The node here, with its hash; `keys` are searched below it, `asked` are bits above it.

        Bits rise strictly on the way down, so this is at most 256 calls deep.
        """
        if len(keys) == 1:
            return self._read_way(keys[0], asked)
        if not keys:
            return self._read_subtree()
        tag = self._data[self._offset : self._offset + 1]
        if tag == _LEAF:
            return self._read_leaf(keys[0], asked)
        bit = self._read_inner(tag, asked[-1] if asked else -1)
        left_keys, right_keys = divide(keys, bit)
        left = self.read(left_keys, (*asked, bit))
        right = self.read(right_keys, (*asked, bit))
        return _Inner(bit, left, right, inner_hash(bit, _node_hash(left), _node_hash(right)))

    def _read_way(self, key: bytes, asked: tuple[int, ...]) -> _Node:
        """The same for one key: nine tenths of a proof, hence in loops and without calls."""
        data, offset = self._data, self._offset
        bits: list[int] = []
        lefts: list[_Subtree | None] = []
        above = asked[-1] if asked else -1
        while (tag := data[offset : offset + 1]) == _INNER:
            bit = data[offset + 1] if offset + 1 < len(data) else KEY_BITS
            if above < bit < 0x80:  # its varint is one byte
                offset += 2
            else:
                self._offset = offset
                bit = self._read_inner(tag, above)
                offset = self._offset
            left = None
            if key[bit >> 3] & MASKS[bit & 7]:
                self._offset = offset
                left = self._read_subtree()
                offset = self._offset
            lefts.append(left)
            bits.append(bit)
            above = bit
        self._offset = offset
        if tag != _LEAF:
            self._read_inner(tag, above)  # raises
        node: _Node = self._read_leaf(key, (*asked, *bits))
        value = entry_hash(node)  # type: ignore[arg-type]
        while bits:
            bit, left = bits.pop(), lefts.pop()
            if left is None:
                right = self._read_subtree()
                value = inner_hash(bit, value, right.hash)
                node = _Inner(bit, node, right, value)
            else:
                value = inner_hash(bit, left.hash, value)
                node = _Inner(bit, left, node, value)
        return node

    def _read_inner(self, tag: bytes, above: int) -> int:
        if tag != _INNER:
            if not tag:
                raise MapProofError("transition proof ends early")
            raise MapProofError("transition proof: a key's search runs into a subtree hash")
        bit, self._offset = _read_bit(self._data, self._offset + 1)
        if bit <= above:
            raise MapProofError(f"transition proof: bit {bit} stands below bit {above}")
        return bit

    def _read_subtree(self) -> _Subtree:
        start = self._offset + 1
        self._offset = end = start + HASH_SIZE
        if end > len(self._data):
            raise MapProofError("transition proof ends early")
        if self._data[start - 1] != TAG_SUBTREE:
            raise MapProofError("transition proof enters a subtree that no key's search enters")
        return _Subtree(self._data[start:end])

    def _read_leaf(self, key: bytes, asked: tuple[int, ...]) -> bytes:
        start = self._offset + 1
        self._offset = end = start + KEY_SIZE + VALUE_SIZE
        if end > len(self._data):
            raise MapProofError("transition proof ends early")
        leaf = self._data[start:end]
        if leaf[:KEY_SIZE] != key:
            for bit in asked:
                if bit_of(leaf, bit) != bit_of(key, bit):
                    raise MapProofError(
                        f"transition proof: a leaf is on the wrong side at bit {bit}"
                    )
        return leaf

    def finish(self) -> None:
        """Raise if bytes are left."""
        if self._offset != len(self._data):
            raise MapProofError(
                f"transition proof goes on for {len(self._data) - self._offset} bytes"
            )


def _require_claim(root: bytes, key: bytes) -> None:
    if len(root) != HASH_SIZE:
        raise MapProofError(f"map root: expected 32 bytes, found {len(root)}")
    if len(key) != KEY_SIZE:
        raise MapProofError(f"map key: expected 32 bytes, found {len(key)}")


def _read_other(proof: bytes) -> bytes:
    """The 64 bytes of the other entry at the head of an absence proof."""
    border = 1 + KEY_SIZE
    if len(proof) < 2 * border:
        raise MapProofError("absence proof ends inside the other entry")
    if proof[:1] != LENGTH or proof[border : border + 1] != LENGTH:
        raise MapProofError("absence proof: the other key and value are not of 32 bytes each")
    return proof[1:border] + proof[border + 1 : 2 * border]


def _read_bit(data: bytes, offset: int) -> tuple[int, int]:
    """A bit position 0..255 as the shortest varint, and the offset after it."""
    head = data[offset : offset + 2]
    if head and head[0] < 0x80:
        return head[0], offset + 1
    if len(head) == 2 and head[1] == 1:  # 00 would be padding, more is beyond bit 255
        return head[0], offset + 2
    raise MapProofError("map proof: expected a bit position of 0..255 as its shortest varint")


def _read_steps(data: bytes, offset: int) -> list[tuple[int, bytes]]:
    """Steps (bit, sibling hash) up to the end of `data`, bits strictly falling."""
    steps: list[tuple[int, bytes]] = []
    above = KEY_BITS
    while offset < len(data):
        bit, offset = _read_bit(data, offset)
        if bit >= above:
            raise MapProofError(f"map proof: bit {bit} does not stand below {above}")
        sibling = data[offset : offset + HASH_SIZE]
        if len(sibling) != HASH_SIZE:
            raise MapProofError(f"map proof: the step at bit {bit} has no whole hash")
        steps.append((bit, sibling))
        offset += HASH_SIZE
        above = bit
    return steps


def _root_from_steps(key: bytes, start: bytes, steps: Sequence[tuple[int, bytes]]) -> bytes:
    """The root to which the steps lead from the leaf hash `start` of `key`."""
    value = start
    for bit, sibling in steps:
        if bit_of(key, bit):
            value = inner_hash(bit, sibling, value)
        else:
            value = inner_hash(bit, value, sibling)
    return value
