"""The tile directory, the copy beside the keys, and the file rules under them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from merkle.errors import TilePathError
from merkle.tiles import encode_bundle
from provenance.storage import files
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.files import DurableDirectory, FileConflictError
from provenance.storage.tiles import (
    DirectoryTileStore,
    LastSigned,
    TileMissingError,
    read_tile,
)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryTileStore:
    return DirectoryTileStore(tmp_path / "log")


def test_a_tile_reads_back_and_may_be_written_again_with_the_same_bytes(
    store: DirectoryTileStore,
) -> None:
    for _ in range(2):
        store.write_immutable("tile/0/x001/234.p/7", b"seven hashes")
    assert store.read("tile/0/x001/234.p/7") == b"seven hashes"
    assert list(store.paths()) == ["tile/0/x001/234.p/7"]


def test_a_tile_never_changes(store: DirectoryTileStore) -> None:
    store.write_immutable("tile/0/000", b"first")
    with pytest.raises(FileConflictError, match="exists with other contents"):
        store.write_immutable("tile/0/000", b"second")
    assert store.read("tile/0/000") == b"first"
    assert [file.name for file in (store.root / "tile/0").iterdir()] == ["000"]


def test_map_deltas_lie_beside_the_tiles(store: DirectoryTileStore) -> None:
    store.write_immutable("tile/0/000.p/1", b"hash")
    for _ in range(2):
        store.write_immutable("map/delta/x001/234", b"delta")
    assert read_tile(store, "map/delta/x001/234") == b"delta"
    assert sorted(store.paths()) == ["map/delta/x001/234", "tile/0/000.p/1"]
    with pytest.raises(FileConflictError, match="exists with other contents"):
        store.write_immutable("map/delta/x001/234", b"another")
    with pytest.raises(TileMissingError, match="map/delta/000 is missing"):
        read_tile(store, "map/delta/000")


@pytest.mark.parametrize(
    "path",
    [
        "../keys/log.key",
        "tile/0/../../x",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000.p/256",
        "map/delta/../../keys/log.key",
        "map/delta/000.p/1",
        "map/delta/1",
        "map/delta/x000/001",
        "map/delta/",
        "map/000",
        "/map/delta/000",
    ],
)
def test_no_path_leaves_the_directory(store: DirectoryTileStore, path: str) -> None:
    with pytest.raises(TilePathError):
        store.read(path)
    with pytest.raises(TilePathError):
        store.write_immutable(path, b"")


def test_a_missing_tile_is_named(store: DirectoryTileStore) -> None:
    with pytest.raises(TileMissingError, match=r"tile/entries/000\.p/3 is missing"):
        read_tile(store, "tile/entries/000.p/3")
    with pytest.raises(TileMissingError, match="tile/1/000 is missing"):
        read_tile(store, "tile/1/000")


def test_a_disk_that_fails_is_an_outage(store: DirectoryTileStore) -> None:
    (store.root / "tile/0/000").mkdir(parents=True)
    with pytest.raises(StoreUnavailableError, match="tile/0/000: Is a directory"):
        store.read("tile/0/000")


def test_a_discarded_partial_is_cut_from_the_full_file(store: DirectoryTileStore) -> None:
    hashes = bytes(range(256)) * 32
    entries = [bytes([n]) * n for n in range(256)]
    store.write_immutable("tile/0/000.p/3", hashes[:96])
    store.write_immutable("tile/0/000", hashes)
    store.write_immutable("tile/entries/000", encode_bundle(entries))
    store.discard_partials("tile/0/000")
    store.discard_partials("tile/0/000")  # nothing left: no error
    assert sorted(store.paths()) == ["tile/0/000", "tile/entries/000"]
    assert read_tile(store, "tile/0/000.p/3") == hashes[:96]
    assert read_tile(store, "tile/entries/000.p/9") == encode_bundle(entries[:9])


def test_the_checkpoint_is_replaced_as_a_whole(store: DirectoryTileStore) -> None:
    assert store.read_checkpoint() is None
    store.write_checkpoint(b"one")
    store.write_checkpoint(b"two")
    assert store.read_checkpoint() == b"two"
    assert [file.name for file in store.root.iterdir()] == ["checkpoint"]


def test_the_copy_beside_the_keys_is_for_its_owner_alone(tmp_path: Path) -> None:
    copy = LastSigned(tmp_path / "keys" / "last-signed")
    assert copy.read() is None
    copy.write(b"one")
    copy.write(b"two")
    assert copy.read() == b"two"
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600


def test_everything_is_synced_before_a_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data before its name exists; then every directory that got a new name."""
    steps: list[str] = []
    real = os.fsync

    def record(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        named = (tmp_path / "root" / "a" / "b" / "file").exists()
        steps.append(path.name if path.is_dir() else f"data, named: {named}")
        real(handle)

    monkeypatch.setattr(os, "fsync", record)
    directory = DurableDirectory(tmp_path / "root")
    directory.write_once("a/b/file", b"x")
    assert steps == [tmp_path.name, "root", "a", "data, named: False", "b"]
    steps.clear()
    directory.write_once("a/b/file", b"x")  # its first writer may have died before the last sync
    assert steps == ["data, named: True", "b"]


def test_a_full_disk_leaves_neither_file_nor_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    directory = DurableDirectory(tmp_path)
    directory.replace("file", b"old")
    monkeypatch.setattr(os, "write", full)
    for write in (directory.write_once, directory.replace):
        with pytest.raises(OSError, match="No space"):
            write("file", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda handle, data: real(handle, data[:3]))
    DurableDirectory(tmp_path).write_once("file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_failed_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = DurableDirectory(tmp_path)
    directory.replace("file", b"old")

    def fail(*_: object) -> Path:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Input/output"):
        directory.replace("file", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
