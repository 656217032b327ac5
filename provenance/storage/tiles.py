"""Where the log's tiles, entry bundles and published checkpoint lie (C2SP tlog-tiles 0.1).

A :class:`TileStore` is addressed by the paths of that specification, ``tile/0/x001/234`` or
``tile/entries/000.p/17``, by those of our map deltas, ``map/delta/x001/234``, and by nothing else.
What a tile means is :mod:`merkle.tiles`, what a delta means :mod:`provenance.domain.delta`; when
one is written is :mod:`provenance.services.sequencing`. What is said of tiles here holds for
deltas too.

What a store promises: a tile once written never changes and is durable when the call returns;
writing it again with the same bytes is success; with other bytes it is refused and nothing changes;
several processes may read while one writes, and never see half a tile. The checkpoint is replaced
by compare-and-swap: a store remembers which one it read or wrote last and puts a new one over that
one only, so that a sequencer that was asleep while another took over puts none over a newer one. A
write that was done though it was reported lost is found done when it is repeated.

Two stores keep this, here a directory and in :mod:`provenance.storage.s3` a bucket; one suite of
tests runs on both (tests/unit/storage/test_tiles.py).

A partial tile stays until
the sequencer discards it, which it does only after the full one is published; so a reader that
finds a partial tile gone finds the full one (:func:`read_tile` does both steps).

A corrupt store cannot make anybody believe anything: every byte is checked by its readers against a
signed root. It can make the log unable to go on, and `provenance fsck` says where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from merkle import tiles
from merkle.hashing import HASH_SIZE
from provenance.domain.delta import DELTA_PREFIX, parse_delta_path
from provenance.storage import files
from provenance.storage.errors import StoreInconsistentError, StoreUnavailableError

CHECKPOINT = "checkpoint"


class TileMissingError(StoreInconsistentError):
    """A tile that the log implies is not in the store."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"tile {path} is missing; restore the tile directory that belongs to this database"
        )
        self.path = path


def require_path(path: str) -> None:
    """Raise merkle's TilePathError unless `path` is that of a tile, a bundle or a map delta."""
    if path.startswith(DELTA_PREFIX):
        parse_delta_path(path)
    else:
        tiles.parse_path(path)


class TileStore(Protocol):
    """Immutable tiles by path, one mutable checkpoint; the module text says what is promised."""

    def prepare(self) -> None:
        """See, before anything is written, that the store can keep what is promised.

        Raises StoreUnusableError with the remedy, StoreUnavailableError.
        """
        ...

    def read(self, path: str) -> bytes:
        """The bytes at a path. TileMissingError, StoreUnavailableError, merkle's TilePathError."""
        ...

    def write_immutable(self, path: str, data: bytes) -> None:
        """Keep `data` at a tile's or delta's path for ever; durable on return.

        Raises files.FileConflictError where other bytes lie; OSError (a disk) and
        StoreUnavailableError, after which a repetition is harmless.
        """
        ...

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """`write_immutable` for each (path, data), perhaps several at a time and in any order.

        When it raises, as that does, nothing is being written any more and some may be.
        """
        ...

    def forms(self, path: str) -> list[str]:
        """What is held of the full tile at `path`: that path and those of its partial tiles."""
        ...

    def discard_partials(self, path: str) -> None:
        """Forget the partial tiles of the full tile at `path`; none there is no error."""
        ...

    def paths(self) -> Iterator[str]:
        """Every path held, partial tiles and deltas too, in no order that means anything."""
        ...

    def read_checkpoint(self) -> bytes | None:
        """The published checkpoint with its cosignatures, or None before the first.

        It is the one that `write_checkpoint` will replace.
        """
        ...

    def write_checkpoint(self, data: bytes) -> None:
        """Replace the checkpoint that this store last read or wrote; durable on return.

        One that it never looked at is whatever lies there. Raises files.FileMovedError when another
        lies there now; OSError and StoreUnavailableError, after which it may have been replaced.
        """
        ...


class DirectoryTileStore:
    """Tiles as files below `root`, which is also what a web server or a CDN may serve as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._directory = files.DurableDirectory(root)
        self._seen: bytes | None = None  # the checkpoint last read or written
        self._has_looked = False

    def prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        try:
            return self._file(path).read_bytes()
        except FileNotFoundError:
            raise TileMissingError(path) from None
        except OSError as error:
            raise StoreUnavailableError(
                f"tile {path}: {error.strerror}", store=str(self.root)
            ) from error

    def write_immutable(self, path: str, data: bytes) -> None:
        require_path(path)
        self._directory.write_once(path, data)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        # One disk: several at a time would only take turns.
        self._directory.write_all_once(_checked(files))

    def forms(self, path: str) -> list[str]:
        file = self._file(path)
        held = [path] if file.exists() else []
        partials = file.with_name(file.name + ".p")
        if partials.is_dir():
            held += [f"{path}.p/{one.name}" for one in partials.iterdir() if one.name.isdigit()]
        return held

    def discard_partials(self, path: str) -> None:
        directory = self._file(path)
        directory = directory.with_name(directory.name + ".p")
        if not directory.is_dir():
            return
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()  # no sync: a partial tile that a crash brings back harms nobody

    def paths(self) -> Iterator[str]:
        for top in ("tile", DELTA_PREFIX.partition("/")[0]):
            for file in (self.root / top).rglob("*"):
                if file.is_file() and not file.name.startswith("."):
                    yield file.relative_to(self.root).as_posix()

    def read_checkpoint(self) -> bytes | None:
        try:
            self._seen = (self.root / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            self._seen = None
        self._has_looked = True
        return self._seen

    def write_checkpoint(self, data: bytes) -> None:
        if not self._has_looked:
            self.read_checkpoint()
        self._directory.swap(CHECKPOINT, self._seen, data)
        self._seen = data

    def _file(self, path: str) -> Path:
        require_path(path)  # so that no path leaves the directory
        return self.root / path


def _checked(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for path, data in files:
        require_path(path)
        yield path, data


class LastSigned:
    """The newest checkpoint that this machine ever signed, in a file of its own beside the keys.

    It is not part of an ordinary restore: a database that comes back from an old backup is noticed
    because it holds less than this file says (docs/formats.md section 7; DESIGN.md). The bytes are
    the signed note with the log's line alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The note, or None when this machine has signed nothing yet."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, note: bytes) -> None:
        """Keep `note` as the newest; durable on return."""
        files.DurableDirectory(self.path.parent).replace(self.path.name, note, mode=0o600)


def read_tile(store: TileStore, path: str) -> bytes:
    """The bytes at `path`, cut from the full tile when the partial one has been discarded.

    tlog-tiles, "Partial Tiles": a reader falls back to the full tile. Raises TileMissingError.
    """
    try:
        return store.read(path)
    except TileMissingError:
        full, partial, width = path.partition(".p/")
        if not partial:
            raise
    try:
        data = store.read(full)
    except TileMissingError:
        raise TileMissingError(path) from None
    return cut(data, path, int(width))


def cut(data: bytes, path: str, width: int) -> bytes:
    """The first `width` hashes of a tile, or entries of a bundle, whose full bytes are `data`."""
    if not path.startswith("tile/entries/"):
        return data[: width * HASH_SIZE]
    end = 0
    for _ in range(width):  # each entry is u16 length ‖ bytes
        end += 2 + int.from_bytes(data[end : end + 2])
    return data[:end]
