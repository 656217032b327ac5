"""The database: its engine, its two kinds of transaction, and what they promise.

    with database.read() as connection:    one consistent snapshot, cannot write
    with database.write() as connection:   one durable transaction: all of it or nothing
    with replica.read() as connection:     one consistent snapshot of some moment that is past

Promises of `write` when the block ends without an exception: the rows are on disk (SQLite WAL with
synchronous=FULL; PostgreSQL with synchronous_commit `on` or what the server says beyond that), and
on that of the synchronous standby, where PostgreSQL has one. When it ends with one, nothing was
kept, except that a commit *reported* as failed may have been kept (a lost connection): callers
write so that a repetition is harmless.

Concurrency: SQLite has one writer at a time, taken at the start (BEGIN IMMEDIATE), so that a writer
never finds at its end that somebody was faster. On PostgreSQL writers run side by side under READ
COMMITTED and lock rows in an order that every writer keeps: parties by id, new subjects by URI,
subjects by id, then the `uploads` row.

A `Database` is the primary: a standby is refused, and a :class:`Replica` is no `Database`, so that
nothing which asks for heads, appends, or signs can be given one (services.reading).

Both connect when first asked, and again after a fork (gunicorn loads the application
before it forks; a connection shared by two processes would mix their answers).
Sources: sqlite.org/pragma.html, /wal.html, /lang_transaction.html; PostgreSQL manual chapters 13
and 30.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Self

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from provenance.storage.errors import (
    SchemaError,
    StoreConflictError,
    StoreInconsistentError,
    StoreUnavailableError,
)

# What a transaction hands out. Services name the type and nothing else of SQLAlchemy.
__all__ = ["Connection", "Database", "Dialect", "Replica"]

Dialect = Literal["sqlite", "postgresql"]

_WRITES: Final = "provenance_writes"
# How soon the server finds out that we have vanished without a word (power, network) and ends our
# transaction with its locks: within 4 s. Its system's own patience is two hours, in which one dead
# machine would hold up all others at whatever rows it had locked.
_SERVER_PATIENCE: Final = (
    "SELECT set_config('tcp_keepalives_idle', '2', false), "
    "set_config('tcp_keepalives_interval', '1', false), "
    "set_config('tcp_keepalives_count', '2', false), "
    "set_config('tcp_user_timeout', '4000', false)"
)
_WAL_ATTEMPTS: Final = 50
_TURNS: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")


class _Store:
    """What can be read; safe to share between threads and to create before a fork."""

    _standby: bool

    def __init__(self, url: URL, *, timeout_ms: int = 10_000, pool_size: int = 8) -> None:
        self.url = url
        self.dialect: Dialect = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
        self._timeout_ms = timeout_ms
        self._pool_size = pool_size
        self._engine: Engine | None = None
        self._pid = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str, *, timeout_ms: int = 10_000, pool_size: int = 8) -> Self:
        """The database at `url`; no connection is made yet.

        `timeout_ms` bounds the wait for another writer. Raises SchemaError for a URL that we cannot
        serve: another product, or a SQLite database in memory (each connection would see its own).
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise SchemaError("the database URL cannot be read: SCHEME://… is expected") from error
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
            raise SchemaError(f"cannot use {parsed.drivername}; use sqlite or postgresql")
        if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
            raise SchemaError("a SQLite database needs a file: sqlite:///PATH")
        return cls(parsed, timeout_ms=timeout_ms, pool_size=pool_size)

    @property
    def engine(self) -> Engine:
        """This process's engine."""
        with self._lock:
            if self._engine is None or self._pid != os.getpid():
                if self._engine is not None:
                    # The parent's sockets: forget them without closing, they are not ours.
                    self._engine.dispose(close=False)
                self._engine, self._pid = self._create_engine(), os.getpid()
            return self._engine

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        with self._lock:
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()
            self._engine = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot: every statement of the block sees the same committed state.

        Raises StoreUnavailableError when the database is away.
        """
        options: dict[str, Any] = {_WRITES: False}
        if self.dialect == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        # Begun by the first statement, rolled back when the connection returns to the pool: nothing
        # to commit, and so no commit that could fail.
        with self._connect(options) as connection:
            yield connection

    @contextmanager
    def _connect(self, options: dict[str, Any]) -> Iterator[Connection]:
        with (
            translated_errors(),
            self.engine.connect().execution_options(**options) as connection,
        ):
            yield connection

    def _create_engine(self) -> Engine:
        if self.dialect == "sqlite":
            engine = create_engine(
                self.url,
                pool_size=self._pool_size,
                pool_timeout=self._timeout_ms / 1000,
                connect_args={"timeout": self._timeout_ms / 1000},
            )
            event.listen(engine, "connect", self._prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = create_engine(
            self.url,
            pool_size=self._pool_size,
            pool_timeout=self._timeout_ms / 1000,
            # A connection that the server has closed meanwhile is replaced before it is used.
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": max(2, self._timeout_ms // 1000),
                # A server that vanishes without a word (power, network) is an outage within half a
                # minute; the system's own patience is two hours.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 4,
                "tcp_user_timeout": 30_000,
            },
        )
        event.listen(engine, "connect", self._prepare_postgresql)
        return engine

    def _prepare_sqlite(self, raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver begins transactions by guessing from the statement; we say it ourselves.
        raw.isolation_level = None
        cursor = raw.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout = {self._timeout_ms:d}")
            _enable_wal(cursor)
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
        finally:
            cursor.close()

    def _prepare_postgresql(self, raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = raw.cursor()
        try:
            self._require_role(cursor)
            # An acknowledgement before the commit is on disk, or before it is on the synchronous
            # standby's, would be a broken promise. What waits for more than that is left alone.
            cursor.execute("SHOW synchronous_commit")
            if (cursor.fetchone() or ("",))[0] in {"off", "local"}:
                cursor.execute("SET SESSION synchronous_commit = on")
            cursor.execute(f"SET SESSION lock_timeout = {self._timeout_ms:d}")
            cursor.execute("SET SESSION idle_in_transaction_session_timeout = 600000")
            cursor.execute(_SERVER_PATIENCE)
            raw.commit()
        except StoreUnavailableError:
            raw.close()
            raise
        finally:
            cursor.close()

    def _require_role(self, cursor: Any) -> None:
        """Is the server what this store is for? Raises StoreUnavailableError: that may change."""
        cursor.execute("SELECT pg_is_in_recovery()")
        if (cursor.fetchone() or (None,))[0] is self._standby:
            return
        where = self.url.host or self.url.query.get("host", "a local socket")
        raise StoreUnavailableError(
            f"the server at {where} is a primary, a read replica was expected: give its own "
            "address as PROVENANCE_READ_DATABASE"
            if self._standby
            else f"the server at {where} is a standby, which takes no writes and may lag: give the "
            "primary's address as PROVENANCE_DATABASE, or both with "
            "target_session_attrs=read-write"
        )


class Database(_Store):
    """The one database, on PostgreSQL the primary: what is read from it is the newest there is."""

    _standby = False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One durable transaction, committed when the block ends, rolled back on any exception.

        Raises StoreUnavailableError (away, busy too long, commit failed) and StoreConflictError
        (a unique constraint or deadlock: somebody was faster; run the block again).
        """
        with self._connect({_WRITES: True}) as connection, connection.begin():
            yield connection


