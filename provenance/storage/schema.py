"""Bring the tables to the version that this code needs, or say clearly that they are not.

The migrations live in migrations/ at the root of the source tree and are run by Alembic. Two
processes may start at once: SQLite's single writer and a lock in PostgreSQL make them take turns,
and the second finds nothing to do. Forward only in normal life; `downgrade` is there for tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from provenance.storage.errors import SchemaError, StoreConflictError, StoreUnavailableError
from provenance.storage.session import Database, is_lock_timeout

SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"

# Any constant that no other program uses on this database; "prov" in ASCII.
_LOCK: Final = 0x70726F76

ATTEMPTS: Final = 5
"""How often a migration asks for its locks."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Run every migration that is missing, each in a transaction of its own.

    So a check of many rows (0006) and a moment that locks everybody out (0007) are apart, and a
    crash leaves a revision that the next start goes on from. One that could not have its locks in
    time, since the program is running, is tried again; then StoreUnavailableError or
    StoreConflictError. Raises SchemaError for a database of a newer version than this program.
    """
    while _retried(lambda: _upgrade_once(database, revision)):
        pass


def _upgrade_once(database: Database, revision: str) -> bool:
    """One migration; False if none is missing."""
    with database.write() as connection:
        _take_turns(connection)
        config = make_config(connection)
        found = MigrationContext.configure(connection).get_current_revision()
        try:
            missing = list(
                ScriptDirectory.from_config(config).iterate_revisions(revision, found or "base")
            )
        except (RevisionError, CommandError) as error:
            raise SchemaError(
                f"the database's tables are of version {found}, which this program does not know: "
                "run the program of the newer version"
            ) from error
        if missing:
            command.upgrade(config, missing[-1].revision)
        return bool(missing)


def _retried(attempt: Callable[[], bool]) -> bool:
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except StoreConflictError:  # a deadlock that was decided against us
            pass
        except StoreUnavailableError as error:
            if not is_lock_timeout(error):
                raise
        time.sleep(1)  # whoever waited behind us gets through meanwhile
    return attempt()


def downgrade(database: Database, revision: str = "base") -> None:
    """Undo migrations down to `revision`: loses data; for tests and for nothing else."""
    with database.write() as connection:
        _take_turns(connection)
        command.downgrade(make_config(connection), revision)


def check(database: Database) -> None:
    """Raise SchemaError unless the tables are exactly those of this code."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    expected = ScriptDirectory.from_config(make_config()).get_current_head()
    if found is None:
        raise SchemaError("the database has no tables yet: run `provenance serve` or `init` first")
    if found != expected:
        raise SchemaError(
            f"the database's tables are of version {found}, this program needs {expected}: "
            "run the program of the newer version"
        )


def _take_turns(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def make_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; with a connection it works in the transaction that is open there."""
    if not (SCRIPTS / "env.py").is_file():
        raise SchemaError(f"the migrations are missing from {SCRIPTS}; install from a source tree")
    config = Config()
    # "%" is special in Alembic's configuration.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
