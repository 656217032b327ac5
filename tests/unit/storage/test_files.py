"""The copy beside the keys, and the file rules under it and the tile directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from provenance.storage import files
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.files import DurableDirectory, FileMovedError
from provenance.storage.tiles import DirectoryTileStore, LastSigned


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


def test_a_file_is_swapped_only_for_the_one_that_was_seen(tmp_path: Path) -> None:
    directory = DurableDirectory(tmp_path / "root")
    directory.swap("file", None, b"one")
    directory.swap("file", None, b"one")  # done already, though perhaps reported lost
    with pytest.raises(FileMovedError, match="file is not the one that was to be replaced"):
        directory.swap("file", None, b"two")
    directory.swap("file", b"one", b"two")
    assert [file.read_bytes() for file in (tmp_path / "root").iterdir()] == [b"two"]


def test_who_is_stopped_inside_a_swap_holds_up_nobody(tmp_path: Path) -> None:
    """The other one is told at once, keeps its lease going and tries again."""
    directory = DurableDirectory(tmp_path)
    directory.swap("file", None, b"one")
    with (
        files._turn(tmp_path / "file"),
        pytest.raises(StoreUnavailableError, match="another process is replacing it"),
    ):
        directory.swap("file", b"one", b"two")
    directory.swap("file", b"one", b"two")


def test_a_disk_that_fails_is_an_outage(tmp_path: Path) -> None:
    store = DirectoryTileStore(tmp_path)
    (tmp_path / "tile/0/000").mkdir(parents=True)
    with pytest.raises(StoreUnavailableError, match="tile/0/000: Is a directory"):
        store.read("tile/0/000")