class Replica(_Store):
    """A standby of that PostgreSQL database, for reading what was published some time ago.

    It has no `write` and is no `Database`. Whether it has come far enough is for
    :mod:`provenance.services.reading` to ask each time.
    """

    _standby = True


@contextmanager
def translated_errors() -> Iterator[None]:
    """Errors of driver and SQLAlchemy as ours; those of the block's own code pass unchanged."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError("no connection became free in time") from error
    except (DBAPIError, psycopg.Error, sqlite3.Error) as error:
        # Bulk copies and the begin of transactions use the drivers themselves, whose errors
        # SQLAlchemy does not wrap.
        raise _translate(error) from error


def _translate(error: DBAPIError | psycopg.Error | sqlite3.Error) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if _is_lost_race(cause):
        return StoreConflictError(_first_line(cause))
    if _is_damaged(cause):
        return StoreInconsistentError(
            f"the database is damaged ({_first_line(cause)}): restore a backup, then run "
            "`provenance fsck`"
        )
    away = (
        sqlite3.OperationalError,
        sqlite3.InterfaceError,
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.IdleInTransactionSessionTimeout,  # of the class of internal errors
    )
    if isinstance(cause, away) and not _is_missing_table(cause):
        return StoreUnavailableError(_first_line(cause))
    return error


def is_lock_timeout(error: StoreUnavailableError) -> bool:
    """Did PostgreSQL give up waiting for a lock? Then the server is there, and somebody busy."""
    cause = error.__cause__
    origin = cause.orig if isinstance(cause, DBAPIError) else cause
    return isinstance(origin, psycopg.errors.LockNotAvailable)


def _is_lost_race(cause: BaseException | None) -> bool:
    """A name or place that somebody took first; other constraints are our bugs, not races."""
    if isinstance(cause, sqlite3.IntegrityError):
        return cause.sqlite_errorname in {
            "SQLITE_CONSTRAINT_UNIQUE",
            "SQLITE_CONSTRAINT_PRIMARYKEY",
        }
    races = (
        psycopg.errors.UniqueViolation,
        psycopg.errors.SerializationFailure,
        psycopg.errors.DeadlockDetected,
    )
    return isinstance(cause, races)


def _is_damaged(cause: BaseException | None) -> bool:
    """The database says of itself that its bytes are not what it wrote."""
    if isinstance(cause, sqlite3.DatabaseError):
        name = getattr(cause, "sqlite_errorname", "")  # only errors of the library itself have one
        return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    return isinstance(cause, (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted))


def _is_missing_table(cause: BaseException) -> bool:
    return isinstance(cause, sqlite3.OperationalError) and str(cause).startswith("no such")


def _first_line(cause: BaseException | None) -> str:
    return (str(cause).splitlines() or [type(cause).__name__])[0][:200]


def _enable_wal(cursor: Any) -> None:
    """Switch the file to write-ahead logging, which stays so.

    The switch itself needs the file alone and ignores busy_timeout (sqlite.org/wal.html section 8),
    so that two processes which open a new database at once have to take turns here.
    """
    for attempt in range(_WAL_ATTEMPTS):
        try:
            mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # A full or failing disk does not get better within a second: only turns are waited for.
            name = getattr(error, "sqlite_errorname", "")
            if attempt == _WAL_ATTEMPTS - 1 or not name.startswith(_TURNS):
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError(f"no write-ahead logging on this file system ({mode})")
        return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, True)
    # By the driver itself: what begins every transaction goes without SQLAlchemy's ceremony, which
    # costs ten times as much.
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
