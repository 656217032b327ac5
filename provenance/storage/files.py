"""Files that survive a power cut: written whole or not at all, on the disk when a call returns.

Two kinds. An *immutable* file is put under its name once and never changes: it is written under a
temporary name in the same directory and then **linked**, so that a name that exists already is
never replaced; equal contents there are success (the write before us did survive), other contents
are an error. A *mutable* file is written the same way and then **renamed** over the old one, so
that a reader sees the old bytes or the new and nothing between.

Rules, those of Tessera's POSIX store: the data is synced before the name exists, the directory is
synced after, new directories are synced into their parents one by one. File systems without hard
links or without a true fsync (NFS, s3fs) are not supported.

Temporary files that a crash left behind start with a dot and end in ``.tmp``: nothing reads them.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provenance.storage.errors import StorageError, StoreConflictError, StoreUnavailableError

_FILE_MODE = 0o644
_numbers = (
    itertools.count()
)  # with the process id it makes temporary names unique; next() is atomic


class FileConflictError(StorageError):
    """An immutable file or object exists and says something else. Nothing was changed."""

    def __init__(self, place: Path | str) -> None:
        super().__init__(
            f"{place} exists with other contents: expected the bytes that this log implies, found "
            "others; another log was written here, or the file was altered. "
            "Run `provenance fsck`, and restore the tiles that belong to this database"
        )
        self.place = place


class FileMovedError(StoreConflictError):
    """A mutable file or object is no longer the one that was to be replaced. Nothing was changed.

    Another process wrote it since: whoever finds that has been overtaken, and looks again at
    everything before it writes again.
    """

    def __init__(self, place: Path | str) -> None:
        super().__init__(
            f"{place} is not the one that was to be replaced: another process has written it since"
        )
        self.place = place


class DurableDirectory:
    """Files below `root`, made when first written to. Threads and processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._synced: set[Path] = (
            set()
        )  # directories whose names this process knows to be on the disk

    def write_once(self, name: str, data: bytes) -> None:
        """Make the file `name` hold `data` for ever; durable on return.

        Raises FileConflictError when it holds other bytes, OSError when the disk fails (then the
        file is whole or absent, and a repetition is harmless).
        """
        self.write_all_once([(name, data)])

    def write_all_once(self, files: Iterable[tuple[str, bytes]]) -> None:
        """`write_once` for each (name, data), in order; durable when all are written.

        Each file's bytes are on the disk before its name exists, as ever; the names are brought
        there together at the end, one sync a directory. When it raises, as `write_once` does, some
        files may be there, perhaps not yet durably.
        """
        parents: dict[Path, None] = {}
        for name, data in files:
            path = self.root / name
            self._make(path.parent)
            _link_once(path, data)
            # Also when the name was there: its writer may have died between its link and its sync.
            parents[path.parent] = None
        for parent in parents:
            sync_directory(parent)

    def replace(self, name: str, data: bytes, mode: int = _FILE_MODE) -> None:
        """Make the file `name` hold `data` in place of what it held; durable on return.

        Raises OSError when the disk fails; then the file holds the old bytes or the new, whole.
        """
        path = self.root / name
        self._make(path.parent)
        temporary = _write_temporary(path, data, mode)
        try:
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def swap(self, name: str, expected: bytes | None, data: bytes) -> None:
        """As `replace`, but only over a file that holds `expected` (None: over none) or `data`.

        Raises FileMovedError when it holds something else, OSError as `replace`, and
        StoreUnavailableError while another process is between its look and its rename.
        """
        path = self.root / name
        self._make(path.parent)
        temporary = _write_temporary(path, data, _FILE_MODE)
        try:
            with _turn(path):
                _require_contents(path, expected, data)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def _make(self, path: Path) -> None:
        """Have `path` exist durably, it and all between it and the parent of `root`.

        A directory that exists may not be on the disk yet (its maker may have been killed before
        the sync), so each is synced into its parent once a process.
        """
        if path in self._synced and path.is_dir():
            return
        if path == self.root:
            path.mkdir(parents=True, exist_ok=True)
        else:
            self._make(path.parent)
            path.mkdir(exist_ok=True)
        sync_directory(path.parent)
        self._synced.add(path)


def _link_once(path: Path, data: bytes) -> None:
    """Have the file at `path`, whole; its name is not synced."""
    temporary = _write_temporary(path, data, _FILE_MODE)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        if path.read_bytes() != data:
            raise FileConflictError(path) from None
    finally:
        temporary.unlink()


def sync_directory(path: Path) -> None:
    """Bring the names in `path` to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Nobody else swaps a file in that directory meanwhile.

    Not waited for: one that was stopped between look and rename would hold up its successor, and
    that one the lease, for as long as it likes. Death gives the lock back.
    """
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, path)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreUnavailableError("another process is replacing it", store=str(path)) from error


def _require_contents(path: Path, *allowed: bytes | None) -> None:
    try:
        found: bytes | None = path.read_bytes()
    except FileNotFoundError:
        found = None
    if found not in allowed:
        raise FileMovedError(path)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.parent / f".{path.name}.{os.getpid()}.{next(_numbers)}.tmp"
    # A dead process's leftover may bear our name when process ids come round again.
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        _write_all(handle, data)
        os.fsync(handle)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return temporary


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:  # a short write is legal, and happens on a disk that is almost full
        view = view[os.write(handle, view) :]
