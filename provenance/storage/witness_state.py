"""All that a witness must never forget, in one SQLite file.

    about      who this witness is, and what its cosignature means: written once
    logs       which logs it knows, where they are, under which keys they sign
    cosigned   for each log: the newest checkpoint that was cosigned, and where the map check stood
    progress   for each log: how far a map check has come that is not finished

Promises: when :meth:`WitnessState.change` ends without an exception, what it wrote is on the disk;
when it ends with one, nothing was kept, except that a commit *reported* as failed may have been
kept. Check and write of a cosignature share one such block, which holds the file's only writer
place (BEGIN IMMEDIATE), so that two threads or two processes on one file take turns.

A rollback journal and no write-ahead log: between transactions the one file is the whole state, so
that whoever moves or copies it cannot leave half of it behind. Price: a few more syncs a commit, of
which a witness makes one a checkpoint. `synchronous=EXTRA` also syncs the directory in which the
journal was removed; without it a power cut could bring the journal back and undo a commit that was
answered.

What a lost or older state would cause: a witness that cosigns a second history. So a file is never
made where one is expected (`provenance.services.witness`), and never replaced.

Each call opens a connection of its own: nothing is shared between threads or over a fork.
Sources: sqlite.org/pragma.html (journal_mode, synchronous), /atomiccommit.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from merkle.checkpoint import Checkpoint
from merkle.note import VerifierKey
from merkle.tree import Edge
from provenance.domain.ledger import parse_map_head
from provenance.domain.map_replay import MapPosition
from provenance.domain.meaning import Meaning, parse_meaning
from provenance.storage.errors import (
    StorageError,
    StoreInconsistentError,
    StoreUnavailableError,
)

_APPLICATION_ID: Final = 0x70726F77  # "prow"
_VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), meaning TEXT NOT NULL) STRICT;
CREATE TABLE logs (
    origin TEXT PRIMARY KEY, origin_hash TEXT NOT NULL UNIQUE, url TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE log_keys (
    vkey TEXT PRIMARY KEY, origin TEXT NOT NULL REFERENCES logs
) STRICT, WITHOUT ROWID;
CREATE TABLE cosigned (
    origin TEXT PRIMARY KEY REFERENCES logs,
    size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL,
    edge BLOB, map_head TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (
    origin TEXT PRIMARY KEY REFERENCES logs,
    size INTEGER NOT NULL, edge BLOB NOT NULL, map_head TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER about_is_written_once BEFORE UPDATE ON about
    BEGIN SELECT RAISE(ABORT, 'what a witness means never changes'); END;
CREATE TRIGGER about_stays BEFORE DELETE ON about
    BEGIN SELECT RAISE(ABORT, 'what a witness means never changes'); END;
CREATE TRIGGER a_log_is_never_forgotten BEFORE DELETE ON cosigned
    BEGIN SELECT RAISE(ABORT, 'what was cosigned is never forgotten'); END;
CREATE TRIGGER never_smaller_never_another_root BEFORE UPDATE ON cosigned
    WHEN new.origin <> old.origin OR new.size < old.size
        OR (new.size = old.size AND new.root <> old.root)
    BEGIN SELECT RAISE(ABORT, 'a witness never goes back and never cosigns a second root'); END;
"""


class WitnessStateError(StorageError):
    """The file is missing, is there already, is of another kind, or may not hold what was asked."""


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log that the witness cosigns for: its keys (any of them may sign), where it is read."""

    origin: str
    keys: tuple[VerifierKey, ...]
    url: str | None


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The newest checkpoint cosigned: `note` bears the log's lines and ours.

    `position` is where the map check stood there; None for a plain witness.
    """

    checkpoint: Checkpoint
    note: bytes
    position: MapPosition | None = None


