"""Proofs made and verified at every size to a hundred, and every tampered one refused."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import ArgumentError, ProofError
from merkle.proofs import (
    inclusion_path,
    inclusion_paths,
    prove_consistency,
    prove_inclusion,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from merkle.tree import MemoryTree, root_of

TOP = 100
STRANGER = hashlib.sha256(b"a hash from elsewhere").digest()


@pytest.fixture(scope="module")
def tree(reference):
    grown = MemoryTree()
    grown.extend(reference.leaves(TOP))
    return grown


def tampered(proof):
    """Each hash altered, dropped, doubled; a stranger added at each place; each pair swapped."""
    for i, value in enumerate(proof):
        yield [*proof[:i], bytes([value[0] ^ 0x80]) + value[1:], *proof[i + 1 :]]
        yield [*proof[:i], value[:-1] + bytes([value[-1] ^ 1]), *proof[i + 1 :]]
        yield [*proof[:i], *proof[i + 1 :]]
        yield [*proof[: i + 1], *proof[i:]]
    for i in range(len(proof) + 1):
        yield [*proof[:i], STRANGER, *proof[i:]]
    for i, j in itertools.combinations(range(len(proof)), 2):
        swapped = list(proof)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        yield swapped


def refuses(verify, *arguments):
    try:
        verify(*arguments)
    except ProofError:
        return True
    return False


def test_inclusion_paths_are_those_of_the_definition(reference, tree):
    for size in range(1, TOP + 1):
        leaves = reference.leaves(size)
        batch = inclusion_paths(leaves)
        assert len(batch) == size
        root = reference.mth(0, size)
        for index in range(size):
            expected = reference.path(index, 0, size)
            assert batch[index] == expected
            assert prove_inclusion(index, size, tree) == expected
            assert root_from_inclusion(leaves[index], index, size, expected) == root
            verify_inclusion(leaves[index], index, size, expected, root)
    for index in range(0, TOP, 7):
        assert inclusion_path(reference.leaves(TOP), index) == reference.path(index, 0, TOP)
        assert inclusion_path(reference.leaves(TOP - 1), index) == reference.path(index, 0, TOP - 1)


def test_every_tampered_inclusion_path_is_refused(reference):
    seen = 0
    for size in range(1, TOP + 1):
        root = reference.mth(0, size)
        for index in range(size):
            leaf = reference.leaf(index)
            path = reference.path(index, 0, size)
            for bad in tampered(path):
                assert refuses(verify_inclusion, leaf, index, size, bad, root), (index, size)
                seen += 1
            assert refuses(verify_inclusion, STRANGER, index, size, path, root)
            assert refuses(verify_inclusion, leaf, index, size, path, STRANGER)
    assert seen > 200_000


def test_a_path_holds_at_its_own_index_only(reference):
    for size in range(2, 34):
        root = reference.mth(0, size)
        for index in range(size):
            path = reference.path(index, 0, size)
            for other in range(-1, size + 2):
                if other != index:
                    assert refuses(
                        verify_inclusion, reference.leaf(index), other, size, path, root
                    ), (index, other, size)


def test_paths_of_one_batch_share_no_lists():
    paths = inclusion_paths([hashlib.sha256(b"%d" % i).digest() for i in range(7)])
    assert len({id(path) for path in paths}) == 7
    assert inclusion_paths([]) == []
    assert inclusion_paths([STRANGER]) == [[]]


def test_consistency_proofs_are_those_of_the_definition(reference, tree):
    for new in range(1, TOP + 1):
        for old in range(1, new + 1):
            expected = reference.proof(old, new)
            assert prove_consistency(old, new, tree) == expected
            verify_consistency(old, new, reference.mth(0, old), reference.mth(0, new), expected)


def test_every_tampered_consistency_proof_is_refused(reference):
    seen = 0
    for new in range(1, TOP + 1):
        new_root = reference.mth(0, new)
        for old in range(1, new + 1):
            old_root = reference.mth(0, old)
            proof = reference.proof(old, new)
            for bad in tampered(proof):
                assert refuses(verify_consistency, old, new, old_root, new_root, bad), (old, new)
                seen += 1
            assert refuses(verify_consistency, old, new, STRANGER, new_root, proof)
            assert refuses(verify_consistency, old, new, old_root, STRANGER, proof)
            if old != new:
                assert refuses(verify_consistency, new, old, new_root, old_root, proof)
                assert refuses(verify_consistency, old, new, new_root, old_root, proof)
    assert seen > 200_000


@given(st.integers(1, 2000), st.data())
def test_larger_trees_prove_alike(size, data):
    leaves = [hashlib.sha256(b"%d" % i).digest() for i in range(size)]
    tree = MemoryTree()
    tree.extend(leaves)
    root = root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = prove_inclusion(index, size, tree)
    assert path == inclusion_path(leaves, index)
    verify_inclusion(leaves[index], index, size, path, root)
    old = data.draw(st.integers(1, size))
    verify_consistency(old, size, tree.root(old), root, prove_consistency(old, size, tree))


def test_an_index_outside_the_tree_has_no_path(reference, tree):
    leaves = reference.leaves(4)
    for index in (-1, 4, 5):
        with pytest.raises(ArgumentError, match="outside a tree of 4 leaves"):
            prove_inclusion(index, 4, tree)
        with pytest.raises(ArgumentError, match="outside a tree of 4 leaves"):
            inclusion_path(leaves, index)
        with pytest.raises(ProofError, match="not below the tree size"):
            verify_inclusion(leaves[0], index, 4, [], STRANGER)
    with pytest.raises(ProofError):
        verify_inclusion(leaves[0], 0, 0, [], STRANGER)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_nothing_is_proved_from_size_zero_or_backwards(tree, old, new):
    with pytest.raises(ArgumentError, match="no consistency proof"):
        prove_consistency(old, new, tree)
    with pytest.raises(ProofError, match="no consistency proof"):
        verify_consistency(old, new, STRANGER, STRANGER, [])


def test_equal_sizes_need_equal_roots_and_an_empty_proof(reference):
    root = reference.mth(0, 5)
    verify_consistency(5, 5, root, root, [])
    with pytest.raises(ProofError, match="forked"):
        verify_consistency(5, 5, root, STRANGER, [])
    with pytest.raises(ProofError, match="expected 0"):
        verify_consistency(5, 5, root, root, [STRANGER])
    with pytest.raises(ProofError, match="empty between different sizes"):
        verify_consistency(3, 5, root, root, [])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hashes_of_another_length_are_refused_by_place(length):
    bad = bytes(length)
    good = bytes(32)
    for arguments, place in [
        ((bad, 0, 2, [good], good), "leaf hash"),
        ((good, 0, 2, [bad], good), "proof hash 0"),
        ((good, 0, 2, [good], bad), "root"),
    ]:
        with pytest.raises(ProofError, match=f"{place}: expected 32 bytes, found {length}"):
            verify_inclusion(*arguments)
    for arguments, place in [
        ((2, 3, bad, good, [good]), "old root"),
        ((2, 3, good, bad, [good]), "new root"),
        ((2, 3, good, good, [bad]), "proof hash 0"),
    ]:
        with pytest.raises(ProofError, match=f"{place}: expected 32 bytes, found {length}"):
            verify_consistency(*arguments)
    with pytest.raises(ArgumentError):
        inclusion_paths([bad])
    with pytest.raises(ArgumentError):
        inclusion_path([bad], 0)
