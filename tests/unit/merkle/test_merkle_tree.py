"""Roots at any size, however the hashes are kept."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import ArgumentError
from merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from merkle.tree import Edge, MemoryTree, full_subtrees, root_at, root_of

TOP = 130


def test_the_three_hashes_are_those_of_rfc_9162():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"") == hashlib.sha256(b"\x00").digest()
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()
    assert (
        node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    )


def test_an_inner_node_is_not_the_leaf_of_its_children(reference):
    left, right = reference.leaves(2)
    assert root_of([left, right]) != leaf_hash(left + right)


def test_every_way_to_a_root_gives_the_reference_root(reference):
    tree = MemoryTree()
    edge = Edge()
    for size in range(TOP):
        expected = reference.mth(0, size)
        leaves = reference.leaves(size)
        assert root_of(leaves) == expected
        assert tree.root() == tree.root(size) == root_at(size, tree) == expected
        assert edge.size == tree.size == size
        assert edge.root() == Edge().extend(leaves).root() == expected
        assert Edge.decode(size, edge.encode()) == edge == Edge.read(size, tree)
        assert tree.append(reference.leaf(size)) == size
        edge = edge.append(reference.leaf(size))
    assert tree.root(77) == reference.mth(0, 77), "older sizes stay readable"


def test_a_tree_on_top_of_a_stored_one_is_the_same_tree(reference):
    stored = MemoryTree()
    stored.extend(reference.leaves(TOP))
    for start in range(0, TOP, 3):
        asked: list[tuple[int, int]] = []

        class Border:
            def read_hash(self, level: int, index: int) -> bytes:
                asked.append((level, index))  # noqa: B023
                assert (index + 1) << level <= start, "asks below the border only"  # noqa: B023
                return stored.read_hash(level, index)

        grown = MemoryTree(Border(), start)
        grown.extend(reference.leaf(i) for i in range(start, TOP))
        assert len(asked) <= start.bit_count(), "appending needs the right edge and nothing else"
        for size in range(TOP):
            assert root_at(size, grown) == reference.mth(0, size)


@given(st.integers(0, 300), st.integers(0, 40))
def test_an_edge_grows_alike_in_one_go_and_step_by_step(size, more):
    hashes = [hashlib.sha256(b"%d" % i).digest() for i in range(size + more)]
    start = Edge().extend(hashes[:size])
    assert len(start.hashes) == size.bit_count()
    stepwise = start
    for value in hashes[size:]:
        stepwise = stepwise.append(value)
    assert stepwise == start.extend(hashes[size:]) == Edge().extend(hashes)
    assert stepwise.root() == root_of(hashes)


@given(st.integers(0, 2**60))
def test_full_subtrees_tile_the_range_and_get_smaller(size):
    at = 0
    levels = []
    for level, index in full_subtrees(0, size):
        assert index << level == at
        at += 1 << level
        levels.append(level)
    assert at == size
    assert levels == sorted(set(levels), reverse=True)


def test_hashes_of_the_wrong_length_are_refused():
    with pytest.raises(ArgumentError, match="leaf hash 1: expected 32 bytes, found 31"):
        root_of([bytes(32), bytes(31)])
    with pytest.raises(ArgumentError, match="found 33"):
        MemoryTree().append(bytes(33))
    with pytest.raises(ArgumentError, match="found 0"):
        Edge().append(b"")
    with pytest.raises(ArgumentError, match="edge hash 0"):
        Edge(1, (bytes(5),))


@pytest.mark.parametrize("size", [-1, 1, 2, 7])
def test_an_edge_must_have_as_many_hashes_as_its_size_has_one_bits(size):
    with pytest.raises(ArgumentError):
        Edge(size, ())
    with pytest.raises(ArgumentError):
        Edge.decode(size, b"")


def test_an_edge_from_bytes_of_the_wrong_length_is_refused():
    with pytest.raises(ArgumentError, match="63 bytes are no edge of a tree of 3 leaves"):
        Edge.decode(3, bytes(63))
    with pytest.raises(ArgumentError):
        Edge.read(-1, MemoryTree())


def test_reading_beyond_the_tree_is_refused(reference):
    tree = MemoryTree()
    tree.extend(reference.leaves(5))
    assert tree.read_hash(2, 0) == reference.mth(0, 4)
    for level, index in [(0, 5), (1, 2), (2, 1), (3, 0), (9, 0), (-1, 0), (0, -1)]:
        with pytest.raises(ArgumentError):
            tree.read_hash(level, index)
    with pytest.raises(ArgumentError):
        tree.root(6)
    with pytest.raises(ArgumentError):
        root_at(-1, tree)
    with pytest.raises(ArgumentError, match="needs a reader"):
        MemoryTree(None, 4)
    with pytest.raises(ArgumentError):
        MemoryTree(tree, -1)
