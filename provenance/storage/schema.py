"""Bring the tables to the version that this code needs, or say clearly that they are not.

The migrations live in migrations/ at the root of the source tree and are run by Alembic. Two
processes may start at once: SQLite's single writer and a lock in PostgreSQL make them take turns,
and the second finds nothing to do. Forward only in normal life; `downgrade` is there for tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from provenance.storage.errors import SchemaError
from provenance.storage.session import Database

SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"

# Any constant that no other program uses on this database; "prov" in ASCII.
_LOCK: Final = 0x70726F76


def upgrade(database: Database, revision: str = "head") -> None:
    """Run every migration that is missing, in one transaction. Raises SchemaError."""
    with database.write() as connection:
        _take_turns(connection)
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Undo migrations down to `revision`: loses data; for tests and for nothing else."""
    with database.write() as connection:
        _take_turns(connection)
        command.downgrade(_config(connection), revision)


def check(database: Database) -> None:
    """Raise SchemaError unless the tables are exactly those of this code."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    expected = ScriptDirectory.from_config(_config()).get_current_head()
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


def _config(connection: Connection | None = None) -> Config:
    if not (SCRIPTS / "env.py").is_file():
        raise SchemaError(f"the migrations are missing from {SCRIPTS}; install from a source tree")
    config = Config()
    # "%" is special in Alembic's configuration.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
