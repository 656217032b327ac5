"""Inclusion and consistency proofs: made from stored hashes, verified from nothing but the proof.

An inclusion path lists the hashes beside the way from a leaf up to the root, the leaf's sibling
first. A consistency proof shows that the tree of `old` leaves is the beginning of the tree of `new`
leaves.

Rules that a textbook verifier forgets and ours keeps:

- every hash in a proof, root or leaf is exactly 32 bytes;
- a consistency proof from size 0 proves nothing and is an error;
- index < size; equal sizes need equal roots and an empty proof;
- the whole proof is used up, no hash more and none less.

Source: RFC 9162 §2.1.3 (inclusion) and §2.1.4 (consistency).
"""

from __future__ import annotations

from collections.abc import Sequence

from merkle.errors import ArgumentError, ProofError
from merkle.hashing import HASH_SIZE, node_hash, require_hashes
from merkle.tree import HashReader, next_level, range_hash


def _split(count: int) -> int:
    """Largest power of two strictly below `count`, for count > 1 (RFC 9162 §2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def prove_inclusion(index: int, size: int, reader: HashReader) -> list[bytes]:
    """Inclusion path of leaf `index` in the tree of the first `size` leaves (RFC 9162 §2.1.3.1).

    Raises `ArgumentError` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ArgumentError(f"leaf {index} is outside a tree of {size} leaves")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, reader))
            end = middle
        else:
            path.append(range_hash(start, middle, reader))
            start = middle
    path.reverse()
    return path


def prove_consistency(old: int, new: int, reader: HashReader) -> list[bytes]:
    """Consistency proof between the trees of `old` and `new` leaves (RFC 9162 §2.1.4.1).

    Raises `ArgumentError` unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ArgumentError(f"no consistency proof leads from size {old} to size {new}")
    proof = []
    start, end = 0, new
    whole = True  # is [start, old) still a subtree that the verifier knows, the old tree itself?
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(range_hash(middle, end, reader))
            end = middle
        else:
            proof.append(range_hash(start, middle, reader))
            start = middle
            whole = False
    if not whole:
        proof.append(range_hash(start, end, reader))
    proof.reverse()
    return proof


def inclusion_paths(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """The inclusion paths of all leaves of one tree, in the order of the leaves.

    About one hash and one short list a leaf: paths are built from the root down, each from its
    parent's.
    """
    if not leaf_hashes:
        return []
    require_hashes(leaf_hashes, "leaf hash")
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        levels.append(next_level(levels[-1]))
    paths: list[list[bytes]] = [[]]
    for level in reversed(levels[:-1]):
        below = []
        for left, right, path in zip(level[::2], level[1::2], paths, strict=False):
            below.append([right, *path])
            below.append([left, *path])
        if len(level) & 1:  # carried up as it is: it has no sibling on this level
            below.append(paths[-1])
        paths = below
    return paths


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Inclusion path of leaf `index` of the tree over `leaf_hashes`.

    Raises `ArgumentError` if there is no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise ArgumentError(f"leaf {index} is outside a tree of {len(leaf_hashes)} leaves")
    require_hashes(leaf_hashes, "leaf hash")
    path = []
    level: Sequence[bytes] = leaf_hashes
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = next_level(level)
        index >>= 1
    return path


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root to which `proof` leads from the leaf at `index` of `size` (RFC 9162 §2.1.3.2).

    Raises `ProofError` for an index outside the tree, a hash that is not 32 bytes, or a proof of
    the wrong length.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf index {index} is not below the tree size {size}")
    _require_hash(leaf_hash, "leaf hash")
    position, last = index, size - 1
    root = leaf_hash
    for number, sibling in enumerate(proof):
        _require_hash(sibling, f"proof hash {number}")
        if last == 0:
            raise ProofError(f"inclusion proof has {len(proof)} hashes, expected {number}")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:  # carried up without a sibling on these levels
                position >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError(f"inclusion proof ends after {len(proof)} hashes, before the root")
    return root


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise `ProofError` unless the leaf is shown to stand at `index` in the tree (size, root)."""
    _require_hash(root, "root")
    if root_from_inclusion(leaf_hash, index, size, proof) != root:
        raise ProofError(
            f"inclusion proof of leaf {index} does not lead to the root at size {size}"
        )


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise `ProofError` unless the tree (old_size, old_root) begins (new_size, new_root).

    RFC 9162 §2.1.4.2, and: size 0 is an error, since every tree begins with the empty one and a
    proof of that says nothing (the witness protocol treats it apart).
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"no consistency proof leads from size {old_size} to size {new_size}")
    _require_hash(old_root, "old root")
    _require_hash(new_root, "new root")
    for number, value in enumerate(proof):
        _require_hash(value, f"proof hash {number}")
    if old_size == new_size:
        _verify_same(old_size, old_root, new_root, proof)
        return
    old, new = _roots_from_consistency(old_size, new_size, old_root, proof)
    if old != old_root:
        raise ProofError(f"consistency proof does not lead to the old root at size {old_size}")
    if new != new_root:
        raise ProofError(f"consistency proof does not lead to the new root at size {new_size}")


def _verify_same(size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError(
            f"consistency proof between equal sizes has {len(proof)} hashes, expected 0"
        )
    if old_root != new_root:
        raise ProofError(f"two different roots at the same size {size}: the log has forked")


def _roots_from_consistency(
    old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Both roots that `proof` implies, 0 < old_size < new_size (RFC 9162 §2.1.4.2, 2-7)."""
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:  # step 2: a whole subtree, left out of the proof
        hashes.insert(0, old_root)
    if not hashes:
        raise ProofError("consistency proof is empty between different sizes")
    position, last = old_size - 1, new_size - 1
    while position & 1:  # step 4
        position >>= 1
        last >>= 1
    old = new = hashes[0]
    for value in hashes[1:]:
        if last == 0:
            raise ProofError(f"consistency proof has {len(proof)} hashes, more than sizes need")
        if position & 1 or position == last:
            old = node_hash(value, old)
            new = node_hash(value, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, value)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError(f"consistency proof ends after {len(proof)} hashes, before the root")
    return old, new


def _require_hash(value: bytes, what: str) -> None:
    if len(value) != HASH_SIZE:
        raise ProofError(f"{what}: expected {HASH_SIZE} bytes, found {len(value)}")
