"""The three hashes of an RFC 9162 Merkle tree: leaf, node, empty tree.

Rules: SHA-256 throughout. A leaf and a node are hashed under different first bytes, so that an
inner node can never be passed off as a leaf (RFC 9162 §2.1.1, "second preimage resistance").

Source: RFC 9162 §2.1.1, equal to RFC 6962 §2.1.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Final

from merkle.errors import ArgumentError

HASH_SIZE: Final = 32
"""Bytes in every hash of this package."""

_SIZES: Final = {HASH_SIZE}

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves, and of the map without keys."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf: ``SHA-256(0x00 ‖ entry)``, 32 bytes; `entry` may be empty."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: ``SHA-256(0x01 ‖ left ‖ right)``; both are hashes of 32 bytes.

    Lengths are checked where hashes enter the package (proofs, tiles, roots), not here: this is
    the innermost loop.
    """
    return sha256(b"\x01" + left + right).digest()


def require_hashes(hashes: Collection[bytes], what: str) -> None:
    """Raise `ArgumentError` unless each of `hashes` is 32 bytes long."""
    if set(map(len, hashes)) <= _SIZES:
        return
    for position, value in enumerate(hashes):
        if len(value) != HASH_SIZE:
            raise ArgumentError(f"{what} {position}: expected 32 bytes, found {len(value)}")
