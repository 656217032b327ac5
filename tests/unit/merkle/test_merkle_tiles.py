"""Tile addresses, bundles, and trees read back out of tiles."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merkle.errors import ArgumentError, TileError, TilePathError
from merkle.proofs import prove_consistency, prove_inclusion, verify_consistency, verify_inclusion
from merkle.tiles import (
    TileAddress,
    TileHashReader,
    addresses_for,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_path,
    tile_hashes,
    tile_path,
)
from merkle.tree import Edge, MemoryTree, root_at

EXAMPLES = {  # C2SP tlog-tiles and notes/ledger.md 1.4
    "tile/0/000": TileAddress(0, 0),
    "tile/0/999": TileAddress(0, 999),
    "tile/0/x001/000": TileAddress(0, 1000),
    "tile/3/x001/x234/067": TileAddress(3, 1234067),
    "tile/63/000.p/1": TileAddress(63, 0, 1),
    "tile/0/x001/x234/067.p/255": TileAddress(0, 1234067, 255),
    "tile/entries/000": TileAddress(None, 0),
    "tile/entries/000.p/5": TileAddress(None, 0, 5),
}


@pytest.mark.parametrize("path", EXAMPLES)
def test_paths_of_the_examples(path):
    assert EXAMPLES[path].path() == path
    assert parse_path(path) == EXAMPLES[path]


def test_short_forms():
    assert tile_path(1, 67) == "tile/1/067"
    assert tile_path(1, 67, 3) == "tile/1/067.p/3"
    assert entries_path(1000) == "tile/entries/x001/000"
    assert TileAddress(1, 67, 3).full() == TileAddress(1, 67)
    assert TileAddress(1, 67).is_full
    assert not TileAddress(1, 67, 3).is_full


REFUSED = [
    "",
    "/tile/0/000",
    "tile/0/000/",
    "tile//000",
    "tile/0//000",
    "tile/0/000\n",
    " tile/0/000",
    "tile/00/000",
    "tile/01/000",
    "tile/64/000",
    "tile/100/000",
    "tile/-1/000",
    "tile/+1/000",
    "tile/data/000",
    "tile/8/0/000",
    "tile/Entries/000",
    "tile/entries/0",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/1000",
    "tile/0/x000/000",  # one tile, one path: no empty groups in front
    "tile/0/x000/001",
    "tile/0/x000/x001/000",
    "tile/0/001/000",
    "tile/0/x001",
    "tile/0/x001/x000",
    "tile/0/X001/000",
    "tile/0/x01/000",
    "tile/0/x001/x23/067",
    "tile/0/000.p/0",
    "tile/0/000.p/00",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/257",
    "tile/0/000.p/999",
    "tile/0/000.p/1000",
    "tile/0/000.p/-1",
    "tile/0/000.p/",
    "tile/0/000.p",
    "tile/0/000p/1",
    "tile/0/000.p/1/",
    "tile/0/000.p/1.p/1",
    "tile/0/../0/000",
    "tile/0/x001/../000",
    "tile/entries/../0/000",
    "../tile/0/000",
    "tile/0/%2e%2e/000",
    "tile\\0\\000",
    "tile/0/000\x00",
    "tile/٠/000",  # ARABIC-INDIC DIGIT ZERO
    "tile/0/٠٠٠",
    "tile/0/x273/x000/x001/x001/x000/112.p/10",  # beyond a log of 2^63 entries
    "tile/0/x999/x999/x999/x999/x999/x999/999",
    "tile/0/" + "x001/" * 7 + "000",
    "tile/0/" + "x001/" * 5000 + "000",
    "checkpoint",
]


@pytest.mark.parametrize("text", REFUSED)
def test_other_spellings_are_refused(text):
    with pytest.raises(TilePathError):
        parse_path(text)


def test_every_edit_of_a_path_is_refused_or_is_another_address():
    """No two texts name one file: what parses after an edit spells itself and nothing else."""
    alphabet = "0123456789x/.pentrisl~ \n"
    for path, address in EXAMPLES.items():
        edits = {path[:i] + path[i + 1 :] for i in range(len(path))}
        edits |= {path[:i] + c + path[i + 1 :] for i in range(len(path)) for c in alphabet}
        edits |= {path[:i] + c + path[i:] for i in range(len(path) + 1) for c in alphabet}
        for edit in edits - {path}:
            try:
                parsed = parse_path(edit)
            except TilePathError:
                continue
            assert parsed != address
            assert parsed.path() == edit


def test_every_width_and_level_goes_there_and_back():
    for width in range(1, 257):
        for index in (0, 999, 1000, 999_999, 1_000_000, 2**55 - 1):
            address = TileAddress(0, index, width)
            assert parse_path(address.path()) == address
    for level in [None, *range(64)]:
        assert parse_path(TileAddress(level, 5).path()) == TileAddress(level, 5)


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_paths_go_there_and_back(level, index, width):
    address = TileAddress(level, index, width)
    assert parse_path(address.path()) == address


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)],
)
def test_addresses_out_of_range_are_refused(level, index, width):
    with pytest.raises(ArgumentError):
        TileAddress(level, index, width)


def paths_for(old, new):
    return [address.path() for address in addresses_for(old, new)]


def test_what_growth_writes_by_example():
    assert addresses_for(0, 0) == addresses_for(5, 5) == []
    assert paths_for(0, 5) == ["tile/entries/000.p/5", "tile/0/000.p/5"]
    assert paths_for(255, 256) == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert paths_for(256, 257) == ["tile/entries/001.p/1", "tile/0/001.p/1"]
    assert paths_for(250, 300) == [
        "tile/entries/000", "tile/entries/001.p/44",
        "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1",
    ]  # fmt: skip
    for wrong in [(5, 4), (-1, 0)]:
        with pytest.raises(ArgumentError):
            addresses_for(*wrong)


def test_a_log_of_70000_has_the_tiles_of_the_specification():
    written = addresses_for(0, 70_000)
    by_level = {level: [a for a in written if a.level == level] for level in (None, 0, 1, 2, 3)}
    assert len(by_level[0]) == len(by_level[None]) == 274
    assert by_level[0][-1].width == by_level[None][-1].width == 112
    assert by_level[1] == [TileAddress(1, 0), TileAddress(1, 1, 17)]
    assert by_level[2] == [TileAddress(2, 0, 1)]
    assert by_level[3] == []


@given(st.integers(0, 200_000), st.integers(0, 3000))
@settings(max_examples=60)
def test_growth_writes_exactly_what_the_new_size_has_and_the_old_had_not(old, more):
    before, after = set(every_address(old)), set(every_address(old + more))
    assert set(addresses_for(old, old + more)) == after - before
    written = addresses_for(old, old + more)
    assert len(set(written)) == len(written)


def every_address(size):
    """All files of a log of that size, from the definition of tlog-tiles."""
    for level in [None, 0, 1, 2, 3]:
        places = size // 256 ** (level or 0)
        for index in range(places // 256):
            yield TileAddress(level, index)
        if places % 256:
            yield TileAddress(level, places // 256, places % 256)


def test_bundles_go_there_and_back():
    for entries in ([], [b""], [b"a"], [b"event-%d" % i for i in range(256)], [bytes(65_535)]):
        assert decode_bundle(encode_bundle(entries), len(entries)) == entries
    assert encode_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"


def test_bundles_out_of_form_are_refused():
    data = encode_bundle([b"event-0", b"event-1"])
    for cut in range(len(data)):
        with pytest.raises(TileError, match="ends inside entry"):
            decode_bundle(data[:cut], 2)
    with pytest.raises(TileError, match="goes on for 1 bytes"):
        decode_bundle(data + b"\x00", 2)
    with pytest.raises(TileError, match="goes on for 9 bytes"):
        decode_bundle(data, 1)
    with pytest.raises(TileError, match="ends inside entry 2"):
        decode_bundle(data, 3)
    with pytest.raises(ArgumentError, match="at most 256"):
        encode_bundle([b""] * 257)
    with pytest.raises(ArgumentError, match="entry 1: at most 65535"):
        encode_bundle([b"", bytes(65_536)])


class Files:
    """The tiles of a growing log as it leaves them behind, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def fetch(self, path: str) -> bytes:
        self.asked.append(path)
        return self.files[path]

    def grow(self, tree: MemoryTree, old: int) -> None:
        for address in addresses_for(old, tree.size):
            if address.level is not None:
                self.files[address.path()] = tile_hashes(address, tree)


