"""The nodes of the map's trie: their hashes, and what both forms of the map ask of keys.

:mod:`merkle.keymap` states the format and holds the map in memory; :mod:`merkle.pagemap` holds it
in pages. What they share stands here, so that there is one place in which a node gets its hash.

Left to others: the shape of the trie, proofs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from merkle.errors import ArgumentError

KEY_SIZE: Final = 32
VALUE_SIZE: Final = 32
KEY_BITS: Final = 256

LENGTH: Final = b"\x20"
"""The varint 32, before a key and before a value."""

VARINTS: Final = tuple(
    bytes([b]) if b < 128 else bytes([b & 0x7F | 0x80, b >> 7]) for b in range(KEY_BITS)
)
"""Each bit position as unsigned LEB128."""

MASKS: Final = tuple(0x80 >> i for i in range(8))

TAG_LEAF: Final = 0x00
TAG_INNER: Final = 0x01
TAG_SUBTREE: Final = 0x02

_INNER_PREFIXES = tuple(b"\x01" + varint for varint in VARINTS)


def entry_hash(leaf: bytes) -> bytes:
    """Hash of a leaf of the trie, given as key ‖ value (64 bytes)."""
    return sha256(b"\x00\x20" + leaf[:KEY_SIZE] + LENGTH + leaf[KEY_SIZE:]).digest()


def inner_hash(bit: int, left: bytes, right: bytes) -> bytes:
    """Hash of the node whose two children first differ at `bit`."""
    return sha256(_INNER_PREFIXES[bit] + left + right).digest()


def bit_of(key: bytes, bit: int) -> int:
    """Not 0 if bit `bit` of the key is set."""
    return key[bit >> 3] & MASKS[bit & 7]


def first_difference(one: bytes, other: bytes) -> int:
    """The first bit at which two different keys differ."""
    return KEY_BITS - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def divide(keys: Sequence[bytes], bit: int) -> tuple[list[bytes], list[bytes]]:
    """The keys with that bit 0, and those with it 1."""
    left: list[bytes] = []
    right: list[bytes] = []
    for key in keys:
        (right if bit_of(key, bit) else left).append(key)
    return left, right


def require_key(key: bytes) -> None:
    """Raise `ArgumentError` for a key that is not 32 bytes."""
    if len(key) != KEY_SIZE:
        raise ArgumentError(f"map key: expected 32 bytes, found {len(key)}")


def collect(items: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Items by key, sizes checked; of a key given twice the later value counts."""
    collected = dict(items)
    for key, value in collected.items():
        require_key(key)
        if len(value) != VALUE_SIZE:
            raise ArgumentError(f"map value: expected 32 bytes, found {len(value)}")
    return collected
