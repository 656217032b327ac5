"""Trees over served and mirrored tiles, in a log that is large enough for three levels of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.proofs import prove_consistency
from merkle.tiles import (
    TILE_WIDTH,
    TileAddress,
    addresses_for,
    encode_bundle,
    parse_path,
    tile_hashes,
)
from merkle.tree import MemoryTree, root_at
from provenance.domain.log_source import LogFileMissingError
from provenance.services.auditing_tree import OwnTree, ServedTree
from provenance.services.checking_log import DifferenceError
from provenance.storage.audit_state import AuditStateError
from tests.support.forged_log import Change, flipped, gone

SIZE = 256 * 256 + 2 * 256 + 3  # levels: 259 tiles, 2 tiles, 1 tile
ENTRIES = [b"entry %d" % number for number in range(SIZE)]


@pytest.fixture(scope="module")
def tree() -> MemoryTree:
    built = MemoryTree()
    built.extend(map(leaf_hash, ENTRIES))
    return built


@dataclass
class Files:
    """The files of that log, made when asked for; `changes` by path."""

    tree: MemoryTree
    changes: dict[str, Change] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = "http://log.example"

    def read(self, path: str, most: int) -> bytes:
        self.asked.append(path)
        address = parse_path(path.removeprefix("log/"))
        count = self.tree.size >> (8 * (address.level or 0))
        if address.index * TILE_WIDTH + address.width > count:
            raise LogFileMissingError(path)
        data = self.changes.get(address.path(), lambda data: data)(self._make(address))
        if data is None:
            raise LogFileMissingError(path)
        return data

    def _make(self, address: TileAddress) -> bytes:
        if address.level is not None:
            return tile_hashes(address, self.tree)
        start = address.index * TILE_WIDTH
        return encode_bundle(ENTRIES[start : start + address.width])


def served(files: Files, size: int = SIZE) -> ServedTree:
    return ServedTree(files, Checkpoint("log.example", size, root_at(size, files.tree)))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 65_792, SIZE])
def test_what_is_served_is_the_tree(tree: MemoryTree, size: int) -> None:
    found = served(Files(tree), size)
    for level, index in ((0, size - 1), (0, 0), (3, 0), (8, 0), (9, 0), (16, 0)):
        if (index + 1) << level <= size:
            assert found.read_hash(level, index) == tree.read_hash(level, index)
    for index in {0, (size - 1) // 256}:
        entries, hashes = found.bundle(index)
        assert entries == ENTRIES[index * 256 : min(size, index * 256 + 256)]
        assert hashes == b"".join(map(leaf_hash, entries))
    for old in (1, 255, 256, 300, size - 1):
        if 0 < old < size:
            assert prove_consistency(old, size, found) == prove_consistency(old, size, tree)


def test_going_through_all_of_it_reads_every_file_once(tree: MemoryTree) -> None:
    files = Files(tree)
    found = served(files)
    for index in range(-(-SIZE // 256)):
        found.bundle(index)
    assert sorted(files.asked) == sorted(f"log/{a.path()}" for a in addresses_for(0, SIZE))
    assert found.good == sum(1 for a in addresses_for(0, SIZE) if a.level is not None)


@pytest.mark.parametrize(
    ("path", "change", "what", "where"),
    [
        ("tile/2/000.p/1", flipped(0), "hash 0", "tile/2/000.p/1"),
        ("tile/1/001.p/2", flipped(40), "hash 1", "tile/1/001.p/2"),
        ("tile/0/258.p/3", flipped(64), "hash 2", "tile/0/258.p/3"),
        ("tile/1/000", flipped(32 * 77), "hash 77", "tile/1/000"),
        ("tile/0/099", flipped(32 * 200 + 5), "hash 200", "tile/0/099"),
        ("tile/entries/099", flipped(2), "leaf hash of entry 25344", "tile/entries/099"),
        ("tile/entries/258.p/3", flipped(2), "leaf hash of entry 66048", "tile/entries/258.p/3"),
        ("tile/1/000", gone, "tile", "tile/1/000"),
        ("tile/2/000.p/1", gone, "tile", "tile/2/000.p/1"),
        ("tile/1/000", lambda data: data + data, "length in bytes", "tile/1/000"),
        ("tile/entries/099", lambda data: data[:-1], "framing", "tile/entries/099"),
    ],
)
def test_each_altered_file_is_named(
    tree: MemoryTree, path: str, change: Change, what: str, where: str
) -> None:
    with pytest.raises(DifferenceError) as caught:
        found = served(Files(tree, {path: change}))
        for index in (99, 258):
            found.bundle(index)
    assert (caught.value.what, caught.value.where) == (what, where)
    assert caught.value.expected != caught.value.found


def test_a_tile_and_its_bundle_that_lie_alike_are_not_believed(tree: MemoryTree) -> None:
    """Both changed to fit each other: the hash over all is still the one that is signed."""
    entries = [*ENTRIES[:256]]
    entries[5] = b"another"
    files = Files(
        tree,
        {
            "tile/entries/000": lambda _: encode_bundle(entries),
            "tile/0/000": lambda _: b"".join(map(leaf_hash, entries)),
        },
    )
    with pytest.raises(DifferenceError) as caught:
        served(files).bundle(0)
    assert (caught.value.what, caught.value.where) == ("hash over all", "tile/0/000")


def test_a_whole_tree_of_another_log_is_not_believed(tree: MemoryTree) -> None:
    with pytest.raises(DifferenceError) as caught:
        ServedTree(Files(tree), Checkpoint("log.example", SIZE, bytes(32)))
    assert caught.value.what == "root"
    assert caught.value.expected == bytes(32).hex()


def mirrored(tree: MemoryTree, size: int) -> Callable[[str], bytes | None]:
    """The mirror of a log of `size` entries: level 0 and full tiles, no partial ones above."""
    files = Files(tree)
    held = {a.path() for a in addresses_for(0, size) if a.is_full or a.level == 0}
    return lambda path: files.read(f"log/{path}", 0) if path in held else None


@pytest.mark.parametrize("size", [1, 200, 256, 700, SIZE])
def test_the_mirror_gives_every_root_and_proof_up_to_its_size(tree: MemoryTree, size: int) -> None:
    own = OwnTree(mirrored(tree, size))
    for old in {1, 2, 100, 255, 256, 257, 600, 65_536, 65_600, 65_793, size}:
        if old <= size:
            assert root_at(old, own) == root_at(old, tree)
            assert prove_consistency(old, size, own) == prove_consistency(old, size, tree)


def test_a_mirror_that_lost_a_tile_says_so(tree: MemoryTree) -> None:
    own = OwnTree(lambda _: None)
    with pytest.raises(AuditStateError, match="the mirror has lost tile/0/000"):
        root_at(1, own)