def leaf(i: int) -> bytes:
    return hashlib.sha256(b"\x00leaf %d" % i).digest()


SIZES = [1, 5, 254, 255, 256, 257, 300, 511, 512, 1000, 65_535, 65_536, 65_537, 70_000]


def test_a_log_grown_on_its_own_tiles_is_the_log_in_memory():
    """Each round starts from the tiles alone, as a sequencer does after a restart."""
    whole = MemoryTree()
    whole.extend(leaf(i) for i in range(SIZES[-1]))
    log = Files()
    old = 0
    for size in SIZES:
        grown = MemoryTree(TileHashReader(log.fetch, old), old)
        grown.extend(leaf(i) for i in range(old, size))
        log.grow(grown, old)
        assert root_at(size, TileHashReader(log.fetch, size)) == whole.root(size)
        assert Edge.read(size, TileHashReader(log.fetch, size)).root() == whole.root(size)
        old = size
    reader = TileHashReader(log.fetch, old)
    assert reader.size == old
    for level in range(17):
        for index in {0, 1, (old >> level) - 1, (old >> level) // 2}:
            if (index + 1) << level <= old:
                assert reader.read_hash(level, index) == whole.read_hash(level, index)
    for index in (0, 1, 255, 256, 65_535, 65_536, 69_999):
        path = prove_inclusion(index, old, reader)
        verify_inclusion(leaf(index), index, old, path, whole.root())
    for size in SIZES:
        proof = prove_consistency(size, old, reader)
        verify_consistency(size, old, whole.root(size), whole.root(), proof)


def test_a_reader_asks_once_for_a_file_and_only_for_what_its_size_implies():
    tree = MemoryTree()
    tree.extend(leaf(i) for i in range(700))
    log = Files()
    log.grow(tree, 0)
    reader = TileHashReader(log.fetch, 700)
    for index in range(700):
        prove_inclusion(index, 700, reader)
    assert sorted(log.asked) == ["tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"]
    for level, index in [(0, 700), (1, 350), (8, 2), (9, 1), (10, 0), (0, -1), (-1, 0)]:
        with pytest.raises(ArgumentError, match="not full in a log of 700"):
            reader.read_hash(level, index)
    assert len(log.asked) == 4


@pytest.mark.parametrize("length", [0, 31, 159, 161, 192, 8192])
def test_a_tile_of_another_length_is_refused(length):
    reader = TileHashReader(lambda _path: bytes(length), 5)
    with pytest.raises(TileError, match=r"tile/0/000\.p/5: expected 160 bytes, found"):
        reader.read_hash(0, 0)


def test_an_outage_passes_through_untouched():
    def fetch(path: str) -> bytes:
        raise ConnectionError(path)

    with pytest.raises(ConnectionError, match="tile/0/000"):
        TileHashReader(fetch, 256).read_hash(0, 0)


def test_other_misuse_is_refused():
    with pytest.raises(ArgumentError):
        TileHashReader(lambda _path: b"", -1)
    with pytest.raises(ArgumentError, match="holds entries"):
        tile_hashes(TileAddress(None, 0, 1), MemoryTree())