class Change:
    """One transaction that writes. Handed out by `WitnessState.change`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cosigned(self, origin: str) -> Cosigned | None:
        """The newest checkpoint cosigned for a log, as of now."""
        return _read_cosigned(self._connection, origin)

    def keep(self, new: Cosigned) -> None:
        """Put a checkpoint in the place of the log's last one. The table itself refuses a smaller
        size and a second root; progress that it overtakes is dropped."""
        point, position = new.checkpoint, new.position
        self._connection.execute(
            "INSERT INTO cosigned VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET"
            " size = excluded.size, root = excluded.root, note = excluded.note,"
            " edge = excluded.edge, map_head = excluded.map_head",
            (point.origin, point.size, point.root, new.note, *_position_columns(position)),
        )
        self._connection.execute(
            "DELETE FROM progress WHERE origin = ? AND size <= ?", (point.origin, point.size)
        )


class WitnessState:
    """One witness's state file. Safe to share by threads and to make before a fork."""

    def __init__(self, path: Path, *, timeout_seconds: float = 10.0) -> None:
        """The file at `path`, which must exist: raises WitnessStateError for any other."""
        self.path = path
        self._timeout = timeout_seconds
        if not path.is_file():
            raise WitnessStateError(f"no state of a witness at {path}")
        with self._open() as connection:
            _require_ours(connection, path)

    @classmethod
    def create(cls, path: Path) -> WitnessState:
        """A new, empty state, of nobody yet. Raises WitnessStateError if the file exists."""
        try:
            path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise WitnessStateError(f"cannot make the state {path}: {error.strerror}") from error
        with _translated(), closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # One transaction for all of it: a crash leaves an empty file, which `__init__` refuses.
            connection.executescript(
                f"PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE; {_TABLES}"
                f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
                "COMMIT;"
            )
        return cls(path)

    def meaning(self) -> Meaning | None:
        """Who this witness is and what its keys mean; None before `bind`."""
        with self._open() as connection:
            row = connection.execute("SELECT meaning FROM about").fetchone()
        return None if row is None else parse_meaning(row[0])

    def bind(self, meaning: Meaning) -> None:
        """Make the state that of one witness, for ever; WitnessStateError if it is another's."""
        with self._write() as connection:
            row = connection.execute("SELECT meaning FROM about").fetchone()
            if row is None:
                connection.execute("INSERT INTO about VALUES (1, ?)", (meaning.format(),))
            elif row[0] != meaning.format():
                raise WitnessStateError(f"{self.path} is the state of another witness or key")

    def add_log(self, key: VerifierKey, url: str | None) -> None:
        """Know a log, or one more key of it (the old one stays); a given `url` replaces the old."""
        origin = key.name
        with self._write() as connection:
            connection.execute(
                "INSERT INTO logs VALUES (?, ?, ?) ON CONFLICT (origin)"
                " DO UPDATE SET url = coalesce(excluded.url, url)",
                (origin, sha256(origin.encode()).hexdigest(), url),
            )
            connection.execute(
                "INSERT OR IGNORE INTO log_keys VALUES (?, ?)", (key.format(), origin)
            )

    def logs(self) -> list[KnownLog]:
        """All logs, by name."""
        with self._open() as connection:
            origins = connection.execute("SELECT origin FROM logs ORDER BY origin").fetchall()
            known = [_read_log(connection, origin) for (origin,) in origins]
        return [log for log in known if log is not None]

    def log(self, origin: str) -> KnownLog | None:
        """One log, or None if it is not known."""
        with self._open() as connection:
            return _read_log(connection, origin)

    def cosigned(self, origin: str) -> Cosigned | None:
        """The newest checkpoint cosigned for a log. A later `change` may find a newer one."""
        with self._open() as connection:
            return _read_cosigned(connection, origin)

    def note_by_hash(self, origin_hash: str) -> bytes | None:
        """The newest cosigned note of the log whose origin has this SHA-256 (lower-case hex)."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT note FROM cosigned JOIN logs USING (origin) WHERE origin_hash = ?",
                (origin_hash,),
            ).fetchone()
        return None if row is None else bytes(row[0])

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Check and write in one durable transaction; see the module text. Raises
        StoreUnavailableError (busy too long, disk failed), StoreInconsistentError (damaged)."""
        with self._write() as connection:
            yield Change(connection)

    def progress(self, origin: str) -> MapPosition | None:
        """How far an unfinished map check has come. Not yet under any root that was met."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT size, edge, map_head FROM progress WHERE origin = ?", (origin,)
            ).fetchone()
        return None if row is None else _position(*row)

    def keep_progress(self, origin: str, position: MapPosition) -> None:
        """Remember how far the map check has come, in the place of what was there."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)",
                (origin, position.size, *_position_columns(position)),
            )

    def drop_progress(self, origin: str) -> None:
        """Forget an unfinished map check."""
        with self._write() as connection:
            connection.execute("DELETE FROM progress WHERE origin = ?", (origin,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection that never makes the file: a state that vanished is an outage, not empty."""
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        with (
            _translated(),
            closing(
                sqlite3.connect(uri, uri=True, timeout=self._timeout, isolation_level=None)
            ) as connection,
        ):
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != _APPLICATION_ID:
        raise WitnessStateError(f"{path} is not the state of a witness")
    if version != _VERSION:
        raise WitnessStateError(f"{path}: expected version {_VERSION}, found {version}")


def _read_log(connection: sqlite3.Connection, origin: str) -> KnownLog | None:
    row = connection.execute("SELECT url FROM logs WHERE origin = ?", (origin,)).fetchone()
    if row is None:
        return None
    keys = connection.execute(
        "SELECT vkey FROM log_keys WHERE origin = ? ORDER BY vkey", (origin,)
    ).fetchall()
    return KnownLog(origin, tuple(VerifierKey.parse(vkey) for (vkey,) in keys), row[0])


def _read_cosigned(connection: sqlite3.Connection, origin: str) -> Cosigned | None:
    row = connection.execute(
        "SELECT size, root, note, edge, map_head FROM cosigned WHERE origin = ?", (origin,)
    ).fetchone()
    if row is None:
        return None
    size, root, note, edge, head = row
    position = None if edge is None else _position(size, edge, head)
    return Cosigned(Checkpoint(origin, size, root), note, position)


def _position_columns(position: MapPosition | None) -> tuple[bytes | None, str | None]:
    if position is None:
        return None, None
    return position.edge.encode(), None if position.head is None else position.head.format()


def _position(size: int, edge: bytes, head: str | None) -> MapPosition:
    return MapPosition(Edge.decode(size, edge), None if head is None else parse_map_head(head))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailableError(f"the witness's state: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreInconsistentError(f"the witness's state: {error}") from error
